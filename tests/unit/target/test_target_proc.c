/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Texts of /proc: maps and stat, including what a process can put into them. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/process_private.h"

static const char maps_text[] =
	"00400000-00452000 r-xp 00000000 08:02 173521                             /usr/bin/dbus\n"
	"00651000-00652000 r--p 00051000 08:02 173521                             /usr/bin/dbus\n"
	"00652000-00655000 rw-p 00052000 fd:1f 18446744073709551615 /tmp/a b\\012c (deleted)\n"
	"00e03000-00e24000 rw-p 00000000 00:00 0 \n"
	"7f0000000000-7f0000001000 rw-s 00000000 00:01 77                         /memfd:x\n"
	"7ffe00000000-7ffe00021000 ---p 00000000 00:00 0                          [stack]\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static void test_maps(void **state)
{
	struct gs__maps m = { 0 };
	struct gs_err err;

	gs_assert_ok(gs__maps_parse(maps_text, sizeof(maps_text) - 1, "maps", &m, &err), &err);
	assert_int_equal(m.n, 7);
	assert_int_equal(m.v[0].start, 0x400000);
	assert_int_equal(m.v[0].end, 0x452000);
	assert_int_equal(m.v[0].prot, GS_IMAGE_READ | GS_IMAGE_EXEC);
	assert_int_equal(m.v[0].dev, makedev(8, 2));
	assert_int_equal(m.v[0].ino, 173521);
	assert_string_equal(m.v[0].path, "/usr/bin/dbus");
	assert_ptr_equal(m.v[0].path, m.v[1].path); // one copy
	assert_int_equal(m.v[1].offset, 0x51000);
	assert_int_equal(m.v[2].dev, makedev(0xfd, 0x1f));
	assert_true(m.v[2].ino == UINT64_MAX);
	assert_string_equal(m.v[2].path, "/tmp/a b\\012c (deleted)");
	assert_string_equal(m.v[3].path, "");
	assert_true(m.v[4].shared);
	assert_int_equal(m.v[5].prot, 0);
	assert_string_equal(m.v[6].path, "[vsyscall]");

	assert_ptr_equal(gs__maps_at(&m, 0x400000), &m.v[0]);
	assert_ptr_equal(gs__maps_at(&m, 0x451fff), &m.v[0]);
	assert_null(gs__maps_at(&m, 0x452000));
	assert_null(gs__maps_at(&m, 0));
	assert_ptr_equal(gs__maps_at(&m, 0xffffffffff600fff), &m.v[6]);
	assert_null(gs__maps_at(&m, UINT64_MAX));
	gs__maps_deinit(&m);
}

static void test_maps_moving(void **state)
{
	static const char text[] = "1000-3000 r--p 00000000 00:00 0\n"
				   "2000-4000 rw-p 00000000 00:00 0\n"
				   "4000-5000 rw-p 00000000 00:00 0 \n"
				   "5000-6000 rw-p 0000"; // cut
	struct gs__maps m = { 0 };
	struct gs_err err;

	gs_assert_ok(gs__maps_parse(text, sizeof(text) - 1, "maps", &m, &err), &err);
	assert_int_equal(m.n, 2);
	assert_int_equal(m.v[1].start, 0x4000);
	gs__maps_deinit(&m);
	gs_assert_ok(gs__maps_parse("", 0, "maps", &m, &err), &err);
	assert_int_equal(m.n, 0);
	assert_null(gs__maps_at(&m, 1));
	gs__maps_deinit(&m);
}

static void test_maps_broken(void **state)
{
	static const char *const bad[] = {
		"\n",
		"1000 r--p 0 0:0 0\n",
		"1000-2000 r--p 0 0:0\n",
		"1000-2000 r--p 0 0:0 \n",
		"1000-2000 r--p 0 0:0 x\n",
		"1000-2000 r-\n",
		"2000-1000 r--p 00000000 00:00 0 \n",
		"1000-1000 r--p 00000000 00:00 0 \n",
		"10000000000000000-2 r--p 00000000 00:00 0 \n",
		"1000-2000 r--p 00000000 00:00 18446744073709551616 \n",
		"1000-2000 r--p 00000000 00:00 99999999999999999999999999999999\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct gs__maps m;
		struct gs_err err;

		gs_assert_fails(-GS_E_BAD_DATA, "cannot understand",
				gs__maps_parse(bad[i], strlen(bad[i]), "maps", &m, &err), &err);
	}
}

