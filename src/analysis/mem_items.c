/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Mappings worth a line of their own below a class. Those that are called alike count as one: a program may have
 * 100,000 mappings of 64 KB, and then one line says so. Names are foreign and kept raw.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/mem_private.h"
#include "base/hash.h"

#define ITEMS_MAX (1u << 18)

const char *gs__mem_size(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	unsigned int u = 0;

	for (; v >= 1023.95 && u + 1 < GS_ARRAY_SIZE(units); u++)
		v /= 1024;
	if (u == 0 || v >= 99.95 || v == (double)(uint64_t)v)
		snprintf(buf, size, "%.0f %s", v, units[u]);
	else
		snprintf(buf, size, "%.1f %s", v, units[u]);
	return buf;
}

static bool grow(struct gs__items *t)
{
	uint32_t cap = t->cap ? t->cap * 2 : 256, mask = cap * 2 - 1;
	struct gs_mem_item *v;
	uint32_t *slot;

	if (cap > ITEMS_MAX)
		return false;
	v = (struct gs_mem_item *)gs_array_resize(t->v, cap, sizeof(*v));
	if (!v)
		return false;
	t->v = v;
	slot = (uint32_t *)gs_array_new(cap * 2, sizeof(*slot));
	if (!slot)
		return false;
	for (uint32_t i = 0; i < t->n; i++) {
		uint64_t h = gs_hash_bytes(v[i].class, v[i].name, strlen(v[i].name));

		while (slot[h & mask])
			h++;
		slot[h & mask] = i + 1;
	}
	free(t->slot);
	t->slot = slot;
	t->n_slots = cap * 2;
	t->cap = cap;
	return true;
}

uint32_t gs__item(struct gs_memory_look *l, enum gs_mem_class_id class, const char *name,
		  const char *note, gs_addr start)
{
	struct gs__items *t = &l->items;
	size_t len = strlen(name);
	uint64_t h = gs_hash_bytes(class, name, len);
	struct gs_mem_item *it;
	char *copy;

	if (t->done)
		return 0;
	if (t->n == t->cap && !grow(t)) {
		t->full = true;
		return 0;
	}
	for (; t->slot[h & (t->n_slots - 1)]; h++) {
		uint32_t i = t->slot[h & (t->n_slots - 1)];

		it = &t->v[i - 1];
		if (it->class == class && strcmp(it->name, name) == 0) {
			it->note = note ? note : it->note;
			return i;
		}
	}
	copy = gs_arena_strndup(l->arena, name, len);
	if (!copy) {
		t->full = true;
		return 0;
	}
	it = &t->v[t->n++];
	*it = (struct gs_mem_item){ .class = class, .name = copy, .start = start, .note = note };
	t->slot[h & (t->n_slots - 1)] = t->n;
	return t->n;
}

void gs__item_count(struct gs_memory_look *l, uint32_t item, uint64_t bytes, uint64_t resident,
		    uint64_t huge)
{
	struct gs_mem_item *it;

	if (item == 0)
		return;
	it = &l->items.v[item - 1];
	it->bytes += bytes;
	it->resident_bytes += resident;
	it->huge_bytes += huge;
}

void gs__item_more(struct gs_memory_look *l, uint32_t item)
{
	if (item)
		l->items.v[item - 1].count++;
}

/* The same file more than once. */
static void note_repeated(struct gs_memory_look *l, struct gs_mem_item *it)
{
	char note[64];

	if (it->note || it->count < 2 || it->class < GS_MEM_PLUGINS ||
	    it->class > GS_MEM_LIBRARY_RESIDUE)
		return;
	snprintf(note, sizeof(note), "loaded %u times", it->count);
	it->note = gs_arena_strndup(l->arena, note, strlen(note));
}

static int by_class_and_size(const void *a, const void *b)
{
	const struct gs_mem_item *x = (const struct gs_mem_item *)a;
	const struct gs_mem_item *y = (const struct gs_mem_item *)b;

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	if (x->resident_bytes != y->resident_bytes)
		return x->resident_bytes > y->resident_bytes ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return (x->start > y->start) - (x->start < y->start);
}

void gs__items_finish(struct gs_memory_look *l)
{
	struct gs__items *t = &l->items;
	uint32_t max = l->options.items ? l->options.items : 20, kept = 0, of_class = 0;

	if (t->full)
		gs_incomplete_add(&l->inc, "items_dropped", 1,
				  "more kinds of mappings than are listed (%u)", ITEMS_MAX);
	t->done = true;
	if (t->n == 0)
		return;
	qsort(t->v, t->n, sizeof(*t->v), by_class_and_size);
	for (uint32_t i = 0; i < t->n; i++) {
		of_class = i && t->v[i].class == t->v[i - 1].class ? of_class + 1 : 0;
		if (of_class < max && (t->v[i].bytes || t->v[i].resident_bytes))
			t->v[kept++] = t->v[i];
	}
	for (uint32_t i = 0; i < kept; i++) {
		note_repeated(l, &t->v[i]);
	}
	t->n = kept;
	l->r.items = t->v;
	l->r.n_items = kept;
}
