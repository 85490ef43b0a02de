/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Numbers, names and lines of mem as people read them. Names are foreign and go out escaped. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/json_writer.h"
#include "export/memory_private.h"
#include "model/func_name.h"

const char *gs__mem_bytes(char buf[24], uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1023.95 && u + 1 < GS_ARRAY_SIZE(units)) {
		v /= 1024;
		u++;
	}
	snprintf(buf, 24, "%.*f %s", u == 0 || v >= 99.95 ? 0 : 1, v, units[u]);
	return buf;
}

const char *gs__mem_change(char buf[24], int64_t bytes)
{
	char number[24];

	gs__mem_bytes(number, bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes);
	snprintf(buf, 24, "%s%.20s", bytes < 0 ? "-" : bytes ? "+" : "", number);
	return buf;
}

/* ---- frames ---- */

void gs__mem_function(struct gs_out *o, const struct gs_frame *f, unsigned int go_minor)
{
	const struct gs_func_name n =
		gs_func_name_split(f->function, go_minor == 0 || go_minor >= 27);

	for (unsigned int i = 0; i < n.n; i++)
		gs_out_bytes(o, n.piece[i], n.len[i]);
}

void gs__mem_frame(struct gs_out *o, const struct gs_frame *f, unsigned int go_minor)
{
	struct gs_func_name n = gs_func_name_split(f->function, go_minor == 0 || go_minor >= 27);
	const char *slash = n.n ? memrchr(n.piece[0], '/', n.len[0]) : NULL;

	if (slash) {
		n.len[0] -= (size_t)(slash + 1 - n.piece[0]);
		n.piece[0] = slash + 1;
	}
	for (unsigned int i = 0; i < n.n; i++)
		gs_out_name(o, n.piece[i], n.len[i]);
	if (!f->function[0])
		gs_out_hex(o, f->pc);
	if (f->file && f->file[0]) {
		slash = strrchr(f->file, '/');
		gs_out_char(o, ' ');
		gs_out_name(o, slash ? slash + 1 : f->file, strlen(slash ? slash + 1 : f->file));
		if (f->line)
			gs_out_printf(o, ":%u", f->line);
	}
}

bool gs__mem_frame_shown(const struct gs_frame *f)
{
	return !(f->flags & (GS_FRAME_WRAPPER | GS_FRAME_HIDDEN)) &&
	       strcmp(f->function, "runtime.goexit") != 0;
}

const struct gs_frame *gs__mem_culprit(const struct gs_frame *f, uint32_t n)
{
	const struct gs_frame *first = NULL;

	for (uint32_t i = 0; i < n; i++) {
		if (!gs__mem_frame_shown(&f[i]))
			continue;
		if (!first)
			first = &f[i];
		if (f[i].function[0] && !(f[i].flags & (GS_FRAME_KERNEL | GS_FRAME_FOREIGN)) &&
		    !gs_func_standard(f[i].function))
			return &f[i];
	}
	return first ? first : n ? f : NULL;
}

uint32_t gs__mem_first_shown(const struct gs_frame *f, uint32_t n)
{
	const struct gs_frame *culprit = gs__mem_culprit(f, n);
	uint32_t i = culprit ? (uint32_t)(culprit - f) : 0;

	while (i > 0)
		if (gs__mem_frame_shown(&f[--i]))
			break;
	return i;
}

/* ---- lines ---- */

void gs__mem_text_init(struct gs__mem_text *t, struct gs_out *o, const struct gs_memory_print *p,
		       const struct gs_process *process)
{
	*t = (struct gs__mem_text){ .o = o, .p = p };
	gs_out_init_mem(&t->line);
	t->go_minor = gs_go_version_minor(process ? process->go_version : NULL);
}

void gs__mem_text_deinit(struct gs__mem_text *t)
{
	if (t->line.error && !t->o->error)
		t->o->error = t->line.error;
	gs_out_deinit(&t->line);
}

static const char *const style_on[] = { "", "\033[1m", "\033[1;31m", "\033[2m" };

static void put_styled(struct gs__mem_text *t, enum gs__mem_style style, const char *s, size_t n,
		       const char *after)
{
	if (t->p->colour)
		gs_out_str(t->o, style_on[style]);
	gs_out_bytes(t->o, s, n);
	gs_out_str(t->o, after);
	if (t->p->colour && style != GS__MEM_PLAIN)
		gs_out_str(t->o, "\033[0m");
	gs_out_char(t->o, '\n');
}

