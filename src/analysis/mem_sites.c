/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Allocation sites of the runtime's memory profile: samples are scaled up by the chance that an allocation of their size
 * is taken, 1 - exp(-size/rate), as runtime/pprof does (protomem.go, scaleHeapSample). The profile is of the last finished
 * collection. Sites are put together by stack.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "analysis/mem_private.h"

#define SITES_MAX (1u << 20)

/* The rate is known only at the end: objects and bytes as sampled, scaled afterwards by their size. */
struct sample {
	const struct gs_stack *stack;
	uint64_t objects, bytes;
};

struct samples {
	struct sample *v;
	uint32_t n, cap;
	uint64_t dropped;
};

static int take(void *ctx, const struct gs_rt_mem_record *r)
{
	struct samples *s = (struct samples *)ctx;

	if (r->allocs <= r->frees || r->alloc_bytes <= r->free_bytes)
		return 0;
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : 256;
		struct sample *v =
			cap > SITES_MAX ? NULL
					: (struct sample *)gs_array_resize(s->v, cap, sizeof(*v));

		if (!v) {
			s->dropped++;
			return 0;
		}
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] =
		(struct sample){ r->stack, r->allocs - r->frees, r->alloc_bytes - r->free_bytes };
	return 0;
}

static int by_stack(const void *a, const void *b)
{
	const struct sample *x = (const struct sample *)a, *y = (const struct sample *)b;

	return (x->stack->id > y->stack->id) - (x->stack->id < y->stack->id);
}

static double scale(const struct sample *s, uint64_t rate)
{
	double size = (double)s->bytes / (double)s->objects;

	return rate <= 1 ? 1 : 1 / (1 - exp(-size / (double)rate));
}

static int largest_first(const void *a, const void *b)
{
	const struct gs_mem_grower *x = (const struct gs_mem_grower *)a;
	const struct gs_mem_grower *y = (const struct gs_mem_grower *)b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->stack && y->stack ? (x->stack->id > y->stack->id) - (x->stack->id < y->stack->id)
				    : 0;
}

static struct gs_mem_grower as_grower(const struct gs_stack *stack, double objects, double bytes)
{
	return (struct gs_mem_grower){
		.class = GS_MEM_HEAP_LIVE,
		.what = "Go allocations",
		.bytes = (int64_t)bytes,
		.count = objects > 0 ? (uint64_t)(objects + 0.5) : 0,
		.stack = stack,
		.how = GS_MEM_ESTIMATED,
	};
}

/* Sites by stack, sorted by its number. */
static int put_together(struct gs_memory_look *l, struct samples *s, struct gs_err *err)
{
	if (s->n == 0)
		return 0;
	l->site = (struct gs__site *)gs_array_new(s->n, sizeof(*l->site));
	if (!l->site)
		return gs_fail(err, -ENOMEM, 0, "no memory for %u allocation sites", s->n);
	qsort(s->v, s->n, sizeof(*s->v), by_stack);
	for (uint32_t i = 0; i < s->n; i++) {
		double k = scale(&s->v[i], l->profile_rate);
		struct gs__site *t = l->n_sites ? &l->site[l->n_sites - 1] : NULL;

		if (!t || t->stack != s->v[i].stack) {
			t = &l->site[l->n_sites++];
			t->stack = s->v[i].stack;
		}
		t->objects += k * (double)s->v[i].objects;
		t->bytes += k * (double)s->v[i].bytes;
	}
	return 0;
}

int gs__sites_read(struct gs_memory_look *l, struct gs_err *err)
{
	struct samples s = { 0 };
	struct gs_mem_grower *v;
	int r = gs_rt_mem_profile(l->rt, take, &s, &l->profile_rate, &l->inc, err);

	if (r == 0)
		r = put_together(l, &s, err);
	free(s.v);
	gs_incomplete_add(&l->inc, "allocation_sites_dropped", s.dropped, "more than %u of them",
			  SITES_MAX);
	if (r < 0)
		return r;
	if (!l->options.sites || l->n_sites == 0)
		return 0;
	v = (struct gs_mem_grower *)gs_arena_array(l->arena, l->n_sites, sizeof(*v));
	if (!v)
		return gs_fail(err, -GS_E_LIMIT, 0, "no memory for %u allocation sites",
			       l->n_sites);
	for (uint32_t i = 0; i < l->n_sites; i++)
		v[i] = as_grower(l->site[i].stack, l->site[i].objects, l->site[i].bytes);
	qsort(v, l->n_sites, sizeof(*v), largest_first);
	l->r.sites = v;
	l->r.n_sites = l->n_sites;
	return 0;
}

int gs__sites_grown(const struct gs_memory_look *before, struct gs_memory_look *after,
		    struct gs_mem_grower **ret, uint32_t *ret_n, struct gs_err *err)
{
	uint32_t n = 0, k = 0;
	struct gs_mem_grower *v;

	v = (struct gs_mem_grower *)gs_arena_array(after->arena, after->n_sites + 1, sizeof(*v));
	if (!v)
		return gs_fail(err, -GS_E_LIMIT, 0, "no memory for %u allocation sites",
			       after->n_sites);
	for (uint32_t i = 0; i < after->n_sites; i++) {
		const struct gs__site *s = &after->site[i];
		double objects = s->objects, bytes = s->bytes;

		while (k < before->n_sites && before->site[k].stack->id < s->stack->id)
			k++;
		if (k < before->n_sites && before->site[k].stack == s->stack) {
			objects -= before->site[k].objects;
			bytes -= before->site[k].bytes;
		}
		if (bytes >= 1)
			v[n++] = as_grower(s->stack, objects, bytes);
	}
	qsort(v, n, sizeof(*v), largest_first);
	*ret = v;
	*ret_n = n;
	return 0;
}
