/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * ELF 64, little-endian (System V gABI, chapters 4 and 5): headers, sections, segments, notes and
 * symbol tables. What the dynamic loader reads is in elf_dynamic.c.
 *
 * Counts may be extended: e_shnum 0 and e_phnum PN_XNUM put the real ones in section header 0, as
 * the kernel does for cores with more than 65,534 mappings. Files without section headers are
 * complete for us: segments, notes and the dynamic symbol table come from program headers. When the
 * section header table itself is cut off, the file opens without sections.
 */
#include <string.h>

#include "image/image_private.h"

#define NT_GNU_ABI_TAG_LINUX 0

static int read_header(struct gs_image *img, Elf64_Ehdr *eh, struct gs_err *err)
{
	struct gs_cursor c = img->file;
	uint8_t ident[EI_NIDENT];
	int r = gs_cursor_bytes(&c, ident, sizeof(ident), err);

	if (r < 0)
		return r;
	if (ident[EI_CLASS] == ELFCLASS32)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is a 32-bit ELF file. gosonde reads 64-bit ones only",
			       img->name);
	if (ident[EI_DATA] == ELFDATA2MSB)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is a big-endian ELF file. gosonde reads little-endian ones only",
			       img->name);
	if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB)
		return gs_fail(err, -GS_E_BAD_DATA, EI_CLASS,
			       "%s: an ELF header with class %u and byte order %u", img->name,
			       ident[EI_CLASS], ident[EI_DATA]);
	c = img->file;
	return gs_cursor_bytes(&c, eh, sizeof(*eh), err);
}

static int read_shdr(const struct gs_cursor *shdrs, uint64_t i, Elf64_Shdr *ret, struct gs_err *err)
{
	struct gs_cursor c = *shdrs;
	int r = gs_cursor_seek(&c, i * sizeof(*ret), err);

	return r < 0 ? r : gs_cursor_bytes(&c, ret, sizeof(*ret), err);
}

int gs__elf_phdr(const struct gs_image *img, uint64_t i, Elf64_Phdr *ret, struct gs_err *err)
{
	struct gs_cursor c = img->elf.phdrs;
	int r = gs_cursor_seek(&c, i * sizeof(*ret), err);

	return r < 0 ? r : gs_cursor_bytes(&c, ret, sizeof(*ret), err);
}

uint64_t gs__elf_n_phdrs(const struct gs_image *img)
{
	return gs_cursor_size(&img->elf.phdrs) / sizeof(Elf64_Phdr);
}

/* First section header of type @type. @return 0; 1 if there is none. */
static int shdr_of_type(const struct gs_image *img, uint32_t type, Elf64_Shdr *ret,
			struct gs_err *err)
{
	for (uint32_t i = 0; i < img->info.n_sections; i++) {
		int r = read_shdr(&img->elf.shdrs, i, ret, err);

		if (r < 0 || ret->sh_type == type)
			return r;
	}
	return 1;
}

/* Locate both header tables; resolve extended counts. */
static int find_tables(struct gs_image *img, struct gs_err *err)
{
	struct gs__elf *e = &img->elf;
	const Elf64_Ehdr *eh = &e->header;
	uint64_t shnum = eh->e_shnum, phnum = eh->e_phnum;
	bool extended = (shnum == 0 && eh->e_shoff != 0) || phnum == PN_XNUM;
	struct gs_cursor c;
	Elf64_Shdr first = { 0 };
	int r;

	if (eh->e_shoff && (shnum || extended) && eh->e_shentsize != sizeof(Elf64_Shdr))
		return gs_fail(err, -GS_E_BAD_DATA, offsetof(Elf64_Ehdr, e_shentsize),
			       "%s: section headers of %u bytes, not %zu", img->name,
			       eh->e_shentsize, sizeof(Elf64_Shdr));
	if (phnum && eh->e_phentsize != sizeof(Elf64_Phdr))
		return gs_fail(err, -GS_E_BAD_DATA, offsetof(Elf64_Ehdr, e_phentsize),
			       "%s: program headers of %u bytes, not %zu", img->name,
			       eh->e_phentsize, sizeof(Elf64_Phdr));
	if (extended && eh->e_shoff &&
	    gs_cursor_window(&img->file, eh->e_shoff, sizeof(first), &c, NULL) == 0)
		r = gs_cursor_bytes(&c, &first, sizeof(first), err);
	else
		r = 0;
	if (r < 0)
		return r;
	if (shnum == 0)
		shnum = first.sh_size;
	if (phnum == PN_XNUM && first.sh_info)
		phnum = first.sh_info;
	if (phnum) {
		c = img->file;
		r = gs_cursor_seek(&c, eh->e_phoff, NULL);
		if (r < 0 || gs_cursor_table(&c, phnum, sizeof(Elf64_Phdr), &e->phdrs, NULL) < 0)
			return gs_fail(err, -GS_E_BAD_DATA, eh->e_phoff,
				       "%s: its %" PRIu64 " program headers at offset %#" PRIx64
				       " are outside of its %" PRIu64
				       " bytes. The file is truncated or damaged",
				       img->name, phnum, eh->e_phoff, img->info.file_size);
	}
	c = img->file;
	if (eh->e_shoff && shnum &&
	    (gs_cursor_seek(&c, eh->e_shoff, NULL) < 0 ||
	     gs_cursor_table(&c, shnum, sizeof(Elf64_Shdr), &e->shdrs, NULL) < 0))
		e->names_lost = true;
	return 0;
}

