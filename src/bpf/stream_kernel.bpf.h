/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BPF_STREAM_KERNEL_H
#define GS_BPF_STREAM_KERNEL_H

/*
 * What the kernel does with the target's threads: off the CPU and back, woken by whom, in system calls, page faults
 * and reclaim, samples, births and deaths. The tracepoints see the whole machine, so the first thing is
 * always the thread group; a thread that runs no goroutine is silent unless asked for.
 */
#include "stream_file.bpf.h"
#include "stream_stack.bpf.h"
#include "stream_thread.bpf.h"

#define GS_PATH_MAX 128 /* bytes of a path that are looked at; a power of two */

GS_INLINE bool gs_ours(const struct task_struct *task)
{
	return (uint32_t)task->tgid == gs_config.tgid;
}

GS_INLINE bool gs_watched(const struct gs_wire_thread *t)
{
	return t->goid || (gs_config.want & GS_WANT_ALL_THREADS);
}

/* System call that the thread is in by its registers at entry; -1: none. */
GS_INLINE int32_t gs_call_number(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return (int32_t)regs->orig_ax;
#else
	return regs->syscallno;
#endif
}

GS_INLINE uint64_t gs_call_arg(struct pt_regs *regs, uint32_t i)
{
#if defined(__TARGET_ARCH_x86)
	return i == 0   ? regs->di
	       : i == 1 ? regs->si
	       : i == 2 ? regs->dx
	       : i == 3 ? regs->r10
	       : i == 4 ? regs->r8
			: regs->r9;
#else
	return i == 0 ? regs->orig_x0 : regs->regs[i];
#endif
}

GS_INLINE uint32_t gs_task_state(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return task->__state;
	return (uint32_t)BPF_CORE_READ((struct task_struct___before_5_14 *)task, state);
}

/* Last component of the path at @addr. Its place and the end of the loop come from memory: what a register can be
 * after each round, the verifier would follow to the end of the program. */
GS_INLINE void gs_path_name(struct gs_wire_file *f, struct gs_stack_slot *scratch, uint64_t addr)
{
	char *path = scratch->path;
	uint32_t *begin = &scratch->rec.n;

	*begin = 0;
	if (bpf_probe_read_user_str(path, GS_PATH_MAX, (const void *)addr) <= 0)
		return;
	for (uint32_t i = 0; i < GS_PATH_MAX - 2; i++) {
		if (!path[i])
			break;
		if (path[i] == '/' && path[i + 1])
			*begin = i + 1;
	}
	bpf_probe_read_kernel_str(f->name, sizeof(f->name), path + (*begin & (GS_PATH_MAX - 1)));
}

/* Where the system call reads, writes or waits. */
GS_INLINE void gs_off_file(struct gs_wire_off_cpu *off, struct task_struct *task)
{
	struct gs_stack_slots *slots;
	uint32_t zero = 0;

	if (gs_call_has_fd(off->syscall)) {
		off->has_file = 1;
		gs_file_of(&off->file, task, (int32_t)off->arg[0]);
	} else if (gs_call_has_path(off->syscall)) {
		slots = bpf_map_lookup_elem(&stack_slots, &zero);
		if (!slots)
			return;
		off->has_file = 1;
		gs_file_none(&off->file, -1);
		gs_path_name(&off->file, &slots->slot[GS_SLOT_SWITCH], off->arg[1]);
	}
}

GS_INLINE void gs_off_where(struct gs_hit *h, struct gs_wire_off_cpu *off, struct task_struct *task,
			    struct pt_regs *regs)
{
	off->syscall = gs_call_number(regs);
	off->arg[0] = 0;
	off->arg[1] = 0;
	off->has_file = 0;
	off->io_wait = BPF_CORE_READ_BITFIELD(task, in_iowait);
	if (off->syscall >= 0) {
		h->flags |= GS_WIRE_F_SYSCALL;
		off->arg[0] = gs_call_arg(regs, 0);
		off->arg[1] = gs_call_arg(regs, 1);
		if (off->state)
			gs_off_file(off, task);
	} else {
		off->syscall = -1;
		/* An uninterruptible sleep outside of system calls is a page fault's. */
		if (off->state & 2)
			h->flags |= GS_WIRE_F_FAULT;
	}
	if (h->t->in & GS_WIRE_IN_FAULT)
		h->flags |= GS_WIRE_F_FAULT;
	if ((h->flags & GS_WIRE_F_FAULT) && off->io_wait)
		h->flags |= GS_WIRE_F_MAJOR;
	if (h->t->in & GS_WIRE_IN_RECLAIM)
		h->flags |= GS_WIRE_F_RECLAIM;
	if (h->t->in & GS_WIRE_IN_CGO)
		h->flags |= GS_WIRE_F_CGO;
}

