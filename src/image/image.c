/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The part of an image that no format differs in: mapping, limits, address and offset look-up.
 *
 * Lenient at open, strict at access: a file whose headers can be read opens even if parts of it are
 * cut off or point nowhere; whoever asks for those bytes gets the error. So `inspect` can still
 * tell what a truncated file was, and a damaged section nobody needs harms nobody.
 *
 * The file stays mapped and may shrink under us; base/sigbus.h turns that into zeros and
 * gs_image_intact() reports it.
 */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/sigbus.h"
#include "image/image_private.h"

/* Names, section and segment tables of the largest file that passes the GS__MAX_ bounds. */
#define ARENA_LIMIT ((size_t)512 << 20)

/* Images are only ever allocated here, never const; lazy parts are filled through const views. */
static struct gs_image *lazily(const struct gs_image *img)
{
	return (struct gs_image *)(uintptr_t)img;
}

int gs__out_of_memory(const struct gs_image *img, struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "cannot read %s: out of memory", img->name);
}

int gs__image_once(struct gs_image *img, struct gs__lazy *l,
		   int (*read)(struct gs_image *img, struct gs_err *err), struct gs_err *err)
{
	if (!l->tried) {
		l->tried = true;
		l->result = read(img, &l->err);
	}
	if (l->result < 0 && err)
		*err = l->err;
	return l->result;
}

int gs__image_new_sections(struct gs_image *img, uint64_t n, struct gs_err *err)
{
	if (n > GS__MAX_SECTIONS)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "%s has %" PRIu64 " sections, more than the %u gosonde reads",
			       img->name, n, GS__MAX_SECTIONS);
	img->sections = gs_arena_array(img->arena, n + 1, sizeof(*img->sections));
	img->section_what = gs_arena_array(img->arena, n + 1, sizeof(*img->section_what));
	if (!img->sections || !img->section_what)
		return gs__out_of_memory(img, err);
	img->info.n_sections = (uint32_t)n;
	return 0;
}

int gs__image_new_segments(struct gs_image *img, uint64_t n, struct gs_err *err)
{
	if (n > GS__MAX_SEGMENTS)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "%s has %" PRIu64 " segments, more than the %u gosonde reads",
			       img->name, n, GS__MAX_SEGMENTS);
	img->segments = gs_arena_array(img->arena, n + 1, sizeof(*img->segments));
	if (!img->segments)
		return gs__out_of_memory(img, err);
	img->info.n_segments = (uint32_t)n;
	return 0;
}

const char *gs__string_at(const struct gs_cursor *strings, uint64_t off, size_t max,
			  size_t *ret_len)
{
	struct gs_cursor c = *strings;
	const uint8_t *nul;
	uint64_t left;

	if (gs_cursor_seek(&c, off, NULL) < 0)
		return NULL;
	left = gs_cursor_left(&c);
	nul = left ? memchr(c.pos, 0, left < max ? left : max) : NULL;
	if (!nul)
		return NULL;
	*ret_len = (size_t)(nul - c.pos);
	return (const char *)c.pos;
}

void gs__image_note_debug(struct gs_image *img)
{
	for (uint32_t i = 0; i < img->info.n_sections; i++) {
		struct gs_image_section *s = &img->sections[i];
		const char *name = strrchr(s->name, ',') ? strrchr(s->name, ',') + 1 : s->name;

		name += strspn(name, "._");
		if (strncmp(name, "zdebug_", 7) == 0)
			s->flags |= GS_IMAGE_COMPRESSED;
		if (strcmp(name, "debug_info") == 0 || strcmp(name, "zdebug_info") == 0)
			img->info.has_dwarf |= s->file_size > 0;
	}
}

/* The first bytes tell the format. 32-bit and big-endian kinds are named by the format's reader. */
static int dispatch(struct gs_image *img, struct gs_err *err)
{
	static const uint8_t fat[] = { 0xca, 0xfe, 0xba, 0xbe };
	static const uint8_t fat64[] = { 0xca, 0xfe, 0xba, 0xbf };
	struct gs_cursor c = img->file;
	uint8_t magic[4];
	uint32_t word;

	if (gs_cursor_left(&c) == 0)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "%s is empty", img->name);
	if (gs_cursor_bytes(&c, magic, sizeof(magic), NULL) < 0)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is no ELF, PE or Mach-O file: it has only %" PRIu64 " bytes",
			       img->name, img->info.file_size);
	memcpy(&word, magic, sizeof(word));
	if (memcmp(magic, ELFMAG, SELFMAG) == 0)
		return gs__elf_open(img, err);
	if (magic[0] == 'M' && magic[1] == 'Z')
		return gs__pe_open(img, err);
	if (word == 0xfeedfacf || word == 0xfeedface || word == 0xcffaedfe || word == 0xcefaedfe ||
	    memcmp(magic, fat, sizeof(fat)) == 0 || memcmp(magic, fat64, sizeof(fat64)) == 0)
		return gs__macho_open(img, err);
	return gs_fail(err, -GS_E_UNSUPPORTED, 0,
		       "%s is no ELF, PE or Mach-O file: it starts with %02x %02x %02x %02x",
		       img->name, magic[0], magic[1], magic[2], magic[3]);
}

