/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * mem as an interactive treemap: one HTML file that loads nothing and works from file://. The page (memory_treemap.html) and its
 * script (memory_treemap.js) are built in; the result stands in the page as JSON:
 *
 *	{"title": …, "about": …, "resident": bool, "verdict": [{"text", "advice", "frames": […]}, …],
 *	 "classes": [{"name", "words", "group", "how", "weights": [resident, address space, huge pages],
 *	              "parts": [{"name", "note", "frames": […], "weights": […]}, …]}, …],
 *	 "growth": [{"words", "bytes"}, …], "incomplete": […]}
 *
 * "<" becomes \u003c there, so that no name can end the script element; names are escaped like on a terminal before that, and the script
 * only ever sets them as text. Of more parts than a screen can show the smallest are left to the rest of their class.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "export/html_page.h"
#include "export/memory_private.h"
#include "export/why_export.h"

#include "memory_treemap_text.inc"

#define PARTS_MAX 400u /* of a class */
#define FRAMES_MAX 12u

struct map {
	const struct gs_mem_result *r;
	struct gs_json j;
	struct gs_out json, text;
	unsigned int go_minor;
};

/* Colours of classes. The script has the names of the groups in the same order. */
enum group { HEAP, STACKS, RUNTIME, PROGRAM, LIBRARIES, C_MEMORY, FILES, ANONYMOUS, OTHER };

static enum group group_of(enum gs_mem_class_id c)
{
	if (c <= GS_MEM_HEAP_RESERVED)
		return HEAP;
	if (c == GS_MEM_STACKS || c == GS_MEM_STACKS_FREE)
		return STACKS;
	if (c <= GS_MEM_RT_OTHER)
		return RUNTIME;
	if (c <= GS_MEM_BSS)
		return PROGRAM;
	if (c <= GS_MEM_LIBRARY_RESIDUE)
		return LIBRARIES;
	if (c <= GS_MEM_THREAD_STACKS)
		return C_MEMORY;
	if (c <= GS_MEM_SHARED)
		return FILES;
	return c == GS_MEM_ANONYMOUS ? ANONYMOUS : OTHER;
}

/* The text that was put together, as a value. */
static void put_text(struct map *m)
{
	gs_json_string_n(&m->j, m->text.len ? m->text.buf : "", m->text.len);
	m->text.len = 0;
}

static void put_name(struct map *m, const char *key, const char *s)
{
	gs_json_key(&m->j, key);
	gs_out_name(&m->text, s ? s : "", s ? strlen(s) : 0);
	put_text(m);
}

static void put_frames(struct map *m, const struct gs_frame *f, uint32_t n)
{
	gs_json_key(&m->j, "frames");
	gs_json_open_array(&m->j);
	for (uint32_t i = gs__mem_first_shown(f, n), put = 0; i < n && put < FRAMES_MAX; i++) {
		if (!gs__mem_frame_shown(&f[i]))
			continue;
		gs__mem_frame(&m->text, &f[i], m->go_minor);
		put_text(m);
		put++;
	}
	gs_json_close(&m->j);
}

static void put_weights(struct map *m, uint64_t resident, uint64_t bytes, uint64_t huge)
{
	gs_json_key(&m->j, "weights");
	gs_json_open_array(&m->j);
	gs_json_u64(&m->j, resident);
	gs_json_u64(&m->j, bytes);
	gs_json_u64(&m->j, huge);
	gs_json_close(&m->j);
}

static void titles(struct map *m)
{
	const struct gs_mem_result *r = m->r;
	const struct gs_process *p = r->process;
	char a[24], b[24];

	put_name(m, "title", p && p->service && p->service[0] ? p->service : "process");
	gs_json_key(&m->j, "about");
	if (p)
		gs_out_printf(&m->text, "PID %" PRId32 ", ", p->pid);
	if (p && p->go_version && p->go_version[0]) {
		gs_out_name(&m->text, p->go_version, strlen(p->go_version));
		gs_out_str(&m->text, ", ");
	}
	if (r->kernel_view)
		gs_out_printf(&m->text, "%s resident", gs__mem_bytes(a, r->rss_bytes));
	else
		gs_out_str(&m->text, "a core file: address space only");
	if (r->watched_ns > 0)
		gs_out_printf(&m->text, ", watched for %s: %s", gs_why_time(a, r->watched_ns),
			      gs__mem_change(b, (int64_t)(r->rss_bytes - r->rss_before_bytes)));
	put_text(m);
	gs_json_kv_bool(&m->j, "resident", r->kernel_view);
}

static void verdict(struct map *m)
{
	gs_json_key(&m->j, "verdict");
	gs_json_open_array(&m->j);
	for (uint32_t i = 0; i < m->r->n_verdict; i++) {
		const struct gs_mem_verdict *v = &m->r->verdict[i];

		gs_json_open_object(&m->j);
		put_name(m, "text", v->text);
		put_name(m, "advice", v->advice);
		put_frames(m, v->frames, v->n_frames);
		gs_json_close(&m->j);
	}
	gs_json_close(&m->j);
}

