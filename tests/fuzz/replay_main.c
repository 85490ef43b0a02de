/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Runs a fuzz target over files, so that every sample is an ordinary test with any compiler. Each
 * input lies at the end of its pages with a guard page behind it: reading one byte too far kills the
 * test even without a sanitizer. Hanging kills it too.
 *
 *	replay_NAME DIRECTORY-OR-FILE…
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sigbus.h"
#include "fuzz.h"

#define SECONDS_PER_FILE 60

static int replay(const char *path)
{
	GS_CLEANUP(gs_fclosep) FILE *f = fopen(path, "re");
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size, room;
	struct stat st;
	uint8_t *map, *data;

	if (!f || fstat(fileno(f), &st) < 0) {
		fprintf(stderr, "cannot open %s: %s\n", path, strerror(errno));
		return -1;
	}
	size = (size_t)st.st_size;
	room = (size + page - 1) / page * page;
	map = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED || mprotect(map + room, page, PROT_NONE) < 0) {
		fprintf(stderr, "cannot map %zu bytes: %s\n", room, strerror(errno));
		return -1;
	}
	data = map + room - size;
	if (fread(data, 1, size, f) != size) {
		fprintf(stderr, "cannot read %s\n", path);
		return -1;
	}
	alarm(SECONDS_PER_FILE);
	(void)LLVMFuzzerTestOneInput(data, size); // always 0
	alarm(0);
	munmap(map, room + page);
	return 0;
}

static int replay_directory(const char *path, unsigned int *n)
{
	DIR *d = opendir(path);
	int r = 0;

	if (!d) {
		(*n)++;
		return replay(path);
	}
	for (struct dirent *e; r == 0 && (e = readdir(d));) {
		GS_CLEANUP(gs_freep) char *file = NULL;

		if (e->d_name[0] == '.')
			continue;
		if (asprintf(&file, "%s/%s", path, e->d_name) < 0)
			r = -1;
		else
			r = replay(file);
		(*n)++;
	}
	closedir(d);
	return r;
}

int main(int argc, char **argv)
{
	unsigned int n = 0;

	gs_sigbus_install();
	for (int i = 1; i < argc; i++) {
		if (replay_directory(argv[i], &n) < 0)
			return 1;
	}
	printf("%u inputs\n", n);
	return n == 0; // an empty corpus tests nothing
}
