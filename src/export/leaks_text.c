/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * leaks as text. The verdict first, then findings, most goroutines first:
 *
 *	shop (PID 4711, go1.26.10): 312 of 1,204 goroutines will never run again
 *
 *	300 goroutines  chan receive  unreachable, high
 *	    blocked on channel 0xc000123000, unbuffered, 1 goroutine receives; nothing that can run refers to it
 *	    for about 12m05s; stacks 614 KiB, and 2.3 MiB of heap that only they keep
 *	    goroutines 18, 19, 22, 31, …
 *	    main.(*Hub).wait        /src/hub.go:41
 *	    created by main.serve   /src/main.go:77
 *
 * Names are foreign and go out escaped; lines are cut to the terminal's width.
 */
#include <inttypes.h>
#include <stdio.h>

#include "export/leaks_export.h"
#include "export/text_lines.h"
#include "model/func_name.h"

#define IDS_SHOWN 8u

static const char *bytes_text(char buf[24], uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	size_t i = 0;

	while (v >= 1023.5 && i + 1 < GS_ARRAY_SIZE(units)) {
		v /= 1024;
		i++;
	}
	snprintf(buf, 24, "%.*f %s", i && v < 9.95 ? 1 : 0, v, units[i]);
	return buf;
}

static const char *time_text(char buf[24], int64_t ns)
{
	double s = (double)ns / 1e9;

	if (s < 9.95)
		snprintf(buf, 24, "%.1f s", s);
	else if (s < 119.5)
		snprintf(buf, 24, "%.0f s", s);
	else if (s < 7200)
		snprintf(buf, 24, "%.0f min", s / 60);
	else if (s < 172800)
		snprintf(buf, 24, "%.0f h", s / 3600);
	else
		snprintf(buf, 24, "%.0f days", s / 86400);
	return buf;
}

/* "1,204" */
static void put_count(struct gs__lines *t, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			gs_out_char(&t->line, ',');
		gs_out_char(&t->line, digits[i]);
	}
}

static void put_goroutines(struct gs__lines *t, uint64_t n)
{
	put_count(t, n);
	gs_out_str(&t->line, n == 1 ? " goroutine" : " goroutines");
}

/* ---- the head ---- */

static void put_process(struct gs__lines *t, const struct gs_leaks_result *r)
{
	gs__put_name(t, r->process && r->process->service && r->process->service[0]
				? r->process->service
				: "process");
	if (!r->process)
		return;
	gs_out_str(&t->line, " (");
	if (r->process->pid > 0)
		gs_out_printf(&t->line, "PID %d, ", r->process->pid);
	gs__put_name(t, r->process->go_version ? r->process->go_version : "unknown release");
	gs_out_char(&t->line, ')');
}

static uint64_t findings_of(const struct gs_leaks_result *r, enum gs_leak_kind k,
			    uint64_t *ret_count)
{
	uint64_t n = 0;

	*ret_count = 0;
	for (uint32_t i = 0; i < r->n_leaks; i++) {
		if (r->leaks[i].kind != k)
			continue;
		n++;
		*ret_count += r->leaks[i].count;
	}
	return n;
}

static void head(struct gs__lines *t, const struct gs_leaks_result *r)
{
	uint64_t unreachable, connection, growth, sites;

	(void)findings_of(r, GS_LEAK_UNREACHABLE, &unreachable);
	(void)findings_of(r, GS_LEAK_CONNECTION, &connection);
	sites = findings_of(r, GS_LEAK_GROWTH, &growth);
	put_process(t, r);
	gs_out_str(&t->line, ": ");
	if (r->n_leaks == 0) {
		gs_out_str(&t->line, "no leaks found in ");
		put_goroutines(t, r->goroutines);
	}
	if (unreachable) {
		put_count(t, unreachable);
		gs_out_str(&t->line, " of ");
		put_goroutines(t, r->goroutines);
		gs_out_str(&t->line, " will never run again");
	}
	if (connection) {
		gs_out_str(&t->line, unreachable ? ", " : "");
		put_goroutines(t, connection);
		gs_out_str(&t->line, connection == 1 ? " outlived its connection"
						     : " outlived their connections");
	}
	if (sites)
		gs_out_printf(&t->line, "%s%" PRIu64 " go statement%s only more and more",
			      unreachable || connection ? ", " : "", sites,
			      sites == 1 ? " has" : "s have");
	gs__put_line(t, r->n_leaks ? GS__ALARM : GS__BOLD);
}

/* ---- findings ---- */

static void put_frame(struct gs__lines *t, const char *before, const struct gs_frame *f)
{
	const struct gs_func_name n =
		gs_func_name_split(f->function, t->go_minor == 0 || t->go_minor >= 27);

	gs_out_printf(&t->line, "    %s", before);
	for (unsigned int i = 0; i < n.n; i++)
		gs_out_name(&t->line, n.piece[i], n.len[i]);
	if (n.n == 0 || !f->function[0])
		gs_out_hex(&t->line, f->pc);
	if (f->file[0]) {
		gs_out_str(&t->line, "  ");
		gs__put_name(t, f->file);
		if (f->line)
			gs_out_printf(&t->line, ":%u", f->line);
	}
	gs__put_line(t, GS__PLAIN);
}

