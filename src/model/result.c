/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What every result carries, see result.h: the list of what is missing, the target's Go release. */
#include "model/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/json_writer.h"

/* What is not known is null, not "". */
static void text(struct gs_json *j, const char *key, const char *s)
{
	gs_json_kv_string(j, key, s && s[0] ? s : NULL);
}

void gs_process_json(struct gs_json *j, const struct gs_process *p)
{
	gs_json_key(j, "process");
	gs_json_open_object(j);
	gs_json_kv_i64(j, "pid", p->pid);
	gs_json_key(j, "start_time");
	gs_json_time(j, p->start_time_unix_ns);
	text(j, "executable", p->executable);
	text(j, "go_version", p->go_version);
	text(j, "goos", p->goos);
	text(j, "goarch", p->goarch);
	text(j, "service", p->service);
	gs_json_close(j);
}

void gs_incomplete_json(struct gs_json *j, const struct gs_incomplete_list *l)
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

unsigned int gs_go_version_minor(const char *version)
{
	const char *p = version ? strstr(version, "go1.") : NULL;
	unsigned int minor = 0;

	if (!p)
		return 0;
	for (p += strlen("go1."); *p >= '0' && *p <= '9' && minor < 1000; p++)
		minor = minor * 10 + (unsigned int)(*p - '0');
	return minor;
}
