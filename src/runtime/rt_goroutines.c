/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Every goroutine of a running process, in batches, without stopping it.
 *
 *   allgptr[i..i+1024) ─► g structures ─► their stacks ─► the same g structures again
 *
 * A parked goroutine cannot run without its saved sp and pc, its status or trackingSeq changing; so
 * if the two readings of a g agree, the stack read in between is the stack of that state. Goroutines
 * that moved are read again on their own, at once, up to GS_RETRIES times, and reported as torn after
 * that. rt_gather.h is what makes this fast.
 *
 * allgs only grows and its g structures are never freed (runtime/proc.go, allgadd), so a pointer
 * from it stays good.
 */
#include "runtime/rt_private.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/rt_gather.h"

#define GS_BATCH 1024u
#define GS_RETRIES 5
#define TIME_MAX_NS 600000000000 /* of one pass; a million goroutines take seconds */
#define STACK_EAGER (32u << 10)  /* of one stack read with the batch; the rest when touched */

/* One goroutine of the batch. */
struct slot {
	struct gs__g g;
	const uint8_t *stack;
	uint32_t stack_len;
	gs_addr stack_at;
	bool have;  /* @g is filled */
	bool keep;  /* will be visited */
	bool moved; /* kept changing; @g is of the last attempt */
	struct gs__labels labels;
};

struct pass {
	struct gs_rt *rt;
	const struct gs_rt_dump_options *o;
	int (*visit)(void *ctx, const struct gs_goroutine *g);
	void *ctx;
	struct gs_incomplete_list *inc;
	gs_addr ptrs[GS_BATCH];
	struct slot slot[GS_BATCH];
	struct gs__piece piece[GS_BATCH]; /* tagged with the index of the slot */
	gs_addr label_ptr[GS_BATCH];
	struct gs__labels label[GS_BATCH];
	uint32_t n;
	struct gs__gather gs, stacks;
	uint64_t *keys;
	gs_addr *argps;
	uint32_t max_frames;
	uint8_t *slow[2];
	const struct gs_thread *threads; /* with registers: stopped target or core */
	size_t n_threads;
	int64_t now_ns;
	int64_t deadline_ns; /* of our clock; a hostile target must not keep us for hours */
	bool late;
	gs_addr bubble; /* the last one asked for, and its id */
	uint64_t bubble_id;
	uint64_t visited, torn, unreadable, broken, running;
	uint32_t g_size;
};

static bool runs_now(const struct gs__g *g)
{
	return g->status == GS_G_RUNNING;
}

/* The part of a stack that is read with the batch. @return false if there is nothing to read. */
static bool stack_piece(const struct gs__g *g, struct gs__piece *ret)
{
	struct gs__walk_start start;
	gs_addr len;

	if (runs_now(g) || g->status == GS_G_COPYSTACK || !gs__walk_parked(g, &start))
		return false;
	len = g->stack_hi - start.sp;
	*ret = (struct gs__piece){ .addr = start.sp,
				   .len = len < STACK_EAGER ? (uint32_t)len : STACK_EAGER };
	return len > 0;
}

static bool wanted(struct pass *ps, const struct gs__g *g)
{
	const struct gs_rt_dump_options *o = ps->o;

	if (o->only_id && g->goid != o->only_id)
		return false;
	if (g->status == GS_G_IDLE || g->status >= GS_G_STATE_COUNT)
		return false;
	if (g->status == GS_G_DEAD || g->status == GS_G_DEADEXTRA)
		return o->dead;
	return true;
}

/* Starts in the runtime: isSystemGoroutine without the finalizer rule. */
static bool starts_in_runtime(struct gs_rt *rt, const struct gs__g *g, const struct gs_frame **ret)
{
	const struct gs__pc *p = g->startpc ? gs__pc_get(rt, g->startpc, true) : NULL;
	const struct gs_frame *f = p && p->known ? gs__pc_frames(rt, p) : NULL;
	const char *name;

	*ret = f ? &f[p->n_frames - 1] : NULL;
	if (!f)
		return false;
	name = (*ret)->function;
	return strncmp(name, "runtime.", 8) == 0 && strcmp(name + 8, "main") != 0 &&
	       strcmp(name + 8, "corostart") != 0 && strcmp(name + 8, "handleAsyncEvent") != 0;
}

