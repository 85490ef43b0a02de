/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Names of goroutine states, spelled as in Go's tracebacks. */
#include "model/goroutine.h"

#include <string.h>

static const char *const names[GS_G_STATE_COUNT] = {
	[GS_G_IDLE] = "idle",           [GS_G_RUNNABLE] = "runnable",
	[GS_G_RUNNING] = "running",     [GS_G_SYSCALL] = "syscall",
	[GS_G_WAITING] = "waiting",     [GS_G_DEAD] = "dead",
	[GS_G_COPYSTACK] = "copystack", [GS_G_PREEMPTED] = "preempted",
	[GS_G_LEAKED] = "leaked",       [GS_G_DEADEXTRA] = "waiting for cgo callback",
};

const char *gs_goroutine_state_name(enum gs_goroutine_state s)
{
	return (unsigned int)s < GS_G_STATE_COUNT ? names[s] : "unknown";
}

int gs_goroutine_state_parse(const char *name, enum gs_goroutine_state *ret)
{
	for (unsigned int i = 0; i < GS_G_STATE_COUNT; i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		*ret = (enum gs_goroutine_state)i;
		return 0;
	}
	return -1;
}
