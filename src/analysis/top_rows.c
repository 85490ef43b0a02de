/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Rows of `gosonde top`. Groups are found by their number in a table of stacks. Matching a
 * filter against all functions of a stack is remembered per stack.
 */
#include "analysis/top_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "model/stack_table.h"

#define ROWS_MAX (16u << 20)

struct gs_top_rows {
	enum gs_top_group group, scope_group;
	struct gs_top_key scope;
	bool has_scope;
	struct gs_top_row *row;
	uint32_t n, cap, shown;
	struct gs_stack_table table; /* of groups: number = row, until they are sorted */
	uint8_t *stack_match;        /* by stack id: 0 not asked, 1 no, 2 yes */
	uint32_t n_stack_match;
	uint64_t states[GS_G_STATE_COUNT];
};

const char *gs_top_group_name(enum gs_top_group g)
{
	static const char *const names[] = { "stack", "creator", "state", "none" };

	return names[g];
}

const char *gs_top_column_name(enum gs_top_column c)
{
	static const char *const names[] = { "count", "state", "wait", "function", "creator" };

	return names[c];
}

struct gs_top_rows *gs_top_rows_new(void)
{
	struct gs_top_rows *t = calloc(1, sizeof(*t));

	if (t)
		t->table.limit = ROWS_MAX;
	return t;
}

struct gs_top_rows *gs_top_rows_free(struct gs_top_rows *t)
{
	if (!t)
		return NULL;
	free(t->row);
	gs_stack_table_deinit(&t->table);
	free(t->stack_match);
	free(t);
	return NULL;
}

void gs_top_rows_begin(struct gs_top_rows *t, enum gs_top_group group,
		       const struct gs_top_key *scope, enum gs_top_group scope_group)
{
	t->group = group;
	t->has_scope = scope != NULL;
	if (scope)
		t->scope = *scope;
	t->scope_group = scope_group;
	t->n = t->shown = 0;
	gs_stack_table_clear(&t->table);
	memset(t->states, 0, sizeof(t->states));
}

