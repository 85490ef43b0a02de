/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Profiler labels of goroutines (runtime/pprof.Do). g.labels points to
 *   Go 1.24 and later: a slice of {key string, value string} (internal/runtime/pprof/label.Set),
 *   up to Go 1.23:     a variable of type map[string]string (labelMap in runtime/pprof/label.go): a
 *                      pointer to runtime.hmap; bmap of 8 slots: tophash[8], keys, values, overflow.
 * Label sets never change once made. A whole batch of goroutines is decoded in three batched reads
 * (four with maps): headers, arrays, strings.
 */
#include "runtime/rt_private.h"

#include <errno.h>
#include <string.h>

enum { BMAP_KEYS = 8, BMAP_VALUES = 8 + 8 * 16, BMAP_SIZE = 8 + 8 * 16 + 8 * 16 + 8 };

/* One label set on its way. */
struct set {
	uint8_t head[64]; /* slice header or hmap */
	uint8_t *body;    /* label array or buckets */
	gs_addr body_at;
	uint32_t body_len, n;
	bool ok;
};

/* All of a map's header that is looked at lies in set.head. */
static bool map_layout_usable(const struct gs_go_layout *l)
{
	const size_t len = sizeof(((struct set *)NULL)->head);

	return gs__field_within(l, GS_GO_HMAP_COUNT, 8, len) &&
	       gs__field_within(l, GS_GO_HMAP_B, 1, len) &&
	       gs__field_within(l, GS_GO_HMAP_BUCKETS, 8, len);
}

struct work {
	struct gs_rt *rt;
	struct gs_arena *arena;
	struct set *set;
	struct gs_read *reads;
	size_t n;
};

static bool is_map(const struct gs_rt *rt)
{
	return rt->minor < 24;
}

/* From g.labels to the map itself. What cannot be read becomes 0: no labels. */
static int follow_maps(struct work *w, const gs_addr *ptrs, gs_addr *ret, struct gs_err *err)
{
	size_t n = 0;
	int r;

	memset(ret, 0, w->n * sizeof(*ret));
	for (size_t i = 0; i < w->n; i++)
		if (ptrs[i])
			w->reads[n++] = (struct gs_read){ ptrs[i], &ret[i], sizeof(ret[i]), 0 };
	r = w->rt->mem->readv(w->rt->mem->ctx, w->reads, n, err);
	n = 0;
	for (size_t i = 0; r == 0 && i < w->n; i++)
		if (ptrs[i] && w->reads[n++].result < 0)
			ret[i] = 0;
	return r;
}

static int read_heads(struct work *w, const gs_addr *ptrs, struct gs_err *err)
{
	const struct gs_go_layout *l = &w->rt->facts.layout;
	size_t len = is_map(w->rt) ? (size_t)l->offset[GS_GO_HMAP_BUCKETS] + 8 : 24, n = 0;
	int r;

	for (size_t i = 0; i < w->n; i++)
		if (ptrs[i])
			w->reads[n++] = (struct gs_read){ ptrs[i], w->set[i].head, len, 0 };
	r = w->rt->mem->readv(w->rt->mem->ctx, w->reads, n, err);
	n = 0;
	for (size_t i = 0; r == 0 && i < w->n; i++)
		w->set[i].ok = ptrs[i] && w->reads[n++].result == 0;
	return r;
}

/* Where the array of a set lies and how long it is, from its header. */
static void locate_body(const struct gs_rt *rt, struct set *s)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	uint64_t count;

	if (is_map(rt)) {
		uint8_t b = s->head[l->offset[GS_GO_HMAP_B]];

		count = gs__u64(s->head + l->offset[GS_GO_HMAP_COUNT]);
		s->body_at = gs__u64(s->head + l->offset[GS_GO_HMAP_BUCKETS]);
		s->body_len = b <= 4 ? BMAP_SIZE << b : 0;
	} else {
		s->body_at = gs__u64(s->head);
		count = gs__u64(s->head + 8);
		s->body_len = (uint32_t)(count <= GS_RT_MAX_LABELS ? count : GS_RT_MAX_LABELS) * 32;
	}
	s->n = (uint32_t)(count <= GS_RT_MAX_LABELS ? count : GS_RT_MAX_LABELS);
	s->ok = s->n > 0 && s->body_len > 0 && s->body_at;
}

static int read_bodies(struct work *w, struct gs_err *err)
{
	size_t n = 0;
	int r;

	for (size_t i = 0; i < w->n; i++) {
		struct set *s = &w->set[i];

		if (s->ok)
			locate_body(w->rt, s);
		if (!s->ok)
			continue;
		s->body = gs_arena_alloc(w->arena, s->body_len);
		if (!s->body)
			return gs_fail(err, -ENOMEM, 0, "no memory for profiler labels");
		w->reads[n++] = (struct gs_read){ s->body_at, s->body, s->body_len, 0 };
	}
	r = w->rt->mem->readv(w->rt->mem->ctx, w->reads, n, err);
	n = 0;
	for (size_t i = 0; r == 0 && i < w->n; i++)
		if (w->set[i].ok)
			w->set[i].ok = w->reads[n++].result == 0;
	return r;
}

