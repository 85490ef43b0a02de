/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Prints where src/golang would place probes in every function of a binary:
 *
 *	code_print FILE
 *
 * One line per function: entry, end (link-time, hexadecimal), "begin" with kind and address or "refused",
 * "ends" with the addresses of returns and tail jumps or "refused", and the name last. The time that
 * the search took goes to stderr.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "go_program.h"
#include "golang/code_sites.h"

static void print_function(const struct go_program *p, const struct gs_go_func *f, int64_t *io_ns)
{
	static const char *const kinds[] = {
		"?", "push", "entry", "branch", "ret", "tail", "call"
	};
	enum gs_arch arch = gs_image_info(p->img)->arch;
	struct gs_go_site begin, ends[256];
	int64_t start = gs_now_ns();
	struct gs_cursor at, code;
	struct gs_err err;
	int r_begin, r_ends;
	size_t n = 0;

	printf("%" PRIx64 " %" PRIx64, f->entry, f->end);
	if (gs_image_at(p->img, f->entry, &at, &err) != 0 ||
	    gs_cursor_sub(&at, f->end - f->entry, &code, &err) < 0) {
		printf(" no code %s\n", f->name);
		return;
	}
	r_begin = gs_go_site_begin(arch, &code, f->entry, &begin, &err);
	r_ends = gs_go_sites_end(arch, &code, f->entry, ends, 256, &n, &err);
	*io_ns += gs_now_ns() - start;
	if (r_begin < 0)
		printf(" begin refused 0");
	else
		printf(" begin %s%s %" PRIx64, kinds[begin.kind], begin.loop ? "+loop" : "",
		       begin.pc);
	printf(" ends%s", r_ends < 0 ? " refused" : "");
	for (size_t i = 0; r_ends == 0 && i < n; i++)
		printf(" %s:%" PRIx64, kinds[ends[i].kind], ends[i].pc);
	printf(" | %s\n", f->name);
}

int main(int argc, char **argv)
{
	struct go_program p;
	struct gs_go_func f;
	struct gs_err err;
	int64_t ns = 0;
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: code_print FILE\n");
		return 2;
	}
	r = go_program_open(&p, argv[1], 0, &err);
	for (uint32_t i = 0; r == 0 && i < gs_go_pclntab_count(p.tab); i++) {
		r = gs_go_func_at(p.tab, i, &f, &err);
		if (r == 0)
			print_function(&p, &f, &ns);
	}
	if (r < 0)
		fprintf(stderr, "code_print: %s\n", err.text);
	else
		fprintf(stderr, "%" PRId64 " us\n", ns / 1000);
	go_program_close(&p);
	return r < 0 ? 1 : 0;
}
