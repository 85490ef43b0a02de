/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Begins and ends put together, routes, percentiles, what counts as slow, and what is said to stand out. */
#include "why_script.h"

#include <stdlib.h>

#define BEGIN_AT(t) t " begin 1 tid=1 call=http1 method=GET path=/x\n"

static void recursion_by_stack_pointer(void **state)
{
	struct why_run run = why_run("function app.walk\n0 run 1 tid=1\n"
				     "1ms begin 1 tid=1 call=function sp=0x900\n"
				     "2ms begin 1 tid=1 call=function sp=0x800\n"
				     "3ms begin 1 tid=1 call=function sp=0x700\n"
				     "4ms end 1 tid=1 call=function sp=0x700\n"
				     "6ms end 1 tid=1 call=function sp=0x800\n"
				     "9ms end 1 tid=1 call=function sp=0x900\n",
				     &(struct gs_why_options){ .functions = true });
	const struct gs_why_result *r = run.r;

	assert_int_equal(r->duration.count, 3);
	assert_int_equal(r->duration.max_ns, 8 * MS);
	assert_int_equal(r->duration.p50_ns, 4 * MS);
	assert_int_equal(r->duration.sum_ns, 13 * MS);
	assert_string_equal(r->routes[0].route, "app.walk");
	assert_int_equal(r->aborted, 0);
	why_end(&run);
}

/* The inner call was left by a panic that the outer one recovered. */
static void abandoned_calls_end_with_the_outer(void **state)
{
	struct why_run run = why_run("function app.walk\n0 run 1 tid=1\n"
				     "1ms begin 1 tid=1 call=function sp=0x900\n"
				     "2ms begin 1 tid=1 call=function sp=0x800\n"
				     "9ms end 1 tid=1 call=function sp=0x900\n"
				     "10ms begin 1 tid=1 call=function sp=0x900\n"
				     "20ms begin 1 tid=1 call=function sp=0x900\n"
				     "20010us begin 1 tid=1 call=function sp=0x900\n"
				     "30ms exit 1 tid=1\n",
				     &(struct gs_why_options){ .functions = true });

	assert_int_equal(run.r->duration.count, 4);
	assert_int_equal(run.r->aborted, 3);
	assert_int_equal(run.r->duration.max_ns, 10 * MS);
	assert_int_equal(run.r->unfinished_total, 0);
	why_end(&run);
}

static void a_stack_that_moved(void **state)
{
	struct why_run run = why_run("function app.walk\n0 run 1 tid=1\n"
				     "1ms begin 1 tid=1 call=function sp=0x900\n"
				     "9ms end 1 tid=1 call=function sp=0x77700\n",
				     &(struct gs_why_options){ .functions = true });

	assert_int_equal(run.r->duration.count, 1);
	assert_int_equal(run.r->aborted, 0);
	why_end(&run);
}

static void a_handler_that_panics(void **state)
{
	struct why_run run = why_run("0 run 1 tid=1\n" BEGIN_AT("1ms") "5ms exit 1 tid=1\n", NULL);

	assert_int_equal(run.r->duration.count, 1);
	assert_int_equal(run.r->routes[0].failed, 1);
	assert_int_equal(run.r->slowest[0].flags, GS_WHY_ABORTED);
	assert_int_equal(run.r->slowest[0].status, -1);
	assert_int_equal(run.r->slowest[0].duration_ns, 4 * MS);
	why_end(&run);
}

/* Found in a handler when watching begins: one hangs, one ends. Neither is measured, the one that hangs is told. */
static void under_way_at_the_begin(void **state)
{
	struct why_run run = why_run(
		"0 state 1 state=waiting reason=\"IO wait\" "
		"stack=net.(*conn).Read<main.ask<main.handle<net/http.serverHandler.ServeHTTP<net/"
		"http.(*conn).serve\n"
		"0 state 2 state=waiting reason=\"chan receive\" "
		"stack=main.handle<net/http.serverHandler.ServeHTTP<net/http.(*conn).serve\n"
		"0 state 3 state=waiting reason=\"IO wait\" "
		"stack=net.(*conn).Read<net/http.(*conn).serve\n"
		"4ms ready 2 waker=9\n5ms run 2 tid=2\n6ms end 2 tid=2 call=http1 status=200\n"
		"50ms gauge goroutines=3\n",
		NULL);
	const struct gs_why_request *q = run.r->unfinished;

	assert_int_equal(run.r->duration.count, 0);
	assert_int_equal(run.r->begun_before, 1);
	assert_int_equal(run.r->unfinished_total, 1);
	assert_int_equal(q[0].goid, 1);
	assert_int_equal(q[0].flags, GS_WHY_UNFINISHED | GS_WHY_BEFORE);
	assert_string_equal(q[0].route, "main.handle");
	assert_int_equal(q[0].duration_ns, 50 * MS);
	why_tree_is(&q[0], "net_read@main.ask 50");
	why_end(&run);
}

