/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Any bytes as a target's memory, repeated over the address space: every global is tried everywhere
 * in it. Checks may say yes or no, and may not take more than a bounded number of reads.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "golang/globals_internal.h"

enum { MAX_READS = 2000, MAX_LEN = 1 << 16 };

struct memory {
	const uint8_t *bytes;
	size_t size;
	unsigned int reads;
};

static int readv_bytes(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct memory *m = ctx;

	for (size_t i = 0; i < n; i++) {
		uint8_t *to = reads[i].buf;

		if (++m->reads > MAX_READS || reads[i].len > MAX_LEN)
			abort();
		reads[i].result = reads[i].addr < 4096 || reads[i].addr >> 47 ? -GS_E_FAULT : 0;
		for (size_t k = 0; k < reads[i].len && reads[i].result == 0; k++)
			to[k] = m->bytes[(reads[i].addr + k) % m->size];
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory m = { .bytes = data, .size = size };
	const struct gs_memory mem = { .readv = readv_bytes, .ctx = &m };
	struct gs_go_globals found = { 0 };
	struct gs_go_layout l;
	struct gs_err err;

	if (size == 0 || gs_go_layout_table(19 + data[0] % 9, GS_ARCH_AMD64, &l, &err) < 0)
		return 0;
	found.addr[GS_GO_GLOBAL_ALLGLEN] = 0x10000;
	for (int g = 0; g < GS_GO_GLOBAL_COUNT; g++) {
		uint32_t n = data[0] & 0x80 ? data[size - 1] : 0;
		gs_addr addr = 0x10000 + 8 * (gs_addr)(data[size / 2]);
		int r;

		m.reads = 0;
		r = gs__go_global_check(&mem, &l, &found, (enum gs_go_global)g, addr, &n, &err);
		if (r != 0 && r != 1)
			abort();
		/* sched that passes is used by the check of allm */
		found.addr[g] = r ? addr : found.addr[g];
		found.checked[g] = r;
	}
	return 0;
}
