/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_ROOTS_H
#define GS_RUNTIME_RT_ROOTS_H

/*
 * Where marking the Go heap begins (runtime/mgcmark.go): global variables, stacks, finalizers; and what goroutines
 * wait for. Stacks of goroutines that stand at a call are read with the compiler's stack maps, so dead slots do not
 * count; those that run or were preempted between calls conservatively.
 */
#include "runtime/rt.h"

struct gs_rt_heap;

/** A word that may be a pointer, and where it stands (0: nowhere in memory). */
struct gs_rt_pointer {
	gs_addr slot, value;
};
/** Takes a batch. Non-zero ends the visit and is returned. */
typedef int gs_rt_pointers_fn(void *ctx, const struct gs_rt_pointer *p, size_t n);

/* What a goroutine is blocked on, as far as a leak can be told (runtime.waitReason.isMutexWait … of 1.26). */
enum gs_rt_block {
	GS_RT_BLOCK_NONE =
		0, /* runs, is runnable, or waits for something that may come from outside */
	GS_RT_BLOCK_CHAN_SEND,
	GS_RT_BLOCK_CHAN_RECEIVE,
	GS_RT_BLOCK_CHAN_NIL, /* send or receive on a nil channel: for ever */
	GS_RT_BLOCK_SELECT,
	GS_RT_BLOCK_SELECT_NONE, /* select {}: for ever */
	GS_RT_BLOCK_MUTEX,
	GS_RT_BLOCK_RWMUTEX,
	GS_RT_BLOCK_WAITGROUP,
	GS_RT_BLOCK_COND,
};
/** "chan send", "select", … */
const char *gs_rt_block_name(enum gs_rt_block b);

/** A goroutine, as marking needs it. */
struct gs_rt_g {
	uint64_t goid;
	gs_addr g, stack_lo, stack_hi;
	gs_addr sp, pc;        /* where it stands; 0 while it runs */
	int64_t waitsince;     /* as the runtime stamps it: 0 not known */
	uint32_t first_object; /* what it waits for: see gs_rt_gs_objects() */
	uint16_t n_objects;
	uint8_t state;        /* enum gs_goroutine_state */
	uint8_t wait_reason;  /* number of the release */
	uint8_t block;        /* enum gs_rt_block */
	uint8_t tracking_seq; /* another each time it stopped running (g.trackingSeq; modulo 256) */
	bool system, main;    /* the runtime's own; runs main.main */
	bool objects_unknown; /* blocked, but on what could not be read */
	bool torn;            /* changed while it was read: to be treated as running */
};

/** One thing a goroutine waits for. */
struct gs_rt_wait_object {
	gs_addr object; /* hchan, semaphore word or notifyList; 0: a nil channel */
	gs_addr sudog;
};

struct gs_rt_gs; /* all goroutines of a moment */

/**
 * Read all goroutines and what they wait for. A select of nothing but nil channels is GS_RT_BLOCK_SELECT_NONE.
 * Waits for locks up to Go 1.25 are found in the frame of the function that sleeps; a Cond's object is 0 and
 * objects_unknown set if its notifyList was not found. Memory: 80 bytes a goroutine. @return 0 or negative.
 */
GS_CHECKED int gs_rt_gs_read(struct gs_rt *rt, struct gs_rt_gs **ret,
			     struct gs_incomplete_list *inc, struct gs_err *err);
struct gs_rt_gs *gs_rt_gs_free(struct gs_rt_gs *gs);
GS_DEFINE_CLEANUP(struct gs_rt_gs *, gs_rt_gs_free)
/** In the order of allgs, without dead ones; borrowed. */
const struct gs_rt_g *gs_rt_gs_all(const struct gs_rt_gs *gs, uint32_t *ret_n);
const struct gs_rt_wait_object *gs_rt_gs_objects(const struct gs_rt_gs *gs,
						 const struct gs_rt_g *g);
