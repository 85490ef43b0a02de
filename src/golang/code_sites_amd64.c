/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * amd64. The stack check that Go puts in front of a function (cmd/internal/obj/x86/obj6.go,
 * stacksplit), by the size of the frame:
 *
 *     small                      medium                        large (underflow possible)
 *     cmp 0x10(%r14),%rsp        lea -N(%rsp),%r12             mov %rsp,%r12
 *     jbe morestack              cmp 0x10(%r14),%r12           sub $N,%r12
 *                                jbe morestack                 jb morestack
 *                                                              cmp 0x10(%r14),%r12
 *                                                              jbe morestack
 *
 * Assembly of the stack ABI (ABI0) loads g first: mov %fs:-8,%r14, in shared code by two instructions
 * that put the offset into %r14 before. It has no arguments in registers, and g is where it should be.
 *
 * 0x18 instead of 0x10 in functions that run on the system stack (stackguard1). No-ops may stand in
 * between (padding of jumps). Behind it, Go 1.21 and later save the frame pointer first: push %rbp.
 * Go 1.19 and 1.20 make the frame first: sub $N,%rsp; mov %rbp,M(%rsp). The check writes nothing but
 * the flags and R12, which carries no argument (src/cmd/compile/abi-internal.md).
 */
#include <Zydis/Zydis.h>

#include "golang/code_sites_private.h"

enum { PROLOGUE_MAX = 16 }; /* instructions */

static bool decode(const struct gs_cursor *c, ZydisDecodedInstruction *in, ZydisDecodedOperand *ops)
{
	ZydisDecoder d;

	return ZYAN_SUCCESS(
		       ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) &&
	       ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, c->pos, gs_cursor_left(c), in, ops));
}

/* As branch_setup_xol_ops() and push_setup_xol_ops() of the kernel: opcodes without prefixes. */
static bool is_emulated(const ZydisDecodedInstruction *in, const uint8_t *bytes)
{
	uint8_t op = bytes[0];

	if (in->length == 2 && op == 0x41 && (bytes[1] & 0xf8) == 0x50)
		return true; /* push %r8..%r15 */
	if ((op & 0xf8) == 0x50 || op == 0x90)
		return in->length == 1;
	if (op == 0xe8 || op == 0xe9)
		return in->length == 5;
	if (op == 0xeb || (op & 0xf0) == 0x70)
		return in->length == 2;
	return op == 0x0f && in->length == 6 && (bytes[1] & 0xf0) == 0x80;
}

static bool is_direct(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *ops)
{
	return in->operand_count_visible >= 1 && ops[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
	       ops[0].imm.is_relative;
}

static enum gs__go_flow flow_of(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *ops)
{
	switch (in->meta.category) {
	case ZYDIS_CATEGORY_CALL:
		return is_direct(in, ops) ? GS__GO_FLOW_CALL : GS__GO_FLOW_PLAIN;
	case ZYDIS_CATEGORY_RET:
		return GS__GO_FLOW_RET;
	case ZYDIS_CATEGORY_UNCOND_BR:
		return is_direct(in, ops) ? GS__GO_FLOW_JUMP : GS__GO_FLOW_INDIRECT;
	case ZYDIS_CATEGORY_COND_BR:
		return GS__GO_FLOW_CONDITIONAL;
	default:
		break;
	}
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_INT3:
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
		return GS__GO_FLOW_TRAP;
	default:
		return GS__GO_FLOW_PLAIN;
	}
}

int gs__go_insn_amd64(const struct gs_cursor *c, gs_addr pc, struct gs__go_insn *ret)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction in;

	if (!decode(c, &in, ops))
		return 1;
	*ret = (struct gs__go_insn){
		.flow = (uint8_t)flow_of(&in, ops),
		.length = in.length,
		.emulated = is_emulated(&in, c->pos),
	};
	if (ret->flow == GS__GO_FLOW_JUMP || ret->flow == GS__GO_FLOW_CONDITIONAL ||
	    ret->flow == GS__GO_FLOW_CALL) {
		if (!is_direct(&in, ops))
			return 1;
		ret->target = pc + in.length + (uint64_t)ops[0].imm.value.s;
	}
	return 0;
}

static bool is_register(const ZydisDecodedOperand *op, ZydisRegister reg)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value == reg;
}

/* g.stackguard0 or g.stackguard1: the third and fourth word of g in every release. */
static bool is_stack_guard(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.base == ZYDIS_REGISTER_R14 &&
	       op->mem.index == ZYDIS_REGISTER_NONE && op->mem.segment != ZYDIS_REGISTER_FS &&
	       (op->mem.disp.value == 0x10 || op->mem.disp.value == 0x18);
}

