/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Attaching. Every attachment is one descriptor, and closing it is the only way to detach, so that the end of
 * gosonde, however it comes, ends them all.
 *
 *   uprobes       one uprobe_multi link per program and group (Linux 6.6), else per site a perf event of the
 *                 uprobe PMU with a BPF link on it that carries the cookie (Linux 5.15)
 *   tracepoints   BPF_RAW_TRACEPOINT_OPEN; the program knows its tracepoint
 *   perf events   one per CPU that is online, with a BPF link (5.15) or PERF_EVENT_IOC_SET_BPF
 *
 * The executable is named as /proc/self/fd/N, sites by offset: libbpf never opens the target's file, and the file
 * cannot be swapped between check and use. What touches the target, the uprobes, comes last, when nothing else
 * can fail any more. While attaching the programs are told to do nothing (gs_control.stopped), so that all of them
 * begin at one moment.
 *
 * Detaching waits for grace periods of RCU in the kernel (uprobe_unregister_sync, tracepoint_synchronize_
 * unregister), some 40 ms each, whatever is detached. Those of several threads go on at the same time, so
 * descriptors are closed by as many threads: 35 of them, links of uprobes and tracepoints, in 70 to 90 ms
 * (Linux 6.18; one after the other it would be a second). Uprobes behind perf events cannot gain from that: the
 * kernel removes them one at a time (perf_uprobe_destroy holds event_mutex while it waits), 50 to 100 ms each on
 * 6.1 to 6.18. Until its turn comes a probe costs a trap, so the plan's order, most hit first, is kept.
 *
 * Headers of Debian 12 do not know uprobe_multi; its part of the uapi is declared here (include/uapi/linux/bpf.h).
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "probe/host_features_internal.h"
#include "probe/session_private.h"

#define ATTACH_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI, Linux 6.6 */
#define CLOSERS_MAX 24

/* The part of union bpf_attr that BPF_LINK_CREATE reads for uprobe_multi. */
struct uprobe_multi_attr {
	__u32 prog_fd, target_fd, attach_type, flags;
	__aligned_u64 path, offsets, ref_ctr_offsets, cookies;
	__u32 cnt, multi_flags, pid, pad;
};

static uint64_t as_u64(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* --- detaching ---------------------------------------------------------------------------------- */

struct closers {
	int *fds;
	uint32_t n;
	uint32_t next;
};

static void *close_some(void *arg)
{
	struct closers *c = arg;
	uint32_t i;

	while ((i = __atomic_fetch_add(&c->next, 1, __ATOMIC_RELAXED)) < c->n)
		close(c->fds[i]);
	return NULL;
}

void gs__close_all(int *fds, uint32_t n)
{
	struct closers c = { .fds = fds, .n = n };
	pthread_t thread[CLOSERS_MAX];
	pthread_attr_t attr;
	sigset_t all, old;
	uint32_t n_threads = 0;

	if (n > 1 && pthread_attr_init(&attr) == 0) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old); // signals are for the caller's thread
		(void)pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN * 2); // else: default
		while (n_threads < CLOSERS_MAX && n_threads < n - 1 &&
		       pthread_create(&thread[n_threads], &attr, close_some, &c) == 0)
			n_threads++;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		pthread_attr_destroy(&attr);
	}
	close_some(&c);
	for (uint32_t i = 0; i < n_threads; i++)
		pthread_join(thread[i], NULL);
}

void gs__session_detach_if(struct gs_probe_session *s, enum gs_probe_group group)
{
	GS_CLEANUP(gs_freep) int *fds = calloc(s->n_attached + 1, sizeof(int));
	uint32_t n = 0, kept = 0;

	for (uint32_t i = 0; i < s->n_attached; i++) {
		if (group != 0 && s->attached[i].group != group)
			s->attached[kept++] = s->attached[i];
		else if (fds)
			fds[n++] = s->attached[i].fd;
		else
			close(s->attached[i].fd); // out of memory: one after the other
	}
	s->n_attached = kept;
	if (n > 0)
		gs__close_all(fds, n);
}

/* --- one attachment ----------------------------------------------------------------------------- */

