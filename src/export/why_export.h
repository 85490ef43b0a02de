/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_WHY_EXPORT_H
#define GS_EXPORT_WHY_EXPORT_H

/* The result of why (model/why.h) as text for people and as JSON. */
#include <stdbool.h>

#include "base/out.h"
#include "model/why.h"

struct gs_why_print {
	bool colour;        /* text on a terminal */
	bool pretty;        /* indented JSON */
	unsigned int width; /* text: cut lines there; 0: whole */
};

/** What an SRE reads at night: the first causes, then routes, then the slowest requests. */
void gs_why_text(struct gs_out *o, const struct gs_why_result *r, const struct gs_why_print *p);
/** One object, schema "gosonde.why/1". */
void gs_why_json(struct gs_out *o, const struct gs_why_result *r, const struct gs_why_print *p);

/** "212 ms", "1.25 s", "45.1 us": three digits. */
const char *gs_why_time(char buf[24], int64_t ns);
/** What time was spent on, in plain words: "fsync of ledger.db in store.(*Ledger).flush ledger.go:77". */
void gs_why_describe(struct gs_out *o, const struct gs_why_what *w, unsigned int go_minor);

#endif
