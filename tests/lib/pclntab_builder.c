/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Writes runtime.pclntab as cmd/link/internal/ld/pcln.go does (Go 1.18 to 1.27), moduledata as
 * symtab.go of each release lays it out, and build info as data.go.
 *
 *	header | funcnametab | cutab | filetab | pctab | functab, _func records | (1.26+) go:func.*
 *
 * One compilation unit holds all files; its part of cutab starts at index 1, so that readers who
 * forget to add cuOffset fail.
 */
#include "pclntab_builder.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "builder_private.h"

#define CU_OFFSET 1u
#define NO_DATA UINT32_MAX

struct parts {
	struct gs_build_buf names, cus, files, pctab, functab, gofunc;
	const struct gs_build_go *go;
};

static uint32_t name_offset(struct gs_build_buf *names, const char *name)
{
	size_t len = strlen(name) + 1;

	// The linker writes each name once.
	for (size_t at = 0; at + len <= names->n; at += strlen((char *)names->p + at) + 1) {
		if (strcmp((char *)names->p + at, name) == 0)
			return (uint32_t)at;
	}
	return (uint32_t)gs_buf_string(names, name);
}

static void put_uvarint(struct gs_build_buf *b, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		gs_buf_put(b, 1, (v & 0x7f) | 0x80);
	gs_buf_put(b, 1, v);
}

/* A pc-value table: zigzag value deltas from -1 and pc deltas in instruction units. Its offset, or
 * 0 for no table. */
static uint32_t put_steps(struct parts *p, const struct gs_build_step *s, size_t n, uint32_t size)
{
	uint32_t at = (uint32_t)p->pctab.n, unit = p->go->arch == GS_ARCH_ARM64 ? 4 : 1;
	int32_t value = -1;

	if (n == 0)
		return 0;
	assert(s[0].pc == 0);
	for (size_t i = 0; i < n; i++) {
		uint32_t end = i + 1 < n ? s[i + 1].pc : size;
		int32_t delta = s[i].value - value;

		assert(end > s[i].pc && (end - s[i].pc) % unit == 0 && (i == 0 || delta != 0));
		put_uvarint(&p->pctab, (uint32_t)delta << 1 ^ (uint32_t)(delta >> 31));
		put_uvarint(&p->pctab, (end - s[i].pc) / unit);
		value = s[i].value;
	}
	gs_buf_put(&p->pctab, 1, 0);
	return at;
}

static uint32_t put_inline_tree(struct parts *p, const struct gs_build_func *f)
{
	bool old = p->go->minor < 20;
	uint32_t at;

	gs_buf_align(&p->gofunc, 4);
	at = (uint32_t)p->gofunc.n;
	for (size_t i = 0; i < f->n_nodes; i++) {
		const struct gs_build_inline *n = &f->nodes[i];
		uint32_t name = name_offset(&p->names, n->name);

		if (old) {
			gs_buf_put(&p->gofunc, 2, (uint16_t)n->parent);
			gs_buf_put(&p->gofunc, 2, n->func_id);
			gs_buf_put(&p->gofunc, 4, n->file);
			gs_buf_put(&p->gofunc, 4, n->line);
			gs_buf_put(&p->gofunc, 4, name);
			gs_buf_put(&p->gofunc, 4, n->parent_pc);
		} else {
			gs_buf_put(&p->gofunc, 4, n->func_id);
			gs_buf_put(&p->gofunc, 4, name);
			gs_buf_put(&p->gofunc, 4, n->parent_pc);
			gs_buf_put(&p->gofunc, 4, n->start_line);
		}
	}
	return f->n_nodes ? at : NO_DATA;
}

static uint32_t put_blob(struct parts *p, const void *bytes, size_t n)
{
	uint32_t at = (uint32_t)p->gofunc.n;

	gs_buf_bytes(&p->gofunc, bytes, n);
	return bytes ? at : NO_DATA;
}