/* Takes over @fd, also when it fails. */
static int keep(struct gs_probe_session *s, int fd, enum gs_probe_program program,
		enum gs_probe_group group)
{
	if (s->n_attached == s->cap_attached) {
		uint32_t cap = s->cap_attached ? s->cap_attached * 2 : 64;
		struct gs__attached *p = reallocarray(s->attached, cap, sizeof(*p));

		if (!p) {
			close(fd);
			return -ENOMEM;
		}
		s->attached = p;
		s->cap_attached = cap;
	}
	s->attached[s->n_attached++] =
		(struct gs__attached){ fd, (uint8_t)group, (uint8_t)program };
	return 0;
}

static int perf_open(struct perf_event_attr *attr, pid_t pid, int cpu)
{
	int r = (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return r < 0 ? -errno : r;
}

/* Put a program on a perf event; takes over @event. @return the descriptor that holds both, or a negative errno. */
static int perf_link(int prog, int event, uint64_t cookie)
{
	LIBBPF_OPTS(bpf_link_create_opts, o, .perf_event.bpf_cookie = cookie);
	int r = bpf_link_create(prog, event, BPF_PERF_EVENT, &o);

	if (r >= 0) {
		close(event); // the link holds it
		return r;
	}
	if (cookie == 0 && r == -EINVAL && ioctl(event, PERF_EVENT_IOC_SET_BPF, prog) == 0)
		return event; // Linux before 5.15
	close(event);
	return r;
}

/* Descriptor of the file that a site is in. */
static int file_of(const struct gs_probe_session *s, uint32_t library)
{
	return library ? s->o.lib_fd[library - 1] : s->o.exe_fd;
}

static int attach_multi(struct gs_probe_session *s, enum gs_probe_program program,
			enum gs_probe_group group, uint32_t library)
{
	uint64_t offsets[GS_PLAN_SITES_MAX], cookies[GS_PLAN_SITES_MAX];
	struct uprobe_multi_attr attr = { .prog_fd = (__u32)s->prog_fd[program],
					  .attach_type = ATTACH_UPROBE_MULTI,
					  .pid = (__u32)s->o.pid };
	char path[32];
	int fd;

	for (uint32_t i = 0; i < s->plan->n_sites; i++) {
		const struct gs_probe_site *site = &s->plan->site[i];

		if (site->program != program || site->group != group || site->lib != library)
			continue;
		offsets[attr.cnt] = site->file_offset;
		cookies[attr.cnt++] = i | (uint64_t)site->arg << 16;
	}
	if (attr.cnt == 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file_of(s, library));
	attr.path = as_u64(path);
	attr.offsets = as_u64(offsets);
	attr.cookies = as_u64(cookies);
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : keep(s, fd, program, group);
}

static int attach_perf_uprobe(struct gs_probe_session *s, uint32_t index, unsigned int pmu)
{
	const struct gs_probe_site *site = &s->plan->site[index];
	struct perf_event_attr attr = { .size = sizeof(attr), .type = pmu };
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file_of(s, site->lib));
	attr.config1 = as_u64(path);
	attr.config2 = site->file_offset;
	/* The task names the process: programs run for all of its threads (kernel/trace/trace_uprobe.c,
	 * uprobe_perf_filter compares the mm). */
	fd = perf_open(&attr, s->o.pid, -1);
	if (fd < 0)
		return fd;
	fd = perf_link(s->prog_fd[site->program], fd, index | (uint64_t)site->arg << 16);
	return fd < 0 ? fd : keep(s, fd, site->program, site->group);
}

static int attach_tracepoint(struct gs_probe_session *s, enum gs_probe_program program,
			     enum gs_probe_group group)
{
	int fd = bpf_raw_tracepoint_open(NULL, s->prog_fd[program]);

	return fd < 0 ? fd : keep(s, fd, program, group);
}

/* One event on each CPU. CPUs that come later are not seen. */
static int attach_cpus(struct gs_probe_session *s, unsigned int program, enum gs_probe_group group,
		       struct perf_event_attr *attr)
{
	unsigned int n = 0;

