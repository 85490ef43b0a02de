/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * One look for goroutines that will never run again: marking, from what can still run, to a fixed point. It does from
 * outside what the collector of Go 1.26 does when it looks for leaks (runtime/mgc.go: findGoroutineLeaks,
 * isMaybeRunnable; mgcmark.go: markroot):
 *
 *   roots        globals, finalizers and cleanups, stacks of goroutines that are not blocked
 *   mark         all that can be reached; sudogs are not looked into, for they lead from a goroutine (all are in
 *                allgs, so all are reachable) to what it waits for
 *   then         a blocked goroutine is live if anything it waits for is marked, or is not in the heap; its stack is a
 *                root too. Again, until no more become live
 *   what is left waits for what nobody can touch
 *
 * Objects are marked conservatively, so some words only look like pointers. Those of a P that are known to be none are
 * left out: the write barrier's buffer and the collector's queues keep addresses long after they mattered, and a page
 * cache says where its pages begin.
 *
 * A running target moves pointers while we mark: from a place not yet read to one that has been. So when marking is
 * through, everything that such a pointer must have passed is looked at again: globals, the stacks of all
 * goroutines that ran since, and spans that are new. What still slips through is between two old objects;
 * leaks_unreachable.c looks again and believes only what it sees each time.
 */
#include <errno.h>
#include <string.h>

#include "analysis/leaks_private.h"
#include "base/clock.h"

#define LEFT_OUT 2
#define PS_MAX 4096u
#define PAGE_CACHE_BYTES 24u
#define P_MAX_BYTES (64u << 10)
#define NEW_SPANS_MAX_BYTES (1ull << 30)
#define PIECE_BYTES (256u << 10)
#define ROUNDS_MAX 20000u
#define CHECKS_MAX (2ull << 30) /* of blocked goroutines; some seconds */

static int mark_pointers(void *ctx, const struct gs_rt_pointer *p, size_t n)
{
	struct gs__look *k = ctx;

	gs_heap_mark_roots(k->mark, p, n);
	return 0;
}

static int mark_stack(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	(void)which; // whose it is does not matter
	return mark_pointers(ctx, p, n);
}

/* All words of @bytes as roots. */
static void mark_words(struct gs__look *k, gs_addr addr, const uint8_t *bytes, size_t len)
{
	struct gs_rt_pointer p[256];
	size_t n = 0;

	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint64_t v;

		memcpy(&v, bytes + i, sizeof(v));
		if (v == 0)
			continue;
		p[n++] = (struct gs_rt_pointer){ .slot = addr + i, .value = v };
		if (n == GS_ARRAY_SIZE(p)) {
			gs_heap_mark_roots(k->mark, p, n);
			n = 0;
		}
	}
	gs_heap_mark_roots(k->mark, p, n);
}

/* ---- Ps ---- */

/* The page cache of a P begins with an address in the heap; then come two bitmaps (runtime/mpagecache.go). */
static void blot_page_cache(const struct gs_go_layout *l, uint8_t *bytes, size_t len)
{
	int64_t at = l->offset[GS_GO_P_PCACHE_BASE];

	if (gs_go_has(l, GS_GO_P_PCACHE_BASE) && at >= 0 && (size_t)at + PAGE_CACHE_BYTES <= len)
		memset(bytes + at, 0, PAGE_CACHE_BYTES);
}

/* The words of each P but those that only look like pointers (runtime/runtime2.go: p.gcw, p.wbBuf, p.pcache). */
static int mark_ps(struct gs__look *k, bool first, struct gs_incomplete_list *inc,
		   struct gs_err *err)
{
	const struct gs_rt_facts *f = gs_rt_facts(k->rt);
	const struct gs_go_layout *l = &f->layout;
	const struct gs_memory *mem = gs_rt_memory(k->rt);
	int64_t size = l->offset[GS_GO_P_SIZE], from = l->offset[GS_GO_P_GCW];
	int64_t to = (int64_t)l->offset[GS_GO_P_WB_BUF] + 16 + 512 * 8; /* next, end, buf */
	GS_CLEANUP(gs_freep) gs_addr *ps = NULL;
	GS_CLEANUP(gs_freep) uint8_t *bytes = NULL;
	uint64_t slice[2];

