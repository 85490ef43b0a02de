/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The child is locked up before it touches the first foreign byte:
 *
 *   signals to default, die with the parent
 *   close all descriptors but the file and the pipe
 *   limits: address space (what is mapped now + the allowance), CPU time, no files written,
 *           no new descriptors, no core dump (which would hold the parent's memory)
 *   all capabilities dropped, root becomes nobody, no_new_privs, not dumpable (not traceable)
 *   seccomp allow-list: memory, reading, writing to the pipe, exiting. Opening a file is refused
 *           with an errno, because libraries try that in good faith; anything else kills.
 *
 * It answers with one message: a head with the function's result, then the output. The parent
 * enforces the wall-clock limit and always kills and reaps the child before it returns; the signal
 * goes through a pidfd where the kernel has them, so that not even a process that ignores SIGCHLD
 * can make it hit a stranger.
 */
#include "golang/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

enum { NOBODY = 65534, SETUP_FAILED = -1000000 };

/* First bytes on the pipe. */
struct head {
	int32_t result;
	int32_t setup_errno; /* set with SETUP_FAILED */
};

static void close_range_or_loop(unsigned int first, unsigned int last)
{
	struct rlimit lim;

	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	/* Before Linux 5.9. */
	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur > 65536)
		lim.rlim_cur = 65536;
	for (unsigned int fd = first; fd <= last && fd < lim.rlim_cur; fd++)
		close((int)fd);
}

static void close_all_but(int a, int b)
{
	unsigned int lo = (unsigned int)(a < b ? a : b), hi = (unsigned int)(a < b ? b : a);

	if (lo > 0)
		close_range_or_loop(0, lo - 1);
	close_range_or_loop(lo + 1, hi - 1);
	close_range_or_loop(hi + 1, ~0U);
}

static void reset_signals(void)
{
	const struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &dfl, NULL); /* SIGKILL and SIGSTOP refuse, as they should */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Address space in use: field 1 of statm, in pages. */
static uint64_t mapped_bytes(void)
{
	GS_CLEANUP(gs_closep) int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char buf[64];
	uint64_t pages = 0;
	ssize_t n;

	n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	for (ssize_t i = 0; i < n && buf[i] >= '0' && buf[i] <= '9'; i++)
		pages = pages * 10 + (uint64_t)(buf[i] - '0');
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int set_limit(__rlimit_resource_t which, rlim_t n)
{
	/* SIGXCPU comes at the soft limit of CPU time and tells the cause, SIGKILL at the hard one. */
	struct rlimit lim = { .rlim_cur = n, .rlim_max = which == RLIMIT_CPU ? n + 1 : n }, old;

	if (getrlimit(which, &old) == 0 && old.rlim_max < lim.rlim_max)
		lim.rlim_cur = lim.rlim_max = old.rlim_max;
	return setrlimit(which, &lim) < 0 ? -errno : 0;
}

static int apply_limits(const struct gs__sandbox_limits *l)
{
	uint64_t mapped = mapped_bytes();
	int r;

	/* Where /proc is not mounted the sum would stop every allocation; the other limits stay. */
	r = mapped ? set_limit(RLIMIT_AS, mapped + l->memory_bytes) : 0;
	if (r == 0)
		r = set_limit(RLIMIT_CPU, l->cpu_seconds);
	if (r == 0)
		r = set_limit(RLIMIT_FSIZE, 0);
	if (r == 0)
		r = set_limit(RLIMIT_CORE, 0);
	if (r == 0)
		r = set_limit(RLIMIT_NOFILE, 0);
	return r;
}

static int drop_privileges(pid_t parent)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	if (geteuid() == 0) {
		/* A root without CAP_SETUID (a container) cannot become nobody; its capabilities go
		 * below all the same. */
		(void)!setgroups(0, NULL);
		(void)!setresgid(NOBODY, NOBODY, NOBODY);
		(void)!setresuid(NOBODY, NOBODY, NOBODY);
	}
	if (syscall(SYS_capset, &head, none) < 0)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	/* After the change of uid, which clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

/* Calls allowed with any arguments. None of them reaches anything outside of the process. */
static const int plain_calls[] = {
	SCMP_SYS(read),         SCMP_SYS(pread64),        SCMP_SYS(lseek),
	SCMP_SYS(fstat),        SCMP_SYS(newfstatat),     SCMP_SYS(brk),
	SCMP_SYS(munmap),       SCMP_SYS(mremap),         SCMP_SYS(madvise),
	SCMP_SYS(futex),        SCMP_SYS(clock_gettime),  SCMP_SYS(gettimeofday),
	SCMP_SYS(getrandom),    SCMP_SYS(sched_yield),    SCMP_SYS(close),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(sigaltstack),
	SCMP_SYS(exit),         SCMP_SYS(exit_group),
};

/* Calls that libelf and libdw make when they look for companion files: they must see a refusal. */
static const int refused_calls[] = {
	SCMP_SYS(openat),     SCMP_SYS(readlinkat), SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(statx),      SCMP_SYS(ioctl),
#ifdef __x86_64__
	SCMP_SYS(open),       SCMP_SYS(readlink),   SCMP_SYS(access),
	SCMP_SYS(stat),       SCMP_SYS(lstat),
#endif
};

static int add_rules(scmp_filter_ctx f, int pipe_fd)
{
	int r = 0;

	for (size_t i = 0; i < GS_ARRAY_SIZE(plain_calls) && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, plain_calls[i], 0);
	for (size_t i = 0; i < GS_ARRAY_SIZE(refused_calls) && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), refused_calls[i], 0);
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)pipe_fd));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0) /* elf_begin asks whether its descriptor is one */
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				     SCMP_A1(SCMP_CMP_EQ, F_GETFD));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				     SCMP_A1(SCMP_CMP_EQ, F_GETFL));
	return r;
}

