/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_TERMINAL_H
#define GS_CLI_TERMINAL_H

/* Texts in columns. */
#include <stddef.h>
#include <stdint.h>

#include "base/out.h"

/** Columns of the terminal behind @fd (or $COLUMNS); 0 if it is none: do not cut. */
unsigned int gs_terminal_width(int fd);
/** Columns that escaped, valid UTF-8 takes on a terminal. */
unsigned int gs_text_columns(const char *s, size_t n);
/**
 * Write foreign text escaped, cut to @width columns (0: whole) with "…" at the cut.
 * @return the columns written.
 */
unsigned int gs_text_cell(struct gs_out *o, const char *s, size_t n, unsigned int width);

/** "1.5 GiB", "12 MiB", "640 KiB": at most 8 columns. */
const char *gs_text_bytes(char buf[16], uint64_t bytes);
/** "3d04h", "4h12m", "12m05s", "7s", "350ms". */
const char *gs_text_duration(char buf[16], int64_t ns);

#endif
