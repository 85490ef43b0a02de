/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The generated tables: which one a release gets, and facts about Go's runtime that can be read in its
 * sources (src/runtime/runtime2.go of each release). */
#include "test.h"

#include "golang/layout.h"

static struct gs_go_layout layout(unsigned int minor, unsigned int patch, int want)
{
	struct gs_go_release rel = { .minor = (uint16_t)minor, .patch = (uint16_t)patch };
	struct gs_go_layout l;
	struct gs_err err;

	gs_assert_result(want, gs_go_layout_for(&rel, GS_ARCH_AMD64, &l, &err), &err);
	return l;
}

static void known_releases(void **state)
{
	for (unsigned int m = GS_GO_MINOR_FIRST; m <= GS_GO_MINOR_LAST; m++) {
		struct gs_go_layout l = layout(m, 0, m == 20);

		assert_int_equal(l.minor, m);
		assert_int_equal(l.source, m == 20 ? GS_GO_LAYOUT_NEAREST : GS_GO_LAYOUT_TABLE);
		assert_int_equal(l.arch, GS_ARCH_AMD64);
	}
}

static void nearest_for_unknown(void **state)
{
	struct gs_go_layout l = layout(28, 0, 1), newest = layout(27, 3, 0);

	assert_int_equal(l.minor, 27);
	assert_int_equal(l.source, GS_GO_LAYOUT_NEAREST);
	assert_memory_equal(l.offset, newest.offset, sizeof(l.offset));
	assert_int_equal(layout(1000, 0, 1).minor, 27);
	assert_int_equal(layout(18, 9, 1).minor, 19);
	assert_int_equal(layout(0, 0, 1).minor, 19);
}

static void development_version_is_unknown(void **state)
{
	const struct gs_go_release rel = { .minor = 27, .devel = true };
	struct gs_go_layout l;
	struct gs_err err;

	gs_assert_result(1, gs_go_layout_for(&rel, GS_ARCH_ARM64, &l, &err), &err);
	assert_int_equal(l.source, GS_GO_LAYOUT_NEAREST);
}

static void unknown_cpu(void **state)
{
	const struct gs_go_release rel = { .minor = 27 };
	struct gs_go_layout l;
	struct gs_err err;

	gs_assert_fails(-GS_E_UNSUPPORTED, "CPU", gs_go_layout_for(&rel, GS_ARCH_UNKNOWN, &l, &err),
			&err);
}

/* m.allpSnapshot, a slice in front of m.alllink, came with these patch releases. */
static void patch_releases_differ(void **state)
{
	assert_int_equal(layout(23, 11, 0).offset[GS_GO_M_ALLLINK] + 24,
			 layout(23, 12, 0).offset[GS_GO_M_ALLLINK]);
	assert_int_equal(layout(24, 5, 0).offset[GS_GO_M_ALLLINK] + 24,
			 layout(24, 6, 0).offset[GS_GO_M_ALLLINK]);
	assert_int_equal(layout(24, 5, 0).offset[GS_GO_G_GOID],
			 layout(24, 6, 0).offset[GS_GO_G_GOID]);
	/* a patch release newer than any known one */
	assert_int_equal(layout(24, 99, 0).offset[GS_GO_M_ALLLINK],
			 layout(24, 6, 0).offset[GS_GO_M_ALLLINK]);
}

static void table_is_of_the_newest_patch(void **state)
{
	struct gs_go_layout l, want = layout(23, 12, 0);
	struct gs_err err;

	gs_assert_ok(gs_go_layout_table(23, GS_ARCH_AMD64, &l, &err), &err);
	assert_memory_equal(l.offset, want.offset, sizeof(l.offset));
	gs_assert_result(1, gs_go_layout_table(70000, GS_ARCH_AMD64, &l, &err), &err);
	assert_int_equal(l.minor, 27);
}

static bool has(struct gs_go_layout l, enum gs_go_field f)
{
	return gs_go_has(&l, f);
}