/* One _func record with its pcdata and funcdata offsets. */
static void put_func(struct parts *p, const struct gs_build_func *f)
{
	uint32_t pcdata[3] = { put_steps(p, f->unsafe, f->n_unsafe, f->size),
			       put_steps(p, f->stackmap, f->n_stackmap, f->size),
			       put_steps(p, f->inl, f->n_inl, f->size) };
	uint32_t funcdata[6] = { NO_DATA, NO_DATA, NO_DATA, NO_DATA, NO_DATA, NO_DATA };
	uint32_t npcdata = f->n_inl ? 3 : f->n_stackmap ? 2 : f->n_unsafe ? 1 : 0;
	uint32_t nfuncdata = f->arg_info ? 6 : f->n_nodes ? 4 : f->objects ? 3 : 0;
	struct gs_build_buf *o = &p->functab;

	if (nfuncdata < 2 && (f->args_maps || f->locals_maps))
		nfuncdata = 2;
	funcdata[0] = put_blob(p, f->args_maps, f->args_maps_size);
	funcdata[1] = put_blob(p, f->locals_maps, f->locals_maps_size);
	funcdata[2] = put_blob(p, f->objects, f->objects_size);
	funcdata[3] = put_inline_tree(p, f);
	funcdata[5] = put_blob(p, f->arg_info, f->arg_info_size);
	gs_buf_put(o, 4, f->offset);
	gs_buf_put(o, 4, name_offset(&p->names, f->name));
	gs_buf_put(o, 4, (uint32_t)f->args_bytes);
	gs_buf_put(o, 4, f->deferreturn);
	gs_buf_put(o, 4, put_steps(p, f->sp, f->n_sp, f->size));
	gs_buf_put(o, 4, put_steps(p, f->file, f->n_file, f->size));
	gs_buf_put(o, 4, put_steps(p, f->line, f->n_line, f->size));
	gs_buf_put(o, 4, npcdata);
	gs_buf_put(o, 4, f->n_file ? CU_OFFSET : UINT32_MAX);
	if (p->go->minor >= 20)
		gs_buf_put(o, 4, f->start_line);
	gs_buf_put(o, 1, f->func_id);
	gs_buf_put(o, 1, f->flag);
	gs_buf_put(o, 1, 0);
	gs_buf_put(o, 1, nfuncdata);
	for (uint32_t i = 0; i < npcdata; i++)
		gs_buf_put(o, 4, pcdata[i]);
	for (uint32_t i = 0; i < nfuncdata; i++)
		gs_buf_put(o, 4, funcdata[i]);
}

/* Pairs of (pc offset, record offset), the end, then the records, each 8-aligned. */
static void put_functab(struct parts *p)
{
	const struct gs_build_go *go = p->go;
	const struct gs_build_func *last = &go->funcs[go->n_funcs - 1];

	for (size_t i = 0; i < go->n_funcs; i++) {
		assert(i == 0 || go->funcs[i].offset >= go->funcs[i - 1].offset + 1);
		gs_buf_put(&p->functab, 4, go->funcs[i].offset);
		gs_buf_put(&p->functab, 4, 0);
	}
	gs_buf_put(&p->functab, 4, last->offset + last->size);
	for (size_t i = 0; i < go->n_funcs; i++) {
		uint32_t at;

		gs_buf_align(&p->functab, 8);
		at = (uint32_t)p->functab.n;
		memcpy(p->functab.p + 8 * i + 4, &at, 4);
		put_func(p, &go->funcs[i]);
	}
}

static void put_files(struct parts *p)
{
	for (size_t i = 0; i < CU_OFFSET; i++)
		gs_buf_put(&p->cus, 4, UINT32_MAX); // a file that was never used
	for (size_t i = 0; i < p->go->n_files; i++)
		gs_buf_put(&p->cus, 4, gs_buf_string(&p->files, p->go->files[i]));
}

/* Append a part at its alignment; its offset and size. */
static void append(struct gs_build_buf *o, struct gs_build_buf *part, size_t align, uint64_t *ret,
		   uint64_t *ret_size)
{
	gs_buf_align(o, align);
	*ret = o->n;
	*ret_size = part->n;
	gs_buf_take(o, part);
}

