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
	int64_t cpu_ns;
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
	assert_int_equal(gs_budget_look(&f->b, f->hits, 0, &f->group), GS_BUDGET_NONE);
	return f;
}

/* One look after @cpu_ms of CPU time and that many hits of the goroutine probe and of system calls. */
static enum gs_budget_action look(struct fixture *f, int64_t cpu_ms, uint64_t parks,
				  uint64_t syscalls)
{
	f->hits[PARK] += parks;
	f->hits[SYSCALLS] += syscalls;
	f->cpu_ns += cpu_ms * MS;
	return gs_budget_look(&f->b, f->hits, f->cpu_ns, &f->group);
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

static void test_one_bad_look_is_forgiven(void **state)
{
	struct fixture *f = new_fixture(0.05);

	for (int i = 0; i < 20; i++) {
		assert_int_equal(look(f, 100, 9000, 0), GS_BUDGET_NONE); // 9 %
		assert_int_equal(look(f, 100, 1000, 0), GS_BUDGET_NONE);
	}
	/* Twice is forgiven as well, the third time is not. */
	assert_int_equal(look(f, 100, 9000, 0), GS_BUDGET_NONE);
	assert_int_equal(look(f, 100, 9000, 0), GS_BUDGET_NONE);
	assert_int_equal(look(f, 100, 9000, 0), GS_BUDGET_THIN);
	/* And it takes three more before the next step. */
	assert_int_equal(look(f, 100, 9000, 0), GS_BUDGET_NONE);
	free(f);
}

static void test_far_over_acts_at_once(void **state)
{
	struct fixture *f = new_fixture(0.05);

	assert_int_equal(look(f, 100, 30000, 0), GS_BUDGET_THIN); // 30 %
	assert_int_equal(f->b.thin_log2, 1);
	free(f);
}

static void test_order_of_what_is_given_up(void **state)
{
	static const enum gs_probe_group order[] = { GS_GROUP_SYSCALLS, GS_GROUP_FAULTS,
						     GS_GROUP_THREADS, GS_GROUP_REQUESTS };
	struct fixture *f = new_fixture(0.01);
	enum gs_budget_action a = GS_BUDGET_NONE;
	uint32_t thinned = 0, detached = 0;

	/* A load that no step gets below the limit. */
	for (int i = 0; i < 200 && a != GS_BUDGET_STOP; i++) {
		f->hits[CALL] += 50000;
		f->hits[SWITCH] += 300000;
		f->hits[FAULTS] += 300000;
		a = look(f, 100, 500000, 300000);
		if (a == GS_BUDGET_THIN) {
			assert_int_equal(detached, 0);
			thinned++;
		} else if (a == GS_BUDGET_DETACH) {
			assert_true(detached < sizeof(order) / sizeof(order[0]));
			assert_int_equal(f->group, order[detached]);
			detached++;
		}
	}
	assert_int_equal(a, GS_BUDGET_STOP);
	assert_true(thinned >= 3 && thinned <= 6);
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

	/* Half of what little it does is our probes: 0.5 ms of a CPU per look. */
	for (int i = 0; i < 50; i++)
		assert_int_equal(look(f, 1, 500, 0), GS_BUDGET_NONE);
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
		cmocka_unit_test(test_one_bad_look_is_forgiven),
		cmocka_unit_test(test_far_over_acts_at_once),
		cmocka_unit_test(test_order_of_what_is_given_up),
		cmocka_unit_test(test_thinning_that_saves_nothing_is_skipped),
		cmocka_unit_test(test_a_thinned_hit_costs_less),
		cmocka_unit_test(test_an_idle_target_is_left_in_peace),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_counters_that_go_back),
	};

	return gs_test_main(tests);
}
