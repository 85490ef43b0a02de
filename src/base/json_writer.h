/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BASE_JSON_WRITER_H
#define GS_BASE_JSON_WRITER_H

/*
 * Streaming JSON writer. Commas and nesting are its business; nothing is allocated per value. The
 * output is one line unless @pretty. Strings are valid UTF-8 whatever the input: bytes that are not
 * become U+FFFD.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/out.h"

#define GS_JSON_DEPTH 32

struct gs_json {
	struct gs_out *out;
	bool pretty;
	bool after_key;
	uint8_t depth;
	bool filled[GS_JSON_DEPTH]; /* a value was written on this level */
	char closer[GS_JSON_DEPTH];
};

void gs_json_init(struct gs_json *j, struct gs_out *out, bool pretty);
void gs_json_open_object(struct gs_json *j);
void gs_json_open_array(struct gs_json *j);
/** Close the innermost object or array. */
void gs_json_close(struct gs_json *j);
/** Our own key: plain ASCII, not escaped. */
void gs_json_key(struct gs_json *j, const char *key);
/** A foreign key. */
void gs_json_key_n(struct gs_json *j, const char *key, size_t n);
void gs_json_string(struct gs_json *j, const char *s);
void gs_json_string_n(struct gs_json *j, const char *s, size_t n);
void gs_json_u64(struct gs_json *j, uint64_t v);
void gs_json_i64(struct gs_json *j, int64_t v);
/** "0x…" as a string: addresses do not fit a double. */
void gs_json_hex(struct gs_json *j, uint64_t v);
/** Nanoseconds as decimal seconds, exactly. */
void gs_json_seconds(struct gs_json *j, int64_t ns);
/** RFC 3339 in UTC, nanoseconds always; null for 0, which is unknown. */
void gs_json_time(struct gs_json *j, uint64_t unix_ns);
void gs_json_double(struct gs_json *j, double v);
void gs_json_bool(struct gs_json *j, bool v);
void gs_json_null(struct gs_json *j);
/** Bytes that already are JSON: one value. */
void gs_json_raw(struct gs_json *j, const char *s, size_t n);

/* Key and value in one call. */
void gs_json_kv_string(struct gs_json *j, const char *key, const char *s);
void gs_json_kv_u64(struct gs_json *j, const char *key, uint64_t v);
void gs_json_kv_i64(struct gs_json *j, const char *key, int64_t v);
void gs_json_kv_bool(struct gs_json *j, const char *key, bool v);

#endif
