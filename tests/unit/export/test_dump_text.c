/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The text of a dump against what Go prints. Expected strings follow goroutineheader, traceback2,
 * printcreatedby1 and printOneCgoTraceback in runtime/traceback.go of the named releases.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "dump_sample.h"

static const struct gs_dump_options plain;

static void expect_with(const struct gs_dump_options *o, const char *release, unsigned int i,
			const char *want)
{
	char *got = gs_sample_one(&gs_dump_text, o, release, i);

	assert_non_null(got);
	assert_string_equal(got, want);
	free(got);
}

static void expect(const char *release, unsigned int i, const char *want)
{
	expect_with(&plain, release, i, want);
}

#define WORKER "main.worker(...)\n\t/src/main.go:12 +0x1d\n"

static void running(void **state)
{
	expect("go1.27.3", SAMPLE_RUNNING,
	       "goroutine 1 [running]:\n"
	       "\tgoroutine running on other thread; stack unavailable\n");
}

static void minutes_lock_and_creator(void **state)
{
	expect("go1.27.3", SAMPLE_RECEIVE,
	       "goroutine 18 [chan receive, 5 minutes, locked to thread]:\n" WORKER
	       "created by main.main in goroutine 1\n\t/src/main.go:30 +0x25\n");
	/* 59.999999999 s are no minute */
	expect("go1.27.3", SAMPLE_RECEIVE_2,
	       "goroutine 19 [chan receive]:\n" WORKER
	       "created by main.main in goroutine 18\n\t/src/main.go:30 +0x25\n");
}

static void cut_stack(void **state)
{
	expect("go1.27.3", SAMPLE_SYSCALL,
	       "goroutine 20 [syscall, 2 minutes]:\n"
	       /* the pc is the function's first instruction: no offset */
	       "internal/runtime/syscall.Syscall6(...)\n"
	       "\t/usr/local/go/src/internal/runtime/syscall/asm_linux_amd64.s:36\n"
	       "syscall.read(...)\n"
	       "\t/usr/local/go/src/syscall/zsyscall_linux_amd64.go:736 +0x25\n"
	       "...additional frames elided...\n");
}

static void leaked(void **state)
{
	/* no minutes: Go prints them for waiting and syscall only */
	expect("go1.26.10", SAMPLE_LEAKED,
	       "goroutine 21 [chan send (leaked)]:\n" WORKER
	       "created by main.main in goroutine 1\n\t/src/main.go:30 +0x25\n");
}

static void synctest(void **state)
{
	expect("go1.24.13", SAMPLE_BUBBLE, "goroutine 22 [sleep, synctest group 7]:\n" WORKER);
	expect("go1.25.14", SAMPLE_BUBBLE,
	       "goroutine 22 [sleep (durable), synctest bubble 7]:\n" WORKER);
	expect("devel", SAMPLE_BUBBLE,
	       "goroutine 22 [sleep (durable), synctest bubble 7]:\n" WORKER);
}

static void labels(void **state)
{
	struct gs_dump_options o = { .header_labels = true };

	expect("go1.27.3", SAMPLE_LABELS, "goroutine 23 [select]:\n" WORKER);
	expect_with(&o, "go1.27.3", SAMPLE_LABELS,
		    "goroutine 23 [select] {route: /api/v1, "
		    "\"user name\": \"a \\\"b\\\"\\n\\x01\\u00e9\\xff\", "
		    "goid: \"not a number\", route: again, empty: }:\n" WORKER);
	expect_with(
		&o, "go1.26.10", SAMPLE_LABELS,
		"goroutine 23 [select labels:{\"route\": \"/api/v1\", "
		"\"user name\": \"a \\\"b\\\"\\n\\x01\\u00e9\\xff\", "
		"\"goid\": \"not a number\", \"route\": \"again\", \"empty\": \"\"}]:\n" WORKER);
}

static void hostile_names(void **state)
{
	expect("go1.27.3", SAMPLE_HOSTILE,
	       "goroutine 24 [runnable (scan)]:\n"
	       "main.\\x1b[2Jevil; name\\x0a(...)\n"
	       "\t/tmp/\\x0d\\xff/x y.go:7 +0x10\n"
	       "...additional frames elided...\n"
	       "created by main.\\x1b[2Jevil; name\\x0a in goroutine 1\n"
	       "\t/tmp/\\x0d\\xff/x y.go:7 +0x10\n");
}

