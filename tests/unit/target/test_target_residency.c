/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The kernel's view of memory: its texts, both ways to ask for pages, and lists of loaded objects that lie. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/fake.h"
#include "target/residency_private.h"

/* ---- smaps ---- */

static const char smaps_text[] =
	"00400000-00452000 r-xp 00000000 08:02 173521                     /usr/bin/a b (deleted)\n"
	"Size:                328 kB\n"
	"KernelPageSize:        4 kB\n"
	"Rss:                 300 kB\n"
	"Pss:                 100 kB\n"
	"Shared_Clean:        280 kB\n"
	"Private_Clean:        20 kB\n"
	"FilePmdMapped:       256 kB\n"
	"ShmemPmdMapped:       16 kB\n"
	"SomethingNew:          1 kB\n"
	"VmFlags: rd ex mr mw me \n"
	"00452000-00453000 r--p 00052000 08:02 173521                     /usr/bin/a b (deleted)\n"
	"Rss:                   4 kB\n"
	"c000000000-c000400000 rw-p 00000000 00:00 0                      [anon: Go: heap]\n"
	"Rss:                3312 kB\n"
	"Private_Dirty:      3312 kB\n"
	"Anonymous:          3312 kB\n"
	"LazyFree:            128 kB\n"
	"AnonHugePages:      2048 kB\n"
	"Shared_Hugetlb:        8 kB\n"
	"Private_Hugetlb:       4 kB\n"
	"Swap:                 12 kB\n"
	"SwapPss:               6 kB\n"
	"Locked:               40 kB\n"
	"VmFlags: rd wr mr mw me ac sd hg dd\n"
	"c000300000-c000500000 rw-p 00000000 00:00 0 \n" // overlaps: dropped with its counters
	"Rss:                2000 kB\n"
	"7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0                  [stack]\n"
	"Rss:                  12 kB\n"
	"VmFlags: rd wr mr mw me gd ac nh\n";

static int feed(struct gs__smaps *s, const char *text)
{
	int r = 0;

	s->arena = gs_arena_new(0);
	while (*text && r == 0) {
		const char *nl = strchrnul(text, '\n');

		r = gs__smaps_line(s, text, (size_t)(nl - text));
		text = *nl ? nl + 1 : nl;
	}
	return r;
}

static void test_smaps(void **state)
{
	struct gs__smaps s = { 0 };
	const struct gs_vma *v;

	(void)state;
	assert_int_equal(feed(&s, smaps_text), 0);
	assert_int_equal(s.n, 4);
	v = s.v;
	assert_string_equal(v[0].map.path, "/usr/bin/a b (deleted)");
	assert_ptr_equal(v[0].map.path, v[1].map.path);
	assert_int_equal(v[0].rss, 300 << 10);
	assert_int_equal(v[0].pss, 100 << 10);
	assert_int_equal(v[0].shared_clean, 280 << 10);
	assert_int_equal(v[0].file_huge, 272 << 10);
	assert_int_equal(v[1].rss, 4 << 10);
	assert_string_equal(v[2].anon_name, "Go: heap");
	assert_int_equal(v[2].rss, 3312 << 10);
	assert_int_equal(v[2].lazy_free, 128 << 10);
	assert_int_equal(v[2].anon_huge, 2 << 20);
	assert_int_equal(v[2].hugetlb, 12 << 10);
	assert_int_equal(v[2].swap, 12 << 10);
	assert_int_equal(v[2].locked, 40 << 10);
	assert_true(v[2].huge_advised && v[2].dont_dump && !v[2].no_huge && !v[2].grows_down);
	assert_int_equal(v[3].rss, 12 << 10);
	assert_true(v[3].no_huge && v[3].grows_down && !v[3].huge_advised);
	assert_string_equal(v[3].anon_name, "");
	gs__smaps_deinit(&s);
}

static void test_smaps_hostile(void **state)
{
	static const char *const bad[] = { "Rss: 4 kB\n", "\n", "zz\n",
					   "1000-1000 rw-p 0 0:0 0\n" };
	struct gs__smaps s = { 0 };

	(void)state;
	for (size_t i = 0; i < GS_ARRAY_SIZE(bad); i++) {
		assert_int_equal(feed(&s, bad[i]), -EBADMSG);
		gs__smaps_deinit(&s);
	}
	// A path can look like anything, but stays in its line.
	assert_int_equal(feed(&s,
			      "1000-2000 r--p 0 0:0 7 /x\\012Rss: 99 kB\nRss: 4 kB\n"
			      "Rss: 99999999999999999999999999 kB\nVmFlags:\nSwap:\n"
			      "2000-3000 r--p 0 0:0 0 [anon:]\n3000-4000 r--p 0 0:0 0 [anon:x\n"),
			 0);
	assert_int_equal(s.n, 3);
	assert_string_equal(s.v[1].anon_name, "");
	assert_string_equal(s.v[2].anon_name, "");
	gs__smaps_deinit(&s);
}