/* Packages whose functions say how a goroutine waits, not what for. */
static bool is_plumbing(const char *function)
{
	static const char *const prefixes[] = { "runtime.",   "runtime/",     "internal/",
						"sync.",      "sync/atomic.", "syscall.",
						"time.",      "net.(*netFD)", "net.(*conn)",
						"os.(*File)", "io." };

	for (size_t i = 0; i < GS_ARRAY_SIZE(prefixes); i++) {
		if (strncmp(function, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}

const struct gs_frame *gs_top_function(const struct gs_stack *s)
{
	const struct gs_frame *first = NULL;

	for (uint32_t i = 0; i < s->n_frames; i++) {
		const struct gs_frame *f = &s->frames[i];

		if (f->flags & GS_FRAME_HIDDEN || !f->function[0])
			continue;
		if (!is_plumbing(f->function))
			return f;
		if (!first)
			first = f;
	}
	return first ? first : s->n_frames ? &s->frames[0] : NULL;
}

static struct gs_top_key key_of(enum gs_top_group group, const struct gs_goroutine *g)
{
	struct gs_top_key k = { 0 };

	switch (group) {
	case GS_TOP_SINGLE:
		k.id = g->id;
		break;
	case GS_TOP_BY_STACK:
		k.stack = g->stack;
		k.created_by = g->created_by;
		k.state = g->state;
		k.wait_reason = g->wait_reason;
		break;
	case GS_TOP_BY_CREATOR:
		k.created_by = g->created_by;
		break;
	case GS_TOP_BY_STATE:
	case GS_TOP_GROUP_COUNT:
		k.state = g->state;
		k.wait_reason = g->wait_reason;
		break;
	}
	return k;
}

struct gs_top_key gs_top_row_key(enum gs_top_group group, const struct gs_top_row *row)
{
	struct gs_goroutine g = {
		.id = row->id,
		.state = row->state,
		.wait_reason = row->wait_reason,
		.stack = row->stack,
		.created_by = row->created_by,
	};

	return key_of(group, &g);
}

bool gs_top_key_equal(enum gs_top_group group, const struct gs_top_key *a,
		      const struct gs_top_key *b)
{
	if (group == GS_TOP_SINGLE)
		return a->id == b->id;
	return a->stack == b->stack && a->created_by == b->created_by && a->state == b->state &&
	       a->wait_reason == b->wait_reason;
}

static int more_rows(struct gs_top_rows *t, struct gs_err *err)
{
	uint32_t cap = t->cap ? t->cap * 2 : 256;
	struct gs_top_row *row;

	if (cap > ROWS_MAX)
		return gs_fail(err, -GS_E_LIMIT, 0, "more than %u goroutines or groups", ROWS_MAX);
	row = gs_array_resize(t->row, cap, sizeof(*row));
	if (!row)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	t->row = row;
	t->cap = cap;
	return 0;
}

static struct gs_top_row make_row(const struct gs_top_rows *t, const struct gs_goroutine *g)
{
	bool by_creator = t->group == GS_TOP_BY_CREATOR, by_state = t->group == GS_TOP_BY_STATE;

	return (struct gs_top_row){
		.count = 1,
		.id = g->id,
		.state = g->state,
		.wait_reason = g->wait_reason,
		.wait_ns = g->wait_ns,
		.thread_id = g->thread_id,
		.stack = by_creator || by_state ? NULL : g->stack,
		.created_by = by_state ? NULL : g->created_by,
		.function = by_creator || by_state || !g->stack->n_frames
				    ? g->start
				    : gs_top_function(g->stack),
	};
}

static void join_row(struct gs_top_row *row, const struct gs_goroutine *g)
{
	row->count++;
	if (g->id < row->id)
		row->id = g->id;
	if (g->wait_ns > row->wait_ns)
		row->wait_ns = g->wait_ns;
	if (row->state != g->state || row->wait_reason != g->wait_reason)
		row->mixed_state = true;
	if (row->function != g->start && !row->stack)
		row->function = NULL;
}

/* The row of the group of @g. Creators are told apart by address, as gs_top_key_equal() does.
 * @return 0 it exists; 1 it is to be made; negative: failed. */
static int find_row(struct gs_top_rows *t, const struct gs_goroutine *g, uint32_t *ret,
		    struct gs_err *err)
{
	struct gs_top_key k = key_of(t->group, g);
	const struct gs_stack_key key = { .stack = (uint64_t)(uintptr_t)k.stack,
					  .kind = k.state,
					  .who = (uint64_t)(uintptr_t)k.created_by,
					  .text = k.wait_reason };

	return gs_stack_table_number(&t->table, &key, ret, err);
}

int gs_top_rows_add(struct gs_top_rows *t, const struct gs_goroutine *g, struct gs_err *err)
{
	uint32_t row;
	int r;

	if (t->has_scope) {
		struct gs_top_key in = key_of(t->scope_group, g);

		if (!gs_top_key_equal(t->scope_group, &in, &t->scope))
			return 0;
	}
	if (g->state < GS_G_STATE_COUNT)
		t->states[g->state]++;
	if (t->group != GS_TOP_SINGLE) {
		r = find_row(t, g, &row, err);
		if (r == 0)
			join_row(&t->row[row], g);
		if (r <= 0)
			return r;
	}
	r = t->n == t->cap ? more_rows(t, err) : 0;
	if (r == 0)
		t->row[t->n++] = make_row(t, g);
	return r;
}

static bool contains(const char *text, const char *part)
{
	return text && strcasestr(text, part) != NULL;
}

static bool frame_contains(const struct gs_frame *f, const char *part)
{
	return f && contains(f->function, part);
}

static bool stack_contains(const struct gs_stack *s, const char *part)
{
	for (uint32_t i = 0; s && i < s->n_frames; i++) {
		if (frame_contains(&s->frames[i], part))
			return true;
	}
	return false;
}

static bool row_contains_directly(const struct gs_top_row *row, const char *text)
{
	char id[24];

	snprintf(id, sizeof(id), "%" PRIu64, row->id);
	return strcmp(id, text) == 0 || contains(gs_goroutine_state_name(row->state), text) ||
	       contains(row->wait_reason, text) || frame_contains(row->created_by, text) ||
	       frame_contains(row->function, text);
}

bool gs_top_row_contains(const struct gs_top_row *row, const char *text)
{
	return row_contains_directly(row, text) || stack_contains(row->stack, text);
}

/* Room to remember answers for stacks up to @id; without it each row is searched anew. */
static bool remember(struct gs_top_rows *t, uint32_t id)
{
	uint32_t n = t->n_stack_match ? t->n_stack_match : 1024;
	uint8_t *m;

	if (id < t->n_stack_match)
		return true;
	if (id >= ROWS_MAX)
		return false;
	while (n <= id)
		n *= 2;
	m = gs_array_resize(t->stack_match, n, 1);
	if (!m)
		return false;
	memset(m + t->n_stack_match, 0, n - t->n_stack_match);
	t->stack_match = m;
	t->n_stack_match = n;
	return true;
}

static bool matches(struct gs_top_rows *t, const struct gs_top_row *row, const char *filter)
{
	uint8_t *known;

	if (row_contains_directly(row, filter))
		return true;
	if (!row->stack || !remember(t, row->stack->id))
		return stack_contains(row->stack, filter);
	known = &t->stack_match[row->stack->id];
	if (!*known)
		*known = stack_contains(row->stack, filter) ? 2 : 1;
	return *known == 2;
}

struct order {
	enum gs_top_column column;
	int sign;
	bool single;
};

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static const char *frame_name(const struct gs_frame *f)
{
	return f ? f->function : "";
}

static int compare_states(const struct gs_top_row *a, const struct gs_top_row *b)
{
	int r = strcmp(gs_goroutine_state_name(a->state), gs_goroutine_state_name(b->state));

	return r ? r
		 : strcmp(a->wait_reason ? a->wait_reason : "",
			  b->wait_reason ? b->wait_reason : "");
}

static int compare_rows(const void *pa, const void *pb, void *ctx)
{
	const struct gs_top_row *a = pa, *b = pb;
	const struct order *o = ctx;
	int r = 0;

	switch (o->column) {
	case GS_TOP_COUNT:
		r = o->single ? compare_u64(a->id, b->id) : compare_u64(b->count, a->count);
		break;
	case GS_TOP_STATE:
		r = compare_states(a, b);
		break;
	case GS_TOP_WAIT:
		r = (b->wait_ns > a->wait_ns) - (b->wait_ns < a->wait_ns);
		break;
	case GS_TOP_FUNCTION:
		r = strcmp(frame_name(a->function), frame_name(b->function));
		break;
	case GS_TOP_CREATOR:
	case GS_TOP_COLUMN_COUNT:
		r = strcmp(frame_name(a->created_by), frame_name(b->created_by));
		break;
	}
	return r ? r * o->sign : compare_u64(a->id, b->id);
}

void gs_top_rows_finish(struct gs_top_rows *t, enum gs_top_column column, bool invert,
			const char *filter)
{
	struct order o = { column, invert ? -1 : 1, t->group == GS_TOP_SINGLE };

	if (t->n_stack_match)
		memset(t->stack_match, 0, t->n_stack_match);
	t->shown = 0;
	for (uint32_t i = 0; i < t->n; i++) {
		struct gs_top_row row = t->row[i];

		if (filter && *filter && !matches(t, &row, filter))
			continue;
		/* Rows that do not match move behind the others and stay in the table. */
		t->row[i] = t->row[t->shown];
		t->row[t->shown++] = row;
	}
	if (t->shown)
		qsort_r(t->row, t->shown, sizeof(*t->row), compare_rows, &o);
}

uint32_t gs_top_rows_count(const struct gs_top_rows *t)
{
	return t->shown;
}

const struct gs_top_row *gs_top_rows_at(const struct gs_top_rows *t, uint32_t i)
{
	return &t->row[i];
}

uint32_t gs_top_rows_total(const struct gs_top_rows *t)
{
	return t->n;
}

const uint64_t *gs_top_rows_states(const struct gs_top_rows *t)
{
	return t->states;
}
