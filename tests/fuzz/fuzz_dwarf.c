/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Any bytes as a file with DWARF. libdw runs in the sandboxed child, as it always does, so what can
 * fail here is the sandbox: nothing may be left of the child, and no offset may be impossible.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fuzz.h"
#include "golang/layout_internal.h"

static const struct gs__sandbox_limits limits = {
	.memory_bytes = 1ULL << 28,
	.cpu_seconds = 1,
	.wall_ns = 200000000,
};

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