/* The string headers of one pair: {key ptr, key len, value ptr, value len}. */
struct pair {
	gs_addr key, value;
	uint64_t key_len, value_len;
};

static uint32_t pairs_of_slice(const struct set *s, struct pair *ret)
{
	for (uint32_t i = 0; i < s->n; i++) {
		const uint8_t *p = s->body + i * 32u;

		ret[i] = (struct pair){ gs__u64(p), gs__u64(p + 16), gs__u64(p + 8),
					gs__u64(p + 24) };
	}
	return s->n;
}

/* Buckets with their overflow chains; a set of labels is small, so chains are read one by one. */
static uint32_t pairs_of_map(const struct gs_rt *rt, const struct set *s, struct pair *ret)
{
	uint8_t extra[BMAP_SIZE];
	uint32_t n = 0, hops = 0;

	for (uint32_t b = 0; b < s->body_len / BMAP_SIZE; b++) {
		const uint8_t *p = s->body + b * BMAP_SIZE;

		while (p) {
			gs_addr overflow = gs__u64(p + BMAP_SIZE - 8);

			for (uint32_t i = 0; i < 8 && n < s->n; i++) {
				const uint8_t *k = p + BMAP_KEYS + 16 * i;
				const uint8_t *v = p + BMAP_VALUES + 16 * i;

				if (p[i] < 5) /* empty or moved: runtime/map.go minTopHash */
					continue;
				ret[n++] = (struct pair){ gs__u64(k), gs__u64(v), gs__u64(k + 8),
							  gs__u64(v + 8) };
			}
			p = NULL;
			if (overflow && hops++ < 16 &&
			    gs_memory_read(rt->mem, overflow, extra, sizeof(extra), NULL) == 0)
				p = extra;
		}
	}
	return n;
}

static int read_strings(struct work *w, struct gs__labels *ret, struct gs_err *err)
{
	struct pair pairs[GS_RT_MAX_LABELS];
	struct gs_read reads[2 * GS_RT_MAX_LABELS];

	for (size_t i = 0; i < w->n; i++) {
		const struct set *s = &w->set[i];
		struct gs_label *label;
		uint32_t n, n_reads = 0, kept = 0;
		int r;

		if (!s->ok)
			continue;
		n = is_map(w->rt) ? pairs_of_map(w->rt, s, pairs) : pairs_of_slice(s, pairs);
		label = gs_arena_array(w->arena, n, sizeof(*label));
		if (!label)
			return gs_fail(err, -ENOMEM, 0, "no memory for profiler labels");
		for (uint32_t k = 0; k < n; k++) {
			const struct pair *p = &pairs[k];
			char *text;

			if (p->key_len > GS_RT_MAX_LABEL_BYTES ||
			    p->value_len > GS_RT_MAX_LABEL_BYTES)
				continue;
			text = gs_arena_alloc(w->arena, p->key_len + p->value_len + 1);
			if (!text)
				return gs_fail(err, -ENOMEM, 0, "no memory for profiler labels");
			label[kept++] = (struct gs_label){ text, text + p->key_len,
							   (uint32_t)p->key_len,
							   (uint32_t)p->value_len };
			reads[n_reads++] = (struct gs_read){ p->key, text, p->key_len, 0 };
			reads[n_reads++] =
				(struct gs_read){ p->value, text + p->key_len, p->value_len, 0 };
		}
		r = w->rt->mem->readv(w->rt->mem->ctx, reads, n_reads, err);
		if (r < 0)
			return r;
		for (uint32_t k = 0; k < n_reads; k++)
			if (reads[k].result < 0)
				kept = 0; /* half a set would be a wrong set */
		ret[i] = (struct gs__labels){ label, kept };
	}
	return 0;
}

int gs__labels_read(struct gs_rt *rt, const gs_addr *ptrs, size_t n, struct gs_arena *arena,
		    struct gs__labels *ret, struct gs_err *err)
{
	struct work w = { .rt = rt, .arena = arena, .n = n };
	gs_addr *maps;
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		any |= ptrs[i] != 0;
	if (!any)
		return 0;
	if (is_map(rt) && !map_layout_usable(&rt->facts.layout))
		return 0;
	w.set = gs_arena_array(arena, n, sizeof(*w.set));
	w.reads = gs_arena_array(arena, n, sizeof(*w.reads));
	if (!w.set || !w.reads)
		return gs_fail(err, -ENOMEM, 0, "no memory for profiler labels");
	if (is_map(rt)) {
		maps = gs_arena_array(arena, n, sizeof(*maps));
		if (!maps)
			return gs_fail(err, -ENOMEM, 0, "no memory for profiler labels");
		r = follow_maps(&w, ptrs, maps, err);
		ptrs = maps;
	}
	if (r == 0)
		r = read_heads(&w, ptrs, err);
	if (r == 0)
		r = read_bodies(&w, err);
	return r < 0 ? r : read_strings(&w, ret, err);
}
