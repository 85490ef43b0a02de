/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The walk of the census over made-up heaps: what a root keeps, against the definition of a dominator (an object belongs to a
 * root if nothing reaches it without that root), on random graphs; types that contradict each other; heaps of noise.
 * Real heaps: tests/live/test_heap_objects.py.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "analysis/heap_objects_private.h"
#include "base/hash.h"
#include "runtime/rt_heap_private.h"

enum {
	BASE = 0x10000000,
	PAGES = 16,
	BYTES = PAGES * GS_RT_PAGE,
	MAX_SLOTS = 1024,
	MAX_EDGES = 4096,
	MAX_ROOTS = 6,
	MSPANS = 0x30000000,
	TYPES = 0x100000,
	TYPES_BYTES = 4096,
};

struct world {
	struct gs_memory mem;
	uint8_t *heap;
	struct gs_rt_heap h;
	struct gs_rt_span span[8];
	struct gs_go_layout layout;
	uint8_t types[TYPES_BYTES];
	struct gs_heap_objects *x;
	struct gs_err err;
	uint64_t random;
	/* the graph, as the test knows it */
	uint32_t n_slots, n_edges, n_roots;
	gs_addr start[MAX_SLOTS];
	uint64_t size[MAX_SLOTS];
	uint32_t from[MAX_EDGES], to[MAX_EDGES], root_of[MAX_EDGES], root_to[MAX_EDGES];
	uint32_t n_root_edges;
	uint32_t pinned[MAX_SLOTS]; /* whose it is; 0: nobody's */
};

static int read_pieces(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct world *w = ctx;

	(void)err;
	for (size_t i = 0; i < n; i++) {
		gs_addr heap = reads[i].addr - BASE, types = reads[i].addr - TYPES;

		reads[i].result = -GS_E_FAULT;
		if (heap < BYTES && BYTES - heap >= reads[i].len)
			memcpy(reads[i].buf, w->heap + heap, reads[i].len);
		else if (types < TYPES_BYTES && TYPES_BYTES - types >= reads[i].len)
			memcpy(reads[i].buf, w->types + types, reads[i].len);
		else
			continue;
		reads[i].result = 0;
	}
	return 0;
}

static uint64_t next(struct world *w)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return w->random >> 33;
}

static void put64(struct world *w, gs_addr at, uint64_t v)
{
	assert_true(at - BASE <= BYTES - 8);
	memcpy(w->heap + (at - BASE), &v, 8);
}

static void add_span(struct world *w, uint32_t pages, uint64_t elem, uint8_t spanclass,
		     uint8_t flags)
{
	uint32_t i = w->h.n_spans++;
	gs_addr start = i ? w->span[i - 1].start + w->span[i - 1].n_pages * (gs_addr)GS_RT_PAGE
			  : BASE;
	struct gs_rt_span *s = &w->span[i];

	*s = (struct gs_rt_span){ .start = start,
				  .mspan = MSPANS + i * 256,
				  .elem_size = elem,
				  .n_pages = pages,
				  .n_elems = (uint32_t)(pages * (uint64_t)GS_RT_PAGE / elem),
				  .first_object = w->h.slots,
				  .spanclass = spanclass,
				  .state = GS_RT_SPAN_IN_USE,
				  .flags = flags };
	if (s->n_elems > 100)
		s->n_elems = 100;
	s->free_index = s->n_elems;
	for (uint32_t k = 0; k < s->n_elems; k++) {
		w->start[w->n_slots] = start + k * elem;
		w->size[w->n_slots++] = elem;
	}
	w->h.slots += s->n_elems;
}

static void world_open(struct world *w)
{
	const struct gs_go_types_range range = { TYPES, TYPES + TYPES_BYTES };
	struct gs_heap_objects *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	w->x = x;
	w->h.span = w->span;
	w->h.layout = &w->layout;
	x->h = &w->h;
	x->mem = &w->mem;
	x->layout = &w->layout;
	x->hchan_size = 96;
	x->seed = gs_hash_seed();
	x->arena = gs_arena_new(0);
	x->n_slots = w->h.slots;
	x->known = gs__ho_slots(x->n_slots);
	x->label = gs__ho_slots(x->n_slots);
	gs_assert_ok(gs_go_types_new(&w->mem, &w->layout, &range, 1, &x->types, &w->err), &w->err);
	gs_assert_ok(gs_heap_mark_new(&w->h, &w->mem, &x->mark, &w->err), &w->err);
}

