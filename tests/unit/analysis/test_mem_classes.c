/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Who owns which memory: claims that overlap, a made-up page heap against runs of present pages, items, and what looks like
 * malloc's structures or claims to. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "analysis/mem_private.h"
#include "runtime/rt_heap_private.h"
#include "target/fake.h"

#define KB 1024ull
#define MB (1024 * KB)

/* ---- claims ---- */

static void check_sorted(const struct gs__claims *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		assert_true(c->v[i].start < c->v[i].end);
		assert_true(i == 0 || c->v[i - 1].end <= c->v[i].start);
	}
}

static unsigned int class_at(const struct gs__claims *c, gs_addr addr)
{
	uint32_t i = gs__claims_from(c, addr);

	return i < c->n && c->v[i].start <= addr ? c->v[i].class : 99;
}

static void test_claims(void **state)
{
	struct gs__claims c = { 0 };
	struct gs_err err;

	(void)state;
	gs_assert_ok(gs__claim_add(&c, 0x5000, 0x9000, GS_MEM_LIBRARIES, RANK_MODULE, 0, &err),
		     &err);
	gs_assert_ok(gs__claim_add(&c, 0x1000, 0x3000, GS_MEM_TEXT, RANK_MODULE, 0, &err), &err);
	gs_assert_ok(gs__claim_add(&c, 0x2000, 0x4000, GS_MEM_C_LARGE, RANK_MALLOC, 0, &err), &err);
	gs_assert_ok(gs__claim_add(&c, 0x8000, 0xa000, GS_MEM_RT_ARENAS, RANK_RUNTIME, 0, &err),
		     &err);
	gs_assert_ok(gs__claim_add(&c, 0x8000, 0x8800, GS_MEM_C_HEAP, RANK_MALLOC, 0, &err), &err);
	gs_assert_ok(gs__claim_add(&c, 0xb000, 0xb000, GS_MEM_C_HEAP, RANK_MALLOC, 0, &err), &err);
	gs__claims_settle(&c);
	check_sorted(&c);
	assert_int_equal(class_at(&c, 0x0fff), 99);
	assert_int_equal(class_at(&c, 0x1000), GS_MEM_TEXT);
	assert_int_equal(class_at(&c, 0x2fff), GS_MEM_TEXT);
	assert_int_equal(class_at(&c, 0x3000), GS_MEM_C_LARGE);
	assert_int_equal(class_at(&c, 0x4000), 99);
	assert_int_equal(class_at(&c, 0x7fff), GS_MEM_LIBRARIES);
	assert_int_equal(class_at(&c, 0x8000), GS_MEM_RT_ARENAS);
	assert_int_equal(class_at(&c, 0x9fff), GS_MEM_RT_ARENAS);
	assert_int_equal(class_at(&c, 0xa000), 99);
	free(c.v);
}

/* Foreign ranges may overlap as they like: what remains is sorted, apart, and inside of what was claimed. */
static void test_claims_random(void **state)
{
	static uint8_t claimed[4096], found[4096];
	uint32_t seed = 12345;
	struct gs_err err;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct gs__claims c = { 0 };

		memset(claimed, 0, sizeof(claimed));
		memset(found, 0, sizeof(found));
		for (int i = 0; i < 40; i++) {
			uint32_t start, len;

			seed = seed * 1664525 + 1013904223;
			start = (seed >> 8) % 4000;
			len = (seed >> 20) % 90;
			memset(claimed + start, 1, len);
			gs_assert_ok(
				gs__claim_add(&c, start, start + len, 1, (seed >> 4) % 5, 0, &err),
				&err);
		}
		gs__claims_settle(&c);
		check_sorted(&c);
		for (uint32_t i = 0; i < c.n; i++)
			memset(found + c.v[i].start, 1, c.v[i].end - c.v[i].start);
		for (int i = 0; i < 4096; i++)
			assert_true(!found[i] || claimed[i]);
		free(c.v);
	}
}

/* ---- items ---- */

