/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Texts in columns: widths, cuts and short numbers. */
#include <locale.h>
#include <stdlib.h>

#include "cli/terminal.h"
#include "test.h"

static void expect_cell(const char *text, size_t n, unsigned int width, const char *want,
			unsigned int columns)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	unsigned int got;

	gs_out_init_mem(&o);
	got = gs_text_cell(&o, text, n, width);
	gs_out_char(&o, '\0');
	assert_string_equal(o.buf, want);
	assert_int_equal(got, columns);
}

static void test_cells(void **state)
{
	expect_cell("main.main", 9, 0, "main.main", 9);
	expect_cell("main.main", 9, 9, "main.main", 9);
	expect_cell("main.main", 9, 8, "main.ma…", 8);
	expect_cell("main.main", 9, 1, "…", 1);
	expect_cell("", 0, 5, "", 0);
	expect_cell("\033[2J", 4, 0, "\\x1b[2J", 7);
	expect_cell("\033[2J", 4, 5, "\\x1b…", 5);
	/* Two columns each; half a character is none. */
	expect_cell("日本語", 9, 6, "日本語", 6);
	expect_cell("日本語", 9, 5, "日本…", 5);
	expect_cell("日本語", 9, 4, "日…", 3);
	/* A combining accent takes no column. */
	expect_cell("e\xcc\x81"
		    "a",
		    4, 2,
		    "e\xcc\x81"
		    "a",
		    2);
}

static void test_bytes(void **state)
{
	char b[16];

	assert_string_equal(gs_text_bytes(b, 0), "0 B");
	assert_string_equal(gs_text_bytes(b, 1023), "1023 B");
	assert_string_equal(gs_text_bytes(b, 1024), "1.0 KiB");
	assert_string_equal(gs_text_bytes(b, 1536), "1.5 KiB");
	assert_string_equal(gs_text_bytes(b, 150u << 20), "150 MiB");
	assert_string_equal(gs_text_bytes(b, (1u << 20) - 1), "1.0 MiB");
	assert_string_equal(gs_text_bytes(b, UINT64_MAX), "16.0 EiB");
}

static void test_durations(void **state)
{
	char b[16];

	assert_string_equal(gs_text_duration(b, 0), "0ms");
	assert_string_equal(gs_text_duration(b, 999999999), "999ms");
	assert_string_equal(gs_text_duration(b, 59000000000), "59s");
	assert_string_equal(gs_text_duration(b, 61000000000), "1m01s");
	assert_string_equal(gs_text_duration(b, 3600000000000), "1h00m");
	assert_string_equal(gs_text_duration(b, 90000000000000), "1d01h");
	assert_string_equal(gs_text_duration(b, INT64_MAX), "106751d23h");
	assert_string_equal(gs_text_duration(b, -1), "-");
}

static void test_width(void **state)
{
	setenv("COLUMNS", "100", 1);
	assert_int_equal(gs_terminal_width(-1), 100);
	setenv("COLUMNS", "junk", 1);
	assert_int_equal(gs_terminal_width(-1), 0);
	setenv("COLUMNS", "-3", 1);
	assert_int_equal(gs_terminal_width(-1), 0);
	unsetenv("COLUMNS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_width),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return gs_test_main(tests);
}
