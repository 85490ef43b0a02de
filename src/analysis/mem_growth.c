/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Who made memory grow, from events: mappings that were made while watching and are still there, memory that was given
 * back, and pages that were touched for the first time (one of many page faults). Which class an address belongs
 * to is known only at the end, from the second look, so until then mappings are kept by address, and page faults
 * by stack and by the block of address space they were in.
 */
#include "analysis/mem_growth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"

enum {
	MAPPINGS_MAX = 1 << 17, /* slots of those kept by address */
	MAPPINGS_FULL = MAPPINGS_MAX / 4 * 3,
	TOUCHED_MAX = 1 << 16,
	GROWERS_MAX = 1 << 16,
	KERNEL_PAGE = 4096,
};
/* Page faults of one stack within so much address space count together: an arena of the Go heap, and of malloc. */
#define BLOCK_SHIFT 26

/* A mapping that was made. */
struct mapping {
	gs_addr start, end; /* end 0: an empty slot */
	uint64_t goid;
	uint32_t stack;
	bool gone;
};

/* First touches by a stack in a block. */
struct touched {
	uint64_t block;
	gs_addr last;
	uint64_t goid, faults, events; /* events 0: an empty slot */
	uint32_t stack;
};

struct call_numbers {
	int32_t mmap, munmap, mremap, madvise, brk;
};
static const struct call_numbers amd64_calls = { 9, 11, 25, 28, 12 };
static const struct call_numbers arm64_calls = { 222, 215, 216, 233, 214 };

struct gs_memory_growth {
	struct gs_event_source *source;
	const struct call_numbers *call;
	struct mapping *mapping;
	struct touched *touched;
	uint32_t n_mappings, n_touched;
	uint64_t dropped;       /* mappings and touches without a place */
	bool full;              /* of mappings that are there: sweeping does not help any more */
	gs_addr brk;            /* the end of the C heap, 0: not seen yet */
	struct gs_arena *arena; /* of the list of growers */
};

int gs_memory_growth_new(struct gs_event_source *s, struct gs_memory_growth **ret,
			 struct gs_err *err)
{
	struct gs_memory_growth *g = calloc(1, sizeof(*g));

	if (g) {
		g->source = s;
		g->call = s->goarch && strcmp(s->goarch, "arm64") == 0 ? &arm64_calls
								       : &amd64_calls;
		g->mapping = gs_array_new(MAPPINGS_MAX, sizeof(*g->mapping));
		g->touched = gs_array_new(TOUCHED_MAX, sizeof(*g->touched));
	}
	if (!g || !g->mapping || !g->touched) {
		gs_memory_growth_free(g);
		return gs_fail(err, -ENOMEM, 0, "watching memory: out of memory");
	}
	*ret = g;
	return 0;
}

struct gs_memory_growth *gs_memory_growth_free(struct gs_memory_growth *g)
{
	if (!g)
		return NULL;
	free(g->mapping);
	free(g->touched);
	gs_arena_free(g->arena);
	free(g);
	return NULL;
}

/* ---- mappings ---- */

/* The slot of the mapping that begins at @start, or the empty one where it would be; NULL when full. */
static struct mapping *mapping_at(struct gs_memory_growth *g, gs_addr start)
{
	uint32_t i = (uint32_t)gs_hash_u64(0, start) & (MAPPINGS_MAX - 1);

	for (uint32_t probes = 0; probes < MAPPINGS_MAX;
	     probes++, i = (i + 1) & (MAPPINGS_MAX - 1)) {
		if (g->mapping[i].end == 0 || g->mapping[i].start == start)
			return &g->mapping[i];
	}
	return NULL;
}

/* Take the mappings that are gone out of the table. */
static void sweep(struct gs_memory_growth *g)
{
	struct mapping *old = g->mapping, *fresh = gs_array_new(MAPPINGS_MAX, sizeof(*fresh));

	if (!fresh)
		return; /* then new ones are dropped, and counted */
	g->mapping = fresh;
	g->n_mappings = 0;
	for (uint32_t i = 0; i < MAPPINGS_MAX; i++) {
		struct mapping *m = old[i].end && !old[i].gone ? mapping_at(g, old[i].start) : NULL;

		if (!m)
			continue;
		*m = old[i];
		g->n_mappings++;
	}
	free(old);
}

