/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_HEAP_CENSUS_H
#define GS_MODEL_HEAP_CENSUS_H

/* The objects of a Go heap by type and by who keeps them alive: what analysis/heap_objects.c finds. */
#include <stdbool.h>
#include <stdint.h>

#include "model/result.h"
#include "model/stack.h"

/* How the type of an object is known. */
enum gs_type_how {
	GS_TYPE_NONE = 0,  /* not known: counted by size class */
	GS_TYPE_HEADER,    /* the allocator's own type header (1.22 and later) */
	GS_TYPE_INTERFACE, /* an interface value points to it */
	GS_TYPE_POINTER,   /* a field, element or variable of known type points to it */
	GS_TYPE_RUNTIME, /* it shows what it is: goroutine, sudog, channel, closure (its first word is a function) */
	GS_TYPE_SITE, /* the memory profile sampled it, and the code that allocated it says its type */
	GS_TYPE_HOWS,
};

struct gs_heap_type {
	const char *name; /* "main.Order", "[]uint8 (backing array)", "? 96 bytes, pointers" */
	enum gs_type_how how;
	uint64_t objects, bytes; /* live; bytes of their slots */
	uint64_t retained_bytes; /* what would go if they went, they included; 0: not asked for */
};

/* A root: a global variable, or the stacks of all goroutines that began with the same function. */
struct gs_heap_root {
	const char *
		name; /* "main.cache", "bss+0x120", "goroutine 42 (main.main)", "goroutines of main.worker (1,024)" */
	const char *type;             /* of a variable, NULL if not known */
	const struct gs_frame *frame; /* goroutines: the function whose frame it is; NULL */
	uint64_t goid;
	uint64_t objects, bytes; /* that only this root reaches: they would go with it */
	uint64_t reached_bytes;  /* that it reaches at all; 0: not asked for */
};

struct gs_heap_path_step {
	const char *what; /* "main.cache", ".entries", "[3]", "*main.Order" */
	gs_addr addr;
	const char *type; /* NULL: not known */
};

struct gs_heap_objects_result {
	const struct gs_process *process;
	uint64_t objects, bytes;               /* live */
	uint64_t shared_objects, shared_bytes; /* reached by more than one root */
	uint64_t typed_bytes;
	/* by the runtime's memory profile, garbage included; 0: it keeps none */
	uint64_t sampled_objects;
	/* of these: the allocator's header or pointer bits agree with the code that allocated them, or not */
	uint64_t confirmed_objects, contradicted_objects;
	uint64_t unreached_objects,
		unreached_bytes;          /* allocated, not reached: garbage not collected yet */
	const struct gs_heap_type *types; /* largest first */
	uint32_t n_types;
	const struct gs_heap_root *roots; /* largest first */
	uint32_t n_roots;
	const struct gs_heap_path_step *path; /* with --path: from a root to an object */
	uint32_t n_path;
	int64_t seconds_ns; /* what the walk took */
	const struct gs_incomplete_list *incomplete;
};

#endif
