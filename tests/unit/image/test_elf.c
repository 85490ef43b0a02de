/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* ELF images made by the builder, as src/image sees them. */
#include "test.h"

#include <elf.h>

#include "image/image.h"
#include "image_builder.h"
#include "pclntab_builder.h"

static const uint8_t code[64] = { 0xc3, 1, 2, 3, 4, 5, 6, 7 };

static struct gs_builder *small(enum gs_arch arch)
{
	struct gs_builder *b = gs_builder_new(GS_IMAGE_ELF, arch);

	gs_builder_section(b, ".text", 0x401000, GS_IMAGE_READ | GS_IMAGE_EXEC, code, 64);
	gs_builder_section(b, ".data", 0x404000, GS_IMAGE_READ | GS_IMAGE_WRITE, code, 48);
	gs_builder_section(b, ".bss", 0x405000, GS_IMAGE_READ | GS_IMAGE_WRITE | GS_IMAGE_NOBITS,
			   NULL, 0x800);
	gs_builder_entry(b, 0x401010);
	return b;
}

/* The image borrows the builder's bytes; both go at the end of the test. */
static struct gs_image *view(struct gs_builder *b)
{
	struct gs_image *img = NULL;
	struct gs_err err = { 0 };
	size_t size;
	const uint8_t *bytes = gs_builder_finish(b, &size);

	gs_assert_ok(gs_image_from_bytes(bytes, size, "small", &img, &err), &err);
	return img;
}

static int view_result(struct gs_builder *b, struct gs_err *err)
{
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	size_t size;
	const uint8_t *bytes = gs_builder_finish(b, &size);

	return gs_image_from_bytes(bytes, size, "small", &img, err);
}

/* Thousands of headers that all name the same megabyte of empty notes: refused, not searched for minutes. */
static void test_overlapping_notes(void **state)
{
	enum { SIZE = 1 << 20, HEADERS = 8000 };
	GS_CLEANUP(gs_freep) uint8_t *file = calloc(1, SIZE);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const Elf64_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB },
				.e_type = ET_EXEC,
				.e_machine = EM_X86_64,
				.e_phoff = sizeof(eh),
				.e_phentsize = sizeof(Elf64_Phdr),
				.e_phnum = HEADERS };
	const uint64_t notes = sizeof(eh) + HEADERS * sizeof(Elf64_Phdr);
	const Elf64_Phdr ph = { .p_type = PT_NOTE,
				.p_offset = notes,
				.p_filesz = (SIZE - notes) / 12 * 12 };
	struct gs_err err = { 0 };
	struct gs_cursor c;

	(void)state; // no fixture
	assert_non_null(file);
	memcpy(file, &eh, sizeof(eh));
	for (size_t i = 0; i < HEADERS; i++)
		memcpy(file + sizeof(eh) + i * sizeof(ph), &ph, sizeof(ph));
	gs_assert_ok(gs_image_from_bytes(file, SIZE, "notes", &img, &err), &err);
	gs_assert_fails(-GS_E_LIMIT, "notes", gs_image_find_note(img, "GNU", 3, &c, &err), &err);
}

static void test_headers(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_ARM64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = view(b);
	const struct gs_image_info *in = gs_image_info(img);
	const struct gs_image_section *s;
	struct gs_err err;

	(void)state; // no fixture
	assert_int_equal(in->format, GS_IMAGE_ELF);
	assert_int_equal(in->arch, GS_ARCH_ARM64);
	assert_int_equal(in->machine, EM_AARCH64);
	assert_int_equal(in->entry, 0x401010);
	assert_int_equal(in->base, 0x401000);
	assert_false(in->is_core || in->is_pie || in->has_interp || in->has_dynamic);
	assert_false(in->has_symtab || in->has_dwarf || in->has_unwind || in->is_signed);
	assert_null(in->os); // nothing in the file says so
	assert_int_equal(in->n_segments, 3);
	assert_int_equal(in->n_sections, 5); // null, 3, .shstrtab
	gs_assert_ok(gs_image_find_section(img, ".data", &s, &err), &err);
	assert_int_equal(s->addr, 0x404000);
	assert_int_equal(s->size, 48);
	assert_int_equal(s->file_size, 48);
	assert_int_equal(s->flags, GS_IMAGE_READ | GS_IMAGE_WRITE);
	gs_assert_result(1, gs_image_find_section(img, ".dat", &s, &err), &err);
	assert_null(gs_image_section_at(img, 5));
	assert_null(gs_image_segment_at(img, 3));
	assert_string_equal(gs_image_name(img), "small");
}

