/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Which pages of the heap are free, and which of those were returned to the kernel.
 *
 * The page allocator (runtime/mpagealloc.go) has two bits a page, 512 pages to a chunk (pallocData: 64 bytes "allocated",
 * then 64 bytes "scavenged"); chunks[i >> 13] points to 8192 of them. Only what was grown into counts (inUse.ranges):
 * beyond, bits are zero and say nothing. Each P may hold 64 pages for itself (p.pcache), which the bitmap calls
 * allocated; bits of its own tell which of them are free and which returned (runtime/mpagecache.go). The same in Go
 * 1.19 to 1.27.
 *
 * Since 1.26 a heap begins at a random page: those before it are called allocated and scavenged at once
 * (markRandomPaddingPages), which nothing else ever is. They count as returned, as the runtime counts them.
 *
 * Spans were read before. Where both claim a page, it was freed or taken meanwhile; spans win, so that nothing counts
 * twice.
 */
#include "runtime/rt_heap_private.h"

#include <errno.h>
#include <string.h>

#include "base/search.h"

enum {
	CHUNK_PAGES = 512,
	CHUNK_BYTES = 2 * CHUNK_PAGES / 8, /* of its bits */
	CHUNKS = (int)(GS__HEAP_ARENA_PAGES / CHUNK_PAGES),
	L2_BITS = 13, /* pallocChunksL2Bits */
	READS = 64,   /* arenas looked at together */
	MAX_GROWN = 1 << 16,
	MAX_PS = 4096,
	PCACHE_BYTES = 64, /* more than pageCache has */
};

struct pages {
	struct gs_rt_heap *h;
	struct gs_incomplete_list *inc;
	struct gs_err *err;
	uint64_t *grown; /* pairs: base, limit; sorted */
	uint64_t n_grown, at_grown;
	uint64_t l1; /* index of … */
	gs_addr l2;  /* … this table of chunks */
	uint8_t (*bits)[CHUNKS * CHUNK_BYTES];
	uint32_t arena[READS];
	struct gs_read reads[READS];
	uint32_t n_reads;
};

static int no_memory(struct pages *s)
{
	return gs_fail(s->err, -ENOMEM, 0, "no memory for the heap's free pages");
}

/* Append to the list; neighbours of the same kind become one. */
static int add(struct pages *s, gs_addr start, uint64_t bytes, bool returned, bool cached)
{
	struct gs_rt_heap *h = s->h;
	struct gs_rt_free_range *last = h->n_ranges ? &h->range[h->n_ranges - 1] : NULL;

	if (last && last->start + last->bytes == start && last->returned == returned &&
	    last->cached == cached) {
		last->bytes += bytes;
		return 0;
	}
	if (h->n_ranges == h->cap_ranges) {
		uint32_t cap = h->cap_ranges ? h->cap_ranges * 2 : 256;
		void *grown = gs_array_resize(h->range, cap, sizeof(*h->range));

		if (!grown)
			return no_memory(s);
		h->range = grown;
		h->cap_ranges = cap;
	}
	h->range[h->n_ranges++] = (struct gs_rt_free_range){
		.start = start, .bytes = bytes, .returned = returned, .cached = cached
	};
	return 0;
}

/* 64 pages from @start on: bits of those that are free, and of those that are returned. */
static int add_word(struct pages *s, gs_addr start, uint64_t is_free, uint64_t returned,
		    bool cached)
{
	int r = 0;

	while (r == 0 && is_free) {
		unsigned int i = (unsigned int)__builtin_ctzll(is_free), n;
		bool back = returned >> i & 1;
		uint64_t run = (is_free & (back ? returned : ~returned)) >> i;

		n = ~run ? (unsigned int)__builtin_ctzll(~run) : 64;
		r = add(s, start + (uint64_t)i * GS_RT_PAGE, (uint64_t)n * GS_RT_PAGE, back,
			cached);
		is_free &= n + i >= 64 ? 0 : ~0ull << (i + n);
	}
	return r;
}

/* Was this chunk grown into? Asked in the order of addresses. */
static bool grown(struct pages *s, gs_addr chunk)
{
	while (s->at_grown < s->n_grown && s->grown[2 * s->at_grown + 1] <= chunk)
		s->at_grown++;
	return s->at_grown < s->n_grown && s->grown[2 * s->at_grown] <= chunk;
}

