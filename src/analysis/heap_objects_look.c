/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What objects say about themselves when it is their turn: the allocator's header, a closure's function, a channel's
 * element; and whether the allocator's pointer bitmap agrees with a type that is a guess or comes from code.
 */
#include <string.h>

#include "analysis/heap_objects_private.h"
#include "base/search.h"

static gs_addr large_type(const struct gs_heap_objects *x, const struct gs_rt_span *s)
{
	uint32_t span = (uint32_t)(s - x->mark->span);
	uint32_t at = GS_SEARCH(i, x->n_large, x->large[i].span >= span);

	return at < x->n_large && x->large[at].span == span ? x->large[at].type : 0;
}

static bool is_site(const struct gs_heap_objects *x, uint32_t known)
{
	enum gs__ho_form form;

	if (gs__ho_how_of(known) != GS_TYPE_SITE)
		return false;
	form = x->type[gs__ho_type_of(known)]->form;
	return form == GS__HO_OBJECT || form == GS__HO_ARRAY || form == GS__HO_CHAN_BUFFER ||
	       form == GS__HO_CLOSURE;
}

/* Code that was misread would show here. */
static void count_site(struct gs_heap_objects *x, bool confirmed)
{
	if (confirmed)
		x->result.confirmed_objects++;
	else
		x->result.contradicted_objects++;
}

/* What the allocator noted. The directory of a map is an array of tables to it, and it does not know of which map. */
static void take_header(struct gs_heap_objects *x, const struct gs_heap_object *o, gs_addr at)
{
	const struct gs_go_type *t = at ? gs_go_type_at(x->types, at) : NULL;
	uint32_t known = x->known[o->number], n;
	bool one;

	if (!t || !t->size || !strcmp(t->name, "*maps.table") || !strcmp(t->name, "*runtime.bmap"))
		return;
	if (is_site(x, known))
		count_site(x, x->type[gs__ho_type_of(known)]->go == t);
	if (gs__ho_level_of(known) == GS__HO_FITS &&
	    x->type[gs__ho_type_of(known)]->unit == t->size) {
		x->known[o->number] =
			gs__ho_known(gs__ho_type_of(known), GS_TYPE_HEADER, GS__HO_SURE);
		return;
	}
	one = gs__ho_fits(o->span, t->size) && t->size > o->size / 2;
	n = gs__ho_type(x, one ? GS__HO_OBJECT : GS__HO_ARRAY, t);
	if (n && t->size <= o->size)
		x->known[o->number] = gs__ho_known(n, GS_TYPE_HEADER, GS__HO_SURE);
}

static void take_closure(struct gs_heap_objects *x, const struct gs_heap_object *o, gs_addr pc)
{
	uint32_t n;

	for (uint32_t i = 0; i < x->n_text; i++) {
		if (pc < x->text[i].lo || pc >= x->text[i].hi)
			continue;
		n = gs__ho_closure(x, pc);
		if (!n)
			continue;
		/* Now there is an end to what its last variable can be. */
		if (!x->type[n]->unit) {
			x->type[n]->unit = o->span->elem_size;
			x->type[n]->planned = false;
		}
		x->known[o->number] = gs__ho_known(n, GS_TYPE_RUNTIME, GS__HO_FITS);
	}
}

/* runtime.hchan carries its element's type and size. */
static void take_channel(struct gs_heap_objects *x, const struct gs_heap_object *o,
			 const uint8_t *bytes)
{
	const struct gs_go_layout *l = x->layout;
	const struct gs_go_type *t;
	uint64_t elem, count, closed = 0;
	uint16_t size;
	uint32_t n;

	if (!x->hchan_size || x->hchan_size > o->n_bytes || !gs__ho_fits(o->span, x->hchan_size))
		return;
	memcpy(&elem, bytes + l->offset[GS_GO_HCHAN_ELEMTYPE], 8);
	memcpy(&size, bytes + l->offset[GS_GO_HCHAN_ELEMSIZE], 2);
	memcpy(&count, bytes + l->offset[GS_GO_HCHAN_DATAQSIZ], 8);
	memcpy(&closed, bytes + l->offset[GS_GO_HCHAN_CLOSED], 4);
	if (closed > 1 || count >> 40 || !gs_go_types_contain(x->types, elem))
		return;
	t = gs_go_type_at(x->types, elem);
	if (!t || t->size != size)
		return;
	n = gs__ho_type(x, GS__HO_CHAN, t);
	if (n)
		x->known[o->number] = gs__ho_known(n, GS_TYPE_RUNTIME, GS__HO_FITS);
}

/* Do the pointers that the allocator knows stand where the type has them? Behind the first element of an array there may be
 * room without elements. */
static bool agrees(struct gs_heap_objects *x, const struct gs_heap_object *o)
{
	const struct gs__ho_type *t = gs__ho_planned(x, gs__ho_type_of(x->known[o->number]));
	uint32_t from = gs__ho_header(o->span) / 8, n = (uint32_t)(o->n_bytes / 8) - from;

	for (uint32_t i = 0; t->edge && i < n; i++) {
		uint32_t bit = from + i;
		bool pointer = o->pointer_bits[bit / 64] >> bit % 64 & 1;
		bool edge = gs__ho_edge_at(t, i * 8ull);

		if (pointer ? !edge && (!t->go || t->go->addr) : edge && i < t->n_words)
			return false;
	}
	return true;
}

static void check_pointers(struct gs_heap_objects *x, const struct gs_heap_object *o)
{
	uint32_t *known = &x->known[o->number];

	if (gs__ho_is_guess(*known) && !agrees(x, o)) {
		*known = 0;
	} else if (is_site(x, *known) &&
		   !(o->span->flags & (GS_RT_SPAN_HEADERS | GS_RT_SPAN_LARGE))) {
		bool confirmed = agrees(x, o);

		count_site(x, confirmed);
		*known = confirmed ? gs__ho_known(gs__ho_type_of(*known), GS_TYPE_SITE, GS__HO_SURE)
				   : 0;
	}
}

void gs__ho_look(struct gs_heap_objects *x, const struct gs_heap_object *o)
{
	uint64_t first;

	if (gs__ho_level_of(x->known[o->number]) == GS__HO_SURE || o->n_bytes < 8 ||
	    o->span->flags & GS_RT_SPAN_USER_ARENA)
		return;
	memcpy(&first, o->bytes, 8);
	if (o->pointer_bits)
		check_pointers(x, o);
	if (o->span->flags & GS_RT_SPAN_HEADERS)
		take_header(x, o, first);
	else if (o->span->flags & GS_RT_SPAN_LARGE)
		take_header(x, o, large_type(x, o->span));
	else if (gs__ho_level_of(x->known[o->number]) < GS__HO_FITS)
		take_closure(x, o, first);
	if (gs__ho_level_of(x->known[o->number]) < GS__HO_FITS && !gs__ho_header(o->span))
		take_channel(x, o, o->bytes);
}
