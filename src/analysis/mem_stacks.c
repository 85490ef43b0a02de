/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Which parts of the heap's stack spans are stacks in use: those of goroutines (g.stack of runtime.allgs, dead ones
 * left out: theirs are kept for reuse), and the g0 and gsignal stacks of threads, which are no goroutines
 * but come from the same spans (runtime/proc.go, allocm and mpreinit: malg). With cgo a g0's stack is the thread's own, outside
 * of the heap, which does no harm here.
 *
 * Three words of each g are read, in batches: a million goroutines take some 0.3 s.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/mem_private.h"

#define GOROUTINES_MAX (1u << 26)
#define THREADS_MAX (1u << 18)
#define BATCH 1024u
#define HEAD_MAX 512u /* bytes of a g that are read: stack and status are among the first */
#define STATUS_DEAD 6u

struct reader {
	struct gs_memory_look *l;
	const struct gs_memory *mem;
	const struct gs_go_layout *layout;
	size_t head; /* bytes of a g */
	uint8_t *buf;
	struct gs_read reads[BATCH];
	uint32_t cap;
};

static int add_stack(struct reader *rd, gs_addr lo, gs_addr hi, struct gs_err *err)
{
	struct gs_memory_look *l = rd->l;

	if (lo >= hi || hi - lo > (1ull << 32))
		return 0;
	if (l->n_stacks == rd->cap) {
		uint32_t cap = rd->cap ? rd->cap * 2 : 1024;
		struct gs__stack_range *v =
			(struct gs__stack_range *)gs_array_resize(l->stack, cap, sizeof(*v));

		if (!v)
			return gs_fail(err, -ENOMEM, 0, "no memory for %u stacks", cap);
		l->stack = v;
		rd->cap = cap;
	}
	l->stack[l->n_stacks++] = (struct gs__stack_range){ lo, hi };
	return 0;
}

static uint64_t word(const uint8_t *p, int32_t offset)
{
	uint64_t v;

	memcpy(&v, p + offset, sizeof(v));
	return v;
}

static int read_gs(struct reader *rd, const gs_addr *g, uint32_t n, struct gs_err *err)
{
	const struct gs_go_layout *lay = rd->layout;
	uint32_t lost = 0;
	int r;

	for (uint32_t i = 0; i < n; i++)
		rd->reads[i] = (struct gs_read){ g[i], rd->buf + i * rd->head, rd->head, 0 };
	r = rd->mem->readv(rd->mem->ctx, rd->reads, n, err);
	for (uint32_t i = 0; i < n && r >= 0; i++) {
		const uint8_t *p = rd->buf + i * rd->head;

		if (rd->reads[i].result < 0) {
			lost++;
			continue;
		}
		if (((uint32_t)word(p, lay->offset[GS_GO_G_ATOMICSTATUS]) & 0xfff) == STATUS_DEAD)
			continue;
		r = add_stack(rd, word(p, lay->offset[GS_GO_G_STACK_LO]),
			      word(p, lay->offset[GS_GO_G_STACK_HI]), err);
	}
	gs_incomplete_add(&rd->l->inc, "goroutines_unreadable", lost,
			  "their stacks count as kept for reuse");
	return r < 0 ? r : 0;
}

static int read_allgs(struct reader *rd, struct gs_err *err)
{
	const struct gs_go_globals *gl = &gs_rt_facts(rd->l->rt)->globals;
	GS_CLEANUP(gs_freep) gs_addr *g = NULL;
	uint64_t n = 0, at = 0;
	int r = 0;

	if (!gl->addr[GS_GO_GLOBAL_ALLGLEN] || !gl->addr[GS_GO_GLOBAL_ALLGPTR] ||
	    gs_memory_u64(rd->mem, gl->addr[GS_GO_GLOBAL_ALLGLEN], &n, NULL) < 0 ||
	    gs_memory_u64(rd->mem, gl->addr[GS_GO_GLOBAL_ALLGPTR], &at, NULL) < 0 ||
	    n > GOROUTINES_MAX)
		return 0;
	g = (gs_addr *)gs_array_new(n ? n : 1, sizeof(*g));
	if (!g)
		return gs_fail(err, -ENOMEM, 0, "no memory for %u goroutines", (unsigned int)n);
	if (gs_memory_read(rd->mem, at, g, n * sizeof(*g), NULL) < 0) {
		gs_incomplete_add(&rd->l->inc, "goroutines_unreadable", n,
				  "their stacks count as kept for reuse");
		return 0;
	}
	for (uint64_t i = 0; i < n && r == 0; i += BATCH)
		r = read_gs(rd, g + i, (uint32_t)(n - i < BATCH ? n - i : BATCH), err);
	return r;
}

