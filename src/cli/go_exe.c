/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Is the executable of a process a Go program? Its build information says; nothing is run and the
 * process is not touched. Many processes share few files, so answers are kept by device and inode.
 */
#include "cli/go_exe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "golang/buildinfo.h"
#include "image/image.h"

#define BUCKETS 256

struct gs_go_exes {
	struct gs_arena *arena;
	struct gs_go_exe *bucket[BUCKETS];
};

struct gs_go_exes *gs_go_exes_new(void)
{
	struct gs_go_exes *c = calloc(1, sizeof(*c));

	if (c && !(c->arena = gs_arena_new(0))) {
		free(c);
		c = NULL;
	}
	return c;
}

struct gs_go_exes *gs_go_exes_free(struct gs_go_exes *c)
{
	if (c)
		gs_arena_free(c->arena);
	free(c);
	return NULL;
}

static void look(struct gs_go_exes *c, int fd, struct gs_go_exe *e)
{
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	struct gs_go_buildinfo info;
	int r = gs_image_open_fd(fd, "executable", &img, NULL);

	if (r == 0)
		r = gs_go_buildinfo_read(img, c->arena, &info, NULL);
	e->is_go = r < 0 ? r : r == 0;
	if (r != 0)
		return;
	e->version = info.version;
	e->path = info.path ? info.path : info.main ? info.main->path : NULL;
}

int gs_go_exe_of(struct gs_go_exes *c, pid_t pid, const struct gs_go_exe **ret)
{
	GS_CLEANUP(gs_closep) int fd = -1;
	struct gs_go_exe *e, **bucket;
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (stat(path, &st) < 0)
		return errno == EACCES || errno == EPERM ? -errno : 1;
	bucket = &c->bucket[gs_hash_u64(st.st_dev, st.st_ino) % BUCKETS];
	for (e = *bucket; e; e = e->next) {
		if (e->dev == st.st_dev && e->ino == st.st_ino) {
			*ret = e;
			return 0;
		}
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? -errno : 1;
	/* Between stat and open the process may have run another program. */
	if (fstat(fd, &st) < 0 || !(e = gs_arena_alloc(c->arena, sizeof(*e))))
		return 1;
	e->dev = st.st_dev;
	e->ino = st.st_ino;
	look(c, fd, e);
	bucket = &c->bucket[gs_hash_u64(st.st_dev, st.st_ino) % BUCKETS];
	e->next = *bucket;
	*bucket = e;
	*ret = e;
	return 0;
}