static uint32_t section_flags(const Elf64_Shdr *sh)
{
	uint32_t flags = 0;

	if (sh->sh_flags & SHF_ALLOC)
		flags |= GS_IMAGE_READ;
	if (sh->sh_flags & SHF_WRITE)
		flags |= GS_IMAGE_WRITE;
	if (sh->sh_flags & SHF_EXECINSTR)
		flags |= GS_IMAGE_EXEC;
	if (sh->sh_type == SHT_NOBITS || sh->sh_type == SHT_NULL)
		flags |= GS_IMAGE_NOBITS;
	if (sh->sh_flags & SHF_COMPRESSED)
		flags |= GS_IMAGE_COMPRESSED;
	return flags;
}

/* The bytes of the section header string table, empty if they cannot be had. */
static struct gs_cursor section_names(struct gs_image *img, uint64_t n)
{
	struct gs_cursor names = gs_cursor_make(NULL, 0, img->name);
	uint64_t at = img->elf.header.e_shstrndx;
	Elf64_Shdr sh;

	if (at == SHN_XINDEX && read_shdr(&img->elf.shdrs, 0, &sh, NULL) == 0)
		at = sh.sh_link;
	if (at == SHN_UNDEF)
		return names;
	if (at >= n || read_shdr(&img->elf.shdrs, at, &sh, NULL) < 0 ||
	    gs_cursor_window(&img->file, sh.sh_offset, sh.sh_size, &names, NULL) < 0)
		img->elf.names_lost = true;
	return names;
}

static int read_sections(struct gs_image *img, struct gs_err *err)
{
	uint64_t n = gs_cursor_size(&img->elf.shdrs) / sizeof(Elf64_Shdr);
	struct gs_cursor names;
	int r = gs__image_new_sections(img, n, err);

	if (r < 0 || n == 0)
		return r;
	names = section_names(img, n);
	for (uint32_t i = 0; i < n; i++) {
		struct gs_image_section *s = &img->sections[i];
		Elf64_Shdr sh;
		size_t len;

		r = read_shdr(&img->elf.shdrs, i, &sh, err);
		if (r < 0)
			return r;
		s->name = gs__string_at(&names, sh.sh_name, GS__MAX_SECTION_NAME, &len);
		if (!s->name)
			s->name = "";
		s->addr = sh.sh_addr;
		s->size = sh.sh_size;
		s->offset = sh.sh_offset;
		s->flags = section_flags(&sh);
		s->file_size = s->flags & GS_IMAGE_NOBITS ? 0 : sh.sh_size;
		if (i == 0 && sh.sh_type == SHT_NULL)
			s->size = 0; // holds the extended count
		if (sh.sh_type == SHT_SYMTAB)
			img->info.has_symtab |= sh.sh_size > sizeof(Elf64_Sym);
		if (strcmp(s->name, ".eh_frame") == 0 && s->file_size)
			img->info.has_unwind = true;
	}
	return 0;
}

