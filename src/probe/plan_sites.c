/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Which functions of the runtime, net/http and gRPC carry probes, per question. The list was read from
 * the sources of Go 1.19 to 1.27 (runtime/proc.go, netpoll.go, sema.go, coro.go, cgocall.go, mgc.go,
 * mgcmark.go, net/http/server.go and h2_bundle.go or internal/http2/server.go) and grpc-go.
 *
 * Phases of a collection, each a function that runs once per cycle:
 *
 *     gcStart              several goroutines may try; the one that wins goes on to
 *       gcBgMarkStartWorkers  GC_BEGIN, before the world stops
 *       gcMarkRootPrepare     GC_MARK (gcPrepareMarkRoots from 1.25), the world stopped, mark phase set
 *     gcMarkDone           many calls, until there is nothing left; then
 *       gcMarkTermination     GC_MARK_DONE, the world stopped again
 *         gcSweep             SWEEP_BEGIN
 *         freeStackSpans      GC_END, the world runs again
 *
 * runqput puts a goroutine into a P's queue. Its callers tell why: runtime.ready (made runnable),
 * newproc.func1 (created), goyield_m (gave way); globrunqget up to 1.24 and goschedImpl from 1.26 move
 * what is runnable already.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "probe/plan_private.h"

enum need {
	NEED_MUST,     /* nothing can be told without it */
	NEED_EXPECTED, /* every program has it: its absence is told */
	NEED_IF_USED,  /* the linker drops it from programs that cannot call it */
};

enum part { PART_BEGIN, PART_ENDS };

struct wanted {
	const char *name, *other; /* in releases that call it so; NULL */
	uint32_t want;            /* GS_PROBE_WANT_*, any of them */
	uint8_t program, group, part, need;
	uint32_t arg;
	const char *loss; /* "… not seen" */
};

#define LIFE(prog) GS_PROBE_WANT_GOROUTINES, prog, GS_GROUP_LIFE, PART_BEGIN
#define REQUEST_OF(prog, arg)                                                                      \
	GS_PROBE_WANT_REQUESTS, prog, GS_GROUP_REQUESTS, PART_BEGIN, NEED_IF_USED, arg
#define REQUEST(prog) REQUEST_OF(prog, 0)
#define RUNTIME(kind)                                                                              \
	GS_PROBE_WANT_RUNTIME, GS_PROG_RUNTIME, GS_GROUP_RUNTIME, PART_BEGIN, NEED_EXPECTED, kind

#define XNET "golang.org/x/net/http2."
#define GRPC "google.golang.org/grpc."
#define TRANSPORT "google.golang.org/grpc/internal/transport."

