/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * mem --objects as one JSON object, schema "gosonde.mem.objects/1":
 *
 *	{"schema","process":{…},"objects","bytes","typed_bytes","sampled_objects","confirmed_objects",
 *	 "contradicted_objects","shared_objects","shared_bytes","unreached_objects","unreached_bytes","walk_seconds",
 *	 "types":[{"name","how","objects","bytes","retained_bytes"}],
 *	 "roots":[{"name","type","goroutine_id","frame":frame|null,"objects","bytes","reached_bytes"}],
 *	 "path":[{"what","address","type"}],
 *	 "incomplete":[{"what","count","why"}]}
 *
 * A type's "how": header, interface, pointer, runtime, site (the code that allocated it); null: not known, its name tells
 * the size. Of the objects that the memory profile sampled, the allocator's type headers and pointer bits confirm or
 * contradict what the code that allocated them says. A root's objects and bytes are those that only it reaches. retained_bytes and reached_bytes are null
 * without --retained.
 */
#include "base/json_writer.h"
#include "export/frame_words.h"
#include "export/memory_private.h"

static const char *how_name(enum gs_type_how h)
{
	switch (h) {
	case GS_TYPE_HEADER:
		return "header";
	case GS_TYPE_INTERFACE:
		return "interface";
	case GS_TYPE_POINTER:
		return "pointer";
	case GS_TYPE_RUNTIME:
		return "runtime";
	case GS_TYPE_SITE:
		return "site";
	case GS_TYPE_NONE:
	case GS_TYPE_HOWS:
		break;
	}
	return NULL;
}

static void types(struct gs_json *j, const struct gs_heap_objects_result *r)
{
	gs_json_key(j, "types");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < r->n_types; i++) {
		const struct gs_heap_type *x = &r->types[i];

		gs_json_open_object(j);
		gs_json_kv_string(j, "name", x->name);
		gs_json_kv_string(j, "how", how_name(x->how));
		gs_json_kv_u64(j, "objects", x->objects);
		gs_json_kv_u64(j, "bytes", x->bytes);
		gs__mem_json_known(j, "retained_bytes", x->retained_bytes, 0);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void roots(struct gs_json *j, const struct gs_heap_objects_result *r, unsigned int go_minor)
{
	gs_json_key(j, "roots");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < r->n_roots; i++) {
		const struct gs_heap_root *x = &r->roots[i];

		gs_json_open_object(j);
		gs_json_kv_string(j, "name", x->name);
		gs__mem_json_text(j, "type", x->type);
		gs__mem_json_known(j, "goroutine_id", x->goid, 0);
		gs_json_key(j, "frame");
		if (x->frame)
			gs__frame_json(j, x->frame, go_minor);
		else
			gs_json_null(j);
		gs_json_kv_u64(j, "objects", x->objects);
		gs_json_kv_u64(j, "bytes", x->bytes);
		gs__mem_json_known(j, "reached_bytes", x->reached_bytes, 0);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void path(struct gs_json *j, const struct gs_heap_objects_result *r)
{
	gs_json_key(j, "path");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < r->n_path; i++) {
		gs_json_open_object(j);
		gs_json_kv_string(j, "what", r->path[i].what);
		gs_json_key(j, "address");
		if (r->path[i].addr)
			gs_json_hex(j, r->path[i].addr);
		else
			gs_json_null(j);
		gs__mem_json_text(j, "type", r->path[i].type);
		gs_json_close(j);
	}
	gs_json_close(j);
}

void gs_heap_objects_json(struct gs_out *o, const struct gs_heap_objects_result *r,
			  const struct gs_memory_print *p)
{
	const struct gs_process none = { 0 };
	const struct gs_process *process = r->process ? r->process : &none;
	struct gs_json j;

	gs_json_init(&j, o, p->pretty);
	gs_json_open_object(&j);
	gs_json_kv_string(&j, "schema", "gosonde.mem.objects/1");
	gs_process_json(&j, process);
	gs_json_kv_u64(&j, "objects", r->objects);
	gs_json_kv_u64(&j, "bytes", r->bytes);
	gs_json_kv_u64(&j, "typed_bytes", r->typed_bytes);
	gs_json_kv_u64(&j, "sampled_objects", r->sampled_objects);
	gs_json_kv_u64(&j, "confirmed_objects", r->confirmed_objects);
	gs_json_kv_u64(&j, "contradicted_objects", r->contradicted_objects);
	gs_json_kv_u64(&j, "shared_objects", r->shared_objects);
	gs_json_kv_u64(&j, "shared_bytes", r->shared_bytes);
	gs_json_kv_u64(&j, "unreached_objects", r->unreached_objects);
	gs_json_kv_u64(&j, "unreached_bytes", r->unreached_bytes);
	gs_json_key(&j, "walk_seconds");
	gs_json_seconds(&j, r->seconds_ns);
	types(&j, r);
	roots(&j, r, gs_go_version_minor(process->go_version));
	path(&j, r);
	gs_incomplete_json(&j, r->incomplete);
	gs_json_close(&j);
	if (!p->pretty)
		gs_out_char(o, '\n');
}
