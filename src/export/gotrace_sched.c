/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Keeping a Go execution trace one that readers accept; see gotrace_sched.h. The rules are those of
 * internal/trace/order.go, the same from Go 1.22 to 1.27:
 *
 *	- a G and a P are introduced by a status in the first generation, or by GoCreate; a P also later
 *	- each event of a G or P that carries a number follows the one before; the numbers begin anew
 *	  with a status, and a status must be there in each generation that has such events
 *	- GoStart needs a runnable G and an M with a P and without a G; GoBlock, GoStop and GoDestroy
 *	  need the G on an M with a P; GoUnblock needs a waiting G and no context at all
 *	- a P changes its M by ProcStop and ProcStart, or by ProcSteal while its G is in a system call
 *	- GoSyscallEndBlocked needs that the P is gone
 *
 * Readers take the events of all threads in the order of time, so every event here is later than all
 * it depends on. Times of different threads' events are made different: see gs__gt_tick().
 *
 * What events cannot tell is filled in with the least that explains what was seen, and counted as
 * repaired where it means that an event is missing:
 *
 *	- a P turns up on another thread while its goroutine runs: that one is in a system call (sysmon
 *	  took the P away); the kernel tells of the call only when it is over. If it does not, the
 *	  goroutine had got another P at the end of an earlier call: the call made up takes no time then
 *	- a goroutine goes on after a system call without its P: which one it got nobody said, so it gets a made-up
 *	  one, number 1,000,000 and up, until the thread says again which P it has
 *	- a thread whose P was never told has a made-up P too; if the thread's next P is one that has not been
 *	  seen at all, it was that one all along and the made-up one takes its number
 */
#include "export/gotrace_sched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define MADE_UP_FIRST 1000000u
#define MADE_UP_MAX 256u /* beyond that times give way */
#define P_MAX (64 << 10)

static void out_of_memory(struct gs__gt_sched *s)
{
	if (!s->file.error)
		s->file.error = -ENOMEM;
}

/*
 * The time of the next event of @m. Of system calls we learn when they are over, and nothing was heard of
 * the thread meanwhile: their events (past_ns is set) get the time at which they were, as long as the
 * generation and the thread's own events allow. All they depend on is the thread's own.
 */
static uint64_t when(struct gs__gt_sched *s, const struct gs__gt_m *m, int64_t t_ns)
{
	uint64_t t = s->past_ns;

	if (!t)
		return gs__gt_tick(&s->file, t_ns);
	if (t < s->file.gen_start_ns)
		t = s->file.gen_start_ns;
	if (t < m->batch.last_ns)
		t = m->batch.last_ns;
	return t < s->file.now_ns ? t : s->file.now_ns;
}

void gs__gt_emit(struct gs__gt_sched *s, struct gs__gt_m *m, int64_t t_ns, uint8_t type,
		 const uint64_t *args, uint32_t n)
{
	if (!m)
		m = &s->nobody;
	(void)gs__gt_event(&s->file, &m->batch, when(s, m, t_ns), type, args, n);
}

/* --- Statuses and Ps --------------------------------------------------------------------------------- */

/* Tell the generation about a P before an event with its number. */
static void p_status(struct gs__gt_sched *s, struct gs__gt_p *p, struct gs__gt_m *m, int64_t t_ns)
{
	if (p->gen == s->file.gen)
		return;
	GS__GT_EMIT(s, p->m ? p->m : m, t_ns, GS__GT_PROC_STATUS, p->id, p->status);
	p->gen = s->file.gen;
	p->seq = 0;
	p->renamable = false;
}

/* Tell the generation about a G. One that is on a thread must be told of there. */
static void g_status(struct gs__gt_sched *s, struct gs__gt_g *g, struct gs__gt_m *m, int64_t t_ns)
{
	if (g->gen == s->file.gen)
		return;
	GS__GT_EMIT(s, g->m ? g->m : m, t_ns, GS__GT_GO_STATUS, g->goid,
		    g->m ? g->m->batch.m : GS__GT_NO_THREAD, g->state);
	g->gen = s->file.gen;
	g->seq = 0;
}