static void fields_come_and_go(void **state)
{
	/* g.parentGoid: 1.21. p.gFree.n became .size in 1.25; hmap went in 1.24. */
	assert_false(has(layout(19, 8, 0), GS_GO_G_PARENT_GOID));
	assert_true(has(layout(21, 0, 0), GS_GO_G_PARENT_GOID));
	assert_true(has(layout(23, 0, 0), GS_GO_HMAP_B));
	assert_false(has(layout(24, 0, 0), GS_GO_HMAP_B));
	assert_false(has(layout(25, 0, 0), GS_GO_MD_EPCLNTAB));
	assert_true(has(layout(26, 0, 0), GS_GO_MD_EPCLNTAB));
	/* sudog.elem and .c are structures of two words since 1.26, but still there */
	assert_true(has(layout(26, 0, 0), GS_GO_SUDOG_ELEM));
}

static void goid_moved(void **state)
{
	/* syscallbp in front of it from 1.23 on, gobuf.ret gone from 1.25 on */
	assert_int_equal(layout(22, 12, 0).offset[GS_GO_G_GOID], 152);
	assert_int_equal(layout(23, 0, 0).offset[GS_GO_G_GOID], 160);
	assert_int_equal(layout(24, 13, 0).offset[GS_GO_G_GOID], 160);
	assert_int_equal(layout(25, 0, 0).offset[GS_GO_G_GOID], 152);
}

static void offsets_are_inside(void **state)
{
	static const struct {
		enum gs_go_field first, last, size;
	} structs[] = {
		{ GS_GO_G_SIZE, GS_GO_G_CGO_CTXT, GS_GO_G_SIZE },
		{ GS_GO_M_SIZE, GS_GO_M_VDSO_PC, GS_GO_M_SIZE },
		{ GS_GO_P_SIZE, GS_GO_P_GFREE_SIZE, GS_GO_P_SIZE },
		{ GS_GO_SCHED_SIZE, GS_GO_SCHED_GFREE_NOSTACK_SIZE, GS_GO_SCHED_SIZE },
		{ GS_GO_MD_SIZE, GS_GO_MD_NEXT, GS_GO_MD_SIZE },
	};

	for (unsigned int minor = GS_GO_MINOR_FIRST; minor <= GS_GO_MINOR_LAST; minor++)
		for (size_t s = 0; s < sizeof(structs) / sizeof(structs[0]); s++) {
			struct gs_go_layout l = layout(minor, 99, minor == 20);

			for (int f = (int)structs[s].first; f <= (int)structs[s].last; f++) {
				assert_true(l.offset[f] >= GS_GO_NO_FIELD);
				assert_true(l.offset[f] <= l.offset[structs[s].size]);
			}
		}
}

static void wait_reasons(void **state)
{
	struct gs_go_layout l;

	for (unsigned int m = GS_GO_MINOR_FIRST; m <= GS_GO_MINOR_LAST; m++) {
		l = layout(m, 0, m == 20);
		assert_string_equal(l.wait_reasons[0], "");
		assert_string_equal(l.wait_reasons[2], "IO wait");
	}
	l = layout(19, 0, 0);
	assert_int_equal(l.n_wait_reasons, 27);
	assert_string_equal(l.wait_reasons[14], "chan receive");
	assert_string_equal(l.wait_reasons[26], "debug call");
	l = layout(21, 0, 0);
	assert_int_equal(l.n_wait_reasons, 32);
	assert_string_equal(l.wait_reasons[21], "sync.Mutex.Lock");
	l = layout(24, 0, 0);
	assert_int_equal(l.n_wait_reasons, 44);
	assert_string_equal(l.wait_reasons[24], "sync.WaitGroup.Wait");
	l = layout(27, 0, 0);
	assert_int_equal(l.n_wait_reasons, 47);
	assert_string_equal(l.wait_reasons[19], "chan receive");
	assert_string_equal(l.wait_reasons[14], "sleep");
}

static void field_names(void **state)
{
	assert_string_equal(gs_go_field_name(GS_GO_G_GOID), "runtime.g goid");
	assert_string_equal(gs_go_field_name(GS_GO_G_STACK_HI), "runtime.g stack.hi");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_releases),
		cmocka_unit_test(nearest_for_unknown),
		cmocka_unit_test(development_version_is_unknown),
		cmocka_unit_test(unknown_cpu),
		cmocka_unit_test(patch_releases_differ),
		cmocka_unit_test(table_is_of_the_newest_patch),
		cmocka_unit_test(fields_come_and_go),
		cmocka_unit_test(goid_moved),
		cmocka_unit_test(offsets_are_inside),
		cmocka_unit_test(wait_reasons),
		cmocka_unit_test(field_names),
	};

	return gs_test_main(tests);
}
