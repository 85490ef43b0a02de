/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_PROBE_COSTS_INTERNAL_H
#define GS_PROBE_COSTS_INTERNAL_H

/* For the tests of src/probe/costs.c. */
#include "probe/budget.h"

/** Replace what no probe can cost: parts by a share of the whole, the whole by the constants. */
void gs__probe_costs_check(struct gs_probe_costs *c);

#endif
