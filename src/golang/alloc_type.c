/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Follows the register of a call's argument backwards through the function until it is loaded. Where paths meet, all are
 * followed, and all must have loaded the same. What is not followed is unknown, and then nothing is told: functions whose entry
 * is reached with the register unwritten, loads from memory (dictionaries of generic code, the stack), and calls, which
 * keep no register in Go. Jumps through tables are not seen; the compiler makes no call that gets its type in different
 * places, so what the other paths say holds there too.
 */
#include "golang/alloc_type.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/search.h"
#include "golang/alloc_type_private.h"
#include "golang/code_sites_private.h"

/* --- functions that allocate -------------------------------------------------------------------------------------- */

struct row {
	const char *name; /* with a star at the end: any that begins so */
	uint8_t kind, argument;
	uint8_t from, until; /* minor releases; until 0: for ever */
};

static const struct row table[] = {
	{ "runtime.newobject", GS_GO_ALLOC_VALUE, 0, 0, 0 },
	{ "runtime.convT", GS_GO_ALLOC_VALUE, 0, 0, 0 },
	{ "runtime.convTnoptr", GS_GO_ALLOC_VALUE, 0, 0, 0 },
	{ "runtime.makeslice", GS_GO_ALLOC_ARRAY, 0, 0, 0 },
	{ "runtime.makeslice64", GS_GO_ALLOC_ARRAY, 0, 0, 0 },
	{ "runtime.makeslicecopy", GS_GO_ALLOC_ARRAY, 0, 0, 0 },
	{ "runtime.growslice", GS_GO_ALLOC_ARRAY, 0, 0, 19 },
	{ "runtime.growslice", GS_GO_ALLOC_ARRAY, 4, 20, 0 },
	{ "runtime.growsliceBuf", GS_GO_ALLOC_ARRAY, 4, 0, 0 },
	{ "runtime.growsliceNoAlias", GS_GO_ALLOC_ARRAY, 4, 0, 0 },
	{ "runtime.growsliceBufNoAlias", GS_GO_ALLOC_ARRAY, 4, 0, 0 },
	{ "runtime.moveSlice", GS_GO_ALLOC_ARRAY, 0, 0, 0 },
	{ "runtime.moveSliceNoCap", GS_GO_ALLOC_ARRAY, 0, 0, 0 },
	{ "runtime.newarray", GS_GO_ALLOC_ARRAY, 0, 0, 0 },
	{ "runtime.mallocgc*", GS_GO_ALLOC_ANY, 1, 0, 0 },
	{ "runtime.makechan", GS_GO_ALLOC_CHAN, 0, 0, 0 },
	{ "runtime.makechan64", GS_GO_ALLOC_CHAN, 0, 0, 0 },
	{ "runtime.makemap_small", GS_GO_ALLOC_INNER, 0, 0, 0 },
	{ "runtime.makemap", GS_GO_ALLOC_MAP, 0, 0, 0 },
	{ "runtime.makemap64", GS_GO_ALLOC_MAP, 0, 0, 0 },
	{ "runtime.mapassign*", GS_GO_ALLOC_MAP, 0, 0, 0 },
	{ "runtime.mapdelete*", GS_GO_ALLOC_MAP, 0, 0, 0 },
	{ "runtime.mapclone", GS_GO_ALLOC_INNER, 0, 0, 0 },
	{ "runtime.mapclone2", GS_GO_ALLOC_MAP, 0, 0, 0 },
	{ "runtime.concatstring*", GS_GO_ALLOC_STRING, 0, 0, 0 },
	{ "runtime.slicebytetostring", GS_GO_ALLOC_STRING, 0, 0, 0 },
	{ "runtime.slicerunetostring", GS_GO_ALLOC_STRING, 0, 0, 0 },
	{ "runtime.intstring", GS_GO_ALLOC_STRING, 0, 0, 0 },
	{ "runtime.rawstring", GS_GO_ALLOC_STRING, 0, 0, 0 },
	{ "runtime.rawstringtmp", GS_GO_ALLOC_STRING, 0, 0, 0 },
	/* What maps are made by. */
	{ "runtime.hashGrow", GS_GO_ALLOC_INNER, 0, 0, 0 },
	{ "runtime.makeBucketArray", GS_GO_ALLOC_INNER, 0, 0, 0 },
	{ "runtime.growWork*", GS_GO_ALLOC_INNER, 0, 0, 0 },
	{ "runtime.evacuate*", GS_GO_ALLOC_INNER, 0, 0, 0 },
	{ "runtime.moveToBmap", GS_GO_ALLOC_INNER, 0, 0, 0 },
	{ "runtime.(*hmap).*", GS_GO_ALLOC_INNER, 0, 0, 0 },
	{ "internal/runtime/maps.*", GS_GO_ALLOC_INNER, 0, 24, 0 },
};

