/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * An ELF core file as a target.
 *
 *   ELF header  program headers  notes (threads, auxv, file names)  PT_LOAD contents …  [section 0]
 *
 * Each PT_LOAD is a mapping of the dead process: p_memsz bytes of memory, of which the first
 * p_filesz are in the core. What is not (untouched file mappings, the end of a cut core) is read
 * from the file that was mapped, if the mapping is not writable; see core_files.c. gdb's gcore has
 * no PT_LOAD at all for file mappings that were never written to. Pages of zeros are
 * holes in the file and read as zeros.
 *
 * The kernel also leaves out anonymous mappings that were never written to; they cannot be told from
 * those that the program asked to leave out (MADV_DONTDUMP), so they read as missing, not as zeros.
 *
 * With 65535 or more mappings e_phnum is PN_XNUM and section header 0, which the kernel puts at the
 * very end, has the number. If it is cut off, the number follows from where the notes begin, as they
 * come right behind the program headers.
 *
 * The file is mapped and watched, so one that shrinks meanwhile gives an error; nothing of it is
 * copied but names, so a core of 100 GB opens at once.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/search.h"
#include "base/sigbus.h"
#include "target/core_private.h"

#define SHDR_INFO 44 /* Elf64_Shdr.sh_info */

/* The first segment that ends behind @addr: it contains @addr, or a gap comes before it. */
static size_t segment_from(const struct gs_core *c, gs_addr addr)
{
	return GS_SEARCH(i, c->n_segments, c->segments[i].end > addr);
}

static const struct gs__core_segment *segment_at(const struct gs_core *c, gs_addr addr)
{
	size_t i = segment_from(c, addr);

	return i < c->n_segments && c->segments[i].start <= addr ? &c->segments[i] : NULL;
}

/* gdb leaves out segments of file mappings that were never written to; only NT_FILE has them. */
static bool read_gap(struct gs_core *c, gs_addr addr, void *dst, size_t len, size_t *done)
{
	size_t i = segment_from(c, addr);

	if (i < c->n_segments && len > c->segments[i].start - addr)
		len = c->segments[i].start - addr;
	return gs__core_backed(c, addr, dst, len, done);
}

/* Dumped bytes of one segment. */
static size_t copy_dumped(const struct gs_core *c, const struct gs__core_segment *s, gs_addr addr,
			  void *dst, size_t len)
{
	size_t n;

	if (addr >= s->dumped_end)
		return 0;
	n = len < s->dumped_end - addr ? len : s->dumped_end - addr;
	memcpy(dst, c->bytes + s->offset + (addr - s->start), n);
	return n;
}

size_t gs__core_dumped(const struct gs_core *c, gs_addr addr, void *dst, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const struct gs__core_segment *s = segment_at(c, addr + done);
		size_t n = s ? copy_dumped(c, s, addr + done, (uint8_t *)dst + done, len - done)
			     : 0;

		if (n == 0)
			break;
		done += n;
	}
	return done;
}

/* @hint: the segment of the last piece; batches are sorted by address more often than not. */
static int read_piece(struct gs_core *c, struct gs_read *rd, const struct gs__core_segment **hint)
{
	size_t done = 0;

	if (rd->len && rd->addr + (rd->len - 1) < rd->addr)
		return -GS_E_FAULT;
	while (done < rd->len) {
		gs_addr at = rd->addr + done;
		uint8_t *dst = (uint8_t *)rd->buf + done;
		const struct gs__core_segment *s = *hint;
		size_t n;

		if (!s || at < s->start || at >= s->end) {
			s = segment_at(c, at);
			if (!s && !read_gap(c, at, dst, rd->len - done, &n))
				return -GS_E_FAULT;
			if (!s) {
				done += n;
				continue;
			}
			*hint = s;
		}
		n = copy_dumped(c, s, at, dst, rd->len - done);
		if (n == 0) {
			size_t left = rd->len - done < s->end - at ? rd->len - done : s->end - at;

			if (s->flags & PF_W || !gs__core_backed(c, at, dst, left, &n))
				return -GS_E_FAULT;
		}
		done += n;
	}
	return 0;
}

