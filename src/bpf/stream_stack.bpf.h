/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BPF_STREAM_STACK_H
#define GS_BPF_STREAM_STACK_H

/*
 * Stacks: taken by the kernel along the frame pointers that Go keeps, hashed, and sent once. Kernels before 6.12
 * leave out the caller of a function that has no frame yet; its address is read from where the CPU put it. A
 * leaf function without a frame (Go's system call stubs) hides its caller in the same way: samples and
 * blocked threads carry the word at the stack pointer if it points into Go code.
 */
#include "stream_common.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, uint64_t);
	__type(value, uint8_t);
} stacks_seen SEC(".maps");

#define GS_STACK_RAW (GS_WIRE_STACK_MAX - 2) /* room for two frames in front */

/* The numbers of frames are kept here and not in registers: loops whose end the verifier cannot know from a register
 * leave one state behind, not one per round. */
struct gs_stack_slot {
	uint64_t raw[GS_WIRE_STACK_MAX];
	uint32_t n, from; /* raw[from..n) */
	struct gs_wire_stack rec;
};

/* Uprobe programs of different threads can preempt each other on one CPU: each takes a slot of its own. The
 * others have a slot per kind, because they do not. */
enum { GS_SLOT_USER_LEVELS = 4, GS_SLOT_SWITCH = 4, GS_SLOT_SAMPLE, GS_SLOTS = 8 };

struct gs_stack_slots {
	uint32_t busy, pad;
	struct gs_stack_slot slot[GS_SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct gs_stack_slots);
} stack_slots SEC(".maps");

/* What a stack has besides the frames of the slot. */
struct gs_stack_parts {
	uint64_t pc, caller; /* the first two frames; caller 0: neither is there */
	uint64_t sp_word;
	uint32_t flags;
};

GS_INLINE uint64_t gs_hash_step(uint64_t hash, uint64_t v)
{
	hash = (hash ^ v) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 32);
}

GS_INLINE uint64_t gs_stack_hash(volatile struct gs_stack_slot *s, const struct gs_stack_parts *p)
{
	uint64_t hash = gs_hash_step(p->flags + 1, p->sp_word);

	if (p->caller)
		hash = gs_hash_step(gs_hash_step(hash, p->pc), p->caller);
	for (uint32_t i = 0; i < GS_STACK_RAW; i++) {
		if (i >= s->n)
			break;
		if (i >= s->from)
			hash = gs_hash_step(hash, s->raw[i]);
	}
	return hash ? hash : 1;
}

/* Write a stack out. @return negative: no room. */
GS_INLINE int gs_stack_send(struct gs_hit *h, volatile struct gs_stack_slot *s,
			    const struct gs_stack_parts *p, uint64_t hash)
{
	struct gs_wire_stack *rec = (struct gs_wire_stack *)&s->rec;
	uint32_t n, size;

	s->rec.n = 0;
	if (p->caller) {
		rec->pc[0] = p->pc;
		rec->pc[1] = p->caller;
		s->rec.n = 2;
	}
	for (uint32_t i = 0; i < GS_STACK_RAW; i++) {
		if (i >= s->n)
			break;
		if (i < s->from)
			continue;
		n = s->rec.n;
		rec->pc[n & (GS_WIRE_STACK_MAX - 1)] = s->raw[i];
		s->rec.n = n + 1;
	}
	n = s->rec.n;
	if (n > GS_WIRE_STACK_MAX)
		return -1;
	size = __builtin_offsetof(struct gs_wire_stack, pc) + n * sizeof(uint64_t);
	gs_head_fill(h, &rec->h, GS_WIRE_STACK, size, 0, 0, hash);
	rec->h.flags = 0;
	rec->flags = p->flags | (s->n >= GS_STACK_RAW ? 1 : 0) | (p->sp_word ? 4 : 0);
	rec->sp_word = p->sp_word;
	return gs_output(h, &ring_stack, GS_WIRE_RING_STACK, &rec->h, size);
}

/* The hash of a stack, which the reader has been sent or is now. 0: none. */
GS_INLINE uint64_t gs_stack_id(struct gs_hit *h, struct gs_stack_slot *s,
			       const struct gs_stack_parts *p)
{
	uint64_t hash = gs_stack_hash(s, p);
	uint8_t one = 1;

	if (bpf_map_lookup_elem(&stacks_seen, &hash))
		return hash;
	if (gs_stack_send(h, s, p, hash) < 0)
		return 0;
	bpf_map_update_elem(&stacks_seen, &hash, &one, BPF_ANY);
	return hash;
}

/* Stack at the begin of a function of the target (uprobe), the function itself first. */
GS_INLINE uint64_t gs_stack_at_begin(struct gs_hit *h, struct gs_regs *ctx)
{
	struct gs_stack_parts p = { .pc = GS_PC(ctx) };
	uint32_t zero = 0, level;
	struct gs_stack_slots *slots;
	struct gs_stack_slot *s;
	uint64_t hash = 0;
	long size;

	slots = bpf_map_lookup_elem(&stack_slots, &zero);
	if (!slots)
		return 0;
	p.caller = gs_return_address(h, ctx);
	level = __sync_fetch_and_add(&slots->busy, 1);
	if (level < GS_SLOT_USER_LEVELS) {
		s = &slots->slot[level];
		size = bpf_get_stack(ctx, s->raw, GS_STACK_RAW * sizeof(uint64_t),
				     BPF_F_USER_STACK | 1);
		if (size >= 0 && p.caller) {
			s->n = (uint32_t)size / sizeof(uint64_t);
			s->from = s->raw[0] == p.caller;
			hash = gs_stack_id(h, s, &p);
		}
	}
	__sync_fetch_and_add(&slots->busy, -1);
	if (!hash)
		h->c->stacks_missing++;
	return hash;
}

/* Stack of the current thread, user or kernel, wherever it is. @sp_word: see gs_stack_sp_word. */
GS_INLINE uint64_t gs_stack_anywhere(struct gs_hit *h, void *ctx, uint32_t slot, bool user,
				     uint64_t sp_word)
{
	struct gs_stack_parts p = { .flags = user ? 0 : 2, .sp_word = sp_word };
	struct gs_stack_slots *slots;
	struct gs_stack_slot *s;
	uint32_t zero = 0;
	long size;

	slots = bpf_map_lookup_elem(&stack_slots, &zero);
	if (!slots)
		return 0;
	s = &slots->slot[slot];
	size = bpf_get_stack(ctx, s->raw, GS_STACK_RAW * sizeof(uint64_t),
			     user ? BPF_F_USER_STACK : 0);
	if (size <= 0) {
		h->c->stacks_missing++;
		return 0;
	}
	s->n = (uint32_t)size / sizeof(uint64_t);
	s->from = 0;
	return gs_stack_id(h, s, &p);
}

/* Where a leaf function without a frame would return to; 0 if that is not in Go code. */
GS_INLINE uint64_t gs_stack_sp_word(struct gs_hit *h, struct pt_regs *regs)
{
	uint64_t v = 0;

#if defined(__TARGET_ARCH_x86)
	if (bpf_probe_read_user(&v, sizeof(v), (const void *)regs->sp) < 0)
		return 0;
#else
	v = regs->regs[30];
#endif
	return v >= gs_config.text_lo && v < gs_config.text_hi ? v : 0;
}

#endif
