/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Who made memory grow, and who gave it back, from events: mapping calls, and pages that were touched for the first time (one of many
 * page faults). What an address was and is, and whether its pages are resident, only the two looks tell; so until the
 * second one it is kept who mapped each piece of address space last, and who gave each piece back last (mem_ranges.c). A
 * piece may have both, an old owner who gave it back and a new one who mapped it.
 *
 * What was both mapped and given back while watching is in neither look and counts for nobody.
 */
#include "analysis/mem_growth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/mem_ranges.h"
#include "base/arena.h"
#include "base/hash.h"

enum {
	DOERS_MAX = 1 << 16, /* slots of those who call */
	TOUCHED_MAX = 1 << 16,
	GROWERS_MAX = 1 << 16,
	LOADERS_MAX = 256,   /* threads that are in dlopen at once */
	PATHS_MAX = 1 << 20, /* bytes of names of what was opened */
	KERNEL_PAGE = 4096,
};
/* Page faults of one stack within so much address space count together: an arena of the Go heap, and of malloc. */
#define BLOCK_SHIFT 26

/* A stack that does one thing. */
struct doer {
	const char *what,
		*detail; /* constants or of the arena, so that they are compared as pointers; what NULL: an empty slot */
	uint64_t goid, calls, asked_bytes;
	gs_addr last; /* what it was asked for last */
	uint32_t stack;
	uint32_t growers; /* made of it */
};

/* A thread in dlopen: what it maps then is for the library. */
struct loader {
	int32_t tid;
	uint32_t doer; /* 0: not any more */
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

/* Of the kernel's interface (include/uapi/linux/mman.h, asm-generic/mman-common.h), the same on both CPUs. */
#define MAP_FIXED 0x10u
static const struct advice {
	const char *name;
	uint32_t number;
	bool gives_back;
} advices[] = {
	{ "MADV_DONTNEED", 4, true },         { "MADV_FREE", 8, true },
	{ "MADV_REMOVE", 9, true },           { "MADV_HUGEPAGE", 14, false },
	{ "MADV_NOHUGEPAGE", 15, false },     { "MADV_PAGEOUT", 21, true },
	{ "MADV_POPULATE_READ", 22, false },  { "MADV_POPULATE_WRITE", 23, false },
	{ "MADV_DONTNEED_LOCKED", 24, true }, { "MADV_COLLAPSE", 25, false },
};

static const char by_mmap[] = "mmap", by_munmap[] = "munmap", by_mremap[] = "mremap",
		  by_brk[] = "brk";
static const char by_madvise[] = "madvise", by_dlopen[] = "dlopen", by_faults[] = "page faults";

struct gs_memory_growth {
	struct gs_event_source *source;
	const struct call_numbers *call;
	struct gs__ranges made, returned; /* who: number of a doer + 1 */
	struct doer *doer;                /* hash table */
	struct touched *touched;
	struct loader loader[LOADERS_MAX];
	uint64_t at; /* of the event */
	uint32_t n_doers, n_touched, n_loaders;
	uint64_t dropped;       /* stacks and touches without a place */
	gs_addr brk;            /* the end of the C heap, 0: not seen yet */
	struct gs_arena *paths; /* of what was opened */
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
		g->doer = gs_array_new(DOERS_MAX, sizeof(*g->doer));
		g->touched = gs_array_new(TOUCHED_MAX, sizeof(*g->touched));
		g->paths = gs_arena_new(PATHS_MAX);
	}
	if (!g || !g->doer || !g->touched || !g->paths) {
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
	gs__ranges_deinit(&g->made);
	gs__ranges_deinit(&g->returned);
	free(g->doer);
	free(g->touched);
	gs_arena_free(g->paths);
	gs_arena_free(g->arena);
	free(g);
	return NULL;
}

/* ---- calls ---- */

static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + KERNEL_PAGE - 1) & ~(uint64_t)(KERNEL_PAGE - 1);
}

