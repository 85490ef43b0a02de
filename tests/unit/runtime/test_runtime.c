/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The runtime reader against a made-up process: an image with a real pclntab and moduledata, and
 * memory with goroutines, stacks, holes, cycles and lies. Real processes are tested in tests/live.
 */
#include <string.h>

#include "pclntab_builder.h"
#include "runtime/rt_private.h"
#include "target/fake.h"
#include "test.h"

enum {
	GS = 0x20000000,     /* g structures, 512 bytes apart */
	STACKS = 0x30000000, /* 2048 bytes each */
	LIST = 0x28000000,   /* allgptr's array */
	VARS = 0x29000000,   /* allglen, allgptr, allm */
	LABELS = 0x2a000000,
	MS = 0x2b000000,
};
/* g.atomicstatus as runtime2.go numbers it. */
enum { RAW_RUNNING = 2, RAW_SYSCALL = 3, RAW_WAITING = 4, RAW_DEAD = 6, RAW_SCAN = 0x1000 };
#define G_STRIDE 512u
#define STACK_SIZE 2048u

/* Functions of the made-up program, 0x40 bytes each, in this order. */
enum { GOEXIT, GOPARK, RT_MAIN, BGSWEEP, WORKER, MAIN, SPIN, N_FUNCS };
#define FUNC_SIZE 0x40u

static const struct gs_build_step sp0[] = { { 0, 0 } };
static const struct gs_build_step sp20[] = { { 0, 0 }, { 8, 0x20 } };
static const struct gs_build_step sp10[] = { { 0, 0 }, { 8, 0x10 } };
static const struct gs_build_step file0[] = { { 0, 0 } };
static const struct gs_build_step file1[] = { { 0, 1 } };
static const struct gs_build_step lines[] = { { 0, 10 }, { 0x10, 11 }, { 0x20, 12 } };
static const char *const files[] = { "/go/src/runtime/proc.go", "/app/main.go" };

#define FUNC(i, n, s, fl, flags)                                                                   \
	{                                                                                          \
		.name = n, .offset = (i)*FUNC_SIZE, .size = FUNC_SIZE, .flag = flags, .sp = s,     \
		.n_sp = GS_ARRAY_SIZE(s), .file = fl, .n_file = 1, .line = lines, .n_line = 3,     \
		.start_line = 9                                                                    \
	}

static const struct gs_build_func funcs[N_FUNCS] = {
	FUNC(GOEXIT, "runtime.goexit", sp0, file0, GS_GO_FLAG_TOP_FRAME),
	FUNC(GOPARK, "runtime.gopark", sp20, file0, 0),
	FUNC(RT_MAIN, "runtime.main", sp10, file0, 0),
	FUNC(BGSWEEP, "runtime.bgsweep", sp10, file0, 0),
	FUNC(WORKER, "main.worker", sp10, file1, 0),
	FUNC(MAIN, "main.main", sp10, file1, 0),
	FUNC(SPIN, "main.spin", sp0, file1, 0), /* no frame: a cycle of return addresses */
};

struct world {
	struct gs_builder *builder;
	struct gs_build_go_places at;
	struct gs_go_layout layout;
	struct gs_target *target;
	struct gs_rt *rt;
	uint32_t n;
	bool flip; /* change goroutine 0 before each read */
	uint8_t tick;
};

static gs_addr pc_in(const struct world *w, int func, unsigned int off)
{
	return w->at.text + (gs_addr)func * FUNC_SIZE + off;
}

static void put(struct world *w, gs_addr at, const void *bytes, size_t n)
{
	assert_int_equal(gs_target_fake_map(w->target, at, bytes, n, NULL), 0);
}

static void put64(struct world *w, gs_addr at, uint64_t v)
{
	put(w, at, &v, sizeof(v));
}

static void put_field(struct world *w, uint32_t i, enum gs_go_field f, uint64_t v)
{
	assert_true(gs_go_has(&w->layout, f));
	put64(w, GS + i * G_STRIDE + (gs_addr)w->layout.offset[f], v);
}

