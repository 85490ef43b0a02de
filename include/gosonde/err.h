/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GOSONDE_ERR_H
#define GOSONDE_ERR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Results of fallible functions: negative is a failure (a negative errno or a negated code from
 * below), 0 is done, positive is an outcome that the function's own comment lists.
 */
enum gs_err_code {
	GS_E_FIRST = 5000,
	GS_E_BAD_DATA = GS_E_FIRST, /* bytes of a file or a target contradict themselves */
	GS_E_NOT_GO,                /* no Go runtime in this file or process */
	GS_E_UNSUPPORTED,           /* valid, but not something gosonde can read */
	GS_E_FAULT,                 /* target memory that is not there or not readable */
	GS_E_LIMIT,                 /* a count, size, depth or time bound was reached */
	GS_E_GONE,                  /* the target exited, or is another process by now */
	GS_E_PERMISSION,            /* the kernel refused; the text says what would help */
	GS_E_NOT_FOUND,             /* what was asked for does not exist */
};

/** What failed and why. Owned by the caller; nothing to free. */
struct gs_err {
	int32_t code; /* same value as the function's result */
	uint32_t pad;
	uint64_t where; /* file offset or target address, 0 if it has none */
	char text[496]; /* one line, no newline, control characters already escaped */
};

#if defined(__GNUC__)
#define GS_CHECKED __attribute__((__warn_unused_result__))
#define GS_PRINTF(f, a) __attribute__((__format__(__printf__, f, a)))
#else
#define GS_CHECKED
#define GS_PRINTF(f, a)
#endif

/** Fill @err (may be NULL) and return @code, so that failing is one statement. */
int gs_fail(struct gs_err *err, int code, uint64_t where, const char *fmt, ...) GS_PRINTF(4, 5);

/** Put "@fmt: " in front of the text of @err (may be NULL) and return @code, which it also stores. */
int gs_fail_in(struct gs_err *err, int code, const char *fmt, ...) GS_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
