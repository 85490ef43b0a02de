/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * gosonde ps: the Go processes of this machine. /proc is walked once; what is a Go program is told from
 * its build info, once per executable; of Go processes some KiB of memory are read for the number of
 * goroutines. A process that ends meanwhile is left out, one that may not be read is listed with the
 * reason.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/json_writer.h"
#include "cli/cmd.h"
#include "cli/go_exe.h"
#include "cli/procs.h"
#include "cli/terminal.h"
#include "probe/host_features.h"
#include "runtime/rt.h"
#include "target/target.h"

struct ps_args {
	struct gs_common common;
	const char *sort;
};

/* One Go process. */
struct row {
	struct gs_proc proc;
	uid_t uid;
	const char *user, *version, *package, *executable;
	int64_t uptime_ns;
	bool has_runtime;
	struct gs_rt_sched sched;
	char why[200]; /* no runtime: the reason */
	char short_why[32];
};

struct ps {
	const struct ps_args *a;
	struct gs_arena *arena;
	struct gs_go_exes *exes;
	struct row **rows;
	size_t n;
	uint64_t unreadable; /* processes whose executable may not be looked at */
	bool stream;
	const char *no_stream; /* why not */
};

static const char *user_name(struct ps *s, uid_t uid)
{
	struct passwd *pw;
	char number[16];

	for (size_t i = 0; i < s->n; i++) {
		if (s->rows[i]->uid == uid)
			return s->rows[i]->user;
	}
	pw = getpwuid(uid);
	snprintf(number, sizeof(number), "%u", (unsigned int)uid);
	return gs_arena_strndup(s->arena, pw ? pw->pw_name : number,
				strlen(pw ? pw->pw_name : number));
}

static const char *short_reason(int code)
{
	switch (-code) {
	case GS_E_PERMISSION:
		return "permission";
	case GS_E_UNSUPPORTED:
		return "unsupported";
	case GS_E_GONE:
		return "gone";
	default:
		return "unreadable";
	}
}

/* @return 0, also if the runtime cannot be read; 1 if the process is gone. */
static int read_runtime(struct row *row)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *target = NULL;
	GS_CLEANUP(gs_rt_freep) struct gs_rt *rt = NULL;
	struct gs_err err = { 0 };
	int r = gs_target_open_pid(row->proc.pid, &target, &err);

	if (r == 0)
		r = gs_rt_open(target, &rt, &err);
	if (r == 0)
		r = gs_rt_sched_read(rt, &row->sched, &err);
	row->has_runtime = r == 0;
	if (r == 0)
		return 0;
	snprintf(row->why, sizeof(row->why), "%.199s", err.text);
	snprintf(row->short_why, sizeof(row->short_why), "%s", short_reason(r));
	return r == -GS_E_GONE ? 1 : 0;
}

static int add_row(struct ps *s, const struct gs_proc *p, const struct gs_go_exe *exe,
		   struct gs_err *err)
{
	struct row *row = gs_arena_alloc(s->arena, sizeof(*row));
	char path[4096];

	if (!row)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	row->proc = *p;
	row->version = exe->version;
	row->package = exe->path;
	if (gs_proc_uid(p->pid, &row->uid) != 0)
		return 0;
	row->user = user_name(s, row->uid);
	if (gs_proc_exe(p->pid, path, sizeof(path)) == 0)
		row->executable = gs_arena_strndup(s->arena, path, strlen(path));
	row->uptime_ns = (int64_t)((gs_uptime_seconds() -
				    (double)p->start_ticks / (double)sysconf(_SC_CLK_TCK)) *
				   1e9);
	if (row->uptime_ns < 0)
		row->uptime_ns = 0;
	if (read_runtime(row) == 0)
		s->rows[s->n++] = row;
	return 0;
}

static int scan(struct ps *s, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) pid_t *pids = NULL;
	size_t n;
	int r = gs_procs_list(&pids, &n, err);

	if (r < 0)
		return r;
	s->rows = gs_arena_array(s->arena, n ? n : 1, sizeof(*s->rows));
	if (!s->rows)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct gs_go_exe *exe;
		struct gs_proc p;

		if (gs_proc_read(pids[i], &p) != 0 || p.kernel_thread || p.state == 'Z')
			continue;
		r = gs_go_exe_of(s->exes, pids[i], &exe);
		if (r < 0)
			s->unreadable++;
		if (r != 0 || exe->is_go != 1)
			continue;
		r = add_row(s, &p, exe, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;

	return (x->proc.pid > y->proc.pid) - (x->proc.pid < y->proc.pid);
}

