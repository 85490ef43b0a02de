/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_HEAP_H
#define GS_RUNTIME_RT_HEAP_H

/*
 * The page heap of the Go runtime inside a target (runtime/mheap.go, mpagealloc.go, mstats.go, mgcpacer.go): which
 * span each page belongs to, which pages are free or returned, and the runtime's own counters. A snapshot: the
 * target runs on, so counters and pages may be of moments some milliseconds apart.
 *
 * Memory: 48 bytes a span and 4 bytes a page of 8 KiB, so about 70 MB for 10 GB of small objects.
 */
#include "runtime/rt.h"

#define GS_RT_PAGE 8192u          /* of the Go heap; not the kernel's */
#define GS_RT_ARENA (64ull << 20) /* linux, 64 bit */
#define GS_RT_NO_SPAN UINT32_MAX

/** Bytes of a slot by size class (internal/runtime/gc/sizeclasses.go; runtime/sizeclasses.go up to 1.25); the same in
 *  1.19 to 1.27. Larger objects, class 0, have whole pages. */
#define GS_RT_SIZE_CLASSES 68u
extern const uint16_t gs_rt_size_class[GS_RT_SIZE_CLASSES];

/* States of a span with pages (mSpanState). */
enum { GS_RT_SPAN_IN_USE = 1, GS_RT_SPAN_MANUAL = 2 };

enum {
	GS_RT_SPAN_NOSCAN = 1, /* objects without pointers */
	GS_RT_SPAN_STACK = 2,  /* MANUAL: goroutine stacks; otherwise GC work buffers */
	GS_RT_SPAN_USER_ARENA = 4,
	GS_RT_SPAN_LARGE = 8, /* one object */
	GS_RT_SPAN_HEAP_BITMAP =
		16, /* pointer bitmap at its end (1.22 and later, objects of at most 512 bytes) */
	GS_RT_SPAN_HEADERS =
		32, /* each object begins with a pointer to its type (1.22 and later) */
	GS_RT_SPAN_SPECIALS = 64, /* finalizers, cleanups, profile records … */
};

struct gs_rt_span {
	gs_addr start;
	gs_addr mspan;      /* the structure, for what is rarely asked */
	uint64_t elem_size; /* bytes of a slot; whole pages of a large object */
	uint32_t n_pages, n_elems;
	uint32_t alloc_count;  /* of the last sweep; spans in an mcache: when it took them */
	uint32_t free_index;   /* slots before it are allocated, or were freed by a later sweep */
	uint32_t first_object; /* number of its first slot among all slots of IN_USE spans */
	uint8_t spanclass, state, flags;
	uint8_t pad;
};

/** A run of free pages. None of them is in a span: what changed hands while it was read counts as the span's. */
struct gs_rt_free_range {
	gs_addr start;
	uint64_t bytes;
	bool returned; /* given back to the kernel (scavenged) */
	bool cached;   /* in a P's page cache */
};

/* What memory outside of the arenas the runtime keeps, by what it is for. */
enum gs_rt_meta_kind {
	GS_RT_META_ARENAS = 0, /* heapArena structures, allspans, arena index */
	GS_RT_META_PAGE_ALLOC, /* summaries, bitmaps, scavenge index */
	GS_RT_META_PERSISTENT, /* persistentalloc: mspan, mcache, specials, profile buckets, pollDesc, itabs */
	GS_RT_META_GC_BITS, /* mark and allocation bits of spans */
	GS_RT_META_PROFILE, /* hash table of profile buckets, where it is a mapping of its own */
	GS_RT_META_OTHER,
	GS_RT_META_KINDS
};
/** "arenas", "page_alloc", … */
const char *gs_rt_meta_kind_name(enum gs_rt_meta_kind k);

/** Address space that the runtime mapped for itself; sorted, not overlapping. */
struct gs_rt_meta_range {
	gs_addr start, end;
	enum gs_rt_meta_kind kind;
};

