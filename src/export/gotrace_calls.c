/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What goroutines do, in a Go execution trace: requests and watched functions as what runtime/trace calls tasks and
 * regions, GC assists and stopped worlds as ranges.
 *
 * Readers want regions of a goroutine to nest, with the name of the begin at the end, and ranges to be over
 * before their goroutine is (order.go, testtrace/validation.go). What a call is named after must be
 * known at its begin, and there are few different names: the method, or a gRPC method in full, or the function. A
 * path is a log line of the task.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "export/gotrace_sched.h"

#define CALLS_MAX (1u << 20) /* open at once */
#define DEPTH_MAX 16u        /* of one goroutine */

/* stwReasonStrings in runtime/proc.go, Go 1.21 to 1.27. */
static const char *const stw_reasons[] = {
	"unknown",
	"GC mark termination",
	"GC sweep termination",
	"write heap dump",
	"goroutine profile",
	"goroutine profile cleanup",
	"all goroutines stack trace",
	"read mem stats",
	"AllThreadsSyscall",
	"GOMAXPROCS",
	"start trace",
	"stop trace",
};

static uint64_t stw_name(struct gs__gt_sched *s, uint8_t reason)
{
	const char *name = stw_reasons[reason < GS_ARRAY_SIZE(stw_reasons) ? reason : 0];

	return gs__gt_string(&s->file, name, strlen(name));
}

void gs__gt_range_begin(struct gs__gt_sched *s, struct gs__gt_g *g, uint8_t range, uint64_t reason,
			uint64_t stack, int64_t t_ns)
{
	if (g->ranges & range)
		return;
	g->ranges |= range;
	if (range == GS__GT_IN_ASSIST) {
		GS__GT_EMIT(s, g->m, t_ns, GS__GT_ASSIST_BEGIN, stack);
		return;
	}
	g->stw = reason < GS_ARRAY_SIZE(stw_reasons) ? (uint8_t)reason : 0;
	GS__GT_EMIT(s, g->m, t_ns, GS__GT_STW_BEGIN, stw_name(s, g->stw), stack);
}

void gs__gt_range_end(struct gs__gt_sched *s, struct gs__gt_g *g, uint8_t range, int64_t t_ns)
{
	if (!(g->ranges & range))
		return;
	g->ranges &= (uint8_t)~range;
	/* Readers take the name of a stop from the tables of the generation of its end. */
	if (range == GS__GT_IN_STW)
		(void)stw_name(s, g->stw);
	gs__gt_emit(s, g->m, t_ns, range == GS__GT_IN_STW ? GS__GT_STW_END : GS__GT_ASSIST_END,
		    NULL, 0);
}

/* --- Calls ------------------------------------------------------------------------------------------- */

/* An unused entry: 1 + its index, or 0. */
static uint32_t call_new(struct gs__gt_sched *s)
{
	uint32_t i = s->free_call;

	if (i) {
		s->free_call = s->calls[i - 1].next;
		return i;
	}
	if (s->n_calls == s->calls_cap) {
		uint32_t n = s->calls_cap ? s->calls_cap * 2 : 64;
		struct gs__gt_call *calls =
			n <= CALLS_MAX ? gs_array_resize(s->calls, n, sizeof(*calls)) : NULL;

		if (!calls) {
			s->untracked++;
			return 0;
		}
		s->calls = calls;
		s->calls_cap = n;
	}
	return ++s->n_calls;
}

static void log_line(struct gs__gt_sched *s, struct gs__gt_g *g, uint64_t task, const char *key,
		     const char *text, size_t n, int64_t t_ns)
{
	GS__GT_EMIT(s, g->m, t_ns, GS__GT_LOG, task, gs__gt_string(&s->file, key, strlen(key)),
		    gs__gt_string_once(&s->file, text, n), 0);
}

void gs__gt_call_begin(struct gs__gt_sched *s, struct gs__gt_g *g, const struct gs_event *e,
		       const char *name, size_t name_len)
{
	uint32_t depth = g->calls ? s->calls[g->calls - 1].depth + 1 : 1, i;
	struct gs__gt_call *c;
	uint64_t id, stack;

	i = depth <= DEPTH_MAX ? call_new(s) : 0;
	if (!i)
		return;
	c = &s->calls[i - 1];
	*c = (struct gs__gt_call){
		.task = ++s->last_task, /* 0 would be the background task */
		.sp = e->call.sp,
		.kind = e->call.call,
		.next = g->calls,
		.depth = depth,
		.name_len = name_len < sizeof(c->name) ? (uint32_t)name_len : sizeof(c->name),
	};
	memcpy(c->name, name, c->name_len);
	g->calls = i;
	id = gs__gt_string(&s->file, c->name, c->name_len);
	stack = gs__gt_stack(&s->file, e->stack);
	GS__GT_EMIT(s, g->m, e->t_ns, GS__GT_TASK_BEGIN, c->task, 0, id, stack);
	GS__GT_EMIT(s, g->m, e->t_ns, GS__GT_REGION_BEGIN, c->task, id, stack);
	if (e->call.path_len)
		log_line(s, g, c->task, "path", e->call.path, e->call.path_len, e->t_ns);
	if (e->call.peer_len)
		log_line(s, g, c->task, "peer", e->call.peer, e->call.peer_len, e->t_ns);
}

/* The innermost call ends. */
static void pop(struct gs__gt_sched *s, struct gs__gt_g *g, int64_t t_ns)
{
	struct gs__gt_call *c = &s->calls[g->calls - 1];
	uint32_t i = g->calls;

	GS__GT_EMIT(s, g->m, t_ns, GS__GT_REGION_END, c->task,
		    gs__gt_string(&s->file, c->name, c->name_len), 0);
	GS__GT_EMIT(s, g->m, t_ns, GS__GT_TASK_END, c->task, 0);
	g->calls = c->next;
	c->next = s->free_call;
	s->free_call = i;
}

void gs__gt_call_end(struct gs__gt_sched *s, struct gs__gt_g *g, const struct gs_event *e)
{
	uint32_t i = g->calls, found = 0;
	char text[32];

	/* A request's end may come from another frame than its begin: only functions compare sp. */
	for (; i && !found; i = s->calls[i - 1].next) {
		const struct gs__gt_call *c = &s->calls[i - 1];

		if (c->kind == (uint32_t)e->call.call &&
		    (e->call.call != GS_CALL_FUNCTION || c->sp == e->call.sp))
			found = i;
	}
	if (!found)
		return;
	while (g->calls != found)
		pop(s, g, e->t_ns);
	if (e->call.status >= 0) {
		int n = snprintf(text, sizeof(text), "%d", e->call.status);

		log_line(s, g, s->calls[found - 1].task, "status", text, (size_t)n, e->t_ns);
	}
	if (e->call.pattern_len)
		log_line(s, g, s->calls[found - 1].task, "pattern", e->call.pattern,
			 e->call.pattern_len, e->t_ns);
	pop(s, g, e->t_ns);
}

void gs__gt_calls_end(struct gs__gt_sched *s, struct gs__gt_g *g, int64_t t_ns)
{
	while (g->calls)
		pop(s, g, t_ns);
	gs__gt_range_end(s, g, GS__GT_IN_ASSIST, t_ns);
	gs__gt_range_end(s, g, GS__GT_IN_STW, t_ns);
}
