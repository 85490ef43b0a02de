/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Calls that have no code of their own any more. Profile-guided builds (go build -pgo, the default where
 * there is a default.pgo) inline hot calls of functions that are too large for it otherwise; then a
 * probe in the function's body misses those calls. The inlining tables of the binary tell.
 */
#include <string.h>

#include "base/cleanup.h"
#include "probe/plan_private.h"

struct search {
	const char *name[GS_PLAN_SITES_MAX]; /* distinct functions of the plan */
	const char *into[GS_PLAN_SITES_MAX]; /* the first that has an inlined call */
	uint64_t calls[GS_PLAN_SITES_MAX];
	uint32_t n;
};

static void add_name(struct search *s, const char *name)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (strcmp(s->name[i], name) == 0)
			return;
	s->name[s->n++] = name;
}

static int take(void *ctx, const char *name, const struct gs_go_func *into)
{
	struct search *s = ctx;

	for (uint32_t i = 0; i < s->n; i++) {
		if (strcmp(s->name[i], name) != 0)
			continue;
		if (s->calls[i]++ == 0)
			s->into[i] = into->name;
	}
	return 0;
}

int gs__plan_inlined(struct gs__plan *pl, struct gs_err *err)
{
	const char *pgo = pl->b->build ? gs_go_setting(pl->b->build, "-pgo") : NULL;
	struct search s = { .n = 0 };
	int r;

	if (!pgo || !*pgo)
		return 0;
	for (uint32_t i = 0; i < pl->p->n_sites; i++)
		if (pl->p->site[i].addr && pl->p->site[i].program != GS_PROG_CALL_BEGIN &&
		    pl->p->site[i].program != GS_PROG_CALL_END)
			add_name(&s, pl->p->site[i].function);
	r = s.n ? gs_go_inlined(pl->b->tab, take, &s, err) : 0;
	for (uint32_t i = 0; i < s.n && r == 0; i++)
		if (s.calls[i])
			gs__plan_refuse(pl, s.name[i],
					"%" PRIu64 " of its calls not seen: inlined by the build's "
					"profile (-pgo), into %s",
					s.calls[i], s.into[i]);
	return r;
}
