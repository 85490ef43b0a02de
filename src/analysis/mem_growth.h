/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_MEM_GROWTH_H
#define GS_ANALYSIS_MEM_GROWTH_H

/* What gs_memory_compare() asks mem_growth.c at the end of watching. */
#include "analysis/mem_look.h"

/* What the second look says of an address. */
struct gs_memory_view {
	/** The class of memory that @addr is in, and up to where it is the same; GS_MEM_CLASS_COUNT where nothing is mapped or nothing may be touched (PROT_NONE). Always *ret_end > @addr. */
	enum gs_mem_class_id (*class_at)(void *ctx, gs_addr addr, gs_addr *ret_end);
	/** How many bytes of [start, end), which is of one class, are resident; where only whole mappings are known, by
	 *  proportion. */
	uint64_t (*resident)(void *ctx, gs_addr start, gs_addr end);
	void *ctx;
};

/**
 * Who made memory grow: "mmap" (mapped while watching, still there, and resident), "page faults" (pages
 * touched for the first time; estimated, for one of many is seen, and a huge page counts as a small one). Largest first.
 * The list belongs to @g, until the next call. Ends the adding of events.
 */
GS_CHECKED int gs__memory_growers(struct gs_memory_growth *g, const struct gs_memory_view *view,
				  const struct gs_mem_grower **ret, uint32_t *ret_n,
				  struct gs_incomplete_list *inc, struct gs_err *err);

#endif
