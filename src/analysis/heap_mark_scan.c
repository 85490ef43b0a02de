/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Looks into grey objects of a Go heap. They wait at their span, and spans have their turn in the order of their
 * addresses, up and down the heap like a lift: many objects gather until the lift comes by, neighbours
 * are read as one piece, and a chain of objects in the order of their allocation takes one ride. (First come,
 * first served read a quarter more for a random tree; the fullest first, half as much again.)
 *
 *   queue --take--> parts of a batch --read--> buffer --scan--> words --flush--> marks, queue
 *                                                 ^------- again: grey objects in what is loaded
 *
 * The first time a span is read whole, as most of its objects will have their turn; later only from its first to
 * its last grey object. What leads to objects of the same batch goes on at once, which makes lists cheap
 * whose nodes are neighbours.
 *
 * Spans with a pointer bitmap at their end (Go 1.22 and later, objects of at most 512 bytes; mbitmap.go,
 * spanHeapBitsRange) are scanned precisely. In spans with inline mark bits (1.26 and later; mgcmark_greenteagc.go,
 * spanInlineMarkBits) these come last, and their last byte is the span's class; without them it belongs to the
 * bitmap, is about words of the bitmap itself, and so is zero.
 *
 * Objects that are larger than a piece are scanned one by one, in pieces.
 */
#include <errno.h>
#include <string.h>

#include "analysis/heap_mark_private.h"

#define KERNEL_PAGE 4096u
#define SCAN_WORDS 256u      /* at once; less than GS__MARK_WORDS */
#define BITMAP_MAX_SIZE 512u /* minSizeForMallocHeader */
#define INLINE_MARKS 128u    /* sizeof(spanInlineMarkBits) */

static uint64_t span_bytes(const struct gs_rt_span *s)
{
	return s->n_pages * (uint64_t)GS_RT_PAGE;
}

/* Slots [@first, @end) of all; the grey ones of the 64 that @at belongs to. */
static uint64_t grey_word(const struct gs_heap_mark *m, uint32_t at, uint32_t first, uint32_t end)
{
	uint64_t grey = m->bits[at].grey;

	if (at == first / 64)
		grey &= ~0ull << first % 64;
	if (at == (end - 1) / 64)
		grey &= ~0ull >> (63 - (end - 1) % 64);
	return grey;
}

/* The first and behind the last grey slot of the span, counted from its first one. @return false: none is grey. */
static bool grey_range(const struct gs_heap_mark *m, const struct gs_rt_span *s,
		       uint32_t *ret_first, uint32_t *ret_end)
{
	uint32_t first = s->first_object, end = first + s->n_elems;
	bool found = false;

	for (uint32_t at = first / 64; at <= (end - 1) / 64; at++) {
		uint64_t grey = grey_word(m, at, first, end);

		if (!grey)
			continue;
		if (!found)
			*ret_first = at * 64 + (uint32_t)__builtin_ctzll(grey) - first;
		found = true;
		*ret_end = at * 64 + 64 - (uint32_t)__builtin_clzll(grey) - first;
	}
	return found;
}

/* ---- reading ---- */

/* Page by page; what cannot be read becomes zeros. Counted once for each span. */
static int read_pages(struct gs_heap_mark *m, uint32_t span, gs_addr from, uint8_t *bytes,
		      uint32_t n_bytes, struct gs_err *err)
{
	uint64_t bad = 0;

	for (uint32_t off = 0; off < n_bytes;) {
		uint32_t n = KERNEL_PAGE - (uint32_t)((from + off) % KERNEL_PAGE);
		struct gs_read rd = { .addr = from + off,
				      .buf = bytes + off,
				      .len = n < n_bytes - off ? n : n_bytes - off };
		int r = m->mem->readv(m->mem->ctx, &rd, 1, err);

		if (r < 0)
			return r;
		if (rd.result < 0) {
			memset(rd.buf, 0, rd.len);
			bad += rd.len;
		}
		off += (uint32_t)rd.len;
	}
	m->stats.bytes_read -= bad;
	if (bad && !(m->state[span] & GS__MARK_BAD))
		m->stats.unreadable_bytes += bad;
	if (bad)
		m->state[span] |= GS__MARK_BAD;
	return 0;
}

