/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Suspects of a target that moves: does anybody still handle what they wait for? A program may move the only pointer
 * to a channel from object to object so fast that marking, which reads one object after the other, never meets it.
 * Yet a leaked goroutine, and all that only it keeps, are out of everybody's reach: nobody can copy a pointer to them.
 * So the heap is read from end to end some times, and each new place that points there proves that somebody can.
 *
 *   watched    what suspects keep and marking did not reach; and the unmarked objects that point there, which are
 *              garbage or were missed
 *   a reading  all places in the heap that point to something watched; then, again and again, those in the parts
 *              of the heap that change (leaks_reading.c)
 *   compare    a place that the last reading of all did not have: what it points to is reachable. It is marked, and
 *              marking goes on to the fixed point
 *
 * Pointers that die prove nothing, nor do words of the collector: its queues in a P, and sudogs, which lead from a
 * goroutine to what it waits for.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "analysis/leaks_private.h"
#include "base/clock.h"
#include "base/hash.h"

#define WHOLE_MIN 2u   /* whole readings */
#define WHOLE_RACED 4u /* … of a program that is known to move pointers */
#define QUIET_MIN 8u   /* rounds at the end that must not meet any suspect's */
#define QUIET_RACED 24u
#define YOUNG_READINGS 8
#define YOUNG_PAUSE_NS 1000000
#define BUDGET_NS 5000000000
#define PLACES_MAX (1u << 24)
#define BLOOM_BITS (1u << 20)

/* Places of one reading: hashes of (place, what it points to), open addressing. */
struct places {
	uint64_t *slot;
	uint32_t n, cap;
};

struct moving {
	struct gs__look *k;
	struct gs__reading *reading;
	struct gs_heap_mark *walk; /* only to find slots, and to walk what suspects keep */
	uint64_t *watched;         /* bit for each slot of the heap */
	uint64_t *added;           /* … those watched only since this reading */
	uint64_t *fresh;           /* … since the one before: what it noted of them is not all */
	uint64_t *pages;           /* bloom filter of pages with something watched */
	struct places before, now;
	gs_addr lo, hi; /* of all that is watched */
	uint32_t round;
	bool overflow;
	bool late;     /* the time was over */
	bool restless; /* suspects were still being met at the end */
};

static bool bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static void set_bit(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= 1ull << i % 64;
}

static uint32_t bloom_of(gs_addr a)
{
	return (uint32_t)((a / GS_RT_PAGE * 0x9e3779b97f4a7c15u) >> 44) % BLOOM_BITS;
}

static void watch(struct moving *w, uint32_t number, gs_addr start, uint64_t size)
{
	set_bit(w->watched, number);
	for (uint64_t at = 0; at < size; at += GS_RT_PAGE)
		set_bit(w->pages, bloom_of(start + at));
	set_bit(w->pages, bloom_of(start + size - 1));
	w->lo = start < w->lo ? start : w->lo;
	w->hi = start + size > w->hi ? start + size : w->hi;
}

/* ---- what suspects keep ---- */

static void keep(struct moving *w, gs_addr value)
{
	const struct gs_rt_span *s;
	gs_addr start;
	uint32_t number;

	if (!gs_heap_slot(w->walk, value, &number, &start, &s) || bit(w->watched, number) ||
	    gs_heap_marked(w->k->mark, value))
		return;
	watch(w, number, start, s->elem_size);
	gs_heap_grey(w->walk, s, start);
}

static int keep_stack(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	(void)which; // whose it is does not matter
	for (size_t i = 0; i < n; i++)
		keep(ctx, p[i].value);
	return 0;
}

static int keep_object(void *ctx, const struct gs_heap_object *o)
{
	const uint8_t *bytes = o->bytes;

	for (uint64_t i = 0; bytes && i + 8 <= o->n_bytes; i += 8) {
		uint64_t v;

		memcpy(&v, bytes + i, sizeof(v));
		if (v)
			keep(ctx, v);
	}
	return 0;
}

static int find_kept(struct moving *w, const uint32_t *which, uint32_t n,
		     struct gs_incomplete_list *inc, struct gs_err *err)
{
	int r;

