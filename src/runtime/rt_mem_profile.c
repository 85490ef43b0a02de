/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The runtime's own memory profile, read from outside (runtime/mprof.go, Go 1.19 to 1.27).
 *
 * A list of buckets from mbuckets on: header, pcs, then a memRecord. Its "active" part is as of the last finished
 * collection; what came since waits in "future" and is not counted, as in MemProfile(). Before the first collection
 * nothing is active, and then all counts, there and here. Since 1.27 a record has no bytes: objects of a bucket have
 * one size.
 *
 * The pcs are logical: calls that were inlined have a pc of their own (traceback.go: tracebackPCs, gentraceback with
 * pcbuf). Looking up the innermost one gives them all, so those of inlined callers are left out before that.
 *
 * Buckets come from persistentalloc one after the other, so they are read by windows. A program that never reaches
 * runtime.MemProfile has rate 0: the linker switches profiling off (disableMemoryProfiling), but a bucket may come
 * from before schedinit looked.
 */
#include "runtime/rt_heap.h"
#include "runtime/rt_private.h"

#include <errno.h>
#include <string.h>

enum {
	WINDOW = 64 << 10,
	MAX_BUCKETS = 1 << 20,
	MAX_DEPTH = 1024 + 8, /* maxProfStackDepth; inlined frames count */
	MAX_PCS = 256,        /* of a stack that we show */
	CYCLES = 3,           /* of memRecord.future */
	MEM_PROFILE = 1,      /* bucketType memProfile */
};

struct counts {
	uint64_t allocs, frees, alloc_bytes, free_bytes;
};

struct record {
	const struct gs_stack *stack;
	uint64_t size;
	struct counts active, future;
};

struct profile {
	struct gs_rt *rt;
	const struct gs_go_layout *l;
	struct gs_err *err;
	uint8_t *window;
	gs_addr window_at;
	size_t window_len;
	uint8_t *bucket; /* one that does not fit the window */
	struct record *rec;
	uint32_t n, cap;
	uint64_t bad;
};

static uint64_t off(const struct profile *p, enum gs_go_field f)
{
	return (uint64_t)p->l->offset[f];
}

/* @n bytes at @at, from the window or into p->bucket; NULL if they cannot be read. */
static const uint8_t *bytes_at(struct profile *p, gs_addr at, size_t n)
{
	if (at - p->window_at <= p->window_len && p->window_len - (at - p->window_at) >= n)
		return p->window + (at - p->window_at);
	p->window_at = at & ~(gs_addr)(WINDOW - 1);
	p->window_len = WINDOW;
	if (gs_memory_read(p->rt->mem, p->window_at, p->window, WINDOW, NULL) < 0)
		p->window_len = 0;
	else if (p->window_len - (at - p->window_at) >= n)
		return p->window + (at - p->window_at);
	return gs_memory_read(p->rt->mem, at, p->bucket, n, NULL) < 0 ? NULL : p->bucket;
}

/* ---- stacks ---- */

/* Is @pc a caller of inlined code whose frame is @f already? */
static bool inlined_caller(struct gs_rt *rt, gs_addr pc, const struct gs_frame *f)
{
	const struct gs__pc *c = gs__pc_get(rt, pc, false);
	const struct gs_frame *g = c ? gs__pc_frames(rt, c) : NULL;

	return g && g->line == f->line && strcmp(g->function, f->function) == 0;
}

static const struct gs_stack *stack_of(struct gs_rt *rt, const uint8_t *stk, uint64_t n)
{
	gs_addr pcs[MAX_PCS];
	struct gs_rt_raw_stack raw = { .pcs = pcs };

	for (uint64_t i = 0; i < n && raw.n < MAX_PCS;) {
		gs_addr pc = gs__u64(stk + 8 * i++);
		const struct gs_frame *f;
		const struct gs__pc *c;

		if (pc == 0 || pc >> 57)
			break;
		/* The first is looked up as an instruction, the others as return addresses. */
		c = gs__pc_get(rt, raw.n ? pc : pc - 1, raw.n == 0);
		f = c ? gs__pc_frames(rt, c) : NULL;
		pcs[raw.n] = raw.n ? pc : pc - 1;
		raw.n++;
		for (uint32_t k = 1; f && k < c->n_frames && i < n; k++)
			if (inlined_caller(rt, gs__u64(stk + 8 * i), &f[k]))
				i++;
	}
	raw.cut = raw.n == MAX_PCS;
	return gs_rt_symbolize(rt, &raw);
}

/* ---- buckets ---- */

static void add_cycle(const struct profile *p, const uint8_t *b, uint64_t size, struct counts *io)
{
	uint64_t allocs = gs__u64(b + off(p, GS_GO_MEM_CYCLE_ALLOCS));
	uint64_t frees = gs__u64(b + off(p, GS_GO_MEM_CYCLE_FREES));
	bool has_bytes = gs_go_has(p->l, GS_GO_MEM_CYCLE_ALLOC_BYTES) &&
			 gs_go_has(p->l, GS_GO_MEM_CYCLE_FREE_BYTES);

	io->allocs += allocs;
	io->frees += frees;
	io->alloc_bytes += has_bytes ? gs__u64(b + off(p, GS_GO_MEM_CYCLE_ALLOC_BYTES))
				     : allocs * size;
	io->free_bytes += has_bytes ? gs__u64(b + off(p, GS_GO_MEM_CYCLE_FREE_BYTES))
				    : frees * size;
}

