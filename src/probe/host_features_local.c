/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Attempts that need no BPF: capabilities, settings of the kernel, and reading and stopping a child
 * process of our own. The child holds known bytes and waits on a pipe that closes when we end, so it
 * cannot outlive us.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "probe/host_features_internal.h"

/* linux/prctl.h of 5.17; Debian 12 has it, older build machines may not. */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

bool gs__feature_parse_caps(const char *status, uint64_t *ret)
{
	const char *at = strstr(status, "\nCapEff:");
	char *end;

	if (!at)
		return false;
	errno = 0;
	*ret = strtoull(at + 8, &end, 16);
	return errno == 0 && end != at + 8 && *end == '\n';
}

static void try_cap(unsigned int cap, struct gs_feature_result *ret)
{
	GS_CLEANUP(gs_closep) int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	char text[8192];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	uint64_t caps;

	if (n >= 0)
		text[n] = '\0';
	if (n < 0 || !gs__feature_parse_caps(text, &caps))
		gs__feature_set(ret, GS_FEATURE_UNKNOWN, "/proc/self/status cannot be read");
	else
		gs__feature_set(ret, caps >> cap & 1 ? GS_FEATURE_YES : GS_FEATURE_NO, "%s", "");
}

void gs__try_cap_sys_ptrace(struct gs_features *fs, struct gs_feature_result *ret)
{
	try_cap(CAP_SYS_PTRACE, ret);
}

void gs__try_cap_bpf(struct gs_features *fs, struct gs_feature_result *ret)
{
	try_cap(CAP_BPF, ret);
}

void gs__try_cap_perfmon(struct gs_features *fs, struct gs_feature_result *ret)
{
	try_cap(CAP_PERFMON, ret);
}

void gs__try_cap_sys_admin(struct gs_features *fs, struct gs_feature_result *ret)
{
	try_cap(CAP_SYS_ADMIN, ret);
}

void gs__try_cap_dac_read_search(struct gs_features *fs, struct gs_feature_result *ret)
{
	try_cap(CAP_DAC_READ_SEARCH, ret);
}

/* The initial namespace maps all ids onto themselves (user_namespaces(7)). */
void gs__try_user_namespace(struct gs_features *fs, struct gs_feature_result *ret)
{
	unsigned long inside, outside, count;
	char line[128];

	if (gs__feature_read("/proc/self/uid_map", line, sizeof(line)) < 0)
		gs__feature_set(ret, GS_FEATURE_YES, "kernel without user namespaces");
	else if (sscanf(line, "%lu %lu %lu", &inside, &outside, &count) == 3 && inside == 0 &&
		 outside == 0 && count == 4294967295ul)
		gs__feature_set(ret, GS_FEATURE_YES, "%s", "");
	else
		gs__feature_set(ret, GS_FEATURE_NO, "a child namespace, id map %s", line);
}

void gs__try_yama(struct gs_features *fs, struct gs_feature_result *ret)
{
	bool ptrace = gs_feature_has(fs, GS_FEATURE_CAP_SYS_PTRACE);
	char line[32];
	int scope, r = gs__feature_read("/proc/sys/kernel/yama/ptrace_scope", line, sizeof(line));

	if (r < 0) {
		gs__feature_set(ret, GS_FEATURE_YES, "kernel without Yama");
		return;
	}
	scope = atoi(line);
	gs__feature_set(ret, scope == 0 || (scope < 3 && ptrace) ? GS_FEATURE_YES : GS_FEATURE_NO,
			"ptrace_scope %d%s", scope,
			scope > 0 && scope < 3 && ptrace ? ", overruled by CAP_SYS_PTRACE" : "");
}

/* The file says "[none] integrity confidentiality", the brackets around the mode in force. */
void gs__try_lockdown(struct gs_features *fs, struct gs_feature_result *ret)
{
	char line[128], *mode, *end;
	int r = gs__feature_read("/sys/kernel/security/lockdown", line, sizeof(line));

	mode = r < 0 ? NULL : strchr(line, '[');
	end = mode ? strchr(mode, ']') : NULL;
	if (r == -ENOENT) {
		gs__feature_set(ret, GS_FEATURE_YES, "not there, or securityfs not mounted");
	} else if (!end) {
		gs__feature_set(ret, GS_FEATURE_UNKNOWN, "%s", r < 0 ? strerror(-r) : line);
	} else {
		*end = '\0';
		gs__feature_set(ret,
				strcmp(mode + 1, "confidentiality") == 0 ? GS_FEATURE_NO
									 : GS_FEATURE_YES,
				"%s", mode + 1);
	}
}

