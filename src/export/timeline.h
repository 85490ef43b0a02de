/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_TIMELINE_H
#define GS_EXPORT_TIMELINE_H

/*
 * Formats of a timeline: every goroutine's life, event by event. A format is a const table of
 * callbacks, one file each (gotrace.c, perfetto.c, timeline_jsonl.c). Events are streamed: what is kept is what
 * a format must know about goroutines that are alive, threads, Ps and the stacks already written.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/out.h"
#include "model/event.h"
#include "model/result.h"

/* What a writer did, for the command's last words. Filled by close(). */
struct gs_timeline_result {
	uint64_t events;     /* taken in */
	uint64_t goroutines; /* seen */
	uint64_t bytes;      /* written */
	uint64_t repaired; /* transitions that had to be put in because their events were missing */
	uint64_t untracked; /* goroutines, threads or stacks left out: a limit was reached */
};

struct gs_timeline_options {
	/** The name of a system call of the target's CPU, NULL if it has none; may be NULL itself. */
	const char *(*syscall_name)(const char *goarch, int32_t number);
};

struct gs_timeline_writer;

struct gs_timeline_format {
	const char *name;
	bool binary;       /* refuse to print on a terminal */
	const char *words; /* what the file is: "Go execution trace" */
	const char *how;   /* how to open it; %s is the file's name */
	/**
	 * Begin a timeline. @out and @source (for stacks, names and the process) are borrowed until
	 * close() or abort(), @o (may be NULL) only for the call.
	 * @return 0 and *ret, or -ENOMEM.
	 */
	int (*open)(struct gs_timeline_writer **ret, struct gs_out *out,
		    struct gs_event_source *source, const struct gs_timeline_options *o,
		    struct gs_err *err);
	/** The next @n events, in the order of time; others are taken as they come, never refused.
	 *  @return 0, -ENOMEM, or the output's error. */
	int (*events)(struct gs_timeline_writer *w, const struct gs_event *e, size_t n,
		      struct gs_err *err);
	/** Write the rest. @stats (of the source, may be NULL) end up in formats that have a place for
	 *  them. The writer is freed in any case. */
	int (*close)(struct gs_timeline_writer *w, const struct gs_stream_stats *stats,
		     struct gs_timeline_result *ret, struct gs_err *err);
	/** Drop the writer without finishing. */
	void (*abort)(struct gs_timeline_writer *w);
};

/**
 * Go execution trace, version 2: gotrace as read by `go tool trace` and golang.org/x/exp/trace of Go 1.23
 * and later, gotrace_122 also by Go 1.22, where goroutines that never do anything have no name.
 */
extern const struct gs_timeline_format gs_timeline_gotrace, gs_timeline_gotrace_122;
/** Perfetto's TrackEvent protobuf. */
extern const struct gs_timeline_format gs_timeline_perfetto;
/** One JSON object per line (docs/trace.md). */
extern const struct gs_timeline_format gs_timeline_jsonl;

#endif
