/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* inspect for people: a line on what the file is and how many complaints there are, a block of facts,
 * settings, modules, checks (the worst first). All names come from the file and are escaped. */
#include "cli/inspect_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/help.h"
#include "cli/terminal.h"

#define NEEDED_MAX 256u
#define WIDTH 80u

static void name(struct gs_out *o, const char *s)
{
	gs_out_name(o, s, strlen(s));
}

static void key(struct gs_out *o, const char *k)
{
	gs_out_printf(o, "  %-15s", k);
}

static void row(struct gs_out *o, const char *k, const char *v)
{
	if (!v || !*v)
		return;
	key(o, k);
	name(o, v);
	gs_out_char(o, '\n');
}

/* Of the checks and of the modules: what the reader has to look for further down. */
static void complaints(struct gs_out *o, const struct gs_inspect_result *r)
{
	uint32_t n[] = { [GS_VERDICT_OK] = 0, [GS_VERDICT_WARN] = 0, [GS_VERDICT_FAIL] = 0 };

	for (uint32_t i = 0; i < r->n_checks; i++)
		n[r->checks[i].verdict]++;
	for (uint32_t i = 0; r->findings && i < r->findings->n; i++)
		n[r->findings->list[i].verdict]++;
	if (n[GS_VERDICT_FAIL])
		gs_out_printf(o, ": %u fail", n[GS_VERDICT_FAIL]);
	if (n[GS_VERDICT_WARN])
		gs_out_printf(o, "%s %u warn", n[GS_VERDICT_FAIL] ? "," : ":", n[GS_VERDICT_WARN]);
	if (!n[GS_VERDICT_FAIL] && !n[GS_VERDICT_WARN])
		gs_out_str(o, ": no complaints");
}

static void headline(struct gs_out *o, const struct gs_inspect_result *r)
{
	static const char *const formats[] = { "", "ELF", "PE", "Mach-O" };
	const struct gs_inspect *f = r->facts;

	name(o, r->name);
	gs_out_printf(o, ": %s, ", formats[f->image->format]);
	name(o, f->goos ? f->goos : "unknown");
	gs_out_char(o, '/');
	name(o, f->goarch);
	gs_out_str(o, ", ");
	name(o, f->has_buildinfo ? f->build.version : "Go release unknown");
	complaints(o, r);
	gs_out_char(o, '\n');
}

static void print_module(struct gs_out *o, const struct gs_go_module *m)
{
	name(o, m->path);
	gs_out_char(o, ' ');
	name(o, m->version);
	if (m->sum[0]) {
		gs_out_char(o, ' ');
		name(o, m->sum);
	}
}

static void print_linking(struct gs_out *o, const struct gs_inspect_result *r)
{
	const struct gs_inspect *f = r->facts;
	const char *lib;

	key(o, "linking");
	gs_out_str(o, f->linking);
	if (!f->is_static && f->pie)
		gs_out_str(o, ", position independent");
	if (f->uses_cgo)
		gs_out_str(o, ", cgo");
	for (uint32_t i = 0; i < NEEDED_MAX && gs_image_needed(r->image, i, &lib, NULL) == 0; i++) {
		gs_out_str(o, i ? ", " : ": ");
		name(o, lib);
	}
	gs_out_char(o, '\n');
}

static void print_symbols(struct gs_out *o, const struct gs_inspect *f)
{
	char size[16];

	key(o, "symbols");
	if (f->has_pclntab) {
		gs_out_printf(o, "Go function table (%" PRIu64 " functions, layout of Go %s",
			      f->pclntab_functions, f->pclntab_version);
		if (f->pclntab_bytes)
			gs_out_printf(o, ", %s", gs_text_bytes(size, f->pclntab_bytes));
		gs_out_char(o, ')');
	} else {
		gs_out_str(o, "no Go function table");
	}
	gs_out_str(o, f->stripped ? "" : ", symbol table");
	gs_out_str(o, f->image->has_dwarf ? ", DWARF" : "");
	gs_out_char(o, '\n');
}

static void print_vcs(struct gs_out *o, const struct gs_inspect_vcs *v)
{
	if (!v->revision)
		return;
	key(o, "revision");
	name(o, v->system ? v->system : "");
	gs_out_char(o, ' ');
	name(o, v->revision);
	if (v->time) {
		gs_out_str(o, " of ");
		name(o, v->time);
	}
	gs_out_str(o, v->modified ? ", modified\n" : "\n");
}

static void print_facts(struct gs_out *o, const struct gs_inspect_result *r)
{
	const struct gs_inspect *f = r->facts;
	char size[16];

	headline(o, r);
	row(o, "package", f->build.path);
	if (f->build.main) {
		key(o, "module");
		print_module(o, f->build.main);
		gs_out_char(o, '\n');
	}
	print_vcs(o, &f->vcs);
	row(o, "Go build id", f->go_build_id);
	row(o, f->image->format == GS_IMAGE_ELF ? "GNU build id" : "UUID", f->image_id);
	row(o, "SHA-256", r->sha256);
	print_linking(o, r);
	print_symbols(o, f);
	row(o, "size", gs_text_bytes(size, f->image->file_size));
}

