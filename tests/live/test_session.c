/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Sessions on children of the test. A child has threads that call probed() with a made-up goroutine in the register
 * where Go keeps g, so every call's record can be told in advance: thread, goroutine, number. The kernel's own
 * lists (fdinfo, object ids) and the child's memory say whether anything is left. Needs root.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "probe/session.h"
#include "test.h"

#define MS 1000000LL
#define THREADS 4
#define GOID_OFFSET 16
#define FIRST_GOID 1000
#define FUNCTION 7 /* arg of the site */

/* --- the target --------------------------------------------------------------------------------- */

struct shared {
	_Atomic int ready;          /* threads that wait for work */
	_Atomic int calls[THREADS]; /* how many calls thread i is to make */
	_Atomic int made[THREADS];  /* … has made */
	_Atomic int threads;        /* how many there are to be */
	_Atomic uint32_t tid[THREADS];
	_Atomic int quit;
};

static struct shared *shared;
static uint8_t fake_g[THREADS][64];
static struct gs_probe_plan plan;
static struct gs_features features;
static bool has_multi; // this kernel has uprobe_multi links

__attribute__((noinline)) static void probed(void)
{
	__asm__ volatile("" ::: "memory");
}

static void call_as(const void *g)
{
	void (*volatile f)(void) = probed;
#if defined(__x86_64__)
	__asm__ volatile("mov %0, %%r14\n\tcall *%1" ::"r"(g), "r"(f)
			 : "r14", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
			   "memory", "cc");
#else
	__asm__ volatile("mov x28, %0\n\tblr %1" ::"r"(g), "r"(f)
			 : "x28", "x30", "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9",
			   "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory", "cc");
#endif
}

static void sleep_ns(int64_t ns)
{
	struct timespec ts = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	nanosleep(&ts, NULL);
}

static void *caller(void *arg)
{
	size_t i = (size_t)arg;

	shared->tid[i] = (uint32_t)gettid();
	shared->ready++;
	while (!shared->quit) {
		if (shared->made[i] < shared->calls[i]) {
			call_as(fake_g[i]);
			shared->made[i]++;
		} else {
			sleep_ns(MS);
		}
	}
	return NULL;
}

static void child_main(void)
{
	pthread_t t;
	size_t n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < THREADS; i++) {
		uint64_t goid = FIRST_GOID + i;

		memcpy(fake_g[i] + GOID_OFFSET, &goid, sizeof(goid));
	}
	while (!shared->quit) {
		while (n < (size_t)shared->threads)
			pthread_create(&t, NULL, caller, (void *)n++);
		sleep_ns(MS);
	}
	_exit(0);
}

static void wait_until(_Atomic int *what, int value)
{
	for (int i = 0; i < 20000 && *what < value; i++)
		sleep_ns(MS);
	assert_true(*what >= value);
}

static pid_t child_now; // 0: none; a test that failed leaves one

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (pid == child_now)
		child_now = 0;
}

static pid_t start_child(int threads)
{
	pid_t pid;

	if (child_now)
		end_child(child_now); // it works from the same memory
	memset(shared, 0, sizeof(*shared));
	shared->threads = threads;
	pid = fork();
	if (pid == 0)
		child_main();
	child_now = pid;
	wait_until(&shared->ready, threads);
	return pid;
}

static void make_calls(size_t thread, int n)
{
	int goal = shared->calls[thread] + n;

	shared->calls[thread] = goal;
	wait_until(&shared->made[thread], goal);
}

/* --- the session -------------------------------------------------------------------------------- */

static int find_offset(struct dl_phdr_info *info, size_t size, void *ctx)
{
	uint64_t site = (uint64_t)(uintptr_t)probed, *ret = ctx;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && site >= start && site - start < p->p_filesz)
			*ret = site - start + p->p_offset;
	}
	return 1; // the first object is the program itself
}

static uint64_t site_offset(void)
{
	uint64_t offset = 0;

	dl_iterate_phdr(find_offset, &offset);
	assert_true(offset != 0);
	return offset;
}

static void plan_site(enum gs_probe_program program, enum gs_probe_group group)
{
	plan.site[plan.n_sites++] = (struct gs_probe_site){
		.program = program,
		.group = group,
		.function = program < GS_PROG_UPROBES ? "probed" : "kernel",
		.placement = program < GS_PROG_UPROBES ? GS_PLACE_ENTRY : GS_PLACE_TRACEPOINT,
		.file_offset = program < GS_PROG_UPROBES ? site_offset() : 0,
		.arg = program < GS_PROG_UPROBES ? FUNCTION : 0,
	};
}

