/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_FRAME_WORDS_H
#define GS_EXPORT_FRAME_WORDS_H

/* Frames of stacks as text, in JSON and in folded stacks. @go_minor is the minor release of the program's Go, 0 if unknown. */
#include <stddef.h>

#include "base/out.h"
#include "model/stack.h"

/** The function's name as Go shows it, raw. */
void gs__put_function(struct gs_out *o, const struct gs_frame *f, unsigned int go_minor);
/** "store.(*Ledger).flush ledger.go:77": without the path of its package, escaped. */
void gs__put_frame(struct gs_out *o, const struct gs_frame *f, unsigned int go_minor);

/** A name without the two separators of folded stacks, ";" and " ", and fit for a terminal. */
void gs__put_folded(struct gs_out *o, const char *s, size_t n);

struct gs_json;
/** {"function","file","line","pc"}, of the kernel {"function","kernel"}; with "inlined" and "foreign" where they are true. */
void gs__frame_json(struct gs_json *j, const struct gs_frame *f, unsigned int go_minor);
/** Key and array; wrappers that the compiler made are left out. */
void gs__frames_json(struct gs_json *j, const char *key, const struct gs_frame *f, uint32_t n,
		     unsigned int go_minor);

#endif
