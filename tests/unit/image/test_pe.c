/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* PE images made by the builder, as src/image sees them. */
#include "test.h"

#include "image/image.h"
#include "image_builder.h"

static const uint8_t code[64] = { 0xc3, 1, 2, 3, 4, 5, 6, 7 };
static const uint8_t guid[16] = "0123456789abcde";

static struct gs_builder *small(void)
{
	struct gs_builder *b = gs_builder_new(GS_IMAGE_PE, GS_ARCH_AMD64);

	gs_builder_section(b, ".text", 0x140001000, GS_IMAGE_READ | GS_IMAGE_EXEC, code, 64);
	gs_builder_section(b, ".zdebug_info", 0x140002000, GS_IMAGE_READ, code, 16);
	gs_builder_section(b, ".bss", 0x140003000, GS_IMAGE_READ | GS_IMAGE_WRITE | GS_IMAGE_NOBITS,
			   NULL, 0x100);
	gs_builder_entry(b, 0x140001010);
	return b;
}

static int view(struct gs_builder *b, struct gs_image **ret, struct gs_err *err)
{
	size_t size;
	const uint8_t *bytes = gs_builder_finish(b, &size);

	return gs_image_from_bytes(bytes, size, "small.exe", ret, err);
}

static void test_headers(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small();
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const struct gs_image_section *s;
	const struct gs_image_info *in;
	struct gs_cursor c;
	struct gs_err err;

	(void)state; // no fixture
	gs_builder_options(b, GS_BUILD_DYN);
	gs_assert_ok(view(b, &img, &err), &err);
	in = gs_image_info(img);
	assert_int_equal(in->format, GS_IMAGE_PE);
	assert_int_equal(in->arch, GS_ARCH_AMD64);
	assert_int_equal(in->machine, 0x8664);
	assert_int_equal(in->base, 0x140000000);
	assert_int_equal(in->entry, 0x140001010);
	assert_string_equal(in->os, "windows");
	assert_true(in->is_pie && in->has_interp && in->has_dwarf);
	assert_false(in->is_shared || in->has_dynamic || in->has_symtab || in->has_unwind ||
		     in->is_signed || in->is_core);
	// A name of more than eight bytes is in the string table.
	gs_assert_ok(gs_image_find_section(img, ".zdebug_info", &s, &err), &err);
	assert_int_equal(s->flags, GS_IMAGE_READ | GS_IMAGE_COMPRESSED);
	assert_int_equal(s->size, 16);
	gs_assert_ok(gs_image_section_bytes(img, s, &c, &err), &err);
	assert_int_equal(gs_cursor_left(&c), 16); // without the padding
	gs_assert_ok(gs_image_find_section(img, ".bss", &s, &err), &err);
	gs_assert_result(1, gs_image_section_bytes(img, s, &c, &err), &err);
	gs_assert_ok(gs_image_at(img, 0x140001004, &c, &err), &err);
	assert_int_equal(*c.pos, 4);
	assert_int_equal(gs_cursor_left(&c), 60);
	gs_assert_result(1, gs_image_at(img, 0x140003000, &c, &err), &err);
}

static void test_tables(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small();
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const struct gs_image_info *in;
	struct gs_cursor c;
	struct gs_err err;
	const char *lib;

	(void)state; // no fixture
	gs_builder_section(b, ".pdata", 0x140004000, GS_IMAGE_READ, code, 12);
	gs_builder_needed(b, "kernel32.dll");
	gs_builder_needed(b, "ws2_32.dll");
	gs_builder_uuid(b, guid);
	gs_builder_options(b, GS_BUILD_SIGNED | GS_BUILD_LIBRARY);
	gs_assert_ok(view(b, &img, &err), &err);
	in = gs_image_info(img);
	assert_true(in->is_shared && in->has_dynamic && in->has_unwind && in->is_signed);
	assert_false(in->is_pie);
	gs_assert_ok(gs_image_needed(img, 0, &lib, &err), &err);
	assert_string_equal(lib, "kernel32.dll");
	gs_assert_ok(gs_image_needed(img, 1, &lib, &err), &err);
	assert_string_equal(lib, "ws2_32.dll");
	gs_assert_result(1, gs_image_needed(img, 2, &lib, &err), &err);
	gs_assert_ok(gs_image_build_id(img, &c, &err), &err);
	assert_int_equal(gs_cursor_left(&c), 16);
	assert_memory_equal(c.pos, guid, 16);
	gs_assert_result(1, gs_image_find_note(img, "Go", 4, &c, &err), &err);
}