/** The runtime's counters. Bytes; those of runtime/metrics in its own words. */
struct gs_rt_memory_stats {
	/* memory/classes of runtime/metrics, computed as the runtime does (metrics.go) */
	uint64_t heap_free, heap_objects, heap_released, heap_stacks, heap_unused;
	uint64_t mcache_free, mcache_inuse, mspan_free, mspan_inuse, metadata_other;
	uint64_t os_stacks, other, profiling_buckets, total;
	/* pacer */
	uint64_t heap_live, heap_marked; /* marked: live at the end of the last GC */
	uint64_t heap_goal, mapped_ready, total_alloc, total_free;
	int32_t gc_percent;   /* -1: off */
	int64_t memory_limit; /* INT64_MAX: none */
	uint64_t work_buffers;
	uint64_t objects; /* allocated slots, tiny ones counted as the runtime does */
	/* scavenger */
	bool has_scavenger; /* the goals below are known */
	/* Pages in use and kept that the heap may have; what mapped_ready may be. UINT64_MAX: no goal. */
	uint64_t gc_percent_goal, memory_limit_goal;
	/* Bytes so far (with GODEBUG=scavtrace=1: in this cycle of the collector). UINT64_MAX: not known (before 1.21). */
	uint64_t released_background, released_eager;
	uint64_t physical_huge_page; /* 0: none */
	bool madv_free;              /* GODEBUG=madvdontneed=0 */
	bool enable_gc;
	uint32_t gc_count, gc_forced;
	int64_t last_gc_unix_ns; /* 0: none yet */
};

struct gs_rt_heap;

/**
 * Read the page heap and the counters.
 * @return 0; -GS_E_UNSUPPORTED if mheap_ is not known or does not prove itself on live data; -GS_E_LIMIT.
 * What could not be read (pages, spans) is counted in @inc.
 * Cost to the target: reads only; about 10 ms per GB of small spans.
 */
GS_CHECKED int gs_rt_heap_read(struct gs_rt *rt, struct gs_rt_heap **ret,
			       struct gs_incomplete_list *inc, struct gs_err *err);
struct gs_rt_heap *gs_rt_heap_free(struct gs_rt_heap *h);
GS_DEFINE_CLEANUP(struct gs_rt_heap *, gs_rt_heap_free)

/** All sorted by address; borrowed. */
const struct gs_rt_span *gs_rt_heap_spans(const struct gs_rt_heap *h, uint32_t *ret_n);
const struct gs_rt_free_range *gs_rt_heap_free_ranges(const struct gs_rt_heap *h, uint32_t *ret_n);
const gs_addr *gs_rt_heap_arenas(const struct gs_rt_heap *h, uint32_t *ret_n);
const struct gs_rt_meta_range *gs_rt_heap_meta(const struct gs_rt_heap *h, uint32_t *ret_n);
const struct gs_rt_memory_stats *gs_rt_heap_stats(const struct gs_rt_heap *h);
/** The heapArena structure of the arena that contains @addr; 0 if there is none. */
gs_addr gs_rt_heap_arena_info(const struct gs_rt_heap *h, gs_addr addr);
/** Where fields of the target's release are; borrowed. */
const struct gs_go_layout *gs_rt_heap_layout(const struct gs_rt_heap *h);
/** Slots of all IN_USE spans together: numbers of objects are below it. UINT32_MAX: there are more than can be
 *  numbered (hundreds of GB of heap), and the last spans' first_object is UINT32_MAX; nothing can be marked then. */
uint32_t gs_rt_heap_slots(const struct gs_rt_heap *h);

/* The index behind gs_rt_heap_find(), public so that marking can inline it. */
struct gs_rt_page_index {
	uint64_t first_arena; /* number of the arena that arena[0] is */
	uint32_t n_arenas;    /* in the table, gaps included */
	const uint32_t *const
		*arena; /* [n_arenas]: 8192 span numbers each (GS_RT_NO_SPAN: none), or NULL */
	uint64_t
		arena_base; /* to add to an address before dividing by GS_RT_ARENA (arenaBaseOffset) */
	const struct gs_rt_span *span;
};
const struct gs_rt_page_index *gs_rt_heap_index(const struct gs_rt_heap *h);