/** What marking must not look into, sorted: all sudogs that hang on goroutines or semaphores, for they lead from a goroutine
 *  to what it waits for; and all Ps, for their buffers are full of stale pointers (gs_rt_global_roots tells
 *  what else they point to). */
const gs_addr *gs_rt_gs_sudogs(const struct gs_rt_gs *gs, uint32_t *ret_n);

/** Pointers in data and bss of all modules, by the linker's pointer masks, and in Ps. runtime.semtable is among them:
 *  it leads to sudogs only. */
GS_CHECKED int gs_rt_global_roots(struct gs_rt *rt, gs_rt_pointers_fn *visit, void *ctx,
				  struct gs_incomplete_list *inc, struct gs_err *err);
/** What finalizers, cleanups and other specials keep alive (markrootSpans). */
GS_CHECKED int gs_rt_special_roots(struct gs_rt *rt, const struct gs_rt_heap *h,
				   gs_rt_pointers_fn *visit, void *ctx,
				   struct gs_incomplete_list *inc, struct gs_err *err);
/**
 * Registers and system stacks of threads that schedule or handle a signal, of a target that stands still; nothing of
 * others. Belongs to gs_rt_stack_roots(), which does the same for threads that run goroutines.
 */
GS_CHECKED int gs_rt_thread_roots(struct gs_rt *rt, const struct gs_rt_gs *gs,
				  gs_rt_pointers_fn *visit, void *ctx,
				  struct gs_incomplete_list *inc, struct gs_err *err);
/**
 * Pointers on the stack of goroutines @which[0..n) (numbers in gs_rt_gs_all), read in batches. @visit is told with
 * gs_rt_stack_fn whose they are. Of one that runs, the registers count too if the target stood still when @gs was read,
 * else are not known. @precise false: every word of the used part, for comparison.
 */
typedef int gs_rt_stack_fn(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n);
GS_CHECKED int gs_rt_stack_roots(struct gs_rt *rt, const struct gs_rt_gs *gs, const uint32_t *which,
				 uint32_t n, bool precise, gs_rt_stack_fn *visit, void *ctx,
				 struct gs_incomplete_list *inc, struct gs_err *err);

/** A frame of a stack that stands still. */
struct gs_rt_stack_frame {
	gs_addr pc; /* inside of the call that it waits for; 0: it was interrupted, or nothing of it is alive */
	gs_addr cfa; /* sp of its caller before the call, as DWARF counts: the frame ends here, its arguments begin */
};
/** A stack and its frames, in the order of addresses. Borrowed until the visitor is told of another one. */
struct gs_rt_stack_view {
	gs_addr at;
	const uint8_t *bytes;
	uint32_t len;
	const struct gs_rt_stack_frame *frame;
	uint32_t n_frames;
};
typedef int gs_rt_frames_fn(void *ctx, uint32_t which, const struct gs_rt_stack_view *v);
/**
 * The same as gs_rt_stack_roots(), precise; before the pointers of a goroutine that stands still, @frames is told its frames.
 * Others have none. @visit may be NULL: only frames then, and nothing is added to @inc.
 */
GS_CHECKED int gs_rt_stack_frames(struct gs_rt *rt, const struct gs_rt_gs *gs,
				  const uint32_t *which, uint32_t n, gs_rt_frames_fn *frames,
				  gs_rt_stack_fn *visit, void *ctx, struct gs_incomplete_list *inc,
				  struct gs_err *err);

/** A span that a P allocates from. */
struct gs_rt_young {
	gs_addr start;
	uint64_t bytes; /* that were handed out */
};
/** Spans with pointers that Ps allocate from now, at most @max. Cost to the target: some reads for all Ps together.
 *  @return their number, 0 also where the release does not tell; negative. */
GS_CHECKED int gs_rt_young_spans(const struct gs_rt *rt, const gs_addr *ps, uint32_t n_ps,
				 struct gs_rt_young *ret, uint32_t max, struct gs_err *err);

#endif
