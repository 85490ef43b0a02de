/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * From events to a profile; see profile_build.h. Only goroutines that wait are remembered, in an open-addressing
 * table by goid: since when, for what, with which stack. A goroutine that runs has no entry:
 *
 *	PARK            -> entry: blocked, with the park's stack and class
 *	READY           closes "blocked", the same stack goes on as "waits in Go's run queue"
 *	RUN, EXIT       closes and removes
 *	YIELD, CREATE   -> entry: waits in Go's run queue
 *	STATE           -> entry, from when watching began
 *	PARK, YIELD, CREATE of one that has an entry: events are missing; the old one is dropped and counted
 *
 * A thread's time off CPU is in one event, when it is over, and needs no entry. A goroutine has either: when
 * it parks, its thread is no longer its own.
 */
#include "analysis/profile_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/why_classes.h"
#include "base/arena.h"
#include "base/hash.h"

#define MIN_SLOTS 1024u
#define MAX_GOROUTINES 262144u

/* A goroutine that does not run. */
struct waiting {
	uint64_t goid; /* 0: an empty slot */
	int64_t since_ns;
	const struct gs_frame *start;
	uint32_t stack;
	uint8_t class; /* enum gs_why_class */
	bool queued;   /* runnable */
	bool rest;     /* of the runtime, and nothing to do */
};

struct gs_profile_build {
	struct gs_event_source *source;
	struct gs_profile_options o;
	struct gs_profile *profile;
	struct gs_stack_book *book;
	struct waiting *slots; /* never more than half full */
	uint32_t n, n_slots;   /* a power of two */
	int64_t begin_ns, now_ns;
	int64_t period_ns;
	bool saw_goroutines, finished;
	struct gs_profile_missing missing;
};

struct gs_profile_build *gs_profile_build_new(struct gs_event_source *s,
					      const struct gs_profile_options *o)
{
	GS_CLEANUP(gs_profile_build_freep) struct gs_profile_build *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->source = s;
	b->o = *o;
	if (!b->o.max_goroutines)
		b->o.max_goroutines = MAX_GOROUTINES;
	b->profile = gs_profile_new(o->kind, o->limit);
	b->book = gs_stack_book_new(s);
	b->slots = gs_array_new(MIN_SLOTS, sizeof(*b->slots));
	b->n_slots = MIN_SLOTS;
	if (!b->profile || !b->book || !b->slots)
		return NULL;
	return GS_TAKE(b);
}

struct gs_profile_build *gs_profile_build_free(struct gs_profile_build *b)
{
	if (!b)
		return NULL;
	gs_profile_free(b->profile);
	gs_stack_book_free(b->book);
	free(b->slots);
	free(b);
	return NULL;
}

/* ---- the table ---- */

static uint32_t home(const struct gs_profile_build *b, uint64_t goid)
{
	return (uint32_t)gs_hash_u64(gs_hash_seed(), goid) & (b->n_slots - 1);
}

/* The slot of @goid, or the empty one where it would go. */
static struct waiting *find(struct gs_profile_build *b, uint64_t goid)
{
	uint32_t at = home(b, goid);

	while (b->slots[at].goid && b->slots[at].goid != goid)
		at = (at + 1) & (b->n_slots - 1);
	return &b->slots[at];
}

/* Empty a slot; those behind it move up, so that searches need no marks of what was there. */
static void take_away(struct gs_profile_build *b, struct waiting *w)
{
	uint32_t mask = b->n_slots - 1, hole = (uint32_t)(w - b->slots);

	for (uint32_t at = (hole + 1) & mask; b->slots[at].goid; at = (at + 1) & mask) {
		/* May stay if its home is behind the hole. */
		if (((at - home(b, b->slots[at].goid)) & mask) < ((at - hole) & mask))
			continue;
		b->slots[hole] = b->slots[at];
		hole = at;
	}
	b->slots[hole] = (struct waiting){ 0 };
	b->n--;
}

