/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What goes into a recording comes out of it, in full; cut or damaged ones give what they can. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "event_script.h"
#include "stream/stream.h"

static const char script[] =
	"object 0x10 main.mu\n"
	"label 5 route \"/a b\"\n"
	"label 5 worker 7\n"
	"function main.work\n"
	"incomplete events_lost \"a ring was full\"\n"
	"1000ms state 1 state=waiting reason=\"IO wait\" since=5ms "
	"stack=net.read@fd.go:10<main.main "
	"created_by=main.init@a.go:3 start=main.main system=1 parent=77\n"
	"2000ms create 5 parent=1 tid=10 stack=net.read@fd.go:10<h:main.main start=main.w@w.go:3\n"
	"2001ms run 5 tid=10 p=3\n"
	"2002ms begin 5 call=http1 method=GET path=/x peer=1.2.3.4:5 sp=0xc000123\n"
	"2003ms park 5 tid=10 reason=sync.Mutex.Lock object=0x10 kernel=100us fault_minor=1 "
	"fault_major=2 reclaim=3 cgo=4 faults_minor=5 faults_major=6 stack=main.lock<main.w io=r "
	"cases=2 fd=7 mode=0140000 peer=10.0.0.1:5432 local=10.0.0.2:40000 name=x dev=9 "
	"protocol=6\n"
	"2004ms ready 5 waker=6 tid=11 flags=netpoll\n"
	"2005ms yield 5 flags=preempted|syscall\n"
	"2006ms off 5 tid=10 since=2003ms wake=2004ms waker=6 waker_tid=3 syscall=202 "
	"arg0=0x123456 "
	"arg1=-1 task_state=2 io_wait=1 kstack=k:vfs_read<k:read flags=syscall|major name=f\n"
	"2007ms sample 5 tid=10 period=10ms stack=c:malloc<main.f\n"
	"2008ms map tid=10 syscall=9 arg0=1 arg1=2 arg2=3 arg3=4 arg4=5 arg5=6 result=-12\n"
	"2008ms page_fault 5 tid=10 addr=0x7f0000001000 period=32 stack=main.touch<main.w\n"
	"2009ms process what=exec child=4 comm=sh\n"
	"2010ms gauge heap_live=1 heap_goal=2 runnable_global=3 runnable_local=4 goroutines=5 "
	"gomaxprocs=6 idle_ps=7 threads=8\n"
	"2011ms lost count=12\n"
	"2011ms thinned mask=0xffffffff\n"
	"2011ms detached what=threads|syscalls\n"
	"2012ms runtime what=assist_end arg=3 kernel=5 tid=10\n"
	"2013ms end 5 call=http1 status=200 bytes=1000 pattern=/x sp=0xc000123\n"
	"2014ms begin 5 call=function function=0 sp=1\n"
	"2014ms exit 5 tid=10\n";

static char path[64];

static int setup(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/gosonde-recording.XXXXXX");
	fd = mkstemp(path);
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static int teardown(void **state)
{
	return unlink(path);
}

static void same_frame(const struct gs_frame *a, const struct gs_frame *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (!a)
		return;
	assert_string_equal(a->function, b->function);
	assert_string_equal(a->file, b->file);
	assert_int_equal(a->line, b->line);
	assert_int_equal(a->pc, b->pc);
	assert_int_equal(a->entry, b->entry);
	assert_int_equal(a->flags, b->flags);
}

static void same_stack(const struct gs_stack *a, const struct gs_stack *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (!a)
		return;
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->end, b->end);
	assert_int_equal(a->n_frames, b->n_frames);
	for (uint32_t i = 0; i < a->n_frames; i++)
		same_frame(&a->frames[i], &b->frames[i]);
}

static void same_text(const char **a, const char **b)
{
	assert_int_equal(*a == NULL, *b == NULL);
	if (*a)
		assert_string_equal(*a, *b);
	*a = *b = NULL;
}

static void same_bytes(const char **a, const char **b, size_t n)
{
	if (n)
		assert_memory_equal(*a, *b, n);
	*a = *b = NULL;
}