/* The current thread, @task, leaves the CPU: prepare the record that is sent when it is back. */
GS_INLINE void gs_switch_out(void *ctx, struct task_struct *task, bool preempted)
{
	struct gs_wire_off_cpu *off;
	struct pt_regs *regs;
	uint64_t stack = 0;
	struct gs_hit h;

	if (gs_begin(&h, task->pid, GS_HIT_SCHED_SWITCH) < 0)
		return;
	if (!h.t && (!(gs_config.want & GS_WANT_ALL_THREADS) || gs_thread_need(&h) < 0))
		return;
	gs_account(h.t, h.now);
	h.t->in &= ~GS_WIRE_IN_OFF;
	if (!gs_watched(h.t) || (h.t->goid && gs_thinned(&h, h.t->goid)))
		return;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	off = &h.t->off;
	off->state = preempted ? 0 : gs_task_state(task);
	off->off_ns = h.now;
	gs_off_where(&h, off, task, regs);
	off->kernel_stack = 0;
	if (gs_config.want & GS_WANT_STACKS) {
		if (off->state)
			off->kernel_stack = gs_stack_kernel(ctx, GS_SLOT_SWITCH);
		stack = gs_stack_of_thread(regs, GS_SLOT_SWITCH);
	}
	gs_usage_take(&h, &off->usage);
	off->wake_ns = off->state ? 0 : h.now;
	off->waker_goid = 0;
	off->waker_tid = 0;
	off->pad = 0;
	gs_head_fill(&h, &off->h, GS_WIRE_OFF_CPU,
		     off->has_file ? sizeof(*off)
				   : __builtin_offsetof(struct gs_wire_off_cpu, file),
		     0, h.t->goid, stack);
	h.t->wake_ns = 0;
	h.t->in |= GS_WIRE_IN_OFF;
}

/* @task is about to run on this CPU. */
GS_INLINE void gs_switch_in(struct task_struct *task)
{
	struct gs_wire_off_cpu *off;
	struct gs_hit h;

	if (gs_begin(&h, task->pid, GS_HIT_SCHED_SWITCH) < 0 || !h.t)
		return;
	h.t->mark_ns = h.now;
	if (!(h.t->in & GS_WIRE_IN_OFF))
		return;
	h.t->in &= ~GS_WIRE_IN_OFF;
	off = &h.t->off;
	if (off->state && h.t->wake_ns) {
		off->wake_ns = h.t->wake_ns;
		off->waker_tid = h.t->waker_tid;
		off->waker_goid = h.t->waker_goid;
	}
	off->h.ts_ns = h.now;
	off->h.cpu = (uint16_t)bpf_get_smp_processor_id();
	if (off->has_file)
		gs_output(&h, &ring_kernel, GS_WIRE_RING_KERNEL, &off->h, sizeof(*off));
	else
		gs_output(&h, &ring_kernel, GS_WIRE_RING_KERNEL, &off->h,
			  __builtin_offsetof(struct gs_wire_off_cpu, file));
}

/* TP_PROTO(bool preempt, struct task_struct *prev, struct task_struct *next, …) */
SEC("tp_btf/sched_switch")
int gs_sched_switch(uint64_t *ctx)
{
	struct task_struct *prev = (struct task_struct *)ctx[1];
	struct task_struct *next = (struct task_struct *)ctx[2];

	if (gs_ours(prev))
		gs_switch_out(ctx, prev, ctx[0] & 1);
	if (gs_ours(next))
		gs_switch_in(next);
	return 0;
}

