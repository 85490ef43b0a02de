/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_TARGET_ARG_H
#define GS_CLI_TARGET_ARG_H

#include <stdbool.h>
#include <sys/types.h>

#include <gosonde/err.h>

/** What a TARGET word is. */
enum gs_target_word { GS_WORD_PID = 1, GS_WORD_NAME, GS_WORD_PATH };

/**
 * Tell what @word means: digits are a PID (even if a file is called so: write ./1234 for the file),
 * "=…" is a process name, all else is a path.
 * @return the kind, and *ret_pid for a PID; -EINVAL for numbers that are no PID.
 */
GS_CHECKED int gs_target_word(const char *word, pid_t *ret_pid, struct gs_err *err);

/**
 * PID of the one process called @name. If several are, Go programs win over others; if several are
 * left, they are listed in the message. -GS_E_NOT_FOUND if there is none.
 */
GS_CHECKED int gs_find_process(const char *name, pid_t *ret, struct gs_err *err);

#endif