static int grow(struct gs_profile_build *b, struct gs_err *err)
{
	struct waiting *old = b->slots, *slots;
	uint32_t n_old = b->n_slots;

	if (b->n * 2 < n_old)
		return 0;
	slots = gs_array_new((size_t)n_old * 2, sizeof(*slots));
	if (!slots)
		return gs_fail(err, -ENOMEM, 0, "cannot follow goroutines: out of memory");
	b->slots = slots;
	b->n_slots = n_old * 2;
	for (uint32_t i = 0; i < n_old; i++)
		if (old[i].goid)
			*find(b, old[i].goid) = old[i];
	free(old);
	return 0;
}

/* ---- counting ---- */

static int count(struct gs_profile_build *b, struct gs_profile_key *k, uint64_t goid, int64_t ns,
		 struct gs_err *err)
{
	const struct gs_label *labels;

	if (!k->stack && !k->kernel_stack && !k->start)
		b->missing.no_stack++;
	if (b->o.by_goroutine)
		k->goid = goid;
	if (b->o.by_labels && goid) {
		uint32_t n = b->source->labels(b->source, goid, &labels);

		k->labels = gs_profile_labels(b->profile, labels, n);
	}
	return gs_profile_add(b->profile, k, 1, ns, err);
}

/* The part of a stretch of time that was watched. */
static int64_t watched(const struct gs_profile_build *b, int64_t from, int64_t to)
{
	return to - (from > b->begin_ns ? from : b->begin_ns);
}

static int close_wait(struct gs_profile_build *b, const struct waiting *w, int64_t now,
		      struct gs_err *err)
{
	struct gs_profile_key k = { .stack = w->stack,
				    .start = w->stack ? NULL : w->start,
				    .class = w->queued ? GS_WHY_RUNQUEUE_GO
						       : (enum gs_why_class)w->class };

	if (w->rest && !w->queued && !b->o.system)
		return 0;
	return count(b, &k, w->goid, watched(b, w->since_ns, now), err);
}

/* ---- what a wait is for ---- */

static enum gs_why_class off_cpu_class(struct gs_profile_build *b, const struct gs_event *e)
{
	static const struct {
		uint16_t of, to;
	} flags[] = { { GS_EV_SYSCALL, GS_IVL_F_SYSCALL },
		      { GS_EV_FAULT, GS_IVL_F_FAULT },
		      { GS_EV_MAJOR, GS_IVL_F_MAJOR },
		      { GS_EV_RECLAIM, GS_IVL_F_RECLAIM },
		      { GS_EV_CGO, GS_IVL_F_CGO } };
	uint16_t to = 0;

	for (size_t i = 0; i < GS_ARRAY_SIZE(flags); i++)
		if (e->flags & flags[i].of)
			to |= flags[i].to;
	return gs_why_off_class(b->book, b->source->goarch, e->stack, to, e->off_cpu.syscall,
				&e->off_cpu.file);
}

/* ---- events ---- */

static int begin_wait(struct gs_profile_build *b, const struct waiting *w, struct gs_err *err)
{
	struct waiting *slot;
	int r;

	if (!w->goid)
		return 0;
	slot = find(b, w->goid);
	if (slot->goid) {
		b->missing.doubtful++;
		*slot = *w;
		return 0;
	}
	if (b->n >= b->o.max_goroutines) {
		b->missing.not_followed++;
		return 0;
	}
	r = grow(b, err);
	if (r < 0)
		return r;
	*find(b, w->goid) = *w;
	b->n++;
	return 0;
}

static int on_state(struct gs_profile_build *b, const struct gs_event *e, struct gs_err *err)
{
	struct waiting w = {
		.goid = e->goid, .since_ns = b->begin_ns, .start = e->state.start, .stack = e->stack
	};

	/* It changed while its state was read: the later event is right. */
	if (find(b, e->goid)->goid)
		return 0;
	if (e->state.state == GS_G_RUNNABLE) {
		w.queued = true;
	} else if (e->state.state == GS_G_WAITING || e->state.state == GS_G_LEAKED) {
		w.class = (uint8_t)gs_why_wait_class(b->book, e->stack, e->state.wait, 0, NULL);
		w.rest = e->state.wait == GS_WAIT_SYSTEM;
	} else {
		return 0;
	}
	return begin_wait(b, &w, err);
}

