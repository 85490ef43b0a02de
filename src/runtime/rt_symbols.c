/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * From pcs to frames, and from lists of pcs to shared stacks.
 *
 * A process has few distinct pcs on its stacks and few distinct stacks, whatever the number of its
 * goroutines, so both are cached for the life of the gs_rt: walking a known stack touches one hash
 * slot per frame and nothing else. Keys are pc << 1 | trap: at a trap the instruction itself was
 * running, everywhere else the pc is a return address and the call before it is meant
 * (runtime/traceback.go, unwinder.symPC).
 *
 * What Go's tracebacks hide depends on the neighbours of a frame (showframe, elideWrapperCalling), so
 * that is decided per stack, not per pc.
 */
#include "runtime/rt_private.h"

#include <string.h>

#include "base/hash.h"

bool gs__runtime_internal(const char *name, unsigned int minor)
{
	const char *method, *rcvr;

	if (!strchr(name, '.'))
		return true;
	if (strncmp(name, "runtime.", 8) != 0)
		return false;
	name += 8;
	/* Up to 1.22 only the first character counted; 1.23 looks at receiver and method. */
	method = minor >= 23 ? strrchr(name, '.') : NULL;
	if (!method)
		return !(name[0] >= 'A' && name[0] <= 'Z');
	rcvr = name;
	if (method - rcvr >= 3 && rcvr[0] == '(' && rcvr[1] == '*' && method[-1] == ')')
		rcvr += 2;
	return !(method[1] >= 'A' && method[1] <= 'Z' && rcvr[0] >= 'A' && rcvr[0] <= 'Z');
}

const struct gs__module *gs__module_at(const struct gs_rt *rt, gs_addr pc)
{
	for (uint32_t i = 0; i < rt->n_modules; i++)
		if (pc >= rt->module[i].lo && pc < rt->module[i].hi)
			return &rt->module[i];
	return NULL;
}

/* Growth of both tables: double when half full. @return false when out of memory. */
static bool grow(void ***slot, uint32_t *mask, uint32_t n, uint64_t (*hash)(const void *))
{
	uint32_t old = *slot ? *mask + 1 : 0, size = old ? old * 2 : 1024;
	void **bigger;

	if (*slot && n < old / 2)
		return true;
	bigger = gs_array_new(size, sizeof(*bigger));
	if (!bigger)
		return false;
	for (uint32_t i = 0; i < old; i++) {
		uint32_t at;

		if (!(*slot)[i])
			continue;
		at = (uint32_t)hash((*slot)[i]) & (size - 1);
		while (bigger[at])
			at = (at + 1) & (size - 1);
		bigger[at] = (*slot)[i];
	}
	free(*slot);
	*slot = bigger;
	*mask = size - 1;
	return true;
}

static inline uint64_t key_hash(uint64_t key)
{
	return gs_hash_u64(gs_hash_seed(), key);
}

static uint64_t pc_hash(const void *p)
{
	return key_hash(((const struct gs__pc *)p)->key);
}

static uint64_t stack_hash(const void *p)
{
	return ((const struct gs__stack *)p)->pub.hash;
}

static void fill_pc(struct gs_rt *rt, struct gs__pc *ret, gs_addr pc)
{
	const struct gs__module *mod = gs__module_at(rt, pc);

	if (!mod)
		return;
	if (gs_go_func_find(mod->tab, pc, &ret->func, NULL) != 0)
		return;
	ret->known = true;
	ret->entry = ret->func.entry;
	ret->module = (uint16_t)(mod - rt->module);
	ret->flag = ret->func.flag;
	ret->id = ret->func.id;
	ret->has_pcsp = ret->func.pcsp != 0;
	ret->has_delta = gs_go_sp_delta(mod->tab, &ret->func, pc, &ret->sp_delta, NULL) == 0;
}

