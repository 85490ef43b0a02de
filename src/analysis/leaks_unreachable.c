/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Goroutines that are blocked for ever. One look (leaks_look.c) at a target that does not move is proof. On one that
 * moves a goroutine must be found in each of at least two looks, and must not have run in between:
 *
 *	look ── 2 s ── look ── …          the same goid, wait, object and depth of stack, the same trackingSeq,
 *	                                  and waitsince the same or stamped since
 *
 * A goroutine that did not run but is reachable in a later look shows that the program moves its pointers
 * from under us. Then one more look is taken, until a look takes away none; after the sixth what is left is
 * only likely. In the end leaks_moving.c sees whether anybody still copies pointers to what suspects wait for.
 *
 * Since Go 1.26 the runtime can look for leaks itself; goroutines it found have a state of their own. That
 * verdict counts as certain, beside ours.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "analysis/leaks_private.h"
#include "base/hash.h"

#define DEFAULT_BETWEEN_NS 2000000000
#define LOOKS_MAX 6u

struct candidate {
	uint64_t goid;
	gs_addr g, pc, object;
	uint64_t depth, objects; /* of the stack; hash of all it waits for */
	int64_t waitsince;
	uint32_t which;
	uint8_t tracking_seq, wait_reason, block;
	bool by_marking, by_runtime;
};

struct candidates {
	struct candidate *c; /* by goid */
	uint32_t n;
};

static int goid_order(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->goid > y->goid) - (x->goid < y->goid);
}

static struct candidate candidate_of(const struct gs__look *k, uint32_t which)
{
	const struct gs_rt_g *g = &k->g[which];
	const struct gs_rt_wait_object *o = gs_rt_gs_objects(k->gs, g);
	struct candidate c = { .goid = g->goid,
			       .g = g->g,
			       .pc = g->pc,
			       .depth = g->stack_hi - g->sp,
			       .waitsince = g->waitsince,
			       .which = which,
			       .tracking_seq = g->tracking_seq,
			       .wait_reason = g->wait_reason,
			       .block = g->block,
			       .by_marking = !k->live[which],
			       .by_runtime = g->state == GS_G_LEAKED };

	for (uint32_t i = 0; i < g->n_objects; i++) {
		c.object = c.object ? c.object : o[i].object;
		c.objects = gs_hash_u64(c.objects, o[i].object);
	}
	return c;
}

/* Whom nobody wakes. The main goroutine in select {} is where programs park it, and no leak. */
static int collect(const struct gs__look *k, struct candidates *ret, struct gs_err *err)
{
	uint32_t n = 0;
	struct candidate *c;

	for (uint32_t i = 0; i < k->n; i++)
		n += !k->live[i] || k->g[i].state == GS_G_LEAKED;
	c = gs_array_new(n + 1ul, sizeof(*c));
	if (!c)
		return gs_fail(err, -ENOMEM, 0, "no memory for %u goroutines", n);
	n = 0;
	for (uint32_t i = 0; i < k->n; i++) {
		const struct gs_rt_g *g = &k->g[i];

		if ((k->live[i] && g->state != GS_G_LEAKED) || g->system ||
		    (g->main && g->block == GS_RT_BLOCK_SELECT_NONE))
			continue;
		c[n++] = candidate_of(k, i);
	}
	qsort(c, n, sizeof(*c), goid_order);
	*ret = (struct candidates){ .c = c, .n = n };
	return 0;
}

/* @a of an earlier look: has it not moved since? */
static bool same_wait(const struct candidate *a, const struct candidate *b)
{
	return a->g == b->g && a->pc == b->pc && a->depth == b->depth && a->objects == b->objects &&
	       a->tracking_seq == b->tracking_seq && a->wait_reason == b->wait_reason &&
	       a->block == b->block && (a->waitsince == b->waitsince || a->waitsince == 0);
}

static const struct candidate *find(const struct candidates *a, uint64_t goid)
{
	const struct candidate key = { .goid = goid };

	return a->n ? bsearch(&key, a->c, a->n, sizeof(key), goid_order) : NULL;
}

