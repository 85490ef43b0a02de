/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Stopping a process for a moment with ptrace, without leaving a trace.
 *
 * A thread of ours is the tracer from the first PTRACE_SEIZE to the last PTRACE_DETACH, because
 * ptrace belongs to a thread, and because the kernel detaches everything a tracer holds when it ends
 * (kernel/ptrace.c, exit_ptrace): threads that would not stop in time are released that way (a
 * running thread cannot be detached otherwise), and so is everything if gosonde is killed.
 *
 *   round: list the threads; seize and interrupt the new ones; wait until all known ones stand
 *   end:   a round that finds no new thread, as threads that stand create none
 *
 * A thread stops in one of two ways: at our interrupt (PTRACE_EVENT_STOP, also when it is in a
 * job-control stop), or because a signal was about to be delivered: the Go runtime preempts with
 * SIGURG, so that is common. That signal is handed back with PTRACE_DETACH. States are read with
 * WNOWAIT: consuming them would clear the signal in the kernel, and it would be lost if we were
 * killed before the detach (kernel/exit.c, wait_task_stopped). The same keeps the exit status of a
 * thread group for its real parent, even if that is us.
 *
 * What the target may notice: blocking system calls restart by themselves, except those that
 * signal(7) lists as always failing with EINTR after a stop (epoll_wait, semop…); the Go runtime
 * repeats them. While the target stands, waitpid(-1) elsewhere in this program can see its threads.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "target/process_private.h"

#define DEFAULT_MAX_NS 1000000000
#define SPIN_NS 200000   /* most threads stop within microseconds */
#define XSTATE_BYTES 832 /* up to where registers may hold pointers: registers.c */

enum tracee_state { TRACEE_NEW, TRACEE_SEIZED, TRACEE_STOPPED, TRACEE_GONE };

struct tracee {
	struct gs_thread thread; /* name and state as before the stop */
	enum tracee_state state;
	int signal; /* was about to be delivered */
};

struct gs__stopped {
	struct gs_process_target *p;
	pthread_t tracer;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool decided, release; /* under lock: the tracer has succeeded or failed; it shall let go */
	int result;
	struct gs_err err;
	int64_t max_ns, began_ns, ended_ns, deadline_ns;
	struct tracee *v; /* sorted by tid */
	size_t n, cap;
};

static int compare_tracees(const void *a, const void *b)
{
	int32_t x = ((const struct tracee *)a)->thread.tid,
		y = ((const struct tracee *)b)->thread.tid;

	return (x > y) - (x < y);
}

static int add_tracee(struct gs__stopped *s, int32_t tid)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct tracee *v = (struct tracee *)gs_array_resize(s->v, cap, sizeof(*v));

		if (!v)
			return gs_fail(&s->err, -ENOMEM, 0, "PID %d: no memory for its threads",
				       s->p->pid);
		s->v = v;
		s->cap = cap;
	}
	memset(&s->v[s->n], 0, sizeof(s->v[0]));
	if (gs__read_thread(s->p, tid, &s->v[s->n].thread))
		s->n++; // else it has ended meanwhile
	return 0;
}

/* Put threads that are not known yet behind the first @known ones. */
static int find_new(struct gs__stopped *s, size_t known)
{
	GS_CLEANUP(gs_freep) int32_t *tids = NULL;
	size_t n;
	int r = gs__list_tids(s->p, &tids, &n, &s->err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct tracee key = { .thread.tid = tids[i] };

		if (known && bsearch(&key, s->v, known, sizeof(key), compare_tracees))
			continue;
		r = add_tracee(s, tids[i]);
	}
	return r;
}

/* Whether somebody else traces @tid; -1 if that cannot be found out. */
static int tracer_of(const struct gs__stopped *s, int32_t tid)
{
	GS_CLEANUP(gs_freep) char *text = NULL;
	char name[48];
	const char *p;
	size_t len;

	snprintf(name, sizeof(name), "task/%d/status", tid);
	if (gs__slurp(s->p->proc_fd, name, 1 << 20, &text, &len) < 0)
		return -1;
	p = strstr(text, "\nTracerPid:");
	return p ? (int)strtol(p + 11, NULL, 10) : -1;
}