static void map_image(struct world *w, const struct gs_image *img)
{
	for (uint32_t i = 0; i < gs_image_info(img)->n_segments; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(img, i);
		struct gs_cursor c;

		if (s->file_size &&
		    gs_image_file_bytes(img, s->offset, s->file_size, &c, NULL) == 0)
			put(w, s->addr, c.base, s->file_size);
	}
}

static int setup(void **state)
{
	struct gs_build_go go = { .minor = 27,
				  .arch = GS_ARCH_AMD64,
				  .funcs = funcs,
				  .n_funcs = N_FUNCS,
				  .files = files,
				  .n_files = GS_ARRAY_SIZE(files),
				  .version = "go1.27.3" };
	struct world *w = calloc(1, sizeof(*w));
	struct gs_image *img;
	const uint8_t *bytes;
	size_t size;

	w->builder = gs_build_go_image(&go, GS_IMAGE_ELF, 0, &w->at);
	gs_builder_symbol(w->builder, "runtime.allglen", VARS, 8, false);
	gs_builder_symbol(w->builder, "runtime.allgptr", VARS + 8, 8, false);
	gs_builder_symbol(w->builder, "runtime.allm", VARS + 16, 8, false);
	bytes = gs_builder_finish(w->builder, &size);
	assert_int_equal(gs_image_from_bytes(bytes, size, "made-up", &img, NULL), 0);
	assert_int_equal(gs_go_layout_table(27, GS_ARCH_AMD64, &w->layout, NULL), 0);
	assert_int_equal(gs_target_fake_new(GS_ARCH_AMD64, &w->target, NULL), 0);
	map_image(w, img);
	gs_target_fake_image_take(w->target, img, 0);
	gs_target_fake_now(w->target, 100000000000);
	put64(w, VARS, 0);
	put64(w, VARS + 8, LIST);
	put64(w, VARS + 16, 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	gs_rt_free(w->rt);
	gs_target_free(w->target);
	gs_builder_free(w->builder);
	free(w);
	return 0;
}

/* A goroutine parked in gopark, called by @func, which goexit called. */
static uint32_t add_parked(struct world *w, int func)
{
	uint32_t i = w->n++;
	gs_addr lo = STACKS + i * STACK_SIZE, sp = lo + STACK_SIZE - 0x40;
	uint8_t zero[G_STRIDE] = { 0 }, stack[STACK_SIZE] = { 0 };

	put(w, GS + i * G_STRIDE, zero, sizeof(zero));
	put(w, lo, stack, sizeof(stack));
	put_field(w, i, GS_GO_G_STACK_LO, lo);
	put_field(w, i, GS_GO_G_STACK_HI, lo + STACK_SIZE);
	put_field(w, i, GS_GO_G_SCHED_SP, sp);
	put_field(w, i, GS_GO_G_SCHED_PC, pc_in(w, GOPARK, 0x18));
	put_field(w, i, GS_GO_G_GOID, i + 1);
	put_field(w, i, GS_GO_G_GOPC, pc_in(w, MAIN, 0x18));
	put_field(w, i, GS_GO_G_STARTPC, pc_in(w, func, 0));
	put_field(w, i, GS_GO_G_PARENT_GOID, i ? 1 : 0);
	put_field(w, i, GS_GO_G_WAITSINCE, 40000000000);
	put_field(w, i, GS_GO_G_WAITREASON, 19); /* chan receive in 1.27 */
	put_field(w, i, GS_GO_G_ATOMICSTATUS, RAW_WAITING);
	put64(w, sp + 0x20, pc_in(w, func, 0x20));
	put64(w, sp + 0x38, pc_in(w, GOEXIT, 1));
	put64(w, LIST + 8 * i, GS + i * G_STRIDE);
	put64(w, VARS, w->n);
	return i;
}

static void open_rt(struct world *w)
{
	struct gs_err err = { 0 };

	if (gs_rt_open(w->target, &w->rt, &err) < 0)
		fail_msg("%s", err.text);
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

static uint64_t missing(const struct gs_incomplete_list *l, const char *what)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (strcmp(l->item[i].what, what) == 0)
			return l->item[i].count;
	return 0;
}

static void dump(struct world *w, const struct gs_rt_dump_options *o, struct seen *ret,
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
	struct world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;

	add_parked(w, RT_MAIN);
	add_parked(w, WORKER);
	add_parked(w, BGSWEEP);
	open_rt(w);
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

static void test_options(void **state)
{
	const struct gs_rt_dump_options sys = { .system = true };
	const struct gs_rt_dump_options one = { .only_id = 2 };
	const struct gs_rt_dump_options two = { .limit = 2 };
	const struct gs_rt_dump_options dead = { .dead = true };
	struct world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;

	add_parked(w, RT_MAIN);
	add_parked(w, WORKER);
	add_parked(w, BGSWEEP);
	put_field(w, add_parked(w, WORKER), GS_GO_G_ATOMICSTATUS, RAW_DEAD);
	open_rt(w);
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
	struct world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;
	uint32_t i;

	add_parked(w, WORKER);
	i = add_parked(w, WORKER); /* in a system call: saved pc and sp win */
	put_field(w, i, GS_GO_G_ATOMICSTATUS, RAW_SYSCALL);
	put_field(w, i, GS_GO_G_SYSCALLSP, STACKS + i * STACK_SIZE + STACK_SIZE - 0x18);
	put_field(w, i, GS_GO_G_SYSCALLPC, pc_in(w, WORKER, 0x20));
	i = add_parked(w, WORKER); /* being scanned */
	put_field(w, i, GS_GO_G_ATOMICSTATUS, RAW_WAITING | RAW_SCAN);
	i = add_parked(w, WORKER);
	put_field(w, i, GS_GO_G_ATOMICSTATUS, RAW_RUNNING);
	open_rt(w);
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.g[1].state, GS_G_SYSCALL);
	assert_string_equal(s.g[1].stack->frames[0].function, "main.worker");
	assert_int_equal(s.g[1].stack->end, GS_STACK_COMPLETE);
	assert_true(s.g[2].scan);
	assert_int_equal(s.g[2].state, GS_G_WAITING);
	assert_ptr_equal(s.g[2].stack, s.g[0].stack); /* equal stacks are one */
	assert_int_equal(s.g[3].stack->end, GS_STACK_NONE);
	assert_int_equal(missing(&inc, "running_without_stack"), 1);
}

static void test_wild_pointers(void **state)
{
	struct world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;
	uint32_t i;

	add_parked(w, WORKER);
	for (int k = 0; k < 20; k++)
		add_parked(w, WORKER);
	open_rt(w);
	put64(w, LIST + 8 * 3, 0xdeadbeef0000); /* no memory there */
	put64(w, LIST + 8 * 4, 0);
	put64(w, LIST + 8 * 5, 0xffffffffffffff00);
	i = 6; /* stack pointer outside of the stack */
	put_field(w, i, GS_GO_G_SCHED_SP, 0x10);
	i = 7; /* pc that is no code */
	put_field(w, i, GS_GO_G_SCHED_PC, 0x1234);
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 21 - 3);
	assert_int_equal(missing(&inc, "goroutines_unreadable"), 2);
	assert_int_equal(missing(&inc, "stacks_broken"), 2);
}

