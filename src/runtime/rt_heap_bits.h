/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_HEAP_BITS_H
#define GS_RUNTIME_RT_HEAP_BITS_H

/*
 * Which words of the heap's objects are pointers, as the runtime itself knows it (runtime/mbitmap.go of each release,
 * mbitmap_allocheaders.go of 1.22 and 1.23):
 *
 *   release       objects                bits
 *   1.19          all                    heapArena.bitmap, two for each word: pointer; more pointers may follow
 *   1.20, 1.21    all                    heapArena.bitmap, one for each word
 *   1.22 …        up to 512 bytes        at the end of the span, one for each word
 *                 up to 32 KiB           of the type that the slot's first word points to
 *                 larger, user arenas    of the type that mspan.largeType points to
 *
 * A type has bits for one element; objects are as many elements as fit, the last one cut off (typePointers.next).
 * User arenas, and types whose bits a program makes (KindGCProg, up to 1.23), have a made-up type with bits
 * for all of the object.
 *
 * Nothing is believed: what does not fit together is "not known", and its objects are looked at word by word.
 */
#include <string.h>

#include "runtime/rt_heap.h"

enum gs_rt_bits_kind {
	GS_RT_BITS_UNKNOWN = 0,
	GS_RT_BITS_ARENA,  /* heapArena.bitmap */
	GS_RT_BITS_SPAN,   /* at the span's end */
	GS_RT_BITS_HEADER, /* the object's first word is its type */
	GS_RT_BITS_LARGE,  /* the word at gs_rt_heap_bits_large_type() is its type */
};

/** The size of objects whose bits are in their span is no larger, and of those with a header (which is part of it). */
#define GS_RT_BITS_SPAN_SIZE 512u
#define GS_RT_BITS_HEADER_SIZE 32768u

struct gs_rt_heap_bits;

/** @h and @mem are borrowed and outlive the result. Types are read when they are asked for and kept: 24 MB at most. */
GS_CHECKED int gs_rt_heap_bits_new(const struct gs_rt_heap *h, const struct gs_memory *mem,
				   struct gs_rt_heap_bits **ret, struct gs_err *err);
struct gs_rt_heap_bits *gs_rt_heap_bits_free(struct gs_rt_heap_bits *b);
GS_DEFINE_CLEANUP(struct gs_rt_heap_bits *, gs_rt_heap_bits_free)
/** Bytes that it takes by now. */
uint64_t gs_rt_heap_bits_memory(const struct gs_rt_heap_bits *b);

/** Where the bits of a span with pointers are. */
enum gs_rt_bits_kind gs_rt_heap_bits_kind(const struct gs_rt_heap_bits *b,
					  const struct gs_rt_span *s);

/* --- bitmaps: 64 words of the heap have their bits together -------------------------------------------------------- */

#define GS_RT_BITS_UNIT (64u * 8) /* bytes of the heap */

/** Bytes of bitmap for GS_RT_BITS_UNIT of the heap (ARENA): 8 or 16. */
uint32_t gs_rt_heap_bits_unit(const struct gs_rt_heap_bits *b);
/** ARENA: where the bitmap of [@from, @to) begins; both are multiples of GS_RT_BITS_UNIT.
 *  @return how many bytes of the heap from @from on have theirs there, one after the other; 0: not known. */
uint64_t gs_rt_heap_bits_place(const struct gs_rt_heap_bits *b, gs_addr from, gs_addr to,
			       gs_addr *ret);
/** SPAN: the span's bitmap in @bytes, its last @n_bytes; NULL: not there. */
const uint8_t *gs_rt_heap_bits_of_span(const struct gs_rt_span *s, const uint8_t *bytes,
				       uint64_t n_bytes);
/** Bytes that must be readable behind a bitmap. */
#define GS_RT_BITS_SLACK 24u
/** The 64 bits from bit @at of a bitmap on, if it has one for each word (SPAN, or a unit of 8 bytes). */
static inline uint64_t gs_rt_heap_bits_at(const uint8_t *map, uint64_t at)
{
	uint32_t shift = (uint32_t)(at % 64);
	uint64_t v[2];

	memcpy(v, map + at / 64 * 8, sizeof(v));
	return shift ? v[0] >> shift | v[1] << (64 - shift) : v[0];
}
/** Take the bits of @n_words out of a bitmap (of ARENA or SPAN, as @kind says), from its word number @at on. They are of one
 *  object, or of a piece of one. Bits of @ret behind the last are zero. */
void gs_rt_heap_bits_take(const struct gs_rt_heap_bits *b, enum gs_rt_bits_kind kind,
			  const uint8_t *map, uint64_t at, uint32_t n_words, uint64_t *ret);

/* --- types --------------------------------------------------------------------------------------------------------- */

struct gs_rt_type_bits;

/** LARGE: where the address of the type stands. */
gs_addr gs_rt_heap_bits_large_type(const struct gs_rt_heap_bits *b, const struct gs_rt_span *s);
/** Bits of the type at @type, which has to fit into @room bytes. 0 is a type without pointers: the object is being made.
 *  @return NULL if they are not known; borrowed. */
const struct gs_rt_type_bits *gs_rt_type_bits(struct gs_rt_heap_bits *b, gs_addr type,
					      uint64_t room);
/** Take the bits of @n_words of elements of the type, from word number @at of the first one on. Bits of @ret behind the
 *  last are zero. @return false if they cannot be read. */
bool gs_rt_type_bits_take(struct gs_rt_heap_bits *b, const struct gs_rt_type_bits *t, uint64_t at,
			  uint32_t n_words, uint64_t *ret);
/** The same of a slot that begins with a header, whose own bit is zero. */
bool gs_rt_type_bits_take_header(struct gs_rt_heap_bits *b, const struct gs_rt_type_bits *t,
				 uint32_t n_words, uint64_t *ret);

#endif