static void test_items(void **state)
{
	struct gs_memory_look l = { .arena = gs_arena_new(0), .options = { .items = 3 } };
	char name[32];

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		uint32_t item;

		snprintf(name, sizeof(name), "kind %u", (unsigned int)(i % 100));
		item = gs__item(&l, i % 2 ? GS_MEM_FILES : GS_MEM_SHARED, name, NULL, i);
		gs__item_more(&l, item);
		gs__item_count(&l, item, 10, i % 100, 0);
	}
	assert_int_equal(l.items.n, 100);
	gs__items_finish(&l);
	assert_int_equal(l.r.n_items, 6); // three of each class, largest first
	assert_string_equal(l.r.items[0].name, "kind 99");
	assert_int_equal(l.r.items[0].class, GS_MEM_FILES);
	assert_int_equal(l.r.items[0].count, 10);
	assert_int_equal(l.r.items[0].bytes, 100);
	assert_int_equal(l.r.items[0].resident_bytes, 990);
	assert_string_equal(l.r.items[3].name, "kind 98");
	assert_int_equal(gs__item(&l, GS_MEM_FILES, "late", NULL, 0), 0);
	free(l.items.v);
	free(l.items.slot);
	gs_arena_free(l.arena);
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 bytes" },
		{ 512, "512 bytes" },
		{ 4096, "4 KiB" },
		{ 1536, "1.5 KiB" },
		{ 64 * MB, "64 MiB" },
		{ 212 * MB + 300 * KB, "212 MiB" },
		{ 1024 * MB - 1, "1.0 GiB" },
		{ UINT64_MAX, "16777216 TiB" },
	};
	char buf[32];

	(void)state;
	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++)
		assert_string_equal(gs__mem_size(cases[i].bytes, buf, sizeof(buf)), cases[i].text);
}

/* ---- the Go heap ---- */

#define ARENA 0xc000000000ull
#define PAGE 8192ull

static struct gs_rt_span a_span(uint64_t page, uint32_t pages, uint8_t state, uint8_t flags,
				uint64_t elem, uint32_t elems, uint32_t used)
{
	return (struct gs_rt_span){ .start = ARENA + page * PAGE,
				    .elem_size = elem,
				    .n_pages = pages,
				    .n_elems = elems,
				    .alloc_count = used,
				    .spanclass = elems > 1 ? 20 : 0,
				    .state = state,
				    .flags = flags };
}

struct made_heap {
	struct gs_rt_heap heap;
	struct gs_rt rt;
	struct gs_go_layout layout;
	struct gs_memory mem;
	struct gs__heap_arena listed;
	uint64_t asked_page; /* its span is … */
	uint8_t asked[512];  /* … this one; no other page has one */
	struct gs_memory_look look;
	struct gs_rt_span span[5];
	struct gs_rt_free_range range[3];
	struct gs__stack_range stack[2];
	gs_addr arena;
	uint32_t page[8192];
	uint32_t *pages[1];
};

enum { INFO = 0x10000, MSPAN = 0x1000 };

/* What is read when a page is asked about. */
static int read_asked(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct made_heap *m = (struct made_heap *)ctx;
	uint64_t spans = INFO + (uint64_t)m->layout.offset[GS_GO_HEAP_ARENA_SPANS];

	(void)err;
	for (size_t i = 0; i < n; i++) {
		uint64_t mspan = m->asked_page && reads[i].addr == spans + 8 * m->asked_page ? MSPAN
											     : 0;

		reads[i].result = m->asked_page ? 0 : -GS_E_FAULT;
		if (reads[i].addr == MSPAN)
			memcpy(reads[i].buf, m->asked, reads[i].len);
		else
			memcpy(reads[i].buf, &mspan, 8);
	}
	return 0;
}

/* Pages: 0 small objects, half used; 1..4 a large object; 5..8 stacks; 9 work buffers; 10..13 free; 14..17 returned;
 * 18 small objects, all used. */
