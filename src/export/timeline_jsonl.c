/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A timeline as lines of JSON, for programs of one's own: every event with all that is known of it. The
 * first line is the header, with "schema"; then one line per event, oldest first, and one per stack before the
 * first event that has it; the last line has the numbers of the stream. Keys: docs/trace.md.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/json_writer.h"
#include "export/timeline.h"

#define STACKS_MAX (4u << 20)

struct gs_timeline_writer {
	struct gs_out *out;
	struct gs_event_source *source;
	struct gs_json j;
	const char *(*syscall_name)(const char *goarch, int32_t number);
	uint8_t *stack_told; /* by id */
	uint32_t n_stack_told;
	uint64_t events, goroutines, untracked;
};

static void seconds(struct gs_json *j, const char *key, int64_t ns)
{
	gs_json_key(j, key);
	gs_json_seconds(j, ns);
}

static void address(struct gs_json *j, const char *key, uint64_t v)
{
	gs_json_key(j, key);
	gs_json_hex(j, v);
}

/* A text that is not terminated, left out if empty. */
static void text(struct gs_json *j, const char *key, const char *s, size_t n)
{
	if (!s || n == 0)
		return;
	gs_json_key(j, key);
	gs_json_string_n(j, s, n);
}

static void string(struct gs_json *j, const char *key, const char *s)
{
	if (s)
		text(j, key, s, strlen(s));
}

static void number(struct gs_json *j, const char *key, uint64_t v)
{
	if (v)
		gs_json_kv_u64(j, key, v);
}

static void line_end(struct gs_timeline_writer *w)
{
	gs_json_close(&w->j);
	gs_out_char(w->out, '\n');
	gs_json_init(&w->j, w->out, false);
}

/* --- Stacks ------------------------------------------------------------------------------------------ */

static void frame(struct gs_json *j, const struct gs_frame *f)
{
	gs_json_open_object(j);
	gs_json_kv_string(j, "function", f->function);
	string(j, "file", f->file);
	number(j, "line", f->line);
	if (f->flags & GS_FRAME_KERNEL)
		gs_json_kv_bool(j, "kernel", true);
	if (f->pc)
		address(j, "pc", f->pc);
	gs_json_close(j);
}

static bool told(struct gs_timeline_writer *w, uint32_t id)
{
	if (id >= w->n_stack_told) {
		uint32_t n = w->n_stack_told ? w->n_stack_told : 1024;
		uint8_t *p;

		while (n <= id)
			n *= 2;
		p = id < STACKS_MAX ? gs_array_resize(w->stack_told, n, 1) : NULL;
		if (!p)
			return false; // told again each time: costs space, loses nothing
		memset(p + w->n_stack_told, 0, n - w->n_stack_told);
		w->stack_told = p;
		w->n_stack_told = n;
	}
	if (w->stack_told[id])
		return true;
	w->stack_told[id] = 1;
	return false;
}

/* The line of a stack, before the first event that has it. */
static void stack(struct gs_timeline_writer *w, uint32_t id)
{
	const struct gs_stack *s;

	if (id == 0 || told(w, id))
		return;
	s = w->source->stack(w->source, id);
	gs_json_open_object(&w->j);
	gs_json_kv_string(&w->j, "kind", "stack");
	gs_json_kv_u64(&w->j, "id", id);
	gs_json_key(&w->j, "frames");
	gs_json_open_array(&w->j);
	for (uint32_t i = 0; s && i < s->n_frames; i++)
		frame(&w->j, &s->frames[i]);
	gs_json_close(&w->j);
	if (!s || s->end != GS_STACK_COMPLETE)
		gs_json_kv_bool(&w->j, "cut", true);
	line_end(w);
}

/* --- What kinds have in common ----------------------------------------------------------------------- */

