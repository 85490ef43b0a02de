/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Roots and waits of a made-up process: maps of frames word by word, stack objects, interrupted frames; lists of sudogs
 * with cycles and lies; goroutines that move. Real processes are tested in tests/live/test_roots.py.
 */
#include <string.h>

#include "go_world.h"
#include "runtime/rt_roots.h"
#include "test.h"

enum { SUDOGS = 0x2c000000, CHANS = 0x2c100000, HEAP = 0x40000000, MASKS = 0x2d000000 };

struct seen {
	gs_addr value[512], slot[512];
	uint32_t which[512], n;
};

static struct gs_rt_gs *read_gs(struct gs_world *w, struct gs_incomplete_list *inc)
{
	struct gs_rt_gs *gs = NULL;
	struct gs_err err = { 0 };

	*inc = (struct gs_incomplete_list){ 0 };
	if (gs_rt_gs_read(w->rt, &gs, inc, &err) != 0)
		fail_msg("%s", err.text);
	return gs;
}

static int collect(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	struct seen *s = ctx;

	for (size_t i = 0; i < n; i++) {
		assert_true(s->n < 512);
		s->value[s->n] = p[i].value;
		s->slot[s->n] = p[i].slot;
		s->which[s->n++] = which;
	}
	return 0;
}

static int collect_global(void *ctx, const struct gs_rt_pointer *p, size_t n)
{
	return collect(ctx, 0, p, n);
}

static bool has(const struct seen *s, gs_addr value)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->value[i] == value)
			return true;
	return false;
}

static struct seen stack_of(struct gs_world *w, uint32_t which, bool precise,
			    struct gs_incomplete_list *inc)
{
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs = read_gs(w, inc);
	struct seen s = { 0 };
	struct gs_err err = { 0 };

	if (gs_rt_stack_roots(w->rt, gs, &which, 1, precise, collect, &s, inc, &err) != 0)
		fail_msg("%s", err.text);
	return s;
}

/* --- waits --- */

static gs_addr sudog_at(unsigned int i)
{
	return SUDOGS + i * 128;
}

static void put_sudog(struct gs_world *w, unsigned int i, uint32_t g, gs_addr object, bool chan,
		      gs_addr next)
{
	const struct gs_go_layout *l = &w->layout;
	uint8_t zero[128] = { 0 };
	gs_addr at = sudog_at(i);

	world_put(w, at, zero, sizeof(zero));
	world_put64(w, at + (gs_addr)l->offset[GS_GO_SUDOG_G], WORLD_GS + g * WORLD_G_STRIDE);
	world_put64(w, at + (gs_addr)l->offset[chan ? GS_GO_SUDOG_C_VU : GS_GO_SUDOG_ELEM_VU],
		    object);
	world_put64(w, at + (gs_addr)l->offset[GS_GO_SUDOG_WAITLINK], next);
}

static void set_wait(struct gs_world *w, uint32_t g, unsigned int reason, gs_addr sudog)
{
	world_put_field(w, g, GS_GO_G_WAITREASON, reason);
	world_put_field(w, g, GS_GO_G_WAITING, sudog);
}

/* Numbers of Go 1.26 and 1.27. */
enum {
	NIL_RECEIVE = 15,
	SELECT_NONE = 17,
	SELECT = 18,
	RECEIVE = 19,
	SEND = 20,
	COND = 21,
	MUTEX = 22,
	SLEEP = 14
};

static void add_waits(struct gs_world *w)
{
	for (int i = 0; i < 9; i++)
		world_add_parked(w, WORLD_WORKER);
	put_sudog(w, 0, 0, CHANS, true, 0);
	set_wait(w, 0, RECEIVE, sudog_at(0));
	put_sudog(w, 1, 1, CHANS + 96, true, sudog_at(2));
	put_sudog(w, 2, 1, CHANS + 192, true, sudog_at(3));
	put_sudog(w, 3, 1, CHANS + 288, true, 0);
	set_wait(w, 1, SELECT, sudog_at(1));
	/* of a mutex waitlink leads to other waiters */
	put_sudog(w, 4, 2, CHANS + 500, false, sudog_at(0));
	set_wait(w, 2, MUTEX, sudog_at(4));
	set_wait(w, 3, NIL_RECEIVE, 0);
	set_wait(w, 4, SELECT, 0); /* nil channels only */
	set_wait(w, 5, SLEEP, 0);
	put_sudog(w, 6, 7, CHANS, true, 0); /* of another goroutine */
	set_wait(w, 6, SEND, sudog_at(6));
	set_wait(w, 7, COND, 0x123456780);            /* nothing there */
	put_sudog(w, 8, 8, CHANS, true, sudog_at(9)); /* a circle */
	put_sudog(w, 9, 8, CHANS, true, sudog_at(10));
	put_sudog(w, 10, 8, CHANS, true, sudog_at(9));
	set_wait(w, 8, SELECT, sudog_at(8));
}

