/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Marking what is a pointer and not what only looks like one, in heaps made by hand: each word of an object points to an
 * object of its own (a victim), and the bits, in the form of each release, say which of those are to be marked. Damaged bits.
 */
#include "heap_world.h"

#include <string.h>

#define MSPANS 0x2000000ull
#define TYPES 0x3000000ull
#define MASKS 0x4000000ull
#define MANY 40000u

/* Objects that words point to, and which of them have to be marked. */
struct victims {
	gs_addr at;
	uint32_t n;
	bool marked[MANY];
	gs_addr word[MANY]; // which points there
};

static struct victims victims_new(struct world *w)
{
	struct victims v = {
		.at = add_span_at(w, BASE + 3 * GS_RT_ARENA, 80, 16, GS_RT_SPAN_NOSCAN)->start
	};

	return v;
}

/* The word at @addr points to a victim of its own. */
static void aim(struct world *w, struct victims *v, gs_addr addr, bool pointer)
{
	assert_true(v->n < MANY);
	put(w, addr, v->at + v->n * 16);
	v->word[v->n] = addr;
	v->marked[v->n++] = pointer;
}

static void check(struct world *w, const struct victims *v)
{
	for (uint32_t i = 0; i < v->n; i++)
		if (gs_heap_marked(w->mark, v->at + i * 16) != v->marked[i])
			fail_msg("word %u of %u, at %#lx: marked %d", i, v->n, v->word[i],
				 !v->marked[i]);
}

/* --- bitmaps ---------------------------------------------------------------------------------------------------- */

static void set_bit(uint8_t *map, uint64_t bit, bool on)
{
	map[bit / 8] = (uint8_t)((map[bit / 8] & ~(1u << bit % 8)) | (unsigned int)on << bit % 8);
}

/* Bits of the word at @addr, as Go 1.19 (scan too) or 1.21 keeps them. @map: all of an arena's. */
static void set_word(uint8_t *map, gs_addr addr, bool pairs, bool pointer, bool scan)
{
	uint64_t word = addr % GS_RT_ARENA / 8;

	if (!pairs) {
		set_bit(map, word, pointer);
		return;
	}
	set_bit(map, word / 4 * 8 + word % 4, pointer);
	set_bit(map, word / 4 * 8 + word % 4 + 4, scan);
}

/* An object. In 1.19, what stands behind the last pointer of a small one is of former objects. One word in @one_in is
 * aimed at something. */
static void fill_object(struct world *w, struct victims *v, uint8_t *const *map, bool pairs,
			gs_addr at, uint64_t size, uint32_t one_in)
{
	uint64_t last = draw(w, size / 8 + 1); // words that may be pointers

	for (uint64_t i = 0; i < size / 8; i++) {
		bool scan = i < last, bit = draw(w, 3) == 0 && (scan || size < GS_RT_PAGE);
		gs_addr word = at + i * 8;

		if (draw(w, one_in) == 0)
			aim(w, v, word, bit && (scan || !pairs));
		set_word(map[(word - BASE) / GS_RT_ARENA], word, pairs, bit,
			 scan || (i > last && size < GS_RT_PAGE && draw(w, 2)));
	}
}

static void fill_span(struct world *w, struct victims *v, uint8_t *const *map, bool pairs,
		      const struct gs_rt_span *s)
{
	if (s->n_elems == 1)
		fill_object(w, v, map, pairs, s->start, s->elem_size, 100);
	for (uint32_t k = 0; s->n_elems > 1 && k < s->n_elems; k += 1 + (uint32_t)draw(w, 4))
		fill_object(w, v, map, pairs, object(s, k), s->elem_size, 2);
}

