/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Memory of musl's malloc since 1.2.1 (src/malloc/mallocng: meta.h, glue.h). All it has is listed:
 *
 *   malloc_context   in the data of the C library, or of a static program; it begins with a secret number
 *   meta area        a page, linked to the next; it begins with the same number, then come its slots
 *   meta             a slot: { prev, next, group *, masks, last_idx:5 freeable:1 sizeclass:6 maplen:52 }
 *   group            slots of one size, or one large block; it begins with the address of its meta. Of those with a
 *                    maplen it has been mapped, so many pages; the others lie inside of larger ones
 *
 * The context is proved by its number standing at the first area, a group by pointing back to its meta. Nobody else's memory
 * looks like that. Nothing is searched in programs with another C library, nor in those that never moved the program
 * break: areas are put there first.
 */
#include "analysis/mem_musl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096ull
#define AREAS_MAX (1u << 18) /* 100 groups each */
#define DATA_MAX (16u << 20) /* of data that is searched for the context */
#define LARGE 63u            /* sizeclass of blocks that are mapped alone */

enum {
	SLOT = 40,
	AREA_HEAD = 24, /* check, next, nslots */
	SLOTS_MAX = (int)((PAGE - AREA_HEAD) / SLOT),
	/* Words of the context: secret, init_done and mmap_counter, free_meta_head, avail_meta, three counts, the
	 * first area, the last. Where the size of pages is no constant it stands behind the secret. */
	CONTEXT_WORDS = 10,
	FIRST_AREA = 7,
};

struct musl {
	struct gs_memory_look *l;
	const struct gs_memory *mem;
	uint64_t secret;
	gs_addr area; /* the first; 0: not found */
	struct gs__claims found;
};

static uint64_t word(const uint8_t *p, size_t i)
{
	uint64_t v;

	memcpy(&v, p + i * 8, sizeof(v));
	return v;
}

/* Does a context stand at @p? */
static bool is_context(struct musl *m, const uint8_t *p)
{
	size_t more = word(p, 1) == PAGE; /* the size of pages */
	uint64_t check = 0, first = word(p, FIRST_AREA + more);

	if (word(p, 0) == 0 || (uint32_t)word(p, 1 + more) != 1 || first < PAGE || first % PAGE ||
	    word(p, FIRST_AREA + 1 + more) % PAGE ||
	    gs_memory_u64(m->mem, first, &check, NULL) < 0 || check != word(p, 0))
		return false;
	m->secret = check;
	m->area = first;
	return true;
}

static int search(struct musl *m, gs_addr start, gs_addr end, struct gs_err *err)
{
	size_t len = end - start < DATA_MAX ? end - start : DATA_MAX;
	GS_CLEANUP(gs_freep) uint8_t *data = (uint8_t *)malloc(len);

	if (!data)
		return gs_fail(err, -ENOMEM, 0, "no memory for %zu bytes of data", len);
	if (gs_memory_read(m->mem, start, data, len, NULL) < 0)
		return 0;
	for (size_t i = 0; i + CONTEXT_WORDS * 8 <= len; i += 8)
		if (is_context(m, data + i))
			break;
	return 0;
}

static bool has(const struct gs_vma *v, const char *name)
{
	const char *file = strrchr(v->map.path, '/');

	return file && strstr(file, name);
}

/* Data is a file's writable mapping and what is mapped right behind it. */
static int find_context(struct musl *m, struct gs_err *err)
{
	const struct gs_memory_look *l = m->l;
	const char *of = NULL; /* whose data comes next */
	gs_addr end = 0;
	bool is_static = true, brk = !l->r.kernel_view;
	int r = 0;

	for (uint32_t i = 0; i < l->n_vmas; i++) {
		is_static &= !has(&l->vma[i], "ld-linux") && !has(&l->vma[i], "libc.so.6");
		brk |= strcmp(l->vma[i].map.path, "[heap]") == 0;
	}
	if (!brk)
		return 0;
	for (uint32_t i = 0; i < l->n_vmas && r == 0 && !m->area; i++) {
		const struct gs_vma *v = &l->vma[i];

		if (v->map.path[0] == '/')
			of = is_static || has(v, "ld-musl") || has(v, "libc.musl") ? v->map.path
										   : NULL;
		else if (v->map.start != end || v->map.path[0] == '[')
			of = NULL;
		end = v->map.end;
		if (of && (v->map.prot & GS_IMAGE_WRITE) && !v->map.shared &&
		    (!l->r.kernel_view || v->rss))
			r = search(m, v->map.start, v->map.end, err);
	}
	return r;
}

