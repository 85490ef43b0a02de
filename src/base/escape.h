/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BASE_ESCAPE_H
#define GS_BASE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

/** True if @s holds bytes that must not reach a terminal: C0 and C1 controls, DEL, broken UTF-8,
 * bidirectional overrides. */
bool gs_escape_needed(const char *s, size_t n);

/** True if the well-formed character of @len bytes at @s acts on a terminal or turns text around. */
bool gs_utf8_acts(const char *s, size_t len);

/**
 * Copy @n bytes of @s as printable UTF-8; each byte of what must not reach a terminal becomes \xNN.
 *
 * @return bytes written without the closing NUL; the result is cut at @size - 1, never inside an
 *         escape or a character.
 */
size_t gs_escape_to(char *dst, size_t size, const char *s, size_t n);

/** Length of the well-formed UTF-8 character at @s (1 to 4), or 0 if it is not one. */
size_t gs_utf8_len(const char *s, size_t n);

#endif
