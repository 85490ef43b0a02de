/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * PE32+ images ("PE Format", Microsoft's specification): DOS header, COFF header, optional header
 * with data directories, section table; COFF symbols, which Go and MinGW write and Microsoft's
 * tools do not.
 *
 *	0      "MZ" … e_lfanew at 0x3c
 *	lfanew "PE\0\0", COFF header (20 bytes), optional header (SizeOfOptionalHeader), sections
 *
 * Addresses given out are ImageBase + RVA. The loader maps sections, so each section is a segment.
 * Raw data is padded to FileAlignment; only VirtualSize of it counts.
 */
#include <string.h>

#include "image/image_private.h"

#define COFF_SYMBOL_SIZE 18u
#define OPTIONAL_MIN 112u /* PE32+ up to NumberOfRvaAndSizes */

enum { MACHINE_AMD64 = 0x8664, MACHINE_ARM64 = 0xaa64 };
enum { FILE_DLL = 0x2000, DLL_DYNAMIC_BASE = 0x40 };
enum { DIR_IMPORT = 1, DIR_EXCEPTION = 3, DIR_SECURITY = 4, DIR_DEBUG = 6 };
enum { SCN_UNINITIALIZED = 0x80 };
#define SCN_EXECUTE 0x20000000u
#define SCN_READ 0x40000000u
#define SCN_WRITE 0x80000000u

struct coff_header {
	uint16_t machine, n_sections;
	uint32_t timestamp, symtab, n_symbols;
	uint16_t optional_size, characteristics;
};
_Static_assert(sizeof(struct coff_header) == 20, "COFF header has 20 bytes");

struct section_header {
	char name[8];
	uint32_t virtual_size, rva, raw_size, raw_offset, relocs, lines;
	uint16_t n_relocs, n_lines;
	uint32_t characteristics;
};
_Static_assert(sizeof(struct section_header) == 40, "section header has 40 bytes");

struct directory {
	uint32_t rva, size;
};

static int damaged(const struct gs_image *img, int r, struct gs_err *err, const char *what)
{
	return gs_fail_in(err, r, "cannot read the %s of %s", what, img->name);
}

/* A fixed field of the optional header; its size was checked. */
static int u32_at(const struct gs_cursor *base, uint64_t off, uint32_t *ret, struct gs_err *err)
{
	struct gs_cursor c = *base;
	int r = gs_cursor_seek(&c, off, err);

	return r < 0 ? r : gs_cursor_u32(&c, ret, err);
}

/* Entry @i of the directories, zeros if the header is too short or says there are fewer. */
static struct directory directory(const struct gs_cursor *optional, uint32_t i)
{
	struct directory d = { 0, 0 };
	uint32_t n = 0;

	if (u32_at(optional, 108, &n, NULL) < 0 || i >= n ||
	    u32_at(optional, OPTIONAL_MIN + 8 * i, &d.rva, NULL) < 0 ||
	    u32_at(optional, OPTIONAL_MIN + 8 * i + 4, &d.size, NULL) < 0)
		return (struct directory){ 0, 0 };
	return d;
}

static int read_optional(struct gs_image *img, const struct gs_cursor *optional, struct gs_err *err)
{
	struct gs_image_info *info = &img->info;
	struct gs_cursor c = *optional;
	struct directory d;
	uint16_t magic, subsystem = 0, dll = 0;
	uint32_t entry = 0;
	int r = gs_cursor_u16(&c, &magic, err);

	if (r < 0)
		return r;
	if (magic == 0x10b)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is a 32-bit PE file. gosonde reads 64-bit ones only", img->name);
	if (magic != 0x20b)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "%s: optional header of unknown kind %#x",
			       img->name, magic);
	if (gs_cursor_size(optional) < OPTIONAL_MIN)
		return gs_fail(err, -GS_E_BAD_DATA, 0,
			       "%s: optional header of %" PRIu64 " bytes, not at least %u",
			       img->name, gs_cursor_size(optional), OPTIONAL_MIN);
	r = u32_at(optional, 16, &entry, err);
	c = *optional;
	if (r == 0)
		r = gs_cursor_seek(&c, 24, err);
	if (r == 0)
		r = gs_cursor_u64(&c, &img->pe.image_base, err);
	if (r == 0)
		r = gs_cursor_seek(&c, 68, err);
	if (r == 0)
		r = gs_cursor_u16(&c, &subsystem, err);
	if (r == 0)
		r = gs_cursor_u16(&c, &dll, err);
	if (r < 0)
		return r;
	info->base = img->pe.image_base;
	info->entry = entry ? info->base + entry : 0;
	info->is_pie = dll & DLL_DYNAMIC_BASE;
	info->os = subsystem >= 10 && subsystem <= 13 ? "efi" : "windows";
	info->has_unwind = directory(optional, DIR_EXCEPTION).size > 0;
	info->is_signed = directory(optional, DIR_SECURITY).size > 0;
	d = directory(optional, DIR_IMPORT);
	img->pe.import_rva = d.rva;
	img->pe.import_size = d.size;
	info->has_dynamic = d.size > 0;
	d = directory(optional, DIR_DEBUG);
	img->pe.debug_rva = d.rva;
	img->pe.debug_size = d.size;
	return 0;
}

