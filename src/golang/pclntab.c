/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The function table: header, index by pc, records. cmd/link/internal/ld/pcln.go writes it, the
 * runtime (symtab.go) maps it and never checks it; we check every offset.
 *
 *	header      magic u32, 0, 0, minLC u8, ptrSize u8,
 *	            nfunc, nfiles, textStart (0 from 1.26), then 5 offsets from the header's start:
 *	funcnametab NUL-terminated names
 *	cutab       u32 offsets into filetab; a function's file numbers count from its cuOffset
 *	filetab     NUL-terminated file names
 *	pctab       pc tables (pclntab_lines.c)
 *	pclntable   ftab: nfunc pairs {entry offset from text, offset of its _func}, one more entry
 *	            offset for the end of the last function; then the _func records, each followed by
 *	            npcdata u32 offsets into pctab and nfuncdata u32 offsets from go:func.*
 *
 * The tables lie in this order and each one ends where the next begins. Offsets in ftab ascend, but
 * nothing here trusts that: a look-up in an unsorted table finds nothing or fails.
 *
 * Invariant: nfunc * 2 + 1 words of ftab lie inside pcln.
 * Left out: text split in several sections (arm and ppc64 above 32 MB of code), big endian, 32 bit.
 */
#include "golang/pclntab.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "golang/pclntab_private.h"

/* Offsets in struct _func (runtime/runtime2.go); startLine moved what follows it by 4 in 1.20. */
enum {
	FUNC_NAME_OFF = 4,
	FUNC_BYTES_118 = 40,
	FUNC_BYTES_120 = 44,
	INLINE_BYTES_118 = 20,
	INLINE_BYTES_120 = 16,
};

static int header_magic(const struct gs_cursor *bytes, uint32_t magic, uint64_t where,
			struct gs_err *err)
{
	switch (magic) {
	case GS__GO_MAGIC_118:
	case GS__GO_MAGIC_120:
		return 0;
	case GS__GO_MAGIC_12:
	case GS__GO_MAGIC_116:
		return gs_fail(
			err, -GS_E_UNSUPPORTED, where,
			"%s: the function table is of Go %s. gosonde reads Go 1.18 and later",
			bytes->what, magic == GS__GO_MAGIC_12 ? "1.2 to 1.15" : "1.16 or 1.17");
	case __builtin_bswap32(GS__GO_MAGIC_118):
	case __builtin_bswap32(GS__GO_MAGIC_120):
		return gs_fail(
			err, -GS_E_UNSUPPORTED, where,
			"%s: the function table is big endian. gosonde reads amd64 and arm64",
			bytes->what);
	}
	return gs_fail(err, -GS_E_BAD_DATA, where,
		       "%s: %#" PRIx32 " is no magic number of a Go function table", bytes->what,
		       magic);
}

