/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * /proc/PID/{stat,status,exe,cmdline} (proc(5)). A process may end between two reads: that is an
 * outcome, not a failure. Its names are its own choice and may hold any byte.
 */
#include "cli/procs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h, shown in field 9 of stat */

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

int gs_procs_list(pid_t **ret, size_t *ret_n, struct gs_err *err)
{
	GS_CLEANUP(close_dir) DIR *dir = opendir("/proc");
	GS_CLEANUP(gs_freep) pid_t *pids = NULL;
	size_t n = 0, cap = 0;
	struct dirent *e;

	if (!dir)
		return gs_fail(err, -errno, 0, "cannot read /proc: %s. Mount it", strerror(errno));
	while ((e = readdir(dir))) {
		char *end;
		long pid = strtol(e->d_name, &end, 10);

		if (pid <= 0 || pid > INT32_MAX || *end)
			continue;
		if (n == cap) {
			pid_t *more =
				gs_array_resize(pids, cap = cap ? cap * 2 : 512, sizeof(*pids));

			if (!more)
				return gs_fail(err, -ENOMEM, 0, "out of memory");
			pids = more;
		}
		pids[n++] = (pid_t)pid;
	}
	if (n)
		qsort(pids, n, sizeof(*pids), compare_pids);
	*ret = GS_TAKE(pids);
	*ret_n = n;
	return 0;
}

/* Bytes of a small file of /proc/PID, NUL-terminated. */
static ssize_t read_file(pid_t pid, const char *name, char *buf, size_t size)
{
	GS_CLEANUP(gs_closep) int fd = -1;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

/* "PID (comm) S ppid …": comm may hold blanks and parentheses, so it ends at the last one. */
bool gs_proc_parse_stat(const char *text, uint64_t page, struct gs_proc *ret)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long flags, utime, stime;
	unsigned long long start;
	unsigned int threads;
	long rss;
	char state;
	size_t n;

	if (!open || !close || close < open)
		return false;
	if (sscanf(close + 1,
		   " %c %*d %*d %*d %*d %*d %lu %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %u %*d "
		   "%llu "
		   "%*u %ld",
		   &state, &flags, &utime, &stime, &threads, &start, &rss) != 7)
		return false;
	n = (size_t)(close - open - 1);
	if (n >= sizeof(ret->comm))
		n = sizeof(ret->comm) - 1;
	memcpy(ret->comm, open + 1, n);
	ret->comm[n] = '\0';
	ret->state = state;
	ret->kernel_thread = flags & PF_KTHREAD;
	ret->threads = threads;
	ret->start_ticks = start;
	ret->rss_bytes = rss > 0 ? (uint64_t)rss * page : 0;
	ret->cpu_ticks = utime + stime;
	return true;
}

int gs_proc_read(pid_t pid, struct gs_proc *ret)
{
	char text[1024];

	if (read_file(pid, "stat", text, sizeof(text)) <= 0 ||
	    !gs_proc_parse_stat(text, (uint64_t)sysconf(_SC_PAGESIZE), ret))
		return 1;
	ret->pid = pid;
	return 0;
}

/* From the file, not from the owner of the directory: that is root for processes that may not be
 * dumped. */
int gs_proc_uid(pid_t pid, uid_t *ret)
{
	unsigned int real, effective;
	const char *line;
	char text[2048];

	if (read_file(pid, "status", text, sizeof(text)) <= 0)
		return 1;
	line = strstr(text, "\nUid:");
	if (!line || sscanf(line + 5, "%u %u", &real, &effective) != 2)
		return 1;
	*ret = effective;
	return 0;
}

int gs_proc_exe(pid_t pid, char *ret, size_t size)
{
	static const char deleted[] = " (deleted)";
	const size_t tail = sizeof(deleted) - 1;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, ret, size - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	if ((size_t)n > tail && strcmp(ret + n - tail, deleted) == 0)
		ret[(size_t)n - tail] = '\0';
	return 0;
}

/* First word of the command line, "" for none. @return 0 or a negative errno. */
static int read_argv0(pid_t pid, char *ret, size_t size)
{
	ssize_t n = read_file(pid, "cmdline", ret, size);

	return n < 0 ? (int)n : 0;
}

double gs_uptime_seconds(void)
{
	struct timespec ts;

	/* The clock of start times since Linux 3.17; it counts suspended time. */
	if (clock_gettime(CLOCK_BOOTTIME, &ts) < 0)
		return 0;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool last_part_is(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, name) == 0;
}

bool gs_proc_is_called(const struct gs_proc *p, const char *name)
{
	char path[4096];

	if (strcmp(p->comm, name) == 0)
		return true;
	if (gs_proc_exe(p->pid, path, sizeof(path)) == 0 && last_part_is(path, name))
		return true;
	return read_argv0(p->pid, path, sizeof(path)) == 0 && last_part_is(path, name);
}
