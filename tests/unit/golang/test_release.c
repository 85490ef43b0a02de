/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Version strings as found in binaries, and strings that are none. */
#include "test.h"

#include "base/cleanup.h"
#include "golang/release.h"

static void test_known(void **state)
{
	static const struct {
		const char *text;
		uint16_t minor, patch;
		bool devel;
	} cases[] = {
		{ "go1.19", 19, 0, false },
		{ "go1.19.8", 19, 8, false },
		{ "go1.26.10 X:nogreenteagc", 26, 10, false },
		{ "go1.26.10-X:nogreenteagc,jsonv2", 26, 10, false },
		{ "go1.21rc3", 21, 0, true },
		{ "go1.28beta1", 28, 0, true },
		{ "devel go1.25-0123456789 Tue Feb 4 09:11:12 2025 +0000", 25, 0, true },
		{ "go1.28-devel_0123456789 Tue Nov 3 09:11:12 2026 -0500", 28, 0, true },
		{ "go1.22.3 (Red Hat 1.22.3-1.el9)", 22, 3, false },
		{ "go1.24.4-fork", 24, 4, false },
		{ "go1.9999.9999", 9999, 9999, false },
	};
	struct gs_go_release rel;

	(void)state;
	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		memset(&rel, 0xee, sizeof(rel));
		assert_int_equal(gs_go_release_parse(cases[i].text, strlen(cases[i].text), &rel),
				 0);
		assert_int_equal(rel.minor, cases[i].minor);
		assert_int_equal(rel.patch, cases[i].patch);
		assert_int_equal(rel.devel, cases[i].devel);
		assert_string_equal(rel.text, cases[i].text);
	}
}

static void test_unknown(void **state)
{
	static const char *const cases[] = {
		"",           "go",         "go1",          "go1.",      "go2.0",      "1.26.1",
		"devel +abc", "go1.x",      "go1.26.",      "go1.26.x",  "go1.26x",    "Go1.26",
		"go1.26rc",   "go1.-1",     "go1.+3",       "go1.12345", "go1.26beta", "unknown",
		" go1.26",    "go1.26.1.2", "go1.26.99999",
	};
	struct gs_go_release rel = { .minor = 77 };

	(void)state;
	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		if (gs_go_release_parse(cases[i], strlen(cases[i]), &rel) != 1)
			fail_msg("\"%s\" was parsed", cases[i]);
		assert_int_equal(rel.minor, 77);
	}
	// Not terminated: nothing behind the length is read.
	assert_int_equal(gs_go_release_parse("go1.268", 6, &rel), 0);
	assert_int_equal(rel.minor, 26);
	assert_string_equal(rel.text, "go1.26");
}

static void test_hostile_text(void **state)
{
	char text[300] = "go1.26 \x1b[2J";
	struct gs_go_release rel;

	(void)state;
	assert_int_equal(gs_go_release_parse(text, strlen(text), &rel), 0);
	assert_string_equal(rel.text, "go1.26 \\x1b[2J");
	memset(text + 7, 'x', sizeof(text) - 7);
	assert_int_equal(gs_go_release_parse(text, sizeof(text), &rel), 0);
	assert_int_equal(strlen(rel.text), sizeof(rel.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_hostile_text),
	};

	return gs_test_main(tests);
}
