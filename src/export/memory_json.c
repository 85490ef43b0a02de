/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * mem as one JSON object, schema "gosonde.mem/1":
 *
 *	{"schema","process":{…},"kernel_view","rss_bytes","status_rss_bytes","swap_bytes","huge_bytes","virtual_bytes",
 *	 "cgroup_bytes","cgroup_limit_bytes",
 *	 "verdict":[{"text","advice","class","bytes","frames":[frame]}],
 *	 "classes":[{"name","words","bytes","resident_bytes","pages","huge_bytes","swap_bytes","mappings","how"}],
 *	 "items":[{"class","name","note","count","bytes","resident_bytes","pages","huge_bytes","start"}],
 *	 "numa":[{"node","bytes"}],
 *	 "heap":{"goal_bytes","gc_percent","memory_limit_bytes","gc_count","last_gc_ago_seconds"},
 *	 "scavenger":{"retained_bytes","goal_bytes","gc_percent_goal_bytes","memory_limit_goal_bytes","behind_bytes",
 *	              "released_background_bytes","released_eager_bytes","why"}|null,
 *	 "metrics":{"NAME":bytes},
 *	 "watched_seconds","rss_before_bytes",
 *	 "growth":[{"class","bytes","huge_bytes","by":[frame],"growers":[GROWER]}],
 *	 "sites":[GROWER],
 *	 "incomplete":[{"what","count","why"}]}
 *
 *	GROWER: {"class","what","detail","runtime","cause","bytes","asked_bytes","count","goroutine_id","how","frames":[frame]}
 *
 * All classes are there, also empty ones, and their resident_bytes add up to rss_bytes. What is not known is null; so are the
 * resident bytes of a core file, for which kernel_view is false. "by" is the stack of the class's largest grower, or if it
 * shrank of who gave back most. Growers with negative bytes gave memory back. A class with growers whose memory did not change
 * has bytes 0.
 */
#include <string.h>

#include "base/json_writer.h"
#include "export/frame_words.h"
#include "export/memory_private.h"

struct json {
	struct gs_json *j;
	const struct gs_mem_result *r;
	unsigned int go_minor;
};

static void how(struct gs_json *j, enum gs_mem_how h)
{
	gs_json_kv_string(j, "how", h ? gs_mem_how_name(h) : NULL);
}

static void resident(const struct json *t, const char *key, uint64_t bytes)
{
	gs_json_key(t->j, key);
	if (t->r->kernel_view)
		gs_json_u64(t->j, bytes);
	else
		gs_json_null(t->j);
}

static void totals(const struct json *t)
{
	const struct gs_mem_result *r = t->r;
	struct gs_json *j = t->j;
	uint64_t limit = r->cgroup_limit_bytes == UINT64_MAX ? 0 : r->cgroup_limit_bytes;

	gs_json_kv_bool(j, "kernel_view", r->kernel_view);
	resident(t, "rss_bytes", r->rss_bytes);
	resident(t, "status_rss_bytes", r->status_rss_bytes);
	resident(t, "swap_bytes", r->swap_bytes);
	resident(t, "huge_bytes", r->huge_bytes);
	gs_json_kv_u64(j, "virtual_bytes", r->virtual_bytes);
	gs__mem_json_known(j, "cgroup_bytes", r->cgroup_bytes, 0);
	gs__mem_json_known(j, "cgroup_limit_bytes", limit, 0);
}

static void verdict(const struct json *t)
{
	struct gs_json *j = t->j;

	gs_json_key(j, "verdict");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < t->r->n_verdict; i++) {
		const struct gs_mem_verdict *v = &t->r->verdict[i];

		gs_json_open_object(j);
		gs_json_kv_string(j, "text", v->text);
		gs__mem_json_text(j, "advice", v->advice);
		gs_json_kv_string(j, "class", gs_mem_class_name(v->class));
		gs_json_kv_i64(j, "bytes", v->bytes);
		gs__frames_json(j, "frames", v->frames, v->n_frames, t->go_minor);
		gs_json_close(j);
	}
	gs_json_close(j);
}

/* Pages that are resident; those of a core file are not known. */
static void pages(const struct json *t, uint64_t resident_bytes)
{
	gs_json_key(t->j, "pages");
	if (t->r->kernel_view && t->r->page_bytes)
		gs_json_u64(t->j, resident_bytes / t->r->page_bytes);
	else
		gs_json_null(t->j);
}

