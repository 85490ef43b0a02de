/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BPF_STREAM_THREAD_H
#define GS_BPF_STREAM_THREAD_H

/*
 * The table of threads: which goroutine a thread runs, and what the thread spends its time on CPU with. At each
 * change of place (system call, page fault, reclaim, C code) the time since the last one is booked to the
 * innermost place; whoever writes a record with usage takes the sums and zeroes them.
 */
#include "stream_common.bpf.h"

static const struct gs_wire_thread gs_new_thread;

GS_INLINE int gs_thread_need(struct gs_hit *h)
{
	if (h->t)
		return 0;
	bpf_map_update_elem(&threads, &h->tid, &gs_new_thread, BPF_NOEXIST);
	h->t = bpf_map_lookup_elem(&threads, &h->tid);
	if (h->t) {
		h->t->mark_ns = h->now;
		return 0;
	}
	h->c->threads_full++;
	return -1;
}

GS_INLINE uint32_t gs_add(uint32_t sum, uint64_t ns)
{
	uint64_t v = sum + ns;

	return v > 0xffffffffu ? 0xffffffffu : (uint32_t)v;
}

/* Book the time up to now. */
GS_INLINE void gs_account(struct gs_wire_thread *t, uint64_t now)
{
	uint64_t ns = now - t->mark_ns;
	uint32_t in = t->in;

	t->mark_ns = now;
	if (!(in & (GS_WIRE_IN_RECLAIM | GS_WIRE_IN_FAULT | GS_WIRE_IN_SYSCALL | GS_WIRE_IN_CGO)) ||
	    (int64_t)ns < 0)
		return;
	if (in & GS_WIRE_IN_RECLAIM)
		t->usage.reclaim_ns = gs_add(t->usage.reclaim_ns, ns);
	else if (in & GS_WIRE_IN_FAULT)
		t->fault_ns = gs_add(t->fault_ns, ns);
	else if (in & GS_WIRE_IN_SYSCALL)
		t->usage.kernel_ns = gs_add(t->usage.kernel_ns, ns);
	else
		t->usage.cgo_ns = gs_add(t->usage.cgo_ns, ns);
}

/* The same at an instruction of the target: whatever it was in the kernel for is over, seen or not. */
GS_INLINE void gs_account_user(struct gs_wire_thread *t, uint64_t now)
{
	gs_account(t, now);
	t->in &= ~(GS_WIRE_IN_RECLAIM | GS_WIRE_IN_FAULT | GS_WIRE_IN_SYSCALL);
}

GS_INLINE void gs_usage_zero(struct gs_wire_usage *u)
{
	uint64_t *w = (uint64_t *)u;

	w[0] = 0;
	w[1] = 0;
	w[2] = 0;
}

GS_INLINE void gs_usage_take(struct gs_hit *h, struct gs_wire_usage *ret)
{
	uint64_t *to = (uint64_t *)ret;
	uint64_t *from;

	if (!h->t) {
		gs_usage_zero(ret);
		return;
	}
	from = (uint64_t *)&h->t->usage;
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	gs_usage_zero(&h->t->usage);
}

/* Bind goroutine @g to the thread; what the thread did before was not done for it. */
GS_INLINE void gs_bind(struct gs_hit *h, uint64_t g, uint64_t goid)
{
	if (gs_thread_need(h) < 0)
		return;
	h->t->g = g;
	h->t->goid = goid;
	h->t->sema = 0;
	h->t->mark_ns = h->now;
	h->t->in = GS_WIRE_IN_KNOWN;
	gs_usage_zero(&h->t->usage);
}

GS_INLINE void gs_unbind(struct gs_hit *h)
{
	if (!h->t)
		return;
	h->t->g = 0;
	h->t->goid = 0;
	h->t->sema = 0;
	h->t->in = GS_WIRE_IN_KNOWN;
}

/* Number of goroutine @g, which the thread runs right now: known, or read and taken over. */
GS_INLINE uint64_t gs_goid_running(struct gs_hit *h, uint64_t g)
{
	uint64_t goid;

	if (h->t && h->t->g == g) {
		gs_account_user(h->t, h->now);
		return h->t->goid;
	}
	goid = gs_word(h, g + gs_config.g_goid);
	h->flags |= GS_WIRE_F_ADOPTED;
	gs_bind(h, g, goid);
	return goid;
}

/* Number of the goroutine on whose behalf the system stack (@g0) works; 0: the scheduler's. */
GS_INLINE uint64_t gs_goid_behind(struct gs_hit *h, uint64_t g0)
{
	uint64_t m, g, goid;

	if (h->t && (h->t->in & GS_WIRE_IN_KNOWN)) {
		gs_account_user(h->t, h->now);
		return h->t->goid;
	}
	m = gs_word(h, g0 + gs_config.g_m);
	g = m ? gs_word(h, m + gs_config.m_curg) : 0;
	if (!g)
		return 0;
	goid = gs_word(h, g + gs_config.g_goid);
	h->flags |= GS_WIRE_F_ADOPTED;
	gs_bind(h, g, goid);
	return goid;
}

/* Begin of a uprobe program. @return negative: not ours, or nothing to do. */
GS_INLINE int gs_begin_user(struct gs_hit *h, void *ctx)
{
	uint64_t id = bpf_get_current_pid_tgid();
	uint64_t cookie;

	/* A child between vfork and exec runs in the target's memory. */
	if ((uint32_t)(id >> 32) != gs_config.tgid)
		return -1;
	cookie = bpf_get_attach_cookie(ctx);
	if (gs_begin(h, (uint32_t)id, cookie & 0xffff) < 0)
		return -1;
	h->arg = (uint32_t)(cookie >> 16);
	return 0;
}

#endif
