/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Address space that the runtime mapped for its own use, as far as it keeps track of it itself:
 *
 *     arenas       the table of heapArena pointers (mheap.sysAlloc: 32 MiB, few pages of it used), every heapArena, and
 *                  the array behind allspans
 *     page_alloc   summaries and the scavenger's index (pageAlloc.sysInit: reservations for 48 bits of addresses), and
 *                  the 1 MiB tables of chunks (pageAlloc.grow)
 *     persistent   chunks of 256 KiB (persistentalloc1), linked by their first words; blocks of 64 KiB and more are
 *                  mapped apart and not listed anywhere
 *     gc_bits      64 KiB each, on four lists (newArenaMayUnlock)
 *     profile      the hash table of profile buckets (stkbucket)
 *
 * From Go 1.25 on, on kernels that keep names of mappings, the names tell the same and more; this is for all others.
 */
#include "runtime/rt_heap_private.h"

#include <errno.h>
#include <string.h>

enum {
	PAGE = 4096,
	L2_ENTRIES = 1 << 22,         /* arenaL2Bits */
	SUMMARY_LEVELS = 5,           /* summaryLevels */
	SLICE = 24,                   /* bytes */
	CHUNKS_L2 = 1 << 20,          /* bytes of a table of chunks */
	CHUNKS_PER_ARENA = 16,        /* 4 MiB each */
	CHUNKS_L2_BITS = 13,          /* pallocChunksL2Bits */
	PERSISTENT_CHUNK = 256 << 10, /* persistentChunkSize */
	GC_BITS_CHUNK = 64 << 10,     /* gcBitsChunkBytes */
	BUCKETS = 179999,             /* buckHashSize */
	MAX_CHUNKS = 1 << 18,         /* of a list */
	LAST_WITH_BYTES =
		20, /* the scavenger's index had a byte for 8 chunks; then 8 bytes a chunk */
};

#define MAX_RANGE (8ull << 30)

struct meta {
	struct gs_rt_heap *h;
	struct gs_err *err;
};

static int add(struct meta *s, gs_addr start, uint64_t bytes, enum gs_rt_meta_kind kind)
{
	struct gs_rt_heap *h = s->h;
	gs_addr end = (start + bytes + PAGE - 1) & ~(gs_addr)(PAGE - 1);

	if (start < PAGE || bytes == 0 || bytes > MAX_RANGE || end <= start)
		return 0;
	if (h->n_meta == h->cap_meta) {
		uint32_t cap = h->cap_meta ? h->cap_meta * 2 : 128;
		void *grown = gs_array_resize(h->meta, cap, sizeof(*h->meta));

		if (!grown)
			return gs_fail(s->err, -ENOMEM, 0,
				       "no memory for the list of the runtime's own memory");
		h->meta = grown;
		h->cap_meta = cap;
	}
	h->meta[h->n_meta++] =
		(struct gs_rt_meta_range){ .start = start, .end = end, .kind = kind };
	return 0;
}

static uint64_t word(const struct meta *s, gs_addr at)
{
	uint64_t v = 0;

	return at && gs_memory_u64(s->h->rt->mem, at, &v, NULL) == 0 ? v : 0;
}

/* What a slice at @at may grow into. */
static int add_slice(struct meta *s, gs_addr at, uint64_t elem, enum gs_rt_meta_kind kind)
{
	uint64_t slice[3];

	if (!at || gs_memory_read(s->h->rt->mem, at, slice, sizeof(slice), NULL) < 0 ||
	    slice[2] > MAX_RANGE / elem)
		return 0;
	return add(s, slice[0], slice[2] * elem, kind);
}

static int add_arenas(struct meta *s)
{
	struct gs_rt_heap *h = s->h;
	uint64_t size = (uint64_t)h->layout->offset[GS_GO_HEAP_ARENA_SIZE];
	int r = add(s, h->l2, L2_ENTRIES * 8ull, GS_RT_META_ARENAS);

	for (uint32_t i = 0; r == 0 && i < h->n_arenas; i++)
		r = add(s, h->arena[i].info, size, GS_RT_META_ARENAS);
	if (r == 0)
		r = add_slice(s, gs__heap_field(h, GS_GO_MHEAP_ALLSPANS), 8, GS_RT_META_ARENAS);
	return r;
}

