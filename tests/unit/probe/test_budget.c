/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What the budget takes away, in which order and when, from made-up hits. */
#include <stdlib.h>

#include "probe/budget.h"
#include "test.h"

#define MS ((int64_t)1000000)

static int64_t rounded(double ns)
{
	return (int64_t)(ns + 0.5);
}

/* Prices that make sums easy: a goroutine probe costs 1000 ns, 800 of which thinning saves. */
static const struct gs_probe_costs costs = {
	.emulated_ns = 1000,
	.stepped_ns = 4000,
	.tracepoint_ns = 100,
	.record_ns = 800,
	.stack_ns = 500,
	.sample_ns = 3000,
	.measured = true,
};

enum { PARK, CALL, SWITCH, SYSCALLS, FAULTS, N };

struct fixture {
	struct gs_probe_plan plan;
	struct gs_budget b;
	uint64_t hits[GS_PLAN_SITES_MAX];
	int64_t cpu_ns, now_ns;
	enum gs_probe_group group;
};

static void site(struct gs_probe_plan *p, uint32_t i, enum gs_probe_program program,
		 enum gs_probe_group group, bool emulated)
{
	p->site[i] = (struct gs_probe_site){
		.program = program,
		.group = group,
		.placement = program < GS_PROG_UPROBES ? GS_PLACE_PUSH : GS_PLACE_TRACEPOINT,
		.function = "f",
		.emulated = emulated,
	};
}

static struct fixture *new_fixture(double max_share)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	site(&f->plan, PARK, GS_PROG_EXECUTE, GS_GROUP_LIFE, true);
	site(&f->plan, CALL, GS_PROG_HTTP_BEGIN, GS_GROUP_REQUESTS, true);
	site(&f->plan, SWITCH, GS_PROG_SCHED_WAKING, GS_GROUP_THREADS, false);
	site(&f->plan, SYSCALLS, GS_PROG_SYS_ENTER, GS_GROUP_SYSCALLS, false);
	site(&f->plan, FAULTS, GS_PROG_FAULT_BEGIN, GS_GROUP_FAULTS, false);
	f->plan.n_sites = N;
	gs_budget_init(&f->b, &f->plan, &costs, max_share);
	/* Hits from before the first look count for nothing. */
	f->hits[PARK] = 1000000;
	gs_budget_count(&f->b, f->hits, 0, 0);
	return f;
}

/* One look 100 ms later, after @cpu_ms of CPU time and that many hits of the goroutine probe (1000 are 1 ms) and of
 * system calls. */
static enum gs_budget_action look(struct fixture *f, int64_t cpu_ms, uint64_t parks,
				  uint64_t syscalls)
{
	f->hits[PARK] += parks;
	f->hits[SYSCALLS] += syscalls;
	f->cpu_ns += cpu_ms * MS;
	f->now_ns += 100 * MS;
	return gs_budget_look(&f->b, f->hits, f->cpu_ns, f->now_ns, &f->group);
}

static void test_price_of_a_hit(void **state)
{
	struct gs_probe_site s = { .program = GS_PROG_EXECUTE, .emulated = true };
	uint32_t want = GS_PROBE_WANT_STACKS;

	assert_int_equal(rounded(gs_probe_site_cost_ns(&costs, &s, want)), rounded(1000));
	s.emulated = false;
	assert_int_equal(rounded(gs_probe_site_cost_ns(&costs, &s, want)), rounded(4000));
	s.program = GS_PROG_GOPARK;
	assert_int_equal(rounded(gs_probe_site_cost_ns(&costs, &s, want)), rounded(4500));
	assert_int_equal(rounded(gs_probe_site_cost_ns(&costs, &s, 0)), rounded(4000));
	s.program = GS_PROG_SYS_EXIT;
	assert_int_equal(rounded(gs_probe_site_cost_ns(&costs, &s, want)), 900);
	s.program = GS_PROG_SAMPLE;
	assert_int_equal(rounded(gs_probe_site_cost_ns(&costs, &s, want)), 3000);
	/* Half of the switches have a kernel stack. */
	s.program = GS_PROG_SCHED_SWITCH;
	assert_int_equal(rounded(gs_probe_site_cost_ns(&costs, &s, want)), 100 + 800 + 250);
}

