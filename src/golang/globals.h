/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_GLOBALS_H
#define GS_GOLANG_GLOBALS_H

/*
 * Addresses of runtime globals. Order of methods: symbols; else the code of functions that refer to
 * them (Zydis on amd64, our own ADRP decoder on arm64), the anchor table lists which function and
 * which reference. Nothing is believed untested: gs_go_globals_check() proves each address on live
 * data and the next anchor is tried when one fails.
 */
#include <gosonde/err.h>
#include <gosonde/types.h>

#include "base/memory.h"
#include "golang/layout.h"
#include "golang/moduledata.h"
#include "golang/pclntab.h"
#include "image/image.h"

enum gs_go_global {
	GS_GO_GLOBAL_ALLGLEN,
	GS_GO_GLOBAL_ALLGPTR,
	GS_GO_GLOBAL_ALLGS,
	GS_GO_GLOBAL_ALLP,
	GS_GO_GLOBAL_ALLM,
	GS_GO_GLOBAL_SCHED,
	GS_GO_GLOBAL_MHEAP,
	GS_GO_GLOBAL_MEMSTATS,
	GS_GO_GLOBAL_FIRSTMODULEDATA,
	GS_GO_GLOBAL_MODULES_SLICE, /* runtime.modulesSlice: pointer to slice of *moduledata */
	GS_GO_GLOBAL_GC_CONTROLLER,
	GS_GO_GLOBAL_WAIT_REASONS, /* runtime.waitReasonStrings: array of Go strings */
	GS_GO_GLOBAL_COUNT
};

enum gs_go_global_how {
	GS_GO_HOW_NONE = 0,
	GS_GO_HOW_SYMBOL,
	GS_GO_HOW_CODE, /* data reference in the code of an anchor function */
	GS_GO_HOW_SCAN, /* moduledata search */
};

struct gs_go_globals {
	gs_addr addr[GS_GO_GLOBAL_COUNT]; /* runtime (biased) address, 0 if not found */
	enum gs_go_global_how how[GS_GO_GLOBAL_COUNT];
	const char *anchor[GS_GO_GLOBAL_COUNT]; /* the function it was found in, or NULL */
	bool checked[GS_GO_GLOBAL_COUNT];       /* proved on live data */
	uint32_t n_wait_reasons; /* entries of the array, from the bound check in the code */
};

/**
 * Find all globals of an image loaded at @bias (added to link-time addresses), and prove them on
 * @mem (NULL: file only, nothing is proved).
 * Reads at most a few KiB of target memory.
 *
 * @return 0 (individual globals may be missing: addr 0); negative only if the image is damaged or
 *         the target gone.
 */
GS_CHECKED int gs_go_globals_find(const struct gs_image *img, const struct gs_go_pclntab *tab,
				  const struct gs_go_layout *layout, const struct gs_memory *mem,
				  uint64_t bias, struct gs_go_globals *ret, struct gs_err *err);

/** "allglen", …, as named by the runtime. */
const char *gs_go_global_name(enum gs_go_global g);

/* Globals that only memory and leaks need. They are searched apart, when asked for, so that nobody else waits. */
enum gs_go_more_global {
	GS_GO_MORE_SEMTABLE,          /* [251] of semaRoot, each padded to cache lines */
	GS_GO_MORE_MBUCKETS,          /* pointer to the first bucket of the memory profile */
	GS_GO_MORE_MEM_PROFILE_RATE,  /* int */
	GS_GO_MORE_PERSISTENT_CHUNKS, /* pointer to the newest 256 KiB of persistentalloc */
	GS_GO_MORE_SCAVENGE,          /* uint64 gcPercentGoal, memoryLimitGoal */
	GS_GO_MORE_WORK,              /* workType */
	GS_GO_MORE_GC_BITS_ARENAS,    /* lock, then pointers free, next, current, previous */
	GS_GO_MORE_BUCKHASH,          /* pointer to [179999]*bucket */
	GS_GO_MORE_PHYS_HUGE_PAGE,    /* physHugePageSize, uintptr */
	GS_GO_MORE_MADVDONTNEED,      /* debug.madvdontneed, int32 */
	GS_GO_MORE_ALLFIN,            /* pointer to the first block of finalizers to be run */
	GS_GO_MORE_CLEANUP_BLOCKS,    /* gcCleanups.all: the same of cleanups; since 1.25 */
	GS_GO_MORE_TRACE, /* of the execution tracer, a structure without a name; not of 1.20 */
	GS_GO_MORE_COUNT
};

struct gs_go_more_globals {
	gs_addr addr[GS_GO_MORE_COUNT]; /* runtime (biased) address, 0 if not found */
	enum gs_go_global_how how[GS_GO_MORE_COUNT];
	const char *anchor[GS_GO_MORE_COUNT];
	bool checked
		[GS_GO_MORE_COUNT]; /* live data does not contradict; zeros prove little, but they also
					      say that there is nothing to read */
};

/**
 * Find these as gs_go_globals_find() does.
 * @return 0 (individual globals may be missing: addr 0); negative only if the image is damaged or the target gone.
 */
GS_CHECKED int gs_go_globals_find_more(const struct gs_image *img, const struct gs_go_pclntab *tab,
				       const struct gs_go_layout *layout,
				       const struct gs_memory *mem, uint64_t bias,
				       struct gs_go_more_globals *ret, struct gs_err *err);
/** "semtable", …; "debug.madvdontneed" and "gcCleanups.all" are fields. */
const char *gs_go_more_global_name(enum gs_go_more_global g);

#endif
