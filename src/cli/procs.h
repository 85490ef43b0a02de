/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_PROCS_H
#define GS_CLI_PROCS_H

/* What /proc says about processes, for ps and for finding one by name. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gosonde/err.h>

struct gs_proc {
	pid_t pid;
	char comm[64]; /* raw */
	char state;    /* 'R', 'S', … 'Z' */
	bool kernel_thread;
	uint32_t threads;
	uint64_t start_ticks; /* since boot */
	uint64_t rss_bytes;
	uint64_t cpu_ticks; /* user and system */
};

/** All process ids, ascending; *ret is for free(). */
GS_CHECKED int gs_procs_list(pid_t **ret, size_t *ret_n, struct gs_err *err);

/** Read /proc/PID/stat. @return 0; 1 if the process is gone. */
GS_CHECKED int gs_proc_read(pid_t pid, struct gs_proc *ret);
/** Parse the text of a stat file; @page is the size of a page. @return false if it is none. */
bool gs_proc_parse_stat(const char *text, uint64_t page, struct gs_proc *ret);

/** Effective user id. @return 0; 1 if gone. */
GS_CHECKED int gs_proc_uid(pid_t pid, uid_t *ret);
/** Target of /proc/PID/exe, without " (deleted)". @return 0 or a negative errno. */
GS_CHECKED int gs_proc_exe(pid_t pid, char *ret, size_t size);
/** Seconds since boot, on the clock of start times; 0 if unknown. */
double gs_uptime_seconds(void);

/** True if @p is called @name: its comm, or the last part of its executable's or argv[0]'s path. */
bool gs_proc_is_called(const struct gs_proc *p, const char *name);

#endif
