/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_LEAKS_H
#define GS_ANALYSIS_LEAKS_H

/*
 * Three detectors: leaks_unreachable.c marks the heap from what can still run, to a fixed point, as the goroutineleak
 * profile of Go 1.26 does inside the process (runtime/mgc.go findGoroutineLeaks); leaks_connections.c joins
 * goroutines with sockets; leaks_growth.c counts creation sites over time.
 */
#include "model/leak.h"
#include "runtime/rt.h"
#include "runtime/rt_heap.h"
#include "runtime/rt_roots.h"
#include "target/target.h"

struct gs_leaks_options {
	bool unreachable, connections, growth; /* which detectors */
	int64_t after_ns;                      /* connections: closed for at least so long */
	int64_t between_ns;                    /* from the first look to the second; 0: 2 s */
	int64_t watch_ns;                      /* growth: how long; 0: none */
	bool still;          /* the target does not move (core, at its end): one look is proof */
	int64_t stop_max_ns; /* stop it for the one look at what is unreachable; 0: do not */
	bool ended;          /* … at its end: what main held when it ran last counts no more */
	bool held;           /* also compute what leaked goroutines alone keep alive */
	/** Told now and then; non-zero ends early with what there is. May be NULL. */
	int (*progress)(void *ctx, const char *what);
	void *progress_ctx;
};

struct gs_leaks;
/** Look for leaks. Findings of what could be done; what could not is in incomplete. */
GS_CHECKED int gs_leaks_find(struct gs_target *t, struct gs_rt *rt,
			     const struct gs_leaks_options *o, struct gs_leaks **ret,
			     struct gs_err *err);
struct gs_leaks *gs_leaks_free(struct gs_leaks *l);
GS_DEFINE_CLEANUP(struct gs_leaks *, gs_leaks_free)
struct gs_leaks_result *gs_leaks_result(struct gs_leaks *l);

/* --- leaks_connections.c: used by leaks.c --- */

/** A goroutine whose connection is closed. Strings live in @arena. */
struct gs_closed_connection {
	uint64_t goid;
	const char *role, *peer, *local, *socket_state;
	int64_t closed_ns; /* -1: not known */
	bool at_least;
	int32_t fd;   /* -1: closed by the program itself */
	gs_addr conn; /* the net.netFD */
	bool half;    /* only the peer has closed, and nothing says what the goroutine does */
};
struct gs_arena;
/**
 * Find goroutines that serve or use a connection that is closed: by the peer (the socket's state says so), or by the
 * program itself (the net.netFD is closed). Goroutine -> net.Conn on its stack -> fd -> socket.
 */
GS_CHECKED int gs_closed_connections(struct gs_target *t, struct gs_rt *rt,
				     const struct gs_rt_heap *h, const struct gs_rt_gs *gs,
				     struct gs_arena *arena,
				     int (*visit)(void *ctx, const struct gs_closed_connection *c),
				     void *ctx, struct gs_incomplete_list *inc, struct gs_err *err);

#endif