/* Is the goroutine that @c was a live one in the new look, though it did not run? */
static bool became_reachable(const struct gs__look *k, const struct candidate *c,
			     const struct candidates *live)
{
	const struct candidate *now = find(live, c->goid);

	return now && same_wait(c, now) && k->live[now->which];
}

/* All goroutines that are blocked, live or not. */
static int collect_blocked(const struct gs__look *k, struct candidates *ret, struct gs_err *err)
{
	struct candidate *c = gs_array_new(k->n + 1ul, sizeof(*c));
	uint32_t n = 0;

	if (!c)
		return gs_fail(err, -ENOMEM, 0, "no memory for %u goroutines", k->n);
	for (uint32_t i = 0; i < k->n; i++)
		if (k->g[i].block != GS_RT_BLOCK_NONE)
			c[n++] = candidate_of(k, i);
	qsort(c, n, sizeof(*c), goid_order);
	*ret = (struct candidates){ .c = c, .n = n };
	return 0;
}

/* ---- goroutines that run ---- */

/*
 * Registers of a goroutine that runs are not known. It is preempted every 10 ms (runtime/proc.go, retake), which writes
 * them to its stack, where we see them. Only one that is never preempted (GODEBUG=asyncpreemptoff) can hide a
 * pointer from look to look: its trackingSeq stays.
 */
static void note_runners(struct gs_leaks *l)
{
	const struct gs__look *k = l->look;
	uint32_t n = 0;

	for (uint32_t i = 0; i < k->n; i++) {
		const struct gs_rt_g *g = &k->g[i];
		bool stayed = l->result.looks == 1;

		if (g->state != GS_G_RUNNING || g->system)
			continue;
		for (uint32_t j = 0; j < l->n_runners && !stayed; j++)
			stayed = l->runner[j].goid == g->goid &&
				 l->runner[j].tracking_seq == g->tracking_seq;
		if (stayed && n < GS__LEAK_RUNNERS)
			l->running_now[n++] = (struct gs__leak_runner){ g->goid, g->tracking_seq };
	}
	memcpy(l->runner, l->running_now, n * sizeof(*l->runner));
	l->n_runners = n;
}

/* Goroutines whose registers were not seen and could hold what suspects wait for. */
static uint64_t unseen_registers(const struct gs_leaks *l)
{
	const struct gs_incomplete_list *inc = &l->look_incomplete;
	uint64_t n = 0;
	bool unseen = false;

	if (!l->o.still)
		return l->n_runners;
	for (uint32_t i = 0; i < inc->n; i++)
		unseen |= strcmp(inc->item[i].what, "running_without_registers") == 0;
	for (uint32_t i = 0; unseen && i < l->look->n; i++)
		n += l->look->g[i].state == GS_G_RUNNING && !l->look->g[i].system;
	return l->o.ended && n ? n - 1 : n; // one of them ended the program
}

/* ---- kinds ---- */

static struct gs__leak_kind *kind_of(struct gs_leaks *l, const struct candidate *c)
{
	for (uint32_t i = 0; i < l->n_kinds; i++)
		if (l->kind[i].depth == c->depth && l->kind[i].block == c->block)
			return &l->kind[i];
	return NULL;
}

/* A suspect that was found reachable though it did not run: what it waits for is being moved. */
static void note_seen(struct gs_leaks *l, const struct candidate *c)
{
	struct gs__leak_kind *k = kind_of(l, c);

	if (!k && l->n_kinds < GS__LEAK_KINDS) {
		k = &l->kind[l->n_kinds++];
		*k = (struct gs__leak_kind){ .depth = c->depth, .block = c->block };
	}
	if (k)
		k->seen++;
}

