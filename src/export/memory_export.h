/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_MEMORY_EXPORT_H
#define GS_EXPORT_MEMORY_EXPORT_H

/* The result of mem (model/mem.h, model/heap_census.h): one file per format. */
#include <stdbool.h>

#include <gosonde/err.h>

#include "base/out.h"
#include "model/heap_census.h"
#include "model/mem.h"

struct gs_memory_print {
	bool colour, pretty;
	unsigned int width; /* text: cut lines there; 0: whole */
	bool bars;          /* text: shares also as bars, for terminals */
	bool all;           /* text: also empty classes, every item, whole stacks, all counters */
	uint32_t sites;     /* text: at most so many allocation sites; 0: 5 */
};

/** Verdict first, then classes, items, scavenger, growth. */
void gs_memory_text(struct gs_out *o, const struct gs_mem_result *r,
		    const struct gs_memory_print *p);
/** Schema "gosonde.mem/1". */
void gs_memory_json(struct gs_out *o, const struct gs_mem_result *r,
		    const struct gs_memory_print *p);
/** "class;item bytes", or "class;function;…" where sites are known. */
void gs_memory_folded(struct gs_out *o, const struct gs_mem_result *r);
/** gzip'd profile.proto, sample type inuse_space/bytes by owner. */
GS_CHECKED int gs_memory_pprof(struct gs_out *o, const struct gs_mem_result *r, struct gs_err *err);
/** One HTML file, a treemap; no network. */
void gs_memory_treemap(struct gs_out *o, const struct gs_mem_result *r);

void gs_heap_objects_text(struct gs_out *o, const struct gs_heap_objects_result *r,
			  const struct gs_memory_print *p);
/** Schema "gosonde.mem.objects/1". */
void gs_heap_objects_json(struct gs_out *o, const struct gs_heap_objects_result *r,
			  const struct gs_memory_print *p);
/** inuse_objects and inuse_space by root and type. */
GS_CHECKED int gs_heap_objects_pprof(struct gs_out *o, const struct gs_heap_objects_result *r,
				     struct gs_err *err);

#endif
