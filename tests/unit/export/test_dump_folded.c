/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Folded stacks, and that every format reports what it could not write. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#include "dump_sample.h"

static char *write_sample(const struct gs_dump_options *o)
{
	struct gs_out out;
	struct gs_err err;

	gs_out_init_mem(&out);
	gs_assert_ok(gs_sample_write(&gs_dump_folded, &out, o, "go1.27.3", &err), &err);
	gs_out_char(&out, '\0');
	assert_false(gs_out_failed(&out));
	return out.buf;
}

static void folded(void **state)
{
	char *got = write_sample(&(struct gs_dump_options){ 0 });

	assert_string_equal(
		got, "[incomplete];main.\\x1b[2Jevil\\x3b\\x20name\\x0a;[runnable] 1\n"
		     "[incomplete];syscall.read;internal/runtime/syscall.Syscall6;[syscall] 1\n"
		     "[running] 1\n"
		     "main._Cfunc_c_read;c_read;[unknown];[syscall] 1\n"
		     "main.run;main.(*T[...]).walk[...].func1;main.Map[...].Each;"
		     "runtime.gopanic;[preempted] 1\n"
		     "main.worker;[chan_receive] 2\n"
		     "main.worker;[chan_send_(leaked)] 1\n"
		     "main.worker;[select] 1\n"
		     "main.worker;[sleep] 1\n"
		     "runtime.goexit;runtime.bgsweep;runtime.gopark;[GC_sweep_wait] 1\n");
	free(got);
}

static void all_frames(void **state)
{
	char *got = write_sample(&(struct gs_dump_options){ .all_frames = true });

	assert_non_null(strstr(got, "\nruntime.goexit;main.worker;runtime.chanrecv1;runtime.gopark;"
				    "[chan_receive] 2\n"));
	free(got);
}

static void groups(void **state)
{
	char *got = write_sample(&(struct gs_dump_options){ .grouped = true });

	assert_string_equal(
		got, "[incomplete];syscall.read;internal/runtime/syscall.Syscall6;[syscall] 3\n"
		     "[running] 1\n"
		     "main.worker;[chan_receive] 1234\n");
	free(got);
}

/* Different stacks that render to the same line are added up, and many stacks are no trouble. */
static void many_stacks(void **state)
{
	enum { STACKS = 5000 };
	static struct gs_stack stacks[STACKS];
	const struct gs_frame frame = { 0x1010, 0x1000, "main.f", "/f.go", 1, 0 };
	const struct gs_incomplete_list none = { 0 };
	const struct gs_dump_options o = { 0 };
	struct gs_goroutine g = gs_sample[SAMPLE_RECEIVE];
	struct gs_dump_writer *w;
	struct gs_out out;
	struct gs_err err;

	gs_out_init_mem(&out);
	gs_assert_ok(gs_dump_folded.open(&w, &out, &o, &gs_sample_process, &err), &err);
	for (uint32_t i = 0; i < STACKS; i++) {
		stacks[i] = (struct gs_stack){ .id = i, .n_frames = 1, .frames = &frame };
		g.stack = &stacks[i];
		gs_assert_ok(gs_dump_folded.goroutine(w, &g, &err), &err);
		gs_assert_ok(gs_dump_folded.goroutine(w, &g, &err), &err);
	}
	gs_assert_ok(gs_dump_folded.close(w, &o, &none, &err), &err);
	gs_out_char(&out, '\0');
	assert_string_equal(out.buf, "main.f;[chan_receive] 10000\n");
	gs_out_deinit(&out);
}

static const struct gs_dump_format *const formats[] = { &gs_dump_text, &gs_dump_json,
							&gs_dump_folded, &gs_dump_pprof };

/* Write until the buffer is drained and the failure shows, at the latest when flushing. */
static int write_to(int fd, const struct gs_dump_format *f, struct gs_err *err)
{
	struct gs_dump_options o = { 0 };
	struct gs_out out;
	int r;

	gs_out_init_fd(&out, fd);
	r = gs_sample_write(f, &out, &o, "go1.27.3", err);
	if (r == 0)
		r = gs_out_flush(&out, "the dump", err);
	gs_out_deinit(&out);
	return r;
}

static void full_disk(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct gs_err err;

	assert_true(fd >= 0);
	for (size_t i = 0; i < GS_ARRAY_SIZE(formats); i++)
		gs_assert_fails(-ENOSPC, "No space left", write_to(fd, formats[i], &err), &err);
	close(fd);
}

static void closed_pipe(void **state)
{
	struct gs_err err;
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	for (size_t i = 0; i < GS_ARRAY_SIZE(formats); i++)
		gs_assert_fails(-EPIPE, "Broken pipe", write_to(fds[1], formats[i], &err), &err);
	close(fds[1]);
}

/* The failure of a long dump shows while it is being written, so that the reader can stop. */
static void failure_stops_the_dump(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC), r = 0;
	struct gs_dump_options o = { 0 };
	struct gs_dump_writer *w;
	struct gs_out out;
	struct gs_err err;
	unsigned int n = 0;

	assert_true(fd >= 0);
	gs_out_init_fd(&out, fd);
	gs_assert_ok(gs_dump_text.open(&w, &out, &o, &gs_sample_process, &err), &err);
	for (; r == 0 && n < 100000; n++)
		r = gs_dump_text.goroutine(w, &gs_sample[SAMPLE_RECEIVE], &err);
	assert_int_equal(r, -ENOSPC);
	assert_non_null(strstr(err.text, "cannot write the dump: No space left"));
	assert_true(n > 100);
	gs_dump_text.abort(w);
	gs_out_deinit(&out);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folded),
		cmocka_unit_test(all_frames),
		cmocka_unit_test(groups),
		cmocka_unit_test(many_stacks),
		cmocka_unit_test(full_disk),
		cmocka_unit_test(closed_pipe),
		cmocka_unit_test(failure_stops_the_dump),
	};

	return gs_test_main(tests);
}
