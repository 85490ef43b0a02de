/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Marks the heap of a Go process or core file from all its roots, and prints what was found and what it took, for tests
 * and benchmarks:
 *
 *	heap_dump [--exe FILE] [--conservative] [--walk] [--ask FILE] PID|CORE
 *
 * --conservative takes every word of stacks for a pointer. --walk marks with a visitor that follows the pointers of every
 * object, instead of draining. FILE has addresses, one per line in hexadecimal with all bits inverted (so that asking
 * does not keep them alive); each is answered with a line "marked", "unmarked" or "none" (no slot). The last line
 * is JSON.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "analysis/heap_mark.h"
#include "base/clock.h"

struct dump {
	const char *name, *exe, *ask;
	bool conservative, walk;

	struct gs_target *target;
	struct gs_rt *rt;
	struct gs_rt_heap *heap;
	struct gs_rt_gs *gs;
	struct gs_heap_mark *mark;
	struct gs_incomplete_list inc;
	uint64_t roots[4]; /* of globals, specials, stacks */
	uint32_t kind;
	uint64_t visited, visited_bytes;
	double open_ms, heap_ms, roots_ms, mark_ms;
};

static double ms_since(int64_t *start)
{
	int64_t was = *start;

	*start = gs_now_ns();
	return (double)(*start - was) / 1e6;
}

/* --- roots -------------------------------------------------------------------------------------- */

/* A walk has to let roots have their turn even if they have no pointers. */
static void follow(struct dump *d, uint64_t word)
{
	const struct gs_rt_span *span;
	uint32_t number;
	gs_addr start;

	if (!gs_heap_slot(d->mark, word, &number, &start, &span) || gs_heap_marked(d->mark, start))
		return;
	gs_heap_grey(d->mark, span, start);
}

static int on_roots(void *ctx, const struct gs_rt_pointer *p, size_t n)
{
	struct dump *d = ctx;

	d->roots[d->kind] += n;
	for (size_t i = 0; d->walk && i < n; i++)
		follow(d, p[i].value);
	if (!d->walk)
		gs_heap_mark_roots(d->mark, p, n);
	return 0;
}

static int on_stack(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	return on_roots(ctx, p, n);
}

static int mark_stacks(struct dump *d, struct gs_err *err)
{
	uint32_t n, *which;
	int r = gs_rt_gs_read(d->rt, &d->gs, &d->inc, err);

	if (r < 0)
		return r;
	gs_rt_gs_all(d->gs, &n);
	which = calloc(n + 1ul, sizeof(*which));
	if (!which)
		return gs_fail(err, -ENOMEM, 0, "no memory");
	for (uint32_t i = 0; i < n; i++)
		which[i] = i;
	r = gs_rt_stack_roots(d->rt, d->gs, which, n, !d->conservative, on_stack, d, &d->inc, err);
	free(which);
	return r;
}

static int mark_roots(struct dump *d, struct gs_err *err)
{
	int r = gs_rt_global_roots(d->rt, on_roots, d, &d->inc, err);

	d->kind = 1;
	if (r == 0)
		r = gs_rt_special_roots(d->rt, d->heap, on_roots, d, &d->inc, err);
	d->kind = 2;
	return r == 0 ? mark_stacks(d, err) : r;
}

/* --- marking ------------------------------------------------------------------------------------ */

static int on_object(void *ctx, const struct gs_heap_object *o)
{
	struct dump *d = ctx;
	const uint64_t *w = o->bytes;

	d->visited += o->offset == 0;
	d->visited_bytes += o->offset == 0 ? o->size : 0;
	for (uint64_t i = 0; i < o->n_bytes / sizeof(*w); i++)
		if (!o->pointer_bits || o->pointer_bits[i / 64] >> i % 64 & 1)
			follow(d, w[i]);
	return 0;
}

static int run(struct dump *d, struct gs_err *err)
{
	int64_t t = gs_now_ns();
	int r = strspn(d->name, "0123456789") == strlen(d->name)
			? gs_target_open_pid(atoi(d->name), &d->target, err)
			: gs_target_open_core(d->name, d->exe, &d->target, err);

	if (r == 0)
		r = gs_rt_open(d->target, &d->rt, err);
	d->open_ms = ms_since(&t);
	if (r == 0)
		r = gs_rt_heap_read(d->rt, &d->heap, &d->inc, err);
	d->heap_ms = ms_since(&t);
	if (r == 0)
		r = gs_heap_mark_new(d->heap, gs_rt_memory(d->rt), &d->mark, err);
	if (r == 0)
		r = mark_roots(d, err);
	d->roots_ms = ms_since(&t);
	if (r == 0)
		r = d->walk ? gs_heap_walk(d->mark, on_object, d, err)
			    : gs_heap_mark_drain(d->mark, err);
	d->mark_ms = ms_since(&t);
	return r;
}

