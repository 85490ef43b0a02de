/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The JSON writer: exact output here; test_json_writer.py lets a JSON parser judge random bytes. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_writer.h"

static const char *text(struct gs_out *o)
{
	gs_out_char(o, '\0');
	return o->buf;
}

static void write_sample(struct gs_json *j)
{
	gs_json_open_object(j);
	gs_json_kv_string(j, "s", "a\"\\\n\x01\x7f");
	gs_json_kv_string(j, "none", NULL);
	gs_json_key(j, "list");
	gs_json_open_array(j);
	gs_json_u64(j, UINT64_MAX);
	gs_json_i64(j, INT64_MIN);
	gs_json_hex(j, 0xdeadbeef);
	gs_json_bool(j, true);
	gs_json_null(j);
	gs_json_open_array(j);
	gs_json_close(j);
	gs_json_raw(j, "{}", 2);
	gs_json_close(j);
	gs_json_key_n(j, "k\0y", 3);
	gs_json_open_object(j);
	gs_json_close(j);
	gs_json_kv_bool(j, "b", false);
	gs_json_close(j);
}

static void test_exact(void **state)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	struct gs_json j;

	(void)state; // no fixture
	gs_out_init_mem(&o);
	gs_json_init(&j, &o, false);
	write_sample(&j);
	assert_string_equal(text(&o),
			    "{\"s\":\"a\\\"\\\\\\u000a\\u0001\\u007f\",\"none\":null,"
			    "\"list\":[18446744073709551615,-9223372036854775808,\"0xdeadbeef\","
			    "true,null,[],{}],\"k\\u0000y\":{},\"b\":false}");
	o.len = 0;
	gs_json_init(&j, &o, true);
	gs_json_open_object(&j);
	gs_json_kv_u64(&j, "a", 1);
	gs_json_key(&j, "b");
	gs_json_open_array(&j);
	gs_json_i64(&j, -2);
	gs_json_close(&j);
	gs_json_close(&j);
	assert_string_equal(text(&o), "{\n  \"a\": 1,\n  \"b\": [\n    -2\n  ]\n}\n");
}

static void test_numbers(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} seconds[] = { { 0, "0" },
			{ 1, "0.000000001" },
			{ -1, "-0.000000001" },
			{ 1500000000, "1.5" },
			{ 60000000000, "60" },
			{ 1000000010, "1.00000001" },
			{ INT64_MAX, "9223372036.854775807" },
			{ INT64_MIN, "-9223372036.854775808" } };
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	struct gs_json j;

	(void)state; // no fixture
	gs_out_init_mem(&o);
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		o.len = 0;
		gs_json_init(&j, &o, false);
		gs_json_seconds(&j, seconds[i].ns);
		assert_string_equal(text(&o), seconds[i].text);
	}
	o.len = 0;
	gs_json_init(&j, &o, false);
	gs_json_open_array(&j);
	gs_json_double(&j, 0.25);
	gs_json_double(&j, NAN);
	gs_json_double(&j, -INFINITY);
	gs_json_close(&j);
	assert_string_equal(text(&o), "[0.25,null,null]");
}

static void test_not_utf8(void **state)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	struct gs_json j;

	(void)state; // no fixture
	gs_out_init_mem(&o);
	gs_json_init(&j, &o, false);
	gs_json_string_n(&j, "a\xff\xe6\x97z日", 8);
	assert_string_equal(text(&o), "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz日\"");
}

/* Called with a count: print that many random strings as one array, for a parser to read. */
static int print_random(int n)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	unsigned int seed = 7;
	struct gs_json j;
	struct gs_err err;
	char bytes[64];

	gs_out_init_fd(&o, STDOUT_FILENO);
	gs_json_init(&j, &o, n % 2);
	gs_json_open_array(&j);
	for (int i = 0; i < n; i++) {
		size_t len = (size_t)rand_r(&seed) % sizeof(bytes);

		for (size_t k = 0; k < len; k++)
			bytes[k] = (char)(rand_r(&seed) >> 8);
		gs_json_open_object(&j);
		gs_json_key_n(&j, "raw", 3);
		gs_json_open_array(&j);
		for (size_t k = 0; k < len; k++)
			gs_json_u64(&j, (uint8_t)bytes[k]);
		gs_json_close(&j);
		gs_json_key(&j, "text");
		gs_json_string_n(&j, bytes, len);
		gs_json_close(&j);
	}
	gs_json_close(&j);
	return gs_out_flush(&o, "standard output", &err) < 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_not_utf8),
	};

	return argc > 1 ? print_random(atoi(argv[1])) : gs_test_main(tests);
}