static void p_stop(struct gs__gt_sched *s, struct gs__gt_m *m, int64_t t_ns)
{
	struct gs__gt_p *p = m->p;

	if (!p)
		return;
	p_status(s, p, m, t_ns);
	GS__GT_EMIT(s, m, t_ns, GS__GT_PROC_STOP);
	p->status = GS__GT_P_IDLE;
	p->m = NULL;
	m->p = NULL;
	m->switch_ns = 0;
	p->renamable = false;
	if (p->id >= MADE_UP_FIRST) {
		p->idle_ns = m->batch.last_ns;
		p->next_idle = s->idle;
		s->idle = p;
	}
}

static void p_start(struct gs__gt_sched *s, struct gs__gt_p *p, struct gs__gt_m *m, int64_t t_ns)
{
	p_status(s, p, m, t_ns);
	GS__GT_EMIT(s, m, t_ns, GS__GT_PROC_START, p->id, ++p->seq);
	p->status = GS__GT_P_RUNNING;
	p->m = m;
	m->p = p;
	p->renamable = false;
}

/* A P that is seen for the first time, on @m. */
static void p_first(struct gs__gt_sched *s, struct gs__gt_p *p, struct gs__gt_m *m, int64_t t_ns)
{
	uint64_t args[] = { p->id, GS__GT_P_RUNNING };

	p->at = gs__gt_event(&s->file, &m->batch, when(s, m, t_ns), GS__GT_PROC_STATUS, args, 2);
	p->serial = m->batch.serial;
	p->gen = s->file.gen;
	p->status = GS__GT_P_RUNNING;
	p->renamable = p->made_up;
	p->m = m;
	m->p = p;
}

/* A made-up P that is idle and was so at the time of the next event; NULL: none, make another. */
static struct gs__gt_p *idle_p(struct gs__gt_sched *s)
{
	struct gs__gt_p **at = &s->idle, *p;

	while (*at && s->past_ns && (*at)->idle_ns >= s->past_ns)
		at = &(*at)->next_idle;
	if (!*at && s->n_made_up >= MADE_UP_MAX && s->idle) {
		at = &s->idle;
		s->past_ns = s->idle->idle_ns + 1;
	}
	p = *at;
	if (p)
		*at = p->next_idle;
	return p;
}

static bool made_up_p(struct gs__gt_sched *s, struct gs__gt_m *m, int64_t t_ns)
{
	struct gs__gt_p *p = idle_p(s), **list;

	if (p) {
		p_start(s, p, m, t_ns);
		return true;
	}
	p = calloc(1, sizeof(*p));
	list = gs_array_resize(s->made_up, s->n_made_up + 1, sizeof(struct gs__gt_p *));
	if (list)
		s->made_up = list;
	if (!p || !list) {
		free(p);
		out_of_memory(s);
		return false;
	}
	p->id = MADE_UP_FIRST + s->n_made_up;
	p->made_up = true;
	list[s->n_made_up++] = p;
	p_first(s, p, m, t_ns);
	return true;
}

/* The place of a real P's number, NULL if it is none we can have. */
static struct gs__gt_p **p_place(struct gs__gt_sched *s, int32_t number)
{
	if ((uint32_t)number >= s->n_p) {
		uint32_t n = s->n_p ? s->n_p : 64;
		struct gs__gt_p **p;

		while (n <= (uint32_t)number)
			n *= 2;
		p = gs_array_resize(s->p, n, sizeof(struct gs__gt_p *));
		if (!p) {
			out_of_memory(s);
			return NULL;
		}
		memset(p + s->n_p, 0, (n - s->n_p) * sizeof(struct gs__gt_p *));
		s->p = p;
		s->n_p = n;
	}
	return &s->p[number];
}

