/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The JSON of a dump, byte for byte. That it is JSON at all is checked by another reader
 * (dump_formats.py). */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "dump_sample.h"

#define PROCESS                                                                                    \
	"\"process\":{\"pid\":4711,\"start_time\":\"2026-01-01T00:00:00.000000001Z\","             \
	"\"executable\":\"/srv/sh\xef\xbf\xbdop\",\"go_version\":\"go1.27.3\","                    \
	"\"goos\":\"linux\",\"goarch\":\"amd64\",\"service\":\"example.com/shop\"}"
#define HEAD                                                                                       \
	"{\"schema\":\"gosonde.dump/1\"," PROCESS                                                  \
	",\"taken_at\":\"2026-01-01T00:00:00.123456789Z\",\"goroutines\":["
#define TAIL                                                                                       \
	"],\"goroutines_total\":11,\"duration_seconds\":0.012,\"paused_seconds\":0,"               \
	"\"incomplete\":[]}\n"
#define MAIN                                                                                       \
	"{\"function\":\"main.main\",\"file\":\"/src/main.go\",\"line\":30,\"pc\":\"0x482125\"}"
#define WORKER                                                                                     \
	"{\"function\":\"main.worker\",\"file\":\"/src/main.go\",\"line\":12,\"pc\":\"0x48103d\"}"

static const struct gs_dump_options options = { .time_unix_ns = INT64_C(1767225600123456789),
						.duration_ns = 12000000,
						.n_total = 11 };

static void expect_with(const struct gs_dump_options *o, unsigned int i, const char *want)
{
	char *got = gs_sample_one(&gs_dump_json, o, "go1.27.3", i), *whole = NULL;

	assert_non_null(got);
	assert_true(asprintf(&whole, "%s%s%s", HEAD, want, TAIL) > 0);
	assert_string_equal(got, whole);
	free(whole);
	free(got);
}

static void expect(unsigned int i, const char *want)
{
	expect_with(&options, i, want);
}

static void waiting(void **state)
{
	expect(SAMPLE_RECEIVE,
	       "{\"id\":18,\"state\":\"waiting\",\"wait_reason\":\"chan receive\","
	       "\"wait_seconds\":330,\"thread_id\":4712,\"created_by\":" MAIN ",\"parent_id\":1,"
	       "\"locked\":true,\"frames\":[" WORKER "]}");
}

static void running(void **state)
{
	expect(SAMPLE_RUNNING,
	       "{\"id\":1,\"state\":\"running\",\"wait_reason\":null,\"wait_seconds\":null,"
	       "\"thread_id\":4711,\"created_by\":null,\"parent_id\":null,\"m_id\":0,\"p_id\":3,"
	       "\"stack_end\":\"none\",\"start\":" MAIN ",\"frames\":[]}");
}

static void labels(void **state)
{
	/* the first of two equal keys counts */
	expect(SAMPLE_LABELS,
	       "{\"id\":23,\"state\":\"waiting\",\"wait_reason\":\"select\",\"wait_seconds\":null,"
	       "\"thread_id\":null,\"created_by\":null,\"parent_id\":null,"
	       "\"labels\":{\"route\":\"/api/v1\","
	       "\"user name\":\"a \\\"b\\\"\\u000a\\u0001\xc3\xa9\xef\xbf\xbd\","
	       "\"goid\":\"not a number\",\"empty\":\"\"},\"frames\":[" WORKER "]}");
}

static void hostile_names(void **state)
{
#define EVIL                                                                                       \
	"{\"function\":\"main.\\u001b[2Jevil; name\\u000a\","                                      \
	"\"file\":\"/tmp/\\u000d\xef\xbf\xbd/x y.go\",\"line\":7,\"pc\":\"0x500010\"}"
	expect(SAMPLE_HOSTILE,
	       "{\"id\":24,\"state\":\"runnable\",\"wait_reason\":null,\"wait_seconds\":null,"
	       "\"thread_id\":null,\"created_by\":" EVIL ",\"parent_id\":1,\"scan\":true,"
	       "\"stack_end\":\"broken\",\"frames\":[" EVIL "]}");
}

