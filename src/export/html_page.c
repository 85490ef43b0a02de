/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* How a page, its script and its data become one file. */
#include "export/html_page.h"

#include <string.h>

#define SCRIPT_MARK "@SCRIPT@"

/* "<" stands only in strings of JSON. */
static void put_json(struct gs_out *o, const char *s, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] != '<')
			continue;
		gs_out_bytes(o, s + from, i - from);
		gs_out_str(o, "\\u003c");
		from = i + 1;
	}
	gs_out_bytes(o, s + from, n - from);
}

void gs__html_page(struct gs_out *o, const char *html, const char *mark, const struct gs_out *json,
		   const char *script)
{
	const char *data_at = strstr(html, mark), *script_at = strstr(html, SCRIPT_MARK);

	gs_out_bytes(o, html, (size_t)(data_at - html));
	put_json(o, json->buf, json->len);
	data_at += strlen(mark);
	gs_out_bytes(o, data_at, (size_t)(script_at - data_at));
	gs_out_str(o, script);
	gs_out_str(o, script_at + strlen(SCRIPT_MARK));
}
