/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_POINTER_BATCH_H
#define GS_RUNTIME_RT_POINTER_BATCH_H

/* Words that may be pointers, handed on by the thousand. */
#include "runtime/rt_private.h"
#include "runtime/rt_roots.h"

struct gs__pointer_batch {
	gs_rt_pointers_fn *visit;
	void *ctx;
	struct gs_rt_pointer p[1024];
	uint32_t n;
};

/** Hand on what is there. The results of all three are those of @visit. */
static inline int gs__pointers_flush(struct gs__pointer_batch *b)
{
	uint32_t n = b->n;

	b->n = 0;
	return n ? b->visit(b->ctx, b->p, n) : 0;
}

/** Add the word @value that stands at @slot, unless it points to the first page, where nothing ever is. */
static inline int gs__pointers_add(struct gs__pointer_batch *b, gs_addr slot, gs_addr value)
{
	if (value < 4096)
		return 0;
	b->p[b->n++] = (struct gs_rt_pointer){ slot, value };
	return b->n == GS_ARRAY_SIZE(b->p) ? gs__pointers_flush(b) : 0;
}

/** Add all words of @bytes, which stand at @at. */
static inline int gs__pointers_words(struct gs__pointer_batch *b, gs_addr at, const uint8_t *bytes,
				     size_t len)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i + 8 <= len; i += 8)
		r = gs__pointers_add(b, at + i, gs__u64(bytes + i));
	return r;
}

#endif
