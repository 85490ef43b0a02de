/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Pointers on goroutine stacks (scanstack in runtime/mgcmark.go), in batches:
 *
 *   g structures ─► their stacks ─► the same g structures again
 *
 * If the two readings of a g agree, the stack is that of a goroutine standing still. What ran, or changed meanwhile,
 * is read conservatively: every word between the bounds of its stack, for its sp is not known. Registers of
 * running threads are only known if the target stands still (rt_registers.c); else a pointer that is only there is missed.
 */
#include "runtime/rt_gs.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/rt_stackmap.h"

#define STACK_EAGER (32u << 10) /* larger stacks are read one by one */
#define STACK_WHOLE                                                                                \
	(64u << 20) /* the most that is kept at once; beyond it, conservatively in pieces */
#define STACK_MAX (1ull << 32) /* larger is no stack */
#define CHUNK (256u << 10)
#define DEFERS_MAX 10000u

struct slot {
	struct gs__g g;
	gs_addr ctxt, defers, panic;
	const uint8_t *stack;
	uint32_t stack_len;
	bool have, moved;
};

struct pass {
	struct gs_rt *rt;
	const struct gs_rt_gs *gs;
	const uint32_t *which;
	bool precise;
	struct gs__gather gs_buf, stack_buf;
	struct slot slot[GS__BATCH];
	struct gs__piece piece[GS__BATCH];
	uint32_t n, g_size;
	uint8_t *own; /* a stack on its own */
	size_t own_cap;
	struct gs__sink sink;
	struct gs__scan *scan;
	uint64_t running, torn, unreadable, deep, late;
	int64_t deadline;
};

int gs__sink_flush(struct gs__sink *s)
{
	int r = s->n && s->visit ? s->visit(s->ctx, s->which, s->p, s->n) : 0;

	s->n = 0;
	return r;
}

int gs__scan_words(struct gs__sink *s, gs_addr at, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		gs_addr v = gs__u64(bytes + i);
		int r;

		if (v < s->lowest || (v >= s->stack_lo && v < s->stack_hi))
			continue;
		r = gs__sink_add(s, at + i, v);
		if (r != 0)
			return r;
	}
	return 0;
}

static void decode(struct pass *ps, const struct gs__piece *p, struct slot *s)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;

	gs__g_decode(ps->rt, p->addr, p->bytes, &s->g);
	s->ctxt = gs__field_u64(l, GS_GO_G_SCHED_CTXT, p->bytes, ps->g_size);
	s->defers = gs__field_u64(l, GS_GO_G_DEFER, p->bytes, ps->g_size);
	s->panic = gs__field_u64(l, GS_GO_G_PANIC, p->bytes, ps->g_size);
}

static bool dead(const struct gs__g *g)
{
	return g->status == GS_G_DEAD || g->status == GS_G_DEADEXTRA || g->status == GS_G_IDLE ||
	       g->status >= GS_G_STATE_COUNT;
}

static bool stands_still(const struct gs__g *g, struct gs__walk_start *start)
{
	return g->status != GS_G_RUNNING && g->status != GS_G_COPYSTACK &&
	       g->stack_lo < g->stack_hi && gs__walk_parked(g, start);
}

static int read_gs(struct pass *ps, bool again, struct gs_err *err)
{
	uint32_t n = 0;
	int r;

	for (uint32_t i = 0; i < ps->n; i++)
		if (!again || ps->slot[i].have)
			ps->piece[n++] = (struct gs__piece){ .addr = ps->gs->g[ps->which[i]].g,
							     .len = ps->g_size,
							     .tag = i };
	r = gs__gather(ps->rt->mem, &ps->gs_buf, ps->piece, n, GS__G_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const struct gs__piece *p = &ps->piece[i];
		struct slot *s = &ps->slot[p->tag];
		struct gs__g g;

		if (again) {
			if (p->bytes)
				gs__g_decode(ps->rt, p->addr, p->bytes, &g);
			s->moved = !p->bytes || !gs__g_same(&s->g, &g);
			continue;
		}
		*s = (struct slot){ 0 };
		if (!p->bytes) {
			ps->unreadable++;
			continue;
		}
		decode(ps, p, s);
		s->have = !dead(&s->g);
	}
	return r;
}

static int read_stacks(struct pass *ps, struct gs_err *err)
{
	struct gs__walk_start start;
	uint32_t n = 0;
	int r;

	for (uint32_t i = 0; i < ps->n; i++) {
		const struct slot *s = &ps->slot[i];

		if (s->have && stands_still(&s->g, &start) &&
		    s->g.stack_hi - start.sp <= STACK_EAGER && s->g.stack_hi != start.sp)
			ps->piece[n++] =
				(struct gs__piece){ .addr = start.sp,
						    .len = (uint32_t)(s->g.stack_hi - start.sp),
						    .tag = i };
	}
	r = gs__gather(ps->rt->mem, &ps->stack_buf, ps->piece, n, GS__STACK_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		ps->slot[ps->piece[i].tag].stack = ps->piece[i].bytes;
		ps->slot[ps->piece[i].tag].stack_len = ps->piece[i].bytes ? ps->piece[i].len : 0;
	}
	return r;
}

