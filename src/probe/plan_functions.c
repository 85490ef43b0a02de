/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Watched functions: from what the user wrote to a function of the table. */
#include <string.h>

#include "probe/plan_private.h"

int gs__plan_functions(struct gs__plan *pl, struct gs_err *err)
{
	(void)pl;
	return gs_fail(err, -GS_E_NOT_FOUND, 0, "not there yet");
}
