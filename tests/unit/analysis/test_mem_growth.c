/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Who made memory grow: hand-made events in, growers out. */
#include "test.h"

#include <stdlib.h>

#include "analysis/mem_growth.h"
#include "base/arena.h"
#include "event_script.h"

/* Pages from 16 MB on are anonymous, from 64 MB on the Go heap, from 1 GB on nothing. */
static enum gs_mem_class_id class_at(void *ctx, gs_addr addr, gs_addr *ret_end)
{
	(void)ctx;
	if (addr < 16u << 20) {
		*ret_end = 16u << 20;
		return GS_MEM_CLASS_COUNT;
	}
	if (addr < 64u << 20) {
		*ret_end = 64u << 20;
		return GS_MEM_ANONYMOUS;
	}
	*ret_end = addr < 1u << 30 ? 1u << 30 : UINT64_MAX;
	return addr < 1u << 30 ? GS_MEM_HEAP_LIVE : GS_MEM_CLASS_COUNT;
}

/* Of the last page before 33 MB nothing is resident. */
static uint64_t resident(void *ctx, gs_addr start, gs_addr end)
{
	(void)ctx;
	return start < 0x2100000 && end == 0x2100000 ? end - start - 4096 : end - start;
}

struct answer {
	struct gs_event_source *source;
	struct gs_memory_growth *growth;
	const struct gs_mem_grower *v;
	uint32_t n;
	struct gs_incomplete_list incomplete;
};

static void ask(struct answer *a, struct gs_event_source *source)
{
	const struct gs_memory_view view = { .class_at = class_at, .resident = resident };
	const struct gs_event *e;
	struct gs_err err;
	size_t n;

	*a = (struct answer){ .source = source };
	assert_int_equal(gs_memory_growth_new(source, &a->growth, &err), 0);
	while (source->next(source, 0, &e, &n, &err) == 0)
		assert_int_equal(gs_memory_growth_add(a->growth, e, n, &err), 0);
	assert_int_equal(gs__memory_growers(a->growth, &view, &a->v, &a->n, &a->incomplete, &err),
			 0);
}

static void done(struct answer *a)
{
	gs_memory_growth_free(a->growth);
	a->source->free(a->source);
}

/* 0x1000000: 16 MB, 0x2000000: 32 MB, 0x4000000: 64 MB. */
static void mappings(void **state)
{
	struct answer a;

	(void)state;
	ask(&a,
	    event_script(
		    "1ms map 7 syscall=9 arg1=0x100000 result=0x1000000 stack=unix.Mmap<main.load\n"
		    "2ms map 7 syscall=9 arg1=0x100000 result=0x1100000 stack=unix.Mmap<main.load\n"
		    "3ms map 8 syscall=9 arg1=0x80001 result=0x2000000 stack=unix.Mmap<main.other\n"
		    "4ms map 9 syscall=9 arg1=0x100000 result=0x1200000 "
		    "stack=unix.Mmap<main.brief\n"
		    "5ms map 9 syscall=11 arg0=0x1200000 arg1=0x100000 result=0 stack=unix.Munmap\n"
		    "6ms map 9 syscall=9 arg1=0x100000 result=-12 stack=unix.Mmap<main.refused\n"));
	assert_int_equal(a.n, 2);
	assert_string_equal(a.v[0].stack->frames[1].function, "main.load");
	assert_int_equal(a.v[0].bytes, 0x200000);
	assert_int_equal(a.v[0].count, 2);
	assert_int_equal(a.v[0].goid, 7);
	assert_int_equal(a.v[0].class, GS_MEM_ANONYMOUS);
	assert_int_equal(a.v[0].how, GS_MEM_READ);
	assert_string_equal(a.v[1].stack->frames[1].function, "main.other");
	assert_int_equal(a.v[1].bytes, 0x81000); /* whole pages */
	done(&a);
}

