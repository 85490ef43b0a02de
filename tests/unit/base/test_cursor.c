/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The cursor: nothing outside of its bytes is ever touched, and failures move nothing. */
#include "test.h"

#include "base/cursor.h"

static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };

static void test_numbers(void **state)
{
	struct gs_cursor c = gs_cursor_make(bytes, 10, "ten");
	struct gs_err err = { 0 };
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;
	uint8_t v8;

	(void)state; // no fixture
	gs_assert_ok(gs_cursor_u8(&c, &v8, &err), &err);
	assert_int_equal(v8, 1);
	gs_assert_ok(gs_cursor_u16(&c, &v16, &err), &err);
	assert_int_equal(v16, 0x0302);
	gs_assert_ok(gs_cursor_u32(&c, &v32, &err), &err);
	assert_int_equal(v32, 0x07060504);
	assert_int_equal(gs_cursor_offset(&c), 7);
	assert_int_equal(gs_cursor_left(&c), 3);
	v64 = 99;
	gs_assert_fails(-GS_E_BAD_DATA, "ten: need 8 bytes at offset 0x7, have 3",
			gs_cursor_u64(&c, &v64, &err), &err);
	assert_int_equal(err.where, 7);
	assert_int_equal(v64, 99); // untouched
	assert_int_equal(gs_cursor_offset(&c), 7);
	c = gs_cursor_make(bytes, 10, "ten");
	c.swap = true;
	gs_assert_ok(gs_cursor_u64(&c, &v64, &err), &err);
	assert_int_equal(v64, 0x0102030405060708);
	gs_assert_ok(gs_cursor_u16(&c, &v16, &err), &err);
	assert_int_equal(v16, 0x090a);
	gs_assert_result(-GS_E_BAD_DATA, gs_cursor_u8(&c, &v8, NULL), &err);
}

