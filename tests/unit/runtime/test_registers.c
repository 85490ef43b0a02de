/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Threads of a target that stands still: what they hold in registers and on the stack they are on. */
#include "go_world.h"
#include "runtime/rt_roots.h"
#include "test.h"

enum { HEAP_AT = 0x50000000, TID = 77 };

struct seen {
	gs_addr value[512];
	uint32_t n;
};

static int collect(void *ctx, const struct gs_rt_pointer *p, size_t n)
{
	struct seen *s = ctx;

	for (size_t i = 0; i < n; i++) {
		assert_true(s->n < GS_ARRAY_SIZE(s->value));
		s->value[s->n++] = p[i].value;
	}
	return 0;
}

static int collect_stack(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	(void)which;
	return collect(ctx, p, n);
}

static bool has(const struct seen *s, gs_addr value)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->value[i] == value)
			return true;
	return false;
}

static gs_addr stack_at(uint32_t i, uint32_t off)
{
	return WORLD_STACKS + i * WORLD_STACK_SIZE + off;
}

/* Goroutine 0 runs on a thread whose system stack is that of goroutine 1. Words of both stacks are known. */
static void set_up(struct gs_world *w, gs_addr sp, bool has_p)
{
	const struct gs_go_layout *l = &w->layout;
	struct gs_thread th = { .tid = TID, .ns_tid = TID, .has_regs = true };
	struct gs_err err = { 0 };
	uint8_t zero[2048] = { 0 };

	world_add_parked(w, WORLD_WORKER);
	world_add_parked(w, WORLD_WORKER);
	world_put_field(w, 0, GS_GO_G_ATOMICSTATUS, WORLD_RAW_RUNNING);
	for (uint32_t i = 0; i < 2; i++) {
		world_put64(w, stack_at(i, 0x100), HEAP_AT + i * 0x1000 + 1);
		world_put64(w, stack_at(i, 0x300), HEAP_AT + i * 0x1000 + 2);
	}
	assert_true(l->offset[GS_GO_M_SIZE] <= (int32_t)sizeof(zero));
	world_put(w, WORLD_MS, zero, sizeof(zero));
	world_put64(w, WORLD_VARS + 16, WORLD_MS);
	world_put64(w, WORLD_MS + (gs_addr)l->offset[GS_GO_M_G0], WORLD_GS + WORLD_G_STRIDE);
	world_put64(w, WORLD_MS + (gs_addr)l->offset[GS_GO_M_CURG], WORLD_GS);
	world_put64(w, WORLD_MS + (gs_addr)l->offset[GS_GO_M_PROCID], TID);
	world_put64(w, WORLD_MS + (gs_addr)l->offset[GS_GO_M_P], has_p ? HEAP_AT : 0);
	world_put_field(w, 0, GS_GO_G_M, WORLD_MS);
	th.regs.sp = sp;
	th.regs.general[3] = HEAP_AT + 0x5000;
	th.regs.vector[9] = HEAP_AT + 0x6000;
	gs_assert_ok(gs_target_fake_threads(w->target, &th, 1, &err), &err);
	world_open_rt(w);
}

static void look(struct gs_world *w, struct seen *ret_stack, struct seen *ret_threads,
		 uint64_t *ret_unseen)
{
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs = NULL;
	struct gs_incomplete_list inc = { 0 };
	struct gs_err err = { 0 };
	uint32_t which = 0;

	ret_stack->n = ret_threads->n = 0;
	gs_assert_ok(gs_rt_gs_read(w->rt, &gs, &inc, &err), &err);
	gs_assert_ok(
		gs_rt_stack_roots(w->rt, gs, &which, 1, true, collect_stack, ret_stack, &inc, &err),
		&err);
	gs_assert_ok(gs_rt_thread_roots(w->rt, gs, collect, ret_threads, &inc, &err), &err);
	*ret_unseen = world_missing(&inc, "running_without_registers");
}

static void test_own_stack(void **state)
{
	struct gs_world *w = *state;
	struct seen stack, threads;
	uint64_t unseen;

	set_up(w, stack_at(0, 0x200), true);
	look(w, &stack, &threads, &unseen);
	assert_int_equal(unseen, 0);
	assert_true(has(&stack, HEAP_AT + 0x5000) && has(&stack, HEAP_AT + 0x6000));
	assert_true(has(&stack, HEAP_AT + 2));  // above sp
	assert_false(has(&stack, HEAP_AT + 1)); // below: of calls that have returned
	assert_int_equal(threads.n, 0);
}

static void test_system_stack(void **state)
{
	struct gs_world *w = *state;
	struct seen stack, threads;
	uint64_t unseen;

	set_up(w, stack_at(1, 0x200), true);
	look(w, &stack, &threads, &unseen);
	assert_int_equal(unseen, 0);
	assert_true(has(&stack, HEAP_AT + 1) && has(&stack, HEAP_AT + 2)); // all of its own
	assert_true(has(&threads, HEAP_AT + 0x5000) && has(&threads, HEAP_AT + 0x6000));
	assert_true(has(&threads, HEAP_AT + 0x1002));
	assert_false(has(&threads, HEAP_AT + 0x1001));
}

static void test_without_p(void **state)
{
	struct gs_world *w = *state;
	struct seen stack, threads;
	uint64_t unseen;

	set_up(w, stack_at(1, 0x200), false);
	look(w, &stack, &threads, &unseen);
	assert_int_equal(threads.n, 0); // it touches no pointers of the heap
}

static void test_unknown_thread(void **state)
{
	struct gs_world *w = *state;
	struct seen stack, threads;
	uint64_t unseen;

	set_up(w, stack_at(0, 0x200), true);
	world_put64(w, WORLD_MS + (gs_addr)w->layout.offset[GS_GO_M_PROCID], TID + 1);
	look(w, &stack, &threads, &unseen);
	assert_int_equal(unseen, 1);
	assert_true(has(&stack, HEAP_AT + 1) && has(&stack, HEAP_AT + 2));
	assert_false(has(&stack, HEAP_AT + 0x5000));
}

static void test_endless_stack(void **state)
{
	struct gs_world *w = *state;
	struct seen stack, threads;
	uint64_t unseen;

	set_up(w, stack_at(1, 0x200), true);
	world_put_field(w, 1, GS_GO_G_STACK_HI, UINT64_MAX);
	look(w, &stack, &threads, &unseen);
	assert_true(has(&threads, HEAP_AT + 0x5000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
		TEST(test_own_stack),      TEST(test_system_stack),  TEST(test_without_p),
		TEST(test_unknown_thread), TEST(test_endless_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
