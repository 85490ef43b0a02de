/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the dynamic linker has loaded, from its own list in the target's memory (glibc elf/link.h, musl's is the same;
 * the interface of debuggers):
 *
 *   AT_PHDR ─► PT_DYNAMIC ─► DT_DEBUG ─► struct r_debug   { int version; link_map *map; … 40 bytes;
 *                                                           version 2, glibc 2.35: r_debug *next }
 *                                        struct link_map  { addr; char *name; void *ld; next; prev }
 *
 * Each namespace (dlmopen) has an r_debug of its own. All of it is foreign: lists have a bound, and an entry that does
 * not point back to its predecessor ends a list.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "target/residency_private.h"

#define MAX_PHDRS 512
#define MAX_DYNAMIC 1024
#define MAX_PATH_BYTES 4096
#define OBJECTS_LIMIT ((size_t)64 << 20)

struct link_map_words {
	uint64_t addr, name, ld, next, prev;
};

/* A string of the target. "" if it cannot be read. */
static const char *read_name(const struct gs_memory *m, gs_addr at, struct gs_arena *arena)
{
	char buf[MAX_PATH_BYTES];
	size_t len = 0;

	// In pieces that do not cross a page: what comes after the string may not be mapped.
	while (at && len < sizeof(buf) - 1) {
		size_t want = 256 - (size_t)(at + len) % 256;
		char *nul;

		if (want > sizeof(buf) - 1 - len)
			want = sizeof(buf) - 1 - len;
		if (gs_memory_read(m, at + len, buf + len, want, NULL) < 0)
			break;
		nul = (char *)memchr(buf + len, '\0', want);
		if (nul) {
			len = (size_t)(nul - buf);
			break;
		}
		len += want;
	}
	return len ? gs_arena_strndup(arena, buf, len) : "";
}

static int read_list(const struct gs_memory *m, gs_addr at, struct gs_arena *arena,
		     struct gs_loaded_object *v, uint32_t *n, struct gs_err *err)
{
	gs_addr before = 0;

	while (at && *n < GS__MAX_LOADED) {
		struct link_map_words w;
		const char *path;

		if (gs_memory_read(m, at, &w, sizeof(w), NULL) < 0 || w.prev != before)
			break;
		path = read_name(m, w.name, arena);
		if (!path)
			return gs_fail(err, -GS_E_LIMIT, 0,
				       "names of loaded objects exceed %zu MiB",
				       OBJECTS_LIMIT >> 20);
		v[(*n)++] = (struct gs_loaded_object){ w.addr, w.ld, path };
		before = at;
		at = w.next;
	}
	return 0;
}

int gs__loaded_read(const struct gs_memory *m, gs_addr r_debug, struct gs_arena *arena,
		    struct gs_loaded_object **ret, uint32_t *ret_n, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct gs_loaded_object *v = NULL;
	struct gs_loaded_object *copy;
	uint32_t n = 0;

	v = (struct gs_loaded_object *)gs_array_new(GS__MAX_LOADED, sizeof(*v));
	if (!v)
		return gs_fail(err, -ENOMEM, 0, "no memory for loaded objects");
	for (int i = 0; i < GS__MAX_NAMESPACES && r_debug; i++) {
		uint64_t w[6];
		int r;

		if (gs_memory_read(m, r_debug, w, 5 * 8, NULL) < 0)
			break;
		r = read_list(m, w[1], arena, v, &n, err);
		if (r < 0)
			return r;
		if ((uint32_t)w[0] < 2 || (uint32_t)w[0] > 16 ||
		    gs_memory_u64(m, r_debug + 40, &r_debug, NULL) < 0)
			break;
	}
	copy = (struct gs_loaded_object *)gs_arena_array(arena, n ? n : 1, sizeof(*copy));
	if (!copy)
		return gs_fail(err, -ENOMEM, 0, "no memory for loaded objects");
	if (n)
		memcpy(copy, v, n * sizeof(*copy));
	*ret = copy;
	*ret_n = n;
	return 0;
}

/* Address of the dynamic section. @return 0; 1 if the program has none. */
static int find_dynamic(const struct gs_target *t, gs_addr *ret)
{
	const struct gs_memory *m = gs_target_memory(t);
	Elf64_Phdr ph[MAX_PHDRS];
	uint64_t at, n, bias = gs_target_bias(t);

	if (gs_target_auxv(t, AT_PHDR, &at, NULL) != 0 ||
	    gs_target_auxv(t, AT_PHNUM, &n, NULL) != 0 || n == 0 || n > MAX_PHDRS ||
	    gs_memory_read(m, at, ph, n * sizeof(*ph), NULL) < 0)
		return 1;
	for (uint64_t i = 0; i < n; i++)
		if (ph[i].p_type == PT_PHDR)
			bias = at - ph[i].p_vaddr;
	for (uint64_t i = 0; i < n; i++)
		if (ph[i].p_type == PT_DYNAMIC) {
			*ret = ph[i].p_vaddr + bias;
			return 0;
		}
	return 1;
}

/* Value of DT_DEBUG, which the dynamic linker fills in. @return 0; 1: none */
static int find_debug(const struct gs_memory *m, gs_addr dynamic, gs_addr *ret)
{
	for (uint32_t i = 0; i < MAX_DYNAMIC; i++) {
		uint64_t w[2];

		if (gs_memory_read(m, dynamic + i * 16, w, sizeof(w), NULL) < 0 || w[0] == DT_NULL)
			return 1;
		if (w[0] == DT_DEBUG) {
			*ret = w[1];
			return w[1] ? 0 : 1;
		}
	}
	return 1;
}

int gs_target_loaded_objects(struct gs_target *t, const struct gs_loaded_object **ret,
			     uint32_t *ret_n, struct gs_err *err)
{
	GS_CLEANUP(gs_arena_freep) struct gs_arena *arena = NULL;
	struct gs_loaded_object *v;
	gs_addr dynamic, debug;
	int r;

	if (find_dynamic(t, &dynamic) || find_debug(gs_target_memory(t), dynamic, &debug))
		return 1;
	arena = gs_arena_new(OBJECTS_LIMIT);
	if (!arena)
		return gs_fail(err, -ENOMEM, 0, "no memory for loaded objects");
	r = gs__loaded_read(gs_target_memory(t), debug, arena, &v, ret_n, err);
	if (r < 0)
		return r;
	*ret = v;
	gs_arena_free(t->objects);
	t->objects = GS_TAKE(arena);
	return 0;
}
