/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The table of goroutines: a hash with chains over slabs, so that lives stay where they are. Those that have ended wait in
 * a queue, oldest first, and are found until a new goroutine needs the place.
 */
#include <stdlib.h>

#include "analysis/lives_private.h"
#include "base/arena.h"
#include "base/hash.h"

#define DEFAULT_BYTES ((size_t)16 << 20)
#define DEFAULT_LIVES (256u << 10)
#define SLAB 1024u
#define DEAD_MAX 16384u

static struct gs_life *life_at(const struct gs_lives *l, uint32_t index)
{
	return &l->slabs[index / SLAB][index % SLAB];
}

static uint32_t floor_pow2(size_t n)
{
	uint32_t p = 64;

	while ((size_t)p * 2 <= n && p < 1u << 28)
		p *= 2;
	return p;
}

struct gs_lives *gs_lives_new(const struct gs_lives_limits *limits)
{
	GS_CLEANUP(gs_lives_freep) struct gs_lives *l = calloc(1, sizeof(*l));
	size_t bytes = limits && limits->bytes ? limits->bytes : DEFAULT_BYTES;
	uint32_t n = floor_pow2(bytes / sizeof(struct gs_interval));

	if (!l)
		return NULL;
	l->max_lives = limits && limits->max_lives ? limits->max_lives : DEFAULT_LIVES;
	l->max_slabs = (l->max_lives + SLAB - 1) / SLAB;
	l->bucket_mask = 4095;
	l->mask = n - 1;
	l->head = 1;
	l->file_head = 1;
	// calloc: pages are taken from the kernel only when the ring first gets there.
	l->ring = gs_array_new(n, sizeof(*l->ring));
	l->slabs = gs_array_new(l->max_slabs, sizeof(*l->slabs));
	l->buckets = gs_array_new(l->bucket_mask + 1, sizeof(*l->buckets));
	l->objects = gs_array_new(GS__OBJECTS, sizeof(*l->objects));
	l->files = gs_array_new(GS__FILES, sizeof(*l->files));
	if (!l->ring || !l->slabs || !l->buckets || !l->objects || !l->files)
		return NULL;
	return GS_TAKE(l);
}

struct gs_lives *gs_lives_free(struct gs_lives *l)
{
	if (!l)
		return NULL;
	for (uint32_t i = 0; l->slabs && i < l->n_slabs; i++)
		free(l->slabs[i]);
	free(l->slabs);
	free(l->buckets);
	free(l->objects);
	free(l->files);
	free(l->ring);
	free(l);
	return NULL;
}

int64_t gs_lives_now(const struct gs_lives *l)
{
	return l->now_ns;
}

const struct gs_lives_counts *gs_lives_counts(const struct gs_lives *l)
{
	return &l->counts;
}

struct gs_life *gs_lives_find(struct gs_lives *l, uint64_t goid)
{
	uint32_t i = l->buckets[gs_hash_u64(0, goid) & l->bucket_mask];

	while (i) {
		struct gs_life *life = life_at(l, i - 1);

		if (life->goid == goid)
			return life;
		i = life->next_hash;
	}
	return NULL;
}

static void unlink_life(struct gs_lives *l, uint32_t index)
{
	const struct gs_life *life = life_at(l, index);
	uint32_t *p = &l->buckets[gs_hash_u64(0, life->goid) & l->bucket_mask];

	while (*p && *p != index + 1)
		p = &life_at(l, *p - 1)->next_hash;
	if (*p)
		*p = life->next_hash;
}

/* Twice the buckets once there are as many lives; a failure only makes chains longer. */
static void grow_buckets(struct gs_lives *l)
{
	uint32_t mask = l->bucket_mask * 2 + 1;
	uint32_t *buckets = gs_array_new((size_t)mask + 1, sizeof(*buckets));

	if (!buckets)
		return;
	for (uint32_t b = 0; b <= l->bucket_mask; b++) {
		uint32_t i = l->buckets[b];

		while (i) {
			struct gs_life *life = life_at(l, i - 1);
			uint32_t next = life->next_hash;
			uint32_t *to = &buckets[gs_hash_u64(0, life->goid) & mask];

			life->next_hash = *to;
			*to = i;
			i = next;
		}
	}
	free(l->buckets);
	l->buckets = buckets;
	l->bucket_mask = mask;
}

/* The one that ended longest ago, if nothing of it is kept any more or there are too many; else -1. */
static int64_t take_dead(struct gs_lives *l, bool force)
{
	struct gs_life *life;
	uint32_t index;

	if (!l->dead_first)
		return -1;
	index = l->dead_first - 1;
	life = life_at(l, index);
	if (!force && l->n_dead < DEAD_MAX && gs__interval(l, life->last))
		return -1;
	l->dead_first = life->next_dead;
	if (!l->dead_first)
		l->dead_last = 0;
	l->n_dead--;
	unlink_life(l, index);
	return index;
}

static int64_t new_index(struct gs_lives *l)
{
	int64_t index = take_dead(l, false);

	if (index >= 0)
		return index;
	if (l->n_lives >= l->max_lives)
		return take_dead(l, true);
	if (l->n_lives == l->n_slabs * SLAB) {
		struct gs_life *slab = gs_array_new(SLAB, sizeof(*slab));

		if (!slab)
			return take_dead(l, true);
		l->slabs[l->n_slabs++] = slab;
	}
	if (l->n_lives > l->bucket_mask)
		grow_buckets(l);
	return l->n_lives++;
}

struct gs_life *gs__life_get(struct gs_lives *l, uint64_t goid)
{
	struct gs_life *life = gs_lives_find(l, goid);
	uint32_t *bucket;
	int64_t index;

	if (life)
		return life;
	index = new_index(l);
	if (index < 0)
		return NULL;
	life = life_at(l, (uint32_t)index);
	bucket = &l->buckets[gs_hash_u64(0, goid) & l->bucket_mask];
	*life = (struct gs_life){ .goid = goid, .next_hash = *bucket };
	*bucket = (uint32_t)index + 1;
	l->counts.lives = l->n_lives - l->n_dead;
	return life;
}

void gs__lives_each(struct gs_lives *l, void (*visit)(struct gs_lives *l, struct gs_life *life))
{
	for (uint32_t i = 0; i < l->n_lives; i++) {
		struct gs_life *life = life_at(l, i);

		if (!life->dead)
			visit(l, life);
	}
}

void gs__life_bury(struct gs_lives *l, struct gs_life *life)
{
	// Index + 1 of a life is what its bucket's chain holds.
	uint32_t i = l->buckets[gs_hash_u64(0, life->goid) & l->bucket_mask];

	while (i && life_at(l, i - 1) != life)
		i = life_at(l, i - 1)->next_hash;
	life->dead = true;
	life->next_dead = 0;
	if (l->dead_last)
		life_at(l, l->dead_last - 1)->next_dead = i;
	else
		l->dead_first = i;
	l->dead_last = i;
	l->n_dead++;
	l->counts.lives = l->n_lives - l->n_dead;
}
