/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A profile; see profile.h. Lines are numbered by a table of stacks, values lie in an array beside it. When
 * seven eighths of the lines are used, new ones are taken only without goroutine and labels, so that
 * a server with a million short goroutines still shows all its stacks; when all are used, what is
 * new is added to the line "other" of its class. Sets of labels are
 * kept once.
 */
#include "model/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/out.h"
#include "model/stack_table.h"

#define LIMIT 131072u
#define LABEL_SETS 32768u /* a power of two; half of it is used at most */
#define LABEL_BYTES ((size_t)8 << 20)
#define LABELS_MAX 64u /* of one goroutine */

struct value {
	uint64_t count;
	int64_t ns;
};

struct label_set {
	const struct gs_label *labels; /* NULL: empty */
	uint32_t n;
	uint32_t hash;
};

struct gs_profile {
	enum gs_profile_kind kind;
	struct gs_stack_table table;
	uint32_t limit, cap;
	struct value *values; /* by number in the table */
	struct value other[GS_WHY_CLASSES];
	struct gs_arena *arena; /* of labels */
	struct label_set *sets; /* open addressing; a set's number is its place + 1 */
	uint32_t n_sets;
	struct gs_profile_totals totals;
	struct gs_profile_sample *samples;
	uint32_t n_samples;
};

struct gs_profile *gs_profile_new(enum gs_profile_kind kind, uint32_t limit)
{
	struct gs_profile *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->kind = kind;
	p->limit = limit ? limit : LIMIT;
	return p;
}

struct gs_profile *gs_profile_free(struct gs_profile *p)
{
	if (!p)
		return NULL;
	gs_stack_table_deinit(&p->table);
	gs_arena_free(p->arena);
	free(p->sets);
	free(p->values);
	free(p->samples);
	free(p);
	return NULL;
}

static bool same_bytes(const char *a, uint32_t a_len, const char *b, uint32_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool same_set(const struct label_set *s, const struct gs_label *l, uint32_t n)
{
	if (s->n != n)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const struct gs_label *m = &s->labels[i];

		if (!same_bytes(m->key, m->key_len, l[i].key, l[i].key_len) ||
		    !same_bytes(m->value, m->value_len, l[i].value, l[i].value_len))
			return false;
	}
	return true;
}

static uint32_t hash_labels(const struct gs_label *l, uint32_t n)
{
	uint64_t h = gs_hash_seed();

	for (uint32_t i = 0; i < n; i++) {
		h = gs_hash_bytes(h, l[i].key, l[i].key_len);
		h = gs_hash_bytes(h, l[i].value, l[i].value_len);
	}
	return (uint32_t)(h ^ h >> 32);
}

/* A copy of the labels, or NULL when there is no room for them. */
static const struct gs_label *copy_labels(struct gs_profile *p, const struct gs_label *l,
					  uint32_t n)
{
	struct gs_label *copy = gs_arena_array(p->arena, n, sizeof(*copy));

	for (uint32_t i = 0; copy && i < n; i++) {
		copy[i] = l[i];
		copy[i].key = gs_arena_strndup(p->arena, l[i].key, l[i].key_len);
		copy[i].value = gs_arena_strndup(p->arena, l[i].value, l[i].value_len);
		if (!copy[i].key || !copy[i].value)
			return NULL;
	}
	return copy;
}

uint32_t gs_profile_labels(struct gs_profile *p, const struct gs_label *labels, uint32_t n)
{
	uint32_t hash, at;
	struct label_set *s;

	if (n == 0)
		return 0;
	if (n > LABELS_MAX)
		n = LABELS_MAX;
	if (!p->sets)
		p->sets = gs_array_new(LABEL_SETS, sizeof(*p->sets));
	if (!p->arena)
		p->arena = gs_arena_new(LABEL_BYTES);
	if (!p->sets || !p->arena) {
		p->totals.labels_dropped++;
		return 0;
	}
	hash = hash_labels(labels, n);
	for (at = hash & (LABEL_SETS - 1); p->sets[at].labels; at = (at + 1) & (LABEL_SETS - 1))
		if (p->sets[at].hash == hash && same_set(&p->sets[at], labels, n))
			return at + 1;
	s = &p->sets[at];
	if (p->n_sets < LABEL_SETS / 2)
		s->labels = copy_labels(p, labels, n);
	if (!s->labels) {
		p->totals.labels_dropped++;
		return 0;
	}
	s->n = n;
	s->hash = hash;
	p->n_sets++;
	return at + 1;
}

/* The number of a line; -GS_E_LIMIT when there is no room. */
static int number(struct gs_profile *p, const struct gs_profile_key *k, bool who, uint32_t *ret,
		  struct gs_err *err)
{
	const struct gs_stack_key key = { .stack = k->stack,
					  .kernel_stack = k->kernel_stack,
					  .kind = k->class,
					  .who = who ? k->goid : 0,
					  .labels = who ? k->labels : 0,
					  .frame = k->start };
	bool marked = key.who || key.labels;