static struct world *world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->heap = calloc(1, BYTES);
	assert_non_null(w->heap);
	w->mem = (struct gs_memory){ .readv = read_pieces, .ctx = w };
	w->random = seed;
	gs_assert_ok(gs_go_layout_table(25, GS_ARCH_AMD64, &w->layout, &w->err), &w->err);
	add_span(w, 1, 16, 4, 0);
	add_span(w, 1, 48, 10, 0);
	add_span(w, 1, 32, 9, GS_RT_SPAN_NOSCAN);
	add_span(w, 1, 128, 20, 0);
	add_span(w, 2, 2 * GS_RT_PAGE, 0, GS_RT_SPAN_LARGE);
	return w;
}

static void world_free(struct world *w)
{
	gs_heap_objects_free(w->x);
	free(w->heap);
	free(w);
}

/* --- roots -------------------------------------------------------------------------------------------------------- */

/* Random pointers, some into the middle of objects. */
static void make_graph(struct world *w)
{
	uint32_t n = (uint32_t)(next(w) % 600);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t a = (uint32_t)(next(w) % w->n_slots), b = (uint32_t)(next(w) % w->n_slots);
		uint64_t word = next(w) % (w->size[a] / 8);
		gs_addr at = w->start[a] + word * 8;
		uint64_t was;

		memcpy(&was, w->heap + (at - BASE), 8);
		if (was || w->size[a] == 32) /* without pointers */
			continue;
		put64(w, at, w->start[b] + next(w) % w->size[b]);
		w->from[w->n_edges] = a;
		w->to[w->n_edges++] = b;
	}
	w->n_roots = 1 + (uint32_t)(next(w) % MAX_ROOTS);
	for (uint32_t i = 0; i < w->n_roots * 3; i++) {
		w->root_of[w->n_root_edges] = (uint32_t)(next(w) % w->n_roots);
		w->root_to[w->n_root_edges++] = (uint32_t)(next(w) % w->n_slots);
	}
}

/* What is reached if root @without is not there (UINT32_MAX: all are). */
static void reach(const struct world *w, uint32_t without, bool *ret)
{
	bool more = true;

	memset(ret, 0, MAX_SLOTS * sizeof(*ret));
	for (uint32_t i = 0; i < w->n_root_edges; i++)
		if (w->root_of[i] != without)
			ret[w->root_to[i]] = true;
	while (more) {
		more = false;
		for (uint32_t i = 0; i < w->n_edges; i++)
			if (ret[w->from[i]] && !ret[w->to[i]])
				ret[w->to[i]] = more = true;
	}
}

static void check_roots(struct world *w)
{
	bool all[MAX_SLOTS], less[MAX_SLOTS];
	uint64_t objects = 0, bytes = 0, alone = 0, live = 0;
	const struct gs_heap_objects_result *r = gs_heap_objects_result(w->x);

	reach(w, UINT32_MAX, all);
	for (uint32_t i = 0; i < w->n_slots; i++)
		live += all[i];
	for (uint32_t root = 0; root < w->n_roots; root++) {
		objects = bytes = 0;
		reach(w, root, less);
		for (uint32_t i = 0; i < w->n_slots; i++)
			if (all[i] && !less[i]) {
				objects++;
				bytes += w->size[i];
			}
		assert_int_equal(w->x->root[root].objects, objects);
		assert_int_equal(w->x->root[root].bytes, bytes);
		alone += objects;
	}
	assert_int_equal(r->objects, live);
	assert_int_equal(r->shared_objects, live - alone);
	assert_int_equal(r->unreached_objects, w->n_slots - live);
	for (uint32_t i = 1; i < r->n_roots; i++)
		assert_true(r->roots[i - 1].bytes >= r->roots[i].bytes);
}

static void roots_are_dominators(void **state)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct world *w = world_new(seed);

		make_graph(w);
		world_open(w);
		for (uint32_t i = 0; i < w->n_roots; i++)
			assert_int_equal(
				gs__ho_root(w->x, &(struct gs__ho_root){ .kind = GS__HO_OTHER,
									 .name = "r" }),
				i + 1);
		for (uint32_t i = 0; i < w->n_root_edges; i++)
			gs__ho_pointer(w->x, w->start[w->root_to[i]], 0, w->root_of[i] + 1);
		gs_assert_ok(gs__ho_walk(w->x, &w->err), &w->err);
		gs_assert_ok(gs__ho_count(w->x, &w->err), &w->err);
		check_roots(w);
		world_free(w);
	}
	(void)state;
}

