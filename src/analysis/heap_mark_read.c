/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Reads what grey objects of a Go heap need: their bytes, and which of their words are pointers.
 *
 * The first time a span is read whole, as most of its objects will have their turn; later only from its first to
 * its last grey object. Neighbours are read as one piece. So are bitmaps of arenas (up to Go 1.21), which stand elsewhere:
 * 128 or 256 bytes for a page, small gaps between them included, as a piece costs more than its bytes.
 */
#include <string.h>

#include "analysis/heap_mark_private.h"

#define KERNEL_PAGE 4096u

bool gs__mark_grey_range(const struct gs_heap_mark *m, const struct gs_rt_span *s,
			 uint32_t *ret_first, uint32_t *ret_end)
{
	uint32_t first = s->first_object, end = first + s->n_elems;
	bool found = false;

	for (uint32_t at = first / 64; at <= (end - 1) / 64; at++) {
		uint64_t grey = gs__mark_grey_word(m, at, first, end);

		if (!grey)
			continue;
		if (!found)
			*ret_first = at * 64 + (uint32_t)__builtin_ctzll(grey) - first;
		found = true;
		*ret_end = at * 64 + 64 - (uint32_t)__builtin_clzll(grey) - first;
	}
	return found;
}

/* ---- what cannot be read ---- */

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

/* ---- plans ---- */

/* Which part of the span is read, to where in the buffer. @return false if nothing has a turn. */
static bool plan_part(struct gs_heap_mark *m, uint32_t span, uint8_t *buffer,
		      struct gs__mark_part *p)
{
	const struct gs_rt_span *s = &m->span[span];
	uint64_t from, to;

	*p = (struct gs__mark_part){ .span = span, .end = s->n_elems, .from = s->start };
	if (s->flags & GS_RT_SPAN_NOSCAN)
		return true;
	if (m->state[span] & GS__MARK_READ && !gs__mark_grey_range(m, s, &p->first, &p->end))
		return false;
	m->state[span] |= GS__MARK_READ;
	p->kind = gs_rt_heap_bits_kind(m->pointer_bits, s);
	p->single = p->kind == GS_RT_BITS_SPAN || gs_rt_heap_bits_unit(m->pointer_bits) == 8;
	from = p->first * s->elem_size;
	to = p->end * s->elem_size;
	if (p->kind == GS_RT_BITS_SPAN)
		to = gs__mark_span_bytes(s);
	p->from = s->start + from;
	p->n_bytes = (uint32_t)(to - from);
	p->bytes = buffer;
	return true;
}

/* Read @len bytes at @addr into @to, which is behind what was read before: with the last one, if they are neighbours
 * there too. @return where the bytes will be. */
static uint8_t *plan_map(struct gs_read *rd, uint32_t first, uint32_t *n, gs_addr addr,
			 uint64_t len, uint8_t *to)
{
	struct gs_read *last = *n > first ? &rd[*n - 1] : NULL;
	uint64_t gap = last ? addr - last->addr - last->len : UINT64_MAX;

	if (gap > GS__MARK_MAP_GAP) {
		rd[(*n)++] = (struct gs_read){ .addr = addr, .buf = to, .len = len };
		return to;
	}
	last->len += gap + len;
	return to + gap;
}

/* The bits of bytes [@from, @to), in one or two arenas. Behind @at in the buffer; @return the end of what they take. */
static uint8_t *plan_arena(struct gs_heap_mark *m, gs_addr from, gs_addr to, uint8_t *at,
			   uint32_t first, uint32_t *n, const uint8_t **ret)
{
	uint32_t unit = gs_rt_heap_bits_unit(m->pointer_bits);
	uint8_t *end = at;

	*ret = NULL;
	from -= from % GS_RT_BITS_UNIT;
	to += -to % GS_RT_BITS_UNIT;
	while (from < to) {
		gs_addr addr;
		uint64_t here = gs_rt_heap_bits_place(m->pointer_bits, from, to, &addr), len;
		uint8_t *bits;

		if (!here) {
			*ret = NULL;
			return end;
		}
		len = here / GS_RT_BITS_UNIT * unit;
		/* Those of a second arena follow at once. */
		bits = plan_map(m->reads, *ret ? *n : first, n, addr, len, end);
		*ret = *ret ? *ret : bits;
		end = bits + len;
		from += here;
	}
	return end;
}

