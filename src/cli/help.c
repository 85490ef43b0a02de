/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * --help from the tables: usage line, summary, description, options in sections, examples, exit codes.
 * -h, --help and `gosonde help COMMAND` print the same text.
 */
#include "cli/help.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/option_values.h"
#include "cli/options.h"

#define WIDTH 79
#define OPTION_COLUMN 30

const struct gs_cmd *gs_command_find(const char *name)
{
	for (size_t i = 0; gs_commands[i]; i++) {
		if (strcmp(gs_commands[i]->name, name) == 0)
			return gs_commands[i];
	}
	return NULL;
}

const char *gs_command_nearest(const char *name)
{
	const char *words[64];
	size_t n = 0;

	for (; gs_commands[n] && n < GS_ARRAY_SIZE(words); n++)
		words[n] = gs_commands[n]->name;
	return gs_nearest_word(name, words, n);
}

static void blanks(struct gs_out *o, unsigned int n)
{
	while (n--)
		gs_out_char(o, ' ');
}

/* Columns of @n bytes of our own texts: characters, all of them one column wide. */
static unsigned int columns(const char *s, size_t n)
{
	unsigned int c = 0;

	for (size_t i = 0; i < n; i++)
		c += ((unsigned char)s[i] & 0xc0) != 0x80;
	return c;
}

void gs__help_wrap(struct gs_out *o, const char *text, unsigned int col, unsigned int indent)
{
	bool first = true;

	while (*text) {
		size_t len = strcspn(text, " \n");
		unsigned int w = columns(text, len);

		if (len && !first && col + 1 + w > WIDTH) {
			gs_out_char(o, '\n');
			blanks(o, indent);
			col = indent;
			first = true;
		}
		if (len && !first) {
			gs_out_char(o, ' ');
			col++;
		}
		gs_out_bytes(o, text, len);
		col += w;
		first = first && !len;
		text += len;
		if (text[0] == '\n' && text[1] == '\n') {
			gs_out_str(o, "\n\n");
			blanks(o, indent);
			col = indent;
			first = true;
		}
		text += strspn(text, " \n");
	}
	gs_out_char(o, '\n');
}

static const char *target_name(const struct gs_cmd *cmd)
{
	switch (cmd->target & ~(unsigned int)(GS_ARG_OPTIONAL | GS_ARG_PROGRAM)) {
	case GS_ARG_PID:
		return "PID|=NAME";
	case GS_ARG_PID | GS_ARG_CORE:
		return "PID|=NAME|CORE";
	case GS_ARG_FILE:
		return "FILE";
	case GS_ARG_FILE | GS_ARG_PID:
		return "FILE|PID|=NAME";
	case GS_ARG_COMMAND:
		return "COMMAND";
	default:
		return NULL;
	}
}

void gs__help_synopsis(struct gs_out *o, const struct gs_cmd *cmd)
{
	const char *t = target_name(cmd);

	gs_out_printf(o, "gosonde %s", cmd->name);
	if (cmd->target & GS_ARG_PROGRAM) {
		gs_out_printf(o, " [options] %s|-- PROGRAM [ARG...]", t);
		return;
	}
	if (t)
		gs_out_printf(o, cmd->target & GS_ARG_OPTIONAL ? " [%s]" : " %s", t);
	gs_out_str(o, " [options]");
}

void gs__help_option_text(struct gs_out *o, const struct gs_opt *opt)
{
	gs_out_str(o, opt->help);
	if (opt->choices) {
		gs_out_str(o, ": ");
		for (size_t i = 0; opt->choices[i]; i++)
			gs_out_printf(o, "%s%s", i ? ", " : "", opt->choices[i]);
	}
	if (opt->fallback)
		gs_out_printf(o, " (default %s)", opt->fallback);
	if (opt->type == GS_OPT_STRINGS)
		gs_out_str(o, "; may be repeated");
}