static void arena_bits(struct world *w, bool pairs)
{
	static const uint16_t size[] = { 8,   16,  24,  32,  48,   64,   80,   96,   112,   128,
					 240, 416, 512, 704, 1024, 1792, 4864, 9472, 10880, 32768 };
	static struct victims v;
	uint64_t map_bytes = pairs ? 2 << 20 : 1 << 20;
	uint8_t *map[3];
	uint32_t n;

	use_release(w, pairs ? 19 : 21);
	for (size_t i = 0; i < GS_ARRAY_SIZE(size); i++)
		add_span(w, size[i] > 2048 ? 4 : 1, size[i], 0);
	// In two arenas: an object in pieces, of which the second is in both, and a small one.
	add_span_at(w, BASE + GS_RT_ARENA - 200 * GS_RT_PAGE, 300, 300 * GS_RT_PAGE,
		    GS_RT_SPAN_LARGE);
	add_span_at(w, BASE + 2 * GS_RT_ARENA - GS_RT_PAGE, 3, 4864, 0);
	n = w->heap.n;
	v = victims_new(w);
	for (uint32_t i = 0; i < 3; i++) {
		map[i] = calloc(1, map_bytes);
		assert_non_null(map[i]);
	}
	for (uint32_t i = 0; i < n; i++)
		fill_span(w, &v, map, pairs, &w->heap.span[i]);
	for (uint32_t i = 0; i < 3; i++) {
		put_bytes(w, INFOS + i * INFO_BYTES, map[i], map_bytes);
		free(map[i]);
	}
	make(w);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < w->heap.span[i].n_elems; k++)
			root(w, object(&w->heap.span[i], k));
	assert_int_equal(drain(w).without_bits, 0);
	check(w, &v);
	assert_true(v.n > 4000);
}

static void test_bits_of_1_19(void **state)
{
	arena_bits(*state, true);
}

static void test_bits_of_1_21(void **state)
{
	arena_bits(*state, false);
}

/* What is not there: objects are looked at word by word, and counted. */
static void test_lost_bitmap(void **state)
{
	struct world *w = *state;
	struct gs_rt_span *a = add_span(w, 1, 64, 0), *b = add_span(w, 1, 1024, 0);
	static struct victims v;

	use_release(w, 21);
	v = victims_new(w);
	for (uint32_t i = 0; i < 8; i++)
		aim(w, &v, object(a, 1) + i * 8, true);
	aim(w, &v, object(b, 2) + 1016, true);
	aim(w, &v, object(b, 3) + 1016, false); // nothing leads there
	make(w);
	root(w, object(a, 1));
	root(w, object(b, 2));
	assert_int_equal(drain(w).without_bits, 2);
	check(w, &v);
}

/* --- types ------------------------------------------------------------------------------------------------------ */

enum { ARRAY = 17, POINTER = 22, STRUCT = 25, GC_PROG = 64, ON_DEMAND = 16 };

static gs_addr put_type(struct world *w, uint32_t i, uint64_t size, uint64_t pointers, uint8_t kind,
			uint8_t flags, gs_addr data)
{
	gs_addr at = TYPES + i * 256;

	put(w, at, size);
	put(w, at + 8, pointers);
	put(w, at + 16, (uint64_t)kind << 56 | (uint64_t)flags << 32);
	put(w, at + 24, 0);
	put(w, at + 32, data);
	for (uint32_t k = 40; k < 72; k += 8)
		put(w, at + k, 0);
	return at;
}

/* A type of @words words, of which a third are pointers; @bits: which. Nothing behind its mask can be read. */
static gs_addr random_type(struct world *w, uint32_t i, uint64_t words, uint8_t *bits)
{
	uint64_t last = 0;

	for (uint64_t k = 0; k < words; k++) {
		bits[k] = draw(w, 3) == 0 || (k == 0 && words < 4);
		if (bits[k])
			last = k + 1;
	}
	for (uint64_t k = 0; k < last; k += 8) {
		uint8_t byte = 0;

		for (uint64_t j = 0; j < 8 && k + j < last; j++)
			byte |= (uint8_t)(bits[k + j] << j);
		put_bytes(w, MASKS + i * 0x100000ull + k / 8, &byte, 1);
	}
	return put_type(w, i, words * 8, last * 8, STRUCT, 0, MASKS + i * 0x100000ull);
}

/* Objects of every size of type that fits, with as many elements as there is room. */
static void test_headers(void **state)
{
	struct world *w = *state;
	static const uint16_t sizes[] = { 576, 1024, 1152, 4864, 8192, 10880, 28672, 32768 };
	static const uint16_t words[] = { 1,  2,  3,  5,   7,   31,  33,   63,
					  64, 65, 71, 127, 128, 600, 1023, 4095 };
	static struct victims v;
	static uint8_t bits[GS_ARRAY_SIZE(words)][4096];
	gs_addr type[GS_ARRAY_SIZE(words)];
	uint32_t n;

	for (uint32_t i = 0; i < GS_ARRAY_SIZE(words); i++)
		type[i] = random_type(w, i, words[i], bits[i]);
	for (uint32_t i = 0; i < GS_ARRAY_SIZE(sizes); i++)
		add_span(w, 12, sizes[i], GS_RT_SPAN_HEADERS);
	n = w->heap.n;
	v = victims_new(w);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < w->heap.span[i].n_elems; k++) {
			const struct gs_rt_span *s = &w->heap.span[i];
			uint32_t t = (uint32_t)draw(w, GS_ARRAY_SIZE(words));

			if (words[t] * 8u > s->elem_size - 8)
				continue;
			put(w, object(s, k), type[t]);
			for (uint32_t j = 8; j < s->elem_size; j += 8)
				if (draw(w, 3) == 0)
					aim(w, &v, object(s, k) + j,
					    bits[t][(j / 8 - 1) % words[t]]);
		}
	make(w);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < w->heap.span[i].n_elems; k++)
			root(w, object(&w->heap.span[i], k));
	assert_int_equal(drain(w).without_bits, 0);
	check(w, &v);
	assert_true(v.n > 20000);
}

