/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * From goroutines that leak to findings: stacks are walked once, goroutines with the same kind, stack, wait and creator
 * are one finding. A goroutine that has moved on until its stack is walked is forgotten: it proves that it could.
 */
#include <errno.h>
#include <string.h>

#include "analysis/leaks_private.h"
#include "base/hash.h"
#include "model/stack_table.h"

#define ITEMS_MAX (1u << 26)
#define HELD_GROUPS_MAX 200u

int gs__leak_add(struct gs__leak_items *a, const struct gs__leak_item *x, struct gs_err *err)
{
	if (a->n == a->cap) {
		uint32_t cap = a->cap ? a->cap * 2 : 64;
		void *p = a->n < ITEMS_MAX ? gs_array_resize(a->item, cap, sizeof(*a->item)) : NULL;

		if (!p)
			return gs_fail(err, -ENOMEM, 0, "no memory for %u leaked goroutines", a->n);
		a->item = p;
		a->cap = cap;
	}
	a->item[a->n++] = *x;
	return 0;
}

struct gs_leak *gs__leak_new(struct gs_leaks *l)
{
	struct gs_leak *x;

	if (l->result.n_leaks == l->leaks_cap) {
		uint32_t cap = l->leaks_cap ? l->leaks_cap * 2 : 32;
		void *p = gs_array_resize(l->leaks, cap, sizeof(*l->leaks));

		if (!p)
			return NULL;
		l->leaks = p;
		l->leaks_cap = cap;
	}
	x = &l->leaks[l->result.n_leaks++];
	*x = (struct gs_leak){
		.longest_wait_ns = -1, .closed_ns = -1, .fd = -1, .held_bytes = UINT64_MAX
	};
	return x;
}

static int item_order(const void *a, const void *b)
{
	const struct gs__leak_item *x = a, *y = b;

	if (x->goid != y->goid)
		return x->goid < y->goid ? -1 : 1;
	return (x->kind > y->kind) - (x->kind < y->kind);
}

