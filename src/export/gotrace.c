/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A timeline as a Go execution trace (go tool trace, golang.org/x/exp/trace), made from what was seen from
 * outside. Which event becomes what:
 *
 *	go_state         GoStatusStack, in the first generation
 *	go_create        GoCreate, its stack the goroutine's first function: that is what rows are called after
 *	go_ready         GoUnblock, with the waker's stack; of the scheduler: of no thread
 *	go_run           GoStart, and ProcStop/ProcStart/ProcSteal where the thread's P is another than before
 *	go_park          GoBlock, its reason in the words of runtime/trace
 *	go_yield         GoStop; out of a system call: GoSyscallEndBlocked
 *	go_exit          GoDestroy
 *	off_cpu          in a system call: GoSyscallBegin and GoSyscallEnd. Calls that do not block are not seen:
 *	                 the goroutine is running
 *	call             a user task with a region and log lines
 *	runtime          STW, GC and mark assist ranges
 *	gauge            HeapAlloc, HeapGoal, ProcsChange
 *	sample           CPU samples
 *	thinned          GoBlock, "not followed", of the goroutines concerned: the format has no state for "nobody knows".
 *	                 Those that wait or are runnable run for a moment, on a thread made up for that
 *	detached         the end of a GC cycle, if its end will not be seen; calls stay open
 *
 * The rest (threads off CPU, run queues) has no place in the format; perfetto.c has it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "export/gotrace_sched.h"
#include "export/timeline.h"

struct gs_timeline_writer {
	struct gs__gt_sched s;
	uint64_t events;
	uint64_t gc_seq;
	enum { GC_UNKNOWN, GC_OFF, GC_ON } gc;
	uint32_t gomaxprocs; /* last written */
	struct {
		uint64_t heap_live, heap_goal;
		uint32_t gomaxprocs;
		bool waits; /* to be written */
	} gauge;
	uint32_t thin_mask; /* of GS_EV_THINNED */
	bool arm64;
};

/* Threads have smaller numbers (PID_MAX_LIMIT of the kernel). */
#define MADE_UP_THREAD INT32_MAX

/* System calls by which the runtime itself waits, without entersyscall: runtime/sys_linux_{amd64,arm64}.s. A
 * goroutine that waits in one is, for Go, running. */
static bool runtime_waits(const struct gs_timeline_writer *w, int32_t number)
{
	/* futex, sched_yield, nanosleep, clock_nanosleep, epoll_pwait, madvise, mmap, munmap */
	static const int32_t amd64[] = { 202, 24, 35, 230, 281, 28, 9, 11 };
	static const int32_t arm64[] = { 98, 124, 101, 115, 22, 233, 222, 215 };
	const int32_t *list = w->arm64 ? arm64 : amd64;

	for (size_t i = 0; i < GS_ARRAY_SIZE(amd64); i++)
		if (list[i] == number)
			return true;
	return false;
}

/* What runtime/trace calls a wait (traceBlockReasonStrings in runtime/traceruntime.go): the arguments of the
 * runtime's calls of gopark, Go 1.27. */
static const char *const block_reasons[GS_WAIT_COUNT] = {
	[GS_WAIT_MUTEX] = "sync",
	[GS_WAIT_RWMUTEX_READ] = "sync",
	[GS_WAIT_RWMUTEX_WRITE] = "sync",
	[GS_WAIT_SEMAPHORE] = "sync",
	[GS_WAIT_WAITGROUP] = "sync",
	[GS_WAIT_COND] = "sync.(*Cond).Wait",
	[GS_WAIT_CHAN_RECEIVE] = "chan receive",
	[GS_WAIT_CHAN_SEND] = "chan send",
	[GS_WAIT_CHAN_NIL] = "forever",
	[GS_WAIT_SELECT] = "select",
	[GS_WAIT_SELECT_EMPTY] = "forever",
	[GS_WAIT_SLEEP] = "sleep",
	[GS_WAIT_IO] = "network",
	[GS_WAIT_GC_ASSIST] = "GC mark assist wait for work",
	[GS_WAIT_SYSTEM] = "system goroutine wait",
	[GS_WAIT_PREEMPTED] = "preempted",
	[GS_WAIT_COROUTINE] = "coroutine",
};
static const char *const block_reasons_other[][2] = {
	{ "GC sweep wait", "GC background sweeper wait" },
	{ "wait for GC cycle", "wait until GC ends" },
	{ "GC weak to strong wait", "GC weak to strong wait" },
	{ "panicwait", "forever" },
	{ "debug call", "wait for debug call" },
	{ "synctest.Run", "synctest" },
	{ "synctest.Wait", "synctest" },
};

