/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Adds up what the walk found: live objects by type and by root, and what is allocated but was not reached. Types that are
 * the same to a reader (of plugins, or parts of maps known in two ways) become one row by their name.
 *
 * A slot is allocated if it lies before the span's free index, or its bit in mspan.allocBits says so (mbitmap.go, isFree); the
 * rest was free at the last sweep. What was freed after that still counts.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "analysis/heap_objects_private.h"

enum {
	DEFAULT_ROWS = 50,
	BATCH = 128,          /* spans whose bits are read at once */
	MAX_BITS = 8192 / 64, /* words of bits of a span: 8 bytes a slot, ten pages at most */
	UNKNOWN_ROWS = 256,
	LARGE = 32 << 10,
};

struct counter {
	struct gs_heap_objects *x;
	struct gs_heap_type unknown[UNKNOWN_ROWS];
	const struct gs_rt_span *unknown_span[UNKNOWN_ROWS]; /* the first one of each */
	uint32_t n_unknown;
	uint64_t bits[BATCH][MAX_BITS];
};

/* --- live objects ------------------------------------------------------------------------------------------------- */

/* Would objects of unknown type in both be the same row? */
static bool alike(const struct gs_rt_span *a, const struct gs_rt_span *b)
{
	return ((a->flags ^ b->flags) & GS_RT_SPAN_NOSCAN) == 0 &&
	       (a->elem_size == b->elem_size || (a->elem_size > LARGE && b->elem_size > LARGE));
}

static struct gs_heap_type *unknown_row(struct counter *c, const struct gs_rt_span *s)
{
	uint32_t i = 0;

	while (i < c->n_unknown && !alike(c->unknown_span[i], s))
		i++;
	if (i == UNKNOWN_ROWS) /* more sizes than there are classes: the span lies */
		return &c->unknown[UNKNOWN_ROWS - 1];
	if (i == c->n_unknown)
		c->unknown_span[c->n_unknown++] = s;
	return &c->unknown[i];
}

static void count_live(struct counter *c, const struct gs_rt_span *s, uint32_t slot)
{
	struct gs_heap_objects *x = c->x;
	struct gs_heap_objects_result *r = &x->result;
	uint32_t label = x->label[slot] & ~GS__HO_PINNED, known = x->known[slot];

	r->objects++;
	r->bytes += s->elem_size;
	if (label == GS__HO_SHARED) {
		r->shared_objects++;
		r->shared_bytes += s->elem_size;
	} else {
		x->root[label - 1].objects++;
		x->root[label - 1].bytes += s->elem_size;
	}
	if (gs__ho_level_of(known) >= GS__HO_GUESS) {
		struct gs__ho_type *t = x->type[gs__ho_type_of(known)];

		t->objects++;
		t->bytes += s->elem_size;
		t->how_bytes[gs__ho_how_of(known)] += s->elem_size;
		r->typed_bytes += s->elem_size;
	} else {
		struct gs_heap_type *t = unknown_row(c, s);

		t->objects++;
		t->bytes += s->elem_size;
	}
}

static void count_span(struct counter *c, const struct gs_rt_span *s, const uint64_t *bits)
{
	struct gs_heap_objects_result *r = &c->x->result;

	for (uint32_t i = 0; i < s->n_elems; i++) {
		uint32_t slot = s->first_object + i;

		if (c->x->label[slot]) {
			count_live(c, s, slot);
		} else if (i < s->free_index || (bits && bits[i / 64] >> i % 64 & 1)) {
			r->unreached_objects++;
			r->unreached_bytes += s->elem_size;
		}
	}
}

/* --- which slots are allocated ------------------------------------------------------------------------------------ */

static int read_bits(struct counter *c, const struct gs_rt_span *const *s, uint32_t n, bool *ok,
		     struct gs_err *err)
{
	struct gs_heap_objects *x = c->x;
	int32_t off = x->layout->offset[GS_GO_MSPAN_ALLOC_BITS];
	struct gs_read rd[BATCH];
	uint64_t at[BATCH];
	int r;

	memset(ok, 0, n * sizeof(*ok));
	if (off < 0)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		rd[i] = (struct gs_read){ .addr = s[i]->mspan + (uint32_t)off,
					  .buf = &at[i],
					  .len = 8 };
	r = x->mem->readv(x->mem->ctx, rd, n, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++) {
		size_t len = ((size_t)s[i]->n_elems + 7) / 8;

		ok[i] = rd[i].result == 0 && at[i] && len <= sizeof(c->bits[i]);
		rd[i] = (struct gs_read){ .addr = at[i],
					  .buf = c->bits[i],
					  .len = ok[i] ? len : 0 };
	}
	r = x->mem->readv(x->mem->ctx, rd, n, err);
	for (uint32_t i = 0; r >= 0 && i < n; i++)
		ok[i] = ok[i] && rd[i].result == 0;
	return r < 0 ? r : 0;
}

