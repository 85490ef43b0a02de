/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Gathering, see why_analysis.h. When a request ends its tree of blame is made in scratch memory (blame.c); from it come
 *
 *	its classes          → sums of its route
 *	leaves of the tree   → a record: duration, and (root cause, the wait it came through, ns) each
 *	the tree itself      → kept if it is among the slowest, or near the median of its route
 *
 * Records are what percentiles and causes of slow requests are computed from at the end, when it is known what is slow. When
 * there are more than fit, every second one is dropped and from then on every second request is recorded
 * (then fourth, …): sums, counts, maxima and classes stay exact, percentiles and causes become estimates.
 */
#include "analysis/why_analysis.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/why_private.h"
#include "base/hash.h"

#define RECORDS_MAX 65536u
#define CAUSES_MAX 393216u
#define FIRST_ROOM 1024u
#define SLOWEST_DEFAULT 5u
/* Without these some time goes to another class than its own. Without THREADS it goes to none. */
#define CLASSES_UNSEEN (GS_UNSEEN_RUNTIME | GS_UNSEEN_FAULTS | GS_UNSEEN_CGO | GS_UNSEEN_SYSCALLS)

static void on_done(void *ctx, const struct gs_call *c, int64_t end_ns, enum gs_call_end how);

int gs_why_new(const struct gs_why_options *o, struct gs_event_source *s, struct gs_why **ret,
	       struct gs_err *err)
{
	GS_CLEANUP(gs_why_freep) struct gs_why *w = calloc(1, sizeof(*w));

	if (!w)
		return gs_fail(err, -ENOMEM, 0, "cannot analyse requests: out of memory");
	w->o = *o;
	if (w->o.n_slowest == 0)
		w->o.n_slowest = SLOWEST_DEFAULT;
	if (w->o.n_slowest > GS_WHY_SLOWEST_MAX)
		w->o.n_slowest = GS_WHY_SLOWEST_MAX;
	w->source = s;
	w->stride = 1;
	w->lives = gs_lives_new(&o->limits);
	w->book = gs_stack_book_new(s);
	w->routes = gs_routes_new(s->functions, s->n_functions);
	w->keys = gs_why_keys_new();
	w->route = gs_array_new(GS_ROUTES_MAX, sizeof(*w->route));
	if (w->lives && w->book) {
		w->requests = gs_requests_new(w->lives, on_done, w);
		w->blame = gs_blame_new(w->lives, w->book, s->goarch);
	}
	if (!w->requests || !w->blame || !w->routes || !w->keys || !w->route)
		return gs_fail(err, -ENOMEM, 0, "cannot analyse requests: out of memory");
	*ret = GS_TAKE(w);
	return 0;
}

static void drop_kept(struct gs_why *w)
{
	for (uint32_t i = 0; i < GS_WHY_SLOWEST_MAX; i++) {
		w->slowest[i] = gs__kept_free(w->slowest[i]);
		w->unfinished[i] = gs__kept_free(w->unfinished[i]);
	}
	for (uint32_t r = 0; w->route && r < GS_ROUTES_MAX; r++)
		for (uint32_t i = 0; i < GS__TYPICAL; i++)
			w->route[r].typical[i] = gs__kept_free(w->route[r].typical[i]);
	w->n_slowest = w->n_unfinished = 0;
}

struct gs_why *gs_why_free(struct gs_why *w)
{
	if (!w)
		return NULL;
	drop_kept(w);
	gs_arena_free(w->arena);
	free(w->causes);
	free(w->records);
	free(w->route);
	gs_why_keys_free(w->keys);
	gs_routes_free(w->routes);
	gs_blame_free(w->blame);
	gs_requests_free(w->requests);
	gs_stack_book_free(w->book);
	gs_lives_free(w->lives);
	free(w);
	return NULL;
}

const struct gs_lives_counts *gs_why_counts(const struct gs_why *w)
{
	return gs_lives_counts(w->lives);
}

void gs_why_reset(struct gs_why *w)
{
	drop_kept(w);
	memset(w->route, 0, GS_ROUTES_MAX * sizeof(*w->route));
	w->n_records = w->n_causes = 0;
	w->stride = 1;
	w->skipped = 0;
	w->aborted = w->uncertain = w->forgotten = 0;
	w->begun_before_base = gs_requests_counts(w->requests)->begun_before;
	w->abandoned_base = gs_requests_counts(w->requests)->abandoned;
	w->begin_ns = gs_lives_now(w->lives);
}