const struct gs__pc *gs__pc_get(struct gs_rt *rt, gs_addr pc, bool trap)
{
	struct gs__pc_cache *c = &rt->pcs;
	uint64_t key = pc << 1 | (trap ? 1 : 0);
	struct gs__pc *p;
	uint32_t at;

	if (c->slot) {
		at = (uint32_t)key_hash(key) & c->mask;
		for (; (p = c->slot[at]); at = (at + 1) & c->mask)
			if (p->key == key)
				return p;
	}
	if (!grow((void ***)&c->slot, &c->mask, c->n, pc_hash))
		return NULL;
	p = gs_arena_alloc(rt->arena, sizeof(*p));
	if (!p)
		return NULL;
	p->key = key;
	fill_pc(rt, p, pc);
	at = (uint32_t)key_hash(key) & c->mask;
	while (c->slot[at])
		at = (at + 1) & c->mask;
	c->slot[at] = p;
	c->n++;
	return p;
}

/* The pc that line tables are asked for: unwinder.symPC. */
static gs_addr line_pc(const struct gs__pc *p)
{
	gs_addr pc = p->key >> 1;

	return (p->key & 1) || pc <= p->entry ? pc : pc - 1;
}

const struct gs_frame *gs__pc_frames(struct gs_rt *rt, const struct gs__pc *cp)
{
	struct gs__pc *p = (struct gs__pc *)cp; /* the cache is ours; const is for its users */
	struct gs_go_line lines[GS_RT_MAX_LINES];
	struct gs_frame *f;
	int n = 0;

	if (p->frames || p->n_frames)
		return p->frames;
	if (p->known)
		n = gs_go_lines(rt->module[p->module].tab, &p->func, line_pc(p), lines,
				GS_RT_MAX_LINES, NULL);
	if (n <= 0) {
		lines[0] = (struct gs_go_line){ .function = p->known ? p->func.name : "",
						.file = "",
						.entry = p->entry };
		n = 1;
	}
	f = gs_arena_array(rt->arena, (size_t)n, sizeof(*f));
	if (!f)
		return NULL;
	for (int i = 0; i < n; i++) {
		f[i] = (struct gs_frame){ .pc = p->key >> 1,
					  .entry = lines[i].entry,
					  .function = lines[i].function,
					  .file = lines[i].file,
					  .line = lines[i].line };
		f[i].flags = (lines[i].inlined ? GS_FRAME_INLINED : 0u) |
			     (lines[i].wrapper ? GS_FRAME_WRAPPER : 0u) |
			     (p->known ? 0u : (uint32_t)GS_FRAME_FOREIGN);
	}
	p->n_frames = (uint16_t)n;
	p->frames = f;
	return f;
}

/* printcreatedby1: the physical function, but the line of the innermost inlined call. */
const struct gs_frame *gs__creator(struct gs_rt *rt, gs_addr gopc)
{
	struct gs__pc *p = (struct gs__pc *)gs__pc_get(rt, gopc, false);
	const struct gs_frame *all;
	struct gs_frame *f;

	if (!p || !p->known)
		return NULL;
	if (p->creator)
		return p->creator;
	all = gs__pc_frames(rt, p);
	f = gs_arena_alloc(rt->arena, sizeof(*f));
	if (!all || !f)
		return NULL;
	*f = all[p->n_frames - 1];
	f->file = all[0].file;
	f->line = all[0].line;
	f->flags = (f->flags & GS_FRAME_WRAPPER) || gs__runtime_internal(f->function, rt->minor)
			   ? GS_FRAME_HIDDEN
			   : 0;
	p->creator = f;
	return f;
}

/* A wrapper that called a panic function is shown: it panicked instead of calling what it wraps. */
static bool panics(const char *callee)
{
	return callee &&
	       (strcmp(callee, "runtime.gopanic") == 0 || strcmp(callee, "runtime.sigpanic") == 0 ||
		strcmp(callee, "runtime.panicwrap") == 0);
}

