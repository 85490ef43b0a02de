/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What a goroutine waits for, in words: the channel with what is in it and who else waits there. hchan is read as it
 * is now (runtime/chan.go); for a channel that nobody can reach that is how it will stay.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "analysis/leaks_private.h"

#define HCHAN_MAX_BYTES 512u

/* A goroutine that waits for an object. */
struct gs__leak_waiter {
	gs_addr object;
	uint8_t block;
};

static int waiter_order(const void *a, const void *b)
{
	const struct gs__leak_waiter *x = a, *y = b;

	return (x->object > y->object) - (x->object < y->object);
}

static void find_waiters(struct gs_leaks *l)
{
	const struct gs__look *k = l->look;
	uint64_t n = 0;

	for (uint32_t i = 0; i < k->n; i++)
		n += k->g[i].n_objects;
	l->waiters = gs_array_new(n + 1, sizeof(*l->waiters));
	if (!l->waiters)
		return; // then nobody is counted
	for (uint32_t i = 0; i < k->n; i++) {
		const struct gs_rt_wait_object *o = gs_rt_gs_objects(k->gs, &k->g[i]);

		for (uint32_t j = 0; j < k->g[i].n_objects; j++)
			l->waiters[l->n_waiters++] =
				(struct gs__leak_waiter){ .object = o[j].object,
							  .block = k->g[i].block };
	}
	qsort(l->waiters, l->n_waiters, sizeof(*l->waiters), waiter_order);
}

/* How many wait for @object with a block of @a or @b. */
static uint32_t count_waiters(struct gs_leaks *l, gs_addr object, uint8_t a, uint8_t b)
{
	uint32_t lo = 0, hi, n = 0;

	if (!l->waiters)
		find_waiters(l);
	for (hi = l->n_waiters; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (l->waiters[mid].object < object)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < l->n_waiters && l->waiters[lo].object == object; lo++)
		n += l->waiters[lo].block == a || l->waiters[lo].block == b;
	return n;
}

struct words {
	char text[400];
	size_t n;
};

static void say(struct words *w, const char *fmt, ...) GS_PRINTF(2, 3);
static void say(struct words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(w->text + w->n, sizeof(w->text) - w->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		w->n += (size_t)n < sizeof(w->text) - w->n ? (size_t)n : sizeof(w->text) - 1 - w->n;
}

static void say_waiters(struct words *w, uint32_t n, const char *does)
{
	if (n)
		say(w, ", %" PRIu32 " goroutine%s %s%s", n, n == 1 ? "" : "s", does,
		    n == 1 ? "s" : "");
}

static uint64_t field(const struct gs_go_layout *l, enum gs_go_field f, const uint8_t *b,
		      uint64_t bytes)
{
	uint64_t v = 0;

	if (gs_go_has(l, f) && (uint64_t)l->offset[f] + bytes <= HCHAN_MAX_BYTES)
		memcpy(&v, b + l->offset[f], bytes);
	return v;
}

static void say_channel(struct gs_leaks *l, struct words *w, gs_addr chan)
{
	const struct gs_go_layout *lay = &gs_rt_facts(l->rt)->layout;
	int32_t size = lay->offset[GS_GO_HCHAN_SIZE];
	uint8_t b[HCHAN_MAX_BYTES] = { 0 };
	uint64_t cap;

	say(w, "channel 0x%" PRIx64, chan);
	if (size > 0 && size <= (int32_t)sizeof(b) &&
	    gs_memory_read(gs_rt_memory(l->rt), chan, b, (size_t)size, NULL) == 0) {
		cap = field(lay, GS_GO_HCHAN_DATAQSIZ, b, 8);
		if (cap)
			say(w, ", %" PRIu64 " of %" PRIu64 " buffered",
			    field(lay, GS_GO_HCHAN_QCOUNT, b, 8), cap);
		else
			say(w, ", unbuffered");
		if (field(lay, GS_GO_HCHAN_CLOSED, b, 4))
			say(w, ", closed");
	}
	say_waiters(w, count_waiters(l, chan, GS_RT_BLOCK_CHAN_RECEIVE, GS_RT_BLOCK_CHAN_RECEIVE),
		    "receive");
	say_waiters(w, count_waiters(l, chan, GS_RT_BLOCK_CHAN_SEND, GS_RT_BLOCK_CHAN_SEND),
		    "send");
	say_waiters(w, count_waiters(l, chan, GS_RT_BLOCK_SELECT, GS_RT_BLOCK_SELECT), "select");
}

static void say_select(struct gs_leaks *l, struct words *w, const struct gs__leak_item *x)
{
	const struct gs_rt_g *g = &l->look->g[x->which];
	const struct gs_rt_wait_object *o = gs_rt_gs_objects(l->look->gs, g);

	if (g->n_objects == 1) {
		say_channel(l, w, o[0].object);
		return;
	}
	say(w, "%u channels: ", g->n_objects);
	for (uint32_t i = 0; i < g->n_objects && i < 4; i++)
		say(w, "%s0x%" PRIx64, i ? ", " : "", o[i].object);
	if (g->n_objects > 4)
		say(w, ", …");
}

static void say_lock(struct gs_leaks *l, struct words *w, const struct gs__leak_item *x)
{
	const char *name = gs_rt_block_name((enum gs_rt_block)x->block);
	uint32_t n = count_waiters(l, x->object, x->block, x->block);

	/* sync.Mutex is {state int32; sema uint32}, in all releases. */
	if (x->block == GS_RT_BLOCK_MUTEX && x->object > 4)
		say(w, "%s 0x%" PRIx64, name, x->object - 4);
	else if (x->object)
		say(w, "%s (%s 0x%" PRIx64 ")", name,
		    x->block == GS_RT_BLOCK_COND ? "notifyList" : "semaphore", x->object);
	else
		say(w, "%s", name);
	say_waiters(w, n, "wait");
}

const char *gs__leak_blocked_on(struct gs_leaks *l, const struct gs__leak_item *x)
{
	const char *nothing = "; nothing that can run refers to ";
	struct words w = { .n = 0 };

	switch ((enum gs_rt_block)x->block) {
	case GS_RT_BLOCK_CHAN_NIL:
		say(&w, "a nil channel: no one can ever be on the other side");
		nothing = NULL;
		break;
	case GS_RT_BLOCK_SELECT_NONE:
		say(&w, "a select without a case that could become ready");
		nothing = NULL;
		break;
	case GS_RT_BLOCK_SELECT:
		say_select(l, &w, x);
		break;
	case GS_RT_BLOCK_CHAN_SEND:
	case GS_RT_BLOCK_CHAN_RECEIVE:
		say_channel(l, &w, x->object);
		break;
	default:
		say_lock(l, &w, x);
		break;
	}
	if (nothing && x->by_marking)
		say(&w, "%s%s", nothing, l->look->g[x->which].n_objects > 1 ? "any of them" : "it");
	if (x->by_runtime)
		say(&w, "; the runtime's own leak detection says so%s",
		    x->by_marking ? " too" : "");
	return gs_arena_strndup(l->arena, w.text, w.n);
}
