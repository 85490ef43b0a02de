/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The census of a Go heap: makes what the walk needs, lets it walk, adds up.
 *
 * Memory: 8 bytes a slot (type and label), touched where there are live objects; what marking needs; types and roots, some
 * hundred bytes each. A path needs no more: it takes the place of the labels. What is retained needs 8 more a slot.
 */
#include "analysis/heap_objects.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "analysis/heap_objects_private.h"
#include "base/clock.h"
#include "base/hash.h"

enum { BATCH = 256, MAX_MODULES = 256 };

uint32_t *gs__ho_slots(uint32_t n)
{
	void *p = mmap(NULL, (n + 1ul) * sizeof(uint32_t), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void slots_free(uint32_t *p, uint32_t n)
{
	if (p)
		munmap(p, (n + 1ul) * sizeof(uint32_t));
}

/* --- what has to be known before ---------------------------------------------------------------------------------- */

static void add_range(struct gs__ho_range *ranges, uint32_t *n, size_t max, gs_addr lo, gs_addr hi)
{
	if (lo && lo < hi && *n < max)
		ranges[(*n)++] = (struct gs__ho_range){ lo, hi };
}

static int open_types(struct gs_heap_objects *x, struct gs_err *err)
{
	struct gs_go_types_range range[MAX_MODULES];
	const struct gs_rt_meta_range *meta;
	const struct gs_rt_module *m;
	uint32_t n, n_meta, k = 0;
	int r = gs_rt_modules(x->rt, &m, &n, err);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++) {
		gs_addr end = m[i].ebss > m[i].enoptrbss ? m[i].ebss : m[i].enoptrbss;
		gs_addr lo = m[i].types && m[i].types < m[i].noptrdata ? m[i].types
								       : m[i].noptrdata;

		if (k < MAX_MODULES)
			range[k++] = (struct gs_go_types_range){ m[i].types, m[i].etypes };
		add_range(x->text, &x->n_text, GS_ARRAY_SIZE(x->text), m[i].text, m[i].etext);
		/* Itabs lie somewhere between the descriptors and the end of data. */
		add_range(x->itabs, &x->n_itabs, GS_ARRAY_SIZE(x->itabs),
			  m[i].rodata && m[i].rodata < lo ? m[i].rodata : lo, end);
	}
	/* Those made at run time (runtime.getitab). */
	meta = gs_rt_heap_meta(x->h, &n_meta);
	for (uint32_t i = 0; i < n_meta; i++)
		if (meta[i].kind == GS_RT_META_PERSISTENT)
			add_range(x->itabs, &x->n_itabs, GS_ARRAY_SIZE(x->itabs), meta[i].start,
				  meta[i].end);
	return gs_go_types_new(x->mem, x->layout, range, k, &x->types, err);
}

static uint64_t channel_size(const struct gs_go_layout *l)
{
	static const struct {
		enum gs_go_field field;
		int32_t width;
	} needed[] = {
		{ GS_GO_HCHAN_ELEMTYPE, 8 }, { GS_GO_HCHAN_ELEMSIZE, 2 },
		{ GS_GO_HCHAN_DATAQSIZ, 8 }, { GS_GO_HCHAN_CLOSED, 4 },
		{ GS_GO_HCHAN_BUF, 8 },
	};
	int32_t size = l->offset[GS_GO_HCHAN_SIZE];

	for (size_t i = 0; i < GS_ARRAY_SIZE(needed); i++)
		if (l->offset[needed[i].field] < 0 ||
		    l->offset[needed[i].field] + needed[i].width > size)
			return 0;
	return (uint64_t)size;
}

static int large_batch(struct gs_heap_objects *x, uint32_t from, struct gs_err *err)
{
	uint32_t off = (uint32_t)x->layout->offset[GS_GO_MSPAN_LARGE_TYPE];
	struct gs_read rd[BATCH];
	uint32_t n = x->n_large - from < BATCH ? x->n_large - from : BATCH;

	for (uint32_t i = 0; i < n; i++)
		rd[i] = (struct gs_read){ .addr = x->mark->span[x->large[from + i].span].mspan +
						  off,
					  .buf = &x->large[from + i].type,
					  .len = 8 };
	return x->mem->readv(x->mem->ctx, rd, n, err);
}

int gs__ho_large_types(struct gs_heap_objects *x, struct gs_err *err)
{
	const struct gs_rt_span *s = x->mark->span;
	uint32_t n = 0;

	if (!gs_go_has(x->layout, GS_GO_MSPAN_LARGE_TYPE))
		return 0;
	for (uint32_t i = 0; i < x->mark->n_spans; i++)
		n += (s[i].flags & (GS_RT_SPAN_LARGE | GS_RT_SPAN_NOSCAN)) == GS_RT_SPAN_LARGE;
	x->large = gs_array_new(n + 1ul, sizeof(*x->large));
	if (!x->large)
		return gs_fail(err, -ENOMEM, 0, "cannot look at large objects: out of memory");
	for (uint32_t i = 0; i < x->mark->n_spans; i++)
		if ((s[i].flags & (GS_RT_SPAN_LARGE | GS_RT_SPAN_NOSCAN)) == GS_RT_SPAN_LARGE)
			x->large[x->n_large++].span = i;
	for (uint32_t i = 0; i < x->n_large; i += BATCH) {
		int r = large_batch(x, i, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int prepare(struct gs_heap_objects *x, struct gs_err *err)
{
	int r = gs_heap_mark_new(x->h, x->mem, &x->mark, err);

	if (r < 0)
		return r;
	x->n_slots = gs_rt_heap_slots(x->h);
	x->known = gs__ho_slots(x->n_slots);
	x->label = gs__ho_slots(x->n_slots);
	x->arena = gs_arena_new((size_t)2 << 30);
	if (!x->known || !x->label || !x->arena)
		return gs_fail(err, -ENOMEM, 0, "no memory for a census of %" PRIu32 " objects",
			       x->n_slots);
	x->seed = gs_hash_seed();
	x->hchan_size = channel_size(x->layout);
	r = open_types(x, err);
	if (r == 0)
		r = gs__ho_large_types(x, err);
	if (r == 0)
		r = gs__ho_variables(x, err);
	return r;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void tell_losses(struct gs_heap_objects *x, bool ended)
{
	struct gs_heap_mark_stats s;

	gs_heap_mark_stats(x->mark, &s);
	gs_incomplete_add(&x->inc, "heap_bytes_unreadable", s.unreadable_bytes,
			  "objects there may lead to others that were not reached");
	gs_incomplete_add(&x->inc, "walk_ended_early", ended, "as was asked for");
}

int gs_heap_objects_new(struct gs_rt *rt, const struct gs_rt_heap *h,
			const struct gs_heap_objects_options *o, struct gs_heap_objects **ret,
			struct gs_err *err)
{
	GS_CLEANUP(gs_heap_objects_freep) struct gs_heap_objects *x = calloc(1, sizeof(*x));
	int64_t begin = gs_now_ns();
	int r, ended;

	if (!x)
		return gs_fail(err, -ENOMEM, 0, "no memory for a census");
	x->rt = rt;
	x->h = h;
	x->passes = 1;
	x->o = o ? *o : (struct gs_heap_objects_options){ 0 };
	x->mem = gs_rt_memory(rt);
	x->layout = &gs_rt_facts(rt)->layout;
	x->result.process = &gs_rt_facts(rt)->process;
	x->result.incomplete = &x->inc;
	r = prepare(x, err);
	if (r == 0)
		r = gs__ho_sites(x, err);
	if (r == 0)
		r = gs__ho_roots(x, err);
	ended = r == 0 ? gs__ho_walk(x, err) : 0;
	if (r < 0 || ended < 0)
		return r < 0 ? r : ended;
	r = gs__ho_count(x, err);
	if (r == 0 && x->o.retained && !ended)
		r = ended = gs__ho_retained(x, gs__ho_roots, err);
	if (r >= 0 && x->o.path_to && !ended)
		r = gs__ho_path(x, err);
	if (r < 0)
		return r;
	tell_losses(x, ended > 0);
	x->result.seconds_ns = gs_now_ns() - begin;
	*ret = GS_TAKE(x);
	return 0;
}

struct gs_heap_objects *gs_heap_objects_free(struct gs_heap_objects *x)
{
	if (!x)
		return NULL;
	slots_free(x->known, x->n_slots);
	slots_free(x->label, x->n_slots);
	gs_heap_mark_free(x->mark);
	gs_go_types_free(x->types);
	free(x->type);
	free(x->index);
	free(x->edge);
	free(x->root);
	free(x->var);
	free(x->large);
	gs_arena_free(x->arena);
	free(x);
	return NULL;
}

const struct gs_heap_objects_result *gs_heap_objects_result(const struct gs_heap_objects *x)
{
	return &x->result;
}
