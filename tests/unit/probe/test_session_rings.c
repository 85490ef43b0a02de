/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The ring reader on rings made by hand, in the layout of kernel/bpf/ringbuf.c, and the checks of records.
 */
#include <linux/bpf.h>
#include <stdlib.h>

#include "probe/session_private.h"
#include "test.h"

#define SIZE 4096u
#define SPILL 4096u

struct world {
	uint64_t consumer, producer;
	uint8_t data[SIZE + SPILL];
	struct gs__ring ring;
	uint64_t seen[256]; /* goid of each record handed out */
	uint32_t n;
	size_t last_size;
	bool feed; /* the callback writes one more */
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->ring = (struct gs__ring){ .consumer_pos = &w->consumer,
				     .producer_pos = &w->producer,
				     .data = w->data,
				     .size = SIZE,
				     .release = SIZE / 16 };
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* Bytes at a position of the ring, as the double mapping shows them. */
static void poke(struct world *w, uint64_t pos, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = (pos + i) & (SIZE - 1);

		w->data[at] = ((const uint8_t *)bytes)[i];
		w->data[at + SIZE] = w->data[at];
	}
}

/* Write a record of @size bytes (its head says @says) with @bits in the ring's header. @return its position. */
static uint64_t put(struct world *w, uint64_t goid, size_t size, size_t says, uint32_t bits)
{
	struct gs_wire_go_park r = {
		.h = { .goid = goid, .kind = GS_WIRE_GO_PARK, .size = (uint16_t)says }
	};
	uint32_t header[2] = { (uint32_t)size | bits, 0 };
	uint64_t pos = w->producer;

	poke(w, pos, header, sizeof(header));
	poke(w, pos + 8, &r, size < sizeof(r) ? size : sizeof(r));
	w->producer += (size + 8 + 7) & ~7ULL;
	return pos;
}

#define SHORT offsetof(struct gs_wire_go_park, file)

static void on_record(void *ctx, enum gs_wire_ring ring, const struct gs_wire_head *h, size_t size)
{
	struct world *w = ctx;

	assert_int_equal(ring, GS_WIRE_RING_GO);
	w->seen[w->n++] = h->goid;
	w->last_size = size;
	if (w->feed)
		put(w, 1000 + w->n, SHORT, SHORT, 0);
}

static int64_t drain(struct world *w)
{
	return gs__ring_drain(&w->ring, GS_WIRE_RING_GO, on_record, w);
}

static void test_in_order(void **state)
{
	struct world *w = *state;

	assert_false(gs__ring_waiting(&w->ring));
	assert_int_equal(drain(w), 0);
	for (uint64_t i = 1; i <= 5; i++)
		put(w, i, SHORT, SHORT, 0);
	assert_true(gs__ring_waiting(&w->ring));
	assert_int_equal(drain(w), 5);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(w->seen[i], i + 1);
	assert_int_equal(w->consumer, w->producer);
	assert_int_equal(w->last_size, SHORT);
	assert_int_equal(drain(w), 0);
}

static void test_busy_and_discarded(void **state)
{
	struct world *w = *state;
	uint32_t done[2] = { SHORT, 0 };
	uint64_t busy;

	put(w, 1, SHORT, SHORT, 0);
	put(w, 2, SHORT, SHORT, BPF_RINGBUF_DISCARD_BIT);
	busy = put(w, 3, SHORT, SHORT, BPF_RINGBUF_BUSY_BIT);
	put(w, 4, SHORT, SHORT, 0);
	assert_int_equal(drain(w), 1);
	assert_int_equal(w->seen[0], 1);
	assert_int_equal(w->consumer, busy);
	assert_true(gs__ring_waiting(&w->ring)); // somebody must look again without being woken
	poke(w, busy, done, sizeof(done));
	assert_int_equal(drain(w), 2);
	assert_int_equal(w->seen[1], 3);
	assert_int_equal(w->seen[2], 4);
	assert_int_equal(w->ring.rejected, 0);
}

