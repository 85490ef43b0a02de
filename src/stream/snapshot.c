/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Goroutines that existed when watching began. They are read while events come in already, so that
 * nothing falls between the two; what an event says of a goroutine's state before it is truer than what was
 * read later:
 *
 *   begin ──── first event of a goroutine ──── it is read        its first event tells its state at begin:
 *                                                                 PARK, YIELD, EXIT, CALL: it ran;
 *                                                                 RUN: runnable; READY: waited; CREATE: was not there
 *
 * One whose first event comes after it was read was in the state that was read. One that had ended before it could be read is
 * known by its events alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "stream/stream_private.h"

#define GOROUTINES_MAX (1u << 22)
#define DRAIN_EVERY 256u

void gs__snapshot_deinit(struct gs__snapshot *s)
{
	free(s->v);
	free(s->slot);
	*s = (struct gs__snapshot){ 0 };
}

struct visit {
	struct gs__snapshot *s;
	struct gs__stacks *stacks;
	void (*drain)(void *ctx);
	void *ctx;
	int64_t begin_ns;
	struct gs_rt *rt;
};

static struct gs__start_state *add(struct gs__snapshot *s)
{
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : 256;
		struct gs__start_state *v =
			cap <= GOROUTINES_MAX ? gs_array_resize(s->v, cap, sizeof(*v)) : NULL;

		if (!v)
			return NULL;
		s->v = v;
		s->cap = cap;
	}
	return &s->v[s->n++];
}

static bool on_thread(enum gs_goroutine_state state)
{
	return state == GS_G_RUNNING || state == GS_G_SYSCALL;
}

/* As events of new goroutines have it: not a compiler's wrapper, but what that calls. */
static const struct gs_frame *first_function(struct gs_rt *rt, const struct gs_goroutine *g)
{
	return g->start ? gs_rt_start(rt, g->start->pc) : NULL;
}

static int visit_goroutine(void *ctx, const struct gs_goroutine *g)
{
	struct visit *v = ctx;
	struct gs__start_state *st;

	if ((v->s->n + v->s->refused) % DRAIN_EVERY == DRAIN_EVERY - 1)
		v->drain(v->ctx);
	if (g->state == GS_G_DEAD || g->state == GS_G_DEADEXTRA || !g->id)
		return 0;
	st = add(v->s);
	if (!st) {
		v->s->refused++;
		return 0;
	}
	*st = (struct gs__start_state){ .goid = g->id,
					.parent = g->parent_id,
					.seen_ns = gs_now_ns(),
					.wait_reason = g->wait_reason,
					.created_by = g->created_by,
					.start = first_function(v->rt, g),
					.g = g->g,
					.stack = gs__stacks_add_known(v->stacks, g->stack),
					.tid = on_thread(g->state) ? g->thread_id : 0,
					.state = (uint8_t)g->state,
					.system = g->system };
	if (g->wait_ns >= 0)
		st->since_ns = v->begin_ns - g->wait_ns;
	return 0;
}

/* With room for as many again. */
static bool make_index(struct gs__snapshot *s)
{
	uint32_t size = 64;

	while (size < s->n * 4)
		size *= 2;
	uint32_t *slot = gs_array_new(size, sizeof(*slot));

	if (!slot)
		return false;
	free(s->slot);
	s->slot = slot;
	s->mask = size - 1;
	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t at = (uint32_t)gs_hash_u64(gs_hash_seed(), s->v[i].goid) & s->mask;

		while (s->slot[at])
			at = (at + 1) & s->mask;
		s->slot[at] = i + 1;
	}
	return true;
}

int gs__snapshot_take(struct gs__snapshot *s, struct gs_rt *rt, struct gs__stacks *stacks,
		      void (*drain)(void *ctx), void *ctx, struct gs_incomplete_list *inc,
		      struct gs_err *err)
{
	struct gs_rt_dump_options o = { .system = true, .no_labels = true };
	struct gs_incomplete_list own = { .n = 0 };
	struct visit v = { s, stacks, drain, ctx, gs_now_ns(), rt };
	int r;

