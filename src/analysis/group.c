/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Goroutines with the same stack, state, wait reason and creator, counted; see group.h. Groups lie in
 * one array in order of appearance, by their number in a table of stacks. Per group
 * a sorted array counts each distinct wait; a group with more than GS_GROUP_WAITS of them changes to a
 * histogram with eight buckets per power of two, so its median is at most 7 % off. Minimum and maximum
 * are exact always.
 */
#include "analysis/group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/search.h"
#include "model/stack_table.h"

#define MAX_GROUPS (4u << 20)
#define SUB_BITS 3
#define BUCKETS ((64 - SUB_BITS + 1) << SUB_BITS)

/* How often a wait was seen. */
struct wait {
	int64_t ns;
	uint64_t count;
};

/* The waits of one group. */
struct waits {
	struct wait *list;   /* sorted by ns; NULL with a histogram */
	uint64_t *histogram; /* BUCKETS counts; NULL while the list is in use */
	uint32_t n, cap;
	uint32_t last; /* where the previous one was: most are equal to it */
};

struct gs_groups {
	struct gs_group *groups;
	struct waits *waits; /* by the same number; gone when sorted */
	uint32_t n, cap;
	struct gs_stack_table table;
	bool sorted;
};

struct gs_groups *gs_groups_new(void)
{
	struct gs_groups *gs = calloc(1, sizeof(*gs));

	if (gs)
		gs->table.limit = MAX_GROUPS;
	return gs;
}

static void free_waits(struct gs_groups *gs)
{
	for (uint32_t i = 0; gs->waits && i < gs->n; i++) {
		free(gs->waits[i].list);
		free(gs->waits[i].histogram);
	}
	free(gs->waits);
	gs->waits = NULL;
}

struct gs_groups *gs_groups_free(struct gs_groups *gs)
{
	if (!gs)
		return NULL;
	free_waits(gs);
	free(gs->groups);
	gs_stack_table_deinit(&gs->table);
	free(gs);
	return NULL;
}

static int out_of_memory(struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "cannot group goroutines: out of memory");
}

static int grow_groups(struct gs_groups *gs, struct gs_err *err)
{
	uint32_t cap = gs->cap ? gs->cap * 2 : 256;
	struct gs_group *groups;
	struct waits *waits;

	if (gs->n < gs->cap)
		return 0;
	groups = gs_array_resize(gs->groups, cap, sizeof(*groups));
	if (!groups)
		return out_of_memory(err);
	gs->groups = groups;
	waits = gs_array_resize(gs->waits, cap, sizeof(*waits));
	if (!waits)
		return out_of_memory(err);
	gs->waits = waits;
	gs->cap = cap;
	return 0;
}

/* Bucket of a wait: the value itself below 8, then its highest bit and the three after it. */
static uint32_t bucket_of(int64_t ns)
{
	uint64_t v = (uint64_t)ns;
	uint32_t exponent;

	if (v < 1u << SUB_BITS)
		return (uint32_t)v;
	exponent = 63u - (uint32_t)__builtin_clzll(v);
	return ((exponent - SUB_BITS + 1) << SUB_BITS) +
	       (uint32_t)(v >> (exponent - SUB_BITS) & ((1u << SUB_BITS) - 1));
}

/* The middle of a bucket. */
static int64_t bucket_middle(uint32_t bucket)
{
	uint32_t exponent, sub = bucket & ((1u << SUB_BITS) - 1);
	uint64_t low, width;

	if (bucket < 1u << SUB_BITS)
		return bucket;
	exponent = (bucket >> SUB_BITS) + SUB_BITS - 1;
	width = UINT64_C(1) << (exponent - SUB_BITS);
	low = (UINT64_C(1) << exponent) + sub * width;
	return (int64_t)(low + width / 2);
}

static int to_histogram(struct waits *w, struct gs_err *err)
{
	w->histogram = gs_array_new(BUCKETS, sizeof(*w->histogram));
	if (!w->histogram)
		return out_of_memory(err);
	for (uint32_t i = 0; i < w->n; i++)
		w->histogram[bucket_of(w->list[i].ns)] += w->list[i].count;
	free(w->list);
	w->list = NULL;
	w->n = w->cap = w->last = 0;
	return 0;
}

/* Where @ns is in the sorted list, or would go. */
static uint32_t wait_place(const struct waits *w, int64_t ns)
{
	return GS_SEARCH(i, w->n, w->list[i].ns >= ns);
}