static void test_waits(void **state)
{
	static const struct {
		uint8_t block;
		uint16_t n;
		bool unknown;
		gs_addr first;
	} want[] = {
		{ GS_RT_BLOCK_CHAN_RECEIVE, 1, false, CHANS },
		{ GS_RT_BLOCK_SELECT, 3, false, CHANS + 96 },
		{ GS_RT_BLOCK_MUTEX, 1, false, CHANS + 500 },
		{ GS_RT_BLOCK_CHAN_NIL, 0, false, 0 },
		{ GS_RT_BLOCK_SELECT_NONE, 0, false, 0 },
		{ GS_RT_BLOCK_NONE, 0, false, 0 },
		{ GS_RT_BLOCK_CHAN_SEND, 0, true, 0 },
		{ GS_RT_BLOCK_COND, 0, true, 0 },
	};
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	const struct gs_rt_g *g;
	const gs_addr *sudogs;
	struct gs_rt_gs *gs;
	uint32_t n;

	add_waits(w);
	world_open_rt(w);
	gs = read_gs(w, &inc);
	g = gs_rt_gs_all(gs, &n);
	assert_int_equal(n, 9);
	for (uint32_t i = 0; i < GS_ARRAY_SIZE(want); i++) {
		const struct gs_rt_wait_object *o = gs_rt_gs_objects(gs, &g[i]);

		assert_int_equal(g[i].goid, i + 1);
		assert_int_equal(g[i].block, want[i].block);
		assert_int_equal(g[i].n_objects, want[i].n);
		assert_int_equal(g[i].objects_unknown, want[i].unknown);
		assert_false(g[i].torn || g[i].system || g[i].main);
		assert_int_equal(o ? o->object : 0, want[i].first);
	}
	assert_int_equal(gs_rt_gs_objects(gs, &g[1])[2].object, CHANS + 288);
	assert_int_equal(gs_rt_gs_objects(gs, &g[1])[2].sudog, sudog_at(3));
	/* The circle: its sudogs some times, and that something is wrong. */
	assert_int_equal(g[8].block, GS_RT_BLOCK_SELECT);
	assert_true(g[8].objects_unknown && g[8].n_objects >= 3 && g[8].n_objects < 16);
	assert_int_equal(world_missing(&inc, "waits_broken"), 3);
	sudogs = gs_rt_gs_sudogs(gs, &n);
	for (uint32_t i = 1; i < n; i++)
		assert_true(sudogs[i - 1] <= sudogs[i]);
	assert_int_equal(sudogs[0], sudog_at(0));
	gs_rt_gs_free(gs);
}

static struct gs_world *moving;
static uint8_t tick;

static void move(void *ctx, struct gs_target *t, gs_addr addr, size_t len)
{
	gs_addr seq = WORLD_GS + (gs_addr)moving->layout.offset[GS_GO_G_TRACKING_SEQ];

	(void)ctx;
	(void)t;
	(void)addr;
	(void)len;
	tick++;
	world_put(moving, seq, &tick, 1);
}

static void test_torn(void **state)
{
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	const struct gs_rt_g *g;
	struct gs_rt_gs *gs;
	struct seen s;
	uint32_t n;

	world_add_parked(w, WORLD_WORKER);
	put_sudog(w, 0, 0, CHANS, true, 0);
	set_wait(w, 0, RECEIVE, sudog_at(0));
	world_open_rt(w);
	/* below sp: only seen when nothing is known of the stack */
	world_put64(w, WORLD_STACKS + 0x100, HEAP + 0x40);
	s = stack_of(w, 0, true, &inc);
	assert_false(has(&s, HEAP + 0x40));
	moving = w;
	gs_target_fake_on_read(w->target, move, NULL);
	gs = read_gs(w, &inc);
	g = gs_rt_gs_all(gs, &n);
	assert_int_equal(n, 1);
	assert_true(g[0].torn);
	assert_int_equal(g[0].block, GS_RT_BLOCK_NONE);
	assert_int_equal(g[0].n_objects, 0);
	assert_int_equal(world_missing(&inc, "goroutines_torn"), 1);
	gs_rt_gs_free(gs);
	s = stack_of(w, 0, true, &inc);
	assert_true(has(&s, HEAP + 0x40));
	assert_int_equal(world_missing(&inc, "stacks_conservative"), 1);
	gs_target_fake_on_read(w->target, NULL, NULL);
}

