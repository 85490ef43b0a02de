/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Where the heap's pointer bits are, and how bitmaps are read. Types: rt_type_bits.c.
 *
 * heapArena.bitmap describes the arena's words from its start on. Bits of 1.20 and 1.21 are those of words in
 * little-endian order; noMorePtrs only saves the runtime some reading, for bits behind the last pointer are
 * cleared too (writeHeapBits.flush). A byte of 1.19 is for four words: pointer bits in its low half, in its high half
 * "scan" bits. Where the scan bit is clear the object has no more pointers, and what follows is not maintained
 * (heapBitsSetType, scanobject).
 *
 * At the end of a span (spanHeapBitsRange): since 1.26, spans with inline mark bits (mgcmark_greenteagc.go,
 * spanInlineMarkBits) have those last, and their last byte is the span's class. Without them it belongs to the
 * bitmap, is about words of the bitmap itself, and so is zero.
 */
#include "runtime/rt_heap_bits_private.h"

#include <errno.h>
#include <string.h>

#define INLINE_MARKS 128u /* sizeof(spanInlineMarkBits) */

/* ---- life ---- */

int gs_rt_heap_bits_new(const struct gs_rt_heap *h, const struct gs_memory *mem,
			struct gs_rt_heap_bits **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_rt_heap_bits_freep) struct gs_rt_heap_bits *b = gs_array_new(1, sizeof(*b));
	const struct gs_go_layout *l = gs_rt_heap_layout(h);

	if (b)
		b->memory = gs_arena_new(GS__BITS_MEMORY);
	if (!b || !b->memory)
		return gs_fail(err, -ENOMEM, 0, "no memory for the heap's pointer bits");
	b->h = h;
	b->mem = mem;
	b->layout = l;
	if (gs_go_has(l, GS_GO_HEAP_ARENA_BITMAP))
		b->unit = gs_go_has(l, GS_GO_HEAP_ARENA_NO_MORE_PTRS) ? 8 : 16;
	*ret = GS_TAKE(b);
	return 0;
}

struct gs_rt_heap_bits *gs_rt_heap_bits_free(struct gs_rt_heap_bits *b)
{
	if (!b)
		return NULL;
	gs_arena_free(b->memory);
	free(b->slot);
	free(b);
	return NULL;
}

uint64_t gs_rt_heap_bits_memory(const struct gs_rt_heap_bits *b)
{
	return sizeof(*b) + gs_arena_used(b->memory) + b->n_slots * sizeof(b->slot[0]);
}

enum gs_rt_bits_kind gs_rt_heap_bits_kind(const struct gs_rt_heap_bits *b,
					  const struct gs_rt_span *s)
{
	if (b->unit)
		return GS_RT_BITS_ARENA;
	if (s->flags & GS_RT_SPAN_HEAP_BITMAP)
		return s->elem_size <= GS_RT_BITS_SPAN_SIZE ? GS_RT_BITS_SPAN : GS_RT_BITS_UNKNOWN;
	if (s->flags & GS_RT_SPAN_HEADERS)
		return s->elem_size <= GS_RT_BITS_HEADER_SIZE ? GS_RT_BITS_HEADER
							      : GS_RT_BITS_UNKNOWN;
	if (s->flags & (GS_RT_SPAN_LARGE | GS_RT_SPAN_USER_ARENA) && s->n_elems == 1 &&
	    gs_go_has(b->layout, GS_GO_MSPAN_LARGE_TYPE))
		return GS_RT_BITS_LARGE;
	return GS_RT_BITS_UNKNOWN;
}

/* ---- bitmaps ---- */

uint32_t gs_rt_heap_bits_unit(const struct gs_rt_heap_bits *b)
{
	return b->unit;
}

uint64_t gs_rt_heap_bits_place(const struct gs_rt_heap_bits *b, gs_addr from, gs_addr to,
			       gs_addr *ret)
{
	uint64_t at = from % GS_RT_ARENA, n = to - from;
	gs_addr info = gs_rt_heap_arena_info(b->h, from);

	if (!info || from >= to)
		return 0;
	*ret = info + (uint64_t)b->layout->offset[GS_GO_HEAP_ARENA_BITMAP] +
	       at / GS_RT_BITS_UNIT * b->unit;
	return n < GS_RT_ARENA - at ? n : GS_RT_ARENA - at;
}

const uint8_t *gs_rt_heap_bits_of_span(const struct gs_rt_span *s, const uint8_t *bytes,
				       uint64_t n_bytes)
{
	uint64_t size = s->n_pages * (uint64_t)GS_RT_PAGE, tail = size / 64;

	if (!n_bytes)
		return NULL;
	if (s->spanclass && bytes[n_bytes - 1] == s->spanclass)
		tail += INLINE_MARKS;
	if (tail > size || s->n_elems > (size - tail) / s->elem_size || tail > n_bytes)
		return NULL;
	return bytes + n_bytes - tail;
}

static uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The low halves of 8 bytes as 32 bits. */
static uint32_t halves(uint64_t v)
{
	v &= 0x0f0f0f0f0f0f0f0f;
	v = (v | v >> 4) & 0x00ff00ff00ff00ff;
	v = (v | v >> 8) & 0x0000ffff0000ffff;
	return (uint32_t)(v | v >> 16);
}

/* The pointer and scan bits of 64 words from word @at on. */
static uint64_t pairs_at(const uint8_t *map, uint64_t at, uint64_t *ret_scan)
{
	const uint8_t *p = map + at / 4;
	uint64_t a = load(p), b = load(p + 8), c = p[16];
	uint32_t shift = at % 4;
	uint64_t pointers = halves(a) | (uint64_t)halves(b) << 32;
	uint64_t scan = halves(a >> 4) | (uint64_t)halves(b >> 4) << 32;

	if (shift) {
		pointers = pointers >> shift | (c & 15) << (64 - shift);
		scan = scan >> shift | (c >> 4) << (64 - shift);
	}
	*ret_scan = scan;
	return pointers;
}

static void take_pairs(const uint8_t *map, uint64_t at, uint32_t n_words, uint64_t *ret)
{
	bool more = true;

	for (uint32_t i = 0; i < n_words; i += 64) {
		uint64_t scan = 0, bits = more ? pairs_at(map, at + i, &scan) : 0;

		if (~scan) {
			more = false;
			bits &= (1ull << __builtin_ctzll(~scan)) - 1;
		}
		ret[i / 64] = bits;
	}
}

void gs_rt_heap_bits_take(const struct gs_rt_heap_bits *b, enum gs_rt_bits_kind kind,
			  const uint8_t *map, uint64_t at, uint32_t n_words, uint64_t *ret)
{
	if (kind == GS_RT_BITS_ARENA && b->unit == 16)
		take_pairs(map, at, n_words, ret);
	else
		for (uint32_t i = 0; i < n_words; i += 64)
			ret[i / 64] = gs_rt_heap_bits_at(map, at + i);
	gs__bits_end(ret, n_words);
}
