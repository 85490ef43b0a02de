/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Any bytes as a file with DWARF. libdw runs in the sandboxed child, as it always does, so what can
 * fail here is the sandbox: nothing may be left of the child, and no offset may be impossible. Nor may what is made
 * of its answers in the parent.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fuzz.h"
#include "golang/dwarf_variables_private.h"
#include "golang/layout_internal.h"

static const struct gs__sandbox_limits limits = {
	.memory_bytes = 1ULL << 28,
	.cpu_seconds = 1,
	.wall_ns = 200000000,
};

/* Variables of the file, at pcs where one of the corpus has code. */
static void variables(int fd)
{
	struct gs__vars *v = gs__go_vars_new();
	struct gs_memory mem = { 0 };
	struct gs_go_variables all;
	struct gs_go_types *types;
	struct gs_go_layout l;
	struct gs_err err;

	if (!v || gs_go_layout_table(27, GS_ARCH_AMD64, &l, &err) < 0 ||
	    gs_go_types_new(&mem, &l, NULL, 0, &types, &err) < 0)
		abort();
	for (v->n_pcs = 0; v->n_pcs < 16; v->n_pcs++)
		v->pc[v->n_pcs] = 0x401000 + v->n_pcs * 16;
	if (gs__go_dwarf_vars(fd, v, &limits, &err) == 0 &&
	    gs__go_make_vars(v, NULL, 0, 0, types, &all, &err) == 0)
		for (uint32_t i = 0; i < all.n_at; i++)
			for (uint32_t k = 0; k < all.at[i].n; k++)
				if (!all.at[i].local[k].type || !all.at[i].local[k].bytes)
					abort();
	gs_go_types_free(types);
	gs__go_vars_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	GS_CLEANUP(gs_closep) int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct gs_go_layout l;
	struct gs_err err;
	int next, after, r;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
	    gs_go_layout_table(27, GS_ARCH_AMD64, &l, &err) < 0)
		abort();
	next = dup(fd); /* the lowest free descriptor */
	close(next);
	r = gs__go_layout_dwarf_limited(fd, &limits, &l, &err);
	variables(fd);
	after = dup(fd);
	close(after);
	if (next != after || waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
		abort();
	if ((r == 0) != (l.source == GS_GO_LAYOUT_DWARF))
		abort();
	for (int f = 0; f < GS_GO_FIELD_COUNT; f++)
		if (l.offset[f] < GS_GO_NO_FIELD || l.offset[f] > 1 << 20)
			abort();
	return 0;
}
