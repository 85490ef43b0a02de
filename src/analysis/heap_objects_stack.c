/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What local variables tell of pointers on stacks. The compiler's stack maps say which words are alive; DWARF says
 * which variable lies there while the function waits for its call, and what type it has. Debug information of optimised code
 * is not always right: a place may be that of a variable that is gone. So such types are guesses (GS__HO_GUESS): anything
 * that knows better takes their place, and an object whose pointer bitmap differs refuses them.
 *
 *   before the walk   the distinct pcs of all frames, for which DWARF is asked once
 *   at each pointer   frame ─► pc ─► variables that cover the slot ─► what the word of that type leads to
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "analysis/heap_objects_private.h"
#include "base/hash.h"
#include "base/search.h"

enum {
	MAX_PCS = 64 << 10, /* as many as gs_go_dwarf_variables() looks at */
	PC_SLOTS = MAX_PCS * 2,
	MAX_CLAIMS = 4, /* of variables on one word */
	MAX_NAME = 512,
	MAX_CLOSURE = 128, /* bytes of a closure on a stack that are looked at */
};

/* --- which pcs there are ------------------------------------------------------------------------------------------ */

struct pcs {
	gs_addr *slot; /* [PC_SLOTS]: a set; 0: free */
	uint32_t n;
};

static int take_pcs(void *ctx, uint32_t which, const struct gs_rt_stack_view *v)
{
	struct pcs *s = ctx;

	(void)which;
	for (uint32_t i = 0; i < v->n_frames; i++) {
		gs_addr pc = v->frame[i].pc;
		uint32_t k = (uint32_t)(pc * 0x9e3779b97f4a7c15u >> 32) % PC_SLOTS;

		while (s->slot[k] && s->slot[k] != pc)
			k = (k + 1) % PC_SLOTS;
		if (s->slot[k] || s->n == MAX_PCS || !pc)
			continue;
		s->slot[k] = pc;
		s->n++;
	}
	return 0;
}

static int by_address(const void *a, const void *b)
{
	gs_addr x = *(const gs_addr *)a, y = *(const gs_addr *)b;

	return (x > y) - (x < y);
}

/* The numbers of all goroutines. */
static uint32_t *all_of(uint32_t n)
{
	uint32_t *which = gs_array_new(n + 1ul, sizeof(*which));

	for (uint32_t i = 0; which && i < n; i++)
		which[i] = i;
	return which;
}

/* Of all goroutines; what cannot be read now is told when pointers are taken. */
static int read_pcs(struct gs_heap_objects *x, struct pcs *s, struct gs_err *err)
{
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs = NULL;
	GS_CLEANUP(gs_freep) uint32_t *which = NULL;
	struct gs_incomplete_list inc = { 0 };
	uint32_t n;
	int r = gs_rt_gs_read(x->rt, &gs, &inc, err);

	if (r < 0)
		return r;
	(void)gs_rt_gs_all(gs, &n);
	which = all_of(n);
	if (!which)
		return gs_fail(err, -ENOMEM, 0, "cannot look at stacks: out of memory");
	return gs_rt_stack_frames(x->rt, gs, which, n, take_pcs, NULL, s, &inc, err);
}

int gs__ho_stack_pcs(struct gs_heap_objects *x, gs_addr **ret, uint32_t *ret_n, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) gs_addr *slot = gs_array_new(PC_SLOTS, sizeof(*slot));
	struct pcs s = { .slot = slot };
	uint32_t n = 0;
	int r;

	if (!slot)
		return gs_fail(err, -ENOMEM, 0, "cannot look at stacks: out of memory");
	r = read_pcs(x, &s, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < PC_SLOTS; i++)
		if (slot[i])
			slot[n++] = slot[i];
	qsort(slot, n, sizeof(*slot), by_address);
	*ret = GS_TAKE(slot);
	*ret_n = n;
	return 0;
}

/* --- which variables cover a word --------------------------------------------------------------------------------- */

/* A variable that covers the word. */
struct claim {
	const struct gs_go_locals *at;
	const struct gs_go_local *local;
	gs_addr cfa;
	uint64_t in; /* where in the variable the word is */
};

static void claims_in(const struct gs_heap_objects *x, const struct gs_rt_stack_frame *f,
		      gs_addr slot, struct claim *c, uint32_t *n)
{
	const struct gs_go_locals *at = f->pc ? gs_go_locals_at(&x->dwarf, f->pc) : NULL;
	int64_t off = (int64_t)(slot - f->cfa);

	for (uint32_t i = 0; at && i < at->n && *n < MAX_CLAIMS; i++) {
		const struct gs_go_local *l = &at->local[i];

		if (off >= l->offset && off + 8 <= (int64_t)l->offset + l->bytes)
			c[(*n)++] = (struct claim){ .at = at,
						    .local = l,
						    .cfa = f->cfa,
						    .in = l->at + (uint64_t)(off - l->offset) };
	}
}

