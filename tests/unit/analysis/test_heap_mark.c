/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Marking heaps made by hand: spans of all kinds, holes, opaque objects, the walk, and damaged spans. */
#include "heap_world.h"

/* --- what is reached ---------------------------------------------------------------------------- */

static void test_interior_and_scalars(void **state)
{
	struct world *w = (struct world *)*state;
	struct gs_rt_span *a = add_span(w, 1, 48, 0), *b = add_span(w, 1, 16, GS_RT_SPAN_NOSCAN);
	struct gs_rt_span *c = add_span(w, 3, 9472 / 4 * 4, 0);
	struct gs_heap_mark_stats s;

	put(w, object(a, 3) + 40, object(b, 500) + 15); // last byte of an object, from a last word
	put(w, object(b, 500), object(a, 9));           // no pointers in there
	put(w, object(a, 3) + 8, object(c, 1) + 9471);
	put(w, object(c, 1) + 8000, object(a, 169));
	put(w, object(a, 169), a->start + 170 * 48); // behind the last object
	put(w, object(a, 169) + 8, BASE - 1);
	put(w, object(a, 169) + 16, object(c, 1) + 9472 * 2);
	make(w);
	root(w, object(a, 3) + 1);
	root(w, 0);
	root(w, UINT64_MAX);
	s = drain(w);
	assert_int_equal(s.objects, 4);
	assert_int_equal(s.bytes, 48 * 2 + 16 + 9472);
	assert_true(gs_heap_marked(w->mark, object(b, 500)));
	assert_true(gs_heap_marked(w->mark, object(c, 1)));
	assert_false(gs_heap_marked(w->mark, object(a, 9)));
	assert_false(gs_heap_marked(w->mark, object(a, 2) + 47));
	assert_false(gs_heap_marked(w->mark, BASE + (1 << 30)));
	assert_int_equal(s.unreadable_bytes, 0);
}

/* Every size class's slots are found at every offset as division finds them. */
static void test_slots_of_all_sizes(void **state)
{
	struct world *w = (struct world *)*state;
	static const struct {
		uint32_t pages, size;
	} class[] = { { 1, 8 },     { 1, 24 },     { 1, 48 },     { 1, 112 },   { 2, 704 },
		      { 3, 1792 },  { 1, 2688 },   { 4, 3200 },   { 7, 6528 },  { 6, 6784 },
		      { 5, 6912 },  { 7, 9472 },   { 9, 9728 },   { 5, 10240 }, { 7, 14336 },
		      { 9, 18432 }, { 10, 20480 }, { 10, 27264 }, { 7, 28672 }, { 4, 32768 } };

	for (size_t i = 0; i < GS_ARRAY_SIZE(class); i++)
		add_span(w, class[i].pages, class[i].size, 0);
	make(w);
	for (uint32_t i = 0; i < w->heap.n; i++) {
		const struct gs_rt_span *want = &w->heap.span[i], *span;
		uint64_t bytes = want->n_pages * (uint64_t)GS_RT_PAGE;

		for (uint64_t at = 0; at < bytes; at++) {
			uint64_t elem = at / want->elem_size;
			uint32_t number;
			gs_addr start;
			bool found =
				gs_heap_slot(w->mark, want->start + at, &number, &start, &span);

			// A span with one slot has no tail.
			if (want->n_elems == 1)
				elem = 0;
			assert_int_equal(found, elem < want->n_elems);
			if (!found)
				continue;
			assert_ptr_equal(span, want);
			assert_int_equal(number, want->first_object + elem);
			assert_int_equal(start, want->start + elem * want->elem_size);
		}
	}
}

/* A list through all objects of many spans, each node in another span than the one before, and cycles. */
static void test_long_list(void **state)
{
	struct world *w = (struct world *)*state;
	uint32_t n_each = GS_RT_PAGE / 64;

	for (uint32_t i = 0; i < 40; i++)
		add_span(w, 1, 64, 0);
	for (uint32_t k = 0; k < n_each; k++)
		for (uint32_t i = 0; i < 40; i++) {
			const struct gs_rt_span *next = &w->heap.span[(i * 7 + 7) % 40];

			put(w, object(&w->heap.span[i * 7 % 40], k) + 56,
			    object(next, i == 39 ? (k + 1) % n_each : k));
		}
	make(w);
	root(w, object(&w->heap.span[0], 0));
	assert_int_equal(drain(w).objects, 40 * n_each);
	// Draining again does nothing; a root that is marked neither.
	root(w, object(&w->heap.span[5], 5));
	assert_int_equal(drain(w).objects, 40 * n_each);
}

