/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Running a program to its end and holding it there.
 *
 * PTRACE_EVENT_EXIT stops a thread at the beginning of do_exit(), before exit_mm() and exit_files() (kernel/exit.c),
 * however it dies: exit_group and fatal signals end a process by sending SIGKILL to all of its threads, and each of them
 * then passes there (kernel/signal.c, get_signal, do_group_exit). So it is enough to trace one thread, the leader; the
 * address space lives as long as it stands. Other threads stay untouched, and those that the Go runtime starts are not
 * traced, as PTRACE_O_TRACECLONE is not set.
 *
 * The leader also passes there in two cases that are not the end:
 *
 *   - it ends alone (pthread_exit in a C main). The others go on, and /proc/PID shows a zombie without memory; holding
 *     it would block whoever joins it. Seen by its system call: exit, not exit_group.
 *   - another thread calls execve: the leader has to die, and that thread takes its number (fs/exec.c, de_thread). We
 *     let it, and then trace the number anew. That cannot be done before, as attaching waits for the execve to be
 *     over (both take cred_guard_mutex). A SIGSTOP in between keeps the new program from running off meanwhile.
 *
 * Notifications come as SIGCHLD, which is blocked and taken with sigtimedwait() together with the signals that would
 * end us; a timeout makes up for one that was lost.
 */
#include "target/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "target/process_private.h"

#define OPTIONS (PTRACE_O_TRACEEXIT | PTRACE_O_TRACEEXEC)
#define LOST_SIGNAL_NS 200000000
#define ALONE_NS 50000000    /* other threads live on for so long: the leader ends alone */
#define EXEC_NS 20000000     /* a thread stands in execve for so long: it waits for the leader */
#define OTHERS_NS 5000000000 /* for other threads to end */
#define RESEIZE_NS 10000000000

struct gs_child {
	pid_t pid, tracer;
	bool held, ended, alone;
	int status; /* as wait() gives it */
	const char *why;
};

enum what { GOES_ON, HELD, GONE };

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

static int shell_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- what the threads do ---- */

/* The first field of a file of /proc/PID/task/TID: its system call's number, -1 if it is in none. */
static long syscall_of(pid_t pid, pid_t tid)
{
	GS_CLEANUP(gs_freep) char *text = NULL;
	char name[64], *end;
	size_t len;
	long nr;

	snprintf(name, sizeof(name), "/proc/%d/task/%d/syscall", pid, tid);
	if (gs__slurp(AT_FDCWD, name, 4096, &text, &len) < 0)
		return -1;
	nr = strtol(text, &end, 10);
	return end == text ? -1 : nr; // "running"
}

static char state_of(pid_t pid, pid_t tid)
{
	GS_CLEANUP(gs_freep) char *text = NULL;
	struct gs__stat st;
	char name[64];
	size_t len;

	snprintf(name, sizeof(name), "/proc/%d/task/%d/stat", pid, tid);
	if (gs__slurp(AT_FDCWD, name, 1 << 16, &text, &len) < 0 ||
	    gs__stat_parse(text, len, &st) < 0)
		return 'X';
	return st.state;
}

static DIR *closedir_of(DIR *d)
{
	if (d)
		closedir(d);
	return NULL;
}
GS_DEFINE_CLEANUP(DIR *, closedir_of)

/* How many threads there are beside the leader; *ret_exec: one of them waits in execve. */
static unsigned int others_of(pid_t pid, bool *ret_exec)
{
	GS_CLEANUP(closedir_ofp) DIR *d = NULL;
	unsigned int n = 0;
	struct dirent *e;
	char name[32];

	*ret_exec = false;
	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	d = opendir(name);
	if (!d)
		return 0;
	while ((e = readdir(d))) {
		pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);
		char state;
		long nr;

		if (tid <= 0 || tid == pid)
			continue;
		state = state_of(pid, tid);
		if (state == 'Z' || state == 'X')
			continue;
		n++;
		nr = state == 'D' ? syscall_of(pid, tid) : -1;
		if (nr == SYS_execve || nr == SYS_execveat)
			*ret_exec = true;
	}
	return n;
}

/* ---- the leader's last stop ---- */

