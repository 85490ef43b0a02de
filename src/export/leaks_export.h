/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_LEAKS_EXPORT_H
#define GS_EXPORT_LEAKS_EXPORT_H

/* The result of leaks (model/leak.h) as text, JSON (schema "gosonde.leaks/1") and pprof (type goroutineleak/count). */
#include <stdbool.h>

#include <gosonde/err.h>

#include "base/out.h"
#include "model/leak.h"

struct gs_leaks_print {
	bool colour, pretty;
	unsigned int width;
	unsigned int frames; /* text: at most so many of a stack; 0: all */
};

void gs_leaks_text(struct gs_out *o, const struct gs_leaks_result *r,
		   const struct gs_leaks_print *p);
void gs_leaks_json(struct gs_out *o, const struct gs_leaks_result *r,
		   const struct gs_leaks_print *p);
GS_CHECKED int gs_leaks_pprof(struct gs_out *o, const struct gs_leaks_result *r,
			      struct gs_err *err);

#endif
