/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_HEAP_WORLD_H
#define GS_TESTS_HEAP_WORLD_H

/* A page heap made by hand, for marking: what the marker asks of it, without a runtime. */
#include "analysis/heap_mark.h"
#include "golang/layout.h"
#include "target/fake.h"
#include "test.h"

#define BASE 0xc000000000ull    /* where an arena begins */
#define INFOS 0x7f0000000000ull /* heapArena structures, INFO_BYTES each */
#define INFO_BYTES (4ull << 20)
#define N_ARENAS 4
#define MAX_SPANS 64

struct gs_rt_heap {
	struct gs_rt_span span[MAX_SPANS];
	uint32_t n, slots;
	struct gs_go_layout layout;
};

struct world {
	struct gs_target *target;
	struct gs_rt_heap heap;
	struct gs_heap_mark *mark;
	struct gs_err err;
	uint64_t random;
};

/** Of Go 1.25; use_release() for others. */
int begin(void **state);
int end(void **state);
#define case_of(f) cmocka_unit_test_setup_teardown(f, begin, end)

void use_release(struct world *w, unsigned int minor);
/** A span of zeros behind the last one, with as many slots as fit. */
struct gs_rt_span *add_span(struct world *w, uint32_t n_pages, uint64_t elem_size, uint8_t flags);
/** The same from @start on. */
struct gs_rt_span *add_span_at(struct world *w, gs_addr start, uint32_t n_pages, uint64_t elem_size,
			       uint8_t flags);
void put(struct world *w, gs_addr at, uint64_t value);
void put_bytes(struct world *w, gs_addr at, const void *bytes, size_t n);
gs_addr object(const struct gs_rt_span *s, uint32_t i);
void make(struct world *w);
void root(struct world *w, gs_addr value);
struct gs_heap_mark_stats drain(struct world *w);
uint64_t draw(struct world *w, uint64_t below);

#endif