/* What is pinned stays whose it is, but leads on. */
static void pinned(void **state)
{
	struct world *w = world_new(1);
	uint32_t a, b;

	put64(w, w->start[0], w->start[1]);
	put64(w, w->start[1], w->start[2]);
	world_open(w);
	a = gs__ho_root(w->x, &(struct gs__ho_root){ .kind = GS__HO_OTHER, .name = "a" });
	b = gs__ho_root(w->x, &(struct gs__ho_root){ .kind = GS__HO_OTHER, .name = "b" });
	gs__ho_pin(w->x, w->start[1], b, GS__HO_SUDOG);
	gs__ho_pointer(w->x, w->start[0], 0, a);
	gs_assert_ok(gs__ho_walk(w->x, &w->err), &w->err);
	gs_assert_ok(gs__ho_count(w->x, &w->err), &w->err);
	assert_int_equal(w->x->root[0].objects, 1);
	assert_int_equal(w->x->root[1].objects, 2);
	assert_int_equal(w->x->result.shared_objects, 0);
	assert_int_equal(w->x->result.n_types, 2);
	world_free(w);
	(void)state;
}

/* --- what is retained --------------------------------------------------------------------------------------------- */

static struct gs_go_type made(const char *name, enum gs_go_kind kind, uint64_t size)
{
	return (struct gs_go_type){
		.name = name, .kind = kind, .size = size, .ptr_bytes = size, .complete = true
	};
}

static const char *name_at(const struct world *w, uint32_t slot)
{
	uint32_t known = w->x->known[slot];

	if (gs__ho_level_of(known) < GS__HO_GUESS)
		return "";
	return w->x->type[gs__ho_type_of(known)]->name;
}

static const char *row_of(const struct world *w, uint32_t slot, char *buf)
{
	const char *name = name_at(w, slot);
	const struct gs_rt_span *s;
	gs_addr start;
	uint32_t n;

	if (name[0])
		return name;
	assert_true(gs_heap_slot(w->x->mark, w->start[slot], &n, &start, &s));
	gs__ho_unknown_name(s, buf);
	return buf;
}

/* Bytes that are reached, from one root (from 1; 0: from all), by ways on which no object is of the type. */
static uint64_t reached(const struct world *w, uint32_t root, const char *without)
{
	bool in[MAX_SLOTS] = { false }, not [MAX_SLOTS] = { false }, more = true;
	char buf[GS__HO_UNKNOWN_NAME];
	uint64_t bytes = 0;

	for (uint32_t i = 0; without && i < w->n_slots; i++)
		not [i] = strcmp(row_of(w, i, buf), without) == 0;
	for (uint32_t i = 0; i < w->n_slots; i++)
		in[i] = w->pinned[i] && !not [i] && (!root || w->pinned[i] == root);
	for (uint32_t i = 0; i < w->n_root_edges; i++) {
		uint32_t to = w->root_to[i];

		if (!w->pinned[to] && !not [to] && (!root || w->root_of[i] + 1 == root))
			in[to] = true;
	}
	while (more) {
		more = false;
		for (uint32_t i = 0; i < w->n_edges; i++) {
			uint32_t to = w->to[i];

			if (in[w->from[i]] && !in[to] && !not [to] && !w->pinned[to])
				in[to] = more = true;
		}
	}
	for (uint32_t i = 0; i < w->n_slots; i++)
		bytes += in[i] ? w->size[i] : 0;
	return bytes;
}

static struct world *current;

/* The roots of a world, each time with new labels. */
static int made_up_roots(struct gs_heap_objects *x, struct gs_err *err)
{
	static const char *const name[MAX_ROOTS] = { "a", "b", "c", "d", "e", "f" };
	struct world *w = current;
	uint32_t label[MAX_ROOTS];

	(void)err;
	for (uint32_t i = 0; i < w->n_roots; i++)
		label[i] = gs__ho_root(
			x, &(struct gs__ho_root){ .kind = GS__HO_OTHER, .name = name[i] });
	for (uint32_t i = 0; i < w->n_slots; i++)
		if (w->pinned[i])
			gs__ho_pin(x, w->start[i], label[w->pinned[i] - 1], GS__HO_OBJECT);
	for (uint32_t i = 0; i < w->n_root_edges; i++)
		gs__ho_pointer(x, w->start[w->root_to[i]], 0, label[w->root_of[i]]);
	gs__ho_flush(x);
	return 0;
}