/* Compares what pointers point to, then everything else as bytes. */
static void same_event(const struct gs_event *x, const struct gs_event *y)
{
	struct gs_event a = *x, b = *y;

	switch (a.kind) {
	case GS_EV_GO_STATE:
		same_frame(a.state.created_by, b.state.created_by);
		same_frame(a.state.start, b.state.start);
		a.state.created_by = a.state.start = b.state.created_by = b.state.start = NULL;
		same_text(&a.state.wait_reason, &b.state.wait_reason);
		break;
	case GS_EV_GO_CREATE:
		same_frame(a.create.created_by, b.create.created_by);
		same_frame(a.create.start, b.create.start);
		a.create.created_by = a.create.start = b.create.created_by = b.create.start = NULL;
		break;
	case GS_EV_GO_PARK:
		same_text(&a.park.reason, &b.park.reason);
		break;
	case GS_EV_CALL_BEGIN:
	case GS_EV_CALL_END:
		same_bytes(&a.call.method, &b.call.method, a.call.method_len);
		same_bytes(&a.call.path, &b.call.path, a.call.path_len);
		same_bytes(&a.call.pattern, &b.call.pattern, a.call.pattern_len);
		same_bytes(&a.call.peer, &b.call.peer, a.call.peer_len);
		break;
	default:
		break;
	}
	assert_memory_equal(&a, &b, sizeof(a));
}

/* Record a script; @ask: labels and names as a consumer would. @return what the consumer got at the end. */
static struct gs_stream_stats record(const char *text)
{
	struct gs_event_source *s = event_script(text), *tee;
	struct gs_err err;
	const struct gs_event *e;
	size_t n;

	event_script_stats(s)->n_probes = 1;
	event_script_stats(s)->probe[0] =
		(struct gs_probe_cost){ "runtime.gopark", "push", 10, 1.5, true };
	event_script_stats(s)->max_overhead = 0.05;
	event_script_stats(s)->self_cpu_ns = 123;
	gs_assert_ok(gs_stream_tee_open(s, path, &tee, &err), &err);
	while (tee->next(tee, 0, &e, &n, &err) == 0)
		assert_in_range(n, 1, 3);
	struct gs_stream_stats st = *tee->stats(tee);

	tee->free(tee);
	return st;
}

static void everything(void **state)
{
	struct gs_event_source *want = event_script(script), *s;
	struct gs_stream_stats st = record(script);
	const struct gs_event *e, *all;
	const struct gs_label *l;
	struct gs_err err;
	size_t n, total, at = 0;

	all = event_script_events(want, &total);
	gs_assert_ok(gs_stream_replay_open(path, &s, &err), &err);
	assert_int_equal(s->n_functions, 1);
	assert_string_equal(s->functions[0], "main.work");
	assert_string_equal(s->process->service, "example.com/app");
	assert_int_equal(s->process->pid, 4711);
	assert_string_equal(s->goarch, "amd64");
	while (s->next(s, 0, &e, &n, &err) == 0) {
		for (size_t i = 0; i < n; i++, at++) {
			assert_true(at < total);
			same_event(&all[at], &e[i]);
			same_stack(want->stack(want, all[at].stack), s->stack(s, e[i].stack));
			same_stack(want->stack(want, all[at].kernel_stack),
				   s->stack(s, e[i].kernel_stack));
		}
	}
	assert_int_equal(at, total);
	assert_string_equal(s->object_name(s, 0x10), "main.mu");
	assert_null(s->object_name(s, 0x11));
	assert_int_equal(s->labels(s, 5, &l), 2);
	assert_int_equal(l[0].value_len, 4);
	assert_memory_equal(l[0].value, "/a b", 4);
	assert_int_equal(s->labels(s, 6, &l), 0);
	/* Numbers are those that the consumer was given. */
	const struct gs_stream_stats *got = s->stats(s);

	assert_int_equal(got->incomplete.n, 1);
	assert_string_equal(got->incomplete.item[0].what, "events_lost");
	assert_string_equal(got->incomplete.item[0].why, st.incomplete.item[0].why);
	assert_int_equal(got->begin_ns, st.begin_ns);
	assert_int_equal(got->end_ns, st.end_ns);
	assert_int_equal(got->begin_unix_ns, st.begin_unix_ns);
	assert_int_equal(got->self_cpu_ns, 123);
	assert_int_equal(got->n_probes, 1);
	assert_string_equal(got->probe[0].name, "runtime.gopark");
	assert_true(got->probe[0].detached);
	assert_true(got->probe[0].cost_ns == 1.5);
	s->free(s);
	want->free(want);
}

static uint8_t *load(size_t *ret_n)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	uint8_t *b;

	assert_int_equal(fstat(fd, &st), 0);
	b = malloc((size_t)st.st_size);
	assert_int_equal(read(fd, b, (size_t)st.st_size), st.st_size);
	close(fd);
	*ret_n = (size_t)st.st_size;
	return b;
}

