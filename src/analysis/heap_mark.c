/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Marks of the objects in a Go heap: which object a word points into, which ones are marked, which wait to be
 * looked into (grey). heap_mark_scan.c looks into them, with what heap_mark_read.c reads.
 *
 *   address --arena[]--> page[] --magic--> slot number --> bits[]: marked, grey
 *                          |
 *                          +--> span --> state[], queue of spans with grey objects
 *
 * Time goes into waiting for memory: a heap of a gigabyte has some 50 million pointers, each to somewhere else.
 * So all that is needed to find a slot stands in 16 bytes for each page, the division by the slot's size
 * is a multiplication (as in the runtime: mbitmap.go, objIndex), and candidates are looked up in groups in
 * steps, each of which prefetches what the next one needs.
 *
 * Nothing is believed of spans: those that overlap, lie outside of what processes can map, or whose slots would not fit
 * are left out.
 */
#include "analysis/heap_mark.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "analysis/heap_mark_private.h"

#define MAX_ADDRESS (1ull << 48) /* heapAddrBits on linux */
#define MAX_CHUNKS (1u << 14)    /* 1 TiB of arenas with something in them */

/* ---- tables ---- */

/* Is the span one that objects can be in, with numbers that agree with each other? */
static bool good_span(const struct gs_rt_span *s, uint32_t n_slots)
{
	uint64_t bytes = s->n_pages * (uint64_t)GS_RT_PAGE;

	if (s->state != GS_RT_SPAN_IN_USE || s->n_elems == 0 || s->n_pages == 0 ||
	    s->start % GS_RT_PAGE || s->start >= MAX_ADDRESS || bytes > MAX_ADDRESS - s->start)
		return false;
	if (s->elem_size == 0 || s->elem_size % sizeof(uint64_t) || s->elem_size > bytes ||
	    s->n_elems > n_slots || s->first_object > n_slots - s->n_elems)
		return false;
	// Sizes up to 32 KiB in spans up to 80 KiB are the runtime's; for these the multiplication is exact.
	return s->n_elems == 1 ||
	       (s->n_pages <= GS__MARK_MAX_PAGES && s->n_elems <= UINT16_MAX &&
		s->n_elems * s->elem_size <= bytes && bytes * s->elem_size <= UINT32_MAX);
}

static void fill_span(struct gs_heap_mark *m, uint32_t i)
{
	const struct gs_rt_span *s = &m->span[i];
	struct gs__mark_page p = {
		.first_object = s->first_object,
		.span = i,
		.n_elems = (uint16_t)s->n_elems,
		.flags = s->flags & GS_RT_SPAN_NOSCAN ? GS__MARK_NOSCAN : 0,
	};
	uint64_t at = s->start - m->base;

	if (s->n_elems > 1)
		p.magic = (uint32_t)(UINT32_MAX / s->elem_size + 1);
	for (uint32_t k = 0; k < s->n_pages; k++, at += GS_RT_PAGE) {
		uint64_t chunk = m->arena[at / GS_RT_ARENA];

		p.page = s->n_elems > 1 ? (uint8_t)k : 0;
		m->page[chunk * GS__MARK_ARENA_PAGES + at % GS_RT_ARENA / GS_RT_PAGE] = p;
	}
}

/* Give the arenas of a span their chunks. @return false if there are too many. */
static bool claim_arenas(struct gs_heap_mark *m, const struct gs_rt_span *s)
{
	uint64_t first = (s->start - m->base) / GS_RT_ARENA;
	uint64_t last = (s->start - m->base + s->n_pages * (uint64_t)GS_RT_PAGE - 1) / GS_RT_ARENA;

	if (last - first + 1 > MAX_CHUNKS - m->n_chunks)
		return false;
	for (uint64_t a = first; a <= last; a++) {
		if (!m->arena[a])
			m->arena[a] = m->n_chunks++;
	}
	return true;
}

