/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Layouts from DWARF written by hand, as the Go linker writes it, and broken in every way. Real Go
 * binaries are compared with Go's own debug/dwarf by tests/live/test_go_layouts.py.
 */
#include "test.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "golang/layout_internal.h"
#include "image_builder.h"

static const struct gs__sandbox_limits limits = {
	.memory_bytes = 1ULL << 30,
	.cpu_seconds = 2,
	.wall_ns = 400000000LL,
};

/* Numbers of the entries in the abbreviation table below. */
enum { UNIT = 1, STRUCT, MEMBER, TYPEDEF, BASE, LOOP };

static const uint8_t abbrevs[] = {
	UNIT,    0x11, 1, 0x03, 0x08, 0,    0,                      /* name */
	STRUCT,  0x13, 1, 0x03, 0x08, 0x0b, 0x0f, 0,    0,          /* name, byte_size udata */
	MEMBER,  0x0d, 0, 0x03, 0x08, 0x38, 0x0f, 0x49, 0x13, 0, 0, /* name, location udata, type */
	TYPEDEF, 0x16, 0, 0x03, 0x08, 0x49, 0x13, 0,    0,          /* name, type ref4 */
	BASE,    0x24, 0, 0x03, 0x08, 0x0b, 0x0f, 0,    0,          /* name, byte_size */
	LOOP,    0x13, 1, 0x03, 0x08, 0x01, 0x13, 0,    0,          /* name, sibling ref4 */
	0,
};

/* .debug_info being written. */
struct info {
	uint8_t bytes[4096];
	size_t n;
};

static void put(struct info *i, uint64_t v, size_t n)
{
	memcpy(i->bytes + i->n, &v, n);
	i->n += n;
}

static void uleb(struct info *i, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		put(i, 0x80 | (v & 0x7f), 1);
	put(i, v, 1);
}

static uint32_t die(struct info *i, int abbrev, const char *name)
{
	uint32_t at = (uint32_t)i->n;

	put(i, (uint64_t)abbrev, 1);
	memcpy(i->bytes + i->n, name, strlen(name) + 1);
	i->n += strlen(name) + 1;
	return at;
}

static void member(struct info *i, const char *name, uint64_t location, uint32_t type)
{
	die(i, MEMBER, name);
	uleb(i, location);
	put(i, type, 4);
}

static uint32_t begin_struct(struct info *i, const char *name, uint64_t size)
{
	uint32_t at = die(i, STRUCT, name);

	uleb(i, size);
	return at;
}

static uint32_t type_def(struct info *i, const char *name, uint32_t type)
{
	uint32_t at = die(i, TYPEDEF, name);

	put(i, type, 4);
	return at;
}

static void begin_unit(struct info *i, unsigned int version, const char *name)
{
	put(i, 0, 4); /* length, see end_unit() */
	put(i, version, 2);
	if (version >= 5) {
		put(i, 1, 1); /* DW_UT_compile */
		put(i, 8, 1);
		put(i, 0, 4);
	} else {
		put(i, 0, 4);
		put(i, 8, 1);
	}
	die(i, UNIT, name);
}

static void end_unit(struct info *i, size_t start)
{
	uint32_t length;

	put(i, 0, 1);
	length = (uint32_t)(i->n - start - 4);
	memcpy(i->bytes + start, &length, 4);
}

/* What can be wrong with the description. */
struct fault {
	uint64_t goid_at, g_size, stack_hi_at;
	bool no_goid, loop, no_g;
	const char *unit;
};

static const struct fault fine = {
	.goid_at = 152, .g_size = 456, .stack_hi_at = 8, .unit = "runtime"
};

static void write_info(struct info *i, unsigned int version, const struct fault *f)
{
	uint32_t word, stack, gobuf, self;

	i->n = 0;
	begin_unit(i, version, f->unit);
	die(i, BASE, "uint64");
	put(i, 8, 1);
	word = (uint32_t)i->n - 9;
	stack = begin_struct(i, "runtime.stack", 16);
	member(i, "lo", 0, word);
	member(i, "hi", f->stack_hi_at, word);
	put(i, 0, 1);
	stack = type_def(i, "runtime.stack", stack);
	gobuf = begin_struct(i, "runtime.gobuf", 56);
	member(i, "sp", 0, word);
	member(i, "pc", 8, word);
	put(i, 0, 1);
	gobuf = type_def(i, "runtime.gobuf2", type_def(i, "runtime.gobuf", gobuf));
	self = type_def(i, "runtime.self", (uint32_t)i->n);
	if (!f->no_g) {
		begin_struct(i, "runtime.g", f->g_size);
		member(i, "stack", 0, stack);
		member(i, "m", 48, word);
		member(i, "sched", 56, f->loop ? self : gobuf);
		member(i, "atomicstatus", 144, word);
		if (!f->no_goid)
			member(i, "goid", f->goid_at, word);
		member(i, "waitreason", 176, word);
		put(i, 0, 1);
	}
	begin_struct(i, "runtime.m", 1800);
	member(i, "curg", 184, word);
	put(i, 0, 1);
	end_unit(i, 0);
}

