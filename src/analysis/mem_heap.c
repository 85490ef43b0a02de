/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The Go heap's part of resident memory. Three lists in the order of addresses are merged: runs of present pages (the
 * kernel's), spans and runs of free pages (the runtime's).
 *
 *   present    ████████░░░░████████████░░░░░░██████
 *   runtime    [ span  ][ span ][ free ][returned][  span  ]
 *
 * - A span of objects: what is present of it belongs to objects as far as they have room in it (alloc_count times their
 *   size), the rest is unused slots. Slots are taken from the front, so in a span that is present only in part
 *   it is objects that are.
 * - A span of stacks: byte by byte against the stacks that live goroutines and threads use.
 * - Free pages that count: kept; or returned and yet present: by MADV_FREE (as many as the kernel says are lazily
 *   freed), or put back as part of a huge page.
 * - Present, but neither: inside of a huge page it is address space that was never used; else the heap has changed while it was
 *   read (a page that was free when spans were read, and in use when free pages were). If that is more than a hundredth
 *   of RSS the heap is read again, which tells whose these pages have become; what is left is asked for span by span.
 *
 * Objects divide into those that were live at the last collection and those made since by the collector's counters.
 */
#include <stdio.h>
#include <stdlib.h>

#include "analysis/mem_private.h"
#include "base/search.h"

#define CHANGED_MAX (1u << 18)
#define READ_AGAIN 3
#define ASKED_MAX (1u << 16) /* questions about single spans */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static gs_addr span_end(const struct gs_rt_span *s)
{
	return s->start + (uint64_t)s->n_pages * GS_RT_PAGE;
}

static uint64_t object_bytes(const struct gs_rt_span *s)
{
	return min_u64((uint64_t)s->alloc_count * s->elem_size, (uint64_t)s->n_pages * GS_RT_PAGE);
}

static struct gs_mem_class *class_of(const struct gs__heap_walk *w, enum gs_mem_class_id c)
{
	return &w->l->r.class[c];
}

static void resident(const struct gs__heap_walk *w, enum gs_mem_class_id c, uint64_t bytes,
		     bool huge)
{
	class_of(w, c)->resident_bytes += bytes;
	class_of(w, c)->huge_bytes += huge ? bytes : 0;
}

/* What was seen of span[at_span] goes to its classes. */
static void flush_span(struct gs__heap_walk *w)
{
	const struct gs_rt_span *s = &w->span[w->at_span];
	uint64_t seen = w->span_resident, objects, unused, huge;

	w->span_resident = 0;
	huge = w->span_huge;
	w->span_huge = 0;
	if (seen == 0)
		return;
	objects = min_u64(object_bytes(s), seen);
	unused = seen - objects;
	w->objects += objects;
	w->objects_huge += objects == seen ? huge : (uint64_t)((double)huge * objects / seen);
	resident(w, GS_MEM_HEAP_UNUSED, unused, false);
	class_of(w, GS_MEM_HEAP_UNUSED)->huge_bytes +=
		objects == seen ? 0 : huge - (uint64_t)((double)huge * objects / seen);
	w->unused_by_class[s->spanclass] += unused;
	if (!(s->flags & GS_RT_SPAN_LARGE))
		w->l->small_resident_bytes += seen;
}

/* [start, end) lies in a span of stacks. */
static void stack_resident(struct gs__heap_walk *w, gs_addr start, gs_addr end, bool huge)
{
	const struct gs_memory_look *l = w->l;
	uint64_t used = 0;

	while (w->at_stack < l->n_stacks && l->stack[w->at_stack].hi <= start)
		w->at_stack++;
	for (uint32_t i = w->at_stack; i < l->n_stacks && l->stack[i].lo < end; i++) {
		gs_addr lo = l->stack[i].lo > start ? l->stack[i].lo : start;

		used += min_u64(l->stack[i].hi, end) - lo;
	}
	resident(w, GS_MEM_STACKS, used, huge);
	resident(w, GS_MEM_STACKS_FREE, end - start - used, huge);
}

static void span_resident(struct gs__heap_walk *w, gs_addr start, gs_addr end, bool huge)
{
	const struct gs_rt_span *s = &w->span[w->at_span];

	if (s->state == GS_RT_SPAN_IN_USE) {
		w->span_resident += end - start;
		w->span_huge += huge ? end - start : 0;
	} else if (s->flags & GS_RT_SPAN_STACK) {
		stack_resident(w, start, end, huge);
	} else {
		resident(w, GS_MEM_GC_WORK, end - start, huge);
	}
}

