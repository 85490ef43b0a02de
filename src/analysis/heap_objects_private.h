/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_HEAP_OBJECTS_PRIVATE_H
#define GS_ANALYSIS_HEAP_OBJECTS_PRIVATE_H

/*
 * What the files of the heap census share:
 *
 *   heap_objects.c         life, the order of things
 *   heap_objects_types.c   what objects can be, and where pointers are in them
 *   heap_objects_sites.c   what was sampled, by the code that allocated it
 *   heap_objects_look.c    what objects say about themselves
 *   heap_objects_walk.c    labels and types go along pointers
 *   heap_objects_roots.c   where the walk begins: variables, goroutines, finalizers
 *   heap_objects_stack.c   what local variables say of pointers on stacks
 *   heap_objects_count.c   the result: types, roots, garbage
 *   heap_objects_retained.c  what would go with a type, what a root reaches
 *   heap_objects_path.c    from a root to an object
 */
#include "analysis/heap_mark_private.h"
#include "analysis/heap_objects.h"
#include "base/arena.h"
#include "golang/dwarf_variables.h"
#include "golang/types.h"
#include "target/target.h"

/* --- what objects can be ------------------------------------------------------------------------------------------ */

enum gs__ho_form {
	GS__HO_OBJECT = 1, /* one value of a type */
	GS__HO_ARRAY,      /* backing array of slices, or what append left */
	GS__HO_STRING,     /* bytes of strings */
	GS__HO_TINY,       /* small objects without pointers that the allocator put together */
	GS__HO_FUNC,       /* a func value points there: closure whose function is not known */
	GS__HO_CLOSURE,    /* closure of a known function */
	GS__HO_MAP,        /* header: runtime.hmap, internal/runtime/maps.Map */
	GS__HO_MAP_DIR,    /* directory of tables (1.24 and later) */
	GS__HO_MAP_TABLE,  /* table (1.24 and later) */
	GS__HO_MAP_EXTRA, /* overflow buckets of maps without pointers (up to 1.23): runtime.mapextra, */
	GS__HO_MAP_OVERFLOW,  /* … the slice that it points to, */
	GS__HO_MAP_OVERFLOWS, /* … and its array */
	GS__HO_CHAN,          /* runtime.hchan; its buffer too if elements have no pointers */
	GS__HO_CHAN_BUFFER,
	GS__HO_G, /* structures of the runtime that were found without their type */
	GS__HO_SUDOG,
};

/* What a pointer in an object leads to. */
enum gs__ho_edge_kind {
	GS__HO_TO = 1,     /* @target begins there */
	GS__HO_TO_SLICE,   /* an array of capacity (two words on) */
	GS__HO_TO_STRING,  /* bytes, as many as the next word says */
	GS__HO_TO_VALUE,   /* an interface's value; the word before is its type … */
	GS__HO_TO_METHODS, /* … or its itab */
	GS__HO_TO_FUNC,
	GS__HO_TO_ANY,    /* unsafe.Pointer */
	GS__HO_TO_DIR,    /* maps.Map.dirPtr: a group or a directory; the next word says which */
	GS__HO_TO_GROUPS, /* maps.table.groups: as many as the next word says */
	GS__HO_TO_BUFFER, /* hchan.buf */
};

struct gs__ho_edge {
	enum gs__ho_edge_kind kind;
	uint32_t target, target2; /* numbers of types; 0 none */
};

/* A row of the census, before rows of equal names become one. */
struct gs__ho_type {
	enum gs__ho_form form;
	const struct gs_go_type *go;       /* the value, the element, the map, … */
	gs_addr pc;                        /* of closures */
	const struct gs_go_type *captured; /* what they are made of; NULL: not known */
	const char *name;
	uint64_t unit; /* bytes of a value or element; 0: not known */
	bool repeats;  /* elements until the end */
	bool planned;  /* @edge is made */
	bool guessed;  /* some of it is a guess */
	bool trusted; /* what its plan calls no pointer is none, even if no header says that type */
	uint32_t n_words;
	const uint32_t
		*edge; /* by word of a unit: number of an edge, 0 for none; NULL: not known */
	uint64_t objects, bytes, how_bytes[GS_TYPE_HOWS];
};