static uint64_t block_reason(struct gs__gt_sched *s, const struct gs_event *e)
{
	enum gs_wait wait = e->park.wait < GS_WAIT_COUNT ? e->park.wait : GS_WAIT_UNKNOWN;
	const char *reason = e->park.reason ? e->park.reason : "unspecified", *words = reason;

	if (block_reasons[wait])
		words = block_reasons[wait];
	if (wait == GS_WAIT_SYSTEM || wait == GS_WAIT_GC || wait == GS_WAIT_UNKNOWN)
		for (size_t i = 0; i < GS_ARRAY_SIZE(block_reasons_other); i++)
			if (strcmp(reason, block_reasons_other[i][0]) == 0)
				words = block_reasons_other[i][1];
	return gs__gt_string(&s->file, words, strlen(words));
}

/* --- Goroutines -------------------------------------------------------------------------------------- */

static uint8_t status_of(enum gs_goroutine_state state)
{
	switch (state) {
	case GS_G_RUNNABLE:
		return GS__GT_G_RUNNABLE;
	case GS_G_RUNNING:
	case GS_G_COPYSTACK:
		return GS__GT_G_RUNNING;
	case GS_G_SYSCALL:
		return GS__GT_G_SYSCALL;
	case GS_G_WAITING:
	case GS_G_PREEMPTED:
	case GS_G_LEAKED:
		return GS__GT_G_WAITING;
	default:
		return 0;
	}
}

/* A goroutine that was there before. One that is running or in a system call on a thread we do not know,
 * or that another is on, is introduced when it is heard of. */
static void on_state(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_sched *s = &w->s;
	uint8_t status = status_of(e->state.state);
	struct gs__gt_m *m = NULL;
	uint64_t stack;

	if (!status || e->goid == 0 || gs__gt_g(s, e->goid) || s->file.gen > 1)
		return;
	if (status == GS__GT_G_RUNNING || status == GS__GT_G_SYSCALL) {
		m = gs__gt_m(s, e->tid);
		if (!m || m->goid)
			return;
		if (status == GS__GT_G_RUNNING && !gs__gt_take_p(s, m, -1, e->t_ns))
			return;
		if (status == GS__GT_G_SYSCALL && m->p)
			return;
	}
	stack = gs__gt_stack(&s->file, e->stack);
	if (!gs__gt_stack_complete(&s->file, e->stack) && e->state.start)
		stack = gs__gt_start(&s->file, e->state.start);
	(void)gs__gt_g_status(s, e->goid, status, m, stack, e->t_ns);
}

/* Whether what is told of a goroutine can be put down to it. */
static bool is_followed(struct gs_timeline_writer *w, uint64_t goid)
{
	return goid && !gs_thinned_out(goid, w->thin_mask) && !gs__gt_gone(&w->s, goid);
}

static void on_create(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_sched *s = &w->s;
	struct gs__gt_m *m = gs__gt_m(s, e->tid);

	if (!m || gs__gt_g(s, e->goid))
		return;
	if (is_followed(w, e->create.parent))
		(void)gs__gt_runs(s, e->create.parent, m, e->t_ns);
	else if (m->goid)
		(void)gs__gt_runs(s, m->goid, m, e->t_ns);
	if (!gs__gt_take_p(s, m, -1, e->t_ns))
		return;
	(void)gs__gt_create(s, e->goid, m, gs__gt_start(&s->file, e->create.start),
			    gs__gt_stack(&s->file, e->stack), e->t_ns);
}

