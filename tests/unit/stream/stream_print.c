/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Events of a process or of a recording, for tests and for looking:
 *
 *	stream_print [--seconds N] [--want BITS] [--function NAME]... [--max-overhead SHARE] [--gauge MS]
 *	             [--raw FILE] [--print] PID | RECORDING
 *
 * With --print a line per event, in full: two sources that print the same are the same. At the end a JSON
 * object on stderr: counts by kind, what was lost, costs, memory. Exit code 0 at the end of the stream.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "stream/stream.h"

struct print {
	struct gs_event_source *source;
	bool lines;
	uint64_t count[GS_EV_KIND_COUNT], disorder, no_stack, batches;
	int64_t last_ns;
};

static void text(const char *key, const char *s, size_t n)
{
	char safe[1024];

	gs_escape_to(safe, sizeof(safe), s ? s : "", s ? n : 0);
	printf(" %s=\"%s\"", key, safe);
}

static void frame(const char *key, const struct gs_frame *f)
{
	if (!f)
		return;
	text(key, f->function, strlen(f->function));
	text("file", f->file, strlen(f->file));
	printf(" line=%u pc=%#" PRIx64 " entry=%#" PRIx64 " flags=%u", f->line, f->pc, f->entry,
	       f->flags);
}

static void stack(struct print *p, const char *key, uint32_t id)
{
	const struct gs_stack *s = p->source->stack(p->source, id);

	if (!id)
		return;
	printf(" %s=%u", key, id);
	if (!s) {
		printf(" none");
		return;
	}
	printf(" n=%u end=%d", s->n_frames, s->end);
	for (uint32_t i = 0; i < s->n_frames; i++)
		frame("frame", &s->frames[i]);
}

static void file(const struct gs_file_ref *f)
{
	printf(" fd=%d mode=%o family=%u protocol=%u ports=%u,%u dev=%u", f->fd, f->mode, f->family,
	       f->protocol, f->local_port, f->peer_port, f->dev);
	for (int i = 0; i < 16; i++)
		printf("%s%02x%02x", i ? "" : " addr=", f->local_addr[i], f->peer_addr[i]);
	text("name", f->name, strlen(f->name));
}

static void object(struct print *p, gs_addr addr, uint32_t stack_id)
{
	const char *name = p->source->object_name(p->source, addr);

	printf(" object=%#" PRIx64, addr);
	if (name)
		text("object_name", name, strlen(name));
	name = p->source->lock_name && addr
		       ? p->source->lock_name(p->source, addr,
					      p->source->stack(p->source, stack_id))
		       : NULL;
	if (name)
		text("lock_name", name, strlen(name));
}

static void call(const struct gs_event *e)
{
	printf(" call=%d function=%u sp=%#" PRIx64 " status=%d bytes=%" PRId64, e->call.call,
	       e->call.function, e->call.sp, e->call.status, e->call.bytes);
	text("method", e->call.method, e->call.method_len);
	text("path", e->call.path, e->call.path_len);
	text("pattern", e->call.pattern, e->call.pattern_len);
	text("peer", e->call.peer, e->call.peer_len);
}

