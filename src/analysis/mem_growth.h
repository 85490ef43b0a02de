/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_MEM_GROWTH_H
#define GS_ANALYSIS_MEM_GROWTH_H

/* What gs_memory_compare() asks mem_growth.c at the end of watching, and what stacks say of the runtime's part in it. */
#include "analysis/mem_look.h"

/* What both looks say of an address. */
struct gs_memory_view {
	/** The class of memory that @addr is in at the second look, and up to where it is the same; GS_MEM_CLASS_COUNT where nothing is mapped or nothing may be touched (PROT_NONE). Always *ret_end > @addr. */
	enum gs_mem_class_id (*class_at)(void *ctx, gs_addr addr, gs_addr *ret_end);
	/** The same at the first look. */
	enum gs_mem_class_id (*class_before)(void *ctx, gs_addr addr, gs_addr *ret_end);
	/** How many bytes of [start, end), which is of one class, are resident; where only whole mappings are known, by
	 *  proportion. */
	uint64_t (*resident)(void *ctx, gs_addr start, gs_addr end);
	/** How many bytes of [start, end) were resident at the first look and, unless @all, are not any more. */
	uint64_t (*gone)(void *ctx, gs_addr start, gs_addr end, bool all);
	bool exact; /* pages are known, not only mappings */
	void *ctx;
};

/**
 * Who made memory grow: "mmap", "mremap", "brk", "dlopen" (mapped while watching, still there, and resident), "page faults" (pages
 * touched for the first time; estimated, for one of many is seen, and a huge page counts as a small one); and who gave back what was
 * resident at the first look: the same, "munmap" and "madvise", with negative bytes. What of the Go heap was given back is of class
 * GS_MEM_HEAP_RETURNED. Other calls of madvise, and reservations of the runtime, have 0 bytes. Largest first.
 * The list belongs to @g, until the next call. Ends the adding of events.
 */
GS_CHECKED int gs__memory_growers(struct gs_memory_growth *g, const struct gs_memory_view *view,
				  const struct gs_mem_grower **ret, uint32_t *ret_n,
				  struct gs_incomplete_list *inc, struct gs_err *err);

/* ---- mem_who.c ---- */
/** The runtime's function at the memory's side of a stack: "runtime.sysMap"; NULL if the runtime did not do it. Stays. */
const char *gs__mem_runtime_function(const struct gs_stack *st);
/** On whose behalf the runtime gave memory back: "the background scavenger"; NULL. Stays. */
const char *gs__mem_cause(const struct gs_stack *st);
/** Frames that only carry out what somebody else wants: the runtime's, the kernel's, C's, the standard library's for system calls. */
bool gs__mem_is_carrier(const struct gs_frame *f);
/** Innermost frame that is no carrier; NULL. @ret_through (may be NULL): the carrier that it called, by name; NULL. */
const struct gs_frame *gs__mem_doer(const struct gs_stack *st, const struct gs_frame **ret_through);

#endif
