/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Each condition of a filter, their combination, the caches, and expressions that never end. */
#include "test.h"

#include <errno.h>
#include <stdio.h>

#include "analysis/filter.h"
#include "base/clock.h"

#define LIST(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static const struct gs_frame frames[] = {
	{ .function = "runtime.gopark", .file = "", .flags = GS_FRAME_HIDDEN },
	{ .function = "store.(*Ledger).Get", .file = "" },
	{ .function = "main.serve\xff\xfe", .file = "" },
};
static const struct gs_frame creator = { .function = "net/http.(*Server).Serve", .file = "" };
static const struct gs_stack stack = {
	.id = 3, .hash = 33, .n_frames = GS_ARRAY_SIZE(frames), .frames = frames
};
#define LABEL(k, v)                                                                                \
	{                                                                                          \
		.key = (k), .value = (v), .key_len = sizeof(k) - 1, .value_len = sizeof(v) - 1     \
	}
static const struct gs_label labels[] = { LABEL("route", "/pay"), LABEL("user", "ann") };

static const struct gs_goroutine goroutine = {
	.id = 1,
	.state = GS_G_WAITING,
	.wait_reason = "sync.Mutex.Lock",
	.wait_ns = 5000,
	.stack = &stack,
	.created_by = &creator,
	.labels = labels,
	.n_labels = 2,
};

/* Twice, so that the answer also comes from the caches. */
static void expect(bool want, const struct gs_filter_options *o)
{
	GS_CLEANUP(gs_filter_freep) struct gs_filter *f = NULL;
	struct gs_err err;

	gs_assert_ok(gs_filter_new(o, &f, &err), &err);
	assert_int_equal(gs_filter_match(f, &goroutine), want);
	assert_int_equal(gs_filter_match(f, &goroutine), want);
	assert_int_equal(gs_filter_gave_up(f), 0);
}

#define MATCHES(...) expect(true, &(struct gs_filter_options){ __VA_ARGS__ })
#define MISSES(...) expect(false, &(struct gs_filter_options){ __VA_ARGS__ })

static void no_condition(void **state)
{
	MATCHES(.states = NULL);
	assert_null(gs_filter_free(NULL));
}

static void states(void **state)
{
	MATCHES(.states = LIST("waiting"));
	MATCHES(.states = LIST("running,waiting"));
	MATCHES(.states = LIST("running", "syscall,waiting"));
	MISSES(.states = LIST("running,syscall"));
	MISSES(.states = LIST("waiting for cgo callback"));
}

static void waits(void **state)
{
	MATCHES(.wait_reasons = LIST("mutex"));
	MATCHES(.wait_reasons = LIST("chan", "SYNC."));
	MISSES(.wait_reasons = LIST("chan"));
	MATCHES(.waiting_longer_ns = 4999);
	MISSES(.waiting_longer_ns = 5000);
}

static void label_conditions(void **state)
{
	MATCHES(.labels = LIST("route=/pay"));
	MATCHES(.labels = LIST("user"));
	MATCHES(.labels = LIST("route=/pay", "user=ann"));
	MISSES(.labels = LIST("route=/pay", "user=bob"));
	MISSES(.labels = LIST("route=/pa"));
	MISSES(.labels = LIST("rout"));
	MISSES(.labels = LIST("user="));
}

static void functions(void **state)
{
	MATCHES(.functions = LIST("Ledger"));
	MATCHES(.functions = LIST("^store\\.\\(\\*Ledger\\)\\.Get$"));
	MATCHES(.functions = LIST("gopark"));                   /* hidden frames too */
	MATCHES(.functions = LIST("nothing", "^main\\.serve")); /* a name that is no UTF-8 */
	MISSES(.functions = LIST("^Ledger"));
	MISSES(.functions = LIST("Server")); /* that is the creator */
	MATCHES(.created_by = LIST("http.*Serve$"));
	MISSES(.created_by = LIST("Ledger"));
}

static void kinds_are_combined(void **state)
{
	MATCHES(.states = LIST("waiting"), .wait_reasons = LIST("mutex"),
		.functions = LIST("Ledger"), .created_by = LIST("Server"), .labels = LIST("user"),
		.waiting_longer_ns = 1);
	MISSES(.states = LIST("waiting"), .functions = LIST("Ledger"),
	       .created_by = LIST("nobody"));
	MISSES(.states = LIST("waiting"), .functions = LIST("nobody"),
	       .created_by = LIST("Server"));
}

static void unknown_things_do_not_match(void **state)
{
	GS_CLEANUP(gs_filter_freep) struct gs_filter *f = NULL;
	const struct gs_stack none = { .id = 0, .end = GS_STACK_NONE };
	struct gs_goroutine g = { .id = 2, .state = GS_G_RUNNING, .wait_ns = -1, .stack = &none };
	struct gs_err err;
	const struct gs_filter_options each[] = {
		{ .functions = LIST(".*") },    { .created_by = LIST(".*") },
		{ .wait_reasons = LIST("") },   { .waiting_longer_ns = 1 },
		{ .labels = LIST("anything") },
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(each); i++) {
		gs_assert_ok(gs_filter_new(&each[i], &f, &err), &err);
		assert_false(gs_filter_match(f, &g));
		f = gs_filter_free(f);
	}
	g.state = (enum gs_goroutine_state)200;
	gs_assert_ok(gs_filter_new(&(struct gs_filter_options){ .states = LIST("dead") }, &f, &err),
		     &err);
	assert_false(gs_filter_match(f, &g));
}