/* Goroutines that call back into user code count as the user's while they do. */
static bool calls_back(const struct gs_frame *start)
{
	return strcmp(start->function, "runtime.runfinq") == 0 ||
	       strcmp(start->function, "runtime.runFinalizers") == 0 ||
	       strcmp(start->function, "runtime.runCleanups") == 0;
}

static bool in_user_code(const struct gs_stack *s)
{
	for (uint32_t i = 0; i < s->n_frames; i++)
		if (strncmp(s->frames[i].function, "runtime.", 8) != 0 &&
		    strchr(s->frames[i].function, '.') &&
		    strncmp(s->frames[i].function, "internal/", 9) != 0)
			return true;
	return false;
}

static struct gs__piece g_piece(const struct pass *ps, uint32_t i)
{
	return (struct gs__piece){ .addr = ps->ptrs[i], .len = ps->g_size, .tag = i };
}

static int load_gs(struct pass *ps, struct gs_err *err)
{
	const struct gs__piece *p = ps->piece;
	uint32_t n = 0;
	int r;

	for (uint32_t i = 0; i < ps->n; i++) {
		ps->slot[i] = (struct slot){ 0 };
		if (ps->ptrs[i])
			ps->piece[n++] = g_piece(ps, i);
	}
	r = gs__gather(ps->rt->mem, &ps->gs, ps->piece, n, GS__G_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct slot *s = &ps->slot[p[i].tag];

		s->have = p[i].bytes != NULL;
		if (s->have)
			gs__g_decode(ps->rt, p[i].addr, p[i].bytes, &s->g);
		else
			ps->unreadable++;
	}
	return r;
}

static int load_stacks(struct pass *ps, struct gs_err *err)
{
	const struct gs__piece *p = ps->piece;
	uint32_t n = 0;
	int r;

	for (uint32_t i = 0; i < ps->n; i++)
		if (ps->slot[i].keep && stack_piece(&ps->slot[i].g, &ps->piece[n]))
			ps->piece[n++].tag = i;
	r = gs__gather(ps->rt->mem, &ps->stacks, ps->piece, n, GS__STACK_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct slot *s = &ps->slot[p[i].tag];

		s->stack = p[i].bytes;
		s->stack_at = p[i].addr;
		s->stack_len = p[i].bytes ? p[i].len : 0;
	}
	return r;
}

/* The second reading: which of them have moved while their stacks were read? */
static int compare_gs(struct pass *ps, struct gs_err *err)
{
	const struct gs__piece *p = ps->piece;
	struct gs__g again;
	uint32_t n = 0;
	int r;

	for (uint32_t i = 0; i < ps->n; i++)
		if (ps->slot[i].keep)
			ps->piece[n++] = g_piece(ps, i);
	r = gs__gather(ps->rt->mem, &ps->gs, ps->piece, n, GS__G_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct slot *s = &ps->slot[p[i].tag];

		if (p[i].bytes)
			gs__g_decode(ps->rt, p[i].addr, p[i].bytes, &again);
		s->moved = !p[i].bytes || !gs__g_same(&s->g, &again);
	}
	return r;
}

static int load_batch(struct pass *ps, struct gs_err *err)
{
	int r = load_gs(ps, err);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < ps->n; i++) {
		struct slot *s = &ps->slot[i];
		const struct gs_frame *start;

		s->keep = s->have && wanted(ps, &s->g);
		if (s->keep && !ps->o->system && starts_in_runtime(ps->rt, &s->g, &start))
			s->keep = calls_back(start);
	}
	if (ps->o->no_stacks)
		return 0;
	r = load_stacks(ps, err);
	return r < 0 ? r : compare_gs(ps, err);
}

static int load_labels(struct pass *ps, struct gs_arena *arena, struct gs_err *err)
{
	bool any = false;
	int r;

	if (ps->o->no_labels)
		return 0;
	for (uint32_t i = 0; i < ps->n; i++) {
		ps->label_ptr[i] = ps->slot[i].keep ? ps->slot[i].g.labels : 0;
		ps->label[i] = (struct gs__labels){ 0 };
		any |= ps->label_ptr[i] != 0;
	}
	if (!any)
		return 0;
	r = gs__labels_read(ps->rt, ps->label_ptr, ps->n, arena, ps->label, err);
	for (uint32_t i = 0; r == 0 && i < ps->n; i++)
		ps->slot[i].labels = ps->label[i];
	return r;
}

