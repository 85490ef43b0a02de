/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_HTML_PAGE_H
#define GS_EXPORT_HTML_PAGE_H

/* One HTML file that loads nothing and works from file://: a built-in page with its script and its data. */
#include "base/out.h"

/**
 * Write @html with @json in the place of @mark and @script in that of "@SCRIPT@". Both marks must be there, in this order.
 * "<" of the JSON becomes \u003c, so that no name in it can end the script element it stands in.
 */
void gs__html_page(struct gs_out *o, const char *html, const char *mark, const struct gs_out *json,
		   const char *script);

#endif
