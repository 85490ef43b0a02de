/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A Go scheduler made of dice; see timeline_world.h. Each step picks something that can happen in the
 * state it is in: what a running goroutine does on its thread, or what the scheduler does. Rules kept: a running
 * goroutine has a thread and a P, one of each; a system call keeps its thread and may lose its P; a waiting
 * one is made ready by another or by the scheduler.
 */
#include "timeline_world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "event_script.h"

struct g {
	int state;
	int64_t since, off_ns;
	int m; /* running or in a system call on */
	uint32_t calls;
	bool assist, coroutine; /* waits for being switched to */
	bool fresh;             /* was, and has not been heard of since */
	size_t truth;
};

struct m {
	int32_t tid;
	int g, p; /* -1: none */
};

#define COROUTINES 3 /* that wait for being switched to */

struct sim {
	struct world_options o;
	uint64_t rng;
	int64_t now, next_gauge;
	struct g *g;
	struct world_goroutine *truth;
	size_t n_g, cap_g;
	struct m *m;
	int *p; /* thread that has it, -1: idle */
	struct gs_event *ev;
	size_t n_ev;
	struct gs_event_source *source;
	uint32_t stacks[64];
	const struct gs_frame *starts[8];
	int stw; /* goroutine that stopped the world, -1 */
	bool gc;
	uint64_t calls, gcs;
	size_t coroutine[COROUTINES];
	uint32_t thin_mask;
};

static uint64_t dice(struct sim *s, uint64_t n)
{
	s->rng ^= s->rng << 13;
	s->rng ^= s->rng >> 7;
	s->rng ^= s->rng << 17;
	return n ? (s->rng >> 11) % n : 0;
}

static void enter(struct sim *s, struct g *g, int state, int64_t t)
{
	struct world_goroutine *truth = &s->truth[g->truth];

	bool told = !gs_thinned_out(truth->goid, s->thin_mask);

	if (told && g->state < WORLD_STATES)
		truth->ns[g->state] += t - g->since;
	if (told && state < WORLD_STATES)
		truth->n[state]++;
	g->state = state;
	g->since = t;
}

static struct gs_event *event(struct sim *s, enum gs_event_kind kind, uint64_t goid, int m)
{
	struct gs_event *e = &s->ev[s->n_ev++];

	*e = (struct gs_event){ .t_ns = s->now, .goid = goid, .kind = (uint16_t)kind };
	e->tid = m >= 0 ? s->m[m].tid : 0;
	if (m >= 0 && s->m[m].g >= 0 &&
	    (kind == GS_EV_GO_CREATE || kind == GS_EV_CALL_BEGIN || kind == GS_EV_CALL_END ||
	     kind == GS_EV_RUNTIME))
		s->g[s->m[m].g].fresh = false;
	return e;
}

static const struct gs_frame *start_frame(struct sim *s, const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "%s@start.go:7", name);
	return event_script_frame(s->source, text);
}

static size_t new_g(struct sim *s, int state)
{
	static const char *const names[] = { "main.main",    "main.serve",     "main.worker",
					     "net/http.run", "main.tick",      "main.f[...]",
					     "main.leak",    "x.y/z.(*T).Loop" };
	size_t i = s->n_g++;

	if (i >= s->cap_g) {
		s->cap_g = s->cap_g ? s->cap_g * 2 : 1024;
		s->g = realloc(s->g, s->cap_g * sizeof(*s->g));
		s->truth = realloc(s->truth, s->cap_g * sizeof(*s->truth));
		if (!s->g || !s->truth)
			abort();
	}
	s->truth[i] = (struct world_goroutine){ .goid = i + 1, .start = names[i % 8] };
	s->g[i] = (struct g){ .state = WORLD_STATES, .m = -1, .truth = i };
	if (!s->starts[i % 8])
		s->starts[i % 8] = start_frame(s, names[i % 8]);
	enter(s, &s->g[i], state, s->now);
	return i;
}

static uint32_t any_stack(struct sim *s)
{
	static const char *const inner[] = { "runtime.gopark@proc.go:435",
					     "runtime.chanrecv@chan.go:1",
					     "sync.(*Mutex).Lock@mutex.go:2",
					     "net.(*conn).Read@net.go:3" };
	uint64_t n = dice(s, 64);
	char text[160];

	if (!s->stacks[n]) {
		snprintf(text, sizeof(text),
			 "%s<main.f%d@f.go:%d<main.g%d@g.go:9<main.main@main.go:3", inner[n % 4],
			 (int)n, (int)n + 1, (int)n / 4);
		s->stacks[n] = event_script_stack(s->source, text);
	}
	return s->stacks[n];
}

