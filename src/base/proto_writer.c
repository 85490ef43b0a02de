/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Protocol buffers, the writing half; see proto_writer.h. A field is a tag (number << 3 | wire type)
 * and a value; of the wire types only varint (0) and length-delimited (2) are needed. The length of a
 * nested message gets one byte in advance, which is enough for nearly all; longer bodies are moved.
 */
#include "base/proto_writer.h"

#include <assert.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, VARINT_MAX = 10 };

static size_t encode(uint8_t *dst, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		dst[n++] = (uint8_t)(v | 0x80);
	dst[n++] = (uint8_t)v;
	return n;
}

void gs_proto_varint(struct gs_out *o, uint64_t v)
{
	uint8_t b[VARINT_MAX];

	gs_out_bytes(o, b, encode(b, v));
}

static void tag(struct gs_out *o, uint32_t field, uint32_t wire)
{
	gs_proto_varint(o, (uint64_t)field << 3 | wire);
}

void gs_proto_u64(struct gs_out *o, uint32_t field, uint64_t v)
{
	if (v == 0)
		return;
	tag(o, field, WIRE_VARINT);
	gs_proto_varint(o, v);
}

void gs_proto_i64(struct gs_out *o, uint32_t field, int64_t v)
{
	gs_proto_u64(o, field, (uint64_t)v);
}

void gs_proto_bytes(struct gs_out *o, uint32_t field, const void *p, size_t n)
{
	tag(o, field, WIRE_BYTES);
	gs_proto_varint(o, n);
	gs_out_bytes(o, p, n);
}

size_t gs_proto_begin(struct gs_out *o, uint32_t field)
{
	assert(o->fd < 0);
	tag(o, field, WIRE_BYTES);
	gs_out_char(o, 0);
	return o->len;
}

void gs_proto_end(struct gs_out *o, size_t mark)
{
	uint8_t length[VARINT_MAX];
	size_t body, n;

	if (gs_out_failed(o))
		return; /* the mark may point at bytes that were never written */
	body = o->len - mark;
	n = encode(length, body);
	if (n > 1) {
		if (!gs_out_room(o, n - 1))
			return;
		memmove(o->buf + mark + n - 1, o->buf + mark, body);
		o->len += n - 1;
		o->total += n - 1;
	}
	memcpy(o->buf + mark - 1, length, n);
}
