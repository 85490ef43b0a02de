/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_TOP_H
#define GS_CLI_TOP_H

/* What the parts of `gosonde top` share: the source reads, columns make texts, batch and screen show. */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "analysis/top_rows.h"
#include "base/out.h"
#include "cli/cmd.h"
#include "model/result.h"
#include "runtime/rt.h"
#include "target/target.h"

#define GS_TOP_FILTER_MAX 128

struct gs_top_args {
	struct gs_common common;
	bool batch, system, invert;
	uint64_t iterations, limit;
	int64_t delay_ns;
	const char *group_by, *sort, *filter;
};

/* What the user looks at. */
struct gs_top_view {
	enum gs_top_group group;
	enum gs_top_column column;
	bool invert, system;
	bool has_scope; /* only goroutines of one creator or one state */
	enum gs_top_group scope_group;
	struct gs_top_key scope;
	char filter[GS_TOP_FILTER_MAX];
};

/* The process at the last refresh. */
struct gs_top_header {
	char name[64]; /* escaped */
	const struct gs_process *process;
	struct gs_rt_sched sched;
	uint64_t rss_bytes;
	uint32_t threads;
	double cpu_share; /* of one CPU, since the refresh before; negative: unknown */
	int64_t uptime_ns, read_ns;
	struct gs_incomplete_list missing;
};

struct gs_top {
	const struct gs_top_args *a;
	struct gs_target *target;
	struct gs_rt *rt;
	struct gs_top_rows *rows;
	struct gs_top_view view;
	struct gs_top_header header;
	uint64_t cpu_ticks;
	int64_t cpu_at_ns; /* 0: no refresh yet */
	uint32_t stacks;   /* highest stack id seen, which is what the reader remembers */
};

/** Open the target and its runtime. Failing, close with gs_top_close too. */
GS_CHECKED int gs_top_open(struct gs_top *t, struct gs_err *err);
void gs_top_close(struct gs_top *t);
/**
 * Read everything anew into the rows and the header, ordered and filtered as the view says.
 * Cost to the target: as one dump; it is not stopped.
 * @return 0; 1: the reader was opened anew, keys and scopes of before mean nothing any more.
 */
GS_CHECKED int gs_top_refresh(struct gs_top *t, struct gs_err *err);
/** Order and filter the rows that are there. */
void gs_top_reorder(struct gs_top *t);
/**
 * All about one goroutine as lines of text: state, labels, creator, whole stack.
 * @return 0; 1 if it has ended.
 */
GS_CHECKED int gs_top_detail(struct gs_top *t, uint64_t id, struct gs_out *ret, struct gs_err *err);

/** What a row still knows of a goroutine that has ended: its last stack and its creator. */
void gs_top_row_detail(const struct gs_top_row *row, struct gs_out *ret);

/** Ctrl-C or SIGTERM came. */
bool gs_top_interrupted(void);

enum gs_top_cell {
	GS_CELL_COUNT,
	GS_CELL_ID,
	GS_CELL_STATE,
	GS_CELL_WAIT,
	GS_CELL_THREAD,
	GS_CELL_FUNCTION,
	GS_CELL_CREATOR,
};

struct gs_top_cell_layout {
	enum gs_top_cell cell;
	const char *title;
	enum gs_top_column sort; /* what the column's order is called; COLUMN_COUNT: none */
	unsigned int width;
	bool right;
};

#define GS_TOP_CELLS_MAX 6

/** Columns of the table for a screen of @width (0: unlimited). @return how many. */
unsigned int gs_top_layout(enum gs_top_group group, unsigned int width,
			   struct gs_top_cell_layout ret[GS_TOP_CELLS_MAX]);
/** Text of one cell, cut to its width (@cut) and padded to it. */
void gs_top_print_cell(struct gs_out *o, const struct gs_top_cell_layout *l,
		       const struct gs_top_row *row, bool cut);
/** Line @i of the header without its end; false past the last. */
bool gs_top_header_line(struct gs_out *o, const struct gs_top *t, unsigned int i);

/** What to say where no row is. */
const char *gs_top_no_rows(const struct gs_top *t);

/** Print refreshes to the output until the arguments say enough. @return an exit code. */
int gs_top_batch(struct gs_top *t);
/** Show on the terminal until the user quits. @return an exit code. */
int gs_top_screen(struct gs_top *t);

#endif
