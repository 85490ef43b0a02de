/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_HEAP_MARK_PRIVATE_H
#define GS_ANALYSIS_HEAP_MARK_PRIVATE_H

/* What heap_mark.c (tables, marks), heap_mark_read.c (reading) and heap_mark_scan.c (looking into objects) share. */
#include "analysis/heap_mark.h"
#include "runtime/rt_heap_bits.h"

#define GS__MARK_ARENA_PAGES (GS_RT_ARENA / GS_RT_PAGE)
#define GS__MARK_WORDS 512u       /* candidates that wait to be looked up */
#define GS__MARK_BATCH_SPANS 512u /* … that are read together */
#define GS__MARK_BATCH_BYTES (4u << 20)
#define GS__MARK_PIECE_BYTES (1u << 20) /* of an object larger than that */
#define GS__MARK_MAX_PAGES                                                                         \
	(GS__MARK_PIECE_BYTES / GS_RT_PAGE) /* of a span with more than one slot */

/* How to get from an address to its slot: one for each page, so that it takes one cache line. All zero: no
 * object there. */
struct gs__mark_page {
	uint32_t magic; /* offset in the span * magic >> 32 is the slot; 0: there is but one */
	uint32_t first_object;
	uint32_t span;
	uint16_t n_elems;
	uint8_t page; /* of the span, if it has more than one slot */
	uint8_t flags;
};
enum { GS__MARK_NOSCAN = 1, GS__MARK_OPAQUE = 2 };

/* 64 slots. Both in one cache line, for they are asked together. */
struct gs__mark_bits {
	uint64_t marked, grey;
};

/* States of a span. */
enum {
	GS__MARK_QUEUED = 1, /* in a queue: it has grey objects */
	GS__MARK_LOADED = 2, /* part of the batch being scanned */
	GS__MARK_READ = 4,   /* was read as a whole before */
	GS__MARK_BAD = 8,    /* parts of it cannot be read */
};

/* A span of a batch, or the part of it that was read. */
struct gs__mark_part {
	uint32_t span;
	uint32_t first, end; /* slots, counted from the span's first */
	uint32_t n_bytes;    /* 0: nobody looks into them */
	gs_addr from;
	uint8_t *bytes;
	enum gs_rt_bits_kind kind; /* where the pointer bits are */
	uint32_t map_from;         /* the span's word whose bit is the first of @map */
	const uint8_t *map;        /* ARENA, SPAN; NULL: not known */
	bool single;               /* one bit for each word */
	gs_addr type;              /* LARGE */
};

/* Bitmaps of arenas that are read with a batch: of a part in one or two arenas, and small gaps between them. */
#define GS__MARK_MAP_GAP 512u
#define GS__MARK_MAP_BYTES                                                                         \
	(GS__MARK_BATCH_BYTES / 32 + GS__MARK_BATCH_SPANS * (GS__MARK_MAP_GAP + 32) +              \
	 GS_RT_BITS_SLACK)

struct gs_heap_mark {
	const struct gs_memory *mem;
	const struct gs_rt_span *span;
	uint32_t n_spans, n_slots;

	gs_addr lo, base;  /* of the first span; rounded down to an arena */
	uint64_t range;    /* bytes from lo to the end of the last span */
	uint32_t n_arenas; /* from base on */
	uint32_t n_chunks;
	uint32_t *arena; /* [n_arenas]: number of its chunk of @page; 0 is a chunk of nothing */
	struct gs__mark_page *page; /* [n_chunks * GS__MARK_ARENA_PAGES] */

	struct gs__mark_bits *bits;
	size_t n_bits;
	uint32_t *opaque; /* slots, sorted */
	uint32_t n_opaque;
	bool no_memory; /* for @opaque */
	struct gs_rt_heap_bits *pointer_bits;

	uint8_t *state;         /* [n_spans] */
	uint64_t *queued;       /* a bit for each span that waits */
	uint64_t *queued_words; /* a bit for each word of @queued that is not zero */
	uint32_t queue_n, cursor;
	bool downwards;

	uint64_t word[GS__MARK_WORDS]; /* all between lo and lo + range */
	const struct gs__mark_page *word_page[GS__MARK_WORDS];
	uint32_t word_slot[GS__MARK_WORDS];
	uint32_t n_words;

