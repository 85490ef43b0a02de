/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TARGET_CHILD_H
#define GS_TARGET_CHILD_H

/*
 * A program that is started, runs to its end, and is held there to be looked at: its memory, mappings and descriptors
 * are all still there, and gs_target_open_pid() opens it.
 *
 * Only its first thread is traced (ptrace), and only signals for that thread make a detour through us. When the
 * program ends - main.main returns, os.Exit, a panic, a fatal signal; by whichever thread - that thread stops a last
 * time before the kernel takes its memory away.
 *
 * What readers find there: all other threads are gone, so nothing moves. Goroutines that waited stand as they did.
 * Those that ran at the end are still marked running or in a system call, on Ms whose threads no longer exist: nobody
 * saved where they were. The one that ended the program is among them: after main.main has returned, main is "running"
 * in runtime.main, and never comes back to what its stack holds. A collection that was under way stays unfinished; a
 * world that was stopped stays stopped; locks of the runtime may be held.
 *
 * A program that is held does not even react to SIGKILL; if we are killed it goes its last step.
 *
 * Every function is called by the thread that called gs_child_start(): ptrace belongs to a thread. The target must not be
 * stopped with gs_target_stop(), nor need it be.
 */
#include <stdbool.h>
#include <sys/types.h>

#include <gosonde/err.h>

#include "base/cleanup.h"

struct gs_child;

/**
 * Start @argv (NULL at its end), found as a shell does. It has our standard streams, environment, directory, process
 * group and limits. Fails with -GS_E_NOT_FOUND or -GS_E_PERMISSION if it cannot be run.
 */
GS_CHECKED int gs_child_start(char *const argv[], struct gs_child **ret, struct gs_err *err);
pid_t gs_child_pid(const struct gs_child *c);
/**
 * Wait until the program ends; one that executes another program in its place is that other program from then on.
 * Meanwhile SIGINT, SIGQUIT, SIGTERM and SIGHUP do not end us: what the terminal sends reaches the program by itself,
 * the rest is passed on to it.
 * @ret_status: as a shell says it: the exit code, or 128 + the signal that kills it.
 * @return 0: it is held at its end. 1: it has ended, and its memory is gone; gs_child_why() says why.
 */
GS_CHECKED int gs_child_wait(struct gs_child *c, int *ret_status, struct gs_err *err);
/** Why gs_child_wait() could not hold it; static, "" if it could. */
const char *gs_child_why(const struct gs_child *c);
/** Let it go its last step. Targets opened on it are of no use any more. @ret_status as above; may be NULL. */
GS_CHECKED int gs_child_release(struct gs_child *c, int *ret_status, struct gs_err *err);
/** A program that still runs, runs on untraced. */
struct gs_child *gs_child_free(struct gs_child *c);
GS_DEFINE_CLEANUP(struct gs_child *, gs_child_free)

#endif
