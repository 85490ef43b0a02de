/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Profiler labels of goroutines while they are watched. Events carry none: a program that reads a map for
 * each event would cost more than the event. Instead all goroutines are looked at when somebody asks, at most once a
 * second; one that came and went in between has no labels. Equal sets are kept once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "stream/stream_private.h"

#define LOOK_NS 1000000000
#define SHARE 20 /* a look may take a twentieth of the time */
#define ARENA_MAX ((size_t)16 << 20)
#define GOROUTINES_MAX (1u << 20)
#define SETS_MAX 65536u

struct set {
	uint64_t hash;
	uint32_t n;
	struct gs_label label[];
};

struct owner {
	uint64_t goid;
	const struct set *set; /* NULL: none */
};

struct gs__labels {
	struct gs_arena *arena;
	struct set **sets; /* open addressing by hash */
	uint32_t n_sets, sets_mask;
	struct owner *owner; /* open addressing by goid */
	uint32_t n_owners, owner_mask;
	int64_t look_ns, took_ns;
};

struct gs__labels *gs__labels_free(struct gs__labels *l)
{
	if (!l)
		return NULL;
	gs_arena_free(l->arena);
	free(l->sets);
	free(l->owner);
	free(l);
	return NULL;
}

static struct gs__labels *labels_new(void)
{
	struct gs__labels *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->arena = gs_arena_new(ARENA_MAX);
	l->sets = gs_array_new(SETS_MAX * 2, sizeof(*l->sets));
	l->sets_mask = SETS_MAX * 2 - 1;
	l->owner = gs_array_new(1024, sizeof(*l->owner));
	l->owner_mask = 1023;
	return l->arena && l->sets && l->owner ? l : gs__labels_free(l);
}

static struct owner *owner_slot(struct owner *v, uint32_t mask, uint64_t goid)
{
	uint32_t i = (uint32_t)gs_hash_u64(gs_hash_seed(), goid) & mask;

	while (v[i].goid && v[i].goid != goid)
		i = (i + 1) & mask;
	return &v[i];
}

static bool grow_owners(struct gs__labels *l)
{
	uint32_t size = (l->owner_mask + 1) * 2;
	struct owner *v = size <= GOROUTINES_MAX ? gs_array_new(size, sizeof(*v)) : NULL;

	if (!v)
		return false;
	for (uint32_t i = 0; i <= l->owner_mask; i++)
		if (l->owner[i].goid)
			*owner_slot(v, size - 1, l->owner[i].goid) = l->owner[i];
	free(l->owner);
	l->owner = v;
	l->owner_mask = size - 1;
	return true;
}

static uint64_t hash_of(const struct gs_goroutine *g)
{
	uint64_t h = gs_hash_u64(gs_hash_seed(), g->n_labels);

	for (uint32_t i = 0; i < g->n_labels; i++) {
		h = gs_hash_bytes(h, g->labels[i].key, g->labels[i].key_len);
		h = gs_hash_bytes(h, g->labels[i].value, g->labels[i].value_len);
	}
	return h | 1;
}

static bool same_set(const struct set *s, const struct gs_goroutine *g)
{
	if (s->n != g->n_labels)
		return false;
	for (uint32_t i = 0; i < s->n; i++) {
		const struct gs_label *a = &s->label[i], *b = &g->labels[i];

		if (a->key_len != b->key_len || a->value_len != b->value_len ||
		    memcmp(a->key, b->key, a->key_len) != 0 ||
		    memcmp(a->value, b->value, a->value_len) != 0)
			return false;
	}
	return true;
}

/* A copy of a goroutine's labels that stays; NULL when there is no room. */
static const struct set *intern(struct gs__labels *l, const struct gs_goroutine *g)
{
	uint64_t h = hash_of(g);
	uint32_t i = (uint32_t)h & l->sets_mask;

	for (; l->sets[i]; i = (i + 1) & l->sets_mask)
		if (l->sets[i]->hash == h && same_set(l->sets[i], g))
			return l->sets[i];
	if (l->n_sets >= SETS_MAX)
		return NULL;
	struct set *s = gs_arena_alloc(l->arena, sizeof(*s) + g->n_labels * sizeof(s->label[0]));

	if (!s)
		return NULL;
	s->hash = h;
	s->n = g->n_labels;
	for (uint32_t k = 0; k < s->n; k++) {
		s->label[k] = g->labels[k];
		s->label[k].key =
			gs_arena_strndup(l->arena, g->labels[k].key, g->labels[k].key_len);
		s->label[k].value =
			gs_arena_strndup(l->arena, g->labels[k].value, g->labels[k].value_len);
		if (!s->label[k].key || !s->label[k].value)
			return NULL;
	}
	l->sets[i] = s;
	l->n_sets++;
	return s;
}

static int visit(void *ctx, const struct gs_goroutine *g)
{
	struct gs__labels *l = ctx;
	struct owner *o = owner_slot(l->owner, l->owner_mask, g->id);

	if (!g->id || (!o->goid && g->n_labels == 0))
		return 0;
	if (!o->goid) {
		if (l->n_owners * 2 >= l->owner_mask && !grow_owners(l))
			return 0;
		o = owner_slot(l->owner, l->owner_mask, g->id);
		o->goid = g->id;
		l->n_owners++;
	}
	o->set = g->n_labels ? intern(l, g) : NULL;
	return 0;
}

uint32_t gs__labels_of(struct gs__labels **io, struct gs_rt *rt, uint64_t goid,
		       const struct gs_label **ret)
{
	const struct gs_rt_dump_options o = { .no_stacks = true };
	int64_t now = gs_now_ns();

	if (!*io && !(*io = labels_new()))
		return 0;
	struct gs__labels *l = *io;

	if (l->look_ns == 0 ||
	    (now - l->look_ns > LOOK_NS && now - l->look_ns > l->took_ns * SHARE)) {
		struct gs_incomplete_list inc = { .n = 0 };

		/* A target that is gone leaves what was last seen. */
		(void)!gs_rt_goroutines(rt, &o, visit, l, &inc, NULL);
		l->look_ns = gs_now_ns();
		l->took_ns = l->look_ns - now;
	}
	const struct owner *own = owner_slot(l->owner, l->owner_mask, goid);

	if (!own->goid || !own->set)
		return 0;
	*ret = own->set->label;
	return own->set->n;
}
