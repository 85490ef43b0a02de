/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Which root causes the slow requests have in common.
 *
 * What is slow: what the user says (--slow), else the slowest tenth, but nothing below a floor of 10 ms (1 ms for calls of
 * functions). A cause stands out when slow requests are more than a rarity (one in a hundred and at least three, unless
 * --slow was given), and it takes a tenth of their time. In a healthy program nothing reaches the floor.
 */
#include <stdlib.h>

#include "analysis/why_private.h"

#define FLOOR_NS 10000000
#define FLOOR_FUNCTION_NS 1000000
#define STANDS_OUT_SHARE 0.1
#define RARE_SHARE 0.01
#define RARE_COUNT 3
#define CAUSES_SHOWN 64u

/* Time of a root cause that came through one wait. */
struct pair {
	uint32_t key, via;
	int64_t ns;
};

struct sum {
	uint32_t key, last_record; /* + 1 */
	int64_t ns, all_ns;
	uint64_t requests;
};

static void find_slow(struct gs__build *b)
{
	struct gs_why_result *r = b->r;
	const struct gs_why *w = b->w;

	r->floor_ns = w->o.functions ? FLOOR_FUNCTION_NS : FLOOR_NS;
	r->slow_asked = w->o.slow_ns > 0;
	r->slow_ns = r->duration.p90_ns > r->floor_ns ? r->duration.p90_ns : r->floor_ns;
	if (r->slow_asked)
		r->slow_ns = w->o.slow_ns;
	for (uint32_t i = 0; i < w->n_records; i++) {
		if (w->records[i].duration_ns < r->slow_ns)
			continue;
		r->slow += w->stride;
		r->slow_sum_ns += w->records[i].duration_ns * w->stride;
	}
	r->stands_out =
		r->slow > 0 &&
		(r->slow_asked || (r->slow >= RARE_COUNT &&
				   (double)r->slow >= (double)r->duration.count * RARE_SHARE));
}

static int by_key(const void *pa, const void *pb)
{
	const struct pair *a = pa, *b = pb;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return a->via < b->via ? -1 : a->via > b->via;
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

/* Pairs of the slow requests, or of all if none is, equal ones added up, in the order of keys. @return how many. */
static uint32_t collect(const struct gs__build *b, struct pair *to, struct sum *sums)
{
	const struct gs_why *w = b->w;
	int64_t from_ns = b->r->slow ? b->r->slow_ns : 0;
	uint32_t n = 0, out = 0;

	for (uint32_t i = 0; i < w->n_records; i++) {
		const struct gs__record *r = &w->records[i];

		for (uint32_t k = 0; k < r->n_causes; k++) {
			const struct gs__record_cause *c = &w->causes[r->first_cause + k];
			struct sum *sum = &sums[c->key];

			sum->all_ns += c->ns * w->stride;
			if (r->duration_ns < from_ns)
				continue;
			sum->ns += c->ns * w->stride;
			sum->requests += sum->last_record != i + 1 ? w->stride : 0;
			sum->last_record = i + 1;
			to[n++] = (struct pair){ c->key, c->via, c->ns * w->stride };
		}
	}
	qsort(to, n, sizeof(*to), by_key);
	for (uint32_t i = 0; i < n; i++) {
		if (out && by_key(&to[out - 1], &to[i]) == 0)
			to[out - 1].ns += to[i].ns;
		else
			to[out++] = to[i];
	}
	return out;
}

static void set_vias(struct gs__build *b, struct gs_why_cause *to, uint32_t key, struct pair *pairs,
		     uint32_t n)
{
	uint32_t from = 0, end;

	while (from < n && pairs[from].key < key)
		from++;
	for (end = from; end < n && pairs[end].key == key;)
		end++;
	qsort(pairs + from, end - from, sizeof(*pairs), by_ns_down);
	for (uint32_t i = from; i < end && to->n_vias < GS_WHY_VIAS; i++) {
		const struct gs_why_key *k = gs_why_keys_at(b->w->keys, pairs[i].via);

		gs__set_what(b, &to->via[to->n_vias].what, &k->node, &k->file);
		to->via[to->n_vias].ns = pairs[i].ns;
		to->via[to->n_vias++].itself = pairs[i].via == key;
	}
}

static void set_cause(struct gs__build *b, struct gs_why_cause *to, const struct sum *sum)
{
	const struct gs_why_key *k = gs_why_keys_at(b->w->keys, sum->key);
	int64_t whole = b->r->slow ? b->r->slow_sum_ns : b->r->duration.sum_ns;

	*to = (struct gs_why_cause){ .ns = sum->ns,
				     .all_ns = sum->all_ns,
				     .requests = sum->requests };
	gs__set_what(b, &to->what, &k->node, &k->file);
	to->share = whole > 0 ? (double)sum->ns / (double)whole : 0;
	to->stands_out = b->r->stands_out && to->what.class != GS_WHY_UNKNOWN &&
			 to->share >= STANDS_OUT_SHARE;
}

void gs__set_causes(struct gs__build *b)
{
	uint32_t n_keys = gs_why_keys_count(b->w->keys), n = 0, n_pairs;
	struct sum *sums = gs__get(b, n_keys, sizeof(*sums));
	struct pair *pairs = gs__get(b, b->w->n_causes, sizeof(*pairs));
	struct gs_why_cause *to = gs__get(b, CAUSES_SHOWN, sizeof(*to));
	bool any = false;

	if (b->failed)
		return;
	find_slow(b);
	for (uint32_t i = 0; i < n_keys; i++)
		sums[i].key = i;
	n_pairs = collect(b, pairs, sums);
	qsort(sums, n_keys, sizeof(*sums), by_sum_down);
	for (; n < n_keys && n < CAUSES_SHOWN && sums[n].ns > 0; n++) {
		set_cause(b, &to[n], &sums[n]);
		set_vias(b, &to[n], sums[n].key, pairs, n_pairs);
		any |= to[n].stands_out;
	}
	b->r->stands_out = any;
	b->r->causes = to;
	b->r->n_causes = n;
}
