/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_WHY_PRIVATE_H
#define GS_ANALYSIS_WHY_PRIVATE_H

/* What why_analysis.c gathers and why_result.c makes a result of. */
#include "analysis/blame.h"
#include "analysis/requests.h"
#include "analysis/routes.h"
#include "analysis/why_analysis.h"
#include "analysis/why_keys.h"
#include "base/arena.h"

#define GS__NEAR 3u      /* requests kept because they are near the median as estimated then */
#define GS__TYPICAL 8u   /* the rest: a random sample, for medians that drift */
#define GS__BUCKETS 320u /* of durations: eight per power of two */

/* A request kept whole. */
struct gs__kept {
	struct gs_call call;
	int64_t duration_ns;
	uint32_t route, flags;
	int64_t classes[GS_WHY_CLASSES];
	uint32_t n, cap;
	struct gs_blame_node *node; /* as in the tree it was copied from */
	struct gs_file_ref *file;   /* of each node */
};

/* A request as everything but the kept ones: its duration, and where its causes are. */
struct gs__record {
	int64_t duration_ns;
	uint32_t route, first_cause, n_causes;
};

struct gs__record_cause {
	uint32_t key, via; /* the same: nothing between */
	int64_t ns;
};

struct gs__route {
	uint64_t count, failed;
	enum gs_call_kind kind;
	int64_t sum_ns, max_ns;
	int64_t classes[GS_WHY_CLASSES];
	uint32_t bucket[GS__BUCKETS];
	uint64_t estimated_at; /* count at which the median was last looked for */
	int64_t median_ns;
	struct gs__kept *typical[GS__TYPICAL];
};

struct gs_why {
	struct gs_why_options o;
	struct gs_event_source *source;
	struct gs_lives *lives;
	struct gs_stack_book *book;
	struct gs_requests *requests;
	struct gs_blame *blame;
	struct gs_routes *routes;
	struct gs_why_keys *keys;
	struct gs__route *route; /* by number */
	struct gs__record *records;
	struct gs__record_cause *causes;
	uint32_t n_records, cap_records, n_causes, cap_causes;
	uint32_t stride, skipped; /* one of stride requests has a record */
	struct gs__kept *slowest[GS_WHY_SLOWEST_MAX];
	uint32_t n_slowest;
	uint64_t random;
	struct gs__kept *unfinished[GS_WHY_SLOWEST_MAX];
	uint32_t n_unfinished;
	uint64_t unfinished_total;
	uint64_t aborted, uncertain, forgotten, begun_before_base, abandoned_base;
	int64_t begin_ns; /* of the window; 0: no event yet */
	int64_t lost_ns;  /* latest loss */
	uint32_t unseen;  /* GS_UNSEEN_* */
	struct gs_arena *arena;
	struct gs_incomplete_list incomplete;
};

/* A result being made. */
struct gs__build {
	struct gs_why *w;
	struct gs_why_result *r;
	struct gs_arena *a;
	struct gs_why_route *by_number[GS_ROUTES_MAX]; /* NULL: without requests */
	uint32_t *order;                               /* records, fastest first */
	bool failed;                                   /* out of memory */
};

/** Copy a call and its tree into @slot[@at], which may hold an older one; *@n, the number of slots in use, grows when @at is it, and
 *  shrinks when memory is out. */
void gs__keep_at(struct gs_why *w, struct gs__kept **slot, uint32_t *n, uint32_t at,
		 const struct gs_call *c, int64_t end_ns, uint32_t route, uint32_t flags,
		 const struct gs_blame_tree *t);
struct gs__kept *gs__kept_free(struct gs__kept *k);
/** True if the user asked about such calls. */
bool gs__is_wanted(const struct gs_why *w, const struct gs_call *c, uint32_t route);
/** GS_WHY_UNCERTAIN and GS_WHY_CUT, as they apply. */
uint32_t gs__flags_of(const struct gs_why *w, const struct gs_call *c,
		      const struct gs_blame_tree *t);

/** @n zeroed elements of the result; NULL, and @b->failed set, when out of memory. */
void *gs__get(struct gs__build *b, size_t n, size_t size);
/** What a node is about, with names. @file: what its file number stands for. */
void gs__set_what(struct gs__build *b, struct gs_why_what *to, const struct gs_blame_node *n,
		  const struct gs_file_ref *file);
void gs__set_request(struct gs__build *b, struct gs_why_request *to, const struct gs__kept *k);
/** All of @k, slowest first. */
const struct gs_why_request *gs__set_requests(struct gs__build *b, struct gs__kept **k, uint32_t n);
/** What is slow, and what slow requests have in common. */
void gs__set_causes(struct gs__build *b);

#endif
