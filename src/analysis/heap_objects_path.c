/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A shortest path from a root to an object of a type: breadth first over the whole heap, with the parent of each slot in the
 * place of its label. Objects of a level have their turn together, in the order of memory.
 *
 * A path says which object leads to which. Through which word, and what that is called, is found by reading the few objects
 * of the path again; on a live process the word may be gone by then, and the step has no name.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "analysis/heap_objects_private.h"
#include "base/search.h"

enum {
	PIECE = 1 << 20, /* of an object */
	MAX_STEPS = 1000,
	MAX_CHAIN = 1 << 20,
	MAX_NAME = 512,
	MAX_DEPTH = 32,
};
#define FROM_ROOT GS__HO_PINNED /* the rest is the number of a root, not of a slot */

struct gs__ho_search {
	const struct gs_rt_span **span; /* with objects, by the number of the first */
	uint32_t n_spans;
	uint32_t *level, *next; /* slots */
	uint32_t n_level, n_next, level_cap, next_cap;
	uint8_t *wanted; /* by number of type */
	uint32_t found;
	bool roots, any, no_memory;
	uint8_t *buffer;
};

/* --- slots -------------------------------------------------------------------------------------------------------- */

static const struct gs_rt_span *span_of(const struct gs__ho_search *q, uint32_t slot)
{
	uint32_t behind = GS_SEARCH(i, q->n_spans, q->span[i]->first_object > slot);

	return q->span[behind ? behind - 1 : 0];
}

static gs_addr start_of(const struct gs_rt_span *s, uint32_t slot)
{
	return s->start + (slot - s->first_object) * s->elem_size;
}

static int by_first(const void *a, const void *b)
{
	const struct gs_rt_span *const *p = a, *const *q = b;

	return (*p)->first_object < (*q)->first_object ? -1
						       : (*p)->first_object > (*q)->first_object;
}

static bool push(struct gs__ho_search *q, uint32_t slot)
{
	if (q->n_next == q->next_cap) {
		uint32_t cap = q->next_cap ? q->next_cap * 2 : 65536;
		uint32_t *more = gs_array_resize(q->next, cap, sizeof(*more));

		if (!more)
			return false;
		q->next = more;
		q->next_cap = cap;
	}
	q->next[q->n_next++] = slot;
	return true;
}

void gs__ho_search_arrive(struct gs_heap_objects *x, uint32_t parent, uint32_t slot)
{
	struct gs__ho_search *q = x->search;

	if (x->label[slot] || q->any)
		return;
	x->label[slot] = parent | (q->roots ? FROM_ROOT : 0);
	if (q->wanted[gs__ho_type_of(x->known[slot])] &&
	    gs__ho_level_of(x->known[slot]) >= GS__HO_GUESS) {
		q->any = true;
		q->found = slot;
	} else if (!push(q, slot)) {
		q->no_memory = true;
	}
}

/* --- the search --------------------------------------------------------------------------------------------------- */

static int scan_level(struct gs_heap_objects *x, struct gs_err *err)
{
	struct gs__ho_search *q = x->search;
	uint32_t *swap = q->level, cap = q->level_cap;
	int r;

	q->level = q->next;
	q->n_level = q->n_next;
	q->level_cap = q->next_cap;
	q->next = swap;
	q->next_cap = cap;
	q->n_next = 0;
	for (uint32_t i = 0; i < q->n_level; i++) {
		const struct gs_rt_span *s = span_of(q, q->level[i]);

		if (!(s->flags & GS_RT_SPAN_NOSCAN))
			gs_heap_grey(x->mark, s, start_of(s, q->level[i]));
	}
	r = gs__ho_walk(x, err);
	if (r == 0 && q->no_memory)
		return gs_fail(err, -ENOMEM, 0, "cannot look for a path: out of memory");
	return r;
}

/* --- names of steps ----------------------------------------------------------------------------------------------- */

void gs__ho_name_word(struct gs_heap_objects *x, const struct gs_go_type *t, uint64_t at, char *to,
		      size_t size)
{
	size_t len = 0;

	to[0] = '\0';
	for (int depth = 0; t && depth < MAX_DEPTH && len < size - 1; depth++) {
		const struct gs_go_type_field *f = NULL;
		int n;

		if (!gs_go_type_complete(x->types, t))
			return;
		if (t->kind == GS_GO_KIND_ARRAY && t->elem && t->elem->size) {
			n = snprintf(to + len, size - len, "[%" PRIu64 "]", at / t->elem->size);
			at %= t->elem->size;
			t = t->elem;
		} else if (t->kind == GS_GO_KIND_STRUCT) {
			for (uint32_t i = 0; i < t->n_fields && t->fields[i].offset <= at; i++)
				f = &t->fields[i];
			if (!f || !f->type)
				return;
			n = snprintf(to + len, size - len, ".%s", f->name);
			at -= f->offset;
			t = f->type;
		} else {
			return;
		}
		len += n > 0 ? (size_t)n : 0;
	}
}