static int check_whole(const struct gs_core *c, struct gs_err *err)
{
	if (!gs_sigbus_hit(c->watch))
		return 0;
	return gs_fail(err, -GS_E_GONE, 0,
		       "%s: was cut short or could not be read (I/O error) while "
		       "gosonde read it",
		       c->name);
}

static int core_readv(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct gs_core *c = (struct gs_core *)ctx;
	const struct gs__core_segment *hint = NULL;

	for (size_t i = 0; i < n; i++)
		reads[i].result = read_piece(c, &reads[i], &hint);
	return check_whole(c, err);
}

static int core_alive(const struct gs_target *t, struct gs_err *err)
{
	return check_whole((const struct gs_core *)t, err);
}

static void core_free(struct gs_target *t)
{
	struct gs_core *c = (struct gs_core *)t;

	for (size_t i = 0; i < c->n_files; i++) {
		if (c->files[i].fd != t->exe_fd)
			gs_closep(&c->files[i].fd);
	}
	gs__target_deinit(t);
	gs_sigbus_forget(c->watch);
	if (c->bytes)
		munmap((void *)c->bytes, c->size);
	gs_arena_free(c->arena);
	free(c->segments);
	free(c->name);
	free(c);
}

static const struct gs__target_ops core_ops = {
	.alive = core_alive,
	.free = core_free,
};

static struct gs_core *core_new(const char *name)
{
	struct gs_core *c = (struct gs_core *)gs_array_new(1, sizeof(*c));

	if (!c)
		return NULL;
	c->base.ops = &core_ops;
	c->base.kind = GS_TARGET_CORE;
	c->base.exe_fd = -1;
	c->base.memory = (struct gs_memory){ .readv = core_readv, .ctx = c };
	c->watch = -1;
	c->exe_file = UINT32_MAX;
	c->name = strdup(name);
	c->arena = gs_arena_new(GS__MAX_MAPS_BYTES);
	if (c->name && c->arena)
		return c;
	core_free(&c->base);
	return NULL;
}

static int map_file(struct gs_core *c, int fd, struct gs_err *err)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return gs_fail(err, -errno, 0, "%s: %s", c->name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return gs_fail(err, -GS_E_UNSUPPORTED, 0, "%s: is not a regular file", c->name);
	if (st.st_size == 0)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "%s: is empty", c->name);
	c->size = (size_t)st.st_size;
	c->mtime = st.st_mtime;
	p = mmap(NULL, c->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return gs_fail(err, -errno, 0, "%s: cannot map %zu bytes: %s", c->name, c->size,
			       strerror(errno));
	c->bytes = (const uint8_t *)p;
	c->watch = gs_sigbus_watch(p, c->size);
	if (c->watch < 0)
		return gs_fail(err, -GS_E_LIMIT, 0, "%s: too many files are open at once", c->name);
	c->file = gs_cursor_make(p, c->size, c->name);
	return 0;
}

static int check_head(struct gs_core *c, struct gs__elf_head *ret, struct gs_err *err)
{
	int r = gs__elf_head(&c->file, ret, err);

	if (r < 0)
		return r;
	if (ret->type != ET_CORE)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s: is an ELF file but not a core file. A running "
			       "program is named by its PID or =NAME",
			       c->name);
	if (!ret->is_64)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s: is the core of a 32-bit program; gosonde reads 64-bit ones",
			       c->name);
	if (ret->arch == GS_ARCH_UNKNOWN)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s: is a core of ELF machine %u; gosonde reads amd64 and arm64",
			       c->name, ret->machine);
	c->base.arch = ret->arch;
	return 0;
}