/* How sure a type is; a surer one takes its place. */
enum gs__ho_level {
	GS__HO_UNKNOWN = 0,
	GS__HO_WEAK, /* something of that type is at the start; the slot is larger than that: not told */
	GS__HO_GUESS, /* as the next but one; the type comes from a variable on a stack, maybe through other objects */
	GS__HO_GUESS_FITS,
	GS__HO_LIKELY, /* array of another length, part of a string */
	GS__HO_FITS,   /* the slot is the one that the allocator takes for that size */
	GS__HO_SURE, /* the allocator's header; the code that allocated it and the allocator's pointer bits */
};

/* Of a slot: number of its type, how it is known, how sure it is. */
static inline uint32_t gs__ho_known(uint32_t type, enum gs_type_how how, enum gs__ho_level level)
{
	return type | (uint32_t)how << 24 | (uint32_t)level << 28;
}
static inline uint32_t gs__ho_type_of(uint32_t known)
{
	return known & 0xffffff;
}
static inline enum gs_type_how gs__ho_how_of(uint32_t known)
{
	return (enum gs_type_how)(known >> 24 & 15);
}
static inline enum gs__ho_level gs__ho_level_of(uint32_t known)
{
	return (enum gs__ho_level)(known >> 28);
}
static inline bool gs__ho_is_guess(uint32_t known)
{
	return gs__ho_level_of(known) == GS__HO_GUESS ||
	       gs__ho_level_of(known) == GS__HO_GUESS_FITS;
}
#define GS__HO_MAX_TYPES ((1u << 24) - 2)

/* --- who keeps them ----------------------------------------------------------------------------------------------- */

#define GS__HO_SHARED 0x7fffffffu /* label: more than one root */
#define GS__HO_PINNED 0x80000000u /* of a label: others that lead there do not change it */

enum gs__ho_root_kind {
	GS__HO_VARIABLE = 1,
	GS__HO_PLACE, /* in data or bss, without a name */
	GS__HO_GOROUTINES,
	GS__HO_OTHER,
};

struct gs__ho_root {
	enum gs__ho_root_kind kind;
	const char *name; /* VARIABLE, OTHER */
	const struct gs_go_type *type;
	gs_addr at; /* PLACE: the address; GOROUTINES: their function */
	uint64_t goid;
	uint32_t n; /* goroutines */
	uint64_t objects, bytes;
};

struct gs__ho_variable {
	gs_addr addr, end;
	const char *name;
	const struct gs_go_type *type; /* NULL: not known */
	uint32_t label;                /* 0: none yet */
};

/* --- the walk ----------------------------------------------------------------------------------------------------- */

enum { GS__HO_REFS = 256 };

/* A pointer on its way to its slot. */
struct gs__ho_ref {
	gs_addr value;
	uint64_t extent; /* bytes from there on; 0: not known */
	uint32_t label;
	uint32_t known; /* 0: nothing; the level is found at the slot */
	bool guess;     /* it can be no surer than GS__HO_GUESS_FITS */
};

struct gs__ho_range {
	gs_addr lo, hi;
};

/* Types of large objects, which have no header in the object (mspan.largeType). */
struct gs__ho_large {
	uint32_t span;
	gs_addr type;
};

struct gs_heap_objects {
	struct gs_rt *rt;
	const struct gs_rt_heap *h;
	const struct gs_memory *mem;
	const struct gs_go_layout *layout;
	struct gs_heap_objects_options o;
	struct gs_arena *arena;
	struct gs_incomplete_list inc;

	struct gs_heap_mark *mark;
	struct gs_go_types *types;
	uint32_t n_slots;
	uint32_t *known; /* of each slot */
	uint32_t *label; /* of each slot: who reaches it; the path's parents later */

	struct gs__ho_type **type; /* by number */
	uint32_t n_kinds, kinds_cap;
	uint32_t *index; /* of types, by form and what */
	uint32_t index_mask;
	struct gs__ho_edge *edge;
	uint32_t n_edges, edges_cap;
	uint64_t seed;

	struct gs__ho_root *root; /* label - 1 */
	uint32_t n_roots, roots_cap;
	struct gs__ho_variable *var; /* sorted */
	uint32_t n_vars;
	struct gs_go_variables dwarf; /* what DWARF says: nothing if there is none */
	uint32_t allp;                /* label of what Ps keep; 0: none */

