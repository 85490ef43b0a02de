/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * All spans, and which page belongs to which.
 *
 * heapArena.spans[] has the mspan of every page (runtime/mheap.go, setSpans), but entries of freed pages are stale:
 * their mspan may be free, or stand for other pages by now. So a span is believed where its own first page is.
 * Walking arenas by address gives the spans sorted.
 *
 * A heap of 10 GB in small objects has 1.3 million of them, 160 bytes each. mspans come from 16 KiB blocks
 * (fixalloc), so their addresses are gathered by block and blocks are read whole: a few hundred bytes of system call
 * for each megabyte, and not one piece per span.
 *
 * What a span is (initSpan): IN_USE ones have all fields set before the state says so. MANUAL ones are stacks, whose
 * elemsize is set when the stack allocator takes them (stackpoolalloc, stackalloc), or GC work buffers, whose
 * elemsize stays 0; mspan.init clears it each time. The same in Go 1.19 to 1.27.
 */
#include "runtime/rt_heap_private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum {
	BATCH = 32,            /* arenas looked at together: 2 GiB */
	BLOCK_BITS = 14,       /* _FixAllocChunk */
	BUFFER = 1 << 18,      /* of mspans read at once: stays in the cache of the CPU */
	MAX_MSPAN = 512,       /* 168 bytes at most so far */
	READS = 256,           /* pieces of a batch */
	SPAN_CLASSES = 136,    /* 68 size classes, with and without pointers */
	NO_HEADER_BYTES = 512, /* gc.MinSizeForMallocHeader */
	TRIES = 4,             /* to read a descriptor that is in motion */
	WAITS = 200,           /* of half a millisecond */
};

#define BLOCK ((uint64_t)1 << BLOCK_BITS)
#define HUGE_PAGE (2ull << 20)
#define HUGE_FROM (8ull << 20)

/* Pages that follow each other and name the same mspan. */
struct candidate {
	gs_addr mspan;
	uint32_t page;  /* the first, counted from the first arena of the batch */
	uint32_t n;     /* pages */
	uint32_t block; /* number of its block */
};

/* mspans near each other. */
struct block {
	uint64_t key;    /* address / BLOCK */
	uint32_t n;      /* candidates in it */
	uint32_t at;     /* their first place in order[] */
	uint32_t lo, hi; /* bytes from the block's start: first mspan, end of the last */
};

struct scan {
	struct gs_rt_heap *h;
	struct gs_incomplete_list *inc;
	struct gs_err *err;
	uint64_t *words; /* spans[] of one arena after the other */
	uint32_t first;  /* arena of the batch */
	uint32_t n_arenas;
	struct candidate *cand;
	uint32_t n_cand, cap_cand;
	struct gs_rt_span
		*found; /* by candidate: behind the spans taken; n_pages is 0 where there is none */
	uint32_t *order; /* candidates by block */
	uint32_t cap_order;
	struct block *block;
	uint32_t n_blocks, cap_blocks;
	uint32_t *slot; /* hash of key -> block + 1 */
	uint32_t n_slots;
	uint8_t *buffer;
	uint32_t size; /* of an mspan */
	uint64_t unreadable, torn;
	uint32_t waits; /* left */
	uint64_t slots;
	gs_addr end;    /* of the last span taken */
	uint8_t *known; /* by number of arena: is there one? */
};

static void free_scan(struct scan *s)
{
	free(s->words);
	free(s->cand);
	free(s->order);
	free(s->block);
	free(s->slot);
	free(s->buffer);
	free(s->known);
}

static int no_memory(struct scan *s)
{
	return gs_fail(s->err, -ENOMEM, 0, "no memory for the heap's spans");
}

/* ---- spans[] ---- */

