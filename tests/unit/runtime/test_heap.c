/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The page heap and the memory profile of made-up memory: every kind of span, stale and torn entries, free and returned
 * pages, counters, and lies of all sizes. Real heaps are compared with what Go says in tests/live/test_heap.py.
 */
#include <string.h>

#include "go_world.h"
#include "runtime/rt_heap.h"
#include "test.h"

enum {
	BASE = 0x10000000, /* one piece of memory for all structures */
	BYTES = 5 << 20,
	/* at these distances: */
	MHEAP = 0,
	MEMSTATS = 0x20000,
	PACER = 0x24000,
	LISTS = 0x25000,
	SPANS = 0x30000, /* mspans, 256 bytes apart */
	CHUNKS = 0x80000,
	INFO = 0x100000, /* heapArenas, 0x20000 (1.21: 0x120000) apart */
	N_SPANS = 256,
	ARENA_PAGES = 8192,
	CHUNK_BYTES = 128,
	CHUNKS_PER_ARENA = 16,
};
#define FIRST 0xc000000000ull /* address of the first arena */
#define PAGE (uint64_t) GS_RT_PAGE
/* The table of heapArenas by number: only the entries that are used are there. */
#define L2 0x7000000000ull
#define NUMBER(addr) (((addr) + (1ull << 47)) / GS_RT_ARENA)

struct heap_world {
	struct gs_rt rt;
	struct gs_memory mem;
	struct gs_go_more_globals more;
	struct gs_rt_heap *heap;
	struct gs_incomplete_list inc;
	struct gs_err err;
	uint8_t *bytes;
	uint64_t number[8]; /* arenas */
	gs_addr info[8];
	uint32_t n_arenas, n_spans;
	uint64_t reads;
	bool gone;
	/* What stands at @lie.at the next @lie.times that it is read. */
	struct {
		gs_addr at;
		uint64_t v;
		uint32_t times;
	} lie;
};

static struct heap_world hw;

static int read_one(struct heap_world *w, struct gs_read *r)
{
	uint8_t *to = r->buf;

	w->reads++;
	if (r->addr >= BASE && r->addr - BASE <= BYTES && BYTES - (r->addr - BASE) >= r->len) {
		memcpy(to, w->bytes + (r->addr - BASE), r->len);
		if (w->lie.times && w->lie.at >= r->addr && w->lie.at + 8 <= r->addr + r->len) {
			memcpy(to + (w->lie.at - r->addr), &w->lie.v, 8);
			w->lie.times--;
		}
		return 0;
	}
	if (r->addr < L2 || r->addr - L2 + r->len > 8ull << 22 || r->len % 8)
		return -GS_E_FAULT;
	memset(to, 0, r->len);
	for (uint32_t i = 0; i < w->n_arenas; i++) {
		uint64_t at = L2 + 8 * w->number[i] - r->addr;

		if (at < r->len)
			memcpy(to + at, &w->info[i], 8);
	}
	return 0;
}

static int readv_world(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct heap_world *w = ctx;

	if (w->gone)
		return gs_fail(err, -GS_E_GONE, 0, "gone");
	for (size_t i = 0; i < n; i++)
		reads[i].result = read_one(w, &reads[i]);
	return 0;
}

static void put(struct heap_world *w, uint64_t at, uint64_t v, size_t n)
{
	assert_true(at + n <= BYTES);
	memcpy(w->bytes + at, &v, n);
}

static uint64_t off(const struct heap_world *w, enum gs_go_field f)
{
	assert_true(gs_go_has(&w->rt.facts.layout, f));
	return (uint64_t)w->rt.facts.layout.offset[f];
}

static void put_slice(struct heap_world *w, uint64_t at, gs_addr ptr, uint64_t n)
{
	put(w, at, ptr, 8);
	put(w, at + 8, n, 8);
	put(w, at + 16, n, 8);
}

static void add_arena(struct heap_world *w, gs_addr start)
{
	bool new = gs_go_has(&w->rt.facts.layout, GS_GO_MHEAP_HEAP_ARENAS);
	uint32_t i = w->n_arenas++;

	w->number[i] = NUMBER(start);
	w->info[i] = BASE + INFO + i * (new ? 0x20000ull : 0x120000ull);
	put(w, LISTS + 8 * i, w->number[i], 8);
	put_slice(w, MHEAP + off(w, new ? GS_GO_MHEAP_HEAP_ARENAS : GS_GO_MHEAP_ALL_ARENAS),
		  BASE + LISTS, w->n_arenas);
}

/* Name the mspan @span for the pages of arena @i from @page on. */
static void name_pages(struct heap_world *w, uint32_t i, uint32_t page, uint32_t n, gs_addr span)
{
	uint64_t spans = w->info[i] - BASE + off(w, GS_GO_HEAP_ARENA_SPANS);

	for (uint32_t k = page; k < page + n && k < ARENA_PAGES; k++)
		put(w, spans + 8 * k, span, 8);
}

static void put_span(struct heap_world *w, uint64_t at, enum gs_go_field f, uint64_t v, size_t n)
{
	put(w, at + off(w, f), v, n);
}

struct span {
	gs_addr start;
	uint32_t pages, class, elem, elems, state;
};

