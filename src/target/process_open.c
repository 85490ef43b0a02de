/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Opening a live process: from its number to the descriptors of process.c, its identity, executable,
 * load bias and clock, with a message for everything that can be in the way. The order matters:
 * /proc/PID first, then the pidfd, then a read through /proc/PID, which fails if the number changed
 * hands in between; and at the very end one more look whether it still is the same program.
 *
 * PID namespaces need no care: numbers are those of our own /proc. Other mount namespaces and
 * deleted files neither, since /proc/PID/exe leads to the file itself. A time namespace shifts
 * CLOCK_MONOTONIC; see clock_offset().
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "target/process_private.h"

#define MAX_START_MS 100
#define PF_KTHREAD 0x00200000u /* linux/sched.h, shown in /proc/PID/stat */

static int no_such(pid_t pid, struct gs_err *err)
{
	struct stat st;

	if (stat("/proc/self/stat", &st) < 0)
		return gs_fail(
			err, -GS_E_UNSUPPORTED, 0,
			"cannot look at PID %d: /proc is not mounted. Mount it (mount -t proc "
			"proc /proc)",
			pid);
	if (pid > 0 && (kill(pid, 0) == 0 || errno == EPERM))
		return gs_fail(
			err, -GS_E_PERMISSION, 0,
			"PID %d exists but /proc hides it (mount option hidepid). Run as root, "
			"or as a member of the group in its gid= option",
			pid);
	return gs_fail(err, -GS_E_GONE, 0, "no process with PID %d", pid);
}

/* /proc/TID exists for every thread although a listing of /proc does not show it. */
static int check_not_thread(const struct gs_process_target *p, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) char *text = NULL;
	const char *line;
	size_t len;
	pid_t tgid;
	int r = gs__slurp(p->proc_fd, "status", 1 << 20, &text, &len);

	if (r < 0)
		return no_such(p->pid, err);
	line = strstr(text, "\nTgid:");
	tgid = line ? (pid_t)strtol(line + 6, NULL, 10) : p->pid;
	if (tgid != p->pid && tgid > 0)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%d is a thread of the process %d, not a process. Use PID %d",
			       p->pid, tgid, tgid);
	return 0;
}

uint64_t gs_start_time_unix_ns(uint64_t ticks)
{
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK), tick_ns = 1000000000u / (hz ? hz : 100);
	struct timespec real, boot;
	int64_t booted;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	booted = (int64_t)(real.tv_sec - boot.tv_sec) * 1000000000 + (real.tv_nsec - boot.tv_nsec);
	return (uint64_t)booted / tick_ns * tick_ns + ticks * tick_ns;
}

static int check_stat(struct gs_process_target *p, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) char *text = NULL;
	struct gs__stat st;
	size_t len;

	if (gs__slurp(p->proc_fd, "stat", 1 << 16, &text, &len) < 0)
		return no_such(p->pid, err);
	if (gs__stat_parse(text, len, &st) < 0)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0, "cannot understand /proc/%d/stat",
			       p->pid);
	if (st.flags & PF_KTHREAD)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "PID %d (%s) is a kernel thread; it runs no program", p->pid,
			       st.name);
	if (st.state == 'Z' && st.n_threads > 1)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "PID %d (%s): its main thread has exited while %" PRIu32
			       " others live on; the kernel shows no memory of such a process",
			       p->pid, st.name, st.n_threads - 1);
	if (st.state == 'Z' || st.state == 'X')
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "PID %d (%s) is a zombie: it has exited and waits for its parent to "
			       "collect it. There is nothing left to read",
			       p->pid, st.name);
	p->base.id.start_ticks = st.start_ticks;
	p->base.id.start_time_unix_ns = gs_start_time_unix_ns(st.start_ticks);
	return 0;
}

static int open_handles(struct gs_process_target *p, struct gs_err *err)
{
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/%d", p->pid);
	p->proc_fd = p->pid > 0 ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (p->proc_fd < 0)
		return no_such(p->pid, err);
	r = check_not_thread(p, err);
	if (r < 0)
		return r;
	p->inner_pids = gs__inner_pids(p->proc_fd);
	p->pid_fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pid_fd < 0 && errno == ESRCH)
		return no_such(p->pid, err);
	// Read through proc_fd after the pidfd was made: both are of the same process, or this fails.
	return check_stat(p, err);
}