/* ---- requests kept whole ---- */

struct gs__kept *gs__kept_free(struct gs__kept *k)
{
	if (k) {
		free(k->node);
		free(k->file);
		free(k);
	}
	return NULL;
}

static bool make_room(struct gs__kept *k, uint32_t n)
{
	struct gs_blame_node *node;
	struct gs_file_ref *file;

	if (n <= k->cap)
		return true;
	node = gs_array_resize(k->node, n, sizeof(*node));
	if (node)
		k->node = node;
	file = gs_array_resize(k->file, n, sizeof(*file));
	if (file)
		k->file = file;
	if (!node || !file)
		return false;
	k->cap = n;
	return true;
}

static struct gs__kept *keep(struct gs_why *w, struct gs__kept *to, const struct gs_call *c,
			     int64_t end_ns, uint32_t route, uint32_t flags,
			     const struct gs_blame_tree *t)
{
	if (!to)
		to = calloc(1, sizeof(*to));
	if (!to || !make_room(to, t->n))
		return gs__kept_free(to);
	to->call = *c;
	to->duration_ns = end_ns - c->begin_ns;
	to->route = route;
	to->flags = flags;
	to->n = t->n;
	memcpy(to->classes, t->classes, sizeof(to->classes));
	memcpy(to->node, t->node, t->n * sizeof(*t->node));
	for (uint32_t i = 0; i < t->n; i++) {
		const struct gs_file_ref *f = gs_lives_file(w->lives, t->node[i].file);

		to->file[i] = f ? *f : (struct gs_file_ref){ .fd = -1 };
	}
	return to;
}

void gs__keep_at(struct gs_why *w, struct gs__kept **slot, uint32_t *n, uint32_t at,
		 const struct gs_call *c, int64_t end_ns, uint32_t route, uint32_t flags,
		 const struct gs_blame_tree *t)
{
	slot[at] = keep(w, slot[at], c, end_ns, route, flags, t);
	if (slot[at]) {
		*n += at == *n;
	} else if (at < *n) {
		--*n;
		slot[at] = slot[*n];
		slot[*n] = NULL;
	}
}

static void keep_if_slowest(struct gs_why *w, const struct gs_call *c, int64_t end_ns,
			    uint32_t route, uint32_t flags, const struct gs_blame_tree *t)
{
	int64_t ns = end_ns - c->begin_ns;
	uint32_t at = w->n_slowest;

	if (at == w->o.n_slowest) {
		at = 0;
		for (uint32_t i = 1; i < w->n_slowest; i++)
			if (w->slowest[i]->duration_ns < w->slowest[at]->duration_ns)
				at = i;
		if (w->slowest[at]->duration_ns >= ns)
			return;
	}
	gs__keep_at(w, w->slowest, &w->n_slowest, at, c, end_ns, route, flags, t);
}

/* Eight buckets per power of two. */
static uint32_t bucket_of(int64_t ns)
{
	uint64_t v = ns > 8 ? (uint64_t)ns : 8;
	uint32_t log2 = 63 - (uint32_t)__builtin_clzll(v);
	uint32_t b = (log2 - 3) * 8 + (uint32_t)(v >> (log2 - 3) & 7);

	return b < GS__BUCKETS ? b : GS__BUCKETS - 1;
}

static int64_t bucket_begin(uint32_t b)
{
	return (int64_t)((uint64_t)(8 + b % 8) << b / 8);
}

/* Looked for again when there are a sixteenth more; within a bucket durations count as evenly spread. */
static void estimate_median(struct gs__route *r)
{
	uint64_t below = 0;
	uint32_t b = 0;
	double in;

	if (r->count < r->estimated_at + r->estimated_at / 16 + 1)
		return;
	r->estimated_at = r->count;
	while (b + 1 < GS__BUCKETS && (below + r->bucket[b]) * 2 < r->count)
		below += r->bucket[b++];
	in = r->bucket[b] ? ((double)r->count / 2 - (double)below) / r->bucket[b] : 0;
	r->median_ns =
		bucket_begin(b) + (int64_t)(in * (double)(bucket_begin(b + 1) - bucket_begin(b)));
}

