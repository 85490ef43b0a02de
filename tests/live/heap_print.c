/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 *	heap_print [sites | modules] PID | CORE [EXE]
 *
 * The page heap of a program as gosonde reads it, one JSON object, for test_heap.py; or its memory profile; or its Go
 * modules. Each list of the heap is summed up and checked against what its header promises: sorted, not overlapping,
 * found again by address.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/rt_heap.h"

struct sums {
	uint64_t in_use_pages, stack_pages, work_pages, manual_spans;
	uint64_t allocated, slots, noscan_pages, large, bitmap, headers, user_arena, specials;
	uint64_t bad;
};

/* @return what is wrong with the span, or NULL. */
static const char *span_trouble(const struct gs_rt_heap *h, const struct gs_rt_span *s, gs_addr end,
				uint64_t slots)
{
	const struct gs_rt_page_index *x = gs_rt_heap_index(h);
	gs_addr last = s->start + (uint64_t)s->n_pages * GS_RT_PAGE - 1;

	if (s->start < end)
		return "overlaps the one before";
	if (s->state == GS_RT_SPAN_IN_USE && s->first_object != slots)
		return "is numbered wrongly";
	if (gs_rt_heap_find(x, s->start) != s || gs_rt_heap_find(x, last) != s)
		return "is not found by address";
	return NULL;
}

static void add_span(struct sums *u, const struct gs_rt_span *s)
{
	if (s->state == GS_RT_SPAN_MANUAL) {
		u->manual_spans++;
		*(s->flags & GS_RT_SPAN_STACK ? &u->stack_pages : &u->work_pages) += s->n_pages;
		return;
	}
	u->in_use_pages += s->n_pages;
	u->allocated += s->alloc_count;
	u->slots += s->n_elems;
	u->noscan_pages += s->flags & GS_RT_SPAN_NOSCAN ? s->n_pages : 0;
	u->large += !!(s->flags & GS_RT_SPAN_LARGE);
	u->bitmap += !!(s->flags & GS_RT_SPAN_HEAP_BITMAP);
	u->headers += !!(s->flags & GS_RT_SPAN_HEADERS);
	u->user_arena += !!(s->flags & GS_RT_SPAN_USER_ARENA);
	u->specials += !!(s->flags & GS_RT_SPAN_SPECIALS);
}

static void print_spans(const struct gs_rt_heap *h)
{
	const struct gs_rt_span *s;
	struct sums u = { 0 };
	gs_addr end = 0;
	uint32_t n;

	s = gs_rt_heap_spans(h, &n);
	for (uint32_t i = 0; i < n; i++) {
		const char *trouble = span_trouble(h, &s[i], end, u.slots);

		if (trouble && u.bad++ < 5)
			fprintf(stderr, "span %#" PRIx64 " %s\n", s[i].start, trouble);
		end = s[i].start + (uint64_t)s[i].n_pages * GS_RT_PAGE;
		add_span(&u, &s[i]);
	}
	if (u.slots != gs_rt_heap_slots(h))
		u.bad++;
	printf("\"spans\": %" PRIu32 ", \"in_use_pages\": %" PRIu64 ", \"stack_pages\": %" PRIu64
	       ", \"work_pages\": %" PRIu64 ", \"manual_spans\": %" PRIu64
	       ", \"allocated\": %" PRIu64 ", \"slots\": %" PRIu64 ", \"noscan_pages\": %" PRIu64
	       ", \"large\": %" PRIu64 ", \"bitmap\": %" PRIu64 ", \"headers\": %" PRIu64
	       ", \"user_arena\": %" PRIu64 ", \"specials\": %" PRIu64 ", \"bad_spans\": %" PRIu64
	       ",\n",
	       n, u.in_use_pages, u.stack_pages, u.work_pages, u.manual_spans, u.allocated, u.slots,
	       u.noscan_pages, u.large, u.bitmap, u.headers, u.user_arena, u.specials, u.bad);
}

