/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A profile as an interactive flame graph: one HTML file that loads nothing and works from file://. The page
 * (profile_flame.html) and its script (profile_flame.js) are built in; the profile stands in the page as JSON:
 *
 *	{"title": …, "about": …, "total": ns, "names": [text, …], "kinds": [enum gs__frame_kind, …],
 *	 "nodes": [depth, name, ns, …]}        parents before children, widest sibling first
 *
 * "<" becomes \u003c there, so that no name can end the script element; names are escaped like on a
 * terminal before that, and the script only ever sets them as text. What would be narrower than a
 * twentieth of a pixel on a wide screen is left out, and more of it when the file would become large.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "export/html_page.h"
#include "export/profile_export.h"
#include "export/profile_tree.h"

#include "profile_flame_text.inc"

#define MIN_SHARE 40000 /* a node has at least this part of the whole */
#define MAX_NODES 60000u

struct flame {
	struct gs__profile_tree t;
	int64_t min_ns;
	uint32_t *used; /* by name: its number in the file + 1 */
	struct gs_out json, text;
};

static uint32_t count_nodes(const struct gs__profile_tree *t, int64_t min_ns)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < t->n; i++)
		n += t->nodes[i].total_ns >= min_ns && t->nodes[i].total_ns > 0;
	return n;
}

/* The next node that is wide enough. What is below a narrow one is narrow too, and so are its
 * younger siblings. */
static uint32_t next(const struct flame *f, uint32_t node, uint32_t *depth)
{
	bool skip = false;

	do {
		node = gs__profile_tree_next(&f->t, node, skip, depth);
		skip = true;
	} while (node && (f->t.nodes[node].total_ns < f->min_ns || !f->t.nodes[node].total_ns));
	return node;
}

static void name(struct gs_json *j, struct flame *f, const struct gs__profile_name *n)
{
	f->text.len = 0;
	gs_out_name(&f->text, n->text, n->len);
	gs_json_string_n(j, f->text.len ? f->text.buf : "", f->text.len);
}

/* Only names that are left; they get their numbers in the order of the walk. */
static void names(struct gs_json *j, struct flame *f)
{
	uint32_t depth, n = 0;

	gs_json_key(j, "names");
	gs_json_open_array(j);
	for (uint32_t node = next(f, 0, &depth); node; node = next(f, node, &depth)) {
		uint32_t i = f->t.nodes[node].name;

		if (f->used[i])
			continue;
		f->used[i] = ++n;
		name(j, f, &f->t.names[i]);
	}
	gs_json_close(j);
	memset(f->used, 0, f->t.n_names * sizeof(*f->used));
	n = 0;
	gs_json_key(j, "kinds");
	gs_json_open_array(j);
	for (uint32_t node = next(f, 0, &depth); node; node = next(f, node, &depth)) {
		uint32_t i = f->t.nodes[node].name;

		if (f->used[i])
			continue;
		f->used[i] = ++n;
		gs_json_u64(j, f->t.names[i].kind);
	}
	gs_json_close(j);
}

static void nodes(struct gs_json *j, struct flame *f)
{
	uint32_t depth;

	gs_json_key(j, "nodes");
	gs_json_open_array(j);
	for (uint32_t node = next(f, 0, &depth); node; node = next(f, node, &depth)) {
		gs_json_u64(j, depth);
		gs_json_u64(j, f->used[f->t.nodes[node].name] - 1);
		gs_json_i64(j, f->t.nodes[node].total_ns);
	}
	gs_json_close(j);
}

static const char *kind_words(enum gs_profile_kind k)
{
	return k == GS_PROFILE_CPU ? "on CPU" : k == GS_PROFILE_OFF_CPU ? "off CPU" : "wall";
}

static void titles(struct gs_json *j, struct flame *f, const struct gs_profile *p,
		   const struct gs_profile_facts *facts)
{
	const struct gs_process *process = facts->process;
	const char *service = process->service && process->service[0] ? process->service : "?";
	const struct gs_profile_totals *all = gs_profile_totals(p);

	f->text.len = 0;
	gs_out_name(&f->text, service, strlen(service));
	gs_out_printf(&f->text, ": %s", kind_words(gs_profile_kind(p)));
	gs_json_key(j, "title");
	gs_json_string_n(j, f->text.buf, f->text.len);
	f->text.len = 0;
	gs_out_printf(&f->text, "PID %" PRId32 ", %.3g s watched, %.6g s in %" PRIu64 " %s",
		      process->pid, (double)facts->duration_ns / 1e9, (double)all->ns / 1e9,
		      all->count, gs_profile_kind(p) == GS_PROFILE_CPU ? "samples" : "stretches");
	for (uint32_t i = 0; i < facts->incomplete->n; i++) {
		const struct gs_incomplete *x = &facts->incomplete->item[i];

		gs_out_printf(&f->text, "; incomplete: %" PRIu64 " %s", x->count, x->what);
	}
	gs_json_key(j, "about");
	gs_json_string_n(j, f->text.buf, f->text.len);
}

static void document(struct flame *f, const struct gs_profile *p,
		     const struct gs_profile_facts *facts)
{
	struct gs_json j;

	gs_json_init(&j, &f->json, false);
	gs_json_open_object(&j);
	titles(&j, f, p, facts);
	gs_json_kv_i64(&j, "total", f->t.nodes[0].total_ns);
	names(&j, f);
	nodes(&j, f);
	gs_json_close(&j);
}

static int prepare(struct flame *f, const struct gs_profile *p,
		   const struct gs_profile_facts *facts, struct gs_err *err)
{
	int r = gs__profile_tree_init(&f->t, p, facts, err);

	if (r == 0)
		r = gs__profile_tree_sort(&f->t, false, err);
	if (r < 0)
		return r;
	f->used = gs_array_new(f->t.n_names, sizeof(*f->used));
	if (!f->used)
		return gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
	f->min_ns = f->t.nodes[0].total_ns / MIN_SHARE;
	while (count_nodes(&f->t, f->min_ns) > MAX_NODES)
		f->min_ns = f->min_ns < INT64_MAX / 2 ? f->min_ns * 2 + 1 : INT64_MAX;
	return 0;
}

static int write_flame(struct gs_out *out, const struct gs_profile *p,
		       const struct gs_profile_facts *facts, struct gs_err *err)
{
	struct flame f = { 0 };
	int r;

	gs_out_init_mem(&f.json);
	gs_out_init_mem(&f.text);
	r = prepare(&f, p, facts, err);
	if (r == 0)
		document(&f, p, facts);
	if (r == 0 && (gs_out_failed(&f.json) || gs_out_failed(&f.text)))
		r = gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
	if (r == 0)
		gs__html_page(out, profile_flame_html, "@PROFILE@", &f.json, profile_flame_js);
	gs_out_deinit(&f.json);
	gs_out_deinit(&f.text);
	gs__profile_tree_deinit(&f.t);
	free(f.used);
	return r;
}

const struct gs_profile_format gs_profile_flame = {
	.name = "flame",
	.view_before = "open ",
	.view_after = " in a web browser",
	.write = write_flame,
};
