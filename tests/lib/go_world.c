/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The made-up Go process of go_world.h: Go 1.27 on amd64, ten functions. */
#include "go_world.h"

#include <stdio.h>
#include <stdlib.h>

static void must(bool ok)
{
	if (ok)
		return;
	fputs("go_world: cannot build the process\n", stderr);
	abort();
}

static const struct gs_build_step sp0[] = { { 0, 0 } };
static const struct gs_build_step sp20[] = { { 0, 0 }, { 8, 0x20 } };
static const struct gs_build_step sp10[] = { { 0, 0 }, { 8, 0x10 } };
static const struct gs_build_step file0[] = { { 0, 0 } };
static const struct gs_build_step file1[] = { { 0, 1 } };
static const struct gs_build_step lines[] = { { 0, 10 }, { 0x10, 11 }, { 0x20, 12 } };
static const char *const files[] = { "/go/src/runtime/proc.go", "/app/main.go" };

#define FUNC(i, n, s, fl, flags) FUNC_ID(i, n, s, fl, flags, 0)
#define FUNC_ID(i, n, s, fl, flags, id)                                                            \
	{                                                                                          \
		.name = n, .offset = (i)*WORLD_FUNC_SIZE, .size = WORLD_FUNC_SIZE, .flag = flags,  \
		.func_id = id, .sp = s, .n_sp = GS_ARRAY_SIZE(s), .file = fl, .n_file = 1,         \
		.line = lines, .n_line = 3, .start_line = 9                                        \
	}

/* main.holder's frame: at pc 0x10 to 0x27 the highest local and the first argument are alive, from 0x28 on
 * the other two locals and the second argument; at its entry both arguments. */
static const struct gs_build_step sp48[] = { { 0, 0 }, { 8, WORLD_HOLDER_FRAME } };
static const struct gs_build_step holder_maps[] = { { 0, -1 }, { 0x10, 1 }, { 0x28, 2 } };
static const uint8_t holder_locals[] = { 3, 0, 0, 0, 3, 0, 0, 0, 0, 4, 3 };
static const uint8_t holder_args[] = { 3, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2 };
static const struct {
	uint64_t n;
	int32_t object[2][4]; /* offset, size, bytes with pointers, mask */
} holder_objects = { 2,
		     { { WORLD_HOLDER_A - 0x40, 16, 16, WORLD_MASK_A },
		       { WORLD_HOLDER_B - 0x40, 24, 24, WORLD_MASK_B } } };

static const struct gs_build_func funcs[WORLD_N_FUNCS] = {
	FUNC(WORLD_GOEXIT, "runtime.goexit", sp0, file0, GS_GO_FLAG_TOP_FRAME),
	FUNC(WORLD_GOPARK, "runtime.gopark", sp20, file0, 0),
	FUNC(WORLD_RT_MAIN, "runtime.main", sp10, file0, 0),
	FUNC(WORLD_BGSWEEP, "runtime.bgsweep", sp10, file0, 0),
	FUNC(WORLD_WORKER, "main.worker", sp10, file1, 0),
	FUNC(WORLD_MAIN, "main.main", sp10, file1, 0),
	FUNC(WORLD_SPIN, "main.spin", sp0, file1, 0), /* no frame: a cycle of return addresses */
	[WORLD_HOLDER] = { .name = "main.holder",
			   .offset = WORLD_HOLDER * WORLD_FUNC_SIZE,
			   .size = WORLD_FUNC_SIZE,
			   .args_bytes = 16,
			   .sp = sp48,
			   .n_sp = GS_ARRAY_SIZE(sp48),
			   .file = file1,
			   .n_file = 1,
			   .line = lines,
			   .n_line = 3,
			   .start_line = 9,
			   .stackmap = holder_maps,
			   .n_stackmap = GS_ARRAY_SIZE(holder_maps),
			   .args_maps = holder_args,
			   .args_maps_size = sizeof(holder_args),
			   .locals_maps = holder_locals,
			   .locals_maps_size = sizeof(holder_locals),
			   .objects = &holder_objects,
			   .objects_size = sizeof(holder_objects) },
	FUNC_ID(WORLD_PREEMPT, "runtime.asyncPreempt", sp20, file0, 0, 3), /* Go 1.25 to 1.27 */
	FUNC_ID(WORLD_SIGPANIC, "runtime.sigpanic", sp20, file0, 0, 20),
};

gs_addr world_pc(const struct gs_world *w, int func, unsigned int off)
{
	return w->at.text + (gs_addr)func * WORLD_FUNC_SIZE + off;
}

void world_put(struct gs_world *w, gs_addr at, const void *bytes, size_t n)
{
	must(gs_target_fake_map(w->target, at, bytes, n, NULL) == 0);
}

void world_put64(struct gs_world *w, gs_addr at, uint64_t v)
{
	world_put(w, at, &v, sizeof(v));
}

void world_put_field(struct gs_world *w, uint32_t i, enum gs_go_field f, uint64_t v)
{
	must(gs_go_has(&w->layout, f));
	world_put64(w, WORLD_GS + i * WORLD_G_STRIDE + (gs_addr)w->layout.offset[f], v);
}

