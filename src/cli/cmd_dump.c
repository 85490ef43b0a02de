/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * gosonde dump: every goroutine and its stack, now. Goroutines stream from the reader through the
 * filter into the format (or into groups), so memory does not grow with their number. Only with --stop
 * the output is kept in memory first: the target must not wait for our terminal.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "analysis/filter.h"
#include "analysis/group.h"
#include "base/clock.h"
#include "cli/cmd.h"
#include "export/dump.h"
#include "runtime/rt.h"
#include "target/target.h"

#define STOP_MAX_NS 5000000000
#define PROGRESS_EVERY 50000u

struct dump_args {
	struct gs_common common;
	bool group, system, all_frames, args, dead, stop, pretty;
	uint64_t goroutine, limit;
	struct gs_strings states, wait_reasons, functions, created_by, labels;
	int64_t waiting_longer_ns;
};

static const char *const formats[] = { "text", "json", "folded", "pprof", NULL };
static const struct gs_dump_format *const writers[] = { &gs_dump_text, &gs_dump_json,
							&gs_dump_folded, &gs_dump_pprof };

#define AT(field) offsetof(struct dump_args, field)
static const struct gs_opt options[] = {
	{ .heading = "What to show",
	  .name = "group",
	  .letter = 'g',
	  .type = GS_OPT_FLAG,
	  .dest = AT(group),
	  .help = "Fold goroutines with the same stack and state, count them, largest group "
		  "first" },
	{ .name = "args",
	  .type = GS_OPT_FLAG,
	  .dest = AT(args),
	  .help = "Print the words of the functions' arguments" },
	{ .name = "all-frames",
	  .type = GS_OPT_FLAG,
	  .dest = AT(all_frames),
	  .help = "Also frames that Go's own tracebacks hide (the runtime, wrappers)" },
	{ .name = "system",
	  .type = GS_OPT_FLAG,
	  .dest = AT(system),
	  .help = "Also goroutines of the runtime itself (GC workers, finalizers, ...)" },
	{ .name = "dead",
	  .type = GS_OPT_FLAG,
	  .dest = AT(dead),
	  .help = "Also dead goroutines, kept by the runtime for reuse" },
	{ .name = "pretty", .type = GS_OPT_FLAG, .dest = AT(pretty), .help = "Indent JSON" },
	{ .heading = "Which goroutines",
	  .name = "goroutine",
	  .type = GS_OPT_U64,
	  .arg = "ID",
	  .dest = AT(goroutine),
	  .help = "Only the goroutine with this number" },
	{ .name = "state",
	  .type = GS_OPT_STRINGS,
	  .arg = "STATE",
	  .dest = AT(states),
	  .help = "Only this state: running, runnable, waiting, syscall, ... (comma list)" },
	{ .name = "wait-reason",
	  .type = GS_OPT_STRINGS,
	  .arg = "TEXT",
	  .dest = AT(wait_reasons),
	  .help = "Only waiting for this, such as 'chan receive'; part of the reason is enough" },
	{ .name = "waiting-longer",
	  .type = GS_OPT_DURATION,
	  .arg = "TIME",
	  .dest = AT(waiting_longer_ns),
	  .help = "Only known to have waited longer than this, such as 5m" },
	{ .name = "function",
	  .type = GS_OPT_STRINGS,
	  .arg = "REGEX",
	  .dest = AT(functions),
	  .help = "Only with a matching function anywhere on the stack" },
	{ .name = "created-by",
	  .type = GS_OPT_STRINGS,
	  .arg = "REGEX",
	  .dest = AT(created_by),
	  .help = "Only started by a matching function" },
	{ .name = "label",
	  .type = GS_OPT_STRINGS,
	  .arg = "KEY=VALUE",
	  .dest = AT(labels),
	  .help = "Only with this profiler label; KEY alone: with any value" },
	{ .name = "limit",
	  .type = GS_OPT_U64,
	  .arg = "N",
	  .dest = AT(limit),
	  .help = "Stop after N goroutines (with --group: print the N largest groups)" },
	{ .heading = "How to read",
	  .name = "stop",
	  .type = GS_OPT_FLAG,
	  .dest = AT(stop),
	  .help = "Pause the target while reading: exact, running goroutines included; the length "
		  "of "
		  "the pause is printed" },
};

