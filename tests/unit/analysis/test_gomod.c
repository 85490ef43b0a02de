/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* go.mod, go.sum and vendor/modules.txt: the grammar, and text that is none of them. */
#include "analysis/gomod.h"
#include "test.h"

static struct gs_arena *arena;

static int setup(void **state)
{
	arena = gs_arena_new(0);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	arena = gs_arena_free(arena);
	return 0;
}

static int gomod(const char *text, struct gs_gomod *ret, struct gs_err *err)
{
	return gs_gomod_parse(text, strlen(text), "go.mod", arena, ret, err);
}

static void test_gomod(void **state)
{
	static const char text[] = "// head\n"
				   "module \"example.com/m\" // why\n"
				   "\n"
				   "go 1.23.0\r\n"
				   "toolchain go1.24.1\n"
				   "require example.com/a v1.0.0\n"
				   "require (\n"
				   "\texample.com/b v1.1.0 // indirect\n"
				   "\texample.com/c v1.2.0 // indirect; as well\n"
				   "\t`example.com/d` v1.3.0 // indirectly\n"
				   "\t// example.com/no v1.0.0\n"
				   ")\n"
				   "require ()\n"
				   "replace example.com/a => ../a\n"
				   "replace (\n"
				   "\texample.com/b v1.1.0 => example.com/bb v1.1.1\n"
				   ")\n"
				   "exclude example.com/c v1.1.0\n"
				   "retract [v1.0.0, v1.9.9] // gone\n"
				   "tool example.com/a/cmd/x\n"
				   "ignore ./node_modules\n"
				   "godebug (\n\tdefault=go1.21\n)\n"
				   "future-directive with many words";
	struct gs_err err;
	struct gs_gomod m;

	gs_assert_ok(gomod(text, &m, &err), &err);
	assert_string_equal(m.module, "example.com/m");
	assert_string_equal(m.go, "1.23.0");
	assert_string_equal(m.toolchain, "go1.24.1");
	assert_int_equal(m.n_requires, 4);
	assert_string_equal(m.requires[3].path, "example.com/d");
	assert_string_equal(m.requires[3].version, "v1.3.0");
	assert_false(m.requires[0].indirect);
	assert_true(m.requires[1].indirect);
	assert_true(m.requires[2].indirect);
	assert_false(m.requires[3].indirect);
	assert_int_equal(m.n_replaces, 2);
	assert_null(m.replaces[0].old_version);
	assert_null(m.replaces[0].new_version);
	assert_string_equal(m.replaces[1].new_version, "v1.1.1");
	assert_int_equal(m.n_excludes, 1);
}

static void test_replacement_of_one_version_wins(void **state)
{
	struct gs_err err;
	struct gs_gomod m;

	gs_assert_ok(gomod("replace a => ./all\nreplace a v1.0.0 => ./one\n", &m, &err), &err);
	assert_string_equal(gs_gomod_replacement(&m, "a", "v1.0.0")->new_path, "./one");
	assert_string_equal(gs_gomod_replacement(&m, "a", "v1.0.1")->new_path, "./all");
	assert_null(gs_gomod_replacement(&m, "b", "v1.0.0"));
}

static void test_bad_gomod(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "require a\n", "go.mod:1: expected a module path and a version" },
		{ "\n\nrequire (\n a v1\n b\n)\n", "go.mod:5: " },
		{ "require (\na v1\n", "go.mod:2: a block has no closing parenthesis" },
		{ "module a\nmodule b\n", "go.mod:2: the directive is repeated" },
		{ "go 1.2 1.3\n", "go.mod:1: expected one word" },
		{ "replace a b\n", "go.mod:1: expected replace" },
		{ "replace a =>\n", "go.mod:1: expected replace" },
		{ "replace a v1 => b v2 v3\n", "go.mod:1: expected replace" },
		{ "replace => b\n", "go.mod:1: expected replace" },
		{ "module \"a\n", "go.mod:1: a quoted word has no end" },
		{ "x 1 2 3 4 5 6 7 8 9\n", "go.mod:1: the line has too many words" },
	};
	struct gs_gomod m = { .module = "untouched" };
	struct gs_err err;

	for (size_t i = 0; i < GS_ARRAY_SIZE(bad); i++)
		gs_assert_fails(-GS_E_BAD_DATA, bad[i].words, gomod(bad[i].text, &m, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "zero byte",
			gs_gomod_parse("module a\0b\n", 11, "go.mod", arena, &m, &err), &err);
	assert_string_equal(m.module, "untouched");
}