static void flags(struct gs_json *j, uint16_t f)
{
	static const char *const names[] = { "adopted", "preempted", "syscall", "fault",
					     "major",   "reclaim",   "cgo",     "netpoll" };

	if (!f)
		return;
	gs_json_key(j, "flags");
	gs_json_open_array(j);
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (f & 1u << i)
			gs_json_string(j, names[i]);
	gs_json_close(j);
}

static void usage(struct gs_json *j, const struct gs_usage *u)
{
	const struct {
		const char *key;
		int64_t ns;
	} times[] = {
		{ "kernel_seconds", u->kernel_ns },
		{ "fault_minor_seconds", u->fault_minor_ns },
		{ "fault_major_seconds", u->fault_major_ns },
		{ "reclaim_seconds", u->reclaim_ns },
		{ "cgo_seconds", u->cgo_ns },
	};
	bool any = u->faults_minor || u->faults_major;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		any |= times[i].ns != 0;
	if (!any)
		return;
	gs_json_key(j, "usage");
	gs_json_open_object(j);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i].ns)
			seconds(j, times[i].key, times[i].ns);
	number(j, "faults_minor", u->faults_minor);
	number(j, "faults_major", u->faults_major);
	gs_json_close(j);
}

static void socket_address(struct gs_json *j, const char *key, const struct gs_file_ref *f,
			   const uint8_t *addr, uint16_t port)
{
	char ip[INET6_ADDRSTRLEN] = "", all[INET6_ADDRSTRLEN + 10];

	if (f->family != AF_INET && f->family != AF_INET6)
		return;
	if (!inet_ntop(f->family, addr, ip, sizeof(ip)))
		return;
	snprintf(all, sizeof(all), f->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, port);
	gs_json_kv_string(j, key, all);
}

static void file(struct gs_json *j, const struct gs_file_ref *f)
{
	if (f->fd < 0 || f->mode == 0)
		return;
	gs_json_key(j, "file");
	gs_json_open_object(j);
	gs_json_kv_i64(j, "fd", f->fd);
	gs_json_kv_u64(j, "mode", f->mode);
	number(j, "family", f->family);
	number(j, "protocol", f->protocol);
	socket_address(j, "local", f, f->local_addr, f->local_port);
	socket_address(j, "peer", f, f->peer_addr, f->peer_port);
	text(j, "name", f->name, strnlen(f->name, sizeof(f->name)));
	gs_json_close(j);
}

static void frame_key(struct gs_json *j, const char *key, const struct gs_frame *f)
{
	if (!f)
		return;
	gs_json_key(j, key);
	frame(j, f);
}

/* --- Kinds ------------------------------------------------------------------------------------------- */

static void state(struct gs_json *j, const struct gs_event *e)
{
	gs_json_kv_string(j, "state", gs_goroutine_state_name(e->state.state));
	string(j, "wait_reason", e->state.wait_reason);
	number(j, "parent_id", e->state.parent);
	if (e->state.since_ns)
		seconds(j, "since_seconds", e->state.since_ns);
	frame_key(j, "start", e->state.start);
	frame_key(j, "created_by", e->state.created_by);
	if (e->state.system)
		gs_json_kv_bool(j, "system", true);
}

static void park(struct gs_timeline_writer *w, const struct gs_event *e)
{
	const char mode[2] = { e->park.io_mode, 0 };
	const char *name = NULL;

	string(&w->j, "wait_reason", e->park.reason);
	if (e->park.object) {
		address(&w->j, "object", e->park.object);
		name = w->source->object_name(w->source, e->park.object);
	}
	string(&w->j, "object_name", name);
	string(&w->j, "io", mode);
	number(&w->j, "cases", e->park.n_cases);
	file(&w->j, &e->park.file);
}

