/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BPF_STREAM_STACK_H
#define GS_BPF_STREAM_STACK_H

/*
 * Stacks: walked along the frame pointers that Go keeps on both CPUs, hashed on the way, and sent once. The kernel's
 * own walk of user stacks (bpf_get_stack) is not used: it goes on until it faults, which costs about a microsecond
 * at the end of every goroutine's stack; before 6.12 it leaves out the caller of a function that has no frame
 * yet; and some kernels of that time can crash in it (b583ef82b671, "uprobes: Fix race in uprobe_free_utask").
 *
 * The chain goes from the system stack on to the goroutine's: systemstack leaves the frame pointer as it is (Go
 * runtime/asm_amd64.s). A function that has no frame of its own hides its caller: at the begin of a probed one the
 * caller's address is where the CPU put it; a leaf (Go's system call stubs) keeps it at the stack
 * pointer, so samples and blocked threads carry that word if it points into Go code.
 */
#include "stream_common.bpf.h"

/* Stacks sent lately, by hash: two places for each, the newer one first. A stack that falls out is sent again. */
struct gs_stack_pair {
	uint64_t hash[2];
};

#define GS_STACK_SETS 16384

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GS_STACK_SETS);
	__type(key, uint32_t);
	__type(value, struct gs_stack_pair);
} stacks_seen SEC(".maps");

#define GS_STACK_WALK (GS_WIRE_STACK_MAX - 2) /* room for two frames in front */

/* The target's stack is read in pieces of this size: what costs is the call, not the bytes. */
#define GS_STACK_PIECE 1024

/* Numbers are kept here and not in registers: a loop whose end the verifier cannot know from a register leaves one
 * state behind, not one per round. */
struct gs_stack_slot {
	union {
		uint64_t piece[GS_STACK_PIECE / 8 + 1]; /* one word more for the verifier */
		char path[256];
	};
	uint64_t base; /* address of piece[0] */
	uint64_t last; /* offset of the last frame (two words) that may be taken from it */
	uint64_t at;   /* offset of the frame that is taken */
	uint64_t n;
	uint64_t pc[GS_WIRE_STACK_MAX];
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
	uint64_t pc, caller; /* the first two frames, 0: not there */
	uint64_t sp_word;
	uint64_t hash;
	uint32_t flags;
};

GS_INLINE uint64_t gs_hash_step(uint64_t hash, uint64_t v)
{
	hash = (hash ^ v) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 32);
}

/* Have the target's stack from @addr on in the slot; at least two words of it. */
GS_INLINE int gs_stack_piece(volatile struct gs_stack_slot *s, uint64_t addr)
{
	s->base = addr;
	s->last = GS_STACK_PIECE - 16;
	if (bpf_probe_read_user((void *)s->piece, GS_STACK_PIECE, (const void *)addr) == 0)
		return 0;
	s->last = 0; /* near the end of the memory that is there */
	return bpf_probe_read_user((void *)s->piece, 16, (const void *)addr);
}

/* Frames of the target from frame pointer @fp on; a piece of the stack is in the slot already. */
GS_INLINE void gs_stack_walk(volatile struct gs_stack_slot *s, struct gs_stack_parts *p,
			     uint64_t fp)
{
	uint64_t hash, at, pc;

	hash = gs_hash_step(gs_hash_step(gs_hash_step(1, p->sp_word), p->pc), p->caller);
	s->n = 0;
	for (uint32_t i = 0; i < GS_STACK_WALK; i++) {
		/* 0 ends a goroutine's stack. C code uses the register for other things. */
		if (!fp || fp & 7)
			break;
		s->at = fp - s->base;
		if (s->at > s->last) {
			if (gs_stack_piece(s, fp) < 0)
				break;
			s->at = 0;
		}
		at = s->at / 8 & (GS_STACK_PIECE / 8 - 1);
		pc = s->piece[at + 1];
		if (!pc)
			break;
		fp = s->piece[at];
		hash = gs_hash_step(hash, pc);
		s->pc[i] = pc;
		s->n = i + 1;
	}
	p->hash = hash ? hash : 1;
}

GS_INLINE void gs_stack_kernel_hash(volatile struct gs_stack_slot *s, struct gs_stack_parts *p)
{
	uint64_t hash = 2;

	for (uint32_t i = 0; i < GS_STACK_WALK; i++) {
		if (i >= s->n)
			break;
		hash = gs_hash_step(hash, s->pc[i]);
	}
	p->hash = hash ? hash : 1;
}

