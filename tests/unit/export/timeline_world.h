/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_TIMELINE_WORLD_H
#define GS_TESTS_TIMELINE_WORLD_H

/*
 * A Go scheduler made of dice: goroutines, threads and Ps that do what the runtime allows, the events that
 * probes would have seen of it, and the truth about how long each goroutine was in each state.
 */
#include <stdio.h>

#include "model/event.h"

struct world_options {
	uint64_t seed;
	size_t n_events;
	uint32_t goroutines; /* at the start */
	uint32_t threads, ps;
	int64_t step_ns;  /* mean time between events */
	uint32_t drop;    /* events lost, of 1000 */
	uint32_t twice;   /* events delivered twice, of 1000 */
	uint32_t swap;    /* events out of order, of 1000 */
	uint32_t garbage; /* fields overwritten with anything, of 1000 */
	uint32_t thin;    /* so many times, evenly spread, fewer goroutines are followed */
	uint32_t detach;  /* GS_UNSEEN_*: left out from the middle on */
	bool no_state;    /* nothing is said about goroutines that exist at the start */
	bool no_ps;       /* RUN does not say which P */
	bool simple;      /* only create, ready, run, park, yield, exit: for speed */
};

enum { WORLD_RUNNING, WORLD_RUNNABLE, WORLD_WAITING, WORLD_SYSCALL, WORLD_STATES };

struct world_goroutine {
	uint64_t goid;
	int64_t ns[WORLD_STATES]; /* as long as it is followed */
	uint32_t n[WORLD_STATES]; /* times it came into the state */
	const char *start;        /* its first function */
};

struct world {
	const struct gs_event *events;
	size_t n_events;
	const struct world_goroutine *goroutines; /* the truth, undisturbed */
	size_t n_goroutines;
	uint64_t calls, gcs;
	int64_t begin_ns, end_ns;
};

/** @return a source of the world's events; *ret is borrowed from it. */
struct gs_event_source *world_new(const struct world_options *o, struct world *ret);
/** The truth as JSON, one line per goroutine. */
void world_print(const struct world *w, FILE *f);

#endif
