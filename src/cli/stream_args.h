/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_STREAM_ARGS_H
#define GS_CLI_STREAM_ARGS_H

/* What why, trace and record share: their options, and opening the stream they look at. */
#include "cli/cmd.h"
#include "model/event.h"
#include "probe/budget.h"
#include "stream/stream.h"

/* Member `stream` of each of their argument structures, right after `common`. */
struct gs_stream_args {
	const char *max_overhead; /* "5%", "0.02"; "0": no limit */
	bool dry_run;
	bool probe_costs; /* report each probe at the end */
	bool no_probes;   /* only look, fifty times a second */
	const char *raw;  /* --raw FILE: also keep the recording */
	struct gs_strings functions;
};

/** The options above, for a command's option table: { GS_STREAM_OPTIONS(struct args, stream) }. */
#define GS_STREAM_OPTIONS(args_type, member)                                                       \
	{ .heading = "What watching may cost",                                                     \
	  .name = "max-overhead",                                                                  \
	  .type = GS_OPT_STRING,                                                                   \
	  .arg = "SHARE",                                                                          \
	  .dest = offsetof(args_type, member.max_overhead),                                        \
	  .fallback = "5%",                                                                        \
	  .help = "Share of the target's CPU that probes may cost; 0 for no limit" },              \
		{ .name = "dry-run",                                                               \
		  .type = GS_OPT_FLAG,                                                             \
		  .dest = offsetof(args_type, member.dry_run),                                     \
		  .help = "Only list what would be attached and what a hit costs" },               \
		{ .name = "probe-costs",                                                           \
		  .type = GS_OPT_FLAG,                                                             \
		  .dest = offsetof(args_type, member.probe_costs),                                 \
		  .help = "Print at the end how often each probe was hit and what that cost" },    \
		{ .name = "no-probes",                                                             \
		  .type = GS_OPT_FLAG,                                                             \
		  .dest = offsetof(args_type, member.no_probes),                                   \
		  .help = "Estimate from looks at all goroutines, fifty a second; needs no BPF" }, \
	{                                                                                          \
		.name = "raw", .type = GS_OPT_STRING, .arg = "FILE",                               \
		.dest = offsetof(args_type, member.raw),                                           \
		.help = "Also keep the recording, which every command replays"                     \
	}

/* An open stream and what belongs to it. */
struct gs_stream_session {
	struct gs_event_source *source;
	struct gs_target *target; /* NULL for a recording */
	struct gs_rt *rt;
	int64_t deadline_ns; /* CLOCK_MONOTONIC; 0: a recording, or no end */

	/* Of the glue itself. */
	bool stopping, progress_shown, probe_costs;
	int64_t begin_ns, next_progress_ns;
	uint64_t events, requests;
};

/**
 * Open what the command line asks for: a process, a recording, or with --dry-run print the plan.
 * Installs handlers so that Ctrl-C ends the stream early with what there is; a second one ends the program.
 * @default_ns: duration when -d is not given; 0: until Ctrl-C or the end of the target.
 * @return 0; 1: --dry-run, printed, nothing to do; negative: failed. Close it in any case.
 */
GS_CHECKED int gs_stream_session_open(const struct gs_common *c, const struct gs_stream_args *a,
				      const struct gs_stream_options *o, int64_t default_ns,
				      struct gs_stream_session *ret, struct gs_err *err);
void gs_stream_session_close(struct gs_stream_session *s);
/**
 * The next events; ends the stream at the deadline or on a signal; shows progress on a terminal.
 * Results as gs_event_source.next, without 1.
 */
GS_CHECKED int gs_stream_session_next(struct gs_stream_session *s, const struct gs_common *c,
				      const struct gs_event **ret, size_t *ret_n,
				      struct gs_err *err);
/** End the stream with what there is, as Ctrl-C does: what is under way still comes. */
void gs_stream_session_stop(struct gs_stream_session *s);
/** "cost to the target: 0.8 % of a CPU; 7.7 % of what the target used (…)" and what is missing, on stderr, unless --quiet. Call it after the
 *  end of the stream. */
void gs_stream_session_report(struct gs_stream_session *s, const struct gs_common *c);
/** GS_EXIT_OK, or GS_EXIT_INCOMPLETE if the stream says that something is missing. */
int gs_stream_session_exit_code(struct gs_stream_session *s);

/** Ctrl-C and its like end waiting from now on; the second one ends the program: nothing stays attached then either. */
void gs_stream_catch_signals(void);
/** Whether one of them came. */
bool gs_stream_interrupted(void);

/**
 * After the end of a stream, for commands that go on for ever: has the target ended or become another program, and is it
 * back? Waits for it until @until_ns (CLOCK_MONOTONIC, 0: for ever) or Ctrl-C. A PID is back only after exec,
 * =NAME also after a restart.
 */
bool gs_stream_session_await(const struct gs_stream_session *s, const struct gs_common *c,
			     int64_t until_ns);

/** Print what @plan would attach as a table, or as JSON. @costs are of this machine. */
void gs_stream_plan_print(struct gs_out *o, bool json, const struct gs_process *process,
			  const struct gs_probe_plan *plan, const struct gs_probe_costs *costs);

#endif
