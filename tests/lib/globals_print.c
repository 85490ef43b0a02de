/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Prints where src/golang finds the runtime's globals:
 *
 *	globals_print FILE [PID]
 *
 * One line per global, with "more" in front for those of the second search: name, link-time address, how it was found, "proved" or "-", and the function
 * it was found in. With PID, a process that runs FILE, candidates are proved on its memory. Times go
 * to stderr. It reads memory with process_vm_readv itself, so that src/target is not in the way.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "golang/buildinfo.h"
#include "golang/globals.h"
#include "golang/moduledata.h"
#include "golang/pclntab.h"
#include "image/image.h"

struct program {
	struct gs_image *img;
	struct gs_arena *arena;
	struct gs_go_pclntab *tab;
	struct gs_go_layout layout;
	pid_t pid; /* 0: file only */
	uint64_t bias;
};

static int read_pid(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	const struct program *p = ctx;

	for (size_t i = 0; i < n; i++) {
		struct iovec to = { .iov_base = reads[i].buf, .iov_len = reads[i].len };
		struct iovec from = { .iov_base = (void *)reads[i].addr, .iov_len = reads[i].len };

		if (process_vm_readv(p->pid, &to, 1, &from, 1, 0) == (ssize_t)reads[i].len)
			reads[i].result = 0;
		else
			reads[i].result = -GS_E_FAULT;
		if (reads[i].result < 0 && errno == ESRCH)
			return gs_fail(err, -GS_E_GONE, 0, "the process is gone");
	}
	return 0;
}

/* Where the file's first byte is mapped, less where it wants to be. */
static int find_bias(struct program *p, const char *file)
{
	char line[4096], path[64];
	struct stat st;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", p->pid);
	f = fopen(path, "re");
	if (!f || stat(file, &st) < 0)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		uint64_t start, offset, ino;

		if (sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64 " %*s %" SCNu64, &start, &offset,
			   &ino) == 3 &&
		    ino == st.st_ino && offset == 0) {
			p->bias = start - (gs_image_info(p->img)->base & ~0xfffULL);
			fclose(f);
			return 0;
		}
	}
	fclose(f);
	return -1;
}

static int open_program(struct program *p, const char *file, struct gs_err *err)
{
	struct gs_go_buildinfo build;
	struct gs_go_moduledata md;
	struct gs_cursor bytes, none = { 0 };
	gs_addr addr;
	int r;

	r = gs_image_open(file, &p->img, err);
	if (r < 0)
		return r;
	if (p->pid && find_bias(p, file) < 0)
		return gs_fail(err, -GS_E_NOT_FOUND, 0, "process %d does not run %s", p->pid, file);
	r = gs_go_buildinfo_read(p->img, p->arena, &build, err);
	if (r == 0)
		r = gs_go_layout_for(&build.release, gs_image_info(p->img)->arch, &p->layout, err);
	if (r < 0)
		return r;
	r = gs_go_pclntab_find(p->img, &bytes, &addr, err);
	if (r == 0)
		r = gs_go_moduledata_find(p->img, p->layout.minor, &bytes, addr, &md, err);
	if (r != 0)
		return r < 0 ? r : gs_fail(err, -GS_E_NOT_GO, 0, "no Go tables in %s", file);
	return gs_go_pclntab_open(&bytes, p->layout.minor, md.text + p->bias, &none, &p->tab, err);
}

static void print(const struct program *p, const struct gs_go_globals *found,
		  const struct gs_go_more_globals *more)
{
	static const char *const how[] = { "none", "symbol", "code", "scan" };

	for (int g = 0; g < GS_GO_GLOBAL_COUNT; g++)
		printf("%s %" PRIx64 " %s %s %s\n", gs_go_global_name((enum gs_go_global)g),
		       found->addr[g] ? found->addr[g] - p->bias : 0, how[found->how[g]],
		       found->checked[g] ? "proved" : "-",
		       found->anchor[g] ? found->anchor[g] : "-");
	printf("n_wait_reasons %" PRIu32 "\n", found->n_wait_reasons);
	for (int g = 0; g < GS_GO_MORE_COUNT; g++)
		printf("more %s %" PRIx64 " %s %s %s\n",
		       gs_go_more_global_name((enum gs_go_more_global)g),
		       more->addr[g] ? more->addr[g] - p->bias : 0, how[more->how[g]],
		       more->checked[g] ? "proved" : "-", more->anchor[g] ? more->anchor[g] : "-");
}

int main(int argc, char **argv)
{
	struct program p = { .pid = argc > 2 ? atoi(argv[2]) : 0, .arena = gs_arena_new(0) };
	const struct gs_memory mem = { .readv = read_pid, .ctx = &p };
	struct gs_go_more_globals more;
	struct gs_go_globals found;
	struct gs_err err;
	int64_t start;
	int r;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: globals_print FILE [PID]\n");
		return 2;
	}
	r = open_program(&p, argv[1], &err);
	start = gs_now_ns();
	if (r == 0)
		r = gs_go_globals_find(p.img, p.tab, &p.layout, p.pid ? &mem : NULL, p.bias, &found,
				       &err);
	if (r == 0)
		fprintf(stderr, "%" PRId64 " us", (gs_now_ns() - start) / 1000);
	start = gs_now_ns();
	if (r == 0)
		r = gs_go_globals_find_more(p.img, p.tab, &p.layout, p.pid ? &mem : NULL, p.bias,
					    &more, &err);
	if (r == 0) {
		fprintf(stderr, ", more %" PRId64 " us\n", (gs_now_ns() - start) / 1000);
		print(&p, &found, &more);
	} else {
		fprintf(stderr, "globals_print: %s\n", err.text);
	}
	gs_go_pclntab_free(p.tab);
	gs_image_free(p.img);
	gs_arena_free(p.arena);
	return r == 0 ? 0 : 1;
}
