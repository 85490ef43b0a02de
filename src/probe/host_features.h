/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_PROBE_HOST_FEATURES_H
#define GS_PROBE_HOST_FEATURES_H

/*
 * What this user can do on this machine. A feature is a description and the smallest real attempt to
 * use it (a map is made, a program loaded, a probe attached to gosonde itself and removed at once);
 * kernel versions are never compared, because distributions move behaviour in both directions.
 * Attempts run at first question and are remembered.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

enum gs_feature {
	/* Privileges. */
	GS_FEATURE_CAP_SYS_PTRACE,
	GS_FEATURE_CAP_BPF,
	GS_FEATURE_CAP_PERFMON,
	GS_FEATURE_CAP_SYS_ADMIN,
	GS_FEATURE_CAP_DAC_READ_SEARCH,
	GS_FEATURE_USER_NAMESPACE,
	/* Settings of the kernel. */
	GS_FEATURE_YAMA,
	GS_FEATURE_LOCKDOWN,
	GS_FEATURE_UNPRIVILEGED_BPF,
	GS_FEATURE_PERF_PARANOID,
	GS_FEATURE_CORE_PATTERN,
	/* Snapshot lens. */
	GS_FEATURE_VM_READV,
	GS_FEATURE_PROC_MEM,
	GS_FEATURE_PTRACE,
	GS_FEATURE_ANON_VMA_NAME,
	/* Stream lens. */
	GS_FEATURE_BTF,
	GS_FEATURE_BPF_RINGBUF,
	GS_FEATURE_BPF_KPROBE_PROGRAM,
	GS_FEATURE_UPROBE_MULTI,
	GS_FEATURE_UPROBE_PERF,
	GS_FEATURE_BPF_TRACEPOINT,
	GS_FEATURE_BPF_TYPED_TRACEPOINT,
	GS_FEATURE_BPF_FENTRY,
	GS_FEATURE_KPROBE,
	GS_FEATURE_PERF_CLOCK,
	GS_FEATURE_PERF_HARDWARE,
	GS_FEATURE_SAMPLING_SAFE,
	GS_FEATURE_COUNT
};

enum gs_feature_group {
	GS_FEATURE_PRIVILEGES = 1,
	GS_FEATURE_SETTINGS,
	GS_FEATURE_SNAPSHOT,
	GS_FEATURE_STREAM,
};

enum gs_feature_state {
	GS_FEATURE_UNTRIED = 0,
	GS_FEATURE_YES,
	GS_FEATURE_NO,
	GS_FEATURE_UNKNOWN, /* the attempt itself was not possible */
};

struct gs_feature_result {
	enum gs_feature_state state;
	int error;        /* errno of the attempt, 0 if it has none */
	char detail[160]; /* what was found, escaped; may be "" */
};

struct gs_feature_info {
	const char *name;  /* snake_case, stable */
	const char *title; /* for people */
	enum gs_feature_group group;
	const char *costs;  /* what is lost without it */
	const char *remedy; /* how to get it */
};

struct gs_features {
	struct gs_feature_result result[GS_FEATURE_COUNT];
};

const struct gs_feature_info *gs_feature_info(enum gs_feature f);
/** "privileges", "settings", "snapshot", "stream". */
const char *gs_feature_group_name(enum gs_feature_group g);

/** What is known of @f; tries it at the first call. @fs starts zeroed. Borrowed from @fs. */
const struct gs_feature_result *gs_feature_try(struct gs_features *fs, enum gs_feature f);
static inline bool gs_feature_has(struct gs_features *fs, enum gs_feature f)
{
	return gs_feature_try(fs, f)->state == GS_FEATURE_YES;
}

/**
 * Whether the stream lens can be used by this user: ring buffers, programs, and one way to place
 * uprobes. Attaches nothing (detaching takes the kernel some 40 ms), so it is cheap enough for ps.
 * @return true, or false with the feature that is missing.
 */
bool gs_features_stream(struct gs_features *fs, enum gs_feature *ret_missing);

#endif
