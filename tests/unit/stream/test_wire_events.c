/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Hand-made records to events; stacks by hash; goroutines of a snapshot put back to the beginning. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "go_world.h"
#include "stream/stream_private.h"

static struct gs__stacks stacks;
static struct gs__decoder decoder;

static int setup(void **state)
{
	static const char *const reasons[] = { "", "sleep", "sync.Mutex.Lock" };
	struct gs_err err;

	if (gs__stacks_init(&stacks, NULL, &err) < 0)
		return -1;
	gs__decoder_init(&decoder, NULL, &stacks);
	decoder.reasons = reasons;
	decoder.n_reasons = 3;
	decoder.wait[2] = GS_WAIT_MUTEX;
	return 0;
}

static int teardown(void **state)
{
	gs__stacks_deinit(&stacks);
	return 0;
}

static void send_stack(uint64_t hash, uint32_t n)
{
	struct gs_wire_stack w = { .h = { .kind = GS_WIRE_STACK, .stack = hash }, .n = n };

	for (uint32_t i = 0; i < n; i++)
		w.pc[i] = hash + i;
	gs__stacks_add(&stacks, &w);
}

static struct gs_wire_head head(enum gs_wire_kind kind, size_t size)
{
	return (struct gs_wire_head){ .ts_ns = 77,
				      .goid = 5,
				      .stack = 0xabc,
				      .tid = 9,
				      .size = (uint16_t)size,
				      .kind = (uint8_t)kind };
}

static void park(void **state)
{
	struct gs_wire_go_park w = {
		.h = head(GS_WIRE_GO_PARK, offsetof(struct gs_wire_go_park, file)),
		.usage = { .kernel_ns = 1, .faults_major = 2 },
		.object = 0x1234,
		.reason = 2,
		.io_mode = 'r',
		.n_cases = 3,
		.file = { .fd = 8, .name = "not to be read" },
	};
	struct gs_event e;

	send_stack(0xdef, 3);
	send_stack(0xabc, 4);
	assert_true(gs__decode(&decoder, &w.h, &e));
	assert_int_equal(e.kind, GS_EV_GO_PARK);
	assert_int_equal(e.t_ns, 77);
	assert_int_equal(e.goid, 5);
	assert_int_equal(e.tid, 9);
	assert_int_equal(e.stack, 2);
	assert_int_equal(e.usage.kernel_ns, 1);
	assert_int_equal(e.usage.faults_major, 2);
	assert_string_equal(e.park.reason, "sync.Mutex.Lock");
	assert_int_equal(e.park.wait, GS_WAIT_MUTEX);
	assert_int_equal(e.park.file.fd, -1);
	w.has_file = 1;
	w.h.size = sizeof(w);
	w.file.family = AF_INET;
	w.file.peer_port = 5432;
	memset(w.file.name, 'x', sizeof(w.file.name));
	w.reason = 99;
	assert_true(gs__decode(&decoder, &w.h, &e));
	assert_int_equal(e.park.file.peer_port, 5432);
	assert_int_equal(strlen(e.park.file.name), sizeof(e.park.file.name) - 1);
	assert_string_equal(e.park.reason, "");
	assert_int_equal(e.park.wait, GS_WAIT_UNKNOWN);
}

static void calls(void **state)
{
	struct gs_wire_call w = { .h = head(GS_WIRE_CALL_END, sizeof(w)),
				  .sp = 0x100,
				  .call = GS_WIRE_CALL_HTTP2,
				  .method_len = 4,
				  .path_len = 2,
				  .status = 404,
				  .bytes = 12,
				  .method = "POST",
				  .path = "/x" };
	struct gs_event e;

	w.h.stack = 0xffff; /* never came */
	assert_true(gs__decode(&decoder, &w.h, &e));
	assert_int_equal(e.stack, 0);
	assert_int_equal(e.call.call, GS_CALL_HTTP2);
	assert_int_equal(e.call.status, 404);
	assert_int_equal(e.call.method_len, 4);
	assert_memory_equal(e.call.path, "/x", 2);
	assert_int_equal(e.call.pattern_len, 0);
	/* A record of a watched function ends before the texts. */
	w.h.size = offsetof(struct gs_wire_call, method);
	w.call = GS_WIRE_CALL_FUNCTION;
	w.function = 3;
	assert_true(gs__decode(&decoder, &w.h, &e));
	assert_int_equal(e.call.function, 3);
	assert_int_equal(e.call.path_len, 0);
	assert_string_equal(e.call.path, "");
}

