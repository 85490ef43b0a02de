/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Programs run to their end and held there. The program is this one, started again with the name of a role; it writes
 * where its marker lies into a pipe, and what the marker holds last is known only in its memory.
 */
#include "test.h"

#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "target/child.h"
#include "target_child.h"

#define MARK 0x676f736f6e646521u

static volatile uint64_t marker; /* of the program */
static int out_fd;

/* ---- the program ---- */

static void tell(const void *bytes, size_t n)
{
	if (write(out_fd, bytes, n) != (ssize_t)n)
		_exit(99);
}

static void tell_marker(void)
{
	uint64_t at = (uint64_t)(uintptr_t)&marker;

	tell(&at, sizeof(at));
}

static void *end_from_thread(void *arg)
{
	sleep_ms(30);
	marker = MARK;
	_exit((int)(intptr_t)arg); // exit_group
}

static void *go_round(void *arg)
{
	for (volatile uint64_t i = 0;; i++)
		;
	return arg;
}

static void *execute(void *arg)
{
	char fd[16];

	sleep_ms(30);
	snprintf(fd, sizeof(fd), "%d", out_fd);
	execl("/proc/self/exe", "again", "return", fd, NULL);
	_exit(98);
}

static void *end_later(void *arg)
{
	sleep_ms(200);
	_exit(6);
}

static void start_thread(void *(*fn)(void *), intptr_t arg)
{
	pthread_t th;

	if (pthread_create(&th, NULL, fn, (void *)arg))
		_exit(97);
}

static _Atomic uint64_t urgent;

static void on_urgent(int sig)
{
	atomic_fetch_add(&urgent, 1);
}

/* Signals for the first thread, one at a time, each waited for. */
static int be_interrupted(void)
{
	uint64_t sent = 0;

	signal(SIGURG, on_urgent);
	for (int i = 0; i < 2000; i++) {
		syscall(SYS_tgkill, getpid(), getpid(), SIGURG);
		sent++;
		while (atomic_load(&urgent) < sent)
			sched_yield();
	}
	marker = atomic_load(&urgent);
	return 0;
}

static void on_term(int sig)
{
	marker = MARK;
	_exit(40);
}

static int play(const char *role)
{
	if (!strcmp(role, "return")) {
		marker = MARK;
		return 3;
	}
	if (!strcmp(role, "thread")) {
		for (int i = 0; i < 4; i++)
			start_thread(go_round, 0);
		start_thread(end_from_thread, 5);
		pause_forever();
	}
	if (!strcmp(role, "abort")) {
		marker = MARK;
		abort();
	}
	if (!strcmp(role, "killed")) {
		marker = MARK;
		start_thread(go_round, 0);
		kill(getpid(), SIGKILL);
		pause_forever();
	}
	if (!strcmp(role, "exec-leader")) {
		start_thread(go_round, 0);
		execute(NULL);
	}
	if (!strcmp(role, "exec-thread")) {
		start_thread(go_round, 0);
		start_thread(execute, 0);
		pause_forever();
	}
	if (!strcmp(role, "alone")) {
		start_thread(end_later, 0);
		syscall(SYS_exit, 0);
	}
	if (!strcmp(role, "interrupted"))
		return be_interrupted();
	if (!strcmp(role, "stopped")) {
		raise(SIGSTOP);
		marker = MARK;
		return 7;
	}
	if (!strcmp(role, "term")) {
		signal(SIGTERM, on_term);
		tell("r", 1);
		pause_forever();
	}
	return 96;
}

/* ---- the tests ---- */

struct run {
	struct gs_child *c;
	struct gs_err err;
	gs_addr marker;
	int fd, status;
};

static void begin(struct run *r, const char *role)
{
	char fd[16], self[] = "/proc/self/exe", name[32];
	char *argv[] = { self, name, fd, NULL };
	int pipe_fd[2];

	memset(r, 0, sizeof(*r));
	assert_int_equal(pipe(pipe_fd), 0);
	fcntl(pipe_fd[0], F_SETFD, FD_CLOEXEC);
	snprintf(fd, sizeof(fd), "%d", pipe_fd[1]);
	snprintf(name, sizeof(name), "%s", role);
	gs_assert_ok(gs_child_start(argv, &r->c, &r->err), &r->err);
	close(pipe_fd[1]);
	r->fd = pipe_fd[0];
	assert_int_equal(read(r->fd, &r->marker, sizeof(r->marker)), sizeof(r->marker));
}