static void add_segment(struct gs_image *img, uint32_t *n, const Elf64_Phdr *ph)
{
	struct gs_image_segment *s = &img->segments[(*n)++];

	s->addr = ph->p_vaddr;
	s->size = ph->p_memsz;
	s->offset = ph->p_offset;
	s->file_size = ph->p_filesz < ph->p_memsz ? ph->p_filesz : ph->p_memsz;
	s->flags = (ph->p_flags & PF_R ? GS_IMAGE_READ : 0u) |
		   (ph->p_flags & PF_W ? GS_IMAGE_WRITE : 0u) |
		   (ph->p_flags & PF_X ? GS_IMAGE_EXEC : 0u);
	if (*n == 1 || s->addr < img->info.base)
		img->info.base = s->addr;
}

static void read_interp(struct gs_image *img, const Elf64_Phdr *ph)
{
	struct gs_cursor c;
	size_t len;

	img->info.has_interp = true;
	if (gs_cursor_window(&img->file, ph->p_offset, ph->p_filesz, &c, NULL) == 0)
		img->info.interp = gs__string_at(&c, 0, GS__MAX_SECTION_NAME, &len);
}

static int read_segments(struct gs_image *img, struct gs_err *err)
{
	uint64_t all = gs__elf_n_phdrs(img), n_load = 0;
	uint32_t n = 0;
	Elf64_Phdr ph;
	int r = 0;

	for (uint64_t i = 0; i < all; i++) {
		r = gs__elf_phdr(img, i, &ph, err);
		if (r < 0)
			return r;
		n_load += ph.p_type == PT_LOAD;
	}
	r = gs__image_new_segments(img, n_load, err);
	for (uint64_t i = 0; r == 0 && i < all; i++) {
		r = gs__elf_phdr(img, i, &ph, err);
		if (r < 0)
			return r;
		// Counted again, for somebody may be writing to the file.
		if (ph.p_type == PT_LOAD && n < img->info.n_segments)
			add_segment(img, &n, &ph);
		else if (ph.p_type == PT_INTERP)
			read_interp(img, &ph);
		else if (ph.p_type == PT_DYNAMIC)
			img->info.has_dynamic = true;
	}
	return r;
}

/* The operating system, as far as the file commits itself: EI_OSABI, the loader it asks for, or the
 * notes that systems put in. Go leaves EI_OSABI 0 on Linux, so a static binary may say nothing. */
static const char *operating_system(const struct gs_image *img)
{
	static const struct {
		uint8_t abi;
		const char *os;
	} by_abi[] = { { ELFOSABI_NETBSD, "netbsd" },
		       { ELFOSABI_LINUX, "linux" },
		       { ELFOSABI_SOLARIS, "solaris" },
		       { ELFOSABI_FREEBSD, "freebsd" },
		       { ELFOSABI_OPENBSD, "openbsd" } };
	static const struct {
		const char *part, *os;
	} by_interp[] = { { "/ld-linux", "linux" },        { "/ld-musl", "linux" },
			  { "/ld64.so", "linux" },         { "/system/bin/linker", "android" },
			  { "/ld-elf.so", "freebsd" },     { "/libexec/ld.elf_so", "netbsd" },
			  { "/libexec/ld.so", "openbsd" }, { "/usr/lib/64/ld.so", "solaris" },
			  { "/lib/64/ld.so", "solaris" } };
	static const char *const by_note[][2] = { { "Android", "android" },
						  { "FreeBSD", "freebsd" },
						  { "NetBSD", "netbsd" },
						  { "OpenBSD", "openbsd" },
						  { "DragonFly", "dragonfly" } };
	struct gs_cursor c;
	uint32_t tag;

	for (size_t i = 0; i < GS_ARRAY_SIZE(by_abi); i++) {
		if (img->elf.header.e_ident[EI_OSABI] == by_abi[i].abi)
			return by_abi[i].os;
	}
	for (size_t i = 0; img->info.interp && i < GS_ARRAY_SIZE(by_interp); i++) {
		if (strstr(img->info.interp, by_interp[i].part))
			return by_interp[i].os;
	}
	for (size_t i = 0; i < GS_ARRAY_SIZE(by_note); i++) {
		if (gs_image_find_note(img, by_note[i][0], 1, &c, NULL) == 0)
			return by_note[i][1];
	}
	if (gs_image_find_note(img, "GNU", NT_GNU_ABI_TAG, &c, NULL) == 0 &&
	    gs_cursor_u32(&c, &tag, NULL) == 0 && tag == NT_GNU_ABI_TAG_LINUX)
		return "linux";
	return NULL;
}

