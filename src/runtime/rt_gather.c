/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Reading many pieces at once. A run of pieces that lie close together costs one read with some bytes too many, which is
 * cheaper than one element of process_vm_readv each; a run that fails is read again piece by piece, so that a
 * hole between two pieces does not cost both.
 */
#include "runtime/rt_gather.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/arena.h"

#define RUN_MAX (256u << 10)

static int piece_order(const void *a, const void *b)
{
	gs_addr x = ((const struct gs__piece *)a)->addr, y = ((const struct gs__piece *)b)->addr;

	return (x > y) - (x < y);
}

static void sort_pieces(struct gs__piece *p, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		if (p[i].addr < p[i - 1].addr) {
			qsort(p, n, sizeof(*p), piece_order);
			return;
		}
}

void gs__gather_free(struct gs__gather *b)
{
	free(b->bytes);
	free(b->read);
	free(b->run_of);
	*b = (struct gs__gather){ 0 };
}

static int no_memory(uint64_t need, struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "no memory to read %llu bytes of the target at once",
		       (unsigned long long)need);
}

static int reserve_runs(struct gs__gather *b, uint32_t n, struct gs_err *err)
{
	void *p;

	if (n <= b->n_cap)
		return 0;
	p = gs_array_resize(b->read, n, sizeof(*b->read));
	if (!p)
		return no_memory((uint64_t)n * sizeof(*b->read), err);
	b->read = p;
	p = gs_array_resize(b->run_of, n, sizeof(*b->run_of));
	if (!p)
		return no_memory((uint64_t)n * sizeof(*b->run_of), err);
	b->run_of = p;
	b->n_cap = n;
	return 0;
}

static int reserve_bytes(struct gs__gather *b, size_t need, struct gs_err *err)
{
	void *p;

	if (need <= b->cap)
		return 0;
	need += need / 4;
	free(b->bytes);
	b->bytes = NULL;
	b->cap = 0;
	p = malloc(need);
	if (!p)
		return no_memory(need, err);
	b->bytes = p;
	b->cap = need;
	return 0;
}

/* Merge sorted pieces into runs. @return their number; *ret_bytes is what they need. */
static uint32_t plan_runs(struct gs__gather *b, const struct gs__piece *p, uint32_t n, uint32_t gap,
			  size_t *ret_bytes)
{
	struct gs_read *last = NULL;
	uint32_t runs = 0;
	size_t total = 0;

	for (uint32_t i = 0; i < n; i++, p++) {
		/* An address near the end of the space must not wrap: such pieces stay alone and fail. */
		bool wraps = p->addr > UINT64_MAX - p->len - gap - RUN_MAX;

		if (last && !wraps && p->addr <= last->addr + last->len + gap &&
		    p->addr + p->len - last->addr <= RUN_MAX) {
			size_t grown = p->addr + p->len - last->addr;

			if (grown > last->len) {
				total += grown - last->len;
				last->len = grown;
			}
		} else {
			last = &b->read[runs++];
			*last = (struct gs_read){ .addr = p->addr, .len = p->len };
			total += p->len;
			if (wraps) {
				b->run_of[i] = runs - 1;
				last = NULL;
				continue;
			}
		}
		b->run_of[i] = runs - 1;
	}
	*ret_bytes = total;
	return runs;
}

int gs__gather(const struct gs_memory *mem, struct gs__gather *b, struct gs__piece *piece,
	       uint32_t n, uint32_t gap, struct gs_err *err)
{
	uint32_t runs;
	size_t need, at = 0;
	int r;

	if (n == 0)
		return 0;
	sort_pieces(piece, n);
	r = reserve_runs(b, n, err);
	if (r < 0)
		return r;
	runs = plan_runs(b, piece, n, gap, &need);
	r = reserve_bytes(b, need, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < runs; i++) {
		b->read[i].buf = b->bytes + at;
		at += b->read[i].len;
	}
	r = mem->readv(mem->ctx, b->read, runs, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++) {
		const struct gs_read *run = &b->read[b->run_of[i]];
		uint8_t *bytes = (uint8_t *)run->buf + (piece[i].addr - run->addr);

		if (run->result < 0 &&
		    gs_memory_read(mem, piece[i].addr, bytes, piece[i].len, NULL) < 0)
			bytes = NULL;
		piece[i].bytes = bytes;
	}
	return 0;
}
