/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_GOROUTINE_GROUP_H
#define GS_MODEL_GOROUTINE_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "model/goroutine.h"

#define GS_GROUP_IDS 8

/** Goroutines with the same stack, state, wait reason and creator, counted. */
struct gs_group {
	uint64_t count;
	enum gs_goroutine_state state;
	const char *wait_reason;
	const struct gs_stack *stack;
	const struct gs_frame *created_by;
	uint64_t known_waits;                             /* of @count, with a known wait */
	int64_t wait_min_ns, wait_median_ns, wait_max_ns; /* -1 if none known */
	bool median_estimated;
	uint64_t first_ids[GS_GROUP_IDS]; /* some members, lowest first */
	uint32_t n_first_ids;
	uint64_t locked; /* members locked to a thread */
};

#endif
