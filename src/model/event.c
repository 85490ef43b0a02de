/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Names of event kinds, who is left out of a thinned stream, and what the runtime's wait reasons (waitReasonStrings in runtime/runtime2.go,
 * Go 1.19 to 1.27) mean. */
#include "model/event.h"

#include <string.h>

#include "base/cleanup.h"

static const struct {
	const char *reason;
	enum gs_wait wait;
} waits[] = {
	{ "sync.Mutex.Lock", GS_WAIT_MUTEX },
	{ "sync.RWMutex.RLock", GS_WAIT_RWMUTEX_READ },
	{ "sync.RWMutex.Lock", GS_WAIT_RWMUTEX_WRITE },
	{ "semacquire", GS_WAIT_SEMAPHORE },
	{ "sync.WaitGroup.Wait", GS_WAIT_WAITGROUP },
	{ "sync.Cond.Wait", GS_WAIT_COND },
	{ "chan receive", GS_WAIT_CHAN_RECEIVE },
	{ "chan receive (synctest)", GS_WAIT_CHAN_RECEIVE },
	{ "chan send", GS_WAIT_CHAN_SEND },
	{ "chan send (synctest)", GS_WAIT_CHAN_SEND },
	{ "chan receive (nil chan)", GS_WAIT_CHAN_NIL },
	{ "chan send (nil chan)", GS_WAIT_CHAN_NIL },
	{ "select", GS_WAIT_SELECT },
	{ "select (synctest)", GS_WAIT_SELECT },
	{ "select (no cases)", GS_WAIT_SELECT_EMPTY },
	{ "sleep", GS_WAIT_SLEEP },
	{ "IO wait", GS_WAIT_IO },
	{ "GC assist wait", GS_WAIT_GC_ASSIST },
	{ "GC assist marking", GS_WAIT_GC_ASSIST },
	{ "garbage collection", GS_WAIT_GC },
	{ "garbage collection scan", GS_WAIT_GC },
	{ "wait for GC cycle", GS_WAIT_GC },
	{ "GC weak to strong wait", GS_WAIT_GC },
	{ "GC mark termination", GS_WAIT_GC },
	{ "GC worker (active)", GS_WAIT_SYSTEM },
	{ "GC worker (idle)", GS_WAIT_SYSTEM },
	{ "GC worker init", GS_WAIT_SYSTEM },
	{ "GC sweep wait", GS_WAIT_SYSTEM },
	{ "GC scavenge wait", GS_WAIT_SYSTEM },
	{ "finalizer wait", GS_WAIT_SYSTEM },
	{ "cleanup wait", GS_WAIT_SYSTEM },
	{ "force gc (idle)", GS_WAIT_SYSTEM },
	{ "trace reader (blocked)", GS_WAIT_SYSTEM },
	{ "GOMAXPROCS updater (idle)", GS_WAIT_SYSTEM },
	{ "preempted", GS_WAIT_PREEMPTED },
	{ "coroutine", GS_WAIT_COROUTINE },
};

enum gs_wait gs_wait_of(const char *reason)
{
	for (size_t i = 0; reason && i < GS_ARRAY_SIZE(waits); i++)
		if (strcmp(reason, waits[i].reason) == 0)
			return waits[i].wait;
	return GS_WAIT_UNKNOWN;
}

const char *gs_unseen_name(uint32_t bit)
{
	static const char *const names[] = { "requests", "threads", "runtime", "locks",
					     "faults",   "cgo",     "syscalls" };

	for (size_t i = 0; i < GS_ARRAY_SIZE(names); i++)
		if (bit == 1u << i)
			return names[i];
	return "?";
}

bool gs_thinned_out(uint64_t goid, uint32_t mask)
{
	goid ^= goid >> 33;
	goid *= 0xff51afd7ed558ccdULL;
	goid ^= goid >> 33;
	goid *= 0xc4ceb9fe1a85ec53ULL;
	goid ^= goid >> 33;
	return ((uint32_t)goid & mask) != 0;
}

const char *gs_event_kind_name(enum gs_event_kind k)
{
	static const char *const names[] = {
		[GS_EV_GO_STATE] = "go_state",
		[GS_EV_GO_CREATE] = "go_create",
		[GS_EV_GO_READY] = "go_ready",
		[GS_EV_GO_RUN] = "go_run",
		[GS_EV_GO_PARK] = "go_park",
		[GS_EV_GO_YIELD] = "go_yield",
		[GS_EV_GO_EXIT] = "go_exit",
		[GS_EV_CALL_BEGIN] = "call_begin",
		[GS_EV_CALL_END] = "call_end",
		[GS_EV_RUNTIME] = "runtime",
		[GS_EV_OFF_CPU] = "off_cpu",
		[GS_EV_SAMPLE] = "sample",
		[GS_EV_MAP] = "map",
		[GS_EV_PROCESS] = "process",
		[GS_EV_GAUGE] = "gauge",
		[GS_EV_LOST] = "lost",
		[GS_EV_THINNED] = "thinned",
		[GS_EV_DETACHED] = "detached",
		[GS_EV_PAGE_FAULT] = "page_fault",
		[GS_EV_DLOPEN] = "dlopen",
	};

	return k > 0 && k < GS_EV_KIND_COUNT ? names[k] : "unknown";
}