static int count_slots(struct counter *c, struct gs_err *err)
{
	const struct gs_rt_span *all = c->x->mark->span, *s[BATCH];
	uint32_t n = c->x->mark->n_spans, slots = c->x->n_slots;
	uint64_t blind = 0;
	bool ok[BATCH];

	for (uint32_t i = 0; i < n;) {
		uint32_t k = 0;
		int r;

		for (; i < n && k < BATCH; i++)
			if (all[i].state == GS_RT_SPAN_IN_USE && all[i].n_elems &&
			    all[i].first_object <= slots &&
			    all[i].n_elems <= slots - all[i].first_object)
				s[k++] = &all[i];
		r = k ? read_bits(c, s, k, ok, err) : 0;
		if (r < 0)
			return r;
		for (uint32_t j = 0; j < k; j++) {
			count_span(c, s[j], ok[j] ? c->bits[j] : NULL);
			blind += !ok[j];
		}
	}
	gs_incomplete_add(&c->x->inc, "garbage_unknown", blind,
			  "allocation bits of spans could not be read");
	return 0;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct gs__ho_type *const *p = a, *const *q = b;

	return strcmp((*p)->name, (*q)->name);
}

static int by_bytes(const void *a, const void *b)
{
	const struct gs_heap_type *p = a, *q = b;

	if (p->bytes != q->bytes)
		return p->bytes > q->bytes ? -1 : 1;
	return strcmp(p->name, q->name);
}

static void add_row(struct gs_heap_type *row, const struct gs__ho_type *t)
{
	uint64_t most = 0;

	row->objects += t->objects;
	row->bytes += t->bytes;
	for (int h = 0; h < GS_TYPE_HOWS; h++) {
		if (t->how_bytes[h] <= most)
			continue;
		most = t->how_bytes[h];
		row->how = (enum gs_type_how)h;
	}
}

void gs__ho_unknown_name(const struct gs_rt_span *s, char ret[GS__HO_UNKNOWN_NAME])
{
	const char *kind = s->flags & GS_RT_SPAN_NOSCAN ? "no pointers" : "pointers";

	if (s->elem_size <= LARGE)
		(void)snprintf(ret, GS__HO_UNKNOWN_NAME, "? %" PRIu64 " bytes, %s", s->elem_size,
			       kind);
	else
		(void)snprintf(ret, GS__HO_UNKNOWN_NAME, "? more than 32 KiB, %s", kind);
}

static int make_types(struct counter *c, struct gs_err *err)
{
	struct gs_heap_objects *x = c->x;
	uint32_t max = x->o.types ? x->o.types : DEFAULT_ROWS, n = 0, rows = 0;
	GS_CLEANUP(gs_freep)
	struct gs__ho_type **used = gs_array_new(x->n_kinds + 1ul, sizeof(*used));
	char name[GS__HO_UNKNOWN_NAME];
	struct gs_heap_type *row =
		gs_arena_array(x->arena, (size_t)x->n_kinds + c->n_unknown + 1, sizeof(*row));

	if (!used || !row)
		return gs_fail(err, -ENOMEM, 0, "cannot list types: out of memory");
	for (uint32_t i = 1; i <= x->n_kinds; i++)
		if (x->type[i]->objects)
			used[n++] = x->type[i];
	qsort(used, n, sizeof(struct gs__ho_type *), by_name);
	for (uint32_t i = 0; i < n; i++) {
		if (!rows || strcmp(row[rows - 1].name, used[i]->name) != 0)
			row[rows++].name = used[i]->name;
		add_row(&row[rows - 1], used[i]);
	}
	for (uint32_t i = 0; i < c->n_unknown; i++) {
		gs__ho_unknown_name(c->unknown_span[i], name);
		row[rows] = c->unknown[i];
		row[rows].name = gs_arena_strndup(x->arena, name, strlen(name));
		if (!row[rows++].name)
			return gs_fail(err, -ENOMEM, 0, "cannot list types: out of memory");
	}
	qsort(row, rows, sizeof(*row), by_bytes);
	x->result.types = x->type_row = row;
	x->result.n_types = rows < max ? rows : max;
	return 0;
}

