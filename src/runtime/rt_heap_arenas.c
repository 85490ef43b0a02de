/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Which arenas (64 MiB of heap address space) there are, and where each one's heapArena structure lies.
 *
 * mheap_ lists their numbers (runtime/mheap.go: allArenas up to Go 1.24; heapArenas and userArenaArenas since).
 * arenas[0] points to a table of heapArena pointers by number; on 64-bit Linux it is the only first-level entry.
 * Those of user arenas (GOEXPERIMENT=arenas, 1.20 and later) are in no list before that; they follow each other from where
 * mallocinit lets them begin (malloc.go, userArena.arenaHints).
 * The numbers count from arenaBaseOffset: -2^47 on amd64, where heap addresses are signed, 0 on arm64.
 */
#include "runtime/rt_heap_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { RUN = 512 }; /* heapArena pointers read at once */

static int by_number(const void *a, const void *b)
{
	const struct gs__heap_arena *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int by_info(const void *a, const void *b)
{
	const struct gs__heap_arena *x = a, *y = b;

	return (x->info > y->info) - (x->info < y->info);
}

/* Append the numbers of the slice of arenaIdx at @at (0: this release has none). */
static int read_list(struct gs_rt_heap *h, gs_addr at, struct gs_incomplete_list *inc,
		     struct gs_err *err)
{
	GS_CLEANUP(gs_freep) uint64_t *number = NULL;
	struct gs__heap_arena *grown;
	uint64_t slice[3];
	int r;

	if (!at)
		return 0;
	r = gs_memory_read(h->rt->mem, at, slice, sizeof(slice), err);
	if (r < 0)
		return r;
	if (slice[1] > GS__HEAP_MAX_ARENAS - h->n_arenas || slice[1] > slice[2])
		return gs_fail(err, -GS_E_LIMIT, at,
			       "the heap has %" PRIu64 " arenas; gosonde reads up to %u (2 TiB)",
			       slice[1] + h->n_arenas, GS__HEAP_MAX_ARENAS);
	if (slice[1] == 0)
		return 0;
	number = gs_array_new(slice[1], sizeof(*number));
	grown = gs_array_resize(h->arena, h->n_arenas + slice[1], sizeof(*h->arena));
	if (grown)
		h->arena = grown;
	if (!number || !grown)
		return gs_fail(err, -ENOMEM, 0, "no memory for %" PRIu64 " arenas", slice[1]);
	r = gs_memory_read(h->rt->mem, slice[0], number, slice[1] * sizeof(*number), err);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < slice[1]; i++) {
		if (number[i] < GS__HEAP_ARENA_NUMBERS)
			h->arena[h->n_arenas++] = (struct gs__heap_arena){ .number = number[i] };
		else
			gs_incomplete_add(inc, "heap_arenas_bad", 1,
					  "the list of arenas names one outside of the address "
					  "space");
	}
	return 0;
}

/* User arenas that no list has: up to the first number without a heapArena. */
static int find_user_arenas(struct gs_rt_heap *h, struct gs_err *err)
{
	bool amd64 = h->layout->arch == GS_ARCH_AMD64;
	gs_addr first = amd64 ? 0x40c000000000 : 0x404000000000;
	uint64_t number = (first + h->arena_base) / GS_RT_ARENA, info[RUN];
	struct gs__heap_arena *grown;

	if (gs_go_has(h->layout, GS_GO_MHEAP_USER_ARENA_ARENAS) || h->layout->minor < 20 ||
	    gs_memory_read(h->rt->mem, h->l2 + number * 8, info, sizeof(info), NULL) < 0)
		return 0;
	for (uint32_t i = 0; i < RUN && info[i] && h->n_arenas < GS__HEAP_MAX_ARENAS; i++) {
		grown = gs_array_resize(h->arena, h->n_arenas + 1ul, sizeof(*h->arena));
		if (!grown)
			return gs_fail(err, -ENOMEM, 0, "no memory for user arenas");
		h->arena = grown;
		h->arena[h->n_arenas++] = (struct gs__heap_arena){ .number = number + i };
	}
	return 0;
}