static struct gs_image *new_image(const char *name, struct gs_err *err)
{
	GS_CLEANUP(gs_arena_freep) struct gs_arena *arena = gs_arena_new(ARENA_LIMIT);
	struct gs_image *img = arena ? gs_arena_alloc(arena, sizeof(*img)) : NULL;

	if (img)
		img->name = gs_arena_strndup(arena, name, strnlen(name, 4096));
	if (!img || !img->name) {
		(void)gs_fail(err, -ENOMEM, 0, "cannot open %s: out of memory", name);
		return NULL;
	}
	img->arena = GS_TAKE(arena);
	img->sigbus_slot = -1;
	return img;
}

/* @img is consumed. */
static int read_headers(struct gs_image *owned, const void *bytes, uint64_t size,
			struct gs_image **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_image_freep) struct gs_image *img = owned;
	int r;

	img->file = gs_cursor_make(bytes, size, img->name);
	img->info.file_size = size;
	r = dispatch(img, err);
	if (r < 0)
		return r;
	*ret = GS_TAKE(img);
	return 0;
}

int gs_image_from_bytes(const void *bytes, uint64_t size, const char *name, struct gs_image **ret,
			struct gs_err *err)
{
	struct gs_image *img = new_image(name, err);

	return img ? read_headers(img, bytes, size, ret, err) : -ENOMEM;
}

static int map_file(struct gs_image *img, int fd, struct gs_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return gs_fail(err, -errno, 0, "cannot examine %s: %s", img->name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return gs_fail(err, -GS_E_UNSUPPORTED, 0, "%s is %s, not a regular file", img->name,
			       S_ISDIR(st.st_mode) ? "a directory" : "a device or pipe");
	if (st.st_size == 0)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "%s is empty", img->name);
	img->map_size = (size_t)st.st_size;
	img->map = mmap(NULL, img->map_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (img->map == MAP_FAILED) {
		img->map = NULL;
		return gs_fail(err, -errno, 0, "cannot map %s: %s", img->name, strerror(errno));
	}
	img->sigbus_slot = gs_sigbus_watch(img->map, img->map_size);
	if (img->sigbus_slot < 0)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "cannot map %s: too many files are open at once", img->name);
	return 0;
}

int gs_image_open_fd(int fd, const char *name, struct gs_image **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_image_freep) struct gs_image *img = new_image(name, err);
	struct gs_image *mapped;
	int r;

	if (!img)
		return -ENOMEM;
	r = map_file(img, fd, err);
	if (r < 0)
		return r;
	mapped = GS_TAKE(img);
	return read_headers(mapped, mapped->map, mapped->map_size, ret, err);
}

int gs_image_open(const char *path, struct gs_image **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_closep)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		int e = errno;

		return gs_fail(err, e == EACCES || e == EPERM ? -GS_E_PERMISSION : -e, 0,
			       "cannot open %s: %s", path, strerror(e));
	}
	return gs_image_open_fd(fd, path, ret, err);
}

struct gs_image *gs_image_free(struct gs_image *img)
{
	struct gs_arena *arena;

	if (!img)
		return NULL;
	if (img->info.format == GS_IMAGE_ELF)
		gs__elf_close(img);
	gs__symbols_close(img);
	if (img->map) {
		// In this order: afterwards another mapping may lie at the same address.
		gs_sigbus_forget(img->sigbus_slot);
		munmap(img->map, img->map_size);
	}
	arena = img->arena;
	gs_arena_free(arena);
	return NULL;
}

const struct gs_image_info *gs_image_info(const struct gs_image *img)
{
	return &img->info;
}

const char *gs_image_name(const struct gs_image *img)
{
	return img->name;
}

int gs_image_intact(const struct gs_image *img, struct gs_err *err)
{
	if (!gs_sigbus_hit(img->sigbus_slot))
		return 0;
	return gs_fail(err, -GS_E_BAD_DATA, 0,
		       "%s became shorter while it was read. Try again when it is no longer being "
		       "written",
		       img->name);
}

const struct gs_image_section *gs_image_section_at(const struct gs_image *img, uint32_t i)
{
	return i < img->info.n_sections ? &img->sections[i] : NULL;
}

const struct gs_image_segment *gs_image_segment_at(const struct gs_image *img, uint32_t i)
{
	return i < img->info.n_segments ? &img->segments[i] : NULL;
}

