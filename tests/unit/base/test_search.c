/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Binary search against a walk, what it asks and how often, and the type of its result. */
#include "test.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/search.h"

enum { MAX = 70 };

/* Multiples of 3, each once or twice, and all answers between and around them. */
static void test_against_walk(void **state)
{
	uint32_t v[MAX];

	(void)state; // no fixture
	for (uint32_t i = 0; i < MAX; i++)
		v[i] = 3 * (i - i / 4);
	for (uint32_t n = 0; n <= MAX; n++)
		for (uint32_t key = 0; key <= v[MAX - 1] + 1; key++) {
			uint32_t from = 0, behind;

			while (from < n && v[from] < key)
				from++;
			for (behind = from; behind < n && v[behind] == key;)
				behind++;
			assert_int_equal(GS_SEARCH(i, n, v[i] >= key), from);
			assert_int_equal(GS_SEARCH(i, n, v[i] > key), behind);
		}
}

/* Each at most once, few of them, none outside; and how many there are only once. */
static void test_asks_little(void **state)
{
	(void)state; // no fixture
	for (uint32_t n = 0; n < MAX; n++)
		for (uint32_t first = 0; first <= n; first++) {
			uint32_t asked[MAX] = { 0 }, total = 0, times = 0;
			uint32_t at =
				GS_SEARCH(i, (times++, n),
					  (assert_true(i < n), asked[i]++, total++, i >= first));

			assert_int_equal(at, first);
			assert_int_equal(times, 1);
			assert_true(total <= 7); // 2^7 > MAX
			for (uint32_t i = 0; i < n; i++)
				assert_true(asked[i] <= 1);
		}
}

/* Sizes that do not fit into less than 64 bits, and of a halving that would overflow. */
static void test_types(void **state)
{
	const uint64_t large = UINT64_MAX;
	const uint16_t small = 9;

	(void)state; // no fixture
	assert_true(GS_SEARCH(i, large, i >= UINT64_MAX - 5) == UINT64_MAX - 5);
	assert_true(GS_SEARCH(i, large, false) == UINT64_MAX);
	assert_true(GS_SEARCH(i, UINT32_MAX, i >= UINT32_MAX - 1) == UINT32_MAX - 1);
	assert_true(GS_SEARCH(i, small, i >= 4) == 4);
	assert_int_equal(sizeof(GS_SEARCH(i, large, true)), sizeof(uint64_t));
	assert_int_equal(sizeof(GS_SEARCH(i, (uint32_t)1, true)), sizeof(uint32_t));
}

/* A row that has what is sought, by a search in each row; and a place in places found. */
static void test_nested(void **state)
{
	static const uint32_t row[3][4] = { { 1, 2, 3, 4 }, { 5, 6, 9, 9 }, { 10, 20, 30, 40 } };
	uint32_t n = 3;

	(void)state; // no fixture
	for (uint32_t key = 0; key <= 41; key++) {
		uint32_t r = GS_SEARCH(i, n, GS_SEARCH(k, 4u, row[i][k] >= key) < 4);

		assert_int_equal(r, key <= 4 ? 0 : key <= 9 ? 1 : key <= 40 ? 2 : 3);
	}
	assert_int_equal(GS_SEARCH(i, GS_SEARCH(k, 4u, row[2][k] >= 30), row[2][i] > 10), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_walk),
		cmocka_unit_test(test_asks_little),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_nested),
	};

	return gs_test_main(tests);
}
