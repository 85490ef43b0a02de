/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * How much CPU a process may use: the least cpu.max of its cgroup and that one's parents (cgroup v2,
 * Documentation/admin-guide/cgroup-v2.rst: "$MAX $PERIOD" in microseconds, or "max").
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "stream/stream_private.h"

#define ROOT "/sys/fs/cgroup"

static bool read_text(const char *path, char *text, int size)
{
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	size_t n = fread(text, 1, (size_t)size - 1, f);
	fclose(f);
	text[n] = 0;
	return n > 0;
}

static double limit_here(const char *folder)
{
	char path[PATH_MAX + sizeof(ROOT) + 16], text[64];
	double quota_us, period_us;

	snprintf(path, sizeof(path), ROOT "%s/cpu.max", folder);
	if (!read_text(path, text, sizeof(text)) ||
	    sscanf(text, "%lf %lf", &quota_us, &period_us) != 2 || quota_us <= 0 || period_us <= 0)
		return 1;
	return quota_us / period_us;
}

double gs__cpu_limit(const struct gs_target *t)
{
	char path[64], text[PATH_MAX + 64], *folder, *end;
	double least = 1;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", gs_target_identity(t)->pid);
	if (!read_text(path, text, sizeof(text)))
		return least;
	folder = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!folder)
		return least; // version 1 only
	folder += *folder == '\n' ? 4 : 3;
	folder[strcspn(folder, "\n")] = 0;
	if (strstr(folder, "..")) // of another cgroup namespace
		return least;
	for (end = folder + strlen(folder); end > folder; end = strrchr(folder, '/')) {
		double here;

		*end = 0;
		here = limit_here(folder);
		if (here < least)
			least = here;
	}
	return least;
}
