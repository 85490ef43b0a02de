/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_GATHER_H
#define GS_RUNTIME_RT_GATHER_H

/*
 * Reads many small pieces of target memory at once: sorted by address, neighbours in one read. g structures,
 * sudogs and stacks lie side by side in spans, so this is what makes reading them fast.
 */
#include <gosonde/err.h>
#include <gosonde/types.h>

#include "base/memory.h"

#define GS__G_GAP 512u      /* read over holes of this size rather than in two pieces */
#define GS__STACK_GAP 2048u /* of the same between stacks */

struct gs__piece {
	gs_addr addr;
	uint32_t len, tag;    /* @tag: the caller's */
	const uint8_t *bytes; /* out: NULL if they cannot be read; good until the next gather */
};

/** Buffers that grow; all zero to begin with. */
struct gs__gather {
	uint8_t *bytes;
	size_t cap;
	struct gs_read *read;
	uint32_t *run_of;
	uint32_t n_cap;
};
void gs__gather_free(struct gs__gather *b);

/**
 * Read @piece[0..n), which is sorted in place. Pieces at most @gap bytes apart are read as one.
 * @return 0 also when pieces could not be read; negative when the target is gone or memory is out.
 */
GS_CHECKED int gs__gather(const struct gs_memory *mem, struct gs__gather *b,
			  struct gs__piece *piece, uint32_t n, uint32_t gap, struct gs_err *err);

#endif
