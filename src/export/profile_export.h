/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_PROFILE_EXPORT_H
#define GS_EXPORT_PROFILE_EXPORT_H

/* Formats of a profile: one file each (profile_pprof.c, profile_folded.c, profile_speedscope.c, profile_flame.c). */
#include <stdbool.h>

#include <gosonde/err.h>

#include "base/out.h"
#include "model/profile.h"

struct gs_profile_format {
	const char *name;
	bool binary; /* refuse to print on a terminal */
	const char *view_before,
		*view_after; /* how to look at a file: what to write around its name */
	/** Write a finished profile. @return 0, -ENOMEM or the output's failure. */
	int (*write)(struct gs_out *out, const struct gs_profile *p,
		     const struct gs_profile_facts *f, struct gs_err *err);
};

extern const struct gs_profile_format gs_profile_pprof, gs_profile_folded, gs_profile_speedscope,
	gs_profile_flame;

#endif
