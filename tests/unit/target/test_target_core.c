/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Core files written by tests/lib/core_builder: what is in them, what is missing, what is broken. */
#include "test.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sigbus.h"
#include "core_builder.h"
#include "target/target_private.h"

#define PAGE 4096

static uint8_t pages[4][PAGE];
static char dir[] = "/tmp/gosonde-core-XXXXXX";

static int make_dir(void **state)
{
	for (size_t i = 0; i < sizeof(pages); i++)
		((uint8_t *)pages)[i] = (uint8_t)(i * 31 + i / PAGE);
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return rmdir(dir);
}

static int open_cut(struct gs_core_builder *b, size_t size, const char *exe, struct gs_target **ret,
		    struct gs_err *err)
{
	int fd = gs_core_builder_memfd(b, size),
	    r = gs__target_open_core_fd(fd, "test.core", exe, ret, err);

	close(fd);
	return r;
}

static struct gs_target *open_core(struct gs_core_builder *b)
{
	struct gs_target *t = NULL;
	struct gs_err err;

	gs_assert_ok(open_cut(b, 0, NULL, &t, &err), &err);
	return t;
}

static int read_at(struct gs_target *t, gs_addr addr, void *buf, size_t n)
{
	return gs_memory_read(gs_target_memory(t), addr, buf, n, NULL);
}

static void test_memory(void **state)
{
	GS_CLEANUP(gs_core_builder_freep)
	struct gs_core_builder *b = gs_core_builder_new(GS_ARCH_AMD64);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	uint8_t buf[3 * PAGE];
	struct gs_read batch[] = {
		{ .addr = 0x20000, .buf = buf, .len = 8 },
		{ .addr = 0x30000, .buf = buf + 8, .len = 8 },
		{ .addr = 0x20010, .buf = buf + 16, .len = 8 },
		{ .addr = 0x11ff8, .buf = buf + 24, .len = 16 },
	};
	const struct gs_map *m;
	struct gs_err err;
	size_t n;

	// Not in order; two of them adjacent; one only partly dumped.
	gs_core_builder_segment(b, 0x20000, pages[2], PAGE, 2 * PAGE, PF_R | PF_W);
	gs_core_builder_segment(b, 0x10000, pages[0], PAGE, PAGE, PF_R);
	gs_core_builder_segment(b, 0x11000, pages[1], PAGE, PAGE, PF_R | PF_X);
	t = open_core(b);

	assert_int_equal(read_at(t, 0x10000, buf, 2 * PAGE), 0);
	assert_memory_equal(buf, pages[0], 2 * PAGE);
	assert_int_equal(read_at(t, 0x10fff, buf, 2), 0);
	assert_int_equal(buf[1], pages[1][0]);
	assert_int_equal(read_at(t, 0xffff, buf, 2), -GS_E_FAULT);
	assert_int_equal(read_at(t, 0x20ff8, buf, 8), 0);
	assert_int_equal(read_at(t, 0x20ff8, buf, 9), -GS_E_FAULT);
	assert_int_equal(read_at(t, UINT64_MAX, buf, 2), -GS_E_FAULT);
	assert_int_equal(read_at(t, 0, buf, 0), 0);
	gs_assert_ok(gs_target_memory(t)->readv(gs_target_memory(t)->ctx, batch, 4, &err), &err);
	assert_int_equal(batch[0].result, 0);
	assert_int_equal(batch[1].result, -GS_E_FAULT);
	assert_int_equal(batch[2].result, 0);
	assert_int_equal(batch[3].result, -GS_E_FAULT);
	assert_memory_equal(buf + 16, pages[2] + 16, 8);

	m = gs_target_maps(t, &n);
	assert_int_equal(n, 3);
	assert_int_equal(m[0].start, 0x10000);
	assert_int_equal(m[2].end, 0x22000);
	assert_int_equal(m[2].prot, GS_IMAGE_READ | GS_IMAGE_WRITE);
	assert_ptr_equal(gs_target_map_at(t, 0x21fff), &m[2]);
	assert_int_equal(gs_target_missing_bytes(t), 0);
	assert_int_equal(gs_target_kind(t), GS_TARGET_CORE);
	assert_null(gs_target_image(t));
	assert_int_equal(gs_target_now_ns(t), 0);
	gs_assert_ok(gs_target_alive(t, &err), &err);
}