/* Largest first, unknown last. */
#define DEFINE_ORDER(name, field)                                                                  \
	static int name(const void *a, const void *b)                                              \
	{                                                                                          \
		const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;       \
                                                                                                   \
		if (x->field != y->field)                                                          \
			return x->field < y->field ? 1 : -1;                                       \
		return by_pid(a, b);                                                               \
	}
DEFINE_ORDER(by_goroutines, sched.goroutines)
DEFINE_ORDER(by_threads, proc.threads)
DEFINE_ORDER(by_rss, proc.rss_bytes)
DEFINE_ORDER(by_uptime, uptime_ns)

static const char *const orders[] = { "pid", "goroutines", "threads", "rss", "uptime", NULL };

static void sort(struct ps *s)
{
	static int (*const functions[])(const void *a, const void *b) = {
		by_pid, by_goroutines, by_threads, by_rss, by_uptime,
	};

	for (size_t i = 0; orders[i] && s->n; i++) {
		if (strcmp(orders[i], s->a->sort) == 0)
			qsort(s->rows, s->n, sizeof(*s->rows), functions[i]);
	}
}

#define COLUMNS 9
#define COMMAND_MIN 16

struct line {
	char cell[COLUMNS - 1][64];
};

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

static void fill_line(const struct ps *s, const struct row *row, struct line *ret)
{
	char text[16];

	snprintf(ret->cell[0], sizeof(ret->cell[0]), "%d", row->proc.pid);
	snprintf(ret->cell[1], sizeof(ret->cell[1]), "%.40s", row->user ? row->user : "?");
	/* "go1.26.10 X:experiment" is too much for a table. */
	snprintf(ret->cell[2], sizeof(ret->cell[2]), "%.*s",
		 (int)strcspn(row->version, " ") > 16 ? 16 : (int)strcspn(row->version, " "),
		 row->version);
	if (row->has_runtime)
		snprintf(ret->cell[3], sizeof(ret->cell[3]), "%" PRIu64, row->sched.goroutines);
	else
		snprintf(ret->cell[3], sizeof(ret->cell[3]), "-");
	snprintf(ret->cell[4], sizeof(ret->cell[4]), "%u", row->proc.threads);
	snprintf(ret->cell[5], sizeof(ret->cell[5]), "%s",
		 gs_text_bytes(text, row->proc.rss_bytes));
	snprintf(ret->cell[6], sizeof(ret->cell[6]), "%s", gs_text_duration(text, row->uptime_ns));
	if (row->has_runtime)
		snprintf(ret->cell[7], sizeof(ret->cell[7]), "snapshot%s",
			 s->stream ? "+stream" : "");
	else
		snprintf(ret->cell[7], sizeof(ret->cell[7]), "no: %s", row->short_why);
}

static const char *const titles[COLUMNS] = { "PID", "USER",   "GO",     "GOROUTINES", "THREADS",
					     "RSS", "UPTIME", "LENSES", "COMMAND" };
static const bool right[COLUMNS] = { true, false, false, true, true, true, true, false, false };

static void pad(struct gs_out *o, unsigned int n)
{
	while (n--)
		gs_out_char(o, ' ');
}

/* What a narrow terminal does without, in this order, so that the command can be read. */
static void hide_columns(unsigned int width[COLUMNS - 1], unsigned int screen)
{
	static const unsigned char expendable[] = { 6, 4, 5, 1 }; // UPTIME, THREADS, RSS, USER
	unsigned int sum = COMMAND_MIN;

	for (size_t c = 0; c < COLUMNS - 1; c++)
		sum += width[c] + 2;
	for (size_t i = 0; i < sizeof(expendable) && screen && sum > screen; i++) {
		sum -= width[expendable[i]] + 2;
		width[expendable[i]] = 0;
	}
}

/* Columns of width 0 are hidden. @return the columns written */
static unsigned int print_cells(struct gs_out *o, const char *const cell[COLUMNS - 1],
				const unsigned int width[COLUMNS - 1])
{
	unsigned int sum = 0;

	for (size_t c = 0; c < COLUMNS - 1; c++) {
		unsigned int w = gs_text_columns(cell[c], strlen(cell[c]));
		unsigned int gap = width[c] > w ? width[c] - w : 0;

		if (!width[c])
			continue;
		if (right[c])
			pad(o, gap);
		gs_text_cell(o, cell[c], strlen(cell[c]), 0);
		pad(o, (right[c] ? 0 : gap) + 2);
		sum += width[c] + 2;
	}
	return sum;
}

