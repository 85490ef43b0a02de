/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What heap objects can be, and which of their words lead to what. A type is planned when the first object of it is
 * looked into: its structs and arrays are unrolled into one number for each word, so that walking costs one load a word.
 *
 * Structures of the runtime that no descriptor describes are written down here:
 *
 *   maps up to 1.23    runtime.hmap, mapextra; buckets have a descriptor (its last field is the overflow pointer)
 *   maps since 1.24    internal/runtime/maps.Map, table; groups have a descriptor. noswissmap of 1.24 and 1.25 is known by
 *                      the fields of that descriptor
 *   channels           runtime.hchan, which carries its element type with it
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "analysis/heap_objects_private.h"
#include "base/hash.h"

enum {
	MAX_WORDS = 1 << 16,  /* of a type that is unrolled */
	MAX_DEPTH = 64,       /* structs in structs */
	MAX_STEPS = 1 << 20,  /* of unrolling one type */
	MAX_EDGES = 64 << 20, /* of all types */
	MAP_BYTES = 48,       /* of hmap and of maps.Map, all releases */
	TABLE_BYTES = 32,
	/* words of maps.Map: used, seed, dirPtr, dirLen, …; of maps.table: (numbers), index, groups.data, groups.lengthMask */
	MAP_DIR_WORD = 2,
	TABLE_GROUPS_WORD = 2,
	/* words of hmap: count, (flags, B, …), buckets, oldbuckets, nevacuate, extra */
	HMAP_BUCKETS_WORD = 2,
	HMAP_OLD_WORD = 3,
	HMAP_EXTRA_WORD = 5,
	EXTRA_BYTES = 24, /* mapextra: overflow, oldoverflow (*[]*bmap), nextOverflow */
};

/* --- numbers ------------------------------------------------------------------------------------------------------ */

static bool grow_index(struct gs_heap_objects *x)
{
	uint32_t mask = x->index ? x->index_mask * 2 + 1 : 4095;
	uint32_t *index = gs_array_new((size_t)mask + 1, sizeof(*index));

	if (!index)
		return false;
	for (uint32_t n = 1; n <= x->n_kinds; n++) {
		const struct gs__ho_type *t = x->type[n];
		uint64_t what = t->go ? (uintptr_t)t->go : t->pc;
		uint32_t i = (uint32_t)gs_hash_u64(x->seed + t->form, what) & mask;

		while (index[i])
			i = (i + 1) & mask;
		index[i] = n;
	}
	free(x->index);
	x->index = index;
	x->index_mask = mask;
	return true;
}

static bool room_for_type(struct gs_heap_objects *x)
{
	uint32_t cap = x->kinds_cap ? x->kinds_cap * 2 : 1024;
	struct gs__ho_type **more;

	if (x->n_kinds >= GS__HO_MAX_TYPES)
		return false;
	if ((!x->index || x->n_kinds >= (x->index_mask + 1) / 4 * 3) && !grow_index(x))
		return false;
	if (x->n_kinds + 1 < x->kinds_cap)
		return true;
	more = gs_array_resize(x->type, cap, sizeof(*more));
	if (!more)
		return false;
	x->type = more;
	x->kinds_cap = cap;
	return true;
}

/* Where the type is or would be. @return its number, 0: not there. */
static uint32_t look_up(const struct gs_heap_objects *x, enum gs__ho_form form,
			const struct gs_go_type *go, gs_addr pc, uint32_t *ret_slot)
{
	uint32_t i = (uint32_t)gs_hash_u64(x->seed + form, go ? (uintptr_t)go : pc) & x->index_mask;

	for (; x->index[i]; i = (i + 1) & x->index_mask) {
		const struct gs__ho_type *t = x->type[x->index[i]];

		if (t->form == form && t->go == go && t->pc == pc)
			break;
	}
	*ret_slot = i;
	return x->index[i];
}

static void set_size(const struct gs_heap_objects *x, struct gs__ho_type *t)
{
	switch (t->form) {
	case GS__HO_ARRAY:
	case GS__HO_CHAN_BUFFER:
		t->repeats = true;
		t->unit = t->go->size;
		break;
	case GS__HO_OBJECT:
		t->unit = t->go->size;
		break;
	case GS__HO_MAP:
		t->unit = MAP_BYTES;
		break;
	case GS__HO_MAP_TABLE:
		t->unit = TABLE_BYTES;
		break;
	case GS__HO_MAP_EXTRA:
	case GS__HO_MAP_OVERFLOW:
		t->unit = EXTRA_BYTES;
		break;
	case GS__HO_MAP_DIR:
	case GS__HO_MAP_OVERFLOWS:
		t->repeats = true;
		t->unit = sizeof(uint64_t);
		break;
	case GS__HO_CHAN:
		t->unit = x->hchan_size;
		break;
	default:
		t->unit = 0;
	}
}

