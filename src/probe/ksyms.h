/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_PROBE_KSYMS_H
#define GS_PROBE_KSYMS_H

/* Names of kernel functions, from /proc/kallsyms (include/linux/kallsyms.h: text symbols, sorted here). */
#include <stdint.h>

#include <gosonde/err.h>

#include "base/cleanup.h"

struct gs_ksyms;

/** Read the table. -GS_E_PERMISSION if addresses are hidden (kptr_restrict); text says what to do. */
GS_CHECKED int gs_ksyms_open(struct gs_ksyms **ret, struct gs_err *err);
struct gs_ksyms *gs_ksyms_free(struct gs_ksyms *k);
GS_DEFINE_CLEANUP(struct gs_ksyms *, gs_ksyms_free)
/** The same from a file in that format (tests). */
GS_CHECKED int gs__ksyms_open_file(const char *path, struct gs_ksyms **ret, struct gs_err *err);
/** Name and start of the function that contains @addr; NULL if none. Lives as long as @k.
 *  @ret_start may be NULL. */
const char *gs_ksyms_find(const struct gs_ksyms *k, uint64_t addr, uint64_t *ret_start);

#endif
