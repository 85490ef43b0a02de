/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Files behind a core. The kernel leaves out pages that can be had elsewhere: of a file mapping that
 * was never written to it dumps the first page at most (core(5), coredump_filter bit 4). Such pages
 * are read from the file the core names, if that still is the same file:
 *
 *   both have a build id of one kind (GNU, Go)   the ids are equal
 *   else                                         ELF header (without what strip changes) and program
 *                                                headers are equal
 *   no header in the core                        it is an ELF file not younger than the core (a core of
 *                                                somebody else's must not make us show any file that we
 *                                                may read); and of the executable the auxiliary vector
 *                                                has to fit
 *
 * Paths come from the core and may name anything: they are looked at before they are opened, as
 * opening a device can do things.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "base/search.h"
#include "target/core_private.h"

#define DELETED " (deleted)"

static int open_regular(const char *path, struct stat *st)
{
	int fd;

	if (stat(path, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static void print_id(const struct gs__build_id *id, char *dst, size_t size)
{
	size_t n = (size_t)snprintf(dst, size, "%s build id ", id->owner);

	if (strcmp(id->owner, "Go") == 0) {
		gs_escape_to(dst + n, size - n, (const char *)id->bytes, id->len);
		return;
	}
	for (size_t i = 0; i < id->len && n + 3 <= size; i++)
		n += (size_t)snprintf(dst + n, size - n, "%02x", id->bytes[i]);
}

/* Everything that describes the loaded program; strip moves the section headers. */
static bool same_headers(const struct gs_cursor *a, const struct gs_cursor *b)
{
	struct gs__elf_head h, g;
	struct gs_cursor x, y;
	uint64_t size;

	if (gs__elf_head(a, &h, NULL) < 0 || gs__elf_head(b, &g, NULL) < 0) {
		// Data files are mapped too; then all bytes count.
		size = gs_cursor_size(a) < gs_cursor_size(b) ? gs_cursor_size(a)
							     : gs_cursor_size(b);
		return memcmp(a->base, b->base, size) == 0;
	}
	if (h.is_64 != g.is_64 || h.type != g.type || h.machine != g.machine ||
	    h.entry != g.entry || h.phoff != g.phoff || h.phnum != g.phnum ||
	    h.phentsize != g.phentsize)
		return false;
	size = h.phnum * h.phentsize;
	if (gs_cursor_window(a, h.phoff, size, &x, NULL) < 0 ||
	    gs_cursor_window(b, h.phoff, size, &y, NULL) < 0)
		return true; // beyond what the core has of it
	return memcmp(x.base, y.base, size) == 0;
}

/* @return 0; 1 if @disk is another file than the one that was mapped, @err says how it differs. */
static int compare_heads(const struct gs_core *c, const char *path, const struct gs_cursor *disk,
			 const struct gs_cursor *core, struct gs_err *err)
{
	struct gs__build_id on_disk, in_core;
	char a[2 * GS__BUILD_ID_MAX + 32], b[2 * GS__BUILD_ID_MAX + 32];

	if (gs__elf_build_id(disk, &on_disk, NULL) == 0 &&
	    gs__elf_build_id(core, &in_core, NULL) == 0 &&
	    strcmp(on_disk.owner, in_core.owner) == 0) {
		if (on_disk.len == in_core.len &&
		    memcmp(on_disk.bytes, in_core.bytes, on_disk.len) == 0)
			return 0;
		print_id(&on_disk, a, sizeof(a));
		print_id(&in_core, b, sizeof(b));
		a[140] = b[140] = '\0';
		(void)gs_fail(
			err, -GS_E_BAD_DATA, 0,
			"%s: %s is not the file that the core was made with: it has the %s, the "
			"core the %s. Give the right one with --exe",
			c->name, path, a, b);
		return 1;
	}
	if (same_headers(disk, core))
		return 0;
	(void)gs_fail(
		err, -GS_E_BAD_DATA, 0,
		"%s: %s is not the file that the core was made with: their ELF headers differ. "
		"Give the right one with --exe",
		c->name, path);
	return 1;
}

/* Whether the file @fd is the one that was mapped at @base. @return 0 yes, 1 no, or a failure. */
static int check_file(const struct gs_core *c, int fd, const struct stat *st, const char *path,
		      gs_addr base, bool given, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) uint8_t *disk = (uint8_t *)malloc((size_t)2 * GS__CORE_HEAD_BYTES);
	struct gs_cursor a, b;
	size_t in_core;
	ssize_t n;

	if (!disk)
		return gs_fail(err, -ENOMEM, 0, "%s: no memory to check %s", c->name, path);
	in_core = base ? gs__core_dumped(c, base, disk + GS__CORE_HEAD_BYTES, GS__CORE_HEAD_BYTES)
		       : 0;
	n = pread(fd, disk, GS__CORE_HEAD_BYTES, 0);
	if (in_core < sizeof(Elf64_Ehdr)) {
		bool elf = n >= SELFMAG && memcmp(disk, ELFMAG, SELFMAG) == 0;

		if (given || (elf && st->st_mtime <= c->mtime))
			return 0;
		(void)gs_fail(err, -GS_E_BAD_DATA, 0,
			      "%s: %s is %s, and the core holds nothing to compare it with. If it "
			      "is the right one, give it with --exe",
			      c->name, path, elf ? "younger than the core" : "no ELF file");
		return 1;
	}
	a = gs_cursor_make(disk, n > 0 ? (uint64_t)n : 0, path);
	b = gs_cursor_make(disk + GS__CORE_HEAD_BYTES, in_core, "core");
	return compare_heads(c, path, &a, &b, err);
}

static const struct gs__core_range *range_at(const struct gs_core *c, gs_addr addr)
{
	size_t at = GS_SEARCH(i, c->n_ranges, c->ranges[i].end > addr);

	return at < c->n_ranges && c->ranges[at].start <= addr ? &c->ranges[at] : NULL;
}

/* Where the first byte of @f was mapped, also if other mappings lay between it and the rest. */
static gs_addr base_of(const struct gs_core *c, const struct gs__core_file *f)
{
	for (size_t i = 0; !f->base && i < c->n_files; i++) {
		if (c->files[i].base && strcmp(c->files[i].path, f->path) == 0)
			return c->files[i].base;
	}
	return f->base;
}

/* Open a library at its first use. */
static bool usable(struct gs_core *c, struct gs__core_file *f)
{
	struct stat st;

	if (f->state != CORE_FILE_UNTRIED)
		return f->state == CORE_FILE_GOOD;
	f->state = CORE_FILE_REFUSED;
	if (c->n_open >= GS__CORE_MAX_OPEN_FILES)
		return false;
	f->fd = open_regular(f->path, &st);
	if (f->fd < 0)
		return false;
	if (check_file(c, f->fd, &st, f->path, base_of(c, f), false, NULL) != 0) {
		gs_closep(&f->fd);
		return false;
	}
	c->n_open++;
	f->state = CORE_FILE_GOOD;
	return true;
}

bool gs__core_backed(struct gs_core *c, gs_addr addr, void *dst, size_t len, size_t *done)
{
	const struct gs__core_range *r = range_at(c, addr);
	uint64_t off;
	ssize_t n;

	if (!r || !usable(c, &c->files[r->file]))
		return false;
	off = r->offset + (addr - r->start);
	if (off > INT64_MAX - len)
		return false;
	len = len < r->end - addr ? len : r->end - addr;
	do {
		n = pread(c->files[r->file].fd, dst, len, (off_t)off);
	} while (n < 0 && errno == EINTR);
	*done = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* The file that the program's entry point or headers were mapped from. */
static void find_exe_file(struct gs_core *c)
{
	static const uint64_t types[] = { AT_PHDR, AT_ENTRY };

	c->exe_file = UINT32_MAX;
	for (size_t i = 0; i < GS_ARRAY_SIZE(types) && c->exe_file == UINT32_MAX; i++) {
		const struct gs__core_range *r;
		uint64_t at;

		if (gs__auxv_find(&c->base.auxv, types[i], &at))
			continue;
		r = range_at(c, at);
		if (r)
			c->exe_file = r->file;
	}
}

static void set_identity(struct gs_core *c, const char *path)
{
	struct gs_target_identity *id = &c->base.id;
	size_t n = strlen(path), mark = sizeof(DELETED) - 1;

	id->exe_deleted = n > mark && strcmp(path + n - mark, DELETED) == 0;
	if (id->exe_deleted)
		n -= mark;
	n = n < sizeof(id->executable) - 1 ? n : sizeof(id->executable) - 1;
	memcpy(id->executable, path, n);
	id->executable[n] = '\0';
}

/* A core without NT_FILE: where the file's segments were follows from the bias. */
static int ranges_from_image(struct gs_core *c, const char *path, struct gs_err *err)
{
	const struct gs_image *img = c->base.image;
	uint32_t n = gs_image_info(img)->n_segments;

	c->ranges = (struct gs__core_range *)gs_arena_array(c->arena, n, sizeof(c->ranges[0]));
	c->files = (struct gs__core_file *)gs_arena_array(c->arena, 1, sizeof(c->files[0]));
	if ((n && !c->ranges) || !c->files)
		return gs_fail(err, -ENOMEM, 0, "%s: no memory", c->name);
	for (uint32_t i = 0; i < n; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(img, i);
		gs_addr start = s->addr + c->base.bias;

		if (!s->file_size || s->flags & GS_IMAGE_WRITE || start + s->file_size <= start)
			continue;
		c->ranges[c->n_ranges++] = (struct gs__core_range){ .start = start,
								    .end = start + s->file_size,
								    .offset = s->offset };
	}
	gs__core_sort_ranges(c);
	c->files[0] =
		(struct gs__core_file){ .path = gs_arena_strndup(c->arena, path, strlen(path)),
					.fd = -1 };
	if (!c->files[0].path)
		return gs_fail(err, -ENOMEM, 0, "%s: no memory", c->name);
	c->n_files = 1;
	c->exe_file = 0;
	return 0;
}

/* What the kernel told the program about its executable fits this one. All there is to go by when the
 * core has no byte of it. */
static bool fits_auxv(const struct gs_core *c, const struct gs_image *img)
{
	uint64_t phdr, entry, phnum, vaddr;
	struct gs__elf_head h;
	struct gs_cursor file;

	if (gs__image_cursor(img, &file, NULL) < 0 || gs__elf_head(&file, &h, NULL) < 0)
		return false;
	if (gs__auxv_find(&c->base.auxv, AT_PHNUM, &phnum) == 0 && phnum != h.phnum)
		return false;
	if (gs__auxv_find(&c->base.auxv, AT_ENTRY, &entry))
		return true;
	if (h.type == ET_EXEC && entry != h.entry)
		return false;
	return gs__auxv_find(&c->base.auxv, AT_PHDR, &phdr) ||
	       gs__peek_phdr_vaddr(&file, &h, &vaddr, NULL) || phdr - vaddr == entry - h.entry;
}

/* @fd is the right file: make it the target's executable. */
static int take_executable(struct gs_core *c, int fd, const char *path, struct gs_err *err)
{
	struct gs_target *t = &c->base;
	int r;

	t->exe_fd = fd;
	r = gs_image_open_fd(fd, path, &t->image, err);
	if (r < 0)
		return r;
	if (gs_image_info(t->image)->arch != t->arch)
		return gs_fail(
			err, -GS_E_BAD_DATA, 0,
			"%s: %s is for another CPU than the core. Give the right one with --exe",
			c->name, path);
	if (!fits_auxv(c, t->image))
		return gs_fail(
			err, -GS_E_BAD_DATA, 0,
			"%s: %s is not the file that the core was made with: its entry point or "
			"program headers lie elsewhere. Give the right one with --exe",
			c->name, path);
	if (c->exe_file == UINT32_MAX)
		set_identity(c, path);
	r = gs__find_bias(t, err);
	if (r == 0 && c->n_ranges == 0)
		r = ranges_from_image(c, path, err);
	if (r < 0)
		return r;
	if (c->exe_file != UINT32_MAX) {
		c->files[c->exe_file].fd = fd;
		c->files[c->exe_file].state = CORE_FILE_GOOD;
	}
	return 0;
}

int gs__core_open_executable(struct gs_core *c, const char *exe, struct gs_err *err)
{
	const struct gs__core_file *f;
	GS_CLEANUP(gs_closep) int fd = -1;
	const char *path = exe;
	struct stat st;
	int r;

	find_exe_file(c);
	f = c->exe_file != UINT32_MAX ? &c->files[c->exe_file] : NULL;
	if (f) {
		set_identity(c, f->path);
		path = exe ? exe : c->base.id.executable;
	}
	if (!path)
		return 0; // the core does not say
	fd = open_regular(path, &st);
	if (fd < 0 && !exe)
		return 0; // not on this machine
	if (fd < 0)
		return gs_fail(err, fd, 0, "cannot open the executable %s: %s", path,
			       fd == -EINVAL ? "not a regular file" : strerror(-fd));
	r = check_file(c, fd, &st, path, f ? base_of(c, f) : 0, exe != NULL, err);
	if (r)
		return r < 0 ? r : -GS_E_BAD_DATA;
	return take_executable(c, gs_take_fd(&fd), path, err);
}
