/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Live pointers of one stack, as the collector sees them (scanstack and scanframeworker in runtime/mgcmark.go,
 * getStackMap in runtime/stkframe.go; up to Go 1.20 in stack.go). The frame of a function:
 *
 *	argp  ─►  arguments that are not in registers      bits of the arguments' map, from argp up
 *	          return address; saved frame pointer
 *	varp  ─►  locals                                   bits of the locals' map end here
 *	          space for calls
 *	sp    ─►
 *
 * The pc of the call tells which map holds. A variable whose address is taken (stack object) is in no map: it is alive if
 * a pointer of the same stack leads to it, so such pointers are kept and followed when all frames are done.
 *
 * The maps are only true at calls. A goroutine interrupted elsewhere has a frame of asyncPreempt with its
 * registers: that one and the one above it are read conservatively. (Vector registers are saved elsewhere and not looked
 * at: pointers are there for the moment of a copy.) A frame above sigpanic goes on at its deferred calls, or never.
 */
#include "runtime/rt_stackmap.h"

#include <errno.h>
#include <string.h>

#include "base/search.h"
#include "runtime/rt_frame_map.h"

#define WORK_MAX (1u << 22)
#define DEFERS_MAX 10000u
#define REFLECT_WORDS_MAX 8192u

/* A stack object in a frame of the stack at hand. */
struct live_object {
	gs_addr at;
	const struct gs__stack_object *o;
	bool done;
};

struct gs__scan {
	struct gs_rt *rt;
	uint64_t *keys;
	gs_addr *sps, *argps;
	struct gs_rt_stack_frame *frame; /* NULL until asked for */
	struct live_object *object;
	gs_addr *work; /* pointers into the stack that wait for their turn */
	uint32_t n_objects, objects_cap, n_work, work_cap;
	/* the stack at hand */
	const struct gs__scan_stack *in;
	struct gs__sink *out;
	bool no_memory;
	uint64_t broken_frames, broken_stacks;
	uint8_t *slow;
};

/* reflect's stubs keep an abi.RegArgs at the top of their locals: Ints, Floats, Ptrs, ReturnIsPtr
 * (internal/abi/abi.go; 9, 15, 9 registers on amd64, 16 each on arm64). */
static const uint8_t reg_args_mask_amd64[] = { 0, 0, 0, 0xff, 0x01 };
static const uint8_t reg_args_mask_arm64[] = { 0, 0, 0, 0, 0xff, 0xff };
static const struct gs__stack_object reg_args[2] = {
	{ .offset = -272, .size = 272, .ptr_bytes = 264, .mask = reg_args_mask_amd64 },
	{ .offset = -392, .size = 392, .ptr_bytes = 384, .mask = reg_args_mask_arm64 },
};

struct gs__scan *gs__scan_free(struct gs__scan *s)
{
	if (!s)
		return NULL;
	free(s->keys);
	free(s->sps);
	free(s->argps);
	free(s->frame);
	free(s->object);
	free(s->work);
	free(s->slow);
	free(s);
	return NULL;
}

int gs__scan_new(struct gs_rt *rt, struct gs__scan **ret, struct gs_err *err)
{
	struct gs__scan *s = calloc(1, sizeof(*s));

	if (s) {
		s->rt = rt;
		s->keys = gs_array_new(GS_RT_MAX_FRAMES, sizeof(*s->keys));
		s->sps = gs_array_new(GS_RT_MAX_FRAMES, sizeof(*s->sps));
		s->argps = gs_array_new(GS_RT_MAX_FRAMES, sizeof(*s->argps));
		s->slow = malloc(GS__SLOW_BYTES);
	}
	if (!s || !s->keys || !s->sps || !s->argps || !s->slow) {
		gs__scan_free(s);
		return gs_fail(err, -ENOMEM, 0, "no memory to read stacks");
	}
	*ret = s;
	return 0;
}

static bool is_arm64(const struct gs__scan *s)
{
	return s->rt->arch == GS_ARCH_ARM64;
}

static const struct gs__frame_map *map_of(struct gs__scan *s, const struct gs__pc *p)
{
	const struct gs__frame_map *m = gs__frame_map_of(s->rt, p);

	s->no_memory |= !m;
	return m;
}

/* --- words --- */

static bool word(const struct gs__scan *s, gs_addr at, gs_addr *ret)
{
	gs_addr off = at - s->in->at;

	if (at < s->in->at || s->in->len < 8 || off > s->in->len - 8)
		return false;
	*ret = gs__u64(s->in->bytes + off);
	return true;
}

