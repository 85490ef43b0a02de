/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Names of the classes of a request's time: as keys, and in plain words. */
#include "model/why.h"

static const struct {
	const char *name, *words;
	bool wait;
} classes[GS_WHY_CLASSES] = {
	[GS_WHY_CPU_USER] = { "cpu_user", "ran on a CPU", false },
	[GS_WHY_CPU_KERNEL] = { "cpu_kernel", "ran in the kernel", false },
	[GS_WHY_RUNQUEUE_GO] = { "runqueue_go", "waited for a turn in Go's run queue", false },
	[GS_WHY_RUNQUEUE_KERNEL] = { "runqueue_kernel", "waited for a CPU", false },
	[GS_WHY_MUTEX] = { "mutex", "waited for mutex", true },
	[GS_WHY_RWMUTEX] = { "rwmutex", "waited for rwmutex", true },
	[GS_WHY_CHAN] = { "chan", "waited for a channel", true },
	[GS_WHY_SELECT] = { "select", "waited in select", true },
	[GS_WHY_WAITGROUP] = { "waitgroup", "waited for a WaitGroup", true },
	[GS_WHY_COND] = { "cond", "waited for a Cond", true },
	[GS_WHY_SLEEP] = { "sleep", "slept", true },
	[GS_WHY_NET_READ] = { "net_read", "waited for data", true },
	[GS_WHY_NET_WRITE] = { "net_write", "waited to send", true },
	[GS_WHY_NET_DIAL] = { "net_dial", "connected", true },
	[GS_WHY_NET_ACCEPT] = { "net_accept", "waited for a connection", true },
	[GS_WHY_FILE_IO] = { "file_io", "waited for a file", true },
	[GS_WHY_FUTEX] = { "futex", "waited for a futex", true },
	[GS_WHY_DNS] = { "dns", "looked up a name", true },
	[GS_WHY_FAULT_MINOR] = { "fault_minor", "was in minor page faults", true },
	[GS_WHY_FAULT_MAJOR] = { "fault_major", "was in major page faults", true },
	[GS_WHY_RECLAIM] = { "reclaim", "reclaimed memory for the kernel", true },
	[GS_WHY_GC_ASSIST] = { "gc_assist", "worked for the garbage collector", true },
	[GS_WHY_STW] = { "stw", "was stopped with the world", true },
	[GS_WHY_CGO] = { "cgo", "was in C code", true },
	[GS_WHY_UNKNOWN] = { "unknown", "unknown", true },
};

const char *gs_why_class_name(enum gs_why_class c)
{
	return classes[(unsigned int)c < GS_WHY_CLASSES ? c : GS_WHY_UNKNOWN].name;
}

const char *gs_why_class_words(enum gs_why_class c)
{
	return classes[(unsigned int)c < GS_WHY_CLASSES ? c : GS_WHY_UNKNOWN].words;
}

bool gs_why_class_is_wait(enum gs_why_class c)
{
	return classes[(unsigned int)c < GS_WHY_CLASSES ? c : GS_WHY_UNKNOWN].wait;
}