static void test_line_length_is_bounded(void **state)
{
	GS_CLEANUP(gs_freep) char *text = calloc(1, 100002);
	struct gs_gomod m;
	struct gs_err err;

	memset(text, 'a', 100000);
	gs_assert_fails(-GS_E_BAD_DATA, "too long", gomod(text, &m, &err), &err);
}

static int gosum(const char *text, struct gs_gosum *ret, struct gs_err *err)
{
	return gs_gosum_parse(text, strlen(text), "go.sum", arena, ret, err);
}

static void test_gosum(void **state)
{
	struct gs_gosum s;
	struct gs_err err;

	gs_assert_ok(gosum("b v1 h1:B=\n\na v2/go.mod h1:M=\r\na v2 h1:A=\na v1 h1:O=", &s, &err),
		     &err);
	assert_int_equal(s.n, 4);
	assert_string_equal(gs_gosum_find(&s, "a", "v2", false)->hash, "h1:A=");
	assert_string_equal(gs_gosum_find(&s, "a", "v2", true)->hash, "h1:M=");
	assert_int_equal(gs_gosum_find(&s, "a", "v2", true)->line, 3);
	assert_null(gs_gosum_find(&s, "a", "v1", true));
	assert_null(gs_gosum_find(&s, "c", "v1", false));
	gs_assert_ok(gosum("", &s, &err), &err);
	assert_int_equal(s.n, 0);
	assert_null(gs_gosum_find(&s, "a", "v1", false));
	gs_assert_fails(-GS_E_BAD_DATA, "go.sum:2: ", gosum("a v1 h1:x\na v1\n", &s, &err), &err);
}

static int vendor(const char *text, struct gs_vendor *ret, struct gs_err *err)
{
	return gs_vendor_parse(text, strlen(text), "modules.txt", arena, ret, err);
}

static void test_vendor(void **state)
{
	static const char text[] = "# a v1.0.0\n## explicit; go 1.21\na/x\na/y\n"
				   "# b v1.0.0 => ./b\n## explicit\n"
				   "# c v1.0.0 => d v2.0.0\nc\n"
				   "# b => ./b\n";
	struct gs_vendor v;
	struct gs_err err;

	gs_assert_ok(vendor(text, &v, &err), &err);
	assert_int_equal(v.n, 4);
	assert_true(v.modules[0].is_explicit && v.modules[1].is_explicit);
	assert_false(v.modules[2].is_explicit);
	assert_int_equal(v.modules[0].n_packages, 2);
	assert_string_equal(v.modules[1].new_path, "./b");
	assert_null(v.modules[1].new_version);
	assert_string_equal(v.modules[2].new_version, "v2.0.0");
	assert_null(v.modules[3].version);
	assert_false(v.workspace);
	gs_assert_ok(vendor("## workspace\n# a v1\n", &v, &err), &err);
	assert_true(v.workspace);
}

static void test_bad_vendor(void **state)
{
	static const char *const bad[] = { "# a\n",          "#\n",
					   "# a v1 =>\n",    "# a v1 x y\n",
					   "# a => b c d\n", "# a v1 z => b\n" };
	struct gs_vendor v;
	struct gs_err err;

	for (size_t i = 0; i < GS_ARRAY_SIZE(bad); i++)
		gs_assert_fails(-GS_E_BAD_DATA, "modules.txt:1: ", vendor(bad[i], &v, &err), &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gomod),
		cmocka_unit_test(test_replacement_of_one_version_wins),
		cmocka_unit_test(test_bad_gomod),
		cmocka_unit_test(test_line_length_is_bounded),
		cmocka_unit_test(test_gosum),
		cmocka_unit_test(test_vendor),
		cmocka_unit_test(test_bad_vendor),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