/* A pointer: out, or to be followed when all stack objects are known. */
static int pointer(struct gs__scan *s, gs_addr slot, gs_addr v)
{
	if (v < s->out->stack_lo || v >= s->out->stack_hi)
		return gs__sink_add(s->out, slot, v);
	if (s->n_work == s->work_cap) {
		uint32_t cap = s->work_cap ? s->work_cap * 2 : 1024;
		gs_addr *w = cap <= WORK_MAX ? gs_array_resize(s->work, cap, sizeof(*w)) : NULL;

		if (!w) {
			s->no_memory = true;
			return 0;
		}
		s->work = w;
		s->work_cap = cap;
	}
	s->work[s->n_work++] = v;
	return 0;
}

/* Every word of [from, to). */
static int conservative(struct gs__scan *s, gs_addr from, gs_addr to)
{
	gs_addr v;
	int r = 0;

	if (from < s->in->at)
		from = s->in->at;
	for (gs_addr at = (from + 7) & ~7ull; r == 0 && at < to && word(s, at, &v); at += 8)
		if (v >= s->out->lowest)
			r = pointer(s, at, v);
	return r;
}

/* Words whose bits are set. */
static int precise(struct gs__scan *s, gs_addr base, const uint8_t *bits, uint32_t n_bits)
{
	for (uint32_t i = 0; i < n_bits; i += 8) {
		unsigned int byte = bits[i / 8];

		if (n_bits - i < 8)
			byte &= (1u << (n_bits - i)) - 1;
		for (; byte; byte &= byte - 1) {
			gs_addr at = base + (i + (unsigned int)__builtin_ctz(byte)) * 8ull, v;
			int r;

			if (!word(s, at, &v) || v < s->out->lowest)
				continue;
			r = pointer(s, at, v);
			if (r != 0)
				return r;
		}
	}
	return 0;
}

/* --- frames --- */

struct frame {
	gs_addr sp, fp, varp, argp;
	const struct gs__pc *pc;
	const struct gs__frame_map *map;
	bool above_interrupted;
};

static int frame_conservative(struct gs__scan *s, const struct frame *f)
{
	gs_addr end = f->varp;
	int r;

	/* The signal handler that injected the call put a word of its own below it. */
	if (is_arm64(s) && f->map->kind == GS__FRAME_INTERRUPTED)
		end += 16;
	r = conservative(s, f->sp, end);
	return r ? r : conservative(s, f->argp, f->argp + f->map->args_bytes);
}

static void add_objects(struct gs__scan *s, const struct frame *f, const struct gs__stack_object *o,
			uint32_t n)
{
	for (uint32_t i = 0; i < n; i++, o++) {
		gs_addr at = (o->offset < 0 ? f->varp : f->argp) + (uint64_t)(int64_t)o->offset;

		if (at < f->sp) /* not made yet */
			continue;
		if (s->n_objects == s->objects_cap) {
			uint32_t cap = s->objects_cap ? s->objects_cap * 2 : 256;
			void *p = cap <= WORK_MAX
					  ? gs_array_resize(s->object, cap, sizeof(*s->object))
					  : NULL;

			if (!p) {
				s->no_memory = true;
				return;
			}
			s->object = p;
			s->objects_cap = cap;
		}
		s->object[s->n_objects++] = (struct live_object){ .at = at, .o = o };
	}
}

/* Arguments of a call through reflect (argMapInternal): how many words there are is in the closure that the stub
 * saved at the bottom of its frame. Their pointer mask is not looked at. */
static int reflect_args(struct gs__scan *s, const struct frame *f)
{
	gs_addr slot = f->sp + (is_arm64(s) ? 8 : 0), closure;
	gs_addr end = f->fp - (is_arm64(s) ? 0 : 8);
	uint64_t mv[2]; /* fn, stack: a bitvector */
	uint32_t n;

	if (slot >= end) /* has not begun */
		return 0;
	if (!word(s, slot, &closure) ||
	    gs_memory_read(s->rt->mem, closure, mv, sizeof(mv), NULL) < 0 ||
	    mv[0] != f->pc->func.entry || gs_memory_u32(s->rt->mem, mv[1], &n, NULL) < 0 ||
	    n > REFLECT_WORDS_MAX) {
		s->broken_frames++;
		return conservative(s, f->sp, f->fp);
	}
	add_objects(s, f, &reg_args[is_arm64(s)], 1);
	return conservative(s, f->argp, f->argp + n * 8ull);
}