static void begun_before_and_unfinished(void **state)
{
	char classes[512];
	struct why_run run =
		why_run("object 0x1000 app.mu\n"
			"0 state 1 state=waiting reason=\"IO wait\"\n0 run 2 tid=2\n0 run 3 "
			"tid=3\n0 run 4 tid=4\n"
			"1ms end 1 tid=1 call=http1 status=200\n"
			"2ms begin 2 tid=2 call=http1 method=GET path=/slow\n"
			"2ms begin 3 tid=3 call=http1 method=GET path=/busy\n"
			"3ms park 4 tid=4 reason=sync.Mutex.Lock object=0x1004 "
			"stack=sync.(*Mutex).Lock<app.a\n"
			"4ms park 2 tid=2 reason=sync.Mutex.Lock object=0x1004 "
			"stack=sync.(*Mutex).Lock<app.a\n"
			"5ms ready 4 waker=9 stack=sync.(*Mutex).Unlock<app.a\n5ms run 4 tid=4\n"
			"6ms park 4 tid=4 reason=\"IO wait\" io=r peer=10.1.1.1:6379 "
			"stack=net.(*conn).Read<app.get<app.a\n"
			"92ms gauge goroutines=3\n",
			NULL);
	const struct gs_why_request *q = run.r->unfinished;

	assert_int_equal(run.r->begun_before, 1);
	assert_int_equal(run.r->duration.count, 0);
	assert_int_equal(run.r->unfinished_total, 2);
	assert_int_equal(q[0].flags, GS_WHY_UNFINISHED);
	assert_int_equal(q[0].duration_ns, 90 * MS);
	// Who was given the lock last has it now, and waits for redis.
	why_tree_is(q[0].goid == 2 ? &q[0] : &q[1],
		    "mutex@app.a 88(net_read@app.get 86 cpu_user 1) cpu_user 2");
	// 3 was on a CPU when last seen: what it does since is not known.
	assert_string_equal(why_classes(q[0].goid == 3 ? &q[0] : &q[1], classes),
			    "unknown 90000000");
	assert_int_equal(run.r->incomplete->n, 1);
	assert_string_equal(run.r->incomplete->item[0].what, "requests_begun_before");
	why_end(&run);
}

static void lost_events_make_requests_uncertain(void **state)
{
	struct why_run run =
		why_run("0 run 1 tid=1\n0 run 2 tid=2\n" BEGIN_AT(
				"1ms") "2ms lost count=5\n"
				       "3ms end 1 tid=1 call=http1 status=200\n" BEGIN_AT(
					       "4ms") "9ms end 1 tid=1 call=http1 status=200\n",
			NULL);

	assert_int_equal(run.r->uncertain, 1);
	assert_int_equal(run.r->slowest[0].flags, 0);
	assert_int_equal(run.r->slowest[1].flags, GS_WHY_UNCERTAIN);
	why_end(&run);
}

/* Of goroutines 1 to 3, mask 1 leaves out 2. Its end does not come, and if it did it would be nobody's. */
static void thinned_requests_are_abandoned(void **state)
{
	struct why_run run =
		why_run("0 run 1 tid=1\n0 run 2 tid=2\n0 run 3 tid=3\n" BEGIN_AT(
				"1ms") "1ms begin 2 tid=2 call=http1 method=GET path=/x\n"
				       "2ms park 2 tid=2 reason=\"IO wait\" io=r\n"
				       "5ms thinned mask=1\n"
				       "8ms begin 3 tid=3 call=http1 method=GET path=/x\n"
				       "9ms end 1 tid=1 call=http1 status=200\n"
				       "10ms end 2 tid=2 call=http1 status=200\n"
				       "11ms end 3 tid=3 call=http1 status=200\n"
				       "50ms gauge goroutines=3\n",
			NULL);

	assert_int_equal(run.r->duration.count, 2);
	assert_int_equal(run.r->duration.max_ns, 8 * MS);
	assert_int_equal(run.r->aborted, 0);
	assert_int_equal(run.r->begun_before, 0);
	assert_int_equal(run.r->unfinished_total, 0);
	assert_int_equal(run.r->incomplete->n, 1);
	assert_string_equal(run.r->incomplete->item[0].what, "requests_abandoned");
	assert_int_equal(run.r->incomplete->item[0].count, 1);
	assert_int_equal(gs_why_counts(run.why)->thinned, 1);
	why_end(&run);
}

