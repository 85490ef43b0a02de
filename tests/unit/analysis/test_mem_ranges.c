/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Ranges by their last addition, against an array with an element for each address. */
#include "test.h"

#include <string.h>

#include "analysis/mem_ranges.h"

enum { SIZE = 400 };

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static void check(struct gs__ranges *r, const uint32_t *who)
{
	gs_addr at = 0;

	gs__ranges_settle(r);
	for (uint32_t i = 0; i < r->n; i++) {
		const struct gs__range *x = &r->v[i];

		assert_true(x->start >= at && x->start < x->end && x->end <= SIZE && x->who != 0);
		/* Neighbours of one owner are one. */
		assert_false(i && x->start == at && r->v[i - 1].who == x->who);
		for (; at < x->start; at++)
			assert_int_equal(who[at], 0);
		for (; at < x->end; at++)
			assert_int_equal(who[at], x->who);
	}
	for (; at < SIZE; at++)
		assert_int_equal(who[at], 0);
}

static void as_an_array(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (unsigned int round = 0; round < 300; round++) {
		uint32_t who[SIZE] = { 0 };
		struct gs__ranges r = { 0 };
		unsigned int n = 1 + next_random(&random) % 200;

		for (unsigned int i = 0; i < n; i++) {
			uint32_t start = next_random(&random) % SIZE;
			uint32_t end = start + next_random(&random) % (round % 2 ? 20 : SIZE);
			uint32_t w = next_random(&random) % 5;

			end = end < SIZE ? end : SIZE;
			gs__ranges_add(&r, start, end, w, i);
			for (; start < end; start++)
				who[start] = w;
			if (next_random(&random) % 50 == 0)
				check(&r, who);
		}
		check(&r, who);
		assert_int_equal(r.dropped, 0);
		gs__ranges_deinit(&r);
	}
}

static void calls(void **state)
{
	struct gs__ranges r = { 0 };

	(void)state;
	gs__ranges_add(&r, 0, 100, 1, 1);
	gs__ranges_add(&r, 100, 200, 1, 2);
	gs__ranges_add(&r, 40, 60, 2, 3);
	gs__ranges_add(&r, 300, 300, 3, 4); /* nothing */
	gs__ranges_settle(&r);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.v[0].calls, 1);
	assert_int_equal(r.v[1].calls, 1);
	assert_int_equal(r.v[1].who, 2);
	assert_int_equal(r.v[2].calls, 1);
	assert_int_equal(r.v[2].at, 2);
	gs__ranges_deinit(&r);
}

/* Any number of additions that do not stay are taken; pieces that stay have a bound, and what is beyond is counted. */
static void bounds(void **state)
{
	struct gs__ranges r = { 0 };
	uint64_t at = 0;

	(void)state;
	for (uint32_t i = 0; i < 8 * GS__RANGES_KEPT; i++)
		gs__ranges_add(&r, i % 1000 * 10, i % 1000 * 10 + 5, 1 + i % 3, at++);
	gs__ranges_settle(&r);
	assert_int_equal(r.n, 1000);
	assert_int_equal(r.dropped, 0);
	for (uint32_t i = 0; i < 8 * GS__RANGES_KEPT; i++)
		gs__ranges_add(&r, (gs_addr)i * 10, (gs_addr)i * 10 + 5, 1, at++);
	gs__ranges_settle(&r);
	assert_true(r.n >= GS__RANGES_KEPT && r.n <= 2 * GS__RANGES_KEPT);
	assert_int_equal(r.n + r.dropped, 8 * GS__RANGES_KEPT);
	gs__ranges_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_an_array),
		cmocka_unit_test(calls),
		cmocka_unit_test(bounds),
	};

	return gs_test_main(tests);
}
