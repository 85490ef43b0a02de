/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Rows of top: grouping, scope, order and filter over goroutines made by hand. */
#include "analysis/top_rows.h"
#include "test.h"

static const struct gs_frame main_run = { .function = "main.run", .file = "m.go", .line = 1 };
static const struct gs_frame main_serve = { .function = "main.serve", .file = "m.go", .line = 2 };
static const struct gs_frame blocked_frames[] = {
	{ .function = "runtime.gopark", .flags = GS_FRAME_HIDDEN },
	{ .function = "sync.(*Mutex).Lock" },
	{ .function = "example.com/ledger.(*Ledger).Add" },
	{ .function = "main.handler" },
};
static const struct gs_frame idle_frames[] = {
	{ .function = "runtime.gopark", .flags = GS_FRAME_HIDDEN },
	{ .function = "time.Sleep" },
};
static const struct gs_stack blocked = { .id = 0, .n_frames = 4, .frames = blocked_frames };
static const struct gs_stack idle = { .id = 5000, .n_frames = 2, .frames = idle_frames };
static const struct gs_stack none = { .id = 2, .end = GS_STACK_NONE };
static const char lock[] = "sync.Mutex.Lock", sleeping[] = "sleep";

/* Ten wait for a lock, longer and longer, five sleep, one runs; created by two functions. */
static void fill(struct gs_top_rows *t)
{
	struct gs_err err;

	for (uint64_t id = 16; id >= 1; id--) {
		bool locked = id <= 10, sleeps = id > 10 && id <= 15;
		struct gs_goroutine g = {
			.id = id,
			.state = locked || sleeps ? GS_G_WAITING : GS_G_RUNNING,
			.wait_reason = locked   ? lock
				       : sleeps ? sleeping
						: NULL,
			.wait_ns = locked ? (int64_t)id * 1000 : -1,
			.stack = locked   ? &blocked
				 : sleeps ? &idle
					  : &none,
			.created_by = id % 2 ? &main_run : &main_serve,
			.start = &main_serve,
		};

		gs_assert_ok(gs_top_rows_add(t, &g, &err), &err);
	}
}

static void begin(struct gs_top_rows *t, enum gs_top_group group)
{
	gs_top_rows_begin(t, group, NULL, 0);
	fill(t);
}

static void test_groups(void **state)
{
	GS_CLEANUP(gs_top_rows_freep) struct gs_top_rows *t = gs_top_rows_new();
	const struct gs_top_row *row;

	begin(t, GS_TOP_BY_STACK);
	gs_top_rows_finish(t, GS_TOP_COUNT, false, NULL);
	/* Two creators each, but of the single running one. */
	assert_int_equal(gs_top_rows_count(t), 5);
	row = gs_top_rows_at(t, 0);
	assert_int_equal(row->count, 5);
	assert_int_equal(row->id, 1);
	assert_int_equal(row->wait_ns, 9000);
	assert_string_equal(row->function->function, "example.com/ledger.(*Ledger).Add");
	assert_int_equal(gs_top_rows_at(t, 4)->id, 16);

	begin(t, GS_TOP_BY_STATE);
	gs_top_rows_finish(t, GS_TOP_COUNT, false, NULL);
	assert_int_equal(gs_top_rows_count(t), 3);
	row = gs_top_rows_at(t, 0);
	assert_int_equal(row->count, 10);
	assert_string_equal(row->wait_reason, lock);
	assert_int_equal(row->wait_ns, 10000);
	assert_null(row->stack);
	assert_int_equal(gs_top_rows_at(t, 1)->wait_ns, -1);

	begin(t, GS_TOP_BY_CREATOR);
	gs_top_rows_finish(t, GS_TOP_COUNT, false, NULL);
	assert_int_equal(gs_top_rows_count(t), 2);
	row = gs_top_rows_at(t, 0);
	assert_int_equal(row->count, 8);
	assert_true(row->mixed_state);
	assert_ptr_equal(row->function, &main_serve);

	begin(t, GS_TOP_SINGLE);
	gs_top_rows_finish(t, GS_TOP_COUNT, false, NULL);
	assert_int_equal(gs_top_rows_count(t), 16);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(gs_top_rows_at(t, i)->id, i + 1);
	assert_int_equal(gs_top_rows_states(t)[GS_G_WAITING], 15);
	assert_int_equal(gs_top_rows_states(t)[GS_G_RUNNING], 1);
}

static void test_orders(void **state)
{
	GS_CLEANUP(gs_top_rows_freep) struct gs_top_rows *t = gs_top_rows_new();

	begin(t, GS_TOP_SINGLE);
	gs_top_rows_finish(t, GS_TOP_WAIT, false, NULL);
	assert_int_equal(gs_top_rows_at(t, 0)->id, 10);
	assert_int_equal(gs_top_rows_at(t, 9)->id, 1);
	assert_int_equal(gs_top_rows_at(t, 10)->id, 11); // unknown last, by id
	gs_top_rows_finish(t, GS_TOP_WAIT, true, NULL);
	assert_int_equal(gs_top_rows_at(t, 15)->id, 10);
	gs_top_rows_finish(t, GS_TOP_STATE, false, NULL);
	assert_int_equal(gs_top_rows_at(t, 0)->id, 16); // running before waiting
	gs_top_rows_finish(t, GS_TOP_FUNCTION, false, NULL);
	assert_int_equal(gs_top_rows_at(t, 0)->id, 1); // example.com before main and time
	gs_top_rows_finish(t, GS_TOP_CREATOR, true, NULL);
	assert_ptr_equal(gs_top_rows_at(t, 0)->created_by, &main_serve);
}

