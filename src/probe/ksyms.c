/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * /proc/kallsyms: lines of "address type name [module]" (kernel/kallsyms.c, s_show). Only text symbols
 * are kept, sorted by address. A symbol has no size there: a function ends where the next one begins,
 * and an address further behind the last symbol than any function is long belongs to none. To readers
 * without privilege the kernel shows every address as 0 (kallsyms_show_value).
 */
#include "probe/ksyms.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "base/arena.h"
#include "base/search.h"

#define MAX_TEXT ((size_t)256 << 20)
#define MAX_FUNCTION ((uint64_t)1 << 20)

struct symbol {
	uint64_t addr;
	uint32_t name; /* in names */
	uint32_t global;
};

struct gs_ksyms {
	struct symbol *symbol;
	size_t n, room;
	char *names;
	size_t names_len, names_room;
};

struct gs_ksyms *gs_ksyms_free(struct gs_ksyms *k)
{
	if (k) {
		free(k->symbol);
		free(k->names);
		free(k);
	}
	return NULL;
}

/* Room for @n more elements of @size bytes behind @used; false when out of memory. */
static bool reserve(void *slot, size_t *room, size_t used, size_t n, size_t size)
{
	void **p = slot, *bigger;
	size_t want = *room ? *room : 16384;

	if (*room - used >= n)
		return true;
	while (want - used < n)
		want *= 2;
	bigger = gs_array_resize(*p, want, size);
	if (!bigger)
		return false;
	*p = bigger;
	*room = want;
	return true;
}

static bool add(struct gs_ksyms *k, uint64_t addr, bool global, const char *name, size_t len)
{
	if (!reserve(&k->symbol, &k->room, k->n, 1, sizeof(*k->symbol)) ||
	    !reserve(&k->names, &k->names_room, k->names_len, len + 1, 1))
		return false;
	k->symbol[k->n++] =
		(struct symbol){ .addr = addr, .name = (uint32_t)k->names_len, .global = global };
	memcpy(k->names + k->names_len, name, len);
	k->names_len += len;
	k->names[k->names_len++] = '\0';
	return true;
}

static const char *hex(const char *p, const char *end, uint64_t *ret)
{
	uint64_t v = 0;

	for (; p < end && p[0] != ' '; p++) {
		unsigned int digit = (unsigned char)*p - '0';

		if (digit > 9)
			digit = ((unsigned char)*p | 0x20) - 'a' + 10;
		if (digit > 15)
			return NULL;
		v = v << 4 | digit;
	}
	*ret = v;
	return p;
}

/* One line without its newline. @return false only when out of memory; what is no symbol is left out. */
static bool add_line(struct gs_ksyms *k, const char *p, const char *end, bool *hidden)
{
	const char *name, *name_end;
	uint64_t addr;
	bool global;

	p = hex(p, end, &addr);
	if (!p || end - p < 4 || p[0] != ' ' || p[2] != ' ')
		return true;
	if (!strchr("tTwW", p[1]))
		return true;
	global = p[1] == 'T';
	name = p + 3;
	name_end = name;
	while (name_end < end && *name_end != '\t' && *name_end != ' ')
		name_end++;
	if (!addr) {
		*hidden = true;
		return true;
	}
	/* Padding in front of a function, where nothing runs (scripts/kallsyms.c, "__pfx_"). */
	if (name_end == name || (name_end - name > 6 && !memcmp(name, "__pfx_", 6)))
		return true;
	return add(k, addr, global, name, (size_t)(name_end - name));
}

/* By address; of several names of one address a global one first, then the earlier one. */
static int compare(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->global != y->global)
		return x->global ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

static int read_all(struct gs_ksyms *k, int fd, bool *hidden, struct gs_err *err)
{
	static const char what[] = "cannot read the kernel's symbols";
	const size_t size = 1 << 16;
	GS_CLEANUP(gs_freep) char *buf = malloc(size);
	size_t have = 0, total = 0;

	if (!buf)
		return gs_fail(err, -ENOMEM, 0, "%s: out of memory", what);
	for (;;) {
		ssize_t n = read(fd, buf + have, size - have);
		char *line = buf, *end, *newline;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return gs_fail(err, -errno, 0, "%s: %s", what, strerror(errno));
		if (n == 0)
			return 0;
		total += (size_t)n;
		have += (size_t)n;
		if (total > MAX_TEXT)
			return gs_fail(err, -GS_E_LIMIT, 0, "%s: more than %zu MiB", what,
				       MAX_TEXT >> 20);
		end = buf + have;
		while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
			if (!add_line(k, line, newline, hidden))
				return gs_fail(err, -ENOMEM, 0, "%s: out of memory", what);
			line = newline + 1;
		}
		have = (size_t)(end - line);
		if (have == size)
			have = 0; // a line without end is no symbol
		memmove(buf, line, have);
	}
}

int gs__ksyms_open_file(const char *path, struct gs_ksyms **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_ksyms_freep) struct gs_ksyms *k = gs_array_new(1, sizeof(*k));
	GS_CLEANUP(gs_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool hidden = false;
	size_t n = 0;
	int r;

	if (!k)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	if (fd < 0)
		return gs_fail(err, errno == EACCES ? -GS_E_PERMISSION : -errno, 0,
			       "cannot open %s: %s", path, strerror(errno));
	r = read_all(k, fd, &hidden, err);
	if (r < 0)
		return r;
	if (!k->n && hidden)
		return gs_fail(
			err, -GS_E_PERMISSION, 0,
			"%s hides the addresses of kernel functions: kernel frames stay without "
			"names. Run as root or with CAP_SYSLOG, or set kernel.kptr_restrict to 0",
			path);
	if (!k->n)
		return gs_fail(err, -GS_E_NOT_FOUND, 0,
			       "%s lists no functions: the kernel is built without CONFIG_KALLSYMS",
			       path);
	qsort(k->symbol, k->n, sizeof(*k->symbol), compare);
	for (size_t i = 0; i < k->n; i++)
		if (!n || k->symbol[n - 1].addr != k->symbol[i].addr)
			k->symbol[n++] = k->symbol[i];
	k->n = n;
	*ret = GS_TAKE(k);
	return 0;
}

int gs_ksyms_open(struct gs_ksyms **ret, struct gs_err *err)
{
	return gs__ksyms_open_file("/proc/kallsyms", ret, err);
}

const char *gs_ksyms_find(const struct gs_ksyms *k, uint64_t addr, uint64_t *ret_start)
{
	size_t behind = GS_SEARCH(i, k->n, k->symbol[i].addr > addr);

	if (!behind || addr - k->symbol[behind - 1].addr >= MAX_FUNCTION)
		return NULL;
	if (ret_start)
		*ret_start = k->symbol[behind - 1].addr;
	return k->names + k->symbol[behind - 1].name;
}
