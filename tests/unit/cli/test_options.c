/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The parser over option tables, with a table that has every kind of option. */
#include <errno.h>

#include "base/cleanup.h"
#include "cli/options.h"
#include "test.h"

struct args {
	struct gs_common common;
	bool group, all;
	const char *name, *colour;
	struct gs_strings labels;
	uint64_t limit;
	int64_t longer_ns;
};

static const char *const formats[] = { "text", "json", NULL };
static const char *const colours[] = { "auto", "always", "never", NULL };
#define AT(f) .dest = offsetof(struct args, f)
static const struct gs_opt table[] = {
	{ .name = "group", .letter = 'g', .type = GS_OPT_FLAG, AT(group), .help = "x" },
	{ .name = "all", .letter = 'a', .type = GS_OPT_FLAG, AT(all), .help = "x" },
	{ .name = "name", .letter = 'n', .type = GS_OPT_STRING, .arg = "S", AT(name), .help = "x" },
	{ .name = "colour",
	  .type = GS_OPT_CHOICE,
	  .arg = "WHEN",
	  AT(colour),
	  .choices = colours,
	  .fallback = "auto",
	  .help = "x" },
	{ .name = "label",
	  .letter = 'l',
	  .type = GS_OPT_STRINGS,
	  .arg = "L",
	  AT(labels),
	  .help = "x" },
	{ .name = "limit",
	  .type = GS_OPT_U64,
	  .arg = "N",
	  AT(limit),
	  .fallback = "12",
	  .help = "x" },
	{ .name = "waiting-longer",
	  .type = GS_OPT_DURATION,
	  .arg = "T",
	  AT(longer_ns),
	  .help = "x" },
};

static const struct gs_cmd once = {
	.name = "once",
	.formats = formats,
	.target = GS_ARG_PID | GS_ARG_CORE,
	.options = table,
	.n_options = GS_ARRAY_SIZE(table),
	.args_size = sizeof(struct args),
};
static const struct gs_cmd lasting = {
	.name = "lasting",
	.flags = GS_CMD_DURATION,
	.args_size = sizeof(struct args),
};

/* Words of literals, which the parser does not change. */
static int parse(const struct gs_cmd *cmd, struct args *a, struct gs_err *err, char **words)
{
	int n = 0;

	while (words[n])
		n++;
	memset(a, 0, sizeof(*a));
	return gs_options_parse(cmd, n, words, a, err);
}
#define PARSE(cmd, a, err, ...) parse(cmd, a, err, (char **)(const char *[]){ __VA_ARGS__, NULL })

static void test_forms(void **state)
{
	struct gs_err err;
	struct args a;

	gs_assert_ok(PARSE(&once, &a, &err, "--name", "x", "1", "--limit=7", "-ga"), &err);
	assert_string_equal(a.name, "x");
	assert_string_equal(a.common.target, "1");
	assert_int_equal(a.limit, 7);
	assert_true(a.group && a.all);
	gs_assert_ok(PARSE(&once, &a, &err, "-gny", "-n=z", "1"), &err);
	assert_string_equal(a.name, "z");
	gs_assert_ok(PARSE(&once, &a, &err, "-n", "-g", "1"), &err);
	assert_string_equal(a.name, "-g");
	assert_false(a.group);
	gs_assert_ok(PARSE(&once, &a, &err, "--waiting-longer", "1h30m", "1"), &err);
	assert_int_equal(a.longer_ns, 5400000000000);
	gs_assert_ok(PARSE(&once, &a, &err, "--name=a=b", "1"), &err);
	assert_string_equal(a.name, "a=b");
}