/* Read one g afresh. */
static bool read_g(struct pass *ps, gs_addr addr, struct gs__g *ret)
{
	uint8_t bytes[1024];

	if (ps->g_size > sizeof(bytes) ||
	    gs_memory_read(ps->rt->mem, addr, bytes, ps->g_size, NULL) < 0)
		return false;
	gs__g_decode(ps->rt, addr, bytes, ret);
	return true;
}

static struct gs__stack_view view_of(struct pass *ps, const struct slot *s, unsigned int slow)
{
	return (struct gs__stack_view){ .rt = ps->rt,
					.lo = s->g.stack_lo,
					.hi = s->g.stack_hi,
					.buf = s->stack,
					.buf_at = s->stack_at,
					.buf_len = s->stack_len,
					.slow = ps->slow[slow] };
}

static const struct gs_regs *regs_of(const struct pass *ps, const struct gs__m *m)
{
	for (size_t i = 0; m && i < ps->n_threads; i++)
		if (ps->threads[i].has_regs && ps->threads[i].tid == m->tid)
			return &ps->threads[i].regs;
	return NULL;
}

/*
 * Walk the stack of a slot whose g is in @s->g. @return false if the walk needed bytes read after the
 * second look at g and g has changed since: try again.
 */
static bool walk_slot(struct pass *ps, struct slot *s, struct gs__stack_view views[2],
		      struct gs__walk *w)
{
	const struct gs__m *m = gs__m_at(ps->rt, s->g.m);
	const struct gs_regs *regs = regs_of(ps, m);
	struct gs__walk_start start;
	struct gs__g again;

	w->n = 0;
	w->end = GS_STACK_NONE;
	views[0] = view_of(ps, s, 0);
	views[1] = (struct gs__stack_view){ .rt = ps->rt, .slow = ps->slow[1] };
	if (runs_now(&s->g)) {
		if (regs && gs__walk_running(ps->rt, &s->g, m, regs, views, w))
			return true;
		ps->running++;
		return true;
	}
	if (s->g.status == GS_G_DEAD || s->g.status == GS_G_DEADEXTRA)
		return true;
	if (s->g.status == GS_G_COPYSTACK) /* the stack is between two places */
		return false;
	w->end = GS_STACK_BROKEN;
	if (!gs__walk_parked(&s->g, &start))
		return true;
	gs__walk(ps->rt, &views[0], &start, w);
	if (views[0].slow_reads == 0 || ps->n_threads)
		return true;
	return read_g(ps, s->g.addr, &again) && gs__g_same(&s->g, &again);
}

/* Read, walk and verify one goroutine on its own until it holds still. */
static void retry_slot(struct pass *ps, struct slot *s, struct gs__stack_view views[2],
		       struct gs__walk *w)
{
	static const struct gs__labels none;
	struct gs__g again;

	for (int i = 0; i < GS_RETRIES; i++) {
		struct gs__piece p;

		if (!read_g(ps, s->g.addr, &s->g))
			break;
		s->labels = none;
		s->stack = NULL;
		s->stack_len = 0;
		if (!wanted(ps, &s->g)) {
			s->keep = false;
			return;
		}
		if (stack_piece(&s->g, &p) &&
		    gs__gather(ps->rt->mem, &ps->gs, &p, 1, 0, NULL) == 0 && p.bytes) {
			s->stack = p.bytes;
			s->stack_at = p.addr;
			s->stack_len = p.len;
		}
		if (!walk_slot(ps, s, views, w))
			continue;
		if (!read_g(ps, s->g.addr, &again))
			break;
		if (gs__g_same(&s->g, &again) || (runs_now(&s->g) && runs_now(&again))) {
			s->moved = false;
			return;
		}
	}
	s->moved = true;
	w->n = 0;
	w->end = GS_STACK_TORN;
	ps->torn++;
}

static const char *const *args_of(struct pass *ps, struct gs__stack_view *view,
				  const struct gs__walk *w, const struct gs_stack *stack,
				  struct gs_arena *arena)
{
	const char **args = gs_arena_array(arena, stack->n_frames, sizeof(*args));
	uint32_t at = 0;