/* PTRACE_SEIZE of @tr failed. @return 0 if that is because it has ended. */
static int cannot_seize(struct gs__stopped *s, struct tracee *tr, int error)
{
	struct gs_thread now = { 0 };
	int tracer;

	tr->state = TRACEE_GONE;
	if (error == ESRCH || !gs__read_thread(s->p, tr->thread.tid, &now) || now.state == 'Z' ||
	    now.state == 'X')
		return 0;
	if (s->p->pid == getpid())
		return gs_fail(&s->err, -GS_E_UNSUPPORTED, 0, "gosonde cannot stop itself (PID %d)",
			       s->p->pid);
	tracer = tracer_of(s, tr->thread.tid);
	if (tracer > 0)
		return gs_fail(
			&s->err, -GS_E_PERMISSION, 0,
			"cannot stop PID %d: PID %d already traces it (a debugger or strace), "
			"and there can be only one. End that, or do without stopping",
			s->p->pid, tracer);
	if (error == EPERM || error == EACCES)
		return gs__explain_refusal(s->p->pid, "stop", &s->err);
	return gs_fail(&s->err, -error, 0, "cannot stop thread %d of PID %d: %s", tr->thread.tid,
		       s->p->pid, strerror(error));
}

/* Seize all new ones first, so that the stops lie close together. */
static int interrupt_new(struct gs__stopped *s, size_t known)
{
	for (size_t i = known; i < s->n; i++) {
		struct tracee *tr = &s->v[i];
		int r = 0;

		if (ptrace(PTRACE_SEIZE, tr->thread.tid, NULL, NULL) < 0)
			r = cannot_seize(s, tr, errno);
		else
			tr->state = TRACEE_SEIZED;
		if (r < 0)
			return r;
	}
	for (size_t i = known; i < s->n; i++) {
		// A failure means that it ends; the wait finds out.
		if (s->v[i].state == TRACEE_SEIZED)
			(void)ptrace(PTRACE_INTERRUPT, s->v[i].thread.tid, NULL, NULL);
	}
	return 0;
}

/* @return bytes of a register set. */
static size_t read_set(int32_t tid, int type, void *buf, size_t len)
{
	struct iovec v = { buf, len };

	return ptrace(PTRACE_GETREGSET, tid, type, &v) < 0 ? 0 : v.iov_len;
}

static struct gs_cursor cursor_of(const void *buf, size_t len)
{
	return gs_cursor_make(buf, len, "registers");
}

static bool read_regs(enum gs_arch arch, int32_t tid, struct gs_regs *ret)
{
	uint64_t set[XSTATE_BYTES / 8];
	int vector = NT_FPREGSET;
	size_t n = read_set(tid, NT_PRSTATUS, set, sizeof(set));

	// Shorter for a thread in 32-bit mode.
	if (!gs__regs_general(arch, cursor_of(set, n), ret))
		return false;
	if (arch == GS_ARCH_ARM64 && read_set(tid, NT_ARM_TLS, set, 8) == 8)
		ret->tls = set[0];
	n = arch == GS_ARCH_AMD64 ? read_set(tid, NT_X86_XSTATE, set, sizeof(set)) : 0;
	if (n)
		vector = NT_X86_XSTATE;
	else
		n = read_set(tid, NT_FPREGSET, set, sizeof(set));
	gs__regs_vector(arch, (uint32_t)vector, cursor_of(set, n), ret);
	return true;
}

/* Ask for the state of one thread, without waiting. */
static void look(const struct gs__stopped *s, struct tracee *tr)
{
	siginfo_t si;

	memset(&si, 0, sizeof(si));
	if (waitid(P_PID, (id_t)tr->thread.tid, &si,
		   WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) < 0) {
		if (errno != EINTR)
			tr->state = TRACEE_GONE;
		return;
	}
	if (si.si_pid == 0)
		return;
	if (si.si_code != CLD_TRAPPED) {
		tr->state = TRACEE_GONE;
		return;
	}
	tr->state = TRACEE_STOPPED;
	tr->signal = si.si_status >> 8 ? 0 : si.si_status; // an event is no signal
	tr->thread.has_regs = read_regs(s->p->base.arch, tr->thread.tid, &tr->thread.regs);
}

static int too_slow(struct gs__stopped *s, const struct tracee *tr)
{
	struct gs_thread now = { 0 };

	(void)gs__read_thread(s->p, tr->thread.tid, &now);
	return gs_fail(&s->err, -GS_E_LIMIT, 0,
		       "thread %d (%s) of PID %d did not stop within %.3f s; it is in state %c%s. "
		       "The process was let go",
		       tr->thread.tid, tr->thread.name, s->p->pid, (double)s->max_ns / 1e9,
		       now.state ? now.state : '?',
		       now.state == 'D' ? ", waiting inside the kernel where nothing interrupts it"
					: "");
}

