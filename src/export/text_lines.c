/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* How a line of text is cut, broken and coloured. */
#include "export/text_lines.h"

#include <string.h>

#include "base/escape.h"

void gs__lines_init(struct gs__lines *t, struct gs_out *o, bool colour, unsigned int width,
		    const struct gs_process *process)
{
	*t = (struct gs__lines){ .o = o, .colour = colour, .width = width };
	gs_out_init_mem(&t->line);
	t->go_minor = gs_go_version_minor(process ? process->go_version : NULL);
}

void gs__lines_deinit(struct gs__lines *t)
{
	if (t->line.error && !t->o->error)
		t->o->error = t->line.error;
	gs_out_deinit(&t->line);
}

static const char *const style_on[] = { "", "\033[1m", "\033[1;31m", "\033[2m" };

static void put_styled(struct gs__lines *t, enum gs__style style, const char *s, size_t n,
		       const char *after)
{
	if (t->colour)
		gs_out_str(t->o, style_on[style]);
	gs_out_bytes(t->o, s, n);
	gs_out_str(t->o, after);
	if (t->colour && style != GS__PLAIN)
		gs_out_str(t->o, "\033[0m");
	gs_out_char(t->o, '\n');
}

void gs__put_line(struct gs__lines *t, enum gs__style style)
{
	size_t cut = 0, at = 0;
	unsigned int columns = 0;

	while (at < t->line.len) {
		size_t n = gs_utf8_len(t->line.buf + at, t->line.len - at);

		if (t->width && ++columns > t->width)
			break;
		at += n ? n : 1;
		if (!t->width || columns < t->width)
			cut = at;
	}
	if (at < t->line.len)
		put_styled(t, style, t->line.buf, cut, "…");
	else
		put_styled(t, style, t->line.len ? t->line.buf : "", t->line.len, "");
	t->line.len = 0;
}

/* Where to break a line that does not fit: the last blank within @width columns, or right there. */
static size_t break_at(const char *s, size_t n, unsigned int width)
{
	size_t at = 0, blank = 0;

	for (unsigned int columns = 0; at < n; columns++) {
		size_t len = gs_utf8_len(s + at, n - at);

		if (columns >= width)
			return blank ? blank : at;
		if (s[at] == ' ' && columns)
			blank = at;
		at += len ? len : 1;
	}
	return n;
}

void gs__put_wrapped(struct gs__lines *t, enum gs__style style, unsigned int indent)
{
	unsigned int width = t->width > indent + 20 ? t->width : 0;
	const char *s = t->line.len ? t->line.buf : "";
	size_t n = t->line.len, used;
	bool first = true;

	do {
		used = width ? break_at(s, n, first ? width : width - indent) : n;
		if (!first)
			gs_out_printf(t->o, "%*s", (int)indent, "");
		put_styled(t, style, s, used, "");
		first = false;
		s += used;
		n -= used;
		while (n && *s == ' ') {
			s++;
			n--;
		}
	} while (n);
	t->line.len = 0;
}

void gs__put_name(struct gs__lines *t, const char *s)
{
	gs_out_name(&t->line, s, strlen(s));
}
