/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Parser over the option tables. Accepted: --name, --name=value, --name value, -x, -xvalue, -x value,
 * -xyz for flags, and "--", behind which some commands take a program and its arguments. Names are
 * matched whole: an abbreviation that works today would change its meaning with the next option. A later
 * value of the same option replaces an earlier one, except for repeatable options.
 */
#include "cli/options.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/option_values.h"

static const struct gs_opt opt_output = {
	.name = "output",
	.letter = 'o',
	.type = GS_OPT_STRING,
	.arg = "FILE",
	.dest = offsetof(struct gs_common, output),
	.help = "Write the result to FILE, which appears only when it is complete",
};
static const struct gs_opt opt_format = {
	.name = "format",
	.letter = 'f',
	.type = GS_OPT_CHOICE,
	.arg = "FORMAT",
	.dest = offsetof(struct gs_common, format),
	.help = "Format of the result",
};
static const struct gs_opt opt_duration = {
	.name = "duration",
	.letter = 'd',
	.type = GS_OPT_DURATION,
	.arg = "TIME",
	.dest = offsetof(struct gs_common, duration_ns),
	.help = "Stop after TIME, such as 30s",
};
static const struct gs_opt opt_exe = {
	.name = "exe",
	.type = GS_OPT_STRING,
	.arg = "FILE",
	.dest = offsetof(struct gs_common, exe),
	.help = "Executable that a core file came from, if not where the core says",
};
static const struct gs_opt opt_quiet = {
	.name = "quiet",
	.letter = 'q',
	.type = GS_OPT_FLAG,
	.dest = offsetof(struct gs_common, quiet),
	.help = "No notes and no progress on stderr",
};

bool gs_option_at(const struct gs_cmd *cmd, size_t i, struct gs_opt *ret)
{
	const struct gs_opt *common[] = {
		&opt_output,
		cmd->formats ? &opt_format : NULL,
		cmd->flags & GS_CMD_DURATION ? &opt_duration : NULL,
		cmd->target & GS_ARG_CORE ? &opt_exe : NULL,
		&opt_quiet,
	};

	if (i < cmd->n_options) {
		*ret = cmd->options[i];
		return true;
	}
	i -= cmd->n_options;
	for (size_t k = 0; k < GS_ARRAY_SIZE(common); k++) {
		if (!common[k] || i-- != 0)
			continue;
		*ret = *common[k];
		if (common[k] == &opt_format) {
			ret->choices = cmd->formats;
			ret->fallback = cmd->formats[0];
		}
		return true;
	}
	return false;
}

static bool find_long(const struct gs_cmd *cmd, const char *name, size_t len, struct gs_opt *ret)
{
	for (size_t i = 0; gs_option_at(cmd, i, ret); i++) {
		if (strlen(ret->name) == len && memcmp(ret->name, name, len) == 0)
			return true;
	}
	return false;
}

static bool find_letter(const struct gs_cmd *cmd, char letter, struct gs_opt *ret)
{
	for (size_t i = 0; gs_option_at(cmd, i, ret); i++) {
		if (ret->letter == letter)
			return true;
	}
	return false;
}

/* -d is promised for all commands that run for a time; say why this one has none. */
static int refuse_duration(struct gs_err *err)
{
	return gs_fail(
		err, -EINVAL, 0,
		"-d/--duration has no meaning here: this command looks once and ends. To keep "
		"looking use `gosonde top`");
}

static int unknown_long(const struct gs_cmd *cmd, const char *name, size_t len, struct gs_err *err)
{
	const char *words[GS_OPTIONS_MAX + 1], *near;
	struct gs_opt o;
	char word[64];
	size_t n = 0;

	if (len == 8 && memcmp(name, "duration", 8) == 0)
		return refuse_duration(err);
	snprintf(word, sizeof(word), "%.*s", (int)len, name);
	while (n < GS_OPTIONS_MAX && gs_option_at(cmd, n, &o))
		words[n++] = o.name;
	words[n++] = "help";
	near = gs_nearest_word(word, words, n);
	if (near)
		return gs_fail(err, -EINVAL, 0, "unknown option --%.*s: did you mean --%s?",
			       (int)len, name, near);
	return gs_fail(err, -EINVAL, 0,
		       "unknown option --%.*s: `gosonde %s --help` lists the options", (int)len,
		       name, cmd->name);
}

