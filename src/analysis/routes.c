/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Names of routes. Where the mux tells its pattern (http.Request.Pattern, Go 1.23) that is the route; but the pattern "/"
 * fits everything, so then the path tells more. Segments of a path that are numbers, UUIDs or long tokens with digits
 * become {id}. Paths come from whoever sends requests: the number of routes is bounded.
 */
#include "analysis/routes.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 240
#define TOKEN_MIN 16u /* shortest random token that is taken for one */

struct gs_routes {
	const char *const *functions;
	uint32_t n_functions;
	uint32_t n;
	char *name[GS_ROUTES_MAX];
};

struct gs_routes *gs_routes_new(const char *const *functions, uint32_t n_functions)
{
	GS_CLEANUP(gs_routes_freep) struct gs_routes *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->functions = functions;
	r->n_functions = n_functions;
	r->name[0] = strdup("(other)");
	r->n = 1;
	return r->name[0] ? GS_TAKE(r) : NULL;
}

struct gs_routes *gs_routes_free(struct gs_routes *r)
{
	for (uint32_t i = 0; r && i < r->n; i++)
		free(r->name[i]);
	free(r);
	return NULL;
}

const char *gs_routes_name(const struct gs_routes *r, uint32_t route)
{
	return r->name[route < r->n ? route : 0];
}

uint32_t gs_routes_count(const struct gs_routes *r)
{
	return r->n;
}

static bool is_id(const char *s, size_t n)
{
	size_t digits = 0, hex = 0, dashes = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		digits += isdigit(c) != 0;
		hex += isxdigit(c) != 0;
		dashes += c == '-';
	}
	if (n == 0 || digits == 0)
		return false;
	if (digits == n || (n == 36 && dashes == 4 && hex == 32))
		return true;
	if (n >= TOKEN_MIN && hex == n)
		return true;
	return n >= TOKEN_MIN && digits * 6 >= n;
}

/* @path with {id} for what is one; @return its length. */
static size_t collapse(char *to, size_t size, const char *path, size_t n)
{
	const char *query = memchr(path, '?', n);
	size_t len = 0, i = 0;

	if (query)
		n = (size_t)(query - path);
	while (i < n) {
		size_t end = i;
		const char *piece = path + i;

		while (end < n && path[end] != '/')
			end++;
		if (is_id(piece, end - i)) {
			piece = "{id}";
			len += (size_t)snprintf(to + len, size - len, "%s", piece);
		} else {
			len += (size_t)snprintf(to + len, size - len, "%.*s", (int)(end - i),
						piece);
		}
		if (end < n && len + 1 < size)
			to[len++] = '/';
		if (len + 1 >= size)
			break;
		i = end + 1;
	}
	len = len < size ? len : size - 1;
	to[len] = '\0';
	return len;
}

static void make_name(const struct gs_routes *r, const struct gs_call *c, char *to, size_t size)
{
	bool catch_all = c->pattern_len == 1 && c->pattern[0] == '/';
	size_t len = 0;

	if (c->kind == GS_CALL_FUNCTION) {
		snprintf(to, size, "%s",
			 c->function < r->n_functions ? r->functions[c->function] : "(function)");
		return;
	}
	// Patterns of Go 1.22 and later may begin with a method.
	if (c->kind != GS_CALL_GRPC && c->method_len && !memchr(c->pattern, ' ', c->pattern_len))
		len = (size_t)snprintf(to, size, "%.*s ", (int)c->method_len, c->method);
	if (c->pattern_len && !(catch_all && c->path_len > 1))
		snprintf(to + len, size - len, "%.*s", (int)c->pattern_len, c->pattern);
	else if (c->path_len)
		collapse(to + len, size - len, c->path, c->path_len);
	else
		snprintf(to + len, size - len, "(path not known)");
}

uint32_t gs_routes_of(struct gs_routes *r, const struct gs_call *c)
{
	char name[NAME_MAX_BYTES];

	make_name(r, c, name, sizeof(name));
	for (uint32_t i = 1; i < r->n; i++)
		if (strcmp(r->name[i], name) == 0)
			return i;
	if (r->n == GS_ROUTES_MAX)
		return 0;
	r->name[r->n] = strdup(name);
	return r->name[r->n] ? r->n++ : 0;
}