/* Values that are lists separated by commas; DefaultGODEBUG has dozens of items where go.mod is old. Others
 * are left in one line, to be copied. */
static bool is_list(const char *key)
{
	return strcmp(key, "DefaultGODEBUG") == 0 || strcmp(key, "-tags") == 0;
}

/* @list from column @col on, broken after commas, later lines indented to @indent. Widths are of the bytes
 * as they are: items that have to be escaped may pass the border. */
static void wrap_list(struct gs_out *o, const char *list, size_t col, unsigned int indent)
{
	bool first = true;

	while (*list) {
		size_t n = strcspn(list, ",");

		n += list[n] == ',';
		if (!first && col + n > WIDTH) {
			gs_out_printf(o, "\n%*s", (int)indent, "");
			col = indent;
		}
		gs_out_name(o, list, n);
		col += n;
		list += n;
		first = false;
	}
}

static void print_settings(struct gs_out *o, const struct gs_go_buildinfo *b)
{
	if (!b->n_settings)
		return;
	gs_out_str(o, "\nSettings\n");
	for (uint32_t i = 0; i < b->n_settings; i++) {
		gs_out_str(o, "  ");
		name(o, b->settings[i].key);
		gs_out_char(o, '=');
		if (is_list(b->settings[i].key))
			wrap_list(o, b->settings[i].value, strlen(b->settings[i].key) + 3, 4);
		else
			name(o, b->settings[i].value);
		gs_out_char(o, '\n');
	}
}

static void print_modules(struct gs_out *o, const struct gs_go_buildinfo *b)
{
	if (!b->n_deps)
		return;
	gs_out_printf(o, "\nModules (%u)\n", b->n_deps);
	for (uint32_t i = 0; i < b->n_deps; i++) {
		gs_out_str(o, "  ");
		print_module(o, &b->deps[i]);
		gs_out_char(o, '\n');
		if (b->deps[i].replace) {
			gs_out_str(o, "    => ");
			print_module(o, b->deps[i].replace);
			gs_out_char(o, '\n');
		}
	}
}

static void print_verdict(struct gs_out *o, enum gs_verdict v, bool colour)
{
	static const char *const codes[] = { "\033[32m", "\033[33m", "\033[31m" };

	if (colour)
		gs_out_str(o, codes[v]);
	gs_out_printf(o, "  %-5s", gs_verdict_name(v));
	if (colour)
		gs_out_str(o, "\033[0m");
}

static void print_checks(struct gs_out *o, const struct gs_inspect_result *r, bool colour)
{
	static const enum gs_verdict order[] = { GS_VERDICT_FAIL, GS_VERDICT_WARN, GS_VERDICT_OK };

	gs_out_str(o, "\nChecks\n");
	for (size_t v = 0; v < GS_ARRAY_SIZE(order); v++) {
		for (uint32_t i = 0; i < r->n_checks; i++) {
			const struct gs_inspect_check *c = &r->checks[i];

			if (c->verdict != order[v])
				continue;
			print_verdict(o, c->verdict, colour);
			gs_out_printf(o, "%-23s", c->name);
			gs__help_wrap(o, c->detail, 30, 30);
		}
	}
}

static void print_findings(struct gs_out *o, const struct gs_inspect_result *r, bool colour)
{
	const struct gs_module_files *m = r->module_files;
	const struct gs_module_findings *f = r->findings;

	gs_out_str(o, "Module ");
	name(o, m->gomod->module ? m->gomod->module : "(unnamed)");
	gs_out_str(o, " in ");
	name(o, r->module_directory);
	gs_out_printf(o, ": %u required", m->gomod->n_requires);
	if (m->gosum)
		gs_out_printf(o, ", %u sums", m->gosum->n);
	if (m->vendor)
		gs_out_printf(o, ", %u vendored", m->vendor->n);
	gs_out_char(o, '\n');
	if (!f->n) {
		print_verdict(o, GS_VERDICT_OK, colour);
		gs_out_printf(o, "go.mod%s%s%s agree\n", m->gosum ? ", go.sum" : "",
			      m->vendor ? ", vendor/modules.txt" : "",
			      r->facts ? " and the binary" : "");
	}
	for (uint32_t i = 0; i < f->n; i++) {
		print_verdict(o, f->list[i].verdict, colour);
		if (f->list[i].module[0]) {
			name(o, f->list[i].module);
			gs_out_str(o, ": ");
		}
		gs_out_printf(o, "%s\n", f->list[i].detail);
	}
	if (f->dropped)
		gs_out_printf(o, "        and %u more\n", f->dropped);
}

void gs_inspect_print_text(struct gs_out *o, const struct gs_inspect_result *r, bool colour)
{
	if (r->facts) {
		print_facts(o, r);
		print_settings(o, &r->facts->build);
		print_modules(o, &r->facts->build);
		print_checks(o, r, colour);
	}
	if (r->findings) {
		gs_out_str(o, r->facts ? "\n" : "");
		print_findings(o, r, colour);
	}
}
