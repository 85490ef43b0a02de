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
 * What leads to objects of the same batch goes on at once, which makes lists cheap whose nodes are neighbours.
 * Objects that are larger than a piece are scanned one by one, in pieces.
 */
#include <errno.h>
#include <string.h>

#include "analysis/heap_mark_private.h"

#define SCAN_WORDS 256u /* at once; less than GS__MARK_WORDS */

/* ---- scanning ---- */

static void scan_words(struct gs_heap_mark *m, const uint64_t *w, uint64_t n)
{
	m->stats.words += n;
	while (n) {
		uint32_t k = n < SCAN_WORDS ? (uint32_t)n : SCAN_WORDS;

		gs__mark_words(m, w, k);
		w += k;
		n -= k;
	}
}

/* At most 64 words. @bits: which of them are pointers. */
static void scan_64(struct gs_heap_mark *m, const uint64_t *w, uint32_t n, uint64_t bits)
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
}

static void scan_pointers(struct gs_heap_mark *m, const uint64_t *w, uint64_t n,
			  const uint64_t *bits)
{
	m->stats.words += n;
	for (uint64_t i = 0; i < n; i += 64)
		if (bits[i / 64])
			scan_64(m, w + i, n - i < 64 ? (uint32_t)(n - i) : 64, bits[i / 64]);
}

/* Let an object, or a piece of one, have its turn. @has_bits: m->object_bits are its. */
static int scan_bytes(struct gs_heap_mark *m, struct gs_heap_object *o, bool has_bits)
{
	const uint64_t *words = (const uint64_t *)o->bytes;

	m->stats.without_bits += o->bytes && o->offset == 0 && !has_bits;
	if (m->visit) {
		o->pointer_bits = has_bits ? m->object_bits : NULL;
		return m->visit(m->visit_ctx, o);
	}
	if (has_bits)
		scan_pointers(m, words, o->n_bytes / sizeof(*words), m->object_bits);
	else
		scan_words(m, words, o->n_bytes / sizeof(*words));
	return 0;
}

/* Which words of an object of a part are pointers, into m->object_bits. @return false: not known. */
static bool find_bits(struct gs_heap_mark *m, const struct gs__mark_part *p, uint32_t elem,
		      const uint8_t *bytes)
{
	uint64_t size = m->span[p->span].elem_size, at = elem * size / 8 - p->map_from;
	uint32_t n_words = (uint32_t)(size / 8);
	const struct gs_rt_type_bits *t;
	gs_addr type = p->type;

	if (p->map) {
		gs_rt_heap_bits_take(m->pointer_bits, p->kind, p->map, at, n_words, m->object_bits);
		return true;
	}
	if (p->kind != GS_RT_BITS_HEADER && p->kind != GS_RT_BITS_LARGE)
		return false;
	if (p->kind == GS_RT_BITS_HEADER)
		memcpy(&type, bytes, sizeof(type));
	if (!type && m->state[p->span] & GS__MARK_BAD)
		return false;
	if (p->kind == GS_RT_BITS_LARGE) {
		t = gs_rt_type_bits(m->pointer_bits, type, size);
		return t && gs_rt_type_bits_take(m->pointer_bits, t, 0, n_words, m->object_bits);
	}
	t = gs_rt_type_bits(m->pointer_bits, type, size - sizeof(type));
	return t && gs_rt_type_bits_take_header(m->pointer_bits, t, n_words, m->object_bits);
}

/* Most objects are small, and have their bits in a bitmap. */
static void scan_small(struct gs_heap_mark *m, const struct gs__mark_part *p, uint64_t offset,
		       uint32_t n_words)
{
	const uint8_t *bytes = p->bytes + (m->span[p->span].start + offset - p->from);
	uint64_t at = offset / 8 - p->map_from, bits;

	if (p->single)
		bits = gs_rt_heap_bits_at(p->map, at);
	else
		gs_rt_heap_bits_take(m->pointer_bits, p->kind, p->map, at, n_words, &bits);
	m->stats.words += n_words;
	scan_64(m, (const uint64_t *)(const void *)bytes, n_words, bits);
}

static int scan_object(struct gs_heap_mark *m, const struct gs__mark_part *p, uint32_t elem)
{
	const struct gs_rt_span *s = &m->span[p->span];
	uint64_t offset = elem * s->elem_size;
	struct gs_heap_object o;

	if (p->map && !m->visit && s->elem_size <= 512) {
		scan_small(m, p, offset, (uint32_t)(s->elem_size / 8));
		return 0;
	}
	o = (struct gs_heap_object){
		.span = s,
		.start = s->start + offset,
		.size = s->elem_size,
		.number = s->first_object + elem,
	};
	if (!p->bytes)
		return scan_bytes(m, &o, false);
	o.bytes = p->bytes + (o.start - p->from);
	o.n_bytes = s->elem_size;
	return scan_bytes(m, &o, find_bits(m, p, elem, o.bytes));
}

/* Let all grey objects of a part have their turn. */
static int scan_part(struct gs_heap_mark *m, const struct gs__mark_part *p)
{
	uint32_t base = m->span[p->span].first_object;
	uint32_t first = base + p->first, end = base + p->end;

	for (uint32_t at = first / 64; at <= (end - 1) / 64; at++) {
		uint64_t grey = gs__mark_grey_word(m, at, first, end);

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
		if (gs__mark_grey_range(m, &m->span[span[i]], &first, &end))
			gs__mark_enqueue(m, span[i]);
	}
}

/* ---- large objects ---- */

/* All others are no larger than a piece (heap_mark.c, good_span). */
static bool is_large(const struct gs_rt_span *s)
{
	return gs__mark_span_bytes(s) > GS__MARK_PIECE_BYTES && !(s->flags & GS_RT_SPAN_NOSCAN);
}

static int scan_piece(struct gs_heap_mark *m, const struct gs_rt_span *s, uint64_t offset,
		      struct gs_err *err)
{
	uint64_t left = s->elem_size - offset;
	struct gs_heap_object o = {
		.span = s,
		.start = s->start,
		.size = s->elem_size,
		.number = s->first_object,
		.bytes = m->buffer + GS__MARK_BATCH_BYTES,
		.n_bytes = left < GS__MARK_PIECE_BYTES ? left : GS__MARK_PIECE_BYTES,
		.offset = offset,
	};
	bool has_bits;
	int r = gs__mark_read_piece(m, s, offset, (uint32_t)o.n_bytes, &has_bits, err);

	return r < 0 ? r : scan_bytes(m, &o, has_bits);
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
			bytes += gs__mark_span_bytes(s);
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
			r = gs__mark_read_batch(m, span, n, err);
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