static void put_header(struct gs_build_buf *o, const struct gs_build_go *go, uint64_t text)
{
	gs_buf_field(o, 4, go->minor < 20 ? 0xfffffff0 : 0xfffffff1, "magic");
	gs_buf_put(o, 2, 0);
	gs_buf_put(o, 1, go->arch == GS_ARCH_ARM64 ? 4 : 1);
	gs_buf_put(o, 1, 8);
	gs_buf_put(o, 8, go->n_funcs);
	gs_buf_put(o, 8, go->n_files);
	gs_buf_put(o, 8, go->minor >= 26 ? 0 : text);
	gs_buf_field(o, 8, 0, "funcnameOffset");
	gs_buf_field(o, 8, 0, "cuOffset");
	gs_buf_field(o, 8, 0, "filetabOffset");
	gs_buf_field(o, 8, 0, "pctabOffset");
	gs_buf_field(o, 8, 0, "pclnOffset");
}

void gs_build_pclntab(const struct gs_build_go *go, uint64_t header_text,
		      struct gs_build_pclntab *ret)
{
	const struct gs_build_func *last = &go->funcs[go->n_funcs - 1];
	struct parts p = { .go = go };
	struct gs_build_buf o = { 0 };
	size_t align = go->minor >= 26 ? 8 : 32;
	uint64_t at, size;

	assert(go->n_funcs > 0 && go->minor >= 18);
	*ret = (struct gs_build_pclntab){ .gofunc_inside = go->minor >= 26,
					  .text_size = last->offset + last->size };
	gs_buf_put(&p.pctab, 1, 0); // offset 0 means no table
	gs_buf_zeros(&p.gofunc, 4); // nothing may rely on the first record being at 0
	put_files(&p);
	put_functab(&p);
	ret->cu_count = p.cus.n / 4;
	put_header(&o, go, header_text);
	append(&o, &p.names, align, &ret->funcname_offset, &ret->funcname_size);
	append(&o, &p.cus, align, &ret->cu_offset, &size);
	append(&o, &p.files, align, &ret->filetab_offset, &ret->filetab_size);
	append(&o, &p.pctab, align, &ret->pctab_offset, &ret->pctab_size);
	append(&o, &p.functab, align, &ret->pcln_offset, &ret->pcln_size);
	gs_buf_patch(&o, "funcnameOffset", ret->funcname_offset);
	gs_buf_patch(&o, "cuOffset", ret->cu_offset);
	gs_buf_patch(&o, "filetabOffset", ret->filetab_offset);
	gs_buf_patch(&o, "pctabOffset", ret->pctab_offset);
	gs_buf_patch(&o, "pclnOffset", ret->pcln_offset);
	ret->gofunc_size = p.gofunc.n;
	if (ret->gofunc_inside) {
		append(&o, &p.gofunc, align, &at, &size);
		ret->gofunc_offset = at;
		ret->gofunc = o.p + at;
	} else {
		ret->gofunc = p.gofunc.p;
		free(p.gofunc.fields);
	}
	free(o.fields);
	ret->bytes = o.p;
	ret->size = o.n;
}

void gs_build_pclntab_deinit(struct gs_build_pclntab *t)
{
	if (!t->gofunc_inside)
		free(t->gofunc);
	free(t->bytes);
	*t = (struct gs_build_pclntab){ 0 };
}

static void put_slice(struct gs_build_buf *o, gs_addr p, uint64_t n)
{
	gs_buf_put(o, 8, p);
	gs_buf_put(o, 8, n);
	gs_buf_put(o, 8, n);
}

/* pcHeader to maxpc, the same in all releases. */
static void put_pcln_part(struct gs_build_buf *o, unsigned int minor,
			  const struct gs_build_pclntab *t, uint64_t n_funcs,
			  const struct gs_build_addresses *a)
{
	gs_buf_put(o, 8, a->pclntab);
	put_slice(o, a->pclntab + t->funcname_offset, t->funcname_size);
	// Until 1.25 the length of cutab counted bytes.
	put_slice(o, a->pclntab + t->cu_offset, t->cu_count * (minor >= 26 ? 1 : 4));
	put_slice(o, a->pclntab + t->filetab_offset, t->filetab_size);
	put_slice(o, a->pclntab + t->pctab_offset, t->pctab_size);
	put_slice(o, a->pclntab + t->pcln_offset, t->pcln_size);
	put_slice(o, a->pclntab + t->pcln_offset, n_funcs + 1);
	gs_buf_put(o, 8, a->findfunctab);
	gs_buf_put(o, 8, a->text);
	gs_buf_put(o, 8, a->text + t->text_size);
}

