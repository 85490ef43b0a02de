/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_SYSCALL_KINDS_H
#define GS_ANALYSIS_SYSCALL_KINDS_H

#include <stdint.h>

/* What a thread that is blocked in a system call waits for. */
enum gs_syscall_kind {
	GS_SYSCALL_OTHER = 0,
	GS_SYSCALL_READ,  /* from a descriptor: its type decides */
	GS_SYSCALL_WRITE, /* to one */
	GS_SYSCALL_FILE,  /* a file system, whatever the arguments */
	GS_SYSCALL_NET_READ,
	GS_SYSCALL_NET_WRITE,
	GS_SYSCALL_DIAL,
	GS_SYSCALL_ACCEPT,
	GS_SYSCALL_FUTEX,
	GS_SYSCALL_SLEEP,
	GS_SYSCALL_MEMORY, /* mappings of the process */
};

/**
 * Name and kind of a system call of the target's CPU.
 * @goarch: "amd64", "arm64"; others know none.
 * @return the name, or NULL if the number is not in the table (*ret_kind is OTHER then).
 */
const char *gs_syscall_name(const char *goarch, int32_t number, enum gs_syscall_kind *ret_kind);

#endif