static int frame_precise(struct gs__scan *s, const struct frame *f)
{
	const struct gs__frame_map *m = f->map;
	bool has_locals = f->varp - f->sp > (is_arm64(s) ? 16 : 0);
	int r = 0;

	if (has_locals && m->no_locals) /* assembly that says nothing */
		r = conservative(s, f->sp, f->varp);
	if (has_locals && m->locals.n_bits)
		r = precise(s, f->varp - m->locals.n_bits * 8ull, m->locals.bytes,
			    m->locals.n_bits);
	if (r == 0 && m->args.n_bits)
		r = precise(s, f->argp, m->args.bytes, m->args.n_bits);
	if (r == 0 && m->args_broken)
		r = conservative(s, f->argp, f->argp + m->args_bytes);
	if (r == 0 && m->kind == GS__FRAME_REFLECT)
		r = reflect_args(s, f);
	else
		add_objects(s, f, m->objects, m->n_objects);
	return r;
}

static int one_frame(struct gs__scan *s, const struct frame *f)
{
	if (f->above_interrupted || f->map->kind == GS__FRAME_INTERRUPTED)
		return frame_conservative(s, f);
	switch (f->map->kind) {
	case GS__FRAME_DEAD:
		return 0;
	case GS__FRAME_BROKEN:
		s->broken_frames++;
		return frame_conservative(s, f);
	default:
		return frame_precise(s, f);
	}
}

static struct frame frame_at(const struct gs__scan *s, const struct gs__walk *w, uint32_t i)
{
	struct frame f = { .sp = w->sps[i], .argp = w->argps[i] };

	f.fp = f.argp - (is_arm64(s) ? 8 : 0);
	f.varp = f.fp - (is_arm64(s) ? 0 : 8);
	if (f.varp > f.sp)
		f.varp -= 8; /* the saved frame pointer */
	f.pc = gs__pc_get(s->rt, w->keys[i] >> 1, w->keys[i] & 1);
	return f;
}

/* Tell which frames there are. */
static int tell_frames(struct gs__scan *s, const struct gs__walk *w)
{
	struct gs_rt_stack_view v = { .at = s->in->at, .bytes = s->in->bytes, .len = s->in->len };
	bool interrupted = false;

	if (!s->frame)
		s->frame = gs_array_new(GS_RT_MAX_FRAMES, sizeof(*s->frame));
	for (uint32_t i = 0; s->frame && i < w->n; i++) {
		struct frame f = frame_at(s, w, i);
		const struct gs__frame_map *m = f.pc ? map_of(s, f.pc) : NULL;
		gs_addr pc;

		if (!m || (v.n_frames && s->frame[v.n_frames - 1].cfa > f.fp))
			break;
		pc = gs__call_of(f.pc);
		if (interrupted || m->kind != GS__FRAME_NORMAL)
			pc = 0;
		interrupted = m->kind == GS__FRAME_INTERRUPTED;
		s->frame[v.n_frames++] = (struct gs_rt_stack_frame){ .pc = pc, .cfa = f.fp };
	}
	v.frame = s->frame;
	return v.n_frames ? s->out->frames(s->out->ctx, s->out->which, &v) : 0;
}

static int all_frames(struct gs__scan *s, const struct gs__walk *w)
{
	gs_addr end = s->in->at;
	bool interrupted = false;
	int r = s->out->frames ? tell_frames(s, w) : 0;

	if (r != 0 || !s->out->visit)
		return r;
	for (uint32_t i = 0; r == 0 && i < w->n; i++) {
		struct frame f = frame_at(s, w, i);

		f.map = f.pc ? map_of(s, f.pc) : NULL;
		if (!f.map)
			return 0;
		f.above_interrupted = interrupted;
		interrupted = f.map->kind == GS__FRAME_INTERRUPTED;
		r = one_frame(s, &f);
		end = f.fp;
	}
	/* What cannot be walked is read conservatively: behind a function that changes sp, and absurdly deep. */
	if (r == 0 && w->end != GS_STACK_COMPLETE)
		r = conservative(s, end, s->in->g->stack_hi);
	return r;
}

/* --- stack objects --- */

static int object_order(const void *a, const void *b)
{
	gs_addr x = ((const struct live_object *)a)->at, y = ((const struct live_object *)b)->at;

	return (x > y) - (x < y);
}

/* Frames come from low to high addresses, so this has nothing to do but in stacks that are not what they seem. */
static void sort_objects(struct gs__scan *s)
{
	for (uint32_t i = 1; i < s->n_objects; i++)
		if (s->object[i].at < s->object[i - 1].at) {
			qsort(s->object, s->n_objects, sizeof(*s->object), object_order);
			return;
		}
}

