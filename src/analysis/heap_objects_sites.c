/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Types of objects that the runtime's memory profile has sampled: it keeps where each was allocated, and the code there
 * loads the type before it calls the allocator (golang/alloc_type.h).
 *
 *     object ─special─► bucket ─► return addresses ─► call of newobject, makeslice … ─► type
 *
 * Functions of the runtime call each other for that, from mapassign down to newarray. The outermost one that has a type says of what
 * kind the object is, the innermost one which part of a map or a channel.
 *
 * What the code says has to agree with the slot, in size and in whether it has pointers. Objects that were not sampled get no type
 * here, not even those of the same size; but what is sampled leads to others, and all closures of a function hold the same.
 */
#include <errno.h>
#include <string.h>

#include "analysis/heap_objects_private.h"
#include "base/hash.h"
#include "golang/alloc_type.h"
#include "golang/code_sites.h"

enum {
	MAX_FRAMES = 32, /* from the allocation outwards: maps call eight functions deep */
	MAX_SITES = 1 << 22,
	MAX_CODE =
		128 << 20, /* bytes of functions that are read for all sites: some three seconds */
	TINY_SPAN_CLASS = 5,
};

/* What is known of a call, or of a bucket. */
struct origin {
	enum gs_go_alloc_kind kind; /* of the outermost */
	const struct gs_go_type *type;
	enum gs_go_alloc_kind inner_kind;
	const struct gs_go_type *inner;
};

struct key {
	gs_addr addr;
	uint32_t value; /* number of an origin, from 1 */
};

/* Buckets, or return addresses. */
struct table {
	struct key *key;
	uint32_t n, mask;
};

struct sites {
	struct gs_heap_objects *x;
	const struct gs_go_pclntab *pclntab;
	enum gs_arch arch;
	struct table buckets, calls;
	struct origin *origin;
	uint32_t n_origins, cap;
	uint8_t *code;
	uint64_t code_cap, code_read;
	uint64_t not_read; /* calls in functions beyond that limit */
	struct gs_err *err;
};

/* --- tables ------------------------------------------------------------------------------------------------------- */

static struct key *place(const struct sites *s, const struct table *t, gs_addr addr)
{
	uint32_t i = (uint32_t)gs_hash_u64(s->x->seed, addr) & t->mask;

	while (t->key[i].value && t->key[i].addr != addr)
		i = (i + 1) & t->mask;
	return &t->key[i];
}

/* @return where @addr is or can be; NULL when out of memory. */
static struct key *look_up(const struct sites *s, struct table *t, gs_addr addr)
{
	struct table more = { .n = t->n, .mask = t->mask ? t->mask * 2 + 1 : 1023 };

	if (t->key && t->n < t->mask / 4 * 3)
		return place(s, t, addr);
	more.key = more.n < MAX_SITES ? gs_array_new(more.mask + 1ul, sizeof(*more.key)) : NULL;
	if (!more.key)
		return NULL;
	for (uint32_t i = 0; t->key && i <= t->mask; i++)
		if (t->key[i].value)
			*place(s, &more, t->key[i].addr) = t->key[i];
	free(t->key);
	*t = more;
	return place(s, t, addr);
}

static uint32_t new_origin(struct sites *s, const struct origin *o)
{
	uint32_t cap = s->cap ? s->cap * 2 : 1024;
	struct origin *more;

	if (s->n_origins + 1 >= s->cap) {
		more = gs_array_resize(s->origin, cap, sizeof(*more));
		if (!more)
			return 0;
		s->origin = more;
		s->cap = cap;
	}
	s->origin[++s->n_origins] = *o;
	return s->n_origins;
}

static int no_memory(struct sites *s)
{
	return gs_fail(s->err, -ENOMEM, 0, "cannot look at allocation sites: out of memory");
}

/* --- a call ------------------------------------------------------------------------------------------------------- */

