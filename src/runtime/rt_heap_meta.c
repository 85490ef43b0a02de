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
 *     other        queues of spans (newSpanSPMC), large pointer masks of modules, buffers of the execution tracer
 *                  (rt_heap_trace.c)
 *
 * Not listed anywhere, and left to be anonymous: what GODEBUG or build tags ask for (debuglog, sbrk, efence), heap dumps
 * while they are written, pointer masks of types beyond 4 MiB, spines of span sets of heaps beyond 32 GB, and the pages
 * that vgetrandom keeps its states in.
 *
 * From Go 1.25 on, on kernels that keep names of mappings, the names tell the same and more; this is for all others.
 */
#include "runtime/rt_heap_meta.h"

#include <errno.h>
#include <string.h>

enum {
	PAGE = GS__META_PAGE,
	L2_ENTRIES = 1 << 22,         /* arenaL2Bits */
	SUMMARY_LEVELS = 5,           /* summaryLevels */
	SLICE = 24,                   /* bytes */
	CHUNKS_L2 = 1 << 20,          /* bytes of a table of chunks */
	CHUNKS_PER_ARENA = 16,        /* 4 MiB each */
	CHUNKS_L2_BITS = 13,          /* pallocChunksL2Bits */
	PERSISTENT_CHUNK = 256 << 10, /* persistentChunkSize */
	GC_BITS_CHUNK = 64 << 10,     /* gcBitsChunkBytes */
	BIG = 64 << 10,               /* maxBlock: persistentalloc maps it apart */
	BUCKETS = 179999,             /* buckHashSize */
	CHECK_MARKS = 1 << 20,        /* checkmarksMap: a bit for each word of an arena */
	LAST_WITH_BYTES =
		20, /* the scavenger's index had a byte for 8 chunks; then 8 bytes a chunk */
};

#define MAX_RANGE (8ull << 30)

int gs__meta_add(struct gs__meta *s, gs_addr start, uint64_t bytes, enum gs_rt_meta_kind kind)
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

uint64_t gs__meta_word(const struct gs__meta *s, gs_addr at)
{
	uint64_t v = 0;

	return at && gs_memory_u64(s->h->rt->mem, at, &v, NULL) == 0 ? v : 0;
}

int gs__meta_list(struct gs__meta *s, gs_addr at, unsigned int link, uint64_t bytes,
		  enum gs_rt_meta_kind kind)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && at && at % PAGE == 0 && i < GS__META_CHUNKS; i++) {
		gs_addr next;

		if (gs_memory_u64(s->h->rt->mem, at + link, &next, NULL) < 0)
			break;
		r = gs__meta_add(s, at, bytes, kind);
		at = next;
	}
	return r;
}

/* What a slice at @at may grow into, if that is not less than @least bytes. */
static int add_slice(struct gs__meta *s, gs_addr at, uint64_t elem, uint64_t least,
		     enum gs_rt_meta_kind kind)
{
	uint64_t slice[3];

	if (!at || gs_memory_read(s->h->rt->mem, at, slice, sizeof(slice), NULL) < 0 ||
	    slice[2] > MAX_RANGE / elem || slice[2] * elem < least)
		return 0;
	return gs__meta_add(s, slice[0], slice[2] * elem, kind);
}

/* With GODEBUG=gccheckmark=1 (mcheckmark.go): all arenas have them, or none. */
static int add_check_marks(struct gs__meta *s)
{
	struct gs_rt_heap *h = s->h;
	gs_addr marks;
	int r = 0;

	if (!gs_go_has(h->layout, GS_GO_HEAP_ARENA_CHECKMARKS))
		return 0;
	for (uint32_t i = 0; r == 0 && i < h->n_arenas; i++) {
		marks = gs__meta_word(
			s, h->arena[i].info +
				   (uint64_t)h->layout->offset[GS_GO_HEAP_ARENA_CHECKMARKS]);
		if (marks == 0)
			break;
		if (marks % PAGE == 0)
			r = gs__meta_add(s, marks, CHECK_MARKS, GS_RT_META_GC_BITS);
	}
	return r;
}

static int add_arenas(struct gs__meta *s)
{
	static const enum gs_go_field slices[] = {
		GS_GO_MHEAP_ALLSPANS,
		GS_GO_MHEAP_ALL_ARENAS,
		GS_GO_MHEAP_HEAP_ARENAS,
		GS_GO_MHEAP_USER_ARENA_ARENAS,
	};
	struct gs_rt_heap *h = s->h;
	uint64_t size = (uint64_t)h->layout->offset[GS_GO_HEAP_ARENA_SIZE];
	int r = gs__meta_add(s, h->l2, L2_ENTRIES * 8ull, GS_RT_META_ARENAS);

	for (uint32_t i = 0; r == 0 && i < h->n_arenas; i++)
		r = gs__meta_add(s, h->arena[i].info, size, GS_RT_META_ARENAS);
	for (size_t i = 0; r == 0 && i < GS_ARRAY_SIZE(slices); i++)
		r = add_slice(s, gs__heap_field(h, slices[i]), 8, BIG, GS_RT_META_ARENAS);
	return r == 0 ? add_check_marks(s) : r;
}

