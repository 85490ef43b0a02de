/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A timeline for Perfetto (ui.perfetto.dev): what the scheduler of Go and that of the kernel did, side by side.
 *
 *	process
 *	  thread N            what goroutine it runs; inside, off its CPU: system call, fault, preempted, …
 *	  Ps / P n            what goroutine it runs
 *	  Goroutines / G n f  running, runnable, or what it waits for; calls (requests, watched functions, GC
 *	                      assists) around the states, system calls and lost CPUs inside of "running"
 *	  GC, stop the world  ranges
 *	  counters            run queues, goroutines, threads, idle Ps, heap live and goal
 *
 * Arrows go from where a goroutine is made ready or created to where it runs next. A goroutine has a track from the first
 * time something happens to it: ten thousand that wait all the time would hide the others.
 *
 * Slices of a track must nest, whatever events are lost: each track knows what is open on it, and closes
 * it before it opens something beside it. Times on a track never go back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "export/perfetto_tracks.h"

/* The goroutine of an event that only a running one has. */
static struct gs__pt_goroutine *runs_on(struct gs_timeline_writer *w, uint64_t goid, int32_t tid)
{
	struct gs__pt_goroutine *g = gs__pt_goroutine(w, goid);
	struct gs__pt_thread *t = g ? gs__pt_thread(w, tid) : NULL;
	int64_t now = w->now_ns;

	if (!g || (g->open && g->state == w->running && (tid <= 0 || g->tid == tid)))
		return g;
	if (t && t->switch_ns && !t->goid) {
		/* It runs since then: its own track has nothing later, nor has the thread's. */
		w->now_ns = t->switch_ns > g->last_ns ? t->switch_ns : g->last_ns;
		gs__pt_run(w, g, tid, t->switch_p);
		w->now_ns = now;
	} else {
		gs__pt_run(w, g, tid, -1);
	}
	return g;
}

static struct gs__pt_goroutine *runs(struct gs_timeline_writer *w, const struct gs_event *e)
{
	return runs_on(w, e->goid, e->tid);
}

/* --- Events ------------------------------------------------------------------------------------------ */

static void on_state(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__pt_goroutine *g = gs__pt_find(w, e->goid);
	const char *reason = e->state.wait_reason ? e->state.wait_reason : "waiting";

	if (g)
		return;
	g = gs__pt_goroutine(w, e->goid);
	if (!g)
		return;
	g->start = e->state.start;
	g->stack = e->stack;
	if (e->state.state == GS_G_RUNNABLE)
		g->state = w->runnable;
	else if (e->state.state == GS_G_WAITING)
		g->state = gs__pt_name(w, reason);
	else if (e->state.state == GS_G_RUNNING || e->state.state == GS_G_SYSCALL)
		gs__pt_run(w, g, e->tid, -1);
}

/* An arrow from @e's goroutine or thread to when @goid runs next. */
static void arrow(struct gs_timeline_writer *w, const struct gs_event *e, uint64_t from,
		  uint64_t name)
{
	struct gs__pf_what what = { .name = name, .category = GS__PF_CAT_GOROUTINE };
	struct gs__pt_goroutine *g = from ? gs__pt_find(w, from) : NULL;
	struct gs__pt_thread *t = NULL;
	uint64_t track;

	if (g)
		g = runs_on(w, from, e->tid); // whoever does that is running
	if (g) {
		gs__pt_tell(w, g);
		g->last_ns = w->now_ns;
		track = gs__pt_uuid(GS__PT_G, from);
	} else {
		t = gs__pt_thread(w, e->tid);
		if (!t)
			return;
		t->last_ns = w->now_ns;
		track = gs__pt_uuid(GS__PT_THREAD, (uint64_t)e->tid);
	}
	what.flow = ++w->flows;
	what.stack = gs__pf_stack(&w->pf, e->stack);
	gs__pf_arg(&what, GS__PF_GOROUTINE, e->goid);
	gs__pf_instant(&w->pf, track, w->now_ns, &what);
	g = gs__pt_find(w, e->goid);
	if (g)
		g->flow = what.flow;
}

static void on_create(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__pf_what what = { .name = w->runnable };
	struct gs__pt_goroutine *g = gs__pt_find(w, e->goid);

	if (g)
		return;
	g = gs__pt_goroutine(w, e->goid);
	if (!g)
		return;
	g->start = e->create.start;
	gs__pt_state(w, g, &what);
	arrow(w, e, e->create.parent, gs__pt_name(w, "go"));
}