/* Put the real number of program headers into @h. */
static int resolve_phnum(const struct gs_core *c, struct gs__elf_head *h, struct gs_err *err)
{
	struct gs__peek_phdr first;
	struct gs_cursor w;
	uint32_t info;

	if (h->phnum == PN_XNUM) {
		if (h->shoff && h->shoff <= UINT64_MAX - SHDR_INFO &&
		    gs_cursor_window(&c->file, h->shoff + SHDR_INFO, 4, &w, NULL) == 0 &&
		    gs_cursor_u32(&w, &info, NULL) == 0)
			h->phnum = info;
		else if (gs__peek_phdr(&c->file, h, 0, &first, NULL) == 0 &&
			 first.offset > h->phoff)
			h->phnum = (first.offset - h->phoff) / h->phentsize;
	}
	if (h->phnum > GS__CORE_MAX_SEGMENTS)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "%s: has %" PRIu64 " program headers, our limit is %d", c->name,
			       h->phnum, GS__CORE_MAX_SEGMENTS);
	return 0;
}

static void add_segment(struct gs_core *c, const struct gs__peek_phdr *ph)
{
	struct gs__core_segment *s = &c->segments[c->n_segments];
	uint64_t want = ph->filesz < ph->memsz ? ph->filesz : ph->memsz, have = 0;

	if (ph->memsz == 0 || ph->vaddr + ph->memsz <= ph->vaddr)
		return; // empty, or wraps around: no memory of a process
	if (ph->offset < c->size)
		have = want < c->size - ph->offset ? want : c->size - ph->offset;
	if (want - have <= UINT64_MAX - c->base.missing_bytes)
		c->base.missing_bytes += want - have;
	*s = (struct gs__core_segment){ .start = ph->vaddr,
					.dumped_end = ph->vaddr + have,
					.end = ph->vaddr + ph->memsz,
					.offset = ph->offset,
					.flags = ph->flags };
	c->n_segments++;
}

static int compare_segments(const void *a, const void *b)
{
	gs_addr x = ((const struct gs__core_segment *)a)->start,
		y = ((const struct gs__core_segment *)b)->start;

	return (x > y) - (x < y);
}

static void sort_segments(struct gs_core *c)
{
	size_t n = 0;

	if (c->n_segments == 0)
		return;
	qsort(c->segments, c->n_segments, sizeof(c->segments[0]), compare_segments);
	for (size_t i = 0; i < c->n_segments; i++) {
		if (n == 0 || c->segments[i].start >= c->segments[n - 1].end)
			c->segments[n++] = c->segments[i];
	}
	c->n_segments = n;
}

/* The part of a note segment that a cut core still has. @io_budget: of all such segments together, as
 * many that name the same bytes would take time in square. */
static struct gs_cursor note_window(const struct gs_core *c, const struct gs__peek_phdr *ph,
				    uint64_t *io_budget)
{
	uint64_t off = ph->offset < c->size ? ph->offset : c->size;
	uint64_t left = c->size - off < *io_budget ? c->size - off : *io_budget;
	uint64_t n = ph->filesz < left ? ph->filesz : left;

	*io_budget -= n;
	return gs_cursor_make(c->bytes + off, n, c->name);
}

static int read_phdrs(struct gs_core *c, const struct gs__elf_head *h, struct gs_err *err)
{
	c->segments = (struct gs__core_segment *)gs_array_new(h->phnum ? h->phnum : 1,
							      sizeof(c->segments[0]));
	if (!c->segments)
		return gs_fail(err, -ENOMEM, 0, "%s: no memory for %" PRIu64 " segments", c->name,
			       h->phnum);
	for (uint64_t i = 0, notes = c->size; i < h->phnum; i++) {
		struct gs__peek_phdr ph;
		int r = 0;

		if (gs__peek_phdr(&c->file, h, i, &ph, err) < 0) {
			if (i == 0)
				return -GS_E_BAD_DATA;
			break; // cut inside of the table: use what there is
		}
		if (ph.type == PT_NOTE)
			r = gs__core_notes(c, note_window(c, &ph, &notes), ph.align, err);
		else if (ph.type == PT_LOAD)
			add_segment(c, &ph);
		if (r < 0)
			return r;
	}
	sort_segments(c);
	return 0;
}

