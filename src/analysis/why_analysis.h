/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_WHY_ANALYSIS_H
#define GS_ANALYSIS_WHY_ANALYSIS_H

/*
 * Why are requests slow, and who is to blame: takes events, gives struct gs_why_result. Each request is explained when it
 * ends, while the past it needs is still kept; what is found is added up, and only the slowest and some typical
 * ones are kept whole. Memory is bounded whatever the number of requests.
 */
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "analysis/lives.h"
#include "base/cleanup.h"
#include "model/event.h"
#include "model/why.h"

#define GS_WHY_SLOWEST_MAX 100u

struct gs_why_options {
	int64_t slow_ns;    /* requests at least this long are slow; 0: see docs/why.md */
	uint32_t n_slowest; /* kept whole; 0: 5 */
	const char *route;  /* only routes that contain this; NULL: all. Borrowed */
	bool functions;     /* calls of functions are what is asked about */
	struct gs_lives_limits limits;
};

struct gs_why;

/** @s is borrowed (stacks, names, process) until the analysis is freed. */
GS_CHECKED int gs_why_new(const struct gs_why_options *o, struct gs_event_source *s,
			  struct gs_why **ret, struct gs_err *err);
struct gs_why *gs_why_free(struct gs_why *w);
GS_DEFINE_CLEANUP(struct gs_why *, gs_why_free)

/** Take in one event. Allocates nothing but, now and then, room for more requests. */
void gs_why_event(struct gs_why *w, const struct gs_event *e);

/**
 * What was found so far, since the beginning or the last gs_why_reset(). Borrowed until the next call of it, a
 * reset or the end of @w.
 */
GS_CHECKED int gs_why_result(struct gs_why *w, const struct gs_why_result **ret,
			     struct gs_err *err);

/** Begin a new window: forget the requests that ended, keep the goroutines. */
void gs_why_reset(struct gs_why *w);

/** How the events went in. */
const struct gs_lives_counts *gs_why_counts(const struct gs_why *w);

#endif
