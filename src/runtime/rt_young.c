/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Where the next objects will be: the spans that Ps allocate from (p.mcache.alloc, runtime/mcache.go), one for each size
 * class, those without pointers left out. Three batches of reads, so the answer is younger than any list of all spans.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/rt_heap.h"
#include "runtime/rt_private.h"
#include "runtime/rt_roots.h"

#define SPAN_CLASSES 136u /* two for each of 68 size classes; odd ones hold no pointers */
#define CLASSES (SPAN_CLASSES / 2)
#define PS_MAX 1024u
#define MSPAN_MAX 512
#define PAGES_MAX 64u /* of a span of small objects */

static int order(const void *a, const void *b)
{
	gs_addr x = *(const gs_addr *)a, y = *(const gs_addr *)b;

	return (x > y) - (x < y);
}

/* Read a piece of @len bytes at each of addr[0..n), which becomes 0 where that fails. */
static int read_each(const struct gs_memory *mem, gs_addr *addr, uint32_t n, uint32_t off,
		     size_t len, struct gs_read *reads, uint64_t *buf, struct gs_err *err)
{
	int r;

	for (uint32_t i = 0; i < n; i++)
		reads[i] = (struct gs_read){ .addr = addr[i] + off,
					     .buf = buf + i * (len / 8),
					     .len = len };
	r = mem->readv(mem->ctx, reads, n, err);
	for (uint32_t i = 0; r >= 0 && i < n; i++)
		addr[i] = reads[i].result == 0 ? addr[i] : 0;
	return r;
}

/* Structures of the spans in the mcaches at mcache[0..n), each once. @return their number. */
static int find_mspans(const struct gs_rt *rt, gs_addr *mcache, uint32_t n, struct gs_read *reads,
		       uint64_t *buf, gs_addr *ret, struct gs_err *err)
{
	uint32_t off = (uint32_t)rt->facts.layout.offset[GS_GO_MCACHE_ALLOC];
	int r = read_each(rt->mem, mcache, n, off, SPAN_CLASSES * 8, reads, buf, err);
	uint32_t found = 0, kept = 0;

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n * SPAN_CLASSES; i += 2)
		if (mcache[i / SPAN_CLASSES] && buf[i])
			ret[found++] = buf[i];
	if (found)
		qsort(ret, found, sizeof(*ret), order);
	for (uint32_t i = 0; i < found; i++) // the empty span stands in many places
		if (i == 0 || ret[i] != ret[i - 1])
			ret[kept++] = ret[i];
	return (int)kept;
}

/* What of a span has been handed out: slots before freeindex. Behind it may be what the memory held before. */
static struct gs_rt_young young_of(const struct gs_go_layout *l, const uint8_t *m, size_t len)
{
	int64_t at = l->offset[GS_GO_MSPAN_FREEINDEX];
	uint64_t elem_size = gs__field_u64(l, GS_GO_MSPAN_ELEMSIZE, m, len);
	uint64_t pages = gs__field_u64(l, GS_GO_MSPAN_NPAGES, m, len), used;
	uint16_t index;

	if (l->offset[GS_GO_MSPAN_NELEMS] - at == 2 && (size_t)at + 2 <= len) { // since 1.22
		memcpy(&index, m + at, sizeof(index));
		used = index;
	} else {
		used = gs__field_u64(l, GS_GO_MSPAN_FREEINDEX, m, len);
	}
	if (pages > PAGES_MAX || elem_size > PAGES_MAX * GS_RT_PAGE ||
	    used > PAGES_MAX * GS_RT_PAGE / 8)
		return (struct gs_rt_young){ 0, 0 };
	used *= elem_size;
	return (struct gs_rt_young){
		.start = gs__field_u64(l, GS_GO_MSPAN_START_ADDR, m, len),
		.bytes = used < pages * GS_RT_PAGE ? used : pages * GS_RT_PAGE,
	};
}

static int read_young(const struct gs_rt *rt, gs_addr *p, uint32_t n, size_t mspan_size,
		      struct gs_rt_young *ret, uint32_t max, struct gs_err *err)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	size_t most = mspan_size > 16 ? mspan_size : 16; // also 136 words for each P
	GS_CLEANUP(gs_freep) uint64_t *buf = gs_array_new(n, CLASSES * most);
	GS_CLEANUP(gs_freep) gs_addr *mspan = gs_array_new(n, CLASSES * sizeof(*mspan));
	GS_CLEANUP(gs_freep) struct gs_read *reads = gs_array_new(n, CLASSES * sizeof(*reads));
	uint32_t found = 0;
	int r;

	if (!buf || !mspan || !reads)
		return gs_fail(err, -ENOMEM, 0, "no memory for spans");
	r = read_each(rt->mem, p, n, (uint32_t)l->offset[GS_GO_P_MCACHE], 8, reads, buf, err);
	for (uint32_t i = 0; r >= 0 && i < n; i++)
		p[i] = p[i] ? buf[i] : 0;
	if (r >= 0)
		r = find_mspans(rt, p, n, reads, buf, mspan, err);
	n = r > 0 ? (uint32_t)r : 0;
	if (r > 0)
		r = read_each(rt->mem, mspan, n, 0, mspan_size, reads, buf, err);
	for (uint32_t i = 0; r >= 0 && i < n && found < max; i++) {
		ret[found] = young_of(l, (const uint8_t *)buf + i * mspan_size, mspan_size);
		found += mspan[i] && ret[found].start && ret[found].bytes;
	}
	return r < 0 ? r : (int)found;
}

int gs_rt_young_spans(const struct gs_rt *rt, const gs_addr *ps, uint32_t n_ps,
		      struct gs_rt_young *ret, uint32_t max, struct gs_err *err)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	uint32_t n = n_ps < PS_MAX ? n_ps : PS_MAX;
	GS_CLEANUP(gs_freep) gs_addr *p = gs_array_new(n + 1ul, sizeof(*p));
	int64_t size = l->offset[GS_GO_MSPAN_SIZE];

	if (!n || !gs_go_has(l, GS_GO_P_MCACHE) || !gs_go_has(l, GS_GO_MCACHE_ALLOC) || size < 8 ||
	    size > MSPAN_MAX || size % 8)
		return 0;
	if (!p)
		return gs_fail(err, -ENOMEM, 0, "no memory for spans");
	memcpy(p, ps, n * sizeof(*p));
	return read_young(rt, p, n, (size_t)size, ret, max, err);
}
