/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TARGET_RESIDENCY_H
#define GS_TARGET_RESIDENCY_H

/*
 * The kernel's view of a live target's memory: /proc/PID/smaps, smaps_rollup, status, numa_maps, and which pages are
 * present (PAGEMAP_SCAN of Linux 6.7, else /proc/PID/pagemap). Each function walks page tables once.
 */
#include "target/target.h"

/* A mapping as smaps shows it. Bytes. */
struct gs_vma {
	struct gs_map map;
	uint64_t rss, pss, swap;
	uint64_t private_clean, private_dirty, shared_clean, shared_dirty;
	uint64_t anonymous; /* pages that belong to no file (any more) */
	uint64_t anon_huge; /* AnonHugePages: transparent huge pages */
	uint64_t file_huge; /* FilePmdMapped, ShmemPmdMapped */
	uint64_t lazy_free; /* given back with MADV_FREE, but not taken yet; part of rss */
	uint64_t hugetlb;   /* Private_Hugetlb + Shared_Hugetlb: not part of rss */
	uint64_t locked;
	bool huge_advised, no_huge, grows_down, dont_dump;
	const char *anon_name; /* "Go: heap" of "[anon: Go: heap]"; "" if none */
};

struct gs_residency;

struct gs_residency_totals {
	uint64_t rss, pss, swap, anon_huge, lazy_free, hugetlb; /* sums over mappings */
	uint64_t
		status_rss; /* VmRSS: what top and ps print; a counter that may be some pages off */
	uint64_t rss_anon, rss_file, rss_shmem, page_tables; /* of status */
	uint64_t virtual_bytes, peak_rss, status_hugetlb;
	uint64_t cgroup_current,
		cgroup_limit; /* memory.current and memory.max of its cgroup; 0: not known; UINT64_MAX: no limit */
};

/** Read smaps once. -GS_E_UNSUPPORTED for targets that are no live process. Strings borrowed from the result. */
GS_CHECKED int gs_residency_read(struct gs_target *t, struct gs_residency **ret,
				 struct gs_err *err);
/**
 * The same without smaps, whose walk takes some 70 ms per GB: mappings of /proc/PID/maps, their present, huge and
 * swapped bytes by PAGEMAP_SCAN (3 ms per GB). All other counters of mappings are 0. Remembers which pages were present.
 * @return 0; 1: not possible (kernel before 6.7), or not to be trusted (huge pages of hugetlbfs, or VmRSS
 *         disagrees): use gs_residency_read().
 */
GS_CHECKED int gs_residency_read_quick(struct gs_target *t, struct gs_residency **ret,
				       struct gs_err *err);
struct gs_residency *gs_residency_free(struct gs_residency *r);
GS_DEFINE_CLEANUP(struct gs_residency *, gs_residency_free)
const struct gs_vma *gs_residency_vmas(const struct gs_residency *r, uint32_t *ret_n);
const struct gs_residency_totals *gs_residency_totals(const struct gs_residency *r);

/** A run of pages that are present. */
struct gs_page_run {
	gs_addr start, end;
	bool huge; /* mapped by huge pages, as far as the kernel tells (PAGEMAP_SCAN) */
};
/**
 * Visit the present pages of [start, end) in order, zero pages left out where the kernel tells them apart. Non-zero
 * ends the visit and is returned. -GS_E_PERMISSION where pagemap may not be read.
 * Cost to the target: its mmap lock for reading, in pieces.
 */
GS_CHECKED int gs_residency_pages(struct gs_target *t, gs_addr start, gs_addr end,
				  int (*visit)(void *ctx, const struct gs_page_run *run), void *ctx,
				  struct gs_err *err);

/** Visit those that gs_residency_read_quick() has seen. @return 0, what @visit returned; 1 first of all: @r has none. */
GS_CHECKED int gs_residency_seen(const struct gs_residency *r, gs_addr start, gs_addr end,
				 int (*visit)(void *ctx, const struct gs_page_run *run), void *ctx);

#define GS_NUMA_NODES_MAX 64
struct gs_numa {
	uint64_t bytes[GS_NUMA_NODES_MAX]; /* resident, by node */
	uint32_t n_nodes;
};
/** Sums of numa_maps; walks all pages. @return 0; 1: the kernel has no NUMA. */
GS_CHECKED int gs_residency_numa(struct gs_target *t, struct gs_numa *ret, struct gs_err *err);

/** An object in the dynamic linker's list (r_debug, link_map). */
struct gs_loaded_object {
	gs_addr base, dynamic;
	const char *path; /* raw; "" for the executable */
};
/** The list, from the target's memory. @return 0; 1: no dynamic linker. Belongs to the target, valid until the next call. */
GS_CHECKED int gs_target_loaded_objects(struct gs_target *t, const struct gs_loaded_object **ret,
					uint32_t *ret_n, struct gs_err *err);

#endif
