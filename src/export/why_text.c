/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * why as text:
 *
 *	shop (PID 4711, go1.26.10), watched for 10.0 s: 812 requests, p50 1.20 ms, p90 45.0 ms, p99 180 ms, max 212 ms
 *
 *	FIRST CAUSE of the 82 slow requests (9.80 s together): the slowest tenth of each route, from 10.0 ms
 *	  83 %   8.10 s  fsync of ledger.db in store.(*Ledger).flush ledger.go:77, on POST /checkout
 *	                 7.20 s of it: waited for mutex 0xc00012 in store.(*Ledger).Append ledger.go:41
 *
 *	ROUTES …
 *
 *	SLOWEST
 *	POST /checkout  212 ms  goroutine 4711  status 200  (typical: 48.0 ms)
 *	  85 %    180 ms  300 us  waited for mutex 0xc00012 in store.(*Ledger).Append ledger.go:41
 *	                          held by goroutine 98 (releasing it in …), who meanwhile:
 *	            97 %    175 ms  fsync of ledger.db in store.(*Ledger).flush ledger.go:77
 *
 * Lines are put together in memory, cut to the terminal's width and then written. The tree is walked with a bounded depth
 * (blame.c), and what is too small to matter is left out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "export/text_lines.h"
#include "export/why_export.h"
#include "model/result.h"

#define CAUSES_MAX 5u
#define CAUSES_SHARE 0.01 /* smaller ones are left out */
#define MACHINE_SHARE 0.1
#define ROUTES_MAX 15u
#define CHILDREN_MAX 6u
#define CHILD_SHARE 0.01 /* of the request */

static void put_percent(struct gs__lines *t, double share)
{
	gs_out_printf(&t->line, "%4.*f %%", share > 0 && share < 0.095 ? 1 : 0, 100 * share);
}

static void head(struct gs__lines *t, const struct gs_why_result *r)
{
	const struct gs_why_spread *d = &r->duration;
	char a[24], b[24], c[24], e[24];

	gs__put_name(t, r->process && r->process->service && r->process->service[0]
				? r->process->service
				: "process");
	if (r->process) {
		gs_out_printf(&t->line, " (PID %d", r->process->pid);
		if (r->process->go_version) {
			gs_out_str(&t->line, ", ");
			gs__put_name(t, r->process->go_version);
		}
		gs_out_char(&t->line, ')');
	}
	gs_out_printf(&t->line, ", watched for %s: %" PRIu64 " %s%s", gs_why_time(a, r->watched_ns),
		      d->count, r->functions ? "call" : "request", d->count == 1 ? "" : "s");
	if (d->count)
		gs_out_printf(&t->line, ", p50 %s, p90 %s, p99 %s, max %s",
			      gs_why_time(a, d->p50_ns), gs_why_time(b, d->p90_ns),
			      gs_why_time(c, d->p99_ns), gs_why_time(e, d->max_ns));
	gs__put_line(t, GS__BOLD);
}

/* ---- causes ---- */

static void put_via(struct gs__lines *t, const struct gs_why_cause *c, uint32_t i)
{
	char a[24];

	if (c->via[i].itself)
		return;
	gs_out_printf(&t->line,
		      "                   %s of it came as: ", gs_why_time(a, c->via[i].ns));
	gs_why_describe(&t->line, &c->via[i].what, t->go_minor);
	gs__put_line(t, GS__PLAIN);
}

static void put_cause(struct gs__lines *t, const struct gs_why_cause *c, bool several_routes)
{
	char a[24];

	gs_out_str(&t->line, "  ");
	put_percent(t, c->share);
	gs_out_printf(&t->line, "  %8s  ", gs_why_time(a, c->ns));
	gs_why_describe(&t->line, &c->what, t->go_minor);
	if (c->route && several_routes && c->route_ns * 10 >= c->ns * 9) {
		gs_out_str(&t->line, ", on ");
		gs__put_name(t, c->route);
	}
	gs__put_line(t, c->stands_out ? GS__ALARM : GS__PLAIN);
	for (uint32_t i = 0; i < c->n_vias; i++)
		if (c->via[i].ns * 20 >= c->ns)
			put_via(t, c, i);
}