/* Headers that no allocator wrote. What cannot be said of a type is not said: every word counts. */
static void test_bad_headers(void **state)
{
	struct world *w = *state;
	struct gs_rt_span *s = add_span(w, 16, 1024, GS_RT_SPAN_HEADERS);
	gs_addr mask = MASKS, unreadable = 0x7000;
	gs_addr bad[32];
	static struct victims v;
	uint32_t n = 0;

	put(w, mask, 1);
	bad[n++] = 1;
	bad[n++] = unreadable;
	bad[n++] = UINT64_MAX - 7;
	bad[n++] = put_type(w, 1, 64, 8, STRUCT, 0, mask) + 4;
	bad[n++] = put_type(w, 2, 64, 72, STRUCT, 0, mask);  // more pointers than bytes
	bad[n++] = put_type(w, 3, 0, 0, STRUCT, 0, mask);    // no size
	bad[n++] = put_type(w, 4, 1024, 8, STRUCT, 0, mask); // does not fit, with the header
	bad[n++] = put_type(w, 5, 60, 8, STRUCT, 0, mask);   // no whole words
	bad[n++] = put_type(w, 6, 64, 12, STRUCT, 0, mask);
	bad[n++] = put_type(w, 7, 64, 8, STRUCT, 0, unreadable);
	bad[n++] = put_type(w, 8, UINT64_MAX - 7, UINT64_MAX - 7, STRUCT, 0, mask);
	bad[n++] = put_type(w, 9, 64, 64, STRUCT, 0, UINT64_MAX);
	bad[n++] = put_type(w, 10, 64, 8, POINTER, ON_DEMAND, mask); // cannot be made
	bad[n++] = put_type(w, 11, 64, 8, ARRAY, ON_DEMAND, mask);   // an array of nothing readable
	v = victims_new(w);
	for (uint32_t i = 0; i < n; i++) {
		put(w, object(s, i), bad[i]);
		aim(w, &v, object(s, i) + 8, true);
		aim(w, &v, object(s, i) + 1016, true);
	}
	aim(w, &v, object(s, n) + 8, false); // no header yet: no pointers yet
	make(w);
	for (uint32_t i = 0; i <= n; i++)
		root(w, object(s, i));
	assert_int_equal(drain(w).without_bits, n);
	check(w, &v);
}

/* Up to Go 1.23 flag 16 is no mask on demand, and programs are no masks. */
static void test_flags_of_1_22(void **state)
{
	struct world *w = *state;
	struct gs_rt_span *s = add_span(w, 1, 1024, GS_RT_SPAN_HEADERS);
	static struct victims v;

	use_release(w, 22);
	put(w, MASKS, 1);
	put(w, object(s, 0), put_type(w, 0, 1016, 8, 0, ON_DEMAND, MASKS));
	put(w, object(s, 1), put_type(w, 1, 1016, 8, ARRAY | GC_PROG, 0, MASKS));
	v = victims_new(w);
	for (uint32_t i = 0; i < 2; i++) {
		aim(w, &v, object(s, i) + 8, true);
		aim(w, &v, object(s, i) + 16, i == 1);
	}
	make(w);
	root(w, object(s, 0));
	root(w, object(s, 1));
	assert_int_equal(drain(w).without_bits, 1);
	check(w, &v);
}