	p->table.limit = marked ? p->limit - p->limit / 8 : p->limit;
	return gs_stack_table_number(&p->table, &key, ret, err);
}

static int room(struct gs_profile *p, struct gs_err *err)
{
	uint32_t cap = p->cap ? p->cap * 2 : 256;
	struct value *values;

	if (p->table.n < p->cap)
		return 0;
	values = gs_array_resize(p->values, cap, sizeof(*values));
	if (!values)
		return gs_fail(err, -ENOMEM, 0, "cannot add to the profile: out of memory");
	p->values = values;
	p->cap = cap;
	return 0;
}

static void add(struct value *v, uint64_t count, int64_t ns)
{
	v->count += count;
	/* Years of wall time of millions of goroutines could be more than 2^63 ns. */
	if (__builtin_add_overflow(v->ns, ns, &v->ns))
		v->ns = INT64_MAX;
}

static void add_totals(struct gs_profile *p, enum gs_why_class c, uint64_t count, int64_t ns)
{
	struct value all = { p->totals.count, p->totals.ns },
		     on = { p->totals.on_cpu_count, p->totals.on_cpu_ns };

	add(&all, count, ns);
	p->totals.count = all.count;
	p->totals.ns = all.ns;
	if (!gs_profile_on_cpu(c))
		return;
	add(&on, count, ns);
	p->totals.on_cpu_count = on.count;
	p->totals.on_cpu_ns = on.ns;
}

int gs_profile_add(struct gs_profile *p, const struct gs_profile_key *k, uint64_t count, int64_t ns,
		   struct gs_err *err)
{
	struct value *v;
	uint32_t i;
	int r = room(p, err);

	if (r < 0)
		return r;
	if (ns < 0)
		ns = 0;
	/* Reaching the limit is no failure, and its text would cost as much as the rest. */
	r = number(p, k, true, &i, NULL);
	if (r == -GS_E_LIMIT && (k->goid || k->labels)) {
		p->totals.no_goroutine += count;
		r = number(p, k, false, &i, NULL);
	}
	if (r == -GS_E_LIMIT) {
		p->totals.no_stack += count;
		v = &p->other[k->class];
	} else if (r < 0) {
		return gs_fail(err, r, 0, "cannot add to the profile: out of memory");
	} else {
		v = &p->values[i];
		if (r > 0)
			*v = (struct value){ 0 };
	}
	add(v, count, ns);
	add_totals(p, k->class, count, ns);
	return 0;
}

static struct gs_profile_sample line(const struct gs_profile *p, uint32_t i)
{
	const struct gs_stack_key *k = &p->table.keys[i];
	struct gs_profile_sample s = { .key = { .stack = (uint32_t)k->stack,
						.kernel_stack = (uint32_t)k->kernel_stack,
						.start = k->frame,
						.goid = k->who,
						.labels = (uint32_t)k->labels,
						.class = (enum gs_why_class)k->kind },
				       .order = i,
				       .count = p->values[i].count,
				       .ns = p->values[i].ns };

	if (k->labels) {
		s.labels = p->sets[k->labels - 1].labels;
		s.n_labels = p->sets[k->labels - 1].n;
	}
	return s;
}

/* Equal times: in order of appearance, so that a replay gives the same file. */
static int most_time_first(const void *a, const void *b)
{
	const struct gs_profile_sample *x = a, *y = b;

	if (x->ns != y->ns)
		return x->ns > y->ns ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

int gs_profile_finish(struct gs_profile *p, const struct gs_stack *(*stack)(void *ctx, uint32_t id),
		      void *ctx, struct gs_err *err)
{
	uint32_t n = p->table.n;

	free(p->samples);
	p->n_samples = 0;
	p->samples = gs_array_new(n + GS_WHY_CLASSES, sizeof(*p->samples));
	if (!p->samples)
		return gs_fail(err, -ENOMEM, 0, "cannot finish the profile: out of memory");
	for (uint32_t i = 0; i < n; i++) {
		struct gs_profile_sample *s = &p->samples[i];

		*s = line(p, i);
		s->stack = s->key.stack ? stack(ctx, s->key.stack) : NULL;
		s->kernel_stack = s->key.kernel_stack ? stack(ctx, s->key.kernel_stack) : NULL;
	}
	if (n)
		qsort(p->samples, n, sizeof(*p->samples), most_time_first);
	for (unsigned int c = 0; c < GS_WHY_CLASSES; c++)
		if (p->other[c].count)
			p->samples[n++] =
				(struct gs_profile_sample){ .key.class = (enum gs_why_class)c,
							    .other = true,
							    .count = p->other[c].count,
							    .ns = p->other[c].ns };
	p->n_samples = n;
	return 0;
}

const struct gs_profile_sample *gs_profile_samples(const struct gs_profile *p, uint32_t *ret_n)
{
	*ret_n = p->n_samples;
	return p->samples;
}

enum gs_profile_kind gs_profile_kind(const struct gs_profile *p)
{
	return p->kind;
}

const struct gs_profile_totals *gs_profile_totals(const struct gs_profile *p)
{
	return &p->totals;
}