/* Nothing in the program is to blame for it. */
static void put_machine(struct gs__lines *t, const struct gs_why_cause *c)
{
	char a[24];

	gs_out_str(&t->line, "  ");
	put_percent(t, c->share);
	gs_out_printf(&t->line,
		      "  %8s  waited for a CPU: other programs had it, or a quota was used up",
		      gs_why_time(a, c->ns));
	gs__put_line(t, c->stands_out ? GS__ALARM : GS__PLAIN);
}

static void causes(struct gs__lines *t, const struct gs_why_result *r)
{
	const char *what = r->functions ? "calls" : "requests";
	const char *each = r->functions ? "function" : "route";
	char a[24], b[24];

	gs__put_line(t, GS__PLAIN);
	if (r->slow)
		gs_out_printf(&t->line, "%s of the %" PRIu64 " slow %s (%s together): ",
			      r->stands_out ? "FIRST CAUSE" : "NOTHING STANDS OUT in the time",
			      r->slow, what, gs_why_time(b, r->slow_sum_ns));
	if (r->slow && r->slow_asked)
		gs_out_printf(&t->line, "%s and longer", gs_why_time(a, r->slow_ns));
	else if (r->slow)
		gs_out_printf(&t->line, "the slowest tenth of each %s, from %s", each,
			      gs_why_time(a, r->slow_ns));
	else if (r->duration.count == 0)
		gs_out_printf(&t->line, "No %s ended while watching.", what);
	else if (r->duration.max_ns < r->slow_ns)
		gs_out_printf(&t->line, "NOTHING STANDS OUT: none of the %s took %s or longer.",
			      what, gs_why_time(a, r->slow_ns));
	else
		gs_out_printf(&t->line, "NOTHING STANDS OUT: only few %s took %s or longer.", what,
			      gs_why_time(a, r->slow_ns));
	gs__put_line(t, GS__BOLD);
	if (!r->slow && r->n_causes) {
		gs_out_printf(&t->line, "Where the time of all %s went:", what);
		gs__put_line(t, GS__PLAIN);
	}
	bool machine = r->machine && (r->machine->stands_out || r->machine->share >= MACHINE_SHARE);
	bool machine_first = machine && (!r->n_causes || r->machine->share > r->causes[0].share);
	if (machine_first)
		put_machine(t, r->machine);
	for (uint32_t i = 0; i < r->n_causes && i < CAUSES_MAX; i++)
		if (i == 0 || r->causes[i].share >= CAUSES_SHARE || r->causes[i].stands_out)
			put_cause(t, &r->causes[i], r->n_routes > 1);
	if (machine && !machine_first)
		put_machine(t, r->machine);
}

/* ---- routes ---- */

/* The classes that take most, "mutex 71 %, file_io 20 %". */
static void put_classes(struct gs__lines *t, const int64_t *classes, int64_t whole,
			unsigned int most)
{
	bool done[GS_WHY_CLASSES] = { false };

	for (unsigned int i = 0; i < most; i++) {
		int best = -1;

		for (int c = 0; c < GS_WHY_CLASSES; c++)
			if (!done[c] && (best < 0 || classes[c] > classes[best]))
				best = c;
		if (best < 0 || whole <= 0 || classes[best] * 50 < whole)
			return;
		done[best] = true;
		gs_out_printf(&t->line, "%s%s %.0f %%", i ? ", " : "",
			      gs_why_class_name((enum gs_why_class)best),
			      100 * (double)classes[best] / (double)whole);
	}
}

