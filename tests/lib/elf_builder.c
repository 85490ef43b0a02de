/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Writes ELF 64: header, program headers, section contents at offsets congruent to their addresses,
 * section headers last, as linkers do. What the loader reads (notes, interpreter, dynamic section
 * and its tables) becomes sections of its own behind the last declared address.
 */
#include <assert.h>
#include <elf.h>
#include <string.h>

#include "builder_private.h"

#define PAGE 0x1000u

/* A synthesised, loaded section at the next free address. */
static struct gs_build_section *loaded(struct gs_builder *b, const char *name, uint32_t type,
				       struct gs_build_buf *content)
{
	struct gs_build_section *s =
		gs_builder_add(b, name, gs_builder_free_addr(b, PAGE), GS_IMAGE_READ);

	s->type = type;
	s->content = *content;
	s->size = content->n;
	*content = (struct gs_build_buf){ 0 };
	return s;
}

static uint32_t index_of(const struct gs_builder *b, const char *name)
{
	for (size_t i = 0; i < b->n_sections; i++) {
		if (strcmp(b->sections[i].name, name) == 0)
			return (uint32_t)i + 1; // header 0 is the null section
	}
	return 0;
}

static gs_addr addr_of(const struct gs_builder *b, const char *name)
{
	uint32_t i = index_of(b, name);

	return i ? b->sections[i - 1].addr : 0;
}

static uint64_t size_of(const struct gs_builder *b, const char *name)
{
	uint32_t i = index_of(b, name);

	return i ? b->sections[i - 1].size : 0;
}

static void put_symbol(struct gs_builder *b, struct gs_build_buf *out, size_t strx,
		       const struct gs_build_symbol *s, const char *table, size_t i)
{
	int sec = gs_builder_section_of(b, s->addr);

	gs_buf_field(out, 4, strx, "st_name%s:%zu", table, i);
	gs_buf_field(out, 1, ELF64_ST_INFO(STB_GLOBAL, s->is_function ? STT_FUNC : STT_OBJECT),
		     "st_info%s:%zu", table, i);
	gs_buf_put(out, 1, 0);
	gs_buf_field(out, 2,
		     s->addr == 0 ? SHN_UNDEF
		     : sec < 0    ? SHN_ABS
				  : (uint64_t)sec + 1,
		     "st_shndx%s:%zu", table, i);
	gs_buf_field(out, 8, s->addr, "st_value%s:%zu", table, i);
	gs_buf_field(out, 8, s->size, "st_size%s:%zu", table, i);
}

static void add_symtab(struct gs_builder *b)
{
	struct gs_build_buf syms = { 0 }, strings = { 0 };
	struct gs_build_section *s;

	if (b->n_symbols == 0)
		return;
	gs_buf_zeros(&syms, sizeof(Elf64_Sym));
	gs_buf_put(&strings, 1, 0);
	for (size_t i = 0; i < b->n_symbols; i++)
		put_symbol(b, &syms, gs_buf_string(&strings, b->symbols[i].name), &b->symbols[i],
			   "", i);
	s = gs_builder_add(b, ".symtab", 0, 0);
	s->type = SHT_SYMTAB;
	s->size = syms.n;
	s->content = syms;
	s->entsize = sizeof(Elf64_Sym);
	s->info = 1;
	s->link = (uint32_t)b->n_sections + 1;
	s = gs_builder_add(b, ".strtab", 0, 0);
	s->type = SHT_STRTAB;
	s->align = 1;
	s->size = strings.n;
	s->content = strings;
}

static uint32_t gnu_hash(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (uint8_t)*name;
	return h;
}

/* One bucket with all symbols in table order: a valid, if slow, hash table. */
static void add_hash(struct gs_builder *b)
{
	struct gs_build_buf out = { 0 };
	size_t n = b->n_dynamic + 1;

	if (b->options & GS_BUILD_GNU_HASH) {
		gs_buf_field(&out, 4, 1, "gnu_hash_nbuckets");
		gs_buf_field(&out, 4, 1, "gnu_hash_symoffset");
		gs_buf_field(&out, 4, 1, "gnu_hash_bloom_size");
		gs_buf_put(&out, 4, 0);
		gs_buf_put(&out, 8, UINT64_MAX);
		gs_buf_field(&out, 4, b->n_dynamic ? 1 : 0, "gnu_hash_bucket:0");
		for (size_t i = 0; i < b->n_dynamic; i++)
			gs_buf_field(&out, 4,
				     (gnu_hash(b->dynamic[i].name) & ~1u) | (i + 1 == b->n_dynamic),
				     "gnu_hash_chain:%zu", i);
		loaded(b, ".gnu.hash", SHT_GNU_HASH, &out);
		return;
	}
	gs_buf_field(&out, 4, 1, "hash_nbucket");
	gs_buf_field(&out, 4, n, "hash_nchain");
	gs_buf_put(&out, 4, b->n_dynamic ? 1 : 0);
	for (size_t i = 0; i < n; i++)
		gs_buf_put(&out, 4, i > 0 && i + 1 < n ? i + 1 : 0);
	loaded(b, ".hash", SHT_HASH, &out)->entsize = 4;
}

