/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_RESULT_H
#define GS_MODEL_RESULT_H

/* What every result carries: whom it is about, and what it could not see. */
#include <stdint.h>

#include <gosonde/err.h>

/** The process a result is about. Strings are raw and borrowed. */
struct gs_process {
	int32_t pid;
	uint64_t start_time_unix_ns; /* 0 if unknown */
	const char *executable;
	const char *go_version;
	const char *goos, *goarch;
	const char *service; /* module path of the main package, or the file's name */
};

/** The minor release in a version string, 26 of "go1.26.10"; 0 if there is none or @version is NULL. */
unsigned int gs_go_version_minor(const char *version);

struct gs_json;
/** The key "process" and its object, the same in every command. */
void gs_process_json(struct gs_json *j, const struct gs_process *p);

/** One thing a result is missing. */
struct gs_incomplete {
	const char *what; /* "goroutines_torn", "stacks_broken", … snake_case, static */
	uint64_t count;
	char why[160];
};

#define GS_INCOMPLETE_MAX 24

struct gs_incomplete_list {
	struct gs_incomplete item[GS_INCOMPLETE_MAX];
	uint32_t n;
};

/** Count @count more of @what; @fmt says why (kept from the first time). Full lists count in the last
 *  entry "others". @count 0 does nothing. */
void gs_incomplete_add(struct gs_incomplete_list *l, const char *what, uint64_t count,
		       const char *fmt, ...) GS_PRINTF(4, 5);
/** The key "incomplete" and its array, the same in every command. @l may be NULL: empty. */
void gs_incomplete_json(struct gs_json *j, const struct gs_incomplete_list *l);

#endif
