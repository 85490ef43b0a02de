/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BASE_CLEANUP_H
#define GS_BASE_CLEANUP_H

/*
 * Locals that clean up after themselves. A destructor accepts NULL and returns NULL, so that
 * `p = x_free(p)` leaves no dangling pointer; GS_TAKE hands ownership out of such a local.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GS_CLEANUP(fn) __attribute__((__cleanup__(fn)))
#define GS_TAKE(p)                                                                                 \
	({                                                                                         \
		__typeof__(p) *slot_ = &(p), val_ = *slot_;                                        \
		*slot_ = NULL;                                                                     \
		val_;                                                                              \
	})
#define GS_DEFINE_CLEANUP(type, fn)                                                                \
	static inline void fn##p(type *slot)                                                       \
	{                                                                                          \
		*slot = fn(*slot);                                                                 \
	}

#define GS_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/** For `GS_CLEANUP(gs_freep) T *p`. */
static inline void gs_freep(void *slot)
{
	free(*(void **)slot);
	*(void **)slot = NULL;
}

/** For `GS_CLEANUP(gs_closep) int fd`; -1 is nothing to close. */
static inline void gs_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/** For `GS_CLEANUP(gs_fclosep) FILE *f`. */
static inline void gs_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
	*f = NULL;
}

/** Hand out an fd and leave -1 behind. */
static inline int gs_take_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

#endif