static void plan_new(void)
{
	memset(&plan, 0, sizeof(plan));
	plan.config.want = GS_PROBE_WANT_GOROUTINES | GS_PROBE_WANT_FUNCTIONS;
	plan.config.g_goid = GOID_OFFSET;
	plan.config.text_hi = UINT64_MAX;
	plan_site(GS_PROG_CALL_BEGIN, GS_GROUP_REQUESTS);
}

static struct gs_probe_session_options options_for(pid_t pid, int exe_fd)
{
	struct gs_probe_session_options o = { .pid = pid, .exe_fd = exe_fd };
	struct stat st;

	assert_int_equal(fstat(exe_fd, &st), 0);
	o.exe_dev = st.st_dev;
	o.exe_ino = st.st_ino;
	return o;
}

static int open_self(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct gs_probe_session *open_session(pid_t pid, enum gs_probe_wakeup wakeup, bool perf,
					     int want)
{
	GS_CLEANUP(gs_closep) int exe = open_self();
	struct gs_probe_session_options o = options_for(pid, exe);
	const struct gs_probe_missing *m = NULL;
	struct gs_probe_session *s = NULL;
	struct gs_err err = { 0 };
	uint32_t n;
	int r;

	o.wakeup = wakeup;
	o.force_perf = perf;
	r = gs_probe_session_open(&o, &plan, &features, &s, &err);
	if (r > 0)
		m = gs_probe_session_missing(s, &n);
	if (r != want)
		fail_msg("%d: %s %s", r, m ? m[0].what : "", m ? m[0].why : err.text);
	assert_string_equal(gs_probe_session_mechanism(s),
			    perf || !has_multi ? "perf" : "uprobe_multi");
	return s;
}

struct seen {
	uint64_t calls[THREADS], others, wrong, off_cpu;
	int64_t last_ns; /* when the last record was handed out, after it was made */
	struct gs_wire_off_cpu off;
};

static void on_record(void *ctx, enum gs_wire_ring ring, const struct gs_wire_head *h, size_t size)
{
	struct seen *seen = ctx;
	const struct gs_wire_call *c = (const void *)h;
	uint64_t i = h->goid - FIRST_GOID;

	seen->last_ns = gs_now_ns() - (int64_t)h->ts_ns;
	if (h->kind == GS_WIRE_OFF_CPU) {
		seen->off_cpu++;
		memcpy(&seen->off, h, h->size);
		return;
	}
	if (h->kind != GS_WIRE_CALL_BEGIN) {
		seen->others++;
		return;
	}
	if (i >= THREADS || h->tid != shared->tid[i] || c->function != FUNCTION || h->site != 0 ||
	    c->call != GS_WIRE_CALL_FUNCTION || ring != GS_WIRE_RING_GO)
		seen->wrong++;
	else
		seen->calls[i]++;
}

static void read_all(struct gs_probe_session *s, struct seen *seen)
{
	struct gs_err err;

	while (gs_probe_session_read(s, 0, on_record, seen, &err) > 0)
		;
}

static struct gs_probe_counts counts_of(struct gs_probe_session *s)
{
	struct gs_probe_counts c;
	struct gs_err err;

	gs_assert_ok(gs_probe_session_counts(s, &c, &err), &err);
	return c;
}

/* --- what is left in the kernel and in the target ------------------------------------------------ */

struct ids {
	uint32_t link[128], prog[128];
	uint32_t n_links, n_progs;
};

/* Links and programs of a process, by its descriptors. */
static void ids_of(pid_t pid, struct ids *ret)
{
	char path[64], line[128];
	struct dirent *e;
	DIR *d;

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d))) {
		bool link = false;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.20s", pid, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (f && fgets(line, sizeof(line), f)) {
			uint32_t id;

			if (sscanf(line, "link_id: %u", &id) == 1 && ret->n_links < 128) {
				ret->link[ret->n_links++] = id;
				link = true;
			}
			if (sscanf(line, "prog_id: %u", &id) == 1 && !link && ret->n_progs < 128)
				ret->prog[ret->n_progs++] = id;
		}
		if (f)
			fclose(f);
	}
	closedir(d);
}

