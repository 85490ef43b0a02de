/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Cores that others write: gdb's gcore and the kernel. Everything that a core target shows has to be
 * what the live target showed of the same, stopped process.
 */
#include "test.h"

#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "target_child.h"

enum { THREADS = 4, PAGE = 4096, MS = 1000000 };

static struct shared *s;
static char dir[] = "/tmp/gosonde-dumped-XXXXXX";
static uint8_t *heap;
static const size_t heap_size = (size_t)64 * PAGE;

static int setup(void **state)
{
	s = shared_new();
	return s && mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	return system(cmd);
}

static void *waiter(void *arg)
{
	atomic_fetch_add(&s->result, 1);
	pause_forever();
	return NULL;
}

static void child(struct shared *sh)
{
	pthread_t th;

	if (chdir(dir) < 0)
		_exit(1);
	for (size_t i = 0; i < heap_size; i++)
		heap[i] = (uint8_t)(i * 197 + i / PAGE);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&th, NULL, waiter, NULL);
	wait_for(&sh->result, THREADS);
	be_ready(sh);
	while (!atomic_load(&sh->go))
		sleep_ms(1);
	abort();
}

/* What the live target shows; filled while it stands. */
struct page {
	gs_addr addr;
	uint8_t bytes[PAGE];
};

struct truth {
	struct page *pages;
	size_t n;
	struct gs_thread threads[THREADS + 1];
	uint64_t bias, entry;
	pid_t pid;
};

static bool of_interest(const struct gs_map *m)
{
	// Shared anonymous memory is left out by default, [vvar] is no memory.
	return m->prot & GS_IMAGE_READ && !m->shared && strncmp(m->path, "[v", 2) != 0;
}

static void take_truth(struct gs_target *t, struct truth *ret)
{
	const struct gs_thread *th;
	const struct gs_map *m;
	struct gs_err err;
	size_t n, cap = 0;

	memset(ret, 0, sizeof(*ret));
	ret->pid = gs_target_identity(t)->pid;
	ret->bias = gs_target_bias(t);
	gs_assert_ok(gs_target_auxv(t, AT_ENTRY, &ret->entry, &err), &err);
	gs_assert_ok(gs_target_refresh_maps(t, &err), &err);
	m = gs_target_maps(t, &n);
	for (size_t i = 0; i < n; i++) {
		for (gs_addr a = m[i].start; of_interest(&m[i]) && a < m[i].end; a += PAGE) {
			if (ret->n == cap) {
				cap = cap ? cap * 2 : 256;
				ret->pages = (struct page *)realloc(ret->pages,
								    cap * sizeof(struct page));
				assert_non_null(ret->pages);
			}
			ret->pages[ret->n].addr = a;
			ret->n += gs_memory_read(gs_target_memory(t), a, ret->pages[ret->n].bytes,
						 PAGE, NULL) == 0;
		}
	}
	gs_assert_ok(gs_target_threads(t, &th, &n, &err), &err);
	assert_int_equal(n, THREADS + 1);
	memcpy(ret->threads, th, sizeof(ret->threads));
}

static const struct gs_thread *truth_of(const struct truth *tr, int32_t tid)
{
	for (int i = 0; i < THREADS + 1; i++) {
		if (tr->threads[i].tid == tid)
			return &tr->threads[i];
	}
	fail_msg("thread %d is in the core only", tid);
	return NULL;
}

/* @moved: the main thread ran on after the truth was taken, its stack and registers differ. */
static void check_core(struct gs_target *t, const struct truth *tr, bool moved)
{
	const struct gs_thread *th;
	size_t n, equal = 0, differ = 0, absent = 0;
	struct gs_err err;
	uint64_t v;

	assert_int_equal(gs_target_identity(t)->pid, tr->pid);
	assert_non_null(gs_target_image(t));
	assert_true(gs_target_bias(t) == tr->bias);
	gs_assert_ok(gs_target_auxv(t, AT_ENTRY, &v, &err), &err);
	assert_true(v == tr->entry);
	assert_int_equal(gs_target_missing_bytes(t), 0);
	gs_assert_ok(gs_target_threads(t, &th, &n, &err), &err);
	assert_int_equal(n, THREADS + 1);
	for (size_t i = 0; i < n; i++) {
		assert_true(th[i].has_regs);
		if (!moved || th[i].tid != tr->pid)
			assert_memory_equal(&th[i].regs, &truth_of(tr, th[i].tid)->regs,
					    sizeof(th[i].regs));
	}
	for (size_t i = 0; i < tr->n; i++) {
		uint8_t buf[PAGE];

		// Never written to, so the kernel left it out: zeros are no loss.
		if (gs_memory_read(gs_target_memory(t), tr->pages[i].addr, buf, PAGE, NULL) < 0)
			absent += tr->pages[i].bytes[0] ||
				  memcmp(tr->pages[i].bytes, tr->pages[i].bytes + 1, PAGE - 1) != 0;
		else if (memcmp(buf, tr->pages[i].bytes, PAGE) == 0)
			equal++;
		else
			differ++;
	}
	print_message("# %zu pages equal, %zu differ, %zu absent\n", equal, differ, absent);
	assert_in_range(differ, 0, moved ? 32 : 0); // its stack, what abort() writes
	assert_int_equal(absent, 0);
	assert_true(equal > heap_size / PAGE + 100);
	for (size_t i = 0; i < heap_size; i += 97) {
		uint8_t b;

		gs_assert_ok(gs_memory_read(gs_target_memory(t), (uintptr_t)heap + i, &b, 1, &err),
			     &err);
		assert_int_equal(b, (uint8_t)(i * 197 + i / PAGE));
	}
}