/* @return 0 with the spans[] of every arena in s->words; those not there are zeros. */
static int read_words(struct scan *s)
{
	const struct gs_rt_heap *h = s->h;
	struct gs_read reads[BATCH];
	int r;

	for (uint32_t i = 0; i < s->n_arenas; i++)
		reads[i] = (struct gs_read){
			.addr = h->arena[s->first + i].info +
				(uint64_t)h->layout->offset[GS_GO_HEAP_ARENA_SPANS],
			.buf = s->words + (size_t)i * GS__HEAP_ARENA_PAGES,
			.len = GS__HEAP_ARENA_PAGES * sizeof(*s->words),
		};
	r = h->rt->mem->readv(h->rt->mem->ctx, reads, s->n_arenas, s->err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < s->n_arenas; i++) {
		if (reads[i].result == 0)
			continue;
		memset(reads[i].buf, 0, reads[i].len);
		gs_incomplete_add(s->inc, "heap_arenas_unreadable", 1,
				  "their tables of spans cannot be read");
	}
	return 0;
}

static bool add_candidate(struct scan *s, gs_addr mspan, uint32_t page)
{
	if (s->n_cand == s->cap_cand) {
		uint32_t cap = s->cap_cand ? s->cap_cand * 2 : 4096;
		void *grown = gs_array_resize(s->cand, cap, sizeof(*s->cand));

		if (!grown)
			return false;
		s->cand = grown;
		s->cap_cand = cap;
	}
	s->cand[s->n_cand++] = (struct candidate){ .mspan = mspan, .page = page, .n = 1 };
	return true;
}

/* Arenas of a batch need not be neighbours, so runs end with each. */
static bool find_candidates(struct scan *s)
{
	uint32_t total = s->n_arenas * GS__HEAP_ARENA_PAGES;
	gs_addr last = 0;

	s->n_cand = 0;
	for (uint32_t i = 0; i < total; i++) {
		gs_addr mspan = s->words[i];

		if (mspan % 8 || mspan >= 1ull << 57) {
			s->torn++; // no address
			mspan = 0;
		}
		if (mspan == last && mspan && i % GS__HEAP_ARENA_PAGES)
			s->cand[s->n_cand - 1].n++;
		else if (mspan && !add_candidate(s, mspan, i))
			return false;
		last = mspan;
	}
	return true;
}

/* ---- mspans by block ---- */

static bool grow_hash(struct scan *s)
{
	uint32_t n = s->n_slots ? s->n_slots * 2 : 4096;
	uint32_t *slot = gs_array_new(n, sizeof(*slot));

	if (!slot)
		return false;
	for (uint32_t i = 0; i < s->n_blocks; i++) {
		uint32_t at = (uint32_t)(s->block[i].key * 0x9e3779b97f4a7c15ull >> 32) & (n - 1);

		while (slot[at])
			at = (at + 1) & (n - 1);
		slot[at] = i + 1;
	}
	free(s->slot);
	s->slot = slot;
	s->n_slots = n;
	return true;
}

/* The number of the block with @key; UINT32_MAX: no memory. */
static uint32_t block_of(struct scan *s, uint64_t key)
{
	uint32_t at;

	if (s->n_blocks * 2 >= s->n_slots && !grow_hash(s))
		return UINT32_MAX;
	at = (uint32_t)(key * 0x9e3779b97f4a7c15ull >> 32) & (s->n_slots - 1);
	while (s->slot[at]) {
		if (s->block[s->slot[at] - 1].key == key)
			return s->slot[at] - 1;
		at = (at + 1) & (s->n_slots - 1);
	}
	if (s->n_blocks == s->cap_blocks) {
		uint32_t cap = s->cap_blocks ? s->cap_blocks * 2 : 1024;
		void *grown = gs_array_resize(s->block, cap, sizeof(*s->block));

		if (!grown)
			return UINT32_MAX;
		s->block = grown;
		s->cap_blocks = cap;
	}
	s->block[s->n_blocks] = (struct block){ .key = key, .lo = BLOCK };
	s->slot[at] = ++s->n_blocks;
	return s->n_blocks - 1;
}

