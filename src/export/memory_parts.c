/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The memory of a process cut into parts with one owner each, for formats that are made of such: folded stacks, pprof, treemaps.
 * A class is cut into its items, or where the program keeps a memory profile into allocation sites; what none of them
 * says is the rest of the class. Sites are scaled samples of the last collection, so together they may say more
 * than is resident: then each counts in proportion.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "export/memory_private.h"

/* Never beyond what is left, so that no sum overflows and none is larger than its class. */
static uint64_t take(uint64_t *left, uint64_t want)
{
	uint64_t n = want < *left ? want : *left;

	*left -= n;
	return n;
}

struct parts {
	const struct gs_mem_result *r;
	struct gs__mem_part *part;
	uint32_t n;
};

static void add(struct parts *p, const struct gs__mem_part *part)
{
	if (part->weight || part->bytes)
		p->part[p->n++] = *part;
}

static bool add_sites(struct parts *p, enum gs_mem_class_id c, uint64_t *left)
{
	const struct gs_mem_result *r = p->r;
	uint64_t whole = *left;
	double sum = 0;

	for (uint32_t i = 0; i < r->n_sites; i++)
		if (r->sites[i].class == c && r->sites[i].bytes > 0)
			sum += (double)r->sites[i].bytes;
	if (sum <= 0)
		return false;
	for (uint32_t i = 0; i < r->n_sites; i++) {
		const struct gs_mem_grower *s = &r->sites[i];
		double share = sum > (double)whole ? (double)whole / sum : 1;
		uint64_t n;

		if (s->class != c || s->bytes <= 0)
			continue;
		n = take(left, (uint64_t)((double)s->bytes * share));
		add(p, &(struct gs__mem_part){ .class = c, .site = s, .bytes = n, .weight = n });
	}
	return true;
}

static void add_items(struct parts *p, enum gs_mem_class_id c, uint64_t *left, uint64_t *left_bytes,
		      uint64_t *left_huge)
{
	const struct gs_mem_result *r = p->r;

	for (uint32_t i = 0; i < r->n_items; i++) {
		const struct gs_mem_item *x = &r->items[i];
		struct gs__mem_part part = { .class = c, .item = x };

		if (x->class != c)
			continue;
		part.weight = take(left, r->kernel_view ? x->resident_bytes : x->bytes);
		part.bytes = take(left_bytes, x->bytes);
		part.huge_bytes = take(left_huge, x->huge_bytes);
		add(p, &part);
	}
}

static void add_class(struct parts *p, enum gs_mem_class_id c)
{
	const struct gs_mem_class *x = &p->r->class[c];
	uint64_t left = gs__mem_class_weight(p->r, c), bytes = x->bytes, huge = x->huge_bytes;
	uint64_t before = left;

	if (add_sites(p, c, &left))
		bytes -= before - left < bytes ? before - left : bytes;
	else
		add_items(p, c, &left, &bytes, &huge);
	add(p, &(struct gs__mem_part){
		       .class = c, .bytes = bytes, .weight = left, .huge_bytes = huge });
}

void gs__mem_class_order(const struct gs_mem_result *r,
			 enum gs_mem_class_id ret[GS_MEM_CLASS_COUNT])
{
	for (int i = 0; i < GS_MEM_CLASS_COUNT; i++) {
		enum gs_mem_class_id c = (enum gs_mem_class_id)i;
		int k = i;

		for (; k > 0; k--) {
			enum gs_mem_class_id b = ret[k - 1];
			uint64_t wb = gs__mem_class_weight(r, b), wc = gs__mem_class_weight(r, c);

			if (wb > wc || (wb == wc && r->class[b].bytes >= r->class[c].bytes))
				break;
			ret[k] = b;
		}
		ret[k] = c;
	}
}

static int by_weight(const void *a, const void *b)
{
	const struct gs__mem_part *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->item < y->item ? -1 : x->item > y->item ? 1 : x->site < y->site ? -1 : 1;
}

int gs__mem_parts(const struct gs_mem_result *r, struct gs__mem_part **ret, uint32_t *ret_n,
		  struct gs_err *err)
{
	uint64_t most = (uint64_t)r->n_items + r->n_sites + GS_MEM_CLASS_COUNT;
	struct parts p = { .r = r };
	enum gs_mem_class_id order[GS_MEM_CLASS_COUNT];

	p.part = gs_array_new(most, sizeof(*p.part));
	if (!p.part)
		return gs_fail(err, -ENOMEM, 0, "cannot write the result: out of memory");
	gs__mem_class_order(r, order);
	for (int i = 0; i < GS_MEM_CLASS_COUNT; i++) {
		uint32_t from = p.n;

		add_class(&p, order[i]);
		qsort(p.part + from, p.n - from, sizeof(*p.part), by_weight);
	}
	*ret = p.part;
	*ret_n = p.n;
	return 0;
}
