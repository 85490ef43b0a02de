/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the formats of a dump share; see dump_private.h. Kept texts lie in one arena with a limit, so
 * a process with millions of distinct stacks costs time, not memory. Stack ids are dense, so the table
 * is an array. Creators have no ids: theirs is a direct-mapped table in which a newer frame replaces
 * an older one (the older text stays in the arena until the end and counts against its limit).
 */
#include "export/dump_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/func_name.h"

int gs__writer_init(struct gs_dump_writer *w, struct gs_out *out, const struct gs_dump_options *o,
		    const struct gs_process *p, struct gs_err *err)
{
	w->out = out;
	w->o = *o;
	w->go_minor = gs_go_version_minor(p->go_version);
	gs_out_init_mem(&w->scratch);
	gs_out_init_mem(&w->name);
	w->cache.arena = gs_arena_new(GS__CACHE_BYTES);
	w->cache.frames = gs_array_new(GS__CACHE_FRAMES, sizeof(*w->cache.frames));
	if (!w->cache.arena || !w->cache.frames)
		return gs_fail(err, -ENOMEM, 0, "cannot write the dump: out of memory");
	return 0;
}

void gs__writer_deinit(struct gs_dump_writer *w)
{
	gs_out_deinit(&w->scratch);
	gs_out_deinit(&w->name);
	w->cache.arena = gs_arena_free(w->cache.arena);
	free(w->cache.stacks);
	free(w->cache.frames);
	w->cache = (struct gs__cache){ 0 };
}

int gs__writer_check(const struct gs_dump_writer *w, struct gs_err *err)
{
	int r = w->out->error;

	if (r == 0)
		r = w->scratch.error;
	if (r == 0)
		r = w->name.error;
	if (r == 0)
		return 0;
	return gs_fail(err, r, 0, "cannot write the dump: %s", strerror(-r));
}

const char *gs__display_name(struct gs_dump_writer *w, const char *function, size_t *ret_len)
{
	struct gs_func_name f = gs_func_name_split(function, gs__go_since(w, 27));

	if (f.n == 1) {
		*ret_len = f.len[0];
		return f.piece[0];
	}
	w->name.len = 0;
	for (unsigned int i = 0; i < f.n; i++)
		gs_out_bytes(&w->name, f.piece[i], f.len[i]);
	*ret_len = w->name.len;
	return w->name.len ? w->name.buf : "";
}

bool gs__show_hidden(const struct gs_dump_writer *w, const struct gs_stack *s)
{
	if (w->o.all_frames)
		return true;
	for (uint32_t i = 0; i < s->n_frames; i++)
		if (!(s->frames[i].flags & GS_FRAME_HIDDEN))
			return false;
	return true;
}

/* A copy of the scratch buffer in the arena, or the buffer itself when the arena is full. */
static struct gs__text keep(struct gs_dump_writer *w, uint32_t split, bool *ret_kept)
{
	struct gs__text t = { .p = w->scratch.len ? w->scratch.buf : "",
			      .len = (uint32_t)w->scratch.len,
			      .split = split };
	char *copy = gs_arena_strndup(w->cache.arena, t.p, t.len);

	*ret_kept = copy != NULL;
	if (copy)
		t.p = copy;
	return t;
}

static bool grow_stacks(struct gs__cache *c, uint32_t id)
{
	uint32_t n = c->n_stacks ? c->n_stacks : 256;
	struct gs__text *p;

	if (id < c->n_stacks)
		return true;
	if (id >= GS__CACHE_STACKS)
		return false;
	while (n <= id)
		n *= 2;
	p = gs_array_resize(c->stacks, n, sizeof(*p));
	if (!p)
		return false;
	memset(p + c->n_stacks, 0, (n - c->n_stacks) * sizeof(*p));
	c->stacks = p;
	c->n_stacks = n;
	return true;
}

struct gs__text gs__stack_keep(struct gs_dump_writer *w, const struct gs_stack *s, uint32_t split)
{
	bool room = grow_stacks(&w->cache, s->id), kept;
	struct gs__text t = keep(w, split, &kept);

	if (room && kept)
		w->cache.stacks[s->id] = t;
	return t;
}

static struct gs__frame_text *frame_slot(const struct gs_dump_writer *w, const struct gs_frame *f)
{
	return &w->cache.frames[gs_hash_u64(f->pc, f->line) % GS__CACHE_FRAMES];
}

static bool same_frame(const struct gs_frame *a, const struct gs_frame *b)
{
	return a->pc == b->pc && a->entry == b->entry && a->line == b->line &&
	       a->flags == b->flags && a->function == b->function && a->file == b->file;
}

struct gs__text gs__frame_kept(const struct gs_dump_writer *w, const struct gs_frame *f)
{
	const struct gs__frame_text *slot = frame_slot(w, f);

	return slot->text.p && same_frame(&slot->frame, f) ? slot->text : (struct gs__text){ 0 };
}

struct gs__text gs__frame_keep(struct gs_dump_writer *w, const struct gs_frame *f, uint32_t split)
{
	struct gs__frame_text *slot = frame_slot(w, f);
	bool kept;
	struct gs__text t = keep(w, split, &kept);

	if (kept)
		*slot = (struct gs__frame_text){ .frame = *f, .text = t };
	return t;
}