static void test_bytes(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = view(b);
	const struct gs_image_section *s;
	struct gs_cursor c;
	struct gs_err err;
	uint64_t word;

	(void)state; // no fixture
	gs_assert_ok(gs_image_find_section(img, ".data", &s, &err), &err);
	gs_assert_ok(gs_image_section_bytes(img, s, &c, &err), &err);
	assert_int_equal(gs_cursor_left(&c), 48);
	assert_memory_equal(c.pos, code, 48);
	assert_string_equal(c.what, "small .data");
	gs_assert_ok(gs_image_find_section(img, ".bss", &s, &err), &err);
	gs_assert_result(1, gs_image_section_bytes(img, s, &c, &err), &err);

	gs_assert_ok(gs_image_at(img, 0x404008, &c, &err), &err);
	assert_int_equal(gs_cursor_left(&c), 40);
	assert_memory_equal(c.pos, code + 8, 40);
	gs_assert_result(1, gs_image_at(img, 0x404030, &c, &err), &err);
	gs_assert_result(1, gs_image_at(img, 0x405000, &c, &err), &err); // .bss
	gs_assert_result(1, gs_image_at(img, 0x400fff, &c, &err), &err);
	gs_assert_result(1, gs_image_at(img, UINT64_MAX, &c, &err), &err);
	gs_assert_ok(gs_image_word(img, 0x404000, &word, &err), &err);
	assert_memory_equal(&word, code, 8);
	gs_assert_result(1, gs_image_word(img, 0x40402c, &word, &err), &err); // 4 bytes only
	gs_assert_ok(gs_image_file_bytes(img, 1, 3, &c, &err), &err);
	assert_memory_equal(c.pos, "ELF", 3);
	gs_assert_fails(-GS_E_BAD_DATA, "outside",
			gs_image_file_bytes(img, gs_image_info(img)->file_size + 1, 0, &c, &err),
			&err);
}

/* RELATIVE relocations win over the file's bytes, in order, in disorder, and among others. */
static void test_words(void **state)
{
	static const gs_addr orders[][3] = { { 0x404000, 0x404008, 0x404010 },
					     { 0x404010, 0x404000, 0x404008 } };

	(void)state; // no fixture
	for (int arch = GS_ARCH_AMD64; arch <= GS_ARCH_ARM64; arch++) {
		for (size_t k = 0; k < 2; k++) {
			GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(arch);
			GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
			struct gs_err err;
			uint64_t word;

			for (size_t i = 0; i < 3; i++)
				gs_builder_relative(b, orders[k][i], orders[k][i] * 3);
			gs_builder_break(b, "r_info:1", 1); // not RELATIVE
			img = view(b);
			for (size_t i = 0; i < 3; i++) {
				gs_assert_ok(gs_image_word(img, orders[k][i], &word, &err), &err);
				if (i == 1)
					assert_memory_equal(&word, code + (orders[k][1] & 0xff), 8);
				else
					assert_int_equal(word, orders[k][i] * 3);
			}
			gs_assert_ok(gs_image_word(img, 0x404018, &word, &err), &err);
			assert_memory_equal(&word, code + 0x18, 8);
		}
	}
}

/* All of them RELATIVE and only their order wrong. */
static void test_unordered_words(void **state)
{
	static const gs_addr order[] = { 0x404020, 0x404000, 0x404010, 0x404008, 0x404018 };
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	struct gs_err err;
	uint64_t word;

	(void)state; // no fixture
	for (size_t i = 0; i < GS_ARRAY_SIZE(order); i++)
		gs_builder_relative(b, order[i], order[i] + 1);
	img = view(b);
	for (size_t i = 0; i < GS_ARRAY_SIZE(order); i++) {
		gs_assert_ok(gs_image_word(img, order[i], &word, &err), &err);
		assert_int_equal(word, order[i] + 1);
	}
	gs_assert_ok(gs_image_word(img, 0x404028, &word, &err), &err);
	assert_memory_equal(&word, code + 0x28, 8);
}