static int on_park(struct gs_profile_build *b, const struct gs_event *e, struct gs_err *err)
{
	const struct waiting w = { .goid = e->goid,
				   .since_ns = e->t_ns,
				   .stack = e->stack,
				   .class = (uint8_t)gs_why_wait_class(
					   b->book, e->stack, e->park.wait, e->park.io_mode,
					   &e->park.file),
				   .rest = e->park.wait == GS_WAIT_SYSTEM };

	return begin_wait(b, &w, err);
}

static int on_ready(struct gs_profile_build *b, const struct gs_event *e, struct gs_err *err)
{
	struct waiting queued = { .goid = e->goid, .since_ns = e->t_ns, .queued = true };
	struct waiting *w = find(b, e->goid);
	int r;

	if (!w->goid)
		return begin_wait(b, &queued, err);
	if (w->queued)
		return 0;
	r = close_wait(b, w, e->t_ns, err);
	w->since_ns = e->t_ns;
	w->queued = true;
	return r;
}

static int on_run(struct gs_profile_build *b, const struct gs_event *e, struct gs_err *err)
{
	struct waiting *w = find(b, e->goid);
	int r;

	if (!w->goid)
		return 0;
	r = close_wait(b, w, e->t_ns, err);
	take_away(b, w);
	return r;
}

static int on_queued(struct gs_profile_build *b, const struct gs_event *e, struct gs_err *err)
{
	/* Where goroutines are that come back from a system call and find no P; the stack is not taken there. */
	static const struct gs_frame after_syscall = { .function = "runtime.exitsyscall",
						       .file = "" };
	struct waiting w = {
		.goid = e->goid, .since_ns = e->t_ns, .stack = e->stack, .queued = true
	};

	if (e->kind == GS_EV_GO_CREATE) {
		/* The stack of that event is its creator's. */
		w.stack = 0;
		w.start = e->create.start;
	} else if (e->flags & GS_EV_SYSCALL) {
		w.start = &after_syscall;
	}
	return begin_wait(b, &w, err);
}

static int on_off_cpu(struct gs_profile_build *b, const struct gs_event *e, struct gs_err *err)
{
	int64_t off = e->off_cpu.off_ns, wake = e->off_cpu.wake_ns;
	struct gs_profile_key k = { .stack = e->stack, .kernel_stack = e->kernel_stack };
	int r = 0;

	/* A thread without a goroutine waits for work: nobody waits for it. */
	if (!e->goid || e->t_ns <= off)
		return 0;
	if (off < b->begin_ns)
		off = b->begin_ns;
	if (e->off_cpu.task_state == 0)
		wake = off;
	else if (wake < off || wake > e->t_ns)
		wake = e->t_ns;
	if (wake > off) {
		k.class = off_cpu_class(b, e);
		r = count(b, &k, e->goid, wake - off, err);
	}
	if (r == 0 && e->t_ns > wake) {
		k.class = GS_WHY_RUNQUEUE_KERNEL;
		r = count(b, &k, e->goid, e->t_ns - wake, err);
	}
	return r;
}

static int on_sample(struct gs_profile_build *b, const struct gs_event *e, struct gs_err *err)
{
	struct gs_profile_key k = { .stack = e->stack,
				    .kernel_stack = e->kernel_stack,
				    .class = e->kernel_stack ? GS_WHY_CPU_KERNEL
							     : GS_WHY_CPU_USER };

	b->period_ns = e->sample.period_ns;
	if (b->o.kind == GS_PROFILE_OFF_CPU)
		return 0;
	return count(b, &k, e->goid, e->sample.period_ns, err);
}

