/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_STREAM_STREAM_H
#define GS_STREAM_STREAM_H

/*
 * The stream lens as one ordered stream of events (model/event.h): live, from probes on a process, or
 * from a recording. Records of all rings are put in the order of time behind a watermark (a few
 * milliseconds), joined with the goroutines that existed at the start, and symbolised on demand.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "model/event.h"
#include "probe/plan.h"
#include "probe/session.h"
#include "runtime/rt.h"
#include "target/target.h"

struct gs_stream_options {
	struct gs_probe_wish wish;
	double max_overhead; /* 0: no limit */
	enum gs_probe_wakeup wakeup;
	int64_t gauge_interval_ns;        /* 0: no GS_EV_GAUGE */
	bool no_snapshot;                 /* no GO_STATE events of goroutines that exist already */
	size_t ring_bytes[GS_WIRE_RINGS]; /* 0: defaults */
};

/** Watch @t (borrowed, with its @rt, until the source is freed). Returns when everything is attached. */
GS_CHECKED int gs_stream_live_open(struct gs_target *t, struct gs_rt *rt,
				   const struct gs_stream_options *o, struct gs_event_source **ret,
				   struct gs_err *err);

/**
 * The same without probes, for users and kernels that have no BPF: all goroutines are read some fifty times a second
 * and the differences become events. Estimates: see the result's "estimated_by_snapshots".
 */
GS_CHECKED int gs_stream_sampled_open(struct gs_target *t, struct gs_rt *rt,
				      const struct gs_stream_options *o,
				      struct gs_event_source **ret, struct gs_err *err);

/** Make the plan that gs_stream_live_open() would attach. Needs no privilege beyond reading @t. */
GS_CHECKED int gs_stream_plan(struct gs_target *t, struct gs_rt *rt, const struct gs_probe_wish *w,
			      struct gs_probe_plan *ret, struct gs_err *err);

/**
 * Write what @s delivers to @path as a recording: a source that passes the events on and, on the way, appends them with
 * all stacks, symbols, names and numbers they refer to (zstd frames). Takes ownership of @s.
 */
GS_CHECKED int gs_stream_tee_open(struct gs_event_source *s, const char *path,
				  struct gs_event_source **ret, struct gs_err *err);

/** A recording as a source. Foreign bytes: bounds-checked, limits on memory. */
GS_CHECKED int gs_stream_replay_open(const char *path, struct gs_event_source **ret,
				     struct gs_err *err);
/** Whether a file begins as a recording does. */
bool gs_stream_is_recording(const char *path);

#endif