struct list {
	char names[8][32];
	gs_addr addr[8];
	size_t n;
};

static int collect(void *ctx, const struct gs_image_symbol *s)
{
	struct list *l = ctx;

	assert_true(l->n < 8 && strlen(s->name) < 32);
	memcpy(l->names[l->n], s->name, strlen(s->name) + 1);
	l->addr[l->n++] = s->addr;
	return 0;
}

/* Names of less than, exactly and more than eight bytes; an auxiliary record behind the first. */
static void test_symbols(void **state)
{
	static const char *const names[] = { "short", "exactly8", "longer.than.eight" };
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small();
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	struct gs_image_symbol s;
	struct list l = { .n = 0 };
	struct gs_err err;

	(void)state; // no fixture
	for (size_t i = 0; i < 3; i++)
		gs_builder_symbol(b, names[i], 0x140001000 + 16 * i, 0, true);
	gs_builder_symbol(b, "data", 0x140003008, 0, false);
	gs_assert_ok(view(b, &img, &err), &err);
	assert_true(gs_image_info(img)->has_symtab);
	gs_assert_ok(gs_image_each_symbol(img, collect, &l, &err), &err);
	assert_int_equal(l.n, 4);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(l.names[i], names[i]);
		assert_int_equal(l.addr[i], 0x140001000 + 16 * i);
	}
	// Enough look-ups to pass from scanning to the index.
	for (size_t k = 0; k < 40; k++) {
		size_t i = k % 3;

		gs_assert_ok(gs_image_find_symbol(img, names[i], &s, &err), &err);
		assert_string_equal(s.name, names[i]);
		assert_int_equal(s.addr, 0x140001000 + 16 * i);
		assert_true(s.is_function);
	}
	gs_assert_ok(gs_image_find_symbol(img, "data", &s, &err), &err);
	assert_false(s.is_function);
	gs_assert_result(1, gs_image_find_symbol(img, "exactly", &s, &err), &err);
	gs_assert_result(1, gs_image_find_symbol(img, "exactly89", &s, &err), &err);
}

static void test_refused(void **state)
{
	static const struct {
		const char *field, *words;
		uint64_t value;
		int code;
	} cases[] = {
		{ "Magic", "32-bit", 0x10b, -GS_E_UNSUPPORTED },
		{ "Magic", "unknown kind 0x999", 0x999, -GS_E_BAD_DATA },
		{ "Signature", "DOS program", 0x454e, -GS_E_UNSUPPORTED },
		{ "e_lfanew", "headers of small.exe", 0xfffffff0, -GS_E_BAD_DATA },
		{ "SizeOfOptionalHeader", "not a program", 0, -GS_E_UNSUPPORTED },
		{ "SizeOfOptionalHeader", "optional header of 100 bytes", 100, -GS_E_BAD_DATA },
		{ "NumberOfSections", "section table", 0xffff, -GS_E_BAD_DATA },
	};

	(void)state; // no fixture
	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small();
		GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
		struct gs_err err;

		gs_builder_break(b, cases[i].field, cases[i].value);
		gs_assert_fails(cases[i].code, cases[i].words, view(b, &img, &err), &err);
	}
}

static void test_broken_tables(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small();
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const struct gs_image_section *s;
	struct gs_image_symbol symbol;
	struct gs_cursor c;
	struct gs_err err;
	const char *lib;

	(void)state; // no fixture
	gs_builder_symbol(b, "a", 0x140001000, 0, true);
	gs_builder_needed(b, "x.dll");
	gs_builder_break(b, "NumberOfSymbols", 0x10000000);
	gs_builder_break(b, "PointerToRawData:.text", 0xfffff000);
	gs_builder_break(b, "ImportName:0", 0x7000000);
	gs_assert_ok(view(b, &img, &err), &err);
	gs_assert_ok(gs_image_find_section(img, ".text", &s, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "section .text", gs_image_section_bytes(img, s, &c, &err),
			&err);
	gs_assert_fails(-GS_E_BAD_DATA, "symbol table",
			gs_image_find_symbol(img, "a", &symbol, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "no name", gs_image_needed(img, 0, &lib, &err), &err);
	// Without a string table the long name cannot be resolved.
	gs_assert_result(1, gs_image_find_section(img, ".zdebug_info", &s, &err), &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),       cmocka_unit_test(test_tables),
		cmocka_unit_test(test_symbols),       cmocka_unit_test(test_refused),
		cmocka_unit_test(test_broken_tables),
	};

	return gs_test_main(tests);
}
