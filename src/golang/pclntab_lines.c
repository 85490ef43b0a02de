/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the function table knows about single instructions.
 *
 * A pc table is a run of (value delta: zigzag varint, pc delta: varint in units of minLC). The value
 * starts at -1, the pc at the function's entry; a value holds from one pc up to the next. A value
 * delta of 0 ends the table, except as the first one (cmd/internal/obj/pcln.go funcpctab,
 * runtime.step). Varints are 32 bits wide and wrap.
 *
 * Inlining (runtime/symtabinl.go): PCDATA_InlTreeIndex at a pc is an index into FUNCDATA_InlTree, -1
 * for code of the function itself. The record names the function that was inlined and a pc whose
 * file, line and index are those of the call: so the expansion goes on from that pc. The runtime does
 * the same in every release; the file and line that records had until 1.19 are not read by it either.
 *
 * Hostile tables cannot make it long: steps are bounded per look-up, levels by the caller's array.
 */
#include <errno.h>

#include "golang/pclntab_private.h"

/* More steps than the largest real functions have (about ten bytes of code per step). */
#define STEPS_MAX (1u << 20)

/* runtime.readvarint: 32 bits, higher ones fall off; at most 8 bytes instead of endless. */
static int varint(struct gs_cursor *c, uint32_t *ret, struct gs_err *err)
{
	uint32_t v = 0;
	uint8_t b;
	int r;

	for (unsigned int shift = 0; shift < 56; shift += 7) {
		r = gs_cursor_u8(c, &b, err);
		if (r < 0)
			return r;
		if (shift < 32)
			v |= (uint32_t)(b & 0x7f) << shift;
		if (b < 0x80) {
			*ret = v;
			return 0;
		}
	}
	return gs_fail(err, -GS_E_BAD_DATA, gs_cursor_offset(c),
		       "%s: a number of a pc table has no end", c->what);
}

/* Value at @pc of the pc table that starts at @table in pctab (runtime.pcvalue). @return 0; 1 if the
 * function has no such table or it does not reach @pc. */
GS_CHECKED static int pc_value(const struct gs_go_pclntab *t, const struct gs_go_func *f,
			       uint32_t table, gs_addr pc, int32_t *ret, struct gs_err *err)
{
	struct gs_cursor c = t->pctab;
	uint64_t target = pc - f->entry, at = 0;
	uint32_t value = UINT32_MAX, delta;
	int r;

	if (table == 0 || pc < f->entry)
		return 1;
	r = gs_cursor_seek(&c, table, err);
	if (r < 0)
		return r;
	for (uint32_t step = 0; step < STEPS_MAX; step++) {
		r = varint(&c, &delta, err);
		if (r < 0)
			return r;
		if (delta == 0 && step != 0)
			return 1;
		value += (delta >> 1) ^ -(delta & 1);
		r = varint(&c, &delta, err);
		if (r < 0)
			return r;
		if (delta == 0 && step != 0) // never written: every step covers code
			return gs_fail(err, -GS_E_BAD_DATA, gs_cursor_offset(&c),
				       "%s: a pc table stands still", c.what);
		at += (uint64_t)delta * t->quantum;
		if (target < at) {
			*ret = (int32_t)value;
			return 0;
		}
	}
	return gs_fail(err, -GS_E_LIMIT, table, "%s: a pc table has more than %u steps", c.what,
		       STEPS_MAX);
}

/* Highest value of the pc table at @table; -1 if it has none. *io_steps are left for the caller. */
static int pc_max(const struct gs_go_pclntab *t, uint32_t table, int32_t *ret, uint64_t *io_steps,
		  struct gs_err *err)
{
	struct gs_cursor c = t->pctab;
	uint32_t value = UINT32_MAX, delta;
	int32_t max = -1;
	bool first = true;
	int r;

	r = gs_cursor_seek(&c, table, err);
	while (r == 0) {
		r = varint(&c, &delta, err);
		if (r < 0 || (delta == 0 && !first))
			break;
		if ((*io_steps)-- == 0)
			return gs_fail(err, -GS_E_LIMIT, table, "%s: too many steps in pc tables",
				       c.what);
		value += (delta >> 1) ^ -(delta & 1);
		if ((int32_t)value > max)
			max = (int32_t)value;
		first = false;
		r = varint(&c, &delta, err);
	}
	if (r == 0)
		*ret = max;
	return r;
}

