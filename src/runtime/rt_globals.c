/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Global variables as roots (markroot in runtime/mgcmark.go): data and bss of every module. The parts without pointers
 * (noptrdata, noptrbss) are not read.
 */
#include "runtime/rt_gs.h"

#include <errno.h>
#include <string.h>

#define CHUNK (256u << 10)
#define SECTION_MAX (4ull << 30)

struct pass {
	struct gs_rt *rt;
	gs_rt_pointers_fn *visit;
	void *ctx;
	uint8_t *buf;
	struct gs_rt_pointer p[1024];
	uint32_t n;
	uint64_t unreadable;
};

static int add(struct pass *ps, gs_addr slot, gs_addr value)
{
	int r = 0;

	if (value < 4096)
		return 0;
	ps->p[ps->n++] = (struct gs_rt_pointer){ slot, value };
	if (ps->n == GS_ARRAY_SIZE(ps->p)) {
		r = ps->visit(ps->ctx, ps->p, ps->n);
		ps->n = 0;
	}
	return r;
}

static int section(struct pass *ps, gs_addr from, gs_addr to, struct gs_err *err)
{
	int r = 0;

	if (to < from || to - from > SECTION_MAX) {
		ps->unreadable++;
		return 0;
	}
	for (gs_addr at = from; r == 0 && at < to; at += CHUNK) {
		size_t len = to - at < CHUNK ? to - at : CHUNK;

		r = gs_memory_read(ps->rt->mem, at, ps->buf, len, err);
		if (r == -GS_E_FAULT) {
			ps->unreadable += len;
			r = 0;
			continue;
		}
		for (size_t i = 0; r == 0 && i + 8 <= len; i += 8)
			r = add(ps, at + i, gs__u64(ps->buf + i));
	}
	return r;
}

int gs_rt_global_roots(struct gs_rt *rt, gs_rt_pointers_fn *visit, void *ctx,
		       struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct pass *ps = calloc(1, sizeof(*ps));
	int r = 0;

	if (!ps || !(ps->buf = malloc(CHUNK))) {
		free(ps);
		return gs_fail(err, -ENOMEM, 0, "no memory to read global variables");
	}
	ps->rt = rt;
	ps->visit = visit;
	ps->ctx = ctx;
	for (uint32_t i = 0; r == 0 && i < rt->n_modules; i++) {
		const struct gs_go_moduledata *md = &rt->module[i].md;

		r = section(ps, md->data, md->edata, err);
		if (r == 0)
			r = section(ps, md->bss, md->ebss, err);
	}
	if (r == 0 && ps->n)
		r = visit(ctx, ps->p, ps->n);
	if (r == 0)
		gs_incomplete_add(inc, "globals_unreadable", ps->unreadable,
				  "bytes of global variables could not be read");
	free(ps->buf);
	free(ps);
	return r;
}
