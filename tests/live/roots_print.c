/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * roots_print PID|CORE [EXE] WHAT…: goroutines and roots as gosonde reads them, one JSON object a line, for
 * test_roots.py. WHAT:
 *
 *   gs        goroutines and what they wait for
 *   precise, conservative   pointers on their stacks
 *   globals   pointers in global variables
 *   specials  what finalizers, cleanups and weak pointers keep alive
 *   mark      what all of these reach: objects and bytes
 *   quiet     before the others: count only, and tell how long it took
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "analysis/heap_mark.h"
#include "runtime/rt_heap.h"
#include "runtime/rt_roots.h"

struct state {
	struct gs_rt *rt;
	struct gs_rt_gs *gs;
	struct gs_incomplete_list inc;
	bool quiet;
	uint64_t pointers;
	const char *what;
};

static int show(void *ctx, const struct gs_rt_pointer *p, size_t n)
{
	struct state *s = ctx;

	s->pointers += n;
	for (size_t i = 0; i < n && !s->quiet; i++)
		printf("{\"%s\":%" PRIu64 ",\"slot\":%" PRIu64 "}\n", s->what, p[i].value,
		       p[i].slot);
	return 0;
}

static int show_stack(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	struct state *s = ctx;
	uint32_t all;

	s->pointers += n;
	for (size_t i = 0; i < n && !s->quiet; i++)
		printf("{\"stack\":%" PRIu64 ",\"slot\":%" PRIu64 ",\"goid\":%" PRIu64 "}\n",
		       p[i].value, p[i].slot, gs_rt_gs_all(s->gs, &all)[which].goid);
	return 0;
}

static void show_gs(struct state *s)
{
	const char *const *reasons = gs_rt_wait_reasons(s->rt, &(uint32_t){ 0 });
	uint32_t n;
	const struct gs_rt_g *g = gs_rt_gs_all(s->gs, &n);

	for (uint32_t i = 0; i < n && !s->quiet; i++, g++) {
		const struct gs_rt_wait_object *o = gs_rt_gs_objects(s->gs, g);

		printf("{\"goid\":%" PRIu64 ",\"g\":%" PRIu64 ",\"state\":\"%s\",\"reason\":\"%s\","
		       "\"block\":\"%s\",\"system\":%s,\"main\":%s,\"unknown\":%s,\"torn\":%s,"
		       "\"lo\":%" PRIu64 ",\"hi\":%" PRIu64 ",\"sp\":%" PRIu64 ",\"objects\":[",
		       g->goid, g->g, gs_goroutine_state_name((enum gs_goroutine_state)g->state),
		       reasons[g->wait_reason], gs_rt_block_name((enum gs_rt_block)g->block),
		       g->system ? "true" : "false", g->main ? "true" : "false",
		       g->objects_unknown ? "true" : "false", g->torn ? "true" : "false",
		       g->stack_lo, g->stack_hi, g->sp);
		for (uint32_t j = 0; j < g->n_objects; j++)
			printf("%s[%" PRIu64 ",%" PRIu64 "]", j ? "," : "", o[j].object,
			       o[j].sudog);
		puts("]}");
	}
}

static int do_stacks(struct state *s, bool precise, gs_rt_stack_fn *visit, void *ctx,
		     struct gs_err *err)
{
	uint32_t n;
	uint32_t *which;
	int r;

	(void)gs_rt_gs_all(s->gs, &n);
	which = calloc(n + 1ul, sizeof(*which));
	for (uint32_t i = 0; which && i < n; i++)
		which[i] = i;
	r = which ? gs_rt_stack_roots(s->rt, s->gs, which, n, precise, visit, ctx, &s->inc, err)
		  : -1;
	free(which);
	return r;
}

static int do_specials(struct state *s, struct gs_err *err)
{
	GS_CLEANUP(gs_rt_heap_freep) struct gs_rt_heap *h = NULL;
	int r = gs_rt_heap_read(s->rt, &h, &s->inc, err);

	return r < 0 ? r : gs_rt_special_roots(s->rt, h, show, s, &s->inc, err);
}

