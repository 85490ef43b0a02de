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
 * runtime/asm_amd64.s; on arm64 from 1.27 on). Where memory is asked for it must not break there, nor in C code that
 * uses the frame pointer for other things: see gs_stack_walk_system(). A function that has no frame of its own hides its caller: at the begin of a probed one the
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

struct gs_stack_slot {
	union {
		uint64_t piece[GS_STACK_PIECE / 8 + 1]; /* one word more for the verifier */
		char path[128];
	};
	uint64_t base; /* address of piece[0] */
	uint64_t last; /* offset of the last frame (two words) that may be taken from it */
	uint64_t at;   /* offset of the frame that is taken */
	uint64_t join; /* frame pointer with which the goroutine left its stack; 0: none */
	uint64_t prev; /* frame that was taken last */
	uint64_t mode; /* GS_STACK_ANY, GS_STACK_SYSTEM */
	struct gs_wire_stack rec;
};

enum {
	GS_STACK_ANY = 0,
	GS_STACK_SYSTEM, /* of the system stack, or of C code: @join is where the goroutine's begins */
};

/* Uprobe programs of different threads can preempt each other on one CPU: each takes a slot of its own. The
 * others have a slot per kind, because they do not. */
enum {
	GS_SLOT_USER_LEVELS = 4,
	GS_SLOT_SWITCH = 4,
	GS_SLOT_SAMPLE,
	GS_SLOT_MAP,
	GS_SLOT_FAULT,
	GS_SLOTS = 8
};

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

GS_INLINE uint64_t gs_hash_step(uint64_t hash, uint64_t v)
{
	hash = (hash ^ v) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 32);
}

GS_INLINE struct gs_stack_slot *gs_stack_slot(uint64_t slot)
{
	uint32_t zero = 0;
	struct gs_stack_slots *slots = bpf_map_lookup_elem(&stack_slots, &zero);

	return slots ? &slots->slot[slot & (GS_SLOTS - 1)] : 0;
}

/*
 * Some functions here are not inlined, and get numbers only, for the verifier's sake: it looks at such a function once
 * per program, whatever the state in which it is called. And numbers that tell where a loop ends are kept
 * in memory, which the verifier does not follow. Both together make loading ten times as fast.
 */

/* Have the target's stack from @addr on in the slot; at least two words of it. */
__attribute__((noinline)) int gs_stack_piece(uint64_t slot, uint64_t addr)
{
	struct gs_stack_slot *s = gs_stack_slot(slot);

	if (!s)
		return -1;
	s->base = addr;
	s->at = 0;
	s->last = GS_STACK_PIECE - 16;
	if (bpf_probe_read_user(s->piece, GS_STACK_PIECE, (const void *)addr) == 0)
		return 0;
	s->last = 0; /* near the end of the memory that is there */
	if (bpf_probe_read_user(s->piece, 16, (const void *)addr) == 0)
		return 0;
	s->base = 0; /* no frame is near that */
	return -1;
}

/* Add the target's frames from frame pointer @fp on; a piece of the stack is in the slot already. @return @hash,
 * stirred with them. */
__attribute__((noinline)) uint64_t gs_stack_walk(uint64_t slot, uint64_t fp, uint64_t hash)
{
	volatile struct gs_stack_slot *s = gs_stack_slot(slot);
	uint64_t at, pc;
	uint32_t n;

	if (!s)
		return hash;
	for (uint32_t i = 0; i < GS_STACK_WALK; i++) {
		/* 0 ends a goroutine's stack. C code uses the register for other things. */
		if (!fp || fp & 7 || s->rec.n >= GS_WIRE_STACK_MAX)
			break;
		s->at = fp - s->base;
		if (s->at > s->last && gs_stack_piece(slot, fp) < 0)
			break;
		at = s->at / 8 & (GS_STACK_PIECE / 8 - 1);
		pc = s->piece[at + 1];
		if (!pc)
			break;
		fp = s->piece[at];
		hash = gs_hash_step(hash, pc);
		n = s->rec.n;
		s->rec.pc[n & (GS_WIRE_STACK_MAX - 1)] = pc;
		s->rec.n = n + 1;
	}
	return hash;
}

