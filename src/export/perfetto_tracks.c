/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What is open on the tracks of a timeline for Perfetto; see perfetto_tracks.h. Goroutines and threads are records in
 * arrays, found by number through hash tables (open addressing with linear probing, at most half full, seeded
 * because numbers may be foreign); records of goroutines that are gone are used again.
 */
#include "export/perfetto_tracks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"

#define G_MAX (4u << 20)
#define T_MAX (32u << 10)
#define GONE UINT32_MAX /* in the place of a goroutine's record */

/* --- Tables ------------------------------------------------------------------------------------------ */

static uint32_t ids_slot(const struct gs__pt_ids *t, uint64_t key)
{
	uint32_t mask = t->n_slots - 1, i = (uint32_t)gs_hash_u64(gs_hash_seed(), key) & mask;

	while (t->place[i] && t->key[i] != key)
		i = (i + 1) & mask;
	return i;
}

static bool ids_grow(struct gs__pt_ids *t)
{
	struct gs__pt_ids n = { .n = t->n, .n_slots = t->n_slots ? t->n_slots * 2 : 256 };

	if (t->n * 2 < t->n_slots)
		return true;
	n.key = gs_array_new(n.n_slots, sizeof(*n.key));
	n.place = gs_array_new(n.n_slots, sizeof(*n.place));
	if (!n.key || !n.place) {
		free(n.key);
		free(n.place);
		return false;
	}
	for (uint32_t i = 0; i < t->n_slots; i++) {
		uint32_t to = t->place[i] ? ids_slot(&n, t->key[i]) : 0;

		if (!t->place[i])
			continue;
		n.key[to] = t->key[i];
		n.place[to] = t->place[i];
	}
	free(t->key);
	free(t->place);
	*t = n;
	return true;
}

/* 1 + the place, 0 if there is none. */
static uint32_t ids_find(const struct gs__pt_ids *t, uint64_t key)
{
	return t->n_slots ? t->place[ids_slot(t, key)] : 0;
}

static bool ids_put(struct gs__pt_ids *t, uint64_t key, uint32_t place)
{
	uint32_t i;

	if (!ids_grow(t))
		return false;
	i = ids_slot(t, key);
	t->n += t->place[i] == 0;
	t->key[i] = key;
	t->place[i] = place;
	return true;
}

static void ids_remove(struct gs__pt_ids *t, uint64_t key)
{
	uint32_t mask = t->n_slots - 1, hole = ids_slot(t, key);

	if (!t->place[hole])
		return;
	for (uint32_t i = (hole + 1) & mask; t->place[i]; i = (i + 1) & mask) {
		uint32_t home = (uint32_t)gs_hash_u64(gs_hash_seed(), t->key[i]) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			t->key[hole] = t->key[i];
			t->place[hole] = t->place[i];
			hole = i;
		}
	}
	t->place[hole] = 0;
	t->n--;
}

static void out_of_memory(struct gs_timeline_writer *w)
{
	if (!w->pf.error)
		w->pf.error = -ENOMEM;
}

struct gs__pt_goroutine *gs__pt_find(struct gs_timeline_writer *w, uint64_t goid)
{
	uint32_t i = goid ? ids_find(&w->g_ids, goid) : 0;

	return i && i != GONE ? &w->g[i - 1] : NULL;
}

struct gs__pt_goroutine *gs__pt_goroutine(struct gs_timeline_writer *w, uint64_t goid)
{
	struct gs__pt_goroutine *g = gs__pt_find(w, goid);
	uint32_t i;

	if (g || goid == 0 || ids_find(&w->g_ids, goid) == GONE)
		return g;
	if (w->n_g_free) {
		i = w->g_free[--w->n_g_free];
	} else if (w->n_g < w->g_cap || w->g_cap < G_MAX) {
		if (w->n_g == w->g_cap) {
			uint32_t cap = w->g_cap ? w->g_cap * 2 : 256;
			struct gs__pt_goroutine *a = gs_array_resize(w->g, cap, sizeof(*a));
			uint32_t *f = gs_array_resize(w->g_free, cap, sizeof(*f));

			w->g = a ? a : w->g;
			w->g_free = f ? f : w->g_free;
			if (!a || !f) {
				out_of_memory(w);
				return NULL;
			}
			w->g_cap = cap;
		}
		i = w->n_g++;
	} else {
		w->untracked++;
		return NULL;
	}
	if (!ids_put(&w->g_ids, goid, i + 1)) {
		out_of_memory(w);
		return NULL;
	}
	w->seen++;
	w->g[i] = (struct gs__pt_goroutine){ .goid = goid, .last_ns = w->now_ns, .p = -1 };
	return &w->g[i];
}