/* Sort candidates by block (counting sort). */
static bool gather(struct scan *s)
{
	uint32_t at = 0, b = 0;
	uint64_t last = UINT64_MAX;

	s->n_blocks = 0;
	if (s->slot)
		memset(s->slot, 0, s->n_slots * sizeof(*s->slot));
	for (uint32_t i = 0; i < s->n_cand; i++) {
		struct candidate *c = &s->cand[i];
		uint64_t key = c->mspan >> BLOCK_BITS;
		uint32_t off = (uint32_t)(c->mspan & (BLOCK - 1));

		if (key != last)
			b = block_of(s, key);
		if (b == UINT32_MAX)
			return false;
		last = key;
		c->block = b;
		s->block[b].n++;
		if (off < s->block[b].lo)
			s->block[b].lo = off;
		if (off + s->size > s->block[b].hi)
			s->block[b].hi = off + s->size;
	}
	for (uint32_t i = 0; i < s->n_blocks; i++) {
		s->block[i].at = at;
		at += s->block[i].n;
		s->block[i].n = 0;
	}
	for (uint32_t i = 0; i < s->n_cand; i++) {
		struct block *k = &s->block[s->cand[i].block];

		s->order[k->at + k->n++] = i;
	}
	return true;
}

/* ---- decoding ---- */

static uint64_t part(const struct scan *s, const uint8_t *m, enum gs_go_field f, size_t bytes)
{
	int32_t at = s->h->layout->offset[f];
	uint64_t v = 0;

	if (at >= 0 && (size_t)at + bytes <= s->size)
		memcpy(&v, m + at, bytes);
	return v;
}

static uint8_t flags_of(const struct scan *s, const uint8_t *m, const struct gs_rt_span *sp)
{
	bool user = part(s, m, GS_GO_MSPAN_IS_USER_ARENA_CHUNK, 1) & 1;
	uint8_t f = 0;

	if (sp->state == GS_RT_SPAN_MANUAL)
		return sp->elem_size ? GS_RT_SPAN_STACK : 0;
	if (sp->spanclass & 1)
		f |= GS_RT_SPAN_NOSCAN;
	if (part(s, m, GS_GO_MSPAN_SPECIALS, 8))
		f |= GS_RT_SPAN_SPECIALS;
	if (user)
		f |= GS_RT_SPAN_USER_ARENA;
	else if (sp->spanclass < 2)
		f |= GS_RT_SPAN_LARGE;
	else if (!(sp->spanclass & 1) && gs_go_has(s->h->layout, GS_GO_MSPAN_LARGE_TYPE))
		f |= sp->elem_size <= NO_HEADER_BYTES ? GS_RT_SPAN_HEAP_BITMAP : GS_RT_SPAN_HEADERS;
	return f;
}

/* Does what was read describe a span that begins in the candidate's pages? */
static bool begins_here(const struct scan *s, const struct candidate *c, gs_addr start)
{
	const struct gs__heap_arena *a = &s->h->arena[s->first + c->page / GS__HEAP_ARENA_PAGES];
	gs_addr first = gs__heap_arena_start(s->h, a->number) +
			(uint64_t)(c->page % GS__HEAP_ARENA_PAGES) * GS_RT_PAGE;

	return start - first < (uint64_t)c->n * GS_RT_PAGE;
}

/* A descriptor that is used for other pages by now leaves stale entries at those it had. Those are of some arena. */
static bool begins_elsewhere(const struct scan *s, const struct candidate *c, gs_addr start)
{
	uint64_t a = (start + s->h->arena_base) / GS_RT_PAGE / GS__HEAP_ARENA_PAGES -
		     s->h->index.first_arena;

	return a < s->h->index.n_arenas && s->known[a] && !begins_here(s, c, start);
}

static bool plausible(const struct scan *s, const struct candidate *c, const struct gs_rt_span *sp,
		      uint64_t n_pages, uint64_t n_elems)
{
	if (sp->start % GS_RT_PAGE || !begins_here(s, c, sp->start))
		return false;
	if (n_pages == 0 || n_pages > UINT32_MAX)
		return false;
	if (sp->state == GS_RT_SPAN_MANUAL)
		return true;
	return sp->spanclass < SPAN_CLASSES && n_elems > 0 && n_elems <= UINT32_MAX &&
	       sp->elem_size >= 8 && sp->elem_size <= n_pages * GS_RT_PAGE &&
	       n_elems <= n_pages * GS_RT_PAGE / sp->elem_size;
}

