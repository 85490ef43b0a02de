/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Stack maps and stack objects as the builder writes them, and broken ones. That real ones are read rightly is
 * shown against the collector, by tests/live/test_roots.py.
 */
#include <string.h>

#include "test.h"

#include "golang/pclntab.h"
#include "pclntab_builder.h"

#define TEXT 0x401000u

struct table {
	struct gs_build_pclntab built;
	struct gs_go_pclntab *tab;
	struct gs_go_func f;
};

static const struct gs_build_step sp[] = { { 0, 0 }, { 8, 0x20 } };
static const struct gs_build_step maps[] = { { 0, -1 }, { 0x10, 1 } };

static struct table open_with(unsigned int minor, const void *locals, size_t locals_size,
			      const void *objects, size_t objects_size)
{
	const struct gs_build_func func = { .name = "main.f",
					    .size = 0x40,
					    .args_bytes = 8,
					    .sp = sp,
					    .n_sp = 2,
					    .stackmap = maps,
					    .n_stackmap = 2,
					    .locals_maps = locals,
					    .locals_maps_size = locals_size,
					    .objects = objects,
					    .objects_size = objects_size };
	const struct gs_build_go go = {
		.minor = minor, .arch = GS_ARCH_AMD64, .text = TEXT, .funcs = &func, .n_funcs = 1
	};
	struct gs_cursor bytes, gofunc;
	struct gs_err err = { 0 };
	struct table t = { 0 };

	gs_build_pclntab(&go, TEXT, &t.built);
	bytes = gs_cursor_make(t.built.bytes, t.built.size, "table");
	gofunc = gs_cursor_make(t.built.gofunc_inside ? t.built.bytes + t.built.gofunc_offset
						      : t.built.gofunc,
				t.built.gofunc_size, "gofunc");
	gs_assert_ok(gs_go_pclntab_open(&bytes, minor, TEXT, &gofunc, &t.tab, &err), &err);
	gs_assert_ok(gs_go_func_at(t.tab, 0, &t.f, &err), &err);
	return t;
}

static void drop(struct table *t)
{
	gs_go_pclntab_free(t->tab);
	gs_build_pclntab_deinit(&t->built);
}

static void test_maps(void **state)
{
	static const uint8_t locals[] = { 2, 0, 0, 0, 11, 0, 0, 0, 1, 2, 3, 4 };

	(void)state;
	for (unsigned int minor = 19; minor <= 27; minor++) {
		struct table t = open_with(minor, locals, sizeof(locals), NULL, 0);
		struct gs_err err = { 0 };
		struct gs_go_bitmap m;
		int32_t v;

		gs_assert_ok(
			gs_go_pcdata(t.tab, &t.f, GS_GO_PCDATA_STACK_MAP, TEXT + 0x18, &v, &err),
			&err);
		assert_int_equal(v, 1);
		for (int32_t i = 0; i < 2; i++) {
			gs_assert_ok(gs_go_stack_map(t.tab, &t.f, GS_GO_FUNCDATA_LOCALS_MAPS, i, &m,
						     &err),
				     &err);
			assert_int_equal(m.n_bits, 11);
			assert_memory_equal(m.bytes, locals + 8 + 2 * i, 2);
		}
		gs_assert_fails(
			-GS_E_BAD_DATA, "stack map 2 of 2",
			gs_go_stack_map(t.tab, &t.f, GS_GO_FUNCDATA_LOCALS_MAPS, 2, &m, &err),
			&err);
		gs_assert_fails(
			-GS_E_BAD_DATA, "stack map -1 of 2",
			gs_go_stack_map(t.tab, &t.f, GS_GO_FUNCDATA_LOCALS_MAPS, -1, &m, &err),
			&err);
		assert_int_equal(
			gs_go_stack_map(t.tab, &t.f, GS_GO_FUNCDATA_ARGS_MAPS, 0, &m, &err), 1);
		drop(&t);
	}
}