static void print_ranges(const struct gs_rt_heap *h)
{
	const struct gs_rt_free_range *f;
	uint64_t kept = 0, returned = 0, cached = 0, bad = 0;
	gs_addr end = 0;
	uint32_t n;

	f = gs_rt_heap_free_ranges(h, &n);
	for (uint32_t i = 0; i < n; i++) {
		bad += f[i].start < end || gs_rt_heap_find(gs_rt_heap_index(h), f[i].start);
		end = f[i].start + f[i].bytes;
		*(f[i].returned ? &returned : &kept) += f[i].bytes;
		cached += f[i].cached ? f[i].bytes : 0;
	}
	printf("\"free_ranges\": %" PRIu32 ", \"kept\": %" PRIu64 ", \"returned\": %" PRIu64
	       ", \"cached\": %" PRIu64 ", \"bad_ranges\": %" PRIu64 ",\n",
	       n, kept, returned, cached, bad);
}

static void print_meta(const struct gs_rt_heap *h)
{
	const struct gs_rt_meta_range *m;
	gs_addr end = 0;
	uint64_t bad = 0;
	uint32_t n;

	m = gs_rt_heap_meta(h, &n);
	printf("\"meta\": [");
	for (uint32_t i = 0; i < n; i++) {
		bad += m[i].start < end || m[i].end <= m[i].start;
		end = m[i].end;
		printf("%s[%" PRIu64 ", %" PRIu64 ", \"%s\"]", i ? ", " : "", m[i].start, m[i].end,
		       gs_rt_meta_kind_name(m[i].kind));
	}
	printf("], \"bad_meta\": %" PRIu64 ",\n", bad);
}

static void print_arenas(const struct gs_rt_heap *h)
{
	const gs_addr *a;
	uint32_t n;

	a = gs_rt_heap_arenas(h, &n);
	printf("\"arenas\": [");
	for (uint32_t i = 0; i < n; i++)
		printf("%s%" PRIu64, i ? ", " : "", a[i]);
	printf("],\n");
}

static void print_stats(const struct gs_rt_heap *h)
{
	const struct gs_rt_memory_stats *s = gs_rt_heap_stats(h);
#define U(name) printf("\"" #name "\": %" PRIu64 ", ", s->name)
	printf("\"stats\": {");
	U(heap_free);
	U(heap_objects);
	U(heap_released);
	U(heap_stacks);
	U(heap_unused);
	U(mcache_free);
	U(mcache_inuse);
	U(mspan_free);
	U(mspan_inuse);
	U(metadata_other);
	U(os_stacks);
	U(other);
	U(profiling_buckets);
	U(total);
	U(heap_live);
	U(heap_marked);
	U(heap_goal);
	U(mapped_ready);
	U(total_alloc);
	U(total_free);
	U(work_buffers);
	U(objects);
	U(gc_percent_goal);
	U(memory_limit_goal);
	U(released_background);
	U(released_eager);
	U(physical_huge_page);
#undef U
	printf("\"gc_percent\": %" PRId32 ", \"memory_limit\": %" PRId64 ", \"gc_count\": %" PRIu32
	       ", \"gc_forced\": %" PRIu32 ", \"last_gc_unix_ns\": %" PRId64
	       ", \"has_scavenger\": %d, \"madv_free\": %d, \"enable_gc\": %d},\n",
	       s->gc_percent, s->memory_limit, s->gc_count, s->gc_forced, s->last_gc_unix_ns,
	       s->has_scavenger, s->madv_free, s->enable_gc);
}

static int print_heap(struct gs_rt *rt, struct gs_incomplete_list *inc, struct gs_err *err)
{
	GS_CLEANUP(gs_rt_heap_freep) struct gs_rt_heap *h = NULL;
	int64_t start = gs_now_ns();
	int r = gs_rt_heap_read(rt, &h, inc, err);

	if (r < 0)
		return r;
	printf("{\"ms\": %.3f,\n", (double)(gs_now_ns() - start) / 1e6);
	print_arenas(h);
	print_spans(h);
	print_ranges(h);
	print_meta(h);
	print_stats(h);
	return 0;
}

struct sites {
	uint32_t n;
};

static void print_text(const char *s)
{
	putchar('"');
	for (; *s; s++)
		if (*s == '"' || *s == '\\' || (unsigned char)*s < ' ')
			printf("\\u%04x", (unsigned int)(unsigned char)*s);
		else
			putchar(*s);
	putchar('"');
}

