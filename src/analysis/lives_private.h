/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_LIVES_PRIVATE_H
#define GS_ANALYSIS_LIVES_PRIVATE_H

/* What lives.c (events), lives_table.c (goroutines) and lives_look.c (looking back) share. */
#include "analysis/lives.h"
#include "base/hash.h"

#define GS__OBJECTS 8192u
#define GS__FILES 8192u
#define GS__STOPS 1024u

struct gs__stop {
	int64_t begin_ns, end_ns;
};

struct gs__object {
	uint64_t object;
	uint32_t last;
};

struct gs_lives {
	struct gs_interval *ring;
	uint32_t mask, head; /* number of the next one; never 0 */
	struct gs_life **slabs;
	uint32_t n_slabs, max_slabs, n_lives, max_lives;
	uint32_t *buckets, bucket_mask;
	uint32_t dead_first, dead_last, n_dead; /* indexes + 1 */
	struct gs__object *objects;
	struct gs_file_ref *files;
	uint32_t file_head; /* number of the next one; 0 is none */
	struct gs__stop stops[GS__STOPS];
	uint64_t n_stops;
	int64_t stop_begin_ns; /* 0: the world is not stopped */
	int64_t now_ns;
	uint32_t thin_mask, unseen; /* of GS_EV_THINNED, GS_EV_DETACHED */
	struct gs_lives_counts counts;
};

/** The interval with a number; NULL if it is forgotten. */
static inline const struct gs_interval *gs__interval(const struct gs_lives *l, uint32_t number)
{
	if (number == 0 || l->head - number - 1 > l->mask)
		return NULL;
	return &l->ring[number & l->mask];
}

/** Where the latest wait for an object is remembered; others may share the place. */
static inline struct gs__object *gs__object(const struct gs_lives *l, uint64_t object)
{
	return &l->objects[gs_hash_u64(0, object) & (GS__OBJECTS - 1)];
}

/** The life of a goroutine, made if there is none; NULL when there are too many. */
struct gs_life *gs__life_get(struct gs_lives *l, uint64_t goid);
/** Call @visit for every goroutine that has not ended; it may bury the one it is given. */
void gs__lives_each(struct gs_lives *l, void (*visit)(struct gs_lives *l, struct gs_life *life));
/** It has ended: its place may be taken by another once nothing of it is kept. */
void gs__life_bury(struct gs_lives *l, struct gs_life *life);

#endif
