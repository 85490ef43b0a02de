/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What finalizers, cleanups and weak pointers keep alive (markrootSpans in runtime/mgcmark.go), and which objects the memory
 * profile has sampled.
 *
 *   mspan.specials ─► special ─next─► special …   outside of the heap, sorted by offset in the span
 *
 * An object with a finalizer is no root itself, but everything it refers to is: its finalizer will need that. Of a
 * cleanup the function and its argument are roots, of a weak pointer its handle.
 *
 * Those whose object has died wait in queues, blocks outside of the heap (allfin, gcCleanups): they are roots with all
 * they hold. Blocks stay in the lists when they are empty.
 *
 * The lists of many spans are followed side by side, one special of each at a time, so that each step is one read.
 */
#include "runtime/rt_gs.h"

#include <errno.h>
#include <string.h>

#include "runtime/rt_heap.h"
#include "runtime/rt_pointer_batch.h"

#define SPANS 512u
#define SPECIAL_BYTES 128u /* of a special, more than any has that matters */
#define ROUNDS_MAX 65536u  /* specials of one span */
#define BLOCKS_MAX (1u << 20)
#define FIN_BLOCK                                                                                  \
	4096u /* finBlock: alllink, next, cnt uint32; finalizers {fn, arg, nret, fint, ot} */
#define FIN_HEADER 24u
#define FIN_SIZE 40u
#define CLEANUP_BLOCK                                                                              \
	512u /* cleanupBlock: lfnode, alllink, n uint32; function; since 1.26 {call, fn, arg} */
#define CLEANUP_HEADER 32u
#define OBJECT_EAGER 4096u /* objects up to this size are read with others */
#define CHUNK (64u << 10)

enum kind { OTHER, FINALIZER, WEAK_HANDLE, PROFILE, CLEANUP };

struct pass {
	struct gs_rt *rt;
	struct gs__gather buf;
	const struct gs_rt_span *span[SPANS];
	gs_addr next[SPANS];
	struct gs__piece piece[SPANS];
	struct gs__piece object[SPANS];
	uint32_t n, n_objects;
	uint32_t len; /* of a special */
	uint8_t *chunk;
	struct gs__pointer_batch out;
	gs_rt_samples_fn *sample; /* instead of pointers */
	void *sample_ctx;
	uint64_t broken, unreadable, no_queue;
};

/* The runtime's numbers (mheap.go): weak handles came with Go 1.23, tiny blocks, which are the first, with 1.25. */
static enum kind kind_of(const struct pass *ps, uint8_t number)
{
	unsigned int minor = ps->rt->minor;

	if (minor >= 25)
		number--;
	switch (number) {
	case 1:
		return FINALIZER;
	case 2:
		return minor >= 23 ? WEAK_HANDLE : PROFILE;
	case 3:
		return minor >= 23 ? PROFILE : OTHER;
	case 6:
		return minor >= 24 ? CLEANUP : OTHER;
	}
	return OTHER;
}

/* A special's offset grew from two bytes to a word. */
static uint64_t offset_of(const struct pass *ps, const uint8_t *b)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	uint64_t v = gs__field_u64(l, GS_GO_SPECIAL_OFFSET, b, ps->len);

	return l->offset[GS_GO_SPECIAL_KIND] - l->offset[GS_GO_SPECIAL_OFFSET] == 2 ? v & 0xffff
										    : v;
}

static int large_object(struct pass *ps, gs_addr at, uint64_t size, struct gs_err *err)
{
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < size; done += CHUNK) {
		size_t len = size - done < CHUNK ? size - done : CHUNK;

		r = gs_memory_read(ps->rt->mem, at + done, ps->chunk, len, err);
		if (r == -GS_E_FAULT) {
			ps->unreadable += len;
			r = 0;
		} else if (r == 0) {
			r = gs__pointers_words(&ps->out, at + done, ps->chunk, len);
		}
	}
	return r;
}

/* The object that a finalizer is for: what it refers to is alive. */
static int finalizer_object(struct pass *ps, const struct gs_rt_span *s, uint64_t offset,
			    struct gs_err *err)
{
	gs_addr start;

	if ((s->flags & GS_RT_SPAN_NOSCAN) || !s->elem_size)
		return 0;
	if (offset >= (uint64_t)s->n_pages * GS_RT_PAGE) {
		ps->broken++;
		return 0;
	}
	start = s->start + offset / s->elem_size * s->elem_size;
	if (s->elem_size > OBJECT_EAGER)
		return large_object(ps, start, s->elem_size, err);
	ps->object[ps->n_objects++] =
		(struct gs__piece){ .addr = start, .len = (uint32_t)s->elem_size };
	return 0;
}