static void test_no_words(void **state)
{
	static const uint8_t empty[] = { 3, 0, 0, 0, 0, 0, 0, 0 },
			     none[] = { 0, 0, 0, 0, 5, 0, 0, 0 };
	struct table t = open_with(27, empty, sizeof(empty), NULL, 0);
	struct gs_err err = { 0 };
	struct gs_go_bitmap m;

	(void)state;
	/* Without pointers there is one map of no words, whatever the index. */
	gs_assert_ok(gs_go_stack_map(t.tab, &t.f, GS_GO_FUNCDATA_LOCALS_MAPS, 2, &m, &err), &err);
	assert_int_equal(m.n_bits, 0);
	assert_null(m.bytes);
	drop(&t);
	t = open_with(27, none, sizeof(none), NULL, 0);
	assert_int_equal(gs_go_stack_map(t.tab, &t.f, GS_GO_FUNCDATA_LOCALS_MAPS, 0, &m, &err), 1);
	drop(&t);
}

static void test_broken_maps(void **state)
{
	static const uint8_t many[] = { 0xff, 0xff, 0xff, 0x7f, 8, 0, 0, 0, 1 };
	static const uint8_t wide[] = { 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1 };
	static const uint8_t cut[] = { 9, 0, 0, 0, 64, 0, 0, 0, 1, 2, 3 };
	const struct {
		const uint8_t *bytes;
		size_t n;
		int32_t index;
	} cases[] = { { many, sizeof(many), 0 },
		      { wide, sizeof(wide), 0 },
		      { cut, sizeof(cut), 0 },
		      { cut, sizeof(cut), 8 } };

	(void)state;
	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		struct table t = open_with(25, cases[i].bytes, cases[i].n, NULL, 0);
		struct gs_err err = { 0 };
		struct gs_go_bitmap m;

		assert_int_equal(gs_go_stack_map(t.tab, &t.f, GS_GO_FUNCDATA_LOCALS_MAPS,
						 cases[i].index, &m, &err),
				 -GS_E_BAD_DATA);
		assert_null(m.bytes);
		drop(&t);
	}
}

static void test_objects(void **state)
{
	static const struct {
		uint64_t n;
		int32_t word[4][4];
	} four = {
		4,
		{ { -24, 24, 16, 0x1234 }, { 8, 32, -32, 0x20 }, { 0, 8, 16, 0 }, { 0, -8, 0, 0 } }
	};
	static const uint64_t many = 1ull << 40, cut = 3;
	struct table t = open_with(23, NULL, 0, &four, sizeof(four));
	struct gs_err err = { 0 };
	struct gs_go_stack_object o;
	struct gs_cursor c;
	uint32_t n;

	(void)state;
	gs_assert_ok(gs_go_stack_objects(t.tab, &t.f, &c, &n, &err), &err);
	assert_int_equal(n, 4);
	gs_assert_ok(gs_go_stack_object(&c, &o, &err), &err);
	assert_true(o.offset == -24 && o.size == 24 && o.ptr_bytes == 16 && o.mask == 0x1234 &&
		    !o.program);
	gs_assert_ok(gs_go_stack_object(&c, &o, &err), &err);
	assert_true(o.offset == 8 && o.size == 32 && o.ptr_bytes == 32 && o.program);
	gs_assert_fails(-GS_E_BAD_DATA, "16 with pointers", gs_go_stack_object(&c, &o, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "stack object of", gs_go_stack_object(&c, &o, &err), &err);
	assert_true(gs_go_stack_object(&c, &o, &err) < 0); /* there are no more */
	drop(&t);
	t = open_with(27, NULL, 0, &many, sizeof(many));
	gs_assert_fails(-GS_E_BAD_DATA, "stack objects",
			gs_go_stack_objects(t.tab, &t.f, &c, &n, &err), &err);
	drop(&t);
	t = open_with(23, NULL, 0, &cut, sizeof(cut));
	assert_true(gs_go_stack_objects(t.tab, &t.f, &c, &n, &err) < 0);
	drop(&t);
	t = open_with(23, NULL, 0, NULL, 0);
	assert_int_equal(gs_go_stack_objects(t.tab, &t.f, &c, &n, &err), 1);
	drop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_no_words),
		cmocka_unit_test(test_broken_maps),
		cmocka_unit_test(test_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