static void on_ready(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_sched *s = &w->s;
	bool by_goroutine = is_followed(w, e->ready.waker);
	struct gs__gt_m *m = by_goroutine ? gs__gt_m(s, e->tid) : NULL;

	if (m && e->ready.waker != e->goid)
		(void)gs__gt_runs(s, e->ready.waker, m, e->t_ns);
	gs__gt_unblock(s, e->goid, m, gs__gt_stack(&s->file, e->stack), e->t_ns);
}

/* The goroutine of an event that only a running one has; its thread if the event has none. */
static struct gs__gt_g *runs(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_m *m = gs__gt_m(&w->s, e->tid);
	struct gs__gt_g *g = gs__gt_g(&w->s, e->goid);

	if (!m && g)
		m = g->m;
	return m && e->goid ? gs__gt_runs(&w->s, e->goid, m, e->t_ns) : NULL;
}

static void on_park(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_g *g = runs(w, e);
	uint64_t reason, stack;

	if (!g)
		return;
	reason = block_reason(&w->s, e);
	stack = gs__gt_stack(&w->s.file, e->stack);
	if (e->park.wait == GS_WAIT_COROUTINE)
		gs__gt_switch(&w->s, g, reason, stack, e->t_ns);
	else
		gs__gt_block(&w->s, g, reason, stack, e->t_ns);
}

static void on_yield(struct gs_timeline_writer *w, const struct gs_event *e)
{
	const char *reason = e->flags & GS_EV_PREEMPTED ? "preempted" : "runtime.Gosched";
	struct gs__gt_g *g = gs__gt_g(&w->s, e->goid);
	bool in_syscall = g && g->m && g->state == GS__GT_G_SYSCALL;

	if (!(e->flags & GS_EV_SYSCALL) || !in_syscall)
		g = runs(w, e);
	if (!g)
		return;
	if (e->flags & GS_EV_SYSCALL)
		gs__gt_syscall_end_blocked(&w->s, g, e->t_ns);
	else
		gs__gt_stop(&w->s, g, gs__gt_string(&w->s.file, reason, strlen(reason)),
			    gs__gt_stack(&w->s.file, e->stack), e->t_ns);
}

static void on_goexit(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_g *g = runs(w, e);

	if (g)
		gs__gt_destroy(&w->s, g, e->t_ns);
}

static void on_off_cpu(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_g *g = gs__gt_g(&w->s, e->goid);
	struct gs__gt_m *m = gs__gt_m_known(&w->s, e->tid);
	bool blocked = e->off_cpu.task_state != 0;

	if (!e->goid || !m || !blocked ||
	    !(e->flags & GS_EV_CGO ||
	      (e->flags & GS_EV_SYSCALL && !runtime_waits(w, e->off_cpu.syscall))))
		return;
	if ((!g || g->m != m) && m->switch_ns) // what the thread was given to
		g = gs__gt_runs(&w->s, e->goid, m, e->t_ns);
	if (g && g->m == m)
		gs__gt_syscall(&w->s, g, gs__gt_stack(&w->s.file, e->stack), e->off_cpu.off_ns,
			       e->t_ns);
}

static void not_followed(struct gs_timeline_writer *w, struct gs__gt_g *g, int64_t t_ns)
{
	static const char words[] = "not followed";
	struct gs__gt_sched *s = &w->s;
	struct gs__gt_m *m = g->m ? g->m : gs__gt_m(s, MADE_UP_THREAD);

	g = m ? gs__gt_runs(s, g->goid, m, t_ns) : NULL;
	if (!g)
		return;
	gs__gt_calls_end(s, g, t_ns);
	gs__gt_block(s, g, gs__gt_string(&s->file, words, sizeof(words) - 1), 0, t_ns);
}