static void without_their_probes_requests_do_not_end(void **state)
{
	struct why_run run =
		why_run("0 run 1 tid=1\n" BEGIN_AT("1ms") "5ms detached what=syscalls|requests\n"
							  "50ms gauge goroutines=3\n",
			NULL);

	assert_int_equal(run.r->duration.count, 0);
	assert_int_equal(run.r->unfinished_total, 0);
	assert_int_equal(run.r->incomplete->item[0].count, 1);
	assert_string_equal(run.r->incomplete->item[0].what, "requests_abandoned");
	why_end(&run);
}

/* Who runs may be off the CPU, and time in the kernel too: that is nobody's class. */
static void without_threads_running_is_unknown(void **state)
{
	char classes[512];
	struct why_run run = why_run(
		"0 run 1 tid=1\n" BEGIN_AT(
			"1ms") "2ms sample 1 tid=1 stack=app.f\n"
			       "3ms detached what=threads\n"
			       "5ms end 1 tid=1 call=http1 status=200 kernel=1ms\n" BEGIN_AT(
				       "6ms") "8ms park 1 tid=1 reason=sleep stack=app.f "
					      "kernel=1ms fault_minor=500us\n"
					      "18ms ready 1\n19ms run 1 tid=1\n"
					      "20ms end 1 tid=1 call=http1 status=200\n",
		NULL);

	assert_string_equal(why_classes(&run.r->slowest[0], classes),
			    "runqueue_go 1000000 sleep 10000000 fault_minor 500000 "
			    "unknown 2500000");
	assert_string_equal(why_classes(&run.r->slowest[1], classes), "unknown 4000000");
	why_tree_is(&run.r->slowest[1], "unknown 4");
	assert_int_equal(run.r->uncertain, 0);
	why_end(&run);
}

static void without_system_calls_classes_are_uncertain(void **state)
{
	struct why_run run = why_run(
		"0 run 1 tid=1\n" BEGIN_AT("1ms") "2ms end 1 tid=1 call=http1 "
						  "status=200\n" BEGIN_AT(
							  "3ms") "4ms detached what=syscalls\n"
								 "6ms end 1 tid=1 call=http1 "
								 "status=200\n" BEGIN_AT(
									 "7ms") "9ms end 1 tid=1 "
										"call=http1 "
										"status=200\n",
		NULL);

	assert_int_equal(run.r->uncertain, 2);
	assert_int_equal(run.r->slowest[0].flags, GS_WHY_UNCERTAIN);
	assert_int_equal(run.r->slowest[1].flags, GS_WHY_UNCERTAIN);
	assert_int_equal(run.r->slowest[2].flags, 0);
	why_end(&run);
}

/* A stop of the world and an assist whose ends are not seen are over. */
static void without_the_runtime_nothing_goes_on_for_ever(void **state)
{
	char classes[512];
	struct why_run run = why_run("0 run 1 tid=1\n0 run 2 tid=2\n"
				     "1ms runtime 1 tid=1 what=assist_begin\n"
				     "1ms runtime 2 tid=2 what=stw_begin\n"
				     "2ms detached what=runtime\n" BEGIN_AT(
					     "3ms") "4ms yield 1 tid=1\n7ms run 1 tid=1\n"
						    "9ms end 1 tid=1 call=http1 status=200\n",
				     NULL);

	assert_string_equal(why_classes(&run.r->slowest[0], classes),
			    "cpu_user 3000000 runqueue_go 3000000");
	why_end(&run);
}

