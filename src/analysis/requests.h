/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_REQUESTS_H
#define GS_ANALYSIS_REQUESTS_H

/*
 * Begins and ends of requests, or of calls of watched functions, put together. Calls of one goroutine nest; a call that is
 * abandoned (panic, end of the goroutine) ends there.
 */
#include <stdbool.h>
#include <stdint.h>

#include "analysis/lives.h"
#include "base/cleanup.h"
#include "model/event.h"

#define GS_REQUEST_TEXT 96

/* A call that has begun. */
struct gs_call {
	uint64_t goid, sp;
	int64_t begin_ns;
	enum gs_call_kind kind;
	uint32_t function;
	uint32_t outer; /* of the same goroutine, 0: none */
	bool used;
	bool before; /* it was found going on when watching began: never measured */
	uint8_t method_len, path_len, pattern_len, peer_len;
	char method[16], path[GS_REQUEST_TEXT], pattern[GS_REQUEST_TEXT], peer[48];
	int32_t status; /* at its end */
	int64_t bytes;
};

enum gs_call_end { GS_CALL_RETURNED, GS_CALL_ABORTED };

/** A call ended at @end_ns. @c is borrowed during the call. */
typedef void gs_call_done(void *ctx, const struct gs_call *c, int64_t end_ns, enum gs_call_end how);

struct gs_requests;

/** @lives is borrowed and takes each event first. NULL when out of memory. */
struct gs_requests *gs_requests_new(struct gs_lives *lives, gs_call_done *done, void *ctx);
struct gs_requests *gs_requests_free(struct gs_requests *r);
GS_DEFINE_CLEANUP(struct gs_requests *, gs_requests_free)

/** A call that goes on already, found on a goroutine's stack; @handler is what is known of its route. */
void gs_requests_before(struct gs_requests *r, uint64_t goid, int64_t t_ns, enum gs_call_kind kind,
			uint32_t function, const char *handler);

/** Take in an event; others than CALL_BEGIN, CALL_END, GO_EXIT, THINNED and DETACHED do nothing. */
void gs_requests_event(struct gs_requests *r, const struct gs_event *e);

/** Call @visit for each call still going on. */
void gs_requests_unfinished(struct gs_requests *r,
			    void (*visit)(void *ctx, const struct gs_call *c), void *ctx);

struct gs_requests_counts {
	uint64_t begun_before; /* ends of calls that began before watching */
	uint64_t not_followed; /* too many at once */
	uint64_t repeated;     /* begins that were seen twice */
	uint64_t abandoned;    /* dropped because their end will not be seen */
	uint32_t open;
};
const struct gs_requests_counts *gs_requests_counts(const struct gs_requests *r);

#endif