static void make_heap(struct made_heap *m)
{
	*m = (struct made_heap){
		.span = { a_span(0, 1, GS_RT_SPAN_IN_USE, 0, 512, 16, 8),
			  a_span(1, 4, GS_RT_SPAN_IN_USE, GS_RT_SPAN_LARGE, 4 * PAGE, 1, 1),
			  a_span(5, 4, GS_RT_SPAN_MANUAL, GS_RT_SPAN_STACK, 0, 0, 0),
			  a_span(9, 1, GS_RT_SPAN_MANUAL, 0, 0, 0, 0),
			  a_span(18, 1, GS_RT_SPAN_IN_USE, 0, 512, 16, 16) },
		.range = { { ARENA + 10 * PAGE, 4 * PAGE, false, false },
			   { ARENA + 14 * PAGE, 4 * PAGE, true, false } },
		.stack = { { ARENA + 5 * PAGE, ARENA + 5 * PAGE + 2048 },
			   { ARENA + 6 * PAGE, ARENA + 7 * PAGE } },
		.arena = ARENA,
	};
	memset(m->page, 0xff, sizeof(m->page));
	for (uint32_t s = 0; s < 5; s++)
		for (uint32_t i = 0; i < m->span[s].n_pages; i++)
			m->page[(m->span[s].start - ARENA) / PAGE + i] = s;
	m->pages[0] = m->page;
	m->heap.span = m->span;
	m->heap.n_spans = 5;
	m->heap.range = m->range;
	m->heap.n_ranges = 2;
	m->heap.arena_start = &m->arena;
	m->heap.n_arenas = 1;
	m->heap.page = m->pages;
	m->heap.index = (struct gs_rt_page_index){ .first_arena = ARENA / GS_RT_ARENA,
						   .n_arenas = 1,
						   .arena = (const uint32_t *const *)m->pages,
						   .span = m->span };
	m->heap.stats.heap_marked = 8 * KB;
	assert_int_equal(gs_go_layout_table(27, GS_ARCH_AMD64, &m->layout, NULL), 0);
	m->mem = (struct gs_memory){ .readv = read_asked, .ctx = m };
	m->rt.mem = &m->mem;
	m->heap.rt = &m->rt;
	m->heap.layout = &m->layout;
	m->heap.arena_base = 1ull << 47;
	m->listed = (struct gs__heap_arena){ (ARENA + (1ull << 47)) / GS_RT_ARENA, INFO };
	m->heap.arena = &m->listed;
	m->look.heap = &m->heap;
	m->look.arena = gs_arena_new(0);
	m->look.stack = m->stack;
	m->look.n_stacks = 2;
	m->look.heap_mappings = 1;
	m->look.r.rss_bytes = 100 * MB; // so that little is worth no second reading
}

static void end_heap(struct made_heap *m)
{
	free(m->look.items.v);
	free(m->look.items.slot);
	gs_arena_free(m->look.arena);
}

static uint64_t res(const struct made_heap *m, enum gs_mem_class_id c)
{
	return m->look.r.class[c].resident_bytes;
}

static void test_heap_all_present(void **state)
{
	struct made_heap m;
	struct gs__heap_walk w;

	(void)state;
	make_heap(&m);
	m.look.heap_lazy_bytes = 3 * PAGE;
	gs__heap_begin(&w, &m.look);
	gs__heap_resident(&w, ARENA, ARENA + 20 * PAGE, false);
	gs__heap_end(&w);
	// Objects: 4 KB, the large one of 32 KB, 8 KB; 8 KB of these 44 KB were live.
	assert_int_equal(res(&m, GS_MEM_HEAP_LIVE), 8 * KB);
	assert_int_equal(res(&m, GS_MEM_HEAP_NEW), 36 * KB);
	assert_int_equal(res(&m, GS_MEM_HEAP_UNUSED), 4 * KB);
	assert_int_equal(res(&m, GS_MEM_STACKS), 2048 + PAGE);
	assert_int_equal(res(&m, GS_MEM_STACKS_FREE), 4 * PAGE - 2048 - PAGE);
	assert_int_equal(res(&m, GS_MEM_GC_WORK), PAGE);
	assert_int_equal(res(&m, GS_MEM_HEAP_FREE), 4 * PAGE);
	assert_int_equal(res(&m, GS_MEM_HEAP_LAZY), 3 * PAGE);
	assert_int_equal(res(&m, GS_MEM_HEAP_RETURNED), PAGE);
	assert_int_equal(res(&m, GS_MEM_UNEXPLAINED), PAGE); // page 19 is nobody's
	assert_int_equal(m.look.r.class[GS_MEM_HEAP_RESERVED].bytes, 64 * MB - 19 * PAGE);
	assert_int_equal(m.look.r.class[GS_MEM_STACKS].bytes, 2048 + PAGE);
	end_heap(&m);
}

