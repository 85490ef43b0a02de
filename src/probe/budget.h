/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_PROBE_BUDGET_H
#define GS_PROBE_BUDGET_H

/*
 * What probes cost the target, and the promise to stay below a share of its CPU. The cost of a hit is
 * measured on this machine at start, on gosonde itself, with the programs that will run; hits are counted.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "probe/plan.h"
#include "probe/session.h"

/* Nanoseconds that one hit adds to the probed thread, by what makes the difference. */
struct gs_probe_costs {
	double emulated_ns, stepped_ns; /* trap and a program that writes one record */
	double tracepoint_ns;           /* a typed tracepoint's program that has nothing to do */
	double record_ns;               /* a program's work: a record of the ring */
	double stack_ns;                /* taking a user stack of 16 frames and finding it known */
	double sample_ns;               /* a perf sample with both stacks */
	bool measured; /* else: constants of a typical machine, and the result says so */
};

/** Measure, in at most 20 ms. Never fails: without privileges the constants are returned. */
void gs_probe_costs_measure(struct gs_probe_costs *ret);
/** Expected cost of one hit of a site. */
double gs_probe_site_cost_ns(const struct gs_probe_costs *c, const struct gs_probe_site *s,
			     uint32_t want);

enum gs_budget_action {
	GS_BUDGET_NONE = 0,
	GS_BUDGET_THIN,   /* follow fewer */
	GS_BUDGET_DETACH, /* a group */
	GS_BUDGET_STOP,   /* nothing is left to take away: end watching */
};

/* Of a stretch of time: what hits cost, by group, and how much of it thinning everything away would save. */
struct gs_budget_sum {
	double cost_ns[GS_GROUP_COUNT], work_ns[GS_GROUP_COUNT];
	double cpu_ns, time_ns;
};

struct gs_budget {
	double max_share;  /* of the target's CPU time, 0.05; 0: no limit */
	double floor_cpus; /* a target counts as using at least so many CPUs; 1 after init */
	const struct gs_probe_plan *plan;
	const struct gs_probe_costs *costs;
	double cost_ns[GS_PLAN_SITES_MAX]; /* total by site */
	uint64_t last_hits[GS_PLAN_SITES_MAX];
	int64_t last_ns, last_cpu_ns, total_cost_ns, total_cpu_ns;
	int64_t next_ns, next_urgent_ns; /* no action before */
	uint32_t thin_log2, detached;    /* bit per group */
	struct gs_budget_sum average;    /* of the last seconds, at what is attached now */
};

void gs_budget_init(struct gs_budget *b, const struct gs_probe_plan *plan,
		    const struct gs_probe_costs *costs, double max_share);
/** Take in hits so far and the CPU time of the target so far, without deciding anything: the first look, and the last.
 *  @now_ns: of a clock that does not go back. */
void gs_budget_count(struct gs_budget *b, const uint64_t *hits, int64_t cpu_ns, int64_t now_ns);
/**
 * One look, every 100 ms or so. Decides on a moving average of about two seconds, at most once a second and not
 * before one has passed; at once only if a single look's probes cost more than half a CPU (and more than the limit). A
 * target that uses less than floor_cpus counts as using that: the share of very little is no harm.
 * @return what to do; thin_log2 says how much thinner for THIN, *ret_group what for DETACH.
 */
enum gs_budget_action gs_budget_look(struct gs_budget *b, const uint64_t *hits, int64_t cpu_ns,
				     int64_t now_ns, enum gs_probe_group *ret_group);

#endif
