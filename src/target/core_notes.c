/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Notes of a core file (fs/binfmt_elf.c, fill_note_info; gdb writes the same in gcore):
 *
 *   CORE  NT_PRSTATUS  per thread; the notes behind it, up to the next one, belong to that thread
 *           @32 tid   @112 registers (registers.c)
 *   CORE  NT_FPREGSET, LINUX NT_X86_XSTATE  per thread: vector registers
 *   CORE  NT_PRPSINFO  once: @24 pid, @40 command (16 bytes)
 *   CORE  NT_AUXV      once: the auxiliary vector
 *   CORE  NT_FILE      once: count, page size, count × { start, end, offset in pages }, then count
 *                      paths, each with a NUL
 *   LINUX NT_ARM_TLS   per thread: tpidr_el0
 *
 * The first thread is the one that died. Threads have no names here. A core made by QEMU's user
 * emulation has no NT_FILE.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "target/core_private.h"

#define PRSTATUS_TID 32
#define PRSTATUS_REGS 112
#define PRPSINFO_PID 24
#define PRPSINFO_FNAME 40

static bool window_u32(const struct gs_cursor *c, uint64_t off, uint32_t *ret)
{
	struct gs_cursor w;

	return gs_cursor_window(c, off, sizeof(*ret), &w, NULL) == 0 &&
	       gs_cursor_u32(&w, ret, NULL) == 0;
}

static int add_thread(struct gs_core *c, const struct gs_cursor *desc, struct gs_err *err)
{
	struct gs_thread *th;
	uint64_t size = gs_cursor_size(desc);
	struct gs_cursor set;
	uint32_t tid;

	if (!window_u32(desc, PRSTATUS_TID, &tid))
		return 0; // too short for a thread
	if (c->base.threads.n >= GS__MAX_THREADS)
		return gs_fail(err, -GS_E_LIMIT, 0, "%s: more than %d threads, our limit", c->name,
			       GS__MAX_THREADS);
	th = gs__threads_add(&c->base.threads);
	if (!th)
		return gs_fail(err, -ENOMEM, 0, "%s: no memory for its threads", c->name);
	th->tid = th->ns_tid = (int32_t)tid;
	th->has_regs = size > PRSTATUS_REGS &&
		       gs_cursor_window(desc, PRSTATUS_REGS, size - PRSTATUS_REGS, &set, NULL) ==
			       0 &&
		       gs__regs_general(c->base.arch, set, &th->regs);
	return 0;
}

static void read_psinfo(struct gs_core *c, const struct gs_cursor *desc)
{
	struct gs_cursor w;
	uint32_t pid;

	if (window_u32(desc, PRPSINFO_PID, &pid))
		c->base.id.pid = (pid_t)pid;
	if (gs_cursor_window(desc, PRPSINFO_FNAME, sizeof(c->command), &w, NULL) == 0 &&
	    gs_cursor_bytes(&w, c->command, sizeof(c->command), NULL) == 0)
		c->command[sizeof(c->command) - 1] = '\0';
}

/* The index of @path; entries of one file follow each other, so only the last one is compared. */
static struct gs__core_file *add_file(struct gs_core *c, const char *path, size_t len)
{
	struct gs__core_file *f = c->n_files ? &c->files[c->n_files - 1] : NULL;

	if (f && strlen(f->path) == len && memcmp(f->path, path, len) == 0)
		return f;
	f = &c->files[c->n_files];
	f->path = gs_arena_strndup(c->arena, path, len);
	f->fd = -1;
	if (!f->path)
		return NULL;
	c->n_files++;
	return f;
}

static int compare_ranges(const void *a, const void *b)
{
	gs_addr x = ((const struct gs__core_range *)a)->start,
		y = ((const struct gs__core_range *)b)->start;

	return (x > y) - (x < y);
}

void gs__core_sort_ranges(struct gs_core *c)
{
	size_t n = 0;

	if (c->n_ranges == 0)
		return;
	qsort(c->ranges, c->n_ranges, sizeof(c->ranges[0]), compare_ranges);
	for (size_t i = 0; i < c->n_ranges; i++) {
		if (n == 0 || c->ranges[i].start >= c->ranges[n - 1].end)
			c->ranges[n++] = c->ranges[i];
	}
	c->n_ranges = n;
}