/* Number + 1 of who does it; 0 if there are too many. */
static uint32_t doer_of(struct gs_memory_growth *g, uint32_t stack, const char *what,
			const char *detail)
{
	uint64_t h = gs_hash_u64(gs_hash_u64(stack, (uint64_t)(uintptr_t)what),
				 (uint64_t)(uintptr_t)detail);

	for (uint32_t i = (uint32_t)h & (DOERS_MAX - 1);; i = (i + 1) & (DOERS_MAX - 1)) {
		struct doer *d = &g->doer[i];

		if (d->what == what && d->detail == detail && d->stack == stack)
			return i + 1;
		if (d->what)
			continue;
		if (g->n_doers >= DOERS_MAX / 4 * 3) {
			g->dropped++;
			return 0;
		}
		g->n_doers++;
		*d = (struct doer){ .what = what, .detail = detail, .stack = stack };
		return i + 1;
	}
}

static uint32_t called(struct gs_memory_growth *g, const struct gs_event *e, const char *what,
		       const char *detail, gs_addr start, uint64_t bytes)
{
	uint32_t who = doer_of(g, e->stack, what, detail);
	struct doer *d = who ? &g->doer[who - 1] : NULL;

	if (!d)
		return 0;
	d->calls++;
	d->asked_bytes += bytes;
	d->last = start;
	if (e->goid)
		d->goid = e->goid;
	return who;
}

static void made(struct gs_memory_growth *g, gs_addr start, gs_addr end, uint32_t who)
{
	gs__ranges_add(&g->made, start, end, who, g->at);
}

static void returned(struct gs_memory_growth *g, gs_addr start, gs_addr end, uint32_t who)
{
	gs__ranges_add(&g->returned, start, end, who, g->at);
}

static struct loader *loader_of(struct gs_memory_growth *g, int32_t tid)
{
	for (uint32_t i = 0; i < g->n_loaders; i++)
		if (g->loader[i].tid == tid)
			return &g->loader[i];
	return NULL;
}

static void take_dlopen(struct gs_memory_growth *g, const struct gs_event *e)
{
	struct loader *l = loader_of(g, e->tid);
	const char *path = NULL;

	if (!l && g->n_loaders == LOADERS_MAX)
		l = &g->loader[g->at % LOADERS_MAX];
	if (!l)
		l = &g->loader[g->n_loaders++];
	for (uint32_t i = 0; i < DOERS_MAX && !path; i++)
		if (g->doer[i].what == by_dlopen && g->doer[i].detail &&
		    strlen(g->doer[i].detail) == e->dlopen.path_len &&
		    memcmp(g->doer[i].detail, e->dlopen.path, e->dlopen.path_len) == 0)
			path = g->doer[i].detail;
	if (!path && e->dlopen.path_len)
		path = gs_arena_strndup(g->paths, e->dlopen.path, e->dlopen.path_len);
	*l = (struct loader){ .tid = e->tid, .doer = called(g, e, by_dlopen, path, 0, 0) };
}

/* The thread is in Go code, or in code that works for the runtime. */
static bool in_go(struct gs_memory_growth *g, const struct gs_event *e)
{
	const struct gs_stack *st = g->source->stack(g->source, e->stack);

	return st && st->n_frames &&
	       (!(st->frames[0].flags & GS_FRAME_FOREIGN) || gs__mem_runtime_function(st));
}

/*
 * A mapping on behalf of dlopen: the dynamic linker maps files, and memory in places that it has chosen. The first mapping
 * that is made for another goroutine or for the runtime says that dlopen is over.
 */
static uint32_t loading(struct gs_memory_growth *g, const struct gs_event *e, gs_addr start,
			uint64_t bytes)
{
	struct loader *l = g->n_loaders ? loader_of(g, e->tid) : NULL;
	bool file = (int32_t)e->map.arg[4] >= 0, placed = e->map.arg[3] & MAP_FIXED;
	struct doer *d;

	if (!l || !l->doer)
		return 0;
	d = &g->doer[l->doer - 1];
	if (e->goid != d->goid || in_go(g, e))
		l->doer = 0;
	if (!l->doer || (!file && !placed))
		return 0;
	d->asked_bytes += placed ? 0 : bytes;
	d->last = start;
	return l->doer;
}

