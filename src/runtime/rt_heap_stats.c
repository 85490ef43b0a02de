/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The runtime's counters, put together as runtime/metrics does (runtime/metrics.go: heapStatsAggregate,
 * sysStatsAggregate and the functions of /memory/classes/…; the same formulas in Go 1.19 to 1.27), and the pacer's
 * (runtime/mgcpacer.go).
 *
 * memstats.heapStats has three sets of deltas. The truth is their sum; each one alone may be negative. A reader
 * inside the process moves one set into another, so the sum is read again when it did so meanwhile.
 */
#include "runtime/rt_heap_private.h"

#include <errno.h>
#include <string.h>

enum {
	SETS = 3,
	MAX_MSTATS = 1 << 16,
	MAX_PACER = 1 << 12,
	TRIES = 4,
	MIN_RUNWAY = 64 << 10,  /* heapGoalInternal: minRunway */
	MIN_HEADROOM = 1 << 20, /* memoryLimitMinHeapGoalHeadroom */
	HEADROOM_PERCENT = 3,   /* memoryLimitHeapGoalHeadroomPercent, since 1.21 */
	FIRST_WITH_PERCENT = 21,
};

const uint16_t gs_rt_size_class[GS_RT_SIZE_CLASSES] = {
	0,     8,     16,    24,    32,    48,    64,    80,    96,    112,   128,   144,
	160,   176,   192,   208,   224,   240,   256,   288,   320,   352,   384,   416,
	448,   480,   512,   576,   640,   704,   768,   896,   1024,  1152,  1280,  1408,
	1536,  1792,  2048,  2304,  2688,  3072,  3200,  3456,  4096,  4864,  5376,  6144,
	6528,  6784,  6912,  8192,  9472,  9728,  10240, 10880, 12288, 13568, 14336, 16384,
	18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768,
};

/* A structure of the target, copied. */
struct bytes {
	const struct gs_go_layout *l;
	uint8_t *b;
	size_t len;
};

static uint64_t field(const struct bytes *s, enum gs_go_field f)
{
	return gs__field_u64(s->l, f, s->b, s->len);
}

/* Sum of a counter at @at within a set of deltas, over the sets. */
static uint64_t sum_at(const struct bytes *s, uint64_t at)
{
	uint64_t sum = 0, size = (uint64_t)s->l->offset[GS_GO_HEAP_STATS_SIZE];
	uint64_t first = (uint64_t)s->l->offset[GS_GO_MSTATS_HEAP_STATS];

	for (unsigned int i = 0; i < SETS; i++) {
		uint64_t where = first + i * size + at;

		if (where + 8 <= s->len)
			sum += gs__u64(s->b + where);
	}
	return sum;
}

static uint64_t sum(const struct bytes *s, enum gs_go_field f)
{
	return gs_go_has(s->l, f) ? sum_at(s, (uint64_t)s->l->offset[f]) : 0;
}

static uint64_t sum_class(const struct bytes *s, enum gs_go_field f, unsigned int class)
{
	return gs_go_has(s->l, f) ? sum_at(s, (uint64_t)s->l->offset[f] + 8ul * class) : 0;
}

/* Read memstats, with sums that no reader inside the process was just moving. */
static int read_mstats(struct gs_rt_heap *h, struct bytes *s, struct gs_err *err)
{
	gs_addr at = h->rt->facts.globals.addr[GS_GO_GLOBAL_MEMSTATS];
	uint32_t before, after;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < TRIES; i++) {
		r = gs_memory_u32(h->rt->mem,
				  at + (uint64_t)s->l->offset[GS_GO_MSTATS_HEAP_STATS_GEN], &before,
				  err);
		if (r == 0)
			r = gs_memory_read(h->rt->mem, at, s->b, s->len, err);
		if (r == 0)
			r = gs_memory_u32(h->rt->mem,
					  at + (uint64_t)s->l->offset[GS_GO_MSTATS_HEAP_STATS_GEN],
					  &after, err);
		if (r == 0 && before == after)
			break;
	}
	return r;
}

static uint64_t above(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0; /* a counter that is ahead of another for a moment */
}

