/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Histories of goroutines, see lives.h.
 *
 * All closed intervals lie in one ring, in the order in which they ended; each knows the previous one of its goroutine
 * and, for waits, the previous wait for the same object. A number counts up for ever; a slot is
 * number % capacity, and a link is alive while its number is at most one capacity old:
 *
 *	ring:  … [G7 wait][G9 on][G7 ready][G7 on][G9 wait] ← head
 *	            ^______________|   ^______|  prev
 *
 * So the oldest are forgotten by being written over, whosoever they were, and no list needs repair. What a goroutine
 * does now is in its struct gs_life and enters the ring when it ends.
 *
 * A goroutine is in one of the states of enum gs_interval_kind:
 *
 *	CREATE, READY → READY → RUN → ON → PARK → WAIT → READY …
 *	                          ON → YIELD → READY;  ON → EXIT
 *
 * ON is cut at each event that carries usage, so that what usage says belongs to one interval. OFF_CPU comes
 * when it is over and is cut out of ON. A goroutine that is not followed any more (THINNED) is dead. Events that do not fit (lost, repeated by probes
 * that are hit twice, goroutines never seen) close what is open, mark it as doubtful and go on
 * from what the event says.
 */
#include "analysis/lives.h"

#include <string.h>

#include "analysis/lives_private.h"
#include "base/hash.h"

/* A probe on a branch is hit again after the stack has grown; that takes less. */
#define TWICE_NS 100000

/* ---- the ring ---- */

/* Put a closed interval of @life into the ring. */
static struct gs_interval *append(struct gs_lives *l, struct gs_life *life,
				  const struct gs_interval *v)
{
	struct gs_interval *slot = &l->ring[l->head & l->mask];

	if (slot->kind)
		l->counts.forgotten++;
	*slot = *v;
	slot->goid_low = (uint32_t)life->goid;
	slot->prev = life->last;
	life->last = l->head;
	if (++l->head == 0)
		l->head = 1;
	l->counts.intervals++;
	return slot;
}

static void link_object(struct gs_lives *l, struct gs_interval *v, uint32_t number)
{
	struct gs__object *s = gs__object(l, v->wait_for.object);

	v->wait_for.prev_object = s->object == v->wait_for.object ? s->last : 0;
	s->object = v->wait_for.object;
	s->last = number;
}

static uint32_t keep_file(struct gs_lives *l, struct gs_life *life, const struct gs_file_ref *f)
{
	const struct gs_file_ref *old = gs_lives_file(l, life->file);

	if (f->fd < 0 && f->mode == 0 && f->family == 0 && f->name[0] == '\0')
		return 0;
	if (old && memcmp(old, f, sizeof(*f)) == 0)
		return life->file;
	l->files[l->file_head % GS__FILES] = *f;
	life->file = l->file_head;
	if (++l->file_head == 0)
		l->file_head = 1;
	return life->file;
}

/* ---- what goroutines do ---- */

