/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_ROUTES_H
#define GS_ANALYSIS_ROUTES_H

/* What requests are told apart by: the mux's pattern, or the path without what differs in every request. */
#include <stdint.h>

#include "analysis/requests.h"
#include "base/cleanup.h"

#define GS_ROUTES_MAX 128u

struct gs_routes;

/** @functions: names of watched functions by number; borrowed. NULL when out of memory. */
struct gs_routes *gs_routes_new(const char *const *functions, uint32_t n_functions);
struct gs_routes *gs_routes_free(struct gs_routes *r);
GS_DEFINE_CLEANUP(struct gs_routes *, gs_routes_free)

/** Number of the route of a call; 0, "(other)", once there are too many. */
uint32_t gs_routes_of(struct gs_routes *r, const struct gs_call *c);
/** Its name, raw: "POST /cart/{id}"; lives as long as @r. */
const char *gs_routes_name(const struct gs_routes *r, uint32_t route);
uint32_t gs_routes_count(const struct gs_routes *r);

#endif