/* Records of all sizes come over the end of the ring in one piece, many times round. */
static void test_across_the_end(void **state)
{
	struct world *w = *state;
	uint64_t next = 1;

	for (int round = 0; round < 400; round++) {
		uint32_t n = 1 + (uint32_t)round % 7;

		w->n = 0;
		for (uint32_t i = 0; i < n; i++) {
			bool full = (next + i) % 3 == 0;
			size_t size = full ? sizeof(struct gs_wire_go_park) : SHORT;

			put(w, next + i, size, size, 0);
		}
		assert_int_equal(drain(w), n);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(w->seen[i], next + i);
		next += n;
	}
	assert_true(w->producer > 20 * SIZE);
	assert_int_equal(w->ring.rejected, 0);
}

/* A pass ends where the ring ended when it began, however fast it fills. */
static void test_a_pass_ends(void **state)
{
	struct world *w = *state;

	put(w, 1, SHORT, SHORT, 0);
	put(w, 2, SHORT, SHORT, 0);
	w->feed = true;
	assert_int_equal(drain(w), 2);
	w->feed = false;
	assert_int_equal(drain(w), 2);
	assert_int_equal(w->seen[2], 1001);
}

/* The kernel gets room back while a long pass is under way. */
static uint64_t consumer_at_last;

static void watch_consumer(void *ctx, enum gs_wire_ring ring, const struct gs_wire_head *h,
			   size_t size)
{
	consumer_at_last = ((struct world *)ctx)->consumer;
}

static void test_room_comes_back(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 30; i++)
		put(w, 1, SHORT, SHORT, 0);
	gs__ring_drain(&w->ring, GS_WIRE_RING_GO, watch_consumer, w);
	assert_true(w->producer - consumer_at_last <= SIZE / 16 + 2 * (SHORT + 8));
}

static void test_foreign_records_are_counted(void **state)
{
	struct world *w = *state;

	put(w, 1, SHORT, SHORT + 8, 0); // says more than there is
	put(w, 2, SHORT - 8, SHORT - 8, 0);
	put(w, 3, 16, 16, 0); // not even a head
	put(w, 4, SHORT, SHORT, 0);
	assert_int_equal(drain(w), 1);
	assert_int_equal(w->seen[0], 4);
	assert_int_equal(w->ring.rejected, 3);
}

union any {
	struct gs_wire_head h;
	struct gs_wire_go_park park;
	struct gs_wire_call call;
	struct gs_wire_off_cpu off;
	struct gs_wire_stack stack;
	uint8_t bytes[1024];
};

static bool ok(enum gs_wire_ring ring, union any *a, uint8_t kind, size_t size)
{
	a->h.kind = kind;
	a->h.size = (uint16_t)size;
	return gs__record_ok(ring, &a->h, size);
}

