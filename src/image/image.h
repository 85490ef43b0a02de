/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_IMAGE_IMAGE_H
#define GS_IMAGE_IMAGE_H

/*
 * One neutral view of ELF 64, PE32+ and Mach-O 64 files, amd64 and arm64. The image maps its file
 * read-only (or borrows bytes) and hands out cursors over it; nothing is copied. Only the headers,
 * section and segment tables are read at open, symbols on first use, so opening a 100 MB file costs
 * microseconds. All offsets and counts are checked; names are raw, escape them before printing.
 *
 * Of a universal Mach-O file one slice is the image, and file offsets are within it. PE segments are
 * its sections. An image belongs to one thread at a time: const functions fill its lazy parts.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>
#include <gosonde/types.h>

#include "base/cleanup.h"
#include "base/cursor.h"

enum gs_image_format { GS_IMAGE_ELF = 1, GS_IMAGE_PE, GS_IMAGE_MACHO };

/* Section and segment flags. */
enum {
	GS_IMAGE_READ = 1,
	GS_IMAGE_WRITE = 2,
	GS_IMAGE_EXEC = 4,
	GS_IMAGE_NOBITS = 8,      /* occupies memory, not the file (.bss, __DATA zerofill) */
	GS_IMAGE_COMPRESSED = 16, /* SHF_COMPRESSED or a .zdebug name */
};

/* PE names are as in the file or, for "/123" names, resolved through the COFF string table. Mach-O
 * names are "__SEGMENT,__section". */
struct gs_image_section {
	const char *name;
	gs_addr addr;       /* virtual address; PE: ImageBase + RVA */
	uint64_t size;      /* in memory (ELF: sh_size; PE: VirtualSize) */
	uint64_t offset;    /* in the file */
	uint64_t file_size; /* 0 for NOBITS */
	uint32_t flags;
};

struct gs_image_segment {
	gs_addr addr;
	uint64_t size;
	uint64_t offset;
	uint64_t file_size;
	uint32_t flags;
};

struct gs_image_symbol {
	const char *name; /* borrowed; Mach-O's leading underscore is kept */
	gs_addr addr;
	uint64_t size; /* 0 where the format has none (PE, Mach-O) */
	bool is_function;
};

struct gs_image_info {
	enum gs_image_format format;
	enum gs_arch arch; /* what the file's machine field says */
	uint32_t machine;  /* raw: e_machine, IMAGE_FILE_MACHINE_*, cputype */
	bool is_core;      /* ELF ET_CORE */
	bool is_shared; /* ET_DYN without PT_INTERP semantics left to the caller: e_type DYN, PE DLL, MH_DYLIB */
	bool is_pie;     /* position independent executable (ELF ET_DYN, PE DYNAMIC_BASE, MH_PIE) */
	bool has_interp; /* ELF PT_INTERP / Mach-O LC_LOAD_DYLINKER / PE always true */
	bool has_dynamic; /* ELF PT_DYNAMIC, PE import table, Mach-O LC_LOAD_DYLIB */
	bool has_symtab;  /* .symtab with entries; COFF symbols; LC_SYMTAB with locals */
	bool has_dwarf;   /* .debug_info or its compressed forms; __DWARF */
	bool has_unwind;  /* ELF .eh_frame, PE .pdata non-empty, Mach-O __unwind_info/__eh_frame */
	bool is_signed;   /* PE certificate table, Mach-O LC_CODE_SIGNATURE */
	gs_addr entry;    /* virtual address */
	gs_addr base;     /* lowest segment address / PE ImageBase */
	const char
		*os; /* "linux", "windows", "darwin", "freebsd", …; NULL if the format cannot say */
	const char *interp; /* borrowed or NULL */
	uint32_t n_sections, n_segments;
	uint64_t file_size;
};

struct gs_image;

/** Map the regular file @path (O_NONBLOCK, so that a FIFO cannot hang us). Free with gs_image_free. */
GS_CHECKED int gs_image_open(const char *path, struct gs_image **ret, struct gs_err *err);
/** The same for an open descriptor, which stays the caller's; @name is for messages and copied. */
GS_CHECKED int gs_image_open_fd(int fd, const char *name, struct gs_image **ret,
				struct gs_err *err);