static void on_ready(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__pf_what what = { .name = w->runnable };
	struct gs__pt_goroutine *g = gs__pt_goroutine(w, e->goid);

	if (!g || (g->open && g->state == w->runnable))
		return;
	gs__pt_leave(w, g);
	if (e->ready.waker)
		gs__pf_arg(&what, GS__PF_WAKER, e->ready.waker);
	gs__pt_state(w, g, &what);
	arrow(w, e, e->ready.waker, gs__pt_name(w, "ready"));
}

static void peer_text(const struct gs_file_ref *f, char *ret, size_t n)
{
	char ip[INET6_ADDRSTRLEN];

	ret[0] = '\0';
	if (f->fd < 0 || (f->family != AF_INET && f->family != AF_INET6) || !f->peer_port)
		return;
	if (inet_ntop(f->family, f->peer_addr, ip, sizeof(ip)))
		snprintf(ret, n, f->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, f->peer_port);
}

static void file_args(struct gs__pf_what *what, const struct gs_file_ref *f, char *peer, size_t n)
{
	peer_text(f, peer, n);
	gs__pf_arg_text(what, GS__PF_PEER, peer, strlen(peer));
	if (f->fd >= 0)
		gs__pf_arg_text(what, GS__PF_FILE, f->name, strnlen(f->name, sizeof(f->name)));
}

/* The first function of a stack that is not the runtime's: where it waits. */
static const char *where(struct gs_timeline_writer *w, uint32_t stack)
{
	const struct gs_stack *s = stack ? w->source->stack(w->source, stack) : NULL;

	for (uint32_t i = 0; s && i < s->n_frames; i++)
		if (strncmp(s->frames[i].function, "runtime.", 8) != 0)
			return s->frames[i].function;
	return NULL;
}

static void on_park(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__pt_goroutine *g = runs(w, e);
	struct gs__pf_what what = { 0 };
	struct gs__pt_thread *t;
	const char *reason = e->park.reason ? e->park.reason : "waiting", *name;
	char peer[INET6_ADDRSTRLEN + 10];

	if (!g)
		return;
	what.name = gs__pt_name(w, reason);
	what.stack = gs__pf_stack(&w->pf, e->stack);
	name = where(w, e->stack);
	if (name)
		gs__pf_arg_text(&what, GS__PF_WHERE, name, strlen(name));
	name = e->park.object ? w->source->object_name(w->source, e->park.object) : NULL;
	if (name)
		gs__pf_arg_text(&what, GS__PF_OBJECT, name, strlen(name));
	else if (e->park.object)
		gs__pf_arg(&what, GS__PF_OBJECT, e->park.object);
	if (e->park.wait == GS_WAIT_IO)
		file_args(&what, &e->park.file, peer, sizeof(peer));
	t = e->park.wait == GS_WAIT_COROUTINE ? gs__pt_thread(w, g->tid) : NULL;
	if (t) {
		t->switch_ns = w->now_ns;
		t->switch_p = g->p;
	}
	gs__pt_leave(w, g);
	gs__pt_state(w, g, &what);
}

static void on_yield(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__pf_what what = { .name = w->runnable };
	struct gs__pt_goroutine *g = runs(w, e);

	if (!g)
		return;
	gs__pf_arg(&what, GS__PF_PREEMPTED, (e->flags & GS_EV_PREEMPTED) != 0);
	gs__pt_leave(w, g);
	gs__pt_state(w, g, &what);
}

static void pop(struct gs_timeline_writer *w, struct gs__pt_goroutine *g,
		const struct gs__pf_what *what)
{
	gs__pf_slice_end(&w->pf, gs__pt_uuid(GS__PT_G, g->goid), w->now_ns, what);
	g->depth--;
}

/* Its track ends. */
static void end_goroutine(struct gs_timeline_writer *w, struct gs__pt_goroutine *g)
{
	gs__pt_leave(w, g);
	gs__pt_state_close(w, g);
	while (g->depth)
		pop(w, g, NULL);
	gs__pt_forget(w, g);
}

static void on_goexit(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__pt_goroutine *g = gs__pt_find(w, e->goid);

	if (g && e->tid > 0)
		g = runs(w, e);
	if (g)
		end_goroutine(w, g);
}