/* @return the distance of the new mspan */
static uint64_t add_span(struct heap_world *w, const struct span *s)
{
	uint64_t at = SPANS + 256ull * w->n_spans++;
	size_t count = w->rt.facts.layout.minor >= 22 ? 2 : 8;

	put_span(w, at, GS_GO_MSPAN_START_ADDR, s->start, 8);
	put_span(w, at, GS_GO_MSPAN_NPAGES, s->pages, 8);
	put_span(w, at, GS_GO_MSPAN_NELEMS, s->elems, count);
	put_span(w, at, GS_GO_MSPAN_FREEINDEX, s->elems / 2, count);
	put_span(w, at, GS_GO_MSPAN_ELEMSIZE, s->elem, 8);
	put_span(w, at, GS_GO_MSPAN_SPANCLASS, s->class, 1);
	put_span(w, at, GS_GO_MSPAN_ALLOC_COUNT, s->elems / 4, 2);
	put_span(w, at, GS_GO_MSPAN_STATE, s->state, 1);
	for (uint32_t i = 0; i < w->n_arenas; i++) {
		gs_addr arena = w->number[i] * GS_RT_ARENA - (1ull << 47);
		gs_addr end = s->start + s->pages * PAGE;
		gs_addr from = s->start > arena ? s->start : arena;
		gs_addr to = end < arena + GS_RT_ARENA ? end : arena + GS_RT_ARENA;

		if (from < to)
			name_pages(w, i, (uint32_t)((from - arena) / PAGE),
				   (uint32_t)((to - from) / PAGE), BASE + at);
	}
	return at;
}

static void init(struct heap_world *w, unsigned int minor)
{
	uint8_t *bytes = calloc(1, BYTES);

	assert_non_null(bytes);
	*w = (struct heap_world){ .bytes = bytes };
	assert_int_equal(gs_go_layout_table(minor, GS_ARCH_AMD64, &w->rt.facts.layout, NULL), 0);
	w->mem = (struct gs_memory){ .readv = readv_world, .ctx = w };
	w->rt.mem = &w->mem;
	w->rt.more = &w->more;
	w->rt.facts.globals.addr[GS_GO_GLOBAL_MHEAP] = BASE + MHEAP;
	w->rt.facts.globals.checked[GS_GO_GLOBAL_MHEAP] = true;
	w->rt.facts.globals.addr[GS_GO_GLOBAL_MEMSTATS] = BASE + MEMSTATS;
	w->rt.facts.globals.addr[GS_GO_GLOBAL_GC_CONTROLLER] = BASE + PACER;
	put(w, off(w, GS_GO_MHEAP_ARENAS), L2, 8);
}

static int setup(void **state)
{
	init(&hw, 27);
	*state = &hw;
	return 0;
}

static int teardown(void **state)
{
	struct heap_world *w = *state;

	gs_rt_heap_free(w->heap);
	free(w->bytes);
	return 0;
}

static int try_read(struct heap_world *w)
{
	w->heap = gs_rt_heap_free(w->heap);
	w->inc = (struct gs_incomplete_list){ 0 };
	return gs_rt_heap_read(&w->rt, &w->heap, &w->inc, &w->err);
}

static void read_heap(struct heap_world *w)
{
	if (try_read(w) < 0)
		fail_msg("%s", w->err.text);
}

static uint64_t missing(const struct heap_world *w, const char *what)
{
	return world_missing(&w->inc, what);
}

static const struct gs_rt_span *find(const struct heap_world *w, gs_addr addr)
{
	return gs_rt_heap_find(gs_rt_heap_index(w->heap), addr);
}

static const struct span small = { FIRST + 8 * PAGE, 1, 5 << 1, 48, 160, 1 };

static void kinds_of_spans(void **state)
{
	const struct span noscan = { FIRST, 1, 2 << 1 | 1, 16, 504, 1 };
	const struct span header = { FIRST + 2 * PAGE, 1, 27 << 1, 576, 14, 1 };
	const struct span stack = { FIRST + 4 * PAGE, 4, 0, 2048, 0, 2 };
	const struct span work = { FIRST + 16 * PAGE, 4, 0, 0, 0, 2 };
	/* over the end of the first arena */
	const struct span large = { FIRST + GS_RT_ARENA - 3 * PAGE, 10, 0, 10 * 8192, 1, 1 };
	struct heap_world *w = *state;
	const struct gs_rt_span *s;
	uint32_t n;

	add_arena(w, FIRST);
	add_arena(w, FIRST + GS_RT_ARENA);
	add_span(w, &large);
	add_span(w, &noscan);
	add_span(w, &work);
	add_span(w, &stack);
	put_span(w, add_span(w, &small), GS_GO_MSPAN_SPECIALS, BASE, 8);
	add_span(w, &header);
	read_heap(w);
	s = gs_rt_heap_spans(w->heap, &n);
	assert_int_equal(n, 6);
	assert_int_equal(s[0].flags, GS_RT_SPAN_NOSCAN);
	assert_int_equal(s[1].flags, GS_RT_SPAN_HEADERS);
	assert_int_equal(s[2].flags, GS_RT_SPAN_STACK);
	assert_int_equal(s[3].flags, GS_RT_SPAN_HEAP_BITMAP | GS_RT_SPAN_SPECIALS);
	assert_int_equal(s[4].flags, 0);
	assert_int_equal(s[5].flags, GS_RT_SPAN_LARGE);
	assert_int_equal(s[3].n_elems, 160);
	assert_int_equal(s[3].free_index, 80);
	assert_int_equal(s[3].alloc_count, 40);
	assert_int_equal(s[3].elem_size, 48);
	/* numbers go by address, and only through spans in use */
	assert_int_equal(s[1].first_object, 504);
	assert_int_equal(s[3].first_object, 504 + 14);
	assert_int_equal(s[5].first_object, 504 + 14 + 160);
	assert_int_equal(gs_rt_heap_slots(w->heap), 504 + 14 + 160 + 1);
	assert_ptr_equal(find(w, FIRST), &s[0]);
	assert_ptr_equal(find(w, FIRST + 7 * PAGE + 1), &s[2]);
	assert_ptr_equal(find(w, FIRST + GS_RT_ARENA - 1), &s[5]);
	assert_ptr_equal(find(w, FIRST + GS_RT_ARENA + 7 * PAGE - 1), &s[5]);
	assert_null(find(w, FIRST + GS_RT_ARENA + 7 * PAGE));
	assert_null(find(w, FIRST + PAGE));
	assert_null(find(w, FIRST - 1));
	assert_null(find(w, FIRST + 2 * GS_RT_ARENA));
	assert_null(find(w, 0));
	assert_null(find(w, UINT64_MAX));
	assert_int_equal(missing(w, "heap_spans_torn"), 0);
	assert_int_equal(missing(w, "heap_arenas_bad"), 0);
}