static bool read_function(struct sites *s, const struct gs_go_func *f)
{
	uint64_t n = f->end - f->entry;
	uint8_t *more;

	if (f->end <= f->entry || n > GS_GO_SITES_MAX_CODE)
		return false;
	if (s->code_read + n > MAX_CODE) {
		s->not_read++;
		return false;
	}
	if (n > s->code_cap) {
		more = gs_array_resize(s->code, n, 1);
		if (!more)
			return false;
		s->code = more;
		s->code_cap = n;
	}
	s->code_read += n;
	return gs_memory_read(s->x->mem, f->entry, s->code, n, NULL) == 0;
}

/* The type that the call which returns to @back, in function @f, hands on. */
static int type_of_call(struct sites *s, const struct gs_go_func *f, gs_addr back,
			unsigned int argument, const struct gs_go_type **ret)
{
	struct key *k = look_up(s, &s->calls, back);
	struct origin o = { 0 };
	gs_addr at = 0;
	int r = 1;

	if (!k)
		return no_memory(s);
	if (!k->value) {
		if (read_function(s, f)) {
			struct gs_cursor c = gs_cursor_make(s->code, f->end - f->entry, "code");

			r = gs_go_call_argument(s->arch, &c, f->entry, back, argument, &at, s->err);
		}
		if (r < 0)
			return r;
		o.type = r == 0 && gs_go_types_contain(s->x->types, at)
				 ? gs_go_type_at(s->x->types, at)
				 : NULL;
		*k = (struct key){ back, new_origin(s, &o) };
		s->calls.n++;
		if (!k->value)
			return no_memory(s);
	}
	*ret = s->origin[k->value].type;
	return 0;
}

/* --- a stack ------------------------------------------------------------------------------------------------------ */

struct stack {
	gs_addr pc[MAX_FRAMES];
	uint8_t before[MAX_FRAMES][GS_GO_CALL_BYTES];
	bool ok[MAX_FRAMES];
	uint32_t n;
};

static int read_stack(struct sites *s, gs_addr bucket, struct stack *st)
{
	struct gs_read rd[MAX_FRAMES];
	int r = gs_rt_sample_stack(s->x->rt, bucket, st->pc, MAX_FRAMES, &st->n, s->err);

	if (r < 0 || st->n == 0)
		return r;
	for (uint32_t i = 0; i < st->n; i++)
		rd[i] = (struct gs_read){ .addr = st->pc[i] - GS_GO_CALL_BYTES,
					  .buf = st->before[i],
					  .len = GS_GO_CALL_BYTES };
	r = s->x->mem->readv(s->x->mem->ctx, rd, st->n, s->err);
	for (uint32_t i = 0; r >= 0 && i < st->n; i++)
		st->ok[i] = rd[i].result == 0;
	return r < 0 ? r : 0;
}

static struct gs_go_alloc allocator_at(const struct sites *s, gs_addr entry)
{
	struct gs_go_func f;

	if (gs_go_func_find(s->pclntab, entry, &f, NULL) != 0 || f.entry != entry)
		return (struct gs_go_alloc){ 0 };
	return gs_go_alloc_function(f.name, s->x->layout->minor);
}

/* A call of @a out of @f. */
static int take_call(struct sites *s, const struct gs_go_func *f, gs_addr back,
		     const struct gs_go_alloc *a, struct origin *o)
{
	const struct gs_go_type *t = NULL;
	int r;

	if (a->kind == GS_GO_ALLOC_INNER)
		return 0;
	o->kind = a->kind;
	o->type = NULL;
	if (a->kind == GS_GO_ALLOC_STRING)
		return 0;
	r = type_of_call(s, f, back, a->argument, &t);
	o->type = t;
	if (t && !o->inner) {
		o->inner_kind = a->kind;
		o->inner = t;
	}
	return r;
}

/* From the allocation outwards, as long as it is the runtime that calls. */
static int follow_stack(struct sites *s, const struct stack *st, struct origin *o)
{
	bool any = false;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < st->n; i++) {
		struct gs_go_alloc a = { 0 };
		struct gs_go_func f;
		gs_addr to;

		if (gs_go_func_find(s->pclntab, st->pc[i] - 1, &f, NULL) != 0)
			break;
		if (st->ok[i] && gs_go_call_target(s->arch, st->before[i], st->pc[i], &to)) {
			a = allocator_at(s, to);
			if (a.kind == GS_GO_ALLOC_NONE)
				break;
			any = true;
			r = take_call(s, &f, st->pc[i], &a, o);
		}
		if (any &&
		    gs_go_alloc_function(f.name, s->x->layout->minor).kind == GS_GO_ALLOC_NONE)
			break;
	}
	return r;
}

