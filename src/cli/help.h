/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_HELP_H
#define GS_CLI_HELP_H

/* All texts about commands, made from their tables. Nothing here is wider than 80 columns. */
#include "base/out.h"
#include "cli/cmd.h"

/** `gosonde COMMAND --help`. */
void gs_help_command(struct gs_out *o, const struct gs_cmd *cmd);
/** `gosonde --help`: what it is and the list of commands. */
void gs_help_overview(struct gs_out *o);
/** Manual page (man macros): of @cmd, or of gosonde itself if NULL. */
void gs_help_man(struct gs_out *o, const struct gs_cmd *cmd);
/** Completion script; @shell is bash, zsh or fish. */
void gs_help_completion(struct gs_out *o, const char *shell);

/** The command called @name, NULL if there is none. */
const struct gs_cmd *gs_command_find(const char *name);
/** The command that @name was probably meant to be, NULL if none is near. */
const char *gs_command_nearest(const char *name);

/* Shared by the files that make texts. */

/** Words of @text from column @col on, broken before column 80, later lines indented to @indent. Line
 *  breaks in @text are blanks; an empty line stays one. Ends with a line break. */
void gs__help_wrap(struct gs_out *o, const char *text, unsigned int col, unsigned int indent);
/** How a command is called: "gosonde dump PID|=NAME|CORE [options]". */
void gs__help_synopsis(struct gs_out *o, const struct gs_cmd *cmd);
/** Help of an option with its choices and its default. */
void gs__help_option_text(struct gs_out *o, const struct gs_opt *opt);
/** Split an example line at the first run of two blanks. @return the next line or NULL. */
const char *gs__help_example(const char *line, size_t *ret_command_len, const char **ret_text,
			     size_t *ret_text_len);

#endif
