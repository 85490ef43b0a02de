/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Groups against a plain recount: what belongs together, and the waits of each group. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/group.h"
#include "base/hash.h"

#define SECOND INT64_C(1000000000)

static const struct gs_stack stacks[2] = { { .id = 7, .hash = 70 }, { .id = 9, .hash = 90 } };
static const struct gs_frame creators[2] = { { .pc = 0x10, .function = "main.a", .file = "" },
					     { .pc = 0x20, .function = "main.b", .file = "" } };

static struct gs_goroutine goroutine(uint64_t id, int64_t wait_ns)
{
	return (struct gs_goroutine){ .id = id,
				      .state = GS_G_WAITING,
				      .wait_reason = "chan receive",
				      .wait_ns = wait_ns,
				      .stack = &stacks[0],
				      .created_by = &creators[0] };
}

static void add(struct gs_groups *gs, const struct gs_goroutine *g)
{
	struct gs_err err;

	gs_assert_ok(gs_groups_add(gs, g, &err), &err);
}

static void empty(void **state)
{
	GS_CLEANUP(gs_groups_freep) struct gs_groups *gs = gs_groups_new();
	uint32_t n = 5;

	assert_non_null(gs);
	gs_groups_sorted(gs, &n);
	assert_int_equal(n, 0);
	assert_null(gs_groups_free(NULL));
}

static void what_tells_groups_apart(void **state)
{
	GS_CLEANUP(gs_groups_freep) struct gs_groups *gs = gs_groups_new();
	char reason[] = "chan receive"; /* the same text elsewhere */
	struct gs_frame creator = creators[0];
	struct gs_goroutine g = goroutine(1, -1);
	const struct gs_group *groups;
	uint32_t n;

	add(gs, &g);
	g = goroutine(2, -1), g.wait_reason = reason, g.created_by = &creator;
	add(gs, &g);
	g = goroutine(3, -1), g.stack = &stacks[1];
	add(gs, &g);
	g = goroutine(4, -1), g.state = GS_G_LEAKED;
	add(gs, &g);
	g = goroutine(5, -1), g.wait_reason = "chan send";
	add(gs, &g);
	g = goroutine(6, -1), g.wait_reason = NULL;
	add(gs, &g);
	g = goroutine(7, -1), g.created_by = &creators[1];
	add(gs, &g);
	g = goroutine(8, -1), g.created_by = NULL;
	add(gs, &g);
	groups = gs_groups_sorted(gs, &n);
	assert_int_equal(n, 7);
	assert_int_equal(groups[0].count, 2);
	for (uint32_t i = 1; i < n; i++) {
		assert_int_equal(groups[i].count, 1);
		assert_int_equal(groups[i].first_ids[0], i + 2); /* ties: lowest id first */
	}
}

static void ids_and_waits(void **state)
{
	GS_CLEANUP(gs_groups_freep) struct gs_groups *gs = gs_groups_new();
	static const uint64_t ids[] = { 50, 3, 90, 12, 7, 88, 2, 64, 5, 41, 1 };
	static const uint64_t lowest[] = { 1, 2, 3, 5, 7, 12, 41, 50 };
	const struct gs_group *p;
	struct gs_err err;
	uint32_t n;

	for (size_t i = 0; i < GS_ARRAY_SIZE(ids); i++) {
		struct gs_goroutine g = goroutine(ids[i], i < 8 ? (int64_t)(i % 4) * SECOND : -1);

		g.locked = i == 2;
		add(gs, &g);
	}
	p = gs_groups_sorted(gs, &n);
	assert_int_equal(n, 1);
	assert_int_equal(p->count, 11);
	assert_int_equal(p->locked, 1);
	assert_int_equal(p->n_first_ids, GS_GROUP_IDS);
	assert_memory_equal(p->first_ids, lowest, sizeof(lowest));
	assert_int_equal(p->known_waits, 8); /* 0 0 1 1 2 2 3 3 */
	assert_int_equal(p->wait_min_ns, 0);
	assert_int_equal(p->wait_median_ns, SECOND);
	assert_int_equal(p->wait_max_ns, 3 * SECOND);
	assert_false(p->median_estimated);
	struct gs_goroutine late = goroutine(100, -1);
	gs_assert_fails(-EINVAL, "sorted", gs_groups_add(gs, &late, &err), &err);
}

