/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * gosonde record: where a process spends its time, as a profile. Events stream through the builder, which keeps
 * one line per distinct stack; the file is written at the end. Only what the kind of profile needs is attached:
 * on-CPU samples come from the kernel's clock and put no probe on the target at all.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "analysis/profile_build.h"
#include "cli/cmd.h"
#include "cli/stream_args.h"
#include "export/profile_export.h"

#define DEFAULT_NS 10000000000
#define DEFAULT_HZ 99
#define MAX_HZ 10000

struct record_args {
	struct gs_common common;
	struct gs_stream_args stream;
	bool cpu, off_cpu, wall, by_goroutine, labels, system, all_frames;
	uint64_t hz;
};

static const char *const formats[] = { "auto", "pprof", "folded", "speedscope", "flame", NULL };
static const struct gs_profile_format *const writers[] = { &gs_profile_pprof, &gs_profile_folded,
							   &gs_profile_speedscope,
							   &gs_profile_flame };

#define AT(field) offsetof(struct record_args, field)
static const struct gs_opt options[] = {
	{ .heading = "What to count",
	  .name = "cpu",
	  .type = GS_OPT_FLAG,
	  .dest = AT(cpu),
	  .help = "Time on a CPU, sampled (the default)" },
	{ .name = "off-cpu",
	  .type = GS_OPT_FLAG,
	  .dest = AT(off_cpu),
	  .help = "Time goroutines were blocked or waited for a CPU, by what they waited for" },
	{ .name = "wall", .type = GS_OPT_FLAG, .dest = AT(wall), .help = "Both" },
	{ .name = "hz",
	  .type = GS_OPT_U64,
	  .arg = "N",
	  .dest = AT(hz),
	  .fallback = "99",
	  .help = "On-CPU samples per second and CPU" },
	{ .name = "by-goroutine",
	  .type = GS_OPT_FLAG,
	  .dest = AT(by_goroutine),
	  .help = "Count each goroutine for itself" },
	{ .name = "labels",
	  .type = GS_OPT_FLAG,
	  .dest = AT(labels),
	  .help = "Count by the goroutines' profiler labels" },
	{ .name = "system",
	  .type = GS_OPT_FLAG,
	  .dest = AT(system),
	  .help = "Also goroutines of the runtime itself that wait for work" },
	{ .name = "all-frames",
	  .type = GS_OPT_FLAG,
	  .dest = AT(all_frames),
	  .help = "Also frames that say little: wrappers, the runtime below a wait" },
	GS_STREAM_OPTIONS(struct record_args, stream),
};

/* One run of the command. */
struct record {
	const struct record_args *a;
	const struct gs_profile_format *format;
	struct gs_profile_options o;
	struct gs_stream_session session;
	struct gs_profile_build *build;
	const struct gs_profile *profile;
	struct gs_profile_facts facts;
	struct gs_incomplete_list missing;
	struct gs_err *err;
};

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), m = strlen(with);

	return n >= m && strcmp(s + n - m, with) == 0;
}

/* "auto": by the name of the file. */
static const char *format_name(const struct gs_common *c)
{
	static const struct {
		const char *end, *name;
	} by_name[] = {
		{ ".html", "flame" },      { ".htm", "flame" },     { ".speedscope", "speedscope" },
		{ ".json", "speedscope" }, { ".folded", "folded" }, { ".collapsed", "folded" },
		{ ".txt", "folded" },
	};

	if (strcmp(c->format, "auto") != 0)
		return c->format;
	for (size_t i = 0; c->output && i < GS_ARRAY_SIZE(by_name); i++)
		if (ends(c->output, by_name[i].end))
			return by_name[i].name;
	return "pprof";
}

static int choose_format(struct record *rec)
{
	const struct gs_common *c = &rec->a->common;
	const char *name = format_name(c);
	bool to_stdout = !c->output || strcmp(c->output, "-") == 0;

	for (size_t i = 0; i < GS_ARRAY_SIZE(writers); i++)
		if (strcmp(name, writers[i]->name) == 0)
			rec->format = writers[i];
	if (rec->format->binary && to_stdout && !rec->a->stream.dry_run && isatty(STDOUT_FILENO))
		return gs_fail(rec->err, -EINVAL, 0,
			       "%s is a binary format: not printed on a terminal. Use -o FILE "
			       "(FILE.html for a flame graph) or --format folded",
			       name);
	return 0;
}

