/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Labels and types go along pointers until nothing changes.
 *
 * Labels: a slot takes the label of the first that leads to it; a second label makes it shared. So a slot's label
 * changes twice at most, and in the end it is the one root that reaches the slot, or "shared": what would go with a root is exactly
 * the root's subtree in the dominator tree below a root of all roots.
 *
 * Types: a slot has a level of certainty with its type, and a surer type takes the place of one that is less sure. Both only go up,
 * so every object has a handful of turns at most, usually one.
 *
 * An object of known type is looked at word by word with the type's plan; what the plan calls no pointer still counts as one (as in
 * marking) unless the allocator itself says what the type is. In objects of unknown type, interface values give themselves away:
 * a word that is a type or an itab, and a pointer behind it.
 *
 * Slots are looked up in groups, each step of which prefetches what the next one needs (see heap_mark.c).
 */
#include <string.h>

#include "analysis/heap_objects_private.h"

enum {
	LARGE_CLASS = 32768, /* larger objects have whole pages */
	TINY_SPAN_CLASS = 5, /* tinySpanClass: 16 bytes, no pointers */
	PROGRESS = 64 << 20,
};

bool gs__ho_fits(const struct gs_rt_span *s, uint64_t bytes)
{
	uint32_t class = s->spanclass / 2;
	uint64_t below;

	bytes += gs__ho_header(s);
	if (bytes > s->elem_size)
		return false;
	if (s->elem_size > LARGE_CLASS || class == 0 || class >= GS_RT_SIZE_CLASSES)
		below = s->elem_size > GS_RT_PAGE ? s->elem_size - GS_RT_PAGE : 0;
	else
		below = gs_rt_size_class[class - 1];
	return bytes > below;
}

uint64_t gs__ho_slot_size(uint64_t bytes)
{
	for (size_t i = 1; i < GS_RT_SIZE_CLASSES; i++)
		if (bytes <= gs_rt_size_class[i])
			return gs_rt_size_class[i];
	return 0;
}

/* --- from a word to a reference ----------------------------------------------------------------------------------- */

static struct gs__ho_ref *new_ref(struct gs_heap_objects *x, gs_addr value, uint32_t label)
{
	struct gs__ho_ref *r;

	if (x->n_refs == GS__HO_REFS)
		gs__ho_flush(x);
	r = &x->ref[x->n_refs++];
	*r = (struct gs__ho_ref){ .value = value, .label = label };
	return r;
}

static uint64_t times(uint64_t n, uint64_t size)
{
	uint64_t r;

	return __builtin_mul_overflow(n, size, &r) ? UINT64_MAX : r;
}

static void set_type(struct gs_heap_objects *x, struct gs__ho_ref *r, uint32_t type,
		     enum gs_type_how how)
{
	if (!type)
		return;
	r->known = gs__ho_known(type, how, GS__HO_UNKNOWN);
	if (!r->extent && !x->type[type]->repeats)
		r->extent = x->type[type]->unit;
}

const struct gs__ho_type *gs__ho_planned(struct gs_heap_objects *x, uint32_t type)
{
	struct gs__ho_type *t = x->type[type];

	if (!t->planned)
		gs__ho_plan(x, t);
	return t;
}

static void follow(struct gs_heap_objects *x, struct gs__ho_ref *r, const struct gs__ho_edge *e,
		   uint64_t before, uint64_t next, uint64_t third);

/* The value of an interface; types that are one pointer are stored as that pointer. */
static void follow_value(struct gs_heap_objects *x, struct gs__ho_ref *r,
			 const struct gs_go_type *type)
{
	uint32_t n = type ? gs__ho_type(x, GS__HO_OBJECT, type) : 0;
	const struct gs__ho_type *t;
	struct gs__ho_edge e;

	if (!n)
		return;
	if (!type->direct_interface) {
		set_type(x, r, n, GS_TYPE_INTERFACE);
		return;
	}
	t = gs__ho_planned(x, n);
	if (!t->edge || !t->edge[0])
		return;
	e = x->edge[t->edge[0]];
	/* No interface in an interface: a word is too small for one. */
	if (e.kind == GS__HO_TO || e.kind == GS__HO_TO_FUNC)
		follow(x, r, &e, 0, 0, 0);
	if (r->known)
		r->known =
			gs__ho_known(gs__ho_type_of(r->known), GS_TYPE_INTERFACE, GS__HO_UNKNOWN);
}

