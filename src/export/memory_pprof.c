/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * mem as a gzip'd profile.proto (pprof_writer.h), sample type inuse_space/bytes, one sample per part of the memory
 * (memory_parts.c): the class as outermost frame, then the item, or the stack that allocated. Bytes are resident; of a core file, address space.
 *
 *	samples    one value; label "how": read, derived, estimated
 *	locations  classes and items have no mapping, and small numbers as addresses, so that equal names stay apart
 */
#include <errno.h>
#include <stdlib.h>

#include "export/memory_private.h"
#include "export/pprof_writer.h"

/* Addresses of the frames that are no code; nothing is ever mapped there. */
#define CLASS_ADDRESS 1u
#define ITEM_ADDRESS (CLASS_ADDRESS + GS_MEM_CLASS_COUNT)

struct writer {
	struct gs__pprof p;
	struct gs_out ids;
	const struct gs_mem_result *r;
};

static int frame(struct writer *w, const char *name, uint64_t address, struct gs_err *err)
{
	const struct gs_frame f = {
		.pc = address, .function = name, .file = "", .flags = GS_FRAME_FOREIGN
	};

	return gs__pprof_frame(&w->p, &f, &w->ids, err);
}

static int sample(struct writer *w, const struct gs__mem_part *part, struct gs_err *err)
{
	enum gs_mem_how how = part->site ? part->site->how : w->r->class[part->class].how;
	int64_t value = part->weight < INT64_MAX ? (int64_t)part->weight : INT64_MAX;
	struct gs__pprof_labels l = { 0 };
	int r = 0;

	w->ids.len = 0;
	if (part->site && part->site->stack)
		r = gs__pprof_locations(&w->p, part->site->stack, false, &w->ids, err);
	if (r == 0 && part->item && part->item->name && part->item->name[0])
		r = frame(w, part->item->name, ITEM_ADDRESS + (uint64_t)(part->item - w->r->items),
			  err);
	if (r == 0)
		r = frame(w, gs_mem_class_name(part->class), CLASS_ADDRESS + (uint64_t)part->class,
			  err);
	if (r == 0 && how)
		r = gs__pprof_own_label(&w->p, &l, "how", gs_mem_how_name(how), 0, err);
	if (r < 0)
		return r;
	return gs__pprof_sample(&w->p, w->ids.buf, w->ids.len, &value, 1, &l, err);
}

static int start(struct writer *w, struct gs_err *err)
{
	const struct gs_process *p = w->r->process;
	int r = gs__pprof_sample_type(&w->p, "inuse_space", "bytes", err);

	if (r == 0)
		r = gs__pprof_period(&w->p, "space", "bytes", 1, err);
	if (r == 0)
		r = gs__pprof_mapping(&w->p, GS__PPROF_EXECUTABLE,
				      p && p->executable ? p->executable : "", err);
	return r;
}

static int write_parts(struct writer *w, const struct gs__mem_part *part, uint32_t n,
		       struct gs_err *err)
{
	int r = start(w, err);

	for (uint32_t i = 0; r == 0 && i < n; i++)
		if (part[i].weight)
			r = sample(w, &part[i], err);
	if (r == 0 && gs_out_failed(&w->ids))
		r = gs_fail(err, w->ids.error, 0, "cannot write the profile: out of memory");
	if (r == 0 && w->r->incomplete)
		r = gs__pprof_incomplete(&w->p, w->r->incomplete, err);
	return r == 0 ? gs__pprof_finish(&w->p, err) : r;
}

int gs_memory_pprof(struct gs_out *o, const struct gs_mem_result *r, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct gs__mem_part *part = NULL;
	GS_CLEANUP(gs_freep) struct writer *w = calloc(1, sizeof(*w));
	uint32_t n = 0;
	int e;

	if (!w)
		return gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
	w->r = r;
	gs_out_init_mem(&w->ids);
	e = gs__pprof_init(&w->p, o, err);
	if (e == 0)
		e = gs__mem_parts(r, &part, &n, err);
	if (e == 0)
		e = write_parts(w, part, n, err);
	gs__pprof_deinit(&w->p);
	gs_out_deinit(&w->ids);
	return e;
}
