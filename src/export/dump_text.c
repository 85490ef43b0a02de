/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A dump as the text that Go itself prints (runtime.Stack(all), SIGQUIT, /debug/pprof/goroutine with
 * debug=2), so that every tool that reads those reads this. From runtime/traceback.go, Go 1.19 to 1.27:
 *
 *	goroutine 18 [chan receive, 5 minutes, locked to thread]:      goroutineheader
 *	main.worker(...)                                               traceback2
 *		/src/main.go:12 +0x1d
 *	created by main.main in goroutine 1                            printcreatedby1
 *		/src/main.go:30 +0x25
 *
 * An empty line stands between goroutines. "+0x1d" is the distance of the pc from the function's start;
 * inlined calls have none, and their arguments are always "...". What differs between releases:
 * "in goroutine N" (1.21), "synctest group" (1.24) or "synctest bubble" and "(durable)" (1.25),
 * "(leaked)" (1.26), labels in the header (1.26, on request), "[...].m[...]" (1.27, func_name.c).
 *
 * On purpose different from Go: the order is that of the runtime's list (Go puts the calling goroutine
 * first); all frames are printed, where Go leaves out those between the 50 innermost and the 50
 * outermost; control characters in names are escaped. A stack that was read only in part ends with
 * Go's line "...additional frames elided...".
 *
 * Groups have no Go text to follow; the frames are as above, under a line of ours:
 *
 *	1234 goroutines [chan receive, 3m..12m, median 5m]: 18 19 20 …
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "export/dump_private.h"

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

struct text_writer {
	struct gs_dump_writer w;
	bool started; /* something was printed, so an empty line comes first */
};

static void colour(const struct text_writer *t, struct gs_out *o, const char *sequence)
{
	if (t->w.o.colour)
		gs_out_str(o, sequence);
}

static void function_name(struct text_writer *t, struct gs_out *o, const char *function)
{
	size_t n;
	const char *name = gs__display_name(&t->w, function, &n);

	colour(t, o, BOLD);
	if (strcmp(function, "runtime.gopanic") == 0)
		gs_out_str(o, "panic");
	else
		gs_out_name(o, name, n);
	colour(t, o, PLAIN);
}

/* "\tfile:line", and where in the function unless @offset is false. */
static void place(const struct text_writer *t, struct gs_out *o, const struct gs_frame *f,
		  bool offset)
{
	gs_out_char(o, '\t');
	colour(t, o, DIM);
	if (f->file[0])
		gs_out_name(o, f->file, strlen(f->file));
	else
		gs_out_str(o, "??");
	gs_out_char(o, ':');
	gs_out_u64(o, f->line);
	if (offset && f->entry && f->pc > f->entry) {
		gs_out_str(o, " +");
		gs_out_hex(o, f->pc - f->entry);
	}
	colour(t, o, PLAIN);
	gs_out_char(o, '\n');
}

/* C code and the like, in the words of printOneCgoTraceback. */
static void foreign_frame(struct text_writer *t, struct gs_out *o, const struct gs_frame *f)
{
	if (!f->function[0]) {
		gs_out_str(o, "non-Go function at pc=");
		gs_out_hex(o, f->pc);
		gs_out_char(o, '\n');
		return;
	}
	function_name(t, o, f->function);
	gs_out_str(o, "\n\t");
	if (f->file[0]) {
		gs_out_name(o, f->file, strlen(f->file));
		gs_out_char(o, ':');
		gs_out_u64(o, f->line);
		gs_out_char(o, ' ');
	}
	gs_out_str(o, "pc=");
	gs_out_hex(o, f->pc);
	gs_out_char(o, '\n');
}