static struct live_object *find_object(struct gs__scan *s, gs_addr p)
{
	uint32_t behind = GS_SEARCH(i, s->n_objects, s->object[i].at > p);

	if (behind == 0 || p - s->object[behind - 1].at >= s->object[behind - 1].o->size)
		return NULL;
	return &s->object[behind - 1];
}

static int follow_objects(struct gs__scan *s)
{
	int r = 0;

	if (s->n_objects == 0)
		return 0;
	sort_objects(s);
	while (r == 0 && s->n_work) {
		struct live_object *o = find_object(s, s->work[--s->n_work]);

		if (!o || o->done)
			continue;
		o->done = true;
		if (o->o->mask)
			r = precise(s, o->at, o->o->mask, o->o->ptr_bytes / 8);
		else
			r = conservative(s, o->at, o->at + o->o->ptr_bytes);
	}
	return r;
}

/* Deferred calls: the closures are roots, and records in the heap, whose list weaves through the stack. */
static int defers(struct gs__scan *s)
{
	const struct gs_go_layout *l = &s->rt->facts.layout;
	int32_t fn = l->offset[GS_GO_DEFER_FN], link = l->offset[GS_GO_DEFER_LINK];
	gs_addr d = s->in->defers, turtle = 0;
	uint32_t limit = 2;
	uint8_t bytes[128];
	int r = 0;

	if (!gs__field_within(l, GS_GO_DEFER_FN, 8, sizeof(bytes)) ||
	    !gs__field_within(l, GS_GO_DEFER_LINK, 8, sizeof(bytes)))
		return 0;
	for (uint32_t i = 0; r == 0 && d && i < DEFERS_MAX; i++) {
		gs_addr at = d, call = 0, next = 0;

		if (d >= s->out->stack_lo && d < s->out->stack_hi) {
			if (!word(s, d + (uint64_t)fn, &call) ||
			    !word(s, d + (uint64_t)link, &next))
				return 0;
		} else {
			size_t len = (size_t)(fn > link ? fn : link) + 8;

			r = gs__sink_add(s->out, 0, d);
			if (r != 0 || gs_memory_read(s->rt->mem, d, bytes, len, NULL) < 0)
				return r;
			call = gs__u64(bytes + fn);
			next = gs__u64(bytes + link);
		}
		r = pointer(s, at + (uint64_t)fn, call);
		if (next == turtle) /* a circle (Brent) */
			break;
		if (i == limit) {
			turtle = next;
			limit *= 2;
		}
		d = next;
	}
	return r;
}

static int rest(struct gs__scan *s)
{
	int r = pointer(s, 0, s->in->ctxt);

	if (r == 0)
		r = defers(s);
	if (r == 0 && s->in->panic)
		r = pointer(s, 0, s->in->panic); /* always on the stack */
	return r ? r : follow_objects(s);
}

int gs__scan_stack(struct gs__scan *s, const struct gs__scan_stack *in, struct gs__sink *out,
		   struct gs_err *err)
{
	struct gs__walk w = {
		.keys = s->keys, .sps = s->sps, .argps = s->argps, .max = GS_RT_MAX_FRAMES
	};
	struct gs__stack_view view = { .rt = s->rt,
				       .lo = in->at,
				       .hi = in->g->stack_hi,
				       .buf = in->bytes,
				       .buf_at = in->at,
				       .buf_len = in->len,
				       .slow = s->slow };
	struct gs__walk_start start;
	int r = 0;

	s->in = in;
	s->out = out;
	s->n_objects = s->n_work = 0;
	if (!gs__walk_parked(in->g, &start))
		return 0;
	gs__walk(s->rt, &view, &start, &w);
	if (w.end == GS_STACK_BROKEN) {
		s->broken_stacks++;
		r = gs__scan_words(out, in->at, in->bytes, in->len);
	} else {
		r = all_frames(s, &w);
	}
	if (r == 0 && out->visit)
		r = rest(s);
	if (r == 0 && s->no_memory)
		return gs_fail(err, -ENOMEM, 0, "no memory for the maps of stacks");
	return r;
}

void gs__scan_count(const struct gs__scan *s, struct gs_incomplete_list *inc)
{
	gs_incomplete_add(inc, "frames_conservative", s->broken_frames,
			  "frames whose stack maps are damaged; every word counts as a pointer");
	gs_incomplete_add(inc, "stacks_broken", s->broken_stacks,
			  "stacks that cannot be walked; every word counts as a pointer");
}