/* g0 and gsignal of each m. */
static int read_allm(struct reader *rd, struct gs_err *err)
{
	const struct gs_go_globals *gl = &gs_rt_facts(rd->l->rt)->globals;
	const struct gs_go_layout *lay = rd->layout;
	gs_addr m, g[BATCH];
	uint32_t n = 0;
	int r = 0;

	if (!gl->addr[GS_GO_GLOBAL_ALLM] || !gs_go_has(lay, GS_GO_M_ALLLINK) ||
	    !gs_go_has(lay, GS_GO_M_G0) || !gs_go_has(lay, GS_GO_M_GSIGNAL) ||
	    gs_memory_u64(rd->mem, gl->addr[GS_GO_GLOBAL_ALLM], &m, NULL) < 0)
		return 0;
	for (uint32_t i = 0; m && i < THREADS_MAX && r == 0; i++) {
		gs_addr next = 0, own[2] = { 0 };
		struct gs_read reads[] = {
			{ m + (uint64_t)lay->offset[GS_GO_M_ALLLINK], &next, 8, 0 },
			{ m + (uint64_t)lay->offset[GS_GO_M_G0], &own[0], 8, 0 },
			{ m + (uint64_t)lay->offset[GS_GO_M_GSIGNAL], &own[1], 8, 0 },
		};

		r = rd->mem->readv(rd->mem->ctx, reads, GS_ARRAY_SIZE(reads), err);
		if (r < 0 || reads[0].result < 0)
			break;
		for (int k = 0; k < 2; k++)
			if (own[k])
				g[n++] = own[k];
		if (n + 2 > BATCH) {
			r = read_gs(rd, g, n, err);
			n = 0;
		}
		m = next;
	}
	return r < 0 ? r : read_gs(rd, g, n, err);
}

static int by_address(const void *a, const void *b)
{
	const struct gs__stack_range *x = (const struct gs__stack_range *)a;
	const struct gs__stack_range *y = (const struct gs__stack_range *)b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Stacks that overlap were read at different moments: the later one is cut. */
static void sort_stacks(struct gs_memory_look *l)
{
	uint32_t kept = 0;

	if (l->n_stacks)
		qsort(l->stack, l->n_stacks, sizeof(*l->stack), by_address);
	for (uint32_t i = 0; i < l->n_stacks; i++) {
		struct gs__stack_range s = l->stack[i];

		if (kept && s.lo < l->stack[kept - 1].hi)
			s.lo = l->stack[kept - 1].hi;
		if (s.lo < s.hi)
			l->stack[kept++] = s;
	}
	l->n_stacks = kept;
}

int gs__stacks_read(struct gs_memory_look *l, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct reader *rd = (struct reader *)gs_array_new(1, sizeof(*rd));
	const struct gs_go_layout *lay = &gs_rt_facts(l->rt)->layout;
	static const enum gs_go_field fields[] = { GS_GO_G_STACK_LO, GS_GO_G_STACK_HI,
						   GS_GO_G_ATOMICSTATUS };
	GS_CLEANUP(gs_freep) uint8_t *buf = NULL;
	int r;

	if (!rd)
		return gs_fail(err, -ENOMEM, 0, "no memory");
	*rd = (struct reader){ .l = l, .mem = gs_rt_memory(l->rt), .layout = lay };
	for (size_t i = 0; i < GS_ARRAY_SIZE(fields); i++) {
		if (!gs_go_has(lay, fields[i]) || lay->offset[fields[i]] < 0 ||
		    (size_t)lay->offset[fields[i]] + 8 > HEAD_MAX)
			return 0;
		if ((size_t)lay->offset[fields[i]] + 8 > rd->head)
			rd->head = (size_t)lay->offset[fields[i]] + 8;
	}
	buf = (uint8_t *)gs_array_new(BATCH, rd->head);
	if (!buf)
		return gs_fail(err, -ENOMEM, 0, "no memory");
	rd->buf = buf;
	r = read_allgs(rd, err);
	if (r == 0)
		r = read_allm(rd, err);
	sort_stacks(l);
	return r;
}