static int wait_for_all(struct gs__stopped *s)
{
	int64_t spin_until = gs_now_ns() + SPIN_NS;

	for (;;) {
		const struct tracee *running = NULL;
		int64_t now;

		for (size_t i = 0; i < s->n; i++) {
			if (s->v[i].state == TRACEE_SEIZED)
				look(s, &s->v[i]);
			if (s->v[i].state == TRACEE_SEIZED)
				running = &s->v[i];
		}
		if (!running)
			return 0;
		now = gs_now_ns();
		if (now >= s->deadline_ns)
			return too_slow(s, running);
		if (now < spin_until)
			sched_yield();
		else
			nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
}

static int stop_all(struct gs__stopped *s)
{
	for (;;) {
		size_t known = s->n;
		int r = find_new(s, known);

		if (r == 0 && s->n == known)
			break;
		if (known == 0) {
			s->began_ns = gs_now_ns();
			s->deadline_ns = s->began_ns + s->max_ns;
		}
		if (r == 0)
			r = interrupt_new(s, known);
		if (r == 0)
			r = wait_for_all(s);
		if (r < 0)
			return r;
		qsort(s->v, s->n, sizeof(s->v[0]), compare_tracees);
	}
	if (!gs__address_space_lives(s->p))
		return gs__process_gone(s->p, &s->err);
	return 0;
}

static void let_go(struct gs__stopped *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct tracee *tr = &s->v[i];

		if (tr->state == TRACEE_SEIZED)
			look(s, tr); // it may stand by now, with a signal to hand back
		// ESRCH: it was killed while it stood.
		if (tr->state == TRACEE_STOPPED)
			(void)ptrace(PTRACE_DETACH, tr->thread.tid, NULL,
				     (void *)(intptr_t)tr->signal);
	}
	s->ended_ns = gs_now_ns();
}

static void *tracer_main(void *arg)
{
	struct gs__stopped *s = (struct gs__stopped *)arg;
	int r = stop_all(s);

	if (r < 0)
		let_go(s);
	pthread_mutex_lock(&s->lock);
	s->result = r;
	s->decided = true;
	pthread_cond_broadcast(&s->changed);
	while (r == 0 && !s->release)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	if (r == 0)
		let_go(s);
	return NULL; // and the kernel detaches what would not stop
}

static struct gs__stopped *stopped_free(struct gs__stopped *s)
{
	if (s) {
		pthread_cond_destroy(&s->changed);
		pthread_mutex_destroy(&s->lock);
		free(s->v);
		free(s);
	}
	return NULL;
}
GS_DEFINE_CLEANUP(struct gs__stopped *, stopped_free)

/* Signals are for the program's own threads. */
static int start_tracer(struct gs__stopped *s)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&s->tracer, NULL, tracer_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int gs__process_stop(struct gs_target *t, int64_t max_ns, struct gs_err *err)
{
	struct gs_process_target *p = (struct gs_process_target *)t;
	GS_CLEANUP(stopped_freep) struct gs__stopped *s = NULL;
	int r;

	if (p->stopped)
		return gs_fail(err, -EALREADY, 0, "PID %d is stopped already", p->pid);
	s = (struct gs__stopped *)gs_array_new(1, sizeof(*s));
	if (!s)
		return gs_fail(err, -ENOMEM, 0, "cannot stop PID %d: no memory", p->pid);
	s->p = p;
	s->max_ns = max_ns > 0 ? max_ns : DEFAULT_MAX_NS;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	r = start_tracer(s);
	if (r)
		return gs_fail(err, -r, 0, "cannot stop PID %d: no thread for it: %s", p->pid,
			       strerror(r));
	pthread_mutex_lock(&s->lock);
	while (!s->decided)
		pthread_cond_wait(&s->changed, &s->lock);
	r = s->result;
	pthread_mutex_unlock(&s->lock);
	if (r < 0) {
		pthread_join(s->tracer, NULL);
		if (err)
			*err = s->err;
		return r;
	}
	p->stopped = GS_TAKE(s);
	return 0;
}

int gs__process_resume(struct gs_target *t, int64_t *ret_paused_ns, struct gs_err *err)
{
	struct gs_process_target *p = (struct gs_process_target *)t;
	GS_CLEANUP(stopped_freep) struct gs__stopped *s = GS_TAKE(p->stopped);

	if (!s)
		return gs_fail(err, -EINVAL, 0, "PID %d is not stopped", p->pid);
	pthread_mutex_lock(&s->lock);
	s->release = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->tracer, NULL);
	*ret_paused_ns = s->ended_ns - s->began_ns;
	return 0;
}

int gs__stopped_threads(const struct gs__stopped *s, struct gs__threads *ret, struct gs_err *err)
{
	for (size_t i = 0; i < s->n; i++) {
		struct gs_thread *th;

		if (s->v[i].state != TRACEE_STOPPED)
			continue;
		th = gs__threads_add(ret);
		if (!th)
			return gs_fail(err, -ENOMEM, 0, "PID %d: no memory for its threads",
				       s->p->pid);
		*th = s->v[i].thread;
	}
	return 0;
}