/* One run of the command. */
struct dump {
	const struct dump_args *a;
	struct gs_target *target;
	struct gs_rt *rt;
	struct gs_filter *filter;
	struct gs_groups *groups;
	const struct gs_dump_format *format;
	struct gs_dump_writer *writer;
	struct gs_dump_options o;
	struct gs_incomplete_list missing;
	struct gs_err *err;
	uint64_t shown;
	uint32_t n_groups;
	int64_t next_progress_ns;
	bool progress;
};

static volatile sig_atomic_t interrupted;

static void on_sigint(int sig)
{
	(void)sig; /* the only one we catch */
	interrupted = 1;
}

static void show_progress(struct dump *d)
{
	int64_t now = gs_now_ns();

	if (now < d->next_progress_ns)
		return;
	d->next_progress_ns = now + 200000000;
	fprintf(stderr, "\r%" PRIu64 " goroutines read", d->o.n_total);
}

static int visit(void *ctx, const struct gs_goroutine *g)
{
	struct dump *d = ctx;
	int r;

	d->o.n_total++;
	if (d->progress && d->o.n_total % PROGRESS_EVERY == 0)
		show_progress(d);
	if (interrupted)
		return 1;
	if (!gs_filter_match(d->filter, g))
		return 0;
	d->shown++;
	r = d->groups ? gs_groups_add(d->groups, g, d->err)
		      : d->format->goroutine(d->writer, g, d->err);
	if (r == 0 && !d->groups && d->a->limit && d->shown >= d->a->limit)
		return 1;
	return r;
}

static int read_all(struct dump *d)
{
	const struct gs_rt_dump_options ro = { .dead = d->a->dead,
					       .system = d->a->system,
					       .args = d->a->args && !d->a->group,
					       .only_id = d->a->goroutine };
	int64_t begin = gs_now_ns();
	int r, resumed = 0;

	if (d->a->stop) {
		r = gs_target_stop(d->target, STOP_MAX_NS, d->err);
		if (r < 0)
			return r;
	}
	r = gs_rt_goroutines(d->rt, &ro, visit, d, &d->missing, d->err);
	if (d->a->stop)
		resumed = gs_target_resume(d->target, &d->o.paused_ns, r < 0 ? NULL : d->err);
	d->o.duration_ns = gs_now_ns() - begin;
	if (d->o.n_total >= PROGRESS_EVERY && d->progress)
		fprintf(stderr, "\r\033[K");
	if (r < 0 || resumed < 0)
		return r < 0 ? r : resumed;
	d->o.total_unknown = interrupted || d->a->goroutine ||
			     (d->a->limit && !d->groups && d->shown >= d->a->limit);
	gs_incomplete_add(&d->missing, "core_bytes_missing", gs_target_missing_bytes(d->target),
			  "the core file is cut off: this much of the memory it promises is not "
			  "in it");
	gs_incomplete_add(&d->missing, "names_unmatched", gs_filter_gave_up(d->filter),
			  "a regular expression took too long on these names; they count as not "
			  "matching");
	if (interrupted)
		gs_incomplete_add(&d->missing, "interrupted", 1,
				  "the rest was not read: interrupted by the user");
	return gs_target_alive(d->target, d->err);
}

static int write_groups(struct dump *d)
{
	uint32_t n;
	const struct gs_group *g = gs_groups_sorted(d->groups, &n);
	int r = 0;

	d->n_groups = n;
	if (d->a->limit && d->a->limit < n)
		n = (uint32_t)d->a->limit;
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = d->format->group(d->writer, &g[i], d->err);
	return r;
}

static void copy_out(struct gs_out *to, const struct gs_out *from)
{
	if (from->error && !to->error)
		to->error = from->error;
	gs_out_bytes(to, from->buf, from->len);
}

