/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * gosonde mem: who owns each byte of the resident memory, and with --watch who made it grow; with --objects what lives in the
 * Go heap. One look, or two with events between them (mem_watch.c), and the formats of export/memory_*.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "analysis/heap_objects.h"
#include "base/clock.h"
#include "cli/cmd.h"
#include "cli/mem_watch.h"
#include "cli/terminal.h"
#include "export/memory_export.h"

#define WATCH_MIN_NS 100000000
#define ITEMS_TEXT 20u
#define ITEMS_DATA 64u
#define ITEMS_ALL 65536u
#define SITES_ASKED 50u
#define TOP_MAX 100000u
#define PROGRESS_NS 200000000

struct mem_args {
	struct gs_common common;
	struct gs_stream_args stream;
	int64_t watch_ns;
	bool objects, retained, numa, all, sites, pretty;
	const char *path;
	uint64_t top;
};

static const char *const formats[] = { "text", "json", "folded", "pprof", "html", NULL };

#define AT(field) offsetof(struct mem_args, field)
static const struct gs_opt options[] = {
	{ .heading = "What to look at",
	  .name = "watch",
	  .type = GS_OPT_DURATION,
	  .arg = "TIME",
	  .dest = AT(watch_ns),
	  .help = "Look twice, so far apart, and tell what grew and who made it grow; -d is the "
		  "same" },
	{ .name = "objects",
	  .type = GS_OPT_FLAG,
	  .dest = AT(objects),
	  .help = "The objects of the Go heap instead: live ones by type, and who keeps them" },
	{ .name = "path",
	  .type = GS_OPT_STRING,
	  .arg = "TYPE",
	  .dest = AT(path),
	  .help = "With --objects: also a path from a root to an object of this type" },
	{ .name = "retained",
	  .type = GS_OPT_FLAG,
	  .dest = AT(retained),
	  .help = "With --objects: also what would go with each type, and all that each root "
		  "reaches; walks the heap once more for every 63 lines" },
	{ .name = "top",
	  .type = GS_OPT_U64,
	  .arg = "N",
	  .dest = AT(top),
	  .help = "With --objects: that many types and roots; else 50" },
	{ .name = "numa",
	  .type = GS_OPT_FLAG,
	  .dest = AT(numa),
	  .help = "Also by NUMA node, which walks all pages once more" },
	{ .heading = "How to show it",
	  .name = "all",
	  .type = GS_OPT_FLAG,
	  .dest = AT(all),
	  .help = "Also empty classes, every mapping, whole stacks, the runtime's own counters" },
	{ .name = "sites",
	  .type = GS_OPT_FLAG,
	  .dest = AT(sites),
	  .help = "More allocation sites of the Go heap, with their stacks" },
	{ .name = "pretty", .type = GS_OPT_FLAG, .dest = AT(pretty), .help = "Indent JSON" },
	{ .heading = "What watching may cost",
	  .name = "max-overhead",
	  .type = GS_OPT_STRING,
	  .arg = "SHARE",
	  .dest = AT(stream.max_overhead),
	  .fallback = "5%",
	  .help = "Share of the target's CPU that probes may cost; 0 for no limit" },
	{ .name = "dry-run",
	  .type = GS_OPT_FLAG,
	  .dest = AT(stream.dry_run),
	  .help = "Only list what --watch would attach and what a hit costs" },
	{ .name = "probe-costs",
	  .type = GS_OPT_FLAG,
	  .dest = AT(stream.probe_costs),
	  .help = "Print at the end how often each probe was hit and what that cost" },
	{ .name = "no-probes",
	  .type = GS_OPT_FLAG,
	  .dest = AT(stream.no_probes),
	  .help = "Watch by two looks alone; needs no BPF, and does not tell who made it grow" },
};

/* One run of the command. */
struct mem {
	const struct mem_args *a;
	struct gs_target *target;
	struct gs_rt *rt;
	struct gs_mem_watch watch;
	struct gs_memory_look *look;
	struct gs_rt_heap *heap;
	struct gs_heap_objects *objects;
	struct gs_output output;
	struct gs_memory_print print;
	int64_t watch_ns, next_progress_ns;
	struct gs_incomplete_list missing; /* of what was shown */
	uint32_t n_numa;
	bool opened, progress_shown;
	struct gs_err *err;
};

static volatile sig_atomic_t interrupted;

static void on_sigint(int sig)
{
	(void)sig; /* the only one we catch */
	interrupted = 1;
}

