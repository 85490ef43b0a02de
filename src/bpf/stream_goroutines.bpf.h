/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BPF_STREAM_GOROUTINES_H
#define GS_BPF_STREAM_GOROUTINES_H

/*
 * The life of goroutines, from the scheduler's own functions (Go runtime/proc.go, 1.19 to 1.27; where they are
 * probed and in which registers the arguments are: src/probe/plan.h). The binding of goroutine and thread is kept
 * also for goroutines that the budget leaves out.
 */
#include "stream_file.bpf.h"
#include "stream_stack.bpf.h"
#include "stream_thread.bpf.h"

GS_INLINE uint64_t gs_goid_of(struct gs_hit *h, uint64_t g)
{
	return gs_word(h, g + gs_config.g_goid);
}

GS_INLINE void gs_submit_go(struct gs_hit *h, struct gs_wire_head *head, uint8_t kind,
			    uint16_t size, uint64_t goid, uint64_t stack)
{
	uint32_t seq = gs_sequence(h, GS_WIRE_RING_GO);

	gs_head_fill(h, head, kind, size, seq, goid, stack);
	bpf_ringbuf_submit(head, gs_wake(&ring_go, GS_WIRE_RING_GO, seq));
}

/* The channel of a select and how many it waits for. */
GS_INLINE uint64_t gs_select_channels(struct gs_hit *h, uint64_t g, uint16_t *ret_n)
{
	uint64_t sudog = gs_word(h, g + gs_config.g_waiting), first = 0;
	uint16_t n = 0;

	if (!sudog)
		return 0;
	first = gs_word(h, sudog + gs_config.sudog_c);
	if (gs_config.sudog_waitlink >= 0) {
		for (; n < 16 && sudog; n++)
			sudog = gs_word(h, sudog + gs_config.sudog_waitlink);
	}
	*ret_n = n;
	return first;
}

/* The semaphore word of a lock: 1.26 and later keep it in g.waiting, before that (*semaRoot).queue told. */
GS_INLINE uint64_t gs_semaphore(struct gs_hit *h, uint64_t g)
{
	uint64_t sudog;

	if (!gs_config.sudog_has_sema)
		return h->t ? h->t->sema : 0;
	sudog = gs_word(h, g + gs_config.g_waiting);
	return sudog ? gs_word(h, sudog + gs_config.sudog_elem) : 0;
}

struct gs_park_io {
	uint64_t poll_desc;
	int32_t fd;
	uint8_t mode;
};

/*
 * The lock of a network wait is &pd.rg or &pd.wg; nothing says which. Taken for &pd.wg, pd.fd must be a descriptor;
 * if it was &pd.rg, what stands there is pd.link: a pointer to the next free pollDesc, or nil.
 */
GS_INLINE void gs_park_io(struct gs_hit *h, uint64_t lock, struct gs_park_io *ret)
{
	uint64_t fd = gs_word(h, lock - gs_config.pd_wg + gs_config.pd_fd);

	if (fd > 0 && fd < 1u << 30) {
		ret->poll_desc = lock - gs_config.pd_wg;
		ret->fd = (int32_t)fd;
		ret->mode = 'w';
		return;
	}
	ret->poll_desc = lock - gs_config.pd_rg;
	ret->fd = (int32_t)gs_word(h, ret->poll_desc + gs_config.pd_fd);
	ret->mode = 'r';
}

GS_INLINE void gs_park_fill(struct gs_hit *h, struct gs_wire_go_park *rec, uint64_t object,
			    uint32_t reason)
{
	gs_usage_take(h, &rec->usage);
	rec->object = object;
	rec->reason = reason;
	rec->io_mode = 0;
	rec->has_file = 0;
	rec->n_cases = 0;
}

