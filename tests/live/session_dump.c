/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Attaches a session to a Go process and prints what comes out of the rings, for tests and for looking:
 *
 *	session_dump [--want BITS] [--function NAME]... [--seconds N] [--perf] [--wake batch|adaptive|poll]
 *	             [--ring BYTES] [--print] PID
 *
 * "ready" on stdout when everything is attached; then, with --print, a line per record; at the end (after
 * the time, on SIGINT or SIGTERM) one line of JSON with counts and times.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "probe/session.h"
#include "runtime/rt.h"

struct dump {
	struct gs_target *target;
	struct gs_rt *rt;
	struct gs_probe_session *session;
	const char *const *reasons;
	uint32_t n_reasons;
	struct gs_probe_plan plan;
	bool print;
	uint64_t records[128]; /* by kind */
	uint64_t disordered, adopted, bytes;
	uint64_t last_ts[GS_WIRE_RINGS];
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	ended = 1;
}

static const char *kind_name(uint8_t kind)
{
	static const char *const names[128] = {
		[GS_WIRE_GO_CREATE] = "create", [GS_WIRE_GO_READY] = "ready",
		[GS_WIRE_GO_RUN] = "run",       [GS_WIRE_GO_PARK] = "park",
		[GS_WIRE_GO_YIELD] = "yield",   [GS_WIRE_GO_EXIT] = "exit",
		[GS_WIRE_CALL_BEGIN] = "begin", [GS_WIRE_CALL_END] = "end",
		[GS_WIRE_RUNTIME] = "runtime",  [GS_WIRE_OFF_CPU] = "off_cpu",
		[GS_WIRE_SAMPLE] = "sample",    [GS_WIRE_MAP] = "map",
		[GS_WIRE_PROCESS] = "process",  [GS_WIRE_STACK] = "stack",
		[GS_WIRE_FAULT] = "fault",
	};

	return kind < 128 && names[kind] ? names[kind] : "?";
}

/* --- text --------------------------------------------------------------------------------------- */

static void print_usage(const struct gs_wire_usage *u)
{
	if (u->kernel_ns || u->fault_minor_ns || u->fault_major_ns || u->reclaim_ns || u->cgo_ns)
		printf(" usage{kernel %u minor %u/%u major %u/%u reclaim %u cgo %u}", u->kernel_ns,
		       u->fault_minor_ns, u->faults_minor, u->fault_major_ns, u->faults_major,
		       u->reclaim_ns, u->cgo_ns);
}

static void print_file(const struct gs_wire_file *f)
{
	printf(" file{fd %d mode %#o family %u protocol %u ports %u %u peer %u.%u.%u.%u dev %#x "
	       "name %.*s}",
	       f->fd, f->mode, f->family, f->protocol, f->local_port, f->peer_port, f->peer_addr[0],
	       f->peer_addr[1], f->peer_addr[2], f->peer_addr[3], f->dev, GS_WIRE_NAME_MAX,
	       f->name);
}

static void print_stack(struct dump *d, const struct gs_wire_stack *s)
{
	struct gs_rt_raw_stack raw = { 0 };
	const struct gs_stack *stack;

	printf(" flags %u word %#" PRIx64, s->flags, s->sp_word);
	if (s->flags & 2) {
		for (uint32_t i = 0; i < s->n; i++)
			printf("\n\t%#" PRIx64, s->pc[i]);
		return;
	}
	raw.pcs = s->pc;
	raw.n = s->n;
	raw.sp_word = s->sp_word;
	raw.has_sp_word = s->flags & 4;
	raw.cut = s->flags & 1;
	stack = gs_rt_symbolize(d->rt, &raw);
	for (uint32_t i = 0; stack && i < stack->n_frames; i++)
		printf("\n\t%#" PRIx64 " %s", stack->frames[i].pc, stack->frames[i].function);
}

static void print_park(struct dump *d, const struct gs_wire_go_park *r)
{
	const char *why = r->reason < d->n_reasons ? d->reasons[r->reason] : "?";

	printf(" reason %u %s object %#" PRIx64 " cases %u io %c", r->reason, why, r->object,
	       r->n_cases, r->io_mode ? r->io_mode : '-');
	print_usage(&r->usage);
	if (r->has_file)
		print_file(&r->file);
}