/* The COFF string table follows the symbols; its first word counts itself. Without it long section
 * names stay as "/123". */
static void locate_strings(struct gs_image *img, const struct coff_header *h)
{
	struct gs_cursor c = img->file;
	uint64_t off = h->symtab + (uint64_t)h->n_symbols * COFF_SYMBOL_SIZE;
	uint32_t size;

	img->pe.symtab_offset = h->symtab;
	img->pe.n_symbols = h->symtab ? h->n_symbols : 0;
	img->pe.strings = gs_cursor_make(NULL, 0, img->name);
	// A table that is cut off leaves the names unresolved.
	if (!h->symtab || u32_at(&c, off, &size, NULL) < 0 ||
	    gs_cursor_window(&img->file, off, size, &img->pe.strings, NULL) < 0)
		return;
}

static const char *section_name(struct gs_image *img, const char raw[8])
{
	uint64_t off = 0;
	const char *name;
	size_t n;

	if (raw[0] == '/' && raw[1]) {
		for (size_t i = 1; i < 8 && raw[i] >= '0' && raw[i] <= '9'; i++)
			off = off * 10 + (uint64_t)(raw[i] - '0');
		name = gs__string_at(&img->pe.strings, off, GS__MAX_SECTION_NAME, &n);
		if (off >= 4 && name)
			return name;
	}
	return gs_arena_strndup(img->arena, raw, strnlen(raw, 8));
}

static int read_section(struct gs_image *img, uint32_t i, const struct section_header *h,
			struct gs_err *err)
{
	struct gs_image_section *s = &img->sections[i];
	struct gs_image_segment *g = &img->segments[i];

	s->name = section_name(img, h->name);
	if (!s->name)
		return gs__out_of_memory(img, err);
	s->addr = img->pe.image_base + h->rva;
	s->size = h->virtual_size ? h->virtual_size : h->raw_size;
	s->offset = h->raw_offset;
	s->file_size = h->raw_size < s->size ? h->raw_size : s->size;
	s->flags = (h->characteristics & SCN_READ ? GS_IMAGE_READ : 0u) |
		   (h->characteristics & SCN_WRITE ? GS_IMAGE_WRITE : 0u) |
		   (h->characteristics & SCN_EXECUTE ? GS_IMAGE_EXEC : 0u);
	if (h->raw_offset == 0 || s->file_size == 0) {
		s->file_size = 0;
		s->flags |= GS_IMAGE_NOBITS;
	}
	*g = (struct gs_image_segment){ .addr = s->addr,
					.size = s->size,
					.offset = s->offset,
					.file_size = s->file_size,
					.flags = s->flags &
						 (GS_IMAGE_READ | GS_IMAGE_WRITE | GS_IMAGE_EXEC) };
	if (strcmp(s->name, ".pdata") == 0 && s->file_size)
		img->info.has_unwind = true;
	return 0;
}