static int write_dump(struct dump *d, struct gs_out *out)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out kept;
	bool keep = d->a->stop && !d->a->group;
	int r;

	gs_out_init_mem(&kept);
	r = d->format->open(&d->writer, keep ? &kept : out, &d->o, &gs_rt_facts(d->rt)->process,
			    d->err);
	if (r < 0)
		return r;
	r = read_all(d);
	if (r == 0 && d->groups)
		r = write_groups(d);
	if (r < 0) {
		d->format->abort(d->writer);
		return r;
	}
	r = d->format->close(d->writer, &d->o, &d->missing, d->err);
	if (r == 0 && keep)
		copy_out(out, &kept);
	return r;
}

static int64_t wall_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* What can be wrong with the options alone, before any target is asked for. */
static int prepare(struct dump *d)
{
	const struct dump_args *a = d->a;
	const struct gs_filter_options fo = { .states = a->states.v,
					      .wait_reasons = a->wait_reasons.v,
					      .functions = a->functions.v,
					      .created_by = a->created_by.v,
					      .labels = a->labels.v,
					      .waiting_longer_ns = a->waiting_longer_ns };
	const char *output = a->common.output;

	for (size_t i = 0; i < GS_ARRAY_SIZE(writers); i++)
		if (strcmp(writers[i]->name, a->common.format) == 0)
			d->format = writers[i];
	if (d->format->binary && (!output || strcmp(output, "-") == 0) && isatty(STDOUT_FILENO))
		return gs_fail(
			d->err, -EINVAL, 0,
			"%s is a binary format and standard output is a terminal: name a file "
			"with -o FILE",
			d->format->name);
	if (a->group) {
		d->groups = gs_groups_new();
		if (!d->groups)
			return gs_fail(d->err, -ENOMEM, 0, "out of memory");
	}
	return gs_filter_new(&fo, &d->filter, d->err);
}

static void set_options(struct dump *d, const struct gs_out *out)
{
	const struct dump_args *a = d->a;
	bool terminal = out->fd >= 0 && isatty(out->fd);

	d->o = (struct gs_dump_options){ .all_frames = a->all_frames,
					 .args = a->args,
					 .colour = out->fd >= 0 && gs_colour_wanted(out->fd),
					 .pretty = a->pretty || terminal,
					 .grouped = a->group,
					 .time_unix_ns = wall_clock_ns() };
	d->progress = gs_progress_wanted(&a->common) && !terminal;
}

/* Whatever was not found in a core file, that it is cut off explains it. */
static int blame_cut(struct dump *d, int code)
{
	uint64_t missing = gs_target_missing_bytes(d->target);

	if (missing == 0)
		return code;
	return gs_fail_in(d->err, code,
			  "the core file is cut off, %" PRIu64
			  " bytes of its memory are missing (a full disk, or ulimit -c)",
			  missing);
}

static int open_runtime(struct dump *d)
{
	int r = gs_open_target(&d->a->common, &d->target, d->err);

	if (r < 0)
		return r;
	if (d->a->stop && gs_target_kind(d->target) != GS_TARGET_PROCESS)
		return gs_fail(d->err, -EINVAL, 0,
			       "--stop is for live processes; a core file stands still");
	r = gs_rt_open(d->target, &d->rt, d->err);
	return r < 0 ? blame_cut(d, r) : r;
}

/* Notes that are not part of the result; JSON carries them inside. */
static void tell(const struct dump *d)
{
	const struct gs_common *c = &d->a->common;
	const struct gs_rt_facts *f = gs_rt_facts(d->rt);

	if (f->release_unknown)
		gs_note(c,
			"%s is not a release gosonde knows; it was read with the structure layout "
			"of %s, "
			"which passed its self-checks",
			f->build.version,
			f->layout.source == GS_GO_LAYOUT_DWARF ? "its own debug information"
							       : "the nearest release");
	if (d->o.paused_ns)
		gs_note(c, "the target was stopped for %.3f ms", (double)d->o.paused_ns / 1e6);
	for (uint32_t i = 0; i < d->missing.n; i++)
		gs_note(c, "incomplete: %" PRIu64 " %s: %s", d->missing.item[i].count,
			d->missing.item[i].what, d->missing.item[i].why);
}

