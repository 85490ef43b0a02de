/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Where a Go image keeps its function table:
 *
 *	ELF     .gopclntab; .data.rel.ro.gopclntab in an internally linked PIE up to Go 1.25; merged into
 *	        .data.rel.ro, without a section of its own, in an externally linked PIE up to 1.25
 *	Mach-O  __gopclntab in __TEXT, or in __DATA_CONST when position independent
 *	PE      within .rdata, found by symbols; a stripped file has none
 *
 * Without section or symbol, the header's first 8 bytes are searched for at 8-byte aligned addresses,
 * and a hit has to prove itself: tables in order, code where textStart says, functions ascending,
 * records that refer back, printable names. A program may carry another Go program in its data
 * (go:embed), whose table proves itself as well: then the one that the program's own moduledata
 * points to is right.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "golang/pclntab_private.h"

/* How many functions at the start of the table are looked at before it is believed. */
#define PROVED_FUNCTIONS 16
#define CANDIDATES_MAX 16
/* Headers looked at in one image: a file full of them must not take for ever. */
#define HEADERS_MAX 4096
/* As much of a name as is looked at. */
#define PRINTABLE_MAX 256

struct candidates {
	struct gs_cursor bytes[CANDIDATES_MAX];
	gs_addr addr[CANDIDATES_MAX];
	size_t n, headers; /* headers: seen, proved or not */
};

static bool is_table_section(const char *name)
{
	const char *comma = strchr(name, ',');

	return strcmp(name, ".gopclntab") == 0 || strcmp(name, ".data.rel.ro.gopclntab") == 0 ||
	       (comma && strcmp(comma + 1, "__gopclntab") == 0);
}

/* Is @addr (with @end: or one behind) in executable code of the image? */
static bool is_code(const struct gs_image *img, gs_addr addr, bool end)
{
	const struct gs_image_info *info = gs_image_info(img);
	const struct gs_image_section *s;
	const struct gs_image_segment *p;
	bool known = false;

	for (uint32_t i = 0; i < info->n_sections; i++) {
		s = gs_image_section_at(img, i);
		if (!(s->flags & GS_IMAGE_EXEC) || s->addr == 0)
			continue;
		known = true;
		if (addr >= s->addr && addr - s->addr < s->size + end)
			return true;
	}
	for (uint32_t i = 0; i < info->n_segments && !known; i++) {
		p = gs_image_segment_at(img, i);
		if ((p->flags & GS_IMAGE_EXEC) && addr >= p->addr && addr - p->addr < p->size + end)
			return true;
	}
	return false;
}

static bool printable(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return false;
	return n > 0;
}

/* Does the code that the table describes exist? True as well if it does not say where it is. */
static bool proved_text(const struct gs_image *img, gs_addr addr, const struct gs_go_pclntab *t,
			const struct gs_go_pclntab_header *h)
{
	uint64_t text = h->text_start;
	uint32_t first, last;
	struct gs_err err;

	// Externally linked PIE: the word is a relocation. Where there is neither, 1.26 or later.
	if (text == 0 && gs_image_word(img, addr + 24, &text, &err) != 0)
		return false;
	if (text == 0)
		return true;
	if (gs__go_entry(t, 0, &first, &err) < 0 || gs__go_entry(t, t->nfunc, &last, &err) < 0)
		return false;
	return is_code(img, text + first, false) && is_code(img, text + last, true);
}

/* A header at @addr with everything that has to follow from it. */
static bool proved(const struct gs_image *img, const struct gs_cursor *bytes, gs_addr addr)
{
	GS_CLEANUP(gs_go_pclntab_freep) struct gs_go_pclntab *t = NULL;
	struct gs_go_pclntab_header h;
	struct gs_go_func f;
	struct gs_err err;

	if (gs_go_pclntab_header(bytes, &h, &err) < 0 ||
	    gs_go_pclntab_open(bytes, 0, 0, NULL, &t, &err) < 0 || !proved_text(img, addr, t, &h))
		return false;
	for (uint32_t i = 0; i < PROVED_FUNCTIONS && i < t->nfunc; i++)
		if (gs_go_func_at(t, i, &f, &err) < 0 ||
		    !printable(f.name, strnlen(f.name, PRINTABLE_MAX)))
			return false;
	return true;
}

/* Search @bytes, which lie at @addr, for headers that prove themselves. */
static int scan(const struct gs_image *img, const struct gs_cursor *bytes, gs_addr addr,
		struct candidates *ret, struct gs_err *err)
{
	/* minLC 1 (amd64) or 4 (arm64), whatever the file says of its CPU: it may be wrong. */
	const uint64_t tails[] = { 1ull << 48 | 8ull << 56, 4ull << 48 | 8ull << 56 };
	struct gs_cursor c = *bytes;
	gs_addr start = addr - gs_cursor_offset(&c);
	uint64_t word;
	int r;

	r = gs_cursor_skip(&c, -addr & 7, err);
	if (r < 0)
		return 0; // smaller than a word
	while (gs_cursor_left(&c) >= GS__GO_HEADER_BYTES && ret->n < CANDIDATES_MAX &&
	       ret->headers < HEADERS_MAX) {
		struct gs_cursor hit = c;

		addr = start + gs_cursor_offset(&c);
		r = gs_cursor_u64(&c, &word, err);
		if (r < 0)
			return r;
		if (word != (tails[0] | GS__GO_MAGIC_120) &&
		    word != (tails[1] | GS__GO_MAGIC_120) &&
		    word != (tails[0] | GS__GO_MAGIC_118) && word != (tails[1] | GS__GO_MAGIC_118))
			continue;
		ret->headers++;
		if (!proved(img, &hit, addr))
			continue;
		r = gs_cursor_sub(&hit, gs_cursor_left(&hit), &ret->bytes[ret->n], err);
		if (r < 0)
			return r;
		ret->addr[ret->n++] = addr;
	}
	return 0;
}

