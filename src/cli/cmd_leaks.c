/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * gosonde leaks: goroutines that will never run again, or should have ended. Of a process, of a core file, or of a
 * program that is started, runs to its end and is held there while we look.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "analysis/leaks.h"
#include "cli/cmd.h"
#include "cli/terminal.h"
#include "export/leaks_export.h"
#include "target/child.h"

#define STOP_MAX_NS 5000000000
#define WATCH_MIN_NS 2000000000
#define BETWEEN_MIN_NS 100000000
#define DEFAULT_WATCH_NS 60000000000
#define FRAMES_SHOWN 24u

struct leaks_args {
	struct gs_common common;
	bool unreachable, connections, growth, stop, all_frames, pretty;
	int64_t after_ns, watch_ns, between_ns;
};

static const char *const formats[] = { "text", "json", "pprof", NULL };

#define AT(field) offsetof(struct leaks_args, field)
static const struct gs_opt options[] = {
	{ .heading = "What to look for (else the first two, and growth with --watch)",
	  .name = "unreachable",
	  .type = GS_OPT_FLAG,
	  .dest = AT(unreachable),
	  .help = "Goroutines blocked on what nothing that can run refers to" },
	{ .name = "connections",
	  .type = GS_OPT_FLAG,
	  .dest = AT(connections),
	  .help = "Goroutines that serve or use a connection that is closed" },
	{ .name = "growth",
	  .type = GS_OPT_FLAG,
	  .dest = AT(growth),
	  .help = "Go statements whose goroutines only grow in number; watches for a minute" },
	{ .heading = "How to look",
	  .name = "after",
	  .type = GS_OPT_DURATION,
	  .arg = "TIME",
	  .dest = AT(after_ns),
	  .fallback = "30s",
	  .help = "Connections: closed for at least this long" },
	{ .name = "watch",
	  .type = GS_OPT_DURATION,
	  .arg = "TIME",
	  .dest = AT(watch_ns),
	  .help = "Growth: watch for this long" },
	{ .name = "between",
	  .type = GS_OPT_DURATION,
	  .arg = "TIME",
	  .dest = AT(between_ns),
	  .fallback = "2s",
	  .help = "Time between the two looks that must agree" },
	{ .name = "stop",
	  .type = GS_OPT_FLAG,
	  .dest = AT(stop),
	  .help = "Unreachable: pause the target while its heap is marked: one look is proof; "
		  "the length of the pause is printed" },
	{ .name = "all-frames",
	  .type = GS_OPT_FLAG,
	  .dest = AT(all_frames),
	  .help = "Whole stacks also where they are long" },
	{ .name = "pretty", .type = GS_OPT_FLAG, .dest = AT(pretty), .help = "Indent JSON" },
};

/* One run of the command. */
struct run {
	const struct leaks_args *a;
	struct gs_child *child;
	struct gs_target *target;
	struct gs_rt *rt;
	struct gs_leaks *leaks;
	struct gs_leaks_options o;
	struct gs_err *err;
	int exit_status;
	bool progress, shown, memory_gone;
};

static volatile sig_atomic_t interrupted;

static void on_sigint(int sig)
{
	(void)sig; /* the only one we catch */
	interrupted = 1;
}

static int progress(void *ctx, const char *what)
{
	struct run *y = ctx;

	if (y->progress) {
		fprintf(stderr, "\r\033[K%s", what);
		y->shown = true;
	}
	return interrupted;
}

/* What can be wrong with the options alone, before any target is asked for. */
static int prepare(struct run *y)
{
	const struct leaks_args *a = y->a;
	const char *output = a->common.output;
	bool any = a->unreachable || a->connections || a->growth;

	if (a->watch_ns && a->watch_ns < WATCH_MIN_NS)
		return gs_fail(y->err, -EINVAL, 0, "--watch: must be at least 2s");
	if (a->between_ns < BETWEEN_MIN_NS)
		return gs_fail(y->err, -EINVAL, 0, "--between: must be at least 100ms");
	if (a->watch_ns && any && !a->growth)
		return gs_fail(y->err, -EINVAL, 0,
			       "--watch is for growth, which was not asked for: add --growth");
	if (a->common.program && (a->growth || a->watch_ns))
		return gs_fail(y->err, -EINVAL, 0,
			       "growth needs a program that runs; one that is started here is "
			       "looked at when it has ended");
	if (a->common.program && a->stop)
		return gs_fail(y->err, -EINVAL, 0,
			       "--stop is for live processes; a program at its end stands still");
	if (a->stop && any && !a->unreachable)
		return gs_fail(y->err, -EINVAL, 0,
			       "--stop is for --unreachable, which was not asked for");
	if (strcmp(a->common.format, "pprof") == 0 && (!output || strcmp(output, "-") == 0) &&
	    isatty(STDOUT_FILENO))
		return gs_fail(y->err, -EINVAL, 0,
			       "pprof is a binary format and standard output is a terminal: name a "
			       "file with -o FILE");
	y->o = (struct gs_leaks_options){
		.unreachable = a->unreachable || !any,
		.connections = a->connections || !any,
		.growth = a->growth || a->watch_ns,
		.after_ns = a->after_ns,
		.between_ns = a->between_ns,
		.watch_ns = a->watch_ns ? a->watch_ns : DEFAULT_WATCH_NS,
		.stop_max_ns = a->stop ? STOP_MAX_NS : 0,
		.held = true,
		.progress = progress,
		.progress_ctx = y,
	};
	return 0;
}