/* Of goroutines that are not followed any more nobody knows how long they still wait: up to now they did. */
static int on_thinned(struct gs_profile_build *b, const struct gs_event *e, struct gs_err *err)
{
	uint32_t i = 0;
	int r = 0;

	while (r == 0 && i < b->n_slots) {
		struct waiting *w = &b->slots[i];

		if (!w->goid || !gs_thinned_out(w->goid, e->thinned.mask)) {
			i++;
			continue;
		}
		if (e->t_ns > w->since_ns)
			r = close_wait(b, w, e->t_ns, err);
		b->missing.not_followed++;
		take_away(b, w); // another may be in the slot now
	}
	return r;
}

int gs_profile_build_event(struct gs_profile_build *b, const struct gs_event *e, struct gs_err *err)
{
	if (!b->begin_ns)
		b->begin_ns = b->source->stats(b->source)->begin_ns;
	if (!b->begin_ns)
		b->begin_ns = e->t_ns;
	if (e->t_ns > b->now_ns)
		b->now_ns = e->t_ns;
	if (e->kind >= GS_EV_GO_STATE && e->kind <= GS_EV_GO_EXIT)
		b->saw_goroutines = true;
	if (b->o.kind == GS_PROFILE_CPU && e->kind != GS_EV_SAMPLE && e->kind != GS_EV_LOST)
		return 0;
	switch ((enum gs_event_kind)e->kind) {
	case GS_EV_GO_STATE:
		return on_state(b, e, err);
	case GS_EV_GO_CREATE:
	case GS_EV_GO_YIELD:
		return on_queued(b, e, err);
	case GS_EV_GO_READY:
		return on_ready(b, e, err);
	case GS_EV_GO_RUN:
	case GS_EV_GO_EXIT:
		return on_run(b, e, err);
	case GS_EV_GO_PARK:
		return on_park(b, e, err);
	case GS_EV_OFF_CPU:
		return on_off_cpu(b, e, err);
	case GS_EV_SAMPLE:
		return on_sample(b, e, err);
	case GS_EV_LOST:
		b->missing.lost += e->lost.count;
		return 0;
	case GS_EV_THINNED:
		return on_thinned(b, e, err);
	default:
		return 0;
	}
}

/* ---- the end ---- */

static int by_goid(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;

	return (x->goid > y->goid) - (x->goid < y->goid);
}

/* In the order of goids: that of the slots is another in each run of gosonde. */
static int close_all(struct gs_profile_build *b, int64_t end_ns, struct gs_err *err)
{
	uint32_t n = 0;
	int r = 0;

	for (uint32_t i = 0; i < b->n_slots; i++)
		if (b->slots[i].goid)
			b->slots[n++] = b->slots[i];
	if (n)
		qsort(b->slots, n, sizeof(*b->slots), by_goid);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		if (end_ns > b->slots[i].since_ns)
			r = close_wait(b, &b->slots[i], end_ns, err);
	memset(b->slots, 0, b->n_slots * sizeof(*b->slots));
	b->n = 0;
	return r;
}

static const struct gs_stack *stack_of(void *ctx, uint32_t id)
{
	struct gs_event_source *s = ctx;

	return s->stack(s, id);
}

int gs_profile_build_finish(struct gs_profile_build *b, int64_t end_ns,
			    const struct gs_profile **ret, struct gs_err *err)
{
	int r = 0;

	if (!b->finished)
		r = close_all(b, end_ns ? end_ns : b->now_ns, err);
	if (r == 0 && !b->finished)
		r = gs_profile_finish(b->profile, stack_of, b->source, err);
	if (r < 0)
		return r;
	b->finished = true;
	*ret = b->profile;
	return 0;
}

const struct gs_profile_missing *gs_profile_build_missing(const struct gs_profile_build *b)
{
	return &b->missing;
}

int64_t gs_profile_build_period_ns(const struct gs_profile_build *b)
{
	return b->period_ns;
}

bool gs_profile_build_saw_goroutines(const struct gs_profile_build *b)
{
	return b->saw_goroutines;
}
