/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* A whole file as inspect reads it: image, build info, ids, function table, checks. */
#include <string.h>

#include "analysis/inspect.h"
#include "fuzz.h"

static size_t sum;

static void touch(const char *s)
{
	sum += s ? strlen(s) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	GS_CLEANUP(gs_arena_freep) struct gs_arena *arena = gs_arena_new(64u << 20);
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	const struct gs_inspect_host host = { .arch = GS_ARCH_AMD64 };
	struct gs_inspect_check checks[GS_INSPECT_CHECKS_MAX];
	struct gs_inspect facts;
	struct gs_err err;
	uint32_t n;

	if (gs_image_from_bytes(data, size, "input", &img, &err) < 0 ||
	    gs_inspect_read(img, arena, &facts, &err) < 0)
		return 0;
	touch(facts.goos);
	touch(facts.goarch);
	touch(facts.image_id);
	touch(facts.go_build_id);
	touch(facts.vcs.revision);
	n = gs_inspect_checks(&facts, &host, checks);
	for (uint32_t i = 0; i < n; i++)
		touch(checks[i].detail);
	return 0;
}