static int64_t distance(int64_t a, int64_t b)
{
	return a > b ? a - b : b - a;
}

/* Which of the slots of the random sample (Vitter's algorithm R) a request takes; none: GS__TYPICAL. */
static uint32_t sample_slot(struct gs_why *w, const struct gs__route *r)
{
	uint64_t size = GS__TYPICAL - GS__NEAR, at = r->count - 1;

	if (at >= size) {
		w->random = gs_hash_u64(w->random, r->count);
		at = w->random % r->count;
	}
	return at < size ? GS__NEAR + (uint32_t)at : GS__TYPICAL;
}

/* Near the median as far as it is known; what is not, by chance. */
static void keep_if_typical(struct gs_why *w, const struct gs_call *c, int64_t end_ns,
			    uint32_t route, uint32_t flags, const struct gs_blame_tree *t)
{
	struct gs__route *r = &w->route[route];
	int64_t off = distance(end_ns - c->begin_ns, r->median_ns), worst_off = -1;
	uint32_t at = 0;

	for (uint32_t i = 0; i < GS__NEAR; i++) {
		const struct gs__kept *k = r->typical[i];
		int64_t d = k ? distance(k->duration_ns, r->median_ns) : INT64_MAX;

		if (d > worst_off) {
			worst_off = d;
			at = i;
		}
	}
	if (worst_off <= off)
		at = sample_slot(w, r);
	if (at < GS__TYPICAL)
		r->typical[at] = keep(w, r->typical[at], c, end_ns, route, flags, t);
}

/* ---- records ---- */

static void thin_records(struct gs_why *w)
{
	uint32_t n = 0, causes = 0;

	for (uint32_t i = 0; i < w->n_records; i += 2) {
		struct gs__record r = w->records[i];

		memmove(&w->causes[causes], &w->causes[r.first_cause],
			r.n_causes * sizeof(*w->causes));
		r.first_cause = causes;
		causes += r.n_causes;
		w->records[n++] = r;
	}
	w->n_records = n;
	w->n_causes = causes;
	w->stride *= 2;
}

static bool grow(void **p, uint32_t *cap, uint32_t max, uint32_t need, size_t size)
{
	uint32_t n = *cap ? *cap : FIRST_ROOM;
	void *more;

	while (n < need)
		n *= 2;
	if (n > max)
		n = max;
	if (n <= *cap)
		return need <= *cap;
	more = gs_array_resize(*p, n, size);
	if (!more)
		return false;
	*p = more;
	*cap = n;
	return need <= n;
}

static bool room_for_record(struct gs_why *w)
{
	return grow((void **)&w->records, &w->cap_records, RECORDS_MAX, w->n_records + 1,
		    sizeof(*w->records)) &&
	       grow((void **)&w->causes, &w->cap_causes, CAUSES_MAX, w->n_causes + GS_BLAME_NODES,
		    sizeof(*w->causes));
}

static void add_cause(struct gs_why *w, struct gs__record *r, uint32_t key, uint32_t via,
		      int64_t ns)
{
	for (uint32_t i = 0; i < r->n_causes; i++) {
		struct gs__record_cause *c = &w->causes[r->first_cause + i];

		if (c->key == key && c->via == via) {
			c->ns += ns;
			return;
		}
	}
	w->causes[r->first_cause + r->n_causes++] =
		(struct gs__record_cause){ .key = key, .via = via, .ns = ns };
}

static uint32_t key_of(struct gs_why *w, const struct gs_blame_tree *t, uint32_t i)
{
	return gs_why_keys_number(w->keys, &t->node[i], gs_lives_file(w->lives, t->node[i].file));
}

/* What of each node's time its children do not explain. */
static void record(struct gs_why *w, int64_t ns, uint32_t route, const struct gs_blame_tree *t)
{
	struct gs__record *r;
	int64_t own[GS_BLAME_NODES];
	uint32_t top[GS_BLAME_NODES];

	if (w->skipped++ % w->stride)
		return;
	if (!room_for_record(w) && w->n_records > 1)
		thin_records(w);
	if (!room_for_record(w))
		return;
	r = &w->records[w->n_records++];
	*r = (struct gs__record){ .duration_ns = ns, .route = route, .first_cause = w->n_causes };
	for (uint32_t i = 1; i < t->n; i++) {
		uint32_t parent = t->node[i].parent;

		own[i] = t->node[i].ns;
		top[i] = parent ? top[parent] : i;
		if (parent)
			own[parent] -= t->node[i].ns;
	}
	for (uint32_t i = 1; i < t->n; i++)
		if (own[i] > 0)
			add_cause(w, r, key_of(w, t, i), key_of(w, t, top[i]), own[i]);
	w->n_causes += r->n_causes;
}

