/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Holds one probe of the stream lens on a function, at a place that is given, for as long as stdin is open:
 *
 *	bench_stream_probe_cost PID FUNCTION FILE_OFFSET
 *
 * The program is the one that marks the beginning of a call of a watched function, taken from the plan that
 * gosonde makes for FUNCTION; only its place is moved. "ready" when it is attached; records are read as
 * `gosonde why` reads them, and their number is printed at the end.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "probe/session.h"
#include "runtime/rt_private.h"

static void on_record(void *ctx, enum gs_wire_ring ring, const struct gs_wire_head *h, size_t size)
{
	*(uint64_t *)ctx += h->kind == GS_WIRE_CALL_BEGIN;
}

/* The plan's probe at the beginning of the function, alone and somewhere else. */
static int make_plan(struct gs_target *t, struct gs_rt *rt, const char *function, uint64_t offset,
		     struct gs_probe_plan *ret, struct gs_err *err)
{
	const struct gs_probe_binary b = {
		.image = gs_target_image(t),
		.tab = rt->module[0].tab,
		.layout = &rt->facts.layout,
		.build = &rt->facts.build,
		.mem = gs_target_memory(t),
		.wait_reasons = rt->wait_reasons,
		.n_wait_reasons = rt->n_wait_reasons,
		.bias = rt->bias,
		.exe_fd = gs_target_exe_fd(t),
	};
	const struct gs_probe_wish wish = { .want = GS_PROBE_WANT_GOROUTINES |
						    GS_PROBE_WANT_FUNCTIONS,
					    .functions = &function,
					    .n_functions = 1 };
	uint32_t i = 0;
	int r = gs_probe_plan_make(&b, &wish, ret, err);

	if (r < 0)
		return r;
	while (i < ret->n_sites && ret->site[i].program != GS_PROG_CALL_BEGIN)
		i++;
	if (i == ret->n_sites)
		return gs_fail(err, -GS_E_NOT_FOUND, 0, "no probe for %s", function);
	ret->site[0] = ret->site[i];
	ret->n_sites = 1;
	ret->site[0].addr = ret->site[0].addr - ret->site[0].file_offset + offset;
	ret->site[0].file_offset = offset;
	return 0;
}

static int hold(struct gs_probe_session *s, struct gs_err *err)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	uint64_t records = 0;

	puts("ready");
	fflush(stdout);
	while (poll(&in, 1, 0) == 0) {
		int64_t n = gs_probe_session_read(s, 100000000, on_record, &records, err);

		if (n < 0)
			return (int)n;
	}
	gs_probe_session_stop(s);
	while (gs_probe_session_read(s, 0, on_record, &records, err) > 0)
		;
	printf("%" PRIu64 "\n", records);
	return 0;
}

static int run(pid_t pid, const char *function, uint64_t offset, struct gs_err *err)
{
	static struct gs_probe_plan plan;
	struct gs_features features = { 0 };
	struct gs_probe_session_options o = { .pid = pid };
	struct gs_probe_session *s = NULL;
	struct gs_target *t = NULL;
	struct gs_rt *rt = NULL;
	int r = gs_target_open_pid(pid, &t, err);

	if (r == 0)
		r = gs_rt_open(t, &rt, err);
	if (r == 0)
		r = make_plan(t, rt, function, offset, &plan, err);
	if (r == 0) {
		const struct gs_target_identity *id = gs_target_identity(t);

		o.exe_fd = gs_target_exe_fd(t);
		o.exe_dev = id->exe_dev;
		o.exe_ino = id->exe_ino;
		r = gs_probe_session_open(&o, &plan, &features, &s, err);
	}
	if (r == 0)
		r = hold(s, err);
	gs_probe_session_free(s);
	gs_rt_free(rt);
	gs_target_free(t);
	return r;
}

int main(int argc, char **argv)
{
	struct gs_err err = { 0 };

	if (argc != 4)
		return 2;
	if (run(atoi(argv[1]), argv[2], strtoull(argv[3], NULL, 0), &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return 0;
}