/* runtime/traceback.go showfuncinfo. @first: no frame was shown before this one. */
static bool hidden(const struct gs_frame *f, const char *callee, bool first, unsigned int minor)
{
	if (f->flags & GS_FRAME_FOREIGN) /* Go's tracebacks have no C; its names have no dots */
		return false;
	if ((f->flags & GS_FRAME_WRAPPER) && !panics(callee))
		return true;
	if (minor >= 25 && (strcmp(f->function, "runtime.runFinalizers") == 0 ||
			    strcmp(f->function, "runtime.runCleanups") == 0))
		return false;
	if (strcmp(f->function, "runtime.gopanic") == 0 && !first)
		return false;
	return gs__runtime_internal(f->function, minor);
}

static void mark_hidden(struct gs_frame *f, uint32_t n, unsigned int minor)
{
	const char *callee = NULL;
	uint32_t shown = 0;

	for (uint32_t i = 0; i < n; i++) {
		bool hide = hidden(&f[i], callee, shown == 0, minor);

		if (panics(callee))
			f[i].flags &= ~(uint32_t)GS_FRAME_WRAPPER;
		callee = f[i].function;
		if (hide)
			f[i].flags |= GS_FRAME_HIDDEN;
		else
			shown++;
	}
	/* traceback1: if that leaves nothing, everything is shown. */
	for (uint32_t i = 0; i < n && shown == 0; i++)
		f[i].flags &= ~(uint32_t)GS_FRAME_HIDDEN;
}

static struct gs__stack *make_stack(struct gs_rt *rt, const uint64_t *keys, uint32_t n,
				    enum gs_stack_end end, uint64_t hash)
{
	struct gs__stack *s = gs_arena_alloc(rt->arena, sizeof(*s));
	uint64_t *copy = gs_arena_array(rt->arena, n, sizeof(*copy));
	struct gs_frame *frames;
	uint32_t total = 0, at = 0;

	if (!s || !copy)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		const struct gs__pc *p = gs__pc_get(rt, keys[i] >> 1, keys[i] & 1);

		if (!p || !gs__pc_frames(rt, p))
			return NULL;
		total += p->n_frames;
	}
	frames = gs_arena_array(rt->arena, total, sizeof(*frames));
	if (!frames)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		const struct gs__pc *p = gs__pc_get(rt, keys[i] >> 1, keys[i] & 1);

		memcpy(frames + at, p->frames, p->n_frames * sizeof(*frames));
		at += p->n_frames;
	}
	mark_hidden(frames, total, rt->minor);
	if (n)
		memcpy(copy, keys, n * sizeof(*copy));
	s->pub = (struct gs_stack){
		.hash = hash, .id = rt->stacks.n, .n_frames = total, .end = end, .frames = frames
	};
	s->n_pcs = n;
	s->pcs = copy;
	return s;
}

const struct gs_stack *gs__stack_intern(struct gs_rt *rt, const uint64_t *keys, uint32_t n,
					enum gs_stack_end end)
{
	struct gs__stack_cache *c = &rt->stacks;
	uint64_t hash = gs_hash_u64(gs_hash_seed(), (uint64_t)end);
	struct gs__stack *s;
	uint32_t at;

	for (uint32_t i = 0; i < n; i++)
		hash = gs_hash_u64(hash, keys[i]);
	if (!grow((void ***)&c->slot, &c->mask, c->n, stack_hash))
		return NULL;
	at = (uint32_t)hash & c->mask;
	for (; (s = c->slot[at]); at = (at + 1) & c->mask)
		if (s->pub.hash == hash && s->n_pcs == n && s->pub.end == end &&
		    (n == 0 || memcmp(s->pcs, keys, n * sizeof(*keys)) == 0))
			return &s->pub;
	s = make_stack(rt, keys, n, end, hash);
	if (!s)
		return NULL;
	c->slot[at] = s;
	c->n++;
	return &s->pub;
}

void gs__symbols_free(struct gs_rt *rt)
{
	free(rt->pcs.slot);
	free(rt->stacks.slot);
	rt->pcs = (struct gs__pc_cache){ 0 };
	rt->stacks = (struct gs__stack_cache){ 0 };
}
