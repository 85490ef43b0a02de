/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * gosonde why: where the time of requests goes and who is to blame. Events stream into the analysis, which explains each
 * request when it ends; the result is printed at the end, or with --watch again and again.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "analysis/why_analysis.h"
#include "base/clock.h"
#include "cli/cmd.h"
#include "cli/stream_args.h"
#include "cli/terminal.h"
#include "export/why_export.h"

#define DEFAULT_NS 10000000000
#define WATCH_MIN_NS 200000000
#define GAUGE_NS 1000000000
#define SAMPLE_HZ 199 /* not a divisor of what programs do periodically */

struct why_args {
	struct gs_common common;
	struct gs_stream_args stream;
	int64_t slow_ns, interval_ns;
	uint64_t slowest;
	const char *route;
	bool watch, pretty;
};

static const char *const formats[] = { "text", "json", NULL };

#define AT(field) offsetof(struct why_args, field)
static const struct gs_opt options[] = {
	{ .heading = "What to look at",
	  .name = "function",
	  .type = GS_OPT_STRINGS,
	  .arg = "NAME",
	  .dest = AT(stream.functions),
	  .help = "Calls of this function instead of requests, such as store.(*Ledger).Append" },
	{ .name = "route",
	  .type = GS_OPT_STRING,
	  .arg = "TEXT",
	  .dest = AT(route),
	  .help = "Only routes that contain this" },
	{ .name = "slow",
	  .type = GS_OPT_DURATION,
	  .arg = "TIME",
	  .dest = AT(slow_ns),
	  .help = "What counts as slow, such as 100ms; else the slowest tenth, from 10ms up" },
	{ .name = "slowest",
	  .letter = 'n',
	  .type = GS_OPT_U64,
	  .arg = "N",
	  .dest = AT(slowest),
	  .fallback = "5",
	  .help = "Show the N slowest requests as trees, at most 100" },
	{ .heading = "How to show it",
	  .name = "watch",
	  .type = GS_OPT_FLAG,
	  .dest = AT(watch),
	  .help = "Show what happened in each interval, until Ctrl-C or -d" },
	{ .name = "interval",
	  .type = GS_OPT_DURATION,
	  .arg = "TIME",
	  .dest = AT(interval_ns),
	  .fallback = "5s",
	  .help = "Of --watch" },
	{ .name = "pretty", .type = GS_OPT_FLAG, .dest = AT(pretty), .help = "Indent JSON" },
	GS_STREAM_OPTIONS(struct why_args, stream),
};

/* One run of the command. */
struct why {
	const struct why_args *a;
	struct gs_stream_session session;
	struct gs_why *analysis;
	struct gs_output output;
	struct gs_why_print print;
	bool json, redraw;
	uint64_t shown;
	bool incomplete;
	struct gs_err *err;
};

static struct gs_stream_options stream_options(const struct why_args *a)
{
	struct gs_stream_options o = {
		.wish.want = GS_PROBE_WANT_GOROUTINES | GS_PROBE_WANT_STACKS |
			     GS_PROBE_WANT_RUNTIME | GS_PROBE_WANT_THREADS |
			     GS_PROBE_WANT_SYSCALLS | GS_PROBE_WANT_FAULTS | GS_PROBE_WANT_RECLAIM |
			     GS_PROBE_WANT_CGO | GS_PROBE_WANT_SAMPLES,
		.wish.sample_hz = SAMPLE_HZ,
		.gauge_interval_ns = a->watch ? GAUGE_NS : 0,
	};

	if (a->stream.functions.n == 0)
		o.wish.want |= GS_PROBE_WANT_REQUESTS;
	return o;
}

static int prepare(struct why *y)
{
	const struct why_args *a = y->a;

	if (a->slowest == 0 || a->slowest > GS_WHY_SLOWEST_MAX)
		return gs_fail(y->err, -EINVAL, 0, "--slowest %" PRIu64 ": must be 1 to %u",
			       a->slowest, GS_WHY_SLOWEST_MAX);
	if (a->watch && a->interval_ns < WATCH_MIN_NS)
		return gs_fail(y->err, -EINVAL, 0, "--interval: must be at least 200ms");
	y->json = strcmp(a->common.format, "json") == 0;
	return 0;
}

static int open_analysis(struct why *y)
{
	const struct gs_event_source *s = y->session.source;
	const struct gs_why_options o = {
		.slow_ns = y->a->slow_ns,
		.n_slowest = (uint32_t)y->a->slowest,
		.route = y->a->route,
		// A recording knows itself what it was made for.
		.functions = y->a->stream.functions.n > 0 || s->n_functions > 0,
	};

	return gs_why_new(&o, y->session.source, &y->analysis, y->err);
}

static void set_print(struct why *y)
{
	int fd = y->output.out.fd;
	bool terminal = fd >= 0 && isatty(fd);

	y->print = (struct gs_why_print){ .colour = fd >= 0 && gs_colour_wanted(fd),
					  .pretty = !y->a->watch && (y->a->pretty || terminal),
					  .width = fd >= 0 ? gs_terminal_width(fd) : 0 };
	y->redraw = y->a->watch && terminal && !y->json;
}

/* That some requests had begun before is so with any busy server, and no reason for another exit code. */
static bool is_incomplete(const struct gs_incomplete_list *l)
{
	for (uint32_t i = 0; l && i < l->n; i++)
		if (strcmp(l->item[i].what, "requests_begun_before") != 0)
			return true;
	return false;
}