/* An empty or a short answer must not look like an empty or a small process. */
static void tell_selection(const struct dump *d)
{
	const struct dump_args *a = d->a;

	if (d->shown == 0 && a->goroutine && d->o.n_total == 0)
		gs_note(&a->common, "no goroutine %" PRIu64 " in this process", a->goroutine);
	else if (d->shown == 0 && d->o.n_total > 0)
		gs_note(&a->common, "none of %" PRIu64 " goroutines is as asked for", d->o.n_total);
	else if (a->limit && !a->group && d->shown >= a->limit)
		gs_note(&a->common, "there may be more: the end is set by --limit %" PRIu64,
			a->limit);
	else if (a->limit && d->n_groups > a->limit)
		gs_note(&a->common,
			"the %" PRIu64 " largest of %" PRIu32 " groups, as --limit says", a->limit,
			d->n_groups);
}

/* What a busy process always has is told, but is no reason for another exit code. */
static bool truly_incomplete(const struct dump *d)
{
	for (uint32_t i = 0; i < d->missing.n; i++)
		if (strcmp(d->missing.item[i].what, "running_without_stack") != 0 &&
		    strcmp(d->missing.item[i].what, "wait_times_estimated") != 0)
			return true;
	return false;
}

static int run_dump(struct dump *d)
{
	struct gs_output output;
	int r, closed;

	r = open_runtime(d);
	if (r < 0)
		return r;
	r = gs_output_open(&output, &d->a->common, d->err);
	if (r < 0)
		return r;
	set_options(d, &output.out);
	r = write_dump(d, &output.out);
	closed = gs_output_close(&output, r == 0, r == 0 ? d->err : NULL);
	return r < 0 ? r : closed;
}

static int run(void *args)
{
	const struct dump_args *a = args;
	struct gs_err err = { 0 };
	struct dump d = { .a = a, .err = &err };
	struct sigaction sa = { .sa_handler = on_sigint, .sa_flags = (int)SA_RESETHAND };
	int r, code;

	sigaction(SIGINT, &sa, NULL);
	r = prepare(&d);
	if (r < 0) {
		code = gs_report(&a->common, &err, NULL);
	} else if ((r = run_dump(&d)) < 0) {
		code = gs_report(&a->common, &err, "cannot dump %s", a->common.target);
	} else {
		tell(&d);
		tell_selection(&d);
		code = truly_incomplete(&d) ? GS_EXIT_INCOMPLETE : GS_EXIT_OK;
	}
	gs_filter_free(d.filter);
	gs_groups_free(d.groups);
	gs_rt_free(d.rt);
	gs_target_free(d.target);
	return code;
}

const struct gs_cmd gs_cmd_dump = {
	.name = "dump",
	.summary = "Print every goroutine and its stack, now",
	.description =
		"Reads every goroutine of a running Go process, or of a core file, without "
		"stopping it: "
		"state, wait reason, wait time, thread, creator and full stack, stripped binaries "
		"included. The text is Go's own traceback format, so existing parsers read it; "
		"unlike "
		"Go's, it never leaves out the middle of a deep stack.\n\n"
		"The runtime knows how long a goroutine waits only from the first garbage "
		"collection that "
		"found it waiting; before that the wait time is unknown, and --waiting-longer does "
		"not "
		"select it.\n\n"
		"A goroutine that runs on a CPU has no stack to show unless the target is stopped "
		"for the "
		"moment with --stop.",
	.examples = "gosonde dump 4711    all goroutines, as Go prints them\n"
		    "gosonde dump =shop --group    the largest groups of equal stacks first\n"
		    "gosonde dump 4711 --wait-reason mutex --waiting-longer 1m    stuck on a lock\n"
		    "gosonde dump 4711 --format pprof -o g.pb.gz    for go tool pprof\n"
		    "gosonde dump core.4711 --exe ./server    a crashed process\n",
	.formats = formats,
	.target = GS_ARG_PID | GS_ARG_CORE,
	.options = options,
	.n_options = GS_ARRAY_SIZE(options),
	.args_size = sizeof(struct dump_args),
	.run = run,
};
