/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Goroutines and threads of a Go execution trace by their numbers: open-addressing hash tables with linear
 * probing, at most half full, hashed with the process's seed because a recording may hold any numbers.
 * Goroutines live in the table itself and move; threads are few and stay where they are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "export/gotrace_sched.h"

#define G_MAX (4u << 20)
#define M_MAX (32u << 10)
#define MIN_SLOTS 256u

static void out_of_memory(struct gs__gt_sched *s)
{
	if (!s->file.error)
		s->file.error = -ENOMEM;
}

int gs__gt_sched_init(struct gs__gt_sched *s, struct gs_out *out, struct gs_event_source *source,
		      bool go122, struct gs_err *err)
{
	int r;

	*s = (struct gs__gt_sched){ .nobody.batch.m = GS__GT_NO_THREAD };
	r = gs__gt_file_init(&s->file, out, source, go122, err);
	if (r < 0)
		return r;
	s->g = gs_array_new(MIN_SLOTS, sizeof(*s->g));
	s->m_slots = gs_array_new(MIN_SLOTS, sizeof(*s->m_slots));
	if (!s->g || !s->m_slots)
		return gs_fail(err, -ENOMEM, 0, "cannot write the trace: out of memory");
	s->n_g_slots = s->n_m_slots = MIN_SLOTS;
	return 0;
}

void gs__gt_sched_deinit(struct gs__gt_sched *s)
{
	for (uint32_t i = 0; i < s->n_m; i++) {
		gs__gt_batch_deinit(&s->m[i]->batch);
		free(s->m[i]);
	}
	for (uint32_t i = 0; i < s->n_p; i++)
		if (s->p[i] && !s->p[i]->made_up)
			free(s->p[i]);
	for (uint32_t i = 0; i < s->n_made_up; i++)
		free(s->made_up[i]);
	gs__gt_batch_deinit(&s->nobody.batch);
	free(s->g);
	free(s->m);
	free(s->m_slots);
	free(s->p);
	free(s->made_up);
	free(s->calls);
	gs__gt_file_deinit(&s->file);
}

/* --- Goroutines -------------------------------------------------------------------------------------- */

static struct gs__gt_g *g_slot(struct gs__gt_g *slots, uint32_t n_slots, uint64_t goid)
{
	for (uint64_t h = gs_hash_u64(gs_hash_seed(), goid);; h++) {
		struct gs__gt_g *g = &slots[h & (n_slots - 1)];

		if (g->goid == 0 || g->goid == goid)
			return g;
	}
}

struct gs__gt_g *gs__gt_g(struct gs__gt_sched *s, uint64_t goid)
{
	struct gs__gt_g *g = goid ? g_slot(s->g, s->n_g_slots, goid) : NULL;

	return g && g->goid ? g : NULL;
}

static bool g_grow(struct gs__gt_sched *s)
{
	uint32_t n = s->n_g_slots * 2;
	struct gs__gt_g *slots = gs_array_new(n, sizeof(*slots));

	if (!slots) {
		out_of_memory(s);
		return false;
	}
	for (uint32_t i = 0; i < s->n_g_slots; i++)
		if (s->g[i].goid)
			*g_slot(slots, n, s->g[i].goid) = s->g[i];
	free(s->g);
	s->g = slots;
	s->n_g_slots = n;
	return true;
}

struct gs__gt_g *gs__gt_g_add(struct gs__gt_sched *s, uint64_t goid, uint8_t state)
{
	struct gs__gt_g *g;

	if (s->n_g >= G_MAX) {
		s->untracked++;
		return NULL;
	}
	if (s->n_g * 2 >= s->n_g_slots && !g_grow(s))
		return NULL;
	g = g_slot(s->g, s->n_g_slots, goid);
	*g = (struct gs__gt_g){ .goid = goid, .state = state, .gen = s->file.gen };
	s->n_g++;
	s->seen++;
	return g;
}