static void print_row(struct gs_out *o, const struct ps *s, const struct row *row,
		      const struct line *line, const unsigned int width[COLUMNS - 1],
		      unsigned int screen)
{
	const char *cell[COLUMNS - 1], *command = base_name(row->executable);
	unsigned int used, left;

	for (size_t c = 0; c < COLUMNS - 1; c++)
		cell[c] = line->cell[c];
	used = print_cells(o, cell, width);
	left = screen > used + 8 ? screen - used : screen ? 8 : 0;
	if (!command || !*command)
		command = row->proc.comm;
	used = gs_text_cell(o, command, strlen(command), left);
	if (row->package && (!screen || left > used + 8)) {
		gs_out_char(o, ' ');
		gs_text_cell(o, row->package, strlen(row->package), screen ? left - used - 1 : 0);
	}
	gs_out_char(o, '\n');
}

static int print_text(struct gs_out *o, const struct ps *s, struct gs_err *err)
{
	struct line *lines = gs_arena_array(s->arena, s->n ? s->n : 1, sizeof(*lines));
	unsigned int width[COLUMNS - 1], screen = gs_terminal_width(o->fd);

	if (!lines)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	for (size_t c = 0; c < COLUMNS - 1; c++)
		width[c] = (unsigned int)strlen(titles[c]);
	for (size_t i = 0; i < s->n; i++) {
		fill_line(s, s->rows[i], &lines[i]);
		for (size_t c = 0; c < COLUMNS - 1; c++) {
			unsigned int w =
				gs_text_columns(lines[i].cell[c], strlen(lines[i].cell[c]));

			width[c] = w > width[c] ? w : width[c];
		}
	}
	hide_columns(width, screen);
	print_cells(o, titles, width);
	gs_out_printf(o, "%s\n", titles[COLUMNS - 1]);
	for (size_t i = 0; i < s->n; i++)
		print_row(o, s, s->rows[i], &lines[i], width, screen);
	return 0;
}

static void json_lens(struct gs_json *j, const char *key, bool usable, const char *why)
{
	gs_json_key(j, key);
	gs_json_open_object(j);
	gs_json_kv_bool(j, "usable", usable);
	gs_json_kv_string(j, "why", usable ? NULL : why);
	gs_json_close(j);
}

static void json_row(struct gs_json *j, const struct ps *s, const struct row *row)
{
	gs_json_open_object(j);
	gs_json_kv_i64(j, "pid", row->proc.pid);
	gs_json_key(j, "start_time");
	gs_json_time(j, gs_start_time_unix_ns(row->proc.start_ticks));
	gs_json_kv_string(j, "executable", row->executable);
	gs_json_kv_string(j, "go_version", row->version);
	gs_json_kv_string(j, "service", row->package);
	gs_json_kv_string(j, "user", row->user);
	gs_json_kv_u64(j, "user_id", row->uid);
	gs_json_kv_string(j, "command", row->proc.comm);
	gs_json_key(j, "goroutines");
	if (row->has_runtime)
		gs_json_u64(j, row->sched.goroutines);
	else
		gs_json_null(j);
	gs_json_kv_u64(j, "threads", row->proc.threads);
	gs_json_kv_u64(j, "rss_bytes", row->proc.rss_bytes);
	gs_json_key(j, "uptime_seconds");
	gs_json_seconds(j, row->uptime_ns / 10000000 * 10000000);
	json_lens(j, "snapshot", row->has_runtime, row->why);
	json_lens(j, "stream", row->has_runtime && s->stream,
		  row->has_runtime ? s->no_stream : row->why);
	gs_json_close(j);
}

static void print_json(struct gs_out *o, const struct ps *s)
{
	struct gs_json j;

	gs_json_init(&j, o, false);
	gs_json_open_object(&j);
	gs_json_kv_string(&j, "schema", "gosonde.ps/1");
	gs_json_key(&j, "processes");
	gs_json_open_array(&j);
	for (size_t i = 0; i < s->n; i++)
		json_row(&j, s, s->rows[i]);
	gs_json_close(&j);
	gs_json_key(&j, "incomplete");
	gs_json_open_array(&j);
	if (s->unreadable) {
		gs_json_open_object(&j);
		gs_json_kv_string(&j, "what", "processes_unreadable");
		gs_json_kv_u64(&j, "count", s->unreadable);
		gs_json_kv_string(&j, "why", "their executables may not be opened by this user");
		gs_json_close(&j);
	}
	gs_json_close(&j);
	gs_json_close(&j);
	gs_out_char(o, '\n');
}

