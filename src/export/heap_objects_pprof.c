/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * mem --objects as a gzip'd profile.proto (pprof_writer.h). Types and roots are two views of the same objects, so each has its own
 * sample types, and a sample has values in one of the two pairs only:
 *
 *	inuse_objects/count, inuse_space/bytes         by type; what the list of types leaves out is "(other types)"
 *	retained_objects/count, retained_space/bytes   by root: what would go with it; "(several roots)", "(other roots)"
 *
 * inuse_space is shown first. Each pair adds up to all live objects. With --retained there are two more, which overlap and
 * add up to nothing: retained_by_type/bytes, reached_by_root/bytes.
 */
#include <errno.h>
#include <stdlib.h>

#include "export/memory_private.h"
#include "export/pprof_writer.h"

#define VALUES 6u
enum { BY_TYPE = 0, BY_ROOT = 2, RETAINED = 4, WITHOUT = 4 };

struct writer {
	struct gs__pprof p;
	struct gs_out ids;
	uint64_t address; /* of the frames that are no code: small numbers */
	unsigned int values;
};

static int frame(struct writer *w, const char *name, const char *about, struct gs_err *err)
{
	const struct gs_frame f = { .pc = w->address++,
				    .function = name && name[0] ? name : "?",
				    .file = about ? about : "",
				    .flags = GS_FRAME_FOREIGN };

	return gs__pprof_frame(&w->p, &f, &w->ids, err);
}

static int64_t value(uint64_t v)
{
	return v < INT64_MAX ? (int64_t)v : INT64_MAX;
}

/* The sample whose frames are in @w->ids; @more: what is retained or reached. */
static int sample(struct writer *w, unsigned int at, uint64_t objects, uint64_t bytes,
		  uint64_t more, struct gs_err *err)
{
	const struct gs__pprof_labels none = { 0 };
	int64_t v[VALUES] = { 0 };

	v[at] = value(objects);
	v[at + 1] = value(bytes);
	v[RETAINED + at / 2] = value(more);
	return gs__pprof_sample(&w->p, w->ids.buf, w->ids.len, v, w->values, &none, err);
}

static int named(struct writer *w, unsigned int at, const char *name, uint64_t objects,
		 uint64_t bytes, uint64_t more, struct gs_err *err)
{
	int r;

	if (!objects && !bytes)
		return 0;
	w->ids.len = 0;
	r = frame(w, name, "", err);
	return r == 0 ? sample(w, at, objects, bytes, more, err) : r;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static int types(struct writer *w, const struct gs_heap_objects_result *x, struct gs_err *err)
{
	uint64_t objects = x->objects, bytes = x->bytes;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < x->n_types; i++) {
		const struct gs_heap_type *t = &x->types[i];

		r = named(w, BY_TYPE, t->name, t->objects, t->bytes, t->retained_bytes, err);
		objects = less(objects, t->objects);
		bytes = less(bytes, t->bytes);
	}
	return r == 0 ? named(w, BY_TYPE, "(other types)", objects, bytes, 0, err) : r;
}

static int root(struct writer *w, const struct gs_heap_root *x, struct gs_err *err)
{
	int r = 0;

	w->ids.len = 0;
	if (x->frame)
		r = gs__pprof_frame(&w->p, x->frame, &w->ids, err);
	if (r == 0)
		r = frame(w, x->name, x->type, err);
	return r == 0 ? sample(w, BY_ROOT, x->objects, x->bytes, x->reached_bytes, err) : r;
}

static int roots(struct writer *w, const struct gs_heap_objects_result *x, struct gs_err *err)
{
	uint64_t objects = less(x->objects, x->shared_objects);
	uint64_t bytes = less(x->bytes, x->shared_bytes);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < x->n_roots; i++) {
		r = root(w, &x->roots[i], err);
		objects = less(objects, x->roots[i].objects);
		bytes = less(bytes, x->roots[i].bytes);
	}
	if (r == 0)
		r = named(w, BY_ROOT, "(several roots)", x->shared_objects, x->shared_bytes, 0,
			  err);
	return r == 0 ? named(w, BY_ROOT, "(other roots)", objects, bytes, 0, err) : r;
}

static int start(struct writer *w, const struct gs_heap_objects_result *x, struct gs_err *err)
{
	static const char *const type[VALUES] = { "inuse_objects",    "inuse_space",
						  "retained_objects", "retained_space",
						  "retained_by_type", "reached_by_root" };
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < w->values; i++)
		r = gs__pprof_sample_type(&w->p, type[i],
					  i % 2 || i >= RETAINED ? "bytes" : "count", err);
	if (r == 0)
		r = gs__pprof_default_type(&w->p, "inuse_space", err);
	if (r == 0)
		r = gs__pprof_period(&w->p, "space", "bytes", 1, err);
	if (r == 0)
		r = gs__pprof_mapping(
			&w->p, GS__PPROF_EXECUTABLE,
			x->process && x->process->executable ? x->process->executable : "", err);
	return r;
}

static int write_all(struct writer *w, struct gs_out *o, const struct gs_heap_objects_result *x,
		     struct gs_err *err)
{
	int r = gs__pprof_init(&w->p, o, err);

	if (r == 0)
		r = start(w, x, err);
	if (r == 0)
		r = types(w, x, err);
	if (r == 0)
		r = roots(w, x, err);
	if (r == 0 && gs_out_failed(&w->ids))
		r = gs_fail(err, w->ids.error, 0, "cannot write the profile: out of memory");
	if (r == 0 && x->incomplete)
		r = gs__pprof_incomplete(&w->p, x->incomplete, err);
	return r == 0 ? gs__pprof_finish(&w->p, err) : r;
}

int gs_heap_objects_pprof(struct gs_out *o, const struct gs_heap_objects_result *r,
			  struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct writer *w = calloc(1, sizeof(*w));
	int e;

	if (!w)
		return gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
	w->address = 1;
	w->values = WITHOUT;
	for (uint32_t i = 0; i < r->n_types; i++)
		if (r->types[i].retained_bytes)
			w->values = VALUES;
	gs_out_init_mem(&w->ids);
	e = write_all(w, o, r, err);
	gs__pprof_deinit(&w->p);
	gs_out_deinit(&w->ids);
	return e;
}
