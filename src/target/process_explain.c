/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Why the kernel refuses to let us read a process, in words that lead to a remedy. Its rule
 * (kernel/ptrace.c, __ptrace_may_access, and the Yama module) in short:
 *
 *   1. all uids and gids of the target equal ours, or CAP_SYS_PTRACE in the target's user namespace
 *   2. the target is dumpable (not set-user-ID, not prctl(PR_SET_DUMPABLE, 0)), or CAP_SYS_PTRACE
 *   3. the target's capabilities are a subset of ours (and it lives in our user namespace or below
 *      it), or CAP_SYS_PTRACE
 *   4. Yama: ptrace_scope 1 only descendants, 2 only CAP_SYS_PTRACE, 3 nobody
 *   5. other security modules (SELinux, AppArmor), seccomp filters of a container
 *
 * Everything asked for here is readable by everybody; the answer only goes into a message.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "target/process_private.h"

#define CAP_DAC_READ_SEARCH_BIT 2 /* linux/capability.h */
#define CAP_SYS_PTRACE_BIT 19

struct who {
	bool known;
	char name[32];
	uint32_t uid[3], gid[3]; /* real, effective, saved */
	int32_t tracer;
	uint64_t permitted, effective;
};

static void read_ids(const char *p, uint32_t ids[3])
{
	char *end;

	for (int i = 0; i < 3; i++, p = end)
		ids[i] = (uint32_t)strtoul(p, &end, 10);
}

static void read_line(const char *line, struct who *w)
{
	if (strncmp(line, "Name:\t", 6) == 0)
		snprintf(w->name, sizeof(w->name), "%.*s", (int)strcspn(line + 6, "\n"), line + 6);
	else if (strncmp(line, "Uid:", 4) == 0)
		read_ids(line + 4, w->uid);
	else if (strncmp(line, "Gid:", 4) == 0)
		read_ids(line + 4, w->gid);
	else if (strncmp(line, "TracerPid:", 10) == 0)
		w->tracer = (int32_t)strtol(line + 10, NULL, 10);
	else if (strncmp(line, "CapPrm:", 7) == 0)
		w->permitted = strtoull(line + 7, NULL, 16);
	else if (strncmp(line, "CapEff:", 7) == 0)
		w->effective = strtoull(line + 7, NULL, 16);
}

/* @name: a PID or "self". */
static void look_at(const char *name, struct who *w)
{
	GS_CLEANUP(gs_freep) char *text = NULL;
	char path[64];
	size_t len;

	memset(w, 0, sizeof(*w));
	snprintf(path, sizeof(path), "/proc/%s/status", name);
	if (gs__slurp(AT_FDCWD, path, 1 << 20, &text, &len) < 0)
		return;
	w->known = true;
	for (const char *p = text; p && *p; p = strchr(p, '\n')) {
		p += *p == '\n';
		read_line(p, w);
	}
}

static void user_name(uint32_t uid, char *dst, size_t size)
{
	char buf[4096];
	struct passwd pw, *found = NULL;

	if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) == 0 && found)
		snprintf(dst, size, "user %s, uid %" PRIu32, pw.pw_name, uid);
	else
		snprintf(dst, size, "uid %" PRIu32, uid);
}

/* "PID 4711 (user app, uid 1001)" */
static void describe_process(pid_t pid, char *dst, size_t size)
{
	char name[16], user[64];
	struct who w;

	snprintf(name, sizeof(name), "%d", pid);
	look_at(name, &w);
	if (!w.known) {
		snprintf(dst, size, "PID %d", pid);
		return;
	}
	user_name(w.uid[0], user, sizeof(user));
	snprintf(dst, size, "PID %d (%s)", pid, user);
}

