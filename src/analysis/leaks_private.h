/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_LEAKS_PRIVATE_H
#define GS_ANALYSIS_LEAKS_PRIVATE_H

/* What the files behind analysis/leaks.h share. */
#include "analysis/heap_mark.h"
#include "analysis/leaks.h"
#include "base/arena.h"

#define GS__LEAK_NO_GROUP UINT32_MAX
#define GS__LEAK_IDS 100u

/* ---- one look: leaks_look.c ---- */

/**
 * Goroutines of a moment, and what of the heap can be reached from those that can still run. A goroutine is live
 * when it is not blocked, or when something it waits for is reachable from what is live.
 */
struct gs__look {
	struct gs_rt *rt;
	struct gs_rt_heap *heap;
	struct gs_rt_gs *gs;
	struct gs_heap_mark *mark;
	const struct gs_rt_g *g; /* [n], in the order of allgs */
	uint32_t n;
	uint8_t *live; /* [n]; LEFT_OUT: as if it was not there */
	uint32_t *pending;
	gs_addr *ps; /* [n_ps]: marked, but their words were roots one by one */
	uint32_t n_ps;
	uint64_t unreadable_bytes;
	bool complete; /* nothing was missed that could be a root */
	int64_t took_ns;
};

struct gs__look_how {
	bool still;              /* the target does not move */
	bool ended;              /* the program is at its end */
	const uint64_t *without; /* sorted goids: as if these goroutines were not there */
	uint32_t n_without;
};
/**
 * Mark to the fixed point. On a target that moves what changed meanwhile is marked on top: globals, stacks of
 * goroutines that ran, and spans that were allocated.
 */
GS_CHECKED int gs__look_new(struct gs_rt *rt, const struct gs__look_how *how,
			    struct gs_incomplete_list *inc, struct gs__look **ret,
			    struct gs_err *err);
struct gs__look *gs__look_free(struct gs__look *k);
GS_DEFINE_CLEANUP(struct gs__look *, gs__look_free)
/** After more was marked: mark from what ran since, and go on to the fixed point. */
GS_CHECKED int gs__look_go_on(struct gs__look *k, struct gs_incomplete_list *inc,
			      struct gs_err *err);
/**
 * Goroutines @which[0..n) seem to wait for ever. Make those live whose object somebody still handles: pointers to it
 * appear at new places while the heap is read again and again (leaks_moving.c). Takes a quarter of a second, and for
 * each gigabyte of heap one more; some seconds if pointers are seen to move, or @raced: the looks before have seen it.
 * @return 0; 1: there was not enough time to be sure; negative.
 */
GS_CHECKED int gs__look_moving(struct gs__look *k, const uint32_t *which, uint32_t n, bool raced,
			       struct gs_incomplete_list *inc, struct gs_err *err);
/** Bytes of objects that goroutines @which[0..n) keep alive beyond what is marked already; marks them. */
GS_CHECKED int gs__look_held(struct gs__look *k, const uint32_t *which, uint32_t n,
			     uint64_t *ret_bytes, struct gs_incomplete_list *inc,
			     struct gs_err *err);

/* ---- reading a heap that changes: leaks_reading.c ---- */

struct gs__reading;
/** Told of all words of some objects. */
typedef void gs__words_fn(void *ctx, gs_addr at, const uint8_t *bytes, size_t len);
/** @k is borrowed. */
GS_CHECKED int gs__reading_new(const struct gs__look *k, gs__words_fn *visit, void *ctx,
			       struct gs__reading **ret, struct gs_err *err);
struct gs__reading *gs__reading_free(struct gs__reading *r);
GS_DEFINE_CLEANUP(struct gs__reading *, gs__reading_free)
/** All objects with pointers. */
GS_CHECKED int gs__reading_whole(struct gs__reading *r, struct gs_err *err);
/** Pages that changed between the last two whole readings, and spans that are new since then; at most 16 MB, the next
 *  call goes on from there. After a whole reading. */
