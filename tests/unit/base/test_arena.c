/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Arena, overflow-checked arrays, hashing, and single reads over batched memory. */
#include "test.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/memory.h"

static void test_alloc(void **state)
{
	GS_CLEANUP(gs_arena_freep) struct gs_arena *a = gs_arena_new(0);
	unsigned char *blocks[300];

	(void)state; // no fixture
	assert_non_null(a);
	for (size_t i = 0; i < 300; i++) {
		size_t n = i * 37 % 5000 + 1;

		blocks[i] = gs_arena_alloc(a, n);
		assert_non_null(blocks[i]);
		assert_int_equal((uintptr_t)blocks[i] % 16, 0);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(blocks[i][k], 0);
		memset(blocks[i], (int)i, n);
	}
	// Nothing overlaps: each block still holds its own number.
	for (size_t i = 0; i < 300; i++) {
		for (size_t k = 0; k < i * 37 % 5000 + 1; k++)
			assert_int_equal(blocks[i][k], (unsigned char)i);
	}
	assert_string_equal(gs_arena_strndup(a, "abcdef", 3), "abc");
	assert_string_equal(gs_arena_strndup(a, NULL, 0), "");
	assert_non_null(gs_arena_alloc(a, 5 << 20)); // larger than any block
	assert_null(gs_arena_free(NULL));
}

static void test_limit(void **state)
{
	GS_CLEANUP(gs_arena_freep) struct gs_arena *a = gs_arena_new(1000);

	(void)state; // no fixture
	assert_non_null(gs_arena_alloc(a, 900));
	assert_null(gs_arena_alloc(a, 200));
	assert_null(gs_arena_alloc(a, SIZE_MAX));
	assert_null(gs_arena_alloc(a, SIZE_MAX - 8));
	assert_null(gs_arena_array(a, SIZE_MAX / 2, 3));
	assert_null(gs_arena_strndup(a, "x", SIZE_MAX));
	assert_non_null(gs_arena_array(a, 8, 8)); // refused requests cost nothing
	assert_true(gs_arena_used(a) <= 1000);
}

static void test_arrays(void **state)
{
	GS_CLEANUP(gs_freep) int *p = gs_array_new(4, sizeof(*p));
	int *q;

	(void)state; // no fixture
	assert_non_null(p);
	assert_int_equal(p[3], 0);
	p[3] = 7;
	q = gs_array_resize(p, 1000, sizeof(*p));
	assert_non_null(q);
	p = q;
	assert_int_equal(p[3], 7);
	assert_null(gs_array_resize(p, SIZE_MAX / 2, sizeof(*p)));
	assert_int_equal(p[3], 7); // still valid
	q = gs_array_new(0, 8);
	assert_non_null(q);
	free(q);
}

static void test_take(void **state)
{
	char *p = malloc(1);
	GS_CLEANUP(gs_freep) char *q = GS_TAKE(p);

	(void)state; // no fixture
	assert_null(p);
	assert_non_null(q);
}

/* What tables rely on: keys in steps (addresses, counters) reach at least a quarter of the buckets, by
 * the low bits and by the high ones; random keys would reach 63 %. */
static void test_hash(void **state)
{
	static const uint64_t steps[] = {
		1, 8, 16, 0x1000, 0x10001, (uint64_t)1 << 32, (uint64_t)1 << 48
	};
	static uint8_t low[1 << 16], high[1 << 16];
	uint64_t seed = gs_hash_seed();

	(void)state; // no fixture
	assert_int_not_equal(seed, 0);
	assert_true(seed == gs_hash_seed());
	for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
		unsigned int n_low = 0, n_high = 0;

		memset(low, 0, sizeof(low));
		memset(high, 0, sizeof(high));
		for (uint64_t i = 0; i < sizeof(low); i++) {
			uint64_t h = gs_hash_u64(seed, i * steps[k]);

			n_low += !low[h & 0xffff];
			low[h & 0xffff] = 1;
			n_high += !high[h >> 48];
			high[h >> 48] = 1;
		}
		assert_in_range(n_low, sizeof(low) / 4, sizeof(low));
		assert_in_range(n_high, sizeof(high) / 4, sizeof(high));
	}
}

struct fake {
	gs_addr at;
	uint8_t bytes[16];
	int result;
};

static int fake_readv(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct fake *f = ctx;

	if (f->result < 0)
		return gs_fail(err, f->result, 0, "gone");
	for (size_t i = 0; i < n; i++) {
		struct gs_read *r = &reads[i];

		r->result = -GS_E_FAULT;
		if (r->addr < f->at || r->addr - f->at + r->len > sizeof(f->bytes))
			continue;
		memcpy(r->buf, f->bytes + (r->addr - f->at), r->len);
		r->result = 0;
	}
	return 0;
}

static void test_memory(void **state)
{
	struct fake f = { .at = 0x1000, .bytes = { 1, 2, 3, 4, 5, 6, 7, 8, 9 } };
	struct gs_memory m = { .readv = fake_readv, .ctx = &f };
	struct gs_err err;
	uint64_t v64 = 5;
	uint32_t v32;
	uint8_t v8;

	(void)state; // no fixture
	gs_assert_ok(gs_memory_u64(&m, 0x1000, &v64, &err), &err);
	assert_int_equal(v64, 0x0807060504030201);
	gs_assert_ok(gs_memory_u32(&m, 0x1005, &v32, &err), &err);
	assert_int_equal(v32, 0x09080706);
	gs_assert_ok(gs_memory_u8(&m, 0x1008, &v8, &err), &err);
	assert_int_equal(v8, 9);
	v64 = 5;
	gs_assert_fails(-GS_E_FAULT, "8 bytes of target memory at 0x1009",
			gs_memory_u64(&m, 0x1009, &v64, &err), &err);
	assert_int_equal(err.where, 0x1009);
	assert_int_equal(v64, 5);
	f.result = -GS_E_GONE;
	gs_assert_fails(-GS_E_GONE, "gone", gs_memory_u8(&m, 0x1000, &v8, &err), &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),  cmocka_unit_test(test_limit),
		cmocka_unit_test(test_arrays), cmocka_unit_test(test_take),
		cmocka_unit_test(test_hash),   cmocka_unit_test(test_memory),
	};

	return gs_test_main(tests);
}