static struct gs_target *open_live(pid_t pid)
{
	struct gs_target *t = NULL;
	struct gs_err err;

	assert_true(pid > 0);
	gs_assert_ok(gs_target_open_pid(pid, &t, &err), &err);
	return t;
}

static pid_t start(void)
{
	heap = (uint8_t *)mmap(NULL, heap_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
	assert_true(heap != MAP_FAILED);
	return spawn(child, s);
}

static void test_gcore(void **state)
{
	pid_t pid;
	GS_CLEANUP(gs_target_freep) struct gs_target *live = NULL;
	GS_CLEANUP(gs_target_freep) struct gs_target *core = NULL;
	char cmd[256], path[128];
	struct truth tr;
	struct gs_err err;
	int64_t paused;

	if (system("command -v gcore >/dev/null") != 0) {
		print_message("# skipped: gcore (gdb) is not installed\n");
		skip();
	}
	pid = start();
	live = open_live(pid);
	kill(pid, SIGSTOP); // so that it is the same for both
	sleep_ms(20);
	gs_assert_ok(gs_target_stop(live, 5000 * (int64_t)MS, &err), &err);
	take_truth(live, &tr);
	gs_assert_ok(gs_target_resume(live, &paused, &err), &err);
	snprintf(cmd, sizeof(cmd), "gcore -o %s/g %d >%s/log 2>&1 </dev/null", dir, pid, dir);
	if (system(cmd) != 0) {
		snprintf(cmd, sizeof(cmd), "cat %s/log", dir);
		(void)!system(cmd);
		fail_msg("gcore failed");
	}
	snprintf(path, sizeof(path), "%s/g.%d", dir, pid);
	gs_assert_ok(gs_target_open_core(path, NULL, &core, &err), &err);
	check_core(core, &tr, false);
	free(tr.pages);
	end_child(pid);
}

/* "core" in the working directory, unless a pipe or another place is configured. */
static bool kernel_writes_here(void)
{
	char pattern[256] = "";
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY);
	ssize_t n = read(fd, pattern, sizeof(pattern) - 1);

	close(fd);
	return n > 0 && pattern[0] != '|' && !strchr(pattern, '/');
}

static void test_kernel_core(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *live = NULL;
	GS_CLEANUP(gs_target_freep) struct gs_target *core = NULL;
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY }, old;
	struct gs_err err;
	struct truth tr;
	char pattern[128];
	int64_t paused;
	int status;
	pid_t pid;
	glob_t g;

	getrlimit(RLIMIT_CORE, &old);
	if (!kernel_writes_here() || setrlimit(RLIMIT_CORE, &unlimited) < 0) {
		print_message(
			"# skipped: kernel.core_pattern leads elsewhere, or no core allowed\n");
		skip();
	}
	pid = start();
	live = open_live(pid);
	gs_assert_ok(gs_target_stop(live, 5000 * (int64_t)MS, &err), &err);
	take_truth(live, &tr);
	gs_assert_ok(gs_target_resume(live, &paused, &err), &err);
	atomic_store(&s->go, 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	setrlimit(RLIMIT_CORE, &old);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	if (!WCOREDUMP(status)) {
		print_message("# skipped: the kernel wrote no core\n");
		skip();
	}
	snprintf(pattern, sizeof(pattern), "%s/*core*", dir);
	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	gs_assert_ok(gs_target_open_core(g.gl_pathv[0], NULL, &core, &err), &err);
	check_core(core, &tr, true);
	assert_int_equal(unlink(g.gl_pathv[0]), 0);
	globfree(&g);
	free(tr.pages);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__)
	puts("1..0 # SKIP AddressSanitizer reserves terabytes, which gdb and this test would walk");
	return 0;
#endif
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gcore),
		cmocka_unit_test(test_kernel_core),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
