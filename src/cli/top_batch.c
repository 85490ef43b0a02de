/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* `gosonde top --batch`: refreshes as plain text, or as one JSON object per line. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "cli/terminal.h"
#include "cli/top.h"

static uint32_t row_limit(const struct gs_top *t)
{
	uint32_t n = gs_top_rows_count(t->rows);

	return t->a->limit && t->a->limit < n ? (uint32_t)t->a->limit : n;
}

static void end_line(struct gs_out *o, struct gs_out *line)
{
	while (line->len && line->buf[line->len - 1] == ' ')
		line->len--;
	if (line->len)
		gs_out_bytes(o, line->buf, line->len);
	gs_out_char(o, '\n');
	line->len = 0;
}

static void print_text(struct gs_out *o, const struct gs_top *t)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out line;
	struct gs_top_cell_layout l[GS_TOP_CELLS_MAX];
	unsigned int width = gs_terminal_width(o->fd), n;
	uint32_t rows = row_limit(t), all = gs_top_rows_count(t->rows);

	gs_out_init_mem(&line);
	for (unsigned int i = 0; gs_top_header_line(&line, t, i); i++)
		end_line(o, &line);
	end_line(o, &line);
	n = gs_top_layout(t->view.group, width, l);
	for (uint32_t i = 0; i <= rows; i++) {
		const struct gs_top_row *row = i ? gs_top_rows_at(t->rows, i - 1) : NULL;

		for (unsigned int c = 0; c < n; c++) {
			gs_out_str(&line, c ? " " : "");
			gs_top_print_cell(&line, &l[c], row, width != 0);
		}
		end_line(o, &line);
	}
	if (!all)
		gs_out_printf(o, "%s\n", gs_top_no_rows(t));
	if (rows < all)
		gs_out_printf(o, "and %u more\n", all - rows);
	for (uint32_t i = 0; i < t->header.missing.n; i++)
		gs_out_printf(o, "incomplete: %s %" PRIu64 ": %s\n", t->header.missing.item[i].what,
			      t->header.missing.item[i].count, t->header.missing.item[i].why);
	gs_out_char(o, '\n');
}

static void json_frame(struct gs_json *j, const char *key, const struct gs_frame *f)
{
	gs_json_key(j, key);
	if (!f) {
		gs_json_null(j);
		return;
	}
	gs_json_open_object(j);
	gs_json_kv_string(j, "function", f->function);
	gs_json_kv_string(j, "file", f->file);
	gs_json_kv_u64(j, "line", f->line);
	gs_json_key(j, "pc");
	gs_json_hex(j, f->pc);
	gs_json_close(j);
}

static void json_seconds_or_null(struct gs_json *j, const char *key, int64_t ns)
{
	gs_json_key(j, key);
	if (ns < 0)
		gs_json_null(j);
	else
		gs_json_seconds(j, ns);
}

static void json_row(struct gs_json *j, const struct gs_top *t, const struct gs_top_row *row)
{
	bool single = t->view.group == GS_TOP_SINGLE;

	gs_json_open_object(j);
	if (single)
		gs_json_kv_u64(j, "id", row->id);
	else
		gs_json_kv_u64(j, "count", row->count);
	if (!single)
		gs_json_kv_u64(j, "first_id", row->id);
	gs_json_kv_string(j, "state",
			  row->mixed_state ? NULL : gs_goroutine_state_name(row->state));
	gs_json_kv_string(j, "wait_reason", row->mixed_state ? NULL : row->wait_reason);
	json_seconds_or_null(j, single ? "wait_seconds" : "wait_max_seconds", row->wait_ns);
	if (single && row->thread_id)
		gs_json_kv_i64(j, "thread_id", row->thread_id);
	json_frame(j, "function", row->function);
	json_frame(j, "created_by", row->created_by);
	gs_json_close(j);
}