/* RELR keeps the addends in the file. */
static void test_relr(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const uint64_t words[] = { 0x404000, 3 };
	struct gs_err err;
	uint64_t word;

	(void)state; // no fixture
	gs_builder_relr(b, words, 2);
	img = view(b);
	gs_assert_ok(gs_image_word(img, 0x404008, &word, &err), &err);
	assert_memory_equal(&word, code + 8, 8);
}

static void test_notes(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	struct gs_cursor c;
	struct gs_err err;

	(void)state; // no fixture
	gs_builder_note(b, "Go", 4, "a/b/c/d", 7);
	gs_builder_note(b, "GNU", 3, "\x01\x02\x03", 3);
	gs_builder_note(b, "GNU", 4, "x", 1);
	img = view(b);
	gs_assert_ok(gs_image_find_note(img, "Go", 4, &c, &err), &err);
	assert_int_equal(gs_cursor_left(&c), 7);
	assert_memory_equal(c.pos, "a/b/c/d", 7);
	gs_assert_ok(gs_image_build_id(img, &c, &err), &err);
	assert_int_equal(gs_cursor_left(&c), 3);
	gs_assert_result(1, gs_image_find_note(img, "Go", 3, &c, &err), &err);
	gs_assert_result(1, gs_image_find_note(img, "GN", 3, &c, &err), &err);
	gs_assert_result(1, gs_image_find_note(img, "GNUX", 3, &c, &err), &err);
}

static void test_dynamic(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	struct gs_err err;
	const char *lib;

	(void)state; // no fixture
	gs_builder_interp(b, "/lib64/ld-linux-x86-64.so.2");
	gs_builder_needed(b, "libc.so.6");
	gs_builder_needed(b, "libm.so.6");
	gs_builder_options(b, GS_BUILD_DYN);
	img = view(b);
	assert_true(gs_image_info(img)->has_interp && gs_image_info(img)->has_dynamic);
	assert_true(gs_image_info(img)->is_pie);
	assert_string_equal(gs_image_info(img)->interp, "/lib64/ld-linux-x86-64.so.2");
	assert_string_equal(gs_image_info(img)->os, "linux");
	gs_assert_ok(gs_image_needed(img, 0, &lib, &err), &err);
	assert_string_equal(lib, "libc.so.6");
	gs_assert_ok(gs_image_needed(img, 1, &lib, &err), &err);
	assert_string_equal(lib, "libm.so.6");
	gs_assert_result(1, gs_image_needed(img, 2, &lib, &err), &err);
}

static void check_os(const char *want, const char *owner, const char *field, uint64_t value)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;

	if (owner)
		gs_builder_note(b, owner, 1, "\0\0\0\0\3\0\0\0", 8);
	gs_builder_break(b, field, value);
	img = view(b);
	if (want)
		assert_string_equal(gs_image_info(img)->os, want);
	else
		assert_null(gs_image_info(img)->os);
}

/* The operating system from the header or a note; nothing where the file says nothing. */
static void test_operating_system(void **state)
{
	(void)state; // no fixture
	check_os("freebsd", NULL, "EI_OSABI", ELFOSABI_FREEBSD);
	check_os("linux", NULL, "EI_OSABI", ELFOSABI_LINUX);
	check_os("netbsd", "NetBSD", "EI_OSABI", 0);
	check_os("linux", "GNU", "EI_OSABI", 0);
	check_os(NULL, "Other", "EI_OSABI", 0);
	check_os(NULL, NULL, "EI_OSABI", 0);
}

static void test_unwind(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;

	(void)state; // no fixture
	gs_builder_section(b, ".eh_frame", 0x406000, GS_IMAGE_READ, code, 16);
	img = view(b);
	assert_true(gs_image_info(img)->has_unwind);
}

