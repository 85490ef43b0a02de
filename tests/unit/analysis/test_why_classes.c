/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* One request per case, in which one thing happens: the class of every nanosecond. */
#include "why_script.h"

#define BEGIN "0 run 7 tid=1\n1ms begin 7 tid=1 call=http1 method=GET path=/x kernel=0\n"
#define END "10ms end 7 tid=1 call=http1 status=200"

static const struct {
	const char *name, *script, *classes;
} cases[] = {
	{ "user code", END, "cpu_user 9000000" },
	{ "kernel", "4ms yield 7 tid=1 kernel=2ms\n4ms run 7 tid=1\n" END,
	  "cpu_user 7000000 cpu_kernel 2000000" },
	{ "everything a thread can use",
	  END " kernel=1ms fault_minor=2ms fault_major=500us reclaim=300us cgo=700us",
	  "cpu_user 4500000 cpu_kernel 1000000 fault_minor 2000000 fault_major 500000 "
	  "reclaim 300000 cgo 700000" },
	{ "usage of more than there is", END " kernel=20ms fault_minor=4ms",
	  "cpu_kernel 5000000 fault_minor 4000000" },
	{ "preempted by the runtime", "4ms yield 7 tid=1 flags=preempted\n6ms run 7 tid=1\n" END,
	  "cpu_user 7000000 runqueue_go 2000000" },
	{ "preempted by the kernel", "6ms off 7 tid=1 since=4ms wake=4ms task_state=0\n" END,
	  "cpu_user 7000000 runqueue_kernel 2000000" },
	{ "mutex",
	  "2ms park 7 tid=1 reason=sync.Mutex.Lock object=0x1004 stack=sync.(*Mutex).Lock<main.f\n"
	  "5ms ready 7 waker=8\n6ms run 7 tid=1\n" END,
	  "cpu_user 5000000 runqueue_go 1000000 mutex 3000000" },
	{ "mutex of 1.19",
	  "2ms park 7 tid=1 reason=semacquire object=0x1004 "
	  "stack=sync.runtime_SemacquireMutex<sync.(*Mutex).lockSlow<sync.(*Mutex).Lock<main.f\n"
	  "5ms ready 7 waker=8\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 mutex 3000000" },
	{ "rwmutex",
	  "2ms park 7 tid=1 reason=sync.RWMutex.RLock object=0x100c\n5ms ready 7 waker=8\n5ms run "
	  "7 "
	  "tid=1\n" END,
	  "cpu_user 6000000 rwmutex 3000000" },
	{ "the mutex in an rwmutex",
	  "2ms park 7 tid=1 reason=sync.Mutex.Lock object=0x1004 "
	  "stack=sync.(*Mutex).Lock<sync.(*RWMutex).Lock<main.f\n5ms ready 7 waker=8\n5ms run 7 "
	  "tid=1\n" END,
	  "cpu_user 6000000 rwmutex 3000000" },
	{ "channel",
	  "2ms park 7 tid=1 reason=\"chan receive\"\n5ms ready 7 waker=8\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 chan 3000000" },
	{ "select", "2ms park 7 tid=1 reason=select\n5ms ready 7 waker=8\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 select 3000000" },
	{ "waitgroup",
	  "2ms park 7 tid=1 reason=sync.WaitGroup.Wait\n5ms ready 7 waker=8\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 waitgroup 3000000" },
	{ "waitgroup up to 1.23",
	  "2ms park 7 tid=1 reason=semacquire "
	  "stack=sync.runtime_Semacquire<sync.(*WaitGroup).Wait<main.f\n"
	  "5ms ready 7 waker=8\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 waitgroup 3000000" },
	{ "cond",
	  "2ms park 7 tid=1 reason=sync.Cond.Wait\n5ms ready 7 waker=8\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 cond 3000000" },
	{ "sleep", "2ms park 7 tid=1 reason=sleep\n5ms ready 7\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 sleep 3000000" },
	{ "sleep in the kernel",
	  "5ms off 7 tid=1 since=2ms wake=4ms syscall=230 flags=syscall\n" END,
	  "cpu_user 6000000 runqueue_kernel 1000000 sleep 2000000" },
	{ "network read",
	  "2ms park 7 tid=1 reason=\"IO wait\" io=r\n5ms ready 7 flags=netpoll\n5ms run 7 "
	  "tid=1\n" END,
	  "cpu_user 6000000 net_read 3000000" },
	{ "network write",
	  "2ms park 7 tid=1 reason=\"IO wait\" io=w\n5ms ready 7 flags=netpoll\n5ms run 7 "
	  "tid=1\n" END,
	  "cpu_user 6000000 net_write 3000000" },
	{ "dial",
	  "2ms park 7 tid=1 reason=\"IO wait\" io=w "
	  "stack=internal/poll.(*FD).WaitWrite<net.(*netFD).connect<"
	  "net.(*netFD).dial<main.f\n5ms ready 7 flags=netpoll\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 net_dial 3000000" },
	{ "accept",
	  "2ms park 7 tid=1 reason=\"IO wait\" io=r "
	  "stack=internal/poll.(*FD).Accept<net.(*netFD).accept<main.f\n"
	  "5ms ready 7 flags=netpoll\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 net_accept 3000000" },
	{ "pipe through the poller",
	  "2ms park 7 tid=1 reason=\"IO wait\" io=r fd=5 mode=010600\n5ms ready 7 "
	  "flags=netpoll\n5ms run 7 "
	  "tid=1\n" END,
	  "cpu_user 6000000 file_io 3000000" },
	{ "fsync",
	  "5ms off 7 tid=1 since=2ms wake=5ms syscall=74 flags=syscall fd=3 mode=0100600 "
	  "name=ledger.db\n" END,
	  "cpu_user 6000000 file_io 3000000" },
	{ "read of a file",
	  "5ms off 7 tid=1 since=2ms wake=5ms syscall=0 flags=syscall fd=3 mode=0100600\n" END,
	  "cpu_user 6000000 file_io 3000000" },
	{ "read of a socket",
	  "5ms off 7 tid=1 since=2ms wake=5ms syscall=0 flags=syscall fd=3 mode=0140600 "
	  "family=2\n" END,
	  "cpu_user 6000000 net_read 3000000" },
	{ "write to a socket",
	  "5ms off 7 tid=1 since=2ms wake=5ms syscall=1 flags=syscall fd=3 mode=0140600 "
	  "family=2\n" END,
	  "cpu_user 6000000 net_write 3000000" },
	{ "read of who knows what",
	  "5ms off 7 tid=1 since=2ms wake=5ms syscall=0 flags=syscall\n" END,
	  "cpu_user 6000000 unknown 3000000" },
	{ "connect", "5ms off 7 tid=1 since=2ms wake=5ms syscall=42 flags=syscall\n" END,
	  "cpu_user 6000000 net_dial 3000000" },
	{ "accept4", "5ms off 7 tid=1 since=2ms wake=5ms syscall=288 flags=syscall\n" END,
	  "cpu_user 6000000 net_accept 3000000" },
	{ "futex", "5ms off 7 tid=1 since=2ms wake=5ms syscall=202 flags=syscall arg0=0x99\n" END,
	  "cpu_user 6000000 futex 3000000" },
	{ "futex while the world stops",
	  "2ms runtime 9 what=stw_begin\n4ms runtime 9 what=stw_end\n"
	  "5ms off 7 tid=1 since=2ms wake=5ms syscall=202 flags=syscall arg0=0x99\n" END,
	  "cpu_user 6000000 futex 1000000 stw 2000000" },
	{ "dns",
	  "2ms park 7 tid=1 reason=select "
	  "stack=net.(*Resolver).lookupIPAddr<net.(*Dialer).DialContext<main.f\n"
	  "5ms ready 7 waker=8\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 dns 3000000" },
	{ "minor fault", "5ms off 7 tid=1 since=2ms wake=5ms flags=fault\n" END,
	  "cpu_user 6000000 fault_minor 3000000" },
	{ "major fault in a system call",
	  "5ms off 7 tid=1 since=2ms wake=4ms syscall=0 flags=syscall|fault|major\n" END,
	  "cpu_user 6000000 runqueue_kernel 1000000 fault_major 2000000" },
	{ "reclaim", "5ms off 7 tid=1 since=2ms wake=5ms flags=fault|reclaim\n" END,
	  "cpu_user 6000000 reclaim 3000000" },
	{ "cgo", "5ms off 7 tid=1 since=2ms wake=5ms flags=cgo|syscall syscall=35\n" END,
	  "cpu_user 6000000 cgo 3000000" },
	{ "assist",
	  "2ms runtime 7 tid=1 what=assist_begin kernel=100us\n4ms runtime 7 tid=1 what=assist_end "
	  "kernel=1ms\n" END,
	  "cpu_user 6900000 cpu_kernel 100000 gc_assist 2000000" },
	{ "assist that has to wait",
	  "2ms runtime 7 tid=1 what=assist_begin\n3ms park 7 tid=1 reason=\"GC assist wait\"\n"
	  "5ms ready 7 waker=3\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 gc_assist 3000000" },
	{ "world stopped while in the run queue",
	  "3ms runtime 9 what=stw_begin\n4ms yield 7 tid=1\n6ms runtime 9 what=stw_end\n7ms run 7 "
	  "tid=1\n" END,
	  "cpu_user 6000000 runqueue_go 1000000 stw 2000000" },
	{ "asks for the world to stop",
	  "2ms park 7 tid=1 reason=semacquire "
	  "stack=runtime.semacquire<runtime.stopTheWorldGC<runtime.ReadMemStats<main.f\n"
	  "5ms ready 7 waker=8\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 stw 3000000" },
	{ "a reason nobody knows",
	  "2ms park 7 tid=1 reason=\"gone fishing\"\n5ms ready 7 waker=8\n5ms run 7 tid=1\n" END,
	  "cpu_user 6000000 unknown 3000000" },
	{ "seen on its goroutine for the first time",
	  "2ms run 7 tid=1\n3ms park 7 tid=1 reason=sleep\n5ms ready 7\n6ms run 7 tid=1\n" END,
	  "cpu_user 6000000 runqueue_go 1000000 sleep 2000000" },
	{ "park seen twice",
	  "2ms park 7 tid=1 reason=sleep\n2010us park 7 tid=1 reason=sleep\n5ms ready 7\n5ms ready "
	  "7\n5ms run 7 "
	  "tid=1\n5001us run 7 tid=1\n" END,
	  "cpu_user 6000000 sleep 3000000" },
	{ "parks, but does not",
	  "2ms park 7 tid=1 reason=\"IO wait\" io=r\n2100us run 7 tid=1\n" END,
	  "cpu_user 8900000 net_read 100000" },
	{ "off CPU events out of order",
	  "5ms off 7 tid=1 since=500us wake=4ms syscall=202 flags=syscall\n"
	  "4500us off 7 tid=1 since=4ms wake=4200us syscall=202 flags=syscall\n" END,
	  "cpu_user 5000000 runqueue_kernel 1000000 futex 3000000" },
};