static void two_threads(struct gs_core_builder *b)
{
	struct gs_core_builder_regs one = { 1, 2, 3, 4, 5, 6 }, two = { 11, 12, 13, 14, 15, 16 };

	gs_core_builder_thread(b, 4712, &one);
	gs_core_builder_thread(b, 4711, &two);
	gs_core_builder_psinfo(b, 4711, "shop");
	gs_core_builder_auxv(b, AT_PAGESZ, PAGE);
	gs_core_builder_auxv(b, AT_ENTRY, 0x401000);
	gs_core_builder_segment(b, 0x10000, pages[0], PAGE, PAGE, PF_R);
}

static void check_threads(enum gs_arch arch)
{
	GS_CLEANUP(gs_core_builder_freep) struct gs_core_builder *b = gs_core_builder_new(arch);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	const struct gs_thread *th;
	struct gs_err err;
	uint64_t v = 0;
	size_t n;

	two_threads(b);
	t = open_core(b);
	assert_int_equal(gs_target_arch(t), arch);
	gs_assert_ok(gs_target_threads(t, &th, &n, &err), &err);
	assert_int_equal(n, 2);
	assert_int_equal(th[0].tid, 4712);
	assert_string_equal(th[0].name, "");
	assert_true(th[0].has_regs && th[1].has_regs);
	assert_int_equal(th[0].regs.pc, 1);
	assert_int_equal(th[0].regs.tls, 6);
	assert_int_equal(th[1].tid, 4711);
	assert_string_equal(th[1].name, "shop");
	assert_int_equal(th[1].regs.pc, 11);
	assert_int_equal(th[1].regs.sp, 12);
	assert_int_equal(th[1].regs.bp, 13);
	assert_int_equal(th[1].regs.lr, arch == GS_ARCH_ARM64 ? 14 : 0);
	assert_int_equal(th[1].regs.g, 15);
	assert_int_equal(th[1].regs.tls, 16);
	// Registers of the builder: general ones are their number in the set, vector ones too.
	assert_int_equal(th[1].regs.general[14], 0xdead000e);
	assert_int_equal(th[1].regs.general[arch == GS_ARCH_ARM64 ? 30 : 1],
			 arch == GS_ARCH_ARM64 ? 14 : 15);
	assert_int_equal(th[1].regs.vector[0], 0xfeed0000 + (arch == GS_ARCH_ARM64 ? 0 : 160 / 8));
	assert_int_equal(th[1].regs.vector[32],
			 0xfeed0000 + (arch == GS_ARCH_ARM64 ? 32 : 576 / 8));
	assert_int_equal(th[1].regs.vector[63],
			 0xfeed0000 + (arch == GS_ARCH_ARM64 ? 63 : 824 / 8));
	assert_int_equal(gs_target_identity(t)->pid, 4711);
	gs_assert_ok(gs_target_auxv(t, AT_ENTRY, &v, &err), &err);
	assert_int_equal(v, 0x401000);
	gs_assert_result(1, gs_target_auxv(t, AT_PHDR, &v, &err), &err);
}

static void test_threads_amd64(void **state)
{
	check_threads(GS_ARCH_AMD64);
}

static void test_threads_arm64(void **state)
{
	check_threads(GS_ARCH_ARM64);
}

/* ---- the executable ---- */

#define EXE_ENTRY 0x401000u

