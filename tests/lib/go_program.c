/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The binary and the process of go_program.h. */
#include "go_program.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "golang/moduledata.h"

static int read_pid(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	const struct go_program *p = ctx;

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
static int find_bias(struct go_program *p)
{
	char line[4096], path[64];
	struct stat st;
	FILE *f;

	if (fstat(p->fd, &st) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/maps", p->pid);
	f = fopen(path, "re");
	if (!f)
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

static int open_table(struct go_program *p, const char *file, struct gs_err *err)
{
	struct gs_cursor bytes, at, gofunc;
	struct gs_go_moduledata md;
	gs_addr addr;
	int r;

	r = gs_go_pclntab_find(p->img, &bytes, &addr, err);
	if (r == 0)
		r = gs_go_moduledata_find(p->img, p->layout.minor, &bytes, addr, &md, err);
	if (r != 0)
		return r < 0 ? r : gs_fail(err, -GS_E_NOT_GO, 0, "no Go tables in %s", file);
	if (gs_image_at(p->img, md.gofunc, &at, err) != 0 ||
	    gs_cursor_sub(&at, gs_cursor_left(&at), &gofunc, err) < 0)
		return gs_fail(err, -GS_E_BAD_DATA, md.gofunc, "no inlining data in %s", file);
	return gs_go_pclntab_open(&bytes, p->layout.minor, md.text + p->bias, &gofunc, &p->tab,
				  err);
}

int go_program_open(struct go_program *p, const char *file, pid_t pid, struct gs_err *err)
{
	int r;

	*p = (struct go_program){ .pid = pid, .arena = gs_arena_new(0) };
	p->mem = (struct gs_memory){ .readv = read_pid, .ctx = p };
	p->fd = open(file, O_RDONLY | O_CLOEXEC);
	if (p->fd < 0)
		return gs_fail(err, -errno, 0, "%s: %s", file, strerror(errno));
	r = gs_image_open_fd(p->fd, file, &p->img, err);
	if (r < 0)
		return r;
	if (pid && find_bias(p) < 0)
		return gs_fail(err, -GS_E_NOT_FOUND, 0, "process %d does not run %s", pid, file);
	r = gs_go_buildinfo_read(p->img, p->arena, &p->build, err);
	if (r != 0)
		return r < 0 ? r : gs_fail(err, -GS_E_NOT_GO, 0, "no build info in %s", file);
	r = gs_go_layout_for(&p->build.release, gs_image_info(p->img)->arch, &p->layout, err);
	return r < 0 ? r : open_table(p, file, err);
}

void go_program_close(struct go_program *p)
{
	gs_go_pclntab_free(p->tab);
	gs_image_free(p->img);
	gs_arena_free(p->arena);
	gs_closep(&p->fd);
}