void gs__try_unprivileged_bpf(struct gs_features *fs, struct gs_feature_result *ret)
{
	char line[32];
	int r = gs__feature_read("/proc/sys/kernel/unprivileged_bpf_disabled", line, sizeof(line));

	if (r < 0)
		gs__feature_set(ret, GS_FEATURE_UNKNOWN, "%s", strerror(-r));
	else if (strcmp(line, "0") == 0 || gs_feature_has(fs, GS_FEATURE_CAP_BPF))
		gs__feature_set(ret, GS_FEATURE_YES, "unprivileged_bpf_disabled %s", line);
	else
		gs__feature_set(ret, GS_FEATURE_NO, "unprivileged_bpf_disabled %s", line);
}

/* Level 3 is a patch of Debian and Android: perf_event_open() then asks for CAP_SYS_ADMIN. */
void gs__try_perf_paranoid(struct gs_features *fs, struct gs_feature_result *ret)
{
	char line[32];
	int level, r = gs__feature_read("/proc/sys/kernel/perf_event_paranoid", line, sizeof(line));
	bool allowed;

	if (r < 0) {
		gs__feature_set(ret, GS_FEATURE_NO, "kernel without perf events");
		return;
	}
	level = atoi(line);
	allowed = level <= 0 || gs_feature_has(fs, GS_FEATURE_CAP_SYS_ADMIN) ||
		  (level < 3 && gs_feature_has(fs, GS_FEATURE_CAP_PERFMON));
	gs__feature_set(ret, allowed ? GS_FEATURE_YES : GS_FEATURE_NO, "perf_event_paranoid %d",
			level);
}

void gs__try_core_pattern(struct gs_features *fs, struct gs_feature_result *ret)
{
	struct rlimit limit;
	char line[256];
	int r = gs__feature_read("/proc/sys/kernel/core_pattern", line, sizeof(line));

	if (r < 0)
		gs__feature_set(ret, GS_FEATURE_UNKNOWN, "%s", strerror(-r));
	else if (!line[0])
		gs__feature_set(ret, GS_FEATURE_NO, "core_pattern is empty");
	else if (line[0] != '|' && getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0)
		gs__feature_set(ret, GS_FEATURE_NO, "ulimit -c is 0; core_pattern %s", line);
	else
		gs__feature_set(ret, GS_FEATURE_YES, "core_pattern %s", line);
}

/* A copy of ourselves that waits; @secret lies at the same address in both. */
struct child {
	pid_t pid;
	int pipe; /* closing it ends the child */
};

static int child_start(struct child *ret)
{
	int fds[2];
	char byte;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	ret->pid = fork();
	if (ret->pid == 0) {
		close(fds[1]);
		(void)(read(fds[0], &byte, 1) < 0); // ends when the parent closes or dies
		_exit(0);
	}
	close(fds[0]);
	ret->pipe = fds[1];
	if (ret->pid < 0) {
		int e = errno;

		close(fds[1]);
		return -e;
	}
	return 0;
}