/* ---- what can be wrong with the options alone ---- */

static bool is(const struct mem *m, const char *format)
{
	return strcmp(m->a->common.format, format) == 0;
}

static int check_output(const struct mem *m)
{
	const char *output = m->a->common.output;

	if ((output && strcmp(output, "-") != 0) || !isatty(STDOUT_FILENO))
		return 0;
	if (is(m, "pprof"))
		return gs_fail(
			m->err, -EINVAL, 0,
			"pprof is a binary format and standard output is a terminal: name a file "
			"with -o FILE");
	if (is(m, "html"))
		return gs_fail(m->err, -EINVAL, 0,
			       "html is a page for a browser and standard output is a terminal: "
			       "name a file with -o FILE");
	return 0;
}

static int check_objects(const struct mem *m)
{
	const struct mem_args *a = m->a;

	if (!a->objects && (a->path || a->top || a->retained))
		return gs_fail(m->err, -EINVAL, 0, "%s belongs to --objects",
			       a->path  ? "--path"
			       : a->top ? "--top"
					: "--retained");
	if (!a->objects)
		return 0;
	if (m->watch_ns)
		return gs_fail(m->err, -EINVAL, 0,
			       "--objects and --watch exclude each other: objects are looked at "
			       "once");
	if (is(m, "folded") || is(m, "html"))
		return gs_fail(m->err, -EINVAL, 0,
			       "--format %s: --objects has text, json and pprof", a->common.format);
	if (a->top > TOP_MAX)
		return gs_fail(m->err, -EINVAL, 0, "--top %" PRIu64 ": must be at most %u", a->top,
			       TOP_MAX);
	return 0;
}

static int prepare(struct mem *m)
{
	const struct mem_args *a = m->a;
	const struct gs_stream_args *s = &a->stream;
	int r;

	if (a->watch_ns && a->common.duration_ns)
		return gs_fail(m->err, -EINVAL, 0,
			       "--watch and -d/--duration are the same: give one");
	m->watch_ns = a->watch_ns ? a->watch_ns : a->common.duration_ns;
	if (m->watch_ns && m->watch_ns < WATCH_MIN_NS)
		return gs_fail(m->err, -EINVAL, 0, "--watch: must be at least 100ms");
	if (!m->watch_ns && (s->dry_run || s->probe_costs))
		return gs_fail(m->err, -EINVAL, 0,
			       "--%s belongs to --watch: one look needs no probes",
			       s->dry_run ? "dry-run" : "probe-costs");
	if (s->dry_run && s->no_probes)
		return gs_fail(m->err, -EINVAL, 0, "--dry-run and --no-probes exclude each other");
	r = check_objects(m);
	return r == 0 ? check_output(m) : r;
}

/* ---- output ---- */

static void set_print(struct mem *m)
{
	int fd = m->output.out.fd;
	bool terminal = fd >= 0 && isatty(fd);

	m->print = (struct gs_memory_print){ .colour = fd >= 0 && gs_colour_wanted(fd),
					     .pretty = m->a->pretty || terminal,
					     .width = fd >= 0 ? gs_terminal_width(fd) : 0,
					     .bars = terminal,
					     .all = m->a->all,
					     .sites = m->a->sites ? SITES_ASKED : 0 };
}

static int open_output(struct mem *m)
{
	int r = gs_output_open(&m->output, &m->a->common, m->err);

	if (r < 0)
		return r;
	m->opened = true;
	set_print(m);
	return 0;
}

static int write_memory(struct mem *m, const struct gs_mem_result *r)
{
	struct gs_out *o = &m->output.out;

	if (r->incomplete)
		m->missing = *r->incomplete;
	m->n_numa = r->n_numa;
	if (is(m, "json"))
		gs_memory_json(o, r, &m->print);
	else if (is(m, "folded"))
		gs_memory_folded(o, r);
	else if (is(m, "html"))
		gs_memory_treemap(o, r);
	else if (is(m, "pprof"))
		return gs_memory_pprof(o, r, m->err);
	else
		gs_memory_text(o, r, &m->print);
	return 0;
}

static int write_objects(struct mem *m, const struct gs_heap_objects_result *r)
{
	struct gs_out *o = &m->output.out;

	if (is(m, "json"))
		gs_heap_objects_json(o, r, &m->print);
	else if (is(m, "pprof"))
		return gs_heap_objects_pprof(o, r, m->err);
	else
		gs_heap_objects_text(o, r, &m->print);
	return 0;
}

/* ---- looking ---- */

