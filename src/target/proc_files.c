/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Reading /proc: whole files, /proc/PID/stat, the list of threads. All files are opened relative to
 * a descriptor of /proc/PID, which the kernel ties to the process: once that has exited every open
 * fails (ESRCH or ENOENT), even if its number was given away again.
 *
 * /proc/PID/stat: "PID (comm) S ppid …"; comm is under the process's control and may hold anything,
 * so fields count from the last ')': state is field 3, flags 9, num_threads 20, starttime 22.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/process_private.h"

int gs__slurp(int dir_fd, const char *name, size_t max, char **ret, size_t *ret_len)
{
	GS_CLEANUP(gs_closep) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	GS_CLEANUP(gs_freep) char *buf = NULL;
	size_t len = 0, cap = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		if (cap - len < 4096) {
			size_t want = cap ? cap * 2 : 16384;
			char *p = (char *)realloc(buf, want + 1);

			if (!p)
				return -ENOMEM;
			buf = p;
			cap = want;
		}
		n = read(fd, buf + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
	}
	buf[len] = '\0';
	*ret = GS_TAKE(buf);
	*ret_len = len;
	return 0;
}

int gs__stat_parse(const char *text, size_t len, struct gs__stat *ret)
{
	const char *open = (const char *)memchr(text, '(', len);
	const char *close = (const char *)memrchr(text, ')', len);
	const char *p;
	char *end;
	size_t n;

	memset(ret, 0, sizeof(*ret));
	if (!open || !close || close < open || close + 3 >= text + len || close[1] != ' ')
		return -EINVAL;
	n = (size_t)(close - open) - 1;
	memcpy(ret->name, open + 1, n < sizeof(ret->name) - 1 ? n : sizeof(ret->name) - 1);
	ret->state = close[2];
	p = close + 3;
	for (int field = 4; field <= 22; field++) {
		uint64_t v;

		errno = 0;
		v = strtoull(p, &end, 10);
		if (end == p || errno)
			return -EINVAL;
		p = end;
		if (field == 9)
			ret->flags = (uint32_t)v;
		else if (field == 20)
			ret->n_threads = (uint32_t)v;
		else if (field == 22)
			ret->start_ticks = v;
	}
	return 0;
}

static int add_tid(int32_t **v, size_t *n, size_t *cap, int32_t tid, struct gs_err *err)
{
	if (*n == *cap) {
		size_t want = *cap ? *cap * 2 : 64;
		int32_t *p;

		if (*n >= GS__MAX_THREADS)
			return gs_fail(err, -GS_E_LIMIT, 0, "more than %d threads, our limit",
				       GS__MAX_THREADS);
		p = (int32_t *)gs_array_resize(*v, want, sizeof(*p));
		if (!p)
			return gs_fail(err, -ENOMEM, 0, "no memory for %zu threads", want);
		*v = p;
		*cap = want;
	}
	(*v)[(*n)++] = tid;
	return 0;
}

int gs__list_tids(const struct gs_process_target *p, int32_t **ret, size_t *ret_n,
		  struct gs_err *err)
{
	GS_CLEANUP(gs_freep) int32_t *v = NULL;
	GS_CLEANUP(gs_closep)
	int fd = openat(p->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t n = 0, cap = 0;
	struct dirent *e;
	DIR *d;
	int r = 0;

	if (fd < 0)
		return gs__process_gone(p, err);
	d = fdopendir(fd);
	if (!d)
		return gs_fail(err, -errno, 0, "PID %d: cannot list its threads: %s", p->pid,
			       strerror(errno));
	fd = -1; // the DIR has it
	while (r == 0 && (errno = 0, e = readdir(d)) != NULL) {
		int32_t tid = (int32_t)strtol(e->d_name, NULL, 10);

		if (tid > 0)
			r = add_tid(&v, &n, &cap, tid, err);
	}
	closedir(d);
	if (r < 0)
		return gs_fail_in(err, r, "PID %d", p->pid);
	if (n == 0)
		return gs__process_gone(p, err);
	*ret = GS_TAKE(v);
	*ret_n = n;
	return 0;
}

/* Last number of the line "NSpid:\t4711\t7\n": the id in the innermost namespace (fs/proc/array.c). */
static int32_t inner_tid(const struct gs_process_target *p, int32_t tid)
{
	GS_CLEANUP(gs_freep) char *text = NULL;
	char name[48], *line, *end, *last;
	size_t len;

	snprintf(name, sizeof(name), "task/%d/status", tid);
	if (gs__slurp(p->proc_fd, name, 1 << 20, &text, &len) < 0)
		return tid;
	line = strstr(text, "\nNSpid:");
	end = line ? strchr(line + 1, '\n') : NULL;
	if (!end)
		return tid;
	*end = '\0';
	last = strrchr(line, '\t');
	return last ? (int32_t)strtol(last + 1, NULL, 10) : tid;
}

bool gs__inner_pids(int proc_fd)
{
	char theirs[64], ours[64];
	ssize_t n = readlinkat(proc_fd, "ns/pid", theirs, sizeof(theirs));
	ssize_t m = readlink("/proc/self/ns/pid", ours, sizeof(ours));

	return n > 0 && n == m && memcmp(theirs, ours, (size_t)n) != 0;
}

bool gs__read_thread(const struct gs_process_target *p, int32_t tid, struct gs_thread *ret)
{
	char name[48], text[1024];
	struct gs__stat st;
	ssize_t n;

	snprintf(name, sizeof(name), "task/%d/stat", tid);
	{
		GS_CLEANUP(gs_closep) int fd = openat(p->proc_fd, name, O_RDONLY | O_CLOEXEC);

		n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	}
	if (n <= 0)
		return false;
	text[n] = '\0';
	if (gs__stat_parse(text, (size_t)n, &st) < 0)
		return false;
	ret->tid = tid;
	ret->ns_tid = p->inner_pids ? inner_tid(p, tid) : tid;
	ret->state = st.state;
	memcpy(ret->name, st.name, sizeof(ret->name));
	return true;
}