/* Events of it that come late must not bring it back: the last ones that went are remembered. */
void gs__pt_forget(struct gs_timeline_writer *w, struct gs__pt_goroutine *g)
{
	uint64_t *place = &w->gone[w->n_gone++ % GS__PT_GONE];

	if (*place && ids_find(&w->g_ids, *place) == GONE)
		ids_remove(&w->g_ids, *place);
	*place = g->goid;
	(void)ids_put(&w->g_ids, g->goid, GONE); // it is there already, so there is room
	w->g_free[w->n_g_free++] = (uint32_t)(g - w->g);
	g->goid = 0;
}

/* --- Tracks ------------------------------------------------------------------------------------------ */

/* "G 12 main.worker" */
static size_t goroutine_name(const struct gs__pt_goroutine *g, char *ret)
{
	const char *f = g->start ? g->start->function : "";
	int n = snprintf(ret, GS__PT_NAME_MAX, "G %" PRIu64 "%s%s", g->goid, f[0] ? " " : "", f);

	return n < 0 ? 0 : n < GS__PT_NAME_MAX ? (size_t)n : GS__PT_NAME_MAX - 1;
}

void gs__pt_plain(struct gs_timeline_writer *w, uint64_t id, uint64_t parent, const char *name,
		  bool ordered)
{
	gs__pf_track(&w->pf, &(struct gs__pf_track){ .uuid = id,
						     .parent = parent,
						     .name = name,
						     .name_len = strlen(name),
						     .ordered = ordered });
}

int32_t gs__pt_pid(const struct gs_timeline_writer *w)
{
	return w->source->process && w->source->process->pid > 0 ? w->source->process->pid : 1;
}

void gs__pt_first(struct gs_timeline_writer *w)
{
	const char *name = w->source->process ? w->source->process->service : NULL;

	gs__pf_track(&w->pf, &(struct gs__pf_track){ .uuid = gs__pt_uuid(GS__PT_PROCESS, 0),
						     .pid = gs__pt_pid(w),
						     .name = name,
						     .name_len = name ? strlen(name) : 0 });
	gs__pt_plain(w, gs__pt_uuid(GS__PT_GROUP_P, 0), gs__pt_uuid(GS__PT_PROCESS, 0), "Ps", true);
	gs__pt_plain(w, gs__pt_uuid(GS__PT_GROUP_G, 0), gs__pt_uuid(GS__PT_PROCESS, 0),
		     "Goroutines", true);
}

uint64_t gs__pt_name(struct gs_timeline_writer *w, const char *s)
{
	return gs__pf_name(&w->pf, s, strlen(s));
}

/* The name of a goroutine as that of a slice. */
static uint64_t slice_name(struct gs_timeline_writer *w, const struct gs__pt_goroutine *g)
{
	char name[GS__PT_NAME_MAX];

	return gs__pf_name(&w->pf, name, goroutine_name(g, name));
}

void gs__pt_tell(struct gs_timeline_writer *w, struct gs__pt_goroutine *g)
{
	struct gs__pf_what what = { .name = g->state, .category = GS__PF_CAT_GOROUTINE };
	char name[GS__PT_NAME_MAX];

	if (g->told)
		return;
	gs__pf_track(&w->pf, &(struct gs__pf_track){ .uuid = gs__pt_uuid(GS__PT_G, g->goid),
						     .parent = gs__pt_uuid(GS__PT_GROUP_G, 0),
						     .name = name,
						     .name_len = goroutine_name(g, name),
						     .rank = g->goid < INT32_MAX ? (int32_t)g->goid
										 : INT32_MAX });
	g->told = true;
	if (!g->state)
		return;
	what.stack = gs__pf_stack(&w->pf, g->stack);
	gs__pf_slice_begin(&w->pf, gs__pt_uuid(GS__PT_G, g->goid), g->last_ns, &what);
	g->open = true;
}

struct gs__pt_thread *gs__pt_thread(struct gs_timeline_writer *w, int32_t tid)
{
	uint32_t i = tid > 0 ? ids_find(&w->t_ids, (uint64_t)tid) : 0;

	if (i || tid <= 0)
		return i ? &w->t[i - 1] : NULL;
	if (w->n_t == w->t_cap) {
		uint32_t cap = w->t_cap ? w->t_cap * 2 : 64;
		struct gs__pt_thread *t = cap <= T_MAX ? gs_array_resize(w->t, cap, sizeof(*t))
						       : NULL;

		if (!t) {
			w->untracked++;
			return NULL;
		}
		w->t = t;
		w->t_cap = cap;
	}
	if (!ids_put(&w->t_ids, (uint64_t)tid, w->n_t + 1)) {
		out_of_memory(w);
		return NULL;
	}
	gs__pf_track(&w->pf,
		     &(struct gs__pf_track){ .uuid = gs__pt_uuid(GS__PT_THREAD, (uint64_t)tid),
					     .parent = gs__pt_uuid(GS__PT_PROCESS, 0),
					     .pid = gs__pt_pid(w),
					     .tid = tid });
	w->t[w->n_t] = (struct gs__pt_thread){ .tid = tid };
	return &w->t[w->n_t++];
}

