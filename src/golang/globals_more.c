/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Where the globals lie that only memory and leaks need: found as in globals.c, by symbol or by the code of functions
 * that refer to them. Measured over Go 1.19 to 1.27 × {default, pie, static PIE, cgo, noopt} on amd64 and {default,
 * pie, noopt} on arm64: 64 builds. tests/live/globals_matrix.py measures it again.
 *
 * debug.madvdontneed is a field of a structure without a name, so its offset is not in the tables; code refers to it
 * directly.
 */
#include "golang/globals_internal.h"

struct anchor {
	enum gs_go_more_global global;
	uint8_t nth;         /* data reference of @function, from 1 */
	uint8_t plus;        /* the reference is so far into the global */
	uint8_t first, last; /* minor releases; 0: all */
	const char *function;
	enum gs_arch arch; /* 0: all */
};

/* In order of preference; builds out of 64. Every program has these functions, early in its table. */
static const struct anchor anchors[] = {
	{ GS_GO_MORE_SEMTABLE, 1, 0, 0, 0, "runtime.semrelease1" }, /* 62 */
	{ GS_GO_MORE_SEMTABLE, 2, 0, 0, 0, "runtime.semrelease1" }, /* 2: 1.19 on arm64 */
	/* Without optimisation it first sees to its locks; otherwise there is no 3rd. Together 64 */
	{ GS_GO_MORE_MBUCKETS, 3, 0, 0, 0, "runtime.mProf_FlushLocked" },
	{ GS_GO_MORE_MBUCKETS, 1, 0, 0, 0, "runtime.mProf_FlushLocked" },
	/* Inlined but in noopt. Together 64 */
	{ GS_GO_MORE_MEM_PROFILE_RATE, 1, 0, 0, 0, "runtime.nextSample" },
	{ GS_GO_MORE_MEM_PROFILE_RATE, 2, 0, 0, 0, "runtime.profilealloc" },
	/* All, if the release is right: globalAlloc.base, at other places, looks just the same. */
	{ GS_GO_MORE_PERSISTENT_CHUNKS, 8, 0, 0, 24, "runtime.persistentalloc1" },
	{ GS_GO_MORE_PERSISTENT_CHUNKS, 10, 0, 25, 0, "runtime.persistentalloc1" },
	{ GS_GO_MORE_SCAVENGE, 11, 0, 0, 0, "runtime.gcPaceScavenger" },        /* 64 */
	{ GS_GO_MORE_WORK, 1, 0, 0, 0, "runtime.trygetfull" },                  /* 64 */
	{ GS_GO_MORE_WORK, 1, 0, 0, 0, "runtime.putfull" },                     /* 64 */
	{ GS_GO_MORE_GC_BITS_ARENAS, 1, 8, 0, 0, "runtime.newArenaMayUnlock" }, /* 64 */
	{ GS_GO_MORE_GC_BITS_ARENAS, 1, 16, 0, 0, "runtime.newMarkBits" },      /* 64 */
	{ GS_GO_MORE_BUCKHASH, 1, 0, 0, 0, "runtime.stkbucket" },               /* 64 */
	{ GS_GO_MORE_PHYS_HUGE_PAGE, 1, 0, 0, 0, "runtime.sysHugePageOS" },     /* 64 */
	/* Up to 1.20 huge pages are seen to first; all, if the release is right. */
	{ GS_GO_MORE_MADVDONTNEED, 4, 0, 0, 20, "runtime.sysUnusedOS" },
	{ GS_GO_MORE_MADVDONTNEED, 6, 0, 0, 20, "runtime.sysUnusedOS" }, /* noopt */
	{ GS_GO_MORE_MADVDONTNEED, 3, 0, 21, 0, "runtime.sysUnusedOS" },
	{ GS_GO_MORE_ALLFIN, 7, 0, 25, 0, "runtime.queuefinalizer" },
	/* Before that, finc is read once more on arm64; allfin is followed by parts of work. */
	{ GS_GO_MORE_ALLFIN, 7, 0, 0, 24, "runtime.markroot" },
	{ GS_GO_MORE_ALLFIN, 5, 0, 0, 24, "runtime.markroot" }, /* noopt */
	/* The first is of optimised builds; in others that is a part of work, not at a multiple of 8. */
	{ GS_GO_MORE_CLEANUP_BLOCKS, 8, 0, 25, 0, "runtime.markroot", GS_ARCH_AMD64 },
	{ GS_GO_MORE_CLEANUP_BLOCKS, 6, 0, 25, 0, "runtime.markroot", GS_ARCH_AMD64 },
	{ GS_GO_MORE_CLEANUP_BLOCKS, 8, 0, 25, 26, "runtime.markroot", GS_ARCH_ARM64 },
	{ GS_GO_MORE_CLEANUP_BLOCKS, 6, 0, 25, 0, "runtime.markroot", GS_ARCH_ARM64 },
	{ GS_GO_MORE_CLEANUP_BLOCKS, 4, 0, 27, 0, "runtime.markroot", GS_ARCH_ARM64 },
	/* The scheduler asks for it. It stands in traceReader where that is optimised. Together all */
	{ GS_GO_MORE_TRACE, 1, 104, 19, 19, "runtime.traceReaderAvailable" },
	{ GS_GO_MORE_TRACE, 1, 104, 19, 19, "runtime.traceReader" },
	{ GS_GO_MORE_TRACE, 1, 96, 21, 21, "runtime.traceReaderAvailable" },
	{ GS_GO_MORE_TRACE, 1, 96, 21, 21, "runtime.traceReader" },
	{ GS_GO_MORE_TRACE, 1, 72, 22, 0, "runtime.traceReaderAvailable" },
	{ GS_GO_MORE_TRACE, 1, 72, 22, 0, "runtime.traceReader" },
};