static int origin_of(struct sites *s, gs_addr bucket, struct origin *ret)
{
	struct key *k = look_up(s, &s->buckets, bucket);
	struct origin o = { 0 };
	struct stack st = { .n = 0 };
	int r;

	if (!k)
		return no_memory(s);
	if (!k->value) {
		r = read_stack(s, bucket, &st);
		if (r == 0)
			r = follow_stack(s, &st, &o);
		if (r < 0)
			return r;
		*k = (struct key){ bucket, new_origin(s, &o) };
		s->buckets.n++;
		if (!k->value)
			return no_memory(s);
	}
	*ret = s->origin[k->value];
	return 0;
}

/* --- an object ---------------------------------------------------------------------------------------------------- */

/* What the runtime makes maps of. */
static enum gs__ho_form part_of_map(const struct origin *o)
{
	static const struct {
		const char *name;
		enum gs_go_alloc_kind kind;
		enum gs__ho_form form;
	} part[] = {
		{ "runtime.hmap", GS_GO_ALLOC_VALUE, GS__HO_MAP },
		{ "maps.Map", GS_GO_ALLOC_VALUE, GS__HO_MAP },
		{ "maps.table", GS_GO_ALLOC_VALUE, GS__HO_MAP_TABLE },
		{ "*maps.table", GS_GO_ALLOC_ARRAY, GS__HO_MAP_DIR },
		{ "runtime.mapextra", GS_GO_ALLOC_VALUE, GS__HO_MAP_EXTRA },
		{ "[]*runtime.bmap", GS_GO_ALLOC_VALUE, GS__HO_MAP_OVERFLOW },
		{ "*runtime.bmap", GS_GO_ALLOC_ARRAY, GS__HO_MAP_OVERFLOWS },
	};

	for (size_t i = 0; o->inner && i < GS_ARRAY_SIZE(part); i++)
		if (o->inner_kind == part[i].kind && !strcmp(o->inner->name, part[i].name))
			return part[i].form;
	return 0;
}

static uint32_t map_type(struct gs_heap_objects *x, const struct origin *o)
{
	enum gs__ho_form part = part_of_map(o);
	const struct gs_go_type *t = o->type;

	if (t->kind != GS_GO_KIND_MAP || !gs_go_type_complete(x->types, t) || !t->group)
		return 0;
	if (part)
		return gs__ho_type(x, part, t);
	return o->inner == t ? gs__ho_type(x, GS__HO_ARRAY, t->group) : 0;
}

static uint32_t chan_type(struct gs_heap_objects *x, const struct origin *o,
			  const struct gs_rt_span *s)
{
	const struct gs_go_type *t = o->type;
	bool header = o->inner != t && !strcmp(o->inner->name, "runtime.hchan");

	if (t->kind != GS_GO_KIND_CHAN || !gs_go_type_complete(x->types, t) || !t->elem)
		return 0;
	return gs__ho_type(
		x, header || s->flags & GS_RT_SPAN_NOSCAN ? GS__HO_CHAN : GS__HO_CHAN_BUFFER,
		t->elem);
}

/* All closures of a function hold the same variables: tell their type to the function's. */
static uint32_t closure(struct gs_heap_objects *x, const struct gs_go_type *t, gs_addr at)
{
	struct gs__ho_type *c;
	gs_addr pc;
	uint32_t n;

	if (gs_memory_u64(x->mem, at, &pc, NULL) < 0)
		return 0;
	n = gs__ho_closure(x, pc);
	if (!n)
		return 0;
	c = x->type[n];
	if (!c->captured) {
		c->captured = t;
		c->planned = false;
	}
	return c->captured == t ? n : 0;
}

static bool is_closure(struct gs_heap_objects *x, const struct gs_go_type *t)
{
	return t->kind == GS_GO_KIND_STRUCT && !strncmp(t->name, "struct { F uintptr", 18) &&
	       gs_go_type_complete(x->types, t) && t->n_fields && t->fields[0].type &&
	       t->fields[0].type->kind == GS_GO_KIND_UINTPTR;
}

