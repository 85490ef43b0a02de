/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * moduledata starts with the address of the function table, followed by a slice over the names in it,
 * which makes a pair of words that occurs nowhere else: found in the section .go.module (1.26 on), by
 * symbol, by searching data for the pair, or, in an externally linked PIE whose words are zeros in the
 * file, by searching the relocations for the first of them.
 *
 * A candidate is decoded with the layout of the image's release (of each release, if that is unknown
 * or does not fit) and must agree with the table: slices over its parts, as many functions, pcs in
 * order, sections in order, funcdata where the release keeps it.
 */
#include "golang/moduledata.h"

#include <errno.h>
#include <string.h>

#include "golang/layout.h"
#include "golang/pclntab_private.h"

#define MD_WORDS_MAX 128
#define HITS_MAX 64

/* A moduledata as words, and what is only for checking. */
struct raw {
	uint64_t words[MD_WORDS_MAX];
	gs_addr funcnametab, pclntable, ftab, epclntab;
	uint64_t pclntable_len, ftab_len;
};

static uint64_t word_at(const struct raw *raw, const struct gs_go_layout *l, enum gs_go_field f,
			unsigned int extra)
{
	int32_t off = l->offset[f];

	if (off < 0 || (size_t)off / 8 + extra >= MD_WORDS_MAX)
		return 0;
	return raw->words[off / 8 + extra];
}

static uint8_t byte_at(const struct raw *raw, const struct gs_go_layout *l, enum gs_go_field f)
{
	int32_t off = l->offset[f];

	return off < 0 ? 0 : (uint8_t)(word_at(raw, l, f, 0) >> off % 8 * 8);
}

static void decode(struct raw *raw, const struct gs_go_layout *l, struct gs_go_moduledata *ret)
{
	const struct {
		enum gs_go_field field;
		gs_addr *ret;
	} words[] = {
		{ GS_GO_MD_PCHEADER, &ret->pclntab },
		{ GS_GO_MD_TEXT, &ret->text },
		{ GS_GO_MD_ETEXT, &ret->etext },
		{ GS_GO_MD_MINPC, &ret->minpc },
		{ GS_GO_MD_MAXPC, &ret->maxpc },
		{ GS_GO_MD_NOPTRDATA, &ret->noptrdata },
		{ GS_GO_MD_ENOPTRDATA, &ret->enoptrdata },
		{ GS_GO_MD_DATA, &ret->data },
		{ GS_GO_MD_EDATA, &ret->edata },
		{ GS_GO_MD_BSS, &ret->bss },
		{ GS_GO_MD_EBSS, &ret->ebss },
		{ GS_GO_MD_NOPTRBSS, &ret->noptrbss },
		{ GS_GO_MD_ENOPTRBSS, &ret->enoptrbss },
		{ GS_GO_MD_END, &ret->end },
		{ GS_GO_MD_GCDATA, &ret->gcdata },
		{ GS_GO_MD_GCBSS, &ret->gcbss },
		{ GS_GO_MD_TYPES, &ret->types },
		{ GS_GO_MD_ETYPES, &ret->etypes },
		{ GS_GO_MD_RODATA, &ret->rodata },
		{ GS_GO_MD_GOFUNC, &ret->gofunc },
		{ GS_GO_MD_NEXT, &ret->next },
		{ GS_GO_MD_PLUGINPATH, &ret->plugin_path },
		{ GS_GO_MD_FUNCNAMETAB, &raw->funcnametab },
		{ GS_GO_MD_PCLNTABLE, &raw->pclntable },
		{ GS_GO_MD_FTAB, &raw->ftab },
		{ GS_GO_MD_EPCLNTAB, &raw->epclntab },
	};
	for (size_t i = 0; i < GS_ARRAY_SIZE(words); i++)
		*words[i].ret = word_at(raw, l, words[i].field, 0);
	raw->pclntable_len = word_at(raw, l, GS_GO_MD_PCLNTABLE, 1);
	raw->ftab_len = word_at(raw, l, GS_GO_MD_FTAB, 1);
	ret->plugin_path_len = word_at(raw, l, GS_GO_MD_PLUGINPATH, 1);
	ret->has_main = byte_at(raw, l, GS_GO_MD_HASMAIN) == 1;
	ret->bad = byte_at(raw, l, GS_GO_MD_BAD) == 1;
	ret->pclntab_size = raw->pclntable - ret->pclntab + raw->pclntable_len;
	if (raw->epclntab > ret->pclntab + ret->pclntab_size)
		ret->pclntab_size = raw->epclntab - ret->pclntab;
}