static void test_bitmap(void **state)
{
	struct world *w = (struct world *)*state;
	// 64 bytes: 8 words, of which the bitmap calls the first one a pointer.
	for (int inline_marks = 0; inline_marks < 2; inline_marks++) {
		struct gs_rt_span *s = add_span(w, 1, 64, GS_RT_SPAN_HEAP_BITMAP);
		gs_addr bitmap = s->start + GS_RT_PAGE - 128;

		if (inline_marks) {
			s->n_elems = (GS_RT_PAGE - 256) / 64;
			put(w, s->start + GS_RT_PAGE - 8, (uint64_t)s->spanclass << 56);
			bitmap -= 128;
		}
		for (uint32_t i = 0; i < 15; i++)
			put(w, bitmap + i * 8, 0x0101010101010101);
		put(w, object(s, 10), object(s, 20));
		put(w, object(s, 10) + 8, object(s, 30)); // an integer
		put(w, object(s, 20), object(s, 119));
	}
	make(w);
	for (uint32_t i = 0; i < 2; i++)
		root(w, object(&w->heap.span[i], 10));
	assert_int_equal(drain(w).objects, 6);
	for (uint32_t i = 0; i < 2; i++) {
		assert_true(gs_heap_marked(w->mark, object(&w->heap.span[i], 119)));
		assert_false(gs_heap_marked(w->mark, object(&w->heap.span[i], 30)));
	}
}

static void test_large_objects(void **state)
{
	struct world *w = (struct world *)*state;
	uint32_t pages = (3 << 20) / GS_RT_PAGE + 1;
	struct gs_rt_span *big = add_span(w, pages, pages * (uint64_t)GS_RT_PAGE, GS_RT_SPAN_LARGE);
	struct gs_rt_span *s = add_span(w, 1, 32, 0);
	struct gs_heap_mark_stats st;

	put(w, big->start, object(s, 0));
	put(w, big->start + (1 << 20) - 8, object(s, 1)); // pieces meet here
	put(w, big->start + (1 << 20), object(s, 2));
	put(w, big->start + big->elem_size - 8, object(s, 3));
	put(w, object(s, 3), big->start + (2 << 20) + 12345);
	make(w);
	root(w, object(s, 3));
	st = drain(w);
	assert_int_equal(st.objects, 5);
	assert_int_equal(st.bytes, big->elem_size + 4 * 32);
}

/* --- what is left out --------------------------------------------------------------------------- */

static void test_opaque(void **state)
{
	struct world *w = (struct world *)*state;
	struct gs_rt_span *s = add_span(w, 1, 96, 0);
	const gs_addr opaque[] = { object(s, 9), object(s, 5), 12, object(s, 5) };

	put(w, object(s, 0), object(s, 5));
	put(w, object(s, 0) + 8, object(s, 6));
	put(w, object(s, 5), object(s, 7)); // not looked into
	put(w, object(s, 6), object(s, 8));
	make(w);
	gs_heap_mark_opaque(w->mark, opaque, GS_ARRAY_SIZE(opaque));
	root(w, object(s, 0));
	root(w, object(s, 9));
	assert_int_equal(drain(w).objects, 5);
	assert_true(gs_heap_marked(w->mark, object(s, 5)));
	assert_false(gs_heap_marked(w->mark, object(s, 7)));
	assert_true(gs_heap_marked(w->mark, object(s, 8)));
}

/* A page that is gone: what it held is counted, the rest of the span is scanned. */
static void test_holes(void **state)
{
	struct world *w = (struct world *)*state;
	struct gs_rt_span *a = add_span(w, 1, 64, 0), *b;
	struct gs_heap_mark_stats s;

	b = &w->heap.span[w->heap.n++];
	*b = (struct gs_rt_span){ .start = a->start + GS_RT_PAGE,
				  .elem_size = 64,
				  .n_pages = 2,
				  .n_elems = 256,
				  .first_object = w->heap.slots,
				  .state = GS_RT_SPAN_IN_USE };
	w->heap.slots += 256;
	for (uint32_t at = 0; at < 2 * GS_RT_PAGE; at += 8)
		if (at / 4096 != 1) // the second of four is not there
			put(w, b->start + at, at == 3 * 4096 ? object(a, 1) : 0);
	put(w, object(a, 0), object(b, 192));
	put(w, object(a, 0) + 8, object(b, 70));
	put(w, object(a, 1), object(a, 2));
	make(w);
	root(w, object(a, 0));
	s = drain(w);
	assert_int_equal(s.objects, 5);
	assert_int_equal(s.unreadable_bytes, 4096);
	root(w, object(b, 71)); // the same page: counted once
	assert_int_equal(drain(w).unreadable_bytes, 4096);
}

