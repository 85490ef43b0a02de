/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Type descriptors in made-up memory: right ones are read, each single lie is caught. Real ones:
 * tests/live/test_heap_objects.py.
 */
#include "test.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "golang/types.h"

enum {
	TYPES = 0x100000,
	BYTES = 0x10000,
	HEAP = 0x40000000, /* where reflect makes types */
	ITAB = 0x200000,   /* outside of the types */
	/* Descriptors: */
	INT = TYPES + 0x100,
	ORDER = TYPES + 0x200,
	PTR = TYPES + 0x300,
	SLICE = TYPES + 0x400,
	ARRAY = TYPES + 0x500,
	MAP = TYPES + 0x600,
	CHAN = TYPES + 0x700,
	IFACE = TYPES + 0x800,
	EFACE = TYPES + 0x900,
	GROUP = TYPES + 0xa00,
	FUNC = TYPES + 0xb00,
	STRING = TYPES + 0xc00,
	FIELDS = TYPES + 0x2000,
	NAMES = TYPES + 0x4000,
};

struct world {
	struct gs_memory mem;
	struct gs_go_layout layout;
	struct gs_go_types *t;
	struct gs_err err;
	uint8_t bytes[BYTES], heap[4096], itab[4096];
	uint32_t names;
	bool gone; /* nothing can be read */
};

static int read_pieces(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct world *w = ctx;

	for (size_t i = 0; i < n; i++) {
		const struct {
			gs_addr at;
			const uint8_t *bytes;
			size_t size;
		} piece[] = { { TYPES, w->bytes, BYTES },
			      { HEAP, w->heap, 4096 },
			      { ITAB, w->itab, 4096 } };

		reads[i].result = -GS_E_FAULT;
		for (size_t k = 0; k < GS_ARRAY_SIZE(piece) && !w->gone; k++) {
			gs_addr off = reads[i].addr - piece[k].at;

			if (off > piece[k].size || piece[k].size - off < reads[i].len)
				continue;
			memcpy(reads[i].buf, piece[k].bytes + off, reads[i].len);
			reads[i].result = 0;
		}
	}
	(void)err;
	return 0;
}

static uint8_t *at(struct world *w, gs_addr addr)
{
	if (addr >= HEAP)
		return w->heap + (addr - HEAP);
	return addr >= ITAB ? w->itab + (addr - ITAB) : w->bytes + (addr - TYPES);
}

static void put64(struct world *w, gs_addr addr, uint64_t v)
{
	memcpy(at(w, addr), &v, sizeof(v));
}

static void put32(struct world *w, gs_addr addr, uint32_t v)
{
	memcpy(at(w, addr), &v, sizeof(v));
}

static gs_addr put_name(struct world *w, const char *s)
{
	gs_addr ret = NAMES + w->names;
	size_t n = strlen(s);
	uint8_t *p = at(w, ret);

	*p++ = 1;
	if (n >= 128)
		*p++ = (uint8_t)(n & 127) | 128;
	*p++ = (uint8_t)(n >= 128 ? n >> 7 : n);
	memcpy(p, s, n);
	w->names += (uint32_t)n + 3;
	return ret;
}

static void put_type(struct world *w, gs_addr addr, const char *name, enum gs_go_kind kind,
		     uint64_t size, uint64_t ptr_bytes)
{
	memset(at(w, addr), 0, 48);
	put64(w, addr, size);
	put64(w, addr + 8, ptr_bytes);
	put32(w, addr + 16, (uint32_t)addr * 7);
	at(w, addr)[21] = at(w, addr)[22] = size % 8 ? 1 : 8;
	at(w, addr)[23] = (uint8_t)kind;
	put32(w, addr + 40, name ? (uint32_t)(put_name(w, name) - TYPES) : (uint32_t)-5);
}

static void put_field(struct world *w, unsigned int i, const char *name, gs_addr type, uint64_t off)
{
	put64(w, FIELDS + i * 24, put_name(w, name));
	put64(w, FIELDS + i * 24 + 8, type);
	put64(w, FIELDS + i * 24 + 16, off);
}

