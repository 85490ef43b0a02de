/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * mem as folded stacks, the input of flame graph tools:
 *
 *	anonymous;rw-p\x2064.0\x20MiB 214958080
 *	heap_live;main.main;main.(*Cache).load 52428800
 *	heap_free 1048576
 *
 * One line per part of the memory (memory_parts.c): class, then item or allocation stack, outermost function first; one space; bytes that
 * are resident, of a core file bytes of address space. The lines add up to the RSS. The only space in a line is that before the number
 * and ";" stands only between frames: in names both become \x20 and \x3b, control characters \xNN.
 */
#include <stdlib.h>
#include <string.h>

#include "export/frame_words.h"
#include "export/memory_private.h"

static void stack(struct gs_out *o, struct gs_out *name, const struct gs_stack *s,
		  unsigned int go_minor)
{
	for (uint32_t i = s ? s->n_frames : 0; i-- > 0;) {
		const struct gs_frame *f = &s->frames[i];

		if (!gs__mem_frame_shown(f))
			continue;
		name->len = 0;
		gs__put_function(name, f, go_minor);
		if (!name->len)
			gs_out_str(name, "?");
		gs_out_char(o, ';');
		gs__put_folded(o, name->len ? name->buf : "", name->len);
	}
}

void gs_memory_folded(struct gs_out *o, const struct gs_mem_result *r)
{
	unsigned int go_minor = gs_go_version_minor(r->process ? r->process->go_version : NULL);
	GS_CLEANUP(gs_freep) struct gs__mem_part *part = NULL;
	struct gs_out name;
	uint32_t n = 0;
	int e = gs__mem_parts(r, &part, &n, NULL);

	gs_out_init_mem(&name);
	for (uint32_t i = 0; i < n && !gs_out_failed(o); i++) {
		const struct gs__mem_part *p = &part[i];

		if (!p->weight)
			continue;
		gs_out_str(o, gs_mem_class_name(p->class));
		if (p->item && p->item->name && p->item->name[0]) {
			gs_out_char(o, ';');
			gs__put_folded(o, p->item->name, strlen(p->item->name));
		}
		if (p->site)
			stack(o, &name, p->site->stack, go_minor);
		gs_out_char(o, ' ');
		gs_out_u64(o, p->weight);
		gs_out_char(o, '\n');
	}
	if (!o->error)
		o->error = e < 0 ? e : name.error;
	gs_out_deinit(&name);
}
