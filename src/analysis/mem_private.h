/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_MEM_PRIVATE_H
#define GS_ANALYSIS_MEM_PRIVATE_H

/* What the files of a look at memory share (mem_look.c, mem_classes.c, mem_heap.c, mem_claims.c, mem_malloc.c,
 * mem_items.c, mem_sites.c, mem_verdict.c, mem_verdict_growth.c, mem_compare.c, mem_who.c, mem_scavenger.c). */
#include "analysis/mem_look.h"
#include "base/arena.h"

/* Stands for "a part of the Go heap": mem_heap.c divides it. */
#define GS__MEM_HEAP GS_MEM_CLASS_COUNT

/* Part of the address space whose owner is known by more than its mapping. */
struct gs__claim {
	gs_addr start, end;
	uint32_t item; /* number in the look's items + 1; 0: none */
	uint8_t class; /* or GS__MEM_HEAP */
	uint8_t rank;  /* where two overlap the lower number wins */
};
enum { RANK_HEAP = 0, RANK_RUNTIME, RANK_MODULE, RANK_THREAD, RANK_MALLOC };

struct gs__claims {
	struct gs__claim *v;
	uint32_t n, cap;
};
struct gs_memory_look;
/** A part of a mapping that nobody claims so far. */
typedef int gs__gap_fn(void *ctx, const struct gs_vma *v, gs_addr start, gs_addr end,
		       struct gs_err *err);
/** Visit such parts of private anonymous mappings that can be written. Claims have to be settled and stay as they are meanwhile. */
GS_CHECKED int gs__each_gap(struct gs_memory_look *l, gs__gap_fn *fn, void *ctx,
			    struct gs_err *err);

/** Add a claim; empty ones are left out. */
GS_CHECKED int gs__claim_add(struct gs__claims *c, gs_addr start, gs_addr end, unsigned int class,
			     unsigned int rank, uint32_t item, struct gs_err *err);
/** Sort; cut what overlaps. */
void gs__claims_settle(struct gs__claims *c);
/** First claim that ends behind @addr; c->n if none does. */
uint32_t gs__claims_from(const struct gs__claims *c, gs_addr addr);

struct gs__items {
	struct gs_mem_item *v;
	uint32_t *slot; /* hash table of numbers + 1 */
	uint32_t n, cap, n_slots;
	bool full;
	bool done; /* handed to the result: nothing is added any more */
};

struct gs__stack_range {
	gs_addr lo, hi;
};

/* An allocation site of the memory profile, scaled. */
struct gs__site {
	const struct gs_stack *stack;
	double objects, bytes; /* in use */
};

struct gs_memory_look {
	struct gs_target *target;
	struct gs_rt *rt;
	struct gs_memory_options options;
	struct gs_arena *arena; /* names, items, verdicts */
	struct gs_mem_result r;
	struct gs_incomplete_list inc;
	/* the kernel's */
	struct gs_residency *residency;
	const struct gs_vma *vma;
	uint32_t n_vmas;
	struct gs_vma *core_vma; /* of a core: made of its map, owned */
	/* the runtime's */
	struct gs_rt_heap *heap; /* NULL: not known */
	struct gs__stack_range *stack;
	uint32_t n_stacks;
	/* who owns what */
	struct gs__claims claims;
	struct gs__items items;
	const char *allocator; /* "possibly jemalloc's: …": note of anonymous memory; NULL */
	uint32_t heap_mappings;
	uint64_t heap_lazy_bytes;      /* LazyFree of mappings of the heap */
	uint64_t huge_advised_bytes;   /* of the heap: mappings with MADV_HUGEPAGE */
	uint64_t small_resident_bytes; /* of spans with several objects */
	struct gs__site *site;
	uint32_t n_sites, sites_cap;
	uint64_t profile_rate; /* 0: no profile */
};

/* ---- mem_items.c ---- */
/** Number + 1 of the item of @class called @name (copied) and with that @note (borrowed, or NULL); 0 if there are too many. */
uint32_t gs__item(struct gs_memory_look *l, enum gs_mem_class_id class, const char *name,
		  const char *note, gs_addr start);