/* --- stacks --- */

struct made_frame {
	int func;
	unsigned int pc, size; /* of the frame without the return address */
};

/* A goroutine with these frames, innermost first. @return the sp of frame @want. */
static gs_addr put_frames(struct gs_world *w, uint32_t i, const struct made_frame *f, size_t n,
			  size_t want)
{
	gs_addr lo = WORLD_STACKS + i * WORLD_STACK_SIZE, at = lo + WORLD_STACK_SIZE, ret = 0;
	uint8_t zero[WORLD_STACK_SIZE] = { 0 };

	world_put(w, lo, zero, sizeof(zero));
	at -= 0x20; /* arguments of the outermost, which goexit called */
	for (size_t k = n; k-- > 0;) {
		at -= 8;
		world_put64(w, at,
			    k == n - 1 ? world_pc(w, WORLD_GOEXIT, 1)
				       : world_pc(w, f[k + 1].func, f[k + 1].pc));
		at -= f[k].size;
		if (k == want)
			ret = at;
	}
	world_put_field(w, i, GS_GO_G_SCHED_SP, at);
	world_put_field(w, i, GS_GO_G_SCHED_PC, world_pc(w, f[0].func, f[0].pc));
	return ret;
}

/* Fill the frame of main.holder: every slot with a pointer of its own. */
enum {
	LOCAL0 = HEAP + 0x1000,
	LOCAL1 = HEAP + 0x1040,
	LOCAL2 = HEAP + 0x1080,
	ARG0 = HEAP + 0x10c0,
	ARG1 = HEAP + 0x1100,
	IN_A0 = HEAP + 0x1140,
	IN_A1 = HEAP + 0x1180,
	IN_B0 = HEAP + 0x11c0,
	IN_B1 = HEAP + 0x1200
};

static void put_holder(struct gs_world *w, gs_addr sp)
{
	for (unsigned int i = 0; i < 3; i++)
		world_put64(w, sp + WORLD_HOLDER_LOCALS + i * 8, LOCAL0 + i * 0x40);
	world_put64(w, sp + WORLD_HOLDER_ARGS, ARG0);
	world_put64(w, sp + WORLD_HOLDER_ARGS + 8, ARG1);
	world_put64(w, sp + WORLD_HOLDER_A, IN_A0);
	world_put64(w, sp + WORLD_HOLDER_A + 8, IN_A1);
	world_put64(w, sp + WORLD_HOLDER_B, IN_B0);
	world_put64(w, sp + WORLD_HOLDER_B + 8, IN_B1);
}

static void put_masks(struct gs_world *w)
{
	static const uint8_t a[] = { 2 }, b[] = { 1 };
	gs_addr rodata = w->rt->module[0].md.rodata;

	world_put(w, rodata + WORLD_MASK_A, a, 1);
	world_put(w, rodata + WORLD_MASK_B, b, 1);
}

/* A goroutine parked in gopark, called by main.holder. @return the sp of main.holder */
static gs_addr add_holder(struct gs_world *w)
{
	static const struct made_frame frames[] = { { WORLD_GOPARK, 0x18, 0x20 },
						    { WORLD_HOLDER, 0x20, WORLD_HOLDER_FRAME } };
	uint32_t i = world_add_parked(w, WORLD_HOLDER);
	gs_addr sp = put_frames(w, i, frames, 2, 1);

	put_holder(w, sp);
	return sp;
}

static void assert_seen(const struct seen *s, const gs_addr *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!has(s, want[i]))
			fail_msg("%#llx is missing", (unsigned long long)want[i]);
	if (s->n != n)
		fail_msg("%u pointers instead of %zu", s->n, n);
}