/* What the word points to, by the plan of what it is in, and its neighbours there (0 where they are not at hand). */
static void follow(struct gs_heap_objects *x, struct gs__ho_ref *r, const struct gs__ho_edge *e,
		   uint64_t before, uint64_t next, uint64_t third)
{
	switch (e->kind) {
	case GS__HO_TO:
	case GS__HO_TO_FUNC:
		set_type(x, r, e->target, GS_TYPE_POINTER);
		break;
	case GS__HO_TO_SLICE:
		r->extent = e->target ? times(third, x->type[e->target]->unit) : 0;
		if (r->extent)
			set_type(x, r, e->target, GS_TYPE_POINTER);
		break;
	case GS__HO_TO_STRING:
		r->extent = next;
		if (next)
			set_type(x, r, e->target, GS_TYPE_POINTER);
		break;
	case GS__HO_TO_VALUE:
	case GS__HO_TO_METHODS:
		follow_value(x, r, before ? gs__ho_dynamic(x, before) : NULL);
		break;
	case GS__HO_TO_DIR:
		r->extent = next ? times(next, 8) : e->target ? x->type[e->target]->unit : 0;
		set_type(x, r, next ? e->target2 : e->target, GS_TYPE_POINTER);
		break;
	case GS__HO_TO_GROUPS:
		r->extent = e->target ? times(next + 1, x->type[e->target]->unit) : 0;
		set_type(x, r, e->target, GS_TYPE_POINTER);
		break;
	case GS__HO_TO_BUFFER:
		set_type(x, r, e->target, GS_TYPE_POINTER);
		break;
	case GS__HO_TO_ANY:
		break;
	}
}

void gs__ho_pointer(struct gs_heap_objects *x, gs_addr value, gs_addr before, uint32_t label)
{
	struct gs__ho_ref *r;

	if (value - x->mark->lo >= x->mark->range)
		return;
	r = new_ref(x, value, label);
	if (before && before - x->mark->lo >= x->mark->range)
		follow_value(x, r, gs__ho_dynamic(x, before));
}

uint32_t gs__ho_edge_at(const struct gs__ho_type *t, uint64_t at)
{
	if (t->repeats)
		at %= t->unit;
	return at / 8 < t->n_words && at % 8 == 0 ? t->edge[at / 8] : 0;
}

bool gs__ho_edge_in(struct gs_heap_objects *x, uint32_t type, uint64_t at, struct gs__ho_edge *ret)
{
	const struct gs__ho_type *t = gs__ho_planned(x, type);
	uint32_t e = t->edge ? gs__ho_edge_at(t, at) : 0;

	if (e)
		*ret = x->edge[e];
	return e != 0;
}

void gs__ho_guess(struct gs_heap_objects *x, gs_addr value, const struct gs__ho_edge *edge,
		  uint64_t before, uint64_t next, uint64_t third, uint32_t label)
{
	struct gs__ho_ref *r;

	if (value - x->mark->lo >= x->mark->range)
		return;
	r = new_ref(x, value, label);
	r->guess = true;
	follow(x, r, edge, before, next, third);
}

static bool is_pointer(const struct gs__ho_bytes *b, uint32_t i)
{
	uint32_t bit = b->mask_from + i;

	return b->mask[bit / 64] >> bit % 64 & 1;
}

void gs__ho_scan(struct gs_heap_objects *x, const struct gs__ho_bytes *b)
{
	const struct gs__ho_type *t = b->type ? gs__ho_planned(x, b->type) : NULL;
	gs_addr lo = x->mark->lo;
	uint64_t range = x->mark->range;

	if (t && !t->edge)
		t = NULL;
	for (uint32_t i = 0; i < b->n; i++) {
		uint64_t v = b->word[i], before = i ? b->word[i - 1] : 0;
		struct gs__ho_ref *r;
		uint32_t e;

		if (v - lo >= range || (b->mask && !is_pointer(b, i)))
			continue;
		e = t ? gs__ho_edge_at(t, b->offset + i * 8ull) : 0;
		if (b->only_typed && t && !e)
			continue;
		if (!e) {
			/* Of closures not all words are known. */
			gs__ho_pointer(x, v, t && t->form != GS__HO_CLOSURE ? 0 : before, b->label);
			continue;
		}
		r = new_ref(x, v, b->label);
		r->guess = b->guess || t->guessed;
		follow(x, r, &x->edge[e], before, i + 1 < b->n ? b->word[i + 1] : 0,
		       i + 2 < b->n ? b->word[i + 2] : 0);
	}
}

/* --- from a reference to its slot --------------------------------------------------------------------------------- */

