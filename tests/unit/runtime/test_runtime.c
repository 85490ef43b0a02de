/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The runtime reader against a made-up process: an image with a real pclntab and moduledata, and
 * memory with goroutines, stacks, holes, cycles and lies. Real processes are tested in tests/live.
 */
#include <string.h>

#include "go_world.h"
#include "test.h"

static bool flipping; /* change goroutine 0 before each read */
static uint8_t tick;

static int setup(void **state)
{
	flipping = false;
	return world_setup(state);
}

/* What a visit saw. Labels and frames are copied where a test looks at them later. */
struct seen {
	struct gs_goroutine g[64];
	char label[128];
	uint32_t n;
};

static int collect(void *ctx, const struct gs_goroutine *g)
{
	struct seen *s = ctx;

	assert_true(s->n < 64);
	s->g[s->n++] = *g;
	if (g->n_labels)
		snprintf(s->label, sizeof(s->label), "%.*s=%.*s/%u", (int)g->labels[0].key_len,
			 g->labels[0].key, (int)g->labels[0].value_len, g->labels[0].value,
			 g->n_labels);
	return 0;
}

static void dump(struct gs_world *w, const struct gs_rt_dump_options *o, struct seen *ret,
		 struct gs_incomplete_list *inc)
{
	static const struct gs_rt_dump_options plain;
	struct gs_err err = { 0 };

	*ret = (struct seen){ 0 };
	*inc = (struct gs_incomplete_list){ 0 };
	if (gs_rt_goroutines(w->rt, o ? o : &plain, collect, ret, inc, &err) != 0)
		fail_msg("%s", err.text);
}

static void test_parked(void **state)
{
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;

	world_add_parked(w, WORLD_RT_MAIN);
	world_add_parked(w, WORLD_WORKER);
	world_add_parked(w, WORLD_BGSWEEP);
	world_open_rt(w);
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 2); /* bgsweep is the runtime's own */
	assert_int_equal(inc.n, 0);
	assert_int_equal(s.g[1].id, 2);
	assert_int_equal(s.g[1].parent_id, 1);
	assert_int_equal(s.g[1].state, GS_G_WAITING);
	assert_string_equal(s.g[1].wait_reason, "chan receive");
	assert_int_equal(s.g[1].wait_ns, 60000000000);
	assert_int_equal(s.g[1].stack->end, GS_STACK_COMPLETE);
	assert_int_equal(s.g[1].stack->n_frames, 3);
	assert_string_equal(s.g[1].stack->frames[0].function, "runtime.gopark");
	assert_true(s.g[1].stack->frames[0].flags & GS_FRAME_HIDDEN);
	assert_string_equal(s.g[1].stack->frames[1].function, "main.worker");
	assert_string_equal(s.g[1].stack->frames[1].file, "/app/main.go");
	assert_int_equal(s.g[1].stack->frames[1].line, 11); /* the call before 0x20 */
	assert_false(s.g[1].stack->frames[1].flags & GS_FRAME_HIDDEN);
	assert_string_equal(s.g[1].stack->frames[2].function, "runtime.goexit");
	assert_string_equal(s.g[1].created_by->function, "main.main");
	assert_null(s.g[0].created_by); /* goroutine 1 has none */
	/* Only runtime frames: nothing is hidden, as in Go. */
	for (uint32_t i = 0; i < s.g[0].stack->n_frames; i++)
		assert_false(s.g[0].stack->frames[i].flags & GS_FRAME_HIDDEN);
}

/* Go 1.24.6 moved fields of runtime.m: the layout has to be that of the patch release. */
static void test_patch_release(void **state)
{
	(void)state; /* a world of its own per release */
	static const char *const versions[] = { "go1.24.5", "go1.24.6", "go1.23.11", "go1.23.12" };
	static const int32_t alllink[] = { 328, 352, 328, 352 };

	for (size_t i = 0; i < GS_ARRAY_SIZE(versions); i++) {
		struct gs_world w;

		world_init(&w, versions[i][4] == '4' ? 24 : 23, versions[i]);
		world_add_parked(&w, WORLD_WORKER);
		world_open_rt(&w);
		assert_int_equal(gs_rt_facts(w.rt)->layout.offset[GS_GO_M_ALLLINK], alllink[i]);
		world_deinit(&w);
	}
}

