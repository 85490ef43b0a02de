/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Durations: what Go's time.ParseDuration says (the values were printed by it, Go 1.26), and more. */
#include <errno.h>

#include "base/cleanup.h"
#include "cli/option_values.h"
#include "test.h"

static void test_durations_as_go(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} as_go[] = {
		{ "0s", 0 },
		{ "5s", 5000000000 },
		{ "30s", 30000000000 },
		{ "1478s", 1478000000000 },
		{ "5.0s", 5000000000 },
		{ "5.6s", 5600000000 },
		{ "5.s", 5000000000 },
		{ ".5s", 500000000 },
		{ "1.004s", 1004000000 },
		{ "100.00100s", 100001000000 },
		{ "10ns", 10 },
		{ "11us", 11000 },
		{ "12\xc2\xb5s", 12000 },
		{ "12\xce\xbcs", 12000 },
		{ "13ms", 13000000 },
		{ "14s", 14000000000 },
		{ "15m", 900000000000 },
		{ "16h", 57600000000000 },
		{ "3h30m", 12600000000000 },
		{ "10.5s4m", 250500000000 },
		{ "1h2m3s4ms5us6ns", 3723004005006 },
		{ "39h9m14.425s", 140954425000000 },
		{ "0.25h", 900000000000 },
		{ "9223372036854775807ns", INT64_MAX },
		{ "9223372036.854775807s", INT64_MAX },
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(as_go); i++) {
		struct gs_err err;
		int64_t ns = -1;

		gs_assert_ok(gs_parse_duration(as_go[i].text, &ns, &err), &err);
		if (ns != as_go[i].ns)
			fail_msg("%s is %lld", as_go[i].text, (long long)ns);
	}
}

static void test_plain_numbers_are_seconds(void **state)
{
	struct gs_err err;
	int64_t ns;

	gs_assert_ok(gs_parse_duration("5", &ns, &err), &err);
	assert_int_equal(ns, 5000000000);
	gs_assert_ok(gs_parse_duration("0.1", &ns, &err), &err);
	assert_int_equal(ns, 100000000);
	gs_assert_ok(gs_parse_duration("0", &ns, &err), &err);
	assert_int_equal(ns, 0);
}

static void test_bad_durations(void **state)
{
	static const char *const bad[] = {
		"",
		"-5m",
		"s",
		".",
		".s",
		"1x",
		"3000000h",
		"9223372036854775808ns",
		"5m3",
		"1h-5m",
		"+5",
		"1e3",
		"99999999999999999999s",
		"1 s",
		"1d",
		"1.2.3",
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(bad); i++) {
		struct gs_err err;
		int64_t ns = 77;

		gs_assert_fails(-EINVAL, "", gs_parse_duration(bad[i], &ns, &err), &err);
		assert_int_equal(ns, 77);
	}
}

static void test_numbers(void **state)
{
	struct gs_err err;
	uint64_t v = 7;

	gs_assert_ok(gs_parse_u64("18446744073709551615", &v, &err), &err);
	assert_true(v == UINT64_MAX);
	gs_assert_fails(-EINVAL, "too large", gs_parse_u64("18446744073709551616", &v, &err), &err);
	gs_assert_fails(-EINVAL, "whole number", gs_parse_u64("-1", &v, &err), &err);
	gs_assert_fails(-EINVAL, "whole number", gs_parse_u64("0x10", &v, &err), &err);
	gs_assert_fails(-EINVAL, "empty", gs_parse_u64("", &v, &err), &err);
	assert_true(v == UINT64_MAX);
}

static void test_nearest_word(void **state)
{
	static const char *const words[] = { "waiting-longer", "wait-reason", "state", "format",
					     "function",       "group",       "dump",  "doctor" };
	const size_t n = GS_ARRAY_SIZE(words);

	assert_string_equal(gs_nearest_word("wating-longer", words, n), "waiting-longer");
	assert_string_equal(gs_nearest_word("wiat-reason", words, n), "wait-reason");
	assert_string_equal(gs_nearest_word("formt", words, n), "format");
	assert_string_equal(gs_nearest_word("func", words, n), "function");
	assert_string_equal(gs_nearest_word("pudm", words, n) ? "?" : "none", "none");
	assert_null(gs_nearest_word("zzzzzz", words, n));
	assert_null(gs_nearest_word("", words, n));
	assert_null(gs_nearest_word("x", words, n));
	/* Two begin with it: no guess by prefix. */
	assert_null(gs_nearest_word("wait", words, 2));
	assert_null(gs_nearest_word("a-word-that-is-much-longer-than-any-option-could-be-here",
				    words, n));
}

static void test_shares(void **state)
{
	static const struct {
		const char *text;
		double share;
	} good[] = { { "0", 0 },      { "2%", 0.02 }, { "0.02", 0.02 }, { "0.5%", 0.005 },
		     { "100%", 1.0 }, { "1", 1.0 },   { ".25", 0.25 },  { "0%", 0 } };
	static const char *const bad[] = { "",     "%",   "2 %", "-1%",  "5",
					   "101%", "2%%", "x",   "1e-3", "0,5" };
	struct gs_err err;
	double share;

	for (size_t i = 0; i < GS_ARRAY_SIZE(good); i++) {
		share = -1;
		gs_assert_ok(gs_parse_share(good[i].text, &share, &err), &err);
		if (share < good[i].share - 1e-12 || share > good[i].share + 1e-12)
			fail_msg("%s is %g", good[i].text, share);
	}
	for (size_t i = 0; i < GS_ARRAY_SIZE(bad); i++)
		assert_int_equal(gs_parse_share(bad[i], &share, &err), -EINVAL);
	gs_assert_fails(-EINVAL, "Did you mean 5%?", gs_parse_share("5", &share, &err), &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_durations_as_go),
		cmocka_unit_test(test_plain_numbers_are_seconds),
		cmocka_unit_test(test_bad_durations),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_nearest_word),
	};

	return gs_test_main(tests);
}