static uint32_t shown(struct gs_top_rows *t, const char *filter)
{
	gs_top_rows_finish(t, GS_TOP_COUNT, false, filter);
	return gs_top_rows_count(t);
}

static void test_filter(void **state)
{
	GS_CLEANUP(gs_top_rows_freep) struct gs_top_rows *t = gs_top_rows_new();

	begin(t, GS_TOP_SINGLE);
	assert_int_equal(shown(t, "LEDGER"), 10);
	assert_int_equal(shown(t, "main.handler"), 10); // deeper in the stack
	assert_int_equal(shown(t, "time.sleep"), 5);
	assert_int_equal(shown(t, "mutex"), 10);
	assert_int_equal(shown(t, "running"), 1);
	assert_int_equal(shown(t, "main.run"), 8);
	assert_int_equal(shown(t, "16"), 1); // a whole id
	assert_int_equal(shown(t, "nothing"), 0);
	assert_int_equal(gs_top_rows_total(t), 16);
	assert_int_equal(shown(t, ""), 16); // nothing was lost
	assert_int_equal(shown(t, NULL), 16);
	assert_true(gs_top_row_contains(gs_top_rows_at(t, 0), "ledger"));
	assert_false(gs_top_row_contains(gs_top_rows_at(t, 15), "ledger"));
}

static void test_scope(void **state)
{
	GS_CLEANUP(gs_top_rows_freep) struct gs_top_rows *t = gs_top_rows_new();
	struct gs_top_key key;

	begin(t, GS_TOP_BY_STATE);
	gs_top_rows_finish(t, GS_TOP_COUNT, false, "sleep");
	key = gs_top_row_key(GS_TOP_BY_STATE, gs_top_rows_at(t, 0));
	gs_top_rows_begin(t, GS_TOP_SINGLE, &key, GS_TOP_BY_STATE);
	fill(t);
	gs_top_rows_finish(t, GS_TOP_COUNT, false, NULL);
	assert_int_equal(gs_top_rows_count(t), 5);
	assert_int_equal(gs_top_rows_at(t, 0)->id, 11);
	assert_int_equal(gs_top_rows_states(t)[GS_G_RUNNING], 0);
}

static void test_keys_find_the_row_again(void **state)
{
	for (enum gs_top_group g = 0; g < GS_TOP_GROUP_COUNT; g++) {
		GS_CLEANUP(gs_top_rows_freep) struct gs_top_rows *t = gs_top_rows_new();
		struct gs_top_key key;
		uint32_t found = 0;

		begin(t, g);
		gs_top_rows_finish(t, GS_TOP_COUNT, false, NULL);
		key = gs_top_row_key(g, gs_top_rows_at(t, 1));
		begin(t, g);
		gs_top_rows_finish(t, GS_TOP_COUNT, true, NULL);
		for (uint32_t i = 0; i < gs_top_rows_count(t); i++) {
			struct gs_top_key k = gs_top_row_key(g, gs_top_rows_at(t, i));

			found += gs_top_key_equal(g, &k, &key);
		}
		assert_int_equal(found, 1);
	}
}

/* Groups stay exact while the table grows. */
static void test_many_groups(void **state)
{
	GS_CLEANUP(gs_top_rows_freep) struct gs_top_rows *t = gs_top_rows_new();
	static struct gs_frame creators[20000];
	struct gs_err err;

	gs_top_rows_begin(t, GS_TOP_BY_CREATOR, NULL, 0);
	for (uint32_t i = 0; i < 60000; i++) {
		struct gs_goroutine g = { .id = i + 1,
					  .stack = &idle,
					  .created_by = &creators[i % 20000] };

		creators[i % 20000].function = "f";
		gs_assert_ok(gs_top_rows_add(t, &g, &err), &err);
	}
	gs_top_rows_finish(t, GS_TOP_COUNT, false, NULL);
	assert_int_equal(gs_top_rows_count(t), 20000);
	for (uint32_t i = 0; i < 20000; i++) {
		assert_int_equal(gs_top_rows_at(t, i)->count, 3);
		assert_int_equal(gs_top_rows_at(t, i)->id, i + 1);
	}
}

static void test_function_of_a_stack(void **state)
{
	const struct gs_frame hidden = { .function = "main.x", .flags = GS_FRAME_HIDDEN };
	const struct gs_stack only_hidden = { .n_frames = 1, .frames = &hidden };

	assert_ptr_equal(gs_top_function(&blocked), &blocked_frames[2]);
	assert_ptr_equal(gs_top_function(&idle), &idle_frames[1]);
	assert_ptr_equal(gs_top_function(&only_hidden), &hidden);
	assert_null(gs_top_function(&none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_keys_find_the_row_again),
		cmocka_unit_test(test_many_groups),
		cmocka_unit_test(test_function_of_a_stack),
	};

	return gs_test_main(tests);
}
