/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Stacks that somebody else walked: the kernel follows frame pointers and hands out pcs. The first is an
 * instruction (where the probe sits, where the sample hit), the others are return addresses.
 *
 * At a function's first instructions, and all through leaf assembler functions, the frame pointer is still the
 * caller's: following it finds the caller's caller next and leaves the caller out. There the word at
 * sp is the return address (the function table's sp delta is 0), so it is put in. Kernels from 6.11 do
 * the same when the probe is on a `push %rbp` (arch/x86/events/core.c), so only if it is missing.
 *
 * Go switches stacks without breaking the chain of frame pointers (systemstack keeps bp, runtime/asm_amd64.s), so
 * frames of the scheduler's stack are followed by those of the goroutine.
 */
#include "runtime/rt_private.h"

#include <string.h>

#define PCS_MAX 256u

const struct gs_go_pclntab *gs_rt_pclntab(const struct gs_rt *rt)
{
	return rt->module[0].tab;
}

const char *const *gs_rt_wait_reasons(const struct gs_rt *rt, uint32_t *ret_n)
{
	*ret_n = 256; /* load_wait_reasons() names every number */
	return rt->wait_reasons;
}

const struct gs_memory *gs_rt_memory(const struct gs_rt *rt)
{
	return rt->mem;
}

const struct gs_target *gs_rt_target(const struct gs_rt *rt)
{
	return rt->target;
}

const struct gs_frame *gs_rt_creator(struct gs_rt *rt, gs_addr gopc)
{
	return gopc ? gs__creator(rt, gopc) : NULL;
}

/* What the compiler's wrapper of a go statement calls (`go f(x)` starts main.main.gowrap1, which calls f): its
 * place in the text, as startPCForTrace (runtime/tracestack.go) looks for it. @p itself if it is none. */
static const struct gs__pc *unwrapped(struct gs_rt *rt, const struct gs__pc *p)
{
	const struct gs__module *m = &rt->module[p->module];
	const struct gs__pc *called;
	struct gs_cursor c;
	uint32_t off;

	if (gs_go_funcdata(m->tab, &p->func, GS_GO_FUNCDATA_WRAP_INFO, &c, NULL) != 0 ||
	    gs_cursor_u32(&c, &off, NULL) < 0)
		return p;
	called = gs__pc_get(rt, m->md.text + off, true);
	return called && called->known ? called : p;
}

const struct gs_frame *gs_rt_start(struct gs_rt *rt, gs_addr startpc)
{
	const struct gs__pc *p = startpc ? gs__pc_get(rt, startpc, true) : NULL;
	const struct gs_frame *f;

	if (!p || !p->known)
		return NULL;
	p = unwrapped(rt, p);
	f = gs__pc_frames(rt, p);
	return f ? &f[p->n_frames - 1] : NULL;
}

/* A pc outside of Go code gets its frame here, with a name; see gs__pc_frames(). */
static void name_native(struct gs_rt *rt, const struct gs__pc *cp)
{
	struct gs__pc *p = (struct gs__pc *)cp; /* the cache is ours; const is for its users */
	struct gs_frame *f;

	if (p->known || (p->frames && p->frames[0].function[0]))
		return;
	gs_addr pc = p->key >> 1, entry = 0;
	const char *name = gs__native_name(rt, p->key & 1 || pc == 0 ? pc : pc - 1, &entry);

	f = name ? gs_arena_alloc(rt->arena, sizeof(*f)) : NULL;
	if (!f)
		return;
	*f = (struct gs_frame){
		.pc = pc, .entry = entry, .function = name, .file = "", .flags = GS_FRAME_FOREIGN
	};
	p->frames = f;
	p->n_frames = 1;
}

static bool injected(enum gs_go_funcid id)
{
	return id == GS_GO_FUNC_SIGPANIC || id == GS_GO_FUNC_ASYNC_PREEMPT ||
	       id == GS_GO_FUNC_DEBUG_CALL;
}

/* The caller that the walk left out; 0 if it did not. */
static gs_addr missing_caller(struct gs_rt *rt, const struct gs_rt_raw_stack *raw)
{
	const struct gs__pc *leaf, *caller;

	if (!raw->has_sp_word || raw->n == 0)
		return 0;
	leaf = gs__pc_get(rt, raw->pcs[0], true);
	if (!leaf || !leaf->known || !leaf->has_delta || leaf->sp_delta != 0 ||
	    (leaf->flag & GS_GO_FLAG_TOP_FRAME))
		return 0;
	if (raw->n > 1 && raw->pcs[1] == raw->sp_word)
		return 0;
	caller = gs__pc_get(rt, raw->sp_word, false);
	return caller && caller->known ? raw->sp_word : 0;
}

struct keys {
	uint64_t key[PCS_MAX];
	uint32_t n;
	bool trap; /* the next pc is an instruction, not a return address */
	const struct gs__pc *last;
};

static bool add_key(struct gs_rt *rt, struct keys *k, gs_addr pc)
{
	const struct gs__pc *p = gs__pc_get(rt, pc, k->trap);

	if (!p || k->n == PCS_MAX)
		return false;
	name_native(rt, p);
	k->key[k->n++] = p->key;
	k->trap = p->known && injected(p->id);
	k->last = p;
	return true;
}

const struct gs_stack *gs_rt_symbolize(struct gs_rt *rt, const struct gs_rt_raw_stack *raw)
{
	struct keys k = { .trap = true };
	gs_addr caller = missing_caller(rt, raw);
	enum gs_stack_end end = GS_STACK_BROKEN;
	bool room = true;

	for (uint32_t i = 0; room && i < raw->n; i++) {
		/* User space ends at 2^56 at most; keys have one bit less than addresses. */
		if (raw->pcs[i] >> 57)
			break;
		room = add_key(rt, &k, raw->pcs[i]);
		if (i == 0 && caller && room)
			room = add_key(rt, &k, caller);
	}
	if (raw->cut || !room)
		end = GS_STACK_CUT;
	if (k.last && k.last->known && (k.last->flag & GS_GO_FLAG_TOP_FRAME))
		end = GS_STACK_COMPLETE;
	if (k.n == 0)
		end = GS_STACK_NONE;
	return gs__stack_intern(rt, k.key, k.n, end);
}