static const char *const names[GS_GO_MORE_COUNT] = {
	[GS_GO_MORE_SEMTABLE] = "semtable",
	[GS_GO_MORE_MBUCKETS] = "mbuckets",
	[GS_GO_MORE_MEM_PROFILE_RATE] = "MemProfileRate",
	[GS_GO_MORE_PERSISTENT_CHUNKS] = "persistentChunks",
	[GS_GO_MORE_SCAVENGE] = "scavenge",
	[GS_GO_MORE_WORK] = "work",
	[GS_GO_MORE_GC_BITS_ARENAS] = "gcBitsArenas",
	[GS_GO_MORE_BUCKHASH] = "buckhash",
	[GS_GO_MORE_PHYS_HUGE_PAGE] = "physHugePageSize",
	[GS_GO_MORE_MADVDONTNEED] = "debug.madvdontneed",
	[GS_GO_MORE_ALLFIN] = "allfin",
	[GS_GO_MORE_CLEANUP_BLOCKS] = "gcCleanups.all",
	[GS_GO_MORE_TRACE] = "trace",
};

const char *gs_go_more_global_name(enum gs_go_more_global g)
{
	return (unsigned int)g < GS_GO_MORE_COUNT ? names[g] : "?";
}

struct finder {
	const struct gs_go_layout *layout;
	const struct gs_memory *mem;
	struct gs_go_more_globals *ret;
	struct gs_err *err;
	struct gs__go_anchors code;
};

static bool wanted(const struct finder *f, enum gs_go_more_global g)
{
	return f->mem ? !f->ret->checked[g] : !f->ret->addr[g];
}

/* Believe @addr if live data allows it, or if there is none. @return 1, 0, or negative if the target is gone */
static int propose(struct finder *f, enum gs_go_more_global g, gs_addr addr,
		   enum gs_go_global_how how, const char *anchor)
{
	int r = 1;

	if (f->mem) {
		r = gs__go_more_global_check(f->mem, f->layout, g, addr, f->err);
		if (r <= 0)
			return r;
		f->ret->checked[g] = true;
	}
	f->ret->addr[g] = addr;
	f->ret->how[g] = how;
	f->ret->anchor[g] = anchor;
	return r;
}

static int by_symbols(struct finder *f)
{
	struct gs__go_symbols w = { .names = names,
				    .n = GS_GO_MORE_COUNT,
				    .n_left = GS_GO_MORE_COUNT - 2, /* fields have none */
				    .bias = f->code.bias,
				    .addr = f->ret->addr,
				    .how = f->ret->how };
	int r = gs__go_symbols_find(f->code.img, &w, f->err);

	for (int g = 0; r >= 0 && g < GS_GO_MORE_COUNT && f->mem; g++) {
		if (f->ret->addr[g])
			r = propose(f, (enum gs_go_more_global)g, f->ret->addr[g], GS_GO_HOW_SYMBOL,
				    NULL);
	}
	return r < 0 ? r : 0;
}

static bool of_build(const struct anchor *a, const struct gs_go_layout *l)
{
	return l->minor >= a->first && (a->last == 0 || l->minor <= a->last) &&
	       (a->arch == 0 || a->arch == l->arch);
}

static int try_anchor(struct finder *f, const struct anchor *a)
{
	unsigned int align = a->global == GS_GO_MORE_MADVDONTNEED ? 4 : 8;
	struct gs__go_code code;
	gs_addr addr;

	/* physHugePageSize, for one, is read again in 1.19 without optimisation. */
	if (!gs__go_anchor_ref(&f->code, a->function, a->nth, &code, &addr))
		return 0;
	addr -= a->plus;
	if (!gs__go_anchor_in_data(&f->code, addr, align))
		return 0;
	return propose(f, a->global, addr, GS_GO_HOW_CODE, a->function);
}

static int by_code(struct finder *f)
{
	int r;

	for (size_t i = 0; i < GS_ARRAY_SIZE(anchors); i++)
		if (of_build(&anchors[i], f->layout) && wanted(f, anchors[i].global))
			gs__go_anchor_want(&f->code, anchors[i].function);
	r = gs__go_anchor_look_up(&f->code, f->err);
	for (size_t i = 0; r >= 0 && i < GS_ARRAY_SIZE(anchors); i++)
		if (of_build(&anchors[i], f->layout) && wanted(f, anchors[i].global))
			r = try_anchor(f, &anchors[i]);
	return r < 0 ? r : 0;
}

int gs_go_globals_find_more(const struct gs_image *img, const struct gs_go_pclntab *tab,
			    const struct gs_go_layout *layout, const struct gs_memory *mem,
			    uint64_t bias, struct gs_go_more_globals *ret, struct gs_err *err)
{
	struct gs_go_more_globals found = { 0 };
	struct finder f = {
		.layout = layout,
		.mem = mem,
		.ret = &found,
		.err = err,
		.code = { .img = img, .tab = tab, .bias = bias },
	};
	int r = by_symbols(&f);

	if (r == 0)
		r = by_code(&f);
	if (r == 0)
		*ret = found;
	return r;
}