static const struct wanted wanted[] = {
	{ "runtime.gopark", NULL, LIFE(GS_PROG_GOPARK), NEED_MUST, 0, "waits" },
	{ "runtime.runqput", NULL, LIFE(GS_PROG_RUNQPUT), NEED_MUST, 0, "wake-ups" },
	{ "runtime.execute", NULL, LIFE(GS_PROG_EXECUTE), NEED_MUST, 0, "who runs" },
	{ "runtime.goschedImpl", NULL, LIFE(GS_PROG_GOSCHED), NEED_EXPECTED, 0, "preemptions" },
	{ "runtime.goexit0", NULL, LIFE(GS_PROG_GOEXIT), NEED_MUST, 0, "ends of goroutines" },
	{ "runtime.netpollready", NULL, LIFE(GS_PROG_NETPOLLREADY), NEED_EXPECTED, 0,
	  "when the network was ready" },
	{ "runtime.exitsyscall0", "runtime.exitsyscallNoP", LIFE(GS_PROG_EXITSYSCALL),
	  NEED_EXPECTED, 0, "waits for a P after system calls" },
	{ "runtime.preemptPark", NULL, LIFE(GS_PROG_PREEMPTPARK), NEED_EXPECTED, 0,
	  "preemptions by the garbage collector" },
	{ "runtime.coroswitch_m", NULL, LIFE(GS_PROG_COROSWITCH), NEED_IF_USED, 0,
	  "switches of iterators" },
	{ "runtime.(*semaRoot).queue", NULL, GS_PROBE_WANT_GOROUTINES, GS_PROG_SEMA_QUEUE,
	  GS_GROUP_LOCKS, PART_BEGIN, NEED_EXPECTED, 0, "which lock was waited for" },

	{ "net/http.serverHandler.ServeHTTP", NULL, REQUEST(GS_PROG_HTTP_BEGIN), "HTTP requests" },
	{ "net/http.(*connReader).abortPendingRead", NULL, REQUEST(GS_PROG_HTTP1_END),
	  "ends of HTTP/1 requests" },
	{ "net/http.(*http2responseWriter).handlerDone",
	  "net/http/internal/http2.(*responseWriter).handlerDone", REQUEST(GS_PROG_HTTP2_END),
	  "ends of HTTP/2 requests" },
	{ XNET "(*responseWriter).handlerDone", NULL, REQUEST_OF(GS_PROG_HTTP2_END, 1),
	  "ends of HTTP/2 requests served by golang.org/x/net" },
	{ GRPC "(*Server).handleStream", NULL, REQUEST(GS_PROG_GRPC_BEGIN), "gRPC calls" },
	{ TRANSPORT "(*http2Server).writeStatus", TRANSPORT "(*http2Server).WriteStatus",
	  REQUEST(GS_PROG_GRPC_END), "ends of gRPC calls" },

	{ "runtime.stopTheWorldWithSema", NULL, RUNTIME(GS_WIRE_STW_BEGIN), "stop-the-world" },
	{ "runtime.startTheWorldWithSema", NULL, RUNTIME(GS_WIRE_STW_END), "stop-the-world" },
	{ "runtime.gcBgMarkStartWorkers", NULL, RUNTIME(GS_WIRE_GC_BEGIN), "collections" },
	{ "runtime.gcMarkRootPrepare", "runtime.gcPrepareMarkRoots", RUNTIME(GS_WIRE_GC_MARK),
	  "when marking begins" },
	{ "runtime.gcMarkTermination", NULL, RUNTIME(GS_WIRE_GC_MARK_DONE), "when marking ends" },
	{ "runtime.gcSweep", NULL, RUNTIME(GS_WIRE_SWEEP_BEGIN), "when sweeping begins" },
	{ "runtime.freeStackSpans", NULL, RUNTIME(GS_WIRE_GC_END), "when a collection ends" },
	{ "runtime.gcAssistAlloc1", NULL, GS_PROBE_WANT_RUNTIME, GS_PROG_ASSIST_BEGIN,
	  GS_GROUP_RUNTIME, PART_BEGIN, NEED_EXPECTED, 0, "GC assists" },
	{ "runtime.gcAssistAlloc1", NULL, GS_PROBE_WANT_RUNTIME, GS_PROG_ASSIST_END,
	  GS_GROUP_RUNTIME, PART_ENDS, NEED_EXPECTED, 0, "GC assists" },

	{ "runtime.cgocall", NULL, GS_PROBE_WANT_CGO, GS_PROG_CGO_BEGIN, GS_GROUP_CGO, PART_BEGIN,
	  NEED_IF_USED, 0, "time in C code" },
};

/* Looked up, but without a probe. */
enum { NEWPROC, GOYIELD, READY, EXITSYSCALL, N_HELPERS };
static const char *const helpers[N_HELPERS] = {
	[NEWPROC] = "runtime.newproc.func1",
	[GOYIELD] = "runtime.goyield_m",
	[READY] = "runtime.ready",
	[EXITSYSCALL] = "runtime.exitsyscall",
};

enum { N_WANTED = GS_ARRAY_SIZE(wanted), N_NAMES = 2 * N_WANTED + N_HELPERS };

struct bodies {
	struct gs__plan_body body[N_NAMES]; /* name, other of each row; then helpers */
};

static int take_body(void *ctx, size_t which, const struct gs_go_func *f)
{
	struct bodies *s = ctx;

	gs__plan_body_add(&s->body[which], f);
	return 0;
}

/* One pass over the function table for all names. */
static int look_up(const struct gs__plan *pl, struct bodies *s, struct gs_err *err)
{
	const char *names[N_NAMES];

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < N_WANTED; i++) {
		names[2 * i] = wanted[i].name;
		names[2 * i + 1] = wanted[i].other ? wanted[i].other : "\x01";
	}
	for (size_t i = 0; i < N_HELPERS; i++)
		names[2 * N_WANTED + i] = helpers[i];
	return gs_go_funcs_named(pl->b->tab, names, N_NAMES, take_body, s, err);
}

static const struct gs__plan_body *helper(const struct bodies *s, size_t i)
{
	return &s->body[2 * N_WANTED + i];
}

/* Whether the question asks for the row in this binary. */
static bool asked(const struct gs__plan *pl, const struct wanted *w)
{
	if (!(pl->w->want & w->want))
		return false;
	// 1.26 and later tell the semaphore by g.waiting.
	return w->program != GS_PROG_SEMA_QUEUE || !pl->p->config.sudog_has_sema;
}

static uint32_t arg_of(const struct gs__plan *pl, const struct wanted *w)
{
	switch (w->program) {
	case GS_PROG_GOSCHED:
		return pl->minor >= 22; // goschedImpl(gp, preempted)
	case GS_PROG_PREEMPTPARK:
		return gs__plan_reason(pl, "preempted");
	case GS_PROG_COROSWITCH:
		return gs__plan_reason(pl, "coroutine");
	default:
		return w->arg;
	}
}

