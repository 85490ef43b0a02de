/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Ranges by the last addition that covers them. Additions wait in a list; settling it is a sweep over their begins in the order
 * of addresses, with a heap of those that reach over the place, the youngest on top:
 *
 *	additions   1 ─────────────      2 ──────        who stands   1 ──── 3 ──── 2 ──
 *	                  3 ────────────
 *
 * Nothing is allocated for an addition but the list itself, which has a bound.
 */
#include "analysis/mem_ranges.h"

#include <stdlib.h>

#include "base/arena.h"

#define LIST_MAX (2u * GS__RANGES_KEPT)

void gs__ranges_deinit(struct gs__ranges *r)
{
	free(r->v);
	*r = (struct gs__ranges){ 0 };
}

/* ---- the youngest on top ---- */

struct heap {
	struct gs__range *v;
	uint32_t n;
};

static void swap(struct gs__range *a, struct gs__range *b)
{
	struct gs__range t = *a;

	*a = *b;
	*b = t;
}

static void push(struct heap *h, const struct gs__range *r)
{
	uint32_t i = h->n++;

	h->v[i] = *r;
	for (; i > 0 && h->v[i].at > h->v[(i - 1) / 2].at; i = (i - 1) / 2)
		swap(&h->v[i], &h->v[(i - 1) / 2]);
}

static void pop(struct heap *h)
{
	h->v[0] = h->v[--h->n];
	for (uint32_t i = 0;;) {
		uint32_t child = 2 * i + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->v[child + 1].at > h->v[child].at)
			child++;
		if (h->v[i].at >= h->v[child].at)
			break;
		swap(&h->v[i], &h->v[child]);
		i = child;
	}
}

/* ---- settling ---- */

static int by_start(const void *a, const void *b)
{
	const struct gs__range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

struct settled {
	struct gs__range *v;
	uint32_t n, cap;
	uint64_t lost;
};

static void emit(struct settled *s, struct heap *h, gs_addr start, gs_addr end)
{
	struct gs__range *top = &h->v[0], *last = s->n ? &s->v[s->n - 1] : NULL;

	if (start >= end || top->who == 0)
		return;
	if (last && last->end == start && last->who == top->who) {
		last->end = end;
		last->calls += top->calls;
		last->at = top->at > last->at ? top->at : last->at;
	} else if (s->n < s->cap) {
		s->v[s->n++] = (struct gs__range){ start, end, top->who, top->calls, top->at };
	} else {
		s->lost++;
	}
	top->calls = 0;
}

/* What stands from @at up to @limit, of those that are in the heap. */
static void advance(struct settled *s, struct heap *h, gs_addr at, gs_addr limit)
{
	while (h->n && at < limit) {
		gs_addr end = h->v[0].end < limit ? h->v[0].end : limit;

		if (end > at) {
			emit(s, h, at, end);
			at = end;
		}
		while (h->n && h->v[0].end <= at)
			pop(h);
	}
}

void gs__ranges_settle(struct gs__ranges *r)
{
	/* Each addition begins one piece and may cut another in two. */
	struct settled s = { .cap = 2 * r->n + 1 };
	struct heap h = { 0 };

	if (r->n == 0)
		return;
	s.v = gs_array_new(s.cap, sizeof(*s.v));
	h.v = gs_array_new(r->n, sizeof(*h.v));
	if (s.v && h.v) {
		qsort(r->v, r->n, sizeof(*r->v), by_start);
		for (uint32_t i = 0; i < r->n; i++) {
			push(&h, &r->v[i]);
			advance(&s, &h, r->v[i].start,
				i + 1 < r->n ? r->v[i + 1].start : UINT64_MAX);
		}
		if (s.n > LIST_MAX)
			s.lost += s.n - LIST_MAX;
		s.n = s.n < LIST_MAX ? s.n : LIST_MAX;
		free(r->v);
		r->v = s.v;
		r->n = s.n;
		r->cap = s.cap;
		r->dropped += s.lost;
		s.v = NULL;
	}
	free(s.v);
	free(h.v);
}

void gs__ranges_add(struct gs__ranges *r, gs_addr start, gs_addr end, uint32_t who, uint64_t at)
{
	if (start >= end)
		return;
	if (r->n >= LIST_MAX && !r->full) {
		gs__ranges_settle(r);
		r->full = r->n >= GS__RANGES_KEPT;
	}
	if (r->n == r->cap && r->n < LIST_MAX) {
		uint32_t cap = r->cap ? r->cap * 2 : 1024;
		struct gs__range *v =
			gs_array_resize(r->v, cap < LIST_MAX ? cap : LIST_MAX, sizeof(*v));

		if (v) {
			r->v = v;
			r->cap = cap < LIST_MAX ? cap : LIST_MAX;
		}
	}
	if (r->n >= r->cap || r->full) {
		r->dropped++;
		return;
	}
	r->v[r->n++] = (struct gs__range){ start, end, who, 1, at };
}
