/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Protobuf bytes against the examples of the encoding's specification, and long nested messages. */
#include "test.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/proto_writer.h"

static void expect(struct gs_out *o, const char *bytes, size_t n)
{
	assert_false(gs_out_failed(o));
	assert_int_equal(o->len, n);
	assert_int_equal(o->total, n);
	assert_memory_equal(o->buf, bytes, n);
	gs_out_deinit(o);
}

static void scalars(void **state)
{
	struct gs_out o;

	gs_out_init_mem(&o);
	gs_proto_u64(&o, 1, 150); /* protobuf.dev: 08 96 01 */
	gs_proto_u64(&o, 2, 0);   /* left out */
	gs_proto_i64(&o, 1, -2);  /* two's complement, ten bytes */
	gs_proto_bytes(&o, 2, "testing", 7);
	gs_proto_bytes(&o, 536870911, "", 0); /* the largest field number */
	expect(&o,
	       "\x08\x96\x01"
	       "\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	       "\x12\x07testing"
	       "\xfa\xff\xff\xff\x0f\x00",
	       29);
}

static void varints(void **state)
{
	struct gs_out o;

	gs_out_init_mem(&o);
	gs_proto_varint(&o, 0);
	gs_proto_varint(&o, 127);
	gs_proto_varint(&o, 128);
	gs_proto_varint(&o, 1u << 21);
	gs_proto_varint(&o, UINT64_MAX);
	expect(&o,
	       "\x00"
	       "\x7f"
	       "\x80\x01"
	       "\x80\x80\x80\x01"
	       "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	       18);
}

static void nested(void **state)
{
	struct gs_out o;
	size_t outer, inner;

	gs_out_init_mem(&o);
	outer = gs_proto_begin(&o, 3);
	gs_proto_u64(&o, 1, 150);
	gs_proto_end(&o, outer); /* protobuf.dev: 1a 03 08 96 01 */
	outer = gs_proto_begin(&o, 4);
	inner = gs_proto_begin(&o, 1);
	gs_proto_varint(&o, 3);
	gs_proto_varint(&o, 270);
	gs_proto_end(&o, inner);
	inner = gs_proto_begin(&o, 2);
	gs_proto_end(&o, inner);
	gs_proto_end(&o, outer);
	expect(&o, "\x1a\x03\x08\x96\x01\x22\x07\x0a\x03\x03\x8e\x02\x12\x00", 14);
}

/* Lengths of one, two and three bytes around their limits, two levels deep. */
static void long_messages(void **state)
{
	static const size_t sizes[] = { 1, 123, 124, 125, 126, 127, 128, 129, 16383, 16384, 20000 };
	static char body[20000];

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)(i * 7);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i], outer, inner;
		struct gs_out o, want_inner, want;

		gs_out_init_mem(&o);
		gs_out_init_mem(&want_inner);
		gs_out_init_mem(&want);
		outer = gs_proto_begin(&o, 1);
		inner = gs_proto_begin(&o, 2);
		gs_out_bytes(&o, body, n);
		gs_proto_end(&o, inner);
		gs_proto_end(&o, outer);

		gs_proto_bytes(&want_inner, 2, body, n);
		gs_proto_bytes(&want, 1, want_inner.buf, want_inner.len);
		assert_int_equal(o.len, want.len);
		assert_memory_equal(o.buf, want.buf, o.len);
		gs_out_deinit(&o);
		gs_out_deinit(&want_inner);
		gs_out_deinit(&want);
	}
}

static void after_a_failure(void **state)
{
	struct gs_out o;
	size_t mark;

	gs_out_init_mem(&o);
	mark = gs_proto_begin(&o, 1);
	o.error = -12;
	for (int i = 0; i < 100000; i++)
		gs_proto_u64(&o, 1, UINT64_MAX);
	gs_proto_end(&o, mark); /* must not touch what is not there */
	assert_true(gs_out_failed(&o));
	gs_out_deinit(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars),         cmocka_unit_test(varints),
		cmocka_unit_test(nested),          cmocka_unit_test(long_messages),
		cmocka_unit_test(after_a_failure),
	};

	return gs_test_main(tests);
}