static int claim_group(struct musl *m, gs_addr group, uint64_t bits, struct gs_err *err)
{
	uint64_t bytes = (bits >> 12) * PAGE;
	bool large = (bits >> 6 & 63) == LARGE;
	char name[64] = "groups of musl's malloc", size[32];
	enum gs_mem_class_id class = large ? GS_MEM_C_LARGE : GS_MEM_C_HEAP;
	uint32_t item;

	if (large)
		snprintf(name, sizeof(name), "blocks of %s",
			 gs__mem_size(bytes, size, sizeof(size)));
	item = gs__item(m->l, class, name, NULL, group);
	gs__item_more(m->l, item);
	return gs__claim_add(&m->found, group, group + bytes, class, RANK_MALLOC, item, err);
}

/* The groups of one area, whose bytes are @p. */
static int take_area(struct musl *m, gs_addr area, const uint8_t *p, struct gs_err *err)
{
	uint64_t n = word(p, 2) & UINT32_MAX, back[SLOTS_MAX];
	struct gs_read reads[SLOTS_MAX];
	int slot[SLOTS_MAX], found = 0, r = 0;

	for (int i = 0; i < SLOTS_MAX && (uint64_t)i < n; i++) {
		const uint8_t *meta = p + AREA_HEAD + (size_t)i * SLOT;
		gs_addr group = word(meta, 2);
		uint64_t pages = word(meta, 4) >> 12;

		if (group < PAGE || group % PAGE || pages == 0 || pages > (1ull << 34))
			continue;
		reads[found] = (struct gs_read){ group, &back[found], 8, 0 };
		slot[found++] = i;
	}
	if (found)
		r = m->mem->readv(m->mem->ctx, reads, (size_t)found, err);
	for (int k = 0; k < found && r >= 0; k++) {
		uint64_t at = AREA_HEAD + (uint64_t)slot[k] * SLOT;

		if (reads[k].result == 0 && back[k] == area + at)
			r = claim_group(m, reads[k].addr, word(p + at, 4), err);
	}
	return r < 0 ? r : 0;
}

static int take_areas(struct musl *m, struct gs_err *err)
{
	uint32_t item = gs__item(m->l, GS_MEM_C_HEAP, "tables of musl's malloc", NULL, m->area);
	uint8_t page[PAGE];
	gs_addr at = m->area, mark = 0;
	int r = 0;

	// A damaged list may go round: one of its areas is met again.
	for (uint32_t i = 0; at && at != mark && i < AREAS_MAX && r == 0; i++) {
		if ((i & (i - 1)) == 0)
			mark = at;
		if (at % PAGE || gs_memory_read(m->mem, at, page, sizeof(page), NULL) < 0 ||
		    word(page, 0) != m->secret)
			break;
		gs__item_more(m->l, item);
		r = gs__claim_add(&m->found, at, at + PAGE, GS_MEM_C_HEAP, RANK_MALLOC, item, err);
		if (r == 0)
			r = take_area(m, at, page, err);
		at = word(page, 1);
	}
	return r;
}

int gs__claims_musl(struct gs_memory_look *l, struct gs_err *err)
{
	struct musl m = { .l = l, .mem = gs_target_memory(l->target) };
	int r = find_context(&m, err);

	if (r == 0 && m.area)
		r = take_areas(&m, err);
	for (uint32_t i = 0; i < m.found.n && r == 0; i++) {
		const struct gs__claim *c = &m.found.v[i];

		r = gs__claim_add(&l->claims, c->start, c->end, c->class, c->rank, c->item, err);
	}
	free(m.found.v);
	if (r == 0)
		gs__claims_settle(&l->claims);
	return r;
}
