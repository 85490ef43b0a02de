/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The file is written twice: offsets and sizes that stand before what they describe are patched in
 * when they are known. put() is the only way a number gets into the file, and gives it a name.
 */
#include "core_builder.h"

#include <elf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"

enum { MAX_ITEMS = 512, NAME_SIZE = 40, EHDR = 64, PHDR = 56, PAGE = 4096 };

struct segment {
	gs_addr addr;
	uint8_t *bytes;
	uint64_t filesz, memsz;
	uint32_t flags;
};

struct thread {
	int32_t tid;
	struct gs_core_builder_regs regs;
};

struct file {
	gs_addr start, end;
	uint64_t offset;
	char path[256];
};

struct note {
	char owner[16];
	uint32_t type;
	uint8_t *desc;
	size_t size;
};

struct gs_core_builder {
	enum gs_arch arch;
	bool extended, has_psinfo;
	int32_t pid;
	char command[16];
	struct segment segments[MAX_ITEMS];
	struct thread threads[MAX_ITEMS];
	struct file files[MAX_ITEMS];
	struct note notes[MAX_ITEMS];
	uint64_t auxv[MAX_ITEMS][2];
	size_t n_segments, n_threads, n_files, n_notes, n_auxv;
	struct {
		char name[NAME_SIZE];
		uint64_t value;
	} breaks[MAX_ITEMS];
	size_t n_breaks;
	char (*fields)[NAME_SIZE];
	size_t n_fields, cap_fields;
	uint8_t *out;
	size_t len, cap;
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static size_t one_more(size_t *n)
{
	if (*n >= MAX_ITEMS)
		abort();
	return (*n)++;
}

static uint8_t *copy(const void *bytes, size_t n)
{
	uint8_t *p = (uint8_t *)must(malloc(n ? n : 1));

	if (n)
		memcpy(p, bytes, n);
	return p;
}

struct gs_core_builder *gs_core_builder_new(enum gs_arch arch)
{
	struct gs_core_builder *b = (struct gs_core_builder *)must(calloc(1, sizeof(*b)));

