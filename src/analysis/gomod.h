/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_GOMOD_H
#define GS_ANALYSIS_GOMOD_H

/*
 * go.mod, go.sum and vendor/modules.txt as cmd/go reads them (golang.org/x/mod/modfile,
 * cmd/go/internal/modfetch, cmd/go/internal/modload/vendor.go). Strings are raw and live in the arena
 * that was given.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/arena.h"

struct gs_gomod_require {
	const char *path, *version;
	bool indirect;
};

struct gs_gomod_replace {
	const char *old_path, *old_version; /* version NULL: all versions */
	const char *new_path, *new_version; /* version NULL: a directory */
};

struct gs_gomod {
	const char *module;         /* NULL if the file has no module line */
	const char *go, *toolchain; /* "1.23.0", "go1.23.4"; NULL if absent */
	const struct gs_gomod_require *requires;
	const struct gs_gomod_replace *replaces;
	const struct gs_gomod_require *excludes;
	uint32_t n_requires, n_replaces, n_excludes;
};

/** Read a go.mod; @name is for messages. -GS_E_BAD_DATA names the line. Unknown directives are passed
 *  over, as later releases add some. */
GS_CHECKED int gs_gomod_parse(const char *text, size_t n, const char *name, struct gs_arena *arena,
			      struct gs_gomod *ret, struct gs_err *err);
/** The replacement that applies to a module version, NULL if none. */
const struct gs_gomod_replace *gs_gomod_replacement(const struct gs_gomod *m, const char *path,
						    const char *version);

struct gs_gosum_entry {
	const char *path, *version, *hash; /* version without "/go.mod" */
	bool of_gomod;                     /* hash of the go.mod file, not of the module */
	uint32_t line;
};

/* Sorted by path, version, of_gomod. */
struct gs_gosum {
	struct gs_gosum_entry *entries;
	uint32_t n;
};

GS_CHECKED int gs_gosum_parse(const char *text, size_t n, const char *name, struct gs_arena *arena,
			      struct gs_gosum *ret, struct gs_err *err);
/** First entry of a module version, NULL if there is none. */
const struct gs_gosum_entry *gs_gosum_find(const struct gs_gosum *s, const char *path,
					   const char *version, bool of_gomod);

struct gs_vendored {
	const char *path, *version;         /* version NULL: a replacement without one */
	const char *new_path, *new_version; /* "=>" part; new_path NULL: not replaced */
	bool is_explicit;
	uint32_t n_packages;
};

struct gs_vendor {
	const struct gs_vendored *modules;
	uint32_t n;
	bool workspace;
};

GS_CHECKED int gs_vendor_parse(const char *text, size_t n, const char *name, struct gs_arena *arena,
			       struct gs_vendor *ret, struct gs_err *err);

#endif
