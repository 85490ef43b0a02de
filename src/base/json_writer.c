/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Streaming JSON writer; see json_writer.h. RFC 8259. */
#include "base/json_writer.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/escape.h"

void gs_json_init(struct gs_json *j, struct gs_out *out, bool pretty)
{
	*j = (struct gs_json){ .out = out, .pretty = pretty };
}

static void indent(struct gs_json *j)
{
	gs_out_char(j->out, '\n');
	for (unsigned int i = 0; i < j->depth; i++)
		gs_out_bytes(j->out, "  ", 2);
}

static void before_value(struct gs_json *j)
{
	if (j->after_key) {
		j->after_key = false;
		return;
	}
	if (j->depth == 0)
		return;
	if (j->filled[j->depth])
		gs_out_char(j->out, ',');
	j->filled[j->depth] = true;
	if (j->pretty)
		indent(j);
}

static void open_level(struct gs_json *j, char opener, char closer)
{
	before_value(j);
	assert(j->depth + 1 < GS_JSON_DEPTH);
	j->depth++;
	j->filled[j->depth] = false;
	j->closer[j->depth] = closer;
	gs_out_char(j->out, opener);
}

void gs_json_open_object(struct gs_json *j)
{
	open_level(j, '{', '}');
}

void gs_json_open_array(struct gs_json *j)
{
	open_level(j, '[', ']');
}

void gs_json_close(struct gs_json *j)
{
	char closer = j->closer[j->depth];
	bool filled = j->filled[j->depth];

	assert(j->depth > 0);
	j->depth--;
	if (j->pretty && filled)
		indent(j);
	gs_out_char(j->out, closer);
	if (j->depth == 0 && j->pretty)
		gs_out_char(j->out, '\n');
}

/* \uNNNN for a character of one to three bytes. */
static void escaped(struct gs_out *o, const char *s, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)s;
	unsigned int c = len == 1   ? p[0]
			 : len == 2 ? (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu)
				    : (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	char six[6] = { '\\',       'u', hex[c >> 12 & 15], hex[c >> 8 & 15], hex[c >> 4 & 15],
			hex[c & 15] };

	gs_out_bytes(o, six, 6);
}

/*
 * Well-formed and harmless bytes are copied in runs; the rest is escaped one by one: what JSON
 * demands, and what would act on a terminal that shows the file.
 */
static void quoted(struct gs_out *o, const char *s, size_t n)
{
	size_t run = 0;

	gs_out_char(o, '"');
	for (size_t i = 0; i < n;) {
		unsigned char c = (unsigned char)s[i];
		size_t len;

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			i++;
			continue;
		}
		len = gs_utf8_len(s + i, n - i);
		if (len && c != '"' && c != '\\' && !gs_utf8_acts(s + i, len)) {
			i += len;
			continue;
		}
		gs_out_bytes(o, s + run, i - run);
		if (c == '"' || c == '\\')
			gs_out_bytes(o, (char[2]){ '\\', (char)c }, 2);
		else if (len)
			escaped(o, s + i, len);
		else
			gs_out_bytes(o, "\xef\xbf\xbd", 3);
		i += len ? len : 1;
		run = i;
	}
	gs_out_bytes(o, s + run, n - run);
	gs_out_char(o, '"');
}

void gs_json_key_n(struct gs_json *j, const char *key, size_t n)
{
	before_value(j);
	quoted(j->out, key, n);
	gs_out_char(j->out, ':');
	if (j->pretty)
		gs_out_char(j->out, ' ');
	j->after_key = true;
}

void gs_json_key(struct gs_json *j, const char *key)
{
	gs_json_key_n(j, key, strlen(key));
}

void gs_json_string_n(struct gs_json *j, const char *s, size_t n)
{
	before_value(j);
	quoted(j->out, s, n);
}

void gs_json_string(struct gs_json *j, const char *s)
{
	gs_json_string_n(j, s, strlen(s));
}

void gs_json_u64(struct gs_json *j, uint64_t v)
{
	before_value(j);
	gs_out_u64(j->out, v);
}

void gs_json_i64(struct gs_json *j, int64_t v)
{
	before_value(j);
	gs_out_i64(j->out, v);
}

void gs_json_hex(struct gs_json *j, uint64_t v)
{
	before_value(j);
	gs_out_char(j->out, '"');
	gs_out_hex(j->out, v);
	gs_out_char(j->out, '"');
}

void gs_json_seconds(struct gs_json *j, int64_t ns)
{
	uint64_t abs = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	uint64_t frac = abs % 1000000000u;
	char digits[9];
	size_t n = 9;

	before_value(j);
	if (ns < 0)
		gs_out_char(j->out, '-');
	gs_out_u64(j->out, abs / 1000000000u);
	if (!frac)
		return;
	for (size_t i = 9; i-- > 0; frac /= 10)
		digits[i] = (char)('0' + frac % 10);
	while (digits[n - 1] == '0')
		n--;
	gs_out_char(j->out, '.');
	gs_out_bytes(j->out, digits, n);
}

void gs_json_time(struct gs_json *j, uint64_t unix_ns)
{
	time_t seconds = (time_t)(unix_ns / 1000000000u);
	char text[48];
	struct tm tm;
	size_t n = 0;

	if (unix_ns && gmtime_r(&seconds, &tm))
		n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	if (!n) {
		gs_json_null(j);
		return;
	}
	snprintf(text + n, sizeof(text) - n, ".%09" PRIu64 "Z", unix_ns % 1000000000u);
	gs_json_string(j, text);
}

void gs_json_double(struct gs_json *j, double v)
{
	before_value(j);
	if (!isfinite(v))
		gs_out_str(j->out, "null");
	else
		gs_out_printf(j->out, "%.9g", v);
}

void gs_json_bool(struct gs_json *j, bool v)
{
	before_value(j);
	gs_out_str(j->out, v ? "true" : "false");
}

void gs_json_null(struct gs_json *j)
{
	before_value(j);
	gs_out_str(j->out, "null");
}

void gs_json_raw(struct gs_json *j, const char *s, size_t n)
{
	before_value(j);
	gs_out_bytes(j->out, s, n);
}

void gs_json_kv_string(struct gs_json *j, const char *key, const char *s)
{
	gs_json_key(j, key);
	if (s)
		gs_json_string(j, s);
	else
		gs_json_null(j);
}

void gs_json_kv_u64(struct gs_json *j, const char *key, uint64_t v)
{
	gs_json_key(j, key);
	gs_json_u64(j, v);
}

void gs_json_kv_i64(struct gs_json *j, const char *key, int64_t v)
{
	gs_json_key(j, key);
	gs_json_i64(j, v);
}

void gs_json_kv_bool(struct gs_json *j, const char *key, bool v)
{
	gs_json_key(j, key);
	gs_json_bool(j, v);
}
