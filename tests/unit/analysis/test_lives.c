/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Lives under random streams, many of which make no sense: intervals never overlap, leave no gap, and the classes of
 * each request sum up to its duration; memory stays where it is, whatever comes; and it is fast.
 */
#include "why_script.h"

#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#include "analysis/blame.h"
#include "base/hash.h"

#define EVENTS 20000u

static uint64_t state_of_chance;

static uint32_t chance(uint32_t n)
{
	state_of_chance = gs_hash_u64(state_of_chance, 0x5eed);
	return (uint32_t)(state_of_chance >> 32) % n;
}

static struct gs_usage usage(void)
{
	return (struct gs_usage){ .kernel_ns = chance(3) ? 0 : chance(30000),
				  .fault_minor_ns = chance(5) ? 0 : chance(9000),
				  .fault_major_ns = chance(9) ? 0 : chance(90000),
				  .reclaim_ns = chance(9) ? 0 : chance(5000),
				  .cgo_ns = chance(9) ? 0 : chance(20000) };
}

static void details(struct gs_event *e, uint32_t n_goroutines)
{
	switch (e->kind) {
	case GS_EV_GO_STATE:
		e->state.state = (enum gs_goroutine_state)chance(8);
		e->state.wait = (enum gs_wait)chance(GS_WAIT_COUNT);
		e->state.since_ns = e->t_ns - chance(1000000);
		break;
	case GS_EV_GO_CREATE:
		e->create.parent = chance(n_goroutines);
		break;
	case GS_EV_GO_READY:
		e->ready.waker = chance(n_goroutines);
		break;
	case GS_EV_GO_PARK:
		e->park.wait = (enum gs_wait)chance(GS_WAIT_COUNT);
		e->park.object = chance(6) * 0x1000;
		e->park.io_mode = "rw"[chance(2)];
		e->usage = usage();
		break;
	case GS_EV_CALL_BEGIN:
	case GS_EV_CALL_END:
		e->call.call = (enum gs_call_kind)(1 + chance(4));
		e->call.sp = 0x1000 - chance(4) * 0x100;
		e->call.path = "/x";
		e->call.path_len = (uint16_t)chance(3);
		e->usage = usage();
		break;
	case GS_EV_RUNTIME:
		e->runtime.what = (enum gs_runtime_event)(1 + chance(9));
		e->usage = usage();
		break;
	case GS_EV_OFF_CPU:
		e->off_cpu.off_ns = e->t_ns - chance(400000) + chance(1000);
		e->off_cpu.wake_ns = chance(3) ? e->t_ns - chance(200000) + chance(1000) : 0;
		e->off_cpu.syscall = (int32_t)chance(300) - 1;
		e->off_cpu.task_state = chance(2);
		e->off_cpu.waker_goid = chance(n_goroutines);
		e->usage = usage();
		break;
	default:
		e->usage = usage();
	}
}

/* Events that may come in any order, of few goroutines, so that they meet. */
static struct gs_event *nonsense(uint64_t seed, size_t n, uint32_t n_goroutines)
{
	struct gs_event *e = calloc(n, sizeof(*e));
	int64_t t = 1000000000;

	assert_non_null(e);
	state_of_chance = seed;
	for (size_t i = 0; i < n; i++) {
		t += chance(20000);
		e[i] = (struct gs_event){ .t_ns = t - (chance(10) ? 0 : chance(50000)),
					  .goid = chance(n_goroutines),
					  .tid = (int32_t)chance(8),
					  .stack = chance(4),
					  .kind = (uint16_t)(1 + chance(GS_EV_KIND_COUNT - 1)),
					  .flags = (uint16_t)(chance(4) ? 0 : chance(256)) };
		if (e[i].kind == GS_EV_GO_EXIT && chance(400))
			e[i].kind = GS_EV_GO_RUN; // else there is soon nobody left
		details(&e[i], n_goroutines);
	}
	return e;
}

static void no_gap_and_no_overlap(const struct gs_lives *l, const struct gs_life *life)
{
	const struct gs_interval *v;
	struct gs_life_walk walk;
	int64_t before = INT64_MAX;

	gs_life_walk_init(&walk, l, life, 0, INT64_MAX);
	while ((v = gs_life_walk_next(&walk)) != NULL) {
		if (before != INT64_MAX)
			assert_int_equal(v->end_ns, before);
		assert_true(v->start_ns < v->end_ns);
		if (v->kind == GS_IVL_OFF)
			assert_in_range(v->off.wake_ns, v->start_ns, v->end_ns);
		before = v->start_ns;
	}
}