static bool link_there(uint32_t id)
{
	int fd = bpf_link_get_fd_by_id(id);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool prog_there(uint32_t id)
{
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* How long until none of them is there any more; negative: they stay. */
static int64_t gone_after(const struct ids *ids)
{
	int64_t start = gs_now_ns();

	while (gs_now_ns() - start < 5000 * MS) {
		bool there = false;

		for (uint32_t i = 0; i < ids->n_links; i++)
			there = there || link_there(ids->link[i]);
		for (uint32_t i = 0; i < ids->n_progs; i++)
			there = there || prog_there(ids->prog[i]);
		if (!there)
			return gs_now_ns() - start;
		sleep_ns(MS);
	}
	return -1;
}

/* The probed instruction in the child's memory; ours, which nobody probes, is the original. */
static bool breakpoint_in(pid_t pid)
{
	uint32_t theirs = 0;
	struct iovec local = { &theirs, 4 };
	struct iovec remote = { (void *)(uintptr_t)probed, 4 };

	assert_int_equal(process_vm_readv(pid, &local, 1, &remote, 1, 0), 4);
	return memcmp(&theirs, (const void *)(uintptr_t)probed, 4) != 0;
}

/* --- tests -------------------------------------------------------------------------------------- */

/* Without uprobe_multi links in the kernel, the first one is what everything runs with. */
static const bool mechanisms[] = { false, true };

static void test_every_call_is_seen(void **state)
{
	for (size_t m = 0; m < GS_ARRAY_SIZE(mechanisms); m++) {
		pid_t pid = start_child(2);
		struct gs_probe_session *s;
		struct gs_probe_counts c;
		struct seen seen = { 0 };
		int64_t start, load, attach;

		plan_new();
		s = open_session(pid, GS_WAKE_BATCH, mechanisms[m], 0);
		assert_true(breakpoint_in(pid));
		assert_false(breakpoint_in(getpid()));
		/* Threads that come later are seen like those that were there. */
		shared->threads = THREADS;
		wait_until(&shared->ready, THREADS);
		for (size_t i = 0; i < THREADS; i++)
			make_calls(i, 5000 + (int)i);
		/* The same function, elsewhere: not seen. */
		for (int i = 0; i < 1000; i++)
			call_as(fake_g[0]);
		read_all(s, &seen);
		c = counts_of(s);
		for (size_t i = 0; i < THREADS; i++)
			assert_int_equal(seen.calls[i], 5000 + i);
		assert_int_equal(seen.wrong + seen.others, 0);
		assert_int_equal(c.hits[0], 4 * 5000 + 6);
		assert_int_equal(c.total.produced[GS_WIRE_RING_GO], 4 * 5000 + 6);
		assert_int_equal(c.total.ring_full[GS_WIRE_RING_GO] + c.rejected + c.missed, 0);
		load = gs_probe_session_load_ns(s);
		attach = gs_probe_session_attach_ns(s);
		start = gs_now_ns();
		gs_probe_session_stop(s);
		print_message("# %s: loaded in %.1f ms, attached in %.1f ms, detached in %.1f ms\n",
			      gs_probe_session_mechanism(s), (double)load / 1e6,
			      (double)attach / 1e6, (double)(gs_now_ns() - start) / 1e6);
		gs_probe_session_free(s);
		assert_false(breakpoint_in(pid));
		make_calls(0, 10);
		end_child(pid);
	}
}

static void test_wake_up_in_time(void **state)
{
	static const int64_t limit_ms[] = {
		[GS_WAKE_BATCH] = 21, [GS_WAKE_ADAPTIVE] = 1, [GS_WAKE_POLL] = 1
	};
	pid_t pid = start_child(1);

	for (enum gs_probe_wakeup w = GS_WAKE_BATCH; w <= GS_WAKE_POLL; w++) {
		struct gs_probe_session *s;
		int64_t late[50];
		int n_late = 0;

		plan_new();
		s = open_session(pid, w, false, 0);
		for (size_t i = 0; i < GS_ARRAY_SIZE(late); i++) {
			struct seen seen = { 0 };
			struct gs_err err;

			shared->calls[0]++; // made within a millisecond or so
			assert_true(gs_probe_session_read(s, 2000 * MS, on_record, &seen, &err) >
				    0);
			assert_int_equal(seen.calls[0], 1);
			late[i] = seen.last_ns;
			/* Other programs share the machine: most of them in time is enough. */
			n_late += late[i] > limit_ms[w] * MS + MS / 2;
			sleep_ns(MS * (int64_t)(i % 3));
		}
		gs_probe_session_free(s);
		if (n_late > 25)
			fail_msg("wake-up mode %d: %d of 50 records came late", w, n_late);
	}
	end_child(pid);
}

/* A reader that waits for nothing comes back in time and uses no CPU to speak of. */
static void test_nothing_to_read(void **state)
{
	pid_t pid = start_child(1);

	for (enum gs_probe_wakeup w = GS_WAKE_BATCH; w <= GS_WAKE_ADAPTIVE; w++) {
		struct timespec cpu0, cpu1;
		struct gs_probe_session *s;
		struct seen seen = { 0 };
		struct gs_err err;
		int64_t start, took;

		plan_new();
		s = open_session(pid, w, false, 0);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu0);
		start = gs_now_ns();
		assert_int_equal(gs_probe_session_read(s, 300 * MS, on_record, &seen, &err), 0);
		took = gs_now_ns() - start;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu1);
		assert_in_range(took, 300 * MS, 500 * MS);
		assert_true((cpu1.tv_sec - cpu0.tv_sec) * 1000 * MS + cpu1.tv_nsec - cpu0.tv_nsec <
			    100 * MS); // spinning would be 300
		gs_probe_session_free(s);
	}
	end_child(pid);
}

