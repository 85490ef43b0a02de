/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Any bytes as a Go heap: the first one chooses the release, then come spans, 8 bytes each, and the rest is the memory, repeated
 * everywhere: objects, bitmaps, headers and types. Words that say so become addresses of objects or of types; some pages
 * cannot be read. Draining and walking have to agree on what is reached.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/heap_mark.h"
#include "fuzz.h"
#include "golang/layout.h"

#define BASE 0xc000000000ull
#define INFOS 0x7f0000000000ull
#define TYPES 0x100000ull

enum { MAX_SPANS = 16, MAX_PAGES = 220, MAX_LEN = 8 << 20 };

struct gs_rt_heap {
	struct gs_rt_span span[MAX_SPANS];
	uint32_t n, slots;
	struct gs_go_layout layout;
	const uint8_t *bytes;
	size_t size;
	struct gs_heap_mark *mark;
};

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

	return n < 3 && h->size % 3 != n ? INFOS + n * GS_RT_ARENA : 0;
}

const struct gs_go_layout *gs_rt_heap_layout(const struct gs_rt_heap *h)
{
	return &h->layout;
}

/* The word at an address: what the input says, or what it asks for. */
static uint64_t word_at(const struct gs_rt_heap *h, gs_addr addr)
{
	uint64_t w;

	memcpy(&w, h->bytes + addr / 8 % (h->size / 8) * 8, 8);
	if ((w & 7) == 1)
		return BASE + (w >> 3) % (3 * GS_RT_ARENA);
	if ((w & 7) == 2)
		return BASE + (w >> 3) % (MAX_PAGES * GS_RT_PAGE);
	return (w & 7) == 3 ? TYPES + (w >> 3) % h->size / 8 * 8 : w;
}

static int readv_words(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	const struct gs_rt_heap *h = ctx;

	(void)err;
	for (size_t i = 0; i < n; i++) {
		gs_addr at = reads[i].addr, end = at + reads[i].len;
		uint8_t *to = reads[i].buf;

		if (reads[i].len > MAX_LEN)
			abort();
		reads[i].result = at < 4096 || end >> 48 || end < at ? -GS_E_FAULT : 0;
		for (gs_addr page = at >> 12; page <= end >> 12 && reads[i].result == 0; page++)
			reads[i].result = page % 61 == 60 ? -GS_E_FAULT : 0;
		while (at < end && reads[i].result == 0) {
			uint64_t w = word_at(h, at);
			size_t skip = at % 8, k = 8 - skip < end - at ? 8 - skip : end - at;

			memcpy(to, (const uint8_t *)&w + skip, k);
			at += k;
			to += k;
		}
	}
	return 0;
}

/* A span as the runtime could have one. */
static void add_span(struct gs_rt_heap *h, const uint8_t *b, uint32_t *left)
{
	static const uint16_t sizes[] = { 8,    16,   24,   48,    64,    112,  208,
					  416,  480,  512,  576,   704,   1024, 1792,
					  4864, 6784, 9472, 10880, 28672, 32768 };
	static const uint8_t kinds[] = { 0,
					 GS_RT_SPAN_HEAP_BITMAP,
					 GS_RT_SPAN_HEADERS,
					 GS_RT_SPAN_LARGE,
					 GS_RT_SPAN_USER_ARENA,
					 GS_RT_SPAN_NOSCAN,
					 GS_RT_SPAN_HEAP_BITMAP,
					 GS_RT_SPAN_HEADERS };
	struct gs_rt_span *s = &h->span[h->n];
	uint32_t pages = b[0] & 15u ? (b[0] & 15u) : b[1] % 160u + 1;
	uint64_t bytes = pages * (uint64_t)GS_RT_PAGE, tail;

	if (pages > *left)
		return;
	*left -= pages;
	*s = (struct gs_rt_span){
		.start = h->n ? s[-1].start + s[-1].n_pages * (uint64_t)GS_RT_PAGE
			      : BASE + GS_RT_ARENA - 32 * GS_RT_PAGE,
		.mspan = TYPES + b[2] * 8u,
		.n_pages = pages,
		.elem_size = b[0] & 15u ? sizes[b[3] % GS_ARRAY_SIZE(sizes)] : bytes,
		.first_object = h->slots,
		.spanclass = b[4],
		.state = GS_RT_SPAN_IN_USE,
		.flags = kinds[b[5] % 8],
	};
	tail = s->flags & GS_RT_SPAN_HEAP_BITMAP ? bytes / 64 : 0;
	s->n_elems = b[6] & 1 ? b[7] : (uint32_t)((bytes - tail) / s->elem_size);
	h->slots += s->n_elems;
	h->n++;
}

static int follow(void *ctx, const struct gs_heap_object *o)
{
	const struct gs_rt_heap *h = ctx;
	const uint64_t *w = o->bytes;
	uint64_t n = o->n_bytes / 8;

	if (o->pointer_bits && n % 64 && o->pointer_bits[n / 64] >> n % 64)
		abort();
	for (uint64_t i = 0; i < n; i++) {
		const struct gs_rt_span *s;
		uint32_t number;
		gs_addr start;

		if (o->pointer_bits && !(o->pointer_bits[i / 64] >> i % 64 & 1))
			continue;
		if (gs_heap_slot(h->mark, w[i], &number, &start, &s) &&
		    !gs_heap_marked(h->mark, start))
			gs_heap_grey(h->mark, s, start);
	}
	return 0;
}

/* @return how many objects are reached from the first of each span. */
static uint64_t run(struct gs_rt_heap *h, bool walk)
{
	const struct gs_memory mem = { .readv = readv_words, .ctx = h };
	struct gs_heap_mark_stats st;
	uint32_t number;

	if (gs_heap_mark_new(h, &mem, &h->mark, NULL) < 0)
		return 0;
	for (uint32_t i = 0; i < h->n; i++) {
		const struct gs_rt_pointer p = { .value = h->span[i].start };
		const struct gs_rt_span *s;
		gs_addr start;

		if (!walk)
			gs_heap_mark_roots(h->mark, &p, 1);
		else if (gs_heap_slot(h->mark, p.value, &number, &start, &s))
			gs_heap_grey(h->mark, s, start);
	}
	if ((walk ? gs_heap_walk(h->mark, follow, h, NULL) : gs_heap_mark_drain(h->mark, NULL)) < 0)
		abort();
	gs_heap_mark_stats(h->mark, &st);
	gs_heap_mark_free(h->mark);
	return st.objects;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t releases[] = { 19, 21, 22, 25 };
	static struct gs_rt_heap h;
	uint32_t left = MAX_PAGES, n;

	if (size < 8 + MAX_SPANS * 8 + 16)
		return 0;
	n = data[1] % MAX_SPANS + 1;
	h.n = h.slots = 0;
	if (gs_go_layout_table(releases[data[0] % 4], GS_ARCH_AMD64, &h.layout, NULL) < 0)
		abort();
	h.bytes = data + 8 + n * 8ul;
	h.size = size - 8 - n * 8ul;
	for (uint32_t i = 0; i < n; i++)
		add_span(&h, data + 8 + i * 8ul, &left);
	if (run(&h, false) != run(&h, true))
		abort();
	return 0;
}