static void test_within_the_limit_nothing_happens(void **state)
{
	struct fixture *f = new_fixture(0.05);

	for (int i = 0; i < 100; i++)
		assert_int_equal(look(f, 100, 4900, 0), GS_BUDGET_NONE); // 4.9 %
	assert_int_equal(f->b.total_cost_ns, 490 * MS);
	assert_int_equal(f->b.total_cpu_ns, 10000 * MS);
	assert_int_equal(rounded(f->b.cost_ns[PARK]), rounded(490e6));
	assert_int_equal(rounded(f->b.cost_ns[SYSCALLS]), rounded(0));
	free(f);
}

static void test_a_steady_load_above_is_thinned_after_a_second(void **state)
{
	struct fixture *f = new_fixture(0.05);

	for (int i = 0; i < 9; i++)
		assert_int_equal(look(f, 100, 9000, 0), GS_BUDGET_NONE); // 9 %
	assert_int_equal(look(f, 100, 9000, 0), GS_BUDGET_THIN);
	/* A half saves 3.6 % and leaves 5.4 %, a quarter leaves 3.6 %. */
	assert_int_equal(f->b.thin_log2, 2);
	for (int i = 0; i < 50; i++)
		assert_int_equal(look(f, 100, 9000, 0), GS_BUDGET_NONE);
	free(f);
}

static void test_a_burst_is_forgiven(void **state)
{
	struct fixture *f = new_fixture(0.05);

	/* 200 ms at 20 % of a busy CPU every two seconds are 2.9 % on average; so is the first second's. */
	for (int round = 0; round < 20; round++)
		for (int i = 0; i < 20; i++)
			assert_int_equal(look(f, 100, i == 5 || i == 6 ? 20000 : 1000, 0),
					 GS_BUDGET_NONE);
	/* What calls for it is the average: half of the time at 12 %. */
	enum gs_budget_action a = GS_BUDGET_NONE;

	for (int i = 0; i < 40 && a == GS_BUDGET_NONE; i++)
		a = look(f, 100, i & 4 ? 12000 : 1000, 0);
	assert_int_equal(a, GS_BUDGET_THIN);
	free(f);
}

static void test_a_load_that_begins_late_needs_its_time(void **state)
{
	struct fixture *f = new_fixture(0.05);
	int looks = 0;

	for (int i = 0; i < 50; i++)
		assert_int_equal(look(f, 100, 0, 0), GS_BUDGET_NONE);
	/* 10 % from now on: half of the average time until it is seen. */
	while (looks < 100 && look(f, 100, 10000, 0) == GS_BUDGET_NONE)
		looks++;
	assert_in_range(looks, 10, 20);
	free(f);
}

static void test_half_a_cpu_is_urgent(void **state)
{
	struct fixture *f = new_fixture(0.05);

	assert_int_equal(look(f, 1000, 49000, 0), GS_BUDGET_NONE); // 49 ms in 100
	assert_int_equal(look(f, 1000, 51000, 0), GS_BUDGET_THIN);
	assert_int_equal(f->b.thin_log2, 1); // one step
	/* Thinned, it costs 60 %: 54 ms, and the next step comes 300 ms later. */
	assert_int_equal(look(f, 1000, 90000, 0), GS_BUDGET_NONE);
	assert_int_equal(look(f, 1000, 90000, 0), GS_BUDGET_NONE);
	assert_int_equal(look(f, 1000, 90000, 0), GS_BUDGET_THIN);
	assert_int_equal(f->b.thin_log2, 2);
	free(f);
}

static void test_half_a_cpu_of_many_is_no_harm(void **state)
{
	struct fixture *f = new_fixture(0.05);

	/* 80 ms of cost per 100 ms, but the target used 2 s on its 20 CPUs. */
	for (int i = 0; i < 50; i++)
		assert_int_equal(look(f, 2000, 80000, 0), GS_BUDGET_NONE);
	free(f);
}