/* Why @md cannot be what it seems; NULL if it can. */
static const char *doubt(const struct raw *raw, const struct gs_go_layout *l,
			 const struct gs_go_moduledata *md, const struct gs_go_pclntab_header *h)
{
	const gs_addr ordered[][2] = {
		{ md->noptrdata, md->enoptrdata },
		{ md->data, md->edata },
		{ md->bss, md->ebss },
		{ md->noptrbss, md->enoptrbss },
		{ md->ebss, md->end },
		{ md->enoptrbss, md->end },
		{ md->types, md->etypes },
		{ md->text, md->minpc },
		{ md->maxpc, md->etext },
	};
	uint64_t table_end;

	if (raw->funcnametab != md->pclntab + h->funcname_offset ||
	    raw->pclntable != md->pclntab + h->pcln_offset || raw->ftab != raw->pclntable)
		return "its slices are not over the parts of the function table";
	if (raw->ftab_len != h->nfunc + 1)
		return "it counts other functions than the function table";
	if (md->minpc >= md->maxpc || (h->text_start != 0 && h->text_start != md->text))
		return "its code is not where the function table says";
	for (size_t i = 0; i < GS_ARRAY_SIZE(ordered); i++)
		if (ordered[i][0] > ordered[i][1])
			return "its sections end before they begin";
	table_end = md->pclntab + md->pclntab_size;
	if (raw->pclntable_len < h->nfunc * 8 + 4 || md->pclntab_size > UINT32_MAX ||
	    table_end < raw->pclntable)
		return "its function table has no believable size";
	if (gs_go_has(l, GS_GO_MD_EPCLNTAB) && raw->epclntab < raw->pclntable + raw->pclntable_len)
		return "the function table ends before its functions";
	if (md->gofunc == 0 || md->rodata == 0 || md->types == 0)
		return "it lacks addresses that every module has";
	if (md->next % 8 != 0)
		return "its link to the next module is no address";
	return NULL;
}

/* Decode with the layout of release @minor. @return true if the result proves itself. */
static bool fits(struct raw *raw, unsigned int minor, const struct gs_go_pclntab_header *h,
		 struct gs_go_moduledata *ret, const char **ret_doubt)
{
	struct gs_go_moduledata md = { 0 };
	struct gs_go_layout l;
	struct gs_err err;

	// The structure is the same on both CPUs.
	if (gs_go_layout_table(minor, GS_ARCH_AMD64, &l, &err) < 0)
		return false;
	decode(raw, &l, &md);
	*ret_doubt = doubt(raw, &l, &md, h);
	if (*ret_doubt)
		return false;
	*ret = md;
	return true;
}

/*
 * The layout of @minor, else any: one that makes it a program's main module is preferred, as that one
 * is nearly always meant, and 1.20 differs from 1.21 only behind the last address.
 */
static bool fits_any(struct raw *raw, unsigned int minor, const struct gs_go_pclntab_header *h,
		     struct gs_go_moduledata *ret, const char **ret_doubt)
{
	struct gs_go_moduledata md;
	const char *ignored;
	bool found = false;

	if (minor != 0 && fits(raw, minor, h, ret, ret_doubt))
		return true;
	for (unsigned int m = GS_GO_MINOR_LAST; m >= GS_GO_MINOR_FIRST; m--) {
		if (m == minor || !fits(raw, m, h, &md, minor ? &ignored : ret_doubt))
			continue;
		if (!found || md.has_main)
			*ret = md;
		found = true;
		if (md.has_main)
			break;
	}
	return found;
}

/* ---- in a file ---- */

/* Is the candidate at @addr the moduledata of the table? @return 0; 1 if not. */
static int candidate(const struct gs_image *img, unsigned int minor, gs_addr addr,
		     const struct gs_go_pclntab_header *h, gs_addr pclntab_addr,
		     struct gs_go_moduledata *ret, struct gs_err *err)
{
	struct gs_go_moduledata md;
	struct gs_cursor c;
	struct raw raw = { 0 };
	const char *why;
	int r;

	for (size_t i = 0; i < MD_WORDS_MAX; i++) {
		r = gs_image_word(img, addr + i * 8, &raw.words[i], err);
		if (r < 0)
			return r;
		if (r > 0)
			break; // end of the section: the rest reads as zero
	}
	if (raw.words[0] != pclntab_addr || !fits_any(&raw, minor, h, &md, &why))
		return 1;
	r = gs_image_at(img, md.gofunc, &c, err);
	if (r != 0)
		return r; // function data is always in the file
	md.addr = addr;
	md.from_file = true;
	*ret = md;
	return 0;
}

