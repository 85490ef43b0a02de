/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_STACK_H
#define GS_MODEL_STACK_H

#include <stdint.h>

#include <gosonde/types.h>

/* What is true of one line of a stack. */
enum {
	GS_FRAME_INLINED = 1, /* has been inlined into the next frame */
	GS_FRAME_HIDDEN =
		2, /* Go's own tracebacks leave it out by default (wrappers, runtime internals) */
	GS_FRAME_KERNEL = 4,
	GS_FRAME_FOREIGN = 8, /* not Go code: C, vDSO; function may be "" */
	GS_FRAME_WRAPPER =
		16, /* made by the compiler around another function: profiles leave it out */
};

/** One line of a stack, innermost first. Strings are raw (may be hostile) and borrowed. */
struct gs_frame {
	gs_addr pc;           /* instruction: where it stopped, or the return address of the call */
	gs_addr entry;        /* start of the physical function, 0 if unknown */
	const char *function; /* never NULL; "" if unknown */
	const char *file;     /* never NULL; "" if unknown */
	uint32_t line;        /* 0 if unknown */
	uint32_t flags;
};

/* How the walk of a stack ended. */
enum gs_stack_end {
	GS_STACK_COMPLETE = 0, /* reached the goroutine's first function */
	GS_STACK_NONE,         /* no stack: running on a CPU, not readable without stopping */
	GS_STACK_CUT,          /* a limit was reached; the frames are right as far as they go */
	GS_STACK_BROKEN,       /* a frame could not be resolved; right as far as they go */
	GS_STACK_TORN,         /* the goroutine moved on each attempt to read it */
};

/** A symbolised stack, shared by all goroutines that have it. Lives as long as what produced it. */
struct gs_stack {
	uint64_t hash; /* of the pcs and the end, stable within one process of gosonde */
	uint32_t id;   /* dense, from 0, in order of first appearance */
	uint32_t n_frames;
	enum gs_stack_end end;
	const struct gs_frame *frames;
};

#endif