static void add_relocs(struct gs_builder *b)
{
	uint64_t type = b->arch == GS_ARCH_ARM64 ? R_AARCH64_RELATIVE : R_X86_64_RELATIVE;
	struct gs_build_buf out = { 0 };

	for (size_t i = 0; i < b->n_relocs; i++) {
		gs_buf_field(&out, 8, b->relocs[i].where, "r_offset:%zu", i);
		gs_buf_field(&out, 8, type, "r_info:%zu", i);
		gs_buf_field(&out, 8, b->relocs[i].addend, "r_addend:%zu", i);
	}
	if (b->n_relocs)
		loaded(b, ".rela.dyn", SHT_RELA, &out)->entsize = sizeof(Elf64_Rela);
	for (size_t i = 0; i < b->n_relr; i++)
		gs_buf_field(&out, 8, b->relr[i], "relr:%zu", i);
	if (b->n_relr)
		loaded(b, ".relr.dyn", 19 /* SHT_RELR */, &out)->entsize = 8;
}

static void put_dyn(struct gs_build_buf *out, uint64_t tag, uint64_t value, const char *name)
{
	gs_buf_field(out, 8, tag, "d_tag:%s", name);
	gs_buf_field(out, 8, value, "d_val:%s", name);
}

static void add_dynamic(struct gs_builder *b)
{
	struct gs_build_buf syms = { 0 }, strings = { 0 }, dyn = { 0 };
	uint32_t at_strings;

	if (!b->n_needed && !b->n_dynamic && !b->n_relocs && !b->n_relr)
		return;
	gs_buf_put(&strings, 1, 0);
	for (size_t i = 0; i < b->n_needed; i++)
		put_dyn(&dyn, DT_NEEDED, gs_buf_string(&strings, b->needed[i]), "DT_NEEDED");
	gs_buf_zeros(&syms, sizeof(Elf64_Sym));
	for (size_t i = 0; i < b->n_dynamic; i++)
		put_symbol(b, &syms, gs_buf_string(&strings, b->dynamic[i].name), &b->dynamic[i],
			   ".dyn", i);
	loaded(b, ".dynstr", SHT_STRTAB, &strings);
	at_strings = (uint32_t)b->n_sections;
	loaded(b, ".dynsym", SHT_DYNSYM, &syms)->entsize = sizeof(Elf64_Sym);
	b->sections[b->n_sections - 1].link = at_strings;
	b->sections[b->n_sections - 1].info = 1;
	add_hash(b);
	b->sections[b->n_sections - 1].link = at_strings + 1; // .dynsym
	add_relocs(b);
	put_dyn(&dyn, DT_STRTAB, addr_of(b, ".dynstr"), "DT_STRTAB");
	put_dyn(&dyn, DT_STRSZ, size_of(b, ".dynstr"), "DT_STRSZ");
	put_dyn(&dyn, DT_SYMTAB, addr_of(b, ".dynsym"), "DT_SYMTAB");
	put_dyn(&dyn, DT_SYMENT, sizeof(Elf64_Sym), "DT_SYMENT");
	if (b->options & GS_BUILD_GNU_HASH)
		put_dyn(&dyn, DT_GNU_HASH, addr_of(b, ".gnu.hash"), "DT_GNU_HASH");
	else
		put_dyn(&dyn, DT_HASH, addr_of(b, ".hash"), "DT_HASH");
	if (b->n_relocs) {
		put_dyn(&dyn, DT_RELA, addr_of(b, ".rela.dyn"), "DT_RELA");
		put_dyn(&dyn, DT_RELASZ, size_of(b, ".rela.dyn"), "DT_RELASZ");
		put_dyn(&dyn, DT_RELAENT, sizeof(Elf64_Rela), "DT_RELAENT");
	}
	if (b->n_relr) {
		put_dyn(&dyn, 36 /* DT_RELR */, addr_of(b, ".relr.dyn"), "DT_RELR");
		put_dyn(&dyn, 35 /* DT_RELRSZ */, size_of(b, ".relr.dyn"), "DT_RELRSZ");
		put_dyn(&dyn, 37 /* DT_RELRENT */, 8, "DT_RELRENT");
	}
	put_dyn(&dyn, DT_NULL, 0, "DT_NULL");
	loaded(b, ".dynamic", SHT_DYNAMIC, &dyn)->entsize = sizeof(Elf64_Dyn);
	b->sections[b->n_sections - 1].link = at_strings;
}