static void test_cyclic_stack(void **state)
{
	struct world *w = *state;
	gs_addr sp = STACKS + STACK_SIZE - 0x40;
	struct gs_incomplete_list inc;
	struct seen s;

	add_parked(w, SPIN);
	for (int k = 0; k < 8; k++) /* every word returns into a function without a frame */
		put64(w, sp + 8ul * (unsigned int)k, pc_in(w, SPIN, 0x10));
	open_rt(w);
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.g[0].stack->end, GS_STACK_BROKEN);
	assert_in_range(s.g[0].stack->n_frames, 1, 16);
	assert_int_equal(missing(&inc, "stacks_broken"), 1);
}

static void test_lying_length(void **state)
{
	static const struct gs_rt_dump_options plain;
	struct world *w = *state;
	struct gs_incomplete_list inc = { 0 };
	struct gs_err err = { 0 };
	struct seen s = { 0 };

	add_parked(w, WORKER);
	open_rt(w);
	put64(w, VARS, 1ull << 40);
	assert_int_equal(gs_rt_goroutines(w->rt, &plain, collect, &s, &inc, &err), -GS_E_BAD_DATA);
	assert_non_null(strstr(err.text, "1099511627776"));
	put64(w, VARS, 3000); /* more than the array has */
	assert_int_equal(gs_rt_goroutines(w->rt, &plain, collect, &s, &inc, &err), 0);
	assert_true(missing(&inc, "goroutines_unreadable") > 0);
}