	for (unsigned int cpu = 0; cpu < s->n_cpus; cpu++) {
		int fd = perf_open(attr, -1, (int)cpu), r;

		if (fd == -ENODEV)
			continue; // possible, but not online
		if (fd < 0)
			return fd;
		fd = perf_link(s->prog_fd[program], fd, 0);
		if (fd < 0)
			return fd;
		r = keep(s, fd, gs__program_site(program), group);
		if (r < 0)
			return r;
		n++;
	}
	return n > 0 ? 0 : -ENODEV;
}

/* --- what the plan lists ------------------------------------------------------------------------ */

static int attach_kernel_program(struct gs_probe_session *s, const struct gs_probe_site *site)
{
	struct perf_event_attr attr = { .size = sizeof(attr), .type = PERF_TYPE_SOFTWARE };
	int r;

	switch (site->program) {
	case GS_PROG_FAULT_END:
		attr.sample_period = 1;
		attr.config = PERF_COUNT_SW_PAGE_FAULTS_MIN;
		r = attach_cpus(s, GS_PROG_FAULT_END, site->group, &attr);
		if (r < 0)
			return r;
		attr.config = PERF_COUNT_SW_PAGE_FAULTS_MAJ;
		return attach_cpus(s, GS__PROG_FAULT_MAJOR, site->group, &attr);
	case GS_PROG_FAULT_SAMPLE:
		attr.config = PERF_COUNT_SW_PAGE_FAULTS;
		attr.sample_period = s->plan->config.fault_period;
		return attach_cpus(s, GS_PROG_FAULT_SAMPLE, site->group, &attr);
	case GS_PROG_SAMPLE:
		attr.config = PERF_COUNT_SW_CPU_CLOCK;
		attr.sample_period = s->plan->config.sample_period_ns;
		return attach_cpus(s, GS_PROG_SAMPLE, site->group, &attr);
	default:
		return attach_tracepoint(s, site->program, site->group);
	}
}

/* Detach the unit of @program again. */
static void detach_unit(struct gs_probe_session *s, enum gs_probe_program program)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->n_attached; i++) {
		if (gs__program_unit(s->attached[i].program) == gs__program_unit(program))
			close(s->attached[i].fd);
		else
			s->attached[kept++] = s->attached[i];
	}
	s->n_attached = kept;
}

static const char *remedy_of(enum gs_probe_program program)
{
	return gs_feature_info(program == GS_PROG_SAMPLE || program == GS_PROG_FAULT_END ||
					       program == GS_PROG_FAULT_SAMPLE
				       ? GS_FEATURE_PERF_CLOCK
				       : GS_FEATURE_BPF_TRACEPOINT)
		->remedy;
}

static int attach_kernel_programs(struct gs_probe_session *s, struct gs_features *features,
				  struct gs_err *err)
{
	for (uint32_t i = 0; i < s->plan->n_sites; i++) {
		const struct gs_probe_site *site = &s->plan->site[i];
		int r;

		if (site->program < GS_PROG_UPROBES || !gs__session_wants(s, site->program))
			continue;
		if (site->program == GS_PROG_SAMPLE &&
		    !gs_feature_has(features, GS_FEATURE_SAMPLING_SAFE)) {
			const struct gs_feature_info *info =
				gs_feature_info(GS_FEATURE_SAMPLING_SAFE);

			if (gs__session_needs(s, site->program))
				return gs_fail(err, -GS_E_UNSUPPORTED, 0, "sampling: %s. %s",
					       info->costs, info->remedy);
			gs__session_refuse(s, site->program, "%s", info->costs);
			continue;
		}
		r = attach_kernel_program(s, site);
		if (r == 0)
			continue;
		if (gs__session_needs(s, site->program))
			return gs_fail(err,
				       r == -EPERM || r == -EACCES ? -GS_E_PERMISSION
								   : -GS_E_UNSUPPORTED,
				       0, "%s cannot be watched: %s. What helps: %s",
				       site->function, strerror(-r), remedy_of(site->program));
		detach_unit(s, site->program);
		gs__session_refuse(s, site->program, "%s; what helps: %s", strerror(-r),
				   remedy_of(site->program));
	}
	return 0;
}

static int uprobe_failed(const struct gs_probe_session *s, int r, const char *function,
			 struct gs_err *err)
{
	const struct gs_feature_info *info =
		gs_feature_info(s->multi ? GS_FEATURE_UPROBE_MULTI : GS_FEATURE_UPROBE_PERF);