/* "noalg.map.group[string]int" and "map.bucket[string]int" are parts of a "map[string]int". */
static const char *part_of_map(const char *name)
{
	static const char *const prefix[] = { "map.group", "map.bucket" };

	if (!strncmp(name, "noalg.", 6))
		name += 6;
	for (size_t i = 0; i < GS_ARRAY_SIZE(prefix); i++)
		if (!strncmp(name, prefix[i], strlen(prefix[i])) && name[strlen(prefix[i])] == '[')
			return name + strlen(prefix[i]);
	return NULL;
}

static const char *name_of(struct gs_heap_objects *x, enum gs__ho_form form,
			   const struct gs_go_type *go, const char *function)
{
	const char *name = go ? go->name : "", *of_map = part_of_map(name), *ret;
	size_t n = strlen(name) + (function ? strlen(function) : 0) + 64;
	char *text = gs_arena_alloc(x->arena, n);

	if (!text)
		return "?";
	ret = text;
	switch (form) {
	case GS__HO_OBJECT:
	case GS__HO_ARRAY:
		if (of_map)
			(void)snprintf(text, n, "map%s (%s)", of_map,
				       strstr(name, "map.group") ? "groups" : "buckets");
		else if (form == GS__HO_ARRAY)
			(void)snprintf(text, n, "[]%s (backing array)", name);
		else
			ret = name;
		break;
	case GS__HO_STRING:
		return "string (bytes)";
	case GS__HO_TINY:
		return "small values without pointers (several in 16 bytes)";
	case GS__HO_FUNC:
		return "func (closure)";
	case GS__HO_CLOSURE:
		(void)snprintf(text, n, "func %s (closure)", function ? function : "?");
		break;
	case GS__HO_MAP:
		ret = name;
		break;
	case GS__HO_MAP_DIR:
		(void)snprintf(text, n, "%s (directory)", name);
		break;
	case GS__HO_MAP_TABLE:
		(void)snprintf(text, n, "%s (tables)", name);
		break;
	case GS__HO_MAP_EXTRA:
	case GS__HO_MAP_OVERFLOW:
	case GS__HO_MAP_OVERFLOWS:
		(void)snprintf(text, n, "%s (overflow lists)", name);
		break;
	case GS__HO_CHAN:
		(void)snprintf(text, n, "chan %s", name);
		break;
	case GS__HO_CHAN_BUFFER:
		(void)snprintf(text, n, "chan %s (buffer)", name);
		break;
	case GS__HO_G:
		return "runtime.g";
	case GS__HO_SUDOG:
		return "runtime.sudog";
	}
	return ret;
}

static uint32_t make_type(struct gs_heap_objects *x, enum gs__ho_form form,
			  const struct gs_go_type *go, gs_addr pc, const char *function)
{
	struct gs__ho_type *t;
	uint32_t slot, n;

	if (!room_for_type(x))
		return 0;
	n = look_up(x, form, go, pc, &slot);
	if (n)
		return n;
	t = gs_arena_alloc(x->arena, sizeof(*t));
	if (!t)
		return 0;
	*t = (struct gs__ho_type){ .form = form, .go = go, .pc = pc };
	t->name = name_of(x, form, go, function);
	/* Structures of the runtime hold stale pointers as numbers, above all p.wbBuf. */
	t->trusted = form == GS__HO_OBJECT && !strncmp(go->name, "runtime.", 8);
	set_size(x, t);
	n = ++x->n_kinds;
	x->type[n] = t;
	x->index[slot] = n;
	return n;
}

uint32_t gs__ho_type(struct gs_heap_objects *x, enum gs__ho_form form, const struct gs_go_type *go)
{
	return make_type(x, form, go, 0, NULL);
}

uint32_t gs__ho_closure(struct gs_heap_objects *x, gs_addr pc)
{
	struct gs_go_func f;
	uint32_t slot, n;

	if (!room_for_type(x))
		return 0;
	n = look_up(x, GS__HO_CLOSURE, NULL, pc, &slot);
	if (n)
		return n;
	if (gs_go_func_find(gs_rt_pclntab(x->rt), pc, &f, NULL) != 0 || f.entry != pc)
		return 0;
	return make_type(x, GS__HO_CLOSURE, NULL, pc, f.name);
}

