/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The locked-up child, attacked from within: what may not work must not, the parent must see it, and
 * nothing may be left behind. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "golang/sandbox.h"

static const struct gs__sandbox_limits limits = {
	.memory_bytes = 1ULL << 28,
	.cpu_seconds = 2,
	.wall_ns = 5000000000LL,
};
static const struct gs__sandbox_limits short_limits = {
	.memory_bytes = 1ULL << 28,
	.cpu_seconds = 2,
	.wall_ns = 60000000LL,
};

struct out {
	int32_t a, b;
	uint8_t bytes[40000];
};
static struct out out;

static int file_fd = -1;

static int setup(void **state)
{
	char path[] = "/tmp/gosonde-test-XXXXXX";

	file_fd = mkstemp(path);
	unlink(path);
	return write(file_fd, "hello", 5) == 5 ? 0 : -1;
}

static int teardown(void **state)
{
	close(file_fd);
	return 0;
}

/* Run @fn, and see that no process and no descriptor stay. */
static int run(gs__sandbox_fn *fn, const struct gs__sandbox_limits *l, struct gs_err *err)
{
	int before = gs_test_open_fds(), r;

	err->text[0] = '\0';
	memset(&out, 0xee, sizeof(out));
	r = gs__sandbox_run(file_fd, fn, &limits, l, &out, sizeof(out), err);
	assert_int_equal(gs_test_open_fds(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return r;
}

static int answer(int fd, void *to, size_t n, const void *ctx)
{
	struct out *o = to;
	char c;

	o->a = ctx == &limits;
	o->b = pread(fd, &c, 1, 1) == 1 ? c : -1;
	memset(o->bytes, 7, sizeof(o->bytes));
	return n == sizeof(*o) ? 3 : -1;
}

static void result_arrives(void **state)
{
	struct gs_err err;

	gs_assert_result(3, run(answer, &limits, &err), &err);
	assert_int_equal(out.a, 1);
	assert_int_equal(out.b, 'e');
	assert_int_equal(out.bytes[0], 7);
	assert_int_equal(out.bytes[sizeof(out.bytes) - 1], 7);
}

static int refuse(int fd, void *to, size_t n, const void *ctx)
{
	memset(to, 1, n);
	return -1;
}

static void failure_leaves_output_alone(void **state)
{
	struct gs_err err;

	gs_assert_fails(-GS_E_BAD_DATA, "gave up", run(refuse, &limits, &err), &err);
	assert_int_equal(out.bytes[0], 0xee);
}

static int spin(int fd, void *to, size_t n, const void *ctx)
{
	volatile bool on = true;

	while (on)
		;
	return 0;
}

static void wall_clock(void **state)
{
	int64_t start = gs_now_ns();
	struct gs_err err;

	gs_assert_fails(-GS_E_LIMIT, "longer than 60 ms", run(spin, &short_limits, &err), &err);
	assert_true(gs_now_ns() - start < 2000000000LL);
}

static void cpu_time(void **state)
{
	struct gs__sandbox_limits l = { .memory_bytes = 1 << 28,
					.cpu_seconds = 1,
					.wall_ns = 20000000000LL };
	struct gs_err err;

	gs_assert_fails(-GS_E_LIMIT, "CPU time", run(spin, &l, &err), &err);
}

static int half_answer(int fd, void *to, size_t n, const void *ctx)
{
	/* What a taken-over child could do: a head that promises more than comes. */
	static const int32_t head[2] = { 0, 0 };

	for (int i = 3; i < 64; i++)
		if (write(i, head, sizeof(head)) == sizeof(head))
			break;
	_exit(0);
}

static void truncated_answer(void **state)
{
	struct gs_err err;

	assert_true(run(half_answer, &limits, &err) < 0);
	assert_int_equal(out.bytes[0], 0xee);
}

static int crash(int fd, void *to, size_t n, const void *ctx)
{
	__builtin_trap();
	return 0;
}

static void crash_is_an_error(void **state)
{
	struct gs_err err;

	assert_int_equal(run(crash, &limits, &err), -GS_E_BAD_DATA);
}

static int hog(int fd, void *to, size_t n, const void *ctx)
{
	struct out *o = to;
	size_t got = 0;

	while (got < 1ULL << 34) {
		if (mmap(NULL, 1 << 24, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0) == MAP_FAILED)
			break;
		got += 1 << 24;
	}
	o->a = (int32_t)(got >> 20);
	return 0;
}

static void memory(void **state)
{
	struct gs_err err;

	gs_assert_ok(run(hog, &limits, &err), &err);
	assert_true(out.a <= 256);
	assert_true(out.a >= 64);
}

static int look_around(int fd, void *to, size_t n, const void *ctx)
{
	struct out *o = to;

	o->a = open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
	o->b = 0;
	for (int i = 0; i < 64; i++)
		if (fcntl(i, F_GETFD) >= 0)
			o->b++;
	return 0;
}

static void no_files_but_one(void **state)
{
	int spare = dup(file_fd);
	struct gs_err err;

	gs_assert_ok(run(look_around, &limits, &err), &err);
	assert_int_equal(out.a, EACCES);
	assert_int_equal(out.b, 2); /* the file and the pipe; not even stderr */
	close(spare);
}

static int with_socket(int fd, void *to, size_t n, const void *ctx)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? 0 : 1;
}

static int with_fork(int fd, void *to, size_t n, const void *ctx)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0 ? 0 : 1;
}

