/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Who is to blame: chains of locks, work done elsewhere, who really held a lock; names of locks and peers. */
#include "why_script.h"

#define LOCK                                                                                       \
	"sync.runtime_SemacquireMutex<sync.(*Mutex).Lock<app.(*Ledger).Append<app.serve<net/"      \
	"http.(*conn).serve"
#define UNLOCK "sync.(*Mutex).Unlock<app.(*Ledger).Append<app.serve<net/http.(*conn).serve"
#define FSYNC                                                                                      \
	"syscall.fsync<os.(*File).Sync<app.(*Ledger).flush<app.(*Ledger).Append<app.serve<net/"    \
	"http.(*conn).serve"
#define IDLE "internal/poll.(*FD).Read<net/http.(*connReader).Read<net/http.(*conn).serve"

/* Goroutine @g holds the lock from @from, is in fsync from 1 ms later and releases to @to 1 ms after it. */
static void hold(char *out, int g, int from, int until, int to)
{
	assert_non_null(out);
	sprintf(out,
		"%dms off %d tid=%d since=%dms wake=%dms syscall=74 flags=syscall fd=3 "
		"mode=0100600 "
		"name=ledger.db stack=" FSYNC "\n%dms ready %d waker=%d stack=" UNLOCK "\n"
		"%dms run %d tid=%d\n",
		until - 1, g, g, from + 1, until - 1, until, to, g, until, to, to);
}

static void a_mutex_and_its_holder(void **state)
{
	char script[4096] = "object 0x1000 app.ledger\n"
			    "0 run 2 tid=2\n0 run 1 tid=1\n"
			    "0 begin 1 tid=1 call=http1 method=POST path=/checkout\n"
			    "2ms park 1 tid=1 reason=sync.Mutex.Lock object=0x1004 stack=" LOCK
			    "\n";
	struct why_run run;
	const struct gs_why_request *q;
	const struct gs_why_cause *c;

	hold(script + strlen(script), 2, 0, 100, 1);
	strcat(script, "102ms end 1 tid=1 call=http1 status=200 pattern=\"POST /checkout\"\n");
	run = why_run(script, NULL);
	q = &run.r->slowest[0];
	why_tree_is(q, "mutex@app.(*Ledger).Append 98(file_io@app.(*Ledger).flush 97 "
		       "cpu_user@app.(*Ledger).Append 1) cpu_user 4");
	assert_string_equal(q->route, "POST /checkout");
	assert_int_equal(q->blame[0].what.object, 0x1000);
	assert_string_equal(q->blame[0].what.object_name, "app.ledger");
	assert_int_equal(q->blame[0].n_holders, 1);
	assert_int_equal(q->blame[0].holder[0].goid, 2);
	assert_string_equal(q->blame[0].holder[0].where->function, "app.(*Ledger).Append");
	assert_string_equal(q->blame[0].cause[0].what.file->name, "ledger.db");
	assert_string_equal(q->blame[0].cause[0].what.syscall, "fsync");
	assert_true(q->blame[0].cause[1].what.near);
	// The root cause is not the lock but the disk, and it says through what.
	c = &run.r->causes[0];
	assert_int_equal(c->what.class, GS_WHY_FILE_IO);
	assert_string_equal(c->what.where->function, "app.(*Ledger).flush");
	assert_int_equal(c->ns, 97 * MS);
	assert_int_equal(c->n_vias, 1);
	assert_int_equal(c->via[0].what.class, GS_WHY_MUTEX);
	assert_false(c->via[0].itself);
	why_end(&run);
}

