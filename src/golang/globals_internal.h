/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_GLOBALS_INTERNAL_H
#define GS_GOLANG_GLOBALS_INTERNAL_H

/* Between globals.c and globals_more.c, which propose addresses, globals_code.c, which reads the code that refers to
 * them, and globals_check.c and globals_more_check.c, which try them. */
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
/** Disassemble one. @return false if it is not there or its code is not in the file. */
bool gs__go_anchor_code(const struct gs__go_anchors *a, const char *function,
			struct gs__go_code *ret);
/** Does @addr lie in data that is, or before relocation was, writable, at a multiple of @align? */
bool gs__go_anchor_in_data(const struct gs__go_anchors *a, gs_addr addr, unsigned int align);

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
