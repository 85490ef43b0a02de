/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A dump as folded stacks, the input of flame graph tools (flamegraph.pl, inferno, speedscope):
 *
 *	main.main;main.serve;net.(*conn).Read;[IO_wait] 42
 *
 * One line per distinct line: outermost function first, then what the goroutine waits for (or its
 * state) in brackets, one space, how many goroutines. Lines are sorted by their bytes, so that two
 * dumps compare. A stack that was not read to its end begins with "[incomplete]", so that it does not
 * pretend to be rooted where it happens to stop. The only space in a line is that before the count
 * and ";" stands only between frames: in names both become \x20 and \x3b, control characters \xNN.
 *
 * A stack is rendered once; counts are kept per distinct (stack, wait reason, state), and what
 * renders to the same line (other lines of the same functions) is added up at the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "export/dump_private.h"
#include "export/frame_words.h"
#include "model/stack_table.h"

/* Goroutines with the same stack, state and wait reason. */
struct tally {
	const struct gs_stack *stack;
	const char *wait_reason;
	uint64_t count;
	enum gs_goroutine_state state;
};

struct folded_writer {
	struct gs_dump_writer w;
	struct gs_stack_table table;
	struct tally *tallies; /* by number in the table */
	uint32_t cap;
};

/* One line of the output: text and count. */
struct line {
	const char *text;
	uint64_t count;
};

static int grow(struct folded_writer *f, struct gs_err *err)
{
	uint32_t cap = f->cap ? f->cap * 2 : 256;
	struct tally *tallies;

	if (f->table.n < f->cap)
		return 0;
	tallies = gs_array_resize(f->tallies, cap, sizeof(*tallies));
	if (!tallies)
		return gs_fail(err, -ENOMEM, 0, "cannot fold the dump: out of memory");
	f->tallies = tallies;
	f->cap = cap;
	return 0;
}

static int count(struct gs_dump_writer *w, const struct gs_stack *s, enum gs_goroutine_state state,
		 const char *wait_reason, uint64_t n, struct gs_err *err)
{
	struct folded_writer *f = (struct folded_writer *)w;
	struct gs_stack_key key = { .stack = (uint64_t)(uintptr_t)s, .kind = state };
	uint32_t number;
	int r = grow(f, err);

	if (r < 0)
		return r;
	if (n == 0)
		return 0;
	if (state == GS_G_WAITING || state == GS_G_LEAKED)
		key.text = wait_reason;
	r = gs_stack_table_number(&f->table, &key, &number, err);
	if (r < 0)
		return r;
	if (r > 0)
		f->tallies[number] =
			(struct tally){ .stack = s, .wait_reason = key.text, .state = state };
	f->tallies[number].count += n;
	return 0;
}

static int folded_goroutine(struct gs_dump_writer *w, const struct gs_goroutine *g,
			    struct gs_err *err)
{
	return count(w, g->stack, g->state, g->wait_reason, 1, err);
}

static int folded_group(struct gs_dump_writer *w, const struct gs_group *g, struct gs_err *err)
{
	return count(w, g->stack, g->state, g->wait_reason, g->count, err);
}

static void annotation(struct gs_out *o, const struct tally *t)
{
	const char *s = t->wait_reason ? t->wait_reason : gs_goroutine_state_name(t->state);
	size_t n = strlen(s);

	gs_out_char(o, '[');
	for (size_t from = 0, i = 0; i <= n; i++) {
		if (i < n && s[i] != ' ')
			continue;
		gs__put_folded(o, s + from, i - from);
		if (i < n)
			gs_out_char(o, '_');
		from = i + 1;
	}
	if (t->state == GS_G_LEAKED)
		gs_out_str(o, "_(leaked)");
	gs_out_char(o, ']');
}

static void render(struct gs_dump_writer *w, struct gs_out *o, const struct tally *t)
{
	const struct gs_stack *s = t->stack;
	bool hidden = gs__show_hidden(w, s);

	if (s->n_frames && s->end != GS_STACK_COMPLETE)
		gs_out_str(o, "[incomplete];");
	for (uint32_t i = s->n_frames; i-- > 0;) {
		size_t n;
		const char *name;

		if (!hidden && s->frames[i].flags & GS_FRAME_HIDDEN)
			continue;
		name = gs__display_name(w, s->frames[i].function, &n);
		if (n)
			gs__put_folded(o, name, n);
		else
			gs_out_str(o, "[unknown]");
		gs_out_char(o, ';');
	}
	annotation(o, t);
	gs_out_char(o, '\0');
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct line *)a)->text, ((const struct line *)b)->text);
}

/* Render all lines one after the other, sort them, add up equal ones. */
static int write_lines(struct folded_writer *f, struct gs_err *err)
{
	uint32_t n = f->table.n;
	GS_CLEANUP(gs_freep) struct line *lines = gs_array_new(n, sizeof(*lines));
	struct gs_out *o = gs__scratch(&f->w);
	size_t at = 0;

	if (!lines)
		return gs_fail(err, -ENOMEM, 0, "cannot fold the dump: out of memory");
	for (uint32_t i = 0; i < n; i++)
		render(&f->w, o, &f->tallies[i]);
	if (gs_out_failed(o))
		return gs__writer_check(&f->w, err);
	for (uint32_t i = 0; i < n; i++) {
		lines[i] = (struct line){ .text = o->buf + at, .count = f->tallies[i].count };
		at += strlen(o->buf + at) + 1;
	}
	qsort(lines, n, sizeof(*lines), by_text);
	for (uint32_t i = 0; i < n && !gs_out_failed(f->w.out); i++) {
		uint64_t sum = lines[i].count;

		for (; i + 1 < n && strcmp(lines[i].text, lines[i + 1].text) == 0; i++)
			sum += lines[i + 1].count;
		gs_out_str(f->w.out, lines[i].text);
		gs_out_char(f->w.out, ' ');
		gs_out_u64(f->w.out, sum);
		gs_out_char(f->w.out, '\n');
	}
	return gs__writer_check(&f->w, err);
}

static void folded_abort(struct gs_dump_writer *w)
{
	struct folded_writer *f = (struct folded_writer *)w;

	gs__writer_deinit(w);
	gs_stack_table_deinit(&f->table);
	free(f->tallies);
	free(f);
}

static int folded_open(struct gs_dump_writer **ret, struct gs_out *out,
		       const struct gs_dump_options *o, const struct gs_process *p,
		       struct gs_err *err)
{
	struct folded_writer *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return gs_fail(err, -ENOMEM, 0, "cannot fold the dump: out of memory");
	r = gs__writer_init(&f->w, out, o, p, err);
	if (r < 0) {
		folded_abort(&f->w);
		return r;
	}
	*ret = &f->w;
	return 0;
}

static int folded_close(struct gs_dump_writer *w, const struct gs_dump_options *o,
			const struct gs_incomplete_list *inc, struct gs_err *err)
{
	int r = write_lines((struct folded_writer *)w, err);

	folded_abort(w);
	return r;
}

const struct gs_dump_format gs_dump_folded = {
	.name = "folded",
	.open = folded_open,
	.goroutine = folded_goroutine,
	.group = folded_group,
	.close = folded_close,
	.abort = folded_abort,
};