/* Trace the number again after another thread took it. @return 0, or 1 if the program has ended already. */
static int seize_again(struct gs_child *c, struct gs_err *err)
{
	int64_t until = gs_now_ns() + RESEIZE_NS;

	while (gs_now_ns() < until) {
		siginfo_t si = { 0 };

		// While the old leader lives this is refused, as we trace it.
		if (ptrace(PTRACE_SEIZE, c->pid, NULL, (void *)OPTIONS) == 0)
			return 0;
		if (waitid(P_PID, (id_t)c->pid, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 ||
		    si.si_pid)
			return 1;
		nap();
	}
	return gs_fail(
		err, -GS_E_PERMISSION, 0,
		"PID %d executed another program that cannot be traced: %s. It runs on. Start "
		"that program directly",
		c->pid, strerror(errno));
}

/* The leader stands at PTRACE_EVENT_EXIT. Find out what that means. */
static enum what last_stop(struct gs_child *c, bool *ret_exec)
{
	int64_t begin = gs_now_ns(), since_exec = 0;
	unsigned long message = 0;
	bool exits;

	*ret_exec = false;
	// Fails if it has been killed while it stands; the wait tells.
	if (ptrace(PTRACE_GETEVENTMSG, c->pid, NULL, &message) < 0)
		return GOES_ON;
	c->status = (int)message;
	exits = syscall_of(c->pid, c->pid) == SYS_exit;
	for (;;) {
		bool exec;
		unsigned int others = others_of(c->pid, &exec);
		int64_t now = gs_now_ns();

		since_exec = exec ? (since_exec ? since_exec : now) : 0;
		if (others == 0 || now - begin >= OTHERS_NS)
			return HELD;
		// A program that ends with a status is not one that is replaced.
		if (message == 0 && since_exec && now - since_exec >= EXEC_NS) {
			*ret_exec = true;
			return GOES_ON;
		}
		if (exits && !exec && now - begin >= ALONE_NS) {
			c->alone = true;
			return GOES_ON;
		}
		nap();
	}
}

static int at_last_stop(struct gs_child *c, enum what *ret, struct gs_err *err)
{
	bool exec;
	int r;

	*ret = last_stop(c, &exec);
	if (*ret == HELD)
		return 0;
	if (exec)
		(void)kill(c->pid, SIGSTOP);
	(void)ptrace(PTRACE_CONT, c->pid, NULL, NULL); // ESRCH: killed
	if (!exec)
		return 0;
	r = seize_again(c, err);
	(void)kill(c->pid, SIGCONT);
	return r < 0 ? r : 0; // if it has ended the wait says so
}

/* ---- stops ---- */

static bool stops_a_group(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* What wait() said of the leader. */
static int handle(struct gs_child *c, int status, enum what *ret, struct gs_err *err)
{
	int event = status >> 16, sig;

	*ret = GOES_ON;
	if (!WIFSTOPPED(status)) {
		c->status = status;
		c->ended = true;
		*ret = GONE;
		return 0;
	}
	sig = WSTOPSIG(status);
	switch (event) {
	case PTRACE_EVENT_EXIT:
		return at_last_stop(c, ret, err);
	case PTRACE_EVENT_STOP:
		// Job control: it stays stopped until SIGCONT, and we hear of that.
		(void)ptrace(stops_a_group(sig) ? PTRACE_LISTEN : PTRACE_CONT, c->pid, NULL, NULL);
		return 0;
	case 0:
		(void)ptrace(PTRACE_CONT, c->pid, NULL, (void *)(intptr_t)sig);
		return 0;
	default:
		(void)ptrace(PTRACE_CONT, c->pid, NULL, NULL);
		return 0;
	}
}

static int check_thread(const struct gs_child *c, struct gs_err *err)
{
	if (gettid() != c->tracer)
		return gs_fail(
			err, -EINVAL, 0,
			"PID %d is traced by another thread of gosonde than the one that asks",
			c->pid);
	return 0;
}

/* ---- starting ---- */

static _Noreturn void be_child(char *const argv[], int go, int failed)
{
	char byte;
	int error;

	if (read(go, &byte, 1) != 1)
		_exit(127); // gosonde is gone
	execvp(argv[0], argv);
	error = errno;
	(void)!write(failed, &error, sizeof(error));
	_exit(127);
}

static int cannot_run(const char *name, int error, struct gs_err *err)
{
	if (error == ENOENT)
		return gs_fail(
			err, -GS_E_NOT_FOUND, 0, "cannot run %s: there is no such program%s", name,
			strchr(name, '/') ? " (or it names an interpreter that does not exist)"
					  : " in PATH");
	if (error == EACCES || error == EPERM)
		return gs_fail(
			err, -GS_E_PERMISSION, 0,
			"cannot run %s: %s. It has to be an executable file, on a file system "
			"that allows execution",
			name, strerror(error));
	return gs_fail(err, -error, 0, "cannot run %s: %s", name, strerror(error));
}

/* Let the child go on until it has executed the program, or could not. */
static int until_exec(struct gs_child *c, const char *name, int failed, struct gs_err *err)
{
	for (;;) {
		int status, error = EIO;
		enum what w;
		int r;

		if (waitpid(c->pid, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return gs_fail(err, -errno, 0, "cannot wait for %s: %s", name,
				       strerror(errno));
		}
		if (WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_EXEC) {
			(void)ptrace(PTRACE_CONT, c->pid, NULL, NULL);
			return 0;
		}
		if (!WIFSTOPPED(status) || status >> 16 == PTRACE_EVENT_EXIT) {
			c->ended = !WIFSTOPPED(status);
			if (read(failed, &error, sizeof(error)) != sizeof(error))
				return gs_fail(err, -GS_E_GONE, 0, "%s was killed before it began",
					       name);
			return cannot_run(name, error, err);
		}
		r = handle(c, status, &w, err);
		if (r < 0)
			return r;
	}
}

/* One that exits drops even SIGKILL (kernel/signal.c, prepare_signal), so it is sent on as well. */
static void kill_unstarted(struct gs_child *c)
{
	if (!c->ended)
		(void)kill(c->pid, SIGKILL);
	while (!c->ended) {
		int status;

		(void)ptrace(PTRACE_CONT, c->pid, NULL, NULL); // ESRCH: it runs
		if (waitpid(c->pid, &status, __WALL) > 0)
			c->ended = !WIFSTOPPED(status);
		else if (errno != EINTR)
			c->ended = true;
	}
}

static int trace_from_start(struct gs_child *c, const char *name, int go, int failed,
			    struct gs_err *err)
{
	int r;

	if (ptrace(PTRACE_SEIZE, c->pid, NULL, (void *)OPTIONS) < 0) {
		if (errno == EPERM || errno == EACCES)
			return gs__explain_refusal(c->pid, "trace", err);
		return gs_fail(err, -errno, 0, "cannot trace %s: %s", name, strerror(errno));
	}
	do {
		r = write(go, "g", 1) == 1 ? 0 : -errno;
	} while (r == -EINTR);
	if (r < 0)
		return gs_fail(err, r, 0, "cannot start %s: %s", name, strerror(-r));
	return until_exec(c, name, failed, err);
}

int gs_child_start(char *const argv[], struct gs_child **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_child_freep) struct gs_child *c = NULL;
	GS_CLEANUP(gs_closep) int go_read = -1;
	GS_CLEANUP(gs_closep) int go_write = -1;
	GS_CLEANUP(gs_closep) int failed_read = -1;
	GS_CLEANUP(gs_closep) int failed_write = -1;
	int fd[2], r;

	if (!argv || !argv[0])
		return gs_fail(err, -EINVAL, 0, "no program to start");
	c = (struct gs_child *)gs_array_new(1, sizeof(*c));
	if (!c)
		return gs_fail(err, -ENOMEM, 0, "cannot start %s: no memory", argv[0]);
	c->ended = true; // until there is one
	c->why = "";
	c->tracer = gettid();
	if (pipe2(fd, O_CLOEXEC) < 0)
		return gs_fail(err, -errno, 0, "cannot start %s: no pipe: %s", argv[0],
			       strerror(errno));
	go_read = fd[0];
	go_write = fd[1];
	if (pipe2(fd, O_CLOEXEC) < 0)
		return gs_fail(err, -errno, 0, "cannot start %s: no pipe: %s", argv[0],
			       strerror(errno));
	failed_read = fd[0];
	failed_write = fd[1];
	c->pid = fork();
	if (c->pid < 0)
		return gs_fail(err, -errno, 0, "cannot start %s: no process: %s", argv[0],
			       strerror(errno));
	if (c->pid == 0) {
		close(go_write);
		be_child(argv, go_read, failed_write);
	}
	c->ended = false;
	gs_closep(&failed_write);
	r = trace_from_start(c, argv[0], go_write, failed_read, err);
	if (r < 0) {
		kill_unstarted(c);
		return r;
	}
	*ret = GS_TAKE(c);
	return 0;
}

pid_t gs_child_pid(const struct gs_child *c)
{
	return c->pid;
}

const char *gs_child_why(const struct gs_child *c)
{
	return c->why;
}

/* ---- waiting ---- */

/* Take what changed since. @return 0, or negative */
static int take_changes(struct gs_child *c, enum what *ret, struct gs_err *err)
{
	int r = 0;

	*ret = GOES_ON;
	while (r == 0 && *ret == GOES_ON) {
		int status;
		pid_t got = waitpid(c->pid, &status, __WALL | WNOHANG);

		if (got == 0)
			return 0;
		if (got > 0) {
			r = handle(c, status, ret, err);
		} else if (errno == ECHILD) {
			c->ended = true; // somebody else of this program took its status
			*ret = GONE;
		} else if (errno != EINTR) {
			return gs_fail(err, -errno, 0, "cannot wait for PID %d: %s", c->pid,
				       strerror(errno));
		}
	}
	return r;
}

/* The terminal's signals reach the whole process group by themselves. */
static void pass_on(const struct gs_child *c, const siginfo_t *si)
{
	if (si->si_signo != SIGCHLD && si->si_code != SI_KERNEL)
		(void)kill(c->pid, si->si_signo);
}

static void block(sigset_t *ret_set, sigset_t *ret_old)
{
	sigemptyset(ret_set);
	sigaddset(ret_set, SIGCHLD);
	sigaddset(ret_set, SIGINT);
	sigaddset(ret_set, SIGQUIT);
	sigaddset(ret_set, SIGTERM);
	sigaddset(ret_set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, ret_set, ret_old);
}

static int wait_for_end(struct gs_child *c, const sigset_t *set, enum what *ret, struct gs_err *err)
{
	static const struct timespec lost = { .tv_nsec = LOST_SIGNAL_NS }, now = { 0 };
	siginfo_t si;
	int r;

	for (;;) {
		r = take_changes(c, ret, err);
		if (r < 0 || *ret != GOES_ON)
			break;
		if (sigtimedwait(set, &si, &lost) > 0)
			pass_on(c, &si);
	}
	while (sigtimedwait(set, &si, &now) > 0)
		; // the Ctrl-C that ended the program was for it, not for us
	return r;
}

static const char *why_gone(const struct gs_child *c)
{
	if (c->alone)
		return "its main thread ended before the others did (pthread_exit), and the memory "
		       "of "
		       "a program can only be held by that one";
	return "it was killed while it ended, or executed a program that ended at once";
}

int gs_child_wait(struct gs_child *c, int *ret_status, struct gs_err *err)
{
	enum what w = c->held ? HELD : GONE;
	struct sigaction standard = { .sa_handler = SIG_DFL }, old_action;
	sigset_t set, old;
	int r = check_thread(c, err);

	if (r < 0)
		return r;
	if (!c->held && !c->ended) {
		block(&set, &old);
		// Ignored, it would neither be sent nor leave us a status.
		sigaction(SIGCHLD, NULL, &old_action);
		if (old_action.sa_handler == SIG_IGN)
			sigaction(SIGCHLD, &standard, NULL);
		r = wait_for_end(c, &set, &w, err);
		if (old_action.sa_handler == SIG_IGN)
			sigaction(SIGCHLD, &old_action, NULL);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (r < 0)
		return r;
	c->held = w == HELD;
	*ret_status = shell_status(c->status);
	if (c->held)
		return 0;
	c->why = why_gone(c);
	return 1;
}

static void go_last_step(struct gs_child *c)
{
	while (!c->ended) {
		int status;

		(void)ptrace(PTRACE_CONT, c->pid, NULL, NULL); // ESRCH: it goes already
		if (waitpid(c->pid, &status, __WALL) > 0) {
			c->ended = !WIFSTOPPED(status);
			c->status = c->ended ? status : c->status;
		} else if (errno != EINTR) {
			c->ended = true; // taken by somebody else: what the stop said counts
		}
	}
	c->held = false;
}

int gs_child_release(struct gs_child *c, int *ret_status, struct gs_err *err)
{
	int r = check_thread(c, err);

	if (r < 0)
		return r;
	if (!c->held && !c->ended)
		return gs_fail(err, -EINVAL, 0, "PID %d is not at its end", c->pid);
	go_last_step(c);
	if (ret_status)
		*ret_status = shell_status(c->status);
	return 0;
}

/* A thread that runs cannot be detached: interrupt it first. */
static void let_run(struct gs_child *c)
{
	int64_t until = gs_now_ns() + 1000000000;

	(void)ptrace(PTRACE_INTERRUPT, c->pid, NULL, NULL);
	while (gs_now_ns() < until) {
		int status;
		pid_t got = waitpid(c->pid, &status, __WALL | WNOHANG);

		if (got == 0) {
			nap();
			continue;
		}
		if (got > 0 && WIFSTOPPED(status))
			(void)ptrace(PTRACE_DETACH, c->pid, NULL,
				     (void *)(intptr_t)(status >> 16 ? 0 : WSTOPSIG(status)));
		return;
	}
}

struct gs_child *gs_child_free(struct gs_child *c)
{
	if (c) {
		// By another thread nothing can be done; what is traced goes on when that one ends.
		if (!c->ended && gettid() == c->tracer) {
			if (c->held)
				go_last_step(c);
			else
				let_run(c);
		}
		free(c);
	}
	return NULL;
}
