/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Begins and ends of calls, see requests.h.
 *
 * A goroutine serves one HTTP or gRPC request at a time, so a second begin of the same kind means that the first was
 * abandoned: net/http recovers panics of handlers. Calls of functions may recurse; the stack pointer at the call
 * tells whose end it is: the same at begin and end of one call. Where a begin has the stack pointer of an open
 * call of the same function, that one was left by a panic, or this begin is the same one seen again (a probe on the
 * stack check's branch is hit a second time after the stack has grown).
 *
 * At most OPEN_MAX calls are followed at once; what is beyond is counted. So are calls whose goroutine is not followed any more.
 */
#include "analysis/requests.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define OPEN_MAX 65536u
#define FIRST_OPEN 256u
/* Growing a stack and starting the function again takes less. */
#define TWICE_NS 100000

struct gs_requests {
	struct gs_lives *lives;
	gs_call_done *done;
	void *ctx;
	struct gs_call *calls; /* index 0 is nobody */
	uint32_t n, cap, free; /* free: list through outer */
	struct gs_requests_counts counts;
};

struct gs_requests *gs_requests_new(struct gs_lives *lives, gs_call_done *done, void *ctx)
{
	GS_CLEANUP(gs_requests_freep) struct gs_requests *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->lives = lives;
	r->done = done;
	r->ctx = ctx;
	r->cap = FIRST_OPEN;
	r->n = 1;
	r->calls = gs_array_new(r->cap, sizeof(*r->calls));
	return r->calls ? GS_TAKE(r) : NULL;
}

struct gs_requests *gs_requests_free(struct gs_requests *r)
{
	if (r)
		free(r->calls);
	free(r);
	return NULL;
}

const struct gs_requests_counts *gs_requests_counts(const struct gs_requests *r)
{
	return &r->counts;
}

/* A free slot's index; 0 if there is none. */
static uint32_t new_call(struct gs_requests *r)
{
	uint32_t i = r->free;

	if (i) {
		r->free = r->calls[i].outer;
		return i;
	}
	if (r->n == r->cap) {
		struct gs_call *more =
			r->cap < OPEN_MAX
				? gs_array_resize(r->calls, (size_t)r->cap * 2, sizeof(*more))
				: NULL;

		if (!more)
			return 0;
		r->calls = more;
		r->cap *= 2;
	}
	return r->n++;
}

static uint8_t copy(char *to, size_t size, const char *from, uint16_t n)
{
	if (!from)
		return 0;
	if (n > size)
		n = (uint16_t)size;
	memcpy(to, from, n);
	return (uint8_t)n;
}

/* What the event says of the request; what it does not say stays. */
static void take_texts(struct gs_call *c, const struct gs_event *e)
{
	if (e->call.method_len)
		c->method_len =
			copy(c->method, sizeof(c->method), e->call.method, e->call.method_len);
	if (e->call.path_len)
		c->path_len = copy(c->path, sizeof(c->path), e->call.path, e->call.path_len);
	if (e->call.pattern_len)
		c->pattern_len =
			copy(c->pattern, sizeof(c->pattern), e->call.pattern, e->call.pattern_len);
	if (e->call.peer_len)
		c->peer_len = copy(c->peer, sizeof(c->peer), e->call.peer, e->call.peer_len);
}

/* The innermost call of the goroutine is over. */
static void end_innermost(struct gs_requests *r, struct gs_life *life, int64_t t,
			  enum gs_call_end how)
{
	uint32_t i = life->call;
	struct gs_call *c = &r->calls[i];

	life->call = c->outer;
	if (c->before)
		r->counts.begun_before++;
	else
		r->done(r->ctx, c, t, how);
	c->used = false;
	c->outer = r->free;
	r->free = i;
	r->counts.open--;
}

static bool is_same_function(const struct gs_call *c, const struct gs_event *e)
{
	return c->kind == e->call.call &&
	       (c->kind != GS_CALL_FUNCTION || c->function == e->call.function);
}

/* The open call that @e begins again: of a kind that cannot nest, or with the same stack pointer. 0: none. */
static uint32_t find_again(const struct gs_requests *r, const struct gs_life *life,
			   const struct gs_event *e)
{
	for (uint32_t i = life->call; i; i = r->calls[i].outer)
		if (is_same_function(&r->calls[i], e) &&
		    (e->call.call != GS_CALL_FUNCTION ||
		     (e->call.sp && r->calls[i].sp == e->call.sp)))
			return i;
	return 0;
}

static void on_begin(struct gs_requests *r, struct gs_life *life, const struct gs_event *e)
{
	uint32_t again = find_again(r, life, e), i;
	struct gs_call *c;

	// Looking without probes finds both at once: then its begin is known well enough.
	if (again && r->calls[again].before && r->calls[again].begin_ns == e->t_ns) {
		r->calls[again].before = false;
		take_texts(&r->calls[again], e);
		return;
	}
	if (again && again == life->call && e->t_ns - r->calls[again].begin_ns < TWICE_NS &&
	    r->calls[again].sp == e->call.sp) {
		r->counts.repeated++;
		take_texts(&r->calls[again], e);
		return;
	}
	while (again && life->call != again)
		end_innermost(r, life, e->t_ns, GS_CALL_ABORTED);
	if (again)
		end_innermost(r, life, e->t_ns, GS_CALL_ABORTED);
	i = new_call(r);
	if (!i) {
		r->counts.not_followed++;
		return;
	}
	c = &r->calls[i];
	*c = (struct gs_call){ .goid = e->goid,
			       .sp = e->call.sp,
			       .begin_ns = e->t_ns,
			       .kind = e->call.call,
			       .function = e->call.function,
			       .outer = life->call,
			       .used = true,
			       .status = -1,
			       .bytes = -1 };
	take_texts(c, e);
	life->call = i;
	r->counts.open++;
}

void gs_requests_before(struct gs_requests *r, uint64_t goid, int64_t t_ns, enum gs_call_kind kind,
			uint32_t function, const char *handler)
{
	struct gs_life *life = gs_lives_find(r->lives, goid);
	size_t n = strlen(handler);
	struct gs_event e = { .t_ns = t_ns, .goid = goid };

	if (!life || life->call)
		return;
	e.call.call = kind;
	e.call.function = function;
	e.call.pattern = handler;
	e.call.pattern_len = n < GS_REQUEST_TEXT ? (uint16_t)n : GS_REQUEST_TEXT;
	on_begin(r, life, &e);
	if (life->call)
		r->calls[life->call].before = true;
}

/* Whose end it is: the same stack pointer if one has it, else the innermost of that function. */
static uint32_t find_begin(const struct gs_requests *r, const struct gs_life *life,
			   const struct gs_event *e)
{
	uint32_t innermost = 0;

	for (uint32_t i = life->call; i; i = r->calls[i].outer) {
		if (!is_same_function(&r->calls[i], e))
			continue;
		if (e->call.call != GS_CALL_FUNCTION || r->calls[i].sp == e->call.sp)
			return i;
		if (!innermost)
			innermost = i;
	}
	return innermost;
}

static void on_end(struct gs_requests *r, struct gs_life *life, const struct gs_event *e)
{
	uint32_t i = find_begin(r, life, e);
	struct gs_call *c;

	if (!i) {
		r->counts.begun_before++;
		return;
	}
	while (life->call != i)
		end_innermost(r, life, e->t_ns, GS_CALL_ABORTED);
	c = &r->calls[i];
	take_texts(c, e);
	c->status = e->call.status;
	c->bytes = e->call.bytes;
	end_innermost(r, life, e->t_ns, GS_CALL_RETURNED);
}

/* Of goroutines that are not followed any more, or of @all, no end will be seen: as if they had not begun. */
static void abandon(struct gs_requests *r, bool all)
{
	for (uint32_t i = 1; i < r->n; i++) {
		struct gs_call *c = &r->calls[i];
		struct gs_life *life;

		if (!c->used || !(all || gs_lives_thinned_out(r->lives, c->goid)))
			continue;
		life = gs_lives_find(r->lives, c->goid);
		if (life)
			life->call = 0;
		c->used = false;
		c->outer = r->free;
		r->free = i;
		r->counts.open--;
		r->counts.abandoned++;
	}
}

void gs_requests_event(struct gs_requests *r, const struct gs_event *e)
{
	struct gs_life *life;

	if (e->kind == GS_EV_THINNED)
		abandon(r, false);
	else if (e->kind == GS_EV_DETACHED && e->detached.unseen & GS_UNSEEN_REQUESTS)
		abandon(r, true);
	if (e->kind != GS_EV_CALL_BEGIN && e->kind != GS_EV_CALL_END && e->kind != GS_EV_GO_EXIT)
		return;
	life = gs_lives_find(r->lives, e->goid);
	if (!life)
		return;
	if (e->kind == GS_EV_GO_EXIT)
		while (life->call)
			end_innermost(r, life, e->t_ns, GS_CALL_ABORTED);
	else if (life->dead)
		r->counts.repeated++;
	else if (e->kind == GS_EV_CALL_BEGIN)
		on_begin(r, life, e);
	else
		on_end(r, life, e);
}

void gs_requests_unfinished(struct gs_requests *r,
			    void (*visit)(void *ctx, const struct gs_call *c), void *ctx)
{
	for (uint32_t i = 1; i < r->n; i++)
		if (r->calls[i].used)
			visit(ctx, &r->calls[i]);
}