static void flip(void *ctx, struct gs_target *t, gs_addr addr, size_t len)
{
	struct world *w = ctx;
	gs_addr at = GS + (gs_addr)w->layout.offset[GS_GO_G_TRACKING_SEQ];

	(void)t; /* put() knows it */
	if (w->flip && addr <= at && at < addr + len) {
		w->tick++;
		put(w, at, &w->tick, 1);
	}
}

static void test_torn(void **state)
{
	struct world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;

	add_parked(w, WORKER);
	add_parked(w, WORKER);
	open_rt(w);
	gs_target_fake_on_read(w->target, flip, w);
	w->flip = true;
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.g[0].stack->end, GS_STACK_TORN);
	assert_true(s.g[0].moved);
	assert_int_equal(s.g[0].stack->n_frames, 0);
	assert_int_equal(s.g[1].stack->end, GS_STACK_COMPLETE);
	assert_int_equal(missing(&inc, "goroutines_torn"), 1);
}

static void test_labels(void **state)
{
	struct world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;
	uint32_t i;

	add_parked(w, WORKER);
	i = add_parked(w, WORKER);
	put_field(w, i, GS_GO_G_LABELS, LABELS);
	put64(w, LABELS, LABELS + 0x100);
	put64(w, LABELS + 8, 1);
	put64(w, LABELS + 16, 1);
	put64(w, LABELS + 0x100, LABELS + 0x200);
	put64(w, LABELS + 0x108, 7);
	put64(w, LABELS + 0x110, LABELS + 0x210);
	put64(w, LABELS + 0x118, 4);
	put(w, LABELS + 0x200, "handler", 7);
	put(w, LABELS + 0x210, "cart", 4);
	i = add_parked(w, WORKER); /* a pointer to nowhere */
	put_field(w, i, GS_GO_G_LABELS, 0x123456789000);
	i = add_parked(w, WORKER); /* a count that cannot be */
	put_field(w, i, GS_GO_G_LABELS, LABELS + 0x300);
	put64(w, LABELS + 0x300, LABELS);
	put64(w, LABELS + 0x308, 1ull << 60);
	put64(w, LABELS + 0x310, 1ull << 60);
	open_rt(w);
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.g[1].n_labels, 1);
	assert_string_equal(s.label, "handler=cart/1");
	assert_int_equal(s.g[2].n_labels, 0);
	assert_int_equal(s.g[3].n_labels, 0);
}

static void test_thread_cycle(void **state)
{
	struct world *w = *state;
	struct gs_incomplete_list inc;
	uint8_t m[4096] = { 0 };
	struct seen s;

	add_parked(w, WORKER);
	put(w, MS, m, sizeof(m));
	put64(w, MS + (gs_addr)w->layout.offset[GS_GO_M_ALLLINK], MS);
	put64(w, MS + (gs_addr)w->layout.offset[GS_GO_M_PROCID], 77);
	put64(w, VARS + 16, MS);
	open_rt(w);
	w->rt->facts.globals.addr[GS_GO_GLOBAL_ALLM] = VARS + 16; /* even if the check refused it */
	dump(w, NULL, &s, &inc);
	assert_int_equal(s.n, 1);
	assert_int_equal(missing(&inc, "threads_unreadable"), 1);
}

static void test_read_failures(void **state)
{
	struct world *w = *state;

	add_parked(w, WORKER);
	add_parked(w, WORKER);
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

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_parked),
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
