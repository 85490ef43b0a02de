/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Any bytes as a function of either CPU: what is found lies inside of it, in order, is the start of an
 * instruction that a walk from the entry meets, and is never a no-op of five bytes. The first eight bytes
 * are the address it runs at. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "golang/code_sites.h"
#include "golang/code_sites_private.h"

enum { MAX = 64 };

static void check_start(enum gs_arch arch, const struct gs_cursor *code, gs_addr pc,
			const struct gs_go_site *s)
{
	gs__go_insn_fn *insn = arch == GS_ARCH_AMD64 ? gs__go_insn_amd64 : gs__go_insn_arm64;
	struct gs_cursor c = *code;
	struct gs__go_insn in;

	while (pc != s->pc) {
		if (insn(&c, pc, &in) != 0 || gs_cursor_skip(&c, in.length, NULL) < 0)
			abort();
		pc += in.length;
	}
	if (insn(&c, pc, &in) != 0 || in.length != s->length || in.emulated != s->emulated ||
	    in.flow == GS__GO_FLOW_TRAP)
		abort();
	if (s->kind == GS_GO_SITE_ENTRY && arch == GS_ARCH_AMD64 && gs__go_is_long_nop(&c))
		abort();
}

static void check(enum gs_arch arch, const struct gs_cursor *code, gs_addr pc)
{
	struct gs_go_site s[MAX];
	size_t n;

	if (gs_go_site_begin(arch, code, pc, &s[0], NULL) == 0)
		check_start(arch, code, pc, &s[0]);
	if (gs_go_sites_end(arch, code, pc, s, MAX, &n, NULL) == 0) {
		if (n > MAX)
			abort();
		for (size_t i = 0; i < n; i++) {
			if (i && s[i].pc - pc <= s[i - 1].pc - pc)
				abort();
			check_start(arch, code, pc, &s[i]);
		}
	}
	if (gs_go_sites_call(arch, code, pc, pc + 64, s, MAX, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			check_start(arch, code, pc, &s[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gs_cursor c;
	gs_addr pc = 0;

	if (size < sizeof(pc))
		return 0;
	memcpy(&pc, data, sizeof(pc));
	c = gs_cursor_make(data + sizeof(pc), size - sizeof(pc), "fuzz");
	check(GS_ARCH_AMD64, &c, pc);
	check(GS_ARCH_ARM64, &c, pc);
	return 0;
}