static const char *name_in_object(struct gs_heap_objects *x, uint32_t known, uint64_t at)
{
	const struct gs__ho_type *t = x->type[gs__ho_type_of(known)];
	bool told = gs__ho_type_of(known) && gs__ho_level_of(known) >= GS__HO_GUESS;
	const char *in_map = told ? gs__ho_name_in_map(x, t, at) : NULL;
	char text[MAX_NAME] = "", rest[MAX_NAME] = "";

	if (in_map)
		return in_map;
	if (told && t->form == GS__HO_MAP_DIR) {
		(void)snprintf(text, sizeof(text), "[%" PRIu64 "]", at / 8);
	} else if (told && t->form == GS__HO_ARRAY && t->unit) {
		gs__ho_name_word(x, t->go, at % t->unit, rest, sizeof(rest) - 32);
		(void)snprintf(text, sizeof(text), "[%" PRIu64 "]%.400s", at / t->unit, rest);
	} else if (told && t->form == GS__HO_OBJECT) {
		gs__ho_name_word(x, t->go, at, text, sizeof(text));
		if (!text[0] && at == 0)
			return "*";
	} else if (told && t->form == GS__HO_CLOSURE) {
		gs__ho_name_capture(x, t, at, text, sizeof(text));
	}
	if (!text[0])
		(void)snprintf(text, sizeof(text), "+%" PRIu64, at);
	return gs_arena_strndup(x->arena, text, strlen(text));
}

/* The word in [@from, @from + @n) that points into the slot. @return its offset, UINT64_MAX if it is gone. */
static uint64_t word_to(struct gs_heap_objects *x, gs_addr from, uint64_t n, gs_addr start,
			uint64_t size)
{
	struct gs__ho_search *q = x->search;

	for (uint64_t at = 0; at < n; at += PIECE) {
		uint64_t len = n - at < PIECE ? n - at : PIECE, v;

		if (gs_memory_read(x->mem, from + at, q->buffer, len, NULL) < 0)
			return UINT64_MAX;
		for (uint64_t i = 0; i + 8 <= len; i += 8) {
			memcpy(&v, q->buffer + i, 8);
			if (v - start < size)
				return at + i;
		}
	}
	return UINT64_MAX;
}

static const char *known_name(const struct gs_heap_objects *x, uint32_t slot)
{
	uint32_t known = x->known[slot];

	return gs__ho_level_of(known) >= GS__HO_GUESS ? x->type[gs__ho_type_of(known)]->name : NULL;
}

/* How the parent leads to @slot. */
static struct gs_heap_path_step step_from(struct gs_heap_objects *x, uint32_t parent, uint32_t slot)
{
	struct gs__ho_search *q = x->search;
	const struct gs_rt_span *s = span_of(q, slot), *from = span_of(q, parent);
	gs_addr start = start_of(s, slot), at = start_of(from, parent);
	uint64_t word = word_to(x, at, from->elem_size, start, s->elem_size);
	const char *what = NULL;

	if (word != UINT64_MAX && word >= gs__ho_header(from))
		what = name_in_object(x, x->known[parent], word - gs__ho_header(from));
	return (struct gs_heap_path_step){ .what = what ? what : "?",
					   .addr = start,
					   .type = known_name(x, slot) };
}

/* The root, and how it leads to @slot: with the name of a field where there is one. */
static void steps_of_root(struct gs_heap_objects *x, uint32_t label, uint32_t slot,
			  struct gs_heap_path_step step[2])
{
	const struct gs__ho_root *root = &x->root[label - 1];
	const struct gs_rt_span *s = span_of(x->search, slot);
	bool variable = root->kind == GS__HO_VARIABLE && root->type;
	char field[MAX_NAME] = "";
	uint64_t word;

