/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Symbols by name, for all formats. The first look-ups scan the table and compare names in place,
 * which needs no memory and touches each record once; who asks more often gets an index: open
 * addressing over a seeded hash of the names, 8 bytes per slot, at most half full. Of several
 * symbols of one name the first in table order is found.
 *
 * Names may overlap in the string table, so their total length is not bounded by its size; a
 * hostile file could make hashing quadratic. The work is bounded instead, see name_budget().
 */
#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "image/image_private.h"

/* Measured on a table of 200,000 names (2-vCPU VM): a scan takes 1.4 ms, the index 6 ms and 4 MB. */
#define SCANS_BEFORE_INDEX 4

/* Larger tables are always scanned: the index would take more than 128 MB. */
#define INDEX_MAX (1u << 22)
#define TABLE_BIT 0x80000000u

int gs__image_add_symtab(struct gs_image *img, const struct gs_cursor *records, uint64_t n,
			 uint32_t record_size, const struct gs_cursor *strings, struct gs_err *err)
{
	if (n > GS__MAX_SYMBOLS)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "%s has %" PRIu64 " symbols, more than the %u gosonde reads",
			       img->name, n, GS__MAX_SYMBOLS);
	if (n == 0 || img->n_symtabs == 2)
		return 0;
	img->symtabs[img->n_symtabs++] = (struct gs__symtab){ .records = *records,
							      .strings = *strings,
							      .n = (uint32_t)n,
							      .record_size = record_size };
	return 0;
}

static int load_symtabs(struct gs_image *img, struct gs_err *err)
{
	return img->ops->load_symtabs(img, err);
}

/* Name bytes that indexing may touch: real tables share suffixes at most, so a few times the string
 * table and a fair length per symbol is plenty. */
static uint64_t name_budget(const struct gs__symtab *t)
{
	return 8 * gs_cursor_size(&t->strings) + 256 * (uint64_t)t->n;
}

/* The name of a decoded symbol, @ret_len bytes that need not end in a NUL. @return 0; 1 if it has
 * none or an unusable one. */
static int symbol_name(const struct gs__symtab *t, const struct gs__symbol *s, const char **ret,
		       size_t *ret_len, uint64_t *budget)
{
	const char *name = s->short_name;
	size_t n = s->short_len;

	if (!name)
		name = gs__string_at(&t->strings, s->name_off, GS__MAX_SYMBOL_NAME, &n);
	if (!name || n == 0)
		return 1;
	*budget -= n < *budget ? n : *budget;
	*ret = name;
	*ret_len = n;
	return 0;
}

/* The symbol as callers see it, with a name that lives as long as the image. COFF names of eight
 * bytes have no NUL in the file and are copied. */
static int give(struct gs_image *img, const struct gs__symbol *s, const char *name, size_t n,
		struct gs_image_symbol *ret, struct gs_err *err)
{
	if (s->short_name)
		name = gs_arena_strndup(img->arena, name, n);
	if (!name)
		return gs__out_of_memory(img, err);
	*ret = (struct gs_image_symbol){
		.name = name, .addr = s->addr, .size = s->size, .is_function = s->is_function
	};
	return 0;
}

static int over_budget(const struct gs_image *img, struct gs_err *err)
{
	return gs_fail(err, -GS_E_LIMIT, 0,
		       "%s: the names of its symbols overlap beyond measure. Its symbol table is "
		       "damaged",
		       img->name);
}

/* Decode the record at @at and step over what belongs to it. */
static int next_symbol(const struct gs_image *img, const struct gs__symtab *t, struct gs_cursor *at,
		       struct gs__symbol *ret, struct gs_err *err)
{
	int r;

	*ret = (struct gs__symbol){ .step = 1 };
	r = img->ops->symbol(img, at, ret, err);
	if (r < 0 || ret->step == 1)
		return r;
	return gs_cursor_skip(at, (uint64_t)(ret->step - 1) * t->record_size, err);
}

