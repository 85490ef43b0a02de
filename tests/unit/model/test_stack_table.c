/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Numbers of stacks against a plain search: what is the same, order, limit, forgetting. */
#include "test.h"

#include <errno.h>

#include "base/cleanup.h"
#include "model/stack_table.h"

static const struct gs_frame frames[] = {
	{ .pc = 0x10, .function = "main.a", .file = "", .line = 1 },
	{ .pc = 0x10, .function = "main.a", .file = "", .line = 2 },
	{ .pc = 0x10, .function = "main.b", .file = "", .line = 1 },
	{ .pc = 0x20, .function = "main.a", .file = "", .line = 1 },
};

static void what_tells_keys_apart(void **state)
{
	struct gs_stack_table t = { 0 };
	char text[] = "select";
	struct gs_frame copy = frames[0];
	char name[] = "main.a";
	const struct gs_stack_key keys[] = {
		{ 0 },
		{ .stack = 1 },
		{ .kernel_stack = 1 },
		{ .kind = 1 },
		{ .who = 1 },
		{ .labels = 1 },
		{ .text = "" },
		{ .text = "select" },
		{ .frame = &frames[0] },
		{ .frame = &frames[1] },
		{ .frame = &frames[2] },
		{ .frame = &frames[3] },
		{ .stack = UINT64_MAX, .kernel_stack = 1, .text = "select" },
	};
	struct gs_stack_key same_text = { .text = text }, same_frame = { .frame = &copy };
	struct gs_err err;
	uint32_t number = 99;

	copy.function = name;
	for (uint32_t i = 0; i < GS_ARRAY_SIZE(keys); i++) {
		gs_assert_result(1, gs_stack_table_number(&t, &keys[i], &number, &err), &err);
		assert_int_equal(number, i);
	}
	for (uint32_t i = 0; i < GS_ARRAY_SIZE(keys); i++) {
		gs_assert_ok(gs_stack_table_number(&t, &keys[i], &number, &err), &err);
		assert_int_equal(number, i);
		assert_memory_equal(&t.keys[i], &keys[i], sizeof(keys[i]));
	}
	gs_assert_ok(gs_stack_table_number(&t, &same_text, &number, &err), &err);
	assert_int_equal(number, 7);
	gs_assert_ok(gs_stack_table_number(&t, &same_frame, &number, &err), &err);
	assert_int_equal(number, 8);
	gs_stack_table_deinit(&t);
	assert_null(t.keys);
}

/* Many keys with little difference: every one is found again, and after forgetting none is. */
static void many(void **state)
{
	enum { N = 100000 };
	struct gs_stack_table t = { 0 };
	struct gs_err err;
	uint32_t number, cap;

	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < N; i++) {
			struct gs_stack_key k = { .stack = i / 7, .kind = i % 7 };

			gs_assert_result(1, gs_stack_table_number(&t, &k, &number, &err), &err);
			assert_int_equal(number, i);
		}
		for (uint32_t i = 0; i < N; i++) {
			struct gs_stack_key k = { .stack = i / 7, .kind = i % 7 };

			gs_assert_ok(gs_stack_table_number(&t, &k, &number, &err), &err);
			assert_int_equal(number, i);
		}
		cap = t.cap;
		gs_stack_table_clear(&t);
		assert_int_equal(t.n, 0);
		assert_int_equal(t.cap, cap);
	}
	gs_stack_table_deinit(&t);
}

static void limit(void **state)
{
	struct gs_stack_table t = { .limit = 3 };
	struct gs_err err;
	uint32_t number = 77;

	for (uint64_t i = 0; i < 3; i++)
		gs_assert_result(1,
				 gs_stack_table_number(&t, &(struct gs_stack_key){ .stack = i },
						       &number, &err),
				 &err);
	gs_assert_fails(
		-GS_E_LIMIT, "more than 3",
		gs_stack_table_number(&t, &(struct gs_stack_key){ .stack = 9 }, &number, &err),
		&err);
	assert_int_equal(number, 2); /* untouched */
	assert_int_equal(
		gs_stack_table_number(&t, &(struct gs_stack_key){ .stack = 9 }, &number, NULL),
		-GS_E_LIMIT);
	gs_assert_ok(gs_stack_table_number(&t, &(struct gs_stack_key){ .stack = 1 }, &number, &err),
		     &err);
	assert_int_equal(number, 1);
	gs_stack_table_deinit(&t);
	assert_int_equal(t.limit, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_tells_keys_apart),
		cmocka_unit_test(many),
		cmocka_unit_test(limit),
	};

	return gs_test_main(tests);
}