/* What stands at the marker, seen through a target that is opened now. */
static uint64_t look(struct run *r)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	const struct gs_thread *th;
	uint64_t v = 0;
	size_t n;

	gs_assert_ok(gs_target_open_pid(gs_child_pid(r->c), &t, &r->err), &r->err);
	gs_assert_ok(gs_memory_u64(gs_target_memory(t), r->marker, &v, &r->err), &r->err);
	gs_assert_ok(gs_target_threads(t, &th, &n, &r->err), &r->err);
	assert_int_equal(n, 1);
	assert_int_equal(gs_target_alive(t, &r->err), 0);
	return v;
}

static void end(struct run *r, int status)
{
	int code = -1;

	gs_assert_ok(gs_child_release(r->c, &code, &r->err), &r->err);
	assert_int_equal(code, status);
	assert_int_equal(kill(gs_child_pid(r->c), 0), -1);
	r->c = gs_child_free(r->c);
	close(r->fd);
}

static void held_with(const char *role, int status, uint64_t mark)
{
	struct run r;

	begin(&r, role);
	gs_assert_result(0, gs_child_wait(r.c, &r.status, &r.err), &r.err);
	assert_int_equal(r.status, status);
	assert_string_equal(gs_child_why(r.c), "");
	assert_true(look(&r) == mark);
	gs_assert_result(0, gs_child_wait(r.c, &r.status, &r.err), &r.err); // as often as one likes
	end(&r, status);
}

static void test_return(void **state)
{
	held_with("return", 3, MARK);
}

static void test_end_by_thread(void **state)
{
	held_with("thread", 5, MARK);
}

static void test_fatal_signal(void **state)
{
	held_with("abort", 128 + SIGABRT, MARK);
}

static void test_killed(void **state)
{
	held_with("killed", 128 + SIGKILL, MARK);
}

static void test_signals_pass(void **state)
{
	held_with("interrupted", 0, 2000);
}

/* The marker's address changes with the program: it is told again. */
static void replaced(const char *role)
{
	struct run r;

	begin(&r, role);
	gs_assert_result(0, gs_child_wait(r.c, &r.status, &r.err), &r.err);
	assert_int_equal(r.status, 3);
	assert_int_equal(read(r.fd, &r.marker, sizeof(r.marker)), sizeof(r.marker));
	assert_true(look(&r) == MARK);
	end(&r, 3);
}

static void test_exec_by_leader(void **state)
{
	replaced("exec-leader");
}

static void test_exec_by_thread(void **state)
{
	for (int i = 0; i < 3; i++)
		replaced("exec-thread");
}

static void test_leader_ends_alone(void **state)
{
	struct run r;

	begin(&r, "alone");
	gs_assert_result(1, gs_child_wait(r.c, &r.status, &r.err), &r.err);
	assert_int_equal(r.status, 6); // of the others, and after they ended
	assert_non_null(strstr(gs_child_why(r.c), "main thread"));
	end(&r, 6);
}

static void *wake_stopped(void *arg)
{
	char path[48], text[256], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)(intptr_t)arg);
	for (int i = 0; i < 5000; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, text, sizeof(text) - 1);

		close(fd);
		text[n > 0 ? n : 0] = '\0';
		p = strrchr(text, ')');
		// Shown as traced, for it stops before us; long enough means that it stays.
		if (p && (p[2] == 't' || p[2] == 'T') && i > 100)
			break;
		sleep_ms(1);
	}
	kill((pid_t)(intptr_t)arg, SIGCONT);
	return p && (p[2] == 't' || p[2] == 'T') ? arg : NULL;
}

static void test_job_control(void **state)
{
	pthread_t th;
	struct run r;
	void *stood;

	begin(&r, "stopped");
	pthread_create(&th, NULL, wake_stopped, (void *)(intptr_t)gs_child_pid(r.c));
	gs_assert_result(0, gs_child_wait(r.c, &r.status, &r.err), &r.err);
	pthread_join(th, &stood);
	assert_non_null(stood);
	assert_int_equal(r.status, 7);
	assert_true(look(&r) == MARK);
	end(&r, 7);
}

