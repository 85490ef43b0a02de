/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Number tables of a profile; see pprof_tables.h. Both are open-addressing hash tables with linear
 * probing, at most half full, hashed with the process's seed because keys are foreign.
 */
#include "export/pprof_tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define MIN_SLOTS 1024u
#define MAX_PAIRS (32u << 20)
#define MAX_STRING_BYTES ((size_t)100 << 20)
#define MAX_STRINGS (4u << 20)

struct gs__pair_slot {
	uint64_t a, b;
	uint32_t number; /* 0: empty */
};

struct gs__string_slot {
	const char *s; /* NULL: empty */
	size_t n;
	uint64_t hash;
	uint64_t number;
};

static int out_of_memory(struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
}

static struct gs__pair_slot *find_pair(struct gs__pair_slot *slots, uint32_t n_slots, uint64_t a,
				       uint64_t b)
{
	uint64_t h = gs_hash_u64(gs_hash_u64(gs_hash_seed(), a), b);

	for (;; h++) {
		struct gs__pair_slot *s = &slots[h & (n_slots - 1)];

		if (s->number == 0 || (s->a == a && s->b == b))
			return s;
	}
}

static int grow_pairs(struct gs__pair_table *t, struct gs_err *err)
{
	uint32_t n_slots = t->n_slots ? t->n_slots * 2 : MIN_SLOTS;
	struct gs__pair_slot *slots;

	if (t->n * 2 < t->n_slots)
		return 0;
	if (t->n >= MAX_PAIRS)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "cannot write the profile: more than %u places. Use a filter",
			       MAX_PAIRS);
	slots = gs_array_new(n_slots, sizeof(*slots));
	if (!slots)
		return out_of_memory(err);
	for (uint32_t i = 0; i < t->n_slots; i++)
		if (t->slots[i].number)
			*find_pair(slots, n_slots, t->slots[i].a, t->slots[i].b) = t->slots[i];
	free(t->slots);
	t->slots = slots;
	t->n_slots = n_slots;
	return 0;
}

int gs__pair_number(struct gs__pair_table *t, uint64_t a, uint64_t b, uint64_t *ret,
		    struct gs_err *err)
{
	struct gs__pair_slot *s;
	int r = grow_pairs(t, err);

	if (r < 0)
		return r;
	s = find_pair(t->slots, t->n_slots, a, b);
	if (s->number == 0) {
		*s = (struct gs__pair_slot){ .a = a, .b = b, .number = ++t->n };
		r = 1;
	}
	*ret = s->number;
	return r;
}

void gs__pair_table_deinit(struct gs__pair_table *t)
{
	free(t->slots);
	*t = (struct gs__pair_table){ 0 };
}

int gs__string_table_init(struct gs__string_table *t, struct gs_err *err)
{
	*t = (struct gs__string_table){ .arena = gs_arena_new(MAX_STRING_BYTES), .next = 1 };
	t->slots = gs_array_new(MIN_SLOTS, sizeof(*t->slots));
	t->n_slots = MIN_SLOTS;
	return t->arena && t->slots ? 0 : out_of_memory(err);
}

void gs__string_table_deinit(struct gs__string_table *t)
{
	t->arena = gs_arena_free(t->arena);
	free(t->slots);
	*t = (struct gs__string_table){ 0 };
}

static struct gs__string_slot *find_string(struct gs__string_slot *slots, uint32_t n_slots,
					   uint64_t hash, const char *text, size_t n)
{
	for (uint64_t h = hash;; h++) {
		struct gs__string_slot *s = &slots[h & (n_slots - 1)];

		if (!s->s || (s->hash == hash && s->n == n && memcmp(s->s, text, n) == 0))
			return s;
	}
}

static int grow_strings(struct gs__string_table *t, struct gs_err *err)
{
	uint32_t n_slots = t->n_slots * 2;
	struct gs__string_slot *slots;

	if (t->n * 2 < t->n_slots)
		return 0;
	slots = gs_array_new(n_slots, sizeof(*slots));
	if (!slots)
		return out_of_memory(err);
	for (uint32_t i = 0; i < t->n_slots; i++) {
		const struct gs__string_slot *s = &t->slots[i];

		if (s->s)
			*find_string(slots, n_slots, s->hash, s->s, s->n) = *s;
	}
	free(t->slots);
	t->slots = slots;
	t->n_slots = n_slots;
	return 0;
}

int gs__string_number(struct gs__string_table *t, const char *s, size_t n, uint64_t *ret,
		      struct gs_err *err)
{
	uint64_t hash = gs_hash_bytes(gs_hash_seed(), s, n);
	struct gs__string_slot *slot;
	const char *copy = NULL;
	int r;

	if (n == 0) {
		*ret = 0;
		return 0;
	}
	r = grow_strings(t, err);
	if (r < 0)
		return r;
	slot = find_string(t->slots, t->n_slots, hash, s, n);
	if (slot->s) {
		*ret = slot->number;
		return 0;
	}
	*ret = t->next++;
	if (t->n < MAX_STRINGS)
		copy = gs_arena_strndup(t->arena, s, n);
	if (copy) {
		*slot = (struct gs__string_slot){ copy, n, hash, *ret };
		t->n++;
	}
	return 1;
}