/* Every word of [from, to), piece by piece. */
static int scan_range(struct pass *ps, gs_addr from, gs_addr to, struct gs_err *err)
{
	int r = 0;

	if (ps->own_cap < CHUNK) {
		free(ps->own);
		ps->own = malloc(CHUNK);
		ps->own_cap = ps->own ? CHUNK : 0;
		if (!ps->own)
			return gs_fail(err, -ENOMEM, 0, "no memory to read stacks");
	}
	for (gs_addr at = from; r == 0 && at < to; at += CHUNK) {
		size_t len = to - at < CHUNK ? to - at : CHUNK;

		r = gs_memory_read(ps->rt->mem, at, ps->own, len, err);
		if (r == -GS_E_FAULT) {
			ps->unreadable++;
			return 0;
		}
		if (r == 0)
			r = gs__scan_words(&ps->sink, at, ps->own, len);
	}
	return r;
}

/* A goroutine that runs, on a thread that stands still. */
static int scan_stopped(struct pass *ps, const struct slot *s, const struct gs__machine *m,
			struct gs_err *err)
{
	gs_addr lo = s->g.stack_lo, hi = s->g.stack_hi, sp = m->regs.sp & ~(gs_addr)7;
	int r;

	if (hi <= lo || hi - lo > STACK_MAX)
		return 0;
	ps->sink.stack_lo = lo;
	ps->sink.stack_hi = hi;
	r = gs__scan_registers(&m->regs, &ps->sink);
	return r ? r : scan_range(ps, sp >= lo && sp < hi ? sp : lo, hi, err);
}

/* A goroutine that does not stand still: all of its stack, wherever that is now. */
static int scan_moving(struct pass *ps, struct slot *s, struct gs_err *err)
{
	const struct gs__machine *m = gs__gs_machine_of(ps->gs, s->g.addr);
	uint8_t bytes[1024];
	struct gs__piece p = { .addr = s->g.addr, .len = ps->g_size, .bytes = bytes };
	int r = 0;

	if (m && s->g.status == GS_G_RUNNING)
		return scan_stopped(ps, s, m, err);
	if (s->g.status == GS_G_RUNNING)
		ps->running++;
	else
		ps->torn++;
	for (int i = 0; r == 0 && i < 3; i++) {
		gs_addr lo, hi;

		if (ps->g_size > sizeof(bytes) ||
		    gs_memory_read(ps->rt->mem, p.addr, bytes, p.len, NULL) < 0)
			break;
		decode(ps, &p, s);
		lo = s->g.stack_lo;
		hi = s->g.stack_hi;
		if (dead(&s->g) || hi <= lo || hi - lo > STACK_MAX)
			return 0;
		ps->sink.stack_lo = lo;
		ps->sink.stack_hi = hi;
		r = scan_range(ps, lo, hi, err);
		/* Stacks grow by moving: what was read may have been left meanwhile. */
		if (r != 0 || gs_memory_read(ps->rt->mem, p.addr, bytes, p.len, NULL) < 0)
			break;
		decode(ps, &p, s);
		if (s->g.stack_lo == lo && s->g.stack_hi == hi)
			break;
	}
	return r;
}

/* Bring the used part of a large stack into memory. @return 0, 1 if it is too large or gone. */
static int read_own(struct pass *ps, struct slot *s, gs_addr sp)
{
	size_t len = s->g.stack_hi - sp;

	if (len > STACK_WHOLE)
		return 1;
	if (len > ps->own_cap) {
		free(ps->own);
		ps->own = malloc(len);
		ps->own_cap = ps->own ? len : 0;
		if (!ps->own)
			return 1;
	}
	if (gs_memory_read(ps->rt->mem, sp, ps->own, len, NULL) < 0)
		return 1;
	s->stack = ps->own;
	s->stack_len = (uint32_t)len;
	return 0;
}

static bool same_now(struct pass *ps, const struct slot *s)
{
	uint8_t bytes[1024];
	struct gs__g g;

	if (ps->g_size > sizeof(bytes) ||
	    gs_memory_read(ps->rt->mem, s->g.addr, bytes, ps->g_size, NULL) < 0)
		return false;
	gs__g_decode(ps->rt, s->g.addr, bytes, &g);
	return gs__g_same(&s->g, &g);
}

