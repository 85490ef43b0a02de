/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Loading the programs a plan asks for. libbpf loads all or nothing, so when the kernel refuses one that the
 * answer can do without (a tracepoint that is not in its BTF, a helper it lacks), the object is opened again
 * without that one and its partners. Which one it was is in libbpf's log only; the log goes into a buffer
 * instead of to stderr, and what the verifier said last becomes the text of the error.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "probe/host_features_internal.h"
#include "probe/session_private.h"
#include "stream.skel.h"

#define ATTACH_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI, Linux 6.6 */

/* --- names -------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint8_t unit;
	/* What the programs may no longer rely on when this one is left out. */
	uint32_t want;
} programs[GS__PROGS] = {
	[GS_PROG_GOPARK] = { "gs_gopark", GS_PROG_GOPARK },
	[GS_PROG_RUNQPUT] = { "gs_runqput", GS_PROG_RUNQPUT },
	[GS_PROG_EXECUTE] = { "gs_execute", GS_PROG_EXECUTE },
	[GS_PROG_GOSCHED] = { "gs_gosched", GS_PROG_GOSCHED },
	[GS_PROG_GOEXIT] = { "gs_goexit", GS_PROG_GOEXIT },
	[GS_PROG_NETPOLLREADY] = { "gs_netpollready", GS_PROG_NETPOLLREADY },
	[GS_PROG_EXITSYSCALL] = { "gs_exitsyscall", GS_PROG_EXITSYSCALL },
	[GS_PROG_PREEMPTPARK] = { "gs_preemptpark", GS_PROG_PREEMPTPARK },
	[GS_PROG_COROSWITCH] = { "gs_coroswitch", GS_PROG_COROSWITCH },
	[GS_PROG_SEMA_QUEUE] = { "gs_sema_queue", GS_PROG_SEMA_QUEUE },
	[GS_PROG_HTTP_BEGIN] = { "gs_http_begin", GS_PROG_HTTP_BEGIN },
	[GS_PROG_HTTP1_END] = { "gs_http1_end", GS_PROG_HTTP1_END },
	[GS_PROG_HTTP2_END] = { "gs_http2_end", GS_PROG_HTTP2_END },
	[GS_PROG_GRPC_BEGIN] = { "gs_grpc_begin", GS_PROG_GRPC_BEGIN },
	[GS_PROG_GRPC_END] = { "gs_grpc_end", GS_PROG_GRPC_END },
	[GS_PROG_CALL_BEGIN] = { "gs_call_begin", GS_PROG_CALL_BEGIN },
	[GS_PROG_CALL_END] = { "gs_call_end", GS_PROG_CALL_END },
	[GS_PROG_RUNTIME] = { "gs_runtime", GS_PROG_RUNTIME },
	[GS_PROG_ASSIST_BEGIN] = { "gs_assist_begin", GS_PROG_ASSIST_BEGIN },
	[GS_PROG_ASSIST_END] = { "gs_assist_end", GS_PROG_ASSIST_END },
	[GS_PROG_CGO_BEGIN] = { "gs_cgo_begin", GS_PROG_CGO_BEGIN },
	[GS_PROG_CGO_END] = { "gs_cgo_end", GS_PROG_CGO_END },
	[GS_PROG_DLOPEN] = { "gs_dlopen", GS_PROG_DLOPEN, GS_PROBE_WANT_DLOPEN },
	[GS_PROG_SCHED_SWITCH] = { "gs_sched_switch", GS_PROG_SCHED_SWITCH,
				   GS_PROBE_WANT_THREADS | GS_PROBE_WANT_ALL_THREADS },
	[GS_PROG_SCHED_WAKING] = { "gs_sched_waking", GS_PROG_SCHED_WAKING },
	[GS_PROG_SYS_ENTER] = { "gs_sys_enter", GS_PROG_SYS_ENTER,
				GS_PROBE_WANT_SYSCALLS | GS_PROBE_WANT_MAPS },
	[GS_PROG_SYS_EXIT] = { "gs_sys_exit", GS_PROG_SYS_ENTER,
			       GS_PROBE_WANT_SYSCALLS | GS_PROBE_WANT_MAPS },
	[GS_PROG_FAULT_BEGIN] = { "gs_fault_begin", GS_PROG_FAULT_BEGIN, GS_PROBE_WANT_FAULTS },
	[GS_PROG_FAULT_END] = { "gs_fault_end_minor", GS_PROG_FAULT_BEGIN, GS_PROBE_WANT_FAULTS },
	[GS_PROG_RECLAIM_BEGIN] = { "gs_reclaim_begin", GS_PROG_RECLAIM_BEGIN,
				    GS_PROBE_WANT_RECLAIM },
	[GS_PROG_RECLAIM_END] = { "gs_reclaim_end", GS_PROG_RECLAIM_BEGIN, GS_PROBE_WANT_RECLAIM },
	[GS_PROG_SAMPLE] = { "gs_sample", GS_PROG_SAMPLE, GS_PROBE_WANT_SAMPLES },
	[GS_PROG_PROCESS_FORK] = { "gs_process_fork", GS_PROG_PROCESS_FORK },
	[GS_PROG_PROCESS_EXEC] = { "gs_process_exec", GS_PROG_PROCESS_EXEC },
	[GS_PROG_PROCESS_EXIT] = { "gs_process_exit", GS_PROG_PROCESS_EXIT },
	[GS_PROG_FAULT_SAMPLE] = { "gs_fault_sample", GS_PROG_FAULT_SAMPLE,
				   GS_PROBE_WANT_FAULT_SAMPLES },
	[GS__PROG_FAULT_MAJOR] = { "gs_fault_end_major", GS_PROG_FAULT_BEGIN,
				   GS_PROBE_WANT_FAULTS },
};

