/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The result of what why_analysis.c gathered: percentiles, routes, and the rest put together. All of it lies in one arena. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/why_private.h"

void *gs__get(struct gs__build *b, size_t n, size_t size)
{
	void *p = gs_arena_array(b->a, n ? n : 1, size);

	b->failed |= !p;
	return p;
}

/* ---- percentiles and routes ---- */

static int by_duration(const void *pa, const void *pb, void *ctx)
{
	const struct gs__record *r = ctx;
	int64_t a = r[*(const uint32_t *)pa].duration_ns, b = r[*(const uint32_t *)pb].duration_ns;

	return a < b ? -1 : a > b;
}

/* Nearest rank: the smallest duration that @percent of all do not exceed. */
static int64_t percentile(const int64_t *sorted, uint32_t n, uint32_t percent)
{
	uint64_t rank = ((uint64_t)n * percent + 99) / 100;

	return n ? sorted[rank ? rank - 1 : 0] : 0;
}

static void set_spread(struct gs_why_spread *to, const int64_t *sorted, uint32_t n)
{
	to->p50_ns = percentile(sorted, n, 50);
	to->p90_ns = percentile(sorted, n, 90);
	to->p99_ns = percentile(sorted, n, 99);
}

static void set_totals(struct gs__build *b)
{
	struct gs_why *w = b->w;
	int64_t *sorted = gs__get(b, w->n_records, sizeof(*sorted));

	b->order = gs__get(b, w->n_records, sizeof(*b->order));
	if (b->failed)
		return;
	for (uint32_t i = 0; i < w->n_records; i++)
		b->order[i] = i;
	qsort_r(b->order, w->n_records, sizeof(*b->order), by_duration, w->records);
	for (uint32_t i = 0; i < w->n_records; i++)
		sorted[i] = w->records[b->order[i]].duration_ns;
	set_spread(&b->r->duration, sorted, w->n_records);
	for (uint32_t i = 0; i < GS_ROUTES_MAX; i++) {
		const struct gs__route *r = &w->route[i];

		b->r->duration.count += r->count;
		b->r->duration.sum_ns += r->sum_ns;
		if (r->max_ns > b->r->duration.max_ns)
			b->r->duration.max_ns = r->max_ns;
		for (int c = 0; c < GS_WHY_CLASSES; c++)
			b->r->classes[c] += r->classes[c];
	}
}

static const struct gs_why_request *typical_of(struct gs__build *b, const struct gs__route *r,
					       int64_t p50_ns)
{
	const struct gs__kept *best = NULL;
	struct gs_why_request *to;

	for (uint32_t i = 0; i < GS__TYPICAL; i++)
		if (r->typical[i] && (!best || llabs(r->typical[i]->duration_ns - p50_ns) <
						       llabs(best->duration_ns - p50_ns)))
			best = r->typical[i];
	to = best ? gs__get(b, 1, sizeof(*to)) : NULL;
	if (to)
		gs__set_request(b, to, best);
	return to;
}

static void set_route(struct gs__build *b, struct gs_why_route *to, uint32_t number,
		      int64_t *scratch)
{
	struct gs_why *w = b->w;
	const struct gs__route *r = &w->route[number];
	uint32_t n = 0;

	*to = (struct gs_why_route){ .route = gs_routes_name(w->routes, number),
				     .number = number,
				     .kind = r->kind,
				     .failed = r->failed };
	for (uint32_t i = 0; i < w->n_records; i++)
		if (w->records[b->order[i]].route == number)
			scratch[n++] = w->records[b->order[i]].duration_ns;
	set_spread(&to->duration, scratch, n);
	to->duration.count = r->count;
	to->duration.sum_ns = r->sum_ns;
	to->duration.max_ns = r->max_ns;
	memcpy(to->classes, r->classes, sizeof(to->classes));
	to->typical = typical_of(b, r, to->duration.p50_ns);
}

static int by_time(const void *pa, const void *pb)
{
	const struct gs_why_route *a = pa, *b = pb;

	if (a->duration.sum_ns != b->duration.sum_ns)
		return a->duration.sum_ns < b->duration.sum_ns ? 1 : -1;
	return strcmp(a->route, b->route);
}

static void set_routes(struct gs__build *b)
{
	struct gs_why *w = b->w;
	struct gs_why_route *to = gs__get(b, gs_routes_count(w->routes), sizeof(*to));
	int64_t *scratch = gs__get(b, w->n_records, sizeof(*scratch));
	uint32_t n = 0;

	for (uint32_t i = 0; i < gs_routes_count(w->routes) && !b->failed; i++)
		if (w->route[i].count)
			set_route(b, &to[n++], i, scratch);
	if (b->failed)
		return;
	qsort(to, n, sizeof(*to), by_time);
	for (uint32_t i = 0; i < n; i++)
		b->by_number[to[i].number] = &to[i];
	b->r->routes = to;
	b->r->n_routes = n;
}

