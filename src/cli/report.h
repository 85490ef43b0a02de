/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_REPORT_H
#define GS_CLI_REPORT_H

#include <stdbool.h>

#include <gosonde/err.h>

/** Report a failure before a command has its arguments. @command may be NULL.
 *  @return the exit code that belongs to it. */
int gs_report_error(const char *command, bool json, const struct gs_err *err, const char *doing);

#endif
