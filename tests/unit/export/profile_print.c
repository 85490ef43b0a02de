/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Write a profile of scripted events (tests/lib/event_script.h) to stdout, for tests that read it with other tools.
 *
 *	profile_print FORMAT KIND [goroutine] [labels] [all-frames] [limit=N] < SCRIPT
 *	profile_print FORMAT KIND wide=N        N functions and stacks of different width instead of a script
 *	profile_print FORMAT KIND hostile       names that try to break out of every format
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/profile_build.h"
#include "event_script.h"
#include "export/profile_export.h"

static const struct gs_profile_format *const formats[] = { &gs_profile_pprof, &gs_profile_folded,
							   &gs_profile_speedscope,
							   &gs_profile_flame };

static void die(const char *what)
{
	fprintf(stderr, "profile_print: %s\n", what);
	exit(1);
}

static char *read_all(FILE *f)
{
	size_t n = 0, cap = 1 << 20;
	char *text = malloc(cap);

	while (text && (n += fread(text + n, 1, cap - n - 1, f)) == cap - 1)
		text = realloc(text, cap *= 2);
	if (!text)
		die("out of memory");
	text[n] = '\0';
	return text;
}

/* Stack i is three deep, is seen i + 1 times 1 µs and shares its outer functions with others. */
static struct gs_event_source *wide(size_t n, struct gs_event **ret_events)
{
	struct gs_event *e = *ret_events = calloc(n, sizeof(*e));
	struct gs_event_source *s = event_script_array(e, n);
	char frames[96];

	for (size_t i = 0; i < n; i++) {
		snprintf(frames, sizeof(frames), "main.f%zu<main.g%zu<main.main", i, i % 100);
		e[i] = (struct gs_event){ .kind = GS_EV_SAMPLE,
					  .t_ns = (int64_t)i + 1,
					  .stack = event_script_stack(s, frames),
					  .sample.period_ns = (int64_t)(i + 1) * 1000 };
	}
	return s;
}

/* Names as a malicious binary could have them. */
static const struct gs_stack *hostile_stack(struct gs_event_source *s, uint32_t id)
{
	static const struct gs_frame frames[] = {
		{ .pc = 0x10, .function = "</script><script>alert(1)</script>", .file = "<!--" },
		{ .pc = 0x20, .function = "main.a;b c 12\n\x1b[2J\"\\", .file = "/x\r\"y" },
		{ .pc = 0x30, .function = "\xff\xfe\xe2\x80\xae\xe2\x80\xa8&amp;']]>", .file = "" },
		{ .pc = 0x40, .function = "main.F[go.shape.int_0]", .file = "" },
		{ .pc = 0x50, .function = "", .file = "", .flags = GS_FRAME_FOREIGN },
	};
	static const struct gs_stack stack = { .n_frames = GS_ARRAY_SIZE(frames),
					       .frames = frames,
					       .end = GS_STACK_CUT };

	return id ? &stack : NULL;
}

static struct gs_event_source *hostile(void)
{
	struct gs_event_source *s = event_script("1ms sample 7 period=5ms stack=x\n"
						 "2ms sample 7 period=5ms stack=x kstack=k:y\n"
						 "3ms park 7 reason=select stack=x\n"
						 "9ms run 7\n"
						 "label 7 </script>;=\x1b <b>\n");

	s->stack = hostile_stack;
	return s;
}

static int print(struct gs_event_source *s, const struct gs_profile_format *f,
		 const struct gs_profile_options *o, bool all_frames, struct gs_err *err)
{
	GS_CLEANUP(gs_profile_build_freep) struct gs_profile_build *b = gs_profile_build_new(s, o);
	struct gs_profile_facts facts = { .process = s->process,
					  .incomplete = &s->stats(s)->incomplete,
					  .begin_unix_ns = 1767225600000000000,
					  .duration_ns = 2000000000,
					  .all_frames = all_frames };
	const struct gs_profile *p;
	const struct gs_event *e;
	struct gs_out out;
	size_t n;
	int r = 0;

	while (r == 0 && s->next(s, 0, &e, &n, err) == 0)
		for (size_t i = 0; r == 0 && i < n; i++)
			r = gs_profile_build_event(b, &e[i], err);
	if (r == 0)
		r = gs_profile_build_finish(b, 0, &p, err);
	if (r < 0)
		return r;
	facts.period_ns = gs_profile_build_period_ns(b);
	gs_out_init_fd(&out, 1);
	r = f->write(&out, p, &facts, err);
	if (r == 0)
		r = gs_out_flush(&out, "standard output", err);
	gs_out_deinit(&out);
	return r;
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "", "cpu", "off_cpu", "wall" };
	const struct gs_profile_format *f = NULL;
	struct gs_profile_options o = { 0 };
	struct gs_event_source *s = NULL;
	struct gs_event *events = NULL;
	bool all_frames = false;
	struct gs_err err;
	char *text = NULL;

	for (size_t i = 0; argc > 2 && i < GS_ARRAY_SIZE(formats); i++)
		if (strcmp(argv[1], formats[i]->name) == 0)
			f = formats[i];
	for (int i = GS_PROFILE_CPU; argc > 2 && i <= GS_PROFILE_WALL; i++)
		if (strcmp(argv[2], kinds[i]) == 0)
			o.kind = (enum gs_profile_kind)i;
	if (!f || !o.kind)
		die("FORMAT KIND");
	for (int i = 3; i < argc; i++) {
		if (strncmp(argv[i], "wide=", 5) == 0)
			s = wide((size_t)atol(argv[i] + 5), &events);
		else if (strncmp(argv[i], "limit=", 6) == 0)
			o.limit = (uint32_t)atol(argv[i] + 6);
		else if (strcmp(argv[i], "hostile") == 0)
			s = hostile();
		else if (strcmp(argv[i], "goroutine") == 0)
			o.by_goroutine = true;
		else if (strcmp(argv[i], "labels") == 0)
			o.by_labels = true;
		else if (strcmp(argv[i], "all-frames") == 0)
			all_frames = true;
		else
			die(argv[i]);
	}
	if (!s)
		s = event_script(text = read_all(stdin));
	if (print(s, f, &o, all_frames, &err) < 0)
		die(err.text);
	s->free(s);
	free(text);
	free(events);
	return 0;
}
