/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_SANDBOX_H
#define GS_GOLANG_SANDBOX_H

/*
 * Run one parser over one foreign file in a child process that can do nothing but compute: no
 * privileges, no descriptors but the file and the result pipe, no system calls but those of memory
 * and reading, and limits on memory, CPU time, wall time and output. Whatever happens in there, the
 * caller gets an error text, not a crash.
 */
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

enum { GS__SANDBOX_MAX_OUT = 64 * 1024 }; /* fits a pipe: the child never blocks on its parent */

struct gs__sandbox_limits {
	uint64_t memory_bytes; /* address space on top of what the caller has mapped */
	uint32_t cpu_seconds;
	int64_t wall_ns;
};

/**
 * What runs in the child: fill @out (zeroed) from the file.
 * @return 0 or a positive outcome, passed on to the caller; negative: the file is damaged
 */
typedef int gs__sandbox_fn(int fd, void *out, size_t out_bytes, const void *ctx);

/**
 * Fork, lock the child up, run @fn there, and copy its output to @out (all @out_bytes of it, at
 * most GS__SANDBOX_MAX_OUT; untouched on failure). The child is always gone on return. @fd stays
 * the caller's; its file offset does not move if @fn uses pread or mmap.
 *
 * Costs the caller a fork, i.e. time in proportion to its resident memory (about 1 ms per 100 MB).
 * The bytes in @out come from a process that may have been taken over: check every value.
 *
 * @return @fn's result (>= 0); -GS_E_BAD_DATA if the file made the child fail or crash;
 *         -GS_E_LIMIT if it ran into a limit; a negative errno if the child could not be started.
 */
GS_CHECKED int gs__sandbox_run(int fd, gs__sandbox_fn *fn, const void *ctx,
			       const struct gs__sandbox_limits *limits, void *out, size_t out_bytes,
			       struct gs_err *err);

#endif
