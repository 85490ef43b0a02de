/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What to take away when probes cost too much. Every look prices the hits since the last one; averages of the last few
 * seconds of cost and of the CPU time that the target used are compared. A burst of requests for some tenths of a
 * second is no reason to see less for the rest of the time; only probes that take a good part of a CPU are.
 *
 * In order of loss: first fewer goroutines are followed, down to one of 64, as long as that saves
 * something worth having (a thinned hit still traps); then groups are detached, the most dispensable first,
 * those that cost little left alone; when nothing is left but the goroutines themselves and what costs little, watching ends.
 * Nothing is ever given back: a load that comes in waves would make the picture flicker.
 *
 * The average says what the load of the last seconds would cost with the probes that are left: what is taken away is taken
 * out of its past as well. Else one action would be followed by others before its effect showed.
 */
#include "probe/budget.h"

#include <string.h>

#define MAX_THIN_LOG2 6
/* How fast the average forgets. */
#define AVERAGE_NS 2e9
/* From the begin, or from one action, to the next. */
#define PATIENCE_NS 1000000000
/* So much of a CPU in a single look cannot wait; one step at a time. */
#define URGENT_CPUS 0.5
#define URGENT_PATIENCE_NS 300000000
/* Thinning, or detaching a group, must be able to save at least this part of the cost. */
#define WORTH_THINNING 0.1
#define WORTH_DETACHING 0.05

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
	if (s->program == GS_PROG_SAMPLE || s->program == GS_PROG_FAULT_SAMPLE)
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
		.floor_cpus = 1,
		.plan = plan,
		.costs = costs,
		.last_ns = -1,
	};
}

static double cost_of(const struct gs_budget_sum *s)
{
	double sum = 0;

	for (int g = 0; g < GS_GROUP_COUNT; g++)
		sum += s->cost_ns[g];
	return sum;
}

static double work_of(const struct gs_budget_sum *s)
{
	double sum = 0;

	for (int g = 0; g < GS_GROUP_COUNT; g++)
		sum += s->work_ns[g];
	return sum;
}

static double limit_of(const struct gs_budget *b, const struct gs_budget_sum *s)
{
	double floor = b->floor_cpus * s->time_ns;

	return b->max_share * (s->cpu_ns > floor ? s->cpu_ns : floor);
}

/* Price the hits since the last look. */
static void price_hits(struct gs_budget *b, const uint64_t *hits, struct gs_budget_sum *ret)
{
	double part = 1.0 / (double)(1u << b->thin_log2);

	for (uint32_t i = 0; i < b->plan->n_sites; i++) {
		const struct gs_probe_site *s = &b->plan->site[i];
		uint64_t n = hits[i] > b->last_hits[i] ? hits[i] - b->last_hits[i] : 0;
		double work, whole = price(b->costs, s, b->plan->config.want, &work), cost;
		uint32_t g = (uint32_t)s->group < GS_GROUP_COUNT ? (uint32_t)s->group : 0;

		b->last_hits[i] = hits[i];
		cost = (double)n * (whole - work * (1 - part));
		b->cost_ns[i] += cost;
		ret->cost_ns[g] += cost;
		ret->work_ns[g] += (double)n * work * part;
	}
}

/* Older looks count less and less. */
static void add_to_average(struct gs_budget *b, const struct gs_budget_sum *now)
{
	struct gs_budget_sum *a = &b->average;
	double keep = AVERAGE_NS / (AVERAGE_NS + now->time_ns);

	for (int g = 0; g < GS_GROUP_COUNT; g++) {
		a->cost_ns[g] = a->cost_ns[g] * keep + now->cost_ns[g];
		a->work_ns[g] = a->work_ns[g] * keep + now->work_ns[g];
	}
	a->cpu_ns = a->cpu_ns * keep + now->cpu_ns;
	a->time_ns = a->time_ns * keep + now->time_ns;
}

static void take_in(struct gs_budget *b, const uint64_t *hits, int64_t cpu_ns, int64_t now_ns,
		    struct gs_budget_sum *ret)
{
	*ret = (struct gs_budget_sum){ 0 };
	if (b->last_ns < 0) { // only from here on hits and CPU time belong together
		memcpy(b->last_hits, hits, b->plan->n_sites * sizeof(*hits));
		b->last_cpu_ns = cpu_ns;
		b->last_ns = now_ns;
		b->next_ns = now_ns + PATIENCE_NS;
		b->next_urgent_ns = now_ns;
		return;
	}
	price_hits(b, hits, ret);
	ret->cpu_ns = cpu_ns > b->last_cpu_ns ? (double)(cpu_ns - b->last_cpu_ns) : 0;
	ret->time_ns = now_ns > b->last_ns ? (double)(now_ns - b->last_ns) : 0;
	b->last_cpu_ns = cpu_ns;
	b->last_ns = now_ns;
	b->total_cost_ns += (int64_t)cost_of(ret);
	b->total_cpu_ns += (int64_t)ret->cpu_ns;
	add_to_average(b, ret);
}

void gs_budget_count(struct gs_budget *b, const uint64_t *hits, int64_t cpu_ns, int64_t now_ns)
{
	struct gs_budget_sum window;

	take_in(b, hits, cpu_ns, now_ns, &window);
}

static bool worth_thinning(const struct gs_budget *b)
{
	return b->thin_log2 < MAX_THIN_LOG2 &&
	       work_of(&b->average) > WORTH_THINNING * cost_of(&b->average);
}

static void thin(struct gs_budget *b)
{
	b->thin_log2++;
	for (int g = 0; g < GS_GROUP_COUNT; g++) {
		b->average.work_ns[g] /= 2;
		b->average.cost_ns[g] -= b->average.work_ns[g];
	}
}

static enum gs_budget_action take_away(struct gs_budget *b, bool urgent,
				       enum gs_probe_group *ret_group)
{
	if (worth_thinning(b)) {
		do
			thin(b);
		while (!urgent && worth_thinning(b) &&
		       cost_of(&b->average) > limit_of(b, &b->average));
		return GS_BUDGET_THIN;
	}
	for (int g = GS_GROUP_COUNT - 1; g > GS_GROUP_LIFE; g--) {
		if (b->detached & 1u << g ||
		    b->average.cost_ns[g] <= WORTH_DETACHING * cost_of(&b->average))
			continue;
		b->detached |= 1u << g;
		b->average.cost_ns[g] = b->average.work_ns[g] = 0;
		*ret_group = (enum gs_probe_group)g;
		return GS_BUDGET_DETACH;
	}
	return GS_BUDGET_STOP;
}

enum gs_budget_action gs_budget_look(struct gs_budget *b, const uint64_t *hits, int64_t cpu_ns,
				     int64_t now_ns, enum gs_probe_group *ret_group)
{
	struct gs_budget_sum window;
	bool over, urgent;
	double cost;

	take_in(b, hits, cpu_ns, now_ns, &window);
	if (b->max_share <= 0)
		return GS_BUDGET_NONE;
	cost = cost_of(&window);
	urgent = now_ns >= b->next_urgent_ns && cost > URGENT_CPUS * window.time_ns &&
		 cost > limit_of(b, &window);
	over = now_ns >= b->next_ns && cost_of(&b->average) > limit_of(b, &b->average);
	if (!urgent && !over)
		return GS_BUDGET_NONE;
	b->next_ns = now_ns + PATIENCE_NS;
	b->next_urgent_ns = now_ns + URGENT_PATIENCE_NS;
	return take_away(b, !over, ret_group);
}
