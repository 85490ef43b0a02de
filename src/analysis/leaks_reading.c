/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Reading a heap that changes, for those who want to see every pointer that is written:
 *
 *   whole   all objects with pointers, of spans as they are now; a hash of each page tells which of them changed
 *           since the whole reading before
 *   hot     only what moves: those pages; spans that are new or were allocated from since then
 *   young   only spans that Ps allocate from at this moment (rt_roots.h): some hundred KB, so within a millisecond
 *
 * A program that moves a pointer writes it to an old object, whose page is hot then, or to a new one, which is in a
 * young span for as long as there is room in it, and in a new span later.
 */
#include <errno.h>
#include <string.h>

#include "analysis/leaks_private.h"
#include "base/clock.h"
#include "base/hash.h"

#define CHUNK (64u << 10)
#define CHUNKS 16u
#define HOT_MAX_BYTES (16ull << 20) /* of one hot reading; the next one goes on from there */
#define YOUNG_MAX 4096u
#define PAGES_MAX (1u << 28)

struct page {
	gs_addr addr;
	uint64_t hash;
};

struct gs__reading {
	const struct gs__look *k;
	gs__words_fn *visit;
	void *ctx;
	struct gs_rt_heap *heap; /* of the last whole reading */
	struct page *page, *before;
	gs_addr *hot;
	struct gs_rt_young *young;
	uint64_t *buf; /* CHUNKS of CHUNK bytes */
	struct gs_read read[CHUNKS];
	uint32_t n_reads, n_pages, pages_cap, n_before, n_hot, hot_next;
	bool hashing;
	uint64_t hot_left; /* bytes of the hot reading */
};

static int no_memory(struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "no memory to follow pointers");
}

/* Of whole pages, at an address that is good for words. */
static uint64_t hash_page(const uint64_t *w)
{
	const uint64_t odd = 0x9e3779b97f4a7c15u;
	uint64_t a = 1, b = 2, c = 3, d = 4;

	for (size_t i = 0; i < GS_RT_PAGE / sizeof(*w); i += 4) {
		a = (a ^ w[i]) * odd;
		b = (b ^ w[i + 1]) * odd;
		c = (c ^ w[i + 2]) * odd;
		d = (d ^ w[i + 3]) * odd;
	}
	return gs_hash_u64(gs_hash_u64(a, b), gs_hash_u64(c, d));
}

static void note_pages(struct gs__reading *r, const struct gs_read *read)
{
	const uint64_t *words = read->buf;

	for (size_t at = 0; at + GS_RT_PAGE <= read->len && r->n_pages < r->pages_cap;
	     at += GS_RT_PAGE)
		r->page[r->n_pages++] =
			(struct page){ read->addr + at, hash_page(words + at / sizeof(*words)) };
}

static int flush(struct gs__reading *r, struct gs_err *err)
{
	const struct gs_memory *mem = gs_rt_memory(r->k->rt);
	int result = r->n_reads ? mem->readv(mem->ctx, r->read, r->n_reads, err) : 0;

	for (uint32_t i = 0; result >= 0 && i < r->n_reads; i++) {
		const struct gs_read *x = &r->read[i];

		if (x->result != 0)
			continue;
		if (r->hashing)
			note_pages(r, x);
		r->visit(r->ctx, x->addr, (const uint8_t *)x->buf, x->len);
	}
	r->n_reads = 0;
	return result < 0 ? result : 0;
}

static int read_range(struct gs__reading *r, gs_addr addr, uint64_t bytes, struct gs_err *err)
{
	int result = 0;

	for (uint64_t at = 0; result == 0 && at < bytes; at += CHUNK) {
		r->read[r->n_reads] = (struct gs_read){
			.addr = addr + at,
			.buf = r->buf + (size_t)r->n_reads * (CHUNK / sizeof(*r->buf)),
			.len = bytes - at < CHUNK ? (size_t)(bytes - at) : CHUNK,
		};
		if (++r->n_reads == CHUNKS)
			result = flush(r, err);
	}
	return result;
}

static bool has_pointers(const struct gs_rt_span *s)
{
	return s->state == GS_RT_SPAN_IN_USE && !(s->flags & GS_RT_SPAN_NOSCAN);
}

/* ---- whole ---- */

/* Pages whose hash is another than before, or that were not there. */
static int find_hot(struct gs__reading *r, struct gs_err *err)
{
	uint32_t i = 0, n = 0;

	free(r->hot);
	r->hot = gs_array_new(r->n_pages + 1ul, sizeof(*r->hot));
	if (!r->hot)
		return no_memory(err);
	for (uint32_t j = 0; j < r->n_pages; j++) {
		while (i < r->n_before && r->before[i].addr < r->page[j].addr)
			i++;
		if (i == r->n_before || r->before[i].addr != r->page[j].addr ||
		    r->before[i].hash != r->page[j].hash)
			r->hot[n++] = r->page[j].addr;
	}
	r->n_hot = r->before ? n : 0;
	r->hot_next = 0;
	return 0;
}