/* The goroutine of @m, which runs, is in a system call since @begin_ns. */
static void syscall_begin(struct gs__gt_sched *s, struct gs__gt_m *m, uint64_t stack,
			  uint64_t begin_ns)
{
	struct gs__gt_g *g = gs__gt_g(s, m->goid);

	s->past_ns = begin_ns;
	g_status(s, g, m, 0);
	p_status(s, m->p, m, 0);
	GS__GT_EMIT(s, m, 0, GS__GT_GO_SYSCALL_BEGIN, ++m->p->seq, stack);
	s->past_ns = 0;
	m->begin_at = m->batch.last_at;
	m->begin_serial = m->batch.serial;
	m->begin_seq = m->p->seq;
	m->p->status = GS__GT_P_SYSCALL;
	m->p->renamable = false;
	m->back_ns = 0;
	m->guess = false;
	g->state = GS__GT_G_SYSCALL;
}

static void syscall_end(struct gs__gt_sched *s, struct gs__gt_g *g, int64_t t_ns);

/* @p is on another thread than the one that has it now. */
static void p_taken(struct gs__gt_sched *s, struct gs__gt_p *p, struct gs__gt_m *m, int64_t t_ns)
{
	struct gs__gt_m *from = p->m;
	bool guess;

	if (from->back_ns)
		syscall_end(s, gs__gt_g(s, from->goid), t_ns);
	guess = p->status == GS__GT_P_RUNNING;
	if (!from->goid) {
		p_stop(s, from, t_ns);
		return;
	}
	if (guess)
		syscall_begin(s, from, 0, gs__gt_tick(&s->file, t_ns));
	p_status(s, p, from, t_ns);
	GS__GT_EMIT(s, m, t_ns, GS__GT_PROC_STEAL, p->id, ++p->seq, from->batch.m);
	from->lost_ns = s->file.now_ns;
	from->guess = guess;
	p->status = GS__GT_P_IDLE;
	p->m = NULL;
	from->p = NULL;
	from->switch_ns = 0;
	p->renamable = false;
}

/* The made-up P of @m was number @number all along. */
static bool p_rename(struct gs__gt_p **place, struct gs__gt_m *m, int32_t number)
{
	struct gs__gt_p *p = m->p;

	if (*place || !p->renamable || p->serial != m->batch.serial)
		return false;
	gs__gt_patch(&m->batch, p->at, (uint64_t)number);
	p->id = (uint64_t)number;
	p->renamable = false;
	*place = p;
	return true;
}

bool gs__gt_take_p(struct gs__gt_sched *s, struct gs__gt_m *m, int32_t number, int64_t t_ns)
{
	struct gs__gt_p **place;

	if (number < 0 || number >= P_MAX)
		return m->p || made_up_p(s, m, t_ns);
	if (m->p && m->p->id == (uint64_t)number)
		return true;
	place = p_place(s, number);
	if (!place)
		return false;
	if (m->p && p_rename(place, m, number))
		return true;
	p_stop(s, m, t_ns);
	if (!*place) {
		*place = calloc(1, sizeof(**place));
		if (!*place) {
			out_of_memory(s);
			return false;
		}
		(*place)->id = (uint64_t)number;
		p_first(s, *place, m, t_ns);
		return true;
	}
	if ((*place)->m)
		p_taken(s, *place, m, t_ns);
	p_start(s, *place, m, t_ns);
	return true;
}

/* --- Transitions ------------------------------------------------------------------------------------- */

static uint64_t unspecified(struct gs__gt_sched *s)
{
	return gs__gt_string(&s->file, "unspecified", 11);
}

/* Whatever goroutine is on @m, it is not any more: runnable. */
static void m_clear(struct gs__gt_sched *s, struct gs__gt_m *m, int64_t t_ns)
{
	struct gs__gt_g *g = gs__gt_g(s, m->goid);

	if (!g)
		return;
	s->repaired++;
	if (g->state == GS__GT_G_SYSCALL)
		gs__gt_syscall_end_blocked(s, g, t_ns);
	else
		gs__gt_stop(s, g, unspecified(s), 0, t_ns);
}

void gs__gt_m_exit(struct gs__gt_sched *s, int32_t tid, int64_t t_ns)
{
	struct gs__gt_m *m = gs__gt_m_known(s, tid);

	if (!m)
		return;
	m_clear(s, m, t_ns);
	p_stop(s, m, t_ns);
	gs__gt_flush(&s->file, &m->batch);
	gs__gt_batch_deinit(&m->batch);
}

