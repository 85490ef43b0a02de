/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_HEAP_PRIVATE_H
#define GS_RUNTIME_RT_HEAP_PRIVATE_H

/* What rt_heap*.c share. */
#include "runtime/rt_heap.h"
#include "runtime/rt_private.h"

/* Bounds on what a target can make us do. */
#define GS__HEAP_MAX_ARENAS 32768u /* 2 TiB */
#define GS__HEAP_ARENA_PAGES ((uint32_t)(GS_RT_ARENA / GS_RT_PAGE))
#define GS__HEAP_ARENA_NUMBERS (1u << 22) /* 48 bits of address space */

/* An arena that the runtime lists. */
struct gs__heap_arena {
	uint64_t number; /* (address + arena_base) / GS_RT_ARENA */
	gs_addr info;    /* its heapArena */
};

struct gs_rt_heap {
	struct gs_rt *rt;
	const struct gs_go_layout *layout;
	gs_addr mheap;
	gs_addr l2; /* table of heapArena pointers, by number */
	uint64_t arena_base;
	struct gs__heap_arena *arena; /* sorted by number; no two share a heapArena */
	gs_addr *arena_start;         /* the same, as addresses */
	uint32_t n_arenas;
	struct gs_rt_span *span; /* sorted by address, not overlapping */
	uint32_t n_spans, cap_spans;
	uint32_t slots;
	uint32_t **page; /* by number less index.first_arena */
	struct gs_rt_page_index index;
	struct gs_rt_free_range *range; /* sorted by address, not overlapping each other or spans */
	uint32_t n_ranges, cap_ranges;
	struct gs_rt_meta_range *meta;
	uint32_t n_meta, cap_meta;
	struct gs_rt_memory_stats stats;
};

/** Address of a field of mheap_; 0 if this release has none. */
static inline gs_addr gs__heap_field(const struct gs_rt_heap *h, enum gs_go_field f)
{
	return gs_go_has(h->layout, f) ? h->mheap + (uint64_t)h->layout->offset[f] : 0;
}

static inline gs_addr gs__heap_arena_start(const struct gs_rt_heap *h, uint64_t number)
{
	return number * GS_RT_ARENA - h->arena_base;
}

/** Steps of gs_rt_heap_read(), in this order. Each adds to @inc what it could not read. */
GS_CHECKED int gs__heap_read_arenas(struct gs_rt_heap *h, struct gs_incomplete_list *inc,
				    struct gs_err *err);
GS_CHECKED int gs__heap_read_spans(struct gs_rt_heap *h, struct gs_incomplete_list *inc,
				   struct gs_err *err);
GS_CHECKED int gs__heap_read_pages(struct gs_rt_heap *h, struct gs_incomplete_list *inc,
				   struct gs_err *err);
GS_CHECKED int gs__heap_read_stats(struct gs_rt_heap *h, struct gs_incomplete_list *inc,
				   struct gs_err *err);
GS_CHECKED int gs__heap_read_meta(struct gs_rt_heap *h, struct gs_incomplete_list *inc,
				  struct gs_err *err);

#endif