static void test_status(void **state)
{
	struct gs_residency_totals t = { 0 };

	(void)state;
	gs__status_parse("Name:\tVmRSS: 7 kB\nVmHWM:\t  900 kB\nVmRSS:\t  800 kB\nRssAnon:\t 1 kB\n"
			 "RssFile:\t 2 kB\nRssShmem:\t 3 kB\nVmPTE:\t 4 kB\nVmSize:\t 5 kB\n",
			 &t);
	assert_int_equal(t.status_rss, 800 << 10);
	assert_int_equal(t.peak_rss, 900 << 10);
	assert_int_equal(t.rss_anon, 1 << 10);
	assert_int_equal(t.rss_file, 2 << 10);
	assert_int_equal(t.rss_shmem, 3 << 10);
	assert_int_equal(t.page_tables, 4 << 10);
	assert_int_equal(t.virtual_bytes, 5 << 10);
}

static void test_numa(void **state)
{
	static const char *const lines[] = {
		"c000000000 default anon=4 dirty=4 N0=3 N1=1 kernelpagesize_kB=4",
		"7f0000000000 default file=/a N5=9 b N1=2 huge N0=1 kernelpagesize_kB=2048",
		"7f0000000000 default N99=4 N=1 Nx=3 N2= kernelpagesize_kB=4",
		"",
	};
	struct gs_numa n = { 0 };

	(void)state;
	for (size_t i = 0; i < GS_ARRAY_SIZE(lines); i++)
		gs__numa_line(&n, lines[i], strlen(lines[i]));
	assert_int_equal(n.bytes[0], 3 * 4096 + (2 << 20));
	assert_int_equal(n.bytes[1], 4096 + 2 * (2 << 20));
	assert_int_equal(n.bytes[2], 0);
	assert_int_equal(n.n_nodes, 6); // a path with a space can say so; sums of others stay right
}

static void test_cgroup(void **state)
{
	static const char mounts[] =
		"30 25 0:26 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw\n"
		"31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		"33 30 0:28 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n"
		"35 30 0:29 /box /sys/fs/cgroup/memory rw shared:12 - cgroup cgroup rw,memory\n";
	char dir[256];
	size_t root;

	(void)state;
	assert_int_equal(
		gs__cgroup_dir("4:memory:/box/a\n0::/u/v\n", mounts, true, dir, sizeof(dir), &root),
		0);
	assert_string_equal(dir, "/sys/fs/cgroup/unified/u/v");
	assert_int_equal(root, strlen("/sys/fs/cgroup/unified"));
	assert_int_equal(gs__cgroup_dir("4:cpu,memory:/box/a\n0::/\n", mounts, false, dir,
					sizeof(dir), &root),
			 0);
	assert_string_equal(dir, "/sys/fs/cgroup/memory/a");
	assert_int_equal(gs__cgroup_dir("0::/\n", mounts, true, dir, sizeof(dir), &root), 0);
	assert_string_equal(dir, "/sys/fs/cgroup/unified");
	assert_int_equal(gs__cgroup_dir("0::/\n", mounts, false, dir, sizeof(dir), &root), 1);
	assert_int_equal(gs__cgroup_dir("0::/../x\n", mounts, true, dir, sizeof(dir), &root), 1);
	assert_int_equal(
		gs__cgroup_dir("4:memory:/other\n", mounts, false, dir, sizeof(dir), &root), 1);
	assert_int_equal(gs__cgroup_dir("::\n0:\n\n", "\n - \n", true, dir, sizeof(dir), &root), 1);
}

/* ---- a child that touched what we know ---- */

struct world {
	pid_t pid;
	gs_addr at;
	int pipe[2];
};

#define PAGES 64
#define PAGE 4096
#define LAZY_BYTES (4u << 20)

