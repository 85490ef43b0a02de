/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_OPTION_VALUES_H
#define GS_CLI_OPTION_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

/**
 * A duration as Go's time.ParseDuration reads it ("1h30m", "1.5s", "300ms", "10us"); a plain number
 * means seconds. Negative ones and those beyond 292 years are refused.
 * @return 0, or -EINVAL with the reason (without the name of the option).
 */
GS_CHECKED int gs_parse_duration(const char *s, int64_t *ret_ns, struct gs_err *err);

/** A whole number, decimal. @return 0, or -EINVAL with the reason. */
GS_CHECKED int gs_parse_u64(const char *s, uint64_t *ret, struct gs_err *err);

/** A share: "2%", "0.5%", "0.02"; 0 to 1. @return 0, or -EINVAL with the reason. */
GS_CHECKED int gs_parse_share(const char *s, double *ret, struct gs_err *err);

/**
 * The word of @words that @s was probably meant to be: few edits away (insert, delete, replace,
 * swap neighbours), relative to its length, or the only one that begins with @s.
 * @return NULL if none is near.
 */
const char *gs_nearest_word(const char *s, const char *const *words, size_t n);

#endif
