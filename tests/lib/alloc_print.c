/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Prints what golang/alloc_type.c finds at the calls of the allocator in a binary:
 *
 *	alloc_print FILE MINOR
 *
 * One line per call: the address it returns to (link-time, hexadecimal), the address in the type's register or "-", the
 * name of the function that is called.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "go_program.h"
#include "golang/alloc_type.h"

static int print_call(const struct go_program *p, const struct gs_go_func *f,
		      const struct gs_cursor *code, unsigned int minor, uint64_t at,
		      struct gs_err *err)
{
	enum gs_arch arch = gs_image_info(p->img)->arch;
	gs_addr back = f->entry + at, to, type;
	struct gs_go_alloc a;
	struct gs_go_func callee;
	int r;

	if (!gs_go_call_target(arch, code->pos + at - GS_GO_CALL_BYTES, back, &to) ||
	    gs_go_func_find(p->tab, to, &callee, err) != 0 || callee.entry != to)
		return 0;
	a = gs_go_alloc_function(callee.name, minor);
	if (a.kind < GS_GO_ALLOC_VALUE || a.kind == GS_GO_ALLOC_STRING)
		return 0;
	r = gs_go_call_argument(arch, code, f->entry, back, a.argument, &type, err);
	if (r == 0)
		printf("%" PRIx64 " %" PRIx64 " %s\n", back, type, callee.name);
	else if (r > 0)
		printf("%" PRIx64 " - %s\n", back, callee.name);
	return r < 0 ? r : 0;
}

static int print_function(const struct go_program *p, const struct gs_go_func *f,
			  unsigned int minor, struct gs_err *err)
{
	unsigned int step = gs_image_info(p->img)->arch == GS_ARCH_ARM64 ? 4 : 1;
	struct gs_cursor at, code;
	int r = 0;

	if (gs_image_at(p->img, f->entry, &at, err) != 0 ||
	    gs_cursor_sub(&at, f->end - f->entry, &code, err) < 0)
		return 0;
	for (uint64_t i = GS_GO_CALL_BYTES; r == 0 && i <= gs_cursor_left(&code); i += step)
		r = print_call(p, f, &code, minor, i, err);
	return r;
}

int main(int argc, char **argv)
{
	struct go_program p;
	struct gs_go_func f;
	struct gs_err err;
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: alloc_print FILE MINOR\n");
		return 2;
	}
	r = go_program_open(&p, argv[1], 0, &err);
	for (uint32_t i = 0; r == 0 && i < gs_go_pclntab_count(p.tab); i++) {
		r = gs_go_func_at(p.tab, i, &f, &err);
		if (r == 0)
			r = print_function(&p, &f, (unsigned int)atoi(argv[2]), &err);
	}
	if (r < 0)
		fprintf(stderr, "alloc_print: %s\n", err.text);
	go_program_close(&p);
	return r < 0 ? 1 : 0;
}