static void random_streams_leave_no_gap(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		GS_CLEANUP(gs_lives_freep)
		struct gs_lives *l = gs_lives_new(&(struct gs_lives_limits){
			.bytes = seed % 2 ? 65536 : 0, .max_lives = seed % 3 ? 0 : 10 });
		struct gs_event *e = nonsense(seed, EVENTS, 20);

		for (size_t i = 0; i < EVENTS; i++) {
			gs_lives_event(l, &e[i]);
			if (i % 1000)
				continue;
			for (uint64_t g = 1; g < 20; g++)
				if (gs_lives_find(l, g))
					no_gap_and_no_overlap(l, gs_lives_find(l, g));
		}
		assert_int_equal(gs_lives_counts(l)->events, EVENTS);
		free(e);
	}
}

static void random_requests_are_exact(void **state)
{
	uint64_t seen = 0;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct gs_event *e = nonsense(seed, EVENTS, 20);
		struct gs_event_source *s = event_script_array(e, EVENTS);
		struct why_run run;
		char classes[512];
		int64_t sum = 0;

		event_script_stack(s, "sync.(*Mutex).Lock<app.a<app.main");
		event_script_stack(s, "app.b<app.main");
		event_script_stack(s, "sync.(*Mutex).Unlock<app.a<app.main");
		run = why_run_source(s, &(struct gs_why_options){ .n_slowest = 100,
								  .functions = seed % 2,
								  .limits.bytes = 1 << 17 });
		for (uint32_t i = 0; i < run.r->n_slowest; i++)
			why_classes(&run.r->slowest[i], classes); // asserts the sum
		for (uint32_t i = 0; i < run.r->n_unfinished; i++)
			why_classes(&run.r->unfinished[i], classes);
		for (int c = 0; c < GS_WHY_CLASSES; c++)
			sum += run.r->classes[c];
		assert_int_equal(sum, run.r->duration.sum_ns);
		seen += run.r->duration.count;
		sum = 0;
		for (uint32_t i = 0; i < run.r->n_causes; i++)
			sum += run.r->causes[i].all_ns;
		assert_true(sum <= run.r->duration.sum_ns);
		why_end(&run);
		free(e);
	}
	print_message("# %" PRIu64 " requests\n", seen);
	assert_true(seen > 1000);
}

/* A goroutine per request, for ever. */
static size_t serve(struct gs_lives *l, uint64_t from, uint64_t n)
{
	struct gs_event e = { .tid = 1 };

	for (uint64_t g = from; g < from + n; g++) {
		static const uint16_t kinds[] = { GS_EV_GO_CREATE, GS_EV_GO_RUN,   GS_EV_OFF_CPU,
						  GS_EV_GO_PARK,   GS_EV_GO_READY, GS_EV_GO_RUN,
						  GS_EV_GO_EXIT };

		for (size_t i = 0; i < GS_ARRAY_SIZE(kinds); i++) {
			e.t_ns += 1000;
			e.goid = g;
			e.kind = kinds[i];
			if (e.kind == GS_EV_OFF_CPU)
				e.off_cpu.off_ns = e.t_ns - 500;
			gs_lives_event(l, &e);
		}
	}
	return n * 7;
}

static void memory_stays_where_it_is(void **state)
{
	GS_CLEANUP(gs_lives_freep)
	struct gs_lives *l = gs_lives_new(&(struct gs_lives_limits){ .bytes = 1 << 20 });
	size_t before, after;

	serve(l, 1, 50000);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	serve(l, 50001, 500000);
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	assert_int_equal(after, before);
	assert_true(before < (16u << 20));
	assert_int_equal(gs_lives_counts(l)->lives, 0);
	assert_true(gs_lives_counts(l)->forgotten > 0);
	assert_int_equal(gs_lives_counts(l)->runnable, 0);
	assert_int_equal(gs_lives_counts(l)->doubtful, 0);
}

/* More goroutines at once than there may be: counted, and the others go on. */
static void too_many_goroutines(void **state)
{
	GS_CLEANUP(gs_lives_freep)
	struct gs_lives *l = gs_lives_new(&(struct gs_lives_limits){ .max_lives = 1000 });
	struct gs_event e = { .kind = GS_EV_GO_CREATE };

	for (e.goid = 1; e.goid <= 3000; e.goid++)
		gs_lives_event(l, &e);
	assert_int_equal(gs_lives_counts(l)->lives, 1000);
	assert_int_equal(gs_lives_counts(l)->not_followed, 2000);
	assert_null(gs_lives_find(l, 1001));
	assert_non_null(gs_lives_find(l, 1000));
}

static void fast_enough(void **state)
{
	GS_CLEANUP(gs_lives_freep) struct gs_lives *l = gs_lives_new(NULL);
	struct timespec a, b;
	size_t n;
	double s;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	n = serve(l, 1, 200000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	print_message("# %.1f million events/s\n", (double)n / s / 1e6);
	// The goal is a million; unoptimised and sanitised builds have to do a fifth.
	assert_true((double)n / s > 200000);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_streams_leave_no_gap),
					    cmocka_unit_test(random_requests_are_exact),
					    cmocka_unit_test(memory_stays_where_it_is),
					    cmocka_unit_test(too_many_goroutines),
					    cmocka_unit_test(fast_enough) };

	return gs_test_main(tests);
}
