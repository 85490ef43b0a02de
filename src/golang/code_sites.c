/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Places for uprobes in one function, for any CPU: what the bytes mean comes from
 * code_sites_amd64.c and code_sites_arm64.c, reduced to where control goes.
 *
 * A uprobe inside an instruction corrupts the program, so the decoder must be in step with the code:
 * it starts at the entry, which the function table says, every instruction must decode, and every
 * direct jump inside the function must land on the start of one. Compiled Go has no data between
 * its instructions; assembly that has is refused.
 */
#include "golang/code_sites.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "golang/code_sites_private.h"

struct cpu {
	gs__go_insn_fn *insn;
	gs__go_prologue_fn *prologue;
};

static int cpu_of(enum gs_arch arch, struct cpu *ret, struct gs_err *err)
{
	if (arch == GS_ARCH_AMD64)
		*ret = (struct cpu){ gs__go_insn_amd64, gs__go_prologue_amd64 };
	else if (arch == GS_ARCH_ARM64)
		*ret = (struct cpu){ gs__go_insn_arm64, gs__go_prologue_arm64 };
	else
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "cannot read code of this CPU: gosonde knows amd64 and arm64");
	return 0;
}

static int check_size(const struct gs_cursor *code, gs_addr pc, struct gs_err *err)
{
	if (gs_cursor_left(code) == 0)
		return gs_fail(err, -GS_E_BAD_DATA, pc, "the function at %#" PRIx64 " has no code",
			       pc);
	if (gs_cursor_left(code) > GS_GO_SITES_MAX_CODE)
		return gs_fail(err, -GS_E_LIMIT, pc,
			       "the function at %#" PRIx64 " has more than %u bytes of code", pc,
			       GS_GO_SITES_MAX_CODE);
	return 0;
}

/* A walk over all instructions of a function. */
struct walk {
	struct cpu cpu;
	struct gs_cursor c;
	gs_addr pc, lo, hi;      /* of the next instruction; of the function */
	struct gs__go_insn insn; /* the last one read, at @at */
	gs_addr at;
};

static int walk_start(struct walk *w, enum gs_arch arch, const struct gs_cursor *code, gs_addr pc,
		      struct gs_err *err)
{
	int r = check_size(code, pc, err);

	if (r == 0)
		r = cpu_of(arch, &w->cpu, err);
	if (r < 0)
		return r;
	w->c = *code;
	w->pc = w->lo = pc;
	w->hi = pc + gs_cursor_left(code);
	return 0;
}

/* @return 0; 1 at the end. */
static int walk_next(struct walk *w, struct gs_err *err)
{
	if (gs_cursor_left(&w->c) == 0)
		return 1;
	if (w->cpu.insn(&w->c, w->pc, &w->insn) != 0)
		return gs_fail(err, -GS_E_BAD_DATA, w->pc,
			       "the code at %#" PRIx64 " is no instruction that gosonde can read",
			       w->pc);
	w->at = w->pc;
	w->pc += w->insn.length;
	return gs_cursor_skip(&w->c, w->insn.length, err);
}

static bool inside(const struct walk *w, gs_addr target)
{
	return target >= w->lo && target < w->hi;
}

static bool is_jump(const struct gs__go_insn *in)
{
	return in->flow == GS__GO_FLOW_JUMP || in->flow == GS__GO_FLOW_CONDITIONAL;
}

/* One bit per byte of code: an instruction starts here. */
struct starts {
	uint8_t *bits;
};

static void starts_deinit(struct starts *s)
{
	free(s->bits);
}

static bool starts_has(const struct starts *s, uint64_t i)
{
	return s->bits[i / 8] >> i % 8 & 1;
}

/* Decode everything, and check that jumps land on instructions. */
static int check_code(const struct walk *start, struct gs_err *err)
{
	GS_CLEANUP(starts_deinit)
	struct starts s = { .bits = gs_array_new((start->hi - start->lo) / 8 + 1, 1) };
	struct walk w = *start;
	int r;

	if (!s.bits)
		return gs_fail(err, -ENOMEM, start->lo, "out of memory for reading code");
	while ((r = walk_next(&w, err)) == 0)
		s.bits[(w.at - w.lo) / 8] |= (uint8_t)(1u << (w.at - w.lo) % 8);
	if (r < 0)
		return r;
	w = *start;
	while ((r = walk_next(&w, err)) == 0)
		if (is_jump(&w.insn) && inside(&w, w.insn.target) &&
		    !starts_has(&s, w.insn.target - w.lo))
			return gs_fail(err, -GS_E_BAD_DATA, w.at,
				       "the jump at %#" PRIx64 " goes into an instruction", w.at);
	return r < 0 ? r : 0;
}