#define GS_STACK_SYSTEM_MAX 20       /* frames of the system stack */
#define GS_STACK_FRAME_MAX (1 << 20) /* bytes */

/*
 * The same for the system stack, on which C code runs as well: frames that are there lie above each other, and anything else in the
 * frame pointer is not one. It ends where the goroutine's stack begins, if it gets there at all.
 */
__attribute__((noinline)) uint64_t gs_stack_walk_system(uint64_t slot, uint64_t fp, uint64_t sp,
							uint64_t hash)
{
	volatile struct gs_stack_slot *s = gs_stack_slot(slot);
	uint64_t at, pc;
	uint32_t n;

	if (!s)
		return hash;
	s->prev = sp - 8;
	for (uint32_t i = 0; i < GS_STACK_SYSTEM_MAX; i++) {
		if (fp & 7 || fp == s->join || fp <= s->prev || fp - s->prev > GS_STACK_FRAME_MAX)
			break;
		s->at = fp - s->base;
		if (s->at > s->last && gs_stack_piece(slot, fp) < 0)
			break;
		at = s->at / 8 & (GS_STACK_PIECE / 8 - 1);
		pc = s->piece[at + 1];
		if (!pc)
			break;
		s->prev = fp;
		fp = s->piece[at];
		hash = gs_hash_step(hash, pc);
		n = s->rec.n;
		s->rec.pc[n & (GS_WIRE_STACK_MAX - 1)] = pc;
		s->rec.n = n + 1;
	}
	return hash;
}

/* Stir @hash with the slot's frames. */
__attribute__((noinline)) uint64_t gs_stack_hash(uint64_t slot, uint64_t hash)
{
	volatile struct gs_stack_slot *s = gs_stack_slot(slot);

	if (!s)
		return hash;
	for (uint32_t i = 0; i < GS_WIRE_STACK_MAX; i++) {
		if (i >= s->rec.n)
			break;
		hash = gs_hash_step(hash, s->rec.pc[i]);
	}
	return hash;
}

/* Write the slot's stack out. @return negative: no room. */
GS_INLINE int gs_stack_send(struct gs_stack_slot *s, uint64_t hash)
{
	uint32_t zero = 0, size, n = s->rec.n;
	struct gs_hit h = {};

	h.c = bpf_map_lookup_elem(&counters, &zero);
	if (!h.c || n > GS_WIRE_STACK_MAX)
		return -1;
	h.now = bpf_ktime_get_ns();
	h.tid = (uint32_t)bpf_get_current_pid_tgid();
	size = __builtin_offsetof(struct gs_wire_stack, pc) + n * sizeof(uint64_t);
	gs_head_fill(&h, &s->rec.h, GS_WIRE_STACK, size, 0, 0, hash);
	if (n == GS_WIRE_STACK_MAX)
		s->rec.flags |= 1;
	return gs_output(&h, &ring_stack, GS_WIRE_RING_STACK, &s->rec.h, size);
}

/* The hash of the slot's stack, which the reader has been sent or is now. 0: there was no room. */
__attribute__((noinline)) uint64_t gs_stack_id(uint64_t slot, uint64_t hash)
{
	uint32_t set = (uint32_t)hash & (GS_STACK_SETS - 1);
	struct gs_stack_pair *seen = bpf_map_lookup_elem(&stacks_seen, &set);
	struct gs_stack_slot *s;

	if (!seen)
		return 0;
	if (seen->hash[0] == hash || seen->hash[1] == hash)
		return hash;
	s = gs_stack_slot(slot);
	if (!s || gs_stack_send(s, hash) < 0)
		return 0;
	seen->hash[1] = seen->hash[0];
	seen->hash[0] = hash;
	return hash;
}

GS_INLINE uint64_t gs_stack_missing(void)
{
	uint32_t zero = 0;
	struct gs_wire_counters *c = bpf_map_lookup_elem(&counters, &zero);

	if (c)
		c->stacks_missing++;
	return 0;
}

