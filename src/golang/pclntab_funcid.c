/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The numbers by which Go marks functions that its own stack walker treats specially. The list is
 * sorted by name and gets insertions, so every number after one shifts: internal/abi/symtab.go (1.21
 * on), cmd/internal/objabi/funcid.go (before). The numbers are given by name (objabi.GetFuncID) to
 * functions of package runtime, except one: "wrapper" goes to whatever the compiler made up (method
 * wrappers, hash and equality functions) and to runtime.deferreturn. So where the numbers are unknown
 * the name tells.
 */
#include <string.h>

#include "base/cleanup.h"
#include "golang/pclntab_private.h"

#define COMMON_HEAD                                                                                \
	GS_GO_FUNC_NORMAL, GS_GO_FUNC_NORMAL /* abort */, GS_GO_FUNC_ASMCGOCALL,                   \
		GS_GO_FUNC_ASYNC_PREEMPT, GS_GO_FUNC_CGOCALLBACK
#define COMMON_MIDDLE                                                                              \
	GS_GO_FUNC_DEBUG_CALL, GS_GO_FUNC_NORMAL /* gcBgMarkWorker */, GS_GO_FUNC_GOEXIT,          \
		GS_GO_FUNC_NORMAL /* gogo */, GS_GO_FUNC_GOPANIC,                                  \
		GS_GO_FUNC_NORMAL /* handleAsyncEvent */, GS_GO_FUNC_MCALL, GS_GO_FUNC_MORESTACK,  \
		GS_GO_FUNC_MSTART, GS_GO_FUNC_PANICWRAP, GS_GO_FUNC_RT0
#define COMMON_TAIL                                                                                \
	GS_GO_FUNC_SIGPANIC, GS_GO_FUNC_SYSTEMSTACK, GS_GO_FUNC_SYSTEMSTACK_SWITCH,                \
		GS_GO_FUNC_WRAPPER

static const uint8_t ids_119[] = {
	COMMON_HEAD, COMMON_MIDDLE, GS_GO_FUNC_NORMAL /* runfinq */, GS_GO_FUNC_NORMAL /* main */,
	COMMON_TAIL,
};
static const uint8_t ids_122[] = {
	COMMON_HEAD,
	GS_GO_FUNC_NORMAL /* corostart */,
	COMMON_MIDDLE,
	GS_GO_FUNC_NORMAL /* runfinq */,
	GS_GO_FUNC_NORMAL /* main */,
	COMMON_TAIL,
};
static const uint8_t ids_125[] = {
	COMMON_HEAD,
	GS_GO_FUNC_NORMAL /* corostart */,
	COMMON_MIDDLE,
	GS_GO_FUNC_NORMAL /* main */,
	GS_GO_FUNC_NORMAL /* runFinalizers */,
	GS_GO_FUNC_NORMAL /* runCleanups */,
	COMMON_TAIL,
};

static const struct {
	uint16_t first, last; /* minor releases */
	const uint8_t *ids;
	size_t n;
} releases[] = {
	{ 19, 19, ids_119, sizeof(ids_119) }, // 1.20 was not looked at: by name
	{ 21, 21, ids_119, sizeof(ids_119) },
	{ 22, 24, ids_122, sizeof(ids_122) },
	{ 25, 27, ids_125, sizeof(ids_125) },
};

/* In package runtime; names that other releases have given a number are listed as normal. */
static const struct {
	const char *name;
	uint8_t id;
} names[] = {
	{ "abort", GS_GO_FUNC_NORMAL },
	{ "asmcgocall", GS_GO_FUNC_ASMCGOCALL },
	{ "asyncPreempt", GS_GO_FUNC_ASYNC_PREEMPT },
	{ "cgocallback", GS_GO_FUNC_CGOCALLBACK },
	{ "corostart", GS_GO_FUNC_NORMAL },
	{ "debugCallV2", GS_GO_FUNC_DEBUG_CALL },
	{ "deferreturn", GS_GO_FUNC_WRAPPER },
	{ "gcBgMarkWorker", GS_GO_FUNC_NORMAL },
	{ "goexit", GS_GO_FUNC_GOEXIT },
	{ "gogo", GS_GO_FUNC_NORMAL },
	{ "gopanic", GS_GO_FUNC_GOPANIC },
	{ "handleAsyncEvent", GS_GO_FUNC_NORMAL },
	{ "main", GS_GO_FUNC_NORMAL },
	{ "mcall", GS_GO_FUNC_MCALL },
	{ "morestack", GS_GO_FUNC_MORESTACK },
	{ "mstart", GS_GO_FUNC_MSTART },
	{ "panicwrap", GS_GO_FUNC_PANICWRAP },
	{ "rt0_go", GS_GO_FUNC_RT0 },
	{ "runCleanups", GS_GO_FUNC_NORMAL },
	{ "runFinalizers", GS_GO_FUNC_NORMAL },
	{ "runfinq", GS_GO_FUNC_NORMAL },
	{ "sigpanic", GS_GO_FUNC_SIGPANIC },
	{ "systemstack", GS_GO_FUNC_SYSTEMSTACK },
	{ "systemstack_switch", GS_GO_FUNC_SYSTEMSTACK_SWITCH },
};

/* Sigtramp has no number of Go's own: it is marked by its name. */
static bool is_sigtramp(const char *name)
{
	return strcmp(name, "runtime.sigtramp") == 0 || strcmp(name, "runtime.cgoSigtramp") == 0;
}

static enum gs_go_funcid by_name(const char *name)
{
	if (strncmp(name, "runtime.", 8) != 0)
		return GS_GO_FUNC_WRAPPER;
	for (size_t i = 0; i < GS_ARRAY_SIZE(names); i++)
		if (strcmp(name + 8, names[i].name) == 0)
			return (enum gs_go_funcid)names[i].id;
	// A method or closure of package runtime is a wrapper, a plain function a new special one.
	return strpbrk(name + 8, ".()") ? GS_GO_FUNC_WRAPPER : GS_GO_FUNC_NORMAL;
}

enum gs_go_funcid gs__go_funcid(unsigned int minor, uint8_t raw, const char *name)
{
	if (raw == 0)
		return is_sigtramp(name) ? GS_GO_FUNC_SIGTRAMP : GS_GO_FUNC_NORMAL;
	for (size_t i = 0; i < GS_ARRAY_SIZE(releases); i++)
		if (minor >= releases[i].first && minor <= releases[i].last)
			return raw < releases[i].n ? (enum gs_go_funcid)releases[i].ids[raw]
						   : GS_GO_FUNC_NORMAL;
	return by_name(name);
}