/* ---- what still goes on ---- */

static void keep_unfinished(void *ctx, const struct gs_call *c)
{
	struct gs_why *w = ctx;
	int64_t now = gs_lives_now(w->lives);
	uint32_t route = gs_routes_of(w->routes, c), at = w->n_unfinished, flags;
	const struct gs_blame_tree *t;

	if (now < c->begin_ns || !gs__is_wanted(w, c, route))
		return;
	w->unfinished_total++;
	if (at == w->o.n_slowest) {
		at = 0;
		for (uint32_t i = 1; i < w->n_unfinished; i++)
			if (w->unfinished[i]->duration_ns < w->unfinished[at]->duration_ns)
				at = i;
		if (w->unfinished[at]->duration_ns >= now - c->begin_ns)
			return;
	}
	t = gs_blame_explain(w->blame, &(struct gs_blame_window){ .goid = c->goid,
								  .begin_ns = c->begin_ns,
								  .end_ns = now,
								  .context = route + 1,
								  .unfinished = true });
	flags = gs__flags_of(w, c, t) | GS_WHY_UNFINISHED | (c->before ? GS_WHY_BEFORE : 0);
	gs__keep_at(w, w->unfinished, &w->n_unfinished, at, c, now, route, flags, t);
}

static void set_unfinished(struct gs__build *b)
{
	struct gs_why *w = b->w;

	w->n_unfinished = 0;
	w->unfinished_total = 0;
	gs_requests_unfinished(w->requests, keep_unfinished, w);
	b->r->unfinished = gs__set_requests(b, w->unfinished, w->n_unfinished);
	b->r->n_unfinished = w->n_unfinished;
	b->r->unfinished_total = w->unfinished_total;
}

/* ---- what is missing ---- */

static void set_incomplete(struct gs__build *b)
{
	struct gs_why *w = b->w;
	const struct gs_lives_counts *lives = gs_lives_counts(w->lives);
	const struct gs_requests_counts *calls = gs_requests_counts(w->requests);
	struct gs_incomplete_list *l = &w->incomplete;

	if (b->r->stats)
		*l = b->r->stats->incomplete;
	else
		l->n = 0;
	gs_incomplete_add(
		l, "requests_uncertain", w->uncertain,
		"events were lost, or probes taken away, before they ended: their classes "
		"may be wrong");
	gs_incomplete_add(
		l, "requests_abandoned", calls->abandoned - w->abandoned_base,
		"they were going on when --max-overhead stopped following them and are not "
		"measured");
	gs_incomplete_add(l, "requests_cut", w->forgotten,
			  "they took longer than the past that is kept in memory reaches back");
	gs_incomplete_add(l, "requests_not_followed", calls->not_followed,
			  "too many requests at once");
	gs_incomplete_add(l, "events_not_followed", lives->not_followed,
			  "of goroutines beyond the limit of those followed at once");
	gs_incomplete_add(l, "requests_sampled", w->stride > 1 ? b->r->duration.count : 0,
			  "percentiles and causes are those of one in %u requests", w->stride);
	gs_incomplete_add(l, "requests_begun_before", b->r->begun_before,
			  "they began before watching did and are not measured");
	b->r->incomplete = l;
}

int gs_why_result(struct gs_why *w, const struct gs_why_result **ret, struct gs_err *err)
{
	struct gs__build b = { .w = w };
	struct gs_why_result *r;

	w->arena = gs_arena_free(w->arena);
	w->arena = b.a = gs_arena_new(0);
	r = b.a ? gs__get(&b, 1, sizeof(*r)) : NULL;
	if (!r)
		return gs_fail(err, -ENOMEM, 0, "cannot sum up requests: out of memory");
	b.r = r;
	r->process = w->source->process;
	r->stats = w->source->stats ? w->source->stats(w->source) : NULL;
	if (r->stats && r->stats->begin_unix_ns)
		r->begin_unix_ns = r->stats->begin_unix_ns + w->begin_ns - r->stats->begin_ns;
	r->begin_ns = w->begin_ns;
	r->watched_ns = gs_lives_now(w->lives) - w->begin_ns;
	r->functions = w->o.functions;
	r->sampled = w->stride;
	r->begun_before = gs_requests_counts(w->requests)->begun_before - w->begun_before_base;
	r->aborted = w->aborted;
	r->uncertain = w->uncertain;
	set_totals(&b);
	if (!b.failed)
		set_routes(&b);
	if (!b.failed)
		gs__set_causes(&b);
	if (!b.failed) {
		r->slowest = gs__set_requests(&b, w->slowest, w->n_slowest);
		r->n_slowest = w->n_slowest;
		set_unfinished(&b);
	}
	if (b.failed)
		return gs_fail(err, -ENOMEM, 0, "cannot sum up requests: out of memory");
	set_incomplete(&b);
	*ret = r;
	return 0;
}