	struct gs__ho_large *large; /* sorted by span */
	uint32_t n_large;
	struct gs__ho_range itabs[64]; /* where itabs can be */
	uint32_t n_itabs;
	struct gs__ho_range text[16];
	uint32_t n_text;
	uint64_t hchan_size;

	struct gs__ho_ref ref[GS__HO_REFS];
	uint32_t n_refs;
	bool no_memory;
	uint64_t bytes_done, told;
	uint32_t pass, passes; /* walks over the whole heap: that are done, that there will be */
	struct gs_heap_type *type_row; /* of the result; its types and roots */
	struct gs_heap_root *root_row;
	uint32_t *listed; /* labels of the roots in the result */
	struct gs__ho_reach
		*reach; /* what is retained is looked for: labels are as there; NULL otherwise */
	struct gs__ho_search *search; /* a path is looked for: labels are parents; NULL otherwise */

	struct gs_heap_objects_result result;
	struct gs_process process;
};

/** A zero for each slot, in pages that are there when they are touched; freed with the census. NULL: no memory. */
uint32_t *gs__ho_slots(uint32_t n);
/** The number of a type; 0 when out of memory or of numbers. @go: as in struct gs__ho_type. */
uint32_t gs__ho_type(struct gs_heap_objects *x, enum gs__ho_form form, const struct gs_go_type *go);
/** The closure type of the function that begins at @pc, 0 if none does. */
uint32_t gs__ho_closure(struct gs_heap_objects *x, gs_addr pc);
/** Make t->edge. */
void gs__ho_plan(struct gs_heap_objects *x, struct gs__ho_type *t);
/** The runtime's name of the word at @at of a map's header or table; NULL: none. */
const char *gs__ho_name_in_map(const struct gs_heap_objects *x, const struct gs__ho_type *t,
			       uint64_t at);
/** The type of the value of an interface whose first word is @tab: an itab or a type; NULL if it is neither. */
const struct gs_go_type *gs__ho_dynamic(struct gs_heap_objects *x, gs_addr tab);

/* Bytes with pointers, seen as @type (0: not known). */
struct gs__ho_bytes {
	const uint64_t *word;
	uint32_t n;
	uint64_t offset; /* of the first word in the value */
	uint32_t label, type;
	bool only_typed;      /* pass over words that @type does not call pointers */
	bool guess;           /* @type is one */
	const uint64_t *mask; /* which words are pointers; NULL: not known */
	uint32_t mask_from;   /* the first word's bit */
};
void gs__ho_scan(struct gs_heap_objects *x, const struct gs__ho_bytes *b);
/** A pointer of unknown type; @before: the word before it in memory, 0 if not known. */
void gs__ho_pointer(struct gs_heap_objects *x, gs_addr value, gs_addr before, uint32_t label);
/** What @edge says of a pointer, with its neighbours, if it says the truth. */
void gs__ho_guess(struct gs_heap_objects *x, gs_addr value, const struct gs__ho_edge *edge,
		  uint64_t before, uint64_t next, uint64_t third, uint32_t label);
/** What the object says about its type. */
void gs__ho_look(struct gs_heap_objects *x, const struct gs_heap_object *o);
/** A type, with its plan made. */
const struct gs__ho_type *gs__ho_planned(struct gs_heap_objects *x, uint32_t type);
/** Number of the edge at @at in a planned type; 0: none. */
uint32_t gs__ho_edge_at(const struct gs__ho_type *t, uint64_t at);
/** The edge at @at in a value of @type. @return false if no pointer is there. */
bool gs__ho_edge_in(struct gs_heap_objects *x, uint32_t type, uint64_t at, struct gs__ho_edge *ret);
/** The allocator's size for an object of so many bytes, without headers; 0: it is large. */
uint64_t gs__ho_slot_size(uint64_t bytes);
/** Let what waits in x->ref reach its slots. */
void gs__ho_flush(struct gs_heap_objects *x);
/** A structure of the runtime: always @label's. */
void gs__ho_pin(struct gs_heap_objects *x, gs_addr addr, uint32_t label, enum gs__ho_form form);
/** Is a word of such an object a pointer only where its type says so? */
bool gs__ho_only_typed(const struct gs_heap_objects *x, uint32_t known);
/** Follow all pointers. @return 0, or what the caller's progress function said. */
GS_CHECKED int gs__ho_walk(struct gs_heap_objects *x, struct gs_err *err);

