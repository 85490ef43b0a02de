/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Texts in columns: the width of a terminal, of characters, and numbers made short. Foreign text is
 * escaped before it is measured, so that what is counted is what is printed.
 */
#include "cli/terminal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/escape.h"

unsigned int gs_terminal_width(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize w;
	long n = columns ? strtol(columns, NULL, 10) : 0;

	if (n >= 20 && n <= 10000)
		return (unsigned int)n;
	if (!isatty(fd))
		return 0;
	return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

/* The next character: its bytes and its columns. Outside a UTF-8 locale each byte is a column, which
 * is what such a terminal shows. */
static size_t next_character(const char *s, size_t n, unsigned int *ret_columns)
{
	mbstate_t state = { 0 };
	wchar_t wc;
	size_t len = mbrtowc(&wc, s, n, &state);
	int w;

	if (len == 0 || len > n) {
		len = gs_utf8_len(s, n);
		*ret_columns = 1;
		return len ? len : 1;
	}
	w = wcwidth(wc);
	*ret_columns = w > 0 ? (unsigned int)w : 0;
	return len;
}

unsigned int gs_text_columns(const char *s, size_t n)
{
	unsigned int sum = 0, w;

	for (size_t i = 0; i < n; sum += w)
		i += next_character(s + i, n - i, &w);
	return sum;
}

unsigned int gs_text_cell(struct gs_out *o, const char *s, size_t n, unsigned int width)
{
	char text[1024];
	size_t len = gs_escape_to(text, sizeof(text), s, n), cut = 0, at = 0;
	unsigned int sum = 0, sum_cut = 0, w;

	if (width == 0) {
		gs_out_name(o, s, n);
		return gs_text_columns(text, len);
	}
	while (at < len) {
		size_t step = next_character(text + at, len - at, &w);

		if (sum + w > width) {
			gs_out_bytes(o, text, cut);
			gs_out_str(o, "…");
			return sum_cut + 1;
		}
		at += step;
		sum += w;
		if (sum + 1 <= width) {
			cut = at;
			sum_cut = sum;
		}
	}
	gs_out_bytes(o, text, len);
	return sum;
}

const char *gs_text_bytes(char buf[16], uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1023.95 && u + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		u++;
	}
	if (u == 0 || v >= 99.95)
		snprintf(buf, 16, "%.0f %s", v, units[u]);
	else
		snprintf(buf, 16, "%.1f %s", v, units[u]);
	return buf;
}

const char *gs_text_duration(char buf[16], int64_t ns)
{
	int64_t s = ns / 1000000000;

	if (ns < 0)
		snprintf(buf, 16, "-");
	else if (s == 0)
		snprintf(buf, 16, "%" PRId64 "ms", ns / 1000000);
	else if (s < 60)
		snprintf(buf, 16, "%" PRId64 "s", s);
	else if (s < 3600)
		snprintf(buf, 16, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, 16, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
	else
		snprintf(buf, 16, "%" PRId64 "d%02" PRId64 "h", s / 86400, s / 3600 % 24);
	return buf;
}
