/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Go version order (as go/version.Compare of Go 1.26 says), and bounds. Whether the findings are those
 * of the go command is tested against it in tests/cli/test_modules_go.py.
 */
#include "analysis/inspect_modules.h"
#include "test.h"

static void test_go_versions(void **state)
{
	static const char *const ascending[] = { "go1.9",     "go1.19",   "1.20",    "go1.21rc2",
						 "go1.21.0",  "1.21.3",   "1.21.10", "go1.22beta1",
						 "go1.22rc1", "go1.22.1", "go1.100" };

	for (size_t i = 0; i < GS_ARRAY_SIZE(ascending); i++) {
		for (size_t k = 0; k < GS_ARRAY_SIZE(ascending); k++)
			assert_int_equal(gs_go_version_compare(ascending[i], ascending[k]),
					 (i > k) - (i < k));
	}
	assert_int_equal(gs_go_version_compare("go1.26.10 X:nogreenteagc", "1.26.10"), 0);
	assert_int_equal(gs_go_version_compare("", ""), 0);
	assert_int_equal(gs_go_version_compare("99999999999999999999999.1", "1.1"), 1);
}

/* More findings than there is room for are counted. */
static void test_findings_are_bounded(void **state)
{
	static struct gs_gomod_require requires[GS_MODULE_FINDINGS_MAX + 50];
	static char paths[GS_MODULE_FINDINGS_MAX + 50][16];
	struct gs_gomod mod = { .module = "m",
				.go = "1.26",
				.requires = requires,
				.n_requires = GS_MODULE_FINDINGS_MAX + 50 };
	struct gs_gosum sum = { 0 };
	struct gs_module_files files = { .gomod = &mod, .gosum = &sum };
	GS_CLEANUP(gs_arena_freep) struct gs_arena *arena = gs_arena_new(0);
	struct gs_module_findings found;
	struct gs_err err;

	for (uint32_t i = 0; i < mod.n_requires; i++) {
		snprintf(paths[i], sizeof(paths[i]), "a%u", i);
		requires[i] = (struct gs_gomod_require){ paths[i], "v1.0.0", false };
	}
	gs_assert_ok(gs_module_findings_init(&found, arena, &err), &err);
	gs_module_check_files(&files, &found);
	assert_int_equal(found.n, GS_MODULE_FINDINGS_MAX);
	assert_int_equal(found.dropped, 50);
	assert_int_equal(found.n_fail, mod.n_requires);
}

static void test_details_are_escaped(void **state)
{
	struct gs_gomod_require require = { "a", "v1\033[2J", false };
	struct gs_gomod mod = { .module = "m", .requires = &require, .n_requires = 1 };
	struct gs_gosum sum = { 0 };
	struct gs_module_files files = { .gomod = &mod, .gosum = &sum };
	GS_CLEANUP(gs_arena_freep) struct gs_arena *arena = gs_arena_new(0);
	struct gs_module_findings found;
	struct gs_err err;

	gs_assert_ok(gs_module_findings_init(&found, arena, &err), &err);
	gs_module_check_files(&files, &found);
	assert_int_equal(found.n, 1);
	assert_non_null(strstr(found.list[0].detail, "v1\\x1b[2J"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_go_versions),
		cmocka_unit_test(test_findings_are_bounded),
		cmocka_unit_test(test_details_are_escaped),
	};

	return gs_test_main(tests);
}