	for (uint32_t i = 0; i < n; i++) {
		const struct gs_rt_g *g = &w->k->g[which[i]];
		const struct gs_rt_wait_object *o = gs_rt_gs_objects(w->k->gs, g);

		for (uint32_t j = 0; j < g->n_objects; j++)
			keep(w, o[j].object);
	}
	r = gs_rt_stack_roots(w->k->rt, w->k->gs, which, n, true, keep_stack, w, inc, err);
	return r < 0 ? r : gs_heap_walk(w->walk, keep_object, w, err);
}

/* ---- a reading ---- */

static bool had(const struct places *p, uint64_t key)
{
	uint32_t i;

	if (!p->cap)
		return false;
	for (i = (uint32_t)key & (p->cap - 1); p->slot[i]; i = (i + 1) & (p->cap - 1))
		if (p->slot[i] == key)
			return true;
	return false;
}

static void insert(struct places *p, uint64_t key)
{
	uint32_t i = (uint32_t)key & (p->cap - 1);

	while (p->slot[i] && p->slot[i] != key)
		i = (i + 1) & (p->cap - 1);
	p->n += p->slot[i] == 0;
	p->slot[i] = key;
}

static bool add_place(struct places *p, uint64_t key)
{
	if (p->n * 2ul >= p->cap) {
		struct places more = { .cap = p->cap ? p->cap * 2 : 4096 };

		if (more.cap > PLACES_MAX * 2)
			return false;
		more.slot = gs_array_new(more.cap, sizeof(*more.slot));
		if (!more.slot)
			return false;
		for (uint32_t i = 0; i < p->cap; i++)
			if (p->slot[i])
				insert(&more, p->slot[i]);
		free(p->slot);
		*p = more;
	}
	insert(p, key);
	return true;
}

