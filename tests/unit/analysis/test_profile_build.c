/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* From events to profiles: each stretch of time counts once, for the right stack and class. Expected times are
 * worked out by hand from the scripts. */
#include "test.h"

#include <stdio.h>

#include "analysis/profile_build.h"
#include "event_script.h"

#define MS INT64_C(1000000)

struct run {
	struct gs_event_source *source;
	struct gs_profile_build *build;
	const struct gs_profile *profile;
};

static struct run run_all(struct gs_event_source *s, struct gs_profile_options o, int64_t end_ns)
{
	struct run r = { .source = s, .build = gs_profile_build_new(s, &o) };
	const struct gs_event *e;
	struct gs_err err;
	size_t n;

	assert_non_null(r.build);
	while (s->next(s, 0, &e, &n, &err) == 0)
		for (size_t i = 0; i < n; i++)
			gs_assert_ok(gs_profile_build_event(r.build, &e[i], &err), &err);
	gs_assert_ok(gs_profile_build_finish(r.build, end_ns, &r.profile, &err), &err);
	return r;
}

static struct run run(const char *text, enum gs_profile_kind kind)
{
	return run_all(event_script(text), (struct gs_profile_options){ .kind = kind }, 0);
}

static void done(struct run *r)
{
	gs_profile_build_free(r->build);
	r->source->free(r->source);
}

static bool is(const struct gs_stack *s, const struct gs_frame *start, const char *function)
{
	if (!function)
		return !s && !start;
	if (!s)
		return start && strcmp(start->function, function) == 0;
	return s->n_frames && strcmp(s->frames[0].function, function) == 0;
}

/* Time and number of what has @function innermost, the kernel's @kernel and a class; with
 * class GS_WHY_CLASSES of any. */
static int64_t time_of(const struct run *r, const char *function, const char *kernel,
		       enum gs_why_class class, uint64_t *ret_count)
{
	uint32_t n;
	const struct gs_profile_sample *s = gs_profile_samples(r->profile, &n);
	int64_t ns = 0;

	*ret_count = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!is(s[i].stack, s[i].key.start, function) ||
		    !is(s[i].kernel_stack, NULL, kernel) ||
		    (class != GS_WHY_CLASSES && s[i].key.class != class))
			continue;
		ns += s[i].ns;
		*ret_count += s[i].count;
	}
	return ns;
}

static void expect(const struct run *r, const char *function, const char *kernel,
		   enum gs_why_class class, uint64_t count, int64_t ns)
{
	uint64_t got_count;
	int64_t got = time_of(r, function, kernel, class, &got_count);

	if (got != ns || got_count != count)
		fail_msg("%s/%s [%s]: %lld ns, %llu times; not %lld ns, %llu times",
			 function ? function : "-", kernel ? kernel : "-", gs_why_class_name(class),
			 (long long)got, (unsigned long long)got_count, (long long)ns,
			 (unsigned long long)count);
}

static void expect_total(const struct run *r, int64_t ns)
{
	assert_int_equal(gs_profile_totals(r->profile)->ns, ns);
}

static void parks(void **state)
{
	struct run r =
		run("0 run 5 tid=10\n"
		    "10ms park 5 tid=10 reason=sync.Mutex.Lock stack=sync.(*Mutex).Lock<main.f\n"
		    "40ms ready 5 waker=6 stack=main.unlock\n"
		    "42ms run 5 tid=11\n"
		    "50ms park 5 tid=11 reason=\"chan receive\" stack=runtime.chanrecv1<main.g\n"
		    "51ms ready 5 waker=6\n"
		    "52ms run 5 tid=10\n"
		    "60ms park 5 tid=10 reason=sync.Mutex.Lock stack=sync.(*Mutex).Lock<main.f\n"
		    "65ms run 5 tid=10\n" /* gopark's unlock function said no: no waker */
		    "70ms exit 5\n",
		    GS_PROFILE_OFF_CPU);

	expect(&r, "sync.(*Mutex).Lock", NULL, GS_WHY_MUTEX, 2, 35 * MS);
	expect(&r, "sync.(*Mutex).Lock", NULL, GS_WHY_RUNQUEUE_GO, 1, 2 * MS);
	expect(&r, "runtime.chanrecv1", NULL, GS_WHY_CHAN, 1, 1 * MS);
	expect(&r, "runtime.chanrecv1", NULL, GS_WHY_RUNQUEUE_GO, 1, 1 * MS);
	expect_total(&r, 39 * MS);
	assert_true(gs_profile_build_saw_goroutines(r.build));
	assert_int_equal(gs_profile_build_missing(r.build)->doubtful, 0);
	done(&r);
}

