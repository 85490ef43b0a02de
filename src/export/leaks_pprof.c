/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * leaks as gzip'd profile.proto, shaped like the "goroutineleak" profile of Go 1.26 and later (runtime/pprof,
 * writeGoroutineLeak), so that what reads that one reads this:
 *
 *	sample type   goroutineleak/count, period type the same, period 1
 *	sample        one for each finding, its stack and the number of goroutines
 *	labels        kind, confidence, wait_reason
 *
 * A goroutine with findings of several kinds is in several samples; the label tells them apart.
 */
#include <errno.h>
#include <stdlib.h>

#include "export/leaks_export.h"
#include "export/pprof_writer.h"

static int labels(struct gs__pprof *t, const struct gs_leak *l, struct gs__pprof_labels *ret,
		  struct gs_err *err)
{
	int r;

	ret->n = 0;
	r = gs__pprof_own_label(t, ret, "kind", gs_leak_kind_name(l->kind), 0, err);
	if (r == 0)
		r = gs__pprof_own_label(t, ret, "confidence",
					gs_leak_confidence_name(l->confidence), 0, err);
	if (r == 0 && l->wait_reason && l->wait_reason[0])
		r = gs__pprof_own_label(t, ret, "wait_reason", l->wait_reason, 0, err);
	return r;
}

static int sample(struct gs__pprof *t, const struct gs_leak *l, struct gs_out *ids,
		  struct gs_err *err)
{
	int64_t value = (int64_t)l->count;
	struct gs__pprof_labels of;
	int r = 0;

	ids->len = 0;
	if (l->stack)
		r = gs__pprof_locations(t, l->stack, false, ids, err);
	if (r == 0)
		r = labels(t, l, &of, err);
	return r < 0 ? r : gs__pprof_sample(t, ids->buf, ids->len, &value, 1, &of, err);
}

static int write_profile(struct gs__pprof *t, const struct gs_leaks_result *r, struct gs_err *err)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out ids;
	int e = gs__pprof_sample_type(t, "goroutineleak", "count", err);

	gs_out_init_mem(&ids);
	if (e == 0)
		e = gs__pprof_period(t, "goroutineleak", "count", 1, err);
	if (e == 0)
		e = gs__pprof_mapping(t, GS__PPROF_EXECUTABLE,
				      r->process ? r->process->executable : "", err);
	gs__pprof_time(t, (int64_t)r->time_unix_ns, 0);
	for (uint32_t i = 0; e == 0 && i < r->n_leaks; i++)
		e = sample(t, &r->leaks[i], &ids, err);
	if (e == 0)
		e = gs__pprof_incomplete(t, r->incomplete, err);
	return e < 0 ? e : gs__pprof_finish(t, err);
}

int gs_leaks_pprof(struct gs_out *o, const struct gs_leaks_result *r, struct gs_err *err)
{
	struct gs__pprof *t = calloc(1, sizeof(*t));
	int e;

	if (!t)
		return gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
	e = gs__pprof_init(t, o, err);
	if (e == 0)
		e = write_profile(t, r, err);
	gs__pprof_deinit(t);
	free(t);
	return e;
}
