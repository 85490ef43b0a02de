/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_STREAM_ARGS_H
#define GS_CLI_STREAM_ARGS_H

/* What why, trace and record share: their options, and opening the stream they look at. */
#include "cli/cmd.h"
#include "model/event.h"
#include "stream/stream.h"

/* Member `stream` of each of their argument structures, right after `common`. */
struct gs_stream_args {
	const char *max_overhead; /* "5%", "0.02"; "0": no limit */
	bool dry_run;
	const char *raw; /* --raw FILE: also keep the recording */
	struct gs_strings functions;
};

/** The options above, for a command's option table: { GS_STREAM_OPTIONS(struct args, stream) }. */
#define GS_STREAM_OPTIONS(type, member)                                                            \
	{ .heading = "What watching may cost",                                                     \
	  .name = "max-overhead",                                                                  \
	  .type = GS_OPT_STRING,                                                                   \
	  .arg = "SHARE",                                                                          \
	  .dest = offsetof(type, member.max_overhead),                                             \
	  .fallback = "5%",                                                                        \
	  .help = "Share of the target's CPU that probes may cost; 0 for no limit" },              \
		{ .name = "dry-run",                                                               \
		  .type = GS_OPT_FLAG,                                                             \
		  .dest = offsetof(type, member.dry_run),                                          \
		  .help = "Only list what would be attached and what a hit costs" },               \
	{                                                                                          \
		.name = "raw", .type = GS_OPT_STRING, .arg = "FILE",                               \
		.dest = offsetof(type, member.raw),                                                \
		.help = "Also keep the recording, which every command replays"                     \
	}

/* An open stream and what belongs to it. */
struct gs_stream_session {
	struct gs_event_source *source;
	struct gs_target *target; /* NULL for a recording */
	struct gs_rt *rt;
	int64_t deadline_ns; /* CLOCK_MONOTONIC; 0: a recording, or no end */
};

/**
 * Open what the command line asks for: a process, a recording, or with --dry-run print the plan.
 * Installs handlers so that Ctrl-C ends the stream early with what there is.
 * @default_ns: duration when -d is not given.
 * @return 0; 1: --dry-run, printed, nothing to do; negative: failed.
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
/** "cost to the target: 1.3 % of its CPU (…)" and what is missing, on stderr. */
void gs_stream_session_report(struct gs_stream_session *s, const struct gs_common *c);

#endif