GS_CHECKED int gs__reading_hot(struct gs__reading *r, struct gs_err *err);
/** Spans that are allocated from at this moment. */
GS_CHECKED int gs__reading_young(struct gs__reading *r, struct gs_err *err);

/* ---- findings in the making: leaks_findings.c ---- */

/* One goroutine that leaks. */
struct gs__leak_item {
	uint64_t goid;
	gs_addr object;                          /* UNREACHABLE: the first thing it waits for */
	const struct gs_closed_connection *conn; /* CONNECTION */
	uint32_t which;                          /* UNREACHABLE: its number in the last look */
	uint32_t group;
	uint64_t stack_bytes;
	uint8_t kind, confidence, block;
	bool by_marking, by_runtime;
};

struct gs__leak_items {
	struct gs__leak_item *item;
	uint32_t n, cap;
};

/** @return 0 or -ENOMEM. */
GS_CHECKED int gs__leak_add(struct gs__leak_items *a, const struct gs__leak_item *x,
			    struct gs_err *err);

/* Goroutines of a kind: blocked alike at the same depth of stack. */
struct gs__leak_kind {
	uint64_t depth;
	uint32_t seen, left; /* found reachable though they did not run; still suspects */
	uint8_t block;
};

#define GS__LEAK_KINDS 256u

/* A goroutine that ran in all looks, and did not stop in between. */
struct gs__leak_runner {
	uint64_t goid;
	uint8_t tracking_seq;
};

#define GS__LEAK_RUNNERS 256u

struct gs_leaks {
	struct gs_arena *arena;
	struct gs_target *target;
	struct gs_rt *rt;
	struct gs_leaks_options o;
	struct gs__leak_items items;
	struct gs__look *look; /* the last one */
	struct gs_incomplete_list look_incomplete;
	struct gs_leak *leaks;
	uint32_t leaks_cap;
	struct gs_leaks_result result;
	struct gs_incomplete_list incomplete;
	bool raced;      /* the last look still found some reachable after all */
	bool raced_ever; /* … or one before it did */
	bool ended;      /* early, as progress asked */
	struct gs__leak_kind kind[GS__LEAK_KINDS]; /* leaks_unreachable.c */
	uint32_t n_kinds, n_runners;
	struct gs__leak_runner runner[GS__LEAK_RUNNERS], running_now[GS__LEAK_RUNNERS];
	struct gs__leak_waiter *waiters; /* leaks_evidence.c */
	uint32_t n_waiters;
};

/** Tell progress. @return true if it asks to end. */
bool gs__leaks_progress(struct gs_leaks *l, const char *what);
/** Wait for @ns, or until progress asks to end. @return false then. */
bool gs__leaks_wait(struct gs_leaks *l, int64_t ns, const char *what);
/** Room for one more finding, zeroed. NULL when out of memory. */
struct gs_leak *gs__leak_new(struct gs_leaks *l);

/** Goroutines blocked for ever into items; the last look stays in @l. */
GS_CHECKED int gs__leaks_unreachable(struct gs_leaks *l, struct gs_err *err);
/** Walk the stacks of all items, make findings of them, and forget those that moved on meanwhile. */
GS_CHECKED int gs__leaks_findings(struct gs_leaks *l, struct gs_err *err);
/** What a goroutine waits for, in words, with who else waits there. NULL when out of memory. */
const char *gs__leak_blocked_on(struct gs_leaks *l, const struct gs__leak_item *x);
/** Goroutines whose connection is closed into items; waits for as long as a connection must be closed if its time of
 *  closing is not known. */
GS_CHECKED int gs__leaks_closed(struct gs_leaks *l, struct gs_err *err);
/** Watch creation sites for o.watch_ns. */
GS_CHECKED int gs__leaks_growth(struct gs_leaks *l, struct gs_err *err);

#endif
