/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_GOROUTINE_H
#define GS_MODEL_GOROUTINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/types.h>

#include "model/stack.h"

/** States as the runtime names them (gStatusStrings in runtime/traceback.go). */
enum gs_goroutine_state {
	GS_G_IDLE = 0,
	GS_G_RUNNABLE,
	GS_G_RUNNING,
	GS_G_SYSCALL,
	GS_G_WAITING,
	GS_G_DEAD,
	GS_G_COPYSTACK,
	GS_G_PREEMPTED,
	GS_G_LEAKED,    /* 1.26 and later: verdict of the last leak-detecting GC */
	GS_G_DEADEXTRA, /* 1.26 and later: g of an idle extra M */
	GS_G_STATE_COUNT
};

/** "running", "syscall", …; "unknown" for anything else. */
const char *gs_goroutine_state_name(enum gs_goroutine_state s);
/** @return 0 and *ret, or -1 if no state is called that. */
int gs_goroutine_state_parse(const char *name, enum gs_goroutine_state *ret);

/** One pprof label. Raw, borrowed, not NUL-terminated. */
struct gs_label {
	const char *key, *value;
	uint32_t key_len, value_len;
};

/**
 * A goroutine as seen at one moment. Valid during the visit it is passed to; the stack, the frames
 * and the strings they hold live as long as the reader (runtime) that produced them.
 */
struct gs_goroutine {
	uint64_t id;        /* goid */
	uint64_t parent_id; /* 0 if unknown (before 1.21) or none */
	enum gs_goroutine_state state;
	bool scan;                    /* the GC is scanning its stack */
	bool system;                  /* the runtime's own, hidden by Go's tracebacks */
	bool locked;                  /* locked to a thread (runtime.LockOSThread) */
	bool moved;                   /* seen moving: state and stack may be of different moments */
	const char *wait_reason;      /* NULL unless waiting or leaked */
	int64_t wait_ns;              /* how long, as the runtime knows; -1 if it does not */
	int32_t thread_id;            /* kernel thread it is on or locked to, 0 if none */
	int64_t m_id, p_id;           /* -1 if none */
	uint64_t bubble_id;           /* synctest bubble, 0 if none */
	const struct gs_stack *stack; /* never NULL; n_frames may be 0 */
	const struct gs_frame *created_by; /* NULL for the first goroutine and unknown */
	const struct gs_frame *start;      /* its first function; NULL if unknown */
	const struct gs_label *labels;
	uint32_t n_labels;
	const char *const *args; /* with arguments asked for: text per frame, or NULL */
	gs_addr g;               /* address of the runtime's structure; no identity */
};

#endif
