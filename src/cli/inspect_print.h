/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_INSPECT_PRINT_H
#define GS_CLI_INSPECT_PRINT_H

#include "analysis/inspect.h"
#include "analysis/inspect_modules.h"
#include "base/out.h"

/** Everything inspect found; parts that were not asked for are NULL. */
struct gs_inspect_result {
	const char *name; /* file name or "PID 42 (/usr/bin/x)"; raw */
	const struct gs_image *image;
	const struct gs_inspect *facts;
	const struct gs_inspect_check *checks;
	uint32_t n_checks;
	const char *sha256;           /* computed and equal to what was asked for */
	const char *module_directory; /* as given */
	const struct gs_module_files *module_files;
	const struct gs_module_findings *findings;
};

void gs_inspect_print_text(struct gs_out *o, const struct gs_inspect_result *r, bool colour);
void gs_inspect_print_json(struct gs_out *o, const struct gs_inspect_result *r);

#endif
