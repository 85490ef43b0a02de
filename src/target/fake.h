/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TARGET_FAKE_H
#define GS_TARGET_FAKE_H

/* A target made by a test: pieces of memory with holes, optional image, faults on demand. */
#include "target/target.h"

GS_CHECKED int gs_target_fake_new(enum gs_arch arch, struct gs_target **ret, struct gs_err *err);
/** Map @len bytes at @addr; copied. Overlapping pieces: the later one wins. */
GS_CHECKED int gs_target_fake_map(struct gs_target *t, gs_addr addr, const void *bytes, size_t len,
				  struct gs_err *err);
/** The executable; taken over, freed with the target. */
void gs_target_fake_image_take(struct gs_target *t, struct gs_image *img, uint64_t bias);
/** The @nth read piece from now fails (0: none); counts down over all reads. */
void gs_target_fake_fail_nth(struct gs_target *t, uint64_t nth);
/** Called before every read; may change memory, to play a target that moves. */
void gs_target_fake_on_read(struct gs_target *t,
			    void (*fn)(void *ctx, struct gs_target *t, gs_addr addr, size_t len),
			    void *ctx);
/** What gs_target_now_ns says. */
void gs_target_fake_now(struct gs_target *t, int64_t now_ns);
/** Threads with registers. Copied. */
GS_CHECKED int gs_target_fake_threads(struct gs_target *t, const struct gs_thread *threads,
				      size_t n, struct gs_err *err);

#endif
