/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Goroutines whose connection is closed, as JSON lines, and what could not be seen. For test_leaks_connections.py.
 *
 *   closed_dump PID            a live process
 *   closed_dump -- PROGRAM …   runs it to its end first; then one line {"exit": status, "goroutines": [{"id","state"}]}
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/leaks.h"
#include "base/arena.h"
#include "base/clock.h"
#include "target/child.h"

static int fail(const struct gs_err *err)
{
	fprintf(stderr, "closed_dump: %s\n", err->text);
	return 1;
}

static const char *or_none(const char *s)
{
	return s ? s : "";
}

/* Nothing here needs escaping: addresses and states. */
static int print(void *ctx, const struct gs_closed_connection *c)
{
	printf("{\"id\":%" PRIu64
	       ",\"role\":\"%s\",\"peer\":\"%s\",\"local\":\"%s\",\"state\":\"%s\","
	       "\"closed_ns\":%" PRId64 ",\"at_least\":%s,\"fd\":%d,\"conn\":%" PRIu64 "}\n",
	       c->goid, c->role, or_none(c->peer), or_none(c->local), c->socket_state, c->closed_ns,
	       c->at_least ? "true" : "false", c->fd, c->conn);
	return 0;
}

static int print_goroutine(void *ctx, const struct gs_goroutine *g)
{
	bool *first = (bool *)ctx;

	printf("%s{\"id\":%" PRIu64 ",\"state\":\"%s\",\"wait_reason\":\"%s\"}", *first ? "" : ",",
	       g->id, gs_goroutine_state_name(g->state), or_none(g->wait_reason));
	*first = false;
	return 0;
}

static int closed(struct gs_target *t, struct gs_rt *rt, struct gs_incomplete_list *inc,
		  struct gs_err *err)
{
	GS_CLEANUP(gs_rt_heap_freep) struct gs_rt_heap *h = NULL;
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs = NULL;
	GS_CLEANUP(gs_arena_freep) struct gs_arena *arena = gs_arena_new(0);
	int64_t begin;
	uint32_t n;
	int r = gs_rt_heap_read(rt, &h, inc, err);

	if (r == 0)
		r = gs_rt_gs_read(rt, &gs, inc, err);
	if (r < 0 || !arena)
		return r < 0 ? r : -1;
	begin = gs_now_ns();
	r = gs_closed_connections(t, rt, h, gs, arena, print, NULL, inc, err);
	gs_rt_gs_all(gs, &n);
	printf("{\"goroutines\":%u,\"took_ns\":%" PRId64 "}\n", n, gs_now_ns() - begin);
	return r;
}

static int look(pid_t pid, bool ended, int status)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	GS_CLEANUP(gs_rt_freep) struct gs_rt *rt = NULL;
	struct gs_rt_dump_options o = { .no_labels = true };
	struct gs_incomplete_list inc = { .n = 0 };
	struct gs_err err;
	bool first = true;
	int r = gs_target_open_pid(pid, &t, &err);

	if (r == 0)
		r = gs_rt_open(t, &rt, &err);
	if (r == 0)
		r = closed(t, rt, &inc, &err);
	if (r == 0 && ended) {
		printf("{\"exit\":%d,\"all\":[", status);
		r = gs_rt_goroutines(rt, &o, print_goroutine, &first, &inc, &err);
		printf("]}\n");
	}
	for (uint32_t i = 0; i < inc.n; i++)
		printf("{\"incomplete\":\"%s\",\"count\":%" PRIu64 "}\n", inc.item[i].what,
		       inc.item[i].count);
	return r < 0 ? fail(&err) : 0;
}

static int run(char **argv)
{
	GS_CLEANUP(gs_child_freep) struct gs_child *c = NULL;
	struct gs_err err;
	int status, r = gs_child_start(argv, &c, &err);

	if (r == 0)
		r = gs_child_wait(c, &status, &err);
	if (r < 0)
		return fail(&err);
	if (r > 0) {
		fprintf(stderr, "closed_dump: %s\n", gs_child_why(c));
		return 1;
	}
	r = look(gs_child_pid(c), true, status);
	if (gs_child_release(c, &status, &err) < 0)
		return fail(&err);
	fprintf(stderr, "released with %d\n", status);
	return r;
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "--") == 0)
		return run(argv + 2);
	if (argc == 2)
		return look((pid_t)strtol(argv[1], NULL, 10), false, 0);
	fprintf(stderr, "usage: closed_dump PID | closed_dump -- PROGRAM ARGUMENTS\n");
	return 2;
}