static int take(struct pass *ps, const struct gs__piece *p, struct gs_err *err)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	uint32_t own = (uint32_t)l->offset[GS_GO_SPECIAL_SIZE];
	uint8_t number = p->bytes[l->offset[GS_GO_SPECIAL_KIND]];
	int r;

	if (own + 24 > ps->len)
		return 0;
	if (ps->sample) {
		const struct gs_rt_sample x = { .span = ps->span[p->tag],
						.offset = offset_of(ps, p->bytes),
						.bucket = gs__u64(p->bytes + own) };

		return kind_of(ps, number) == PROFILE ? ps->sample(ps->sample_ctx, &x) : 0;
	}
	switch (kind_of(ps, number)) {
	case FINALIZER:
		r = finalizer_object(ps, ps->span[p->tag], offset_of(ps, p->bytes), err);
		return r ? r
			 : gs__pointers_add(&ps->out, p->addr + own,
					    gs__u64(p->bytes + own)); /* fn */
	case WEAK_HANDLE:
		return gs__pointers_add(&ps->out, p->addr + own, gs__u64(p->bytes + own));
	case CLEANUP: /* fn; since 1.26 call, fn and arg */
		return gs__pointers_words(&ps->out, p->addr + own, p->bytes + own,
					  ps->rt->minor >= 26 ? 24 : 8);
	case PROFILE:
	case OTHER:
		break;
	}
	return 0;
}

static int read_objects(struct pass *ps, struct gs_err *err)
{
	int r = gs__gather(ps->rt->mem, &ps->buf, ps->object, ps->n_objects, GS__G_GAP, err);

	for (uint32_t i = 0; r == 0 && i < ps->n_objects; i++) {
		if (ps->object[i].bytes)
			r = gs__pointers_words(&ps->out, ps->object[i].addr, ps->object[i].bytes,
					       ps->object[i].len);
		else
			ps->unreadable += ps->object[i].len;
	}
	ps->n_objects = 0;
	return r;
}

static int round_of_specials(struct pass *ps, bool *ret_more, struct gs_err *err)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	uint32_t n = 0;
	int r;

	for (uint32_t i = 0; i < ps->n; i++)
		if (ps->next[i])
			ps->piece[n++] =
				(struct gs__piece){ .addr = ps->next[i], .len = ps->len, .tag = i };
	*ret_more = n > 0;
	r = gs__gather(ps->rt->mem, &ps->buf, ps->piece, n, GS__G_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const struct gs__piece *p = &ps->piece[i];

		ps->next[p->tag] = 0;
		if (!p->bytes) {
			ps->broken++;
			continue;
		}
		ps->next[p->tag] = gs__field_u64(l, GS_GO_SPECIAL_NEXT, p->bytes, p->len);
		r = take(ps, p, err);
	}
	return r ? r : read_objects(ps, err);
}

static int do_batch(struct pass *ps, struct gs_err *err)
{
	uint64_t field = (uint64_t)ps->rt->facts.layout.offset[GS_GO_MSPAN_SPECIALS];
	bool more = true;
	int r;

	for (uint32_t i = 0; i < ps->n; i++)
		ps->piece[i] = (struct gs__piece){ .addr = ps->span[i]->mspan + field,
						   .len = 8,
						   .tag = i };
	memset(ps->next, 0, sizeof(ps->next));
	r = gs__gather(ps->rt->mem, &ps->buf, ps->piece, ps->n, GS__G_GAP, err);
	for (uint32_t i = 0; r == 0 && i < ps->n; i++)
		if (ps->piece[i].bytes)
			ps->next[ps->piece[i].tag] = gs__u64(ps->piece[i].bytes);
	for (uint32_t round = 0; r == 0 && more && round < ROUNDS_MAX; round++)
		r = round_of_specials(ps, &more, err);
	for (uint32_t i = 0; i < ps->n; i++)
		ps->broken += ps->next[i] != 0;
	ps->n = 0;
	return r;
}

static bool known_layout(struct pass *ps)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;

	ps->len = SPECIAL_BYTES;
	return gs_go_has(l, GS_GO_MSPAN_SPECIALS) &&
	       gs__field_within(l, GS_GO_SPECIAL_NEXT, 8, 64) &&
	       gs__field_within(l, GS_GO_SPECIAL_OFFSET, 8, 64) &&
	       gs__field_within(l, GS_GO_SPECIAL_KIND, 1, 64) &&
	       gs__field_within(l, GS_GO_SPECIAL_SIZE, 8, 64);
}

static int all_spans(struct pass *ps, const struct gs_rt_heap *h, struct gs_err *err)
{
	uint32_t n;
	const struct gs_rt_span *s = gs_rt_heap_spans(h, &n);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		if (s[i].state == GS_RT_SPAN_IN_USE && (s[i].flags & GS_RT_SPAN_SPECIALS))
			ps->span[ps->n++] = &s[i];
		if (ps->n == SPANS)
			r = do_batch(ps, err);
	}
	return r == 0 && ps->n ? do_batch(ps, err) : r;
}

