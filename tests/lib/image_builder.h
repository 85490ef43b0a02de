/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_LIB_IMAGE_BUILDER_H
#define GS_TESTS_LIB_IMAGE_BUILDER_H

/*
 * Writes small ELF64, PE32+ and Mach-O 64 files from a declaration, for unit tests and fuzz seeds.
 * It is written from the formats' specifications and shares no code with src/image. Every number it
 * writes into a header is a named field, so a test can break exactly one of them: see
 * gs_builder_break() and gs_builder_field_at() (break each field in turn).
 *
 * Test code: running out of memory or misuse aborts.
 *
 *	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = gs_builder_new(GS_IMAGE_ELF, GS_ARCH_AMD64);
 *	gs_builder_section(b, ".text", 0x401000, GS_IMAGE_READ | GS_IMAGE_EXEC, code, sizeof(code));
 *	gs_builder_symbol(b, "main.main", 0x401000, 16, true);
 *	gs_builder_break(b, "e_shentsize", 1);
 *	bytes = gs_builder_finish(b, &size);
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/types.h>

#include "base/cleanup.h"
#include "image/image.h"

struct gs_builder;

/** An empty image: ELF ET_EXEC, PE executable with ImageBase 0x140000000, Mach-O MH_EXECUTE. */
struct gs_builder *gs_builder_new(enum gs_image_format format, enum gs_arch arch);
struct gs_builder *gs_builder_free(struct gs_builder *b);
GS_DEFINE_CLEANUP(struct gs_builder *, gs_builder_free)

/**
 * Add a section; @bytes are copied (NULL with GS_IMAGE_NOBITS). @addr 0: not loaded (ELF without
 * SHF_ALLOC; PE and Mach-O sections always are). PE: @addr is absolute and at or above ImageBase,
 * 0x1000-aligned; Mach-O names are "__SEGMENT,__section" and consecutive sections of one segment
 * share it. ELF: each loaded section gets a PT_LOAD of its own. GS_IMAGE_COMPRESSED sets
 * SHF_COMPRESSED.
 */
void gs_builder_section(struct gs_builder *b, const char *name, gs_addr addr, uint32_t flags,
			const void *bytes, uint64_t size);
/** Into .symtab, the COFF table or LC_SYMTAB. Addresses are absolute. */
void gs_builder_symbol(struct gs_builder *b, const char *name, gs_addr addr, uint64_t size,
		       bool is_function);
/** ELF: into .dynsym (with PT_DYNAMIC and DT_HASH). */
void gs_builder_dynamic_symbol(struct gs_builder *b, const char *name, gs_addr addr, uint64_t size,
			       bool is_function);
/** ELF: a note of its own section and PT_NOTE; type NT_GNU_BUILD_ID and the like. */
void gs_builder_note(struct gs_builder *b, const char *owner, uint32_t type, const void *desc,
		     uint32_t size);
/** ELF: a RELATIVE relocation into .rela.dyn, in the order of the calls. */
void gs_builder_relative(struct gs_builder *b, gs_addr where, uint64_t addend);
/** ELF: raw words of .relr.dyn. */
void gs_builder_relr(struct gs_builder *b, const uint64_t *words, size_t n);
/** DT_NEEDED, LC_LOAD_DYLIB, PE import descriptor. */
void gs_builder_needed(struct gs_builder *b, const char *library);
/** PT_INTERP, LC_LOAD_DYLINKER. */
void gs_builder_interp(struct gs_builder *b, const char *path);
/** LC_UUID; PE: CodeView debug directory. 16 bytes. */
void gs_builder_uuid(struct gs_builder *b, const uint8_t uuid[16]);
void gs_builder_entry(struct gs_builder *b, gs_addr entry);

enum gs_build_option {
	GS_BUILD_DYN = 1,         /* ELF ET_DYN; PE DYNAMIC_BASE; MH_PIE */
	GS_BUILD_CORE = 2,        /* ELF ET_CORE */
	GS_BUILD_NO_SECTIONS = 4, /* ELF: no section headers at all */
	GS_BUILD_EXTENDED = 8,    /* ELF: e_shnum 0, e_phnum PN_XNUM, real counts in section 0 */
	GS_BUILD_FAT = 16,        /* Mach-O inside a universal file behind a slice of another CPU */
	GS_BUILD_SIGNED = 32,     /* PE certificate table, LC_CODE_SIGNATURE */
	GS_BUILD_LIBRARY = 64,    /* PE DLL, MH_DYLIB */
	GS_BUILD_GNU_HASH = 128,  /* ELF: DT_GNU_HASH instead of DT_HASH */
};
void gs_builder_options(struct gs_builder *b, uint32_t options);

/**
 * Overwrite the field @name by @value, after everything else. Names are those of the
 * specifications, ":" and an index or section name where there are several: "e_shentsize",
 * "sh_offset:.gopclntab", "p_filesz:0", "st_name:1", "d_val:DT_STRTAB", "e_lfanew",
 * "SizeOfOptionalHeader", "PointerToRawData:.text", "ncmds", "cmdsize:3", "n_strx:0". Aborts at
 * gs_builder_finish() if the image has no such field.
 */
void gs_builder_break(struct gs_builder *b, const char *name, uint64_t value);
/** Cut the finished file to @size bytes. */
void gs_builder_truncate(struct gs_builder *b, uint64_t size);

/** Lay out and write. The bytes stay the builder's. Call once. */
const uint8_t *gs_builder_finish(struct gs_builder *b, size_t *ret_size);

/** After finish: the @i-th named field, where and how wide; false past the last. */
bool gs_builder_field_at(const struct gs_builder *b, size_t i, const char **ret_name,
			 size_t *ret_offset, unsigned int *ret_width);

/** Write bytes to a new file under $TMPDIR and return its path, malloced; the caller unlinks. */
char *gs_builder_temp_file(const void *bytes, size_t size);

#endif
