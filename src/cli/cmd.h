/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_CMD_H
#define GS_CLI_CMD_H

/*
 * One table entry per command, one option table per command. Parsing, --help, the man page and the
 * shell completions all come from these tables.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/out.h"

/* Exit codes of every command. */
enum {
	GS_EXIT_OK = 0,
	GS_EXIT_FAILED = 1,
	GS_EXIT_USAGE = 2,
	GS_EXIT_TARGET = 3,     /* unsupported, gone or not permitted */
	GS_EXIT_INCOMPLETE = 4, /* done, but the result says that something is missing */
	GS_EXIT_LEAKS = 10,     /* leaks: found some */
};

enum gs_opt_type {
	GS_OPT_FLAG = 1, /* bool */
	GS_OPT_STRING,   /* const char * */
	GS_OPT_STRINGS,  /* struct gs_strings, repeatable */
	GS_OPT_U64,      /* uint64_t */
	GS_OPT_DURATION, /* int64_t ns; "5m", "1.5s", "2h45m" as Go writes them, plain number = seconds */
	GS_OPT_CHOICE, /* const char *, one of choices */
};

#define GS_STRINGS_MAX 32
/** Values of a repeatable option, NULL-terminated. */
struct gs_strings {
	const char *v[GS_STRINGS_MAX + 1];
	uint32_t n;
};

struct gs_opt {
	const char *heading; /* starts a new section of the help with this option; may be NULL */
	const char *name;
	char letter; /* 0: none */
	enum gs_opt_type type;
	const char *arg;            /* name of the value in help, NULL for flags */
	size_t dest;                /* offset in the command's argument structure */
	const char *const *choices; /* NULL-terminated */
	const char *fallback;       /* default as text, parsed like input; NULL: zero */
	const char *help;           /* one sentence fragment, no full stop */
};

/* What a command wants as TARGET. */
enum {
	GS_ARG_NONE = 0,
	GS_ARG_PID = 1,  /* PID or =name */
	GS_ARG_CORE = 2, /* core file */
	GS_ARG_FILE = 4, /* any file */
	GS_ARG_OPTIONAL = 8,
	GS_ARG_COMMAND = 16, /* name of a command (help) */
	GS_ARG_PROGRAM = 32, /* or a program to start: "-- CMD ARGS" */
};

/* Flags of a command. */
enum {
	GS_CMD_DURATION = 1, /* takes -d/--duration; others refuse it and say why */
};

/** Options that mean the same in every command; first member of each argument structure. */
struct gs_common {
	const char *output;  /* -o/--output, NULL: stdout */
	const char *format;  /* --format; never NULL if the command has formats */
	const char *exe;     /* --exe: executable of a core file */
	int64_t duration_ns; /* -d/--duration, 0: not given */
	bool quiet;
	const char *target;   /* positional argument, NULL if none */
	char *const *program; /* words behind "--", NULL-terminated; NULL if none */
	const struct gs_cmd *cmd;
};

struct gs_cmd {
	const char *name, *summary;
	const char *description; /* paragraphs for --help and the man page */
	const char *examples; /* lines "gosonde …    what it does", two or more blanks between */
	const char *const
		*formats;    /* choices of --format, first is the default; NULL: no --format */
	unsigned int target; /* GS_ARG_* */
	unsigned int flags;  /* GS_CMD_* */
	const struct gs_opt *options;
	size_t n_options;
	size_t args_size; /* of the argument structure, which begins with struct gs_common */
	/** @return an exit code. Failures are reported with gs_report(). */
	int (*run)(void *args);
};

extern const struct gs_cmd *const gs_commands[]; /* NULL-terminated, in the order of help */

/** Print a failure to stderr (or as a JSON object to stdout with --format json) and return the exit
 *  code that belongs to @err->code. @doing is what the user asked for: "cannot dump PID 42". */
int gs_report(const struct gs_common *c, const struct gs_err *err, const char *doing, ...)
	GS_PRINTF(3, 4);
/** The exit code that belongs to a failure. */
int gs_exit_code(int err_code);
/** Notes and progress on stderr, unless --quiet. */
void gs_note(const struct gs_common *c, const char *fmt, ...) GS_PRINTF(2, 3);
/** True if stderr is a terminal and --quiet was not given. */
bool gs_progress_wanted(const struct gs_common *c);
/** Colours: fd is a terminal, TERM is not dumb, NO_COLOR unset (or CLICOLOR_FORCE set). */
bool gs_colour_wanted(int fd);

/** Open what -o names, or stdout. With a file, a temporary beside it that gs_output_close renames,
 *  so that a failed run leaves no half file. */
struct gs_output {
	struct gs_out out;
	char *path, *tmp;
};
GS_CHECKED int gs_output_open(struct gs_output *o, const struct gs_common *c, struct gs_err *err);
/** Flush and rename if @ok, else remove. A failed write is an error even on stdout. */
GS_CHECKED int gs_output_close(struct gs_output *o, bool ok, struct gs_err *err);

struct gs_target;
/** Resolve TARGET ("1234", "=name", a core file) and open it. "=name" with several matches lists them
 *  and fails. */
GS_CHECKED int gs_open_target(const struct gs_common *c, struct gs_target **ret,
			      struct gs_err *err);

#endif
