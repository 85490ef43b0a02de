/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What writing a dump costs, without reading one: goroutines made by hand, 11 frames each, through every
 * format to /dev/null, and into groups.
 *
 *	bench_export [GOROUTINES [DISTINCT_STACKS]]      default 100000 and 200
 *
 * Prints CPU time, bytes and peak memory per format, each in a process of its own.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "analysis/group.h"
#include "export/dump.h"

enum { FRAMES = 11 };

struct sample {
	uint32_t n, n_stacks;
	struct gs_stack *stacks;
	struct gs_frame created_by;
};

static const struct gs_process process = { .pid = 1,
					   .executable = "/srv/shop",
					   .go_version = "go1.27.3",
					   .goos = "linux",
					   .goarch = "amd64",
					   .service = "example.com/shop" };

static const struct gs_frame model[FRAMES] = {
	{ 0, 0x439000, "runtime.gopark", "/usr/local/go/src/runtime/proc.go", 435,
	  GS_FRAME_HIDDEN },
	{ 0, 0x42f000, "runtime.netpollblock", "/usr/local/go/src/runtime/netpoll.go", 575,
	  GS_FRAME_HIDDEN },
	{ 0, 0x46c000, "internal/poll.runtime_pollWait", "/usr/local/go/src/runtime/netpoll.go",
	  351, 0 },
	{ 0, 0x4c3000, "internal/poll.(*pollDesc).wait",
	  "/usr/local/go/src/internal/poll/fd_poll_runtime.go", 84, 0 },
	{ 0, 0x4c4000, "internal/poll.(*pollDesc).waitRead",
	  "/usr/local/go/src/internal/poll/fd_poll_runtime.go", 89, GS_FRAME_INLINED },
	{ 0, 0x4c4000, "internal/poll.(*FD).Read", "/usr/local/go/src/internal/poll/fd_unix.go",
	  165, 0 },
	{ 0, 0x5a0000, "net.(*netFD).Read", "/usr/local/go/src/net/fd_posix.go", 55, 0 },
	{ 0, 0x5b0000, "net.(*conn).Read", "/usr/local/go/src/net/net.go", 194, 0 },
	{ 0, 0x6c0000, "net/http.(*connReader).Read", "/usr/local/go/src/net/http/server.go", 798,
	  0 },
	{ 0, 0x6d0000, "net/http.(*conn).serve", "/usr/local/go/src/net/http/server.go", 2055, 0 },
	{ 0, 0x470000, "runtime.goexit", "/usr/local/go/src/runtime/asm_amd64.s", 1700,
	  GS_FRAME_HIDDEN },
};

static void make_sample(struct sample *s)
{
	struct gs_frame *frames = calloc((size_t)s->n_stacks * FRAMES, sizeof(*frames));

	s->stacks = calloc(s->n_stacks, sizeof(*s->stacks));
	if (!frames || !s->stacks)
		exit(1);
	for (uint32_t i = 0; i < s->n_stacks; i++) {
		struct gs_frame *f = frames + (size_t)i * FRAMES;

		for (uint32_t k = 0; k < FRAMES; k++) {
			f[k] = model[k];
			f[k].pc = f[k].entry + 0x10 + i;
		}
		s->stacks[i] = (struct gs_stack){
			.id = i, .hash = (uint64_t)i << 8, .n_frames = FRAMES, .frames = f
		};
	}
	s->created_by = model[9];
	s->created_by.pc = s->created_by.entry + 5;
}

static struct gs_goroutine goroutine(const struct sample *s, uint32_t i)
{
	return (struct gs_goroutine){ .id = i + 1,
				      .parent_id = 1,
				      .state = GS_G_WAITING,
				      .wait_reason = "IO wait",
				      .wait_ns = INT64_C(1234567890) * (i % 7),
				      .m_id = -1,
				      .p_id = -1,
				      .stack = &s->stacks[i % s->n_stacks],
				      .created_by = &s->created_by };
}

static uint64_t write_all(const struct sample *s, const struct gs_dump_format *f)
{
	const struct gs_dump_options o = { .time_unix_ns = 1, .all_frames = true };
	const struct gs_incomplete_list none = { 0 };
	struct gs_dump_writer *w;
	struct gs_err err;
	struct gs_out out;
	uint64_t bytes;
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC), r;

	gs_out_init_fd(&out, fd);
	r = f->open(&w, &out, &o, &process, &err);
	if (r < 0)
		exit(1);
	for (uint32_t i = 0; r == 0 && i < s->n; i++) {
		struct gs_goroutine g = goroutine(s, i);

		r = f->goroutine(w, &g, &err);
	}
	if (f->close(w, &o, &none, &err) < 0 || gs_out_flush(&out, "/dev/null", &err) < 0)
		r = -1;
	bytes = out.total;
	gs_out_deinit(&out);
	close(fd);
	if (r < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	return bytes;
}

static uint64_t group_all(const struct sample *s)
{
	struct gs_groups *gs = gs_groups_new();
	struct gs_err err;
	uint32_t n;

	for (uint32_t i = 0; gs && i < s->n; i++) {
		struct gs_goroutine g = goroutine(s, i);

		if (gs_groups_add(gs, &g, &err) < 0)
			exit(1);
	}
	gs_groups_sorted(gs, &n);
	gs_groups_free(gs);
	return n;
}

static double cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* In a child, so that the peak memory is that of this format. */
static void measure(const struct sample *s, const struct gs_dump_format *f)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		double start = cpu_ms(), took;
		uint64_t n = f ? write_all(s, f) : group_all(s);
		struct rusage u;

		took = cpu_ms() - start;
		getrusage(RUSAGE_SELF, &u);
		printf("%-8s %8.1f ms CPU %12" PRIu64 " %s %8.1f MB peak\n", f ? f->name : "group",
		       took, n, f ? "bytes " : "groups", (double)u.ru_maxrss / 1024);
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) < 0)
		exit(1);
}

int main(int argc, char **argv)
{
	static const struct gs_dump_format *const formats[] = { &gs_dump_text, &gs_dump_json,
								&gs_dump_folded, &gs_dump_pprof };
	struct sample s = { .n = 100000, .n_stacks = 200 };

	if (argc > 1)
		s.n = (uint32_t)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		s.n_stacks = (uint32_t)strtoul(argv[2], NULL, 10);
	if (s.n == 0 || s.n_stacks == 0)
		return 2;
	make_sample(&s);
	printf("%" PRIu32 " goroutines, %" PRIu32 " distinct stacks of %d frames\n", s.n,
	       s.n_stacks, FRAMES);
	for (size_t i = 0; i < GS_ARRAY_SIZE(formats); i++)
		measure(&s, formats[i]);
	measure(&s, NULL);
	return 0;
}
