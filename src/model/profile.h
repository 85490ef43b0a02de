/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_PROFILE_H
#define GS_MODEL_PROFILE_H

/*
 * A profile: where a process spent its time, counted by mixed stack (kernel frames on top of the goroutine's
 * own), by what the time was spent on, and if asked for by goroutine and by pprof labels. Memory is bounded:
 * beyond the limit time is counted without its goroutine and labels, then without its stack.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/cleanup.h"
#include "model/goroutine.h"
#include "model/result.h"
#include "model/stack.h"
#include "model/why.h"

enum gs_profile_kind {
	GS_PROFILE_CPU = 1, /* on a CPU, sampled */
	GS_PROFILE_OFF_CPU, /* all else of goroutines' lives, measured */
	GS_PROFILE_WALL,    /* both */
};

/** What time is counted by. Stacks are numbers of an event source, 0: none. */
struct gs_profile_key {
	uint32_t stack, kernel_stack;
	const struct gs_frame *start; /* first function, for goroutines that have no stack yet */
	uint64_t goid;                /* 0: not by goroutine */
	uint32_t labels;              /* of gs_profile_labels(), 0: none */
	enum gs_why_class class;
};

/** One line of a profile. Everything it points to lives as long as the profile and its source. */
struct gs_profile_sample {
	struct gs_profile_key key;
	const struct gs_stack *stack;        /* NULL: not known */
	const struct gs_stack *kernel_stack; /* NULL: none */
	const struct gs_label *labels;
	uint32_t n_labels;
	bool other;     /* of all stacks beyond the limit */
	uint32_t order; /* of first appearance */
	uint64_t count; /* samples, or times it was off CPU */
	int64_t ns;
};

struct gs_profile_totals {
	uint64_t count;
	int64_t ns;
	uint64_t on_cpu_count;
	int64_t on_cpu_ns;
	uint64_t no_goroutine; /* times counted without goroutine and labels, for lack of room */
	uint64_t no_stack;     /* … and without stack */
	uint64_t labels_dropped;
};

struct gs_profile;

/** True for what was sampled on a CPU. */
static inline bool gs_profile_on_cpu(enum gs_why_class c)
{
	return c == GS_WHY_CPU_USER || c == GS_WHY_CPU_KERNEL;
}

/** An empty profile of at most @limit lines (0: 131072) beside one for the rest of each class. NULL when
 *  out of memory. */
struct gs_profile *gs_profile_new(enum gs_profile_kind kind, uint32_t limit);
struct gs_profile *gs_profile_free(struct gs_profile *p);
GS_DEFINE_CLEANUP(struct gs_profile *, gs_profile_free)

/** The number of a set of labels, for a key; they are copied. 0 for none, and when there are too many
 *  different ones (counted). Allocates only for new ones. */
uint32_t gs_profile_labels(struct gs_profile *p, const struct gs_label *labels, uint32_t n);
/** Count @count times and @ns; negative times count as none. Allocates only when lines double.
 *  @return 0 or -ENOMEM. */
GS_CHECKED int gs_profile_add(struct gs_profile *p, const struct gs_profile_key *k, uint64_t count,
			      int64_t ns, struct gs_err *err);

/** End the adding and find the stacks of all lines with @stack. @return 0 or -ENOMEM. */
GS_CHECKED int gs_profile_finish(struct gs_profile *p,
				 const struct gs_stack *(*stack)(void *ctx, uint32_t id), void *ctx,
				 struct gs_err *err);
/** The lines, most time first; of a finished profile. Borrowed. */
const struct gs_profile_sample *gs_profile_samples(const struct gs_profile *p, uint32_t *ret_n);
enum gs_profile_kind gs_profile_kind(const struct gs_profile *p);
const struct gs_profile_totals *gs_profile_totals(const struct gs_profile *p);

/** What a file of a profile says beside the samples. */
struct gs_profile_facts {
	const struct gs_process *process;
	const struct gs_incomplete_list *incomplete;
	int64_t begin_unix_ns, duration_ns;
	int64_t period_ns; /* of on-CPU samples; 0: none were taken */
	bool all_frames; /* also frames that say nothing: compiler's wrappers, how the runtime parks */
};

#endif
