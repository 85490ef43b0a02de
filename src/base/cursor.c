/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The parts of the cursor that need not be inline; see cursor.h. */
#include "base/cursor.h"

int gs_cursor_short(const struct gs_cursor *c, uint64_t n, struct gs_err *err)
{
	return gs_fail(err, -GS_E_BAD_DATA, gs_cursor_offset(c),
		       "%s: need %" PRIu64 " bytes at offset %#" PRIx64 ", have %" PRIu64, c->what,
		       n, gs_cursor_offset(c), gs_cursor_left(c));
}

int gs_cursor_uvarint(struct gs_cursor *c, uint64_t *ret, struct gs_err *err)
{
	struct gs_cursor at = *c;
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < 70; shift += 7) {
		uint8_t b;
		int r = gs_cursor_u8(&at, &b, err);

		if (r < 0)
			return r;
		if (shift == 63 && b > 1)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80) {
			*c = at;
			*ret = v;
			return 0;
		}
	}
	return gs_fail(err, -GS_E_BAD_DATA, gs_cursor_offset(c),
		       "%s: the varint at offset %#" PRIx64 " has no end", c->what,
		       gs_cursor_offset(c));
}

int gs_cursor_window(const struct gs_cursor *c, uint64_t off, uint64_t size, struct gs_cursor *ret,
		     struct gs_err *err)
{
	struct gs_cursor at = *c;
	int r = gs_cursor_seek(&at, off, err);

	return r < 0 ? r : gs_cursor_sub(&at, size, ret, err);
}

int gs_cursor_table(struct gs_cursor *c, uint64_t n, uint64_t entsize, struct gs_cursor *ret,
		    struct gs_err *err)
{
	uint64_t size;

	if (entsize == 0 || __builtin_mul_overflow(n, entsize, &size))
		return gs_fail(err, -GS_E_BAD_DATA, gs_cursor_offset(c),
			       "%s: %" PRIu64 " entries of %" PRIu64 " bytes make no table",
			       c->what, n, entsize);
	return gs_cursor_sub(c, size, ret, err);
}

int gs_cursor_string(struct gs_cursor *c, const char **ret, size_t *ret_len, struct gs_err *err)
{
	uint64_t left = gs_cursor_left(c);
	const uint8_t *nul = left ? memchr(c->pos, 0, left) : NULL;

	if (!nul)
		return gs_fail(err, -GS_E_BAD_DATA, gs_cursor_offset(c),
			       "%s: the string at offset %#" PRIx64 " has no end", c->what,
			       gs_cursor_offset(c));
	*ret = (const char *)c->pos;
	*ret_len = (size_t)(nul - c->pos);
	c->pos = nul + 1;
	return 0;
}