static void part(struct map *m, const struct gs__mem_part *x)
{
	const struct gs_stack *s = x->site ? x->site->stack : NULL;
	const struct gs_frame *f = s ? gs__mem_culprit(s->frames, s->n_frames) : NULL;

	gs_json_open_object(&m->j);
	if (f) {
		gs_json_key(&m->j, "name");
		gs__mem_frame(&m->text, f, m->go_minor);
		put_text(m);
	} else if (x->item && x->item->count > 1) {
		gs_json_key(&m->j, "name");
		gs_out_name(&m->text, x->item->name ? x->item->name : "",
			    x->item->name ? strlen(x->item->name) : 0);
		gs_out_printf(&m->text, " (%" PRIu32 ")", x->item->count);
		put_text(m);
	} else {
		put_name(m, "name", x->item ? x->item->name : "?");
	}
	put_name(m, "note", x->item ? x->item->note : NULL);
	put_frames(m, s ? s->frames : NULL, s ? s->n_frames : 0);
	put_weights(m, m->r->kernel_view ? x->weight : 0, x->bytes, x->huge_bytes);
	gs_json_close(&m->j);
}

static void class(struct map *m, const struct gs__mem_part *x, uint32_t n)
{
	const struct gs_mem_class *c = &m->r->class[x->class];
	uint32_t put = 0;

	gs_json_open_object(&m->j);
	gs_json_kv_string(&m->j, "name", gs_mem_class_name(x->class));
	gs_json_kv_string(&m->j, "words", gs_mem_class_words(x->class));
	gs_json_kv_u64(&m->j, "group", group_of(x->class));
	gs_json_kv_string(&m->j, "how", c->how ? gs_mem_how_name(c->how) : "");
	put_weights(m, m->r->kernel_view ? c->resident_bytes : 0, c->bytes, c->huge_bytes);
	gs_json_key(&m->j, "parts");
	gs_json_open_array(&m->j);
	for (uint32_t i = 0; i < n && put < PARTS_MAX; i++) {
		if (!x[i].item && !x[i].site)
			continue; // what is left of the class shows by itself
		part(m, &x[i]);
		put++;
	}
	gs_json_close(&m->j);
	gs_json_close(&m->j);
}

static void classes(struct map *m, const struct gs__mem_part *x, uint32_t n)
{
	gs_json_key(&m->j, "classes");
	gs_json_open_array(&m->j);
	for (uint32_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && x[end].class == x[i].class;)
			end++;
		class(m, x + i, end - i);
	}
	gs_json_close(&m->j);
}

static void growth(struct map *m)
{
	const struct gs_mem_result *r = m->r;

	gs_json_key(&m->j, "growth");
	gs_json_open_array(&m->j);
	for (uint32_t i = 0; r->watched_ns > 0 && i < r->n_growth && i < GS_MEM_CLASS_COUNT; i++) {
		if (r->growth[i].class >= GS_MEM_CLASS_COUNT || !r->growth[i].bytes)
			continue;
		gs_json_open_object(&m->j);
		gs_json_kv_string(&m->j, "words", gs_mem_class_words(r->growth[i].class));
		gs_json_kv_i64(&m->j, "bytes", r->growth[i].bytes);
		gs_json_close(&m->j);
	}
	gs_json_close(&m->j);
}

static void incomplete(struct map *m)
{
	const struct gs_incomplete_list *l = m->r->incomplete;

	gs_json_key(&m->j, "incomplete");
	gs_json_open_array(&m->j);
	for (uint32_t i = 0; l && i < l->n; i++) {
		gs_out_printf(&m->text, "%" PRIu64 " ", l->item[i].count);
		gs_out_name(&m->text, l->item[i].what, strlen(l->item[i].what));
		gs_out_str(&m->text, ": ");
		gs_out_name(&m->text, l->item[i].why, strlen(l->item[i].why));
		put_text(m);
	}
	gs_json_close(&m->j);
}

void gs_memory_treemap(struct gs_out *o, const struct gs_mem_result *r)
{
	GS_CLEANUP(gs_freep) struct gs__mem_part *x = NULL;
	struct map m = { .r = r };
	uint32_t n = 0;
	int e = gs__mem_parts(r, &x, &n, NULL);

	gs_out_init_mem(&m.json);
	gs_out_init_mem(&m.text);
	m.go_minor = gs_go_version_minor(r->process ? r->process->go_version : NULL);
	gs_json_init(&m.j, &m.json, false);
	gs_json_open_object(&m.j);
	titles(&m);
	verdict(&m);
	classes(&m, x, n);
	growth(&m);
	incomplete(&m);
	gs_json_close(&m.j);
	if (e == 0)
		e = m.json.error ? m.json.error : m.text.error;
	if (e == 0)
		gs__html_page(o, memory_treemap_html, "@RESULT@", &m.json, memory_treemap_js);
	else if (!o->error)
		o->error = e;
	gs_out_deinit(&m.json);
	gs_out_deinit(&m.text);
}