/* Keep what nobody owned, as far as there is room. */
static void changed(struct gs__heap_walk *w, gs_addr start, gs_addr end)
{
	struct gs__changed *last = w->n_changed ? &w->changed[w->n_changed - 1] : NULL;

	if (last && last->end == start) {
		last->end = end;
	} else {
		if (w->n_changed == w->changed_cap) {
			uint32_t cap = w->changed_cap ? w->changed_cap * 2 : 256;
			struct gs__changed *v = cap > CHANGED_MAX
							? NULL
							: (struct gs__changed *)gs_array_resize(
								  w->changed, cap, sizeof(*v));

			if (!v) {
				resident(w, GS_MEM_UNEXPLAINED, end - start, false);
				return;
			}
			w->changed = v;
			w->changed_cap = cap;
		}
		w->changed[w->n_changed++] = (struct gs__changed){ start, end };
	}
	w->changed_bytes += end - start;
}

void gs__heap_resident(struct gs__heap_walk *w, gs_addr start, gs_addr end, bool huge)
{
	while (start < end) {
		gs_addr stop = end;

		while (w->at_span < w->n_spans && span_end(&w->span[w->at_span]) <= start) {
			flush_span(w);
			w->at_span++;
		}
		while (w->at_free < w->n_free &&
		       w->free[w->at_free].start + w->free[w->at_free].bytes <= start)
			w->at_free++;
		if (w->at_span < w->n_spans && w->span[w->at_span].start <= start) {
			stop = min_u64(end, span_end(&w->span[w->at_span]));
			span_resident(w, start, stop, huge);
		} else if (w->at_free < w->n_free && w->free[w->at_free].start <= start) {
			const struct gs_rt_free_range *f = &w->free[w->at_free];

			stop = min_u64(end, f->start + f->bytes);
			if (w->at_span < w->n_spans)
				stop = min_u64(stop, w->span[w->at_span].start);
			resident(w, f->returned ? GS_MEM_HEAP_RETURNED : GS_MEM_HEAP_FREE,
				 stop - start, huge);
		} else {
			if (w->at_span < w->n_spans)
				stop = min_u64(stop, w->span[w->at_span].start);
			if (w->at_free < w->n_free)
				stop = min_u64(stop, w->free[w->at_free].start);
			if (huge)
				resident(w, GS_MEM_HEAP_RESERVED, stop - start, true);
			else
				changed(w, start, stop);
		}
		start = stop;
	}
}

/* Address space of the heap's classes, whatever is resident. @ret_objects: of slots that hold objects. */
static void count_bytes(struct gs__heap_walk *w, uint64_t *ret_objects)
{
	uint64_t spans = 0, free = 0, objects = 0;
	uint32_t n_arenas;

	for (uint32_t i = 0; i < w->n_spans; i++) {
		const struct gs_rt_span *s = &w->span[i];
		uint64_t bytes = (uint64_t)s->n_pages * GS_RT_PAGE, used;

		spans += bytes;
		if (s->state == GS_RT_SPAN_IN_USE) {
			used = object_bytes(s);
			objects += used;
			class_of(w, GS_MEM_HEAP_UNUSED)->bytes += bytes - used;
			w->unused_bytes_by_class[s->spanclass] += bytes - used;
		} else if (!(s->flags & GS_RT_SPAN_STACK)) {
			class_of(w, GS_MEM_GC_WORK)->bytes += bytes;
		} else {
			class_of(w, GS_MEM_STACKS_FREE)->bytes += bytes;
		}
	}
	for (uint32_t i = 0; i < w->n_free; i++) {
		free += w->free[i].bytes;
		class_of(w, w->free[i].returned ? GS_MEM_HEAP_RETURNED : GS_MEM_HEAP_FREE)->bytes +=
			w->free[i].bytes;
	}
	gs_rt_heap_arenas(w->l->heap, &n_arenas);
	if (n_arenas * GS_RT_ARENA > spans + free)
		class_of(w, GS_MEM_HEAP_RESERVED)->bytes = n_arenas * GS_RT_ARENA - spans - free;
	*ret_objects = objects;
}