/* type Order struct { id int; next *Order; items []int; m map[int]int } */
static void fill(struct world *w)
{
	put_type(w, INT, "*int", GS_GO_KIND_INT, 8, 0);
	at(w, INT)[20] = 2; /* the name is that of a pointer to it */
	put_type(w, STRING, "string", GS_GO_KIND_STRING, 16, 8);
	put_type(w, ORDER, "main.Order", GS_GO_KIND_STRUCT, 48, 48);
	put64(w, ORDER + 56, FIELDS);
	put64(w, ORDER + 64, 4);
	put_field(w, 0, "id", INT, 0);
	put_field(w, 1, "next", PTR, 8);
	put_field(w, 2, "items", SLICE, 16);
	put_field(w, 3, "m", MAP, 40);
	put_type(w, PTR, "*main.Order", GS_GO_KIND_POINTER, 8, 8);
	put64(w, PTR + 48, ORDER);
	at(w, PTR)[23] |= w->layout.minor < 26 ? 32 : 0;
	at(w, PTR)[20] |= w->layout.minor < 26 ? 0 : 32;
	put_type(w, SLICE, "[]int", GS_GO_KIND_SLICE, 24, 8);
	put64(w, SLICE + 48, INT);
	put_type(w, ARRAY, "[5]int", GS_GO_KIND_ARRAY, 40, 0);
	put64(w, ARRAY + 48, INT);
	put64(w, ARRAY + 64, 5);
	put_type(w, MAP, "map[int]int", GS_GO_KIND_MAP, 8, 8);
	put64(w, MAP + 48, INT);
	put64(w, MAP + 56, INT);
	put64(w, MAP + 64, GROUP);
	put_type(w, GROUP, "map.group[int]int", GS_GO_KIND_STRUCT, 136, 0);
	put_type(w, CHAN, "chan int", GS_GO_KIND_CHAN, 8, 8);
	put64(w, CHAN + 48, INT);
	put_type(w, FUNC, "func()", GS_GO_KIND_FUNC, 8, 8);
	put_type(w, IFACE, "main.Shape", GS_GO_KIND_INTERFACE, 16, 16);
	put64(w, IFACE + 64, 1);
	put_type(w, EFACE, "interface {}", GS_GO_KIND_INTERFACE, 16, 16);
	put64(w, ITAB, IFACE);
	put64(w, ITAB + 8, PTR);
	put32(w, ITAB + 16, (uint32_t)PTR * 7);
}

static void open_types(struct world *w)
{
	const struct gs_go_types_range range = { TYPES, TYPES + BYTES };

	gs_assert_ok(gs_go_types_new(&w->mem, &w->layout, &range, 1, &w->t, &w->err), &w->err);
}

static struct world *world_new(unsigned int minor)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->mem = (struct gs_memory){ .readv = read_pieces, .ctx = w };
	assert_true(gs_go_layout_table(minor, GS_ARCH_AMD64, &w->layout, &w->err) >= 0);
	fill(w);
	open_types(w);
	return w;
}

static void world_free(struct world *w)
{
	gs_go_types_free(w->t);
	free(w);
}

static const struct gs_go_type *whole(struct world *w, gs_addr addr)
{
	const struct gs_go_type *t = gs_go_type_at(w->t, addr);

	assert_non_null(t);
	assert_true(gs_go_type_complete(w->t, t));
	assert_true(t->complete);
	assert_ptr_equal(t, gs_go_type_at(w->t, addr));
	return t;
}

