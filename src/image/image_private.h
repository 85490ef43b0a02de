/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_IMAGE_IMAGE_PRIVATE_H
#define GS_IMAGE_IMAGE_PRIVATE_H

/*
 * What the files of src/image share. image.c owns the mapping and answers what is common to all
 * formats; elf.c, pe.c and macho.c read headers at open and fill the neutral tables; what costs
 * time (symbols, relocations, dynamic tables) is read at first use through gs__image_once().
 *
 * Functions of image.h take a const image but may fill its lazy parts: an image belongs to one
 * thread at a time.
 */
#include <elf.h>

#include "base/arena.h"
#include "image/image.h"

/* Bounds on what a file can make us hold. Go links below 100 sections; object files of C++ have
 * many, cores have a segment per mapping (vm.max_map_count, 65530 unless raised). */
#define GS__MAX_SECTIONS (1u << 18)
#define GS__MAX_SEGMENTS (1u << 22)
#define GS__MAX_SECTION_NAME 1024u
#define GS__MAX_SYMBOLS (1u << 26)
/* Generic Go function names reach some KiB; nothing sane is longer than this. */
#define GS__MAX_SYMBOL_NAME (64u << 10)

/** A part that is read at first use; a failure is kept, so that hostile files fail once. */
struct gs__lazy {
	bool tried;
	int result;
	struct gs_err err;
};

/** One symbol table; records are decoded by the format's symbol(). */
struct gs__symtab {
	struct gs_cursor records; /* whole records only */
	struct gs_cursor strings;
	uint32_t n, record_size;
};

/** A record, decoded but its name not yet checked. */
struct gs__symbol {
	uint64_t name_off;      /* in the string table */
	const char *short_name; /* COFF: the name itself lies in the record */
	uint32_t short_len;
	uint32_t step; /* records it takes: COFF has auxiliary ones */
	bool skip;     /* undefined, or names a file or section */
	bool is_function;
	gs_addr addr;
	uint64_t size;
};

struct gs__image_ops {
	/** Fill img->symtabs. Failures are kept. */
	int (*load_symtabs)(struct gs_image *img, struct gs_err *err);
	/** Decode the record at @at, which moves behind it (auxiliary records are skipped by the
	 * caller). */
	int (*symbol)(const struct gs_image *img, struct gs_cursor *at, struct gs__symbol *ret,
		      struct gs_err *err);
	/** As gs_image_build_id and gs_image_needed. */
	int (*build_id)(struct gs_image *img, struct gs_cursor *ret, struct gs_err *err);
	int (*needed)(struct gs_image *img, uint32_t i, const char **ret, struct gs_err *err);
};

struct gs__elf_dynamic {
	struct gs__lazy lazy;
	bool there;
	struct gs_cursor entries, strings;
	gs_addr symtab, hash, gnu_hash;
	gs_addr rela;
	uint64_t rela_size;
};

struct gs__elf_reloc {
	gs_addr where;
	uint64_t addend;
};

struct gs__elf {
	Elf64_Ehdr header;
	struct gs_cursor phdrs, shdrs; /* empty if there are none */
	bool names_lost;               /* section names lie outside of the file */
	struct gs__elf_dynamic dynamic;
	/* RELATIVE relocations: sorted in the file (in_place) or a sorted copy (heap). */
	struct gs__lazy relocs_lazy;
	struct gs_cursor in_place;
	uint64_t n_in_place;
	struct gs__elf_reloc *relocs;
	size_t n_relocs;
};

struct gs__pe {
	gs_addr image_base;
	struct gs_cursor strings; /* COFF string table incl. its size word; may be empty */
	uint32_t symtab_offset, n_symbols;
	uint32_t import_rva, import_size, debug_rva, debug_size;
};

struct gs__macho {
	struct gs_cursor commands;
	uint32_t ncmds;
	uint32_t symoff, nsyms, stroff, strsize;
	const uint8_t *uuid;
};

/** Open addressing over symbol names; see image_symbols.c. */
struct gs__symbol_slot {
	uint32_t tag, record; /* record: 0 free, else 1 + index, bit 31 the table */
};

struct gs_image {
	struct gs_image_info info;
	const struct gs__image_ops *ops;
	struct gs_arena *arena;
	const char *name;
	struct gs_cursor file;
	void *map; /* NULL for borrowed bytes */
	size_t map_size;
	int sigbus_slot;
	struct gs_image_section *sections;
	const char **section_what; /* names for messages, made on demand */
	struct gs_image_segment *segments;
	union {
		struct gs__elf elf;
		struct gs__pe pe;
		struct gs__macho macho;
	};
	struct gs__lazy symtabs_lazy, index_lazy;
	struct gs__symtab symtabs[2];
	unsigned int n_symtabs, n_scans;
	struct gs__symbol_slot *slots;
	uint32_t slot_mask;
};

/* Header readers: the file cursor is at the start of the image. */
int gs__elf_open(struct gs_image *img, struct gs_err *err);
int gs__pe_open(struct gs_image *img, struct gs_err *err);
int gs__macho_open(struct gs_image *img, struct gs_err *err);
void gs__elf_close(struct gs_image *img);
void gs__symbols_close(struct gs_image *img);

/** Run @read on first use; afterwards repeat its result. */
int gs__image_once(struct gs_image *img, struct gs__lazy *l,
		   int (*read)(struct gs_image *img, struct gs_err *err), struct gs_err *err);
/** Allocate img->sections (and what belongs to it) or img->segments and set the counts. */
int gs__image_new_sections(struct gs_image *img, uint64_t n, struct gs_err *err);
int gs__image_new_segments(struct gs_image *img, uint64_t n, struct gs_err *err);
int gs__out_of_memory(const struct gs_image *img, struct gs_err *err);
/** The string at @off of @strings and its length if it ends there within @max bytes, else NULL. */
const char *gs__string_at(const struct gs_cursor *strings, uint64_t off, size_t max,
			  size_t *ret_len);
/** One symbol table of @n records. Refuses tables beyond measure. */
int gs__image_add_symtab(struct gs_image *img, const struct gs_cursor *records, uint64_t n,
			 uint32_t record_size, const struct gs_cursor *strings, struct gs_err *err);
/** All of [@addr, @addr + @size) from one segment of the file. @return 0; 1 if not in the file. */
int gs__image_range(const struct gs_image *img, gs_addr addr, uint64_t size, struct gs_cursor *ret,
		    struct gs_err *err);
/** Set has_dwarf, and GS_IMAGE_COMPRESSED for .zdebug names, from the sections' names. */
void gs__image_note_debug(struct gs_image *img);

/* elf_dynamic.c */
/** The dynamic symbol table without section headers. @return 0; 1 if there is none. */
int gs__elf_dynamic_symtab(struct gs_image *img, struct gs__symtab *ret, struct gs_err *err);
/** RELATIVE relocation of the word at @addr. @return 0 and its addend; 1 if there is none. */
int gs__elf_relative(struct gs_image *img, gs_addr addr, uint64_t *ret, struct gs_err *err);
int gs__elf_needed(struct gs_image *img, uint32_t i, const char **ret, struct gs_err *err);

/* elf.c */
/** Program header @i, counted without the loader's copies. */
int gs__elf_phdr(const struct gs_image *img, uint64_t i, Elf64_Phdr *ret, struct gs_err *err);
uint64_t gs__elf_n_phdrs(const struct gs_image *img);

#endif
