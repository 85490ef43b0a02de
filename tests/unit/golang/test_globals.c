/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Proofs of globals on made-up memory: right data passes, each single lie is caught; and the search in
 * a built image whose functions have code. tests/live/globals_matrix.py does the same with real ones.
 */
#include "test.h"

#include <stdlib.h>

#include "golang/globals_internal.h"
#include "pclntab_builder.h"

enum {
	HEAP = 0x10000000,
	HEAP_BYTES = 1 << 18,
	BSS_BYTES = 0x1000,
	/* In the heap: */
	GS = 0x2000,
	PS = 0x4000,
	MS = 0x20000,
	SPANS = 0x24000,
	TEXTS = 0x28000,
	ARRAYS = 0x30000,
	/* Globals, at these distances from where they are put: */
	ALLGLEN = 0x100,
	ALLGPTR = 0x108,
	ALLGS = 0x110,
	ALLP = 0x130,
	ALLM = 0x150,
	SCHED = 0x200,
	REASONS = 0x8000,
	MEMSTATS = 0xa000,
	GC_CONTROLLER = 0xa800,
	MHEAP = 0x2a000, /* allspans is 65864 bytes further */
};

struct world {
	struct gs_memory mem;
	struct gs_go_layout l;
	struct gs_go_globals found;
	struct gs_err err;
	uint8_t *heap;
	/* the second piece of memory: .bss of an image, or nothing */
	gs_addr bss;
	uint8_t bss_bytes[BSS_BYTES];
	const struct gs_image *img;
	bool gone;
	unsigned int reads;
};

static int read_one(struct world *w, struct gs_read *r)
{
	struct gs_cursor c;

	w->reads++;
	if (r->addr >= HEAP && r->addr - HEAP <= HEAP_BYTES &&
	    HEAP_BYTES - (r->addr - HEAP) >= r->len)
		memcpy(r->buf, w->heap + (r->addr - HEAP), r->len);
	else if (w->bss && r->addr >= w->bss && r->addr - w->bss + r->len <= BSS_BYTES)
		memcpy(r->buf, w->bss_bytes + (r->addr - w->bss), r->len);
	else if (!w->img || gs_image_at(w->img, r->addr, &c, NULL) != 0 ||
		 gs_cursor_bytes(&c, r->buf, r->len, NULL) < 0)
		return -GS_E_FAULT;
	return 0;
}

static int readv_world(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct world *w = ctx;

	if (w->gone)
		return gs_fail(err, -GS_E_GONE, 0, "gone");
	for (size_t i = 0; i < n; i++)
		reads[i].result = read_one(w, &reads[i]);
	return 0;
}

static uint8_t *at(struct world *w, gs_addr addr)
{
	return addr >= HEAP ? w->heap + (addr - HEAP) : w->bss_bytes + (addr - w->bss);
}

static void put(struct world *w, gs_addr addr, uint64_t v, size_t n)
{
	memcpy(at(w, addr), &v, n);
}

static void put_field(struct world *w, gs_addr base, enum gs_go_field f, uint64_t v, size_t n)
{
	put(w, base + (uint64_t)w->l.offset[f], v, n);
}

static void put_slice(struct world *w, gs_addr addr, gs_addr ptr, uint64_t len, uint64_t cap)
{
	put(w, addr, ptr, 8);
	put(w, addr + 8, len, 8);
	put(w, addr + 16, cap, 8);
}

static gs_addr g_at(unsigned int i)
{
	return HEAP + GS + i * 0x200;
}

static gs_addr m_at(unsigned int i)
{
	return HEAP + MS + i * 0x1000;
}

static void put_gs(struct world *w, gs_addr globals)
{
	for (unsigned int i = 0; i < 12; i++) {
		put(w, HEAP + ARRAYS + 8 * i, g_at(i), 8);
		put_field(w, g_at(i), GS_GO_G_STACK_LO, 0x5000000 + i * 0x2000, 8);
		put_field(w, g_at(i), GS_GO_G_STACK_HI, 0x5000800 + i * 0x2000, 8);
		put_field(w, g_at(i), GS_GO_G_ATOMICSTATUS, i == 5 ? 0x1004 : 4, 4);
		put_field(w, g_at(i), GS_GO_G_GOID, i + 1, 8);
	}
	put(w, globals + ALLGLEN, 12, 8);
	put(w, globals + ALLGPTR, HEAP + ARRAYS, 8);
	put_slice(w, globals + ALLGS, HEAP + ARRAYS, 12, 16);
}

static void put_ps(struct world *w, gs_addr globals)
{
	for (unsigned int i = 0; i < 3; i++) {
		gs_addr p = HEAP + PS + i * 0x100;

		put(w, HEAP + ARRAYS + 0x100 + 8 * i, p, 8);
		put_field(w, p, GS_GO_P_ID, i, 4);
		put_field(w, p, GS_GO_P_STATUS, i, 4);
	}
	put_slice(w, globals + ALLP, HEAP + ARRAYS + 0x100, 3, 3);
}

/* Three threads, a fourth has ended. */
static void put_ms(struct world *w, gs_addr globals)
{
	for (unsigned int i = 0; i < 3; i++) {
		gs_addr g0 = g_at(13 + i);

		put_field(w, m_at(i), GS_GO_M_G0, g0, 8);
		put_field(w, g0, GS_GO_G_M, m_at(i), 8);
		put_field(w, m_at(i), GS_GO_M_PROCID, 1000 + i, 8);
		put_field(w, m_at(i), GS_GO_M_ALLLINK, i < 2 ? m_at(i + 1) : 0, 8);
	}
	put(w, globals + ALLM, m_at(0), 8);
	put_field(w, globals + SCHED, GS_GO_SCHED_MNEXT, 4, 8);
	put_field(w, globals + SCHED, GS_GO_SCHED_NMFREED, 1, 8);
	put_field(w, globals + SCHED, GS_GO_SCHED_GOIDGEN, 12, 8);
	put_field(w, globals + SCHED, GS_GO_SCHED_MAXMCOUNT, 10000, 4);
	put_field(w, globals + SCHED, GS_GO_SCHED_NMIDLE, 1, 4);
}