static int add_wait(struct waits *w, int64_t ns, struct gs_err *err)
{
	uint32_t at = w->last;

	if (w->histogram) {
		w->histogram[bucket_of(ns)]++;
		return 0;
	}
	if (at >= w->n || w->list[at].ns != ns)
		at = wait_place(w, ns);
	w->last = at;
	if (at < w->n && w->list[at].ns == ns) {
		w->list[at].count++;
		return 0;
	}
	if (w->n == GS_GROUP_WAITS) {
		int r = to_histogram(w, err);

		return r < 0 ? r : add_wait(w, ns, err);
	}
	if (w->n == w->cap) {
		uint32_t cap = w->cap ? w->cap * 2 : 2;
		struct wait *list = gs_array_resize(w->list, cap, sizeof(*list));

		if (!list)
			return out_of_memory(err);
		w->list = list;
		w->cap = cap;
	}
	memmove(&w->list[at + 1], &w->list[at], (w->n - at) * sizeof(*w->list));
	w->list[at] = (struct wait){ .ns = ns, .count = 1 };
	w->n++;
	return 0;
}

/* Keep the lowest ids, in order. */
static void add_id(struct gs_group *p, uint64_t id)
{
	uint32_t at = p->n_first_ids;

	if (at == GS_GROUP_IDS && id >= p->first_ids[at - 1])
		return;
	if (at == GS_GROUP_IDS)
		at--;
	else
		p->n_first_ids++;
	for (; at > 0 && p->first_ids[at - 1] > id; at--)
		p->first_ids[at] = p->first_ids[at - 1];
	p->first_ids[at] = id;
}

static int find_or_make(struct gs_groups *gs, const struct gs_goroutine *g, uint32_t *ret,
			struct gs_err *err)
{
	const struct gs_stack_key key = { .stack = g->stack->id,
					  .kind = g->state,
					  .frame = g->created_by,
					  .text = g->wait_reason };
	/* Room first: a key without its group could not be taken back. */
	int r = grow_groups(gs, err);

	if (r < 0)
		return r;
	r = gs_stack_table_number(&gs->table, &key, ret, err);
	if (r <= 0)
		return r;
	gs->groups[gs->n] = (struct gs_group){ .state = g->state,
					       .wait_reason = g->wait_reason,
					       .stack = g->stack,
					       .created_by = g->created_by,
					       .wait_min_ns = -1,
					       .wait_median_ns = -1,
					       .wait_max_ns = -1 };
	gs->waits[gs->n++] = (struct waits){ 0 };
	return 0;
}

int gs_groups_add(struct gs_groups *gs, const struct gs_goroutine *g, struct gs_err *err)
{
	struct gs_group *p;
	uint32_t i;
	int r;

	if (gs->sorted)
		return gs_fail(err, -EINVAL, 0, "cannot group goroutines: groups are sorted");
	r = find_or_make(gs, g, &i, err);
	if (r < 0)
		return r;
	p = &gs->groups[i];
	if (g->wait_ns >= 0) {
		r = add_wait(&gs->waits[i], g->wait_ns, err);
		if (r < 0)
			return r;
		if (p->known_waits == 0 || g->wait_ns < p->wait_min_ns)
			p->wait_min_ns = g->wait_ns;
		if (g->wait_ns > p->wait_max_ns)
			p->wait_max_ns = g->wait_ns;
		p->known_waits++;
	}
	p->count++;
	p->locked += g->locked;
	add_id(p, g->id);
	return 0;
}

/* The lower median: a wait that a member really has, unless estimated. */
static void median(struct gs_group *p, const struct waits *w)
{
	uint64_t rank = (p->known_waits - 1) / 2, seen = 0;

	for (uint32_t i = 0; i < w->n; i++) {
		seen += w->list[i].count;
		if (seen > rank) {
			p->wait_median_ns = w->list[i].ns;
			return;
		}
	}
	for (uint32_t i = 0; w->histogram && i < BUCKETS; i++) {
		seen += w->histogram[i];
		if (seen <= rank)
			continue;
		p->wait_median_ns = bucket_middle(i);
		if (p->wait_median_ns < p->wait_min_ns)
			p->wait_median_ns = p->wait_min_ns;
		if (p->wait_median_ns > p->wait_max_ns)
			p->wait_median_ns = p->wait_max_ns;
		p->median_estimated = true;
		return;
	}
}

static int larger_first(const void *a, const void *b)
{
	const struct gs_group *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return (x->first_ids[0] > y->first_ids[0]) - (x->first_ids[0] < y->first_ids[0]);
}

const struct gs_group *gs_groups_sorted(struct gs_groups *gs, uint32_t *ret_n)
{
	if (!gs->sorted) {
		for (uint32_t i = 0; i < gs->n; i++)
			if (gs->groups[i].known_waits)
				median(&gs->groups[i], &gs->waits[i]);
		free_waits(gs);
		if (gs->n)
			qsort(gs->groups, gs->n, sizeof(*gs->groups), larger_first);
		gs->sorted = true;
	}
	*ret_n = gs->n;
	return gs->groups;
}
