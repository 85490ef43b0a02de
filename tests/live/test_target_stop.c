/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Stopping and letting go. The child notices everything: its threads count, numbered realtime
 * signals arrive, threads come and go, a thread measures its longest gap.
 */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/ptrace.h>

#include "target_child.h"

enum { COUNTERS = 6, MS = 1000000 };

static struct shared *s;

static int setup(void **state)
{
	s = shared_new();
	return s ? 0 : -1;
}

static void *counter(void *arg)
{
	_Atomic uint64_t *c = &s->counters[(intptr_t)arg];

	atomic_fetch_add(&s->result, 1);
	for (;;) {
		atomic_fetch_add(c, 1);
		if ((intptr_t)arg % 2)
			sched_yield(); // some in system calls, some not
	}
	return NULL;
}

/* Every number once, with its value; threads share the work, so the order is open. */
static void on_numbered(int sig, siginfo_t *si, void *uc)
{
	unsigned n = (unsigned)si->si_value.sival_int;

	if (si->si_code != SI_QUEUE || n >= sizeof(s->seen) || atomic_fetch_add(&s->seen[n], 1))
		atomic_fetch_add(&s->wrong, 1);
	atomic_fetch_add(&s->received, 1);
}

static void on_urgent(int sig)
{
	atomic_fetch_add(&s->counters[63], 1);
}

static void counting_child(struct shared *sh)
{
	struct sigaction sa = { .sa_sigaction = on_numbered, .sa_flags = SA_SIGINFO | SA_RESTART };
	pthread_t th;

	sigfillset(&sa.sa_mask); // handlers do not interrupt each other
	sigaction(SIGRTMIN, &sa, NULL);
	sa.sa_flags = SA_RESTART;
	sa.sa_handler = on_urgent;
	sigaction(SIGURG, &sa, NULL);
	for (intptr_t i = 0; i < COUNTERS; i++)
		pthread_create(&th, NULL, counter, (void *)i);
	wait_for(&sh->result, COUNTERS);
	be_ready(sh);
	while (!atomic_load(&sh->go))
		sleep_ms(1);
	_exit(42);
}

static struct gs_target *open_child(pid_t pid)
{
	struct gs_target *t = NULL;
	struct gs_err err;

	assert_true(pid > 0);
	gs_assert_ok(gs_target_open_pid(pid, &t, &err), &err);
	return t;
}

static void snapshot(uint64_t dst[COUNTERS])
{
	for (int i = 0; i < COUNTERS; i++)
		dst[i] = atomic_load(&s->counters[i]);
}

/* Every counter moves again. */
static bool all_run(void)
{
	uint64_t a[COUNTERS], b[COUNTERS];
	int running = 0;

	snapshot(a);
	for (int ms = 0; ms < 5000 && running < COUNTERS; ms++) {
		sleep_ms(1);
		snapshot(b);
		running = 0;
		for (int i = 0; i < COUNTERS; i++)
			running += b[i] > a[i];
	}
	return running == COUNTERS;
}