/* @return false: caught in motion, or damaged. */
static bool decode(struct scan *s, uint32_t cand, const uint8_t *m)
{
	const struct gs_go_layout *l = s->h->layout;
	/* uint16 since 1.22, uintptr before. */
	size_t count = l->offset[GS_GO_MSPAN_NELEMS] - l->offset[GS_GO_MSPAN_FREEINDEX] == 2 ? 2
											     : 8;
	uint64_t n_pages = part(s, m, GS_GO_MSPAN_NPAGES, 8);
	uint64_t n_elems = part(s, m, GS_GO_MSPAN_NELEMS, count);
	uint64_t free_index = part(s, m, GS_GO_MSPAN_FREEINDEX, count);
	struct gs_rt_span *sp = &s->found[cand];

	*sp = (struct gs_rt_span){
		.start = part(s, m, GS_GO_MSPAN_START_ADDR, 8),
		.mspan = s->cand[cand].mspan,
		.elem_size = part(s, m, GS_GO_MSPAN_ELEMSIZE, 8),
		.alloc_count = (uint32_t)part(s, m, GS_GO_MSPAN_ALLOC_COUNT, 2),
		.spanclass = (uint8_t)part(s, m, GS_GO_MSPAN_SPANCLASS, 1),
		.state = (uint8_t)part(s, m, GS_GO_MSPAN_STATE, 1),
	};
	if (sp->state != GS_RT_SPAN_IN_USE && sp->state != GS_RT_SPAN_MANUAL)
		return sp->state == 0; /* free: a stale entry */
	if (!plausible(s, &s->cand[cand], sp, n_pages, n_elems))
		return n_pages != 0 && sp->start % GS_RT_PAGE == 0 &&
		       begins_elsewhere(s, &s->cand[cand], sp->start);
	sp->n_pages = (uint32_t)n_pages;
	sp->flags = flags_of(s, m, sp);
	if (sp->state == GS_RT_SPAN_IN_USE) {
		sp->n_elems = (uint32_t)n_elems;
		sp->free_index = free_index < n_elems ? (uint32_t)free_index : (uint32_t)n_elems;
		if (sp->alloc_count > sp->n_elems)
			sp->alloc_count = sp->n_elems;
	}
	return true;
}

/* What was caught in motion is no more a moment later; a thread that was taken off its CPU in the middle of it may
 * need some. Damage stays, so there is an end to waiting. */
static void decode_again(struct scan *s, uint32_t cand)
{
	const struct timespec moment = { .tv_nsec = 500000 };
	uint8_t m[MAX_MSPAN];

	for (unsigned int i = 0; i < TRIES; i++) {
		if (gs_memory_read(s->h->rt->mem, s->cand[cand].mspan, m, s->size, NULL) < 0) {
			s->unreadable++;
			return;
		}
		if (decode(s, cand, m))
			return;
		if (!s->waits)
			break;
		s->waits--;
		nanosleep(&moment, NULL); // a signal asks progress earlier
	}
	s->torn++;
}

/* Read blocks [from, to) into the buffer, which they fit into, and decode their mspans. */
static int read_blocks(struct scan *s, uint32_t from, uint32_t to)
{
	struct gs_read reads[READS];
	uint8_t *p = s->buffer;
	int r;

	for (uint32_t i = from; i < to; i++) {
		const struct block *b = &s->block[i];

		reads[i - from] = (struct gs_read){ .addr = b->key * BLOCK + b->lo,
						    .buf = p,
						    .len = b->hi - b->lo };
		p += b->hi - b->lo;
	}
	r = s->h->rt->mem->readv(s->h->rt->mem->ctx, reads, to - from, s->err);
	for (uint32_t i = from; r == 0 && i < to; i++) {
		const struct block *b = &s->block[i];
		const uint8_t *bytes = reads[i - from].buf;

		if (reads[i - from].result < 0) {
			s->unreadable += b->n;
			continue;
		}
		for (uint32_t k = 0; k < b->n; k++) {
			uint32_t c = s->order[b->at + k];

			if (!decode(s, c, bytes + ((s->cand[c].mspan & (BLOCK - 1)) - b->lo)))
				decode_again(s, c);
		}
	}
	return r;
}

