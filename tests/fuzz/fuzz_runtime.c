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

/* An M, labels, moduledata. */
static gs_addr place(const struct gs_world *w, uint32_t which, uint32_t i, uint32_t off)
{
	(void)i; /* they are of all goroutines */
	switch (which) {
	case 0:
		return WORLD_MS + off % 2048;
	case 1:
		return WORLD_LABELS + off % 1024;
	default:
		return w->at.moduledata + off % 600;
	}
}

static const gs_addr bases[] = { WORLD_GS,   WORLD_STACKS, WORLD_LIST,
				 WORLD_VARS, WORLD_LABELS, WORLD_MS };
static const struct world_lies lies = { .n = GOROUTINES,
					.base = bases,
					.n_bases = GS_ARRAY_SIZE(bases),
					.span = 8192,
					.places = 3,
					.place = place };

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
		world_lie(&w, &lies, data, size);
	if (gs_rt_open(w.target, &w.rt, NULL) == 0) {
		world_lie(&w, &lies, data, size);
		dump(w.rt);
		dump(w.rt);
	}
	world_deinit(&w);
	return 0;
}
