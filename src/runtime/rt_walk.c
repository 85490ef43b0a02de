/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Walking a stack with the runtime's own tables, as runtime/traceback.go (unwinder.initAt,
 * resolveInternal, next; Go 1.19 to 1.27) does when it prints:
 *
 *      higher addresses
 *   amd64                                arm64 (return address at the bottom of the frame)
 *   | caller's frame        |            | caller's frame        | <- fp = sp + delta
 *   | return address        | <- fp - 8  | locals                |
 *   | locals                |            | saved return address  | <- sp
 *   |                       | <- sp
 *
 * fp = sp + delta(pc) (+ 8 on amd64, where CALL pushed the return address). A frame whose function is
 * marked "top frame" ends the stack. One marked "writes SP" cannot be walked through, save cgocallback,
 * and the function that entered a system call, whose sp was saved before it was changed. Faked calls
 * (sigpanic, asyncPreempt) make the frame below them a trap: its pc is not a return address.
 */
#include "runtime/rt_private.h"

#include <string.h>

/* amd64: struct ucontext lies above the return address of the signal trampoline; greg offsets from
 * arch/x86/include/uapi/asm/sigcontext.h. arm64: struct rt_sigframe {siginfo 128; ucontext}, with
 * sigcontext 176 bytes into the ucontext (arch/arm64/include/uapi/asm/{ucontext,sigcontext}.h). */
enum {
	UC_AMD64_RSP = 40 + 120,
	UC_AMD64_RIP = 40 + 128,
	UC_ARM64_X0 = 128 + 176 + 8,
	UC_ARM64_SP = UC_ARM64_X0 + 31 * 8,
	UC_ARM64_PC = UC_ARM64_SP + 8,
};

#define SLOW_READS_MAX 20000u
/* A signal handler may be interrupted by another signal; no deeper than there are kinds of them. */
#define SIGNAL_FRAMES_MAX 64u

bool gs__stack_word(struct gs__stack_view *v, gs_addr addr, uint64_t *ret)
{
	gs_addr off = addr - v->buf_at;
	gs_addr len;

	if (addr >= v->buf_at && v->buf_len >= 8 && off <= v->buf_len - 8) {
		*ret = gs__u64(v->buf + off);
		return true;
	}
	if (addr < v->lo || v->hi < 8 || addr > v->hi - 8 || (addr & 7))
		return false;
	off = addr - v->slow_at;
	if (addr < v->slow_at || v->slow_len < 8 || off > v->slow_len - 8) {
		if (!v->slow || v->slow_reads++ > SLOW_READS_MAX)
			return false;
		len = v->hi - addr < GS__SLOW_BYTES ? v->hi - addr : GS__SLOW_BYTES;
		v->slow_len = 0;
		if (gs_memory_read(v->rt->mem, addr, v->slow, len, NULL) < 0)
			return false;
		v->slow_at = addr;
		v->slow_len = len;
		off = 0;
	}
	*ret = gs__u64(v->slow + off);
	return true;
}

struct frame {
	gs_addr pc, sp, fp, lr;
	const struct gs__pc *info;
	bool trap, innermost, syscall;
};

static inline bool uses_lr(const struct gs_rt *rt)
{
	return rt->arch == GS_ARCH_ARM64;
}

static bool injected(enum gs_go_funcid id)
{
	return id == GS_GO_FUNC_SIGPANIC || id == GS_GO_FUNC_ASYNC_PREEMPT ||
	       id == GS_GO_FUNC_DEBUG_CALL;
}

/* On a system stack: continue on the goroutine's own stack behind systemstack or morestack. */
static bool jump(struct gs_rt *rt, struct frame *f, const struct gs__walk_start *start,
		 struct gs__stack_view **view)
{
	if (!start->may_jump || *view == start->jump_view || !start->jump_sp)
		return false;
	if (f->info->id == GS_GO_FUNC_MORESTACK) {
		f->pc = start->jump_pc;
		f->lr = start->jump_lr;
		f->trap = false;
	} else if (f->info->id != GS_GO_FUNC_SYSTEMSTACK ||
		   (uses_lr(rt) && f->info->sp_delta == 0)) {
		return false;
	}
	f->sp = start->jump_sp;
	*view = start->jump_view;
	f->info = gs__pc_get(rt, f->pc, f->trap);
	return f->info && f->info->known;
}

