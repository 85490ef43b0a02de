/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Makes types of what the child said about variables (dwarf_variables.c). The child may have been taken over by the file it
 * read: every number is checked, and a descriptor in the program counts only if its size and name agree.
 *
 * DW_AT_go_runtime_type is an offset in the section that holds the descriptors. With the Go linker that section
 * begins at moduledata.types; a system linker (cgo) may put other things in front. So both beginnings are tried.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/search.h"
#include "golang/dwarf_variables.h"
#include "golang/dwarf_variables_private.h"
#include "golang/types_private.h"

enum { TRIES = 256 };
#define MAX_SIZE (1ull << 40)

GS_DEFINE_CLEANUP(struct gs__vars *, gs__go_vars_free)

struct maker {
	const struct gs__vars *v;
	struct gs_go_types *types;
	uint64_t bias;
	gs_addr base; /* of DW_AT_go_runtime_type */
	uint32_t n_pcs, n_vars, n_locals, n_captures, n_types, n_fields, n_text;
	struct gs_go_type *made;         /* by number - 1 */
	const struct gs_go_type **known; /* the program's own, or in @made */
	const char *text;
};

static const char *text_at(const struct maker *m, uint32_t at)
{
	return at < m->n_text ? m->text + at : "";
}

static const struct gs_go_type *type_at(const struct maker *m, uint32_t number)
{
	return number && number <= m->n_types ? m->known[number - 1] : NULL;
}

/* What follows the last dot of a name, before type arguments and what literals are made of: DWARF has the whole package path,
 * the program only the package's name. */
static const char *last_name(const char *s)
{
	const char *ret = s;

	for (; *s && !strchr("[{( ", *s); s++)
		if (*s == '.' || *s == '/')
			ret = s + 1;
	return ret;
}

/* The program's own descriptor, if it can be the same type. */
static const struct gs_go_type *own_type(const struct maker *m, gs_addr base,
					 const struct gs__var_type *t)
{
	const char *name = text_at(m, t->name), *own;
	const struct gs_go_type *ret;

	if (!t->runtime_type || t->runtime_type - 1 > MAX_SIZE)
		return NULL;
	ret = gs_go_type_at(m->types, base + t->runtime_type - 1);
	if (!ret || (t->size && ret->size != t->size) || (t->kind && ret->kind != t->kind))
		return NULL;
	own = last_name(ret->name);
	name = last_name(name);
	/* Type arguments and literals are written in more than one way. */
	return strncmp(own, name, strcspn(own, "[{( ")) == 0 ? ret : NULL;
}

static uint32_t matches(const struct maker *m, gs_addr base)
{
	uint32_t n = 0, tried = 0;

	for (uint32_t i = 0; i < m->n_types && tried < TRIES; i++) {
		if (!m->v->type[i].runtime_type)
			continue;
		tried++;
		n += own_type(m, base, &m->v->type[i]) != NULL;
	}
	return n;
}

static gs_addr find_base(const struct maker *m, const struct gs_image *img, uint64_t bias,
			 gs_addr types_at)
{
	uint32_t n = img ? gs_image_info(img)->n_sections : 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct gs_image_section *s = gs_image_section_at(img, i);
		gs_addr at = s->addr + bias;

		if (s->addr && at < types_at && types_at - at < s->size &&
		    matches(m, at) > matches(m, types_at))
			return at;
	}
	return types_at;
}

static bool make_fields(struct maker *m, const struct gs__var_type *t, struct gs_go_type *ret)
{
	struct gs_go_type_field *f;
	uint32_t n = 0;

	if (t->first_field > m->n_fields || t->n_fields > m->n_fields - t->first_field)
		return false;
	f = gs_arena_array(gs__go_types_arena(m->types), t->n_fields, sizeof(*f));
	for (uint32_t i = 0; f && i < t->n_fields; i++) {
		const struct gs__var_field *from = &m->v->field[t->first_field + i];
		const struct gs_go_type *type = type_at(m, from->type);

		if (!type || from->offset > ret->size || type->size > ret->size - from->offset ||
		    (n && from->offset < f[n - 1].offset))
			continue;
		f[n++] = (struct gs_go_type_field){ .name = text_at(m, from->name),
						    .type = type,
						    .offset = from->offset };
	}
	ret->fields = f;
	ret->n_fields = n;
	return f != NULL;
}