/** A new root's label, 0 when out of memory. */
uint32_t gs__ho_root(struct gs_heap_objects *x, const struct gs__ho_root *r);
GS_CHECKED int gs__ho_roots(struct gs_heap_objects *x, struct gs_err *err);
/** Read which variables there are, before the roots. */
GS_CHECKED int gs__ho_variables(struct gs_heap_objects *x, struct gs_err *err);
/** Bytes of the allocator's type header in front of each object. */
static inline uint32_t gs__ho_header(const struct gs_rt_span *s)
{
	return s->flags & GS_RT_SPAN_HEADERS ? 8 : 0;
}
/** Would the allocator put @bytes into a slot of this span? */
bool gs__ho_fits(const struct gs_rt_span *s, uint64_t bytes);
/** Give what the memory profile sampled its types, before the walk. */
GS_CHECKED int gs__ho_sites(struct gs_heap_objects *x, struct gs_err *err);
/** Types of large objects. */
GS_CHECKED int gs__ho_large_types(struct gs_heap_objects *x, struct gs_err *err);

/** The distinct pcs at which functions wait, sorted; *ret is the caller's to free. */
GS_CHECKED int gs__ho_stack_pcs(struct gs_heap_objects *x, gs_addr **ret, uint32_t *ret_n,
				struct gs_err *err);
/** Take a pointer with the type of the variable that it stands in. @return false, and not taken, if none tells one. */
bool gs__ho_stack_pointer(struct gs_heap_objects *x, const struct gs_rt_stack_view *v,
			  const struct gs_rt_pointer *p, uint32_t label);
/** The word before @slot; 0 if there is none. */
uint64_t gs__ho_stack_before(const struct gs_rt_stack_view *v, gs_addr slot);

/** "orders[0] (main.serve, goroutine 24)": the variable that leads to an object from the stack of a goroutine that began at
 *  @start_pc, in x->arena. NULL: it is not known any more. */
const char *gs__ho_stack_name(struct gs_heap_objects *x, gs_addr start_pc, gs_addr object,
			      uint64_t size);
/** ".orders[3].next" for the word at @at in a value of type @t; "" if it has no name. */
void gs__ho_name_word(struct gs_heap_objects *x, const struct gs_go_type *t, uint64_t at, char *to,
		      size_t size);
/** ".server" for the word at @at in a closure of type @t; "" if it has no name. */
void gs__ho_name_capture(struct gs_heap_objects *x, const struct gs__ho_type *t, uint64_t at,
			 char *to, size_t size);

GS_CHECKED int gs__ho_count(struct gs_heap_objects *x, struct gs_err *err);
const char *gs__ho_root_name(struct gs_heap_objects *x, const struct gs__ho_root *root);
enum { GS__HO_UNKNOWN_NAME = 80 };
/** What objects of such spans are called if their type is not known. */
void gs__ho_unknown_name(const struct gs_rt_span *s, char ret[GS__HO_UNKNOWN_NAME]);
typedef int gs__ho_roots_fn(struct gs_heap_objects *x, struct gs_err *err);
/** What the listed types retain and the listed roots reach; @roots: gs__ho_roots, but for tests.
 *  @return 0, or what the caller's progress function said. */
GS_CHECKED int gs__ho_retained(struct gs_heap_objects *x, gs__ho_roots_fn *roots,
			       struct gs_err *err);
/** Looking for that: a reference reached a slot. @return whether it has to have a turn. */
bool gs__ho_reach_arrive(struct gs_heap_objects *x, uint32_t from, uint32_t slot,
			 const struct gs_rt_span *s, bool pin);
/** Searching: a reference reached a slot. */
void gs__ho_search_arrive(struct gs_heap_objects *x, uint32_t parent, uint32_t slot);
/** Give the result its path; the labels are gone after that. */
GS_CHECKED int gs__ho_path(struct gs_heap_objects *x, struct gs_err *err);

#endif