static void routes(struct gs__lines *t, const struct gs_why_result *r)
{
	char a[24], b[24], c[24], d[24];

	if (!r->n_routes)
		return;
	gs__put_line(t, GS__PLAIN);
	gs_out_printf(&t->line,
		      "   COUNT       p50       p90       p99       max  %s  time went to",
		      r->functions ? "FUNCTION" : "ROUTE");
	gs__put_line(t, GS__BOLD);
	for (uint32_t i = 0; i < r->n_routes && i < ROUTES_MAX; i++) {
		const struct gs_why_route *x = &r->routes[i];
		const struct gs_why_spread *s = &x->duration;

		gs_out_printf(&t->line, "%8" PRIu64 "  %8s  %8s  %8s  %8s  ", s->count,
			      gs_why_time(a, s->p50_ns), gs_why_time(b, s->p90_ns),
			      gs_why_time(c, s->p99_ns), gs_why_time(d, s->max_ns));
		gs__put_name(t, x->route);
		if (x->failed)
			gs_out_printf(&t->line, " (%" PRIu64 " failed)", x->failed);
		gs_out_str(&t->line, "  ");
		put_classes(t, x->classes, s->sum_ns, 4);
		gs__put_line(t, GS__PLAIN);
	}
	if (r->n_routes > ROUTES_MAX) {
		gs_out_printf(&t->line, "          and %u more", r->n_routes - ROUTES_MAX);
		gs__put_line(t, GS__DIM);
	}
}

/* ---- requests ---- */

static void put_holders(struct gs__lines *t, const struct gs_why_blame *b, int indent)
{
	bool lock = b->what.class == GS_WHY_MUTEX || b->what.class == GS_WHY_RWMUTEX;

	if (!b->n_holders)
		return;
	gs_out_printf(&t->line, "%*s%s by goroutine", indent, "", lock ? "held" : "ended");
	for (uint32_t i = 0; i < b->n_holders; i++)
		gs_out_printf(&t->line, "%s %" PRIu64, i ? "," : "", b->holder[i].goid);
	if (b->more_holders)
		gs_out_str(&t->line, " and others");
	if (b->holder_unseen)
		gs_out_str(&t->line, ", for a part by somebody not seen");
	if (b->n_causes)
		gs_out_str(&t->line, ", meanwhile:");
	gs__put_line(t, GS__PLAIN);
}

static void put_tree(struct gs__lines *t, const struct gs_why_blame *b, uint32_t n, int64_t whole,
		     const struct gs_why_request *q, const struct gs_why_request *typical,
		     int indent);

static void put_blame(struct gs__lines *t, const struct gs_why_blame *b, int64_t whole,
		      const struct gs_why_request *q, const char *typical, int indent)
{
	char a[24];

	gs_out_printf(&t->line, "%*s", indent, "");
	put_percent(t, whole > 0 ? (double)b->ns / (double)whole : 0);
	gs_out_printf(&t->line, "  %8s  ", gs_why_time(a, b->ns));
	if (typical)
		gs_out_printf(&t->line, "%8s  ", typical);
	gs_why_describe(&t->line, &b->what, t->go_minor);
	if (b->cut)
		gs_out_str(&t->line, " (not followed further)");
	if (q->flags & GS_WHY_UNFINISHED && b->what.class == GS_WHY_UNKNOWN && !b->what.syscall)
		gs_out_str(&t->line, ": on a CPU, or in a system call since it was last seen");
	gs__put_line(t, GS__PLAIN);
	indent += typical ? 28 : 18;
	put_holders(t, b, indent);
	put_tree(t, b->cause, b->n_causes, b->ns, q, NULL, indent - 6);
}

/* The typical request's time in the class, shown beside the first piece of it. */
static const char *beside(char buf[24], const struct gs_why_blame *b, uint32_t i,
			  const struct gs_why_request *typical)
{
	for (uint32_t k = 0; k < i; k++)
		if (b[k].what.class == b[i].what.class)
			return "";
	return gs_why_time(buf, typical->classes[b[i].what.class]);
}

static void put_tree(struct gs__lines *t, const struct gs_why_blame *b, uint32_t n, int64_t whole,
		     const struct gs_why_request *q, const struct gs_why_request *typical,
		     int indent)
{
	int64_t left_ns = 0;
	uint32_t left = 0;
	char buf[24];

	for (uint32_t i = 0; i < n; i++) {
		bool small = (double)b[i].ns < (double)q->duration_ns * CHILD_SHARE;

		if (i && (i >= CHILDREN_MAX || small)) {
			left_ns += b[i].ns;
			left++;
			continue;
		}
		put_blame(t, &b[i], whole, q, typical ? beside(buf, b, i, typical) : NULL, indent);
	}
	if (left == 0)
		return;
	gs_out_printf(&t->line, "%*s        %8s  %sin %u smaller piece%s", indent, "",
		      gs_why_time(buf, left_ns), typical ? "          " : "", left,
		      left == 1 ? "" : "s");
	gs__put_line(t, GS__DIM);
}