/* A goroutine that stood still while its stack was read, or, if that is large, until now. */
static int scan_parked(struct pass *ps, struct slot *s, gs_addr sp, struct gs_err *err)
{
	int r;

	ps->sink.stack_lo = s->g.stack_lo;
	ps->sink.stack_hi = s->g.stack_hi;
	if (!s->stack && s->g.stack_hi > sp) {
		if (read_own(ps, s, sp) != 0) {
			ps->deep++;
			r = scan_range(ps, sp, s->g.stack_hi, err);
			return r ? r : gs__sink_add(&ps->sink, 0, s->ctxt);
		}
		if (!same_now(ps, s))
			return scan_moving(ps, s, err);
	}
	if (ps->precise) {
		struct gs__scan_stack in = { .g = &s->g,
					     .at = sp,
					     .bytes = s->stack,
					     .len = s->stack_len,
					     .ctxt = s->ctxt,
					     .defers = s->defers,
					     .panic = s->panic };

		return gs__scan_stack(ps->scan, &in, &ps->sink, err);
	}
	r = gs__scan_words(&ps->sink, sp, s->stack, s->stack_len);
	return r ? r : gs__sink_add(&ps->sink, 0, s->ctxt);
}

static int do_batch(struct pass *ps, struct gs_err *err)
{
	int r = read_gs(ps, false, err);

	if (r == 0)
		r = read_stacks(ps, err);
	if (r == 0)
		r = read_gs(ps, true, err);
	for (uint32_t i = 0; r == 0 && i < ps->n; i++) {
		struct slot *s = &ps->slot[i];
		struct gs__walk_start start;

		if (!s->have)
			continue;
		if (gs_now_ns() > ps->deadline) {
			ps->late++;
			continue;
		}
		ps->sink.which = ps->which[i];
		if (!s->moved && stands_still(&s->g, &start))
			r = scan_parked(ps, s, start.sp, err);
		else if (ps->sink.visit)
			r = scan_moving(ps, s, err);
		if (r == 0)
			r = gs__sink_flush(&ps->sink);
	}
	return r;
}

static void count_missing(const struct pass *ps, struct gs_incomplete_list *inc)
{
	gs_incomplete_add(inc, "stacks_conservative", ps->torn,
			  "ran while their stacks were read; every word counts as a pointer");
	gs_incomplete_add(inc, "running_without_registers", ps->running,
			  "were running; pointers that are only in registers cannot be seen");
	gs_incomplete_add(inc, "stacks_unreadable", ps->unreadable,
			  "goroutines or parts of their stacks could not be read");
	gs_incomplete_add(inc, "stacks_late", ps->late, "reading them took too long");
	gs_incomplete_add(inc, "stacks_deep", ps->deep,
			  "stacks of more than %u MB; every word counts as a pointer",
			  STACK_WHOLE >> 20);
}

/* All stacks into the sink. */
static int scan_stacks(struct gs_rt *rt, const struct gs_rt_gs *gs, const uint32_t *which,
		       uint32_t n, bool precise, const struct gs__sink *sink,
		       struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct pass *ps = calloc(1, sizeof(*ps));
	int r = 0;

	if (!ps)
		return gs_fail(err, -ENOMEM, 0, "no memory to read stacks");
	ps->rt = rt;
	ps->gs = gs;
	ps->precise = precise;
	ps->g_size = (uint32_t)rt->facts.layout.offset[GS_GO_G_SIZE];
	ps->sink = *sink;
	ps->sink.lowest = 4096;
	if (precise)
		r = gs__scan_new(rt, &ps->scan, err);
	ps->deadline = gs_now_ns() + GS__TIME_MAX_NS;
	for (uint32_t i = 0; r == 0 && i < n; i += ps->n) {
		ps->n = n - i < GS__BATCH ? n - i : GS__BATCH;
		ps->which = which + i;
		r = do_batch(ps, err);
	}
	if (r == 0 && sink->visit) {
		count_missing(ps, inc);
		if (ps->scan)
			gs__scan_count(ps->scan, inc);
	}
	gs__scan_free(ps->scan);
	gs__gather_free(&ps->gs_buf);
	gs__gather_free(&ps->stack_buf);
	free(ps->own);
	free(ps);
	return r;
}

int gs_rt_stack_roots(struct gs_rt *rt, const struct gs_rt_gs *gs, const uint32_t *which,
		      uint32_t n, bool precise, gs_rt_stack_fn *visit, void *ctx,
		      struct gs_incomplete_list *inc, struct gs_err *err)
{
	const struct gs__sink sink = { .visit = visit, .ctx = ctx };

	return scan_stacks(rt, gs, which, n, precise, &sink, inc, err);
}

int gs_rt_stack_frames(struct gs_rt *rt, const struct gs_rt_gs *gs, const uint32_t *which,
		       uint32_t n, gs_rt_frames_fn *frames, gs_rt_stack_fn *visit, void *ctx,
		       struct gs_incomplete_list *inc, struct gs_err *err)
{
	const struct gs__sink sink = { .visit = visit, .frames = frames, .ctx = ctx };

	return scan_stacks(rt, gs, which, n, true, &sink, inc, err);
}
