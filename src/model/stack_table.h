/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_STACK_TABLE_H
#define GS_MODEL_STACK_TABLE_H

/*
 * Numbers for what has a stack: goroutines in the same place, samples of a profile. Everything that is
 * counted by stack uses this table and keeps its counts in an array of its own, by number.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "model/stack.h"

/** What makes two things the same; members that do not matter are left zero. */
struct gs_stack_key {
	uint64_t stack; /* any number that stands for a stack */
	uint64_t kernel_stack;
	uint64_t kind;                /* state or class */
	uint64_t who;                 /* goroutine */
	uint64_t labels;              /* number of a set of labels */
	const struct gs_frame *frame; /* who created it …: told apart by pc, line and function */
	const char *text;             /* wait reason …: told apart by what it says */
};

/** Zero-initialised. Memory grows with the number of keys. */
struct gs_stack_table {
	struct gs_stack_key *keys; /* by number; what they point to is borrowed */
	uint32_t n, cap;
	struct gs_stack_slot *slots; /* open addressing, at most half full */
	uint32_t n_slots;            /* a power of two */
	uint32_t limit;              /* most keys; 0: 4 million */
};

/** Free what @t holds and leave it empty; the limit stays. */
void gs_stack_table_deinit(struct gs_stack_table *t);
/** Forget all keys but keep the memory for the next ones. */
void gs_stack_table_clear(struct gs_stack_table *t);
/**
 * The number of @k, from 0 in order of appearance. Allocates only when the table doubles.
 * @return 0 known; 1 new; -ENOMEM; -GS_E_LIMIT when it is new and the table is at its limit (@err may
 *         be NULL: callers that count the rest together ask often).
 */
GS_CHECKED int gs_stack_table_number(struct gs_stack_table *t, const struct gs_stack_key *k,
				     uint32_t *ret, struct gs_err *err);

#endif