static int elf_load_symtabs(struct gs_image *img, struct gs_err *err);
static int elf_symbol(const struct gs_image *img, struct gs_cursor *at, struct gs__symbol *ret,
		      struct gs_err *err);
static int elf_build_id(struct gs_image *img, struct gs_cursor *ret, struct gs_err *err);

static const struct gs__image_ops elf_ops = { .load_symtabs = elf_load_symtabs,
					      .symbol = elf_symbol,
					      .build_id = elf_build_id,
					      .needed = gs__elf_needed };

int gs__elf_open(struct gs_image *img, struct gs_err *err)
{
	Elf64_Ehdr *eh = &img->elf.header;
	struct gs_image_info *info = &img->info;
	int r = read_header(img, eh, err);

	if (r < 0)
		return r;
	img->ops = &elf_ops;
	info->format = GS_IMAGE_ELF;
	info->machine = eh->e_machine;
	info->arch = eh->e_machine == EM_X86_64    ? GS_ARCH_AMD64
		     : eh->e_machine == EM_AARCH64 ? GS_ARCH_ARM64
						   : GS_ARCH_UNKNOWN;
	info->is_core = eh->e_type == ET_CORE;
	info->is_shared = info->is_pie = eh->e_type == ET_DYN;
	info->entry = eh->e_entry;
	img->elf.phdrs = img->elf.shdrs = gs_cursor_make(NULL, 0, img->name);
	r = find_tables(img, err);
	if (r == 0)
		r = read_sections(img, err);
	if (r == 0)
		r = read_segments(img, err);
	if (r < 0)
		return r;
	gs__image_note_debug(img);
	info->os = operating_system(img);
	return 0;
}

/* Records and strings of a SHT_SYMTAB or SHT_DYNSYM section. @return 0; 1 if there is none. */
static int section_symtab(struct gs_image *img, uint32_t type, struct gs_err *err)
{
	struct gs_cursor records, strings, all;
	Elf64_Shdr sh, link;
	uint64_t n;
	int r = shdr_of_type(img, type, &sh, err);

	if (r)
		return r;
	if (sh.sh_entsize != sizeof(Elf64_Sym))
		return gs_fail(err, -GS_E_BAD_DATA, sh.sh_offset,
			       "%s: symbols of %" PRIu64 " bytes, not %zu", img->name,
			       (uint64_t)sh.sh_entsize, sizeof(Elf64_Sym));
	r = gs_cursor_window(&img->file, sh.sh_offset, sh.sh_size, &all, err);
	if (r == 0)
		r = read_shdr(&img->elf.shdrs, sh.sh_link, &link, err);
	if (r == 0)
		r = gs_cursor_window(&img->file, link.sh_offset, link.sh_size, &strings, err);
	n = sh.sh_size / sizeof(Elf64_Sym);
	if (r == 0)
		r = gs_cursor_table(&all, n, sizeof(Elf64_Sym), &records, err);
	if (r < 0)
		return gs_fail_in(err, r, "cannot read the symbol table of %s", img->name);
	return gs__image_add_symtab(img, &records, n, sizeof(Elf64_Sym), &strings, err);
}

static int elf_load_symtabs(struct gs_image *img, struct gs_err *err)
{
	struct gs__symtab t;
	int r;

	if (img->info.n_sections == 0) {
		r = gs__elf_dynamic_symtab(img, &t, err);
		return r ? (r < 0 ? r : 0)
			 : gs__image_add_symtab(img, &t.records, t.n, t.record_size, &t.strings,
						err);
	}
	r = section_symtab(img, SHT_SYMTAB, err);
	if (r >= 0)
		r = section_symtab(img, SHT_DYNSYM, err);
	return r < 0 ? r : 0;
}

static int elf_symbol(const struct gs_image *img, struct gs_cursor *at, struct gs__symbol *ret,
		      struct gs_err *err)
{
	Elf64_Sym sym;
	unsigned int type;
	int r = gs_cursor_bytes(at, &sym, sizeof(sym), err);