static uint64_t phdr_count(const struct gs_builder *b)
{
	uint64_t n = 0;

	for (size_t i = 0; i < b->n_sections; i++)
		n += (b->sections[i].addr != 0) + (b->sections[i].type == SHT_NOTE);
	return n + (index_of(b, ".dynamic") != 0) + (b->interp != NULL);
}

static void put_header(struct gs_builder *b, uint64_t n_ph, uint64_t n_sh, uint64_t shoff)
{
	static const uint8_t ident[] = { 0x7f, 'E', 'L', 'F' };
	struct gs_build_buf *o = &b->out;
	bool extended = b->options & GS_BUILD_EXTENDED;

	gs_buf_bytes(o, ident, 4);
	gs_buf_field(o, 1, ELFCLASS64, "EI_CLASS");
	gs_buf_field(o, 1, ELFDATA2LSB, "EI_DATA");
	gs_buf_field(o, 1, EV_CURRENT, "EI_VERSION");
	gs_buf_field(o, 1, 0, "EI_OSABI");
	gs_buf_zeros(o, 8);
	gs_buf_field(o, 2,
		     b->options & GS_BUILD_CORE  ? ET_CORE
		     : b->options & GS_BUILD_DYN ? ET_DYN
						 : ET_EXEC,
		     "e_type");
	gs_buf_field(o, 2, b->arch == GS_ARCH_ARM64 ? EM_AARCH64 : EM_X86_64, "e_machine");
	gs_buf_field(o, 4, EV_CURRENT, "e_version");
	gs_buf_field(o, 8, b->entry, "e_entry");
	gs_buf_field(o, 8, n_ph ? sizeof(Elf64_Ehdr) : 0, "e_phoff");
	gs_buf_field(o, 8, shoff, "e_shoff");
	gs_buf_field(o, 4, 0, "e_flags");
	gs_buf_field(o, 2, sizeof(Elf64_Ehdr), "e_ehsize");
	gs_buf_field(o, 2, sizeof(Elf64_Phdr), "e_phentsize");
	gs_buf_field(o, 2, extended ? PN_XNUM : n_ph, "e_phnum");
	gs_buf_field(o, 2, n_sh ? sizeof(Elf64_Shdr) : 0, "e_shentsize");
	gs_buf_field(o, 2, extended ? 0 : n_sh, "e_shnum");
	gs_buf_field(o, 2, n_sh == 0 ? 0 : extended ? SHN_XINDEX : n_sh - 1, "e_shstrndx");
}

static void put_phdr(struct gs_builder *b, uint64_t *i, uint32_t type,
		     const struct gs_build_section *s)
{
	struct gs_build_buf *o = &b->out;
	uint64_t k = (*i)++;
	uint32_t flags = (s->flags & GS_IMAGE_READ ? PF_R : 0u) |
			 (s->flags & GS_IMAGE_WRITE ? PF_W : 0u) |
			 (s->flags & GS_IMAGE_EXEC ? PF_X : 0u);

	gs_buf_field(o, 4, type, "p_type:%" PRIu64, k);
	gs_buf_field(o, 4, flags, "p_flags:%" PRIu64, k);
	gs_buf_field(o, 8, s->offset, "p_offset:%" PRIu64, k);
	gs_buf_field(o, 8, s->addr, "p_vaddr:%" PRIu64, k);
	gs_buf_put(o, 8, s->addr);
	gs_buf_field(o, 8, s->flags & GS_IMAGE_NOBITS ? 0 : s->size, "p_filesz:%" PRIu64, k);
	gs_buf_field(o, 8, s->size, "p_memsz:%" PRIu64, k);
	gs_buf_field(o, 8, type == PT_LOAD ? PAGE : s->align, "p_align:%" PRIu64, k);
}

static void put_phdrs(struct gs_builder *b)
{
	uint32_t dynamic = index_of(b, ".dynamic"), interp = index_of(b, ".interp");
	uint64_t k = 0;

	if (interp && b->interp)
		put_phdr(b, &k, PT_INTERP, &b->sections[interp - 1]);
	for (size_t i = 0; i < b->n_sections; i++) {
		if (b->sections[i].addr)
			put_phdr(b, &k, PT_LOAD, &b->sections[i]);
		if (b->sections[i].type == SHT_NOTE)
			put_phdr(b, &k, PT_NOTE, &b->sections[i]);
	}
	if (dynamic)
		put_phdr(b, &k, PT_DYNAMIC, &b->sections[dynamic - 1]);
}

