/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Completion scripts for bash, zsh and fish from the tables. The scripts know commands, options and
 * choices; values of FILE options and targets complete as files. Nothing is run while completing.
 */
#include "cli/help.h"

#include <string.h>

#include "cli/options.h"

static bool is_file(const struct gs_opt *opt)
{
	return opt->arg && (strcmp(opt->arg, "FILE") == 0 || strcmp(opt->arg, "DIR") == 0);
}

/* Single-quoted for the shell; our texts hold no line breaks. */
static void quoted(struct gs_out *o, const char *s)
{
	gs_out_char(o, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			gs_out_str(o, "'\\''");
		else
			gs_out_char(o, *s);
	}
	gs_out_char(o, '\'');
}

static void choice_words(struct gs_out *o, const struct gs_opt *opt)
{
	for (size_t i = 0; opt->choices[i]; i++)
		gs_out_printf(o, "%s%s", i ? " " : "", opt->choices[i]);
}

static void bash_command(struct gs_out *o, const struct gs_cmd *cmd)
{
	struct gs_opt opt;

	gs_out_printf(o, "\t%s)\n\t\tcase $prev in\n", cmd->name);
	for (size_t i = 0; gs_option_at(cmd, i, &opt); i++) {
		if (opt.type == GS_OPT_FLAG)
			continue;
		gs_out_char(o, '\t');
		gs_out_char(o, '\t');
		if (opt.letter)
			gs_out_printf(o, "-%c|", opt.letter);
		gs_out_printf(o, "--%s) ", opt.name);
		if (opt.choices) {
			gs_out_str(o, "COMPREPLY=($(compgen -W '");
			choice_words(o, &opt);
			gs_out_str(o, "' -- \"$cur\")); return;;\n");
		} else if (is_file(&opt)) {
			gs_out_str(o, "COMPREPLY=($(compgen -f -- \"$cur\")); return;;\n");
		} else {
			gs_out_str(o, "return;;\n");
		}
	}
	gs_out_str(o, "\t\tesac\n\t\twords='--help");
	for (size_t i = 0; gs_option_at(cmd, i, &opt); i++)
		gs_out_printf(o, " --%s", opt.name);
	gs_out_str(o, "';;\n");
}

static void command_words(struct gs_out *o)
{
	for (size_t i = 0; gs_commands[i]; i++)
		gs_out_printf(o, "%s%s", i ? " " : "", gs_commands[i]->name);
}