/* --- plans -------------------------------------------------------------------------------------------------------- */

struct plan {
	struct gs_heap_objects *x;
	uint32_t *edge;
	uint32_t n_words;
};

static void put(struct plan *p, uint64_t offset, enum gs__ho_edge_kind kind, uint32_t target,
		uint32_t target2)
{
	struct gs_heap_objects *x = p->x;
	uint32_t cap = x->edges_cap ? x->edges_cap * 2 : 4096;
	struct gs__ho_edge *more = x->edge;

	if (offset % 8 || offset / 8 >= p->n_words || x->n_edges >= MAX_EDGES)
		return;
	if (x->n_edges + 1 >= x->edges_cap) {
		more = gs_array_resize(x->edge, cap, sizeof(*more));
		if (!more)
			return;
		x->edge = more;
		x->edges_cap = cap;
	}
	more[++x->n_edges] =
		(struct gs__ho_edge){ .kind = kind, .target = target, .target2 = target2 };
	p->edge[offset / 8] = x->n_edges;
}

/* A word, or the few words of a string, slice or interface. */
static void plan_leaf(struct plan *p, const struct gs_go_type *t, uint64_t at)
{
	struct gs_heap_objects *x = p->x;
	bool whole = gs_go_type_complete(x->types, t);
	const struct gs_go_type *elem = whole ? t->elem : NULL;

	switch (t->kind) {
	case GS_GO_KIND_POINTER:
		put(p, at, elem ? GS__HO_TO : GS__HO_TO_ANY,
		    elem ? gs__ho_type(x, GS__HO_OBJECT, elem) : 0, 0);
		break;
	case GS_GO_KIND_SLICE:
		put(p, at, elem ? GS__HO_TO_SLICE : GS__HO_TO_ANY,
		    elem ? gs__ho_type(x, GS__HO_ARRAY, elem) : 0, 0);
		break;
	case GS_GO_KIND_CHAN:
		put(p, at, elem ? GS__HO_TO : GS__HO_TO_ANY,
		    elem ? gs__ho_type(x, GS__HO_CHAN, elem) : 0, 0);
		break;
	case GS_GO_KIND_MAP:
		put(p, at, whole ? GS__HO_TO : GS__HO_TO_ANY,
		    whole ? gs__ho_type(x, GS__HO_MAP, t) : 0, 0);
		break;
	case GS_GO_KIND_STRING:
		put(p, at, GS__HO_TO_STRING, gs__ho_type(x, GS__HO_STRING, NULL), 0);
		break;
	case GS_GO_KIND_INTERFACE:
		put(p, at + 8, whole && !t->empty_interface ? GS__HO_TO_METHODS : GS__HO_TO_VALUE,
		    0, 0);
		break;
	case GS_GO_KIND_FUNC:
		put(p, at, GS__HO_TO_FUNC, gs__ho_type(x, GS__HO_FUNC, NULL), 0);
		break;
	case GS_GO_KIND_UNSAFE_POINTER:
		put(p, at, GS__HO_TO_ANY, 0, 0);
		break;
	default:
		break;
	}
}

/* Unroll structs and arrays of a value at @at, in the order of offsets, without recursion. */
static void unroll(struct plan *p, const struct gs_go_type *type, uint64_t start)
{
	struct level {
		const struct gs_go_type *t;
		uint64_t at, i;
	} stack[MAX_DEPTH];
	uint32_t depth = 1, steps = 0;

	stack[0] = (struct level){ .t = type, .at = start };
	while (depth > 0 && steps++ < MAX_STEPS) {
		struct level *l = &stack[depth - 1], next = { 0 };
		const struct gs_go_type *t = l->t;
		bool done = t->ptr_bytes == 0 || l->at / 8 >= p->n_words;

		if (!done && t->kind == GS_GO_KIND_STRUCT && gs_go_type_complete(p->x->types, t)) {
			done = l->i >= t->n_fields;
			if (!done)
				next = (struct level){ .t = t->fields[l->i].type,
						       .at = l->at + t->fields[l->i].offset };
		} else if (!done && t->kind == GS_GO_KIND_ARRAY &&
			   gs_go_type_complete(p->x->types, t) && t->elem && t->elem->size) {
			done = l->i >= t->length;
			next = (struct level){ .t = t->elem, .at = l->at + l->i * t->elem->size };
		} else if (!done) {
			plan_leaf(p, t, l->at);
			done = true;
		}
		l->i++;
		if (done)
			depth--;
		else if (next.t && depth < MAX_DEPTH)
			stack[depth++] = next;
	}
}

