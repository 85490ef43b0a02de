/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_WHY_KEYS_H
#define GS_ANALYSIS_WHY_KEYS_H

/* Numbers for what time is spent on, so that causes of many requests add up. */
#include <stdint.h>

#include "analysis/blame.h"
#include "base/cleanup.h"

#define GS_WHY_KEYS_MAX 4096u

/* One of them, with what a node that has it showed first. */
struct gs_why_key {
	struct gs_blame_node node;
	struct gs_file_ref file;
};

struct gs_why_keys;

struct gs_why_keys *gs_why_keys_new(void);
struct gs_why_keys *gs_why_keys_free(struct gs_why_keys *k);
GS_DEFINE_CLEANUP(struct gs_why_keys *, gs_why_keys_free)

/** Number of what @n is about. When there are too many, that of its class alone. */
uint32_t gs_why_keys_number(struct gs_why_keys *k, const struct gs_blame_node *n,
			    const struct gs_file_ref *file);
const struct gs_why_key *gs_why_keys_at(const struct gs_why_keys *k, uint32_t number);
uint32_t gs_why_keys_count(const struct gs_why_keys *k);

#endif
