/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_HEAP_OBJECTS_H
#define GS_ANALYSIS_HEAP_OBJECTS_H

/*
 * Live objects by type, and by the root that keeps them. Types come from the allocator's headers (Go 1.22 and later), from
 * interface values, from DWARF types of variables (global, local, captured), from the code that allocated what the memory
 * profile has sampled, and go along pointers by the runtime's own descriptors. Channels and closures show themselves what
 * they are. Without symbols and headers (stripped, up to Go 1.21) only what interfaces, channels and samples lead to has a
 * type.
 *
 * An object belongs to a root if no other root reaches it: what would go with the root, exactly the root's subtree in
 * the dominator tree. What several reach is shared. Goroutines that began with the same function are one root.
 *
 * Memory: 8 bytes for each slot of a live page, two bits more for marking, some hundred bytes for each type and root.
 * Cost to the target: reads of its heap, some parts of it several times; it is not stopped, so what changes meanwhile may be
 * counted as it was or as it became.
 */
#include "model/heap_census.h"
#include "runtime/rt_heap.h"
#include "runtime/rt_roots.h"

struct gs_heap_objects_options {
	const char *path_to;   /* type name: also find a path to an object of it */
	uint32_t types, roots; /* at most so many lines; 0: 50 */
	/* also what each type retains and each root reaches: for every 63 lines a walk that takes about twice as long */
	bool retained;
	/** Told now and then how far it is; non-zero ends the walk with what there is. May be NULL. */
	int (*progress)(void *ctx, uint64_t bytes_done, uint64_t bytes_total);
	void *progress_ctx;
};

struct gs_heap_objects;
/** @rt and @h are borrowed and outlive the result; @o may be NULL.
 *  @return 0; negative when out of memory or the target is gone. What was skipped is in the result's list. */
GS_CHECKED int gs_heap_objects_new(struct gs_rt *rt, const struct gs_rt_heap *h,
				   const struct gs_heap_objects_options *o,
				   struct gs_heap_objects **ret, struct gs_err *err);
struct gs_heap_objects *gs_heap_objects_free(struct gs_heap_objects *x);
GS_DEFINE_CLEANUP(struct gs_heap_objects *, gs_heap_objects_free)
/** Lives as long as @x and its gs_rt. */
const struct gs_heap_objects_result *gs_heap_objects_result(const struct gs_heap_objects *x);

#endif