/* Where most goroutines of a kind turned out to be reachable, the others may only not have been met yet. */
static void dismiss_kinds(struct gs_leaks *l, struct candidates *c)
{
	uint32_t n = 0, undecided = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		struct gs__leak_kind *k = c->c[i].by_marking ? kind_of(l, &c->c[i]) : NULL;

		if (k)
			k->left++;
	}
	for (uint32_t i = 0; i < c->n; i++) {
		const struct gs__leak_kind *k = c->c[i].by_marking ? kind_of(l, &c->c[i]) : NULL;

		if (k && k->seen >= k->left) {
			undecided++;
			c->c[i].by_marking = false;
		}
		if (c->c[i].by_marking || c->c[i].by_runtime)
			c->c[n++] = c->c[i];
	}
	l->result.candidates_dismissed += c->n - n;
	c->n = n;
	gs_incomplete_add(
		&l->look_incomplete, "goroutines_undecided", undecided,
		"more of their kind wait for what the target moves about; taken to be live. "
		"--stop sees all at one moment");
}

/* Keep in @io those that the new look finds again. @return how many it found reachable after all; negative. */
static int confirm(struct gs_leaks *l, struct candidates *io, uint32_t *ret_raced,
		   struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct candidate *free_now = NULL;
	GS_CLEANUP(gs_freep) struct candidate *free_blocked = NULL;
	struct candidates now = { .n = 0 }, blocked = { .n = 0 };
	uint32_t n = 0, raced = 0;
	int r = collect(l->look, &now, err);

	if (r < 0)
		return r;
	free_now = now.c;
	r = collect_blocked(l->look, &blocked, err);
	if (r < 0)
		return r;
	free_blocked = blocked.c;
	for (uint32_t i = 0; i < io->n; i++) {
		const struct candidate *c = find(&now, io->c[i].goid);

		if (c && same_wait(&io->c[i], c)) {
			bool by_marking = io->c[i].by_marking && c->by_marking;

			if (io->c[i].by_marking && !c->by_marking) {
				note_seen(l, &io->c[i]);
				raced++;
			}
			if (!by_marking && !c->by_runtime)
				continue;
			io->c[n] = *c;
			io->c[n++].by_marking = by_marking;
		} else if (became_reachable(l->look, &io->c[i], &blocked)) {
			note_seen(l, &io->c[i]);
			raced++;
		}
	}
	l->result.candidates_dismissed += io->n - n;
	io->n = n;
	*ret_raced = raced;
	return 0;
}

static int take_look(struct gs_leaks *l, struct gs_err *err)
{
	const struct gs__look_how how = { .still = l->o.still, .ended = l->o.ended };
	struct gs_incomplete_list inc = { .n = 0 };
	struct gs__look *k;
	char text[64];
	int r;

	snprintf(text, sizeof(text), "marking the heap, look %u", l->result.looks + 1);
	if (gs__leaks_progress(l, text))
		return 1;
	r = gs__look_new(l->rt, &how, &inc, &k, err);
	if (r < 0)
		return r;
	/* Of several looks the last one tells what it missed. */
	gs__look_free(l->look);
	l->look = k;
	l->result.looks++;
	l->result.mark_ns = k->took_ns;
	l->result.goroutines = k->n;
	l->look_incomplete = inc;
	note_runners(l);
	return 0;
}

/* Look again until a look agrees with the one before. @return 0, 1 ended early, or negative. */
static int look_again(struct gs_leaks *l, struct candidates *c, struct gs_err *err)
{
	int64_t between_ns = l->o.between_ns > 0 ? l->o.between_ns : DEFAULT_BETWEEN_NS;
	uint32_t raced = 1; // the first look agrees with none

	while (raced && c->n && l->result.looks < LOOKS_MAX) {
		int r;

		if (!gs__leaks_wait(l, between_ns, "waiting for the next look"))
			return 1;
		r = take_look(l, err);
		if (r == 0)
			r = confirm(l, c, &raced, err);
		l->raced_ever |= raced != 0;
		if (r != 0)
			return r;
	}
	l->raced = raced != 0;
	return 0;
}

