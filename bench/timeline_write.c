/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What writing a timeline costs, without watching anything: a world of dice (tests/unit/export/timeline_world.c) as
 * events in memory, through a format into a file. The second half of the events also counts allocations: by then all goroutines,
 * threads and stacks are known, so what is allocated is allocated per event.
 *
 *	bench_timeline_write FORMAT FILE [EVENTS [GOROUTINES]]      default 1000000 and 10000
 *
 * Prints one line of JSON: seconds of wall clock and CPU (of all threads), bytes, allocations, peak memory.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "count_allocations.h"
#include "base/clock.h"
#include "export/timeline.h"
#include "timeline_world.h"

#define BATCH 256u

/* --- writing ----------------------------------------------------------------------------------------- */

static const struct gs_timeline_format *const formats[] = {
	&gs_timeline_gotrace, &gs_timeline_gotrace_122, &gs_timeline_perfetto, &gs_timeline_jsonl
};

static int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int write_all(const struct gs_timeline_format *f, struct gs_event_source *source,
		     const struct world *world, struct gs_out *out, uint64_t *ret_allocations,
		     struct gs_err *err)
{
	struct gs_timeline_writer *w;
	struct gs_timeline_result result;
	int r = f->open(&w, out, source, NULL, err);

	for (size_t i = 0; r == 0 && i < world->n_events; i += BATCH) {
		size_t left = world->n_events - i;

		if (i <= world->n_events / 2)
			*ret_allocations = n_allocations;
		r = f->events(w, world->events + i, left < BATCH ? left : BATCH, err);
	}
	*ret_allocations = n_allocations - *ret_allocations;
	return r < 0 ? r : f->close(w, source->stats(source), &result, err);
}

static int run(const struct gs_timeline_format *f, const char *path, const struct world_options *o)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666), r;
	struct gs_event_source *source;
	int64_t began, cpu;
	struct world world;
	uint64_t allocations = 0;
	struct rusage usage;
	struct gs_out out;
	struct gs_err err;

	if (fd < 0) {
		perror(path);
		return 1;
	}
	source = world_new(o, &world);
	gs_out_init_fd(&out, fd);
	began = gs_now_ns();
	cpu = cpu_ns();
	r = write_all(f, source, &world, &out, &allocations, &err);
	if (r == 0)
		r = gs_out_flush(&out, path, &err);
	if (r < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	began = gs_now_ns() - began;
	cpu = cpu_ns() - cpu;
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"events\":%zu,\"seconds\":%.4f,\"cpu_seconds\":%.4f,\"bytes\":%" PRIu64
	       ",\"allocations\":%" PRIu64 ",\"peak_kb\":%ld}\n",
	       world.n_events, (double)began / 1e9, (double)cpu / 1e9, out.total, allocations,
	       usage.ru_maxrss);
	gs_out_deinit(&out);
	source->free(source);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct world_options o = {
		.seed = 1,
		.n_events = argc > 3 ? strtoul(argv[3], NULL, 10) : 1000000,
		.goroutines = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 10000,
		.threads = 8,
		.ps = 8,
		.step_ns = 500,
		.simple = true,
	};

	for (size_t i = 0; argc > 2 && i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(formats[i]->name, argv[1]) == 0)
			return run(formats[i], argv[2], &o);
	fprintf(stderr, "usage: bench_timeline_write FORMAT FILE [EVENTS [GOROUTINES]]\n");
	return 2;
}
