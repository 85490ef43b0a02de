/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Where `gosonde top` gets its rows. The reader of the runtime keeps every stack it ever saw; after
 * STACKS_MAX different ones it is opened anew, so that a night in top costs no gigabytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"
#include "cli/procs.h"
#include "cli/terminal.h"
#include "cli/top.h"

#define STACKS_MAX 500000u

static int open_runtime(struct gs_top *t, struct gs_err *err)
{
	const struct gs_process *p;
	const char *name;
	int r;

	t->rt = gs_rt_free(t->rt);
	t->stacks = 0;
	r = gs_rt_open(t->target, &t->rt, err);
	if (r < 0)
		return r;
	p = &gs_rt_facts(t->rt)->process;
	name = p->executable ? strrchr(p->executable, '/') : NULL;
	name = name ? name + 1 : p->executable ? p->executable : "";
	t->header.process = p;
	gs_escape_to(t->header.name, sizeof(t->header.name), name, strlen(name));
	return 0;
}

int gs_top_open(struct gs_top *t, struct gs_err *err)
{
	int r;

	t->rows = gs_top_rows_new();
	if (!t->rows)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	r = gs_open_target(&t->a->common, &t->target, err);
	return r < 0 ? r : open_runtime(t, err);
}

void gs_top_close(struct gs_top *t)
{
	t->rows = gs_top_rows_free(t->rows);
	t->rt = gs_rt_free(t->rt);
	t->target = gs_target_free(t->target);
}

struct visit {
	struct gs_top *t;
	struct gs_err *err;
};

static int visit_row(void *ctx, const struct gs_goroutine *g)
{
	struct visit *v = ctx;

	if (g->stack->id > v->t->stacks)
		v->t->stacks = g->stack->id;
	if (gs_top_interrupted())
		return 1;
	return gs_top_rows_add(v->t->rows, g, v->err);
}

static void read_process(struct gs_top *t)
{
	int64_t now = gs_now_ns();
	double hz = (double)sysconf(_SC_CLK_TCK);
	struct gs_proc p;

	t->header.cpu_share = -1;
	if (gs_proc_read(gs_target_identity(t->target)->pid, &p) != 0)
		return;
	if (t->cpu_at_ns && now > t->cpu_at_ns)
		t->header.cpu_share = (double)(p.cpu_ticks - t->cpu_ticks) / hz /
				      ((double)(now - t->cpu_at_ns) / 1e9);
	t->cpu_ticks = p.cpu_ticks;
	t->cpu_at_ns = now;
	t->header.rss_bytes = p.rss_bytes;
	t->header.threads = p.threads;
	t->header.uptime_ns = (int64_t)((gs_uptime_seconds() - (double)p.start_ticks / hz) * 1e9);
}

void gs_top_reorder(struct gs_top *t)
{
	gs_top_rows_finish(t->rows, t->view.column, t->view.invert, t->view.filter);
}

int gs_top_refresh(struct gs_top *t, struct gs_err *err)
{
	/* By creator and by state nothing of the stacks is shown. */
	struct gs_rt_dump_options o = {
		.system = t->view.system,
		.no_labels = true,
		.no_stacks = t->view.group == GS_TOP_BY_CREATOR || t->view.group == GS_TOP_BY_STATE,
	};
	struct gs_incomplete_list missing = { .n = 0 };
	struct visit v = { t, err };
	int64_t start = gs_now_ns();
	bool anew = t->stacks > STACKS_MAX;
	int r = gs_target_alive(t->target, err);

	if (r == 0 && anew) {
		t->view.has_scope = false;
		r = open_runtime(t, err);
	}
	if (r < 0)
		return r;
	gs_top_rows_begin(t->rows, t->view.group, t->view.has_scope ? &t->view.scope : NULL,
			  t->view.scope_group);
	r = gs_rt_goroutines(t->rt, &o, visit_row, &v, &missing, err);
	if (r >= 0)
		r = gs_rt_sched_read(t->rt, &t->header.sched, err);
	if (r < 0) {
		/* A process that ends while it is read fails in many ways; say the one that matters. */
		int gone = gs_target_alive(t->target, NULL);

		return gone < 0 ? gs_target_alive(t->target, err) : r;
	}
	read_process(t);
	t->header.missing = missing;
	t->header.read_ns = gs_now_ns() - start;
	gs_top_reorder(t);
	return anew;
}

