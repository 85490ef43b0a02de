/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Who made memory grow, and who gave it back: what mem_growth.c kept of the events, put beside both looks. What was mapped counts by
 * what is resident of it now, what was given back by what was resident before and is not any more; where something new
 * was mapped in its place, all of what was there counts.
 */
#include "analysis/mem_growth_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define GROWERS_MAX (1u << 16)

/* Growers by class, stack and what they do, while they are added up. */
struct sums {
	struct gs_memory_growth *g;
	const struct gs_memory_view *view;
	struct gs_mem_grower *v;
	uint32_t *slot; /* number of an element of @v plus one; 0: empty */
	uint32_t n, n_slots, cap;
};

static struct gs_mem_grower *sum_of(struct sums *s, enum gs_mem_class_id class, const char *what,
				    const char *detail, uint32_t stack_id)
{
	const struct gs_stack *stack = s->g->source->stack(s->g->source, stack_id);
	uint64_t h = gs_hash_u64(gs_hash_u64((uint64_t) class, stack ? stack->hash : 0),
				 (uint64_t)(uintptr_t)what ^ (uint64_t)(uintptr_t)detail);
	uint32_t i = (uint32_t)h & (s->n_slots - 1);

	for (; s->slot[i]; i = (i + 1) & (s->n_slots - 1)) {
		struct gs_mem_grower *v = &s->v[s->slot[i] - 1];

		if (v->class == class && v->stack == stack && v->what == what &&
		    v->detail == detail)
			return v;
	}
	if (s->n == s->cap)
		return NULL;
	s->slot[i] = ++s->n;
	s->v[s->n - 1] = (struct gs_mem_grower){
		.class = class,
		.what = what,
		.detail = detail,
		.stack = stack,
		.runtime = what == gs__by_faults ? NULL : gs__mem_runtime_function(stack),
		.cause = what == gs__by_faults ? NULL : gs__mem_cause(stack),
	};
	return &s->v[s->n - 1];
}

static void add(struct gs_mem_grower *v, int64_t bytes, uint64_t count, uint64_t goid,
		enum gs_mem_how how)
{
	if (!v)
		return;
	v->bytes += bytes;
	v->count += count;
	v->how = how > v->how ? how : v->how;
	if (goid)
		v->goid = goid;
}

/* One of several doers with the same stack in words may have it by another number: each is asked once a class. */
static void add_doer(struct sums *s, struct gs__doer *d, enum gs_mem_class_id class, int64_t bytes,
		     uint64_t count, enum gs_mem_how how)
{
	struct gs_mem_grower *v = sum_of(s, class, d->what, d->detail, d->stack);

	add(v, bytes, count, d->goid, how);
	if (v && v->asked_bytes < d->asked_bytes)
		v->asked_bytes = d->asked_bytes;
	d->growers++;
}

/* What is there of what was mapped, by class. */
static void add_made(struct sums *s, const struct gs__range *r)
{
	const struct gs_memory_view *view = s->view;
	struct gs__doer *d = &s->g->doer[r->who - 1];
	uint64_t count = r->calls;
	gs_addr end;

	for (gs_addr at = r->start; at < r->end; at = end) {
		enum gs_mem_class_id class = view->class_at(view->ctx, at, &end);
		uint64_t bytes;

		end = end <= at || end > r->end ? r->end : end;
		if (class == GS_MEM_CLASS_COUNT)
			continue;
		bytes = view->resident(view->ctx, at, end);
		add_doer(s, d, class, (int64_t)bytes, count,
			 view->exact || bytes == end - at ? GS_MEM_READ : GS_MEM_DERIVED);
		count = 0;
	}
}

static enum gs_mem_class_id returned_class(enum gs_mem_class_id c)
{
	return c <= GS_MEM_HEAP_RESERVED ? GS_MEM_HEAP_RETURNED : c;
}

/* What was resident of [start, end) and, unless something new is there, is not any more. */
static void add_returned(struct sums *s, const struct gs__range *r, gs_addr start, gs_addr stop,
			 bool anew, uint64_t *count)
{
	const struct gs_memory_view *view = s->view;
	struct gs__doer *d = &s->g->doer[r->who - 1];
	gs_addr end;

	for (gs_addr at = start; at < stop; at = end) {
		enum gs_mem_class_id class = view->class_before(view->ctx, at, &end);
		uint64_t bytes;

		end = end <= at || end > stop ? stop : end;
		bytes = class == GS_MEM_CLASS_COUNT ? 0 : view->gone(view->ctx, at, end, anew);
		if (bytes == 0)
			continue;
		add_doer(s, d, returned_class(class), -(int64_t)bytes, *count,
			 view->exact ? GS_MEM_READ : GS_MEM_ESTIMATED);
		*count = 0;
	}
}

