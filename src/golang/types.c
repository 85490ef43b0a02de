/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Finding, proving and keeping type descriptors. A descriptor begins with 48 bytes that have been the same since Go 1.17
 * (runtime._type up to 1.20, internal/abi.Type after that):
 *
 *      0 size            16 hash (32 bits)     20 flags        24 equal       40 name   (32 bits, from the module's types)
 *      8 pointer bytes   21, 22 alignments     23 kind         32 gc data     44 type of a pointer to it (32 bits)
 *
 * What follows depends on the kind: types_complete.c. "Stored directly in interfaces" is bit 5 of the kind up to Go 1.25,
 * and bit 5 of the flags since 1.26. A name is a byte of flags, a length (varint) and bytes.
 *
 * Reads go through copies of 4 KiB pages of the modules' ranges: a descriptor is three or four small reads, often beside
 * the previous one, and pages that nobody asks for are not made resident in the target.
 */
#include "golang/types.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "golang/types_private.h"

enum {
	PAGE = 4096,
	MAX_RANGES = 256,
	MAX_RANGE_BYTES = 1 << 30,
	MAX_ENTRIES = 4 << 20, /* of a table, refused addresses included */
	MIN_ENTRIES = 1024,
	FLAG_EXTRA_STAR = 2,
	FLAG_DIRECT = 32,
	KIND_DIRECT = 32,
	KIND_MASK = 31,
	MAX_ALIGN = 64,
	NAME_FLAGS = 15, /* exported, tag, package, embedded */
	MAX_NAME = 4096, /* longer ones are cut */
};
#define MAX_SIZE (1ull << 47)
#define ARENA_LIMIT ((size_t)512 << 20)

struct range {
	gs_addr types, etypes;
	uint8_t **page; /* NULL: not read; &no_page: unreadable */
};

struct table {
	struct slot {
		gs_addr addr; /* 0: empty */
		void *what;   /* NULL: proved to be nothing */
	} * slot;
	uint32_t n, mask;
};

struct itab {
	const struct gs_go_type *type, *inter;
};

struct gs_go_types {
	const struct gs_memory *mem;
	const struct gs_go_layout *layout;
	struct gs_arena *arena;
	struct range range[MAX_RANGES];
	uint32_t n_ranges;
	struct table types, itabs;
	uint64_t seed;
};

static uint8_t no_page;

/* --- tables ------------------------------------------------------------------------------------------------------- */

static struct slot *table_slot(const struct gs_go_types *t, const struct table *tab, gs_addr addr)
{
	uint32_t i = (uint32_t)gs_hash_u64(t->seed, addr) & tab->mask;

	/* Never full: table_put() keeps a quarter free. */
	while (tab->slot[i].addr && tab->slot[i].addr != addr)
		i = (i + 1) & tab->mask;
	return &tab->slot[i];
}

static bool table_grow(struct gs_go_types *t, struct table *tab)
{
	struct table bigger = { .n = tab->n,
				.mask = tab->slot ? tab->mask * 2 + 1 : MIN_ENTRIES - 1 };

	bigger.slot = gs_array_new((size_t)bigger.mask + 1, sizeof(*bigger.slot));
	if (!bigger.slot)
		return false;
	for (uint32_t i = 0; tab->slot && i <= tab->mask; i++)
		if (tab->slot[i].addr)
			*table_slot(t, &bigger, tab->slot[i].addr) = tab->slot[i];
	free(tab->slot);
	*tab = bigger;
	return true;
}

/* Without memory nothing is kept, and the address is asked again. */
static void table_put(struct gs_go_types *t, struct table *tab, gs_addr addr, void *what)
{
	struct slot *s;

	if (tab->n >= MAX_ENTRIES)
		return;
	if ((!tab->slot || tab->n >= (tab->mask + 1) / 4 * 3) && !table_grow(t, tab))
		return;
	s = table_slot(t, tab, addr);
	if (!s->addr)
		tab->n++;
	*s = (struct slot){ .addr = addr, .what = what };
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static const struct range *range_of(const struct gs_go_types *t, gs_addr addr)
{
	for (uint32_t i = 0; i < t->n_ranges; i++)
		if (addr >= t->range[i].types && addr < t->range[i].etypes)
			return &t->range[i];
	return NULL;
}

static const uint8_t *page_of(const struct gs_go_types *t, const struct range *r, gs_addr at)
{
	uint64_t i = at / PAGE - r->types / PAGE;
	uint8_t *p = r->page[i];

	if (p)
		return p == &no_page ? NULL : p;
	p = gs_arena_alloc(t->arena, PAGE);
	if (p && gs_memory_read(t->mem, at / PAGE * PAGE, p, PAGE, NULL) < 0)
		p = NULL;
	r->page[i] = p ? p : &no_page;
	return p;
}

bool gs__go_types_read(const struct gs_go_types *t, gs_addr addr, void *buf, size_t len)
{
	const struct range *r = range_of(t, addr);
	uint8_t *to = buf;

	if (addr + len < addr)
		return false;
	if (!r || addr + len > r->etypes)
		return gs_memory_read(t->mem, addr, buf, len, NULL) == 0;
	while (len > 0) {
		size_t in = addr % PAGE, n = PAGE - in < len ? PAGE - in : len;
		const uint8_t *p = page_of(t, r, addr);

		if (!p)
			return false;
		memcpy(to, p + in, n);
		to += n, addr += n, len -= n;
	}
	return true;
}

/* As many of @len bytes as are there, for names, whose length is not known before. */
static size_t read_some(const struct gs_go_types *t, gs_addr addr, uint8_t *buf, size_t len)
{
	size_t first = PAGE - addr % PAGE;

	if (gs__go_types_read(t, addr, buf, len))
		return len;
	return first < len && gs__go_types_read(t, addr, buf, first) ? first : 0;
}

bool gs__go_types_name(struct gs_go_types *t, gs_addr addr, const char **ret)
{
	uint8_t head[64], *long_name;
	size_t got = read_some(t, addr, head, sizeof(head)), at = 1, len = 0;

	for (unsigned int shift = 0;; shift += 7) {
		if (at >= got || shift > 21 || head[0] & ~NAME_FLAGS)
			return false;
		len |= (size_t)(head[at] & 0x7f) << shift;
		if (!(head[at++] & 0x80))
			break;
	}
	if (len > MAX_NAME)
		len = MAX_NAME;
	if (at + len <= got) {
		*ret = gs_arena_strndup(t->arena, (const char *)head + at, len);
		return *ret != NULL;
	}
	long_name = gs_arena_alloc(t->arena, len + 1);
	*ret = (const char *)long_name;
	return long_name && gs__go_types_read(t, addr + at, long_name, len);
}

/* --- descriptors -------------------------------------------------------------------------------------------------- */

static bool is_align(uint8_t a)
{
	return a && a <= MAX_ALIGN && !(a & (a - 1));
}

/* The size that a kind always has; 0 if it varies. */
static uint64_t size_of_kind(enum gs_go_kind k)
{
	static const uint8_t size[GS_GO_KIND_UNSAFE_POINTER + 1] = {
		[GS_GO_KIND_BOOL] = 1,        [GS_GO_KIND_INT] = 8,
		[GS_GO_KIND_INT8] = 1,        [GS_GO_KIND_INT16] = 2,
		[GS_GO_KIND_INT32] = 4,       [GS_GO_KIND_INT64] = 8,
		[GS_GO_KIND_UINT] = 8,        [GS_GO_KIND_UINT8] = 1,
		[GS_GO_KIND_UINT16] = 2,      [GS_GO_KIND_UINT32] = 4,
		[GS_GO_KIND_UINT64] = 8,      [GS_GO_KIND_UINTPTR] = 8,
		[GS_GO_KIND_FLOAT32] = 4,     [GS_GO_KIND_FLOAT64] = 8,
		[GS_GO_KIND_COMPLEX64] = 8,   [GS_GO_KIND_CHAN] = 8,
		[GS_GO_KIND_COMPLEX128] = 16, [GS_GO_KIND_FUNC] = 8,
		[GS_GO_KIND_MAP] = 8,         [GS_GO_KIND_INTERFACE] = 16,
		[GS_GO_KIND_POINTER] = 8,     [GS_GO_KIND_SLICE] = 24,
		[GS_GO_KIND_STRING] = 16,     [GS_GO_KIND_UNSAFE_POINTER] = 8,
	};

	return size[k];
}

static uint64_t word(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Kind, sizes and alignments make sense together. */
static bool decode_head(const struct gs_go_types *t, const uint8_t b[GS__GO_TYPE_HEAD],
			struct gs__go_type *ret)
{
	uint8_t flags = b[20], kind = b[23];
	struct gs_go_type *p = &ret->pub;
	uint64_t fixed;

	p->size = word(b);
	p->ptr_bytes = word(b + 8);
	memcpy(&ret->hash, b + 16, 4);
	p->kind = (enum gs_go_kind)(kind & KIND_MASK);
	p->direct_interface = t->layout->minor >= 26 ? flags & FLAG_DIRECT : kind & KIND_DIRECT;
	if (p->kind < GS_GO_KIND_BOOL || p->kind > GS_GO_KIND_UNSAFE_POINTER || kind >= 128)
		return false;
	fixed = size_of_kind(p->kind);
	return p->size <= MAX_SIZE && p->ptr_bytes <= p->size && p->ptr_bytes % 8 == 0 &&
	       is_align(b[21]) && is_align(b[22]) && p->size % b[21] == 0 &&
	       (!fixed || fixed == p->size);
}

/* The linker's name of the type: an offset from the types of the module that holds the descriptor (resolveNameOff). */
static bool read_name(struct gs_go_types *t, const struct range *r, const uint8_t *b,
		      struct gs_go_type *p)
{
	const char *name;
	int32_t off;

	memcpy(&off, b + 40, sizeof(off));
	if (off <= 0 || r->types + (uint64_t)off >= r->etypes ||
	    !gs__go_types_name(t, r->types + (uint64_t)off, &name))
		return false;
	if (b[20] & FLAG_EXTRA_STAR && *name++ != '*')
		return false;
	p->name = name;
	return name[0] != '\0';
}

/* A type that reflect made: its name hangs on a table in the heap (reflectOffs), under a negative number. The kinds that
 * reflect can make say enough themselves. */
static bool made_by_reflect(const uint8_t *b, const struct gs_go_type *p)
{
	int32_t off;

	memcpy(&off, b + 40, sizeof(off));
	if (off >= 0 || word(b + 32) == 0)
		return false;
	return p->kind == GS_GO_KIND_ARRAY || p->kind == GS_GO_KIND_CHAN ||
	       p->kind == GS_GO_KIND_FUNC || p->kind == GS_GO_KIND_MAP ||
	       p->kind == GS_GO_KIND_POINTER || p->kind == GS_GO_KIND_SLICE ||
	       p->kind == GS_GO_KIND_STRUCT;
}

/* Read and prove the descriptor at @addr; NULL if it is none. */
static struct gs__go_type *load(struct gs_go_types *t, gs_addr addr)
{
	const struct range *r = range_of(t, addr);
	uint8_t b[GS__GO_TYPE_HEAD];
	struct gs__go_type got = { .pub.addr = addr, .pub.name = "" }, *ret;

	if (!gs__go_types_read(t, addr, b, sizeof(b)) || !decode_head(t, b, &got))
		return NULL;
	if (r ? !read_name(t, r, b, &got.pub) : !made_by_reflect(b, &got.pub))
		return NULL;
	ret = gs_arena_alloc(t->arena, sizeof(*ret));
	if (ret)
		*ret = got;
	return ret;
}

const struct gs_go_type *gs_go_type_at(struct gs_go_types *t, gs_addr addr)
{
	struct gs__go_type *g;
	struct slot *s;

	if (addr < PAGE || addr % 8)
		return NULL;
	s = t->types.slot ? table_slot(t, &t->types, addr) : NULL;
	if (s && s->addr)
		return s->what;
	if (t->types.n >= MAX_ENTRIES)
		return NULL;
	g = load(t, addr);
	table_put(t, &t->types, addr, g);
	/* Its name needs its elements, which may be the type itself: it is in the table by now. */
	if (g && !g->pub.name[0])
		g->pub.name = gs__go_types_reflect_name(t, &g->pub);
	return g ? &g->pub : NULL;
}

bool gs_go_types_contain(const struct gs_go_types *t, gs_addr addr)
{
	return range_of(t, addr) != NULL;
}

/* --- itabs -------------------------------------------------------------------------------------------------------- */

/* runtime.itab, abi.ITab since 1.22: interface, type, copy of the type's hash, methods. */
static struct itab *load_itab(struct gs_go_types *t, gs_addr addr)
{
	const struct gs_go_type *inter, *type;
	struct itab *ret;
	uint32_t hash;
	uint8_t b[24];

	if (!gs__go_types_read(t, addr, b, sizeof(b)))
		return NULL;
	memcpy(&hash, b + 16, sizeof(hash));
	/* Cheap doubts first: most words are no itabs. */
	if (!range_of(t, word(b)) && !range_of(t, word(b + 8)))
		return NULL;
	inter = gs_go_type_at(t, word(b));
	if (!inter || inter->kind != GS_GO_KIND_INTERFACE)
		return NULL;
	type = gs_go_type_at(t, word(b + 8));
	if (!type || type->kind == GS_GO_KIND_INTERFACE || gs__go_type_rec(type)->hash != hash)
		return NULL;
	ret = gs_arena_alloc(t->arena, sizeof(*ret));
	if (ret)
		*ret = (struct itab){ .type = type, .inter = inter };
	return ret;
}

const struct gs_go_type *gs_go_itab_type(struct gs_go_types *t, gs_addr itab,
					 const struct gs_go_type **ret_inter)
{
	struct itab *i;
	struct slot *s;

	if (itab < PAGE || itab % 8)
		return NULL;
	s = t->itabs.slot ? table_slot(t, &t->itabs, itab) : NULL;
	if (s && s->addr) {
		i = s->what;
	} else if (t->itabs.n >= MAX_ENTRIES) {
		return NULL;
	} else {
		i = load_itab(t, itab);
		table_put(t, &t->itabs, itab, i);
	}
	if (i && ret_inter)
		*ret_inter = i->inter;
	return i ? i->type : NULL;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct gs_arena *gs__go_types_arena(struct gs_go_types *t)
{
	return t->arena;
}

int gs_go_types_new(const struct gs_memory *mem, const struct gs_go_layout *layout,
		    const struct gs_go_types_range *ranges, uint32_t n, struct gs_go_types **ret,
		    struct gs_err *err)
{
	GS_CLEANUP(gs_go_types_freep) struct gs_go_types *t = calloc(1, sizeof(*t));

	if (!t || !(t->arena = gs_arena_new(ARENA_LIMIT)))
		return gs_fail(err, -ENOMEM, 0, "cannot read types: out of memory");
	t->mem = mem;
	t->layout = layout;
	t->seed = gs_hash_seed();
	for (uint32_t i = 0; i < n && t->n_ranges < MAX_RANGES; i++) {
		struct range r = { .types = ranges[i].types, .etypes = ranges[i].etypes };
		size_t pages;

		if (r.types >= r.etypes || r.etypes - r.types > MAX_RANGE_BYTES ||
		    r.etypes > -2ull * PAGE)
			continue;
		pages = (size_t)(r.etypes / PAGE - r.types / PAGE) + 1;
		r.page = gs_arena_array(t->arena, pages, sizeof(*r.page));
		if (!r.page)
			return gs_fail(err, -ENOMEM, 0, "cannot read types: out of memory");
		t->range[t->n_ranges++] = r;
	}
	*ret = GS_TAKE(t);
	return 0;
}

struct gs_go_types *gs_go_types_free(struct gs_go_types *t)
{
	if (!t)
		return NULL;
	free(t->types.slot);
	free(t->itabs.slot);
	gs_arena_free(t->arena);
	free(t);
	return NULL;
}
