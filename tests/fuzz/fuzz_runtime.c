/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A made-up Go process whose memory lies: the input is a list of words to overwrite, 6 bytes of place
 * and 8 of value each. Everything that the runtime reader offers is asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "go_world.h"

#define GOROUTINES 6
#define PATCHES 48

static size_t sum;

static int visit(void *ctx, const struct gs_goroutine *g)
{
	(void)ctx; /* nothing to remember */
	sum += strlen(g->stack->n_frames ? g->stack->frames[0].function : "");
	for (uint32_t i = 0; i < g->stack->n_frames; i++)
		sum += strlen(g->stack->frames[i].file) +
		       (g->args && g->args[i] ? strlen(g->args[i]) : 0);
	for (uint32_t i = 0; i < g->n_labels; i++)
		for (uint32_t k = 0; k < g->labels[i].key_len; k++)
			sum += (unsigned char)g->labels[i].key[k];
	if (g->created_by)
		sum += strlen(g->created_by->function);
	return 0;
}

static void dump(struct gs_rt *rt)
{
	static const struct gs_rt_dump_options o = {
		.dead = true, .system = true, .args = true, .max_frames = 200
	};
	struct gs_incomplete_list inc = { 0 };
	struct gs_rt_sched sched;

	(void)!gs_rt_goroutines(rt, &o, visit, NULL, &inc, NULL);
	(void)!gs_rt_sched_read(rt, &sched, NULL);
}

/* The words worth lying about: variables, the list, g structures, stacks, an M, labels. */
static gs_addr place(const struct gs_world *w, const uint8_t *p)
{
	uint32_t off = (uint32_t)(p[2] | p[3] << 8);
	uint32_t i = p[1] % GOROUTINES;

	switch (p[0] % 7) {
	case 0:
		return WORLD_VARS + off % 64;
	case 1:
		return WORLD_LIST + off % (8 * GOROUTINES);
	case 2:
		return WORLD_GS + i * WORLD_G_STRIDE + off % WORLD_G_STRIDE;
	case 3:
		return WORLD_STACKS + i * WORLD_STACK_SIZE + WORLD_STACK_SIZE - 8 - off % 512;
	case 4:
		return WORLD_MS + off % 2048;
	case 5:
		return WORLD_LABELS + off % 1024;
	default:
		return w->at.moduledata + off % 600;
	}
}

/* Small values as they are; others become something that exists, or what the input says. */
static uint64_t value(const struct gs_world *w, const uint8_t *p, uint64_t v)
{
	static const gs_addr bases[] = { WORLD_GS,   WORLD_STACKS, WORLD_LIST,
					 WORLD_VARS, WORLD_LABELS, WORLD_MS };

	switch (p[4] % 4) {
	case 0:
		return v;
	case 1:
		return bases[v % GS_ARRAY_SIZE(bases)] + (v >> 8) % 8192;
	case 2:
		return world_pc(w, (int)(v % WORLD_N_FUNCS), (unsigned int)(v >> 8) % 64);
	default:
		return v % 64;
	}
}

static void patch(struct gs_world *w, const uint8_t *data, size_t size)
{
	for (size_t n = 0; size >= 14 && n < PATCHES; n++, data += 14, size -= 14) {
		uint64_t v;

		memcpy(&v, data + 6, sizeof(v));
		world_put64(w, place(w, data), value(w, data, v));
	}
}

static void build(struct gs_world *w)
{
	static const uint8_t zero[4096];

	world_init(w, 27, "go1.27.3");
	for (int i = 0; i < GOROUTINES; i++)
		world_add_parked(w, i % 2 ? WORLD_WORKER : WORLD_SPIN);
	world_put(w, WORLD_MS, zero, sizeof(zero));
	world_put(w, WORLD_LABELS, zero, sizeof(zero));
	world_put64(w, WORLD_VARS + 16, WORLD_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gs_world w;

	build(&w);
	/* The first bit decides whether the lies begin before or after opening. */
	if (size && (data[0] & 0x80))
		patch(&w, data, size);
	if (gs_rt_open(w.target, &w.rt, NULL) == 0) {
		patch(&w, data, size);
		dump(w.rt);
		dump(w.rt);
	}
	world_deinit(&w);
	return 0;
}