static void take_mmap(struct gs_memory_growth *g, const struct gs_event *e)
{
	gs_addr start = (gs_addr)e->map.result;
	uint64_t bytes = whole_pages(e->map.arg[1]);
	uint32_t who;

	if (bytes == 0 || start + bytes < start)
		return;
	who = loading(g, e, start, bytes);
	if (!who)
		who = called(g, e, by_mmap, NULL, start, bytes);
	if (e->map.arg[3] & MAP_FIXED)
		returned(g, start, start + bytes, who);
	made(g, start, start + bytes, who);
}

static void take_munmap(struct gs_memory_growth *g, const struct gs_event *e)
{
	gs_addr start = e->map.arg[0];
	uint64_t bytes = whole_pages(e->map.arg[1]);

	if (bytes == 0 || start + bytes < start)
		return;
	returned(g, start, start + bytes, called(g, e, by_munmap, NULL, start, bytes));
	made(g, start, start + bytes, 0);
}

/* What moves was given back in one place and made in another, by the same stack: its sum is the difference. */
static void take_mremap(struct gs_memory_growth *g, const struct gs_event *e)
{
	gs_addr from = e->map.arg[0], to = (gs_addr)e->map.result;
	uint64_t before = whole_pages(e->map.arg[1]), after = whole_pages(e->map.arg[2]);
	uint32_t who;

	if (from + before < from || to + after < to)
		return;
	who = called(g, e, by_mremap, NULL, to, after > before ? after - before : before - after);
	if (from != to) {
		returned(g, from, from + before, who);
		made(g, from, from + before, 0);
		made(g, to, to + after, who);
	} else if (after > before) {
		made(g, to + before, to + after, who);
	} else {
		returned(g, from + after, from + before, who);
		made(g, from + after, from + before, 0);
	}
}

static void take_brk(struct gs_memory_growth *g, const struct gs_event *e)
{
	gs_addr end = (gs_addr)e->map.result;

	if (g->brk && end > g->brk) {
		made(g, g->brk, whole_pages(end), called(g, e, by_brk, NULL, g->brk, end - g->brk));
	} else if (g->brk && end < g->brk) {
		end = whole_pages(end);
		returned(g, end, g->brk, called(g, e, by_brk, NULL, end, g->brk - end));
		made(g, end, g->brk, 0);
	}
	g->brk = whole_pages((gs_addr)e->map.result);
}

static void take_madvise(struct gs_memory_growth *g, const struct gs_event *e)
{
	gs_addr start = e->map.arg[0];
	uint64_t bytes = whole_pages(e->map.arg[1]);

	if (start + bytes < start)
		return;
	for (size_t i = 0; i < GS_ARRAY_SIZE(advices); i++) {
		uint32_t who;

		if (advices[i].number != e->map.arg[2])
			continue;
		who = called(g, e, by_madvise, advices[i].name, start, bytes);
		if (advices[i].gives_back)
			returned(g, start, start + bytes, who);
		return;
	}
}

static void take_map(struct gs_memory_growth *g, const struct gs_event *e)
{
	const struct call_numbers *c = g->call;

	if (e->map.result < 0 && e->map.result > -4096)
		return; /* refused */
	if (e->map.syscall == c->mmap)
		take_mmap(g, e);
	else if (e->map.syscall == c->munmap)
		take_munmap(g, e);
	else if (e->map.syscall == c->mremap)
		take_mremap(g, e);
	else if (e->map.syscall == c->brk)
		take_brk(g, e);
	else if (e->map.syscall == c->madvise)
		take_madvise(g, e);
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
		g->at++;
		if (e[i].kind == GS_EV_MAP)
			take_map(g, &e[i]);
		else if (e[i].kind == GS_EV_DLOPEN)
			take_dlopen(g, &e[i]);
		else if (e[i].kind == GS_EV_PAGE_FAULT)
			take_fault(g, &e[i]);
	}
	return 0;
}

/* ---- the answer ---- */

