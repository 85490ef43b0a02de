/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Makes types of what the child said about variables (dwarf_globals.c). The child may have been taken over by the file it
 * read: every number is checked, and a descriptor in the program counts only if its size and name agree.
 *
 * DW_AT_go_runtime_type is an offset in the section that holds the descriptors. With the Go linker that section
 * begins at moduledata.types; a system linker (cgo) may put other things in front. So both beginnings are tried.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "golang/dwarf_globals.h"
#include "golang/dwarf_globals_private.h"
#include "golang/types_private.h"

enum { TRIES = 256 };
#define MAX_SIZE (1ull << 40)

GS_DEFINE_CLEANUP(struct gs__vars *, gs__go_vars_free)

struct maker {
	const struct gs__vars *v;
	struct gs_go_types *types;
	gs_addr base; /* of DW_AT_go_runtime_type */
	uint32_t n_vars, n_types, n_fields, n_text;
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

/* What follows the last dot outside of brackets: DWARF has the whole package path, the program only the package's name. */
static const char *last_name(const char *s)
{
	const char *ret = s;

	for (; *s && *s != '['; s++)
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

	m->n_vars = v->n_vars;
	m->n_types = v->n_types;
	m->n_fields = v->n_fields;
	m->n_text = v->n_text;
	if (m->n_vars > GS__VARS_MAX || m->n_types > GS__VAR_TYPES_MAX ||
	    m->n_fields > GS__VAR_FIELDS_MAX || m->n_text > GS__VAR_TEXT_MAX || m->n_text == 0)
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

int gs__go_make_vars(const struct gs__vars *v, const struct gs_image *img, uint64_t bias,
		     gs_addr types_at, struct gs_go_types *types, const struct gs_go_variable **ret,
		     uint32_t *ret_n, struct gs_err *err)
{
	struct maker m = { .v = v, .types = types };
	struct gs_go_variable *vars;
	int r = start(&m, err);

	if (r < 0)
		return r;
	m.base = find_base(&m, img, bias, types_at);
	for (uint32_t i = 0; i < m.n_types; i++)
		make_head(&m, i);
	for (uint32_t i = 0; i < m.n_types; i++)
		make_parts(&m, i);
	vars = gs_arena_array(gs__go_types_arena(types), m.n_vars + 1ul, sizeof(*vars));
	if (!vars)
		return gs_fail(err, -ENOMEM, 0, "cannot read variables from DWARF: out of memory");
	for (uint32_t i = 0; i < m.n_vars; i++)
		vars[i] = (struct gs_go_variable){ .addr = v->var[i].addr + bias,
						   .name = text_at(&m, v->var[i].name),
						   .type = type_at(&m, v->var[i].type) };
	qsort(vars, m.n_vars, sizeof(*vars), compare_vars);
	*ret = vars;
	*ret_n = m.n_vars;
	return 0;
}

int gs_go_dwarf_globals(int fd, const struct gs_image *img, uint64_t bias, gs_addr types_at,
			struct gs_go_types *types, const struct gs_go_variable **ret,
			uint32_t *ret_n, struct gs_err *err)
{
	GS_CLEANUP(gs__go_vars_freep) struct gs__vars *v = NULL;
	int r = gs__go_dwarf_vars(fd, &v, err);

	return r == 0 ? gs__go_make_vars(v, img, bias, types_at, types, ret, ret_n, err) : r;
}
