/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * mem --objects as text: what lives, by type; who keeps it alive, by root; with --path, from a root to an object.
 *
 *	shop (PID 4711, go1.26.10): 1,204,311 live objects, 210 MiB (the types of 99.1 % are known); walked in 412 ms
 *
 *	   BYTES   SHARE    OBJECTS  TYPE
 *	 120 MiB  57.1 %     800000  main.Order
 */
#include <inttypes.h>
#include <stdio.h>

#include "export/memory_private.h"
#include "export/why_export.h"

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100 * (double)part / (double)whole : 0;
}

static void head(struct gs__lines *t, const struct gs_heap_objects_result *r)
{
	char a[24];

	gs__mem_put_process(t, r->process);
	gs_out_printf(&t->line, ": %" PRIu64 " live object%s, %s", r->objects,
		      r->objects == 1 ? "" : "s", gs__mem_bytes(a, r->bytes));
	if (r->bytes)
		gs_out_printf(&t->line, " (the types of %.1f %% are known)",
			      percent(r->typed_bytes, r->bytes));
	if (r->seconds_ns > 0)
		gs_out_printf(&t->line, "; walked in %s", gs_why_time(a, r->seconds_ns));
	gs__put_line(t, GS__BOLD);
	if (r->unreached_objects) {
		gs_out_printf(&t->line, "garbage not collected yet: %" PRIu64 " objects, %s",
			      r->unreached_objects, gs__mem_bytes(a, r->unreached_bytes));
		gs__put_line(t, GS__PLAIN);
	}
}

/* What is listed without a type. */
static bool any_unknown(const struct gs_heap_objects_result *r)
{
	for (uint32_t i = 0; i < r->n_types; i++)
		if (r->types[i].how == GS_TYPE_NONE)
			return true;
	return false;
}

static void types(struct gs__lines *t, const struct gs_heap_objects_result *r)
{
	bool retained = false;
	char a[24];

	if (!r->n_types)
		return;
	for (uint32_t i = 0; i < r->n_types; i++)
		retained = retained || r->types[i].retained_bytes;
	gs__put_line(t, GS__PLAIN);
	gs_out_printf(&t->line, "    BYTES    SHARE     OBJECTS  %sTYPE",
		      retained ? " RETAINED  " : "");
	gs__put_line(t, GS__BOLD);
	for (uint32_t i = 0; i < r->n_types; i++) {
		const struct gs_heap_type *x = &r->types[i];

		gs_out_printf(&t->line, "%9s  %5.1f %%  %10" PRIu64 "  ",
			      gs__mem_bytes(a, x->bytes), percent(x->bytes, r->bytes), x->objects);
		if (retained)
			gs_out_printf(&t->line, "%9s  ",
				      x->retained_bytes ? gs__mem_bytes(a, x->retained_bytes) : "");
		gs__put_name(t, x->name ? x->name : "?");
		gs__put_line(t, x->how == GS_TYPE_NONE ? GS__DIM : GS__PLAIN);
	}
	if (r->sampled_objects && any_unknown(r)) {
		gs_out_str(
			&t->line,
			"(which code allocates most, of known type or not: gosonde mem --sites)");
		gs__put_line(t, GS__DIM);
	}
}

static void put_root(struct gs__lines *t, const struct gs_heap_root *x)
{
	gs__put_name(t, x->name ? x->name : "?");
	if (x->type && x->type[0]) {
		gs_out_char(&t->line, ' ');
		gs__put_name(t, x->type);
	}
	if (x->frame) {
		gs_out_str(&t->line, " in ");
		gs__mem_frame(&t->line, x->frame, t->go_minor);
	}
}

static void roots(struct gs__lines *t, const struct gs_heap_objects_result *r)
{
	bool reached = false;
	char a[24], b[24];

	if (!r->n_roots && !r->shared_objects)
		return;
	for (uint32_t i = 0; i < r->n_roots; i++)
		reached = reached || r->roots[i].reached_bytes;
	gs__put_line(t, GS__PLAIN);
	gs_out_printf(&t->line, "    ALONE    SHARE     OBJECTS  %sKEPT BY",
		      reached ? "  REACHES  " : "");
	gs__put_line(t, GS__BOLD);
	for (uint32_t i = 0; i < r->n_roots; i++) {
		const struct gs_heap_root *x = &r->roots[i];

		gs_out_printf(&t->line, "%9s  %5.1f %%  %10" PRIu64 "  ",
			      gs__mem_bytes(a, x->bytes), percent(x->bytes, r->bytes), x->objects);
		if (reached)
			gs_out_printf(&t->line, "%9s  ",
				      x->reached_bytes ? gs__mem_bytes(b, x->reached_bytes) : "");
		put_root(t, x);
		gs__put_line(t, GS__PLAIN);
	}
	if (!r->shared_objects)
		return;
	gs_out_printf(&t->line, "%9s  %5.1f %%  %10" PRIu64 "  %sseveral of them",
		      gs__mem_bytes(a, r->shared_bytes), percent(r->shared_bytes, r->bytes),
		      r->shared_objects, reached ? "           " : "");
	gs__put_line(t, GS__PLAIN);
}

static void path(struct gs__lines *t, const struct gs_heap_objects_result *r)
{
	if (!r->n_path)
		return;
	gs__put_line(t, GS__PLAIN);
	gs_out_str(&t->line, "PATH from a root");
	gs__put_line(t, GS__BOLD);
	for (uint32_t i = 0; i < r->n_path; i++) {
		const struct gs_heap_path_step *s = &r->path[i];

		// Deep chains stay on the page: a linked list has thousands of steps.
		gs_out_printf(&t->line, "  %*s", (int)(i < 20 ? 2 * i : 40), "");
		gs__put_name(t, s->what ? s->what : "?");
		if (s->addr)
			gs_out_printf(&t->line, "  %#" PRIx64, s->addr);
		if (s->type && s->type[0]) {
			gs_out_str(&t->line, "  ");
			gs__put_name(t, s->type);
		}
		gs__put_line(t, GS__PLAIN);
	}
}

void gs_heap_objects_text(struct gs_out *o, const struct gs_heap_objects_result *r,
			  const struct gs_memory_print *p)
{
	struct gs__lines t;

	gs__lines_init(&t, o, p->colour, p->width, r->process);
	head(&t, r);
	path(&t, r);
	types(&t, r);
	roots(&t, r);
	gs__lines_deinit(&t);
}