/* What does not fit into .bss. */
static void put_rest(struct world *w)
{
	gs_addr text = HEAP + TEXTS;

	for (unsigned int i = 0; i < 3; i++) {
		put(w, HEAP + ARRAYS + 0x200 + 8 * i, HEAP + SPANS + i * 0x100, 8);
		put_field(w, HEAP + SPANS + i * 0x100, GS_GO_MSPAN_START_ADDR, i * 8192, 8);
		put_field(w, HEAP + SPANS + i * 0x100, GS_GO_MSPAN_NPAGES, 1, 8);
	}
	put_slice(w, HEAP + MHEAP + (uint64_t)w->l.offset[GS_GO_MHEAP_ALLSPANS],
		  HEAP + ARRAYS + 0x200, 3, 8);
	put_field(w, HEAP + MEMSTATS, GS_GO_MSTATS_MSPAN_SYS, 48960, 8);
	put_field(w, HEAP + MEMSTATS, GS_GO_MSTATS_MCACHE_SYS, 15600, 8);
	put_field(w, HEAP + MEMSTATS, GS_GO_MSTATS_NUMGC, 3, 4);
	put_field(w, HEAP + MEMSTATS, GS_GO_MSTATS_LAST_GC_NANOTIME, 123456789, 8);
	put(w, HEAP + GC_CONTROLLER, 100, 4);
	put_field(w, HEAP + GC_CONTROLLER, GS_GO_GC_HEAP_LIVE, 3 << 20, 8);
	put_field(w, HEAP + GC_CONTROLLER, GS_GO_GC_PERCENT_HEAP_GOAL, 4 << 20, 8);
	for (uint32_t i = 0; i < w->l.n_wait_reasons; i++) {
		size_t n = strlen(w->l.wait_reasons[i]);

		put(w, HEAP + REASONS + i * 16, n ? text : 0, 8);
		put(w, HEAP + REASONS + i * 16 + 8, n, 8);
		memcpy(at(w, text), w->l.wait_reasons[i], n);
		text += n;
	}
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->heap = calloc(1, HEAP_BYTES);
	w->mem = (struct gs_memory){ .readv = readv_world, .ctx = w };
	gs_assert_ok(gs_go_layout_table(27, GS_ARCH_AMD64, &w->l, &w->err), &w->err);
	put_gs(w, HEAP);
	put_ps(w, HEAP);
	put_ms(w, HEAP);
	put_rest(w);
	w->found.addr[GS_GO_GLOBAL_ALLGLEN] = HEAP + ALLGLEN;
	w->found.addr[GS_GO_GLOBAL_SCHED] = HEAP + SCHED;
	w->found.checked[GS_GO_GLOBAL_SCHED] = true;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	free(w->heap);
	free(w);
	return 0;
}

static int check_n(struct world *w, enum gs_go_global g, gs_addr addr, uint32_t *io_n)
{
	return gs__go_global_check(&w->mem, &w->l, &w->found, g, addr, io_n, &w->err);
}

static int check(struct world *w, enum gs_go_global g, gs_addr addr)
{
	uint32_t n = 0;

	return check_n(w, g, addr, &n);
}

static const struct {
	enum gs_go_global g;
	uint32_t where;
} places[] = {
	{ GS_GO_GLOBAL_ALLGLEN, ALLGLEN },
	{ GS_GO_GLOBAL_ALLGPTR, ALLGPTR },
	{ GS_GO_GLOBAL_ALLGS, ALLGS },
	{ GS_GO_GLOBAL_ALLP, ALLP },
	{ GS_GO_GLOBAL_ALLM, ALLM },
	{ GS_GO_GLOBAL_SCHED, SCHED },
	{ GS_GO_GLOBAL_MHEAP, MHEAP },
	{ GS_GO_GLOBAL_MEMSTATS, MEMSTATS },
	{ GS_GO_GLOBAL_GC_CONTROLLER, GC_CONTROLLER },
	{ GS_GO_GLOBAL_WAIT_REASONS, REASONS },
};

static void right_data_passes(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < GS_ARRAY_SIZE(places); i++)
		if (check(w, places[i].g, HEAP + places[i].where) != 1)
			fail_msg("%s is refused", gs_go_global_name(places[i].g));
}

static void wrong_places_fail(void **state)
{
	struct world *w = *state;

	for (int g = 0; g < GS_GO_GLOBAL_COUNT; g++) {
		/* zeros; an array of pointers; not mapped; the end of memory; nothing */
		static const gs_addr bad[] = {
			HEAP + 0x9000, HEAP + ARRAYS + 0x8000, 0x1000, HEAP + HEAP_BYTES - 4, 0,
			UINT64_MAX - 3
		};

		for (size_t i = 0; i < GS_ARRAY_SIZE(bad); i++)
			if (check(w, (enum gs_go_global)g, bad[i]) != 0)
				fail_msg("%s is believed at %#" PRIx64,
					 gs_go_global_name((enum gs_go_global)g), bad[i]);
	}
	/* each other's places; only allgs begins with what allgptr is */
	for (size_t i = 1; i < GS_ARRAY_SIZE(places); i++)
		for (size_t k = 0; k < GS_ARRAY_SIZE(places); k++)
			if (i != k && !(places[i].where == ALLGPTR && places[k].where == ALLGS) &&
			    check(w, places[i].g, HEAP + places[k].where) != 0)
				fail_msg("%s is believed at the place of %s",
					 gs_go_global_name(places[i].g),
					 gs_go_global_name(places[k].g));
}

