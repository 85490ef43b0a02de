/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_WHY_SCRIPT_H
#define GS_TESTS_WHY_SCRIPT_H

/* Run the analysis over a script (event_script.h), and look at what comes out. */
#include <inttypes.h>
#include <stdio.h>

#include "analysis/why_analysis.h"
#include "event_script.h"
#include "test.h"

#define MS INT64_C(1000000)

struct why_run {
	struct gs_event_source *source;
	struct gs_why *why;
	const struct gs_why_result *r;
};

static inline struct why_run why_run_source(struct gs_event_source *s,
					    const struct gs_why_options *o)
{
	const struct gs_why_options none = { 0 };
	struct why_run run = { .source = s };
	const struct gs_event *e;
	struct gs_err err;
	size_t n;

	gs_assert_ok(gs_why_new(o ? o : &none, s, &run.why, &err), &err);
	while (s->next(s, 0, &e, &n, &err) == 0)
		for (size_t i = 0; i < n; i++)
			gs_why_event(run.why, &e[i]);
	gs_assert_ok(gs_why_result(run.why, &run.r, &err), &err);
	return run;
}

static inline struct why_run why_run(const char *text, const struct gs_why_options *o)
{
	return why_run_source(event_script(text), o);
}

static inline void why_end(struct why_run *run)
{
	gs_why_free(run->why);
	run->source->free(run->source);
}

/* Classes of a request, as "mutex 30000000 cpu_user 2" in the order of the enum. */
static inline const char *why_classes(const struct gs_why_request *q, char buf[512])
{
	int64_t sum = 0;
	int n = 0;

	buf[0] = '\0';
	for (int c = 0; c < GS_WHY_CLASSES; c++) {
		sum += q->classes[c];
		if (q->classes[c])
			n += snprintf(buf + n, 512 - (size_t)n, "%s%s %" PRId64, n ? " " : "",
				      gs_why_class_name((enum gs_why_class)c), q->classes[c]);
	}
	assert_int_equal(sum, q->duration_ns);
	return buf;
}

/* A tree as "mutex@main.f 30(file_io@main.g 29 cpu_user 1) cpu_user 2", in milliseconds. */
static inline int why_tree(const struct gs_why_blame *b, uint32_t n, char *buf, size_t size)
{
	int at = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < n; i++) {
		at += snprintf(buf + at, size - (size_t)at, "%s%s%s%s %g", i ? " " : "",
			       gs_why_class_name(b[i].what.class), b[i].what.where ? "@" : "",
			       b[i].what.where ? b[i].what.where->function : "",
			       (double)b[i].ns / 1e6);
		if (b[i].n_causes) {
			at += snprintf(buf + at, size - (size_t)at, "(");
			at += why_tree(b[i].cause, b[i].n_causes, buf + at, size - (size_t)at);
			at += snprintf(buf + at, size - (size_t)at, ")");
		}
	}
	return at;
}

static inline void why_tree_is(const struct gs_why_request *q, const char *want)
{
	char buf[4096];

	why_tree(q->blame, q->n_blame, buf, sizeof(buf));
	assert_string_equal(buf, want);
}

#endif