static void test_stop(void **state)
{
	pid_t pid = spawn(counting_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	uint64_t a[COUNTERS], b[COUNTERS];
	const struct gs_thread *th;
	int64_t paused = 0, start;
	struct gs_err err;
	size_t n, in_text = 0;
	int status;

	start = gs_now_ns();
	gs_assert_ok(gs_target_stop(t, 5000 * (int64_t)MS, &err), &err);
	snapshot(a);
	gs_assert_fails(-EALREADY, "stopped already", gs_target_stop(t, 0, &err), &err);
	gs_assert_ok(gs_target_threads(t, &th, &n, &err), &err);
	assert_int_equal(n, COUNTERS + 1);
	for (size_t i = 0; i < n; i++) {
		const struct gs_map *m, *stack;
		uint64_t word;

		assert_true(th[i].has_regs);
		assert_int_not_equal(th[i].state, 't'); // as before the stop
		m = gs_target_map_at(t, th[i].regs.pc);
		stack = gs_target_map_at(t, th[i].regs.sp);
		assert_true(m && m->prot & GS_IMAGE_EXEC);
		assert_true(stack && stack->prot & GS_IMAGE_WRITE);
		in_text += th[i].regs.pc >= (uintptr_t)counter &&
			   th[i].regs.pc < (uintptr_t)counter + 256;
		// glibc: the thread control block begins with a pointer to itself (amd64).
		assert_true(th[i].regs.tls != 0);
#if defined(__x86_64__)
		gs_assert_ok(gs_memory_u64(gs_target_memory(t), th[i].regs.tls, &word, &err), &err);
		assert_true(word == th[i].regs.tls);
#else
		(void)word;
#endif
	}
	assert_true(in_text > 0);
	sleep_ms(30);
	snapshot(b);
	assert_memory_equal(a, b, sizeof(a));
	gs_assert_ok(gs_target_resume(t, &paused, &err), &err);
	assert_true(paused >= 30 * (int64_t)MS);
	assert_true(paused <= gs_now_ns() - start);
	gs_assert_fails(-EINVAL, "not stopped", gs_target_resume(t, &paused, &err), &err);
	assert_true(all_run());
	gs_assert_ok(gs_target_alive(t, &err), &err);
	gs_assert_ok(gs_target_threads(t, &th, &n, &err), &err);
	assert_false(th[0].has_regs);

	// The exit status is for the parent.
	atomic_store(&s->go, 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

/* Send numbered signals and SIGURG to the child until it goes away. @return how many. */
struct sender {
	pid_t pid;
	_Atomic bool stop;
	uint64_t sent;
};

static void *send_signals(void *arg)
{
	struct sender *snd = (struct sender *)arg;

	while (!atomic_load(&snd->stop) && snd->sent < sizeof(s->seen)) {
		union sigval v = { .sival_int = (int)snd->sent };

		if (sigqueue(snd->pid, SIGRTMIN, v) == 0)
			snd->sent++;
		kill(snd->pid, SIGURG);
		if (snd->sent % 256 == 0)
			sleep_ms(1); // the queue is limited
	}
	return NULL;
}

static void check_all_received(uint64_t sent)
{
	for (int i = 0; i < 5000 && atomic_load(&s->received) < sent; i++)
		sleep_ms(1);
	assert_int_equal(atomic_load(&s->received), sent);
	assert_int_equal(atomic_load(&s->wrong), 0);
	for (uint64_t i = 0; i < sent; i++)
		assert_int_equal(atomic_load(&s->seen[i]), 1);
}

static void test_signals(void **state)
{
	pid_t pid = spawn(counting_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	struct sender snd = { .pid = pid };
	struct gs_err err;
	pthread_t th;

	pthread_create(&th, NULL, send_signals, &snd);
	for (int i = 0; i < 100; i++) {
		int64_t paused;

		gs_assert_ok(gs_target_stop(t, 5000 * (int64_t)MS, &err), &err);
		gs_assert_ok(gs_target_resume(t, &paused, &err), &err);
	}
	atomic_store(&snd.stop, true);
	pthread_join(th, NULL);
	assert_true(snd.sent > 100);
	check_all_received(snd.sent);
	assert_true(all_run());
	assert_true(atomic_load(&s->counters[63]) > 10);
	end_child(pid);
}

/* The stopper is killed while it holds the target, again and again, under signals. */
static void test_killed_stopper(void **state)
{
	pid_t pid = spawn(counting_child, s);
	struct sender snd = { .pid = pid };
	_Atomic int *held = &s->ready;
	pthread_t th;

	assert_true(pid > 0);
	pthread_create(&th, NULL, send_signals, &snd);
	for (int i = 0; i < 20; i++) {
		pid_t stopper;

		atomic_store(held, 0);
		stopper = fork();
		if (stopper == 0) {
			struct gs_target *t = NULL;

			if (gs_target_open_pid(pid, &t, NULL) < 0 ||
			    gs_target_stop(t, 5000 * (int64_t)MS, NULL) < 0)
				_exit(1);
			atomic_store(held, 1);
			pause_forever();
		}
		assert_true(wait_for(held, 1));
		end_child(stopper);
		assert_true(all_run());
	}
	atomic_store(&snd.stop, true);
	pthread_join(th, NULL);
	check_all_received(snd.sent);
	end_child(pid);
}

static void *short_thread(void *arg)
{
	atomic_fetch_add(&s->counters[0], 1);
	return NULL;
}

static void *breeder(void *arg)
{
	for (;;) {
		pthread_t th;

		if (pthread_create(&th, NULL, short_thread, NULL) == 0)
			pthread_join(th, NULL);
	}
	return NULL;
}

static void breeding_child(struct shared *sh)
{
	pthread_t th;

	for (int i = 0; i < 3; i++)
		pthread_create(&th, NULL, breeder, NULL);
	be_ready(sh);
	pause_forever();
}

/* No thread escapes, however fast they come and go. */
static void test_breeding(void **state)
{
	pid_t pid = spawn(breeding_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	struct gs_err err;

	for (int i = 0; i < 50; i++) {
		uint64_t before, after;
		const struct gs_thread *th;
		int64_t paused;
		size_t n;

		gs_assert_ok(gs_target_stop(t, 5000 * (int64_t)MS, &err), &err);
		gs_assert_ok(gs_target_threads(t, &th, &n, &err), &err);
		assert_in_range(n, 4, 7);
		before = atomic_load(&s->counters[0]);
		sleep_ms(2);
		after = atomic_load(&s->counters[0]);
		gs_assert_ok(gs_target_resume(t, &paused, &err), &err);
		assert_int_equal(before, after);
	}
	sleep_ms(20);
	assert_true(atomic_load(&s->counters[0]) > 100);
	end_child(pid);
}

static char state_of(struct gs_target *t)
{
	const struct gs_thread *th;
	struct gs_err err;
	size_t n;

	gs_assert_ok(gs_target_threads(t, &th, &n, &err), &err);
	return th[0].state;
}

/* A process that job control has stopped stays stopped. */
static void test_job_control(void **state)
{
	pid_t pid = spawn(counting_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	struct gs_err err;
	int64_t paused;

	kill(pid, SIGSTOP);
	for (int i = 0; i < 1000 && state_of(t) != 'T'; i++)
		sleep_ms(1);
	gs_assert_ok(gs_target_stop(t, 5000 * (int64_t)MS, &err), &err);
	gs_assert_ok(gs_target_resume(t, &paused, &err), &err);
	sleep_ms(20);
	assert_int_equal(state_of(t), 'T');
	kill(pid, SIGCONT);
	assert_true(all_run());

	// SIGSTOP that comes while we hold it takes effect behind us.
	gs_assert_ok(gs_target_stop(t, 5000 * (int64_t)MS, &err), &err);
	kill(pid, SIGSTOP);
	gs_assert_ok(gs_target_resume(t, &paused, &err), &err);
	for (int i = 0; i < 1000 && state_of(t) != 'T'; i++)
		sleep_ms(1);
	assert_int_equal(state_of(t), 'T');
	kill(pid, SIGCONT);
	assert_true(all_run());
	end_child(pid);
}

static void test_killed_while_stopped(void **state)
{
	pid_t pid = spawn(counting_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	struct gs_err err;
	int64_t paused;
	int status;

	gs_assert_ok(gs_target_stop(t, 5000 * (int64_t)MS, &err), &err);
	kill(pid, SIGKILL);
	gs_assert_ok(gs_target_resume(t, &paused, &err), &err);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	gs_assert_fails(-GS_E_GONE, "has exited", gs_target_alive(t, &err), &err);
}

/* Freed while stopped: let go. */
static void test_free_resumes(void **state)
{
	pid_t pid = spawn(counting_child, s);
	struct gs_target *t = open_child(pid);
	struct gs_err err;

	gs_assert_ok(gs_target_stop(t, 5000 * (int64_t)MS, &err), &err);
	gs_target_free(t);
	assert_true(all_run());
	end_child(pid);
}

static void test_refused(void **state)
{
	pid_t pid = spawn(counting_child, s), tracer;
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	GS_CLEANUP(gs_target_freep) struct gs_target *self = NULL;
	struct gs_err err;
	char words[64];

	gs_assert_ok(gs_target_open_pid(getpid(), &self, &err), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "cannot stop itself", gs_target_stop(self, 0, &err),
			&err);

	atomic_store(&s->ready, 0);
	tracer = fork();
	if (tracer == 0) {
		if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
			_exit(1);
		be_ready(s);
		pause_forever();
	}
	assert_true(wait_for(&s->ready, 1));
	snprintf(words, sizeof(words), "PID %d already traces it", tracer);
	gs_assert_fails(-GS_E_PERMISSION, words, gs_target_stop(t, 0, &err), &err);
	assert_true(all_run());
	end_child(tracer);
	end_child(pid);
}

/* vfork() keeps its caller in the kernel, where nothing stops it, until the child ends. */
static void vforking_child(struct shared *sh)
{
	pthread_t th;

	for (intptr_t i = 0; i < COUNTERS; i++)
		pthread_create(&th, NULL, counter, (void *)i);
	wait_for(&sh->result, COUNTERS);
	be_ready(sh);
	if (vfork() == 0) {
		struct timespec ts = { .tv_nsec = 400 * MS };

		nanosleep(&ts, NULL);
		_exit(0);
	}
	atomic_store(&sh->go, 2);
	pause_forever();
}

static void test_deadline(void **state)
{
	pid_t pid = spawn(vforking_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	int64_t start, paused;
	struct gs_err err;

	for (int i = 0; i < 1000 && state_of(t) != 'D'; i++)
		sleep_ms(1);
	start = gs_now_ns();
	gs_assert_fails(-GS_E_LIMIT, "state D", gs_target_stop(t, 50 * (int64_t)MS, &err), &err);
	assert_in_range(gs_now_ns() - start, 50 * MS, 300 * MS);
	assert_true(all_run());
	assert_true(wait_for(&s->go, 2)); // the one that could not be stopped goes on too
	gs_assert_ok(gs_target_stop(t, 5000 * (int64_t)MS, &err), &err);
	gs_assert_ok(gs_target_resume(t, &paused, &err), &err);
	assert_true(all_run());
	end_child(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop),           cmocka_unit_test(test_signals),
		cmocka_unit_test(test_killed_stopper), cmocka_unit_test(test_breeding),
		cmocka_unit_test(test_job_control),    cmocka_unit_test(test_killed_while_stopped),
		cmocka_unit_test(test_free_resumes),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_deadline),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