	for (uint32_t i = 0; args && i < w->n; i++) {
		const struct gs__pc *p = gs__pc_get(ps->rt, w->keys[i] >> 1, w->keys[i] & 1);

		if (!p || at + p->n_frames > stack->n_frames)
			return NULL;
		at += p->n_frames;
		if (p->known)
			args[at - 1] = gs__args_text(ps->rt, p, view, w->argps[i], arena);
	}
	return args;
}

static void fill_wait(const struct pass *ps, const struct gs__g *g, struct gs_goroutine *out)
{
	out->wait_ns = -1;
	if ((out->state == GS_G_WAITING || out->state == GS_G_LEAKED) && g->waitreason)
		out->wait_reason = ps->rt->wait_reasons[g->waitreason];
	if ((out->state == GS_G_WAITING || out->state == GS_G_SYSCALL ||
	     out->state == GS_G_LEAKED) &&
	    g->waitsince > 0 && ps->now_ns > 0)
		out->wait_ns = ps->now_ns > g->waitsince ? ps->now_ns - g->waitsince : 0;
}

/* goroutineheader in runtime/traceback.go: bubble.id; in Go 1.24 the id of the group's root goroutine. */
static uint64_t bubble_id(struct pass *ps, gs_addr bubble)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	gs_addr root;

	if (!bubble || bubble == ps->bubble)
		return bubble ? ps->bubble_id : 0;
	ps->bubble = bubble;
	ps->bubble_id = 0;
	if (gs_go_has(l, GS_GO_BUBBLE_ID))
		(void)!gs_memory_u64(ps->rt->mem, bubble + (uint64_t)l->offset[GS_GO_BUBBLE_ID],
				     &ps->bubble_id, NULL);
	else if (gs_go_has(l, GS_GO_SYNC_GROUP_ROOT) &&
		 gs_memory_u64(ps->rt->mem, bubble + (uint64_t)l->offset[GS_GO_SYNC_GROUP_ROOT],
			       &root, NULL) == 0)
		(void)!gs_memory_u64(ps->rt->mem, root + (uint64_t)l->offset[GS_GO_G_GOID],
				     &ps->bubble_id, NULL);
	return ps->bubble_id;
}

static void fill(struct pass *ps, const struct slot *s, const struct gs_stack *stack,
		 struct gs_goroutine *out)
{
	const struct gs__g *g = &s->g;
	const struct gs__m *m = gs__m_at(ps->rt, g->m ? g->m : g->lockedm);

	*out = (struct gs_goroutine){ .id = g->goid,
				      .parent_id = g->parent_goid,
				      .state = (enum gs_goroutine_state)g->status,
				      .scan = g->scan,
				      .locked = g->lockedm != 0,
				      .moved = s->moved,
				      .thread_id = m ? m->tid : 0,
				      .m_id = m ? m->id : -1,
				      .p_id = m && g->m ? m->p_id : -1,
				      .bubble_id = bubble_id(ps, g->bubble),
				      .stack = stack,
				      .labels = s->labels.label,
				      .n_labels = s->labels.n,
				      .g = g->addr };
	if (g->goid != 1 && g->gopc)
		out->created_by = gs__creator(ps->rt, g->gopc);
	out->system = starts_in_runtime(ps->rt, g, &out->start);
	if (out->system && out->start && calls_back(out->start))
		out->system = !in_user_code(stack);
	fill_wait(ps, g, out);
}

static int emit(struct pass *ps, struct slot *s, struct gs_arena *arena, struct gs_err *err)
{
	struct gs__walk w = { .keys = ps->keys, .argps = ps->argps, .max = ps->max_frames };
	struct gs__stack_view views[2];
	struct gs_goroutine out;
	const struct gs_stack *stack;

	if (ps->o->no_stacks)
		w.end = GS_STACK_NONE;
	else if (s->moved || !walk_slot(ps, s, views, &w))
		retry_slot(ps, s, views, &w);
	if (!s->keep)
		return 0;
	stack = gs__stack_intern(ps->rt, w.keys, w.n, w.end);
	if (!stack)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "too many distinct stacks: more than 1 GiB of them. Narrow the "
			       "selection, for instance with --limit");
	if (w.end == GS_STACK_BROKEN)
		ps->broken++;
	fill(ps, s, stack, &out);
	if (out.system && !ps->o->system)
		return 0;
	if (ps->o->args && w.n)
		out.args = args_of(ps, &views[0], &w, stack, arena);
	ps->visited++;
	return ps->visit(ps->ctx, &out);
}