static void print_call(const struct gs_wire_call *r)
{
	printf(" call %u sp %#" PRIx64 " status %d bytes %" PRId64, r->call, r->sp, r->status,
	       r->bytes);
	print_usage(&r->usage);
	if (r->call == GS_WIRE_CALL_FUNCTION)
		printf(" function %u", r->function);
	else
		printf(" %.*s %.*s pattern %.*s peer %.*s", r->method_len, r->method, r->path_len,
		       r->path, r->pattern_len, r->pattern, r->peer_len, r->peer);
}

static void print_off_cpu(const struct gs_wire_off_cpu *r)
{
	printf(" off %" PRIu64 " woken %" PRIu64 " by %u/%" PRIu64 " syscall %d %#" PRIx64
	       " state %#x io %u kernel_stack %#" PRIx64,
	       r->h.ts_ns - r->off_ns, r->wake_ns ? r->h.ts_ns - r->wake_ns : 0, r->waker_tid,
	       r->waker_goid, r->syscall, r->arg[0], r->state, r->io_wait, r->kernel_stack);
	print_usage(&r->usage);
	if (r->has_file)
		print_file(&r->file);
}

static void print_rest(struct dump *d, const struct gs_wire_head *h)
{
	const void *p = h;

	switch (h->kind) {
	case GS_WIRE_GO_CREATE: {
		const struct gs_wire_go_create *r = p;

		printf(" parent %" PRIu64 " start %#" PRIx64 " at %#" PRIx64, r->parent,
		       r->start_pc, r->creator_pc);
		break;
	}
	case GS_WIRE_GO_READY:
		printf(" waker %" PRIu64, ((const struct gs_wire_go_ready *)p)->waker);
		break;
	case GS_WIRE_GO_RUN:
		printf(" p %d", ((const struct gs_wire_go_run *)p)->p);
		break;
	case GS_WIRE_GO_PARK:
		print_park(d, p);
		break;
	case GS_WIRE_GO_YIELD:
	case GS_WIRE_GO_EXIT:
		print_usage(&((const struct gs_wire_go_yield *)p)->usage);
		break;
	case GS_WIRE_CALL_BEGIN:
	case GS_WIRE_CALL_END:
		print_call(p);
		break;
	case GS_WIRE_RUNTIME: {
		const struct gs_wire_runtime *r = p;

		printf(" what %u arg %#" PRIx64, r->what, r->arg);
		print_usage(&r->usage);
		break;
	}
	case GS_WIRE_OFF_CPU:
		print_off_cpu(p);
		break;
	case GS_WIRE_MAP: {
		const struct gs_wire_map *r = p;

		printf(" syscall %d %#" PRIx64 " %" PRIu64 " = %#" PRIx64, r->syscall, r->arg[0],
		       r->arg[1], (uint64_t)r->result);
		break;
	}
	case GS_WIRE_PROCESS: {
		const struct gs_wire_process *r = p;

		printf(" what %u child %u %.16s", r->what, r->child, r->comm);
		break;
	}
	case GS_WIRE_FAULT: {
		const struct gs_wire_fault *r = p;

		printf(" address %#" PRIx64 " faults %" PRIu64, r->addr, r->period);
		break;
	}
	case GS_WIRE_STACK:
		print_stack(d, p);
		break;
	default:
		break;
	}
}

/* --- counting ----------------------------------------------------------------------------------- */

static void on_record(void *ctx, enum gs_wire_ring ring, const struct gs_wire_head *h, size_t size)
{
	struct dump *d = ctx;

	if (h->kind == GS_WIRE_PROCESS &&
	    ((const struct gs_wire_process *)(const void *)h)->what == GS_WIRE_PROCESS_EXIT)
		ended = 1;
	d->records[h->kind]++;
	d->bytes += size;
	d->adopted += h->flags & GS_WIRE_F_ADOPTED ? 1 : 0;
	d->disordered += h->ts_ns < d->last_ts[ring];
	d->last_ts[ring] = h->ts_ns;
	if (!d->print)
		return;
	printf("%" PRIu64 ".%09" PRIu64 " %-7s cpu %u seq %u tid %u goid %" PRIu64
	       " stack %#" PRIx64 " flags %#x site %u",
	       h->ts_ns / 1000000000, h->ts_ns % 1000000000, kind_name(h->kind), h->cpu, h->seq,
	       h->tid, h->goid, h->stack, h->flags, h->site);
	print_rest(d, h);
	putchar('\n');
}