static int add_page_alloc(struct gs__meta *s)
{
	struct gs_rt_heap *h = s->h;
	gs_addr summary = gs__heap_field(h, GS_GO_MHEAP_PAGES_SUMMARY);
	gs_addr chunks = gs__heap_field(h, GS_GO_MHEAP_PAGES_CHUNKS);
	uint64_t last = UINT64_MAX;
	int r = 0;

	for (unsigned int i = 0; r == 0 && summary && i < SUMMARY_LEVELS; i++)
		r = add_slice(s, summary + (uint64_t)SLICE * i, 8, 0, GS_RT_META_PAGE_ALLOC);
	if (r == 0)
		r = add_slice(s, gs__heap_field(h, GS_GO_MHEAP_SCAV_INDEX_CHUNKS),
			      h->layout->minor <= LAST_WITH_BYTES ? 1 : 8, 0,
			      GS_RT_META_PAGE_ALLOC);
	for (uint32_t i = 0; r == 0 && chunks && i < h->n_arenas; i++) {
		uint64_t l1 = h->arena[i].number * CHUNKS_PER_ARENA >> CHUNKS_L2_BITS;

		if (l1 != last)
			r = gs__meta_add(s, gs__meta_word(s, chunks + 8 * l1), CHUNKS_L2,
					 GS_RT_META_PAGE_ALLOC);
		last = l1;
	}
	return r;
}

static int add_lists(struct gs__meta *s, struct gs_incomplete_list *inc)
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
		r = gs__meta_list(s, gs__meta_word(s, more->addr[GS_GO_MORE_PERSISTENT_CHUNKS]), 0,
				  PERSISTENT_CHUNK, GS_RT_META_PERSISTENT);
	bits = more->addr[GS_GO_MORE_GC_BITS_ARENAS];
	for (unsigned int i = 1; r == 0 && more->checked[GS_GO_MORE_GC_BITS_ARENAS] && i <= 4; i++)
		r = gs__meta_list(s, gs__meta_word(s, bits + 8ul * i), 8, GC_BITS_CHUNK,
				  GS_RT_META_GC_BITS);
	if (r == 0 && more->checked[GS_GO_MORE_BUCKHASH])
		r = gs__meta_add(s, gs__meta_word(s, more->addr[GS_GO_MORE_BUCKHASH]),
				 BUCKETS * 8ull, GS_RT_META_PROFILE);
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

/* Rings of the collector's queues of spans (mgcmark_greenteagc.go, newSpanSPMC); since 1.26. */
static int add_span_queues(struct gs__meta *s)
{
	const struct gs_go_more_globals *more = gs__rt_more_globals(s->h->rt);
	const int32_t *at = s->h->layout->offset;
	gs_addr q;
	int r = 0;

	if (!more || !more->checked[GS_GO_MORE_WORK] ||
	    !gs_go_has(s->h->layout, GS_GO_WORK_SPAN_SPMCS) ||
	    !gs_go_has(s->h->layout, GS_GO_SPAN_SPMC_NEXT) ||
	    !gs_go_has(s->h->layout, GS_GO_SPAN_SPMC_CAP) ||
	    !gs_go_has(s->h->layout, GS_GO_SPAN_SPMC_RING))
		return 0;
	q = gs__meta_word(s, more->addr[GS_GO_MORE_WORK] + (uint64_t)at[GS_GO_WORK_SPAN_SPMCS]);
	for (uint32_t i = 0; r == 0 && q && i < GS__META_CHUNKS; i++) {
		uint64_t next = 0, ring = 0;
		uint32_t cap = 0;
		struct gs_read reads[] = {
			{ q + (uint64_t)at[GS_GO_SPAN_SPMC_NEXT], &next, 8, 0 },
			{ q + (uint64_t)at[GS_GO_SPAN_SPMC_RING], &ring, 8, 0 },
			{ q + (uint64_t)at[GS_GO_SPAN_SPMC_CAP], &cap, 4, 0 },
		};

		if (s->h->rt->mem->readv(s->h->rt->mem->ctx, reads, 3, NULL) < 0 ||
		    reads[0].result < 0 || reads[1].result < 0 || reads[2].result < 0)
			break;
		if (ring % PAGE == 0 && (cap & (cap - 1)) == 0)
			r = gs__meta_add(s, ring, cap * 8ull, GS_RT_META_OTHER);
		q = next;
	}
	return r;
}

/* Pointer masks of the data of modules (mbitmap.go, progToPointerMask). Small ones come from chunks. */
static int add_masks(struct gs__meta *s)
{
	const int32_t *at = s->h->layout->offset;
	static const enum gs_go_field masks[] = { GS_GO_MD_GCDATAMASK, GS_GO_MD_GCBSSMASK };
	int r = 0;

	for (uint32_t i = 0; i < s->h->rt->n_modules; i++)
		for (size_t k = 0; r == 0 && k < GS_ARRAY_SIZE(masks); k++) {
			gs_addr mask = s->h->rt->module[i].md.addr + (uint64_t)at[masks[k]];
			uint64_t bits;

			if (!gs_go_has(s->h->layout, masks[k]))
				continue;
			bits = gs__meta_word(s, mask) & UINT32_MAX; /* bitvector: int32, pointer */
			if (bits / 8 >= BIG && gs__meta_word(s, mask + 8) % PAGE == 0)
				r = gs__meta_add(s, gs__meta_word(s, mask + 8), bits / 8 + 2,
						 GS_RT_META_OTHER);
		}
	return r;
}

int gs__heap_read_meta(struct gs_rt_heap *h, struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct gs__meta s = { .h = h, .err = err };
	int r = add_arenas(&s);

	if (r == 0)
		r = add_page_alloc(&s);
	if (r == 0)
		r = add_lists(&s, inc);
	if (r == 0)
		r = add_span_queues(&s);
	if (r == 0)
		r = add_masks(&s);
	if (r == 0)
		r = gs__meta_trace(&s);
	tidy(h);
	return r;
}
