/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_PROFILE_BUILD_H
#define GS_ANALYSIS_PROFILE_BUILD_H

/*
 * From events to a profile. On CPU: the samples. Off CPU: every stretch between two events of a goroutine in which
 * it did not run: blocked by the stack and the reason it parked with, waiting in Go's run queue, its thread
 * off CPU (blocked in the kernel, then waiting for a CPU). What was going on when watching began or ended counts with the part that
 * was watched.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/cleanup.h"
#include "model/event.h"
#include "model/profile.h"

struct gs_profile_options {
	enum gs_profile_kind kind;
	bool by_goroutine, by_labels;
	bool system;             /* also the runtime's own goroutines at rest */
	uint32_t limit;          /* lines, see gs_profile_new(); 0: its default */
	uint32_t max_goroutines; /* that wait at the same time; 0: 262144 */
};

/* What could not be counted as it was. */
struct gs_profile_missing {
	uint64_t lost;         /* records of the stream, as its events say */
	uint64_t doubtful;     /* waits whose end was not seen: not counted */
	uint64_t not_followed; /* waits of goroutines beyond the limit, or that the budget
				  stopped following: not counted */
	uint64_t no_stack;     /* counted without a stack that should be there */
};

struct gs_profile_build;

/** @s is borrowed. NULL when out of memory. */
struct gs_profile_build *gs_profile_build_new(struct gs_event_source *s,
					      const struct gs_profile_options *o);
struct gs_profile_build *gs_profile_build_free(struct gs_profile_build *b);
GS_DEFINE_CLEANUP(struct gs_profile_build *, gs_profile_build_free)

/** Take in one event. Allocates only when a table doubles. @return 0 or -ENOMEM. */
GS_CHECKED int gs_profile_build_event(struct gs_profile_build *b, const struct gs_event *e,
				      struct gs_err *err);
/**
 * The profile of all events so far. What is still going on ends at @end_ns (0: with the last event).
 * @return 0 with *ret, which belongs to @b and is final; or -ENOMEM.
 */
GS_CHECKED int gs_profile_build_finish(struct gs_profile_build *b, int64_t end_ns,
				       const struct gs_profile **ret, struct gs_err *err);
const struct gs_profile_missing *gs_profile_build_missing(const struct gs_profile_build *b);
/** Of the last sample; 0 if there was none. */
int64_t gs_profile_build_period_ns(const struct gs_profile_build *b);
/** True if events on goroutines were seen, without which nothing is known of time off CPU. */
bool gs_profile_build_saw_goroutines(const struct gs_profile_build *b);

#endif