/* Change one word for one check, which has to notice, and restore it. */
static void lie(struct world *w, enum gs_go_global g, uint32_t where, gs_addr addr, uint64_t v,
		size_t n)
{
	uint64_t old = 0;

	memcpy(&old, at(w, addr), n);
	assert_int_equal(check(w, g, HEAP + where), 1);
	put(w, addr, v, n);
	if (check(w, g, HEAP + where) != 0)
		fail_msg("%s: %#" PRIx64 " = %#" PRIx64 " is not noticed", gs_go_global_name(g),
			 addr, v);
	put(w, addr, old, n);
	assert_int_equal(check(w, g, HEAP + where), 1);
}

static gs_addr field_at(const struct world *w, gs_addr base, enum gs_go_field f)
{
	return base + (uint64_t)w->l.offset[f];
}

static void goroutine_lies(void **state)
{
	const enum gs_go_global both[] = { GS_GO_GLOBAL_ALLGPTR, GS_GO_GLOBAL_ALLGS };
	const uint32_t where[] = { ALLGPTR, ALLGS };
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		lie(w, both[i], where[i], HEAP + ARRAYS, 0, 8);
		lie(w, both[i], where[i], HEAP + ARRAYS + 88, HEAP + 4, 8);
		/* one odd goroutine may be moving, two are not */
		put_field(w, g_at(1), GS_GO_G_ATOMICSTATUS, 8, 4);
		put_field(w, g_at(1), GS_GO_G_STACK_HI, 0, 8);
		assert_int_equal(check(w, both[i], HEAP + where[i]), 1);
		lie(w, both[i], where[i], field_at(w, g_at(11), GS_GO_G_ATOMICSTATUS), 5, 4);
		lie(w, both[i], where[i], field_at(w, g_at(10), GS_GO_G_STACK_HI), 0x100, 8);
		lie(w, both[i], where[i], field_at(w, g_at(10), GS_GO_G_STACK_HI), 1ULL << 50, 8);
		lie(w, both[i], where[i], field_at(w, g_at(9), GS_GO_G_GOID), 0, 8);
		lie(w, both[i], where[i], field_at(w, g_at(9), GS_GO_G_GOID), UINT64_MAX, 8);
		put_gs(w, HEAP);
	}
	lie(w, GS_GO_GLOBAL_ALLGLEN, ALLGLEN, HEAP + ALLGLEN, 1 << 26, 8);
	lie(w, GS_GO_GLOBAL_ALLGPTR, ALLGPTR, HEAP + ALLGLEN, 1 << 25, 8);
	lie(w, GS_GO_GLOBAL_ALLGS, ALLGS, HEAP + ALLGS + 8, 17, 8); /* longer than its capacity */
	lie(w, GS_GO_GLOBAL_ALLGS, ALLGS, HEAP + ALLGS + 8, UINT64_MAX, 8);
}

static void dead_goroutines_pass(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 12; i++) {
		put_field(w, g_at(i), GS_GO_G_ATOMICSTATUS, 6, 4);
		put_field(w, g_at(i), GS_GO_G_STACK_LO, 0, 8);
		put_field(w, g_at(i), GS_GO_G_STACK_HI, 0, 8);
	}
	assert_int_equal(check(w, GS_GO_GLOBAL_ALLGS, HEAP + ALLGS), 1);
}

static void processor_lies(void **state)
{
	struct world *w = *state;

	lie(w, GS_GO_GLOBAL_ALLP, ALLP, HEAP + PS + 0x100, 7, 4);
	lie(w, GS_GO_GLOBAL_ALLP, ALLP, HEAP + PS + 4, 5, 4);
	lie(w, GS_GO_GLOBAL_ALLP, ALLP, HEAP + ARRAYS + 0x100, 0, 8);
	lie(w, GS_GO_GLOBAL_ALLP, ALLP, HEAP + ALLP + 8, 1025, 8);
}

static void thread_lies(void **state)
{
	struct world *w = *state;

	lie(w, GS_GO_GLOBAL_ALLM, ALLM, HEAP + ALLM, 0, 8);
	lie(w, GS_GO_GLOBAL_ALLM, ALLM, HEAP + ALLM, m_at(0) + 8, 8);
	lie(w, GS_GO_GLOBAL_ALLM, ALLM, field_at(w, m_at(1), GS_GO_M_PROCID), 1 << 23, 8);
	lie(w, GS_GO_GLOBAL_ALLM, ALLM, field_at(w, g_at(14), GS_GO_G_M), m_at(2), 8);
	lie(w, GS_GO_GLOBAL_ALLM, ALLM, field_at(w, m_at(1), GS_GO_M_ALLLINK), m_at(1) + 16, 8);
	/* a list shorter than the scheduler's count: the link is read at the wrong place */
	lie(w, GS_GO_GLOBAL_ALLM, ALLM, field_at(w, m_at(0), GS_GO_M_ALLLINK), 0, 8);
	/* a circle is walked so far and no further */
	put_field(w, m_at(2), GS_GO_M_ALLLINK, m_at(0), 8);
	w->reads = 0;
	assert_int_equal(check(w, GS_GO_GLOBAL_ALLM, HEAP + ALLM), 1);
	assert_true(w->reads < 1000);
}

