/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BASE_PROTO_WRITER_H
#define GS_BASE_PROTO_WRITER_H

/*
 * Protocol buffers, the writing half (protobuf.dev/programming-guides/encoding). Functions append to
 * a gs_out, whose sticky error is also theirs. Fields whose value is zero or empty are left out, as
 * proto3 asks, except by the functions that say otherwise.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/out.h"

/** A bare varint, as in the body of a packed field. */
void gs_proto_varint(struct gs_out *o, uint64_t v);
/** uint64, uint32, bool and enum fields; nothing if @v is 0. */
void gs_proto_u64(struct gs_out *o, uint32_t field, uint64_t v);
/** int64 and int32 fields (negative ones take ten bytes); nothing if @v is 0. */
void gs_proto_i64(struct gs_out *o, uint32_t field, int64_t v);
/** string, bytes, an encoded message or a packed field; also when @n is 0. */
void gs_proto_bytes(struct gs_out *o, uint32_t field, const void *p, size_t n);

/**
 * Open a message or packed field inside of @o, which must collect in memory (gs_out_init_mem): the
 * length in front is known only at the end. Calls nest.
 *
 * @return the mark to pass to gs_proto_end().
 */
size_t gs_proto_begin(struct gs_out *o, uint32_t field);
/** Close what gs_proto_begin() opened: fills in the length, moving the body if it is long. */
void gs_proto_end(struct gs_out *o, size_t mark);

#endif