static void test_heap_in_pieces(void **state)
{
	struct made_heap m, n;
	struct gs__heap_walk w;

	(void)state;
	// However the runs are cut, the sums are the same.
	make_heap(&m);
	gs__heap_begin(&w, &m.look);
	gs__heap_resident(&w, ARENA, ARENA + 20 * PAGE, false);
	gs__heap_end(&w);
	make_heap(&n);
	gs__heap_begin(&w, &n.look);
	for (uint64_t i = 0; i < 40; i++)
		gs__heap_resident(&w, ARENA + i * 4096, ARENA + (i + 1) * 4096, false);
	gs__heap_end(&w);
	for (unsigned int c = 0; c < GS_MEM_CLASS_COUNT; c++)
		assert_int_equal(m.look.r.class[c].resident_bytes,
				 n.look.r.class[c].resident_bytes);
	end_heap(&m);
	end_heap(&n);
}

static void test_heap_sparse(void **state)
{
	struct made_heap m;
	struct gs__heap_walk w;

	(void)state;
	make_heap(&m);
	gs__heap_begin(&w, &m.look);
	// Half of the small span is present: objects stand in front. One page of the large object.
	gs__heap_resident(&w, ARENA, ARENA + 4096, false);
	gs__heap_resident(&w, ARENA + 2 * PAGE, ARENA + 3 * PAGE, false);
	// A huge page over returned pages and address space that was never used.
	gs__heap_resident(&w, ARENA + 17 * PAGE, ARENA + 18 * PAGE, true);
	gs__heap_resident(&w, ARENA + 19 * PAGE, ARENA + 30 * PAGE, true);
	gs__heap_end(&w);
	assert_int_equal(res(&m, GS_MEM_HEAP_UNUSED), 0);
	assert_int_equal(res(&m, GS_MEM_HEAP_LIVE) + res(&m, GS_MEM_HEAP_NEW), 4096 + PAGE);
	assert_int_equal(res(&m, GS_MEM_HEAP_RETURNED), PAGE);
	assert_int_equal(m.look.r.class[GS_MEM_HEAP_RETURNED].huge_bytes, PAGE);
	assert_int_equal(res(&m, GS_MEM_HEAP_RESERVED), 11 * PAGE);
	assert_int_equal(res(&m, GS_MEM_UNEXPLAINED), 0);
	end_heap(&m);
}

/* Numbers that a torn span may show. */
/* Pages that nobody owned when the heap was read are asked about. */
static void test_heap_asked(void **state)
{
	struct gs__heap_walk w;
	struct made_heap m;

	(void)state;
	for (int is = 0; is < 4; is++) {
		make_heap(&m);
		gs__heap_begin(&w, &m.look);
		gs__heap_resident(&w, ARENA + 20 * PAGE, ARENA + 24 * PAGE, false);
		m.asked_page = is ? 21 : 0; // in a span of four pages; 0: nothing can be read
		memcpy(m.asked + m.layout.offset[GS_GO_MSPAN_START_ADDR],
		       &(uint64_t){ ARENA + 20 * PAGE }, 8);
		m.asked[m.layout.offset[GS_GO_MSPAN_NPAGES]] = is == 2 ? 1 : 3; // a stale entry
		m.asked[m.layout.offset[GS_GO_MSPAN_STATE]] = is == 3 ? GS_RT_SPAN_MANUAL
								      : GS_RT_SPAN_IN_USE;
		memcpy(m.asked + m.layout.offset[GS_GO_MSPAN_ELEMSIZE], &(uint64_t){ PAGE }, 8);
		m.asked[m.layout.offset[GS_GO_MSPAN_ALLOC_COUNT]] = 3;
		gs__heap_end(&w);
		assert_int_equal(res(&m, GS_MEM_UNEXPLAINED), is ? 0 : 4 * PAGE);
		assert_int_equal(res(&m, GS_MEM_HEAP_NEW), is == 1 ? 2 * PAGE : 0);
		assert_int_equal(res(&m, GS_MEM_STACKS), is == 3 ? 2 * PAGE : 0);
		assert_int_equal(res(&m, GS_MEM_HEAP_FREE), is == 0   ? 0
							    : is == 2 ? 4 * PAGE
								      : 2 * PAGE);
		end_heap(&m);
	}
}