static int header_words(struct gs_cursor *c, struct gs_go_pclntab_header *h, struct gs_err *err)
{
	uint64_t *const words[] = { &h->nfunc,           &h->nfiles,     &h->text_start,
				    &h->funcname_offset, &h->cu_offset,  &h->filetab_offset,
				    &h->pctab_offset,    &h->pcln_offset };
	int r;

	for (size_t i = 0; i < GS_ARRAY_SIZE(words); i++) {
		r = gs_cursor_u64(c, words[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int gs_go_pclntab_header(const struct gs_cursor *bytes, struct gs_go_pclntab_header *ret,
			 struct gs_err *err)
{
	struct gs_go_pclntab_header h;
	struct gs_cursor c = *bytes;
	uint16_t pad;
	int r;

	r = gs_cursor_need(&c, GS__GO_HEADER_BYTES, err);
	if (r < 0)
		return r;
	r = gs_cursor_u32(&c, &h.magic, err);
	if (r < 0)
		return r;
	r = header_magic(bytes, h.magic, gs_cursor_offset(bytes), err);
	if (r < 0)
		return r;
	r = gs_cursor_u16(&c, &pad, err);
	if (r == 0)
		r = gs_cursor_u8(&c, &h.min_lc, err);
	if (r == 0)
		r = gs_cursor_u8(&c, &h.ptr_size, err);
	if (r == 0)
		r = header_words(&c, &h, err);
	if (r < 0)
		return r;
	if (h.ptr_size == 4 && pad == 0)
		return gs_fail(err, -GS_E_UNSUPPORTED, gs_cursor_offset(bytes),
			       "%s: the function table is of a 32-bit program. gosonde reads amd64 "
			       "and arm64",
			       bytes->what);
	if (pad != 0 || h.ptr_size != 8 || (h.min_lc != 1 && h.min_lc != 4))
		return gs_fail(
			err, -GS_E_BAD_DATA, gs_cursor_offset(bytes),
			"%s: the function table's header has instruction size %u and pointer "
			"size %u",
			bytes->what, h.min_lc, h.ptr_size);
	*ret = h;
	return 0;
}

/* The five tables as windows: each ends where the next begins. */
static int open_windows(struct gs_go_pclntab *t, const struct gs_cursor *bytes,
			const struct gs_go_pclntab_header *h, struct gs_err *err)
{
	uint64_t size = gs_cursor_left(bytes);
	const uint64_t start[] = { h->funcname_offset, h->cu_offset,   h->filetab_offset,
				   h->pctab_offset,    h->pcln_offset, size };
	struct gs_cursor *const ret[] = { &t->names, &t->cutab, &t->files, &t->pctab, &t->pcln };
	struct gs_cursor all = *bytes, part;
	int r;

	r = gs_cursor_sub(&all, size, &part, err); // so that offsets count from the header
	if (r < 0)
		return r;
	if (start[0] < GS__GO_HEADER_BYTES)
		return gs_fail(err, -GS_E_BAD_DATA, 0,
			       "%s: the function names start inside of the header, at %#" PRIx64,
			       bytes->what, start[0]);
	for (size_t i = 0; i < GS_ARRAY_SIZE(ret); i++) {
		if (start[i] > start[i + 1])
			return gs_fail(err, -GS_E_BAD_DATA, 0,
				       "%s: table %zu of the function table starts at %#" PRIx64
				       ", behind its end %#" PRIx64,
				       bytes->what, i, start[i], start[i + 1]);
		r = gs_cursor_window(&part, start[i], start[i + 1] - start[i], ret[i], err);
		if (r < 0)
			return r;
	}
	if (h->nfunc == 0 || h->nfunc >= UINT32_MAX / 8 ||
	    h->nfunc * 8 + 4 > gs_cursor_size(&t->pcln))
		return gs_fail(err, -GS_E_BAD_DATA, 0,
			       "%s: %" PRIu64 " functions do not fit the %" PRIu64
			       " bytes of the function table",
			       bytes->what, h->nfunc, gs_cursor_size(&t->pcln));
	return 0;
}

int gs_go_pclntab_open(const struct gs_cursor *bytes, unsigned int minor, gs_addr text,
		       const struct gs_cursor *gofunc_bytes, struct gs_go_pclntab **ret,
		       struct gs_err *err)
{
	GS_CLEANUP(gs_go_pclntab_freep) struct gs_go_pclntab *t = gs_array_new(1, sizeof(*t));
	struct gs_go_pclntab_header h;
	struct gs_cursor gofunc;
	int r;

	if (!t)
		return gs_fail(err, -ENOMEM, 0, "%s: out of memory", bytes->what);
	r = gs_go_pclntab_header(bytes, &h, err);
	if (r < 0)
		return r;
	r = open_windows(t, bytes, &h, err);
	if (r < 0)
		return r;
	if (gofunc_bytes) {
		gofunc = *gofunc_bytes;
		r = gs_cursor_sub(&gofunc, gs_cursor_left(&gofunc), &t->gofunc, err);
		if (r < 0)
			return r;
	}
	t->text = text;
	t->nfunc = (uint32_t)h.nfunc;
	t->quantum = h.min_lc;
	t->minor = minor;
	// The magic tells the format, whatever release the caller believes in.
	t->record_bytes = h.magic == GS__GO_MAGIC_118 ? FUNC_BYTES_118 : FUNC_BYTES_120;
	t->inline_bytes = h.magic == GS__GO_MAGIC_118 ? INLINE_BYTES_118 : INLINE_BYTES_120;
	*ret = GS_TAKE(t);
	return 0;
}

struct gs_go_pclntab *gs_go_pclntab_free(struct gs_go_pclntab *t)
{
	if (t) {
		gs__go_name_index_free(atomic_load(&t->index));
		free(t);
	}
	return NULL;
}

uint32_t gs_go_pclntab_count(const struct gs_go_pclntab *t)
{
	return t->nfunc;
}

void gs_go_pclntab_range(const struct gs_go_pclntab *t, gs_addr *ret_lo, gs_addr *ret_hi)
{
	uint32_t lo = 0, hi = 0;

	// Cannot fail: checked when opening.
	if (gs__go_entry(t, 0, &lo, NULL) < 0 || gs__go_entry(t, t->nfunc, &hi, NULL) < 0)
		lo = hi = 0;
	*ret_lo = t->text + lo;
	*ret_hi = t->text + hi;
}

int gs__go_string(const struct gs_cursor *table, uint64_t off, const char **ret, size_t *ret_len,
		  struct gs_err *err)
{
	struct gs_cursor c = *table, part;
	uint64_t left;
	int r;

	r = gs_cursor_seek(&c, off, err);
	if (r < 0)
		return r;
	left = gs_cursor_left(&c);
	r = gs_cursor_sub(&c, left < GS__GO_STRING_MAX ? left : GS__GO_STRING_MAX, &part, err);
	if (r < 0)
		return r;
	return gs_cursor_string(&part, ret, ret_len, err);
}

int gs__go_name_offset(const struct gs_go_pclntab *t, uint32_t i, uint32_t *ret, struct gs_err *err)
{
	uint32_t record;
	int r;

	r = gs__go_u32_at(&t->pcln, (uint64_t)i * 8 + 4, &record, err);
	if (r < 0)
		return r;
	return gs__go_u32_at(&t->pcln, (uint64_t)record + FUNC_NAME_OFF, ret, err);
}

/* The fixed part of a _func; *ret_entry and *ret_name are its own offsets. */
static int read_record(const struct gs_go_pclntab *t, struct gs_go_func *f, uint32_t *ret_entry,
		       uint32_t *ret_name, struct gs_err *err)
{
	uint32_t *const words[] = { ret_entry,       ret_name,    (uint32_t *)&f->args_bytes,
				    &f->deferreturn, &f->pcsp,    &f->pcfile,
				    &f->pcln,        &f->npcdata, &f->cu_offset };
	struct gs_cursor c = t->pcln;
	uint8_t pad;
	int r;

	r = gs_cursor_seek(&c, f->offset, err);
	if (r == 0)
		r = gs_cursor_need(&c, t->record_bytes, err);
	for (size_t i = 0; i < GS_ARRAY_SIZE(words) && r == 0; i++)
		r = gs_cursor_u32(&c, words[i], err);
	if (r == 0 && t->record_bytes == FUNC_BYTES_120)
		r = gs_cursor_u32(&c, &f->start_line, err);
	if (r == 0)
		r = gs_cursor_u8(&c, &f->raw_func_id, err);
	if (r == 0)
		r = gs_cursor_u8(&c, &f->flag, err);
	if (r == 0)
		r = gs_cursor_u8(&c, &pad, err);
	if (r == 0)
		r = gs_cursor_u8(&c, &f->nfuncdata, err);
	return r;
}

int gs_go_func_at(const struct gs_go_pclntab *t, uint32_t i, struct gs_go_func *ret,
		  struct gs_err *err)
{
	struct gs_go_func f = { .index = i };
	uint32_t entry, own_entry = 0, name = 0, end;
	size_t len;
	int r;

	if (i >= t->nfunc)
		return gs_fail(err, -EINVAL, 0, "function %" PRIu32 " of %" PRIu32, i, t->nfunc);
	r = gs__go_entry(t, i, &entry, err);
	if (r == 0)
		r = gs__go_u32_at(&t->pcln, (uint64_t)i * 8 + 4, &f.offset, err);
	if (r == 0)
		r = gs__go_entry(t, i + 1, &end, err);
	if (r == 0)
		r = read_record(t, &f, &own_entry, &name, err);
	if (r < 0)
		return r;
	if (own_entry != entry || end < entry)
		return gs_fail(err, -GS_E_BAD_DATA, f.offset,
			       "%s: function %" PRIu32 " of the function table starts at %#" PRIx32
			       ", its record says %#" PRIx32 ", the next starts at %#" PRIx32,
			       t->pcln.what, i, entry, own_entry, end);
	r = gs__go_string(&t->names, name, &f.name, &len, err);
	if (r < 0)
		return r;
	f.entry = t->text + entry;
	f.end = t->text + end;
	f.id = gs__go_funcid(t->minor, f.raw_func_id, f.name);
	*ret = f;
	return 0;
}

int gs_go_func_find(const struct gs_go_pclntab *t, gs_addr pc, struct gs_go_func *ret,
		    struct gs_err *err)
{
	uint64_t off = pc - t->text;
	uint32_t lo = 0, hi = t->nfunc, entry;
	int r;

	// Sought: the last function with entry <= off. Invariant: entry[lo] <= off < entry[hi].
	r = gs__go_entry(t, lo, &entry, err);
	if (r < 0)
		return r;
	if (off < entry)
		return 1;
	r = gs__go_entry(t, hi, &entry, err);
	if (r < 0)
		return r;
	if (off >= entry)
		return 1;
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		r = gs__go_entry(t, mid, &entry, err);
		if (r < 0)
			return r;
		if (entry <= off)
			lo = mid;
		else
			hi = mid;
	}
	return gs_go_func_at(t, lo, ret, err);
}