const char *gs__program_name(unsigned int program)
{
	return programs[program].name;
}

enum gs_probe_program gs__program_unit(unsigned int program)
{
	return programs[program].unit;
}

unsigned int gs__program_by_name(const char *name)
{
	unsigned int i = 0;

	while (i < GS__PROGS && strcmp(programs[i].name, name) != 0)
		i++;
	return i;
}

/* --- libbpf's log ------------------------------------------------------------------------------- */

struct load_log {
	char program[64]; /* of which it spoke first */
	char last[200];   /* what the verifier, or libbpf, said last */
	bool verifier;
};

/* Set while this thread loads; libbpf's callback has no context of its own. */
static _Thread_local struct load_log *log_now;

/* The last line of @text that says something. */
static void take_last_line(struct load_log *l, const char *text)
{
	const char *best = NULL;
	size_t best_len = 0;

	while (*text) {
		size_t len = strcspn(text, "\n");

		/* The verifier ends with statistics, libbpf with a mark. */
		if (len > 0 && strncmp(text, "processed ", 10) != 0 &&
		    strncmp(text, "--", 2) != 0) {
			best = text;
			best_len = len;
		}
		text += len + (text[len] == '\n');
	}
	if (best)
		gs_escape_to(l->last, sizeof(l->last), best, best_len);
}

static void log_line(struct load_log *l, const char *line)
{
	const char *name = strstr(line, "prog '");

	if (name && !l->program[0]) {
		size_t len = strcspn(name + 6, "'");

		if (len < sizeof(l->program)) {
			memcpy(l->program, name + 6, len);
			l->program[len] = '\0';
		}
	}
	if (strstr(line, "BEGIN PROG LOAD LOG")) {
		l->verifier = true;
		take_last_line(l, line);
	} else if (!l->verifier) {
		take_last_line(l, line);
	}
}

static int on_libbpf_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *line;

	if (level != LIBBPF_WARN || !log_now || vasprintf(&line, fmt, ap) < 0)
		return 0;
	log_line(log_now, line);
	free(line);
	return 0;
}

/* --- loading ------------------------------------------------------------------------------------ */