static bool matches(const struct row *r, const char *name, unsigned int minor)
{
	size_t n = strlen(r->name);

	if (minor < r->from || (r->until && minor > r->until))
		return false;
	return r->name[n - 1] == '*' ? strncmp(r->name, name, n - 1) == 0
				     : strcmp(r->name, name) == 0;
}

struct gs_go_alloc gs_go_alloc_function(const char *name, unsigned int minor)
{
	for (size_t i = 0; i < GS_ARRAY_SIZE(table); i++)
		if (matches(&table[i], name, minor))
			return (struct gs_go_alloc){ .kind = (enum gs_go_alloc_kind)table[i].kind,
						     .argument = table[i].argument };
	return (struct gs_go_alloc){ 0 };
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

bool gs_go_call_target(enum gs_arch arch, const uint8_t before[GS_GO_CALL_BYTES], gs_addr back,
		       gs_addr *ret)
{
	size_t length = arch == GS_ARCH_ARM64 ? 4 : 5;
	struct gs_cursor c = gs_cursor_make(before + GS_GO_CALL_BYTES - length, length,
					    "a call of the allocator");
	struct gs__go_insn in;
	int r = arch == GS_ARCH_ARM64 ? gs__go_insn_arm64(&c, back - length, &in)
				      : gs__go_insn_amd64(&c, back - length, &in);

	if (r != 0 || in.flow != GS__GO_FLOW_CALL || in.length != length)
		return false;
	*ret = in.target;
	return true;
}

/* Of words in registers: AX, BX, CX, DI, SI; R0 and so on. */
static bool register_of(enum gs_arch arch, unsigned int argument, unsigned int *ret)
{
	static const uint8_t amd64[] = { 0, 3, 1, 7, 6 };

	if (argument >= GS_ARRAY_SIZE(amd64))
		return false;
	*ret = arch == GS_ARCH_ARM64 ? argument : amd64[argument];
	return true;
}

/* --- the function ------------------------------------------------------------------------------------------------- */

enum { MAX_POINTS = 256 };

struct jump {
	uint32_t from, to; /* offsets */
};

/* A place where the value of a register is asked for: in front of the instruction at @at. */
struct point {
	uint32_t at;
	uint8_t reg;
	uint64_t plus;
};

struct body {
	gs__go_insn_fn *insn;
	gs__go_effect_fn *effect;
	const struct gs_cursor *code;
	gs_addr pc;
	uint32_t n;        /* bytes that are instructions */
	uint64_t *begins;  /* bit for each byte: an instruction begins there, */
	uint64_t *passes;  /* … and goes on to the next one */
	uint64_t *calls;   /* … and is a call */
	struct jump *jump; /* sorted by @to */
	uint32_t n_jumps, cap;
	struct point asked[MAX_POINTS];
	uint32_t n_asked, done;
	bool known;
	uint64_t value;
};

static void set(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= 1ull << i % 64;
}

static bool is(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static struct gs_cursor at_offset(const struct body *b, uint32_t at)
{
	struct gs_cursor c = *b->code;

	if (gs_cursor_skip(&c, at, NULL) < 0)
		return gs_cursor_make(b->code->pos, 0, "code");
	return c;
}

static int add_jump(struct body *b, uint32_t from, gs_addr target, struct gs_err *err)
{
	uint32_t cap = b->cap ? b->cap * 2 : 64;
	struct jump *more;

	if (target - b->pc >= gs_cursor_left(b->code))
		return 0;
	if (b->n_jumps == b->cap) {
		more = gs_array_resize(b->jump, cap, sizeof(*more));
		if (!more)
			return gs_fail(err, -ENOMEM, 0, "cannot read code: out of memory");
		b->jump = more;
		b->cap = cap;
	}
	b->jump[b->n_jumps++] = (struct jump){ from, (uint32_t)(target - b->pc) };
	return 0;
}

static int by_target(const void *a, const void *b)
{
	const struct jump *p = a, *q = b;

	return (p->to > q->to) - (p->to < q->to);
}

/* Where instructions begin, and which ones can be followed by the one behind them. */
static int read_flow(struct body *b, struct gs_err *err)
{
	struct gs_cursor c = *b->code;
	int r = 0;

	while (r == 0 && gs_cursor_left(&c) > 0) {
		struct gs__go_insn in;

		if (b->insn(&c, b->pc + b->n, &in) != 0)
			break;
		set(b->begins, b->n);
		if (in.flow == GS__GO_FLOW_PLAIN || in.flow == GS__GO_FLOW_CONDITIONAL ||
		    in.flow == GS__GO_FLOW_CALL)
			set(b->passes, b->n);
		if (in.flow == GS__GO_FLOW_CALL)
			set(b->calls, b->n);
		if (in.flow == GS__GO_FLOW_JUMP || in.flow == GS__GO_FLOW_CONDITIONAL)
			r = add_jump(b, b->n, in.target, err);
		b->n += in.length;
		if (gs_cursor_skip(&c, in.length, NULL) < 0)
			break;
	}
	if (b->n_jumps)
		qsort(b->jump, b->n_jumps, sizeof(*b->jump), by_target);
	return r;
}

/* --- backwards ---------------------------------------------------------------------------------------------------- */

/* The instruction that ends where the one at @at begins. */
static bool before(const struct body *b, uint32_t at, uint32_t *ret)
{
	while (at > 0)
		if (is(b->begins, --at)) {
			*ret = at;
			return true;
		}
	return false;
}

static bool ask(struct body *b, uint32_t at, uint8_t reg, uint64_t plus)
{
	for (uint32_t i = 0; i < b->n_asked; i++)
		if (b->asked[i].at == at && b->asked[i].reg == reg && b->asked[i].plus == plus)
			return true;
	if (b->n_asked == MAX_POINTS)
		return false;
	b->asked[b->n_asked++] = (struct point){ at, reg, plus };
	return true;
}

static bool found(struct body *b, uint64_t value)
{
	if (b->known && b->value != value)
		return false;
	b->known = true;
	b->value = value;
	return true;
}

/* The value as the instruction at @at leaves it. */
static bool behind(struct body *b, uint32_t at, const struct point *p)
{
	struct gs_cursor c = at_offset(b, at);
	struct gs__go_effect e;

	if (is(b->calls, at))
		return false;
	e = b->effect(&c, b->pc + at, p->reg);
	switch (e.kind) {
	case GS__GO_KEEPS:
		return ask(b, at, p->reg, p->plus);
	case GS__GO_COPY:
		return ask(b, at, e.from, p->plus + e.value);
	case GS__GO_CONST:
		return found(b, e.value + p->plus);
	case GS__GO_UNKNOWN:
		break;
	}
	return false;
}

/* Of jumps sorted by target, the first to @at or behind. */
static uint32_t first_jump(const struct body *b, uint32_t at)
{
	return GS_SEARCH(i, b->n_jumps, b->jump[i].to >= at);
}

/* All ways to get to a point. @return false: there is one of which nothing is known. */
static bool all_ways(struct body *b, const struct point *p)
{
	uint32_t prior, ways = 0;

	if (p->at == 0)
		return false;
	if (before(b, p->at, &prior) && is(b->passes, prior)) {
		ways++;
		if (!behind(b, prior, p))
			return false;
	}
	for (uint32_t i = first_jump(b, p->at); i < b->n_jumps && b->jump[i].to == p->at; i++) {
		ways++;
		if (!ask(b, b->jump[i].from, p->reg, p->plus))
			return false;
	}
	return ways > 0;
}

static bool go_back(struct body *b, uint32_t call, uint8_t reg)
{
	if (!ask(b, call, reg, 0))
		return false;
	while (b->done < b->n_asked) {
		struct point p = b->asked[b->done++];

		if (!all_ways(b, &p))
			return false;
	}
	return b->known;
}

static bool call_at(const struct body *b, gs_addr back, uint32_t *ret)
{
	return back - b->pc <= b->n && before(b, (uint32_t)(back - b->pc), ret) &&
	       is(b->calls, *ret) &&
	       (back - b->pc == b->n || is(b->begins, (uint32_t)(back - b->pc)));
}

int gs_go_call_argument(enum gs_arch arch, const struct gs_cursor *code, gs_addr pc, gs_addr back,
			unsigned int argument, gs_addr *ret, struct gs_err *err)
{
	bool arm64 = arch == GS_ARCH_ARM64;
	struct body b = { .insn = arm64 ? gs__go_insn_arm64 : gs__go_insn_amd64,
			  .effect = arm64 ? gs__go_effect_arm64 : gs__go_effect_amd64,
			  .code = code,
			  .pc = pc };
	size_t words = gs_cursor_left(code) / 64 + 1;
	unsigned int reg;
	uint32_t call;
	int r;

	if (gs_cursor_left(code) > GS_GO_SITES_MAX_CODE || !register_of(arch, argument, &reg) ||
	    back - pc > gs_cursor_left(code))
		return 1;
	b.begins = gs_array_new(3 * words, sizeof(*b.begins));
	if (!b.begins)
		return gs_fail(err, -ENOMEM, 0, "cannot read code: out of memory");
	b.passes = b.begins + words;
	b.calls = b.passes + words;
	r = read_flow(&b, err);
	if (r == 0) {
		r = !call_at(&b, back, &call) || !go_back(&b, call, (uint8_t)reg);
		*ret = b.value;
	}
	free(b.jump);
	free(b.begins);
	return r;
}