/* Goroutine that makes the current thread wake another; 0 when an interrupt or a stranger does. */
GS_INLINE uint64_t gs_waker_goid(uint64_t id)
{
	struct gs_wire_thread *w;
	uint32_t tid = (uint32_t)id;
	struct pt_regs *regs;

	if ((uint32_t)(id >> 32) != gs_config.tgid)
		return 0;
	w = bpf_map_lookup_elem(&threads, &tid);
	if (!w || !w->goid)
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return gs_call_number(regs) >= 0 ? w->goid : 0;
}

/* TP_PROTO(struct task_struct *p) */
SEC("tp_btf/sched_waking")
int gs_sched_waking(uint64_t *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	struct gs_wire_thread *t;
	uint32_t tid = p->pid;
	uint64_t id;

	if (!gs_ours(p) || gs_count_hit(GS_HIT_SCHED_WAKING) < 0)
		return 0;
	t = bpf_map_lookup_elem(&threads, &tid);
	if (!t || !(t->in & GS_WIRE_IN_OFF) || t->wake_ns)
		return 0;
	id = bpf_get_current_pid_tgid();
	t->waker_tid = (uint32_t)id;
	t->waker_goid = gs_waker_goid(id);
	t->wake_ns = bpf_ktime_get_ns();
	return 0;
}

/* Begin of a program that books time of the current thread. @return NULL: none of our business. */
GS_INLINE struct gs_wire_thread *gs_current_thread(uint32_t place)
{
	uint64_t id = bpf_get_current_pid_tgid();
	struct gs_wire_thread *t;
	uint32_t tid = (uint32_t)id;

	if ((uint32_t)(id >> 32) != gs_config.tgid || gs_count_hit(place) < 0)
		return 0;
	t = bpf_map_lookup_elem(&threads, &tid);
	if (!t || !gs_watched(t))
		return 0;
	return t;
}

GS_INLINE void gs_enter(uint32_t place, uint32_t in)
{
	struct gs_wire_thread *t = gs_current_thread(place);

	if (!t)
		return;
	gs_account(t, bpf_ktime_get_ns());
	t->in |= in;
}

GS_INLINE void gs_leave(uint32_t place, uint32_t in)
{
	struct gs_wire_thread *t = gs_current_thread(place);

	if (!t)
		return;
	gs_account(t, bpf_ktime_get_ns());
	t->in &= ~in;
}

/* TP_PROTO(struct pt_regs *regs, long id) */
SEC("tp_btf/sys_enter")
int gs_sys_enter(uint64_t *ctx)
{
	struct gs_wire_thread *t = gs_current_thread(GS_HIT_SYS_ENTER);

	if (!t)
		return 0;
	gs_account_user(t, bpf_ktime_get_ns()); /* a fault that became a signal has no end */
	t->in |= GS_WIRE_IN_SYSCALL;
	return 0;
}

/* mmap munmap mremap madvise brk */
GS_INLINE bool gs_call_maps(int32_t nr)
{
#if defined(__TARGET_ARCH_x86)
	return nr == 9 || nr == 11 || nr == 25 || nr == 28 || nr == 12;
#else
	return nr == 222 || nr == 215 || nr == 216 || nr == 233 || nr == 214;
#endif
}

/*
 * Threads of the target by the M they run, for those that are in C code, which uses the g's register for other things. Learnt when a
 * thread comes by in Go code; an M that serves another thread meanwhile (C threads that call Go) has another procid.
 */
struct gs_thread_m {
	uint64_t m, procid;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_WIRE_THREADS);
	__type(key, uint32_t);
	__type(value, struct gs_thread_m);
} thread_ms SEC(".maps");

GS_INLINE bool gs_in_go(uint64_t pc)
{
	return pc >= gs_config.text_lo && pc < gs_config.text_hi;
}

GS_INLINE uint64_t gs_peek(uint64_t addr)
{
	uint64_t v = 0;

	bpf_probe_read_user(&v, sizeof(v), (void *)addr);
	return v;
}

/* The current thread is in Go code: note its M. */
GS_INLINE void gs_learn_m(struct pt_regs *regs, uint32_t tid)
{
	uint64_t g = GS_G(regs);
	struct gs_thread_m v = {};

	if (gs_config.m_procid < 0 || gs_config.g_m < 0 || !g || g & 7 ||
	    bpf_map_lookup_elem(&thread_ms, &tid))
		return;
	v.m = gs_peek(g + (uint32_t)gs_config.g_m);
	if (!v.m || (gs_peek(v.m + (uint32_t)gs_config.m_g0) != g &&
		     gs_peek(v.m + (uint32_t)gs_config.m_curg) != g))
		return;
	v.procid = gs_peek(v.m + (uint32_t)gs_config.m_procid);
	bpf_map_update_elem(&thread_ms, &tid, &v, BPF_ANY);
}