/* Run the program to its end. @return 1: its memory is gone. */
static int run_program(struct run *y)
{
	int r = gs_child_start((char *const *)y->a->common.program, &y->child, y->err);

	if (r < 0)
		return r;
	r = gs_child_wait(y->child, &y->exit_status, y->err);
	if (r != 0)
		return r;
	y->o.still = y->o.ended = true;
	return gs_target_open_pid(gs_child_pid(y->child), &y->target, y->err);
}

static int open_runtime(struct run *y)
{
	const struct leaks_args *a = y->a;
	int r = a->common.program ? run_program(y) : gs_open_target(&a->common, &y->target, y->err);

	if (r != 0)
		return r;
	if (gs_target_kind(y->target) != GS_TARGET_PROCESS) {
		if (a->stop)
			return gs_fail(y->err, -EINVAL, 0,
				       "--stop is for live processes; a core file stands still");
		if (a->growth || a->watch_ns)
			return gs_fail(
				y->err, -EINVAL, 0,
				"growth needs a process that runs; a core file stands still");
		y->o.still = true;
	}
	return gs_rt_open(y->target, &y->rt, y->err);
}

static int find(struct run *y)
{
	int r = gs_leaks_find(y->target, y->rt, &y->o, &y->leaks, y->err);

	if (y->shown)
		fprintf(stderr, "\r\033[K");
	return r;
}

static int write_result(struct run *y, struct gs_out *o)
{
	const struct leaks_args *a = y->a;
	struct gs_leaks_result *r = gs_leaks_result(y->leaks);
	bool terminal = o->fd >= 0 && isatty(o->fd);
	const struct gs_leaks_print p = { .colour = o->fd >= 0 && gs_colour_wanted(o->fd),
					  .pretty = a->pretty || terminal,
					  .width = o->fd >= 0 ? gs_terminal_width(o->fd) : 0,
					  .frames = a->all_frames ? 0 : FRAMES_SHOWN };

	r->exit_status = y->exit_status;
	if (strcmp(a->common.format, "json") == 0)
		gs_leaks_json(o, r, &p);
	else if (strcmp(a->common.format, "pprof") == 0)
		return gs_leaks_pprof(o, r, y->err);
	else
		gs_leaks_text(o, r, &p);
	return 0;
}

/* What a running program always has is told, but is no reason for another exit code: what could not be read exactly
 * was taken to be alive. */
static bool truly_incomplete(const struct gs_incomplete_list *l)
{
	static const char *const usual[] = { "running_without_stack", "wait_times_estimated",
					     "stacks_conservative",   "goroutines_torn",
					     "stacks_running",        "running_without_registers" };

	for (uint32_t i = 0; i < l->n; i++) {
		bool known = false;

		for (size_t k = 0; k < GS_ARRAY_SIZE(usual); k++)
			known = known || strcmp(l->item[i].what, usual[k]) == 0;
		if (!known)
			return true;
	}
	return false;
}

static void tell(struct run *y)
{
	const struct gs_common *c = &y->a->common;
	const struct gs_leaks_result *r = gs_leaks_result(y->leaks);

	if (gs_rt_facts(y->rt)->release_unknown)
		gs_note(c,
			"%s is not a release gosonde knows; what passed its self-checks was read",
			gs_rt_facts(y->rt)->build.version);
	if (r->paused_ns)
		gs_note(c, "the target was stopped for %.3f ms", (double)r->paused_ns / 1e6);
	if (y->exit_status > 0)
		gs_note(c, "%s ended with exit status %d", c->program[0], y->exit_status);
	for (uint32_t i = 0; i < r->incomplete->n; i++)
		gs_note(c, "incomplete: %" PRIu64 " %s: %s", r->incomplete->item[i].count,
			r->incomplete->item[i].what, r->incomplete->item[i].why);
}