/* Counts were words up to 1.21, and pointer bitmaps lay in the arena. */
static void old_layout(void **state)
{
	struct heap_world *w = *state;
	const struct gs_rt_span *s;
	uint32_t n;

	free(w->bytes);
	init(w, 19);
	add_arena(w, FIRST);
	add_span(w, &small);
	read_heap(w);
	s = gs_rt_heap_spans(w->heap, &n);
	assert_int_equal(n, 1);
	assert_int_equal(s->n_elems, 160);
	assert_int_equal(s->free_index, 80);
	assert_int_equal(s->flags, 0);
}

static void stale_entries(void **state)
{
	const struct span freed = { FIRST + 20 * PAGE, 4, 0, 0, 0, 0 };
	const struct span moved = { FIRST + 30 * PAGE, 2, 5 << 1, 48, 160, 1 };
	struct heap_world *w = *state;
	uint32_t n;

	add_arena(w, FIRST);
	add_span(w, &small);
	add_span(w, &freed);
	name_pages(w, 0, 40, 3, BASE + add_span(w, &moved)); /* it was there once */
	name_pages(w, 0, 50, 1, 12);                         /* no address */
	name_pages(w, 0, 52, 1, BASE + BYTES);               /* nothing is there */
	read_heap(w);
	gs_rt_heap_spans(w->heap, &n);
	assert_int_equal(n, 2);
	assert_non_null(find(w, FIRST + 31 * PAGE));
	assert_null(find(w, FIRST + 20 * PAGE));
	assert_null(find(w, FIRST + 40 * PAGE));
	assert_int_equal(missing(w, "heap_spans_unreadable"), 1);
	assert_int_equal(missing(w, "heap_spans_torn"), 1);
}

/* Pages that were freed and taken by another span between two reads. */
static void overlapping_spans(void **state)
{
	struct span other = small;
	struct heap_world *w = *state;
	uint32_t n;

	add_arena(w, FIRST);
	put_span(w, add_span(w, &small), GS_GO_MSPAN_NPAGES, 4, 8);
	other.start += 2 * PAGE;
	add_span(w, &other);
	read_heap(w);
	gs_rt_heap_spans(w->heap, &n);
	assert_int_equal(n, 1);
	assert_int_equal(missing(w, "heap_spans_torn"), 1);
	assert_int_equal(find(w, other.start)->start, small.start);
}

/* What does not fit is read again; only what stays is told. */
static void spans_in_motion(void **state)
{
	struct span other = small;
	struct heap_world *w = *state;
	uint64_t at;
	uint32_t n;

	add_arena(w, FIRST);
	at = add_span(w, &small);
	other.start += 2 * PAGE;
	add_span(w, &other);
	for (uint32_t times = 1; times <= 2; times++) {
		w->lie.at = BASE + at + off(w, GS_GO_MSPAN_ELEMSIZE);
		w->lie.v = 1;
		w->lie.times = times;
		read_heap(w);
		gs_rt_heap_spans(w->heap, &n);
		assert_int_equal(n, times == 1 ? 2 : 1);
		assert_int_equal(missing(w, "heap_spans_torn"), times - 1);
	}
	w->lie.at = BASE + at + off(w, GS_GO_MSPAN_NPAGES);
	w->lie.v = 4;
	w->lie.times = 1;
	read_heap(w);
	gs_rt_heap_spans(w->heap, &n);
	assert_int_equal(n, 1);
	assert_int_equal(find(w, other.start)->start, small.start);
	assert_int_equal(missing(w, "heap_spans_torn"), 0);
}

