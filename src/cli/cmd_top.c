/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* gosonde top: goroutines, live. Options and signals; top_source.c reads, top_screen.c and top_batch.c
 * show. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cmd.h"
#include "cli/top.h"

#define DELAY_MIN_NS 100000000

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig; /* all that are caught mean the same */
	interrupted = 1;
}

bool gs_top_interrupted(void)
{
	return interrupted;
}

/* Without SA_RESTART, so that waiting ends. */
static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

static void set_view(struct gs_top_view *v, const struct gs_top_args *a)
{
	while (strcmp(gs_top_group_name(v->group), a->group_by) != 0)
		v->group++;
	v->column = v->group == GS_TOP_SINGLE ? GS_TOP_WAIT : GS_TOP_COUNT;
	if (a->sort) {
		v->column = 0;
		while (strcmp(gs_top_column_name(v->column), a->sort) != 0)
			v->column++;
	}
	v->invert = a->invert;
	v->system = a->system;
	if (a->filter)
		snprintf(v->filter, sizeof(v->filter), "%s", a->filter);
}

static int check(const struct gs_top_args *a, struct gs_err *err)
{
	bool json = strcmp(a->common.format, "json") == 0;

	if (a->filter && strlen(a->filter) >= GS_TOP_FILTER_MAX)
		return gs_fail(err, -EINVAL, 0, "--filter: more than %d bytes",
			       GS_TOP_FILTER_MAX - 1);
	if (a->delay_ns < DELAY_MIN_NS)
		return gs_fail(err, -EINVAL, 0, "--delay: at least 100ms");
	if (a->batch || json)
		return 0;
	if (a->common.output)
		return gs_fail(err, -EINVAL, 0, "-o/--output needs --batch");
	if (a->iterations)
		return gs_fail(err, -EINVAL, 0, "-n/--iterations needs --batch");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return gs_fail(
			err, -EINVAL, 0,
			"standard input and output are no terminal. Add --batch for plain text");
	return 0;
}

static int run(void *args)
{
	struct gs_top t = { .a = args };
	struct gs_err err = { 0 };
	int r = check(t.a, &err);

	if (r < 0)
		return gs_report(&t.a->common, &err, NULL);
	set_view(&t.view, t.a);
	catch_signals();
	r = gs_top_open(&t, &err);
	if (r < 0)
		r = gs_report(&t.a->common, &err, "cannot watch %s", t.a->common.target);
	else if (t.a->batch || strcmp(t.a->common.format, "json") == 0)
		r = gs_top_batch(&t);
	else
		r = gs_top_screen(&t);
	gs_top_close(&t);
	return r;
}

static const char *const formats[] = { "text", "json", NULL };
static const char *const groups[] = { "stack", "creator", "state", "none", NULL };
static const char *const columns[] = { "count", "state", "wait", "function", "creator", NULL };

#define AT(field) offsetof(struct gs_top_args, field)
static const struct gs_opt options[] = {
	{ .heading = "What to show",
	  .name = "group-by",
	  .letter = 'g',
	  .type = GS_OPT_CHOICE,
	  .arg = "KEY",
	  .dest = AT(group_by),
	  .choices = groups,
	  .fallback = "stack",
	  .help = "Count goroutines that have the same" },
	{ .name = "sort",
	  .type = GS_OPT_CHOICE,
	  .arg = "COLUMN",
	  .dest = AT(sort),
	  .choices = columns,
	  .help = "Order by" },
	{ .name = "invert", .type = GS_OPT_FLAG, .dest = AT(invert), .help = "Invert the order" },
	{ .name = "filter",
	  .type = GS_OPT_STRING,
	  .arg = "TEXT",
	  .dest = AT(filter),
	  .help = "Only rows with TEXT in their state, wait reason, creator or functions" },
	{ .name = "system",
	  .type = GS_OPT_FLAG,
	  .dest = AT(system),
	  .help = "Also goroutines of the runtime itself" },
	{ .heading = "How often",
	  .name = "delay",
	  .letter = 's',
	  .type = GS_OPT_DURATION,
	  .arg = "TIME",
	  .dest = AT(delay_ns),
	  .fallback = "2s",
	  .help = "Time between refreshes" },
	{ .heading = "Without a terminal",
	  .name = "batch",
	  .letter = 'b',
	  .type = GS_OPT_FLAG,
	  .dest = AT(batch),
	  .help = "Print each refresh as plain text (--format json: one object per line)" },
	{ .name = "iterations",
	  .letter = 'n',
	  .type = GS_OPT_U64,
	  .arg = "N",
	  .dest = AT(iterations),
	  .help = "End after N refreshes" },
	{ .name = "limit",
	  .type = GS_OPT_U64,
	  .arg = "N",
	  .dest = AT(limit),
	  .help = "Print the first N rows only" },
};

const struct gs_cmd gs_cmd_top = {
	.name = "top",
	.summary = "Watch goroutines live, with the keys of htop",
	.description = "Shows the goroutines of a running process, counted by stack, by creator, "
		       "by state, or "
		       "one by one, with scheduler, memory and GC figures above. The process is "
		       "read anew at each "
		       "refresh and is not stopped. Of a core file there is one picture.\n\n"
		       "Keys: arrows, PgUp, PgDn, Home and End move; Enter shows a goroutine's "
		       "whole stack, "
		       "labels and creator, or the goroutines of a group; Esc goes back; g or F5 "
		       "changes the "
		       "grouping; F6 or > chooses the column to sort by, C, T, S, N and B sort by "
		       "count, time "
		       "waiting, state, name and creator, I inverts; / or F3 searches (n: next), "
		       "\\ or F4 filters; "
		       "Space or Z freezes; K shows goroutines of the runtime; h or F1 helps; q or "
		       "F10 quits.",
	.examples = "gosonde top =shop    watch it\n"
		    "gosonde top 4711 -g state -s 500ms    by state, twice a second\n"
		    "gosonde top 4711 --batch -n 1 --sort wait    one picture as text\n"
		    "gosonde top 4711 --format json -d 1m > top.jsonl    a minute of pictures",
	.formats = formats,
	.target = GS_ARG_PID | GS_ARG_CORE,
	.flags = GS_CMD_DURATION,
	.options = options,
	.n_options = GS_ARRAY_SIZE(options),
	.args_size = sizeof(struct gs_top_args),
	.run = run,
};
