/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * /proc/PID/maps (fs/proc/task_mmu.c, show_map_vma):
 *
 *   7f0c1a000000-7f0c1a021000 rw-p 00000000 fd:00 1234567      /path with spaces (deleted)
 *   start        end          prot offset   dev   inode   pad  path to the end of the line
 *
 * Of a path the kernel escapes newlines only (as \012), so a line is always one mapping; the path is
 * kept as the kernel prints it. The kernel prints the file in pages of lines and lets the map change
 * between them, so an entry can start before its predecessor ended: it is dropped, the older one is
 * as good.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/search.h"
#include "target/target_private.h"

struct line {
	struct gs_map map;
	const char *path;
	size_t path_len;
};

void gs__maps_deinit(struct gs__maps *m)
{
	m->arena = gs_arena_free(m->arena);
	free(m->v);
	*m = (struct gs__maps){ 0 };
}

/* An unsigned number in @base (10 or 16) that ends at @stop; moves behind it. */
static bool take_number(const char **p, const char *end, unsigned base, char stop, uint64_t *ret)
{
	const char *s = *p;
	uint64_t v = 0;

	for (; s < end && *s != stop; s++) {
		unsigned d = *s >= '0' && *s <= '9'   ? (unsigned)(*s - '0')
			     : *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a') + 10
						      : base;

		if (d >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)d, &v))
			return false;
	}
	if (s == *p || s == end)
		return false;
	*p = s + 1;
	*ret = v;
	return true;
}

static bool take_prot(const char **p, const char *end, struct gs_map *m)
{
	const char *s = *p;

	if (end - s < 5 || s[4] != ' ')
		return false;
	m->prot = (uint8_t)((s[0] == 'r' ? GS_IMAGE_READ : 0) | (s[1] == 'w' ? GS_IMAGE_WRITE : 0) |
			    (s[2] == 'x' ? GS_IMAGE_EXEC : 0));
	m->shared = s[3] == 's';
	*p = s + 5;
	return true;
}

bool gs__maps_line(const char *p, const char *end, struct gs_map *m, const char **ret_path,
		   size_t *ret_path_len)
{
	uint64_t major, minor;

	memset(m, 0, sizeof(*m));
	if (!take_number(&p, end, 16, '-', &m->start) || !take_number(&p, end, 16, ' ', &m->end) ||
	    !take_prot(&p, end, m) || !take_number(&p, end, 16, ' ', &m->offset) ||
	    !take_number(&p, end, 16, ':', &major) || !take_number(&p, end, 16, ' ', &minor))
		return false;
	// Without a path the inode ends the line, on kernels that do not pad it.
	if (!take_number(&p, end, 10, ' ', &m->ino)) {
		char text[24];
		size_t n = (size_t)(end - p);
		const char *q = text;

		if (n == 0 || n + 2 > sizeof(text))
			return false;
		memcpy(text, p, n);
		text[n] = ' ';
		if (!take_number(&q, text + n + 1, 10, ' ', &m->ino))
			return false;
		p = end;
	}
	m->dev = makedev((unsigned)major, (unsigned)minor);
	while (p < end && *p == ' ')
		p++;
	*ret_path = p;
	*ret_path_len = (size_t)(end - p);
	return m->start < m->end;
}

/* Mappings of one file follow each other: share the copy of its path. */
static const char *intern_path(struct gs__maps *m, const struct line *l)
{
	const char *prev = m->n ? m->v[m->n - 1].path : "";

	if (l->path_len == 0)
		return "";
	if (strncmp(prev, l->path, l->path_len) == 0 && prev[l->path_len] == '\0')
		return prev;
	return gs_arena_strndup(m->arena, l->path, l->path_len);
}

static int add_line(struct gs__maps *m, size_t *cap, const struct line *l, const char *what,
		    struct gs_err *err)
{
	const char *path;

	if (m->n && l->map.start < m->v[m->n - 1].end)
		return 0;
	if (m->n == *cap) {
		size_t n = *cap ? *cap * 2 : 256;
		struct gs_map *v;

		if (m->n >= GS__MAX_MAPS)
			return gs_fail(err, -GS_E_LIMIT, 0,
				       "%s: has more than %d mappings, which is our limit", what,
				       GS__MAX_MAPS);
		v = (struct gs_map *)gs_array_resize(m->v, n, sizeof(*v));
		if (!v)
			return gs_fail(err, -ENOMEM, 0, "%s: no memory for %zu mappings", what, n);
		m->v = v;
		*cap = n;
	}
	path = intern_path(m, l);
	if (!path)
		return gs_fail(err, -GS_E_LIMIT, 0, "%s: paths exceed %zu MiB", what,
			       GS__MAX_MAPS_BYTES >> 20);
	m->v[m->n] = l->map;
	m->v[m->n++].path = path;
	return 0;
}

int gs__maps_parse(const char *text, size_t len, const char *what, struct gs__maps *ret,
		   struct gs_err *err)
{
	const char *p = text, *end = text + len;
	struct gs__maps m = { .arena = gs_arena_new(GS__MAX_MAPS_BYTES) };
	size_t cap = 0;
	int r = 0;

	if (!m.arena)
		return gs_fail(err, -ENOMEM, 0, "%s: no memory", what);
	while (p < end && r == 0) {
		const char *nl = (const char *)memchr(p, '\n', (size_t)(end - p));
		struct line l;

		if (!nl)
			break; // cut in the middle of a line: the rest is missing, not wrong
		if (!gs__maps_line(p, nl, &l.map, &l.path, &l.path_len))
			r = gs_fail(err, -GS_E_BAD_DATA, 0,
				    "%s: cannot understand the line \"%.*s\"", what,
				    (int)(nl - p > 120 ? 120 : nl - p), p);
		else
			r = add_line(&m, &cap, &l, what, err);
		p = nl + 1;
	}
	if (r < 0) {
		gs__maps_deinit(&m);
		return r;
	}
	*ret = m;
	return 0;
}

const struct gs_map *gs__maps_at(const struct gs__maps *m, gs_addr addr)
{
	size_t at = GS_SEARCH(i, m->n, m->v[i].end > addr);

	return at < m->n && m->v[at].start <= addr ? &m->v[at] : NULL;
}

int gs_map_open(pid_t pid, const struct gs_map *m, bool here)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	char path[4096 + 64];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, m->start,
		 m->end);
	fd = open(path, flags);
	if (fd < 0) {
		snprintf(path, sizeof(path), "/proc/%d/root%.4095s", pid, m->path);
		fd = open(path, flags);
	}
	if (fd < 0 && here)
		fd = open(m->path, flags);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != m->ino))
		gs_closep(&fd);
	return fd;
}