static void made(struct gs_memory_growth *g, const struct gs_event *e, gs_addr start,
		 uint64_t bytes)
{
	struct mapping *m;

	bytes = (bytes + KERNEL_PAGE - 1) & ~(uint64_t)(KERNEL_PAGE - 1);
	if (bytes == 0 || start + bytes < start)
		return;
	/* A quarter stays empty, so that looking up stays short. */
	if (g->n_mappings >= MAPPINGS_FULL && !g->full) {
		sweep(g);
		g->full = g->n_mappings >= MAPPINGS_FULL / 2;
	}
	m = mapping_at(g, start);
	if (!m || (m->end == 0 && g->n_mappings >= MAPPINGS_FULL)) {
		g->dropped++;
		return;
	}
	g->n_mappings += m->end == 0;
	*m = (struct mapping){
		.start = start, .end = start + bytes, .goid = e->goid, .stack = e->stack
	};
}

/* What is unmapped only in part stays in the table: the second look tells what is left of it. */
static void unmade(struct gs_memory_growth *g, gs_addr start, uint64_t bytes)
{
	struct mapping *m = mapping_at(g, start);

	if (m && m->end != 0 && start + bytes >= m->end)
		m->gone = true;
}

static void take_map(struct gs_memory_growth *g, const struct gs_event *e)
{
	const struct call_numbers *c = g->call;
	const uint64_t *arg = e->map.arg;
	gs_addr result = (gs_addr)e->map.result;

	if (e->map.result < 0 && e->map.result > -4096)
		return; /* refused */
	if (e->map.syscall == c->mmap) {
		made(g, e, result, arg[1]);
	} else if (e->map.syscall == c->munmap) {
		unmade(g, arg[0], arg[1]);
	} else if (e->map.syscall == c->mremap) {
		unmade(g, arg[0], arg[1]);
		made(g, e, result, arg[2]);
	} else if (e->map.syscall == c->brk) {
		if (g->brk && result > g->brk)
			made(g, e, g->brk, result - g->brk);
		g->brk = result;
	}
}

/* ---- page faults ---- */

static void take_fault(struct gs_memory_growth *g, const struct gs_event *e)
{
	uint64_t block = e->fault.addr >> BLOCK_SHIFT;
	uint32_t i = (uint32_t)gs_hash_u64(e->stack, block) & (TOUCHED_MAX - 1);

	for (uint32_t probes = 0; probes < TOUCHED_MAX; probes++, i = (i + 1) & (TOUCHED_MAX - 1)) {
		struct touched *t = &g->touched[i];

		if (t->events == 0) {
			if (g->n_touched >= TOUCHED_MAX / 4 * 3)
				break;
			g->n_touched++;
			t->block = block;
			t->stack = e->stack;
		}
		if (t->block != block || t->stack != e->stack)
			continue;
		t->last = e->fault.addr;
		t->goid = e->goid ? e->goid : t->goid;
		t->faults += e->fault.period;
		t->events++;
		return;
	}
	g->dropped++;
}

int gs_memory_growth_add(struct gs_memory_growth *g, const struct gs_event *e, size_t n,
			 struct gs_err *err)
{
	(void)err;
	for (size_t i = 0; i < n; i++) {
		if (e[i].kind == GS_EV_MAP)
			take_map(g, &e[i]);
		else if (e[i].kind == GS_EV_PAGE_FAULT)
			take_fault(g, &e[i]);
	}
	return 0;
}

/* ---- the answer ---- */

/* Growers by class, stack and kind, while they are added up. */
struct sums {
	struct gs_memory_growth *g;
	struct gs_mem_grower *v;
	uint32_t *slot; /* number of an element of @v plus one; 0: empty */
	uint32_t n, n_slots, cap;
};

static struct gs_mem_grower *sum_of(struct sums *s, enum gs_mem_class_id class, const char *what,
				    uint32_t stack_id)
{
	const struct gs_stack *stack = s->g->source->stack(s->g->source, stack_id);
	uint64_t h = gs_hash_u64(gs_hash_u64((uint64_t) class, stack ? stack->hash : 0),
				 (uint64_t)what[0]);
	uint32_t i = (uint32_t)h & (s->n_slots - 1);

	for (; s->slot[i]; i = (i + 1) & (s->n_slots - 1)) {
		struct gs_mem_grower *v = &s->v[s->slot[i] - 1];

		if (v->class == class && v->stack == stack && v->what == what)
			return v;
	}
	if (s->n == s->cap)
		return NULL;
	s->slot[i] = ++s->n;
	s->v[s->n - 1] = (struct gs_mem_grower){ .class = class, .what = what, .stack = stack };
	return &s->v[s->n - 1];
}