static void on_thinned(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_sched *s = &w->s;

	w->thin_mask |= e->thinned.mask;
	for (uint32_t i = 0; i < s->n_g_slots; i++) {
		struct gs__gt_g *g = &s->g[i];

		if (g->goid && g->state != GS__GT_G_GONE &&
		    gs_thinned_out(g->goid, e->thinned.mask))
			not_followed(w, g, e->t_ns);
	}
	gs__gt_m_exit(s, MADE_UP_THREAD, e->t_ns);
}

/* --- The rest ---------------------------------------------------------------------------------------- */

static void on_call(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_g *g = runs(w, e);
	const struct gs_event_source *source = w->s.file.source;
	struct gs_event_source *src = w->s.file.source;
	char name[96] = "call";
	int n = 4;

	if (!g)
		return;
	if (e->kind == GS_EV_CALL_END) {
		gs__gt_call_end(&w->s, g, e);
		return;
	}
	if (e->call.call == GS_CALL_FUNCTION && e->call.function < source->n_functions)
		n = snprintf(name, sizeof(name), "%s", src->functions[e->call.function]);
	else if (e->call.call == GS_CALL_GRPC)
		n = snprintf(name, sizeof(name), "gRPC %.*s", (int)e->call.path_len,
			     e->call.path_len ? e->call.path : "");
	else if (e->call.call != GS_CALL_FUNCTION)
		n = snprintf(name, sizeof(name), "HTTP %.*s", (int)e->call.method_len,
			     e->call.method_len ? e->call.method : "");
	if (n >= (int)sizeof(name))
		n = sizeof(name) - 1;
	gs__gt_call_begin(&w->s, g, e, name, n < 0 ? 0 : (size_t)n);
}

/* A GC cycle that was under way at the beginning: said on a thread of its own, number 0, at the time of the
 * generation's beginning, which readers allow for the first event of all about the GC. */
static void gc_was_on(struct gs_timeline_writer *w)
{
	struct gs__gt_batch b = { .m = 0 };
	uint64_t seq = ++w->gc_seq;

	(void)gs__gt_event(&w->s.file, &b, w->s.file.gen_start_ns, GS__GT_GC_ACTIVE, &seq, 1);
	gs__gt_flush(&w->s.file, &b);
	gs__gt_batch_deinit(&b);
	w->gc = GC_ON;
}

/* Begin and end of a cycle are of a running goroutine: that of the event, or any. */
static void on_gc(struct gs_timeline_writer *w, const struct gs_event *e, bool begin)
{
	struct gs__gt_g *g = runs(w, e);
	struct gs__gt_m *m = g ? g->m : gs__gt_any_m(&w->s, true);

	if (!m || (!begin && w->gc == GC_OFF))
		return;
	if (!begin && w->gc == GC_UNKNOWN) {
		if (w->s.file.gen > 1)
			return;
		gc_was_on(w);
	}
	if (begin && w->gc == GC_ON) {
		w->s.repaired++;
		GS__GT_EMIT(&w->s, m, e->t_ns, GS__GT_GC_END, ++w->gc_seq);
	}
	if (begin)
		GS__GT_EMIT(&w->s, m, e->t_ns, GS__GT_GC_BEGIN, ++w->gc_seq,
			    gs__gt_stack(&w->s.file, e->stack));
	else
		GS__GT_EMIT(&w->s, m, e->t_ns, GS__GT_GC_END, ++w->gc_seq);
	w->gc = begin ? GC_ON : GC_OFF;
}

