/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Files cut under a mapping: watched ones read as zeros, others die as always. */
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sigbus.h"

static const uint8_t *map_pages(FILE *f, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p;

	for (size_t i = 0; i < n * page; i++)
		assert_int_not_equal(fputc('x', f), EOF);
	assert_int_equal(fflush(f), 0);
	p = mmap(NULL, n * page, PROT_READ, MAP_PRIVATE, fileno(f), 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void test_cut(void **state)
{
	GS_CLEANUP(gs_fclosep) FILE *f = tmpfile();
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const volatile uint8_t *p = map_pages(f, 3);
	int slot = gs_sigbus_watch((const void *)p, 3 * page);

	(void)state;         // no fixture
	gs_sigbus_install(); // cmocka has put its own handler in front of this test
	assert_true(slot >= 0);
	assert_int_equal(p[3 * page - 1], 'x');
	assert_false(gs_sigbus_hit(slot));
	assert_int_equal(ftruncate(fileno(f), (off_t)page), 0);
	assert_int_equal(p[0], 'x');
	assert_false(gs_sigbus_hit(slot));
	assert_int_equal(p[page + 5], 0);
	assert_true(gs_sigbus_hit(slot));
	assert_int_equal(p[3 * page - 1], 0);
	gs_sigbus_forget(slot);
	gs_sigbus_forget(-1);
	assert_false(gs_sigbus_hit(-1));
	munmap((void *)(uintptr_t)p, 3 * page);
}

static void test_unwatched_dies(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state; // no fixture
	if (pid == 0) {
		FILE *f = tmpfile();
		const volatile uint8_t *p = map_pages(f, 1);
		int slot = gs_sigbus_watch((const void *)p, 4096);

		gs_sigbus_install();
		gs_sigbus_forget(slot);
		_exit(ftruncate(fileno(f), 0) == 0 ? p[0] : 99);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	// A sanitizer's own handler was replaced; the default action is what is left.
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

/* A slot is free again after use; there is a bound, and reaching it is told. */
static void test_slots(void **state)
{
	static const uint8_t bytes[1];
	int slots[4096], n = 0;

	(void)state; // no fixture
	while (n < 4096 && (slots[n] = gs_sigbus_watch(bytes, 1)) >= 0)
		n++;
	assert_in_range(n, 64, 4095);
	assert_int_equal(gs_sigbus_watch(bytes, 1), -1);
	while (n > 0)
		gs_sigbus_forget(slots[--n]);
	slots[0] = gs_sigbus_watch(bytes, 1);
	assert_true(slots[0] >= 0);
	gs_sigbus_forget(slots[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_unwatched_dies),
		cmocka_unit_test(test_slots),
	};

	return gs_test_main(tests);
}