/* Pages 0 to 9 written, 20 read only (the zero page), 30 written and given back lazily, 40 written. */
static void child(const struct world *w)
{
	uint8_t *p = (uint8_t *)(uintptr_t)w->at;
	volatile uint8_t sink;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(p, 1, 10 * PAGE);
	sink = p[20 * PAGE];
	(void)sink;
	p[30 * PAGE] = 1;
	(void)!madvise(p + 30 * PAGE, PAGE, MADV_FREE);
	p[40 * PAGE] = 1;
	// The kernel marks such pages in batches; what is left in one does not count as lazily free yet.
	p = (uint8_t *)mmap(NULL, LAZY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	(void)!madvise(p, LAZY_BYTES, MADV_NOHUGEPAGE);
	memset(p, 1, LAZY_BYTES);
	(void)!madvise(p, LAZY_BYTES, MADV_FREE);
	(void)!write(w->pipe[1], "", 1);
	for (;;)
		pause();
}

static void start_child(struct world *w)
{
	char byte;
	void *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(p != MAP_FAILED);
	w->at = (gs_addr)(uintptr_t)p;
	assert_int_equal(pipe(w->pipe), 0);
	w->pid = fork();
	assert_true(w->pid >= 0);
	if (w->pid == 0)
		child(w);
	assert_int_equal(read(w->pipe[0], &byte, 1), 1);
	munmap(p, PAGES * PAGE);
}

static void end_child(struct world *w)
{
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	close(w->pipe[0]);
	close(w->pipe[1]);
}

struct seen {
	uint64_t pages;
	gs_addr at;
	uint64_t n, stop;
};

static int see(void *ctx, const struct gs_page_run *run)
{
	struct seen *s = (struct seen *)ctx;

	for (gs_addr a = run->start; a < run->end; a += PAGE)
		s->pages |= (uint64_t)1 << ((a - s->at) / PAGE);
	return ++s->n == s->stop ? 7 : 0;
}

#define TOUCHED (0x3ffu | (uint64_t)1 << 30 | (uint64_t)1 << 40)

static void test_child(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	GS_CLEANUP(gs_residency_freep) struct gs_residency *res = NULL;
	const struct gs_residency_totals *totals;
	const struct gs_vma *v, *mine = NULL;
	struct gs_numa numa = { 0 };
	uint64_t sum = 0;
	struct world w;
	struct gs_err err;
	uint32_t n;
	int r;

	(void)state;
	start_child(&w);
	gs_assert_ok(gs_target_open_pid(w.pid, &t, &err), &err);
	gs_assert_ok(gs_residency_read(t, &res, &err), &err);
	v = gs_residency_vmas(res, &n);
	for (uint32_t i = 0; i < n; i++) {
		sum += v[i].rss;
		if (v[i].map.start <= w.at && w.at < v[i].map.end)
			mine = &v[i];
	}
	totals = gs_residency_totals(res);
	assert_non_null(mine);
	assert_true(mine->rss >= 12 * PAGE); // may have been merged with a neighbour
	assert_true(totals->lazy_free > LAZY_BYTES / 2 && totals->lazy_free <= LAZY_BYTES + PAGE);
	assert_int_equal(totals->rss, sum);
	assert_true(totals->status_rss > 0 && totals->virtual_bytes > totals->rss);
	r = gs_residency_numa(t, &numa, &err);
	if (r == 0) {
		uint64_t on_nodes = 0;

		for (uint32_t i = 0; i < numa.n_nodes; i++)
			on_nodes += numa.bytes[i];
		assert_true(on_nodes > sum / 2 && on_nodes < sum * 2);
	} else {
		gs_assert_result(1, r, &err);
	}
	end_child(&w);
	// The text alone cannot say that it was cut; that the process is gone can be asked.
	res = gs_residency_free(res);
	gs_assert_fails(-GS_E_GONE, "exited", gs_residency_read(t, &res, &err), &err);
}

static void test_pages(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	struct seen s;
	struct world w;
	struct gs_err err;
	char path[64];
	int fd, r;

	(void)state;
	start_child(&w);
	gs_assert_ok(gs_target_open_pid(w.pid, &t, &err), &err);
	s = (struct seen){ .at = w.at };
	gs_assert_ok(gs_residency_pages(t, w.at, w.at + PAGES * PAGE, see, &s, &err), &err);
	assert_true(s.pages == TOUCHED);
	assert_int_equal(s.n, 3);
	s = (struct seen){ .at = w.at, .stop = 2 };
	gs_assert_result(7, gs_residency_pages(t, w.at, w.at + PAGES * PAGE, see, &s, &err), &err);
	assert_int_equal(s.n, 2);
	// Parts, and nothing.
	s = (struct seen){ .at = w.at };
	gs_assert_ok(gs_residency_pages(t, w.at + 9 * PAGE, w.at + 31 * PAGE, see, &s, &err), &err);
	assert_true(s.pages == ((uint64_t)1 << 9 | (uint64_t)1 << 30));
	s = (struct seen){ .at = w.at };
	gs_assert_ok(gs_residency_pages(t, w.at, w.at, see, &s, &err), &err);
	gs_assert_ok(gs_residency_pages(t, w.at + PAGES * PAGE, w.at, see, &s, &err), &err);
	assert_int_equal(s.n, 0);

	// Both ways agree where the kernel has both.
	snprintf(path, sizeof(path), "/proc/%d/pagemap", w.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	s = (struct seen){ .at = w.at };
	gs_assert_ok(gs__pages_by_pagemap(fd, w.at, w.at + PAGES * PAGE, see, &s, &err), &err);
	assert_true(s.pages == TOUCHED);
	assert_int_equal(s.n, 3);
	s = (struct seen){ .at = w.at };
	r = gs__pages_by_scan(fd, w.at, w.at + PAGES * PAGE, see, &s, &err);
	if (r == -ENOTTY)
		print_message("# the kernel has no PAGEMAP_SCAN (before 6.7): not compared\n");
	else
		assert_true(r == 0 && s.pages == TOUCHED);
	close(fd);
	end_child(&w);
}

/* Both ways to read residency count the same pages of each mapping. */
static void test_quick(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	GS_CLEANUP(gs_residency_freep) struct gs_residency *quick = NULL;
	GS_CLEANUP(gs_residency_freep) struct gs_residency *full = NULL;
	const struct gs_vma *a, *b;
	struct seen s;
	uint32_t n, m;
	struct world w;
	struct gs_err err;
	int r;

	(void)state;
	start_child(&w);
	gs_assert_ok(gs_target_open_pid(w.pid, &t, &err), &err);
	gs_assert_ok(gs_residency_read(t, &full, &err), &err);
	r = gs_residency_read_quick(t, &quick, &err);
	if (r == 1) {
		print_message("# the kernel has no PAGEMAP_SCAN (before 6.7): not compared\n");
		end_child(&w);
		return;
	}
	gs_assert_result(0, r, &err);
	a = gs_residency_vmas(full, &n);
	b = gs_residency_vmas(quick, &m);
	assert_int_equal(n, m);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(a[i].map.start, b[i].map.start);
		assert_string_equal(a[i].map.path, b[i].map.path);
		if (a[i].rss != b[i].rss || a[i].swap != b[i].swap ||
		    a[i].anon_huge != b[i].anon_huge || a[i].file_huge != b[i].file_huge)
			fail_msg("%#lx %s: %lu instead of %lu bytes resident",
				 (unsigned long)a[i].map.start, a[i].map.path,
				 (unsigned long)b[i].rss, (unsigned long)a[i].rss);
	}
	assert_int_equal(gs_residency_totals(full)->rss, gs_residency_totals(quick)->rss);
	assert_int_equal(gs_residency_totals(full)->status_rss,
			 gs_residency_totals(quick)->status_rss);
	s = (struct seen){ .at = w.at };
	assert_int_equal(gs_residency_seen(quick, w.at, w.at + PAGES * PAGE, see, &s), 0);
	assert_true(s.pages == TOUCHED);
	s = (struct seen){ .at = w.at };
	assert_int_equal(gs_residency_seen(quick, w.at + 9 * PAGE, w.at + 30 * PAGE, see, &s), 0);
	assert_true(s.pages == (uint64_t)1 << 9);
	s = (struct seen){ .at = w.at, .stop = 1 };
	assert_int_equal(gs_residency_seen(quick, w.at, w.at + PAGES * PAGE, see, &s), 7);
	assert_int_equal(gs_residency_seen(full, w.at, w.at + PAGES * PAGE, see, &s), 1);
	end_child(&w);
}

static void test_only_live(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	struct gs_residency *res = NULL;
	const struct gs_loaded_object *objects;
	struct gs_numa numa;
	struct gs_err err;
	uint32_t n;

	(void)state;
	gs_assert_ok(gs_target_fake_new(GS_ARCH_AMD64, &t, &err), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "live process", gs_residency_read(t, &res, &err), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "live process", gs_residency_read_quick(t, &res, &err),
			&err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "live process",
			gs_residency_pages(t, 0, PAGE, see, NULL, &err), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "live process", gs_residency_numa(t, &numa, &err), &err);
	gs_assert_result(1, gs_target_loaded_objects(t, &objects, &n, &err), &err);
}

/* ---- loaded objects ---- */

static void test_loaded_self(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	const struct gs_loaded_object *v;
	bool libc = false;
	struct world w;
	struct gs_err err;
	uint32_t n;

	(void)state;
	start_child(&w);
	gs_assert_ok(gs_target_open_pid(w.pid, &t, &err), &err);
	gs_assert_ok(gs_target_loaded_objects(t, &v, &n, &err), &err);
	assert_string_equal(v[0].path, "");
	for (uint32_t i = 1; i < n; i++) {
		const struct gs_map *m = gs_target_map_at(t, v[i].dynamic);

		assert_non_null(m);
		assert_non_null(gs_target_map_at(t, v[i].base));
		libc |= strstr(v[i].path, "libc.so") != NULL;
	}
	assert_true(libc);
	end_child(&w);
}

static int read_fake(uint64_t *words, size_t n_words, uint32_t *ret_n, const char **ret_last)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	GS_CLEANUP(gs_arena_freep) struct gs_arena *arena = gs_arena_new(0);
	static char last[64];
	struct gs_loaded_object *v = NULL;
	struct gs_err err;
	int r;

	gs_assert_ok(gs_target_fake_new(GS_ARCH_AMD64, &t, &err), &err);
	gs_assert_ok(gs_target_fake_map(t, 0x1000, words, n_words * 8, &err), &err);
	r = gs__loaded_read(gs_target_memory(t), 0x1000, arena, &v, ret_n, &err);
	last[0] = '\0';
	if (r == 0 && *ret_n)
		snprintf(last, sizeof(last), "%s", v[*ret_n - 1].path);
	*ret_last = last;
	return r;
}

