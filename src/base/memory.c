/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Single reads on top of the batched one. All supported targets are little-endian, as is the host
 * (amd64, arm64); meson.build refuses others. */
#include "base/memory.h"

#include <inttypes.h>

int gs_memory_read(const struct gs_memory *m, gs_addr addr, void *buf, size_t len,
		   struct gs_err *err)
{
	struct gs_read one = { .addr = addr, .buf = buf, .len = len };
	int r = m->readv(m->ctx, &one, 1, err);

	if (r < 0)
		return r;
	if (one.result < 0)
		return gs_fail(err, -GS_E_FAULT, addr,
			       "cannot read %zu bytes of target memory at %#" PRIx64, len, addr);
	return 0;
}

int gs_memory_u64(const struct gs_memory *m, gs_addr addr, uint64_t *ret, struct gs_err *err)
{
	uint64_t v;
	int r = gs_memory_read(m, addr, &v, sizeof(v), err);

	if (r == 0)
		*ret = v;
	return r;
}

int gs_memory_u32(const struct gs_memory *m, gs_addr addr, uint32_t *ret, struct gs_err *err)
{
	uint32_t v;
	int r = gs_memory_read(m, addr, &v, sizeof(v), err);

	if (r == 0)
		*ret = v;
	return r;
}

int gs_memory_u8(const struct gs_memory *m, gs_addr addr, uint8_t *ret, struct gs_err *err)
{
	return gs_memory_read(m, addr, ret, 1, err);
}