static void test_loss_is_counted(void **state)
{
	GS_CLEANUP(gs_closep) int exe = open_self();
	pid_t pid = start_child(2);
	struct gs_probe_session_options o = options_for(pid, exe);
	struct gs_probe_session *s;
	struct gs_probe_counts c;
	struct seen seen = { 0 };
	struct gs_err err;

	plan_new();
	o.ring_bytes[GS_WIRE_RING_GO] = 64 << 10;
	gs_assert_ok(gs_probe_session_open(&o, &plan, &features, &s, &err), &err);
	make_calls(0, 3000);
	make_calls(1, 3000);
	read_all(s, &seen);
	c = counts_of(s);
	assert_int_equal(c.hits[0], 6000);
	assert_int_equal(c.total.produced[GS_WIRE_RING_GO], 6000);
	assert_true(c.total.ring_full[GS_WIRE_RING_GO] > 0);
	assert_int_equal(seen.calls[0] + seen.calls[1] + c.total.ring_full[GS_WIRE_RING_GO], 6000);
	/* It recovers. */
	make_calls(1, 100);
	read_all(s, &seen);
	assert_int_equal(counts_of(s).total.ring_full[GS_WIRE_RING_GO],
			 c.total.ring_full[GS_WIRE_RING_GO]);
	gs_probe_session_free(s);
	end_child(pid);
}

static void test_thinned(void **state)
{
	pid_t pid = start_child(THREADS);
	struct gs_probe_session *s;
	struct seen seen = { 0 };
	struct gs_probe_counts c;
	struct gs_err err;
	uint64_t n = 0;

	plan_new();
	s = open_session(pid, GS_WAKE_BATCH, false, 0);
	gs_assert_ok(gs_probe_session_thin(s, 1, &err), &err);
	for (size_t i = 0; i < THREADS; i++)
		make_calls(i, 100);
	read_all(s, &seen);
	c = counts_of(s);
	for (size_t i = 0; i < THREADS; i++) {
		assert_true(seen.calls[i] == 0 || seen.calls[i] == 100); // whole goroutines
		n += seen.calls[i];
	}
	assert_int_equal(n + c.total.thinned, 400);
	assert_int_equal(c.hits[0], 400);
	gs_assert_ok(gs_probe_session_thin(s, 0, &err), &err);
	make_calls(0, 10);
	make_calls(1, 10);
	read_all(s, &seen);
	assert_int_equal(counts_of(s).total.thinned, c.total.thinned);
	gs_assert_fails(-EINVAL, "2^40", gs_probe_session_thin(s, 40, &err), &err);
	gs_probe_session_free(s);
	end_child(pid);
}