static void arguments_and_inlining(void **state)
{
	expect(SAMPLE_GENERIC,
	       "{\"id\":25,\"state\":\"preempted\",\"wait_reason\":null,\"wait_seconds\":null,"
	       "\"thread_id\":null,\"created_by\":null,\"parent_id\":null,\"frames\":["
	       "{\"function\":\"runtime.gopanic\",\"file\":\"/usr/local/go/src/runtime/panic.go\","
	       "\"line\":787,\"pc\":\"0x4300aa\",\"args\":\"{0x4b2e60, 0xc000012345}\"},"
	       "{\"function\":\"main.Map[...].Each\",\"file\":\"/src/map.go\",\"line\":30,"
	       "\"pc\":\"0x4900b7\",\"inlined\":true},"
	       "{\"function\":\"main.(*T[...]).walk[...].func1\",\"file\":\"/src/map.go\","
	       "\"line\":44,\"pc\":\"0x4900b7\",\"args\":\"0xc000010000?, ...\"},"
	       "{\"function\":\"main.run\",\"file\":\"/src/main.go\",\"line\":60,"
	       "\"pc\":\"0x4901c4\",\"args\":\"\"}]}");
}

static void all_frames(void **state)
{
	struct gs_dump_options o = options;

	o.all_frames = true;
	expect_with(&o, SAMPLE_RECEIVE_2,
		    "{\"id\":19,\"state\":\"waiting\",\"wait_reason\":\"chan receive\","
		    "\"wait_seconds\":59.999999999,\"thread_id\":null,\"created_by\":" MAIN
		    ",\"parent_id\":18,\"frames\":["
		    "{\"function\":\"runtime.gopark\","
		    "\"file\":\"/usr/local/go/src/runtime/proc.go\",\"line\":435,"
		    "\"pc\":\"0x4390ce\",\"hidden\":true},"
		    "{\"function\":\"runtime.chanrecv1\","
		    "\"file\":\"/usr/local/go/src/runtime/chan.go\",\"line\":506,"
		    "\"pc\":\"0x40651c\",\"hidden\":true}," WORKER
		    ",{\"function\":\"runtime.goexit\","
		    "\"file\":\"/usr/local/go/src/runtime/asm_amd64.s\",\"line\":1700,"
		    "\"pc\":\"0x46e0e1\",\"hidden\":true}]}");
}

static void groups(void **state)
{
	struct gs_dump_options o = options;
	char *got;

	o.grouped = true;
	got = gs_sample_one_group(&gs_dump_json, &o, 0);
	assert_non_null(got);
	assert_string_equal(got, "{\"schema\":\"gosonde.dump/1\"," PROCESS
				 ",\"taken_at\":\"2026-01-01T00:00:00.123456789Z\",\"groups\":["
				 "{\"count\":1234,\"state\":\"waiting\","
				 "\"wait_reason\":\"chan receive\","
				 "\"wait_seconds\":{\"min\":180,\"median\":307,\"max\":720},"
				 "\"goroutine_ids\":[18,19,20,21,22,23,24,25],\"created_by\":" MAIN
				 ",\"frames\":[" WORKER "]}" TAIL);
	free(got);
}

static void pretty(void **state)
{
	struct gs_dump_options o = options;
	char *got;

	o.pretty = true;
	got = gs_sample_one(&gs_dump_json, &o, "go1.27.3", SAMPLE_RECEIVE);
	assert_non_null(got);
	assert_non_null(strstr(got, "      \"frames\": [\n"
				    "        {\n"
				    "          \"function\": \"main.worker\",\n"
				    "          \"file\": \"/src/main.go\",\n"
				    "          \"line\": 12,\n"
				    "          \"pc\": \"0x48103d\"\n"
				    "        }\n"
				    "      ]\n"
				    "    }\n"
				    "  ],\n"
				    "  \"goroutines_total\": 11,\n"));
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waiting),    cmocka_unit_test(running),
		cmocka_unit_test(labels),     cmocka_unit_test(hostile_names),
		cmocka_unit_test(all_frames), cmocka_unit_test(arguments_and_inlining),
		cmocka_unit_test(groups),     cmocka_unit_test(pretty),
	};

	return gs_test_main(tests);
}