/* Large objects: in a piece, in pieces that no number of elements fills, with bits too many to keep, being made. */
static void test_large_types(void **state)
{
	struct world *w = *state;
	static const struct {
		uint32_t pages, words;
	} large[] = { { 5, 3 },     { 128, 7 },    { 129, 1 },     { 300, 3 },
		      { 257, 129 }, { 400, 4097 }, { 520, 33333 }, { 400, 409600 } };
	static struct victims v;
	static uint8_t bits[GS_ARRAY_SIZE(large)][409600];
	uint64_t field = (uint64_t)w->heap.layout.offset[GS_GO_MSPAN_LARGE_TYPE];
	uint32_t n = GS_ARRAY_SIZE(large);

	for (uint32_t i = 0; i <= n; i++) {
		uint32_t pages = i < n ? large[i].pages : 6;
		struct gs_rt_span *s = add_span(w, pages, pages * GS_RT_PAGE,
						i % 2 ? GS_RT_SPAN_LARGE : GS_RT_SPAN_USER_ARENA);

		s->mspan = MSPANS + i * 512;
		put(w, s->mspan + field, i < n ? random_type(w, i, large[i].words, bits[i]) : 0);
	}
	v = victims_new(w);
	for (uint32_t i = 0; i <= n; i++) {
		const struct gs_rt_span *s = &w->heap.span[i];
		uint64_t end = s->elem_size / 8;

		for (uint64_t at = 0; at < end - 1; at += draw(w, end / 1000 + 1) + 1)
			aim(w, &v, s->start + at * 8, i < n && bits[i][at % large[i].words]);
		aim(w, &v, s->start + s->elem_size - 8,
		    i < n && bits[i][(end - 1) % large[i].words]);
	}
	make(w);
	for (uint32_t i = 0; i <= n; i++)
		root(w, w->heap.span[i].start + 8);
	assert_int_equal(drain(w).without_bits, 0);
	check(w, &v);
	assert_true(v.n > 10000);
}

/* Types whose bits have to be made: an array of structs of arrays, of which only the innermost has bits. */
static void test_made_bits(void **state)
{
	struct world *w = *state;
	struct gs_rt_span *s = add_span(w, 2000, 2000 * GS_RT_PAGE, GS_RT_SPAN_LARGE), *h;
	static uint8_t bits[5];
	gs_addr elem = random_type(w, 0, 5, bits), scalar = put_type(w, 1, 3, 0, ARRAY, 0, 0);
	// [100]elem; struct { [3]byte; [100]elem; elem }; [2000] of that
	gs_addr row = put_type(w, 2, 4000, 4000, ARRAY, ON_DEMAND, 0);
	gs_addr both = put_type(w, 3, 4056, 4056, STRUCT, ON_DEMAND, 0);
	gs_addr all = put_type(w, 4, 2000 * 4056, 2000 * 4056, ARRAY, ON_DEMAND, 0);
	const uint64_t fields[] = { 0, scalar, 0, 0, row, 8, 0, elem, 4008 };
	static struct victims v;

	put(w, row + 48, elem);
	put(w, row + 64, 100);
	put(w, both + 56, MASKS + 0x80000);
	put(w, both + 64, 3);
	put_bytes(w, MASKS + 0x80000, fields, sizeof(fields));
	put(w, all + 48, both);
	put(w, all + 64, 2000);
	s->mspan = MSPANS;
	put(w, MSPANS + (uint64_t)w->heap.layout.offset[GS_GO_MSPAN_LARGE_TYPE], all);
	h = add_span(w, 4, 8192, GS_RT_SPAN_HEADERS);
	put(w, object(h, 2), both);
	v = victims_new(w);
	for (uint64_t at = 0; at < s->elem_size / 8; at += 1 + draw(w, 200)) {
		uint64_t word = at % 507;
		bool pointer = word >= 1 && word < 506 && bits[(word - 1) % 5];

		aim(w, &v, s->start + at * 8, pointer);
	}
	for (uint64_t at = 1; at < 1024; at++) {
		uint64_t word = (at - 1) % 507;

		aim(w, &v, object(h, 2) + at * 8, word >= 1 && word < 506 && bits[(word - 1) % 5]);
	}
	make(w);
	root(w, s->start);
	root(w, object(h, 2));
	assert_int_equal(drain(w).without_bits, 0);
	check(w, &v);
}

