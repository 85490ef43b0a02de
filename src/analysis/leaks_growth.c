/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Creation sites whose goroutines only grow in number. All goroutines are read every few seconds. What counts is, per
 * go statement, how many goroutines have stayed since the reading before: those that come and go between two
 * readings are no growth, however many.
 *
 *   staying   40  41  44  43  49  55  58  61  66        rises, and dips by less than chance explains
 *             └──first third──┘      └──last third──┘   least of the last third > most of the first third
 *
 * A site grows if the rise from beginning to end is more than both NEW_MIN and three times the square root of what was
 * there (what independent goroutines that come and go vary by), the last third lies above the first, and the rise
 * came in at least three steps: a pool that is filled once does not grow.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "analysis/leaks_private.h"
#include "base/clock.h"
#include "base/hash.h"
#include "model/stack_table.h"

#define READINGS 12u
#define INTERVAL_MIN_NS 250000000
#define NEW_MIN 5u
#define STEPS_MIN 3u
#define SITES_MAX 65536u
#define SEEN_MAX (1u << 26)

struct seen {
	uint64_t goid; /* 0: free slot */
	int64_t first_ns;
	uint32_t reading; /* the last one it was seen in, from 1 */
	uint32_t site;
};

struct site {
	const struct gs_frame *created_by;
	uint32_t staying[READINGS + 1];
	uint32_t all[READINGS + 1];
	bool grows;
};

struct growth {
	struct gs_leaks *l;
	struct seen *seen;
	uint32_t n_seen, cap; /* a power of two */
	struct site *site;
	uint32_t n_sites, sites_cap;
	struct gs_stack_table sites;
	struct gs_stack_table places; /* of goroutines of sites that grow: where they are stuck */
	struct gs_leak *place; /* a finding in the making for each place; kind holds the site */
	uint32_t *place_site;
	uint32_t places_cap;
	uint32_t reading;
	int64_t begin_ns, reading_ns, last_but_one_ns;
	uint64_t goroutines;
	struct gs_err *err;
};

/* ---- which goroutines were seen when ---- */

static struct seen *slot_of(struct growth *w, uint64_t goid)
{
	uint32_t i = (uint32_t)gs_hash_u64(gs_hash_seed(), goid) & (w->cap - 1);

	while (w->seen[i].goid && w->seen[i].goid != goid)
		i = (i + 1) & (w->cap - 1);
	return &w->seen[i];
}

/* Make the table new: twice as large if need be, and without goroutines that have ended. */
static int rehash(struct growth *w, uint32_t oldest)
{
	struct seen *old = w->seen;
	uint32_t old_cap = w->cap, n = 0;

	for (uint32_t i = 0; i < old_cap; i++)
		n += old[i].goid && old[i].reading >= oldest;
	for (w->cap = 1024; w->cap < n * 3ul && w->cap < SEEN_MAX;)
		w->cap *= 2;
	w->seen = gs_array_new(w->cap, sizeof(*w->seen));
	if (!w->seen || n * 2ul > w->cap) {
		free(w->seen);
		w->seen = old;
		w->cap = old_cap;
		return gs_fail(w->err, -ENOMEM, 0, "no memory to watch %" PRIu32 " goroutines", n);
	}
	w->n_seen = n;
	for (uint32_t i = 0; i < old_cap; i++)
		if (old[i].goid && old[i].reading >= oldest)
			*slot_of(w, old[i].goid) = old[i];
	free(old);
	return 0;
}

static int see(struct growth *w, uint64_t goid, uint32_t site, struct seen **ret)
{
	struct seen *s;

	if (w->n_seen * 2ul >= w->cap) {
		int r = rehash(w, w->reading ? w->reading - 1 : 0);

		if (r < 0)
			return r;
	}
	s = slot_of(w, goid);
	if (!s->goid) {
		*s = (struct seen){ .goid = goid, .first_ns = w->reading_ns, .site = site };
		w->n_seen++;
	}
	*ret = s;
	return 0;
}

/* ---- sites ---- */

static int site_of(struct growth *w, const struct gs_frame *created_by, uint32_t *ret)
{
	const struct gs_stack_key key = { .frame = created_by };
	int r = gs_stack_table_number(&w->sites, &key, ret, w->err);

	if (r <= 0)
		return r;
	if (w->n_sites == w->sites_cap) {
		uint32_t cap = w->sites_cap ? w->sites_cap * 2 : 64;
		void *p = gs_array_resize(w->site, cap, sizeof(*w->site));

		if (!p)
			return gs_fail(w->err, -ENOMEM, 0, "no memory for creation sites");
		w->site = p;
		w->sites_cap = cap;
	}
	w->site[w->n_sites++] = (struct site){ .created_by = created_by };
	return 0;
}