	step[0] =
		(struct gs_heap_path_step){ .what = gs__ho_root_name(x, root),
					    .addr = root->kind == GS__HO_GOROUTINES ? 0 : root->at,
					    .type = variable ? root->type->name : NULL };
	step[1] = (struct gs_heap_path_step){ .what = "*",
					      .addr = start_of(s, slot),
					      .type = known_name(x, slot) };
	if (root->kind == GS__HO_GOROUTINES) {
		const char *local = gs__ho_stack_name(x, root->at, start_of(s, slot), s->elem_size);

		step[1].what = local ? local : step[1].what;
	}
	if (!variable)
		return;
	word = word_to(x, root->at, root->type->size, start_of(s, slot), s->elem_size);
	if (word != UINT64_MAX)
		gs__ho_name_word(x, root->type, word, field, sizeof(field));
	if (field[0])
		step[1].what = gs_arena_strndup(x->arena, field, strlen(field));
}

static int make_path(struct gs_heap_objects *x, struct gs_err *err)
{
	struct gs__ho_search *q = x->search;
	struct gs_heap_path_step *step;
	uint32_t n = 0, max, slot = q->found, at;

	while (n < MAX_CHAIN && !(x->label[slot] & FROM_ROOT)) {
		slot = x->label[slot] - 1;
		n++;
	}
	/* Of long chains the beginning and the end. */
	max = n < MAX_STEPS ? n : MAX_STEPS;
	step = gs_arena_array(x->arena, max + 3ul, sizeof(*step));
	if (!step)
		return gs_fail(err, -ENOMEM, 0, "cannot tell the path: out of memory");
	steps_of_root(x, x->label[slot] & ~FROM_ROOT, slot, step);
	at = max + 1;
	for (slot = q->found; at > 1; slot = x->label[slot] - 1, at--) {
		step[at] = step_from(x, x->label[slot] - 1, slot);
		if (n > max && at == max / 2 + 2) {
			for (; n > max; n--)
				slot = x->label[slot] - 1;
			step[at].what = "… steps left out …";
		}
	}
	x->result.path = step;
	x->result.n_path = max + 2;
	return 0;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static bool want(struct gs_heap_objects *x)
{
	const char *name = x->o.path_to;
	bool any = false;

	for (int pass = 0; pass < 2 && !any; pass++)
		for (uint32_t i = 1; i <= x->n_kinds; i++) {
			const struct gs__ho_type *t = x->type[i];
			bool array = t->form == GS__HO_ARRAY && !strcmp(t->go->name, name);

			if (t->objects && (pass == 0 ? !strcmp(t->name, name) : array)) {
				x->search->wanted[i] = 1;
				any = true;
			}
		}
	return any;
}

static int search_init(struct gs_heap_objects *x, struct gs_err *err)
{
	struct gs__ho_search *q = x->search;
	const struct gs_rt_span *s = x->mark->span;

	q->span = gs_array_new(x->mark->n_spans + 1ul, sizeof(*q->span));
	q->wanted = gs_array_new(x->n_kinds + 1ul, 1);
	q->buffer = malloc(PIECE);
	if (!q->span || !q->wanted || !q->buffer)
		return gs_fail(err, -ENOMEM, 0, "cannot look for a path: out of memory");
	for (uint32_t i = 0; i < x->mark->n_spans; i++)
		if (s[i].state == GS_RT_SPAN_IN_USE && s[i].n_elems)
			q->span[q->n_spans++] = &s[i];
	qsort(q->span, q->n_spans, sizeof(*q->span), by_first);
	return 0;
}

static int search(struct gs_heap_objects *x, struct gs_err *err)
{
	struct gs__ho_search *q = x->search;
	int r = search_init(x, err);

	if (r < 0)
		return r;
	if (!want(x)) {
		gs_incomplete_add(&x->inc, "path_not_found", 1, "no live object has the type %.90s",
				  x->o.path_to);
		return 0;
	}
	if (x->n_slots >= FROM_ROOT) {
		gs_incomplete_add(&x->inc, "path_not_found", 1, "too many objects");
		return 0;
	}
	memset(x->label, 0, x->n_slots * sizeof(*x->label));
	q->roots = true;
	r = gs__ho_roots(x, err);
	q->roots = false;
	while (r == 0 && !q->any && q->n_next)
		r = scan_level(x, err);
	if (r == 0 && q->any)
		return make_path(x, err);
	if (r == 0)
		gs_incomplete_add(&x->inc, "path_not_found", 1,
				  "the object was gone when it was looked for");
	return r;
}

int gs__ho_path(struct gs_heap_objects *x, struct gs_err *err)
{
	struct gs__ho_search q = { 0 };
	int r;

	x->search = &q;
	r = search(x, err);
	x->search = NULL;
	x->n_refs = 0;
	free(q.span);
	free(q.level);
	free(q.next);
	free(q.wanted);
	free(q.buffer);
	return r;
}