/* What goroutines do that are not followed any more nobody knows: nothing is shown of them from here on. */
static void on_thinned(struct gs_timeline_writer *w, const struct gs_event *e)
{
	for (uint32_t i = 0; i < w->n_g; i++)
		if (w->g[i].goid && gs_thinned_out(w->g[i].goid, e->thinned.mask))
			end_goroutine(w, &w->g[i]);
}

/* Something begins that the states are inside of: it opens between two pieces of "running". */
static void push(struct gs_timeline_writer *w, struct gs__pt_goroutine *g, uint8_t kind,
		 uint64_t sp, struct gs__pf_what *what)
{
	struct gs__pf_what running = { .name = w->running };

	if (g->depth == GS__PT_DEPTH)
		return;
	gs__pt_state_close(w, g);
	gs__pf_slice_begin(&w->pf, gs__pt_uuid(GS__PT_G, g->goid), w->now_ns, what);
	g->call[g->depth].kind = kind;
	g->call[g->depth++].sp = sp;
	gs__pt_state(w, g, &running);
}

/* The innermost one of this kind ends, and with it what is inside. */
static void end(struct gs_timeline_writer *w, struct gs__pt_goroutine *g, uint8_t kind, uint64_t sp,
		const struct gs__pf_what *what)
{
	struct gs__pf_what running = { .name = w->running };
	uint8_t i = g->depth;

	while (i && (g->call[i - 1].kind != kind ||
		     (kind == GS_CALL_FUNCTION && g->call[i - 1].sp != sp)))
		i--;
	if (!i)
		return;
	gs__pt_state_close(w, g);
	while (g->depth > i)
		pop(w, g, NULL);
	pop(w, g, what);
	gs__pt_state(w, g, &running);
}

static void on_call(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__pf_what what = { .category = GS__PF_CAT_CALL };
	struct gs__pt_goroutine *g = runs(w, e);
	char name[GS__PT_NAME_MAX];
	int n;

	if (g && e->tid > 0)
		g = runs(w, e);
	if (!g)
		return;
	if (e->kind == GS_EV_CALL_END) {
		if (e->call.status >= 0)
			gs__pf_arg(&what, GS__PF_STATUS, (uint64_t)e->call.status);
		if (e->call.bytes >= 0)
			gs__pf_arg(&what, GS__PF_BYTES, (uint64_t)e->call.bytes);
		gs__pf_arg_text(&what, GS__PF_PATTERN, e->call.pattern, e->call.pattern_len);
		what.category = GS__PF_CAT_NONE;
		end(w, g, (uint8_t)e->call.call, e->call.sp, &what);
		return;
	}
	if (e->call.call == GS_CALL_FUNCTION)
		n = snprintf(name, sizeof(name), "%s",
			     e->call.function < w->source->n_functions
				     ? w->source->functions[e->call.function]
				     : "call");
	else
		n = snprintf(name, sizeof(name), "%.*s %.*s", (int)e->call.method_len,
			     e->call.method_len ? e->call.method : "", (int)e->call.path_len,
			     e->call.path_len ? e->call.path : "");
	what.name = gs__pf_name(&w->pf, name,
				n < 0 || n >= GS__PT_NAME_MAX ? sizeof(name) - 1 : (size_t)n);
	gs__pf_arg_text(&what, GS__PF_PATH, e->call.path, e->call.path_len);
	gs__pf_arg_text(&what, GS__PF_PEER, e->call.peer, e->call.peer_len);
	push(w, g, (uint8_t)e->call.call, e->call.sp, &what);
}

static void range(struct gs_timeline_writer *w, unsigned int kind, const char *name, bool *told,
		  bool *on, bool begin)
{
	struct gs__pf_what what = { .category = GS__PF_CAT_RUNTIME };

	if (!*told)
		gs__pt_plain(w, gs__pt_uuid(kind, 0), gs__pt_uuid(GS__PT_PROCESS, 0), name, false);
	*told = true;
	if (*on)
		gs__pf_slice_end(&w->pf, gs__pt_uuid(kind, 0), w->now_ns, NULL);
	*on = begin;
	if (!begin)
		return;
	what.name = gs__pt_name(w, name);
	gs__pf_slice_begin(&w->pf, gs__pt_uuid(kind, 0), w->now_ns, &what);
}

