/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Roots of a made-up Go process whose memory lies: waits (sudogs), stacks with maps, stack objects and deferred
 * calls, pointer masks of globals. The first byte chooses the release; then the input is a list of words to overwrite,
 * 6 bytes of place and 8 of value each.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "go_world.h"
#include "runtime/rt_roots.h"

#define GOROUTINES 8

enum { SUDOGS = 0x2c000000, SUDOG_STRIDE = 128, MASKS = 0x2d000000, DATA = 0x40000000 };

static size_t sum;

static int visit_stack(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	(void)ctx; /* nothing to remember */
	for (size_t i = 0; i < n; i++)
		sum += which + (size_t)(p[i].slot ^ p[i].value);
	return 0;
}

static int visit(void *ctx, const struct gs_rt_pointer *p, size_t n)
{
	return visit_stack(ctx, 0, p, n);
}

/* Sorted frames, and all bytes of the stack. */
static int visit_frames(void *ctx, uint32_t which, const struct gs_rt_stack_view *v)
{
	(void)ctx;
	(void)which;
	for (uint32_t i = 0; i < v->n_frames; i++) {
		sum += (size_t)v->frame[i].pc;
		if (i && v->frame[i].cfa < v->frame[i - 1].cfa)
			abort();
	}
	for (uint32_t i = 0; i < v->len; i++)
		sum += v->bytes[i];
	return 0;
}

static void look(struct gs_rt *rt)
{
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs = NULL;
	struct gs_incomplete_list inc = { 0 };
	uint32_t which[64], n, m;
	const struct gs_rt_g *g;

	if (gs_rt_gs_read(rt, &gs, &inc, NULL) != 0)
		return;
	g = gs_rt_gs_all(gs, &n);
	for (uint32_t i = 0; i < n; i++) {
		const struct gs_rt_wait_object *o = gs_rt_gs_objects(gs, &g[i]);

		for (uint32_t j = 0; j < g[i].n_objects; j++)
			sum += (size_t)(o[j].object ^ o[j].sudog);
		sum += strlen(gs_rt_block_name((enum gs_rt_block)g[i].block));
	}
	(void)gs_rt_gs_sudogs(gs, &m);
	sum += m;
	n = n < GS_ARRAY_SIZE(which) ? n : GS_ARRAY_SIZE(which);
	for (uint32_t i = 0; i < n; i++)
		which[i] = i;
	(void)!gs_rt_stack_frames(rt, gs, which, n, visit_frames, visit_stack, NULL, &inc, NULL);
	(void)!gs_rt_stack_roots(rt, gs, which, n, false, visit_stack, NULL, &inc, NULL);
	(void)!gs_rt_global_roots(rt, visit, NULL, &inc, NULL);
}

/* Sudogs, masks, function tables, moduledata. */
static gs_addr place(const struct gs_world *w, uint32_t which, uint32_t i, uint32_t off)
{
	switch (which) {
	case 0:
		return SUDOGS + i * SUDOG_STRIDE + off % SUDOG_STRIDE;
	case 1:
		return MASKS + off % 64;
	case 2:
		return w->at.pclntab + off % w->at.pclntab_size;
	default:
		return w->at.moduledata + off % 640;
	}
}

static const gs_addr bases[] = { WORLD_GS, WORLD_STACKS, WORLD_LIST, SUDOGS, MASKS, DATA };
static const struct world_lies lies = { .n = GOROUTINES,
					.base = bases,
					.n_bases = GS_ARRAY_SIZE(bases),
					.span = 4096,
					.places = 4,
					.place = place };

/* A goroutine in gopark, below main.holder, which asyncPreempt or sigpanic may have interrupted. */
static void add_holder(struct gs_world *w, uint32_t i)
{
	static const int between[] = { 0, WORLD_PREEMPT, WORLD_SIGPANIC };
	gs_addr at = WORLD_STACKS + (i + 1) * WORLD_STACK_SIZE - 0x28;
	int middle = between[i % GS_ARRAY_SIZE(between)];

	world_put64(w, at, world_pc(w, WORLD_GOEXIT, 1));
	at -= WORLD_HOLDER_FRAME;
	/* a live local that points to a stack object */
	world_put64(w, at + WORLD_HOLDER_LOCALS + 16, at + WORLD_HOLDER_A);
	world_put64(w, at + WORLD_HOLDER_A + 8, DATA);
	at -= 8;
	world_put64(w, at, world_pc(w, WORLD_HOLDER, 0x20));
	if (middle) {
		at -= 0x28;
		world_put64(w, at, world_pc(w, middle, 0x18));
	}
	at -= 0x20;
	world_put_field(w, i, GS_GO_G_SCHED_SP, at);
	world_put_field(w, i, GS_GO_G_SCHED_PC, world_pc(w, WORLD_GOPARK, 0x18));
}

static void add_wait(struct gs_world *w, uint32_t i)
{
	const struct gs_go_layout *l = &w->layout;
	gs_addr at = SUDOGS + i * SUDOG_STRIDE;

	world_put64(w, at + (gs_addr)l->offset[GS_GO_SUDOG_G], WORLD_GS + i * WORLD_G_STRIDE);
	world_put64(w, at + (gs_addr)l->offset[GS_GO_SUDOG_C], DATA + i);
	world_put_field(w, i, GS_GO_G_WAITING, at);
	world_put_field(w, i, GS_GO_G_WAITREASON, 14 + i); /* chan, select, locks */
	world_put_field(w, i, GS_GO_G_DEFER, WORLD_STACKS + i * WORLD_STACK_SIZE + 0x700);
}

static void build(struct gs_world *w, unsigned int minor)
{
	static const uint8_t zero[4096];
	char version[16];

	snprintf(version, sizeof(version), "go1.%u", minor);
	world_init(w, minor, version);
	world_put(w, SUDOGS, zero, sizeof(zero));
	world_put(w, MASKS, zero, sizeof(zero));
	world_put(w, DATA, zero, sizeof(zero));
	for (uint32_t i = 0; i < GOROUTINES; i++) {
		world_add_parked(w, WORLD_HOLDER);
		add_holder(w, i);
		add_wait(w, i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned int releases[] = { 27, 25, 21, 22 };
	struct gs_world w;

	if (size == 0)
		return 0;
	build(&w, releases[data[0] % GS_ARRAY_SIZE(releases)]);
	if (gs_rt_open(w.target, &w.rt, NULL) == 0) {
		/* data that the masks are of */
		w.rt->module[0].md.data = DATA;
		w.rt->module[0].md.edata = DATA + 2048;
		w.rt->module[0].md.bss = w.rt->module[0].md.ebss = DATA;
		look(w.rt);
		world_lie(&w, &lies, data + 1, size - 1);
		look(w.rt);
	}
	world_deinit(&w);
	return 0;
}