/* Is the object a P or a sudog? Both are marked, and neither is looked into. */
static bool is_ours(const struct moving *w, gs_addr start)
{
	const gs_addr *sudogs;
	uint32_t n, lo = 0;

	for (uint32_t i = 0; i < w->k->n_ps; i++)
		if (w->k->ps[i] == start)
			return true;
	sudogs = gs_rt_gs_sudogs(w->k->gs, &n);
	for (uint32_t hi = n; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (sudogs[mid] < start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && sudogs[lo] == start;
}

/* A word that points to something watched. */
static void meet(struct moving *w, gs_addr at, gs_addr value)
{
	const struct gs_rt_span *s, *holder_span;
	gs_addr start, holder_start;
	uint32_t number, holder;
	bool known;
	uint64_t key;

	if (!gs_heap_slot(w->walk, value, &number, &start, &s) || !bit(w->watched, number))
		return;
	known = gs_heap_slot(w->walk, at, &holder, &holder_start, &holder_span);
	if (known && is_ours(w, holder_start))
		return;
	key = gs_hash_u64(gs_hash_u64(1, at), start) | 1;
	if (!had(&w->now, key) && !add_place(&w->now, key))
		w->overflow = true;
	if (w->round && !bit(w->added, number) && !bit(w->fresh, number) && !had(&w->before, key)) {
		const struct gs_rt_pointer p = { .slot = at, .value = value };

		gs_heap_mark_roots(w->k->mark, &p, 1);
	}
	if (known && !bit(w->watched, holder) && !gs_heap_marked(w->k->mark, at)) {
		watch(w, holder, holder_start, holder_span->elem_size);
		set_bit(w->added, holder);
	}
}

static void read_words(void *ctx, gs_addr at, const uint8_t *bytes, size_t len)
{
	struct moving *w = ctx;
	gs_addr lo = w->lo, range = w->hi - w->lo;

	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint64_t v;

		memcpy(&v, bytes + i, sizeof(v));
		if (v - lo < range && bit(w->pages, bloom_of(v))) {
			meet(w, at + i, v);
			lo = w->lo;
			range = w->hi - w->lo;
		}
	}
}

/* A reading of all begins: what is new is new since the one before. */
static int begin_whole(struct moving *w, uint32_t slots, struct gs_err *err)
{
	free(w->before.slot);
	w->before = w->now;
	w->now = (struct places){ .n = 0 };
	memcpy(w->fresh, w->added, (slots / 64 + 1) * sizeof(*w->added));
	memset(w->added, 0, (slots / 64 + 1) * sizeof(*w->added));
	return gs__reading_whole(w->reading, err);
}

/* Readings of what moves. They add to the places of the last whole one, so each pointer is new once. */
static int follow(struct moving *w, struct gs_err *err)
{
	const struct timespec pause = { .tv_nsec = YOUNG_PAUSE_NS };
	int r = w->round % 2 ? 0 : gs__reading_hot(w->reading, err); // lists all spans

	for (int i = 0; r == 0 && i < YOUNG_READINGS; i++) {
		r = gs__reading_young(w->reading, err);
		nanosleep(&pause, NULL);
	}
	return r;
}

static uint32_t count_live(const struct gs__look *k, const uint32_t *which, uint32_t n)
{
	uint32_t live = 0;

	for (uint32_t i = 0; i < n; i++)
		live += k->live[which[i]];
	return live;
}

static int allocate(struct moving *w, uint32_t slots, struct gs_err *err)
{
	int r = gs_heap_mark_new(w->k->heap, gs_rt_memory(w->k->rt), &w->walk, err);

	if (r == 0)
		r = gs__reading_new(w->k, read_words, w, &w->reading, err);
	if (r < 0)
		return r;
	w->watched = gs_array_new(slots / 64 + 1ul, sizeof(*w->watched));
	w->added = gs_array_new(slots / 64 + 1ul, sizeof(*w->added));
	w->fresh = gs_array_new(slots / 64 + 1ul, sizeof(*w->fresh));
	w->pages = gs_array_new(BLOOM_BITS / 64, sizeof(*w->pages));
	if (!w->watched || !w->added || !w->fresh || !w->pages)
		return gs_fail(err, -ENOMEM, 0, "no memory to watch pointers");
	return 0;
}

static int watch_moves(struct moving *w, const uint32_t *which, uint32_t n, bool raced,
		       struct gs_incomplete_list *inc, struct gs_err *err)
{
	uint32_t slots = gs_rt_heap_slots(w->k->heap);
	uint32_t live = count_live(w->k, which, n), quiet = 0;
	int64_t end_ns = gs_now_ns() + BUDGET_NS + 2 * w->k->took_ns;
	int r = allocate(w, slots, err);

	if (r == 0)
		r = find_kept(w, which, n, inc, err);
	for (w->round = 0; r == 0 && !w->overflow && live < n; w->round++) {
		uint32_t before = live, whole = raced ? WHOLE_RACED : WHOLE_MIN;

		if (w->round >= whole && quiet >= (raced ? QUIET_RACED : QUIET_MIN))
			break;
		w->late = gs_now_ns() > end_ns;
		if (w->late)
			break;
		/* Whole readings first; of what moves later, some between others. */
		r = w->round < WHOLE_MIN ||
				    (raced && w->round % 4 == 0 && w->round < 4 * WHOLE_RACED)
			    ? begin_whole(w, slots, err)
			    : follow(w, err);
		if (r == 0)
			r = gs__look_go_on(w->k, inc, err);
		live = count_live(w->k, which, n);
		quiet = live > before ? 0 : quiet + 1;
		raced |= live > before;
	}
	w->restless = raced && live < n && quiet < QUIET_RACED;
	return r;
}

int gs__look_moving(struct gs__look *k, const uint32_t *which, uint32_t n, bool raced,
		    struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct moving w = { .k = k, .lo = UINT64_MAX };
	int r = n ? watch_moves(&w, which, n, raced, inc, err) : 0;
	bool undecided = r >= 0 && (w.overflow || w.restless);

	if (undecided)
		gs_incomplete_add(
			inc, "goroutines_undecided", n,
			w.overflow ? "too many places point to what they keep to watch them all; "
				     "taken to be live"
				   : "the target moves pointers to what they wait for faster than "
				     "they can be followed; taken to be live. --stop sees all at "
				     "one moment");
	else if (r >= 0 && w.late)
		gs_incomplete_add(inc, "pointers_followed_in_part", n,
				  "there was not enough time to see whether anybody still handles "
				  "what they wait for; --stop sees all at one moment");
	for (uint32_t i = 0; undecided && i < n; i++)
		k->live[which[i]] = 1;
	gs__reading_free(w.reading);
	gs_heap_mark_free(w.walk);
	free(w.watched);
	free(w.added);
	free(w.fresh);
	free(w.pages);
	free(w.before.slot);
	free(w.now.slot);
	return r < 0 ? r : w.late && !undecided;
}
