/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Mach-O 64 (Apple's <mach-o/loader.h>, <mach-o/fat.h>): a header of 32 bytes and load commands,
 * each with its type and size. Of a universal file the slice of this machine's CPU is taken, else
 * the first 64-bit one, and all offsets are then within the slice.
 *
 * Section names are "__SEGMENT,__section". A section is code if its attributes say it holds
 * instructions: __TEXT as a whole is mapped executable, constants included.
 */
#include <string.h>

#include "image/image_private.h"

enum { CPU_AMD64 = 0x01000007, CPU_ARM64 = 0x0100000c };
enum { MH_DYLIB = 6, MH_BUNDLE = 8, MH_PIE = 0x200000 };
enum {
	LC_SYMTAB = 0x2,
	LC_UNIXTHREAD = 0x5,
	LC_DYSYMTAB = 0xb,
	LC_LOAD_DYLIB = 0xc,
	LC_LOAD_DYLINKER = 0xe,
	LC_SEGMENT_64 = 0x19,
	LC_UUID = 0x1b,
	LC_CODE_SIGNATURE = 0x1d,
	LC_VERSION_MIN_IPHONEOS = 0x25,
	LC_BUILD_VERSION = 0x32,
};
#define LC_REQ_DYLD 0x80000000u
#define LC_LOAD_WEAK_DYLIB (0x18 | LC_REQ_DYLD)
#define LC_REEXPORT_DYLIB (0x1f | LC_REQ_DYLD)
#define LC_MAIN (0x28 | LC_REQ_DYLD)
#define ATTR_INSTRUCTIONS 0x80000400u /* pure or some */

struct macho_header {
	uint32_t magic, cputype, cpusubtype, filetype, ncmds, sizeofcmds, flags, reserved;
};

struct segment_command {
	uint32_t cmd, cmdsize;
	char name[16];
	uint64_t vmaddr, vmsize, fileoff, filesize;
	uint32_t maxprot, initprot, nsects, flags;
};
_Static_assert(sizeof(struct segment_command) == 72, "segment_command_64 has 72 bytes");

struct section_64 {
	char section[16], segment[16];
	uint64_t addr, size;
	uint32_t offset, align, reloff, nreloc, flags, reserved[3];
};
_Static_assert(sizeof(struct section_64) == 80, "section_64 has 80 bytes");

/* What the walk over the load commands collects besides the tables. */
struct walk {
	uint32_t n_segments, n_sections;
	uint64_t entry_offset;
	bool has_main;
	uint32_t n_local_symbols;
	bool has_dysymtab;
	gs_addr text_addr;
	bool has_base;
};

static int damaged(const struct gs_image *img, int r, struct gs_err *err, const char *what)
{
	return gs_fail_in(err, r, "cannot read the %s of %s", what, img->name);
}

static int big_u32(struct gs_cursor *c, uint32_t *ret, struct gs_err *err)
{
	int r;

	c->swap = true;
	r = gs_cursor_u32(c, ret, err);
	c->swap = false;
	return r;
}

/* One record of the universal header: its CPU and place. */
static int fat_arch(struct gs_cursor *c, bool wide, uint32_t *ret_cpu, uint64_t *ret_off,
		    uint64_t *ret_size, struct gs_err *err)
{
	uint32_t word[8] = { 0 };

	for (size_t i = 0; i < (wide ? 8 : 5); i++) {
		int r = big_u32(c, &word[i], err);

		if (r < 0)
			return r;
	}
	*ret_cpu = word[0];
	*ret_off = wide ? (uint64_t)word[2] << 32 | word[3] : word[2];
	*ret_size = wide ? (uint64_t)word[4] << 32 | word[5] : word[3];
	return 0;
}

/* Narrow img->file to one slice of a universal file. */
static int choose_slice(struct gs_image *img, struct gs_err *err)
{
#if defined(__x86_64__)
	const uint32_t host = CPU_AMD64;
#else
	const uint32_t host = CPU_ARM64;
#endif
	struct gs_cursor c = img->file, slice;
	uint32_t magic, n = 0, chosen = 0;
	int r = big_u32(&c, &magic, err);

	if (r == 0)
		r = big_u32(&c, &n, err);
	// Java class files share the magic; what would be the count is their version, 45 or more.
	if (r == 0 && (n == 0 || n >= 45))
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is no ELF, PE or Mach-O file (a Java class?)", img->name);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		uint64_t off, size;
		uint32_t cpu;

		r = fat_arch(&c, magic & 1, &cpu, &off, &size, err);
		if (r < 0 || !(cpu & 0x01000000) || (chosen && (chosen == host || cpu != host)))
			continue;
		r = gs_cursor_window(&img->file, off, size, &slice, err);
		chosen = cpu;
	}
	if (r < 0)
		return damaged(img, r, err, "universal header");
	if (!chosen)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s has 32-bit slices only. gosonde reads 64-bit ones", img->name);
	img->file = slice;
	img->info.file_size = gs_cursor_size(&slice);
	return 0;
}