int gs_image_find_section(const struct gs_image *img, const char *name,
			  const struct gs_image_section **ret, struct gs_err *err)
{
	for (uint32_t i = 0; i < img->info.n_sections; i++) {
		if (strcmp(img->sections[i].name, name) == 0) {
			*ret = &img->sections[i];
			return 0;
		}
	}
	if (img->info.format == GS_IMAGE_ELF && img->elf.names_lost)
		return gs_fail(err, -GS_E_BAD_DATA, 0,
			       "%s: the names of its sections are not in the file. It is truncated "
			       "or damaged",
			       img->name);
	return 1;
}

/* "FILE SECTION" for messages about a section's bytes, made once per section. */
static const char *what_section(struct gs_image *img, const struct gs_image_section *s)
{
	size_t i = (size_t)(s - img->sections), len = strlen(img->name), n = strlen(s->name);
	char *text;

	if (img->section_what[i])
		return img->section_what[i];
	text = gs_arena_alloc(img->arena, len + n + 2);
	if (!text)
		return img->name;
	memcpy(text, img->name, len);
	text[len] = ' ';
	memcpy(text + len + 1, s->name, n);
	img->section_what[i] = text;
	return text;
}

int gs_image_section_bytes(const struct gs_image *img, const struct gs_image_section *s,
			   struct gs_cursor *ret, struct gs_err *err)
{
	struct gs_cursor c;

	if (s->flags & GS_IMAGE_NOBITS || (s->file_size == 0 && s->size > 0))
		return 1;
	if (gs_cursor_window(&img->file, s->offset, s->file_size, &c, NULL) < 0)
		return gs_fail(err, -GS_E_BAD_DATA, s->offset,
			       "%s: section %s (%" PRIu64 " bytes at offset %#" PRIx64
			       ") is outside of the file's %" PRIu64
			       " bytes. The file is truncated or damaged",
			       img->name, s->name[0] ? s->name : "without a name", s->file_size,
			       s->offset, img->info.file_size);
	c.what = what_section(lazily(img), s);
	*ret = c;
	return 0;
}

int gs_image_file_bytes(const struct gs_image *img, uint64_t off, uint64_t size,
			struct gs_cursor *ret, struct gs_err *err)
{
	return gs_cursor_window(&img->file, off, size, ret, err);
}

/* Bytes from @addr on if it lies in the file-backed part [@start, @start + @size) at @off. A cut
 * file gives what is left of it. @return 0; 1 if @addr is elsewhere. */
static int backed(const struct gs_image *img, gs_addr addr, gs_addr start, uint64_t off,
		  uint64_t size, struct gs_cursor *ret, struct gs_err *err)
{
	uint64_t delta = addr - start, at, n = size - delta, have = gs_cursor_size(&img->file);

	if (addr < start || delta >= size)
		return 1;
	if (__builtin_add_overflow(off, delta, &at) || at >= have)
		return gs_fail(err, -GS_E_BAD_DATA, addr,
			       "%s: address %#" PRIx64
			       " lies behind the end of the file. It is truncated or damaged",
			       img->name, addr);
	return gs_cursor_window(&img->file, at, n < have - at ? n : have - at, ret, err);
}

int gs_image_at(const struct gs_image *img, gs_addr addr, struct gs_cursor *ret, struct gs_err *err)
{
	for (uint32_t i = 0; i < img->info.n_segments; i++) {
		const struct gs_image_segment *s = &img->segments[i];
		int r = backed(img, addr, s->addr, s->offset, s->file_size, ret, err);

		if (r <= 0)
			return r;
	}
	return 1;
}

int gs__image_range(const struct gs_image *img, gs_addr addr, uint64_t size, struct gs_cursor *ret,
		    struct gs_err *err)
{
	struct gs_cursor c;
	int r = gs_image_at(img, addr, &c, err);

	return r ? r : gs_cursor_sub(&c, size, ret, err);
}

int gs_image_word(const struct gs_image *img, gs_addr addr, uint64_t *ret, struct gs_err *err)
{
	struct gs_cursor c;
	int r = gs_image_at(img, addr, &c, err);

	if (r)
		return r;
	if (img->info.format == GS_IMAGE_ELF && !img->info.is_core) {
		r = gs__elf_relative(lazily(img), addr, ret, err);
		if (r <= 0)
			return r;
	}
	// The last bytes of a segment may be shorter than a word.
	return gs_cursor_left(&c) < sizeof(*ret) ? 1 : gs_cursor_u64(&c, ret, err);
}

int gs_image_build_id(const struct gs_image *img, struct gs_cursor *ret, struct gs_err *err)
{
	return img->ops->build_id(lazily(img), ret, err);
}

int gs_image_needed(const struct gs_image *img, uint32_t i, const char **ret, struct gs_err *err)
{
	return img->ops->needed(lazily(img), i, ret, err);
}