/* What waits for its turn without having been blocked. */
static void run_queue(void **state)
{
	struct run r = run("1ms create 7 parent=1 stack=main.spawn start=main.worker\n"
			   "4ms run 7 tid=10\n"
			   "10ms yield 7 tid=10 flags=preempted stack=main.loop\n"
			   "30ms run 7 tid=10\n"
			   "40ms yield 7 flags=syscall\n"
			   "41ms run 7 tid=12\n"
			   "50ms yield 7\n"
			   "52ms run 7 tid=12\n",
			   GS_PROFILE_OFF_CPU);

	expect(&r, "main.worker", NULL, GS_WHY_RUNQUEUE_GO, 1, 3 * MS);
	expect(&r, "main.loop", NULL, GS_WHY_RUNQUEUE_GO, 1, 20 * MS);
	expect(&r, "runtime.exitsyscall", NULL, GS_WHY_RUNQUEUE_GO, 1, 1 * MS);
	expect(&r, NULL, NULL, GS_WHY_RUNQUEUE_GO, 1, 2 * MS);
	expect(&r, "main.spawn", NULL, GS_WHY_CLASSES, 0, 0);
	assert_int_equal(gs_profile_build_missing(r.build)->no_stack, 1);
	expect_total(&r, 26 * MS);
	done(&r);
}

/* What began before and what ends after: the part that was watched. */
static void open_ends(void **state)
{
	struct gs_event_source *s = event_script(
		"100ms state 1 state=waiting reason=\"IO wait\" "
		"stack=internal/poll.(*FD).Accept<net.(*netFD).accept start=main.main\n"
		"100ms state 2 state=runnable start=main.born\n"
		"100ms state 3 state=running\n"
		"100ms state 4 state=waiting reason=\"GC worker (idle)\" "
		"stack=runtime.gcBgMarkWorker\n"
		"110ms park 3 tid=10 reason=select stack=main.wait\n"
		"130ms run 2 tid=10\n"
		"150ms ready 3 waker=2\n");
	struct run r;

	event_script_stats(s)->begin_ns = 90 * MS;
	r = run_all(s, (struct gs_profile_options){ .kind = GS_PROFILE_OFF_CPU }, 190 * MS);
	expect(&r, "internal/poll.(*FD).Accept", NULL, GS_WHY_NET_ACCEPT, 1, 100 * MS);
	expect(&r, "main.born", NULL, GS_WHY_RUNQUEUE_GO, 1, 40 * MS);
	expect(&r, "main.wait", NULL, GS_WHY_SELECT, 1, 40 * MS);
	expect(&r, "main.wait", NULL, GS_WHY_RUNQUEUE_GO, 1, 40 * MS);
	expect_total(&r, 220 * MS); /* the runtime at rest is left out */
	done(&r);
}

static void runtime_at_rest(void **state)
{
	struct run r = run_all(
		event_script("1ms park 4 tid=1 reason=\"GC sweep wait\" stack=runtime.bgsweep\n"
			     "5ms ready 4\n"
			     "6ms run 4 tid=1\n"),
		(struct gs_profile_options){ .kind = GS_PROFILE_OFF_CPU, .system = true }, 0);

	expect(&r, "runtime.bgsweep", NULL, GS_WHY_UNKNOWN, 1, 4 * MS);
	done(&r);
	r = run("1ms park 4 tid=1 reason=\"GC sweep wait\" stack=runtime.bgsweep\n"
		"5ms ready 4\n"
		"6ms run 4 tid=1\n",
		GS_PROFILE_OFF_CPU);
	/* Waiting for a turn is no rest. */
	expect_total(&r, 1 * MS);
	done(&r);
}

static void threads(void **state)
{
	struct run r = run("1ms run 5 tid=10\n"
			   /* fsync, then the CPU was not free for 2 ms */
			   "20ms off 5 tid=10 since=8ms wake=18ms syscall=74 flags=syscall "
			   "stack=main.save<main.main "
			   "kstack=k:schedule<k:do_fsync\n"
			   /* taken away by the kernel */
			   "30ms off 5 tid=10 since=25ms stack=main.loop task_state=0\n"
			   /* a read of a socket, and of a file */
			   "40ms off 5 tid=10 since=39ms wake=40ms syscall=0 mode=0140000 "
			   "flags=syscall stack=main.read task_state=1\n"
			   "50ms off 5 tid=10 since=48ms wake=50ms syscall=0 mode=0100000 "
			   "flags=syscall stack=main.read task_state=1\n"
			   /* page faults */
			   "60ms off 5 tid=10 since=59ms wake=60ms flags=fault|major "
			   "stack=main.touch task_state=2\n"
			   /* no goroutine: a thread without work */
			   "70ms off 0 tid=11 since=10ms syscall=202 flags=syscall "
			   "stack=runtime.futex task_state=1\n",
			   GS_PROFILE_OFF_CPU);

	expect(&r, "main.save", "schedule", GS_WHY_FILE_IO, 1, 10 * MS);
	expect(&r, "main.save", "schedule", GS_WHY_RUNQUEUE_KERNEL, 1, 2 * MS);
	expect(&r, "main.loop", NULL, GS_WHY_RUNQUEUE_KERNEL, 1, 5 * MS);
	expect(&r, "main.read", NULL, GS_WHY_NET_READ, 1, 1 * MS);
	expect(&r, "main.read", NULL, GS_WHY_FILE_IO, 1, 2 * MS);
	expect(&r, "main.touch", NULL, GS_WHY_FAULT_MAJOR, 1, 1 * MS);
	expect_total(&r, 21 * MS);
	done(&r);
}

