/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_GLOBALS_INTERNAL_H
#define GS_GOLANG_GLOBALS_INTERNAL_H

/* Between globals.c and globals_more.c, which propose addresses, globals_symbols.c and globals_code.c, which read the
 * symbols of them and the code that refers to them, and globals_check.c and globals_more_check.c, which try them on
 * data that globals_peek.c reads. */
#include "golang/disasm.h"
#include "golang/globals.h"

/* Functions whose code refers to globals: first named, then looked up together, then read one by one. */
enum { GS__GO_MAX_ANCHORS = 24 };
struct gs__go_anchors {
	const struct gs_image *img;
	const struct gs_go_pclntab *tab;
	uint64_t bias;
	const char *function[GS__GO_MAX_ANCHORS];
	struct gs_go_func func[GS__GO_MAX_ANCHORS];
	size_t n;
};
/** Name a function; once is enough. */
void gs__go_anchor_want(struct gs__go_anchors *a, const char *function);
/** Find all of them in the function table. */
GS_CHECKED int gs__go_anchor_look_up(struct gs__go_anchors *a, struct gs_err *err);
/**
 * Disassemble @function. *ret_target is what its data reference @nth, from 1, refers to.
 * @return false if the function is not there, its code is not in the file, or the reference is not one of its own: the
 *         same as the first again is a lock that is taken and given back, or a value that is read again.
 */
bool gs__go_anchor_ref(const struct gs__go_anchors *a, const char *function, unsigned int nth,
		       struct gs__go_code *ret, gs_addr *ret_target);
/** Does @addr lie in data that is, or before relocation was, writable, at a multiple of @align? */
bool gs__go_anchor_in_data(const struct gs__go_anchors *a, gs_addr addr, unsigned int align);

/* Variables of the runtime to be found by symbol: their names without the package, and arrays of as many results. */
struct gs__go_symbols {
	const char *const *names;
	size_t n;
	size_t n_left; /* to be found; those that never have a symbol do not count */
	uint64_t bias;
	gs_addr *addr; /* 0: not found */
	enum gs_go_global_how *how;
	uint64_t *size; /* may be NULL */
};
/** Fill in what the symbol table has; without one that is nothing. */
GS_CHECKED int gs__go_symbols_find(const struct gs_image *img, struct gs__go_symbols *w,
				   struct gs_err *err);

/* What a check works on. */
struct gs__go_check {
	const struct gs_memory *mem;
	const struct gs_go_layout *layout;
	const struct gs_go_globals *found; /* NULL for globals that only the heap needs */
	gs_addr addr;
	struct gs_err *err;
};
/** @return 1 if read, 0 if that memory is not there, negative if the target is gone or refuses to be read. */
GS_CHECKED int gs__go_peek(const struct gs__go_check *c, gs_addr addr, void *buf, size_t len);
/** Read the field @f, @bytes of it, of a structure at @base, zero-extended. @return as gs__go_peek() */
GS_CHECKED int gs__go_peek_field(const struct gs__go_check *c, gs_addr base, enum gs_go_field f,
				 size_t bytes, uint64_t *ret);

/**
 * Try @addr as the global @g on live data. Globals in @found that are proved are used to cross-check
 * (allgptr needs allglen).
 * @io_wait_reasons: number of wait reasons, 0 if unknown; corrected when @g is the array of them.
 * @return 1 if the data behind it can be nothing else; 0 if not, or if it cannot be read; negative
 *         only if the target is gone or refuses to be read.
 */
GS_CHECKED int gs__go_global_check(const struct gs_memory *mem, const struct gs_go_layout *layout,
				   const struct gs_go_globals *found, enum gs_go_global g,
				   gs_addr addr, uint32_t *io_wait_reasons, struct gs_err *err);

/** The same for globals that only the heap needs. */
GS_CHECKED int gs__go_more_global_check(const struct gs_memory *mem,
					const struct gs_go_layout *layout, enum gs_go_more_global g,
					gs_addr addr, struct gs_err *err);

#endif