	if (!f->globals.addr[GS_GO_GLOBAL_ALLP] || size <= 0 || size > (int64_t)P_MAX_BYTES ||
	    from < 0 || to < from || to > size ||
	    gs_memory_read(mem, f->globals.addr[GS_GO_GLOBAL_ALLP], slice, sizeof(slice), NULL) <
		    0 ||
	    slice[1] == 0 || slice[1] > PS_MAX)
		return 0; // they are marked like other objects, some more words counting as pointers
	ps = gs_array_new(slice[1], sizeof(*ps));
	bytes = gs_array_new((size_t)size, 1);
	if (!ps || !bytes)
		return gs_fail(err, -ENOMEM, 0, "no memory to mark the heap");
	if (gs_memory_read(mem, slice[0], ps, slice[1] * sizeof(*ps), NULL) < 0)
		return 0;
	if (first)
		gs_heap_mark_opaque(k->mark, ps, (uint32_t)slice[1]);
	for (uint64_t i = 0; i < slice[1]; i++) {
		if (gs_memory_read(mem, ps[i], bytes, (size_t)size, NULL) < 0) {
			gs_incomplete_add(inc, "ps_unreadable", 1, "a P could not be read");
			k->complete = false;
			continue;
		}
		blot_page_cache(l, bytes, (size_t)size);
		mark_words(k, ps[i], bytes, (size_t)from);
		mark_words(k, ps[i] + (uint64_t)to, bytes + to, (size_t)(size - to));
	}
	if (first) {
		k->ps = GS_TAKE(ps);
		k->n_ps = (uint32_t)slice[1];
	}
	return 0;
}

/* ---- the fixed point ---- */

static bool waits_for_live(const struct gs__look *k, const struct gs_rt_g *g)
{
	const struct gs_rt_wait_object *o = gs_rt_gs_objects(k->gs, g);

	if (g->block == GS_RT_BLOCK_CHAN_NIL || g->block == GS_RT_BLOCK_SELECT_NONE)
		return false;
	if (g->objects_unknown || g->n_objects == 0)
		return true;
	for (uint32_t i = 0; i < g->n_objects; i++) {
		const struct gs_rt_span *s;

		if (o[i].object == 0)
			continue;
		s = gs_rt_heap_find(gs_rt_heap_index(k->heap), o[i].object);
		if (!s || s->state != GS_RT_SPAN_IN_USE || gs_heap_marked(k->mark, o[i].object))
			return true;
	}
	return false;
}

static int mark_stacks(struct gs__look *k, const struct gs_rt_gs *gs, const uint32_t *which,
		       uint32_t n, struct gs_incomplete_list *inc, struct gs_err *err)
{
	int r = n ? gs_rt_stack_roots(k->rt, gs, which, n, true, mark_stack, k, inc, err) : 0;

	return r < 0 ? r : gs_heap_mark_drain(k->mark, err);
}

/* The goroutines not yet live stand in pending[0..n); those that become live are taken out. */
static int to_fixed_point(struct gs__look *k, uint32_t n, struct gs_incomplete_list *inc,
			  struct gs_err *err)
{
	GS_CLEANUP(gs_freep) uint32_t *found = gs_array_new(n + 1ul, sizeof(*found));
	uint64_t checks = 0;

	if (!found)
		return gs_fail(err, -ENOMEM, 0, "no memory for %u goroutines", n);
	for (uint32_t round = 0; n > 0; round++) {
		uint32_t n_found = 0, left = 0;
		int r;

		if (round == ROUNDS_MAX || (checks += n) > CHECKS_MAX) {
			gs_incomplete_add(inc, "goroutines_undecided", n,
					  "what they wait for depends on each other in too long "
					  "chains; taken to be live");
			for (uint32_t i = 0; i < n; i++)
				k->live[k->pending[i]] = 1;
			return 0;
		}
		for (uint32_t i = 0; i < n; i++) {
			uint32_t which = k->pending[i];

			if (waits_for_live(k, &k->g[which])) {
				k->live[which] = 1;
				found[n_found++] = which;
			} else {
				k->pending[left++] = which;
			}
		}
		if (n_found == 0)
			return 0;
		n = left;
		r = mark_stacks(k, k->gs, found, n_found, inc, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static uint32_t blocked_into_todo(struct gs__look *k)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < k->n; i++)
		if (!k->live[i])
			k->pending[n++] = i;
	return n;
}

static int goid_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool left_out(const struct gs__look_how *how, uint64_t goid)
{
	return how->n_without &&
	       bsearch(&goid, how->without, how->n_without, sizeof(*how->without), goid_order);
}

static int mark_roots(struct gs__look *k, const struct gs__look_how *how,
		      struct gs_incomplete_list *inc, struct gs_err *err)
{
	const gs_addr *sudogs;
	uint32_t n, n_live = 0;
	int r;

