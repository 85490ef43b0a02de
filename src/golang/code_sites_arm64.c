/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * arm64. Instructions are words, so a decoder cannot lose step; the only bytes among them that are
 * none are the zeros between functions. The stack check (cmd/internal/obj/arm64/obj7.go, stacksplit), by
 * the size of the frame; X28 is g, X16, X17 and X27 are scratch, SP is X31:
 *
 *     small                      medium                        large
 *     ldr  x16, [x28, #16]       ldr  x16, [x28, #16]          ldr  x16, [x28, #16]
 *     cmp  sp, x16               sub  x17, sp, #N              [mov x27, #N]
 *     b.ls morestack             cmp  x17, x16                 subs x17, sp, #N or x27
 *                                b.ls morestack                b.lo morestack
 *                                                              cmp  x17, x16
 *                                                              b.ls morestack
 *
 * #24 instead of #16 on the system stack. There is no push behind it that the kernel emulates (str
 * x30, [sp, #-N]!), so the place is the b.ls, which a call passes again after morestack.
 */
#include "golang/code_sites_private.h"

enum { PROLOGUE_MAX = 12 };

static uint32_t bits(uint32_t in, unsigned int lo, unsigned int n)
{
	return in >> lo & ((1u << n) - 1);
}

/* Signed distance in words, in @n bits at @lo. */
static gs_addr branch_target(uint32_t in, gs_addr pc, unsigned int lo, unsigned int n)
{
	int64_t words = (int64_t)((uint64_t)bits(in, lo, n) << (64 - n)) >> (64 - n);

	return pc + (uint64_t)(words * 4);
}

/* Arm ARM C4.1.66, branches, exception generating and system instructions; and UDF (C4.1.2). */
static struct gs__go_insn read_word(uint32_t in, gs_addr pc)
{
	struct gs__go_insn i = { .flow = GS__GO_FLOW_PLAIN, .length = 4 };

	if ((in & 0x7c000000) == 0x14000000) { /* B, BL */
		i.flow = in >> 31 ? GS__GO_FLOW_CALL : GS__GO_FLOW_JUMP;
		i.target = branch_target(in, pc, 0, 26);
		i.emulated = true;
	} else if ((in & 0xff000010) == 0x54000000 || (in & 0x7e000000) == 0x34000000) {
		i.flow = GS__GO_FLOW_CONDITIONAL; /* B.cond; CBZ, CBNZ */
		i.target = branch_target(in, pc, 5, 19);
		i.emulated = true;
	} else if ((in & 0x7e000000) == 0x36000000) { /* TBZ, TBNZ */
		i.flow = GS__GO_FLOW_CONDITIONAL;
		i.target = branch_target(in, pc, 5, 14);
		i.emulated = true;
	} else if ((in & 0xfffffc1f) == 0xd65f0000) {
		i.flow = GS__GO_FLOW_RET;
		i.emulated = true;
	} else if ((in & 0xfffffc1f) == 0xd61f0000) {
		i.flow = GS__GO_FLOW_INDIRECT; /* BR */
		i.emulated = true;
	} else if ((in & 0xfffffc1f) == 0xd63f0000) {
		i.emulated = true; /* BLR */
	} else if ((in & 0x1f000000) == 0x10000000) {
		i.emulated = true; /* ADR, ADRP */
	} else if ((in & 0xbf000000) == 0x18000000 || (in & 0xff000000) == 0x98000000) {
		i.emulated = true; /* LDR, LDRSW literal */
	} else if ((in & 0xffff0000) == 0 || (in & 0xffe0001f) == 0xd4200000) {
		i.flow = GS__GO_FLOW_TRAP; /* UDF, BRK */
	}
	return i;
}

int gs__go_insn_arm64(const struct gs_cursor *c, gs_addr pc, struct gs__go_insn *ret)
{
	struct gs_cursor at = *c;
	uint32_t in;

	if (pc % 4 != 0 || gs_cursor_u32(&at, &in, NULL) < 0)
		return 1;
	*ret = read_word(in, pc);
	return 0;
}

/* What the words of a check may be, besides its branches. */
static bool is_scratch(uint32_t in)
{
	return (in & 0xff8003ff) == 0xd10003f1 || /* sub  x17, sp, #N */
	       (in & 0xff8003ff) == 0xf10003f1 || /* subs x17, sp, #N */
	       (in & 0xffe0ffff) == 0xcb2063f1 || /* sub  x17, sp, xM */
	       (in & 0xffe0ffff) == 0xeb2063f1 || /* subs x17, sp, xM */
	       (in & 0x1f80001f) == 0x1280001b || /* mov  x27, #N: MOVN, MOVZ, MOVK, */
	       (in & 0x7f8003ff) == 0x320003fb;   /* ORR of the zero register */
}

static bool is_guard(uint32_t in)
{
	return in == 0xf9400b90 || in == 0xf9400f90; /* ldr x16, [x28, #16 or #24] */
}

static bool is_compare(uint32_t in)
{
	return in == 0xeb3063ff || in == 0xeb10023f; /* cmp sp, x16; cmp x17, x16 */
}

void gs__go_prologue_arm64(const struct gs_cursor *code, gs_addr pc, struct gs_go_site *ret)
{
	enum { LOWER = 0x54000003, LOWER_SAME = 0x54000009 };
	gs_addr hi = pc + gs_cursor_left(code);
	bool guard = false, compared = false;
	struct gs_cursor c = *code;
	uint32_t in;

	for (int i = 0; i < PROLOGUE_MAX && pc % 4 == 0; i++, pc += 4) {
		if (gs_cursor_u32(&c, &in, NULL) < 0)
			return;
		if (is_guard(in)) {
			guard = true;
		} else if (guard && is_compare(in)) {
			compared = true;
		} else if (guard &&
			   ((in & 0xff00001f) == LOWER || (in & 0xff00001f) == LOWER_SAME)) {
			gs_addr target = branch_target(in, pc, 5, 19);

			if (target <= pc || target >= hi)
				return;
			if (!compared)
				continue; /* underflow of a large frame */
			*ret = (struct gs_go_site){
				.pc = pc,
				.target = target,
				.kind = GS_GO_SITE_BRANCH,
				.length = 4,
				.emulated = true,
				.repeats = true,
			};
			return;
		} else if (!is_scratch(in)) {
			return;
		}
	}
}
