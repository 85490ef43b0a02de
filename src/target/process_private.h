/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TARGET_PROCESS_PRIVATE_H
#define GS_TARGET_PROCESS_PRIVATE_H

/* What the files of the live target share. */
#include <stdatomic.h>
#include <stddef.h>

#include "target/target_private.h"

struct gs__stopped;

struct gs_process_target {
	struct gs_target base;
	pid_t pid;
	int proc_fd;     /* /proc/PID, O_PATH: stays with this process, not with its number */
	int pid_fd;      /* -1 on kernels before 5.3 */
	int mem_fd;      /* /proc/PID/mem: stays with the address space that was there at open */
	bool inner_pids; /* lives in another PID namespace than we: its threads have other ids inside */
	bool use_mem_fd; /* process_vm_readv is blocked (seccomp), read through mem_fd */
	gs_addr probe;   /* an address for asking mem_fd whether its address space still lives */
	_Atomic uint32_t unproven;   /* pieces read since that was last asked */
	int64_t clock_offset_ns;     /* target's CLOCK_MONOTONIC minus ours (time namespaces) */
	struct gs__stopped *stopped; /* not NULL between stop and resume */
};

/* The fields of /proc/PID/stat that we use. */
struct gs__stat {
	char name[16]; /* comm, cut at 15 bytes by the kernel */
	char state;
	uint32_t flags; /* PF_* */
	uint32_t n_threads;
	uint64_t start_ticks;
};

/** Parse /proc/PID/stat, NUL-terminated; comm may hold spaces and parentheses, fields count from its last ')'. */
GS_CHECKED int gs__stat_parse(const char *text, size_t len, struct gs__stat *ret);
/**
 * Read a whole /proc file below @dir_fd; *ret is NUL-terminated and the caller's to free.
 * @return 0, or a negative errno; -EFBIG beyond @max bytes
 */
GS_CHECKED int gs__slurp(int dir_fd, const char *name, size_t max, char **ret, size_t *ret_len);

/** Whether the process behind @proc_fd lives in another PID namespace than we do. */
bool gs__inner_pids(int proc_fd);

/** Fail with -GS_E_PERMISSION and the reason why the kernel refuses ptrace access to @pid. */
int gs__explain_refusal(pid_t pid, const char *what, struct gs_err *err);
/** -GS_E_GONE with what happened: exited, or runs another program by now. */
int gs__process_gone(const struct gs_process_target *p, struct gs_err *err);

/** Message for a file below /proc/PID that could not be used; @what: "read the memory of". */
int gs__process_cannot_open(const struct gs_process_target *p, const char *what, int error,
			    struct gs_err *err);

extern const struct gs__target_ops gs__process_ops;
/** False after exit or exec. Costs the target nothing but one byte read. */
bool gs__address_space_lives(const struct gs_process_target *p);
int gs__process_readv(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err);
/** @return 0, or the errno that says that process_vm_readv as such does not work. */
GS_CHECKED int gs__read_by_syscall(const struct gs_process_target *p, struct gs_read *reads,
				   size_t n);

/** Thread ids of the process in ascending order of creation; *ret is the caller's to free. */
GS_CHECKED int gs__list_tids(const struct gs_process_target *p, int32_t **ret, size_t *ret_n,
			     struct gs_err *err);
/** Fill name and state from /proc/PID/task/TID/stat. @return false if the thread is gone. */
bool gs__read_thread(const struct gs_process_target *p, int32_t tid, struct gs_thread *ret);

int gs__process_stop(struct gs_target *t, int64_t max_ns, struct gs_err *err);
int gs__process_resume(struct gs_target *t, int64_t *ret_paused_ns, struct gs_err *err);
/** The threads as they were found at the stop. */
GS_CHECKED int gs__stopped_threads(const struct gs__stopped *s, struct gs__threads *ret,
				   struct gs_err *err);

#endif
