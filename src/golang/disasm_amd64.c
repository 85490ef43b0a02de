/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * amd64: every access to static data is an operand relative to the instruction pointer (ModRM mod
 * 00, rm 101: a 32-bit distance from the end of the instruction). Lengths need a real decoder, and
 * Zydis is one. Jumps and calls through such operands are not data of the runtime and do not count.
 */
#include "golang/disasm.h"

#include <Zydis/Zydis.h>

static bool is_branch(const ZydisDecodedInstruction *in)
{
	return in->meta.category == ZYDIS_CATEGORY_CALL ||
	       in->meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
	       in->meta.category == ZYDIS_CATEGORY_COND_BR;
}

static enum gs__go_access access_of(const ZydisDecodedInstruction *in,
				    const ZydisDecodedOperand *op)
{
	if (in->mnemonic == ZYDIS_MNEMONIC_LEA)
		return GS__GO_ADDRESS;
	return op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? GS__GO_STORE : GS__GO_LOAD;
}

static void take(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op, gs_addr pc,
		 struct gs__go_code *ret)
{
	enum gs__go_access access = access_of(in, op);

	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && in->mnemonic == ZYDIS_MNEMONIC_CMP &&
	    ret->n_compares < GS__GO_MAX_REFS)
		ret->compares[ret->n_compares++] = op->imm.value.u;
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.base != ZYDIS_REGISTER_RIP ||
	    is_branch(in) || ret->n_refs == GS__GO_MAX_REFS)
		return;
	ret->refs[ret->n_refs++] = (struct gs__go_ref){
		.pc = pc,
		.target = pc + in->length + (uint64_t)op->mem.disp.value,
		.access = (uint8_t)access,
		.bytes = access == GS__GO_ADDRESS ? 0 : (uint8_t)(op->size / 8),
	};
}

void gs__go_disasm_amd64(const struct gs_cursor *code, gs_addr pc, struct gs__go_code *ret)
{
	struct gs_cursor c = *code;
	ZydisDecoder d;

	ret->n_refs = ret->n_compares = 0;
	if (!ZYAN_SUCCESS(ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return;
	while (gs_cursor_left(&c) > 0 && gs_cursor_offset(&c) < GS__GO_MAX_CODE) {
		ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction in;

		if (!ZYAN_SUCCESS(
			    ZydisDecoderDecodeFull(&d, c.pos, gs_cursor_left(&c), &in, ops)) ||
		    gs_cursor_skip(&c, in.length, NULL) < 0)
			return;
		for (unsigned int i = 0; i < in.operand_count_visible; i++)
			take(&in, &ops[i], pc, ret);
		pc += in.length;
	}
}