static void others(void **state)
{
	struct gs_wire_off_cpu off = { .h = head(GS_WIRE_OFF_CPU, sizeof(off)),
				       .off_ns = 50,
				       .wake_ns = 60,
				       .kernel_stack = 0xabc,
				       .syscall = -1,
				       .arg = { 1, 2 },
				       .io_wait = 1 };
	struct gs_wire_map map = { .h = head(GS_WIRE_MAP, sizeof(map)),
				   .arg = { 1, 2, 3, 4, 5, 6 },
				   .result = -12 };
	struct gs_wire_fault fault = { .h = head(GS_WIRE_FAULT, sizeof(fault)),
				       .addr = 0x7000,
				       .period = 32 };
	struct gs_wire_process process = { .h = head(GS_WIRE_PROCESS, sizeof(process)),
					   .what = GS_WIRE_PROCESS_EXEC,
					   .comm = "sixteen letters!" };
	struct gs_wire_runtime rt = { .h = head(GS_WIRE_RUNTIME, sizeof(rt)),
				      .what = GS_WIRE_ASSIST_END,
				      .arg = 4 };
	struct gs_event e;

	send_stack(0xabc, 2);
	off.h.flags = GS_WIRE_F_SYSCALL | GS_WIRE_F_CGO;
	assert_true(gs__decode(&decoder, &off.h, &e));
	assert_int_equal(e.off_cpu.off_ns, 50);
	assert_int_equal(e.off_cpu.syscall, -1);
	assert_int_equal(e.kernel_stack, 1);
	assert_int_equal(e.flags, GS_EV_SYSCALL | GS_EV_CGO);
	assert_true(e.off_cpu.io_wait);
	assert_true(gs__decode(&decoder, &map.h, &e));
	assert_int_equal(e.map.arg[5], 6);
	assert_int_equal(e.map.result, -12);
	assert_true(gs__decode(&decoder, &fault.h, &e));
	assert_int_equal(e.kind, GS_EV_PAGE_FAULT);
	assert_int_equal(e.fault.addr, 0x7000);
	assert_int_equal(e.fault.period, 32);
	assert_true(gs__decode(&decoder, &process.h, &e));
	assert_int_equal(e.process.what, GS_PROCESS_EXEC);
	assert_string_equal(e.process.comm, "sixteen letters");
	assert_true(gs__decode(&decoder, &rt.h, &e));
	assert_int_equal(e.runtime.what, GS_RUNTIME_ASSIST_END);
	rt.h.kind = 20;
	assert_false(gs__decode(&decoder, &rt.h, &e));
	assert_int_equal(decoder.unknown, 1);
}

/* Kernel half and events must agree on who is left out. */
static void who_is_thinned_out(void **state)
{
	uint64_t goid = 1;

	for (int i = 0; i < 100000; i++) {
		uint32_t mask = (1u << i % 7) - 1;

		assert_int_equal(gs_thinned_out(goid, mask), (gs_wire_thin_hash(goid) & mask) != 0);
		goid = i < 50000 ? goid + 1 : goid * 6364136223846793005u + 1442695040888963407u;
	}
	/* As many as there should be, also of goroutines that come two by two. */
	for (uint64_t step = 1; step <= 3; step++) {
		int n = 0;

		for (uint64_t g = 100; g < 100 + 400 * step; g += step)
			n += !gs_thinned_out(g, 3);
		assert_in_range(n, 70, 130);
	}
}

