/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_HEAP_META_H
#define GS_RUNTIME_RT_HEAP_META_H

/* Between rt_heap_meta.c and rt_heap_trace.c: memory that the runtime mapped for its own use. */
#include "runtime/rt_heap_private.h"

enum { GS__META_PAGE = 4096, GS__META_CHUNKS = 1 << 18 /* of a list, at most */ };

struct gs__meta {
	struct gs_rt_heap *h;
	struct gs_err *err;
};

/** [start, start + bytes) to whole pages; what cannot be is left out. */
GS_CHECKED int gs__meta_add(struct gs__meta *s, gs_addr start, uint64_t bytes,
			    enum gs_rt_meta_kind kind);
/** The word at @at; 0 if it cannot be read. */
uint64_t gs__meta_word(const struct gs__meta *s, gs_addr at);
/** A list of blocks that have the next one's address at @link. It may be damaged, so hops are counted. */
GS_CHECKED int gs__meta_list(struct gs__meta *s, gs_addr at, unsigned int link, uint64_t bytes,
			     enum gs_rt_meta_kind kind);

/** Buffers of the execution tracer. */
GS_CHECKED int gs__meta_trace(struct gs__meta *s);

#endif
