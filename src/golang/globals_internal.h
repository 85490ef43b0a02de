/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_GLOBALS_INTERNAL_H
#define GS_GOLANG_GLOBALS_INTERNAL_H

/* Between globals.c, which proposes addresses, and globals_check.c, which tries them. */
#include "golang/globals.h"

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

#endif