static void test_actions_come_a_second_apart(void **state)
{
	struct fixture *f = new_fixture(0.05);
	int64_t last = 0, n = 0;

	for (int i = 0; i < 60; i++) {
		f->hits[SWITCH] += 5000;
		f->hits[FAULTS] += 5000;
		/* More system calls every second: there is always a reason. */
		if (look(f, 100, 6000, 5000 * (1 + (uint64_t)i / 10)) == GS_BUDGET_NONE)
			continue;
		assert_true(f->now_ns - last >= 1000 * MS);
		last = f->now_ns;
		n++;
	}
	assert_in_range(n, 4, 6);
	free(f);
}

static void test_what_was_taken_away_is_not_held_against_the_rest(void **state)
{
	struct fixture *f = new_fixture(0.05);

	/* 4 % of goroutines, 18 % of system calls. */
	for (int i = 0; i < 9; i++)
		assert_int_equal(look(f, 100, 4000, 20000), GS_BUDGET_NONE);
	/* Thinning to the end does not help, so that is what comes first; then the calls go, then there is peace. */
	assert_int_equal(look(f, 100, 4000, 20000), GS_BUDGET_THIN);
	for (int i = 0; i < 9; i++)
		assert_int_equal(look(f, 100, 4000, 20000), GS_BUDGET_NONE);
	assert_int_equal(look(f, 100, 4000, 20000), GS_BUDGET_DETACH);
	assert_int_equal(f->group, GS_GROUP_SYSCALLS);
	for (int i = 0; i < 50; i++)
		assert_int_equal(look(f, 100, 4000, 0), GS_BUDGET_NONE);
	free(f);
}

static void test_order_of_what_is_given_up(void **state)
{
	static const enum gs_probe_group order[] = { GS_GROUP_SYSCALLS, GS_GROUP_FAULTS,
						     GS_GROUP_THREADS, GS_GROUP_REQUESTS };
	struct fixture *f = new_fixture(0.01);
	enum gs_budget_action a = GS_BUDGET_NONE;
	uint32_t detached = 0;

	/* A load that no step gets below the limit. */
	for (int i = 0; i < 400 && a != GS_BUDGET_STOP; i++) {
		f->hits[CALL] += 50000;
		f->hits[SWITCH] += f->b.detached & 1u << GS_GROUP_THREADS ? 0 : 300000;
		f->hits[FAULTS] += f->b.detached & 1u << GS_GROUP_FAULTS ? 0 : 300000;
		a = look(f, 100, 500000, f->b.detached & 1u << GS_GROUP_SYSCALLS ? 0 : 300000);
		/* Thinning comes first, and again when what was detached makes it worth while. */
		if (a == GS_BUDGET_DETACH) {
			assert_in_range(f->b.thin_log2, 1, 6);
			assert_true(detached < sizeof(order) / sizeof(order[0]));
			assert_int_equal(f->group, order[detached]);
			detached++;
		}
	}
	assert_int_equal(a, GS_BUDGET_STOP);
	assert_in_range(f->b.thin_log2, 3, 6);
	assert_int_equal(detached, 4);
	free(f);
}

static void test_thinning_that_saves_nothing_is_skipped(void **state)
{
	struct fixture *f = new_fixture(0.05);

	/* All of the cost is system calls, which thinning does not make cheaper. */
	assert_int_equal(look(f, 100, 100, 300000), GS_BUDGET_DETACH);
	assert_int_equal(f->group, GS_GROUP_SYSCALLS);
	assert_int_equal(f->b.detached, 1u << GS_GROUP_SYSCALLS);
	/* Gone; what remains is cheap. */
	for (int i = 0; i < 20; i++)
		assert_int_equal(look(f, 100, 100, 0), GS_BUDGET_NONE);
	free(f);
}