/* A non-stripped-down ELF: header, PT_NOTE with a GNU build id, PT_LOADs of two pages. */
static void make_exe(uint8_t out[2 * PAGE], uint16_t type, uint8_t id, gs_addr base)
{
	Elf64_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			  .e_type = type,
			  .e_machine = EM_X86_64,
			  .e_version = EV_CURRENT,
			  .e_entry = base + PAGE,
			  .e_phoff = sizeof(eh),
			  .e_ehsize = sizeof(eh),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 3,
			  .e_shentsize = sizeof(Elf64_Shdr) };
	Elf64_Phdr ph[3] = {
		{ PT_NOTE, PF_R, 0x200, base + 0x200, base + 0x200, 36, 36, 4 },
		{ PT_LOAD, PF_R, 0, base, base, PAGE, PAGE, PAGE },
		{ PT_LOAD, PF_R | PF_X, PAGE, base + PAGE, base + PAGE, PAGE, PAGE, PAGE },
	};
	Elf64_Nhdr note = { 4, 20, NT_GNU_BUILD_ID };

	memcpy(out, pages[2], 2 * PAGE);
	memcpy(out, &eh, sizeof(eh));
	memcpy(out + sizeof(eh), ph, sizeof(ph));
	memcpy(out + 0x200, &note, sizeof(note));
	memcpy(out + 0x20c, "GNU", 4);
	memset(out + 0x210, id, 20);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* A process that ran @exe, loaded at @bias; only the first page of it was dumped. */
static struct gs_core_builder *core_of(const uint8_t exe[2 * PAGE], gs_addr base, uint64_t bias,
				       const char *path)
{
	struct gs_core_builder *b = gs_core_builder_new(GS_ARCH_AMD64);

	gs_core_builder_psinfo(b, 77, "exe");
	gs_core_builder_auxv(b, AT_PHDR, bias + base + sizeof(Elf64_Ehdr));
	gs_core_builder_auxv(b, AT_ENTRY, bias + base + PAGE);
	gs_core_builder_file(b, bias + base, bias + base + PAGE, 0, path);
	gs_core_builder_file(b, bias + base + PAGE, bias + base + 2 * PAGE, PAGE, path);
	gs_core_builder_file(b, bias + base + 2 * PAGE, bias + base + 3 * PAGE, PAGE, path);
	gs_core_builder_segment(b, bias + base, exe, PAGE, PAGE, PF_R);
	gs_core_builder_segment(b, bias + base + PAGE, NULL, 0, PAGE, PF_R | PF_X);
	gs_core_builder_segment(b, bias + base + 2 * PAGE, NULL, 0, PAGE, PF_R | PF_W);
	return b;
}

static void exe_path(char *dst, size_t size, const char *name)
{
	snprintf(dst, size, "%s/%s", dir, name);
}

static void check_executable(uint16_t type, gs_addr base, uint64_t bias)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	GS_CLEANUP(gs_core_builder_freep) struct gs_core_builder *b = NULL;
	uint8_t exe[2 * PAGE], buf[2 * PAGE];
	char path[128];
	const struct gs_map *m;
	struct stat st;

	make_exe(exe, type, 0xaa, base);
	exe_path(path, sizeof(path), "app");
	write_file(path, exe, sizeof(exe));
	b = core_of(exe, base, bias, path);
	t = open_core(b);
	assert_non_null(gs_target_image(t));
	assert_int_equal(gs_target_bias(t), bias);
	assert_string_equal(gs_target_identity(t)->executable, path);
	assert_false(gs_target_identity(t)->exe_deleted);
	assert_int_equal(fstat(gs_target_exe_fd(t), &st), 0);
	assert_int_equal(st.st_size, sizeof(exe));
	// Across the end of what was dumped.
	assert_int_equal(read_at(t, bias + base, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, exe, sizeof(buf));
	assert_int_equal(read_at(t, bias + base + 2 * PAGE - 1, buf, 1), 0);
	// Writable memory that was left out is lost, whatever lies behind it.
	assert_int_equal(read_at(t, bias + base + 2 * PAGE, buf, 1), -GS_E_FAULT);
	m = gs_target_map_at(t, bias + base + PAGE);
	assert_string_equal(m->path, path);
	assert_int_equal(m->offset, PAGE);
	unlink(path);
}

static void test_executable(void **state)
{
	check_executable(ET_EXEC, 0x400000, 0);
	check_executable(ET_DYN, 0, 0x555555554000);
	check_executable(ET_DYN, 0x10000, 0x7f0000000000);
}

