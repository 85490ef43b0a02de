/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* From a target and its runtime to what the planner of probes wants to know; what gosonde itself takes. */
#include "stream/stream_private.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"

/* Not ru_maxrss, which a process inherits from the one that started it. */
uint64_t gs__self_rss_bytes(void)
{
	GS_CLEANUP(gs_fclosep) FILE *f = fopen("/proc/self/status", "re");
	uint64_t kib = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %" SCNu64, &kib) == 1)
			break;
	return kib * 1024;
}

int gs_stream_plan(struct gs_target *t, struct gs_rt *rt, const struct gs_probe_wish *w,
		   struct gs_probe_plan *ret, struct gs_err *err)
{
	struct gs__libraries l = { 0 };
	int r;

	if (w->want & GS_PROBE_WANT_DLOPEN && gs_target_kind(t) == GS_TARGET_PROCESS)
		gs__libraries_open(&l, t);
	r = gs__stream_plan(t, rt, w, &l, ret, err);
	gs__libraries_close(&l);
	return r;
}

int gs__stream_plan(struct gs_target *t, struct gs_rt *rt, const struct gs_probe_wish *w,
		    const struct gs__libraries *l, struct gs_probe_plan *ret, struct gs_err *err)
{
	const struct gs_rt_facts *facts = gs_rt_facts(rt);
	struct gs_probe_binary b = { .image = gs_target_image(t),
				     .tab = gs_rt_pclntab(rt),
				     .layout = &facts->layout,
				     .build = &facts->build,
				     .mem = gs_rt_memory(rt),
				     .bias = gs_target_bias(t),
				     .exe_fd = gs_target_exe_fd(t),
				     .lib = l->lib,
				     .n_libraries = l->n };

	b.wait_reasons = gs_rt_wait_reasons(rt, &b.n_wait_reasons);
	if (gs_target_kind(t) != GS_TARGET_PROCESS)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "only a running process has events; this is a core file");
	return gs_probe_plan_make(&b, w, ret, err);
}