static int add_record(struct profile *p, const uint8_t *stk, uint64_t n, uint64_t size)
{
	const uint8_t *mem = stk + 8 * n;
	struct record *r;

	if (p->n == p->cap) {
		uint32_t cap = p->cap ? p->cap * 2 : 1024;
		void *grown = gs_array_resize(p->rec, cap, sizeof(*p->rec));

		if (!grown)
			return gs_fail(p->err, -ENOMEM, 0, "no memory for the memory profile");
		p->rec = grown;
		p->cap = cap;
	}
	r = &p->rec[p->n++];
	*r = (struct record){ .size = size };
	add_cycle(p, mem + off(p, GS_GO_MEM_RECORD_ACTIVE), size, &r->active);
	for (unsigned int i = 0; i < CYCLES; i++)
		add_cycle(p,
			  mem + off(p, GS_GO_MEM_RECORD_FUTURE) + i * off(p, GS_GO_MEM_CYCLE_SIZE),
			  size, &r->future);
	r->stack = stack_of(p->rt, stk, n);
	return r->stack ? 0 : gs_fail(p->err, -ENOMEM, 0, "no memory for the memory profile");
}

/* @return 1 and the next one's address; 0 if this is no bucket; negative: failed */
static int read_bucket(struct profile *p, gs_addr at, gs_addr *ret_next)
{
	uint64_t head = off(p, GS_GO_BUCKET_SIZE), n, size, whole;
	const uint8_t *b = bytes_at(p, at, head);
	int r;

	if (!b)
		return 0;
	n = gs__u64(b + off(p, GS_GO_BUCKET_NSTK));
	size = gs__u64(b + off(p, GS_GO_BUCKET_OBJECT_SIZE));
	*ret_next = gs__u64(b + off(p, GS_GO_BUCKET_ALLNEXT));
	if (gs__u64(b + off(p, GS_GO_BUCKET_TYP)) != MEM_PROFILE || n > MAX_DEPTH)
		return 0;
	whole = head + 8 * n + off(p, GS_GO_MEM_RECORD_SIZE);
	b = bytes_at(p, at, whole);
	if (!b)
		return 0;
	r = add_record(p, b + head, n, size);
	return r < 0 ? r : 1;
}

/* Walk the list; if damage made it a cycle, until it comes back (Brent's way of noticing). */
static int read_buckets(struct profile *p, gs_addr at)
{
	gs_addr mark = 0;
	uint32_t next_mark = 1;
	int r = 0;

	for (uint32_t i = 0; at && at != mark && i < MAX_BUCKETS; i++) {
		if (i == next_mark) {
			mark = at;
			next_mark *= 2;
		}
		r = at % 8 || at < WINDOW ? 0 : read_bucket(p, at, &at);
		if (r > 0)
			continue;
		p->bad += r == 0;
		break;
	}
	return r < 0 ? r : 0;
}

static int visit_all(const struct profile *p, int (*visit)(void *, const struct gs_rt_mem_record *),
		     void *ctx)
{
	bool collected = false;
	int r = 0;

	for (uint32_t i = 0; i < p->n; i++)
		collected |= p->rec[i].active.allocs || p->rec[i].active.frees;
	for (uint32_t i = 0; r == 0 && i < p->n; i++) {
		const struct record *b = &p->rec[i];
		const struct counts *c = collected ? &b->active : &b->future;
		const struct gs_rt_mem_record m = { .stack = b->stack,
						    .object_size = b->size,
						    .allocs = c->allocs,
						    .frees = c->frees,
						    .alloc_bytes = c->alloc_bytes,
						    .free_bytes = c->free_bytes };

		if (m.allocs)
			r = visit(ctx, &m);
	}
	return r;
}

/* Nothing but what was sampled before the first goroutine was made? */
static bool only_start_up(const struct profile *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		const struct gs_stack *s = p->rec[i].stack;

		if (s->n_frames == 0 ||
		    strcmp(s->frames[s->n_frames - 1].function, "runtime.rt0_go") != 0)
			return false;
	}
	return true;
}