/* Growers by class, stack and what they do, while they are added up. */
struct sums {
	struct gs_memory_growth *g;
	const struct gs_memory_view *view;
	struct gs_mem_grower *v;
	uint32_t *slot; /* number of an element of @v plus one; 0: empty */
	uint32_t n, n_slots, cap;
};

static struct gs_mem_grower *sum_of(struct sums *s, enum gs_mem_class_id class, const char *what,
				    const char *detail, uint32_t stack_id)
{
	const struct gs_stack *stack = s->g->source->stack(s->g->source, stack_id);
	uint64_t h = gs_hash_u64(gs_hash_u64((uint64_t) class, stack ? stack->hash : 0),
				 (uint64_t)(uintptr_t)what ^ (uint64_t)(uintptr_t)detail);
	uint32_t i = (uint32_t)h & (s->n_slots - 1);

	for (; s->slot[i]; i = (i + 1) & (s->n_slots - 1)) {
		struct gs_mem_grower *v = &s->v[s->slot[i] - 1];

		if (v->class == class && v->stack == stack && v->what == what &&
		    v->detail == detail)
			return v;
	}
	if (s->n == s->cap)
		return NULL;
	s->slot[i] = ++s->n;
	s->v[s->n - 1] = (struct gs_mem_grower){
		.class = class,
		.what = what,
		.detail = detail,
		.stack = stack,
		.runtime = what == by_faults ? NULL : gs__mem_runtime_function(stack),
		.cause = what == by_faults ? NULL : gs__mem_cause(stack),
	};
	return &s->v[s->n - 1];
}

static void add(struct gs_mem_grower *v, int64_t bytes, uint64_t count, uint64_t goid,
		enum gs_mem_how how)
{
	if (!v)
		return;
	v->bytes += bytes;
	v->count += count;
	v->how = how > v->how ? how : v->how;
	if (goid)
		v->goid = goid;
}

/* One of several doers with the same stack in words may have it by another number: each is asked once a class. */
static void add_doer(struct sums *s, struct doer *d, enum gs_mem_class_id class, int64_t bytes,
		     uint64_t count, enum gs_mem_how how)
{
	struct gs_mem_grower *v = sum_of(s, class, d->what, d->detail, d->stack);

	add(v, bytes, count, d->goid, how);
	if (v && v->asked_bytes < d->asked_bytes)
		v->asked_bytes = d->asked_bytes;
	d->growers++;
}

/* What is there of what was mapped, by class. */
static void add_made(struct sums *s, const struct gs__range *r)
{
	const struct gs_memory_view *view = s->view;
	struct doer *d = &s->g->doer[r->who - 1];
	uint64_t count = r->calls;
	gs_addr end;

	for (gs_addr at = r->start; at < r->end; at = end) {
		enum gs_mem_class_id class = view->class_at(view->ctx, at, &end);
		uint64_t bytes;

		end = end <= at || end > r->end ? r->end : end;
		if (class == GS_MEM_CLASS_COUNT)
			continue;
		bytes = view->resident(view->ctx, at, end);
		add_doer(s, d, class, (int64_t)bytes, count,
			 view->exact || bytes == end - at ? GS_MEM_READ : GS_MEM_DERIVED);
		count = 0;
	}
}

static enum gs_mem_class_id returned_class(enum gs_mem_class_id c)
{
	return c <= GS_MEM_HEAP_RESERVED ? GS_MEM_HEAP_RETURNED : c;
}

/* What was resident of [start, end) and, unless something new is there, is not any more. */
static void add_returned(struct sums *s, const struct gs__range *r, gs_addr start, gs_addr stop,
			 bool anew, uint64_t *count)
{
	const struct gs_memory_view *view = s->view;
	struct doer *d = &s->g->doer[r->who - 1];
	gs_addr end;

	for (gs_addr at = start; at < stop; at = end) {
		enum gs_mem_class_id class = view->class_before(view->ctx, at, &end);
		uint64_t bytes;

		end = end <= at || end > stop ? stop : end;
		bytes = class == GS_MEM_CLASS_COUNT ? 0 : view->gone(view->ctx, at, end, anew);
		if (bytes == 0)
			continue;
		add_doer(s, d, returned_class(class), -(int64_t)bytes, *count,
			 view->exact ? GS_MEM_READ : GS_MEM_ESTIMATED);
		*count = 0;
	}
}

