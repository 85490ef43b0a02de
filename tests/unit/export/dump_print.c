/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Write the hand-made dump in a format, so that other tools can read it:
 *
 *	dump_print text|json|folded|pprof [group] [pretty] [all] [labels] [colour]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump_sample.h"

static const struct gs_dump_format *const formats[] = { &gs_dump_text, &gs_dump_json,
							&gs_dump_folded, &gs_dump_pprof };

int main(int argc, char **argv)
{
	struct gs_dump_options o = { .time_unix_ns = INT64_C(1767225600123456789),
				     .duration_ns = 12000000,
				     .n_total = SAMPLE_COUNT };
	const struct gs_dump_format *f = NULL;
	struct gs_out out;
	struct gs_err err;

	for (int i = 1; i < argc; i++) {
		for (size_t k = 0; k < GS_ARRAY_SIZE(formats); k++)
			if (strcmp(argv[i], formats[k]->name) == 0)
				f = formats[k];
		o.grouped |= strcmp(argv[i], "group") == 0;
		o.pretty |= strcmp(argv[i], "pretty") == 0;
		o.all_frames |= strcmp(argv[i], "all") == 0;
		o.header_labels |= strcmp(argv[i], "labels") == 0;
		o.colour |= strcmp(argv[i], "colour") == 0;
	}
	if (!f)
		return 2;
	gs_out_init_fd(&out, STDOUT_FILENO);
	if (gs_sample_write(f, &out, &o, "go1.27.3", &err) < 0 ||
	    gs_out_flush(&out, "standard output", &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		gs_out_deinit(&out);
		return 1;
	}
	gs_out_deinit(&out);
	return 0;
}