static void fill_classes(struct gs_rt_heap *h, const struct bytes *s)
{
	struct gs_rt_memory_stats *m = &h->stats;
	uint64_t in_heap = sum(s, GS_GO_HEAP_STATS_IN_HEAP);
	uint64_t work = sum(s, GS_GO_HEAP_STATS_IN_WORK_BUFS);
	uint64_t programs = sum(s, GS_GO_HEAP_STATS_IN_PTR_SCALAR_BITS);
	uint64_t committed = sum(s, GS_GO_HEAP_STATS_COMMITTED);

	m->objects = sum(s, GS_GO_HEAP_STATS_LARGE_ALLOC_COUNT) -
		     sum(s, GS_GO_HEAP_STATS_LARGE_FREE_COUNT);
	m->heap_objects =
		sum(s, GS_GO_HEAP_STATS_LARGE_ALLOC) - sum(s, GS_GO_HEAP_STATS_LARGE_FREE);
	for (unsigned int c = 0; c < GS_RT_SIZE_CLASSES; c++) {
		uint64_t n = sum_class(s, GS_GO_HEAP_STATS_SMALL_ALLOC_COUNT, c) -
			     sum_class(s, GS_GO_HEAP_STATS_SMALL_FREE_COUNT, c);

		m->objects += n;
		m->heap_objects += n * gs_rt_size_class[c];
	}
	m->heap_stacks = sum(s, GS_GO_HEAP_STATS_IN_STACKS);
	m->heap_released = sum(s, GS_GO_HEAP_STATS_RELEASED);
	m->heap_unused = above(in_heap, m->heap_objects);
	m->heap_free = above(committed, in_heap + m->heap_stacks + work + programs);
	m->work_buffers = work;
	m->os_stacks = field(s, GS_GO_MSTATS_STACKS_SYS);
	m->profiling_buckets = field(s, GS_GO_MSTATS_BUCKHASH_SYS);
	m->other = field(s, GS_GO_MSTATS_OTHER_SYS);
	m->metadata_other = work + programs + field(s, GS_GO_MSTATS_GC_MISC_SYS);
	m->total = committed + m->heap_released + m->os_stacks + field(s, GS_GO_MSTATS_MSPAN_SYS) +
		   field(s, GS_GO_MSTATS_MCACHE_SYS) + m->profiling_buckets +
		   field(s, GS_GO_MSTATS_GC_MISC_SYS) + m->other;
}

static uint64_t word(const struct gs_rt_heap *h, gs_addr at)
{
	uint64_t v = 0;

	return at && gs_memory_u64(h->rt->mem, at, &v, NULL) == 0 ? v : 0;
}

static void fill_metadata(struct gs_rt_heap *h, const struct bytes *s)
{
	struct gs_rt_memory_stats *m = &h->stats;

	m->mspan_inuse = word(h, gs__heap_field(h, GS_GO_MHEAP_SPANALLOC_INUSE));
	m->mcache_inuse = word(h, gs__heap_field(h, GS_GO_MHEAP_CACHEALLOC_INUSE));
	m->mspan_free = above(field(s, GS_GO_MSTATS_MSPAN_SYS), m->mspan_inuse);
	m->mcache_free = above(field(s, GS_GO_MSTATS_MCACHE_SYS), m->mcache_inuse);
}

static void fill_collections(struct gs_rt_heap *h, const struct bytes *s)
{
	struct gs_rt_memory_stats *m = &h->stats;

	m->enable_gc = gs__field_within(s->l, GS_GO_MSTATS_ENABLEGC, 1, s->len) &&
		       s->b[s->l->offset[GS_GO_MSTATS_ENABLEGC]];
	m->gc_count = gs__field_u32(s->l, GS_GO_MSTATS_NUMGC, s->b, s->len);
	m->gc_forced = gs__field_u32(s->l, GS_GO_MSTATS_NUMFORCEDGC, s->b, s->len);
	m->last_gc_unix_ns = (int64_t)field(s, GS_GO_MSTATS_LAST_GC_UNIX);
}

/* ---- pacer ---- */

/* memoryLimitHeapGoal */
static uint64_t limit_goal(const struct gs_rt_heap *h, const struct bytes *s)
{
	const struct gs_rt_memory_stats *m = &h->stats;
	uint64_t limit = (uint64_t)m->memory_limit;
	uint64_t other = above(m->mapped_ready,
			       field(s, GS_GO_GC_HEAP_FREE) + m->total_alloc - m->total_free);
	uint64_t over = above(m->mapped_ready, limit), goal, headroom = MIN_HEADROOM;

	if (other + over >= limit)
		return m->heap_marked;
	goal = limit - (other + over);
	if (h->layout->minor >= FIRST_WITH_PERCENT && goal / 100 * HEADROOM_PERCENT > headroom)
		headroom = goal / 100 * HEADROOM_PERCENT;
	goal = goal < headroom || goal - headroom < headroom ? headroom : goal - headroom;
	return goal > m->heap_marked ? goal : m->heap_marked;
}

/* heapGoalInternal */
static uint64_t heap_goal(const struct gs_rt_heap *h, const struct bytes *s)
{
	uint64_t goal = field(s, GS_GO_GC_PERCENT_HEAP_GOAL), limit = limit_goal(h, s);
	uint64_t sweep = field(s, GS_GO_GC_SWEEP_DIST_MIN_TRIGGER);
	uint64_t triggered = field(s, GS_GO_GC_TRIGGERED);

	if (limit < goal)
		return limit;
	if (sweep > goal)
		goal = sweep;
	if (triggered != UINT64_MAX && goal < triggered + MIN_RUNWAY)
		goal = triggered + MIN_RUNWAY;
	return goal;
}

static void fill_pacer(struct gs_rt_heap *h, const struct bytes *s)
{
	struct gs_rt_memory_stats *m = &h->stats;

	m->gc_percent = (int32_t)gs__field_u32(s->l, GS_GO_GC_PERCENT, s->b, s->len);
	m->memory_limit = (int64_t)field(s, GS_GO_GC_MEMORY_LIMIT);
	m->heap_live = field(s, GS_GO_GC_HEAP_LIVE);
	m->heap_marked = field(s, GS_GO_GC_HEAP_MARKED);
	m->mapped_ready = field(s, GS_GO_GC_MAPPED_READY);
	m->total_alloc = field(s, GS_GO_GC_TOTAL_ALLOC);
	m->total_free = field(s, GS_GO_GC_TOTAL_FREE);
	m->heap_goal = heap_goal(h, s);
}

