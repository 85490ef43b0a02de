/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* From the command line of why, trace and record to an open stream, and what is said about it: progress while it
 * runs, its cost and its gaps at the end. */
#include "cli/stream_args.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "cli/option_values.h"
#include "cli/target_arg.h"
#include "cli/terminal.h"

#define AGAIN_NS 300000000 /* between looks for a target that ended */
#define PROGRESS_NS 500000000
#define WAIT_NS 100000000

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig; /* all that are caught mean the same */
	interrupted = 1;
}

/* Without SA_RESTART, so that waiting ends. */
void gs_stream_catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

bool gs_stream_interrupted(void)
{
	return interrupted;
}

/* Words that name a file, when that file is a recording. */
static bool is_recording(const struct gs_common *c)
{
	struct gs_err err;
	pid_t pid;

	return gs_target_word(c->target, &pid, &err) == GS_WORD_PATH &&
	       gs_stream_is_recording(c->target);
}

static int open_recording(const struct gs_common *c, const struct gs_stream_args *a,
			  struct gs_stream_session *s, struct gs_err *err)
{
	if (a->dry_run)
		return gs_fail(err, -EINVAL, 0,
			       "--dry-run: %s is a recording, nothing is attached to it",
			       c->target);
	if (c->duration_ns)
		return gs_fail(err, -EINVAL, 0,
			       "-d/--duration: %s is a recording, which ends by "
			       "itself",
			       c->target);
	if (a->functions.n)
		return gs_fail(err, -EINVAL, 0,
			       "--function: %s is a recording. Watch functions when recording",
			       c->target);
	return gs_stream_replay_open(c->target, &s->source, err);
}

static int print_plan(const struct gs_common *c, const struct gs_stream_session *s,
		      const struct gs_stream_options *o, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct gs_probe_plan *plan = calloc(1, sizeof(*plan));
	struct gs_probe_costs costs;
	struct gs_output out;
	int r = plan ? gs_stream_plan(s->target, s->rt, &o->wish, plan, err)
		     : gs_fail(err, -ENOMEM, 0, "no memory for a plan");

	if (r < 0)
		return r;
	gs_probe_costs_measure(&costs);
	r = gs_output_open(&out, c, err);
	if (r < 0)
		return r;
	gs_stream_plan_print(&out.out, c->format && strncmp(c->format, "json", 4) == 0,
			     &gs_rt_facts(s->rt)->process, plan, &costs);
	r = gs_output_close(&out, true, err);
	return r < 0 ? r : 1;
}

/* With probes; where the user or the kernel has none, without, and says so. */
static int open_live(const struct gs_common *c, const struct gs_stream_args *a,
		     const struct gs_stream_options *o, struct gs_stream_session *s,
		     struct gs_err *err)
{
	bool can_look = o->wish.want & GS_PROBE_WANT_GOROUTINES;
	int r;

	if (a->no_probes && !can_look)
		return gs_fail(err, -EINVAL, 0,
			       "--no-probes: on-CPU profiles cannot be had by looking");
	if (a->no_probes)
		return gs_stream_sampled_open(s->target, s->rt, o, &s->source, err);
	r = gs_stream_live_open(s->target, s->rt, o, &s->source, err);
	if ((r != -GS_E_PERMISSION && r != -GS_E_UNSUPPORTED) || !can_look)
		return r;
	gs_note(c, "no probes: %s", err->text);
	gs_note(c, "going on without: goroutines are looked at fifty times a second, times are "
		   "estimates, and who woke whom stays unknown");
	return gs_stream_sampled_open(s->target, s->rt, o, &s->source, err);
}

static int open_process(const struct gs_common *c, const struct gs_stream_args *a,
			const struct gs_stream_options *o, struct gs_stream_session *s,
			struct gs_err *err)
{
	int r = gs_open_target(c, &s->target, err);