static void test_heap_absurd(void **state)
{
	struct made_heap m;
	struct gs__heap_walk w;
	uint64_t sum = 0;

	(void)state;
	make_heap(&m);
	m.span[0].alloc_count = UINT32_MAX;
	m.span[0].elem_size = UINT64_MAX / UINT32_MAX;
	m.span[4].elem_size = UINT64_MAX;
	m.heap.stats.heap_marked = UINT64_MAX;
	m.stack[1] = (struct gs__stack_range){ ARENA + 6 * PAGE, ARENA + 4000 * PAGE };
	gs__heap_begin(&w, &m.look);
	gs__heap_resident(&w, ARENA, ARENA + 20 * PAGE, false);
	gs__heap_end(&w);
	for (unsigned int c = 0; c < GS_MEM_CLASS_COUNT; c++)
		sum += m.look.r.class[c].resident_bytes;
	assert_int_equal(sum, 20 * PAGE);
	end_heap(&m);
}

/* ---- malloc and threads ---- */

#define AT 0x7f0000000000ull /* a multiple of 64 MB */

struct made_c {
	struct gs_memory_look look;
	struct gs_vma vma[4];
	struct gs_target *target;
};

static void make_c(struct made_c *m, uint32_t n, const struct gs_vma *vma)
{
	struct gs_err err;

	*m = (struct made_c){ .look = { .vma = m->vma, .n_vmas = n, .arena = gs_arena_new(0) } };
	memcpy(m->vma, vma, n * sizeof(*vma));
	gs_assert_ok(gs_target_fake_new(GS_ARCH_AMD64, &m->target, &err), &err);
	m->look.target = m->target;
}

static void put(struct made_c *m, gs_addr at, const void *bytes, size_t len)
{
	struct gs_err err;

	gs_assert_ok(gs_target_fake_map(m->target, at, bytes, len, &err), &err);
}

static void put_words(struct made_c *m, gs_addr at, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	uint64_t w[4] = { a, b, c, d };

	put(m, at, w, sizeof(w));
}

static void end_c(struct made_c *m)
{
	gs_target_free(m->target);
	free(m->look.claims.v);
	free(m->look.items.v);
	free(m->look.items.slot);
	gs_arena_free(m->look.arena);
}

static struct gs_vma a_vma(gs_addr start, gs_addr end, uint8_t prot)
{
	return (struct gs_vma){ .map = { .start = start, .end = end, .prot = prot, .path = "" },
				.anon_name = "" };
}

#define RW (GS_IMAGE_READ | GS_IMAGE_WRITE)

static uint64_t claimed(const struct made_c *m, unsigned int class)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < m->look.claims.n; i++)
		if (m->look.claims.v[i].class == class)
			sum += m->look.claims.v[i].end - m->look.claims.v[i].start;
	return sum;
}

static void test_chunks(void **state)
{
	const struct gs_vma v[] = { a_vma(AT + 4096, AT + 4096 + 40 * MB, RW) };
	gs_addr at = AT + 4096;
	struct gs_err err;
	struct made_c m;

	(void)state;
	make_c(&m, 1, v);
	// 100 alike, then one of 1 MB, then something else.
	for (int i = 0; i < 100; i++, at += 132 * KB)
		put_words(&m, at, 0, (132 * KB) | 2, 0, 0);
	put_words(&m, at, 0, MB | 2, 0, 0);
	put_words(&m, at + MB, 0x1234, 0x5678, 0, 0);
	gs_assert_ok(gs__claims_malloc(&m.look, &err), &err);
	assert_int_equal(claimed(&m, GS_MEM_C_LARGE), 100 * 132 * KB + MB);
	assert_int_equal(m.look.items.n, 2);
	assert_int_equal(m.look.items.v[0].count, 100);
	end_c(&m);
}