/* More types than one pass has lines. */
static void some_have_types(struct world *w)
{
	enum { TYPES_MADE = 100 };
	static struct gs_go_type type[TYPES_MADE];
	static char name[TYPES_MADE][16];

	for (uint32_t i = 0; i < TYPES_MADE; i++) {
		(void)snprintf(name[i], sizeof(name[i]), "main.T%u", i);
		type[i] = made(name[i], GS_GO_KIND_UINT8, 16);
	}
	for (uint32_t i = 0; i < w->n_slots; i++) {
		uint32_t n = gs__ho_type(w->x, GS__HO_OBJECT, &type[next(w) % TYPES_MADE]);

		if (next(w) % 2 == 0)
			w->x->known[i] = gs__ho_known(n, GS_TYPE_POINTER,
						      next(w) % 2 ? GS__HO_LIKELY : GS__HO_GUESS);
		if (next(w) % 40 == 0)
			w->pinned[i] = 1 + (uint32_t)(next(w) % w->n_roots);
	}
}

static void check_retained(struct world *w)
{
	const struct gs_heap_objects_result *r = gs_heap_objects_result(w->x);
	uint64_t live = reached(w, 0, NULL);

	assert_int_equal(r->bytes, live);
	assert_true(r->n_types > 0 && r->n_roots > 0);
	for (uint32_t i = 0; i < r->n_types; i++) {
		assert_int_equal(r->types[i].retained_bytes,
				 live - reached(w, 0, r->types[i].name));
		assert_true(r->types[i].retained_bytes >= r->types[i].bytes);
	}
	for (uint32_t i = 0; i < r->n_roots; i++) {
		assert_int_equal(r->roots[i].reached_bytes,
				 reached(w, (uint32_t)(r->roots[i].name[0] - 'a') + 1, NULL));
		assert_true(r->roots[i].reached_bytes >= r->roots[i].bytes);
	}
}

/* Against the definition, on random graphs. */
static void retained_is_exact(void **state)
{
	uint32_t passes = 0;

	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct world *w = world_new(seed);

		current = w;
		make_graph(w);
		world_open(w);
		w->x->passes = 1;
		w->x->o.types = w->x->o.roots = 1000;
		some_have_types(w);
		gs_assert_ok(made_up_roots(w->x, &w->err), &w->err);
		gs_assert_ok(gs__ho_walk(w->x, &w->err), &w->err);
		gs_assert_ok(gs__ho_count(w->x, &w->err), &w->err);
		gs_assert_ok(gs__ho_retained(w->x, made_up_roots, &w->err), &w->err);
		check_retained(w);
		passes = w->x->pass > passes ? w->x->pass : passes;
		world_free(w);
	}
	assert_true(passes > 1);
	(void)state;
}

/* --- types -------------------------------------------------------------------------------------------------------- */

static void offer(struct world *w, uint32_t slot, const struct gs_go_type *variable, uint64_t n,
		  uint64_t off)
{
	uint64_t words[3] = { w->start[slot] + off, n, n };
	struct gs__ho_bytes b = { .word = words,
				  .n = 3,
				  .label = 1,
				  .type = gs__ho_type(w->x, GS__HO_OBJECT, variable),
				  .only_typed = true };

	gs__ho_scan(w->x, &b);
	gs__ho_flush(w->x);
}

