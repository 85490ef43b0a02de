/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_FUNC_NAME_H
#define GS_MODEL_FUNC_NAME_H

/*
 * Function names as Go shows them. A binary's function table holds the full name of each
 * instantiation of a generic function ("main.f[go.shape.int_0]"); tracebacks, runtime.Frame and
 * profiles show "main.f[...]".
 */
#include <stdbool.h>
#include <stddef.h>

#define GS_FUNC_NAME_PIECES 5

/** Pieces of a name to be written one after the other. Borrowed from the name, or static. */
struct gs_func_name {
	const char *piece[GS_FUNC_NAME_PIECES];
	size_t len[GS_FUNC_NAME_PIECES];
	unsigned int n;
};

/**
 * Split @name as funcNamePiecesForPrint in runtime/traceback.go does.
 *
 * @generic_methods: as Go 1.27 and later, "T[...].m[...]"; earlier releases hide everything between
 * the first "[" and the last "]".
 */
struct gs_func_name gs_func_name_split(const char *name, bool generic_methods);

/**
 * Whether a function is of Go's standard library (or golang.org/x, or cgo's glue) and not of the program or its modules.
 * The list of the library's top directories decides, Go 1.19 to 1.27: an import path outside of it begins with another
 * word, as a rule with a host name. "" counts as standard.
 */
bool gs_func_standard(const char *name);

#endif
