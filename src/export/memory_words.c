/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Numbers, names and lines of mem as people read them. Names are foreign and go out escaped. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json_writer.h"
#include "export/frame_words.h"
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

void gs__mem_frame(struct gs_out *o, const struct gs_frame *f, unsigned int go_minor)
{
	if (!f->function[0])
		gs_out_hex(o, f->pc);
	gs__put_frame(o, f, go_minor);
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

void gs__mem_put_process(struct gs__lines *t, const struct gs_process *p)
{
	gs__put_name(t, p && p->service && p->service[0] ? p->service : "process");
	if (!p)
		return;
	gs_out_printf(&t->line, " (PID %" PRId32, p->pid);
	if (p->go_version && p->go_version[0]) {
		gs_out_str(&t->line, ", ");
		gs__put_name(t, p->go_version);
	}
	gs_out_char(&t->line, ')');
}

void gs__mem_put_frames(struct gs__lines *t, const struct gs_frame *f, uint32_t n, uint32_t most,
			unsigned int indent, bool all)
{
	uint32_t put = 0, left = 0;

	for (uint32_t i = all ? 0 : gs__mem_first_shown(f, n); i < n; i++) {
		if (!all && !gs__mem_frame_shown(&f[i]))
			continue;
		if (!all && put == most) {
			left++;
			continue;
		}
		gs_out_printf(&t->line, "%*s", (int)indent, "");
		gs__mem_frame(&t->line, &f[i], t->go_minor);
		gs__put_line(t, GS__PLAIN);
		put++;
	}
	if (left) {
		gs_out_printf(&t->line, "%*s… %u more", (int)indent, "", left);
		gs__put_line(t, GS__DIM);
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
