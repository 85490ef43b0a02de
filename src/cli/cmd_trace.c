/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * gosonde trace: every goroutine's life on a timeline. Events stream from the source through a format into the file; nothing is
 * kept but what the format must know of goroutines that live.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "analysis/syscall_kinds.h"
#include "cli/cmd.h"
#include "cli/stream_args.h"
#include "export/timeline.h"

#define DEFAULT_NS 5000000000
#define GAUGE_NS 100000000
#define SAMPLE_HZ 99

struct trace_args {
	struct gs_common common;
	struct gs_stream_args stream;
	bool samples;
};

static const char *const formats[] = { "gotrace", "gotrace-1.22", "perfetto", "jsonl", NULL };
static const struct gs_timeline_format *const writers[] = {
	&gs_timeline_gotrace, &gs_timeline_gotrace_122, &gs_timeline_perfetto, &gs_timeline_jsonl
};

#define AT(field) offsetof(struct trace_args, field)
static const struct gs_opt options[] = {
	{ .heading = "What to watch",
	  .name = "function",
	  .type = GS_OPT_STRINGS,
	  .arg = "NAME",
	  .dest = AT(stream.functions),
	  .help = "Also calls of this function, as tasks or slices; repeatable" },
	{ .name = "samples",
	  .type = GS_OPT_FLAG,
	  .dest = AT(samples),
	  .help = "Also where goroutines are on a CPU, 99 times a second" },
	GS_STREAM_OPTIONS(struct trace_args, stream),
};

/* One run of the command. */
struct trace {
	const struct trace_args *a;
	const struct gs_timeline_format *format;
	struct gs_stream_session session;
	struct gs_timeline_writer *writer;
	struct gs_timeline_result result;
	struct gs_err *err;
};

static int choose_format(struct trace *t)
{
	const struct gs_common *c = &t->a->common;
	bool to_stdout = !c->output || strcmp(c->output, "-") == 0;

	for (size_t i = 0; i < GS_ARRAY_SIZE(writers); i++)
		if (strcmp(c->format, writers[i]->name) == 0)
			t->format = writers[i];
	if (t->format->binary && to_stdout && !t->a->stream.dry_run && isatty(STDOUT_FILENO))
		return gs_fail(t->err, -EINVAL, 0,
			       "%s is a binary format: not printed on a terminal. Use -o FILE or "
			       "--format jsonl",
			       t->format->name);
	return 0;
}

static struct gs_stream_options stream_options(const struct trace *t)
{
	struct gs_stream_options o = {
		.wish.want = GS_PROBE_WANT_GOROUTINES | GS_PROBE_WANT_STACKS |
			     GS_PROBE_WANT_RUNTIME | GS_PROBE_WANT_THREADS | GS_PROBE_WANT_PS |
			     GS_PROBE_WANT_REQUESTS,
		.wish.sample_hz = SAMPLE_HZ,
		.wish.requests_if_any = true,
		.gauge_interval_ns = GAUGE_NS,
	};

	// Only Perfetto has a place for threads that run no goroutine.
	if (t->format == &gs_timeline_perfetto)
		o.wish.want |= GS_PROBE_WANT_ALL_THREADS;
	if (t->a->samples)
		o.wish.want |= GS_PROBE_WANT_SAMPLES;
	return o;
}

static const char *syscall_name(const char *goarch, int32_t number)
{
	enum gs_syscall_kind kind;

	return gs_syscall_name(goarch, number, &kind);
}

static int write_events(struct trace *t)
{
	const struct gs_event *e;
	size_t n;
	int r;

	for (;;) {
		r = gs_stream_session_next(&t->session, &t->a->common, &e, &n, t->err);
		if (r != 0)
			return r < 0 ? r : 0;
		r = t->format->events(t->writer, e, n, t->err);
		if (r < 0)
			return r;
	}
}

/* The timeline as a whole, from the first event to the last. */
static int write_timeline(struct trace *t, struct gs_out *out)
{
	const struct gs_timeline_options o = { .syscall_name = syscall_name };
	struct gs_event_source *source = t->session.source;
	int r = t->format->open(&t->writer, out, source, &o, t->err);

	if (r < 0)
		return r;
	r = write_events(t);
	if (r < 0) {
		t->format->abort(t->writer);
		return r;
	}
	return t->format->close(t->writer, source->stats(source), &t->result, t->err);
}