static void store(const uint8_t *b, size_t n)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, b, n), n);
	close(fd);
}

/* @return events, or -1 if it could not be opened. */
static int replay(char *ret_what, size_t size)
{
	struct gs_event_source *s;
	const struct gs_event *e;
	struct gs_err err;
	size_t n;
	int events = 0;

	if (gs_stream_replay_open(path, &s, &err) < 0) {
		assert_true(err.text[0] != '\0');
		return -1;
	}
	while (s->next(s, 0, &e, &n, &err) == 0)
		events += (int)n;
	const struct gs_incomplete_list *inc = &s->stats(s)->incomplete;

	snprintf(ret_what, size, "%s", inc->n ? inc->item[inc->n - 1].what : "");
	s->free(s);
	return events;
}

/* Cut at each byte: what is whole is replayed, and it says that something is missing. */
static void cut(void **state)
{
	char long_script[4096], what[64];
	size_t n, at = 0;
	int last = -1, most = 0;

	for (int i = 0; i < 40; i++)
		at += (size_t)snprintf(long_script + at, sizeof(long_script) - at,
				       "%d park %d reason=sleep stack=f%d<g\n", 100 + i, i, i % 7);
	record(long_script);
	uint8_t *b = load(&n);

	for (size_t i = 0; i <= n; i++) {
		store(b, i);
		int events = replay(what, sizeof(what));

		assert_true(events >= last);
		if (i == n)
			assert_string_equal(what, "");
		else if (events >= 0)
			assert_true(strcmp(what, "recording_truncated") == 0 ||
				    strcmp(what, "recording_damaged") == 0);
		last = events;
		most = events > most ? events : most;
	}
	assert_int_equal(most, 40);
	free(b);
}

/* Any bit: either it is noticed, or it meant nothing (padding of the compression). */
static void damaged(void **state)
{
	char what[64];
	size_t n;

	record(script);
	uint8_t *b = load(&n);
	int all = replay(what, sizeof(what)), noticed = 0;

	for (size_t i = 0; i < n; i++) {
		for (unsigned int bit = 0; bit < 8; bit += 3) {
			b[i] ^= (uint8_t)(1u << bit);
			store(b, n);
			int events = replay(what, sizeof(what));

			if (events < 0 || strcmp(what, "recording_damaged") == 0)
				noticed++;
			else
				assert_int_equal(events, all);
			b[i] ^= (uint8_t)(1u << bit);
		}
	}
	assert_true(noticed > (int)n * 2);
	free(b);
}

static void refused(void **state)
{
	struct gs_event_source *s;
	struct gs_err err;

	store((const uint8_t *)"no recording at all, whatever it is", 35);
	assert_false(gs_stream_is_recording(path));
	gs_assert_fails(-GS_E_BAD_DATA, "is no recording", gs_stream_replay_open(path, &s, &err),
			&err);
	store((const uint8_t *)"gosonde recording\n\x09\0\0\0\0\0", 24);
	assert_true(gs_stream_is_recording(path));
	gs_assert_fails(-GS_E_UNSUPPORTED, "format 9", gs_stream_replay_open(path, &s, &err), &err);
	assert_int_equal(gs_stream_replay_open("/nonexistent/x", &s, &err), -ENOENT);
	assert_false(gs_stream_is_recording("/tmp"));
	gs_assert_fails(-ENOENT, "cannot create",
			gs_stream_tee_open(event_script(script), "/nonexistent/x", &s, &err), &err);
}

/* A full disk ends the recording, not the events. */
static void full_disk(void **state)
{
	struct gs_event_source *s = event_script(script), *tee;
	const struct gs_event *e;
	struct gs_err err = { 0 };
	size_t n, total = 0, want;

	event_script_events(s, &want);
	if (gs_stream_tee_open(s, "/dev/full", &tee, &err) < 0) {
		assert_non_null(strstr(err.text, "No space left"));
		return;
	}
	while (tee->next(tee, 0, &e, &n, &err) == 0)
		total += n;
	assert_int_equal(total, want);
	assert_string_equal(tee->stats(tee)->incomplete.item[1].what, "recording_cut");
	tee->free(tee);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(everything), T(cut), T(damaged), T(refused),
					    T(full_disk) };

	return gs_test_main(tests);
}