	*s = (struct gs__snapshot){ 0 };
	r = gs_rt_goroutines(rt, &o, visit_goroutine, &v, &own, err);
	if (r >= 0 && !make_index(s))
		r = gs_fail(err, -ENOMEM, 0, "no memory for %u goroutines", s->n);
	if (r < 0) {
		gs__snapshot_deinit(s);
		return r;
	}
	/* Running ones have no stack here, which is no loss: their next event has one. */
	for (uint32_t i = 0; i < own.n; i++)
		if (strcmp(own.item[i].what, "running_without_stack") != 0)
			gs_incomplete_add(inc, own.item[i].what, own.item[i].count, "%s",
					  own.item[i].why);
	gs_incomplete_add(inc, "goroutines_not_listed", s->refused,
			  "more than %u goroutines existed at the start", GOROUTINES_MAX);
	return 0;
}

static struct gs__start_state *find(const struct gs__snapshot *s, uint64_t goid)
{
	uint32_t at = (uint32_t)gs_hash_u64(gs_hash_seed(), goid) & s->mask;

	for (; s->slot[at]; at = (at + 1) & s->mask)
		if (s->v[s->slot[at] - 1].goid == goid)
			return &s->v[s->slot[at] - 1];
	return NULL;
}

/* What was before an event of this kind. GS_G_STATE_COUNT: it does not tell. */
static enum gs_goroutine_state before(const struct gs_wire_head *h)
{
	switch (h->kind) {
	case GS_WIRE_GO_READY:
		return GS_G_WAITING;
	case GS_WIRE_GO_RUN:
		return GS_G_RUNNABLE;
	case GS_WIRE_GO_YIELD:
		return h->flags & GS_WIRE_F_SYSCALL ? GS_G_SYSCALL : GS_G_RUNNING;
	case GS_WIRE_GO_PARK:
	case GS_WIRE_GO_EXIT:
	case GS_WIRE_CALL_BEGIN:
	case GS_WIRE_CALL_END:
		return GS_G_RUNNING;
	default:
		return GS_G_STATE_COUNT;
	}
}

/* One that ended before it could be read. */
static struct gs__start_state *add_unread(struct gs__snapshot *s, const struct gs_wire_head *h)
{
	struct gs__start_state *st;
	uint32_t at;

	if (s->n * 2 >= s->mask && !make_index(s))
		return NULL;
	st = add(s);
	if (!st)
		return NULL;
	*st = (struct gs__start_state){ .goid = h->goid, .seen_ns = INT64_MAX, .state = GS_G_DEAD };
	at = (uint32_t)gs_hash_u64(gs_hash_seed(), h->goid) & s->mask;
	while (s->slot[at])
		at = (at + 1) & s->mask;
	s->slot[at] = s->n;
	return st;
}

static void rewind_one(void *ctx, struct gs_wire_head *h)
{
	struct gs__snapshot *s = ctx;
	enum gs_goroutine_state state = before(h);

	if (h->goid == 0 || (h->kind != GS_WIRE_GO_CREATE && state == GS_G_STATE_COUNT))
		return;
	struct gs__start_state *st = find(s, h->goid);

	if (!st)
		st = add_unread(s, h);
	if (!st || st->settled || (int64_t)h->ts_ns > st->seen_ns)
		return;
	st->settled = true;
	if (h->kind == GS_WIRE_GO_CREATE) {
		st->born = true;
		return;
	}
	/* In a system call is running to an event, and the other way round. */
	if (state == st->state || (on_thread(state) && on_thread(st->state)))
		return;
	st->state = (uint8_t)state;
	st->wait_reason = NULL;
	st->stack = 0;
	st->since_ns = 0;
	st->tid = on_thread(state) ? (int32_t)h->tid : 0;
}