static int run_trace(struct trace *t)
{
	const struct gs_stream_options o = stream_options(t);
	struct gs_output output;
	int r, closed;

	r = gs_stream_session_open(&t->a->common, &t->a->stream, &o, DEFAULT_NS, &t->session,
				   t->err);
	if (r != 0)
		return r;
	r = gs_output_open(&output, &t->a->common, t->err);
	if (r < 0)
		return r;
	r = write_timeline(t, &output.out);
	closed = gs_output_close(&output, r == 0, r == 0 ? t->err : NULL);
	return r < 0 ? r : closed;
}

static void tell(struct trace *t)
{
	const struct gs_common *c = &t->a->common;
	const struct gs_timeline_result *r = &t->result;
	const char *name = c->output && strcmp(c->output, "-") != 0 ? c->output : NULL;
	const char *at = strstr(t->format->how, "%s");
	const struct gs_stream_stats *s = t->session.source->stats(t->session.source);

	gs_note(c, "%s: %" PRIu64 " events of %" PRIu64 " goroutines, %.1f MiB", t->format->words,
		r->events, r->goroutines, (double)r->bytes / 1048576);
	gs_stream_session_report(&t->session, c);
	// Without losses what is put in are changes that have no event of their own, at their true times.
	if (r->repaired && (s->lost || s->thinned_log2))
		gs_note(c,
			"%" PRIu64 " changes of state were put in: their events were not seen, "
			"their times are those of the next ones",
			r->repaired);
	if (r->untracked)
		gs_note(c,
			"%" PRIu64 " things were left out: too many goroutines, threads or stacks",
			r->untracked);
	if (name && at)
		gs_note(c, "%.*s%s%s", (int)(at - t->format->how), t->format->how, name, at + 2);
}

static int run(void *args)
{
	const struct trace_args *a = args;
	struct gs_err err = { 0 };
	struct trace t = { .a = a, .err = &err };
	int r = choose_format(&t), code;

	if (r < 0) {
		code = gs_report(&a->common, &err, NULL);
	} else if ((r = run_trace(&t)) < 0) {
		code = gs_report(&a->common, &err, "cannot trace %s", a->common.target);
	} else if (r > 0) {
		code = GS_EXIT_OK; /* --dry-run */
	} else {
		tell(&t);
		code = t.result.untracked ? GS_EXIT_INCOMPLETE
					  : gs_stream_session_exit_code(&t.session);
	}
	gs_stream_session_close(&t.session);
	return code;
}

const struct gs_cmd gs_cmd_trace = {
	.name = "trace",
	.summary = "Every goroutine's life on a timeline",
	.description =
		"Watches a running Go process for a while, five seconds unless -d says otherwise, "
		"and writes what every goroutine did and when: created by whom, running on which "
		"thread and P, waiting for what, made ready by whom; requests, GC cycles, stopped "
		"worlds and system calls that block. The program needs no import of net/http/pprof "
		"and no runtime/trace: all is seen from outside."
		"\n\n"
		"gotrace is the file that runtime/trace would write, for `go tool trace` of Go "
		"1.23 and later (gotrace-1.22: of 1.22 too; goroutines that only wait have no "
		"name then). It holds what Go knows. perfetto adds what the kernel did with the "
		"threads: open it at ui.perfetto.dev. jsonl is every event as a line of JSON."
		"\n\n"
		"TARGET may also be a recording (--raw of why, trace or record).",
	.examples = "gosonde trace 4711 -o trace.out && go tool trace trace.out    five seconds\n"
		    "gosonde trace =shop -d 20s --format perfetto -o shop.pftrace  with threads\n"
		    "gosonde trace 4711 --function main.work -o trace.out          calls as tasks\n"
		    "gosonde trace 4711 --format jsonl | grep go_park              for programs\n"
		    "gosonde trace slow.gsr -o trace.out                           of a recording",
	.formats = formats,
	.target = GS_ARG_PID | GS_ARG_FILE,
	.flags = GS_CMD_DURATION,
	.options = options,
	.n_options = GS_ARRAY_SIZE(options),
	.args_size = sizeof(struct trace_args),
	.run = run,
};
