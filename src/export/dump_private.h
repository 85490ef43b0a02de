/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_DUMP_PRIVATE_H
#define GS_EXPORT_DUMP_PRIVATE_H

/*
 * What the formats of a dump share: the writer's common part, which frames are shown, and the cache
 * of rendered stacks. 100,000 goroutines have some hundred distinct stacks, so a format renders a
 * stack once, keeps the bytes under the stack's id and copies them for every goroutine that has it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/arena.h"
#include "base/out.h"
#include "export/dump.h"

/* Rendered texts kept at most; beyond that stacks are rendered again each time. */
#define GS__CACHE_BYTES ((size_t)64 << 20)
#define GS__CACHE_STACKS (4u << 20)
#define GS__CACHE_FRAMES 1024u

/** Bytes in the cache, or in the scratch buffer until the next rendering. */
struct gs__text {
	const char *p; /* NULL: not kept */
	uint32_t len;
	uint32_t split; /* a place in it, for formats that put something in the middle */
};

/** A frame that stands alone (who created a goroutine), rendered. */
struct gs__frame_text {
	struct gs_frame frame;
	struct gs__text text;
};

struct gs__cache {
	struct gs_arena *arena;
	struct gs__text *stacks; /* by stack id */
	uint32_t n_stacks;
	struct gs__frame_text *frames; /* direct mapped */
};

/** The common part of a writer; formats embed it as their first member. */
struct gs_dump_writer {
	struct gs_out *out;
	struct gs_dump_options o;
	unsigned int go_minor; /* of the target; 0 if unknown, which counts as the newest */
	struct gs_out scratch;
	struct gs_out name; /* a function name put together */
	struct gs__cache cache;
};

/** @return 0 or -ENOMEM. gs__writer_deinit() is right in any case. */
GS_CHECKED int gs__writer_init(struct gs_dump_writer *w, struct gs_out *out,
			       const struct gs_dump_options *o, const struct gs_process *p,
			       struct gs_err *err);
void gs__writer_deinit(struct gs_dump_writer *w);
/** The output's and the scratch buffers' sticky errors as a result. */
GS_CHECKED int gs__writer_check(const struct gs_dump_writer *w, struct gs_err *err);

/** True if the target's release is Go 1.@minor or later, or unknown. */
static inline bool gs__go_since(const struct gs_dump_writer *w, unsigned int minor)
{
	return w->go_minor == 0 || w->go_minor >= minor;
}

/** The name Go would show for @function, raw; valid until the next call. */
const char *gs__display_name(struct gs_dump_writer *w, const char *function, size_t *ret_len);

/**
 * Whether the hidden frames of @s are shown too: when all were asked for, and, like Go's own
 * traceback, when there would be nothing else to show.
 */
bool gs__show_hidden(const struct gs_dump_writer *w, const struct gs_stack *s);

/** The bytes kept for a stack; .p is NULL if there are none. */
static inline struct gs__text gs__stack_kept(const struct gs_dump_writer *w,
					     const struct gs_stack *s)
{
	return s->id < w->cache.n_stacks ? w->cache.stacks[s->id] : (struct gs__text){ 0 };
}

/** Keep what the scratch buffer holds for @s, if there is room. @return it, kept or not. */
struct gs__text gs__stack_keep(struct gs_dump_writer *w, const struct gs_stack *s, uint32_t split);

/** The bytes kept for a frame; .p is NULL if there are none. Compares contents, not pointers. */
struct gs__text gs__frame_kept(const struct gs_dump_writer *w, const struct gs_frame *f);
/** Keep what the scratch buffer holds for @f, if there is room. @return it, kept or not. */
struct gs__text gs__frame_keep(struct gs_dump_writer *w, const struct gs_frame *f, uint32_t split);

/** Empty the scratch buffer for a new rendering. */
static inline struct gs_out *gs__scratch(struct gs_dump_writer *w)
{
	w->scratch.len = 0;
	return &w->scratch;
}

#endif