/* 2 holds, 3 and 4 queue before 1: each holder gets its own part of what 1 waits. */
static void a_mutex_from_hand_to_hand(void **state)
{
	char script[8192] = "0 run 1 tid=1\n0 run 2 tid=2\n0 run 3 tid=3\n0 run 4 tid=4\n"
			    "0 begin 1 tid=1 call=http1 method=GET path=/\n"
			    "1us park 3 tid=3 reason=sync.Mutex.Lock object=0x1004 stack=" LOCK "\n"
			    "2us park 4 tid=4 reason=sync.Mutex.Lock object=0x1004 stack=" LOCK "\n"
			    "2ms park 1 tid=1 reason=sync.Mutex.Lock object=0x1004 stack=" LOCK
			    "\n";
	struct why_run run;
	const struct gs_why_blame *b;

	hold(script + strlen(script), 2, 0, 40, 3);
	hold(script + strlen(script), 3, 40, 80, 4);
	hold(script + strlen(script), 4, 80, 120, 1);
	strcat(script, "120ms end 1 tid=1 call=http1 status=200\n");
	run = why_run(script, NULL);
	b = run.r->slowest[0].blame;
	why_tree_is(&run.r->slowest[0],
		    "mutex@app.(*Ledger).Append 118(file_io@app.(*Ledger).flush 113 "
		    "cpu_user@app.(*Ledger).Append 5) cpu_user 2");
	assert_int_equal(b->n_holders, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(b->holder[i].ns, (i < 2 ? 40 : 38) * MS);
	why_end(&run);
}

/* Nobody but the releaser was seen: it came by the lock late, and what it did before is not under it. */
static void time_before_the_lock_is_not_blamed(void **state)
{
	char script[4096] =
		"0 run 1 tid=1\n0 run 2 tid=2\n0 begin 1 tid=1 call=http1 method=GET path=/\n"
		"0 park 2 tid=2 reason=\"IO wait\" io=r stack=" IDLE "\n"
		"0 park 1 tid=1 reason=sync.Mutex.Lock object=0x1004 stack=" LOCK "\n"
		"50ms ready 2 flags=netpoll\n50ms run 2 tid=2\n";
	struct why_run run;

	hold(script + strlen(script), 2, 50, 60, 1);
	strcat(script, "60ms end 1 tid=1 call=http1 status=200\n");
	run = why_run(script, NULL);
	why_tree_is(&run.r->slowest[0],
		    "mutex@app.(*Ledger).Append 60(file_io@app.(*Ledger).flush 8 "
		    "cpu_user@app.(*Ledger).Append 2)");
	assert_true(run.r->slowest[0].blame[0].holder_unseen);
	// What is not explained is the lock's own.
	assert_int_equal(run.r->causes[0].what.class, GS_WHY_MUTEX);
	assert_int_equal(run.r->causes[0].ns, 50 * MS);
	why_end(&run);
}

/* The budget stopped following 2 (mask 1 leaves out it and 4, not 1): what it did before is known, what it did since is not. */
static void holders_that_are_not_followed(void **state)
{
	struct why_run run = why_run(
		"0 run 1 tid=1\n0 run 2 tid=2\n0 begin 1 tid=1 call=http1 method=GET path=/\n"
		"0 park 1 tid=1 reason=sync.Mutex.Lock object=0x1004 stack=" LOCK "\n"
		"40ms off 2 tid=2 since=1ms wake=40ms syscall=74 flags=syscall fd=3 mode=0100600 "
		"name=ledger.db stack=" FSYNC "\n"
		"50ms thinned mask=1\n"
		"100ms ready 1 waker=2 stack=" UNLOCK "\n100ms run 1 tid=1\n"
		"100ms park 1 tid=1 reason=\"chan receive\" stack=app.wait<app.serve\n"
		"130ms ready 1 waker=4 stack=app.send\n130ms run 1 tid=1\n"
		"130ms end 1 tid=1 call=http1 status=200\n",
		NULL);
	const struct gs_why_blame *b = run.r->slowest[0].blame;

	why_tree_is(&run.r->slowest[0],
		    "mutex@app.(*Ledger).Append 100(file_io@app.(*Ledger).flush 39 unknown 10 "
		    "cpu_user@app.(*Ledger).Append 1) chan@app.wait 30");
	assert_true(b[0].cut);
	assert_true(b[1].cut);
	assert_int_equal(b[0].holder[0].goid, 2);
	assert_int_equal(b[1].holder[0].goid, 4);
	why_end(&run);
}

/* Two locks: 1 waits for 2, which waits for 3, which asks a database. */
static void a_chain_of_locks_and_a_peer(void **state)
{
	struct why_run run = why_run(
		"0 run 1 tid=1\n0 run 2 tid=2\n0 run 3 tid=3\n"
		"0 begin 1 tid=1 call=http1 method=GET path=/\n"
		"0 park 1 tid=1 reason=sync.Mutex.Lock object=0x1004 "
		"stack=sync.(*Mutex).Lock<app.A<app.serve\n"
		"1ms park 2 tid=2 reason=sync.RWMutex.Lock object=0x2008 "
		"stack=sync.(*RWMutex).Lock<app.B<app.A<app.serve\n"
		"2ms park 3 tid=3 reason=\"IO wait\" io=r fd=9 mode=0140600 peer=10.0.0.5:5432 "
		"stack=internal/poll.(*FD).Read<net.(*conn).Read<github.com/lib/"
		"pq.(*conn).recv<app.query<app.B<app.w\n"
		"90ms ready 3 flags=netpoll\n91ms run 3 tid=3\n"
		"92ms ready 2 waker=3 stack=sync.(*RWMutex).RUnlock<app.B<app.w\n92ms run 2 tid=2\n"
		"94ms ready 1 waker=2 stack=sync.(*Mutex).Unlock<app.A<app.serve\n94ms run 1 "
		"tid=1\n"
		"95ms end 1 tid=1 call=http1 status=500\n",
		NULL);
	const struct gs_why_cause *c = &run.r->causes[0];

	why_tree_is(
		&run.r->slowest[0],
		"mutex@app.A 94(rwmutex@app.B 91(net_read@github.com/lib/pq.(*conn).recv 88 "
		"cpu_user@app.B 2 runqueue_go 1(runqueue_kernel 1)) cpu_user@app.A 3) cpu_user 1");
	assert_int_equal(run.r->slowest[0].blame[0].cause[0].what.object, 0x2000);
	assert_string_equal(c->what.protocol, "postgres");
	assert_int_equal(c->what.file->peer_port, 5432);
	assert_int_equal(c->via[0].what.class, GS_WHY_MUTEX);
	assert_false(c->stands_out); // one request is a rarity
	assert_int_equal(run.r->routes[0].failed, 1);
	why_end(&run);
}

static void work_in_children(void **state)
{
	struct why_run run = why_run(
		"0 run 1 tid=1\n0 begin 1 tid=1 call=http1 method=GET path=/\n"
		"1ms create 5 tid=1 parent=1 stack=app.fan<app.serve start=app.child\n"
		"1ms create 6 tid=1 parent=1 stack=app.fan<app.serve start=app.child\n"
		"2ms park 1 tid=1 reason=sync.WaitGroup.Wait object=0x3008 "
		"stack=sync.(*WaitGroup).Wait<app.fan<app.serve\n"
		"3ms run 5 tid=5\n4ms run 6 tid=1\n"
		"10ms park 6 tid=1 reason=sleep stack=time.Sleep<app.child\n20ms exit 5 tid=5\n"
		"50ms ready 6\n50ms run 6 tid=6\n"
		"52ms ready 1 waker=6 stack=sync.(*WaitGroup).Done<app.child\n52ms exit 6 "
		"tid=6\n52ms run 1 tid=1\n"
		"52ms end 1 tid=1 call=http1 status=200\n",
		NULL);

	why_tree_is(&run.r->slowest[0],
		    "waitgroup@app.fan 50(sleep@app.child 40 "
		    "cpu_user@app.child 8 runqueue_go 2(cpu_user 1 runqueue_kernel 1)) cpu_user 2");
	why_end(&run);
}

/* The goroutine that answers was started by another one while the request waited already. */
static void goes_on_with_the_creator(void **state)
{
	struct why_run run = why_run(
		"0 run 1 tid=1\n0 run 2 tid=2\n0 begin 1 tid=1 call=http1 method=GET path=/\n"
		"0 park 1 tid=1 reason=\"chan receive\" stack=runtime.chanrecv1<app.serve\n"
		"30ms off 2 tid=2 since=1ms wake=30ms syscall=0 flags=syscall fd=4 mode=0100600 "
		"name=big "
		"stack=os.(*File).Read<app.load\n"
		"31ms create 3 tid=2 parent=2 stack=app.load\n32ms run 3 tid=3\n"
		"40ms ready 1 waker=3 stack=runtime.chansend1<app.answer\n40ms run 1 tid=1\n"
		"40ms end 1 tid=1 call=http1 status=200\n",
		NULL);

	why_tree_is(&run.r->slowest[0],
		    "chan@app.serve 40(file_io@app.load 29 cpu_user@app.answer 10 "
		    "runqueue_go 1(runqueue_kernel 1))");
	why_end(&run);
}

/* They waited already when watching began, so the address is not known; there are more of them than a tree is deep. */
static void a_queue_older_than_watching(void **state)
{
	static char script[65536];
	char *p = script;
	struct why_run run;

	for (int g = 3; g < 40; g++)
		p += sprintf(p, "0 state %d state=waiting reason=sync.Mutex.Lock stack=" LOCK "\n",
			     g);
	p += sprintf(p,
		     "0 run 1 tid=1\n0 run 2 tid=2\n0 begin 1 tid=1 call=http1 method=GET path=/\n"
		     "0 park 1 tid=1 reason=sync.Mutex.Lock object=0x1004 stack=" LOCK "\n");
	for (int g = 2; g < 40; g++) {
		hold(p, g, (g - 2) * 10, (g - 1) * 10, g == 39 ? 1 : g + 1);
		p += strlen(p);
	}
	sprintf(p, "380ms end 1 tid=1 call=http1 status=200\n");
	run = why_run(script, NULL);
	why_tree_is(&run.r->slowest[0],
		    "mutex@app.(*Ledger).Append 380(file_io@app.(*Ledger).flush 304 "
		    "cpu_user@app.(*Ledger).Append 76)");
	assert_true(run.r->slowest[0].blame[0].more_holders);
	why_end(&run);
}

/* A writer that waits for readers holds the inner mutex: for who waits for that it is one lock. */
static void a_writer_that_waits_for_a_reader(void **state)
{
	struct why_run run =
		why_run("0 run 1 tid=1\n0 run 2 tid=2\n0 run 3 tid=3\n"
			"0 begin 1 tid=1 call=http1 method=GET path=/\n"
			"0 park 2 tid=2 reason=sync.RWMutex.Lock object=0x1008 "
			"stack=sync.(*RWMutex).Lock<app.write<app.w\n"
			"1ms park 1 tid=1 reason=sync.Mutex.Lock object=0x1004 "
			"stack=sync.(*Mutex).Lock<sync.(*RWMutex).Lock<app.write<app.serve\n"
			"1ms park 3 tid=3 reason=sleep stack=time.Sleep<app.read<app.r\n51ms ready "
			"3\n51ms run 3 tid=3\n"
			"51ms ready 2 waker=3 stack=sync.(*RWMutex).RUnlock<app.read<app.r\n51ms "
			"run 2 tid=2\n"
			"61ms ready 1 waker=2 stack=sync.(*RWMutex).Unlock<app.write<app.w\n61ms "
			"run 1 tid=1\n"
			"61ms end 1 tid=1 call=http1 status=200\n",
			NULL);

	why_tree_is(&run.r->slowest[0],
		    "rwmutex@app.write 60(sleep@app.read 50 cpu_user@app.write 10) cpu_user 1");
	assert_int_equal(run.r->slowest[0].blame[0].what.object, 0x1000);
	why_end(&run);
}

static void samples_tell_where_the_cpu_went(void **state)
{
	struct why_run run = why_run("0 run 1 tid=1\n0 begin 1 tid=1 call=http1 method=GET path=/\n"
				     "10ms sample 1 tid=1 stack=app.expire<app.serve\n20ms sample "
				     "1 tid=1 stack=app.expire<app.serve\n"
				     "30ms sample 1 tid=1 stack=app.render<app.serve\n"
				     "35ms sample 1 tid=1 stack=app.touch<app.serve "
				     "kstack=k:clear_page<k:handle_mm_fault\n"
				     "40ms end 1 tid=1 call=http1 status=200 fault_minor=10ms\n",
				     NULL);

	why_tree_is(&run.r->slowest[0],
		    "cpu_user@app.expire 20 fault_minor@app.touch 10 cpu_user@app.render 10");
	assert_non_null(run.r->slowest[0].blame[1].kernel_stack);
	why_end(&run);
}

/* What allocates is what assists: where it was sampled, or where the route was sampled last. */
static void assists_have_a_place(void **state)
{
	struct why_run run = why_run(
		"0 run 1 tid=1\n0 begin 1 tid=1 call=http1 method=GET path=/\n"
		"10ms runtime 1 tid=1 what=assist_begin\n"
		"15ms sample 1 tid=1 "
		"stack=runtime.gcDrainN<runtime.gcAssistAlloc1<runtime.mallocgc<app.score<app."
		"serve\n"
		"20ms runtime 1 tid=1 what=assist_end\n30ms runtime 1 tid=1 what=assist_begin\n"
		"35ms runtime 1 tid=1 what=assist_end\n40ms end 1 tid=1 call=http1 status=200\n"
		"40ms begin 1 tid=1 call=http1 method=GET path=/\n50ms runtime 1 tid=1 "
		"what=assist_begin\n"
		"55ms runtime 1 tid=1 what=assist_end\n75ms end 1 tid=1 call=http1 status=200\n",
		NULL);

	// Requests are looked at from their end, so what is after the first sample has no place yet.
	why_tree_is(&run.r->slowest[0],
		    "cpu_user 15 gc_assist@app.score 10 cpu_user@app.score 10 gc_assist 5");
	why_tree_is(&run.r->slowest[1], "cpu_user@app.score 30 gc_assist@app.score 5");
	why_end(&run);
}

static void the_run_queue_and_who_was_on(void **state)
{
	struct why_run run = why_run(
		"0 run 1 tid=1\n0 begin 1 tid=1 call=http1 method=GET path=/\n"
		"0 create 9 parent=1 start=app.burn\n1ms create 10 parent=1 start=app.idle\n"
		"1ms yield 1 tid=1 flags=preempted\n1ms run 9 tid=1\n30ms yield 9 tid=1\n30ms run "
		"1 tid=1\n"
		"31ms end 1 tid=1 call=http1 status=200\n",
		NULL);
	const struct gs_why_blame *b = run.r->slowest[0].blame;

	assert_int_equal(b->what.class, GS_WHY_RUNQUEUE_GO);
	assert_int_equal(b->ns, 29 * MS);
	assert_int_equal(b->what.runnable, 2);
	assert_string_equal(b->what.busy->function, "app.burn");
	why_tree_is(&run.r->slowest[0], "runqueue_go 29(cpu_user 29) cpu_user 2");
	why_end(&run);
}

/* Two Ps: one goroutine burns, a page fault holds the other. */
static void each_p_has_its_share_of_the_blame(void **state)
{
	struct why_run run = why_run(
		"0 run 1 tid=1\n0 run 2 tid=2\n0 begin 1 tid=1 call=http1 method=GET path=/\n"
		"0 yield 1 tid=1 flags=preempted\n0 run 3 tid=1\n"
		"10ms sample 3 tid=1 stack=app.spin<app.burn\n"
		"40ms off 2 tid=2 since=0 wake=40ms flags=fault|major stack=app.touch<app.load\n"
		"40ms yield 3 tid=1\n40ms run 1 tid=1\n40ms end 1 tid=1 call=http1 status=200\n",
		NULL);

	why_tree_is(&run.r->slowest[0],
		    "runqueue_go 40(cpu_user@app.spin 20 fault_major@app.touch 20)");
	assert_int_equal(run.r->causes[0].via[0].what.class, GS_WHY_RUNQUEUE_GO);
	why_end(&run);
}

/* A lock per shard: one thing to the reader, and holders of one are not asked about another. Names as of Go 1.27. */
static void many_locks_of_a_kind(void **state)
{
#define UNLOCK_27                                                                                  \
	"runtime.ready<_.goready.func1<runtime.systemstack<runtime.semrelease1<sync.runtime_"      \
	"Semrelease<"                                                                              \
	"internal/sync.(*Mutex).unlockSlow<sync.(*Mutex).Unlock<app.(*Ledger).Append<app.serve<"   \
	"net/http.(*conn).serve"
	struct why_run run = why_run(
		"0 run 1 tid=1\n0 run 2 tid=2\n0 run 3 tid=3\n0 begin 1 tid=1 call=http1 "
		"method=GET path=/\n"
		"0 park 1 tid=1 reason=sync.Mutex.Lock object=0x1004 stack=" LOCK "\n"
		"30ms off 2 tid=2 since=0 wake=30ms syscall=74 flags=syscall stack=" FSYNC "\n"
		"30ms ready 1 waker=2 stack=" UNLOCK_27 "\n30ms run 1 tid=1\n"
		"30ms park 1 tid=1 reason=sync.Mutex.Lock object=0x2004 stack=" LOCK "\n"
		"60ms off 3 tid=3 since=0 wake=60ms syscall=74 flags=syscall stack=" FSYNC "\n"
		"60ms ready 1 waker=3 stack=" UNLOCK_27 "\n60ms run 1 tid=1\n"
		"60ms end 1 tid=1 call=http1 status=200\n",
		NULL);
	const struct gs_why_blame *b = run.r->slowest[0].blame;

	why_tree_is(&run.r->slowest[0],
		    "mutex@app.(*Ledger).Append 60(file_io@app.(*Ledger).flush 60)");
	assert_int_equal(b->what.object, 0);
	assert_true(b->what.many_objects);
	assert_int_equal(b->n_holders, 2);
	assert_string_equal(b->holder[0].where->function, "app.(*Ledger).Append");
	assert_true(run.r->causes[0].via[0].what.many_objects);
	why_end(&run);
}

static void a_lock_without_a_name(void **state)
{
	struct why_run run = why_run(
		"0 run 1 tid=1\n0 begin 1 tid=1 call=http1 method=GET path=/\n"
		"0 park 1 tid=1 reason=sync.Cond.Wait object=0x3010 "
		"stack=sync.(*Cond).Wait<app.wait\n"
		"40ms ready 1 waker=0\n40ms run 1 tid=1\n40ms end 1 tid=1 call=http1 status=200\n",
		NULL);

	why_tree_is(&run.r->slowest[0], "cond@app.wait 40");
	assert_int_equal(run.r->slowest[0].blame[0].what.object, 0x3000);
	assert_null(run.r->slowest[0].blame[0].what.object_name);
	why_end(&run);
}

/* A ring of goroutines that wake each other for ever: bounded, and the sums hold. */
static void long_chains_are_cut(void **state)
{
	struct gs_event_source *s;
	struct why_run run;
	char *script = malloc(1 << 20), *p = script, classes[512];

	assert_non_null(script);
	p += sprintf(p, "0 run 1 tid=1\n0 begin 1 tid=1 call=http1 method=GET path=/\n");
	for (int g = 2; g < 400; g++)
		p += sprintf(p, "0 run %d tid=%d\n", g, g);
	for (int g = 1; g < 399; g++)
		p += sprintf(p, "%dus park %d tid=%d reason=\"chan receive\" stack=app.f%d\n", g, g,
			     g, g);
	for (int g = 398; g >= 1; g--)
		p += sprintf(p, "%dms ready %d waker=%d\n%dms run %d tid=%d\n", 500 - g, g, g + 1,
			     500 - g, g, g);
	sprintf(p, "500ms end 1 tid=1 call=http1 status=200\n");
	s = event_script(script);
	run = why_run_source(s, NULL);
	why_classes(&run.r->slowest[0], classes);
	assert_string_equal(classes, "cpu_user 1001000 chan 498999000");
	free(script);
	why_end(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mutex_and_its_holder),
		cmocka_unit_test(a_mutex_from_hand_to_hand),
		cmocka_unit_test(time_before_the_lock_is_not_blamed),
		cmocka_unit_test(holders_that_are_not_followed),
		cmocka_unit_test(a_chain_of_locks_and_a_peer),
		cmocka_unit_test(work_in_children),
		cmocka_unit_test(goes_on_with_the_creator),
		cmocka_unit_test(a_queue_older_than_watching),
		cmocka_unit_test(a_writer_that_waits_for_a_reader),
		cmocka_unit_test(samples_tell_where_the_cpu_went),
		cmocka_unit_test(assists_have_a_place),
		cmocka_unit_test(the_run_queue_and_who_was_on),
		cmocka_unit_test(each_p_has_its_share_of_the_blame),
		cmocka_unit_test(many_locks_of_a_kind),
		cmocka_unit_test(a_lock_without_a_name),
		cmocka_unit_test(long_chains_are_cut),
	};

	return gs_test_main(tests);
}