/* What @w's instruction is for someone who looks for ends; 0: nothing. Negative: leaves in an unknown way. */
static int end_kind(const struct walk *w)
{
	switch (w->insn.flow) {
	case GS__GO_FLOW_RET:
		return GS_GO_SITE_RET;
	case GS__GO_FLOW_JUMP:
		return inside(w, w->insn.target) ? 0 : GS_GO_SITE_TAIL;
	case GS__GO_FLOW_CONDITIONAL:
		return inside(w, w->insn.target) ? 0 : -GS_E_UNSUPPORTED;
	}
	return 0;
}

/* A slot for one more place. */
static int take(const struct walk *w, int kind, struct gs_go_site *ret, size_t max, size_t *n,
		struct gs_err *err)
{
	if (*n == max)
		return gs_fail(err, -GS_E_LIMIT, w->lo,
			       "the function at %#" PRIx64 " has more than %zu such places", w->lo,
			       max);
	ret[(*n)++] = (struct gs_go_site){
		.pc = w->at,
		.target = w->insn.target,
		.kind = (uint8_t)kind,
		.length = w->insn.length,
		.emulated = w->insn.emulated,
	};
	return 0;
}

int gs_go_sites_end(enum gs_arch arch, const struct gs_cursor *code, gs_addr pc,
		    struct gs_go_site *ret, size_t max, size_t *ret_n, struct gs_err *err)
{
	struct walk w;
	size_t n = 0;
	int r = walk_start(&w, arch, code, pc, err);

	if (r == 0)
		r = check_code(&w, err);
	if (r < 0)
		return r;
	while ((r = walk_next(&w, err)) == 0) {
		int kind = end_kind(&w);

		if (kind < 0)
			return gs_fail(err, kind, w.at,
				       "the function at %#" PRIx64
				       " ends by a conditional jump to another",
				       w.lo);
		r = kind ? take(&w, kind, ret, max, &n, err) : 0;
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

int gs_go_sites_call(enum gs_arch arch, const struct gs_cursor *code, gs_addr pc, gs_addr target,
		     struct gs_go_site *ret, size_t max, size_t *ret_n, struct gs_err *err)
{
	struct walk w;
	size_t n = 0;
	int r = walk_start(&w, arch, code, pc, err);

	if (r == 0)
		r = check_code(&w, err);
	if (r < 0)
		return r;
	while ((r = walk_next(&w, err)) == 0) {
		if (w.insn.flow != GS__GO_FLOW_CALL || w.insn.target != target)
			continue;
		r = take(&w, GS_GO_SITE_CALL, ret, max, &n, err);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

/* The first instruction as a place, for functions without a stack check that is known. */
static int entry_site(const struct walk *start, struct gs_go_site *ret, struct gs_err *err)
{
	struct walk w = *start;
	int r = walk_next(&w, err);

	if (r < 0)
		return r;
	if (w.insn.flow == GS__GO_FLOW_TRAP)
		return gs_fail(err, -GS_E_UNSUPPORTED, w.at,
			       "the function at %#" PRIx64 " begins with a trap", w.at);
	*ret = (struct gs_go_site){
		.pc = w.at,
		.kind = GS_GO_SITE_ENTRY,
		.length = w.insn.length,
		.emulated = w.insn.emulated,
	};
	while ((r = walk_next(&w, err)) == 0)
		if (is_jump(&w.insn) && w.insn.target == w.lo)
			ret->repeats = ret->loop = true;
	return r < 0 ? r : 0;
}

int gs_go_site_begin(enum gs_arch arch, const struct gs_cursor *code, gs_addr pc,
		     struct gs_go_site *ret, struct gs_err *err)
{
	struct gs_go_site site = { .kind = 0 };
	struct walk w;
	int r = walk_start(&w, arch, code, pc, err);

	if (r < 0)
		return r;
	w.cpu.prologue(code, pc, &site);
	if (site.kind == 0)
		r = entry_site(&w, &site, err);
	// A probe over a 5- or 10-byte NOP may become a call, which writes below the stack pointer (kernels
	// 6.18 to 7.1; arch/x86/kernel/uprobes.c, arch_uprobe_optimize).
	if (r == 0 && site.kind == GS_GO_SITE_ENTRY && !site.emulated && arch == GS_ARCH_AMD64 &&
	    gs__go_is_long_nop(code))
		return gs_fail(err, -GS_E_UNSUPPORTED, pc,
			       "the function at %#" PRIx64
			       " begins with a no-op that probes must not touch",
			       pc);
	if (r == 0)
		*ret = site;
	return r;
}
