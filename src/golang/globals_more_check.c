/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Does live data allow an address to be one of the globals that memory and leaks need? Most of these are empty in some
 * programs: no waiters in semtable, no profile. Zeros are accepted, for they say truly that there is nothing; anything
 * else must look like what it should be.
 *
 *     semtable           roots of treaps: sudogs with a goroutine and no parent
 *     mbuckets           buckets of the memory profile, linked
 *     MemProfileRate, physHugePageSize, debug.madvdontneed   values that these can have
 *     persistentChunks   a list of whole pages, each beginning with the address of the next
 *     scavenge           goals: none, or sizes
 *     work               lists of spans, with a first and a last one or neither
 *     gcBitsArenas       arenas of whole pages; the current one has no more in use than it has bytes
 *     buckhash           whole pages
 *     allfin, gcCleanups.all   lists of blocks, none with more entries than have room
 *     trace              buffers that are read, empty and full: whole pages
 */
#include <string.h>

#include "golang/globals_internal.h"

enum {
	SEM_ROOTS = 251, /* semTabSize, runtime/sema.go */
	SEM_SAMPLE = 4,
	HOPS = 4,
	PAGE = 4096,
	MEM_PROFILE = 1, /* bucketType memProfile, runtime/mprof.go */
	MAX_DEPTH = 4096,
	GC_BITS_BYTES = 64 << 10, /* gcBitsChunkBytes, runtime/mheap.go */
	FINALIZERS = 101,         /* of a block of 4096 bytes, 40 each */
	CLEANUPS = 60,            /* of a block of 512 bytes, 8 each */
};

static bool pointer_like(uint64_t v)
{
	return v >= PAGE && v % 8 == 0 && v < 1ull << 56;
}

static bool page_like(uint64_t v)
{
	return v >= PAGE && v % PAGE == 0 && v < 1ull << 56;
}

/* The root of a treap of waiters: it has a goroutine, something waited for, and no parent. */
static int check_waiter(const struct gs__go_check *c, gs_addr sudog)
{
	uint64_t g = 0, parent = 1;
	int r = gs__go_peek_field(c, sudog, GS_GO_SUDOG_G, 8, &g);

	if (r > 0)
		r = gs__go_peek_field(c, sudog, GS_GO_SUDOG_PARENT, 8, &parent);
	return r <= 0 ? r : pointer_like(g) && parent == 0;
}

static int check_semtable(const struct gs__go_check *c)
{
	/* semTable pads each root to a cache line: 64 bytes, on arm64 128. */
	uint64_t stride = c->layout->arch == GS_ARCH_ARM64 ? 128 : 64;
	uint8_t bytes[SEM_ROOTS * 128];
	unsigned int seen = 0, good = 0;
	int32_t treap = c->layout->offset[GS_GO_SEMA_ROOT_TREAP];
	int r;

	if (treap < 0 || (uint64_t)treap > stride - 8)
		return 0;
	r = gs__go_peek(c, c->addr, bytes, SEM_ROOTS * stride);
	for (unsigned int i = 0; r > 0 && i < SEM_ROOTS; i++) {
		uint64_t root;

		memcpy(&root, bytes + i * stride + treap, 8);
		if (root && !pointer_like(root))
			return 0;
		if (!root || seen == SEM_SAMPLE)
			continue;
		seen++;
		r = check_waiter(c, root);
		good += r > 0;
		r = r < 0 ? r : 1;
	}
	/* Waiters come and go while we look. */
	return r <= 0 ? r : seen == 0 || 2 * good >= seen;
}

static int check_mbuckets(const struct gs__go_check *c)
{
	uint64_t b = 0;
	int r = gs__go_peek(c, c->addr, &b, 8);

	for (unsigned int i = 0; r > 0 && b && i < HOPS; i++) {
		uint64_t typ = 0, depth = 0, size = 0, next = 0;

		if (!pointer_like(b))
			return 0;
		r = gs__go_peek_field(c, b, GS_GO_BUCKET_TYP, 8, &typ);
		if (r > 0)
			r = gs__go_peek_field(c, b, GS_GO_BUCKET_NSTK, 8, &depth);
		if (r > 0)
			r = gs__go_peek_field(c, b, GS_GO_BUCKET_OBJECT_SIZE, 8, &size);
		if (r > 0)
			r = gs__go_peek_field(c, b, GS_GO_BUCKET_ALLNEXT, 8, &next);
		if (r > 0 && (typ != MEM_PROFILE || depth == 0 || depth > MAX_DEPTH || size == 0))
			return 0;
		b = next;
	}
	return r;
}

static int check_word(const struct gs__go_check *c, size_t bytes, bool (*good)(uint64_t))
{
	uint64_t v = 0;
	int r = gs__go_peek(c, c->addr, &v, bytes);

	return r <= 0 ? r : good(v);
}

static bool rate_like(uint64_t v)
{
	return v < 1ull << 40;
}

static bool huge_page_like(uint64_t v)
{
	return v == 0 || ((v & (v - 1)) == 0 && v >= 64 << 10 && v <= 1ull << 30);
}

static bool flag_like(uint64_t v)
{
	return v <= 1;
}

static bool null_or_pages(uint64_t v)
{
	return v == 0 || page_like(v);
}