/* ---- events ---- */

static bool has_failed(const struct gs_call *c, enum gs_call_end how)
{
	if (how == GS_CALL_ABORTED)
		return true;
	return c->kind == GS_CALL_GRPC ? c->status > 0 : c->status >= 500;
}

static void add_up(struct gs_why *w, const struct gs_call *c, int64_t end_ns, uint32_t route,
		   uint32_t flags, enum gs_call_end how, const struct gs_blame_tree *t)
{
	struct gs__route *r = &w->route[route];
	int64_t ns = end_ns - c->begin_ns;

	r->count++;
	r->kind = c->kind;
	r->failed += has_failed(c, how);
	r->sum_ns += ns;
	r->bucket[bucket_of(ns)]++;
	if (ns > r->max_ns)
		r->max_ns = ns;
	for (int i = 0; i < GS_WHY_CLASSES; i++)
		r->classes[i] += t->classes[i];
	w->aborted += (flags & GS_WHY_ABORTED) != 0;
	w->uncertain += (flags & GS_WHY_UNCERTAIN) != 0;
	w->forgotten += (flags & GS_WHY_CUT) != 0;
	estimate_median(r);
}

bool gs__is_wanted(const struct gs_why *w, const struct gs_call *c, uint32_t route)
{
	if ((c->kind == GS_CALL_FUNCTION) != w->o.functions)
		return false;
	return !w->o.route || strstr(gs_routes_name(w->routes, route), w->o.route);
}

uint32_t gs__flags_of(const struct gs_why *w, const struct gs_call *c,
		      const struct gs_blame_tree *t)
{
	uint32_t flags = 0;

	if (w->lost_ns && w->lost_ns >= c->begin_ns)
		flags |= GS_WHY_UNCERTAIN;
	if (w->unseen & CLASSES_UNSEEN)
		flags |= GS_WHY_UNCERTAIN;
	if (t->forgotten)
		flags |= GS_WHY_CUT;
	return flags;
}

static void on_done(void *ctx, const struct gs_call *c, int64_t end_ns, enum gs_call_end how)
{
	struct gs_why *w = ctx;
	uint32_t route = gs_routes_of(w->routes, c), flags;
	const struct gs_blame_tree *t;

	if (end_ns < c->begin_ns || !gs__is_wanted(w, c, route))
		return;
	t = gs_blame_explain(w->blame, &(struct gs_blame_window){ .goid = c->goid,
								  .begin_ns = c->begin_ns,
								  .end_ns = end_ns,
								  .context = route + 1 });
	flags = gs__flags_of(w, c, t);
	if (how == GS_CALL_ABORTED)
		flags |= GS_WHY_ABORTED;
	add_up(w, c, end_ns, route, flags, how, t);
	record(w, end_ns - c->begin_ns, route, t);
	keep_if_slowest(w, c, end_ns, route, flags, t);
	keep_if_typical(w, c, end_ns, route, flags, t);
}

/* Requests that hang since before watching began have no begin, and are what people look for. */
static void look_for_request(struct gs_why *w, const struct gs_event *e)
{
	enum gs_call_kind kind;
	const char *handler;

	if (!w->o.functions && gs_stack_request(w->book, e->stack, &kind, &handler))
		gs_requests_before(w->requests, e->goid, e->t_ns, kind, 0, handler);
}

void gs_why_event(struct gs_why *w, const struct gs_event *e)
{
	if (!w->begin_ns)
		w->begin_ns = e->t_ns;
	if (e->kind == GS_EV_LOST)
		w->lost_ns = e->t_ns;
	else if (e->kind == GS_EV_DETACHED)
		w->unseen |= e->detached.unseen;
	gs_lives_event(w->lives, e);
	gs_requests_event(w->requests, e);
	if (e->kind == GS_EV_GO_STATE)
		look_for_request(w, e);
}