struct gs__gt_g *gs__gt_g_status(struct gs__gt_sched *s, uint64_t goid, uint8_t state,
				 struct gs__gt_m *m, uint64_t stack, int64_t t_ns)
{
	struct gs__gt_g *g = gs__gt_g_add(s, goid, state);
	uint64_t args[] = { goid, m ? m->batch.m : GS__GT_NO_THREAD, state, stack };

	if (!g)
		return NULL;
	if (s->file.status_stacks && stack)
		gs__gt_emit(s, m, t_ns, GS__GT_GO_STATUS_STACK, args, 4);
	else
		gs__gt_emit(s, m, t_ns, GS__GT_GO_STATUS, args, 3);
	g->m = m;
	if (m)
		m->goid = goid;
	return g;
}

struct gs__gt_g *gs__gt_create(struct gs__gt_sched *s, uint64_t goid, struct gs__gt_m *m,
			       uint64_t start, uint64_t stack, int64_t t_ns)
{
	struct gs__gt_g *g = gs__gt_g(s, goid);

	if (g)
		return g;
	g = gs__gt_g_add(s, goid, GS__GT_G_RUNNABLE);
	if (g)
		GS__GT_EMIT(s, m, t_ns, GS__GT_GO_CREATE, goid, start, stack);
	return g;
}

static void start(struct gs__gt_sched *s, struct gs__gt_g *g, struct gs__gt_m *m, int64_t t_ns)
{
	g_status(s, g, m, t_ns);
	GS__GT_EMIT(s, m, t_ns, GS__GT_GO_START, g->goid, ++g->seq);
	g->state = GS__GT_G_RUNNING;
	g->m = m;
	m->goid = g->goid;
	m->back_ns = 0;
	m->switch_ns = 0;
	s->last_m = m;
}

/* Make it runnable, whatever it is. */
static void make_runnable(struct gs__gt_sched *s, struct gs__gt_g *g, struct gs__gt_m *m,
			  int64_t t_ns)
{
	if (g->m)
		m_clear(s, g->m, t_ns);
	if (g->state == GS__GT_G_WAITING) {
		s->repaired++;
		gs__gt_unblock(s, g->goid, m, 0, t_ns);
	}
}

/* A goroutine nobody told of is about to run on @m, which has a P. Readers take new ones as they are only
 * in the first generation; later they must be created. */
static struct gs__gt_g *introduce(struct gs__gt_sched *s, uint64_t goid, struct gs__gt_m *m,
				  int64_t t_ns)
{
	if (s->file.gen > 1) {
		s->repaired++;
		return gs__gt_create(s, goid, m, 0, 0, t_ns);
	}
	return gs__gt_g_status(s, goid, GS__GT_G_RUNNABLE, NULL, 0, t_ns);
}

struct gs__gt_g *gs__gt_run(struct gs__gt_sched *s, uint64_t goid, struct gs__gt_m *m, int32_t p,
			    int64_t t_ns)
{
	struct gs__gt_g *g;

	m_clear(s, m, t_ns);
	g = gs__gt_g(s, goid);
	if (g)
		make_runnable(s, g, m, t_ns);
	if (!gs__gt_take_p(s, m, p, t_ns))
		return NULL;
	if (!g)
		g = introduce(s, goid, m, t_ns);
	if (g)
		start(s, g, m, t_ns);
	return g;
}

/*
 * Back from a system call and running, since back_ns if that is known. It may go on without the P it had: which one
 * it has instead nobody said. If it was not off its CPU at all, the guess was wrong: it lost that P in an earlier
 * call, and nobody said that either.
 */
static void syscall_end(struct gs__gt_sched *s, struct gs__gt_g *g, int64_t t_ns)
{
	struct gs__gt_m *m = g->m;

	s->past_ns = gs__gt_tick(&s->file, t_ns);
	if (m->back_ns > 0)
		s->past_ns = (uint64_t)m->back_ns;
	else if (m->guess)
		s->past_ns = m->lost_ns + 1;
	if (!m->p && s->past_ns <= m->lost_ns)
		s->past_ns = m->lost_ns + 1;
	m->back_ns = 0;
	if (m->p) {
		g_status(s, g, m, t_ns);
		p_status(s, m->p, m, t_ns);
		GS__GT_EMIT(s, m, t_ns, GS__GT_GO_SYSCALL_END);
		m->p->status = GS__GT_P_RUNNING;
		g->state = GS__GT_G_RUNNING;
	} else if (made_up_p(s, m, t_ns)) {
		g_status(s, g, m, t_ns);
		GS__GT_EMIT(s, m, t_ns, GS__GT_GO_SYSCALL_END_BLOCKED);
		start(s, g, m, t_ns);
	}
	s->past_ns = 0;
}