static int read_header(struct gs_image *img, struct macho_header *h, struct gs_err *err)
{
	struct gs_cursor c = img->file;
	int r = gs_cursor_bytes(&c, h, sizeof(*h), err);

	if (r < 0)
		return damaged(img, r, err, "Mach-O header");
	if (h->magic == 0xfeedface || h->magic == 0xcefaedfe)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is a 32-bit Mach-O file. gosonde reads 64-bit ones only",
			       img->name);
	if (h->magic == 0xcffaedfe)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is a big-endian Mach-O file. gosonde reads little-endian ones "
			       "only",
			       img->name);
	if (h->magic != 0xfeedfacf)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "%s: unknown Mach-O magic %#" PRIx32,
			       img->name, h->magic);
	r = gs_cursor_sub(&c, h->sizeofcmds, &img->macho.commands, err);
	img->macho.ncmds = h->ncmds;
	return r < 0 ? damaged(img, r, err, "load commands") : 0;
}

/* The command at @c as a cursor of its own; @c moves behind it. */
static int next_command(struct gs_cursor *c, uint32_t *ret_cmd, struct gs_cursor *ret,
			struct gs_err *err)
{
	struct gs_cursor peek = *c;
	uint32_t size;
	int r = gs_cursor_u32(&peek, ret_cmd, err);

	if (r == 0)
		r = gs_cursor_u32(&peek, &size, err);
	if (r < 0)
		return r;
	if (size < 8 || size % 4)
		return gs_fail(err, -GS_E_BAD_DATA, gs_cursor_offset(c),
			       "load command %#" PRIx32 " of %" PRIu32 " bytes", *ret_cmd, size);
	return gs_cursor_sub(c, size, ret, err);
}

static bool zero_fill(uint32_t flags)
{
	uint32_t type = flags & 0xff;

	return type == 1 || type == 0xc || type == 0x12; // S_ZEROFILL, GB_, THREAD_LOCAL_
}

static const char *section_name(struct gs_image *img, const struct section_64 *raw)
{
	size_t n = strnlen(raw->segment, 16), k = strnlen(raw->section, 16);
	char text[34];

	memcpy(text, raw->segment, n);
	text[n] = ',';
	memcpy(text + n + 1, raw->section, k);
	return gs_arena_strndup(img->arena, text, n + 1 + k);
}

static int read_section(struct gs_image *img, uint32_t i, const struct section_64 *raw,
			uint32_t prot, struct gs_err *err)
{
	struct gs_image_section *s = &img->sections[i];

	s->name = section_name(img, raw);
	if (!s->name)
		return gs__out_of_memory(img, err);
	s->addr = raw->addr;
	s->size = raw->size;
	s->offset = raw->offset;
	s->flags = prot & (GS_IMAGE_READ | GS_IMAGE_WRITE);
	if (raw->flags & ATTR_INSTRUCTIONS)
		s->flags |= GS_IMAGE_EXEC;
	if (zero_fill(raw->flags))
		s->flags |= GS_IMAGE_NOBITS;
	else
		s->file_size = raw->size;
	if (strcmp(s->name, "__TEXT,__unwind_info") == 0 ||
	    strcmp(s->name, "__TEXT,__eh_frame") == 0)
		img->info.has_unwind |= s->file_size > 0;
	return 0;
}

