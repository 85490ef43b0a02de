/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_TOP_ROWS_H
#define GS_ANALYSIS_TOP_ROWS_H

/*
 * The table behind `gosonde top`: goroutines one by one or counted by stack, creator or state; sorted,
 * filtered. A table is filled anew at each refresh; with groups its memory grows with the number of
 * groups.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/cleanup.h"
#include "model/goroutine.h"

enum gs_top_group {
	GS_TOP_BY_STACK,
	GS_TOP_BY_CREATOR,
	GS_TOP_BY_STATE,
	GS_TOP_SINGLE,
	GS_TOP_GROUP_COUNT
};

enum gs_top_column {
	GS_TOP_COUNT, /* goroutines in the group; its id for a single one */
	GS_TOP_STATE,
	GS_TOP_WAIT,
	GS_TOP_FUNCTION,
	GS_TOP_CREATOR,
	GS_TOP_COLUMN_COUNT
};

/* One line of the table. Frames and stacks live as long as the reader that made them. */
struct gs_top_row {
	uint64_t count;
	uint64_t id; /* the goroutine, or the lowest id of the group */
	enum gs_goroutine_state state;
	const char *wait_reason; /* NULL unless all of the group have it */
	int64_t wait_ns;         /* the longest known of the group, -1 if none is known */
	int32_t thread_id;
	const struct gs_stack *stack;      /* NULL if the group has several */
	const struct gs_frame *created_by; /* NULL if unknown or several */
	const struct gs_frame *function;   /* the innermost that is not of the runtime, or NULL */
	bool mixed_state;                  /* the group has several states */
};

/** What makes a row the same row at the next refresh, and what a scope is made of. */
struct gs_top_key {
	const struct gs_stack *stack;
	const struct gs_frame *created_by;
	const char *wait_reason;
	enum gs_goroutine_state state;
	uint64_t id;
};

struct gs_top_rows;

struct gs_top_rows *gs_top_rows_new(void);
struct gs_top_rows *gs_top_rows_free(struct gs_top_rows *t);
GS_DEFINE_CLEANUP(struct gs_top_rows *, gs_top_rows_free)

/**
 * Empty the table and say how to fill it. With @scope only goroutines of that group of kind
 * @scope_group are taken.
 */
void gs_top_rows_begin(struct gs_top_rows *t, enum gs_top_group group,
		       const struct gs_top_key *scope, enum gs_top_group scope_group);
/** @return 0, -ENOMEM, or -GS_E_LIMIT beyond 16 million rows. */
GS_CHECKED int gs_top_rows_add(struct gs_top_rows *t, const struct gs_goroutine *g,
			       struct gs_err *err);
/** Order by @column, descending for numbers; @invert turns that around. Ties: lowest id first. Then
 *  keep only rows that match @filter (NULL or "": all): text in the id, state, wait reason, creator or
 *  any function of the stack, upper and lower case alike. */
void gs_top_rows_finish(struct gs_top_rows *t, enum gs_top_column column, bool invert,
			const char *filter);

uint32_t gs_top_rows_count(const struct gs_top_rows *t);
/** Row @i < count, in order. Valid until the next begin. */
const struct gs_top_row *gs_top_rows_at(const struct gs_top_rows *t, uint32_t i);
/** Rows before the filter. */
uint32_t gs_top_rows_total(const struct gs_top_rows *t);
/** Goroutines in each state, all that were added. */
const uint64_t *gs_top_rows_states(const struct gs_top_rows *t);

/** The key of a row. */
struct gs_top_key gs_top_row_key(enum gs_top_group group, const struct gs_top_row *row);
bool gs_top_key_equal(enum gs_top_group group, const struct gs_top_key *a,
		      const struct gs_top_key *b);
/** Whether @text is somewhere in a row; as the filter. */
bool gs_top_row_contains(const struct gs_top_row *row, const char *text);

/** The innermost frame that says what a goroutine is doing: not of the runtime, sync, internal/… unless
 *  there is nothing else. NULL for an empty stack. */
const struct gs_frame *gs_top_function(const struct gs_stack *s);

/** "stack", "creator", "state", "none", and "count", "state", "wait", "function", "creator". */
const char *gs_top_group_name(enum gs_top_group g);
const char *gs_top_column_name(enum gs_top_column c);

#endif