static void on_runtime(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__pf_what what = { .category = GS__PF_CAT_RUNTIME };
	struct gs__pt_goroutine *g;

	switch (e->runtime.what) {
	case GS_RUNTIME_GC_BEGIN:
	case GS_RUNTIME_GC_END:
		range(w, GS__PT_GC, "GC", &w->gc_told, &w->gc_on,
		      e->runtime.what == GS_RUNTIME_GC_BEGIN);
		break;
	case GS_RUNTIME_STW_BEGIN:
	case GS_RUNTIME_STW_END:
		range(w, GS__PT_STW, "stop the world", &w->stw_told, &w->stw_on,
		      e->runtime.what == GS_RUNTIME_STW_BEGIN);
		break;
	case GS_RUNTIME_ASSIST_BEGIN:
	case GS_RUNTIME_ASSIST_END:
		g = runs(w, e);
		if (!g)
			break;
		what.name = gs__pt_name(w, "GC assist");
		if (e->runtime.what == GS_RUNTIME_ASSIST_BEGIN)
			push(w, g, 0, 0, &what);
		else
			end(w, g, 0, 0, NULL);
		break;
	default: /* phases inside of a cycle */
		break;
	}
}

/* The ends of calls, or of assists, will not be seen: from the outermost one on they are over. */
static void end_calls(struct gs_timeline_writer *w, struct gs__pt_goroutine *g, uint32_t unseen)
{
	struct gs__pf_what state = { .name = g->state };
	uint8_t i = 0;

	while (i < g->depth &&
	       !(unseen & (g->call[i].kind ? GS_UNSEEN_REQUESTS : GS_UNSEEN_RUNTIME)))
		i++;
	if (i == g->depth)
		return;
	gs__pt_state_close(w, g);
	while (g->depth > i)
		pop(w, g, NULL);
	gs__pt_state(w, g, &state);
}

static void on_detached(struct gs_timeline_writer *w, const struct gs_event *e)
{
	if (e->detached.unseen & GS_UNSEEN_RUNTIME && w->gc_on)
		range(w, GS__PT_GC, "GC", &w->gc_told, &w->gc_on, false);
	if (e->detached.unseen & GS_UNSEEN_RUNTIME && w->stw_on)
		range(w, GS__PT_STW, "stop the world", &w->stw_told, &w->stw_on, false);
	for (uint32_t i = 0; i < w->n_g; i++)
		if (w->g[i].goid)
			end_calls(w, &w->g[i], e->detached.unseen);
}

static uint64_t off_name(struct gs_timeline_writer *w, const struct gs_event *e)
{
	const char *name = "off CPU";
	char number[32];

	if (e->flags & GS_EV_RECLAIM) {
		name = "memory reclaim";
	} else if (e->flags & GS_EV_FAULT) {
		name = e->flags & GS_EV_MAJOR ? "page fault, major" : "page fault";
	} else if (e->off_cpu.task_state == 0) {
		name = "preempted by the kernel";
	} else if (e->off_cpu.syscall >= 0) {
		name = w->syscall_name ? w->syscall_name(w->source->goarch, e->off_cpu.syscall)
				       : NULL;
		snprintf(number, sizeof(number), "system call %d", e->off_cpu.syscall);
		name = name ? name : number;
	}
	return gs__pt_name(w, name);
}

/* A slice in the past of a track: of nothing else was heard there meanwhile. */
static void past(struct gs_timeline_writer *w, uint64_t track, int64_t *last_ns, int64_t begin_ns,
		 const struct gs__pf_what *what)
{
	if (begin_ns < *last_ns)
		begin_ns = *last_ns;
	if (begin_ns > w->now_ns)
		begin_ns = w->now_ns;
	gs__pf_slice_begin(&w->pf, track, begin_ns, what);
	gs__pf_slice_end(&w->pf, track, w->now_ns, NULL);
	*last_ns = w->now_ns;
}