/* A read over several spans failed: which of them? */
static int read_parts_again(struct gs_heap_mark *m, const struct gs_read *rd, struct gs_err *err)
{
	for (uint32_t i = 0; i < m->n_parts; i++) {
		const struct gs__mark_part *p = &m->part[i];
		int r;

		if (!p->n_bytes || p->from - rd->addr >= rd->len)
			continue;
		r = read_pages(m, p->span, p->from, p->bytes, p->n_bytes, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Which part of the span is read, to where in the buffer. @return false if nothing has a turn. */
static bool plan_part(struct gs_heap_mark *m, uint32_t span, uint8_t *buffer,
		      struct gs__mark_part *p)
{
	const struct gs_rt_span *s = &m->span[span];
	uint64_t from, to;

	*p = (struct gs__mark_part){ .span = span, .end = s->n_elems, .from = s->start };
	if (s->flags & GS_RT_SPAN_NOSCAN)
		return true;
	if (m->state[span] & GS__MARK_READ && !grey_range(m, s, &p->first, &p->end))
		return false;
	m->state[span] |= GS__MARK_READ;
	from = p->first * s->elem_size;
	to = p->end * s->elem_size;
	if (s->flags & GS_RT_SPAN_HEAP_BITMAP)
		to = span_bytes(s);
	p->from = s->start + from;
	p->n_bytes = (uint32_t)(to - from);
	p->bytes = buffer;
	return true;
}

/* The first of @n sorted addresses that is not below @from. */
static uint32_t first_from(const gs_addr *addr, uint32_t n, gs_addr from)
{
	uint32_t lo = 0;

	for (uint32_t hi = n; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (addr[mid] < from)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Blot out the words of a part that are known to be no pointers. There are few, in few spans. */
static void pass_over(const struct gs_heap_mark *m, const struct gs__mark_part *p)
{
	uint32_t i = first_from(m->no_pointer, m->n_no_pointers, p->from);

	for (; i < m->n_no_pointers; i++) {
		uint64_t at = m->no_pointer[i] - p->from;

		if (p->n_bytes < sizeof(uint64_t) || at > p->n_bytes - sizeof(uint64_t))
			break;
		memset(p->bytes + at, 0, sizeof(uint64_t));
	}
}

/* … and those of goroutines, which stand at the beginning of a slot. */
static void pass_over_gs(const struct gs_heap_mark *m, const struct gs__mark_part *p)
{
	uint32_t i = first_from(m->g, m->n_g, p->from);

	for (; i < m->n_g && m->g[i] - p->from < p->n_bytes; i++) {
		for (uint64_t bits = m->g_words; bits; bits &= bits - 1) {
			uint64_t word = (uint64_t)__builtin_ctzll(bits) * sizeof(uint64_t);
			uint64_t at = m->g[i] - p->from + word;

			if (at + sizeof(uint64_t) <= p->n_bytes)
				memset(p->bytes + at, 0, sizeof(uint64_t));
		}
	}
}

/* Find the bitmap in the part of a span that reaches to its end. */
static void find_bitmap(const struct gs_heap_mark *m, struct gs__mark_part *p)
{
	const struct gs_rt_span *s = &m->span[p->span];
	uint64_t size = span_bytes(s) / 64, tail = size;

	if (!(s->flags & GS_RT_SPAN_HEAP_BITMAP) || !p->n_bytes || s->elem_size > BITMAP_MAX_SIZE ||
	    (m->state[p->span] & GS__MARK_BAD))
		return;
	if (s->spanclass && p->bytes[p->n_bytes - 1] == s->spanclass)
		tail += INLINE_MARKS;
	if (s->n_elems * s->elem_size + tail <= span_bytes(s) && tail <= p->n_bytes)
		p->bitmap = (const uint64_t *)(const void *)(p->bytes + p->n_bytes - tail);
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Read what the grey objects of @span[0..n) need. Neighbours in one piece. */
static int read_batch(struct gs_heap_mark *m, uint32_t *span, uint32_t n, struct gs_err *err)
{
	uint8_t *at = m->buffer;
	uint32_t n_reads = 0;
	int r;

	qsort(span, n, sizeof(*span), compare_numbers);
	for (uint32_t i = 0; i < n; i++) {
		struct gs__mark_part *p = &m->part[m->n_parts];
		struct gs_read *last = n_reads ? &m->reads[n_reads - 1] : NULL;

		if (!plan_part(m, span[i], at, p)) {
			m->state[span[i]] &= (uint8_t)~GS__MARK_LOADED;
			continue;
		}
		m->n_parts++;
		if (!p->n_bytes)
			continue;
		if (last && last->addr + last->len == p->from)
			last->len += p->n_bytes;
		else
			m->reads[n_reads++] =
				(struct gs_read){ .addr = p->from, .buf = at, .len = p->n_bytes };
		at += p->n_bytes;
	}
	m->stats.bytes_read += (uint64_t)(at - m->buffer);
	r = n_reads ? m->mem->readv(m->mem->ctx, m->reads, n_reads, err) : 0;
	for (uint32_t i = 0; r >= 0 && i < n_reads; i++) {
		if (m->reads[i].result < 0)
			r = read_parts_again(m, &m->reads[i], err);
	}
	for (uint32_t i = 0; r >= 0 && i < m->n_parts; i++) {
		if (m->n_no_pointers)
			pass_over(m, &m->part[i]);
		if (m->n_g)
			pass_over_gs(m, &m->part[i]);
		find_bitmap(m, &m->part[i]);
	}
	return r;
}

/* ---- scanning ---- */

static void scan_words(struct gs_heap_mark *m, const void *bytes, uint64_t n_bytes)
{
	const uint64_t *w = (const uint64_t *)bytes;
	uint64_t n = n_bytes / sizeof(*w);

	m->stats.words += n;
	while (n) {
		uint32_t k = n < SCAN_WORDS ? (uint32_t)n : SCAN_WORDS;

		gs__mark_words(m, w, k);
		w += k;
		n -= k;
	}
}

/* @bits: which of the words are pointers. */
static void scan_pointers(struct gs_heap_mark *m, const uint64_t *w, uint32_t n, uint64_t bits)
{
	gs_addr lo = m->lo;
	uint64_t range = m->range;
	uint32_t k;

	if (m->n_words + n > GS__MARK_WORDS)
		gs__mark_flush(m);
	k = m->n_words;
	for (uint32_t i = 0; i < n; i++, bits >>= 1) {
		m->word[k] = w[i];
		k += (w[i] - lo < range) & (bits & 1);
	}
	m->n_words = k;
	m->stats.words += n;
}

/* Bits of an object of at most 64 words. */
static uint64_t object_bits(const uint64_t *bitmap, uint32_t elem, uint32_t n_words)
{
	uint32_t at = elem * n_words, shift = at % 64;
	uint64_t bits = bitmap[at / 64] >> shift;

	if (shift + n_words > 64)
		bits |= bitmap[at / 64 + 1] << (64 - shift);
	return bits;
}

static int show_object(struct gs_heap_mark *m, const struct gs__mark_part *p, uint32_t elem,
		       const uint8_t *bytes)
{
	const struct gs_rt_span *s = &m->span[p->span];
	uint32_t n_words = (uint32_t)(s->elem_size / sizeof(uint64_t));
	const uint64_t bits = p->bitmap ? object_bits(p->bitmap, elem, n_words) : 0;
	const struct gs_heap_object o = {
		.span = s,
		.start = s->start + elem * s->elem_size,
		.size = s->elem_size,
		.number = s->first_object + elem,
		.bytes = bytes,
		.n_bytes = bytes ? s->elem_size : 0,
		.pointer_bits = p->bitmap ? &bits : NULL,
	};

	return m->visit(m->visit_ctx, &o);
}

static int scan_object(struct gs_heap_mark *m, const struct gs__mark_part *p, uint32_t elem)
{
	const struct gs_rt_span *s = &m->span[p->span];
	uint32_t n_words = (uint32_t)(s->elem_size / sizeof(uint64_t));
	const uint8_t *bytes = p->bytes ? p->bytes + (elem - p->first) * s->elem_size : NULL;

	if (m->visit)
		return show_object(m, p, elem, bytes);
	if (p->bitmap)
		scan_pointers(m, (const uint64_t *)(const void *)bytes, n_words,
			      object_bits(p->bitmap, elem, n_words));
	else if (bytes)
		scan_words(m, bytes, s->elem_size);
	return 0;
}

/* Let all grey objects of a part have their turn. */
static int scan_part(struct gs_heap_mark *m, const struct gs__mark_part *p)
{
	uint32_t base = m->span[p->span].first_object;
	uint32_t first = base + p->first, end = base + p->end;

	for (uint32_t at = first / 64; at <= (end - 1) / 64; at++) {
		uint64_t grey = grey_word(m, at, first, end);

		m->bits[at].grey &= ~grey;
		for (; grey; grey &= grey - 1) {
			uint32_t slot = at * 64 + (uint32_t)__builtin_ctzll(grey);
			int r = scan_object(m, p, slot - base);

			if (r) {
				m->bits[at].grey |= grey & (grey - 1);
				return r;
			}
		}
	}
	return 0;
}

static const struct gs__mark_part *part_of(const struct gs_heap_mark *m, uint32_t span)
{
	uint32_t lo = 0, hi = m->n_parts;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (m->part[mid].span <= span)
			lo = mid;
		else
			hi = mid;
	}
	return &m->part[lo];
}

static int scan_batch(struct gs_heap_mark *m)
{
	for (uint32_t i = 0; i < m->n_parts; i++) {
		int r = scan_part(m, &m->part[i]);

		if (r)
			return r;
	}
	for (;;) {
		uint32_t span;
		int r;

		if (!m->again_n)
			gs__mark_flush(m);
		if (!m->again_n)
			return 0;
		span = m->again[m->again_at];
		m->again_at = (m->again_at + 1) % GS__MARK_BATCH_SPANS;
		m->again_n--;
		m->state[span] &= (uint8_t)~GS__MARK_QUEUED;
		r = scan_part(m, part_of(m, span));
		if (r)
			return r;
	}
}

/* Grey objects remain outside of what was read, or after a failure. */
static void release_batch(struct gs_heap_mark *m, const uint32_t *span, uint32_t n)
{
	m->again_n = 0;
	m->n_parts = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t first, end;

		if (!(m->state[span[i]] & GS__MARK_LOADED))
			continue; // was not planned, and may be back in the queue
		m->state[span[i]] &= (uint8_t) ~(GS__MARK_LOADED | GS__MARK_QUEUED);
		if (grey_range(m, &m->span[span[i]], &first, &end))
			gs__mark_enqueue(m, span[i]);
	}
}

/* ---- large objects ---- */

/* All others are no larger than a piece (heap_mark.c, good_span). */
static bool is_large(const struct gs_rt_span *s)
{
	return span_bytes(s) > GS__MARK_PIECE_BYTES && !(s->flags & GS_RT_SPAN_NOSCAN);
}

static int scan_piece(struct gs_heap_mark *m, const struct gs_rt_span *s, uint64_t offset,
		      struct gs_err *err)
{
	uint64_t left = s->elem_size - offset;
	struct gs_read rd = { .addr = s->start + offset,
			      .buf = m->buffer + GS__MARK_BATCH_BYTES,
			      .len = left < GS__MARK_PIECE_BYTES ? left : GS__MARK_PIECE_BYTES };
	struct gs_heap_object o = { .span = s,
				    .start = s->start,
				    .size = s->elem_size,
				    .number = s->first_object,
				    .bytes = rd.buf,
				    .n_bytes = rd.len,
				    .offset = offset };
	int r = m->mem->readv(m->mem->ctx, &rd, 1, err);

	m->stats.bytes_read += rd.len;
	if (r >= 0 && rd.result < 0)
		r = read_pages(m, (uint32_t)(s - m->span), rd.addr, (uint8_t *)rd.buf,
			       (uint32_t)rd.len, err);
	if (r < 0)
		return r;
	if (m->visit)
		return m->visit(m->visit_ctx, &o);
	scan_words(m, rd.buf, rd.len);
	return 0;
}

static int scan_large(struct gs_heap_mark *m, uint32_t span, struct gs_err *err)
{
	const struct gs_rt_span *s = &m->span[span];
	uint32_t slot = s->first_object;

	m->bits[slot / 64].grey &= ~(1ull << slot % 64);
	for (uint64_t offset = 0; offset < s->elem_size; offset += GS__MARK_PIECE_BYTES) {
		int r = scan_piece(m, s, offset, err);

		if (r)
			return r;
	}
	return 0;
}

/* ---- the loop ---- */

/* The first span in the queue from @from on, upwards; UINT32_MAX: none. */
static uint32_t queued_above(const struct gs_heap_mark *m, uint32_t from)
{
	uint32_t at = from / 64;
	uint64_t w = m->queued[at] & ~0ull << from % 64;

	if (w)
		return at * 64 + (uint32_t)__builtin_ctzll(w);
	at++;
	w = ~0ull << at % 64;
	for (uint32_t i = at / 64; i <= m->n_spans / 4096; i++, w = ~0ull) {
		w &= m->queued_words[i];
		if (!w)
			continue;
		at = i * 64 + (uint32_t)__builtin_ctzll(w);
		return at * 64 + (uint32_t)__builtin_ctzll(m->queued[at]);
	}
	return UINT32_MAX;
}

static uint32_t queued_below(const struct gs_heap_mark *m, uint32_t from)
{
	uint32_t at = from / 64;
	uint64_t w = m->queued[at] & ~0ull >> (63 - from % 64);

	if (w)
		return at * 64 + 63 - (uint32_t)__builtin_clzll(w);
	if (at-- == 0)
		return UINT32_MAX;
	w = ~0ull >> (63 - at % 64);
	for (uint32_t i = at / 64 + 1; i-- > 0; w = ~0ull) {
		w &= m->queued_words[i];
		if (!w)
			continue;
		at = i * 64 + 63 - (uint32_t)__builtin_clzll(w);
		return at * 64 + 63 - (uint32_t)__builtin_clzll(m->queued[at]);
	}
	return UINT32_MAX;
}

/* Of a queue that is not empty. */
static uint32_t next_queued(struct gs_heap_mark *m)
{
	uint32_t span = m->downwards ? queued_below(m, m->cursor) : queued_above(m, m->cursor);

	if (span == UINT32_MAX) {
		m->downwards = !m->downwards;
		span = m->downwards ? queued_below(m, m->cursor) : queued_above(m, m->cursor);
	}
	m->cursor = span;
	return span;
}

static void dequeue(struct gs_heap_mark *m, uint32_t span)
{
	m->queue_n--;
	m->queued[span / 64] &= ~(1ull << span % 64);
	if (!m->queued[span / 64])
		m->queued_words[span / 4096] &= ~(1ull << span / 64 % 64);
	m->state[span] &= (uint8_t)~GS__MARK_QUEUED;
}

/* Take spans off the queue for a batch; large objects have their turn at once. */
static int take_spans(struct gs_heap_mark *m, uint32_t *span, uint32_t *n, struct gs_err *err)
{
	uint64_t bytes = 0;

	while (m->queue_n && *n < GS__MARK_BATCH_SPANS) {
		uint32_t next = next_queued(m);
		const struct gs_rt_span *s = &m->span[next];
		bool large = is_large(s);
		int r = 0;

		if (!large && !(s->flags & GS_RT_SPAN_NOSCAN))
			bytes += span_bytes(s);
		if (bytes > GS__MARK_BATCH_BYTES)
			break;
		dequeue(m, next);
		if (large) {
			r = scan_large(m, next, err);
		} else {
			m->state[next] |= GS__MARK_LOADED;
			span[(*n)++] = next;
		}
		if (r)
			return r;
	}
	return 0;
}

static int run(struct gs_heap_mark *m, struct gs_err *err)
{
	int r = 0;

	gs__mark_flush(m);
	while (r == 0 && m->queue_n) {
		uint32_t span[GS__MARK_BATCH_SPANS], n = 0;

		r = take_spans(m, span, &n, err);
		if (r == 0)
			r = read_batch(m, span, n, err);
		if (r == 0)
			r = scan_batch(m);
		release_batch(m, span, n);
	}
	return r;
}

int gs_heap_mark_drain(struct gs_heap_mark *m, struct gs_err *err)
{
	if (m->no_memory)
		return gs_fail(err, -ENOMEM, 0,
			       "no memory for the objects that are not looked into");
	m->visit = NULL;
	return run(m, err);
}

int gs_heap_walk(struct gs_heap_mark *m, gs_heap_visit_fn *visit, void *ctx, struct gs_err *err)
{
	m->visit = visit;
	m->visit_ctx = ctx;
	return run(m, err);
}
