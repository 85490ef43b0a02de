/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Probes in files other than the executable: dlopen of the C library, to tell on whose behalf the dynamic linker maps what it maps. It
 * is the entry of a C function, whose stack does not move, and nothing is put at its return.
 *
 * glibc has dlopen in libc.so.6 (2.34 and later) or libdl.so.2; musl in its one library. Both export it, so stripped ones have the name
 * too. A program without a C library cannot load anything.
 */
#include <string.h>

#include "probe/plan_private.h"

void gs__plan_libraries(struct gs__plan *pl)
{
	struct gs_probe_plan *p = pl->p;

	for (uint32_t i = 0; pl->w->want & GS_PROBE_WANT_DLOPEN && i < pl->b->n_libraries; i++) {
		const struct gs_probe_library *l = &pl->b->lib[i];
		struct gs_image_symbol s;
		uint64_t offset;

		if (!l->image) {
			gs__plan_refuse(pl, "dlopen",
					"loading of libraries not seen: %.100s cannot be read",
					l->path);
			continue;
		}
		if (gs_image_find_symbol(l->image, "dlopen", &s, NULL) != 0 ||
		    gs__plan_file_offset(l->image, s.addr, &offset) != 0)
			continue;
		if (p->n_sites == GS_PLAN_SITES_MAX)
			return;
		p->site[p->n_sites++] = (struct gs_probe_site){
			.program = GS_PROG_DLOPEN,
			.placement = GS_PLACE_ENTRY,
			.group = GS_GROUP_SYSCALLS,
			.function = "dlopen",
			.addr = s.addr + l->bias,
			.file_offset = offset,
			.lib = i + 1,
		};
	}
}
