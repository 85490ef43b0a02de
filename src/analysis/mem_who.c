/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the stack of a mapping call says. The runtime asks the kernel for memory through a handful of functions only (runtime/mem.go,
 * mem_linux.go; before 1.19 the same names without the common part): sysAlloc, sysReserve, sysReserveAligned, sysMap, sysFree,
 * sysFault, sysUnused, sysHugePage, sysNoHugePage, sysHugePageCollapse; each calls its own …OS, which may be inlined or not. sysUsed
 * makes no system call on Linux from 1.21 on (before, an advice about huge pages; with GODEBUG=harddecommit=1 a mapping).
 *
 * Who gives free pages of the heap back (runtime/mgcscavenge.go, mheap.go, 1.19 to 1.27): bgscavenge, a goroutine;
 * scavengeAll, for debug.FreeOSMemory; and allocations, in (*mheap).allocSpan and grow, that would else exceed a goal.
 */
#include <string.h>

#include "analysis/mem_growth.h"
#include "base/cleanup.h"

#define RUNTIME "runtime."

static bool begins(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

const char *gs__mem_runtime_function(const struct gs_stack *st)
{
	static const char *const functions[] = {
		RUNTIME "sysReserveAligned",
		RUNTIME "sysReserve",
		RUNTIME "sysAlloc",
		RUNTIME "sysMap",
		RUNTIME "sysFree",
		RUNTIME "sysFault",
		RUNTIME "sysUnused",
		RUNTIME "sysUsed",
		RUNTIME "sysHugePageCollapse",
		RUNTIME "sysHugePage",
		RUNTIME "sysNoHugePage",
	};

	for (uint32_t i = 0; st && i < st->n_frames; i++) {
		const char *name = st->frames[i].function;

		if (st->frames[i].flags & (GS_FRAME_FOREIGN | GS_FRAME_KERNEL))
			continue;
		if (!begins(name, RUNTIME))
			return NULL;
		for (size_t k = 0; k < GS_ARRAY_SIZE(functions); k++) {
			size_t len = strlen(functions[k]);

			if (begins(name, functions[k]) &&
			    (!name[len] || strcmp(name + len, "OS") == 0))
				return functions[k];
		}
	}
	return NULL;
}

/* Also by a closure of it, for which the runtime went to the system stack: its own frame is not in the chain then. */
static bool has(const struct gs_stack *st, const char *function)
{
	size_t len = strlen(function);

	for (uint32_t i = 0; i < st->n_frames; i++) {
		const char *name = st->frames[i].function;

		if (begins(name, function) && (!name[len] || begins(name + len, ".func")))
			return true;
	}
	return false;
}

const char *gs__mem_cause(const struct gs_stack *st)
{
	const char *function = gs__mem_runtime_function(st);

	if (!function || strcmp(function, RUNTIME "sysUnused") != 0)
		return NULL;
	if (has(st, "runtime.bgscavenge"))
		return "the background scavenger";
	if (has(st, "runtime.(*mheap).scavengeAll") || has(st, "runtime/debug.freeOSMemory"))
		return "debug.FreeOSMemory";
	if (has(st, "runtime.(*pageAlloc).scavenge"))
		return "an allocation that would have exceeded the heap's goal or limit";
	return NULL;
}

bool gs__mem_is_carrier(const struct gs_frame *f)
{
	static const char *const prefixes[] = {
		"runtime.",          "runtime/", "syscall.", "internal/",
		"golang.org/x/sys/", "reflect.", "os.",      "plugin."
	};

	if (f->flags & (GS_FRAME_KERNEL | GS_FRAME_FOREIGN | GS_FRAME_WRAPPER) || !f->function[0] ||
	    strstr(f->function, "._Cfunc_"))
		return true;
	for (size_t i = 0; i < GS_ARRAY_SIZE(prefixes); i++)
		if (begins(f->function, prefixes[i]))
			return true;
	return false;
}

const struct gs_frame *gs__mem_doer(const struct gs_stack *st, const struct gs_frame **ret_through)
{
	const struct gs_frame *through = NULL;

	if (ret_through)
		*ret_through = NULL;
	for (uint32_t i = 0; st && i < st->n_frames; i++) {
		const struct gs_frame *f = &st->frames[i];

		if (!gs__mem_is_carrier(f)) {
			if (ret_through)
				*ret_through = through;
			return f;
		}
		through = f->function[0] ? f : through;
	}
	return NULL;
}