/* The bug that a table of the wrong patch release would be. */
static void wrong_link_offset_is_noticed(void **state)
{
	struct world *w = *state;

	w->l.offset[GS_GO_M_ALLLINK] -= 24;
	assert_int_equal(check(w, GS_GO_GLOBAL_ALLM, HEAP + ALLM), 0);
}

static void scheduler_lies(void **state)
{
	struct world *w = *state;
	gs_addr sched = HEAP + SCHED;

	lie(w, GS_GO_GLOBAL_SCHED, SCHED, field_at(w, sched, GS_GO_SCHED_MAXMCOUNT), 0, 4);
	lie(w, GS_GO_GLOBAL_SCHED, SCHED, field_at(w, sched, GS_GO_SCHED_MAXMCOUNT), 0xffffffff, 4);
	lie(w, GS_GO_GLOBAL_SCHED, SCHED, field_at(w, sched, GS_GO_SCHED_MAXMCOUNT), 1, 4);
	lie(w, GS_GO_GLOBAL_SCHED, SCHED, field_at(w, sched, GS_GO_SCHED_GOIDGEN), 0, 8);
	lie(w, GS_GO_GLOBAL_SCHED, SCHED, field_at(w, sched, GS_GO_SCHED_MNEXT), 0, 8);
	lie(w, GS_GO_GLOBAL_SCHED, SCHED, field_at(w, sched, GS_GO_SCHED_NMFREED), 5, 8);
	lie(w, GS_GO_GLOBAL_SCHED, SCHED, field_at(w, sched, GS_GO_SCHED_NMIDLE), 9, 4);
	lie(w, GS_GO_GLOBAL_SCHED, SCHED, field_at(w, sched, GS_GO_SCHED_NPIDLE), 5000, 4);
	/* debug.SetMaxThreads */
	put_field(w, sched, GS_GO_SCHED_MAXMCOUNT, 50, 4);
	assert_int_equal(check(w, GS_GO_GLOBAL_SCHED, sched), 1);
}

static void heap_lies(void **state)
{
	struct world *w = *state;
	gs_addr all = field_at(w, HEAP + MHEAP, GS_GO_MHEAP_ALLSPANS);
	gs_addr stats = HEAP + MEMSTATS;

	lie(w, GS_GO_GLOBAL_MHEAP, MHEAP, all + 8, 0, 8);
	lie(w, GS_GO_GLOBAL_MHEAP, MHEAP, all + 8, 9, 8);
	lie(w, GS_GO_GLOBAL_MHEAP, MHEAP, HEAP + ARRAYS + 0x208, 3, 8);
	lie(w, GS_GO_GLOBAL_MHEAP, MHEAP, field_at(w, HEAP + SPANS + 0x100, GS_GO_MSPAN_START_ADDR),
	    4096, 8);
	lie(w, GS_GO_GLOBAL_GC_CONTROLLER, GC_CONTROLLER, HEAP + GC_CONTROLLER, UINT32_MAX, 4);
	lie(w, GS_GO_GLOBAL_GC_CONTROLLER, GC_CONTROLLER,
	    field_at(w, HEAP + GC_CONTROLLER, GS_GO_GC_HEAP_LIVE), 0, 8);
	lie(w, GS_GO_GLOBAL_GC_CONTROLLER, GC_CONTROLLER,
	    field_at(w, HEAP + GC_CONTROLLER, GS_GO_GC_PERCENT_HEAP_GOAL), UINT64_MAX, 8);
	lie(w, GS_GO_GLOBAL_MEMSTATS, MEMSTATS, field_at(w, stats, GS_GO_MSTATS_NUMGC), 0, 4);
	lie(w, GS_GO_GLOBAL_MEMSTATS, MEMSTATS, field_at(w, stats, GS_GO_MSTATS_LAST_GC_NANOTIME),
	    0, 8);
	lie(w, GS_GO_GLOBAL_MEMSTATS, MEMSTATS, field_at(w, stats, GS_GO_MSTATS_MSPAN_SYS),
	    UINT64_MAX, 8);
}

static void wait_reason_lies(void **state)
{
	struct world *w = *state;
	uint32_t n = 0;

	assert_int_equal(check_n(w, GS_GO_GLOBAL_WAIT_REASONS, HEAP + REASONS, &n), 1);
	assert_int_equal(n, 47);
	n = 20; /* up to "chan send" */
	assert_int_equal(check_n(w, GS_GO_GLOBAL_WAIT_REASONS, HEAP + REASONS, &n), 1);
	n = 48; /* one more than there are */
	assert_int_equal(check_n(w, GS_GO_GLOBAL_WAIT_REASONS, HEAP + REASONS, &n), 0);
	assert_int_equal(n, 48);
	n = 100000;
	assert_int_equal(check_n(w, GS_GO_GLOBAL_WAIT_REASONS, HEAP + REASONS, &n), 0);
	lie(w, GS_GO_GLOBAL_WAIT_REASONS, REASONS, HEAP + REASONS + 8, 3, 8);
	lie(w, GS_GO_GLOBAL_WAIT_REASONS, REASONS, HEAP + REASONS + 24, 1000, 8);
	lie(w, GS_GO_GLOBAL_WAIT_REASONS, REASONS, HEAP + REASONS + 16, 0x10, 8);
	lie(w, GS_GO_GLOBAL_WAIT_REASONS, REASONS, HEAP + TEXTS + 3, '\n', 1);
	/* entry 19 is "chan receive" */
	lie(w, GS_GO_GLOBAL_WAIT_REASONS, REASONS, HEAP + REASONS + 19 * 16 + 8, 11, 8);
}

