/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Programs that gosonde attaches to itself to learn what a hit costs on this machine
 * (src/probe/costs.c). They do what those of stream.bpf.c do around every record: count the hit, look the thread up, read
 * the clock, reserve and submit; and with a stack: take it, hash it, find it known.
 */
#include "kernel.h"

#include <bpf/bpf_helpers.h>

#include "cost.wire.h"

#if defined(__TARGET_ARCH_x86)
#define FRAME_POINTER(r) ((r)->bp)
#else
#define FRAME_POINTER(r) ((r)->regs[29])
#endif

struct gs_cost_control gs_cost_control;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, GS_COST_RING_BYTES);
} cost_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, uint32_t);
	__type(value, uint64_t);
} cost_threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, uint64_t);
	__type(value, uint64_t);
} cost_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct gs_cost_scratch);
} cost_scratch SEC(".maps");

/* As stream_stack.bpf.h does it: two pieces of a kilobyte, which is what 16 frames of Go take, a walk along
 * the frame pointers, a look for the hash. */
static __attribute__((always_inline)) uint64_t take_stack(struct gs_regs *regs,
							  struct gs_cost_scratch *s)
{
	uint64_t base = FRAME_POINTER(regs), fp = base, hash = 0, one = 1, at;

	s->frames = 0;
	bpf_probe_read_user(s->piece, GS_COST_PIECE, (const void *)base);
	if (bpf_probe_read_user(s->piece, GS_COST_PIECE, (const void *)base) < 0)
		return 0;
	for (uint32_t i = 0; i < GS_COST_FRAMES; i++) {
		at = fp - base;
		if (at > GS_COST_PIECE - 16)
			break;
		at = at / 8 & (GS_COST_PIECE / 8 - 1);
		s->pc[i] = s->piece[at + 1];
		hash = (hash ^ s->pc[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
		fp = s->piece[at];
		s->frames++;
	}
	if (!bpf_map_lookup_elem(&cost_stacks, &hash))
		bpf_map_update_elem(&cost_stacks, &hash, &one, BPF_ANY);
	return hash;
}

SEC("kprobe")
int gs_cost_uprobe(struct gs_regs *ctx)
{
	uint32_t mode = gs_cost_control.mode, zero = 0, tid;
	struct gs_cost_scratch *s;
	struct gs_cost_record *rec;
	uint64_t *thread, hash = 0;

	s = bpf_map_lookup_elem(&cost_scratch, &zero);
	if (!s)
		return 0;
	s->hits++;
	if (mode == GS_COST_TRAP)
		return 0;
	tid = (uint32_t)bpf_get_current_pid_tgid();
	thread = bpf_map_lookup_elem(&cost_threads, &tid);
	if (mode == GS_COST_STACK)
		hash = take_stack(ctx, s);
	rec = bpf_ringbuf_reserve(&cost_ring, sizeof(*rec), 0);
	if (!rec) {
		s->lost++;
		return 0;
	}
	rec->word[0] = bpf_ktime_get_ns();
	rec->word[1] = thread ? *thread : 0;
	rec->word[2] = hash;
	rec->word[3] = tid;
	for (int i = 4; i < GS_COST_RECORD_WORDS; i++)
		rec->word[i] = 0;
	bpf_ringbuf_submit(rec, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("raw_tp/sys_enter")
int gs_cost_tracepoint(void *ctx)
{
	uint32_t zero = 0;
	struct gs_cost_scratch *s;

	if ((uint32_t)(bpf_get_current_pid_tgid() >> 32) != gs_cost_control.tgid)
		return 0;
	s = bpf_map_lookup_elem(&cost_scratch, &zero);
	if (s)
		s->hits++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
