/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_LIB_TEST_H
#define GS_TESTS_LIB_TEST_H

/*
 * cmocka with what it needs in front of it, and assertions that know struct gs_err. A test program
 * is `int main(void) { const struct CMUnitTest tests[] = { cmocka_unit_test(f), … }; return
 * gs_test_main(tests); }`.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <gosonde/err.h>

#define gs_test_main(tests) cmocka_run_group_tests(tests, NULL, NULL)

/* @expr, which fills @err, has to give @want; otherwise the error's text is printed. */
#define gs_assert_result(want, expr, err)                                                          \
	do {                                                                                       \
		int got_ = (expr);                                                                 \
                                                                                                   \
		if (got_ != (want))                                                                \
			fail_msg("%s gave %d, not %d: %s", #expr, got_, (int)(want),               \
				 got_ < 0 ? (err)->text : "");                                     \
	} while (0)

#define gs_assert_ok(expr, err) gs_assert_result(0, expr, err)

/* @expr has to fail with @code, and its message has to contain @words. */
#define gs_assert_fails(code_, words, expr, err)                                                   \
	do {                                                                                       \
		int got_;                                                                          \
                                                                                                   \
		(err)->text[0] = '\0';                                                             \
		got_ = (expr);                                                                     \
		if (got_ != (code_) || (err)->code != (code_) || !strstr((err)->text, words))      \
			fail_msg("%s gave %d \"%s\", not %d \"…%s…\"", #expr, got_, (err)->text,   \
				 (int)(code_), words);                                             \
	} while (0)

/* Open file descriptors of this process, for those who must leave none behind. */
static inline int gs_test_open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#endif