static int open_target(struct mem *m)
{
	int r = gs_open_target(&m->a->common, &m->target, m->err);

	return r == 0 ? gs_rt_open(m->target, &m->rt, m->err) : r;
}

static struct gs_memory_options look_options(const struct mem *m)
{
	return (struct gs_memory_options){
		.numa = m->a->numa,
		.sites = true,
		.items = m->a->all       ? ITEMS_ALL
			 : is(m, "text") ? ITEMS_TEXT
					 : ITEMS_DATA,
	};
}

static int look(struct mem *m)
{
	const struct gs_memory_options o = look_options(m);
	int r = open_target(m);

	if (r == 0)
		r = gs_memory_look(m->target, m->rt, &o, &m->look, m->err);
	if (r == 0)
		r = open_output(m);
	return r == 0 ? write_memory(m, gs_memory_result(m->look)) : r;
}

static int watch(struct mem *m)
{
	const struct gs_memory_options o = look_options(m);
	int r = m->a->stream.dry_run ? 0 : open_output(m);

	// A file that cannot be written is told before watching, not after.
	if (r == 0)
		r = gs_mem_watch_run(&m->watch, &m->a->common, &m->a->stream, &o, m->watch_ns,
				     m->err);
	return r == 0 ? write_memory(m, &m->watch.result) : r;
}

static int on_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct mem *m = ctx;
	int64_t now = gs_now_ns();

	if (interrupted)
		return 1;
	if (now < m->next_progress_ns)
		return 0;
	m->next_progress_ns = now + PROGRESS_NS;
	if (!gs_progress_wanted(&m->a->common))
		return 0;
	fprintf(stderr, "\r\033[K%s: %.0f %% of the heap walked", m->a->common.cmd->name,
		total ? 100 * (double)done / (double)total : 0);
	m->progress_shown = true;
	return 0;
}

/* What reading the heap missed, and what walking it missed. */
static void add_missing(struct mem *m, const struct gs_incomplete_list *from)
{
	for (uint32_t i = 0; from && i < from->n; i++)
		gs_incomplete_add(&m->missing, from->item[i].what, from->item[i].count, "%s",
				  from->item[i].why);
}

static int objects(struct mem *m)
{
	const struct gs_heap_objects_options o = { .path_to = m->a->path,
						   .types = (uint32_t)m->a->top,
						   .roots = (uint32_t)m->a->top,
						   .retained = m->a->retained,
						   .progress = on_progress,
						   .progress_ctx = m };
	struct sigaction sa = { .sa_handler = on_sigint, .sa_flags = (int)SA_RESETHAND };
	struct gs_heap_objects_result x;
	int r = open_target(m);

	sigaction(SIGINT, &sa, NULL);
	m->next_progress_ns = gs_now_ns() + PROGRESS_NS;
	if (r == 0)
		r = gs_rt_heap_read(m->rt, &m->heap, &m->missing, m->err);
	if (r == 0)
		r = gs_heap_objects_new(m->rt, m->heap, &o, &m->objects, m->err);
	if (m->progress_shown)
		fputs("\r\033[K", stderr);
	if (r == 0)
		r = gs_target_alive(m->target, m->err);
	if (r == 0)
		r = open_output(m);
	if (r < 0)
		return r;
	x = *gs_heap_objects_result(m->objects);
	add_missing(m, x.incomplete);
	if (interrupted)
		gs_incomplete_add(&m->missing, "interrupted", 1,
				  "the rest was not walked: interrupted by the user");
	x.incomplete = &m->missing;
	return write_objects(m, &x);
}

/* ---- what is said beside the result ---- */

/* What the stream is missing was told by its report. */
static bool told(const struct mem *m, const char *what)
{
	struct gs_event_source *s = m->watch.session.source;
	const struct gs_incomplete_list *l = s ? &s->stats(s)->incomplete : NULL;

	for (uint32_t i = 0; l && i < l->n; i++)
		if (strcmp(l->item[i].what, what) == 0)
			return true;
	return false;
}