static void test_empty(void **state)
{
	struct gs_cursor c = gs_cursor_make(NULL, 0, "nothing"), sub;
	struct gs_err err;
	const char *s;
	size_t n;

	(void)state; // no fixture
	assert_int_equal(gs_cursor_left(&c), 0);
	gs_assert_ok(gs_cursor_seek(&c, 0, &err), &err);
	gs_assert_ok(gs_cursor_skip(&c, 0, &err), &err);
	gs_assert_ok(gs_cursor_sub(&c, 0, &sub, &err), &err);
	gs_assert_ok(gs_cursor_bytes(&c, NULL, 0, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "has no end", gs_cursor_string(&c, &s, &n, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "need 1", gs_cursor_skip(&c, 1, &err), &err);
}

static void test_moving(void **state)
{
	struct gs_cursor c = gs_cursor_make(bytes, 10, "ten"), sub, table;
	struct gs_err err;
	uint8_t v;

	(void)state; // no fixture
	gs_assert_ok(gs_cursor_seek(&c, 10, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "offset 0xb is outside", gs_cursor_seek(&c, 11, &err),
			&err);
	gs_assert_fails(-GS_E_BAD_DATA, "outside", gs_cursor_seek(&c, UINT64_MAX, &err), &err);
	gs_assert_ok(gs_cursor_window(&c, 2, 3, &sub, &err), &err);
	assert_int_equal(gs_cursor_size(&sub), 3);
	assert_int_equal(*sub.pos, 3);
	gs_assert_ok(gs_cursor_window(&sub, 3, 0, &table, &err), &err);
	gs_assert_result(-GS_E_BAD_DATA, gs_cursor_window(&sub, 2, 2, &table, &err), &err);
	gs_assert_result(-GS_E_BAD_DATA, gs_cursor_window(&sub, 1, UINT64_MAX, &table, &err), &err);
	gs_assert_ok(gs_cursor_seek(&c, 1, &err), &err);
	gs_assert_ok(gs_cursor_table(&c, 3, 3, &table, &err), &err);
	assert_int_equal(gs_cursor_size(&table), 9);
	assert_int_equal(gs_cursor_left(&c), 0);
	gs_assert_ok(gs_cursor_u8(&table, &v, &err), &err);
	assert_int_equal(v, 2);
	gs_assert_ok(gs_cursor_seek(&c, 0, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "make no table", gs_cursor_table(&c, 3, 0, &table, &err),
			&err);
	gs_assert_fails(-GS_E_BAD_DATA, "make no table",
			gs_cursor_table(&c, (uint64_t)1 << 62, 8, &table, &err), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "need 12", gs_cursor_table(&c, 4, 3, &table, &err), &err);
	assert_int_equal(gs_cursor_offset(&c), 0);
}

/* Values and encodings from the LEB128 definition in DWARF 5, 7.6, and the limits of 64 bits. */
static void test_uvarint(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		uint64_t value;
	} good[] = {
		{ "\x02", 1, 2 },
		{ "\x7f", 1, 127 },
		{ "\x80\x01", 2, 128 },
		{ "\x81\x01", 2, 129 },
		{ "\xb9\x64", 2, 12857 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, UINT64_MAX },
	};
	static const struct {
		const char *bytes, *words;
		size_t n;
	} bad[] = {
		{ "", "need 1", 0 },
		{ "\x80", "need 1", 1 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "no end", 10 }, // 65 bits
		{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", "no end", 11 },
	};
	struct gs_err err;
	uint64_t v;

	(void)state; // no fixture
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct gs_cursor c = gs_cursor_make(good[i].bytes, good[i].n, "varint");

		gs_assert_ok(gs_cursor_uvarint(&c, &v, &err), &err);
		assert_true(v == good[i].value);
		assert_int_equal(gs_cursor_left(&c), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct gs_cursor c = gs_cursor_make(bad[i].bytes, bad[i].n, "varint");

		gs_assert_fails(-GS_E_BAD_DATA, bad[i].words, gs_cursor_uvarint(&c, &v, &err),
				&err);
		assert_int_equal(gs_cursor_offset(&c), 0);
	}
}

static void test_strings(void **state)
{
	struct gs_cursor c = gs_cursor_make("ab\0\0xyz", 7, "strings");
	struct gs_err err;
	const char *s;
	size_t n;

	(void)state; // no fixture
	gs_assert_ok(gs_cursor_string(&c, &s, &n, &err), &err);
	assert_string_equal(s, "ab");
	assert_int_equal(n, 2);
	gs_assert_ok(gs_cursor_string(&c, &s, &n, &err), &err);
	assert_int_equal(n, 0);
	gs_assert_fails(-GS_E_BAD_DATA, "offset 0x4 has no end", gs_cursor_string(&c, &s, &n, &err),
			&err);
}

/* Messages quote foreign names escaped, and a prefix keeps what was there. */
static void test_errors(void **state)
{
	struct gs_err err;

	(void)state; // no fixture
	assert_int_equal(gs_fail(&err, -GS_E_LIMIT, 5, "bad \x1b[31m%s\n", "name"), -GS_E_LIMIT);
	assert_string_equal(err.text, "bad \\x1b[31mname\\x0a");
	assert_int_equal(err.where, 5);
	assert_int_equal(gs_fail_in(&err, -GS_E_NOT_GO, "file %d", 7), -GS_E_NOT_GO);
	assert_string_equal(err.text, "file 7: bad \\x1b[31mname\\x0a");
	assert_int_equal(err.code, -GS_E_NOT_GO);
	assert_int_equal(gs_fail(NULL, -3, 0, "x"), -3);
	assert_int_equal(gs_fail_in(NULL, -3, "x"), -3);
	for (int i = 0; i < 100; i++)
		(void)gs_fail_in(&err, -1, "a long prefix that fills the text sooner or later");
	assert_int_equal(err.text[sizeof(err.text) - 1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_empty),
		cmocka_unit_test(test_moving),  cmocka_unit_test(test_uvarint),
		cmocka_unit_test(test_strings), cmocka_unit_test(test_errors),
	};

	return gs_test_main(tests);
}
