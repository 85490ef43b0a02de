/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Two looks at memory compared: by how much each class differs, and who did it. The looks know which pages were present (where the
 * kernel tells, Linux 6.7), so what a mapping grew by, and what a call gave back, is counted page by page; elsewhere by proportion
 * of whole mappings.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/mem_growth.h"
#include "analysis/mem_private.h"

struct looks {
	struct gs_memory_look *before, *after;
};

static enum gs_mem_class_id class_at(void *ctx, gs_addr addr, gs_addr *ret_end)
{
	return gs__class_at(((const struct looks *)ctx)->after, addr, ret_end);
}

static enum gs_mem_class_id class_before(void *ctx, gs_addr addr, gs_addr *ret_end)
{
	return gs__class_at(((const struct looks *)ctx)->before, addr, ret_end);
}

/* ---- pages ---- */

static int count_run(void *ctx, const struct gs_page_run *run)
{
	*(uint64_t *)ctx += run->end - run->start;
	return 0;
}

/* By proportion of the mapping that @start is in. */
static uint64_t share_of(const struct gs_memory_look *l, gs_addr start, gs_addr end)
{
	const struct gs_vma *v = gs__vma_from(l, start);
	uint64_t size;

	if (!v || v->map.start >= end || end <= start)
		return 0;
	size = v->map.end - v->map.start;
	if (v->rss >= size)
		return end - start;
	return (uint64_t)((double)v->rss / (double)size * (double)(end - start));
}

static uint64_t resident_in(const struct gs_memory_look *l, gs_addr start, gs_addr end)
{
	uint64_t bytes = 0;

	if (!l->residency || gs_residency_seen(l->residency, start, end, count_run, &bytes) != 0)
		return share_of(l, start, end);
	return bytes;
}

static uint64_t resident(void *ctx, gs_addr start, gs_addr end)
{
	return resident_in(((const struct looks *)ctx)->after, start, end);
}

struct gone {
	const struct gs_memory_look *after;
	uint64_t bytes;
};

static int gone_run(void *ctx, const struct gs_page_run *run)
{
	struct gone *g = (struct gone *)ctx;
	uint64_t left = resident_in(g->after, run->start, run->end);

	g->bytes += run->end - run->start - left;
	return 0;
}

static uint64_t gone(void *ctx, gs_addr start, gs_addr end, bool all)
{
	const struct looks *l = (const struct looks *)ctx;
	struct gone g = { .after = l->after };
	uint64_t before, after;

	if (all)
		return resident_in(l->before, start, end);
	if (l->before->residency && l->after->residency &&
	    gs_residency_seen(l->before->residency, start, end, gone_run, &g) == 0)
		return g.bytes;
	before = resident_in(l->before, start, end);
	after = resident_in(l->after, start, end);
	return before > after ? before - after : 0;
}

static int no_run(void *ctx, const struct gs_page_run *run)
{
	(void)ctx;
	(void)run;
	return 0;
}

static bool knows_pages(const struct gs_memory_look *l)
{
	return l->residency && gs_residency_seen(l->residency, 0, 1, no_run, NULL) == 0;
}

/* ---- both together ---- */

static int most_grown_first(const void *a, const void *b)
{
	const struct gs_mem_growth *x = (const struct gs_mem_growth *)a;
	const struct gs_mem_growth *y = (const struct gs_mem_growth *)b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return (int)x->class - (int)y->class;
}

static int largest_first(const void *a, const void *b)
{
	const struct gs_mem_grower *x = (const struct gs_mem_grower *)a;
	const struct gs_mem_grower *y = (const struct gs_mem_grower *)b;

	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static void class_growth(const struct gs_memory_look *before, struct gs_mem_result *r)
{
	r->n_growth = 0;
	for (unsigned int c = 0; c < GS_MEM_CLASS_COUNT; c++) {
		int64_t d = (int64_t)r->class[c].resident_bytes -
			    (int64_t)before->r.class[c].resident_bytes;
		int64_t huge =
			(int64_t)r->class[c].huge_bytes - (int64_t)before->r.class[c].huge_bytes;

		if (d)
			r->growth[r->n_growth++] =
				(struct gs_mem_growth){ (enum gs_mem_class_id)c, d, huge };
	}
	qsort(r->growth, r->n_growth, sizeof(r->growth[0]), most_grown_first);
}

/* Those that events tell of, and those of the memory profile. */
static int find_growers(struct looks *l, struct gs_memory_growth *growth, struct gs_err *err)
{
	const struct gs_memory_view view = { .class_at = class_at,
					     .class_before = class_before,
					     .resident = resident,
					     .gone = gone,
					     .exact = knows_pages(l->before) &&
						      knows_pages(l->after),
					     .ctx = l };
	struct gs_memory_look *after = l->after;
	const struct gs_mem_grower *seen = NULL;
	struct gs_mem_grower *sites, *all;
	uint32_t n_seen = 0, n_sites;
	int r = gs__sites_grown(l->before, after, &sites, &n_sites, err);

	if (r == 0 && growth)
		r = gs__memory_growers(growth, &view, &seen, &n_seen, &after->inc, err);
	if (r < 0)
		return r;
	all = (struct gs_mem_grower *)gs_arena_array(after->arena, (size_t)n_seen + n_sites + 1,
						     sizeof(*all));
	if (!all)
		return gs_fail(err, -GS_E_LIMIT, 0, "no memory for %u stacks", n_seen);
	if (n_seen)
		memcpy(all, seen, n_seen * sizeof(*all));
	if (n_sites)
		memcpy(all + n_seen, sites, n_sites * sizeof(*all));
	qsort(all, n_seen + n_sites, sizeof(*all), largest_first);
	after->r.growers = all;
	after->r.n_growers = n_seen + n_sites;
	return 0;
}

int gs_memory_compare(struct gs_memory_look *before, struct gs_memory_look *after,
		      struct gs_memory_growth *growth, int64_t watched_ns, struct gs_err *err)
{
	struct looks looks = { before, after };
	int r;

	after->r.watched_ns = watched_ns > 0 ? watched_ns : 1;
	after->r.rss_before_bytes = before->r.rss_bytes;
	class_growth(before, &after->r);
	r = find_growers(&looks, growth, err);
	return r < 0 ? r : gs__verdict(after, err);
}