/* Empty a slot and move up those behind it that would not be found any more. */
static void g_remove(struct gs__gt_sched *s, struct gs__gt_g *g)
{
	uint32_t mask = s->n_g_slots - 1, hole = (uint32_t)(g - s->g);

	for (uint32_t i = (hole + 1) & mask; s->g[i].goid; i = (i + 1) & mask) {
		uint32_t home = (uint32_t)gs_hash_u64(gs_hash_seed(), s->g[i].goid) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			s->g[hole] = s->g[i];
			hole = i;
		}
	}
	s->g[hole].goid = 0;
	s->n_g--;
}

bool gs__gt_gone(struct gs__gt_sched *s, uint64_t goid)
{
	struct gs__gt_g *g = gs__gt_g(s, goid);

	return g && g->state == GS__GT_G_GONE;
}

void gs__gt_g_gone(struct gs__gt_sched *s, struct gs__gt_g *g)
{
	uint64_t *place = &s->gone[s->n_gone++ % GS__GT_GONE], oldest = *place;

	*place = g->goid;
	g->state = GS__GT_G_GONE;
	g->m = NULL;
	g = gs__gt_g(s, oldest);
	if (g && g->state == GS__GT_G_GONE)
		g_remove(s, g);
}

/* --- Threads ----------------------------------------------------------------------------------------- */

static uint32_t *m_slot(struct gs__gt_sched *s, uint32_t *slots, uint32_t n_slots, uint64_t tid)
{
	for (uint64_t h = gs_hash_u64(gs_hash_seed(), tid);; h++) {
		uint32_t *i = &slots[h & (n_slots - 1)];

		if (*i == 0 || s->m[*i - 1]->batch.m == tid)
			return i;
	}
}

static bool m_grow(struct gs__gt_sched *s)
{
	uint32_t n = s->n_m_slots * 2, *slots;
	struct gs__gt_m **m = gs_array_resize(s->m, n / 2, sizeof(struct gs__gt_m *));

	if (m) {
		s->m = m;
		s->m_cap = n / 2;
	}
	slots = m ? gs_array_new(n, sizeof(*slots)) : NULL;
	if (!slots) {
		out_of_memory(s);
		return false;
	}
	for (uint32_t i = 0; i < s->n_m; i++)
		*m_slot(s, slots, n, s->m[i]->batch.m) = i + 1;
	free(s->m_slots);
	s->m_slots = slots;
	s->n_m_slots = n;
	return true;
}

struct gs__gt_m *gs__gt_m_known(struct gs__gt_sched *s, int32_t tid)
{
	uint32_t i = tid > 0 ? *m_slot(s, s->m_slots, s->n_m_slots, (uint64_t)tid) : 0;

	return i ? s->m[i - 1] : NULL;
}

struct gs__gt_m *gs__gt_m(struct gs__gt_sched *s, int32_t tid)
{
	struct gs__gt_m *m;
	uint32_t *slot;

	if (tid <= 0)
		return NULL;
	slot = m_slot(s, s->m_slots, s->n_m_slots, (uint64_t)tid);
	if (*slot)
		return s->m[*slot - 1];
	if (s->n_m >= M_MAX) {
		s->untracked++;
		return NULL;
	}
	if (s->n_m >= s->m_cap) {
		if (!m_grow(s))
			return NULL;
		slot = m_slot(s, s->m_slots, s->n_m_slots, (uint64_t)tid);
	}
	m = calloc(1, sizeof(*m));
	if (!m) {
		out_of_memory(s);
		return NULL;
	}
	m->batch.m = (uint64_t)tid;
	m->batch.serial = 1; // 0 is that of no batch
	s->m[s->n_m++] = m;
	*slot = s->n_m;
	return m;
}

static bool can_tell(const struct gs__gt_m *m, bool goroutine)
{
	return m->p && (!goroutine || (m->goid && m->p->status == GS__GT_P_RUNNING));
}

struct gs__gt_m *gs__gt_any_m(struct gs__gt_sched *s, bool goroutine)
{
	/* Best the one last heard of: others may be in system calls we do not know of yet. */
	if (s->last_m && can_tell(s->last_m, goroutine))
		return s->last_m;
	for (uint32_t i = 0; i < s->n_m; i++)
		if (can_tell(s->m[i], goroutine))
			return s->m[i];
	return NULL;
}
