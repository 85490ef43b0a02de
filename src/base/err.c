/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Error records are filled once, where the failure is understood, and travel upwards unchanged or
 * with a prefix. The text may quote names from hostile files, so it is escaped here, once.
 */
#include <gosonde/err.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"

static void set_text(struct gs_err *err, const char *raw)
{
	gs_escape_to(err->text, sizeof(err->text), raw, strlen(raw));
}

int gs_fail(struct gs_err *err, int code, uint64_t where, const char *fmt, ...)
{
	char raw[sizeof(err->text)];
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	err->code = code;
	err->pad = 0;
	err->where = where;
	set_text(err, raw);
	return code;
}

int gs_fail_in(struct gs_err *err, int code, const char *fmt, ...)
{
	char raw[sizeof(err->text)], old[sizeof(err->text)];
	va_list ap;
	int n;

	if (!err)
		return code;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	err->code = code;
	if (n >= 0 && (size_t)n < sizeof(raw))
		snprintf(raw + n, sizeof(raw) - (size_t)n, ": %s", old);
	set_text(err, raw);
	return code;
}