static void no_known_wait(void **state)
{
	GS_CLEANUP(gs_groups_freep) struct gs_groups *gs = gs_groups_new();
	struct gs_goroutine g = goroutine(1, -1);
	const struct gs_group *p;
	uint32_t n;

	add(gs, &g);
	p = gs_groups_sorted(gs, &n);
	assert_int_equal(p->known_waits, 0);
	assert_int_equal(p->wait_min_ns, -1);
	assert_int_equal(p->wait_median_ns, -1);
	assert_int_equal(p->wait_max_ns, -1);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* @n waits out of @distinct values, in a random order, against sorting them. */
static void check_waits(uint32_t n, uint32_t distinct, int64_t unit, bool exact)
{
	GS_CLEANUP(gs_groups_freep) struct gs_groups *gs = gs_groups_new();
	int64_t *waits = calloc(n, sizeof(*waits)), median, off;
	uint64_t random = 12345;
	const struct gs_group *p;
	uint32_t n_groups;

	assert_non_null(waits);
	for (uint32_t i = 0; i < n; i++) {
		struct gs_goroutine g;

		random = gs_hash_u64(random, i);
		waits[i] = (int64_t)(random % distinct) * unit;
		g = goroutine(i + 1, waits[i]);
		add(gs, &g);
	}
	qsort(waits, n, sizeof(*waits), by_value);
	median = waits[(n - 1) / 2];
	p = gs_groups_sorted(gs, &n_groups);
	assert_int_equal(n_groups, 1);
	assert_int_equal(p->known_waits, n);
	assert_int_equal(p->wait_min_ns, waits[0]);
	assert_int_equal(p->wait_max_ns, waits[n - 1]);
	assert_int_equal(p->median_estimated, !exact);
	off = llabs(p->wait_median_ns - median);
	assert_true(exact ? off == 0 : off <= median / 100 * 7 + 1);
	free(waits);
}

static void medians(void **state)
{
	check_waits(1, 1, SECOND, true);
	check_waits(5000, 2, SECOND, true);
	check_waits(5000, GS_GROUP_WAITS, SECOND, true);
	check_waits(20000, 5000, SECOND, false);
	check_waits(20000, 5000, 1, false);
	check_waits(20000, 1000000, INT64_MAX / 1000000, false);
	check_waits(3000, 2000, 0, true);
}

/* Many groups: every one is found again, the largest come first. */
static void many_groups(void **state)
{
	enum { STACKS = 20000 };
	GS_CLEANUP(gs_groups_freep) struct gs_groups *gs = gs_groups_new();
	struct gs_stack *many = calloc(STACKS, sizeof(*many));
	const struct gs_group *groups;
	uint32_t n;

	assert_non_null(many);
	for (uint32_t i = 0; i < STACKS; i++)
		many[i].id = i;
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < STACKS; i += 1 + round) {
			struct gs_goroutine g = goroutine(round * STACKS + i + 1, SECOND);

			g.stack = &many[i];
			add(gs, &g);
		}
	}
	groups = gs_groups_sorted(gs, &n);
	assert_int_equal(n, STACKS);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t id = groups[i].stack->id;

		assert_int_equal(groups[i].count, 1 + (id % 2 == 0) + (id % 3 == 0));
		assert_int_equal(groups[i].first_ids[0], id + 1);
		if (i)
			assert_true(groups[i - 1].count > groups[i].count ||
				    (groups[i - 1].count == groups[i].count &&
				     groups[i - 1].first_ids[0] < groups[i].first_ids[0]));
	}
	free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),         cmocka_unit_test(what_tells_groups_apart),
		cmocka_unit_test(ids_and_waits), cmocka_unit_test(no_known_wait),
		cmocka_unit_test(medians),       cmocka_unit_test(many_groups),
	};

	return gs_test_main(tests);
}