static void test_options(void **state)
{
	const struct gs_rt_dump_options sys = { .system = true };
	const struct gs_rt_dump_options one = { .only_id = 2 };
	const struct gs_rt_dump_options two = { .limit = 2 };
	const struct gs_rt_dump_options dead = { .dead = true };
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;

	world_add_parked(w, WORLD_RT_MAIN);
	world_add_parked(w, WORLD_WORKER);
	world_add_parked(w, WORLD_BGSWEEP);
	world_put_field(w, world_add_parked(w, WORLD_WORKER), GS_GO_G_ATOMICSTATUS, WORLD_RAW_DEAD);
	world_open_rt(w);
	dump(w, &sys, &s, &inc);
	assert_int_equal(s.n, 3);
	assert_true(s.g[2].system);
	dump(w, &one, &s, &inc);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.g[0].id, 2);
	dump(w, &two, &s, &inc);
	assert_int_equal(s.n, 2);
	dump(w, &dead, &s, &inc);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.g[2].state, GS_G_DEAD);
	assert_int_equal(s.g[2].stack->n_frames, 0);
}

static void test_states(void **state)
{
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;
	uint32_t i;

	world_add_parked(w, WORLD_WORKER);
	i = world_add_parked(w, WORLD_WORKER); /* in a system call: saved pc and sp win */
	world_put_field(w, i, GS_GO_G_ATOMICSTATUS, WORLD_RAW_SYSCALL);
	world_put_field(w, i, GS_GO_G_SYSCALLSP,
			WORLD_STACKS + i * WORLD_STACK_SIZE + WORLD_STACK_SIZE - 0x18);
	world_put_field(w, i, GS_GO_G_SYSCALLPC, world_pc(w, WORLD_WORKER, 0x20));
	i = world_add_parked(w, WORLD_WORKER); /* being scanned */
	world_put_field(w, i, GS_GO_G_ATOMICSTATUS, WORLD_RAW_WAITING | WORLD_RAW_SCAN);
	i = world_add_parked(w, WORLD_WORKER);
	world_put_field(w, i, GS_GO_G_ATOMICSTATUS, WORLD_RAW_RUNNING);
	world_open_rt(w);
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.g[1].state, GS_G_SYSCALL);
	assert_string_equal(s.g[1].stack->frames[0].function, "main.worker");
	assert_int_equal(s.g[1].stack->end, GS_STACK_COMPLETE);
	assert_true(s.g[2].scan);
	assert_int_equal(s.g[2].state, GS_G_WAITING);
	assert_ptr_equal(s.g[2].stack, s.g[0].stack); /* equal stacks are one */
	assert_int_equal(s.g[3].stack->end, GS_STACK_NONE);
	assert_int_equal(world_missing(&inc, "running_without_stack"), 1);
}

static void test_wild_pointers(void **state)
{
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;
	uint32_t i;

	world_add_parked(w, WORLD_WORKER);
	for (int k = 0; k < 20; k++)
		world_add_parked(w, WORLD_WORKER);
	world_open_rt(w);
	world_put64(w, WORLD_LIST + 8 * 3, 0xdeadbeef0000); /* no memory there */
	world_put64(w, WORLD_LIST + 8 * 4, 0);
	world_put64(w, WORLD_LIST + 8 * 5, 0xffffffffffffff00);
	i = 6; /* stack pointer outside of the stack */
	world_put_field(w, i, GS_GO_G_SCHED_SP, 0x10);
	i = 7; /* pc that is no code */
	world_put_field(w, i, GS_GO_G_SCHED_PC, 0x1234);
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 21 - 3);
	assert_int_equal(world_missing(&inc, "goroutines_unreadable"), 2);
	assert_int_equal(world_missing(&inc, "stacks_broken"), 2);
}