static int add_arena(struct pages *s, uint32_t arena, const uint8_t *bits)
{
	gs_addr start = s->h->arena_start[arena];
	int r = 0;

	for (unsigned int c = 0; r == 0 && c < CHUNKS; c++, bits += CHUNK_BYTES) {
		if (!grown(s, start + (uint64_t)c * CHUNK_PAGES * GS_RT_PAGE))
			continue;
		for (unsigned int w = 0; r == 0 && w < CHUNK_PAGES / 64; w++)
			r = add_word(s, start + ((uint64_t)c * CHUNK_PAGES + w * 64ul) * GS_RT_PAGE,
				     ~gs__u64(bits + 8ul * w) |
					     gs__u64(bits + CHUNK_BYTES / 2 + 8ul * w),
				     gs__u64(bits + CHUNK_BYTES / 2 + 8ul * w), false);
	}
	return r;
}

static int flush(struct pages *s)
{
	const struct gs_memory *mem = s->h->rt->mem;
	int r;

	if (s->n_reads == 0)
		return 0;
	r = mem->readv(mem->ctx, s->reads, s->n_reads, s->err);
	for (uint32_t i = 0; r == 0 && i < s->n_reads; i++) {
		if (s->reads[i].result == 0)
			r = add_arena(s, s->arena[i], s->reads[i].buf);
		else
			gs_incomplete_add(s->inc, "heap_pages_unreadable", GS__HEAP_ARENA_PAGES,
					  "the page allocator's bits cannot be read");
	}
	s->n_reads = 0;
	return r;
}

/* An arena's 16 chunks are neighbours in one table. */
static int read_arena(struct pages *s, uint32_t arena)
{
	uint64_t first = s->h->arena[arena].number * CHUNKS, l1 = first >> L2_BITS;
	gs_addr chunks = gs__heap_field(s->h, GS_GO_MHEAP_PAGES_CHUNKS);
	int r;

	if (l1 != s->l1) {
		s->l1 = l1;
		r = gs_memory_u64(s->h->rt->mem, chunks + 8 * l1, &s->l2, s->err);
		if (r == -GS_E_FAULT)
			s->l2 = 0;
		else if (r < 0)
			return r;
	}
	if (!s->l2)
		return 0; /* nothing grown here */
	s->arena[s->n_reads] = arena;
	s->reads[s->n_reads] = (struct gs_read){
		.addr = s->l2 + (first & ((1u << L2_BITS) - 1)) * CHUNK_BYTES,
		.buf = s->bits[s->n_reads],
		.len = sizeof(s->bits[0]),
	};
	return ++s->n_reads == READS ? flush(s) : 0;
}

static int read_grown(struct pages *s)
{
	gs_addr at = gs__heap_field(s->h, GS_GO_MHEAP_PAGES_INUSE_RANGES);
	uint64_t slice[2] = { 0 };
	int r = gs_memory_read(s->h->rt->mem, at, slice, sizeof(slice), s->err);

	if (r < 0)
		return r;
	if (slice[1] == 0 || slice[1] > MAX_GROWN)
		return slice[1] ? -GS_E_BAD_DATA : 0;
	s->grown = gs_array_new(slice[1], 16);
	if (!s->grown)
		return no_memory(s);
	r = gs_memory_read(s->h->rt->mem, slice[0], s->grown, slice[1] * 16, s->err);
	s->n_grown = r == 0 ? slice[1] : 0;
	return r;
}

/* ---- page caches ---- */

static bool in_arena(const struct gs_rt_heap *h, gs_addr addr)
{
	uint32_t at = GS_SEARCH(i, h->n_arenas, h->arena_start[i] + GS_RT_ARENA > addr);

	return at < h->n_arenas && h->arena_start[at] <= addr;
}

static int add_cache(struct pages *s, gs_addr p)
{
	const struct gs_go_layout *l = &s->h->rt->facts.layout;
	int64_t first = l->offset[GS_GO_P_PCACHE_BASE];
	int64_t cache = l->offset[GS_GO_P_PCACHE_CACHE] - first;
	int64_t scav = l->offset[GS_GO_P_PCACHE_SCAV] - first;
	uint8_t b[PCACHE_BYTES];
	gs_addr base;

	if (cache < 0 || cache > PCACHE_BYTES - 8 || scav < 0 || scav > PCACHE_BYTES - 8 ||
	    gs_memory_read(s->h->rt->mem, p + (uint64_t)first, b, sizeof(b), NULL) < 0)
		return 0;
	base = gs__u64(b);
	if (base % (64ul * GS_RT_PAGE) || !in_arena(s->h, base))
		return 0; /* none yet */
	return add_word(s, base, gs__u64(b + cache), gs__u64(b + scav), true);
}

