/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Memory of the execution tracer: blocks of 64 KiB that it maps when tracing begins and unmaps when it ends
 * (runtime/trace.go, tracebuf.go, traceregion.go). A buffer begins with { next in a list, time, bytes written, … }, a block of
 * its tables of stacks and strings with { next, since 1.23: bytes given out }.
 *
 *     runtime.trace    lists of empty and of full buffers, single ones, and the first block of each table
 *     m.trace.buf      since 1.22: the buffers that a thread writes to, of both generations
 *     p.tracebuf, p.trace.buf   before that
 *
 * runtime.trace has no type with a name, so where its lists are is not in the tables of layouts: up to 1.22, where hash
 * tables of 64 KiB lie in it, by release; since 1.23, where padding depends on the CPU, each of its words that leads to
 * what looks like such a block is taken for one. Structures of 1.20 were not measured.
 */
#include "runtime/rt_heap_meta.h"

#include <string.h>

enum {
	BLOCK = 64 << 10,
	STRUCT_BYTES = 2472, /* of runtime.trace, the largest since 1.23 */
	PER_M = 4, /* 2 generations, since 1.23 of the common and of one experimental buffer */
	MAX_MS = 1 << 18,
	MAX_PS = 4096,
	LISTS = 12,
	FIRST_WITH_OFF = 23,
	FIRST_WITH_LENGTH = 22, /* before that a stack follows */
};

/* Offsets of pointers in runtime.trace; the same on amd64 and arm64. */
static const struct {
	unsigned int minor;
	uint32_t at[LISTS]; /* 0: no more */
} lists[] = {
	/* reading, empty, fullHead, stackTab.mem.head, cpuLogBuf, buf */
	{ 19, { 72, 80, 88, 128, 65688, 65776 } },
	{ 21, { 80, 88, 96, 128, 65688, 65784 } },
	/* reading, empty, heads of full, blocks of stackTab and stringTab, buffers of stringTab, cpuBuf */
	{ 22, { 8, 16, 24, 40, 112, 65680, 131264, 196848, 131240, 196824, 262456, 262464 } },
};

static int add_list(struct gs__meta *s, gs_addr at)
{
	return gs__meta_list(s, at, 0, BLOCK, GS_RT_META_OTHER);
}

static bool null_or_page(uint64_t v)
{
	return v % GS__META_PAGE == 0 && v < 1ull << 56;
}

/* Is it a buffer, or since 1.23 a block of a table? */
static bool block_like(const struct gs__meta *s, gs_addr at)
{
	uint64_t head[4]; /* next, time, bytes, where a length will stand; or next, bytes */

	if (at == 0 || !null_or_page(at) ||
	    gs_memory_read(s->h->rt->mem, at, head, sizeof(head), NULL) < 0 ||
	    !null_or_page(head[0]))
		return false;
	if (head[1] > 0 && head[1] <= BLOCK && head[1] % 8 == 0)
		return true;
	return head[1] > BLOCK && head[2] <= BLOCK &&
	       (s->h->layout->minor < FIRST_WITH_LENGTH || head[3] <= BLOCK);
}

static int add_block_like(struct gs__meta *s, gs_addr at)
{
	return block_like(s, at) ? add_list(s, at) : 0;
}

static int add_global(struct gs__meta *s, gs_addr trace)
{
	unsigned int minor = s->h->layout->minor;
	uint64_t word[STRUCT_BYTES / 8];
	int r = 0;

	for (size_t i = 0; i < GS_ARRAY_SIZE(lists); i++)
		for (size_t k = 0; lists[i].minor == minor && r == 0 && k < LISTS; k++)
			if (lists[i].at[k])
				r = add_list(s, gs__meta_word(s, trace + lists[i].at[k]));
	if (minor < FIRST_WITH_OFF ||
	    gs_memory_read(s->h->rt->mem, trace, word, sizeof(word), NULL) < 0)
		return r;
	for (size_t i = 0; r == 0 && i < GS_ARRAY_SIZE(word); i++)
		r = add_block_like(s, word[i]);
	return r;
}

static int add_threads(struct gs__meta *s)
{
	const struct gs_go_layout *l = s->h->layout;
	gs_addr m = gs__meta_word(s, s->h->rt->facts.globals.addr[GS_GO_GLOBAL_ALLM]);
	int r = 0;

	if (!gs_go_has(l, GS_GO_M_TRACE_BUF) || !gs_go_has(l, GS_GO_M_ALLLINK))
		return 0;
	for (uint32_t i = 0; r == 0 && m && i < MAX_MS; i++) {
		uint64_t buf[PER_M] = { 0 }, next = 0;
		struct gs_read reads[] = {
			{ m + (uint64_t)l->offset[GS_GO_M_TRACE_BUF], buf, sizeof(buf), 0 },
			{ m + (uint64_t)l->offset[GS_GO_M_ALLLINK], &next, 8, 0 },
		};

		if (s->h->rt->mem->readv(s->h->rt->mem->ctx, reads, 2, NULL) < 0 ||
		    reads[0].result < 0 || reads[1].result < 0)
			break;
		for (size_t k = 0; r == 0 && k < PER_M; k++)
			r = add_block_like(s, buf[k]);
		m = next;
	}
	return r;
}

static int add_processors(struct gs__meta *s)
{
	const struct gs_go_layout *l = s->h->layout;
	gs_addr allp = s->h->rt->facts.globals.addr[GS_GO_GLOBAL_ALLP];
	enum gs_go_field f = gs_go_has(l, GS_GO_P_TRACE_BUF) ? GS_GO_P_TRACE_BUF
							     : GS_GO_P_TRACEBUF_OLD;
	uint64_t slice[3];
	int r = 0;

	if (!allp || !gs_go_has(l, f) ||
	    gs_memory_read(s->h->rt->mem, allp, slice, sizeof(slice), NULL) < 0)
		return 0;
	/* allp shrinks with GOMAXPROCS, but not its array: what Ps had was flushed then. */
	for (uint64_t i = 0; r == 0 && i < slice[1] && i < MAX_PS; i++) {
		gs_addr p = gs__meta_word(s, slice[0] + 8 * i);

		if (p)
			r = add_block_like(s, gs__meta_word(s, p + (uint64_t)l->offset[f]));
	}
	return r;
}

int gs__meta_trace(struct gs__meta *s)
{
	const struct gs_go_more_globals *more = gs__rt_more_globals(s->h->rt);
	int r = 0;

	if (more && more->checked[GS_GO_MORE_TRACE])
		r = add_global(s, more->addr[GS_GO_MORE_TRACE]);
	if (r == 0)
		r = add_threads(s);
	return r == 0 ? add_processors(s) : r;
}