/* An empty list means little where somebody else's processes were not looked at. */
static bool saw_nothing(const struct ps *s)
{
	return s->n == 0 && s->unreadable;
}

/* Each reason once, with the first process that has it. */
static void tell_reasons(const struct ps *s)
{
	for (size_t i = 0; i < s->n; i++) {
		bool told = s->rows[i]->has_runtime;

		for (size_t k = 0; k < i && !told; k++)
			told = !s->rows[k]->has_runtime &&
			       strcmp(s->rows[k]->short_why, s->rows[i]->short_why) == 0;
		if (!told)
			gs_note(&s->a->common, "%s: %s", s->rows[i]->short_why, s->rows[i]->why);
	}
	if (saw_nothing(s))
		gs_note(&s->a->common, "no Go process among those that could be looked at");
	if (s->unreadable)
		gs_note(&s->a->common,
			"%" PRIu64
			" %s not be looked at, Go or not: the kernel refuses to show %s%s",
			s->unreadable, s->unreadable == 1 ? "process could" : "processes could",
			s->unreadable == 1 ? "its executable" : "their executables",
			geteuid() == 0 ? "" : ". Run as root to see processes of other users");
}

static int print(struct ps *s, struct gs_err *err)
{
	struct gs_output out;
	bool json = strcmp(s->a->common.format, "json") == 0;
	int closed, r = gs_output_open(&out, &s->a->common, err);

	if (r < 0)
		return r;
	if (json)
		print_json(&out.out, s);
	else
		r = print_text(&out.out, s, err);
	closed = gs_output_close(&out, r == 0, r == 0 ? err : NULL);
	if (r == 0 && closed == 0 && !json)
		tell_reasons(s);
	return r < 0 ? r : closed;
}

static int run(void *args)
{
	struct ps s = { .a = args };
	struct gs_features features = { 0 };
	struct gs_err err = { 0 };
	enum gs_feature missing;
	int r;

	s.arena = gs_arena_new(0);
	s.exes = gs_go_exes_new();
	if (s.arena && s.exes) {
		s.stream = gs_features_stream(&features, &missing);
		s.no_stream = s.stream ? NULL : gs_feature_info(missing)->costs;
		r = scan(&s, &err);
	} else {
		r = gs_fail(&err, -ENOMEM, 0, "out of memory");
	}
	if (r == 0) {
		sort(&s);
		r = print(&s, &err);
	}
	gs_go_exes_free(s.exes);
	gs_arena_free(s.arena);
	if (r < 0)
		return gs_report(&s.a->common, &err, NULL);
	/* Root has seen all that can be seen: a process that even root may not open is no loss. */
	return saw_nothing(&s) && geteuid() != 0 ? GS_EXIT_INCOMPLETE : GS_EXIT_OK;
}

static const char *const formats[] = { "text", "json", NULL };

static const struct gs_opt options[] = {
	{ .name = "sort",
	  .type = GS_OPT_CHOICE,
	  .arg = "COLUMN",
	  .dest = offsetof(struct ps_args, sort),
	  .choices = orders,
	  .fallback = "pid",
	  .help = "Largest first (PIDs: smallest) by" },
};

const struct gs_cmd gs_cmd_ps = {
	.name = "ps",
	.summary = "List the Go processes of this machine",
	.description = "Lists every process whose executable is a Go program, with the Go release "
		       "it was built "
		       "with, its number of goroutines as the runtime counts them, and which "
		       "lenses of gosonde "
		       "can be used on it: snapshot (dump, top) and stream (live events). Some KiB "
		       "of each "
		       "process's memory are read; none is stopped.\n\n"
		       "Processes of other users need CAP_SYS_PTRACE; what could not be seen is "
		       "said at the end. "
		       "`gosonde doctor` tells what is missing.",
	.examples = "gosonde ps    all of them\n"
		    "gosonde ps --sort goroutines    the largest number first\n"
		    "gosonde ps --format json | jq -r '.processes[].pid'    for scripts",
	.formats = formats,
	.options = options,
	.n_options = GS_ARRAY_SIZE(options),
	.args_size = sizeof(struct ps_args),
	.run = run,
};
