/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Run a command and write what it cost to descriptor 3: wall seconds, peak RSS in KiB, user and system
 * seconds, wait status. The peak that wait4 reports starts with that of the process that called exec,
 * so whoever measures has to be small itself; a script interpreter is not.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	double begin = now();
	struct rusage use;
	int status;
	pid_t pid;

	if (argc < 2)
		return 2;
	pid = fork();
	if (pid == 0) {
		close(3);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &use) < 0)
		return 1;
	dprintf(3, "%.6f %ld %.6f %.6f %d\n", now() - begin, use.ru_maxrss, seconds(use.ru_utime),
		seconds(use.ru_stime), status);
	return 0;
}
