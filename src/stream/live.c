/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A process under probes as a source of events.
 *
 *   plan ─► costs of a hit ─► load, attach ─► snapshot of goroutines ─► next(): rings ─► order ─► decode ─► events
 *                                                                         └─ every 100 ms: budget, is it alive?
 *
 * A read of the rings begins at some moment; whatever was made more than a watermark before that has arrived by its
 * end, so that much is handed out. The watermark is 3 ms and doubles when something came later than that.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "probe/budget.h"
#include "stream/stream_private.h"

#define BATCH 1024u
#define WATERMARK_NS 3000000
#define WATERMARK_MAX_NS 200000000
#define LOOK_NS 100000000
#define STAGING_MAX ((size_t)48 << 20)
#define LAST_READS 1000 /* rings are empty long before that */
#define OWN 32u         /* more than the budget can take away */

struct live {
	struct gs_event_source pub;
	struct gs_target *target;
	struct gs_rt *rt;
	struct gs_probe_plan plan;
	struct gs_probe_costs costs;
	struct gs_budget budget;
	struct gs_features features;
	struct gs_probe_session *session;
	struct gs_probe_counts counts;
	struct gs__order order;
	struct gs__stacks stacks;
	struct gs__decoder decoder;
	struct gs__snapshot snapshot;
	uint32_t snapshot_at;
	struct gs__labels *labels;
	struct gs__names names;
	struct gs_event events[BATCH];
	struct gs_event
		own[OWN]; /* made here, wait for their turn: [own_first, own_first + n_own) */
	uint32_t own_first, n_own;
	int64_t watermark_ns, gauge_interval_ns, next_gauge_ns, next_look_ns;
	enum gs_probe_wakeup wakeup;
	bool no_snapshot;
	bool stop_asked, ended, over_budget;
	int target_exit;
	struct gs_stream_stats stats;
	struct gs_incomplete_list lasting; /* what is known once and for all */
	struct rusage self_begin;
	clockid_t target_clock;
	bool has_clock;
	int64_t target_cpu_begin_ns, target_cpu_ns;
	const char *functions[GS_PLAN_FUNCTIONS_MAX];
};

static struct live *live_of(struct gs_event_source *s)
{
	return (struct live *)s;
}