static int read_sections(struct gs_image *img, struct gs_cursor c, uint32_t n, struct gs_err *err)
{
	int r = gs__image_new_sections(img, n, err);

	if (r == 0)
		r = gs__image_new_segments(img, n, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct section_header h;

		r = gs_cursor_bytes(&c, &h, sizeof(h), err);
		if (r == 0)
			r = read_section(img, i, &h, err);
	}
	return r;
}

static int pe_load_symtabs(struct gs_image *img, struct gs_err *err);
static int pe_symbol(const struct gs_image *img, struct gs_cursor *at, struct gs__symbol *ret,
		     struct gs_err *err);
static int pe_build_id(struct gs_image *img, struct gs_cursor *ret, struct gs_err *err);
static int pe_needed(struct gs_image *img, uint32_t i, const char **ret, struct gs_err *err);

static const struct gs__image_ops pe_ops = { .load_symtabs = pe_load_symtabs,
					     .symbol = pe_symbol,
					     .build_id = pe_build_id,
					     .needed = pe_needed };

/* "PE\0\0" behind the DOS header. A file with "MZ" only is a DOS program. */
static int find_coff(struct gs_image *img, struct gs_cursor *ret, struct gs_err *err)
{
	struct gs_cursor c = img->file;
	uint32_t lfanew = 0, magic = 0;
	int r = u32_at(&c, 0x3c, &lfanew, err);

	if (r == 0)
		r = gs_cursor_seek(&c, lfanew, err);
	if (r == 0)
		r = gs_cursor_u32(&c, &magic, err);
	if (r < 0)
		return r;
	if (magic != 0x4550)
		return gs_fail(err, -GS_E_UNSUPPORTED, lfanew,
			       "%s starts like a DOS program and has no PE header", img->name);
	*ret = c;
	return 0;
}

int gs__pe_open(struct gs_image *img, struct gs_err *err)
{
	struct gs_cursor c, optional;
	struct coff_header h = { 0 };
	int r = find_coff(img, &c, err);

	if (r == 0)
		r = gs_cursor_bytes(&c, &h, sizeof(h), err);
	if (r == 0)
		r = gs_cursor_sub(&c, h.optional_size, &optional, err);
	if (r < 0)
		return r == -GS_E_BAD_DATA ? damaged(img, r, err, "headers") : r;
	img->ops = &pe_ops;
	img->info.format = GS_IMAGE_PE;
	img->info.machine = h.machine;
	img->info.arch = h.machine == MACHINE_AMD64   ? GS_ARCH_AMD64
			 : h.machine == MACHINE_ARM64 ? GS_ARCH_ARM64
						      : GS_ARCH_UNKNOWN;
	img->info.is_shared = h.characteristics & FILE_DLL;
	img->info.has_interp = true;
	if (h.optional_size < 2)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is a PE file without an optional header, not a program",
			       img->name);
	r = read_optional(img, &optional, err);
	if (r < 0)
		return r;
	locate_strings(img, &h);
	r = read_sections(img, c, h.n_sections, err);
	if (r < 0)
		return r == -GS_E_BAD_DATA ? damaged(img, r, err, "section table") : r;
	img->info.has_symtab = img->pe.n_symbols > 0;
	gs__image_note_debug(img);
	return 0;
}

static int pe_load_symtabs(struct gs_image *img, struct gs_err *err)
{
	struct gs_cursor c = img->file, records;
	int r;

	if (img->pe.n_symbols == 0)
		return 0;
	r = gs_cursor_seek(&c, img->pe.symtab_offset, err);
	if (r == 0)
		r = gs_cursor_table(&c, img->pe.n_symbols, COFF_SYMBOL_SIZE, &records, err);
	if (r < 0)
		return damaged(img, r, err, "symbol table");
	return gs__image_add_symtab(img, &records, img->pe.n_symbols, COFF_SYMBOL_SIZE,
				    &img->pe.strings, err);
}

