/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Names of kernel functions: written by hand, damaged, and those of this kernel. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "probe/ksyms.h"
#include "test.h"

static int open_text(const char *text, size_t len, struct gs_ksyms **ret, struct gs_err *err)
{
	char path[] = "/tmp/gosonde-ksyms-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	r = gs__ksyms_open_file(path, ret, err);
	unlink(path);
	return r;
}

static const char text[] = "ffffffff81000000 T _text\n"
			   "ffffffff81000200 t later_alias\n"
			   "ffffffff81000200 T do_it\n"
			   "ffffffff810001f0 t __pfx_do_it\n"
			   "ffffffff81000100 t first\n"
			   "ffffffff81000180 D some_data\n"
			   "ffffffffc0000000 t in_module\t[ext4]\n"
			   "ffffffffc0000040 t bpf_prog_1234_f\t[bpf]\n";

static void test_find(void **state)
{
	GS_CLEANUP(gs_ksyms_freep) struct gs_ksyms *k = NULL;
	uint64_t start = 0;

	assert_int_equal(open_text(text, sizeof(text) - 1, &k, NULL), 0);
	assert_string_equal(gs_ksyms_find(k, 0xffffffff81000000, &start), "_text");
	assert_string_equal(gs_ksyms_find(k, 0xffffffff81000110, &start), "first");
	assert_int_equal(start, 0xffffffff81000100);
	/* Data is no function; padding belongs to nothing that runs. */
	assert_string_equal(gs_ksyms_find(k, 0xffffffff81000190, &start), "first");
	assert_string_equal(gs_ksyms_find(k, 0xffffffff81000200, &start), "do_it");
	assert_string_equal(gs_ksyms_find(k, 0xffffffff8100ffff, NULL), "do_it");
	assert_string_equal(gs_ksyms_find(k, 0xffffffffc0000001, NULL), "in_module");
	assert_string_equal(gs_ksyms_find(k, 0xffffffffc0000040, NULL), "bpf_prog_1234_f");
	assert_null(gs_ksyms_find(k, 0xffffffff80ffffff, NULL));
	assert_null(gs_ksyms_find(k, 0xffffffffa0000000, NULL));
	assert_null(gs_ksyms_find(k, UINT64_MAX, NULL));
	assert_null(gs_ksyms_find(k, 0, NULL));
}

static void test_hidden_addresses(void **state)
{
	static const char hidden[] = "0000000000000000 T _text\n0000000000000000 t first\n";
	struct gs_ksyms *k = NULL;
	struct gs_err err;

	assert_int_equal(open_text(hidden, sizeof(hidden) - 1, &k, &err), -GS_E_PERMISSION);
	assert_non_null(strstr(err.text, "kptr_restrict"));
	assert_null(k);
	assert_int_equal(open_text("", 0, &k, &err), -GS_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "CONFIG_KALLSYMS"));
	assert_true(gs__ksyms_open_file("/nowhere/at all", &k, &err) < 0);
	assert_null(k);
}

static void test_damaged_lines(void **state)
{
	static const char *const lines[] = {
		"",
		"\n",
		" ",
		"x",
		"ffffffff81000000",
		"ffffffff81000000 ",
		"ffffffff81000000 T",
		"ffffffff81000000 T ",
		"zzzz T name",
		" T name",
		"ffffffff81000000  T name",
		"ffffffff81000000\tT\tname",
	};
	GS_CLEANUP(gs_freep) char *longer = malloc(200000);

	assert_non_null(longer);
	for (size_t i = 0; i < GS_ARRAY_SIZE(lines); i++) {
		GS_CLEANUP(gs_ksyms_freep) struct gs_ksyms *k = NULL;
		int n = snprintf(longer, 200000, "%s\nffffffff81000100 t good\n", lines[i]);

		assert_int_equal(open_text(longer, (size_t)n, &k, NULL), 0);
		assert_string_equal(gs_ksyms_find(k, 0xffffffff81000100, NULL), "good");
	}
	/* A line longer than any buffer, and the end in the middle of one. */
	memset(longer, 'f', 150000);
	memcpy(longer + 150000, "\nffffffff81000100 t good\nffffffff81000200 t cut", 48);
	{
		GS_CLEANUP(gs_ksyms_freep) struct gs_ksyms *k = NULL;

		assert_int_equal(open_text(longer, 150048, &k, NULL), 0);
		assert_string_equal(gs_ksyms_find(k, 0xffffffff81000200, NULL), "good");
	}
}

/* The oracle is a second reader of the same file that knows nothing of sorting. */
static void test_this_kernel(void **state)
{
	GS_CLEANUP(gs_ksyms_freep) struct gs_ksyms *k = NULL;
	GS_CLEANUP(gs_fclosep) FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long long addr;
	char type, name[512];
	int n = 0, same = 0;
	struct gs_err err;
	int r = gs_ksyms_open(&k, &err);

	if (r == -GS_E_PERMISSION || !f) {
		print_message("# addresses are hidden from this user\n");
		skip();
	}
	assert_int_equal(r, 0);
	for (int line = 0; fscanf(f, "%llx %c %511[^\n]", &addr, &type, name) == 3; line++) {
		const char *found;
		uint64_t start = 0;

		name[strcspn(name, "\t ")] = '\0';
		/* Per-CPU variables of old kernels stand at small addresses, and are no text. */
		if ((type != 'T' && type != 't') || !strncmp(name, "__pfx_", 6) || line % 37)
			continue;
		found = gs_ksyms_find(k, addr, &start);
		assert_non_null(found);
		assert_int_equal(start, addr);
		same += !strcmp(found, name);
		n++;
	}
	assert_true(n > 100);
	/* The rest are other names of the same address. */
	assert_true(same > n / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_hidden_addresses),
		cmocka_unit_test(test_damaged_lines),
		cmocka_unit_test(test_this_kernel),
	};

	return gs_test_main(tests);
}
