/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Writes PE32+ images: DOS header, COFF header, optional header with 16 directories, sections at
 * multiples of 0x200 in the file, COFF symbols and strings at the end.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "builder_private.h"

#define BASE 0x140000000u
#define FILE_ALIGN 0x200u
#define PAGE 0x1000u
#define N_DIRECTORIES 16

struct directories {
	uint32_t rva[N_DIRECTORIES], size[N_DIRECTORIES];
};

static struct gs_build_section *add_section(struct gs_builder *b, const char *name)
{
	gs_addr addr = gs_builder_free_addr(b, PAGE);

	return gs_builder_add(b, name, addr < BASE ? BASE + PAGE : addr, GS_IMAGE_READ);
}

/* Import descriptors, their end, then the names. */
static void add_imports(struct gs_builder *b, struct directories *d)
{
	struct gs_build_section *s;
	uint32_t rva, at;

	if (b->n_needed == 0)
		return;
	s = add_section(b, ".idata");
	rva = (uint32_t)(s->addr - BASE);
	at = rva + 20 * ((uint32_t)b->n_needed + 1);
	d->rva[1] = rva;
	d->size[1] = at - rva;
	for (size_t i = 0; i < b->n_needed; i++) {
		gs_buf_zeros(&s->content, 12);
		gs_buf_field(&s->content, 4, at, "ImportName:%zu", i);
		gs_buf_zeros(&s->content, 4);
		at += (uint32_t)strlen(b->needed[i]) + 1;
	}
	gs_buf_zeros(&s->content, 20);
	for (size_t i = 0; i < b->n_needed; i++)
		gs_buf_string(&s->content, b->needed[i]);
	s->size = s->content.n;
}

/* One CodeView entry; its file offset is patched when the section has one. */
static void add_debug(struct gs_builder *b, struct directories *d)
{
	struct gs_build_section *s;

	if (!b->has_uuid)
		return;
	s = add_section(b, ".buildid");
	d->rva[6] = (uint32_t)(s->addr - BASE);
	d->size[6] = 28;
	gs_buf_zeros(&s->content, 12);
	gs_buf_field(&s->content, 4, 2, "DebugType");
	gs_buf_field(&s->content, 4, 28, "DebugSizeOfData");
	gs_buf_field(&s->content, 4, d->rva[6] + 28, "DebugAddressOfRawData");
	gs_buf_field(&s->content, 4, 0, "DebugPointerToRawData");
	gs_buf_bytes(&s->content, "RSDS", 4);
	gs_buf_bytes(&s->content, b->uuid, 16);
	gs_buf_put(&s->content, 4, 1);
	gs_buf_string(&s->content, "a.pdb");
	s->size = s->content.n;
}

static void put_optional(struct gs_builder *b, const struct directories *d, uint32_t headers)
{
	struct gs_build_buf *o = &b->out;

	gs_buf_field(o, 2, 0x20b, "Magic");
	gs_buf_put(o, 2, 0x0e);
	gs_buf_zeros(o, 12);
	gs_buf_field(o, 4, b->entry ? b->entry - BASE : 0, "AddressOfEntryPoint");
	gs_buf_field(o, 4, PAGE, "BaseOfCode");
	gs_buf_field(o, 8, BASE, "ImageBase");
	gs_buf_field(o, 4, PAGE, "SectionAlignment");
	gs_buf_field(o, 4, FILE_ALIGN, "FileAlignment");
	gs_buf_put(o, 8, 0x0000000100000006); // operating system 6.1
	gs_buf_put(o, 8, 0x0001000600000000); // subsystem 6.1
	gs_buf_field(o, 4, gs_builder_free_addr(b, PAGE) - BASE, "SizeOfImage");
	gs_buf_field(o, 4, headers, "SizeOfHeaders");
	gs_buf_put(o, 4, 0);
	gs_buf_field(o, 2, 3, "Subsystem");
	gs_buf_field(o, 2, b->options & GS_BUILD_DYN ? 0x160 : 0x100, "DllCharacteristics");
	for (int i = 0; i < 4; i++)
		gs_buf_put(o, 8, 0x100000); // stack and heap
	gs_buf_put(o, 4, 0);
	gs_buf_field(o, 4, N_DIRECTORIES, "NumberOfRvaAndSizes");
	for (int i = 0; i < N_DIRECTORIES; i++) {
		gs_buf_field(o, 4, d->rva[i], "DirectoryAddress:%d", i);
		gs_buf_field(o, 4, d->size[i], "DirectorySize:%d", i);
	}
}

static void put_section(struct gs_build_buf *o, const struct gs_build_section *s,
			struct gs_build_buf *strings)
{
	uint32_t raw = s->flags & GS_IMAGE_NOBITS
			       ? 0
			       : (uint32_t)((s->size + FILE_ALIGN - 1) / FILE_ALIGN * FILE_ALIGN);
	uint32_t flags = (s->flags & GS_IMAGE_READ ? 0x40000000u : 0u) |
			 (s->flags & GS_IMAGE_WRITE ? 0x80000000u : 0u) |
			 (s->flags & GS_IMAGE_EXEC ? 0x20000020u : 0u) |
			 (s->flags & GS_IMAGE_NOBITS ? 0x80u : 0x40u);
	char name[16] = { 0 };