static int pe_symbol(const struct gs_image *img, struct gs_cursor *at, struct gs__symbol *ret,
		     struct gs_err *err)
{
	enum { ABSOLUTE = 0xffff, CLASS_FILE = 103, CLASS_SECTION = 104, TYPE_FUNCTION = 2 };
	const struct gs_image_section *sec;
	struct gs_cursor name;
	uint32_t zeros, offset, value = 0;
	uint16_t section = 0, type = 0;
	uint8_t class = 0, n_aux = 0;
	int r = gs_cursor_sub(at, 8, &name, err);

	if (r == 0)
		r = gs_cursor_u32(at, &value, err);
	if (r == 0)
		r = gs_cursor_u16(at, &section, err);
	if (r == 0)
		r = gs_cursor_u16(at, &type, err);
	if (r == 0)
		r = gs_cursor_u8(at, &class, err);
	if (r == 0)
		r = gs_cursor_u8(at, &n_aux, err);
	if (r < 0)
		return r;
	ret->short_name = (const char *)name.pos;
	ret->short_len = (uint32_t)strnlen(ret->short_name, 8);
	if (gs_cursor_u32(&name, &zeros, NULL) == 0 && zeros == 0 &&
	    gs_cursor_u32(&name, &offset, NULL) == 0) {
		ret->short_name = NULL;
		ret->name_off = offset;
	}
	ret->step = 1 + (uint32_t)n_aux;
	sec = section ? gs_image_section_at(img, section - 1u) : NULL;
	ret->addr = section == ABSOLUTE ? value : sec ? sec->addr + value : 0;
	ret->is_function = (type >> 4 & 3) == TYPE_FUNCTION || (sec && sec->flags & GS_IMAGE_EXEC);
	ret->skip = (!sec && section != ABSOLUTE) || class == CLASS_FILE || class == CLASS_SECTION;
	return 0;
}

/* The GUID of the CodeView entry: debug directory entries of 28 bytes, type 2, "RSDS" + GUID. */
static int pe_build_id(struct gs_image *img, struct gs_cursor *ret, struct gs_err *err)
{
	enum { ENTRY_SIZE = 28, CODEVIEW = 2 };
	struct gs_cursor c;
	int r = 1;

	if (img->pe.debug_size)
		r = gs__image_range(img, img->pe.image_base + img->pe.debug_rva,
				    img->pe.debug_size - img->pe.debug_size % ENTRY_SIZE, &c, err);
	while (r == 0 && gs_cursor_left(&c) >= ENTRY_SIZE) {
		struct gs_cursor blob;
		uint32_t word[7], magic;

		r = gs_cursor_bytes(&c, word, sizeof(word), err);
		if (r < 0 || word[3] != CODEVIEW)
			continue;
		r = gs_cursor_window(&img->file, word[6], word[4], &blob, err);
		if (r == 0 && gs_cursor_u32(&blob, &magic, NULL) == 0 && magic == 0x53445352)
			return gs_cursor_sub(&blob, 16, ret, err);
	}
	return r < 0 ? damaged(img, r, err, "debug directory") : 1;
}

/* Import descriptor @i: 20 bytes, the name's RVA at 12; one of zeros ends the table. */
static int pe_needed(struct gs_image *img, uint32_t i, const char **ret, struct gs_err *err)
{
	enum { ENTRY_SIZE = 20 };
	struct gs_cursor c, name;
	uint32_t rva = 0;
	size_t n;
	int r = 1;

	if (img->pe.import_size)
		r = gs_image_at(img, img->pe.image_base + img->pe.import_rva, &c, err);
	if (r)
		return r;
	for (uint32_t k = 0; k <= i; k++) {
		uint32_t word[5];

		r = gs_cursor_bytes(&c, word, sizeof(word), err);
		if (r < 0)
			return damaged(img, r, err, "import table");
		rva = word[3];
		if (rva == 0)
			return 1;
	}
	r = gs_image_at(img, img->pe.image_base + rva, &name, err);
	if (r < 0)
		return r;
	*ret = r == 0 ? gs__string_at(&name, 0, GS__MAX_SECTION_NAME, &n) : NULL;
	if (!*ret)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "%s: import %u has no name", img->name, i);
	return 0;
}