static void impossible_spans(void **state)
{
	static const struct {
		enum gs_go_field f;
		size_t bytes;
		uint64_t v;
	} lies[] = {
		{ GS_GO_MSPAN_NPAGES, 8, 0 },
		{ GS_GO_MSPAN_NPAGES, 8, UINT64_MAX },
		{ GS_GO_MSPAN_START_ADDR, 8, FIRST + 1 },
		{ GS_GO_MSPAN_START_ADDR, 8, 0 },
		{ GS_GO_MSPAN_START_ADDR, 8, UINT64_MAX - (PAGE - 1) },
		{ GS_GO_MSPAN_NPAGES, 8, 1ull << 40 },
		{ GS_GO_MSPAN_ELEMSIZE, 8, 0 },
		{ GS_GO_MSPAN_ELEMSIZE, 8, UINT64_MAX },
		{ GS_GO_MSPAN_ELEMSIZE, 8, 4 },
		{ GS_GO_MSPAN_NELEMS, 2, 0 },
		{ GS_GO_MSPAN_NELEMS, 2, 60000 },
		{ GS_GO_MSPAN_SPANCLASS, 1, 200 },
		{ GS_GO_MSPAN_STATE, 1, 77 },
	};
	struct heap_world *w = *state;
	uint64_t at;
	uint32_t n;

	add_arena(w, FIRST);
	at = add_span(w, &small);
	for (size_t i = 0; i < GS_ARRAY_SIZE(lies); i++) {
		uint8_t saved[256];

		memcpy(saved, w->bytes + at, sizeof(saved));
		put_span(w, at, lies[i].f, lies[i].v, lies[i].bytes);
		read_heap(w);
		gs_rt_heap_spans(w->heap, &n);
		if (n != 0)
			fail_msg("lie %zu is believed", i);
		if (missing(w, "heap_spans_torn") != 1)
			fail_msg("lie %zu is not told", i);
		memcpy(w->bytes + at, saved, sizeof(saved));
	}
	read_heap(w);
	gs_rt_heap_spans(w->heap, &n);
	assert_int_equal(n, 1);
}

/* 2^31 places each: there are numbers for the first span only. */
static void more_places_than_numbers(void **state)
{
	struct span huge = { FIRST, 1 << 21, 1 << 1, 8, 1u << 31, 1 };
	struct heap_world *w = *state;
	const struct gs_rt_span *s;
	uint32_t n;

	free(w->bytes);
	init(w, 21);
	for (unsigned int i = 0; i < 3; i++)
		add_arena(w, FIRST + i * (16ull << 30));
	for (unsigned int i = 0; i < 3; i++, huge.start += 16ull << 30)
		add_span(w, &huge);
	read_heap(w);
	s = gs_rt_heap_spans(w->heap, &n);
	assert_int_equal(n, 3);
	assert_int_equal(s[0].first_object, 0);
	assert_int_equal(s[1].first_object, UINT32_MAX);
	assert_int_equal(s[2].first_object, UINT32_MAX);
	assert_int_equal(gs_rt_heap_slots(w->heap), UINT32_MAX);
}

static void lies_about_arenas(void **state)
{
	struct heap_world *w = *state;
	uint64_t list;
	uint32_t n;

	add_arena(w, FIRST);
	add_arena(w, FIRST + GS_RT_ARENA);
	add_span(w, &small);
	list = off(w, GS_GO_MHEAP_HEAP_ARENAS);
	put_slice(w, list, BASE + LISTS, 1ull << 40);
	assert_int_equal(try_read(w), -GS_E_LIMIT);
	put_slice(w, list, 0x1234, 2);
	assert_int_equal(try_read(w), -GS_E_FAULT);
	put_slice(w, list, BASE + LISTS, 2);

	put(w, LISTS + 8, w->number[0], 8); /* twice the same */
	read_heap(w);
	gs_rt_heap_arenas(w->heap, &n);
	assert_int_equal(n, 1);
	assert_int_equal(missing(w, "heap_arenas_bad"), 1);
	put(w, LISTS + 8, UINT64_MAX, 8);
	read_heap(w);
	assert_int_equal(missing(w, "heap_arenas_bad"), 1);
	put(w, LISTS + 8, w->number[1], 8);

	w->info[1] = w->info[0]; /* two arenas, one structure */
	read_heap(w);
	gs_rt_heap_arenas(w->heap, &n);
	assert_int_equal(n, 1);
	w->info[1] = BASE + BYTES; /* nothing there */
	read_heap(w);
	assert_int_equal(missing(w, "heap_arenas_unreadable"), 1);
	assert_non_null(find(w, small.start));

	w->rt.facts.globals.checked[GS_GO_GLOBAL_MHEAP] = false;
	assert_int_equal(try_read(w), -GS_E_UNSUPPORTED);
	w->rt.facts.globals.checked[GS_GO_GLOBAL_MHEAP] = true;
	w->gone = true;
	assert_int_equal(try_read(w), -GS_E_GONE);
}

/* ---- pages ---- */

/* The chunk's bits: a word of 64 pages each, allocated and scavenged. */
static void put_bits(struct heap_world *w, gs_addr start, uint64_t allocated, uint64_t scavenged)
{
	uint64_t page = (start - FIRST) / PAGE, chunk = page / 512, word = page % 512 / 64;
	uint64_t at =
		CHUNKS + (NUMBER(FIRST) * CHUNKS_PER_ARENA % 8192 + chunk) * CHUNK_BYTES + 8 * word;

	put(w, at, allocated, 8);
	put(w, at + CHUNK_BYTES / 2, scavenged, 8);
}

static void make_pages(struct heap_world *w, gs_addr limit)
{
	uint64_t l1 = NUMBER(FIRST) * CHUNKS_PER_ARENA >> 13;

	assert_true(CHUNKS + 8192 * CHUNK_BYTES <= BYTES);
	put(w, off(w, GS_GO_MHEAP_PAGES_CHUNKS) + 8 * l1, BASE + CHUNKS, 8);
	put(w, LISTS + 0x100, FIRST, 8);
	put(w, LISTS + 0x108, limit, 8);
	put_slice(w, off(w, GS_GO_MHEAP_PAGES_INUSE_RANGES), BASE + LISTS + 0x100, 1);
	for (gs_addr at = FIRST; at < limit; at += 64 * PAGE)
		put_bits(w, at, UINT64_MAX, 0);
}

