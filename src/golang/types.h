/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_TYPES_H
#define GS_GOLANG_TYPES_H

/*
 * Go's run-time type descriptors (internal/abi/type.go; runtime/type.go before 1.20): names, kinds, sizes, fields, and
 * what pointers, slices, maps, channels and interfaces lead to. Read from target memory, kept once read. Everything
 * is foreign: sizes, counts, names and depth are bounded, and a descriptor that does not prove itself is refused.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>
#include <gosonde/types.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "golang/layout.h"

/* reflect.Kind. */
enum gs_go_kind {
	GS_GO_KIND_BOOL = 1,
	GS_GO_KIND_INT,
	GS_GO_KIND_INT8,
	GS_GO_KIND_INT16,
	GS_GO_KIND_INT32,
	GS_GO_KIND_INT64,
	GS_GO_KIND_UINT,
	GS_GO_KIND_UINT8,
	GS_GO_KIND_UINT16,
	GS_GO_KIND_UINT32,
	GS_GO_KIND_UINT64,
	GS_GO_KIND_UINTPTR,
	GS_GO_KIND_FLOAT32,
	GS_GO_KIND_FLOAT64,
	GS_GO_KIND_COMPLEX64,
	GS_GO_KIND_COMPLEX128,
	GS_GO_KIND_ARRAY,
	GS_GO_KIND_CHAN,
	GS_GO_KIND_FUNC,
	GS_GO_KIND_INTERFACE,
	GS_GO_KIND_MAP,
	GS_GO_KIND_POINTER,
	GS_GO_KIND_SLICE,
	GS_GO_KIND_STRING,
	GS_GO_KIND_STRUCT,
	GS_GO_KIND_UNSAFE_POINTER,
};

struct gs_go_type;

struct gs_go_type_field {
	const char *name;              /* "" if unreadable */
	const struct gs_go_type *type; /* NULL if unreadable */
	uint64_t offset;
};

/** A descriptor; lives as long as its table. */
struct gs_go_type {
	gs_addr addr;
	uint64_t size, ptr_bytes; /* ptr_bytes: of the prefix that has pointers */
	enum gs_go_kind kind;
	bool direct_interface; /* stored in interface values itself, not behind a pointer */
	const char *name;      /* as %v of reflect prints it: "*main.Order", "map[string]int" */
	/* The rest is there after gs_go_type_complete(). */
	bool complete;
	const struct gs_go_type *elem, *key; /* pointer, slice, array, chan, map; key: map */
	const struct gs_go_type *group;      /* map: group (1.24 and later) or bucket type */
	uint64_t length;                     /* array */
	const struct gs_go_type_field *fields;
	uint32_t n_fields;
	bool empty_interface;
};

struct gs_go_types;

/** Address ranges that hold descriptors and names, one per module (types, etypes). */
struct gs_go_types_range {
	gs_addr types, etypes;
};
/** @mem, @layout borrowed. */
GS_CHECKED int gs_go_types_new(const struct gs_memory *mem, const struct gs_go_layout *layout,
			       const struct gs_go_types_range *ranges, uint32_t n,
			       struct gs_go_types **ret, struct gs_err *err);
struct gs_go_types *gs_go_types_free(struct gs_go_types *t);
GS_DEFINE_CLEANUP(struct gs_go_types *, gs_go_types_free)
/** Does @addr lie in one of the ranges? Cheap: for those who look at many words. */
bool gs_go_types_contain(const struct gs_go_types *t, gs_addr addr);
/** The descriptor at @addr; NULL if there is none. Types made by reflect at run time live in the heap: they are taken if
 *  they prove themselves. */
const struct gs_go_type *gs_go_type_at(struct gs_go_types *t, gs_addr addr);
/** Read what the type is made of. @return false if that is damaged. Types that others made up (addr 0, complete) are
 *  complete. */
bool gs_go_type_complete(struct gs_go_types *t, const struct gs_go_type *type);
/** The concrete type of an itab (runtime.itab, abi.ITab), NULL if it is none; *ret_inter its interface type. */
const struct gs_go_type *gs_go_itab_type(struct gs_go_types *t, gs_addr itab,
					 const struct gs_go_type **ret_inter);

#endif
