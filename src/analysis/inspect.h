/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_INSPECT_H
#define GS_ANALYSIS_INSPECT_H

/*
 * What a binary says about itself, and whether anything about it is a trap. Facts come from headers,
 * build info and the header of the pclntab: a 100 MB file costs some megabytes of reads. Checks are
 * made from the facts alone.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/arena.h"
#include "golang/buildinfo.h"
#include "image/image.h"

struct gs_inspect_vcs {
	const char *system, *revision, *time; /* NULL if not recorded */
	bool modified;
};

/* Strings are raw; they live in the arena or the image. */
struct gs_inspect {
	const struct gs_image_info *image;
	const char *format, *machine; /* "elf", "pe", "macho"; "amd64", "arm64" or "0x1234" */
	const char *goos, *goarch;    /* as built, else as the file's headers say; NULL: unknown */
	const char *goarch_setting, *goos_setting; /* NULL if not recorded */
	bool has_buildinfo;
	struct gs_go_buildinfo build;
	const char *go_build_id; /* NULL if none */
	const char *image_id;    /* GNU build id, Mach-O UUID, PE GUID in hex; NULL if none */
	struct gs_inspect_vcs vcs;
	bool has_pclntab;
	const char *pclntab_version; /* the first release that writes this layout: "1.18", "1.20" */
	uint64_t pclntab_bytes, pclntab_functions; /* bytes: to the end of the section or segment */
	bool stripped, pie, is_static, uses_cgo;
	const char *linking; /* "static", "static-pie", "dynamic" */
	bool has_fips_info;
	uint64_t text_unwind_needed; /* PE: executable bytes that .pdata should describe */
};

/** Go program or not: the build info or the pclntab says. */
static inline bool gs_inspect_is_go(const struct gs_inspect *f)
{
	return f->has_buildinfo || f->has_pclntab;
}

/** Gather the facts; @img must outlive the result. */
GS_CHECKED int gs_inspect_read(const struct gs_image *img, struct gs_arena *arena,
			       struct gs_inspect *ret, struct gs_err *err);

enum gs_verdict { GS_VERDICT_OK, GS_VERDICT_WARN, GS_VERDICT_FAIL };

struct gs_inspect_check {
	const char *name; /* snake_case, stable */
	enum gs_verdict verdict;
	char detail[220]; /* escaped */
};

#define GS_INSPECT_CHECKS_MAX 24

/* The machine on which the file would run. */
struct gs_inspect_host {
	enum gs_arch arch;
	bool emulates_amd64, emulates_arm64; /* binfmt_misc has an enabled handler */
	char emulator[64];                   /* its name, escaped; "" if none */
};

/** This machine; reads /proc/sys/fs/binfmt_misc. */
void gs_inspect_this_host(struct gs_inspect_host *ret);
/** Note what a handler's file in binfmt_misc says ("enabled\ninterpreter …\nmagic 7f454c46…"). */
void gs_inspect_host_binfmt(struct gs_inspect_host *h, const char *name, const char *text);

/** All checks, in a fixed order. @return how many. */
uint32_t gs_inspect_checks(const struct gs_inspect *f, const struct gs_inspect_host *host,
			   struct gs_inspect_check ret[GS_INSPECT_CHECKS_MAX]);
/** "ok", "warn", "fail". */
const char *gs_verdict_name(enum gs_verdict v);

#endif