static int print_summary(struct dump *d, int64_t stop_ns, struct gs_err *err)
{
	static struct gs_probe_counts c;
	struct rusage ru;
	uint32_t n_missing;
	const struct gs_probe_missing *m = gs_probe_session_missing(d->session, &n_missing);
	int r = gs_probe_session_counts(d->session, &c, err);

	if (r < 0)
		return r;
	getrusage(RUSAGE_SELF, &ru);
	printf("{\"mechanism\":\"%s\",\"load_ms\":%.1f,\"attach_ms\":%.1f,\"detach_ms\":%.1f",
	       gs_probe_session_mechanism(d->session),
	       (double)gs_probe_session_load_ns(d->session) / 1e6,
	       (double)gs_probe_session_attach_ns(d->session) / 1e6, (double)stop_ns / 1e6);
	printf(",\"rss_kib\":%ld,\"cpu_ms\":%ld", ru.ru_maxrss,
	       (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000 +
		       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1000);
	printf(",\"records\":{");
	for (unsigned int i = 0, n = 0; i < 128; i++)
		if (d->records[i])
			printf("%s\"%s\":%" PRIu64, n++ ? "," : "", kind_name((uint8_t)i),
			       d->records[i]);
	printf("},\"bytes\":%" PRIu64 ",\"disordered\":%" PRIu64 ",\"adopted\":%" PRIu64, d->bytes,
	       d->disordered, d->adopted);
	printf(",\"produced\":[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "],\"ring_full\":[%" PRIu64
	       ",%" PRIu64 ",%" PRIu64 "]",
	       c.total.produced[0], c.total.produced[1], c.total.produced[2], c.total.ring_full[0],
	       c.total.ring_full[1], c.total.ring_full[2]);
	printf(",\"threads_full\":%" PRIu64 ",\"stacks_missing\":%" PRIu64
	       ",\"reads_failed\":%" PRIu64 ",\"missed\":%" PRIu64 ",\"rejected\":%" PRIu64,
	       c.total.threads_full, c.total.stacks_missing, c.total.reads_failed, c.missed,
	       c.rejected);
	printf(",\"hits\":[");
	for (uint32_t i = 0; i < d->plan.n_sites; i++)
		printf("%s{\"function\":\"%s\",\"group\":\"%s\",\"emulated\":%s,\"hits\":%" PRIu64
		       "}",
		       i ? "," : "", d->plan.site[i].function,
		       gs_probe_group_name(d->plan.site[i].group),
		       d->plan.site[i].emulated ? "true" : "false", c.hits[i]);
	printf("],\"missing\":[");
	for (uint32_t i = 0; i < n_missing; i++)
		printf("%s\"%s: %s\"", i ? "," : "", m[i].what, m[i].why);
	printf("]}\n");
	return 0;
}

/* --- running ------------------------------------------------------------------------------------ */

static int make_plan(struct dump *d, const struct gs_probe_wish *wish, struct gs_err *err)
{
	const struct gs_probe_binary b = {
		.image = gs_target_image(d->target),
		.tab = gs_rt_pclntab(d->rt),
		.layout = &gs_rt_facts(d->rt)->layout,
		.build = &gs_rt_facts(d->rt)->build,
		.mem = gs_target_memory(d->target),
		.wait_reasons = d->reasons,
		.n_wait_reasons = d->n_reasons,
		.bias = gs_target_bias(d->target),
		.exe_fd = gs_target_exe_fd(d->target),
	};
	int r = gs_probe_plan_make(&b, wish, &d->plan, err);

	for (uint32_t i = 0; r >= 0 && i < d->plan.n_refused; i++)
		fprintf(stderr, "refused: %s: %s\n", d->plan.refused[i].function,
			d->plan.refused[i].why);
	return r;
}