/* Stacks in use lie in spans counted as kept for reuse so far. Those of threads with cgo lie elsewhere. */
static void count_stacks(struct gs__heap_walk *w)
{
	const struct gs_rt_page_index *x = gs_rt_heap_index(w->l->heap);
	uint64_t used = 0;

	for (uint32_t i = 0; i < w->l->n_stacks; i++) {
		const struct gs_rt_span *s = gs_rt_heap_find(x, w->l->stack[i].lo);

		if (s && s->state == GS_RT_SPAN_MANUAL && (s->flags & GS_RT_SPAN_STACK))
			used += min_u64(w->l->stack[i].hi, span_end(s)) - w->l->stack[i].lo;
	}
	used = min_u64(used, class_of(w, GS_MEM_STACKS_FREE)->bytes);
	class_of(w, GS_MEM_STACKS)->bytes += used;
	class_of(w, GS_MEM_STACKS_FREE)->bytes -= used;
}

/* @total object bytes into live at the last collection and made since. */
static uint64_t live_part(const struct gs__heap_walk *w, uint64_t total, uint64_t all)
{
	const struct gs_rt_memory_stats *st = gs_rt_heap_stats(w->l->heap);

	if (st->heap_marked >= all)
		return total;
	// What is not resident was not touched or swapped, whether live or not.
	return total == all ? st->heap_marked
			    : (uint64_t)((double)total * (double)st->heap_marked / (double)all);
}

void gs__heap_begin(struct gs__heap_walk *w, struct gs_memory_look *l)
{
	*w = (struct gs__heap_walk){ .l = l };
	if (!l->heap)
		return;
	w->span = gs_rt_heap_spans(l->heap, &w->n_spans);
	w->free = gs_rt_heap_free_ranges(l->heap, &w->n_free);
	count_bytes(w, &w->all_objects);
	count_stacks(w);
	class_of(w, GS_MEM_HEAP_LIVE)->bytes = live_part(w, w->all_objects, w->all_objects);
	class_of(w, GS_MEM_HEAP_NEW)->bytes = w->all_objects - class_of(w, GS_MEM_HEAP_LIVE)->bytes;
}

/* Which sizes of objects have the free slots. */
static void fragmentation_items(struct gs__heap_walk *w)
{
	uint64_t size[256] = { 0 };
	uint32_t spans[256] = { 0 };

	for (uint32_t i = 0; i < w->n_spans; i++)
		if (w->span[i].state == GS_RT_SPAN_IN_USE) {
			size[w->span[i].spanclass] = w->span[i].elem_size;
			spans[w->span[i].spanclass]++;
		}
	for (uint32_t c = 0; c < 256; c++) {
		char name[64], text[32];
		uint32_t item;

		if (w->unused_bytes_by_class[c] == 0)
			continue;
		// Span class 0 and 1 are objects with spans of their own (runtime/mheap.go, makeSpanClass).
		if (c < 2)
			snprintf(name, sizeof(name), "ends of large objects");
		else
			snprintf(name, sizeof(name), "slots of %s",
				 gs__mem_size(size[c], text, sizeof(text)));
		item = gs__item(w->l, GS_MEM_HEAP_UNUSED, name, NULL, 0);
		gs__item_count(w->l, item, w->unused_bytes_by_class[c], w->unused_by_class[c], 0);
		if (item)
			w->l->items.v[item - 1].count += spans[c];
	}
}

/* The run of free pages that ends behind @addr. */
static const struct gs_rt_free_range *free_from(const struct gs_rt_heap *h, gs_addr addr)
{
	uint32_t n;
	const struct gs_rt_free_range *f = gs_rt_heap_free_ranges(h, &n);
	uint32_t at = GS_SEARCH(i, n, f[i].start + f[i].bytes > addr);

	return at < n ? &f[at] : NULL;
}

/* To the classes of the span @s, @n resident bytes that it was found to own only later. */
static void to_span(struct gs__heap_walk *w, const struct gs_rt_span *s, uint64_t n)
{
	uint64_t objects;

	if (s->state != GS_RT_SPAN_IN_USE) {
		resident(w, s->flags & GS_RT_SPAN_STACK ? GS_MEM_STACKS : GS_MEM_GC_WORK, n, false);
		return;
	}
	objects = min_u64(n, (uint64_t)((double)n * (double)object_bytes(s) /
					((double)s->n_pages * GS_RT_PAGE)));
	resident(w, GS_MEM_HEAP_NEW, objects, false);
	resident(w, GS_MEM_HEAP_UNUSED, n - objects, false);
}