/* The M of a thread that is in C code; 0: not known. */
GS_INLINE uint64_t gs_known_m(uint32_t tid)
{
	struct gs_thread_m *known = bpf_map_lookup_elem(&thread_ms, &tid);
	uint64_t procid;

	if (!known)
		return 0;
	procid = gs_peek(known->m + (uint32_t)gs_config.m_procid);
	/* A new thread makes its first system calls before it has set it. */
	if (!known->procid)
		known->procid = procid;
	return procid == known->procid ? known->m : 0;
}

/* On whose behalf a thread works. */
struct gs_behalf {
	uint64_t goid;
	uint64_t
		join; /* where the goroutine's stack was left for the system stack; 0: not known, or it was not */
	bool system; /* it was: for C, or for the runtime's own functions */
};

GS_INLINE void gs_behalf_of(struct gs_behalf *b, uint64_t pc, uint64_t g, uint32_t tid)
{
	uint64_t m = 0, curg;

	b->goid = 0;
	b->join = 0;
	b->system = true;
	if (gs_config.g_m < 0 || gs_config.m_curg < 0 || gs_config.g_goid < 0 || gs_config.m_g0 < 0)
		return;
	if (gs_in_go(pc)) {
		if (!g || g & 7)
			return;
		m = gs_peek(g + (uint32_t)gs_config.g_m);
	} else {
		m = gs_known_m(tid);
	}
	curg = m ? gs_peek(m + (uint32_t)gs_config.m_curg) : 0;
	if (!curg || gs_peek(curg + (uint32_t)gs_config.g_m) != m)
		return;
	b->goid = gs_peek(curg + (uint32_t)gs_config.g_goid);
	if (gs_in_go(pc) && g == curg)
		b->system = false;
	else if (gs_config.g_sched_bp >= 0)
		b->join = gs_peek(curg + (uint32_t)gs_config.g_sched_bp);
}

/* The stack of a thread that asks for memory, and its goroutine. */
GS_INLINE uint64_t gs_stack_for_memory(struct pt_regs *regs, uint32_t slot, uint32_t tid,
				       uint64_t *ret_goid)
{
	struct gs_stack_slot *s = gs_stack_slot(slot);
	struct gs_behalf b;

	gs_behalf_of(&b, GS_PC(regs), GS_G(regs), tid);
	*ret_goid = b.goid;
	if (!s || !(gs_config.want & GS_WANT_STACKS))
		return 0;
	s->mode = b.system ? GS_STACK_SYSTEM : GS_STACK_ANY;
	s->join = b.join;
	return gs_stack_of_thread(regs, slot);
}

GS_INLINE void gs_map(struct pt_regs *regs, int64_t result)
{
	uint64_t id = bpf_get_current_pid_tgid(), stack, goid;
	int32_t nr = gs_call_number(regs);
	struct gs_wire_map rec = {};
	struct gs_hit h;

	if ((uint32_t)(id >> 32) != gs_config.tgid)
		return;
	if (gs_in_go(GS_PC(regs)))
		gs_learn_m(regs, (uint32_t)id);
	if (!gs_call_maps(nr))
		return;
	if (gs_begin(&h, (uint32_t)id, GS_HIT_SYS_EXIT) < 0)
		return;
	rec.syscall = nr;
	rec.result = result;
	rec.arg[0] = gs_call_arg(regs, 0);
	rec.arg[1] = gs_call_arg(regs, 1);
	rec.arg[2] = gs_call_arg(regs, 2);
	rec.arg[3] = gs_call_arg(regs, 3);
	rec.arg[4] = gs_call_arg(regs, 4);
	rec.arg[5] = gs_call_arg(regs, 5);
	stack = gs_stack_for_memory(regs, GS_SLOT_MAP, (uint32_t)id, &goid);
	goid = h.t && h.t->goid ? h.t->goid : goid;
	gs_head_fill(&h, &rec.h, GS_WIRE_MAP, sizeof(rec), 0, goid, stack);
	gs_output(&h, &ring_kernel, GS_WIRE_RING_KERNEL, &rec.h, sizeof(rec));
}

