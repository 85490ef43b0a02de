/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* inspect for programs, schema gosonde.inspect/1. What the file does not say is null. */
#include "cli/inspect_print.h"

#include "base/json_writer.h"

#define NEEDED_MAX 256u

/* Absent and empty are the same to a reader. */
static void kv(struct gs_json *j, const char *key, const char *v)
{
	gs_json_kv_string(j, key, v && *v ? v : NULL);
}

static void module_fields(struct gs_json *j, const struct gs_go_module *m)
{
	gs_json_kv_string(j, "path", m->path);
	kv(j, "version", m->version);
	kv(j, "sum", m->sum);
}

static void module(struct gs_json *j, const struct gs_go_module *m)
{
	gs_json_open_object(j);
	module_fields(j, m);
	gs_json_key(j, "replace");
	if (m->replace) {
		gs_json_open_object(j);
		module_fields(j, m->replace);
		gs_json_close(j);
	} else {
		gs_json_null(j);
	}
	gs_json_close(j);
}

static void modules(struct gs_json *j, const struct gs_go_buildinfo *b)
{
	gs_json_key(j, "main_module");
	if (b->main)
		module(j, b->main);
	else
		gs_json_null(j);
	gs_json_key(j, "modules");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < b->n_deps; i++)
		module(j, &b->deps[i]);
	gs_json_close(j);
	gs_json_key(j, "settings");
	gs_json_open_object(j);
	for (uint32_t i = 0; i < b->n_settings; i++) {
		gs_json_key_n(j, b->settings[i].key, strlen(b->settings[i].key));
		gs_json_string(j, b->settings[i].value);
	}
	gs_json_close(j);
}

static void vcs(struct gs_json *j, const struct gs_inspect_vcs *v)
{
	gs_json_key(j, "vcs");
	if (!v->revision) {
		gs_json_null(j);
		return;
	}
	gs_json_open_object(j);
	kv(j, "system", v->system);
	kv(j, "revision", v->revision);
	kv(j, "time", v->time);
	gs_json_kv_bool(j, "modified", v->modified);
	gs_json_close(j);
}

static void linking(struct gs_json *j, const struct gs_inspect_result *r)
{
	const struct gs_inspect *f = r->facts;
	const char *lib;

	gs_json_kv_bool(j, "stripped", f->stripped);
	gs_json_kv_bool(j, "pie", f->pie);
	gs_json_kv_bool(j, "static", f->is_static);
	gs_json_kv_bool(j, "cgo", f->uses_cgo);
	gs_json_kv_string(j, "linking", f->linking);
	gs_json_key(j, "needed");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < NEEDED_MAX && gs_image_needed(r->image, i, &lib, NULL) == 0; i++)
		gs_json_string(j, lib);
	gs_json_close(j);
}

static void symbols(struct gs_json *j, const struct gs_inspect *f)
{
	gs_json_key(j, "pclntab");
	if (f->has_pclntab) {
		gs_json_open_object(j);
		gs_json_kv_string(j, "layout", f->pclntab_version);
		gs_json_kv_u64(j, "functions", f->pclntab_functions);
		gs_json_key(j, "size_bytes");
		if (f->pclntab_bytes)
			gs_json_u64(j, f->pclntab_bytes);
		else
			gs_json_null(j);
		gs_json_close(j);
	} else {
		gs_json_null(j);
	}
	gs_json_key(j, "symbol_sources");
	gs_json_open_array(j);
	if (f->has_pclntab)
		gs_json_string(j, "pclntab");
	if (!f->stripped)
		gs_json_string(j, "symtab");
	if (f->image->has_dwarf)
		gs_json_string(j, "dwarf");
	gs_json_close(j);
}

static void checks(struct gs_json *j, const struct gs_inspect_result *r)
{
	gs_json_key(j, "checks");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < r->n_checks; i++) {
		gs_json_open_object(j);
		gs_json_kv_string(j, "name", r->checks[i].name);
		gs_json_kv_string(j, "verdict", gs_verdict_name(r->checks[i].verdict));
		gs_json_kv_string(j, "detail", r->checks[i].detail);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void facts(struct gs_json *j, const struct gs_inspect_result *r)
{
	const struct gs_inspect *f = r->facts;

	gs_json_kv_string(j, "name", r->name);
	gs_json_kv_string(j, "format", f->format);
	gs_json_kv_string(j, "machine", f->machine);
	kv(j, "goos", f->goos);
	kv(j, "goarch", f->goarch);
	kv(j, "go_version", f->build.version);
	kv(j, "path", f->build.path);
	modules(j, &f->build);
	vcs(j, &f->vcs);
	kv(j, "build_id", f->go_build_id);
	kv(j, "image_id", f->image_id);
	gs_json_kv_u64(j, "size_bytes", f->image->file_size);
	kv(j, "sha256", r->sha256);
	linking(j, r);
	symbols(j, f);
	checks(j, r);
}

static void findings(struct gs_json *j, const struct gs_inspect_result *r)
{
	const struct gs_gomod *m = r->module_files->gomod;
	const struct gs_module_findings *f = r->findings;

	gs_json_key(j, "module_check");
	gs_json_open_object(j);
	gs_json_kv_string(j, "directory", r->module_directory);
	kv(j, "module", m->module);
	kv(j, "go", m->go);
	kv(j, "toolchain", m->toolchain);
	gs_json_kv_u64(j, "required", m->n_requires);
	gs_json_kv_bool(j, "has_gosum", r->module_files->gosum);
	gs_json_kv_bool(j, "has_vendor", r->module_files->vendor);
	gs_json_kv_bool(j, "agree", f->n_fail == 0);
	gs_json_key(j, "findings");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < f->n; i++) {
		gs_json_open_object(j);
		kv(j, "module", f->list[i].module);
		gs_json_kv_string(j, "verdict", gs_verdict_name(f->list[i].verdict));
		gs_json_kv_string(j, "detail", f->list[i].detail);
		gs_json_close(j);
	}
	gs_json_close(j);
	gs_json_kv_u64(j, "findings_dropped", f->dropped);
	gs_json_close(j);
}

void gs_inspect_print_json(struct gs_out *o, const struct gs_inspect_result *r)
{
	struct gs_json j;

	gs_json_init(&j, o, false);
	gs_json_open_object(&j);
	gs_json_kv_string(&j, "schema", "gosonde.inspect/1");
	if (r->facts)
		facts(&j, r);
	if (r->findings)
		findings(&j, r);
	gs_json_close(&j);
	gs_out_char(o, '\n');
}