/* g from thread-local storage, or where in that it lies: a constant, or from the GOT. */
static bool is_g(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ||
	       (op->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		(op->mem.segment == ZYDIS_REGISTER_FS || op->mem.base == ZYDIS_REGISTER_RIP));
}

/* What the instructions of a check may be. */
enum step {
	STEP_OTHER,
	STEP_NOP,
	STEP_LIMIT,   /* computes R12 */
	STEP_G,       /* loads g into R14 */
	STEP_COMPARE, /* with the guard */
	STEP_BRANCH,
	STEP_PUSH,
};

static enum step step_of_mov(const ZydisDecodedOperand *ops)
{
	if (is_register(&ops[0], ZYDIS_REGISTER_R12))
		return is_register(&ops[1], ZYDIS_REGISTER_RSP) ? STEP_LIMIT : STEP_OTHER;
	return is_register(&ops[0], ZYDIS_REGISTER_R14) && is_g(&ops[1]) ? STEP_G : STEP_OTHER;
}

static enum step step_of_cmp(const ZydisDecodedOperand *ops)
{
	bool left = is_register(&ops[0], ZYDIS_REGISTER_RSP) ||
		    is_register(&ops[0], ZYDIS_REGISTER_R12);

	return left && is_stack_guard(&ops[1]) ? STEP_COMPARE : STEP_OTHER;
}

static enum step step_of(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *ops)
{
	bool r12 = is_register(&ops[0], ZYDIS_REGISTER_R12);

	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_NOP:
		return STEP_NOP;
	case ZYDIS_MNEMONIC_LEA:
		return r12 && ops[1].mem.base == ZYDIS_REGISTER_RSP ? STEP_LIMIT : STEP_OTHER;
	case ZYDIS_MNEMONIC_MOV:
		return step_of_mov(ops);
	case ZYDIS_MNEMONIC_SUB:
		return r12 && ops[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? STEP_LIMIT : STEP_OTHER;
	case ZYDIS_MNEMONIC_CMP:
		return step_of_cmp(ops);
	case ZYDIS_MNEMONIC_JB:
	case ZYDIS_MNEMONIC_JBE:
		return STEP_BRANCH;
	case ZYDIS_MNEMONIC_PUSH:
		return ops[0].type == ZYDIS_OPERAND_TYPE_REGISTER ? STEP_PUSH : STEP_OTHER;
	default:
		return STEP_OTHER;
	}
}

static struct gs_go_site site_of(const struct gs__go_insn *in, gs_addr pc, enum gs_go_site_kind k)
{
	return (struct gs_go_site){
		.pc = pc,
		.target = in->target,
		.kind = (uint8_t)k,
		.length = in->length,
		.emulated = in->emulated,
		.repeats = k == GS_GO_SITE_BRANCH,
	};
}

void gs__go_prologue_amd64(const struct gs_cursor *code, gs_addr pc, struct gs_go_site *ret)
{
	gs_addr lo = pc, hi = pc + gs_cursor_left(code);
	bool compared = false, checked = false;
	struct gs_cursor c = *code;

	for (int i = 0; i < PROLOGUE_MAX; i++) {
		ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction in;
		struct gs__go_insn flow;
		enum step step;

		if (!decode(&c, &in, ops) || gs__go_insn_amd64(&c, pc, &flow) != 0)
			return;
		step = step_of(&in, ops);
		if (step == STEP_PUSH && (checked || pc == lo) && flow.emulated) {
			*ret = site_of(&flow, pc, GS_GO_SITE_PUSH);
			return;
		}
		if (step == STEP_OTHER || step == STEP_PUSH || checked)
			return;
		compared |= step == STEP_COMPARE;
		if (step == STEP_BRANCH) {
			// The check jumps forward, to the end of its own function.
			if (flow.target <= pc || flow.target >= hi)
				return;
			// The first branch of a large frame is that of the underflow.
			checked = compared;
			if (checked)
				*ret = site_of(&flow, pc, GS_GO_SITE_BRANCH);
		}
		pc += in.length;
		if (gs_cursor_skip(&c, in.length, NULL) < 0)
			return;
	}
}

bool gs__go_is_long_nop(const struct gs_cursor *code)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction in;

	return decode(code, &in, ops) && in.mnemonic == ZYDIS_MNEMONIC_NOP && in.length >= 5;
}