static void details(struct print *p, const struct gs_event *e)
{
	switch ((enum gs_event_kind)e->kind) {
	case GS_EV_GO_STATE:
		printf(" state=%d parent=%" PRIu64 " wait=%d since=%" PRId64 " pcs=%#" PRIx64
		       ",%#" PRIx64 " system=%d",
		       e->state.state, e->state.parent, e->state.wait, e->state.since_ns,
		       e->state.creator_pc, e->state.start_pc, e->state.system);
		if (e->state.wait_reason)
			text("reason", e->state.wait_reason, strlen(e->state.wait_reason));
		frame("created_by", e->state.created_by);
		frame("start", e->state.start);
		break;
	case GS_EV_GO_CREATE:
		printf(" parent=%" PRIu64 " pcs=%#" PRIx64 ",%#" PRIx64, e->create.parent,
		       e->create.creator_pc, e->create.start_pc);
		frame("created_by", e->create.created_by);
		frame("start", e->create.start);
		break;
	case GS_EV_GO_READY:
		printf(" waker=%" PRIu64, e->ready.waker);
		break;
	case GS_EV_GO_RUN:
		printf(" p=%d", e->run.p);
		break;
	case GS_EV_GO_PARK:
		text("reason", e->park.reason, strlen(e->park.reason ? e->park.reason : ""));
		printf(" wait=%d io=%d cases=%u", e->park.wait, e->park.io_mode, e->park.n_cases);
		object(p, e->park.object, e->stack);
		file(&e->park.file);
		break;
	case GS_EV_CALL_BEGIN:
	case GS_EV_CALL_END:
		call(e);
		break;
	case GS_EV_RUNTIME:
		printf(" what=%d arg=%" PRIu64, e->runtime.what, e->runtime.arg);
		break;
	case GS_EV_OFF_CPU:
		printf(" off=%" PRId64 " wake=%" PRId64 " waker=%" PRIu64 ",%d syscall=%d,%#" PRIx64
		       ",%#" PRIx64 " task=%u io_wait=%d",
		       e->off_cpu.off_ns, e->off_cpu.wake_ns, e->off_cpu.waker_goid,
		       e->off_cpu.waker_tid, e->off_cpu.syscall, e->off_cpu.arg[0],
		       e->off_cpu.arg[1], e->off_cpu.task_state, e->off_cpu.io_wait);
		file(&e->off_cpu.file);
		break;
	case GS_EV_SAMPLE:
		printf(" period=%" PRId64, e->sample.period_ns);
		break;
	case GS_EV_MAP:
		printf(" syscall=%d result=%" PRId64, e->map.syscall, e->map.result);
		for (int i = 0; i < 6; i++)
			printf(" arg%d=%#" PRIx64, i, e->map.arg[i]);
		break;
	case GS_EV_PAGE_FAULT:
		printf(" addr=%#" PRIx64 " period=%" PRIu64, e->fault.addr, e->fault.period);
		break;
	case GS_EV_PROCESS:
		printf(" what=%d child=%d", e->process.what, e->process.child);
		text("comm", e->process.comm, strlen(e->process.comm));
		break;
	case GS_EV_GAUGE:
		printf(" heap=%" PRIu64 ",%" PRIu64 " runnable=%" PRIu64 ",%" PRIu64
		       " goroutines=%" PRIu64 " procs=%u,%u threads=%u",
		       e->gauge.heap_live_bytes, e->gauge.heap_goal_bytes, e->gauge.runnable_global,
		       e->gauge.runnable_local, e->gauge.goroutines, e->gauge.gomaxprocs,
		       e->gauge.idle_ps, e->gauge.threads);
		break;
	case GS_EV_LOST:
		printf(" count=%" PRIu64, e->lost.count);
		break;
	case GS_EV_THINNED:
		printf(" mask=%u", e->thinned.mask);
		break;
	case GS_EV_DETACHED:
		printf(" unseen=%u", e->detached.unseen);
		break;
	default:
		break;
	}
}

static void labels(struct print *p, uint64_t goid)
{
	const struct gs_label *l = NULL;
	uint32_t n = p->source->labels(p->source, goid, &l);

	for (uint32_t i = 0; i < n; i++) {
		text("label", l[i].key, l[i].key_len);
		text("value", l[i].value, l[i].value_len);
	}
}

static void print_event(struct print *p, const struct gs_event *e)
{
	const struct gs_usage *u = &e->usage;

	printf("%" PRId64 " %s g=%" PRIu64 " tid=%d flags=%u", e->t_ns,
	       gs_event_kind_name((enum gs_event_kind)e->kind), e->goid, e->tid, e->flags);
	if (u->kernel_ns | u->fault_minor_ns | u->fault_major_ns | u->reclaim_ns | u->cgo_ns)
		printf(" usage=%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%u,%u",
		       u->kernel_ns, u->fault_minor_ns, u->fault_major_ns, u->reclaim_ns, u->cgo_ns,
		       u->faults_minor, u->faults_major);
	details(p, e);
	stack(p, "stack", e->stack);
	stack(p, "kernel_stack", e->kernel_stack);
	if (e->kind == GS_EV_CALL_BEGIN || e->kind == GS_EV_SAMPLE)
		labels(p, e->goid);
	putchar('\n');
}

static void take(struct print *p, const struct gs_event *e, size_t n)
{
	p->batches++;
	for (size_t i = 0; i < n; i++) {
		p->count[e[i].kind]++;
		p->disorder += e[i].t_ns < p->last_ns;
		p->last_ns = e[i].t_ns;
		p->no_stack += e[i].kind == GS_EV_GO_PARK && !e[i].stack;
		if (p->lines)
			print_event(p, &e[i]);
	}
}

