/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Output: numbers against printf, and that a full disk or a closed pipe is never lost. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/out.h"

static void test_numbers(void **state)
{
	static const uint64_t values[] = { 0,         1,
					   9,         10,
					   99,        100,
					   255,       4711,
					   1u << 31,  0xdeadbeefcafe,
					   INT64_MAX, (uint64_t)INT64_MAX + 1,
					   UINT64_MAX };
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	struct gs_err err;
	char want[128];

	(void)state; // no fixture
	gs_out_init_mem(&o);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		o.len = 0;
		gs_out_u64(&o, values[i]);
		gs_out_char(&o, ' ');
		gs_out_i64(&o, (int64_t)values[i]);
		gs_out_char(&o, ' ');
		gs_out_hex(&o, values[i]);
		gs_out_char(&o, '\0');
		snprintf(want, sizeof(want), "%" PRIu64 " %" PRId64 " 0x%" PRIx64, values[i],
			 (int64_t)values[i], values[i]);
		assert_string_equal(o.buf, want);
	}
	o.len = 0;
	gs_out_printf(&o, "%s-%d", "x", 3);
	gs_out_printf(&o, "%0700d", 1); // longer than the buffer on the stack
	assert_int_equal(o.len, 703);
	gs_out_name(&o, "a\x1b", 2);
	assert_memory_equal(o.buf + 703, "a\\x1b", 5);
	assert_int_equal(o.len, 708);
	gs_assert_ok(gs_out_flush(&o, "memory", &err), &err);
}

/* So much that a thread writes it: all there, in order. */
static void test_fd(void **state)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	GS_CLEANUP(gs_fclosep) FILE *f = tmpfile();
	struct gs_err err;
	char line[64], want[64];

	(void)state; // no fixture
	assert_non_null(f);
	gs_out_init_fd(&o, fileno(f));
	for (int i = 0; i < 2000000; i++) {
		gs_out_i64(&o, i);
		gs_out_char(&o, '\n');
	}
	assert_int_equal(o.total, 14888890);
	gs_assert_ok(gs_out_flush(&o, "the file", &err), &err);
	rewind(f);
	for (int i = 0; i < 2000000; i++) {
		assert_non_null(fgets(line, sizeof(line), f));
		snprintf(want, sizeof(want), "%d\n", i);
		assert_string_equal(line, want);
	}
	assert_null(fgets(line, sizeof(line), f));
}

static void write_much(struct gs_out *o)
{
	char block[1000] = { 0 };

	for (int i = 0; i < 2000 && !gs_out_failed(o); i++)
		gs_out_bytes(o, block, sizeof(block));
}

static void test_full_disk(void **state)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	GS_CLEANUP(gs_closep) int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct gs_err err;

	(void)state; // no fixture
	assert_true(fd >= 0);
	gs_out_init_fd(&o, fd);
	write_much(&o);
	assert_true(gs_out_failed(&o)); // long loops can stop
	assert_true(o.total < 2000 * 1000);
	gs_assert_fails(-ENOSPC, "cannot write the dump: No space left",
			gs_out_flush(&o, "the dump", &err), &err);
	// Sticky, and a short result is not lost either.
	gs_assert_fails(-ENOSPC, "No space", gs_out_flush(&o, "the dump", &err), &err);
	gs_out_deinit(&o);
	gs_out_init_fd(&o, fd);
	gs_out_char(&o, 'x');
	assert_false(gs_out_failed(&o));
	gs_assert_fails(-ENOSPC, "No space", gs_out_flush(&o, "the dump", &err), &err);
}

static void test_closed_pipe(void **state)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	struct gs_err err;
	int fds[2];

	(void)state; // no fixture
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	gs_out_init_fd(&o, fds[1]);
	write_much(&o);
	gs_assert_fails(-EPIPE, "cannot write standard output: Broken pipe",
			gs_out_flush(&o, "standard output", &err), &err);
	close(fds[1]);
}

static void *read_some(void *arg)
{
	static char sink[1 << 16];
	int fd = *(int *)arg;
	size_t n = 0;

	while (n < (6u << 20)) {
		ssize_t got = read(fd, sink, sizeof(sink));

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	return NULL;
}

/* The reader goes away when the writing thread is already at work. */
static void test_pipe_closed_late(void **state)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	struct gs_err err;
	pthread_t reader;
	int fds[2];

	(void)state; // no fixture
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pthread_create(&reader, NULL, read_some, &fds[0]), 0);
	gs_out_init_fd(&o, fds[1]);
	for (int i = 0; i < 20 && !gs_out_failed(&o); i++)
		write_much(&o);
	assert_true(gs_out_failed(&o));
	gs_assert_fails(-EPIPE, "cannot write the dump: Broken pipe",
			gs_out_flush(&o, "the dump", &err), &err);
	gs_out_deinit(&o); // the writing thread ends
	pthread_join(reader, NULL);
	close(fds[1]);
}

static void test_memory_limit(void **state)
{
	GS_CLEANUP(gs_out_deinitp) struct gs_out o;
	struct gs_err err;

	(void)state; // no fixture
	gs_out_init_mem(&o);
	assert_false(gs_out_room(&o, (size_t)1 << 40));
	gs_out_str(&o, "ignored");
	gs_assert_result(-EFBIG, gs_out_flush(&o, "memory", &err), &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),      cmocka_unit_test(test_fd),
		cmocka_unit_test(test_full_disk),    cmocka_unit_test(test_closed_pipe),
		cmocka_unit_test(test_memory_limit), cmocka_unit_test(test_pipe_closed_late),
	};

	return gs_test_main(tests);
}
