/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_PROBE_SESSION_H
#define GS_PROBE_SESSION_H

/*
 * The kernel half at work: programs loaded and attached by a plan, rings read, counters summed.
 * Everything disappears with the session, also when gosonde is killed: nothing is pinned.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gosonde/err.h>

#include "base/cleanup.h"
#include "bpf/stream.wire.h"
#include "probe/host_features.h"
#include "probe/plan.h"

enum gs_probe_wakeup {
	GS_WAKE_BATCH =
		0, /* when a ring is a quarter full, else the reader looks every 20 ms: cheapest */
	GS_WAKE_ADAPTIVE, /* a sleeping reader is woken at once, a busy one looks every 250 us */
	GS_WAKE_POLL,     /* the reader never sleeps (benchmarks) */
};

struct gs_probe_session_options {
	pid_t pid;  /* as the kernel's first PID namespace shows it */
	int exe_fd; /* the executable; device and inode are compared with those of the mapping */
	uint64_t exe_dev, exe_ino;
	int lib_fd[GS_PLAN_LIBRARIES_MAX]; /* of sites in libraries, by number - 1 */
	enum gs_probe_wakeup wakeup;
	size_t ring_bytes[GS_WIRE_RINGS]; /* powers of two; 0: defaults (4 MiB, 4 MiB, 1 MiB) */
	bool force_perf; /* tests: uprobes through perf events even if uprobe_multi works */
};

struct gs_probe_session;

/**
 * Load and attach. If anything that the answer needs cannot be attached, all is undone. All programs begin to
 * write at the same moment, when everything is attached.
 * @plan: borrowed; outlives the result. Descriptors of @o are needed during the call only.
 * @features: attempts made so far (shared with doctor).
 * @return 0; 1: some groups could not be attached (gs_probe_session_missing lists them);
 *         -GS_E_PERMISSION (text names the capability), -GS_E_UNSUPPORTED, -GS_E_GONE.
 */
GS_CHECKED int gs_probe_session_open(const struct gs_probe_session_options *o,
				     const struct gs_probe_plan *plan, struct gs_features *features,
				     struct gs_probe_session **ret, struct gs_err *err);
struct gs_probe_session *gs_probe_session_free(struct gs_probe_session *s);
GS_DEFINE_CLEANUP(struct gs_probe_session *, gs_probe_session_free)

struct gs_probe_missing {
	const char *what; /* tracepoint, program */
	char why[160];
};
const struct gs_probe_missing *gs_probe_session_missing(const struct gs_probe_session *s,
							uint32_t *ret_n);

/** A record; valid during the call. @size is that of the ring's record and at least that of the head. */
typedef void gs_probe_record_fn(void *ctx, enum gs_wire_ring ring, const struct gs_wire_head *h,
				size_t size);
/**
 * Wait at most @timeout_ns for records and hand out all there are: rings GO and KERNEL first, then STACK.
 * Nothing is allocated. In mode BATCH, and in ADAPTIVE after a call that had records, it sleeps before it
 * looks; with a timeout of 0 it only looks. Returns at once when the session was stopped.
 * @return the number of records; negative: failed.
 */
GS_CHECKED int64_t gs_probe_session_read(struct gs_probe_session *s, int64_t timeout_ns,
					 gs_probe_record_fn *fn, void *ctx, struct gs_err *err);
/** Threads that are off the CPU right now, as OFF_CPU records whose head.ts_ns is now (end of a
 *  session: what is still blocked). */
GS_CHECKED int gs_probe_session_open_states(struct gs_probe_session *s, gs_probe_record_fn *fn,
					    void *ctx, struct gs_err *err);

struct gs_probe_counts {
	struct gs_wire_counters total;    /* over all CPUs */
	uint64_t hits[GS_PLAN_SITES_MAX]; /* by site */
	uint64_t missed;                  /* programs that the kernel did not run (recursion) */
	uint64_t rejected; /* records that contradict the wire header: a fault of gosonde */
};
GS_CHECKED int gs_probe_session_counts(struct gs_probe_session *s, struct gs_probe_counts *ret,
				       struct gs_err *err);

/**
 * Say which goroutine a thread runs, as a snapshot saw it: for threads that are asleep since before the session
 * began. What the programs have seen themselves goes before. @return 0; 1: they had seen the thread.
 */
GS_CHECKED int gs_probe_session_bind(struct gs_probe_session *s, uint32_t tid, uint64_t goid,
				     uint64_t g, struct gs_err *err);

/** Follow one of 2^n goroutines or requests only (0: all). */
GS_CHECKED int gs_probe_session_thin(struct gs_probe_session *s, uint32_t log2, struct gs_err *err);
GS_CHECKED int gs_probe_session_detach(struct gs_probe_session *s, enum gs_probe_group g,
				       struct gs_err *err);
/** Detach everything, keep the rings readable: what they hold is still read. */
void gs_probe_session_stop(struct gs_probe_session *s);

/** How long attaching took, and loading before it. */
int64_t gs_probe_session_attach_ns(const struct gs_probe_session *s);
int64_t gs_probe_session_load_ns(const struct gs_probe_session *s);
/** "uprobe_multi" or "perf". */
const char *gs_probe_session_mechanism(const struct gs_probe_session *s);

#endif
