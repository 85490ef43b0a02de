/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The planner: a question (bits) and a binary give a list of probes and the read-only data of the
 * programs. Four parts: which functions (plan_sites.c, plan_functions.c; of C libraries plan_libraries.c), where in each
 * (golang/code_sites.c through plan_place.c), which offsets (plan_config.c, plan_modules.c).
 *
 * Invariant: every site of a function lies at the start of a decoded instruction of exactly that
 * function, and the file and the process (where there is one) have the same bytes there. What cannot
 * be had like that is refused with what is lost, never guessed.
 */
#include "probe/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "probe/plan_private.h"

const char *gs_probe_placement_name(enum gs_probe_placement p)
{
	static const char *const names[] = {
		[GS_PLACE_PUSH] = "push",     [GS_PLACE_ENTRY] = "entry",
		[GS_PLACE_BRANCH] = "branch", [GS_PLACE_RET] = "ret",
		[GS_PLACE_CALL] = "call",     [GS_PLACE_TRACEPOINT] = "tracepoint",
		[GS_PLACE_PERF] = "perf",
	};

	return (unsigned int)p < GS_ARRAY_SIZE(names) && names[p] ? names[p] : "?";
}

static const struct {
	const char *name, *loss;
} groups[GS_GROUP_COUNT] = {
	[GS_GROUP_LIFE] = { "goroutines", "everything: without goroutines there is no answer" },
	[GS_GROUP_REQUESTS] = { "requests", "HTTP and gRPC requests" },
	[GS_GROUP_THREADS] = { "threads", "waiting for a CPU in the kernel, and who woke threads" },
	[GS_GROUP_RUNTIME] = { "runtime", "garbage collection, assists and stop-the-world" },
	[GS_GROUP_LOCKS] = { "locks",
			     "which mutex or wait group it was (the wait itself is seen)" },
	[GS_GROUP_FAULTS] = { "faults", "time in page faults and reclaim, counted as running" },
	[GS_GROUP_CGO] = { "cgo", "time in C code, counted as running" },
	[GS_GROUP_SYSCALLS] = { "syscalls", "kernel time apart from user time" },
};

const char *gs_probe_group_name(enum gs_probe_group g)
{
	return (unsigned int)g < GS_GROUP_COUNT && groups[g].name ? groups[g].name : "?";
}

const char *gs_probe_group_loss(enum gs_probe_group g)
{
	return (unsigned int)g < GS_GROUP_COUNT && groups[g].loss ? groups[g].loss : "?";
}

void gs__plan_refuse(struct gs__plan *pl, const char *function, const char *fmt, ...)
{
	struct gs_probe_plan *p = pl->p;
	struct gs_probe_refusal *r;
	char text[2 * sizeof(r->why)];
	va_list ap;

	if (p->n_refused == GS_ARRAY_SIZE(p->refused)) {
		// The last line stands for all that follow.
		r = &p->refused[p->n_refused - 1];
		snprintf(r->why, sizeof(r->why), "and others: see the lines above for why");
		return;
	}
	r = &p->refused[p->n_refused++];
	r->function = gs__plan_name(pl, function);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	gs_escape_to(r->why, sizeof(r->why), text, strlen(text));
}

static int check_binary(const struct gs__plan *pl, struct gs_err *err)
{
	const struct gs_image_info *info = gs_image_info(pl->b->image);

	if (info->format != GS_IMAGE_ELF || (info->os && strcmp(info->os, "linux") != 0))
		return gs_fail(err, -GS_E_UNSUPPORTED, 0, "%s: probes need an ELF file for Linux",
			       gs_image_name(pl->b->image));
	if (pl->arch != GS_ARCH_AMD64 && pl->arch != GS_ARCH_ARM64)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s: probes are known for amd64 and arm64 only",
			       gs_image_name(pl->b->image));
	return 0;
}

int gs_probe_plan_make(const struct gs_probe_binary *b, const struct gs_probe_wish *w,
		       struct gs_probe_plan *ret, struct gs_err *err)
{
	struct gs__plan pl = {
		.b = b,
		.w = w,
		.p = ret,
		.arch = b->layout->arch,
		.minor = b->layout->minor,
	};
	int r;

	memset(ret, 0, sizeof(*ret));
	if (b->build && b->build->release_known)
		pl.minor = b->build->release.minor;
	r = check_binary(&pl, err);
	if (r < 0)
		return r;
	ret->sample_hz = w->sample_hz ? w->sample_hz : 99;
	gs__plan_config(&pl);
	r = gs__plan_sites(&pl, err);
	if (r == 0 && w->want & GS_PROBE_WANT_FUNCTIONS)
		r = gs__plan_functions(&pl, err);
	if (r == 0)
		r = gs__plan_inlined(&pl, err);
	if (r < 0)
		return r;
	gs__plan_modules(&pl);
	gs__plan_libraries(&pl);
	return ret->n_refused ? 1 : 0;
}
