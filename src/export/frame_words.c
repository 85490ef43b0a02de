/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What of a frame the formats show. Names are foreign: text has them escaped, JSON raw. */
#include "export/frame_words.h"

#include <string.h>

#include "base/json_writer.h"
#include "model/func_name.h"

static struct gs_func_name split(const struct gs_frame *f, unsigned int go_minor)
{
	return gs_func_name_split(f->function, go_minor == 0 || go_minor >= 27);
}

void gs__put_function(struct gs_out *o, const struct gs_frame *f, unsigned int go_minor)
{
	const struct gs_func_name n = split(f, go_minor);

	for (unsigned int i = 0; i < n.n; i++)
		gs_out_bytes(o, n.piece[i], n.len[i]);
}

void gs__put_frame(struct gs_out *o, const struct gs_frame *f, unsigned int go_minor)
{
	struct gs_func_name n = split(f, go_minor);
	const char *slash = n.n ? memrchr(n.piece[0], '/', n.len[0]) : NULL;

	if (slash) {
		n.len[0] -= (size_t)(slash + 1 - n.piece[0]);
		n.piece[0] = slash + 1;
	}
	for (unsigned int i = 0; i < n.n; i++)
		gs_out_name(o, n.piece[i], n.len[i]);
	if (f->file && f->file[0]) {
		slash = strrchr(f->file, '/');
		gs_out_char(o, ' ');
		gs_out_name(o, slash ? slash + 1 : f->file, strlen(slash ? slash + 1 : f->file));
		if (f->line)
			gs_out_printf(o, ":%u", f->line);
	}
}

void gs__put_folded(struct gs_out *o, const char *s, size_t n)
{
	for (size_t from = 0, i = 0; i <= n; i++) {
		if (i < n && s[i] != ';' && s[i] != ' ')
			continue;
		gs_out_name(o, s + from, i - from);
		if (i < n)
			gs_out_str(o, s[i] == ';' ? "\\x3b" : "\\x20");
		from = i + 1;
	}
}

void gs__frame_json(struct gs_json *j, const struct gs_frame *f, unsigned int go_minor)
{
	struct gs_out name;

	gs_out_init_mem(&name);
	gs__put_function(&name, f, go_minor);
	gs_json_open_object(j);
	gs_json_key(j, "function");
	gs_json_string_n(j, name.len ? name.buf : "", name.len);
	if (name.error && !j->out->error)
		j->out->error = name.error;
	gs_out_deinit(&name);
	if (f->flags & GS_FRAME_KERNEL) {
		gs_json_kv_bool(j, "kernel", true);
	} else {
		gs_json_kv_string(j, "file", f->file && f->file[0] ? f->file : NULL);
		gs_json_key(j, "line");
		if (f->line)
			gs_json_u64(j, f->line);
		else
			gs_json_null(j);
		gs_json_key(j, "pc");
		gs_json_hex(j, f->pc);
	}
	if (f->flags & GS_FRAME_INLINED)
		gs_json_kv_bool(j, "inlined", true);
	if (f->flags & GS_FRAME_FOREIGN)
		gs_json_kv_bool(j, "foreign", true);
	gs_json_close(j);
}

void gs__frames_json(struct gs_json *j, const char *key, const struct gs_frame *f, uint32_t n,
		     unsigned int go_minor)
{
	gs_json_key(j, key);
	gs_json_open_array(j);
	for (uint32_t i = 0; i < n; i++)
		if (!(f[i].flags & GS_FRAME_WRAPPER))
			gs__frame_json(j, &f[i], go_minor);
	gs_json_close(j);
}
