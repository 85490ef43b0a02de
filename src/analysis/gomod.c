/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Three line-based formats.
 *
 *   go.mod       directive args…          // comment        words may be "quoted" or `quoted`
 *                directive (
 *                        args…
 *                )
 *   go.sum       path version[/go.mod] h1:base64=
 *   modules.txt  # path version [=> path [version]]
 *                ## explicit; go 1.21
 *                package
 *
 * Each file is walked twice: once to count lines, which bounds every table, once to fill them.
 */
#include "analysis/gomod.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/search.h"

#define WORDS_MAX 8
#define LINE_MAX_BYTES 65536u

struct lines {
	const char *at, *end, *name;
	uint32_t number;
};

/* The next line without its end; false after the last. */
static bool next_line(struct lines *l, const char **ret, size_t *ret_n)
{
	const char *nl;

	if (l->at == l->end)
		return false;
	nl = memchr(l->at, '\n', (size_t)(l->end - l->at));
	*ret = l->at;
	*ret_n = (size_t)((nl ? nl : l->end) - l->at);
	if (*ret_n && (*ret)[*ret_n - 1] == '\r')
		--*ret_n;
	l->at = nl ? nl + 1 : l->end;
	l->number++;
	return true;
}

static uint32_t count_lines(const char *text, size_t n)
{
	uint32_t lines = 1;

	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	return lines;
}

static int bad_line(const struct lines *l, struct gs_err *err, const char *what)
{
	return gs_fail(err, -GS_E_BAD_DATA, l->number, "%s:%u: %s", l->name, l->number, what);
}

static int no_memory(struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "out of memory");
}

struct words {
	const char *v[WORDS_MAX];
	uint32_t n;
	bool indirect; /* the comment says "// indirect" */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* "// indirect" or "// indirect; reason" (modfile.isIndirect). */
static bool says_indirect(const char *comment, size_t n)
{
	static const char word[] = "indirect";

	while (n && is_blank(*comment)) {
		comment++;
		n--;
	}
	if (n < 8 || memcmp(comment, word, 8) != 0)
		return false;
	return n == 8 || comment[8] == ';' || is_blank(comment[8]);
}

/* A word from @p: quoted ones end at their quote, others at a blank, a parenthesis, a comma or a comment.
 * Escapes inside "…" are not resolved: paths and versions cannot hold any. */
static const char *word_end(const char *p, const char *end, const char **ret_word, size_t *ret_n)
{
	if (*p == '"' || *p == '`') {
		const char *close = memchr(p + 1, *p, (size_t)(end - p - 1));

		if (!close)
			return NULL;
		*ret_word = p + 1;
		*ret_n = (size_t)(close - p - 1);
		return close + 1;
	}
	*ret_word = p;
	if (*p == '(' || *p == ')' || *p == ',' || *p == '[' || *p == ']') {
		*ret_n = 1;
		return p + 1;
	}
	while (p < end && !is_blank(*p) && !strchr("(),[]\"`", *p) &&
	       !(p[0] == '/' && p + 1 < end && p[1] == '/'))
		p++;
	*ret_n = (size_t)(p - *ret_word);
	return p;
}

static int split(const struct lines *l, const char *line, size_t n, struct gs_arena *arena,
		 struct words *ret, struct gs_err *err)
{
	const char *p = line, *end = line + n;

	*ret = (struct words){ .n = 0 };
	if (n > LINE_MAX_BYTES)
		return bad_line(l, err, "the line is too long");
	if (memchr(line, '\0', n))
		return bad_line(l, err, "the line holds a zero byte");
	for (;;) {
		const char *word;
		size_t len;

		while (p < end && is_blank(*p))
			p++;
		if (p == end)
			return 0;
		if (p[0] == '/' && p + 1 < end && p[1] == '/') {
			ret->indirect = says_indirect(p + 2, (size_t)(end - p - 2));
			return 0;
		}
		p = word_end(p, end, &word, &len);
		if (!p)
			return bad_line(l, err, "a quoted word has no end");
		if (ret->n == WORDS_MAX)
			return bad_line(l, err, "the line has too many words");
		ret->v[ret->n] = gs_arena_strndup(arena, word, len);
		if (!ret->v[ret->n++])
			return no_memory(err);
	}
}

struct gomod_tables {
	struct gs_gomod_require *requires, *excludes;
	struct gs_gomod_replace *replaces;
};

/* "old [version] => new [version]" */
static int take_replace(const struct lines *l, const struct words *w, struct gs_gomod *ret,
			struct gomod_tables *t, struct gs_err *err)
{
	uint32_t arrow = w->n > 1 && strcmp(w->v[1], "=>") == 0 ? 1 : 2;
	uint32_t after = w->n > arrow ? w->n - arrow - 1 : 0;