static void test_stat(void **state)
{
	static const char text[] =
		"4711 (a) S 1 (b) R) S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 "
		"17 0 123456789 99 88 18446744073709551615 1 1";
	struct gs__stat st;

	assert_int_equal(gs__stat_parse(text, sizeof(text) - 1, &st), 0);
	assert_string_equal(st.name, "a) S 1 (b) R");
	assert_int_equal(st.state, 'S');
	assert_int_equal(st.flags, 4194560);
	assert_int_equal(st.n_threads, 17);
	assert_int_equal(st.start_ticks, 123456789);
}

static void test_stat_broken(void **state)
{
	static const char *const bad[] = { "",
					   "1",
					   "1 (",
					   "1 )(",
					   "1 (a)",
					   "1 (a) ",
					   "1 (a) S",
					   "1 (a) S 1 2 3",
					   "1 (a) S x 1 1 1 1 1 1",
					   "1 (a)S 1 1" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct gs__stat st;

		assert_true(gs__stat_parse(bad[i], strlen(bad[i]), &st) < 0);
	}
}

static void test_long_name(void **state)
{
	char text[400] = "1 (";
	struct gs__stat st;

	memset(text + 3, 'x', 200); // more than the kernel would give
	strcpy(text + 203, ") R 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1");
	assert_int_equal(gs__stat_parse(text, strlen(text), &st), 0);
	assert_int_equal(strlen(st.name), sizeof(st.name) - 1);
}

/* The file of a mapping of ours by each of its names, after it got another one, and of a process that is gone. */
static void test_map_open(void **state)
{
	char path[] = "/tmp/gs_map_XXXXXX", moved[] = "/tmp/gs_map_XXXXXX";
	int fd = mkstemp(path), other = mkstemp(moved), found;
	struct gs_map m = { .path = path };
	struct stat st, seen;
	pid_t gone = fork();
	void *p;

	if (gone == 0)
		_exit(0);
	assert_true(fd >= 0 && other >= 0 && gone > 0 && waitpid(gone, NULL, 0) == gone);
	assert_int_equal(ftruncate(fd, 4096) | ftruncate(other, 4096) | fstat(fd, &st), 0);
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	m.start = (uintptr_t)p;
	m.end = m.start + 4096;
	m.ino = st.st_ino;

	found = gs_map_open(getpid(), &m, false);
	assert_true(found >= 0 && fstat(found, &seen) == 0);
	assert_int_equal(seen.st_ino, st.st_ino);
	gs_closep(&found);
	assert_int_equal(gs_map_open(gone, &m, false), -1);
	found = gs_map_open(gone, &m, true);
	assert_true(found >= 0);
	gs_closep(&found);

	assert_int_equal(rename(moved, path), 0); // another file under the name
	assert_int_equal(gs_map_open(gone, &m, true), -1);
	found = gs_map_open(getpid(), &m, true);
	if (found >= 0) { // we may follow map_files
		assert_int_equal(fstat(found, &seen), 0);
		assert_int_equal(seen.st_ino, st.st_ino);
		gs_closep(&found);
	}
	m.path = "/tmp"; // no file, whatever its inode
	assert_int_equal(stat("/tmp", &st), 0);
	m.ino = st.st_ino;
	assert_int_equal(gs_map_open(gone, &m, true), -1);
	munmap(p, 4096);
	unlink(path);
	gs_closep(&fd);
	gs_closep(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps),        cmocka_unit_test(test_maps_moving),
		cmocka_unit_test(test_maps_broken), cmocka_unit_test(test_stat),
		cmocka_unit_test(test_stat_broken), cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_map_open),
	};

	return gs_test_main(tests);
}