static int run_leaks(struct run *y)
{
	struct gs_output output;
	int r, closed;

	r = open_runtime(y);
	if (r != 0) {
		y->memory_gone = r > 0;
		return r > 0 ? gs_fail(y->err, -GS_E_GONE, 0, "%s", gs_child_why(y->child)) : r;
	}
	y->progress = gs_progress_wanted(&y->a->common);
	r = find(y);
	if (r == 0)
		r = gs_output_open(&output, &y->a->common, y->err);
	if (r < 0)
		return r;
	r = write_result(y, &output.out);
	closed = gs_output_close(&output, r == 0, r == 0 ? y->err : NULL);
	return r < 0 ? r : closed;
}

/* A program that failed must not look as if it had not, where it is run in place of itself (go test -exec). */
static int exit_code(const struct run *y)
{
	const struct gs_leaks_result *r = gs_leaks_result(y->leaks);

	if (r->n_leaks)
		return GS_EXIT_LEAKS;
	if (y->exit_status > 0)
		return y->exit_status;
	return truly_incomplete(r->incomplete) ? GS_EXIT_INCOMPLETE : GS_EXIT_OK;
}

static int run(void *args)
{
	const struct leaks_args *a = args;
	struct gs_err err = { 0 };
	struct run y = { .a = a, .err = &err, .exit_status = -1 };
	struct sigaction sa = { .sa_handler = on_sigint, .sa_flags = (int)SA_RESETHAND };
	const char *what = a->common.program ? a->common.program[0] : a->common.target;
	int r, code;

	r = prepare(&y);
	if (r == 0 && !a->common.program)
		sigaction(SIGINT, &sa, NULL);
	if (r < 0) {
		code = gs_report(&a->common, &err, NULL);
	} else if ((r = run_leaks(&y)) < 0) {
		code = gs_report(&a->common, &err, "cannot look for leaks in %s", what);
	} else {
		tell(&y);
		code = exit_code(&y);
	}
	gs_leaks_free(y.leaks);
	gs_rt_free(y.rt);
	gs_target_free(y.target);
	gs_child_free(y.child);
	return code;
}

const struct gs_cmd gs_cmd_leaks = {
	.name = "leaks",
	.summary = "Find goroutines that will never run again, or should have ended",
	.description =
		"Three detectors. Unreachable: a goroutine blocked on a channel, lock, WaitGroup "
		"or Cond that nothing that can run refers to, found by marking the heap from "
		"outside. On a running process it must stand in two looks; a core file, a "
		"stopped process and a program at its end need one. Connection: a goroutine of "
		"a request or client whose connection has been closed for longer than --after. "
		"Growth, with --watch: a go statement whose goroutines only grow in number.\n\n"
		"With -- PROGRAM the program is started, and looked at when it ends. That finds "
		"what tests leak, also with go test -exec 'gosonde leaks --'. Watched is the "
		"program itself, not those that it starts.\n\n"
		"The target needs no change and no debug endpoint and, without --stop, is not "
		"stopped; stripped binaries and all releases since Go 1.19 are understood. What "
		"cannot be known is taken to be in use: a goroutine that is found here leaks, one "
		"that is not may still leak.\n\n"
		"Exit status: 10 if anything was found; else that of PROGRAM (128 and the signal's "
		"number if one ended it), if it is not 0; 4 if nothing was found but not all could "
		"be looked at; else 0.",
	.examples = "gosonde leaks 4711    what leaks in this process\n"
		    "gosonde leaks =shop --watch 60s    also what grows\n"
		    "gosonde leaks 4711 --connections --after 5m    closed for five minutes\n"
		    "gosonde leaks core.4711 --exe ./server    a crashed process\n"
		    "gosonde leaks -- ./store.test    what a test binary left behind\n"
		    "go test -exec 'gosonde leaks --' ./...    fails if a test leaves goroutines\n"
		    "gosonde leaks 4711 --format pprof -o leaks.pb.gz    for go tool pprof\n",
	.formats = formats,
	.target = GS_ARG_PID | GS_ARG_CORE | GS_ARG_PROGRAM,
	.options = options,
	.n_options = GS_ARRAY_SIZE(options),
	.args_size = sizeof(struct leaks_args),
	.run = run,
};