static void test_wrong_executable(void **state)
{
	GS_CLEANUP(gs_core_builder_freep) struct gs_core_builder *b = NULL;
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	uint8_t exe[2 * PAGE], other[2 * PAGE];
	char path[128], right[128];
	struct gs_err err;

	make_exe(exe, ET_EXEC, 0xaa, 0x400000);
	make_exe(other, ET_EXEC, 0xbb, 0x400000);
	exe_path(path, sizeof(path), "app");
	exe_path(right, sizeof(right), "app.old");
	write_file(path, other, sizeof(other));
	write_file(right, exe, sizeof(exe));
	b = core_of(exe, 0x400000, 0, path);
	gs_assert_fails(-GS_E_BAD_DATA, "it has the GNU build id bbbbbbbb",
			open_cut(b, 0, NULL, &t, &err), &err);
	assert_non_null(strstr(err.text, "the core the GNU build id aaaaaaaa"));
	assert_non_null(strstr(err.text, "--exe"));
	gs_assert_fails(-GS_E_BAD_DATA, "--exe", open_cut(b, 0, path, &t, &err), &err);
	gs_assert_ok(open_cut(b, 0, right, &t, &err), &err);
	assert_string_equal(gs_target_identity(t)->executable, path); // as the target saw it
	t = gs_target_free(t);

	// No build id: the headers decide.
	memset(exe + 0x200, 0, 36);
	memset(other + 0x200, 0, 36);
	other[24] ^= 0x10; // e_entry
	write_file(path, other, sizeof(other));
	b = gs_core_builder_free(b);
	b = core_of(exe, 0x400000, 0, path);
	gs_assert_fails(-GS_E_BAD_DATA, "headers differ", open_cut(b, 0, NULL, &t, &err), &err);

	// Nothing of the file in the core: what the auxiliary vector says of it has to fit.
	gs_core_builder_break(b, "phdr1.p_filesz", 0);
	gs_assert_fails(-GS_E_BAD_DATA, "lie elsewhere", open_cut(b, 0, path, &t, &err), &err);

	// Then the date decides, or the user.
	other[24] ^= 0x10;
	write_file(path, other, sizeof(other));
	gs_assert_ok(open_cut(b, 0, path, &t, &err), &err);
	t = gs_target_free(t);
	{
		struct timespec future[2] = { { .tv_sec = 4000000000 }, { .tv_sec = 4000000000 } };

		assert_int_equal(utimensat(AT_FDCWD, path, future, 0), 0);
	}
	gs_assert_fails(-GS_E_BAD_DATA, "younger than the core", open_cut(b, 0, NULL, &t, &err),
			&err);
	unlink(path);
	unlink(right);
}

static void test_no_executable(void **state)
{
	GS_CLEANUP(gs_core_builder_freep) struct gs_core_builder *b = NULL;
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	uint8_t exe[2 * PAGE], buf[8];
	char fifo[128];
	struct gs_err err;

	make_exe(exe, ET_EXEC, 0xaa, 0x400000);
	b = core_of(exe, 0x400000, 0, "/nowhere/app (deleted)");
	t = open_core(b);
	assert_null(gs_target_image(t));
	assert_string_equal(gs_target_identity(t)->executable, "/nowhere/app");
	assert_true(gs_target_identity(t)->exe_deleted);
	assert_int_equal(read_at(t, 0x400000, buf, 8), 0);
	assert_int_equal(read_at(t, 0x401000, buf, 8), -GS_E_FAULT);
	t = gs_target_free(t);
	gs_assert_fails(-ENOENT, "/nowhere/x", open_cut(b, 0, "/nowhere/x", &t, &err), &err);
	gs_assert_fails(-EINVAL, "not a regular file", open_cut(b, 0, "/dev/null", &t, &err), &err);
	// A FIFO at the name must neither hang nor be opened.
	b = gs_core_builder_free(b);
	exe_path(fifo, sizeof(fifo), "fifo");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	b = core_of(exe, 0x400000, 0, fifo);
	t = open_core(b);
	assert_null(gs_target_image(t));
	unlink(fifo);
}

