/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_PPROF_TABLES_H
#define GS_EXPORT_PPROF_TABLES_H

/*
 * The tables of a profile.proto: strings, functions and locations refer to each other by number. A
 * table only remembers which number something got; the writer puts the thing itself into the output
 * when the table says that it is new. So memory holds the keys, never the profile.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/arena.h"

/** Numbers for pairs of integers, from 1 in order of appearance. Zero-initialised. */
struct gs__pair_table {
	struct gs__pair_slot *slots;
	uint32_t n, n_slots;
};

void gs__pair_table_deinit(struct gs__pair_table *t);
/** @return 0 known, 1 new, -ENOMEM or -GS_E_LIMIT; *ret is the number. */
GS_CHECKED int gs__pair_number(struct gs__pair_table *t, uint64_t a, uint64_t b, uint64_t *ret,
			       struct gs_err *err);

/**
 * Numbers for strings; "" is 0. When a hundred MiB of strings are remembered, further ones get a new
 * number each time: the profile stays right and grows instead of our memory.
 */
struct gs__string_table {
	struct gs__string_slot *slots;
	struct gs_arena *arena;
	uint32_t n, n_slots;
	uint64_t next; /* numbers given out */
};

/** @return 0 or -ENOMEM. */
GS_CHECKED int gs__string_table_init(struct gs__string_table *t, struct gs_err *err);
void gs__string_table_deinit(struct gs__string_table *t);
/** @return 0 known, 1 new, -ENOMEM; *ret is the number. */
GS_CHECKED int gs__string_number(struct gs__string_table *t, const char *s, size_t n, uint64_t *ret,
				 struct gs_err *err);

#endif