static void report(struct print *p)
{
	const struct gs_stream_stats *st = p->source->stats(p->source);

	fprintf(stderr, "{\"events\":{");
	for (int k = 1; k < GS_EV_KIND_COUNT; k++)
		fprintf(stderr, "%s\"%s\":%" PRIu64, k > 1 ? "," : "",
			gs_event_kind_name((enum gs_event_kind)k), p->count[k]);
	fprintf(stderr,
		"},\"disorder\":%" PRIu64 ",\"parks_without_stack\":%" PRIu64
		",\"batches\":%" PRIu64 ",\"produced\":%" PRIu64 ",\"lost\":%" PRIu64
		",\"watched_ns\":%" PRId64 ",\"target_cpu_ns\":%" PRId64
		",\"target_cost_ns\":%" PRId64 ",\"self_cpu_ns\":%" PRId64
		",\"self_rss_bytes\":%" PRIu64
		",\"thinned_log2\":%u,\"target_exit\":%d,\"probes\":[",
		p->disorder, p->no_stack, p->batches, st->produced, st->lost,
		st->end_ns - st->begin_ns, st->target_cpu_ns, st->target_cost_ns, st->self_cpu_ns,
		st->self_rss_bytes, st->thinned_log2, st->target_exit);
	for (uint32_t i = 0; i < st->n_probes; i++)
		fprintf(stderr,
			"%s{\"name\":\"%s\",\"placement\":\"%s\",\"hits\":%" PRIu64
			",\"cost_ns\":%.0f,\"detached\":%s}",
			i ? "," : "", st->probe[i].name, st->probe[i].placement, st->probe[i].hits,
			st->probe[i].cost_ns, st->probe[i].detached ? "true" : "false");
	fprintf(stderr, "],\"incomplete\":[");
	for (uint32_t i = 0; i < st->incomplete.n; i++)
		fprintf(stderr, "%s{\"what\":\"%s\",\"count\":%" PRIu64 ",\"why\":\"%s\"}",
			i ? "," : "", st->incomplete.item[i].what, st->incomplete.item[i].count,
			st->incomplete.item[i].why);
	fprintf(stderr, "]}\n");
}

static int open_live(const char *pid, const struct gs_stream_options *o, struct gs_target **t,
		     struct gs_rt **rt, struct gs_event_source **ret, struct gs_err *err)
{
	int r = gs_target_open_pid(atoi(pid), t, err);

	if (r == 0)
		r = gs_rt_open(*t, rt, err);
	return r == 0 ? gs_stream_live_open(*t, *rt, o, ret, err) : r;
}

static int run(struct print *p, int64_t deadline, struct gs_err *err)
{
	for (;;) {
		const struct gs_event *e;
		size_t n;
		int64_t now = gs_now_ns();

		if (deadline && now >= deadline) {
			p->source->stop(p->source);
			deadline = 0;
		}
		int r = p->source->next(p->source, 20000000, &e, &n, err);

		if (r < 0)
			return r;
		if (r == 2)
			return 0;
		if (r == 0)
			take(p, e, n);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", 1, NULL, 's' },  { "want", 1, NULL, 'w' },
		{ "function", 1, NULL, 'f' }, { "max-overhead", 1, NULL, 'm' },
		{ "gauge", 1, NULL, 'g' },    { "raw", 1, NULL, 'r' },
		{ "print", 0, NULL, 'p' },    { 0 }
	};
	struct gs_stream_options o = { .wish.want = 0xffff & ~GS_PROBE_WANT_MAPS };
	const char *functions[16], *raw = NULL;
	struct print p = { 0 };
	struct gs_target *t = NULL;
	struct gs_rt *rt = NULL;
	struct gs_err err = { 0 };
	double seconds = 1;
	int c, r;

	o.wish.functions = functions;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			seconds = atof(optarg);
			break;
		case 'w':
			o.wish.want = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'f':
			if (o.wish.n_functions < GS_ARRAY_SIZE(functions))
				functions[o.wish.n_functions++] = optarg;
			break;
		case 'm':
			o.max_overhead = atof(optarg);
			break;
		case 'g':
			o.gauge_interval_ns = atoi(optarg) * 1000000ll;
			break;
		case 'r':
			raw = optarg;
			break;
		case 'p':
			p.lines = true;
			break;
		default:
			return 2;
		}
	}
	if (optind + 1 != argc)
		return 2;
	bool replay = strspn(argv[optind], "0123456789") != strlen(argv[optind]);

	r = replay ? gs_stream_replay_open(argv[optind], &p.source, &err)
		   : open_live(argv[optind], &o, &t, &rt, &p.source, &err);
	if (r == 0 && raw)
		r = gs_stream_tee_open(p.source, raw, &p.source, &err);
	if (r == 0)
		r = run(&p, replay ? 0 : gs_now_ns() + (int64_t)(seconds * 1e9), &err);
	if (r == 0)
		report(&p);
	else
		fprintf(stderr, "stream_print: %s\n", err.text);
	if (p.source)
		p.source->free(p.source);
	gs_rt_free(rt);
	gs_target_free(t);
	return r < 0;
}
