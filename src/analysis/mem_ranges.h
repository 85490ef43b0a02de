/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_MEM_RANGES_H
#define GS_ANALYSIS_MEM_RANGES_H

/*
 * Who did the last thing to each piece of address space: what comes later goes before what was there, in full or in part. An
 * addition costs a few bytes in a list; the list is put in order when it is full, and at the end.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/types.h>

#include "base/cleanup.h"

struct gs__range {
	gs_addr start, end;
	uint32_t who; /* the user's number; 0: nobody (any more) */
	uint32_t
		calls; /* additions that still stand, at least in part; a range cut in two counts in its first piece */
	uint64_t at; /* of the (last) addition */
};

struct gs__ranges {
	struct gs__range *v;
	uint32_t n, cap;
	uint64_t dropped; /* additions without a place */
	bool full;        /* of what stands: putting in order makes no room any more */
};

#define GS__RANGES_KEPT (1u << 17) /* pieces that are kept apart */

void gs__ranges_deinit(struct gs__ranges *r);
/** [start, end) is now @who's; 0: nobody's. @at grows with each addition. */
void gs__ranges_add(struct gs__ranges *r, gs_addr start, gs_addr end, uint32_t who, uint64_t at);
/** Make @r->v what stands: ascending, without overlaps and without what is nobody's; neighbours of one owner are one. */
void gs__ranges_settle(struct gs__ranges *r);

#endif
