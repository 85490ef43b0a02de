/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What follows the first 48 bytes of a type descriptor, by kind (internal/abi/type.go, runtime/type.go before 1.21); the
 * same in Go 1.19 to 1.27:
 *
 *     pointer, slice, chan   48 element
 *     array                  48 element   56 slice type   64 length
 *     map                    48 key       56 element      64 bucket (up to 1.23) or group type; later fields differ by release
 *     interface              48 package   56 methods (slice)
 *     struct                 48 package   56 fields (slice of {name, type, offset})
 *
 * Only the direct parts are read; their parts are read when they are completed. So there is no recursion, and types that
 * contain pointers to themselves need no care.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "golang/types_private.h"

enum {
	MAX_FIELDS = 65536,
	FIELDS_AT_ONCE = 64,
	MAX_METHODS = 1 << 20,
	TAIL = 32, /* bytes of what follows, at most */
};

static uint64_t word(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static bool take_field(struct gs_go_types *t, const struct gs_go_type *owner, const uint8_t *b,
		       struct gs_go_type_field *ret)
{
	const char *name;

	ret->offset = word(b + 16);
	if (ret->offset > owner->size)
		return false;
	ret->name = gs__go_types_name(t, word(b), &name) ? name : "";
	ret->type = gs_go_type_at(t, word(b + 8));
	return !ret->type || ret->type->size <= owner->size - ret->offset;
}

static bool take_fields(struct gs_go_types *t, struct gs_go_type *p, gs_addr at, uint64_t n)
{
	uint8_t b[FIELDS_AT_ONCE * 24];
	struct gs_go_type_field *f;

	if (n > MAX_FIELDS)
		return false;
	f = gs_arena_array(gs__go_types_arena(t), n, sizeof(*f));
	if (!f)
		return n == 0;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t in = i % FIELDS_AT_ONCE, left = n - i;

		if (in == 0 &&
		    !gs__go_types_read(t, at + i * 24, b,
				       (left < FIELDS_AT_ONCE ? left : FIELDS_AT_ONCE) * 24))
			return false;
		/* The compiler lays fields out in the order of the source. */
		if (!take_field(t, p, b + in * 24, &f[i]) || (i && f[i].offset < f[i - 1].offset))
			return false;
	}
	p->fields = f;
	p->n_fields = (uint32_t)n;
	return true;
}

static bool take_parts(struct gs_go_types *t, struct gs_go_type *p, const uint8_t *b)
{
	switch (p->kind) {
	case GS_GO_KIND_POINTER:
	case GS_GO_KIND_SLICE:
	case GS_GO_KIND_CHAN:
		p->elem = gs_go_type_at(t, word(b));
		return p->elem != NULL;
	case GS_GO_KIND_ARRAY:
		p->elem = gs_go_type_at(t, word(b));
		p->length = word(b + 16);
		return p->elem && (p->elem->size ? p->size / p->elem->size == p->length &&
							   p->size % p->elem->size == 0
						 : p->size == 0);
	case GS_GO_KIND_MAP:
		p->key = gs_go_type_at(t, word(b));
		p->elem = gs_go_type_at(t, word(b + 8));
		p->group = gs_go_type_at(t, word(b + 16));
		return p->key && p->elem && p->group && p->group->kind == GS_GO_KIND_STRUCT;
	case GS_GO_KIND_INTERFACE:
		p->empty_interface = word(b + 16) == 0;
		return word(b + 16) <= MAX_METHODS;
	case GS_GO_KIND_STRUCT:
		return take_fields(t, p, word(b + 8), word(b + 16));
	default:
		return true;
	}
}

bool gs_go_type_complete(struct gs_go_types *t, const struct gs_go_type *type)
{
	struct gs__go_type *g = gs__go_type_rec(type);
	uint8_t b[TAIL] = { 0 };
	size_t len;

	if (type->complete)
		return true; /* first of all: types that other files made are no struct gs__go_type */
	if (g->damaged)
		return false;
	switch (type->kind) {
	case GS_GO_KIND_POINTER:
	case GS_GO_KIND_SLICE:
	case GS_GO_KIND_CHAN:
		len = 8;
		break;
	case GS_GO_KIND_ARRAY:
	case GS_GO_KIND_MAP:
		len = 24;
		break;
	case GS_GO_KIND_INTERFACE:
	case GS_GO_KIND_STRUCT:
		len = 32;
		break;
	default:
		len = 0;
	}
	g->damaged = (len && !gs__go_types_read(t, type->addr + GS__GO_TYPE_HEAD, b, len)) ||
		     !take_parts(t, &g->pub, b);
	g->pub.complete = !g->damaged;
	return g->pub.complete;
}

const char *gs__go_types_reflect_name(struct gs_go_types *t, const struct gs_go_type *p)
{
	const char *elem, *ret;
	char text[512];

	if (p->kind == GS_GO_KIND_STRUCT)
		return "struct (made by reflect)";
	if (p->kind == GS_GO_KIND_FUNC)
		return "func (made by reflect)";
	if (!gs_go_type_complete(t, p))
		return "? (made by reflect)";
	elem = p->elem && p->elem->name[0] ? p->elem->name : "?";
	switch (p->kind) {
	case GS_GO_KIND_POINTER:
		(void)snprintf(text, sizeof(text), "*%s", elem);
		break;
	case GS_GO_KIND_SLICE:
		(void)snprintf(text, sizeof(text), "[]%s", elem);
		break;
	case GS_GO_KIND_CHAN:
		(void)snprintf(text, sizeof(text), "chan %s", elem);
		break;
	case GS_GO_KIND_ARRAY:
		(void)snprintf(text, sizeof(text), "[%" PRIu64 "]%s", p->length, elem);
		break;
	default: /* map: made_by_reflect() takes no other */
		(void)snprintf(text, sizeof(text), "map[%s]%s",
			       p->key && p->key->name[0] ? p->key->name : "?", elem);
	}
	ret = gs_arena_strndup(gs__go_types_arena(t), text, strlen(text));
	return ret ? ret : "?";
}
