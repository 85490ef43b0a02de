/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Build info as the linker leaves it (cmd/link/internal/ld/data.go buildinfo) and debug/buildinfo
 * reads it: 32 bytes of header at a 16-byte aligned address
 *
 *	"\xff Go buildinf:"  pointer size u8  flags u8 (1: big endian, 2: strings follow)  zeros
 *
 * then two strings with a varint length in front: the version, and the module information between
 * sentinels of 16 bytes (cmd/go/internal/modload), lines as in runtime/debug.ParseBuildInfo
 * (buildinfo_lines.c).
 */
#include "golang/buildinfo.h"

#include <errno.h>
#include <string.h>

#include "golang/buildinfo_private.h"

#define MAGIC "\xff Go buildinf:"
#define MAGIC_BYTES 14
#define HEADER_BYTES 32
#define SENTINEL_BYTES 16
/* No real one comes near: the largest known programs have some hundred KB of module information. */
#define MODINFO_MAX (64u << 20)
#define VERSION_MAX 4096
/* The text with the build id is at the start of the code. */
#define ID_WITHIN (32u << 10)

static int blob_string(struct gs_cursor *c, uint64_t max, struct gs_cursor *ret, struct gs_err *err)
{
	uint64_t n;
	int r;

	r = gs_cursor_uvarint(c, &n, err);
	if (r < 0)
		return r;
	if (n > max)
		return gs_fail(err, -GS_E_BAD_DATA, gs_cursor_offset(c),
			       "%s: the Go build info has a string of %" PRIu64 " bytes", c->what,
			       n);
	return gs_cursor_sub(c, n, ret, err);
}

int gs__go_buildinfo_decode(const struct gs_cursor *blob, struct gs_arena *arena,
			    struct gs_go_buildinfo *ret, struct gs_err *err)
{
	struct gs_go_buildinfo bi = { 0 };
	struct gs_cursor c = *blob, version, mod;
	uint8_t header[HEADER_BYTES];
	char *text;
	int r;

	r = gs_cursor_bytes(&c, header, sizeof(header), err);
	if (r < 0)
		return r;
	if (memcmp(header, MAGIC, MAGIC_BYTES) != 0)
		return 1;
	if (!(header[15] & 2))
		return gs_fail(
			err, -GS_E_UNSUPPORTED, gs_cursor_offset(blob),
			"%s: the program was built by Go 1.17 or older. gosonde reads Go 1.%d "
			"and later",
			c.what, GS_GO_MINOR_FIRST);
	r = blob_string(&c, VERSION_MAX, &version, err);
	if (r == 0)
		r = blob_string(&c, MODINFO_MAX, &mod, err);
	if (r < 0)
		return r;
	if (gs_cursor_left(&version) == 0)
		return 1;
	text = gs_arena_strndup(arena, (const char *)version.pos, gs_cursor_left(&version));
	if (!text)
		return gs_fail(err, -ENOMEM, 0, "%s: out of memory for the build info", c.what);
	bi.version = text;
	bi.release_known = gs_go_release_parse(text, strlen(text), &bi.release) == 0;
	r = gs__go_modinfo_strip(&mod, err);
	if (r == 0)
		r = gs__go_modinfo_parse(&mod, arena, &bi, err);
	if (r < 0)
		return r;
	*ret = bi;
	return 0;
}

int gs__go_modinfo_strip(struct gs_cursor *mod, struct gs_err *err)
{
	uint64_t n = gs_cursor_left(mod);
	struct gs_cursor c = *mod, text;
	uint8_t newline = 0;
	int r;

	// Too short, or not framed: no module information (debug/buildinfo does the same).
	if (n > 2 * SENTINEL_BYTES) {
		r = gs_cursor_skip(&c, n - SENTINEL_BYTES - 1, err);
		if (r == 0)
			r = gs_cursor_u8(&c, &newline, err);
		if (r < 0)
			return r;
	}
	c = *mod;
	if (newline == '\n') {
		r = gs_cursor_skip(&c, SENTINEL_BYTES, err);
		if (r < 0)
			return r;
	}
	r = gs_cursor_sub(&c, newline == '\n' ? n - 2 * SENTINEL_BYTES : 0, &text, err);
	if (r == 0)
		*mod = text;
	return r;
}

/* The magic at a 16-byte aligned address within @c, which starts at @addr. @return 0; 1 if none. */
static int search(const struct gs_cursor *bytes, gs_addr addr, struct gs_cursor *ret,
		  gs_addr *ret_addr, struct gs_err *err)
{
	struct gs_cursor c = *bytes;
	uint64_t start = gs_cursor_offset(&c);
	uint8_t magic[MAGIC_BYTES];
	int r;

	if (gs_cursor_left(&c) < 16 + HEADER_BYTES && (addr & 15))
		return 1;
	r = gs_cursor_skip(&c, -addr & 15, err);
	if (r < 0)
		return r;
	while (gs_cursor_left(&c) >= HEADER_BYTES) {
		struct gs_cursor hit = c;

		r = gs_cursor_bytes(&hit, magic, sizeof(magic), err);
		if (r < 0)
			return r;
		if (memcmp(magic, MAGIC, sizeof(magic)) == 0) {
			*ret = c;
			*ret_addr = addr + gs_cursor_offset(&c) - start;
			return 0;
		}
		r = gs_cursor_skip(&c, 16, err);
		if (r < 0)
			return r;
	}
	return 1;
}