static const char mixed[] =
	"1ms run 5 tid=10\n"
	"10ms sample 5 tid=10 period=10ms stack=main.hot<main.main\n"
	"20ms sample 5 tid=10 period=10ms stack=main.hot<main.main\n"
	"30ms sample 5 tid=10 period=10ms stack=main.hot<main.main kstack=k:vfs_read\n"
	"31ms sample 0 tid=12 period=10ms stack=runtime.findRunnable\n"
	"40ms park 5 tid=10 reason=sleep stack=time.Sleep<main.main\n"
	"70ms ready 5\n"
	"70ms run 5 tid=10\n"
	"70ms lost count=12\n";

static void kinds(void **state)
{
	struct run r = run(mixed, GS_PROFILE_CPU);

	expect(&r, "main.hot", NULL, GS_WHY_CPU_USER, 2, 20 * MS);
	expect(&r, "main.hot", "vfs_read", GS_WHY_CPU_KERNEL, 1, 10 * MS);
	expect(&r, "runtime.findRunnable", NULL, GS_WHY_CPU_USER, 1, 10 * MS);
	expect_total(&r, 40 * MS);
	assert_int_equal(gs_profile_build_period_ns(r.build), 10 * MS);
	assert_int_equal(gs_profile_build_missing(r.build)->lost, 12);
	done(&r);
	r = run(mixed, GS_PROFILE_OFF_CPU);
	expect(&r, "time.Sleep", NULL, GS_WHY_SLEEP, 1, 30 * MS);
	expect_total(&r, 30 * MS);
	assert_int_equal(gs_profile_build_period_ns(r.build), 10 * MS); /* there were some */
	done(&r);
	r = run(mixed, GS_PROFILE_WALL);
	expect_total(&r, 70 * MS);
	assert_int_equal(gs_profile_totals(r.profile)->on_cpu_ns, 40 * MS);
	done(&r);
}

static void by_goroutine_and_labels(void **state)
{
	struct gs_event_source *s = event_script("0 run 5\n"
						 "1ms park 5 reason=sleep stack=main.f\n"
						 "1ms park 6 reason=sleep stack=main.f\n"
						 "3ms run 5\n"
						 "5ms run 6\n"
						 "6ms sample 6 period=1ms stack=main.f\n");
	struct run r;
	uint32_t n;
	const struct gs_profile_sample *p;

	event_script_label(s, 6, "route", "/x");
	r = run_all(s,
		    (struct gs_profile_options){
			    .kind = GS_PROFILE_WALL, .by_goroutine = true, .by_labels = true },
		    0);
	p = gs_profile_samples(r.profile, &n);
	assert_int_equal(n, 3);
	assert_int_equal(p[0].key.goid, 6);
	assert_int_equal(p[0].ns, 4 * MS);
	assert_int_equal(p[0].n_labels, 1);
	assert_memory_equal(p[0].labels[0].value, "/x", 2);
	assert_int_equal(p[1].key.goid, 5);
	assert_int_equal(p[1].n_labels, 0);
	assert_int_equal(p[2].key.class, GS_WHY_CPU_USER);
	assert_int_equal(p[2].n_labels, 1);
	done(&r);
}