	if (r == -GS_E_BAD_DATA)
		return gs_fail(
			err, r, 0,
			"%s is no recording of gosonde. Give a PID, =NAME, or a file that --raw "
			"wrote",
			c->target);
	if (r == 0 && gs_target_kind(s->target) != GS_TARGET_PROCESS)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is a core file, in which nothing happens any more. `gosonde "
			       "dump` shows it",
			       c->target);
	if (r == 0)
		r = gs_rt_open(s->target, &s->rt, err);
	if (r < 0)
		return r;
	if (a->dry_run)
		return print_plan(c, s, o, err);
	return open_live(c, a, o, s, err);
}

static int add_tee(const struct gs_stream_args *a, struct gs_stream_session *s, struct gs_err *err)
{
	struct gs_event_source *tee;
	int r;

	if (!a->raw)
		return 0;
	r = gs_stream_tee_open(s->source, a->raw, &tee, err);
	s->source = r < 0 ? NULL : tee; /* it took ownership */
	return r;
}

int gs_stream_session_open(const struct gs_common *c, const struct gs_stream_args *a,
			   const struct gs_stream_options *o, int64_t default_ns,
			   struct gs_stream_session *ret, struct gs_err *err)
{
	struct gs_stream_options own = *o;
	int64_t duration_ns = c->duration_ns ? c->duration_ns : default_ns;
	int r;

	*ret = (struct gs_stream_session){ .probe_costs = a->probe_costs };
	r = gs_parse_share(a->max_overhead, &own.max_overhead, err);
	if (r < 0)
		return gs_fail_in(err, r, "--max-overhead");
	if (a->functions.n && !own.wish.n_functions) {
		own.wish.functions = a->functions.v;
		own.wish.n_functions = a->functions.n;
		own.wish.want |= GS_PROBE_WANT_FUNCTIONS;
	}
	if (is_recording(c)) {
		r = open_recording(c, a, ret, err);
		duration_ns = 0;
	} else {
		r = open_process(c, a, &own, ret, err);
	}
	if (r == 0)
		r = add_tee(a, ret, err);
	if (r != 0)
		return r;
	gs_stream_catch_signals();
	ret->begin_ns = gs_now_ns();
	ret->next_progress_ns = ret->begin_ns + PROGRESS_NS;
	if (duration_ns)
		ret->deadline_ns = ret->begin_ns + duration_ns;
	return 0;
}

static void clear_progress(struct gs_stream_session *s)
{
	if (s->progress_shown)
		fputs("\r\033[K", stderr);
	s->progress_shown = false;
}

void gs_stream_session_close(struct gs_stream_session *s)
{
	clear_progress(s);
	if (s->source)
		s->source->free(s->source);
	gs_rt_free(s->rt);
	gs_target_free(s->target);
	*s = (struct gs_stream_session){ 0 };
}

static void show_progress(struct gs_stream_session *s, const struct gs_common *c)
{
	int64_t now = gs_now_ns();

	if (now < s->next_progress_ns)
		return;
	s->next_progress_ns = now + PROGRESS_NS;
	if (!gs_progress_wanted(c))
		return;
	double seconds = (double)(now - s->begin_ns) / 1e9;
	const struct gs_stream_stats *st = s->source->stats(s->source);
	char left[40] = "";

	if (s->deadline_ns)
		snprintf(left, sizeof(left), " of %.0f s",
			 (double)(s->deadline_ns - s->begin_ns) / 1e9);
	fprintf(stderr,
		"\r\033[K%s: %.0f s%s, %.0f events/s, %" PRIu64 " requests, %" PRIu64 " lost",
		c->cmd->name, seconds, left, (double)s->events / seconds, s->requests, st->lost);
	s->progress_shown = true;
}

void gs_stream_session_stop(struct gs_stream_session *s)
{
	if (!s->stopping)
		s->source->stop(s->source);
	s->stopping = true;
}

static void count(struct gs_stream_session *s, const struct gs_event *e, size_t n)
{
	s->events += n;
	for (size_t i = 0; i < n; i++)
		s->requests += e[i].kind == GS_EV_CALL_END;
}