static void a_target_that_is_gone(void **state)
{
	struct world *w = *state;

	w->gone = true;
	for (int g = 0; g < GS_GO_GLOBAL_COUNT; g++)
		assert_int_equal(check(w, (enum gs_go_global)g, HEAP + 0x100), -GS_E_GONE);
}

static void fields_that_do_not_exist(void **state)
{
	struct world *w = *state;

	for (int f = 0; f < GS_GO_FIELD_COUNT; f++)
		w->l.offset[f] = GS_GO_NO_FIELD;
	for (size_t i = 1; i < GS_ARRAY_SIZE(places) - 1; i++)
		assert_int_equal(check(w, places[i].g, HEAP + places[i].where), 0);
	for (int f = 0; f < GS_GO_FIELD_COUNT; f++)
		w->l.offset[f] = INT32_MAX;
	for (size_t i = 1; i < GS_ARRAY_SIZE(places) - 1; i++)
		assert_int_equal(check(w, places[i].g, HEAP + places[i].where), 0);
}

/* ---- the search ---- */

static const struct gs_build_step flat[] = { { 0, 0 } };

#define FUNCTION(n, off)                                                                           \
	{                                                                                          \
		.name = n, .offset = off, .size = 0x40, .sp = flat, .n_sp = 1, .file = flat,       \
		.n_file = 1, .line = flat, .n_line = 1                                             \
	}
static const struct gs_build_func funcs[] = {
	FUNCTION("runtime.forEachG", 0x00),         FUNCTION("runtime.forEachGRace", 0x40),
	FUNCTION("runtime.gcMarkTinyAllocs", 0x80), FUNCTION("runtime.mcommoninit", 0xc0),
	FUNCTION("runtime.mexit", 0x100),           FUNCTION("runtime.preemptall", 0x140),
	FUNCTION("runtime.wakeNetPoller", 0x180),   FUNCTION("runtime.waitReason.String", 0x1c0),
};
static const char *const files[] = { "/go/src/runtime/proc.go" };

/* What a function refers to, in order: distances from .bss; 0 ends. */
struct code {
	uint32_t offset;
	uint32_t refs[8];
	uint8_t compare;
};

struct built {
	struct gs_builder *b;
	struct gs_image *img;
	struct gs_go_pclntab *tab;
	uint8_t *bytes;
	gs_addr text, bss;
};

/* LEA or ADRP+ADD for each reference. */
static void write_code(uint8_t *to, const struct code *c, gs_addr pc, gs_addr bss,
		       enum gs_arch arch)
{
	for (const uint32_t *ref = c->refs; *ref; ref++) {
		uint64_t target = bss + *ref;

		if (arch == GS_ARCH_AMD64) {
			int32_t rel = (int32_t)(target - (pc + 7));

			memcpy(to, "\x48\x8d\x05", 3); /* lea rel(%rip),%rax */
			memcpy(to + 3, &rel, 4);
			to += 7;
			pc += 7;
		} else {
			uint64_t pages = (target >> 12) - (pc >> 12);
			uint32_t adrp = 0x90000001 | (uint32_t)(pages & 3) << 29 |
					(uint32_t)(pages >> 2 & 0x7ffff) << 5;
			uint32_t add = 0x91000021 | (uint32_t)(target & 0xfff) << 10;

			memcpy(to, &adrp, 4);
			memcpy(to + 4, &add, 4);
			to += 8;
			pc += 8;
		}
	}
	if (c->compare && arch == GS_ARCH_AMD64)
		memcpy(to, (uint8_t[]){ 0x3c, c->compare }, 2); /* cmp $n,%al */
}

static void build(struct built *u, enum gs_arch arch, uint32_t options, const struct code *codes,
		  size_t n, const char *symbol, uint32_t symbol_at)
{
	struct gs_build_go go = { .minor = 27,
				  .arch = arch,
				  .funcs = funcs,
				  .n_funcs = GS_ARRAY_SIZE(funcs),
				  .files = files,
				  .n_files = 1 };
	const struct gs_image_section *text, *bss;
	struct gs_build_go_places where;
	struct gs_cursor table, none = { 0 };
	struct gs_err err;
	const uint8_t *bytes;
	gs_addr table_addr;
	size_t size;

	u->b = gs_build_go_image(&go, GS_IMAGE_ELF, options, &where);
	if (symbol) /* .bss is at a fixed place behind the text */
		gs_builder_symbol(u->b, symbol, symbol_at, 47 * 16, false);
	bytes = gs_builder_finish(u->b, &size);
	u->bytes = memcpy(malloc(size), bytes, size);
	gs_assert_ok(gs_image_from_bytes(u->bytes, size, "built", &u->img, &err), &err);
	gs_assert_ok(gs_image_find_section(u->img, ".text", &text, &err), &err);
	gs_assert_ok(gs_image_find_section(u->img, ".bss", &bss, &err), &err);
	u->text = where.text;
	u->bss = bss->addr;
	for (size_t i = 0; i < n; i++)
		write_code(u->bytes + text->offset + codes[i].offset, &codes[i],
			   where.text + codes[i].offset, u->bss, arch);
	gs_assert_ok(gs_go_pclntab_find(u->img, &table, &table_addr, &err), &err);
	gs_assert_ok(gs_go_pclntab_open(&table, 27, where.text, &none, &u->tab, &err), &err);
}

static void destroy(struct built *u)
{
	gs_go_pclntab_free(u->tab);
	gs_image_free(u->img);
	gs_builder_free(u->b);
	free(u->bytes);
}