static void test_maps(void **state)
{
	static const gs_addr first[] = { LOCAL2, ARG0 }, second[] = { LOCAL0, LOCAL1, ARG1 };
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;
	gs_addr sp;

	sp = add_holder(w);
	world_open_rt(w);
	put_masks(w);
	s = stack_of(w, 0, true, &inc);
	assert_seen(&s, first, 2);
	assert_int_equal(s.slot[0], sp + WORLD_HOLDER_LOCALS + 16);
	/* a later call of the same function */
	world_put64(w, sp - 8, world_pc(w, WORLD_HOLDER, 0x30));
	s = stack_of(w, 0, true, &inc);
	assert_seen(&s, second, 3);
	s = stack_of(w, 0, false, &inc);
	assert_true(s.n >= 9 && has(&s, IN_B1));
	assert_int_equal(inc.n, 0);
}

static void test_entry(void **state)
{
	static const gs_addr both[] = { ARG0, ARG1, HEAP + 0x2000 };
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;
	gs_addr sp = WORLD_STACKS + WORLD_STACK_SIZE - 0x40;

	/* Has not begun: only arguments, and the closure in the context register. */
	world_add_parked(w, WORLD_HOLDER);
	world_put_field(w, 0, GS_GO_G_SCHED_PC, world_pc(w, WORLD_HOLDER, 0));
	world_put_field(w, 0, GS_GO_G_SCHED_SP, sp);
	world_put_field(w, 0, GS_GO_G_SCHED_CTXT, HEAP + 0x2000);
	world_put64(w, sp, world_pc(w, WORLD_GOEXIT, 1));
	world_put64(w, sp + 8, ARG0);
	world_put64(w, sp + 16, ARG1);
	world_put64(w, sp + 24, LOCAL0);
	world_open_rt(w);
	s = stack_of(w, 0, true, &inc);
	assert_seen(&s, both, 3);
}

static void test_stack_objects(void **state)
{
	static const gs_addr through_b[] = { ARG0, IN_A1 }, only_b[] = { ARG0, IN_B0 };
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;
	gs_addr sp;

	sp = add_holder(w);
	world_open_rt(w);
	put_masks(w);
	/* the live local points into B, B's pointer out */
	world_put64(w, sp + WORLD_HOLDER_LOCALS + 16, sp + WORLD_HOLDER_B + 4);
	s = stack_of(w, 0, true, &inc);
	assert_seen(&s, only_b, 2);
	/* B's pointer into A, A's first word is none */
	world_put64(w, sp + WORLD_HOLDER_B, sp + WORLD_HOLDER_A + 15);
	s = stack_of(w, 0, true, &inc);
	assert_seen(&s, through_b, 2);
	/* A and B point to each other */
	world_put64(w, sp + WORLD_HOLDER_A + 8, sp + WORLD_HOLDER_B);
	s = stack_of(w, 0, true, &inc);
	assert_seen(&s, through_b, 1);
	/* a pointer just behind B leads nowhere */
	world_put64(w, sp + WORLD_HOLDER_LOCALS + 16, sp + WORLD_HOLDER_B + 24);
	s = stack_of(w, 0, true, &inc);
	assert_seen(&s, through_b, 1);
}

static void test_interrupted(void **state)
{
	static const struct made_frame frames[] = {
		{ WORLD_GOPARK, 0x18, 0x20 },
		{ WORLD_PREEMPT, 0x18, 0x20 },
		{ WORLD_HOLDER, 0x20, WORLD_HOLDER_FRAME },
		{ WORLD_HOLDER, 0x30, WORLD_HOLDER_FRAME },
	};
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;
	gs_addr sp;

	world_add_parked(w, WORLD_HOLDER);
	sp = put_frames(w, 0, frames, 4, 2);
	put_holder(w, sp);
	put_holder(w, sp + WORLD_HOLDER_FRAME + 8);
	world_put64(w, sp - 0x20, HEAP + 0x3000); /* a saved register */
	world_open_rt(w);
	put_masks(w);
	s = stack_of(w, 0, true, &inc);
	assert_true(has(&s, HEAP + 0x3000));
	assert_true(has(&s, IN_A0) && has(&s, LOCAL0) && has(&s, LOCAL2));
	/* the frame above is precise again: its dead local is seen once, in the one below */
	for (uint32_t i = 0, n = 0; i < s.n; i++)
		if (s.value[i] == LOCAL2)
			assert_int_equal(n++, 0);
}

struct told {
	struct gs_rt_stack_frame frame[8];
	uint32_t n, pointers;
};

