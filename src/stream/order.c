/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Records of two rings in the order of time.
 *
 * A ring holds records in the order in which CPUs reserved room, which is nearly that of their times: a
 * program reads the clock, is interrupted or waits for the ring's lock, and comes second. So each ring's records
 * are put into a sorted list from its end (few steps), and the two lists are merged when they are read.
 * Nothing younger than a watermark is handed out, because something older may still be on its way. What comes even
 * later is handed out next, and counted.
 *
 * Loss: each CPU numbers its records per ring. A number that is still missing when 64 later ones came will
 * not come; the records of one CPU may swap places when a program was preempted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "stream/stream_private.h"

int gs__order_init(struct gs__order *o, uint32_t n_cpus, size_t limit_bytes, struct gs_err *err)
{
	*o = (struct gs__order){ .limit_bytes = limit_bytes };
	o->n_cpus = n_cpus < 1 ? 1 : n_cpus > GS__ORDER_CPUS ? GS__ORDER_CPUS : n_cpus;
	o->seq = gs_array_new((size_t)o->n_cpus * GS__ORDER_LANES, sizeof(*o->seq));
	return o->seq ? 0 : gs_fail(err, -ENOMEM, 0, "no memory to order events");
}

void gs__order_deinit(struct gs__order *o)
{
	for (int i = 0; i < GS__ORDER_LANES; i++) {
		free(o->lane[i].key);
		free(o->lane[i].bytes);
	}
	free(o->seq);
	*o = (struct gs__order){ 0 };
}

static size_t used_bytes(const struct gs__order *o)
{
	size_t sum = 0;

	for (int i = 0; i < GS__ORDER_LANES; i++)
		sum += o->lane[i].cap_bytes + o->lane[i].cap * sizeof(struct gs__order_key);
	return sum;
}

/* Room for one more record; memory at most doubles and stays below the limit. */
static bool make_room(struct gs__order *o, struct gs__lane *l, size_t size)
{
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 1024;
		struct gs__order_key *p = NULL;

		if (used_bytes(o) + l->cap * sizeof(*p) <= o->limit_bytes)
			p = gs_array_resize(l->key, cap, sizeof(*p));
		if (!p)
			return false;
		l->key = p;
		l->cap = cap;
	}
	if (l->cap_bytes - l->len < size) {
		size_t cap = l->cap_bytes ? l->cap_bytes * 2 : 64 << 10;
		uint8_t *p = NULL;

		if (used_bytes(o) + l->cap_bytes <= o->limit_bytes && cap <= UINT32_MAX)
			p = realloc(l->bytes, cap);
		if (!p)
			return false;
		l->bytes = p;
		l->cap_bytes = cap;
	}
	return true;
}

/* First waiting key that is younger than @ts_ns. */
static uint32_t place_of(const struct gs__lane *l, uint64_t ts_ns)
{
	const struct gs__order_key *key = l->key + l->first;
	uint32_t n = l->n - l->first;

	if (n == 0 || key[n - 1].ts_ns <= ts_ns)
		return l->n;
	return l->first + GS_SEARCH(i, n, key[i].ts_ns > ts_ns);
}

void gs__order_add(struct gs__order *o, enum gs_wire_ring ring, const struct gs_wire_head *h,
		   size_t size)
{
	struct gs__lane *l = &o->lane[ring == GS_WIRE_RING_KERNEL];
	size_t room = (size + 7) & ~(size_t)7;

	if (!make_room(o, l, room)) {
		o->dropped++;
		return;
	}
	uint32_t at = place_of(l, h->ts_ns);

	if (at < l->n)
		memmove(l->key + at + 1, l->key + at, (l->n - at) * sizeof(*l->key));
	l->key[at] = (struct gs__order_key){ .ts_ns = h->ts_ns, .at = (uint32_t)l->len };
	l->n++;
	memcpy(l->bytes + l->len, h, size);
	l->len += room;
}

void gs__order_release(struct gs__order *o, uint64_t ns)
{
	if (ns > o->release_ns)
		o->release_ns = ns;
}

static uint64_t head_ns(const struct gs__lane *l)
{
	return l->first < l->n ? l->key[l->first].ts_ns : UINT64_MAX;
}

uint64_t gs__order_first_ns(const struct gs__order *o)
{
	uint64_t a = head_ns(&o->lane[0]), b = head_ns(&o->lane[1]);

	return a < b ? a : b;
}

uint64_t gs__order_next_ns(const struct gs__order *o)
{
	uint64_t t = gs__order_first_ns(o);

	return t < o->release_ns ? t : UINT64_MAX;
}

/* Note that a number came. @return how many will not come any more. */
static uint64_t note_seq(struct gs__seq *s, uint32_t seq)
{
	uint32_t d = seq - s->base;
	uint64_t lost = 0;

	if (d >= 0x80000000u) /* older than the window: counted as lost before, but it came */
		return 0;
	if (d >= 64) {
		uint32_t shift = d - 63;
		uint32_t out = shift < 64 ? shift : 64;
		uint64_t leaving = out == 64 ? s->seen : s->seen & ((1ull << out) - 1);

		lost = shift - (uint32_t)__builtin_popcountll(leaving);
		s->seen = out == 64 ? 0 : s->seen >> out;
		s->base += shift;
		d = 63;
	}
	s->seen |= 1ull << d;
	while (s->seen & 1) {
		s->seen >>= 1;
		s->base++;
	}
	return lost;
}

const struct gs_wire_head *gs__order_take(struct gs__order *o)
{
	int which = head_ns(&o->lane[1]) < head_ns(&o->lane[0]);
	struct gs__lane *l = &o->lane[which];
	uint64_t ts = head_ns(l);

	if (ts >= o->release_ns)
		return NULL;
	const struct gs_wire_head *h = (const void *)(l->bytes + l->key[l->first].at);

	l->first++;
	if (ts < o->last_ns) {
		o->late++;
		if (o->last_ns - ts > o->most_late_ns)
			o->most_late_ns = o->last_ns - ts;
	} else {
		o->last_ns = ts;
	}
	o->gap = h->cpu < o->n_cpus
			 ? note_seq(&o->seq[(uint32_t)which * o->n_cpus + h->cpu], h->seq)
			 : 0;
	return h;
}

static void compact_lane(struct gs__lane *l)
{
	uint32_t min = (uint32_t)l->len;

	if (l->first == l->n) {
		l->first = l->n = 0;
		l->len = 0;
		return;
	}
	if (l->first < l->n / 2)
		return;
	memmove(l->key, l->key + l->first, (l->n - l->first) * sizeof(*l->key));
	l->n -= l->first;
	l->first = 0;
	for (uint32_t i = 0; i < l->n; i++)
		if (l->key[i].at < min)
			min = l->key[i].at;
	if (min == 0)
		return;
	memmove(l->bytes, l->bytes + min, l->len - min);
	l->len -= min;
	for (uint32_t i = 0; i < l->n; i++)
		l->key[i].at -= min;
}

void gs__order_compact(struct gs__order *o)
{
	for (int i = 0; i < GS__ORDER_LANES; i++)
		compact_lane(&o->lane[i]);
}

void gs__order_each(struct gs__order *o, enum gs_wire_ring ring,
		    void (*fn)(void *ctx, struct gs_wire_head *h), void *ctx)
{
	const struct gs__lane *l = &o->lane[ring == GS_WIRE_RING_KERNEL];

	for (uint32_t i = l->first; i < l->n; i++)
		fn(ctx, (void *)(l->bytes + l->key[i].at));
}