static const struct gs_why_request *typical_of(const struct gs_why_result *r,
					       const struct gs_why_request *q)
{
	for (uint32_t i = 0; i < r->n_routes; i++)
		if (strcmp(r->routes[i].route, q->route) == 0)
			return r->routes[i].typical;
	return NULL;
}

static void put_request(struct gs__lines *t, const struct gs_why_result *r,
			const struct gs_why_request *q)
{
	const struct gs_why_request *typical = q->flags & GS_WHY_UNFINISHED ? NULL
									    : typical_of(r, q);
	char a[24];

	gs__put_name(t, q->route);
	gs_out_printf(&t->line, "  %s  goroutine %" PRIu64, gs_why_time(a, q->duration_ns),
		      q->goid);
	if (q->flags & GS_WHY_UNFINISHED)
		gs_out_str(&t->line, q->flags & GS_WHY_BEFORE
					     ? "  still going on, began before watching"
					     : "  still going on");
	if (q->flags & GS_WHY_ABORTED)
		gs_out_str(&t->line, "  aborted");
	else if (q->status >= 0)
		gs_out_printf(&t->line, "  status %d", q->status);
	if (q->peer[0]) {
		gs_out_str(&t->line, "  from ");
		gs__put_name(t, q->peer);
	}
	if (q->flags & GS_WHY_UNCERTAIN)
		gs_out_str(&t->line, "  (events were lost, or probes taken away: uncertain)");
	if (q->flags & GS_WHY_CUT)
		gs_out_str(&t->line, "  (its beginning is not kept any more)");
	gs__put_line(t, GS__BOLD);
	if (typical) {
		gs_out_printf(&t->line,
			      "   share      time   typical  (of the route: %s, goroutine %" PRIu64
			      ")",
			      gs_why_time(a, typical->duration_ns), typical->goid);
		gs__put_line(t, GS__DIM);
	}
	put_tree(t, q->blame, q->n_blame, q->duration_ns, q, typical, 2);
}

static void requests(struct gs__lines *t, const struct gs_why_result *r, const char *title,
		     const struct gs_why_request *q, uint32_t n)
{
	if (!n)
		return;
	gs__put_line(t, GS__PLAIN);
	gs_out_str(&t->line, title);
	gs__put_line(t, GS__BOLD);
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			gs__put_line(t, GS__PLAIN);
		put_request(t, r, &q[i]);
	}
}

static void put_count(struct gs__lines *t, const struct gs_why_result *r, uint64_t n,
		      const char *what)
{
	if (n == 0)
		return;
	gs_out_printf(&t->line, "%" PRIu64 " %s%s %s", n, r->functions ? "call" : "request",
		      n == 1 ? "" : "s", what);
	gs__put_line(t, GS__PLAIN);
}

static void rest(struct gs__lines *t, const struct gs_why_result *r)
{
	if (r->begun_before || r->aborted || r->uncertain)
		gs__put_line(t, GS__PLAIN);
	put_count(t, r, r->aborted, "aborted: a panic, or the end of the goroutine");
	put_count(t, r, r->uncertain,
		  "uncertain: events were lost meanwhile, or probes taken away");
	put_count(t, r, r->begun_before, "not measured: begun before watching did");
}

void gs_why_text(struct gs_out *o, const struct gs_why_result *r, const struct gs_why_print *p)
{
	struct gs__lines t;
	char title[96];

	gs__lines_init(&t, o, p->colour, p->width, r->process);
	head(&t, r);
	causes(&t, r);
	routes(&t, r);
	requests(&t, r, "SLOWEST", r->slowest, r->n_slowest);
	snprintf(title, sizeof(title), "STILL GOING ON: %" PRIu64 ", longest first",
		 r->unfinished_total);
	requests(&t, r, title, r->unfinished, r->n_unfinished);
	rest(&t, r);
	gs__lines_deinit(&t);
}
