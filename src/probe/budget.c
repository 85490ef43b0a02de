/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What to take away when probes cost too much. Every look counts the hits since the last one, prices them,
 * and compares with the CPU time that the target used meanwhile.
 *
 * In order of loss: first half as many goroutines are followed, down to one of 64, as long as that saves
 * something worth having (a thinned hit still traps); then groups are detached, the most dispensable first,
 * those that cost nothing left alone; when only the goroutines themselves are left, watching ends.
 * Nothing is ever given back: a load that comes in waves would make the picture flicker.
 */
#include "probe/budget.h"

#include <string.h>

#define MAX_THIN_LOG2 6
#define PATIENCE 3
/* One look is enough when it is this many times over. */
#define FAR_OVER 4.0
/* A look this far below the limit takes one look above it back. */
#define CALM 0.8
/* A target counts as using at least this much CPU between two looks, a fifth of a CPU: at two requests
 * per second any share is large, and no harm. */
#define IDLE_NS 20000000
/* Thinning must be able to save at least this part of the cost. */
#define WORTH 0.1

static bool takes_stack(const struct gs_probe_site *s, uint32_t want)
{
	if (!(want & GS_PROBE_WANT_STACKS))
		return false;
	switch (s->program) {
	case GS_PROG_GOPARK:
	case GS_PROG_RUNQPUT:
	case GS_PROG_PREEMPTPARK:
	case GS_PROG_SCHED_SWITCH:
		return true;
	default:
		return false;
	}
}

/*
 * Cost of a hit, and how much of it a goroutine that is not followed would save. A tracepoint's program that has
 * something to do looks its thread up and reads the clock, which costs about as much as a record; it does so
 * for every thread, thinned or not.
 */
static double price(const struct gs_probe_costs *c, const struct gs_probe_site *s, uint32_t want,
		    double *ret_work)
{
	double stack = takes_stack(s, want) ? c->stack_ns : 0;

	*ret_work = 0;
	if (s->program == GS_PROG_SAMPLE)
		return c->sample_ns;
	if (s->program >= GS_PROG_UPROBES) // a thread leaves and comes back, and has one stack
		return c->tracepoint_ns + c->record_ns + stack / 2;
	*ret_work = c->record_ns + stack;
	return (s->emulated ? c->emulated_ns : c->stepped_ns) + stack;
}

double gs_probe_site_cost_ns(const struct gs_probe_costs *c, const struct gs_probe_site *s,
			     uint32_t want)
{
	double work;

	return price(c, s, want, &work);
}

void gs_budget_init(struct gs_budget *b, const struct gs_probe_plan *plan,
		    const struct gs_probe_costs *costs, double max_share)
{
	*b = (struct gs_budget){
		.max_share = max_share,
		.plan = plan,
		.costs = costs,
		.last_cpu_ns = -1,
	};
}

/* Price the hits since the last look. @ret_work: what thinning away everything would still save. */
static double window_cost(struct gs_budget *b, const uint64_t *hits, double *ret_group,
			  double *ret_work)
{
	double sum = 0, part = 1.0 / (double)(1u << b->thin_log2);

	*ret_work = 0;
	memset(ret_group, 0, GS_GROUP_COUNT * sizeof(*ret_group));
	for (uint32_t i = 0; i < b->plan->n_sites; i++) {
		const struct gs_probe_site *s = &b->plan->site[i];
		uint64_t n = hits[i] > b->last_hits[i] ? hits[i] - b->last_hits[i] : 0;
		double work, whole = price(b->costs, s, b->plan->config.want, &work), cost;

		b->last_hits[i] = hits[i];
		cost = (double)n * (whole - work * (1 - part));
		b->cost_ns[i] += cost;
		sum += cost;
		*ret_work += (double)n * work * part;
		if (s->group > 0 && s->group < GS_GROUP_COUNT)
			ret_group[s->group] += cost;
	}
	return sum;
}

static enum gs_budget_action take_away(struct gs_budget *b, double cost, double work,
				       const double *group, enum gs_probe_group *ret_group)
{
	b->over = 0;
	if (b->thin_log2 < MAX_THIN_LOG2 && work > WORTH * cost) {
		b->thin_log2++;
		return GS_BUDGET_THIN;
	}
	for (int g = GS_GROUP_COUNT - 1; g > GS_GROUP_LIFE; g--) {
		if (!(group[g] > 0) || (b->detached & 1u << g))
			continue;
		b->detached |= 1u << g;
		*ret_group = (enum gs_probe_group)g;
		return GS_BUDGET_DETACH;
	}
	return GS_BUDGET_STOP;
}

enum gs_budget_action gs_budget_look(struct gs_budget *b, const uint64_t *hits, int64_t cpu_ns,
				     enum gs_probe_group *ret_group)
{
	double group[GS_GROUP_COUNT], work, cost, limit;
	int64_t used;

	if (b->last_cpu_ns < 0) { // only from here on hits and CPU time belong together
		memcpy(b->last_hits, hits, b->plan->n_sites * sizeof(*hits));
		b->last_cpu_ns = cpu_ns;
		return GS_BUDGET_NONE;
	}
	cost = window_cost(b, hits, group, &work);
	used = cpu_ns > b->last_cpu_ns ? cpu_ns - b->last_cpu_ns : 0;
	b->last_cpu_ns = cpu_ns;
	b->total_cost_ns += (int64_t)cost;
	b->total_cpu_ns += used;
	b->windows++;
	if (b->max_share <= 0)
		return GS_BUDGET_NONE;
	limit = b->max_share * (double)(used > IDLE_NS ? used : IDLE_NS);
	if (cost > limit)
		b->over++;
	else if (cost < CALM * limit && b->over)
		b->over--;
	if (cost > FAR_OVER * limit || b->over >= PATIENCE)
		return take_away(b, cost, work, group, ret_group);
	return GS_BUDGET_NONE;
}
