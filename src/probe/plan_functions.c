/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Watched functions: from what the user wrote to functions of the table.
 *
 * A name is taken as Go prints it ("shop/internal/store.(*Ledger).Append"), or as its end after a "/"
 * or "." if only one function has it ("store.(*Ledger).Append"). "[...]" stands for the type
 * arguments of a generic function, as in tracebacks; all its bodies are watched then.
 *
 * A function whose every call was inlined has no body: the inlining tables tell where it went. Names in
 * the table are foreign: the work for comparing them is bounded, and texts are escaped by gs_fail().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "probe/plan_private.h"

enum {
	BODIES_MAX = 32,  /* of one generic function */
	LISTED_MAX = 4,   /* names in a message */
	NAME_MAX_ = 4096, /* longer names are looked at up to here */
};

/* @name, at least in its first part, against a pattern in which "[...]" stands for anything in
 * brackets. */
static bool matches_all(const char *pattern, const char *name)
{
	while (*pattern) {
		if (strncmp(pattern, "[...]", 5) == 0 && *name == '[') {
			int depth = 0;

			do {
				depth += (*name == '[') - (*name == ']');
				name++;
			} while (depth > 0 && *name);
			if (depth > 0)
				return false;
			pattern += 5;
		} else if (*pattern++ != *name++) {
			return false;
		}
	}
	return *name == '\0';
}

enum match { MATCH_NONE, MATCH_END, MATCH_EXACT };

static enum match match_name(const char *pattern, const char *name)
{
	if (matches_all(pattern, name))
		return MATCH_EXACT;
	for (const char *s = name; *s && s - name < NAME_MAX_; s++)
		if ((*s == '/' || *s == '.') && matches_all(pattern, s + 1))
			return MATCH_END;
	return MATCH_NONE;
}

/* What was found for one pattern. */
struct found {
	const char *pattern;
	enum match best;
	struct gs_go_func body[BODIES_MAX];
	uint32_t n_bodies;             /* all that match as well as the best */
	const char *names[BODIES_MAX]; /* distinct ones */
	uint32_t n_names;
	bool wrappers; /* nothing but wrappers so far */
};

/* Names of the instances of one generic function differ between the brackets only. */
static bool same_printed(const char *a, const char *b)
{
	const char *pa = strchr(a, '['), *qa = strrchr(a, ']');
	const char *pb = strchr(b, '['), *qb = strrchr(b, ']');

	if (strcmp(a, b) == 0)
		return true;
	return pa && qa && pb && qb && pa - a == pb - b && memcmp(a, b, (size_t)(pa - a)) == 0 &&
	       strcmp(qa, qb) == 0;
}

static void note_name(struct found *f, const char *name)
{
	for (uint32_t i = 0; i < f->n_names; i++)
		if (same_printed(f->names[i], name))
			return;
	if (f->n_names < BODIES_MAX)
		f->names[f->n_names++] = name;
}

static void note(struct found *f, enum match m, const struct gs_go_func *func)
{
	bool wrapper = func->id == GS_GO_FUNC_WRAPPER;

	if (m < f->best || (m == f->best && wrapper && f->n_bodies && !f->wrappers))
		return;
	if (m > f->best || (f->wrappers && !wrapper)) {
		f->best = m;
		f->n_bodies = f->n_names = 0;
		f->wrappers = wrapper;
	}
	note_name(f, func->name);
	if (f->n_bodies < BODIES_MAX)
		f->body[f->n_bodies++] = *func;
}

static int find_all(const struct gs__plan *pl, struct found *found, uint32_t n, struct gs_err *err)
{
	uint32_t count = gs_go_pclntab_count(pl->b->tab);
	struct gs_go_func f;

	for (uint32_t i = 0; i < count; i++) {
		int r = gs_go_func_at(pl->b->tab, i, &f, err);

		if (r < 0)
			return r;
		for (uint32_t k = 0; k < n; k++) {
			enum match m = match_name(found[k].pattern, f.name);

			if (m != MATCH_NONE)
				note(&found[k], m, &f);
		}
	}
	return 0;
}