static void child_end(struct child *c)
{
	close(c->pipe);
	while (waitpid(c->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

/* volatile: the compiler must not know that the child's copy is equal. */
static volatile const uint64_t secret = 0x676f736f6e646521;

static int read_by_vm_readv(pid_t pid, uint64_t *ret)
{
	struct iovec local = { ret, sizeof(*ret) };
	struct iovec remote = { (void *)(uintptr_t)&secret, sizeof(secret) };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == sizeof(*ret) ? 0 : -errno;
}

static int read_by_proc_mem(pid_t pid, uint64_t *ret)
{
	GS_CLEANUP(gs_closep) int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return pread(fd, ret, sizeof(*ret), (off_t)(uintptr_t)&secret) == sizeof(*ret) ? 0 : -errno;
}

static void try_read(int (*reader)(pid_t pid, uint64_t *ret), struct gs_feature_result *ret)
{
	struct child c;
	uint64_t got = 0;
	int r = child_start(&c);

	if (r < 0) {
		gs__feature_set(ret, GS_FEATURE_UNKNOWN, "cannot start a child: %s", strerror(-r));
		return;
	}
	r = reader(c.pid, &got);
	child_end(&c);
	if (r == 0 && got != secret)
		r = -EIO;
	gs__feature_errno(ret, -r);
	if (r == 0)
		gs__feature_set(ret, GS_FEATURE_YES, "read from a child process");
}

void gs__try_vm_readv(struct gs_features *fs, struct gs_feature_result *ret)
{
	try_read(read_by_vm_readv, ret);
}

void gs__try_proc_mem(struct gs_features *fs, struct gs_feature_result *ret)
{
	try_read(read_by_proc_mem, ret);
}

static int stop_and_release(pid_t pid)
{
	int status, e = 0;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return errno;
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) < 0)
		e = errno;
	else if (!WIFSTOPPED(status))
		e = ECHILD;
	if (ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0 && e == 0)
		e = errno;
	return e;
}

void gs__try_ptrace(struct gs_features *fs, struct gs_feature_result *ret)
{
	struct child c;
	int e, r = child_start(&c);

	if (r < 0) {
		gs__feature_set(ret, GS_FEATURE_UNKNOWN, "cannot start a child: %s", strerror(-r));
		return;
	}
	e = stop_and_release(c.pid);
	child_end(&c);
	gs__feature_errno(ret, e);
	if (e == 0)
		gs__feature_set(ret, GS_FEATURE_YES, "stopped and released a child process");
}

void gs__try_anon_vma_name(struct gs_features *fs, struct gs_feature_result *ret)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int e = 0;

	if (page == MAP_FAILED) {
		gs__feature_set(ret, GS_FEATURE_UNKNOWN, "%s", strerror(errno));
		return;
	}
	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, page, 4096, "gosonde") < 0)
		e = errno;
	munmap(page, 4096);
	gs__feature_errno(ret, e);
	if (e == EINVAL)
		gs__feature_set(ret, GS_FEATURE_NO, "kernel without CONFIG_ANON_VMA_NAME");
}

/*
 * Commit cfa7f3d2c526 (mainline 6.12, stable 6.11.3, 6.6.55, 6.1.113) brought the race, b583ef82b671
 * (6.13, stable 6.12.19 and the rounds of 6.6 and 6.1 of March 2025) took it away. The last bad
 * releases of 6.1 and 6.6 are taken on the safe side.
 */
bool gs__feature_sampling_race(const char *release, const char *version)
{
	static const struct {
		unsigned int major, minor, first, last;
	} bad[] = { { 6, 1, 113, 130 }, { 6, 6, 55, 82 }, { 6, 11, 3, 99 }, { 6, 12, 0, 18 } };
	const char *debian = strstr(version, "Debian ");
	unsigned int a, b, c = 0;

	/* Debian's release is the ABI's name ("6.1.0-56"), the kernel's number is in the version. */
	if (sscanf(debian ? debian + 7 : release, "%u.%u.%u", &a, &b, &c) < 2)
		return false;
	for (size_t i = 0; i < GS_ARRAY_SIZE(bad); i++) {
		if (a == bad[i].major && b == bad[i].minor && c >= bad[i].first && c <= bad[i].last)
			return true;
	}
	return false;
}

/* The one question that cannot be tried: a failed attempt is a crash of the machine. */
void gs__try_sampling_safe(struct gs_features *fs, struct gs_feature_result *ret)
{
	struct utsname u;

	if (uname(&u) < 0)
		gs__feature_set(ret, GS_FEATURE_UNKNOWN, "%s", strerror(errno));
	else if (gs__feature_sampling_race(u.release, u.version))
		gs__feature_set(ret, GS_FEATURE_NO, "kernel %s", u.release);
	else
		gs__feature_set(ret, GS_FEATURE_YES, "%s", "");
}