	if (w->n <= arrow || strcmp(w->v[arrow], "=>") != 0 || after < 1 || after > 2)
		return bad_line(l, err, "expected replace old [version] => new [version]");
	t->replaces[ret->n_replaces++] = (struct gs_gomod_replace){
		.old_path = w->v[0],
		.old_version = arrow == 2 ? w->v[1] : NULL,
		.new_path = w->v[arrow + 1],
		.new_version = after == 2 ? w->v[arrow + 2] : NULL,
	};
	return 0;
}

static int take_single(const struct lines *l, const struct words *w, const char **slot,
		       struct gs_err *err)
{
	if (w->n != 1)
		return bad_line(l, err, "expected one word after the directive");
	if (*slot)
		return bad_line(l, err, "the directive is repeated");
	*slot = w->v[0];
	return 0;
}

/* @w without the directive's name. */
static int take_directive(const struct lines *l, const char *verb, const struct words *w,
			  struct gs_gomod *ret, struct gomod_tables *t, struct gs_err *err)
{
	if (strcmp(verb, "module") == 0)
		return take_single(l, w, &ret->module, err);
	if (strcmp(verb, "go") == 0)
		return take_single(l, w, &ret->go, err);
	if (strcmp(verb, "toolchain") == 0)
		return take_single(l, w, &ret->toolchain, err);
	if (strcmp(verb, "replace") == 0)
		return take_replace(l, w, ret, t, err);
	if (strcmp(verb, "require") == 0 || strcmp(verb, "exclude") == 0) {
		bool require = verb[0] == 'r';

		if (w->n != 2)
			return bad_line(l, err, "expected a module path and a version");
		if (require)
		t->requires[ret->n_requires++] =
			(struct gs_gomod_require){ w->v[0], w->v[1], w->indirect };
		else t->excludes[ret->n_excludes++] =
			(struct gs_gomod_require){ w->v[0], w->v[1], false };
	}
	return 0; // retract, tool, ignore, godebug and those to come
}

static void drop_first(struct words *w)
{
	for (uint32_t i = 1; i < w->n; i++)
		w->v[i - 1] = w->v[i];
	w->n--;
}

static int take_line(const struct lines *l, struct words *w, const char **block,
		     struct gs_gomod *ret, struct gomod_tables *t, struct gs_err *err)
{
	const char *verb = *block;

	if (w->n == 0)
		return 0;
	if (verb && w->n == 1 && strcmp(w->v[0], ")") == 0) {
		*block = NULL;
		return 0;
	}
	if (!verb) {
		verb = w->v[0];
		drop_first(w);
		if (w->n == 1 && strcmp(w->v[0], "(") == 0) {
			*block = verb;
			return 0;
		}
		if (w->n == 2 && strcmp(w->v[0], "(") == 0 && strcmp(w->v[1], ")") == 0)
			return 0;
	}
	return take_directive(l, verb, w, ret, t, err);
}

int gs_gomod_parse(const char *text, size_t n, const char *name, struct gs_arena *arena,
		   struct gs_gomod *ret, struct gs_err *err)
{
	struct lines l = { text, text + n, name, 0 };
	uint32_t lines = count_lines(text, n);
	struct gs_gomod m = { 0 };
	struct gomod_tables t = {
		.requires = gs_arena_array(arena, lines, sizeof(*t.requires)),
		.excludes = gs_arena_array(arena, lines, sizeof(*t.excludes)),
		.replaces = gs_arena_array(arena, lines, sizeof(*t.replaces)),
	};
	const char *line, *block = NULL;
	size_t len;

	if (!t.requires || !t.excludes || !t.replaces)
		return no_memory(err);
	while (next_line(&l, &line, &len)) {
		struct words w;
		int r = split(&l, line, len, arena, &w, err);

		if (r == 0)
			r = take_line(&l, &w, &block, &m, &t, err);
		if (r < 0)
			return r;
	}
	if (block)
		return bad_line(&l, err, "a block has no closing parenthesis");
	m.requires = t.requires;
	m.excludes = t.excludes;
	m.replaces = t.replaces;
	*ret = m;
	return 0;
}

/* A replacement for one version wins over one for all (modload.Replacement). */
const struct gs_gomod_replace *gs_gomod_replacement(const struct gs_gomod *m, const char *path,
						    const char *version)
{
	const struct gs_gomod_replace *all = NULL;

	for (uint32_t i = 0; i < m->n_replaces; i++) {
		const struct gs_gomod_replace *r = &m->replaces[i];

		if (strcmp(r->old_path, path) != 0)
			continue;
		if (!r->old_version)
			all = r;
		else if (version && strcmp(r->old_version, version) == 0)
			return r;
	}
	return all;
}

static int compare_sums(const void *a, const void *b)
{
	const struct gs_gosum_entry *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	if (r == 0)
		r = strcmp(x->version, y->version);
	if (r == 0)
		r = (int)x->of_gomod - (int)y->of_gomod;
	return r ? r : (x->line > y->line) - (x->line < y->line);
}

/* Fields between blanks; go.sum knows no quotes and no comments (modfetch.readGoSum). */
static int split_plain(const struct lines *l, const char *line, size_t n, struct gs_arena *arena,
		       struct words *ret, struct gs_err *err)
{
	*ret = (struct words){ .n = 0 };
	if (n > LINE_MAX_BYTES)
		return bad_line(l, err, "the line is too long");
	if (memchr(line, '\0', n))
		return bad_line(l, err, "the line holds a zero byte");
	for (size_t i = 0; i < n;) {
		size_t start;

		while (i < n && is_blank(line[i]))
			i++;
		start = i;
		while (i < n && !is_blank(line[i]))
			i++;
		if (start == i)
			break;
		if (ret->n == WORDS_MAX)
			return bad_line(l, err, "the line has too many words");
		ret->v[ret->n] = gs_arena_strndup(arena, line + start, i - start);
		if (!ret->v[ret->n++])
			return no_memory(err);
	}
	return 0;
}

static void strip_gomod(struct gs_gosum_entry *e, struct gs_arena *arena)
{
	static const char suffix[] = "/go.mod";
	size_t n = strlen(e->version), k = sizeof(suffix) - 1;

	if (n > k && strcmp(e->version + n - k, suffix) == 0) {
		const char *v = gs_arena_strndup(arena, e->version, n - k);

		e->version = v ? v : "";
		e->of_gomod = true;
	}
}

int gs_gosum_parse(const char *text, size_t n, const char *name, struct gs_arena *arena,
		   struct gs_gosum *ret, struct gs_err *err)
{
	struct lines l = { text, text + n, name, 0 };
	struct gs_gosum s = { .entries = gs_arena_array(arena, count_lines(text, n),
							sizeof(*s.entries)) };
	const char *line;
	size_t len;

