/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_ALLOC_TYPE_PRIVATE_H
#define GS_GOLANG_ALLOC_TYPE_PRIVATE_H

/* What following a register backwards needs of a CPU. Registers have the numbers of the instruction set. */
#include "golang/alloc_type.h"

enum gs__go_effect_kind {
	GS__GO_KEEPS,   /* the register is not written */
	GS__GO_CONST,   /* it becomes @value */
	GS__GO_COPY,    /* it becomes register @from plus @value */
	GS__GO_UNKNOWN, /* it becomes something else */
};

struct gs__go_effect {
	enum gs__go_effect_kind kind;
	uint8_t from;
	uint64_t value;
};

/** What the instruction, which is at @pc and no branch or call, does to @reg. Bytes that are none: unknown. */
typedef struct gs__go_effect gs__go_effect_fn(const struct gs_cursor *c, gs_addr pc,
					      unsigned int reg);
gs__go_effect_fn gs__go_effect_amd64, gs__go_effect_arm64;

#endif
