/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_STACKMAP_H
#define GS_RUNTIME_RT_STACKMAP_H

/* Live pointers of a stack that stands still, by the compiler's stack maps. */
#include "runtime/rt_private.h"
#include "runtime/rt_roots.h"

#define GS__SINK_MAX 1024u

/** Collects pointers of one goroutine and hands them on in batches. */
struct gs__sink {
	gs_rt_stack_fn *visit;   /* NULL: nothing but frames is asked for */
	gs_rt_frames_fn *frames; /* NULL: they are not */
	void *ctx;
	uint32_t which;
	gs_addr stack_lo, stack_hi; /* of the goroutine: pointers to there are none to the heap */
	gs_addr lowest;             /* smaller words are no pointers */
	uint32_t n;
	struct gs_rt_pointer p[GS__SINK_MAX];
};

/** Hand on what is collected. @return what the visitor said. */
int gs__sink_flush(struct gs__sink *s);

static inline int gs__sink_add(struct gs__sink *s, gs_addr slot, gs_addr value)
{
	if (value < s->lowest)
		return 0;
	s->p[s->n++] = (struct gs_rt_pointer){ slot, value };
	return s->n == GS__SINK_MAX ? gs__sink_flush(s) : 0;
}

/** All words of @bytes that stand at @at. */
int gs__scan_words(struct gs__sink *s, gs_addr at, const uint8_t *bytes, size_t len);

/** A goroutine that stands still, and its stack from sp up. */
struct gs__scan_stack {
	const struct gs__g *g;
	gs_addr at;
	const uint8_t *bytes;
	uint32_t len;
	gs_addr ctxt, defers, panic; /* fields of g */
};

struct gs__scan; /* tables and buffers that are kept from stack to stack */

GS_CHECKED int gs__scan_new(struct gs_rt *rt, struct gs__scan **ret, struct gs_err *err);
struct gs__scan *gs__scan_free(struct gs__scan *s);
/** @return 0, a failure, or what the visitor said. */
int gs__scan_stack(struct gs__scan *s, const struct gs__scan_stack *in, struct gs__sink *out,
		   struct gs_err *err);
void gs__scan_count(const struct gs__scan *s, struct gs_incomplete_list *inc);

#endif
