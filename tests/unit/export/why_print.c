/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Prints why of a script of events (tests/lib/event_script.h) from standard input: why_print text|json [WIDTH]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/why_analysis.h"
#include "event_script.h"
#include "export/why_export.h"

static char *read_all(void)
{
	size_t cap = 1 << 20, n = 0, r;
	char *text = malloc(cap + 1);

	while (text && n < cap && (r = fread(text + n, 1, cap - n, stdin)) > 0)
		n += r;
	if (!text)
		abort();
	text[n] = '\0';
	return text;
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "json") == 0;
	struct gs_why_print p = { .width = argc > 2 ? (unsigned int)atoi(argv[2]) : 0 };
	char *text = read_all();
	struct gs_event_source *s = event_script(text);
	const struct gs_why_result *result;
	const struct gs_event *e;
	struct gs_why *w = NULL;
	struct gs_out out;
	struct gs_err err;
	size_t n;

	if (gs_why_new(&(struct gs_why_options){ .functions = s->n_functions > 0 }, s, &w, &err) <
	    0)
		return 1;
	while (s->next(s, 0, &e, &n, &err) == 0)
		for (size_t i = 0; i < n; i++)
			gs_why_event(w, &e[i]);
	if (gs_why_result(w, &result, &err) < 0)
		return 1;
	gs_out_init_fd(&out, 1);
	if (json)
		gs_why_json(&out, result, &p);
	else
		gs_why_text(&out, result, &p);
	if (gs_out_flush(&out, "standard output", &err) < 0)
		return 1;
	gs_out_deinit(&out);
	gs_why_free(w);
	s->free(s);
	free(text);
	return 0;
}
