// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * objects_print PID|CORE [PATH_TO_TYPE]: the census of a heap as JSON, for test_heap_objects.py, with more rows than a user wants.
 * OBJECTS_EXE names the executable of a core.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "analysis/heap_objects.h"
#include "base/out.h"
#include "export/memory_export.h"
#include "target/target.h"

static int census(const char *what, const char *path_to, struct gs_err *err)
{
	const struct gs_heap_objects_options o = { .path_to = path_to,
						   .types = 2000,
						   .roots = 2000 };
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	GS_CLEANUP(gs_rt_freep) struct gs_rt *rt = NULL;
	GS_CLEANUP(gs_rt_heap_freep) struct gs_rt_heap *h = NULL;
	GS_CLEANUP(gs_heap_objects_freep) struct gs_heap_objects *x = NULL;
	const struct gs_memory_print p = { .pretty = true };
	struct gs_incomplete_list inc = { 0 };
	struct gs_out out;
	int r = strspn(what, "0123456789") == strlen(what)
			? gs_target_open_pid(atoi(what), &t, err)
			: gs_target_open_core(what, getenv("OBJECTS_EXE"), &t, err);

	if (r == 0)
		r = gs_rt_open(t, &rt, err);
	if (r == 0)
		r = gs_rt_heap_read(rt, &h, &inc, err);
	if (r == 0)
		r = gs_heap_objects_new(rt, h, &o, &x, err);
	if (r < 0)
		return r;
	gs_out_init_mem(&out);
	gs_heap_objects_json(&out, gs_heap_objects_result(x), &p);
	fwrite(out.buf, 1, out.len, stdout);
	gs_out_deinit(&out);
	return 0;
}

int main(int argc, char **argv)
{
	struct gs_err err = { 0 };
	struct rusage u;

	if (argc < 2 || census(argv[1], argc > 2 ? argv[2] : NULL, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	getrusage(RUSAGE_SELF, &u);
	fprintf(stderr, "max rss %ld MB\n", u.ru_maxrss / 1024);
	return 0;
}
