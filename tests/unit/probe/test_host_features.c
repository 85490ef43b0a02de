/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Features of this machine, compared with what the kernel says elsewhere, and the parsers behind them.
 * Which features there are depends on the machine, so a result is only compared where something else
 * knows it too.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "probe/host_features.h"
#include "probe/host_features_internal.h"
#include "test.h"

static void test_every_feature_explains_itself(void **state)
{
	struct gs_features fs = { 0 };

	for (unsigned int i = 0; i < GS_FEATURE_COUNT; i++) {
		const struct gs_feature_info *info = gs_feature_info(i);
		const struct gs_feature_result *r = gs_feature_try(&fs, i);

		assert_true(info->name && *info->name && info->title && *info->title);
		assert_true(info->costs && *info->costs && info->remedy && *info->remedy);
		assert_true(*gs_feature_group_name(info->group));
		assert_int_not_equal(r->state, GS_FEATURE_UNTRIED);
		if (r->state == GS_FEATURE_NO && !r->detail[0])
			assert_int_equal(info->group, GS_FEATURE_PRIVILEGES);
		/* Remembered, not tried again. */
		assert_ptr_equal(r, gs_feature_try(&fs, i));
		for (unsigned int k = 0; k < i; k++)
			assert_string_not_equal(info->name, gs_feature_info(k)->name);
	}
}

static void test_nothing_is_left_behind(void **state)
{
	struct gs_features fs = { 0 };
	int before = dup(0), after;

	for (unsigned int i = 0; i < GS_FEATURE_COUNT; i++)
		gs_feature_try(&fs, i);
	after = dup(0);
	/* The lowest free descriptor would be higher if one had been left open. */
	assert_int_equal(after, before + 1);
	close(before);
	close(after);
	/* No child either. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_settings_are_what_the_files_say(void **state)
{
	struct gs_features fs = { 0 };
	char line[64], want[96];

	if (gs__feature_read("/proc/sys/kernel/perf_event_paranoid", line, sizeof(line)) == 0) {
		snprintf(want, sizeof(want), "perf_event_paranoid %s", line);
		assert_string_equal(gs_feature_try(&fs, GS_FEATURE_PERF_PARANOID)->detail, want);
	}
	assert_int_equal(gs_feature_has(&fs, GS_FEATURE_BTF),
			 access("/sys/kernel/btf/vmlinux", R_OK) == 0);
}

/* Without privileges the privileged features are refused, whatever the machine has. */
static void test_as_nobody(void **state)
{
	pid_t pid;
	int status;

	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		struct gs_features fs = { 0 };
		enum gs_feature missing;
		bool bad = setgid(65534) < 0 || setuid(65534) < 0;

		bad = bad || gs_feature_has(&fs, GS_FEATURE_CAP_SYS_PTRACE);
		bad = bad || gs_feature_has(&fs, GS_FEATURE_BPF_KPROBE_PROGRAM);
		bad = bad || gs_feature_has(&fs, GS_FEATURE_UPROBE_PERF);
		bad = bad || gs_features_stream(&fs, &missing);
		_exit(bad);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_stream_agrees_with_the_attempts(void **state)
{
	struct gs_features quick = { 0 }, all = { 0 };
	enum gs_feature missing = GS_FEATURE_COUNT;
	bool expected = gs_feature_has(&all, GS_FEATURE_BPF_RINGBUF) &&
			gs_feature_has(&all, GS_FEATURE_BPF_KPROBE_PROGRAM) &&
			(gs_feature_has(&all, GS_FEATURE_UPROBE_MULTI) ||
			 gs_feature_has(&all, GS_FEATURE_UPROBE_PERF));

	assert_int_equal(gs_features_stream(&quick, &missing), expected);
	assert_int_equal(missing == GS_FEATURE_COUNT, expected);
}

static void test_caps(void **state)
{
	uint64_t caps = 7;

	assert_true(
		gs__feature_parse_caps("Name:\tx\nCapEff:\t000001fffeffffff\nCapBnd:\t0\n", &caps));
	assert_true(caps == 0x1fffeffffff);
	/* A process may call itself "CapEff:"; the line has to begin with it. */
	assert_true(gs__feature_parse_caps("Name:\tCapEff: f\nCapEff:\t0\n", &caps));
	assert_true(caps == 0);
	assert_false(gs__feature_parse_caps("", &caps));
	assert_false(gs__feature_parse_caps("Name:\tx\nCapEff:\tzz\n", &caps));
	assert_false(gs__feature_parse_caps("Name:\tx\nCapEff:\t12", &caps));
}

static void test_sampling_race(void **state)
{
	static const struct {
		const char *release, *version;
		bool race;
	} kernels[] = {
		{ "6.1.112", "#1 SMP", false },
		{ "6.1.113", "#1 SMP", true },
		{ "6.1.131", "#1 SMP", false },
		{ "6.6.60-generic", "#1 SMP", true },
		{ "6.6.90", "#1 SMP", false },
		{ "6.11.2", "#1", false },
		{ "6.11.3", "#1", true },
		{ "6.12.0", "#1", true },
		{ "6.12.18", "#1", true },
		{ "6.12.19", "#1", false },
		{ "6.13.0", "#1", false },
		{ "6.18.44-fc-v657", "#1 SMP PREEMPT_DYNAMIC @0", false },
		/* Debian: the release is the name of the ABI. */
		{ "6.1.0-28-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)", true },
		{ "6.1.0-56-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.180-1 (2026-10-01)", false },
		{ "junk", "junk", false },
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(kernels); i++)
		assert_int_equal(gs__feature_sampling_race(kernels[i].release, kernels[i].version),
				 kernels[i].race);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_feature_explains_itself),
		cmocka_unit_test(test_nothing_is_left_behind),
		cmocka_unit_test(test_settings_are_what_the_files_say),
		cmocka_unit_test(test_as_nobody),
		cmocka_unit_test(test_stream_agrees_with_the_attempts),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_sampling_race),
	};

	return gs_test_main(tests);
}