/* A goroutine in @state, from a random place on; -1: none near. */
static int find_g(struct sim *s, int state)
{
	size_t from = (size_t)dice(s, s->n_g);

	for (size_t i = 0; i < 64 && i < s->n_g; i++) {
		const struct g *g = &s->g[(from + i) % s->n_g];

		if (g->state == state && !g->coroutine)
			return (int)((from + i) % s->n_g);
	}
	return -1;
}

static int find_m(struct sim *s, bool running)
{
	size_t from = (size_t)dice(s, s->o.threads);

	for (uint32_t i = 0; i < s->o.threads; i++) {
		int m = (int)((from + i) % s->o.threads);

		if (running ? s->m[m].g >= 0 && s->g[s->m[m].g].state == WORLD_RUNNING
			    : s->m[m].g < 0)
			return m;
	}
	return -1;
}

/* The P for a goroutine that is about to run on @m: its own, an idle one, or that of a system call. */
static int find_p(struct sim *s, int m)
{
	int from = (int)dice(s, s->o.ps);

	if (s->m[m].p >= 0 && dice(s, 8))
		return s->m[m].p;
	for (uint32_t i = 0; i < s->o.ps; i++) {
		int p = (from + (int)i) % (int)s->o.ps, has = s->p[p];

		if (has < 0 || s->m[has].g < 0)
			return p;
		if (s->g[s->m[has].g].state == WORLD_SYSCALL)
			return p;
	}
	return -1;
}

static void take_p(struct sim *s, int m, int p)
{
	if (s->m[m].p >= 0)
		s->p[s->m[m].p] = -1;
	if (s->p[p] >= 0)
		s->m[s->p[p]].p = -1;
	s->p[p] = m;
	s->m[m].p = p;
}

static void do_run(struct sim *s)
{
	int g = find_g(s, WORLD_RUNNABLE), m = find_m(s, false), p;

	p = g >= 0 && m >= 0 ? find_p(s, m) : -1;
	if (p < 0)
		return;
	take_p(s, m, p);
	s->m[m].g = g;
	s->g[g].m = m;
	s->g[g].fresh = false;
	enter(s, &s->g[g], WORLD_RUNNING, s->now);
	event(s, GS_EV_GO_RUN, (uint64_t)g + 1, m)->run.p = s->o.no_ps ? -1 : p;
}

static void leave(struct sim *s, int g, int state)
{
	enter(s, &s->g[g], state, s->now);
	s->m[s->g[g].m].g = -1;
	s->g[g].m = -1;
}

static void do_park(struct sim *s, int m)
{
	static const char *const reasons[] = { "chan receive",  "select",    "sync.Mutex.Lock",
					       "IO wait",       "sleep",     "semacquire",
					       "GC sweep wait", "coroutine", "new words" };
	int g = s->m[m].g;
	const char *reason = reasons[dice(s, 9)];
	struct gs_event *e = event(s, GS_EV_GO_PARK, (uint64_t)g + 1, m);

	e->stack = any_stack(s);
	e->park.reason = reason;
	e->park.wait = gs_wait_of(reason);
	leave(s, g, WORLD_WAITING);
}

static void do_ready(struct sim *s, int m)
{
	int g = find_g(s, WORLD_WAITING);
	struct gs_event *e;

	if (g < 0)
		return;
	e = event(s, GS_EV_GO_READY, (uint64_t)g + 1, m);
	if (m >= 0 && dice(s, 2)) {
		e->ready.waker = (uint64_t)s->m[m].g + 1;
		e->stack = any_stack(s);
	} else if (m >= 0) {
		e->tid = 0;
	}
	enter(s, &s->g[g], WORLD_RUNNABLE, s->now);
}

static void do_create(struct sim *s, int m)
{
	size_t g = new_g(s, WORLD_RUNNABLE);
	struct gs_event *e = event(s, GS_EV_GO_CREATE, g + 1, m);

	e->create.parent = (uint64_t)s->m[m].g + 1;
	e->stack = any_stack(s);
	e->create.start = s->starts[g % 8];
}

