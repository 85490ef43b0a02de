/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Numbers for what has a stack; see stack_table.h. Keys lie in one array in order of appearance, found
 * through an open-addressing table of their numbers with linear probing. A slot keeps half of the hash, so
 * that growing hashes nothing again and most foreign keys are passed without looking at them. Hashes
 * are seeded, because texts and addresses are foreign.
 */
#include "model/stack_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"

#define MIN_SLOTS 1024u
#define LIMIT (4u << 20)

struct gs_stack_slot {
	uint32_t number; /* + 1; 0: empty */
	uint32_t hash;
};

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* By what they say: one frame may have been read several times. */
static bool same_frame(const struct gs_frame *a, const struct gs_frame *b)
{
	return a == b || (a && b && a->pc == b->pc && a->line == b->line &&
			  same_text(a->function, b->function));
}

static bool same_key(const struct gs_stack_key *a, const struct gs_stack_key *b)
{
	return a->stack == b->stack && a->kernel_stack == b->kernel_stack && a->kind == b->kind &&
	       a->who == b->who && a->labels == b->labels && same_frame(a->frame, b->frame) &&
	       same_text(a->text, b->text);
}

static uint32_t hash_key(const struct gs_stack_key *k)
{
	uint64_t h = gs_hash_u64(gs_hash_seed() + k->kind, k->stack);

	h = gs_hash_u64(h, k->kernel_stack);
	h = gs_hash_u64(h, k->who);
	h = gs_hash_u64(h, k->labels);
	if (k->frame)
		h = gs_hash_u64(h, k->frame->pc);
	if (k->text)
		h = gs_hash_bytes(h, k->text, strlen(k->text));
	return (uint32_t)(h ^ h >> 32);
}

void gs_stack_table_deinit(struct gs_stack_table *t)
{
	free(t->keys);
	free(t->slots);
	*t = (struct gs_stack_table){ .limit = t->limit };
}

void gs_stack_table_clear(struct gs_stack_table *t)
{
	t->n = 0;
	if (t->n_slots)
		memset(t->slots, 0, t->n_slots * sizeof(*t->slots));
}

static int out_of_memory(struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "cannot count stacks: out of memory");
}

static int grow_slots(struct gs_stack_table *t, struct gs_err *err)
{
	uint32_t n_slots = t->n_slots ? t->n_slots * 2 : MIN_SLOTS;
	struct gs_stack_slot *slots;

	if (t->n * 2 < t->n_slots)
		return 0;
	slots = gs_array_new(n_slots, sizeof(*slots));
	if (!slots)
		return out_of_memory(err);
	for (uint32_t i = 0; i < t->n_slots; i++) {
		uint32_t at = t->slots[i].hash & (n_slots - 1);

		if (!t->slots[i].number)
			continue;
		while (slots[at].number)
			at = (at + 1) & (n_slots - 1);
		slots[at] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->n_slots = n_slots;
	return 0;
}

static int grow_keys(struct gs_stack_table *t, struct gs_err *err)
{
	uint32_t cap = t->cap ? t->cap * 2 : 256, limit = t->limit ? t->limit : LIMIT;
	struct gs_stack_key *keys;

	if (t->n >= limit)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "cannot count stacks: more than %u different ones. Use a filter",
			       limit);
	if (t->n < t->cap)
		return 0;
	keys = gs_array_resize(t->keys, cap, sizeof(*keys));
	if (!keys)
		return out_of_memory(err);
	t->keys = keys;
	t->cap = cap;
	return 0;
}

int gs_stack_table_number(struct gs_stack_table *t, const struct gs_stack_key *k, uint32_t *ret,
			  struct gs_err *err)
{
	uint32_t hash = hash_key(k), at;
	int r = grow_slots(t, err);

	if (r < 0)
		return r;
	for (at = hash & (t->n_slots - 1); t->slots[at].number; at = (at + 1) & (t->n_slots - 1)) {
		const struct gs_stack_slot *s = &t->slots[at];

		if (s->hash == hash && same_key(&t->keys[s->number - 1], k)) {
			*ret = s->number - 1;
			return 0;
		}
	}
	r = grow_keys(t, err);
	if (r < 0)
		return r;
	t->keys[t->n] = *k;
	t->slots[at] = (struct gs_stack_slot){ .number = t->n + 1, .hash = hash };
	*ret = t->n++;
	return 1;
}
