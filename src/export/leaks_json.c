/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * leaks as one JSON object, schema "gosonde.leaks/1":
 *
 *	{"schema","process":{…},"taken_at","detectors":["unreachable","connection","growth"],
 *	 "goroutines_total","goroutines_leaked","findings":[FINDING],
 *	 "heap_marked_bytes","mark_seconds","looks","target_still","paused_seconds","candidates_dismissed",
 *	 "watched_seconds","exit_status","incomplete":[{"what","count","why"}]}
 *
 *	FINDING: {"kind":"unreachable|connection|growth","confidence":"certain|high|likely","count",
 *	          "goroutine_ids":[…],"state","wait_reason","wait_seconds","stack_bytes","created_by":frame|null,
 *	          "frames":[frame],"evidence":EVIDENCE}
 *	EVIDENCE of unreachable: {"by_marking","by_runtime","blocked_on","object","many_objects","held_bytes"}
 *	         of connection:  {"role","fd","local","peer","socket_state","closed_seconds","closed_at_least","object"}
 *	         of growth:      {"count_before","per_second"}; the finding has "ages":{"<1s":n,…}
 *
 * detectors are those that could do their work. goroutine_ids are at most 100, count is of all. wait_seconds is the
 * longest; held_bytes is what of the heap would be free without these goroutines; wait_seconds is
 * from the collection before the one that saw the goroutine wait, so somewhat too long. What is not known is null.
 */
#include "base/json_writer.h"
#include "export/frame_words.h"
#include "export/leaks_export.h"

struct json {
	struct gs_json j;
	unsigned int go_minor;
};

static void text(struct gs_json *j, const char *key, const char *s)
{
	gs_json_kv_string(j, key, s && s[0] ? s : NULL);
}

static void seconds(struct gs_json *j, const char *key, int64_t ns)
{
	gs_json_key(j, key);
	if (ns >= 0)
		gs_json_seconds(j, ns);
	else
		gs_json_null(j);
}

static void address(struct gs_json *j, const char *key, gs_addr a)
{
	gs_json_key(j, key);
	if (a)
		gs_json_hex(j, a);
	else
		gs_json_null(j);
}

/* As Go's tracebacks show them: without the runtime's own. */
static void frames(struct json *t, const struct gs_stack *s)
{
	bool all = true;

	for (uint32_t i = 0; s && i < s->n_frames; i++)
		all = all && s->frames[i].flags & GS_FRAME_HIDDEN;
	gs_json_key(&t->j, "frames");
	gs_json_open_array(&t->j);
	for (uint32_t i = 0; s && i < s->n_frames; i++)
		if (all || !(s->frames[i].flags & GS_FRAME_HIDDEN))
			gs__frame_json(&t->j, &s->frames[i], t->go_minor);
	gs_json_close(&t->j);
}

static void evidence(struct gs_json *j, const struct gs_leak *l)
{
	gs_json_key(j, "evidence");
	gs_json_open_object(j);
	switch (l->kind) {
	case GS_LEAK_UNREACHABLE:
		gs_json_kv_bool(j, "by_marking", l->by_marking);
		gs_json_kv_bool(j, "by_runtime", l->by_runtime);
		text(j, "blocked_on", l->blocked_on);
		address(j, "object", l->object);
		gs_json_kv_bool(j, "many_objects", l->many_objects);
		gs_json_key(j, "held_bytes");
		if (l->held_bytes != UINT64_MAX)
			gs_json_u64(j, l->held_bytes);
		else
			gs_json_null(j);
		break;
	case GS_LEAK_CONNECTION:
		text(j, "role", l->role);
		gs_json_key(j, "fd");
		if (l->fd >= 0)
			gs_json_i64(j, l->fd);
		else
			gs_json_null(j);
		text(j, "local", l->local);
		text(j, "peer", l->peer);
		text(j, "socket_state", l->socket_state);
		seconds(j, "closed_seconds", l->closed_ns);
		gs_json_kv_bool(j, "closed_at_least", l->closed_at_least);
		address(j, "object", l->object);
		break;
	default:
		gs_json_kv_u64(j, "count_before", l->count_before);
		gs_json_key(j, "per_second");
		gs_json_double(j, l->per_second);
		break;
	}
	gs_json_close(j);
}