static int by_start(const void *a, const void *b)
{
	const struct gs_rt_free_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static int read_caches(struct pages *s)
{
	gs_addr allp = s->h->rt->facts.globals.addr[GS_GO_GLOBAL_ALLP], p[MAX_PS];
	uint32_t before = s->h->n_ranges;
	uint64_t slice[2];
	int r = 0;

	if (!allp || !gs_go_has(s->h->layout, GS_GO_P_PCACHE_BASE) ||
	    gs_memory_read(s->h->rt->mem, allp, slice, sizeof(slice), NULL) < 0 ||
	    slice[1] > MAX_PS ||
	    gs_memory_read(s->h->rt->mem, slice[0], p, slice[1] * 8, NULL) < 0) {
		gs_incomplete_add(s->inc, "heap_page_caches_unreadable", 1,
				  "pages that a P keeps for itself are not told apart");
		return 0;
	}
	for (uint64_t i = 0; r == 0 && i < slice[1]; i++)
		r = add_cache(s, p[i]);
	if (r == 0 && s->h->n_ranges > before)
		qsort(s->h->range, s->h->n_ranges, sizeof(*s->h->range), by_start);
	return r;
}

/* ---- spans win ---- */

/* Cut out of the sorted list what spans have, and what is listed twice. */
static int cut(struct pages *s)
{
	struct gs_rt_heap *h = s->h;
	GS_CLEANUP(gs_freep) struct gs_rt_free_range *old = h->range;
	uint32_t n = h->n_ranges, span = 0;
	gs_addr done = 0;
	int r = 0;

	h->range = NULL;
	h->n_ranges = h->cap_ranges = 0;
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		gs_addr at = old[i].start > done ? old[i].start : done;
		gs_addr end = old[i].start + old[i].bytes;

		done = end > done ? end : done;
		for (; r == 0 && span < h->n_spans && h->span[span].start < end; span++) {
			const struct gs_rt_span *sp = &h->span[span];
			gs_addr stop = sp->start + (uint64_t)sp->n_pages * GS_RT_PAGE;

			if (sp->start > at)
				r = add(s, at, sp->start - at, old[i].returned, old[i].cached);
			if (stop > at)
				at = stop;
			if (stop > end)
				break; /* reaches into the next range as well */
		}
		if (r == 0 && at < end)
			r = add(s, at, end - at, old[i].returned, old[i].cached);
	}
	return r;
}

static int read_all(struct pages *s)
{
	int r = read_grown(s);

	if (r == -GS_E_FAULT || r == -GS_E_BAD_DATA) {
		gs_incomplete_add(s->inc, "heap_pages_unreadable",
				  (uint64_t)s->h->n_arenas * GS__HEAP_ARENA_PAGES,
				  "the page allocator's list of ranges cannot be read");
		return 0;
	}
	s->bits = gs_array_new(READS, sizeof(*s->bits));
	if (r == 0 && !s->bits)
		r = no_memory(s);
	for (uint32_t i = 0; r == 0 && i < s->h->n_arenas; i++)
		r = read_arena(s, i);
	if (r == 0)
		r = flush(s);
	if (r == 0)
		r = read_caches(s);
	return r == 0 ? cut(s) : r;
}

int gs__heap_read_pages(struct gs_rt_heap *h, struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct pages s = { .h = h, .inc = inc, .err = err, .l1 = UINT64_MAX };
	int r;

	if (!gs_go_has(h->layout, GS_GO_MHEAP_PAGES_CHUNKS) ||
	    !gs_go_has(h->layout, GS_GO_MHEAP_PAGES_INUSE_RANGES)) {
		gs_incomplete_add(inc, "heap_pages_unreadable", 1,
				  "the layout of the page allocator is not known");
		return 0;
	}
	r = read_all(&s);
	free(s.grown);
	free(s.bits);
	return r;
}