/* Does the span stand behind all before it, and is it worth a look? Asked for each in turn, twice, with the same
 * answers. */
static bool next_span(const struct gs_heap_mark *m, uint32_t i, gs_addr *end)
{
	const struct gs_rt_span *s = &m->span[i];

	if (!good_span(s, m->n_slots) || s->start < *end)
		return false;
	*end = s->start + s->n_pages * (uint64_t)GS_RT_PAGE;
	return true;
}

static int fill_tables(struct gs_heap_mark *m, struct gs_err *err)
{
	gs_addr end = 0, lo = 0;
	uint32_t last = 0;

	for (uint32_t i = 0; i < m->n_spans; i++) {
		if (!next_span(m, i, &end))
			continue;
		lo = lo ? lo : m->span[i].start;
	}
	m->lo = lo;
	m->base = lo / GS_RT_ARENA * GS_RT_ARENA;
	m->range = end - lo;
	m->n_arenas = (uint32_t)((end - m->base + GS_RT_ARENA - 1) / GS_RT_ARENA);
	m->arena = (uint32_t *)gs_array_new(m->n_arenas + 1, sizeof(m->arena[0]));
	if (!m->arena)
		return gs_fail(err, -ENOMEM, 0, "no memory for an index of %" PRIu32 " arenas",
			       m->n_arenas);
	m->n_chunks = 1;
	end = 0;
	for (last = 0; last < m->n_spans; last++) {
		if (next_span(m, last, &end) && !claim_arenas(m, &m->span[last]))
			break;
	}
	m->page = (struct gs__mark_page *)gs_array_new(m->n_chunks * GS__MARK_ARENA_PAGES,
						       sizeof(m->page[0]));
	if (!m->page)
		return gs_fail(err, -ENOMEM, 0, "no memory for an index of %" PRIu32 " arenas",
			       m->n_chunks);
	end = 0;
	for (uint32_t i = 0; i < last; i++) {
		if (next_span(m, i, &end))
			fill_span(m, i);
	}
	return 0;
}

int gs_heap_mark_new(const struct gs_rt_heap *h, const struct gs_memory *mem,
		     struct gs_heap_mark **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_heap_mark_freep)
	struct gs_heap_mark *m = (struct gs_heap_mark *)gs_array_new(1, sizeof(*m));
	int r;

	if (!m)
		return gs_fail(err, -ENOMEM, 0, "no memory to mark the heap");
	m->mem = mem;
	m->span = gs_rt_heap_spans(h, &m->n_spans);
	m->n_slots = gs_rt_heap_slots(h);
	m->n_bits = m->n_slots / 64 + 1;
	m->bits = (struct gs__mark_bits *)gs_array_new(m->n_bits, sizeof(m->bits[0]));
	m->state = (uint8_t *)gs_array_new(m->n_spans + 1ul, 1);
	m->queued = (uint64_t *)gs_array_new(m->n_spans / 64 + 1, sizeof(m->queued[0]));
	m->queued_words = (uint64_t *)gs_array_new(m->n_spans / 4096 + 1, sizeof(m->queued[0]));
	m->buffer = (uint8_t *)gs_array_new(GS__MARK_BATCH_BYTES + GS__MARK_PIECE_BYTES, 1);
	m->map = (uint8_t *)gs_array_new(GS__MARK_MAP_BYTES, 1);
	if (!m->bits || !m->state || !m->queued || !m->queued_words || !m->buffer || !m->map)
		return gs_fail(err, -ENOMEM, 0,
			       "no memory for marks of %" PRIu32 " objects in %" PRIu32 " spans",
			       m->n_slots, m->n_spans);
	r = gs_rt_heap_bits_new(h, mem, &m->pointer_bits, err);
	if (r == 0)
		r = fill_tables(m, err);
	if (r < 0)
		return r;
	*ret = GS_TAKE(m);
	return 0;
}

