/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Argument words of a frame, printed as runtime/traceback.go printArgs does: FUNCDATA_ArgInfo is a
 * little program of {offset, size} pairs with braces for aggregates; values come from the argument
 * area of the caller's frame, into which register arguments are spilled. FUNCDATA_ArgLiveInfo and
 * PCDATA_ArgLiveIndex tell which spill slots hold a value at this pc; others get a "?".
 * Opcodes: internal/abi/symtab.go (1.19: cmd/internal/obj/textflag and runtime/symtab.go), unchanged
 * from 1.18 to 1.27.
 */
#include "runtime/rt_private.h"

#include <string.h>

#include "base/out.h"

enum {
	ARGS_END_SEQ = 0xff,
	ARGS_START_AGG = 0xfe,
	ARGS_END_AGG = 0xfd,
	ARGS_DOTDOTDOT = 0xfc,
	ARGS_OFFSET_TOO_LARGE = 0xfb,
};

#define ARGS_MAX_OPS 256u

struct live {
	struct gs_cursor info;
	bool has;
	int32_t index;
	uint8_t start;
};

static void live_init(const struct gs__module *mod, const struct gs__pc *pc, gs_addr at,
		      struct live *l)
{
	*l = (struct live){ .start = 0xff };
	if (gs_go_funcdata(mod->tab, &pc->func, GS_GO_FUNCDATA_ARG_LIVE, &l->info, NULL) != 0 ||
	    gs_go_pcdata(mod->tab, &pc->func, GS_GO_PCDATA_ARG_LIVE, at, &l->index, NULL) < 0)
		return;
	if (gs_cursor_left(&l->info) < 1)
		return;
	l->has = true;
	l->start = l->info.pos[0];
}

static bool live_at(const struct live *l, uint8_t off, uint8_t slot)
{
	uint64_t byte;

	if (!l->has || l->index <= 0 || off < l->start)
		return true;
	byte = (uint64_t)(uint32_t)l->index + slot / 8;
	return byte < gs_cursor_left(&l->info) && (l->info.pos[byte] & (1u << (slot % 8)));
}

static bool value_at(struct gs__stack_view *view, gs_addr addr, uint8_t size, uint64_t *ret)
{
	gs_addr word = addr & ~(gs_addr)7;
	uint64_t lo, hi = 0, v;
	unsigned int shift = (unsigned int)(addr & 7) * 8;

	if (!gs__stack_word(view, word, &lo))
		return false;
	if (shift && (addr & 7) + size > 8 && !gs__stack_word(view, word + 8, &hi))
		return false;
	v = lo >> shift | (shift ? hi << (64 - shift) : 0);
	*ret = size < 8 ? v & ((1ull << (size * 8)) - 1) : v;
	return true;
}

static void print_ops(struct gs_out *o, struct gs_cursor ops, struct gs__stack_view *view,
		      gs_addr argp, const struct live *l)
{
	bool start = true;
	uint8_t slot = 0;

	for (uint32_t i = 0; i < ARGS_MAX_OPS; i++) {
		uint64_t v;
		uint8_t op, size;

		if (gs_cursor_u8(&ops, &op, NULL) < 0 || op == ARGS_END_SEQ)
			return;
		if (op == ARGS_END_AGG) {
			gs_out_char(o, '}');
			start = false;
			continue;
		}
		if (!start)
			gs_out_str(o, ", ");
		start = op == ARGS_START_AGG;
		if (op == ARGS_START_AGG) {
			gs_out_char(o, '{');
		} else if (op == ARGS_DOTDOTDOT) {
			gs_out_str(o, "...");
		} else if (op == ARGS_OFFSET_TOO_LARGE) {
			gs_out_char(o, '_');
		} else {
			if (gs_cursor_u8(&ops, &size, NULL) < 0)
				return;
			if (value_at(view, argp + op, size, &v))
				gs_out_hex(o, v);
			else
				gs_out_char(o, '_');
			if (!live_at(l, op, slot))
				gs_out_char(o, '?');
			if (op >= l->start)
				slot++;
		}
	}
}

const char *gs__args_text(struct gs_rt *rt, const struct gs__pc *pc, struct gs__stack_view *view,
			  gs_addr argp, struct gs_arena *arena)
{
	const struct gs__module *mod = &rt->module[pc->module];
	GS_CLEANUP(gs_out_deinitp) struct gs_out o = { .fd = -1 };
	gs_addr at = pc->key >> 1;
	struct gs_cursor ops;
	struct live l;

	if (!(pc->key & 1) && at > pc->entry)
		at--;
	if (gs_go_funcdata(mod->tab, &pc->func, GS_GO_FUNCDATA_ARG_INFO, &ops, NULL) != 0)
		return "";
	live_init(mod, pc, at, &l);
	print_ops(&o, ops, view, argp, &l);
	return gs_out_failed(&o) ? NULL : gs_arena_strndup(arena, o.buf, o.len);
}
