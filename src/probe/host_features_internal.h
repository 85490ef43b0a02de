/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_PROBE_HOST_FEATURES_INTERNAL_H
#define GS_PROBE_HOST_FEATURES_INTERNAL_H

#include <stddef.h>

#include "probe/host_features.h"

/* Attempts fill the result; asking for other features through @fs is allowed downwards in the enum. */
typedef void gs__attempt(struct gs_features *fs, struct gs_feature_result *ret);

gs__attempt gs__try_cap_sys_ptrace, gs__try_cap_bpf, gs__try_cap_perfmon, gs__try_cap_sys_admin,
	gs__try_cap_dac_read_search, gs__try_user_namespace, gs__try_yama, gs__try_lockdown,
	gs__try_unprivileged_bpf, gs__try_perf_paranoid, gs__try_core_pattern, gs__try_vm_readv,
	gs__try_proc_mem, gs__try_ptrace, gs__try_anon_vma_name, gs__try_sampling_safe;
gs__attempt gs__try_btf, gs__try_ringbuf, gs__try_kprobe_program, gs__try_uprobe_multi,
	gs__try_uprobe_perf, gs__try_tracepoint, gs__try_typed_tracepoint, gs__try_fentry,
	gs__try_kprobe, gs__try_perf_clock, gs__try_perf_hardware;

/** Whether the kernel knows uprobe_multi links and we may make them, without making one. */
bool gs__uprobe_multi_known(void);
/** Whether the kernel has uprobes behind perf_event_open(2). */
bool gs__uprobe_pmu_known(void);

/** Set state and detail (escaped). */
void gs__feature_set(struct gs_feature_result *ret, enum gs_feature_state s, const char *fmt, ...)
	GS_PRINTF(3, 4);
/** Take the outcome of a system call: @r >= 0 is yes, else no with @e's text. */
void gs__feature_errno(struct gs_feature_result *ret, int e);
/** First line of a small file without its newline. @return 0 or a negative errno. */
GS_CHECKED int gs__feature_read(const char *path, char *buf, size_t size);

/** CapEff of a /proc/PID/status text. @return false if there is none. */
bool gs__feature_parse_caps(const char *status, uint64_t *ret);
/**
 * Whether a kernel has the race between sampling user stacks and freeing uprobes (b583ef82b671 not
 * yet in). @release and @version as of uname(2); Debian's own version is taken from @version.
 */
bool gs__feature_sampling_race(const char *release, const char *version);

#endif