static void on_off_cpu(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__pf_what what = { .category = GS__PF_CAT_THREAD };
	struct gs__pt_goroutine *g = gs__pt_find(w, e->goid);
	struct gs__pt_thread *t = gs__pt_thread(w, e->tid);
	char peer[INET6_ADDRSTRLEN + 10];

	if (!t)
		return;
	if (t->switch_ns && !t->goid && e->goid) // what it was given to
		g = runs(w, e);
	t = gs__pt_thread(w, e->tid);
	what.name = off_name(w, e);
	what.stack = gs__pf_stack(&w->pf, e->kernel_stack ? e->kernel_stack : e->stack);
	if (e->off_cpu.wake_ns > 0 && e->off_cpu.wake_ns <= e->t_ns)
		gs__pf_arg(&what, GS__PF_WAITED_FOR_CPU, (uint64_t)(e->t_ns - e->off_cpu.wake_ns));
	if (e->off_cpu.waker_goid)
		gs__pf_arg(&what, GS__PF_WAKER, e->off_cpu.waker_goid);
	file_args(&what, &e->off_cpu.file, peer, sizeof(peer));
	past(w, gs__pt_uuid(GS__PT_THREAD, (uint64_t)e->tid), &t->last_ns, e->off_cpu.off_ns,
	     &what);
	if (g && g->open && g->tid == e->tid && g->state == w->running)
		past(w, gs__pt_uuid(GS__PT_G, g->goid), &g->last_ns, e->off_cpu.off_ns, &what);
}

static void counter(struct gs_timeline_writer *w, uint32_t i, const char *name, bool bytes,
		    uint64_t v)
{
	if (!(w->counters_told & 1u << i))
		gs__pf_track(&w->pf,
			     &(struct gs__pf_track){ .uuid = gs__pt_uuid(GS__PT_COUNTER, i),
						     .parent = gs__pt_uuid(GS__PT_PROCESS, 0),
						     .name = name,
						     .name_len = strlen(name),
						     .counter = true,
						     .bytes = bytes });
	w->counters_told |= 1u << i;
	gs__pf_counter(&w->pf, gs__pt_uuid(GS__PT_COUNTER, i), w->now_ns, v);
}

static void on_gauge(struct gs_timeline_writer *w, const struct gs_event *e)
{
	counter(w, 1, "run queue, global", false, e->gauge.runnable_global);
	counter(w, 2, "run queues of Ps", false, e->gauge.runnable_local);
	counter(w, 3, "goroutines", false, e->gauge.goroutines);
	counter(w, 4, "threads", false, e->gauge.threads);
	counter(w, 5, "idle Ps", false, e->gauge.idle_ps);
	counter(w, 6, "GOMAXPROCS", false, e->gauge.gomaxprocs);
	if (e->gauge.heap_live_bytes)
		counter(w, 7, "heap live", true, e->gauge.heap_live_bytes);
	if (e->gauge.heap_goal_bytes)
		counter(w, 8, "heap goal", true, e->gauge.heap_goal_bytes);
}

static void on_event(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__pt_goroutine *g;

	switch ((enum gs_event_kind)e->kind) {
	case GS_EV_GO_STATE:
		on_state(w, e);
		break;
	case GS_EV_GO_CREATE:
		on_create(w, e);
		break;
	case GS_EV_GO_READY:
		on_ready(w, e);
		break;
	case GS_EV_GO_RUN:
		g = gs__pt_goroutine(w, e->goid);
		if (g)
			gs__pt_run(w, g, e->tid, e->run.p);
		break;
	case GS_EV_GO_PARK:
		on_park(w, e);
		break;
	case GS_EV_GO_YIELD:
		on_yield(w, e);
		break;
	case GS_EV_GO_EXIT:
		on_goexit(w, e);
		break;
	case GS_EV_CALL_BEGIN:
	case GS_EV_CALL_END:
		on_call(w, e);
		break;
	case GS_EV_RUNTIME:
		on_runtime(w, e);
		break;
	case GS_EV_OFF_CPU:
		on_off_cpu(w, e);
		break;
	case GS_EV_SAMPLE:
		if (gs__pt_thread(w, e->tid))
			gs__pf_sample(&w->pf, w->now_ns, gs__pt_pid(w), e->tid,
				      gs__pf_stack(&w->pf, e->stack));
		break;
	case GS_EV_GAUGE:
		on_gauge(w, e);
		break;
	case GS_EV_THINNED:
		on_thinned(w, e);
		break;
	case GS_EV_DETACHED:
		on_detached(w, e);
		break;
	case GS_EV_MAP:
	case GS_EV_PAGE_FAULT:
	case GS_EV_DLOPEN:
	case GS_EV_PROCESS:
	case GS_EV_LOST:
	case GS_EV_KIND_COUNT:
		break;
	}
}

