/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_INSPECT_MODULES_H
#define GS_ANALYSIS_INSPECT_MODULES_H

/*
 * Do go.mod, go.sum, vendor/modules.txt and a binary agree? The rules are those of the go command:
 * modload/vendor.go (checkVendorConsistency) and modfetch (checkMod); what needs the whole module
 * graph, which is not on this machine, is left to it.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "analysis/gomod.h"
#include "analysis/inspect.h"
#include "base/arena.h"

/* What is known of a module's directory; absent files are NULL. */
struct gs_module_files {
	const struct gs_gomod *gomod;
	const struct gs_gosum *gosum;
	const struct gs_vendor *vendor;
};

struct gs_module_finding {
	enum gs_verdict verdict; /* WARN or FAIL */
	const char *module;      /* path, raw; "" if about no single module */
	char detail[260];        /* escaped */
};

#define GS_MODULE_FINDINGS_MAX 200

struct gs_module_findings {
	struct gs_module_finding *list; /* GS_MODULE_FINDINGS_MAX, in the arena */
	uint32_t n, n_fail;
	uint32_t dropped; /* beyond the maximum */
};

/** Room for findings. */
GS_CHECKED int gs_module_findings_init(struct gs_module_findings *f, struct gs_arena *arena,
				       struct gs_err *err);
/** Compare the files with each other. */
void gs_module_check_files(const struct gs_module_files *m, struct gs_module_findings *ret);
/** Compare a binary's modules with the files. */
void gs_module_check_binary(const struct gs_module_files *m, const struct gs_go_buildinfo *bi,
			    struct gs_module_findings *ret);
/** -1, 0 or 1: Go versions such as "1.21", "1.21.3", "go1.22rc1" (rc and beta come before). */
int gs_go_version_compare(const char *a, const char *b);

#endif