	if (!s.entries)
		return no_memory(err);
	while (next_line(&l, &line, &len)) {
		struct gs_gosum_entry *e = &s.entries[s.n];
		struct words w;
		int r = split_plain(&l, line, len, arena, &w, err);

		if (r < 0)
			return r;
		if (w.n == 0)
			continue;
		if (w.n != 3)
			return bad_line(&l, err, "expected a module path, a version and a hash");
		*e = (struct gs_gosum_entry){ w.v[0], w.v[1], w.v[2], false, l.number };
		strip_gomod(e, arena);
		s.n++;
	}
	if (s.n)
		qsort(s.entries, s.n, sizeof(*s.entries), compare_sums);
	*ret = s;
	return 0;
}

const struct gs_gosum_entry *gs_gosum_find(const struct gs_gosum *s, const char *path,
					   const char *version, bool of_gomod)
{
	struct gs_gosum_entry key = { .path = path, .version = version, .of_gomod = of_gomod };
	uint32_t at = GS_SEARCH(i, s->n, compare_sums(&s->entries[i], &key) >= 0);

	if (at == s->n || strcmp(s->entries[at].path, path) != 0 ||
	    strcmp(s->entries[at].version, version) != 0 || s->entries[at].of_gomod != of_gomod)
		return NULL;
	return &s->entries[at];
}

/* "# path version [=> path [version]]", or "# path => path [version]" for a replacement of all versions
 * of a module that is not needed (vendor.go: it is still checked). */
static bool take_vendored(const struct words *w, struct gs_vendored *ret)
{
	uint32_t arrow = 0;

	for (uint32_t i = 2; i < w->n && !arrow; i++)
		arrow = strcmp(w->v[i], "=>") == 0 ? i : 0;
	if (w->n < 3 || (!arrow && w->n != 3) || arrow > 3)
		return false;
	if (arrow && (w->n - arrow < 2 || w->n - arrow > 3))
		return false;
	*ret = (struct gs_vendored){
		.path = w->v[1],
		.version = arrow == 2 ? NULL : w->v[2],
		.new_path = arrow ? w->v[arrow + 1] : NULL,
		.new_version = arrow && w->n - arrow == 3 ? w->v[arrow + 2] : NULL,
	};
	return true;
}

int gs_vendor_parse(const char *text, size_t n, const char *name, struct gs_arena *arena,
		    struct gs_vendor *ret, struct gs_err *err)
{
	struct lines l = { text, text + n, name, 0 };
	struct gs_vendored *modules = gs_arena_array(arena, count_lines(text, n), sizeof(*modules));
	struct gs_vendor v = { .modules = modules };
	const char *line;
	size_t len;

	if (!modules)
		return no_memory(err);
	while (next_line(&l, &line, &len)) {
		struct words w;
		int r = split_plain(&l, line, len, arena, &w, err);

		if (r < 0)
			return r;
		if (w.n == 0)
			continue;
		if (strcmp(w.v[0], "#") == 0) {
			if (!take_vendored(&w, &modules[v.n]))
				return bad_line(&l, err,
						"expected # path version [=> replacement]");
			v.n++;
		} else if (strcmp(w.v[0], "##") == 0) {
			for (uint32_t i = 1; i < w.n; i++) {
				v.workspace = v.workspace || strcmp(w.v[i], "workspace") == 0;
				if (v.n && (strcmp(w.v[i], "explicit") == 0 ||
					    strcmp(w.v[i], "explicit;") == 0))
					modules[v.n - 1].is_explicit = true;
			}
		} else if (v.n) {
			modules[v.n - 1].n_packages++;
		}
	}
	*ret = v;
	return 0;
}
