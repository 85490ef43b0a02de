/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Stacks that stand still. */
#include "runtime/rt_stackmap.h"

#include <errno.h>

struct gs__scan {
	struct gs_rt *rt;
};

int gs__scan_new(struct gs_rt *rt, struct gs__scan **ret, struct gs_err *err)
{
	struct gs__scan *s = calloc(1, sizeof(*s));

	if (!s)
		return gs_fail(err, -ENOMEM, 0, "no memory to read stacks");
	s->rt = rt;
	*ret = s;
	return 0;
}

struct gs__scan *gs__scan_free(struct gs__scan *s)
{
	free(s);
	return NULL;
}

int gs__scan_stack(struct gs__scan *s, const struct gs__scan_stack *in, struct gs__sink *out,
		   struct gs_err *err)
{
	int r = gs__scan_words(out, in->at, in->bytes, in->len);

	(void)s;
	(void)err;
	return r ? r : gs__sink_add(out, 0, in->ctxt);
}

void gs__scan_count(const struct gs__scan *s, struct gs_incomplete_list *inc)
{
	(void)s;
	(void)inc;
}