int gs_go_sp_delta(const struct gs_go_pclntab *t, const struct gs_go_func *f, gs_addr pc,
		   int32_t *ret, struct gs_err *err)
{
	int r = pc_value(t, f, f->pcsp, pc, ret, err);

	if (r > 0)
		return gs_fail(err, -GS_E_BAD_DATA, pc,
			       "%s: the function table has no stack depth for pc %#" PRIx64,
			       t->pctab.what, pc);
	return r;
}

int gs_go_pcdata(const struct gs_go_pclntab *t, const struct gs_go_func *f, unsigned int table,
		 gs_addr pc, int32_t *ret, struct gs_err *err)
{
	uint32_t start;
	int r = 1;

	if (table < f->npcdata) {
		r = gs__go_u32_at(&t->pcln,
				  (uint64_t)f->offset + t->record_bytes + (uint64_t)table * 4,
				  &start, err);
		if (r == 0)
			r = pc_value(t, f, start, pc, ret, err);
		if (r < 0)
			return r;
	}
	if (r > 0)
		*ret = -1;
	return 0;
}

int gs_go_funcdata(const struct gs_go_pclntab *t, const struct gs_go_func *f, unsigned int i,
		   struct gs_cursor *ret, struct gs_err *err)
{
	struct gs_cursor c = t->gofunc;
	uint32_t off;
	int r;

	if (i >= f->nfuncdata || gs_cursor_size(&t->gofunc) == 0)
		return 1;
	r = gs__go_u32_at(&t->pcln, f->offset + t->record_bytes + ((uint64_t)f->npcdata + i) * 4,
			  &off, err);
	if (r < 0)
		return r;
	if (off == UINT32_MAX)
		return 1;
	r = gs_cursor_seek(&c, off, err);
	if (r < 0)
		return r;
	return gs_cursor_sub(&c, gs_cursor_left(&c), ret, err);
}

/* File and line at @pc, "?" and 0 where the table has none (runtime.funcline1). */
static int file_line(const struct gs_go_pclntab *t, const struct gs_go_func *f, gs_addr pc,
		     struct gs_go_line *l, struct gs_err *err)
{
	int32_t file = -1, line = -1;
	uint32_t name;
	size_t len;
	int r;

	l->file = "?";
	l->line = 0;
	r = pc_value(t, f, f->pcfile, pc, &file, err);
	if (r < 0)
		return r;
	r = pc_value(t, f, f->pcln, pc, &line, err);
	if (r < 0)
		return r;
	if (file < 0 || line < 0)
		return 0;
	r = gs__go_u32_at(&t->cutab, ((uint64_t)f->cu_offset + (uint32_t)file) * 4, &name, err);
	if (r < 0)
		return r;
	if (name == UINT32_MAX)
		return 0;
	r = gs__go_string(&t->files, name, &l->file, &len, err);
	if (r < 0)
		return r;
	l->line = (uint32_t)line;
	return 0;
}

/* Record @index of the inline tree: name, start line, kind, and the pc of the call. */
static int inlined_call(const struct gs_go_pclntab *t, const struct gs_cursor *tree, int32_t index,
			struct gs_go_line *l, uint32_t *ret_parent_pc, struct gs_err *err)
{
	// 1.18: i16 parent, u8 funcID, u8, i32 file, line, name, parentPc; 1.20: u8 funcID, 3 pad,
	// i32 name, parentPc, startLine
	bool old = t->inline_bytes == 20;
	struct gs_cursor c;
	uint32_t name;
	uint8_t id = 0;
	size_t len;
	int r;