/* It runs on @m since a coroutine gave the thread to it: of that there is only the end of the other one. */
static struct gs__gt_g *switched(struct gs__gt_sched *s, uint64_t goid, struct gs__gt_m *m,
				 int64_t t_ns)
{
	struct gs__gt_g *g = gs__gt_g(s, goid);

	(void)gs__gt_tick(&s->file, t_ns);
	s->past_ns = m->switch_ns;
	if (!g) {
		g = gs__gt_g_add(s, goid, GS__GT_G_WAITING);
		if (g)
			g->gen = 0; // not told yet
	}
	if (g) {
		g_status(s, g, m, t_ns);
		GS__GT_EMIT(s, m, t_ns, GS__GT_GO_UNBLOCK, goid, ++g->seq, 0);
		start(s, g, m, t_ns);
	}
	s->past_ns = 0;
	return g;
}

struct gs__gt_g *gs__gt_runs(struct gs__gt_sched *s, uint64_t goid, struct gs__gt_m *m,
			     int64_t t_ns)
{
	struct gs__gt_g *g = gs__gt_g(s, goid);

	s->last_m = m;
	if (g && g->m == m) {
		if (g->state == GS__GT_G_SYSCALL)
			syscall_end(s, g, t_ns);
		g_status(s, g, m, t_ns);
		return g->state == GS__GT_G_RUNNING ? g : NULL;
	}
	if (m->switch_ns && m->p && !m->goid &&
	    (g ? g->state == GS__GT_G_WAITING : s->file.gen == 1))
		return switched(s, goid, m, t_ns);
	if (g || s->file.gen > 1) {
		s->repaired += g != NULL;
		return gs__gt_run(s, goid, m, -1, t_ns);
	}
	m_clear(s, m, t_ns);
	if (!gs__gt_take_p(s, m, -1, t_ns))
		return NULL;
	return gs__gt_g_status(s, goid, GS__GT_G_RUNNING, m, 0, t_ns);
}

static void leave(struct gs__gt_g *g, uint8_t state)
{
	g->m->goid = 0;
	g->m = NULL;
	g->state = state;
}

void gs__gt_block(struct gs__gt_sched *s, struct gs__gt_g *g, uint64_t reason, uint64_t stack,
		  int64_t t_ns)
{
	g_status(s, g, g->m, t_ns);
	GS__GT_EMIT(s, g->m, t_ns, GS__GT_GO_BLOCK, reason, stack);
	leave(g, GS__GT_G_WAITING);
}

void gs__gt_switch(struct gs__gt_sched *s, struct gs__gt_g *g, uint64_t reason, uint64_t stack,
		   int64_t t_ns)
{
	struct gs__gt_m *m = g->m;

	gs__gt_block(s, g, reason, stack, t_ns);
	m->switch_ns = m->batch.last_ns;
}

void gs__gt_stop(struct gs__gt_sched *s, struct gs__gt_g *g, uint64_t reason, uint64_t stack,
		 int64_t t_ns)
{
	g_status(s, g, g->m, t_ns);
	GS__GT_EMIT(s, g->m, t_ns, GS__GT_GO_STOP, reason, stack);
	leave(g, GS__GT_G_RUNNABLE);
}

void gs__gt_destroy(struct gs__gt_sched *s, struct gs__gt_g *g, int64_t t_ns)
{
	gs__gt_calls_end(s, g, t_ns);
	GS__GT_EMIT(s, g->m, t_ns, GS__GT_GO_DESTROY);
	g->m->goid = 0;
	gs__gt_g_gone(s, g);
}

