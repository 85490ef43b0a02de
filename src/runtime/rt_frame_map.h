/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_FRAME_MAP_H
#define GS_RUNTIME_RT_FRAME_MAP_H

/* The stack map that holds at a pc. */
#include "runtime/rt_private.h"

enum gs__frame_kind {
	GS__FRAME_NORMAL,
	GS__FRAME_DEAD,        /* above sigpanic, without deferred calls */
	GS__FRAME_INTERRUPTED, /* asyncPreempt, debugCall: it and its caller are conservative */
	GS__FRAME_REFLECT,     /* makeFuncStub, methodValueCall */
	GS__FRAME_BROKEN,      /* its maps cannot be read */
};

/* What a pc says about its frame. Lives in the arena. */
struct gs__frame_map {
	struct gs_go_bitmap locals, args;
	const struct gs__stack_object *objects;
	uint32_t n_objects;
	uint32_t args_bytes; /* 0: none or not known */
	enum gs__frame_kind kind;
	bool no_locals, args_broken; /* have no map */
};

struct gs__stack_object {
	int32_t offset;
	uint32_t size, ptr_bytes;
	const uint8_t *mask; /* NULL: every word may be a pointer */
};

/** The call that the frame of @p waits for, or goes on behind. 0: it goes on nowhere. */
gs_addr gs__call_of(const struct gs__pc *p);
/** What is alive there. NULL: no memory. */
const struct gs__frame_map *gs__frame_map_of(struct gs_rt *rt, const struct gs__pc *p);

#endif
