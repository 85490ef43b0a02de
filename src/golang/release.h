/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_RELEASE_H
#define GS_GOLANG_RELEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

/* The releases gosonde knows by generated tables: Go 1.FIRST to 1.LAST. */
#define GS_GO_MINOR_FIRST 19
#define GS_GO_MINOR_LAST 27

/** A parsed Go version string such as "go1.26.10 X:nogreenteagc" or "devel go1.28-abcdef". */
struct gs_go_release {
	uint16_t minor; /* 26 of go1.26.10 */
	uint16_t patch; /* 10; 0 for go1.26 and rc/beta */
	bool devel;     /* development, release candidate or beta */
	char text[64];  /* as in the binary, cut and escaped */
};

/** @return 0; 1 if @s is not a version gosonde can read the number of (fork, garbled). */
GS_CHECKED int gs_go_release_parse(const char *s, size_t n, struct gs_go_release *ret);

#endif