static int read_mspans(struct scan *s)
{
	uint32_t from = 0, bytes = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < s->n_blocks; i++) {
		uint32_t len = s->block[i].hi - s->block[i].lo;

		if (i - from == READS || bytes + len > BUFFER) {
			r = read_blocks(s, from, i);
			from = i;
			bytes = 0;
		}
		bytes += len;
	}
	return r == 0 && from < s->n_blocks ? read_blocks(s, from, s->n_blocks) : r;
}

/* ---- taking them over ---- */

/* Name @sp in the tables of its pages. A span may reach into the next arenas, if the runtime has them. */
static bool index_span(const struct scan *s, const struct gs_rt_span *sp, uint32_t number)
{
	struct gs_rt_heap *h = s->h;
	uint64_t at = (sp->start + h->arena_base) / GS_RT_PAGE, end = at + sp->n_pages;

	while (at < end) {
		uint64_t a = at / GS__HEAP_ARENA_PAGES - h->index.first_arena;
		uint64_t stop = (at / GS__HEAP_ARENA_PAGES + 1) * GS__HEAP_ARENA_PAGES;
		uint32_t *page;

		if (a >= h->index.n_arenas || !s->known[a])
			return true;
		if (!h->page[a]) {
			h->page[a] = gs_array_new(GS__HEAP_ARENA_PAGES, sizeof(*page));
			if (!h->page[a])
				return false;
			memset(h->page[a], 0xff, GS__HEAP_ARENA_PAGES * sizeof(*page));
		}
		page = h->page[a];
		for (stop = stop < end ? stop : end; at < stop; at++)
			page[at % GS__HEAP_ARENA_PAGES] = number;
	}
	return true;
}

/* How many spans there may be: as many as the runtime ever made, and no more than pages. */
static uint64_t expected(const struct gs_rt_heap *h)
{
	uint64_t most = (uint64_t)h->n_arenas * GS__HEAP_ARENA_PAGES, n = 0;
	gs_addr all = gs__heap_field(h, GS_GO_MHEAP_ALLSPANS);

	if (!all || gs_memory_u64(h->rt->mem, all + 8, &n, NULL) < 0)
		return 0;
	return n < most ? n : most;
}

/* The array is filled once from one end. In large heaps, faults of 4 KiB each would cost as much as the rest, so it
 * is of huge pages; what is not reached costs nothing. */