static void add_ranges(struct sums *s)
{
	struct gs__ranges *made = &s->g->made, *back = &s->g->returned;
	uint32_t k = 0;

	gs__ranges_settle(made);
	gs__ranges_settle(back);
	for (uint32_t i = 0; i < made->n; i++)
		add_made(s, &made->v[i]);
	for (uint32_t i = 0; i < back->n; i++) {
		const struct gs__range *r = &back->v[i];
		uint64_t count = r->calls;
		gs_addr at = r->start;

		while (k < made->n && made->v[k].end <= at)
			k++;
		for (uint32_t j = k; at < r->end; j++) {
			const struct gs__range *m =
				j < made->n && made->v[j].start < r->end ? &made->v[j] : NULL;
			gs_addr begin = m && m->start > at ? m->start : at, end;

			if (!m || m->start > at)
				add_returned(s, r, at, m ? begin : r->end, false, &count);
			if (!m)
				break;
			end = m->end < r->end ? m->end : r->end;
			add_returned(s, r, begin, end, m->at >= r->at, &count);
			at = end;
		}
	}
}

/* Advice, and what was only reserved, has no bytes but says something. */
static void add_silent(struct sums *s)
{
	for (uint32_t i = 0; i < DOERS_MAX; i++) {
		struct doer *d = &s->g->doer[i];
		const struct gs_stack *stack;
		const char *function;
		enum gs_mem_class_id class;
		gs_addr end;

		if (!d->what || d->growers)
			continue;
		stack = s->g->source->stack(s->g->source, d->stack);
		function = gs__mem_runtime_function(stack);
		if (d->what != by_madvise && d->what != by_dlopen && !function)
			continue;
		class = s->view->class_at(s->view->ctx, d->last, &end);
		if (d->what == by_dlopen)
			class = GS_MEM_LIBRARIES;
		else if (function && (class == GS_MEM_CLASS_COUNT || d->what != by_madvise))
			class = class != GS_MEM_CLASS_COUNT              ? class
				: strstr(function, "sysReserve") != NULL ? GS_MEM_HEAP_RESERVED
									 : GS_MEM_RT_OTHER;
		else if (class == GS_MEM_CLASS_COUNT)
			continue;
		add_doer(s, d, class, 0, d->calls, GS_MEM_READ);
	}
}

static void add_touches(struct sums *s)
{
	for (uint32_t i = 0; i < TOUCHED_MAX; i++) {
		const struct touched *t = &s->g->touched[i];
		enum gs_mem_class_id class;
		gs_addr end;

		if (t->events == 0)
			continue;
		class = s->view->class_at(s->view->ctx, t->last, &end);
		if (class == GS_MEM_CLASS_COUNT)
			continue; /* gone again */
		add(sum_of(s, class, by_faults, NULL, t->stack), (int64_t)(t->faults * KERNEL_PAGE),
		    t->faults, t->goid, GS_MEM_ESTIMATED);
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
	struct sums s = { .g = g, .view = view, .cap = GROWERS_MAX, .n_slots = 2 * GROWERS_MAX };

	gs_arena_free(g->arena);
	g->arena = gs_arena_new(0);
	if (g->arena) {
		s.v = gs_arena_array(g->arena, s.cap, sizeof(*s.v));
		s.slot = gs_arena_array(g->arena, s.n_slots, sizeof(*s.slot));
	}
	if (!s.v || !s.slot)
		return gs_fail(err, -ENOMEM, 0, "adding up who mapped memory: out of memory");
	add_ranges(&s);
	add_silent(&s);
	add_touches(&s);
	qsort(s.v, s.n, sizeof(*s.v), largest_first);
	gs_incomplete_add(inc, "mappings_dropped",
			  g->dropped + g->made.dropped + g->returned.dropped,
			  "more mappings or stacks at once than are kept (%u)", GS__RANGES_KEPT);
	*ret = s.v;
	*ret_n = s.n;
	return 0;
}
