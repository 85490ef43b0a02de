/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_MEMORY_PRIVATE_H
#define GS_EXPORT_MEMORY_PRIVATE_H

/* What the formats of mem share: words, frames, lines of text, and the memory cut into parts with one owner each. */
#include "export/memory_export.h"
#include "export/text_lines.h"

/** "1.5 GiB", "12 MiB", "640 KiB": as ps and top print. */
const char *gs__mem_bytes(char buf[24], uint64_t bytes);
/** The same with a sign. */
const char *gs__mem_change(char buf[24], int64_t bytes);
/** gs__put_frame(), and the address where the function is not known. */
void gs__mem_frame(struct gs_out *o, const struct gs_frame *f, unsigned int go_minor);
/** Whether people want to see it: no wrappers, nothing that Go's own tracebacks hide. */
bool gs__mem_frame_shown(const struct gs_frame *f);
/** The innermost frame that is not of the standard library, golang.org/x included; else the innermost one. NULL: there is none. */
const struct gs_frame *gs__mem_culprit(const struct gs_frame *f, uint32_t n);

/** From where on a stack is shown: of what stands above the culprit (the standard library down to the system call) only what it called. */
uint32_t gs__mem_first_shown(const struct gs_frame *f, uint32_t n);

/* ---- lines of text ---- */

/** "shop (PID 4711, go1.26.10)". */
void gs__mem_put_process(struct gs__lines *t, const struct gs_process *p);
/** One line per frame, indented; with @all each of them, else @most of those that people want to see, from what the culprit called on. */
void gs__mem_put_frames(struct gs__lines *t, const struct gs_frame *f, uint32_t n, uint32_t most,
			unsigned int indent, bool all);

/* ---- parts ---- */

/** A part of the memory: of a class, and of one of its items or allocation sites, or of none of them (the rest). */
struct gs__mem_part {
	enum gs_mem_class_id class;
	const struct gs_mem_item *item;   /* NULL */
	const struct gs_mem_grower *site; /* NULL */
	uint64_t bytes;                   /* address space; sites: as weight */
	uint64_t weight;                  /* resident; of a core file address space */
	uint64_t huge_bytes;
};

/**
 * Cut @r into parts, classes and parts of each largest first. Weights of the parts of a class add up to the class, exactly;
 * where sites are known of a class they take the place of items, in proportion if they say more than there is.
 * @ret is for free().
 */
GS_CHECKED int gs__mem_parts(const struct gs_mem_result *r, struct gs__mem_part **ret,
			     uint32_t *ret_n, struct gs_err *err);
/** Classes by weight, largest first, then by address space. */
void gs__mem_class_order(const struct gs_mem_result *r,
			 enum gs_mem_class_id ret[GS_MEM_CLASS_COUNT]);
static inline uint64_t gs__mem_class_weight(const struct gs_mem_result *r, enum gs_mem_class_id c)
{
	return r->kernel_view ? r->class[c].resident_bytes : r->class[c].bytes;
}

/* ---- JSON ---- */

struct gs_json;
/** A number, or null where it is @unknown. */
void gs__mem_json_known(struct gs_json *j, const char *key, uint64_t v, uint64_t unknown);
/** A text, or null where there is none. */
void gs__mem_json_text(struct gs_json *j, const char *key, const char *s);

#endif
