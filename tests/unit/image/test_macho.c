/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Mach-O images made by the builder, as src/image sees them. */
#include "test.h"

#include <stdlib.h>

#include "image/image.h"
#include "image_builder.h"

static const uint8_t code[64] = { 0xc3, 1, 2, 3, 4, 5, 6, 7 };
static const uint8_t uuid[16] = "0123456789abcde";

static struct gs_builder *small(enum gs_arch arch)
{
	struct gs_builder *b = gs_builder_new(GS_IMAGE_MACHO, arch);

	gs_builder_section(b, "__TEXT,__text", 0x100004000, GS_IMAGE_READ | GS_IMAGE_EXEC, code,
			   64);
	gs_builder_section(b, "__TEXT,__const", 0x100004040, GS_IMAGE_READ, code, 32);
	gs_builder_section(b, "__DATA,__data", 0x100008000, GS_IMAGE_READ | GS_IMAGE_WRITE, code,
			   48);
	gs_builder_section(b, "__DATA,__bss", 0x100008040,
			   GS_IMAGE_READ | GS_IMAGE_WRITE | GS_IMAGE_NOBITS, NULL, 64);
	gs_builder_entry(b, 0x100004010);
	return b;
}

static int view(struct gs_builder *b, struct gs_image **ret, struct gs_err *err)
{
	size_t size;
	const uint8_t *bytes = gs_builder_finish(b, &size);

	return gs_image_from_bytes(bytes, size, "small", ret, err);
}

static void check_small(const struct gs_image *img, enum gs_arch arch)
{
	const struct gs_image_info *in = gs_image_info(img);
	const struct gs_image_section *s;
	struct gs_cursor c;
	struct gs_err err;

	assert_int_equal(in->format, GS_IMAGE_MACHO);
	assert_int_equal(in->arch, arch);
	assert_int_equal(in->machine, arch == GS_ARCH_ARM64 ? 0x0100000c : 0x01000007);
	assert_int_equal(in->base, 0x100004000);
	assert_int_equal(in->entry, 0x100004010);
	assert_string_equal(in->os, "darwin");
	assert_int_equal(in->n_sections, 4);
	assert_int_equal(in->n_segments, 4); // __PAGEZERO, __TEXT, __DATA, __LINKEDIT
	gs_assert_ok(gs_image_find_section(img, "__TEXT,__const", &s, &err), &err);
	assert_int_equal(s->addr, 0x100004040);
	assert_int_equal(s->flags, GS_IMAGE_READ);
	gs_assert_ok(gs_image_section_bytes(img, s, &c, &err), &err);
	assert_int_equal(gs_cursor_left(&c), 32);
	assert_memory_equal(c.pos, code, 32);
	gs_assert_ok(gs_image_find_section(img, "__DATA,__bss", &s, &err), &err);
	assert_true(s->flags & GS_IMAGE_NOBITS);
	gs_assert_result(1, gs_image_section_bytes(img, s, &c, &err), &err);
	gs_assert_ok(gs_image_at(img, 0x100008008, &c, &err), &err);
	assert_int_equal(gs_cursor_left(&c), 40);
	assert_memory_equal(c.pos, code + 8, 40);
	gs_assert_result(1, gs_image_at(img, 0x100008040, &c, &err), &err);
	gs_assert_result(1, gs_image_at(img, 0, &c, &err), &err); // __PAGEZERO
}

/* The entry point is in LC_UNIXTHREAD's registers, or in LC_MAIN when there is a loader. */
static void test_headers(void **state)
{
	(void)state; // no fixture
	for (int arch = GS_ARCH_AMD64; arch <= GS_ARCH_ARM64; arch++) {
		for (int with_loader = 0; with_loader < 2; with_loader++) {
			GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(arch);
			GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
			struct gs_err err;

			if (with_loader)
				gs_builder_interp(b, "/usr/lib/dyld");
			gs_assert_ok(view(b, &img, &err), &err);
			check_small(img, arch);
			assert_int_equal(gs_image_info(img)->has_interp, with_loader);
			assert_false(gs_image_info(img)->is_pie);
		}
	}
}

static void test_tables(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_ARM64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const struct gs_image_info *in;
	struct gs_image_symbol s;
	struct gs_cursor c;
	struct gs_err err;
	const char *lib;

	(void)state; // no fixture
	gs_builder_section(b, "__DWARF,__debug_info", 0x10000c000, 0, code, 8);
	gs_builder_interp(b, "/usr/lib/dyld");
	gs_builder_needed(b, "/usr/lib/libSystem.B.dylib");
	gs_builder_uuid(b, uuid);
	gs_builder_symbol(b, "_main.main", 0x100004020, 0, true);
	gs_builder_symbol(b, "_main.table", 0x100004040, 0, false);
	gs_builder_options(b, GS_BUILD_SIGNED | GS_BUILD_DYN);
	gs_assert_ok(view(b, &img, &err), &err);
	in = gs_image_info(img);
	assert_true(in->is_pie && in->is_signed && in->has_dynamic && in->has_symtab &&
		    in->has_dwarf);
	assert_false(in->is_shared || in->has_unwind);
	assert_string_equal(in->interp, "/usr/lib/dyld");
	gs_assert_ok(gs_image_needed(img, 0, &lib, &err), &err);
	assert_string_equal(lib, "/usr/lib/libSystem.B.dylib");
	gs_assert_result(1, gs_image_needed(img, 1, &lib, &err), &err);
	gs_assert_ok(gs_image_build_id(img, &c, &err), &err);
	assert_memory_equal(c.pos, uuid, 16);
	gs_assert_ok(gs_image_find_symbol(img, "_main.main", &s, &err), &err);
	assert_int_equal(s.addr, 0x100004020);
	assert_true(s.is_function);
	gs_assert_ok(gs_image_find_symbol(img, "_main.table", &s, &err), &err);
	assert_false(s.is_function); // __TEXT, but no instructions
}

