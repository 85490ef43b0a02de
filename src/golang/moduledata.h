/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_MODULEDATA_H
#define GS_GOLANG_MODULEDATA_H

/*
 * runtime.moduledata (runtime/symtab.go): the linker's index of a Go image. Its layout differs per
 * release (offsets in moduledata.c, from generated layouts); every candidate is proved against the
 * pclntab it points to before it is believed.
 */
#include <gosonde/err.h>
#include <gosonde/types.h>

#include "base/memory.h"
#include "golang/pclntab.h"
#include "image/image.h"

struct gs_go_moduledata {
	gs_addr addr;          /* of the structure itself */
	gs_addr pclntab;       /* pcHeader */
	uint64_t pclntab_size; /* to the end of the pclntable slice (1.26+: epclntab) */
	gs_addr text, etext, minpc, maxpc;
	gs_addr noptrdata, enoptrdata, data, edata, bss, ebss, noptrbss, enoptrbss, end;
	gs_addr gcdata, gcbss, types, etypes, rodata, gofunc;
	gs_addr next;             /* next module (plugin), 0 if last */
	gs_addr plugin_path;      /* text of … */
	uint64_t plugin_path_len; /* … so many bytes; 0: the executable */
	bool has_main;
	bool bad;       /* refused by plugin.Open, but mapped for ever */
	bool from_file; /* read from the image: link-time addresses */
};

/**
 * Find firstmoduledata in the file: section .go.module (1.26+), symbol runtime.firstmoduledata, else
 * a scan of data sections (and .rela.dyn addends) for a word equal to @pclntab_addr whose
 * surroundings prove themselves.
 * @minor 0 means unknown: all layouts are tried.
 * @return 0; 1 if it is not in the file.
 */
GS_CHECKED int gs_go_moduledata_find(const struct gs_image *img, unsigned int minor,
				     const struct gs_cursor *pclntab, gs_addr pclntab_addr,
				     struct gs_go_moduledata *ret, struct gs_err *err);
/**
 * Decode the moduledata at @addr from target memory and check it (magic behind pcHeader, ordered
 * addresses, ftab length). Used for the live image and for each plugin on the next chain.
 */
GS_CHECKED int gs_go_moduledata_read(const struct gs_memory *mem, unsigned int minor, gs_addr addr,
				     struct gs_go_moduledata *ret, struct gs_err *err);

#endif
