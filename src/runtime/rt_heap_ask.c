/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Whose a page of the heap is at this moment. While the whole heap is read pages change hands: one that was free when
 * spans were read, and is in use when free pages are, has no owner in the snapshot. Asked about alone it always has one:
 * spans[] names a span that covers it (runtime/mheap.go, spanOf), or it is free, for entries of freed spans stay but
 * their spans are free or elsewhere.
 */
#include "runtime/rt_heap_private.h"

#include <string.h>

enum { MSPAN_MAX = 512 };

static uint64_t part(const struct gs_go_layout *l, const uint8_t *m, enum gs_go_field f,
		     size_t bytes)
{
	uint64_t v = 0;

	if (l->offset[f] >= 0 && (size_t)l->offset[f] + bytes <= MSPAN_MAX)
		memcpy(&v, m + l->offset[f], bytes);
	return v;
}

int gs_rt_heap_ask(const struct gs_rt_heap *h, gs_addr addr, struct gs_rt_span *ret)
{
	const struct gs_go_layout *l = h->layout;
	uint64_t at = addr + h->arena_base, mspan;
	gs_addr info = gs_rt_heap_arena_info(h, addr);
	uint8_t m[MSPAN_MAX] = { 0 };
	size_t size = (size_t)l->offset[GS_GO_MSPAN_SIZE];

	if (!info || gs_memory_u64(h->rt->mem,
				   info + (uint64_t)l->offset[GS_GO_HEAP_ARENA_SPANS] +
					   at % GS_RT_ARENA / GS_RT_PAGE * 8,
				   &mspan, NULL) < 0)
		return -1;
	if (!mspan || size > MSPAN_MAX || gs_memory_read(h->rt->mem, mspan, m, size, NULL) < 0)
		return mspan ? -1 : 0;
	*ret = (struct gs_rt_span){
		.start = part(l, m, GS_GO_MSPAN_START_ADDR, 8),
		.mspan = mspan,
		.elem_size = part(l, m, GS_GO_MSPAN_ELEMSIZE, 8),
		.alloc_count = (uint32_t)part(l, m, GS_GO_MSPAN_ALLOC_COUNT, 2),
		.spanclass = (uint8_t)part(l, m, GS_GO_MSPAN_SPANCLASS, 1),
		.state = (uint8_t)part(l, m, GS_GO_MSPAN_STATE, 1),
	};
	at = part(l, m, GS_GO_MSPAN_NPAGES, 8);
	if ((ret->state != GS_RT_SPAN_IN_USE && ret->state != GS_RT_SPAN_MANUAL) ||
	    at > UINT32_MAX || addr < ret->start || (addr - ret->start) / GS_RT_PAGE >= at)
		return 0;
	ret->n_pages = (uint32_t)at;
	if (ret->state == GS_RT_SPAN_MANUAL && ret->elem_size)
		ret->flags = GS_RT_SPAN_STACK;
	return 1;
}