	if (strlen(s->name) > 8)
		snprintf(name, sizeof(name), "/%zu", gs_buf_string(strings, s->name));
	else
		memcpy(name, s->name, strlen(s->name));
	gs_buf_bytes(o, name, 8);
	gs_buf_field(o, 4, s->size, "VirtualSize:%s", s->name);
	gs_buf_field(o, 4, s->addr - BASE, "VirtualAddress:%s", s->name);
	gs_buf_field(o, 4, raw, "SizeOfRawData:%s", s->name);
	gs_buf_field(o, 4, raw ? s->offset : 0, "PointerToRawData:%s", s->name);
	gs_buf_zeros(o, 12);
	gs_buf_field(o, 4, flags, "SectionCharacteristics:%s", s->name);
}

static void put_symbols(struct gs_builder *b, struct gs_build_buf *strings)
{
	for (size_t i = 0; i < b->n_symbols; i++) {
		const struct gs_build_symbol *s = &b->symbols[i];
		int sec = gs_builder_section_of(b, s->addr);
		size_t n = strlen(s->name);

		if (n > 8) {
			gs_buf_field(&b->out, 4, 0, "NameZeroes:%zu", i);
			gs_buf_field(&b->out, 4, gs_buf_string(strings, s->name), "NameOffset:%zu",
				     i);
		} else {
			gs_buf_bytes(&b->out, s->name, n);
			gs_buf_zeros(&b->out, 8 - n);
		}
		gs_buf_field(&b->out, 4, sec < 0 ? s->addr : s->addr - b->sections[sec].addr,
			     "Value:%zu", i);
		gs_buf_field(&b->out, 2, sec < 0 ? 0xffff : (uint64_t)sec + 1, "SectionNumber:%zu",
			     i);
		gs_buf_field(&b->out, 2, s->is_function ? 0x20 : 0, "Type:%zu", i);
		gs_buf_field(&b->out, 1, 2, "StorageClass:%zu", i);
		gs_buf_field(&b->out, 1, i == 0 ? 1 : 0, "NumberOfAuxSymbols:%zu", i);
		if (i == 0)
			// One to step over; read as a symbol it would be one.
			gs_buf_bytes(&b->out, "auxdata\0\0\0\0\0\1\0\0\0\2\0", 18);
	}
}

static void put_headers(struct gs_builder *b, const struct directories *d, uint32_t headers,
			struct gs_build_buf *strings)
{
	struct gs_build_buf *o = &b->out;

	gs_buf_field(o, 2, 0x5a4d, "e_magic");
	gs_buf_zeros(o, 0x3a);
	gs_buf_field(o, 4, 0x40, "e_lfanew");
	gs_buf_field(o, 4, 0x4550, "Signature");
	gs_buf_field(o, 2, b->arch == GS_ARCH_ARM64 ? 0xaa64 : 0x8664, "Machine");
	gs_buf_field(o, 2, b->n_sections, "NumberOfSections");
	gs_buf_put(o, 4, 0);
	gs_buf_field(o, 4, 0, "PointerToSymbolTable");
	gs_buf_field(o, 4, b->n_symbols ? b->n_symbols + 1 : 0, "NumberOfSymbols");
	gs_buf_field(o, 2, 240, "SizeOfOptionalHeader");
	gs_buf_field(o, 2, b->options & GS_BUILD_LIBRARY ? 0x2022 : 0x22, "Characteristics");
	put_optional(b, d, headers);
	for (size_t i = 0; i < b->n_sections; i++)
		put_section(o, &b->sections[i], strings);
}

void gs_builder_write_pe(struct gs_builder *b)
{
	struct gs_build_buf strings = { 0 };
	struct directories d = { 0 };
	uint32_t headers;
	uint64_t at;

	add_imports(b, &d);
	add_debug(b, &d);
	headers = (uint32_t)(0x40 + 24 + 240 + 40 * b->n_sections + FILE_ALIGN - 1) / FILE_ALIGN *
		  FILE_ALIGN;
	at = headers;
	for (size_t i = 0; i < b->n_sections; i++) {
		struct gs_build_section *s = &b->sections[i];

		assert(s->addr > BASE && s->addr % PAGE == 0);
		s->offset = at;
		if (!(s->flags & GS_IMAGE_NOBITS))
			at += (s->size + FILE_ALIGN - 1) / FILE_ALIGN * FILE_ALIGN;
		if (strcmp(s->name, ".pdata") == 0) {
			d.rva[3] = (uint32_t)(s->addr - BASE);
			d.size[3] = (uint32_t)s->size;
		}
	}
	if (b->options & GS_BUILD_SIGNED) {
		d.rva[4] = (uint32_t)at; // a file offset, unlike the others
		d.size[4] = 8;
	}
	gs_buf_field(&strings, 4, 0, "StringTableSize");
	put_headers(b, &d, headers, &strings);
	for (size_t i = 0; i < b->n_sections; i++) {
		gs_buf_to(&b->out, b->sections[i].flags & GS_IMAGE_NOBITS ? b->out.n
									  : b->sections[i].offset);
		gs_buf_take(&b->out, &b->sections[i].content);
	}
	gs_buf_to(&b->out, at);
	if (b->options & GS_BUILD_SIGNED)
		gs_buf_put(&b->out, 8, 0x0002020000000008);
	if (b->has_uuid)
		gs_buf_patch(&b->out, "DebugPointerToRawData",
			     b->sections[gs_builder_section_of(b, BASE + d.rva[6])].offset + 28);
	if (b->n_symbols || strings.n > 4) {
		gs_buf_patch(&b->out, "PointerToSymbolTable", b->out.n);
		put_symbols(b, &strings);
		gs_buf_patch(&strings, "StringTableSize", strings.n);
		gs_buf_take(&b->out, &strings);
	}
	gs_buf_deinit(&strings);
}