static bool grow_spans(struct gs_rt_heap *h, uint64_t cap)
{
	uint64_t bytes = (cap * sizeof(*h->span) + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	struct gs_rt_span *grown;

	if (cap >= UINT32_MAX)
		return false;
	grown = bytes < HUGE_FROM ? malloc(bytes) : aligned_alloc(HUGE_PAGE, bytes);
	if (!grown)
		return false;
	if (bytes >= HUGE_FROM)
		(void)!madvise(grown, bytes, MADV_HUGEPAGE);
	if (h->n_spans)
		memcpy(grown, h->span, h->n_spans * sizeof(*grown));
	free(h->span);
	h->span = grown;
	h->cap_spans = (uint32_t)cap;
	return true;
}

/* Room for as many spans as there are candidates, and for their order. */
static bool make_room(struct scan *s)
{
	struct gs_rt_heap *h = s->h;
	uint64_t need = (uint64_t)h->n_spans + s->n_cand;

	if (need > h->cap_spans) {
		uint64_t cap = h->cap_spans ? h->cap_spans * 2ull : expected(h) + s->n_cand;

		if (!grow_spans(h, need > cap ? need : cap))
			return false;
	}
	s->found = h->span + h->n_spans;
	if (s->n_cand > s->cap_order) {
		void *grown = gs_array_resize(s->order, s->n_cand, sizeof(*s->order));

		if (!grown)
			return false;
		s->order = grown;
		s->cap_order = s->n_cand;
	}
	for (uint32_t i = 0; i < s->n_cand; i++)
		s->found[i].n_pages = 0;
	return true;
}

/* Does its descriptor still say what was read? */
static bool still(const struct scan *s, const struct gs_rt_span *sp)
{
	uint8_t m[MAX_MSPAN];

	return gs_memory_read(s->h->rt->mem, sp->mspan, m, s->size, NULL) == 0 &&
	       part(s, m, GS_GO_MSPAN_START_ADDR, 8) == sp->start &&
	       part(s, m, GS_GO_MSPAN_NPAGES, 8) == sp->n_pages &&
	       part(s, m, GS_GO_MSPAN_STATE, 1) == sp->state;
}

static int take(struct scan *s)
{
	struct gs_rt_heap *h = s->h;

	for (uint32_t i = 0; i < s->n_cand; i++) {
		struct gs_rt_span *sp = &s->found[i];

		if (sp->n_pages == 0)
			continue;
		/* Spans do not overlap, unless one was freed and its pages taken while we read. Then one of them
		 * is another by now, and the first one stands for how it was. */
		if (sp->start < s->end) {
			if (still(s, sp) && still(s, &h->span[h->n_spans - 1]))
				s->torn++;
			continue;
		}
		if (sp->state == GS_RT_SPAN_IN_USE) {
			/* Too many to number: see gs_rt_heap_slots(). */
			if (s->slots + sp->n_elems >= UINT32_MAX)
				s->slots = UINT32_MAX;
			sp->first_object = (uint32_t)s->slots;
			if (s->slots < UINT32_MAX)
				s->slots += sp->n_elems;
		}
		s->end = sp->start + (uint64_t)sp->n_pages * GS_RT_PAGE;
		if (!index_span(s, sp, h->n_spans))
			return no_memory(s);
		h->span[h->n_spans++] = *sp; /* never behind @sp */
	}
	return 0;
}

static int scan_batch(struct scan *s)
{
	int r = read_words(s);

	if (r < 0)
		return r;
	if (!find_candidates(s))
		return no_memory(s);
	if (s->n_cand == 0)
		return 0;
	if (!make_room(s) || !gather(s))
		return no_memory(s);
	r = read_mspans(s);
	return r < 0 ? r : take(s);
}

static int scan_all(struct scan *s)
{
	struct gs_rt_heap *h = s->h;
	uint32_t batch = h->n_arenas < BATCH ? h->n_arenas : BATCH;
	int r = 0;

	s->known = gs_array_new(h->index.n_arenas ? h->index.n_arenas : 1, 1);
	s->words = gs_array_new((size_t)batch * GS__HEAP_ARENA_PAGES + 1, sizeof(*s->words));
	s->buffer = malloc(BUFFER + BLOCK + MAX_MSPAN);
	if (!s->known || !s->words || !s->buffer)
		return no_memory(s);
	for (uint32_t i = 0; i < h->n_arenas; i++)
		s->known[h->arena[i].number - h->index.first_arena] = 1;
	for (s->first = 0; r == 0 && s->first < h->n_arenas; s->first += batch) {
		s->n_arenas = h->n_arenas - s->first < batch ? h->n_arenas - s->first : batch;
		r = scan_batch(s);
	}
	return r;
}

int gs__heap_read_spans(struct gs_rt_heap *h, struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct scan s = { .h = h,
			  .inc = inc,
			  .err = err,
			  .size = (uint32_t)h->layout->offset[GS_GO_MSPAN_SIZE] };
	bool moves = h->rt->target && gs_target_kind(h->rt->target) == GS_TARGET_PROCESS;
	int r;

	if (s.size > MAX_MSPAN)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "a span descriptor of %u bytes is not one that gosonde knows",
			       s.size);
	s.waits = moves ? WAITS : 0;
	r = scan_all(&s);
	free_scan(&s);
	if (r < 0)
		return r;
	gs_incomplete_add(inc, "heap_spans_unreadable", s.unreadable,
			  "their descriptors cannot be read");
	gs_incomplete_add(inc, "heap_spans_torn", s.torn,
			  "they changed while being read, or are damaged");
	h->slots = (uint32_t)s.slots;
	h->index.span = h->span;
	return 0;
}