/** View @size bytes that the caller keeps alive longer than the image. */
GS_CHECKED int gs_image_from_bytes(const void *bytes, uint64_t size, const char *name,
				   struct gs_image **ret, struct gs_err *err);
struct gs_image *gs_image_free(struct gs_image *img);
GS_DEFINE_CLEANUP(struct gs_image *, gs_image_free)

const struct gs_image_info *gs_image_info(const struct gs_image *img);
const char *gs_image_name(const struct gs_image *img);
/** Fails once if the file shrank while it was mapped; ask after parsing. */
GS_CHECKED int gs_image_intact(const struct gs_image *img, struct gs_err *err);

/** Section @i < n_sections, or segment; table order. */
const struct gs_image_section *gs_image_section_at(const struct gs_image *img, uint32_t i);
const struct gs_image_segment *gs_image_segment_at(const struct gs_image *img, uint32_t i);

/** First section called @name. @return 0; 1 if there is none. */
GS_CHECKED int gs_image_find_section(const struct gs_image *img, const char *name,
				     const struct gs_image_section **ret, struct gs_err *err);
/** Raw file bytes of a section. @return 0; 1 if it has none (NOBITS). */
GS_CHECKED int gs_image_section_bytes(const struct gs_image *img, const struct gs_image_section *s,
				      struct gs_cursor *ret, struct gs_err *err);
/** Raw file bytes @off..@off+@size. */
GS_CHECKED int gs_image_file_bytes(const struct gs_image *img, uint64_t off, uint64_t size,
				   struct gs_cursor *ret, struct gs_err *err);
/**
 * File bytes from virtual address @addr to the end of the file-backed part of its segment (PE:
 * section).
 * @return 0; 1 if @addr is not backed by the file.
 */
GS_CHECKED int gs_image_at(const struct gs_image *img, gs_addr addr, struct gs_cursor *ret,
			   struct gs_err *err);
/**
 * One pointer-sized word as it will be after loading at the image's own addresses: the file's
 * bytes, or the addend of an ELF RELATIVE relocation for @addr (externally linked PIE keep zeros in
 * the file; binary search over .rela.dyn, indexed at first use).
 * @return 0; 1 if @addr is not backed by the file.
 */
GS_CHECKED int gs_image_word(const struct gs_image *img, gs_addr addr, uint64_t *ret,
			     struct gs_err *err);

/**
 * First symbol of that exact name (ELF .symtab then .dynsym; COFF; LC_SYMTAB). Undefined symbols and
 * those that name files or sections do not count. The first few calls scan the table, later ones use
 * an index (200,000 symbols: 1.4 ms each, 6 ms once).
 * @return 0; 1 if there is none.
 */
GS_CHECKED int gs_image_find_symbol(const struct gs_image *img, const char *name,
				    struct gs_image_symbol *ret, struct gs_err *err);
/** Call @fn for every such symbol, in table order, until it returns non-zero; @return that value or 0
 *  or a failure. Names live as long as the image. */
GS_CHECKED int gs_image_each_symbol(const struct gs_image *img,
				    int (*fn)(void *ctx, const struct gs_image_symbol *s),
				    void *ctx, struct gs_err *err);

/**
 * ELF note by owner and type ("GNU" 3: GNU build id; "Go" 4: Go build id), from PT_NOTE or SHT_NOTE.
 * @return 0 and its descriptor; 1 if there is none.
 */
GS_CHECKED int gs_image_find_note(const struct gs_image *img, const char *owner, uint32_t type,
				  struct gs_cursor *ret, struct gs_err *err);
/** Mach-O LC_UUID / PE debug GUID / ELF GNU build id as bytes. @return 0; 1 if there is none. */
GS_CHECKED int gs_image_build_id(const struct gs_image *img, struct gs_cursor *ret,
				 struct gs_err *err);

/** Names of needed shared libraries, one per call, @i from 0. @return 0; 1 past the last. */
GS_CHECKED int gs_image_needed(const struct gs_image *img, uint32_t i, const char **ret,
			       struct gs_err *err);

#endif
