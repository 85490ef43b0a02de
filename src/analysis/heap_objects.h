/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_HEAP_OBJECTS_H
#define GS_ANALYSIS_HEAP_OBJECTS_H

/*
 * Live objects by type, and by the root that keeps them. Types come from the allocator's headers, from interface
 * values, from DWARF types of global variables and stack slots, and go along pointers by the runtime's own type
 * descriptors. An object belongs to a root if no other root reaches it; what several reach is shared.
 */
#include "model/heap_census.h"
#include "runtime/rt_heap.h"
#include "runtime/rt_roots.h"

struct gs_heap_objects_options {
	const char *path_to;   /* type name: also find a path to an object of it */
	uint32_t types, roots; /* at most so many lines; 0: 50 */
	/** Told now and then how far it is; non-zero ends the walk with what there is. May be NULL. */
	int (*progress)(void *ctx, uint64_t bytes_done, uint64_t bytes_total);
	void *progress_ctx;
};

struct gs_heap_objects;
GS_CHECKED int gs_heap_objects_new(struct gs_rt *rt, const struct gs_rt_heap *h,
				   const struct gs_heap_objects_options *o,
				   struct gs_heap_objects **ret, struct gs_err *err);
struct gs_heap_objects *gs_heap_objects_free(struct gs_heap_objects *x);
GS_DEFINE_CLEANUP(struct gs_heap_objects *, gs_heap_objects_free)
const struct gs_heap_objects_result *gs_heap_objects_result(const struct gs_heap_objects *x);

#endif
