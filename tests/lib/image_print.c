/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Prints everything src/image says about a file, one fact per line, tab-separated, for comparison
 * with other tools (tests/unit/image/test_image_real.py). With names behind the file: looks them up
 * and prints the time each look-up took.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/out.h"
#include "base/sigbus.h"
#include "image/image.h"

static void print_info(struct gs_out *o, const struct gs_image_info *in)
{
	gs_out_printf(o, "info\tformat\t%d\ninfo\tarch\t%d\ninfo\tmachine\t%#x\n", (int)in->format,
		      (int)in->arch, in->machine);
	gs_out_printf(o, "info\tentry\t%#" PRIx64 "\ninfo\tbase\t%#" PRIx64 "\n", in->entry,
		      in->base);
	gs_out_printf(o, "info\tos\t%s\ninfo\tinterp\t%s\n", in->os ? in->os : "-",
		      in->interp ? in->interp : "-");
	gs_out_printf(o, "info\tflags\tcore=%d shared=%d pie=%d interp=%d dynamic=%d symtab=%d ",
		      in->is_core, in->is_shared, in->is_pie, in->has_interp, in->has_dynamic,
		      in->has_symtab);
	gs_out_printf(o, "dwarf=%d unwind=%d signed=%d\n", in->has_dwarf, in->has_unwind,
		      in->is_signed);
}

static void print_tables(struct gs_out *o, const struct gs_image *img)
{
	const struct gs_image_info *in = gs_image_info(img);

	for (uint32_t i = 0; i < in->n_sections; i++) {
		const struct gs_image_section *s = gs_image_section_at(img, i);

		gs_out_str(o, "section\t");
		gs_out_name(o, s->name, strlen(s->name));
		gs_out_printf(o, "\t%#" PRIx64 "\t%#" PRIx64 "\t%#" PRIx64 "\t%#" PRIx64 "\t%u\n",
			      s->addr, s->size, s->offset, s->file_size, s->flags);
	}
	for (uint32_t i = 0; i < in->n_segments; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(img, i);

		gs_out_printf(
			o, "segment\t%#" PRIx64 "\t%#" PRIx64 "\t%#" PRIx64 "\t%#" PRIx64 "\t%u\n",
			s->addr, s->size, s->offset, s->file_size, s->flags);
	}
}

static int print_symbol(void *ctx, const struct gs_image_symbol *s)
{
	struct gs_out *o = ctx;

	gs_out_str(o, "symbol\t");
	gs_out_str(o, s->name);
	gs_out_printf(o, "\t%#" PRIx64 "\t%#" PRIx64 "\t%d\n", s->addr, s->size, s->is_function);
	return 0;
}

static int print_rest(struct gs_out *o, const struct gs_image *img, struct gs_err *err)
{
	struct gs_cursor c;
	const char *library;
	int r = gs_image_build_id(img, &c, err);

	if (r == 0) {
		gs_out_str(o, "build_id\t");
		for (uint8_t b; gs_cursor_u8(&c, &b, NULL) == 0;)
			gs_out_printf(o, "%02x", b);
		gs_out_char(o, '\n');
	}
	if (r >= 0)
		r = gs_image_find_note(img, "Go", 4, &c, err);
	if (r == 0)
		gs_out_printf(o, "go_note\t%.*s\n", (int)gs_cursor_left(&c), (const char *)c.pos);
	for (uint32_t i = 0; r >= 0; i++) {
		r = gs_image_needed(img, i, &library, err);
		if (r)
			break;
		gs_out_printf(o, "needed\t%s\n", library);
	}
	return r < 0 ? r : gs_image_each_symbol(img, print_symbol, o, err);
}

static int look_up(struct gs_out *o, const struct gs_image *img, char **names, int n,
		   struct gs_err *err)
{
	for (int i = 0; i < n; i++) {
		struct gs_image_symbol s;
		int64_t t = gs_now_ns();
		int r = gs_image_find_symbol(img, names[i], &s, err);

		t = gs_now_ns() - t;
		if (r < 0)
			return r;
		gs_out_printf(o, "found\t%s\t%#" PRIx64 "\t%.3f ms\n", names[i], r ? 0 : s.addr,
			      (double)t / 1e6);
	}
	return 0;
}

int main(int argc, char **argv)
{
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	struct gs_err err = { 0 };
	int64_t t = gs_now_ns();
	int r;

	gs_out_init_fd(&o, STDOUT_FILENO);
	gs_sigbus_install();
	r = argc > 1 ? gs_image_open(argv[1], &img, &err) : -1;
	t = gs_now_ns() - t;
	if (r == 0 && argc > 2) {
		gs_out_printf(&o, "opened\t%.3f ms\n", (double)t / 1e6);
		r = look_up(&o, img, argv + 2, argc - 2, &err);
	} else if (r == 0) {
		print_info(&o, gs_image_info(img));
		print_tables(&o, img);
		r = print_rest(&o, img, &err);
	}
	if (r == 0)
		r = gs_out_flush(&o, "standard output", &err);
	if (r < 0)
		fprintf(stderr, "image_print: %s\n", argc > 1 ? err.text : "which file?");
	return r < 0;
}
