/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Profiles: what is one line, sums, labels, and what happens when there is no more room. */
#include "test.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "model/profile.h"

static const struct gs_frame frame = { .pc = 0x10, .function = "main.f", .file = "" };
static const struct gs_stack stacks[] = {
	{ .id = 0, .n_frames = 1, .frames = &frame },
	{ .id = 1, .n_frames = 1, .frames = &frame },
};

static const struct gs_stack *stack_of(void *ctx, uint32_t id)
{
	unsigned int *asked = ctx;

	++*asked;
	return id <= GS_ARRAY_SIZE(stacks) ? &stacks[id - 1] : NULL;
}

static void add(struct gs_profile *p, struct gs_profile_key k, uint64_t count, int64_t ns)
{
	struct gs_err err;

	gs_assert_ok(gs_profile_add(p, &k, count, ns, &err), &err);
}

static const struct gs_profile_sample *finish(struct gs_profile *p, uint32_t *n)
{
	unsigned int asked = 0;
	struct gs_err err;

	gs_assert_ok(gs_profile_finish(p, stack_of, &asked, &err), &err);
	return gs_profile_samples(p, n);
}

static struct gs_label label(const char *key, const char *value)
{
	return (struct gs_label){ .key = key,
				  .value = value,
				  .key_len = (uint32_t)strlen(key),
				  .value_len = (uint32_t)strlen(value) };
}

static void lines_and_sums(void **state)
{
	GS_CLEANUP(gs_profile_freep) struct gs_profile *p = gs_profile_new(GS_PROFILE_WALL, 0);
	const struct gs_profile_sample *s;
	const struct gs_profile_totals *t;
	uint32_t n;

	add(p, (struct gs_profile_key){ .stack = 1, .class = GS_WHY_MUTEX }, 1, 5);
	add(p, (struct gs_profile_key){ .stack = 1, .class = GS_WHY_CHAN }, 1, 70);
	add(p, (struct gs_profile_key){ .stack = 1, .class = GS_WHY_MUTEX }, 2, 15);
	add(p, (struct gs_profile_key){ .stack = 1, .kernel_stack = 2 }, 3, 70);
	add(p, (struct gs_profile_key){ .start = &frame, .class = GS_WHY_RUNQUEUE_GO }, 1, -9);
	s = finish(p, &n);
	assert_int_equal(n, 4);
	/* Most time first; equal ones in order of appearance. */
	assert_int_equal(s[0].key.class, GS_WHY_CHAN);
	assert_ptr_equal(s[0].stack, &stacks[0]);
	assert_null(s[0].kernel_stack);
	assert_int_equal(s[1].key.class, GS_WHY_CPU_USER);
	assert_ptr_equal(s[1].kernel_stack, &stacks[1]);
	assert_int_equal(s[1].count, 3);
	assert_int_equal(s[2].ns, 20);
	assert_int_equal(s[2].count, 3);
	assert_int_equal(s[3].ns, 0);
	assert_ptr_equal(s[3].key.start, &frame);
	t = gs_profile_totals(p);
	assert_int_equal(t->ns, 160);
	assert_int_equal(t->count, 8);
	assert_int_equal(t->on_cpu_ns, 70);
	assert_int_equal(t->on_cpu_count, 3);
}

static void labels(void **state)
{
	GS_CLEANUP(gs_profile_freep) struct gs_profile *p = gs_profile_new(GS_PROFILE_CPU, 0);
	char changing[] = "/a";
	struct gs_label one[] = { label("route", changing), label("user", "x") };
	struct gs_label split[] = { label("rout", "e/a"), label("user", "x") };
	uint32_t a = gs_profile_labels(p, one, 2), b, n;
	const struct gs_profile_sample *s;

	assert_int_not_equal(a, 0);
	assert_int_equal(gs_profile_labels(p, one, 0), 0);
	assert_int_equal(gs_profile_labels(p, one, 2), a);
	assert_int_not_equal(gs_profile_labels(p, one, 1), a);
	assert_int_not_equal(gs_profile_labels(p, split, 2), a);
	changing[1] = 'b';
	b = gs_profile_labels(p, one, 2);
	assert_int_not_equal(b, a);
	add(p, (struct gs_profile_key){ .stack = 1, .labels = a }, 1, 10);
	s = finish(p, &n);
	assert_int_equal(n, 1);
	assert_int_equal(s[0].n_labels, 2);
	assert_memory_equal(s[0].labels[0].value, "/a", 2); /* as it was */
	assert_int_equal(gs_profile_totals(p)->labels_dropped, 0);
}

/* A server that puts a request's number into a label: bounded, and said. */
static void too_many_labels(void **state)
{
	GS_CLEANUP(gs_profile_freep) struct gs_profile *p = gs_profile_new(GS_PROFILE_CPU, 0);
	uint32_t known = 0;

	for (int i = 0; i < 100000; i++) {
		char text[24];
		struct gs_label l;

		snprintf(text, sizeof(text), "%d", i);
		l = label("request", text);
		known += gs_profile_labels(p, &l, 1) != 0;
	}
	assert_true(known >= 16000);
	assert_int_equal(gs_profile_totals(p)->labels_dropped, 100000 - known);
}

/* Goroutines go first, so that stacks are still told apart; then stacks; never time. */
static void no_more_room(void **state)
{
	GS_CLEANUP(gs_profile_freep) struct gs_profile *p = gs_profile_new(GS_PROFILE_OFF_CPU, 80);
	const struct gs_profile_totals *t = gs_profile_totals(p);
	const struct gs_profile_sample *s;
	uint32_t n, marked = 0, other = 0;
	int64_t sum = 0;

	for (uint32_t i = 0; i < 500; i++)
		add(p,
		    (struct gs_profile_key){
			    .stack = 1 + i % 5, .goid = 1 + i, .class = GS_WHY_SLEEP },
		    1, 10);
	assert_int_equal(t->no_goroutine, 500 - 70);
	assert_int_equal(t->no_stack, 0);
	for (uint32_t i = 0; i < 100; i++)
		add(p, (struct gs_profile_key){ .stack = 100 + i, .class = GS_WHY_MUTEX }, 1, 7);
	assert_int_equal(t->no_stack, 95);
	add(p, (struct gs_profile_key){ .stack = 1, .goid = 1, .class = GS_WHY_SLEEP }, 1, 1);
	s = finish(p, &n);
	assert_int_equal(n, 81);
	for (uint32_t i = 0; i < n; i++) {
		marked += s[i].key.goid != 0;
		sum += s[i].ns;
		if (!s[i].other)
			continue;
		other++;
		assert_int_equal(s[i].key.class, GS_WHY_MUTEX);
		assert_int_equal(s[i].ns, 95 * 7);
		assert_int_equal(s[i].count, 95);
	}
	assert_int_equal(other, 1);
	assert_int_equal(marked, 70);
	assert_int_equal(sum, 500 * 10 + 100 * 7 + 1);
	assert_int_equal(t->ns, sum);
}

static void more_than_fits(void **state)
{
	GS_CLEANUP(gs_profile_freep) struct gs_profile *p = gs_profile_new(GS_PROFILE_CPU, 0);
	const struct gs_profile_key k = { .stack = 1 };

	add(p, k, 1, INT64_MAX - 1);
	add(p, k, 1, 5);
	assert_int_equal(gs_profile_totals(p)->ns, INT64_MAX);
	assert_null(gs_profile_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_and_sums),  cmocka_unit_test(labels),
		cmocka_unit_test(too_many_labels), cmocka_unit_test(no_more_room),
		cmocka_unit_test(more_than_fits),
	};

	return gs_test_main(tests);
}