/* Entries in use of a block: their words, but for the number in a finalizer. */
static int block_words(struct pass *ps, gs_addr at, const uint8_t *b, bool finalizers)
{
	uint32_t size = finalizers ? FIN_SIZE : ps->rt->minor >= 26 ? 24 : 8;
	uint32_t from = finalizers ? FIN_HEADER : CLEANUP_HEADER;
	uint32_t n = gs__u32(b + (finalizers ? 16 : 24));
	uint32_t room = ((finalizers ? FIN_BLOCK : CLEANUP_BLOCK) - from) / size;
	int r = 0;

	if (n > room) {
		ps->broken++;
		n = room;
	}
	for (uint32_t i = 0; r == 0 && i < n; i++, from += size) {
		if (!finalizers)
			r = gs__pointers_words(&ps->out, at + from, b + from, size);
		else
			r = gs__pointers_words(&ps->out, at + from, b + from, 16);
		if (r == 0 && finalizers)
			r = gs__pointers_words(&ps->out, at + from + 24, b + from + 24, 16);
	}
	return r;
}

/* Finalizers and cleanups that wait to be run. */
static int queue(struct pass *ps, enum gs_go_more_global head, struct gs_err *err)
{
	const struct gs_go_more_globals *g = gs__rt_more_globals(ps->rt);
	bool finalizers = head == GS_GO_MORE_ALLFIN;
	gs_addr block = 0, turtle = 0;
	uint32_t limit = 2;
	int r = 0;

	if (!finalizers && ps->rt->minor < 25)
		return 0;
	if (!g || !g->addr[head] || gs_memory_u64(ps->rt->mem, g->addr[head], &block, NULL) < 0) {
		ps->no_queue++;
		return 0;
	}
	for (uint32_t i = 0; r == 0 && block && i < BLOCKS_MAX; i++) {
		r = gs_memory_read(ps->rt->mem, block, ps->chunk,
				   finalizers ? FIN_BLOCK : CLEANUP_BLOCK, err);
		if (r == -GS_E_FAULT) {
			ps->broken++;
			return 0;
		}
		if (r == 0)
			r = block_words(ps, block, ps->chunk, finalizers);
		block = gs__u64(ps->chunk + (finalizers ? 0 : 16));
		if (block && block == turtle) { /* a circle (Brent) */
			ps->broken++;
			return r;
		}
		if (i == limit) {
			turtle = block;
			limit *= 2;
		}
	}
	return r;
}

static struct pass *pass_new(struct gs_rt *rt, struct gs_err *err)
{
	struct pass *ps = calloc(1, sizeof(*ps));

	if (ps)
		ps->chunk = malloc(CHUNK);
	if (!ps || !ps->chunk) {
		free(ps);
		gs_fail(err, -ENOMEM, 0, "no memory to read records of spans");
		return NULL;
	}
	ps->rt = rt;
	return ps;
}

/* @r: what the pass came to. */
static int pass_end(struct pass *ps, int r, struct gs_incomplete_list *inc)
{
	if (r == 0) {
		gs_incomplete_add(inc, "finalizer_queues_unknown", ps->no_queue,
				  "queues of finalizers or cleanups that wait to be run were not "
				  "found");
		gs_incomplete_add(inc, "specials_broken", ps->broken,
				  "lists of finalizers and other records of spans are damaged");
		gs_incomplete_add(inc, "finalizers_unreadable", ps->unreadable,
				  "bytes of objects with finalizers could not be read");
	}
	gs__gather_free(&ps->buf);
	free(ps->chunk);
	free(ps);
	return r;
}

int gs_rt_special_roots(struct gs_rt *rt, const struct gs_rt_heap *h, gs_rt_pointers_fn *visit,
			void *ctx, struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct pass *ps = pass_new(rt, err);
	int r = 0;

	if (!ps)
		return -ENOMEM;
	ps->out.visit = visit;
	ps->out.ctx = ctx;
	if (known_layout(ps))
		r = all_spans(ps, h, err);
	else
		gs_incomplete_add(inc, "finalizers_unknown", 1,
				  "where this release keeps finalizers is not known");
	if (r == 0)
		r = queue(ps, GS_GO_MORE_ALLFIN, err);
	if (r == 0)
		r = queue(ps, GS_GO_MORE_CLEANUP_BLOCKS, err);
	if (r == 0)
		r = gs__pointers_flush(&ps->out);
	return pass_end(ps, r, inc);
}

int gs_rt_samples(struct gs_rt *rt, const struct gs_rt_heap *h, gs_rt_samples_fn *visit, void *ctx,
		  struct gs_err *err)
{
	struct gs_incomplete_list told = { 0 }; /* by who reads finalizers */
	struct pass *ps = pass_new(rt, err);

	if (!ps)
		return -ENOMEM;
	ps->sample = visit;
	ps->sample_ctx = ctx;
	return pass_end(ps, known_layout(ps) ? all_spans(ps, h, err) : 0, &told);
}