void gs__gt_unblock(struct gs__gt_sched *s, uint64_t goid, struct gs__gt_m *m, uint64_t stack,
		    int64_t t_ns)
{
	struct gs__gt_g *g = gs__gt_g(s, goid);

	if (!g) {
		/* Later than the first generation it is not known until it runs. */
		if (s->file.gen > 1)
			return;
		g = gs__gt_g_status(s, goid, GS__GT_G_WAITING, NULL, 0, t_ns);
		if (!g)
			return;
	}
	if (g->state == GS__GT_G_RUNNING) {
		s->repaired++;
		gs__gt_block(s, g, unspecified(s), 0, t_ns);
	} else if (g->state == GS__GT_G_SYSCALL) {
		m_clear(s, g->m, t_ns);
	}
	if (g->state != GS__GT_G_WAITING)
		return;
	g_status(s, g, m, t_ns);
	GS__GT_EMIT(s, m, t_ns, GS__GT_GO_UNBLOCK, goid, ++g->seq, stack);
	g->state = GS__GT_G_RUNNABLE;
}

/* It is known now when the system call, of which only the loss of the P had been seen, began. Nothing
 * was heard of the thread since, so unless a generation ended, the event can still be changed. */
static void syscall_begin_again(struct gs__gt_sched *s, struct gs__gt_m *m, uint64_t stack,
				uint64_t begin_ns)
{
	if (!gs__gt_take_back(&m->batch, m->begin_serial, m->begin_at))
		return;
	s->past_ns = begin_ns;
	GS__GT_EMIT(s, m, 0, GS__GT_GO_SYSCALL_BEGIN, m->begin_seq, stack);
	s->past_ns = 0;
	m->begin_serial--; // only once
}

void gs__gt_syscall(struct gs__gt_sched *s, struct gs__gt_g *g, uint64_t stack, int64_t begin_ns,
		    int64_t t_ns)
{
	uint64_t begin = begin_ns > 0 ? (uint64_t)begin_ns : 1;
	struct gs__gt_m *m = g->m;

	(void)gs__gt_tick(&s->file, t_ns); // what is past is before this
	if (g->state == GS__GT_G_SYSCALL &&
	    (m->back_ns || (m->guess && begin > m->lost_ns))) // this is its next call
		syscall_end(s, g, t_ns);
	if (g->state == GS__GT_G_RUNNING)
		syscall_begin(s, m, stack, begin);
	else if (g->state == GS__GT_G_SYSCALL && !m->p)
		syscall_begin_again(s, m, stack, begin);
	/* Whether it goes on or has lost its P is told by the next event. */
	if (g->state == GS__GT_G_SYSCALL)
		m->back_ns = t_ns;
}

void gs__gt_syscall_end_blocked(struct gs__gt_sched *s, struct gs__gt_g *g, int64_t t_ns)
{
	struct gs__gt_m *m = g->m;

	if (g->state == GS__GT_G_RUNNING)
		syscall_begin(s, m, 0, gs__gt_tick(&s->file, t_ns));
	g_status(s, g, m, t_ns);
	p_stop(s, m, t_ns);
	GS__GT_EMIT(s, m, t_ns, GS__GT_GO_SYSCALL_END_BLOCKED);
	m->back_ns = 0;
	leave(g, GS__GT_G_RUNNABLE);
}

void gs__gt_cut(struct gs__gt_sched *s)
{
	/* A generation without events is refused. */
	if (!s->file.any)
		GS__GT_EMIT(s, NULL, 0, GS__GT_PROC_STATUS, MADE_UP_FIRST - 1, GS__GT_P_IDLE);
	for (uint32_t i = 0; i < s->n_m; i++)
		if (s->m[i]->back_ns)
			syscall_end(s, gs__gt_g(s, s->m[i]->goid), 0);
	for (uint32_t i = 0; i < s->n_m; i++) {
		struct gs__gt_batch *b = &s->m[i]->batch;

		if (b->len)
			gs__gt_flush(&s->file, b);
		else
			gs__gt_batch_deinit(b); // nothing of it for long
	}
	gs__gt_flush(&s->file, &s->nobody.batch);
	gs__gt_generation_end(&s->file);
}