/* --- telling ------------------------------------------------------------------------------------ */

static int answer(const struct dump *d)
{
	FILE *f = fopen(d->ask, "r");
	uint64_t addr;

	if (!f) {
		perror(d->ask);
		return 1;
	}
	while (fscanf(f, "%" SCNx64, &addr) == 1) {
		const struct gs_rt_span *span;
		uint32_t number;
		gs_addr start;

		// The header of an object stands before its first byte.
		if (!gs_heap_slot(d->mark, ~addr, &number, &start, &span) ||
		    start + (span->flags & GS_RT_SPAN_HEADERS ? 8 : 0) != ~addr)
			puts("none");
		else
			puts(gs_heap_marked(d->mark, ~addr) ? "marked" : "unmarked");
	}
	fclose(f);
	return 0;
}

static void print_summary(const struct dump *d)
{
	struct gs_heap_mark_stats s;
	struct rusage ru;
	uint32_t n_spans, n_gs;

	gs_heap_mark_stats(d->mark, &s);
	getrusage(RUSAGE_SELF, &ru);
	gs_rt_heap_spans(d->heap, &n_spans);
	gs_rt_gs_all(d->gs, &n_gs);
	printf("{\"spans\":%" PRIu32 ",\"slots\":%" PRIu32 ",\"goroutines\":%" PRIu32
	       ",\"objects\":%" PRIu64 ",\"bytes\":%" PRIu64,
	       n_spans, gs_rt_heap_slots(d->heap), n_gs, s.objects, s.bytes);
	printf(",\"words\":%" PRIu64 ",\"pointers\":%" PRIu64 ",\"bytes_read\":%" PRIu64
	       ",\"unreadable_bytes\":%" PRIu64 ",\"memory_bytes\":%" PRIu64
	       ",\"mark_bits_bytes\":%" PRIu64 ",\"without_bits\":%" PRIu64,
	       s.words, s.pointers, s.bytes_read, s.unreadable_bytes, s.memory_bytes,
	       s.mark_bits_bytes, s.without_bits);
	printf(",\"visited\":%" PRIu64 ",\"visited_bytes\":%" PRIu64 ",\"roots\":[%" PRIu64
	       ",%" PRIu64 ",%" PRIu64 "]",
	       d->visited, d->visited_bytes, d->roots[0], d->roots[1], d->roots[2]);
	printf(",\"open_ms\":%.1f,\"heap_ms\":%.1f,\"roots_ms\":%.1f,\"mark_ms\":%.1f,"
	       "\"cpu_ms\":%ld,\"rss_kib\":%ld,\"incomplete\":{",
	       d->open_ms, d->heap_ms, d->roots_ms, d->mark_ms,
	       (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000 +
		       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1000,
	       ru.ru_maxrss);
	for (uint32_t i = 0; i < d->inc.n; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", d->inc.item[i].what,
		       d->inc.item[i].count);
	printf("}}\n");
}

static int parse(struct dump *d, int argc, char **argv)
{
	static const struct option options[] = {
		{ "exe", required_argument, NULL, 'e' },
		{ "ask", required_argument, NULL, 'a' },
		{ "conservative", no_argument, NULL, 'c' },
		{ "walk", no_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'e')
			d->exe = optarg;
		else if (c == 'a')
			d->ask = optarg;
		else if (c == 'c')
			d->conservative = true;
		else if (c == 'w')
			d->walk = true;
		else
			return 2;
	}
	d->name = argv[optind];
	return optind + 1 == argc ? 0 : 2;
}

int main(int argc, char **argv)
{
	static struct dump d;
	struct gs_err err;
	int r = parse(&d, argc, argv);

	if (r)
		return r;
	r = run(&d, &err);
	if (r < 0)
		fprintf(stderr, "heap_dump: %s\n", err.text);
	if (r == 0 && d.ask)
		r = answer(&d);
	if (r == 0)
		print_summary(&d);
	gs_heap_mark_free(d.mark);
	gs_rt_gs_free(d.gs);
	gs_rt_heap_free(d.heap);
	gs_rt_free(d.rt);
	gs_target_free(d.target);
	return r < 0 ? 1 : r;
}
