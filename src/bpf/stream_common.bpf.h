/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BPF_STREAM_COMMON_H
#define GS_BPF_STREAM_COMMON_H

/*
 * What all programs of the stream lens share: maps, configuration, registers by their role in Go's ABI, and the way
 * of a record into its ring. A hit costs what stands here, so everything is inlined, configuration is
 * constant (the verifier removes what it does not ask for), and each map is looked at once.
 */
#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "stream.wire.h"

#define GS_INLINE static __attribute__((always_inline))

/* Bits of gs_config.want: enum of src/probe/plan.h, which is no header for this side. */
enum {
	GS_WANT_STACKS = 2,
	GS_WANT_SYSCALLS = 128,
	GS_WANT_ALL_THREADS = 64,
	GS_WANT_PS = 2048,
	GS_WANT_MAPS = 8192,
};

/* Places of programs without a site in the map of hits: enum gs_probe_program. */
enum {
	GS_HIT_SCHED_SWITCH = GS_WIRE_HITS_PROGRAM + 23,
	GS_HIT_SCHED_WAKING,
	GS_HIT_SYS_ENTER,
	GS_HIT_SYS_EXIT,
	GS_HIT_FAULT_BEGIN,
	GS_HIT_FAULT_END,
	GS_HIT_RECLAIM_BEGIN,
	GS_HIT_RECLAIM_END,
	GS_HIT_SAMPLE,
	GS_HIT_PROCESS_FORK,
	GS_HIT_PROCESS_EXEC,
	GS_HIT_PROCESS_EXIT,
	GS_HIT_FAULT_SAMPLE,
};

const volatile struct gs_wire_config gs_config;
struct gs_wire_control gs_control;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} ring_go SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} ring_kernel SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring_stack SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_WIRE_THREADS);
	__type(key, uint32_t);
	__type(value, struct gs_wire_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct gs_wire_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GS_WIRE_HITS);
	__type(key, uint32_t);
	__type(value, uint64_t);
} hits SEC(".maps");

/* One run of a program. */
struct gs_hit {
	struct gs_wire_thread *t; /* NULL: no entry */
	struct gs_wire_counters *c;
	uint64_t now;
	uint32_t tid;
	uint32_t arg;
	uint16_t site;
	uint8_t flags; /* GS_WIRE_F_* of the record */
};

/* Registers of Go's internal ABI: integer arguments in order, the current g, and what the hardware's call left. */
#if defined(__TARGET_ARCH_x86)
#define GS_ARG0(r) ((r)->ax)
#define GS_ARG1(r) ((r)->bx)
#define GS_ARG2(r) ((r)->cx)
#define GS_ARG3(r) ((r)->di)
#define GS_C_ARG0(r) ((r)->di) /* of C */
#define GS_G(r) ((r)->r14)
#define GS_PC(r) ((r)->ip)
#define GS_FP(r) ((r)->bp)
#define GS_SP(r) ((r)->sp)
#define GS_LR(r) (0)
#else
#define GS_ARG0(r) ((r)->regs[0])
#define GS_ARG1(r) ((r)->regs[1])
#define GS_ARG2(r) ((r)->regs[2])
#define GS_ARG3(r) ((r)->regs[3])
#define GS_C_ARG0(r) ((r)->regs[0])
#define GS_G(r) ((r)->regs[28])
#define GS_PC(r) ((r)->pc)
#define GS_FP(r) ((r)->regs[29])
#define GS_SP(r) ((r)->sp)
#define GS_LR(r) ((r)->regs[30])
#endif

GS_INLINE int gs_read(struct gs_hit *h, void *dst, uint32_t size, uint64_t addr)
{
	int r = bpf_probe_read_user(dst, size, (const void *)addr);

	if (r < 0)
		h->c->reads_failed++;
	return r;
}

