/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BASE_OUT_H
#define GS_BASE_OUT_H

/*
 * Buffered output to a file descriptor or to memory. Errors stick: writers need not check each
 * call, the owner asks once at the end, so a full disk or a closed pipe is never lost. After an
 * error writes cost nothing and gs_out_failed() tells long loops to stop. Large outputs to a file
 * descriptor are written by a thread while the next buffer is filled.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <gosonde/err.h>

#include "base/cleanup.h"

struct gs_out_writer;

struct gs_out {
	int fd; /* -1: memory only, the buffer grows */
	char *buf;
	size_t len, cap;
	uint64_t total;               /* bytes accepted */
	int error;                    /* first failure as negative errno, 0 if none */
	struct gs_out_writer *writer; /* a thread that writes, once there is much to write */
};

/** Write to @fd, which stays the caller's. */
void gs_out_init_fd(struct gs_out *o, int fd);
/** Collect in memory; @o->buf/@o->len hold the result. */
void gs_out_init_mem(struct gs_out *o);
/** Frees the buffer; does not flush. */
void gs_out_deinit(struct gs_out *o);
/** Hand out what is buffered. @return 0 or the sticky error with a message about @name. */
GS_CHECKED int gs_out_flush(struct gs_out *o, const char *name, struct gs_err *err);
static inline bool gs_out_failed(const struct gs_out *o)
{
	return o->error != 0;
}

/** Make room for @n more bytes; false after an error. */
bool gs_out_room(struct gs_out *o, size_t n);

static inline void gs_out_bytes(struct gs_out *o, const void *p, size_t n)
{
	if (o->cap - o->len < n && !gs_out_room(o, n))
		return;
	if (n)
		memcpy(o->buf + o->len, p, n);
	o->len += n;
	o->total += n;
}

static inline void gs_out_str(struct gs_out *o, const char *s)
{
	gs_out_bytes(o, s, strlen(s));
}

static inline void gs_out_char(struct gs_out *o, char c)
{
	gs_out_bytes(o, &c, 1);
}

void gs_out_u64(struct gs_out *o, uint64_t v);
void gs_out_i64(struct gs_out *o, int64_t v);
/** "0x" and lower-case digits without leading zeros. */
void gs_out_hex(struct gs_out *o, uint64_t v);
void gs_out_printf(struct gs_out *o, const char *fmt, ...) GS_PRINTF(2, 3);
/** A foreign name, escaped for a terminal (base/escape.h). */
void gs_out_name(struct gs_out *o, const char *s, size_t n);

static inline void gs_out_deinitp(struct gs_out *o)
{
	gs_out_deinit(o);
}

#endif
