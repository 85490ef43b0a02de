/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What a process's cgroup uses and may use. /proc/PID/cgroup names the group, seen from our cgroup namespace:
 *
 *   0::/system.slice/app.service              version 2
 *   4:memory:/docker/0123                     version 1
 *
 * and our mountinfo where such trees are mounted, and which part of the tree (fields of a line: id, parent, device,
 * root, mount point, options, …, "-", type, source, options of the file system). Both versions may be mounted; the one
 * that has the memory controller answers. A limit of any ancestor counts: the tightest one is taken, with what its group
 * uses. Page cache is part of that.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/residency_private.h"

#define MAX_TEXT (4u << 20)
#define MAX_DEPTH 64
#define V1_NO_LIMIT (INT64_MAX - 65536) /* LONG_MAX rounded down to a page */

/* Field @n of a line, counted from 0. NULL if there is none. */
static const char *field(const char *line, const char *end, int n, size_t *ret_len)
{
	for (; line < end; n--) {
		const char *stop = (const char *)memchr(line, ' ', (size_t)(end - line));

		stop = stop ? stop : end;
		if (n == 0) {
			*ret_len = (size_t)(stop - line);
			return line;
		}
		line = stop + 1;
	}
	return NULL;
}

/* Whether the comma separated list has the word. */
static bool has_word(const char *list, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= len; i++)
		if (memcmp(list + i, word, n) == 0 && (i == 0 || list[i - 1] == ',') &&
		    (i + n == len || list[i + n] == ','))
			return true;
	return false;
}

/* The line of the group's path: "0::PATH", or "N:…memory…:PATH". */
static const char *group_path(const char *text, bool v2, size_t *ret_len)
{
	while (*text) {
		const char *nl = strchrnul(text, '\n');
		const char *a = (const char *)memchr(text, ':', (size_t)(nl - text));
		const char *b = a ? (const char *)memchr(a + 1, ':', (size_t)(nl - a - 1)) : NULL;

		if (b && (v2 ? b == a + 1 && a == text + 1 && *text == '0'
			     : has_word(a + 1, (size_t)(b - a - 1), "memory"))) {
			*ret_len = (size_t)(nl - b - 1);
			return b + 1;
		}
		text = *nl ? nl + 1 : nl;
	}
	return NULL;
}

struct mount {
	const char *root, *point;
	size_t root_len, point_len;
};

static bool parse_mount(const char *line, const char *end, bool v2, struct mount *ret)
{
	const char *dash = (const char *)memmem(line, (size_t)(end - line), " - ", 3);
	const char *type, *options;
	size_t type_len = 0, options_len = 0;

	if (!dash)
		return false;
	type = field(dash + 3, end, 0, &type_len);
	options = field(dash + 3, end, 2, &options_len);
	ret->root = field(line, dash, 3, &ret->root_len);
	ret->point = field(line, dash, 4, &ret->point_len);
	if (!type || !ret->root || !ret->point)
		return false;
	if (v2)
		return type_len == 7 && memcmp(type, "cgroup2", 7) == 0;
	return type_len == 6 && memcmp(type, "cgroup", 6) == 0 && options &&
	       has_word(options, options_len, "memory");
}

int gs__cgroup_dir(const char *cgroups, const char *mountinfo, bool v2, char *ret, size_t size,
		   size_t *ret_root_len)
{
	size_t len;
	const char *path = group_path(cgroups, v2, &len);

	// A group outside of our namespace is shown as "/../other".
	if (!path || memmem(path, len, "/..", 3))
		return 1;
	for (const char *p = mountinfo; *p;) {
		const char *nl = strchrnul(p, '\n');
		struct mount m = { 0 };
		int n;

		if (!parse_mount(p, nl, v2, &m)) {
			p = *nl ? nl + 1 : nl;
			continue;
		}
		// Of a tree that is mounted in part the path goes on below its root.
		if (m.root_len > 1) {
			if (len < m.root_len || memcmp(path, m.root, m.root_len) != 0)
				return 1;
			path += m.root_len;
			len -= m.root_len;
		}
		if (len == 1 && *path == '/')
			len = 0;
		n = snprintf(ret, size, "%.*s%.*s", (int)m.point_len, m.point, (int)len, path);
		if (n < 0 || (size_t)n >= size)
			return 1;
		*ret_root_len = m.point_len;
		return 0;
	}
	return 1;
}

/* A number in a file of a group. @return false if there is none; "max" is UINT64_MAX. */
static bool read_number(const char *dir, const char *name, uint64_t *ret)
{
	char path[PATH_MAX + 64], text[64] = "";
	GS_CLEANUP(gs_fclosep) FILE *f = NULL;
	char *end;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	if (!f || !fgets(text, sizeof(text), f))
		return false;
	if (strncmp(text, "max", 3) == 0) {
		*ret = UINT64_MAX;
		return true;
	}
	*ret = strtoull(text, &end, 10);
	return end != text;
}

static bool read_group(char *dir, size_t root_len, bool v2, struct gs_residency_totals *ret)
{
	const char *current = v2 ? "memory.current" : "memory.usage_in_bytes";
	const char *limit = v2 ? "memory.max" : "memory.limit_in_bytes";
	uint64_t used, max;
	bool any = false;

	for (int i = 0; i < MAX_DEPTH; i++) {
		char *slash;

		if (read_number(dir, current, &used)) {
			if (!read_number(dir, limit, &max) || (!v2 && max >= V1_NO_LIMIT))
				max = UINT64_MAX;
			if (!any || max < ret->cgroup_limit) {
				ret->cgroup_current = used;
				ret->cgroup_limit = max;
			}
			any = true;
		}
		slash = strrchr(dir, '/');
		if (!slash || (size_t)(slash - dir) < root_len)
			break;
		*slash = '\0';
	}
	return any;
}

void gs__cgroup_read(const struct gs_process_target *p, struct gs_residency_totals *ret)
{
	GS_CLEANUP(gs_freep) char *groups = NULL;
	GS_CLEANUP(gs_freep) char *mounts = NULL;
	char dir[PATH_MAX];
	size_t len, root_len;

	if (gs__slurp(p->proc_fd, "cgroup", MAX_TEXT, &groups, &len) < 0 ||
	    gs__slurp(-1, "/proc/self/mountinfo", MAX_TEXT, &mounts, &len) < 0)
		return;
	// Where both are mounted, only one of them has the memory controller.
	for (int v2 = 1; v2 >= 0; v2--)
		if (gs__cgroup_dir(groups, mounts, v2, dir, sizeof(dir), &root_len) == 0 &&
		    read_group(dir, root_len, v2, ret))
			return;
}
