/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* See heap_world.h. Spans and arenas are what the test says, memory is that of a fake target. */
#include "heap_world.h"

const struct gs_rt_span *gs_rt_heap_spans(const struct gs_rt_heap *h, uint32_t *ret_n)
{
	*ret_n = h->n;
	return h->span;
}

uint32_t gs_rt_heap_slots(const struct gs_rt_heap *h)
{
	return h->slots;
}

gs_addr gs_rt_heap_arena_info(const struct gs_rt_heap *h, gs_addr addr)
{
	uint64_t n = (addr - BASE) / GS_RT_ARENA;

	(void)h;
	return n < N_ARENAS ? INFOS + n * INFO_BYTES : 0;
}

const struct gs_go_layout *gs_rt_heap_layout(const struct gs_rt_heap *h)
{
	return &h->layout;
}

int begin(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	if (!w || gs_target_fake_new(GS_ARCH_AMD64, &w->target, &w->err) < 0)
		return -1;
	w->random = 1;
	use_release(w, 25);
	return 0;
}

int end(void **state)
{
	struct world *w = *state;

	gs_heap_mark_free(w->mark);
	gs_target_free(w->target);
	free(w);
	return 0;
}

void use_release(struct world *w, unsigned int minor)
{
	assert_true(gs_go_layout_table(minor, GS_ARCH_AMD64, &w->heap.layout, &w->err) >= 0);
}

struct gs_rt_span *add_span_at(struct world *w, gs_addr start, uint32_t n_pages, uint64_t elem_size,
			       uint8_t flags)
{
	static const uint8_t zeros[GS_RT_PAGE];
	struct gs_rt_span *s = &w->heap.span[w->heap.n++];
	uint64_t bytes = n_pages * (uint64_t)GS_RT_PAGE;

	if (flags & GS_RT_SPAN_HEAP_BITMAP)
		bytes -= bytes / 64;
	*s = (struct gs_rt_span){
		.start = start,
		.elem_size = elem_size,
		.n_pages = n_pages,
		.n_elems = (uint32_t)(bytes / elem_size),
		.first_object = w->heap.slots,
		.spanclass = 20,
		.state = GS_RT_SPAN_IN_USE,
		.flags = flags,
	};
	w->heap.slots += s->n_elems;
	for (uint32_t i = 0; i < n_pages; i++)
		put_bytes(w, s->start + i * GS_RT_PAGE, zeros, sizeof(zeros));
	return s;
}

struct gs_rt_span *add_span(struct world *w, uint32_t n_pages, uint64_t elem_size, uint8_t flags)
{
	const struct gs_rt_span *last = w->heap.n ? &w->heap.span[w->heap.n - 1] : NULL;

	return add_span_at(w, last ? last->start + last->n_pages * (uint64_t)GS_RT_PAGE : BASE,
			   n_pages, elem_size, flags);
}

void put_bytes(struct world *w, gs_addr at, const void *bytes, size_t n)
{
	gs_assert_ok(gs_target_fake_map(w->target, at, bytes, n, &w->err), &w->err);
}

void put(struct world *w, gs_addr at, uint64_t value)
{
	put_bytes(w, at, &value, sizeof(value));
}

gs_addr object(const struct gs_rt_span *s, uint32_t i)
{
	return s->start + i * s->elem_size;
}

void make(struct world *w)
{
	gs_assert_ok(gs_heap_mark_new(&w->heap, gs_target_memory(w->target), &w->mark, &w->err),
		     &w->err);
}

void root(struct world *w, gs_addr value)
{
	const struct gs_rt_pointer p = { .value = value };

	gs_heap_mark_roots(w->mark, &p, 1);
}

struct gs_heap_mark_stats drain(struct world *w)
{
	struct gs_heap_mark_stats s;

	gs_assert_ok(gs_heap_mark_drain(w->mark, &w->err), &w->err);
	gs_heap_mark_stats(w->mark, &s);
	return s;
}

uint64_t draw(struct world *w, uint64_t below)
{
	w->random = w->random * 6364136223846793005ull + 1442695040888963407ull;
	return (w->random >> 33) % below;
}
