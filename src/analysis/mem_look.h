/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_MEM_LOOK_H
#define GS_ANALYSIS_MEM_LOOK_H

/*
 * Where resident memory goes (mem_look.c: one look; mem_classes.c: who owns which pages; mem_growth.c: between two
 * looks; mem_verdict.c: in plain words).
 */
#include "model/event.h"
#include "model/mem.h"
#include "runtime/rt_heap.h"
#include "target/residency.h"

struct gs_memory_look; /* one look at a moment */

struct gs_memory_options {
	bool numa;      /* also by NUMA node: walks all pages once more */
	bool sites;     /* also allocation sites of the memory profile */
	uint32_t items; /* at most so many items a class; 0: 20 */
};

/** Look at a live process or a core file (then without the kernel's view). */
GS_CHECKED int gs_memory_look(struct gs_target *t, struct gs_rt *rt,
			      const struct gs_memory_options *o, struct gs_memory_look **ret,
			      struct gs_err *err);
struct gs_memory_look *gs_memory_look_free(struct gs_memory_look *l);
GS_DEFINE_CLEANUP(struct gs_memory_look *, gs_memory_look_free)
/** The result with its verdict; borrowed from @l, and from @growth if that is given to gs_memory_compare(). */
const struct gs_mem_result *gs_memory_result(const struct gs_memory_look *l);

/* Who made memory grow, from events (GS_EV_MAP, GS_EV_SAMPLE of page faults, GS_EV_GAUGE). */
struct gs_memory_growth;
GS_CHECKED int gs_memory_growth_new(struct gs_event_source *s, struct gs_memory_growth **ret,
				    struct gs_err *err);
struct gs_memory_growth *gs_memory_growth_free(struct gs_memory_growth *g);
GS_DEFINE_CLEANUP(struct gs_memory_growth *, gs_memory_growth_free)
/** Bounded memory: beyond 65,536 stacks they are counted together. */
GS_CHECKED int gs_memory_growth_add(struct gs_memory_growth *g, const struct gs_event *e, size_t n,
				    struct gs_err *err);

/** Complete @after with what grew since @before and by whom (@growth NULL: only by differences of looks and of the memory
 *  profile). Both stay the caller's. */
GS_CHECKED int gs_memory_compare(struct gs_memory_look *before, struct gs_memory_look *after,
				 struct gs_memory_growth *growth, int64_t watched_ns,
				 struct gs_err *err);

/**
 * Whether stacks that are missing change the answer: more than a hundredth of what a kind of memory grew or shrank by was made, given
 * back or touched by nobody that is known.
 */
bool gs_memory_lacks_stacks(const struct gs_mem_result *r);

#endif