static void end_calls(struct sim *s, int g, int m)
{
	for (; s->g[g].calls; s->g[g].calls--) {
		struct gs_event *e = event(s, GS_EV_CALL_END, (uint64_t)g + 1, m);

		e->call.call = GS_CALL_HTTP1;
		e->call.status = 200;
		e->call.pattern = "/x/{id}";
		e->call.pattern_len = 7;
		s->now++;
	}
}

static void do_exit(struct sim *s, int m)
{
	int g = s->m[m].g;

	if (s->g[g].assist || s->stw == g)
		return;
	end_calls(s, g, m);
	(void)event(s, GS_EV_GO_EXIT, (uint64_t)g + 1, m);
	leave(s, g, WORLD_STATES);
}

/* A coroutine gives its thread to another one: nothing tells to which. */
static void do_switch(struct sim *s, int m)
{
	int g = s->m[m].g, other = -1;
	struct gs_event *e;

	for (int i = 0; i < COROUTINES && i < (int)s->n_g; i++)
		if (s->g[s->coroutine[i]].coroutine)
			other = (int)s->coroutine[i];
	/* With thinned goroutines a switch may be seen by halves. */
	if (other < 0 || s->stw == g || s->o.thin)
		return;
	e = event(s, GS_EV_GO_PARK, (uint64_t)g + 1, m);
	e->park.reason = "coroutine";
	e->park.wait = GS_WAIT_COROUTINE;
	e->stack = any_stack(s);
	leave(s, g, WORLD_WAITING);
	s->g[g].coroutine = true;
	for (int i = 0; i < COROUTINES; i++)
		if (s->coroutine[i] == (size_t)other)
			s->coroutine[i] = (size_t)g;
	s->g[other].coroutine = false;
	s->g[other].fresh = true;
	s->g[other].m = m;
	s->m[m].g = other;
	enter(s, &s->g[other], WORLD_RUNNABLE, s->now);
	enter(s, &s->g[other], WORLD_RUNNING, s->now);
}

static void do_yield(struct sim *s, int m)
{
	struct gs_event *e = event(s, GS_EV_GO_YIELD, (uint64_t)s->m[m].g + 1, m);

	e->flags = dice(s, 2) ? GS_EV_PREEMPTED : 0;
	leave(s, s->m[m].g, WORLD_RUNNABLE);
}

static void do_call(struct sim *s, int m)
{
	int g = s->m[m].g;
	struct gs_event *e;

	if (s->g[g].calls >= 3 || dice(s, 3) == 0) {
		end_calls(s, g, m);
		return;
	}
	e = event(s, GS_EV_CALL_BEGIN, (uint64_t)g + 1, m);
	e->call.call = GS_CALL_HTTP1;
	e->call.status = -1;
	e->call.bytes = -1;
	e->call.method = dice(s, 2) ? "GET" : "POST";
	e->call.method_len = (uint16_t)strlen(e->call.method);
	e->call.path = "/x/1234";
	e->call.path_len = 7;
	e->call.sp = 0xc000000000 + s->g[g].calls * 64;
	s->g[g].calls++;
	s->calls++;
}

static void do_runtime(struct sim *s, int m)
{
	int g = s->m[m].g;
	struct gs_event *e = event(s, GS_EV_RUNTIME, (uint64_t)g + 1, m);

	if (s->stw == g) {
		e->runtime.what = GS_RUNTIME_STW_END;
		s->stw = -1;
	} else if (s->stw < 0 && dice(s, 3) == 0) {
		e->runtime.what = GS_RUNTIME_STW_BEGIN;
		e->runtime.arg = dice(s, 14);
		s->stw = g;
	} else if (dice(s, 2)) {
		e->runtime.what = s->gc ? GS_RUNTIME_GC_END : GS_RUNTIME_GC_BEGIN;
		s->gc = !s->gc;
		s->gcs += s->gc;
	} else {
		e->runtime.what = s->g[g].assist ? GS_RUNTIME_ASSIST_END : GS_RUNTIME_ASSIST_BEGIN;
		s->g[g].assist = !s->g[g].assist;
		e->stack = any_stack(s);
	}
}