static void on_runtime(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_g *g;

	switch (e->runtime.what) {
	case GS_RUNTIME_GC_BEGIN:
	case GS_RUNTIME_GC_END:
		on_gc(w, e, e->runtime.what == GS_RUNTIME_GC_BEGIN);
		break;
	case GS_RUNTIME_STW_BEGIN:
	case GS_RUNTIME_ASSIST_BEGIN:
		g = runs(w, e);
		if (g)
			gs__gt_range_begin(
				&w->s, g,
				e->runtime.what == GS_RUNTIME_STW_BEGIN ? GS__GT_IN_STW
									: GS__GT_IN_ASSIST,
				e->runtime.arg, gs__gt_stack(&w->s.file, e->stack), e->t_ns);
		break;
	case GS_RUNTIME_STW_END:
	case GS_RUNTIME_ASSIST_END:
		g = runs(w, e);
		if (g)
			gs__gt_range_end(&w->s, g,
					 e->runtime.what == GS_RUNTIME_STW_END ? GS__GT_IN_STW
									       : GS__GT_IN_ASSIST,
					 e->t_ns);
		break;
	default: /* phases within a cycle have no event; a sweep has no end */
		break;
	}
}

/*
 * Gauges are nobody's, but the format wants a thread with a P. The next one to run a goroutine takes them: any other
 * may be in a system call that we do not know of yet, and an event of it would move the begin of that. If
 * nothing has run when the next ones come, any thread must do.
 */
static void gauge_out(struct gs_timeline_writer *w)
{
	struct gs__gt_m *m = gs__gt_any_m(&w->s, true);

	if (m && w->gauge.gomaxprocs && w->gauge.gomaxprocs != w->gomaxprocs) {
		GS__GT_EMIT(&w->s, m, 0, GS__GT_PROCS_CHANGE, w->gauge.gomaxprocs, 0);
		w->gomaxprocs = w->gauge.gomaxprocs;
	}
	if (!m)
		m = gs__gt_any_m(&w->s, false);
	if (m && w->gauge.heap_live) {
		GS__GT_EMIT(&w->s, m, 0, GS__GT_HEAP_ALLOC, w->gauge.heap_live);
		GS__GT_EMIT(&w->s, m, 0, GS__GT_HEAP_GOAL, w->gauge.heap_goal);
	}
	w->gauge.waits = false;
}

static void on_gauge(struct gs_timeline_writer *w, const struct gs_event *e)
{
	if (w->gauge.waits)
		gauge_out(w);
	w->gauge.heap_live = e->gauge.heap_live_bytes;
	w->gauge.heap_goal = e->gauge.heap_goal_bytes;
	w->gauge.gomaxprocs = e->gauge.gomaxprocs;
	w->gauge.waits = true;
}

static void on_run(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_m *m = gs__gt_m(&w->s, e->tid);

	if (m && gs__gt_run(&w->s, e->goid, m, e->run.p, e->t_ns) && w->gauge.waits)
		gauge_out(w);
}

static void on_sample(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_m *m = gs__gt_m(&w->s, e->tid);
	uint64_t stack = gs__gt_stack(&w->s.file, e->stack);

	if (!m || !stack)
		return;
	(void)gs__gt_tick(&w->s.file, e->t_ns);
	gs__gt_sample(&w->s.file, m->batch.m, m->p ? (int64_t)m->p->id : -1, e->goid, stack);
}

static void on_detached(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs__gt_m *m = gs__gt_any_m(&w->s, true);

	if (!(e->detached.unseen & GS_UNSEEN_RUNTIME) || w->gc != GC_ON || !m)
		return;
	GS__GT_EMIT(&w->s, m, e->t_ns, GS__GT_GC_END, ++w->gc_seq);
	w->gc = GC_OFF;
}

static void on_event(struct gs_timeline_writer *w, const struct gs_event *e)
{
	/* Goroutine 0 is no goroutine (a thread's g0), and one that is gone does nothing any more. */
	if (e->goid ? !is_followed(w, e->goid) : e->kind <= GS_EV_GO_EXIT)
		return;
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
		on_run(w, e);
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
		on_sample(w, e);
		break;
	case GS_EV_GAUGE:
		on_gauge(w, e);
		break;
	case GS_EV_PROCESS:
		if (e->process.what == GS_PROCESS_THREAD_EXIT)
			gs__gt_m_exit(&w->s, e->tid, e->t_ns);
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
	case GS_EV_LOST:
	case GS_EV_KIND_COUNT:
		break;
	}
}

