/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The language of tests/lib/event_script.h, as tests of analyses rely on it. */
#include "test.h"

#include <sys/socket.h>

#include "event_script.h"

static const char text[] =
	"object 0x10 main.mu\n"
	"label 5 route \"/a b\"\n"
	"function main.work\n"
	"incomplete events_lost \"ring was full\"\n"
	"1ms state 1 state=waiting reason=\"IO wait\" stack=net.read@fd.go:10<main.main\n"
	"2ms create 5 parent=1 tid=10 stack=net.read@fd.go:10<main.main start=main.w@w.go:3\n"
	"  # a remark\n"
	"4us park 5 reason=sync.Mutex.Lock object=0x10 kernel=100us peer=1.2.3.4:80 mode=0140000\n"
	"9 off 5 since=7 wake=8 waker=6 flags=syscall|cgo kstack=k:vfs_read<k:read\n"
	"10 end 5 call=http1 status=200 pattern=/x sp=0x100 # the end\n"
	"11 runtime what=stw_end arg=3\n";

static void everything(void **state)
{
	struct gs_event_source *s = event_script(text);
	const struct gs_event *e, *all;
	const struct gs_label *l;
	size_t n;

	all = event_script_events(s, &n);
	assert_int_equal(n, 6);
	assert_int_equal(s->next(s, 0, &e, &n, NULL), 0);
	assert_ptr_equal(e, all);
	assert_int_equal(n, 3);
	assert_int_equal(e[0].t_ns, 1000000);
	assert_int_equal(e[0].state.wait, GS_WAIT_IO);
	assert_int_equal(e[0].state.state, GS_G_WAITING);
	assert_int_equal(e[0].stack, e[1].stack);
	const struct gs_stack *st = s->stack(s, e[0].stack);
	assert_int_equal(st->n_frames, 2);
	assert_string_equal(st->frames[0].function, "net.read");
	assert_string_equal(st->frames[0].file, "fd.go");
	assert_int_equal(st->frames[0].line, 10);
	assert_string_equal(st->frames[1].function, "main.main");
	assert_string_equal(e[1].create.start->function, "main.w");
	assert_int_equal(e[2].usage.kernel_ns, 100000);
	assert_int_equal(e[2].park.file.family, AF_INET);
	assert_int_equal(e[2].park.file.peer_port, 80);
	assert_int_equal(e[2].park.file.mode, 0140000);
	assert_string_equal(s->object_name(s, e[2].park.object), "main.mu");
	assert_int_equal(s->next(s, 0, &e, &n, NULL), 0);
	assert_int_equal(e[0].flags, GS_EV_SYSCALL | GS_EV_CGO);
	assert_int_equal(s->stack(s, e[0].kernel_stack)->frames[1].flags, GS_FRAME_KERNEL);
	assert_int_equal(e[1].call.status, 200);
	assert_int_equal(e[1].call.pattern_len, 2);
	assert_int_equal(e[2].runtime.what, GS_RUNTIME_STW_END);
	assert_int_equal(s->next(s, 0, &e, &n, NULL), 2);
	assert_int_equal(s->labels(s, 5, &l), 1);
	assert_int_equal(l[0].value_len, 4);
	assert_int_equal(s->n_functions, 1);
	assert_int_equal(s->stats(s)->incomplete.n, 1);
	s->free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(everything) };

	return gs_test_main(tests);
}