/* Where calls went that were inlined. */
struct inlined {
	const char *pattern;
	bool exact; /* only the name itself */
	const char *name;
	const char *into[LISTED_MAX];
	uint32_t n_into; /* listed */
	uint64_t calls;
};

static int take_inlined(void *ctx, const char *name, const struct gs_go_func *into)
{
	struct inlined *s = ctx;
	enum match m = match_name(s->pattern, name);

	if (m == MATCH_NONE || (s->exact && m != MATCH_EXACT))
		return 0;
	s->name = name;
	s->calls++;
	if (s->n_into && strcmp(s->into[s->n_into - 1], into->name) == 0)
		return 0;
	if (s->n_into < LISTED_MAX)
		s->into[s->n_into++] = into->name;
	return 0;
}

/* A text of names, cut at its end. */
struct list {
	char text[320];
	size_t len;
};

static void list_add(struct list *l, const char *name)
{
	size_t n = strnlen(name, 100), sep = l->len ? 2 : 0;

	if (l->len + sep + n + 1 > sizeof(l->text))
		return;
	memcpy(l->text + l->len, ", ", sep);
	memcpy(l->text + l->len + sep, name, n);
	l->len += sep + n;
	l->text[l->len] = '\0';
}

/* The part behind the last "/" and the first "." after it: "Append", "(*Ledger).Append". */
static const char *last_part(const char *name)
{
	const char *slash = strrchr(name, '/'), *dot = strrchr(slash ? slash : name, '.');

	return dot ? dot + 1 : slash ? slash + 1 : name;
}

/* Edit distance of short words, at most @max (else max + 1). */
static unsigned int distance(const char *a, const char *b, unsigned int max)
{
	size_t na = strnlen(a, 40), nb = strnlen(b, 40);
	unsigned int row[41];

	if (na > nb + max || nb > na + max)
		return max + 1;
	for (size_t j = 0; j <= nb; j++)
		row[j] = (unsigned int)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned int diagonal = row[0];

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned int best = diagonal + ((a[i - 1] | 32) != (b[j - 1] | 32));

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[nb];
}

/* Names that the user may have meant: the same last part, or one that differs by a letter or two. */
static void suggest(const struct gs__plan *pl, const char *pattern, struct list *ret)
{
	uint32_t count = gs_go_pclntab_count(pl->b->tab), n = 0;
	const char *want = last_part(pattern);
	unsigned int max = strlen(want) > 5 ? 2 : 1;
	struct gs_go_func f;

	for (unsigned int d = 0; d <= max && n < LISTED_MAX; d++) {
		for (uint32_t i = 0; i < count && n < LISTED_MAX; i++) {
			if (gs_go_func_at(pl->b->tab, i, &f, NULL) < 0)
				return;
			if (f.id == GS_GO_FUNC_WRAPPER ||
			    distance(want, last_part(f.name), max) != d)
				continue;
			list_add(ret, f.name);
			n++;
		}
	}
}

static int not_found(const struct gs__plan *pl, const char *pattern, struct gs_err *err)
{
	struct inlined s = { .pattern = pattern };
	struct list l = { .len = 0 };
	int r = gs_go_inlined(pl->b->tab, take_inlined, &s, err);

	if (r < 0)
		return r;
	if (s.calls) {
		for (uint32_t i = 0; i < s.n_into; i++)
			list_add(&l, s.into[i]);
		return gs_fail(err, -GS_E_NOT_FOUND, 0,
			       "cannot watch %s: it has no code of its own, its %" PRIu64
			       " calls were inlined, into %s%s. Watch the caller, or build the "
			       "function with //go:noinline",
			       s.name, s.calls, l.text,
			       s.n_into == LISTED_MAX ? " and others" : "");
	}
	suggest(pl, pattern, &l);
	return gs_fail(err, -GS_E_NOT_FOUND, 0, "no function %s in this binary%s%s", pattern,
		       l.len ? ". Similar: " : "", l.text);
}