static int show(struct why *y)
{
	const struct gs_why_result *r;
	struct gs_out *o = &y->output.out;
	int e = gs_why_result(y->analysis, &r, y->err);

	if (e < 0)
		return e;
	if (y->redraw)
		gs_out_str(o, "\033[H\033[2J");
	else if (y->shown && !y->json)
		gs_out_char(o, '\n');
	if (y->json)
		gs_why_json(o, r, &y->print);
	else
		gs_why_text(o, r, &y->print);
	y->shown++;
	y->incomplete |= is_incomplete(r->incomplete);
	if (y->a->watch)
		return gs_out_flush(o, "standard output", y->err);
	return 0;
}

static int watch(struct why *y)
{
	int64_t next_ns = gs_now_ns() + y->a->interval_ns;
	const struct gs_event *e;
	size_t n;
	int r;

	for (;;) {
		r = gs_stream_session_next(&y->session, &y->a->common, &e, &n, y->err);
		if (r != 0)
			break;
		for (size_t i = 0; i < n; i++)
			gs_why_event(y->analysis, &e[i]);
		if (!y->a->watch || gs_now_ns() < next_ns)
			continue;
		next_ns = gs_now_ns() + y->a->interval_ns;
		r = show(y);
		if (r < 0)
			break;
		gs_why_reset(y->analysis);
	}
	return r < 0 ? r : show(y);
}

static void tell(struct why *y)
{
	const struct gs_common *c = &y->a->common;
	const struct gs_stream_stats *s = y->session.source->stats(y->session.source);
	const struct gs_why_result *r;
	struct gs_err err;

	gs_stream_session_report(&y->session, c);
	if (gs_why_result(y->analysis, &r, &err) < 0)
		return;
	// What the stream misses was told by the report.
	for (uint32_t i = s->incomplete.n; i < r->incomplete->n; i++)
		gs_note(c, "%s: %" PRIu64 " (%s)", r->incomplete->item[i].what,
			r->incomplete->item[i].count, r->incomplete->item[i].why);
	if (r->duration.count == 0 && r->unfinished_total == 0 && !y->a->watch)
		gs_note(c,
			r->functions
				? "no call of these functions was seen"
				: "no HTTP or gRPC request was seen%s. --function NAME looks at "
				  "calls of any function",
			y->a->route ? " on such a route" : "");
}

static int run_why(struct why *y)
{
	const struct gs_stream_options so = stream_options(y->a);
	int r, closed;

	r = gs_stream_session_open(&y->a->common, &y->a->stream, &so, y->a->watch ? 0 : DEFAULT_NS,
				   &y->session, y->err);
	if (r != 0)
		return r;
	r = open_analysis(y);
	if (r == 0)
		r = gs_output_open(&y->output, &y->a->common, y->err);
	if (r < 0)
		return r;
	set_print(y);
	r = watch(y);
	closed = gs_output_close(&y->output, r == 0, r == 0 ? y->err : NULL);
	if (r == 0)
		tell(y);
	return r < 0 ? r : closed;
}

static int run(void *args)
{
	struct why_args *a = args;
	struct gs_err err = { 0 };
	struct why y = { .a = a, .err = &err };
	int64_t until_ns = a->common.duration_ns ? gs_now_ns() + a->common.duration_ns : 0;
	int r, code;

	r = prepare(&y);
	if (r < 0)
		return gs_report(&a->common, &err, NULL);
	r = run_why(&y);
	// --watch follows a program that is restarted; each of its lives has results of its own.
	while (r == 0 && a->watch && gs_stream_session_await(&y.session, &a->common, until_ns)) {
		y.analysis = gs_why_free(y.analysis);
		gs_stream_session_close(&y.session);
		if (until_ns)
			a->common.duration_ns = until_ns - gs_now_ns();
		r = run_why(&y);
	}
	if (r < 0)
		code = gs_report(&a->common, &err, "cannot tell why requests of %s are slow",
				 a->common.target);
	else
		code = y.incomplete ? GS_EXIT_INCOMPLETE : GS_EXIT_OK;
	gs_why_free(y.analysis);
	gs_stream_session_close(&y.session);
	return code;
}

const struct gs_cmd gs_cmd_why = {
	.name = "why",
	.summary = "Where requests spend their time, and who is to blame",
	.description =
		"Watches every HTTP and gRPC request that a running Go server handles, or every "
		"call of "
		"a function, with eBPF: on a CPU, waiting for one, for a lock, a channel, a peer, "
		"a file, "
		"a page fault, the garbage collector. For a wait it follows who ended it and what "
		"that one "
		"did meanwhile, down to the root cause.\n\n"
		"First come the causes that slow requests have in common, then the routes, then "
		"the slowest "
		"requests as trees beside a typical one. A healthy program is told that nothing "
		"stands "
		"out.\n\n"
		"Nothing in the program has to change and it is not stopped. Needs root, or "
		"CAP_BPF, "
		"CAP_PERFMON and CAP_SYS_PTRACE where the kernel allows it; `gosonde doctor` "
		"tells. At the "
		"end it says what watching cost the target.",
	.examples = "gosonde why 4711    ten seconds of all requests\n"
		    "gosonde why =shop -d 1m --slow 100ms    what the slow ones have in common\n"
		    "gosonde why 4711 --route /checkout -n 20    one route, more of its trees\n"
		    "gosonde why 4711 --function 'store.(*Ledger).Append'    calls of a function\n"
		    "gosonde why =shop --watch    again and again, also after a restart of shop\n"
		    "gosonde why 4711 --raw slow.gsr    keep the recording, why slow.gsr shows it "
		    "again\n",
	.formats = formats,
	.target = GS_ARG_PID | GS_ARG_FILE,
	.flags = GS_CMD_DURATION,
	.options = options,
	.n_options = GS_ARRAY_SIZE(options),
	.args_size = sizeof(struct why_args),
	.run = run,
};
