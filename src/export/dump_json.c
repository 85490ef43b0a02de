/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A dump as one JSON object, schema "gosonde.dump/1":
 *
 *	{"schema":"gosonde.dump/1",
 *	 "process":{"pid","start_time","executable","go_version","goos","goarch","service"},
 *	 "taken_at":"2026-01-31T12:00:00.123456789Z",
 *	 "goroutines":[{"id","state","wait_reason","wait_seconds","thread_id","created_by","parent_id",
 *	                "frames":[{"function","file","line","pc"}]}],
 *	 "goroutines_total","duration_seconds","paused_seconds",
 *	 "incomplete":[{"what","count","why"}]}
 *
 * What is unknown is null. Present only where they say something: in a goroutine "stack_end" (the
 * frames are not all: "none", "cut", "broken", "torn") and with it "start", the first function; "system",
 * "locked", "scan", "moved", "m_id", "p_id", "bubble_id", "labels" (an object; of equal keys the first
 * counts); in a frame "inlined", "hidden", "foreign", "kernel", "args". Frames that Go's tracebacks hide
 * are left out unless all were asked for. Grouped, "groups" takes the place of "goroutines":
 *
 *	{"count","state","wait_reason","wait_seconds":{"min","median","max"},"created_by",
 *	 "goroutine_ids":[some],"frames"}
 *
 * with "wait_known" where not all waits are known, "median_estimated" and "locked" where they apply.
 *
 * Speed: a goroutine is one short head plus a copy of its rendered stack.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "export/dump_private.h"

#define SCHEMA "gosonde.dump/1"

struct json_writer {
	struct gs_dump_writer w;
	struct gs_json json;
};

static const char *const stack_ends[] = {
	[GS_STACK_COMPLETE] = "complete", [GS_STACK_NONE] = "none", [GS_STACK_CUT] = "cut",
	[GS_STACK_BROKEN] = "broken",     [GS_STACK_TORN] = "torn",
};

static void flag(struct gs_json *j, const char *key, bool set)
{
	if (set)
		gs_json_kv_bool(j, key, true);
}

static void string_or_null(struct gs_json *j, const char *key, const char *s)
{
	gs_json_kv_string(j, key, s && s[0] ? s : NULL);
}

static void frame(struct json_writer *t, struct gs_json *j, const struct gs_frame *f,
		  const char *args)
{
	size_t n;
	const char *name = gs__display_name(&t->w, f->function, &n);

	gs_json_open_object(j);
	gs_json_key(j, "function");
	gs_json_string_n(j, name, n);
	string_or_null(j, "file", f->file);
	gs_json_key(j, "line");
	if (f->line)
		gs_json_u64(j, f->line);
	else
		gs_json_null(j);
	gs_json_key(j, "pc");
	gs_json_hex(j, f->pc);
	flag(j, "inlined", f->flags & GS_FRAME_INLINED);
	flag(j, "hidden", f->flags & GS_FRAME_HIDDEN);
	flag(j, "wrapper", f->flags & GS_FRAME_WRAPPER);
	flag(j, "foreign", f->flags & GS_FRAME_FOREIGN);
	flag(j, "kernel", f->flags & GS_FRAME_KERNEL);
	if (args && !(f->flags & GS_FRAME_INLINED))
		gs_json_kv_string(j, "args", args);
	gs_json_close(j);
}

/* The same writer one level in, but into the scratch buffer: what comes out is one value. */
static struct gs_json scratch_json(struct json_writer *t)
{
	struct gs_json j = t->json;

	j.out = gs__scratch(&t->w);
	j.after_key = true;
	return j;
}

static void frame_array(struct json_writer *t, struct gs_json *j, const struct gs_stack *s,
			const char *const *args)
{
	bool hidden = gs__show_hidden(&t->w, s);

	gs_json_open_array(j);
	for (uint32_t i = 0; i < s->n_frames; i++)
		if (hidden || !(s->frames[i].flags & GS_FRAME_HIDDEN))
			frame(t, j, &s->frames[i], args ? args[i] : NULL);
	gs_json_close(j);
}

