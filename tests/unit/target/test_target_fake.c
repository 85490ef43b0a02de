/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The fake that tests of higher layers stand on: holes, overlaps, faults on demand, movement. */
#include "test.h"

#include <errno.h>

#include "target/fake.h"

static struct gs_target *fresh(void)
{
	struct gs_target *t = NULL;
	struct gs_err err;

	gs_assert_ok(gs_target_fake_new(GS_ARCH_AMD64, &t, &err), &err);
	return t;
}

static int read_at(struct gs_target *t, gs_addr addr, void *buf, size_t n)
{
	return gs_memory_read(gs_target_memory(t), addr, buf, n, NULL);
}

static void test_pieces_and_holes(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = fresh();
	uint8_t big[10000], buf[10000];
	struct gs_err err;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7);
	gs_assert_ok(gs_target_fake_map(t, 0x10ff0, big, sizeof(big), &err), &err);
	assert_int_equal(read_at(t, 0x10ff0, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, big, sizeof(big));
	assert_int_equal(read_at(t, 0x10fef, buf, 2), -GS_E_FAULT);
	assert_int_equal(read_at(t, 0x10ff0 + 9999, buf, 2), -GS_E_FAULT);
	assert_int_equal(read_at(t, 0x10ff0 + 10000, buf, 0), 0);

	// A later piece wins.
	gs_assert_ok(gs_target_fake_map(t, 0x11000, "new", 3, &err), &err);
	assert_int_equal(read_at(t, 0x10fff, buf, 5), 0);
	assert_int_equal(buf[0], big[15]);
	assert_memory_equal(buf + 1, "new", 3);
	assert_int_equal(buf[4], big[19]);

	// The very end of the address space.
	gs_assert_ok(gs_target_fake_map(t, UINT64_MAX, "z", 1, &err), &err);
	assert_int_equal(read_at(t, UINT64_MAX, buf, 1), 0);
	assert_int_equal(read_at(t, UINT64_MAX, buf, 2), -GS_E_FAULT);
	assert_int_equal(gs_target_fake_map(t, UINT64_MAX, "zz", 2, &err), -EINVAL);
}

static void test_maps(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = fresh();
	const struct gs_map *m;
	struct gs_err err;
	size_t n;

	gs_target_maps(t, &n);
	assert_int_equal(n, 0);
	gs_assert_ok(gs_target_fake_map(t, 0x5000, "x", 1, &err), &err);
	gs_assert_ok(gs_target_fake_map(t, 0x1fff, "xy", 2, &err), &err);
	m = gs_target_maps(t, &n);
	assert_int_equal(n, 2);
	assert_int_equal(m[0].start, 0x1000);
	assert_int_equal(m[0].end, 0x3000);
	assert_int_equal(m[1].start, 0x5000);
	assert_ptr_equal(gs_target_map_at(t, 0x5abc), &m[1]);
	assert_null(gs_target_map_at(t, 0x4000));
}

static void test_fail_nth(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = fresh();
	struct gs_err err;
	uint8_t b;

	gs_assert_ok(gs_target_fake_map(t, 0x1000, "abc", 3, &err), &err);
	gs_target_fake_fail_nth(t, 2);
	assert_int_equal(read_at(t, 0x1000, &b, 1), 0);
	assert_int_equal(read_at(t, 0x1000, &b, 1), -GS_E_FAULT);
	assert_int_equal(read_at(t, 0x1000, &b, 1), 0);
}

static void grow(void *ctx, struct gs_target *t, gs_addr addr, size_t len)
{
	uint8_t *count = (uint8_t *)ctx;
	struct gs_err err;

	++*count;
	gs_assert_ok(gs_target_fake_map(t, addr, count, 1, &err), &err);
}

static void test_moves(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = fresh();
	uint8_t count = 0, b[2];
	struct gs_read two[2] = { { .addr = 0x1000, .buf = &b[0], .len = 1 },
				  { .addr = 0x1000, .buf = &b[1], .len = 1 } };

	gs_target_fake_on_read(t, grow, &count);
	assert_int_equal(gs_target_memory(t)->readv(gs_target_memory(t)->ctx, two, 2, NULL), 0);
	assert_int_equal(b[0], 1);
	assert_int_equal(b[1], 2);
}

static void test_the_rest(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = fresh();
	struct gs_thread in[2] = { { .tid = 7, .has_regs = true, .regs.pc = 0x1234 },
				   { .tid = 8 } };
	const struct gs_thread *out;
	struct gs_err err;
	int64_t paused;
	uint64_t v;
	size_t n;

	assert_int_equal(gs_target_kind(t), GS_TARGET_FAKE);
	assert_int_equal(gs_target_arch(t), GS_ARCH_AMD64);
	assert_null(gs_target_image(t));
	assert_int_equal(gs_target_exe_fd(t), -1);
	gs_assert_ok(gs_target_fake_threads(t, in, 2, &err), &err);
	gs_assert_ok(gs_target_threads(t, &out, &n, &err), &err);
	assert_int_equal(n, 2);
	assert_int_equal(out[0].regs.pc, 0x1234);
	gs_target_fake_now(t, 99);
	assert_int_equal(gs_target_now_ns(t), 99);
	gs_assert_ok(gs_target_alive(t, &err), &err);
	gs_assert_ok(gs_target_stop(t, 0, &err), &err);
	gs_assert_ok(gs_target_resume(t, &paused, &err), &err);
	assert_int_equal(paused, 0);
	gs_assert_result(1, gs_target_auxv(t, 3, &v, &err), &err);
	assert_null(gs_target_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_and_holes), cmocka_unit_test(test_maps),
		cmocka_unit_test(test_fail_nth),         cmocka_unit_test(test_moves),
		cmocka_unit_test(test_the_rest),
	};

	return gs_test_main(tests);
}