static int unknown_choice(const struct gs_opt *o, const char *value, struct gs_err *err)
{
	char list[256] = "";
	const char *near;
	size_t n = 0, at = 0;

	for (; o->choices[n]; n++) {
		int w = snprintf(list + at, sizeof(list) - at, "%s%s", n ? ", " : "",
				 o->choices[n]);

		at += w > 0 && (size_t)w < sizeof(list) - at ? (size_t)w : 0;
	}
	near = gs_nearest_word(value, o->choices, n);
	return gs_fail(err, -EINVAL, 0, "--%s: \"%s\" is not one of %s%s%s%s", o->name, value, list,
		       near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
}

static int set_choice(const struct gs_opt *o, const char *value, const char **dest,
		      struct gs_err *err)
{
	for (size_t i = 0; o->choices[i]; i++) {
		if (strcmp(o->choices[i], value) == 0) {
			*dest = o->choices[i];
			return 0;
		}
	}
	return unknown_choice(o, value, err);
}

static int set_option(const struct gs_opt *o, const char *value, void *args, struct gs_err *err)
{
	void *dest = (char *)args + o->dest;
	struct gs_strings *list;
	int r = 0;

	switch (o->type) {
	case GS_OPT_FLAG:
		*(bool *)dest = true;
		return 0;
	case GS_OPT_STRING:
		if (!*value)
			return gs_fail(err, -EINVAL, 0, "--%s: the value is empty", o->name);
		*(const char **)dest = value;
		return 0;
	case GS_OPT_STRINGS:
		list = dest;
		if (list->n == GS_STRINGS_MAX)
			return gs_fail(err, -EINVAL, 0, "--%s: given more than %d times", o->name,
				       GS_STRINGS_MAX);
		list->v[list->n++] = value;
		return 0;
	case GS_OPT_U64:
		r = gs_parse_u64(value, dest, err);
		break;
	case GS_OPT_DURATION:
		r = gs_parse_duration(value, dest, err);
		break;
	case GS_OPT_CHOICE:
		return set_choice(o, value, dest, err);
	}
	return r < 0 ? gs_fail_in(err, r, "--%s", o->name) : r;
}

static int set_fallbacks(const struct gs_cmd *cmd, void *args, struct gs_err *err)
{
	struct gs_opt o;

	for (size_t i = 0; gs_option_at(cmd, i, &o); i++) {
		int r = o.fallback ? set_option(&o, o.fallback, args, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

struct words {
	int argc, at;
	char **argv;
};

static int take_value(struct words *w, const struct gs_opt *o, const char **ret, struct gs_err *err)
{
	if (w->at < w->argc) {
		*ret = w->argv[w->at++];
		return 0;
	}
	return gs_fail(err, -EINVAL, 0, "--%s: %s is missing", o->name,
		       o->arg ? o->arg : "a value");
}

static int parse_long(const struct gs_cmd *cmd, const char *word, struct words *w, void *args,
		      struct gs_err *err)
{
	const char *eq = strchr(word, '=');
	size_t len = eq ? (size_t)(eq - word) : strlen(word);
	const char *value = eq ? eq + 1 : NULL;
	struct gs_opt o;
	int r = 0;

	if (strcmp(word, "help") == 0)
		return GS_OPTIONS_HELP;
	if (!find_long(cmd, word, len, &o))
		return unknown_long(cmd, word, len, err);
	if (o.type == GS_OPT_FLAG && value)
		return gs_fail(err, -EINVAL, 0, "--%s takes no value", o.name);
	if (o.type != GS_OPT_FLAG && !value)
		r = take_value(w, &o, &value, err);
	return r < 0 ? r : set_option(&o, value, args, err);
}

static int parse_letters(const struct gs_cmd *cmd, const char *word, struct words *w, void *args,
			 struct gs_err *err)
{
	for (const char *p = word; *p; p++) {
		const char *value = NULL;
		struct gs_opt o;
		int r = 0;

		if (*p == 'h')
			return GS_OPTIONS_HELP;
		if (!find_letter(cmd, *p, &o)) {
			if (*p == 'd')
				return refuse_duration(err);
			return gs_fail(err, -EINVAL, 0,
				       "unknown option -%c: `gosonde %s --help` lists the options",
				       *p, cmd->name);
		}
		if (o.type != GS_OPT_FLAG) {
			value = p[1] == '=' ? p + 2 : p + 1;
			if (!p[1])
				r = take_value(w, &o, &value, err);
		}
		if (r == 0)
			r = set_option(&o, value, args, err);
		if (r < 0 || o.type != GS_OPT_FLAG)
			return r;
	}
	return 0;
}

static const char *target_words(const struct gs_cmd *cmd)
{
	if (cmd->target & GS_ARG_FILE && cmd->target & GS_ARG_PID)
		return "a file or a PID";
	if (cmd->target & GS_ARG_FILE)
		return "a file";
	if (cmd->target & GS_ARG_CORE)
		return cmd->target & GS_ARG_PROGRAM ? "a PID, =NAME, a core file or -- PROGRAM"
						    : "a PID, =NAME or a core file";
	return cmd->target & GS_ARG_COMMAND ? "a command" : "a PID or =NAME";
}

static int take_target(const struct gs_cmd *cmd, struct gs_common *c, const char *word,
		       struct gs_err *err)
{
	if (!(cmd->target & ~(unsigned int)GS_ARG_OPTIONAL))
		return gs_fail(err, -EINVAL, 0, "\"%s\" is too much: this command takes no target",
			       word);
	if (c->target)
		return gs_fail(err, -EINVAL, 0, "\"%s\" is too much: the target is already \"%s\"",
			       word, c->target);
	if (!*word)
		return gs_fail(err, -EINVAL, 0, "the target is empty: expected %s",
			       target_words(cmd));
	c->target = word;
	return 0;
}

/* All that is left is a program and its arguments. */
static int take_program(struct gs_common *c, struct words *w, struct gs_err *err)
{
	if (c->target)
		return gs_fail(err, -EINVAL, 0,
			       "the target is already \"%s\": no program can be started beside it",
			       c->target);
	if (w->at == w->argc || !w->argv[w->at][0])
		return gs_fail(err, -EINVAL, 0, "-- is followed by no program");
	c->program = w->argv + w->at;
	w->at = w->argc;
	return 0;
}

static int parse_words(const struct gs_cmd *cmd, struct words *w, void *args, struct gs_err *err)
{
	bool ended = false;
	int r = 0;

	while (r == 0 && w->at < w->argc) {
		const char *word = w->argv[w->at++];

		if (!ended && strcmp(word, "--") == 0 && cmd->target & GS_ARG_PROGRAM)
			r = take_program(args, w, err);
		else if (!ended && strcmp(word, "--") == 0)
			ended = true;
		else if (!ended && strncmp(word, "--", 2) == 0)
			r = parse_long(cmd, word + 2, w, args, err);
		else if (!ended && word[0] == '-' && word[1])
			r = parse_letters(cmd, word + 1, w, args, err);
		else
			r = take_target(cmd, args, word, err);
	}
	return r;
}

int gs_options_parse(const struct gs_cmd *cmd, int argc, char **argv, void *args,
		     struct gs_err *err)
{
	struct words w = { .argc = argc, .argv = argv };
	struct gs_common *c = args;
	bool needs_target = cmd->target != 0 && !(cmd->target & GS_ARG_OPTIONAL);
	int r;

	assert(cmd->args_size >= sizeof(struct gs_common));
	c->cmd = cmd;
	r = set_fallbacks(cmd, args, err);
	assert(r == 0); // a default that its own table refuses
	r = parse_words(cmd, &w, args, err);
	if (r == 0 && needs_target && !c->target && !c->program)
		return gs_fail(err, -EINVAL, 0, "no target: expected %s, as in `gosonde %s %s`",
			       target_words(cmd), cmd->name,
			       cmd->target & GS_ARG_FILE ? "FILE" : "1234");
	return r;
}

bool gs_options_want_json(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *value = NULL;

		if (strncmp(argv[i], "--format=", 9) == 0)
			value = argv[i] + 9;
		else if ((strcmp(argv[i], "--format") == 0 || strcmp(argv[i], "-f") == 0) &&
			 i + 1 < argc)
			value = argv[i + 1];
		else if (strncmp(argv[i], "-f", 2) == 0)
			value = argv[i] + (argv[i][2] == '=' ? 3 : 2);
		if (value && strcmp(value, "json") == 0)
			return true;
	}
	return false;
}
