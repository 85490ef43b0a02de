/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Go version strings as linkers write them (internal/buildcfg, cmd/dist/build.go findgoversion):
 *
 *	go1.27  go1.26.10  go1.28rc1  go1.28beta2          releases and candidates
 *	go1.26.10 X:nogreenteagc  go1.26.10-X:...          with GOEXPERIMENT differences
 *	devel go1.28-0123abcdef Tue Nov ...                development trees until 1.25
 *	go1.28-devel_0123abcdef Tue Nov ...                development trees since 1.26
 *	go1.22.3 (Red Hat 1.22.3-1.el9)  go1.22.3-fork     vendors
 *
 * Only the numbers decide layouts; everything behind them is text.
 */
#include "golang/release.h"

#include <string.h>

#include "base/escape.h"

/* Decimal number of at most four digits, no sign. */
static size_t number(const char *s, size_t n, uint16_t *ret)
{
	unsigned int v = 0;
	size_t i = 0;

	while (i < n && i < 5 && s[i] >= '0' && s[i] <= '9')
		v = v * 10 + (unsigned int)(s[i++] - '0');
	if (i == 0 || i > 4)
		return 0;
	*ret = (uint16_t)v;
	return i;
}

static bool skip(const char **s, size_t *n, const char *prefix)
{
	size_t len = strlen(prefix);

	if (*n < len || memcmp(*s, prefix, len) != 0)
		return false;
	*s += len;
	*n -= len;
	return true;
}

int gs_go_release_parse(const char *s, size_t n, struct gs_go_release *ret)
{
	struct gs_go_release rel = { 0 };
	const char *all = s;
	size_t used, all_n = n;

	rel.devel = skip(&s, &n, "devel ");
	if (!skip(&s, &n, "go1."))
		return 1;
	used = number(s, n, &rel.minor);
	if (used == 0)
		return 1;
	s += used;
	n -= used;
	if (skip(&s, &n, "rc") || skip(&s, &n, "beta")) {
		rel.devel = true;
		used = number(s, n, &(uint16_t){ 0 });
		if (used == 0)
			return 1;
		s += used;
		n -= used;
	} else if (skip(&s, &n, ".")) {
		used = number(s, n, &rel.patch);
		if (used == 0)
			return 1;
		s += used;
		n -= used;
	}
	// What follows the numbers is set off; "go1.26x" is a name of somebody's own.
	if (n > 0 && !strchr(" -+_(", *s))
		return 1;
	if (skip(&s, &n, "-devel"))
		rel.devel = true;
	(void)gs_escape_to(rel.text, sizeof(rel.text), all, all_n); // the length is of no interest
	*ret = rel;
	return 0;
}
