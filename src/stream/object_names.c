/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Names of locks, channels and other objects by address, each asked for once. */
#include <stdlib.h>

#include "base/hash.h"
#include "stream/stream_private.h"

#define NAMES_MAX (1u << 20)

void gs__names_deinit(struct gs__names *s)
{
	free(s->v);
	*s = (struct gs__names){ 0 };
}

static struct gs__name *slot_of(struct gs__name *v, uint32_t mask, gs_addr addr)
{
	uint32_t i = (uint32_t)gs_hash_u64(gs_hash_seed(), addr) & mask;

	while (v[i].addr && v[i].addr != addr)
		i = (i + 1) & mask;
	return &v[i];
}

static bool grow(struct gs__names *s)
{
	uint32_t size = s->v ? (s->mask + 1) * 2 : 256;
	struct gs__name *v = size <= NAMES_MAX ? gs_array_new(size, sizeof(*v)) : NULL;

	if (!v)
		return false;
	for (uint32_t i = 0; s->v && i <= s->mask; i++)
		if (s->v[i].addr)
			*slot_of(v, size - 1, s->v[i].addr) = s->v[i];
	free(s->v);
	s->v = v;
	s->mask = size - 1;
	return true;
}

const char *gs__names_object(struct gs__names *s, struct gs_rt *rt, gs_addr addr)
{
	struct gs__name *n;

	if (!addr)
		return NULL;
	if (s->v) {
		n = slot_of(s->v, s->mask, addr);
		if (n->addr)
			return n->name;
	}
	/* A full table answers no more, rather than allocate for each question. */
	if ((!s->v || s->n * 2 >= s->mask) && !grow(s))
		return NULL;
	n = slot_of(s->v, s->mask, addr);
	*n = (struct gs__name){ addr, gs_rt_object_name(rt, addr) };
	s->n++;
	return n->name;
}