static void call(struct gs_timeline_writer *w, const struct gs_event *e)
{
	static const char *const kinds[] = { "", "http1", "http2", "grpc", "function" };
	struct gs_json *j = &w->j;

	gs_json_kv_string(j, "call",
			  e->call.call <= GS_CALL_FUNCTION ? kinds[e->call.call] : "unknown");
	if (e->call.call == GS_CALL_FUNCTION && e->call.function < w->source->n_functions)
		gs_json_kv_string(j, "function", w->source->functions[e->call.function]);
	text(j, "method", e->call.method, e->call.method_len);
	text(j, "path", e->call.path, e->call.path_len);
	text(j, "pattern", e->call.pattern, e->call.pattern_len);
	text(j, "peer", e->call.peer, e->call.peer_len);
	if (e->kind == GS_EV_CALL_END && e->call.status >= 0)
		gs_json_kv_i64(j, "status", e->call.status);
	if (e->kind == GS_EV_CALL_END && e->call.bytes >= 0)
		gs_json_kv_i64(j, "bytes", e->call.bytes);
	address(j, "sp", e->call.sp);
}

static void runtime(struct gs_json *j, const struct gs_event *e)
{
	static const char *const what[] = { "",          "stw_begin",   "stw_end",
					    "gc_begin",  "gc_mark",     "gc_mark_done",
					    "gc_end",    "sweep_begin", "assist_begin",
					    "assist_end" };

	gs_json_kv_string(j, "what",
			  e->runtime.what <= GS_RUNTIME_ASSIST_END ? what[e->runtime.what]
								   : "unknown");
	number(j, "arg", e->runtime.arg);
}

static void off_cpu(struct gs_timeline_writer *w, const struct gs_event *e)
{
	const char *name = NULL;
	struct gs_json *j = &w->j;

	seconds(j, "off_seconds", e->off_cpu.off_ns);
	if (e->off_cpu.wake_ns)
		seconds(j, "wake_seconds", e->off_cpu.wake_ns);
	number(j, "waker_id", e->off_cpu.waker_goid);
	if (e->off_cpu.waker_tid)
		gs_json_kv_i64(j, "waker_thread_id", e->off_cpu.waker_tid);
	gs_json_kv_u64(j, "task_state", e->off_cpu.task_state);
	if (e->off_cpu.io_wait)
		gs_json_kv_bool(j, "io_wait", true);
	if (e->off_cpu.syscall >= 0) {
		gs_json_kv_i64(j, "syscall", e->off_cpu.syscall);
		if (w->syscall_name)
			name = w->syscall_name(w->source->goarch, e->off_cpu.syscall);
		string(j, "syscall_name", name);
		address(j, "arg0", e->off_cpu.arg[0]);
		address(j, "arg1", e->off_cpu.arg[1]);
	}
	file(j, &e->off_cpu.file);
}

static void map(struct gs_json *j, const struct gs_event *e)
{
	gs_json_kv_i64(j, "syscall", e->map.syscall);
	gs_json_key(j, "args");
	gs_json_open_array(j);
	for (size_t i = 0; i < 6; i++)
		gs_json_hex(j, e->map.arg[i]);
	gs_json_close(j);
	gs_json_kv_i64(j, "result", e->map.result);
}

static void process(struct gs_json *j, const struct gs_event *e)
{
	static const char *const what[] = {
		"", "thread_new", "thread_exit", "fork", "exec", "exit"
	};

	gs_json_kv_string(j, "what",
			  e->process.what <= GS_PROCESS_EXIT ? what[e->process.what] : "unknown");
	if (e->process.child)
		gs_json_kv_i64(j, "child", e->process.child);
	text(j, "comm", e->process.comm, strnlen(e->process.comm, sizeof(e->process.comm)));
}

static void gauge(struct gs_json *j, const struct gs_event *e)
{
	number(j, "heap_live_bytes", e->gauge.heap_live_bytes);
	number(j, "heap_goal_bytes", e->gauge.heap_goal_bytes);
	gs_json_kv_u64(j, "runnable_global", e->gauge.runnable_global);
	gs_json_kv_u64(j, "runnable_local", e->gauge.runnable_local);
	gs_json_kv_u64(j, "goroutines", e->gauge.goroutines);
	gs_json_kv_u64(j, "gomaxprocs", e->gauge.gomaxprocs);
	gs_json_kv_u64(j, "idle_ps", e->gauge.idle_ps);
	gs_json_kv_u64(j, "threads", e->gauge.threads);
}

