/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * arm64: the address of static data is made in two steps (Arm ARM C4.1; cmd/internal/obj/arm64,
 * relocations R_ADDRARM64 and R_ARM64_PCREL_LDST*):
 *
 *     ADRP Xd, page             page of the target, relative to the page of pc
 *     ADD  Xd, Xn, #low         the address itself, or
 *     LDR/STR/LDP… Xt, [Xn, #low]   the access, offset scaled by its size
 *
 * not always next to each other, so the page in each register is remembered until the register is
 * written. ADR (one step, 1 MB) appears where a linker relaxed the pair. Only the forms that can
 * complete a pair are decoded; of all other instructions it matters that they may write a register:
 * the destination field Rd/Rt is in the same place for nearly all, so it is forgotten. A register
 * that an exotic form writes elsewhere is at worst a wrong candidate, which live checks refuse.
 * Calls do not clear pages: Go keeps none over a call.
 */
#include "golang/disasm.h"

struct pages {
	uint64_t page[32];
	uint32_t known; /* bit per register */
};

static uint32_t bits(uint32_t in, unsigned int lo, unsigned int n)
{
	return in >> lo & ((1u << n) - 1);
}

static uint64_t sign_extend(uint64_t v, unsigned int width)
{
	return (uint64_t)((int64_t)(v << (64 - width)) >> (64 - width));
}

static void add_ref(struct gs__go_code *ret, gs_addr pc, gs_addr target, enum gs__go_access access,
		    unsigned int bytes)
{
	if (ret->n_refs < GS__GO_MAX_REFS)
		ret->refs[ret->n_refs++] = (struct gs__go_ref){
			.pc = pc,
			.target = target,
			.access = (uint8_t)access,
			.bytes = (uint8_t)bytes,
		};
}

static void add_compare(struct gs__go_code *ret, uint64_t value)
{
	if (ret->n_compares < GS__GO_MAX_REFS)
		ret->compares[ret->n_compares++] = value;
}

/* ADR and ADRP: 21 bits, the low two in 29..30, the others in 5..23. */
static bool take_adr(uint32_t in, gs_addr pc, struct pages *p, struct gs__go_code *ret)
{
	uint32_t rd = bits(in, 0, 5);
	uint64_t imm = sign_extend(bits(in, 5, 19) << 2 | bits(in, 29, 2), 21);

	if ((in & 0x1f000000) != 0x10000000)
		return false;
	if (in >> 31) {
		p->page[rd] = (pc & ~0xfffULL) + (imm << 12);
		p->known |= 1u << rd;
	} else {
		add_ref(ret, pc, pc + imm, GS__GO_ADDRESS, 0);
		p->known &= ~(1u << rd);
	}
	return true;
}

/* ADD (immediate), 64 bit, not shifted: completes an address. */
static bool take_add(uint32_t in, gs_addr pc, struct pages *p, struct gs__go_code *ret)
{
	uint32_t rd = bits(in, 0, 5), rn = bits(in, 5, 5);

	if ((in & 0xffc00000) != 0x91000000)
		return false;
	if (p->known & 1u << rn)
		add_ref(ret, pc, p->page[rn] + bits(in, 10, 12), GS__GO_ADDRESS, 0);
	p->known &= ~(1u << rd);
	return true;
}

/* CMP (immediate) is SUBS to the zero register, 32 or 64 bit. */
static bool take_compare(uint32_t in, struct gs__go_code *ret)
{
	if ((in & 0x7f80001f) != 0x7100001f)
		return false;
	add_compare(ret, (uint64_t)bits(in, 10, 12) << (bits(in, 22, 1) ? 12 : 0));
	return true;
}

/* Load and store of one register, unsigned scaled offset: size 30..31, SIMD 26, opc 22..23. */
static bool take_one(uint32_t in, gs_addr pc, struct pages *p, struct gs__go_code *ret)
{
	uint32_t rt = bits(in, 0, 5), rn = bits(in, 5, 5), opc = bits(in, 22, 2);
	unsigned int scale = bits(in, 30, 2);
	bool simd = bits(in, 26, 1), store = opc == 0;

	if ((in & 0x3b000000) != 0x39000000)
		return false;
	if (simd && opc >= 2) { /* 128-bit forms */
		scale = 4;
		store = opc == 2;
	}
	if (p->known & 1u << rn)
		add_ref(ret, pc, p->page[rn] + ((uint64_t)bits(in, 10, 12) << scale),
			store ? GS__GO_STORE : GS__GO_LOAD, 1u << scale);
	if (!simd && !store)
		p->known &= ~(1u << rt);
	return true;
}

/* Load and store of a pair, signed scaled offset, no write-back. */
static bool take_pair(uint32_t in, gs_addr pc, struct pages *p, struct gs__go_code *ret)
{
	uint32_t rn = bits(in, 5, 5);
	bool simd = bits(in, 26, 1), load = bits(in, 22, 1);
	unsigned int opc = bits(in, 30, 2);
	unsigned int scale = simd ? 2 + opc : opc & 2 ? 3 : 2;

	if ((in & 0x3b800000) != 0x29000000 || opc == 3)
		return false;
	if (p->known & 1u << rn)
		add_ref(ret, pc, p->page[rn] + (sign_extend(bits(in, 15, 7), 7) << scale),
			load ? GS__GO_LOAD : GS__GO_STORE, 2u << scale);
	if (!simd && load)
		p->known &= ~(1u << bits(in, 0, 5) | 1u << bits(in, 10, 5));
	return true;
}

/* Instructions without a destination where others have Rd. */
static bool keeps_rd(uint32_t in)
{
	return (in & 0x1c000000) == 0x14000000 || /* branches, exceptions, system */
	       (in & 0x3bc00000) == 0x38000000 || /* STR, unscaled and register offsets */
	       (in & 0x3a400000) == 0x28000000 || /* STP with write-back, STNP */
	       (in & 0x3f400000) == 0x08000000;   /* STLR, STXR */
}

void gs__go_disasm_arm64(const struct gs_cursor *code, gs_addr pc, struct gs__go_code *ret)
{
	struct gs_cursor c = *code;
	struct pages p = { .known = 0 };
	uint32_t in;

	ret->n_refs = ret->n_compares = 0;
	for (; gs_cursor_offset(&c) < GS__GO_MAX_CODE && gs_cursor_left(&c) >= 4; pc += 4) {
		if (gs_cursor_u32(&c, &in, NULL) < 0)
			return;
		if (take_adr(in, pc, &p, ret) || take_add(in, pc, &p, ret) ||
		    take_compare(in, ret) || take_one(in, pc, &p, ret) ||
		    take_pair(in, pc, &p, ret))
			continue;
		if (!keeps_rd(in))
			p.known &= ~(1u << bits(in, 0, 5));
	}
}
