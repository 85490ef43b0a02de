/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_GROUP_H
#define GS_ANALYSIS_GROUP_H

/*
 * Goroutines with the same stack, state, wait reason and creator, counted. Memory grows with the
 * number of groups, not of goroutines: per group the distinct waits are counted (the runtime stamps
 * waits only at GCs, so there are few), and beyond GS_GROUP_WAITS of them in a logarithmic histogram,
 * whose median is then an estimate and marked so.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/cleanup.h"
#include "model/goroutine_group.h"

#define GS_GROUP_WAITS 256

struct gs_groups;
struct gs_groups *gs_groups_new(void);
struct gs_groups *gs_groups_free(struct gs_groups *gs);
GS_DEFINE_CLEANUP(struct gs_groups *, gs_groups_free)
/** @return 0 or -ENOMEM, or -GS_E_LIMIT beyond 4 million groups; -EINVAL once sorted. Stacks are told
 *  apart by their ids, so all goroutines must come from one reader. */
GS_CHECKED int gs_groups_add(struct gs_groups *gs, const struct gs_goroutine *g,
			     struct gs_err *err);
/** Largest first, ties by lowest goroutine id; ends the adding. The array belongs to @gs. */
const struct gs_group *gs_groups_sorted(struct gs_groups *gs, uint32_t *ret_n);

#endif
