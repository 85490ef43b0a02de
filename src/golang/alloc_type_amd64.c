/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * amd64: LEAQ of an address relative to the instruction pointer makes it, MOVQ between registers hands it on. Whatever else
 * writes the register, or a part of it, or under a condition, makes it unknown; so does an indirect call.
 */
#include <Zydis/Zydis.h>

#include "golang/alloc_type_private.h"

/* RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 … : the instruction set's order. Others: larger than all. */
static unsigned int number_of(ZydisRegister r)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);

	return whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15
		       ? (unsigned int)(whole - ZYDIS_REGISTER_RAX)
		       : 255;
}

static bool writes(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *ops,
		   unsigned int reg)
{
	for (unsigned int i = 0; i < in->operand_count; i++)
		if (ops[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ops[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE &&
		    number_of(ops[i].reg.value) == reg)
			return true;
	return false;
}

struct gs__go_effect gs__go_effect_amd64(const struct gs_cursor *c, gs_addr pc, unsigned int reg)
{
	struct gs__go_effect e = { .kind = GS__GO_UNKNOWN };
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction in;
	ZydisDecoder d;

	if (!ZYAN_SUCCESS(ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, c->pos, gs_cursor_left(c), &in, ops)) ||
	    in.meta.category == ZYDIS_CATEGORY_CALL)
		return e;
	if (!writes(&in, ops, reg)) {
		e.kind = GS__GO_KEEPS;
		return e;
	}
	if (in.operand_width != 64 || ops[0].type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    number_of(ops[0].reg.value) != reg)
		return e;
	if (in.mnemonic == ZYDIS_MNEMONIC_LEA && ops[1].mem.base == ZYDIS_REGISTER_RIP) {
		e.kind = GS__GO_CONST;
		e.value = pc + in.length + (uint64_t)ops[1].mem.disp.value;
	} else if (in.mnemonic == ZYDIS_MNEMONIC_MOV &&
		   ops[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		   number_of(ops[1].reg.value) != 255) {
		e.kind = GS__GO_COPY;
		e.from = (uint8_t)number_of(ops[1].reg.value);
	}
	return e;
}