struct detail {
	struct gs_out *o;
	bool found;
};

static void name(struct gs_out *o, const char *s, size_t n)
{
	gs_out_name(o, s, n);
}

static void frame_lines(struct gs_out *o, const struct gs_frame *f)
{
	gs_out_str(o, "  ");
	name(o, f->function[0] ? f->function : "?", strlen(f->function[0] ? f->function : "?"));
	gs_out_str(o, f->flags & GS_FRAME_INLINED ? "  (inlined)\n" : "\n");
	if (f->file[0]) {
		gs_out_str(o, "        ");
		name(o, f->file, strlen(f->file));
		gs_out_printf(o, ":%u\n", f->line);
	}
}

static void labels_line(struct gs_out *o, const struct gs_goroutine *g)
{
	if (!g->n_labels)
		return;
	gs_out_str(o, "labels     ");
	for (uint32_t i = 0; i < g->n_labels; i++) {
		gs_out_str(o, i ? ", " : "");
		name(o, g->labels[i].key, g->labels[i].key_len);
		gs_out_char(o, '=');
		name(o, g->labels[i].value, g->labels[i].value_len);
	}
	gs_out_char(o, '\n');
}

static void state_lines(struct gs_out *o, const struct gs_goroutine *g)
{
	char text[16];

	gs_out_printf(o, "goroutine  %" PRIu64 "%s\n", g->id, g->system ? " (of the runtime)" : "");
	gs_out_printf(o, "state      %s", gs_goroutine_state_name(g->state));
	if (g->wait_reason) {
		gs_out_str(o, ": ");
		name(o, g->wait_reason, strlen(g->wait_reason));
	}
	if (g->wait_ns >= 0)
		gs_out_printf(o, ", for %s", gs_text_duration(text, g->wait_ns));
	gs_out_str(o, g->locked ? ", locked to its thread\n" : "\n");
	if (g->thread_id)
		gs_out_printf(o, "thread     %d\n", g->thread_id);
	if (g->p_id >= 0)
		gs_out_printf(o, "P          %" PRId64 "\n", g->p_id);
	labels_line(o, g);
}

static void stack_lines(struct gs_out *o, const struct gs_stack *s)
{
	static const char *const ends[] = {
		[GS_STACK_COMPLETE] = "",
		[GS_STACK_NONE] = "(runs on a CPU: no stack can be read without stopping it)\n",
		[GS_STACK_CUT] = "(the stack goes on)\n",
		[GS_STACK_BROKEN] = "(the rest could not be read)\n",
		[GS_STACK_TORN] = "(it kept moving while it was read)\n",
	};

	gs_out_char(o, '\n');
	for (uint32_t i = 0; i < s->n_frames; i++)
		frame_lines(o, &s->frames[i]);
	gs_out_str(o, ends[s->end]);
}

static void creator_lines(struct gs_out *o, const struct gs_frame *f, uint64_t parent_id)
{
	if (!f)
		return;
	gs_out_str(o, "\ncreated by");
	if (parent_id)
		gs_out_printf(o, " goroutine %" PRIu64, parent_id);
	gs_out_char(o, '\n');
	frame_lines(o, f);
}

static int visit_detail(void *ctx, const struct gs_goroutine *g)
{
	struct detail *d = ctx;

	d->found = true;
	state_lines(d->o, g);
	stack_lines(d->o, g->stack);
	creator_lines(d->o, g->created_by, g->parent_id);
	return 0;
}

void gs_top_row_detail(const struct gs_top_row *row, struct gs_out *ret)
{
	if (row->stack)
		stack_lines(ret, row->stack);
	creator_lines(ret, row->created_by, 0);
}

int gs_top_detail(struct gs_top *t, uint64_t id, struct gs_out *ret, struct gs_err *err)
{
	struct gs_rt_dump_options o = { .system = true, .only_id = id };
	struct gs_incomplete_list missing = { .n = 0 };
	struct detail d = { .o = ret };
	int r = gs_target_alive(t->target, err);

	if (r == 0)
		r = gs_rt_goroutines(t->rt, &o, visit_detail, &d, &missing, err);
	return r < 0 ? r : !d.found;
}