	sudogs = gs_rt_gs_sudogs(k->gs, &n);
	gs_heap_mark_opaque(k->mark, sudogs, n);
	r = mark_ps(k, true, inc, err);
	if (r == 0)
		r = gs_rt_global_roots(k->rt, mark_pointers, k, inc, err);
	if (r == 0)
		r = gs_rt_special_roots(k->rt, k->heap, mark_pointers, k, inc, err);
	if (r == 0)
		r = gs_rt_thread_roots(k->rt, k->gs, mark_pointers, k, inc, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < k->n; i++) {
		if (left_out(how, k->g[i].goid)) {
			k->live[i] = LEFT_OUT;
			continue;
		}
		if (k->g[i].block != GS_RT_BLOCK_NONE && !k->g[i].torn)
			continue;
		k->live[i] = 1;
		/* At its program's end main has nothing to come back to; its stack is of the past. */
		if (!(how->ended && k->g[i].main && k->g[i].state == GS_G_RUNNING))
			k->pending[n_live++] = i;
	}
	return mark_stacks(k, k->gs, k->pending, n_live, inc, err);
}

/* ---- what changed meanwhile ---- */

static bool same_span(const struct gs_rt_span *a, const struct gs_rt_span *b)
{
	return a->start == b->start && a->elem_size == b->elem_size && a->n_pages == b->n_pages &&
	       a->spanclass == b->spanclass && a->state == b->state;
}

static int mark_span(struct gs__look *k, const struct gs_rt_span *s, uint8_t *buf)
{
	const struct gs_memory *mem = gs_rt_memory(k->rt);
	uint64_t bytes = s->n_pages * (uint64_t)GS_RT_PAGE;

	for (uint64_t at = 0; at < bytes; at += PIECE_BYTES) {
		size_t len = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;

		if (gs_memory_read(mem, s->start + at, buf, len, NULL) == 0)
			mark_words(k, s->start + at, buf, len);
	}
	return 0;
}

/* Spans with pointers that were not there when marking began. */
static int mark_new_spans(struct gs__look *k, struct gs_incomplete_list *inc, struct gs_err *err)
{
	GS_CLEANUP(gs_rt_heap_freep) struct gs_rt_heap *now = NULL;
	GS_CLEANUP(gs_freep) uint8_t *buf = gs_array_new(PIECE_BYTES, 1);
	const struct gs_rt_span *a, *b;
	struct gs_incomplete_list ignored = { .n = 0 }; // the first reading has told
	uint64_t bytes = 0;
	uint32_t n_a, n_b, i = 0;
	int r = gs_rt_heap_read(k->rt, &now, &ignored, err);

	if (r < 0)
		return r;
	if (!buf)
		return gs_fail(err, -ENOMEM, 0, "no memory to mark the heap");
	a = gs_rt_heap_spans(k->heap, &n_a);
	b = gs_rt_heap_spans(now, &n_b);
	for (uint32_t j = 0; j < n_b; j++) {
		while (i < n_a && a[i].start < b[j].start)
			i++;
		if (b[j].state != GS_RT_SPAN_IN_USE || b[j].flags & GS_RT_SPAN_NOSCAN ||
		    (i < n_a && same_span(&a[i], &b[j])))
			continue;
		bytes += b[j].n_pages * (uint64_t)GS_RT_PAGE;
		if (bytes > NEW_SPANS_MAX_BYTES) {
			gs_incomplete_add(inc, "new_spans_unread", 1,
					  "the target allocates faster than its heap can be read");
			k->complete = false;
			break;
		}
		mark_span(k, &b[j], buf);
	}
	return 0;
}

struct place {
	uint64_t goid;
	uint32_t which;
};

static int place_order(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->goid > y->goid) - (x->goid < y->goid);
}

static struct place *sorted_places(const struct gs_rt_g *g, uint32_t n)
{
	struct place *p = gs_array_new(n + 1ul, sizeof(*p));

	for (uint32_t i = 0; p && i < n; i++)
		p[i] = (struct place){ .goid = g[i].goid, .which = i };
	if (p)
		qsort(p, n, sizeof(*p), place_order);
	return p;
}

static bool stands_still(const struct gs_rt_g *a, const struct gs_rt_g *b, bool left)
{
	if (left ? b->state != GS_G_WAITING : a->block == GS_RT_BLOCK_NONE)
		return false;
	return a->g == b->g && !b->torn && a->block == b->block &&
	       a->tracking_seq == b->tracking_seq && a->pc == b->pc &&
	       a->stack_hi - a->sp == b->stack_hi - b->sp;
}