static uint64_t size_of(const struct gs__var_type *t)
{
	switch (t->kind) {
	case GS_GO_KIND_CHAN:
	case GS_GO_KIND_FUNC:
	case GS_GO_KIND_MAP:
	case GS_GO_KIND_POINTER:
	case GS_GO_KIND_UNSAFE_POINTER:
		return 8;
	case GS_GO_KIND_INTERFACE:
	case GS_GO_KIND_STRING:
		return 16;
	case GS_GO_KIND_SLICE:
		return 24;
	default:
		return t->size;
	}
}

static void make_head(struct maker *m, uint32_t i)
{
	const struct gs__var_type *t = &m->v->type[i];
	struct gs_go_type *p = &m->made[i];

	/* A shape of generic code is no type of anything: all pointers are *uint8 there. */
	if (strstr(text_at(m, t->name), "go.shape."))
		return;
	m->known[i] = own_type(m, m->base, t);
	if (m->known[i] || t->kind < GS_GO_KIND_BOOL || t->kind > GS_GO_KIND_UNSAFE_POINTER)
		return;
	p->size = size_of(t);
	p->kind = (enum gs_go_kind)t->kind;
	p->name = text_at(m, t->name);
	p->complete = true;
	/* Where pointers end is not said; no reader of made types needs it exactly. */
	p->ptr_bytes = p->size / 8 * 8;
	if (p->size <= MAX_SIZE && p->name[0])
		m->known[i] = p;
}

/* Parts; the sizes of all heads are known by now. */
static void make_parts(struct maker *m, uint32_t i)
{
	const struct gs__var_type *t = &m->v->type[i];
	struct gs_go_type *p = &m->made[i];

	if (m->known[i] != p)
		return;
	p->elem = type_at(m, t->elem);
	switch (p->kind) {
	case GS_GO_KIND_STRUCT:
		if (!make_fields(m, t, p))
			m->known[i] = NULL;
		break;
	case GS_GO_KIND_ARRAY:
		p->length = t->length;
		if (!p->elem ||
		    (p->elem->size ? p->size / p->elem->size != p->length || p->size % p->elem->size
				   : p->size != 0))
			m->known[i] = NULL;
		break;
	case GS_GO_KIND_POINTER:
	case GS_GO_KIND_SLICE:
	case GS_GO_KIND_CHAN:
		if (!p->elem)
			m->known[i] = NULL;
		break;
	case GS_GO_KIND_MAP: /* its groups have no type here, so nothing can be said of what is in it */
		m->known[i] = NULL;
		break;
	default:
		break;
	}
}

