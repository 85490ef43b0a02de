/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Function names as Go shows them: funcNamePiecesForPrint in runtime/traceback.go. Up to Go 1.20 the
 * linker wrote "[...]" into the table itself; 1.21 to 1.26 replace all from the first "[" to the last
 * "]"; 1.27 keeps what stands between the two bracket pairs of a generic method of a generic type.
 * Names are foreign: brackets may be missing or out of order.
 */
#include "model/func_name.h"

#include <string.h>

static const char dots[] = "[...]";

static void add(struct gs_func_name *f, const char *s, size_t n)
{
	f->piece[f->n] = s;
	f->len[f->n++] = n;
}

static struct gs_func_name whole(const char *name, size_t n)
{
	struct gs_func_name f = { 0 };

	add(&f, name, n);
	return f;
}

/* What @s, the text between the first "[" and the last "]", holds if there are brackets in it. */
enum inside {
	INSIDE_ONE,    /* nothing but balanced pairs: one pair of brackets around all of it */
	INSIDE_TWO,    /* "…]x[…": two pairs, *ret_close and *ret_open are the inner brackets */
	INSIDE_BROKEN, /* anything else */
};

static enum inside look_inside(const char *s, size_t n, size_t *ret_close, size_t *ret_open)
{
	long depth = 1, close = -1, open = -1;

	for (size_t k = 0; k < n && open < 0 && depth >= 0; k++) {
		if (s[k] == '[' && ++depth == 1)
			open = (long)k;
		else if (s[k] == ']' && --depth == 0)
			close = (long)k;
	}
	if (depth != 1)
		return INSIDE_BROKEN;
	if (close >= 0 && open > close) {
		*ret_close = (size_t)close;
		*ret_open = (size_t)open;
		return INSIDE_TWO;
	}
	return close < 0 && open < 0 ? INSIDE_ONE : INSIDE_BROKEN;
}

struct gs_func_name gs_func_name_split(const char *name, bool generic_methods)
{
	size_t n = strlen(name), close = 0, open = 0;
	const char *first = memchr(name, '[', n);
	const char *last = first ? memrchr(first, ']', n - (size_t)(first - name)) : NULL;
	enum inside in = INSIDE_ONE;
	struct gs_func_name f = { 0 };

	if (!last)
		return whole(name, n);
	if (generic_methods && memchr(first + 1, '[', (size_t)(last - first - 1)))
		in = look_inside(first + 1, (size_t)(last - first - 1), &close, &open);
	if (in == INSIDE_BROKEN)
		return whole(name, n);
	add(&f, name, (size_t)(first - name));
	add(&f, dots, sizeof(dots) - 1);
	if (in == INSIDE_TWO) {
		add(&f, first + 1 + close + 1, open - close - 1);
		add(&f, dots, sizeof(dots) - 1);
	}
	add(&f, last + 1, n - (size_t)(last + 1 - name));
	return f;
}

/* Directories of GOROOT/src. */
static const char *const std_tops[] = {
	"archive", "bufio",    "builtin", "bytes",   "cmp",      "compress", "container", "context",
	"crypto",  "database", "debug",   "embed",   "encoding", "errors",   "expvar",    "flag",
	"fmt",     "go",       "hash",    "html",    "image",    "index",    "internal",  "io",
	"iter",    "log",      "maps",    "math",    "mime",     "net",      "os",        "path",
	"plugin",  "reflect",  "regexp",  "runtime", "slices",   "sort",     "strconv",   "strings",
	"structs", "sync",     "syscall", "testing", "text",     "time",     "type",      "unicode",
	"unique",  "unsafe",   "vendor",  "weak",
};

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

bool gs_func_standard(const char *name)
{
	size_t n = strcspn(name, "/.");

	if (n == 0)
		return true;
	for (size_t i = 0; i < sizeof(std_tops) / sizeof(std_tops[0]); i++)
		if (strncmp(name, std_tops[i], n) == 0 && std_tops[i][n] == '\0')
			return true;
	// "_.goready.func1": closures inlined into the runtime, as Go 1.27 names them
	return begins(name, "_.") || begins(name, "golang.org/x/") || begins(name, "_cgo_") ||
	       begins(name, "cgo.") || begins(name, "_rt0_");
}