static void test_universal(void **state)
{
	(void)state; // no fixture
	for (int arch = GS_ARCH_AMD64; arch <= GS_ARCH_ARM64; arch++) {
		GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(arch);
		GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
		struct gs_err err;

		gs_builder_options(b, GS_BUILD_FAT);
		gs_assert_ok(view(b, &img, &err), &err);
		check_small(img, arch); // the only 64-bit slice, whatever this machine is
	}
}

static void put_big(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

/* Two 64-bit slices: this machine's CPU is taken, in either order. */
static void test_universal_prefers_host(void **state)
{
#if defined(__x86_64__)
	const enum gs_arch host = GS_ARCH_AMD64;
#else
	const enum gs_arch host = GS_ARCH_ARM64;
#endif

	(void)state; // no fixture
	for (int first = GS_ARCH_AMD64; first <= GS_ARCH_ARM64; first++) {
		GS_CLEANUP(gs_freep) uint8_t *file = calloc(1, 0x20000);
		GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
		struct gs_err err;

		assert_non_null(file);
		put_big(file, 0xcafebabe);
		put_big(file + 4, 2);
		for (int i = 0; i < 2; i++) {
			enum gs_arch arch = i == 0                   ? (enum gs_arch)first
					    : first == GS_ARCH_AMD64 ? GS_ARCH_ARM64
								     : GS_ARCH_AMD64;
			GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(arch);
			uint8_t *record = file + 8 + 20 * i;
			size_t size;
			const uint8_t *bytes = gs_builder_finish(b, &size);

			put_big(record, arch == GS_ARCH_ARM64 ? 0x0100000c : 0x01000007);
			put_big(record + 8, 0x4000 * (uint32_t)(i + 1));
			put_big(record + 12, (uint32_t)size);
			assert_true(size < 0x4000);
			memcpy(file + 0x4000 * (i + 1), bytes, size);
		}
		gs_assert_ok(gs_image_from_bytes(file, 0x20000, "fat", &img, &err), &err);
		check_small(img, host);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *field, *words;
		uint64_t value;
		int code;
	} cases[] = {
		{ "magic", "32-bit", 0xfeedface, -GS_E_UNSUPPORTED },
		{ "magic", "big-endian", 0xcffaedfe, -GS_E_UNSUPPORTED },
		{ "sizeofcmds", "load commands", 0x7fffffff, -GS_E_BAD_DATA },
		{ "ncmds", "load commands", 0x7fffffff, -GS_E_BAD_DATA },
		{ "cmdsize:1", "of 0 bytes", 0, -GS_E_BAD_DATA },
		{ "cmdsize:2", "load commands", 0x40000000, -GS_E_BAD_DATA },
		{ "nsects:__TEXT", "load commands", 0x7fffffff, -GS_E_BAD_DATA },
	};

	(void)state; // no fixture
	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
		GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
		struct gs_err err;

		gs_builder_break(b, cases[i].field, cases[i].value);
		gs_assert_fails(cases[i].code, cases[i].words, view(b, &img, &err), &err);
	}
}

/* A Java class file has the magic of a universal file. */
static void test_java_class(void **state)
{
	static const uint8_t class[] = { 0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52, 0, 1, 2, 3 };
	struct gs_image *img = NULL;
	struct gs_err err;

	(void)state; // no fixture
	gs_assert_fails(-GS_E_UNSUPPORTED, "Java",
			gs_image_from_bytes(class, sizeof(class), "A.class", &img, &err), &err);
}

static void test_broken_tables(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const struct gs_image_section *s;
	struct gs_image_symbol symbol;
	struct gs_cursor c;
	struct gs_err err;

	(void)state; // no fixture
	gs_builder_symbol(b, "_a", 0x100004000, 0, true);
	gs_builder_break(b, "symoff", 0x7fffffff);
	gs_builder_break(b, "offset:__data", 0x7fffffff);
	gs_builder_break(b, "fileoff:__TEXT", (uint64_t)1 << 40);
	gs_assert_ok(view(b, &img, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "symbol table",
			gs_image_find_symbol(img, "_a", &symbol, &err), &err);
	gs_assert_ok(gs_image_find_section(img, "__DATA,__data", &s, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "truncated", gs_image_section_bytes(img, s, &c, &err),
			&err);
	gs_assert_fails(-GS_E_BAD_DATA, "behind the end", gs_image_at(img, 0x100004000, &c, &err),
			&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),       cmocka_unit_test(test_tables),
		cmocka_unit_test(test_universal),     cmocka_unit_test(test_universal_prefers_host),
		cmocka_unit_test(test_refused),       cmocka_unit_test(test_java_class),
		cmocka_unit_test(test_broken_tables),
	};

	return gs_test_main(tests);
}