static void routes(void **state)
{
	static const struct {
		const char *call, *route;
	} cases[] = {
		{ "method=GET path=/order/12345/items", "GET /order/{id}/items" },
		{ "method=GET path=/u/550e8400-e29b-41d4-a716-446655440000", "GET /u/{id}" },
		{ "method=GET path=/blob/deadbeefdeadbeef01", "GET /blob/{id}" },
		{ "method=GET path=/v1/users", "GET /v1/users" },
		{ "method=GET path=/search?q=1", "GET /search" },
		{ "method=GET path=/", "GET /" },
		{ "method=GET path=/x pattern=/", "GET /x" },
		{ "method=POST path=/a/7 pattern=/a/{n}", "POST /a/{n}" },
		{ "method=POST path=/a/7 pattern=\"POST /a/{n}\"", "POST /a/{n}" },
		{ "path=/shop.Cart/Add", "/shop.Cart/Add" },
		{ "method=GET", "GET (path not known)" },
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
		char script[512];
		struct why_run run;

		snprintf(script, sizeof(script),
			 "0 run 1 tid=1\n1ms begin 1 tid=1 call=http1\n"
			 "2ms end 1 tid=1 call=http1 %s\n",
			 cases[i].call);
		run = why_run(script, NULL);
		assert_string_equal(run.r->slowest[0].route, cases[i].route);
		why_end(&run);
	}
}

/* Requests of 1 ms to @n ms, one after the other, each of which sleeps but for 1 us. */
static char *ladder(int n, int factor, const char *what)
{
	char *script = malloc((size_t)n * 512 + 64), *p = script;
	int64_t t = 0;

	if (!script)
		abort();
	p += sprintf(p, "0 run 1 tid=1\n");
	for (int i = 1; i <= n; i++, t += 1000000) {
		p += sprintf(p, "%" PRId64 " begin 1 tid=1 call=http1 method=GET path=/r%c\n", t,
			     i % 2 ? 'a' : 'b');
		t += 1000;
		p += sprintf(p, "%" PRId64 " park 1 tid=1 %s\n", t, what);
		t += (int64_t)i * factor - 1000;
		p += sprintf(p,
			     "%" PRId64 " ready 1\n%" PRId64 " run 1 tid=1\n%" PRId64
			     " end 1 tid=1 call=http1 status=200\n",
			     t, t, t);
	}
	return script;
}

static void percentiles_and_typical(void **state)
{
	char *script = ladder(100, 1000000, "reason=sleep stack=time.Sleep<app.nap");
	struct why_run run = why_run(script, &(struct gs_why_options){ .n_slowest = 3 });
	const struct gs_why_result *r = run.r;

	assert_int_equal(r->duration.count, 100);
	assert_int_equal(r->duration.p50_ns, 50 * MS);
	assert_int_equal(r->duration.p90_ns, 90 * MS);
	assert_int_equal(r->duration.p99_ns, 99 * MS);
	assert_int_equal(r->duration.max_ns, 100 * MS);
	assert_int_equal(r->n_slowest, 3);
	assert_int_equal(r->slowest[2].duration_ns, 98 * MS);
	assert_int_equal(r->n_routes, 2);
	assert_string_equal(r->routes[0].route, "GET /rb");
	assert_int_equal(r->routes[0].duration.count, 50);
	// They get slower all the time, so none was near the median when it came: chance has kept some.
	assert_true(llabs(r->routes[0].typical->duration_ns - 50 * MS) <= 25 * MS);
	// The slowest tenth of each of the two routes, but not fewer than ten: 82, 84, … and 81, 83, … ms.
	assert_int_equal(r->slow_ns, 10 * MS);
	assert_int_equal(r->routes[0].slow_ns, 82 * MS);
	assert_int_equal(r->routes[1].slow_ns, 81 * MS);
	assert_int_equal(r->slow, 20);
	assert_int_equal(r->slow_sum_ns, 1810 * MS);
	assert_true(r->stands_out);
	assert_true(r->causes[0].stands_out);
	assert_int_equal(r->causes[0].what.class, GS_WHY_SLEEP);
	assert_string_equal(r->causes[0].what.where->function, "app.nap");
	assert_int_equal(r->causes[0].requests, 20);
	assert_string_equal(r->causes[0].route, "GET /rb");
	assert_true(r->causes[0].via[0].itself);
	free(script);
	why_end(&run);
}

static void typical_is_near_the_median(void **state)
{
	char *script = malloc(1 << 20), *p = script;
	struct why_run run;
	int64_t t = 0;

	assert_non_null(script);
	p += sprintf(p, "0 run 1 tid=1\n");
	for (int i = 0; i < 1000; i++) {
		p += sprintf(p, "%" PRId64 " begin 1 tid=1 call=http1 method=GET path=/\n", t);
		t += 1000000 + i * 7919 % 1000 * 1000;
		p += sprintf(p, "%" PRId64 " end 1 tid=1 call=http1 status=200\n", t);
	}
	run = why_run(script, NULL);
	assert_int_equal(run.r->duration.p50_ns, 1499000);
	assert_in_range(run.r->routes[0].typical->duration_ns, 1480000, 1520000);
	free(script);
	why_end(&run);
}