/* The first item of a goroutine, or n. */
static uint32_t first_item(const struct gs__leak_items *a, uint64_t goid)
{
	uint32_t lo = 0, hi = a->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (a->item[mid].goid < goid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < a->n && a->item[lo].goid == goid ? lo : a->n;
}

struct walk {
	struct gs_leaks *l;
	struct gs_stack_table table;
	struct gs_err *err;
	uint32_t base; /* number of the first finding made here */
};

static uint64_t hash_text(uint64_t h, const char *s)
{
	return s ? gs_hash_bytes(h, s, strlen(s)) : gs_hash_u64(h, 0);
}

static void begin_finding(struct gs_leaks *l, struct gs_leak *f, const struct gs__leak_item *x,
			  const struct gs_goroutine *g)
{
	const struct gs_closed_connection *c = x->conn;

	f->kind = x->kind;
	f->confidence = x->confidence;
	f->by_marking = x->by_marking;
	f->by_runtime = x->by_runtime;
	f->state = gs_goroutine_state_name(g->state);
	f->wait_reason = g->wait_reason;
	f->stack = g->stack;
	f->created_by = g->created_by;
	f->object = x->object;
	if (x->kind == GS_LEAK_UNREACHABLE)
		f->blocked_on = gs__leak_blocked_on(l, x);
	if (!c)
		return;
	f->object = c->conn;
	f->role = c->role;
	f->peer = c->peer;
	f->local = c->local;
	f->socket_state = c->socket_state;
	f->closed_ns = c->closed_ns;
	f->closed_at_least = c->at_least;
	f->fd = c->fd;
}

static int add_to_finding(struct walk *w, struct gs__leak_item *x, const struct gs_goroutine *g)
{
	const struct gs_closed_connection *c = x->conn;
	struct gs_stack_key key = { .stack = g->stack->id,
				    .kind = (uint64_t)x->kind << 8 | x->by_marking << 1 |
					    x->by_runtime,
				    .frame = g->created_by,
				    .text = g->wait_reason };
	struct gs_leak *f;
	uint32_t number;
	int r;

	if (c)
		key.labels = hash_text(hash_text(1, c->role), c->socket_state);
	r = gs_stack_table_number(&w->table, &key, &number, w->err);
	if (r < 0)
		return r;
	if (r > 0) {
		f = gs__leak_new(w->l);
		if (!f)
			return gs_fail(w->err, -ENOMEM, 0, "no memory for findings");
		begin_finding(w->l, f, x, g);
	}
	f = &w->l->leaks[w->base + number];
	x->group = w->base + number;
	f->count++;
	f->stack_bytes += x->stack_bytes;
	f->many_objects |= x->kind == GS_LEAK_UNREACHABLE && x->object != f->object;
	f->ages[gs_leak_age(g->wait_ns)]++;
	if (g->wait_ns > f->longest_wait_ns)
		f->longest_wait_ns = g->wait_ns;
	if (x->confidence > f->confidence)
		f->confidence = x->confidence; // the least of all
	if (c && c->closed_ns > f->closed_ns) {
		f->closed_ns = c->closed_ns;
		f->closed_at_least = c->at_least;
	}
	return 0;
}

static int visit(void *ctx, const struct gs_goroutine *g)
{
	struct walk *w = ctx;
	struct gs__leak_items *a = &w->l->items;
	int r = 0;

	for (uint32_t i = first_item(a, g->id); r == 0 && i < a->n && a->item[i].goid == g->id;
	     i++) {
		if (a->item[i].group != GS__LEAK_NO_GROUP)
			continue;
		if (a->item[i].kind == GS_LEAK_UNREACHABLE && g->state != GS_G_WAITING &&
		    g->state != GS_G_LEAKED)
			continue; // it runs after all
		r = add_to_finding(w, &a->item[i], g);
	}
	return r;
}

/* Numbers of the goroutines of each finding, ascending because items are. */
static int give_ids(struct gs_leaks *l, struct gs_err *err)
{
	uint64_t *ids;

	for (uint32_t i = 0; i < l->items.n; i++) {
		struct gs_leak *f;

		if (l->items.item[i].group == GS__LEAK_NO_GROUP) {
			l->result.candidates_dismissed++;
			continue;
		}
		if (i == 0 || l->items.item[i].goid != l->items.item[i - 1].goid ||
		    l->items.item[i - 1].group == GS__LEAK_NO_GROUP)
			l->result.leaked++;
		f = &l->leaks[l->items.item[i].group];
		if (!f->goroutine_ids) {
			size_t n = f->count < GS__LEAK_IDS ? (size_t)f->count : GS__LEAK_IDS;

			f->goroutine_ids = gs_arena_array(l->arena, n, sizeof(*ids));
			if (!f->goroutine_ids)
				return gs_fail(err, -ENOMEM, 0, "no memory for findings");
		}
		ids = (uint64_t *)f->goroutine_ids;
		if (f->n_ids < GS__LEAK_IDS)
			ids[f->n_ids++] = l->items.item[i].goid;
	}
	return 0;
}

/* What each finding alone keeps alive, the largest first; what two share counts for the first. */
static int count_held(struct gs_leaks *l, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) uint32_t *which = gs_array_new(l->items.n + 1ul, sizeof(*which));
	GS_CLEANUP(gs_freep) bool *done = gs_array_new(l->result.n_leaks + 1ul, sizeof(*done));
	int r = 0;

	if (!which || !done)
		return gs_fail(err, -ENOMEM, 0, "no memory for findings");
	for (uint32_t round = 0; r == 0 && round < HELD_GROUPS_MAX; round++) {
		uint32_t best = UINT32_MAX, n = 0;

		for (uint32_t i = 0; i < l->result.n_leaks; i++)
			if (!done[i] && l->leaks[i].kind == GS_LEAK_UNREACHABLE &&
			    l->leaks[i].by_marking &&
			    (best == UINT32_MAX || l->leaks[i].count > l->leaks[best].count))
				best = i;
		if (best == UINT32_MAX)
			return 0;
		done[best] = true;
		for (uint32_t i = 0; i < l->items.n; i++)
			if (l->items.item[i].group == best)
				which[n++] = l->items.item[i].which;
		r = gs__look_held(l->look, which, n, &l->leaks[best].held_bytes, &l->incomplete,
				  err);
	}
	return r;
}

int gs__leaks_findings(struct gs_leaks *l, struct gs_err *err)
{
	const struct gs_rt_dump_options o = { .system = true, .no_labels = true };
	struct walk w = { .l = l, .err = err, .base = l->result.n_leaks };
	int r;

	if (l->items.n == 0)
		return 0;
	qsort(l->items.item, l->items.n, sizeof(l->items.item[0]), item_order);
	(void)gs__leaks_progress(l, "reading stacks");
	r = gs_rt_goroutines(l->rt, &o, visit, &w, &l->incomplete, err);
	gs_stack_table_deinit(&w.table);
	if (r == 0)
		r = give_ids(l, err);
	if (r == 0 && l->o.held && l->look)
		r = count_held(l, err);
	return r;
}
