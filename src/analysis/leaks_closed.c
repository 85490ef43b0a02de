/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Goroutines of connections that are closed for too long. When a connection was closed is not always known; then
 * those that are closed now are looked at again after the time that a connection must have been closed.
 *
 * A connection that only its peer has closed may be an idle one of a pool, which will see that when it is used next;
 * drivers of databases have a goroutine for each such connection that watches it. So if nothing says what a
 * goroutine does with it, it is a leak only when nobody else has the connection: the heap is marked as if the goroutine
 * was not there, and the connection must not be reached.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "analysis/leaks_private.h"
#include "base/clock.h"

#define CLOSED_MAX (1u << 22)

struct closed {
	struct gs_closed_connection *c; /* by goid */
	uint32_t n, cap;
};

static int visit(void *ctx, const struct gs_closed_connection *c)
{
	struct closed *a = ctx;

	if (a->n == a->cap) {
		uint32_t cap = a->cap ? a->cap * 2 : 64;
		void *p = a->n < CLOSED_MAX ? gs_array_resize(a->c, cap, sizeof(*a->c)) : NULL;

		if (!p)
			return -ENOMEM;
		a->c = p;
		a->cap = cap;
	}
	a->c[a->n++] = *c;
	return 0;
}

static int goid_order(const void *a, const void *b)
{
	const struct gs_closed_connection *x = a, *y = b;

	return (x->goid > y->goid) - (x->goid < y->goid);
}

/* Read goroutines and heap anew and find those whose connection is closed now. */
static int look(struct gs_leaks *l, struct closed *ret, struct gs_rt_gs **ret_gs,
		struct gs_incomplete_list *inc, struct gs_err *err)
{
	GS_CLEANUP(gs_rt_heap_freep) struct gs_rt_heap *heap = NULL;
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs = NULL;
	int r = gs_rt_heap_read(l->rt, &heap, inc, err);

	if (r == 0)
		r = gs_rt_gs_read(l->rt, &gs, inc, err);
	if (r == 0)
		r = gs_closed_connections(l->target, l->rt, heap, gs, l->arena, visit, ret, inc,
					  err);
	if (r == -ENOMEM)
		return gs_fail(err, r, 0, "no memory for closed connections");
	if (r < 0)
		return r;
	if (ret->n)
		qsort(ret->c, ret->n, sizeof(*ret->c), goid_order);
	gs_rt_gs_all(gs, &ret->cap); // as many goroutines were looked at
	l->result.goroutines = ret->cap > l->result.goroutines ? ret->cap : l->result.goroutines;
	ret->cap = ret->n;
	*ret_gs = GS_TAKE(gs);
	return 0;
}

static uint64_t stack_bytes(const struct gs_rt_gs *gs, uint64_t goid)
{
	uint32_t n;
	const struct gs_rt_g *g = gs_rt_gs_all(gs, &n);

	for (uint32_t i = 0; i < n; i++)
		if (g[i].goid == goid)
			return g[i].stack_hi - g[i].stack_lo;
	return 0;
}

static int add(struct gs_leaks *l, const struct gs_closed_connection *c, const struct gs_rt_gs *gs,
	       enum gs_leak_confidence confidence, struct gs_err *err)
{
	struct gs_closed_connection *kept = gs_arena_alloc(l->arena, sizeof(*kept));
	struct gs__leak_item x = { .goid = c->goid,
				   .conn = kept,
				   .group = GS__LEAK_NO_GROUP,
				   .stack_bytes = stack_bytes(gs, c->goid),
				   .kind = GS_LEAK_CONNECTION,
				   .confidence = (uint8_t)confidence };

	if (!kept)
		return gs_fail(err, -ENOMEM, 0, "no memory for closed connections");
	*kept = *c;
	return gs__leak_add(&l->items, &x, err);
}

/* Those known to be closed for long enough become items, the others stay in @io. @ret_wait_ns: how long the
 * last of them needs. */
