/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * timeline_make FORMAT FILE KEY=NUMBER…: write a timeline of a world of dice (timeline_world.h) for readers of
 * others to judge; the truth about it goes to stdout. Keys: the members of struct world_options.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "export/timeline.h"
#include "timeline_world.h"

static const struct gs_timeline_format *const formats[] = {
	&gs_timeline_gotrace,
	&gs_timeline_gotrace_122,
	&gs_timeline_perfetto,
	&gs_timeline_jsonl,
};

static const struct gs_timeline_format *format(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	fprintf(stderr, "no format %s\n", name);
	exit(2);
}

static void set(struct world_options *o, const char *arg)
{
	char key[32];
	int64_t v;

	if (sscanf(arg, "%31[a-z_]=%" SCNd64, key, &v) != 2)
		exit(2);
#define KEY(k)                                                                                     \
	if (strcmp(key, #k) == 0)                                                                  \
	o->k = (__typeof__(o->k))v
	KEY(seed);
	KEY(n_events);
	KEY(goroutines);
	KEY(threads);
	KEY(ps);
	KEY(step_ns);
	KEY(drop);
	KEY(twice);
	KEY(swap);
	KEY(garbage);
	KEY(thin);
	KEY(detach);
	KEY(no_state);
	KEY(no_ps);
	KEY(simple);
#undef KEY
}

int main(int argc, char **argv)
{
	struct world_options o = { .seed = 1,
				   .n_events = 20000,
				   .goroutines = 20,
				   .threads = 6,
				   .ps = 3,
				   .step_ns = 10000 };
	const struct gs_timeline_format *f;
	struct gs_timeline_writer *w;
	struct gs_timeline_result result;
	struct gs_event_source *source;
	struct world world;
	struct gs_out out;
	struct gs_err err;
	int64_t began;
	int fd, r;

	if (argc < 3)
		return 2;
	f = format(argv[1]);
	for (int i = 3; i < argc; i++)
		set(&o, argv[i]);
	source = world_new(&o, &world);
	fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0) {
		perror(argv[2]);
		return 1;
	}
	gs_out_init_fd(&out, fd);
	began = gs_now_ns();
	r = f->open(&w, &out, source, NULL, &err);
	for (size_t i = 0; r == 0 && i < world.n_events; i += 1000) {
		size_t n = world.n_events - i < 1000 ? world.n_events - i : 1000;

		r = f->events(w, world.events + i, n, &err);
	}
	if (r == 0)
		r = f->close(w, source->stats(source), &result, &err);
	if (r == 0)
		r = gs_out_flush(&out, argv[2], &err);
	if (r < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	fprintf(stderr,
		"%zu events, %" PRIu64 " bytes, %" PRIu64 " repaired, %" PRIu64
		" untracked, %.3f s\n",
		world.n_events, result.bytes, result.repaired, result.untracked,
		(double)(gs_now_ns() - began) / 1e9);
	world_print(&world, stdout);
	gs_out_deinit(&out);
	source->free(source);
	close(fd);
	return 0;
}
