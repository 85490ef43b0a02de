/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Which root causes the slow requests have in common.
 *
 * What is slow: what the user says (--slow); else the slowest tenth of each route, but not fewer than ten, because
 * from two or three nothing can be concluded; nothing below a floor of 10 ms (1 ms for calls of functions), and no route on which reaching the floor is a rarity (one request in a hundred, and at
 * least three). By route, because else one that is always slow would hide what happens on the others. A cause stands out
 * when it takes a tenth of the time of all slow requests, or a third on one of the routes. In a healthy program nothing reaches the
 * floor.
 *
 * Waiting for a CPU is kept apart: others had it, or a quota was used up, and nothing in the program can be blamed. It is
 * neither among the causes nor in the time of which they take shares.
 */
#include <stdlib.h>

#include "analysis/why_private.h"

#define FLOOR_NS 10000000
#define FLOOR_FUNCTION_NS 1000000
#define STANDS_OUT_SHARE 0.1
#define STANDS_OUT_ON_ROUTE 0.33
#define TENTH_MIN 10u
#define RARE_SHARE 0.01
#define RARE_COUNT 3
#define CAUSES_SHOWN 64u

/* Time of a root cause that came through one wait, or on one route. */
struct pair {
	uint32_t key, other;
	int64_t ns;
};

struct sum {
	uint32_t key, last_record; /* + 1 */
	int64_t ns, all_ns;
	uint64_t requests;
};

struct causes {
	struct gs__build *b;
	int64_t from_ns[GS_ROUTES_MAX];     /* slow from here; INT64_MAX: never */
	int64_t slow_sum_ns[GS_ROUTES_MAX]; /* without waiting for a CPU */
	int64_t program_ns;                 /* sum of them */
	struct sum *sums;
	struct pair *vias, *routes; /* in the order of keys */
	uint32_t n_vias, n_routes;
	bool any_slow;
};

/* From where on requests of a route are slow. */
static int64_t slow_from(const struct gs__build *b, const struct gs_why_route *r, uint32_t number)
{
	const struct gs_why *w = b->w;
	uint64_t tenth = r->duration.count / 10, over = 0;
	int64_t from_ns = b->r->slow_ns;

	if (b->r->slow_asked)
		return from_ns;
	if (tenth < TENTH_MIN)
		tenth = TENTH_MIN;
	for (uint32_t i = w->n_records; i > 0; i--) {
		const struct gs__record *q = &w->records[b->order[i - 1]];

		if (q->duration_ns < b->r->slow_ns)
			break;
		if (q->route != number)
			continue;
		over += w->stride;
		if (over <= tenth)
			from_ns = q->duration_ns;
	}
	if (over < RARE_COUNT || (double)over < RARE_SHARE * (double)r->duration.count)
		return INT64_MAX;
	return from_ns;
}

static void find_slow(struct causes *c)
{
	struct gs__build *b = c->b;
	const struct gs_why *w = b->w;
	struct gs_why_result *r = b->r;

	r->slow_asked = w->o.slow_ns > 0;
	r->slow_ns = r->slow_asked ? w->o.slow_ns : w->o.functions ? FLOOR_FUNCTION_NS : FLOOR_NS;
	for (uint32_t i = 0; i < GS_ROUTES_MAX; i++)
		c->from_ns[i] = b->by_number[i] ? slow_from(b, b->by_number[i], i) : INT64_MAX;
	for (uint32_t i = 0; i < w->n_records; i++) {
		const struct gs__record *q = &w->records[i];

		if (q->duration_ns < c->from_ns[q->route])
			continue;
		r->slow += w->stride;
		r->slow_sum_ns += q->duration_ns * w->stride;
		c->slow_sum_ns[q->route] += q->duration_ns * w->stride;
		c->program_ns += q->duration_ns * w->stride;
		b->by_number[q->route]->slow += w->stride;
		b->by_number[q->route]->slow_ns = c->from_ns[q->route];
	}
	c->any_slow = r->slow > 0;
}

static int by_key(const void *pa, const void *pb)
{
	const struct pair *a = pa, *b = pb;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return a->other < b->other ? -1 : a->other > b->other;
}

static int by_ns_down(const void *pa, const void *pb)
{
	const struct pair *a = pa, *b = pb;

	if (a->ns != b->ns)
		return a->ns < b->ns ? 1 : -1;
	return by_key(pa, pb);
}

static int by_sum_down(const void *pa, const void *pb)
{
	const struct sum *a = pa, *b = pb;

	if (a->ns != b->ns)
		return a->ns < b->ns ? 1 : -1;
	if (a->all_ns != b->all_ns)
		return a->all_ns < b->all_ns ? 1 : -1;
	return a->key < b->key ? -1 : a->key > b->key;
}

/* Put pairs in order and add equal ones up. @return how many are left. */
static uint32_t add_up(struct pair *p, uint32_t n)
{
	uint32_t out = 0;

	qsort(p, n, sizeof(*p), by_key);
	for (uint32_t i = 0; i < n; i++) {
		if (out && by_key(&p[out - 1], &p[i]) == 0)
			p[out - 1].ns += p[i].ns;
		else
			p[out++] = p[i];
	}
	return out;
}

static bool is_machine(const struct gs_why *w, uint32_t key)
{
	return gs_why_keys_at(w->keys, key)->node.class == GS_WHY_RUNQUEUE_KERNEL;
}

