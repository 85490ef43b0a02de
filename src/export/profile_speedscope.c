/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A profile as speedscope reads it (www.speedscope.app/file-format-schema.json): functions once in
 * shared.frames, and of each stack the numbers of its functions, outermost first, with its time as weight.
 * A profile with both kinds of time becomes three that the viewer switches between: all of it, on CPU, and off CPU.
 */
#include "base/escape.h"
#include "base/json_writer.h"
#include "export/profile_export.h"
#include "export/profile_tree.h"

#define MAX_PATH 1100u /* deeper than any path of the tree */

enum part { ALL, ON_CPU, OFF_CPU };

static bool belongs(const struct gs__profile_tree *t, const struct gs__profile_node *n,
		    enum part part)
{
	bool waits = t->names[n->name].kind == GS__FRAME_CLASS;

	return n->self_ns > 0 && (part == ALL || (part == OFF_CPU) == waits);
}

static void frames(struct gs_json *j, const struct gs__profile_tree *t, struct gs_out *text)
{
	gs_json_key(j, "frames");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < t->n_names && !gs_out_failed(j->out); i++) {
		const struct gs__profile_name *n = &t->names[i];

		text->len = 0;
		gs_out_name(text, n->text, n->len);
		if (n->kind == GS__FRAME_KERNEL)
			gs_out_str(text, " [kernel]");
		gs_json_open_object(j);
		gs_json_key(j, "name");
		gs_json_string_n(j, text->len ? text->buf : "", text->len);
		if (n->file[0]) {
			text->len = 0;
			gs_out_name(text, n->file, strlen(n->file));
			gs_json_key(j, "file");
			gs_json_string_n(j, text->buf, text->len);
		}
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void samples(struct gs_json *j, const struct gs__profile_tree *t, enum part part)
{
	uint32_t path[MAX_PATH], depth, node = 0;

	gs_json_key(j, "samples");
	gs_json_open_array(j);
	while ((node = gs__profile_tree_next(t, node, false, &depth)) && !gs_out_failed(j->out)) {
		path[depth] = node;
		if (!belongs(t, &t->nodes[node], part))
			continue;
		gs_json_open_array(j);
		for (uint32_t i = 0; i <= depth; i++)
			gs_json_u64(j, t->nodes[path[i]].name);
		gs_json_close(j);
	}
	gs_json_close(j);
}

/* @return their sum. */
static int64_t weights(struct gs_json *j, const struct gs__profile_tree *t, enum part part)
{
	uint32_t depth, node = 0;
	int64_t sum = 0;

	gs_json_key(j, "weights");
	gs_json_open_array(j);
	while ((node = gs__profile_tree_next(t, node, false, &depth)) && !gs_out_failed(j->out)) {
		if (!belongs(t, &t->nodes[node], part))
			continue;
		gs_json_i64(j, t->nodes[node].self_ns);
		sum += t->nodes[node].self_ns;
	}
	gs_json_close(j);
	return sum;
}

static void profile(struct gs_json *j, const struct gs__profile_tree *t, const char *name,
		    enum part part)
{
	gs_json_open_object(j);
	gs_json_kv_string(j, "type", "sampled");
	gs_json_kv_string(j, "name", name);
	gs_json_kv_string(j, "unit", "nanoseconds");
	gs_json_kv_i64(j, "startValue", 0);
	samples(j, t, part);
	gs_json_kv_i64(j, "endValue", weights(j, t, part));
	gs_json_close(j);
}

static void document(struct gs_json *j, const struct gs__profile_tree *t,
		     const struct gs_profile *p, const struct gs_profile_facts *f,
		     struct gs_out *text)
{
	const char *service = f->process->service ? f->process->service : "";

	gs_json_open_object(j);
	gs_json_kv_string(j, "$schema", "https://www.speedscope.app/file-format-schema.json");
	gs_json_kv_string(j, "exporter", "gosonde");
	text->len = 0;
	gs_out_name(text, service, strlen(service));
	gs_json_key(j, "name");
	gs_json_string_n(j, text->len ? text->buf : "", text->len);
	gs_json_kv_i64(j, "activeProfileIndex", 0);
	gs_json_key(j, "shared");
	gs_json_open_object(j);
	frames(j, t, text);
	gs_json_close(j);
	gs_json_key(j, "profiles");
	gs_json_open_array(j);
	if (gs_profile_kind(p) == GS_PROFILE_WALL) {
		profile(j, t, "wall", ALL);
		profile(j, t, "on CPU", ON_CPU);
		profile(j, t, "off CPU", OFF_CPU);
	} else {
		profile(j, t, gs_profile_kind(p) == GS_PROFILE_CPU ? "on CPU" : "off CPU", ALL);
	}
	gs_json_close(j);
	gs_json_close(j);
	gs_out_char(j->out, '\n');
}

static int write_speedscope(struct gs_out *out, const struct gs_profile *p,
			    const struct gs_profile_facts *f, struct gs_err *err)
{
	struct gs__profile_tree t;
	struct gs_json j;
	struct gs_out text;
	int r = gs__profile_tree_init(&t, p, f, err);

	if (r == 0)
		r = gs__profile_tree_sort(&t, false, err);
	gs_out_init_mem(&text);
	if (r == 0) {
		gs_json_init(&j, out, false);
		document(&j, &t, p, f, &text);
		if (gs_out_failed(&text))
			r = gs_fail(err, text.error, 0, "cannot write the profile: out of memory");
	}
	gs_out_deinit(&text);
	gs__profile_tree_deinit(&t);
	return r;
}

const struct gs_profile_format gs_profile_speedscope = {
	.name = "speedscope",
	.view_before = "open ",
	.view_after = " in https://www.speedscope.app (it stays in the browser)",
	.write = write_speedscope,
};