static void test_program(void **state)
{
	static const struct gs_cmd starts = { .name = "starts",
					      .target = GS_ARG_PID | GS_ARG_PROGRAM,
					      .args_size = sizeof(struct args) };
	/* The program is borrowed from the command line, which lives as long as the process. */
	static const char *command_line[] = { "-q", "--", "ls", "-l", "--", "x", NULL };
	char **words = (char **)command_line;
	struct gs_err err;
	struct args a;

	gs_assert_ok(parse(&starts, &a, &err, words), &err);
	assert_null(a.common.target);
	assert_true(a.common.quiet);
	assert_string_equal(a.common.program[0], "ls");
	assert_string_equal(a.common.program[3], "x");
	assert_null(a.common.program[4]);
	gs_assert_ok(PARSE(&starts, &a, &err, "1"), &err);
	assert_null(a.common.program);
	assert_int_equal(PARSE(&starts, &a, &err, "1", "--", "ls"), -EINVAL);
	assert_int_equal(PARSE(&starts, &a, &err, "--"), -EINVAL);
	assert_int_equal(PARSE(&starts, &a, &err, "--", ""), -EINVAL);
	/* Other commands keep to what -- means elsewhere. */
	gs_assert_ok(PARSE(&once, &a, &err, "--", "1"), &err);
	assert_string_equal(a.common.target, "1");
	assert_null(a.common.program);
}

static void test_defaults(void **state)
{
	struct gs_err err;
	struct args a;

	gs_assert_ok(PARSE(&once, &a, &err, "1"), &err);
	assert_string_equal(a.colour, "auto");
	assert_string_equal(a.common.format, "text");
	assert_int_equal(a.limit, 12);
	assert_null(a.name);
	assert_ptr_equal(a.common.cmd, &once);
}

static void test_repeated(void **state)
{
	const char *words[GS_STRINGS_MAX * 2 + 5] = { "1" };
	struct gs_err err;
	struct args a;
	int n = 1;

	gs_assert_ok(PARSE(&once, &a, &err, "-l", "a", "--label=b", "1", "-lc"), &err);
	assert_int_equal(a.labels.n, 3);
	assert_string_equal(a.labels.v[2], "c");
	assert_null(a.labels.v[3]);
	for (int i = 0; i < GS_STRINGS_MAX; i++)
		words[n++] = "-lx";
	gs_assert_ok(parse(&once, &a, &err, (char **)words), &err);
	assert_null(a.labels.v[GS_STRINGS_MAX]);
	words[n++] = "-lx";
	gs_assert_fails(-EINVAL, "more than 32 times", parse(&once, &a, &err, (char **)words),
			&err);
}

static void test_end_of_options(void **state)
{
	struct gs_err err;
	struct args a;

	gs_assert_ok(PARSE(&once, &a, &err, "-g", "--", "--name"), &err);
	assert_string_equal(a.common.target, "--name");
	gs_assert_ok(PARSE(&once, &a, &err, "-"), &err);
	assert_string_equal(a.common.target, "-");
	gs_assert_ok(PARSE(&once, &a, &err, "-n", "--", "1"), &err);
	assert_string_equal(a.name, "--");
}

