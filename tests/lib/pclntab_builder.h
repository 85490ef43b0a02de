/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_LIB_PCLNTAB_BUILDER_H
#define GS_TESTS_LIB_PCLNTAB_BUILDER_H

/*
 * Writes what Go's linker writes: pclntab, moduledata and build info of Go 1.18 to 1.27, from a
 * declaration (cmd/link/internal/ld/pcln.go, symtab.go and data.go of those releases). No code in
 * common with src/golang. Test code: misuse aborts.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/types.h>

#include "base/cleanup.h"
#include "image_builder.h"

/* From @pc (offset from the function's entry) on, up to the next step or the function's end, the
 * value is @value. The first step has pc 0. Files are steps over indices of gs_build_go.files. */
struct gs_build_step {
	uint32_t pc;
	int32_t value;
};

/* A call that was inlined: nodes of the inline tree, PCDATA_InlTreeIndex values are indices here. */
struct gs_build_inline {
	const char *name;
	int32_t parent;      /* node, -1: inlined into the function itself (written until 1.19) */
	uint32_t parent_pc;  /* offset of the call within the function */
	uint32_t file, line; /* of the call; index of files (written until 1.19) */
	uint32_t start_line; /* written since 1.20 */
	uint8_t func_id;
};

#define GS_BUILD_STEPS(...)                                                                        \
	(const struct gs_build_step[]){ __VA_ARGS__ },                                             \
		sizeof((const struct gs_build_step[]){ __VA_ARGS__ }) /                            \
			sizeof(struct gs_build_step)

struct gs_build_func {
	const char *name;
	uint32_t offset; /* from runtime.text; ascending */
	uint32_t size;   /* the last function's size ends the table */
	int32_t args_bytes;
	uint32_t deferreturn, start_line;
	uint8_t func_id, flag; /* raw, as that release numbers them */
	const struct gs_build_step *sp;
	size_t n_sp;
	const struct gs_build_step *file; /* values: indices of files */
	size_t n_file;
	const struct gs_build_step *line;
	size_t n_line;
	const struct gs_build_step *inl; /* PCDATA 2; -1 where nothing is inlined */
	size_t n_inl;
	const struct gs_build_inline *nodes; /* FUNCDATA 3 */
	size_t n_nodes;
	const struct gs_build_step *unsafe; /* PCDATA 0, or n 0 */
	size_t n_unsafe;
	const struct gs_build_step *stackmap; /* PCDATA 1, or n 0 */
	size_t n_stackmap;
	const void *arg_info; /* FUNCDATA 5 bytes, or NULL */
	size_t arg_info_size;
	const void *args_maps, *locals_maps, *objects; /* FUNCDATA 0 to 2 bytes, or NULL */
	size_t args_maps_size, locals_maps_size, objects_size;
};

struct gs_build_go {
	unsigned int minor; /* 18 .. 27 */
	enum gs_arch arch;
	gs_addr text; /* runtime.text */
	const struct gs_build_func *funcs;
	size_t n_funcs;
	const char *const *files;
	size_t n_files;
	const char *version;     /* build info; NULL: "go1.MINOR" */
	const char *modinfo;     /* lines "path\t…\nmod\t…\n"; NULL: a small default */
	const char *go_build_id; /* NULL: a default */
	bool no_buildinfo;
};

/* A finished table. Free with gs_build_pclntab_deinit. */
struct gs_build_pclntab {
	uint8_t *bytes;
	size_t size;
	uint8_t *gofunc; /* go:func.*; inside @bytes at @gofunc_offset from 1.26 on, else a block */
	size_t gofunc_size, gofunc_offset;
	/* where the parts lie */
	uint64_t funcname_offset, cu_offset, filetab_offset, pctab_offset, pcln_offset;
	uint64_t funcname_size, cu_count, filetab_size, pctab_size, pcln_size;
	uint32_t text_size;
	bool gofunc_inside;
};

/** The bytes of runtime.pclntab. @header_text: the textStart word; pass go->text for < 1.26. */
void gs_build_pclntab(const struct gs_build_go *go, uint64_t header_text,
		      struct gs_build_pclntab *ret);
void gs_build_pclntab_deinit(struct gs_build_pclntab *t);

/* Addresses that moduledata holds. */
struct gs_build_addresses {
	gs_addr pclntab, gofunc; /* gofunc 0 with gofunc_inside: computed */
	gs_addr text, etext;
	gs_addr noptrdata, enoptrdata, data, edata, bss, ebss, noptrbss, enoptrbss, end;
	gs_addr types, etypes, rodata, gcdata, gcbss, findfunctab;
	gs_addr next;
};
/** The bytes of runtime.firstmoduledata of release @minor, malloced. */
uint8_t *gs_build_moduledata(unsigned int minor, const struct gs_build_pclntab *t, uint64_t n_funcs,
			     const struct gs_build_addresses *a, size_t *ret_size);
/** The build info blob (32-byte header, inline strings), malloced; @modinfo gets its sentinels. */
uint8_t *gs_build_buildinfo(const char *version, const char *modinfo, size_t *ret_size);

enum gs_build_go_option {
	GS_BUILD_GO_STRIPPED = 1, /* no symbols */
	GS_BUILD_GO_PIE = 2,      /* ET_DYN; ELF: words relocated, link values kept in the file */
	GS_BUILD_GO_PIE_ZERO = 4, /* as PIE, but file words are 0 and only .rela.dyn has addends */
	GS_BUILD_GO_HIDDEN = 8,   /* pclntab merged in .data.rel.ro / .rodata / __DATA_CONST */
	GS_BUILD_GO_C_STARTUP = 16,  /* runtime.text is 0x100 bytes behind the start of .text */
	GS_BUILD_GO_NO_SECTIONS = 32 /* ELF without section headers */
};

/* Where gs_build_go_image put things. */
struct gs_build_go_places {
	gs_addr text, pclntab, gofunc, moduledata, buildinfo;
	uint64_t pclntab_size;
};

/**
 * A whole Go-like image (ELF, PE, Mach-O) with .text, .rodata, .gopclntab, .go.buildinfo, .noptrdata
 * or .go.module (1.26+) holding firstmoduledata, .data, .bss, notes, and symbols of every function
 * and of runtime.text, runtime.pclntab, runtime.epclntab, runtime.firstmoduledata, go:func.*.
 * go->text is ignored: see @ret_places. The builder is unfinished: add, break, then
 * gs_builder_finish().
 */
struct gs_builder *gs_build_go_image(const struct gs_build_go *go, enum gs_image_format format,
				     uint32_t options, struct gs_build_go_places *ret_places);

/** A ready declaration with a few functions, inlining two deep, duplicate names and a wrapper;
 *  static storage, change a copy. */
const struct gs_build_go *gs_build_go_sample(void);

#endif