static void detached(struct gs_json *j, uint32_t unseen)
{
	gs_json_key(j, "unseen");
	gs_json_open_array(j);
	for (uint32_t bit = 1; bit <= GS_UNSEEN_ALL; bit <<= 1)
		if (unseen & bit)
			gs_json_string(j, gs_unseen_name(bit));
	gs_json_close(j);
}

static void details(struct gs_timeline_writer *w, const struct gs_event *e)
{
	struct gs_json *j = &w->j;

	switch ((enum gs_event_kind)e->kind) {
	case GS_EV_GO_STATE:
		state(j, e);
		break;
	case GS_EV_GO_CREATE:
		number(j, "parent_id", e->create.parent);
		frame_key(j, "start", e->create.start);
		frame_key(j, "created_by", e->create.created_by);
		break;
	case GS_EV_GO_READY:
		number(j, "waker_id", e->ready.waker);
		break;
	case GS_EV_GO_RUN:
		if (e->run.p >= 0)
			gs_json_kv_i64(j, "p_id", e->run.p);
		break;
	case GS_EV_GO_PARK:
		park(w, e);
		break;
	case GS_EV_CALL_BEGIN:
	case GS_EV_CALL_END:
		call(w, e);
		break;
	case GS_EV_RUNTIME:
		runtime(j, e);
		break;
	case GS_EV_OFF_CPU:
		off_cpu(w, e);
		break;
	case GS_EV_SAMPLE:
		seconds(j, "period_seconds", e->sample.period_ns);
		break;
	case GS_EV_MAP:
		map(j, e);
		break;
	case GS_EV_PROCESS:
		process(j, e);
		break;
	case GS_EV_PAGE_FAULT:
		gs_json_kv_u64(j, "address", e->fault.addr);
		gs_json_kv_u64(j, "faults", e->fault.period);
		break;
	case GS_EV_DLOPEN:
		gs_json_key(j, "path");
		gs_json_string_n(j, e->dlopen.path, e->dlopen.path_len);
		break;
	case GS_EV_GAUGE:
		gauge(j, e);
		break;
	case GS_EV_LOST:
		gs_json_kv_u64(j, "count", e->lost.count);
		break;
	case GS_EV_THINNED:
		gs_json_kv_u64(j, "mask", e->thinned.mask);
		gs_json_kv_u64(j, "one_of", (uint64_t)e->thinned.mask + 1);
		break;
	case GS_EV_DETACHED:
		detached(j, e->detached.unseen);
		break;
	case GS_EV_GO_YIELD:
	case GS_EV_GO_EXIT:
	case GS_EV_KIND_COUNT:
		break;
	}
}

static void event(struct gs_timeline_writer *w, const struct gs_event *e)
{
	stack(w, e->stack);
	stack(w, e->kernel_stack);
	gs_json_open_object(&w->j);
	gs_json_kv_string(&w->j, "kind", gs_event_kind_name((enum gs_event_kind)e->kind));
	seconds(&w->j, "time_seconds", e->t_ns);
	number(&w->j, "goroutine_id", e->goid);
	if (e->tid)
		gs_json_kv_i64(&w->j, "thread_id", e->tid);
	flags(&w->j, e->flags);
	details(w, e);
	usage(&w->j, &e->usage);
	number(&w->j, "stack", e->stack);
	number(&w->j, "kernel_stack", e->kernel_stack);
	line_end(w);
	w->goroutines += e->kind == GS_EV_GO_STATE || e->kind == GS_EV_GO_CREATE;
}

/* --- The format -------------------------------------------------------------------------------------- */

