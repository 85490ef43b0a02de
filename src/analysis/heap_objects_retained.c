/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What would go with all objects of a type, and what a root reaches at all: walks over the whole heap once more, for 63 lines of
 * the result each time.
 *
 * A slot has a bit for each line. That of a type says: the slot can be reached without passing through an object of that
 * type. It is set at all roots, goes along pointers, and ends at objects of the type. That of a root says: the root
 * reaches the slot; it is set at that root only. The lowest bit is set at all roots and ends nowhere. Bits are only ever added, so each
 * slot has a few turns, and in the end they are exact: as if the heap had been marked for each line alone.
 *
 * Structures of the runtime that are pinned (heap_objects_roots.c) are their root's alone here too.
 *
 * Memory: 8 bytes for each slot of a live page.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "analysis/heap_objects_private.h"

enum { LINES = 63, SPAN_CLASSES = 256 };
#define ALWAYS 1ull

/* A name in the list of types, sorted. */
struct named {
	const char *name;
	uint32_t row;
};

struct gs__ho_reach {
	uint64_t *mask;        /* by slot */
	uint32_t *row_of_type; /* by number, from 1; 0: none */
	uint32_t row_of_unknown[SPAN_CLASSES];
	struct named *named;
	uint64_t *bytes; /* by bit: gone without a type; reached by a root */
	/* lines of this pass: bits from 1 on */
	uint32_t first_type, n_types, first_root, n_roots;
	uint64_t type_bits, root_bits;
	bool roots; /* labels are roots', not slots' */
	uint32_t last_label;
	uint64_t last_bits; /* of it */
};

/* --- lines -------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* From 1; 0 if the type is not listed. */
static uint32_t row_named(const struct gs_heap_objects *x, const char *name)
{
	const struct named key = { .name = name };
	const struct named *n =
		bsearch(&key, x->reach->named, x->result.n_types, sizeof(key), by_name);

	return n ? n->row + 1 : 0;
}

static void find_rows(struct gs_heap_objects *x)
{
	struct gs__ho_reach *q = x->reach;
	const struct gs_rt_span *s = x->mark->span;

	for (uint32_t i = 0; i < x->result.n_types; i++)
		q->named[i] = (struct named){ x->result.types[i].name, i };
	qsort(q->named, x->result.n_types, sizeof(*q->named), by_name);
	for (uint32_t i = 1; i <= x->n_kinds; i++)
		q->row_of_type[i] = row_named(x, x->type[i]->name);
	for (uint32_t i = 0; i < x->mark->n_spans; i++) {
		uint32_t *row = &q->row_of_unknown[s[i].spanclass];
		char name[GS__HO_UNKNOWN_NAME];

		if (*row || s[i].state != GS_RT_SPAN_IN_USE)
			continue;
		gs__ho_unknown_name(&s[i], name);
		*row = row_named(x, name);
	}
}

static uint64_t type_bit(const struct gs_heap_objects *x, uint32_t slot, const struct gs_rt_span *s)
{
	const struct gs__ho_reach *q = x->reach;
	uint32_t known = x->known[slot], row;

	row = gs__ho_level_of(known) >= GS__HO_GUESS ? q->row_of_type[gs__ho_type_of(known)]
						     : q->row_of_unknown[s->spanclass];
	row -= q->first_type + 1;
	return row < q->n_types ? 2ull << row : 0;
}

static bool same_root(const struct gs__ho_root *a, const struct gs__ho_root *b)
{
	if (a->kind != b->kind || a->at != b->at)
		return false;
	return a->kind != GS__HO_OTHER || strcmp(a->name, b->name) == 0;
}

/* What a root sets. Roots of this pass have labels of their own, those of goroutines at least. */
static uint64_t root_bits(struct gs_heap_objects *x, uint32_t label)
{
	struct gs__ho_reach *q = x->reach;
	const struct gs__ho_root *root = &x->root[label - 1];

	if (label == q->last_label)
		return q->last_bits;
	q->last_label = label;
	q->last_bits = ALWAYS | q->type_bits;
	for (uint32_t i = 0; i < q->n_roots; i++)
		if (same_root(&x->root[x->listed[q->first_root + i] - 1], root))
			q->last_bits |= 2ull << (q->n_types + i);
	return q->last_bits;
}

/* --- the walk ----------------------------------------------------------------------------------------------------- */

bool gs__ho_reach_arrive(struct gs_heap_objects *x, uint32_t from, uint32_t slot,
			 const struct gs_rt_span *s, bool pin)
{
	struct gs__ho_reach *q = x->reach;
	uint64_t bits = q->roots ? root_bits(x, from) : q->mask[from - 1];

	if (x->label[slot] & GS__HO_PINNED && !pin)
		return false;
	bits &= ~type_bit(x, slot, s) & ~q->mask[slot];
	q->mask[slot] |= bits;
	return bits != 0;
}