static void frame(struct text_writer *t, struct gs_out *o, const struct gs_frame *f,
		  const char *args)
{
	bool inlined = f->flags & GS_FRAME_INLINED;

	if (!f->function[0] || f->flags & (GS_FRAME_FOREIGN | GS_FRAME_KERNEL)) {
		foreign_frame(t, o, f);
		return;
	}
	function_name(t, o, f->function);
	gs_out_char(o, '(');
	if (args && !inlined)
		gs_out_name(o, args, strlen(args));
	else
		gs_out_str(o, "...");
	gs_out_str(o, ")\n");
	place(t, o, f, !inlined);
}

static void frames(struct text_writer *t, struct gs_out *o, const struct gs_stack *s,
		   const char *const *args)
{
	bool hidden = gs__show_hidden(&t->w, s);

	for (uint32_t i = 0; i < s->n_frames; i++)
		if (hidden || !(s->frames[i].flags & GS_FRAME_HIDDEN))
			frame(t, o, &s->frames[i], args ? args[i] : NULL);
	if (s->n_frames && s->end != GS_STACK_COMPLETE)
		gs_out_str(o, "...additional frames elided...\n");
}

static void stack(struct text_writer *t, const struct gs_stack *s, enum gs_goroutine_state state,
		  const char *const *args)
{
	struct gs_out *out = t->w.out;
	struct gs__text text;

	if (s->n_frames == 0) {
		/* The only words for it that readers of tracebacks know. Dead ones have no stack. */
		if (state != GS_G_DEAD && state != GS_G_DEADEXTRA && state != GS_G_IDLE)
			gs_out_str(out, "\tgoroutine running on other thread; stack unavailable\n");
		return;
	}
	if (args) {
		frames(t, out, s, args);
		return;
	}
	text = gs__stack_kept(&t->w, s);
	if (!text.p) {
		frames(t, gs__scratch(&t->w), s, NULL);
		text = gs__stack_keep(&t->w, s, 0);
	}
	gs_out_bytes(out, text.p, text.len);
}

static void created_by(struct text_writer *t, const struct gs_frame *f, uint64_t parent_id)
{
	struct gs_out *out = t->w.out;
	struct gs__text text;

	if (!f || !f->function[0] || (f->flags & GS_FRAME_HIDDEN && !t->w.o.all_frames))
		return;
	text = gs__frame_kept(&t->w, f);
	if (!text.p) {
		struct gs_out *o = gs__scratch(&t->w);
		uint32_t split;

		gs_out_str(o, "created by ");
		function_name(t, o, f->function);
		split = (uint32_t)o->len;
		gs_out_char(o, '\n');
		place(t, o, f, true);
		text = gs__frame_keep(&t->w, f, split);
	}
	gs_out_bytes(out, text.p, text.split);
	if (parent_id) {
		gs_out_str(out, " in goroutine ");
		gs_out_u64(out, parent_id);
	}
	gs_out_bytes(out, text.p + text.split, text.len - text.split);
}

static void status(struct gs_out *out, enum gs_goroutine_state state, const char *wait_reason)
{
	if (wait_reason && (state == GS_G_WAITING || state == GS_G_LEAKED))
		gs_out_name(out, wait_reason, strlen(wait_reason));
	else
		gs_out_str(out, gs_goroutine_state_name(state));
	if (state == GS_G_LEAKED)
		gs_out_str(out, " (leaked)");
}

/* isIdleInSynctest in runtime/runtime2.go, less those whose text ends in "(durable)". */
static bool durable(const char *wait_reason)
{
	static const char *const reasons[] = {
		"chan receive (nil chan)",
		"chan send (nil chan)",
		"select (no cases)",
		"sleep",
		"sync.Cond.Wait",
		"coroutine",
		"synctest.Run",
		"synctest.Wait",
	};

	for (size_t i = 0; wait_reason && i < GS_ARRAY_SIZE(reasons); i++)
		if (strcmp(wait_reason, reasons[i]) == 0)
			return true;
	return false;
}

