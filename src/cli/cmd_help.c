/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* gosonde help: the texts that are made from the command tables. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cmd.h"
#include "cli/help.h"

struct help_args {
	struct gs_common common;
	bool man;
	const char *completion;
};

static const char *const shells[] = { "bash", "zsh", "fish", NULL };

static const struct gs_opt options[] = {
	{ .name = "man",
	  .type = GS_OPT_FLAG,
	  .dest = offsetof(struct help_args, man),
	  .help = "Print the manual page in roff: of COMMAND, of all commands with `all`, or of "
		  "gosonde itself" },
	{ .name = "completion",
	  .type = GS_OPT_CHOICE,
	  .arg = "SHELL",
	  .dest = offsetof(struct help_args, completion),
	  .choices = shells,
	  .help = "Print a completion script for" },
};

static int write_help(struct gs_out *o, const struct help_args *a, struct gs_err *err)
{
	const char *name = a->common.target, *near;
	const struct gs_cmd *cmd = name ? gs_command_find(name) : NULL;
	bool all = name && a->man && strcmp(name, "all") == 0;

	if (name && !cmd && !all) {
		near = gs_command_nearest(name);
		return gs_fail(err, -EINVAL, 0, "unknown command %s%s%s%s", name,
			       near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
	}
	if (a->completion)
		gs_help_completion(o, a->completion);
	else if (a->man)
		gs_help_man(o, cmd);
	else if (cmd)
		gs_help_command(o, cmd);
	else
		gs_help_overview(o);
	for (size_t i = 0; all && gs_commands[i]; i++)
		gs_help_man(o, gs_commands[i]);
	return 0;
}

static int run(void *args)
{
	const struct help_args *a = args;
	struct gs_output out;
	struct gs_err err = { 0 };
	int r, closed;

	r = gs_output_open(&out, &a->common, &err);
	if (r < 0)
		return gs_report(&a->common, &err, NULL);
	r = write_help(&out.out, a, &err);
	closed = gs_output_close(&out, r == 0, r == 0 ? &err : NULL);
	return r < 0 || closed < 0 ? gs_report(&a->common, &err, NULL) : GS_EXIT_OK;
}

const struct gs_cmd gs_cmd_help = {
	.name = "help",
	.summary = "Explain a command; print manual pages and shell completions",
	.examples = "gosonde help dump    the same text as `gosonde dump --help`\n"
		    "gosonde help --man dump | man -l -    the manual page of a command\n"
		    "gosonde help --completion bash > /etc/bash_completion.d/gosonde    completion",
	.target = GS_ARG_COMMAND | GS_ARG_OPTIONAL,
	.options = options,
	.n_options = GS_ARRAY_SIZE(options),
	.args_size = sizeof(struct help_args),
	.run = run,
};