static void check_range(const struct heap_world *w, uint32_t i, uint64_t page, uint64_t n,
			bool returned, bool cached)
{
	const struct gs_rt_free_range *f;
	uint32_t count;

	f = gs_rt_heap_free_ranges(w->heap, &count);
	assert_true(i < count);
	assert_int_equal(f[i].start, FIRST + page * PAGE);
	assert_int_equal(f[i].bytes, n * PAGE);
	assert_int_equal(f[i].returned, returned);
	assert_int_equal(f[i].cached, cached);
}

static void add_p(struct heap_world *w, gs_addr base, uint64_t cache, uint64_t scavenged)
{
	uint64_t p = LISTS + 0x200;

	w->rt.facts.globals.addr[GS_GO_GLOBAL_ALLP] = BASE + LISTS + 0x180;
	put_slice(w, LISTS + 0x180, BASE + LISTS + 0x1a0, 1);
	put(w, LISTS + 0x1a0, BASE + p, 8);
	put(w, p + off(w, GS_GO_P_PCACHE_BASE), base, 8);
	put(w, p + off(w, GS_GO_P_PCACHE_CACHE), cache, 8);
	put(w, p + off(w, GS_GO_P_PCACHE_SCAV), scavenged, 8);
}

static void free_pages(void **state)
{
	struct heap_world *w = *state;
	uint32_t n;

	add_arena(w, FIRST);
	/* The second chunk was not grown into: its zeros mean nothing. */
	make_pages(w, FIRST + 512 * PAGE);
	put_bits(w, FIRST, ~0x3cull, 0x30);                  /* 2, 3 kept; 4, 5 returned */
	put_bits(w, FIRST + 64 * PAGE, 0, 0);                /* all kept */
	put_bits(w, FIRST + 128 * PAGE, ~0x3ull, 0);         /* 128, 129 */
	put_bits(w, FIRST + 256 * PAGE, UINT64_MAX, 0x7);    /* padding of a random start */
	add_p(w, FIRST + 192 * PAGE, 0x8000000000000003, 2); /* 192 kept, 193 returned, 255 kept */
	read_heap(w);
	check_range(w, 0, 2, 2, false, false);
	check_range(w, 1, 4, 2, true, false);
	check_range(w, 2, 64, 66, false, false);
	check_range(w, 3, 192, 1, false, true);
	check_range(w, 4, 193, 1, true, true);
	check_range(w, 5, 255, 1, false, true);
	check_range(w, 6, 256, 3, true, false);
	gs_rt_heap_free_ranges(w->heap, &n);
	assert_int_equal(n, 7);
}

/* A page in a span and free at once: it changed between two reads. */
static void spans_win(void **state)
{
	const struct span long_one = { FIRST + 70 * PAGE, 30, 0, 30 * 8192, 1, 1 };
	struct heap_world *w = *state;
	uint32_t n;

	add_arena(w, FIRST);
	add_span(w, &small); /* page 8 */
	add_span(w, &long_one);
	make_pages(w, FIRST + 512 * PAGE);
	put_bits(w, FIRST, ~0xffffull, 0x00f0);      /* 0 to 15; 4 to 7 returned */
	put_bits(w, FIRST + 64 * PAGE, ~0x7full, 0); /* 64 to 70 */
	put_bits(w, FIRST + 128 * PAGE, UINT64_MAX, 0);
	add_p(w, FIRST + 64 * PAGE, 3ull << 35, 0); /* 99 and 100 */
	read_heap(w);
	check_range(w, 0, 0, 4, false, false);
	check_range(w, 1, 4, 4, true, false);
	check_range(w, 2, 9, 7, false, false);
	check_range(w, 3, 64, 6, false, false);
	check_range(w, 4, 100, 1, false, true);
	gs_rt_heap_free_ranges(w->heap, &n);
	assert_int_equal(n, 5);
}

/* ---- counters ---- */

static void put_stat(struct heap_world *w, unsigned int set, enum gs_go_field f, uint64_t v)
{
	put(w,
	    MEMSTATS + off(w, GS_GO_MSTATS_HEAP_STATS) + set * off(w, GS_GO_HEAP_STATS_SIZE) +
		    off(w, f),
	    v, 8);
}