static void stack(struct json_writer *t, const struct gs_stack *s, const char *const *args)
{
	struct gs__text text = gs__stack_kept(&t->w, s);

	gs_json_key(&t->json, "frames");
	if (args) {
		frame_array(t, &t->json, s, args);
		return;
	}
	if (!text.p) {
		struct gs_json j = scratch_json(t);

		frame_array(t, &j, s, NULL);
		text = gs__stack_keep(&t->w, s, 0);
	}
	gs_json_raw(&t->json, text.p, text.len);
}

static void lone_frame(struct json_writer *t, const char *key, const struct gs_frame *f)
{
	struct gs__text text;

	gs_json_key(&t->json, key);
	if (!f) {
		gs_json_null(&t->json);
		return;
	}
	text = gs__frame_kept(&t->w, f);
	if (!text.p) {
		struct gs_json j = scratch_json(t);

		frame(t, &j, f, NULL);
		text = gs__frame_keep(&t->w, f, 0);
	}
	gs_json_raw(&t->json, text.p, text.len);
}

static bool same_key(const struct gs_label *a, const struct gs_label *b)
{
	return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

static void labels(struct gs_json *j, const struct gs_goroutine *g)
{
	gs_json_key(j, "labels");
	gs_json_open_object(j);
	for (uint32_t i = 0; i < g->n_labels; i++) {
		const struct gs_label *l = &g->labels[i];
		bool repeated = false;

		for (uint32_t k = 0; k < i && !repeated; k++)
			repeated = same_key(l, &g->labels[k]);
		if (repeated)
			continue;
		gs_json_key_n(j, l->key, l->key_len);
		gs_json_string_n(j, l->value, l->value_len);
	}
	gs_json_close(j);
}

static void number_or_null(struct gs_json *j, const char *key, uint64_t v, bool known)
{
	gs_json_key(j, key);
	if (known)
		gs_json_u64(j, v);
	else
		gs_json_null(j);
}

static void seconds_or_null(struct gs_json *j, const char *key, int64_t ns)
{
	gs_json_key(j, key);
	if (ns >= 0)
		gs_json_seconds(j, ns);
	else
		gs_json_null(j);
}

static void optional_fields(struct json_writer *t, const struct gs_goroutine *g)
{
	struct gs_json *j = &t->json;

	if (g->m_id >= 0)
		gs_json_kv_i64(j, "m_id", g->m_id);
	if (g->p_id >= 0)
		gs_json_kv_i64(j, "p_id", g->p_id);
	flag(j, "system", g->system);
	flag(j, "locked", g->locked);
	flag(j, "scan", g->scan);
	flag(j, "moved", g->moved);
	if (g->bubble_id)
		gs_json_kv_u64(j, "bubble_id", g->bubble_id);
	if (g->n_labels)
		labels(j, g);
	if (g->stack->end == GS_STACK_COMPLETE)
		return;
	gs_json_kv_string(j, "stack_end",
			  g->stack->end < GS_ARRAY_SIZE(stack_ends) ? stack_ends[g->stack->end]
								    : "unknown");
	if (g->start)
		lone_frame(t, "start", g->start);
}

static int json_goroutine(struct gs_dump_writer *w, const struct gs_goroutine *g,
			  struct gs_err *err)
{
	struct json_writer *t = (struct json_writer *)w;
	struct gs_json *j = &t->json;

	gs_json_open_object(j);
	gs_json_kv_u64(j, "id", g->id);
	gs_json_kv_string(j, "state", gs_goroutine_state_name(g->state));
	gs_json_kv_string(j, "wait_reason", g->wait_reason);
	seconds_or_null(j, "wait_seconds", g->wait_ns);
	number_or_null(j, "thread_id", (uint64_t)g->thread_id, g->thread_id > 0);
	lone_frame(t, "created_by", g->created_by);
	number_or_null(j, "parent_id", g->parent_id, g->parent_id != 0);
	optional_fields(t, g);
	stack(t, g->stack, g->args);
	gs_json_close(j);
	return gs__writer_check(w, err);
}

static void group_waits(struct gs_json *j, const struct gs_group *g)
{
	gs_json_key(j, "wait_seconds");
	if (g->known_waits == 0 || g->wait_min_ns < 0) {
		gs_json_null(j);
		return;
	}
	gs_json_open_object(j);
	seconds_or_null(j, "min", g->wait_min_ns);
	seconds_or_null(j, "median", g->wait_median_ns);
	seconds_or_null(j, "max", g->wait_max_ns);
	gs_json_close(j);
	if (g->known_waits < g->count)
		gs_json_kv_u64(j, "wait_known", g->known_waits);
	flag(j, "median_estimated", g->median_estimated);
}

static int json_group(struct gs_dump_writer *w, const struct gs_group *g, struct gs_err *err)
{
	struct json_writer *t = (struct json_writer *)w;
	struct gs_json *j = &t->json;

	gs_json_open_object(j);
	gs_json_kv_u64(j, "count", g->count);
	gs_json_kv_string(j, "state", gs_goroutine_state_name(g->state));
	gs_json_kv_string(j, "wait_reason", g->wait_reason);
	group_waits(j, g);
	if (g->locked)
		gs_json_kv_u64(j, "locked", g->locked);
	gs_json_key(j, "goroutine_ids");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < g->n_first_ids; i++)
		gs_json_u64(j, g->first_ids[i]);
	gs_json_close(j);
	lone_frame(t, "created_by", g->created_by);
	if (g->stack->end != GS_STACK_COMPLETE && g->stack->end < GS_ARRAY_SIZE(stack_ends))
		gs_json_kv_string(j, "stack_end", stack_ends[g->stack->end]);
	stack(t, g->stack, NULL);
	gs_json_close(j);
	return gs__writer_check(w, err);
}

