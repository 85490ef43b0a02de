/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_BUILDINFO_PRIVATE_H
#define GS_GOLANG_BUILDINFO_PRIVATE_H

/* What the files of the build info share. */
#include "base/arena.h"
#include "base/cursor.h"
#include "golang/buildinfo.h"

/** Decode the blob at @blob; everything but the address. @return 0; 1 if there is none. */
GS_CHECKED int gs__go_buildinfo_decode(const struct gs_cursor *blob, struct gs_arena *arena,
				       struct gs_go_buildinfo *ret, struct gs_err *err);
/** Take the sentinels off; empty if there are none (then it is no module information). */
GS_CHECKED int gs__go_modinfo_strip(struct gs_cursor *mod, struct gs_err *err);
/** Parse lines into path, modules and settings of @bi. */
GS_CHECKED int gs__go_modinfo_parse(const struct gs_cursor *mod, struct gs_arena *arena,
				    struct gs_go_buildinfo *bi, struct gs_err *err);
/** The string in a Go string literal (strconv.Unquote). @return 0; 1 if it is not one. */
GS_CHECKED int gs__go_unquote(const char *s, size_t n, char *ret, size_t *ret_n);

#endif