static void test_cyclic_stack(void **state)
{
	struct gs_world *w = *state;
	gs_addr sp = WORLD_STACKS + WORLD_STACK_SIZE - 0x40;
	struct gs_incomplete_list inc;
	struct seen s;

	world_add_parked(w, WORLD_SPIN);
	for (int k = 0; k < 8; k++) /* every word returns into a function without a frame */
		world_put64(w, sp + 8ul * (unsigned int)k, world_pc(w, WORLD_SPIN, 0x10));
	world_open_rt(w);
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.g[0].stack->end, GS_STACK_BROKEN);
	assert_in_range(s.g[0].stack->n_frames, 1, 16);
	assert_int_equal(world_missing(&inc, "stacks_broken"), 1);
}

static void test_lying_length(void **state)
{
	static const struct gs_rt_dump_options plain;
	struct gs_world *w = *state;
	struct gs_incomplete_list inc = { 0 };
	struct gs_err err = { 0 };
	struct seen s = { 0 };

	world_add_parked(w, WORLD_WORKER);
	world_open_rt(w);
	world_put64(w, WORLD_VARS, 1ull << 40);
	assert_int_equal(gs_rt_goroutines(w->rt, &plain, collect, &s, &inc, &err), -GS_E_BAD_DATA);
	assert_non_null(strstr(err.text, "1099511627776"));
	world_put64(w, WORLD_VARS, 3000); /* more than the array has */
	assert_int_equal(gs_rt_goroutines(w->rt, &plain, collect, &s, &inc, &err), 0);
	assert_true(world_missing(&inc, "goroutines_unreadable") > 0);
}

static void flip(void *ctx, struct gs_target *t, gs_addr addr, size_t len)
{
	struct gs_world *w = ctx;
	gs_addr at = WORLD_GS + (gs_addr)w->layout.offset[GS_GO_G_TRACKING_SEQ];

	(void)t; /* put() knows it */
	if (flipping && addr <= at && at < addr + len) {
		tick++;
		world_put(w, at, &tick, 1);
	}
}

static void test_torn(void **state)
{
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;

	world_add_parked(w, WORLD_WORKER);
	world_add_parked(w, WORLD_WORKER);
	world_open_rt(w);
	gs_target_fake_on_read(w->target, flip, w);
	flipping = true;
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.g[0].stack->end, GS_STACK_TORN);
	assert_true(s.g[0].moved);
	assert_int_equal(s.g[0].stack->n_frames, 0);
	assert_int_equal(s.g[1].stack->end, GS_STACK_COMPLETE);
	assert_int_equal(world_missing(&inc, "goroutines_torn"), 1);
}

static void test_labels(void **state)
{
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;
	uint32_t i;

	world_add_parked(w, WORLD_WORKER);
	i = world_add_parked(w, WORLD_WORKER);
	world_put_field(w, i, GS_GO_G_LABELS, WORLD_LABELS);
	world_put64(w, WORLD_LABELS, WORLD_LABELS + 0x100);
	world_put64(w, WORLD_LABELS + 8, 1);
	world_put64(w, WORLD_LABELS + 16, 1);
	world_put64(w, WORLD_LABELS + 0x100, WORLD_LABELS + 0x200);
	world_put64(w, WORLD_LABELS + 0x108, 7);
	world_put64(w, WORLD_LABELS + 0x110, WORLD_LABELS + 0x210);
	world_put64(w, WORLD_LABELS + 0x118, 4);
	world_put(w, WORLD_LABELS + 0x200, "handler", 7);
	world_put(w, WORLD_LABELS + 0x210, "cart", 4);
	i = world_add_parked(w, WORLD_WORKER); /* a pointer to nowhere */
	world_put_field(w, i, GS_GO_G_LABELS, 0x123456789000);
	i = world_add_parked(w, WORLD_WORKER); /* a count that cannot be */
	world_put_field(w, i, GS_GO_G_LABELS, WORLD_LABELS + 0x300);
	world_put64(w, WORLD_LABELS + 0x300, WORLD_LABELS);
	world_put64(w, WORLD_LABELS + 0x308, 1ull << 60);
	world_put64(w, WORLD_LABELS + 0x310, 1ull << 60);
	world_open_rt(w);
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.g[1].n_labels, 1);
	assert_string_equal(s.label, "handler=cart/1");
	assert_int_equal(s.g[2].n_labels, 0);
	assert_int_equal(s.g[3].n_labels, 0);
}