static void test_without_file_notes(void **state)
{
	GS_CLEANUP(gs_core_builder_freep)
	struct gs_core_builder *b = gs_core_builder_new(GS_ARCH_AMD64);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	uint8_t exe[2 * PAGE], buf[PAGE];
	gs_addr bias = 0x4000000000;
	struct gs_err err;
	char path[128];

	make_exe(exe, ET_DYN, 0xaa, 0);
	exe_path(path, sizeof(path), "app");
	write_file(path, exe, sizeof(exe));
	gs_core_builder_auxv(b, AT_PHDR, bias + sizeof(Elf64_Ehdr));
	gs_core_builder_segment(b, bias, exe, PAGE, PAGE, PF_R);
	gs_core_builder_segment(b, bias + PAGE, NULL, 0, PAGE, PF_R | PF_X);
	t = open_core(b);
	assert_null(gs_target_image(t));
	t = gs_target_free(t);
	gs_assert_ok(open_cut(b, 0, path, &t, &err), &err);
	assert_int_equal(gs_target_bias(t), bias);
	assert_string_equal(gs_target_identity(t)->executable, path);
	assert_int_equal(read_at(t, bias + PAGE, buf, PAGE), 0);
	assert_memory_equal(buf, exe + PAGE, PAGE);
	unlink(path);
}

/* A library and a data file, opened when they are needed. */
static void test_libraries(void **state)
{
	GS_CLEANUP(gs_core_builder_freep)
	struct gs_core_builder *b = gs_core_builder_new(GS_ARCH_AMD64);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	uint8_t lib[2 * PAGE], old[2 * PAGE], buf[PAGE];
	char a[128], c[128];

	make_exe(lib, ET_DYN, 1, 0);
	make_exe(old, ET_DYN, 2, 0);
	exe_path(a, sizeof(a), "a.so");
	exe_path(c, sizeof(c), "c.so");
	write_file(a, lib, sizeof(lib));
	write_file(c, lib, sizeof(lib)); // replaced since: the core saw old
	gs_core_builder_file(b, 0x10000, 0x12000, 0, a);
	gs_core_builder_file(b, 0x20000, 0x22000, 0, c);
	gs_core_builder_file(b, 0x30000, 0x33000, 0, a); // longer than the file
	gs_core_builder_segment(b, 0x10000, lib, PAGE, 2 * PAGE, PF_R | PF_X);
	gs_core_builder_segment(b, 0x20000, old, PAGE, 2 * PAGE, PF_R | PF_X);
	gs_core_builder_segment(b, 0x30000, NULL, 0, 3 * PAGE, PF_R);
	t = open_core(b);
	assert_int_equal(read_at(t, 0x11000, buf, PAGE), 0);
	assert_memory_equal(buf, lib + PAGE, PAGE);
	assert_int_equal(read_at(t, 0x21000, buf, 1), -GS_E_FAULT);
	assert_int_equal(read_at(t, 0x31fff, buf, 1), 0);
	assert_int_equal(read_at(t, 0x31fff, buf, 2), -GS_E_FAULT);
	unlink(a);
	unlink(c);
}

/* ---- broken ---- */

static void test_not_a_core(void **state)
{
	static const struct {
		const char *field, *words;
		uint64_t value;
		int code;
	} cases[] = {
		{ "e_type", "not a core file", ET_EXEC, -GS_E_UNSUPPORTED },
		{ "e_class", "32-bit", ELFCLASS32, -GS_E_UNSUPPORTED },
		{ "e_data", "big-endian", ELFDATA2MSB, -GS_E_UNSUPPORTED },
		{ "e_machine", "ELF machine 243", EM_RISCV, -GS_E_UNSUPPORTED },
		{ "e_phentsize", "program headers of 0 bytes", 0, -GS_E_BAD_DATA },
		{ "e_phoff", "offset", 1 << 30, -GS_E_BAD_DATA },
	};
	GS_CLEANUP(gs_core_builder_freep)
	struct gs_core_builder *b = gs_core_builder_new(GS_ARCH_AMD64);
	struct gs_target *t = NULL;
	struct gs_err err;
	int fd;

	two_threads(b);
	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		gs_core_builder_mend(b);
		gs_core_builder_break(b, cases[i].field, cases[i].value);
		gs_assert_fails(cases[i].code, cases[i].words, open_cut(b, 0, NULL, &t, &err),
				&err);
	}
	fd = memfd_create("empty", 0);
	gs_assert_fails(-GS_E_BAD_DATA, "is empty",
			gs__target_open_core_fd(fd, "x", NULL, &t, &err), &err);
	assert_int_equal(write(fd, "hello, this is text", 19), 19);
	gs_assert_fails(-GS_E_BAD_DATA, "not an ELF",
			gs__target_open_core_fd(fd, "x", NULL, &t, &err), &err);
	close(fd);
	gs_assert_fails(-GS_E_NOT_FOUND, "/nowhere/core",
			gs_target_open_core("/nowhere/core", NULL, &t, &err), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "not a regular file",
			gs_target_open_core("/tmp", NULL, &t, &err), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "not a regular file",
			gs_target_open_core("/dev/zero", NULL, &t, &err), &err);
}