/* Symbols from .symtab, .dynsym, and without section headers by either hash table. */
static void test_symbols(void **state)
{
	static const uint32_t kinds[] = { 0, GS_BUILD_NO_SECTIONS,
					  GS_BUILD_NO_SECTIONS | GS_BUILD_GNU_HASH };

	(void)state; // no fixture
	for (size_t k = 0; k < GS_ARRAY_SIZE(kinds); k++) {
		GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
		GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
		struct gs_image_symbol s;
		struct gs_err err;

		gs_builder_options(b, kinds[k]);
		gs_builder_symbol(b, "main.main", 0x401000, 16, true);
		gs_builder_dynamic_symbol(b, "undefined", 0, 0, true);
		gs_builder_dynamic_symbol(b, "exported", 0x404000, 8, false);
		gs_builder_dynamic_symbol(b, "last", 0x401020, 4, true);
		img = view(b);
		gs_assert_result(kinds[k] ? 1 : 0, gs_image_find_symbol(img, "main.main", &s, &err),
				 &err);
		gs_assert_ok(gs_image_find_symbol(img, "exported", &s, &err), &err);
		assert_string_equal(s.name, "exported");
		assert_int_equal(s.addr, 0x404000);
		assert_int_equal(s.size, 8);
		assert_false(s.is_function);
		gs_assert_ok(gs_image_find_symbol(img, "last", &s, &err), &err);
		assert_true(s.is_function);
		gs_assert_result(1, gs_image_find_symbol(img, "undefined", &s, &err), &err);
		gs_assert_result(1, gs_image_find_symbol(img, "", &s, &err), &err);
		for (int i = 0; i < 10; i++) { // scanned, then indexed
			gs_assert_result(1, gs_image_find_symbol(img, "exporte", &s, &err), &err);
			gs_assert_result(1, gs_image_find_symbol(img, "exported2", &s, &err), &err);
		}
		assert_int_equal(gs_image_info(img)->has_symtab, kinds[k] == 0);
	}
}

static void test_extended_numbering(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const struct gs_image_section *s;
	struct gs_err err;

	(void)state; // no fixture
	gs_builder_options(b, GS_BUILD_EXTENDED | GS_BUILD_CORE);
	img = view(b);
	assert_int_equal(gs_image_info(img)->n_sections, 5);
	assert_int_equal(gs_image_info(img)->n_segments, 3);
	assert_true(gs_image_info(img)->is_core);
	gs_assert_ok(gs_image_find_section(img, ".bss", &s, &err), &err);
}