static void all_kinds(void **state)
{
	for (unsigned int minor = 19; minor <= 27; minor++) {
		struct world *w = world_new(minor);
		const struct gs_go_type *order = whole(w, ORDER), *t;

		assert_string_equal(order->name, "main.Order");
		assert_int_equal(order->n_fields, 4);
		assert_string_equal(order->fields[1].name, "next");
		assert_int_equal(order->fields[2].offset, 16);
		assert_ptr_equal(order->fields[1].type, gs_go_type_at(w->t, PTR));
		assert_false(order->direct_interface);
		t = whole(w, PTR);
		assert_true(t->direct_interface);
		assert_ptr_equal(t->elem, order);
		assert_string_equal(whole(w, INT)->name, "int");
		assert_string_equal(whole(w, SLICE)->elem->name, "int");
		assert_int_equal(whole(w, ARRAY)->length, 5);
		t = whole(w, MAP);
		assert_string_equal(t->key->name, "int");
		assert_string_equal(t->group->name, "map.group[int]int");
		assert_string_equal(whole(w, CHAN)->elem->name, "int");
		assert_true(whole(w, EFACE)->empty_interface);
		assert_false(whole(w, IFACE)->empty_interface);
		assert_int_equal(whole(w, FUNC)->kind, GS_GO_KIND_FUNC);
		world_free(w);
	}
	(void)state;
}

static void itabs(void **state)
{
	struct world *w = world_new(27);
	const struct gs_go_type *inter = NULL;

	assert_ptr_equal(gs_go_itab_type(w->t, ITAB, &inter), gs_go_type_at(w->t, PTR));
	assert_string_equal(inter->name, "main.Shape");
	assert_ptr_equal(gs_go_itab_type(w->t, ITAB, NULL), gs_go_type_at(w->t, PTR));
	assert_null(gs_go_itab_type(w->t, ITAB + 8, NULL));
	assert_null(gs_go_itab_type(w->t, ITAB + 3, NULL));
	assert_null(gs_go_itab_type(w->t, 0, NULL));
	assert_null(gs_go_itab_type(w->t, UINT64_MAX - 7, NULL));
	world_free(w);
	w = world_new(27);
	put32(w, ITAB + 16, 1); /* not that type's hash */
	assert_null(gs_go_itab_type(w->t, ITAB, NULL));
	world_free(w);
	w = world_new(27);
	put64(w, ITAB, ORDER); /* no interface */
	assert_null(gs_go_itab_type(w->t, ITAB, NULL));
	world_free(w);
	(void)state;
}

/* Each takes a right descriptor and makes it wrong. */
static const struct {
	const char *what;
	gs_addr type, at;
	uint64_t value;
	unsigned int width;
	bool later; /* only completing can tell */
} lies[] = {
	{ "no kind", ORDER, 23, 0, 1, false },
	{ "a kind that does not exist", ORDER, 23, 27, 1, false },
	{ "a high bit in the kind", ORDER, 23, 25 | 128, 1, false },
	{ "a size without end", ORDER, 0, 1ull << 60, 8, false },
	{ "an int of 16 bytes", INT, 0, 16, 8, false },
	{ "a slice of 16 bytes", SLICE, 0, 16, 8, false },
	{ "more pointers than bytes", ORDER, 8, 56, 8, false },
	{ "half a pointer", ORDER, 8, 12, 8, false },
	{ "an alignment of 3", ORDER, 21, 3, 1, false },
	{ "an alignment of 128", ORDER, 22, 128, 1, false },
	{ "a size that is not aligned", ORDER, 0, 52, 8, false },
	{ "a name outside of the types", ORDER, 40, BYTES, 4, false },
	{ "no name", ORDER, 40, 0, 4, false },
	{ "a name without a star to leave out", ORDER, 20, 2, 1, false },
	{ "fields nowhere", ORDER, 56, 0x5555, 8, true },
	{ "too many fields", ORDER, 64, 1 << 20, 8, true },
	{ "a count of fields that overflows", ORDER, 64, UINT64_MAX, 8, true },
	{ "a field outside", ORDER, FIELDS - ORDER + 24 + 16, 48, 8, true },
	{ "a field far outside", ORDER, FIELDS - ORDER + 24 + 16, UINT64_MAX - 3, 8, true },
	{ "fields out of order", ORDER, FIELDS - ORDER + 48 + 16, 4, 8, true },
	{ "a pointer to nothing", PTR, 48, 0, 8, true },
	{ "a slice of no type", SLICE, 48, TYPES + 8, 8, true },
	{ "an array that is too long", ARRAY, 64, 6, 8, true },
	{ "an array that overflows", ARRAY, 64, 1ull << 61, 8, true },
	{ "a map without groups", MAP, 64, INT, 8, true },
	{ "a map without keys", MAP, 48, 12, 8, true },
	{ "absurdly many methods", IFACE, 64, UINT64_MAX, 8, true },
};

