/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Dividing mappings. One that has a single owner gives its counters as they are. Of one that has several
 * (the runtime's arenas, what the kernel merged) each run of present pages goes to the claims it lies in.
 *
 * Where the pages had to be asked for after the counters (smaps), the two are some milliseconds apart: if there are fewer
 * pages, the rest is "unexplained"; if there are more, the process has grown meanwhile and that counts.
 */
#include <string.h>

#include "analysis/mem_private.h"
#include "base/search.h"

/* A mapping that is being divided. */
struct divide {
	struct gs_memory_look *l;
	struct gs__heap_walk heap;
	const struct gs_vma *v;
	uint32_t at;     /* first claim that may have a part in it */
	uint32_t cursor; /* claim of the page at hand */
	uint64_t seen, seen_huge;
	bool counted[GS_MEM_CLASS_COUNT + 1];
};

/* The part of the mapping from @addr on that has one owner. */
struct part {
	gs_addr end;
	unsigned int class; /* GS__MEM_HEAP; GS_MEM_CLASS_COUNT + 1: nobody claims it */
	uint32_t item;
};
#define UNCLAIMED (GS__MEM_HEAP + 1)

static struct part part_at(const struct gs__claims *c, uint32_t *cursor, gs_addr addr, gs_addr end)
{
	while (*cursor < c->n && c->v[*cursor].end <= addr)
		(*cursor)++;
	if (*cursor == c->n || c->v[*cursor].start >= end)
		return (struct part){ end, UNCLAIMED, 0 };
	if (c->v[*cursor].start > addr)
		return (struct part){ c->v[*cursor].start, UNCLAIMED, 0 };
	return (struct part){ c->v[*cursor].end < end ? c->v[*cursor].end : end,
			      c->v[*cursor].class, c->v[*cursor].item };
}

/* One more mapping has a part in the class. */
static void count_mapping(struct divide *d, enum gs_mem_class_id c)
{
	if (!d->counted[c])
		d->l->r.class[c].mappings++;
	d->counted[c] = true;
}

/* The address space of a part. Unclaimed parts get their class here: it becomes a claim, so that the walk over
 * the pages finds it. */
static int count_part(struct divide *d, gs_addr start, const struct part *p, struct gs__claims *own,
		      struct gs_err *err)
{
	struct gs_memory_look *l = d->l;
	unsigned int class = p->class;
	uint32_t item = p->item;

	if (class == GS__MEM_HEAP) {
		d->l->heap_mappings++;
		if (d->v->huge_advised)
			l->huge_advised_bytes += p->end - start;
		return gs__claim_add(own, start, p->end, class, 0, 0, err);
	}
	if (class == UNCLAIMED)
		class = gs__vma_class(l, d->v, start, p->end, &item);
	count_mapping(d, (enum gs_mem_class_id) class);
	l->r.class[class].bytes += p->end - start;
	gs__item_count(l, item, p->end - start, 0, 0);
	return gs__claim_add(own, start, p->end, class, 0, item, err);
}

static void count_resident(struct divide *d, const struct gs__claim *c, uint64_t bytes,
			   uint64_t huge)
{
	struct gs_mem_class *k = &d->l->r.class[c->class];

	k->resident_bytes += bytes;
	k->huge_bytes += huge;
	gs__item_count(d->l, c->item, 0, bytes, huge);
}

struct walk {
	struct divide *d;
	const struct gs__claims *own;
	uint32_t cursor;
};

static int take_run(void *ctx, const struct gs_page_run *run)
{
	struct walk *w = (struct walk *)ctx;
	struct divide *d = w->d;
	gs_addr start = run->start, end = run->end;

	if (start < d->v->map.start)
		start = d->v->map.start;
	if (end > d->v->map.end)
		end = d->v->map.end;
	while (start < end && w->cursor < w->own->n) {
		const struct gs__claim *c = &w->own->v[w->cursor];
		gs_addr stop = c->end < end ? c->end : end;

		if (c->end <= start) {
			w->cursor++;
			continue;
		}
		if (c->class == GS__MEM_HEAP)
			gs__heap_resident(&d->heap, start, stop, run->huge);
		else
			count_resident(d, c, stop - start, run->huge ? stop - start : 0);
		d->seen += stop - start;
		start = stop;
	}
	return 0;
}

/* The class that swapped pages of a divided mapping are put to: where most of it is. */
static unsigned int main_class(const struct gs__claims *own)
{
	uint64_t most = 0;
	unsigned int class = GS_MEM_UNEXPLAINED;

	for (uint32_t i = 0; i < own->n; i++)
		if (own->v[i].end - own->v[i].start > most) {
			most = own->v[i].end - own->v[i].start;
			class = own->v[i].class;
		}
	return class == GS__MEM_HEAP ? GS_MEM_HEAP_LIVE : class;
}

static int divide_pages(struct divide *d, const struct gs__claims *own, struct gs_err *err)
{
	struct gs_memory_look *l = d->l;
	const struct gs_vma *v = d->v;
	struct walk w = { .d = d, .own = own };
	int r;

	d->seen = 0;
	l->r.class[main_class(own)].swap_bytes += v->swap;
	if (v->rss == 0)
		return 0;
	r = gs_residency_seen(l->residency, v->map.start, v->map.end, take_run, &w);
	if (r == 1)
		r = gs_residency_pages(l->target, v->map.start, v->map.end, take_run, &w, err);
	if (r < 0)
		return r;
	if (d->seen < v->rss) {
		l->r.class[GS_MEM_UNEXPLAINED].resident_bytes += v->rss - d->seen;
		count_mapping(d, GS_MEM_UNEXPLAINED);
	} else {
		l->r.rss_bytes += d->seen - v->rss;
	}
	return 0;
}

static int divide_mapping(struct divide *d, struct gs__claims *own, struct gs_err *err)
{
	struct gs_memory_look *l = d->l;
	const struct gs_vma *v = d->v;
	gs_addr at = v->map.start;
	int r = 0;

	own->n = 0;
	memset(d->counted, 0, sizeof(d->counted));
	while (at < v->map.end && r == 0) {
		struct part p = part_at(&l->claims, &d->cursor, at, v->map.end);

		r = count_part(d, at, &p, own, err);
		at = p.end;
	}
	if (r < 0 || !l->r.kernel_view)
		return r;
	if (own->n == 1 && own->v[0].class != GS__MEM_HEAP) {
		count_resident(d, &own->v[0], v->rss, v->anon_huge + v->file_huge);
		l->r.class[own->v[0].class].swap_bytes += v->swap;
		return 0;
	}
	for (uint32_t i = 0; i < own->n; i++)
		if (own->v[i].class == GS__MEM_HEAP) {
			l->heap_lazy_bytes += v->lazy_free;
			break;
		}
	return divide_pages(d, own, err);
}

static const uint8_t derived[] = {
	GS_MEM_HEAP_LIVE, GS_MEM_HEAP_NEW,      GS_MEM_HEAP_UNUSED,
	GS_MEM_HEAP_LAZY, GS_MEM_HEAP_RETURNED, GS_MEM_UNEXPLAINED,
};

int gs__classes_count(struct gs_memory_look *l, struct gs_err *err)
{
	struct gs__claims own = { 0 };
	struct divide d = { .l = l };
	int r = 0;

	for (uint32_t c = 0; c < GS_MEM_CLASS_COUNT; c++)
		l->r.class[c].how = GS_MEM_READ;
	for (size_t i = 0; i < GS_ARRAY_SIZE(derived); i++)
		l->r.class[derived[i]].how = GS_MEM_DERIVED;
	gs__heap_begin(&d.heap, l);
	for (uint32_t i = 0; i < l->n_vmas && r == 0; i++) {
		d.v = &l->vma[i];
		r = divide_mapping(&d, &own, err);
	}
	gs__heap_end(&d.heap);
	free(own.v);
	return r;
}

const struct gs_vma *gs__vma_from(const struct gs_memory_look *l, gs_addr addr)
{
	uint32_t at = GS_SEARCH(i, l->n_vmas, l->vma[i].map.end > addr);

	return at < l->n_vmas ? &l->vma[at] : NULL;
}

enum gs_mem_class_id gs__class_at(void *look, gs_addr addr, gs_addr *ret_end)
{
	struct gs_memory_look *l = (struct gs_memory_look *)look;
	const struct gs_vma *v = gs__vma_from(l, addr);
	const struct gs_rt_span *span;
	uint32_t cursor, item;
	struct part p;

	if (!v || v->map.start > addr || v->map.prot == 0) {
		*ret_end = !v ? UINT64_MAX : v->map.start > addr ? v->map.start : v->map.end;
		return GS_MEM_CLASS_COUNT;
	}
	cursor = gs__claims_from(&l->claims, addr);
	p = part_at(&l->claims, &cursor, addr, v->map.end);
	*ret_end = p.end;
	if (p.class == UNCLAIMED)
		return gs__vma_class(l, v, addr, p.end, &item);
	if (p.class != GS__MEM_HEAP)
		return (enum gs_mem_class_id)p.class;
	span = gs_rt_heap_find(gs_rt_heap_index(l->heap), addr);
	if (!span) {
		*ret_end = (addr & ~(uint64_t)(GS_RT_PAGE - 1)) + GS_RT_PAGE;
		*ret_end = *ret_end < p.end ? *ret_end : p.end;
		return GS_MEM_HEAP_FREE;
	}
	*ret_end = span->start + (uint64_t)span->n_pages * GS_RT_PAGE;
	*ret_end = *ret_end < p.end ? *ret_end : p.end;
	return span->state == GS_RT_SPAN_IN_USE ? GS_MEM_HEAP_NEW
	       : span->flags & GS_RT_SPAN_STACK ? GS_MEM_STACKS
						: GS_MEM_GC_WORK;
}