static int read_segment(struct gs_image *img, struct gs_cursor *c, struct walk *w,
			struct gs_err *err)
{
	struct segment_command raw;
	struct gs_image_segment *s = &img->segments[w->n_segments];
	int r = gs_cursor_bytes(c, &raw, sizeof(raw), err);

	if (r < 0)
		return r;
	// They were counted before, but somebody may be writing to the file.
	if (w->n_segments == img->info.n_segments ||
	    raw.nsects > img->info.n_sections - w->n_sections)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "the file changed while it was read");
	s->addr = raw.vmaddr;
	s->size = raw.vmsize;
	s->offset = raw.fileoff;
	s->file_size = raw.filesize < raw.vmsize ? raw.filesize : raw.vmsize;
	s->flags = raw.initprot & 7; // VM_PROT_READ, WRITE, EXECUTE have our values
	w->n_segments++;
	// __PAGEZERO only keeps addresses free.
	if (raw.initprot && (!w->has_base || raw.vmaddr < img->info.base)) {
		img->info.base = raw.vmaddr;
		w->has_base = true;
	}
	if (strncmp(raw.name, "__TEXT", sizeof(raw.name)) == 0)
		w->text_addr = raw.vmaddr;
	for (uint32_t i = 0; i < raw.nsects; i++) {
		struct section_64 sec;

		r = gs_cursor_bytes(c, &sec, sizeof(sec), err);
		if (r == 0)
			r = read_section(img, w->n_sections++, &sec, raw.initprot, err);
		if (r < 0)
			return r;
	}
	return 0;
}
_Static_assert(GS_IMAGE_READ == 1 && GS_IMAGE_WRITE == 2 && GS_IMAGE_EXEC == 4, "as VM_PROT_*");

/* Initial registers: flavor, count, then the registers; only the pc counts. */
static int read_thread(struct gs_image *img, struct gs_cursor *c, struct gs_err *err)
{
	enum { X86_THREAD_STATE64 = 4, ARM_THREAD_STATE64 = 6, RIP = 16, PC = 32 };
	uint32_t head[4]; // cmd, cmdsize, flavor, count
	int r = gs_cursor_bytes(c, head, sizeof(head), err);

	if (r < 0)
		return r;
	if (img->info.arch == GS_ARCH_AMD64 && head[2] == X86_THREAD_STATE64)
		r = gs_cursor_skip(c, RIP * 8, err);
	else if (img->info.arch == GS_ARCH_ARM64 && head[2] == ARM_THREAD_STATE64)
		r = gs_cursor_skip(c, PC * 8, err);
	else
		return 0;
	return r < 0 ? r : gs_cursor_u64(c, &img->info.entry, err);
}

/* The string whose offset in the command is its third word (dylib and dylinker commands). */
static const char *command_string(const struct gs_cursor *cmd)
{
	struct gs_cursor c = *cmd;
	uint32_t off;
	size_t n;

	if (gs_cursor_seek(&c, 8, NULL) < 0 || gs_cursor_u32(&c, &off, NULL) < 0)
		return NULL;
	return gs__string_at(cmd, off, GS__MAX_SECTION_NAME, &n);
}

static bool loads_library(uint32_t cmd)
{
	return cmd == LC_LOAD_DYLIB || cmd == LC_LOAD_WEAK_DYLIB || cmd == LC_REEXPORT_DYLIB;
}

static int read_platform(struct gs_image *img, struct gs_cursor *c, struct gs_err *err)
{
	enum { MACOS = 1 };
	uint32_t word[3]; // cmd, cmdsize, platform
	int r = gs_cursor_bytes(c, word, sizeof(word), err);

	if (r == 0)
		img->info.os = word[2] == MACOS ? "darwin" : "ios";
	return r;
}