/* Chunks are put in front of the list before they are used, and never leave it. */
static int check_chunks(const struct gs__go_check *c)
{
	uint64_t at = 0;
	int r = gs__go_peek(c, c->addr, &at, 8);

	if (r > 0 && at == 0)
		return 0; /* mallocinit needs one */
	for (unsigned int i = 0; r > 0 && at && i < HOPS; i++) {
		if (!page_like(at))
			return 0;
		r = gs__go_peek(c, at, &at, 8);
	}
	return r;
}

static bool goal_like(uint64_t v)
{
	return v == UINT64_MAX || v < 1ull << 48;
}

static int check_scavenge(const struct gs__go_check *c)
{
	uint64_t goal[2] = { 0 };
	int r = gs__go_peek(c, c->addr, goal, sizeof(goal));

	return r <= 0 ? r : goal_like(goal[0]) && goal_like(goal[1]);
}

static int check_work(const struct gs__go_check *c)
{
	static const enum gs_go_field lists[] = { GS_GO_WORK_WBUF_SPANS_FREE,
						  GS_GO_WORK_WBUF_SPANS_BUSY };
	int r = 1;

	for (size_t i = 0; r > 0 && i < GS_ARRAY_SIZE(lists); i++) {
		uint64_t list[2] = { 0 };

		if (!gs_go_has(c->layout, lists[i]))
			return 0;
		r = gs__go_peek(c, c->addr + (uint64_t)c->layout->offset[lists[i]], list,
				sizeof(list));
		for (unsigned int k = 0; k < 2; k++)
			if (list[k] && !pointer_like(list[k]))
				return 0;
	}
	return r;
}

static int check_gc_bits(const struct gs__go_check *c)
{
	uint64_t list[4] = { 0 }, used = 0, arena; /* free, next, current, previous */
	int r = gs__go_peek(c, c->addr + 8, list, sizeof(list));

	for (unsigned int i = 0; i < 4; i++)
		if (r > 0 && !null_or_pages(list[i]))
			return 0;
	/* The first span needs one. Right after a collection the next one becomes the current one, and there is none
	 * until a span is swept (nextMarkBitArenaEpoch). */
	arena = list[1] ? list[1] : list[2] ? list[2] : list[3];
	if (r <= 0 || arena == 0)
		return r <= 0 ? r : 0;
	r = gs__go_peek(c, arena, &used, 8);
	/* Who finds it full has added what he wanted all the same (tryAlloc). */
	return r <= 0 ? r : used <= 16 * GC_BITS_BYTES;
}

/* A list of blocks of finalizers (mfinal.go, finBlock) or cleanups (mcleanup.go, cleanupBlock). */
static int check_blocks(const struct gs__go_check *c, unsigned int link, unsigned int count,
			uint32_t max)
{
	uint64_t block = 0;
	int r = gs__go_peek(c, c->addr, &block, 8);

	for (unsigned int i = 0; r > 0 && block && i < HOPS; i++) {
		uint32_t n = 0;

		if (!pointer_like(block))
			return 0;
		r = gs__go_peek(c, block + count, &n, 4);
		if (r > 0 && n > max)
			return 0;
		if (r > 0)
			r = gs__go_peek(c, block + link, &block, 8);
	}
	return r;
}

/* Buffers that are read, empty, and one or two queues of full ones follow each other (trace.go). */
static int check_trace(const struct gs__go_check *c)
{
	unsigned int first = c->layout->minor >= 22 ? 1 : c->layout->minor == 21 ? 10 : 9;
	unsigned int n = c->layout->minor >= 22 ? 6 : 4;
	uint64_t word[16] = { 0 };
	int r = gs__go_peek(c, c->addr, word, sizeof(word));

	for (unsigned int i = 0; r > 0 && i < n; i++)
		if (!null_or_pages(word[first + i]))
			return 0;
	return r;
}

int gs__go_more_global_check(const struct gs_memory *mem, const struct gs_go_layout *layout,
			     enum gs_go_more_global g, gs_addr addr, struct gs_err *err)
{
	const struct gs__go_check c = { .mem = mem, .layout = layout, .addr = addr, .err = err };

	switch (g) {
	case GS_GO_MORE_SEMTABLE:
		return check_semtable(&c);
	case GS_GO_MORE_MBUCKETS:
		return check_mbuckets(&c);
	case GS_GO_MORE_MEM_PROFILE_RATE:
		return check_word(&c, 8, rate_like);
	case GS_GO_MORE_PERSISTENT_CHUNKS:
		return check_chunks(&c);
	case GS_GO_MORE_SCAVENGE:
		return check_scavenge(&c);
	case GS_GO_MORE_WORK:
		return check_work(&c);
	case GS_GO_MORE_GC_BITS_ARENAS:
		return check_gc_bits(&c);
	case GS_GO_MORE_BUCKHASH:
		return check_word(&c, 8, null_or_pages);
	case GS_GO_MORE_PHYS_HUGE_PAGE:
		return check_word(&c, 8, huge_page_like);
	case GS_GO_MORE_MADVDONTNEED:
		return check_word(&c, 4, flag_like);
	case GS_GO_MORE_ALLFIN:
		return check_blocks(&c, 0, 16, FINALIZERS);
	case GS_GO_MORE_CLEANUP_BLOCKS:
		return check_blocks(&c, 16, 24, CLEANUPS);
	case GS_GO_MORE_TRACE:
		return check_trace(&c);
	case GS_GO_MORE_COUNT:
		break;
	}
	return 0;
}
