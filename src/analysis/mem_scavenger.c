/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The runtime's own accounting in the words of runtime/metrics, and what its scavenger does (runtime/mgcscavenge.go).
 *
 * The background scavenger works, at 1 % of one CPU, while what the heap retains (in use + free, not returned) is above
 * one of two goals: for GOGC, what was in use at the last collection, scaled by the growth of the heap goal, + 10 %;
 * for GOMEMLIMIT, 95 % of the limit, against all memory of the runtime. The runtime stores "no goal" as soon as it is
 * below one, so a goal that is there means work to do, done or not. Since Go 1.21 it leaves alone the free pages of 4 MB
 * chunks that are more than 96 % in use, so as not to break huge pages.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "analysis/mem_private.h"

static void add_metrics(struct gs_mem_result *r, const struct gs_rt_memory_stats *s)
{
	const struct gs_mem_metric all[] = {
		{ "/memory/classes/heap/free:bytes", s->heap_free },
		{ "/memory/classes/heap/objects:bytes", s->heap_objects },
		{ "/memory/classes/heap/released:bytes", s->heap_released },
		{ "/memory/classes/heap/stacks:bytes", s->heap_stacks },
		{ "/memory/classes/heap/unused:bytes", s->heap_unused },
		{ "/memory/classes/metadata/mcache/free:bytes", s->mcache_free },
		{ "/memory/classes/metadata/mcache/inuse:bytes", s->mcache_inuse },
		{ "/memory/classes/metadata/mspan/free:bytes", s->mspan_free },
		{ "/memory/classes/metadata/mspan/inuse:bytes", s->mspan_inuse },
		{ "/memory/classes/metadata/other:bytes", s->metadata_other },
		{ "/memory/classes/os-stacks:bytes", s->os_stacks },
		{ "/memory/classes/other:bytes", s->other },
		{ "/memory/classes/profiling/buckets:bytes", s->profiling_buckets },
		{ "/memory/classes/total:bytes", s->total },
	};

	_Static_assert(GS_ARRAY_SIZE(all) <= GS_MEM_METRICS_MAX, "too many metrics");
	memcpy(r->metric, all, sizeof(all));
	r->n_metrics = GS_ARRAY_SIZE(all);
}

/* What it should have returned by its own goals. */
static uint64_t behind(const struct gs_rt_memory_stats *s)
{
	uint64_t retained = s->heap_objects + s->heap_unused + s->heap_free, most = 0;

	if (s->gc_percent_goal != UINT64_MAX && retained > s->gc_percent_goal)
		most = retained - s->gc_percent_goal;
	if (s->memory_limit_goal != UINT64_MAX && s->mapped_ready > s->memory_limit_goal &&
	    s->mapped_ready - s->memory_limit_goal > most)
		most = s->mapped_ready - s->memory_limit_goal;
	return most < s->heap_free ? most : s->heap_free;
}

static void explain(const struct gs_memory_look *l, const struct gs_rt_memory_stats *s, char *buf,
		    size_t size)
{
	const struct gs_mem_scavenger *sc = &l->r.scavenger;
	char a[32], b[32];
	const uint64_t little = 4u << 20;

	if (sc->retained_bytes < little) {
		snprintf(buf, size, "there is next to nothing to return");
	} else if (l->r.class[GS_MEM_HEAP_LAZY].resident_bytes > sc->retained_bytes / 2) {
		snprintf(buf, size,
			 "it returns pages with MADV_FREE (GODEBUG=madvdontneed=0): the kernel "
			 "takes them "
			 "when it needs memory, and until then they count");
	} else if (s->gc_count < 2) {
		snprintf(buf, size, "it returns nothing before the second collection, and there %s",
			 s->gc_count ? "was one" : "was none");
	} else if (sc->behind_bytes >= little && s->memory_limit_goal != UINT64_MAX) {
		snprintf(buf, size,
			 "the memory limit of %s is near, and %s above 95 %% of it are free",
			 gs__mem_size((uint64_t)s->memory_limit, a, sizeof(a)),
			 gs__mem_size(sc->behind_bytes, b, sizeof(b)));
	} else if (sc->behind_bytes >= little) {
		snprintf(buf, size,
			 "the heap is %s above the goal of %s; the scavenger runs in the "
			 "background with 1 %% of a CPU%s",
			 gs__mem_size(sc->behind_bytes, a, sizeof(a)),
			 gs__mem_size(s->gc_percent_goal, b, sizeof(b)),
			 gs_go_version_minor(l->r.process->go_version) >= 21
				 ? ", and leaves free pages between used ones alone"
				 : "");
	} else if (s->gc_percent < 0 && s->memory_limit == INT64_MAX) {
		snprintf(buf, size, "GC is off (GOGC=off), and so is its goal");
	} else {
		snprintf(buf, size,
			 "the GC percent goal keeps it: with GOGC=%d the heap may grow to %s "
			 "before the next "
			 "collection%s",
			 s->gc_percent, gs__mem_size(s->heap_goal, a, sizeof(a)),
			 s->memory_limit == INT64_MAX ? ", and there is no memory limit"
						      : ", and the memory limit is far");
	}
}

static int fill_scavenger(struct gs_memory_look *l, const struct gs_rt_memory_stats *s,
			  struct gs_err *err)
{
	struct gs_mem_scavenger *sc = &l->r.scavenger;
	char text[320];

	sc->known = s->has_scavenger;
	sc->gc_percent_goal_bytes = s->gc_percent_goal;
	sc->memory_limit_goal_bytes = s->memory_limit_goal;
	sc->goal_bytes = s->gc_percent_goal < s->memory_limit_goal ? s->gc_percent_goal
								   : s->memory_limit_goal;
	sc->released_background_bytes = s->released_background;
	sc->released_eager_bytes = s->released_eager;
	sc->retained_bytes = l->r.kernel_view ? l->r.class[GS_MEM_HEAP_FREE].resident_bytes +
							l->r.class[GS_MEM_HEAP_LAZY].resident_bytes
					      : l->r.class[GS_MEM_HEAP_FREE].bytes;
	sc->why = "";
	if (!sc->known)
		return 0;
	sc->behind_bytes = behind(s);
	explain(l, s, text, sizeof(text));
	sc->why = gs_arena_strndup(l->arena, text, strlen(text));
	return sc->why ? 0 : gs_fail(err, -GS_E_LIMIT, 0, "no memory for the result");
}

int gs__scavenger(struct gs_memory_look *l, struct gs_err *err)
{
	const struct gs_rt_memory_stats *s;
	struct timespec now;

	l->r.last_gc_ago_ns = -1;
	l->r.memory_limit_bytes = INT64_MAX;
	l->r.scavenger.why = "";
	if (!l->heap)
		return 0;
	s = gs_rt_heap_stats(l->heap);
	add_metrics(&l->r, s);
	l->r.heap_goal_bytes = s->heap_goal;
	l->r.gc_count = s->gc_count;
	l->r.gc_percent = s->gc_percent;
	l->r.memory_limit_bytes = s->memory_limit;
	if (s->last_gc_unix_ns > 0 && gs_target_kind(l->target) == GS_TARGET_PROCESS &&
	    clock_gettime(CLOCK_REALTIME, &now) == 0) {
		int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - s->last_gc_unix_ns;

		l->r.last_gc_ago_ns = ns > 0 ? ns : 0;
	}
	return fill_scavenger(l, s, err);
}