/* A pointer to the first field of a struct, one to the struct, one of a slice of its array: in any order. */
static void surer_types_win(void **state)
{
	static const uint8_t order[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					    { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct gs_go_type byte = made("uint8", GS_GO_KIND_UINT8, 1),
			  mutex = made("sync.Mutex", GS_GO_KIND_INT64, 8),
			  whole = made("main.Whole", GS_GO_KIND_UINT8, 48),
			  p_mutex = made("*sync.Mutex", GS_GO_KIND_POINTER, 8),
			  p_whole = made("*main.Whole", GS_GO_KIND_POINTER, 8),
			  bytes = made("[]uint8", GS_GO_KIND_SLICE, 24);
	const struct gs_go_type *variable[] = { &p_mutex, &p_whole, &bytes };

	byte.ptr_bytes = mutex.ptr_bytes = whole.ptr_bytes = 0;
	p_mutex.elem = &mutex;
	p_whole.elem = &whole;
	bytes.elem = &byte;
	for (size_t i = 0; i < GS_ARRAY_SIZE(order); i++) {
		struct world *w = world_new(1);

		world_open(w);
		gs__ho_root(w->x, &(struct gs__ho_root){ .kind = GS__HO_OTHER, .name = "r" });
		for (int k = 0; k < 3; k++)
			offer(w, 100, variable[order[i][k]], 16, 0);
		assert_string_equal(name_at(w, 100), "main.Whole");
		/* What only a field is known of is not told. */
		offer(w, 101, &p_mutex, 0, 0);
		assert_string_equal(name_at(w, 101), "");
		/* A slice without its first elements. */
		offer(w, 102, &bytes, 40, 8);
		assert_string_equal(name_at(w, 102), "[]uint8 (backing array)");
		offer(w, 103, &bytes, 8, 8);
		assert_string_equal(name_at(w, 103), "");
		/* Longer than the slot. */
		offer(w, 104, &bytes, 1000, 0);
		assert_string_equal(name_at(w, 104), "");
		world_free(w);
	}
	(void)state;
}

/* Nodes of a list, from a variable on; the list is a ring. */
static void types_go_along(void **state)
{
	struct world *w = world_new(1);
	struct gs_go_type node = made("main.Node", GS_GO_KIND_STRUCT, 16),
			  ptr = made("*main.Node", GS_GO_KIND_POINTER, 8);
	struct gs_go_type_field field = { .name = "next", .type = &ptr, .offset = 8 };

	ptr.elem = &node;
	node.fields = &field;
	node.n_fields = 1;
	for (uint32_t i = 0; i < 100; i++)
		put64(w, w->start[i] + 8, w->start[(i + 1) % 100]);
	world_open(w);
	gs__ho_root(w->x, &(struct gs__ho_root){ .kind = GS__HO_OTHER, .name = "r" });
	/* First without a type, so that all have to have a second turn. */
	gs__ho_pointer(w->x, w->start[50], 0, 1);
	gs_assert_ok(gs__ho_walk(w->x, &w->err), &w->err);
	offer(w, 0, &ptr, 0, 0);
	gs_assert_ok(gs__ho_walk(w->x, &w->err), &w->err);
	gs_assert_ok(gs__ho_count(w->x, &w->err), &w->err);
	assert_string_equal(w->x->result.types[0].name, "main.Node");
	assert_int_equal(w->x->result.types[0].objects, 100);
	assert_int_equal(w->x->result.typed_bytes, 1600);
	world_free(w);
	(void)state;
}

static void guess(struct world *w, uint32_t slot, const struct gs_go_type *type)
{
	const struct gs__ho_edge e = { .kind = GS__HO_TO,
				       .target = gs__ho_type(w->x, GS__HO_OBJECT, type) };

	gs__ho_guess(w->x, w->start[slot], &e, 0, 0, 0, 1);
	gs__ho_flush(w->x);
}

/* What a variable on a stack says counts until anything else is said, in any order. */
static void guesses_give_way(void **state)
{
	struct gs_go_type stale = made("main.Stale", GS_GO_KIND_UINT8, 48),
			  whole = made("main.Whole", GS_GO_KIND_UINT8, 48),
			  text = made("main.Text", GS_GO_KIND_UINT8, 32),
			  p_whole = made("*main.Whole", GS_GO_KIND_POINTER, 8);
	struct world *w = world_new(1);

	p_whole.elem = &whole;
	text.addr = 1; /* its pointers are known */
	world_open(w);
	gs__ho_root(w->x, &(struct gs__ho_root){ .kind = GS__HO_OTHER, .name = "r" });
	guess(w, 100, &stale);
	assert_string_equal(name_at(w, 100), "main.Stale");
	offer(w, 100, &p_whole, 0, 0);
	assert_string_equal(name_at(w, 100), "main.Whole");
	offer(w, 101, &p_whole, 0, 0);
	guess(w, 101, &stale);
	assert_string_equal(name_at(w, 101), "main.Whole");
	/* Another size; pointers where the allocator has none. */
	guess(w, 0, &stale);
	assert_string_equal(name_at(w, 0), "");
	guess(w, 200, &text);
	assert_string_equal(name_at(w, 200), "");
	text.ptr_bytes = 0;
	guess(w, 200, &text);
	assert_string_equal(name_at(w, 200), "main.Text");
	world_free(w);
	(void)state;
}

/* A list by guess: its objects are guesses too, and one whose pointer stands elsewhere is none. */
static void pointers_refute_guesses(void **state)
{
	struct world *w = world_new(1);
	struct gs_go_type node = made("main.Node", GS_GO_KIND_STRUCT, 16),
			  ptr = made("*main.Node", GS_GO_KIND_POINTER, 8);
	struct gs_go_type_field field = { .name = "next", .type = &ptr, .offset = 8 };
	/* A bit for each word, at the end of the span: of the third object the first word is the pointer. */
	const uint64_t bits = 1 << 1 | 1 << 3 | 1 << 4;

	ptr.elem = &node;
	ptr.addr = node.addr = 1;
	node.fields = &field;
	node.n_fields = 1;
	w->span[0].flags |= GS_RT_SPAN_HEAP_BITMAP;
	put64(w, BASE + GS_RT_PAGE - GS_RT_PAGE / 64, bits);
	put64(w, w->start[0] + 8, w->start[1]);
	put64(w, w->start[1] + 8, w->start[2]);
	put64(w, w->start[2], w->start[0]);
	world_open(w);
	gs__ho_root(w->x, &(struct gs__ho_root){ .kind = GS__HO_OTHER, .name = "r" });
	guess(w, 0, &node);
	gs_assert_ok(gs__ho_walk(w->x, &w->err), &w->err);
	assert_string_equal(name_at(w, 0), "main.Node");
	assert_string_equal(name_at(w, 1), "main.Node");
	assert_true(gs__ho_is_guess(w->x->known[1]));
	assert_string_equal(name_at(w, 2), "");
	assert_true(w->x->label[2] != 0);
	world_free(w);
	(void)state;
}

/* --- noise -------------------------------------------------------------------------------------------------------- */

/* Words that lead anywhere, types of noise: no crash, and an end. */
static void noise(void **state)
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct world *w = world_new(seed);
		struct gs_go_type self = made("main.Self", GS_GO_KIND_ARRAY, 16),
				  ptr = made("*main.Self", GS_GO_KIND_POINTER, 8);
		uint8_t flags[] = { 0, GS_RT_SPAN_HEADERS, GS_RT_SPAN_HEAP_BITMAP };

		self.elem = &self; /* an array of itself */
		self.length = 1;
		ptr.elem = &self;
		for (uint32_t i = 0; i < BYTES / 8; i++) {
			uint64_t v = next(w);

			put64(w, BASE + i * 8ull,
			      v % 4 == 0   ? BASE + next(w) % BYTES
			      : v % 4 == 1 ? TYPES + next(w) % TYPES_BYTES / 8 * 8
					   : v << (v % 40));
		}
		for (uint32_t i = 0; i < TYPES_BYTES; i++)
			w->types[i] = (uint8_t)(next(w) % 8 ? next(w) % 32 : next(w));
		for (uint32_t i = 0; i < w->h.n_spans; i++)
			w->span[i].flags |= w->span[i].flags ? 0 : flags[next(w) % 3];
		world_open(w);
		gs__ho_root(w->x, &(struct gs__ho_root){ .kind = GS__HO_OTHER, .name = "r" });
		offer(w, (uint32_t)(next(w) % w->n_slots), &ptr, 1, 0);
		for (uint32_t i = 0; i < 20; i++)
			gs__ho_pointer(w->x, BASE + next(w) % BYTES, TYPES + next(w) % TYPES_BYTES,
				       1);
		gs_assert_ok(gs__ho_walk(w->x, &w->err), &w->err);
		gs_assert_ok(gs__ho_count(w->x, &w->err), &w->err);
		assert_true(w->x->result.objects <= w->n_slots);
		world_free(w);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roots_are_dominators),    cmocka_unit_test(pinned),
		cmocka_unit_test(retained_is_exact),       cmocka_unit_test(surer_types_win),
		cmocka_unit_test(types_go_along),          cmocka_unit_test(guesses_give_way),
		cmocka_unit_test(pointers_refute_guesses), cmocka_unit_test(noise),
	};

	return gs_test_main(tests);
}
