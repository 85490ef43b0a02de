/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_DWARF_GLOBALS_PRIVATE_H
#define GS_GOLANG_DWARF_GLOBALS_PRIVATE_H

/* What the child that reads DWARF tells its parent, in memory that both share. Numbers of types are indices + 1; 0 is none. */
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "golang/dwarf_globals.h"

enum {
	GS__VARS_MAX = 256 << 10,
	GS__VAR_TYPES_MAX = 256 << 10,
	GS__VAR_FIELDS_MAX = 1 << 20,
	GS__VAR_TEXT_MAX = 24 << 20,
};

struct gs__var {
	uint64_t addr;       /* at link time */
	uint32_t name, type; /* where in the text */
};

struct gs__var_type {
	uint64_t size, length; /* length: of an array */
	uint64_t
		runtime_type; /* where its descriptor is in the section of types, + 1; 0: the program has none */
	uint32_t name;
	uint32_t elem, first_field, n_fields;
	uint8_t kind; /* reflect.Kind; 0 unknown */
};

struct gs__var_field {
	uint64_t offset;
	uint32_t name, type;
};

struct gs__vars {
	uint32_t n_vars, n_types, n_fields, n_text;
	struct gs__var var[GS__VARS_MAX];
	struct gs__var_type type[GS__VAR_TYPES_MAX];
	struct gs__var_field field[GS__VAR_FIELDS_MAX];
	char text[GS__VAR_TEXT_MAX]; /* NUL-terminated names; the first is "" */
};

/**
 * Run the child. Afterwards it is gone, so that @ret does not change any more; but every number in it is foreign.
 * @return 0; 1 if there is no DWARF of variables; negative.
 */
GS_CHECKED int gs__go_dwarf_vars(int fd, struct gs__vars **ret, struct gs_err *err);
struct gs__vars *gs__go_vars_free(struct gs__vars *v);
/** gs_go_dwarf_globals() from what the child said; apart, for tests. */
GS_CHECKED int gs__go_make_vars(const struct gs__vars *v, const struct gs_image *img, uint64_t bias,
				gs_addr types_at, struct gs_go_types *types,
				const struct gs_go_variable **ret, uint32_t *ret_n,
				struct gs_err *err);

#endif