static void tell(struct mem *m)
{
	const struct gs_common *c = &m->a->common;
	const char *view = is(m, "pprof")    ? "go tool pprof -http=: "
			   : is(m, "html")   ? "open in a web browser: "
			   : is(m, "folded") ? "flamegraph.pl --countname bytes "
					     : NULL;

	if (m->watch.session.source)
		gs_stream_session_report(&m->watch.session, c);
	for (uint32_t i = 0; i < m->missing.n; i++)
		if (!told(m, m->missing.item[i].what))
			gs_note(c, "incomplete: %" PRIu64 " %s: %s", m->missing.item[i].count,
				m->missing.item[i].what, m->missing.item[i].why);
	if (view && c->output && strcmp(c->output, "-") != 0)
		gs_note(c, "to look at it: %s%s", view, c->output);
	if (m->a->numa && !m->a->objects && !m->n_numa)
		gs_note(c, "by NUMA node nothing is known: the machine has one, or the kernel does "
			   "not "
			   "tell");
}

/* What was asked for, what a busy process always has, and that a core file has no kernel's view: told, but no reason for
 * another exit code. */
static bool truly_incomplete(const struct mem *m)
{
	for (uint32_t i = 0; i < m->missing.n; i++) {
		const char *what = m->missing.item[i].what;

		if (strcmp(what, "watched_without_probes") == 0 && m->a->stream.no_probes)
			continue;
		if (strcmp(what, "kernel_view") == 0 ||
		    strcmp(what, "running_without_registers") == 0)
			continue;
		return true;
	}
	return false;
}

static int run_mem(struct mem *m)
{
	int r = m->a->objects ? objects(m) : m->watch_ns ? watch(m) : look(m), closed = 0;

	if (m->opened)
		closed = gs_output_close(&m->output, r == 0, r == 0 ? m->err : NULL);
	return r != 0 ? r : closed;
}

static void close_all(struct mem *m)
{
	gs_mem_watch_close(&m->watch);
	gs_memory_look_free(m->look);
	gs_heap_objects_free(m->objects);
	gs_rt_heap_free(m->heap);
	gs_rt_free(m->rt);
	gs_target_free(m->target);
}

static int run(void *args)
{
	const struct mem_args *a = args;
	struct gs_err err = { 0 };
	struct mem m = { .a = a, .err = &err };
	int r = prepare(&m), code;

	if (r < 0) {
		code = gs_report(&a->common, &err, NULL);
	} else if ((r = run_mem(&m)) < 0) {
		code = gs_report(&a->common, &err, "cannot tell where the memory of %s goes",
				 a->common.target);
	} else if (r > 0) {
		code = GS_EXIT_OK; /* --dry-run */
	} else {
		tell(&m);
		code = truly_incomplete(&m) ? GS_EXIT_INCOMPLETE : GS_EXIT_OK;
	}
	close_all(&m);
	return code;
}

const struct gs_cmd gs_cmd_mem = {
	.name = "mem",
	.summary = "Where resident memory goes, byte for byte, and what grows",
	.description =
		"Splits the resident memory of a running Go process into classes that add up to "
		"it: live and dead Go objects, free heap pages, goroutine stacks, the runtime's "
		"own tables, the binary, plugins and shared libraries, the C heap of cgo, mapped "
		"files, and anonymous mappings outside of the Go runtime. It puts the "
		"kernel's view of each page beside the runtime's own. The target is not stopped, "
		"needs no endpoint, and may be stripped.\n\n"
		"First comes a verdict in plain words, with the evidence and what to do. Then the "
		"classes, largest first: what is resident, how much address space, how much of it "
		"in huge pages, and how the number is known (read, derived, estimated).\n\n"
		"With --watch it looks twice and tells which class grew. With eBPF it also tells "
		"who made it grow: the stacks and goroutines that mapped memory or touched it "
		"first. Ctrl-C ends watching early. --objects walks the Go heap from outside: "
		"live objects by type, and the variable or goroutine that keeps them alive.\n\n"
		"Needs the right to read the process; --watch with probes also what `gosonde "
		"why` needs. In a core file the kernel's view is missing, so sizes are of address "
		"space there.",
	.examples = "gosonde mem 4711    where its memory goes, now\n"
		    "gosonde mem =shop --watch 60s    what grows, and who makes it grow\n"
		    "gosonde mem 4711 --format html -o mem.html    a map to click on\n"
		    "gosonde mem 4711 --format pprof -o mem.pb.gz    for go tool pprof\n"
		    "gosonde mem 4711 --objects --path main.Order    what keeps orders alive\n"
		    "gosonde mem core.4711 --exe ./server    of a crashed process\n",
	.formats = formats,
	.target = GS_ARG_PID | GS_ARG_CORE,
	.flags = GS_CMD_DURATION,
	.options = options,
	.n_options = GS_ARRAY_SIZE(options),
	.args_size = sizeof(struct mem_args),
	.run = run,
};
