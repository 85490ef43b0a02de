/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* gosonde COMMAND [TARGET] [options]: find the command, parse its options, run it. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sigbus.h"
#include "cli/cmd.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/report.h"

/* A closed standard descriptor would be given to the first file opened, and the result written into
 * it. Reading ends of /dev/null take the places: writing to them fails, and that is reported. */
static void occupy_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)(open("/dev/null", O_RDONLY) < 0); // then it stays closed
	}
}

static int print_text(void (*write)(struct gs_out *o, const struct gs_cmd *cmd),
		      const struct gs_cmd *cmd, int fd, int exit_code)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	struct gs_err err = { 0 };

	gs_out_init_fd(&o, fd);
	write(&o, cmd);
	if (gs_out_flush(&o, "standard output", &err) < 0)
		return gs_report_error(cmd ? cmd->name : NULL, false, &err, NULL);
	return exit_code;
}

static void write_overview(struct gs_out *o, const struct gs_cmd *cmd)
{
	(void)cmd;
	gs_help_overview(o);
}

static void write_version(struct gs_out *o, const struct gs_cmd *cmd)
{
	(void)cmd;
	gs_out_str(o, "gosonde " GS_VERSION "\n");
}

static int unknown_command(const char *word, bool json)
{
	const char *near = gs_command_nearest(word);
	struct gs_err err;

	if (near)
		(void)gs_fail(&err, -EINVAL, 0, "unknown command %s: did you mean %s?", word, near);
	else
		(void)gs_fail(&err, -EINVAL, 0,
			      "unknown command %s: `gosonde --help` lists the commands", word);
	return gs_report_error(NULL, json, &err, NULL);
}

int main(int argc, char **argv)
{
	GS_CLEANUP(gs_freep) void *args = NULL;
	const struct gs_cmd *cmd;
	struct gs_err err = { 0 };
	int r;

	occupy_standard_descriptors();
	signal(SIGPIPE, SIG_IGN); // a closed pipe is a write error, and reported as one
	setlocale(LC_CTYPE, "");
	gs_sigbus_install();
	if (argc < 2)
		return print_text(write_overview, NULL, STDERR_FILENO, GS_EXIT_USAGE);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return print_text(write_overview, NULL, STDOUT_FILENO, GS_EXIT_OK);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return print_text(write_version, NULL, STDOUT_FILENO, GS_EXIT_OK);
	cmd = gs_command_find(argv[1]);
	if (!cmd)
		return unknown_command(argv[1], gs_options_want_json(argc - 2, argv + 2));
	args = calloc(1, cmd->args_size);
	if (!args)
		return GS_EXIT_FAILED;
	r = gs_options_parse(cmd, argc - 2, argv + 2, args, &err);
	if (r == GS_OPTIONS_HELP)
		return print_text(gs_help_command, cmd, STDOUT_FILENO, GS_EXIT_OK);
	if (r < 0)
		return gs_report_error(cmd->name,
				       cmd->formats && gs_options_want_json(argc - 2, argv + 2),
				       &err, NULL);
	return cmd->run(args);
}