static void put_shdr(struct gs_builder *b, const struct gs_build_section *s, uint64_t name)
{
	struct gs_build_buf *o = &b->out;
	uint64_t flags = (s->addr ? SHF_ALLOC : 0u) | (s->flags & GS_IMAGE_WRITE ? SHF_WRITE : 0u) |
			 (s->flags & GS_IMAGE_EXEC ? SHF_EXECINSTR : 0u) |
			 (s->flags & GS_IMAGE_COMPRESSED ? SHF_COMPRESSED : 0u);
	uint32_t type = s->type ? s->type : s->flags & GS_IMAGE_NOBITS ? SHT_NOBITS : SHT_PROGBITS;

	gs_buf_field(o, 4, name, "sh_name:%s", s->name);
	gs_buf_field(o, 4, type, "sh_type:%s", s->name);
	gs_buf_field(o, 8, flags, "sh_flags:%s", s->name);
	gs_buf_field(o, 8, s->addr, "sh_addr:%s", s->name);
	gs_buf_field(o, 8, s->offset, "sh_offset:%s", s->name);
	gs_buf_field(o, 8, s->size, "sh_size:%s", s->name);
	gs_buf_field(o, 4, s->link, "sh_link:%s", s->name);
	gs_buf_field(o, 4, s->info, "sh_info:%s", s->name);
	gs_buf_field(o, 8, s->align, "sh_addralign:%s", s->name);
	gs_buf_field(o, 8, s->entsize, "sh_entsize:%s", s->name);
}

/* Header 0 is empty but for the extended counts. */
static void put_shdrs(struct gs_builder *b, const size_t *names, uint64_t n_ph)
{
	bool extended = b->options & GS_BUILD_EXTENDED;
	struct gs_build_buf *o = &b->out;

	gs_buf_zeros(o, 32);
	gs_buf_field(o, 8, extended ? b->n_sections + 1 : 0, "sh_size:0");
	gs_buf_field(o, 4, extended ? b->n_sections : 0, "sh_link:0");
	gs_buf_field(o, 4, extended ? n_ph : 0, "sh_info:0");
	gs_buf_zeros(o, 16);
	for (size_t i = 0; i < b->n_sections; i++)
		put_shdr(b, &b->sections[i], names[i]);
}

static size_t *add_names(struct gs_builder *b)
{
	struct gs_build_section *s = gs_builder_add(b, ".shstrtab", 0, 0);
	size_t *at = calloc(b->n_sections, sizeof(*at));

	assert(at);
	s->type = SHT_STRTAB;
	s->align = 1;
	gs_buf_put(&s->content, 1, 0);
	for (size_t i = 0; i < b->n_sections; i++)
		at[i] = gs_buf_string(&s->content, b->sections[i].name);
	s->size = s->content.n;
	return at;
}

void gs_builder_write_elf(struct gs_builder *b)
{
	GS_CLEANUP(gs_freep) size_t *names = NULL;
	bool with_sections = !(b->options & GS_BUILD_NO_SECTIONS);
	struct gs_build_buf interp = { 0 };
	uint64_t n_ph, at;

	for (size_t i = 0; i < b->n_sections; i++) {
		if (b->sections[i].type == SHT_NOTE && !b->sections[i].addr)
			b->sections[i].addr = gs_builder_free_addr(b, PAGE);
	}
	if (b->interp) {
		gs_buf_string(&interp, b->interp);
		loaded(b, ".interp", SHT_PROGBITS, &interp);
	}
	add_dynamic(b);
	if (with_sections) {
		add_symtab(b);
		names = add_names(b);
	}
	n_ph = phdr_count(b);
	at = sizeof(Elf64_Ehdr) + n_ph * sizeof(Elf64_Phdr);
	for (size_t i = 0; i < b->n_sections; i++) {
		struct gs_build_section *s = &b->sections[i];

		// Small files: offsets are congruent to addresses modulo 16 only, which readers of
		// files must not care about.
		at = (at + 15) / 16 * 16 + (s->addr & 15);
		s->offset = at;
		at += s->flags & GS_IMAGE_NOBITS ? 0 : s->size;
	}
	at = (at + 7) / 8 * 8;
	put_header(b, n_ph, with_sections ? b->n_sections + 1 : 0, with_sections ? at : 0);
	put_phdrs(b);
	for (size_t i = 0; i < b->n_sections; i++) {
		gs_buf_to(&b->out, b->sections[i].offset);
		gs_buf_take(&b->out, &b->sections[i].content);
	}
	gs_buf_to(&b->out, at);
	if (with_sections)
		put_shdrs(b, names, n_ph);
}