static int count(void *ctx, const struct gs_goroutine *g)
{
	struct growth *w = ctx;
	struct seen *s = NULL;
	uint32_t site;
	int r;

	w->goroutines++;
	if (!g->created_by)
		return 0;
	r = site_of(w, g->created_by, &site);
	if (r == 0)
		r = see(w, g->id, site, &s);
	if (r < 0)
		return r;
	if (s->site != site || site >= w->n_sites)
		return 0;
	w->site[site].all[w->reading]++;
	/* In the first reading none is known to stay; the second one says for both. */
	if (w->reading == 0)
		w->site[site].staying[0]++;
	else if (s->reading == w->reading)
		w->site[site].staying[w->reading]++;
	s->reading = w->reading + 1;
	return 0;
}

static bool grows(const struct site *s, uint32_t n)
{
	uint32_t third = n / 3 ? n / 3 : 1, top = 0, low = UINT32_MAX, steps = 0, first, last;

	for (uint32_t i = 0; i < third; i++)
		top = s->staying[i] > top ? s->staying[i] : top;
	for (uint32_t i = n - third; i < n; i++)
		low = s->staying[i] < low ? s->staying[i] : low;
	for (uint32_t i = 1; i < n; i++)
		steps += s->staying[i] > s->staying[i - 1];
	first = s->staying[0];
	last = s->staying[n - 1];
	return n >= 4 && low > top && steps >= STEPS_MIN && last >= first + NEW_MIN &&
	       (uint64_t)(last - first) * (last - first) > 9 * (uint64_t)first;
}

/* ---- where they are stuck ---- */

static int place_of(struct growth *w, const struct gs_goroutine *g, uint32_t site, uint32_t *ret)
{
	const struct gs_stack_key key = { .stack = g->stack->id,
					  .kind = (uint64_t)site << 8 | g->state,
					  .text = g->wait_reason };
	int r = gs_stack_table_number(&w->places, &key, ret, w->err);
	struct gs_leak *f;

	if (r <= 0)
		return r;
	if (*ret >= w->places_cap) {
		uint32_t cap = w->places_cap ? w->places_cap * 2 : 64;
		void *a = gs_array_resize(w->place, cap, sizeof(*w->place)), *b;

		w->place = a ? a : w->place;
		b = a ? gs_array_resize(w->place_site, cap, sizeof(*w->place_site)) : NULL;
		if (!b)
			return gs_fail(w->err, -ENOMEM, 0, "no memory for stacks");
		w->place_site = b;
		w->places_cap = cap;
	}
	w->place_site[*ret] = site;
	f = &w->place[*ret];
	*f = (struct gs_leak){ .kind = GS_LEAK_GROWTH,
			       .state = gs_goroutine_state_name(g->state),
			       .wait_reason = g->wait_reason,
			       .stack = g->stack,
			       .created_by = g->created_by,
			       .longest_wait_ns = -1,
			       .closed_ns = -1,
			       .fd = -1,
			       .held_bytes = UINT64_MAX };
	return 0;
}

/*
 * How old a goroutine is: since we saw it first, if it came while we watched; else as the runtime says how long it
 * waits. What that says is too long by up to the time between two collections: a goroutine is stamped in one of them
 * with the time of the one before (runtime/mgcmark.go, markroot: work.tstart, which is set when marking ends).
 */
static int64_t age_of(const struct growth *w, const struct gs_goroutine *g, const struct seen *s)
{
	return s->first_ns > w->begin_ns ? w->reading_ns - s->first_ns : g->wait_ns;
}

static int find_places(void *ctx, const struct gs_goroutine *g)
{
	struct growth *w = ctx;
	const struct seen *s = slot_of(w, g->id);
	struct gs_leak *f;
	uint64_t *ids;
	uint32_t place;
	int r;

	if (!s->goid || s->site >= w->n_sites || !w->site[s->site].grows)
		return 0;
	r = place_of(w, g, s->site, &place);
	if (r < 0)
		return r;
	f = &w->place[place];
	if (!f->goroutine_ids)
		f->goroutine_ids = gs_arena_array(w->l->arena, GS__LEAK_IDS, sizeof(*ids));
	if (!f->goroutine_ids)
		return gs_fail(w->err, -ENOMEM, 0, "no memory for findings");
	ids = (uint64_t *)f->goroutine_ids;
	if (f->n_ids < GS__LEAK_IDS)
		ids[f->n_ids++] = g->id;
	f->count++;
	f->ages[gs_leak_age(age_of(w, g, s))]++;
	if (g->wait_ns > f->longest_wait_ns)
		f->longest_wait_ns = g->wait_ns;
	return 0;
}