static void jsonl_abort(struct gs_timeline_writer *w)
{
	if (!w)
		return;
	free(w->stack_told);
	free(w);
}

static int jsonl_open(struct gs_timeline_writer **ret, struct gs_out *out,
		      struct gs_event_source *source, const struct gs_timeline_options *o,
		      struct gs_err *err)
{
	struct gs_timeline_writer *w = calloc(1, sizeof(*w));

	*ret = w;
	if (!w)
		return gs_fail(err, -ENOMEM, 0, "cannot write the timeline: out of memory");
	w->out = out;
	w->source = source;
	w->syscall_name = o ? o->syscall_name : NULL;
	gs_json_init(&w->j, out, false);
	gs_json_open_object(&w->j);
	gs_json_kv_string(&w->j, "schema", "gosonde.trace/1");
	gs_json_kv_string(&w->j, "kind", "header");
	if (source->process)
		gs_process_json(&w->j, source->process);
	gs_json_kv_string(&w->j, "clock", "CLOCK_MONOTONIC");
	line_end(w);
	return 0;
}

static int check(const struct gs_timeline_writer *w, struct gs_err *err)
{
	if (!gs_out_failed(w->out))
		return 0;
	return gs_fail(err, w->out->error, 0, "cannot write the timeline: %s",
		       strerror(-w->out->error));
}

static int jsonl_events(struct gs_timeline_writer *w, const struct gs_event *e, size_t n,
			struct gs_err *err)
{
	for (size_t i = 0; i < n && !gs_out_failed(w->out); i++)
		event(w, &e[i]);
	w->events += n;
	return check(w, err);
}

static void probes(struct gs_json *j, const struct gs_stream_stats *s)
{
	gs_json_key(j, "probes");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < s->n_probes && i < GS_PROBES_MAX; i++) {
		const struct gs_probe_cost *p = &s->probe[i];

		gs_json_open_object(j);
		gs_json_kv_string(j, "name", p->name);
		gs_json_kv_string(j, "placement", p->placement);
		gs_json_kv_u64(j, "hits", p->hits);
		seconds(j, "cost_seconds", (int64_t)((double)p->hits * p->cost_ns));
		if (p->detached)
			gs_json_kv_bool(j, "detached", true);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void stats_line(struct gs_timeline_writer *w, const struct gs_stream_stats *s)
{
	struct gs_json *j = &w->j;

	gs_json_open_object(j);
	gs_json_kv_string(j, "kind", "stats");
	gs_json_kv_u64(j, "events", w->events);
	if (s) {
		seconds(j, "begin_seconds", s->begin_ns);
		seconds(j, "end_seconds", s->end_ns);
		gs_json_key(j, "begin_time");
		gs_json_time(j, (uint64_t)s->begin_unix_ns);
		gs_json_kv_u64(j, "produced", s->produced);
		gs_json_kv_u64(j, "lost", s->lost);
		seconds(j, "target_cpu_seconds", s->target_cpu_ns);
		seconds(j, "target_cost_seconds", s->target_cost_ns);
		probes(j, s);
		gs_incomplete_json(j, &s->incomplete);
	}
	line_end(w);
}

static int jsonl_close(struct gs_timeline_writer *w, const struct gs_stream_stats *stats,
		       struct gs_timeline_result *ret, struct gs_err *err)
{
	int r;

	stats_line(w, stats);
	*ret = (struct gs_timeline_result){
		.events = w->events,
		.goroutines = w->goroutines,
		.bytes = w->out->total,
		.untracked = w->untracked,
	};
	r = check(w, err);
	jsonl_abort(w);
	return r;
}

const struct gs_timeline_format gs_timeline_jsonl = {
	.name = "jsonl",
	.words = "JSON lines",
	.how = "one event per line, keys as in docs/trace.md: %s",
	.open = jsonl_open,
	.events = jsonl_events,
	.close = jsonl_close,
	.abort = jsonl_abort,
};
