/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What leaks writes: the verdict first, foreign names escaped, unknown things as null. */
#include <string.h>

#include "test.h"

#include "export/leaks_export.h"

static const struct gs_frame frames[] = {
	{ .pc = 0x1000,
	  .function = "runtime.gopark",
	  .file = "proc.go",
	  .line = 1,
	  .flags = GS_FRAME_HIDDEN },
	{ .pc = 0x2000, .function = "main.wait\033[31m", .file = "/src/a.go", .line = 7 },
};
static const struct gs_stack stack = { .n_frames = 2, .frames = frames };
static const uint64_t ids[] = { 5, 9 };
static const struct gs_process process = { .pid = 42, .go_version = "go1.27.3", .service = "shop" };

static struct gs_leak unreachable(void)
{
	return (struct gs_leak){ .kind = GS_LEAK_UNREACHABLE,
				 .confidence = GS_LEAK_HIGH,
				 .by_marking = true,
				 .goroutine_ids = ids,
				 .n_ids = 2,
				 .count = 2,
				 .state = "waiting",
				 .wait_reason = "chan receive",
				 .stack = &stack,
				 .longest_wait_ns = -1,
				 .stack_bytes = 4096,
				 .held_bytes = 3 << 20,
				 .blocked_on = "channel 0xc000, unbuffered",
				 .object = 0xc000,
				 .closed_ns = -1,
				 .fd = -1 };
}

static struct gs_leaks_result result(const struct gs_leak *l, uint32_t n)
{
	static const struct gs_incomplete_list none;
	struct gs_leaks_result r = { .process = &process,
				     .leaks = l,
				     .n_leaks = n,
				     .goroutines = 1204,
				     .leaked = 2,
				     .looks = 2,
				     .exit_status = -1,
				     .incomplete = &none };

	r.ran[GS_LEAK_UNREACHABLE] = true;
	return r;
}

static char *text(const struct gs_leaks_result *r, unsigned int width)
{
	const struct gs_leaks_print p = { .width = width };
	struct gs_out o;

	gs_out_init_mem(&o);
	gs_leaks_text(&o, r, &p);
	gs_out_char(&o, '\0');
	return o.buf;
}

static void test_text(void **state)
{
	struct gs_leak l = unreachable();
	struct gs_leaks_result r = result(&l, 1);
	char *s = text(&r, 0);

	assert_ptr_equal(
		strstr(s, "shop (PID 42, go1.27.3): 2 of 1,204 goroutines will never run again\n"),
		s);
	assert_non_null(strstr(s, "2 goroutines  chan receive  unreachable, high\n"));
	assert_non_null(strstr(s, "blocked on channel 0xc000, unbuffered\n"));
	assert_non_null(strstr(s, "stacks 4.0 KiB, and 3.0 MiB of heap that only they keep"));
	assert_non_null(strstr(s, "goroutines 5, 9\n"));
	assert_non_null(strstr(s, "main.wait\\x1b[31m  /src/a.go:7"));
	assert_null(strchr(s, '\033'));
	assert_null(strstr(s, "gopark"));
	free(s);
	s = text(&r, 20);
	for (char *line = strtok(s, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 20 + 2); // "…" takes three bytes
	free(s);
}

static void test_nothing(void **state)
{
	struct gs_leaks_result r = result(NULL, 0);
	char *s = text(&r, 0);

	assert_non_null(strstr(s, "no leaks found in 1,204 goroutines"));
	free(s);
}

static void test_json(void **state)
{
	const struct gs_leaks_print p = { 0 };
	struct gs_leak l = unreachable();
	struct gs_leaks_result r = result(&l, 1);
	struct gs_out o;

	gs_out_init_mem(&o);
	gs_leaks_json(&o, &r, &p);
	gs_out_char(&o, '\0');
	assert_ptr_equal(strstr(o.buf, "{\"schema\":\"gosonde.leaks/1\""), o.buf);
	assert_non_null(strstr(o.buf, "\"detectors\":[\"unreachable\"]"));
	assert_non_null(strstr(o.buf, "\"goroutine_ids\":[5,9]"));
	assert_non_null(strstr(o.buf, "\"wait_seconds\":null"));
	assert_non_null(strstr(o.buf, "\"created_by\":null"));
	assert_non_null(strstr(o.buf, "\"by_marking\":true,\"by_runtime\":false"));
	assert_non_null(strstr(o.buf, "\"held_bytes\":3145728"));
	assert_non_null(strstr(o.buf, "\"exit_status\":null,\"incomplete\":[]}"));
	gs_out_deinit(&o);
}

static void test_ages(void **state)
{
	assert_string_equal(gs_leak_age_name(gs_leak_age(-1)), "unknown");
	assert_string_equal(gs_leak_age_name(gs_leak_age(0)), "<1s");
	assert_string_equal(gs_leak_age_name(gs_leak_age(1000000000)), "<10s");
	assert_string_equal(gs_leak_age_name(gs_leak_age(86399999999999)), "<1d");
	assert_string_equal(gs_leak_age_name(gs_leak_age(INT64_MAX)), "older");
	assert_string_equal(gs_leak_kind_name((enum gs_leak_kind)99), "unknown");
	assert_string_equal(gs_leak_confidence_name(GS_LEAK_CERTAIN), "certain");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_ages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