/* Stack ids start again with another reader: the hash tells that it is another stack. */
static void another_reader(void **state)
{
	GS_CLEANUP(gs_filter_freep) struct gs_filter *f = NULL;
	const struct gs_stack other = { .id = 3, .hash = 44, .n_frames = 1, .frames = frames };
	struct gs_goroutine g = goroutine;
	struct gs_err err;

	gs_assert_ok(
		gs_filter_new(&(struct gs_filter_options){ .functions = LIST("Ledger") }, &f, &err),
		&err);
	assert_true(gs_filter_match(f, &g));
	g.stack = &other;
	assert_false(gs_filter_match(f, &g));
	g.stack = &stack;
	assert_true(gs_filter_match(f, &g));
}

static void many_stacks_and_creators(void **state)
{
	GS_CLEANUP(gs_filter_freep) struct gs_filter *f = NULL;
	struct gs_goroutine g = goroutine;
	struct gs_err err;

	gs_assert_ok(gs_filter_new(&(struct gs_filter_options){ .functions = LIST("[02468]$"),
								.created_by = LIST("[05]$") },
				   &f, &err),
		     &err);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 20000; i++) {
			char name[32];
			struct gs_frame frame = { .function = name, .file = "" };
			struct gs_stack s = {
				.id = i * 3, .hash = i * 64, .n_frames = 1, .frames = &frame
			};

			snprintf(name, sizeof(name), "main.f%u", i);
			g.stack = &s;
			g.created_by = &frame;
			assert_int_equal(gs_filter_match(f, &g), i % 10 == 0);
		}
	}
}

static void bad_conditions(void **state)
{
	struct gs_filter *f = (void *)1;
	struct gs_err err;
	struct gs_filter_options o = { .functions = LIST("fine", "main.(foo") };

	gs_assert_fails(-EINVAL,
			"--function 'main.(foo': missing closing parenthesis at character 10.",
			gs_filter_new(&o, &f, &err), &err);
	o = (struct gs_filter_options){ .functions = LIST("h\u00f6he\u65e5)") };
	gs_assert_fails(
		-EINVAL,
		"--function 'h\u00f6he\u65e5)': unmatched closing parenthesis at character 6.",
		gs_filter_new(&o, &f, &err), &err);
	o = (struct gs_filter_options){ .created_by = LIST("a\x1b[") };
	gs_assert_fails(-EINVAL, "--created-by 'a\\x1b[': missing", gs_filter_new(&o, &f, &err),
			&err);
	o = (struct gs_filter_options){ .functions = LIST("\xff") };
	gs_assert_fails(-EINVAL, "UTF-8", gs_filter_new(&o, &f, &err), &err);
	o = (struct gs_filter_options){ .states = LIST("waiting,sleping") };
	gs_assert_fails(-EINVAL, "no goroutine state is called \"sleping\"",
			gs_filter_new(&o, &f, &err), &err);
	o = (struct gs_filter_options){ .states = LIST("waiting,") };
	gs_assert_fails(-EINVAL, "called \"\"", gs_filter_new(&o, &f, &err), &err);
	o = (struct gs_filter_options){ .labels = LIST("=x") };
	gs_assert_fails(-EINVAL, "needs a key", gs_filter_new(&o, &f, &err), &err);
	assert_ptr_equal(f, (void *)1); /* untouched on failure */
}

/* 2^40 ways to fail to match; without a limit this test does not end. */
static void endless_expression(void **state)
{
	GS_CLEANUP(gs_filter_freep) struct gs_filter *f = NULL;
	const struct gs_frame frame = { .function = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
					.file = "" };
	const struct gs_stack s = { .id = 1, .hash = 8, .n_frames = 1, .frames = &frame };
	struct gs_goroutine g = goroutine;
	int64_t start = gs_now_ns();
	struct gs_err err;

	g.stack = &s;
	gs_assert_ok(gs_filter_new(&(struct gs_filter_options){ .functions = LIST("^(a+)+$") }, &f,
				   &err),
		     &err);
	for (int i = 0; i < 1000; i++)
		assert_false(gs_filter_match(f, &g));
	assert_int_equal(gs_filter_gave_up(f), 1); /* asked once, then remembered */
	assert_true(gs_now_ns() - start < INT64_C(5000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_condition),
		cmocka_unit_test(states),
		cmocka_unit_test(waits),
		cmocka_unit_test(label_conditions),
		cmocka_unit_test(functions),
		cmocka_unit_test(kinds_are_combined),
		cmocka_unit_test(unknown_things_do_not_match),
		cmocka_unit_test(another_reader),
		cmocka_unit_test(many_stacks_and_creators),
		cmocka_unit_test(bad_conditions),
		cmocka_unit_test(endless_expression),
	};

	return gs_test_main(tests);
}
