/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Names come from binaries and processes that may be hostile. Everything printed passes through
 * here: what could move a cursor, change colours, forge a line or turn text around is written as
 * \xNN, byte by byte, and everything else is left as it is.
 */
#include "base/escape.h"

#include <stdint.h>
#include <string.h>

size_t gs_utf8_len(const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t len;
	uint32_t c;

	if (n == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (n < len)
		return 0;
	c = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if ((len == 3 && c < 0x800) || (len == 4 && c < 0x10000) || c > 0x10ffff)
		return 0;
	if (c >= 0xd800 && c <= 0xdfff)
		return 0;
	return len;
}

/* Characters that are well-formed but act on the terminal or on the direction of the text. */
bool gs_utf8_acts(const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s;

	if (len == 1)
		return p[0] < 0x20 || p[0] == 0x7f;
	if (len == 2)
		return p[0] == 0xc2 && p[1] < 0xa0; /* C1 controls */
	if (len == 3 && p[0] == 0xe2 && p[1] == 0x80)
		return p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae);
	if (len == 3 && p[0] == 0xe2 && p[1] == 0x81)
		return p[2] >= 0xa6 && p[2] <= 0xa9; /* bidi isolates */
	return false;
}

bool gs_escape_needed(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t len = gs_utf8_len(s + i, n - i);

		if (len == 0 || gs_utf8_acts(s + i, len))
			return true;
		i += len;
	}
	return false;
}

size_t gs_escape_to(char *dst, size_t size, const char *s, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	size_t out = 0;

	if (size == 0)
		return 0;
	for (size_t i = 0; i < n;) {
		size_t len = gs_utf8_len(s + i, n - i);

		if (len == 0 || gs_utf8_acts(s + i, len)) {
			uint8_t b = (uint8_t)s[i];

			if (out + 4 >= size)
				break;
			memcpy(dst + out, "\\x", 2);
			dst[out + 2] = hex[b >> 4];
			dst[out + 3] = hex[b & 15];
			out += 4;
			i++;
			continue;
		}
		if (out + len >= size)
			break;
		memcpy(dst + out, s + i, len);
		out += len;
		i += len;
	}
	dst[out] = '\0';
	return out;
}
