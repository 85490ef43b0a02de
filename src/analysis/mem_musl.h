/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_MEM_MUSL_H
#define GS_ANALYSIS_MEM_MUSL_H

#include "analysis/mem_private.h"

/** Claim what musl's malloc has mapped, if the program uses it; the rest of the claims are settled. */
GS_CHECKED int gs__claims_musl(struct gs_memory_look *l, struct gs_err *err);

#endif