static int add_page_alloc(struct meta *s)
{
	struct gs_rt_heap *h = s->h;
	gs_addr summary = gs__heap_field(h, GS_GO_MHEAP_PAGES_SUMMARY);
	gs_addr chunks = gs__heap_field(h, GS_GO_MHEAP_PAGES_CHUNKS);
	uint64_t last = UINT64_MAX;
	int r = 0;

	for (unsigned int i = 0; r == 0 && summary && i < SUMMARY_LEVELS; i++)
		r = add_slice(s, summary + (uint64_t)SLICE * i, 8, GS_RT_META_PAGE_ALLOC);
	if (r == 0)
		r = add_slice(s, gs__heap_field(h, GS_GO_MHEAP_SCAV_INDEX_CHUNKS),
			      h->layout->minor <= LAST_WITH_BYTES ? 1 : 8, GS_RT_META_PAGE_ALLOC);
	for (uint32_t i = 0; r == 0 && chunks && i < h->n_arenas; i++) {
		uint64_t l1 = h->arena[i].number * CHUNKS_PER_ARENA >> CHUNKS_L2_BITS;

		if (l1 != last)
			r = add(s, word(s, chunks + 8 * l1), CHUNKS_L2, GS_RT_META_PAGE_ALLOC);
		last = l1;
	}
	return r;
}

/* A list of blocks that have the next one's address at @link. It may be damaged, so hops are counted. */
static int add_list(struct meta *s, gs_addr at, unsigned int link, uint64_t bytes,
		    enum gs_rt_meta_kind kind)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && at && at % PAGE == 0 && i < MAX_CHUNKS; i++) {
		gs_addr next;

		if (gs_memory_u64(s->h->rt->mem, at + link, &next, NULL) < 0)
			break;
		r = add(s, at, bytes, kind);
		at = next;
	}
	return r;
}

static int add_lists(struct meta *s, struct gs_incomplete_list *inc)
{
	const struct gs_go_more_globals *more = gs__rt_more_globals(s->h->rt);
	gs_addr bits;
	int r = 0;

	if (!more || !more->checked[GS_GO_MORE_PERSISTENT_CHUNKS] ||
	    !more->checked[GS_GO_MORE_GC_BITS_ARENAS] || !more->checked[GS_GO_MORE_BUCKHASH])
		gs_incomplete_add(inc, "runtime_memory_unlisted", 1,
				  "lists of the runtime's own memory were not found in this "
				  "executable");
	if (!more)
		return 0;
	if (more->checked[GS_GO_MORE_PERSISTENT_CHUNKS])
		r = add_list(s, word(s, more->addr[GS_GO_MORE_PERSISTENT_CHUNKS]), 0,
			     PERSISTENT_CHUNK, GS_RT_META_PERSISTENT);
	bits = more->addr[GS_GO_MORE_GC_BITS_ARENAS];
	for (unsigned int i = 1; r == 0 && more->checked[GS_GO_MORE_GC_BITS_ARENAS] && i <= 4; i++)
		r = add_list(s, word(s, bits + 8ul * i), 8, GC_BITS_CHUNK, GS_RT_META_GC_BITS);
	if (r == 0 && more->checked[GS_GO_MORE_BUCKHASH])
		r = add(s, word(s, more->addr[GS_GO_MORE_BUCKHASH]), BUCKETS * 8ull,
			GS_RT_META_PROFILE);
	return r;
}

static int by_start(const void *a, const void *b)
{
	const struct gs_rt_meta_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* Sort; a range gives way to those before it. Neighbours of a kind become one. */
static void tidy(struct gs_rt_heap *h)
{
	uint32_t n = 0;

	if (h->n_meta == 0)
		return;
	qsort(h->meta, h->n_meta, sizeof(*h->meta), by_start);
	for (uint32_t i = 0; i < h->n_meta; i++) {
		struct gs_rt_meta_range m = h->meta[i], *last = n ? &h->meta[n - 1] : NULL;

		if (last && m.start < last->end)
			m.start = last->end;
		if (m.start >= m.end)
			continue;
		if (last && last->end == m.start && last->kind == m.kind)
			last->end = m.end;
		else
			h->meta[n++] = m;
	}
	h->n_meta = n;
}

int gs__heap_read_meta(struct gs_rt_heap *h, struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct meta s = { .h = h, .err = err };
	int r = add_arenas(&s);

	if (r == 0)
		r = add_page_alloc(&s);
	if (r == 0)
		r = add_lists(&s, inc);
	tidy(h);
	return r;
}