/* A goroutine of @m goes into a system call: nothing is seen of it yet. */
static void do_syscall(struct sim *s, int m)
{
	struct g *g = &s->g[s->m[m].g];

	/* Not right after a switch: that it lost its P there could not be told from the thread being idle. */
	if (g->fresh)
		return;
	enter(s, g, WORLD_SYSCALL, s->now);
	g->off_ns = s->now;
}

static int find_syscall(struct sim *s)
{
	size_t from = (size_t)dice(s, s->o.threads);

	for (uint32_t i = 0; i < s->o.threads; i++) {
		int g = s->m[(from + i) % s->o.threads].g;

		if (g >= 0 && s->g[g].state == WORLD_SYSCALL)
			return g;
	}
	return -1;
}

/* Back from it: with a P or without. */
static void do_syscall_end(struct sim *s)
{
	int g = find_syscall(s), m;
	struct gs_event *e;

	if (g < 0)
		return;
	m = s->g[g].m;
	e = event(s, GS_EV_OFF_CPU, (uint64_t)g + 1, m);
	e->flags = GS_EV_SYSCALL;
	e->off_cpu.off_ns = s->g[g].off_ns;
	e->off_cpu.syscall = 0;
	e->off_cpu.task_state = 1;
	e->stack = any_stack(s);
	if (s->m[m].p < 0 && dice(s, 2)) {
		int p = find_p(s, m);

		if (p >= 0) {
			/* As the runtime's own traces have it. */
			take_p(s, m, p);
			enter(s, &s->g[g], WORLD_RUNNABLE, s->now);
			enter(s, &s->g[g], WORLD_RUNNING, s->now);
			return;
		}
	}
	if (s->m[m].p >= 0) {
		enter(s, &s->g[g], WORLD_RUNNING, s->now);
		return;
	}
	s->now += 1 + (int64_t)dice(s, 1000);
	event(s, GS_EV_GO_YIELD, (uint64_t)g + 1, m)->flags = GS_EV_SYSCALL;
	leave(s, g, WORLD_RUNNABLE);
}

static void do_gauge(struct sim *s)
{
	struct gs_event *e;

	if (s->now < s->next_gauge)
		return;
	s->next_gauge = s->now + 100 * s->o.step_ns;
	e = event(s, GS_EV_GAUGE, 0, -1);
	e->gauge.heap_live_bytes = 1000000 + dice(s, 1000000);
	e->gauge.heap_goal_bytes = 3000000;
	e->gauge.gomaxprocs = s->o.ps;
	e->gauge.goroutines = s->n_g;
	e->gauge.runnable_global = dice(s, 10);
	e->gauge.runnable_local = dice(s, 10);
}

static void do_sample(struct sim *s, int m)
{
	struct gs_event *e = event(s, GS_EV_SAMPLE, (uint64_t)s->m[m].g + 1, m);

	e->stack = any_stack(s);
	e->sample.period_ns = 10000000;
}

static void step_simple(struct sim *s)
{
	int m = find_m(s, true);
	uint64_t d = dice(s, 100);

	if (m < 0 || d < 34)
		do_run(s);
	else if (d < 63)
		do_park(s, m);
	else if (d < 92)
		do_ready(s, m);
	else if (d < 95)
		do_yield(s, m);
	else if (d < 98)
		do_create(s, m);
	else
		do_exit(s, m);
}

static void step(struct sim *s)
{
	int m = find_m(s, true);
	uint64_t d = dice(s, 100);

	s->now += 1 + (int64_t)dice(s, (uint64_t)s->o.step_ns * 2);
	if (s->o.simple || d < 60)
		step_simple(s);
	else if (d < 68)
		do_syscall_end(s);
	else if (m < 0)
		do_ready(s, -1);
	else if (d < 76)
		do_syscall(s, m);
	else if (d < 78)
		do_switch(s, m);
	else if (d < 84)
		do_call(s, m);
	else if (d < 90)
		do_runtime(s, m);
	else if (d < 94)
		do_gauge(s);
	else if (d < 98)
		do_sample(s, m);
	else
		do_ready(s, -1);
}

