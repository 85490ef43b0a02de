/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What time is spent on, numbered: an open hash table that stops growing at a limit. The first numbers are the classes
 * themselves, so that what finds no room is still counted as what it is. */
#include "analysis/why_keys.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"

#define SLOTS (GS_WHY_KEYS_MAX * 2)

struct gs_why_keys {
	struct gs_why_key *key;
	uint32_t n;
	uint32_t slot[SLOTS]; /* number + 1 */
};

struct gs_why_keys *gs_why_keys_new(void)
{
	GS_CLEANUP(gs_why_keys_freep) struct gs_why_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->key = gs_array_new(GS_WHY_KEYS_MAX, sizeof(*k->key));
	if (!k->key)
		return NULL;
	for (k->n = 0; k->n < GS_WHY_CLASSES; k->n++) {
		k->key[k->n].node.class = (enum gs_why_class)k->n;
		k->key[k->n].node.syscall = -1;
	}
	return GS_TAKE(k);
}

struct gs_why_keys *gs_why_keys_free(struct gs_why_keys *k)
{
	if (k)
		free(k->key);
	free(k);
	return NULL;
}

uint32_t gs_why_keys_count(const struct gs_why_keys *k)
{
	return k->n;
}

const struct gs_why_key *gs_why_keys_at(const struct gs_why_keys *k, uint32_t number)
{
	return &k->key[number < k->n ? number : GS_WHY_UNKNOWN];
}

uint32_t gs_why_keys_number(struct gs_why_keys *k, const struct gs_blame_node *n,
			    const struct gs_file_ref *file)
{
	// Without the object: nodes that are the same may differ in it.
	uint64_t h = gs_hash_u64(gs_hash_u64(n->where_hash, n->near),
				 n->file_hash ^ (uint64_t)n->class << 32 ^ (uint32_t)n->syscall);
	uint32_t i = (uint32_t)h & (SLOTS - 1);

	while (k->slot[i]) {
		struct gs_blame_node *known = &k->key[k->slot[i] - 1].node;

		if (gs_blame_same(known, n)) {
			known->many_objects |= n->many_objects || (known->object && n->object &&
								   known->object != n->object);
			known->object = known->object ? known->object : n->object;
			return k->slot[i] - 1;
		}
		i = (i + 1) & (SLOTS - 1);
	}
	if (k->n == GS_WHY_KEYS_MAX)
		return n->class;
	k->key[k->n].node = *n;
	if (file)
		k->key[k->n].file = *file;
	k->slot[i] = k->n + 1;
	return k->n++;
}