	r = gs_cursor_window(tree, (uint64_t)(uint32_t)index * t->inline_bytes, t->inline_bytes, &c,
			     err);
	if (r == 0)
		r = gs_cursor_skip(&c, old ? 2 : 0, err);
	if (r == 0)
		r = gs_cursor_u8(&c, &id, err);
	if (r == 0)
		r = gs_cursor_skip(&c, old ? 9 : 3, err);
	if (r == 0)
		r = gs_cursor_u32(&c, &name, err);
	if (r == 0)
		r = gs_cursor_u32(&c, ret_parent_pc, err);
	if (r == 0 && !old)
		r = gs_cursor_u32(&c, &l->start_line, err);
	if (r == 0)
		r = gs__go_string(&t->names, name, &l->function, &len, err);
	if (r < 0)
		return r;
	l->id = gs__go_funcid(t->minor, id, l->function);
	l->inlined = true;
	return 0;
}

int gs_go_lines(const struct gs_go_pclntab *t, const struct gs_go_func *f, gs_addr pc,
		struct gs_go_line *ret, int max, struct gs_err *err)
{
	struct gs_cursor tree;
	int have_tree, n = 0, r;

	if (max < 1)
		return gs_fail(err, -EINVAL, 0, "no room for a line");
	have_tree = gs_go_funcdata(t, f, GS_GO_FUNCDATA_INL_TREE, &tree, err);
	if (have_tree < 0)
		return have_tree;
	while (n < max) {
		struct gs_go_line *l = &ret[n++];
		uint32_t parent_pc = 0;
		int32_t index = -1;

		*l = (struct gs_go_line){ .function = f->name,
					  .entry = f->entry,
					  .start_line = f->start_line,
					  .id = f->id };
		r = file_line(t, f, pc, l, err);
		if (r == 0 && have_tree == 0)
			r = gs_go_pcdata(t, f, GS_GO_PCDATA_INL_TREE, pc, &index, err);
		if (r == 0 && index >= 0) {
			l->start_line = 0;
			r = inlined_call(t, &tree, index, l, &parent_pc, err);
		}
		if (r < 0)
			return r;
		l->wrapper = l->id == GS_GO_FUNC_WRAPPER;
		if (index < 0)
			break;
		pc = f->entry + parent_pc;
	}
	return n;
}

/* What gs_go_inlined() looks for, and how much work is left: 100 MB of real tables take a tenth. */
struct inline_search {
	const struct gs_go_pclntab *t;
	gs_go_inlined_fn *visit;
	void *ctx;
	uint64_t steps, records;
};

static int visit_tree(struct inline_search *s, const struct gs_go_func *f, struct gs_err *err)
{
	const struct gs_go_pclntab *t = s->t;
	uint32_t table, parent_pc;
	struct gs_cursor tree;
	int32_t max;
	int r;

	if (GS_GO_PCDATA_INL_TREE >= f->npcdata)
		return 0;
	r = gs_go_funcdata(t, f, GS_GO_FUNCDATA_INL_TREE, &tree, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = gs__go_u32_at(&t->pcln,
			  (uint64_t)f->offset + t->record_bytes +
				  (uint64_t)GS_GO_PCDATA_INL_TREE * 4,
			  &table, err);
	if (r < 0 || table == 0)
		return r;
	r = pc_max(t, table, &max, &s->steps, err);
	for (int32_t i = 0; r == 0 && i <= max; i++) {
		struct gs_go_line l = { .function = NULL };

		if (s->records-- == 0)
			return gs_fail(err, -GS_E_LIMIT, f->entry, "%s: too many inlined calls",
				       t->pcln.what);
		r = inlined_call(t, &tree, i, &l, &parent_pc, err);
		if (r == 0)
			r = s->visit(s->ctx, l.function, f);
	}
	return r;
}

int gs_go_inlined(const struct gs_go_pclntab *t, gs_go_inlined_fn *visit, void *ctx,
		  struct gs_err *err)
{
	struct inline_search s = {
		.t = t, .visit = visit, .ctx = ctx, .steps = 1u << 28, .records = 1u << 25
	};
	struct gs_go_func f;
	int r = 0;

	for (uint32_t i = 0; i < t->nfunc && r == 0; i++) {
		r = gs_go_func_at(t, i, &f, err);
		if (r == 0)
			r = visit_tree(&s, &f, err);
	}
	return r;
}