static const struct code codes[] = {
	{ .offset = 0x00, .refs = { 0x800, ALLGS } },                   /* forEachG */
	{ .offset = 0x40, .refs = { ALLGLEN, ALLGPTR } },               /* forEachGRace */
	{ .offset = 0x80, .refs = { ALLP } },                           /* gcMarkTinyAllocs */
	{ .offset = 0xc0, .refs = { SCHED + 32, 8, 16, ALLM } },        /* mcommoninit */
	{ .offset = 0x100, .refs = { 8, 16, SCHED + 32, SCHED + 64 } }, /* mexit: not as expected */
	{ .offset = 0x140, .refs = { 0x900 } },                 /* preemptall: not as expected */
	{ .offset = 0x180, .refs = { SCHED + 8, SCHED + 16 } }, /* wakeNetPoller */
	{ .offset = 0x1c0, .refs = { 0x810, 0x700 }, .compare = 47 },
};

static void found_at(const struct gs_go_globals *f, enum gs_go_global g, gs_addr addr,
		     const char *anchor, bool checked)
{
	if (f->addr[g] != addr || f->checked[g] != checked)
		fail_msg("%s: %#" PRIx64 "%s", gs_go_global_name(g), f->addr[g],
			 f->checked[g] ? " proved" : "");
	assert_int_equal(f->how[g], GS_GO_HOW_CODE);
	assert_string_equal(f->anchor[g], anchor);
}

static void by_code_in_the_file(void **state)
{
	struct world *w = *state;

	for (int arch = GS_ARCH_AMD64; arch <= GS_ARCH_ARM64; arch++) {
		struct gs_go_globals f;
		struct built u;

		build(&u, (enum gs_arch)arch, GS_BUILD_GO_STRIPPED, codes, GS_ARRAY_SIZE(codes),
		      NULL, 0);
		gs_assert_ok(gs_go_globals_find(u.img, u.tab, &w->l, NULL, 0, &f, &w->err),
			     &w->err);
		found_at(&f, GS_GO_GLOBAL_ALLGS, u.bss + ALLGS, "runtime.forEachG", false);
		found_at(&f, GS_GO_GLOBAL_ALLGLEN, u.bss + ALLGLEN, "runtime.forEachGRace", false);
		found_at(&f, GS_GO_GLOBAL_ALLGPTR, u.bss + ALLGPTR, "runtime.forEachGRace", false);
		found_at(&f, GS_GO_GLOBAL_SCHED, u.bss + SCHED, "runtime.wakeNetPoller", false);
		/* what mexit refers to lies in sched */
		found_at(&f, GS_GO_GLOBAL_ALLM, u.bss + ALLM, "runtime.mcommoninit", false);
		found_at(&f, GS_GO_GLOBAL_ALLP, u.bss + 0x900, "runtime.preemptall", false);
		assert_int_equal(f.addr[GS_GO_GLOBAL_MHEAP], 0);
		assert_int_equal(f.how[GS_GO_GLOBAL_MHEAP], GS_GO_HOW_NONE);
		assert_int_equal(f.n_wait_reasons, arch == GS_ARCH_AMD64 ? 47 : 0);
		assert_int_equal(f.how[GS_GO_GLOBAL_FIRSTMODULEDATA], GS_GO_HOW_SCAN);
		destroy(&u);
	}
}

static void attach(struct world *w, const struct built *u)
{
	w->img = u->img;
	w->bss = u->bss;
	put_gs(w, u->bss);
	put_ps(w, u->bss);
	put_ms(w, u->bss);
}

static void by_code_proved(void **state)
{
	struct world *w = *state;
	struct gs_go_globals f;
	struct built u;

	build(&u, GS_ARCH_AMD64, GS_BUILD_GO_STRIPPED, codes, GS_ARRAY_SIZE(codes), NULL, 0);
	attach(w, &u);
	gs_assert_ok(gs_go_globals_find(u.img, u.tab, &w->l, &w->mem, 0, &f, &w->err), &w->err);
	found_at(&f, GS_GO_GLOBAL_ALLGS, u.bss + ALLGS, "runtime.forEachG", true);
	found_at(&f, GS_GO_GLOBAL_ALLGLEN, u.bss + ALLGLEN, "runtime.forEachGRace", true);
	found_at(&f, GS_GO_GLOBAL_ALLGPTR, u.bss + ALLGPTR, "runtime.forEachGRace", true);
	/* the first anchor is wrong, live data says so */
	found_at(&f, GS_GO_GLOBAL_ALLP, u.bss + ALLP, "runtime.gcMarkTinyAllocs", true);
	found_at(&f, GS_GO_GLOBAL_ALLM, u.bss + ALLM, "runtime.mcommoninit", true);
	assert_int_equal(f.how[GS_GO_GLOBAL_FIRSTMODULEDATA], GS_GO_HOW_SCAN);
	assert_true(f.checked[GS_GO_GLOBAL_FIRSTMODULEDATA]);
	/* no strings behind it: not believed */
	assert_int_equal(f.addr[GS_GO_GLOBAL_WAIT_REASONS], 0);

	/* A length without its array is nothing. */
	put(w, u.bss + ALLGPTR, 0, 8);
	gs_assert_ok(gs_go_globals_find(u.img, u.tab, &w->l, &w->mem, 0, &f, &w->err), &w->err);
	assert_int_equal(f.addr[GS_GO_GLOBAL_ALLGLEN], 0);
	assert_int_equal(f.addr[GS_GO_GLOBAL_ALLGPTR], 0);

	w->gone = true;
	gs_assert_fails(-GS_E_GONE, "gone",
			gs_go_globals_find(u.img, u.tab, &w->l, &w->mem, 0, &f, &w->err), &w->err);
	destroy(&u);
}

