/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Where a result goes: standard output, or the file that -o names. A file is written under another
 * name beside it and renamed when complete, so that nobody reads half of it and a failed run leaves
 * what was there. What is no regular file (a FIFO, /dev/null) is written to directly.
 */
#include "cli/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_output(const char *what, const char *path, int e, struct gs_err *err)
{
	return gs_fail(err, -e, 0, "cannot %s %s: %s", what, path, strerror(e));
}

static int open_temporary(struct gs_output *o, struct gs_err *err)
{
	mode_t mask;
	int fd;

	if (asprintf(&o->tmp, "%s.XXXXXX", o->path) < 0) {
		o->tmp = NULL;
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	}
	fd = mkostemp(o->tmp, O_CLOEXEC);
	if (fd < 0) {
		int e = errno;

		free(GS_TAKE(o->tmp));
		return fail_output("create", o->path, e, err);
	}
	/* As open(2) would have made it; single-threaded here, so the mask can be read this way. */
	mask = umask(0);
	(void)umask(mask);
	(void)fchmod(fd, 0666 & ~mask); // a file system without modes is no failure
	return fd;
}

int gs_output_open(struct gs_output *o, const struct gs_common *c, struct gs_err *err)
{
	struct stat st;
	int fd;

	*o = (struct gs_output){ .out = { .fd = -1 } };
	if (!c->output || strcmp(c->output, "-") == 0) {
		gs_out_init_fd(&o->out, STDOUT_FILENO);
		return 0;
	}
	/* Behind a symbolic link the file is replaced, not the link. */
	o->path = realpath(c->output, NULL);
	if (!o->path)
		o->path = strdup(c->output);
	if (!o->path)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	if (stat(o->path, &st) == 0 && !S_ISREG(st.st_mode)) {
		fd = open(o->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0)
			fd = fail_output("open", o->path, errno, err);
	} else {
		fd = open_temporary(o, err);
	}
	if (fd < 0) {
		free(GS_TAKE(o->path));
		return fd;
	}
	gs_out_init_fd(&o->out, fd);
	return 0;
}

static int finish(struct gs_output *o, bool ok, struct gs_err *err)
{
	const char *name = o->path ? o->path : "standard output";
	int r = 0;

	/* Of a failed run nothing should be seen if nothing was sent yet. */
	if (ok || (!o->tmp && o->out.total != o->out.len))
		r = gs_out_flush(&o->out, name, err);
	if (o->path && close(o->out.fd) < 0 && r == 0)
		r = fail_output("write", name, errno, err);
	if (!o->tmp)
		return r;
	if (ok && r == 0 && rename(o->tmp, o->path) < 0)
		r = fail_output("create", name, errno, err);
	if (!ok || r < 0)
		(void)unlink(o->tmp); // nothing more can be done about it
	return r;
}

int gs_output_close(struct gs_output *o, bool ok, struct gs_err *err)
{
	int r = finish(o, ok, err);

	gs_out_deinit(&o->out);
	free(GS_TAKE(o->path));
	free(GS_TAKE(o->tmp));
	return r;
}