/** The IN_USE or MANUAL span that contains @addr, or NULL. */
static inline const struct gs_rt_span *gs_rt_heap_find(const struct gs_rt_page_index *x,
						       gs_addr addr)
{
	uint64_t at = addr + x->arena_base, a = at / GS_RT_ARENA - x->first_arena;
	uint32_t i;

	if (a >= x->n_arenas || !x->arena[a])
		return NULL;
	i = x->arena[a][at % GS_RT_ARENA / GS_RT_PAGE];
	return i == GS_RT_NO_SPAN ? NULL : &x->span[i];
}

/** Whose the page at @addr is now, whatever was read before (runtime/mheap.go, spanOf). *ret has no objects counted.
 *  @return 1: *ret is the span that contains it; 0: it is free; -1: not known (no arena, or unreadable). */
GS_CHECKED int gs_rt_heap_ask(const struct gs_rt_heap *h, gs_addr addr, struct gs_rt_span *ret);

/** An allocation site of the runtime's memory profile (runtime.mbuckets; mprof.go). */
struct gs_rt_mem_record {
	const struct gs_stack *stack; /* lives as long as the gs_rt */
	uint64_t object_size;
	uint64_t allocs, frees;           /* sampled, as of the last finished cycle */
	uint64_t alloc_bytes, free_bytes; /* sampled */
};
/**
 * Visit the memory profile. Samples are not scaled; @ret_rate is MemProfileRate (0: sampling is off).
 * @return 0; 1: the program keeps no memory profile (never reaches runtime.MemProfile, or the list is not found);
 *         what @visit returned.
 */
GS_CHECKED int gs_rt_mem_profile(struct gs_rt *rt,
				 int (*visit)(void *ctx, const struct gs_rt_mem_record *r),
				 void *ctx, uint64_t *ret_rate, struct gs_incomplete_list *inc,
				 struct gs_err *err);

/** An object that the memory profile sampled (specialprofile in runtime/mheap.go). */
struct gs_rt_sample {
	const struct gs_rt_span *span;
	uint64_t offset; /* of the object in the span; not checked */
	gs_addr bucket;  /* for gs_rt_sample_stack() */
};
typedef int gs_rt_samples_fn(void *ctx, const struct gs_rt_sample *s);
/** Visit all of them. @return 0, or what @visit returned. */
GS_CHECKED int gs_rt_samples(struct gs_rt *rt, const struct gs_rt_heap *h, gs_rt_samples_fn *visit,
			     void *ctx, struct gs_err *err);
/**
 * Where the objects of a bucket were allocated: the first @max return addresses of its stack, as the runtime keeps them,
 * innermost first. How many functions of the runtime are left out at the top differs by release (skip in
 * mProf_Malloc). Of code that was inlined there are addresses that nothing returns to (tracebackPCs).
 * @return 0; *ret_n 0 if it is no bucket of the memory profile.
 */
GS_CHECKED int gs_rt_sample_stack(struct gs_rt *rt, gs_addr bucket, gs_addr *ret, uint32_t max,
				  uint32_t *ret_n, struct gs_err *err);

/** The Go modules loaded: the executable first, then plugins. */
struct gs_rt_module {
	gs_addr text, etext, noptrdata, enoptrdata, data, edata, bss, ebss, noptrbss, enoptrbss;
	gs_addr types, etypes, rodata, gofunc, pclntab, pclntab_end;
	bool has_main, bad; /* bad: refused by plugin.Open, yet mapped for ever */
	const char *path;   /* pluginpath; "" for the executable */
};
GS_CHECKED int gs_rt_modules(struct gs_rt *rt, const struct gs_rt_module **ret, uint32_t *ret_n,
			     struct gs_err *err);

#endif