static enum gs__ho_level interior(const struct gs__ho_type *t, const struct gs__ho_ref *r,
				  const struct gs_rt_span *s, uint64_t off)
{
	if (t->form == GS__HO_STRING)
		return s->flags & GS_RT_SPAN_NOSCAN ? GS__HO_LIKELY : GS__HO_UNKNOWN;
	/* A slice of a slice ends where its array ends. */
	if (!t->repeats || !t->unit || off % t->unit || !r->extent || r->extent > s->elem_size)
		return GS__HO_UNKNOWN;
	return gs__ho_fits(s, off + r->extent) ? GS__HO_LIKELY : GS__HO_UNKNOWN;
}

/* How sure is it that a slot at @start is what the reference says? */
static enum gs__ho_level level_of(const struct gs_heap_objects *x, const struct gs__ho_ref *r,
				  const struct gs_rt_span *s, gs_addr start)
{
	const struct gs__ho_type *t = x->type[gs__ho_type_of(r->known)];
	uint64_t off = r->value - start - gs__ho_header(s);

	if (r->value < start + gs__ho_header(s) || s->flags & GS_RT_SPAN_USER_ARENA)
		return GS__HO_UNKNOWN;
	if (off)
		return interior(t, r, s, off);
	switch (t->form) {
	case GS__HO_CLOSURE:
	case GS__HO_G:
	case GS__HO_SUDOG:
		return GS__HO_FITS;
	case GS__HO_FUNC:
		return GS__HO_LIKELY;
	case GS__HO_CHAN: /* the buffer behind it, if its elements have no pointers */
		if (s->flags & GS_RT_SPAN_NOSCAN && t->unit <= s->elem_size)
			return GS__HO_FITS;
		break;
	default:
		break;
	}
	if (r->extent && gs__ho_fits(s, r->extent))
		return GS__HO_FITS;
	if (t->form == GS__HO_STRING || t->repeats)
		return r->extent <= s->elem_size ? GS__HO_LIKELY : GS__HO_UNKNOWN;
	return r->extent && r->extent <= s->elem_size ? GS__HO_WEAK : GS__HO_UNKNOWN;
}

/* A guess is worth less, and nothing where pointers are and none should be, or the other way around. */
static enum gs__ho_level level_of_guess(const struct gs_heap_objects *x, const struct gs__ho_ref *r,
					const struct gs_rt_span *s, enum gs__ho_level level)
{
	const struct gs__ho_type *t = x->type[gs__ho_type_of(r->known)];

	if (level < GS__HO_LIKELY)
		return level;
	if ((t->form == GS__HO_OBJECT || t->form == GS__HO_ARRAY) && t->go->addr &&
	    !t->go->ptr_bytes != !!(s->flags & GS_RT_SPAN_NOSCAN))
		return GS__HO_UNKNOWN;
	return level == GS__HO_LIKELY ? GS__HO_GUESS : GS__HO_GUESS_FITS;
}

/* @return whether the slot has to have a turn because of its type. */
static bool offer_type(struct gs_heap_objects *x, const struct gs__ho_ref *r, uint32_t slot,
		       const struct gs_rt_span *s)
{
	gs_addr start = s->start + (slot - s->first_object) * s->elem_size;
	enum gs__ho_level level = level_of(x, r, s, start), has = gs__ho_level_of(x->known[slot]);
	uint32_t type = gs__ho_type_of(r->known);

	if (r->guess)
		level = level_of_guess(x, r, s, level);
	if (level <= GS__HO_WEAK && s->spanclass == TINY_SPAN_CLASS) {
		type = gs__ho_type(x, GS__HO_TINY, NULL);
		level = GS__HO_LIKELY;
	}
	if (level <= has || !type)
		return false;
	x->known[slot] = gs__ho_known(type, gs__ho_how_of(r->known), level);
	return true;
}

static void make_grey(struct gs_heap_mark *m, uint32_t slot, const struct gs__mark_page *p)
{
	m->bits[slot / 64].marked |= 1ull << slot % 64;
	if (p->flags & GS__MARK_NOSCAN)
		return;
	m->bits[slot / 64].grey |= 1ull << slot % 64;
	gs__mark_enqueue(m, p->span);
}

static void arrive(struct gs_heap_objects *x, const struct gs__ho_ref *r, uint32_t slot,
		   const struct gs__mark_page *p)
{
	struct gs_heap_mark *m = x->mark;
	uint32_t label = x->label[slot], now = label;
	bool turn = false;

	if (x->reach) {
		if (gs__ho_reach_arrive(x, r->label, slot, &m->span[p->span], false))
			make_grey(m, slot, p);
		return;
	}
	if (x->search) {
		gs__ho_search_arrive(x, r->label, slot);
		return;
	}
	if (!label)
		now = r->label;
	else if (label != r->label && !(label & GS__HO_PINNED))
		now = GS__HO_SHARED;
	if (now != label) {
		x->label[slot] = now;
		turn = true;
	}
	if (r->known && offer_type(x, r, slot, &m->span[p->span]))
		turn = true;
	if (turn)
		make_grey(m, slot, p);
}