void gs__snapshot_rewind(struct gs__snapshot *s, struct gs__order *o)
{
	if (s->slot)
		gs__order_each(o, GS_WIRE_RING_GO, rewind_one, s);
}

/* Threads that had a goroutine at the start, by tid. */
struct adoption {
	struct {
		int32_t tid; /* 0: free */
		uint64_t goid;
		uint64_t until_ns; /* from here on events say what it runs */
	} * thread;
	uint32_t mask;
};

static uint32_t thread_slot(const struct adoption *a, int32_t tid)
{
	uint32_t i = (uint32_t)gs_hash_u64(gs_hash_seed(), (uint32_t)tid) & a->mask;

	while (a->thread[i].tid && a->thread[i].tid != tid)
		i = (i + 1) & a->mask;
	return i;
}

static void limit_one(void *ctx, struct gs_wire_head *h)
{
	const struct adoption *a = ctx;
	uint32_t i = thread_slot(a, (int32_t)h->tid);

	/* What another goroutine did on the thread, or ours ended there. */
	if (a->thread[i].tid && h->ts_ns < a->thread[i].until_ns &&
	    (h->kind == GS_WIRE_GO_RUN || h->kind == GS_WIRE_GO_PARK ||
	     h->kind == GS_WIRE_GO_YIELD || h->kind == GS_WIRE_GO_EXIT))
		a->thread[i].until_ns = h->ts_ns;
}

static void adopt_one(void *ctx, struct gs_wire_head *h)
{
	const struct adoption *a = ctx;

	if (h->goid || (h->kind != GS_WIRE_OFF_CPU && h->kind != GS_WIRE_SAMPLE))
		return;
	uint32_t i = thread_slot(a, (int32_t)h->tid);

	if (a->thread[i].tid && h->ts_ns < a->thread[i].until_ns) {
		h->goid = a->thread[i].goid;
		h->flags |= GS_WIRE_F_ADOPTED;
	}
}

void gs__snapshot_adopt(struct gs__snapshot *s, struct gs__order *o)
{
	struct adoption a = { .thread = NULL };
	uint32_t n = 0, size = 16;

	for (uint32_t i = 0; i < s->n; i++)
		n += s->v[i].tid > 0;
	while (size < 2 * n + 1)
		size *= 2;
	a.mask = size - 1;
	a.thread = gs_array_new(size, sizeof(*a.thread));
	if (!a.thread)
		return; /* they stay without a goroutine */
	for (uint32_t i = 0; i < s->n; i++) {
		const struct gs__start_state *st = &s->v[i];

		if (st->tid <= 0 || st->born)
			continue;
		uint32_t at = thread_slot(&a, st->tid);

		a.thread[at].tid = st->tid;
		a.thread[at].goid = st->goid;
		a.thread[at].until_ns = UINT64_MAX;
	}
	gs__order_each(o, GS_WIRE_RING_GO, limit_one, &a);
	gs__order_each(o, GS_WIRE_RING_KERNEL, adopt_one, &a);
	free(a.thread);
}

bool gs__snapshot_event(const struct gs__snapshot *s, uint32_t i, int64_t begin_ns,
			struct gs_event *e)
{
	const struct gs__start_state *st = &s->v[i];

	if (st->born)
		return false;
	*e = (struct gs_event){ .t_ns = begin_ns,
				.goid = st->goid,
				.tid = st->tid,
				.stack = st->stack,
				.kind = GS_EV_GO_STATE };
	e->state.parent = st->parent;
	e->state.wait_reason = st->wait_reason;
	e->state.state = (enum gs_goroutine_state)st->state;
	e->state.wait = gs_wait_of(st->wait_reason);
	e->state.since_ns = st->since_ns < begin_ns ? st->since_ns : 0;
	e->state.created_by = st->created_by;
	e->state.start = st->start;
	e->state.creator_pc = st->created_by ? st->created_by->pc : 0;
	e->state.start_pc = st->start ? st->start->pc : 0;
	e->state.system = st->system;
	return true;
}