static void print_option(struct gs_out *o, const struct gs_opt *opt)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out text;
	char head[80];
	int n;

	gs_out_init_mem(&text);
	gs__help_option_text(&text, opt);
	gs_out_char(&text, '\0');
	if (opt->letter)
		n = snprintf(head, sizeof(head), "  -%c, --%s%s%s", opt->letter, opt->name,
			     opt->arg ? " " : "", opt->arg ? opt->arg : "");
	else
		n = snprintf(head, sizeof(head), "      --%s%s%s", opt->name, opt->arg ? " " : "",
			     opt->arg ? opt->arg : "");
	gs_out_str(o, head);
	if (n + 2 > OPTION_COLUMN) {
		gs_out_char(o, '\n');
		n = 0;
	}
	blanks(o, (unsigned int)(OPTION_COLUMN - n));
	if (!text.error)
		gs__help_wrap(o, text.buf, OPTION_COLUMN, OPTION_COLUMN);
}

static void print_options(struct gs_out *o, const struct gs_cmd *cmd)
{
	static const struct gs_opt help = { .name = "help", .letter = 'h', .help = "This text" };
	struct gs_opt opt;

	for (size_t i = 0; gs_option_at(cmd, i, &opt); i++) {
		if (opt.heading)
			gs_out_printf(o, "\n%s:\n", opt.heading);
		else if (i == 0 || i == cmd->n_options)
			gs_out_str(o, i == 0 && cmd->n_options ? "\nOptions:\n"
							       : "\nGeneral options:\n");
		print_option(o, &opt);
	}
	print_option(o, &help);
}

const char *gs__help_example(const char *line, size_t *ret_command_len, const char **ret_text,
			     size_t *ret_text_len)
{
	const char *end = strchrnul(line, '\n'), *gap = line;

	while (gap < end && !(gap[0] == ' ' && gap[1] == ' '))
		gap++;
	*ret_command_len = (size_t)(gap - line);
	while (gap < end && *gap == ' ')
		gap++;
	*ret_text = gap;
	*ret_text_len = (size_t)(end - gap);
	return *end && end[1] ? end + 1 : NULL;
}

static void print_examples(struct gs_out *o, const char *line)
{
	gs_out_str(o, "\nExamples:\n");
	while (line) {
		const char *text, *command = line;
		size_t nc, nt;

		line = gs__help_example(line, &nc, &text, &nt);
		gs_out_str(o, "  ");
		gs_out_bytes(o, command, nc);
		if (nt) {
			gs_out_str(o, "\n      ");
			gs_out_bytes(o, text, nt);
		}
		gs_out_char(o, '\n');
	}
}

void gs_help_command(struct gs_out *o, const struct gs_cmd *cmd)
{
	gs_out_str(o, "Usage: ");
	gs__help_synopsis(o, cmd);
	gs_out_char(o, '\n');
	gs_out_printf(o, "\n%s\n", cmd->summary);
	if (cmd->description) {
		gs_out_char(o, '\n');
		gs__help_wrap(o, cmd->description, 0, 0);
	}
	print_options(o, cmd);
	if (cmd->examples)
		print_examples(o, cmd->examples);
	gs_out_str(o,
		   "\nExit status: 0 done, 1 failed, 2 usage, 3 target unsupported, gone or not\n"
		   "permitted, 4 done but incomplete.\n");
}

void gs_help_overview(struct gs_out *o)
{
	gs_out_str(o, "Usage: gosonde COMMAND [TARGET] [options]\n\n"
		      "Looks into running Go programs from outside. They need no change and no "
		      "restart,\nand are not stopped.\n\nCommands:\n");
	for (size_t i = 0; gs_commands[i]; i++) {
		gs_out_printf(o, "  %-12s", gs_commands[i]->name);
		gs__help_wrap(o, gs_commands[i]->summary, 14, 14);
	}
	gs_out_str(o,
		   "\nTARGET is a PID, =NAME for the one Go process of that name, or a core file.\n"
		   "\n`gosonde COMMAND --help` tells the options and shows examples;\n"
		   "`gosonde --version` prints the version.\n");
}