/* Touch everything an opened core offers. Results do not matter, survival does. */
static void use(struct gs_target *t)
{
	const struct gs_thread *th;
	const struct gs_map *m;
	uint8_t buf[64];
	size_t n;

	m = gs_target_maps(t, &n);
	for (size_t i = 0; i < n; i++) {
		(void)read_at(t, m[i].start, buf, sizeof(buf));
		(void)read_at(t, m[i].end - 8, buf, sizeof(buf));
		assert_non_null(m[i].path);
		assert_true(i == 0 || m[i - 1].end <= m[i].start);
	}
	assert_int_equal(gs_target_threads(t, &th, &n, NULL), 0);
	for (size_t i = 0; i < n; i++)
		assert_true(memchr(th[i].name, 0, sizeof(th[i].name)) != NULL);
	(void)!gs_target_alive(t, NULL);
}

static struct gs_core_builder *rich_core(enum gs_arch arch)
{
	struct gs_core_builder *b = gs_core_builder_new(arch);

	two_threads(b);
	gs_core_builder_auxv(b, AT_PHDR, 0x10040);
	gs_core_builder_file(b, 0x10000, 0x11000, 0, "/nowhere/a");
	gs_core_builder_file(b, 0x20000, 0x22000, PAGE, "/nowhere/b");
	gs_core_builder_segment(b, 0x20000, pages[1], 64, PAGE, PF_R);
	gs_core_builder_note(b, "LINUX", 0x202, pages[1], 30);
	return b;
}

static void test_every_field_broken(void **state)
{
	static const uint64_t values[] = { 0,          1,         3,       0x7fffffff, 0xffffffff,
					   UINT64_MAX, INT64_MAX, 0x10000, 0x20fff };
	size_t opened = 0, failed = 0, size;

	for (int arch = GS_ARCH_AMD64; arch <= GS_ARCH_ARM64; arch++) {
		GS_CLEANUP(gs_core_builder_freep)
		struct gs_core_builder *b = rich_core((enum gs_arch)arch);
		const char *field;

		gs_core_builder_finish(b, &size);
		for (size_t i = 0; (field = gs_core_builder_field(b, i)) != NULL; i++) {
			char name[64];

			if (strstr(field, ".reg") && !strstr(field, ".reg1"))
				continue; // any value is right
			snprintf(name, sizeof(name), "%s", field);
			for (size_t k = 0; k < GS_ARRAY_SIZE(values); k++) {
				GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
				struct gs_err err;

				gs_core_builder_mend(b);
				gs_core_builder_break(b, name, values[k]);
				err.text[0] = '\0';
				if (open_cut(b, 0, NULL, &t, &err) == 0) {
					use(t);
					opened++;
				} else {
					assert_string_not_equal(err.text, "");
					failed++;
				}
			}
		}
	}
	assert_true(opened > 100);
	assert_true(failed > 10);
}