static void hidden_frames(void **state)
{
	struct gs_dump_options o = { .all_frames = true };

	/* nothing else to show: Go then shows them; the creator stays hidden */
	expect("go1.27.3", SAMPLE_SYSTEM,
	       "goroutine 2 [GC sweep wait]:\n"
	       "runtime.gopark(...)\n\t/usr/local/go/src/runtime/proc.go:435 +0xce\n"
	       "runtime.bgsweep(...)\n\t/usr/local/go/src/runtime/mgcsweep.go:324 +0x77\n"
	       "runtime.goexit(...)\n\t/usr/local/go/src/runtime/asm_amd64.s:1700 +0x1\n");
	expect_with(&o, "go1.27.3", SAMPLE_RECEIVE,
		    "goroutine 18 [chan receive, 5 minutes, locked to thread]:\n"
		    "runtime.gopark(...)\n\t/usr/local/go/src/runtime/proc.go:435 +0xce\n"
		    "runtime.chanrecv1(...)\n\t/usr/local/go/src/runtime/chan.go:506 +0x1c\n" WORKER
		    "runtime.goexit(...)\n\t/usr/local/go/src/runtime/asm_amd64.s:1700 +0x1\n"
		    "created by main.main in goroutine 1\n\t/src/main.go:30 +0x25\n");
}

static void names_and_arguments(void **state)
{
	/* inlined: no arguments, no offset; a wrapper in between is left out */
	expect("go1.27.3", SAMPLE_GENERIC,
	       "goroutine 25 [preempted]:\n"
	       "panic({0x4b2e60, 0xc000012345})\n\t/usr/local/go/src/runtime/panic.go:787 +0xaa\n"
	       "main.Map[...].Each(...)\n\t/src/map.go:30\n"
	       "main.(*T[...]).walk[...].func1(0xc000010000?, ...)\n\t/src/map.go:44 +0xb7\n"
	       "main.run()\n\t/src/main.go:60 +0x24\n");
	expect("go1.26.10", SAMPLE_GENERIC,
	       "goroutine 25 [preempted]:\n"
	       "panic({0x4b2e60, 0xc000012345})\n\t/usr/local/go/src/runtime/panic.go:787 +0xaa\n"
	       "main.Map[...].Each(...)\n\t/src/map.go:30\n"
	       "main.(*T[...].func1(0xc000010000?, ...)\n\t/src/map.go:44 +0xb7\n"
	       "main.run()\n\t/src/main.go:60 +0x24\n");
}

static void foreign_frames(void **state)
{
	expect("go1.27.3", SAMPLE_CGO,
	       "goroutine 26 [syscall]:\n"
	       "non-Go function at pc=0x7f1200001000\n"
	       "c_read\n\t/src/lib.c:9 pc=0x7f1200002010\n"
	       "main._Cfunc_c_read(...)\n\t_cgo_gotypes.go:40 +0x45\n");
}

static void before_parent_ids(void **state)
{
	struct gs_goroutine g = gs_sample[SAMPLE_RECEIVE];
	struct gs_process p = gs_sample_process;
	const struct gs_incomplete_list none = { 0 };
	struct gs_dump_writer *w;
	struct gs_out out;
	struct gs_err err;

	g.parent_id = 0;
	p.go_version = "go1.19.8";
	gs_out_init_mem(&out);
	gs_assert_ok(gs_dump_text.open(&w, &out, &plain, &p, &err), &err);
	gs_assert_ok(gs_dump_text.goroutine(w, &g, &err), &err);
	gs_assert_ok(gs_dump_text.close(w, &plain, &none, &err), &err);
	gs_out_char(&out, '\0');
	assert_string_equal(out.buf,
			    "goroutine 18 [chan receive, 5 minutes, locked to thread]:\n" WORKER
			    "created by main.main\n\t/src/main.go:30 +0x25\n");
	gs_out_deinit(&out);
}

static void separated_by_empty_lines(void **state)
{
	struct gs_out out;
	struct gs_err err;

	gs_out_init_mem(&out);
	gs_assert_ok(gs_sample_write(&gs_dump_text, &out, &plain, "go1.27.3", &err), &err);
	gs_out_char(&out, '\0');
	assert_memory_equal(out.buf, "goroutine 1 [", 13);
	assert_non_null(strstr(out.buf, "unavailable\n\ngoroutine 18 ["));
	assert_non_null(strstr(out.buf, "+0x25\n\ngoroutine 19 ["));
	assert_null(strstr(out.buf, "\n\n\n"));
	assert_memory_equal(out.buf + out.len - 8, " +0x45\n", 8);
	gs_out_deinit(&out);
}