static int read_symtab(struct gs_image *img, struct gs_cursor *c, struct gs_err *err)
{
	uint32_t word[6];
	int r = gs_cursor_bytes(c, word, sizeof(word), err);

	if (r < 0)
		return r;
	img->macho.symoff = word[2];
	img->macho.nsyms = word[3];
	img->macho.stroff = word[4];
	img->macho.strsize = word[5];
	return 0;
}

static int read_command(struct gs_image *img, uint32_t cmd, struct gs_cursor c, struct walk *w,
			struct gs_err *err)
{
	const struct gs_cursor whole = c;
	uint32_t word[4];
	int r = 0;

	switch (cmd) {
	case LC_SEGMENT_64:
		return read_segment(img, &c, w, err);
	case LC_SYMTAB:
		return read_symtab(img, &c, err);
	case LC_UNIXTHREAD:
		return read_thread(img, &c, err);
	case LC_BUILD_VERSION:
		return read_platform(img, &c, err);
	case LC_DYSYMTAB:
		r = gs_cursor_bytes(&c, word, sizeof(word), err);
		w->has_dysymtab = r == 0;
		w->n_local_symbols = r == 0 ? word[3] : 0;
		return r;
	case LC_MAIN:
		r = gs_cursor_skip(&c, 8, err);
		w->has_main = r == 0;
		return r < 0 ? r : gs_cursor_u64(&c, &w->entry_offset, err);
	case LC_UUID:
		r = gs_cursor_skip(&c, 8, err);
		if (r == 0)
			r = gs_cursor_need(&c, 16, err);
		if (r == 0)
			img->macho.uuid = c.pos;
		return r;
	case LC_LOAD_DYLINKER:
		img->info.has_interp = true;
		img->info.interp = command_string(&whole);
		return 0;
	case LC_CODE_SIGNATURE:
		img->info.is_signed = true;
		return 0;
	case LC_VERSION_MIN_IPHONEOS:
		img->info.os = "ios";
		return 0;
	default:
		if (loads_library(cmd))
			img->info.has_dynamic = true;
		return 0;
	}
}

/* Count segments and sections, so that their tables can be allocated. */
static int count_tables(struct gs_image *img, struct gs_err *err)
{
	struct gs_cursor all = img->macho.commands;
	uint64_t n_segments = 0, n_sections = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < img->macho.ncmds; i++) {
		struct segment_command raw;
		struct gs_cursor c, table;
		uint32_t cmd;

		r = next_command(&all, &cmd, &c, err);
		if (r < 0 || cmd != LC_SEGMENT_64)
			continue;
		r = gs_cursor_bytes(&c, &raw, sizeof(raw), err);
		if (r == 0)
			r = gs_cursor_table(&c, raw.nsects, sizeof(struct section_64), &table, err);
		n_segments++;
		n_sections += r == 0 ? raw.nsects : 0;
	}
	if (r == 0)
		r = gs__image_new_segments(img, n_segments, err);
	return r < 0 ? r : gs__image_new_sections(img, n_sections, err);
}

static int read_commands(struct gs_image *img, struct walk *w, struct gs_err *err)
{
	struct gs_cursor all = img->macho.commands;
	int r = count_tables(img, err);

	for (uint32_t i = 0; r == 0 && i < img->macho.ncmds; i++) {
		struct gs_cursor c;
		uint32_t cmd;

		r = next_command(&all, &cmd, &c, err);
		if (r == 0)
			r = read_command(img, cmd, c, w, err);
	}
	return r < 0 ? damaged(img, r, err, "load commands") : 0;
}

static int macho_load_symtabs(struct gs_image *img, struct gs_err *err);
static int macho_symbol(const struct gs_image *img, struct gs_cursor *at, struct gs__symbol *ret,
			struct gs_err *err);
static int macho_build_id(struct gs_image *img, struct gs_cursor *ret, struct gs_err *err);
static int macho_needed(struct gs_image *img, uint32_t i, const char **ret, struct gs_err *err);

static const struct gs__image_ops macho_ops = { .load_symtabs = macho_load_symtabs,
						.symbol = macho_symbol,
						.build_id = macho_build_id,
						.needed = macho_needed };

