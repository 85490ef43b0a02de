/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The list of what a result is missing; see result.h. */
#include "model/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"

void gs_incomplete_add(struct gs_incomplete_list *l, const char *what, uint64_t count,
		       const char *fmt, ...)
{
	struct gs_incomplete *it = NULL;
	char raw[sizeof(it->why)];
	va_list ap;

	if (count == 0)
		return;
	for (uint32_t i = 0; i < l->n && !it; i++)
		if (strcmp(l->item[i].what, what) == 0)
			it = &l->item[i];
	if (it) {
		it->count += count;
		return;
	}
	if (l->n == GS_INCOMPLETE_MAX) {
		it = &l->item[l->n - 1];
		it->what = "others";
		it->count += count;
		return;
	}
	it = &l->item[l->n++];
	it->what = what;
	it->count = count;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	gs_escape_to(it->why, sizeof(it->why), raw, strlen(raw));
}