static int scan_sections(const struct gs_image *img, struct candidates *ret, struct gs_err *err)
{
	struct gs_cursor c;
	int r;

	for (uint32_t i = 0; i < gs_image_info(img)->n_sections; i++) {
		const struct gs_image_section *s = gs_image_section_at(img, i);

		if (s->addr == 0 || !(s->flags & GS_IMAGE_READ) ||
		    (s->flags & (GS_IMAGE_EXEC | GS_IMAGE_NOBITS | GS_IMAGE_COMPRESSED)))
			continue;
		r = gs_image_section_bytes(img, s, &c, err);
		if (r == 0)
			r = scan(img, &c, s->addr, ret, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Files without section headers; code segments too, as some linkers put read-only data there. */
static int scan_segments(const struct gs_image *img, struct candidates *ret, struct gs_err *err)
{
	struct gs_cursor c;
	int r;

	for (uint32_t i = 0; i < gs_image_info(img)->n_segments; i++) {
		const struct gs_image_segment *p = gs_image_segment_at(img, i);

		if (!(p->flags & GS_IMAGE_READ) || p->file_size == 0)
			continue;
		r = gs_image_file_bytes(img, p->offset, p->file_size, &c, err);
		if (r == 0)
			r = scan(img, &c, p->addr, ret, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Which of several tables is the image's own? */
static int choose(const struct gs_image *img, const struct candidates *c, size_t *ret,
		  struct gs_err *err)
{
	struct gs_go_pclntab_header h;
	gs_addr where;
	int r;

	for (size_t i = 0; i < c->n; i++) {
		r = gs_go_pclntab_header(&c->bytes[i], &h, err);
		if (r == 0)
			r = gs__go_find_words(img, c->addr[i], c->addr[i] + h.funcname_offset, 0,
					      &where, err);
		if (r < 0)
			return r;
		if (r == 0) {
			*ret = i;
			return 0;
		}
	}
	*ret = 0;
	return 0;
}

/* The section made for it. @return 0; 1 if there is none. */
static int find_by_section(const struct gs_image *img, struct gs_cursor *ret, gs_addr *ret_addr,
			   struct gs_err *err)
{
	struct gs_go_pclntab_header h;
	struct gs_cursor c;
	int r;

	for (uint32_t i = 0; i < gs_image_info(img)->n_sections; i++) {
		const struct gs_image_section *s = gs_image_section_at(img, i);

		if (!is_table_section(s->name))
			continue;
		r = gs_image_section_bytes(img, s, &c, err);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		r = gs_go_pclntab_header(&c, &h, err);
		if (r < 0)
			return r;
		*ret = c;
		*ret_addr = s->addr;
		return 0;
	}
	return 1;
}

static int find_symbol(const struct gs_image *img, const char *name, struct gs_image_symbol *ret,
		       struct gs_err *err)
{
	// Mach-O puts an underscore in front of every name.
	return gs_image_find_symbol(
		img, gs_image_info(img)->format == GS_IMAGE_MACHO ? name : name + 1, ret, err);
}

/* runtime.pclntab to runtime.epclntab. @return 0; 1 if there are no such symbols. */
static int find_by_symbol(const struct gs_image *img, struct gs_cursor *ret, gs_addr *ret_addr,
			  struct gs_err *err)
{
	struct gs_image_symbol start, end;
	struct gs_cursor c;
	uint64_t size;
	int r;

	r = find_symbol(img, "_runtime.pclntab", &start, err);
	if (r == 0)
		r = gs_image_at(img, start.addr, &c, err);
	if (r != 0)
		return r;
	if (!proved(img, &c, start.addr))
		return 1; // the symbol lies; the scan may know better
	size = gs_cursor_left(&c);
	r = find_symbol(img, "_runtime.epclntab", &end, err);
	if (r < 0)
		return r;
	if (r == 0 && end.addr > start.addr && end.addr - start.addr < size)
		size = end.addr - start.addr;
	r = gs_cursor_sub(&c, size, ret, err);
	if (r < 0)
		return r;
	*ret_addr = start.addr;
	return 0;
}

int gs_go_pclntab_find(const struct gs_image *img, struct gs_cursor *ret, gs_addr *ret_addr,
		       struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct candidates *c = NULL;
	struct gs_err damage = { 0 };
	size_t chosen = 0;
	int r, damaged;

	damaged = r = find_by_section(img, ret, ret_addr, &damage);
	if (r > 0)
		r = find_by_symbol(img, ret, ret_addr, err);
	if (r == 0)
		return 0;
	if (r < 0 && damaged > 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return gs_fail(err, -ENOMEM, 0, "%s: out of memory", gs_image_name(img));
	r = scan_sections(img, c, err);
	if (r == 0 && c->n == 0)
		r = scan_segments(img, c, err);
	if (r == 0 && c->n > 1)
		r = choose(img, c, &chosen, err);
	if (r < 0)
		return r;
	if (c->n == 0 && damaged < 0)
		return gs_fail(err, damaged, damage.where, "%s", damage.text);
	if (c->n == 0)
		return 1;
	*ret = c->bytes[chosen];
	*ret_addr = c->addr[chosen];
	return 0;
}
