/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_OPTIONS_H
#define GS_CLI_OPTIONS_H

/* The parser over the option tables, and the tables as help sees them. */
#include <stdbool.h>
#include <stddef.h>

#include <gosonde/err.h>

#include "cli/cmd.h"

#define GS_OPTIONS_MAX 64

enum { GS_OPTIONS_HELP = 1 };

/**
 * Fill @args (cmd->args_size zeroed bytes) from the words after the command's name. Options may be
 * before, between and after the target; "--" ends them. Values are borrowed from @argv.
 *
 * @return 0; GS_OPTIONS_HELP if -h or --help was among them; -EINVAL, and @err names the wrong word
 *         and the nearest valid one.
 */
GS_CHECKED int gs_options_parse(const struct gs_cmd *cmd, int argc, char **argv, void *args,
				struct gs_err *err);

/**
 * Option @i of a command, in the order of help: its own, then the common ones it takes.
 * @return false past the last. -h/--help is not among them.
 */
bool gs_option_at(const struct gs_cmd *cmd, size_t i, struct gs_opt *ret);

/** True if the words ask for JSON, so that even a usage error can be reported as such. */
bool gs_options_want_json(int argc, char **argv);

#endif