/* Segment @s; range @r is the first that ends behind its start. */
static void add_segment_map(struct gs_core *c, const struct gs__core_segment *s, size_t r)
{
	struct gs_map *m = &c->base.maps.v[c->base.maps.n++];

	*m = (struct gs_map){ .start = s->start,
			      .end = s->end,
			      .prot = (uint8_t)((s->flags & PF_R ? GS_IMAGE_READ : 0) |
						(s->flags & PF_W ? GS_IMAGE_WRITE : 0) |
						(s->flags & PF_X ? GS_IMAGE_EXEC : 0)),
			      .path = "" };
	if (r == c->n_ranges || c->ranges[r].start > s->start)
		return;
	m->path = c->files[c->ranges[r].file].path;
	m->offset = c->ranges[r].offset + (s->start - c->ranges[r].start);
}

/* The part of a named range between two segments. Its rights are not known; readable it is. */
static void add_gap_map(struct gs_core *c, const struct gs__core_range *r, gs_addr from, gs_addr to)
{
	c->base.maps.v[c->base.maps.n++] = (struct gs_map){ .start = from,
							    .end = to,
							    .offset = r->offset + (from - r->start),
							    .prot = GS_IMAGE_READ,
							    .path = c->files[r->file].path };
}

/* The map: all segments, and what NT_FILE has between them. A range is cut by every segment in it at
 * most once, so there are at most twice as many parts as segments, plus the ranges. */
static int build_maps(struct gs_core *c, struct gs_err *err)
{
	size_t max = c->n_segments * 2 + c->n_ranges + 1, s = 0, r = 0;
	gs_addr at = 0; // everything below is in the map

	c->base.maps.v = (struct gs_map *)gs_array_new(max, sizeof(c->base.maps.v[0]));
	if (!c->base.maps.v)
		return gs_fail(err, -ENOMEM, 0, "%s: no memory for its map", c->name);
	while (s < c->n_segments || r < c->n_ranges) {
		const struct gs__core_range *range = r < c->n_ranges ? &c->ranges[r] : NULL;
		gs_addr next = s < c->n_segments ? c->segments[s].start : UINT64_MAX, from;

		if (range && range->end <= at) {
			r++;
			continue;
		}
		from = range && range->start > at ? range->start : at;
		if (range && from < next) {
			at = range->end < next ? range->end : next;
			add_gap_map(c, range, from, at);
			continue;
		}
		if (s == c->n_segments)
			break; // only possible for a range up to the last address
		add_segment_map(c, &c->segments[s], r);
		at = c->segments[s++].end;
	}
	return 0;
}

static void name_threads(struct gs_core *c)
{
	struct gs__threads *t = &c->base.threads;

	if (c->base.id.pid == 0 && t->n)
		c->base.id.pid = t->v[0].tid;
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].tid == c->base.id.pid)
			memcpy(t->v[i].name, c->command, sizeof(t->v[i].name));
	}
}

int gs__target_open_core_fd(int fd, const char *name, const char *exe, struct gs_target **ret,
			    struct gs_err *err)
{
	struct gs_core *c = core_new(name);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = c ? &c->base : NULL;
	struct gs__elf_head head;
	int r;

	if (!c)
		return gs_fail(err, -ENOMEM, 0, "%s: no memory", name);
	r = map_file(c, fd, err);
	if (r == 0)
		r = check_head(c, &head, err);
	if (r == 0)
		r = resolve_phnum(c, &head, err);
	if (r == 0)
		r = read_phdrs(c, &head, err);
	if (r == 0)
		r = build_maps(c, err);
	if (r == 0)
		r = gs__core_open_executable(c, exe, err);
	if (r == 0)
		r = check_whole(c, err);
	if (r < 0)
		return r;
	name_threads(c);
	*ret = GS_TAKE(t);
	return 0;
}

int gs_target_open_core(const char *path, const char *exe, struct gs_target **ret,
			struct gs_err *err)
{
	GS_CLEANUP(gs_closep) int fd = -1;

	// Without O_NONBLOCK a FIFO would hang us; map_file refuses what is not a regular file.
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return gs_fail(err, errno == ENOENT ? -GS_E_NOT_FOUND : -errno, 0,
			       "cannot open %s: %s", path, strerror(errno));
	return gs__target_open_core_fd(fd, path, exe, ret, err);
}
