/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BASE_CURSOR_H
#define GS_BASE_CURSOR_H

/*
 * The only code that does pointer arithmetic on foreign bytes. A cursor is a bounded view; reads
 * either succeed and advance, or fail with a message and leave the cursor where it was.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <gosonde/err.h>

struct gs_cursor {
	const uint8_t *base, *pos, *end;
	bool swap;        /* byte order of the data differs from ours */
	const char *what; /* "libfoo.so .gopclntab", for messages; must outlive the cursor */
};

static inline struct gs_cursor gs_cursor_make(const void *bytes, uint64_t size, const char *what)
{
	// Nothing is "" rather than NULL: adding 0 to NULL is undefined.
	const uint8_t *p = bytes ? (const uint8_t *)bytes : (const uint8_t *)"";

	return (struct gs_cursor){ .base = p, .pos = p, .end = bytes ? p + size : p, .what = what };
}

static inline uint64_t gs_cursor_left(const struct gs_cursor *c)
{
	return (uint64_t)(c->end - c->pos);
}

static inline uint64_t gs_cursor_size(const struct gs_cursor *c)
{
	return (uint64_t)(c->end - c->base);
}

static inline uint64_t gs_cursor_offset(const struct gs_cursor *c)
{
	return (uint64_t)(c->pos - c->base);
}

/** Fails unless @n more bytes are there. Out of line part of every read. */
int gs_cursor_short(const struct gs_cursor *c, uint64_t n, struct gs_err *err);

GS_CHECKED static inline int gs_cursor_need(const struct gs_cursor *c, uint64_t n,
					    struct gs_err *err)
{
	return __builtin_expect(gs_cursor_left(c) >= n, 1) ? 0 : gs_cursor_short(c, n, err);
}

GS_CHECKED static inline int gs_cursor_skip(struct gs_cursor *c, uint64_t n, struct gs_err *err)
{
	int r = gs_cursor_need(c, n, err);

	if (r == 0)
		c->pos += n;
	return r;
}

/** Move to @off bytes from the base. */
GS_CHECKED static inline int gs_cursor_seek(struct gs_cursor *c, uint64_t off, struct gs_err *err)
{
	if (off > gs_cursor_size(c))
		return gs_fail(err, -GS_E_BAD_DATA, off,
			       "%s: offset %#" PRIx64 " is outside of its %" PRIu64 " bytes",
			       c->what, off, gs_cursor_size(c));
	c->pos = c->base + off;
	return 0;
}

#define GS_CURSOR_UINT(bits)                                                                       \
	GS_CHECKED static inline int gs_cursor_u##bits(struct gs_cursor *c, uint##bits##_t *ret,   \
						       struct gs_err *err)                         \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
		int r = gs_cursor_need(c, sizeof(v), err);                                         \
                                                                                                   \
		if (r < 0)                                                                         \
			return r;                                                                  \
		memcpy(&v, c->pos, sizeof(v));                                                     \
		c->pos += sizeof(v);                                                               \
		*ret = c->swap ? __builtin_bswap##bits(v) : v;                                     \
		return 0;                                                                          \
	}
GS_CURSOR_UINT(16)
GS_CURSOR_UINT(32)
GS_CURSOR_UINT(64)
#undef GS_CURSOR_UINT

GS_CHECKED static inline int gs_cursor_u8(struct gs_cursor *c, uint8_t *ret, struct gs_err *err)
{
	int r = gs_cursor_need(c, 1, err);

	if (r < 0)
		return r;
	*ret = *c->pos++;
	return 0;
}

/** Unsigned LEB128, at most ten bytes. */
GS_CHECKED int gs_cursor_uvarint(struct gs_cursor *c, uint64_t *ret, struct gs_err *err);

/** Copy @n bytes out. */
GS_CHECKED static inline int gs_cursor_bytes(struct gs_cursor *c, void *dst, uint64_t n,
					     struct gs_err *err)
{
	int r = gs_cursor_need(c, n, err);

	if (r < 0)
		return r;
	if (n)
		memcpy(dst, c->pos, n);
	c->pos += n;
	return 0;
}

/** The next @n bytes as a cursor of their own. */
GS_CHECKED static inline int gs_cursor_sub(struct gs_cursor *c, uint64_t n, struct gs_cursor *ret,
					   struct gs_err *err)
{
	int r = gs_cursor_need(c, n, err);

	if (r < 0)
		return r;
	*ret = *c;
	ret->base = ret->pos = c->pos;
	ret->end = c->pos + n;
	c->pos += n;
	return 0;
}

/** @size bytes at @off from the base as a cursor of their own; does not move @c. */
GS_CHECKED int gs_cursor_window(const struct gs_cursor *c, uint64_t off, uint64_t size,
				struct gs_cursor *ret, struct gs_err *err);

/** Take @n entries of @entsize bytes as a cursor of their own; zero and overflow are bad data. */
GS_CHECKED int gs_cursor_table(struct gs_cursor *c, uint64_t n, uint64_t entsize,
			       struct gs_cursor *ret, struct gs_err *err);

/**
 * A NUL-terminated string that lies wholly inside, borrowed from the cursor's bytes.
 *
 * @return 0 and *ret, *ret_len (without the NUL); fails if no NUL comes before the end.
 */
GS_CHECKED int gs_cursor_string(struct gs_cursor *c, const char **ret, size_t *ret_len,
				struct gs_err *err);

#endif