/* Is the symbol's name the @n bytes of @name? Compares in place, without looking for its end. */
static bool same_name(const struct gs__symtab *t, const struct gs__symbol *s, const char *name,
		      size_t n)
{
	struct gs_cursor c = t->strings;

	if (s->short_name)
		return s->short_len == n && memcmp(s->short_name, name, n) == 0;
	if (gs_cursor_seek(&c, s->name_off, NULL) < 0 || gs_cursor_left(&c) <= n)
		return false;
	return c.pos[0] == (uint8_t)name[0] && memcmp(c.pos, name, n + 1) == 0;
}

static int found(struct gs_image *img, const struct gs__symtab *t, const struct gs__symbol *s,
		 struct gs_image_symbol *ret, struct gs_err *err)
{
	uint64_t budget = UINT64_MAX;
	const char *name;
	size_t n;

	return symbol_name(t, s, &name, &n, &budget) ? 1 : give(img, s, name, n, ret, err);
}

static int scan(struct gs_image *img, const char *name, size_t n, struct gs_image_symbol *ret,
		struct gs_err *err)
{
	for (unsigned int i = 0; i < img->n_symtabs; i++) {
		const struct gs__symtab *t = &img->symtabs[i];
		struct gs_cursor at = t->records;

		while (gs_cursor_left(&at) > 0) {
			struct gs__symbol s;
			int r = next_symbol(img, t, &at, &s, err);

			if (r < 0)
				return r;
			if (!s.skip && same_name(t, &s, name, n))
				return found(img, t, &s, ret, err);
		}
	}
	return 1;
}

static int record_at(const struct gs_image *img, uint32_t record, const struct gs__symtab **ret_t,
		     struct gs__symbol *ret, struct gs_err *err)
{
	const struct gs__symtab *t = &img->symtabs[record & TABLE_BIT ? 1 : 0];
	struct gs_cursor at = t->records;
	int r = gs_cursor_seek(&at, (uint64_t)((record & ~TABLE_BIT) - 1) * t->record_size, err);

	if (r < 0)
		return r;
	*ret_t = t;
	return next_symbol(img, t, &at, ret, err);
}

/* Find the slot of @name. @return 0 if it holds that name (and the symbol), 1 if it is free. */
static int probe(const struct gs_image *img, const char *name, size_t n, uint64_t h,
		 struct gs__symbol_slot **ret, const struct gs__symtab **ret_t,
		 struct gs__symbol *ret_symbol, struct gs_err *err)
{
	for (uint32_t i = (uint32_t)h & img->slot_mask;; i = (i + 1) & img->slot_mask) {
		struct gs__symbol_slot *slot = &img->slots[i];
		int r;

		if (slot->record && slot->tag != (uint32_t)(h >> 32))
			continue;
		*ret = slot;
		if (!slot->record)
			return 1; // half of the slots are free, so the loop ends
		r = record_at(img, slot->record, ret_t, ret_symbol, err);
		if (r < 0 || same_name(*ret_t, ret_symbol, name, n))
			return r;
	}
}

/* Names on their way into the index. Slots are scattered over some MB, so each is asked for a batch
 * before it is needed; that halves the time. */
#define BATCH 32
struct pending {
	uint64_t hash;
	const char *name;
	size_t len;
	uint32_t record;
};

static int insert_batch(struct gs_image *img, const struct pending *p, unsigned int n,
			struct gs_err *err)
{
	for (unsigned int i = 0; i < n; i++, p++) {
		struct gs__symbol_slot *slot;
		const struct gs__symtab *t;
		struct gs__symbol old;
		int r = probe(img, p->name, p->len, p->hash, &slot, &t, &old, err);

		if (r < 0)
			return r;
		if (r == 1) // else an earlier symbol has the name
			*slot = (struct gs__symbol_slot){ .tag = (uint32_t)(p->hash >> 32),
							  .record = p->record };
	}
	return 0;
}

