/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * From a function to sites in the plan: its code in the file, the places that code_sites.c finds in
 * it, the offset that the kernel wants, and the comparison with the running process.
 *
 * Memory may differ from the file by breakpoints: other tracers' uprobes and debuggers write INT3 or
 * BRK over the first byte or word of an instruction. The kernel lets uprobes share a place; so such a
 * difference is accepted, any other is not.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "probe/plan_private.h"

void gs__plan_body_add(struct gs__plan_body *b, const struct gs_go_func *f)
{
	bool wrapper = f->id == GS_GO_FUNC_WRAPPER;

	if (wrapper)
		b->n_wrappers++;
	else
		b->n_bodies++;
	if (!b->func.name || (!wrapper && b->func.id == GS_GO_FUNC_WRAPPER))
		b->func = *f;
}

bool gs__plan_body_ok(const struct gs__plan_body *b, bool wrappers, char *why, size_t size)
{
	if (!b->func.name)
		snprintf(why, size, "it is not in the binary");
	else if (b->n_bodies > 1)
		snprintf(why, size,
			 "there are %u functions of that name, and none is known to be it",
			 b->n_bodies);
	else if (b->n_bodies == 0 && (!wrappers || b->n_wrappers > 1))
		snprintf(why, size, "only wrappers of it are in the binary");
	else
		return true;
	return false;
}

int gs__plan_code(const struct gs__plan *pl, const struct gs_go_func *f, struct gs_cursor *ret,
		  struct gs_err *err)
{
	struct gs_cursor c;
	int r;

	if (f->end <= f->entry || f->end - f->entry > GS_GO_SITES_MAX_CODE)
		return gs_fail(err, -GS_E_LIMIT, f->entry,
			       "its size in the function table, %#" PRIx64 " bytes, is too much",
			       f->end - f->entry);
	r = gs_image_at(pl->b->image, f->entry - pl->b->bias, &c, err);
	if (r != 0)
		return r < 0 ? r
			     : gs_fail(err, -GS_E_BAD_DATA, f->entry,
				       "its code at %#" PRIx64 " is not in the file", f->entry);
	return gs_cursor_sub(&c, f->end - f->entry, ret, err);
}

const char *gs__plan_name(struct gs__plan *pl, const char *name)
{
	struct gs_probe_plan *p = pl->p;
	size_t n = strlen(name) + 1;
	char *to = p->names + p->names_len;

	// Names repeat in a row: the sites of one function.
	if (p->n_sites && strcmp(p->site[p->n_sites - 1].function, name) == 0)
		return p->site[p->n_sites - 1].function;
	if (n > sizeof(p->names) - p->names_len)
		return "?";
	memcpy(to, name, n);
	p->names_len += (uint32_t)n;
	return to;
}

/* Offset in the file of the byte at link-time address @addr. @return 0; 1 if it is not in the file. */
int gs__plan_file_offset(const struct gs_image *img, gs_addr addr, uint64_t *ret)
{
	for (uint32_t i = 0; i < gs_image_info(img)->n_segments; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(img, i);

		if (!(s->flags & GS_IMAGE_EXEC) || addr < s->addr || addr - s->addr >= s->file_size)
			continue;
		*ret = s->offset + (addr - s->addr);
		return 0;
	}
	return 1;
}

/* Whether memory differs from the file by a breakpoint only. */
static bool is_breakpoint(enum gs_arch arch, const uint8_t *mem, const uint8_t *file, size_t n)
{
	uint32_t word;

	if (arch == GS_ARCH_AMD64)
		return mem[0] == 0xcc && memcmp(mem + 1, file + 1, n - 1) == 0;
	memcpy(&word, mem, sizeof(word));
	return (word & 0xffe0001f) == 0xd4200000;
}

static int check_memory(const struct gs__plan *pl, const struct gs_go_func *f,
			const struct gs_go_site *s, struct gs_err *err)
{
	uint8_t mem[16], file[16];
	struct gs_cursor c, at;
	int r;

	if (s->pc < f->entry || s->pc >= f->end || s->length > sizeof(mem) ||
	    (pl->arch == GS_ARCH_ARM64 && s->length != 4))
		return gs_fail(err, -GS_E_BAD_DATA, s->pc, "a place outside of the function");
	r = gs__plan_code(pl, f, &c, err);
	if (r == 0)
		r = gs_cursor_window(&c, s->pc - f->entry, s->length, &at, err);
	if (r == 0)
		r = gs_cursor_bytes(&at, file, s->length, err);
	if (r < 0 || !pl->b->mem)
		return r;
	r = gs_memory_read(pl->b->mem, s->pc, mem, s->length, err);
	if (r < 0)
		return r;
	if (memcmp(mem, file, s->length) == 0 || is_breakpoint(pl->arch, mem, file, s->length))
		return 0;
	return gs_fail(err, -GS_E_BAD_DATA, s->pc,
		       "the process has other code at %#" PRIx64 " than its file", s->pc);
}

