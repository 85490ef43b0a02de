/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Texts of `gosonde top`: the table's columns and the lines above it, for the screen and for batch
 * output. Fixed columns have their width, the names of functions share what is left.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/terminal.h"
#include "cli/top.h"

#define NAME_MIN 16u
#define NAME_UNLIMITED 48u
#define WIDE 110u /* from here on a second column of names fits */

static const struct gs_top_cell_layout count = { GS_CELL_COUNT, "COUNT", GS_TOP_COUNT, 8, true };
static const struct gs_top_cell_layout goid = { GS_CELL_ID, "GOID", GS_TOP_COUNT, 8, true };
static const struct gs_top_cell_layout state = { GS_CELL_STATE, "STATE", GS_TOP_STATE, 20, false };
static const struct gs_top_cell_layout wait = { GS_CELL_WAIT, "WAIT", GS_TOP_WAIT, 7, true };
static const struct gs_top_cell_layout thread = { GS_CELL_THREAD, "THREAD", GS_TOP_COLUMN_COUNT, 7,
						  true };
static const struct gs_top_cell_layout function = { GS_CELL_FUNCTION, "FUNCTION", GS_TOP_FUNCTION,
						    0, false };
static const struct gs_top_cell_layout creator = { GS_CELL_CREATOR, "CREATED BY", GS_TOP_CREATOR, 0,
						   false };

/* Give the columns of width 0 equal shares of what the others leave. */
static void share(struct gs_top_cell_layout *l, unsigned int n, unsigned int width)
{
	unsigned int fixed = n - 1, names = 0, each;

	for (unsigned int i = 0; i < n; i++) {
		fixed += l[i].width;
		names += l[i].width == 0;
	}
	if (!names)
		return;
	each = width > fixed ? (width - fixed) / names : 0;
	if (each < NAME_MIN)
		each = NAME_MIN;
	for (unsigned int i = 0; i < n; i++) {
		if (l[i].width == 0)
			l[i].width = width ? each : NAME_UNLIMITED;
	}
}

unsigned int gs_top_layout(enum gs_top_group group, unsigned int width,
			   struct gs_top_cell_layout ret[GS_TOP_CELLS_MAX])
{
	bool wide = width == 0 || width >= WIDE;
	unsigned int n = 0;

	ret[n++] = group == GS_TOP_SINGLE ? goid : count;
	if (group != GS_TOP_BY_CREATOR)
		ret[n++] = state;
	ret[n++] = wait;
	if (group == GS_TOP_SINGLE && wide)
		ret[n++] = thread;
	if (group == GS_TOP_BY_CREATOR) {
		ret[n++] = creator;
		ret[n] = function;
		ret[n++].title = "STARTS";
	} else if (group != GS_TOP_BY_STATE) {
		ret[n++] = function;
		if (wide)
			ret[n++] = creator;
	}
	share(ret, n, width);
	return n;
}

static void frame_text(struct gs_out *o, const struct gs_frame *f)
{
	if (!f)
		gs_out_char(o, '-');
	else
		gs_out_bytes(o, f->function, strlen(f->function));
}

static void raw_cell(struct gs_out *o, enum gs_top_cell cell, const struct gs_top_row *row)
{
	char text[16];

	switch (cell) {
	case GS_CELL_COUNT:
		gs_out_u64(o, row->count);
		break;
	case GS_CELL_ID:
		gs_out_u64(o, row->id);
		break;
	case GS_CELL_STATE:
		if (row->mixed_state)
			gs_out_str(o, "(several)");
		else if (row->state == GS_G_LEAKED)
			gs_out_printf(o, "leaked: %s", row->wait_reason ? row->wait_reason : "");
		else
			gs_out_str(o, row->wait_reason ? row->wait_reason
						       : gs_goroutine_state_name(row->state));
		break;
	case GS_CELL_WAIT:
		gs_out_str(o, gs_text_duration(text, row->wait_ns));
		break;
	case GS_CELL_THREAD:
		if (row->thread_id)
			gs_out_i64(o, row->thread_id);
		else
			gs_out_char(o, '-');
		break;
	case GS_CELL_FUNCTION:
		frame_text(o, row->function);
		break;
	case GS_CELL_CREATOR:
		frame_text(o, row->created_by);
		break;
	}
}

static void pad(struct gs_out *o, unsigned int n)
{
	while (n--)
		gs_out_char(o, ' ');
}

void gs_top_print_cell(struct gs_out *o, const struct gs_top_cell_layout *l,
		       const struct gs_top_row *row, bool cut)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out raw, text;
	unsigned int w, gap;

	gs_out_init_mem(&raw);
	gs_out_init_mem(&text);
	if (row)
		raw_cell(&raw, l->cell, row);
	else
		gs_out_str(&raw, l->title);
	w = gs_text_cell(&text, raw.buf ? raw.buf : "", raw.len, cut ? l->width : 0);
	gap = w < l->width ? l->width - w : 0;
	if (l->right)
		pad(o, gap);
	if (text.len)
		gs_out_bytes(o, text.buf, text.len);
	if (!l->right)
		pad(o, gap);
}

static void line_process(struct gs_out *o, const struct gs_top_header *h)
{
	char up[16];

	gs_out_printf(o, "%s (PID %d)  %s  up %s", h->name, h->process->pid, h->process->go_version,
		      gs_text_duration(up, h->uptime_ns));
}

static void line_goroutines(struct gs_out *o, const struct gs_top *t)
{
	const uint64_t *states = gs_top_rows_states(t->rows);
	uint64_t sum = 0;
	bool first = true;

	for (unsigned int i = 0; i < GS_G_STATE_COUNT; i++)
		sum += states[i];
	gs_out_printf(o, "Goroutines %" PRIu64 ":", sum);
	for (unsigned int i = 0; i < GS_G_STATE_COUNT; i++) {
		if (!states[i])
			continue;
		gs_out_printf(o, "%s %" PRIu64 " %s", first ? "" : ",", states[i],
			      gs_goroutine_state_name(i));
		first = false;
	}
}

static void line_machine(struct gs_out *o, const struct gs_top_header *h)
{
	const struct gs_rt_sched *s = &h->sched;
	char text[16];

	gs_out_printf(o, "Ps %u (%u idle)  threads %u  run queues %" PRIu64 "  RSS %s",
		      s->gomaxprocs, s->idle_ps, h->threads, s->runnable_global + s->runnable_local,
		      gs_text_bytes(text, h->rss_bytes));
	if (h->cpu_share >= 0)
		gs_out_printf(o, "  CPU %.1f%%", h->cpu_share * 100);
	gs_out_printf(o, "  GCs %u", s->gc_count);
	if (s->last_gc_ago_ns >= 0)
		gs_out_printf(o, " (%s ago)", gs_text_duration(text, s->last_gc_ago_ns));
}

bool gs_top_header_line(struct gs_out *o, const struct gs_top *t, unsigned int i)
{
	switch (i) {
	case 0:
		line_process(o, &t->header);
		return true;
	case 1:
		line_goroutines(o, t);
		return true;
	case 2:
		line_machine(o, &t->header);
		return true;
	default:
		return false;
	}
}

const char *gs_top_no_rows(const struct gs_top *t)
{
	if (t->view.filter[0])
		return "no goroutine fits the filter";
	return t->view.has_scope ? "no goroutine of this group is left" : "no goroutine";
}