static int take_known(struct gs_leaks *l, struct closed *io, const struct gs_rt_gs *gs, bool live,
		      int64_t *ret_wait_ns, struct gs_err *err)
{
	int64_t after_ns = l->o.after_ns, wait_ns = 0;
	uint32_t n = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < io->n; i++) {
		const struct gs_closed_connection *c = &io->c[i];
		int64_t missing_ns = c->closed_ns < 0 ? after_ns : after_ns - c->closed_ns;

		if (c->closed_ns >= after_ns) {
			r = add(l, c, gs, live ? GS_LEAK_HIGH : GS_LEAK_CERTAIN, err);
		} else if (live) {
			wait_ns = missing_ns > wait_ns ? missing_ns : wait_ns;
			io->c[n++] = *c;
		} else if (c->closed_ns < 0 || c->at_least) {
			r = add(l, c, gs, GS_LEAK_LIKELY, err);
		}
	}
	io->n = n;
	*ret_wait_ns = wait_ns;
	return r;
}

/* Those of @before that are still there after @passed_ns. */
static int take_again(struct gs_leaks *l, const struct closed *before, struct closed *now,
		      const struct gs_rt_gs *gs, int64_t passed_ns, struct gs_err *err)
{
	for (uint32_t i = 0; i < before->n; i++) {
		struct gs_closed_connection *c =
			now->n ? bsearch(&before->c[i], now->c, now->n, sizeof(*now->c), goid_order)
			       : NULL;
		int r;

		if (!c || c->conn != before->c[i].conn)
			continue;
		if (c->closed_ns < 0) {
			c->closed_ns = passed_ns;
			c->at_least = true;
		}
		if (c->closed_ns < l->o.after_ns && !c->at_least)
			continue;
		r = add(l, c, gs, GS_LEAK_HIGH, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int number_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Take out what others have as well. */
static int leave_idle(struct gs_leaks *l, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) uint64_t *ids = gs_array_new(l->items.n + 1ul, sizeof(*ids));
	GS_CLEANUP(gs__look_freep) struct gs__look *k = NULL;
	struct gs__look_how how = { .still = l->o.still, .ended = l->o.ended, .without = ids };
	struct gs_incomplete_list ignored = { .n = 0 };
	uint32_t n = 0;
	int r;

	if (!ids)
		return gs_fail(err, -ENOMEM, 0, "no memory for closed connections");
	for (uint32_t i = 0; i < l->items.n; i++)
		if (l->items.item[i].conn && l->items.item[i].conn->half)
			ids[how.n_without++] = l->items.item[i].goid;
	if (!how.n_without || gs__leaks_progress(l, "seeing whether connections are idle"))
		return 0;
	qsort(ids, how.n_without, sizeof(*ids), number_order);
	r = gs__look_new(l->rt, &how, &ignored, &k, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < l->items.n; i++) {
		const struct gs_closed_connection *c = l->items.item[i].conn;

		if (!c || !c->half || !gs_heap_marked(k->mark, c->conn))
			l->items.item[n++] = l->items.item[i];
	}
	l->items.n = n;
	return 0;
}

static int find_closed(struct gs_leaks *l, struct closed *first, struct closed *second,
		       struct gs_err *err)
{
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs = NULL;
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs_again = NULL;
	struct gs_incomplete_list ignored = { .n = 0 };
	bool live = !l->o.still && gs_target_kind(l->target) == GS_TARGET_PROCESS;
	int64_t begin_ns = gs_now_ns(), wait_ns = 0;
	char text[96];
	int r;

	if (gs__leaks_progress(l, "looking at connections"))
		return 0;
	r = look(l, first, &gs, &l->incomplete, err);
	if (r == 0)
		r = take_known(l, first, gs, live, &wait_ns, err);
	if (r < 0)
		return r;
	l->result.ran[GS_LEAK_CONNECTION] = true;
	if (first->n == 0)
		return 0;
	snprintf(text, sizeof(text),
		 "%" PRIu32 " goroutines have closed connections: seeing whether they stay",
		 first->n);
	if (!gs__leaks_wait(l, wait_ns, text))
		return 0;
	r = look(l, second, &gs_again, &ignored, err);
	return r < 0 ? r : take_again(l, first, second, gs_again, gs_now_ns() - begin_ns, err);
}

int gs__leaks_closed(struct gs_leaks *l, struct gs_err *err)
{
	struct closed first = { .n = 0 }, second = { .n = 0 };
	int r = find_closed(l, &first, &second, err);

	if (r == 0)
		r = leave_idle(l, err);
	free(first.c);
	free(second.c);
	return r;
}