static bool swiss(const struct gs_heap_objects *x, const struct gs_go_type *map)
{
	const struct gs_go_type *g = map->group;

	return x->layout->minor >= 24 && !(g && gs_go_type_complete(x->types, g) && g->n_fields &&
					   !strcmp(g->fields[0].name, "topbits"));
}

static void plan_map(struct plan *p, const struct gs__ho_type *t)
{
	struct gs_heap_objects *x = p->x;
	const struct gs_go_type *group = t->go->group;
	uint32_t groups = group ? gs__ho_type(x, GS__HO_ARRAY, group) : 0;

	switch (t->form) {
	case GS__HO_MAP:
		if (swiss(x, t->go)) {
			put(p, MAP_DIR_WORD * 8, GS__HO_TO_DIR, groups,
			    gs__ho_type(x, GS__HO_MAP_DIR, t->go));
			break;
		}
		put(p, HMAP_BUCKETS_WORD * 8, GS__HO_TO, groups, 0);
		put(p, HMAP_OLD_WORD * 8, GS__HO_TO, groups, 0);
		put(p, HMAP_EXTRA_WORD * 8, GS__HO_TO, gs__ho_type(x, GS__HO_MAP_EXTRA, t->go), 0);
		break;
	case GS__HO_MAP_DIR:
		put(p, 0, GS__HO_TO, gs__ho_type(x, GS__HO_MAP_TABLE, t->go), 0);
		break;
	case GS__HO_MAP_TABLE:
		put(p, TABLE_GROUPS_WORD * 8, GS__HO_TO_GROUPS, groups, 0);
		break;
	case GS__HO_MAP_EXTRA:
		put(p, 0, GS__HO_TO, gs__ho_type(x, GS__HO_MAP_OVERFLOW, t->go), 0);
		put(p, 8, GS__HO_TO, gs__ho_type(x, GS__HO_MAP_OVERFLOW, t->go), 0);
		break;
	case GS__HO_MAP_OVERFLOW:
		put(p, 0, GS__HO_TO_SLICE, gs__ho_type(x, GS__HO_MAP_OVERFLOWS, t->go), 0);
		break;
	case GS__HO_MAP_OVERFLOWS:
		put(p, 0, GS__HO_TO, group ? gs__ho_type(x, GS__HO_OBJECT, group) : 0, 0);
		break;
	default:
		break;
	}
}

const char *gs__ho_name_in_map(const struct gs_heap_objects *x, const struct gs__ho_type *t,
			       uint64_t at)
{
	if (t->form == GS__HO_MAP_TABLE && at == TABLE_GROUPS_WORD * 8)
		return ".groups";
	if (t->form != GS__HO_MAP)
		return NULL;
	if (swiss(x, t->go))
		return at == MAP_DIR_WORD * 8 ? ".dirPtr" : NULL;
	return at == HMAP_BUCKETS_WORD * 8 ? ".buckets"
	       : at == HMAP_OLD_WORD * 8   ? ".oldbuckets"
	       : at == HMAP_EXTRA_WORD * 8 ? ".extra"
					   : NULL;
}

/* A bucket's last field leads to the next one; it is called unsafe.Pointer. */
static void plan_overflow(struct plan *p, const struct gs_go_type *bucket)
{
	const char *name = bucket->name;

	if (!part_of_map(name) || !strstr(name, "map.bucket") || bucket->size < 8 ||
	    bucket->ptr_bytes != bucket->size)
		return;
	put(p, bucket->size - 8, GS__HO_TO, gs__ho_type(p->x, GS__HO_OBJECT, bucket), 0);
}

/* Is a captured "&x" the address of x, or is x itself in the closure? Large values are; then there is room for them before
 * the next one. 0: cannot be told. */
static int by_reference(const struct gs_go_closure *c, uint32_t i, uint64_t slot_size)
{
	const struct gs_go_capture *v = &c->capture[i];
	uint64_t size = v->type->elem ? v->type->elem->size : 0, room;

	if (size <= 8)
		return size ? 1 : 0;
	if (i + 1 < c->n) {
		room = c->capture[i + 1].offset - v->offset;
		return room == 8 ? 1 : room >= size && room < size + 8 ? -1 : 0;
	}
	return (gs__ho_slot_size(v->offset + 8) == slot_size) -
	       (gs__ho_slot_size(v->offset + size) == slot_size);
}