/* What became of [start, end). @return how much of it has one owner now; *ret_known false: none still. */
static uint64_t new_owner(struct gs__heap_walk *w, const struct gs_rt_heap *h, gs_addr start,
			  gs_addr end, bool *ret_known)
{
	const struct gs_rt_span *s = gs_rt_heap_find(gs_rt_heap_index(h), start);
	const struct gs_rt_free_range *f = s ? NULL : free_from(h, start);
	uint64_t n;

	*ret_known = true;
	if (s) {
		n = min_u64(end, span_end(s)) - start;
		to_span(w, s, n);
		return n;
	}
	if (f && f->start <= start) {
		n = min_u64(end, f->start + f->bytes) - start;
		resident(w, f->returned ? GS_MEM_HEAP_RETURNED : GS_MEM_HEAP_FREE, n, false);
		return n;
	}
	*ret_known = false;
	n = GS_RT_PAGE - start % GS_RT_PAGE;
	return min_u64(n, end - start);
}

/* Read the heap again for what nobody owned. */
static bool read_again(struct gs__heap_walk *w)
{
	GS_CLEANUP(gs_rt_heap_freep) struct gs_rt_heap *h = NULL;
	struct gs_incomplete_list inc = { 0 };
	struct gs__changed *before = w->changed;
	uint32_t n = w->n_changed;

	// The first reading succeeded; if this one does not the pages stay as they are.
	if (gs_rt_heap_read(w->l->rt, &h, &inc, NULL) < 0)
		return false;
	w->changed = NULL;
	w->n_changed = w->changed_cap = 0;
	w->changed_bytes = 0;
	for (uint32_t k = 0; k < n; k++)
		for (gs_addr at = before[k].start; at < before[k].end;) {
			bool known;
			uint64_t bytes = new_owner(w, h, at, before[k].end, &known);

			if (!known)
				changed(w, at, at + bytes);
			at += bytes;
		}
	free(before);
	return true;
}

/* Ask about what is left page by page: then there is no time in which it could change hands unseen. */
static void ask(struct gs__heap_walk *w)
{
	uint32_t left = ASKED_MAX;

	for (uint32_t k = 0; k < w->n_changed; k++) {
		const struct gs__changed *c = &w->changed[k];

		for (gs_addr at = c->start; at < c->end;) {
			uint64_t n = min_u64(GS_RT_PAGE - at % GS_RT_PAGE, c->end - at);
			struct gs_rt_span s;
			int is = left ? gs_rt_heap_ask(w->l->heap, at, &s) : -1;

			left -= left > 0;
			if (is > 0) {
				n = min_u64(c->end, span_end(&s)) - at;
				to_span(w, &s, n);
			} else {
				resident(w, is == 0 ? GS_MEM_HEAP_FREE : GS_MEM_UNEXPLAINED, n,
					 false);
			}
			at += n;
		}
	}
}

static void resolve_changed(struct gs__heap_walk *w)
{
	uint64_t little = w->l->r.rss_bytes / 100;

	for (int i = 0; i < READ_AGAIN && w->changed_bytes > little; i++)
		if (!read_again(w))
			break;
	ask(w);
	free(w->changed);
	w->changed = NULL;
}

void gs__heap_end(struct gs__heap_walk *w)
{
	struct gs_mem_class *lazy = class_of(w, GS_MEM_HEAP_LAZY);
	struct gs_mem_class *returned = class_of(w, GS_MEM_HEAP_RETURNED);
	uint64_t live, n;

	if (!w->l->heap)
		return;
	if (w->at_span < w->n_spans)
		flush_span(w);
	resolve_changed(w);
	live = live_part(w, w->objects, w->all_objects);
	class_of(w, GS_MEM_HEAP_LIVE)->resident_bytes += live;
	class_of(w, GS_MEM_HEAP_NEW)->resident_bytes += w->objects - live;
	if (w->objects) {
		n = (uint64_t)((double)w->objects_huge * (double)live / (double)w->objects);
		class_of(w, GS_MEM_HEAP_LIVE)->huge_bytes += n;
		class_of(w, GS_MEM_HEAP_NEW)->huge_bytes += w->objects_huge - n;
	}
	n = min_u64(w->l->heap_lazy_bytes, returned->resident_bytes);
	lazy->resident_bytes = n;
	lazy->bytes = n;
	returned->resident_bytes -= n;
	returned->bytes -= min_u64(n, returned->bytes);
	n = min_u64(returned->huge_bytes, returned->resident_bytes);
	lazy->huge_bytes = returned->huge_bytes - n;
	returned->huge_bytes = n;
	for (unsigned int c = GS_MEM_HEAP_LIVE; c <= GS_MEM_GC_WORK; c++)
		if (w->l->r.class[c].bytes || w->l->r.class[c].resident_bytes)
			w->l->r.class[c].mappings = w->l->heap_mappings;
	fragmentation_items(w);
}
