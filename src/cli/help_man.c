/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Manual pages from the tables, in man(7) macros: gosonde(1) and gosonde-COMMAND(1). Text is escaped
 * so that no word of a description is taken for a request: backslashes, a point or quote at the start
 * of a line, and hyphens that must stay ASCII so that options can be copied from the page.
 */
#include "cli/help.h"

#include <stdio.h>
#include <string.h>

#include "cli/options.h"

/* Of the texts, not of the build: pages must be the same from the same source. */
#define MANUAL_DATE "2026-11-21"

static void roff(struct gs_out *o, const char *s, size_t n, bool at_line_start)
{
	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (at_line_start && (c == '.' || c == '\''))
			gs_out_str(o, "\\&");
		at_line_start = c == '\n';
		if (c == '\\')
			gs_out_str(o, "\\e");
		else if (c == '-')
			gs_out_str(o, "\\-");
		else
			gs_out_char(o, c);
	}
}

static void roff_str(struct gs_out *o, const char *s)
{
	roff(o, s, strlen(s), true);
}

static void title(struct gs_out *o, const char *name)
{
	char upper[64];
	size_t n = 0;

	for (; name[n] && n + 1 < sizeof(upper); n++)
		upper[n] = name[n] >= 'a' && name[n] <= 'z' ? (char)(name[n] - 32) : name[n];
	upper[n] = '\0';
	gs_out_printf(o, ".TH \"%s\" \"1\" \"%s\" \"gosonde %s\" \"gosonde manual\"\n", upper,
		      MANUAL_DATE, GS_VERSION);
}

/* Paragraphs of a description; empty lines part them. */
static void paragraphs(struct gs_out *o, const char *text)
{
	while (*text) {
		const char *end = strstr(text, "\n\n");
		size_t n = end ? (size_t)(end - text) : strlen(text);

		roff(o, text, n, true);
		gs_out_char(o, '\n');
		if (!end)
			return;
		gs_out_str(o, ".PP\n");
		text = end + 2;
	}
}

static void option(struct gs_out *o, const struct gs_opt *opt)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out text;

	gs_out_str(o, ".TP\n");
	if (opt->letter)
		gs_out_printf(o, "\\fB\\-%c\\fR, ", opt->letter);
	gs_out_str(o, "\\fB\\-\\-");
	roff(o, opt->name, strlen(opt->name), false);
	gs_out_str(o, "\\fR");
	if (opt->arg)
		gs_out_printf(o, " \\fI%s\\fR", opt->arg);
	gs_out_char(o, '\n');
	gs_out_init_mem(&text);
	gs__help_option_text(&text, opt);
	roff(o, text.buf, text.len, true);
	gs_out_str(o, ".\n");
}

static void options(struct gs_out *o, const struct gs_cmd *cmd)
{
	static const struct gs_opt help = { .name = "help",
					    .letter = 'h',
					    .help = "Print the help" };
	struct gs_opt opt;

	gs_out_str(o, ".SH OPTIONS\n");
	for (size_t i = 0; gs_option_at(cmd, i, &opt); i++) {
		if (opt.heading)
			gs_out_printf(o, ".SS %s\n", opt.heading);
		else if (i == cmd->n_options && cmd->n_options)
			gs_out_str(o, ".SS General options\n");
		option(o, &opt);
	}
	option(o, &help);
}

static void examples(struct gs_out *o, const char *line)
{
	gs_out_str(o, ".SH EXAMPLES\n");
	while (line) {
		const char *text, *command = line;
		size_t nc, nt;

		line = gs__help_example(line, &nc, &text, &nt);
		gs_out_str(o, ".TP\n.B \"");
		roff(o, command, nc, false);
		gs_out_str(o, "\"\n");
		roff(o, text, nt, true);
		gs_out_char(o, '\n');
	}
}

static void exit_status(struct gs_out *o)
{
	static const char *const codes[][2] = {
		{ "0", "Done." },
		{ "1", "Failed; the message says why." },
		{ "2", "Wrong usage." },
		{ "3", "The target is unsupported, gone, damaged, or may not be read." },
		{ "4", "Done, but the result says that something is missing." },
	};

	gs_out_str(o, ".SH EXIT STATUS\n");
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		gs_out_printf(o, ".TP\n.B %s\n%s\n", codes[i][0], codes[i][1]);
}

static void man_command(struct gs_out *o, const struct gs_cmd *cmd)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out synopsis;
	char name[64];

	snprintf(name, sizeof(name), "gosonde-%s", cmd->name);
	title(o, name);
	gs_out_str(o, ".SH NAME\n");
	roff_str(o, name);
	gs_out_str(o, " \\- ");
	roff(o, cmd->summary, strlen(cmd->summary), false);
	gs_out_str(o, "\n.SH SYNOPSIS\n");
	gs_out_init_mem(&synopsis);
	gs__help_synopsis(&synopsis, cmd);
	roff(o, synopsis.buf, synopsis.len, true);
	gs_out_str(o, "\n.SH DESCRIPTION\n");
	paragraphs(o, cmd->description ? cmd->description : cmd->summary);
	options(o, cmd);
	exit_status(o);
	if (cmd->examples)
		examples(o, cmd->examples);
	gs_out_str(o, ".SH SEE ALSO\n.BR gosonde (1)\n");
}

void gs_help_man(struct gs_out *o, const struct gs_cmd *cmd)
{
	if (cmd) {
		man_command(o, cmd);
		return;
	}
	title(o, "gosonde");
	gs_out_str(o,
		   ".SH NAME\ngosonde \\- look into running Go programs from outside\n"
		   ".SH SYNOPSIS\ngosonde \\fICOMMAND\\fR [\\fITARGET\\fR] [options]\n"
		   ".SH DESCRIPTION\n"
		   "Reads a running Go process, a core file or an executable: goroutines, stacks, "
		   "build\ninformation. The process needs no change and no restart, and is not "
		   "stopped.\n.PP\nTARGET is a PID, =NAME for the one Go process of that name, or "
		   "a core file.\n.SH COMMANDS\n");
	for (size_t i = 0; gs_commands[i]; i++) {
		gs_out_printf(o, ".TP\n.BR gosonde\\-%s (1)\n", gs_commands[i]->name);
		roff_str(o, gs_commands[i]->summary);
		gs_out_str(o, ".\n");
	}
	exit_status(o);
}