static int file_of(const void *bytes, size_t n)
{
	int fd = memfd_create("dwarf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
}

static int run_bytes(const void *bytes, size_t n, struct gs_go_layout *l, struct gs_err *err)
{
	int fd = file_of(bytes, n), before = gs_test_open_fds(), r;

	err->text[0] = '\0';
	r = gs__go_layout_dwarf_limited(fd, &limits, l, err);
	assert_int_equal(gs_test_open_fds(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	close(fd);
	return r;
}

/* An ELF file around @info. @chdr: compress, with this claimed size (0: the real one). */
static struct gs_builder *elf(const struct info *info, bool compressed, uint64_t claimed)
{
	struct gs_builder *b = gs_builder_new(GS_IMAGE_ELF, GS_ARCH_AMD64);
	static const uint8_t code[16];

	gs_builder_section(b, ".text", 0x401000, GS_IMAGE_READ | GS_IMAGE_EXEC, code, sizeof(code));
	gs_builder_section(b, ".debug_abbrev", 0, GS_IMAGE_READ, abbrevs, sizeof(abbrevs));
	if (compressed) {
		uint8_t z[8192];
		Elf64_Chdr *h = (Elf64_Chdr *)z;
		uLongf n = sizeof(z) - sizeof(*h);

		*h = (Elf64_Chdr){ .ch_type = ELFCOMPRESS_ZLIB,
				   .ch_size = claimed ? claimed : info->n,
				   .ch_addralign = 1 };
		assert_int_equal(compress(z + sizeof(*h), &n, info->bytes, info->n), Z_OK);
		gs_builder_section(b, ".debug_info", 0, GS_IMAGE_READ | GS_IMAGE_COMPRESSED, z,
				   sizeof(*h) + n);
	} else {
		gs_builder_section(b, ".debug_info", 0, GS_IMAGE_READ, info->bytes, info->n);
	}
	return b;
}

static int run_info(const struct info *info, bool compressed, uint64_t claimed,
		    struct gs_go_layout *l, struct gs_err *err)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = elf(info, compressed, claimed);
	const uint8_t *bytes;
	size_t n;

	bytes = gs_builder_finish(b, &n);
	return run_bytes(bytes, n, l, err);
}

static int run(const struct fault *f, struct gs_go_layout *l, struct gs_err *err)
{
	struct info info;

	write_info(&info, 4, f);
	return run_info(&info, false, 0, l, err);
}

static void start_with(struct gs_go_layout *l)
{
	gs_assert_ok(gs_go_layout_table(19, GS_ARCH_AMD64, l, &(struct gs_err){ 0 }),
		     &(struct gs_err){ 0 });
}

static void reads_versions_and_compression(void **state)
{
	for (unsigned int version = 4; version <= 5; version++)
		for (int compressed = 0; compressed < 2; compressed++) {
			struct gs_go_layout l, table;
			struct info info;
			struct gs_err err;

			start_with(&l);
			table = l;
			write_info(&info, version, &fine);
			gs_assert_ok(run_info(&info, compressed, 0, &l, &err), &err);
			assert_int_equal(l.source, GS_GO_LAYOUT_DWARF);
			assert_int_equal(l.offset[GS_GO_G_SIZE], 456);
			assert_int_equal(l.offset[GS_GO_G_STACK_HI], 8);
			assert_int_equal(l.offset[GS_GO_G_SCHED_PC], 64);
			assert_int_equal(l.offset[GS_GO_G_GOID], 152);
			assert_int_equal(l.offset[GS_GO_M_CURG], 184);
			/* the structure is there, the field is not */
			assert_int_equal(table.offset[GS_GO_G_GOPC], 296);
			assert_int_equal(l.offset[GS_GO_G_GOPC], GS_GO_NO_FIELD);
			/* the structure is not there */
			assert_int_equal(l.offset[GS_GO_P_STATUS], table.offset[GS_GO_P_STATUS]);
			assert_ptr_equal(l.wait_reasons, table.wait_reasons);
			assert_int_equal(l.minor, table.minor);
		}
}

/* @f has to be refused with @words and may not change the layout. */
static void refused(const struct fault *f, const char *words)
{
	struct gs_go_layout l, before;
	struct gs_err err;

	start_with(&l);
	before = l;
	gs_assert_fails(-GS_E_BAD_DATA, words, run(f, &l, &err), &err);
	assert_memory_equal(&l, &before, sizeof(l));
}

static void refuses_nonsense(void **state)
{
	struct fault f = fine;

	f.no_goid = true;
	refused(&f, "runtime.g goid");
	f = fine;
	f.goid_at = 460;
	refused(&f, "outside of a structure of 456 bytes");
	f = fine;
	f.goid_at = 1u << 30; /* read as absent */
	refused(&f, "runtime.g goid");
	f = fine;
	f.g_size = 1ULL << 40;
	refused(&f, "runtime.g");
	f = fine;
	f.stack_hi_at = 16;
	refused(&f, "no Go release");
	f = fine;
	f.loop = true; /* a typedef of itself */
	refused(&f, "runtime.g sched.sp");
	f = fine;
	f.no_g = true;
	refused(&f, "runtime.g");
}

static void nothing_of_go(void **state)
{
	struct fault f = fine;
	struct gs_go_layout l = { 0 };
	struct gs_err err;
	int fd;

	f.unit = "main";
	gs_assert_result(1, run(&f, &l, &err), &err);
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* C, with DWARF */
	gs_assert_result(1, gs_go_layout_dwarf(fd, &l, &err), &err);
	close(fd);
	gs_assert_fails(-GS_E_BAD_DATA, "DWARF", run_bytes("no ELF", 6, &l, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "DWARF", run_bytes("", 0, &l, &err), &err);
	assert_true(gs_go_layout_dwarf(-1, &l, &err) < 0);
}

static void without_debug_sections(void **state)
{
	GS_CLEANUP(gs_builder_freep)
	struct gs_builder *b = gs_builder_new(GS_IMAGE_ELF, GS_ARCH_ARM64);
	static const uint8_t code[16];
	struct gs_go_layout l = { 0 };
	struct gs_err err;
	const uint8_t *bytes;
	size_t n;

	gs_builder_section(b, ".text", 0x401000, GS_IMAGE_READ | GS_IMAGE_EXEC, code, sizeof(code));
	bytes = gs_builder_finish(b, &n);
	gs_assert_result(1, run_bytes(bytes, n, &l, &err), &err);
}

/* A child of a unit that says its next sibling is itself. */
static void endless_siblings(void **state)
{
	struct info i = { .n = 0 };
	struct gs_go_layout l = { 0 };
	struct gs_err err;
	int64_t start = gs_now_ns();
	uint32_t at;

	begin_unit(&i, 4, "runtime");
	at = die(&i, LOOP, "x");
	put(&i, at, 4);
	put(&i, 0, 1);
	end_unit(&i, 0);
	assert_int_not_equal(run_info(&i, false, 0, &l, &err), 0);
	assert_true(gs_now_ns() - start < 3000000000LL);
}

/* A section that claims to hold 1 TB. */
static void decompression_bomb(void **state)
{
	struct gs_go_layout l = { 0 };
	struct info info;
	struct gs_err err;

	write_info(&info, 4, &fine);
	assert_int_not_equal(run_info(&info, true, 1ULL << 40, &l, &err), 0);
	assert_int_not_equal(run_info(&info, true, 900ULL << 20, &l, &err), 0);
}

/* Any outcome but a crash, a hang or an offset beyond the largest structure (runtime.heapArena of Go 1.19: 2 MB). */
static void survive(const void *bytes, size_t n)
{
	struct gs_go_layout l;
	struct gs_err err;

	start_with(&l);
	if (run_bytes(bytes, n, &l, &err) == 0)
		for (int f = 0; f < GS_GO_FIELD_COUNT; f++)
			assert_in_range(l.offset[f] + 1, 0, (4 << 20) + 1);
}

static void every_truncation(void **state)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = NULL;
	struct info info;
	const uint8_t *bytes;
	size_t n;

	write_info(&info, 4, &fine);
	b = elf(&info, false, 0);
	bytes = gs_builder_finish(b, &n);
	for (size_t k = 0; k < n; k += n / 100 + 1)
		survive(bytes, k);
}

static void every_byte_broken(void **state)
{
	struct info good;

	write_info(&good, 5, &fine);
	for (size_t k = 0; k < good.n; k += 2) {
		GS_CLEANUP(gs_builder_freep) struct gs_builder *b = NULL;
		struct info bad = good;
		const uint8_t *bytes;
		size_t n;

		bad.bytes[k] ^= k % 3 ? 0xff : 0x80;
		b = elf(&bad, false, 0);
		bytes = gs_builder_finish(b, &n);
		survive(bytes, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_versions_and_compression),
		cmocka_unit_test(refuses_nonsense),
		cmocka_unit_test(nothing_of_go),
		cmocka_unit_test(without_debug_sections),
		cmocka_unit_test(endless_siblings),
		cmocka_unit_test(decompression_bomb),
		cmocka_unit_test(every_truncation),
		cmocka_unit_test(every_byte_broken),
	};

	return gs_test_main(tests);
}
