/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What a command says besides its result. Failures are one line on stderr, "gosonde COMMAND: what: why.
 * what to do", or, with --format json, an object on stdout, so that a program that parses the output
 * also parses the failure.
 */
#include "cli/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/json_writer.h"
#include "cli/report.h"

static const struct {
	const char *name;
	int exit_code;
} codes[] = {
	[GS_E_BAD_DATA - GS_E_FIRST] = { "bad_data", GS_EXIT_TARGET },
	[GS_E_NOT_GO - GS_E_FIRST] = { "not_go", GS_EXIT_TARGET },
	[GS_E_UNSUPPORTED - GS_E_FIRST] = { "unsupported", GS_EXIT_TARGET },
	[GS_E_FAULT - GS_E_FIRST] = { "fault", GS_EXIT_TARGET },
	[GS_E_LIMIT - GS_E_FIRST] = { "limit", GS_EXIT_FAILED },
	[GS_E_GONE - GS_E_FIRST] = { "gone", GS_EXIT_TARGET },
	[GS_E_PERMISSION - GS_E_FIRST] = { "permission", GS_EXIT_TARGET },
	[GS_E_NOT_FOUND - GS_E_FIRST] = { "not_found", GS_EXIT_TARGET },
};

/* -EINVAL is kept for what the user wrote: options and expressions in them. */
int gs_exit_code(int err_code)
{
	int i = -err_code - GS_E_FIRST;

	if (err_code == -EINVAL)
		return GS_EXIT_USAGE;
	return i >= 0 && i < (int)GS_ARRAY_SIZE(codes) ? codes[i].exit_code : GS_EXIT_FAILED;
}

static const char *code_name(int err_code)
{
	int i = -err_code - GS_E_FIRST;
	const char *name;

	if (err_code == -EINVAL)
		return "usage";
	if (err_code == -EBADMSG)
		return "mismatch";
	if (i >= 0 && i < (int)GS_ARRAY_SIZE(codes))
		return codes[i].name;
	name = strerrorname_np(-err_code);
	return name ? name : "failed";
}

/* @return whether it could be written. */
static bool report_json(const char *text, int err_code)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	struct gs_json j;

	gs_out_init_fd(&o, STDOUT_FILENO);
	gs_json_init(&j, &o, false);
	gs_json_open_object(&j);
	gs_json_kv_string(&j, "schema", "gosonde.error/1");
	gs_json_key(&j, "error");
	gs_json_open_object(&j);
	gs_json_kv_string(&j, "code", code_name(err_code));
	gs_json_kv_string(&j, "message", text);
	gs_json_kv_i64(&j, "exit_code", gs_exit_code(err_code));
	gs_json_close(&j);
	gs_json_close(&j);
	gs_out_char(&o, '\n');
	return gs_out_flush(&o, "standard output", NULL) == 0;
}

int gs_report_error(const char *command, bool json, const struct gs_err *err, const char *doing)
{
	char raw[1024], text[1024];

	if (doing && *doing && err->text[0])
		snprintf(raw, sizeof(raw), "%s: %s", doing, err->text);
	else
		snprintf(raw, sizeof(raw), "%s", err->text[0] || !doing ? err->text : doing);
	gs_escape_to(text, sizeof(text), raw, strlen(raw));
	/* A full disk or a closed pipe does not take the object either. */
	if (!json || !report_json(text, err->code) ||
	    (isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO)))
		fprintf(stderr, "gosonde%s%s: %s\n", command ? " " : "", command ? command : "",
			text);
	return gs_exit_code(err->code);
}

int gs_report(const struct gs_common *c, const struct gs_err *err, const char *doing, ...)
{
	char text[512] = "";
	va_list ap;

	if (doing) {
		va_start(ap, doing);
		vsnprintf(text, sizeof(text), doing, ap);
		va_end(ap);
	}
	return gs_report_error(c->cmd->name, c->format && strcmp(c->format, "json") == 0, err,
			       text);
}

void gs_note(const struct gs_common *c, const char *fmt, ...)
{
	char raw[1024], text[1024];
	va_list ap;

	if (c->quiet)
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	gs_escape_to(text, sizeof(text), raw, strlen(raw));
	fprintf(stderr, "gosonde %s: %s\n", c->cmd->name, text);
}

bool gs_progress_wanted(const struct gs_common *c)
{
	return !c->quiet && isatty(STDERR_FILENO);
}

/* no-color.org and the CLICOLOR_FORCE convention of BSD's ls. */
bool gs_colour_wanted(int fd)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR"),
		   *force = getenv("CLICOLOR_FORCE");

	if (no && *no)
		return false;
	if (force && *force && strcmp(force, "0") != 0)
		return true;
	return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}