/* Programs that had not heard of it yet still wrote: nothing of that comes out, but what is about the process. */
static void thinned(void **state)
{
	struct gs_wire_go_park park = { .h = head(GS_WIRE_GO_PARK, sizeof(park)) };
	struct gs_wire_go_ready ready = { .h = head(GS_WIRE_GO_READY, sizeof(ready)), .waker = 5 };
	struct gs_wire_runtime rt = { .h = head(GS_WIRE_RUNTIME, sizeof(rt)),
				      .what = GS_WIRE_STW_BEGIN };
	struct gs_wire_map map = { .h = head(GS_WIRE_MAP, sizeof(map)) };
	struct gs_event e;

	decoder.thin_mask = 1; /* leaves out 5, not 3 */
	assert_false(gs__decode(&decoder, &park.h, &e));
	park.h.goid = ready.h.goid = 3;
	assert_true(gs__decode(&decoder, &park.h, &e));
	assert_true(gs__decode(&decoder, &ready.h, &e));
	assert_int_equal(e.ready.waker, 5);
	assert_true(gs__decode(&decoder, &rt.h, &e));
	assert_int_equal(e.goid, 0);
	assert_true(gs__decode(&decoder, &map.h, &e));
	assert_int_equal(e.goid, 0);
	rt.what = GS_WIRE_ASSIST_BEGIN;
	assert_false(gs__decode(&decoder, &rt.h, &e));
	assert_int_equal(decoder.unknown, 0);
}

/* A thread that was in a system call and in a fault when their probes were detached seems to be in them for ever. */
static void detached(void **state)
{
	struct gs_wire_off_cpu off = { .h = head(GS_WIRE_OFF_CPU, sizeof(off)),
				       .usage = { .kernel_ns = 1,
						  .fault_minor_ns = 2,
						  .reclaim_ns = 3,
						  .cgo_ns = 4,
						  .faults_minor = 5 },
				       .syscall = 7 };
	struct gs_wire_go_park park = { .h = head(GS_WIRE_GO_PARK, sizeof(park)),
					.object = 0x1234,
					.reason = 2 };
	struct gs_event e;

	off.h.flags = GS_WIRE_F_SYSCALL | GS_WIRE_F_FAULT | GS_WIRE_F_RECLAIM | GS_WIRE_F_CGO;
	decoder.unseen = GS_UNSEEN_SYSCALLS;
	assert_true(gs__decode(&decoder, &off.h, &e));
	assert_int_equal(e.usage.kernel_ns, 0);
	assert_int_equal(e.usage.fault_minor_ns, 2);
	assert_int_equal(e.flags, off.h.flags);
	assert_int_equal(e.off_cpu.syscall, 7); // from the thread's registers
	decoder.unseen = GS_UNSEEN_FAULTS | GS_UNSEEN_CGO;
	assert_true(gs__decode(&decoder, &off.h, &e));
	assert_int_equal(e.usage.kernel_ns, 1);
	assert_int_equal(e.usage.fault_minor_ns + e.usage.reclaim_ns + e.usage.cgo_ns, 0);
	assert_int_equal(e.usage.faults_minor, 0);
	assert_int_equal(e.flags, GS_EV_SYSCALL);
	off.h.flags = GS_WIRE_F_FAULT; // by the way it sleeps
	assert_true(gs__decode(&decoder, &off.h, &e));
	assert_int_equal(e.flags, GS_EV_FAULT);
	assert_true(gs__decode(&decoder, &park.h, &e));
	assert_int_equal(e.park.object, 0x1234);
	decoder.unseen = GS_UNSEEN_LOCKS;
	assert_true(gs__decode(&decoder, &park.h, &e));
	assert_int_equal(e.park.object, 0);
}

static void many_stacks(void **state)
{
	for (uint64_t i = 1; i <= 20000; i++)
		send_stack(i * 0x9e3779b97f4a7c15u, (uint32_t)(i % GS_WIRE_STACK_MAX) + 1);
	for (uint64_t i = 1; i <= 20000; i += 7) /* forgotten by the programs and sent again */
		send_stack(i * 0x9e3779b97f4a7c15u, 1);
	assert_int_equal(stacks.n, 20000);
	for (uint64_t i = 1; i <= 20000; i++)
		assert_int_equal(gs__stacks_find(&stacks, i * 0x9e3779b97f4a7c15u), i);
	assert_null(gs__stacks_get(&stacks, 0));
	assert_null(gs__stacks_get(&stacks, 20001));
	assert_int_equal(gs__stacks_find(&stacks, 0), 0);
}

