/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Module information, as runtime/debug.ParseBuildInfo reads it: lines
 *
 *	path\tPACKAGE
 *	mod\tPATH\tVERSION[\tSUM]     the main module
 *	dep\tPATH\tVERSION[\tSUM]     each module it needs
 *	=>\tPATH\tVERSION\tSUM        what replaces the module of the line before
 *	build\tKEY=VALUE              key and value may be Go string literals
 *
 * Lines of other kinds and a last line without its end are skipped, lines that are wrong fail.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "golang/buildinfo_private.h"

struct text {
	const char *s;
	size_t n;
};

struct parser {
	struct gs_arena *arena;
	struct gs_go_buildinfo *bi;
	struct gs_go_module *deps, *last;
	struct gs_go_setting *settings;
	size_t max_deps, max_settings; /* as counted; the file may be written to since */
	const char *what;
	unsigned int line;
};

static int bad(const struct parser *p, struct text t, const char *why, struct gs_err *err)
{
	char shown[160];

	(void)gs_escape_to(shown, sizeof(shown), t.s, t.n); // the length is of no interest
	return gs_fail(err, -GS_E_BAD_DATA, 0,
		       "%s: line %u of the Go module information, \"%s\": %s", p->what, p->line,
		       shown, why);
}

static int no_memory(const struct parser *p, struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "%s: out of memory for the module information", p->what);
}

static bool starts(struct text *t, const char *prefix)
{
	size_t n = strlen(prefix);

	if (t->n < n || memcmp(t->s, prefix, n) != 0)
		return false;
	t->s += n;
	t->n -= n;
	return true;
}

/* What comes before @by, which is dropped; all if there is none. */
static struct text cut(struct text *t, char by, bool *ret_found)
{
	const char *at = t->n ? memchr(t->s, by, t->n) : NULL;
	struct text head = { t->s, at ? (size_t)(at - t->s) : t->n };

	*ret_found = at != NULL;
	t->s += head.n + (at ? 1 : 0);
	t->n -= head.n + (at ? 1 : 0);
	return head;
}

static int keep(const struct parser *p, struct text t, const char **ret, struct gs_err *err)
{
	*ret = gs_arena_strndup(p->arena, t.s, t.n);
	return *ret ? 0 : no_memory(p, err);
}

static int module_line(const struct parser *p, struct text t, bool replacement,
		       struct gs_go_module *ret, struct gs_err *err)
{
	struct text whole = t, column[3] = { { "", 0 }, { "", 0 }, { "", 0 } };
	bool more = true;
	size_t n = 0;
	int r;

	for (; more && n < 3; n++)
		column[n] = cut(&t, '\t', &more);
	if (more || n < 2 || (replacement && n != 3))
		return bad(p, whole, "a module has path, version and sum", err);
	r = keep(p, column[0], &ret->path, err);
	if (r == 0)
		r = keep(p, column[1], &ret->version, err);
	if (r == 0)
		r = keep(p, column[2], &ret->sum, err);
	return r;
}

static int replacement_line(struct parser *p, struct text t, struct gs_err *err)
{
	struct gs_go_module *m;
	int r;

	if (!p->last)
		return bad(p, t, "nothing is replaced here", err);
	m = gs_arena_alloc(p->arena, sizeof(*m));
	if (!m)
		return no_memory(p, err);
	r = module_line(p, t, true, m, err);
	if (r < 0)
		return r;
	p->last->replace = m;
	p->last = NULL;
	return 0;
}

/* ---- string literals ---- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t put_rune(char *dst, uint32_t c)
{
	if (c < 0x80) {
		dst[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		dst[0] = (char)(0xc0 | c >> 6);
		dst[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		dst[0] = (char)(0xe0 | c >> 12);
		dst[1] = (char)(0x80 | (c >> 6 & 0x3f));
		dst[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	dst[0] = (char)(0xf0 | c >> 18);
	dst[1] = (char)(0x80 | (c >> 12 & 0x3f));
	dst[2] = (char)(0x80 | (c >> 6 & 0x3f));
	dst[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Digits of \xNN, \uNNNN, \UNNNNNNNN and \NNN. @return bytes written to @dst, 0 if wrong. */
static size_t numeric_escape(struct text *t, char kind, char *dst)
{
	size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 3;
	uint32_t v = 0;

	if (t->n < digits)
		return 0;
	for (size_t i = 0; i < digits; i++) {
		int d = hex(t->s[i]);

		if (d < 0 || (digits == 3 && d > 7))
			return 0;
		v = digits == 3 ? v * 8 + (uint32_t)d : v * 16 + (uint32_t)d;
	}
	t->s += digits;
	t->n -= digits;
	if (digits <= 3) {
		if (v > 255)
			return 0;
		*dst = (char)v;
		return 1;
	}
	return v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0 : put_rune(dst, v);
}

/* One escape behind its backslash. @return bytes written to @dst, 0 if wrong. */
static size_t escape(struct text *t, char *dst)
{
	static const char letters[] = "abfnrtv\\\"", values[] = "\a\b\f\n\r\t\v\\\"";
	const char *at;
	char kind;

	if (t->n == 0)
		return 0;
	kind = *t->s;
	at = kind ? strchr(letters, kind) : NULL;
	if (at) {
		t->s++;
		t->n--;
		*dst = values[at - letters];
		return 1;
	}
	if (kind == 'x' || kind == 'u' || kind == 'U') {
		t->s++;
		t->n--;
	} else if (kind < '0' || kind > '7') {
		return 0;
	}
	return numeric_escape(t, kind, dst);
}

