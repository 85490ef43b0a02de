/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The table of features: what each is called, what its absence costs and how to get it. The attempts
 * are in host_features_local.c (privileges, settings, reading memory) and host_features_bpf.c (BPF, perf).
 */
#include "probe/host_features.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "probe/host_features_internal.h"

#define SETCAP(cap) "run as root, or `setcap cap_" cap "+ep $(command -v gosonde)`"

static const struct {
	struct gs_feature_info info;
	gs__attempt *attempt;
} table[GS_FEATURE_COUNT] = {
	[GS_FEATURE_CAP_SYS_PTRACE] = { { "cap_sys_ptrace", "CAP_SYS_PTRACE", GS_FEATURE_PRIVILEGES,
					  "only processes of your own user can be read",
					  SETCAP("sys_ptrace") },
					gs__try_cap_sys_ptrace },
	[GS_FEATURE_CAP_BPF] = { { "cap_bpf", "CAP_BPF", GS_FEATURE_PRIVILEGES,
				   "no live events: the stream lens cannot be used",
				   SETCAP("bpf,cap_perfmon,cap_sys_ptrace") },
				 gs__try_cap_bpf },
	[GS_FEATURE_CAP_PERFMON] = { { "cap_perfmon", "CAP_PERFMON", GS_FEATURE_PRIVILEGES,
				       "no live events: tracing programs cannot be loaded",
				       SETCAP("bpf,cap_perfmon,cap_sys_ptrace") },
				     gs__try_cap_perfmon },
	[GS_FEATURE_CAP_SYS_ADMIN] = { { "cap_sys_admin", "CAP_SYS_ADMIN", GS_FEATURE_PRIVILEGES,
					 "uprobes only where the kernel has uprobe_multi links "
					 "(6.6 and later)",
					 "run as root; not needed where uprobe_multi works" },
				       gs__try_cap_sys_admin },
	[GS_FEATURE_CAP_DAC_READ_SEARCH] = { { "cap_dac_read_search", "CAP_DAC_READ_SEARCH",
					       GS_FEATURE_PRIVILEGES,
					       "executables that others may not read cannot be "
					       "opened by name",
					       SETCAP("dac_read_search") },
					     gs__try_cap_dac_read_search },
	[GS_FEATURE_USER_NAMESPACE] = { { "user_namespace", "initial user namespace",
					  GS_FEATURE_PRIVILEGES,
					  "capabilities count only for processes inside this "
					  "namespace; no BPF",
					  "run gosonde outside the container, or with --privileged "
					  "and --pid=host" },
					gs__try_user_namespace },
	[GS_FEATURE_YAMA] = { { "yama", "Yama lets you attach", GS_FEATURE_SETTINGS,
				"processes that gosonde did not start cannot be read without "
				"CAP_SYS_PTRACE",
				"sysctl kernel.yama.ptrace_scope=0, or give CAP_SYS_PTRACE (of no "
				"use at 3)" },
			      gs__try_yama },
	[GS_FEATURE_LOCKDOWN] = { { "lockdown", "no lockdown in the way", GS_FEATURE_SETTINGS,
				    "confidentiality mode forbids BPF and perf to read kernel "
				    "memory: no kernel stacks",
				    "boot with lockdown=integrity or none" },
				  gs__try_lockdown },
	[GS_FEATURE_UNPRIVILEGED_BPF] = { { "unprivileged_bpf", "BPF not switched off for you",
					    GS_FEATURE_SETTINGS,
					    "BPF needs CAP_BPF (which it needs for tracing anyway)",
					    "give CAP_BPF and CAP_PERFMON" },
					  gs__try_unprivileged_bpf },
	[GS_FEATURE_PERF_PARANOID] = { { "perf_paranoid", "perf events allowed",
					 GS_FEATURE_SETTINGS,
					 "no CPU profiles of whole machines without CAP_PERFMON "
					 "(level 3: CAP_SYS_ADMIN)",
					 "sysctl kernel.perf_event_paranoid=1, or give "
					 "CAP_PERFMON" },
				       gs__try_perf_paranoid },
	[GS_FEATURE_CORE_PATTERN] = { { "core_pattern", "crashes leave core files",
					GS_FEATURE_SETTINGS,
					"no core file to look into after a crash, unless gcore "
					"made it",
					"ulimit -c unlimited and sysctl "
					"kernel.core_pattern=/var/tmp/core.%e.%p; run the "
					"program with GOTRACEBACK=crash" },
				      gs__try_core_pattern },
	[GS_FEATURE_VM_READV] = { { "process_vm_readv", "read a process's memory",
				    GS_FEATURE_SNAPSHOT,
				    "dump, top and ps are slower (through /proc/PID/mem) or blind",
				    "allow process_vm_readv in the container's seccomp profile, or "
				    "--cap-add SYS_PTRACE" },
				  gs__try_vm_readv },
	[GS_FEATURE_PROC_MEM] = { { "proc_mem", "read /proc/PID/mem", GS_FEATURE_SNAPSHOT,
				    "no second way to read memory (other pid namespaces)",
				    "mount /proc without hidepid, give CAP_SYS_PTRACE" },
				  gs__try_proc_mem },
	[GS_FEATURE_PTRACE] = { { "ptrace", "stop a process with ptrace", GS_FEATURE_SNAPSHOT,
				  "dump --stop is not possible; dump without it is",
				  "allow ptrace in the container's seccomp profile, give "
				  "CAP_SYS_PTRACE" },
				gs__try_ptrace },
	[GS_FEATURE_ANON_VMA_NAME] = { { "anon_vma_name", "named anonymous memory",
					 GS_FEATURE_SNAPSHOT,
					 "mappings of the Go runtime are told apart by its own "
					 "tables only",
					 "a kernel with CONFIG_ANON_VMA_NAME" },
				       gs__try_anon_vma_name },
	[GS_FEATURE_BTF] = { { "btf", "kernel type information (BTF)", GS_FEATURE_STREAM,
			       "probes that read kernel structures cannot be adapted to this "
			       "kernel",
			       "a kernel with CONFIG_DEBUG_INFO_BTF (all current distributions)" },
			     gs__try_btf },
	[GS_FEATURE_BPF_RINGBUF] = { { "bpf_ringbuf", "BPF ring buffer", GS_FEATURE_STREAM,
				       "no live events: the stream lens cannot be used",
				       "kernel 5.8 or later and CAP_BPF" },
				     gs__try_ringbuf },
	[GS_FEATURE_BPF_KPROBE_PROGRAM] = { { "bpf_kprobe_program", "BPF programs for probes",
					      GS_FEATURE_STREAM,
					      "no live events: the stream lens cannot be used",
					      "CAP_BPF and CAP_PERFMON" },
					    gs__try_kprobe_program },
	[GS_FEATURE_UPROBE_MULTI] = { { "uprobe_multi", "uprobes through uprobe_multi links",
					GS_FEATURE_STREAM,
					"probes on Go functions need CAP_SYS_ADMIN and one system "
					"call each",
					"kernel 6.6 or later, CAP_BPF and CAP_PERFMON" },
				      gs__try_uprobe_multi },
	[GS_FEATURE_UPROBE_PERF] = { { "uprobe_perf", "uprobes through perf events",
				       GS_FEATURE_STREAM,
				       "no way to place probes on kernels before 6.6",
				       "CAP_SYS_ADMIN" },
				     gs__try_uprobe_perf },
	[GS_FEATURE_BPF_TRACEPOINT] = { { "bpf_tracepoint", "raw tracepoints (sched_switch)",
					  GS_FEATURE_STREAM,
					  "no kernel scheduler events: waiting for a CPU stays "
					  "invisible",
					  "CAP_BPF and CAP_PERFMON" },
					gs__try_tracepoint },
	[GS_FEATURE_BPF_TYPED_TRACEPOINT] = { { "bpf_typed_tracepoint",
						"typed tracepoints (tp_btf)", GS_FEATURE_STREAM,
						"raw tracepoints are used instead, with offsets "
						"from BTF",
						"a kernel with BTF, CAP_BPF and CAP_PERFMON" },
					      gs__try_typed_tracepoint },
	[GS_FEATURE_BPF_FENTRY] = { { "bpf_fentry", "fentry programs", GS_FEATURE_STREAM,
				      "kernel functions are probed with kprobes, at a higher cost, "
				      "or not at all",
				      "a kernel with CONFIG_FUNCTION_TRACER and direct calls; "
				      "CAP_BPF and CAP_PERFMON" },
				    gs__try_fentry },
	[GS_FEATURE_KPROBE] = { { "kprobe", "kprobes", GS_FEATURE_STREAM,
				  "kernel functions without a tracepoint cannot be probed",
				  "a kernel with CONFIG_KPROBES; CAP_SYS_ADMIN or CAP_PERFMON" },
				gs__try_kprobe },
	[GS_FEATURE_PERF_CLOCK] = { { "perf_clock", "sampling clock on all CPUs", GS_FEATURE_STREAM,
				      "no on-CPU profiles",
				      "sysctl kernel.perf_event_paranoid=0 or CAP_PERFMON" },
				    gs__try_perf_clock },
	[GS_FEATURE_PERF_HARDWARE] = { { "perf_hardware", "hardware counters", GS_FEATURE_STREAM,
					 "no cycle or cache-miss profiles; the software clock does "
					 "for the rest",
					 "a virtual machine with a virtual PMU, or bare metal" },
				       gs__try_perf_hardware },
	[GS_FEATURE_SAMPLING_SAFE] = { { "sampling_safe", "sampling user stacks beside uprobes",
					 GS_FEATURE_STREAM,
					 "this kernel can crash when stacks are sampled while a "
					 "probed process exits "
					 "(fixed by commit b583ef82b671): gosonde refuses the "
					 "combination",
					 "update the kernel: 6.1.131, 6.6.83, 6.12.19, 6.13 or "
					 "later" },
				       gs__try_sampling_safe },
};

