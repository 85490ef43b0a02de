/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * go.mod, go.sum and vendor/modules.txt: three texts, parted by lines of "--", each parsed by its
 * parser and then compared with each other, also when some do not parse.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/inspect_modules.h"
#include "fuzz.h"

static size_t sum;

/* The next text; the cursor moves behind its separator. */
static size_t next_text(const char **at, const char *end, const char **ret)
{
	const char *sep = memmem(*at, (size_t)(end - *at), "--\n", 3);
	size_t n = (size_t)((sep ? sep : end) - *at);

	*ret = *at;
	*at = sep ? sep + 3 : end;
	return n;
}

static void touch(const char *s)
{
	sum += s ? strlen(s) : 0;
}

static void read_gomod(const struct gs_gomod *m)
{
	touch(m->module);
	for (uint32_t i = 0; i < m->n_requires; i++)
		touch(m->requires[i].version);
	for (uint32_t i = 0; i < m->n_replaces; i++) {
		touch(m->replaces[i].new_version);
		if (!gs_gomod_replacement(m, m->replaces[i].old_path, m->replaces[i].old_version))
			abort(); // it has just been listed
	}
}

static void read_gosum(const struct gs_gosum *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		const struct gs_gosum_entry *e = &s->entries[i];

		if (!gs_gosum_find(s, e->path, e->version, e->of_gomod))
			abort(); // the table is sorted for this
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	GS_CLEANUP(gs_arena_freep) struct gs_arena *arena = gs_arena_new(64u << 20);
	const char *at = (const char *)data, *end = at + size, *text;
	struct gs_module_findings found;
	struct gs_module_files files = { 0 };
	struct gs_gomod mod;
	struct gs_gosum gosum;
	struct gs_vendor vendor;
	struct gs_err err;
	size_t n = next_text(&at, end, &text);

	if (gs_gomod_parse(text, n, "go.mod", arena, &mod, &err) < 0)
		mod = (struct gs_gomod){ 0 };
	read_gomod(&mod);
	files.gomod = &mod;
	n = next_text(&at, end, &text);
	if (gs_gosum_parse(text, n, "go.sum", arena, &gosum, &err) == 0) {
		files.gosum = &gosum;
		read_gosum(&gosum);
	}
	n = next_text(&at, end, &text);
	if (gs_vendor_parse(text, n, "modules.txt", arena, &vendor, &err) == 0)
		files.vendor = &vendor;
	if (gs_module_findings_init(&found, arena, &err) < 0)
		return 0;
	gs_module_check_files(&files, &found);
	for (uint32_t i = 0; i < found.n; i++)
		touch(found.list[i].detail);
	return 0;
}