static void test_loaded_hostile(void **state)
{
	uint64_t w[64] = { 1, 0x1040, 0, 0, 0 };
	const char *last;
	uint32_t n;

	(void)state;
	// Two entries; the name of the second ends with the mapping, without its NUL.
	memcpy(w + 8, (uint64_t[]){ 0x7000, 0x1038, 0x7100, 0x1080, 0 }, 40);
	memcpy(w + 16, (uint64_t[]){ 0x8000, 0x11f8, 0x8100, 0, 0x1040 }, 40);
	memcpy(w + 63, "end.so!!", 8);
	assert_int_equal(read_fake(w, 64, &n, &last), 0);
	assert_int_equal(n, 2);
	assert_string_equal(last, "end.so!!");
	memcpy(w + 63, "end.so\0", 8);
	assert_int_equal(read_fake(w, 64, &n, &last), 0);
	assert_string_equal(last, "end.so");
	// A cycle: the first entry's prev no longer fits.
	w[19] = 0x1040;
	assert_int_equal(read_fake(w, 64, &n, &last), 0);
	assert_int_equal(n, 2);
	// One that points to itself and says so.
	w[19] = 0;
	w[11] = 0x1040;
	w[12] = 0x1040;
	assert_int_equal(read_fake(w, 64, &n, &last), 0);
	assert_int_equal(n, 0);
	w[12] = 0;
	assert_int_equal(read_fake(w, 64, &n, &last), 0);
	assert_int_equal(n, 1);
	// Namespaces that go in a circle.
	w[0] = 2;
	w[5] = 0x1000;
	assert_int_equal(read_fake(w, 64, &n, &last), 0);
	assert_int_equal(n, GS__MAX_NAMESPACES);
	// Nowhere.
	w[1] = 0xdead0000;
	w[5] = 0xbeef0000;
	assert_int_equal(read_fake(w, 64, &n, &last), 0);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smaps),          cmocka_unit_test(test_smaps_hostile),
		cmocka_unit_test(test_status),         cmocka_unit_test(test_numa),
		cmocka_unit_test(test_cgroup),         cmocka_unit_test(test_child),
		cmocka_unit_test(test_pages),          cmocka_unit_test(test_only_live),
		cmocka_unit_test(test_quick),          cmocka_unit_test(test_loaded_self),
		cmocka_unit_test(test_loaded_hostile),
	};

	return gs_test_main(tests);
}