static void test_detach_and_stop(void **state)
{
	pid_t pid = start_child(1);
	struct gs_probe_session *s;
	struct seen seen = { 0 };
	struct gs_err err;

	plan_new();
	plan_site(GS_PROG_CALL_END, GS_GROUP_RUNTIME); // at the same instruction
	s = open_session(pid, GS_WAKE_BATCH, false, 0);
	make_calls(0, 10);
	assert_int_equal(counts_of(s).hits[1], 10);
	gs_assert_ok(gs_probe_session_detach(s, GS_GROUP_RUNTIME, &err), &err);
	make_calls(0, 10);
	assert_int_equal(counts_of(s).hits[0], 20);
	assert_int_equal(counts_of(s).hits[1], 10);
	gs_assert_fails(-EINVAL, "group", gs_probe_session_detach(s, GS_GROUP_COUNT, &err), &err);
	gs_probe_session_stop(s);
	assert_false(breakpoint_in(pid));
	make_calls(0, 10);
	/* What was written before is still read, at once although a timeout is given. */
	assert_int_equal(gs_probe_session_read(s, 10000 * MS, on_record, &seen, &err), 30);
	assert_int_equal(seen.calls[0], 20);
	assert_int_equal(counts_of(s).hits[0], 20);
	gs_probe_session_free(s);
	end_child(pid);
}

static void test_two_sessions(void **state)
{
	pid_t pid = start_child(1);
	struct gs_probe_session *a, *b;
	struct seen seen_a = { 0 }, seen_b = { 0 };

	plan_new();
	a = open_session(pid, GS_WAKE_BATCH, false, 0);
	b = open_session(pid, GS_WAKE_ADAPTIVE, true, 0);
	make_calls(0, 1000);
	read_all(a, &seen_a);
	gs_probe_session_free(a);
	assert_true(breakpoint_in(pid));
	make_calls(0, 1000);
	read_all(b, &seen_b);
	assert_int_equal(seen_a.calls[0], 1000);
	assert_int_equal(seen_b.calls[0], 2000);
	gs_probe_session_free(b);
	assert_false(breakpoint_in(pid));
	end_child(pid);
}

/* The session's process is killed: all is gone, the target goes on. */
static void test_killed_session(void **state)
{
	for (size_t m = 0; m < GS_ARRAY_SIZE(mechanisms); m++) {
		pid_t pid = start_child(1), watcher;
		struct ids ids;
		int64_t ns;

		plan_new();
		watcher = fork();
		if (watcher == 0) {
			open_session(pid, GS_WAKE_BATCH, mechanisms[m], 0);
			shared->ready++;
			for (;;)
				pause();
		}
		wait_until(&shared->ready, 2);
		shared->calls[0] = 100 * 1000; // under load
		ids_of(watcher, &ids);
		assert_true(ids.n_links > 0 && ids.n_progs > 0);
		assert_true(breakpoint_in(pid));
		end_child(watcher);
		ns = gone_after(&ids);
		print_message("# %s: gone %.1f ms after the kill\n",
			      mechanisms[m] ? "perf" : "default", (double)ns / 1e6);
		assert_in_range(ns, 0, 3000 * MS);
		assert_false(breakpoint_in(pid));
		wait_until(&shared->made[0], 100 * 1000);
		end_child(pid);
	}
}

static void test_killed_target(void **state)
{
	for (size_t m = 0; m < GS_ARRAY_SIZE(mechanisms); m++) {
		pid_t pid = start_child(2);
		struct gs_probe_session *s;
		struct seen seen = { 0 };
		struct gs_err err;

		plan_new();
		s = open_session(pid, GS_WAKE_ADAPTIVE, mechanisms[m], 0);
		make_calls(1, 500);
		shared->calls[0] = 1 << 30;
		sleep_ns(20 * MS);
		end_child(pid);
		read_all(s, &seen);
		assert_int_equal(seen.calls[1], 500);
		assert_int_equal(gs_probe_session_read(s, 50 * MS, on_record, &seen, &err), 0);
		assert_true(counts_of(s).hits[0] >= 500);
		gs_probe_session_free(s);
	}
}

