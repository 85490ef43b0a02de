/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * gosonde mem --watch. Probes are attached first, so that nothing that happens after the first look is missed; what happened
 * between the two is in both and does no harm, for growth is what the looks differ by, and events only tell who it was.
 * No probes on Go functions are needed: mapping calls and page faults are the kernel's, and the goroutine is found
 * by the thread's registers. The only uprobe is on dlopen of the C library, if there is one.
 */
#include "cli/mem_watch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define STEP_NS 100000000
#define PROGRESS_NS 500000000

static int refuse_core(const struct gs_common *c, struct gs_err *err)
{
	return gs_fail(err, -GS_E_UNSUPPORTED, 0,
		       "%s is a core file, in which nothing grows any more. Without --watch "
		       "`gosonde mem` shows it",
		       c->target);
}

static int open_plain(struct gs_mem_watch *w, const struct gs_common *c, struct gs_err *err)
{
	int r = gs_open_target(c, &w->session.target, err);

	if (r < 0)
		return r;
	if (gs_target_kind(w->session.target) != GS_TARGET_PROCESS)
		return refuse_core(c, err);
	return gs_rt_open(w->session.target, &w->session.rt, err);
}

static int open_stream(struct gs_mem_watch *w, const struct gs_common *c,
		       const struct gs_stream_args *a, int64_t watch_ns, struct gs_err *err)
{
	const struct gs_stream_options so = {
		.wish.want = GS_PROBE_WANT_MAPS | GS_PROBE_WANT_STACKS |
			     GS_PROBE_WANT_FAULT_SAMPLES | GS_PROBE_WANT_DLOPEN,
		.no_snapshot = true,
	};
	int r;

	if (a->no_probes)
		return open_plain(w, c, err);
	r = gs_stream_session_open(c, a, &so, watch_ns, &w->session, err);
	if (r == 0 && !w->session.target)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is a recording, which has no memory to look at. Give a PID or "
			       "=NAME",
			       c->target);
	if (r < 0 && w->session.target && gs_target_kind(w->session.target) == GS_TARGET_CORE)
		return refuse_core(c, err);
	// The target is open: it is probes that cannot be had.
	if ((r == -GS_E_PERMISSION || r == -GS_E_UNSUPPORTED) && w->session.rt) {
		w->without_probes = true;
		snprintf(w->why_without, sizeof(w->why_without), "%.*s",
			 (int)sizeof(w->why_without) - 1, err->text);
		gs_note(c, "no probes: %s", err->text);
		gs_note(c, "going on without: growth is what two looks differ by, and who made it "
			   "is known only from the program's memory profile");
		return 0;
	}
	if (r == 0)
		r = gs_memory_growth_new(w->session.source, &w->growth, err);
	return r;
}

/* ---- waiting ---- */

static void show_progress(const struct gs_common *c, int64_t begin_ns, int64_t end_ns,
			  int64_t *next_ns)
{
	int64_t now = gs_now_ns();

	if (now < *next_ns || !gs_progress_wanted(c))
		return;
	*next_ns = now + PROGRESS_NS;
	fprintf(stderr, "\r\033[K%s: %.0f s of %.0f s", c->cmd->name,
		(double)(now - begin_ns) / 1e9, (double)(end_ns - begin_ns) / 1e9);
}

static int wait_plain(struct gs_mem_watch *w, const struct gs_common *c, int64_t end_ns,
		      struct gs_err *err)
{
	int64_t begin_ns = gs_now_ns(), next_ns = begin_ns + PROGRESS_NS, now;
	int r = 0;

	gs_stream_catch_signals();
	while (r == 0 && !gs_stream_interrupted() && (now = gs_now_ns()) < end_ns) {
		int64_t left = end_ns - now;

		nanosleep(&(struct timespec){ .tv_nsec = left < STEP_NS ? left : STEP_NS }, NULL);
		show_progress(c, begin_ns, end_ns, &next_ns);
		r = gs_target_alive(w->session.target, err);
	}
	if (gs_progress_wanted(c))
		fputs("\r\033[K", stderr);
	return r;
}

static int wait_events(struct gs_mem_watch *w, const struct gs_common *c, struct gs_err *err)
{
	const struct gs_event *e;
	size_t n;
	int r;

	for (;;) {
		r = gs_stream_session_next(&w->session, c, &e, &n, err);
		if (r == 0)
			r = gs_memory_growth_add(w->growth, e, n, err);
		if (r != 0)
			return r < 0 ? r : 0;
	}
}

/* ---- the result ---- */

static bool has(const struct gs_incomplete_list *l, const char *what)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (strcmp(l->item[i].what, what) == 0)
			return true;
	return false;
}

/* Some stacks are always lost, and few of them change the answer. */
static bool matters(const struct gs_mem_watch *w, const char *what)
{
	return (strcmp(what, "stacks_missing") != 0 && strcmp(what, "stacks_lost") != 0) ||
	       gs_memory_lacks_stacks(&w->result);
}

static void add_missing(struct gs_mem_watch *w, const struct gs_incomplete_list *from)
{
	for (uint32_t i = 0; from && i < from->n; i++)
		if (!has(&w->missing, from->item[i].what) && matters(w, from->item[i].what))
			gs_incomplete_add(&w->missing, from->item[i].what, from->item[i].count,
					  "%s", from->item[i].why);
}

static void complete(struct gs_mem_watch *w, const struct gs_stream_args *a)
{
	w->result = *gs_memory_result(w->after);
	add_missing(w, w->result.incomplete);
	if (w->session.source)
		add_missing(w, &w->session.source->stats(w->session.source)->incomplete);
	if (!w->growth)
		gs_incomplete_add(
			&w->missing, "watched_without_probes", 1,
			"growth is what two looks differ by; who made it is not known%s%s",
			w->without_probes && !a->no_probes ? ": " : "", w->why_without);
	w->result.incomplete = &w->missing;
}

int gs_mem_watch_run(struct gs_mem_watch *w, const struct gs_common *c,
		     const struct gs_stream_args *a, const struct gs_memory_options *o,
		     int64_t watch_ns, struct gs_err *err)
{
	int64_t begin_ns;
	int r = open_stream(w, c, a, watch_ns, err);

	if (r == 0)
		r = gs_memory_look(w->session.target, w->session.rt, o, &w->before, err);
	if (r != 0)
		return r;
	begin_ns = gs_now_ns();
	w->session.deadline_ns = begin_ns + watch_ns; // not of attaching
	r = w->growth ? wait_events(w, c, err) : wait_plain(w, c, begin_ns + watch_ns, err);
	if (r == 0)
		r = gs_target_alive(w->session.target, err);
	if (r == 0)
		r = gs_memory_look(w->session.target, w->session.rt, o, &w->after, err);
	if (r == 0)
		r = gs_memory_compare(w->before, w->after, w->growth, gs_now_ns() - begin_ns, err);
	if (r == 0)
		complete(w, a);
	return r;
}

void gs_mem_watch_close(struct gs_mem_watch *w)
{
	gs_memory_look_free(w->before);
	gs_memory_look_free(w->after);
	gs_memory_growth_free(w->growth);
	gs_stream_session_close(&w->session);
	*w = (struct gs_mem_watch){ 0 };
}