static int prepare(struct record *rec)
{
	const struct record_args *a = rec->a;

	if (a->cpu + a->off_cpu + a->wall > 1)
		return gs_fail(rec->err, -EINVAL, 0,
			       "--cpu, --off-cpu and --wall exclude each other. --wall has both");
	if (a->hz == 0 || a->hz > MAX_HZ)
		return gs_fail(rec->err, -EINVAL, 0, "--hz %" PRIu64 ": must be 1 to %d", a->hz,
			       MAX_HZ);
	rec->o = (struct gs_profile_options){
		.kind = a->wall      ? GS_PROFILE_WALL
			: a->off_cpu ? GS_PROFILE_OFF_CPU
				     : GS_PROFILE_CPU,
		.by_goroutine = a->by_goroutine,
		.by_labels = a->labels,
		.system = a->system,
	};
	return choose_format(rec);
}

static struct gs_stream_options stream_options(const struct record *rec)
{
	struct gs_stream_options o = { .wish.sample_hz = (uint32_t)rec->a->hz };

	if (rec->o.kind != GS_PROFILE_OFF_CPU)
		o.wish.want |= GS_PROBE_WANT_SAMPLES;
	if (rec->o.kind != GS_PROFILE_CPU)
		o.wish.want |= GS_PROBE_WANT_GOROUTINES | GS_PROBE_WANT_STACKS |
			       GS_PROBE_WANT_THREADS | GS_PROBE_WANT_FAULTS | GS_PROBE_WANT_RECLAIM;
	else if (rec->o.by_goroutine || rec->o.by_labels)
		o.wish.want |= GS_PROBE_WANT_GOROUTINES;
	o.no_snapshot = !(o.wish.want & GS_PROBE_WANT_GOROUTINES);
	return o;
}

static int read_events(struct record *rec)
{
	const struct gs_event *e;
	size_t n;
	int r;

	for (;;) {
		r = gs_stream_session_next(&rec->session, &rec->a->common, &e, &n, rec->err);
		if (r != 0)
			return r < 0 ? r : 0;
		for (size_t i = 0; i < n; i++) {
			r = gs_profile_build_event(rec->build, &e[i], rec->err);
			if (r < 0)
				return r;
		}
	}
}

static void add_missing(struct record *rec, const struct gs_stream_stats *s)
{
	const struct gs_profile_missing *m = gs_profile_build_missing(rec->build);
	const struct gs_profile_totals *t = gs_profile_totals(rec->profile);

	rec->missing = s->incomplete;
	gs_incomplete_add(&rec->missing, "waits_doubtful", m->doubtful,
			  "the end of a wait was not seen; they are not counted");
	gs_incomplete_add(&rec->missing, "waits_not_followed", m->not_followed,
			  "too many goroutines waited at the same time, or the budget "
			  "stopped following them; they are not counted");
	gs_incomplete_add(&rec->missing, "goroutines_not_told_apart", t->no_goroutine,
			  "too many different stacks; counted without goroutine and labels");
	gs_incomplete_add(&rec->missing, "stacks_not_told_apart", t->no_stack,
			  "too many different stacks; counted as (other)");
	gs_incomplete_add(&rec->missing, "labels", t->labels_dropped,
			  "too many different label values; counted without");
}

/* A recording can only give what was recorded. */
static int check_recorded(struct record *rec)
{
	bool samples = gs_profile_build_period_ns(rec->build) > 0;
	bool goroutines = gs_profile_build_saw_goroutines(rec->build);

	if (rec->session.target)
		return 0;
	if (rec->o.kind == GS_PROFILE_CPU && !samples && goroutines)
		return gs_fail(rec->err, -GS_E_UNSUPPORTED, 0,
			       "the recording has no on-CPU samples. Use --off-cpu, or record "
			       "again with --cpu or --wall");
	if (rec->o.kind == GS_PROFILE_OFF_CPU && samples && !goroutines)
		return gs_fail(rec->err, -GS_E_UNSUPPORTED, 0,
			       "the recording has only on-CPU samples. Use --cpu, or record again "
			       "with --off-cpu or --wall");
	return 0;
}

static int finish(struct record *rec)
{
	struct gs_event_source *source = rec->session.source;
	const struct gs_stream_stats *s = source->stats(source);
	int r = gs_profile_build_finish(rec->build, s->end_ns, &rec->profile, rec->err);

	if (r == 0)
		r = check_recorded(rec);
	if (r < 0)
		return r;
	add_missing(rec, s);
	rec->facts = (struct gs_profile_facts){
		.process = source->process,
		.incomplete = &rec->missing,
		.begin_unix_ns = s->begin_unix_ns,
		.duration_ns = s->end_ns > s->begin_ns ? s->end_ns - s->begin_ns : 0,
		.period_ns = gs_profile_build_period_ns(rec->build),
		.all_frames = rec->a->all_frames,
	};
	if (!rec->facts.period_ns && rec->o.kind != GS_PROFILE_OFF_CPU)
		rec->facts.period_ns = 1000000000 / (int64_t)rec->a->hz;
	return 0;
}