static void colours(void **state)
{
	struct gs_dump_options o = { .colour = true };

	expect_with(&o, "go1.27.3", SAMPLE_RECEIVE,
		    "goroutine 18 [chan receive, 5 minutes, locked to thread]:\n"
		    "\033[1mmain.worker\033[0m(...)\n\t\033[2m/src/main.go:12 +0x1d\033[0m\n"
		    "created by \033[1mmain.main\033[0m in goroutine 1\n"
		    "\t\033[2m/src/main.go:30 +0x25\033[0m\n");
}

/* More text than the cache keeps, ids beyond its table: rendered again each time, and still right. */
static void full_cache(void **state)
{
	enum { STACKS = 2500, NAME = 32768 };
	GS_CLEANUP(gs_freep) char *name = malloc(NAME + 1);
	GS_CLEANUP(gs_freep) struct gs_frame *frames = calloc(STACKS, sizeof(*frames));
	const struct gs_incomplete_list none = { 0 };
	struct gs_goroutine g = gs_sample[SAMPLE_RECEIVE];
	struct gs_dump_writer *w;
	struct gs_out out;
	struct gs_err err;
	size_t n = 0;

	assert_true(name && frames);
	memset(name, 'f', NAME);
	name[NAME] = '\0';
	gs_out_init_mem(&out);
	gs_assert_ok(gs_dump_text.open(&w, &out, &plain, &gs_sample_process, &err), &err);
	for (uint32_t i = 0; i < 2 * STACKS; i++) {
		uint32_t k = i % STACKS;
		struct gs_stack s = { .id = k % 10 ? k : UINT32_MAX - k,
				      .n_frames = 1,
				      .frames = &frames[k] };
		char want[64];

		frames[k] = (struct gs_frame){ .function = name, .file = "/f.go", .line = k + 1 };
		g.stack = &s;
		out.len = 0;
		gs_assert_ok(gs_dump_text.goroutine(w, &g, &err), &err);
		assert_true(n == 0 || out.len > NAME);
		n = (size_t)snprintf(want, sizeof(want), "ff(...)\n\t/f.go:%u\ncreated by", k + 1);
		assert_non_null(memmem(out.buf, out.len, want, n));
	}
	gs_assert_ok(gs_dump_text.close(w, &plain, &none, &err), &err);
	gs_out_deinit(&out);
}

static void expect_group(unsigned int i, const char *want)
{
	struct gs_dump_options o = { .grouped = true };
	char *got = gs_sample_one_group(&gs_dump_text, &o, i);

	assert_non_null(got);
	assert_string_equal(got, want);
	free(got);
}

static void groups(void **state)
{
	expect_group(0, "1234 goroutines [chan receive, 3m..12m, median 5m7s]: "
			"18 19 20 21 22 23 24 25 ...\n" WORKER
			"created by main.main\n\t/src/main.go:30 +0x25\n");
	expect_group(1, "3 goroutines [syscall, 250ms..3d, median ~1h1m, known for 2, "
			"2 locked to thread]: 5 6 7\n"
			"internal/runtime/syscall.Syscall6(...)\n"
			"\t/usr/local/go/src/internal/runtime/syscall/asm_linux_amd64.s:36\n"
			"syscall.read(...)\n"
			"\t/usr/local/go/src/syscall/zsyscall_linux_amd64.go:736 +0x25\n"
			"...additional frames elided...\n");
	expect_group(2, "1 goroutine [running]: 1\n"
			"\tgoroutine running on other thread; stack unavailable\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(running),
		cmocka_unit_test(minutes_lock_and_creator),
		cmocka_unit_test(cut_stack),
		cmocka_unit_test(leaked),
		cmocka_unit_test(synctest),
		cmocka_unit_test(labels),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(hidden_frames),
		cmocka_unit_test(names_and_arguments),
		cmocka_unit_test(foreign_frames),
		cmocka_unit_test(before_parent_ids),
		cmocka_unit_test(separated_by_empty_lines),
		cmocka_unit_test(colours),
		cmocka_unit_test(full_cache),
		cmocka_unit_test(groups),
	};

	return gs_test_main(tests);
}