/* Each set of deltas may be negative; their sum counts. */
static void counters(void **state)
{
	struct heap_world *w = *state;
	const struct gs_rt_memory_stats *s;

	put_stat(w, 0, GS_GO_HEAP_STATS_COMMITTED, 900000);
	put_stat(w, 1, GS_GO_HEAP_STATS_COMMITTED, (uint64_t)-100000);
	put_stat(w, 2, GS_GO_HEAP_STATS_COMMITTED, 1000);
	put_stat(w, 0, GS_GO_HEAP_STATS_IN_HEAP, 500000);
	put_stat(w, 0, GS_GO_HEAP_STATS_IN_STACKS, 65536);
	put_stat(w, 2, GS_GO_HEAP_STATS_IN_WORK_BUFS, 4096);
	put_stat(w, 1, GS_GO_HEAP_STATS_RELEASED, 8192);
	put_stat(w, 0, GS_GO_HEAP_STATS_LARGE_ALLOC, 70000);
	put_stat(w, 0, GS_GO_HEAP_STATS_LARGE_ALLOC_COUNT, 2);
	put_stat(w, 1, GS_GO_HEAP_STATS_LARGE_FREE, 40000);
	put_stat(w, 1, GS_GO_HEAP_STATS_LARGE_FREE_COUNT, 1);
	put(w, MEMSTATS + off(w, GS_GO_HEAP_STATS_SMALL_ALLOC_COUNT) + 8 * 5, 10, 8); /* 48 bytes */
	put(w, MEMSTATS + off(w, GS_GO_MSTATS_GC_MISC_SYS), 777, 8);
	put(w, PACER + off(w, GS_GO_GC_PERCENT), (uint32_t)-1, 4);
	put(w, PACER + off(w, GS_GO_GC_PERCENT_HEAP_GOAL), UINT64_MAX, 8);
	put(w, PACER + off(w, GS_GO_GC_MEMORY_LIMIT), 100 << 20, 8);
	put(w, PACER + off(w, GS_GO_GC_MAPPED_READY), 60 << 20, 8);
	put(w, PACER + off(w, GS_GO_GC_HEAP_FREE), 10 << 20, 8);
	put(w, PACER + off(w, GS_GO_GC_TOTAL_ALLOC), 90 << 20, 8);
	put(w, PACER + off(w, GS_GO_GC_TOTAL_FREE), 60 << 20, 8);
	read_heap(w);
	s = gs_rt_heap_stats(w->heap);
	assert_int_equal(s->heap_objects, 30000 + 480);
	assert_int_equal(s->objects, 11);
	assert_int_equal(s->heap_unused, 500000 - 30480);
	assert_int_equal(s->heap_free, 801000 - 500000 - 65536 - 4096);
	assert_int_equal(s->metadata_other, 4096 + 777);
	assert_int_equal(s->total, 801000 + 8192 + 777);
	assert_int_equal(s->gc_percent, -1);
	assert_int_equal(s->heap_goal,
			 (80 << 20) - (80 << 20) / 100 * 3); /* beside 20 MB of other memory */
	assert_false(s->has_scavenger);
	assert_int_equal(s->gc_percent_goal, UINT64_MAX);
}

/* ---- damage ---- */

static void check_promises(struct heap_world *w)
{
	const struct gs_rt_span *s;
	const struct gs_rt_free_range *f;
	const struct gs_rt_meta_range *m;
	uint64_t slots = 0;
	gs_addr end = 0;
	uint32_t n;

	s = gs_rt_heap_spans(w->heap, &n);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(s[i].start >= end);
		assert_ptr_equal(find(w, s[i].start), &s[i]);
		end = s[i].start + s[i].n_pages * PAGE;
		if (s[i].state == GS_RT_SPAN_IN_USE) {
			assert_int_equal(s[i].first_object, slots);
			assert_true((uint64_t)s[i].n_elems * s[i].elem_size <= s[i].n_pages * PAGE);
			slots += s[i].n_elems;
		}
	}
	assert_int_equal(gs_rt_heap_slots(w->heap), slots);
	f = gs_rt_heap_free_ranges(w->heap, &n);
	for (uint32_t i = 0, k = 0; i < n; i++, k++) {
		assert_true(i == 0 || f[i].start >= f[i - 1].start + f[i - 1].bytes);
		assert_null(find(w, f[i].start));
	}
	m = gs_rt_heap_meta(w->heap, &n);
	for (uint32_t i = 0; i < n; i++)
		assert_true(m[i].start < m[i].end && (i == 0 || m[i].start >= m[i - 1].end));
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* ---- memory of the runtime's own ---- */

enum { WORK = 0x26000, TRACE = 0x27000, RINGS = 0x28000, BLOCKS = 0x30000000 };

/* Bytes of @kind in [start, end). */
static uint64_t meta_bytes(const struct heap_world *w, enum gs_rt_meta_kind kind, gs_addr start,
			   gs_addr end)
{
	const struct gs_rt_meta_range *m;
	uint64_t sum = 0;
	uint32_t n;

	m = gs_rt_heap_meta(w->heap, &n);
	for (uint32_t i = 0; i < n; i++)
		if (m[i].kind == kind && m[i].start >= start && m[i].end <= end)
			sum += m[i].end - m[i].start;
	return sum;
}

static void add_queue(struct heap_world *w, uint32_t i, gs_addr next, gs_addr ring, uint32_t cap)
{
	uint64_t at = RINGS + 0x80ull * i;

	put(w, at + off(w, GS_GO_SPAN_SPMC_NEXT), next, 8);
	put(w, at + off(w, GS_GO_SPAN_SPMC_RING), ring, 8);
	put(w, at + off(w, GS_GO_SPAN_SPMC_CAP), cap, 4);
}

static void span_queues(void **state)
{
	struct heap_world *w = *state;

	add_arena(w, FIRST);
	w->more.addr[GS_GO_MORE_WORK] = BASE + WORK;
	w->more.checked[GS_GO_MORE_WORK] = true;
	put(w, WORK + off(w, GS_GO_WORK_SPAN_SPMCS), BASE + RINGS, 8);
	add_queue(w, 0, BASE + RINGS + 0x80, BLOCKS, 2048);
	add_queue(w, 1, BASE + RINGS + 0x100, BLOCKS + 0x10000, 512);
	add_queue(w, 2, BASE + RINGS, BLOCKS + 0x20001,
		  512); /* a ring is whole pages; the list is one */
	read_heap(w);
	assert_int_equal(meta_bytes(w, GS_RT_META_OTHER, BLOCKS, BLOCKS + (1 << 20)), 20480);
	add_queue(w, 1, 0xdead, BLOCKS + 0x10000, 513);
	read_heap(w);
	assert_int_equal(meta_bytes(w, GS_RT_META_OTHER, BLOCKS, BLOCKS + (1 << 20)), 16384);
	w->more.checked[GS_GO_MORE_WORK] = false;
	read_heap(w);
	assert_int_equal(meta_bytes(w, GS_RT_META_OTHER, BLOCKS, BLOCKS + (1 << 20)), 0);
}