/* One entry: @table stands at its numbers, @paths at its path. False ends the reading. */
static bool read_mapping(struct gs_core *c, struct gs_cursor *table, struct gs_cursor *paths,
			 uint64_t page)
{
	struct gs__core_range *range = &c->ranges[c->n_ranges];
	struct gs__core_file *f;
	const char *path;
	size_t len;

	if (gs_cursor_u64(table, &range->start, NULL) < 0 ||
	    gs_cursor_u64(table, &range->end, NULL) < 0 ||
	    gs_cursor_u64(table, &range->offset, NULL) < 0 ||
	    gs_cursor_string(paths, &path, &len, NULL) < 0)
		return false;
	if (range->start >= range->end ||
	    __builtin_mul_overflow(range->offset, page, &range->offset) ||
	    range->offset + (range->end - range->start) < range->offset)
		return true; // nonsense, leave it out
	f = add_file(c, path, len);
	if (!f)
		return false;
	if (range->offset == 0 && !f->base)
		f->base = range->start;
	range->file = (uint32_t)(f - c->files);
	c->n_ranges++;
	return true;
}

static int read_files(struct gs_core *c, struct gs_cursor desc, struct gs_err *err)
{
	struct gs_cursor table;
	uint64_t count, page;

	if (c->n_ranges || gs_cursor_u64(&desc, &count, NULL) < 0 ||
	    gs_cursor_u64(&desc, &page, NULL) < 0 || page == 0 || page > 1 << 24)
		return 0;
	if (count > GS__MAX_MAPS)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "%s: names %" PRIu64 " mapped files, our limit is %d", c->name,
			       count, GS__MAX_MAPS);
	if (count == 0 || gs_cursor_table(&desc, count, 24, &table, NULL) < 0)
		return 0;
	c->ranges = (struct gs__core_range *)gs_arena_array(c->arena, count, sizeof(c->ranges[0]));
	c->files = (struct gs__core_file *)gs_arena_array(c->arena, count, sizeof(c->files[0]));
	if (!c->ranges || !c->files)
		return gs_fail(err, -ENOMEM, 0, "%s: no memory for %" PRIu64 " mapped files",
			       c->name, count);
	while (count-- && read_mapping(c, &table, &desc, page))
		;
	gs__core_sort_ranges(c);
	return 0;
}

static int read_note(struct gs_core *c, const struct gs__elf_note *n, struct gs_err *err)
{
	struct gs__threads *threads = &c->base.threads;
	struct gs_cursor desc = n->desc;

	if (gs__elf_note_is(n, "CORE", NT_PRSTATUS))
		return add_thread(c, &desc, err);
	if (gs__elf_note_is(n, "CORE", NT_PRPSINFO))
		read_psinfo(c, &desc);
	else if (gs__elf_note_is(n, "CORE", NT_AUXV) && c->base.auxv.n == 0)
		gs__auxv_parse(desc.base, gs_cursor_size(&desc), &c->base.auxv);
	else if (gs__elf_note_is(n, "CORE", NT_FILE))
		return read_files(c, desc, err);
	else if (threads->n && (gs__elf_note_is(n, "CORE", NT_FPREGSET) ||
				gs__elf_note_is(n, "LINUX", NT_X86_XSTATE)))
		gs__regs_vector(c->base.arch, n->type, desc, &threads->v[threads->n - 1].regs);
	else if (gs__elf_note_is(n, "LINUX", NT_ARM_TLS) && threads->n &&
		 c->base.arch == GS_ARCH_ARM64)
		// Too short: the value stays 0, which means unknown.
		(void)!gs_cursor_u64(&desc, &threads->v[threads->n - 1].regs.tls, NULL);
	return 0;
}

int gs__core_notes(struct gs_core *c, struct gs_cursor notes, uint64_t align, struct gs_err *err)
{
	struct gs__elf_note n;

	while (gs__elf_note(&notes, align, &n, NULL) == 0) {
		int r = read_note(c, &n, err);

		if (r < 0)
			return r;
	}
	return 0;
}