/*
 * The target's stack from its registers; @lr is 0 where the CPU keeps return addresses in memory. Slots of uprobes:
 * at the begin of a function, so the caller is the second frame. Others: anywhere.
 */
__attribute__((noinline)) uint64_t gs_stack_user(uint64_t slot, uint64_t sp, uint64_t fp,
						 uint64_t pc, uint64_t lr)
{
	uint64_t hash = gs_hash_step(1, pc), word;
	struct gs_stack_slot *s = gs_stack_slot(slot);

	if (!s)
		return gs_stack_missing();
	word = lr;
	/* Where the stack itself grows into new memory, the frames above are there. */
	if (gs_stack_piece(slot, sp) < 0 && slot != GS_SLOT_FAULT)
		return gs_stack_missing();
	if (!lr && s->base)
		word = s->piece[0];
	s->rec.pc[0] = pc;
	s->rec.n = 1;
	s->rec.flags = 0;
	s->rec.sp_word = 0;
	if (slot < GS_SLOT_USER_LEVELS) {
		s->rec.pc[1] = word;
		s->rec.n = 2;
		hash = gs_hash_step(hash, word);
	} else if (word >= gs_config.text_lo && word < gs_config.text_hi) {
		s->rec.sp_word = word;
		s->rec.flags = 4;
		hash = gs_hash_step(hash, ~word);
	}
	if (s->mode == GS_STACK_SYSTEM) {
		hash = gs_stack_walk_system(slot, fp, sp, hash);
		fp = s->join;
	}
	hash = gs_stack_walk(slot, fp, hash);
	return gs_stack_id(slot, hash ? hash : 1);
}

/* Stack at the begin of a function of the target (uprobe), the function itself first. */
GS_INLINE uint64_t gs_stack_at_entry(struct gs_regs *ctx, uint64_t mode, uint64_t join)
{
	uint64_t sp = GS_SP(ctx), fp = GS_FP(ctx), pc = GS_PC(ctx), lr = GS_LR(ctx), hash;
	uint32_t zero = 0, level;
	struct gs_stack_slots *slots;

	slots = bpf_map_lookup_elem(&stack_slots, &zero);
	if (!slots)
		return 0;
	level = __sync_fetch_and_add(&slots->busy, 1);
	if (level < GS_SLOT_USER_LEVELS) {
		slots->slot[level].mode = mode;
		slots->slot[level].join = join;
		hash = gs_stack_user(level, sp, fp, pc, lr);
	} else {
		hash = gs_stack_missing();
	}
	__sync_fetch_and_add(&slots->busy, -1);
	return hash;
}

GS_INLINE uint64_t gs_stack_at_begin(struct gs_regs *ctx)
{
	return gs_stack_at_entry(ctx, GS_STACK_ANY, 0);
}

/* Stack of the target's code that the current thread left for the kernel. */
GS_INLINE uint64_t gs_stack_of_thread(struct pt_regs *regs, uint32_t slot)
{
#if defined(__TARGET_ARCH_x86)
	return gs_stack_user(slot, regs->sp, regs->bp, regs->ip, 0);
#else
	return gs_stack_user(slot, regs->sp, regs->regs[29], regs->pc, regs->regs[30]);
#endif
}

/* Stack of the kernel's code that runs now. */
GS_INLINE uint64_t gs_stack_kernel(void *ctx, uint32_t slot)
{
	struct gs_stack_slot *s = gs_stack_slot(slot);
	uint64_t hash;
	long size;

	if (!s)
		return 0;
	size = bpf_get_stack(ctx, s->rec.pc, sizeof(s->rec.pc), 0);
	if (size <= 0)
		return gs_stack_missing();
	s->rec.n = (uint32_t)size / sizeof(uint64_t);
	s->rec.flags = 2;
	s->rec.sp_word = 0;
	hash = gs_stack_hash(slot, 2);
	return gs_stack_id(slot, hash ? hash : 1);
}

#endif