/* Sums over the slow requests, or over all if none is. */
static void collect(struct causes *c)
{
	const struct gs_why *w = c->b->w;
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_records; i++) {
		const struct gs__record *r = &w->records[i];
		bool counts = !c->any_slow || r->duration_ns >= c->from_ns[r->route];

		for (uint32_t k = 0; k < r->n_causes; k++) {
			const struct gs__record_cause *rc = &w->causes[r->first_cause + k];
			struct sum *sum = &c->sums[rc->key];
			int64_t ns = rc->ns * w->stride;

			sum->all_ns += ns;
			if (!counts)
				continue;
			sum->ns += ns;
			sum->requests += sum->last_record != i + 1 ? w->stride : 0;
			sum->last_record = i + 1;
			if (c->any_slow && is_machine(w, rc->key)) {
				c->slow_sum_ns[r->route] -= ns;
				c->program_ns -= ns;
			}
			c->vias[n] = (struct pair){ rc->key, rc->via, ns };
			c->routes[n++] = (struct pair){ rc->key, r->route, ns };
		}
	}
	c->n_vias = add_up(c->vias, n);
	c->n_routes = add_up(c->routes, n);
}

/* The pairs of a key, most time first. @return the first, NULL if there is none. */
static const struct pair *pairs_of(struct pair *p, uint32_t n, uint32_t key, uint32_t *ret_n)
{
	uint32_t from = 0, end;

	while (from < n && p[from].key < key)
		from++;
	for (end = from; end < n && p[end].key == key;)
		end++;
	qsort(p + from, end - from, sizeof(*p), by_ns_down);
	*ret_n = end - from;
	return end > from ? p + from : NULL;
}

static void set_vias(struct causes *c, struct gs_why_cause *to, uint32_t key)
{
	uint32_t n;
	const struct pair *p = pairs_of(c->vias, c->n_vias, key, &n);

	for (uint32_t i = 0; i < n && i < GS_WHY_VIAS; i++) {
		const struct gs_why_key *k = gs_why_keys_at(c->b->w->keys, p[i].other);

		gs__set_what(c->b, &to->via[i].what, &k->node, &k->file);
		to->via[i].ns = p[i].ns;
		to->via[i].itself = p[i].other == key;
		to->n_vias++;
	}
}

static void set_route(struct causes *c, struct gs_why_cause *to, uint32_t key)
{
	uint32_t n;
	const struct pair *p = pairs_of(c->routes, c->n_routes, key, &n);

	if (!p)
		return;
	to->route = gs_routes_name(c->b->w->routes, p->other);
	to->route_ns = p->ns;
	for (uint32_t i = 0; i < n; i++) {
		int64_t whole = c->slow_sum_ns[p[i].other];
		double share = whole > 0 ? (double)p[i].ns / (double)whole : 0;

		if (share > to->route_share)
			to->route_share = share;
	}
}

static void set_cause(struct causes *c, struct gs_why_cause *to, const struct sum *sum)
{
	const struct gs_why_result *r = c->b->r;
	const struct gs_why_key *k = gs_why_keys_at(c->b->w->keys, sum->key);
	int64_t whole = c->any_slow ? r->slow_sum_ns : r->duration.sum_ns;

	*to = (struct gs_why_cause){ .ns = sum->ns,
				     .all_ns = sum->all_ns,
				     .requests = sum->requests };
	gs__set_what(c->b, &to->what, &k->node, &k->file);
	to->stack = gs_stack_facts(c->b->w->book, k->node.stack)->stack;
	to->share = whole > 0 ? (double)sum->ns / (double)whole : 0;
	set_vias(c, to, sum->key);
	set_route(c, to, sum->key);
	to->stands_out = c->any_slow && to->what.class != GS_WHY_UNKNOWN &&
			 (to->share >= STANDS_OUT_SHARE || to->route_share >= STANDS_OUT_ON_ROUTE);
}

void gs__set_causes(struct gs__build *b)
{
	uint32_t n_keys = gs_why_keys_count(b->w->keys), n = 0;
	struct gs_why_cause *to = gs__get(b, CAUSES_SHOWN, sizeof(*to));
	struct gs_why_cause *machine = gs__get(b, 1, sizeof(*machine));
	struct causes *c = gs__get(b, 1, sizeof(*c));

	if (!c)
		return;
	c->b = b;
	c->sums = gs__get(b, n_keys, sizeof(*c->sums));
	c->vias = gs__get(b, b->w->n_causes, sizeof(*c->vias));
	c->routes = gs__get(b, b->w->n_causes, sizeof(*c->routes));
	if (b->failed)
		return;
	find_slow(c);
	for (uint32_t i = 0; i < n_keys; i++)
		c->sums[i].key = i;
	collect(c);
	qsort(c->sums, n_keys, sizeof(*c->sums), by_sum_down);
	for (uint32_t i = 0; i < n_keys && n < CAUSES_SHOWN && c->sums[i].ns > 0; i++) {
		struct gs_why_cause *at = is_machine(b->w, c->sums[i].key) ? machine : &to[n++];

		set_cause(c, at, &c->sums[i]);
		if (at == machine)
			b->r->machine = machine;
		else
			b->r->stands_out |= at->stands_out;
	}
	b->r->causes = to;
	b->r->n_causes = n;
}