/* The reads for pointer bits of all parts, behind those for bytes. */
static uint32_t plan_bits(struct gs_heap_mark *m, uint32_t n)
{
	const uint32_t first = n;
	uint8_t *at = m->map;

	for (uint32_t i = 0; i < m->n_parts; i++) {
		struct gs__mark_part *p = &m->part[i];
		const struct gs_rt_span *s = &m->span[p->span];

		if (!p->n_bytes)
			continue;
		if (p->kind == GS_RT_BITS_LARGE) {
			m->reads[n++] = (struct gs_read){ .addr = gs_rt_heap_bits_large_type(
								  m->pointer_bits, s),
							  .buf = &p->type,
							  .len = sizeof(p->type) };
		} else if (p->kind == GS_RT_BITS_ARENA) {
			at = plan_arena(m, p->from, p->from + p->n_bytes, at, first, &n, &p->map);
			p->map_from = (uint32_t)((p->from - s->start) / GS_RT_BITS_UNIT * 64);
		}
	}
	return n;
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Plan the bytes of all spans' parts. @return the number of reads; @ret_bytes of all. */
static uint32_t plan_parts(struct gs_heap_mark *m, uint32_t *span, uint32_t n, uint64_t *ret_bytes)
{
	uint8_t *at = m->buffer;
	uint32_t n_reads = 0;

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
	*ret_bytes = (uint64_t)(at - m->buffer);
	return n_reads;
}

/* ---- batches ---- */

/* Parts whose bits were to come with a read that failed have none. */
static void drop_bits(struct gs_heap_mark *m, const struct gs_read *rd)
{
	uintptr_t lo = (uintptr_t)rd->buf, hi = lo + rd->len;

	for (uint32_t i = 0; i < m->n_parts; i++) {
		struct gs__mark_part *p = &m->part[i];
		uint64_t units = (p->from % GS_RT_BITS_UNIT + p->n_bytes) / GS_RT_BITS_UNIT + 1;
		uintptr_t map = (uintptr_t)p->map;

		if (map < hi && map + units * gs_rt_heap_bits_unit(m->pointer_bits) > lo)
			p->map = NULL;
		if (rd->buf == &p->type)
			p->kind = GS_RT_BITS_UNKNOWN;
	}
}

int gs__mark_read_batch(struct gs_heap_mark *m, uint32_t *span, uint32_t n, struct gs_err *err)
{
	uint64_t bytes;
	uint32_t n_parts = plan_parts(m, span, n, &bytes), n_reads = plan_bits(m, n_parts);
	int r = n_reads ? m->mem->readv(m->mem->ctx, m->reads, n_reads, err) : 0;

	m->stats.bytes_read += bytes;
	for (uint32_t i = 0; r >= 0 && i < n_reads; i++) {
		if (i >= n_parts)
			m->stats.bytes_read += m->reads[i].len;
		if (m->reads[i].result < 0 && i < n_parts)
			r = read_parts_again(m, &m->reads[i], err);
		else if (m->reads[i].result < 0)
			drop_bits(m, &m->reads[i]);
	}
	for (uint32_t i = 0; r >= 0 && i < m->n_parts; i++) {
		struct gs__mark_part *p = &m->part[i];

		if (p->kind == GS_RT_BITS_SPAN && !(m->state[p->span] & GS__MARK_BAD))
			p->map = gs_rt_heap_bits_of_span(&m->span[p->span], p->bytes, p->n_bytes);
	}
	return r;
}

/* ---- large objects ---- */

/* Bits of a piece with its type at @type, or its bitmap in @map. */
static bool take_piece(struct gs_heap_mark *m, const struct gs_rt_span *s, uint64_t offset,
		       uint32_t n_words, enum gs_rt_bits_kind kind, const uint8_t *map,
		       gs_addr type)
{
	const struct gs_rt_type_bits *t;

	if (map)
		gs_rt_heap_bits_take(m->pointer_bits, kind, map, 0, n_words, m->object_bits);
	if (map || kind != GS_RT_BITS_LARGE)
		return map;
	t = gs_rt_type_bits(m->pointer_bits, type, s->elem_size);
	return t && gs_rt_type_bits_take(m->pointer_bits, t, offset / 8, n_words, m->object_bits);
}

int gs__mark_read_piece(struct gs_heap_mark *m, const struct gs_rt_span *s, uint64_t offset,
			uint32_t n_bytes, bool *ret_has_bits, struct gs_err *err)
{
	enum gs_rt_bits_kind kind = gs_rt_heap_bits_kind(m->pointer_bits, s);
	gs_addr from = s->start + offset, type = 0;
	const uint8_t *map = NULL;
	uint32_t n = 1;
	int r;

	m->reads[0] = (struct gs_read){ .addr = from,
					.buf = m->buffer + GS__MARK_BATCH_BYTES,
					.len = n_bytes };
	if (kind == GS_RT_BITS_ARENA)
		(void)plan_arena(m, from, from + n_bytes, m->map, n, &n, &map);
	else if (kind == GS_RT_BITS_LARGE)
		m->reads[n++] =
			(struct gs_read){ .addr = gs_rt_heap_bits_large_type(m->pointer_bits, s),
					  .buf = &type,
					  .len = 8 };
	r = m->mem->readv(m->mem->ctx, m->reads, n, err);
	if (r < 0)
		return r;
	for (uint32_t i = 1; i < n; i++) {
		m->stats.bytes_read += m->reads[i].len;
		if (m->reads[i].result < 0) {
			kind = GS_RT_BITS_UNKNOWN;
			map = NULL;
		}
	}
	*ret_has_bits = take_piece(m, s, offset, n_bytes / 8, kind, map, type);
	m->stats.bytes_read += n_bytes;
	return m->reads[0].result < 0 ? read_pages(m, (uint32_t)(s - m->span), from,
						   m->buffer + GS__MARK_BATCH_BYTES, n_bytes, err)
				      : 0;
}