/* Does the slot agree with what the code says? */
static bool agrees(const struct gs__ho_type *t, const struct gs_rt_span *s)
{
	bool noscan = s->flags & GS_RT_SPAN_NOSCAN;

	switch (t->form) {
	case GS__HO_OBJECT:
		return gs__ho_fits(s, t->go->size) && noscan == !t->go->ptr_bytes;
	case GS__HO_ARRAY:
	case GS__HO_CHAN_BUFFER:
		return t->go->size && t->go->size <= s->elem_size && noscan == !t->go->ptr_bytes;
	case GS__HO_STRING:
		return noscan;
	case GS__HO_CHAN:
		return t->unit <= s->elem_size;
	case GS__HO_MAP_DIR:
	case GS__HO_MAP_OVERFLOWS:
		return !noscan;
	default:
		return gs__ho_fits(s, t->unit) && !noscan;
	}
}

static uint32_t type_of(struct gs_heap_objects *x, const struct origin *o,
			const struct gs_rt_span *s)
{
	if (o->kind == GS_GO_ALLOC_STRING)
		return gs__ho_type(x, GS__HO_STRING, NULL);
	if (!o->type || !o->type->size)
		return 0;
	switch (o->kind) {
	case GS_GO_ALLOC_VALUE:
		return gs__ho_type(x, GS__HO_OBJECT, o->type);
	case GS_GO_ALLOC_ARRAY:
		return gs__ho_type(x, GS__HO_ARRAY, o->type);
	case GS_GO_ALLOC_ANY:
		return gs__ho_type(x, gs__ho_fits(s, o->type->size) ? GS__HO_OBJECT : GS__HO_ARRAY,
				   o->type);
	case GS_GO_ALLOC_CHAN:
		return chan_type(x, o, s);
	case GS_GO_ALLOC_MAP:
		return map_type(x, o);
	default:
		return 0;
	}
}

static int take_sample(void *ctx, const struct gs_rt_sample *sample)
{
	struct sites *s = ctx;
	struct gs_heap_objects *x = s->x;
	const struct gs_rt_span *span = sample->span;
	uint64_t i = span->elem_size ? sample->offset / span->elem_size : UINT64_MAX;
	enum gs__ho_level level = GS__HO_FITS;
	struct origin o;
	gs_addr start;
	uint32_t n, slot, closes = 0;
	int r;

	x->result.sampled_objects++;
	if (i >= span->n_elems || span->spanclass == TINY_SPAN_CLASS ||
	    span->flags & GS_RT_SPAN_USER_ARENA || span->first_object > x->n_slots ||
	    i >= x->n_slots - span->first_object)
		return 0;
	r = origin_of(s, sample->bucket, &o);
	n = r == 0 ? type_of(x, &o, span) : 0;
	if (!n || !agrees(x->type[n], span))
		return r;
	slot = span->first_object + (uint32_t)i;
	start = span->start + i * span->elem_size;
	if (x->type[n]->form == GS__HO_OBJECT && is_closure(x, o.type))
		closes = closure(x, o.type, start + (span->flags & GS_RT_SPAN_HEADERS ? 8 : 0));
	/* Part of a map whose type the code does not say: a pointer to it knows better. */
	if (o.kind != GS_GO_ALLOC_MAP && part_of_map(&o))
		level = GS__HO_LIKELY;
	x->known[slot] = gs__ho_known(closes ? closes : n, GS_TYPE_SITE, level);
	return 0;
}

int gs__ho_sites(struct gs_heap_objects *x, struct gs_err *err)
{
	struct sites s = {
		.x = x, .pclntab = gs_rt_pclntab(x->rt), .arch = x->layout->arch, .err = err
	};
	int r = gs_rt_samples(x->rt, x->h, take_sample, &s, err);

	gs_incomplete_add(&x->inc, "allocation_sites_not_read", s.not_read,
			  "there is too much code that allocates");
	free(s.buckets.key);
	free(s.calls.key);
	free(s.origin);
	free(s.code);
	return r;
}