/* A mapping over two classes, one that is not mapped at the end, a moved one, the C heap. */
static void what_is_left(void **state)
{
	struct answer a;

	(void)state;
	ask(&a, event_script("1ms map syscall=9 arg1=0x2000000 result=0x3000000 stack=a\n"
			     "2ms map syscall=9 arg1=0x1000 result=0x1000 stack=b\n"
			     "3ms map syscall=9 arg1=0x1000 result=0x1800000 stack=c\n"
			     "4ms map syscall=25 arg0=0x1800000 arg1=0x1000 arg2=0x3000 "
			     "result=0x1900000 stack=d\n"
			     "5ms map syscall=12 arg0=0 result=0x1a00000 stack=e\n"
			     "6ms map syscall=12 arg0=0x1a21000 result=0x1a21000 stack=e\n"));
	assert_int_equal(a.n, 4);
	assert_string_equal(a.v[0].stack->frames[0].function, "a");
	assert_int_equal(a.v[0].bytes + a.v[1].bytes, 0x2000000);
	assert_int_equal(a.v[0].class + a.v[1].class, GS_MEM_ANONYMOUS + GS_MEM_HEAP_LIVE);
	assert_string_equal(a.v[2].stack->frames[0].function, "e");
	assert_int_equal(a.v[2].bytes, 0x21000);
	assert_string_equal(a.v[3].stack->frames[0].function, "d");
	assert_int_equal(a.v[3].bytes, 0x3000);
	done(&a);
}

/* The stack of a new thread: eight megabytes of address space, two pages of memory. */
static void only_resident(void **state)
{
	struct answer a;

	(void)state;
	ask(&a,
	    event_script("1ms map syscall=9 arg1=0x2000 result=0x20fe000 stack=pthread_create\n"
			 "2ms map syscall=9 arg1=0x1000 result=0x20fd000 stack=pthread_create\n"));
	assert_int_equal(a.n, 1);
	assert_int_equal(a.v[0].bytes, 0x2000);
	assert_int_equal(a.v[0].count, 2);
	assert_int_equal(a.v[0].how, GS_MEM_DERIVED);
	done(&a);
}

static void page_faults(void **state)
{
	struct answer a;

	(void)state;
	ask(&a, event_script("1ms page_fault 5 addr=0x4000000 period=32 stack=main.fill\n"
			     "2ms page_fault 5 addr=0x4100000 period=32 stack=main.fill\n"
			     "3ms page_fault 6 addr=0x20000000 period=32 stack=main.fill\n"
			     "4ms page_fault 6 addr=0x1000000 period=32 stack=main.fill\n"
			     "5ms page_fault 6 addr=0x90000000 period=32 stack=main.gone\n"));
	assert_int_equal(a.n, 2);
	assert_int_equal(a.v[0].class, GS_MEM_HEAP_LIVE);
	assert_int_equal(a.v[0].bytes, 3 * 32 * 4096);
	assert_int_equal(a.v[0].count, 3 * 32);
	assert_int_equal(a.v[0].how, GS_MEM_ESTIMATED);
	assert_string_equal(a.v[0].what, "page faults");
	assert_int_equal(a.v[1].class, GS_MEM_ANONYMOUS);
	done(&a);
}

/* A program that maps and unmaps all the time stays within bounds and loses nothing. */
static void churn(void **state)
{
	enum { N = 400000 };
	struct gs_event *e = gs_array_new(2 * N + 1, sizeof(*e));
	struct gs_event_source *source;
	struct answer a;

	(void)state;
	assert_non_null(e);
	for (size_t i = 0; i < N; i++) {
		gs_addr at = 0x1000000 + i % 8000 * 0x1000 + (i / 8000) * 0x40000000;

		e[2 * i] = (struct gs_event){
			.kind = GS_EV_MAP,
			.map = { .syscall = 9, .arg = { 0, 4096 }, .result = (int64_t)at }
		};
		e[2 * i + 1] = (struct gs_event){ .kind = GS_EV_MAP,
						  .map = { .syscall = 11, .arg = { at, 4096 } } };
	}
	e[2 * (size_t)N] = (struct gs_event){
		.kind = GS_EV_MAP, .map = { .syscall = 9, .arg = { 0, 8192 }, .result = 0x1000000 }
	};
	source = event_script_array(e, 2 * (size_t)N + 1);
	event_script_batch(source, 1000);
	ask(&a, source);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.v[0].bytes, 8192);
	assert_null(a.v[0].stack);
	assert_int_equal(a.incomplete.n, 0);
	done(&a);
	free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mappings),      cmocka_unit_test(what_is_left),
		cmocka_unit_test(only_resident), cmocka_unit_test(page_faults),
		cmocka_unit_test(churn),
	};

	return gs_test_main(tests);
}