static void configure(struct gs_probe_session *s, struct gs_stream_bpf *skel)
{
	struct bpf_map *ring[GS_WIRE_RINGS] = {
		[GS_WIRE_RING_GO] = skel->maps.ring_go,
		[GS_WIRE_RING_KERNEL] = skel->maps.ring_kernel,
		[GS_WIRE_RING_STACK] = skel->maps.ring_stack,
	};
	struct gs_wire_config *config = (struct gs_wire_config *)&skel->rodata->gs_config;

	*config = s->plan->config;
	config->tgid = (uint32_t)s->o.pid;
	if (!(config->want &
	      (GS_PROBE_WANT_MAPS | GS_PROBE_WANT_FAULT_SAMPLES | GS_PROBE_WANT_DLOPEN)))
		bpf_map__set_max_entries(skel->maps.thread_ms, 1);
	for (unsigned int i = 0; i < GS_WIRE_RINGS; i++)
		bpf_map__set_max_entries(ring[i], (uint32_t)s->o.ring_bytes[i]);
	skel->bss->gs_control.stopped = 1; // until everything is attached
	for (unsigned int i = 0; i < GS__PROGS; i++) {
		struct bpf_program *p =
			bpf_object__find_program_by_name(skel->obj, programs[i].name);
		bool wanted = gs__session_wants(s, i);

		if (!p)
			continue; // found missing when it is attached
		bpf_program__set_autoload(p, wanted);
		if (!wanted && s->refused & 1ULL << programs[i].unit)
			config->want &= ~programs[i].want;
		if (i < GS_PROG_UPROBES && s->multi)
			bpf_program__set_expected_attach_type(p, ATTACH_UPROBE_MULTI);
	}
}

static int load_failed(int r, const struct load_log *l, struct gs_err *err)
{
	if (l->verifier)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "this kernel's verifier refuses the program %s: %s", l->program,
			       l->last);
	if (r == -EPERM || r == -EACCES)
		return gs_fail(err, -GS_E_PERMISSION, 0,
			       "programs cannot be loaded: %s (%s). What helps: %s", strerror(-r),
			       l->last, gs_feature_info(GS_FEATURE_BPF_KPROBE_PROGRAM)->remedy);
	return gs_fail(err, -GS_E_UNSUPPORTED, 0, "programs cannot be loaded: %s (%s)",
		       strerror(-r), l->last);
}

/* Open and load once. @return 0; 1: try again, something was left out; negative: failed. */
static int try_load(struct gs_probe_session *s, struct gs_err *err)
{
	struct load_log l = { 0 };
	struct gs_stream_bpf *skel;
	unsigned int program;
	int r;

	log_now = &l;
	skel = gs_stream_bpf__open();
	r = skel ? 0 : -errno;
	if (skel) {
		configure(s, skel);
		r = gs_stream_bpf__load(skel);
	}
	log_now = NULL;
	if (r == 0) {
		s->skel = skel;
		return 0;
	}
	gs_stream_bpf__destroy(skel);
	program = gs__program_by_name(l.program);
	if (program == GS__PROGS || !gs__session_wants(s, program) ||
	    gs__session_needs(s, gs__program_site(program)))
		return load_failed(r, &l, err);
	gs__session_refuse(s, gs__program_site(program), "%s", l.last);
	return 1;
}

int gs__session_load(struct gs_probe_session *s, struct gs_err *err)
{
	int64_t start = gs_now_ns();
	int r;

	libbpf_set_print(on_libbpf_print); // for good: it would write to stderr
	do
		r = try_load(s, err);
	while (r > 0); // each round leaves out one unit more
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < GS__PROGS; i++) {
		struct bpf_program *p =
			bpf_object__find_program_by_name(s->skel->obj, programs[i].name);

		s->prog_fd[i] = p && gs__session_wants(s, i) ? bpf_program__fd(p) : -1;
	}
	s->counters_fd = bpf_map__fd(s->skel->maps.counters);
	s->hits_fd = bpf_map__fd(s->skel->maps.hits);
	s->threads_fd = bpf_map__fd(s->skel->maps.threads);
	s->ring_fd[GS_WIRE_RING_GO] = bpf_map__fd(s->skel->maps.ring_go);
	s->ring_fd[GS_WIRE_RING_KERNEL] = bpf_map__fd(s->skel->maps.ring_kernel);
	s->ring_fd[GS_WIRE_RING_STACK] = bpf_map__fd(s->skel->maps.ring_stack);
	s->control = &s->skel->bss->gs_control;
	s->load_ns = gs_now_ns() - start;
	return 0;
}

void gs__session_unload(struct gs_probe_session *s)
{
	gs_stream_bpf__destroy(s->skel);
	s->skel = NULL;
	s->control = NULL;
}