/* Their heapArena pointers: runs of neighbours in the table are read at once. */
static int read_infos(struct gs_rt_heap *h, struct gs_err *err)
{
	uint64_t ptr[RUN];
	uint32_t i = 0;

	while (i < h->n_arenas) {
		uint64_t first = h->arena[i].number, n;
		uint32_t end = i + 1;
		int r;

		while (end < h->n_arenas && h->arena[end].number - first < RUN)
			end++;
		n = h->arena[end - 1].number - first + 1;
		r = gs_memory_read(h->rt->mem, h->l2 + first * 8, ptr, n * 8, err);
		if (r == -GS_E_FAULT)
			memset(ptr, 0, sizeof(ptr));
		else if (r < 0)
			return r;
		for (; i < end; i++)
			h->arena[i].info = ptr[h->arena[i].number - first];
	}
	return 0;
}

/* Drop arenas without a structure of their own. What is listed twice, or shares one, is not the runtime's doing. */
static void drop_bad(struct gs_rt_heap *h, struct gs_incomplete_list *inc)
{
	uint64_t size = (uint64_t)h->layout->offset[GS_GO_HEAP_ARENA_SIZE];
	uint32_t n = 0;

	qsort(h->arena, h->n_arenas, sizeof(*h->arena), by_info);
	for (uint32_t i = 0; i < h->n_arenas; i++) {
		const struct gs__heap_arena *a = &h->arena[i];

		if (a->info && a->info % 8 == 0 &&
		    (n == 0 || a->info - h->arena[n - 1].info >= size))
			h->arena[n++] = *a;
	}
	gs_incomplete_add(inc, "heap_arenas_bad", h->n_arenas - n,
			  "their heapArena structures are missing, or not their own");
	h->n_arenas = n;
	qsort(h->arena, h->n_arenas, sizeof(*h->arena), by_number);
	n = 0;
	for (uint32_t i = 0; i < h->n_arenas; i++)
		if (n == 0 || h->arena[i].number != h->arena[n - 1].number)
			h->arena[n++] = h->arena[i];
	gs_incomplete_add(inc, "heap_arenas_bad", h->n_arenas - n, "listed twice");
	h->n_arenas = n;
}

/* The table of page tables, for gs_rt_heap_find(). */
static int make_index(struct gs_rt_heap *h, struct gs_err *err)
{
	uint64_t n = 0;

	h->index.arena_base = h->arena_base;
	if (h->n_arenas) {
		h->index.first_arena = h->arena[0].number;
		n = h->arena[h->n_arenas - 1].number - h->arena[0].number + 1;
	}
	h->index.n_arenas = (uint32_t)n;
	h->page = gs_array_new(n ? n : 1, sizeof(*h->page));
	h->arena_start = gs_array_new(h->n_arenas ? h->n_arenas : 1, sizeof(*h->arena_start));
	if (!h->page || !h->arena_start)
		return gs_fail(err, -ENOMEM, 0, "no memory for an index of the heap");
	h->index.arena = (const uint32_t *const *)h->page;
	for (uint32_t i = 0; i < h->n_arenas; i++)
		h->arena_start[i] = gs__heap_arena_start(h, h->arena[i].number);
	return 0;
}

int gs__heap_read_arenas(struct gs_rt_heap *h, struct gs_incomplete_list *inc, struct gs_err *err)
{
	gs_addr l1 = gs__heap_field(h, GS_GO_MHEAP_ARENAS);
	int r;

	h->arena_base = h->layout->arch == GS_ARCH_AMD64 ? 1ull << 47 : 0;
	r = gs_memory_u64(h->rt->mem, l1, &h->l2, err);
	if (r == 0)
		r = read_list(h, gs__heap_field(h, GS_GO_MHEAP_ALL_ARENAS), inc, err);
	if (r == 0)
		r = read_list(h, gs__heap_field(h, GS_GO_MHEAP_HEAP_ARENAS), inc, err);
	if (r == 0)
		r = read_list(h, gs__heap_field(h, GS_GO_MHEAP_USER_ARENA_ARENAS), inc, err);
	if (r == 0)
		r = find_user_arenas(h, err);
	if (r < 0)
		return gs_fail_in(err, r, "cannot read the list of the heap's arenas");
	if (h->n_arenas) {
		qsort(h->arena, h->n_arenas, sizeof(*h->arena), by_number);
		r = read_infos(h, err);
		if (r < 0)
			return gs_fail_in(err, r, "cannot read the table of the heap's arenas");
		drop_bad(h, inc);
	}
	return make_index(h, err);
}