/*
 * A program that is just being started has an address space and an executable before it has mappings
 * and, last, an auxiliary vector (fs/binfmt_elf.c, load_elf_binary): wait for that.
 */
static int read_auxv(struct gs_process_target *p, struct gs_err *err)
{
	uint64_t entry;

	for (int ms = 0;; ms++) {
		GS_CLEANUP(gs_freep) char *auxv = NULL;
		size_t len;
		int r = gs__slurp(p->proc_fd, "auxv", 1 << 16, &auxv, &len);

		if (r < 0)
			return gs__process_cannot_open(p, "read the memory of", -r, err);
		gs__auxv_parse(auxv, len, &p->base.auxv);
		if (gs__auxv_find(&p->base.auxv, AT_ENTRY, &entry) == 0 || ms == MAX_START_MS)
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

static int open_memory(struct gs_process_target *p, struct gs_err *err)
{
	struct gs_read one;
	uint8_t byte;
	int r;

	p->mem_fd = openat(p->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	if (p->mem_fd < 0)
		return gs__process_cannot_open(p, "read the memory of", errno, err);
	r = read_auxv(p, err);
	if (r == 0)
		r = gs_target_refresh_maps(&p->base, err);
	if (r < 0)
		return r;
	if (p->base.maps.n)
		p->probe = p->base.maps.v[0].start;
	(void)gs__auxv_find(&p->base.auxv, AT_PHDR, &p->probe); // absent: keep the map's
	one = (struct gs_read){ .addr = p->probe, .buf = &byte, .len = 1 };
	r = gs__read_by_syscall(p, &one, 1);
	// mem_fd could be opened, so rights are there: a filter stands in the way of the call only.
	p->use_mem_fd = r == EPERM || r == EACCES || r == ENOSYS;
	if (r == ESRCH || !gs__address_space_lives(p))
		return gs__process_gone(p, err);
	return 0;
}

/* Path as the target sees it; the kernel marks unlinked files, which may also be part of a name. */
static void name_executable(struct gs_process_target *p, const struct stat *exe)
{
	static const char mark[] = " (deleted)";
	struct gs_target_identity *id = &p->base.id;
	ssize_t n = readlinkat(p->proc_fd, "exe", id->executable, sizeof(id->executable) - 1);
	char path[PATH_MAX + 8];
	struct stat st;

	id->executable[n > 0 ? n : 0] = '\0';
	if (n < (ssize_t)sizeof(mark) || strcmp(id->executable + n - (sizeof(mark) - 1), mark) != 0)
		return;
	snprintf(path, sizeof(path), "root%s", id->executable);
	if (fstatat(p->proc_fd, path, &st, 0) == 0 && st.st_ino == exe->st_ino &&
	    st.st_dev == exe->st_dev)
		return;
	id->exe_deleted = true;
	id->executable[n - (ssize_t)(sizeof(mark) - 1)] = '\0';
}

/* The mapping that holds the program headers leads to the same file when exe cannot be followed. */
static int open_by_map(const struct gs_process_target *p)
{
	const struct gs_map *m;
	char name[64];
	uint64_t at;

	if (gs__auxv_find(&p->base.auxv, AT_PHDR, &at) || !(m = gs__maps_at(&p->base.maps, at)) ||
	    !m->ino)
		return -1;
	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, m->start, m->end);
	return openat(p->proc_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static int open_executable(struct gs_process_target *p, struct gs_err *err)
{
	struct gs_target *t = &p->base;
	struct stat st;
	int error;

	t->exe_fd = openat(p->proc_fd, "exe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	error = errno;
	if (t->exe_fd < 0)
		t->exe_fd = open_by_map(p);
	// Memory could be opened, so this is about the rights on the file.
	if (t->exe_fd < 0 && (error == EACCES || error == EPERM))
		return gs_fail(
			err, -GS_E_PERMISSION, 0,
			"PID %d: may not read its executable /proc/%d/exe: %s. Run as root or "
			"as a user who may read that file",
			p->pid, p->pid, strerror(error));
	if (t->exe_fd < 0)
		return gs__process_cannot_open(p, "read the executable of", error, err);
	if (fstat(t->exe_fd, &st) < 0)
		return gs__process_cannot_open(p, "read the executable of", errno, err);
	if (!S_ISREG(st.st_mode))
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "PID %d: its executable is not a regular file", p->pid);
	t->id.exe_dev = st.st_dev;
	t->id.exe_ino = st.st_ino;
	name_executable(p, &st);
	return 0;
}

static int check_machine(struct gs_process_target *p, struct gs_err *err)
{
	struct gs__elf_head head;
	uint8_t bytes[64];
	ssize_t n = pread(p->base.exe_fd, bytes, sizeof(bytes), 0);
	struct gs_cursor c = gs_cursor_make(bytes, n > 0 ? (uint64_t)n : 0, "its executable");
	int r = gs__elf_head(&c, &head, err);

	if (r < 0)
		return gs_fail_in(err, r, "PID %d", p->pid);
	if (!head.is_64)
		return gs_fail(
			err, -GS_E_UNSUPPORTED, 0,
			"PID %d runs a 32-bit program (ELF machine %u); gosonde reads 64-bit "
			"ones (amd64, arm64)",
			p->pid, head.machine);
	if (head.arch == GS_ARCH_UNKNOWN)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "PID %d runs a program for ELF machine %u; gosonde reads amd64 and "
			       "arm64",
			       p->pid, head.machine);
	p->base.arch = head.arch;
	return 0;
}

/* ---- time ---- */

static bool same_time_ns(const struct gs_process_target *p)
{
	char a[64], b[64];
	ssize_t n = readlinkat(p->proc_fd, "ns/time", a, sizeof(a));
	ssize_t m = readlinkat(AT_FDCWD, "/proc/self/ns/time", b, sizeof(b));

	// No such file: a kernel without time namespaces (before 5.6).
	return n < 0 || m < 0 || (n == m && memcmp(a, b, (size_t)n) == 0);
}

/* "monotonic   -86400   0": seconds and nanoseconds, the latter never negative. */
static int64_t monotonic_offset(int dir_fd, const char *name)
{
	GS_CLEANUP(gs_freep) char *text = NULL;
	const char *line;
	long long s, ns;
	size_t len;
	int64_t r;

	if (gs__slurp(dir_fd, name, 1 << 16, &text, &len) < 0)
		return 0;
	line = strstr(text, "monotonic");
	if (!line || sscanf(line + 9, "%lld %lld", &s, &ns) != 2 ||
	    __builtin_mul_overflow((int64_t)s, 1000000000, &r) ||
	    __builtin_add_overflow(r, (int64_t)ns, &r))
		return 0;
	return r;
}

/*
 * The file shows the offsets of the namespace that children will be in. That is the process's own,
 * except in one that called unshare(CLONE_NEWTIME) for its children; the shortcut for equal
 * namespaces gets the common one of those right too (an "unshare -T" that stayed behind).
 */
static int64_t clock_offset(const struct gs_process_target *p)
{
	if (same_time_ns(p))
		return 0;
	return monotonic_offset(p->proc_fd, "timens_offsets") -
	       monotonic_offset(AT_FDCWD, "/proc/self/timens_offsets");
}

static struct gs_process_target *process_new(pid_t pid)
{
	struct gs_process_target *p = (struct gs_process_target *)gs_array_new(1, sizeof(*p));

	if (!p)
		return NULL;
	p->base.ops = &gs__process_ops;
	p->base.kind = GS_TARGET_PROCESS;
	p->base.memory = (struct gs_memory){ .readv = gs__process_readv, .ctx = p };
	p->base.id.pid = pid;
	p->base.exe_fd = -1;
	p->pid = pid;
	p->proc_fd = p->pid_fd = p->mem_fd = -1;
	return p;
}

int gs_target_open_pid(pid_t pid, struct gs_target **ret, struct gs_err *err)
{
	struct gs_process_target *p = process_new(pid);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = p ? &p->base : NULL;
	char name[64];
	int r;

	if (!p)
		return gs_fail(err, -ENOMEM, 0, "PID %d: no memory", pid);
	r = open_handles(p, err);
	if (r == 0)
		r = open_memory(p, err);
	if (r == 0)
		r = open_executable(p, err);
	if (r == 0)
		r = check_machine(p, err);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "executable of PID %d", pid);
	r = gs_image_open_fd(t->exe_fd, name, &t->image, err);
	if (r == 0)
		r = gs__find_bias(t, err);
	if (r == 0)
		r = gs_target_alive(t, err); // it was one program from the first to the last step
	if (r < 0)
		return r;
	p->clock_offset_ns = clock_offset(p);
	*ret = GS_TAKE(t);
	return 0;
}