int gs__go_unquote(const char *s, size_t n, char *ret, size_t *ret_n)
{
	size_t out = 0, len;
	struct text t;

	if (n < 2 || s[0] != s[n - 1] || (s[0] != '"' && s[0] != '`'))
		return 1;
	t = (struct text){ s + 1, n - 2 };
	while (t.n) {
		char c = *t.s++;

		t.n--;
		if (c == s[0] || (c == '\n' && s[0] == '"'))
			return 1;
		if (c == '\\' && s[0] == '"') {
			// An escape is never shorter than what it stands for.
			len = escape(&t, ret + out);
			if (len == 0)
				return 1;
			out += len;
		} else if (c != '\r' || s[0] == '"') {
			ret[out++] = c;
		}
	}
	*ret_n = out;
	return 0;
}

/* ---- settings ---- */

/* Length of the string literal at the start, 0 if it has no end. */
static size_t literal_len(struct text t)
{
	for (size_t i = 1; i < t.n; i++) {
		if (t.s[i] == '\\' && t.s[0] == '"')
			i++;
		else if (t.s[i] == t.s[0])
			return i + 1;
	}
	return 0;
}

static bool has_any(struct text t, const char *set)
{
	for (size_t i = 0; i < t.n; i++)
		if (t.s[i] && strchr(set, t.s[i]))
			return true;
	return false;
}

/* Keep @t, without its quotes if it has some. */
static int keep_literal(const struct parser *p, struct text t, const char *forbidden,
			const char **ret, struct gs_err *err)
{
	size_t n;
	char *s;

	if (t.n == 0 || (t.s[0] != '"' && t.s[0] != '`')) {
		if (has_any(t, forbidden))
			return bad(p, t, "this has to be in quotes", err);
		return keep(p, t, ret, err);
	}
	s = gs_arena_alloc(p->arena, t.n + 1); // the memory comes zeroed
	if (!s)
		return no_memory(p, err);
	if (gs__go_unquote(t.s, t.n, s, &n) != 0)
		return bad(p, t, "this is no string literal", err);
	s[n] = '\0';
	*ret = s;
	return 0;
}

static int setting_line(struct parser *p, struct text t, struct gs_err *err)
{
	struct gs_go_setting *s = &p->settings[p->bi->n_settings];
	struct text whole = t, key;
	bool found;
	int r;

	if (p->bi->n_settings == p->max_settings)
		return bad(p, t, "the file changed while it was read", err);
	if (t.n && (t.s[0] == '"' || t.s[0] == '`')) {
		key = (struct text){ t.s, literal_len(t) };
		t.s += key.n;
		t.n -= key.n;
		found = key.n && starts(&t, "=");
	} else {
		key = cut(&t, '=', &found);
		found = found && key.n;
	}
	if (!found)
		return bad(p, whole, "a setting is KEY=VALUE", err);
	r = keep_literal(p, key, "= \t\r\n\"`", &s->key, err);
	if (r == 0)
		r = keep_literal(p, t, " \t\r\n\"`", &s->value, err);
	if (r == 0)
		p->bi->n_settings++;
	return r;
}

static int parse_line(struct parser *p, struct text t, struct gs_err *err)
{
	struct gs_go_module *m;
	int r;

	if (starts(&t, "path\t"))
		return keep(p, t, &p->bi->path, err);
	if (starts(&t, "mod\t")) {
		m = gs_arena_alloc(p->arena, sizeof(*m));
		if (!m)
			return no_memory(p, err);
		r = module_line(p, t, false, m, err);
		if (r < 0)
			return r;
		p->bi->main = p->last = m;
		return 0;
	}
	if (starts(&t, "dep\t")) {
		if (p->bi->n_deps == p->max_deps)
			return bad(p, t, "the file changed while it was read", err);
		m = &p->deps[p->bi->n_deps];
		r = module_line(p, t, false, m, err);
		if (r < 0)
			return r;
		p->bi->n_deps++;
		p->last = m;
		return 0;
	}
	if (starts(&t, "=>\t"))
		return replacement_line(p, t, err);
	if (starts(&t, "build\t"))
		return setting_line(p, t, err);
	return 0;
}

int gs__go_modinfo_parse(const struct gs_cursor *mod, struct gs_arena *arena,
			 struct gs_go_buildinfo *bi, struct gs_err *err)
{
	const struct text all = { (const char *)mod->pos, gs_cursor_left(mod) };
	struct parser p = { .arena = arena, .bi = bi, .what = mod->what };
	size_t deps = 0, settings = 0;
	struct text rest, line;
	bool ended;
	int r;

	for (rest = all; rest.n;) {
		line = cut(&rest, '\n', &ended);
		deps += starts(&line, "dep\t");
		settings += starts(&line, "build\t");
	}
	p.deps = gs_arena_array(arena, deps + 1, sizeof(*p.deps));
	p.settings = gs_arena_array(arena, settings + 1, sizeof(*p.settings));
	if (!p.deps || !p.settings)
		return no_memory(&p, err);
	p.max_deps = deps;
	p.max_settings = settings;
	bi->deps = p.deps;
	bi->settings = p.settings;
	for (rest = all; rest.n;) {
		line = cut(&rest, '\n', &ended);
		if (!ended)
			break;
		p.line++;
		r = parse_line(&p, line, err);
		if (r < 0)
			return r;
	}
	return 0;
}