/* Types that are made of themselves, of too much, of what is damaged. Bounded, and not known. */
static void test_bits_that_cannot_be_made(void **state)
{
	struct world *w = *state;
	struct gs_rt_span *s = add_span(w, 16, 1024, GS_RT_SPAN_HEADERS);
	gs_addr bad[8];
	uint32_t n = 0;
	static struct victims v;

	bad[n] = put_type(w, n, 64, 64, ARRAY, ON_DEMAND, 0); // of itself
	put(w, bad[n] + 48, bad[n]);
	put(w, bad[n] + 64, 1);
	n++;
	bad[n] = put_type(w, n, 64, 64, STRUCT, ON_DEMAND, 0); // fields without end
	put(w, bad[n] + 56, MASKS);
	put(w, bad[n] + 64, UINT64_MAX);
	n++;
	bad[n] = put_type(w, n, 64, 64, ARRAY, ON_DEMAND, 0); // more elements than fit
	put(w, bad[n] + 48, put_type(w, 20, 16, 8, STRUCT, 0, MASKS));
	put(w, bad[n] + 64, UINT64_MAX / 8);
	n++;
	bad[n] = put_type(w, n, 64, 64, STRUCT, ON_DEMAND, 0); // a field behind its end
	put(w, bad[n] + 56, MASKS + 64);
	put(w, bad[n] + 64, 1);
	put(w, MASKS, 1);
	put(w, MASKS + 64, 0);
	put(w, MASKS + 72, TYPES + 20 * 256);
	put(w, MASKS + 80, 56);
	n++;
	for (uint32_t i = 0; i < 40; i++) { // deeper than anybody nests
		put_type(w, 30 + i, 64, 64, ARRAY, ON_DEMAND, 0);
		put(w, TYPES + (30 + i) * 256 + 48, TYPES + (31 + i) * 256);
		put(w, TYPES + (30 + i) * 256 + 64, 1);
	}
	bad[n++] = TYPES + 30 * 256;
	v = victims_new(w);
	for (uint32_t i = 0; i < n; i++) {
		put(w, object(s, i), bad[i]);
		aim(w, &v, object(s, i) + 1016, true);
	}
	make(w);
	for (uint32_t i = 0; i < n; i++)
		root(w, object(s, i));
	assert_int_equal(drain(w).without_bits, n);
	check(w, &v);
}

/* --- the walk --------------------------------------------------------------------------------------------------- */

/* Visitors get the same bits, from the first word of the slot on. */
static int visit(void *ctx, const struct gs_heap_object *o)
{
	struct world *w = ctx;
	const uint64_t *words = o->bytes;

	assert_true(!o->bytes || o->pointer_bits);
	for (uint64_t i = 0; i < o->n_bytes / 8; i++) {
		const struct gs_rt_span *span;
		uint32_t number;
		gs_addr start;

		if (o->pointer_bits[i / 64] >> i % 64 & 1 &&
		    gs_heap_slot(w->mark, words[i], &number, &start, &span))
			gs_heap_grey(w->mark, span, start);
	}
	return 0;
}

static void test_walk_with_bits(void **state)
{
	struct world *w = *state;
	static uint8_t bits[3][1000];
	struct gs_rt_span *h = add_span(w, 8, 1024, GS_RT_SPAN_HEADERS);
	struct gs_rt_span *l = add_span(w, 300, 300 * GS_RT_PAGE, GS_RT_SPAN_LARGE);
	static struct victims v;

	l->mspan = MSPANS;
	put(w, MSPANS + (uint64_t)w->heap.layout.offset[GS_GO_MSPAN_LARGE_TYPE],
	    random_type(w, 0, 1000, bits[0]));
	put(w, object(h, 7), random_type(w, 1, 127, bits[1]));
	put(w, object(h, 9), random_type(w, 2, 5, bits[2]));
	v = victims_new(w);
	for (uint64_t at = 0; at < l->elem_size / 8; at += 13)
		aim(w, &v, l->start + at * 8, bits[0][at % 1000]);
	for (uint32_t at = 1; at < 128; at++) {
		aim(w, &v, object(h, 7) + at * 8, bits[1][at - 1]);
		aim(w, &v, object(h, 9) + at * 8, bits[2][(at - 1) % 5]);
	}
	make(w);
	gs_heap_grey(w->mark, l, l->start);
	gs_heap_grey(w->mark, h, object(h, 7));
	gs_heap_grey(w->mark, h, object(h, 9));
	gs_assert_ok(gs_heap_walk(w->mark, visit, w, &w->err), &w->err);
	check(w, &v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_of(test_bits_of_1_19),
		case_of(test_bits_of_1_21),
		case_of(test_lost_bitmap),
		case_of(test_headers),
		case_of(test_bad_headers),
		case_of(test_flags_of_1_22),
		case_of(test_large_types),
		case_of(test_made_bits),
		case_of(test_bits_that_cannot_be_made),
		case_of(test_walk_with_bits),
	};

	return gs_test_main(tests);
}
