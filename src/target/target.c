/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What all targets have in common: accessors, the thread list, the auxiliary vector and the load
 * bias. The kinds (process.c, core.c, fake.c) bring a table of operations; one that is missing here
 * means "this kind cannot", which the functions below turn into an answer or a message.
 */
#include "target/target.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/target_private.h"

#define PAGE_MASK 0xfffu /* the smallest page of both CPUs; larger ones are multiples */

struct gs_target *gs_target_free(struct gs_target *t)
{
	if (t)
		t->ops->free(t);
	return NULL;
}

void gs__target_deinit(struct gs_target *t)
{
	t->image = gs_image_free(t->image);
	gs_closep(&t->exe_fd);
	gs__maps_deinit(&t->maps);
	free(t->threads.v);
	t->threads = (struct gs__threads){ 0 };
	t->objects = gs_arena_free(t->objects);
}

enum gs_target_kind gs_target_kind(const struct gs_target *t)
{
	return t->kind;
}

const struct gs_target_identity *gs_target_identity(const struct gs_target *t)
{
	return &t->id;
}

enum gs_arch gs_target_arch(const struct gs_target *t)
{
	return t->arch;
}

const struct gs_memory *gs_target_memory(const struct gs_target *t)
{
	return &t->memory;
}

const struct gs_image *gs_target_image(const struct gs_target *t)
{
	return t->image;
}

int gs_target_exe_fd(const struct gs_target *t)
{
	return t->exe_fd;
}

uint64_t gs_target_bias(const struct gs_target *t)
{
	return t->bias;
}

uint64_t gs_target_missing_bytes(const struct gs_target *t)
{
	return t->missing_bytes;
}

/* A fake's map follows its memory; rebuilding it at every piece would be quadratic. */
static void settle_maps(const struct gs_target *t)
{
	if (t->maps_stale)
		(void)!gs_target_refresh_maps((struct gs_target *)t, NULL);
}

const struct gs_map *gs_target_maps(const struct gs_target *t, size_t *ret_n)
{
	settle_maps(t);
	*ret_n = t->maps.n;
	return t->maps.v;
}

const struct gs_map *gs_target_map_at(const struct gs_target *t, gs_addr addr)
{
	settle_maps(t);
	return gs__maps_at(&t->maps, addr);
}

int gs_target_refresh_maps(struct gs_target *t, struct gs_err *err)
{
	return t->ops->refresh_maps ? t->ops->refresh_maps(t, err) : 0;
}

int gs_target_threads(struct gs_target *t, const struct gs_thread **ret, size_t *ret_n,
		      struct gs_err *err)
{
	int r = t->ops->threads ? t->ops->threads(t, err) : 0;

	if (r < 0)
		return r;
	*ret = t->threads.v;
	*ret_n = t->threads.n;
	return 0;
}

int gs_target_auxv(const struct gs_target *t, uint64_t type, uint64_t *ret, struct gs_err *err)
{
	(void)err; /* it was read when the target was opened; nothing can fail any more */
	return gs__auxv_find(&t->auxv, type, ret);
}

int64_t gs_target_now_ns(const struct gs_target *t)
{
	return t->ops->now_ns ? t->ops->now_ns(t) : 0;
}

int gs_target_alive(const struct gs_target *t, struct gs_err *err)
{
	return t->ops->alive ? t->ops->alive(t, err) : 0;
}

bool gs_target_still(const struct gs_target *t)
{
	return t->ops->still ? t->ops->still(t) : true;
}

int gs_target_stop(struct gs_target *t, int64_t max_ns, struct gs_err *err)
{
	return t->ops->stop ? t->ops->stop(t, max_ns, err) : 0; // a core stands still anyway
}

int gs_target_resume(struct gs_target *t, int64_t *ret_paused_ns, struct gs_err *err)
{
	*ret_paused_ns = 0;
	return t->ops->resume ? t->ops->resume(t, ret_paused_ns, err) : 0;
}

struct gs_thread *gs__threads_add(struct gs__threads *t)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct gs_thread *v;

		if (t->n >= GS__MAX_THREADS)
			return NULL;
		v = (struct gs_thread *)gs_array_resize(t->v, cap, sizeof(*v));
		if (!v)
			return NULL;
		t->v = v;
		t->cap = cap;
	}
	memset(&t->v[t->n], 0, sizeof(t->v[0]));
	return &t->v[t->n++];
}