	(void)img; // other formats need it
	if (r < 0)
		return r;
	type = ELF64_ST_TYPE(sym.st_info);
	ret->name_off = sym.st_name;
	ret->addr = sym.st_value;
	ret->size = sym.st_size;
	ret->skip = sym.st_shndx == SHN_UNDEF || type == STT_FILE || type == STT_SECTION;
	ret->is_function = type == STT_FUNC || type == STT_GNU_IFUNC;
	return 0;
}

/* One note at @c, which moves behind it. @align is 4, or 8 as GNU property notes have. */
static int next_note(struct gs_cursor *c, uint64_t align, Elf64_Nhdr *ret, struct gs_cursor *name,
		     struct gs_cursor *desc, struct gs_err *err)
{
	uint64_t left, pad;
	int r = gs_cursor_bytes(c, ret, sizeof(*ret), err);

	if (r == 0)
		r = gs_cursor_sub(c, ret->n_namesz, name, err);
	for (int part = 0; r == 0 && part < 2; part++) {
		pad = -gs_cursor_offset(c) & (align - 1);
		left = gs_cursor_left(c);
		r = gs_cursor_skip(c, pad < left ? pad : left, err);
		if (r == 0 && part == 0)
			r = gs_cursor_sub(c, ret->n_descsz, desc, err);
	}
	return r;
}

static bool owner_is(const struct gs_cursor *name, const char *owner)
{
	size_t n = strlen(owner);
	struct gs_cursor c = *name;
	char bytes[32];

	// "Go\0\0" counts its padding, "GNU\0" its NUL.
	if (gs_cursor_size(name) < n || gs_cursor_size(name) > sizeof(bytes) ||
	    gs_cursor_bytes(&c, bytes, gs_cursor_size(name), NULL) < 0 ||
	    memcmp(bytes, owner, n) != 0)
		return false;
	for (size_t i = n; i < gs_cursor_size(name); i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

/* @io_budget: bytes of notes that may still be looked at. */
static int search_notes(const struct gs_image *img, uint64_t off, uint64_t size, uint64_t align,
			const char *owner, uint32_t type, uint64_t *io_budget,
			struct gs_cursor *ret, struct gs_err *err)
{
	struct gs_cursor c, name, desc;
	Elf64_Nhdr nh;
	int r = gs_cursor_window(&img->file, off, size, &c, err);

	if (r == 0 && size > *io_budget)
		return gs_fail(err, -GS_E_LIMIT, off,
			       "%s: its notes overlap beyond measure. It is damaged", img->name);
	*io_budget -= r == 0 ? size : 0;
	while (r == 0 && gs_cursor_left(&c) > 0) {
		r = next_note(&c, align == 8 ? 8 : 4, &nh, &name, &desc, err);
		if (r == 0 && nh.n_type == type && owner_is(&name, owner)) {
			*ret = desc;
			return 0;
		}
	}
	return r < 0 ? gs_fail_in(err, r, "cannot read the notes of %s", img->name) : 1;
}

int gs_image_find_note(const struct gs_image *img, const char *owner, uint32_t type,
		       struct gs_cursor *ret, struct gs_err *err)
{
	// Notes are in a segment and once more in a section; headers that all name the same bytes
	// would make the search quadratic.
	uint64_t budget = 2 * img->info.file_size;
	int r = 1;

	if (img->info.format != GS_IMAGE_ELF)
		return 1;
	for (uint64_t i = 0; r == 1 && i < gs__elf_n_phdrs(img); i++) {
		Elf64_Phdr ph;

		r = gs__elf_phdr(img, i, &ph, err);
		if (r < 0)
			return r;
		r = ph.p_type != PT_NOTE ? 1
					 : search_notes(img, ph.p_offset, ph.p_filesz, ph.p_align,
							owner, type, &budget, ret, err);
	}
	for (uint32_t i = 0; r == 1 && i < img->info.n_sections; i++) {
		Elf64_Shdr sh;

		r = read_shdr(&img->elf.shdrs, i, &sh, err);
		if (r < 0)
			return r;
		r = sh.sh_type != SHT_NOTE
			    ? 1
			    : search_notes(img, sh.sh_offset, sh.sh_size, sh.sh_addralign, owner,
					   type, &budget, ret, err);
	}
	return r;
}

static int elf_build_id(struct gs_image *img, struct gs_cursor *ret, struct gs_err *err)
{
	return gs_image_find_note(img, "GNU", NT_GNU_BUILD_ID, ret, err);
}