/* A symbol that live data contradicts gives way to code that it confirms. */
static void symbols(void **state)
{
	struct world *w = *state;
	struct gs_go_globals f;
	struct built u;
	gs_addr bss;

	build(&u, GS_ARCH_AMD64, 0, codes, GS_ARRAY_SIZE(codes), NULL, 0);
	bss = u.bss;
	destroy(&u);
	build(&u, GS_ARCH_AMD64, 0, codes, GS_ARRAY_SIZE(codes), "runtime.allp",
	      (uint32_t)(bss + 0x900));
	assert_int_equal(u.bss, bss);
	attach(w, &u);
	gs_assert_ok(gs_go_globals_find(u.img, u.tab, &w->l, NULL, 0, &f, &w->err), &w->err);
	assert_int_equal(f.addr[GS_GO_GLOBAL_ALLP], bss + 0x900);
	assert_int_equal(f.how[GS_GO_GLOBAL_ALLP], GS_GO_HOW_SYMBOL);
	gs_assert_ok(gs_go_globals_find(u.img, u.tab, &w->l, &w->mem, 0, &f, &w->err), &w->err);
	found_at(&f, GS_GO_GLOBAL_ALLP, bss + ALLP, "runtime.gcMarkTinyAllocs", true);

	/* Nothing can be proved: the symbol stays, unproved. */
	memset(w->bss_bytes, 0, sizeof(w->bss_bytes));
	gs_assert_ok(gs_go_globals_find(u.img, u.tab, &w->l, &w->mem, 0, &f, &w->err), &w->err);
	assert_int_equal(f.addr[GS_GO_GLOBAL_ALLP], bss + 0x900);
	assert_false(f.checked[GS_GO_GLOBAL_ALLP]);
	destroy(&u);

	build(&u, GS_ARCH_AMD64, 0, codes, 0, "runtime.waitReasonStrings", (uint32_t)(bss + 0x100));
	gs_assert_ok(gs_go_globals_find(u.img, u.tab, &w->l, NULL, 0, &f, &w->err), &w->err);
	assert_int_equal(f.n_wait_reasons, 47);
	destroy(&u);
}

static void references_outside_of_data(void **state)
{
	/* far behind .bss; into the middle of a word */
	static const struct code wild[] = { { .offset = 0x00, .refs = { 8, 0x700000 } },
					    { .offset = 0x140, .refs = { 0x904 } } };
	struct world *w = *state;
	struct gs_go_globals f;
	struct built u;

	build(&u, GS_ARCH_AMD64, GS_BUILD_GO_STRIPPED, wild, 2, NULL, 0);
	gs_assert_ok(gs_go_globals_find(u.img, u.tab, &w->l, NULL, 0, &f, &w->err), &w->err);
	assert_int_equal(f.addr[GS_GO_GLOBAL_ALLGS], 0);
	assert_int_equal(f.addr[GS_GO_GLOBAL_ALLP], 0);
	destroy(&u);
}