/* A block of the tracer at @at: next, time or bytes given out, bytes written, where a length stands. */
static void put_block(struct heap_world *w, uint64_t at, gs_addr next, uint64_t b, uint64_t c,
		      uint64_t d)
{
	put(w, at, next, 8);
	put(w, at + 8, b, 8);
	put(w, at + 16, c, 8);
	put(w, at + 24, d, 8);
}

static uint64_t trace_bytes(struct heap_world *w)
{
	read_heap(w);
	return meta_bytes(w, GS_RT_META_OTHER, BASE + CHUNKS, BASE + INFO);
}

static void tracer(void **state)
{
	struct heap_world *w = *state;
	const uint64_t block = 64 << 10, a = CHUNKS, b = CHUNKS + block, c = CHUNKS + 2 * block;

	add_arena(w, FIRST);
	w->more.addr[GS_GO_MORE_TRACE] = BASE + TRACE;
	w->more.checked[GS_GO_MORE_TRACE] = true;
	assert_int_equal(trace_bytes(w), 0);
	put(w, TRACE + 16, BASE + a, 8);           /* empty */
	put_block(w, a, BASE + b, 1 << 30, 17, 5); /* a list of two */
	put_block(w, b, 0, 1 << 30, 0, 0);
	put(w, TRACE + 200, BASE + c, 8); /* a table */
	put_block(w, c, 0, 4000, ~0ull, ~0ull);
	assert_int_equal(trace_bytes(w), 3 * block);
	put_block(w, c, 0, 4001, ~0ull, ~0ull); /* neither */
	assert_int_equal(trace_bytes(w), 2 * block);
	put_block(w, a, BASE + b + 8, 1 << 30, 17, 5);
	assert_int_equal(trace_bytes(w), 0);
	put_block(w, a, BASE + a, 1 << 30, 17, 5); /* a list that never ends */
	assert_int_equal(trace_bytes(w), block);
	put(w, TRACE + 16, BASE + a + 8, 8);
	assert_int_equal(trace_bytes(w), 0);
}

/* Any word of any structure may be anything: no crash, and what comes out keeps its promises. */
static void random_damage(void **state)
{
	struct heap_world *w = *state;
	uint64_t x = 88172645463325252;
	uint8_t *whole = malloc(BYTES);

	assert_non_null(whole);
	add_arena(w, FIRST);
	add_arena(w, FIRST + GS_RT_ARENA);
	make_pages(w, FIRST + 2 * GS_RT_ARENA);
	for (uint32_t i = 0; i < 200; i++) {
		struct span s = small;

		s.start = FIRST + (i * 81ull) * PAGE;
		s.pages = 1 + i % 4;
		s.state = i % 5 ? 1 : 2;
		add_span(w, &s);
	}
	w->more = (struct gs_go_more_globals){
		.addr = { [GS_GO_MORE_PERSISTENT_CHUNKS] = BASE + LISTS + 0x800,
			  [GS_GO_MORE_GC_BITS_ARENAS] = BASE + LISTS + 0x810,
			  [GS_GO_MORE_BUCKHASH] = BASE + LISTS + 0x840 },
		.checked = { [GS_GO_MORE_PERSISTENT_CHUNKS] = true,
			     [GS_GO_MORE_GC_BITS_ARENAS] = true,
			     [GS_GO_MORE_BUCKHASH] = true },
	};
	memcpy(whole, w->bytes, BYTES);
	for (unsigned int round = 0; round < 300; round++) {
		static const uint32_t part[][2] = { { MHEAP, 0x17000 }, { LISTS, 0x1000 },
						    { SPANS, 0xd000 },  { INFO, 0x11000 },
						    { CHUNKS, 0x2000 }, { MEMSTATS, 0x5000 } };

		memcpy(w->bytes, whole, BYTES);
		for (unsigned int k = 0; k < 1u << round % 9; k++) {
			const uint32_t *p = part[next_random(&x) % GS_ARRAY_SIZE(part)];
			uint64_t v = next_random(&x);
			const uint64_t values[] = { 0,
						    v,
						    UINT64_MAX,
						    BASE + v % BYTES / 8 * 8,
						    FIRST + v % GS_RT_ARENA,
						    v % 4096 };

			put(w, p[0] + next_random(&x) % p[1] / 8 * 8,
			    values[next_random(&x) % GS_ARRAY_SIZE(values)], 8);
		}
		if (try_read(w) == 0)
			check_promises(w);
	}
	free(whole);
}

/* ---- memory profile ---- */

struct profile_world {
	struct gs_world world;
	struct gs_go_more_globals more;
	uint64_t allocs, frees, bytes;
	uint32_t n;
};

enum { BUCKETS = 0x2c000000, BUCKET_VARS = 0x2d000000 };