static enum gs_probe_placement placement_of(enum gs_go_site_kind k)
{
	switch (k) {
	case GS_GO_SITE_PUSH:
		return GS_PLACE_PUSH;
	case GS_GO_SITE_BRANCH:
		return GS_PLACE_BRANCH;
	case GS_GO_SITE_RET:
	case GS_GO_SITE_TAIL:
		return GS_PLACE_RET;
	case GS_GO_SITE_CALL:
		return GS_PLACE_CALL;
	case GS_GO_SITE_ENTRY:
		break;
	}
	return GS_PLACE_ENTRY;
}

int gs__plan_add(struct gs__plan *pl, enum gs_probe_program program, enum gs_probe_group group,
		 uint32_t arg, const char *name, const struct gs_go_func *f,
		 const struct gs_go_site *s, struct gs_err *err)
{
	struct gs_probe_plan *p = pl->p;
	uint64_t offset;
	int r = check_memory(pl, f, s, err);

	if (r < 0)
		return r;
	if (gs__plan_file_offset(pl->b->image, s->pc - pl->b->bias, &offset) != 0)
		return gs_fail(err, -GS_E_BAD_DATA, s->pc,
			       "its code at %#" PRIx64 " is in no executable part of the file",
			       s->pc);
	if (p->n_sites == GS_PLAN_SITES_MAX)
		return gs_fail(err, -GS_E_LIMIT, 0, "more than %d probes are needed",
			       GS_PLAN_SITES_MAX);
	p->site[p->n_sites] = (struct gs_probe_site){
		.program = program,
		.placement = placement_of((enum gs_go_site_kind)s->kind),
		.group = group,
		.function = gs__plan_name(pl, name),
		.addr = s->pc,
		.file_offset = offset,
		.arg = arg,
		.emulated = s->emulated,
	};
	p->n_sites++;
	return 0;
}

int gs__plan_add_other(struct gs__plan *pl, enum gs_probe_program program,
		       enum gs_probe_placement placement, enum gs_probe_group group,
		       const char *name, struct gs_err *err)
{
	struct gs_probe_plan *p = pl->p;

	for (uint32_t i = 0; i < p->n_sites; i++)
		if (p->site[i].program == program)
			return 0;
	if (p->n_sites == GS_PLAN_SITES_MAX)
		return gs_fail(err, -GS_E_LIMIT, 0, "more than %d probes are needed",
			       GS_PLAN_SITES_MAX);
	p->site[p->n_sites++] = (struct gs_probe_site){
		.program = program,
		.placement = placement,
		.group = group,
		.function = name,
	};
	return 0;
}

int gs__plan_add_begin(struct gs__plan *pl, enum gs_probe_program program,
		       enum gs_probe_group group, uint32_t arg, const char *name,
		       const struct gs_go_func *f, bool once, struct gs_err *err)
{
	struct gs_go_site s;
	struct gs_cursor code;
	int r = gs__plan_code(pl, f, &code, err);

	if (r == 0)
		r = gs_go_site_begin(pl->arch, &code, f->entry, &s, err);
	if (r < 0)
		return r;
	if (once && s.loop)
		return gs_fail(err, -GS_E_UNSUPPORTED, f->entry,
			       "it begins with a loop, so its calls cannot be told apart");
	return gs__plan_add(pl, program, group, arg, name, f, &s, err);
}

enum { PLACES_MAX = 256 }; /* of one function */

static int add_all(struct gs__plan *pl, enum gs_probe_program program, enum gs_probe_group group,
		   uint32_t arg, const char *name, const struct gs_go_func *f,
		   const struct gs_go_site *s, size_t n, struct gs_err *err)
{
	uint32_t before = pl->p->n_sites;

	for (size_t i = 0; i < n; i++) {
		int r = gs__plan_add(pl, program, group, arg, name, f, &s[i], err);

		if (r < 0) {
			pl->p->n_sites = before;
			return r;
		}
	}
	return (int)n;
}

int gs__plan_add_ends(struct gs__plan *pl, enum gs_probe_program program, enum gs_probe_group group,
		      uint32_t arg, const char *name, const struct gs_go_func *f,
		      struct gs_err *err)
{
	struct gs_go_site s[PLACES_MAX];
	struct gs_cursor code;
	size_t n = 0;
	int r = gs__plan_code(pl, f, &code, err);

	if (r == 0)
		r = gs_go_sites_end(pl->arch, &code, f->entry, s, PLACES_MAX, &n, err);
	return r < 0 ? r : add_all(pl, program, group, arg, name, f, s, n, err);
}

int gs__plan_add_calls(struct gs__plan *pl, enum gs_probe_program program,
		       enum gs_probe_group group, uint32_t arg, const char *name,
		       const struct gs_go_func *f, gs_addr target, struct gs_err *err)
{
	struct gs_go_site s[PLACES_MAX];
	struct gs_cursor code;
	size_t n = 0;
	int r = gs__plan_code(pl, f, &code, err);

	if (r == 0)
		r = gs_go_sites_call(pl->arch, &code, f->entry, target, s, PLACES_MAX, &n, err);
	return r < 0 ? r : add_all(pl, program, group, arg, name, f, s, n, err);
}