static void json_abort(struct gs_dump_writer *w)
{
	gs__writer_deinit(w);
	free(w);
}

static int json_open(struct gs_dump_writer **ret, struct gs_out *out,
		     const struct gs_dump_options *o, const struct gs_process *p,
		     struct gs_err *err)
{
	struct json_writer *t = calloc(1, sizeof(*t));
	struct gs_json *j;
	int r;

	if (!t)
		return gs_fail(err, -ENOMEM, 0, "cannot write the dump: out of memory");
	r = gs__writer_init(&t->w, out, o, p, err);
	if (r < 0) {
		json_abort(&t->w);
		return r;
	}
	j = &t->json;
	gs_json_init(j, out, o->pretty);
	gs_json_open_object(j);
	gs_json_kv_string(j, "schema", SCHEMA);
	gs_process_json(j, p);
	gs_json_key(j, "taken_at");
	gs_json_time(j, o->time_unix_ns > 0 ? (uint64_t)o->time_unix_ns : 0);
	gs_json_key(j, o->grouped ? "groups" : "goroutines");
	gs_json_open_array(j);
	*ret = &t->w;
	return 0;
}

static int json_close(struct gs_dump_writer *w, const struct gs_dump_options *o,
		      const struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct gs_json *j = &((struct json_writer *)w)->json;
	int r;

	gs_json_close(j);
	if (o->total_unknown) {
		gs_json_key(j, "goroutines_total");
		gs_json_null(j);
	} else {
		gs_json_kv_u64(j, "goroutines_total", o->n_total);
	}
	seconds_or_null(j, "duration_seconds", o->duration_ns);
	seconds_or_null(j, "paused_seconds", o->paused_ns);
	gs_incomplete_json(j, inc);
	gs_json_close(j);
	if (!j->pretty)
		gs_out_char(w->out, '\n');
	r = gs__writer_check(w, err);
	json_abort(w);
	return r;
}

const struct gs_dump_format gs_dump_json = {
	.name = "json",
	.open = json_open,
	.goroutine = json_goroutine,
	.group = json_group,
	.close = json_close,
	.abort = json_abort,
};
