/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The fields of events as recordings hold them, one table for both directions. The limits are for the reader: analyses
 * index by enumerations and add up times, so nothing out of their range may come from a file.
 */
#include "stream/recording.h"

#include "base/cleanup.h"

#define SPAN_MAX                                                                                   \
	(1ull << 48) /* of a duration: three days; 2^14 of them can be added up without overflow */

#define FIELD(t, member, limit)                                                                    \
	{                                                                                          \
		.at = offsetof(struct gs_event, member), .type = t,                                \
		.size = sizeof(((struct gs_event *)NULL)->member), .max = limit                    \
	}
#define UINT(member) FIELD(GS__REC_UINT, member, UINT64_MAX)
#define UPTO(member, limit) FIELD(GS__REC_UINT, member, limit)
#define INT(member) FIELD(GS__REC_INT, member, 0)
#define TIME(member) FIELD(GS__REC_TIME, member, 0)
#define NEAR(member) FIELD(GS__REC_NEAR, member, 0)
#define TEXT(member) FIELD(GS__REC_TEXT, member, 0)
#define FRAME(member) FIELD(GS__REC_FRAMEP, member, 0)
#define RAW(member) FIELD(GS__REC_RAW, member, 0)
#define BYTES(member, length)                                                                      \
	{                                                                                          \
		.at = offsetof(struct gs_event, member),                                           \
		.len_at = offsetof(struct gs_event, length), .type = GS__REC_BYTES,                \
		.size = sizeof(char *), .max = GS__REC_STRING_MAX                                  \
	}
#define FILE_REF(member)                                                                           \
	UINT(member.mode), INT(member.fd), UINT(member.family), UINT(member.protocol),             \
		UINT(member.local_port), UINT(member.peer_port), RAW(member.local_addr),           \
		RAW(member.peer_addr), UINT(member.dev), RAW(member.name)

const struct gs__rec_field gs__rec_common[GS__REC_COMMON] = {
	NEAR(goid),
	INT(tid),
	UINT(stack),
	UINT(kernel_stack),
	UINT(flags),
	UPTO(usage.kernel_ns, SPAN_MAX),
	UPTO(usage.fault_minor_ns, SPAN_MAX),
	UPTO(usage.fault_major_ns, SPAN_MAX),
	UPTO(usage.reclaim_ns, SPAN_MAX),
	UPTO(usage.cgo_ns, SPAN_MAX),
	UINT(usage.faults_minor),
	UINT(usage.faults_major),
};

static const struct gs__rec_field state[] = {
	UINT(state.parent),
	TEXT(state.wait_reason),
	UPTO(state.state, GS_G_STATE_COUNT - 1),
	UPTO(state.wait, GS_WAIT_COUNT - 1),
	TIME(state.since_ns),
	NEAR(state.creator_pc),
	NEAR(state.start_pc),
	FRAME(state.created_by),
	FRAME(state.start),
	UPTO(state.system, 1),
};
static const struct gs__rec_field create[] = {
	UINT(create.parent),      NEAR(create.creator_pc), NEAR(create.start_pc),
	FRAME(create.created_by), FRAME(create.start),
};
static const struct gs__rec_field ready[] = { NEAR(ready.waker) };
static const struct gs__rec_field run[] = { INT(run.p) };
static const struct gs__rec_field park[] = {
	TEXT(park.reason),  UPTO(park.wait, GS_WAIT_COUNT - 1),
	NEAR(park.object),  UINT(park.io_mode),
	UINT(park.n_cases), FILE_REF(park.file),
};
static const struct gs__rec_field call[] = {
	UPTO(call.call, GS_CALL_FUNCTION),
	UINT(call.function),
	NEAR(call.sp),
	INT(call.status),
	INT(call.bytes),
	BYTES(call.method, call.method_len),
	BYTES(call.path, call.path_len),
	BYTES(call.pattern, call.pattern_len),
	BYTES(call.peer, call.peer_len),
};
static const struct gs__rec_field runtime[] = {
	UPTO(runtime.what, GS_RUNTIME_ASSIST_END),
	UINT(runtime.arg),
};
static const struct gs__rec_field off_cpu[] = {
	TIME(off_cpu.off_ns),   TIME(off_cpu.wake_ns),    UINT(off_cpu.waker_goid),
	INT(off_cpu.waker_tid), INT(off_cpu.syscall),     NEAR(off_cpu.arg[0]),
	NEAR(off_cpu.arg[1]),   UINT(off_cpu.task_state), UPTO(off_cpu.io_wait, 1),
	FILE_REF(off_cpu.file),
};
static const struct gs__rec_field sample[] = { UPTO(sample.period_ns, SPAN_MAX) };
static const struct gs__rec_field map[] = {
	INT(map.syscall), NEAR(map.arg[0]), NEAR(map.arg[1]), UINT(map.arg[2]),
	UINT(map.arg[3]), UINT(map.arg[4]), UINT(map.arg[5]), INT(map.result),
};
static const struct gs__rec_field fault[] = { NEAR(fault.addr), UINT(fault.period) };
static const struct gs__rec_field dlopened[] = { BYTES(dlopen.path, dlopen.path_len) };
static const struct gs__rec_field process[] = {
	UPTO(process.what, GS_PROCESS_EXIT),
	INT(process.child),
	RAW(process.comm),
};
static const struct gs__rec_field gauge[] = {
	UINT(gauge.heap_live_bytes), UINT(gauge.heap_goal_bytes), UINT(gauge.runnable_global),
	UINT(gauge.runnable_local),  UINT(gauge.goroutines),      UINT(gauge.gomaxprocs),
	UINT(gauge.idle_ps),         UINT(gauge.threads),
};
static const struct gs__rec_field lost[] = { UINT(lost.count) };
static const struct gs__rec_field thinned[] = { UINT(thinned.mask) };
static const struct gs__rec_field detached[] = { UPTO(detached.unseen, GS_UNSEEN_ALL) };

#define TABLE(t)                                                                                   \
	{                                                                                          \
		t, GS_ARRAY_SIZE(t)                                                                \
	}
static const struct {
	const struct gs__rec_field *field;
	uint32_t n;
} kinds[GS_EV_KIND_COUNT] = {
	[GS_EV_GO_STATE] = TABLE(state),   [GS_EV_GO_CREATE] = TABLE(create),
	[GS_EV_GO_READY] = TABLE(ready),   [GS_EV_GO_RUN] = TABLE(run),
	[GS_EV_GO_PARK] = TABLE(park),     [GS_EV_CALL_BEGIN] = TABLE(call),
	[GS_EV_CALL_END] = TABLE(call),    [GS_EV_RUNTIME] = TABLE(runtime),
	[GS_EV_OFF_CPU] = TABLE(off_cpu),  [GS_EV_SAMPLE] = TABLE(sample),
	[GS_EV_MAP] = TABLE(map),          [GS_EV_PROCESS] = TABLE(process),
	[GS_EV_GAUGE] = TABLE(gauge),      [GS_EV_LOST] = TABLE(lost),
	[GS_EV_THINNED] = TABLE(thinned),  [GS_EV_DETACHED] = TABLE(detached),
	[GS_EV_PAGE_FAULT] = TABLE(fault), [GS_EV_DLOPEN] = TABLE(dlopened),
};

const struct gs__rec_field *gs__rec_fields(enum gs_event_kind k, uint32_t *ret_n)
{
	*ret_n = kinds[k].n;
	return kinds[k].field;
}
