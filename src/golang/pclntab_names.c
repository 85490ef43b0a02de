/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Functions by name. A few names are found in one pass over the table without allocating: the first
 * eight bytes decide for nearly every function that it is none of them. Many look-ups get a hash
 * index of 12 bytes per function, made at the first one: chains through function numbers, so that a
 * file in which all functions have the same name costs no more than another; the seed is our own.
 *
 * Names may occur more than once (closures of several init functions, an assembly function and its
 * ABI wrapper): look-ups go in address order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "golang/pclntab_private.h"

#define NONE UINT32_MAX

struct gs__go_name_index {
	uint64_t seed;
	uint32_t mask;
	uint32_t *head; /* mask + 1 chains */
	uint32_t *next; /* of each function */
	uint32_t *hash; /* of each function's name */
};

struct gs__go_name_index *gs__go_name_index_free(struct gs__go_name_index *x)
{
	if (x) {
		free(x->head);
		free(x->next);
		free(x->hash);
		free(x);
	}
	return NULL;
}
GS_DEFINE_CLEANUP(struct gs__go_name_index *, gs__go_name_index_free)

static int function_name(const struct gs_go_pclntab *t, uint32_t i, const char **ret,
			 size_t *ret_len, struct gs_err *err)
{
	uint32_t off;
	int r = gs__go_name_offset(t, i, &off, err);

	return r < 0 ? r : gs__go_string(&t->names, off, ret, ret_len, err);
}

static int build_index(const struct gs_go_pclntab *t, struct gs__go_name_index **ret,
		       struct gs_err *err)
{
	GS_CLEANUP(gs__go_name_index_freep) struct gs__go_name_index *x = NULL;
	uint32_t size = 16;
	const char *name;
	size_t len;
	int r;

	while (size < t->nfunc)
		size *= 2;
	x = gs_array_new(1, sizeof(*x));
	if (x) {
		x->seed = gs_hash_seed();
		x->mask = size - 1;
		x->head = gs_array_new(size, sizeof(*x->head));
		x->next = gs_array_new(t->nfunc, sizeof(*x->next));
		x->hash = gs_array_new(t->nfunc, sizeof(*x->hash));
	}
	if (!x || !x->head || !x->next || !x->hash)
		return gs_fail(err, -ENOMEM, 0, "%s: out of memory for %" PRIu32 " function names",
			       t->names.what, t->nfunc);
	memset(x->head, 0xff, size * sizeof(*x->head));
	// Backwards, so that chains are in address order.
	for (uint32_t i = t->nfunc; i-- > 0;) {
		uint32_t *slot;

		r = function_name(t, i, &name, &len, err);
		if (r < 0)
			return r;
		x->hash[i] = (uint32_t)gs_hash_bytes(x->seed, name, len);
		slot = &x->head[x->hash[i] & x->mask];
		x->next[i] = *slot;
		*slot = i;
	}
	*ret = GS_TAKE(x);
	return 0;
}

/* The table is shared between threads: who finishes first publishes. */
static int get_index(const struct gs_go_pclntab *t, const struct gs__go_name_index **ret,
		     struct gs_err *err)
{
	// The index is a cache, so building it does not change the table as callers see it.
	struct gs_go_pclntab *cache = (struct gs_go_pclntab *)t;
	struct gs__go_name_index *x = atomic_load(&cache->index), *expected = NULL;
	int r;

	if (!x) {
		r = build_index(t, &x, err);
		if (r < 0)
			return r;
		if (!atomic_compare_exchange_strong(&cache->index, &expected, x)) {
			gs__go_name_index_free(x);
			x = expected;
		}
	}
	*ret = x;
	return 0;
}

int gs_go_func_by_name(const struct gs_go_pclntab *t, const char *name, uint32_t nth,
		       struct gs_go_func *ret, struct gs_err *err)
{
	const struct gs__go_name_index *x;
	size_t len = strlen(name), n;
	uint32_t hash;
	const char *s;
	int r;

	r = get_index(t, &x, err);
	if (r < 0)
		return r;
	hash = (uint32_t)gs_hash_bytes(x->seed, name, len);
	for (uint32_t i = x->head[hash & x->mask]; i != NONE; i = x->next[i]) {
		if (x->hash[i] != hash)
			continue;
		r = function_name(t, i, &s, &n, err);
		if (r < 0)
			return r;
		if (n == len && memcmp(s, name, len) == 0 && nth-- == 0)
			return gs_go_func_at(t, i, ret, err);
	}
	return 1;
}