	if (r == -ESRCH)
		return gs_fail(err, -GS_E_GONE, 0, "process %d has exited", s->o.pid);
	if (r == -EPERM || r == -EACCES)
		return gs_fail(err, -GS_E_PERMISSION, 0,
			       "%s cannot be probed (%s): %s. It needs %s", function, info->title,
			       strerror(-r), info->remedy);
	if (r == -EMFILE || r == -ENFILE)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "%s cannot be probed (%s): %s. Raise the limit (ulimit -n)",
			       function, info->title, strerror(-r));
	return gs_fail(err, -GS_E_UNSUPPORTED, 0,
		       "%s cannot be probed (%s): %s. Nothing was left attached", function,
		       info->title, strerror(-r));
}

static const char *first_function(const struct gs_probe_plan *plan, enum gs_probe_program program)
{
	for (uint32_t i = 0; i < plan->n_sites; i++)
		if (plan->site[i].program == program)
			return plan->site[i].function;
	return "?";
}

static int attach_multis(struct gs_probe_session *s, struct gs_err *err)
{
	for (unsigned int p = 0; p < GS_PROG_DLOPEN; p++) {
		for (unsigned int g = 0; g < GS_GROUP_COUNT; g++) {
			int r = attach_multi(s, p, g, 0);

			if (r < 0)
				return uprobe_failed(s, r, first_function(s->plan, p), err);
		}
	}
	return 0;
}

/* In C libraries: the answer is less without, but it is one. */
static void attach_libraries(struct gs_probe_session *s, unsigned int pmu)
{
	for (uint32_t i = 0; i < s->plan->n_sites; i++) {
		const struct gs_probe_site *site = &s->plan->site[i];
		int r;

		if (!site->lib || !gs__session_wants(s, site->program))
			continue;
		r = s->multi ? attach_multi(s, site->program, site->group, site->lib)
			     : attach_perf_uprobe(s, i, pmu);
		if (r == 0)
			continue;
		detach_unit(s, site->program);
		gs__session_refuse(s, site->program, "loading of libraries not seen: %s",
				   strerror(-r));
	}
}

static int attach_perf_uprobes(struct gs_probe_session *s, struct gs_err *err)
{
	char line[32];
	int r = gs__feature_read("/sys/bus/event_source/devices/uprobe/type", line, sizeof(line));

	if (r < 0)
		return gs_fail(
			err, -GS_E_UNSUPPORTED, 0,
			"this kernel has neither uprobe_multi links nor the uprobe PMU: %s. %s",
			strerror(-r), "A kernel with CONFIG_UPROBES is needed");
	attach_libraries(s, (unsigned int)strtoul(line, NULL, 10));
	for (uint32_t i = 0; i < s->plan->n_sites; i++) {
		if (s->plan->site[i].program >= GS_PROG_UPROBES || s->plan->site[i].lib)
			continue;
		r = attach_perf_uprobe(s, i, (unsigned int)strtoul(line, NULL, 10));
		if (r < 0)
			return uprobe_failed(s, r, s->plan->site[i].function, err);
	}
	return 0;
}

static int check_executable(const struct gs_probe_session *s, struct gs_err *err)
{
	struct stat st;

	if (fstat(s->o.exe_fd, &st) < 0)
		return gs_fail(err, -errno, 0, "the executable of process %d: %s", s->o.pid,
			       strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_dev != s->o.exe_dev || st.st_ino != s->o.exe_ino)
		return gs_fail(
			err, -GS_E_GONE, 0,
			"the executable of process %d is not the file that was opened before. "
			"It was replaced; try again",
			s->o.pid);
	return 0;
}

int gs__session_attach(struct gs_probe_session *s, struct gs_features *features, struct gs_err *err)
{
	int r = check_executable(s, err);

	if (r == 0)
		r = attach_kernel_programs(s, features, err);
	if (r == 0 && s->multi)
		attach_libraries(s, 0);
	if (r == 0)
		r = s->multi ? attach_multis(s, err) : attach_perf_uprobes(s, err);
	return r;
}