	b->arch = arch;
	return b;
}

struct gs_core_builder *gs_core_builder_free(struct gs_core_builder *b)
{
	if (!b)
		return NULL;
	for (size_t i = 0; i < b->n_segments; i++)
		free(b->segments[i].bytes);
	for (size_t i = 0; i < b->n_notes; i++)
		free(b->notes[i].desc);
	free(b->fields);
	free(b->out);
	free(b);
	return NULL;
}

void gs_core_builder_segment(struct gs_core_builder *b, gs_addr addr, const void *bytes,
			     uint64_t filesz, uint64_t memsz, uint32_t flags)
{
	b->segments[one_more(&b->n_segments)] =
		(struct segment){ addr, copy(bytes, filesz), filesz, memsz, flags };
}

void gs_core_builder_thread(struct gs_core_builder *b, int32_t tid,
			    const struct gs_core_builder_regs *regs)
{
	b->threads[one_more(&b->n_threads)] = (struct thread){ tid, *regs };
}

void gs_core_builder_psinfo(struct gs_core_builder *b, int32_t pid, const char *command)
{
	b->has_psinfo = true;
	b->pid = pid;
	snprintf(b->command, sizeof(b->command), "%s", command);
}

void gs_core_builder_auxv(struct gs_core_builder *b, uint64_t type, uint64_t value)
{
	size_t i = one_more(&b->n_auxv);

	b->auxv[i][0] = type;
	b->auxv[i][1] = value;
}

void gs_core_builder_file(struct gs_core_builder *b, gs_addr start, gs_addr end, uint64_t offset,
			  const char *path)
{
	struct file *f = &b->files[one_more(&b->n_files)];

	*f = (struct file){ .start = start, .end = end, .offset = offset };
	snprintf(f->path, sizeof(f->path), "%s", path);
}

void gs_core_builder_note(struct gs_core_builder *b, const char *owner, uint32_t type,
			  const void *desc, size_t size)
{
	struct note *n = &b->notes[one_more(&b->n_notes)];

	*n = (struct note){ .type = type, .desc = copy(desc, size), .size = size };
	snprintf(n->owner, sizeof(n->owner), "%s", owner);
}

void gs_core_builder_extended(struct gs_core_builder *b)
{
	b->extended = true;
}

void gs_core_builder_break(struct gs_core_builder *b, const char *name, uint64_t value)
{
	size_t i = one_more(&b->n_breaks);

	snprintf(b->breaks[i].name, NAME_SIZE, "%s", name);
	b->breaks[i].value = value;
}

void gs_core_builder_mend(struct gs_core_builder *b)
{
	b->n_breaks = 0;
}

const char *gs_core_builder_field(const struct gs_core_builder *b, size_t i)
{
	return i < b->n_fields ? b->fields[i] : NULL;
}

/* ---- writing ---- */

static void room(struct gs_core_builder *b, size_t n)
{
	if (b->len + n <= b->cap)
		return;
	b->cap = (b->len + n) * 2;
	b->out = (uint8_t *)must(realloc(b->out, b->cap));
}

static void put_bytes(struct gs_core_builder *b, const void *p, size_t n)
{
	room(b, n);
	if (n)
		memcpy(b->out + b->len, p, n);
	b->len += n;
}

static void put_zeros(struct gs_core_builder *b, size_t n)
{
	room(b, n);
	memset(b->out + b->len, 0, n);
	b->len += n;
}

static void put(struct gs_core_builder *b, size_t width, uint64_t value, const char *fmt, ...)
	__attribute__((__format__(__printf__, 4, 5)));
static void put(struct gs_core_builder *b, size_t width, uint64_t value, const char *fmt, ...)
{
	char name[NAME_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	if (b->n_fields == b->cap_fields) {
		b->cap_fields = b->cap_fields ? b->cap_fields * 2 : 256;
		b->fields = (char(*)[NAME_SIZE])must(
			gs_array_resize(b->fields, b->cap_fields, NAME_SIZE));
	}
	memcpy(b->fields[b->n_fields++], name, NAME_SIZE);
	for (size_t i = 0; i < b->n_breaks; i++) {
		if (strcmp(b->breaks[i].name, name) == 0)
			value = b->breaks[i].value;
	}
	put_bytes(b, &value, width); // little-endian, as the host is
}

static void note_head(struct gs_core_builder *b, const char *owner, const char *name, uint32_t type,
		      size_t size)
{
	size_t n = strlen(owner) + 1;

	put(b, 4, n, "%s.n_namesz", name);
	put(b, 4, size, "%s.n_descsz", name);
	put(b, 4, type, "%s.n_type", name);
	put_bytes(b, owner, n);
	put_zeros(b, -n & 3);
}

/* Vector registers as the kernel writes them: word w of the set is 0xfeed0000 + w. */
static void put_vector(struct gs_core_builder *b, size_t i)
{
	bool amd64 = b->arch == GS_ARCH_AMD64;
	uint64_t set[832 / 8];
	size_t size = amd64 ? sizeof(set) : 528;
	char name[NAME_SIZE];

	for (size_t w = 0; w < sizeof(set) / sizeof(set[0]); w++)
		set[w] = 0xfeed0000 + w;
	snprintf(name, sizeof(name), "vector%zu", i);
	note_head(b, amd64 ? "LINUX" : "CORE", name, amd64 ? NT_X86_XSTATE : NT_FPREGSET,
		  (uint32_t)size);
	put_bytes(b, set, size);
}

/* struct elf_prstatus: 112 bytes, the registers, pr_fpvalid, padding to 8. */
static void put_prstatus(struct gs_core_builder *b, size_t i)
{
	const struct thread *t = &b->threads[i];
	const struct gs_core_builder_regs *r = &t->regs;
	bool amd64 = b->arch == GS_ARCH_AMD64;
	size_t words = amd64 ? 27 : 34;
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "thread%zu", i);
	note_head(b, "CORE", name, NT_PRSTATUS, 112 + words * 8 + 8);
	put_zeros(b, 32);
	put(b, 4, (uint32_t)t->tid, "%s.pr_pid", name);
	put_zeros(b, 112 - 36);
	for (size_t w = 0; w < words; w++) {
		uint64_t v = 0xdead0000 + w;

		// asm/user.h: r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags
		// sp ss fs_base …; asm/ptrace.h: x0…x30 sp pc pstate
		if (amd64)
			v = w == 1    ? r->g
			    : w == 4  ? r->bp
			    : w == 16 ? r->pc
			    : w == 19 ? r->sp
			    : w == 21 ? r->tls
				      : v;
		else
			v = w == 28   ? r->g
			    : w == 29 ? r->bp
			    : w == 30 ? r->lr
			    : w == 31 ? r->sp
			    : w == 32 ? r->pc
				      : v;
		put(b, 8, v, "%s.reg%zu", name, w);
	}
	put_zeros(b, 8);
	if (!amd64) {
		char tls[NAME_SIZE];

		snprintf(tls, sizeof(tls), "tls%zu", i);
		note_head(b, "LINUX", tls, NT_ARM_TLS, 8);
		put(b, 8, r->tls, "tls%zu.value", i);
	}
	put_vector(b, i);
}

static void put_psinfo(struct gs_core_builder *b)
{
	note_head(b, "CORE", "psinfo", NT_PRPSINFO, 136);
	put_zeros(b, 24);
	put(b, 4, (uint32_t)b->pid, "psinfo.pr_pid");
	put_zeros(b, 12);
	put_bytes(b, b->command, 16);
	put_zeros(b, 80);
}

static void put_auxv(struct gs_core_builder *b)
{
	note_head(b, "CORE", "auxv", NT_AUXV, (b->n_auxv + 1) * 16);
	for (size_t i = 0; i < b->n_auxv; i++) {
		put(b, 8, b->auxv[i][0], "auxv%zu.a_type", i);
		put(b, 8, b->auxv[i][1], "auxv%zu.a_val", i);
	}
	put_zeros(b, 16);
}

static void put_files(struct gs_core_builder *b)
{
	size_t size = 16 + b->n_files * 24;

	for (size_t i = 0; i < b->n_files; i++)
		size += strlen(b->files[i].path) + 1;
	note_head(b, "CORE", "files", NT_FILE, size);
	put(b, 8, b->n_files, "files.count");
	put(b, 8, PAGE, "files.page_size");
	for (size_t i = 0; i < b->n_files; i++) {
		put(b, 8, b->files[i].start, "file%zu.start", i);
		put(b, 8, b->files[i].end, "file%zu.end", i);
		put(b, 8, b->files[i].offset / PAGE, "file%zu.offset", i);
	}
	for (size_t i = 0; i < b->n_files; i++)
		put_bytes(b, b->files[i].path, strlen(b->files[i].path) + 1);
	put_zeros(b, -size & 3);
}

/* In the kernel's order: the first thread, the process's notes, the other threads. */
static void put_notes(struct gs_core_builder *b)
{
	if (b->n_threads)
		put_prstatus(b, 0);
	if (b->has_psinfo)
		put_psinfo(b);
	if (b->n_auxv)
		put_auxv(b);
	if (b->n_files)
		put_files(b);
	for (size_t i = 1; i < b->n_threads; i++)
		put_prstatus(b, i);
	for (size_t i = 0; i < b->n_notes; i++) {
		const struct note *n = &b->notes[i];
		char name[NAME_SIZE];

		snprintf(name, sizeof(name), "note%zu", i);
		note_head(b, n->owner, name, n->type, n->size);
		put_bytes(b, n->desc, n->size);
		put_zeros(b, -n->size & 3);
	}
}

static void put_ehdr(struct gs_core_builder *b, size_t phnum, size_t shoff)
{
	static const uint8_t ident[12] = { 0x7f, 'E', 'L', 'F' };

	put_bytes(b, ident, 4);
	put(b, 1, ELFCLASS64, "e_class");
	put(b, 1, ELFDATA2LSB, "e_data");
	put(b, 1, EV_CURRENT, "e_ident_version");
	put_zeros(b, 9);
	put(b, 2, ET_CORE, "e_type");
	put(b, 2, b->arch == GS_ARCH_AMD64 ? EM_X86_64 : EM_AARCH64, "e_machine");
	put(b, 4, EV_CURRENT, "e_version");
	put(b, 8, 0, "e_entry");
	put(b, 8, EHDR, "e_phoff");
	put(b, 8, b->extended ? shoff : 0, "e_shoff");
	put(b, 4, 0, "e_flags");
	put(b, 2, EHDR, "e_ehsize");
	put(b, 2, PHDR, "e_phentsize");
	put(b, 2, b->extended ? PN_XNUM : phnum, "e_phnum");
	put(b, 2, b->extended ? 64 : 0, "e_shentsize");
	put(b, 2, b->extended ? 1 : 0, "e_shnum");
	put(b, 2, 0, "e_shstrndx");
}

static void put_phdr(struct gs_core_builder *b, size_t i, uint32_t type, uint32_t flags,
		     uint64_t offset, const struct segment *s)
{
	put(b, 4, type, "phdr%zu.p_type", i);
	put(b, 4, flags, "phdr%zu.p_flags", i);
	put(b, 8, offset, "phdr%zu.p_offset", i);
	put(b, 8, s->addr, "phdr%zu.p_vaddr", i);
	put(b, 8, 0, "phdr%zu.p_paddr", i);
	put(b, 8, s->filesz, "phdr%zu.p_filesz", i);
	put(b, 8, s->memsz, "phdr%zu.p_memsz", i);
	put(b, 8, type == PT_NOTE ? 4 : PAGE, "phdr%zu.p_align", i);
}

static void write_all(struct gs_core_builder *b, size_t notes_size)
{
	size_t phnum = b->n_segments + 1, notes_at = EHDR + phnum * PHDR, at;
	struct segment notes = { .filesz = notes_size };

	b->len = b->n_fields = 0;
	at = notes_at + notes_size;
	for (size_t i = 0; i < b->n_segments; i++)
		at += b->segments[i].filesz;
	put_ehdr(b, phnum, at);
	put_phdr(b, 0, PT_NOTE, 0, notes_at, &notes);
	at = notes_at + notes_size;
	for (size_t i = 0; i < b->n_segments; i++) {
		put_phdr(b, i + 1, PT_LOAD, b->segments[i].flags, at, &b->segments[i]);
		at += b->segments[i].filesz;
	}
	put_notes(b);
	for (size_t i = 0; i < b->n_segments; i++)
		put_bytes(b, b->segments[i].bytes, b->segments[i].filesz);
	if (b->extended) {
		put_zeros(b, 44);
		put(b, 4, phnum, "shdr0.sh_info");
		put_zeros(b, 16);
	}
}

const uint8_t *gs_core_builder_finish(struct gs_core_builder *b, size_t *ret_size)
{
	size_t start;

	b->len = 0;
	put_notes(b); // to learn their size
	start = b->len;
	write_all(b, start);
	*ret_size = b->len;
	return b->out;
}

int gs_core_builder_memfd(struct gs_core_builder *b, size_t size)
{
	size_t n;
	const uint8_t *p = gs_core_builder_finish(b, &n);
	int fd = memfd_create("core", MFD_CLOEXEC);

	if (fd < 0 || write(fd, p, size ? size : n) < 0)
		abort();
	return fd;
}