static int tell_frames(void *ctx, uint32_t which, const struct gs_rt_stack_view *v)
{
	struct told *t = ctx;

	assert_int_equal(which, 0);
	assert_int_equal(t->pointers, 0); /* frames come first */
	assert_true(v->len && v->at >= WORLD_STACKS && v->n_frames <= 8);
	memcpy(t->frame, v->frame, v->n_frames * sizeof(t->frame[0]));
	t->n = v->n_frames;
	return 0;
}

static int count_pointers(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	struct told *t = ctx;

	(void)which;
	(void)p;
	t->pointers += (uint32_t)n;
	return 0;
}

static struct told frames_of(struct gs_world *w, gs_rt_stack_fn *pointers)
{
	struct gs_incomplete_list inc = { 0 };
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs = read_gs(w, &inc);
	struct told t = { 0 };
	struct gs_err err = { 0 };
	uint32_t which = 0;

	if (gs_rt_stack_frames(w->rt, gs, &which, 1, tell_frames, pointers, &t, &inc, &err) != 0)
		fail_msg("%s", err.text);
	return t;
}

/* Where frames end, and which calls they wait for; of those that were interrupted no call is known. */
static void test_frames(void **state)
{
	static const struct made_frame frames[] = {
		{ WORLD_GOPARK, 0x18, 0x20 },
		{ WORLD_PREEMPT, 0x18, 0x20 },
		{ WORLD_HOLDER, 0x20, WORLD_HOLDER_FRAME },
		{ WORLD_HOLDER, 0x30, WORLD_HOLDER_FRAME },
	};
	struct gs_world *w = *state;
	struct told t;
	gs_addr sp;

	world_add_parked(w, WORLD_HOLDER);
	sp = put_frames(w, 0, frames, 4, 2);
	put_holder(w, sp);
	world_open_rt(w);
	put_masks(w);
	t = frames_of(w, NULL);
	assert_int_equal(t.pointers, 0);
	assert_true(t.n >= 4);
	assert_int_equal(t.frame[0].pc, world_pc(w, WORLD_GOPARK, 0x18) - 1);
	assert_int_equal(t.frame[1].pc, 0);
	assert_int_equal(t.frame[1].cfa, sp);
	assert_int_equal(t.frame[2].pc, 0);
	assert_int_equal(t.frame[2].cfa, sp + WORLD_HOLDER_FRAME + 8);
	assert_int_equal(t.frame[3].pc, world_pc(w, WORLD_HOLDER, 0x30) - 1);
	assert_int_equal(t.frame[3].cfa, sp + 2 * (WORLD_HOLDER_FRAME + 8));
	t = frames_of(w, count_pointers);
	assert_true(t.n >= 4 && t.pointers > 3);
	/* One that runs has none. */
	world_put_field(w, 0, GS_GO_G_ATOMICSTATUS, 2);
	t = frames_of(w, NULL);
	assert_int_equal(t.n, 0);
}

static void test_fault(void **state)
{
	static const struct made_frame frames[] = {
		{ WORLD_GOPARK, 0x18, 0x20 },
		{ WORLD_SIGPANIC, 0x18, 0x20 },
		{ WORLD_HOLDER, 0x20, WORLD_HOLDER_FRAME },
	};
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;

	world_add_parked(w, WORLD_HOLDER);
	put_holder(w, put_frames(w, 0, frames, 3, 2));
	world_open_rt(w);
	s = stack_of(w, 0, true, &inc);
	assert_int_equal(s.n, 0); /* never goes on, and its deferred calls are none */
}

static void test_defers(void **state)
{
	static const struct made_frame frames[] = { { WORLD_GOPARK, 0x18, 0x20 },
						    { WORLD_HOLDER, 0x30, WORLD_HOLDER_FRAME } };
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	gs_addr sp, fn, link;
	uint8_t zero[128] = { 0 };
	struct seen s;

	fn = (gs_addr)w->layout.offset[GS_GO_DEFER_FN];
	link = (gs_addr)w->layout.offset[GS_GO_DEFER_LINK];
	world_add_parked(w, WORLD_HOLDER);
	sp = put_frames(w, 0, frames, 2, 1);
	/* one on the stack, one in the heap that leads back to the first */
	world_put(w, HEAP + 0x5000, zero, sizeof(zero));
	world_put64(w, sp + fn, HEAP + 0x4000);
	world_put64(w, sp + link, HEAP + 0x5000);
	world_put64(w, HEAP + 0x5000 + fn, HEAP + 0x4100);
	world_put64(w, HEAP + 0x5000 + link, sp);
	world_put_field(w, 0, GS_GO_G_DEFER, sp);
	world_open_rt(w);
	s = stack_of(w, 0, true, &inc);
	assert_true(s.n < 40); /* a circle is not followed for long */
	assert_true(has(&s, HEAP + 0x4000) && has(&s, HEAP + 0x4100) && has(&s, HEAP + 0x5000));
}