/* Take those out that somebody still handles. */
static int dismiss_handled(struct gs_leaks *l, struct candidates *c, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) uint32_t *which = gs_array_new(c->n + 1ul, sizeof(*which));
	uint32_t n = 0;
	int r;

	if (!which)
		return gs_fail(err, -ENOMEM, 0, "no memory for %u goroutines", c->n);
	for (uint32_t i = 0; i < c->n; i++)
		if (c->c[i].by_marking)
			which[n++] = c->c[i].which;
	if (gs__leaks_progress(l, "seeing whether anybody handles what they wait for"))
		return 1;
	r = gs__look_moving(l->look, which, n, l->raced_ever, &l->look_incomplete, err);
	if (r < 0)
		return r;
	l->raced |= r > 0; // not enough time: what is left is only likely
	n = 0;
	for (uint32_t i = 0; i < c->n; i++) {
		if (c->c[i].by_marking && l->look->live[c->c[i].which]) {
			note_seen(l, &c->c[i]);
			c->c[i].by_marking = false;
		}
		if (c->c[i].by_marking || c->c[i].by_runtime)
			c->c[n++] = c->c[i];
	}
	l->result.candidates_dismissed += c->n - n;
	c->n = n;
	dismiss_kinds(l, c);
	return 0;
}

static enum gs_leak_confidence confidence(const struct gs_leaks *l, const struct candidate *c)
{
	bool whole = l->look->complete && l->look->unreadable_bytes == 0 && !l->raced;

	if (c->by_runtime)
		return GS_LEAK_CERTAIN;
	if (!whole || (!l->o.still && unseen_registers(l)))
		return GS_LEAK_LIKELY;
	return l->o.still && !unseen_registers(l) ? GS_LEAK_CERTAIN : GS_LEAK_HIGH;
}

static int into_items(struct gs_leaks *l, const struct candidates *c, struct gs_err *err)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct gs__leak_item x = {
			.goid = c->c[i].goid,
			.object = c->c[i].object,
			.which = c->c[i].which,
			.stack_bytes = l->look->g[c->c[i].which].stack_hi -
				       l->look->g[c->c[i].which].stack_lo,
			.group = GS__LEAK_NO_GROUP,
			.kind = GS_LEAK_UNREACHABLE,
			.confidence = (uint8_t)confidence(l, &c->c[i]),
			.block = c->c[i].block,
			.by_marking = c->c[i].by_marking,
			.by_runtime = c->c[i].by_runtime,
		};
		int r = gs__leak_add(&l->items, &x, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int gs__leaks_unreachable(struct gs_leaks *l, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct candidate *owned = NULL;
	struct gs_heap_mark_stats stats;
	struct candidates c = { .n = 0 };
	int r = take_look(l, err);

	if (r == 0)
		r = collect(l->look, &c, err);
	if (r != 0)
		return r < 0 ? r : 0;
	owned = c.c;
	if (!l->o.still)
		r = look_again(l, &c, err);
	if (r == 0 && !l->o.still && c.n)
		r = dismiss_handled(l, &c, err);
	if (r < 0)
		return r;
	gs_heap_mark_stats(l->look->mark, &stats);
	l->result.heap_bytes_marked = stats.bytes;
	for (uint32_t i = 0; i < l->look_incomplete.n; i++)
		gs_incomplete_add(&l->incomplete, l->look_incomplete.item[i].what,
				  l->look_incomplete.item[i].count, "%s",
				  l->look_incomplete.item[i].why);
	if (!l->o.still && c.n)
		gs_incomplete_add(
			&l->incomplete, "running_all_the_time", l->n_runners,
			"were never preempted (GODEBUG=asyncpreemptoff), and pointers in their "
			"registers cannot be seen; --stop sees them");
	gs_incomplete_add(&l->incomplete, "heap_bytes_unreadable", l->look->unreadable_bytes,
			  "this much of the heap could not be read; what it points to may look "
			  "unreachable");
	if (r > 0)
		return 0; // ended early: one look of several is no finding
	l->result.ran[GS_LEAK_UNREACHABLE] = true;
	return into_items(l, &c, err);
}
