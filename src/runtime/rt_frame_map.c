/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What a pc says of the frame of its function: which words are alive while it waits there (getStackMap in
 * runtime/stkframe.go; up to Go 1.20 in stack.go). Kept with the pc.
 */
#include "runtime/rt_frame_map.h"

#include <errno.h>
#include <string.h>

#define MASK_BYTES_MAX (64u << 10) /* of one stack object's pointers */

static bool is_reflect_stub(const char *name)
{
	return strcmp(name, "reflect.makeFuncStub") == 0 ||
	       strcmp(name, "reflect.methodValueCall") == 0;
}

/* The pointer mask of a stack object's type, from the module's read-only data. */
static const uint8_t *object_mask(struct gs_rt *rt, const struct gs__module *mod,
				  const struct gs_go_stack_object *o)
{
	size_t len = (o->ptr_bytes / 8 + 7) / 8;
	uint8_t *mask;

	if (o->program || !mod->md.rodata || len == 0 || len > MASK_BYTES_MAX)
		return NULL;
	mask = gs_arena_alloc(rt->arena, len);
	if (!mask || gs_memory_read(rt->mem, mod->md.rodata + o->mask, mask, len, NULL) < 0)
		return NULL;
	return mask;
}

static int load_objects(struct gs_rt *rt, const struct gs__module *mod, const struct gs_go_func *f,
			struct gs__frame_map *m)
{
	struct gs__stack_object *all;
	struct gs_cursor c;
	uint32_t n;
	int r = gs_go_stack_objects(mod->tab, f, &c, &n, NULL);

	if (r != 0)
		return r < 0 ? r : 0;
	all = n ? gs_arena_array(rt->arena, n, sizeof(*all)) : NULL;
	if (!all)
		return n ? -ENOMEM : 0;
	for (uint32_t i = 0; i < n; i++) {
		struct gs_go_stack_object o;

		r = gs_go_stack_object(&c, &o, NULL);
		if (r < 0)
			return r;
		all[i] = (struct gs__stack_object){ .offset = o.offset,
						    .size = o.size,
						    .ptr_bytes = o.ptr_bytes,
						    .mask = object_mask(rt, mod, &o) };
	}
	m->objects = all;
	m->n_objects = n;
	return 0;
}

gs_addr gs__call_of(const struct gs__pc *p)
{
	gs_addr pc = p->key >> 1;

	if (p->key & 1) /* its callee is sigpanic */
		return p->func.deferreturn ? p->func.entry + p->func.deferreturn : 0;
	return pc == p->func.entry ? pc : pc - 1;
}

/* Number of the stack map that holds there. @return false if there is none. */
static bool map_index(const struct gs__pc *p, const struct gs__module *mod, int32_t *ret)
{
	gs_addr pc = gs__call_of(p);

	if (!pc)
		return false;
	*ret = -1;
	/* At the very entry the first map counts, and so it does where there is no number. */
	if (pc != p->func.entry &&
	    gs_go_pcdata(mod->tab, &p->func, GS_GO_PCDATA_STACK_MAP, pc, ret, NULL) < 0)
		*ret = -1;
	if (*ret < 0)
		*ret = 0;
	return true;
}

static void load_map(struct gs_rt *rt, const struct gs__pc *p, struct gs__frame_map *m)
{
	const struct gs__module *mod = &rt->module[p->module];
	const struct gs_go_func *f = &p->func;
	int32_t index;
	int r;

	m->args_bytes = f->args_bytes > 0 ? (uint32_t)f->args_bytes : 0;
	if (p->id == GS_GO_FUNC_ASYNC_PREEMPT || p->id == GS_GO_FUNC_DEBUG_CALL) {
		m->kind = GS__FRAME_INTERRUPTED;
		return;
	}
	if (!map_index(p, mod, &index)) {
		m->kind = GS__FRAME_DEAD;
		return;
	}
	m->kind = GS__FRAME_BROKEN;
	r = gs_go_stack_map(mod->tab, f, GS_GO_FUNCDATA_LOCALS_MAPS, index, &m->locals, NULL);
	if (r < 0)
		return;
	m->no_locals = r != 0;
	if (m->args_bytes) {
		r = gs_go_stack_map(mod->tab, f, GS_GO_FUNCDATA_ARGS_MAPS, index, &m->args, NULL);
		m->args_broken = r != 0;
	}
	if (load_objects(rt, mod, f, m) < 0)
		return;
	m->kind = f->args_bytes < 0 && is_reflect_stub(f->name) ? GS__FRAME_REFLECT
								: GS__FRAME_NORMAL;
}

const struct gs__frame_map *gs__frame_map_of(struct gs_rt *rt, const struct gs__pc *p)
{
	struct gs__frame_map *m;

	if (p->map)
		return p->map;
	m = gs_arena_alloc(rt->arena, sizeof(*m));
	if (!m)
		return NULL;
	load_map(rt, p, m);
	((struct gs__pc *)(uintptr_t)p)->map = m; /* the cache's own, handed out as const */
	return m;
}
