/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Reads of live data that a proof needs. Memory that is not there refutes an address; only a target that is gone ends
 * the search. */
#include "golang/globals_internal.h"

int gs__go_peek(const struct gs__go_check *c, gs_addr addr, void *buf, size_t len)
{
	int r = gs_memory_read(c->mem, addr, buf, len, c->err);

	if (r == -GS_E_GONE || r == -GS_E_PERMISSION)
		return r;
	return r == 0;
}

int gs__go_peek_field(const struct gs__go_check *c, gs_addr base, enum gs_go_field f, size_t bytes,
		      uint64_t *ret)
{
	uint64_t v = 0;
	int r;

	if (!gs_go_has(c->layout, f))
		return 0;
	r = gs__go_peek(c, base + (uint64_t)c->layout->offset[f], &v, bytes);
	if (r > 0)
		*ret = v;
	return r;
}