/* Stacks of the kernel begin with how they were taken. That is cut off at the top and nowhere else. */
static void tracing_is_cut_off(void **state)
{
	static const char table[] =
		"ffffffff80001000 T __schedule\n"
		"ffffffff80002000 T __traceiter_sched_switch\n"
		"ffffffff80003000 T bpf_trace_run4\n"
		"ffffffff80004000 T schedule\n"
		"ffffffff80005000 T vfs_read\n"
		"ffffffffc0001000 t bpf_prog_6deef7357e7b4530_gs_sched_switch\t[bpf]\n"
		"ffffffffc0002000 t nothing\t[bpf]\n";
	static const struct {
		uint64_t pc[6];
		uint32_t n;
		const char *want;
	} cases[] = {
		{ { 0xc0001010, 0x80003010, 0x80002010, 0x80001010, 0x80004010, 0x80005010 },
		  6,
		  "__schedule<schedule<vfs_read" },
		/* Programs have no names. */
		{ { 0x10, 0x80003010, 0x80001010, 0x80004010 }, 4, "__schedule<schedule" },
		{ { 0x10, 0x80001010, 0x80004010 }, 3, "<__schedule<schedule" },
		{ { 0x80001010, 0x80003010, 0x80004010 }, 3, "__schedule<bpf_trace_run4<schedule" },
	};
	char path[] = "/tmp/gosonde-kallsyms.XXXXXX", got[256];
	int fd = mkstemp(path);
	struct gs_err err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, table, sizeof(table) - 1), sizeof(table) - 1);
	close(fd);
	gs_assert_ok(gs__ksyms_open_file(path, &stacks.ksyms, &err), &err);
	unlink(path);
	stacks.ksyms_tried = true;
	for (uint32_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		struct gs_wire_stack w = { .h = { .kind = GS_WIRE_STACK, .stack = i + 1 },
					   .n = cases[i].n,
					   .flags = 2 };
		const struct gs_stack *st;
		int at = 0;

		for (uint32_t k = 0; k < w.n; k++)
			w.pc[k] = 0xffffffff00000000u | cases[i].pc[k];
		gs__stacks_add(&stacks, &w);
		st = gs__stacks_get(&stacks, i + 1);
		assert_non_null(st);
		for (uint32_t k = 0; k < st->n_frames; k++)
			at += snprintf(got + at, sizeof(got) - (size_t)at, "%s%s", k ? "<" : "",
				       st->frames[k].function);
		assert_string_equal(got, cases[i].want);
	}
}

static void no_drain(void *ctx)
{
	++*(int *)ctx;
}

static struct gs_wire_head go_event(enum gs_wire_kind kind, uint64_t goid, uint64_t ts)
{
	return (struct gs_wire_head){
		.ts_ns = ts, .goid = goid, .tid = 4, .kind = (uint8_t)kind, .size = 64
	};
}

