/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_CODE_SITES_PRIVATE_H
#define GS_GOLANG_CODE_SITES_PRIVATE_H

/* What the search needs of a CPU: its instructions reduced to control flow, and its stack check. */
#include "golang/code_sites.h"

enum gs__go_flow {
	GS__GO_FLOW_PLAIN, /* goes on behind itself */
	GS__GO_FLOW_JUMP,  /* direct, always */
	GS__GO_FLOW_CONDITIONAL,
	GS__GO_FLOW_CALL, /* direct */
	GS__GO_FLOW_RET,
	GS__GO_FLOW_INDIRECT, /* jump through a register or memory: a switch, or a tail call */
	GS__GO_FLOW_TRAP,     /* INT3, UDF: never executed; what pads functions */
};

struct gs__go_insn {
	uint8_t flow; /* enum gs__go_flow */
	uint8_t length;
	bool emulated;
	gs_addr target; /* JUMP, CONDITIONAL, CALL */
};

/**
 * Read the next instruction, which is at @pc.
 * @return 0; 1 if the bytes are none. Does not advance @c.
 */
typedef int gs__go_insn_fn(const struct gs_cursor *c, gs_addr pc, struct gs__go_insn *ret);
gs__go_insn_fn gs__go_insn_amd64, gs__go_insn_arm64;

/**
 * The stack check at the start of a function. *ret is its push or branch; kind 0: there is none
 * that is known.
 */
typedef void gs__go_prologue_fn(const struct gs_cursor *code, gs_addr pc, struct gs_go_site *ret);
gs__go_prologue_fn gs__go_prologue_amd64, gs__go_prologue_arm64;

/** Whether the first instruction is an amd64 no-op of five bytes or more. */
bool gs__go_is_long_nop(const struct gs_cursor *code);

#endif