/* Tell what a row's absence costs. @return 0, or the failure if nothing is left to tell. */
static int not_placed(struct gs__plan *pl, const struct wanted *w, const char *why,
		      struct gs_err *err)
{
	if (w->need == NEED_MUST)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "cannot follow goroutines in this binary: no probe can be placed in "
			       "%s: %s",
			       w->name, why);
	gs__plan_refuse(pl, w->name, "%s not seen: %s", w->loss, why);
	return 0;
}

static int place(struct gs__plan *pl, const struct wanted *w, const struct gs__plan_body *b,
		 struct gs_err *err)
{
	const char *name = b->func.name;
	char why[160];
	struct gs_err e;
	int r;

	if (!gs__plan_body_ok(b, false, why, sizeof(why)))
		return not_placed(pl, w, why, err);
	if (w->part == PART_BEGIN)
		r = gs__plan_add_begin(pl, w->program, w->group, arg_of(pl, w), name, &b->func,
				       false, &e);
	else
		r = gs__plan_add_ends(pl, w->program, w->group, arg_of(pl, w), name, &b->func, &e);
	return r < 0 ? not_placed(pl, w, e.text, err) : 0;
}

static int place_all(struct gs__plan *pl, const struct bodies *s, struct gs_err *err)
{
	for (size_t i = 0; i < N_WANTED; i++) {
		const struct gs__plan_body *b = &s->body[2 * i];
		int r;

		if (!asked(pl, &wanted[i]))
			continue;
		if (!b->func.name)
			b = &s->body[2 * i + 1];
		if (!b->func.name && wanted[i].need == NEED_IF_USED)
			continue;
		r = place(pl, &wanted[i], b, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool has_program(const struct gs_probe_plan *p, enum gs_probe_program program)
{
	for (uint32_t i = 0; i < p->n_sites; i++)
		if (p->site[i].program == program)
			return true;
	return false;
}

/* A begin without an end says nothing. */
static void check_requests(struct gs__plan *pl)
{
	const struct gs_probe_plan *p = pl->p;
	bool http = has_program(p, GS_PROG_HTTP_BEGIN), grpc = has_program(p, GS_PROG_GRPC_BEGIN);

	if (!(pl->w->want & GS_PROBE_WANT_REQUESTS))
		return;
	if (!http && !grpc && !pl->w->requests_if_any)
		gs__plan_refuse(pl, "net/http.serverHandler.ServeHTTP",
				"no requests: this program has no server of net/http or gRPC that "
				"could be watched; name functions instead");
	if (http && !has_program(p, GS_PROG_HTTP1_END))
		gs__plan_refuse(pl, "net/http.(*connReader).abortPendingRead",
				"ends of HTTP/1 requests not seen: it is not in the binary");
	if (grpc && !has_program(p, GS_PROG_GRPC_END))
		gs__plan_refuse(pl, TRANSPORT "(*http2Server).writeStatus",
				"ends of gRPC calls not seen: it is not in the binary");
}

/* The range of a caller of runqput; empty if it does not call it (any more). */
static void caller_range(struct gs__plan *pl, const struct bodies *s, size_t which,
			 uint64_t *ret_lo, uint64_t *ret_hi, const char *loss)
{
	const struct gs__plan_body *b = helper(s, which), *callee = NULL;
	struct gs_go_site sites[8];
	struct gs_cursor code;
	char why[160];
	struct gs_err e;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < N_WANTED; i++)
		if (wanted[i].program == GS_PROG_RUNQPUT)
			callee = &s->body[2 * i];
	if (!gs__plan_body_ok(b, false, why, sizeof(why))) {
		gs__plan_refuse(pl, helpers[which], "%s not told apart: %s", loss, why);
		return;
	}
	r = gs__plan_code(pl, &b->func, &code, &e);
	if (r == 0)
		r = gs_go_sites_call(pl->arch, &code, b->func.entry, callee->func.entry, sites,
				     GS_ARRAY_SIZE(sites), &n, &e);
	if (r < 0 || n == 0) {
		gs__plan_refuse(pl, helpers[which], "%s not told apart: %s", loss,
				r < 0 ? e.text : "it does not call runqput");
		return;
	}
	*ret_lo = b->func.entry;
	*ret_hi = b->func.end;
}

static void runqput_callers(struct gs__plan *pl, const struct bodies *s)
{
	struct gs_wire_config *c = &pl->p->config;

	if (!(pl->w->want & GS_PROBE_WANT_GOROUTINES))
		return;
	caller_range(pl, s, NEWPROC, &c->newproc_lo, &c->newproc_hi, "new goroutines");
	caller_range(pl, s, GOYIELD, &c->goyield_lo, &c->goyield_hi, "goroutines that give way");
	caller_range(pl, s, READY, &c->ready_lo, &c->ready_hi, "goroutines made runnable");
}

/* The end of a cgo call is the call of exitsyscall behind it: what comes in there is Go's. */
static int place_cgo_end(struct gs__plan *pl, const struct bodies *s, struct gs_err *err)
{
	const struct gs__plan_body *target = helper(s, EXITSYSCALL), *cgocall = NULL;
	struct gs_err e;
	int r;

	(void)err;
	if (!has_program(pl->p, GS_PROG_CGO_BEGIN))
		return 0;
	for (size_t i = 0; i < N_WANTED; i++)
		if (wanted[i].program == GS_PROG_CGO_BEGIN)
			cgocall = &s->body[2 * i];
	r = gs__plan_add_calls(pl, GS_PROG_CGO_END, GS_GROUP_CGO, 0, cgocall->func.name,
			       &cgocall->func, target->func.entry, &e);
	if (r < 0 || !target->func.name)
		gs__plan_refuse(pl, "runtime.cgocall", "ends of cgo calls not seen: %s",
				r < 0 ? e.text : "exitsyscall is not in the binary");
	else if (r == 0)
		gs__plan_refuse(pl, "runtime.cgocall",
				"ends of cgo calls not seen: it does not call exitsyscall");
	return 0;
}

#define TRACEPOINT(name) GS_PLACE_TRACEPOINT, name

static const struct {
	uint32_t want;
	uint8_t program, group, placement;
	const char *name;
} others[] = {
	{ GS_PROBE_WANT_THREADS, GS_PROG_SCHED_SWITCH, GS_GROUP_THREADS,
	  TRACEPOINT("sched:sched_switch") },
	{ GS_PROBE_WANT_THREADS, GS_PROG_SCHED_WAKING, GS_GROUP_THREADS,
	  TRACEPOINT("sched:sched_waking") },
	{ GS_PROBE_WANT_SYSCALLS, GS_PROG_SYS_ENTER, GS_GROUP_SYSCALLS,
	  TRACEPOINT("raw_syscalls:sys_enter") },
	{ GS_PROBE_WANT_SYSCALLS | GS_PROBE_WANT_MAPS, GS_PROG_SYS_EXIT, GS_GROUP_SYSCALLS,
	  TRACEPOINT("raw_syscalls:sys_exit") },
	{ GS_PROBE_WANT_FAULTS, GS_PROG_FAULT_BEGIN, GS_GROUP_FAULTS,
	  TRACEPOINT("exceptions:page_fault_user") },
	{ GS_PROBE_WANT_FAULTS, GS_PROG_FAULT_END, GS_GROUP_FAULTS, GS_PLACE_PERF,
	  "software:page-faults" },
	{ GS_PROBE_WANT_FAULT_SAMPLES, GS_PROG_FAULT_SAMPLE, GS_GROUP_FAULTS, GS_PLACE_PERF,
	  "software:page-faults" },
	{ GS_PROBE_WANT_RECLAIM, GS_PROG_RECLAIM_BEGIN, GS_GROUP_FAULTS,
	  TRACEPOINT("vmscan:mm_vmscan_direct_reclaim_begin") },
	{ GS_PROBE_WANT_RECLAIM, GS_PROG_RECLAIM_END, GS_GROUP_FAULTS,
	  TRACEPOINT("vmscan:mm_vmscan_direct_reclaim_end") },
	{ GS_PROBE_WANT_SAMPLES, GS_PROG_SAMPLE, GS_GROUP_LIFE, GS_PLACE_PERF,
	  "software:cpu-clock" },
	{ UINT32_MAX, GS_PROG_PROCESS_FORK, GS_GROUP_LIFE, TRACEPOINT("sched:sched_process_fork") },
	{ UINT32_MAX, GS_PROG_PROCESS_EXEC, GS_GROUP_LIFE, TRACEPOINT("sched:sched_process_exec") },
	{ UINT32_MAX, GS_PROG_PROCESS_EXIT, GS_GROUP_LIFE, TRACEPOINT("sched:sched_process_exit") },
};

static int place_others(struct gs__plan *pl, struct gs_err *err)
{
	int r = 0;

	for (size_t i = 0; i < GS_ARRAY_SIZE(others) && r == 0; i++)
		if (pl->w->want & others[i].want)
			r = gs__plan_add_other(pl, others[i].program, others[i].placement,
					       others[i].group, others[i].name, err);
	return r;
}

int gs__plan_sites(struct gs__plan *pl, struct gs_err *err)
{
	struct bodies s;
	int r = look_up(pl, &s, err);

	if (r == 0)
		r = place_all(pl, &s, err);
	if (r < 0)
		return r;
	check_requests(pl);
	runqput_callers(pl, &s);
	r = place_cgo_end(pl, &s, err);
	return r < 0 ? r : place_others(pl, err);
}