void gs__item_count(struct gs_memory_look *l, uint32_t item, uint64_t bytes, uint64_t resident,
		    uint64_t huge);
/** One more of them. */
void gs__item_more(struct gs_memory_look *l, uint32_t item);
/** Sort them, keep the largest of each class, hand them to the result. */
void gs__items_finish(struct gs_memory_look *l);
/** "64 MiB", "8.2 KiB": in @buf. */
const char *gs__mem_size(uint64_t bytes, char *buf, size_t size);

/* ---- mem_claims.c ---- */
/** Arenas and tables of the runtime, the executable, libraries and plugins. */
GS_CHECKED int gs__claims_make(struct gs_memory_look *l, struct gs_err *err);
/** Class of a mapping, or of its part, that nobody claims. @ret_item: number + 1. */
enum gs_mem_class_id gs__vma_class(struct gs_memory_look *l, const struct gs_vma *v, gs_addr start,
				   gs_addr end, uint32_t *ret_item);

/* ---- mem_malloc.c ---- */
/** Find malloc's arenas and large blocks, and stacks of threads, in what is not claimed so far. */
GS_CHECKED int gs__claims_malloc(struct gs_memory_look *l, struct gs_err *err);

/* ---- mem_stacks.c ---- */
/** Stacks in use, sorted, not overlapping: of goroutines, and of threads as far as they lie in the heap. */
GS_CHECKED int gs__stacks_read(struct gs_memory_look *l, struct gs_err *err);

/* ---- mem_heap.c ---- */
struct gs__changed {
	gs_addr start, end;
};
/* Where resident bytes of the heap go while runs of pages come in the order of addresses. */
struct gs__heap_walk {
	struct gs_memory_look *l;
	const struct gs_rt_span *span;
	const struct gs_rt_free_range *free;
	uint32_t n_spans, n_free, at_span, at_free, at_stack;
	uint64_t span_resident, span_huge; /* of span[at_span], so far */
	uint64_t objects, objects_huge;    /* resident */
	uint64_t all_objects;              /* resident or not */
	struct gs__changed *changed;       /* present, but nobody's when the heap was read */
	uint32_t n_changed, changed_cap;
	uint64_t changed_bytes;
	uint64_t unused_by_class[256];
	uint64_t unused_bytes_by_class[256];
};
/** Count the address space of all classes of the heap; then resident parts in ascending order; then the end. */
void gs__heap_begin(struct gs__heap_walk *w, struct gs_memory_look *l);
void gs__heap_resident(struct gs__heap_walk *w, gs_addr start, gs_addr end, bool huge);
void gs__heap_end(struct gs__heap_walk *w);

/* ---- mem_classes.c ---- */
/** Divide all mappings. */
GS_CHECKED int gs__classes_count(struct gs_memory_look *l, struct gs_err *err);
/** gs_memory_view.class_at of a look. */
enum gs_mem_class_id gs__class_at(void *look, gs_addr addr, gs_addr *ret_end);
/** The mapping that @addr is in, or the first behind it; NULL if there is none. */
const struct gs_vma *gs__vma_from(const struct gs_memory_look *l, gs_addr addr);

/* ---- mem_sites.c ---- */
/** Allocation sites of the memory profile; into the result if they are asked for. */
GS_CHECKED int gs__sites_read(struct gs_memory_look *l, struct gs_err *err);
/** Sites that grew since @before, largest first; from @after's arena. */
GS_CHECKED int gs__sites_grown(const struct gs_memory_look *before, struct gs_memory_look *after,
			       struct gs_mem_grower **ret, uint32_t *ret_n, struct gs_err *err);

/* ---- mem_scavenger.c ---- */
/** The runtime's counters, and why the scavenger keeps what it keeps. */
GS_CHECKED int gs__scavenger(struct gs_memory_look *l, struct gs_err *err);

/* ---- mem_verdict.c ---- */
GS_CHECKED int gs__verdict(struct gs_memory_look *l, struct gs_err *err);

#endif