static void test_thread_cycle(void **state)
{
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	uint8_t m[4096] = { 0 };
	struct seen s;

	world_add_parked(w, WORLD_WORKER);
	world_put(w, WORLD_MS, m, sizeof(m));
	world_put64(w, WORLD_MS + (gs_addr)w->layout.offset[GS_GO_M_ALLLINK], WORLD_MS);
	world_put64(w, WORLD_MS + (gs_addr)w->layout.offset[GS_GO_M_PROCID], 77);
	world_put64(w, WORLD_VARS + 16, WORLD_MS);
	world_open_rt(w);
	w->rt->facts.globals.addr[GS_GO_GLOBAL_ALLM] =
		WORLD_VARS + 16; /* even if the check refused it */
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 1);
	assert_int_equal(world_missing(&inc, "threads_unreadable"), 1);
}

static void test_read_failures(void **state)
{
	struct gs_world *w = *state;

	world_add_parked(w, WORLD_WORKER);
	world_add_parked(w, WORLD_WORKER);
	/* Whichever read fails, there is an answer or a failure, and nothing crashes or leaks. */
	for (uint64_t n = 1; n < 60; n++) {
		static const struct gs_rt_dump_options plain;
		struct gs_incomplete_list inc = { 0 };
		struct seen s = { 0 };

		gs_target_fake_fail_nth(w->target, n);
		w->rt = gs_rt_free(w->rt);
		if (gs_rt_open(w->target, &w->rt, NULL) == 0)
			(void)!gs_rt_goroutines(w->rt, &plain, collect, &s, &inc, NULL);
	}
	gs_target_fake_fail_nth(w->target, 0);
}

static void test_not_go(void **state)
{
	struct gs_builder *b = gs_builder_new(GS_IMAGE_ELF, GS_ARCH_AMD64);
	struct gs_err err = { 0 };
	struct gs_target *t;
	struct gs_image *img;
	const uint8_t *bytes;
	struct gs_rt *rt;
	size_t size;

	(void)state; /* has a world of its own */
	gs_builder_section(b, ".text", 0x401000, GS_IMAGE_READ | GS_IMAGE_EXEC, "\xc3", 1);
	bytes = gs_builder_finish(b, &size);
	assert_int_equal(gs_image_from_bytes(bytes, size, "sleep", &img, NULL), 0);
	assert_int_equal(gs_target_fake_new(GS_ARCH_AMD64, &t, NULL), 0);
	gs_target_fake_image_take(t, img, 0);
	assert_int_equal(gs_rt_open(t, &rt, &err), -GS_E_NOT_GO);
	assert_non_null(strstr(err.text, "not a Go program"));
	gs_target_free(t);
	gs_builder_free(b);
}

static void test_hidden_names(void **state)
{
	(void)state; /* pure */
	assert_true(gs__runtime_internal("runtime.gopark", 27));
	assert_false(gs__runtime_internal("runtime.Gosched", 27));
	assert_true(gs__runtime_internal("runtime.(*timers).run", 27));
	assert_false(gs__runtime_internal("runtime.(*Func).Entry", 27));
	assert_true(gs__runtime_internal("runtime.(*Func).Entry", 22));
	assert_true(gs__runtime_internal("runtime.(*mutex).Lock", 27));
	assert_false(gs__runtime_internal("runtime/pprof.Do", 27));
	assert_true(gs__runtime_internal("_rt0_amd64_linux", 27));
	assert_true(gs__runtime_internal("runtime.", 27));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_parked),
		cmocka_unit_test(test_patch_release),
		T(test_options),
		T(test_states),
		T(test_wild_pointers),
		T(test_cyclic_stack),
		T(test_lying_length),
		T(test_torn),
		T(test_labels),
		T(test_thread_cycle),
		T(test_read_failures),
		cmocka_unit_test(test_not_go),
		cmocka_unit_test(test_hidden_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