/* A child of the target does not report, and is not harmed by the breakpoint it inherits. */
static void test_forked_target(void **state)
{
	for (size_t m = 0; m < GS_ARRAY_SIZE(mechanisms); m++) {
		pid_t middle;
		struct gs_probe_session *s;
		struct seen seen = { 0 };

		memset(shared, 0, sizeof(*shared));
		plan_new();
		middle = fork();
		if (middle == 0) {
			int status = -1;
			pid_t p;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			while (!shared->quit)
				sleep_ns(MS);
			call_as(fake_g[0]);
			p = fork();
			for (int i = 0; i < 1000; i++)
				call_as(fake_g[0]);
			if (p == 0)
				_exit(7);
			waitpid(p, &status, 0);
			shared->calls[0] = status;
			shared->made[0] = 1;
			for (;;)
				pause();
		}
		s = open_session(middle, GS_WAKE_BATCH, mechanisms[m], 0);
		shared->quit = 1;
		wait_until(&shared->made[0], 1);
		assert_true(WIFEXITED(shared->calls[0]) && WEXITSTATUS(shared->calls[0]) == 7);
		read_all(s, &seen);
		assert_int_equal(counts_of(s).hits[0], 1001);
		gs_probe_session_free(s);
		end_child(middle);
	}
}

/* Threads asleep since before, and what the end of a session says of them. */
static void test_open_states(void **state)
{
	pid_t pid = start_child(1);
	struct gs_probe_session *s;
	struct seen seen = { 0 };
	struct gs_err err;

	plan_new();
	plan.config.want |= GS_PROBE_WANT_THREADS | GS_PROBE_WANT_ALL_THREADS;
	plan_site(GS_PROG_SCHED_SWITCH, GS_GROUP_THREADS);
	s = open_session(pid, GS_WAKE_BATCH, false, 0);
	make_calls(0, 1);
	sleep_ns(20 * MS);
	gs_probe_session_stop(s);
	read_all(s, &seen);
	assert_true(seen.off_cpu > 0);
	seen = (struct seen){ 0 };
	gs_assert_ok(gs_probe_session_open_states(s, on_record, &seen, &err), &err);
	assert_true(seen.off_cpu >= 1);
	assert_true(seen.off.off_ns < seen.off.h.ts_ns);
	assert_true((int64_t)seen.off.h.ts_ns <= gs_now_ns());
	gs_probe_session_free(s);
	end_child(pid);
}

static void test_bind(void **state)
{
	pid_t pid = start_child(1);
	struct gs_probe_session *s;
	struct gs_err err;

	plan_new();
	s = open_session(pid, GS_WAKE_BATCH, false, 0);
	gs_assert_ok(gs_probe_session_bind(s, (uint32_t)pid, 77, 0x1000, &err), &err);
	make_calls(0, 1); // the program saw this thread run another goroutine
	gs_assert_result(1, gs_probe_session_bind(s, shared->tid[0], 78, 0x2000, &err), &err);
	gs_assert_result(1, gs_probe_session_bind(s, (uint32_t)pid, 79, 0x3000, &err), &err);
	gs_probe_session_free(s);
	end_child(pid);
}

/* --- refusals ----------------------------------------------------------------------------------- */

static int try_open(const struct gs_probe_session_options *o, struct gs_err *err)
{
	struct gs_features fs = { 0 };
	struct gs_probe_session *s = NULL;
	int r = gs_probe_session_open(o, &plan, &fs, &s, err);

	gs_probe_session_free(s);
	return r;
}

static void test_errors(void **state)
{
	GS_CLEANUP(gs_closep) int exe = open_self();
	pid_t pid = start_child(1), dead;
	struct gs_probe_session_options o = options_for(pid, exe);
	struct gs_err err;

	plan_new();
	o.exe_ino++;
	gs_assert_fails(-GS_E_GONE, "not the file", try_open(&o, &err), &err);
	o.exe_ino--;
	dead = fork();
	if (dead == 0)
		_exit(0);
	waitpid(dead, NULL, 0);
	for (int perf = 0; perf < 2; perf++) {
		o.force_perf = perf;
		o.pid = dead;
		gs_assert_fails(-GS_E_GONE, "exited", try_open(&o, &err), &err);
		o.pid = pid;
		/* The second of two sites is nowhere in the file: the first does not stay. */
		plan_new();
		plan_site(GS_PROG_CALL_END, GS_GROUP_RUNTIME);
		plan.site[1].file_offset = 1ULL << 40;
		gs_assert_fails(-GS_E_UNSUPPORTED, "probed", try_open(&o, &err), &err);
		assert_false(breakpoint_in(pid));
		plan_new();
	}
	end_child(pid);
}

