/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_DWARF_VARIABLES_PRIVATE_H
#define GS_GOLANG_DWARF_VARIABLES_PRIVATE_H

/* What the child that reads DWARF tells its parent, in memory that both share. Numbers of types are indices + 1; 0 is none. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "golang/dwarf_variables.h"
#include "golang/sandbox.h"

enum {
	GS__PCS_MAX = 64 << 10,
	GS__VARS_MAX = 256 << 10,
	GS__LOCALS_MAX = 512 << 10,
	GS__CAPTURES_MAX = 256 << 10,
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

/* A part of a local variable. */
struct gs__local {
	uint32_t pc; /* the number of the question */
	uint32_t
		variable; /* parts of one variable have the same number, and come one after the other */
	uint32_t name, type;
	int32_t offset;     /* from the frame's CFA */
	uint32_t at, bytes; /* in the variable; bytes 0: all of it */
	bool indirect;      /* a pointer to the variable is there */
};

/* A variable in a closure. */
struct gs__capture {
	uint64_t function; /* where it begins, at link time */
	uint32_t offset;   /* in the closure */
	uint32_t name, type;
};

struct gs__vars {
	/* The questions: sorted, at link time. */
	uint32_t n_pcs;
	uint64_t pc[GS__PCS_MAX];
	/* The answers. */
	uint32_t n_vars, n_locals, n_captures, n_types, n_fields, n_text;
	struct gs__var var[GS__VARS_MAX];
	struct gs__local local[GS__LOCALS_MAX];
	struct gs__capture capture[GS__CAPTURES_MAX];
	struct gs__var_type type[GS__VAR_TYPES_MAX];
	struct gs__var_field field[GS__VAR_FIELDS_MAX];
	char text[GS__VAR_TEXT_MAX]; /* NUL-terminated names; the first is "" */
};

/** Memory for questions and answers, without pages yet. NULL: none. */
struct gs__vars *gs__go_vars_new(void);
struct gs__vars *gs__go_vars_free(struct gs__vars *v);
/**
 * Run the child. Afterwards it is gone, so that @v does not change any more; but every number in it is foreign.
 * @return 0; 1 if there is no DWARF of variables; negative.
 */
GS_CHECKED int gs__go_dwarf_vars(int fd, struct gs__vars *v,
				 const struct gs__sandbox_limits *limits, struct gs_err *err);
/** gs_go_dwarf_variables() from what the child said; apart, for tests. */
GS_CHECKED int gs__go_make_vars(const struct gs__vars *v, const struct gs_image *img, uint64_t bias,
				gs_addr types_at, struct gs_go_types *types,
				struct gs_go_variables *ret, struct gs_err *err);

#endif