static int64_t clock_ns(clockid_t c)
{
	struct timespec ts;

	return clock_gettime(c, &ts) == 0 ? (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec : 0;
}

static int64_t timeval_ns(struct timeval t)
{
	return (int64_t)t.tv_sec * 1000000000 + (int64_t)t.tv_usec * 1000;
}

/* ---- numbers ---- */

static void look_at_cpu(struct live *l)
{
	int64_t now = l->has_clock ? clock_ns(l->target_clock) : 0;

	/* The clock of a process that is gone says 0: what was last seen stays. */
	if (now > l->target_cpu_begin_ns)
		l->target_cpu_ns = now - l->target_cpu_begin_ns;
}

/* Sites of one function and placement are one line: a function may have many returns. */
static struct gs_probe_cost *line_of(struct gs_stream_stats *st, const struct gs_probe_site *s)
{
	const char *placement = gs_probe_placement_name(s->placement);

	for (uint32_t i = 0; i < st->n_probes; i++)
		if (strcmp(st->probe[i].name, s->function) == 0 &&
		    strcmp(st->probe[i].placement, placement) == 0)
			return &st->probe[i];
	if (st->n_probes == GS_PROBES_MAX)
		return NULL;
	struct gs_probe_cost *c = &st->probe[st->n_probes++];

	*c = (struct gs_probe_cost){ .name = s->function, .placement = placement };
	return c;
}

static void sum_probes(struct live *l)
{
	struct gs_stream_stats *st = &l->stats;

	st->n_probes = 0;
	for (uint32_t i = 0; i < l->plan.n_sites; i++) {
		const struct gs_probe_site *s = &l->plan.site[i];
		struct gs_probe_cost *c = line_of(st, s);

		if (!c)
			continue;
		c->hits += l->counts.hits[i];
		c->cost_ns = gs_probe_site_cost_ns(&l->costs, s, l->plan.config.want);
		c->detached = l->budget.detached & 1u << s->group;
	}
}

/* What is missing by the counters of now. */
static void list_missing(struct live *l)
{
	struct gs_incomplete_list *inc = &l->stats.incomplete;
	const struct gs_wire_counters *c = &l->counts.total;
	uint64_t full = c->ring_full[GS_WIRE_RING_GO] + c->ring_full[GS_WIRE_RING_KERNEL];

	*inc = l->lasting;
	gs_incomplete_add(inc, "events_lost", full,
			  "more came than gosonde could read in time: a ring was full");
	gs_incomplete_add(inc, "events_lost", l->order.dropped,
			  "more came than gosonde keeps in memory while it orders them");
	gs_incomplete_add(inc, "events_lost", c->threads_full, "the table of threads was full");
	gs_incomplete_add(inc, "events_lost", l->counts.missed,
			  "the kernel did not run a program because one was running already");
	gs_incomplete_add(inc, "stacks_lost", c->ring_full[GS_WIRE_RING_STACK] + l->stacks.refused,
			  "there were too many different stacks");
	gs_incomplete_add(inc, "stacks_missing", c->stacks_missing,
			  "pages of the stack were not in memory");
	gs_incomplete_add(inc, "reads_failed", c->reads_failed,
			  "memory of the target could not be read by a probe");
	gs_incomplete_add(inc, "events_late", l->order.late,
			  "came up to %" PRIu64 " us too late to be put in order",
			  l->order.most_late_ns / 1000);
	gs_incomplete_add(inc, "records_rejected", l->counts.rejected + l->decoder.unknown,
			  "a program wrote what gosonde does not understand: a fault of gosonde");
	if (l->stacks.ksyms_why[0])
		gs_incomplete_add(inc, "kernel_frames_unnamed", l->stacks.kernel_unnamed, "%s",
				  l->stacks.ksyms_why);
}

static void update_stats(struct live *l)
{
	struct gs_stream_stats *st = &l->stats;
	const struct gs_wire_counters *c = &l->counts.total;
	struct rusage ru;

	st->produced = st->lost = 0;
	for (int i = 0; i < GS_WIRE_RINGS; i++) {
		st->produced += c->produced[i];
		st->lost += c->ring_full[i];
	}
	st->lost += l->order.dropped;
	st->target_cpu_ns = l->target_cpu_ns;
	st->target_cost_ns = l->budget.total_cost_ns;
	st->thinned_log2 = l->budget.thin_log2;
	st->target_exit = l->target_exit;
	if (getrusage(RUSAGE_SELF, &ru) == 0) {
		st->self_cpu_ns = timeval_ns(ru.ru_utime) + timeval_ns(ru.ru_stime) -
				  timeval_ns(l->self_begin.ru_utime) -
				  timeval_ns(l->self_begin.ru_stime);
	}
	st->self_rss_bytes = gs__self_rss_bytes();
	sum_probes(l);
	list_missing(l);
}

/* ---- looks ---- */

/* What each group of probes tells; those of GS_GROUP_LIFE are never detached. */
static uint32_t unseen_without(enum gs_probe_group g)
{
	static const uint32_t unseen[GS_GROUP_COUNT] = {
		[GS_GROUP_REQUESTS] = GS_UNSEEN_REQUESTS, [GS_GROUP_THREADS] = GS_UNSEEN_THREADS,
		[GS_GROUP_RUNTIME] = GS_UNSEEN_RUNTIME,   [GS_GROUP_LOCKS] = GS_UNSEEN_LOCKS,
		[GS_GROUP_FAULTS] = GS_UNSEEN_FAULTS,     [GS_GROUP_CGO] = GS_UNSEEN_CGO,
		[GS_GROUP_SYSCALLS] = GS_UNSEEN_SYSCALLS,
	};

	return (unsigned int)g < GS_GROUP_COUNT ? unseen[g] : 0;
}

static bool is_detached(const struct live *l, enum gs_probe_group g)
{
	return l->budget.detached & 1u << g;
}

/* An event that is no record: it is handed out in its turn, the oldest first. NULL: too many wait. */
static struct gs_event *add_own(struct live *l, int64_t t_ns, enum gs_event_kind kind)
{
	struct gs_event *e = &l->own[(l->own_first + l->n_own) % OWN];

	if (l->n_own == OWN)
		return NULL;
	l->n_own++;
	*e = (struct gs_event){ .t_ns = t_ns, .kind = (uint16_t)kind };
	return e;
}

/* Told as of the moment before it happens: from then on what comes is not all. */
static int thin(struct live *l, struct gs_err *err)
{
	struct gs_event *e = add_own(l, gs_now_ns(), GS_EV_THINNED);

	if (e)
		e->thinned.mask = (UINT32_C(1) << l->budget.thin_log2) - 1;
	return gs_probe_session_thin(l->session, l->budget.thin_log2, err);
}

static int detach(struct live *l, enum gs_probe_group group, struct gs_err *err)
{
	struct gs_event *e = add_own(l, gs_now_ns(), GS_EV_DETACHED);

	for (int g = 0; e && g < GS_GROUP_COUNT; g++)
		if (is_detached(l, (enum gs_probe_group)g))
			e->detached.unseen |= unseen_without((enum gs_probe_group)g);
	gs_incomplete_add(&l->lasting, "probes_detached", 1,
			  "%s: probes cost more than %g%% of the target's CPU; %s",
			  gs_probe_group_name(group), l->budget.max_share * 100,
			  gs_probe_group_loss(group));
	return gs_probe_session_detach(l->session, group, err);
}

static int take_away(struct live *l, enum gs_budget_action action, enum gs_probe_group group,
		     struct gs_err *err)
{
	double percent = l->budget.max_share * 100;

	switch (action) {
	case GS_BUDGET_THIN:
		return thin(l, err);
	case GS_BUDGET_DETACH:
		return detach(l, group, err);
	case GS_BUDGET_STOP:
		gs_incomplete_add(&l->lasting, "ended_early", 1,
				  "even the fewest probes cost more than %g%% of the target's CPU. "
				  "Allow more with --max-overhead",
				  percent);
		l->over_budget = true;
		return 0;
	case GS_BUDGET_NONE:
		break;
	}
	return 0;
}

/* @act: also do what the budget says. */
static int look_at_budget(struct live *l, bool act, struct gs_err *err)
{
	enum gs_probe_group group = GS_GROUP_LIFE;
	int r = gs_probe_session_counts(l->session, &l->counts, err);

	if (r < 0)
		return r;
	look_at_cpu(l);
	if (!act) {
		gs_budget_count(&l->budget, l->counts.hits, l->target_cpu_ns, gs_now_ns());
		return 0;
	}
	enum gs_budget_action action =
		gs_budget_look(&l->budget, l->counts.hits, l->target_cpu_ns, gs_now_ns(), &group);

	return take_away(l, action, group, err);
}

static void make_gauge(struct live *l, int64_t now)
{
	struct gs_rt_sched s;
	struct gs_event *e;

	/* Half of the room stays for what must be told. */
	if (l->n_own > OWN / 2 || gs_rt_sched_read(l->rt, &s, NULL) < 0)
		return;
	e = add_own(l, now, GS_EV_GAUGE);
	e->gauge.heap_live_bytes = s.heap_live_bytes;
	e->gauge.heap_goal_bytes = s.heap_goal_bytes;
	e->gauge.runnable_global = s.runnable_global;
	e->gauge.runnable_local = s.runnable_local;
	e->gauge.goroutines = s.goroutines;
	e->gauge.gomaxprocs = s.gomaxprocs;
	e->gauge.idle_ps = s.idle_ps;
	e->gauge.threads = s.threads;
}

/* What is done from time to time. @return 0 or a failure. */
static int periodic(struct live *l, struct gs_err *err)
{
	int64_t now = gs_now_ns();

	if (l->gauge_interval_ns && now >= l->next_gauge_ns) {
		make_gauge(l, now);
		l->next_gauge_ns = now + l->gauge_interval_ns;
	}
	if (now < l->next_look_ns)
		return 0;
	l->next_look_ns = now + LOOK_NS;
	if (!l->target_exit && gs_target_alive(l->target, NULL) < 0)
		l->target_exit = 1;
	return look_at_budget(l, true, err);
}

/* ---- reading ---- */

static void on_record(void *ctx, enum gs_wire_ring ring, const struct gs_wire_head *h, size_t size)
{
	struct live *l = ctx;

	if (ring == GS_WIRE_RING_STACK) {
		gs__stacks_add(&l->stacks, (const struct gs_wire_stack *)(const void *)h);
		return;
	}
	if (h->kind == GS_WIRE_PROCESS) {
		const struct gs_wire_process *p = (const void *)h;

		if (p->what == GS_WIRE_PROCESS_EXIT)
			l->target_exit = 1;
		else if (p->what == GS_WIRE_PROCESS_EXEC)
			l->target_exit = 2;
	}
	gs__order_add(&l->order, ring, h, h->size);
}

static void drain(void *ctx)
{
	struct live *l = ctx;

	/* A failure shows again at the next read, which reports it. */
	(void)!gs_probe_session_read(l->session, 0, on_record, l, NULL);
}

/* What a thread still waits for, as if it came back at the end. */
static void on_open_state(void *ctx, enum gs_wire_ring ring, const struct gs_wire_head *h,
			  size_t size)
{
	struct live *l = ctx;
	struct gs_wire_off_cpu w = { 0 };

	memcpy(&w, h, h->size < sizeof(w) ? h->size : sizeof(w));
	w.h.ts_ns = (uint64_t)l->stats.end_ns;
	if (w.off_ns < w.h.ts_ns)
		gs__order_add(&l->order, ring, &w.h, h->size);
}

/* No more events will be made: take what the rings hold and what is still going on. Detaching takes a
 * while in which more and more is missing; what comes from then on is left out. */
static int end(struct live *l, struct gs_err *err)
{
	l->stats.end_ns = gs_now_ns();
	gs_probe_session_stop(l->session);
	l->ended = true;
	for (int i = 0; i < LAST_READS; i++) {
		int64_t n = gs_probe_session_read(l->session, 0, on_record, l, err);

		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
	}
	int r = 0;

	/* Threads were left in the states of when the scheduler's probe was detached. */
	if (!is_detached(l, GS_GROUP_THREADS))
		r = gs_probe_session_open_states(l->session, on_open_state, l, err);
	if (r == 0)
		r = look_at_budget(l, false, err);
	gs__order_release(&l->order, (uint64_t)l->stats.end_ns + 1);
	gs_incomplete_add(&l->lasting, "thinned", l->budget.thin_log2 != 0,
			  "to stay below %g%% of the target's CPU only one of %u goroutines was "
			  "followed at the end",
			  l->budget.max_share * 100, 1u << l->budget.thin_log2);
	return r < 0 ? r : 0;
}

/* Read once, at most until @deadline_ns. */
static int pump(struct live *l, int64_t deadline_ns, struct gs_err *err)
{
	int64_t begin, wait_ns, n;
	int r;

	gs__order_compact(&l->order);
	if (l->order.most_late_ns > (uint64_t)l->watermark_ns && l->watermark_ns < WATERMARK_MAX_NS)
		l->watermark_ns *= 2;
	r = periodic(l, err);
	if (r < 0)
		return r;
	if (l->stop_asked || l->target_exit || l->over_budget)
		return end(l, err);
	begin = gs_now_ns();
	wait_ns = deadline_ns > begin ? deadline_ns - begin : 0;
	if (wait_ns > l->next_look_ns - begin)
		wait_ns = l->next_look_ns > begin ? l->next_look_ns - begin : 0;
	/* What waits for the watermark must not wait for the next record; who reads in batches is patient. */
	if (l->wakeup != GS_WAKE_BATCH && wait_ns > l->watermark_ns &&
	    gs__order_first_ns(&l->order) != UINT64_MAX)
		wait_ns = l->watermark_ns;
	n = gs_probe_session_read(l->session, wait_ns, on_record, l, err);
	if (n < 0)
		return (int)n;
	gs__order_release(&l->order, (uint64_t)(begin - l->watermark_ns));
	l->stats.end_ns = begin;
	return 0;
}

static bool own_is_next(const struct live *l)
{
	if (!l->n_own)
		return false;
	uint64_t t = (uint64_t)l->own[l->own_first].t_ns;

	return t <= gs__order_next_ns(&l->order) && t < l->order.release_ns;
}

static void take_own(struct live *l, struct gs_event *ret)
{
	*ret = l->own[l->own_first];
	l->own_first = (l->own_first + 1) % OWN;
	l->n_own--;
	if (ret->kind == GS_EV_THINNED)
		l->decoder.thin_mask = ret->thinned.mask;
	else if (ret->kind == GS_EV_DETACHED)
		l->decoder.unseen = ret->detached.unseen;
}

/* Fill the batch with what may be handed out. */
static size_t fill(struct live *l)
{
	size_t n = 0;

	while (n < BATCH && l->snapshot_at < l->snapshot.n)
		n += gs__snapshot_event(&l->snapshot, l->snapshot_at++, l->stats.begin_ns,
					&l->events[n]);
	if (l->snapshot_at && l->snapshot_at == l->snapshot.n && n < BATCH) {
		gs__snapshot_deinit(&l->snapshot);
		l->snapshot_at = 0;
	}
	while (n + 2 <= BATCH) {
		if (own_is_next(l)) {
			take_own(l, &l->events[n++]);
			continue;
		}
		const struct gs_wire_head *h = gs__order_take(&l->order);

		if (!h)
			break;
		if (l->order.gap) {
			l->events[n] = (struct gs_event){ .t_ns = (int64_t)l->order.last_ns,
							  .kind = GS_EV_LOST };
			l->events[n++].lost.count = l->order.gap;
		}
		if (!gs__decode(&l->decoder, h, &l->events[n]))
			continue;
		l->events[n].t_ns = (int64_t)l->order.last_ns; /* its own, unless it came late */
		n++;
	}
	return n;
}

static int live_next(struct gs_event_source *src, int64_t timeout_ns, const struct gs_event **ret,
		     size_t *ret_n, struct gs_err *err)
{
	struct live *l = live_of(src);
	int64_t deadline = gs_now_ns() + timeout_ns;

	for (;;) {
		size_t n = fill(l);
		int r;

		if (n) {
			*ret = l->events;
			*ret_n = n;
			return 0;
		}
		if (l->ended)
			return 2;
		r = pump(l, deadline, err);
		if (r < 0)
			return r;
		if (!l->ended && gs_now_ns() >= deadline &&
		    gs__order_next_ns(&l->order) == UINT64_MAX && !own_is_next(l))
			return 1;
	}
}

/* ---- the rest of the interface ---- */

static const struct gs_stack *live_stack(struct gs_event_source *src, uint32_t id)
{
	return gs__stacks_get(&live_of(src)->stacks, id);
}

static const char *live_object_name(struct gs_event_source *src, gs_addr addr)
{
	struct live *l = live_of(src);

	return gs__names_object(&l->names, l->rt, addr);
}

static const char *live_lock_name(struct gs_event_source *src, gs_addr addr,
				  const struct gs_stack *stack)
{
	struct live *l = live_of(src);

	return stack ? gs__names_lock(&l->names, gs_target_exe_fd(l->target), stack) : NULL;
}

static uint32_t live_labels(struct gs_event_source *src, uint64_t goid, const struct gs_label **ret)
{
	struct live *l = live_of(src);

	return gs__labels_of(&l->labels, l->rt, goid, ret);
}

static const struct gs_stream_stats *live_stats(struct gs_event_source *src)
{
	struct live *l = live_of(src);

	if (!l->ended && gs_probe_session_counts(l->session, &l->counts, NULL) == 0)
		look_at_cpu(l);
	update_stats(l);
	return &l->stats;
}

static void live_stop(struct gs_event_source *src)
{
	live_of(src)->stop_asked = true;
}

static struct gs_event_source *live_free(struct gs_event_source *src)
{
	struct live *l = live_of(src);

	if (!l)
		return NULL;
	gs_probe_session_free(l->session);
	gs__order_deinit(&l->order);
	gs__snapshot_deinit(&l->snapshot);
	gs__stacks_deinit(&l->stacks);
	gs__labels_free(l->labels);
	gs__names_deinit(&l->names);
	free(l);
	return NULL;
}

/* ---- opening ---- */

static int attach(struct live *l, const struct gs_stream_options *o,
		  const struct gs__libraries *libraries, struct gs_err *err)
{
	const struct gs_target_identity *id = gs_target_identity(l->target);
	struct gs_probe_session_options so = { .pid = id->pid,
					       .exe_fd = gs_target_exe_fd(l->target),
					       .exe_dev = id->exe_dev,
					       .exe_ino = id->exe_ino,
					       .wakeup = o->wakeup };
	const struct gs_probe_missing *missing;
	uint32_t n;
	int r;

	memcpy(so.ring_bytes, o->ring_bytes, sizeof(so.ring_bytes));
	memcpy(so.lib_fd, libraries->fd, sizeof(so.lib_fd));
	gs_probe_costs_measure(&l->costs);
	gs_budget_init(&l->budget, &l->plan, &l->costs, o->max_overhead);
	l->budget.floor_cpus = gs__cpu_limit(l->target);
	r = gs_probe_session_open(&so, &l->plan, &l->features, &l->session, err);
	if (r < 0)
		return r;
	missing = gs_probe_session_missing(l->session, &n);
	for (uint32_t i = 0; i < n; i++)
		gs_incomplete_add(&l->lasting, "probes_missing", 1, "%s: %s", missing[i].what,
				  missing[i].why);
	if (!l->costs.measured)
		gs_incomplete_add(&l->lasting, "costs_estimated", 1,
				  "what a probe costs could not be measured here; figures are of a "
				  "typical machine");
	return 0;
}

static int look_at_goroutines(struct live *l, struct gs_err *err)
{
	int r = gs__snapshot_take(&l->snapshot, l->rt, &l->stacks, drain, l, &l->lasting, err);

	if (r < 0)
		return r;
	drain(l);
	for (uint32_t i = 0; i < l->snapshot.n; i++) {
		const struct gs__start_state *s = &l->snapshot.v[i];

		/* A thread that ended meanwhile has no entry: nothing to bind. */
		if (s->tid > 0)
			(void)!gs_probe_session_bind(l->session, (uint32_t)s->tid, s->goid, s->g,
						     NULL);
	}
	drain(l);
	/* Programs began to write a moment before opening returned. */
	uint64_t first = gs__order_first_ns(&l->order);

	if (first < (uint64_t)l->stats.begin_ns)
		l->stats.begin_ns = (int64_t)first;
	gs__snapshot_rewind(&l->snapshot, &l->order);
	gs__snapshot_adopt(&l->snapshot, &l->order);
	if (l->no_snapshot)
		gs__snapshot_deinit(&l->snapshot);
	return 0;
}

static void set_clocks(struct live *l, const struct gs_stream_options *o)
{
	l->stats.begin_ns = l->stats.end_ns = gs_now_ns();
	l->stats.begin_unix_ns = clock_ns(CLOCK_REALTIME);
	l->stats.max_overhead = o->max_overhead;
	l->next_look_ns = l->stats.begin_ns + LOOK_NS;
	l->next_gauge_ns = l->stats.begin_ns;
	l->gauge_interval_ns = o->gauge_interval_ns;
	l->watermark_ns = WATERMARK_NS;
	l->has_clock = clock_getcpuclockid(gs_target_identity(l->target)->pid, &l->target_clock) ==
		       0;
	if (l->has_clock)
		l->target_cpu_begin_ns = clock_ns(l->target_clock);
}

static void list_refused(struct live *l)
{
	for (uint32_t i = 0; i < l->plan.n_refused; i++)
		gs_incomplete_add(&l->lasting, "probes_refused", 1, "%s: %s",
				  l->plan.refused[i].function, l->plan.refused[i].why);
}

static int open_all(struct live *l, const struct gs_stream_options *o,
		    const struct gs__libraries *libraries, struct gs_err *err)
{
	int r = gs__stream_plan(l->target, l->rt, &o->wish, libraries, &l->plan, err);
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	if (r < 0)
		return r;
	l->plan.config.tgid = (uint32_t)gs_target_identity(l->target)->pid;
	list_refused(l);
	(void)getrusage(RUSAGE_SELF, &l->self_begin); /* zeros are the begin of the process */
	r = gs__order_init(&l->order, cpus > 0 ? (uint32_t)cpus : 1, STAGING_MAX, err);
	if (r == 0)
		r = gs__stacks_init(&l->stacks, l->rt, err);
	if (r < 0)
		return r;
	gs__decoder_init(&l->decoder, l->rt, &l->stacks);
	r = attach(l, o, libraries, err);
	if (r < 0)
		return r;
	set_clocks(l, o);
	/* The first look is what later ones are compared with. */
	r = look_at_budget(l, false, err);
	if (r == 0 && (o->wish.want & GS_PROBE_WANT_GOROUTINES))
		r = look_at_goroutines(l, err);
	return r;
}

int gs_stream_live_open(struct gs_target *t, struct gs_rt *rt, const struct gs_stream_options *o,
			struct gs_event_source **ret, struct gs_err *err)
{
	struct live *l = calloc(1, sizeof(*l));
	struct gs__libraries libraries = { 0 };
	int r;

	if (!l)
		return gs_fail(err, -ENOMEM, 0, "no memory to watch events");
	l->target = t;
	l->rt = rt;
	l->no_snapshot = o->no_snapshot;
	l->wakeup = o->wakeup;
	l->pub = (struct gs_event_source){ .next = live_next,
					   .stack = live_stack,
					   .object_name = live_object_name,
					   .lock_name = live_lock_name,
					   .labels = live_labels,
					   .stats = live_stats,
					   .stop = live_stop,
					   .free = live_free,
					   .process = &gs_rt_facts(rt)->process,
					   .goarch = gs_rt_facts(rt)->process.goarch };
	if (o->wish.want & GS_PROBE_WANT_DLOPEN && gs_target_kind(t) == GS_TARGET_PROCESS)
		gs__libraries_open(&libraries, t);
	r = open_all(l, o, &libraries, err);
	gs__libraries_close(&libraries);
	if (r < 0) {
		live_free(&l->pub);
		return r;
	}
	for (uint32_t i = 0; i < l->plan.n_functions; i++)
		l->functions[i] = l->plan.function[i];
	l->pub.functions = l->functions;
	l->pub.n_functions = l->plan.n_functions;
	*ret = &l->pub;
	return 0;
}