/* Open is lenient, access is strict. */
static void test_truncated(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const struct gs_image_section *s;
	struct gs_cursor c;
	struct gs_err err;

	(void)state; // no fixture
	gs_builder_break(b, "sh_size:.data", 0x10000);
	gs_builder_break(b, "sh_offset:.text", UINT64_MAX);
	gs_builder_break(b, "p_offset:0", 0x100000);
	gs_builder_break(b, "p_filesz:1", 0x10000);
	gs_builder_break(b, "p_memsz:1", 0x10000);
	img = view(b);
	gs_assert_ok(gs_image_find_section(img, ".data", &s, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "section .data", gs_image_section_bytes(img, s, &c, &err),
			&err);
	gs_assert_ok(gs_image_find_section(img, ".text", &s, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "truncated", gs_image_section_bytes(img, s, &c, &err),
			&err);
	gs_assert_fails(-GS_E_BAD_DATA, "behind the end", gs_image_at(img, 0x401000, &c, &err),
			&err);
	// A segment that is cut gives what is left of it.
	gs_assert_ok(gs_image_at(img, 0x404000, &c, &err), &err);
	assert_true(gs_cursor_left(&c) >= 48 && gs_cursor_left(&c) < 0x10000);
	assert_memory_equal(c.pos, code, 48);
}

/* Section headers at the end of a cut file: segments still work. */
static void test_headers_cut_off(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const struct gs_image_section *s;
	struct gs_cursor c;
	struct gs_err err;

	(void)state; // no fixture
	gs_builder_truncate(b, 0x150);
	img = view(b);
	assert_int_equal(gs_image_info(img)->n_sections, 0);
	gs_assert_fails(-GS_E_BAD_DATA, "truncated", gs_image_find_section(img, ".text", &s, &err),
			&err);
	gs_assert_ok(gs_image_at(img, 0x401000, &c, &err), &err);
	assert_int_equal(*c.pos, 0xc3);
}

static void test_refused(void **state)
{
	static const struct {
		const char *field, *words;
		uint64_t value;
		int code;
	} cases[] = {
		{ "EI_CLASS", "32-bit", ELFCLASS32, -GS_E_UNSUPPORTED },
		{ "EI_DATA", "big-endian", ELFDATA2MSB, -GS_E_UNSUPPORTED },
		{ "EI_CLASS", "class 9", 9, -GS_E_BAD_DATA },
		{ "e_shentsize", "section headers of 0 bytes", 0, -GS_E_BAD_DATA },
		{ "e_phentsize", "program headers of 55 bytes", 55, -GS_E_BAD_DATA },
		{ "e_phnum", "program headers", 0x7000, -GS_E_BAD_DATA },
		{ "e_phoff", "program headers", UINT64_MAX - 8, -GS_E_BAD_DATA },
	};

	(void)state; // no fixture
	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
		struct gs_err err;

		gs_builder_break(b, cases[i].field, cases[i].value);
		gs_assert_fails(cases[i].code, cases[i].words, view_result(b, &err), &err);
	}
}

/* Damage in a table that is read on demand fails there, again and again the same way. */
static void test_broken_tables(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = small(GS_ARCH_AMD64);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	struct gs_image_symbol s;
	struct gs_cursor c;
	struct gs_err err;
	uint64_t word;

	(void)state; // no fixture
	gs_builder_symbol(b, "a", 0x401000, 1, true);
	gs_builder_note(b, "Go", 4, "id", 2);
	gs_builder_relative(b, 0x404000, 1);
	gs_builder_break(b, "sh_entsize:.symtab", 0);
	gs_builder_break(b, "n_descsz:Go.4", 0xffffffff);
	gs_builder_break(b, "d_val:DT_RELASZ", (uint64_t)1 << 40);
	img = view(b);
	for (int i = 0; i < 2; i++) {
		gs_assert_fails(-GS_E_BAD_DATA, "symbols of 0 bytes",
				gs_image_find_symbol(img, "a", &s, &err), &err);
		gs_assert_fails(-GS_E_BAD_DATA, "notes of small",
				gs_image_find_note(img, "Go", 4, &c, &err), &err);
		gs_assert_fails(-GS_E_BAD_DATA, "relocations of small",
				gs_image_word(img, 0x404000, &word, &err), &err);
	}
}

/* The whole Go image of each release, in each link mode, holds together. */
static void test_go_images(void **state)
{
	static const uint32_t modes[] = { 0, GS_BUILD_GO_PIE, GS_BUILD_GO_PIE_ZERO,
					  GS_BUILD_GO_NO_SECTIONS | GS_BUILD_GO_PIE_ZERO };

	(void)state; // no fixture
	for (unsigned int minor = 18; minor <= 27; minor++) {
		for (size_t m = 0; m < GS_ARRAY_SIZE(modes); m++) {
			GS_CLEANUP(gs_builder_freep) struct gs_builder *b = NULL;
			GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
			struct gs_build_go go = *gs_build_go_sample();
			struct gs_build_go_places at;
			struct gs_cursor c;
			struct gs_err err;
			uint64_t word;
			uint32_t magic;

			go.minor = minor;
			b = gs_build_go_image(&go, GS_IMAGE_ELF, modes[m], &at);
			img = view(b);
			gs_assert_ok(gs_image_word(img, at.moduledata, &word, &err), &err);
			assert_int_equal(word, at.pclntab);
			gs_assert_ok(gs_image_at(img, at.pclntab, &c, &err), &err);
			gs_assert_ok(gs_cursor_u32(&c, &magic, &err), &err);
			assert_int_equal(magic, minor < 20 ? 0xfffffff0 : 0xfffffff1);
			gs_assert_ok(gs_image_find_note(img, "Go", 4, &c, &err), &err);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_unordered_words),
		cmocka_unit_test(test_relr),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_dynamic),
		cmocka_unit_test(test_operating_system),
		cmocka_unit_test(test_unwind),
		cmocka_unit_test(test_symbols),
		cmocka_unit_test(test_extended_numbering),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_headers_cut_off),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_broken_tables),
		cmocka_unit_test(test_overlapping_notes),
		cmocka_unit_test(test_go_images),
	};

	return gs_test_main(tests);
}
