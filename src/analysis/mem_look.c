/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * One look at where a process's memory goes; mem_compare.c has the difference between two.
 *
 *   mappings and present pages ─────────┐ (a thread of its own)
 *   page heap, stacks, memory profile ──┴─► claims ─► classes ─► scavenger ─► verdict
 *                                           (what stands in unclaimed memory is looked up in between)
 *
 * Nothing stops the target; pages and heap are of about the same moment. Where the kernel is too old for the quick way,
 * smaps gives the mappings, and the pages of those that have several owners are asked for afterwards.
 */
#include "analysis/mem_look.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/mem_private.h"

#define RESULT_LIMIT ((size_t)512 << 20)

/* ---- reading ---- */

struct kernel_read {
	struct gs_target *target;
	struct gs_residency *residency;
	struct gs_err err;
	int result;
};

static void *read_kernel(void *ctx)
{
	struct kernel_read *k = (struct kernel_read *)ctx;

	k->result = gs_residency_read_quick(k->target, &k->residency, &k->err);
	if (k->result > 0)
		k->result = gs_residency_read(k->target, &k->residency, &k->err);
	return NULL;
}

static int read_runtime(struct gs_memory_look *l, struct gs_err *err)
{
	struct gs_err why;
	int r = gs_rt_heap_read(l->rt, &l->heap, &l->inc, &why);

	if (r < 0 && r != -GS_E_UNSUPPORTED && r != -GS_E_LIMIT) {
		if (err)
			*err = why;
		return r;
	}
	if (r < 0)
		gs_incomplete_add(&l->inc, "go_heap_unknown", 1,
				  "%.100s. The Go heap counts as anonymous mappings", why.text);
	r = gs__stacks_read(l, err);
	return r < 0 ? r : gs__sites_read(l, err);
}

/* Only smaps tells which pages are lazily freed; it is asked where the runtime frees so. */
static int read_lazy(struct gs_memory_look *l, struct gs_err *err)
{
	struct gs_residency *slow = NULL;
	int r;

	if (!l->heap || !gs_rt_heap_stats(l->heap)->madv_free ||
	    gs_rt_heap_stats(l->heap)->heap_released == 0)
		return 0;
	r = gs_residency_read(l->target, &slow, err);
	if (r < 0)
		return r;
	gs_residency_free(l->residency);
	l->residency = slow;
	return 0;
}

static int read_live(struct gs_memory_look *l, struct gs_err *err)
{
	struct kernel_read k = { .target = l->target };
	pthread_t thread;
	int r, failed = pthread_create(&thread, NULL, read_kernel, &k);

	if (failed)
		read_kernel(&k);
	r = read_runtime(l, err);
	if (!failed)
		pthread_join(thread, NULL);
	l->residency = k.residency;
	if (r < 0)
		return r;
	if (k.result < 0) {
		if (err)
			*err = k.err;
		return k.result;
	}
	r = read_lazy(l, err);
	if (r < 0)
		return r;
	l->vma = gs_residency_vmas(l->residency, &l->n_vmas);
	return 0;
}

static int read_core(struct gs_memory_look *l, struct gs_err *err)
{
	size_t n;
	const struct gs_map *m = gs_target_maps(l->target, &n);

	l->core_vma = (struct gs_vma *)gs_array_new(n ? n : 1, sizeof(*l->core_vma));
	if (!l->core_vma || n > UINT32_MAX)
		return gs_fail(err, -ENOMEM, 0, "no memory for %zu mappings", n);
	for (size_t i = 0; i < n; i++) {
		l->core_vma[i].map = m[i];
		l->core_vma[i].anon_name = "";
	}
	l->vma = l->core_vma;
	l->n_vmas = (uint32_t)n;
	return read_runtime(l, err);
}

static void fill_totals(struct gs_memory_look *l)
{
	const struct gs_residency_totals *t;

	l->r.process = &gs_rt_facts(l->rt)->process;
	l->r.incomplete = &l->inc;
	for (uint32_t i = 0; i < l->n_vmas; i++)
		l->r.virtual_bytes += l->vma[i].map.end - l->vma[i].map.start;
	if (!l->residency)
		return;
	t = gs_residency_totals(l->residency);
	l->r.rss_bytes = t->rss;
	l->r.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	l->r.status_rss_bytes = t->status_rss;
	l->r.swap_bytes = t->swap;
	l->r.cgroup_bytes = t->cgroup_current;
	l->r.cgroup_limit_bytes = t->cgroup_limit;
	for (uint32_t i = 0; i < l->n_vmas; i++)
		l->r.huge_bytes += l->vma[i].anon_huge + l->vma[i].file_huge;
}

static int read_numa(struct gs_memory_look *l, struct gs_err *err)
{
	struct gs_numa numa;
	int r;

	if (!l->options.numa || !l->r.kernel_view)
		return 0;
	r = gs_residency_numa(l->target, &numa, err);
	if (r < 0)
		return r;
	if (r == 0 && numa.n_nodes > 1) {
		_Static_assert(sizeof(numa.bytes) == sizeof(l->r.numa_bytes), "nodes");
		memcpy(l->r.numa_bytes, numa.bytes, sizeof(numa.bytes));
		l->r.n_numa = numa.n_nodes;
	}
	return 0;
}

int gs_memory_look(struct gs_target *t, struct gs_rt *rt, const struct gs_memory_options *o,
		   struct gs_memory_look **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_memory_look_freep)
	struct gs_memory_look *l = (struct gs_memory_look *)gs_array_new(1, sizeof(*l));
	int r;

	if (l)
		l->arena = gs_arena_new(RESULT_LIMIT);
	if (!l || !l->arena)
		return gs_fail(err, -ENOMEM, 0, "no memory for a look at the target's memory");
	l->target = t;
	l->rt = rt;
	l->options = *o;
	l->r.kernel_view = gs_target_kind(t) == GS_TARGET_PROCESS;
	r = l->r.kernel_view ? read_live(l, err) : read_core(l, err);
	if (r < 0)
		return r;
	fill_totals(l);
	r = gs__claims_make(l, err);
	if (r == 0)
		r = gs__claims_malloc(l, err);
	if (r == 0)
		r = gs__classes_count(l, err);
	if (r == 0)
		r = read_numa(l, err);
	if (r == 0)
		r = gs__scavenger(l, err);
	if (r < 0)
		return r;
	gs__items_finish(l);
	r = gs__verdict(l, err);
	if (r == 0)
		r = gs_target_alive(t, err);
	if (r < 0)
		return r;
	*ret = GS_TAKE(l);
	return 0;
}

struct gs_memory_look *gs_memory_look_free(struct gs_memory_look *l)
{
	if (!l)
		return NULL;
	gs_residency_free(l->residency);
	gs_rt_heap_free(l->heap);
	free(l->core_vma);
	free(l->stack);
	free(l->claims.v);
	free(l->items.v);
	free(l->items.slot);
	free(l->site);
	gs_arena_free(l->arena);
	free(l);
	return NULL;
}

const struct gs_mem_result *gs_memory_result(const struct gs_memory_look *l)
{
	return &l->r;
}
