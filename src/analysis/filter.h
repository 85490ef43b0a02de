/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_FILTER_H
#define GS_ANALYSIS_FILTER_H

/* Which goroutines to show. Conditions of different kinds are combined with AND, repeated ones of one
 * kind with OR (labels: AND). Regular expressions are PCRE2, unanchored, with a match limit; results
 * per stack are cached, so a regular expression runs once per distinct stack. */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/cleanup.h"
#include "model/goroutine.h"

struct gs_filter_options {
	const char *const *states;       /* NULL-terminated or NULL; names or comma lists */
	const char *const *wait_reasons; /* case-insensitive substrings */
	const char *const *functions;    /* regular expressions on any frame's function */
	const char *const *created_by;   /* regular expressions on the creator's function */
	const char *const *labels;       /* "key=value" or "key" */
	int64_t waiting_longer_ns;       /* 0: no condition */
};

struct gs_filter;
/** Compile; nothing of @o is needed afterwards. -EINVAL with a message that names the option as the user
 *  wrote it (--function, --created-by), the expression and the place in it. */
GS_CHECKED int gs_filter_new(const struct gs_filter_options *o, struct gs_filter **ret,
			     struct gs_err *err);
struct gs_filter *gs_filter_free(struct gs_filter *f);
GS_DEFINE_CLEANUP(struct gs_filter *, gs_filter_free)
bool gs_filter_match(struct gs_filter *f, const struct gs_goroutine *g);
/** Names on which a regular expression reached its match limit; they count as not matching. */
uint64_t gs_filter_gave_up(const struct gs_filter *f);

#endif