static bool is_buildinfo_section(const char *name)
{
	const char *comma = strchr(name, ',');

	return strcmp(name, ".go.buildinfo") == 0 ||
	       (comma && strcmp(comma + 1, "__go_buildinfo") == 0);
}

/* In sections: those made for it (@named), or any writable one. */
static int find_in_sections(const struct gs_image *img, bool named, struct gs_cursor *ret,
			    gs_addr *ret_addr, struct gs_err *err)
{
	struct gs_cursor c;
	int r;

	for (uint32_t i = 0; i < gs_image_info(img)->n_sections; i++) {
		const struct gs_image_section *s = gs_image_section_at(img, i);

		if (named ? !is_buildinfo_section(s->name)
			  : (s->flags & (GS_IMAGE_WRITE | GS_IMAGE_EXEC)) != GS_IMAGE_WRITE)
			continue;
		if (s->addr == 0 || (s->flags & (GS_IMAGE_NOBITS | GS_IMAGE_COMPRESSED)))
			continue;
		r = gs_image_section_bytes(img, s, &c, err);
		if (r == 0)
			r = search(&c, s->addr, ret, ret_addr, err);
		if (r <= 0)
			return r;
	}
	return 1;
}

static int find_in_segments(const struct gs_image *img, struct gs_cursor *ret, gs_addr *ret_addr,
			    struct gs_err *err)
{
	struct gs_cursor c;
	int r;

	for (uint32_t i = 0; i < gs_image_info(img)->n_segments; i++) {
		const struct gs_image_segment *p = gs_image_segment_at(img, i);

		if (!(p->flags & GS_IMAGE_WRITE) || p->file_size == 0)
			continue;
		r = gs_image_file_bytes(img, p->offset, p->file_size, &c, err);
		if (r == 0)
			r = search(&c, p->addr, ret, ret_addr, err);
		if (r <= 0)
			return r;
	}
	return 1;
}

int gs_go_buildinfo_read(const struct gs_image *img, struct gs_arena *arena,
			 struct gs_go_buildinfo *ret, struct gs_err *err)
{
	struct gs_go_buildinfo bi;
	struct gs_cursor c;
	gs_addr addr;
	int r;

	r = find_in_sections(img, true, &c, &addr, err);
	if (r > 0)
		r = find_in_sections(img, false, &c, &addr, err);
	if (r > 0)
		r = find_in_segments(img, &c, &addr, err);
	if (r == 0)
		r = gs__go_buildinfo_decode(&c, arena, &bi, err);
	if (r != 0)
		return r;
	bi.addr = addr;
	*ret = bi;
	return 0;
}

const char *gs_go_setting(const struct gs_go_buildinfo *bi, const char *key)
{
	for (uint32_t i = 0; i < bi->n_settings; i++)
		if (strcmp(bi->settings[i].key, key) == 0)
			return bi->settings[i].value;
	return NULL;
}

/* ---- build id ---- */

/* "action/…/content" of letters, digits, - _ and /; nothing else is believed. */
static int take_id(const uint8_t *s, size_t n, struct gs_arena *arena, const char **ret,
		   const char *what, struct gs_err *err)
{
	char *text;

	for (size_t i = 0; i < n; i++)
		if (s[i] < '!' || s[i] > '~')
			return gs_fail(err, -GS_E_BAD_DATA, 0,
				       "%s: the Go build id has byte %#x in it", what, s[i]);
	if (n == 0)
		return 1;
	text = gs_arena_strndup(arena, (const char *)s, n);
	if (!text)
		return gs_fail(err, -ENOMEM, 0, "%s: out of memory for the build id", what);
	*ret = text;
	return 0;
}

/* Where there are no notes, the linker writes it as text in front of the code (cmd/internal/buildid). */
static int id_in_text(const struct gs_cursor *code, struct gs_arena *arena, const char **ret,
		      struct gs_err *err)
{
	static const char start[] = "\xff Go build ID: \"", end[] = "\"\n \xff";
	struct gs_cursor c = *code, head;
	const uint8_t *at;
	int r;

	r = gs_cursor_sub(&c, gs_cursor_left(&c) < ID_WITHIN ? gs_cursor_left(&c) : ID_WITHIN,
			  &head, err);
	if (r < 0)
		return r;
	at = memmem(head.pos, gs_cursor_left(&head), start, sizeof(start) - 1);
	if (!at)
		return 1;
	r = gs_cursor_skip(&head, (uint64_t)(at - head.pos) + sizeof(start) - 1, err);
	if (r < 0)
		return r;
	at = memmem(head.pos, gs_cursor_left(&head), end, sizeof(end) - 1);
	return at ? take_id(head.pos, (size_t)(at - head.pos), arena, ret, code->what, err) : 1;
}

int gs_go_build_id(const struct gs_image *img, struct gs_arena *arena, const char **ret,
		   struct gs_err *err)
{
	struct gs_cursor c;
	int r;

	r = gs_image_find_note(img, "Go", 4, &c, err);
	if (r < 0)
		return r;
	if (r == 0)
		return take_id(c.pos, gs_cursor_left(&c), arena, ret, c.what, err);
	for (uint32_t i = 0; i < gs_image_info(img)->n_sections; i++) {
		const struct gs_image_section *s = gs_image_section_at(img, i);

		if (!(s->flags & GS_IMAGE_EXEC))
			continue;
		r = gs_image_section_bytes(img, s, &c, err);
		if (r == 0)
			r = id_in_text(&c, arena, ret, err);
		if (r <= 0)
			return r;
	}
	return 1;
}