static int do_batch(void *ctx, uint32_t n, struct gs_err *err)
{
	struct pass *ps = ctx;
	GS_CLEANUP(gs_arena_freep) struct gs_arena *arena = gs_arena_new(0);
	int r;

	if (!arena)
		return gs_fail(err, -ENOMEM, 0, "no memory for a batch of goroutines");
	ps->n = n;
	r = load_batch(ps, err);
	if (r == 0)
		r = load_labels(ps, arena, err);
	for (uint32_t i = 0; r == 0 && i < ps->n; i++) {
		if (ps->slot[i].keep)
			r = emit(ps, &ps->slot[i], arena, err);
		if (r == 0 && ps->o->limit && ps->visited >= ps->o->limit)
			return 1;
		ps->late = gs_now_ns() > ps->deadline_ns;
		if (r == 0 && ps->late)
			return 1;
	}
	return r;
}

/* The published pair: the pointer is stored before the length (allgadd), so read the length first. */
static int read_allgs(struct gs_rt *rt, gs_addr *ret_ptr, uint64_t *ret_len, struct gs_err *err)
{
	const struct gs_go_globals *gl = &rt->facts.globals;
	gs_addr slice = gl->addr[GS_GO_GLOBAL_ALLGS];
	uint64_t words[2];
	int r;

	if (gl->addr[GS_GO_GLOBAL_ALLGLEN] && gl->addr[GS_GO_GLOBAL_ALLGPTR]) {
		r = gs_memory_u64(rt->mem, gl->addr[GS_GO_GLOBAL_ALLGLEN], ret_len, err);
		if (r == 0)
			r = gs_memory_u64(rt->mem, gl->addr[GS_GO_GLOBAL_ALLGPTR], ret_ptr, err);
	} else {
		r = gs_memory_read(rt->mem, slice, words, sizeof(words), err);
		if (r == 0) {
			*ret_ptr = words[0];
			*ret_len = words[1];
		}
	}
	if (r < 0)
		return gs_fail_in(err, r, "cannot read the list of goroutines (runtime.allgs)");
	if (*ret_len > GS_RT_MAX_GOROUTINES)
		return gs_fail(
			err, -GS_E_BAD_DATA, *ret_ptr,
			"the list of goroutines claims %llu entries; gosonde reads at most %u",
			(unsigned long long)*ret_len, GS_RT_MAX_GOROUTINES);
	return 0;
}

int gs__allgs_each(struct gs_rt *rt, gs_addr *ptrs, uint32_t max, gs__batch_fn *batch, void *ctx,
		   uint64_t *io_unreadable, struct gs_err *err)
{
	gs_addr list;
	uint64_t len;
	int r = read_allgs(rt, &list, &len, err);

	for (uint64_t i = 0; r == 0 && i < len; i += max) {
		uint32_t n = len - i < max ? (uint32_t)(len - i) : max;

		r = gs_memory_read(rt->mem, list + i * 8, ptrs, n * 8ul, err);
		if (r == 0) {
			r = batch(ctx, n, err);
		} else if (r == -GS_E_FAULT) { /* the array moved or is damaged: go on */
			*io_unreadable += n;
			r = 0;
		}
	}
	return r;
}

