/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Pointers that are in no stack of a parked goroutine, of a target that stands still (stopped, or a core file):
 *
 *   a goroutine that runs        registers of its thread; its stack from sp on, or all of it while the thread is on a
 *                                system stack, as nobody wrote down where the goroutine left its own
 *   a thread with a P, on g0     scheduler, timers: a timer that is being run is in no heap of timers any more
 *   … or on gsignal              the interrupted registers are in the frame of the signal, so on that stack
 *
 * Read conservatively. A thread without a P touches no pointers of the Go heap (runtime/proc.go, releasep): what lies
 * on its system stack is of the past. The collector itself needs none of this, as it stops goroutines where stack
 * maps hold, and threads where they hold nothing.
 */
#include <errno.h>
#include <string.h>

#include "runtime/rt_gs.h"
#include "runtime/rt_stackmap.h"

#define BYTES_MAX (256ull << 20) /* of all system stacks */
#define CHUNK 4096u

static int machine_order(const void *a, const void *b)
{
	gs_addr x = ((const struct gs__machine *)a)->curg;
	gs_addr y = ((const struct gs__machine *)b)->curg;

	return (x > y) - (x < y);
}

static const struct gs_thread *thread_of(const struct gs_thread *t, size_t n, int32_t tid)
{
	for (size_t i = 0; i < n; i++)
		if (t[i].has_regs && t[i].tid == tid)
			return &t[i];
	return NULL;
}

int gs__gs_machines(struct gs_rt *rt, struct gs_rt_gs *gs, struct gs_incomplete_list *inc,
		    struct gs_err *err)
{
	const struct gs_thread *threads;
	size_t n_threads;
	int r;

	if (!gs_target_still(rt->target))
		return 0;
	r = gs__ms_read(rt, inc, err);
	if (r == 0)
		r = gs_target_threads(rt->target, &threads, &n_threads, err);
	if (r < 0)
		return r;
	gs->machine = gs_array_new(rt->ms.n + 1ul, sizeof(*gs->machine));
	if (!gs->machine)
		return gs_fail(err, -ENOMEM, 0, "no memory for the registers of threads");
	for (uint32_t i = 0; i < rt->ms.n; i++) {
		const struct gs__m *m = &rt->ms.m[i];
		const struct gs_thread *t = thread_of(threads, n_threads, m->tid);
		struct gs__machine *x = &gs->machine[gs->n_machines];

		if (!t || (!m->p && !m->curg))
			continue;
		*x = (struct gs__machine){ .curg = m->curg, .has_p = m->p != 0, .regs = t->regs };
		(void)gs__system_stack(rt, m, t->regs.sp, &x->lo,
				       &x->hi); // else on its own, or C's
		gs->n_machines++;
	}
	if (gs->n_machines)
		qsort(gs->machine, gs->n_machines, sizeof(*gs->machine), machine_order);
	return 0;
}

const struct gs__machine *gs__gs_machine_of(const struct gs_rt_gs *gs, gs_addr g)
{
	const struct gs__machine key = { .curg = g };

	return gs->n_machines && g
		       ? bsearch(&key, gs->machine, gs->n_machines, sizeof(key), machine_order)
		       : NULL;
}

int gs__scan_registers(const struct gs_regs *regs, struct gs__sink *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < GS_ARRAY_SIZE(regs->general); i++)
		r = gs__sink_add(s, 0, regs->general[i]);
	for (size_t i = 0; r == 0 && i < GS_ARRAY_SIZE(regs->vector); i++)
		r = gs__sink_add(s, 0, regs->vector[i]);
	return r;
}

/* What of a system stack is in use. *@io_left: bytes that may still be read. */
static int scan_system_stack(struct gs_rt *rt, const struct gs__machine *m, struct gs__sink *s,
			     uint64_t *io_left, uint64_t *io_unreadable)
{
	gs_addr at = m->regs.sp & ~(gs_addr)7, hi = m->hi;
	uint8_t bytes[CHUNK];
	int r = 0;

	for (; r == 0 && at < hi; at += CHUNK) {
		size_t len = hi - at < CHUNK ? (size_t)(hi - at) : CHUNK;

		if (len > *io_left || gs_memory_read(rt->mem, at, bytes, len, NULL) < 0) {
			++*io_unreadable;
			return 0;
		}
		*io_left -= len;
		r = gs__scan_words(s, at, bytes, len);
	}
	return r;
}

/* A sink needs somebody to tell whose pointers they are; here nobody asks. */
struct told {
	gs_rt_pointers_fn *visit;
	void *ctx;
};

static int tell(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	const struct told *t = ctx;

	(void)which;
	return t->visit(t->ctx, p, n);
}

int gs_rt_thread_roots(struct gs_rt *rt, const struct gs_rt_gs *gs, gs_rt_pointers_fn *visit,
		       void *ctx, struct gs_incomplete_list *inc, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct gs__sink *s = gs_array_new(1, sizeof(*s));
	struct told told = { visit, ctx };
	uint64_t unreadable = 0, left = BYTES_MAX;
	int r = 0;

	if (!s)
		return gs_fail(err, -ENOMEM, 0, "no memory for the registers of threads");
	*s = (struct gs__sink){ .visit = tell, .ctx = &told, .lowest = 4096 };
	for (uint32_t i = 0; r == 0 && i < gs->n_machines; i++) {
		const struct gs__machine *m = &gs->machine[i];

		if (!m->has_p || !m->hi) // on the goroutine's stack: see gs_rt_stack_roots()
			continue;
		r = gs__scan_registers(&m->regs, s);
		if (r == 0)
			r = scan_system_stack(rt, m, s, &left, &unreadable);
	}
	if (r == 0)
		r = gs__sink_flush(s);
	gs_incomplete_add(inc, "system_stacks_unreadable", unreadable,
			  "stacks of threads that schedule or handle a signal");
	return r;
}