static void add(struct sums *s, enum gs_mem_class_id class, const char *what, enum gs_mem_how how,
		uint32_t stack, uint64_t bytes, uint64_t count, uint64_t goid)
{
	struct gs_mem_grower *v = sum_of(s, class, what, stack);

	if (!v)
		return;
	v->bytes += (int64_t)bytes;
	v->count += count;
	v->how = how > v->how ? how : v->how;
	if (goid)
		v->goid = goid;
}

static int by_address(const void *a, const void *b)
{
	const struct mapping *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* What is left of mapping @m below @from (an earlier one reached there), by class. @return its end. */
static gs_addr left_of(struct sums *s, const struct mapping *m, gs_addr from,
		       const struct gs_memory_view *view)
{
	static const char mapped[] = "mmap";
	gs_addr at = m->start > from ? m->start : from;
	uint64_t count = 1;

	while (at < m->end) {
		gs_addr end = m->end;
		enum gs_mem_class_id class = view->class_at(view->ctx, at, &end);

		if (end <= at || end > m->end)
			end = m->end;
		if (class != GS_MEM_CLASS_COUNT) {
			uint64_t bytes = view->resident(view->ctx, at, end);

			add(s, class, mapped, bytes == end - at ? GS_MEM_READ : GS_MEM_DERIVED,
			    m->stack, bytes, count, m->goid);
			count = 0;
		}
		at = end;
	}
	return m->end > from ? m->end : from;
}

static void add_mappings(struct sums *s, const struct gs_memory_view *view)
{
	struct mapping *m = s->g->mapping;
	gs_addr reached = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < MAPPINGS_MAX; i++)
		if (m[i].end != 0 && !m[i].gone)
			m[n++] = m[i];
	memset(m + n, 0, (MAPPINGS_MAX - n) * sizeof(*m));
	qsort(m, n, sizeof(*m), by_address);
	for (uint32_t i = 0; i < n; i++)
		reached = left_of(s, &m[i], reached, view);
}

static void add_touches(struct sums *s, const struct gs_memory_view *view)
{
	static const char touched[] = "page faults";

	for (uint32_t i = 0; i < TOUCHED_MAX; i++) {
		const struct touched *t = &s->g->touched[i];
		enum gs_mem_class_id class;
		gs_addr end;

		if (t->events == 0)
			continue;
		class = view->class_at(view->ctx, t->last, &end);
		if (class == GS_MEM_CLASS_COUNT)
			continue; /* gone again */
		add(s, class, touched, GS_MEM_ESTIMATED, t->stack, t->faults * KERNEL_PAGE,
		    t->faults, t->goid);
	}
}

static int largest_first(const void *a, const void *b)
{
	const struct gs_mem_grower *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->class < y->class ? -1 : x->class > y->class;
}

int gs__memory_growers(struct gs_memory_growth *g, const struct gs_memory_view *view,
		       const struct gs_mem_grower **ret, uint32_t *ret_n,
		       struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct sums s = { .g = g, .cap = GROWERS_MAX, .n_slots = 2 * GROWERS_MAX };

	gs_arena_free(g->arena);
	g->arena = gs_arena_new(0);
	if (g->arena) {
		s.v = gs_arena_array(g->arena, s.cap, sizeof(*s.v));
		s.slot = gs_arena_array(g->arena, s.n_slots, sizeof(*s.slot));
	}
	if (!s.v || !s.slot)
		return gs_fail(err, -ENOMEM, 0, "adding up who mapped memory: out of memory");
	add_mappings(&s, view);
	add_touches(&s, view);
	qsort(s.v, s.n, sizeof(*s.v), largest_first);
	gs_incomplete_add(inc, "mappings_dropped", g->dropped,
			  "more mappings or stacks at once than are kept (%d)", MAPPINGS_FULL);
	*ret = s.v;
	*ret_n = s.n;
	return 0;
}
