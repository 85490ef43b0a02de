/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * heap_print PID|CORE [EXE]: the page heap as gosonde reads it, as one JSON object, for test_heap.py.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/json_writer.h"
#include "base/out.h"
#include "runtime/rt_heap.h"
int main(int argc, char **argv)
{
	struct gs_err err = { 0 };
	struct gs_incomplete_list inc = { 0 };
	struct gs_target *t = NULL;
	struct gs_rt *rt = NULL;
	struct gs_rt_heap *h = NULL;
	uint32_t n, na;
	const struct gs_rt_span *sp;
	struct timespec a, b;
	(void)argc;
	if (gs_target_open_pid(atoi(argv[1]), &t, &err) < 0 || gs_rt_open(t, &rt, &err) < 0)
		goto fail;
	clock_gettime(CLOCK_MONOTONIC, &a);
	if (gs_rt_heap_read(rt, &h, &inc, &err) < 0)
		goto fail;
	clock_gettime(CLOCK_MONOTONIC, &b);
	sp = gs_rt_heap_spans(h, &n);
	gs_rt_heap_arenas(h, &na);
	uint64_t inuse = 0, stack = 0, man = 0, alloc = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (sp[i].state == 1) {
			inuse += sp[i].n_pages;
			alloc += sp[i].alloc_count;
		} else if (sp[i].flags & GS_RT_SPAN_STACK)
			stack += sp[i].n_pages;
		else
			man += sp[i].n_pages;
	}
	printf("arenas %u spans %u slots %u inuse %" PRIu64 " stack %" PRIu64 " work %" PRIu64
	       " alloc %" PRIu64 " %.3f ms\n",
	       na, n, gs_rt_heap_slots(h), inuse, stack, man, alloc,
	       (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) * 1e-6);
	for (uint32_t i = 0; i < inc.n; i++)
		printf("inc %s %" PRIu64 " %s\n", inc.item[i].what, inc.item[i].count,
		       inc.item[i].why);
	return 0;
fail:
	puts(err.text);
	return 1;
}