static int write_profile(struct record *rec)
{
	struct gs_output output;
	int r = gs_output_open(&output, &rec->a->common, rec->err), closed;

	if (r < 0)
		return r;
	r = rec->format->write(&output.out, rec->profile, &rec->facts, rec->err);
	closed = gs_output_close(&output, r == 0, r == 0 ? rec->err : NULL);
	return r < 0 ? r : closed;
}

static int run_record(struct record *rec)
{
	const struct gs_stream_options o = stream_options(rec);
	int r = gs_stream_session_open(&rec->a->common, &rec->a->stream, &o, DEFAULT_NS,
				       &rec->session, rec->err);

	if (r != 0)
		return r;
	rec->build = gs_profile_build_new(rec->session.source, &rec->o);
	if (!rec->build)
		return gs_fail(rec->err, -ENOMEM, 0, "out of memory");
	r = read_events(rec);
	if (r == 0)
		r = finish(rec);
	if (r == 0)
		r = write_profile(rec);
	return r;
}

static void tell(const struct record *rec)
{
	const struct gs_common *c = &rec->a->common;
	const struct gs_profile_totals *t = gs_profile_totals(rec->profile);
	double seconds = (double)rec->facts.duration_ns / 1e9;

	if (t->count == 0)
		gs_note(c, "nothing to count: %s in %.1f s",
			rec->o.kind == GS_PROFILE_CPU ? "the process was on no CPU"
						      : "no goroutine waited",
			seconds);
	else if (rec->o.kind == GS_PROFILE_CPU)
		gs_note(c, "%" PRIu64 " samples, %.3g s on CPU in %.1f s", t->count,
			(double)t->ns / 1e9, seconds);
	else
		gs_note(c, "%.3g s off CPU in %" PRIu64 " stretches, %.3g s on CPU, in %.1f s",
			(double)(t->ns - t->on_cpu_ns) / 1e9, t->count - t->on_cpu_count,
			(double)t->on_cpu_ns / 1e9, seconds);
	gs_stream_session_report((struct gs_stream_session *)&rec->session, c);
	if (c->output && strcmp(c->output, "-") != 0)
		gs_note(c, "to look at it: %s%s%s", rec->format->view_before, c->output,
			rec->format->view_after);
}

static int run(void *args)
{
	const struct record_args *a = args;
	struct gs_err err = { 0 };
	struct record rec = { .a = a, .err = &err };
	int r = prepare(&rec), code;

	if (r < 0) {
		code = gs_report(&a->common, &err, NULL);
	} else if ((r = run_record(&rec)) < 0) {
		code = gs_report(&a->common, &err, "cannot record %s", a->common.target);
	} else if (r > 0) {
		code = GS_EXIT_OK; /* --dry-run */
	} else {
		tell(&rec);
		code = rec.missing.n ? GS_EXIT_INCOMPLETE : GS_EXIT_OK;
	}
	gs_profile_build_free(rec.build);
	gs_stream_session_close(&rec.session);
	return code;
}

const struct gs_cmd gs_cmd_record = {
	.name = "record",
	.summary = "Profiles: where time goes, on CPU and off",
	.description =
		"Watches a running Go process for a while, ten seconds unless -d says otherwise, "
		"and "
		"writes a profile: which functions used the CPU (--cpu), what goroutines waited "
		"for "
		"and where (--off-cpu), or both (--wall). Stacks are mixed: the kernel's functions "
		"stand on top of the goroutine's own. The target needs no cooperation and no "
		"symbols."
		"\n\n"
		"Formats: pprof (for go tool pprof and profile stores), folded (for flamegraph.pl "
		"and its like), speedscope, and flame, an interactive flame graph in one HTML "
		"file. Without --format the name after -o decides: .html is a flame graph, .json "
		"speedscope, .folded or .txt folded stacks, all else pprof.\n\n"
		"A recording made with --raw, by this or by another command, can be given instead "
		"of a process.",
	.examples = "gosonde record 4711 -o cpu.pb.gz    ten seconds on CPU, for go tool pprof\n"
		    "gosonde record =shop --off-cpu -d 30s -o off.html    what it waits for, as a "
		    "flame graph\n"
		    "gosonde record 4711 --wall --by-goroutine -o wall.json    for speedscope.app\n"
		    "gosonde record 4711 --off-cpu --raw r.gosonde -o off.pb.gz    and keep the "
		    "recording\n"
		    "gosonde record r.gosonde --off-cpu -o off.html    the same again from it\n",
	.formats = formats,
	.target = GS_ARG_PID | GS_ARG_FILE,
	.flags = GS_CMD_DURATION,
	.options = options,
	.n_options = GS_ARRAY_SIZE(options),
	.args_size = sizeof(struct record_args),
	.run = run,
};