static int follow(struct dump *d, int64_t seconds, struct gs_err *err)
{
	int64_t end = gs_now_ns() + seconds * 1000000000, start, left;
	int r;

	puts("ready");
	fflush(stdout);
	while (!ended && (left = end - gs_now_ns()) > 0) {
		int64_t n = gs_probe_session_read(d->session, left < 100000000 ? left : 100000000,
						  on_record, d, err);

		if (n < 0)
			return (int)n;
	}
	start = gs_now_ns();
	gs_probe_session_stop(d->session);
	left = gs_now_ns() - start;
	while (gs_probe_session_read(d->session, 0, on_record, d, err) > 0)
		;
	if (d->print)
		puts("open:");
	r = d->print ? gs_probe_session_open_states(d->session, on_record, d, err) : 0;
	return r < 0 ? r : print_summary(d, left, err);
}

static int run(struct dump *d, const struct gs_probe_wish *wish, struct gs_probe_session_options *o,
	       int64_t seconds, struct gs_err *err)
{
	struct gs_features features = { 0 };
	const struct gs_target_identity *id;
	int r = gs_target_open_pid(o->pid, &d->target, err);

	if (r == 0)
		r = gs_rt_open(d->target, &d->rt, err);
	if (r < 0)
		return r;
	d->reasons = gs_rt_wait_reasons(d->rt, &d->n_reasons);
	r = make_plan(d, wish, err);
	if (r < 0)
		return r;
	id = gs_target_identity(d->target);
	o->exe_fd = gs_target_exe_fd(d->target);
	o->exe_dev = id->exe_dev;
	o->exe_ino = id->exe_ino;
	r = gs_probe_session_open(o, &d->plan, &features, &d->session, err);
	return r < 0 ? r : follow(d, seconds, err);
}

static enum gs_probe_wakeup wakeup_named(const char *name)
{
	return !strcmp(name, "poll")       ? GS_WAKE_POLL
	       : !strcmp(name, "adaptive") ? GS_WAKE_ADAPTIVE
					   : GS_WAKE_BATCH;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "want", required_argument, NULL, 'w' },
		{ "function", required_argument, NULL, 'f' },
		{ "seconds", required_argument, NULL, 's' },
		{ "perf", no_argument, NULL, 'p' },
		{ "wake", required_argument, NULL, 'k' },
		{ "ring", required_argument, NULL, 'r' },
		{ "print", no_argument, NULL, 'P' },
		{ NULL, 0, NULL, 0 },
	};
	static struct dump d;
	const char *functions[GS_PLAN_FUNCTIONS_MAX + 1];
	struct gs_probe_wish wish = { .want = 0x2fff & ~GS_PROBE_WANT_FUNCTIONS,
				      .functions = functions };
	struct gs_probe_session_options o = { .pid = -1 };
	int64_t seconds = 1 << 20;
	struct gs_err err;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'w')
			wish.want = (uint32_t)strtoul(optarg, NULL, 0);
		else if (c == 'f' && wish.n_functions < GS_ARRAY_SIZE(functions))
			functions[wish.n_functions++] = optarg;
		else if (c == 's')
			seconds = atoi(optarg);
		else if (c == 'p')
			o.force_perf = true;
		else if (c == 'k')
			o.wakeup = wakeup_named(optarg);
		else if (c == 'r')
			o.ring_bytes[GS_WIRE_RING_GO] = strtoul(optarg, NULL, 0);
		else if (c == 'P')
			d.print = true;
		else
			return 2;
	}
	if (optind + 1 != argc)
		return 2;
	if (wish.n_functions)
		wish.want |= GS_PROBE_WANT_FUNCTIONS;
	o.pid = atoi(argv[optind]);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	r = run(&d, &wish, &o, seconds, &err);
	if (r < 0)
		fprintf(stderr, "session_dump: %s\n", err.text);
	gs_probe_session_free(d.session);
	gs_rt_free(d.rt);
	gs_target_free(d.target);
	return r < 0 ? 1 : 0;
}