static void test_records(void **state)
{
	union any a = { 0 };

	assert_true(ok(GS_WIRE_RING_GO, &a, GS_WIRE_GO_RUN, sizeof(struct gs_wire_go_run)));
	assert_false(ok(GS_WIRE_RING_KERNEL, &a, GS_WIRE_GO_RUN, sizeof(struct gs_wire_go_run)));
	assert_false(ok(GS_WIRE_RING_GO, &a, GS_WIRE_GO_RUN, sizeof(struct gs_wire_go_run) - 1));
	assert_false(ok(GS_WIRE_RING_GO, &a, 0, 64));
	assert_false(ok(GS_WIRE_RING_GO, &a, 20, 512));
	assert_false(ok(GS_WIRE_RING_GO, &a, 255, 512));

	assert_true(ok(GS_WIRE_RING_GO, &a, GS_WIRE_GO_PARK, SHORT));
	a.park.has_file = 1;
	assert_false(ok(GS_WIRE_RING_GO, &a, GS_WIRE_GO_PARK, SHORT));
	assert_true(ok(GS_WIRE_RING_GO, &a, GS_WIRE_GO_PARK, sizeof(a.park)));

	memset(&a, 0, sizeof(a));
	a.off.has_file = 1;
	assert_false(ok(GS_WIRE_RING_KERNEL, &a, GS_WIRE_OFF_CPU,
			offsetof(struct gs_wire_off_cpu, file)));
	assert_true(ok(GS_WIRE_RING_KERNEL, &a, GS_WIRE_OFF_CPU, sizeof(a.off)));

	memset(&a, 0, sizeof(a));
	a.call.call = GS_WIRE_CALL_FUNCTION;
	assert_true(
		ok(GS_WIRE_RING_GO, &a, GS_WIRE_CALL_END, offsetof(struct gs_wire_call, method)));
	a.call.function = GS_PLAN_FUNCTIONS_MAX;
	assert_false(
		ok(GS_WIRE_RING_GO, &a, GS_WIRE_CALL_END, offsetof(struct gs_wire_call, method)));
	a.call.call = GS_WIRE_CALL_HTTP1;
	assert_false(
		ok(GS_WIRE_RING_GO, &a, GS_WIRE_CALL_END, offsetof(struct gs_wire_call, method)));
	assert_true(ok(GS_WIRE_RING_GO, &a, GS_WIRE_CALL_END, sizeof(a.call)));
	a.call.path_len = GS_WIRE_TEXT_MAX + 1;
	assert_false(ok(GS_WIRE_RING_GO, &a, GS_WIRE_CALL_END, sizeof(a.call)));
	a.call.path_len = 0;
	a.call.method_len = 17;
	assert_false(ok(GS_WIRE_RING_GO, &a, GS_WIRE_CALL_BEGIN, sizeof(a.call)));

	memset(&a, 0, sizeof(a));
	a.stack.n = 2;
	assert_true(
		ok(GS_WIRE_RING_STACK, &a, GS_WIRE_STACK, offsetof(struct gs_wire_stack, pc) + 16));
	assert_false(
		ok(GS_WIRE_RING_STACK, &a, GS_WIRE_STACK, offsetof(struct gs_wire_stack, pc) + 8));
	a.stack.n = GS_WIRE_STACK_MAX + 1;
	assert_false(ok(GS_WIRE_RING_STACK, &a, GS_WIRE_STACK, sizeof(a)));
}

/* Whatever the bytes are, the checks stay inside of them (run under the address sanitizer). */
static void test_noise(void **state)
{
	uint64_t x = 88172645463325252ULL;

	for (int i = 0; i < 200000; i++) {
		size_t size = (size_t)(i % 600);
		uint8_t *p = malloc(size ? size : 1);

		for (size_t k = 0; k < size; k += 8) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			memcpy(p + k, &x, size - k < 8 ? size - k : 8);
		}
		if (size >= sizeof(struct gs_wire_head)) {
			struct gs_wire_head *h = (void *)p;

			h->kind = (uint8_t)(x % 70);
			h->size = (uint16_t)size;
		}
		gs__record_ok((enum gs_wire_ring)(x % 3), (void *)p, size);
		free(p);
	}
}

static void test_programs_have_names(void **state)
{
	for (unsigned int i = 0; i < GS__PROGS; i++) {
		assert_non_null(gs__program_name(i));
		assert_int_equal(gs__program_by_name(gs__program_name(i)), i);
		assert_true(gs__program_unit(i) <= i);
	}
	assert_int_equal(gs__program_by_name("gs_none"), GS__PROGS);
	assert_int_equal(gs__program_unit(GS_PROG_FAULT_END), GS_PROG_FAULT_BEGIN);
	assert_int_equal(gs__program_unit(GS__PROG_FAULT_MAJOR), GS_PROG_FAULT_BEGIN);
}

#define RING_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(test_in_order),
		RING_TEST(test_busy_and_discarded),
		RING_TEST(test_across_the_end),
		RING_TEST(test_a_pass_ends),
		RING_TEST(test_room_comes_back),
		RING_TEST(test_foreign_records_are_counted),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_programs_have_names),
	};

	return gs_test_main(tests);
}
