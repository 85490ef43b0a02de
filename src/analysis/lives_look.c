/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Looking back at lives: through one goroutine's past, at the waits for one object, at what ran meanwhile. */
#include "analysis/lives_private.h"

#define BESIDE_BEFORE 512u
#define BESIDE_AFTER 64u

const struct gs_interval *gs_lives_previous_wait(const struct gs_lives *l,
						 const struct gs_interval *v)
{
	const struct gs__object *o = gs__object(l, v->wait_for.object);
	const struct gs_interval *p;

	if (v->kind != GS_IVL_WAIT)
		return NULL;
	if (v->flags & GS_IVL_F_OPEN)
		p = o->object == v->wait_for.object ? gs__interval(l, o->last) : NULL;
	else
		p = gs__interval(l, v->wait_for.prev_object);
	// The slot may hold a younger one by now: then it ended later, or is about something else.
	if (!p || p->kind != GS_IVL_WAIT || p->wait_for.object != v->wait_for.object ||
	    p->end_ns > v->end_ns)
		return NULL;
	return p;
}

const struct gs_file_ref *gs_lives_file(const struct gs_lives *l, uint32_t file)
{
	if (file == 0 || l->file_head - file - 1 >= GS__FILES)
		return NULL;
	return &l->files[file % GS__FILES];
}

static int64_t overlap(int64_t a, int64_t b, int64_t c, int64_t d)
{
	int64_t begin = a > c ? a : c, end = b < d ? b : d;

	return end > begin ? end - begin : 0;
}

int64_t gs_lives_stopped_ns(const struct gs_lives *l, int64_t a, int64_t b)
{
	int64_t sum = l->stop_begin_ns ? overlap(a, b, l->stop_begin_ns, INT64_MAX) : 0;
	uint64_t n = l->n_stops < GS__STOPS ? l->n_stops : GS__STOPS;

	for (uint64_t i = 1; i <= n; i++) {
		const struct gs__stop *s = &l->stops[(l->n_stops - i) % GS__STOPS];

		if (s->end_ns <= a)
			break;
		sum += overlap(a, b, s->begin_ns, s->end_ns);
	}
	return sum < b - a ? sum : b - a;
}

void gs_life_walk_init(struct gs_life_walk *w, const struct gs_lives *l, const struct gs_life *life,
		       int64_t from_ns, int64_t to_ns)
{
	*w = (struct gs_life_walk){ .l = l,
				    .life = life,
				    .from_ns = from_ns,
				    .to_ns = to_ns,
				    .next = life->last,
				    .open_done = life->open.kind == GS_IVL_NONE,
				    .reached_ns = to_ns };
}

const struct gs_interval *gs_life_walk_next(struct gs_life_walk *w)
{
	const struct gs_interval *v;

	if (!w->open_done) {
		w->open_done = true;
		w->current = w->life->open;
		w->current.flags |= GS_IVL_F_OPEN;
		w->current.end_ns = w->to_ns;
		if (w->current.start_ns < w->to_ns) {
			w->reached_ns = w->current.start_ns;
			return &w->current;
		}
	}
	while (w->next && w->reached_ns > w->from_ns) {
		v = gs__interval(w->l, w->next);
		if (!v || v->goid_low != (uint32_t)w->life->goid) {
			w->forgotten = true;
			return NULL;
		}
		w->next = v->prev;
		if (v->kind == GS_IVL_SAMPLE || v->start_ns >= w->to_ns)
			continue;
		if (v->end_ns <= w->from_ns)
			return NULL;
		if (v->start_ns < w->reached_ns)
			w->reached_ns = v->start_ns;
		return v;
	}
	return NULL;
}

const struct gs_interval *gs_life_walk_sample(struct gs_life_walk *w)
{
	const struct gs_interval *v = gs__interval(w->l, w->next);

	if (!v || v->kind != GS_IVL_SAMPLE || v->goid_low != (uint32_t)w->life->goid)
		return NULL;
	w->next = v->prev;
	return v;
}

bool gs_lives_is_thinned(const struct gs_lives *l)
{
	return l->thin_mask != 0;
}

/* A thread that is off the CPU keeps its P, unless it is in a system call for long: then sysmon takes it away. */
static bool holds_p(const struct gs_interval *v)
{
	if (v->kind == GS_IVL_OFF)
		return v->flags & (GS_IVL_F_RUNNABLE | GS_IVL_F_FAULT | GS_IVL_F_RECLAIM);
	return v->kind == GS_IVL_ON;
}

uint32_t gs_lives_beside(const struct gs_lives *l, const struct gs_interval *v, int64_t a,
			 int64_t b, struct gs_overlap *ret, uint32_t max, int64_t *ret_from)
{
	bool kept = v >= l->ring && v <= l->ring + l->mask;
	uint32_t slot = kept ? (uint32_t)(v - l->ring) : l->head - 1;
	uint32_t at = l->head - ((l->head - slot) & l->mask), n = 0;
	int64_t from = b;

	// The ring is in the order of ends: what overlaps is not far before and after it.
	for (uint32_t k = 0; k < BESIDE_BEFORE + BESIDE_AFTER && n < max && from > a; k++) {
		const struct gs_interval *o = gs__interval(l, at + BESIDE_AFTER - k);

		if (!o || o == v)
			continue;
		if (k > BESIDE_AFTER && o->end_ns < from)
			from = o->end_ns > a ? o->end_ns : a;
		if (holds_p(o) && o->goid_low != v->goid_low &&
		    overlap(o->start_ns, o->end_ns, a, b) > 0)
			ret[n++] = (struct gs_overlap){ .v = o,
							.a = o->start_ns > a ? o->start_ns : a,
							.b = o->end_ns < b ? o->end_ns : b };
	}
	for (uint32_t i = 0; i < n; i++)
		if (ret[i].a < from)
			ret[i].a = from < ret[i].b ? from : ret[i].b;
	*ret_from = from;
	return n;
}

const struct gs_interval *gs_lives_sample_in(const struct gs_lives *l, const struct gs_interval *v)
{
	const struct gs_interval *p = gs__interval(l, v->prev);

	return p && p->kind == GS_IVL_SAMPLE && p->goid_low == v->goid_low ? p : NULL;
}