int gs__reading_whole(struct gs__reading *r, struct gs_err *err)
{
	struct gs_incomplete_list ignored = { .n = 0 };
	const struct gs_rt_span *s;
	uint32_t n;
	uint64_t pages = 0;
	int result;

	r->heap = gs_rt_heap_free(r->heap);
	result = gs_rt_heap_read(r->k->rt, &r->heap, &ignored, err);
	if (result < 0)
		return result;
	s = gs_rt_heap_spans(r->heap, &n);
	for (uint32_t i = 0; i < n; i++)
		pages += has_pointers(&s[i]) ? s[i].n_pages : 0;
	free(r->before);
	r->before = GS_TAKE(r->page);
	r->n_before = r->n_pages;
	r->pages_cap = pages < PAGES_MAX ? (uint32_t)pages : PAGES_MAX;
	r->n_pages = 0;
	r->page = gs_array_new(r->pages_cap + 1ul, sizeof(*r->page));
	if (!r->page)
		return no_memory(err);
	r->hashing = true;
	for (uint32_t i = 0; result == 0 && i < n; i++)
		if (has_pointers(&s[i]))
			result =
				read_range(r, s[i].start, s[i].n_pages * (uint64_t)GS_RT_PAGE, err);
	if (result == 0)
		result = flush(r, err);
	r->hashing = false;
	return result < 0 ? result : find_hot(r, err);
}

/* ---- hot ---- */

static int read_hot_pages(struct gs__reading *r, struct gs_err *err)
{
	int result = 0;

	for (uint32_t seen = 0; result == 0 && seen < r->n_hot && r->hot_left;) {
		uint32_t n = 1;

		if (r->hot_next >= r->n_hot)
			r->hot_next = 0;
		while (r->hot_next + n < r->n_hot && n < CHUNK / GS_RT_PAGE &&
		       r->hot[r->hot_next + n] == r->hot[r->hot_next] + n * (gs_addr)GS_RT_PAGE)
			n++;
		result = read_range(r, r->hot[r->hot_next], n * (uint64_t)GS_RT_PAGE, err);
		r->hot_left -= r->hot_left < n * (uint64_t)GS_RT_PAGE ? r->hot_left
								      : n * (uint64_t)GS_RT_PAGE;
		r->hot_next += n;
		seen += n;
	}
	return result;
}

static bool untouched(const struct gs_rt_span *a, const struct gs_rt_span *b)
{
	return a->start == b->start && a->n_pages == b->n_pages && a->spanclass == b->spanclass &&
	       a->state == b->state && a->alloc_count == b->alloc_count &&
	       a->free_index == b->free_index;
}

int gs__reading_hot(struct gs__reading *r, struct gs_err *err)
{
	GS_CLEANUP(gs_rt_heap_freep) struct gs_rt_heap *now = NULL;
	struct gs_incomplete_list ignored = { .n = 0 };
	const struct gs_rt_span *a, *b;
	uint32_t n_a, n_b, i = 0;
	int result = gs_rt_heap_read(r->k->rt, &now, &ignored, err);

	if (result < 0)
		return result;
	a = gs_rt_heap_spans(r->heap, &n_a);
	b = gs_rt_heap_spans(now, &n_b);
	r->hot_left = HOT_MAX_BYTES;
	for (uint32_t j = 0; result == 0 && j < n_b && r->hot_left; j++) {
		uint64_t bytes = b[j].n_pages * (uint64_t)GS_RT_PAGE;

		while (i < n_a && a[i].start < b[j].start)
			i++;
		if (!has_pointers(&b[j]) || (i < n_a && untouched(&a[i], &b[j])))
			continue;
		// Of memory that was something else, what is not handed out yet still is of then.
		if (b[j].free_index < b[j].n_elems && !(i < n_a && a[i].start == b[j].start))
			bytes = b[j].free_index * b[j].elem_size;
		result = read_range(r, b[j].start, bytes, err);
		r->hot_left -= r->hot_left < bytes ? r->hot_left : bytes;
	}
	if (result == 0)
		result = read_hot_pages(r, err);
	return result < 0 ? result : flush(r, err);
}

int gs__reading_young(struct gs__reading *r, struct gs_err *err)
{
	int n = gs_rt_young_spans(r->k->rt, r->k->ps, r->k->n_ps, r->young, YOUNG_MAX, err);
	int result = n < 0 ? n : 0;

	for (int i = 0; result == 0 && i < n; i++)
		result = read_range(r, r->young[i].start, r->young[i].bytes, err);
	return result < 0 ? result : flush(r, err);
}

/* ---- */

int gs__reading_new(const struct gs__look *k, gs__words_fn *visit, void *ctx,
		    struct gs__reading **ret, struct gs_err *err)
{
	GS_CLEANUP(gs__reading_freep) struct gs__reading *r = gs_array_new(1, sizeof(*r));

	if (!r)
		return no_memory(err);
	r->k = k;
	r->visit = visit;
	r->ctx = ctx;
	r->buf = gs_array_new(CHUNKS, CHUNK);
	r->young = gs_array_new(YOUNG_MAX, sizeof(*r->young));
	if (!r->buf || !r->young)
		return no_memory(err);
	*ret = GS_TAKE(r);
	return 0;
}

struct gs__reading *gs__reading_free(struct gs__reading *r)
{
	if (!r)
		return NULL;
	gs_rt_heap_free(r->heap);
	free(r->page);
	free(r->before);
	free(r->hot);
	free(r->young);
	free(r->buf);
	free(r);
	return NULL;
}