static void names(void **state)
{
	assert_string_equal(gs_go_global_name(GS_GO_GLOBAL_MHEAP), "mheap_");
	assert_string_equal(gs_go_global_name(GS_GO_GLOBAL_COUNT), "?");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* ---- those of the second search ---- */

enum { MORE = 0x10000, LIST = 0x15000 }; /* in the heap: the global, and what it leads to */

static int check_more(struct world *w, enum gs_go_more_global g)
{
	return gs__go_more_global_check(&w->mem, &w->l, g, HEAP + MORE, &w->err);
}

/* With @v at @addr it must not pass; then it is put back, and must. */
static void lie_more(struct world *w, enum gs_go_more_global g, gs_addr addr, uint64_t v, size_t n)
{
	uint64_t old = 0;

	memcpy(&old, at(w, addr), n);
	put(w, addr, v, n);
	if (check_more(w, g) != 0)
		fail_msg("%s: %#lx at %#lx is believed", gs_go_more_global_name(g),
			 (unsigned long)v, (unsigned long)addr);
	put(w, addr, old, n);
	assert_int_equal(check_more(w, g), 1);
}

static void waiters_and_buckets(void **state)
{
	struct world *w = *state;
	gs_addr treap = HEAP + MORE + 3 * 64 + (gs_addr)w->l.offset[GS_GO_SEMA_ROOT_TREAP];
	gs_addr sudog = HEAP + LIST, bucket = HEAP + LIST;

	/* Nobody waits. */
	assert_int_equal(check_more(w, GS_GO_MORE_SEMTABLE), 1);
	put(w, treap, sudog, 8);
	put_field(w, sudog, GS_GO_SUDOG_G, g_at(0), 8);
	lie_more(w, GS_GO_MORE_SEMTABLE, treap, 0x1235, 8);
	lie_more(w, GS_GO_MORE_SEMTABLE, treap, HEAP + HEAP_BYTES, 8);
	lie_more(w, GS_GO_MORE_SEMTABLE, field_at(w, sudog, GS_GO_SUDOG_G), 1, 8);
	lie_more(w, GS_GO_MORE_SEMTABLE, field_at(w, sudog, GS_GO_SUDOG_PARENT), sudog, 8);
	put(w, treap, 0, 8);
	memset(at(w, sudog), 0, 512);

	assert_int_equal(check_more(w, GS_GO_MORE_MBUCKETS), 1);
	put(w, HEAP + MORE, bucket, 8);
	put_field(w, bucket, GS_GO_BUCKET_TYP, 1, 8);
	put_field(w, bucket, GS_GO_BUCKET_NSTK, 12, 8);
	put_field(w, bucket, GS_GO_BUCKET_OBJECT_SIZE, 48, 8);
	lie_more(w, GS_GO_MORE_MBUCKETS, HEAP + MORE, 1, 8);
	lie_more(w, GS_GO_MORE_MBUCKETS, field_at(w, bucket, GS_GO_BUCKET_TYP), 2, 8);
	lie_more(w, GS_GO_MORE_MBUCKETS, field_at(w, bucket, GS_GO_BUCKET_NSTK), 0, 8);
	lie_more(w, GS_GO_MORE_MBUCKETS, field_at(w, bucket, GS_GO_BUCKET_NSTK), 1 << 20, 8);
	lie_more(w, GS_GO_MORE_MBUCKETS, field_at(w, bucket, GS_GO_BUCKET_OBJECT_SIZE), 0, 8);
	lie_more(w, GS_GO_MORE_MBUCKETS, field_at(w, bucket, GS_GO_BUCKET_ALLNEXT), 12, 8);
	/* a circle ends */
	put_field(w, bucket, GS_GO_BUCKET_ALLNEXT, bucket, 8);
	assert_int_equal(check_more(w, GS_GO_MORE_MBUCKETS), 1);
}

static void lists_of_pages(void **state)
{
	struct world *w = *state;
	gs_addr free = field_at(w, HEAP + MORE, GS_GO_WORK_WBUF_SPANS_FREE);

	assert_int_equal(check_more(w, GS_GO_MORE_PERSISTENT_CHUNKS), 0); /* there always is one */
	put(w, HEAP + MORE, HEAP + LIST, 8);
	put(w, HEAP + LIST, HEAP + LIST + 0x1000, 8);
	lie_more(w, GS_GO_MORE_PERSISTENT_CHUNKS, HEAP + MORE, HEAP + LIST + 8, 8);
	lie_more(w, GS_GO_MORE_PERSISTENT_CHUNKS, HEAP + LIST, HEAP + LIST + 0x1008, 8);
	lie_more(w, GS_GO_MORE_PERSISTENT_CHUNKS, HEAP + LIST, HEAP + HEAP_BYTES, 8);
	assert_int_equal(check_more(w, GS_GO_MORE_BUCKHASH), 1);
	lie_more(w, GS_GO_MORE_BUCKHASH, HEAP + MORE, 0x77, 8);
	memset(at(w, HEAP + LIST), 0, 512);
	put(w, HEAP + MORE, 0, 8);

	assert_int_equal(check_more(w, GS_GO_MORE_GC_BITS_ARENAS), 0); /* no next one */
	put(w, HEAP + MORE + 16, HEAP + LIST, 8);
	put(w, HEAP + LIST, 65600, 8);
	lie_more(w, GS_GO_MORE_GC_BITS_ARENAS, HEAP + LIST, 2 << 20, 8);
	lie_more(w, GS_GO_MORE_GC_BITS_ARENAS, HEAP + MORE + 32, 8, 8);
	put(w, HEAP + MORE + 16, 0, 8);

	assert_int_equal(check_more(w, GS_GO_MORE_WORK), 1);
	lie_more(w, GS_GO_MORE_WORK, free, 0x123, 8);
	w->l.offset[GS_GO_WORK_WBUF_SPANS_BUSY] = GS_GO_NO_FIELD;
	assert_int_equal(check_more(w, GS_GO_MORE_WORK), 0);
}

static void numbers(void **state)
{
	struct world *w = *state;

	for (int g = 0; g < GS_GO_MORE_COUNT; g++)
		assert_string_not_equal(gs_go_more_global_name((enum gs_go_more_global)g), "?");
	assert_string_equal(gs_go_more_global_name(GS_GO_MORE_COUNT), "?");
	put(w, HEAP + MORE, 512 << 10, 8);
	lie_more(w, GS_GO_MORE_MEM_PROFILE_RATE, HEAP + MORE, (uint64_t)-1, 8);
	lie_more(w, GS_GO_MORE_SCAVENGE, HEAP + MORE, 1ull << 60, 8);
	lie_more(w, GS_GO_MORE_SCAVENGE, HEAP + MORE + 8, 1ull << 60, 8);
	put(w, HEAP + MORE, 2 << 20, 8);
	lie_more(w, GS_GO_MORE_PHYS_HUGE_PAGE, HEAP + MORE, 3 << 20, 8);
	lie_more(w, GS_GO_MORE_PHYS_HUGE_PAGE, HEAP + MORE, 4096, 8);
	put(w, HEAP + MORE, 1, 8);
	lie_more(w, GS_GO_MORE_MADVDONTNEED, HEAP + MORE, 2 << 20, 4);
	lie_more(w, GS_GO_MORE_TRACE, HEAP + MORE + 8, HEAP + 8, 8);
	lie_more(w, GS_GO_MORE_TRACE, HEAP + MORE + 48, 12, 8);
	w->gone = true;
	assert_int_equal(check_more(w, GS_GO_MORE_SCAVENGE), -GS_E_GONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(right_data_passes),
		TEST(wrong_places_fail),
		TEST(goroutine_lies),
		TEST(dead_goroutines_pass),
		TEST(processor_lies),
		TEST(thread_lies),
		TEST(wrong_link_offset_is_noticed),
		TEST(scheduler_lies),
		TEST(heap_lies),
		TEST(wait_reason_lies),
		TEST(a_target_that_is_gone),
		TEST(fields_that_do_not_exist),
		TEST(by_code_in_the_file),
		TEST(by_code_proved),
		TEST(symbols),
		TEST(references_outside_of_data),
		cmocka_unit_test(names),
		TEST(waiters_and_buckets),
		TEST(lists_of_pages),
		TEST(numbers),
	};

	return gs_test_main(tests);
}