static void set_caps(uint64_t caps)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {
		{ .effective = (uint32_t)caps, .permitted = (uint32_t)caps },
		{ .effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32) },
	};

	if (syscall(SYS_capset, &h, d) < 0)
		_exit(90);
}

#define CAP_BIT(c) (1ULL << (c))

/* Run in a child of its own, so that what it gives up is given up for it alone. */
static void in_child(void (*f)(pid_t target))
{
	pid_t pid = start_child(1), p;
	int status;

	plan_new();
	p = fork();
	if (p == 0) {
		f(pid);
		_exit(0);
	}
	assert_int_equal(waitpid(p, &status, 0), p);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("status %#x", status);
	assert_false(breakpoint_in(pid));
	end_child(pid);
}

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "# %s\n# %s\n", #x, err.text);                             \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void least_privileges(pid_t target)
{
	GS_CLEANUP(gs_closep) int exe = open_self();
	struct gs_probe_session_options o = options_for(target, exe);
	struct gs_err err = { 0 };

	set_caps(CAP_BIT(CAP_BPF) | CAP_BIT(CAP_PERFMON));
	plan_site(GS_PROG_SCHED_SWITCH, GS_GROUP_THREADS);
	if (has_multi)
		CHECK(try_open(&o, &err) == 0);
	o.force_perf = has_multi;
	CHECK(try_open(&o, &err) == -GS_E_PERMISSION && strstr(err.text, "CAP_SYS_ADMIN"));
	set_caps(CAP_BIT(CAP_BPF));
	o.force_perf = false;
	CHECK(try_open(&o, &err) == -GS_E_PERMISSION && strstr(err.text, "CAP_PERFMON"));
	set_caps(0);
	CHECK(try_open(&o, &err) == -GS_E_PERMISSION && strstr(err.text, "CAP_BPF"));
}

static void test_least_privileges(void **state)
{
	in_child(least_privileges);
}

/* Events of whole CPUs, which page faults need. */
static void refuse_perf(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 0, 1), // PID -1
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { GS_ARRAY_SIZE(code), code };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(91);
}

/* Page faults need perf events; without them the rest goes on, and says so. */
static void without_perf(pid_t target)
{
	GS_CLEANUP(gs_closep) int exe = open_self();
	struct gs_probe_session_options o = options_for(target, exe);
	const struct gs_probe_missing *m;
	struct gs_features fs = { 0 };
	struct gs_probe_session *s;
	struct seen seen = { 0 };
	struct gs_err err = { 0 };
	uint32_t n;

	refuse_perf();
	plan_site(GS_PROG_FAULT_BEGIN, GS_GROUP_FAULTS);
	plan_site(GS_PROG_FAULT_END, GS_GROUP_FAULTS);
	CHECK(gs_probe_session_open(&o, &plan, &fs, &s, &err) == 1);
	m = gs_probe_session_missing(s, &n);
	CHECK(n == 1 && strstr(m[0].why, "ermission") && strstr(m[0].why, "CAP_PERFMON"));
	shared->calls[0] = 10;
	while (shared->made[0] < 10)
		sleep_ns(MS);
	read_all(s, &seen);
	CHECK(seen.calls[0] == 10);
	CHECK(counts_of(s).hits[1] == 0); // a begin without an end was not left attached
	gs_probe_session_free(s);
}

static void test_without_perf(void **state)
{
	in_child(without_perf);
}

static int setup(void **state)
{
	struct gs_features fs = { 0 };
	enum gs_feature missing;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (geteuid() != 0 || !gs_features_stream(&fs, &missing)) {
		printf("1..0 # SKIP needs root and a kernel with BPF and uprobes\n");
		exit(0);
	}
	has_multi = gs_feature_has(&features, GS_FEATURE_UPROBE_MULTI);
	return shared == MAP_FAILED ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_call_is_seen),
		cmocka_unit_test(test_wake_up_in_time),
		cmocka_unit_test(test_nothing_to_read),
		cmocka_unit_test(test_loss_is_counted),
		cmocka_unit_test(test_thinned),
		cmocka_unit_test(test_detach_and_stop),
		cmocka_unit_test(test_two_sessions),
		cmocka_unit_test(test_killed_session),
		cmocka_unit_test(test_killed_target),
		cmocka_unit_test(test_forked_target),
		cmocka_unit_test(test_open_states),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_least_privileges),
		cmocka_unit_test(test_without_perf),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