/* "1,024" */
static void put_count(char *to, size_t size, uint32_t n)
{
	if (n >= 1000000)
		(void)snprintf(to, size, "%" PRIu32 ",%03" PRIu32 ",%03" PRIu32, n / 1000000,
			       n / 1000 % 1000, n % 1000);
	else if (n >= 1000)
		(void)snprintf(to, size, "%" PRIu32 ",%03" PRIu32, n / 1000, n % 1000);
	else
		(void)snprintf(to, size, "%" PRIu32, n);
}

/* The variable's section and where in it, of programs without symbols. */
static void put_place(const struct gs_heap_objects *x, gs_addr at, char *to, size_t size)
{
	const struct gs_rt_module *m;
	uint32_t n;

	if (gs_rt_modules(x->rt, &m, &n, NULL) < 0)
		n = 0;
	for (uint32_t i = 0; i < n; i++) {
		const char *of = m[i].path && m[i].path[0] ? m[i].path : "";
		const char *space = of[0] ? " " : "";

		if (at >= m[i].data && at < m[i].edata) {
			(void)snprintf(to, size, "%s%sdata+%#" PRIx64, of, space, at - m[i].data);
			return;
		}
		if (at >= m[i].bss && at < m[i].ebss) {
			(void)snprintf(to, size, "%s%sbss+%#" PRIx64, of, space, at - m[i].bss);
			return;
		}
	}
	(void)snprintf(to, size, "variable at %#" PRIx64, at);
}

const char *gs__ho_root_name(struct gs_heap_objects *x, const struct gs__ho_root *root)
{
	const struct gs_frame *f;
	const char *function, *ret;
	char text[1024], count[24];

	if (root->name)
		return root->name;
	if (root->kind == GS__HO_PLACE) {
		put_place(x, root->at, text, sizeof(text));
	} else {
		f = root->at ? gs_rt_start(x->rt, root->at) : NULL;
		function = f && f->function ? f->function : "?";
		put_count(count, sizeof(count), root->n);
		if (root->n == 1)
			(void)snprintf(text, sizeof(text), "goroutine %" PRIu64 " (%s)", root->goid,
				       function);
		else
			(void)snprintf(text, sizeof(text), "goroutines of %s (%s)", function,
				       count);
	}
	ret = gs_arena_strndup(x->arena, text, strlen(text));
	return ret ? ret : "?";
}

static int roots_by_bytes(const void *a, const void *b)
{
	const struct gs__ho_root *const *p = a, *const *q = b;

	if ((*p)->bytes != (*q)->bytes)
		return (*p)->bytes > (*q)->bytes ? -1 : 1;
	return *p < *q ? -1 : 1;
}

static int make_roots(struct counter *c, struct gs_err *err)
{
	struct gs_heap_objects *x = c->x;
	uint32_t max = x->o.roots ? x->o.roots : DEFAULT_ROWS, n = 0;
	GS_CLEANUP(gs_freep)
	struct gs__ho_root **used = gs_array_new(x->n_roots + 1ul, sizeof(*used));
	struct gs_heap_root *row;

	if (!used)
		return gs_fail(err, -ENOMEM, 0, "cannot list roots: out of memory");
	for (uint32_t i = 0; i < x->n_roots; i++)
		if (x->root[i].objects)
			used[n++] = &x->root[i];
	qsort(used, n, sizeof(struct gs__ho_root *), roots_by_bytes);
	n = n < max ? n : max;
	row = gs_arena_array(x->arena, n + 1ul, sizeof(*row));
	x->listed = gs_arena_array(x->arena, n + 1ul, sizeof(*x->listed));
	if (!row || !x->listed)
		return gs_fail(err, -ENOMEM, 0, "cannot list roots: out of memory");
	for (uint32_t i = 0; i < n; i++) {
		const struct gs__ho_root *u = used[i];

		x->listed[i] = (uint32_t)(u - x->root) + 1;
		row[i] = (struct gs_heap_root){ .name = gs__ho_root_name(x, u),
						.type = u->type ? u->type->name : NULL,
						.objects = u->objects,
						.bytes = u->bytes };
		if (u->kind != GS__HO_GOROUTINES)
			continue;
		row[i].frame = u->at ? gs_rt_start(x->rt, u->at) : NULL;
		row[i].goid = u->n == 1 ? u->goid : 0;
	}
	x->result.roots = x->root_row = row;
	x->result.n_roots = n;
	return 0;
}

int gs__ho_count(struct gs_heap_objects *x, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct counter *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return gs_fail(err, -ENOMEM, 0, "cannot count objects: out of memory");
	c->x = x;
	r = count_slots(c, err);
	if (r == 0)
		r = make_types(c, err);
	if (r == 0)
		r = make_roots(c, err);
	return r;
}