static void test_mistakes(void **state)
{
	struct gs_err err;
	struct args a;

	gs_assert_fails(-EINVAL, "unknown option --wating-longer: did you mean --waiting-longer?",
			PARSE(&once, &a, &err, "--wating-longer", "5m", "1"), &err);
	gs_assert_fails(-EINVAL, "unknown option --wating-longer: did you mean --waiting-longer?",
			PARSE(&once, &a, &err, "--wating-longer=5m", "1"), &err);
	gs_assert_fails(-EINVAL, "unknown option -z", PARSE(&once, &a, &err, "-gz", "1"), &err);
	gs_assert_fails(-EINVAL, "--name: S is missing", PARSE(&once, &a, &err, "1", "--name"),
			&err);
	gs_assert_fails(-EINVAL, "--name: S is missing", PARSE(&once, &a, &err, "1", "-gn"), &err);
	gs_assert_fails(-EINVAL, "--group takes no value", PARSE(&once, &a, &err, "--group=1", "1"),
			&err);
	gs_assert_fails(-EINVAL, "did you mean always?",
			PARSE(&once, &a, &err, "--colour", "alway", "1"), &err);
	gs_assert_fails(-EINVAL, "--limit: \"-1\" is no whole number",
			PARSE(&once, &a, &err, "--limit", "-1", "1"), &err);
	gs_assert_fails(-EINVAL,
			"--waiting-longer: ", PARSE(&once, &a, &err, "--waiting-longer", "5x", "1"),
			&err);
	gs_assert_fails(-EINVAL, "no target", PARSE(&once, &a, &err, "-g"), &err);
	gs_assert_fails(-EINVAL, "\"2\" is too much", PARSE(&once, &a, &err, "1", "2"), &err);
	gs_assert_fails(-EINVAL, "unknown option --", PARSE(&once, &a, &err, "--=x", "1"), &err);
	/* No abbreviations: they would change their meaning with the next option. */
	gs_assert_fails(-EINVAL, "did you mean --waiting-longer?",
			PARSE(&once, &a, &err, "--wait", "1"), &err);
	gs_assert_fails(-EINVAL, "takes no target", PARSE(&lasting, &a, &err, "1"), &err);
}

static void test_duration_only_where_it_means_something(void **state)
{
	struct gs_err err;
	struct args a;

	gs_assert_fails(-EINVAL, "looks once and ends", PARSE(&once, &a, &err, "-d", "5", "1"),
			&err);
	gs_assert_fails(-EINVAL, "looks once and ends", PARSE(&once, &a, &err, "--duration=5", "1"),
			&err);
	gs_assert_ok(PARSE(&lasting, &a, &err, "-d", "1.5m"), &err);
	assert_int_equal(a.common.duration_ns, 90000000000);
}

static void test_help_wins(void **state)
{
	struct gs_err err;
	struct args a;

	assert_int_equal(PARSE(&once, &a, &err, "--help"), GS_OPTIONS_HELP);
	assert_int_equal(PARSE(&once, &a, &err, "-gh"), GS_OPTIONS_HELP);
	gs_assert_ok(PARSE(&once, &a, &err, "--", "--help"), &err);
}

static void test_common_options_depend_on_the_command(void **state)
{
	struct gs_opt o;
	bool format = false, exe = false, duration = false;

	for (size_t i = 0; gs_option_at(&lasting, i, &o); i++) {
		format = format || strcmp(o.name, "format") == 0;
		exe = exe || strcmp(o.name, "exe") == 0;
		duration = duration || strcmp(o.name, "duration") == 0;
	}
	assert_false(format || exe);
	assert_true(duration);
	assert_true(gs_option_at(&once, GS_ARRAY_SIZE(table) + 3, &o));
	assert_false(gs_option_at(&once, GS_ARRAY_SIZE(table) + 4, &o));
}

static void test_want_json(void **state)
{
	const char *yes[][3] = { { "--format", "json", "x" },
				 { "x", "--format=json", "y" },
				 { "-f", "json", "x" },
				 { "-fjson", "x", "y" },
				 { "--stirct", "-f=json", "x" } };
	const char *no[][3] = { { "--format", "text", "json" },
				{ "--", "--format=json", "y" },
				{ "json", "x", "--format" } };

	for (size_t i = 0; i < GS_ARRAY_SIZE(yes); i++)
		assert_true(gs_options_want_json(3, (char **)yes[i]));
	for (size_t i = 0; i < GS_ARRAY_SIZE(no); i++)
		assert_false(gs_options_want_json(3, (char **)no[i]));
}

const struct gs_cmd *const gs_commands[] = { &once, &lasting, NULL };

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_program),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_end_of_options),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_duration_only_where_it_means_something),
		cmocka_unit_test(test_help_wins),
		cmocka_unit_test(test_common_options_depend_on_the_command),
		cmocka_unit_test(test_want_json),
	};

	return gs_test_main(tests);
}
