/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_DWARF_GLOBALS_H
#define GS_GOLANG_DWARF_GLOBALS_H

/*
 * Global variables of a Go program and their types, from its DWARF. Types that the program itself describes at run time
 * are those of golang/types.h; the others, which only variables have, are made from DWARF.
 */
#include "golang/types.h"
#include "image/image.h"

struct gs_go_variable {
	gs_addr addr;                  /* in the running program */
	const char *name;              /* "main.cache", with the whole package path */
	const struct gs_go_type *type; /* NULL: not known */
};

/**
 * Read all package-level variables. libdw runs in a child process without privileges (golang/sandbox.h); what it says is
 * checked.
 * @fd: the executable; @img: the same, for its section headers; @bias: from link-time to run-time addresses;
 * @types_at: moduledata.types of the running executable; @types: where its descriptors are read, and where the result lives.
 * @return 0 and the variables, sorted by address; 1 if there is no DWARF of variables; negative if the child failed.
 * Costs a fork and, for every 10 MB of uncompressed .debug_info, some 50 ms.
 */
GS_CHECKED int gs_go_dwarf_globals(int fd, const struct gs_image *img, uint64_t bias,
				   gs_addr types_at, struct gs_go_types *types,
				   const struct gs_go_variable **ret, uint32_t *ret_n,
				   struct gs_err *err);

#endif