static void test_truncated(void **state)
{
	GS_CLEANUP(gs_core_builder_freep) struct gs_core_builder *b = rich_core(GS_ARCH_AMD64);
	size_t size, last_threads = 0, seen[3] = { 0 };
	uint64_t last_missing = UINT64_MAX;

	gs_core_builder_finish(b, &size);
	for (size_t cut = 1; cut <= size; cut += cut < 2048 ? 1 : 61) {
		GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
		const struct gs_thread *th;
		struct gs_err err;
		uint8_t byte;
		size_t n;

		if (open_cut(b, cut, NULL, &t, &err) < 0) {
			assert_true(cut < 64 + 56); // header and first program header
			continue;
		}
		use(t);
		assert_int_equal(gs_target_threads(t, &th, &n, NULL), 0);
		assert_true(n >= last_threads && n <= 2);
		last_threads = n;
		seen[n]++;
		gs_target_maps(t, &n);
		if (n < 2)
			continue;
		assert_true(gs_target_missing_bytes(t) <= last_missing);
		last_missing = gs_target_missing_bytes(t);
		// The last byte that the cut left is there, the next one is not.
		if (cut > size - 64 && cut < size) {
			assert_int_equal(read_at(t, 0x20000 + 63 - (size - cut), &byte, 1), 0);
			assert_int_equal(read_at(t, 0x20000 + 64 - (size - cut), &byte, 1),
					 -GS_E_FAULT);
			assert_int_equal(gs_target_missing_bytes(t), size - cut);
		}
	}
	assert_true(seen[0] && seen[1] && seen[2]);
}

static void test_extended(void **state)
{
	GS_CLEANUP(gs_core_builder_freep) struct gs_core_builder *b = rich_core(GS_ARCH_AMD64);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	struct gs_err err;
	size_t n, size;

	gs_core_builder_extended(b);
	t = open_core(b);
	gs_target_maps(t, &n);
	assert_int_equal(n, 3); // with the tail of a named range that has no segment
	t = gs_target_free(t);
	// Section 0 is the first thing that a cut takes.
	gs_core_builder_finish(b, &size);
	gs_assert_ok(open_cut(b, size - 64, NULL, &t, &err), &err);
	gs_target_maps(t, &n);
	assert_int_equal(n, 3);
	t = gs_target_free(t);
	gs_core_builder_break(b, "shdr0.sh_info", 0xfffffff0);
	gs_assert_fails(-GS_E_LIMIT, "program headers", open_cut(b, 0, NULL, &t, &err), &err);
}

static void test_shrinks_while_open(void **state)
{
	GS_CLEANUP(gs_core_builder_freep)
	struct gs_core_builder *b = gs_core_builder_new(GS_ARCH_AMD64);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	uint8_t buf[PAGE];
	struct gs_err err;
	int fd;

	gs_sigbus_install(); // here, as cmocka sets handlers of its own before every test
	gs_core_builder_segment(b, 0x10000, pages, sizeof(pages), sizeof(pages), PF_R);
	fd = gs_core_builder_memfd(b, 0);
	gs_assert_ok(gs__target_open_core_fd(fd, "test.core", NULL, &t, &err), &err);
	assert_int_equal(ftruncate(fd, 100), 0);
	gs_assert_fails(-GS_E_GONE, "cut short",
			gs_memory_read(gs_target_memory(t), 0x12000, buf, PAGE, &err), &err);
	gs_assert_fails(-GS_E_GONE, "cut short", gs_target_alive(t, &err), &err);
	close(fd);
}

static void test_limits(void **state)
{
	GS_CLEANUP(gs_core_builder_freep) struct gs_core_builder *b = rich_core(GS_ARCH_AMD64);
	struct gs_target *t = NULL;
	struct gs_err err;

	gs_core_builder_break(b, "files.count", GS__MAX_MAPS + 1);
	gs_assert_fails(-GS_E_LIMIT, "mapped files", open_cut(b, 0, NULL, &t, &err), &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_threads_amd64),
		cmocka_unit_test(test_threads_arm64),
		cmocka_unit_test(test_executable),
		cmocka_unit_test(test_wrong_executable),
		cmocka_unit_test(test_no_executable),
		cmocka_unit_test(test_without_file_notes),
		cmocka_unit_test(test_libraries),
		cmocka_unit_test(test_not_a_core),
		cmocka_unit_test(test_every_field_broken),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_extended),
		cmocka_unit_test(test_shrinks_while_open),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