uint8_t *gs_build_moduledata(unsigned int minor, const struct gs_build_pclntab *t, uint64_t n_funcs,
			     const struct gs_build_addresses *a, size_t *ret_size)
{
	const gs_addr bounds[] = { a->text,  a->etext, a->noptrdata, a->enoptrdata, a->data,
				   a->edata, a->bss,   a->ebss,      a->noptrbss,   a->enoptrbss };
	gs_addr gofunc = t->gofunc_inside ? a->pclntab + t->gofunc_offset : a->gofunc;
	struct gs_build_buf o = { 0 };

	put_pcln_part(&o, minor, t, n_funcs, a);
	for (size_t i = 0; i < GS_ARRAY_SIZE(bounds); i++)
		gs_buf_put(&o, 8, bounds[i]);
	if (minor >= 20)
		gs_buf_zeros(&o, 16); // covctrs, ecovctrs
	gs_buf_put(&o, 8, a->end);
	gs_buf_put(&o, 8, a->gcdata);
	gs_buf_put(&o, 8, a->gcbss);
	gs_buf_put(&o, 8, a->types);
	if (minor >= 27)
		gs_buf_put(&o, 8, a->etypes - a->types); // typedesclen
	gs_buf_put(&o, 8, a->etypes);
	if (minor >= 27)
		gs_buf_zeros(&o, 16); // itaboffset, itabsize
	gs_buf_put(&o, 8, a->rodata);
	gs_buf_put(&o, 8, gofunc);
	if (minor >= 26)
		gs_buf_put(&o, 8, a->pclntab + t->size); // epclntab
	put_slice(&o, 0, 0);                             // textsectmap
	if (minor < 27) {
		put_slice(&o, 0, 0); // typelinks
		put_slice(&o, 0, 0); // itablinks
	}
	put_slice(&o, 0, 0);  // ptab
	gs_buf_zeros(&o, 16); // pluginpath
	put_slice(&o, 0, 0);  // pkghashes
	if (minor >= 21)
		put_slice(&o, 0, 0); // inittasks
	gs_buf_zeros(&o, 16);        // modulename
	put_slice(&o, 0, 0);         // modulehashes
	gs_buf_put(&o, 8, 1);        // hasmain; from 1.23 on also bad
	gs_buf_zeros(&o, 32);        // gcdatamask, gcbssmask
	gs_buf_zeros(&o, 8);         // typemap
	if (minor < 23)
		gs_buf_zeros(&o, 8); // bad
	gs_buf_put(&o, 8, a->next);
	free(o.fields);
	*ret_size = o.n;
	return o.p;
}

static void put_string(struct gs_build_buf *o, const char *s, size_t n)
{
	put_uvarint(o, (uint32_t)n);
	gs_buf_bytes(o, s, n);
}

uint8_t *gs_build_buildinfo(const char *version, const char *modinfo, size_t *ret_size)
{
	/* cmd/go/internal/modload/build.go: infoStart and infoEnd around the text. */
	static const char start[] =
		"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6";
	static const char end[] =
		"\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2";
	struct gs_build_buf o = { 0 }, text = { 0 };

	gs_buf_bytes(&o, "\xff Go buildinf:", 14);
	gs_buf_put(&o, 1, 8);
	gs_buf_put(&o, 1, 2);
	gs_buf_to(&o, 32);
	put_string(&o, version, strlen(version));
	if (*modinfo) {
		gs_buf_bytes(&text, start, 16);
		gs_buf_bytes(&text, modinfo, strlen(modinfo));
		gs_buf_bytes(&text, end, 16);
	}
	put_string(&o, (const char *)text.p, text.n);
	gs_buf_deinit(&text);
	gs_buf_align(&o, 16);
	*ret_size = o.n;
	return o.p;
}