static int apply_filter(int pipe_fd)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!f)
		return -ENOMEM;
	r = add_rules(f, pipe_fd);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r;
}

static int lock_up(int fd, int pipe_fd, pid_t parent, const struct gs__sandbox_limits *l)
{
	int r;

	reset_signals();
	close_all_but(fd, pipe_fd);
	r = apply_limits(l);
	if (r == 0)
		r = drop_privileges(parent);
	if (r == 0)
		r = apply_filter(pipe_fd);
	return r;
}

static bool write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

struct job {
	int fd, pipe_fd;
	pid_t parent;
	gs__sandbox_fn *fn;
	const void *ctx;
	const struct gs__sandbox_limits *limits;
	size_t out_bytes;
};

__attribute__((__noreturn__)) static void child_main(const struct job *j)
{
	_Alignas(16) char out[GS__SANDBOX_MAX_OUT];
	struct head head = { 0 };
	int r = lock_up(j->fd, j->pipe_fd, j->parent, j->limits);

	if (r < 0) {
		head = (struct head){ .result = SETUP_FAILED, .setup_errno = -r };
	} else {
		memset(out, 0, j->out_bytes);
		head.result = j->fn(j->fd, out, j->out_bytes, j->ctx);
	}
	if (write_all(j->pipe_fd, &head, sizeof(head)) && head.result >= 0)
		(void)write_all(j->pipe_fd, out, j->out_bytes);
	_exit(0); /* atexit handlers and stdio buffers belong to the parent */
}

/* Read exactly @n bytes until @deadline. @return 0; 1 at end of file; -ETIMEDOUT, -errno. */
static int read_until(int fd, void *buf, size_t n, int64_t deadline_ns)
{
	char *p = buf;

	while (n > 0) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		int64_t left_ns = deadline_ns - gs_now_ns();
		ssize_t got;
		int r;

		if (left_ns <= 0)
			return -ETIMEDOUT;
		r = poll(&pfd, 1, (int)(left_ns / 1000000) + 1);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		got = read(fd, p, n);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			return 1;
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
	return 0;
}