static int print_site(void *ctx, const struct gs_rt_mem_record *m)
{
	struct sites *s = ctx;

	printf("%s{\"size\": %" PRIu64 ", \"allocs\": %" PRIu64 ", \"frees\": %" PRIu64
	       ", \"alloc_bytes\": %" PRIu64 ", \"free_bytes\": %" PRIu64 ", \"stack\": [",
	       s->n++ ? ",\n" : "", m->object_size, m->allocs, m->frees, m->alloc_bytes,
	       m->free_bytes);
	for (uint32_t i = 0, shown = 0; i < m->stack->n_frames; i++) {
		if (m->stack->frames[i].flags & GS_FRAME_WRAPPER)
			continue; /* the runtime leaves them out of profiles */
		printf("%s", shown++ ? ", " : "");
		print_text(m->stack->frames[i].function);
	}
	printf("]}");
	return 0;
}

static int print_sites(struct gs_rt *rt, struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct sites s = { 0 };
	int64_t start = gs_now_ns();
	uint64_t rate;
	int r;

	printf("{\"sites\": [");
	r = gs_rt_mem_profile(rt, print_site, &s, &rate, inc, err);
	printf("],\n\"profiled\": %s, \"rate\": %" PRIu64 ", \"ms\": %.3f,\n",
	       r == 0 ? "true" : "false", rate, (double)(gs_now_ns() - start) / 1e6);
	return r < 0 ? r : 0;
}

static int print_modules(struct gs_rt *rt, struct gs_incomplete_list *inc, struct gs_err *err)
{
	const struct gs_rt_module *m;
	uint32_t n;
	int r = gs_rt_modules(rt, &m, &n, err);

	(void)inc;
	if (r < 0)
		return r;
	printf("{\"modules\": [");
	for (uint32_t i = 0; i < n; i++) {
		printf("%s{\"path\": ", i ? ",\n" : "");
		print_text(m[i].path);
		printf(", \"has_main\": %d, \"bad\": %d, \"text\": %" PRIu64 ", \"etext\": %" PRIu64
		       ", \"data\": %" PRIu64 ", \"types\": %" PRIu64 ", \"pclntab\": %" PRIu64
		       ", \"pclntab_end\": %" PRIu64 "}",
		       m[i].has_main, m[i].bad, m[i].text, m[i].etext, m[i].data, m[i].types,
		       m[i].pclntab, m[i].pclntab_end);
	}
	printf("],\n");
	return 0;
}

static void print_incomplete(const struct gs_incomplete_list *inc)
{
	printf("\"incomplete\": {");
	for (uint32_t i = 0; i < inc->n; i++)
		printf("%s\"%s\": %" PRIu64, i ? ", " : "", inc->item[i].what, inc->item[i].count);
	printf("}}\n");
}

static int open_target(char **argv, struct gs_target **ret, struct gs_err *err)
{
	char *end;
	long pid = strtol(argv[0], &end, 10);

	if (*end == '\0')
		return gs_target_open_pid((pid_t)pid, ret, err);
	return gs_target_open_core(argv[0], argv[1], ret, err);
}

int main(int argc, char **argv)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	GS_CLEANUP(gs_rt_freep) struct gs_rt *rt = NULL;
	int (*print)(struct gs_rt *, struct gs_incomplete_list *, struct gs_err *) = print_heap;
	struct gs_incomplete_list inc = { 0 };
	struct gs_err err = { 0 };
	int r;

	argv++;
	if (argc > 2 && strcmp(*argv, "sites") == 0) {
		print = print_sites;
		argv++;
	} else if (argc > 2 && strcmp(*argv, "modules") == 0) {
		print = print_modules;
		argv++;
	}
	if (!*argv) {
		fputs("usage: heap_print [sites | modules] PID | CORE [EXE]\n", stderr);
		return 2;
	}
	r = open_target(argv, &t, &err);
	if (r == 0)
		r = gs_rt_open(t, &rt, &err);
	if (r == 0)
		r = print(rt, &inc, &err);
	if (r < 0) {
		fprintf(stderr, "heap_print: %s\n", err.text);
		return 1;
	}
	print_incomplete(&inc);
	return 0;
}