void gs__ho_flush(struct gs_heap_objects *x)
{
	const struct gs__mark_page *page[GS__HO_REFS];
	uint32_t slot[GS__HO_REFS], n = x->n_refs;

	for (uint32_t i = 0; i < n; i++) {
		page[i] = gs__mark_page_at(x->mark, x->ref[i].value);
		__builtin_prefetch(page[i]);
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t elem = page[i] ? gs__mark_elem(page[i], x->ref[i].value) : 0;

		slot[i] = page[i] && elem < page[i]->n_elems ? page[i]->first_object + elem
							     : UINT32_MAX;
		if (slot[i] == UINT32_MAX)
			continue;
		__builtin_prefetch(&x->label[slot[i]], 1);
		__builtin_prefetch(&x->known[slot[i]], 1);
		__builtin_prefetch(&x->mark->bits[slot[i] / 64], 1);
	}
	x->n_refs = 0;
	for (uint32_t i = 0; i < n; i++)
		if (slot[i] != UINT32_MAX)
			arrive(x, &x->ref[i], slot[i], page[i]);
}

void gs__ho_pin(struct gs_heap_objects *x, gs_addr addr, uint32_t label, enum gs__ho_form form)
{
	const struct gs_rt_span *s;
	uint32_t slot, type = form == GS__HO_OBJECT ? 0 : gs__ho_type(x, form, NULL);
	gs_addr start;

	if (!label || !gs_heap_slot(x->mark, addr, &slot, &start, &s))
		return;
	if (x->reach) {
		if (gs__ho_reach_arrive(x, label, slot, s, true))
			gs_heap_grey(x->mark, s, start);
		return;
	}
	if (x->search) {
		gs__ho_search_arrive(x, label, slot);
		return;
	}
	x->label[slot] = label | GS__HO_PINNED;
	if (type && start + gs__ho_header(s) == addr)
		x->known[slot] = gs__ho_known(type, GS_TYPE_RUNTIME, GS__HO_LIKELY);
	gs_heap_grey(x->mark, s, start);
}

/* --- an object's turn --------------------------------------------------------------------------------------------- */

static int progress(struct gs_heap_objects *x, const struct gs_heap_object *o)
{
	uint64_t done, total;

	x->bytes_done += o->n_bytes;
	if (!x->o.progress || x->bytes_done - x->told < PROGRESS)
		return 0;
	x->told = x->bytes_done;
	total = gs_rt_heap_stats(x->h)->heap_objects;
	done = x->bytes_done < total ? x->bytes_done : total; /* some have several turns */
	return x->o.progress(x->o.progress_ctx, x->pass * total + done, x->passes * total);
}

static int visit(void *ctx, const struct gs_heap_object *o)
{
	struct gs_heap_objects *x = ctx;
	uint32_t header = o->offset ? 0 : gs__ho_header(o->span), known;
	struct gs__ho_bytes b;

	if (!o->bytes)
		return 0;
	if (o->offset == 0 && !x->reach && !x->search)
		gs__ho_look(x, o);
	known = x->known[o->number];
	b = (struct gs__ho_bytes){
		.word = (const uint64_t *)o->bytes + header / 8,
		.n = (uint32_t)((o->n_bytes - header) / 8),
		.offset = o->offset,
		.label = x->reach || x->search ? o->number + 1
					       : x->label[o->number] & ~GS__HO_PINNED,
		.type = gs__ho_type_of(known),
		.guess = gs__ho_is_guess(known),
		.only_typed = gs__ho_only_typed(x, known),
		.mask = o->pointer_bits,
		.mask_from = header / 8,
	};
	gs__ho_scan(x, &b);
	return x->search ? 0 : progress(x, o);
}

bool gs__ho_only_typed(const struct gs_heap_objects *x, uint32_t known)
{
	if (gs__ho_level_of(known) != GS__HO_FITS)
		return gs__ho_level_of(known) == GS__HO_SURE;
	return x->type[gs__ho_type_of(known)]->trusted;
}

int gs__ho_walk(struct gs_heap_objects *x, struct gs_err *err)
{
	int r;

	do {
		gs__ho_flush(x);
		r = gs_heap_walk(x->mark, visit, x, err);
	} while (r == 0 && x->n_refs);
	return r;
}
