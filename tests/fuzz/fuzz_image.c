/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Any bytes as an executable file: every question that src/image answers is asked. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "image/image.h"

static unsigned int sum;

static void read_all(struct gs_cursor c)
{
	for (uint8_t b; gs_cursor_u8(&c, &b, NULL) == 0;)
		sum += b;
}

static void read_at(const struct gs_image *img, gs_addr addr)
{
	struct gs_cursor c;
	struct gs_err err;
	uint64_t word;

	if (gs_image_at(img, addr, &c, &err) == 0)
		read_all(c);
	if (gs_image_word(img, addr, &word, &err) == 0)
		sum += (unsigned int)word;
}

static void read_sections(const struct gs_image *img)
{
	const struct gs_image_info *info = gs_image_info(img);
	const struct gs_image_section *found;
	struct gs_cursor c;
	struct gs_err err;

	// The first ones say enough; thousands only make the fuzzer slow.
	for (uint32_t i = 0; i < info->n_sections && i < 64; i++) {
		const struct gs_image_section *s = gs_image_section_at(img, i);

		if (gs_image_section_bytes(img, s, &c, &err) == 0)
			read_all(c);
		if (gs_image_find_section(img, s->name, &found, &err) != 0)
			abort(); // it has just been listed
		read_at(img, s->addr);
	}
	for (uint32_t i = 0; i < info->n_segments && i < 64; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(img, i);

		read_at(img, s->addr);
		read_at(img, s->addr + s->file_size - 1);
		read_at(img, s->addr + s->size);
	}
	read_at(img, info->entry);
	read_at(img, 0);
	read_at(img, UINT64_MAX);
}

struct names {
	const struct gs_image *img;
	unsigned int n;
};

static int on_symbol(void *ctx, const struct gs_image_symbol *s)
{
	struct names *names = ctx;
	struct gs_image_symbol found;
	struct gs_err err;
	int r;

	sum += (unsigned int)strlen(s->name) + s->is_function;
	if (names->n++ >= 32)
		return 0;
	// More look-ups than are scanned, so that the index is built too.
	r = gs_image_find_symbol(names->img, s->name, &found, &err);
	if (r == 1 || (r == 0 && strcmp(found.name, s->name) != 0))
		abort();
	return 0;
}

static void read_symbols(const struct gs_image *img)
{
	struct names names = { .img = img };
	struct gs_image_symbol s;
	struct gs_err err;

	for (int i = 0; i < 12; i++)
		sum += (unsigned int)gs_image_find_symbol(img, "no such symbol", &s, &err);
	sum += (unsigned int)gs_image_each_symbol(img, on_symbol, &names, &err);
}

static void read_rest(const struct gs_image *img)
{
	static const char *const owners[] = { "GNU", "Go", "CORE", "LINUX" };
	const char *needed;
	struct gs_cursor c;
	struct gs_err err;

	for (size_t i = 0; i < GS_ARRAY_SIZE(owners); i++) {
		for (uint32_t type = 0; type < 5; type++) {
			if (gs_image_find_note(img, owners[i], type, &c, &err) == 0)
				read_all(c);
		}
	}
	if (gs_image_build_id(img, &c, &err) == 0)
		read_all(c);
	for (uint32_t i = 0; i < 100 && gs_image_needed(img, i, &needed, &err) == 0; i++)
		sum += (unsigned int)strlen(needed);
	if (gs_image_file_bytes(img, 3, 5, &c, &err) == 0)
		read_all(c);
	if (gs_image_info(img)->interp)
		sum += (unsigned int)strlen(gs_image_info(img)->interp);
	if (gs_image_intact(img, &err) < 0)
		abort(); // borrowed bytes cannot shrink
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	struct gs_err err = { 0 };
	int r = gs_image_from_bytes(data, size, "fuzz", &img, &err);

	if (r < 0) {
		if (err.code != r || err.text[0] == '\0' || img)
			abort();
		return 0;
	}
	read_sections(img);
	read_symbols(img);
	read_rest(img);
	return 0;
}
