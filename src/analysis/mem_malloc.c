/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Memory of C in anonymous mappings that nobody claims: stacks of threads, and malloc's. Nothing tells from outside what
 * they are but what stands in them, so each is proved by its own structure (glibc 2.17 to 2.42; malloc/arena.c and malloc.c):
 *
 *   heap of an arena   begins at a multiple of 64 MB, the rest up to the next is reserved:
 *                      { arena *; heap_info *prev; size_t size; size_t mprotect_size; … }
 *   large block        { size_t prev_size = 0; size_t size | IS_MMAPPED } at a page's beginning, size in whole pages;
 *                      neighbours make one mapping, so one block leads to the next
 *   stack of a thread  its control block stands at the top: on x86-64 struct pthread begins with a pointer to itself (so does
 *                      musl's), elsewhere its list of robust mutexes does; the thread's number stands near it. A block
 *                      without a number is of a thread that ended, and is kept for the next (glibc keeps 40 MB).
 *
 * Stacks of C threads are looked for below a guard page, those that the runtime knows (g0) wherever they are: the kernel
 * merges the first one with what lies above it. Other allocators (jemalloc, tcmalloc) have no marks that would prove them; their
 * memory stays anonymous. musl's has: mem_musl.c.
 *
 * Only the first bytes of mappings with resident pages are read, so that reading makes nothing resident but, at the worst, a
 * zero page.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/mem_musl.h"
#include "analysis/mem_private.h"
#include "base/search.h"

#define HEAP_MAX (64ull << 20)
#define PAGE 4096ull
#define PROBES_MAX (1u << 17)
#define BATCH 256u
#define TOP_BYTES                                                                                  \
	4096u /* of a stack that are searched for a control block; other CPUs: four times */
#define STACK_MIN (16ull << 10)
#define CHUNKS_MAX (1u << 20)
#define CHUNK_MMAPPED 2u
#define TCB_SPAN 0x400 /* the thread's number stands so near to the pointer */
#define G0_WINDOW (64ull << 10)

struct probe {
	gs_addr at;
	gs_addr start, end; /* the part of the mapping it is in */
};

struct probes {
	struct gs_memory_look *l;
	const struct gs_memory *mem;
	struct probe *v;
	uint32_t n, cap;
	uint64_t dropped;
	struct gs__claims found;
	uint32_t *tid; /* sorted */
	size_t n_tids;
	size_t window; /* bytes read at a probe */
	uint32_t chunks;
};

static int add_probe(struct probes *p, gs_addr at, gs_addr start, gs_addr end, struct gs_err *err)
{
	if (p->n == PROBES_MAX) {
		p->dropped++;
		return 0;
	}
	if (p->n == p->cap) {
		uint32_t cap = p->cap ? p->cap * 2 : 256;
		struct probe *v = (struct probe *)gs_array_resize(p->v, cap, sizeof(*v));

		if (!v)
			return gs_fail(err, -ENOMEM, 0, "no memory for %u mappings", cap);
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = (struct probe){ at, start, end };
	return 0;
}

/* Read what stands at each probe, and call @fn for those that could be read. */
static int run_probes(struct probes *p, size_t window,
		      int (*fn)(struct probes *p, const struct probe *at, const uint8_t *bytes,
				struct gs_err *err),
		      struct gs_err *err)
{
	GS_CLEANUP(gs_freep) uint8_t *buf = (uint8_t *)gs_array_new(BATCH, window);
	struct gs_read reads[BATCH];
	int r = 0;

	if (!buf)
		return gs_fail(err, -ENOMEM, 0, "no memory");
	p->window = window;
	for (uint32_t i = 0; i < p->n && r == 0; i += BATCH) {
		uint32_t n = p->n - i < BATCH ? p->n - i : BATCH;

		for (uint32_t k = 0; k < n; k++)
			reads[k] = (struct gs_read){ p->v[i + k].at, buf + k * window, window, 0 };
		r = p->mem->readv(p->mem->ctx, reads, n, err);
		for (uint32_t k = 0; k < n && r == 0; k++)
			if (reads[k].result == 0)
				r = fn(p, &p->v[i + k], buf + k * window, err);
	}
	p->n = 0;
	return r < 0 ? r : 0;
}

/* Hand what was found to the look. */
static int adopt(struct probes *p, struct gs_err *err)
{
	int r = 0;

	for (uint32_t i = 0; i < p->found.n && r == 0; i++) {
		const struct gs__claim *c = &p->found.v[i];

		r = gs__claim_add(&p->l->claims, c->start, c->end, c->class, c->rank, c->item, err);
	}
	p->found.n = 0;
	gs__claims_settle(&p->l->claims);
	return r;
}

static uint64_t word(const uint8_t *p, size_t i)
{
	uint64_t v;

	memcpy(&v, p + i * 8, sizeof(v));
	return v;
}

/* The mapping from @addr on, if nothing in it may be touched. */
static const struct gs_vma *reserved_at(const struct gs_memory_look *l, gs_addr addr, bool ends)
{
	uint32_t at =
		GS_SEARCH(i, l->n_vmas, (ends ? l->vma[i].map.end : l->vma[i].map.start) >= addr);
	const struct gs_vma *v;

	if (at == l->n_vmas)
		return NULL;
	v = &l->vma[at];
	return (ends ? v->map.end : v->map.start) == addr && v->map.prot == 0 && !v->map.path[0]
		       ? v
		       : NULL;
}

/* ---- arenas ---- */

static int find_arenas(void *ctx, const struct gs_vma *v, gs_addr start, gs_addr end,
		       struct gs_err *err)
{
	int r = 0;

	(void)v;
	for (gs_addr a = (start + HEAP_MAX - 1) & ~(HEAP_MAX - 1); a < end && a >= start && r == 0;
	     a += HEAP_MAX)
		r = add_probe((struct probes *)ctx, a, start, end, err);
	return r;
}

static int take_arena(struct probes *p, const struct probe *at, const uint8_t *b,
		      struct gs_err *err)
{
	uint64_t arena = word(b, 0), prev = word(b, 1), size = word(b, 2), usable = word(b, 3);
	uint64_t header = arena & (HEAP_MAX - 1);
	const struct gs_vma *rest;
	gs_addr end;
	uint32_t item;

	if (size < PAGE || size > HEAP_MAX || size % PAGE || usable < size || usable > HEAP_MAX ||
	    usable % PAGE || prev % HEAP_MAX || header < 0x20 || header > 0x100 ||
	    (prev == 0) != (arena - header == at->at))
		return 0;
	end = at->at + usable < at->end ? at->at + usable : at->end;
	rest = reserved_at(p->l, end, false);
	if (rest)
		end = rest->map.end < at->at + HEAP_MAX ? rest->map.end : at->at + HEAP_MAX;
	item = gs__item(p->l, GS_MEM_C_ARENAS, "heaps of malloc arenas", NULL, at->at);
	gs__item_more(p->l, item);
	return gs__claim_add(&p->found, at->at, end, GS_MEM_C_ARENAS, RANK_MALLOC, item, err);
}

/* ---- stacks of threads ---- */

static int by_tid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int read_tids(struct probes *p, struct gs_err *err)
{
	const struct gs_thread *th;
	size_t n;

	if (gs_target_threads(p->l->target, &th, &n, NULL) < 0 || n == 0)
		return 0; // gone: noticed elsewhere
	p->tid = (uint32_t *)gs_array_new(n, sizeof(*p->tid));
	if (!p->tid)
		return gs_fail(err, -ENOMEM, 0, "no memory for %zu threads", n);
	for (size_t i = 0; i < n; i++)
		p->tid[p->n_tids++] = (uint32_t)(th[i].ns_tid ? th[i].ns_tid : th[i].tid);
	qsort(p->tid, p->n_tids, sizeof(*p->tid), by_tid);
	return 0;
}

static bool names_thread(const struct probes *p, const uint8_t *b, size_t len, size_t at)
{
	size_t from = at > TCB_SPAN ? at - TCB_SPAN : 0;
	size_t to = at + TCB_SPAN < len ? at + TCB_SPAN : len;

	for (size_t i = from; i + 4 <= to; i += 4) {
		uint32_t v;

		memcpy(&v, b + i, sizeof(v));
		if (v && bsearch(&v, p->tid, p->n_tids, sizeof(v), by_tid))
			return true;
	}
	return false;
}

enum stack_is { NO_STACK, STACK_IN_USE, STACK_CACHED };

/* Search @len bytes that stand at @addr for a thread's control block. */
static enum stack_is control_block(const struct probes *p, const uint8_t *b, size_t len,
				   gs_addr addr, gs_addr *ret)
{
	for (size_t i = 0; i + 24 <= len; i += 8) {
		if (word(b + i, 0) != addr + i)
			continue;
		*ret = addr + i;
		if (names_thread(p, b, len, i))
			return STACK_IN_USE;
		// x86-64, glibc: header.tcb and header.self
		if ((addr + i) % 64 == 0 && word(b + i, 2) == addr + i)
			return STACK_CACHED;
	}
	return NO_STACK;
}

static int claim_stack(struct probes *p, gs_addr start, gs_addr end, enum stack_is is,
		       struct gs_err *err)
{
	const struct gs_vma *guard = reserved_at(p->l, start, true);
	char name[64], size[32];
	uint32_t item;

	snprintf(name, sizeof(name), "%s of %s",
		 is == STACK_CACHED ? "stacks of ended threads" : "stacks",
		 gs__mem_size(end - start, size, sizeof(size)));
	item = gs__item(p->l, GS_MEM_THREAD_STACKS, name,
			is == STACK_CACHED ? "kept by the C library for new threads" : NULL, start);
	gs__item_more(p->l, item);
	if (guard && guard->map.end - guard->map.start <= (1u << 20))
		start = guard->map.start;
	return gs__claim_add(&p->found, start, end, GS_MEM_THREAD_STACKS, RANK_THREAD, item, err);
}

static size_t top_bytes(const struct probes *p)
{
	return gs_target_arch(p->l->target) == GS_ARCH_AMD64 ? TOP_BYTES : 4 * TOP_BYTES;
}

static int find_stacks(void *ctx, const struct gs_vma *v, gs_addr start, gs_addr end,
		       struct gs_err *err)
{
	struct probes *p = (struct probes *)ctx;

	if (start != v->map.start || end - start < STACK_MIN || !reserved_at(p->l, start, true))
		return 0;
	return add_probe(p, end - top_bytes(p), start, end, err);
}

static int take_stack(struct probes *p, const struct probe *at, const uint8_t *b,
		      struct gs_err *err)
{
	gs_addr tcb;
	enum stack_is is = control_block(p, b, p->window, at->at, &tcb);

	return is ? claim_stack(p, at->start, at->end, is, err) : 0;
}

/* The g0 stacks that lie in unclaimed memory: control blocks stand some KB above. */
static int find_g0(void *ctx, const struct gs_vma *v, gs_addr start, gs_addr end,
		   struct gs_err *err)
{
	struct probes *p = (struct probes *)ctx;
	const struct gs_memory_look *l = p->l;
	uint32_t at = GS_SEARCH(i, l->n_stacks, l->stack[i].hi > start);
	int r = 0;

	(void)v;
	for (; at < l->n_stacks && l->stack[at].hi <= end && r == 0; at++)
		r = add_probe(p, (l->stack[at].hi - 1) & ~(PAGE - 1), start, end, err);
	return r;
}

static int take_g0(struct probes *p, const struct probe *at, const uint8_t *b, struct gs_err *err)
{
	size_t left = at->end - at->at < G0_WINDOW ? at->end - at->at : G0_WINDOW;
	GS_CLEANUP(gs_freep) uint8_t *more = (uint8_t *)malloc(left);
	gs_addr tcb, end;

	(void)b;
	if (!more || gs_memory_read(p->mem, at->at, more, left, NULL) < 0)
		return 0;
	if (control_block(p, more, left, at->at, &tcb))
		end = (tcb + PAGE) & ~(PAGE - 1);
	else
		end = at->at + left < at->end ? at->at + PAGE : at->end;
	return claim_stack(p, at->start, end, STACK_IN_USE, err);
}

/* ---- large blocks ---- */

static int find_chunks(void *ctx, const struct gs_vma *v, gs_addr start, gs_addr end,
		       struct gs_err *err)
{
	(void)v;
	return start % PAGE || end - start < PAGE
		       ? 0
		       : add_probe((struct probes *)ctx, start, start, end, err);
}

/* Size of the block whose header is @b; 0 if it is none that fits. */
static uint64_t chunk_size(const uint8_t *b, uint64_t room)
{
	uint64_t size = word(b, 1);

	if (word(b, 0) != 0 || (size & 7) != CHUNK_MMAPPED)
		return 0;
	size &= ~7ull;
	return size < PAGE || size % PAGE || size > room ? 0 : size;
}

static int claim_chunks(struct probes *p, gs_addr start, uint64_t size, uint32_t count,
			struct gs_err *err)
{
	char name[64], text[32];
	uint32_t item;

	snprintf(name, sizeof(name), "blocks of %s", gs__mem_size(size, text, sizeof(text)));
	item = gs__item(p->l, GS_MEM_C_LARGE, name, NULL, start);
	for (uint32_t i = 0; i < count; i++)
		gs__item_more(p->l, item);
	return gs__claim_add(&p->found, start, start + size * count, GS_MEM_C_LARGE, RANK_MALLOC,
			     item, err);
}

/* How many blocks of @size follow each other from @at on; they are read as if all were of one size, as they often are. */
static uint32_t chunks_alike(struct probes *p, gs_addr at, gs_addr end, uint64_t size)
{
	uint8_t head[64][16];
	struct gs_read reads[64];
	uint32_t n = 1;

	for (;;) {
		uint64_t room = (end - at) / size - n;
		uint32_t k = room < 64 ? (uint32_t)room : 64, i;

		if (k == 0 || p->chunks + n > CHUNKS_MAX)
			return n;
		for (i = 0; i < k; i++)
			reads[i] = (struct gs_read){ at + (n + i) * size, head[i], 16, 0 };
		if (p->mem->readv(p->mem->ctx, reads, k, NULL) < 0)
			return n;
		for (i = 0; i < k; i++)
			if (reads[i].result < 0 || chunk_size(head[i], size) != size)
				return n + i;
		n += k;
	}
}

static int take_chunks(struct probes *p, const struct probe *at, const uint8_t *b,
		       struct gs_err *err)
{
	gs_addr next = at->at;
	uint8_t head[16];
	int r = 0;

	memcpy(head, b, sizeof(head));
	while (next < at->end && r == 0 && p->chunks < CHUNKS_MAX) {
		uint64_t size = chunk_size(head, at->end - next);
		uint32_t n;

		if (size == 0)
			break;
		n = chunks_alike(p, next, at->end, size);
		p->chunks += n;
		r = claim_chunks(p, next, size, n, err);
		next += size * n;
		if (at->end - next < PAGE ||
		    gs_memory_read(p->mem, next, head, sizeof(head), NULL) < 0)
			break;
	}
	return r;
}

static int look_for(struct probes *p, gs__gap_fn *find, size_t window,
		    int (*take)(struct probes *p, const struct probe *at, const uint8_t *bytes,
				struct gs_err *err),
		    struct gs_err *err)
{
	int r = gs__each_gap(p->l, find, p, err);

	if (r == 0)
		r = run_probes(p, window, take, err);
	return r == 0 ? adopt(p, err) : r;
}

/* Others' memory cannot be told from the program's own mappings, but that they are there is worth a note. */
static void name_allocator(struct gs_memory_look *l)
{
	static const char *const names[] = { "jemalloc", "tcmalloc", "mimalloc", "snmalloc",
					     "hoard",    "rpmalloc", "scudo" };

	for (uint32_t i = 0; i < l->n_vmas; i++) {
		const char *file = strrchr(l->vma[i].map.path, '/');
		char note[256];

		for (size_t k = 0; file && k < GS_ARRAY_SIZE(names); k++) {
			if (strncmp(file + 1, "lib", 3) != 0 ||
			    strncmp(file + 4, names[k], strlen(names[k])) != 0)
				continue;
			snprintf(note, sizeof(note), "possibly %s's: %.200s is loaded", names[k],
				 file + 1);
			l->allocator = gs_arena_strndup(l->arena, note, strlen(note));
			return;
		}
	}
}

int gs__claims_malloc(struct gs_memory_look *l, struct gs_err *err)
{
	struct probes p = { .l = l, .mem = gs_target_memory(l->target) };
	int r = read_tids(&p, err);

	name_allocator(l);
	if (r == 0)
		r = gs__claims_musl(l, err); // stacks end where its blocks begin
	if (r == 0)
		r = look_for(&p, find_stacks, top_bytes(&p), take_stack, err);
	if (r == 0)
		r = look_for(&p, find_g0, 8, take_g0, err);
	if (r == 0)
		r = look_for(&p, find_arenas, 32, take_arena, err);
	if (r == 0)
		r = look_for(&p, find_chunks, 16, take_chunks, err);
	gs_incomplete_add(&l->inc, "mappings_not_looked_into", p.dropped,
			  "more than %u anonymous mappings: malloc's may count as anonymous",
			  PROBES_MAX);
	free(p.v);
	free(p.tid);
	free(p.found.v);
	return r;
}