static int with_kill(int fd, void *to, size_t n, const void *ctx)
{
	return kill(getppid(), SIGTERM) < 0 ? 0 : 1;
}

static int with_exec_memory(int fd, void *to, size_t n, const void *ctx)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? 0
		       : 1;
}

static int with_file_write(int fd, void *to, size_t n, const void *ctx)
{
	return write(fd, "x", 1) < 0 ? 0 : 1;
}

static int with_exec(int fd, void *to, size_t n, const void *ctx)
{
	return execl("/bin/true", "true", (char *)NULL) < 0 ? 0 : 1;
}

static int with_ptrace(int fd, void *to, size_t n, const void *ctx)
{
	return syscall(SYS_ptrace, 0, 0, 0, 0) < 0 ? 0 : 1;
}

static void forbidden_calls_kill(void **state)
{
	gs__sandbox_fn *const fns[] = { with_socket,     with_fork, with_kill,  with_exec_memory,
					with_file_write, with_exec, with_ptrace };
	struct gs_err err;

	for (size_t i = 0; i < sizeof(fns) / sizeof(fns[0]); i++)
		gs_assert_fails(-GS_E_BAD_DATA, "system call", run(fns[i], &limits, &err), &err);
}

static void children_that_nobody_waits_for(void **state)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN }, dfl = { .sa_handler = SIG_DFL };
	struct gs_err err;

	sigaction(SIGCHLD, &ignore, NULL);
	gs_assert_result(3, run(answer, &limits, &err), &err);
	gs_assert_fails(-GS_E_LIMIT, "longer than", run(spin, &short_limits, &err), &err);
	sigaction(SIGCHLD, &dfl, NULL);
}

static void noise(int sig)
{
}

static void signals_while_waiting(void **state)
{
	const struct sigaction act = { .sa_handler = noise }, dfl = { .sa_handler = SIG_DFL };
	const struct itimerval every = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
	struct gs_err err;

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	gs_assert_fails(-GS_E_LIMIT, "longer than", run(spin, &short_limits, &err), &err);
	gs_assert_result(3, run(answer, &limits, &err), &err);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &dfl, NULL);
}

static void too_much_output(void **state)
{
	static char big[GS__SANDBOX_MAX_OUT + 1];
	struct gs_err err;

	gs_assert_fails(-EINVAL, "too large",
			gs__sandbox_run(file_fd, answer, NULL, &limits, big, sizeof(big), &err),
			&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(result_arrives),
		cmocka_unit_test(failure_leaves_output_alone),
		cmocka_unit_test(wall_clock),
		cmocka_unit_test(cpu_time),
		cmocka_unit_test(truncated_answer),
		cmocka_unit_test(crash_is_an_error),
		cmocka_unit_test(memory),
		cmocka_unit_test(no_files_but_one),
		cmocka_unit_test(forbidden_calls_kill),
		cmocka_unit_test(children_that_nobody_waits_for),
		cmocka_unit_test(signals_while_waiting),
		cmocka_unit_test(too_much_output),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
