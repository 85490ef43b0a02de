/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Lies in the memory of a made-up process, as the input of a fuzzer wants them. */
#include "go_world.h"

#define LIES 48

enum { COMMON = 4 }; /* kinds of places that every world has */

/* The words worth lying about: variables, the list, g structures, stacks, and what the fuzzer is after. */
static gs_addr place(const struct gs_world *w, const struct world_lies *l, const uint8_t *p)
{
	uint32_t off = (uint32_t)(p[2] | p[3] << 8);
	uint32_t i = p[1] % l->n, which = p[0] % (COMMON + l->places);

	switch (which) {
	case 0:
		return WORLD_VARS + off % 64;
	case 1:
		return WORLD_LIST + off % (8 * l->n);
	case 2:
		return WORLD_GS + i * WORLD_G_STRIDE + off % WORLD_G_STRIDE;
	case 3:
		return WORLD_STACKS + i * WORLD_STACK_SIZE + WORLD_STACK_SIZE - 8 - off % 512;
	default:
		return l->place(w, which - COMMON, i, off);
	}
}

/* Small values as they are; others become something that exists, or what the input says. */
static uint64_t value(const struct gs_world *w, const struct world_lies *l, const uint8_t *p,
		      uint64_t v)
{
	switch (p[4] % 4) {
	case 0:
		return v;
	case 1:
		return l->base[v % l->n_bases] + (v >> 8) % l->span;
	case 2:
		return world_pc(w, (int)(v % WORLD_N_FUNCS), (unsigned int)(v >> 8) % 64);
	default:
		return v % 64;
	}
}

void world_lie(struct gs_world *w, const struct world_lies *l, const uint8_t *data, size_t size)
{
	for (size_t n = 0; size >= 14 && n < LIES; n++, data += 14, size -= 14) {
		uint64_t v;

		memcpy(&v, data + 6, sizeof(v));
		world_put64(w, place(w, l, data), value(w, l, data, v));
	}
}
