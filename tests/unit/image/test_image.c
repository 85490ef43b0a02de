/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What is common to all formats: files that are not files, files that shrink, symbol look-up at
 * scale and under attack, and every single header field broken in turn.
 */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sigbus.h"
#include "image/image.h"
#include "image_builder.h"
#include "pclntab_builder.h"

static void unlink_free(char **path)
{
	if (*path)
		unlink(*path);
	free(*path);
}

static void test_not_a_file(void **state)
{
	GS_CLEANUP(unlink_free) char *path = gs_builder_temp_file("", 0);
	struct gs_image *img = NULL;
	struct gs_err err;

	(void)state; // no fixture
	gs_assert_fails(-ENOENT, "No such file", gs_image_open("/nonexistent/x", &img, &err), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "a directory", gs_image_open("/tmp", &img, &err), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "not a regular file",
			gs_image_open("/dev/zero", &img, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "is empty", gs_image_open(path, &img, &err), &err);
	// A FIFO without a writer would hang a blocking open.
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	gs_assert_fails(-GS_E_UNSUPPORTED, "not a regular file", gs_image_open(path, &img, &err),
			&err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "starts with 23 21",
			gs_image_from_bytes("#!/bin/sh", 9, "script", &img, &err), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "only 2 bytes",
			gs_image_from_bytes("\x7f"
					    "E",
					    2, "tiny", &img, &err),
			&err);
	assert_null(img);
	assert_null(gs_image_free(NULL));
}

static void test_open_file(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = NULL;
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	GS_CLEANUP(unlink_free) char *path = NULL;
	struct gs_build_go_places at;
	struct gs_image_symbol s;
	struct gs_cursor c;
	struct gs_err err;
	size_t size;
	const uint8_t *bytes;

	(void)state; // no fixture
	b = gs_build_go_image(gs_build_go_sample(), GS_IMAGE_ELF, 0, &at);
	bytes = gs_builder_finish(b, &size);
	path = gs_builder_temp_file(bytes, size);
	gs_assert_ok(gs_image_open(path, &img, &err), &err);
	assert_string_equal(gs_image_name(img), path);
	assert_int_equal(gs_image_info(img)->file_size, size);
	gs_assert_ok(gs_image_find_symbol(img, "main.main", &s, &err), &err);
	assert_int_equal(s.addr, at.text + 0x60);
	gs_assert_ok(gs_image_intact(img, &err), &err);
	// Cut the file under the mapping: reading gives zeros, and the image says so. cmocka has put
	// its own handler in front of each test.
	gs_sigbus_install();
	assert_int_equal(truncate(path, 0), 0);
	gs_assert_ok(gs_image_file_bytes(img, 0, 4, &c, &err), &err);
	assert_memory_equal(c.pos, "\0\0\0\0", 4);
	gs_assert_fails(-GS_E_BAD_DATA, "became shorter", gs_image_intact(img, &err), &err);
}

#define MANY 50000u

static void many_name(char *buf, size_t size, unsigned int i)
{
	snprintf(buf, size, "example.com/pkg%u.(*Type%u).method%u", i % 97, i % 13, i);
}

/* More look-ups than are scanned; also duplicates, of which the first counts. */
static void test_many_symbols(void **state)
{
	GS_CLEANUP(gs_builder_freep)
	struct gs_builder *b = gs_builder_new(GS_IMAGE_ELF, GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	struct gs_image_symbol s;
	struct gs_err err;
	char name[128];
	size_t size;
	const uint8_t *bytes;

	(void)state; // no fixture
	gs_builder_section(b, ".text", 0x401000, GS_IMAGE_READ | GS_IMAGE_EXEC, "\xc3", 1);
	for (unsigned int i = 0; i < MANY; i++) {
		many_name(name, sizeof(name), i);
		gs_builder_symbol(b, name, 0x401000 + i, 1, true);
		if (i % 7 == 0)
			gs_builder_symbol(b, "twice", 0x800000 + i, 1, true);
	}
	bytes = gs_builder_finish(b, &size);
	gs_assert_ok(gs_image_from_bytes(bytes, size, "many", &img, &err), &err);
	for (unsigned int k = 0; k < 2000; k++) {
		unsigned int i = k * 7919 % MANY;

		many_name(name, sizeof(name), i);
		gs_assert_ok(gs_image_find_symbol(img, name, &s, &err), &err);
		assert_string_equal(s.name, name);
		assert_int_equal(s.addr, 0x401000 + i);
		gs_assert_ok(gs_image_find_symbol(img, "twice", &s, &err), &err);
		assert_int_equal(s.addr, 0x800000);
		name[strlen(name) - 1] = 'x';
		gs_assert_result(1, gs_image_find_symbol(img, name, &s, &err), &err);
	}
}

/* All names end in the same long tail, so that they overlap: hashing them all would touch 1.2
 * billion bytes. The work is bounded and looking up says so. */
static void test_overlapping_names(void **state)
{
	enum { TAIL = 60000, N = 20000 };
	GS_CLEANUP(gs_builder_freep)
	struct gs_builder *b = gs_builder_new(GS_IMAGE_ELF, GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	GS_CLEANUP(gs_freep) char *tail = malloc(TAIL + 1);
	struct gs_image_symbol s;
	struct gs_err err;
	char field[32];
	size_t size;
	const uint8_t *bytes;
	int r = 0;

	(void)state; // no fixture
	assert_non_null(tail);
	memset(tail, 'a', TAIL);
	tail[TAIL] = '\0';
	gs_builder_section(b, ".text", 0x401000, GS_IMAGE_READ | GS_IMAGE_EXEC, "\xc3", 1);
	gs_builder_symbol(b, tail, 0x401000, 1, true);
	for (int i = 1; i < N; i++) {
		gs_builder_symbol(b, "", 0x401000, 1, true);
		snprintf(field, sizeof(field), "st_name:%d", i);
		gs_builder_break(b, field, (uint64_t)(1 + i));
	}
	bytes = gs_builder_finish(b, &size);
	gs_assert_ok(gs_image_from_bytes(bytes, size, "overlap", &img, &err), &err);
	for (int i = 0; i < 20 && r >= 0; i++)
		r = gs_image_find_symbol(img, "aaab", &s, &err);
	assert_int_equal(r, -GS_E_LIMIT);
	assert_non_null(strstr(err.text, "overlap beyond measure"));
}

static int stop_at_third(void *ctx, const struct gs_image_symbol *s)
{
	(void)s; // only counted
	return ++*(int *)ctx == 3 ? 42 : 0;
}

static void test_each_symbol_stops(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = NULL;
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	struct gs_build_go_places at;
	struct gs_err err;
	size_t size;
	const uint8_t *bytes;
	int n = 0;

	(void)state; // no fixture
	b = gs_build_go_image(gs_build_go_sample(), GS_IMAGE_MACHO, 0, &at);
	bytes = gs_builder_finish(b, &size);
	gs_assert_ok(gs_image_from_bytes(bytes, size, "x", &img, &err), &err);
	gs_assert_result(42, gs_image_each_symbol(img, stop_at_third, &n, &err), &err);
	assert_int_equal(n, 3);
}

static int touch_symbol(void *ctx, const struct gs_image_symbol *s)
{
	*(size_t *)ctx += strlen(s->name);
	return 0;
}

/* Ask everything; results do not matter, staying within bounds and time does. */
static void touch(const struct gs_image *img)
{
	const struct gs_image_info *in = gs_image_info(img);
	struct gs_image_symbol s;
	struct gs_cursor c;
	struct gs_err err;
	const char *lib;
	uint64_t word;
	size_t n = 0;

	for (uint32_t i = 0; i < in->n_sections; i++) {
		if (gs_image_section_bytes(img, gs_image_section_at(img, i), &c, &err) == 0)
			for (uint8_t byte; gs_cursor_u8(&c, &byte, NULL) == 0;)
				n += byte;
	}
	for (uint32_t i = 0; i < in->n_segments; i++) {
		gs_addr addr = gs_image_segment_at(img, i)->addr;

		n += (size_t)gs_image_word(img, addr, &word, &err);
		if (gs_image_at(img, addr, &c, &err) == 0)
			for (uint8_t byte; gs_cursor_u8(&c, &byte, NULL) == 0;)
				n += byte;
	}
	for (int i = 0; i < 12; i++)
		n += (size_t)gs_image_find_symbol(img, "main.main", &s, &err);
	n += (size_t)gs_image_each_symbol(img, touch_symbol, &n, &err);
	n += (size_t)gs_image_find_note(img, "Go", 4, &c, &err);
	n += (size_t)gs_image_build_id(img, &c, &err);
	for (uint32_t i = 0; i < 10 && gs_image_needed(img, i, &lib, &err) == 0; i++)
		n += strlen(lib);
}

static struct gs_builder *rich(enum gs_image_format format)
{
	struct gs_build_go_places at;
	struct gs_builder *b = gs_build_go_image(gs_build_go_sample(), format, 0, &at);

	gs_builder_interp(b, "/lib/ld.so");
	gs_builder_needed(b, "libc.so.6");
	gs_builder_options(b, GS_BUILD_SIGNED);
	if (format == GS_IMAGE_ELF) {
		gs_builder_dynamic_symbol(b, "exported", at.text, 8, true);
		gs_builder_relative(b, at.moduledata, at.pclntab);
	}
	if (format == GS_IMAGE_MACHO)
		gs_builder_options(b, GS_BUILD_FAT);
	return b;
}

static void test_every_field_broken(void **state)
{
	static const uint64_t values[] = {
		0,
		1,
		7,
		0x7f,
		0xff,
		0x7fff,
		0xffff,
		0x10000,
		0x7fffffff,
		0xffffffff,
		0x100000000,
		0x7fffffffffffffff,
		0xfffffffffffffff8,
		UINT64_MAX,
	};
	unsigned int n_broken = 0, n_opened = 0;

	(void)state; // no fixture
	for (int format = GS_IMAGE_ELF; format <= GS_IMAGE_MACHO; format++) {
		GS_CLEANUP(gs_builder_freep) struct gs_builder *b = rich(format);
		GS_CLEANUP(gs_freep) uint8_t *copy = NULL;
		const char *name;
		unsigned int width;
		size_t size, off;
		const uint8_t *bytes = gs_builder_finish(b, &size);

		copy = malloc(size);
		assert_non_null(copy);
		for (size_t i = 0; gs_builder_field_at(b, i, &name, &off, &width); i++) {
			for (size_t v = 0; v < GS_ARRAY_SIZE(values); v++) {
				GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
				struct gs_err err = { 0 };
				int r;

				memcpy(copy, bytes, size);
				memcpy(copy + off, &values[v], width);
				r = gs_image_from_bytes(copy, size, name, &img, &err);
				if (r < 0 && (err.code != r || !err.text[0]))
					fail_msg("%s = %#" PRIx64 ": result %d without a message",
						 name, values[v], r);
				if (r == 0)
					touch(img);
				n_broken++;
				n_opened += r == 0;
			}
		}
	}
	// Most fields matter only to those who ask for what they describe.
	assert_true(n_broken > 3000 && n_opened > n_broken / 2 && n_opened < n_broken);
}

static void test_every_truncation(void **state)
{
	(void)state; // no fixture
	for (int format = GS_IMAGE_ELF; format <= GS_IMAGE_MACHO; format++) {
		GS_CLEANUP(gs_builder_freep) struct gs_builder *b = rich(format);
		size_t size;
		const uint8_t *bytes = gs_builder_finish(b, &size);

		for (size_t n = 0; n < size; n += n < 0x400 ? 1 : 61) {
			GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
			GS_CLEANUP(gs_freep) uint8_t *copy = malloc(n ? n : 1);
			struct gs_err err;

			assert_non_null(copy);
			memcpy(copy, bytes, n);
			if (gs_image_from_bytes(copy, n, "cut", &img, &err) == 0)
				touch(img);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_a_file),        cmocka_unit_test(test_open_file),
		cmocka_unit_test(test_many_symbols),      cmocka_unit_test(test_overlapping_names),
		cmocka_unit_test(test_each_symbol_stops), cmocka_unit_test(test_every_field_broken),
		cmocka_unit_test(test_every_truncation),
	};

	return gs_test_main(tests);
}
