/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A dump as gzip'd profile.proto (pprof_writer.h), shaped like the
 * "goroutine" profile of runtime/pprof, so that `go tool pprof` and profile stores take it:
 *
 *	sample type   goroutine/count, period type the same, period 1 (printCountProfile)
 *	sample        one per goroutine, value 1; grouped: one per group, value its count
 *	labels        state, wait_reason, goid (a number; not in groups) and the goroutine's own pprof
 *	              labels
 *	mapping       one, the executable
 *	comment       what the dump is missing
 *
 * Like runtime/pprof: runtime frames are there (runtime.gopark innermost), compiler-made wrappers
 * and runtime.goexit are not. A goroutine whose stack was not read has a sample without locations,
 * which viewers count in the total.
 */
#include <errno.h>
#include <stdlib.h>

#include "export/dump_private.h"
#include "export/pprof_writer.h"

struct pprof_writer {
	struct gs_dump_writer w;
	struct gs__pprof p;
};

static const char *const own_keys[] = { "goid", "state", "wait_reason", NULL };

/* The packed location ids of a stack. */
static int stack(struct pprof_writer *t, const struct gs_stack *s, struct gs__text *ret,
		 struct gs_err *err)
{
	struct gs__text text = gs__stack_kept(&t->w, s);
	int r;

	if (!text.p) {
		r = gs__pprof_locations(&t->p, s, false, gs__scratch(&t->w), err);
		if (r < 0)
			return r;
		text = gs__stack_keep(&t->w, s, 0);
	}
	*ret = text;
	return 0;
}

static int sample(struct pprof_writer *t, const struct gs_stack *s, uint64_t count,
		  const struct gs__pprof_labels *l, struct gs_err *err)
{
	int64_t value = (int64_t)count;
	struct gs__text ids;
	int r = stack(t, s, &ids, err);

	if (r == 0)
		r = gs__pprof_sample(&t->p, ids.p, ids.len, &value, 1, l, err);
	return r < 0 ? r : gs__writer_check(&t->w, err);
}

static int state_labels(struct pprof_writer *t, struct gs__pprof_labels *l,
			enum gs_goroutine_state state, const char *wait_reason, struct gs_err *err)
{
	int r = gs__pprof_own_label(&t->p, l, "state", gs_goroutine_state_name(state), 0, err);

	if (r == 0 && wait_reason && wait_reason[0])
		r = gs__pprof_own_label(&t->p, l, "wait_reason", wait_reason, 0, err);
	return r;
}

static int pprof_goroutine(struct gs_dump_writer *w, const struct gs_goroutine *g,
			   struct gs_err *err)
{
	struct pprof_writer *t = (struct pprof_writer *)w;
	struct gs__pprof_labels l;
	int r;

	l.n = 0;
	r = gs__pprof_own_label(&t->p, &l, "goid", NULL, g->id, err);
	if (r == 0)
		r = state_labels(t, &l, g->state, g->wait_reason, err);
	for (uint32_t i = 0; r == 0 && i < g->n_labels; i++)
		r = gs__pprof_foreign_label(&t->p, &l, own_keys, &g->labels[i], err);
	return r < 0 ? r : sample(t, g->stack, 1, &l, err);
}

static int pprof_group(struct gs_dump_writer *w, const struct gs_group *g, struct gs_err *err)
{
	struct pprof_writer *t = (struct pprof_writer *)w;
	struct gs__pprof_labels l;
	int r;

	l.n = 0;
	r = state_labels(t, &l, g->state, g->wait_reason, err);
	return r < 0 ? r : sample(t, g->stack, g->count, &l, err);
}

static void pprof_abort(struct gs_dump_writer *w)
{
	struct pprof_writer *t = (struct pprof_writer *)w;

	gs__pprof_deinit(&t->p);
	gs__writer_deinit(w);
	free(t);
}

static int start(struct pprof_writer *t, const struct gs_dump_options *o,
		 const struct gs_process *p, struct gs_err *err)
{
	int r = gs__pprof_sample_type(&t->p, "goroutine", "count", err);

	if (r == 0)
		r = gs__pprof_period(&t->p, "goroutine", "count", 1, err);
	if (r == 0)
		r = gs__pprof_mapping(&t->p, GS__PPROF_EXECUTABLE, p->executable, err);
	gs__pprof_time(&t->p, o->time_unix_ns, 0);
	return r;
}

static int pprof_open(struct gs_dump_writer **ret, struct gs_out *out,
		      const struct gs_dump_options *o, const struct gs_process *p,
		      struct gs_err *err)
{
	struct pprof_writer *t = calloc(1, sizeof(*t));
	int r, ready;

	if (!t)
		return gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
	r = gs__pprof_init(&t->p, out, err);
	ready = gs__writer_init(&t->w, out, o, p, r < 0 ? NULL : err);
	if (r == 0)
		r = ready;
	if (r == 0)
		r = start(t, o, p, err);
	if (r < 0) {
		pprof_abort(&t->w);
		return r;
	}
	*ret = &t->w;
	return 0;
}

static int pprof_close(struct gs_dump_writer *w, const struct gs_dump_options *o,
		       const struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct pprof_writer *t = (struct pprof_writer *)w;
	int r = gs__pprof_incomplete(&t->p, inc, err);

	if (r == 0)
		r = gs__pprof_finish(&t->p, err);
	if (r == 0)
		r = gs__writer_check(w, err);
	pprof_abort(w);
	return r;
}

const struct gs_dump_format gs_dump_pprof = {
	.name = "pprof",
	.binary = true,
	.open = pprof_open,
	.goroutine = pprof_goroutine,
	.group = pprof_group,
	.close = pprof_close,
	.abort = pprof_abort,
};