/* Six goroutines wait when they are read, a minute after their first events. */
static void rewinding(void **state)
{
	static const struct {
		enum gs_wire_kind first;
		enum gs_goroutine_state want;
	} cases[] = { { GS_WIRE_GO_READY, GS_G_WAITING },
		      { GS_WIRE_GO_RUN, GS_G_RUNNABLE },
		      { GS_WIRE_GO_PARK, GS_G_RUNNING },
		      { GS_WIRE_CALL_END, GS_G_RUNNING },
		      { GS_WIRE_GO_CREATE, GS_G_STATE_COUNT } };
	struct gs_wire_off_cpu other = { .h = { .ts_ns = 15, .tid = 8, .size = sizeof(other) } };
	struct gs_incomplete_list inc = { .n = 0 };
	struct gs__snapshot s;
	struct gs__order o;
	struct gs_world w;
	struct gs_err err = { 0 };
	struct gs_event e;
	int drained = 0;

	world_init(&w, 27, "go1.27.3");
	for (int i = 0; i < 6; i++)
		world_add_parked(&w, WORLD_WORKER);
	world_open_rt(&w);
	gs_assert_ok(gs__order_init(&o, 1, 1 << 20, &err), &err);
	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		struct gs_wire_go_park first = { .h = go_event(cases[i].first, i + 1, 10 + i) };
		struct gs_wire_go_park later = { .h = go_event(GS_WIRE_GO_EXIT, i + 1, 20 + i) };

		gs__order_add(&o, GS_WIRE_RING_GO, &first.h, 64);
		gs__order_add(&o, GS_WIRE_RING_GO, &later.h, 64);
	}
	gs_assert_ok(gs__snapshot_take(&s, w.rt, &stacks, no_drain, &drained, &inc, &err), &err);
	/* Goroutine 90 ended before it could be read, 91 was born and ended meanwhile. */
	for (uint64_t goid = 90; goid < 92; goid++) {
		struct gs_wire_go_park first = {
			.h = go_event(goid == 90 ? GS_WIRE_GO_RUN : GS_WIRE_GO_CREATE, goid, 30)
		};
		struct gs_wire_go_park last = { .h = go_event(GS_WIRE_GO_EXIT, goid, 40) };

		gs__order_add(&o, GS_WIRE_RING_GO, &first.h, 64);
		gs__order_add(&o, GS_WIRE_RING_GO, &last.h, 64);
	}
	gs__snapshot_rewind(&s, &o);
	assert_int_equal(s.n, 8);
	assert_true(gs__snapshot_event(&s, 6, 5, &e));
	assert_int_equal(e.goid, 90);
	assert_int_equal(e.state.state, GS_G_RUNNABLE);
	assert_false(gs__snapshot_event(&s, 7, 5, &e));
	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		bool there = gs__snapshot_event(&s, (uint32_t)i, 5, &e);

		assert_int_equal(there, cases[i].want != GS_G_STATE_COUNT);
		if (there)
			assert_int_equal(e.state.state, cases[i].want);
		/* Where it waits later is not where it was then. */
		if (there && cases[i].want != GS_G_WAITING) {
			assert_null(e.state.wait_reason);
			assert_int_equal(e.stack, 0);
		}
	}
	assert_true(gs__snapshot_event(&s, 5, 5, &e)); /* no event: as it was read */
	assert_int_equal(e.state.state, GS_G_WAITING);
	assert_string_equal(e.state.wait_reason, "chan receive");
	assert_int_equal(e.state.wait, GS_WAIT_CHAN_RECEIVE);
	assert_string_equal(e.state.start->function, "main.worker");
	assert_int_equal(gs__stacks_get(&stacks, e.stack)->n_frames, 3);
	/* Goroutine 6 is found on thread 8, which goes off the CPU before it is bound; then another runs there. */
	s.v[5].tid = 8;
	other.h.kind = GS_WIRE_OFF_CPU;
	gs__order_add(&o, GS_WIRE_RING_KERNEL, &other.h, sizeof(other));
	struct gs_wire_go_park run = { .h = go_event(GS_WIRE_GO_RUN, 1, 18) };
	run.h.tid = 8;
	gs__order_add(&o, GS_WIRE_RING_GO, &run.h, 64);
	other.h.ts_ns = 19;
	gs__order_add(&o, GS_WIRE_RING_KERNEL, &other.h, sizeof(other));
	gs__snapshot_adopt(&s, &o);
	gs__order_release(&o, UINT64_MAX);
	for (const struct gs_wire_head *h; (h = gs__order_take(&o));)
		if (h->kind == GS_WIRE_OFF_CPU)
			assert_int_equal(h->goid, h->ts_ns == 15 ? 6 : 0);
	gs__snapshot_deinit(&s);
	gs__order_deinit(&o);
	world_deinit(&w);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(park),
					    T(calls),
					    T(others),
					    T(many_stacks),
					    T(tracing_is_cut_off),
					    T(who_is_thinned_out),
					    T(thinned),
					    T(detached),
					    T(rewinding) };

	return gs_test_main(tests);
}