static void every_class(void **state)
{
	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		char script[2048], got[512];
		struct why_run run;

		snprintf(script, sizeof(script), "%s%s\n", BEGIN, cases[i].script);
		run = why_run(script, NULL);
		assert_int_equal(run.r->n_slowest, 1);
		assert_int_equal(run.r->slowest[0].duration_ns, 9 * MS);
		if (strcmp(why_classes(&run.r->slowest[0], got), cases[i].classes) != 0)
			fail_msg("%s: got %s\n     want %s", cases[i].name, got, cases[i].classes);
		why_end(&run);
	}
}

static void arm64_has_other_numbers(void **state)
{
	char got[512];
	struct gs_event_source *s = event_script(
		BEGIN "5ms off 7 tid=1 since=2ms wake=5ms syscall=82 flags=syscall\n" END "\n");
	struct why_run run;

	s->goarch = "arm64";
	run = why_run_source(s, NULL);
	assert_string_equal(why_classes(&run.r->slowest[0], got),
			    "cpu_user 6000000 file_io 3000000");
	assert_string_equal(run.r->slowest[0].blame[1].what.syscall, "fsync");
	why_end(&run);
}

static void classes_have_names(void **state)
{
	for (int c = 0; c < GS_WHY_CLASSES; c++) {
		assert_non_null(gs_why_class_name((enum gs_why_class)c));
		assert_non_null(gs_why_class_words((enum gs_why_class)c));
	}
	assert_string_equal(gs_why_class_name((enum gs_why_class)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_class),
					    cmocka_unit_test(arm64_has_other_numbers),
					    cmocka_unit_test(classes_have_names) };

	return gs_test_main(tests);
}