/* At most @most frames; 0: all. */
static void put_stack(struct gs__lines *t, const struct gs_leak *l, unsigned int most)
{
	const struct gs_stack *s = l->stack;
	unsigned int shown = 0, left = 0;
	bool all = true;

	for (uint32_t i = 0; s && i < s->n_frames; i++)
		all = all && s->frames[i].flags & GS_FRAME_HIDDEN;
	for (uint32_t i = 0; s && i < s->n_frames; i++) {
		if (!all && s->frames[i].flags & GS_FRAME_HIDDEN)
			continue;
		if (most && shown == most) {
			left++;
			continue;
		}
		put_frame(t, "", &s->frames[i]);
		shown++;
	}
	if (left) {
		gs_out_printf(&t->line, "    … %u more", left);
		gs__put_line(t, GS__DIM);
	}
	if (l->created_by)
		put_frame(t, "created by ", l->created_by);
}

static void put_ids(struct gs__lines *t, const struct gs_leak *l)
{
	gs_out_printf(&t->line, "    goroutine%s", l->count == 1 ? "" : "s");
	for (uint32_t i = 0; i < l->n_ids && i < IDS_SHOWN; i++)
		gs_out_printf(&t->line, "%s %" PRIu64, i ? "," : "", l->goroutine_ids[i]);
	if (l->count > IDS_SHOWN)
		gs_out_str(&t->line, ", …");
	gs__put_line(t, GS__PLAIN);
}

static void put_unreachable(struct gs__lines *t, const struct gs_leak *l)
{
	char a[24];

	gs_out_str(&t->line,
		   l->many_objects ? "    blocked, each on its own, such as " : "    blocked on ");
	gs__put_name(t, l->blocked_on ? l->blocked_on : "something");
	gs__put_line(t, GS__PLAIN);
	gs_out_str(&t->line, "    ");
	if (l->longest_wait_ns >= 0)
		gs_out_printf(&t->line, "for about %s; ", time_text(a, l->longest_wait_ns));
	gs_out_printf(&t->line, "stacks %s", bytes_text(a, l->stack_bytes));
	if (l->held_bytes != UINT64_MAX)
		gs_out_printf(&t->line, ", and %s of heap that only %s",
			      bytes_text(a, l->held_bytes),
			      l->count == 1 ? "it keeps" : "they keep");
	gs__put_line(t, GS__PLAIN);
}

static void put_connection(struct gs__lines *t, const struct gs_leak *l)
{
	char a[24];

	gs_out_str(&t->line, "    ");
	gs__put_name(t, l->role ? l->role : "connection");
	if (l->fd >= 0)
		gs_out_printf(&t->line, ", fd %d", l->fd);
	if (l->peer) {
		gs_out_str(&t->line, ", peer ");
		gs__put_name(t, l->peer);
	}
	if (l->socket_state) {
		gs_out_str(&t->line, ": ");
		gs__put_name(t, l->socket_state);
	}
	if (l->closed_ns >= 0)
		gs_out_printf(&t->line, " for %s%s", l->closed_at_least ? "at least " : "",
			      time_text(a, l->closed_ns));
	gs__put_line(t, GS__PLAIN);
}

static void put_growth(struct gs__lines *t, const struct gs_leak *l)
{
	bool any = false;

	gs_out_printf(&t->line,
		      "    from %" PRIu64 ", %.2g more a second; most are stuck here. Ages:",
		      l->count_before, l->per_second);
	for (unsigned int i = 0; i < GS_LEAK_AGES; i++) {
		if (!l->ages[i])
			continue;
		gs_out_printf(&t->line, "%s %s %" PRIu64, any ? "," : "", gs_leak_age_name(i),
			      l->ages[i]);
		any = true;
	}
	gs__put_line(t, GS__PLAIN);
}

static void finding(struct gs__lines *t, const struct gs_leak *l, unsigned int frames)
{
	gs__put_line(t, GS__PLAIN);
	put_goroutines(t, l->count);
	gs_out_str(&t->line, "  ");
	gs__put_name(t, l->wait_reason ? l->wait_reason : l->state ? l->state : "");
	gs_out_printf(&t->line, "  %s, %s", gs_leak_kind_name(l->kind),
		      gs_leak_confidence_name(l->confidence));
	gs__put_line(t, GS__BOLD);
	if (l->kind == GS_LEAK_UNREACHABLE)
		put_unreachable(t, l);
	else if (l->kind == GS_LEAK_CONNECTION)
		put_connection(t, l);
	else
		put_growth(t, l);
	put_ids(t, l);
	put_stack(t, l, frames);
}

static void foot(struct gs__lines *t, const struct gs_leaks_result *r)
{
	char a[24], b[24];

	gs__put_line(t, GS__PLAIN);
	if (r->ran[GS_LEAK_UNREACHABLE]) {
		gs_out_printf(&t->line, "%" PRIu32 " look%s at %s of reachable heap", r->looks,
			      r->looks == 1 ? "" : "s", bytes_text(a, r->heap_bytes_marked));
		gs_out_printf(&t->line, ", %s for the last one", time_text(b, r->mark_ns));
		if (r->candidates_dismissed)
			gs_out_printf(&t->line, "; %" PRIu64 " suspect%s dismissed",
				      r->candidates_dismissed,
				      r->candidates_dismissed == 1 ? "" : "s");
		gs__put_line(t, GS__DIM);
	}
	if (r->ran[GS_LEAK_GROWTH]) {
		gs_out_printf(&t->line, "watched for growth for %s", time_text(a, r->watched_ns));
		gs__put_line(t, GS__DIM);
	}
}

void gs_leaks_text(struct gs_out *o, const struct gs_leaks_result *r,
		   const struct gs_leaks_print *p)
{
	struct gs__lines t;

	gs__lines_init(&t, o, p->colour, p->width, r->process);
	head(&t, r);
	for (uint32_t i = 0; i < r->n_leaks; i++)
		finding(&t, &r->leaks[i], p->frames);
	foot(&t, r);
	gs__lines_deinit(&t);
}
