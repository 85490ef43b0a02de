/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TARGET_RESIDENCY_PRIVATE_H
#define GS_TARGET_RESIDENCY_PRIVATE_H

/* What the files of the kernel's view share, and what its unit tests call with texts of their own. */
#include "target/process_private.h"
#include "target/residency.h"

enum {
	GS__MAX_LOADED = 16384, /* entries of the dynamic linker's lists together */
	GS__MAX_NAMESPACES = 16,
};

/** Takes a line without its newline; non-zero ends the reading and is returned. */
typedef int gs__line_fn(void *ctx, const char *line, size_t len);
/** Read a /proc file in pieces, however long it is. @return 0, a negative errno, or what @fn returned. */
GS_CHECKED int gs__each_line(int dir_fd, const char *name, gs__line_fn *fn, void *ctx);

/* smaps, or maps, while it is read. */
struct gs__smaps {
	struct gs_arena *arena;
	struct gs_vma *v;
	uint32_t n, cap;
	bool skip; /* the mapping at hand overlaps the one before: it changed while it was read */
};

struct gs_residency {
	struct gs__smaps smaps;
	struct gs_residency_totals totals;
	struct gs_page_run *run; /* of a quick reading, sorted */
	uint32_t n_runs, runs_cap;
	bool has_runs;
};
/** A line of smaps. @return 0, -ENOMEM, -EFBIG beyond GS__MAX_MAPS; -EBADMSG: not understood. */
GS_CHECKED int gs__smaps_line(struct gs__smaps *s, const char *line, size_t len);
void gs__smaps_deinit(struct gs__smaps *s);

/** Sum a line of numa_maps into @ret. */
void gs__numa_line(struct gs_numa *ret, const char *line, size_t len);

/** Values of the lines "Name:  123 kB" of /proc/PID/status that are asked for. */
void gs__status_parse(const char *text, struct gs_residency_totals *ret);

/**
 * Where the files of a cgroup's memory controller lie, of the texts of /proc/PID/cgroup and of our mountinfo.
 * @return 0; 1: no such controller; @ret_root_len: what of @ret is the mount point
 */
GS_CHECKED int gs__cgroup_dir(const char *cgroups, const char *mountinfo, bool v2, char *ret,
			      size_t size, size_t *ret_root_len);
/** Fill cgroup_current and cgroup_limit. */
void gs__cgroup_read(const struct gs_process_target *p, struct gs_residency_totals *ret);

/** Read /proc/PID/maps or smaps. */
GS_CHECKED int gs__smaps_read(const struct gs_process_target *p, const char *file,
			      struct gs__smaps *s, struct gs_err *err);
/** Sums over mappings, status and cgroup. */
void gs__totals_read(const struct gs_process_target *p, struct gs_residency *r);

/* A run of pages that are present or swapped out. */
struct gs__scan_run {
	gs_addr start, end;
	bool present, huge;
};
/** One call of PAGEMAP_SCAN over [start, end): runs that are present, no zero pages, or swapped out too. @return 0, or as
 *  gs_residency_pages(); -ENOTTY: the kernel has no such call */
GS_CHECKED int gs__scan(int fd, gs_addr start, gs_addr end, bool swapped,
			int (*visit)(void *ctx, const struct gs__scan_run *run), void *ctx,
			struct gs_err *err);
/** Message for an errno of pagemap. */
int gs__pages_failed(int error, struct gs_err *err);

/** gs_residency_pages() by PAGEMAP_SCAN. @return as that, or -ENOTTY: the kernel has no such call */
GS_CHECKED int gs__pages_by_scan(int fd, gs_addr start, gs_addr end,
				 int (*visit)(void *ctx, const struct gs_page_run *run), void *ctx,
				 struct gs_err *err);
/** The same by reading pagemap. */
GS_CHECKED int gs__pages_by_pagemap(int fd, gs_addr start, gs_addr end,
				    int (*visit)(void *ctx, const struct gs_page_run *run),
				    void *ctx, struct gs_err *err);

/** The lists of link_maps that begin at @r_debug. */
GS_CHECKED int gs__loaded_read(const struct gs_memory *m, gs_addr r_debug, struct gs_arena *arena,
			       struct gs_loaded_object **ret, uint32_t *ret_n, struct gs_err *err);

#endif
