/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * arm64: ADRP makes the page of an address, ADD the rest; ADR both, where a linker had them together (Arm ARM C4.1). ORR
 * with the zero register is how registers are copied. Which register an instruction writes is not worked out for each: any
 * that names the register in one of the places where some have their destination makes it unknown, but for those
 * that Go puts between a descriptor's load and the call.
 */
#include "golang/alloc_type_private.h"

static uint32_t bits(uint32_t in, unsigned int lo, unsigned int n)
{
	return in >> lo & ((1u << n) - 1);
}

static uint64_t sign_extend(uint64_t v, unsigned int width)
{
	return (uint64_t)((int64_t)(v << (64 - width)) >> (64 - width));
}

static bool is_load_store(uint32_t in)
{
	return (in & 0x0a000000) == 0x08000000;
}

/* Pairs, and one register with an offset in the instruction; the others of the group are rare. */
static bool load_store_writes(uint32_t in, unsigned int reg)
{
	bool pair = (in & 0x3a000000) == 0x28000000, simd = bits(in, 26, 1);
	bool one = (in & 0x3b000000) == 0x39000000, nine = (in & 0x3b200000) == 0x38000000;
	bool load = pair ? bits(in, 22, 1) : bits(in, 22, 2) != 0;
	bool back = pair ? bits(in, 23, 1) : nine && bits(in, 10, 1);

	if (!pair && !one && !nine)
		return bits(in, 0, 5) == reg || bits(in, 5, 5) == reg || bits(in, 10, 5) == reg ||
		       bits(in, 16, 5) == reg;
	if (back && bits(in, 5, 5) == reg)
		return true;
	return load && !simd && (bits(in, 0, 5) == reg || (pair && bits(in, 10, 5) == reg));
}

/* Nothing but flags and the pc, or only what it names in Rd. */
static bool writes(uint32_t in, unsigned int reg)
{
	if ((in & 0xff000000) == 0x54000000 || /* B.cond */
	    (in & 0x7e000000) == 0x34000000 || /* CBZ, CBNZ */
	    (in & 0x7e000000) == 0x36000000 || /* TBZ, TBNZ */
	    (in & 0x7c000000) == 0x14000000 || /* B */
	    in == 0xd503201f)                  /* NOP */
		return false;
	return is_load_store(in) ? load_store_writes(in, reg) : bits(in, 0, 5) == reg;
}

struct gs__go_effect gs__go_effect_arm64(const struct gs_cursor *c, gs_addr pc, unsigned int reg)
{
	struct gs__go_effect e = { .kind = GS__GO_UNKNOWN };
	struct gs_cursor at = *c;
	uint32_t in;

	if (gs_cursor_u32(&at, &in, NULL) < 0 || (in & 0xfffffc1f) == 0xd63f0000 /* BLR */)
		return e;
	if (!writes(in, reg)) {
		e.kind = GS__GO_KEEPS;
	} else if ((in & 0x1f000000) == 0x10000000) { /* ADR, ADRP */
		uint64_t imm = sign_extend(bits(in, 5, 19) << 2 | bits(in, 29, 2), 21);

		e.kind = GS__GO_CONST;
		e.value = in >> 31 ? (pc & ~0xfffull) + (imm << 12) : pc + imm;
	} else if ((in & 0xffc00000) == 0x91000000) { /* ADD, immediate; also MOV from SP */
		e.kind = bits(in, 5, 5) == 31 ? GS__GO_UNKNOWN : GS__GO_COPY;
		e.from = (uint8_t)bits(in, 5, 5);
		e.value = bits(in, 10, 12);
	} else if ((in & 0xffe0ffe0) == 0xaa0003e0 && bits(in, 16, 5) != 31) { /* MOV */
		e.kind = GS__GO_COPY;
		e.from = (uint8_t)bits(in, 16, 5);
	}
	return e;
}
