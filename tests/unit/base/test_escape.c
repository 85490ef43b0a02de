/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Escaping: what reaches a terminal is well-formed UTF-8 without anything that acts. */
#include "test.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/escape.h"

static const struct {
	const char *in, *out;
} cases[] = {
	{ "", "" },
	{ "main.(*T[go.shape.int]).Do-fm", "main.(*T[go.shape.int]).Do-fm" },
	{ "größe 日本 \xf0\x9f\x98\x80", "größe 日本 \xf0\x9f\x98\x80" },
	{ "\x1b[2J", "\\x1b[2J" },
	{ "a\nb\tc\rd\x7f", "a\\x0ab\\x09c\\x0dd\\x7f" },
	{ "\xc2\x9b\x33m", "\\xc2\\x9b3m" }, // C1 CSI
	{ "a\xe2\x80\xae"
	  "b",
	  "a\\xe2\\x80\\xaeb" }, // right-to-left override
	{ "a\xe2\x81\xa7"
	  "b",
	  "a\\xe2\\x81\\xa7b" }, // right-to-left isolate
	{ "a\xe2\x80\xa8"
	  "b",
	  "a\\xe2\\x80\\xa8b" }, // line separator
	{ "\xff\xfe", "\\xff\\xfe" },
	{ "\xc0\xaf", "\\xc0\\xaf" }, // overlong "/"
	{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },          // surrogate
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, // above U+10FFFF
	{ "\xe6\x97", "\\xe6\\x97" },                   // cut short
};

static void test_cases(void **state)
{
	char buf[256];

	(void)state; // no fixture
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n = strlen(cases[i].in);

		assert_int_equal(gs_escape_to(buf, sizeof(buf), cases[i].in, n),
				 strlen(cases[i].out));
		assert_string_equal(buf, cases[i].out);
		assert_int_equal(gs_escape_needed(cases[i].in, n),
				 strcmp(cases[i].in, cases[i].out) != 0);
	}
}

/* A cut never leaves half an escape or half a character, and always a NUL. */
static void test_cut(void **state)
{
	const char *in = "ab\x1b"
			 "日x";
	static const char *const out[] = { "",        "",        "a",         "ab",
					   "ab",      "ab",      "ab",        "ab\\x1b",
					   "ab\\x1b", "ab\\x1b", "ab\\x1b日", "ab\\x1b日x" };
	char buf[32];

	(void)state; // no fixture
	assert_int_equal(gs_escape_to(NULL, 0, in, strlen(in)), 0);
	for (size_t size = 1; size < sizeof(out) / sizeof(out[0]); size++) {
		memset(buf, '#', sizeof(buf));
		assert_int_equal(gs_escape_to(buf, size, in, strlen(in)), strlen(out[size]));
		assert_string_equal(buf, out[size]);
		assert_int_equal(buf[size], '#');
	}
}

/* Random bytes: the result needs no escaping, and bytes that need none survive. */
static void test_random(void **state)
{
	unsigned int seed = 1;
	char in[64], out[64 * 4 + 1];

	(void)state; // no fixture
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)rand_r(&seed) % sizeof(in), len;

		for (size_t i = 0; i < n; i++)
			in[i] = (char)rand_r(&seed);
		len = gs_escape_to(out, sizeof(out), in, n);
		assert_int_equal(strlen(out), len);
		assert_false(gs_escape_needed(out, len));
		if (!gs_escape_needed(in, n))
			assert_memory_equal(out, in, n);
	}
}

/* gs_utf8_len against the definition, for every three-byte string. */
static void test_utf8_exhaustive(void **state)
{
	(void)state; // no fixture
	for (unsigned int v = 0; v < 1u << 24; v++) {
		const unsigned char p[3] = { (unsigned char)(v >> 16), (unsigned char)(v >> 8),
					     (unsigned char)v };
		unsigned int two = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
		unsigned int three = (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
		bool t1 = (p[1] & 0xc0) == 0x80, t2 = (p[2] & 0xc0) == 0x80;
		size_t want = 0;

		if (p[0] < 0x80)
			want = 1;
		else if ((p[0] & 0xe0) == 0xc0 && t1 && two >= 0x80)
			want = 2;
		else if ((p[0] & 0xf0) == 0xe0 && t1 && t2 && three >= 0x800 &&
			 (three < 0xd800 || three > 0xdfff))
			want = 3;
		if (gs_utf8_len((const char *)p, 3) != want)
			fail_msg("%06x: not %zu", v, want);
	}
	assert_int_equal(gs_utf8_len("x", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_utf8_exhaustive),
	};

	return gs_test_main(tests);
}
