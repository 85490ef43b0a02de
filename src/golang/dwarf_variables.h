/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_DWARF_VARIABLES_H
#define GS_GOLANG_DWARF_VARIABLES_H

/*
 * Variables of a Go program and their types, from its DWARF: global ones, those that lie on the stack while a function waits
 * for a call, and those that closures carry. Types that the program itself describes at run time are those of
 * golang/types.h; the others, which only variables have, are made from DWARF.
 */
#include "golang/types.h"
#include "image/image.h"

/* A global variable. */
struct gs_go_variable {
	gs_addr addr;                  /* in the running program */
	const char *name;              /* "main.cache", with the whole package path */
	const struct gs_go_type *type; /* NULL: not known */
};

/** A part of a local variable, parameter or result that lies in memory. The compiler takes strings, slices, interfaces and
 *  small structs apart. */
struct gs_go_local {
	int32_t offset;     /* from the frame's CFA: sp of the caller before its call */
	uint32_t at, bytes; /* which part of the variable */
	uint32_t variable;  /* parts of one have the same number */
	bool indirect;      /* no part, but a pointer to the variable, which escaped to the heap */
	const char *name;
	const struct gs_go_type *type; /* of the whole variable */
};

/** What is known at a pc. */
struct gs_go_locals {
	gs_addr pc;
	const struct gs_go_local *local;
	uint32_t n;
};

/** A variable that a closure carries. */
struct gs_go_capture {
	uint32_t offset; /* in the closure; 0 is the function */
	bool maybe_value; /* its name begins with '&', so @type is a pointer: if not it, what it points to is there */
	const char *name; /* without '&' */
	const struct gs_go_type *type;
};

/** Closures of a function. */
struct gs_go_closure {
	gs_addr entry;
	const struct gs_go_capture *capture; /* sorted by offset */
	uint32_t n;
};

struct gs_go_variables {
	const struct gs_go_variable *global; /* all arrays are sorted by address */
	const struct gs_go_locals *at;
	const struct gs_go_closure *closure;
	uint32_t n_globals, n_at, n_closures;
};

/**
 * Read variables: all package-level ones, locals at @pcs, captures of all closures. libdw runs in a child process without
 * privileges (golang/sandbox.h); what it says is checked.
 *
 * Locals: where optimised code keeps a variable is what the compiler believed; a place may be stale, or be
 * that of two variables. Whoever asks has to know by other means that something lives there.
 * Captures: Go 1.23 and later (DW_AT_go_closure_offset); receivers of method values of all releases.
 *
 * @fd: the executable; @img: the same, for its section headers; @bias: from link-time to run-time addresses;
 * @types_at: moduledata.types of the running executable; @types: where its descriptors are read, and where the result lives.
 * @pcs: run-time addresses of calls (inside of the instruction), sorted, each once; at most 65536 are looked at.
 * @return 0; 1 if there is no DWARF of variables; negative if the child failed.
 * Costs a fork and, for every 10 MB of uncompressed .debug_info, some 50 ms.
 */
GS_CHECKED int gs_go_dwarf_variables(int fd, const struct gs_image *img, uint64_t bias,
				     gs_addr types_at, struct gs_go_types *types,
				     const gs_addr *pcs, uint32_t n_pcs,
				     struct gs_go_variables *ret, struct gs_err *err);
/** The entry of @pc; NULL if there is none. */
const struct gs_go_locals *gs_go_locals_at(const struct gs_go_variables *v, gs_addr pc);
const struct gs_go_closure *gs_go_closure_of(const struct gs_go_variables *v, gs_addr entry);

#endif