/* A stack that cannot be walked counts whole. */
static void test_broken(void **state)
{
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct seen s;
	gs_addr sp;

	sp = add_holder(w);
	world_put64(w, sp + WORLD_HOLDER_FRAME, 0x77777777); /* instead of goexit */
	world_open_rt(w);
	s = stack_of(w, 0, true, &inc);
	assert_true(has(&s, LOCAL0) && has(&s, IN_B1) && has(&s, ARG1));
	assert_int_equal(world_missing(&inc, "stacks_broken"), 1);
}

static void test_visitor_ends(void **state)
{
	struct gs_world *w = *state;
	struct gs_incomplete_list inc;
	struct gs_err err = { 0 };
	uint32_t which[3] = { 0, 1, 2 };
	struct gs_rt_gs *gs;

	for (int i = 0; i < 3; i++)
		add_holder(w);
	world_open_rt(w);
	gs = read_gs(w, &inc);
	for (uint64_t nth = 1; nth < 40; nth++) { /* reads that fail cost what they read, no more */
		struct seen s = { 0 };

		gs_target_fake_fail_nth(w->target, nth);
		assert_true(gs_rt_stack_roots(w->rt, gs, which, 3, true, collect, &s, &inc, &err) <=
			    0);
	}
	gs_target_fake_fail_nth(w->target, 0);
	gs_rt_gs_free(gs);
}

/* --- globals --- */

static void test_globals(void **state)
{
	struct gs_world *w = *state;
	struct gs_incomplete_list inc = { 0 };
	struct gs_err err = { 0 };
	const struct gs_go_moduledata *md;
	struct seen s = { 0 };
	uint64_t words[64] = { 0 }, vec[2];
	uint8_t mask[9] = { 0x05, 0x80, 0, 0, 0, 0, 0, 0, 0xa1 };

	world_add_parked(w, WORLD_WORKER);
	world_open_rt(w);
	md = &w->rt->module[0].md;
	/* a module with a data section of 64 words */
	w->rt->module[0].md.data = HEAP;
	w->rt->module[0].md.edata = HEAP + sizeof(words);
	w->rt->module[0].md.bss = w->rt->module[0].md.ebss = HEAP + sizeof(words);
	for (unsigned int i = 0; i < 64; i++)
		words[i] = 0x50000000 + i;
	world_put(w, HEAP, words, sizeof(words));
	world_put(w, MASKS, mask, sizeof(mask));
	vec[0] = 16; /* bits */
	vec[1] = MASKS;
	world_put(w, md->addr + (gs_addr)w->layout.offset[GS_GO_MD_GCDATAMASK], vec, sizeof(vec));
	gs_assert_ok(gs_rt_global_roots(w->rt, collect_global, &s, &inc, &err), &err);
	assert_int_equal(s.n, 3);
	assert_true(has(&s, 0x50000000) && has(&s, 0x50000002) && has(&s, 0x5000000f));
	assert_int_equal(inc.n, 0);
	/* without the mark behind it, it is no mask: every word counts */
	mask[8] = 0;
	world_put(w, MASKS, mask, sizeof(mask));
	s.n = 0;
	gs_assert_ok(gs_rt_global_roots(w->rt, collect_global, &s, &inc, &err), &err);
	assert_int_equal(s.n, 64);
	assert_int_equal(world_missing(&inc, "globals_conservative"), 1);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(gs_rt_block_name(GS_RT_BLOCK_COND), "sync.Cond");
	assert_string_equal(gs_rt_block_name((enum gs_rt_block)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
		TEST(test_waits),        TEST(test_torn),          TEST(test_maps),
		TEST(test_entry),        TEST(test_stack_objects), TEST(test_interrupted),
		TEST(test_entry),        TEST(test_stack_objects), TEST(test_frames),
		TEST(test_fault),        TEST(test_defers),        TEST(test_broken),
		TEST(test_visitor_ends), TEST(test_globals),       TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
