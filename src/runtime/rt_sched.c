/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Scheduler counters, as runtime/metrics would report them: goroutines = allglen - free ones - the
 * runtime's own (runtime/proc.go gcount); runnable = global queue + local queues + runnext. The target
 * runs on while the fields are read one after the other, so sums may be off by what changed meanwhile.
 */
#include "runtime/rt_private.h"

#include <errno.h>
#include <string.h>

#define PS_MAX 4096u

/* Counters are signed: one may be below zero for a moment. */
static int64_t field_i32(const struct gs_rt *rt, const uint8_t *b, size_t len, enum gs_go_field f)
{
	return (int32_t)gs__field_u32(&rt->facts.layout, f, b, len);
}

static uint64_t free_gs(const struct gs_rt *rt, const uint8_t *b, size_t len)
{
	int64_t n = field_i32(rt, b, len, GS_GO_SCHED_GFREE_N) +
		    field_i32(rt, b, len, GS_GO_SCHED_GFREE_STACK_SIZE) +
		    field_i32(rt, b, len, GS_GO_SCHED_GFREE_NOSTACK_SIZE);

	return n > 0 ? (uint64_t)n : 0;
}

static int read_sched(struct gs_rt *rt, struct gs_rt_sched *ret, uint64_t *ret_free,
		      uint64_t *ret_system, struct gs_err *err)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	gs_addr at = rt->facts.globals.addr[GS_GO_GLOBAL_SCHED];
	size_t len = (size_t)l->offset[GS_GO_SCHED_SIZE];
	GS_CLEANUP(gs_freep) uint8_t *b = NULL;
	int64_t alive;
	int r;

	*ret_free = *ret_system = 0;
	if (!at || l->offset[GS_GO_SCHED_SIZE] <= 0)
		return 0;
	b = gs_array_new(1, len);
	r = b ? gs_memory_read(rt->mem, at, b, len, err)
	      : gs_fail(err, -ENOMEM, 0, "no memory for scheduler counters");
	if (r < 0)
		return r;
	alive = (int64_t)(gs__field_u64(l, GS_GO_SCHED_MNEXT, b, len) -
			  gs__field_u64(l, GS_GO_SCHED_NMFREED, b, len));
	ret->threads = alive > 0 ? (uint32_t)alive : 0;
	ret->idle_ps = (uint32_t)field_i32(rt, b, len, GS_GO_SCHED_NPIDLE);
	ret->spinning_ms = (uint32_t)field_i32(rt, b, len, GS_GO_SCHED_NMSPINNING);
	ret->runnable_global = (uint64_t)(field_i32(rt, b, len, GS_GO_SCHED_RUNQSIZE) +
					  field_i32(rt, b, len, GS_GO_SCHED_RUNQ_SIZE));
	ret->gc_waiting = field_i32(rt, b, len, GS_GO_SCHED_GCWAITING) & 0xff;
	*ret_system = (uint64_t)field_i32(rt, b, len, GS_GO_SCHED_NGSYS);
	*ret_free = free_gs(rt, b, len);
	return 0;
}

/* Local run queues and free lists of the Ps. */
static void read_ps(struct gs_rt *rt, struct gs_rt_sched *ret, uint64_t *io_free)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	gs_addr allp = rt->facts.globals.addr[GS_GO_GLOBAL_ALLP], ptrs[PS_MAX];
	size_t len = (size_t)l->offset[GS_GO_P_RUNNEXT] + 64;
	GS_CLEANUP(gs_freep) uint8_t *b = NULL;
	uint64_t slice[2];

	if (!allp || l->offset[GS_GO_P_RUNNEXT] < 0 ||
	    gs_memory_read(rt->mem, allp, slice, sizeof(slice), NULL) < 0 || slice[1] > PS_MAX ||
	    gs_memory_read(rt->mem, slice[0], ptrs, slice[1] * 8, NULL) < 0)
		return;
	ret->gomaxprocs = (uint32_t)slice[1];
	b = gs_array_new(1, len);
	for (uint64_t i = 0; b && i < slice[1]; i++) {
		uint32_t queued;

		if (gs_memory_read(rt->mem, ptrs[i], b, len, NULL) < 0)
			continue;
		queued = gs__field_u32(l, GS_GO_P_RUNQTAIL, b, len) -
			 gs__field_u32(l, GS_GO_P_RUNQHEAD, b, len);
		ret->runnable_local += (queued <= 256 ? queued : 0) +
				       (gs__field_u64(l, GS_GO_P_RUNNEXT, b, len) != 0);
		*io_free += (uint64_t)(field_i32(rt, b, len, GS_GO_P_GFREE_N) +
				       field_i32(rt, b, len, GS_GO_P_GFREE_SIZE));
	}
}

static void read_gc(struct gs_rt *rt, struct gs_rt_sched *ret)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	gs_addr at = rt->facts.globals.addr[GS_GO_GLOBAL_MEMSTATS];
	int64_t now = gs_target_now_ns(rt->target);
	uint64_t last;

	if (!at)
		return;
	if (gs_go_has(l, GS_GO_MSTATS_NUMGC) &&
	    gs_memory_u32(rt->mem, at + (uint64_t)l->offset[GS_GO_MSTATS_NUMGC], &ret->gc_count,
			  NULL) < 0)
		ret->gc_count = 0;
	if (now > 0 && gs_go_has(l, GS_GO_MSTATS_LAST_GC_NANOTIME) &&
	    gs_memory_u64(rt->mem, at + (uint64_t)l->offset[GS_GO_MSTATS_LAST_GC_NANOTIME], &last,
			  NULL) == 0 &&
	    last > 0 && (int64_t)last <= now)
		ret->last_gc_ago_ns = now - (int64_t)last;
}

/* What the pacer goes by (runtime/mgcpacer.go): the memory limit may make the goal lower than this. */
static void read_heap(struct gs_rt *rt, struct gs_rt_sched *ret)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	gs_addr at = rt->facts.globals.addr[GS_GO_GLOBAL_GC_CONTROLLER];
	uint64_t live = 0, goal = 0;

	if (!at || !rt->facts.globals.checked[GS_GO_GLOBAL_GC_CONTROLLER])
		return;
	if (gs_memory_u64(rt->mem, at + (uint64_t)l->offset[GS_GO_GC_HEAP_LIVE], &live, NULL) < 0 ||
	    gs_memory_u64(rt->mem, at + (uint64_t)l->offset[GS_GO_GC_PERCENT_HEAP_GOAL], &goal,
			  NULL) < 0)
		return;
	ret->heap_live_bytes = live;
	ret->heap_goal_bytes = goal == UINT64_MAX ? 0 : goal;
}

int gs_rt_sched_read(struct gs_rt *rt, struct gs_rt_sched *ret, struct gs_err *err)
{
	uint64_t free_count, system;
	int r;

	*ret = (struct gs_rt_sched){ .last_gc_ago_ns = -1 };
	r = read_sched(rt, ret, &free_count, &system, err);
	if (r == 0 && rt->facts.globals.addr[GS_GO_GLOBAL_ALLGLEN])
		r = gs_memory_u64(rt->mem, rt->facts.globals.addr[GS_GO_GLOBAL_ALLGLEN],
				  &ret->allg_length, err);
	if (r < 0)
		return r;
	read_ps(rt, ret, &free_count);
	read_gc(rt, ret);
	read_heap(rt, ret);
	if (ret->allg_length > free_count + system)
		ret->goroutines = ret->allg_length - free_count - system;
	return 0;
}