/* A word above a frame's end is one of its arguments, or belongs to its caller. */
static uint32_t claims_on(const struct gs_heap_objects *x, const struct gs_rt_stack_view *v,
			  gs_addr slot, struct claim c[MAX_CLAIMS])
{
	uint32_t behind = GS_SEARCH(i, v->n_frames, v->frame[i].cfa > slot), n = 0;

	if (behind > 0)
		claims_in(x, &v->frame[behind - 1], slot, c, &n);
	if (n == 0 && behind < v->n_frames)
		claims_in(x, &v->frame[behind], slot, c, &n);
	return n;
}

static bool word_at(const struct gs_rt_stack_view *v, gs_addr at, uint64_t *ret)
{
	if (at < v->at || v->len < 8 || at - v->at > v->len - 8)
		return false;
	memcpy(ret, v->bytes + (at - v->at), 8);
	return true;
}

/* The word at @in of the same variable, which may lie elsewhere on the stack, or in a register. */
static bool word_of(const struct gs_rt_stack_view *v, const struct claim *c, uint64_t in,
		    uint64_t *ret)
{
	for (uint32_t i = 0; i < c->at->n; i++) {
		const struct gs_go_local *l = &c->at->local[i];

		if (l->variable == c->local->variable && !l->indirect && in >= l->at &&
		    in + 8 <= (uint64_t)l->at + l->bytes)
			return word_at(v, c->cfa + (uint64_t)(int64_t)l->offset + (in - l->at),
				       ret);
	}
	return false;
}

/* What the word leads to, by the variable's type. */
static bool edge_of(struct gs_heap_objects *x, const struct claim *c, struct gs__ho_edge *ret)
{
	uint32_t type = gs__ho_type(x, GS__HO_OBJECT, c->local->type);

	if (type && c->local->indirect) {
		*ret = (struct gs__ho_edge){ .kind = GS__HO_TO, .target = type };
		return true;
	}
	return type && gs__ho_edge_in(x, type, c->in, ret) && ret->kind != GS__HO_TO_ANY;
}

/* --- pointers ----------------------------------------------------------------------------------------------------- */

static void offer(struct gs_heap_objects *x, const struct gs_rt_stack_view *v, uint64_t value,
		  const struct claim *c, const struct gs__ho_edge *e, uint32_t label)
{
	uint64_t before = 0, next = 0, third = 0;

	if (c->in >= 8)
		(void)word_of(v, c, c->in - 8, &before);
	/* A length or capacity that is only in a register: at least one. */
	if (!word_of(v, c, c->in + 8, &next))
		next = 1;
	if (!word_of(v, c, c->in + 16, &third))
		third = next;
	gs__ho_guess(x, value, e, before, next, third, label);
}

uint64_t gs__ho_stack_before(const struct gs_rt_stack_view *v, gs_addr slot)
{
	uint64_t word;

	return word_at(v, slot - 8, &word) ? word : 0;
}

/* Closures of deferred and immediate calls are on the stack themselves, in a variable without a name. They begin with their
 * function, which no return address is equal to. @return its type, 0: @slot is in none; *ret_at: how far in. */
static uint32_t closure_around(struct gs_heap_objects *x, const struct gs_rt_stack_view *v,
			       gs_addr slot, uint64_t *ret_at)
{
	uint64_t pc;

	for (uint64_t back = 8; back <= MAX_CLOSURE && word_at(v, slot - back, &pc); back += 8) {
		uint32_t type = gs_go_closure_of(&x->dwarf, pc) ? gs__ho_closure(x, pc) : 0;

		*ret_at = back;
		if (type)
			return type;
	}
	return 0;
}

static bool in_closure(struct gs_heap_objects *x, const struct gs_rt_stack_view *v,
		       const struct gs_rt_pointer *p, uint32_t label)
{
	uint64_t at, next = 1, third;
	uint32_t type = closure_around(x, v, p->slot, &at);
	struct gs__ho_edge e;

	if (!type || !gs__ho_edge_in(x, type, at, &e))
		return false;
	(void)word_at(v, p->slot + 8, &next);
	third = next;
	(void)word_at(v, p->slot + 16, &third);
	gs__ho_guess(x, p->value, &e, gs__ho_stack_before(v, p->slot), next, third, label);
	return true;
}