/* The pair in plain words of @bytes, which lie at @addr. @return 0; 1 if there is none. */
static int find_plain(const struct gs_cursor *bytes, gs_addr addr, uint64_t first, uint64_t second,
		      gs_addr from, gs_addr *ret, struct gs_err *err)
{
	struct gs_cursor c = *bytes, peek;
	uint64_t word, next;
	int r;

	if (gs_cursor_left(&c) < 8 + 16)
		return 1;
	r = gs_cursor_skip(&c, -addr & 7, err);
	if (r < 0)
		return r;
	for (addr += -addr & 7; gs_cursor_left(&c) >= 16; addr += 8) {
		r = gs_cursor_u64(&c, &word, err);
		if (r < 0)
			return r;
		if (word != first || addr <= from)
			continue;
		peek = c;
		r = gs_cursor_u64(&peek, &next, err);
		if (r < 0)
			return r;
		if (next == second) {
			*ret = addr;
			return 0;
		}
	}
	return 1;
}

/* Bytes of writable section @i, or segment where there are no sections. @return 0; 1: not this one. */
static int writable(const struct gs_image *img, uint32_t i, struct gs_cursor *ret,
		    gs_addr *ret_addr, struct gs_err *err)
{
	const struct gs_image_section *s;
	const struct gs_image_segment *p;

	if (gs_image_info(img)->n_sections) {
		s = gs_image_section_at(img, i);
		*ret_addr = s->addr;
		if (s->addr == 0 || !(s->flags & GS_IMAGE_WRITE) ||
		    (s->flags & (GS_IMAGE_NOBITS | GS_IMAGE_COMPRESSED)))
			return 1;
		return gs_image_section_bytes(img, s, ret, err);
	}
	p = gs_image_segment_at(img, i);
	*ret_addr = p->addr;
	if (!(p->flags & GS_IMAGE_WRITE) || p->file_size == 0)
		return 1;
	return gs_image_file_bytes(img, p->offset, p->file_size, ret, err);
}

/* The pair in .rela.dyn: r_offset, r_info, r_addend of 8 bytes each, any order. */
static int find_relocated(const struct gs_image *img, uint64_t first, uint64_t second, gs_addr from,
			  gs_addr *ret, struct gs_err *err)
{
	const struct gs_image_section *s;
	uint64_t where, info, addend, word;
	gs_addr best = 0;
	struct gs_cursor c;
	int r;

	if (gs_image_info(img)->format != GS_IMAGE_ELF)
		return 1;
	r = gs_image_find_section(img, ".rela.dyn", &s, err);
	if (r == 0)
		r = gs_image_section_bytes(img, s, &c, err);
	if (r != 0)
		return r;
	while (gs_cursor_left(&c) >= 24) {
		r = gs_cursor_u64(&c, &where, err);
		if (r == 0)
			r = gs_cursor_u64(&c, &info, err);
		if (r == 0)
			r = gs_cursor_u64(&c, &addend, err);
		if (r < 0)
			return r;
		if (addend != first || where <= from || (best && where >= best))
			continue;
		r = gs_image_word(img, where + 8, &word, err);
		if (r < 0)
			return r;
		if (r == 0 && word == second)
			best = where;
	}
	if (best == 0)
		return 1;
	*ret = best;
	return 0;
}

int gs__go_find_words(const struct gs_image *img, uint64_t first, uint64_t second, gs_addr from,
		      gs_addr *ret, struct gs_err *err)
{
	const struct gs_image_info *info = gs_image_info(img);
	uint32_t n = info->n_sections ? info->n_sections : info->n_segments;
	gs_addr best = 0, hit, addr;
	struct gs_cursor c;
	int r;

	for (uint32_t i = 0; i < n; i++) {
		r = writable(img, i, &c, &addr, err);
		if (r == 0)
			r = find_plain(&c, addr, first, second, from, &hit, err);
		if (r < 0)
			return r;
		if (r == 0 && (best == 0 || hit < best))
			best = hit;
	}
	if (best == 0)
		return find_relocated(img, first, second, from, ret, err);
	*ret = best;
	return 0;
}