static void json_header(struct gs_json *j, const struct gs_top *t)
{
	const uint64_t *states = gs_top_rows_states(t->rows);
	const struct gs_top_header *h = &t->header;
	struct timespec now;

	gs_process_json(j, h->process);
	clock_gettime(CLOCK_REALTIME, &now);
	gs_json_key(j, "taken_at");
	gs_json_time(j, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
	gs_json_kv_u64(j, "goroutine_count", h->sched.goroutines);
	gs_json_key(j, "states");
	gs_json_open_object(j);
	for (unsigned int i = 0; i < GS_G_STATE_COUNT; i++) {
		if (states[i])
			gs_json_kv_u64(j, gs_goroutine_state_name(i), states[i]);
	}
	gs_json_close(j);
	gs_json_kv_u64(j, "gomaxprocs", h->sched.gomaxprocs);
	gs_json_kv_u64(j, "idle_ps", h->sched.idle_ps);
	gs_json_kv_u64(j, "threads", h->threads);
	gs_json_kv_u64(j, "runnable_queued", h->sched.runnable_global + h->sched.runnable_local);
	gs_json_kv_u64(j, "gc_count", h->sched.gc_count);
	json_seconds_or_null(j, "last_gc_ago_seconds", h->sched.last_gc_ago_ns);
	gs_json_kv_u64(j, "rss_bytes", h->rss_bytes);
	gs_json_key(j, "cpu_share");
	if (h->cpu_share < 0)
		gs_json_null(j);
	else
		gs_json_double(j, h->cpu_share);
	json_seconds_or_null(j, "uptime_seconds", h->uptime_ns / 10000000 * 10000000);
	json_seconds_or_null(j, "read_seconds", h->read_ns);
}

static void print_json(struct gs_out *o, const struct gs_top *t)
{
	struct gs_json j;

	gs_json_init(&j, o, false);
	gs_json_open_object(&j);
	gs_json_kv_string(&j, "schema", "gosonde.top/1");
	json_header(&j, t);
	gs_json_kv_string(&j, "group_by", gs_top_group_name(t->view.group));
	gs_json_kv_u64(&j, "row_count", gs_top_rows_count(t->rows));
	gs_json_key(&j, "rows");
	gs_json_open_array(&j);
	for (uint32_t i = 0; i < row_limit(t); i++)
		json_row(&j, t, gs_top_rows_at(t->rows, i));
	gs_json_close(&j);
	gs_incomplete_json(&j, &t->header.missing);
	gs_json_close(&j);
	gs_out_char(o, '\n');
}

/* @return false when it is time to end. */
static bool pause_until_next(const struct gs_top *t, int64_t start_ns)
{
	int64_t now = gs_now_ns(), next = now + t->a->delay_ns, d = t->a->common.duration_ns;

	if (d && next > start_ns + d)
		return false;
	while (!gs_top_interrupted() && now < next) {
		int64_t ms = (next - now + 999999) / 1000000;

		(void)poll(NULL, 0, ms > 1000 ? 1000 : (int)ms); // a signal ends it early
		now = gs_now_ns();
	}
	return !gs_top_interrupted();
}

static int loop(struct gs_top *t, struct gs_out *o, struct gs_err *err)
{
	bool json = strcmp(t->a->common.format, "json") == 0;
	const char *name = t->a->common.output ? t->a->common.output : "standard output";
	int64_t start = gs_now_ns();

	for (uint64_t i = 1;; i++) {
		int r = gs_top_refresh(t, err);

		if (r < 0)
			return r;
		if (json)
			print_json(o, t);
		else
			print_text(o, t);
		/* Each picture is shown when it is complete. */
		r = gs_out_flush(o, name, err);
		if (r < 0)
			return r;
		if ((t->a->iterations && i >= t->a->iterations) ||
		    gs_target_kind(t->target) == GS_TARGET_CORE || !pause_until_next(t, start))
			return 0;
	}
}

/* What a busy process always has is told, but is no reason for another exit code; as in dump. */
static bool is_incomplete(const struct gs_incomplete_list *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (strcmp(l->item[i].what, "running_without_stack") != 0 &&
		    strcmp(l->item[i].what, "wait_times_estimated") != 0)
			return true;
	}
	return false;
}

int gs_top_batch(struct gs_top *t)
{
	struct gs_err err = { 0 }, close_err = { 0 };
	struct gs_output out;
	int closed, r = gs_output_open(&out, &t->a->common, &err);

	if (r < 0)
		return gs_report(&t->a->common, &err, NULL);
	r = loop(t, &out.out, &err);
	/* What was seen of a process that ended meanwhile is kept. */
	closed = gs_output_close(&out, r == 0 || r == -GS_E_GONE, &close_err);
	if (r < 0)
		return gs_report(&t->a->common, &err, NULL);
	if (closed < 0)
		return gs_report(&t->a->common, &close_err, NULL);
	return is_incomplete(&t->header.missing) ? GS_EXIT_INCOMPLETE : GS_EXIT_OK;
}