static void bash(struct gs_out *o)
{
	gs_out_str(o,
		   "# bash completion for gosonde\n_gosonde() {\n"
		   "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words\n"
		   "\tCOMPREPLY=()\n"
		   "\tif ((COMP_CWORD == 1)); then\n\t\tCOMPREPLY=($(compgen -W '");
	command_words(o);
	gs_out_str(o, " --help --version' -- \"$cur\"))\n\t\treturn\n\tfi\n"
		      "\tcase ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; gs_commands[i]; i++)
		bash_command(o, gs_commands[i]);
	gs_out_str(o, "\tesac\n"
		      "\tif [[ $cur == -* ]]; then\n"
		      "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
		      "\telif [[ ${COMP_WORDS[1]} == help ]]; then\n\t\tCOMPREPLY=($(compgen -W '");
	command_words(o);
	gs_out_str(o, "' -- \"$cur\"))\n"
		      "\telse\n\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n\tfi\n}\n"
		      "complete -o filenames -F _gosonde gosonde\n");
}

/* Text inside an _arguments specification: brackets and colons have a meaning there. */
static void zsh_text(struct gs_out *o, const char *s)
{
	for (; *s; s++) {
		if (strchr("[]:\\", *s))
			gs_out_char(o, '\\');
		if (*s == '\'')
			gs_out_str(o, "'\\''");
		else
			gs_out_char(o, *s);
	}
}

static void zsh_option(struct gs_out *o, const struct gs_opt *opt)
{
	const char *repeat = opt->type == GS_OPT_STRINGS ? "*" : "";

	for (int letter = opt->letter ? 1 : 0; letter >= 0; letter--) {
		if (letter)
			gs_out_printf(o, "\t\t\t'%s-%c[", repeat, opt->letter);
		else
			gs_out_printf(o, "\t\t\t'%s--%s%s[", repeat, opt->name,
				      opt->type == GS_OPT_FLAG ? "" : "=");
		zsh_text(o, opt->help);
		gs_out_char(o, ']');
		if (opt->type != GS_OPT_FLAG) {
			gs_out_printf(o, ":%s:", opt->arg);
			if (opt->choices) {
				gs_out_char(o, '(');
				choice_words(o, opt);
				gs_out_char(o, ')');
			} else if (is_file(opt)) {
				gs_out_str(o, "_files");
			}
		}
		gs_out_str(o, "' \\\n");
	}
}

static void zsh(struct gs_out *o)
{
	struct gs_opt opt;

	gs_out_str(o, "#compdef gosonde\n_gosonde() {\n"
		      "\tif ((CURRENT == 2)); then\n\t\tlocal -a commands=(\n");
	for (size_t i = 0; gs_commands[i]; i++) {
		gs_out_printf(o, "\t\t\t'%s:", gs_commands[i]->name);
		zsh_text(o, gs_commands[i]->summary);
		gs_out_str(o, "'\n");
	}
	gs_out_str(o, "\t\t)\n\t\t_describe command commands\n\t\treturn\n\tfi\n"
		      "\tlocal command=$words[2]\n\tshift words\n\t((CURRENT--))\n"
		      "\tcase $command in\n");
	for (size_t i = 0; gs_commands[i]; i++) {
		gs_out_printf(o, "\t%s)\n\t\t_arguments -s \\\n", gs_commands[i]->name);
		for (size_t k = 0; gs_option_at(gs_commands[i], k, &opt); k++)
			zsh_option(o, &opt);
		gs_out_str(o, "\t\t\t'--help[This text]' '*:target:");
		if (gs_commands[i]->target & GS_ARG_COMMAND) {
			gs_out_char(o, '(');
			command_words(o);
			gs_out_char(o, ')');
		} else {
			gs_out_str(o, "_files");
		}
		gs_out_str(o, "';;\n");
	}
	gs_out_str(o, "\tesac\n}\n_gosonde \"$@\"\n");
}

static void fish_option(struct gs_out *o, const struct gs_cmd *cmd, const struct gs_opt *opt)
{
	gs_out_printf(o, "complete -c gosonde -n '__fish_seen_subcommand_from %s' -l %s", cmd->name,
		      opt->name);
	if (opt->letter)
		gs_out_printf(o, " -s %c", opt->letter);
	if (opt->type != GS_OPT_FLAG)
		gs_out_str(o, is_file(opt) ? " -r -F" : " -x");
	if (opt->choices) {
		gs_out_str(o, " -a '");
		choice_words(o, opt);
		gs_out_char(o, '\'');
	}
	gs_out_str(o, " -d ");
	quoted(o, opt->help);
	gs_out_char(o, '\n');
}

static void fish(struct gs_out *o)
{
	struct gs_opt opt;

	gs_out_str(o, "# fish completion for gosonde\n");
	for (size_t i = 0; gs_commands[i]; i++) {
		gs_out_printf(o, "complete -c gosonde -n __fish_use_subcommand -f -a %s -d ",
			      gs_commands[i]->name);
		quoted(o, gs_commands[i]->summary);
		gs_out_char(o, '\n');
		for (size_t k = 0; gs_option_at(gs_commands[i], k, &opt); k++)
			fish_option(o, gs_commands[i], &opt);
	}
}

void gs_help_completion(struct gs_out *o, const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		bash(o);
	else if (strcmp(shell, "zsh") == 0)
		zsh(o);
	else
		fish(o);
}