void gs__auxv_parse(const void *bytes, size_t len, struct gs__auxv *ret)
{
	struct gs_cursor c = gs_cursor_make(bytes, len, "auxiliary vector");
	uint64_t type, value;

	ret->n = 0;
	while (ret->n < GS__MAX_AUXV && gs_cursor_u64(&c, &type, NULL) == 0 &&
	       gs_cursor_u64(&c, &value, NULL) == 0 && type != AT_NULL) {
		ret->v[ret->n].type = type;
		ret->v[ret->n].value = value;
		ret->n++;
	}
}

int gs__auxv_find(const struct gs__auxv *a, uint64_t type, uint64_t *ret)
{
	for (size_t i = 0; i < a->n; i++) {
		if (a->v[i].type != type)
			continue;
		*ret = a->v[i].value;
		return 0;
	}
	return 1;
}

/* True if @m maps the executable. By inode for deleted files; by path too, because on overlayfs the
 * map may show the inode of a lower layer, and a core has no inodes. */
static bool map_is_exe(const struct gs_target *t, const struct gs_map *m)
{
	if (m->ino && m->ino == t->id.exe_ino)
		return true;
	return m->path[0] && strcmp(m->path, t->id.executable) == 0;
}

/* Page-aligned, and the first segment would lie in a mapping of the executable. */
static bool bias_agrees(const struct gs_target *t, uint64_t bias, gs_addr first)
{
	const struct gs_map *m = gs__maps_at(&t->maps, bias + first);

	return (bias & PAGE_MASK) == 0 && m && map_is_exe(t, m);
}

static int lowest_segment(const struct gs_image *img, const struct gs_image_segment **ret)
{
	const struct gs_image_info *info = gs_image_info(img);

	*ret = NULL;
	for (uint32_t i = 0; i < info->n_segments; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(img, i);

		if (s->file_size && (!*ret || s->addr < (*ret)->addr))
			*ret = s;
	}
	return *ret ? 0 : 1;
}

/* The mapping of the executable that shows the file bytes of @s' first page. */
static int bias_from_maps(const struct gs_target *t, const struct gs_image_segment *s,
			  uint64_t *ret)
{
	for (size_t i = 0; i < t->maps.n; i++) {
		const struct gs_map *m = &t->maps.v[i];

		if (!map_is_exe(t, m) || m->offset != (s->offset & ~(uint64_t)PAGE_MASK))
			continue;
		*ret = m->start - (s->addr & ~(uint64_t)PAGE_MASK);
		return 0;
	}
	return 1;
}

int gs__find_bias(struct gs_target *t, struct gs_err *err)
{
	const struct gs_image_segment *first;
	uint64_t candidate[3], value, vaddr;
	struct gs__elf_head head;
	struct gs_cursor file;
	size_t n = 0;
	int r;

	t->bias = 0;
	r = gs__image_cursor(t->image, &file, err);
	if (r == 0)
		r = gs__elf_head(&file, &head, err);
	if (r < 0)
		return r;
	if (lowest_segment(t->image, &first))
		return gs_fail(err, -GS_E_BAD_DATA, 0, "%s: has no segment with file contents",
			       gs_image_name(t->image));
	if (gs__auxv_find(&t->auxv, AT_PHDR, &value) == 0 &&
	    gs__peek_phdr_vaddr(&file, &head, &vaddr, NULL) == 0)
		candidate[n++] = value - vaddr;
	if (gs__auxv_find(&t->auxv, AT_ENTRY, &value) == 0)
		candidate[n++] = value - head.entry;
	if (bias_from_maps(t, first, &value) == 0)
		candidate[n++] = value;
	for (size_t i = 0; i < n; i++) {
		if (!bias_agrees(t, candidate[i], first->addr))
			continue;
		t->bias = candidate[i];
		return 0;
	}
	// No mapping of the file where it should be: text moved to huge pages, or a core without
	// names. The kernel's own word is still good.
	if (n && (candidate[0] & PAGE_MASK) == 0)
		t->bias = candidate[0];
	else if (head.type == ET_DYN)
		return gs_fail(err, -GS_E_BAD_DATA, 0,
			       "%s: cannot find where it was loaded: neither the auxiliary vector "
			       "nor the memory map says",
			       gs_image_name(t->image));
	return 0;
}
