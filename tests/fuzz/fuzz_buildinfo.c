/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Build info. The first byte chooses what the rest is: 'b' a blob with its header, 'm' the lines of
 * the module information, 'q' a string literal, 'v' a version, anything else a whole file.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "golang/buildinfo_private.h"

static size_t sum;

static void read_module(const struct gs_go_module *m)
{
	for (; m; m = m->replace)
		sum += strlen(m->path) + strlen(m->version) + strlen(m->sum);
}

static void read_info(const struct gs_go_buildinfo *b)
{
	sum += b->path ? strlen(b->path) : 0;
	read_module(b->main);
	for (uint32_t i = 0; i < b->n_deps; i++)
		read_module(&b->deps[i]);
	for (uint32_t i = 0; i < b->n_settings; i++) {
		const char *first = gs_go_setting(b, b->settings[i].key);

		if (!first)
			abort(); // it has just been listed
		sum += strlen(first) + strlen(b->settings[i].value);
	}
}

static int from_file(const uint8_t *data, size_t size, struct gs_arena *arena,
		     struct gs_go_buildinfo *b, struct gs_err *err)
{
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const char *id;
	int r = gs_image_from_bytes(data, size, "fuzz", &img, err);

	if (r < 0)
		return r;
	if (gs_go_build_id(img, arena, &id, err) == 0)
		sum += strlen(id);
	return gs_go_buildinfo_read(img, arena, b, err);
}

/* A literal is never longer than its source. */
static void unquote(const char *s, size_t n)
{
	GS_CLEANUP(gs_freep) char *text = malloc(n + !n);
	size_t out;

	if (gs__go_unquote(s, n, text, &out) == 0 && out + 2 > n)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	GS_CLEANUP(gs_arena_freep) struct gs_arena *arena = gs_arena_new(16 << 20);
	struct gs_go_buildinfo b = { 0 };
	struct gs_go_release release;
	struct gs_err err = { 0 };
	struct gs_cursor c;
	int r = 1;

	if (size == 0)
		return 0;
	c = gs_cursor_make(data + 1, size - 1, "fuzz");
	switch (data[0]) {
	case 'b':
		r = gs__go_buildinfo_decode(&c, arena, &b, &err);
		break;
	case 'm':
		r = gs__go_modinfo_parse(&c, arena, &b, &err);
		break;
	case 'q':
		unquote((const char *)data + 1, size - 1);
		break;
	case 'v':
		if (gs_go_release_parse((const char *)data + 1, size - 1, &release) == 0)
			sum += strlen(release.text) + release.minor;
		break;
	default:
		r = from_file(data, size, arena, &b, &err);
	}
	if (r < 0 && (err.code != r || err.text[0] == '\0'))
		abort();
	if (r == 0)
		read_info(&b);
	return 0;
}