/* Goroutines on threads: one per P that runs, some in system calls, with a P or without. */
static void begin_on_threads(struct sim *s)
{
	for (uint32_t i = 0; i < s->o.threads; i++) {
		int state = i < s->o.ps && dice(s, 3) ? WORLD_RUNNING : WORLD_SYSCALL;
		struct gs_event *e;
		size_t g;

		if (state == WORLD_SYSCALL && dice(s, 3))
			continue;
		g = new_g(s, state);
		s->g[g].m = (int)i;
		s->g[g].off_ns = s->now;
		s->m[i].g = (int)g;
		if (state == WORLD_RUNNING)
			take_p(s, (int)i, (int)i);
		if (s->o.no_state)
			continue;
		e = event(s, GS_EV_GO_STATE, g + 1, (int)i);
		e->state.state = state == WORLD_RUNNING ? GS_G_RUNNING : GS_G_SYSCALL;
		e->state.start = s->starts[g % 8];
	}
}

static void begin(struct sim *s)
{
	if (s->o.goroutines)
		begin_on_threads(s);
	for (uint32_t i = 0; i < s->o.goroutines; i++) {
		bool coroutine = i < COROUTINES && s->o.goroutines > 10;
		size_t g = new_g(s, coroutine || dice(s, 4) ? WORLD_WAITING : WORLD_RUNNABLE);
		struct gs_event *e;

		if (coroutine) {
			s->coroutine[i] = g;
			s->g[g].coroutine = true;
		}
		if (s->o.no_state)
			continue;
		e = event(s, GS_EV_GO_STATE, g + 1, -1);
		e->state.state = s->g[g].state == WORLD_WAITING ? GS_G_WAITING : GS_G_RUNNABLE;
		e->state.wait_reason = "select";
		e->state.start = s->starts[g % 8];
	}
}

/* From now on nothing is told of most goroutines: their times so far are the truth. */
static void thin(struct sim *s)
{
	uint32_t mask = s->thin_mask << 1 | 1;

	s->now++;
	event(s, GS_EV_THINNED, 0, -1)->thinned.mask = mask;
	for (size_t i = 0; i < s->n_g; i++)
		if (gs_thinned_out(i + 1, mask)) {
			/* Nothing was told of its system call. */
			if (s->g[i].state == WORLD_SYSCALL && !gs_thinned_out(i + 1, s->thin_mask))
				s->truth[i].ns[WORLD_RUNNING] += s->now - s->g[i].since;
			else
				enter(s, &s->g[i], s->g[i].state, s->now);
		}
	s->thin_mask = mask;
}

/* As the kernel half and the decoder leave it out. */
static void leave_out(struct sim *s)
{
	uint32_t mask = 0, unseen = 0;
	size_t n = 0;

	for (size_t i = 0; i < s->n_ev; i++) {
		struct gs_event *e = &s->ev[i];

		if (e->kind == GS_EV_THINNED)
			mask = e->thinned.mask;
		if (s->o.detach && i == s->n_ev / 2) {
			unseen = s->o.detach;
			s->ev[n++] = (struct gs_event){ .t_ns = e->t_ns,
							.kind = GS_EV_DETACHED,
							.detached.unseen = unseen };
			continue; // in the place of one that is lost
		}
		if ((unseen & GS_UNSEEN_RUNTIME && e->kind == GS_EV_RUNTIME) ||
		    (unseen & GS_UNSEEN_THREADS && e->kind == GS_EV_OFF_CPU) ||
		    (unseen & GS_UNSEEN_REQUESTS &&
		     (e->kind == GS_EV_CALL_BEGIN || e->kind == GS_EV_CALL_END)))
			continue;
		if (e->goid && gs_thinned_out(e->goid, mask)) {
			if (e->kind != GS_EV_RUNTIME)
				continue;
			e->goid = 0;
		}
		s->ev[n++] = *e;
	}
	s->n_ev = n;
}