/* printquoted in runtime/print.go. */
static void quoted(struct gs_out *o, const char *s, size_t n)
{
	gs_out_char(o, '"');
	for (size_t i = 0; i < n;) {
		size_t len = gs_utf8_len(s + i, n - i);
		unsigned char c = (unsigned char)s[i];
		uint32_t rune = c;

		if (len > 1)
			rune = c & (0x7fu >> len);
		for (size_t k = 1; k < len; k++)
			rune = rune << 6 | ((unsigned char)s[i + k] & 0x3fu);
		if (len == 0)
			gs_out_printf(o, "\\x%02x", c);
		else if (c == '\n' || c == '\r' || c == '\t')
			gs_out_printf(o, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
		else if (c == '"' || c == '\\')
			gs_out_printf(o, "\\%c", c);
		else if (rune >= ' ' && rune <= '~')
			gs_out_char(o, (char)c);
		else if (rune < 127)
			gs_out_printf(o, "\\x%02" PRIx32, rune);
		else if (rune < 0x10000)
			gs_out_printf(o, "\\u%04" PRIx32, rune);
		else
			gs_out_printf(o, "\\U%08" PRIx32, rune);
		i += len ? len : 1;
	}
	gs_out_char(o, '"');
}

/* Go 1.26 quotes always; later releases where tracebackStringNeedsQuoting says so. */
static void label_text(const struct text_writer *t, const char *s, size_t n)
{
	bool quote = t->w.go_minor == 26;

	for (size_t i = 0; i < n && !quote; i++)
		quote = !((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
			  (s[i] >= '0' && s[i] <= '9') || s[i] == '.' || s[i] == '/' ||
			  s[i] == '_');
	if (quote)
		quoted(t->w.out, s, n);
	else
		gs_out_bytes(t->w.out, s, n);
}

/* Inside of the brackets in Go 1.26, after them in later releases. */
static void labels(const struct text_writer *t, const struct gs_goroutine *g)
{
	struct gs_out *out = t->w.out;

	gs_out_str(out, t->w.go_minor == 26 ? " labels:{" : " {");
	for (uint32_t i = 0; i < g->n_labels; i++) {
		if (i)
			gs_out_str(out, ", ");
		label_text(t, g->labels[i].key, g->labels[i].key_len);
		gs_out_str(out, ": ");
		label_text(t, g->labels[i].value, g->labels[i].value_len);
	}
	gs_out_char(out, '}');
}

static void header(const struct text_writer *t, const struct gs_goroutine *g)
{
	struct gs_out *out = t->w.out;
	int64_t minutes = g->wait_ns / (INT64_C(60) * 1000000000);
	bool show_labels = g->n_labels && t->w.o.header_labels;

	gs_out_str(out, "goroutine ");
	gs_out_u64(out, g->id);
	gs_out_str(out, " [");
	status(out, g->state, g->wait_reason);
	if (g->scan)
		gs_out_str(out, " (scan)");
	if (g->bubble_id && g->state == GS_G_WAITING && gs__go_since(&t->w, 25) &&
	    durable(g->wait_reason))
		gs_out_str(out, " (durable)");
	if (minutes >= 1 && (g->state == GS_G_WAITING || g->state == GS_G_SYSCALL)) {
		gs_out_str(out, ", ");
		gs_out_i64(out, minutes);
		gs_out_str(out, " minutes");
	}
	if (g->locked)
		gs_out_str(out, ", locked to thread");
	if (g->bubble_id) {
		gs_out_str(out,
			   gs__go_since(&t->w, 25) ? ", synctest bubble " : ", synctest group ");
		gs_out_u64(out, g->bubble_id);
	}
	if (show_labels && t->w.go_minor == 26)
		labels(t, g);
	gs_out_char(out, ']');
	if (show_labels && t->w.go_minor != 26)
		labels(t, g);
	gs_out_str(out, ":\n");
}

static void separate(struct text_writer *t)
{
	if (t->started)
		gs_out_char(t->w.out, '\n');
	t->started = true;
}

static int text_goroutine(struct gs_dump_writer *w, const struct gs_goroutine *g,
			  struct gs_err *err)
{
	struct text_writer *t = (struct text_writer *)w;

	separate(t);
	header(t, g);
	stack(t, g->stack, g->state, g->args);
	created_by(t, g->created_by, g->parent_id);
	return gs__writer_check(w, err);
}

/* The two largest units that matter: "250ms", "12s", "3m5s", "12m", "2h5m", "3d". */
static void duration(struct gs_out *out, int64_t ns)
{
	static const struct {
		int64_t ns;
		const char *unit;
	} units[] = {
		{ INT64_C(86400) * 1000000000, "d" }, { INT64_C(3600) * 1000000000, "h" },
		{ INT64_C(60) * 1000000000, "m" },    { INT64_C(1000000000), "s" },
		{ INT64_C(1000000), "ms" },
	};
	size_t i = 0;

	while (i < GS_ARRAY_SIZE(units) && ns < units[i].ns)
		i++;
	if (i == GS_ARRAY_SIZE(units)) {
		gs_out_str(out, "0s");
		return;
	}
	gs_out_i64(out, ns / units[i].ns);
	gs_out_str(out, units[i].unit);
	ns %= units[i].ns;
	if (i < 3 && ns >= units[i + 1].ns) {
		gs_out_i64(out, ns / units[i + 1].ns);
		gs_out_str(out, units[i + 1].unit);
	}
}

static void group_waits(struct gs_out *out, const struct gs_group *g)
{
	if (g->known_waits == 0 || g->wait_min_ns < 0)
		return;
	gs_out_str(out, ", ");
	duration(out, g->wait_min_ns);
	if (g->wait_max_ns != g->wait_min_ns) {
		gs_out_str(out, "..");
		duration(out, g->wait_max_ns);
		gs_out_str(out, g->median_estimated ? ", median ~" : ", median ");
		duration(out, g->wait_median_ns);
	}
	if (g->known_waits < g->count)
		gs_out_printf(out, ", known for %" PRIu64, g->known_waits);
}

static int text_group(struct gs_dump_writer *w, const struct gs_group *g, struct gs_err *err)
{
	struct text_writer *t = (struct text_writer *)w;
	struct gs_out *out = w->out;

	separate(t);
	gs_out_u64(out, g->count);
	gs_out_str(out, g->count == 1 ? " goroutine [" : " goroutines [");
	status(out, g->state, g->wait_reason);
	group_waits(out, g);
	if (g->locked)
		gs_out_printf(out, ", %" PRIu64 " locked to thread", g->locked);
	gs_out_str(out, "]:");
	for (uint32_t i = 0; i < g->n_first_ids; i++) {
		gs_out_char(out, ' ');
		gs_out_u64(out, g->first_ids[i]);
	}
	gs_out_str(out, g->n_first_ids < g->count ? " ...\n" : "\n");
	stack(t, g->stack, g->state, NULL);
	created_by(t, g->created_by, 0);
	return gs__writer_check(w, err);
}

static void text_abort(struct gs_dump_writer *w)
{
	gs__writer_deinit(w);
	free(w);
}

static int text_open(struct gs_dump_writer **ret, struct gs_out *out,
		     const struct gs_dump_options *o, const struct gs_process *p,
		     struct gs_err *err)
{
	struct text_writer *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return gs_fail(err, -ENOMEM, 0, "cannot write the dump: out of memory");
	r = gs__writer_init(&t->w, out, o, p, err);
	if (r < 0) {
		text_abort(&t->w);
		return r;
	}
	*ret = &t->w;
	return 0;
}

static int text_close(struct gs_dump_writer *w, const struct gs_dump_options *o,
		      const struct gs_incomplete_list *inc, struct gs_err *err)
{
	int r = gs__writer_check(w, err);

	text_abort(w);
	return r;
}

const struct gs_dump_format gs_dump_text = {
	.name = "text",
	.open = text_open,
	.goroutine = text_goroutine,
	.group = text_group,
	.close = text_close,
	.abort = text_abort,
};