static int mark(void *ctx, const struct gs_rt_pointer *p, size_t n)
{
	gs_heap_mark_roots(ctx, p, n);
	return 0;
}

static int mark_stack(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	(void)which;
	return mark(ctx, p, n);
}

static int do_mark(struct state *s, struct gs_err *err)
{
	GS_CLEANUP(gs_rt_heap_freep) struct gs_rt_heap *h = NULL;
	GS_CLEANUP(gs_heap_mark_freep) struct gs_heap_mark *m = NULL;
	struct gs_heap_mark_stats stats;
	uint32_t n;
	const gs_addr *sudogs = gs_rt_gs_sudogs(s->gs, &n);
	int r = gs_rt_heap_read(s->rt, &h, &s->inc, err);

	if (r == 0)
		r = gs_heap_mark_new(h, gs_rt_memory(s->rt), &m, err);
	if (r < 0)
		return r;
	gs_heap_mark_opaque(m, sudogs, n);
	r = gs_rt_global_roots(s->rt, mark, m, &s->inc, err);
	if (r == 0)
		r = gs_rt_special_roots(s->rt, h, mark, m, &s->inc, err);
	if (r == 0)
		r = do_stacks(s, true, mark_stack, m, err);
	if (r == 0)
		r = gs_heap_mark_drain(m, err);
	gs_heap_mark_stats(m, &stats);
	printf("{\"marked\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n", stats.objects, stats.bytes);
	return r;
}

static int do_one(struct state *s, const char *what, struct gs_err *err)
{
	struct timespec a, b;
	int r = 0;

	s->what = what;
	s->pointers = 0;
	clock_gettime(CLOCK_MONOTONIC, &a);
	if (strcmp(what, "quiet") == 0) {
		s->quiet = true;
		return 0;
	}
	if (strcmp(what, "gs") == 0) {
		s->gs = gs_rt_gs_free(s->gs);
		r = gs_rt_gs_read(s->rt, &s->gs, &s->inc, err);
		if (r == 0)
			show_gs(s);
	} else if (strcmp(what, "precise") == 0 || strcmp(what, "conservative") == 0) {
		r = do_stacks(s, what[0] == 'p', show_stack, s, err);
	} else if (strcmp(what, "globals") == 0) {
		r = gs_rt_global_roots(s->rt, show, s, &s->inc, err);
	} else if (strcmp(what, "mark") == 0) {
		r = do_mark(s, err);
	} else {
		r = do_specials(s, err);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("{\"done\":\"%s\",\"pointers\":%" PRIu64 ",\"ms\":%.3f}\n", what, s->pointers,
	       (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) * 1e-6);
	return r;
}

static int open_target(char **argv, int *at, struct gs_target **ret, struct gs_err *err)
{
	const char *exe = argv[2] && argv[2][0] == '/' ? argv[2] : NULL;

	*at = exe ? 3 : 2;
	if (isdigit((unsigned char)argv[1][0]))
		return gs_target_open_pid(atoi(argv[1]), ret, err);
	return gs_target_open_core(argv[1], exe, ret, err);
}

int main(int argc, char **argv)
{
	struct state s = { 0 };
	struct gs_target *t = NULL;
	struct gs_err err = { 0 };
	int at = 2, r;

	if (argc < 3)
		return 2;
	r = open_target(argv, &at, &t, &err);
	if (r == 0)
		r = gs_rt_open(t, &s.rt, &err);
	if (r == 0)
		r = gs_rt_gs_read(s.rt, &s.gs, &s.inc, &err);
	for (; r == 0 && at < argc; at++)
		r = do_one(&s, argv[at], &err);
	for (uint32_t i = 0; i < s.inc.n; i++)
		printf("{\"incomplete\":\"%s\",\"count\":%" PRIu64 "}\n", s.inc.item[i].what,
		       s.inc.item[i].count);
	if (r != 0)
		fprintf(stderr, "%s\n", err.text);
	gs_rt_gs_free(s.gs);
	gs_rt_free(s.rt);
	gs_target_free(t);
	return r == 0 ? 0 : 1;
}