static void count_span(struct gs_heap_objects *x, const struct gs_rt_span *s)
{
	struct gs__ho_reach *q = x->reach;

	for (uint32_t i = 0; i < s->n_elems; i++) {
		uint64_t mask = q->mask[s->first_object + i], bits;

		if (!(mask & ALWAYS))
			continue;
		for (bits = (q->type_bits & ~mask) | (q->root_bits & mask); bits; bits &= bits - 1)
			q->bytes[__builtin_ctzll(bits)] += s->elem_size;
	}
}

static void count(struct gs_heap_objects *x)
{
	struct gs__ho_reach *q = x->reach;
	const struct gs_rt_span *s = x->mark->span;

	memset(q->bytes, 0, (LINES + 1) * sizeof(*q->bytes));
	for (uint32_t i = 0; i < x->mark->n_spans; i++)
		if (s[i].state == GS_RT_SPAN_IN_USE && s[i].first_object <= x->n_slots &&
		    s[i].n_elems <= x->n_slots - s[i].first_object)
			count_span(x, &s[i]);
	for (uint32_t i = 0; i < q->n_types; i++)
		x->type_row[q->first_type + i].retained_bytes = q->bytes[1 + i];
	for (uint32_t i = 0; i < q->n_roots; i++)
		x->root_row[q->first_root + i].reached_bytes = q->bytes[1 + q->n_types + i];
}

/* Bits from @from on. */
static uint64_t bits(uint32_t from, uint32_t n)
{
	return n ? (UINT64_MAX >> (64 - n)) << from : 0;
}

/* 63 lines from the @line th on: types first, then roots. */
static void choose(struct gs_heap_objects *x, uint32_t line)
{
	struct gs__ho_reach *q = x->reach;
	uint32_t types = x->result.n_types, left = LINES;

	q->first_type = line < types ? line : types;
	q->n_types = types - q->first_type < left ? types - q->first_type : left;
	left -= q->n_types;
	q->first_root = line + q->n_types - types;
	q->n_roots = x->result.n_roots - q->first_root < left ? x->result.n_roots - q->first_root
							      : left;
	q->type_bits = bits(1, q->n_types);
	q->root_bits = bits(1 + q->n_types, q->n_roots);
	q->last_label = 0;
}

static int pass(struct gs_heap_objects *x, gs__ho_roots_fn *roots, struct gs_err *err)
{
	struct gs__ho_reach *q = x->reach;
	struct gs_incomplete_list told = x->inc; /* of the same roots, once */
	int r;

	x->bytes_done = x->told = 0;
	q->roots = true;
	r = roots(x, err);
	gs__ho_flush(x);
	q->roots = false;
	if (r == 0)
		r = gs__ho_walk(x, err);
	x->inc = told;
	if (r == 0)
		count(x);
	return r;
}

static int all_passes(struct gs_heap_objects *x, gs__ho_roots_fn *roots, struct gs_err *err)
{
	uint32_t n = x->result.n_types + x->result.n_roots;
	size_t size = (x->n_slots + 1ul) * sizeof(uint64_t);
	int r = 0;

	find_rows(x);
	x->passes = 1 + (n + LINES - 1) / LINES;
	for (uint32_t line = 0; r == 0 && line < n; line += LINES) {
		x->pass++;
		choose(x, line);
		r = pass(x, roots, err);
		/* Pages of zeros again. */
		if (r == 0 && madvise(x->reach->mask, size, MADV_DONTNEED) < 0)
			memset(x->reach->mask, 0, size);
	}
	return r;
}

int gs__ho_retained(struct gs_heap_objects *x, gs__ho_roots_fn *roots, struct gs_err *err)
{
	size_t size = (x->n_slots + 1ul) * sizeof(uint64_t);
	struct gs__ho_reach q = { 0 };
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int r;

	q.mask = p == MAP_FAILED ? NULL : p;
	q.row_of_type = gs_array_new(x->n_kinds + 1ul, sizeof(*q.row_of_type));
	q.named = gs_array_new(x->result.n_types + 1ul, sizeof(*q.named));
	q.bytes = gs_array_new(LINES + 1, sizeof(*q.bytes));
	x->reach = &q;
	if (q.mask && q.row_of_type && q.named && q.bytes)
		r = all_passes(x, roots, err);
	else
		r = gs_fail(err, -ENOMEM, 0, "no memory for what %" PRIu32 " objects retain",
			    x->n_slots);
	x->reach = NULL;
	if (q.mask)
		munmap(q.mask, size);
	free(q.row_of_type);
	free(q.named);
	free(q.bytes);
	return r;
}
