/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_WHY_CLASSES_H
#define GS_ANALYSIS_WHY_CLASSES_H

/* Which class each nanosecond of an interval belongs to. */
#include <stdbool.h>
#include <stdint.h>

#include "analysis/lives.h"
#include "analysis/stack_facts.h"
#include "model/why.h"

/* A piece of an interval that is of one class. */
struct gs_why_part {
	enum gs_why_class class;
	int64_t ns;
	bool kernel; /* on CPU: samples with a kernel stack are of this part, others not */
};

#define GS_WHY_PARTS 6

struct gs_why_classifier {
	const struct gs_lives *lives;
	struct gs_stack_book *book;
	const char *goarch;
};

/**
 * Split [@a, @b), which lies within @v, into classes. The sum of the parts is @b - @a, exactly. Where only a part of
 * what an interval used on a CPU is in [@a, @b), it is taken in proportion.
 * @return how many parts were set; none is empty.
 */
uint32_t gs_why_classify(const struct gs_why_classifier *c, const struct gs_interval *v, int64_t a,
			 int64_t b, struct gs_why_part ret[GS_WHY_PARTS]);

/** The class of a wait: by its reason, and where that is too coarse by its stack. @file: of a network wait; NULL or
 *  empty when not known. */
enum gs_why_class gs_why_wait_class(struct gs_stack_book *book, uint32_t stack, enum gs_wait wait,
				    char io_mode, const struct gs_file_ref *file);
/** The class of a thread's time off CPU up to its wake-up. @flags: GS_IVL_F_*; @syscall: -1 if in none; @file:
 *  as above. */
enum gs_why_class gs_why_off_class(struct gs_stack_book *book, const char *goarch, uint32_t stack,
				   uint16_t flags, int32_t syscall, const struct gs_file_ref *file);

/** The object a wait is for: the lock itself, not the semaphore word in it. */
gs_addr gs_why_object(enum gs_why_class class, enum gs_wait wait, const struct gs_stack_facts *f,
		      gs_addr word);

#endif