/* --- The format -------------------------------------------------------------------------------------- */

static void perfetto_abort(struct gs_timeline_writer *w)
{
	if (!w)
		return;
	gs__pf_deinit(&w->pf);
	free(w->g);
	free(w->g_free);
	free(w->g_ids.key);
	free(w->g_ids.place);
	free(w->t_ids.key);
	free(w->t_ids.place);
	free(w->t);
	free(w->p);
	free(w);
}

static int perfetto_open(struct gs_timeline_writer **ret, struct gs_out *out,
			 struct gs_event_source *source, const struct gs_timeline_options *o,
			 struct gs_err *err)
{
	const struct gs_stream_stats *s = source->stats(source);
	struct gs_timeline_writer *w = calloc(1, sizeof(*w));
	int r;

	*ret = NULL;
	if (!w)
		return gs_fail(err, -ENOMEM, 0, "cannot write the timeline: out of memory");
	w->source = source;
	w->syscall_name = o ? o->syscall_name : NULL;
	w->p = gs_array_new(GS__PT_P_MAX, sizeof(*w->p));
	r = gs__pf_init(&w->pf, out, source, s ? s->begin_ns : 0, s ? s->begin_unix_ns : 0, err);
	if (r == 0 && !w->p)
		r = gs_fail(err, -ENOMEM, 0, "cannot write the timeline: out of memory");
	if (r < 0) {
		perfetto_abort(w);
		return r;
	}
	gs__pt_first(w);
	w->running = gs__pt_name(w, "running");
	w->runnable = gs__pt_name(w, "runnable");
	*ret = w;
	return 0;
}

static int check(const struct gs_timeline_writer *w, struct gs_err *err)
{
	if (w->pf.error)
		return gs_fail(err, w->pf.error, 0, "cannot write the timeline: out of memory");
	if (gs_out_failed(w->pf.out))
		return gs_fail(err, w->pf.out->error, 0, "cannot write the timeline: %s",
			       strerror(-w->pf.out->error));
	return 0;
}

static int perfetto_events(struct gs_timeline_writer *w, const struct gs_event *e, size_t n,
			   struct gs_err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (e[i].t_ns > w->now_ns && e[i].t_ns < INT64_MAX / 2)
			w->now_ns = e[i].t_ns;
		on_event(w, &e[i]);
	}
	w->events += n;
	return check(w, err);
}

/* What is open ends with the timeline. */
static void close_all(struct gs_timeline_writer *w)
{
	for (uint32_t i = 0; i < w->n_g; i++) {
		struct gs__pt_goroutine *g = &w->g[i];

		if (!g->goid || !g->told)
			continue;
		gs__pt_leave(w, g);
		gs__pt_state_close(w, g);
		while (g->depth)
			pop(w, g, NULL);
	}
	for (uint32_t i = 0; i < w->n_t; i++)
		gs__pt_thread_leave(w, w->t[i].tid, w->t[i].goid);
	for (int32_t i = 0; i < GS__PT_P_MAX; i++)
		gs__pt_p_leave(w, i, w->p[i].goid);
	if (w->gc_on)
		gs__pf_slice_end(&w->pf, gs__pt_uuid(GS__PT_GC, 0), w->now_ns, NULL);
	if (w->stw_on)
		gs__pf_slice_end(&w->pf, gs__pt_uuid(GS__PT_STW, 0), w->now_ns, NULL);
}

static int perfetto_close(struct gs_timeline_writer *w, const struct gs_stream_stats *stats,
			  struct gs_timeline_result *ret, struct gs_err *err)
{
	int r;

	if (stats && stats->end_ns > w->now_ns)
		w->now_ns = stats->end_ns;
	close_all(w);
	gs__pf_flush(&w->pf);
	*ret = (struct gs_timeline_result){
		.events = w->events,
		.goroutines = w->seen,
		.bytes = w->pf.out->total,
		.untracked = w->untracked,
	};
	r = check(w, err);
	perfetto_abort(w);
	return r;
}

const struct gs_timeline_format gs_timeline_perfetto = {
	.name = "perfetto",
	.binary = true,
	.words = "Perfetto trace",
	.how = "open %s at https://ui.perfetto.dev (it stays in the browser)",
	.open = perfetto_open,
	.events = perfetto_events,
	.close = perfetto_close,
	.abort = perfetto_abort,
};