/* Interrupted registers from the signal frame above sigtramp's. */
static bool leave_signal(struct gs_rt *rt, struct frame *f, struct gs__stack_view *view)
{
	gs_addr uc = f->fp;
	uint64_t pc, sp, lr = 0;
	bool ok;

	if (uses_lr(rt))
		ok = gs__stack_word(view, uc + UC_ARM64_PC, &pc) &&
		     gs__stack_word(view, uc + UC_ARM64_SP, &sp) &&
		     gs__stack_word(view, uc + UC_ARM64_X0 + 30 * 8, &lr);
	else
		ok = gs__stack_word(view, uc + UC_AMD64_RIP, &pc) &&
		     gs__stack_word(view, uc + UC_AMD64_RSP, &sp);
	if (!ok)
		return false;
	*f = (struct frame){ .pc = pc, .sp = sp, .lr = lr, .trap = true, .innermost = true };
	f->info = gs__pc_get(rt, pc, true);
	return f->info && f->info->known;
}

/* resolveInternal: fp and lr of the frame. @return false when the walk ends here; *end says how. */
static bool resolve(struct gs_rt *rt, struct frame *f, struct gs__stack_view *view,
		    enum gs_stack_end *end)
{
	bool sp_write = f->info->flag & GS_GO_FLAG_SP_WRITE;

	if (!f->info->has_pcsp) {
		*end = GS_STACK_CUT; /* an external function without tables (race detector) */
		return false;
	}
	if (!f->info->has_delta) {
		*end = GS_STACK_BROKEN;
		return false;
	}
	if (f->info->id == GS_GO_FUNC_CGOCALLBACK || f->syscall)
		sp_write = false;
	f->fp = f->sp + (uint64_t)(int64_t)f->info->sp_delta + (uses_lr(rt) ? 0 : 8);
	if (f->info->flag & GS_GO_FLAG_TOP_FRAME) {
		*end = GS_STACK_COMPLETE;
		return false;
	}
	if (sp_write) {
		*end = GS_STACK_CUT;
		return false;
	}
	if (uses_lr(rt)) {
		if (((f->innermost && f->sp < f->fp) || f->lr == 0) &&
		    !gs__stack_word(view, f->sp, &f->lr))
			f->lr = 0;
	} else if (f->lr == 0 && !gs__stack_word(view, f->fp - 8, &f->lr)) {
		f->lr = 0;
	}
	if (f->lr == 0)
		*end = GS_STACK_BROKEN;
	return f->lr != 0;
}

/* next: step to the caller. */
static bool step(struct gs_rt *rt, struct frame *f, struct gs__stack_view *view, bool *pc_unknown)
{
	bool was_injected = injected(f->info->id);
	const struct gs__pc *caller = gs__pc_get(rt, f->lr, was_injected);

	if (!caller || !caller->known) {
		*pc_unknown = true;
		return false;
	}
	/* No progress, or towards lower addresses: the stack is damaged. */
	if (f->fp <= f->sp && (f->lr == f->pc || f->fp < f->sp))
		return false;
	f->pc = f->lr;
	f->lr = 0;
	f->sp = f->fp;
	f->innermost = f->syscall = false;
	f->trap = was_injected;
	f->info = caller;
	if (uses_lr(rt) && was_injected) {
		uint64_t x;

		/* sighandler saved the interrupted LR in a frame of 16 bytes. */
		if (!gs__stack_word(view, f->sp, &x))
			return false;
		f->sp += 16;
		if (f->info->has_delta && f->info->sp_delta == 0)
			f->lr = x;
	}
	return true;
}

static bool begin(struct gs_rt *rt, const struct gs__walk_start *start, struct frame *f,
		  struct gs__stack_view *view)
{
	*f = (struct frame){ .pc = start->pc,
			     .sp = start->sp,
			     .lr = start->lr,
			     .trap = start->trap,
			     .syscall = start->syscall,
			     .innermost = true };
	if (f->pc == 0) { /* a call of a nil function: start in the caller */
		if (!gs__stack_word(view, f->sp, &f->pc))
			return false;
		f->lr = 0;
		f->trap = false;
		if (!uses_lr(rt))
			f->sp += 8;
	}
	f->info = gs__pc_get(rt, f->pc, f->trap);
	return f->info && f->info->known;
}

void gs__walk(struct gs_rt *rt, struct gs__stack_view *view, const struct gs__walk_start *start,
	      struct gs__walk *io)
{
	uint32_t signal_frames = 0;
	bool pc_unknown = false;
	struct frame f;

