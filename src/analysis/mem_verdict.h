/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_MEM_VERDICT_H
#define GS_ANALYSIS_MEM_VERDICT_H

/* What the files of the verdict share: mem_verdict.c (of one look), mem_verdict_growth.c (of two). */
#include "analysis/mem_private.h"

#define GS__VERDICTS_MAX 24u
#define GS__WORTH (4ull << 20) /* less has no sentence of its own */

struct gs__verdicts {
	struct gs_memory_look *l;
	const struct gs_mem_result *r;
	struct gs_mem_verdict v[GS__VERDICTS_MAX];
	uint32_t n, n_first; /* the first ones stay in front */
	uint64_t whole;      /* what parts are parts of */
	bool no_memory;
};

/* Room for the sizes of one sentence. */
struct gs__sizes {
	char text[8][32];
	unsigned int n;
};

/** "64 MiB", in @s. */
const char *gs__size(struct gs__sizes *s, uint64_t bytes);
/** Add a sentence; @advice is borrowed. NULL: there are enough, or no memory. */
struct gs_mem_verdict *gs__say(struct gs__verdicts *w, enum gs_mem_class_id class, int64_t bytes,
			       const char *advice, const char *fmt, ...) GS_PRINTF(5, 6);
/** Who grew, who gave back. */
void gs__verdict_growth(struct gs__verdicts *w);

#endif