/* kernel.yama.ptrace_scope, -1 where there is no Yama. */
static int yama_scope(void)
{
	GS_CLEANUP(gs_freep) char *text = NULL;
	size_t len;

	if (gs__slurp(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", 64, &text, &len) < 0)
		return -1;
	return (int)strtol(text, NULL, 10);
}

/* Files below /proc/PID belong to root instead of the process's user when it is not dumpable. */
static bool not_dumpable(pid_t pid, const struct who *w)
{
	char path[48];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	return w->uid[1] != 0 && stat(path, &st) == 0 && st.st_uid != w->uid[1];
}

static bool same_user(const struct who *me, const struct who *w)
{
	for (int i = 0; i < 3; i++) {
		if (w->uid[i] != me->uid[1] || w->gid[i] != me->gid[1])
			return false;
	}
	return true;
}

static const char *reason(pid_t pid, const struct who *me, const struct who *w, int scope)
{
	if (me->effective >> CAP_SYS_PTRACE_BIT & 1 && !same_user(me, w) &&
	    !(me->effective >> CAP_DAC_READ_SEARCH_BIT & 1))
		return "CAP_SYS_PTRACE is there, but the files below /proc belong to its user, "
		       "which "
		       "takes CAP_DAC_READ_SEARCH too";
	if (me->effective >> CAP_SYS_PTRACE_BIT & 1)
		return "although gosonde has CAP_SYS_PTRACE here: the process belongs to another "
		       "user "
		       "namespace, or a security module or seccomp filter forbids it";
	if (scope == 3)
		return "kernel.yama.ptrace_scope is 3, which forbids it to everybody until reboot";
	if (!same_user(me, w))
		return "the kernel allows that to the same user or with CAP_SYS_PTRACE";
	if (not_dumpable(pid, w))
		return "it is not dumpable (set-user-ID, file capabilities or prctl), which takes "
		       "CAP_SYS_PTRACE";
	if (w->permitted & ~me->permitted)
		return "it has capabilities that gosonde lacks, which takes CAP_SYS_PTRACE";
	if (scope == 2)
		return "kernel.yama.ptrace_scope is 2, which takes CAP_SYS_PTRACE";
	if (scope == 1)
		return "kernel.yama.ptrace_scope is 1, which allows it to ancestors or with "
		       "CAP_SYS_PTRACE";
	return "a security module or seccomp filter forbids it, or it is in another user namespace";
}

static const char *remedy(const struct who *me, const struct who *w, int scope)
{
	if (me->effective >> CAP_SYS_PTRACE_BIT & 1 && !same_user(me, w) &&
	    !(me->effective >> CAP_DAC_READ_SEARCH_BIT & 1))
		return "Run as root, or: sudo setcap cap_sys_ptrace,cap_dac_read_search+ep "
		       "$(command "
		       "-v gosonde)";
	if (me->effective >> CAP_SYS_PTRACE_BIT & 1)
		return "Run gosonde in the same container or on the host, and look at the audit "
		       "log";
	if (scope == 3)
		return "Nothing helps but a reboot with another setting";
	if (scope == 1 && same_user(me, w))
		return "Run as root, or: sudo setcap cap_sys_ptrace+ep $(command -v gosonde), or: "
		       "sudo sysctl kernel.yama.ptrace_scope=0";
	return "Run as root, or: sudo setcap cap_sys_ptrace+ep $(command -v gosonde)";
}

int gs__explain_refusal(pid_t pid, const char *what, struct gs_err *err)
{
	char name[16], whom[96], yama[64] = "";
	int scope = yama_scope();
	struct who me, w;

	if (!err)
		return -GS_E_PERMISSION;
	describe_process(pid, whom, sizeof(whom));
	snprintf(name, sizeof(name), "%d", pid);
	look_at(name, &w);
	look_at("self", &me);
	// The second obstacle after "another user": worth saying in one go.
	if ((scope == 1 || scope == 2) && !same_user(&me, &w))
		snprintf(yama, sizeof(yama), ", and kernel.yama.ptrace_scope is %d", scope);
	return gs_fail(err, -GS_E_PERMISSION, 0, "cannot %s %s: %s%s. %s", what, whom,
		       reason(pid, &me, &w, scope), yama, remedy(&me, &w, scope));
}