/* TP_PROTO(struct pt_regs *regs, long ret) */
SEC("tp_btf/sys_exit")
int gs_sys_exit(uint64_t *ctx)
{
	if (gs_config.want & GS_WANT_MAPS)
		gs_map((struct pt_regs *)ctx[0], (int64_t)ctx[1]);
	gs_leave(GS_HIT_SYS_EXIT, GS_WIRE_IN_SYSCALL);
	return 0;
}

/* TP_PROTO(unsigned long address, struct pt_regs *regs, unsigned long error_code) */
SEC("tp_btf/page_fault_user")
int gs_fault_begin(uint64_t *ctx)
{
	struct gs_wire_thread *t = gs_current_thread(GS_HIT_FAULT_BEGIN);

	if (!t)
		return 0;
	gs_account(t, bpf_ktime_get_ns());
	t->fault_ns = 0;
	t->in |= GS_WIRE_IN_FAULT;
	return 0;
}

/* The kernel counts a fault when it is done (mm/memory.c, mm_account_fault). */
GS_INLINE int gs_fault_end(bool major)
{
	struct gs_wire_thread *t = gs_current_thread(GS_HIT_FAULT_END);
	uint32_t ns = 0;

	if (!t)
		return 0;
	gs_account(t, bpf_ktime_get_ns());
	if (t->in & GS_WIRE_IN_FAULT)
		ns = t->fault_ns;
	t->fault_ns = 0;
	t->in &= ~GS_WIRE_IN_FAULT;
	if (major) {
		t->usage.fault_major_ns = gs_add(t->usage.fault_major_ns, ns);
		t->usage.faults_major += t->usage.faults_major != 0xffff;
	} else {
		t->usage.fault_minor_ns = gs_add(t->usage.fault_minor_ns, ns);
		t->usage.faults_minor += t->usage.faults_minor != 0xffff;
	}
	return 0;
}

SEC("perf_event")
int gs_fault_end_minor(struct gs_perf_data *ctx)
{
	return gs_fault_end(false);
}

