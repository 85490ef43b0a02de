/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Which pages are present.
 *
 * Linux 6.7 and later: PAGEMAP_SCAN, an ioctl on /proc/PID/pagemap (fs/proc/task_mmu.c, do_pagemap_scan), answers
 * with runs of pages of equal categories: 10 GB in some 30 ms. Zero pages are a category, so they can be left out
 * as smaps does.
 *
 * Before: pagemap itself, eight bytes a page (Documentation/admin-guide/mm/pagemap.rst). Bit 63 present, 61 file or
 * shared, 56 mapped by nobody else. A zero page belongs to no file and is never "mapped by nobody else"; so is an
 * anonymous page shared with a child after fork, and only the page's number could tell them apart. That is shown
 * to CAP_SYS_ADMIN alone: compared with the number of our own zero page.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "target/residency_private.h"

/* include/uapi/linux/fs.h, Linux 6.7; Debian 12's headers are older. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end;
	uint64_t vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct scan_region {
	uint64_t start, end, categories;
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
#define SCAN_PRESENT (1u << 3)
#define SCAN_SWAPPED (1u << 4)
#define SCAN_ZERO (1u << 5)
#define SCAN_HUGE (1u << 6)

#define REGIONS 1024 /* 24 KB of stack */
#define ENTRIES 8192
#define PM_PRESENT (1ull << 63)
#define PM_FILE (1ull << 61)
#define PM_EXCLUSIVE (1ull << 56)
#define PM_PFN ((1ull << 55) - 1)

int gs__pages_failed(int error, struct gs_err *err)
{
	if (error == EPERM || error == EACCES)
		return gs_fail(err, -GS_E_PERMISSION, 0,
			       "cannot read which pages are present: %s. Run as the target's user, "
			       "or with CAP_SYS_PTRACE",
			       strerror(error));
	if (error == ESRCH)
		return gs_fail(err, -GS_E_GONE, 0, "the target exited while its pages were read");
	return gs_fail(err, -error, 0, "cannot read which pages are present: %s", strerror(error));
}

/* Where the walk stopped, for there was no room for more regions. walk_end is not to be believed beyond that: it keeps where
 * the kernel's own buffer of 512 regions was full the last time, which was flushed and the walk went on. */
static gs_addr next_start(gs_addr start, const struct scan_arg *a, const struct scan_region *last)
{
	gs_addr at = a->walk_end > last->end ? a->walk_end : last->end;

	return at > start && at <= a->end ? at : a->end;
}

int gs__scan(int fd, gs_addr start, gs_addr end, bool swapped,
	     int (*visit)(void *ctx, const struct gs__scan_run *run), void *ctx, struct gs_err *err)
{
	struct scan_region v[REGIONS];
	bool first = true;

	while (start < end) {
		struct scan_arg a = {
			.size = sizeof(a),
			.start = start,
			.end = end,
			.vec = (uint64_t)(uintptr_t)v,
			.vec_len = REGIONS,
			.category_inverted = SCAN_ZERO,
			.category_mask = SCAN_ZERO,
			.category_anyof_mask = SCAN_PRESENT | (swapped ? SCAN_SWAPPED : 0),
			.return_mask = SCAN_PRESENT | SCAN_HUGE,
		};
		int n = ioctl(fd, SCAN_IOCTL, &a);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && first && (errno == ENOTTY || errno == EINVAL))
			return -ENOTTY;
		if (n < 0)
			return gs__pages_failed(errno, err);
		first = false;
		for (int i = 0; i < n; i++) {
			struct gs__scan_run run = { v[i].start, v[i].end,
						    (v[i].categories & SCAN_PRESENT) != 0,
						    (v[i].categories & SCAN_HUGE) != 0 };
			int r = visit(ctx, &run);

			if (r)
				return r;
		}
		start = n < REGIONS ? end : next_start(start, &a, &v[n - 1]);
	}
	return 0;
}

struct forward {
	int (*visit)(void *ctx, const struct gs_page_run *run);
	void *ctx;
};

static int forward_run(void *ctx, const struct gs__scan_run *s)
{
	struct forward *f = (struct forward *)ctx;
	struct gs_page_run run = { s->start, s->end, s->huge };

	return f->visit(f->ctx, &run);
}

int gs__pages_by_scan(int fd, gs_addr start, gs_addr end,
		      int (*visit)(void *ctx, const struct gs_page_run *run), void *ctx,
		      struct gs_err *err)
{
	struct forward f = { visit, ctx };

	return gs__scan(fd, start, end, false, forward_run, &f, err);
}

/* The number of the kernel's zero page, if we may see numbers; 0 if not. */
static uint64_t zero_page_number(void)
{
	GS_CLEANUP(gs_closep) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	volatile const uint8_t *p;
	uint64_t entry = 0;
	void *m;

	if (fd < 0)
		return 0;
	m = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return 0;
	p = (volatile const uint8_t *)m;
	(void)*p; // reading what was never written maps the zero page
	if (pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)m / page * sizeof(entry))) !=
	    (ssize_t)sizeof(entry))
		entry = 0;
	munmap(m, page);
	return entry & PM_PRESENT ? entry & PM_PFN : 0;
}

static bool is_resident(uint64_t entry, uint64_t zero)
{
	if (!(entry & PM_PRESENT))
		return false;
	if (zero && (entry & PM_PFN))
		return (entry & PM_PFN) != zero;
	return (entry & (PM_FILE | PM_EXCLUSIVE)) != 0;
}

int gs__pages_by_pagemap(int fd, gs_addr start, gs_addr end,
			 int (*visit)(void *ctx, const struct gs_page_run *run), void *ctx,
			 struct gs_err *err)
{
	GS_CLEANUP(gs_freep) uint64_t *v = (uint64_t *)gs_array_new(ENTRIES, sizeof(*v));
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), zero = zero_page_number();
	struct gs_page_run run = { 0 };
	int r;

	if (!v)
		return gs_fail(err, -ENOMEM, 0, "no memory for a list of pages");
	while (start < end) {
		uint64_t want = (end - start) / page < ENTRIES ? (end - start) / page : ENTRIES;
		ssize_t n = pread(fd, v, want * 8, (off_t)(start / page * 8));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return gs__pages_failed(errno, err);
		if (n < 8)
			break; // beyond the address space, or the target is gone
		for (size_t i = 0; i < (size_t)n / 8; i++, start += page) {
			if (!is_resident(v[i], zero))
				continue;
			if (run.end == start) {
				run.end += page;
				continue;
			}
			r = run.end ? visit(ctx, &run) : 0;
			if (r)
				return r;
			run = (struct gs_page_run){ start, start + page, false };
		}
	}
	return run.end ? visit(ctx, &run) : 0;
}

int gs_residency_pages(struct gs_target *t, gs_addr start, gs_addr end,
		       int (*visit)(void *ctx, const struct gs_page_run *run), void *ctx,
		       struct gs_err *err)
{
	const struct gs_process_target *p = (const struct gs_process_target *)t;
	GS_CLEANUP(gs_closep) int fd = -1;
	uint64_t mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;
	int r;

	if (gs_target_kind(t) != GS_TARGET_PROCESS)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "only a live process has pages that can be looked at");
	fd = openat(p->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return gs__process_cannot_open(p, "read the pages of", errno, err);
	start &= ~mask;
	end = end > UINT64_MAX - mask ? ~mask : (end + mask) & ~mask;
	if (start >= end)
		return 0;
	r = gs__pages_by_scan(fd, start, end, visit, ctx, err);
	return r == -ENOTTY ? gs__pages_by_pagemap(fd, start, end, visit, ctx, err) : r;
}