/* What happens to events on the way. */
static void disturb(struct sim *s)
{
	struct world_options *o = &s->o;
	struct gs_event *out = calloc(s->n_ev * 2, sizeof(*out));
	size_t n = 0;

	if (!out)
		abort();
	for (size_t i = 0; i < s->n_ev; i++) {
		if (dice(s, 1000) < o->drop)
			continue;
		out[n++] = s->ev[i];
		if (dice(s, 1000) < o->twice)
			out[n++] = s->ev[i];
		if (dice(s, 1000) < o->swap && n > 40) {
			size_t j = n - 1 - (size_t)dice(s, 40);
			struct gs_event e = out[n - 1];

			out[n - 1] = out[j];
			out[j] = e;
		}
		if (dice(s, 1000) < o->garbage) {
			struct gs_event *e = &out[n - 1];

			switch (dice(s, 7)) {
			case 0:
				e->goid = dice(s, 2) ? dice(s, s->n_g) : s->rng;
				break;
			case 1:
				e->tid = (int32_t)(dice(s, 2) ? dice(s, 2 * o->threads) : s->rng);
				break;
			case 2:
				e->t_ns = (int64_t)(dice(s, 2) ? dice(s, (uint64_t)s->now * 2)
							       : s->rng);
				break;
			case 3:
				e->flags = (uint16_t)s->rng;
				break;
			case 4:
				e->stack = dice(s, 2) ? 0 : (uint32_t)dice(s, 100000);
				break;
			case 5:
				e->kind = GS_EV_PROCESS;
				e->process.what = GS_PROCESS_THREAD_EXIT;
				break;
			default:
				if (e->kind == GS_EV_GO_RUN)
					e->run.p = (int32_t)s->rng;
				break;
			}
		}
	}
	free(s->ev);
	s->ev = out;
	s->n_ev = n;
}

/* The source keeps what was made for it: events and truth go when it does. */
static struct sim *kept;
static struct gs_event_source *(*script_free)(struct gs_event_source *);

static struct gs_event_source *world_free(struct gs_event_source *source)
{
	if (kept) {
		free(kept->ev);
		free(kept->g);
		free(kept->truth);
		free(kept->m);
		free(kept->p);
		free(kept);
		kept = NULL;
	}
	return script_free(source);
}

struct gs_event_source *world_new(const struct world_options *o, struct world *ret)
{
	struct sim *s = calloc(1, sizeof(*s));
	struct gs_event_source *named = event_script("");
	int64_t begin_ns = 1000000000;

	if (!s || !named)
		abort();
	*s = (struct sim){ .o = *o,
			   .rng = o->seed * 2654435761u + 88172645463325252u,
			   .now = begin_ns,
			   .stw = -1 };
	s->source = named;
	s->m = calloc(o->threads, sizeof(*s->m));
	s->p = calloc(o->ps, sizeof(*s->p));
	s->ev = calloc(o->n_events + o->goroutines + 64 + 4 * o->threads, sizeof(*s->ev));
	if (!s->m || !s->p || !s->ev)
		abort();
	for (uint32_t i = 0; i < o->threads; i++)
		s->m[i] = (struct m){ .tid = 4000 + (int32_t)i, .g = -1, .p = -1 };
	for (uint32_t i = 0; i < o->ps; i++)
		s->p[i] = -1;
	begin(s);
	for (uint32_t thinned = 0; s->n_ev < o->n_events + o->goroutines;) {
		if (thinned < o->thin && s->n_ev > o->n_events * (thinned + 1) / (o->thin + 1)) {
			thin(s);
			thinned++;
		}
		step(s);
	}
	while (find_syscall(s) >= 0)
		do_syscall_end(s);
	for (size_t i = 0; i < s->n_g; i++)
		enter(s, &s->g[i], WORLD_STATES, s->now);
	if (o->thin || o->detach)
		leave_out(s);
	if (o->drop || o->twice || o->swap || o->garbage)
		disturb(s);
	*ret = (struct world){
		s->ev, s->n_ev, s->truth, s->n_g, s->calls, s->gcs, begin_ns, s->now
	};
	kept = s;
	script_free = named->free;
	named->free = world_free;
	return named;
}

void world_print(const struct world *w, FILE *f)
{
	for (size_t i = 0; i < w->n_goroutines; i++) {
		const struct world_goroutine *g = &w->goroutines[i];

		fprintf(f,
			"{\"goid\":%" PRIu64 ",\"start\":\"%s\",\"running\":[%u,%" PRId64
			"],\"runnable\":[%u,%" PRId64 "],\"waiting\":[%u,%" PRId64
			"],\"syscall\":[%u,%" PRId64 "]}\n",
			g->goid, g->start, g->n[WORLD_RUNNING], g->ns[WORLD_RUNNING],
			g->n[WORLD_RUNNABLE], g->ns[WORLD_RUNNABLE], g->n[WORLD_WAITING],
			g->ns[WORLD_WAITING], g->n[WORLD_SYSCALL], g->ns[WORLD_SYSCALL]);
	}
}
