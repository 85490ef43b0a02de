/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Prints where src/golang finds the runtime's globals:
 *
 *	globals_print FILE [PID]
 *
 * One line per global, with "more" in front for those of the second search: name, link-time address,
 * how it was found, "proved" or "-", and the function it was found in. With PID, a process that runs
 * FILE, candidates are proved on its memory. Times go to stderr.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "go_program.h"
#include "golang/globals.h"

static void print(const struct go_program *p, const struct gs_go_globals *found,
		  const struct gs_go_more_globals *more)
{
	static const char *const how[] = { "none", "symbol", "code", "scan" };

	for (int g = 0; g < GS_GO_GLOBAL_COUNT; g++)
		printf("%s %" PRIx64 " %s %s %s\n", gs_go_global_name((enum gs_go_global)g),
		       found->addr[g] ? found->addr[g] - p->bias : 0, how[found->how[g]],
		       found->checked[g] ? "proved" : "-",
		       found->anchor[g] ? found->anchor[g] : "-");
	printf("n_wait_reasons %" PRIu32 "\n", found->n_wait_reasons);
	for (int g = 0; g < GS_GO_MORE_COUNT; g++)
		printf("more %s %" PRIx64 " %s %s %s\n",
		       gs_go_more_global_name((enum gs_go_more_global)g),
		       more->addr[g] ? more->addr[g] - p->bias : 0, how[more->how[g]],
		       more->checked[g] ? "proved" : "-", more->anchor[g] ? more->anchor[g] : "-");
}

int main(int argc, char **argv)
{
	const struct gs_memory *mem;
	struct go_program p;
	struct gs_go_more_globals more;
	struct gs_go_globals found;
	struct gs_err err;
	int64_t start;
	int r;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: globals_print FILE [PID]\n");
		return 2;
	}
	r = go_program_open(&p, argv[1], argc > 2 ? atoi(argv[2]) : 0, &err);
	mem = p.pid ? &p.mem : NULL;
	start = gs_now_ns();
	if (r == 0)
		r = gs_go_globals_find(p.img, p.tab, &p.layout, mem, p.bias, &found, &err);
	if (r == 0)
		fprintf(stderr, "%" PRId64 " us", (gs_now_ns() - start) / 1000);
	start = gs_now_ns();
	if (r == 0)
		r = gs_go_globals_find_more(p.img, p.tab, &p.layout, mem, p.bias, &more, &err);
	if (r == 0) {
		fprintf(stderr, ", more %" PRId64 " us\n", (gs_now_ns() - start) / 1000);
		print(&p, &found, &more);
	} else {
		fprintf(stderr, "globals_print: %s\n", err.text);
	}
	go_program_close(&p);
	return r == 0 ? 0 : 1;
}