/* The word at @addr of the target, 0 if it cannot be read. */
GS_INLINE uint64_t gs_word(struct gs_hit *h, uint64_t addr)
{
	uint64_t v = 0;

	if (gs_read(h, &v, sizeof(v), addr) < 0)
		return 0;
	return v;
}

/* Where a function that has only begun returns to. */
GS_INLINE uint64_t gs_return_address(struct gs_hit *h, struct gs_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return gs_word(h, regs->sp);
#else
	return regs->regs[30];
#endif
}

/* Is this goroutine left out by the budget? Counted when so. */
GS_INLINE bool gs_thinned(struct gs_hit *h, uint64_t goid)
{
	uint32_t mask = gs_control.thin_mask;

	if (!mask || !(gs_wire_thin_hash(goid) & mask))
		return false;
	h->c->thinned++;
	return true;
}

GS_INLINE int gs_count_hit(uint32_t place)
{
	uint64_t *n = bpf_map_lookup_elem(&hits, &place);

	if (!n)
		return -1;
	*n += 1;
	return gs_control.stopped ? -1 : 0;
}

/* Begin of every program. @return negative: nothing to do. */
GS_INLINE int gs_begin(struct gs_hit *h, uint32_t tid, uint32_t place)
{
	uint32_t zero = 0;

	if (gs_count_hit(place) < 0)
		return -1;
	h->c = bpf_map_lookup_elem(&counters, &zero);
	if (!h->c)
		return -1;
	h->tid = tid;
	h->site = place;
	h->arg = 0;
	h->flags = 0;
	h->t = bpf_map_lookup_elem(&threads, &tid);
	h->now = bpf_ktime_get_ns();
	return 0;
}

/* The next record's number on this CPU. Atomic, because a program can be preempted by another thread's. */
GS_INLINE uint32_t gs_sequence(struct gs_hit *h, uint32_t ring)
{
	return (uint32_t)__sync_fetch_and_add(&h->c->produced[ring], 1);
}

GS_INLINE void gs_head_fill(struct gs_hit *h, struct gs_wire_head *head, uint8_t kind,
			    uint16_t size, uint32_t seq, uint64_t goid, uint64_t stack)
{
	head->ts_ns = h->now;
	head->goid = goid;
	head->stack = stack;
	head->tid = h->tid;
	head->size = size;
	head->kind = kind;
	head->flags = h->flags;
	head->seq = seq;
	head->cpu = (uint16_t)bpf_get_smp_processor_id();
	head->site = h->site;
}

/* Room for a record of @size bytes in @map; NULL (counted) when there is none. */
GS_INLINE void *gs_reserve(struct gs_hit *h, void *map, uint32_t ring, uint32_t size)
{
	void *rec = bpf_ringbuf_reserve(map, size, 0);

	if (!rec) {
		gs_sequence(h, ring);
		h->c->ring_full[ring]++;
	}
	return rec;
}

/* Flags of the submission: does the reader have to be woken? */
GS_INLINE uint64_t gs_wake(void *map, uint32_t ring, uint32_t seq)
{
	uint32_t mode = gs_control.wake_mode;

	if (mode == GS_WIRE_WAKE_ADAPTIVE) {
		if (!gs_control.reader_sleeping[ring])
			return BPF_RB_NO_WAKEUP;
		gs_control.reader_sleeping[ring] = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (mode == GS_WIRE_WAKE_BATCH && !(seq & 63) &&
	    bpf_ringbuf_query(map, BPF_RB_AVAIL_DATA) > gs_control.wake_bytes[ring])
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* A record that exists elsewhere; its head is complete but for seq. @return negative: no room. */
GS_INLINE int gs_output(struct gs_hit *h, void *map, uint32_t ring, struct gs_wire_head *head,
			uint32_t size)
{
	uint32_t seq = gs_sequence(h, ring);

	head->seq = seq;
	if (bpf_ringbuf_output(map, head, size, gs_wake(map, ring, seq)) == 0)
		return 0;
	h->c->ring_full[ring]++;
	return -1;
}

#endif