int gs_stream_session_next(struct gs_stream_session *s, const struct gs_common *c,
			   const struct gs_event **ret, size_t *ret_n, struct gs_err *err)
{
	for (;;) {
		int64_t now = gs_now_ns(), wait_ns = WAIT_NS;

		if (interrupted || (s->deadline_ns && now >= s->deadline_ns))
			gs_stream_session_stop(s);
		else if (s->deadline_ns && s->deadline_ns - now < wait_ns)
			wait_ns = s->deadline_ns - now;
		int r = s->source->next(s->source, wait_ns, ret, ret_n, err);

		if (r == 0)
			count(s, *ret, *ret_n);
		if (r == 0 || r == 1)
			show_progress(s, c);
		else
			clear_progress(s);
		if (r != 1)
			return r;
	}
}

static double percent(int64_t part, int64_t whole)
{
	return whole > 0 ? 100 * (double)part / (double)whole : 0;
}

static void report_cost(const struct gs_stream_stats *st, const struct gs_common *c)
{
	uint64_t hits = 0;
	char rss[16], thinned[64] = "";

	for (uint32_t i = 0; i < st->n_probes; i++)
		hits += st->probe[i].hits;
	if (st->thinned_log2)
		snprintf(thinned, sizeof(thinned), "; at the end 1 of %u goroutines was followed",
			 1u << st->thinned_log2);
	gs_note(c,
		"cost to the target: %.2g %% of a CPU; %.2g %% of what the target used (%.3f s of "
		"%.3f s in %" PRIu64 " probe hits%s); gosonde itself: %.2f s CPU, %s",
		percent(st->target_cost_ns, st->end_ns - st->begin_ns),
		percent(st->target_cost_ns, st->target_cpu_ns), (double)st->target_cost_ns / 1e9,
		(double)st->target_cpu_ns / 1e9, hits, thinned, (double)st->self_cpu_ns / 1e9,
		gs_text_bytes(rss, st->self_rss_bytes));
}

static void report_probes(const struct gs_stream_stats *st, const struct gs_common *c)
{
	for (uint32_t i = 0; i < st->n_probes; i++) {
		const struct gs_probe_cost *p = &st->probe[i];

		gs_note(c, "  %-50s %-10s %10" PRIu64 " hits x %5.0f ns = %8.3f ms%s", p->name,
			p->placement, p->hits, p->cost_ns, (double)p->hits * p->cost_ns / 1e6,
			p->detached ? ", detached" : "");
	}
}

void gs_stream_session_report(struct gs_stream_session *s, const struct gs_common *c)
{
	const struct gs_stream_stats *st;

	clear_progress(s);
	st = s->source->stats(s->source);
	if (st->target_exit)
		gs_note(c, "the target %s after %.3f s",
			st->target_exit == 2 ? "replaced itself by another program (exec)"
					     : "ended",
			(double)(st->end_ns - st->begin_ns) / 1e9);
	report_cost(st, c);
	if (s->probe_costs)
		report_probes(st, c);
	for (uint32_t i = 0; i < st->incomplete.n; i++)
		gs_note(c, "incomplete: %s: %" PRIu64 " (%s)", st->incomplete.item[i].what,
			st->incomplete.item[i].count, st->incomplete.item[i].why);
}

int gs_stream_session_exit_code(struct gs_stream_session *s)
{
	return s->source->stats(s->source)->incomplete.n ? GS_EXIT_INCOMPLETE : GS_EXIT_OK;
}

bool gs_stream_session_await(const struct gs_stream_session *s, const struct gs_common *c,
			     int64_t until_ns)
{
	int gone = s->source && s->target ? s->source->stats(s->source)->target_exit : 0;

	if (!gone || (gone == 1 && c->target[0] != '='))
		return false;
	gs_note(c, "%s %s; waiting for it", c->target,
		gone == 1 ? "has ended" : "has become another program");
	while (!interrupted && (!until_ns || gs_now_ns() < until_ns)) {
		struct gs_target *t;
		struct gs_rt *rt;
		struct gs_err err;
		bool back = false;

		nanosleep(&(struct timespec){ .tv_nsec = AGAIN_NS }, NULL);
		if (gs_open_target(c, &t, &err) < 0)
			continue;
		if (gs_rt_open(t, &rt, &err) == 0) { // it may have only begun
			gs_rt_free(rt);
			back = true;
		}
		gs_target_free(t);
		if (back)
			return true;
	}
	return false;
}
