/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The field list of data/layout_fields.inc as an array. Apart from layout.c, so that the program
 * that generates the tables can be built before the tables exist. */
#include "golang/layout_internal.h"

#include <assert.h>

const struct gs__go_field gs__go_fields[GS_GO_FIELD_COUNT] = {
#define GS_GO_FIELD(i, t, p) [GS_GO_##i] = { .type = t, .path = p, .id = #i },
#include "golang/data/layout_fields.inc"
#undef GS_GO_FIELD
};

static const char *const names[GS_GO_FIELD_COUNT] = {
#define GS_GO_FIELD(i, t, p) [GS_GO_##i] = t " " p,
#include "golang/data/layout_fields.inc"
#undef GS_GO_FIELD
};

const char *gs_go_field_name(enum gs_go_field f)
{
	assert((unsigned int)f < GS_GO_FIELD_COUNT);
	return names[f];
}