static void what_is_healthy_is_accused_of_nothing(void **state)
{
	char *script = ladder(99, 50000, "reason=sleep stack=time.Sleep<app.nap");
	struct why_run run = why_run(script, NULL);

	assert_int_equal(run.r->duration.p90_ns, 90 * 50000);
	assert_int_equal(run.r->slow, 0);
	assert_false(run.r->stands_out);
	assert_true(run.r->n_causes > 0); // where the time went is told all the same
	assert_false(run.r->causes[0].stands_out);
	assert_int_equal(run.r->causes[0].all_ns, run.r->causes[0].ns);
	why_end(&run);
	// Unless somebody says what slow is.
	run = why_run(script, &(struct gs_why_options){ .slow_ns = 3 * MS });
	assert_int_equal(run.r->slow, 40);
	assert_true(run.r->stands_out);
	why_end(&run);
	run = why_run(script, &(struct gs_why_options){ .slow_ns = 30 * MS });
	assert_int_equal(run.r->slow, 0);
	assert_false(run.r->stands_out);
	free(script);
	why_end(&run);
}

static void one_outlier_is_no_trouble(void **state)
{
	char *script = ladder(300, 20000, "reason=sleep"), *all;
	struct why_run run;

	all = malloc(strlen(script) + 512);
	assert_non_null(all);
	sprintf(all,
		"%s900s begin 1 tid=1 call=http1 method=GET path=/ra\n900s park 1 tid=1 "
		"reason=sleep\n"
		"901s ready 1\n901s run 1 tid=1\n901s end 1 tid=1 call=http1 status=200\n",
		script);
	run = why_run(all, NULL);
	assert_int_equal(run.r->slow, 0);
	assert_false(run.r->stands_out);
	assert_int_equal(run.r->slowest[0].duration_ns, 1000 * MS);
	free(script);
	free(all);
	why_end(&run);
}

/* A route that is always slow does not hide what happens on another. */
static void two_routes_with_troubles_of_their_own(void **state)
{
	char *script = malloc(1 << 20), *p = script;
	struct why_run run;
	int64_t t = 0;

	assert_non_null(script);
	p += sprintf(p, "0 run 1 tid=1\n");
	for (int i = 0; i < 400; i++) {
		const char *path = i % 4 ? "b" : "a";
		int ms = i % 4 ? 12 : 150;

		p += sprintf(p, "%" PRId64 "ms begin 1 tid=1 call=http1 method=GET path=/%s\n", t,
			     path);
		p += sprintf(p, "%" PRId64 "ms park 1 tid=1 reason=sleep stack=time.Sleep<app.%s\n",
			     t, path);
		t += ms;
		p += sprintf(p,
			     "%" PRId64 "ms ready 1\n%" PRId64 "ms run 1 tid=1\n%" PRId64
			     "ms end 1 tid=1 call=http1 status=200\n",
			     t, t, t);
	}
	run = why_run(script, NULL);
	assert_int_equal(run.r->n_causes, 2);
	assert_string_equal(run.r->causes[0].what.where->function, "app.a");
	assert_string_equal(run.r->causes[0].route, "GET /a");
	assert_true(run.r->causes[0].stands_out);
	assert_string_equal(run.r->causes[1].what.where->function, "app.b");
	assert_true(run.r->causes[1].stands_out);
	assert_true(run.r->causes[1].route_share > 0.99);
	free(script);
	why_end(&run);
}

/* The machine is busy: that is told, but nothing in the program is accused of it, and what little it does itself is. */
static void waiting_for_a_cpu_is_nobodys_fault(void **state)
{
	char *script = malloc(1 << 20), *p = script;
	struct why_run run;
	int64_t t = 0;

	assert_non_null(script);
	p += sprintf(p, "0 run 1 tid=1\n");
	for (int i = 0; i < 50; i++, t += 100)
		p += sprintf(p,
			     "%" PRId64 "ms begin 1 tid=1 call=http1 method=GET path=/\n"
			     "%" PRId64 "ms off 1 tid=1 since=%" PRId64 "ms wake=%" PRId64
			     "ms task_state=0\n"
			     "%" PRId64 "ms park 1 tid=1 reason=sleep stack=time.Sleep<app.nap\n"
			     "%" PRId64 "ms ready 1\n%" PRId64 "ms run 1 tid=1\n"
			     "%" PRId64 "ms end 1 tid=1 call=http1 status=200\n",
			     t, t + 90, t, t, t + 90, t + 95, t + 95, t + 95);
	run = why_run(script, NULL);
	assert_int_equal(run.r->n_causes, 1);
	assert_int_equal(run.r->causes[0].what.class, GS_WHY_SLEEP);
	assert_true(run.r->causes[0].stands_out);
	assert_true(run.r->causes[0].share < 0.06);
	assert_non_null(run.r->machine);
	assert_true(run.r->machine->stands_out);
	assert_int_equal(run.r->machine->ns, run.r->slow * 90 * MS);
	free(script);
	why_end(&run);
}