static void classes(const struct json *t)
{
	enum gs_mem_class_id order[GS_MEM_CLASS_COUNT];
	struct gs_json *j = t->j;

	gs__mem_class_order(t->r, order);
	gs_json_key(j, "classes");
	gs_json_open_array(j);
	for (int i = 0; i < GS_MEM_CLASS_COUNT; i++) {
		const struct gs_mem_class *c = &t->r->class[order[i]];

		gs_json_open_object(j);
		gs_json_kv_string(j, "name", gs_mem_class_name(order[i]));
		gs_json_kv_string(j, "words", gs_mem_class_words(order[i]));
		gs_json_kv_u64(j, "bytes", c->bytes);
		resident(t, "resident_bytes", c->resident_bytes);
		pages(t, c->resident_bytes);
		resident(t, "huge_bytes", c->huge_bytes);
		resident(t, "swap_bytes", c->swap_bytes);
		gs_json_kv_u64(j, "mappings", c->mappings);
		how(j, c->how);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void items(const struct json *t)
{
	struct gs_json *j = t->j;

	gs_json_key(j, "items");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < t->r->n_items; i++) {
		const struct gs_mem_item *x = &t->r->items[i];

		gs_json_open_object(j);
		gs_json_kv_string(j, "class", gs_mem_class_name(x->class));
		gs_json_kv_string(j, "name", x->name);
		gs__mem_json_text(j, "note", x->note);
		gs_json_kv_u64(j, "count", x->count);
		gs_json_kv_u64(j, "bytes", x->bytes);
		resident(t, "resident_bytes", x->resident_bytes);
		pages(t, x->resident_bytes);
		resident(t, "huge_bytes", x->huge_bytes);
		gs_json_key(j, "start");
		gs_json_hex(j, x->start);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void numa(const struct json *t)
{
	struct gs_json *j = t->j;

	gs_json_key(j, "numa");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < t->r->n_numa && i < GS_ARRAY_SIZE(t->r->numa_bytes); i++) {
		gs_json_open_object(j);
		gs_json_kv_u64(j, "node", i);
		gs_json_kv_u64(j, "bytes", t->r->numa_bytes[i]);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void heap(const struct json *t)
{
	const struct gs_mem_result *r = t->r;
	struct gs_json *j = t->j;

	gs_json_key(j, "heap");
	gs_json_open_object(j);
	gs__mem_json_known(j, "goal_bytes", r->heap_goal_bytes, 0);
	gs_json_kv_i64(j, "gc_percent", r->gc_percent);
	gs_json_key(j, "memory_limit_bytes");
	if (r->memory_limit_bytes == INT64_MAX || r->memory_limit_bytes <= 0)
		gs_json_null(j);
	else
		gs_json_i64(j, r->memory_limit_bytes);
	gs_json_kv_u64(j, "gc_count", r->gc_count);
	gs_json_key(j, "last_gc_ago_seconds");
	if (r->last_gc_ago_ns < 0)
		gs_json_null(j);
	else
		gs_json_seconds(j, r->last_gc_ago_ns);
	gs_json_close(j);
}

static void scavenger(const struct json *t)
{
	const struct gs_mem_scavenger *s = &t->r->scavenger;
	struct gs_json *j = t->j;

	gs_json_key(j, "scavenger");
	if (!s->known) {
		gs_json_null(j);
		return;
	}
	gs_json_open_object(j);
	gs_json_kv_u64(j, "retained_bytes", s->retained_bytes);
	gs__mem_json_known(j, "goal_bytes", s->goal_bytes, UINT64_MAX);
	gs__mem_json_known(j, "gc_percent_goal_bytes", s->gc_percent_goal_bytes, UINT64_MAX);
	gs__mem_json_known(j, "memory_limit_goal_bytes", s->memory_limit_goal_bytes, UINT64_MAX);
	gs_json_kv_u64(j, "behind_bytes", s->behind_bytes);
	gs__mem_json_known(j, "released_background_bytes", s->released_background_bytes,
			   UINT64_MAX);
	gs__mem_json_known(j, "released_eager_bytes", s->released_eager_bytes, UINT64_MAX);
	gs__mem_json_text(j, "why", s->why);
	gs_json_close(j);
}

static void metrics(const struct json *t)
{
	struct gs_json *j = t->j;

	gs_json_key(j, "metrics");
	gs_json_open_object(j);
	for (uint32_t i = 0; i < t->r->n_metrics && i < GS_MEM_METRICS_MAX; i++) {
		const char *name = t->r->metric[i].name ? t->r->metric[i].name : "";

		gs_json_key_n(j, name, strlen(name));
		gs_json_u64(j, t->r->metric[i].bytes);
	}
	gs_json_close(j);
}

static void stack(const struct json *t, const char *key, const struct gs_stack *s)
{
	gs__frames_json(t->j, key, s ? s->frames : NULL, s ? s->n_frames : 0, t->go_minor);
}

static void grower(const struct json *t, const struct gs_mem_grower *g)
{
	struct gs_json *j = t->j;

	gs_json_open_object(j);
	gs_json_kv_string(j, "class", gs_mem_class_name(g->class));
	gs__mem_json_text(j, "what", g->what);
	gs__mem_json_text(j, "detail", g->detail);
	gs__mem_json_text(j, "runtime", g->runtime);
	gs__mem_json_text(j, "cause", g->cause);
	gs_json_kv_i64(j, "bytes", g->bytes);
	gs__mem_json_known(j, "asked_bytes", g->asked_bytes, 0);
	gs_json_kv_u64(j, "count", g->count);
	gs__mem_json_known(j, "goroutine_id", g->goid, 0);
	how(j, g->how);
	stack(t, "frames", g->stack);
	gs_json_close(j);
}

/* Growers are sorted: the first of a class is its largest, the last one gave back most. */
static const struct gs_mem_grower *last_of(const struct gs_mem_result *r, enum gs_mem_class_id c)
{
	for (uint32_t i = r->n_growers; i > 0; i--)
		if (r->growers[i - 1].class == c)
			return &r->growers[i - 1];
	return NULL;
}

static const struct gs_mem_grower *first_of(const struct gs_mem_result *r, enum gs_mem_class_id c)
{
	for (uint32_t i = 0; i < r->n_growers; i++)
		if (r->growers[i].class == c)
			return &r->growers[i];
	return NULL;
}

static void growth_of(const struct json *t, enum gs_mem_class_id c, int64_t bytes, int64_t huge)
{
	const struct gs_mem_grower *by = bytes < 0 ? last_of(t->r, c) : first_of(t->r, c);
	struct gs_json *j = t->j;

	gs_json_open_object(j);
	gs_json_kv_string(j, "class", gs_mem_class_name(c));
	gs_json_kv_i64(j, "bytes", bytes);
	gs_json_kv_i64(j, "huge_bytes", huge);
	stack(t, "by", by ? by->stack : NULL);
	gs_json_key(j, "growers");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < t->r->n_growers; i++)
		if (t->r->growers[i].class == c)
			grower(t, &t->r->growers[i]);
	gs_json_close(j);
	gs_json_close(j);
}

static void growth(const struct json *t)
{
	const struct gs_mem_result *r = t->r;
	bool told[GS_MEM_CLASS_COUNT] = { false };
	struct gs_json *j = t->j;

	gs_json_key(j, "watched_seconds");
	if (r->watched_ns > 0)
		gs_json_seconds(j, r->watched_ns);
	else
		gs_json_null(j);
	gs_json_key(j, "rss_before_bytes");
	if (r->watched_ns > 0)
		gs_json_u64(j, r->rss_before_bytes);
	else
		gs_json_null(j);
	gs_json_key(j, "growth");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < r->n_growth && i < GS_MEM_CLASS_COUNT; i++) {
		if (r->growth[i].class >= GS_MEM_CLASS_COUNT)
			continue;
		told[r->growth[i].class] = true;
		growth_of(t, r->growth[i].class, r->growth[i].bytes, r->growth[i].huge_bytes);
	}
	for (int c = 0; c < GS_MEM_CLASS_COUNT; c++)
		if (!told[c] && first_of(r, (enum gs_mem_class_id)c))
			growth_of(t, (enum gs_mem_class_id)c, 0, 0);
	gs_json_close(j);
}

static void sites(const struct json *t)
{
	gs_json_key(t->j, "sites");
	gs_json_open_array(t->j);
	for (uint32_t i = 0; i < t->r->n_sites; i++)
		grower(t, &t->r->sites[i]);
	gs_json_close(t->j);
}

void gs_memory_json(struct gs_out *o, const struct gs_mem_result *r,
		    const struct gs_memory_print *p)
{
	const struct gs_process none = { 0 };
	const struct gs_process *process = r->process ? r->process : &none;
	struct gs_json j;
	const struct json t = { .j = &j,
				.r = r,
				.go_minor = gs_go_version_minor(process->go_version) };

	gs_json_init(&j, o, p->pretty);
	gs_json_open_object(&j);
	gs_json_kv_string(&j, "schema", "gosonde.mem/1");
	gs_process_json(&j, process);
	totals(&t);
	verdict(&t);
	classes(&t);
	items(&t);
	numa(&t);
	heap(&t);
	scavenger(&t);
	metrics(&t);
	growth(&t);
	sites(&t);
	gs_incomplete_json(&j, r->incomplete);
	gs_json_close(&j);
	if (!p->pretty)
		gs_out_char(o, '\n');
}