static int ambiguous(const struct found *f, struct gs_err *err)
{
	struct list l = { .len = 0 };

	for (uint32_t i = 0; i < f->n_names && i < LISTED_MAX; i++)
		list_add(&l, f->names[i]);
	return gs_fail(err, -GS_E_NOT_FOUND, 0,
		       "%s may be any of %u functions: %s%s. Name one in full", f->pattern,
		       f->n_names, l.text, f->n_names > LISTED_MAX ? ", …" : "");
}

/* Begin and ends of one body. */
static int place_body(struct gs__plan *pl, uint32_t number, const char *name,
		      const struct gs_go_func *f, struct gs_err *err)
{
	int r;

	if (f->flag & GS_GO_FLAG_SP_WRITE)
		return gs_fail(err, -GS_E_UNSUPPORTED, f->entry,
			       "it switches stacks, so its end is not where it began");
	r = gs__plan_add_begin(pl, GS_PROG_CALL_BEGIN, GS_GROUP_REQUESTS, number, name, f, true,
			       err);
	if (r < 0)
		return r;
	r = gs__plan_add_ends(pl, GS_PROG_CALL_END, GS_GROUP_REQUESTS, number, name, f, err);
	if (r == 0)
		return gs_fail(err, -GS_E_UNSUPPORTED, f->entry, "it never returns");
	return r < 0 ? r : 0;
}

/* Calls that became part of others are not seen: say how many. */
static int tell_inlined(struct gs__plan *pl, const char *name, struct gs_err *err)
{
	struct inlined s = { .pattern = name, .exact = true };
	int r = gs_go_inlined(pl->b->tab, take_inlined, &s, err);

	if (r == 0 && s.calls)
		gs__plan_refuse(pl, name, "%" PRIu64 " of its calls not seen: inlined, into %s%s",
				s.calls, s.into[0], s.n_into > 1 ? " and others" : "");
	return r;
}

static int watch(struct gs__plan *pl, const struct found *f, struct gs_err *err)
{
	uint32_t number = pl->p->n_functions;
	const char *name = f->n_bodies == 1 ? f->body[0].name : f->pattern;
	int r = 0;

	if (f->n_bodies == 0)
		return not_found(pl, f->pattern, err);
	if (f->n_names > 1)
		return ambiguous(f, err);
	if (f->n_bodies == BODIES_MAX)
		return gs_fail(err, -GS_E_LIMIT, 0, "%s has %d bodies or more. Name one in full",
			       f->pattern, BODIES_MAX);
	if (f->n_bodies > 1 && !strchr(f->body[0].name, '['))
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "cannot watch %s: there are %u functions of that name, and none is "
			       "known to be it",
			       f->pattern, f->n_bodies);
	for (uint32_t i = 0; i < f->n_bodies && r == 0; i++)
		r = place_body(pl, number, name, &f->body[i], err);
	if (r < 0)
		return gs_fail_in(err, r, "cannot watch %s", name);
	pl->p->function[pl->p->n_functions++] = gs__plan_name(pl, name);
	return tell_inlined(pl, name, err);
}

int gs__plan_functions(struct gs__plan *pl, struct gs_err *err)
{
	uint32_t n = pl->w->n_functions;
	GS_CLEANUP(gs_freep) struct found *found = NULL;
	int r;

	if (n > GS_PLAN_FUNCTIONS_MAX)
		return gs_fail(err, -GS_E_LIMIT, 0, "at most %d functions can be watched",
			       GS_PLAN_FUNCTIONS_MAX);
	found = gs_array_new(n ? n : 1, sizeof(*found));
	if (!found)
		return gs_fail(err, -ENOMEM, 0, "out of memory for looking up functions");
	for (uint32_t i = 0; i < n; i++)
		found[i].pattern = pl->w->functions[i];
	r = find_all(pl, found, n, err);
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = watch(pl, &found[i], err);
	return r;
}
