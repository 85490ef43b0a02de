/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_LIVE_TARGET_CHILD_H
#define GS_TESTS_LIVE_TARGET_CHILD_H

/*
 * Children that serve as live targets. fork() keeps the address space layout, so the parent knows
 * the child's addresses without asking. All memory both sides talk over is struct shared.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/target.h"

struct shared {
	_Atomic int ready, go, result;
	_Atomic uint64_t counters[64];
	_Atomic uint64_t received, wrong;
	_Atomic uint8_t seen[1 << 20]; /* how often each number arrived */
	_Atomic int64_t longest_gap_ns, now_ns;
	char text[512];
};

static inline struct shared *shared_new(void)
{
	void *p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : (struct shared *)p;
}

static inline void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, (ms % 1000) * 1000000L };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

static inline bool wait_for(_Atomic int *what, int value)
{
	for (int i = 0; i < 10000; i++) {
		if (atomic_load(what) == value)
			return true;
		sleep_ms(1);
	}
	return false;
}

/* Run @fn in a child that dies with us, and wait until it says that it is ready. */
static inline pid_t spawn(void (*fn)(struct shared *s), struct shared *s)
{
	pid_t pid;

	memset(s, 0, sizeof(*s));
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int sig = 1; sig < 32; sig++)
			signal(sig, SIG_DFL); // cmocka's are not for children
		fn(s);
		_exit(0);
	}
	if (pid > 0 && !wait_for(&s->ready, 1)) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return -1;
	}
	return pid;
}

static inline void be_ready(struct shared *s)
{
	atomic_store(&s->ready, 1);
}

static inline void pause_forever(void)
{
	for (;;)
		pause();
}

static inline void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#endif