/* The first bytes of a string and its NUL as one word, zeros behind a shorter one. */
static uint64_t first_bytes(const char *s)
{
	uint64_t v = 0;

	memcpy(&v, s, strnlen(s, sizeof(v)));
	return v;
}

/* The same for a name in the table, without looking for its end. */
static int first_bytes_at(const struct gs_go_pclntab *t, uint32_t i, uint64_t *ret,
			  uint32_t *ret_off, struct gs_err *err)
{
	struct gs_cursor c = t->names;
	uint64_t zero, v = 0;
	int r;

	r = gs__go_name_offset(t, i, ret_off, err);
	if (r == 0)
		r = gs_cursor_seek(&c, *ret_off, err);
	if (r < 0)
		return r;
	r = gs_cursor_bytes(&c, &v, gs_cursor_left(&c) < 8 ? gs_cursor_left(&c) : 8, err);
	if (r < 0)
		return r;
	// Clear what lies behind a NUL: the lowest zero byte and all above it.
	zero = (v - 0x0101010101010101u) & ~v & 0x8080808080808080u;
	if (zero)
		v &= ((zero & -zero) >> 7) - 1;
	*ret = v;
	return 0;
}

/* Function @i has a name that starts like a wanted one: visit it for all names that it equals. */
static int match(const struct gs_go_pclntab *t, uint32_t i, uint32_t off, const char *const *names,
		 size_t n, gs_go_named_fn *visit, void *ctx, struct gs_err *err)
{
	struct gs_cursor c = t->names;
	struct gs_go_func f;
	int r;

	r = gs_cursor_seek(&c, off, err);
	for (size_t k = 0; k < n && r == 0; k++) {
		size_t size = strlen(names[k]) + 1; // with the NUL

		// Compared in place: looking for the ends of hostile names could take for ever.
		if (gs_cursor_left(&c) < size || memcmp(c.pos, names[k], size) != 0)
			continue;
		r = gs_go_func_at(t, i, &f, err);
		if (r == 0)
			r = visit(ctx, k, &f);
	}
	return r;
}

/* Wanted names have few different beginnings (all of the runtime's have one). */
#define PREFIXES_MAX 16

int gs_go_funcs_named(const struct gs_go_pclntab *t, const char *const *names, size_t n,
		      gs_go_named_fn *visit, void *ctx, struct gs_err *err)
{
	uint64_t prefixes[PREFIXES_MAX], v;
	size_t n_prefixes = 0, k;
	uint32_t off;
	int r = 0;

	for (size_t i = 0; i < n && n_prefixes <= PREFIXES_MAX; i++) {
		v = first_bytes(names[i]);
		for (k = 0; k < n_prefixes && prefixes[k] != v; k++)
			;
		if (k == n_prefixes && k < PREFIXES_MAX)
			prefixes[n_prefixes++] = v;
		else if (k == n_prefixes)
			n_prefixes = PREFIXES_MAX + 1; // too many: look at every name
	}
	for (uint32_t i = 0; i < t->nfunc && r == 0; i++) {
		r = first_bytes_at(t, i, &v, &off, err);
		if (r < 0)
			return r;
		if (n_prefixes <= PREFIXES_MAX) {
			for (k = 0; k < n_prefixes && prefixes[k] != v; k++)
				;
			if (k == n_prefixes)
				continue;
		}
		r = match(t, i, off, names, n, visit, ctx, err);
	}
	return r;
}

struct first_found {
	struct gs_go_func *found;
	size_t left;
};

/* Keep the first of each name; ends the pass when all are there. */
static int keep_first(void *ctx, size_t which, const struct gs_go_func *f)
{
	struct first_found *s = ctx;

	if (s->found[which].name)
		return 0;
	s->found[which] = *f;
	return --s->left == 0;
}

int gs_go_funcs_by_name(const struct gs_go_pclntab *t, const char *const *names, size_t n,
			struct gs_go_func *ret, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct gs_go_func *found = gs_array_new(n ? n : 1, sizeof(*found));
	struct first_found s = { .found = found, .left = n };
	int r;

	if (!found)
		return gs_fail(err, -ENOMEM, 0, "%s: out of memory for %zu names", t->names.what,
			       n);
	r = n ? gs_go_funcs_named(t, names, n, keep_first, &s, err) : 0;
	if (r < 0)
		return r;
	if (n)
		memcpy(ret, found, n * sizeof(*ret));
	return 0;
}
