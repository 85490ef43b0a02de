/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The page heap as one snapshot: arenas, then spans, then free pages, counters, and the runtime's own memory. The
 * target runs on; what moved between two reads is left out and counted, so that what is there fits together.
 */
#include "runtime/rt_heap_private.h"

#include <errno.h>

#include "base/search.h"

struct gs_rt_heap *gs_rt_heap_free(struct gs_rt_heap *h)
{
	if (!h)
		return NULL;
	for (uint32_t i = 0; h->page && i < h->index.n_arenas; i++)
		free(h->page[i]);
	free(h->page);
	free(h->arena);
	free(h->arena_start);
	free(h->span);
	free(h->range);
	free(h->meta);
	free(h);
	return NULL;
}

/* The fields without which there is nothing to read. */
static bool layout_usable(const struct gs_go_layout *l)
{
	static const enum gs_go_field needed[] = {
		GS_GO_MHEAP_ARENAS,      GS_GO_MSPAN_SIZE,      GS_GO_MSPAN_START_ADDR,
		GS_GO_MSPAN_NPAGES,      GS_GO_MSPAN_ELEMSIZE,  GS_GO_MSPAN_NELEMS,
		GS_GO_MSPAN_FREEINDEX,   GS_GO_MSPAN_STATE,     GS_GO_MSPAN_SPANCLASS,
		GS_GO_MSPAN_ALLOC_COUNT, GS_GO_HEAP_ARENA_SIZE, GS_GO_HEAP_ARENA_SPANS,
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(needed); i++)
		if (!gs_go_has(l, needed[i]))
			return false;
	return gs_go_has(l, GS_GO_MHEAP_ALL_ARENAS) || gs_go_has(l, GS_GO_MHEAP_HEAP_ARENAS);
}

static int read_all(struct gs_rt_heap *h, struct gs_incomplete_list *inc, struct gs_err *err)
{
	int r = gs__heap_read_arenas(h, inc, err);

	if (r == 0)
		r = gs__heap_read_spans(h, inc, err);
	if (r == 0)
		r = gs__heap_read_pages(h, inc, err);
	if (r == 0)
		r = gs__heap_read_stats(h, inc, err);
	if (r == 0)
		r = gs__heap_read_meta(h, inc, err);
	return r;
}

int gs_rt_heap_read(struct gs_rt *rt, struct gs_rt_heap **ret, struct gs_incomplete_list *inc,
		    struct gs_err *err)
{
	GS_CLEANUP(gs_rt_heap_freep) struct gs_rt_heap *h = calloc(1, sizeof(*h));
	const struct gs_go_globals *g = &rt->facts.globals;
	int r;

	if (!h)
		return gs_fail(err, -ENOMEM, 0, "no memory");
	h->rt = rt;
	h->layout = &rt->facts.layout;
	h->mheap = g->addr[GS_GO_GLOBAL_MHEAP];
	if (!h->mheap || !g->checked[GS_GO_GLOBAL_MHEAP] || !layout_usable(h->layout))
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "cannot read the Go heap: the runtime's mheap_ %s",
			       h->mheap ? "does not look as that of any known release"
					: "was not found in this executable");
	r = read_all(h, inc, err);
	if (r < 0)
		return r;
	*ret = GS_TAKE(h);
	return 0;
}

const struct gs_rt_span *gs_rt_heap_spans(const struct gs_rt_heap *h, uint32_t *ret_n)
{
	*ret_n = h->n_spans;
	return h->span;
}

const struct gs_rt_free_range *gs_rt_heap_free_ranges(const struct gs_rt_heap *h, uint32_t *ret_n)
{
	*ret_n = h->n_ranges;
	return h->range;
}

const gs_addr *gs_rt_heap_arenas(const struct gs_rt_heap *h, uint32_t *ret_n)
{
	*ret_n = h->n_arenas;
	return h->arena_start;
}

const struct gs_rt_meta_range *gs_rt_heap_meta(const struct gs_rt_heap *h, uint32_t *ret_n)
{
	*ret_n = h->n_meta;
	return h->meta;
}

const struct gs_rt_memory_stats *gs_rt_heap_stats(const struct gs_rt_heap *h)
{
	return &h->stats;
}

gs_addr gs_rt_heap_arena_info(const struct gs_rt_heap *h, gs_addr addr)
{
	uint64_t number = (addr + h->arena_base) / GS_RT_ARENA;
	uint32_t at = GS_SEARCH(i, h->n_arenas, h->arena[i].number >= number);

	return at < h->n_arenas && h->arena[at].number == number ? h->arena[at].info : 0;
}

const struct gs_go_layout *gs_rt_heap_layout(const struct gs_rt_heap *h)
{
	return h->layout;
}

uint32_t gs_rt_heap_slots(const struct gs_rt_heap *h)
{
	return h->slots;
}

const struct gs_rt_page_index *gs_rt_heap_index(const struct gs_rt_heap *h)
{
	return &h->index;
}

const char *gs_rt_meta_kind_name(enum gs_rt_meta_kind k)
{
	static const char *const names[GS_RT_META_KINDS] = {
		"arenas", "page_alloc", "persistent", "gc_bits", "profile", "other",
	};

	return (unsigned int)k < GS_RT_META_KINDS ? names[k] : "?";
}