/* Events that contradict each other: nothing is counted twice, and it is said. */
static void contradictions(void **state)
{
	struct run r = run("1ms park 5 reason=sleep stack=main.f\n"
			   "5ms park 5 reason=sleep stack=main.g\n" /* it must have run */
			   "7ms run 5\n"
			   "8ms run 5\n"
			   "9ms ready 5 waker=2\n" /* its park was not seen */
			   "9500us ready 5 waker=2\n"
			   "10ms run 5\n"
			   "11ms state 6 state=waiting reason=sleep stack=main.f\n"
			   "12ms run 6\n"
			   "12ms park 7 reason=select stack=main.f\n"
			   "13ms state 7 state=running\n"
			   "14ms state 7 state=waiting reason=sleep stack=main.old\n"
			   "15ms exit 7\n"
			   "16ms exit 8\n"
			   "17ms off 5 tid=3 since=18ms stack=main.f\n", /* ends before it begins */
			   GS_PROFILE_OFF_CPU);

	expect(&r, "main.g", NULL, GS_WHY_SLEEP, 1, 2 * MS);
	expect(&r, NULL, NULL, GS_WHY_RUNQUEUE_GO, 1, 1 * MS);
	/* The state was read at 11 ms but had begun before what was watched: 0 to 12. */
	expect(&r, "main.f", NULL, GS_WHY_SLEEP, 1, 11 * MS);
	expect(&r, "main.f", NULL, GS_WHY_SELECT, 1, 3 * MS);
	expect_total(&r, 17 * MS);
	assert_int_equal(gs_profile_build_missing(r.build)->doubtful, 1);
	done(&r);
}

/* Thousands that wait at the same time, in an order that exercises removal from the table. */
static void many(void **state)
{
	enum { N = 20000 };
	struct gs_event *e = calloc(2 * N, sizeof(*e));
	struct gs_event_source *s;
	uint32_t stack;
	struct run r;

	assert_non_null(e);
	s = event_script_array(e, 2 * N);
	stack = event_script_stack(s, "main.f");
	for (uint32_t i = 0; i < N; i++)
		e[i] = (struct gs_event){ .kind = GS_EV_GO_PARK,
					  .t_ns = 1 + i,
					  .goid = 1 + i,
					  .stack = stack,
					  .park = { .wait = GS_WAIT_SLEEP } };
	for (uint32_t i = 0; i < N; i++)
		e[N + i] = (struct gs_event){ .kind = GS_EV_GO_RUN,
					      .t_ns = 2 * N,
					      .goid = 1 + (i * 7919u) % N };
	event_script_stats(s)->begin_ns = 1;
	r = run_all(s, (struct gs_profile_options){ .kind = GS_PROFILE_OFF_CPU }, 0);
	/* The sum over i of 2N - (1 + i). */
	expect(&r, "main.f", NULL, GS_WHY_SLEEP, N,
	       (int64_t)N * (2 * N - 1) - (int64_t)N * (N - 1) / 2);
	done(&r);
	s = event_script_array(e, 2 * N);
	(void)event_script_stack(s, "main.f"); // the same id as before
	r = run_all(
		s, (struct gs_profile_options){ .kind = GS_PROFILE_OFF_CPU, .max_goroutines = 100 },
		0);
	assert_int_equal(gs_profile_build_missing(r.build)->not_followed, N - 100);
	assert_int_equal(gs_profile_totals(r.profile)->count, 100);
	done(&r);
	free(e);
}

/* The budget follows fewer and fewer goroutines: of those it left nobody knows how long they waited on. */
static void thinned(void **state)
{
	struct gs_event_source *s;
	char text[64 * 48 + 100], *p = text;
	int64_t sum = 0;
	uint64_t left = 0;
	struct run r;

	for (int i = 1; i <= 64; i++)
		p += sprintf(p, "%dms park %d reason=sleep stack=main.f\n", i, i);
	p += sprintf(p, "70ms thinned mask=1\n80ms thinned mask=3\n");
	for (uint64_t i = 1; i <= 64; i++) {
		int64_t until = gs_thinned_out(i, 1) ? 70 : gs_thinned_out(i, 3) ? 80 : 100;

		left += until != 100;
		sum += (until - (int64_t)i) * MS;
	}
	assert_in_range(left, 30, 60);
	s = event_script(text);
	r = run_all(s, (struct gs_profile_options){ .kind = GS_PROFILE_OFF_CPU }, 100 * MS);
	assert_int_equal(gs_profile_totals(r.profile)->count, 64);
	assert_int_equal(gs_profile_totals(r.profile)->ns, sum);
	assert_int_equal(gs_profile_build_missing(r.build)->not_followed, left);
	done(&r);
}

static void nothing(void **state)
{
	struct run r = run("", GS_PROFILE_WALL);
	uint32_t n;

	(void)gs_profile_samples(r.profile, &n); // only how many
	assert_int_equal(n, 0);
	assert_false(gs_profile_build_saw_goroutines(r.build));
	assert_null(gs_profile_build_free(NULL));
	done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parks),
		cmocka_unit_test(run_queue),
		cmocka_unit_test(open_ends),
		cmocka_unit_test(runtime_at_rest),
		cmocka_unit_test(threads),
		cmocka_unit_test(kinds),
		cmocka_unit_test(by_goroutine_and_labels),
		cmocka_unit_test(contradictions),
		cmocka_unit_test(many),
		cmocka_unit_test(thinned),
		cmocka_unit_test(nothing),
	};

	return gs_test_main(tests);
}
