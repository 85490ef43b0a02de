/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The C libraries of a process, as files that probes can go in. */
#include <string.h>
#include <unistd.h>

#include "stream/stream_private.h"

/* libc.so.6, libc-2.31.so, libdl.so.2, libdl-2.31.so, ld-musl-x86_64.so.1, libc.musl-x86_64.so.1 */
static bool may_have_dlopen(const char *path)
{
	static const char *const names[] = { "libc.so",  "libc-2.",  "libdl.so",
					     "libdl-2.", "ld-musl-", "libc.musl-" };
	const char *name = strrchr(path, '/');

	for (size_t i = 0; name && i < GS_ARRAY_SIZE(names); i++)
		if (strncmp(name + 1, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* What to add to link-time addresses; 1: the mapping is of no executable segment. */
static int bias_of(const struct gs_image *img, const struct gs_map *m, uint64_t *ret)
{
	for (uint32_t i = 0; i < gs_image_info(img)->n_segments; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(img, i);

		if (!(s->flags & GS_IMAGE_EXEC) || m->offset + (m->end - m->start) <= s->offset ||
		    m->offset >= s->offset + s->file_size)
			continue;
		*ret = m->start - m->offset + s->offset - s->addr;
		return 0;
	}
	return 1;
}

static void open_library(struct gs__libraries *l, int pid, const struct gs_map *m)
{
	uint32_t i = l->n;

	for (uint32_t k = 0; k < l->n; k++)
		if (l->ino[k] == m->ino && l->dev[k] == m->dev)
			return;
	if (l->n == GS_PLAN_LIBRARIES_MAX)
		return;
	l->n++;
	l->ino[i] = m->ino;
	l->dev[i] = m->dev;
	l->fd[i] = gs_map_open(pid, m, false);
	l->lib[i].path = m->path;
	if (l->fd[i] < 0 || gs_image_open_fd(l->fd[i], m->path, &l->image[i], NULL) < 0)
		return;
	if (bias_of(l->image[i], m, &l->lib[i].bias) == 0)
		l->lib[i].image = l->image[i];
}

void gs__libraries_open(struct gs__libraries *l, struct gs_target *t)
{
	size_t n;
	const struct gs_map *m = gs_target_maps(t, &n);

	*l = (struct gs__libraries){ 0 };
	for (size_t i = 0; i < n; i++)
		if (m[i].ino && m[i].prot & GS_IMAGE_EXEC && may_have_dlopen(m[i].path))
			open_library(l, gs_target_identity(t)->pid, &m[i]);
}

void gs__libraries_close(struct gs__libraries *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		gs_image_free(l->image[i]);
		if (l->fd[i] >= 0)
			close(l->fd[i]);
	}
	*l = (struct gs__libraries){ 0 };
}