bool gs__ho_stack_pointer(struct gs_heap_objects *x, const struct gs_rt_stack_view *v,
			  const struct gs_rt_pointer *p, uint32_t label)
{
	struct claim c[MAX_CLAIMS];
	struct gs__ho_edge e[MAX_CLAIMS];
	uint32_t n = claims_on(x, v, p->slot, c), told = 0;

	for (uint32_t i = 0; i < n; i++) {
		bool known = false;

		c[told] = c[i];
		if (!edge_of(x, &c[i], &e[told]))
			continue;
		for (uint32_t k = 0; k < told; k++)
			known |= e[k].kind == e[told].kind && e[k].target == e[told].target;
		told += !known;
	}
	/* Two that would fit the same objects: one of them is gone, nobody knows which. */
	for (uint32_t i = 0; i < told; i++)
		for (uint32_t k = 0; k < i; k++)
			if (e[i].target && e[k].target &&
			    x->type[e[i].target]->unit == x->type[e[k].target]->unit)
				return false;
	for (uint32_t i = 0; i < told; i++)
		offer(x, v, p->value, &c[i], &e[i], label);
	return told > 0 || (n == 0 && in_closure(x, v, p, label));
}

/* --- names -------------------------------------------------------------------------------------------------------- */

/* Looks for the pointer that leads from a stack to an object. */
struct naming {
	struct gs_heap_objects *x;
	const struct gs_rt_gs *gs;
	struct gs_rt_stack_view view;
	uint32_t view_of; /* + 1 */
	gs_addr start_pc, object;
	uint64_t size;
	const char *name;
};

static int name_frames(void *ctx, uint32_t which, const struct gs_rt_stack_view *v)
{
	struct naming *q = ctx;

	q->view = *v;
	q->view_of = which + 1;
	return 0;
}

/* "orders[0]" and the function's pc; "" if no variable is known. */
static gs_addr name_slot(struct gs_heap_objects *x, const struct gs_rt_stack_view *v, gs_addr slot,
			 char *to, size_t size)
{
	struct claim c[MAX_CLAIMS];
	struct gs__ho_edge e;
	uint32_t n = claims_on(x, v, slot, c), i = 0, type;
	uint64_t at;
	int len;

	to[0] = '\0';
	while (i < n && !edge_of(x, &c[i], &e))
		i++;
	if (i < n) {
		len = snprintf(to, size, "%s", c[i].local->name + (c[i].local->name[0] == '&'));
		if (!c[i].local->indirect && len > 0 && (size_t)len < size)
			gs__ho_name_word(x, c[i].local->type, c[i].in, to + len,
					 size - (size_t)len);
		return c[i].at->pc;
	}
	type = closure_around(x, v, slot, &at);
	if (type) {
		gs__ho_name_capture(x, x->type[type], at, to, size);
		memmove(to, to + (to[0] == '.'), strlen(to) + (to[0] != '.'));
		return x->type[type]->pc;
	}
	return 0;
}

static bool began_at(const struct naming *q, const struct gs_rt_g *g)
{
	int32_t off = q->x->layout->offset[GS_GO_G_STARTPC];
	uint64_t pc;

	return off >= 0 && gs_memory_u64(q->x->mem, g->g + (uint32_t)off, &pc, NULL) == 0 &&
	       pc == q->start_pc;
}

static int name_pointers(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	struct naming *q = ctx;
	struct gs_heap_objects *x = q->x;
	char word[MAX_NAME], text[MAX_NAME * 2];
	struct gs_go_func f;
	uint32_t n_gs;

	for (size_t i = 0; i < n; i++) {
		const struct gs_rt_g *g = &gs_rt_gs_all(q->gs, &n_gs)[which];
		const char *function = NULL;
		gs_addr pc = 0;

		if (p[i].value - q->object >= q->size || !began_at(q, g))
			continue;
		word[0] = '\0';
		if (q->view_of == which + 1 && p[i].slot)
			pc = name_slot(x, &q->view, p[i].slot, word, sizeof(word));
		if (pc && gs_go_func_find(gs_rt_pclntab(x->rt), pc, &f, NULL) == 0)
			function = f.name;
		(void)snprintf(text, sizeof(text), "%s (%s%sgoroutine %" PRIu64 ")",
			       word[0] ? word : "*", function ? function : "", function ? ", " : "",
			       g->goid);
		if (word[0] || !q->name)
			q->name = gs_arena_strndup(x->arena, text, strlen(text));
		if (word[0])
			return 1;
	}
	return 0;
}

const char *gs__ho_stack_name(struct gs_heap_objects *x, gs_addr start_pc, gs_addr object,
			      uint64_t size)
{
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs = NULL;
	GS_CLEANUP(gs_freep) uint32_t *which = NULL;
	struct naming q = { .x = x, .start_pc = start_pc, .object = object, .size = size };
	struct gs_incomplete_list inc = { 0 };
	uint32_t n;

	if (gs_rt_gs_read(x->rt, &gs, &inc, NULL) < 0)
		return NULL;
	q.gs = gs;
	(void)gs_rt_gs_all(gs, &n);
	which = all_of(n);
	if (which)
		(void)!gs_rt_stack_frames(x->rt, gs, which, n, name_frames, name_pointers, &q, &inc,
					  NULL);
	return q.name;
}