/* The fields, each within its structure. */
static bool layout_usable(const struct gs_go_layout *l)
{
	size_t head = 4096, cycle = 256, record = 1024;

	if (l->offset[GS_GO_BUCKET_SIZE] <= 0 || l->offset[GS_GO_MEM_CYCLE_SIZE] <= 0 ||
	    l->offset[GS_GO_MEM_RECORD_SIZE] <= 0 || (size_t)l->offset[GS_GO_BUCKET_SIZE] > head ||
	    (size_t)l->offset[GS_GO_MEM_CYCLE_SIZE] > cycle ||
	    (size_t)l->offset[GS_GO_MEM_RECORD_SIZE] > record)
		return false;
	head = (size_t)l->offset[GS_GO_BUCKET_SIZE];
	cycle = (size_t)l->offset[GS_GO_MEM_CYCLE_SIZE];
	record = (size_t)l->offset[GS_GO_MEM_RECORD_SIZE];
	return gs__field_within(l, GS_GO_BUCKET_ALLNEXT, 8, head) &&
	       gs__field_within(l, GS_GO_BUCKET_TYP, 8, head) &&
	       gs__field_within(l, GS_GO_BUCKET_OBJECT_SIZE, 8, head) &&
	       gs__field_within(l, GS_GO_BUCKET_NSTK, 8, head) &&
	       gs__field_within(l, GS_GO_MEM_CYCLE_ALLOCS, 8, cycle) &&
	       gs__field_within(l, GS_GO_MEM_CYCLE_FREES, 8, cycle) &&
	       (!gs_go_has(l, GS_GO_MEM_CYCLE_ALLOC_BYTES) ||
		gs__field_within(l, GS_GO_MEM_CYCLE_ALLOC_BYTES, 8, cycle)) &&
	       (!gs_go_has(l, GS_GO_MEM_CYCLE_FREE_BYTES) ||
		gs__field_within(l, GS_GO_MEM_CYCLE_FREE_BYTES, 8, cycle)) &&
	       gs__field_within(l, GS_GO_MEM_RECORD_ACTIVE, cycle, record) &&
	       gs__field_within(l, GS_GO_MEM_RECORD_FUTURE, CYCLES * cycle, record);
}

static int read_profile(struct profile *p, gs_addr first, uint64_t rate,
			int (*visit)(void *ctx, const struct gs_rt_mem_record *r), void *ctx)
{
	size_t largest = (size_t)p->l->offset[GS_GO_BUCKET_SIZE] + 8ul * MAX_DEPTH +
			 (size_t)p->l->offset[GS_GO_MEM_RECORD_SIZE];
	int r;

	p->window = malloc(WINDOW);
	p->bucket = malloc(largest);
	if (!p->window || !p->bucket)
		return gs_fail(p->err, -ENOMEM, 0, "no memory for the memory profile");
	r = read_buckets(p, first);
	if (r == 0 && rate == 0 && only_start_up(p))
		return 1;
	return r < 0 ? r : visit_all(p, visit, ctx);
}

int gs_rt_mem_profile(struct gs_rt *rt, int (*visit)(void *ctx, const struct gs_rt_mem_record *r),
		      void *ctx, uint64_t *ret_rate, struct gs_incomplete_list *inc,
		      struct gs_err *err)
{
	const struct gs_go_more_globals *more = gs__rt_more_globals(rt);
	struct profile p = { .rt = rt, .l = &rt->facts.layout, .err = err };
	gs_addr first;
	int r;

	*ret_rate = 0;
	if (!more || !more->checked[GS_GO_MORE_MBUCKETS] || !layout_usable(p.l))
		return 1;
	if (more->checked[GS_GO_MORE_MEM_PROFILE_RATE] &&
	    gs_memory_u64(rt->mem, more->addr[GS_GO_MORE_MEM_PROFILE_RATE], ret_rate, NULL) < 0)
		*ret_rate = 0;
	r = gs_memory_u64(rt->mem, more->addr[GS_GO_MORE_MBUCKETS], &first, err);
	if (r < 0)
		return r == -GS_E_FAULT ? 1 : r;
	if (first == 0)
		return *ret_rate == 0; /* switched off, or nothing was sampled yet */
	r = read_profile(&p, first, *ret_rate, visit, ctx);
	free(p.window);
	free(p.bucket);
	free(p.rec);
	gs_incomplete_add(inc, "memory_profile_cut", p.bad,
			  "the runtime's list of allocation sites is damaged");
	return r;
}

int gs_rt_sample_stack(struct gs_rt *rt, gs_addr bucket, gs_addr *ret, uint32_t max,
		       uint32_t *ret_n, struct gs_err *err)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	uint64_t n = 0, type = 0, head;
	int r;

	*ret_n = 0;
	if (!layout_usable(l))
		return 0;
	head = (uint64_t)l->offset[GS_GO_BUCKET_SIZE];
	r = gs_memory_u64(rt->mem, bucket + (uint64_t)l->offset[GS_GO_BUCKET_TYP], &type, err);
	if (r == 0)
		r = gs_memory_u64(rt->mem, bucket + (uint64_t)l->offset[GS_GO_BUCKET_NSTK], &n,
				  err);
	if (r < 0 || type != MEM_PROFILE || n > MAX_DEPTH)
		return r == -GS_E_FAULT ? 0 : r;
	n = n < max ? n : max;
	r = gs_memory_read(rt->mem, bucket + head, ret, 8 * n, err);
	if (r == 0)
		*ret_n = (uint32_t)n;
	return r == -GS_E_FAULT ? 0 : r;
}