/* Where the section or the symbol says. @return 0; 1 if there is neither. */
static int find_by_name(const struct gs_image *img, gs_addr *ret, struct gs_err *err)
{
	const struct gs_image_info *info = gs_image_info(img);
	struct gs_image_symbol sym;
	int r;

	for (uint32_t i = 0; i < info->n_sections; i++) {
		const struct gs_image_section *s = gs_image_section_at(img, i);
		const char *comma = strchr(s->name, ',');

		if (strcmp(comma ? comma + 1 : s->name, comma ? "__go_module" : ".go.module") ==
		    0) {
			*ret = s->addr;
			return 0;
		}
	}
	r = gs_image_find_symbol(img,
				 info->format == GS_IMAGE_MACHO ? "_runtime.firstmoduledata"
								: "runtime.firstmoduledata",
				 &sym, err);
	if (r == 0)
		*ret = sym.addr;
	return r;
}

int gs_go_moduledata_find(const struct gs_image *img, unsigned int minor,
			  const struct gs_cursor *pclntab, gs_addr pclntab_addr,
			  struct gs_go_moduledata *ret, struct gs_err *err)
{
	struct gs_go_pclntab_header h;
	gs_addr addr = 0;
	int r;

	r = gs_go_pclntab_header(pclntab, &h, err);
	if (r < 0)
		return r;
	r = find_by_name(img, &addr, err);
	if (r == 0)
		r = candidate(img, minor, addr, &h, pclntab_addr, ret, err);
	if (r <= 0)
		return r;
	addr = 0;
	for (unsigned int i = 0; i < HITS_MAX; i++) {
		r = gs__go_find_words(img, pclntab_addr, pclntab_addr + h.funcname_offset, addr,
				      &addr, err);
		if (r != 0)
			return r;
		r = candidate(img, minor, addr, &h, pclntab_addr, ret, err);
		if (r <= 0)
			return r;
	}
	return 1;
}

/* ---- in memory ---- */

static int read_words(const struct gs_memory *mem, gs_addr addr, struct raw *raw,
		      struct gs_err *err)
{
	struct gs_go_layout l;
	size_t size = 0;
	int r;

	// As much as the largest layout needs; a smaller one may end where the mapping ends.
	for (unsigned int m = GS_GO_MINOR_FIRST; m <= GS_GO_MINOR_LAST; m++) {
		r = gs_go_layout_table(m, GS_ARCH_AMD64, &l, err);
		if (r < 0)
			return r;
		if (l.offset[GS_GO_MD_SIZE] > (int32_t)size)
			size = (size_t)l.offset[GS_GO_MD_SIZE];
	}
	if (size > sizeof(raw->words))
		size = sizeof(raw->words);
	r = gs_memory_read(mem, addr, raw->words, size, err);
	if (r != -GS_E_FAULT)
		return r;
	for (size_t i = 0; i < size / 8; i++) {
		r = gs_memory_u64(mem, addr + i * 8, &raw->words[i], err);
		if (r == -GS_E_FAULT && i > 0)
			break;
		if (r < 0)
			return r;
	}
	return 0;
}

int gs_go_moduledata_read(const struct gs_memory *mem, unsigned int minor, gs_addr addr,
			  struct gs_go_moduledata *ret, struct gs_err *err)
{
	uint8_t header[GS__GO_HEADER_BYTES];
	struct gs_go_pclntab_header h;
	struct gs_go_moduledata md;
	struct gs_cursor c;
	struct raw raw = { 0 };
	const char *why = "no layout fits";
	int r;

	if (addr == 0 || addr % 8 != 0)
		return gs_fail(err, -GS_E_BAD_DATA, addr,
			       "module data at %#" PRIx64 ": that is no address", addr);
	r = read_words(mem, addr, &raw, err);
	if (r < 0)
		return gs_fail_in(err, r, "module data at %#" PRIx64, addr);
	r = gs_memory_read(mem, raw.words[0], header, sizeof(header), err);
	if (r < 0)
		return gs_fail_in(err, r, "function table of the module data at %#" PRIx64, addr);
	c = gs_cursor_make(header, sizeof(header), "function table in memory");
	r = gs_go_pclntab_header(&c, &h, err);
	if (r < 0)
		return gs_fail_in(err, r, "module data at %#" PRIx64, addr);
	if (!fits_any(&raw, minor, &h, &md, &why))
		return gs_fail(err, -GS_E_BAD_DATA, addr, "module data at %#" PRIx64 ": %s", addr,
			       why);
	md.addr = addr;
	md.from_file = false;
	*ret = md;
	return 0;
}