static int id_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* One finding a site: where most of its goroutines are, with the number of all. */
static int make_finding(struct growth *w, uint32_t site, uint32_t n)
{
	const struct site *s = &w->site[site];
	struct gs_leak *best = NULL, sum = { .longest_wait_ns = -1 }, *f;

	for (uint32_t i = 0; i < w->places.n; i++) {
		struct gs_leak *p = &w->place[i];

		if (w->place_site[i] != site)
			continue;
		if (!best || p->count > best->count)
			best = p;
		sum.count += p->count;
		for (unsigned int k = 0; k < GS_LEAK_AGES; k++)
			sum.ages[k] += p->ages[k];
		if (p->longest_wait_ns > sum.longest_wait_ns)
			sum.longest_wait_ns = p->longest_wait_ns;
	}
	if (!best)
		return 0;
	f = gs__leak_new(w->l);
	if (!f)
		return gs_fail(w->err, -ENOMEM, 0, "no memory for findings");
	*f = *best;
	qsort((uint64_t *)f->goroutine_ids, f->n_ids, sizeof(uint64_t), id_order);
	f->confidence = n > READINGS / 2 ? GS_LEAK_HIGH : GS_LEAK_LIKELY;
	f->count = sum.count;
	f->longest_wait_ns = sum.longest_wait_ns;
	memcpy(f->ages, sum.ages, sizeof(f->ages));
	f->count_before = s->staying[0];
	/* Those that stay in the last reading were there in the one before. */
	f->per_second = (double)(s->staying[n - 1] - s->staying[0]) * 1e9 /
			(double)(w->last_but_one_ns - w->begin_ns);
	return 0;
}

/* ---- watching ---- */

static int read_all(struct growth *w, int (*visit)(void *ctx, const struct gs_goroutine *g))
{
	const struct gs_rt_dump_options o = { .no_labels = true, .system = true };
	struct gs_incomplete_list ignored = { .n = 0 };
	bool last = visit == find_places;

	w->goroutines = 0;
	return gs_rt_goroutines(w->l->rt, &o, visit, w, last ? &w->l->incomplete : &ignored,
				w->err);
}

static int watch(struct growth *w)
{
	int64_t watch_ns = w->l->o.watch_ns, every_ns = watch_ns / READINGS;
	uint32_t n = READINGS + 1, taken = 0;
	char text[80];
	int r = 0;

	if (every_ns < INTERVAL_MIN_NS) {
		every_ns = INTERVAL_MIN_NS;
		n = (uint32_t)(watch_ns / every_ns) + 1;
	}
	w->begin_ns = gs_now_ns();
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		snprintf(text, sizeof(text), "watching for growth, reading %" PRIu32 " of %" PRIu32,
			 i + 1, n);
		if (i && !gs__leaks_wait(w->l, w->begin_ns + i * every_ns - gs_now_ns(), text))
			break;
		w->reading = i;
		w->last_but_one_ns = w->reading_ns;
		w->reading_ns = gs_now_ns();
		w->begin_ns = i ? w->begin_ns : w->reading_ns;
		r = read_all(w, count);
		taken = i + 1;
	}
	w->l->result.watched_ns = w->reading_ns - w->begin_ns;
	w->l->result.goroutines = w->goroutines;
	if (r < 0)
		return r;
	/* Those of the first reading that were still there in the second one. */
	for (uint32_t i = 0; taken > 1 && i < w->n_sites; i++)
		if (w->site[i].staying[1] < w->site[i].staying[0])
			w->site[i].staying[0] = w->site[i].staying[1];
	return (int)taken;
}

static int find_growth(struct growth *w)
{
	uint32_t n, growing = 0;
	int r = watch(w);

	if (r < 4) // an early end, before anything could be told
		return r < 0 ? r : 0;
	n = (uint32_t)r;
	w->l->result.ran[GS_LEAK_GROWTH] = true;
	for (uint32_t i = 0; i < w->n_sites; i++) {
		w->site[i].grows = grows(&w->site[i], n);
		growing += w->site[i].grows;
	}
	r = growing ? read_all(w, find_places) : 0;
	for (uint32_t i = 0; r == 0 && i < w->n_sites; i++)
		r = w->site[i].grows ? make_finding(w, i, n) : 0;
	return r;
}

int gs__leaks_growth(struct gs_leaks *l, struct gs_err *err)
{
	struct growth w = { .l = l, .err = err, .sites.limit = SITES_MAX };
	int r = rehash(&w, 0);

	if (r == 0)
		r = find_growth(&w);
	gs_stack_table_deinit(&w.sites);
	gs_stack_table_deinit(&w.places);
	free(w.seen);
	free(w.site);
	free(w.place);
	free(w.place_site);
	return r;
}