static void lies_are_caught(void **state)
{
	for (size_t i = 0; i < GS_ARRAY_SIZE(lies); i++) {
		struct world *w = world_new(25);
		const struct gs_go_type *t;

		memcpy(at(w, lies[i].type + lies[i].at), &lies[i].value, lies[i].width);
		t = gs_go_type_at(w->t, lies[i].type);
		if (lies[i].later != (t != NULL))
			fail_msg("%s: %s", lies[i].what, t ? "believed" : "refused at once");
		if (t && gs_go_type_complete(w->t, t))
			fail_msg("%s: completed", lies[i].what);
		if (t)
			assert_false(gs_go_type_complete(w->t, t)); /* and again */
		world_free(w);
	}
	(void)state;
}

static void no_types(void **state)
{
	struct world *w = world_new(25);

	assert_null(gs_go_type_at(w->t, 0));
	assert_null(gs_go_type_at(w->t, ORDER + 4));
	assert_null(gs_go_type_at(w->t, TYPES + BYTES - 8));
	assert_null(gs_go_type_at(w->t, UINT64_MAX - 7));
	assert_true(gs_go_types_contain(w->t, TYPES));
	assert_false(gs_go_types_contain(w->t, TYPES + BYTES));
	world_free(w);
	w = world_new(25);
	w->gone = true;
	assert_null(gs_go_type_at(w->t, ORDER));
	world_free(w);
	(void)state;
}

/* Their names are made of what they are made of. */
static void made_by_reflect(void **state)
{
	struct world *w = world_new(27);

	put_type(w, HEAP, NULL, GS_GO_KIND_SLICE, 24, 8);
	put64(w, HEAP + 32, 1); /* they have pointer masks */
	put64(w, HEAP + 48, ORDER);
	assert_string_equal(whole(w, HEAP)->name, "[]main.Order");
	put_type(w, HEAP + 128, NULL, GS_GO_KIND_MAP, 8, 8);
	put64(w, HEAP + 128 + 32, 1);
	put64(w, HEAP + 128 + 48, STRING);
	put64(w, HEAP + 128 + 56, HEAP);
	put64(w, HEAP + 128 + 64, GROUP);
	assert_string_equal(whole(w, HEAP + 128)->name, "map[string][]main.Order");
	/* A slice of itself: names end. */
	put_type(w, HEAP + 256, NULL, GS_GO_KIND_SLICE, 24, 8);
	put64(w, HEAP + 256 + 32, 1);
	put64(w, HEAP + 256 + 48, HEAP + 256);
	assert_string_equal(whole(w, HEAP + 256)->name, "[]?");
	/* Ints are not made by reflect, and named types have names. */
	put_type(w, HEAP + 384, NULL, GS_GO_KIND_INT, 8, 0);
	put64(w, HEAP + 384 + 32, 1);
	assert_null(gs_go_type_at(w->t, HEAP + 384));
	world_free(w);
	(void)state;
}

static void long_names(void **state)
{
	struct world *w = world_new(27);
	char name[9000];

	/* Before the first look: pages are read once. */
	memset(name, 'x', sizeof(name));
	name[8999] = '\0';
	put32(w, CHAN + 40, (uint32_t)(put_name(w, name) - TYPES));
	name[200] = '\0';
	put32(w, ORDER + 40, (uint32_t)(put_name(w, name) - TYPES));
	assert_string_equal(whole(w, ORDER)->name, name);
	assert_int_equal(strlen(whole(w, CHAN)->name), 4096);
	world_free(w);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds),       cmocka_unit_test(itabs),
		cmocka_unit_test(lies_are_caught), cmocka_unit_test(no_types),
		cmocka_unit_test(made_by_reflect), cmocka_unit_test(long_names),
	};

	return gs_test_main(tests);
}
