/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_CODE_SITES_H
#define GS_GOLANG_CODE_SITES_H

/*
 * Places in the code of one Go function where a uprobe may stand: where a call of it begins, where it
 * ends, and where it calls another function. Works on the bytes of the function, from its entry to the
 * entry of the next one, and never names a place that is not the start of a decoded instruction.
 *
 * Which instructions the kernel emulates (one trap instead of two): arch/x86/kernel/uprobes.c
 * (branch_setup_xol_ops, push_setup_xol_ops), arch/arm64/kernel/probes/decode-insn.c.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>
#include <gosonde/types.h>

#include "base/cursor.h"

enum gs_go_site_kind {
	GS_GO_SITE_PUSH = 1, /* first push, after the stack check or as first instruction (amd64) */
	GS_GO_SITE_ENTRY,    /* first instruction */
	GS_GO_SITE_BRANCH,   /* the stack check's branch to morestack */
	GS_GO_SITE_RET,
	GS_GO_SITE_TAIL, /* jump to another function, which ends this one */
	GS_GO_SITE_CALL,
};

struct gs_go_site {
	gs_addr pc;
	gs_addr target; /* CALL, TAIL, BRANCH: where it goes */
	uint8_t kind;   /* enum gs_go_site_kind */
	uint8_t length; /* of the instruction */
	bool emulated;
	/* Begins: one call may come by more than once: after morestack, or because a loop of the function
	 * starts at its first instruction. */
	bool repeats;
	bool loop; /* the second of these reasons */
};

/* Larger functions are refused: a decoder over 1 MiB of code takes some 20 ms. */
#define GS_GO_SITES_MAX_CODE (1u << 20)

/**
 * Where a call of the function begins with all argument registers, the stack pointer and the
 * goroutine's register as the caller left them: the first push where there is one right behind the
 * stack check; else the check's branch; else the first instruction. (cmd/internal/obj/x86/obj6.go and
 * arm64/obj7.go, stacksplit and preprocess, Go 1.19 to 1.27.)
 * @code: from the entry to the end of the function, which runs at @pc.
 * @return 0; -GS_E_UNSUPPORTED if there is no such place; -GS_E_BAD_DATA if it does not decode.
 */
GS_CHECKED int gs_go_site_begin(enum gs_arch arch, const struct gs_cursor *code, gs_addr pc,
				struct gs_go_site *ret, struct gs_err *err);
/**
 * Every place where the function ends by returning or by jumping to another function, in address
 * order.
 * @return 0 and *ret_n (which may be 0: the function never returns); -GS_E_BAD_DATA if any instruction
 *         does not decode or a jump goes into the middle of one; -GS_E_LIMIT if there are more than
 *         @max or the function is too large; -GS_E_UNSUPPORTED if it leaves in a way that cannot be
 *         told (a conditional jump out of it).
 */
GS_CHECKED int gs_go_sites_end(enum gs_arch arch, const struct gs_cursor *code, gs_addr pc,
			       struct gs_go_site *ret, size_t max, size_t *ret_n,
			       struct gs_err *err);
/** Every direct call of @target in the function. Results as gs_go_sites_end(). */
GS_CHECKED int gs_go_sites_call(enum gs_arch arch, const struct gs_cursor *code, gs_addr pc,
				gs_addr target, struct gs_go_site *ret, size_t max, size_t *ret_n,
				struct gs_err *err);

#endif