static uint32_t cut32(int64_t ns)
{
	return ns < 0 ? 0 : ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

/* What usage says fits into the time on CPU it is about: the kernel's clock and ours differ a little, and some of it
 * may have been used before the goroutine came onto the thread. */
static void set_usage(struct gs_interval *v, const struct gs_usage *u)
{
	int64_t left = v->end_ns - v->start_ns;
	const int64_t want[5] = { u->fault_major_ns, u->reclaim_ns, u->fault_minor_ns, u->cgo_ns,
				  u->kernel_ns };
	uint32_t *const to[5] = { &v->on.fault_major_ns, &v->on.reclaim_ns, &v->on.fault_minor_ns,
				  &v->on.cgo_ns, &v->on.kernel_ns };

	for (int i = 0; i < 5; i++) {
		int64_t ns = want[i] < left ? want[i] : left;

		*to[i] = cut32(ns);
		left -= *to[i];
	}
}

/* End what @life does at @t and put it into the ring. */
static struct gs_interval *close_open(struct gs_lives *l, struct gs_life *life, int64_t t,
				      const struct gs_usage *u)
{
	struct gs_interval *v = &life->open;

	if (v->kind == GS_IVL_READY && l->counts.runnable)
		l->counts.runnable--;
	if (v->kind == GS_IVL_NONE || t <= v->start_ns)
		return NULL;
	v->end_ns = t;
	if (v->kind == GS_IVL_ON && u)
		set_usage(v, u);
	return append(l, life, v);
}

static void open_as(struct gs_lives *l, struct gs_life *life, enum gs_interval_kind kind, int64_t t,
		    int32_t tid)
{
	// Time does not run backwards for a goroutine, whatever events say.
	int64_t start = life->open.kind && life->open.start_ns > t ? life->open.start_ns : t;

	life->open = (struct gs_interval){ .kind = (uint8_t)kind, .start_ns = start, .tid = tid };
	if (kind == GS_IVL_READY)
		life->open.ready.runnable = l->counts.runnable++;
	if (kind == GS_IVL_ON && life->in_assist) {
		life->open.flags = GS_IVL_F_ASSIST;
		life->open.stack = life->assist_stack;
	}
	if (kind == GS_IVL_ON && l->unseen & GS_UNSEEN_THREADS)
		life->open.flags |= GS_IVL_F_UNSEEN;
}

/* The goroutine ran up to now, even if nobody saw it start. */
static void must_be_on(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	if (life->open.kind == GS_IVL_ON)
		return;
	if (life->open.kind == GS_IVL_READY || life->open.kind == GS_IVL_WAIT) {
		// RUN was lost: how long it still waited is not known.
		life->open.flags |= GS_IVL_F_DOUBTFUL;
		l->counts.doubtful++;
	}
	close_open(l, life, e->t_ns, NULL);
	open_as(l, life, GS_IVL_ON, e->t_ns, e->tid);
}

static void end_wait(struct gs_lives *l, struct gs_life *life, const struct gs_event *e,
		     bool with_waker)
{
	struct gs_interval *v;

	if (with_waker) {
		life->open.wait_for.waker = e->ready.waker;
		life->open.wait_for.waker_stack = e->stack;
		if (e->flags & GS_EV_NETPOLL)
			life->open.flags |= GS_IVL_F_NETPOLL;
	} else {
		life->open.flags |= GS_IVL_F_NO_WAKER;
	}
	v = close_open(l, life, e->t_ns, NULL);
	if (v && v->wait_for.object)
		link_object(l, v, life->last);
}

static void on_state(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	int64_t since = e->state.since_ns > 0 && e->state.since_ns < e->t_ns ? e->state.since_ns
									     : e->t_ns;

	if (!life->parent)
		life->parent = e->state.parent;
	if (!life->start)
		life->start = e->state.start;
	if (life->open.kind) {
		l->counts.repeated++; // what was seen since is newer
		return;
	}
	if (e->state.state == GS_G_WAITING || e->state.state == GS_G_LEAKED) {
		open_as(l, life, GS_IVL_WAIT, since, 0);
		life->open.wait = (uint8_t)e->state.wait;
		life->open.stack = e->stack;
	} else if (e->state.state == GS_G_RUNNABLE) {
		open_as(l, life, GS_IVL_READY, since, 0);
	} else if (e->state.state == GS_G_RUNNING || e->state.state == GS_G_SYSCALL) {
		open_as(l, life, GS_IVL_ON, e->t_ns, e->tid);
	} else {
		open_as(l, life, GS_IVL_UNKNOWN, e->t_ns, 0);
	}
}

static void on_create(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	if (life->open.kind) {
		l->counts.repeated++;
		return;
	}
	life->born_ns = e->t_ns;
	life->parent = e->create.parent;
	life->start = e->create.start;
	open_as(l, life, GS_IVL_READY, e->t_ns, 0);
	life->open.ready.waker = e->create.parent;
	life->open.ready.waker_stack = e->stack;
}

static void on_ready(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	if (life->open.kind == GS_IVL_READY || life->open.kind == GS_IVL_ON) {
		l->counts.repeated++; // netpollready and runqput both tell
		return;
	}
	if (life->open.kind == GS_IVL_WAIT)
		end_wait(l, life, e, true);
	else
		close_open(l, life, e->t_ns, NULL);
	open_as(l, life, GS_IVL_READY, e->t_ns, 0);
	life->open.ready.waker = e->ready.waker;
	life->open.ready.waker_stack = e->stack;
}

static void on_run(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	if (life->open.kind == GS_IVL_ON && life->open.tid == e->tid) {
		l->counts.repeated++;
		return;
	}
	if (life->open.kind == GS_IVL_WAIT) {
		// gopark's unlock function may refuse; then execute() follows at once.
		end_wait(l, life, e, false);
	} else {
		if (life->open.kind == GS_IVL_ON) {
			life->open.flags |= GS_IVL_F_DOUBTFUL;
			l->counts.doubtful++;
		}
		close_open(l, life, e->t_ns, NULL);
	}
	open_as(l, life, GS_IVL_ON, e->t_ns, e->tid);
}

static void set_wait(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	struct gs_interval *v = &life->open;

	v->wait = (uint8_t)e->park.wait;
	v->stack = e->stack;
	v->wait_for.object = e->park.object;
	v->wait_for.n_cases = e->park.n_cases;
	v->wait_for.io_mode = e->park.io_mode;
	v->wait_for.file = keep_file(l, life, &e->park.file);
}

static void on_park(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	if (life->open.kind == GS_IVL_WAIT && !(e->flags & GS_EV_ADOPTED) &&
	    e->t_ns - life->open.start_ns < TWICE_NS && life->open.wait == e->park.wait) {
		l->counts.repeated++;
		set_wait(l, life, e);
		return;
	}
	must_be_on(l, life, e);
	close_open(l, life, e->t_ns, &e->usage);
	life->in_assist = false; // gcAssistAlloc1 does not park, so this is after it
	open_as(l, life, GS_IVL_WAIT, e->t_ns, e->tid);
	set_wait(l, life, e);
}

static void on_yield(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	if (life->open.kind == GS_IVL_READY && !(e->flags & GS_EV_ADOPTED)) {
		l->counts.repeated++; // goyield_m is seen through runqput as well
		return;
	}
	must_be_on(l, life, e);
	close_open(l, life, e->t_ns, &e->usage);
	open_as(l, life, GS_IVL_READY, e->t_ns, e->tid);
	if (e->flags & GS_EV_SYSCALL)
		life->open.flags |= GS_IVL_F_SYSCALL;
}

static void on_gone(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	must_be_on(l, life, e);
	close_open(l, life, e->t_ns, &e->usage);
	life->open = (struct gs_interval){ .kind = GS_IVL_NONE };
	life->in_assist = false;
	gs__life_bury(l, life);
}

/* An event that ends one stretch on CPU and begins another. */
static void on_usage(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	must_be_on(l, life, e);
	close_open(l, life, e->t_ns, &e->usage);
	if (e->kind == GS_EV_RUNTIME) {
		life->in_assist = e->runtime.what == GS_RUNTIME_ASSIST_BEGIN;
		life->assist_stack = e->stack;
	}
	open_as(l, life, GS_IVL_ON, e->t_ns, e->tid);
}

static uint16_t off_flags(const struct gs_event *e)
{
	static const struct {
		uint16_t event, interval;
	} same[] = {
		{ GS_EV_SYSCALL, GS_IVL_F_SYSCALL }, { GS_EV_FAULT, GS_IVL_F_FAULT },
		{ GS_EV_MAJOR, GS_IVL_F_MAJOR },     { GS_EV_RECLAIM, GS_IVL_F_RECLAIM },
		{ GS_EV_CGO, GS_IVL_F_CGO },
	};
	uint16_t flags = 0;

	for (size_t i = 0; i < GS_ARRAY_SIZE(same); i++)
		if (e->flags & same[i].event)
			flags |= same[i].interval;
	if (e->off_cpu.task_state == 0)
		flags |= GS_IVL_F_RUNNABLE;
	if (e->off_cpu.io_wait)
		flags |= GS_IVL_F_IO_WAIT;
	return flags;
}

static void on_off_cpu(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	struct gs_event begin = { .t_ns = e->off_cpu.off_ns, .tid = e->tid };
	int64_t wake = e->off_cpu.wake_ns;
	struct gs_interval *v;

	if (begin.t_ns > e->t_ns)
		begin.t_ns = e->t_ns;
	must_be_on(l, life, &begin);
	close_open(l, life, begin.t_ns, &e->usage);
	open_as(l, life, GS_IVL_OFF, begin.t_ns, e->tid);
	v = &life->open;
	v->flags = off_flags(e);
	v->stack = e->stack;
	v->kernel_stack = e->kernel_stack;
	if (wake < v->start_ns)
		wake = v->flags & GS_IVL_F_RUNNABLE ? v->start_ns : e->t_ns;
	v->off.wake_ns = wake < e->t_ns ? wake : e->t_ns;
	v->off.waker = e->off_cpu.waker_goid;
	v->off.arg = e->off_cpu.arg[0];
	v->off.syscall = e->off_cpu.syscall;
	v->off.file = keep_file(l, life, &e->off_cpu.file);
	close_open(l, life, e->t_ns, NULL);
	open_as(l, life, GS_IVL_ON, e->t_ns, e->tid);
}

static void on_sample(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	struct gs_interval v = { .kind = GS_IVL_SAMPLE,
				 .start_ns = e->t_ns,
				 .end_ns = e->t_ns,
				 .stack = e->stack,
				 .kernel_stack = e->kernel_stack,
				 .tid = e->tid };

	if (life->open.kind == GS_IVL_ON && e->t_ns >= life->open.start_ns)
		append(l, life, &v);
}

static void end_stop(struct gs_lives *l, int64_t t)
{
	l->stops[l->n_stops++ % GS__STOPS] =
		(struct gs__stop){ .begin_ns = l->stop_begin_ns, .end_ns = t };
	l->stop_begin_ns = 0;
}

static void on_runtime(struct gs_lives *l, const struct gs_event *e)
{
	if (e->runtime.what == GS_RUNTIME_STW_BEGIN) {
		if (!l->stop_begin_ns)
			l->stop_begin_ns = e->t_ns;
	} else if (e->runtime.what == GS_RUNTIME_STW_END && l->stop_begin_ns) {
		end_stop(l, e->t_ns);
	}
}

/* ---- less is seen ---- */

bool gs_lives_thinned_out(const struct gs_lives *l, uint64_t goid)
{
	return l->thin_mask && gs_thinned_out(goid, l->thin_mask);
}

/* What it did up to now is known, but for what its thread did since it was last heard of. */
static void let_go(struct gs_lives *l, struct gs_life *life)
{
	if (!gs_lives_thinned_out(l, life->goid))
		return;
	if (life->open.kind == GS_IVL_WAIT)
		life->open.flags |= GS_IVL_F_NO_WAKER;
	else if (life->open.kind == GS_IVL_ON)
		life->open.flags |= GS_IVL_F_UNSEEN;
	close_open(l, life, l->now_ns, NULL);
	life->open = (struct gs_interval){ .kind = GS_IVL_NONE };
	life->in_assist = false;
	l->counts.thinned++;
	gs__life_bury(l, life);
}

/* Threads that are off the CPU now will not be told of: that concerns all of the current stretch. */
static void see_less(struct gs_lives *l, struct gs_life *life)
{
	if (life->open.kind == GS_IVL_ON && l->unseen & GS_UNSEEN_THREADS)
		life->open.flags |= GS_IVL_F_UNSEEN;
	if (l->unseen & GS_UNSEEN_RUNTIME)
		life->in_assist = false;
}

static void on_detached(struct gs_lives *l, const struct gs_event *e)
{
	l->unseen |= e->detached.unseen;
	if (l->unseen & GS_UNSEEN_RUNTIME && l->stop_begin_ns)
		end_stop(l, e->t_ns);
	gs__lives_each(l, see_less);
}

static void on_thinned(struct gs_lives *l, const struct gs_event *e)
{
	l->thin_mask |= e->thinned.mask;
	gs__lives_each(l, let_go);
}

static bool about_a_life(const struct gs_event *e)
{
	switch (e->kind) {
	case GS_EV_GO_STATE:
	case GS_EV_GO_CREATE:
	case GS_EV_GO_READY:
	case GS_EV_GO_RUN:
	case GS_EV_GO_PARK:
	case GS_EV_GO_YIELD:
	case GS_EV_GO_EXIT:
	case GS_EV_CALL_BEGIN:
	case GS_EV_CALL_END:
	case GS_EV_OFF_CPU:
	case GS_EV_SAMPLE:
		return e->goid != 0;
	case GS_EV_RUNTIME:
		return e->goid != 0 && (e->runtime.what == GS_RUNTIME_ASSIST_BEGIN ||
					e->runtime.what == GS_RUNTIME_ASSIST_END);
	default:
		return false;
	}
}

static void live(struct gs_lives *l, struct gs_life *life, const struct gs_event *e)
{
	switch (e->kind) {
	case GS_EV_GO_STATE:
		on_state(l, life, e);
		break;
	case GS_EV_GO_CREATE:
		on_create(l, life, e);
		break;
	case GS_EV_GO_READY:
		on_ready(l, life, e);
		break;
	case GS_EV_GO_RUN:
		on_run(l, life, e);
		break;
	case GS_EV_GO_PARK:
		on_park(l, life, e);
		break;
	case GS_EV_GO_YIELD:
		on_yield(l, life, e);
		break;
	case GS_EV_GO_EXIT:
		on_gone(l, life, e);
		break;
	case GS_EV_OFF_CPU:
		on_off_cpu(l, life, e);
		break;
	case GS_EV_SAMPLE:
		on_sample(l, life, e);
		break;
	default:
		on_usage(l, life, e);
		break;
	}
}

void gs_lives_event(struct gs_lives *l, const struct gs_event *e)
{
	struct gs_life *life;

	l->counts.events++;
	if (e->t_ns > l->now_ns)
		l->now_ns = e->t_ns;
	if (e->kind == GS_EV_RUNTIME)
		on_runtime(l, e);
	else if (e->kind == GS_EV_THINNED)
		on_thinned(l, e);
	else if (e->kind == GS_EV_DETACHED)
		on_detached(l, e);
	if (!about_a_life(e) || gs_lives_thinned_out(l, e->goid))
		return;
	life = gs__life_get(l, e->goid);
	if (!life)
		l->counts.not_followed++;
	else if (life->dead)
		l->counts.repeated++; // the scheduler's last words about it
	else
		live(l, life, e);
}
