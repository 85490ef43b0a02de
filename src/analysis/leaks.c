/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Runs the detectors one after the other and puts their findings in order. A detector that cannot work on this
 * target (no heap found, no sockets to see) is told of in incomplete, and the others still run; if none can, that is
 * the failure.
 */
#include "analysis/leaks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "analysis/leaks_private.h"
#include "base/clock.h"

#define ARENA_BYTES ((size_t)256 << 20)
#define PROGRESS_NS 200000000

bool gs__leaks_progress(struct gs_leaks *l, const char *what)
{
	if (!l->ended && l->o.progress && l->o.progress(l->o.progress_ctx, what) != 0)
		l->ended = true;
	return l->ended;
}

bool gs__leaks_wait(struct gs_leaks *l, int64_t ns, const char *what)
{
	int64_t end_ns = gs_now_ns() + ns;

	for (;;) {
		int64_t left_ns = end_ns - gs_now_ns();
		struct timespec ts = { .tv_nsec = PROGRESS_NS };

		if (gs__leaks_progress(l, what))
			return false;
		if (left_ns <= 0)
			return true;
		if (left_ns < PROGRESS_NS)
			ts.tv_nsec = (long)left_ns;
		nanosleep(&ts, NULL); // a signal asks progress earlier
	}
}

static int finding_order(const void *a, const void *b)
{
	const struct gs_leak *x = a, *y = b;
	uint64_t gx = x->n_ids ? x->goroutine_ids[0] : 0, gy = y->n_ids ? y->goroutine_ids[0] : 0;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return (gx > gy) - (gx < gy);
}

/* A detector failed: with the target itself nothing else will work, without it the others may. */
static int tolerate(struct gs_leaks *l, const char *what, int r, struct gs_err *err)
{
	if (r >= 0 || r == -GS_E_GONE || r == -GS_E_PERMISSION || r == -ENOMEM)
		return r;
	gs_incomplete_add(&l->incomplete, what, 1, "%s", err->text);
	return 0;
}

/* What is unreachable, and all that needs to be read for findings. */
static int detect_unreachable(struct gs_leaks *l, struct gs_err *err)
{
	int r = 0;

	if (l->o.unreachable && !l->ended)
		r = tolerate(l, "unreachable_not_searched", gs__leaks_unreachable(l, err), err);
	return r == 0 ? gs__leaks_findings(l, err) : r;
}

/* The same while the target stands: connections need time, so they are done with. */
static int detect_stopped(struct gs_leaks *l, struct gs_err *err)
{
	int r = gs_target_stop(l->target, l->o.stop_max_ns, err), resumed;

	if (r < 0)
		return r;
	l->o.still = true;
	r = detect_unreachable(l, err);
	resumed = gs_target_resume(l->target, &l->result.paused_ns, r < 0 ? NULL : err);
	l->o.still = false;
	return r < 0 ? r : resumed;
}

static int detect(struct gs_leaks *l, struct gs_err *err)
{
	const struct gs_leaks_options *o = &l->o;
	struct gs_err last = { 0 };
	int r = 0;

	if (o->connections)
		r = tolerate(l, "connections_not_searched", gs__leaks_closed(l, &last), &last);
	if (r == 0)
		r = o->stop_max_ns && o->unreachable ? detect_stopped(l, &last)
						     : detect_unreachable(l, &last);
	if (r == 0 && o->growth && !l->ended)
		r = tolerate(l, "growth_not_watched", gs__leaks_growth(l, &last), &last);
	if (r == 0 && !l->ended && l->incomplete.n && last.code < 0 &&
	    !l->result.ran[GS_LEAK_UNREACHABLE] && !l->result.ran[GS_LEAK_CONNECTION] &&
	    !l->result.ran[GS_LEAK_GROWTH])
		r = last.code; // not one of them could do its work
	if (r < 0 && err)
		*err = last;
	return r;
}

/* At a program's end what was running is in exit_group(2) or behind it: there is no stack to be missed. */
static void forget_running(struct gs_incomplete_list *inc)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < inc->n; i++)
		if (strcmp(inc->item[i].what, "running_without_stack") != 0)
			inc->item[n++] = inc->item[i];
	inc->n = n;
}

static uint64_t wall_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int gs_leaks_find(struct gs_target *t, struct gs_rt *rt, const struct gs_leaks_options *o,
		  struct gs_leaks **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_leaks_freep) struct gs_leaks *l = gs_array_new(1, sizeof(*l));
	int r;

	if (l)
		l->arena = gs_arena_new(ARENA_BYTES);
	if (!l || !l->arena)
		return gs_fail(err, -ENOMEM, 0, "no memory to look for leaks");
	l->target = t;
	l->rt = rt;
	l->o = *o;
	l->o.still |= gs_target_kind(t) == GS_TARGET_CORE;
	r = detect(l, err);
	if (r < 0)
		return r;
	if (l->o.ended)
		forget_running(&l->incomplete);
	if (l->ended)
		gs_incomplete_add(&l->incomplete, "interrupted", 1,
				  "ended early; what was not confirmed is left out");
	gs_incomplete_add(&l->incomplete, "core_bytes_missing", gs_target_missing_bytes(t),
			  "the core file is cut off: this much of the memory it promises is not "
			  "in it");
	r = l->o.still ? 0 : gs_target_alive(t, err);
	if (r < 0)
		return r;
	if (l->result.n_leaks)
		qsort(l->leaks, l->result.n_leaks, sizeof(*l->leaks), finding_order);
	l->result.process = &gs_rt_facts(rt)->process;
	l->result.time_unix_ns = wall_clock_ns();
	l->result.leaks = l->leaks;
	l->result.still = l->o.still || l->result.paused_ns > 0;
	l->result.exit_status = -1;
	l->result.incomplete = &l->incomplete;
	*ret = GS_TAKE(l);
	return 0;
}

struct gs_leaks *gs_leaks_free(struct gs_leaks *l)
{
	if (!l)
		return NULL;
	gs__look_free(l->look);
	gs_arena_free(l->arena);
	free(l->items.item);
	free(l->waiters);
	free(l->leaks);
	free(l);
	return NULL;
}

struct gs_leaks_result *gs_leaks_result(struct gs_leaks *l)
{
	return &l->result;
}
