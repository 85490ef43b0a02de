/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A profile as gzip'd profile.proto (pprof_writer.h), with the sample types that Go's own profiles have:
 *
 *	CPU       samples/count, cpu/nanoseconds; period: of the sampling (runtime/pprof's CPU profile)
 *	off CPU   contentions/count, delay/nanoseconds (runtime/pprof's block and mutex profiles)
 *	wall      all four, and wall/nanoseconds, their sum, which viewers show first
 *
 *	sample    one per line of the profile: kernel functions on top of the goroutine's own
 *	labels    goid (a number), wait_class ("mutex", …: what was waited for; "on_cpu" in wall profiles), and
 *	          the goroutine's pprof labels
 *	mappings  the executable, and [kernel]
 */
#include <errno.h>
#include <stdlib.h>

#include "export/pprof_writer.h"
#include "export/profile_export.h"

#define VALUES_MAX 5u

struct writer {
	struct gs__pprof p;
	struct gs_out ids;
	enum gs_profile_kind kind;
};

static const char *const own_keys[] = { "goid", "wait_class", NULL };

static int types(struct writer *w, const struct gs_profile_facts *f, struct gs_err *err)
{
	int r = 0;

	if (w->kind != GS_PROFILE_OFF_CPU) {
		r = gs__pprof_sample_type(&w->p, "samples", "count", err);
		if (r == 0)
			r = gs__pprof_sample_type(&w->p, "cpu", "nanoseconds", err);
	}
	if (r == 0 && w->kind != GS_PROFILE_CPU) {
		r = gs__pprof_sample_type(&w->p, "contentions", "count", err);
		if (r == 0)
			r = gs__pprof_sample_type(&w->p, "delay", "nanoseconds", err);
	}
	if (r == 0 && w->kind == GS_PROFILE_WALL) {
		r = gs__pprof_sample_type(&w->p, "wall", "nanoseconds", err);
		if (r == 0)
			r = gs__pprof_default_type(&w->p, "wall", err);
	}
	if (r == 0 && w->kind == GS_PROFILE_OFF_CPU)
		r = gs__pprof_period(&w->p, "contentions", "count", 1, err);
	else if (r == 0)
		r = gs__pprof_period(&w->p, "cpu", "nanoseconds", f->period_ns, err);
	return r;
}

static int start(struct writer *w, const struct gs_profile_facts *f, struct gs_err *err)
{
	int r = types(w, f, err);

	gs__pprof_time(&w->p, f->begin_unix_ns, f->duration_ns);
	if (r == 0)
		r = gs__pprof_mapping(&w->p, GS__PPROF_EXECUTABLE, f->process->executable, err);
	if (r == 0)
		r = gs__pprof_mapping(&w->p, GS__PPROF_KERNEL, "[kernel]", err);
	return r;
}

static int locations(struct writer *w, const struct gs_profile_sample *s, struct gs_err *err)
{
	static const struct gs_frame other = { .function = "(other)", .file = "" };
	int r = 0;

	w->ids.len = 0;
	if (s->kernel_stack)
		r = gs__pprof_locations(&w->p, s->kernel_stack, true, &w->ids, err);
	if (r == 0 && s->stack)
		r = gs__pprof_locations(&w->p, s->stack, true, &w->ids, err);
	else if (r == 0 && s->key.start)
		r = gs__pprof_frame(&w->p, s->key.start, &w->ids, err);
	else if (r == 0 && s->other)
		r = gs__pprof_frame(&w->p, &other, &w->ids, err);
	return r;
}

static int labels(struct writer *w, const struct gs_profile_sample *s, struct gs__pprof_labels *l,
		  struct gs_err *err)
{
	bool on_cpu = gs_profile_on_cpu(s->key.class);
	int r = 0;

	l->n = 0;
	if (s->key.goid)
		r = gs__pprof_own_label(&w->p, l, "goid", NULL, s->key.goid, err);
	if (r == 0 && w->kind != GS_PROFILE_CPU)
		r = gs__pprof_own_label(&w->p, l, "wait_class",
					on_cpu ? "on_cpu" : gs_why_class_name(s->key.class), 0,
					err);
	for (uint32_t i = 0; r == 0 && i < s->n_labels; i++)
		r = gs__pprof_foreign_label(&w->p, l, own_keys, &s->labels[i], err);
	return r;
}

static int sample(struct writer *w, const struct gs_profile_sample *s, struct gs_err *err)
{
	bool on_cpu = gs_profile_on_cpu(s->key.class);
	int64_t v[VALUES_MAX] = { (int64_t)s->count, s->ns };
	struct gs__pprof_labels l;
	uint32_t n = 2;
	int r = locations(w, s, err);

	if (r == 0)
		r = labels(w, s, &l, err);
	if (r < 0)
		return r;
	if (w->kind == GS_PROFILE_WALL) {
		v[0] = on_cpu ? (int64_t)s->count : 0;
		v[1] = on_cpu ? s->ns : 0;
		v[2] = on_cpu ? 0 : (int64_t)s->count;
		v[3] = on_cpu ? 0 : s->ns;
		v[4] = s->ns;
		n = VALUES_MAX;
	}
	return gs__pprof_sample(&w->p, w->ids.buf, w->ids.len, v, n, &l, err);
}

static int write_pprof(struct gs_out *out, const struct gs_profile *p,
		       const struct gs_profile_facts *f, struct gs_err *err)
{
	struct writer *w = calloc(1, sizeof(*w));
	uint32_t n;
	const struct gs_profile_sample *s = gs_profile_samples(p, &n);
	int r;

	if (!w)
		return gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
	w->kind = gs_profile_kind(p);
	gs_out_init_mem(&w->ids);
	r = gs__pprof_init(&w->p, out, err);
	if (r == 0)
		r = start(w, f, err);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = sample(w, &s[i], err);
	if (r == 0 && gs_out_failed(&w->ids))
		r = gs_fail(err, w->ids.error, 0, "cannot write the profile: out of memory");
	if (r == 0)
		r = gs__pprof_incomplete(&w->p, f->incomplete, err);
	if (r == 0)
		r = gs__pprof_finish(&w->p, err);
	gs__pprof_deinit(&w->p);
	gs_out_deinit(&w->ids);
	free(w);
	return r;
}

const struct gs_profile_format gs_profile_pprof = {
	.name = "pprof",
	.binary = true,
	.view_before = "go tool pprof -http=: ",
	.view_after = "",
	.write = write_pprof,
};
