/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Raw pcs of a made-up process to stacks: the caller that frame pointers leave out, pcs of no code. */
#include <string.h>

#include "go_world.h"
#include "test.h"

static int setup(void **state)
{
	world_setup(state);
	world_add_parked(*state, WORLD_WORKER);
	world_open_rt(*state);
	return 0;
}

static const struct gs_stack *symbolize(struct gs_world *w, const gs_addr *pcs, uint32_t n,
					gs_addr sp_word)
{
	struct gs_rt_raw_stack raw = {
		.pcs = pcs, .n = n, .has_sp_word = sp_word != 0, .sp_word = sp_word
	};

	return gs_rt_symbolize(w->rt, &raw);
}

/* gopark's first instructions: the frame is not made, the walk begins with the caller's caller. */
static void missing_caller(void **state)
{
	struct gs_world *w = *state;
	gs_addr worker = world_pc(w, WORLD_WORKER, 0x20);
	const gs_addr pcs[] = { world_pc(w, WORLD_GOPARK, 4), world_pc(w, WORLD_GOEXIT, 1) };
	const gs_addr all[] = { pcs[0], worker, pcs[1] };
	const gs_addr made[] = { world_pc(w, WORLD_GOPARK, 0x10), pcs[1] };
	const struct gs_stack *s = symbolize(w, pcs, 2, worker);

	assert_int_equal(s->n_frames, 3);
	assert_string_equal(s->frames[0].function, "runtime.gopark");
	assert_string_equal(s->frames[1].function, "main.worker");
	assert_int_equal(s->frames[1].line, 11); /* the call before the return address */
	assert_int_equal(s->end, GS_STACK_COMPLETE);
	/* A kernel that put it in already: the same stack. */
	assert_ptr_equal(symbolize(w, all, 3, worker), s);
	/* The frame is made: the word at sp is something else. */
	assert_int_equal(symbolize(w, made, 2, worker)->n_frames, 2);
	/* The word is no return address into Go code. */
	assert_int_equal(symbolize(w, pcs, 2, 0x1234)->n_frames, 2);
}

static void strange_pcs(void **state)
{
	struct gs_world *w = *state;
	const gs_addr pcs[] = { world_pc(w, WORLD_WORKER, 0x20), 0x777777777000, 0,
				0xffffffff81000000 };
	const struct gs_stack *s = symbolize(w, pcs, 4, 0);

	assert_int_equal(s->n_frames, 3); /* a pc of the kernel ends the stack of a user */
	assert_int_equal(s->frames[1].flags & GS_FRAME_FOREIGN, GS_FRAME_FOREIGN);
	assert_string_equal(s->frames[1].function, "");
	assert_int_equal(s->end, GS_STACK_BROKEN);
	assert_int_equal(symbolize(w, pcs, 0, 0)->end, GS_STACK_NONE);
}

static void goroutine_frames(void **state)
{
	struct gs_world *w = *state;

	assert_string_equal(gs_rt_creator(w->rt, world_pc(w, WORLD_MAIN, 0x18))->function,
			    "main.main");
	assert_string_equal(gs_rt_start(w->rt, world_pc(w, WORLD_WORKER, 0))->function,
			    "main.worker");
	assert_null(gs_rt_start(w->rt, 0));
	assert_null(gs_rt_creator(w->rt, 0x10));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(missing_caller), T(strange_pcs),
					    T(goroutine_frames) };

	return gs_test_main(tests);
}
