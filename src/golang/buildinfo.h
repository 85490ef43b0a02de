/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_BUILDINFO_H
#define GS_GOLANG_BUILDINFO_H

/*
 * The blob behind `go version -m`: debug/buildinfo, cmd/link data.go (buildinfo), Go 1.18 and later
 * inline form; older pointer form is refused as unsupported.
 */
#include <gosonde/err.h>

#include "base/arena.h"
#include "golang/release.h"
#include "image/image.h"

struct gs_go_module {
	const char *path, *version, *sum;   /* sum "" when absent */
	const struct gs_go_module *replace; /* or NULL */
};

struct gs_go_setting {
	const char *key, *value;
};

struct gs_go_buildinfo {
	const char *version; /* raw "go1.26.10 X:…" */
	bool release_known;  /* @release is filled */
	struct gs_go_release release;
	const char *path;                /* main package, or NULL */
	const struct gs_go_module *main; /* or NULL */
	const struct gs_go_module *deps; /* n_deps */
	uint32_t n_deps;
	const struct gs_go_setting *settings; /* n_settings, in the binary's order */
	uint32_t n_settings;
	gs_addr addr; /* where the blob lies */
};

/**
 * Read the build info; strings live in @arena.
 * @return 0; 1 if the image carries none (then it is not a Go program, or a very old or scrubbed one)
 */
GS_CHECKED int gs_go_buildinfo_read(const struct gs_image *img, struct gs_arena *arena,
				    struct gs_go_buildinfo *ret, struct gs_err *err);
/** Value of a setting such as "GOARCH" or "-ldflags", NULL if absent. */
const char *gs_go_setting(const struct gs_go_buildinfo *bi, const char *key);
/** The Go build id ("action/…/content") from the ELF note, or the text's start (PE, Mach-O: the
 *  `\xff Go build ID: "` marker in the first 32 KiB of text). @return 0; 1 if there is none. */
GS_CHECKED int gs_go_build_id(const struct gs_image *img, struct gs_arena *arena, const char **ret,
			      struct gs_err *err);

#endif