	struct gs__mark_part part[GS__MARK_BATCH_SPANS]; /* sorted by span */
	uint32_t n_parts;
	uint32_t again
		[GS__MARK_BATCH_SPANS]; /* ring of loaded spans that have grey objects once more */
	uint32_t again_at, again_n;
	struct gs_read reads[3 * GS__MARK_BATCH_SPANS];
	uint8_t *buffer; /* GS__MARK_BATCH_BYTES, then GS__MARK_PIECE_BYTES for large objects */
	uint8_t *map;    /* GS__MARK_MAP_BYTES */
	uint64_t object_bits[GS__MARK_PIECE_BYTES / 512]; /* of the object that has its turn */

	gs_heap_visit_fn *visit; /* NULL: drain */
	void *visit_ctx;
	struct gs_heap_mark_stats stats;
};

/** The record of the page that contains @addr; NULL outside of all spans. */
static inline const struct gs__mark_page *gs__mark_page_at(const struct gs_heap_mark *m,
							   gs_addr addr)
{
	uint64_t at = addr - m->base;

	if (addr - m->lo >= m->range)
		return NULL;
	return &m->page[m->arena[at / GS_RT_ARENA] * GS__MARK_ARENA_PAGES +
			at % GS_RT_ARENA / GS_RT_PAGE];
}

/** Which slot of its span @addr is in; not below n_elems: none. */
static inline uint32_t gs__mark_elem(const struct gs__mark_page *p, gs_addr addr)
{
	uint64_t offset = p->page * (uint64_t)GS_RT_PAGE + addr % GS_RT_PAGE;

	return (uint32_t)(offset * p->magic >> 32);
}

/** Look up the candidates in @word: mark what they point into, and make grey what has to be looked into. */
void gs__mark_flush(struct gs_heap_mark *m);
/** Enter the span into a queue unless it is in one. */
void gs__mark_enqueue(struct gs_heap_mark *m, uint32_t span);

/** Read what the grey objects of @span[0..n) need, and their pointer bits: makes parts. */
GS_CHECKED int gs__mark_read_batch(struct gs_heap_mark *m, uint32_t *span, uint32_t n,
				   struct gs_err *err);
/** Read @n_bytes (at most GS__MARK_PIECE_BYTES) of a large object, from @offset on, into the end of m->buffer, and their
 *  pointer bits into m->object_bits. */
GS_CHECKED int gs__mark_read_piece(struct gs_heap_mark *m, const struct gs_rt_span *s,
				   uint64_t offset, uint32_t n_bytes, bool *ret_has_bits,
				   struct gs_err *err);
/** The first and behind the last grey slot of the span, counted from its first one. @return false: none is grey. */
bool gs__mark_grey_range(const struct gs_heap_mark *m, const struct gs_rt_span *s,
			 uint32_t *ret_first, uint32_t *ret_end);

static inline uint64_t gs__mark_span_bytes(const struct gs_rt_span *s)
{
	return s->n_pages * (uint64_t)GS_RT_PAGE;
}

/** Slots [@first, @end) of all: the grey ones of the 64 that @at belongs to. */
static inline uint64_t gs__mark_grey_word(const struct gs_heap_mark *m, uint32_t at, uint32_t first,
					  uint32_t end)
{
	uint64_t grey = m->bits[at].grey;

	if (at == first / 64)
		grey &= ~0ull << first % 64;
	if (at == (end - 1) / 64)
		grey &= ~0ull >> (63 - (end - 1) % 64);
	return grey;
}

/** Keep @n words (at most GS__MARK_WORDS - 64 at once) that may point into the heap. */
static inline void gs__mark_words(struct gs_heap_mark *m, const uint64_t *w, uint32_t n)
{
	gs_addr lo = m->lo;
	uint64_t range = m->range;
	uint32_t k;

	if (m->n_words + n > GS__MARK_WORDS)
		gs__mark_flush(m);
	k = m->n_words;
	// No branches on what cannot be foretold: a wrong guess costs more than ten such words.
	for (uint32_t i = 0; i < n; i++) {
		m->word[k] = w[i];
		k += w[i] - lo < range;
	}
	m->n_words = k;
}

#endif