static void test_damaged_spans(void **state)
{
	struct world *w = (struct world *)*state;
	const struct gs_rt_span good = { .start = BASE,
					 .elem_size = 64,
					 .n_pages = 1,
					 .n_elems = 128,
					 .state = GS_RT_SPAN_IN_USE };
	struct gs_rt_span bad[] = {
		good, good, good, good, good, good, good, good, good, good, good
	};
	struct gs_heap_mark_stats s;

	bad[0].elem_size = 0;
	bad[1].n_elems = UINT32_MAX;
	bad[2].n_pages = UINT32_MAX;
	bad[2].n_elems = 1;
	bad[3].elem_size = 63;
	bad[4].start += 8;
	bad[5].start = UINT64_MAX - GS_RT_PAGE + 1;
	bad[6].first_object = UINT32_MAX;
	bad[7].elem_size = UINT64_MAX & ~7ull;
	bad[8].n_elems = 129;
	bad[9].state = GS_RT_SPAN_MANUAL;
	bad[10].n_pages = 0;
	add_span(w, 1, 64, 0);
	for (size_t i = 0; i < GS_ARRAY_SIZE(bad); i++)
		w->heap.span[w->heap.n++] = bad[i]; // and all of them overlap the first one
	add_span(w, 1, 64, 0)->start = BASE + (1ull << 46);
	for (uint32_t i = 0; i < 128; i++)
		for (uint32_t k = 0; k < 8; k++)
			put(w, BASE + i * 64 + k * 8, BASE + (i * 977 + k * 4111) % GS_RT_PAGE);
	make(w);
	root(w, BASE);
	root(w, BASE + (1ull << 46)); // nobody has this memory
	s = drain(w);
	assert_true(s.objects > 100 && s.objects <= 129);
	assert_int_equal(s.unreadable_bytes, GS_RT_PAGE);
}

static void test_no_spans(void **state)
{
	struct world *w = (struct world *)*state;

	make(w);
	root(w, BASE);
	root(w, 0);
	assert_int_equal(drain(w).objects, 0);
	assert_false(gs_heap_marked(w->mark, 0));
}

/* --- the walk ----------------------------------------------------------------------------------- */

struct visits {
	struct world *w;
	uint32_t n, noscan, pieces, stop_after;
	uint64_t bytes;
	bool again;
};

static int visit(void *ctx, const struct gs_heap_object *o)
{
	struct visits *v = (struct visits *)ctx;
	const uint64_t *words = (const uint64_t *)o->bytes;

	v->n += o->offset == 0;
	v->pieces += o->offset != 0;
	v->noscan += !o->bytes;
	v->bytes += o->n_bytes;
	for (uint64_t i = 0; i < o->n_bytes / 8; i++) {
		const struct gs_rt_span *span;
		uint32_t number;
		gs_addr start;

		if (!gs_heap_slot(v->w->mark, words[i], &number, &start, &span))
			continue;
		if (!gs_heap_marked(v->w->mark, start))
			gs_heap_grey(v->w->mark, span, start);
	}
	if (v->again && o->start == BASE) { // once more, from within
		v->again = false;
		gs_heap_grey(v->w->mark, o->span, o->start);
	}
	return v->stop_after && v->n >= v->stop_after ? 7 : 0;
}

static void test_walk(void **state)
{
	struct world *w = (struct world *)*state;
	struct gs_rt_span *a = add_span(w, 1, 64, 0), *b = add_span(w, 1, 32, GS_RT_SPAN_NOSCAN);
	uint32_t pages = (2 << 20) / GS_RT_PAGE;
	struct gs_rt_span *big = add_span(w, pages, 2 << 20, GS_RT_SPAN_LARGE);
	struct visits v = { .w = w, .again = true };

	for (uint32_t i = 0; i < 100; i++)
		put(w, object(a, i), object(a, i + 1));
	put(w, object(a, 100), object(b, 200) + 5);
	put(w, object(a, 50) + 8, big->start + 77);
	make(w);
	gs_heap_grey(w->mark, a, object(a, 0));
	gs_assert_ok(gs_heap_walk(w->mark, visit, &v, &w->err), &w->err);
	assert_int_equal(v.n, 101 + 1 + 1 + 1);
	assert_int_equal(v.noscan, 1);
	assert_int_equal(v.pieces, 1);
	assert_int_equal(v.bytes, 102 * 64 + (2 << 20));
	// One that ends early can be taken up again.
	v = (struct visits){ .w = w, .stop_after = 2 };
	for (uint32_t i = 0; i < 10; i++)
		gs_heap_grey(w->mark, a, object(a, i));
	gs_assert_result(7, gs_heap_walk(w->mark, visit, &v, &w->err), &w->err);
	v.stop_after = 0;
	gs_assert_ok(gs_heap_walk(w->mark, visit, &v, &w->err), &w->err);
	assert_int_equal(v.n, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_of(test_interior_and_scalars),
		case_of(test_slots_of_all_sizes),
		case_of(test_long_list),
		case_of(test_bitmap),
		case_of(test_large_objects),
		case_of(test_opaque),
		case_of(test_holes),
		case_of(test_damaged_spans),
		case_of(test_no_spans),
		case_of(test_walk),
	};

	return gs_test_main(tests);
}