/* --- The format -------------------------------------------------------------------------------------- */

static void abort_writer(struct gs_timeline_writer *w)
{
	if (!w)
		return;
	gs__gt_sched_deinit(&w->s);
	free(w);
}

static int open_writer(struct gs_timeline_writer **ret, struct gs_out *out,
		       struct gs_event_source *source, bool go122, struct gs_err *err)
{
	struct gs_timeline_writer *w = calloc(1, sizeof(*w));
	int r;

	*ret = NULL;
	if (!w)
		return gs_fail(err, -ENOMEM, 0, "cannot write the trace: out of memory");
	w->arm64 = source->goarch && strcmp(source->goarch, "arm64") == 0;
	r = gs__gt_sched_init(&w->s, out, source, go122, err);
	if (r < 0) {
		abort_writer(w);
		return r;
	}
	*ret = w;
	return 0;
}

static int gotrace_open(struct gs_timeline_writer **ret, struct gs_out *out,
			struct gs_event_source *source, const struct gs_timeline_options *o,
			struct gs_err *err)
{
	(void)o; // the format has no system calls by name
	return open_writer(ret, out, source, false, err);
}

static int gotrace_122_open(struct gs_timeline_writer **ret, struct gs_out *out,
			    struct gs_event_source *source, const struct gs_timeline_options *o,
			    struct gs_err *err)
{
	(void)o; // the format has no system calls by name
	return open_writer(ret, out, source, true, err);
}

static int check(const struct gs_timeline_writer *w, struct gs_err *err)
{
	if (w->s.file.error)
		return gs_fail(err, w->s.file.error, 0, "cannot write the trace: out of memory");
	if (gs_out_failed(w->s.file.out))
		return gs_fail(err, w->s.file.out->error, 0, "cannot write the trace: %s",
			       strerror(-w->s.file.out->error));
	return 0;
}

static int gotrace_events(struct gs_timeline_writer *w, const struct gs_event *e, size_t n,
			  struct gs_err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (w->events++ == 0 && e[i].t_ns > 0)
			w->s.file.gen_start_ns = (uint64_t)e[i].t_ns;
		on_event(w, &e[i]);
		if (gs__gt_generation_full(&w->s.file))
			gs__gt_cut(&w->s);
	}
	return check(w, err);
}

static int gotrace_close(struct gs_timeline_writer *w, const struct gs_stream_stats *stats,
			 struct gs_timeline_result *ret, struct gs_err *err)
{
	int r;

	(void)stats; // the format has no place for them
	if (w->gauge.waits)
		gauge_out(w);
	if (w->s.file.any || w->s.file.gen == 1)
		gs__gt_cut(&w->s);
	*ret = (struct gs_timeline_result){
		.events = w->events,
		.goroutines = w->s.seen,
		.bytes = w->s.file.out->total,
		.repaired = w->s.repaired,
		.untracked = w->s.untracked + w->s.file.untracked,
	};
	r = check(w, err);
	abort_writer(w);
	return r;
}

#define HOW "open it with: go tool trace %s"
const struct gs_timeline_format gs_timeline_gotrace = {
	.name = "gotrace",
	.binary = true,
	.words = "Go execution trace",
	.how = HOW,
	.open = gotrace_open,
	.events = gotrace_events,
	.close = gotrace_close,
	.abort = abort_writer,
};
const struct gs_timeline_format gs_timeline_gotrace_122 = {
	.name = "gotrace-1.22",
	.binary = true,
	.words = "Go execution trace",
	.how = HOW,
	.open = gotrace_122_open,
	.events = gotrace_events,
	.close = gotrace_close,
	.abort = abort_writer,
};
