/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Any bytes as code of either CPU: references come in the order of the code, from inside it. The
 * first eight bytes are the address it runs at. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "golang/disasm.h"

static void check(const struct gs__go_code *code, gs_addr pc, size_t size)
{
	if (code->n_refs > GS__GO_MAX_REFS || code->n_compares > GS__GO_MAX_REFS)
		abort();
	for (uint32_t i = 0; i < code->n_refs; i++) {
		const struct gs__go_ref *r = &code->refs[i];

		if (r->pc - pc >= size || r->pc - pc >= GS__GO_MAX_CODE ||
		    r->access > GS__GO_STORE || (i && r->pc - pc < code->refs[i - 1].pc - pc))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gs__go_code code;
	struct gs_cursor c;
	gs_addr pc = 0;

	if (size < sizeof(pc))
		return 0;
	memcpy(&pc, data, sizeof(pc));
	c = gs_cursor_make(data + sizeof(pc), size - sizeof(pc), "fuzz");
	gs__go_disasm_amd64(&c, pc, &code);
	check(&code, pc, size);
	gs__go_disasm_arm64(&c, pc, &code);
	check(&code, pc, size);
	return 0;
}