struct gs_heap_mark *gs_heap_mark_free(struct gs_heap_mark *m)
{
	if (!m)
		return NULL;
	free(m->arena);
	free(m->page);
	free(m->bits);
	free(m->opaque);
	free(m->state);
	free(m->queued);
	free(m->queued_words);
	free(m->buffer);
	free(m->map);
	gs_rt_heap_bits_free(m->pointer_bits);
	free(m);
	return NULL;
}

/* ---- slots ---- */

/* The slot that @addr points into; UINT32_MAX: none. */
static uint32_t slot_at(const struct gs_heap_mark *m, gs_addr addr,
			const struct gs__mark_page **ret)
{
	const struct gs__mark_page *p = gs__mark_page_at(m, addr);
	uint32_t elem = p ? gs__mark_elem(p, addr) : 0;

	if (!p || elem >= p->n_elems)
		return UINT32_MAX;
	*ret = p;
	return p->first_object + elem;
}

bool gs_heap_slot(const struct gs_heap_mark *m, gs_addr addr, uint32_t *ret_number,
		  gs_addr *ret_start, const struct gs_rt_span **ret_span)
{
	const struct gs__mark_page *p;
	uint32_t slot = slot_at(m, addr, &p);
	const struct gs_rt_span *s;

	if (slot == UINT32_MAX)
		return false;
	s = &m->span[p->span];
	*ret_number = slot;
	*ret_start = s->start + (slot - p->first_object) * s->elem_size;
	*ret_span = s;
	return true;
}

bool gs_heap_marked(const struct gs_heap_mark *m, gs_addr addr)
{
	const struct gs__mark_page *p;
	uint32_t slot = slot_at(m, addr, &p);

	return slot != UINT32_MAX && m->bits[slot / 64].marked >> slot % 64 & 1;
}

static int compare_slots(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool is_opaque(const struct gs_heap_mark *m, uint32_t slot)
{
	return bsearch(&slot, m->opaque, m->n_opaque, sizeof(slot), compare_slots);
}

void gs_heap_mark_opaque(struct gs_heap_mark *m, const gs_addr *addr, uint32_t n)
{
	uint32_t *v =
		(uint32_t *)gs_array_resize(m->opaque, (size_t)m->n_opaque + n + 1, sizeof(*v));

	m->no_memory |= !v; // heard of when draining
	if (!v)
		return;
	m->opaque = v;
	for (uint32_t i = 0; i < n; i++) {
		const struct gs__mark_page *p;
		uint32_t slot = slot_at(m, addr[i], &p);
		const struct gs_rt_span *s;

		if (slot == UINT32_MAX)
			continue;
		v[m->n_opaque++] = slot;
		s = &m->span[p->span];
		if (p->flags & GS__MARK_OPAQUE)
			continue;
		for (uint64_t k = 0; k < s->n_pages; k++) {
			p = gs__mark_page_at(m, s->start + k * GS_RT_PAGE);
			((struct gs__mark_page *)p)->flags |= GS__MARK_OPAQUE;
		}
	}
	qsort(v, m->n_opaque, sizeof(*v), compare_slots);
}

/* ---- marking ---- */

void gs__mark_enqueue(struct gs_heap_mark *m, uint32_t span)
{
	if (m->state[span] & GS__MARK_QUEUED)
		return;
	m->state[span] |= GS__MARK_QUEUED;
	if (m->state[span] & GS__MARK_LOADED) {
		m->again[(m->again_at + m->again_n++) % GS__MARK_BATCH_SPANS] = span;
		return;
	}
	m->queued[span / 64] |= 1ull << span % 64;
	m->queued_words[span / 4096] |= 1ull << span / 64 % 64;
	m->queue_n++;
}

/* The pages of the candidates, then their slots. @return how many are in a slot. */
static uint32_t find_slots(struct gs_heap_mark *m)
{
	const struct gs__mark_page **page = m->word_page;
	uint32_t n = m->n_words, k = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t at = m->word[i] - m->base;

		page[i] = &m->page[m->arena[at / GS_RT_ARENA] * GS__MARK_ARENA_PAGES +
				   at % GS_RT_ARENA / GS_RT_PAGE];
		__builtin_prefetch(page[i]);
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct gs__mark_page *p = page[i];
		uint32_t elem = gs__mark_elem(p, m->word[i]);
		uint32_t slot = elem < p->n_elems ? p->first_object + elem : 0;

		m->word_slot[k] = slot;
		page[k] = p;
		__builtin_prefetch(&m->bits[slot / 64], 1);
		k += elem < p->n_elems;
	}
	return k;
}