/* What the compiler's debug information says of closures of this function. */
static void plan_closure(struct plan *p, struct gs__ho_type *t)
{
	struct gs_heap_objects *x = p->x;
	const struct gs_go_closure *c = gs_go_closure_of(&x->dwarf, t->pc);

	for (uint32_t i = 0; c && i < c->n; i++) {
		const struct gs_go_capture *v = &c->capture[i];
		int reference = 1;

		if (!gs_go_type_complete(x->types, v->type))
			continue;
		if (v->maybe_value)
			reference = by_reference(c, i, t->unit);
		/* Variables that are never used as a whole are not described: there may be another in the gap. */
		t->guessed |= reference < 0;
		if (reference > 0)
			unroll(p, v->type, v->offset);
		else if (reference < 0)
			unroll(p, v->type->elem, v->offset);
	}
}

void gs__ho_name_capture(struct gs_heap_objects *x, const struct gs__ho_type *t, uint64_t at,
			 char *to, size_t size)
{
	const struct gs_go_closure *c = gs_go_closure_of(&x->dwarf, t->pc);
	const struct gs_go_type *type = NULL;
	uint32_t i = c ? c->n : 0;
	int n;

	to[0] = '\0';
	while (i > 0 && c->capture[i - 1].offset > at)
		i--;
	if (i == 0)
		return;
	type = c->capture[--i].type;
	at -= c->capture[i].offset;
	if (c->capture[i].maybe_value && at < 8 && by_reference(c, i, t->unit) > 0)
		type = NULL;
	else if (c->capture[i].maybe_value)
		type = gs_go_type_complete(x->types, type) ? type->elem : NULL;
	n = snprintf(to, size, ".%s", c->capture[i].name);
	if (type && at >= type->size)
		to[0] = '\0'; /* what is not described */
	else if (type && n > 0 && (size_t)n < size)
		gs__ho_name_word(x, type, at, to + n, size - (size_t)n);
}

/* Of a closure that was not seen on the heap yet. */
static uint64_t closure_bytes(const struct gs_heap_objects *x, gs_addr pc)
{
	const struct gs_go_closure *c = gs_go_closure_of(&x->dwarf, pc);
	const struct gs_go_capture *last = c ? &c->capture[c->n - 1] : NULL;

	return last ? last->offset + last->type->size : 0;
}

void gs__ho_plan(struct gs_heap_objects *x, struct gs__ho_type *t)
{
	struct plan p = { .x = x };
	int32_t buf = x->layout->offset[GS_GO_HCHAN_BUF];
	uint64_t bytes = t->unit;

	t->planned = true;
	if (t->captured)
		bytes = t->unit = t->captured->size;
	if (!bytes && t->form == GS__HO_CLOSURE)
		bytes = closure_bytes(x, t->pc);
	if (bytes < 8 || bytes / 8 > MAX_WORDS)
		return;
	p.n_words = (uint32_t)(bytes / 8);
	p.edge = gs_arena_array(x->arena, p.n_words, sizeof(*p.edge));
	if (!p.edge)
		return;
	switch (t->form) {
	case GS__HO_OBJECT:
	case GS__HO_ARRAY:
	case GS__HO_CHAN_BUFFER:
		unroll(&p, t->go, 0);
		plan_overflow(&p, t->go);
		break;
	case GS__HO_CLOSURE:
		if (t->captured)
			unroll(&p, t->captured, 0);
		else
			plan_closure(&p, t);
		break;
	case GS__HO_CHAN:
		if (buf >= 0)
			put(&p, (uint64_t)buf, GS__HO_TO_BUFFER,
			    gs__ho_type(x, GS__HO_CHAN_BUFFER, t->go), 0);
		break;
	default:
		plan_map(&p, t);
	}
	t->edge = p.edge;
	t->n_words = p.n_words;
}

/* --- interfaces --------------------------------------------------------------------------------------------------- */

const struct gs_go_type *gs__ho_dynamic(struct gs_heap_objects *x, gs_addr tab)
{
	const struct gs_go_type *t;

	if (tab % 8)
		return NULL;
	if (gs_go_types_contain(x->types, tab)) {
		t = gs_go_type_at(x->types, tab);
		if (t)
			return t;
	}
	for (uint32_t i = 0; i < x->n_itabs; i++)
		if (tab >= x->itabs[i].lo && tab < x->itabs[i].hi)
			return gs_go_itab_type(x->types, tab, NULL);
	return NULL;
}