int gs__macho_open(struct gs_image *img, struct gs_err *err)
{
	struct gs_image_info *info = &img->info;
	struct gs_cursor c = img->file;
	struct macho_header h;
	struct walk w = { 0 };
	uint8_t first;
	int r = gs_cursor_u8(&c, &first, err);

	if (r == 0 && first == 0xca)
		r = choose_slice(img, err);
	if (r == 0)
		r = read_header(img, &h, err);
	if (r < 0)
		return r;
	img->ops = &macho_ops;
	info->format = GS_IMAGE_MACHO;
	info->machine = h.cputype;
	info->arch = h.cputype == CPU_AMD64   ? GS_ARCH_AMD64
		     : h.cputype == CPU_ARM64 ? GS_ARCH_ARM64
					      : GS_ARCH_UNKNOWN;
	info->is_pie = h.flags & MH_PIE;
	info->is_shared = h.filetype == MH_DYLIB || h.filetype == MH_BUNDLE;
	info->os = "darwin";
	r = read_commands(img, &w, err);
	if (r < 0)
		return r;
	if (w.has_main)
		info->entry = w.text_addr + w.entry_offset;
	info->has_symtab = w.has_dysymtab ? w.n_local_symbols > 0 : img->macho.nsyms > 0;
	gs__image_note_debug(img);
	return 0;
}

static int macho_load_symtabs(struct gs_image *img, struct gs_err *err)
{
	enum { NLIST_SIZE = 16 };
	const struct gs__macho *m = &img->macho;
	struct gs_cursor c = img->file, records, strings;
	int r;

	if (m->nsyms == 0)
		return 0;
	r = gs_cursor_seek(&c, m->symoff, err);
	if (r == 0)
		r = gs_cursor_table(&c, m->nsyms, NLIST_SIZE, &records, err);
	if (r == 0)
		r = gs_cursor_window(&img->file, m->stroff, m->strsize, &strings, err);
	if (r < 0)
		return damaged(img, r, err, "symbol table");
	return gs__image_add_symtab(img, &records, m->nsyms, NLIST_SIZE, &strings, err);
}

static int macho_symbol(const struct gs_image *img, struct gs_cursor *at, struct gs__symbol *ret,
			struct gs_err *err)
{
	enum { N_STAB = 0xe0, N_TYPE = 0x0e, N_ABS = 2, N_SECT = 0xe };
	struct {
		uint32_t strx;
		uint8_t type, sect;
		uint16_t desc;
		uint64_t value;
	} raw;
	const struct gs_image_section *sec = NULL;
	int r = gs_cursor_bytes(at, &raw, sizeof(raw), err);

	if (r < 0)
		return r;
	if ((raw.type & N_TYPE) == N_SECT && raw.sect)
		sec = gs_image_section_at(img, raw.sect - 1u);
	ret->name_off = raw.strx;
	ret->addr = raw.value;
	ret->skip = (raw.type & N_STAB) || (!sec && (raw.type & N_TYPE) != N_ABS);
	ret->is_function = sec && sec->flags & GS_IMAGE_EXEC;
	return 0;
}

static int macho_build_id(struct gs_image *img, struct gs_cursor *ret, struct gs_err *err)
{
	(void)err; // the bytes were checked at open
	if (!img->macho.uuid)
		return 1;
	*ret = gs_cursor_make(img->macho.uuid, 16, img->name);
	return 0;
}

static int macho_needed(struct gs_image *img, uint32_t i, const char **ret, struct gs_err *err)
{
	struct gs_cursor all = img->macho.commands;
	uint32_t seen = 0;

	for (uint32_t k = 0; k < img->macho.ncmds; k++) {
		struct gs_cursor c;
		uint32_t cmd;
		int r = next_command(&all, &cmd, &c, err);

		if (r < 0)
			return r;
		if (!loads_library(cmd) || seen++ != i)
			continue;
		*ret = command_string(&c);
		if (!*ret)
			return gs_fail(err, -GS_E_BAD_DATA, 0, "%s: library %u has no name",
				       img->name, i);
		return 0;
	}
	return 1;
}