/* --- States ------------------------------------------------------------------------------------------ */

void gs__pt_state_close(struct gs_timeline_writer *w, struct gs__pt_goroutine *g)
{
	if (g->open)
		gs__pf_slice_end(&w->pf, gs__pt_uuid(GS__PT_G, g->goid), w->now_ns, NULL);
	g->open = false;
	g->last_ns = w->now_ns;
}

void gs__pt_state(struct gs_timeline_writer *w, struct gs__pt_goroutine *g,
		  struct gs__pf_what *what)
{
	gs__pt_tell(w, g);
	gs__pt_state_close(w, g);
	what->category = GS__PF_CAT_GOROUTINE;
	gs__pf_slice_begin(&w->pf, gs__pt_uuid(GS__PT_G, g->goid), w->now_ns, what);
	g->state = what->name;
	g->open = true;
}

void gs__pt_thread_leave(struct gs_timeline_writer *w, int32_t tid, uint64_t goid)
{
	uint32_t i = tid > 0 ? ids_find(&w->t_ids, (uint64_t)tid) : 0;
	struct gs__pt_thread *t = i ? &w->t[i - 1] : NULL;

	if (!t || !t->goid || t->goid != goid)
		return;
	gs__pf_slice_end(&w->pf, gs__pt_uuid(GS__PT_THREAD, (uint64_t)tid), w->now_ns, NULL);
	t->goid = 0;
	t->last_ns = w->now_ns;
}

void gs__pt_p_leave(struct gs_timeline_writer *w, int32_t p, uint64_t goid)
{
	if (p < 0 || p >= GS__PT_P_MAX || !w->p[p].goid || w->p[p].goid != goid)
		return;
	gs__pf_slice_end(&w->pf, gs__pt_uuid(GS__PT_P, (uint64_t)p), w->now_ns, NULL);
	w->p[p].goid = 0;
	w->p[p].last_ns = w->now_ns;
}

void gs__pt_leave(struct gs_timeline_writer *w, struct gs__pt_goroutine *g)
{
	gs__pt_thread_leave(w, g->tid, g->goid);
	gs__pt_p_leave(w, g->p, g->goid);
	g->tid = 0;
	g->p = -1;
}

static void thread_enter(struct gs_timeline_writer *w, struct gs__pt_goroutine *g, int32_t tid)
{
	struct gs__pt_thread *t = gs__pt_thread(w, tid);
	struct gs__pf_what what = { .category = GS__PF_CAT_THREAD };

	if (!t || t->goid == g->goid)
		return;
	gs__pt_thread_leave(w, tid, t->goid);
	what.name = slice_name(w, g);
	gs__pf_slice_begin(&w->pf, gs__pt_uuid(GS__PT_THREAD, (uint64_t)tid), w->now_ns, &what);
	t->goid = g->goid;
	t->last_ns = w->now_ns;
	t->switch_ns = 0;
	g->tid = tid;
}

static void p_enter(struct gs_timeline_writer *w, struct gs__pt_goroutine *g, int32_t p)
{
	struct gs__pf_what what = { .category = GS__PF_CAT_P };
	char name[16];

	/* In the past it may have been another's. */
	if (p < 0 || p >= GS__PT_P_MAX || w->now_ns < w->p[p].last_ns)
		return;
	if (!w->p[p].told) {
		snprintf(name, sizeof(name), "P %d", p);
		gs__pf_track(&w->pf,
			     &(struct gs__pf_track){ .uuid = gs__pt_uuid(GS__PT_P, (uint64_t)p),
						     .parent = gs__pt_uuid(GS__PT_GROUP_P, 0),
						     .name = name,
						     .name_len = strlen(name),
						     .rank = p + 1 });
		w->p[p].told = true;
	}
	gs__pt_p_leave(w, p, w->p[p].goid);
	what.name = slice_name(w, g);
	gs__pf_slice_begin(&w->pf, gs__pt_uuid(GS__PT_P, (uint64_t)p), w->now_ns, &what);
	w->p[p].goid = g->goid;
	w->p[p].last_ns = w->now_ns;
	g->p = p;
}

void gs__pt_run(struct gs_timeline_writer *w, struct gs__pt_goroutine *g, int32_t tid, int32_t p)
{
	struct gs__pf_what what = { .name = w->running, .flow_end = g->flow };

	gs__pt_leave(w, g);
	if (tid > 0)
		gs__pf_arg(&what, GS__PF_THREAD, (uint64_t)tid);
	if (p >= 0)
		gs__pf_arg(&what, GS__PF_P, (uint64_t)p);
	gs__pt_state(w, g, &what);
	g->flow = 0;
	thread_enter(w, g, tid);
	p_enter(w, g, p);
}
