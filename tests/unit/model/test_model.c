/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Names of functions, states and releases; the list of what is missing. */
#include "test.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "model/func_name.h"
#include "model/goroutine.h"
#include "model/result.h"

static void expect_name(const char *name, bool generic_methods, const char *want)
{
	struct gs_func_name f = gs_func_name_split(name, generic_methods);
	char got[128];
	size_t n = 0;

	assert_in_range(f.n, 1, GS_FUNC_NAME_PIECES);
	for (unsigned int i = 0; i < f.n; i++) {
		assert_true(n + f.len[i] < sizeof(got));
		memcpy(got + n, f.piece[i], f.len[i]);
		n += f.len[i];
	}
	got[n] = '\0';
	assert_string_equal(got, want);
}

/* Both columns were printed by runtime.funcNameForPrint, of Go 1.26.10 and of Go 1.27.3; those marked
 * make Go index out of range, and stay whole here. */
static void function_names(void **state)
{
	static const struct {
		const char *name, *go126, *go127;
	} names[] = {
		{ "main.main", "main.main", "main.main" },
		{ "main.f[go.shape.int]", "main.f[...]", "main.f[...]" },
		{ "main.f[...]", "main.f[...]", "main.f[...]" },
		{ "main.(*T[go.shape.int_0]).m", "main.(*T[...]).m", "main.(*T[...]).m" },
		{ "main.(*T[go.shape.int]).m[go.shape.string]", "main.(*T[...]",
		  "main.(*T[...]).m[...]" },
		{ "main.(*T[go.shape.int]).m[go.shape.string].func1", "main.(*T[...].func1",
		  "main.(*T[...]).m[...].func1" },
		{ "main.Map[go.shape.[]int,go.shape.map[string]int].func2", "main.Map[...].func2",
		  "main.Map[...].func2" },
		{ "main.A[main.B[go.shape.int]].m", "main.A[...].m", "main.A[...].m" },
		{ "main.A[x].B[y].C[z].d", "main.A[...].d", "main.A[...].B[...].d" },
		{ "main.f[[]int].g[map[int]string].h", "main.f[...].h", "main.f[...].g[...].h" },
		{ "a]", "a]", "a]" },
		{ "a]b[c]", "a]b[...]", "a]b[...]" },
		{ "f[a]b]", "f[...]", "f[...]" },
		{ "f[a]]b[c", "f[...]b[c", "f[...]b[c" },
		{ "f[]", "f[...]", "f[...]" },
		{ "[x]", "[...]", "[...]" },
		{ "", "", "" },
		{ "a]b[", "a]b[", "a]b[" },    /* Go crashes */
		{ "f[int", "f[int", "f[int" }, /* Go crashes */
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(names); i++) {
		expect_name(names[i].name, false, names[i].go126);
		expect_name(names[i].name, true, names[i].go127);
	}
}

static void state_names(void **state)
{
	/* gStatusStrings in runtime/traceback.go, Go 1.27 */
	static const char *const names[] = {
		[GS_G_IDLE] = "idle",           [GS_G_RUNNABLE] = "runnable",
		[GS_G_RUNNING] = "running",     [GS_G_SYSCALL] = "syscall",
		[GS_G_WAITING] = "waiting",     [GS_G_DEAD] = "dead",
		[GS_G_COPYSTACK] = "copystack", [GS_G_PREEMPTED] = "preempted",
		[GS_G_LEAKED] = "leaked",       [GS_G_DEADEXTRA] = "waiting for cgo callback",
	};
	enum gs_goroutine_state parsed;

	assert_int_equal(GS_ARRAY_SIZE(names), GS_G_STATE_COUNT);
	for (unsigned int i = 0; i < GS_G_STATE_COUNT; i++) {
		assert_string_equal(gs_goroutine_state_name((enum gs_goroutine_state)i), names[i]);
		assert_int_equal(gs_goroutine_state_parse(names[i], &parsed), 0);
		assert_int_equal(parsed, i);
	}
	assert_string_equal(gs_goroutine_state_name((enum gs_goroutine_state)99), "unknown");
	assert_string_equal(gs_goroutine_state_name((enum gs_goroutine_state) - 1), "unknown");
	assert_int_equal(gs_goroutine_state_parse("Running", &parsed), -1);
	assert_int_equal(gs_goroutine_state_parse("", &parsed), -1);
}

static void release_numbers(void **state)
{
	assert_int_equal(gs_go_version_minor("go1.26.10"), 26);
	assert_int_equal(gs_go_version_minor("go1.19"), 19);
	assert_int_equal(gs_go_version_minor("go1.27rc1 X:foo"), 27);
	assert_int_equal(gs_go_version_minor("devel go1.28-abcdef Mon"), 28);
	assert_int_equal(gs_go_version_minor("devel +abcdef"), 0);
	assert_int_equal(gs_go_version_minor("go2.1"), 0);
	assert_int_equal(gs_go_version_minor(""), 0);
	assert_int_equal(gs_go_version_minor(NULL), 0);
	assert_true(gs_go_version_minor("go1.99999999999999999999") > 27);
}

static void missing_things(void **state)
{
	static char names[GS_INCOMPLETE_MAX + 5][16];
	struct gs_incomplete_list l = { 0 };
	uint64_t sum = 0;

	gs_incomplete_add(&l, "nothing", 0, "never");
	assert_int_equal(l.n, 0);
	gs_incomplete_add(&l, "torn", 2, "line\n%d", 1);
	gs_incomplete_add(&l, "torn", 3, "later reasons are not kept");
	assert_int_equal(l.n, 1);
	assert_int_equal(l.item[0].count, 5);
	assert_string_equal(l.item[0].why, "line\\x0a1");
	for (size_t i = 0; i < GS_ARRAY_SIZE(names); i++) {
		snprintf(names[i], sizeof(names[i]), "kind_%zu", i);
		gs_incomplete_add(&l, names[i], 1, "x");
	}
	assert_int_equal(l.n, GS_INCOMPLETE_MAX);
	assert_string_equal(l.item[GS_INCOMPLETE_MAX - 1].what, "others");
	for (uint32_t i = 0; i < l.n; i++)
		sum += l.item[i].count;
	assert_int_equal(sum, 5 + GS_ARRAY_SIZE(names));
}

static void whose_functions(void **state)
{
	static const char *const standard[] = { "syscall.mmap",
						"internal/runtime/syscall/linux.Syscall6",
						"net/http.(*conn).serve",
						"golang.org/x/sys/unix.Mmap",
						"_.goready.func1",
						"cgo.malloc",
						"" };
	static const char *const own[] = { "main.main",
					   "shop/internal/store.(*Cache).load",
					   "example.org/net/http.Get",
					   "nets.Get",
					   "netx/http.Get",
					   "goland/x.F" };

	for (size_t i = 0; i < GS_ARRAY_SIZE(standard); i++)
		assert_true(gs_func_standard(standard[i]));
	for (size_t i = 0; i < GS_ARRAY_SIZE(own); i++)
		assert_false(gs_func_standard(own[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(function_names), cmocka_unit_test(whose_functions),
		cmocka_unit_test(state_names),    cmocka_unit_test(release_numbers),
		cmocka_unit_test(missing_things),
	};

	return gs_test_main(tests);
}