static void add_bucket(struct profile_world *p, uint32_t i, gs_addr next, uint64_t active,
		       uint64_t future)
{
	const struct gs_go_layout *l = &p->world.layout;
	gs_addr at = BUCKETS + 0x200 * i, rec;

	world_put64(&p->world, at + (gs_addr)l->offset[GS_GO_BUCKET_ALLNEXT], next);
	world_put64(&p->world, at + (gs_addr)l->offset[GS_GO_BUCKET_TYP], 1);
	world_put64(&p->world, at + (gs_addr)l->offset[GS_GO_BUCKET_OBJECT_SIZE], 100);
	world_put64(&p->world, at + (gs_addr)l->offset[GS_GO_BUCKET_NSTK], 2);
	world_put64(&p->world, at + 48, world_pc(&p->world, WORLD_WORKER, 0x10));
	world_put64(&p->world, at + 56, world_pc(&p->world, WORLD_MAIN, 0x20));
	rec = at + 64;
	world_put64(&p->world, rec, active);
	world_put64(&p->world, rec + 8, active / 2);
	world_put64(&p->world, rec + (gs_addr)l->offset[GS_GO_MEM_RECORD_FUTURE], future);
}

static int count_record(void *ctx, const struct gs_rt_mem_record *r)
{
	struct profile_world *p = ctx;

	p->n++;
	p->allocs += r->allocs;
	p->frees += r->frees;
	p->bytes += r->alloc_bytes;
	assert_int_equal(r->object_size, 100);
	assert_true(r->stack->n_frames >= 1);
	assert_string_equal(r->stack->frames[0].function, "main.worker");
	return p->n == 1000 ? 7 : 0;
}

static void open_profile(struct profile_world *p)
{
	uint8_t zeros[0x10000] = { 0 };

	*p = (struct profile_world){ 0 };
	world_init(&p->world, 27, "go1.27.3");
	world_add_parked(&p->world, WORLD_WORKER);
	world_put(&p->world, BUCKETS, zeros, sizeof(zeros));
	world_put64(&p->world, BUCKET_VARS, BUCKETS);
	world_put64(&p->world, BUCKET_VARS + 8, 512 << 10);
	world_open_rt(&p->world);
	p->more.addr[GS_GO_MORE_MBUCKETS] = BUCKET_VARS;
	p->more.checked[GS_GO_MORE_MBUCKETS] = true;
	p->more.addr[GS_GO_MORE_MEM_PROFILE_RATE] = BUCKET_VARS + 8;
	p->more.checked[GS_GO_MORE_MEM_PROFILE_RATE] = true;
	p->world.rt->more = &p->more;
}

static int read_profile(struct profile_world *p, uint64_t *ret_cut)
{
	struct gs_incomplete_list inc = { 0 };
	struct gs_err err;
	uint64_t rate;
	int r;

	p->n = 0;
	p->allocs = p->frees = p->bytes = 0;
	r = gs_rt_mem_profile(p->world.rt, count_record, p, &rate, &inc, &err);
	*ret_cut = inc.n ? inc.item[0].count : 0;
	return r;
}

static void profiles(void **state)
{
	struct profile_world p;
	uint64_t cut;

	(void)state;
	open_profile(&p);
	/* No collection yet: everything counts. */
	add_bucket(&p, 0, BUCKETS + 0x200, 0, 6);
	add_bucket(&p, 1, 0, 0, 4);
	assert_int_equal(read_profile(&p, &cut), 0);
	assert_int_equal(p.allocs, 10);
	assert_int_equal(p.n, 2);
	/* From then on, what the last collection published. */
	add_bucket(&p, 0, BUCKETS + 0x200, 20, 6);
	assert_int_equal(read_profile(&p, &cut), 0);
	assert_int_equal(p.allocs, 20);
	assert_int_equal(p.frees, 10);
	assert_int_equal(p.bytes, 2000);
	assert_int_equal(p.n, 1);
	assert_int_equal(cut, 0);
	/* A circle, a pointer to nowhere, and what is no bucket. */
	add_bucket(&p, 1, BUCKETS, 2, 0);
	assert_int_equal(read_profile(&p, &cut), 0);
	assert_true(p.n >= 2 && p.n < 10);
	add_bucket(&p, 1, 0x123456789000, 2, 0);
	assert_int_equal(read_profile(&p, &cut), 0);
	assert_int_equal(p.n, 2);
	assert_int_equal(cut, 1);
	world_put64(&p.world, BUCKETS + (gs_addr)p.world.layout.offset[GS_GO_BUCKET_NSTK], 1 << 20);
	assert_int_equal(read_profile(&p, &cut), 0);
	assert_int_equal(p.n, 0);
	assert_int_equal(cut, 1);
	/* Switched off. */
	world_put64(&p.world, BUCKET_VARS, 0);
	world_put64(&p.world, BUCKET_VARS + 8, 0);
	assert_int_equal(read_profile(&p, &cut), 1);
	p.world.rt->more = NULL;
	world_deinit(&p.world);
}

static void kind_names(void **state)
{
	(void)state;
	assert_string_equal(gs_rt_meta_kind_name(GS_RT_META_ARENAS), "arenas");
	assert_string_equal(gs_rt_meta_kind_name(GS_RT_META_OTHER), "other");
	assert_string_equal(gs_rt_meta_kind_name(GS_RT_META_KINDS), "?");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(kinds_of_spans),
		TEST(old_layout),
		TEST(stale_entries),
		TEST(overlapping_spans),
		TEST(spans_in_motion),
		TEST(span_queues),
		TEST(tracer),
		TEST(impossible_spans),
		TEST(more_places_than_numbers),
		TEST(lies_about_arenas),
		TEST(free_pages),
		TEST(spans_win),
		TEST(counters),
		TEST(random_damage),
		cmocka_unit_test(profiles),
		cmocka_unit_test(kind_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
