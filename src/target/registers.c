/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Register sets as the kernel gives them, by ptrace(PTRACE_GETREGSET) and in the notes of a core file alike:
 *
 *   NT_PRSTATUS     amd64: struct user_regs_struct, 27 words     arm64: x0…x30 sp pc pstate
 *   NT_FPREGSET     amd64: fxsave, xmm0…15 @160                  arm64: struct user_fpsimd_state, v0…v31 @0
 *   NT_X86_XSTATE   as fxsave, and the upper halves of ymm0…15 @576, which is fixed in the format that the kernel
 *                   uses here (not the compacted one; arch/x86/kernel/fpu/regset.c, xstateregs_get)
 *
 * Vector registers are wanted because pointers pass through them: runtime.memmove loads all of a short piece before it
 * stores any (runtime/memmove_amd64.s), so for some instructions they are in no other place.
 */
#include <elf.h>
#include <string.h>

#include "target/target_private.h"

/* Words of the amd64 register set. Those before orig_rax are general ones, in this order. */
enum { AMD64_R14 = 1, AMD64_RBP = 4, AMD64_ORIG_RAX = 15, AMD64_RIP = 16, AMD64_RSP = 19 };
enum { AMD64_FS_BASE = 21, AMD64_WORDS = 27 };
enum { ARM64_X28 = 28, ARM64_X29 = 29, ARM64_X30 = 30, ARM64_SP = 31, ARM64_PC = 32 };
enum { ARM64_WORDS = 34 };

#define XMM_AT 160
#define YMM_UPPER_AT 576

static bool words(struct gs_cursor set, uint64_t at, uint64_t *ret, size_t n)
{
	struct gs_cursor c;

	if (gs_cursor_window(&set, at, n * 8, &c, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (gs_cursor_u64(&c, &ret[i], NULL) < 0)
			return false;
	return true;
}

bool gs__regs_general(enum gs_arch arch, struct gs_cursor set, struct gs_regs *ret)
{
	bool amd64 = arch == GS_ARCH_AMD64;
	size_t n = amd64 ? AMD64_WORDS : ARM64_WORDS;
	uint64_t w[ARM64_WORDS];

	if (!words(set, 0, w, n))
		return false;
	if (amd64)
		*ret = (struct gs_regs){ .pc = w[AMD64_RIP],
					 .sp = w[AMD64_RSP],
					 .bp = w[AMD64_RBP],
					 .g = w[AMD64_R14],
					 .tls = w[AMD64_FS_BASE] };
	else
		*ret = (struct gs_regs){ .pc = w[ARM64_PC],
					 .sp = w[ARM64_SP],
					 .bp = w[ARM64_X29],
					 .lr = w[ARM64_X30],
					 .g = w[ARM64_X28] };
	memcpy(ret->general, w, (amd64 ? AMD64_ORIG_RAX : ARM64_SP) * sizeof(*w));
	return true;
}

void gs__regs_vector(enum gs_arch arch, uint32_t type, struct gs_cursor set, struct gs_regs *io)
{
	uint64_t w[GS_REGS_VECTOR];

	if (arch == GS_ARCH_ARM64) {
		if (type == NT_FPREGSET && words(set, 0, w, GS_REGS_VECTOR))
			memcpy(io->vector, w, sizeof(w));
		return;
	}
	if (words(set, XMM_AT, w, GS_REGS_VECTOR / 2))
		memcpy(io->vector, w, sizeof(w) / 2);
	if (type == NT_X86_XSTATE && words(set, YMM_UPPER_AT, w, GS_REGS_VECTOR / 2))
		memcpy(io->vector + GS_REGS_VECTOR / 2, w, sizeof(w) / 2);
}
