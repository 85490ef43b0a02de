/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_GO_EXE_H
#define GS_CLI_GO_EXE_H

#include <stdint.h>
#include <sys/types.h>

#include <gosonde/err.h>

/** What ps wants to know about an executable. Lives as long as the cache it came from. */
struct gs_go_exe {
	uint64_t dev, ino;
	int is_go;           /* 1, 0, or negative if the file could not be understood */
	const char *version; /* "go1.26.10" */
	const char *path;    /* main package, NULL if unknown */
	struct gs_go_exe *next;
};

struct gs_go_exes;
/** A cache of executables by device and inode. NULL when out of memory. */
struct gs_go_exes *gs_go_exes_new(void);
struct gs_go_exes *gs_go_exes_free(struct gs_go_exes *c);
static inline void gs_go_exes_freep(struct gs_go_exes **c)
{
	*c = gs_go_exes_free(*c);
}

/**
 * The executable of a process. Opens the file through /proc/PID/exe, once per inode.
 * @return 0; 1 if the process is gone or has none; -EACCES or -EPERM if it may not be looked at.
 */
GS_CHECKED int gs_go_exe_of(struct gs_go_exes *c, pid_t pid, const struct gs_go_exe **ret);

#endif
