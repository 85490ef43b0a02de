/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_TEXT_LINES_H
#define GS_EXPORT_TEXT_LINES_H

/* Text for people, line by line: a line is put together in memory, then written, cut or broken to the width of the terminal. */
#include <stdbool.h>

#include "base/out.h"
#include "model/result.h"

struct gs__lines {
	struct gs_out *o;
	struct gs_out line;
	bool colour;
	unsigned int width; /* 0: lines stay whole */
	unsigned int go_minor;
};

enum gs__style { GS__PLAIN, GS__BOLD, GS__ALARM, GS__DIM };

/** Text about @process, which may be NULL. gs__lines_deinit() in any case. */
void gs__lines_init(struct gs__lines *t, struct gs_out *o, bool colour, unsigned int width,
		    const struct gs_process *process);
/** Hands a failure of the line on to the output. */
void gs__lines_deinit(struct gs__lines *t);
/** Write the line, cut to the width. What is in it is escaped: each character is one column. */
void gs__put_line(struct gs__lines *t, enum gs__style style);
/** Write the line, broken at blanks to the width; later lines are indented by @indent. */
void gs__put_wrapped(struct gs__lines *t, enum gs__style style, unsigned int indent);
/** A foreign name, escaped, to the line. */
void gs__put_name(struct gs__lines *t, const char *s);

#endif
