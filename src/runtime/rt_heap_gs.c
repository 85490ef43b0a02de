/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Words of goroutines that hold addresses and yet are no pointers (runtime/runtime2.go: g, stack, gobuf). Each g is an
 * object of the heap, and tells by numbers where its stack lies. The end of a stack is where the next span begins, so
 * g.stack.hi looks like a pointer to the first object of whatever is there; registers of a goroutine that has ended
 * stand in a stack that may have been given back.
 *
 * Since Go 1.22 spans of objects as small as a g tell their pointers themselves (GS_RT_SPAN_HEAP_BITMAP).
 */
#include <errno.h>

#include "runtime/rt_heap_private.h"

#define MS_MAX 10000u /* sched.maxmcount */
#define ROOM (2 * MS_MAX)

/* The words from field @first up to the one before @end, which the release may order otherwise: none then. */
static uint64_t words(const struct gs_go_layout *l, enum gs_go_field first, uint32_t skip,
		      enum gs_go_field end)
{
	int64_t from, to;
	uint64_t bits = 0;

	if (!gs_go_has(l, first) || !gs_go_has(l, end))
		return 0;
	from = l->offset[first] / 8 + skip;
	to = l->offset[end] / 8;
	for (; from >= 0 && from < to && to <= 64; from++)
		bits |= 1ull << from;
	return bits;
}

static uint64_t words_of_g(const struct gs_go_layout *l)
{
	return words(l, GS_GO_G_STACK_LO, 0, GS_GO_G_PANIC) |       /* stack, stackguard0, 1 */
	       words(l, GS_GO_G_SCHED_SP, 0, GS_GO_G_SCHED_CTXT) |  /* sp, pc, g (all are roots) */
	       words(l, GS_GO_G_SCHED_CTXT, 1, GS_GO_G_SYSCALLSP) | /* ret, lr, bp */
	       words(l, GS_GO_G_SYSCALLSP, 0, GS_GO_G_PARAM);       /* syscallpc, bp, stktopsp */
}

static bool needed(const struct gs_rt_heap *h)
{
	for (uint32_t i = 0; i < h->n_spans; i++)
		if (h->span[i].flags & GS_RT_SPAN_HEAP_BITMAP)
			return false;
	return true;
}

static int by_address(const void *a, const void *b)
{
	gs_addr x = *(const gs_addr *)a, y = *(const gs_addr *)b;

	return (x > y) - (x < y);
}

/* Those of threads, which are not in allgs. @return how many. */
static uint32_t read_threads(const struct gs_rt_heap *h, gs_addr *ret)
{
	const struct gs_go_layout *l = h->layout;
	const struct gs_memory *mem = h->rt->mem;
	gs_addr allm = h->rt->facts.globals.addr[GS_GO_GLOBAL_ALLM], m;
	uint32_t n = 0;

	if (!allm || !gs_go_has(l, GS_GO_M_ALLLINK) || !gs_go_has(l, GS_GO_M_G0) ||
	    !gs_go_has(l, GS_GO_M_GSIGNAL) || gs_memory_u64(mem, allm, &m, NULL) < 0)
		return 0;
	for (uint32_t i = 0; m && i < MS_MAX; i++) {
		gs_addr next = 0;
		struct gs_read rd[] = {
			{ .addr = m + (uint64_t)l->offset[GS_GO_M_G0], .buf = &ret[n], .len = 8 },
			{ .addr = m + (uint64_t)l->offset[GS_GO_M_GSIGNAL],
			  .buf = &ret[n + 1],
			  .len = 8 },
			{ .addr = m + (uint64_t)l->offset[GS_GO_M_ALLLINK],
			  .buf = &next,
			  .len = 8 },
		};

		if (mem->readv(mem->ctx, rd, 3, NULL) < 0 || rd[0].result < 0 || rd[1].result < 0 ||
		    rd[2].result < 0)
			break;
		n += 2;
		m = next;
	}
	return n;
}

int gs__heap_read_gs(struct gs_rt_heap *h, struct gs_err *err)
{
	uint64_t n = 0;
	gs_addr list = 0;

	h->g_words = words_of_g(h->layout);
	/* What cannot be read is looked into like other objects: some more words count as pointers. */
	if (!h->g_words || !needed(h) || gs__allgs_read(h->rt, &list, &n, NULL) < 0)
		return 0;
	h->g = (gs_addr *)gs_array_new((size_t)n + ROOM, sizeof(*h->g));
	if (!h->g)
		return gs_fail(err, -ENOMEM, 0, "no memory for the list of goroutines");
	if (n && gs_memory_read(h->rt->mem, list, h->g, (size_t)n * sizeof(*h->g), NULL) < 0)
		n = 0;
	h->n_g = (uint32_t)n + read_threads(h, h->g + n);
	qsort(h->g, h->n_g, sizeof(*h->g), by_address);
	return 0;
}