void gs__mem_put_line(struct gs__mem_text *t, enum gs__mem_style style)
{
	size_t cut = 0, at = 0;
	unsigned int columns = 0;

	while (at < t->line.len) {
		size_t n = gs_utf8_len(t->line.buf + at, t->line.len - at);

		if (t->p->width && ++columns > t->p->width)
			break;
		at += n ? n : 1;
		if (!t->p->width || columns < t->p->width)
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

void gs__mem_put_wrapped(struct gs__mem_text *t, enum gs__mem_style style, unsigned int indent)
{
	unsigned int width = t->p->width > indent + 20 ? t->p->width : 0;
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

void gs__mem_put_name(struct gs__mem_text *t, const char *s)
{
	gs_out_name(&t->line, s, strlen(s));
}

void gs__mem_put_process(struct gs__mem_text *t, const struct gs_process *p)
{
	gs__mem_put_name(t, p && p->service && p->service[0] ? p->service : "process");
	if (!p)
		return;
	gs_out_printf(&t->line, " (PID %" PRId32, p->pid);
	if (p->go_version && p->go_version[0]) {
		gs_out_str(&t->line, ", ");
		gs__mem_put_name(t, p->go_version);
	}
	gs_out_char(&t->line, ')');
}

void gs__mem_put_frames(struct gs__mem_text *t, const struct gs_frame *f, uint32_t n, uint32_t most,
			unsigned int indent)
{
	uint32_t put = 0, left = 0;

	for (uint32_t i = t->p->all ? 0 : gs__mem_first_shown(f, n); i < n; i++) {
		if (!t->p->all && !gs__mem_frame_shown(&f[i]))
			continue;
		if (!t->p->all && put == most) {
			left++;
			continue;
		}
		gs_out_printf(&t->line, "%*s", (int)indent, "");
		gs__mem_frame(&t->line, &f[i], t->go_minor);
		gs__mem_put_line(t, GS__MEM_PLAIN);
		put++;
	}
	if (left) {
		gs_out_printf(&t->line, "%*s… %u more", (int)indent, "", left);
		gs__mem_put_line(t, GS__MEM_DIM);
	}
}

/* ---- JSON ---- */

void gs__mem_json_known(struct gs_json *j, const char *key, uint64_t v, uint64_t unknown)
{
	gs_json_key(j, key);
	if (v == unknown)
		gs_json_null(j);
	else
		gs_json_u64(j, v);
}

void gs__mem_json_text(struct gs_json *j, const char *key, const char *s)
{
	gs_json_kv_string(j, key, s && s[0] ? s : NULL);
}

void gs__mem_json_frame(struct gs_json *j, const struct gs_frame *f, unsigned int go_minor)
{
	struct gs_out name;

	gs_out_init_mem(&name);
	gs__mem_function(&name, f, go_minor);
	gs_json_open_object(j);
	gs_json_key(j, "function");
	gs_json_string_n(j, name.len ? name.buf : "", name.len);
	if (name.error && !j->out->error)
		j->out->error = name.error;
	gs_out_deinit(&name);
	if (f->flags & GS_FRAME_KERNEL) {
		gs_json_kv_bool(j, "kernel", true);
	} else {
		gs__mem_json_text(j, "file", f->file);
		gs__mem_json_known(j, "line", f->line, 0);
		gs_json_key(j, "pc");
		gs_json_hex(j, f->pc);
	}
	if (f->flags & GS_FRAME_INLINED)
		gs_json_kv_bool(j, "inlined", true);
	if (f->flags & GS_FRAME_FOREIGN)
		gs_json_kv_bool(j, "foreign", true);
	gs_json_close(j);
}

void gs__mem_json_frames(struct gs_json *j, const char *key, const struct gs_frame *f, uint32_t n,
			 unsigned int go_minor)
{
	gs_json_key(j, key);
	gs_json_open_array(j);
	for (uint32_t i = 0; i < n; i++)
		if (!(f[i].flags & GS_FRAME_WRAPPER))
			gs__mem_json_frame(j, &f[i], go_minor);
	gs_json_close(j);
}

void gs__mem_json_incomplete(struct gs_json *j, const struct gs_incomplete_list *l)
{
	gs_json_key(j, "incomplete");
	gs_json_open_array(j);
	for (uint32_t i = 0; l && i < l->n; i++) {
		gs_json_open_object(j);
		gs_json_kv_string(j, "what", l->item[i].what);
		gs_json_kv_u64(j, "count", l->item[i].count);
		gs_json_kv_string(j, "why", l->item[i].why);
		gs_json_close(j);
	}
	gs_json_close(j);
}
