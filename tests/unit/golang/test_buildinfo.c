/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Build info of built images, and of blobs that are wrong in one place each. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include "golang/buildinfo_private.h"
#include "pclntab_builder.h"

struct fixture {
	struct gs_arena *arena;
	struct gs_go_buildinfo bi;
	struct gs_err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->arena = gs_arena_new(1 << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	gs_arena_free(f->arena);
	free(f);
	return 0;
}

/* Decode a blob made of these two strings, in a block of its own size, for the sanitizer's sake. */
static int decode(struct fixture *f, const char *version, const char *modinfo)
{
	GS_CLEANUP(gs_freep) uint8_t *blob = NULL;
	struct gs_cursor c;
	size_t size;

	blob = gs_build_buildinfo(version, modinfo, &size);
	c = gs_cursor_make(blob, size, "blob");
	return gs__go_buildinfo_decode(&c, f->arena, &f->bi, &f->err);
}

static void test_lines(void **state)
{
	struct fixture *f = *state;
	const struct gs_go_buildinfo *b = &f->bi;

	gs_assert_ok(decode(f, "go1.26.10 X:nogreenteagc",
			    "path\texample.com/app/cmd\n"
			    "mod\texample.com/app\tv1.2.3\th1:main=\n"
			    "dep\texample.com/a\tv0.1.0\th1:a=\n"
			    "dep\texample.com/b\tv0.2.0\n"
			    "=>\t../b\t(devel)\t\n"
			    "dep\texample.com/c\tv0.3.0\t\n"
			    "future\tline\n"
			    "build\t-ldflags=\"-X main.a=\\\"b c\\\"\"\n"
			    "build\t\"odd key\"=`raw \\n`\n"
			    "build\tGOARCH=amd64\n"
			    "build\tEMPTY=\n"
			    "build\tx=a=b\n"
			    "build\tu=\"\\u00e9\\x41\\101\\t\\U0001F600\"\n"),
		     &f->err);
	assert_string_equal(b->version, "go1.26.10 X:nogreenteagc");
	assert_true(b->release_known);
	assert_int_equal(b->release.minor, 26);
	assert_string_equal(b->path, "example.com/app/cmd");
	assert_string_equal(b->main->path, "example.com/app");
	assert_string_equal(b->main->version, "v1.2.3");
	assert_string_equal(b->main->sum, "h1:main=");
	assert_null(b->main->replace);
	assert_int_equal(b->n_deps, 3);
	assert_string_equal(b->deps[0].sum, "h1:a=");
	assert_string_equal(b->deps[1].path, "example.com/b");
	assert_string_equal(b->deps[1].sum, "");
	assert_string_equal(b->deps[1].replace->path, "../b");
	assert_string_equal(b->deps[1].replace->version, "(devel)");
	assert_null(b->deps[2].replace);
	assert_int_equal(b->n_settings, 6);
	assert_string_equal(gs_go_setting(b, "-ldflags"), "-X main.a=\"b c\"");
	assert_string_equal(gs_go_setting(b, "odd key"), "raw \\n");
	assert_string_equal(gs_go_setting(b, "EMPTY"), "");
	assert_string_equal(gs_go_setting(b, "x"), "a=b");
	assert_string_equal(gs_go_setting(b, "u"), "\xc3\xa9"
						   "AA\t\xf0\x9f\x98\x80");
	assert_null(gs_go_setting(b, "goarch"));
}

static void test_wrong_lines(void **state)
{
	static const struct {
		const char *modinfo, *words;
	} cases[] = {
		{ "mod\tonly-a-path\n", "path, version and sum" },
		{ "dep\ta\tb\tc\td\n", "path, version and sum" },
		{ "dep\ta\tv1\th1:\n=>\tb\tv2\n", "path, version and sum" },
		{ "=>\ta\tb\tc\n", "nothing is replaced" },
		{ "dep\ta\tv1\n=>\ta\tb\tc\n=>\ta\tb\tc\n", "nothing is replaced" },
		{ "build\t\n", "KEY=VALUE" },
		{ "build\t=x\n", "KEY=VALUE" },
		{ "build\tnovalue\n", "KEY=VALUE" },
		{ "build\t\"open=x\n", "KEY=VALUE" },
		{ "build\t\"key\"x=1\n", "KEY=VALUE" },
		{ "build\tk y=1\n", "in quotes" },
		{ "build\tk=a b\n", "in quotes" },
		{ "build\tk=\"\\q\"\n", "string literal" },
		{ "build\tk=\"a\n", "string literal" },
		{ "build\tk=\"\n", "string literal" },
		{ "build\tk=\"\\x4\"\n", "string literal" },
		{ "build\tk=\"\\ud800\"\n", "string literal" },
		{ "build\tk=\"\\777\"\n", "string literal" },
		{ "build\tk=`a`b`\n", "string literal" },
		{ "build\tk=\"a\"b\"\n", "string literal" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		f->bi.version = "untouched";
		gs_assert_fails(-GS_E_BAD_DATA, cases[i].words,
				decode(f, "go1.26", cases[i].modinfo), &f->err);
		assert_string_equal(f->bi.version, "untouched");
	}
	// Control characters do not reach the message.
	gs_assert_fails(-GS_E_BAD_DATA, "\\x1b", decode(f, "go1.26", "mod\t\x1b\n"), &f->err);
}

/* A blob without the builder, so that every byte can be chosen. */
static int decode_raw(struct fixture *f, const void *strings, size_t n, uint8_t flags)
{
	GS_CLEANUP(gs_freep) uint8_t *blob = calloc(1, 32 + n);
	struct gs_cursor c = gs_cursor_make(blob, 32 + n, "blob");

	memcpy(blob, "\xff Go buildinf:\x08", 15);
	blob[15] = flags;
	memcpy(blob + 32, strings, n);
	return gs__go_buildinfo_decode(&c, f->arena, &f->bi, &f->err);
}

static void test_blob(void **state)
{
	struct fixture *f = *state;

	gs_assert_ok(decode_raw(f, "\6go1.19\0", 8, 2), &f->err);
	assert_null(f->bi.path);
	assert_null(f->bi.main);
	assert_int_equal(f->bi.n_deps, 0);
	// unframed or short module information is none
	gs_assert_ok(decode_raw(f, "\6go1.19\4path", 12, 2), &f->err);
	assert_null(f->bi.path);
	gs_assert_ok(decode_raw(f,
				"\6go1.19\x26"
				"0123456789abcdefpath\tx0123456789abcdef",
				8 + 38, 2),
		     &f->err);
	assert_null(f->bi.path);
	gs_assert_ok(decode_raw(f,
				"\6go1.19\x27"
				"0123456789abcdefpath\tx\n0123456789abcdef",
				8 + 39, 2),
		     &f->err);
	assert_string_equal(f->bi.path, "x");
	// a version of nobody's
	gs_assert_ok(decode_raw(f, "\4fork\0", 6, 2), &f->err);
	assert_false(f->bi.release_known);
	assert_int_equal(decode_raw(f, "\0\0", 2, 2), 1);
	gs_assert_fails(-GS_E_UNSUPPORTED, "Go 1.17", decode_raw(f, "", 0, 0), &f->err);
	gs_assert_fails(-GS_E_BAD_DATA, "need", decode_raw(f, "\6go1.1", 6, 2), &f->err);
	gs_assert_fails(-GS_E_BAD_DATA, "need", decode_raw(f, "\6go1.19\x7f", 8, 2), &f->err);
	gs_assert_fails(-GS_E_BAD_DATA, "string of", decode_raw(f, "\xff\xff\xff\xff\x7f", 5, 2),
			&f->err);
	gs_assert_fails(-GS_E_BAD_DATA, "",
			decode_raw(f, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, 2),
			&f->err);
}

/* Every prefix of a blob is refused or gives less, and nothing behind it is read. */
static void test_truncated(void **state)
{
	struct fixture *f = *state;
	GS_CLEANUP(gs_freep) uint8_t *blob = NULL;
	size_t size;

	blob = gs_build_buildinfo("go1.26", "path\tx\nbuild\ta=b\n", &size);
	assert_in_range(size, 32 + 7 + 1 + 16 + 17 + 16, 32 + 7 + 1 + 16 + 17 + 16 + 15);
	for (size_t n = 0; n < 32 + 7 + 1 + 16 + 17 + 16; n++) { // the rest is padding
		GS_CLEANUP(gs_freep) uint8_t *part = malloc(n + !n);
		struct gs_cursor c = gs_cursor_make(part, n, "blob");

		memcpy(part, blob, n);
		gs_assert_fails(-GS_E_BAD_DATA, "",
				gs__go_buildinfo_decode(&c, f->arena, &f->bi, &f->err), &f->err);
	}
}

static void test_memory_limit(void **state)
{
	struct fixture *f = *state;
	GS_CLEANUP(gs_freep) char *text = malloc(200001);
	size_t n = 0;

	gs_arena_free(f->arena);
	f->arena = gs_arena_new(100000);
	while (n + 6 <= 200000) {
		memcpy(text + n, "dep\ta\tb\n", 8);
		n += 8;
	}
	text[n] = '\0';
	gs_assert_fails(-ENOMEM, "out of memory", decode(f, "go1.26", text), &f->err);
}

static struct gs_image *open_image(struct gs_builder *b)
{
	struct gs_image *img;
	struct gs_err err;
	size_t size;
	const uint8_t *bytes = gs_builder_finish(b, &size);

	gs_assert_ok(gs_image_from_bytes(bytes, size, "built", &img, &err), &err);
	return img;
}

static void test_images(void **state)
{
	static const enum gs_image_format formats[] = { GS_IMAGE_ELF, GS_IMAGE_PE, GS_IMAGE_MACHO };
	static const uint32_t options[] = { 0, GS_BUILD_GO_STRIPPED, GS_BUILD_GO_PIE,
					    GS_BUILD_GO_NO_SECTIONS };
	struct fixture *f = *state;
	struct gs_build_go_places places;

	for (unsigned int i = 0; i < GS_ARRAY_SIZE(formats) * GS_ARRAY_SIZE(options); i++) {
		struct gs_build_go go = *gs_build_go_sample();
		uint32_t o = options[i % GS_ARRAY_SIZE(options)];
		enum gs_image_format format = formats[i / GS_ARRAY_SIZE(options)];
		GS_CLEANUP(gs_builder_freep) struct gs_builder *b = NULL;
		GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
		const char *id;

		if ((o & GS_BUILD_GO_NO_SECTIONS) && format != GS_IMAGE_ELF)
			continue;
		b = gs_build_go_image(&go, format, o, &places);
		if (format != GS_IMAGE_ELF)
			gs_builder_section(b, format == GS_IMAGE_PE ? ".text2" : "__TEXT,__text2",
					   0x150000000, GS_IMAGE_READ | GS_IMAGE_EXEC,
					   "\xff Go build ID: \"a/b\"\n \xff", 24);
		img = open_image(b);
		gs_assert_ok(gs_go_buildinfo_read(img, f->arena, &f->bi, &f->err), &f->err);
		assert_string_equal(f->bi.version, "go1.26");
		assert_int_equal(f->bi.addr, places.buildinfo);
		assert_int_equal(f->bi.n_deps, 1);
		gs_assert_ok(gs_go_build_id(img, f->arena, &id, &f->err), &f->err);
		assert_string_equal(id, format == GS_IMAGE_ELF ? "abc/def/ghi/jkl" : "a/b");
	}
}

static void test_no_go(void **state)
{
	struct fixture *f = *state;
	GS_CLEANUP(gs_builder_freep)
	struct gs_builder *b = gs_builder_new(GS_IMAGE_ELF, GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	uint8_t data[100] = { 0 };
	const char *id;

	// the magic at an address that is not aligned, and one with too little behind it
	memcpy(data + 8, "\xff Go buildinf:", 14);
	memcpy(data + 80, "\xff Go buildinf:", 14);
	gs_builder_section(b, ".data", 0x404000, GS_IMAGE_READ | GS_IMAGE_WRITE, data, 100);
	gs_builder_section(b, ".text", 0x405000, GS_IMAGE_READ | GS_IMAGE_EXEC,
			   "\xff Go build ID: \"without end", 27);
	img = open_image(b);
	assert_int_equal(gs_go_buildinfo_read(img, f->arena, &f->bi, &f->err), 1);
	assert_int_equal(gs_go_build_id(img, f->arena, &id, &f->err), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_lines),     TEST(test_wrong_lines),  TEST(test_blob),
		TEST(test_truncated), TEST(test_memory_limit), TEST(test_images),
		TEST(test_no_go),
	};

	return gs_test_main(tests);
}