SEC("perf_event")
int gs_fault_end_major(struct gs_perf_data *ctx)
{
	return gs_fault_end(true);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int gs_reclaim_begin(uint64_t *ctx)
{
	gs_enter(GS_HIT_RECLAIM_BEGIN, GS_WIRE_IN_RECLAIM);
	return 0;
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int gs_reclaim_end(uint64_t *ctx)
{
	gs_leave(GS_HIT_RECLAIM_END, GS_WIRE_IN_RECLAIM);
	return 0;
}

/* Clock of a CPU: what runs there now. */
SEC("perf_event")
int gs_sample(struct gs_perf_data *ctx)
{
	uint64_t id = bpf_get_current_pid_tgid(), goid, stack, kernel_stack = 0;
	struct gs_wire_sample *rec;
	struct pt_regs *regs;
	struct gs_hit h;
	uint32_t seq;

	if ((uint32_t)(id >> 32) != gs_config.tgid || gs_begin(&h, (uint32_t)id, GS_HIT_SAMPLE) < 0)
		return 0;
	goid = h.t ? h.t->goid : 0;
	if (goid && gs_thinned(&h, goid))
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	stack = gs_stack_of_thread(regs, GS_SLOT_SAMPLE);
	if ((int64_t)GS_PC(&ctx->regs) < 0)
		kernel_stack = gs_stack_kernel(ctx, GS_SLOT_SAMPLE);
	rec = gs_reserve(&h, &ring_kernel, GS_WIRE_RING_KERNEL, sizeof(*rec));
	if (!rec)
		return 0;
	rec->kernel_stack = kernel_stack;
	rec->period_ns = gs_config.sample_period_ns;
	seq = gs_sequence(&h, GS_WIRE_RING_KERNEL);
	gs_head_fill(&h, &rec->h, GS_WIRE_SAMPLE, sizeof(*rec), seq, goid, stack);
	bpf_ringbuf_submit(rec, gs_wake(&ring_kernel, GS_WIRE_RING_KERNEL, seq));
	return 0;
}

/* One page fault of many: who touches new memory, and where. */
SEC("perf_event")
int gs_fault_sample(struct gs_perf_data *ctx)
{
	uint64_t id = bpf_get_current_pid_tgid();
	struct gs_wire_fault rec = {};
	struct pt_regs *regs;
	uint64_t stack, goid;
	struct gs_hit h;

	if ((uint32_t)(id >> 32) != gs_config.tgid ||
	    gs_begin(&h, (uint32_t)id, GS_HIT_FAULT_SAMPLE) < 0)
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	stack = gs_stack_for_memory(regs, GS_SLOT_FAULT, (uint32_t)id, &goid);
	goid = h.t && h.t->goid ? h.t->goid : goid;
	rec.addr = ctx->addr;
	rec.period = gs_config.fault_period;
	gs_head_fill(&h, &rec.h, GS_WIRE_FAULT, sizeof(rec), 0, goid, stack);
	gs_output(&h, &ring_kernel, GS_WIRE_RING_KERNEL, &rec.h, sizeof(rec));
	return 0;
}

GS_INLINE void gs_process(uint32_t place, uint32_t tid, uint32_t what, struct task_struct *child)
{
	struct gs_wire_process rec = {};
	struct gs_hit h;

	if (gs_begin(&h, tid, place) < 0)
		return;
	rec.what = what;
	rec.child = child->pid;
	bpf_probe_read_kernel(rec.comm, sizeof(rec.comm), child->comm);
	gs_head_fill(&h, &rec.h, GS_WIRE_PROCESS, sizeof(rec), 0, h.t ? h.t->goid : 0, 0);
	gs_output(&h, &ring_kernel, GS_WIRE_RING_KERNEL, &rec.h, sizeof(rec));
}

/* TP_PROTO(struct task_struct *parent, struct task_struct *child) */
SEC("tp_btf/sched_process_fork")
int gs_process_fork(uint64_t *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx[0];
	struct task_struct *child = (struct task_struct *)ctx[1];

	if (gs_ours(parent))
		gs_process(GS_HIT_PROCESS_FORK, parent->pid,
			   gs_ours(child) ? GS_WIRE_THREAD_NEW : GS_WIRE_PROCESS_FORK, child);
	return 0;
}

/* TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm) */
SEC("tp_btf/sched_process_exec")
int gs_process_exec(uint64_t *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];

	if (gs_ours(p))
		gs_process(GS_HIT_PROCESS_EXEC, p->pid, GS_WIRE_PROCESS_EXEC, p);
	return 0;
}

/* TP_PROTO(struct task_struct *p, …) */
SEC("tp_btf/sched_process_exit")
int gs_process_exit(uint64_t *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	uint32_t tid = p->pid;
	bool last;

	if (!gs_ours(p))
		return 0;
	last = BPF_CORE_READ(p, signal, live.counter) == 0;
	gs_process(GS_HIT_PROCESS_EXIT, tid, last ? GS_WIRE_PROCESS_EXIT : GS_WIRE_THREAD_EXIT, p);
	bpf_map_delete_elem(&threads, &tid);
	bpf_map_delete_elem(&thread_ms, &tid);
	return 0;
}

/* dlopen(const char *path, int mode) of the C library is called: C code, by C's calling convention. */
SEC("kprobe")
int gs_dlopen(struct gs_regs *ctx)
{
	struct gs_wire_dlopen rec = {};
	uint64_t stack = 0;
	struct gs_behalf b;
	struct gs_hit h;
	long n;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	n = bpf_probe_read_user_str(rec.path, sizeof(rec.path), (void *)GS_C_ARG0(ctx));
	rec.path_len = n > 1 ? (uint32_t)n - 1 : 0;
	gs_behalf_of(&b, GS_PC(ctx), 0, h.tid);
	if (gs_config.want & GS_WANT_STACKS)
		stack = gs_stack_at_entry(ctx, GS_STACK_SYSTEM, b.join);
	gs_head_fill(&h, &rec.h, GS_WIRE_DLOPEN, sizeof(rec), 0, b.goid, stack);
	gs_output(&h, &ring_kernel, GS_WIRE_RING_KERNEL, &rec.h, sizeof(rec));
	return 0;
}

#endif