const struct gs_feature_info *gs_feature_info(enum gs_feature f)
{
	assert(f < GS_FEATURE_COUNT);
	return &table[f].info;
}

const char *gs_feature_group_name(enum gs_feature_group g)
{
	static const char *const names[] = { "", "privileges", "settings", "snapshot", "stream" };

	return g < GS_ARRAY_SIZE(names) ? names[g] : "";
}

const struct gs_feature_result *gs_feature_try(struct gs_features *fs, enum gs_feature f)
{
	struct gs_feature_result *ret = &fs->result[f];

	assert(f < GS_FEATURE_COUNT);
	if (ret->state == GS_FEATURE_UNTRIED) {
		table[f].attempt(fs, ret);
		assert(ret->state != GS_FEATURE_UNTRIED);
	}
	return ret;
}

bool gs_features_stream(struct gs_features *fs, enum gs_feature *ret_missing)
{
	static const enum gs_feature all[] = { GS_FEATURE_BPF_RINGBUF,
					       GS_FEATURE_BPF_KPROBE_PROGRAM };

	for (size_t i = 0; i < GS_ARRAY_SIZE(all); i++) {
		if (!gs_feature_has(fs, all[i])) {
			*ret_missing = all[i];
			return false;
		}
	}
	if (gs__uprobe_multi_known() ||
	    (gs_feature_has(fs, GS_FEATURE_CAP_SYS_ADMIN) && gs__uprobe_pmu_known()))
		return true;
	*ret_missing = GS_FEATURE_UPROBE_MULTI;
	return false;
}

void gs__feature_set(struct gs_feature_result *ret, enum gs_feature_state s, const char *fmt, ...)
{
	char raw[sizeof(ret->detail)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	ret->state = s;
	gs_escape_to(ret->detail, sizeof(ret->detail), raw, strlen(raw));
}

void gs__feature_errno(struct gs_feature_result *ret, int e)
{
	ret->error = e;
	if (e == 0)
		gs__feature_set(ret, GS_FEATURE_YES, "%s", "");
	else
		gs__feature_set(ret, GS_FEATURE_NO, "%s", strerror(e));
}

int gs__feature_read(const char *path, char *buf, size_t size)
{
	GS_CLEANUP(gs_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}