static void *term_us(void *arg)
{
	sleep_ms(100);
	kill(getpid(), SIGTERM);
	return arg;
}

/* SIGTERM for us does not end us: the program gets it. */
static void test_passes_on(void **state)
{
	sigset_t all, old;
	pthread_t th;
	struct run r;
	char ready;

	begin(&r, "term");
	assert_int_equal(read(r.fd, &ready, 1), 1);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_create(&th, NULL, term_us, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	gs_assert_result(0, gs_child_wait(r.c, &r.status, &r.err), &r.err);
	pthread_join(th, NULL);
	assert_int_equal(r.status, 40);
	assert_true(look(&r) == MARK);
	end(&r, 40);
}

static void test_cannot_run(void **state)
{
	char none[] = "/nonexistent/program", nowhere[] = "gosonde-no-such-program", dir[] = "/";
	char *argv[] = { none, NULL };
	struct gs_child *c = NULL;
	struct gs_err err;

	gs_assert_fails(-GS_E_NOT_FOUND, "no such program", gs_child_start(argv, &c, &err), &err);
	argv[0] = nowhere;
	gs_assert_fails(-GS_E_NOT_FOUND, "in PATH", gs_child_start(argv, &c, &err), &err);
	argv[0] = dir;
	gs_assert_fails(-GS_E_PERMISSION, "executable file", gs_child_start(argv, &c, &err), &err);
	assert_null(c);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // and nothing is left
}

/* A program that is let go before its end runs on, untraced. */
static void test_let_run(void **state)
{
	struct run r;
	char path[48], text[4096], ready, *p;
	pid_t pid;
	int status, fd;
	ssize_t n;

	begin(&r, "term");
	assert_int_equal(read(r.fd, &ready, 1), 1);
	pid = gs_child_pid(r.c);
	r.c = gs_child_free(r.c);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	p = strstr(text, "TracerPid:");
	assert_non_null(p);
	assert_int_equal(strtol(p + 10, NULL, 10), 0);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 40);
	close(r.fd);
}

static void *ask_from_thread(void *arg)
{
	struct run *r = (struct run *)arg;
	int result = gs_child_wait(r->c, &r->status, &r->err);

	return (void *)(intptr_t)result;
}

static void test_other_thread(void **state)
{
	pthread_t th;
	struct run r;
	void *result;

	begin(&r, "return");
	pthread_create(&th, NULL, ask_from_thread, &r);
	pthread_join(th, &result);
	assert_int_equal((intptr_t)result, -EINVAL);
	gs_assert_result(0, gs_child_wait(r.c, &r.status, &r.err), &r.err);
	end(&r, 3);
}

/* Last, as there is no way back. */
static void test_ordinary_user(void **state)
{
	if (getuid() != 0) {
		print_message("# the whole test ran as an ordinary user\n");
		skip();
	}
	if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
	    setresuid(65534, 65534, 65534)) {
		print_message("# cannot become another user: %s\n", strerror(errno));
		skip();
	}
	prctl(PR_SET_DUMPABLE, 1); // or /proc/self belongs to root
	held_with("return", 3, MARK);
	held_with("thread", 5, MARK);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_return),         cmocka_unit_test(test_end_by_thread),
		cmocka_unit_test(test_fatal_signal),   cmocka_unit_test(test_killed),
		cmocka_unit_test(test_signals_pass),   cmocka_unit_test(test_exec_by_leader),
		cmocka_unit_test(test_exec_by_thread), cmocka_unit_test(test_leader_ends_alone),
		cmocka_unit_test(test_job_control),    cmocka_unit_test(test_passes_on),
		cmocka_unit_test(test_cannot_run),     cmocka_unit_test(test_let_run),
		cmocka_unit_test(test_other_thread),   cmocka_unit_test(test_ordinary_user),
	};

	if (argc == 3) {
		out_fd = (int)strtol(argv[2], NULL, 10);
		tell_marker();
		_exit(play(argv[1])); // at exit(), a leak checker wants to trace it as well
	}
	return gs_test_main(tests);
}