/* Stacks of goroutines that are new or ran since the look began; the latter are live. */
static int mark_moved(struct gs__look *k, struct gs_incomplete_list *inc, struct gs_err *err)
{
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *now = NULL;
	GS_CLEANUP(gs_freep) struct place *before = NULL;
	GS_CLEANUP(gs_freep) struct place *after = NULL;
	GS_CLEANUP(gs_freep) uint32_t *which = NULL;
	struct gs_incomplete_list ignored = { .n = 0 };
	const struct gs_rt_g *g;
	uint32_t n, n_which = 0, i = 0;
	int r = gs_rt_gs_read(k->rt, &now, &ignored, err);

	if (r < 0)
		return r;
	g = gs_rt_gs_all(now, &n);
	before = sorted_places(k->g, k->n);
	after = sorted_places(g, n);
	which = gs_array_new(n + 1ul, sizeof(*which));
	if (!before || !after || !which)
		return gs_fail(err, -ENOMEM, 0, "no memory for %u goroutines", n);
	for (uint32_t j = 0; j < n; j++) {
		bool known;

		for (; i < k->n && before[i].goid < after[j].goid; i++)
			k->live[before[i].which] = 1; // has ended
		known = i < k->n && before[i].goid == after[j].goid;
		if (known && stands_still(&k->g[before[i].which], &g[after[j].which],
					  k->live[before[i].which] == LEFT_OUT)) {
			i++;
			continue;
		}
		if (known)
			k->live[before[i++].which] = 1;
		which[n_which++] = after[j].which;
	}
	for (; i < k->n; i++)
		k->live[before[i].which] = 1;
	return mark_stacks(k, now, which, n_which, inc, err);
}

static int catch_up(struct gs__look *k, struct gs_incomplete_list *inc, struct gs_err *err)
{
	int r = mark_new_spans(k, inc, err);

	if (r == 0)
		r = gs_rt_global_roots(k->rt, mark_pointers, k, inc, err);
	if (r == 0)
		r = mark_ps(k, false, inc, err);
	if (r == 0)
		r = mark_moved(k, inc, err);
	return r < 0 ? r : to_fixed_point(k, blocked_into_todo(k), inc, err);
}

int gs__look_go_on(struct gs__look *k, struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct gs_incomplete_list ignored = { .n = 0 }; // the look has told
	int r = mark_moved(k, &ignored, err);

	return r < 0 ? r : to_fixed_point(k, blocked_into_todo(k), inc, err);
}

/* ---- the whole ---- */

static int look(struct gs__look *k, const struct gs__look_how *how, struct gs_incomplete_list *inc,
		struct gs_err *err)
{
	struct gs_heap_mark_stats stats;
	int r;

	/* Spans first: what a goroutine points to that is newer is taken to be live. */
	r = gs_rt_heap_read(k->rt, &k->heap, inc, err);
	if (r == 0)
		r = gs_rt_gs_read(k->rt, &k->gs, inc, err);
	if (r == 0)
		r = gs_heap_mark_new(k->heap, gs_rt_memory(k->rt), &k->mark, err);
	if (r < 0)
		return r;
	k->g = gs_rt_gs_all(k->gs, &k->n);
	k->live = gs_array_new(k->n + 1ul, 1);
	k->pending = gs_array_new(k->n + 1ul, sizeof(*k->pending));
	if (!k->live || !k->pending)
		return gs_fail(err, -ENOMEM, 0, "no memory for %u goroutines", k->n);
	r = mark_roots(k, how, inc, err);
	if (r == 0)
		r = to_fixed_point(k, blocked_into_todo(k), inc, err);
	if (r == 0 && !how->still && (how->n_without || blocked_into_todo(k) > 0))
		r = catch_up(k, inc, err);
	if (r < 0)
		return r;
	gs_heap_mark_stats(k->mark, &stats);
	k->unreadable_bytes = stats.unreadable_bytes;
	return 0;
}

int gs__look_new(struct gs_rt *rt, const struct gs__look_how *how, struct gs_incomplete_list *inc,
		 struct gs__look **ret, struct gs_err *err)
{
	GS_CLEANUP(gs__look_freep) struct gs__look *k = gs_array_new(1, sizeof(*k));
	struct gs_incomplete_list mine = { .n = 0 };
	int64_t begin = gs_now_ns();
	int r;

	if (!k)
		return gs_fail(err, -ENOMEM, 0, "no memory to look for leaks");
	k->rt = rt;
	k->complete = true;
	r = look(k, how, &mine, err);
	for (uint32_t i = 0; i < mine.n; i++)
		gs_incomplete_add(inc, mine.item[i].what, mine.item[i].count, "%s",
				  mine.item[i].why);
	if (r < 0)
		return r;
	k->took_ns = gs_now_ns() - begin;
	*ret = GS_TAKE(k);
	return 0;
}

struct gs__look *gs__look_free(struct gs__look *k)
{
	if (!k)
		return NULL;
	gs_heap_mark_free(k->mark);
	gs_rt_gs_free(k->gs);
	gs_rt_heap_free(k->heap);
	free(k->live);
	free(k->pending);
	free(k->ps);
	free(k);
	return NULL;
}

int gs__look_held(struct gs__look *k, const uint32_t *which, uint32_t n, uint64_t *ret_bytes,
		  struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct gs_heap_mark_stats before, after;
	int r;

	gs_heap_mark_stats(k->mark, &before);
	r = mark_stacks(k, k->gs, which, n, inc, err);
	if (r < 0)
		return r;
	gs_heap_mark_stats(k->mark, &after);
	*ret_bytes = after.bytes - before.bytes;
	return 0;
}
