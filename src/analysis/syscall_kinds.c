/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * System calls in which threads block, by the numbers of amd64 (arch/x86/entry/syscalls/syscall_64.tbl) and arm64
 * (include/uapi/asm-generic/unistd.h). -1: that CPU has no such call.
 */
#include "analysis/syscall_kinds.h"

#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"

static const struct {
	int16_t amd64, arm64;
	enum gs_syscall_kind kind;
	const char *name;
} calls[] = {
	{ 0, 63, GS_SYSCALL_READ, "read" },
	{ 1, 64, GS_SYSCALL_WRITE, "write" },
	{ 2, -1, GS_SYSCALL_FILE, "open" },
	{ 3, 57, GS_SYSCALL_FILE, "close" },
	{ 4, -1, GS_SYSCALL_FILE, "stat" },
	{ 5, 80, GS_SYSCALL_FILE, "fstat" },
	{ 6, -1, GS_SYSCALL_FILE, "lstat" },
	{ 7, -1, GS_SYSCALL_OTHER, "poll" },
	{ 8, 62, GS_SYSCALL_FILE, "lseek" },
	{ 9, 222, GS_SYSCALL_MEMORY, "mmap" },
	{ 10, 226, GS_SYSCALL_MEMORY, "mprotect" },
	{ 11, 215, GS_SYSCALL_MEMORY, "munmap" },
	{ 12, 214, GS_SYSCALL_MEMORY, "brk" },
	{ 16, 29, GS_SYSCALL_OTHER, "ioctl" },
	{ 17, 67, GS_SYSCALL_READ, "pread64" },
	{ 18, 68, GS_SYSCALL_WRITE, "pwrite64" },
	{ 19, 65, GS_SYSCALL_READ, "readv" },
	{ 20, 66, GS_SYSCALL_WRITE, "writev" },
	{ 21, -1, GS_SYSCALL_FILE, "access" },
	{ 23, -1, GS_SYSCALL_OTHER, "select" },
	{ 24, 124, GS_SYSCALL_OTHER, "sched_yield" },
	{ 25, 216, GS_SYSCALL_MEMORY, "mremap" },
	{ 26, 227, GS_SYSCALL_FILE, "msync" },
	{ 28, 233, GS_SYSCALL_MEMORY, "madvise" },
	{ 34, -1, GS_SYSCALL_OTHER, "pause" },
	{ 35, 101, GS_SYSCALL_SLEEP, "nanosleep" },
	{ 40, 71, GS_SYSCALL_WRITE, "sendfile" },
	{ 41, 198, GS_SYSCALL_OTHER, "socket" },
	{ 42, 203, GS_SYSCALL_DIAL, "connect" },
	{ 43, 202, GS_SYSCALL_ACCEPT, "accept" },
	{ 44, 206, GS_SYSCALL_NET_WRITE, "sendto" },
	{ 45, 207, GS_SYSCALL_NET_READ, "recvfrom" },
	{ 46, 211, GS_SYSCALL_NET_WRITE, "sendmsg" },
	{ 47, 212, GS_SYSCALL_NET_READ, "recvmsg" },
	{ 48, 210, GS_SYSCALL_NET_WRITE, "shutdown" },
	{ 49, 200, GS_SYSCALL_OTHER, "bind" },
	{ 50, 201, GS_SYSCALL_OTHER, "listen" },
	{ 56, 220, GS_SYSCALL_OTHER, "clone" },
	{ 59, 221, GS_SYSCALL_OTHER, "execve" },
	{ 61, 260, GS_SYSCALL_OTHER, "wait4" },
	{ 70, 188, GS_SYSCALL_OTHER, "msgrcv" },
	{ 72, 25, GS_SYSCALL_FILE, "fcntl" },
	{ 73, 32, GS_SYSCALL_FILE, "flock" },
	{ 74, 82, GS_SYSCALL_FILE, "fsync" },
	{ 75, 83, GS_SYSCALL_FILE, "fdatasync" },
	{ 76, 45, GS_SYSCALL_FILE, "truncate" },
	{ 77, 46, GS_SYSCALL_FILE, "ftruncate" },
	{ 78, -1, GS_SYSCALL_FILE, "getdents" },
	{ 82, -1, GS_SYSCALL_FILE, "rename" },
	{ 83, -1, GS_SYSCALL_FILE, "mkdir" },
	{ 84, -1, GS_SYSCALL_FILE, "rmdir" },
	{ 85, -1, GS_SYSCALL_FILE, "creat" },
	{ 86, -1, GS_SYSCALL_FILE, "link" },
	{ 87, -1, GS_SYSCALL_FILE, "unlink" },
	{ 88, -1, GS_SYSCALL_FILE, "symlink" },
	{ 89, -1, GS_SYSCALL_FILE, "readlink" },
	{ 90, -1, GS_SYSCALL_FILE, "chmod" },
	{ 91, 52, GS_SYSCALL_FILE, "fchmod" },
	{ 92, -1, GS_SYSCALL_FILE, "chown" },
	{ 93, 55, GS_SYSCALL_FILE, "fchown" },
	{ 128, 137, GS_SYSCALL_OTHER, "rt_sigtimedwait" },
	{ 149, 228, GS_SYSCALL_MEMORY, "mlock" },
	{ 162, 81, GS_SYSCALL_FILE, "sync" },
	{ 165, 40, GS_SYSCALL_FILE, "mount" },
	{ 166, 39, GS_SYSCALL_FILE, "umount2" },
	{ 187, 213, GS_SYSCALL_FILE, "readahead" },
	{ 202, 98, GS_SYSCALL_FUTEX, "futex" },
	{ 208, 4, GS_SYSCALL_FILE, "io_getevents" },
	{ 217, 61, GS_SYSCALL_FILE, "getdents64" },
	{ 220, 192, GS_SYSCALL_OTHER, "semtimedop" },
	{ 221, 223, GS_SYSCALL_FILE, "fadvise64" },
	{ 230, 115, GS_SYSCALL_SLEEP, "clock_nanosleep" },
	{ 232, -1, GS_SYSCALL_OTHER, "epoll_wait" },
	{ 234, 131, GS_SYSCALL_OTHER, "tgkill" },
	{ 247, 95, GS_SYSCALL_OTHER, "waitid" },
	{ 257, 56, GS_SYSCALL_FILE, "openat" },
	{ 258, 34, GS_SYSCALL_FILE, "mkdirat" },
	{ 260, 54, GS_SYSCALL_FILE, "fchownat" },
	{ 262, 79, GS_SYSCALL_FILE, "newfstatat" },
	{ 263, 35, GS_SYSCALL_FILE, "unlinkat" },
	{ 264, 38, GS_SYSCALL_FILE, "renameat" },
	{ 265, 37, GS_SYSCALL_FILE, "linkat" },
	{ 266, 36, GS_SYSCALL_FILE, "symlinkat" },
	{ 267, 78, GS_SYSCALL_FILE, "readlinkat" },
	{ 268, 53, GS_SYSCALL_FILE, "fchmodat" },
	{ 269, 48, GS_SYSCALL_FILE, "faccessat" },
	{ 270, 72, GS_SYSCALL_OTHER, "pselect6" },
	{ 271, 73, GS_SYSCALL_OTHER, "ppoll" },
	{ 275, 76, GS_SYSCALL_WRITE, "splice" },
	{ 276, 77, GS_SYSCALL_WRITE, "tee" },
	{ 277, 84, GS_SYSCALL_FILE, "sync_file_range" },
	{ 278, 75, GS_SYSCALL_WRITE, "vmsplice" },
	{ 280, 88, GS_SYSCALL_FILE, "utimensat" },
	{ 281, 22, GS_SYSCALL_OTHER, "epoll_pwait" },
	{ 285, 47, GS_SYSCALL_FILE, "fallocate" },
	{ 288, 242, GS_SYSCALL_ACCEPT, "accept4" },
	{ 295, 69, GS_SYSCALL_READ, "preadv" },
	{ 296, 70, GS_SYSCALL_WRITE, "pwritev" },
	{ 299, 243, GS_SYSCALL_NET_READ, "recvmmsg" },
	{ 306, 267, GS_SYSCALL_FILE, "syncfs" },
	{ 307, 269, GS_SYSCALL_NET_WRITE, "sendmmsg" },
	{ 316, 276, GS_SYSCALL_FILE, "renameat2" },
	{ 318, 278, GS_SYSCALL_OTHER, "getrandom" },
	{ 324, 283, GS_SYSCALL_OTHER, "membarrier" },
	{ 326, 285, GS_SYSCALL_WRITE, "copy_file_range" },
	{ 327, 286, GS_SYSCALL_READ, "preadv2" },
	{ 328, 287, GS_SYSCALL_WRITE, "pwritev2" },
	{ 332, 291, GS_SYSCALL_FILE, "statx" },
	{ 426, 426, GS_SYSCALL_FILE, "io_uring_enter" },
	{ 435, 435, GS_SYSCALL_OTHER, "clone3" },
	{ 437, 437, GS_SYSCALL_FILE, "openat2" },
	{ 439, 439, GS_SYSCALL_FILE, "faccessat2" },
	{ 441, 441, GS_SYSCALL_OTHER, "epoll_pwait2" },
	{ 449, 449, GS_SYSCALL_FUTEX, "futex_waitv" },
};

const char *gs_syscall_name(const char *goarch, int32_t number, enum gs_syscall_kind *ret_kind)
{
	bool amd64 = goarch && strcmp(goarch, "amd64") == 0;
	bool arm64 = goarch && strcmp(goarch, "arm64") == 0;

	*ret_kind = GS_SYSCALL_OTHER;
	if (number < 0)
		return NULL;
	for (size_t i = 0; i < GS_ARRAY_SIZE(calls); i++)
		if ((amd64 && calls[i].amd64 == number) || (arm64 && calls[i].arm64 == number)) {
			*ret_kind = calls[i].kind;
			return calls[i].name;
		}
	return NULL;
}
