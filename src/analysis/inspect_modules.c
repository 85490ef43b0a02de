/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Comparison of go.mod, go.sum, vendor/modules.txt and a binary's build info. Tables are searched
 * linearly, except go.sum, which is sorted: a go.mod has some hundred lines.
 */
#include "analysis/inspect_modules.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"

/* Two arguments: a blank and the version, or nothing. */
#define BEFORE_VERSION(v) (v) && *(v) ? " " : "", (v) ? (v) : ""

int gs_module_findings_init(struct gs_module_findings *f, struct gs_arena *arena,
			    struct gs_err *err)
{
	*f = (struct gs_module_findings){
		.list = gs_arena_array(arena, GS_MODULE_FINDINGS_MAX, sizeof(*f->list)),
	};
	return f->list ? 0 : gs_fail(err, -ENOMEM, 0, "out of memory");
}

static void find(struct gs_module_findings *f, enum gs_verdict v, const char *module,
		 const char *fmt, ...) GS_PRINTF(4, 5);

static void find(struct gs_module_findings *f, enum gs_verdict v, const char *module,
		 const char *fmt, ...)
{
	struct gs_module_finding *k = &f->list[f->n];
	char raw[sizeof(k->detail)];
	va_list ap;

	f->n_fail += v == GS_VERDICT_FAIL;
	if (f->n == GS_MODULE_FINDINGS_MAX) {
		f->dropped++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	k->verdict = v;
	k->module = module;
	gs_escape_to(k->detail, sizeof(k->detail), raw, strlen(raw));
	f->n++;
}

/* "go1.22rc1" is {1, 22, 0} and a rank below the release's own (go/version, internal/gover). */
static void version_numbers(const char *s, unsigned long ret[4])
{
	char *end;

	memset(ret, 0, 4 * sizeof(ret[0]));
	if (strncmp(s, "go", 2) == 0)
		s += 2;
	for (int i = 0; i < 3 && *s >= '0' && *s <= '9'; i++) {
		ret[i] = strtoul(s, &end, 10);
		s = *end == '.' ? end + 1 : end;
	}
	ret[3] = strncmp(s, "beta", 4) == 0 ? 0 : strncmp(s, "rc", 2) == 0 ? 1 : 2;
}

int gs_go_version_compare(const char *a, const char *b)
{
	unsigned long x[4], y[4];

	version_numbers(a, x);
	version_numbers(b, y);
	for (int i = 0; i < 4; i++) {
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	}
	return 0;
}

static const struct gs_gomod_require *find_require(const struct gs_gomod *m, const char *path)
{
	for (uint32_t i = 0; i < m->n_requires; i++) {
		if (strcmp(m->requires[i].path, path) == 0)
		return &m->requires[i];
	}
	return NULL;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_excludes(const struct gs_gomod *m, struct gs_module_findings *f)
{
	for (uint32_t i = 0; i < m->n_excludes; i++) {
		const struct gs_gomod_require *r = find_require(m, m->excludes[i].path);

		if (r && strcmp(r->version, m->excludes[i].version) == 0)
			find(f, GS_VERDICT_FAIL, r->path, "go.mod requires %s and excludes it",
			     r->version);
	}
	for (uint32_t i = 0; i < m->n_requires; i++) {
		const struct gs_gomod_require *r = find_require(m, m->requires[i].path);

		if (r != &m->requires[i] && strcmp(r->version, m->requires[i].version) != 0)
			find(f, GS_VERDICT_WARN, r->path, "go.mod requires both %s and %s",
			     r->version, m->requires[i].version);
	}
}

/* The go command needs the hash of each required module's go.mod; the hash of its content only if it
 * compiles a package of it, which is known for direct requirements. */
static void check_sum_of(const struct gs_module_files *m, const struct gs_gomod_require *r,
			 struct gs_module_findings *f)
{
	const struct gs_gomod_replace *rep = gs_gomod_replacement(m->gomod, r->path, r->version);
	const char *path = rep ? rep->new_path : r->path;
	const char *version = rep ? rep->new_version : r->version;
	bool gomod_sum, content_sum;

	if (rep && !rep->new_version)
		return; // a directory has no sum
	gomod_sum = gs_gosum_find(m->gosum, path, version, true);
	content_sum = gs_gosum_find(m->gosum, path, version, false);
	if (!gomod_sum && !content_sum)
		find(f, GS_VERDICT_FAIL, r->path, "go.sum has no entry for %s %s", path, version);
	else if (!gomod_sum)
		find(f, GS_VERDICT_FAIL, r->path, "go.sum has no hash of the go.mod of %s %s", path,
		     version);
	else if (!content_sum && !r->indirect)
		find(f, GS_VERDICT_WARN, r->path,
		     "go.sum has no hash of the content of %s %s: it cannot be compiled in", path,
		     version);
}

static void check_sums(const struct gs_module_files *m, struct gs_module_findings *f)
{
	const struct gs_gosum *s = m->gosum;

	for (uint32_t i = 1; i < s->n; i++) {
		const struct gs_gosum_entry *a = &s->entries[i - 1], *b = &s->entries[i];

		if (strcmp(a->path, b->path) == 0 && strcmp(a->version, b->version) == 0 &&
		    a->of_gomod == b->of_gomod && strncmp(a->hash, b->hash, 3) == 0 &&
		    strcmp(a->hash, b->hash) != 0)
			find(f, GS_VERDICT_FAIL, a->path,
			     "go.sum has two hashes for %s%s (lines %u and %u)", a->version,
			     a->of_gomod ? "/go.mod" : "", a->line, b->line);
	}
	for (uint32_t i = 0; i < m->gomod->n_requires; i++)
		check_sum_of(m, &m->gomod->requires[i], f);
}

static const struct gs_vendored *find_vendored(const struct gs_vendor *v, const char *path,
					       const char *version)
{
	const struct gs_vendored *any = NULL;

	for (uint32_t i = 0; i < v->n; i++) {
		const struct gs_vendored *e = &v->modules[i];

		if (strcmp(e->path, path) != 0)
			continue;
		if (version && e->version && strcmp(e->version, version) == 0)
			return e;
		if (!any || (!any->version && e->version))
			any = e;
	}
	return any;
}

/* Before Go 1.14 modules.txt did not mark explicit requirements (vendor.go). */
static bool marks_explicit(const struct gs_gomod *m)
{
	return !m->go || gs_go_version_compare(m->go, "1.14") >= 0;
}

static void check_vendored_require(const struct gs_module_files *m,
				   const struct gs_gomod_require *r, struct gs_module_findings *f)
{
	const struct gs_vendored *v = find_vendored(m->vendor, r->path, r->version);

	if (!v || !v->version) {
		if (marks_explicit(m->gomod))
			find(f, GS_VERDICT_FAIL, r->path,
			     "%s is required in go.mod, but not in vendor/modules.txt", r->version);
	} else if (strcmp(v->version, r->version) != 0) {
		find(f, GS_VERDICT_FAIL, r->path, "go.mod requires %s, vendor/modules.txt has %s",
		     r->version, v->version);
	} else if (!v->is_explicit && marks_explicit(m->gomod)) {
		find(f, GS_VERDICT_FAIL, r->path,
		     "%s is required in go.mod, but not marked as explicit in vendor/modules.txt",
		     r->version);
	}
}

static void check_vendored_replace(const struct gs_module_files *m,
				   const struct gs_gomod_replace *r, struct gs_module_findings *f)
{
	const struct gs_vendored *v = find_vendored(m->vendor, r->old_path, r->old_version);

	if (r->old_version && v && v->version && strcmp(v->version, r->old_version) != 0)
		v = NULL; // a replacement of a version that is not used
	if (!v || !v->new_path) {
		if (v || !r->old_version)
			find(f, GS_VERDICT_FAIL, r->old_path,
			     "replaced by %s in go.mod, but not in vendor/modules.txt",
			     r->new_path);
	} else if (!same(v->new_path, r->new_path) || !same(v->new_version, r->new_version)) {
		find(f, GS_VERDICT_FAIL, r->old_path,
		     "replaced by %s%s%s in go.mod, by %s%s%s in vendor/modules.txt", r->new_path,
		     BEFORE_VERSION(r->new_version), v->new_path, BEFORE_VERSION(v->new_version));
	}
}

static void check_vendor(const struct gs_module_files *m, struct gs_module_findings *f)
{
	if (m->vendor->workspace)
		return; // made by `go work vendor`: belongs to a go.work, not to this go.mod
	for (uint32_t i = 0; i < m->gomod->n_requires; i++)
		check_vendored_require(m, &m->gomod->requires[i], f);
	for (uint32_t i = 0; i < m->gomod->n_replaces; i++)
		check_vendored_replace(m, &m->gomod->replaces[i], f);
	for (uint32_t i = 0; i < m->vendor->n; i++) {
		const struct gs_vendored *v = &m->vendor->modules[i];

		if (v->is_explicit && v->version && !find_require(m->gomod, v->path))
			find(f, GS_VERDICT_FAIL, v->path,
			     "marked as explicit in vendor/modules.txt, but not required in "
			     "go.mod");
		if (v->new_path && !gs_gomod_replacement(m->gomod, v->path, v->version))
			find(f, GS_VERDICT_FAIL, v->path,
			     "replaced by %s in vendor/modules.txt, but not in go.mod",
			     v->new_path);
	}
}

void gs_module_check_files(const struct gs_module_files *m, struct gs_module_findings *ret)
{
	if (!m->gomod->module)
		find(ret, GS_VERDICT_FAIL, "", "go.mod has no module line");
	check_excludes(m->gomod, ret);
	if (m->gosum)
		check_sums(m, ret);
	else if (m->gomod->n_requires > m->gomod->n_replaces)
		find(ret, GS_VERDICT_FAIL, "", "there is no go.sum, but go.mod requires modules");
	if (m->vendor)
		check_vendor(m, ret);
}

/* From Go 1.17 on go.mod lists all modules that provide packages, indirect ones too. */
static bool lists_all(const struct gs_gomod *m)
{
	return m->go && gs_go_version_compare(m->go, "1.17") >= 0;
}

static void check_binary_version(const struct gs_module_files *m, const struct gs_go_module *d,
				 struct gs_module_findings *f)
{
	const struct gs_gomod_require *r = find_require(m->gomod, d->path);

	if (!r) {
		if (lists_all(m->gomod))
			find(f, GS_VERDICT_FAIL, d->path,
			     "%s is in the binary, but not required in go.mod", d->version);
	} else if (strcmp(r->version, d->version) != 0) {
		find(f, GS_VERDICT_FAIL, d->path, "the binary has %s, go.mod requires %s",
		     d->version, r->version);
	}
}

static void check_binary_replace(const struct gs_module_files *m, const struct gs_go_module *d,
				 struct gs_module_findings *f)
{
	const struct gs_gomod_replace *r = gs_gomod_replacement(m->gomod, d->path, d->version);

	if (!r && d->replace)
		find(f, GS_VERDICT_FAIL, d->path, "replaced by %s in the binary, but not in go.mod",
		     d->replace->path);
	else if (r && !d->replace)
		find(f, GS_VERDICT_FAIL, d->path, "replaced by %s in go.mod, but not in the binary",
		     r->new_path);
	else if (r && (strcmp(r->new_path, d->replace->path) != 0 ||
		       (r->new_version && strcmp(r->new_version, d->replace->version) != 0)))
		find(f, GS_VERDICT_FAIL, d->path,
		     "replaced by %s%s%s in go.mod, by %s%s%s in the binary", r->new_path,
		     BEFORE_VERSION(r->new_version), d->replace->path,
		     BEFORE_VERSION(d->replace->version));
}

/* Vendored builds and directories have no sum in the binary. */
static void check_binary_sum(const struct gs_module_files *m, const struct gs_go_module *d,
			     struct gs_module_findings *f)
{
	const struct gs_go_module *e = d->replace ? d->replace : d;
	const struct gs_gosum_entry *s;

	if (!m->gosum || !e->sum[0])
		return;
	s = gs_gosum_find(m->gosum, e->path, e->version, false);
	if (!s)
		find(f, GS_VERDICT_FAIL, d->path,
		     "go.sum has no hash of %s %s, which is in the binary", e->path, e->version);
	else if (strcmp(s->hash, e->sum) != 0)
		find(f, GS_VERDICT_FAIL, d->path,
		     "the binary has %s with %s, go.sum says %s: other content", e->version, e->sum,
		     s->hash);
}

void gs_module_check_binary(const struct gs_module_files *m, const struct gs_go_buildinfo *bi,
			    struct gs_module_findings *ret)
{
	const char *module = m->gomod->module ? m->gomod->module : "";

	if (bi->main && strcmp(bi->main->path, module) != 0)
		find(ret, GS_VERDICT_FAIL, bi->main->path,
		     "the binary's main module; go.mod is of %s", module);
	if (m->gomod->go && bi->release_known && !bi->release.devel &&
	    gs_go_version_compare(bi->version, m->gomod->go) < 0)
		find(ret, GS_VERDICT_FAIL, "", "built with %s, but go.mod asks for go %s",
		     bi->version, m->gomod->go);
	for (uint32_t i = 0; i < bi->n_deps; i++) {
		const struct gs_go_module *d = &bi->deps[i];

		check_binary_version(m, d, ret);
		check_binary_replace(m, d, ret);
		check_binary_sum(m, d, ret);
	}
}