GS_INLINE void gs_park_network(struct gs_hit *h, uint64_t goid, uint64_t stack, uint64_t lock,
			       uint32_t reason)
{
	struct gs_wire_go_park *rec;
	struct gs_park_io io = {};

	gs_park_io(h, lock, &io);
	rec = gs_reserve(h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return;
	gs_park_fill(h, rec, io.poll_desc, reason);
	rec->io_mode = io.mode;
	rec->has_file = 1;
	gs_file_of(&rec->file, bpf_get_current_task_btf(), io.fd);
	gs_submit_go(h, &rec->h, GS_WIRE_GO_PARK, sizeof(*rec), goid, stack);
}

GS_INLINE void gs_park(struct gs_hit *h, uint64_t goid, uint64_t stack, uint64_t object,
		       uint32_t reason, uint16_t n_cases)
{
	const uint32_t size = __builtin_offsetof(struct gs_wire_go_park, file);
	struct gs_wire_go_park *rec = gs_reserve(h, &ring_go, GS_WIRE_RING_GO, size);

	if (!rec)
		return;
	gs_park_fill(h, rec, object, reason);
	rec->n_cases = n_cases;
	gs_submit_go(h, &rec->h, GS_WIRE_GO_PARK, size, goid, stack);
}

/* gopark(unlockf, lock, reason, …), on the goroutine's own stack */
SEC("kprobe")
int gs_gopark(struct gs_regs *ctx)
{
	uint64_t g = GS_G(ctx), lock = GS_ARG1(ctx), goid, stack = 0;
	uint32_t reason = (uint8_t)GS_ARG2(ctx), kind;
	uint16_t n_cases = 0;
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_running(&h, g);
	if (gs_thinned(&h, goid)) {
		gs_unbind(&h);
		return 0;
	}
	if (gs_config.want & GS_WANT_STACKS)
		stack = gs_stack_at_begin(ctx);
	kind = gs_config.reason[reason & 63];
	if (kind == GS_WIRE_REASON_IO) {
		gs_park_network(&h, goid, stack, lock, reason);
		gs_unbind(&h);
		return 0;
	}
	if (kind == GS_WIRE_REASON_SEMA)
		lock = gs_semaphore(&h, g);
	else if (kind == GS_WIRE_REASON_CHAN)
		lock -= gs_config.hchan_lock;
	else if (kind == GS_WIRE_REASON_SELECT)
		lock = gs_select_channels(&h, g, &n_cases);
	gs_park(&h, goid, stack, lock, reason, n_cases);
	gs_unbind(&h);
	return 0;
}

GS_INLINE void gs_exit(struct gs_hit *h, uint64_t goid)
{
	struct gs_wire_go_exit *rec;

	if (gs_thinned(h, goid))
		return;
	rec = gs_reserve(h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return;
	gs_usage_take(h, &rec->usage);
	gs_submit_go(h, &rec->h, GS_WIRE_GO_EXIT, sizeof(*rec), goid, 0);
}

/* goexit0(gp) */
SEC("kprobe")
int gs_goexit(struct gs_regs *ctx)
{
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	gs_exit(&h, gs_goid_running(&h, GS_ARG0(ctx)));
	gs_unbind(&h);
	return 0;
}

/* preemptPark(gp); the wait reason's number is the site's arg */
SEC("kprobe")
int gs_preemptpark(struct gs_regs *ctx)
{
	struct gs_hit h;
	uint64_t goid;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_running(&h, GS_ARG0(ctx));
	if (!gs_thinned(&h, goid))
		gs_park(&h, goid, 0, 0, h.arg, 0);
	gs_unbind(&h);
	return 0;
}

/* (*semaRoot).queue(addr, s, lifo) */
SEC("kprobe")
int gs_sema_queue(struct gs_regs *ctx)
{
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	gs_goid_running(&h, GS_G(ctx));
	if (h.t)
		h.t->sema = GS_ARG1(ctx);
	return 0;
}

GS_INLINE void gs_yield(struct gs_hit *h, uint64_t goid)
{
	struct gs_wire_go_yield *rec;

	if (gs_thinned(h, goid))
		return;
	rec = gs_reserve(h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return;
	gs_usage_take(h, &rec->usage);
	gs_submit_go(h, &rec->h, GS_WIRE_GO_YIELD, sizeof(*rec), goid, 0);
}

GS_INLINE int gs_create(struct gs_hit *h, struct gs_regs *ctx, uint64_t g, uint64_t parent)
{
	uint64_t goid = gs_goid_of(h, g), stack = 0;
	struct gs_wire_go_create *rec;

	if (gs_thinned(h, goid))
		return 0;
	if (gs_config.want & GS_WANT_STACKS)
		stack = gs_stack_at_begin(ctx);
	rec = gs_reserve(h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return 0;
	rec->parent = parent;
	rec->start_pc = gs_word(h, g + gs_config.g_startpc);
	rec->creator_pc = gs_word(h, g + gs_config.g_gopc);
	gs_submit_go(h, &rec->h, GS_WIRE_GO_CREATE, sizeof(*rec), goid, stack);
	return 0;
}

GS_INLINE void gs_ready(struct gs_hit *h, uint64_t goid, uint64_t waker, uint64_t stack)
{
	struct gs_wire_go_ready *rec;

	rec = gs_reserve(h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return;
	rec->waker = waker;
	gs_submit_go(h, &rec->h, GS_WIRE_GO_READY, sizeof(*rec), goid, stack);
}

GS_INLINE int gs_ready_by(struct gs_hit *h, struct gs_regs *ctx, uint64_t g, uint64_t waker)
{
	uint64_t goid = gs_goid_of(h, g), stack = 0;

	if (gs_thinned(h, goid))
		return 0;
	if (waker && (gs_config.want & GS_WANT_STACKS))
		stack = gs_stack_at_begin(ctx);
	gs_ready(h, goid, waker, stack);
	return 0;
}

/* runqput(pp, gp, next): who calls it tells what it means */
SEC("kprobe")
int gs_runqput(struct gs_regs *ctx)
{
	uint64_t g = GS_ARG1(ctx), caller, goid;
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	caller = gs_return_address(&h, ctx);
	if (caller >= gs_config.goyield_lo && caller < gs_config.goyield_hi) {
		goid = gs_goid_running(&h, g);
		gs_yield(&h, goid);
		gs_unbind(&h);
		return 0;
	}
	if (caller >= gs_config.newproc_lo && caller < gs_config.newproc_hi)
		return gs_create(&h, ctx, g, gs_goid_behind(&h, GS_G(ctx)));
	if (gs_config.ready_hi && (caller < gs_config.ready_lo || caller >= gs_config.ready_hi))
		return 0;
	return gs_ready_by(&h, ctx, g, gs_goid_behind(&h, GS_G(ctx)));
}

GS_INLINE void gs_ready_polled(struct gs_hit *h, uint64_t g)
{
	uint64_t goid;

	if (g <= 2) /* pdNil, pdReady, pdWait: nobody waits */
		return;
	goid = gs_goid_of(h, g);
	h->flags |= GS_WIRE_F_NETPOLL;
	if (!gs_thinned(h, goid))
		gs_ready(h, goid, 0, 0);
}

/* netpollready(toRun, pd, mode): mode 'r', 'w' or their sum */
SEC("kprobe")
int gs_netpollready(struct gs_regs *ctx)
{
	uint64_t pd = GS_ARG1(ctx);
	uint32_t mode = (uint32_t)GS_ARG2(ctx);
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	if (mode != 'w')
		gs_ready_polled(&h, gs_word(&h, pd + gs_config.pd_rg));
	if (mode != 'r')
		gs_ready_polled(&h, gs_word(&h, pd + gs_config.pd_wg));
	return 0;
}

/* Number of the P that the system stack @g0 works with. */
GS_INLINE int32_t gs_p_number(struct gs_hit *h, uint64_t g0)
{
	int32_t id = -1;
	uint64_t m, p;

	if (!(gs_config.want & GS_WANT_PS) || gs_config.m_p < 0 || gs_config.p_id < 0)
		return -1;
	m = gs_word(h, g0 + gs_config.g_m);
	p = m ? gs_word(h, m + gs_config.m_p) : 0;
	if (!p || gs_read(h, &id, sizeof(id), p + gs_config.p_id) < 0)
		return -1;
	return id;
}

/* The thread runs goroutine @g from here on. */
GS_INLINE void gs_run(struct gs_hit *h, uint64_t g, uint64_t g0)
{
	uint64_t goid = gs_goid_of(h, g);
	struct gs_wire_go_run *rec;

	gs_bind(h, g, goid);
	if (gs_thinned(h, goid))
		return;
	rec = gs_reserve(h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return;
	rec->p = gs_p_number(h, g0);
	rec->pad = 0;
	gs_submit_go(h, &rec->h, GS_WIRE_GO_RUN, sizeof(*rec), goid, 0);
}

/* execute(gp, inheritTime), on the system stack */
SEC("kprobe")
int gs_execute(struct gs_regs *ctx)
{
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	gs_run(&h, GS_ARG0(ctx), GS_G(ctx));
	return 0;
}

/* goschedImpl(gp, preempted); the second argument since 1.22 */
SEC("kprobe")
int gs_gosched(struct gs_regs *ctx)
{
	struct gs_hit h;
	uint64_t goid;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_running(&h, GS_ARG0(ctx));
	if (h.arg && (GS_ARG1(ctx) & 0xff))
		h.flags |= GS_WIRE_F_PREEMPTED;
	gs_yield(&h, goid);
	gs_unbind(&h);
	return 0;
}

/* exitsyscall0(gp) up to 1.25, exitsyscallNoP(gp) since: back from a system call, and there is no P */
SEC("kprobe")
int gs_exitsyscall(struct gs_regs *ctx)
{
	struct gs_hit h;
	uint64_t goid;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_running(&h, GS_ARG0(ctx));
	h.flags |= GS_WIRE_F_SYSCALL;
	gs_yield(&h, goid);
	gs_unbind(&h);
	return 0;
}

/* Goroutine that coroswitch_m is about to go on with (coro.gp, its first field); 0: not known. */
GS_INLINE uint64_t gs_coro_next(struct gs_hit *h, uint64_t g)
{
	uint64_t coro;

	if (gs_config.g_coroarg <= 0)
		return 0;
	coro = gs_word(h, g + gs_config.g_coroarg);
	return coro ? gs_word(h, coro) : 0;
}

/*
 * coroswitch_m(gp): the thread goes on with another goroutine without execute. Coroutines are not created by newproc
 * and do not end in goexit0.
 */
SEC("kprobe")
int gs_coroswitch(struct gs_regs *ctx)
{
	uint64_t g = GS_ARG0(ctx), goid, next, next_goid;
	uint8_t exits = 0;
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_running(&h, g);
	next = gs_coro_next(&h, g);
	if (gs_config.g_coroexit > 0)
		gs_read(&h, &exits, sizeof(exits), g + gs_config.g_coroexit);
	if (exits)
		gs_exit(&h, goid);
	else if (!gs_thinned(&h, goid))
		gs_park(&h, goid, 0, 0, h.arg, 0);
	gs_unbind(&h);
	h.flags = 0;
	if (next) {
		next_goid = gs_goid_of(&h, next);
		if (!gs_thinned(&h, next_goid))
			gs_ready(&h, next_goid, goid, 0);
		gs_run(&h, next, GS_G(ctx));
	} else if (h.t) {
		h.t->in = 0; /* found at its next event */
	}
	return 0;
}

#endif