static void finding(struct json *t, const struct gs_leak *l)
{
	struct gs_json *j = &t->j;

	gs_json_open_object(j);
	gs_json_kv_string(j, "kind", gs_leak_kind_name(l->kind));
	gs_json_kv_string(j, "confidence", gs_leak_confidence_name(l->confidence));
	gs_json_kv_u64(j, "count", l->count);
	gs_json_key(j, "goroutine_ids");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < l->n_ids; i++)
		gs_json_u64(j, l->goroutine_ids[i]);
	gs_json_close(j);
	text(j, "state", l->state);
	text(j, "wait_reason", l->wait_reason);
	seconds(j, "wait_seconds", l->longest_wait_ns);
	gs_json_kv_u64(j, "stack_bytes", l->stack_bytes);
	gs_json_key(j, "created_by");
	if (l->created_by)
		gs__frame_json(&t->j, l->created_by, t->go_minor);
	else
		gs_json_null(j);
	frames(t, l->stack);
	evidence(j, l);
	if (l->kind == GS_LEAK_GROWTH) {
		gs_json_key(j, "ages");
		gs_json_open_object(j);
		for (unsigned int i = 0; i < GS_LEAK_AGES; i++)
			gs_json_kv_u64(j, gs_leak_age_name(i), l->ages[i]);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void how(struct gs_json *j, const struct gs_leaks_result *r)
{
	gs_json_kv_u64(j, "heap_marked_bytes", r->heap_bytes_marked);
	seconds(j, "mark_seconds", r->looks ? r->mark_ns : -1);
	gs_json_kv_u64(j, "looks", r->looks);
	gs_json_kv_bool(j, "target_still", r->still);
	seconds(j, "paused_seconds", r->paused_ns ? r->paused_ns : -1);
	gs_json_kv_u64(j, "candidates_dismissed", r->candidates_dismissed);
	seconds(j, "watched_seconds", r->ran[GS_LEAK_GROWTH] ? r->watched_ns : -1);
	gs_json_key(j, "exit_status");
	if (r->exit_status >= 0)
		gs_json_i64(j, r->exit_status);
	else
		gs_json_null(j);
}

void gs_leaks_json(struct gs_out *o, const struct gs_leaks_result *r,
		   const struct gs_leaks_print *p)
{
	struct json t = {
		.go_minor = gs_go_version_minor(r->process ? r->process->go_version : NULL),
	};
	struct gs_json *j = &t.j;

	gs_json_init(j, o, p->pretty);
	gs_json_open_object(j);
	gs_json_kv_string(j, "schema", "gosonde.leaks/1");
	if (r->process)
		gs_process_json(j, r->process);
	gs_json_key(j, "taken_at");
	gs_json_time(j, r->time_unix_ns);
	gs_json_key(j, "detectors");
	gs_json_open_array(j);
	for (int k = GS_LEAK_UNREACHABLE; k < GS_LEAK_KINDS; k++)
		if (r->ran[k])
			gs_json_string(j, gs_leak_kind_name((enum gs_leak_kind)k));
	gs_json_close(j);
	gs_json_kv_u64(j, "goroutines_total", r->goroutines);
	gs_json_kv_u64(j, "goroutines_leaked", r->leaked);
	gs_json_key(j, "findings");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < r->n_leaks; i++)
		finding(&t, &r->leaks[i]);
	gs_json_close(j);
	how(j, r);
	gs_incomplete_json(j, r->incomplete);
	gs_json_close(j);
	gs_out_char(o, '\n');
}
