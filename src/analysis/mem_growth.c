/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Who made memory grow, and who gave it back, from events: mapping calls, and pages that were touched for the first time (one of many
 * page faults). What an address was and is, and whether its pages are resident, only the two looks tell; so until the
 * second one it is kept who mapped each piece of address space last, and who gave each piece back last (mem_ranges.c). A
 * piece may have both, an old owner who gave it back and a new one who mapped it.
 *
 * What was both mapped and given back while watching is in neither look and counts for nobody. The answer is mem_growers.c.
 */
#include "analysis/mem_growth_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define PATHS_MAX (1u << 20) /* bytes of names of what was opened */
/* Page faults of one stack within so much address space count together: an arena of the Go heap, and of malloc. */
#define BLOCK_SHIFT 26

const char gs__by_mmap[] = "mmap", gs__by_munmap[] = "munmap", gs__by_mremap[] = "mremap",
	   gs__by_brk[] = "brk", gs__by_madvise[] = "madvise", gs__by_dlopen[] = "dlopen",
	   gs__by_faults[] = "page faults";

static const struct gs__call_numbers amd64_calls = { 9, 11, 25, 28, 12 };
static const struct gs__call_numbers arm64_calls = { 222, 215, 216, 233, 214 };

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

int gs_memory_growth_new(struct gs_event_source *s, struct gs_memory_growth **ret,
			 struct gs_err *err)
{
	struct gs_memory_growth *g = calloc(1, sizeof(*g));

	if (g) {
		g->source = s;
		g->call = s->goarch && strcmp(s->goarch, "arm64") == 0 ? &arm64_calls
								       : &amd64_calls;
		g->doer = gs_array_new(GS__DOERS_MAX, sizeof(*g->doer));
		g->touched = gs_array_new(GS__TOUCHED_MAX, sizeof(*g->touched));
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
	return (bytes + GS__KERNEL_PAGE - 1) & ~(uint64_t)(GS__KERNEL_PAGE - 1);
}

/* Number + 1 of who does it; 0 if there are too many. */
static uint32_t doer_of(struct gs_memory_growth *g, uint32_t stack, const char *what,
			const char *detail)
{
	uint64_t h = gs_hash_u64(gs_hash_u64(stack, (uint64_t)(uintptr_t)what),
				 (uint64_t)(uintptr_t)detail);

	for (uint32_t i = (uint32_t)h & (GS__DOERS_MAX - 1);; i = (i + 1) & (GS__DOERS_MAX - 1)) {
		struct gs__doer *d = &g->doer[i];

		if (d->what == what && d->detail == detail && d->stack == stack)
			return i + 1;
		if (d->what)
			continue;
		if (g->n_doers >= GS__DOERS_MAX / 4 * 3) {
			g->dropped++;
			return 0;
		}
		g->n_doers++;
		*d = (struct gs__doer){ .what = what, .detail = detail, .stack = stack };
		return i + 1;
	}
}

static uint32_t called(struct gs_memory_growth *g, const struct gs_event *e, const char *what,
		       const char *detail, gs_addr start, uint64_t bytes)
{
	uint32_t who = doer_of(g, e->stack, what, detail);
	struct gs__doer *d = who ? &g->doer[who - 1] : NULL;

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

static struct gs__loader *loader_of(struct gs_memory_growth *g, int32_t tid)
{
	for (uint32_t i = 0; i < g->n_loaders; i++)
		if (g->loader[i].tid == tid)
			return &g->loader[i];
	return NULL;
}

static void take_dlopen(struct gs_memory_growth *g, const struct gs_event *e)
{
	struct gs__loader *l = loader_of(g, e->tid);
	const char *path = NULL;

	if (!l && g->n_loaders == GS__LOADERS_MAX)
		l = &g->loader[g->at % GS__LOADERS_MAX];
	if (!l)
		l = &g->loader[g->n_loaders++];
	for (uint32_t i = 0; i < GS__DOERS_MAX && !path; i++)
		if (g->doer[i].what == gs__by_dlopen && g->doer[i].detail &&
		    strlen(g->doer[i].detail) == e->dlopen.path_len &&
		    memcmp(g->doer[i].detail, e->dlopen.path, e->dlopen.path_len) == 0)
			path = g->doer[i].detail;
	if (!path && e->dlopen.path_len)
		path = gs_arena_strndup(g->paths, e->dlopen.path, e->dlopen.path_len);
	*l = (struct gs__loader){ .tid = e->tid, .doer = called(g, e, gs__by_dlopen, path, 0, 0) };
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
	struct gs__loader *l = g->n_loaders ? loader_of(g, e->tid) : NULL;
	bool file = (int32_t)e->map.arg[4] >= 0, placed = e->map.arg[3] & MAP_FIXED;
	struct gs__doer *d;

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
		who = called(g, e, gs__by_mmap, NULL, start, bytes);
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
	returned(g, start, start + bytes, called(g, e, gs__by_munmap, NULL, start, bytes));
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
	who = called(g, e, gs__by_mremap, NULL, to,
		     after > before ? after - before : before - after);
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
		made(g, g->brk, whole_pages(end),
		     called(g, e, gs__by_brk, NULL, g->brk, end - g->brk));
	} else if (g->brk && end < g->brk) {
		end = whole_pages(end);
		returned(g, end, g->brk, called(g, e, gs__by_brk, NULL, end, g->brk - end));
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
		who = called(g, e, gs__by_madvise, advices[i].name, start, bytes);
		if (advices[i].gives_back)
			returned(g, start, start + bytes, who);
		return;
	}
}

static void take_map(struct gs_memory_growth *g, const struct gs_event *e)
{
	const struct gs__call_numbers *c = g->call;

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
	uint32_t i = (uint32_t)gs_hash_u64(e->stack, block) & (GS__TOUCHED_MAX - 1);

	for (uint32_t probes = 0; probes < GS__TOUCHED_MAX;
	     probes++, i = (i + 1) & (GS__TOUCHED_MAX - 1)) {
		struct gs__touched *t = &g->touched[i];

		if (t->events == 0) {
			if (g->n_touched >= GS__TOUCHED_MAX / 4 * 3)
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
