/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_HEAP_MARK_H
#define GS_ANALYSIS_HEAP_MARK_H

/*
 * Marks what can be reached in a Go heap, from outside. Words that the runtime calls pointers count (rt_heap_bits.h);
 * where that is not known, every word that points into an object. The heap is never copied: grey objects wait at their span, and spans
 * are read whole, in batches, when their turn comes, so the order follows memory and not pointers (the idea of
 * "Green Tea", the runtime's collector since Go 1.26).
 *
 * Memory: two bits a slot, a few words a span, fixed read buffers.
 */
#include "model/result.h"
#include "runtime/rt_heap.h"
#include "runtime/rt_roots.h"

struct gs_heap_mark;

/** @h and @mem are borrowed and outlive the result. */
GS_CHECKED int gs_heap_mark_new(const struct gs_rt_heap *h, const struct gs_memory *mem,
				struct gs_heap_mark **ret, struct gs_err *err);
struct gs_heap_mark *gs_heap_mark_free(struct gs_heap_mark *m);
GS_DEFINE_CLEANUP(struct gs_heap_mark *, gs_heap_mark_free)

/** Objects at these addresses can be marked, but are never looked into. Before the first drain. */
void gs_heap_mark_opaque(struct gs_heap_mark *m, const gs_addr *addr, uint32_t n);
/** Mark the objects that these words point into; what is no pointer into an object is ignored. */
void gs_heap_mark_roots(struct gs_heap_mark *m, const struct gs_rt_pointer *p, size_t n);
/** Follow all pointers until nothing is grey. */
GS_CHECKED int gs_heap_mark_drain(struct gs_heap_mark *m, struct gs_err *err);
/** Is the object that contains @addr marked? False for what is not in the heap: ask gs_rt_heap_find() first. */
bool gs_heap_marked(const struct gs_heap_mark *m, gs_addr addr);

struct gs_heap_mark_stats {
	uint64_t objects, bytes;  /* marked; bytes of their slots */
	uint64_t words, pointers; /* looked at; found to be pointers */
	uint64_t bytes_read, unreadable_bytes;
	uint64_t
		without_bits; /* objects whose words all counted, for nobody knows which are pointers */
	uint64_t memory_bytes; /* of the marker itself; mark bits counted apart */
	uint64_t mark_bits_bytes;
};
void gs_heap_mark_stats(const struct gs_heap_mark *m, struct gs_heap_mark_stats *ret);

/* --- walking with a visitor: slower, for those who want more than a mark --- */

/** An object that has its turn, with its bytes. Slots are numbered as gs_rt_span.first_object says. */
struct gs_heap_object {
	const struct gs_rt_span *span;
	gs_addr start;
	uint64_t size;     /* of the slot */
	uint32_t number;   /* of the slot */
	const void *bytes; /* @n_bytes from the start; NULL for noscan spans */
	uint64_t n_bytes;  /* large objects come in pieces: */
	uint64_t offset;   /* … this one begins here in the object */
	const uint64_t
		*pointer_bits; /* a bit for each word of @bytes: it is a pointer; NULL: not known */
};
/** Look at an object and make others grey with gs_heap_grey(). Non-zero ends the walk and is returned. */
typedef int gs_heap_visit_fn(void *ctx, const struct gs_heap_object *o);
/** Find the slot that @addr points into. @return false if it is no object. */
bool gs_heap_slot(const struct gs_heap_mark *m, gs_addr addr, uint32_t *ret_number,
		  gs_addr *ret_start, const struct gs_rt_span **ret_span);
/** Let the slot have its turn, again if it had one. @start as gs_heap_slot() gave it. */
void gs_heap_grey(struct gs_heap_mark *m, const struct gs_rt_span *span, gs_addr start);
GS_CHECKED int gs_heap_walk(struct gs_heap_mark *m, gs_heap_visit_fn *visit, void *ctx,
			    struct gs_err *err);

#endif