/* Kill and reap. @return the wait status, or -1 if somebody else reaped it (SIGCHLD ignored). */
static int finish_child(pid_t pid, int pidfd)
{
	int status = -1;
	pid_t r;

	if (pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	else
		(void)kill(pid, SIGKILL); /* unreaped, so the number is still its own */
	do {
		r = waitpid(pid, &status, 0);
	} while (r < 0 && errno == EINTR);
	return r == pid ? status : -1;
}

static int explain(int read_result, const struct head *head, int status,
		   const struct gs__sandbox_limits *l, struct gs_err *err)
{
	if (read_result == -ETIMEDOUT)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "the file's parser was stopped: it took longer than %" PRId64
			       " ms. The file is damaged or made to waste time",
			       l->wall_ns / 1000000);
	if (read_result < 0)
		return gs_fail(err, read_result, 0,
			       "cannot read the result of the file's parser: %s",
			       strerror(-read_result));
	if (read_result == 0 && head->result == SETUP_FAILED)
		return gs_fail(
			err, -EPERM, 0,
			"cannot lock up the file's parser, so it was not run: %s. Is seccomp "
			"available on this system?",
			strerror(head->setup_errno));
	if (read_result == 0)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "the file's parser gave up: damaged data");
	if (status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "the file's parser was stopped: it used more than %" PRIu32
			       " s of CPU time. The file is damaged or made to waste time",
			       l->cpu_seconds);
	if (status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return gs_fail(
			err, -GS_E_BAD_DATA, 0,
			"the file's parser was killed: it made a system call that its sandbox "
			"forbids. The file may be made to attack its readers");
	return gs_fail(err, -GS_E_BAD_DATA, 0,
		       "the file's parser died (signal %d) in its sandbox: the file is damaged",
		       status >= 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

/* Collect head and output; *ret is written only when everything has arrived. */
static int collect(int fd, int64_t deadline_ns, struct head *head, void *out, size_t out_bytes)
{
	char buf[GS__SANDBOX_MAX_OUT];
	int r = read_until(fd, head, sizeof(*head), deadline_ns);

	if (r != 0 || head->result < 0)
		return r;
	r = read_until(fd, buf, out_bytes, deadline_ns);
	if (r == 0)
		memcpy(out, buf, out_bytes);
	return r;
}

int gs__sandbox_run(int fd, gs__sandbox_fn *fn, const void *ctx,
		    const struct gs__sandbox_limits *limits, void *out, size_t out_bytes,
		    struct gs_err *err)
{
	int64_t deadline_ns = gs_now_ns() + limits->wall_ns;
	struct head head = { 0 };
	int p[2], r, status;
	pid_t pid;

	if (out_bytes > GS__SANDBOX_MAX_OUT)
		return gs_fail(err, -EINVAL, 0, "output of %zu bytes is too large for a sandbox",
			       out_bytes);
	if (pipe2(p, O_CLOEXEC) < 0)
		return gs_fail(err, -errno, 0, "cannot make a pipe: %s", strerror(errno));
	GS_CLEANUP(gs_closep) int from_child = p[0], to_parent = p[1];
	struct job job = { .fd = fd,
			   .pipe_fd = to_parent,
			   .parent = getpid(),
			   .fn = fn,
			   .ctx = ctx,
			   .limits = limits,
			   .out_bytes = out_bytes };

	pid = fork();
	if (pid < 0)
		return gs_fail(err, -errno, 0, "cannot start a process for the file's parser: %s",
			       strerror(errno));
	if (pid == 0)
		child_main(&job);
	GS_CLEANUP(gs_closep) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	gs_closep(&to_parent);
	r = collect(from_child, deadline_ns, &head, out, out_bytes);
	status = finish_child(pid, pidfd);
	if (r == 0 && head.result >= 0)
		return head.result;
	return explain(r, &head, status, limits, err);
}