static void test_what_costs_little_is_kept(void **state)
{
	struct fixture *f = new_fixture(0.01);
	enum gs_budget_action a = GS_BUDGET_NONE;

	/* Faults are a hundredth of the cost: nothing to save, however much is over. */
	for (int i = 0; i < 200 && a != GS_BUDGET_STOP; i++) {
		f->hits[FAULTS] += 100;
		a = look(f, 100, 30000, 0);
		assert_int_not_equal(a, GS_BUDGET_DETACH);
	}
	assert_int_equal(a, GS_BUDGET_STOP);
	assert_int_equal(f->b.detached, 0);
	free(f);
}

static void test_a_thinned_hit_costs_less(void **state)
{
	struct fixture *f = new_fixture(0.05);

	f->b.thin_log2 = 2;
	assert_int_equal(look(f, 1000, 1000, 0), GS_BUDGET_NONE);
	assert_int_equal(f->b.total_cost_ns, 1000 * (200 + 800 / 4));
	free(f);
}

static void test_an_idle_target_is_left_in_peace(void **state)
{
	struct fixture *f = new_fixture(0.05);

	f->b.floor_cpus = 0.2;
	/* Nearly all of what little it does is our probes: 0.9 ms of a CPU per look. */
	for (int i = 0; i < 50; i++)
		assert_int_equal(look(f, 1, 900, 0), GS_BUDGET_NONE);
	/* More than 5 % of a fifth of a CPU is not. */
	enum gs_budget_action a = GS_BUDGET_NONE;

	for (int i = 0; i < 50 && a == GS_BUDGET_NONE; i++)
		a = look(f, 2, 1200, 0);
	assert_int_equal(a, GS_BUDGET_THIN);
	free(f);
}

static void test_counting_decides_nothing(void **state)
{
	struct fixture *f = new_fixture(0.05);

	for (int i = 0; i < 30; i++) {
		f->hits[PARK] += 90000;
		f->now_ns += 100 * MS;
		gs_budget_count(&f->b, f->hits, f->cpu_ns, f->now_ns);
	}
	assert_int_equal(f->b.total_cost_ns, 30 * 90 * MS);
	assert_int_equal(f->b.thin_log2, 0);
	assert_int_equal(f->b.detached, 0);
	free(f);
}

static void test_no_limit(void **state)
{
	struct fixture *f = new_fixture(0);

	for (int i = 0; i < 50; i++)
		assert_int_equal(look(f, 100, 90000, 0), GS_BUDGET_NONE);
	assert_int_equal(f->b.total_cost_ns, 50 * 90 * MS);
	free(f);
}

static void test_counters_that_go_back(void **state)
{
	struct fixture *f = new_fixture(0.05);

	/* A CPU went away, or the process was replaced: no cost below zero, no wrapped difference. */
	f->hits[PARK] = 0;
	f->cpu_ns = -5 * MS;
	f->now_ns = -1000 * MS;
	assert_int_equal(look(f, 0, 0, 0), GS_BUDGET_NONE);
	assert_int_equal(f->b.total_cost_ns, 0);
	assert_int_equal(f->b.total_cpu_ns, 0);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_price_of_a_hit),
		cmocka_unit_test(test_within_the_limit_nothing_happens),
		cmocka_unit_test(test_a_steady_load_above_is_thinned_after_a_second),
		cmocka_unit_test(test_a_burst_is_forgiven),
		cmocka_unit_test(test_a_load_that_begins_late_needs_its_time),
		cmocka_unit_test(test_half_a_cpu_is_urgent),
		cmocka_unit_test(test_half_a_cpu_of_many_is_no_harm),
		cmocka_unit_test(test_actions_come_a_second_apart),
		cmocka_unit_test(test_what_was_taken_away_is_not_held_against_the_rest),
		cmocka_unit_test(test_order_of_what_is_given_up),
		cmocka_unit_test(test_thinning_that_saves_nothing_is_skipped),
		cmocka_unit_test(test_what_costs_little_is_kept),
		cmocka_unit_test(test_a_thinned_hit_costs_less),
		cmocka_unit_test(test_an_idle_target_is_left_in_peace),
		cmocka_unit_test(test_counting_decides_nothing),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_counters_that_go_back),
	};

	return gs_test_main(tests);
}
