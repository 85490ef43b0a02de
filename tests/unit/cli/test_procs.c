/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* /proc as this process sees itself, and stat files that a hostile name can make. */
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/procs.h"
#include "test.h"

static void test_stat_of_hostile_names(void **state)
{
	static const char rest[] =
		" S 1 2 3 4 5 4194304 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22";
	static const char *const names[] = { "a b", "a) S 9", "((()", ")", "", "\033[31m\n" };

	for (size_t i = 0; i < GS_ARRAY_SIZE(names); i++) {
		char text[256];
		struct gs_proc p;

		snprintf(text, sizeof(text), "42 (%s)%s", names[i], rest);
		assert_true(gs_proc_parse_stat(text, 4096, &p));
		assert_string_equal(p.comm, names[i]);
		assert_int_equal(p.state, 'S');
		assert_int_equal(p.cpu_ticks, 11 + 12);
		assert_int_equal(p.threads, 17);
		assert_int_equal(p.start_ticks, 19);
		assert_int_equal(p.rss_bytes, 21 * 4096);
		assert_false(p.kernel_thread);
	}
}

static void test_stat_that_is_none(void **state)
{
	static const char *const bad[] = { "", "42", "42 (x", "42 x) S", ")(", "42 (x) S 1 2 3" };
	struct gs_proc p;

	for (size_t i = 0; i < GS_ARRAY_SIZE(bad); i++)
		assert_false(gs_proc_parse_stat(bad[i], 4096, &p));
	assert_true(gs_proc_parse_stat(
		"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0", 4096, &p));
	assert_true(p.kernel_thread);
}

static void test_self(void **state)
{
	char path[4096], real[4096];
	struct gs_proc p;
	ssize_t n;
	uid_t uid;

	assert_int_equal(gs_proc_read(getpid(), &p), 0);
	assert_string_equal(p.comm, "test_procs");
	assert_int_equal(p.threads, 1);
	assert_true(p.rss_bytes > 100000);
	assert_true(gs_uptime_seconds() * (double)sysconf(_SC_CLK_TCK) >= (double)p.start_ticks);
	assert_int_equal(gs_proc_uid(getpid(), &uid), 0);
	assert_int_equal(uid, geteuid());
	n = readlink("/proc/self/exe", real, sizeof(real) - 1);
	assert_true(n > 0);
	real[n] = '\0';
	assert_int_equal(gs_proc_exe(getpid(), path, sizeof(path)), 0);
	assert_string_equal(path, real);
	assert_true(gs_proc_is_called(&p, "test_procs"));
	assert_false(gs_proc_is_called(&p, "test_proc"));
}

static void test_list(void **state)
{
	GS_CLEANUP(gs_freep) pid_t *pids = NULL;
	struct gs_err err;
	bool self = false;
	size_t n;

	gs_assert_ok(gs_procs_list(&pids, &n, &err), &err);
	for (size_t i = 0; i < n; i++) {
		assert_true(i == 0 || pids[i] > pids[i - 1]);
		self = self || pids[i] == getpid();
	}
	assert_true(self);
}

static void test_gone(void **state)
{
	char path[64];
	struct gs_proc p;
	uid_t uid;

	/* Above the largest pid_max there is. */
	assert_int_equal(gs_proc_read(1 << 30, &p), 1);
	assert_int_equal(gs_proc_uid(1 << 30, &uid), 1);
	assert_true(gs_proc_exe(1 << 30, path, sizeof(path)) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat_of_hostile_names),
		cmocka_unit_test(test_stat_that_is_none),
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_gone),
	};

	return gs_test_main(tests);
}