static void add_ranges(struct sums *s)
{
	struct gs__ranges *made = &s->g->made, *back = &s->g->returned;
	uint32_t k = 0;

	gs__ranges_settle(made);
	gs__ranges_settle(back);
	for (uint32_t i = 0; i < made->n; i++)
		add_made(s, &made->v[i]);
	for (uint32_t i = 0; i < back->n; i++) {
		const struct gs__range *r = &back->v[i];
		uint64_t count = r->calls;
		gs_addr at = r->start;

		while (k < made->n && made->v[k].end <= at)
			k++;
		for (uint32_t j = k; at < r->end; j++) {
			const struct gs__range *m =
				j < made->n && made->v[j].start < r->end ? &made->v[j] : NULL;
			gs_addr begin = m && m->start > at ? m->start : at, end;

			if (!m || m->start > at)
				add_returned(s, r, at, m ? begin : r->end, false, &count);
			if (!m)
				break;
			end = m->end < r->end ? m->end : r->end;
			add_returned(s, r, begin, end, m->at >= r->at, &count);
			at = end;
		}
	}
}

/* Where what a doer did has no bytes to show, but says something: advice, reservations of the runtime, libraries that were there
 * already. GS_MEM_CLASS_COUNT: it says nothing. */
static enum gs_mem_class_id silent_class(struct sums *s, const struct gs__doer *d)
{
	const struct gs_stack *stack = s->g->source->stack(s->g->source, d->stack);
	const char *function = gs__mem_runtime_function(stack);
	enum gs_mem_class_id class;
	gs_addr end;

	if (d->what == gs__by_dlopen)
		return GS_MEM_LIBRARIES;
	if (d->what != gs__by_madvise && !function)
		return GS_MEM_CLASS_COUNT;
	class = s->view->class_at(s->view->ctx, d->last, &end);
	if (class != GS_MEM_CLASS_COUNT && d->what == gs__by_madvise &&
	    class <= GS_MEM_HEAP_RESERVED)
		return strcmp(d->detail, "MADV_FREE") == 0       ? GS_MEM_HEAP_LAZY
		       : strcmp(d->detail, "MADV_DONTNEED") == 0 ? GS_MEM_HEAP_RETURNED
								 : class;
	if (class != GS_MEM_CLASS_COUNT || !function)
		return class;
	return strstr(function, "sysReserve") ? GS_MEM_HEAP_RESERVED : GS_MEM_RT_OTHER;
}

static void add_silent(struct sums *s)
{
	for (uint32_t i = 0; i < GS__DOERS_MAX; i++) {
		struct gs__doer *d = &s->g->doer[i];
		enum gs_mem_class_id class;

		if (!d->what || d->growers)
			continue;
		class = silent_class(s, d);
		if (class != GS_MEM_CLASS_COUNT)
			add_doer(s, d, class, 0, d->calls, GS_MEM_READ);
	}
}

static void add_touches(struct sums *s)
{
	for (uint32_t i = 0; i < GS__TOUCHED_MAX; i++) {
		const struct gs__touched *t = &s->g->touched[i];
		enum gs_mem_class_id class;
		gs_addr end;

		if (t->events == 0)
			continue;
		class = s->view->class_at(s->view->ctx, t->last, &end);
		if (class == GS_MEM_CLASS_COUNT)
			continue; /* gone again */
		add(sum_of(s, class, gs__by_faults, NULL, t->stack),
		    (int64_t)(t->faults * GS__KERNEL_PAGE), t->faults, t->goid, GS_MEM_ESTIMATED);
	}
}

static int largest_first(const void *a, const void *b)
{
	const struct gs_mem_grower *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->class < y->class ? -1 : x->class > y->class;
}

int gs__memory_growers(struct gs_memory_growth *g, const struct gs_memory_view *view,
		       const struct gs_mem_grower **ret, uint32_t *ret_n,
		       struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct sums s = { .g = g, .view = view, .cap = GROWERS_MAX, .n_slots = 2 * GROWERS_MAX };

	gs_arena_free(g->arena);
	g->arena = gs_arena_new(0);
	if (g->arena) {
		s.v = gs_arena_array(g->arena, s.cap, sizeof(*s.v));
		s.slot = gs_arena_array(g->arena, s.n_slots, sizeof(*s.slot));
	}
	if (!s.v || !s.slot)
		return gs_fail(err, -ENOMEM, 0, "adding up who mapped memory: out of memory");
	add_ranges(&s);
	add_silent(&s);
	add_touches(&s);
	qsort(s.v, s.n, sizeof(*s.v), largest_first);
	gs_incomplete_add(inc, "mappings_dropped",
			  g->dropped + g->made.dropped + g->returned.dropped,
			  "more mappings or stacks at once than are kept (%u)", GS__RANGES_KEPT);
	*ret = s.v;
	*ret_n = s.n;
	return 0;
}
