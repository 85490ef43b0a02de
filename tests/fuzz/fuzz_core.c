/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Any bytes as a core file: opened, and everything that a core target offers is asked for. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "target/target_private.h"

static unsigned int sum;

static void read_batch(struct gs_target *t, const struct gs_map *m)
{
	const struct gs_memory *mem = gs_target_memory(t);
	static uint8_t buf[4][8192];
	struct gs_read reads[4] = {
		{ .addr = m->start, .buf = buf[0], .len = 16 },
		{ .addr = m->end - 8, .buf = buf[1], .len = 64 },
		{ .addr = m->start + (m->end - m->start) / 2, .buf = buf[2], .len = 8192 },
		{ .addr = m->start - 1, .buf = buf[3], .len = 2 },
	};

	if (mem->readv(mem->ctx, reads, 4, NULL) < 0)
		return;
	for (int i = 0; i < 4; i++)
		sum += reads[i].result == 0 ? buf[i][reads[i].len - 1] : 1u;
}

static void use(struct gs_target *t)
{
	const struct gs_thread *th;
	const struct gs_map *m;
	uint64_t v;
	size_t n;

	m = gs_target_maps(t, &n);
	for (size_t i = 0; i < n; i++) {
		// Sorted, without overlaps, findable: what others rely on.
		if (m[i].start >= m[i].end || (i && m[i].start < m[i - 1].end) ||
		    gs_target_map_at(t, m[i].start) != &m[i])
			abort();
		sum += (unsigned int)strlen(m[i].path);
		if (i < 64)
			read_batch(t, &m[i]);
	}
	if (gs_target_threads(t, &th, &n, NULL) < 0)
		abort();
	for (size_t i = 0; i < n; i++)
		sum += (unsigned int)(th[i].regs.pc + strlen(th[i].name));
	for (uint64_t type = 0; type < 64; type++) {
		if (gs_target_auxv(t, type, &v, NULL) == 0)
			sum += (unsigned int)v;
	}
	sum += (unsigned int)(strlen(gs_target_identity(t)->executable) + gs_target_bias(t));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gs_target *t = NULL;
	struct gs_err err;
	int fd = memfd_create("core", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (gs__target_open_core_fd(fd, "core", NULL, &t, &err) == 0)
		use(t);
	gs_target_free(t);
	close(fd);
	return 0;
}
