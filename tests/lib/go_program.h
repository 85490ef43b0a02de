/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_LIB_GO_PROGRAM_H
#define GS_TESTS_LIB_GO_PROGRAM_H

/*
 * A Go binary, and perhaps a process that runs it, opened for programs that print what src says about it. Memory is read
 * with process_vm_readv here, so that src/target is not in the way.
 */
#include <sys/types.h>

#include "base/arena.h"
#include "base/memory.h"
#include "golang/buildinfo.h"
#include "golang/layout.h"
#include "golang/pclntab.h"
#include "image/image.h"

struct go_program {
	struct gs_image *img;
	struct gs_arena *arena;
	struct gs_go_buildinfo build;
	struct gs_go_layout layout;
	struct gs_go_pclntab *tab; /* of the process's addresses, if there is one */
	struct gs_memory mem;      /* of the process */
	int fd;                    /* of the file */
	pid_t pid;                 /* 0: file only */
	uint64_t bias;             /* process less file */
};

/** Open @file, and the process @pid that runs it unless that is 0. Close it also after a failure. @p stays where it is. */
GS_CHECKED int go_program_open(struct go_program *p, const char *file, pid_t pid,
			       struct gs_err *err);
void go_program_close(struct go_program *p);

#endif