static int compare_vars(const void *a, const void *b)
{
	const struct gs_go_variable *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* The child's counts are only as good as the child. */
static int start(struct maker *m, struct gs_err *err)
{
	const struct gs__vars *v = m->v;
	struct gs_arena *arena = gs__go_types_arena(m->types);
	char *text;

	m->n_pcs = v->n_pcs;
	m->n_vars = v->n_vars;
	m->n_locals = v->n_locals;
	m->n_captures = v->n_captures;
	m->n_types = v->n_types;
	m->n_fields = v->n_fields;
	m->n_text = v->n_text;
	if (m->n_pcs > GS__PCS_MAX || m->n_locals > GS__LOCALS_MAX ||
	    m->n_captures > GS__CAPTURES_MAX || m->n_vars > GS__VARS_MAX ||
	    m->n_types > GS__VAR_TYPES_MAX || m->n_fields > GS__VAR_FIELDS_MAX ||
	    m->n_text > GS__VAR_TEXT_MAX || m->n_text == 0)
		return gs_fail(err, -GS_E_BAD_DATA, 0,
			       "cannot read variables from DWARF: its counts make no sense");
	text = gs_arena_alloc(arena, (size_t)m->n_text + 1);
	m->made = gs_arena_array(arena, m->n_types + 1ul, sizeof(*m->made));
	m->known = gs_arena_array(arena, m->n_types + 1ul, sizeof(*m->known));
	if (!text || !m->made || !m->known)
		return gs_fail(err, -ENOMEM, 0, "cannot read variables from DWARF: out of memory");
	memcpy(text, v->text, m->n_text);
	text[0] = '\0';
	m->text = text;
	return 0;
}

/* --- globals ------------------------------------------------------------------------------------------------------ */

static bool make_globals(struct maker *m, struct gs_go_variables *ret)
{
	const struct gs__vars *v = m->v;
	struct gs_go_variable *vars =
		gs_arena_array(gs__go_types_arena(m->types), m->n_vars + 1ul, sizeof(*vars));

	if (!vars)
		return false;
	for (uint32_t i = 0; i < m->n_vars; i++)
		vars[i] = (struct gs_go_variable){ .addr = v->var[i].addr + m->bias,
						   .name = text_at(m, v->var[i].name),
						   .type = type_at(m, v->var[i].type) };
	qsort(vars, m->n_vars, sizeof(*vars), compare_vars);
	ret->global = vars;
	ret->n_globals = m->n_vars;
	return true;
}

/* --- locals ------------------------------------------------------------------------------------------------------- */

static int compare_locals(const void *a, const void *b)
{
	const struct gs__local *const *p = a, *const *q = b;

	if ((*p)->pc != (*q)->pc)
		return (*p)->pc < (*q)->pc ? -1 : 1;
	if ((*p)->variable != (*q)->variable)
		return (*p)->variable < (*q)->variable ? -1 : 1;
	return (*p)->at < (*q)->at ? -1 : (*p)->at > (*q)->at;
}

static bool make_local(const struct maker *m, const struct gs__local *from, struct gs_go_local *l)
{
	const struct gs_go_type *type = type_at(m, from->type);
	uint64_t size = type ? type->size : 0;

	*l = (struct gs_go_local){ .offset = from->offset,
				   .at = from->at,
				   .bytes = from->bytes,
				   .variable = from->variable,
				   .indirect = from->indirect,
				   .name = text_at(m, from->name),
				   .type = type };
	if (l->indirect)
		size = sizeof(uint64_t);
	if (!l->bytes)
		l->bytes = size > l->at && size - l->at < INT32_MAX ? (uint32_t)(size - l->at) : 0;
	return type && from->pc < m->n_pcs && l->bytes && l->at <= size &&
	       l->bytes <= size - l->at &&
	       !__builtin_add_overflow(l->offset, l->bytes, &(int){ 0 });
}

/* All parts of a pc stand one after the other. */
static bool make_locals(struct maker *m, struct gs_go_variables *ret)
{
	struct gs_arena *arena = gs__go_types_arena(m->types);
	GS_CLEANUP(gs_freep)
	const struct gs__local **order = gs_array_new(m->n_locals + 1ul, sizeof(*order));
	struct gs_go_local *local = gs_arena_array(arena, m->n_locals + 1ul, sizeof(*local));
	struct gs_go_locals *at = gs_arena_array(arena, m->n_pcs + 1ul, sizeof(*at));
	uint32_t n = 0, n_at = 0;

	if (!order || !local || !at)
		return false;
	for (uint32_t i = 0; i < m->n_locals; i++)
		order[i] = &m->v->local[i];
	qsort(order, m->n_locals, sizeof(*order), compare_locals);
	for (uint32_t i = 0; i < m->n_locals; i++) {
		if (!make_local(m, order[i], &local[n]))
			continue;
		if (!n_at || at[n_at - 1].pc != m->v->pc[order[i]->pc] + m->bias)
			at[n_at++] = (struct gs_go_locals){ .pc = m->v->pc[order[i]->pc] + m->bias,
							    .local = &local[n] };
		at[n_at - 1].n++;
		n++;
	}
	ret->at = at;
	ret->n_at = n_at;
	return true;
}

/* --- closures ----------------------------------------------------------------------------------------------------- */

static int compare_captures(const void *a, const void *b)
{
	const struct gs__capture *const *p = a, *const *q = b;

	if ((*p)->function != (*q)->function)
		return (*p)->function < (*q)->function ? -1 : 1;
	return (*p)->offset < (*q)->offset ? -1 : (*p)->offset > (*q)->offset;
}

static bool make_closures(struct maker *m, struct gs_go_variables *ret)
{
	struct gs_arena *arena = gs__go_types_arena(m->types);
	GS_CLEANUP(gs_freep)
	const struct gs__capture **order = gs_array_new(m->n_captures + 1ul, sizeof(*order));
	struct gs_go_capture *capture =
		gs_arena_array(arena, m->n_captures + 1ul, sizeof(*capture));
	struct gs_go_closure *closure =
		gs_arena_array(arena, m->n_captures + 1ul, sizeof(*closure));
	uint32_t n = 0, n_closures = 0;

	if (!order || !capture || !closure)
		return false;
	for (uint32_t i = 0; i < m->n_captures; i++)
		order[i] = &m->v->capture[i];
	qsort(order, m->n_captures, sizeof(*order), compare_captures);
	for (uint32_t i = 0; i < m->n_captures; i++) {
		const struct gs__capture *from = order[i];
		const char *name = text_at(m, from->name);
		struct gs_go_capture c = { .offset = from->offset,
					   .maybe_value = name[0] == '&',
					   .name = name[0] == '&' ? name + 1 : name,
					   .type = type_at(m, from->type) };

		if (!c.type || c.offset == 0 ||
		    (c.maybe_value && c.type->kind != GS_GO_KIND_POINTER))
			continue;
		if (!n_closures || closure[n_closures - 1].entry != from->function + m->bias)
			closure[n_closures++] =
				(struct gs_go_closure){ .entry = from->function + m->bias,
							.capture = &capture[n] };
		else if (capture[n - 1].offset == c.offset)
			continue; /* of a method that can be inlined, which is described twice */
		capture[n++] = c;
		closure[n_closures - 1].n++;
	}
	ret->closure = closure;
	ret->n_closures = n_closures;
	return true;
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

int gs__go_make_vars(const struct gs__vars *v, const struct gs_image *img, uint64_t bias,
		     gs_addr types_at, struct gs_go_types *types, struct gs_go_variables *ret,
		     struct gs_err *err)
{
	struct maker m = { .v = v, .types = types, .bias = bias };
	int r = start(&m, err);

	*ret = (struct gs_go_variables){ 0 };
	if (r < 0)
		return r;
	m.base = find_base(&m, img, bias, types_at);
	for (uint32_t i = 0; i < m.n_types; i++)
		make_head(&m, i);
	for (uint32_t i = 0; i < m.n_types; i++)
		make_parts(&m, i);
	if (!make_globals(&m, ret) || !make_locals(&m, ret) || !make_closures(&m, ret))
		return gs_fail(err, -ENOMEM, 0, "cannot read variables from DWARF: out of memory");
	return 0;
}

/* Twice what layouts take, and more: functions and their places are looked at too, and whoever asks walks a heap next. */
static const struct gs__sandbox_limits limits_of_variables = {
	.memory_bytes = 2ULL << 30,
	.cpu_seconds = 8,
	.wall_ns = 15000000000LL,
};

int gs_go_dwarf_variables(int fd, const struct gs_image *img, uint64_t bias, gs_addr types_at,
			  struct gs_go_types *types, const gs_addr *pcs, uint32_t n_pcs,
			  struct gs_go_variables *ret, struct gs_err *err)
{
	GS_CLEANUP(gs__go_vars_freep) struct gs__vars *v = gs__go_vars_new();
	int r;

	if (!v)
		return gs_fail(err, -ENOMEM, 0, "cannot read variables from DWARF: no memory");
	for (uint32_t i = 0; i < n_pcs && i < GS__PCS_MAX; i++)
		v->pc[v->n_pcs++] = pcs[i] - bias;
	r = gs__go_dwarf_vars(fd, v, &limits_of_variables, err);
	return r == 0 ? gs__go_make_vars(v, img, bias, types_at, types, ret, err) : r;
}

const struct gs_go_locals *gs_go_locals_at(const struct gs_go_variables *v, gs_addr pc)
{
	uint32_t at = GS_SEARCH(i, v->n_at, v->at[i].pc >= pc);

	return at < v->n_at && v->at[at].pc == pc ? &v->at[at] : NULL;
}

const struct gs_go_closure *gs_go_closure_of(const struct gs_go_variables *v, gs_addr entry)
{
	uint32_t at = GS_SEARCH(i, v->n_closures, v->closure[i].entry >= entry);

	return at < v->n_closures && v->closure[at].entry == entry ? &v->closure[at] : NULL;
}
