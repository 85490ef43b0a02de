/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_LAYOUT_INTERNAL_H
#define GS_GOLANG_LAYOUT_INTERNAL_H

/* Shared by the files that make layouts: the field list as data, and the DWARF reader. */
#include <stddef.h>
#include <stdint.h>

#include "golang/layout.h"
#include "golang/sandbox.h"

/* One entry of data/layout_fields.inc. */
struct gs__go_field {
	const char *type; /* "runtime.g" */
	const char *path; /* "stack.lo", "" for the size of the structure */
	const char *id;   /* "G_STACK_LO" */
};
extern const struct gs__go_field gs__go_fields[GS_GO_FIELD_COUNT];

/* In the array of a DWARF reader: the structure itself was not described, which says nothing about
 * the field (the linker drops unused types). GS_GO_NO_FIELD: it was, and has no such field. */
#define GS__GO_NO_STRUCT (-2)

/* The reader's limits: a 1 GB Go binary has some 100 MB of DWARF, which takes 1 s. */
extern const struct gs__sandbox_limits gs__go_dwarf_limits;

/**
 * gs_go_layout_dwarf() with other limits, for tests and fuzzers, which cannot wait.
 * @return as gs_go_layout_dwarf()
 */
GS_CHECKED int gs__go_layout_dwarf_limited(int fd, const struct gs__sandbox_limits *limits,
					   struct gs_go_layout *io, struct gs_err *err);

struct Elf;
/** Map the file privately, without the debug sections that say nothing of types or, with @code, of where functions and
 *  their variables are, and open it with libelf. For children of the sandbox: nothing is ever freed. NULL if that fails. */
struct Elf *gs__go_dwarf_elf(int fd, bool code);

#endif