/* The target's clock; a core file has none, so take the latest moment the runtime wrote down. */
static int64_t target_now(struct gs_rt *rt, struct gs_incomplete_list *inc)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	const gs_addr *gl = rt->facts.globals.addr;
	int64_t now = gs_target_now_ns(rt->target);
	uint64_t t;

	if (now > 0)
		return now;
	if (gl[GS_GO_GLOBAL_SCHED] && gs_go_has(l, GS_GO_SCHED_LASTPOLL) &&
	    gs_memory_u64(rt->mem,
			  gl[GS_GO_GLOBAL_SCHED] + (uint64_t)l->offset[GS_GO_SCHED_LASTPOLL], &t,
			  NULL) == 0)
		now = (int64_t)t;
	if (gl[GS_GO_GLOBAL_MEMSTATS] && gs_go_has(l, GS_GO_MSTATS_LAST_GC_NANOTIME) &&
	    gs_memory_u64(rt->mem,
			  gl[GS_GO_GLOBAL_MEMSTATS] +
				  (uint64_t)l->offset[GS_GO_MSTATS_LAST_GC_NANOTIME],
			  &t, NULL) == 0 &&
	    (int64_t)t > now)
		now = (int64_t)t;
	gs_incomplete_add(
		inc, "wait_times_estimated", 1,
		"a core file does not say when it was written; waits are counted up to the "
		"last poll or GC");
	return now;
}

static int prepare(struct pass *ps, struct gs_err *err)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	int r;

	ps->g_size = (uint32_t)l->offset[GS_GO_G_SIZE];
	ps->max_frames = ps->o->max_frames ? ps->o->max_frames : GS_RT_MAX_FRAMES;
	if (ps->max_frames > GS_RT_MAX_FRAMES)
		ps->max_frames = GS_RT_MAX_FRAMES;
	ps->keys = gs_array_new(ps->max_frames, sizeof(*ps->keys));
	ps->argps = ps->o->args ? gs_array_new(ps->max_frames, sizeof(*ps->argps)) : NULL;
	ps->slow[0] = malloc(GS__SLOW_BYTES);
	ps->slow[1] = malloc(GS__SLOW_BYTES);
	if (!ps->keys || (ps->o->args && !ps->argps) || !ps->slow[0] || !ps->slow[1])
		return gs_fail(err, -ENOMEM, 0, "no memory to read goroutines");
	r = gs__ms_read(ps->rt, ps->inc, err);
	if (r < 0)
		return r;
	r = gs_target_threads(ps->rt->target, &ps->threads, &ps->n_threads, NULL);
	if (r < 0 || (ps->n_threads && !ps->threads[0].has_regs)) /* live and not stopped */
		ps->n_threads = 0;
	ps->now_ns = target_now(ps->rt, ps->inc);
	ps->deadline_ns = gs_now_ns() + TIME_MAX_NS;
	return 0;
}

static void count_missing(struct pass *ps)
{
	gs_incomplete_add(ps->inc, "goroutines_torn", ps->torn,
			  "kept changing state while they were read; --stop reads them exactly");
	gs_incomplete_add(ps->inc, "goroutines_unreadable", ps->unreadable,
			  "their structures (runtime.g) could not be read");
	gs_incomplete_add(ps->inc, "stacks_broken", ps->broken,
			  "the stack could be walked only in part");
	gs_incomplete_add(ps->inc, "time_limit", ps->late,
			  "reading took longer than %d minutes and was ended",
			  (int)(TIME_MAX_NS / 60000000000));
	gs_incomplete_add(ps->inc, "running_without_stack", ps->running,
			  "were running on a CPU; their stacks cannot be read without --stop");
}

static void pass_free(struct pass *ps)
{
	if (!ps)
		return;
	gs__gather_free(&ps->gs);
	gs__gather_free(&ps->stacks);
	free(ps->keys);
	free(ps->argps);
	free(ps->slow[0]);
	free(ps->slow[1]);
	free(ps);
}

int gs_rt_goroutines(struct gs_rt *rt, const struct gs_rt_dump_options *o,
		     int (*visit)(void *ctx, const struct gs_goroutine *g), void *ctx,
		     struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct pass *ps = calloc(1, sizeof(*ps));
	int r;

	if (!ps)
		return gs_fail(err, -ENOMEM, 0, "no memory to read goroutines");
	ps->rt = rt;
	ps->o = o;
	ps->visit = visit;
	ps->ctx = ctx;
	ps->inc = inc;
	r = prepare(ps, err);
	if (r == 0)
		r = gs__allgs_each(rt, ps->ptrs, GS_BATCH, do_batch, ps, &ps->unreadable, err);
	if (r == 1 && (ps->late || (o->limit && ps->visited >= o->limit)))
		r = 0; // an end of our own, not the visitor's
	if (r >= 0)
		count_missing(ps);
	pass_free(ps);
	return r;
}
