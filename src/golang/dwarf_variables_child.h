/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_DWARF_VARIABLES_CHILD_H
#define GS_GOLANG_DWARF_VARIABLES_CHILD_H

/* Shared by the files that run in the child which reads DWARF. */
#include <elfutils/libdw.h>

#include "golang/dwarf_variables_private.h"

enum {
	GS__VARS_MAX_NAME = 4096,
	GS__VARS_MAX_DIES = 20000000, /* that are looked at, of all units together */
	GS__VARS_AT_DICT_INDEX = 0x2906,
	GS__VARS_AT_CLOSURE_OFFSET = 0x2907,
};

/* A function, by a hash of its name. */
struct gs__vars_function {
	uint64_t hash;
	Dwarf_Off die;
};

struct gs__vars_child {
	struct gs__vars *out;
	Dwarf *dw;
	Dwarf_Off *die;  /* of each type of @out */
	uint32_t *index; /* number of the type by a hash of its offset; 0: free */
	uint32_t dies, n_variables;
	struct gs__vars_function
		*function; /* all of them: receivers of method values are in another place */
	struct gs__vars_function *wrapper; /* of method values */
	uint32_t n_functions, n_wrappers;
};

/** Where a copy of @s is in the text of the answer; 0: nowhere. */
uint32_t gs__vars_text(struct gs__vars *v, const char *s);
bool gs__vars_u64(Dwarf_Die *die, unsigned int attribute, uint64_t *ret);
/** The number of the type @die, which is put on the list if it is new. 0: no more room. */
uint32_t gs__vars_type(struct gs__vars_child *c, Dwarf_Die *die);
/** Zeros, in pages that are there when they are touched. NULL: no memory. */
void *gs__vars_pages(size_t n, size_t size);

/** Before the others. @return false: no memory. */
bool gs__vars_functions_init(struct gs__vars_child *c);
/** A function's locals at the pcs that were asked for, and what its closures carry. */
void gs__vars_take_function(struct gs__vars_child *c, Dwarf_Die *die);
/** After all functions. */
void gs__vars_take_wrappers(struct gs__vars_child *c);

#endif