static void test_chunks_hostile(void **state)
{
	static const uint64_t bad[][2] = {
		{ 0, 2 },
		{ 0, (MB) | 3 },
		{ 0, 3 * MB },
		{ 8, MB | 2 },
		{ 0, (2 * MB) | 2 },
		{ 0, UINT64_MAX },
		{ 0, (UINT64_MAX - 7) | 2 },
		{ 0, 4104 | 2 },
		{ 0, (0ull - MB) | 2 },
	};
	const struct gs_vma v[] = { a_vma(AT + 4096, AT + 4096 + MB, RW) };
	struct gs_err err;

	(void)state;
	for (size_t i = 0; i < GS_ARRAY_SIZE(bad); i++) {
		struct made_c m;

		make_c(&m, 1, v);
		put_words(&m, AT + 4096, bad[i][0], bad[i][1], 0, 0);
		gs_assert_ok(gs__claims_malloc(&m.look, &err), &err);
		assert_int_equal(claimed(&m, GS_MEM_C_LARGE), 0);
		end_c(&m);
	}
}

static void test_arenas(void **state)
{
	// A heap of an arena with its rest, one that goes on in another, and one that lies.
	const struct gs_vma v[] = { a_vma(AT, AT + MB, RW), a_vma(AT + MB, AT + 64 * MB, 0),
				    a_vma(AT + 64 * MB, AT + 66 * MB, RW),
				    a_vma(AT + 128 * MB, AT + 130 * MB, RW) };
	struct gs_err err;
	struct made_c m;

	(void)state;
	make_c(&m, 4, v);
	put_words(&m, AT, AT + 0x30, 0, MB, MB);
	put_words(&m, AT + 64 * MB, AT + 0x30, AT, MB, 2 * MB);
	put_words(&m, AT + 128 * MB, AT + 128 * MB + 0x30, 0, 3 * MB,
		  2 * MB); // used more than it has
	gs_assert_ok(gs__claims_malloc(&m.look, &err), &err);
	assert_int_equal(claimed(&m, GS_MEM_C_ARENAS), 66 * MB);
	assert_int_equal(m.look.items.v[0].count, 2);
	end_c(&m);
}

static void test_stacks(void **state)
{
	const struct gs_vma v[] = { a_vma(AT + 4096, AT + 8192, 0), a_vma(AT + 8192, AT + MB, RW),
				    a_vma(AT + 2 * MB, AT + 2 * MB + 4096, 0),
				    a_vma(AT + 2 * MB + 4096, AT + 3 * MB, RW) };
	const struct gs_thread threads[] = { { .tid = 4711, .ns_tid = 7 } };
	uint64_t top[512] = { 0 };
	gs_addr tcb = AT + MB - 4096 + 64;
	struct gs_err err;
	struct made_c m;

	(void)state;
	make_c(&m, 4, v);
	gs_assert_ok(gs_target_fake_threads(m.target, threads, 1, &err), &err);
	top[8] = top[10] = tcb;
	top[8 + 90] = 7; // its number inside of its namespace
	put(&m, AT + MB - 4096, top, sizeof(top));
	// A pointer to itself is not enough.
	memset(top, 0, sizeof(top));
	top[1] = AT + 3 * MB - 4096 + 8;
	put(&m, AT + 3 * MB - 4096, top, sizeof(top));
	gs_assert_ok(gs__claims_malloc(&m.look, &err), &err);
	assert_int_equal(claimed(&m, GS_MEM_THREAD_STACKS), MB - 4096); // with its guard page
	end_c(&m);
}

/* ---- musl ---- */

#define SECRET 0x1234567890abcdefull

/* The context in a program's data, one area of two groups, a block, and one that lies in another: a page of words each. */
struct made_musl {
	uint64_t context[512], area[512], group[4][512];
};
enum { DATA_AT = 0x10000, AREA_AT = 0x20000, META_WORDS = 5 };