static void unknown_time_is_no_accusation(void **state)
{
	char *script = ladder(99, 1000000, "reason=\"gone fishing\"");
	struct why_run run = why_run(script, NULL);

	assert_int_equal(run.r->causes[0].what.class, GS_WHY_UNKNOWN);
	assert_false(run.r->stands_out);
	free(script);
	why_end(&run);
}

static void a_filter_on_routes(void **state)
{
	char *script = ladder(100, 1000000, "reason=sleep");
	struct why_run run = why_run(script, &(struct gs_why_options){ .route = "/ra" });

	assert_int_equal(run.r->n_routes, 1);
	assert_int_equal(run.r->duration.count, 50);
	free(script);
	why_end(&run);
}

static void more_requests_than_records(void **state)
{
	char *script = ladder(1000, 1000, "reason=sleep");
	struct gs_event_source *s = event_script(script);
	const struct gs_event *e;
	struct gs_err err;
	struct gs_why *w;
	const struct gs_why_result *r;
	size_t n;
	int64_t shift = 0;

	gs_assert_ok(gs_why_new(&(struct gs_why_options){ 0 }, s, &w, &err), &err);
	event_script_batch(s, 1 << 20);
	assert_int_equal(s->next(s, 0, &e, &n, &err), 0);
	for (int round = 0; round < 150; round++, shift += 2000 * 1000 * MS)
		for (size_t i = 0; i < n; i++) {
			struct gs_event copy = e[i];

			copy.t_ns += shift;
			gs_why_event(w, &copy);
		}
	gs_assert_ok(gs_why_result(w, &r, &err), &err);
	assert_int_equal(r->duration.count, 150000);
	assert_int_equal(r->sampled, 4);
	assert_in_range(r->duration.p50_ns, 495000, 505000);
	assert_in_range(r->duration.p99_ns, 988000, 992000);
	assert_int_equal(r->duration.max_ns, 1000000);
	assert_in_range(r->causes[0].all_ns, r->classes[GS_WHY_SLEEP] / 100 * 99,
			r->classes[GS_WHY_SLEEP] / 100 * 101);
	gs_why_reset(w);
	gs_assert_ok(gs_why_result(w, &r, &err), &err);
	assert_int_equal(r->duration.count, 0);
	gs_why_free(w);
	s->free(s);
	free(script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recursion_by_stack_pointer),
		cmocka_unit_test(abandoned_calls_end_with_the_outer),
		cmocka_unit_test(a_stack_that_moved),
		cmocka_unit_test(a_handler_that_panics),
		cmocka_unit_test(under_way_at_the_begin),
		cmocka_unit_test(begun_before_and_unfinished),
		cmocka_unit_test(lost_events_make_requests_uncertain),
		cmocka_unit_test(thinned_requests_are_abandoned),
		cmocka_unit_test(without_their_probes_requests_do_not_end),
		cmocka_unit_test(without_threads_running_is_unknown),
		cmocka_unit_test(without_system_calls_classes_are_uncertain),
		cmocka_unit_test(without_the_runtime_nothing_goes_on_for_ever),
		cmocka_unit_test(routes),
		cmocka_unit_test(percentiles_and_typical),
		cmocka_unit_test(typical_is_near_the_median),
		cmocka_unit_test(what_is_healthy_is_accused_of_nothing),
		cmocka_unit_test(one_outlier_is_no_trouble),
		cmocka_unit_test(two_routes_with_troubles_of_their_own),
		cmocka_unit_test(waiting_for_a_cpu_is_nobodys_fault),
		cmocka_unit_test(unknown_time_is_no_accusation),
		cmocka_unit_test(a_filter_on_routes),
		cmocka_unit_test(more_requests_than_records),
	};

	return gs_test_main(tests);
}
