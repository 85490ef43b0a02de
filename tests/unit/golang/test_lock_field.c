/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Types of methods from their names; files that describe no types of Go. Real programs: tests/live/test_stream.py. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "golang/lock_field.h"

static void receivers(void **state)
{
	static const struct {
		const char *function, *type;
	} names[] = {
		{ "example.com/shop/store.(*Ledger).Append", "example.com/shop/store.Ledger" },
		{ "main.(*T).f.func1", "main.T" },
		{ "gopkg.in/yaml%2ev3.(*parser).next", "gopkg.in/yaml%2ev3.parser" },
		{ "main.(*T).f-fm", "main.T" },
		{ "main.T.f", NULL },
		{ "main.f", NULL },
		{ "main.f.func1", NULL },
		{ "main.(*T[...]).f", NULL },
		{ "main.(*T[go.shape.int]).f", NULL },
		{ "main.(*T)", NULL },
		{ "main.(*).f", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(names); i++) {
		char type[64];
		int r = gs_go_receiver(names[i].function, type, sizeof(type));

		assert_int_equal(r, names[i].type ? 0 : 1);
		if (names[i].type)
			assert_string_equal(type, names[i].type);
	}
	char small[12];

	assert_int_equal(gs_go_receiver("main.(*Ledger).f", small, sizeof(small)), 0);
	assert_string_equal(small, "main.Ledger");
	assert_int_equal(gs_go_receiver("main.(*Ledgers).f", small, sizeof(small)), 1);
}

static void no_types(void **state)
{
	GS_CLEANUP(gs_closep) int self = open("/proc/self/exe", O_RDONLY);
	GS_CLEANUP(gs_closep) int garbage = memfd_create("garbage", 0);
	char name[GS_GO_LOCK_FIELD_MAX] = "untouched";
	struct gs_err err;

	assert_int_equal(write(garbage,
			       "\x7f"
			       "ELF garbage",
			       12),
			 12);
	assert_int_equal(gs_go_lock_field(self, "main.T", name, &err), 1);
	assert_int_equal(gs_go_lock_field(garbage, "main.T", name, &err), 1);
	assert_string_equal(name, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(receivers),
					    cmocka_unit_test(no_types) };

	return gs_test_main(tests);
}