/* ---- */

static int copy_struct(struct gs_rt_heap *h, gs_addr at, size_t len, struct bytes *ret,
		       struct gs_err *err)
{
	*ret = (struct bytes){ .l = h->layout, .b = gs_array_new(len, 1), .len = len };
	if (!ret->b)
		return gs_fail(err, -ENOMEM, 0, "no memory for the runtime's counters");
	return gs_memory_read(h->rt->mem, at, ret->b, len, err);
}

static int read_memstats(struct gs_rt_heap *h, struct gs_incomplete_list *inc, struct gs_err *err)
{
	gs_addr at = h->rt->facts.globals.addr[GS_GO_GLOBAL_MEMSTATS];
	int32_t len = h->layout->offset[GS_GO_MSTATS_SIZE];
	struct bytes s = { 0 };
	int r = -GS_E_FAULT;

	if (at && len > 0 && len <= MAX_MSTATS && gs_go_has(h->layout, GS_GO_HEAP_STATS_SIZE) &&
	    gs_go_has(h->layout, GS_GO_MSTATS_HEAP_STATS) &&
	    gs_go_has(h->layout, GS_GO_MSTATS_HEAP_STATS_GEN)) {
		r = copy_struct(h, at, (size_t)len, &s, err);
		if (r == 0)
			r = read_mstats(h, &s, err);
	}
	if (r == 0) {
		fill_classes(h, &s);
		fill_metadata(h, &s);
		fill_collections(h, &s);
	}
	free(s.b);
	if (r == -GS_E_FAULT)
		gs_incomplete_add(inc, "memory_counters_unreadable", 1,
				  "the runtime's memstats is not known or cannot be read");
	return r == -GS_E_FAULT ? 0 : r;
}

static int read_pacer(struct gs_rt_heap *h, struct gs_incomplete_list *inc, struct gs_err *err)
{
	gs_addr at = h->rt->facts.globals.addr[GS_GO_GLOBAL_GC_CONTROLLER];
	int32_t last = h->layout->offset[GS_GO_GC_MAPPED_READY];
	struct bytes s = { 0 };
	int r = -GS_E_FAULT;

	if (at && last > 0 && last < MAX_PACER)
		r = copy_struct(h, at, (size_t)last + 8, &s, err);
	if (r == 0)
		fill_pacer(h, &s);
	free(s.b);
	if (r == -GS_E_FAULT)
		gs_incomplete_add(inc, "memory_pacer_unreadable", 1,
				  "the runtime's gcController is not known or cannot be read");
	return r == -GS_E_FAULT ? 0 : r;
}

/* Goals and settings lie in globals of their own; without them the scavenger's aims are not known. */
static void read_goals(struct gs_rt_heap *h)
{
	const struct gs_go_more_globals *more = gs__rt_more_globals(h->rt);
	struct gs_rt_memory_stats *m = &h->stats;
	uint64_t goal[2];
	uint32_t dontneed;

	if (!more)
		return;
	if (more->checked[GS_GO_MORE_SCAVENGE] &&
	    gs_memory_read(h->rt->mem, more->addr[GS_GO_MORE_SCAVENGE], goal, sizeof(goal), NULL) ==
		    0) {
		m->has_scavenger = true;
		m->gc_percent_goal = goal[0];
		m->memory_limit_goal = goal[1];
	}
	if (more->checked[GS_GO_MORE_PHYS_HUGE_PAGE])
		m->physical_huge_page = word(h, more->addr[GS_GO_MORE_PHYS_HUGE_PAGE]);
	if (more->checked[GS_GO_MORE_MADVDONTNEED] &&
	    gs_memory_u32(h->rt->mem, more->addr[GS_GO_MORE_MADVDONTNEED], &dontneed, NULL) == 0)
		m->madv_free = dontneed == 0;
}

static void read_scavenger(struct gs_rt_heap *h)
{
	struct gs_rt_memory_stats *m = &h->stats;
	gs_addr background = gs__heap_field(h, GS_GO_MHEAP_SCAV_RELEASED_BG);
	gs_addr eager = gs__heap_field(h, GS_GO_MHEAP_SCAV_RELEASED_EAGER);

	m->released_background = background ? word(h, background) : UINT64_MAX;
	m->released_eager = eager ? word(h, eager) : UINT64_MAX;
	m->gc_percent_goal = m->memory_limit_goal = UINT64_MAX;
	read_goals(h);
}

int gs__heap_read_stats(struct gs_rt_heap *h, struct gs_incomplete_list *inc, struct gs_err *err)
{
	int r;

	h->stats.memory_limit = INT64_MAX;
	r = read_memstats(h, inc, err);
	if (r == 0)
		r = read_pacer(h, inc, err);
	if (r == 0)
		read_scavenger(h);
	return r;
}
