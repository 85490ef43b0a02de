/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Values of options, and the guess at what a misspelt word was meant to be. Durations follow Go's
 * time.ParseDuration: a sequence of decimal numbers, each with a unit. All sums are in integers, so
 * that 0.1s is exactly 100 ms.
 */
#include "cli/option_values.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define WORD_MAX 40

struct unit {
	const char *name;
	int64_t ns;
};

/* "µ" is U+00B5, "μ" is U+03BC; Go accepts both. */
static const struct unit units[] = {
	{ "ns", 1 },       { "us", 1000 },      { "\xc2\xb5s", 1000 }, { "\xce\xbcs", 1000 },
	{ "ms", 1000000 }, { "s", 1000000000 }, { "m", 60000000000 },  { "h", 3600000000000 },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The unit at @s is all that is no digit and no point. */
static const struct unit *unit_at(const char *s, size_t *ret_len)
{
	size_t n = 0;

	while (s[n] && s[n] != '.' && !is_digit(s[n]))
		n++;
	*ret_len = n;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strlen(units[i].name) == n && memcmp(units[i].name, s, n) == 0)
			return &units[i];
	}
	return NULL;
}

struct decimal {
	uint64_t whole, fraction, scale; /* whole + fraction / scale */
};

/* Digits beyond the 18th of the fraction are below any unit's nanosecond: they are read and dropped. */
static const char *decimal_at(const char *s, struct decimal *ret)
{
	const char *start = s;
	bool any = false;

	*ret = (struct decimal){ .scale = 1 };
	for (; is_digit(*s); s++, any = true) {
		if (__builtin_mul_overflow(ret->whole, 10, &ret->whole) ||
		    __builtin_add_overflow(ret->whole, (uint64_t)(*s - '0'), &ret->whole))
			return NULL;
	}
	if (*s == '.') {
		for (s++; is_digit(*s); s++, any = true) {
			if (ret->scale >= 1000000000000000000)
				continue;
			ret->fraction = ret->fraction * 10 + (uint64_t)(*s - '0');
			ret->scale *= 10;
		}
	}
	return any ? s : start;
}

static bool add_part(int64_t *sum, const struct decimal *d, int64_t unit_ns)
{
	uint64_t ns, part = (uint64_t)((__uint128_t)d->fraction * (uint64_t)unit_ns / d->scale);

	if (__builtin_mul_overflow(d->whole, (uint64_t)unit_ns, &ns) ||
	    __builtin_add_overflow(ns, part, &ns) || ns > INT64_MAX)
		return false;
	return !__builtin_add_overflow(*sum, (int64_t)ns, sum);
}

int gs_parse_duration(const char *s, int64_t *ret_ns, struct gs_err *err)
{
	const char *p = s;
	int64_t sum = 0;

	if (!*s)
		return gs_fail(err, -EINVAL, 0,
			       "an empty value is no duration: write 5m, 1.5s or 300ms");
	if (*s == '-')
		return gs_fail(err, -EINVAL, 0, "\"%s\" is negative: write 5m, 1.5s or 300ms", s);
	while (*p) {
		const struct unit *u;
		struct decimal d;
		const char *next = decimal_at(p, &d);
		size_t len;

		if (!next)
			return gs_fail(err, -EINVAL, 0, "\"%s\" is too long a time", s);
		if (next == p)
			return gs_fail(err, -EINVAL, 0,
				       "\"%s\" is no duration: write 5m, 1.5s or 300ms", s);
		u = unit_at(next, &len);
		if (len == 0 && p == s) { /* a plain number */
			u = &units[5];
		} else if (!u) {
			return gs_fail(err, -EINVAL, 0,
				       "\"%s\" has %s \"%.*s\": units are ns, us, ms, s, m and h",
				       s, len ? "an unknown unit" : "a number without a unit",
				       len ? (int)len : (int)(next - p), len ? next : p);
		}
		if (!add_part(&sum, &d, u->ns))
			return gs_fail(err, -EINVAL, 0, "\"%s\" is too long a time", s);
		p = next + len;
	}
	*ret_ns = sum;
	return 0;
}

int gs_parse_share(const char *s, double *ret, struct gs_err *err)
{
	struct decimal d;
	const char *end = decimal_at(s, &d);

	if (!end || end == s || (*end && strcmp(end, "%") != 0))
		return gs_fail(err, -EINVAL, 0,
			       "\"%s\" is no share. Write it as 2%% or as 0.02; 0 means no limit",
			       s);
	double v = (double)d.whole + (double)d.fraction / (double)d.scale;

	if (*end == '%')
		v /= 100;
	if (v > 1)
		return gs_fail(err, -EINVAL, 0, "\"%s\" is more than the whole. Did you mean %s%%?",
			       s, s);
	*ret = v;
	return 0;
}

int gs_parse_u64(const char *s, uint64_t *ret, struct gs_err *err)
{
	uint64_t v = 0;

	if (!*s)
		return gs_fail(err, -EINVAL, 0, "an empty value is no number");
	for (const char *p = s; *p; p++) {
		if (!is_digit(*p))
			return gs_fail(err, -EINVAL, 0, "\"%s\" is no whole number", s);
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return gs_fail(err, -EINVAL, 0, "\"%s\" is too large a number", s);
	}
	*ret = v;
	return 0;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Optimal string alignment distance of two words of at most WORD_MAX characters. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t row[3][WORD_MAX + 1];

	for (size_t j = 0; j <= nb; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			now[j] = min3(last[j] + 1, now[j - 1] + 1,
				      last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
	}
	return row[na % 3][nb];
}

const char *gs_nearest_word(const char *s, const char *const *words, size_t n)
{
	const char *best = NULL, *prefixed = NULL;
	size_t len = strlen(s), best_distance = len / 3 + 1, prefixes = 0;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t wl = strlen(words[i]), d;

		if (wl > WORD_MAX)
			continue;
		if (len >= 2 && strncmp(words[i], s, len) == 0) {
			prefixed = words[i];
			prefixes++;
		}
		d = distance(s, len, words[i], wl);
		/* A word of which nothing is left is no guess. */
		if (d < best_distance && d < wl && d < len) {
			best_distance = d;
			best = words[i];
		}
	}
	return prefixes == 1 ? prefixed : best;
}