static void make_musl(struct made_musl *x)
{
	static const uint64_t pages[4] = { 3, 1, 8, 0 }, class[4] = { 2, 12, 63, 5 };

	memset(x, 0, sizeof(*x));
	x->context[100] = SECRET;
	x->context[101] = 1;
	x->context[107] = x->context[108] = AREA_AT;
	x->area[0] = SECRET;
	x->area[2] = 4;
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t *meta = x->area + 3 + i * META_WORDS;

		meta[2] = AT + i * MB;
		meta[4] = pages[i] << 12 | class[i] << 6 | 31;
		x->group[i][0] = AREA_AT + 24 + i * META_WORDS * 8;
	}
}

static void claim_musl(struct made_c *m, const struct made_musl *x)
{
	struct gs_vma v[] = { a_vma(DATA_AT, DATA_AT + 4096, RW),
			      a_vma(AREA_AT, AREA_AT + 4096, RW), a_vma(AT, AT + 4 * MB, RW) };
	struct gs_err err;

	v[0].map.path = "/opt/app";
	v[1].map.path = "[heap]";
	make_c(m, 3, v);
	put(m, DATA_AT, x->context, 4096);
	put(m, AREA_AT, x->area, 4096);
	for (uint64_t i = 0; i < 4; i++)
		put(m, AT + i * MB, x->group[i], 4096);
	gs_assert_ok(gs__claims_malloc(&m->look, &err), &err);
}

static void test_musl(void **state)
{
	struct made_musl x;
	struct made_c m;

	(void)state;
	make_musl(&x);
	claim_musl(&m, &x);
	assert_int_equal(claimed(&m, GS_MEM_C_LARGE), 8 * 4096);
	assert_int_equal(claimed(&m, GS_MEM_C_HEAP), (3 + 1 + 1) * 4096); // with the area
	end_c(&m);
	// Where the size of pages is no constant of the library it stands there too.
	memmove(&x.context[102], &x.context[101], 8 * 10);
	x.context[101] = 4096;
	claim_musl(&m, &x);
	assert_int_equal(claimed(&m, GS_MEM_C_LARGE), 8 * 4096);
	end_c(&m);
}

static void test_musl_hostile(void **state)
{
	struct made_musl x;
	struct made_c m;

	(void)state;
	make_musl(&x);
	x.area[1] = AREA_AT;          // a list that goes round
	x.area[2] = UINT64_MAX;       // more slots than a page has
	x.group[0][0] += 40;          // a group of another meta
	x.area[3 + 7] |= 8;           // one at no page
	x.area[3 + 14] |= 1ull << 63; // as long as all memory
	claim_musl(&m, &x);
	assert_int_equal(claimed(&m, GS_MEM_C_LARGE), 0);
	assert_int_equal(claimed(&m, GS_MEM_C_HEAP), 4096);
	end_c(&m);
	make_musl(&x);
	x.area[1] = AREA_AT;
	claim_musl(&m, &x);
	assert_int_equal(claimed(&m, GS_MEM_C_LARGE), 8 * 4096);
	end_c(&m);
	for (size_t i = 0; i < 3; i++) {
		make_musl(&x);
		x.context[100] ^= i == 0;         // another number
		x.context[101] += i == 1;         // not initialised so
		x.context[107] += i == 2 ? 8 : 0; // an area at no page
		claim_musl(&m, &x);
		assert_int_equal(claimed(&m, GS_MEM_C_HEAP), 0);
		end_c(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_claims_random),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_heap_all_present),
		cmocka_unit_test(test_heap_in_pieces),
		cmocka_unit_test(test_heap_sparse),
		cmocka_unit_test(test_heap_asked),
		cmocka_unit_test(test_heap_absurd),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_chunks_hostile),
		cmocka_unit_test(test_arenas),
		cmocka_unit_test(test_stacks),
		cmocka_unit_test(test_musl),
		cmocka_unit_test(test_musl_hostile),
	};

	return gs_test_main(tests);
}