	io->n = 0;
	io->end = GS_STACK_BROKEN;
	io->end_pc_unknown = 0;
	if (!begin(rt, start, &f, view)) {
		io->end_pc_unknown = 1;
		return;
	}
	for (;;) {
		bool more;

		(void)jump(rt, &f, start,
			   &view); /* if there is nothing to jump to it goes on below */
		if (!f.info || !f.info->known)
			break;
		if (io->n == io->max) {
			io->end = GS_STACK_CUT;
			break;
		}
		more = resolve(rt, &f, view, &io->end);
		/* Counted, for a damaged stack can lead from a signal frame to the same one again. */
		if (f.info->id == GS_GO_FUNC_SIGTRAMP && start->may_jump && f.fp &&
		    signal_frames++ < SIGNAL_FRAMES_MAX) {
			/* Everything so far ran on the signal stack; what it interrupted counts. */
			if (leave_signal(rt, &f, view)) {
				io->n = 0;
				if (f.sp >= start->jump_view->lo && f.sp <= start->jump_view->hi)
					view = start->jump_view;
				continue;
			}
		}
		if (io->argps)
			io->argps[io->n] = f.fp + (uses_lr(rt) ? 8 : 0);
		if (io->sps)
			io->sps[io->n] = f.sp;
		io->keys[io->n++] = f.info->key;
		if (!more)
			break;
		io->end = GS_STACK_BROKEN;
		if (!step(rt, &f, view, &pc_unknown))
			break;
	}
	io->end_pc_unknown = pc_unknown;
}

bool gs__walk_parked(const struct gs__g *g, struct gs__walk_start *ret)
{
	*ret = (struct gs__walk_start){ 0 };
	if (g->syscall_sp) { /* initAt: the state saved by entersyscall wins */
		ret->pc = g->syscall_pc;
		ret->sp = g->syscall_sp;
		ret->syscall = true;
	} else {
		ret->pc = g->sched_pc;
		ret->sp = g->sched_sp;
		ret->lr = g->sched_lr;
	}
	return ret->sp > g->stack_lo && ret->sp <= g->stack_hi;
}

bool gs__system_stack(struct gs_rt *rt, const struct gs__m *m, gs_addr sp, gs_addr *ret_lo,
		      gs_addr *ret_hi)
{
	const gs_addr gs[] = { m->g0, m->gsignal };

	for (size_t i = 0; i < 2; i++) {
		uint64_t bounds[2]; /* g.stack is the first field: lo, hi */

		if (!gs[i] || gs_memory_read(rt->mem, gs[i], bounds, sizeof(bounds), NULL) < 0)
			continue;
		if (sp < bounds[0] || sp >= bounds[1])
			continue;
		*ret_lo = bounds[0];
		*ret_hi = bounds[1];
		return true;
	}
	return false;
}

bool gs__walk_running(struct gs_rt *rt, const struct gs__g *g, const struct gs__m *m,
		      const struct gs_regs *regs, struct gs__stack_view views[2],
		      struct gs__walk *io)
{
	struct gs__stack_view *own = &views[0], *sys = &views[1];
	struct gs__walk_start start = {
		.pc = regs->pc,
		.sp = regs->sp,
		.lr = regs->lr,
		.trap = true,
		.may_jump = true,
		.jump_pc = g->sched_pc,
		.jump_sp = g->sched_sp,
		.jump_lr = g->sched_lr,
		.jump_view = own,
	};

	own->lo = g->stack_lo;
	own->hi = g->stack_hi;
	if (m->vdso_sp && m->curg == g->addr) { /* in the vDSO: traceback1 starts at its caller */
		start.pc = m->vdso_pc;
		start.sp = m->vdso_sp;
		start.lr = 0;
		start.trap = false;
	}
	if (start.sp > g->stack_lo && start.sp <= g->stack_hi) {
		gs__walk(rt, own, &start, io);
		return true;
	}
	if (gs__system_stack(rt, m, start.sp, &sys->lo, &sys->hi)) {
		gs__walk(rt, sys, &start, io);
		if (io->n && io->end == GS_STACK_COMPLETE && io->keys[io->n - 1] >> 1 != 0) {
			const struct gs__pc *last =
				gs__pc_get(rt, io->keys[io->n - 1] >> 1, io->keys[io->n - 1] & 1);

			if (last && last->id == GS_GO_FUNC_GOEXIT)
				return true;
		}
	}
	/* Scheduler code or C on a system stack: the goroutine's own part is where it left it. */
	if (!gs__walk_parked(g, &start))
		return false;
	gs__walk(rt, own, &start, io);
	return true;
}