static int index_table(struct gs_image *img, unsigned int which, struct gs_err *err)
{
	const struct gs__symtab *t = &img->symtabs[which];
	uint64_t budget = name_budget(t);
	struct gs_cursor at = t->records;
	struct pending batch[BATCH];
	unsigned int n = 0;
	struct gs__symbol s;
	int r = 0;

	for (uint32_t i = 0; r == 0 && gs_cursor_left(&at) > 0; i += s.step) {
		struct pending *p = &batch[n];

		r = next_symbol(img, t, &at, &s, err);
		if (r < 0)
			return r;
		if (s.skip || symbol_name(t, &s, &p->name, &p->len, &budget) != 0)
			continue;
		if (budget == 0)
			return over_budget(img, err);
		p->hash = gs_hash_bytes(gs_hash_seed(), p->name, p->len);
		p->record = (i + 1) | which << 31;
		__builtin_prefetch(&img->slots[(uint32_t)p->hash & img->slot_mask], 1);
		if (++n == BATCH) {
			r = insert_batch(img, batch, n, err);
			n = 0;
		}
	}
	return r < 0 ? r : insert_batch(img, batch, n, err);
}

static int build_index(struct gs_image *img, struct gs_err *err)
{
	uint64_t n = 0, size = 16;
	int r = 0;

	for (unsigned int i = 0; i < img->n_symtabs; i++)
		n += img->symtabs[i].n;
	while (size < 2 * n + 1)
		size *= 2;
	img->slots = gs_array_new(size, sizeof(*img->slots));
	if (!img->slots)
		return gs__out_of_memory(img, err);
	img->slot_mask = (uint32_t)(size - 1);
	for (unsigned int i = 0; r == 0 && i < img->n_symtabs; i++)
		r = index_table(img, i, err);
	return r;
}

int gs_image_find_symbol(const struct gs_image *image, const char *name,
			 struct gs_image_symbol *ret, struct gs_err *err)
{
	struct gs_image *img = (struct gs_image *)(uintptr_t)image;
	struct gs__symbol_slot *slot;
	const struct gs__symtab *t;
	struct gs__symbol s;
	size_t n = strlen(name);
	uint64_t all = 0;
	int r = gs__image_once(img, &img->symtabs_lazy, load_symtabs, err);

	if (r < 0)
		return r;
	if (n == 0 || n >= GS__MAX_SYMBOL_NAME || img->n_symtabs == 0)
		return 1;
	for (unsigned int i = 0; i < img->n_symtabs; i++)
		all += img->symtabs[i].n;
	if (img->n_scans < SCANS_BEFORE_INDEX || all > INDEX_MAX) {
		img->n_scans++;
		return scan(img, name, n, ret, err);
	}
	r = gs__image_once(img, &img->index_lazy, build_index, err);
	if (r < 0)
		return r;
	r = probe(img, name, n, gs_hash_bytes(gs_hash_seed(), name, n), &slot, &t, &s, err);
	return r ? r : found(img, t, &s, ret, err);
}

int gs_image_each_symbol(const struct gs_image *image,
			 int (*fn)(void *ctx, const struct gs_image_symbol *s), void *ctx,
			 struct gs_err *err)
{
	struct gs_image *img = (struct gs_image *)(uintptr_t)image;
	int r = gs__image_once(img, &img->symtabs_lazy, load_symtabs, err);

	for (unsigned int i = 0; r == 0 && i < img->n_symtabs; i++) {
		const struct gs__symtab *t = &img->symtabs[i];
		uint64_t budget = name_budget(t);
		struct gs_cursor at = t->records;

		while (r == 0 && gs_cursor_left(&at) > 0) {
			struct gs_image_symbol out;
			struct gs__symbol s;
			const char *name;
			size_t n;

			r = next_symbol(img, t, &at, &s, err);
			if (r < 0)
				break;
			if (s.skip || symbol_name(t, &s, &name, &n, &budget) != 0)
				continue;
			if (budget == 0)
				return over_budget(img, err);
			r = give(img, &s, name, n, &out, err);
			if (r == 0)
				r = fn(ctx, &out);
		}
	}
	return r;
}

void gs__symbols_close(struct gs_image *img)
{
	free(img->slots);
	img->slots = NULL;
}
