/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Records of two rings by time: disorder, the watermark, what comes late, gaps in numbers, limits of memory. */
#include "test.h"

#include <stdlib.h>

#include "stream/stream_private.h"

static struct gs__order order;

static int setup(void **state)
{
	struct gs_err err;

	return gs__order_init(&order, 4, 8 << 20, &err);
}

static int teardown(void **state)
{
	gs__order_deinit(&order);
	return 0;
}

static void add(enum gs_wire_ring ring, uint64_t ts, uint16_t cpu, uint32_t seq)
{
	struct gs_wire_go_run w = { .h = { .ts_ns = ts,
					   .size = sizeof(w),
					   .kind = GS_WIRE_GO_RUN,
					   .cpu = cpu,
					   .seq = seq,
					   .goid = ts * 3 },
				    .p = (int32_t)ts };

	gs__order_add(&order, ring, &w.h, sizeof(w));
}

static void expect(uint64_t ts)
{
	const struct gs_wire_head *h = gs__order_take(&order);

	assert_non_null(h);
	assert_int_equal(h->ts_ns, ts);
	assert_int_equal(h->goid, ts * 3); /* the record itself moved with its time */
}

static void merge_and_watermark(void **state)
{
	add(GS_WIRE_RING_GO, 10, 0, 0);
	add(GS_WIRE_RING_GO, 30, 0, 1);
	add(GS_WIRE_RING_GO, 20, 1, 0);
	add(GS_WIRE_RING_KERNEL, 25, 0, 0);
	add(GS_WIRE_RING_KERNEL, 5, 1, 0);
	assert_int_equal(gs__order_first_ns(&order), 5);
	assert_null(gs__order_take(&order)); /* nothing is released */
	assert_int_equal(gs__order_next_ns(&order), UINT64_MAX);
	gs__order_release(&order, 25);
	expect(5);
	expect(10);
	assert_int_equal(gs__order_next_ns(&order), 20);
	expect(20);
	assert_null(gs__order_take(&order)); /* 25 is not older than 25 */
	gs__order_compact(&order);
	gs__order_release(&order, 20); /* never back */
	gs__order_release(&order, 100);
	expect(25);
	expect(30);
	assert_null(gs__order_take(&order));
	assert_int_equal(order.late, 0);
}

static void late_ones(void **state)
{
	add(GS_WIRE_RING_GO, 100, 0, 0);
	gs__order_release(&order, 200);
	expect(100);
	add(GS_WIRE_RING_KERNEL, 40, 0, 0);
	add(GS_WIRE_RING_GO, 150, 0, 1);
	expect(40);
	assert_int_equal(order.last_ns, 100); /* what is handed out does not go back */
	assert_int_equal(order.late, 1);
	assert_int_equal(order.most_late_ns, 60);
	expect(150);
}

static uint64_t taken_gap(void)
{
	assert_non_null(gs__order_take(&order));
	return order.gap;
}

static void gaps(void **state)
{
	gs__order_release(&order, UINT64_MAX);
	add(GS_WIRE_RING_GO, 1, 0, 0);
	add(GS_WIRE_RING_GO, 2, 0, 2); /* 1 comes later: no loss */
	add(GS_WIRE_RING_GO, 3, 0, 1);
	add(GS_WIRE_RING_GO, 4, 0, 3);
	for (int i = 0; i < 4; i++)
		assert_int_equal(taken_gap(), 0);
	add(GS_WIRE_RING_GO, 5, 0, 1003); /* 999 are gone; those among the last 63 may still come */
	assert_int_equal(taken_gap(), 999 - 63);
	for (uint32_t i = 0; i < 63; i++) {
		add(GS_WIRE_RING_GO, 6 + i, 0, 1004 + i);
		assert_int_equal(taken_gap(), 1);
	}
	add(GS_WIRE_RING_GO, 100, 0, 1067);
	assert_int_equal(taken_gap(), 0);
	add(GS_WIRE_RING_KERNEL, 101, 0, 0); /* each ring and CPU has numbers of its own */
	add(GS_WIRE_RING_GO, 102, 3, 0);
	add(GS_WIRE_RING_GO, 103, 4000, 77); /* a CPU that did not exist at the start */
	for (int i = 0; i < 3; i++)
		assert_int_equal(taken_gap(), 0);
}

static void limit(void **state)
{
	gs__order_deinit(&order);
	assert_int_equal(gs__order_init(&order, 1, 300 << 10, NULL), 0);
	for (uint32_t i = 0; i < 20000; i++)
		add(GS_WIRE_RING_GO, i + 1, 0, i);
	assert_in_range(order.dropped, 1, 19999);
	gs__order_release(&order, UINT64_MAX);
	uint64_t n = 0, lost = 0;

	while (gs__order_take(&order)) {
		n++;
		lost += order.gap;
	}
	assert_int_equal(n + order.dropped, 20000);
	gs__order_compact(&order);
	add(GS_WIRE_RING_GO, 30000, 0, 30000); /* the next one shows the loss */
	assert_non_null(gs__order_take(&order));
	assert_true(order.gap >= order.dropped);
	assert_int_equal(lost, 0);
}

/* Records in nearly the order of their times, released now and then: all come out, sorted. */
static void shuffled(void **state)
{
	enum { N = 200000, JITTER = 500 };
	uint64_t last = 0, taken = 0, released = 0;
	uint32_t seq[2][4] = { 0 };

	srand(1);
	for (uint64_t i = 1; i <= N; i++) {
		int lane = rand() & 1, cpu = rand() & 3;
		uint64_t ts = i * 10 + (uint64_t)(rand() % JITTER);

		add(lane ? GS_WIRE_RING_KERNEL : GS_WIRE_RING_GO, ts, (uint16_t)cpu,
		    seq[lane][cpu]++);
		if (i % 777)
			continue;
		gs__order_compact(&order);
		released = i * 10;
		gs__order_release(&order, released);
		for (const struct gs_wire_head *h; (h = gs__order_take(&order)); taken++) {
			assert_in_range(h->ts_ns, last, released - 1);
			assert_int_equal(h->goid, h->ts_ns * 3);
			assert_int_equal(order.gap, 0);
			last = h->ts_ns;
		}
	}
	gs__order_release(&order, UINT64_MAX);
	while (gs__order_take(&order))
		taken++;
	assert_int_equal(taken, N);
	assert_int_equal(order.late, 0);
	assert_int_equal(order.dropped, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(merge_and_watermark), T(late_ones), T(gaps), T(limit),
					    T(shuffled) };

	return gs_test_main(tests);
}