void gs__mark_flush(struct gs_heap_mark *m)
{
	uint32_t n = find_slots(m), k = 0;

	m->stats.pointers += n;
	m->n_words = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = m->word_slot[i];
		struct gs__mark_bits *b = &m->bits[slot / 64];
		uint64_t bit = 1ull << slot % 64, was = b->marked & bit;

		b->marked |= bit;
		m->word_slot[k] = slot;
		m->word_page[k] = m->word_page[i];
		k += !was;
	}
	for (uint32_t i = 0; i < k; i++) {
		const struct gs__mark_page *p = m->word_page[i];
		uint32_t slot = m->word_slot[i];

		if (p->flags && ((p->flags & GS__MARK_NOSCAN) || is_opaque(m, slot)))
			continue;
		m->bits[slot / 64].grey |= 1ull << slot % 64;
		gs__mark_enqueue(m, p->span);
	}
}

void gs_heap_mark_roots(struct gs_heap_mark *m, const struct gs_rt_pointer *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		gs__mark_words(m, &p[i].value, 1);
	gs__mark_flush(m);
}

void gs_heap_grey(struct gs_heap_mark *m, const struct gs_rt_span *span, gs_addr start)
{
	const struct gs__mark_page *p;
	uint32_t slot = slot_at(m, start, &p);

	if (slot == UINT32_MAX)
		return;
	m->bits[slot / 64].marked |= 1ull << slot % 64;
	if ((p->flags & GS__MARK_OPAQUE) && is_opaque(m, slot))
		return;
	m->bits[slot / 64].grey |= 1ull << slot % 64;
	gs__mark_enqueue(m, p->span);
}

/* ---- figures ---- */

static uint32_t count_marked(const struct gs_heap_mark *m, uint32_t first, uint32_t end)
{
	uint32_t n = 0;

	while (first < end) {
		uint32_t k = 64 - first % 64 < end - first ? 64 - first % 64 : end - first;
		uint64_t mask = (k == 64 ? ~0ull : (1ull << k) - 1) << first % 64;

		n += (uint32_t)__builtin_popcountll(m->bits[first / 64].marked & mask);
		first += k;
	}
	return n;
}

void gs_heap_mark_stats(const struct gs_heap_mark *m, struct gs_heap_mark_stats *ret)
{
	gs_addr end = 0;

	*ret = m->stats;
	for (uint32_t i = 0; i < m->n_spans; i++) {
		const struct gs_rt_span *s = &m->span[i];
		uint32_t n;

		if (!next_span(m, i, &end))
			continue;
		n = count_marked(m, s->first_object, s->first_object + s->n_elems);
		ret->objects += n;
		ret->bytes += n * s->elem_size;
	}
	ret->mark_bits_bytes = m->n_bits * sizeof(m->bits[0]);
	ret->memory_bytes = sizeof(*m) + GS__MARK_BATCH_BYTES + GS__MARK_PIECE_BYTES +
			    GS__MARK_MAP_BYTES + gs_rt_heap_bits_memory(m->pointer_bits) +
			    m->n_arenas * sizeof(m->arena[0]) +
			    m->n_chunks * GS__MARK_ARENA_PAGES * sizeof(m->page[0]) + m->n_spans +
			    m->n_spans / 8 + m->n_opaque * sizeof(m->opaque[0]);
}