static void map_image(struct gs_world *w, const struct gs_image *img)
{
	for (uint32_t i = 0; i < gs_image_info(img)->n_segments; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(img, i);
		struct gs_cursor c;

		if (s->file_size &&
		    gs_image_file_bytes(img, s->offset, s->file_size, &c, NULL) == 0)
			world_put(w, s->addr, c.base, s->file_size);
	}
}

void world_init(struct gs_world *w, unsigned int minor, const char *version)
{
	struct gs_build_go go = { .minor = minor,
				  .arch = GS_ARCH_AMD64,
				  .funcs = funcs,
				  .n_funcs = WORLD_N_FUNCS,
				  .files = files,
				  .n_files = GS_ARRAY_SIZE(files),
				  .version = version };
	struct gs_image *img;
	const uint8_t *bytes;
	size_t size;

	*w = (struct gs_world){ 0 };
	w->builder = gs_build_go_image(&go, GS_IMAGE_ELF, 0, &w->at);
	gs_builder_symbol(w->builder, "runtime.allglen", WORLD_VARS, 8, false);
	gs_builder_symbol(w->builder, "runtime.allgptr", WORLD_VARS + 8, 8, false);
	gs_builder_symbol(w->builder, "runtime.allm", WORLD_VARS + 16, 8, false);
	bytes = gs_builder_finish(w->builder, &size);
	must(gs_image_from_bytes(bytes, size, "made-up", &img, NULL) == 0);
	must(gs_go_layout_table(minor, GS_ARCH_AMD64, &w->layout, NULL) == 0);
	must(gs_target_fake_new(GS_ARCH_AMD64, &w->target, NULL) == 0);
	map_image(w, img);
	gs_target_fake_image_take(w->target, img, 0);
	gs_target_fake_now(w->target, 100000000000);
	world_put64(w, WORLD_VARS, 0);
	world_put64(w, WORLD_VARS + 8, WORLD_LIST);
	world_put64(w, WORLD_VARS + 16, 0);
}

void world_deinit(struct gs_world *w)
{
	gs_rt_free(w->rt);
	gs_target_free(w->target);
	gs_builder_free(w->builder);
	*w = (struct gs_world){ 0 };
}

int world_setup(void **state)
{
	static struct gs_world w;

	world_init(&w, 27, "go1.27.3");
	*state = &w;
	return 0;
}

int world_teardown(void **state)
{
	world_deinit(*state);
	return 0;
}

void world_open_rt(struct gs_world *w)
{
	struct gs_err err = { 0 };
	int r = gs_rt_open(w->target, &w->rt, &err);

	if (r < 0)
		fprintf(stderr, "go_world: %s\n", err.text);
	must(r == 0);
}

uint64_t world_missing(const struct gs_incomplete_list *l, const char *what)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (strcmp(l->item[i].what, what) == 0)
			return l->item[i].count;
	return 0;
}

/* A goroutine parked in gopark, called by @func, which goexit called. */
uint32_t world_add_parked(struct gs_world *w, int func)
{
	uint32_t i = w->n++;
	gs_addr lo = WORLD_STACKS + i * WORLD_STACK_SIZE, sp = lo + WORLD_STACK_SIZE - 0x40;
	uint8_t zero[WORLD_G_STRIDE] = { 0 }, stack[WORLD_STACK_SIZE] = { 0 };

	world_put(w, WORLD_GS + i * WORLD_G_STRIDE, zero, sizeof(zero));
	world_put(w, lo, stack, sizeof(stack));
	world_put_field(w, i, GS_GO_G_STACK_LO, lo);
	world_put_field(w, i, GS_GO_G_STACK_HI, lo + WORLD_STACK_SIZE);
	world_put_field(w, i, GS_GO_G_SCHED_SP, sp);
	world_put_field(w, i, GS_GO_G_SCHED_PC, world_pc(w, WORLD_GOPARK, 0x18));
	world_put_field(w, i, GS_GO_G_GOID, i + 1);
	world_put_field(w, i, GS_GO_G_GOPC, world_pc(w, WORLD_MAIN, 0x18));
	world_put_field(w, i, GS_GO_G_STARTPC, world_pc(w, func, 0));
	world_put_field(w, i, GS_GO_G_PARENT_GOID, i ? 1 : 0);
	world_put_field(w, i, GS_GO_G_WAITSINCE, 40000000000);
	world_put_field(w, i, GS_GO_G_WAITREASON, 19); /* chan receive in 1.27 */
	world_put_field(w, i, GS_GO_G_ATOMICSTATUS, WORLD_RAW_WAITING);
	world_put64(w, sp + 0x20, world_pc(w, func, 0x20));
	world_put64(w, sp + 0x38, world_pc(w, WORLD_GOEXIT, 1));
	world_put64(w, WORLD_LIST + 8 * i, WORLD_GS + i * WORLD_G_STRIDE);
	world_put64(w, WORLD_VARS, w->n);
	return i;
}
