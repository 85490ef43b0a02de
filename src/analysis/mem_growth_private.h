/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_MEM_GROWTH_PRIVATE_H
#define GS_ANALYSIS_MEM_GROWTH_PRIVATE_H

/* What is kept of events while watching (mem_growth.c), for the answer at the end (mem_growers.c). */
#include "analysis/mem_growth.h"
#include "analysis/mem_ranges.h"
#include "base/arena.h"

enum {
	GS__DOERS_MAX = 1 << 16, /* slots of those who call */
	GS__TOUCHED_MAX = 1 << 16,
	GS__LOADERS_MAX = 256, /* threads that are in dlopen at once */
	GS__KERNEL_PAGE = 4096,
};

/* What a doer does: compared as pointers. */
extern const char gs__by_mmap[], gs__by_munmap[], gs__by_mremap[], gs__by_brk[], gs__by_madvise[],
	gs__by_dlopen[], gs__by_faults[];

/* A stack that does one thing. */
struct gs__doer {
	const char *what, *detail; /* as pointers, too; what NULL: an empty slot */
	uint64_t goid, calls, asked_bytes;
	gs_addr last; /* what it was asked for last */
	uint32_t stack;
	uint32_t growers; /* made of it */
};

/* A thread in dlopen: what it maps then is for the library. */
struct gs__loader {
	int32_t tid;
	uint32_t doer; /* 0: not any more */
};

/* First touches by a stack in a block. */
struct gs__touched {
	uint64_t block;
	gs_addr last;
	uint64_t goid, faults, events; /* events 0: an empty slot */
	uint32_t stack;
};

struct gs__call_numbers {
	int32_t mmap, munmap, mremap, madvise, brk;
};

struct gs_memory_growth {
	struct gs_event_source *source;
	const struct gs__call_numbers *call;
	struct gs__ranges made, returned; /* who: number of a doer + 1 */
	struct gs__doer *doer;            /* hash table */
	struct gs__touched *touched;
	struct gs__loader loader[GS__LOADERS_MAX];
	uint64_t at; /* of the event */
	uint32_t n_doers, n_touched, n_loaders;
	uint64_t dropped;       /* stacks and touches without a place */
	gs_addr brk;            /* the end of the C heap, 0: not seen yet */
	struct gs_arena *paths; /* of what was opened */
	struct gs_arena *arena; /* of the list of growers */
};

#endif