/* Write a stack out. @return negative: no room. */
GS_INLINE int gs_stack_send(struct gs_hit *h, volatile struct gs_stack_slot *s,
			    const struct gs_stack_parts *p)
{
	struct gs_wire_stack *rec = (struct gs_wire_stack *)&s->rec;
	uint32_t n, size;

	s->rec.n = 0;
	if (p->pc)
		rec->pc[s->rec.n++ & 1] = p->pc;
	if (p->caller)
		rec->pc[s->rec.n++ & 1] = p->caller;
	for (uint32_t i = 0; i < GS_STACK_WALK; i++) {
		if (i >= s->n)
			break;
		n = s->rec.n;
		rec->pc[n & (GS_WIRE_STACK_MAX - 1)] = s->pc[i];
		s->rec.n = n + 1;
	}
	n = s->rec.n;
	if (n > GS_WIRE_STACK_MAX)
		return -1;
	size = __builtin_offsetof(struct gs_wire_stack, pc) + n * sizeof(uint64_t);
	gs_head_fill(h, &rec->h, GS_WIRE_STACK, size, 0, 0, p->hash);
	rec->h.flags = 0;
	rec->flags = p->flags | (s->n >= GS_STACK_WALK ? 1 : 0) | (p->sp_word ? 4 : 0);
	rec->sp_word = p->sp_word;
	return gs_output(h, &ring_stack, GS_WIRE_RING_STACK, &rec->h, size);
}

/* The hash of a stack, which the reader has been sent or is now. 0: there was no room. */
GS_INLINE uint64_t gs_stack_id(struct gs_hit *h, struct gs_stack_slot *s,
			       const struct gs_stack_parts *p)
{
	uint32_t set = (uint32_t)p->hash & (GS_STACK_SETS - 1);
	struct gs_stack_pair *seen = bpf_map_lookup_elem(&stacks_seen, &set);

	if (!seen)
		return 0;
	if (seen->hash[0] == p->hash || seen->hash[1] == p->hash)
		return p->hash;
	if (gs_stack_send(h, s, p) < 0)
		return 0;
	seen->hash[1] = seen->hash[0];
	seen->hash[0] = p->hash;
	return p->hash;
}

/* Stack at the begin of a function of the target (uprobe), the function itself first. */
GS_INLINE uint64_t gs_stack_at_begin(struct gs_hit *h, struct gs_regs *ctx)
{
	struct gs_stack_parts p = { .pc = GS_PC(ctx) };
	uint32_t zero = 0, level;
	struct gs_stack_slots *slots;
	struct gs_stack_slot *s;
	uint64_t hash = 0;

	slots = bpf_map_lookup_elem(&stack_slots, &zero);
	if (!slots)
		return 0;
	level = __sync_fetch_and_add(&slots->busy, 1);
	if (level < GS_SLOT_USER_LEVELS) {
		s = &slots->slot[level];
		if (gs_stack_piece(s, GS_SP(ctx)) == 0) {
#if defined(__TARGET_ARCH_x86)
			p.caller = s->piece[0];
#else
			p.caller = ctx->regs[30];
#endif
			gs_stack_walk(s, &p, GS_FP(ctx));
			hash = gs_stack_id(h, s, &p);
		}
	}
	__sync_fetch_and_add(&slots->busy, -1);
	if (!hash)
		h->c->stacks_missing++;
	return hash;
}

/* Stack of the target's code that the current thread left for the kernel, by its registers. */
GS_INLINE uint64_t gs_stack_user(struct gs_hit *h, struct pt_regs *regs, uint32_t slot)
{
	struct gs_stack_parts p = { .flags = 0 };
	struct gs_stack_slots *slots;
	struct gs_stack_slot *s;
	uint32_t zero = 0;
	uint64_t fp, word;

	slots = bpf_map_lookup_elem(&stack_slots, &zero);
	if (!slots)
		return 0;
	s = &slots->slot[slot];
	if (gs_stack_piece(s, regs->sp) < 0) {
		h->c->stacks_missing++;
		return 0;
	}
#if defined(__TARGET_ARCH_x86)
	p.pc = regs->ip;
	fp = regs->bp;
	word = s->piece[0];
#else
	p.pc = regs->pc;
	fp = regs->regs[29];
	word = regs->regs[30];
#endif
	if (word >= gs_config.text_lo && word < gs_config.text_hi)
		p.sp_word = word;
	gs_stack_walk(s, &p, fp);
	return gs_stack_id(h, s, &p);
}

/* Stack of the kernel's code that runs now. */
GS_INLINE uint64_t gs_stack_kernel(struct gs_hit *h, void *ctx, uint32_t slot)
{
	struct gs_stack_parts p = { .flags = 2 };
	struct gs_stack_slots *slots;
	struct gs_stack_slot *s;
	uint32_t zero = 0;
	long size;

	slots = bpf_map_lookup_elem(&stack_slots, &zero);
	if (!slots)
		return 0;
	s = &slots->slot[slot];
	size = bpf_get_stack(ctx, s->pc, GS_STACK_WALK * sizeof(uint64_t), 0);
	if (size <= 0) {
		h->c->stacks_missing++;
		return 0;
	}
	s->n = (uint32_t)size / sizeof(uint64_t);
	gs_stack_kernel_hash(s, &p);
	return gs_stack_id(h, s, &p);
}

#endif
