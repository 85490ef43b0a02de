/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Who made memory grow, and who gave it back: hand-made events in, growers out. */
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

/* At the first look 40 MB to 56 MB were resident; at the second the last 4 MB of that still are. */
#define OLD 0x2800000u
#define OLD_STAYS 0x3400000u
#define OLD_END 0x3800000u

static uint64_t gone(void *ctx, gs_addr start, gs_addr end, bool all)
{
	gs_addr stop = all ? OLD_END : OLD_STAYS;

	(void)ctx;
	start = start > OLD ? start : OLD;
	end = end < stop ? end : stop;
	return end > start ? end - start : 0;
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
	const struct gs_memory_view view = {
		.class_at = class_at, .class_before = class_at, .resident = resident, .gone = gone
	};
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
	assert_int_equal(a.n, 2);
	assert_int_equal(a.v[0].bytes, 8192);
	assert_null(a.v[0].stack);
	assert_string_equal(a.v[1].what, "munmap"); /* what was there before */
	assert_int_equal(a.v[1].bytes, -(int64_t)(0x1000000 + 8000 * 0x1000 - OLD));
	assert_int_equal(a.incomplete.n, 0);
	done(&a);
	free(e);
}

/* The grower with this innermost function; NULL. */
static const struct gs_mem_grower *by(const struct answer *a, const char *function)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->v[i].stack && strcmp(a->v[i].stack->frames[0].function, function) == 0)
			return &a->v[i];
	return NULL;
}

#define BYTES_BY(a, function, n)                                                                   \
	do {                                                                                       \
		assert_non_null(by(a, function));                                                  \
		assert_int_equal(by(a, function)->bytes, n);                                       \
	} while (0)

/* munmap of the middle of a mapping, and of the end of one with the begin of the next. */
static void unmapped_in_parts(void **state)
{
	struct answer a;

	(void)state;
	ask(&a,
	    event_script("1ms map syscall=9 arg1=0x100000 result=0x1000000 stack=load\n"
			 "2ms map syscall=11 arg0=0x1040000 arg1=0x40000 result=0 stack=trim\n"
			 "3ms map syscall=9 arg1=0x100000 result=0x1200000 stack=a\n"
			 "4ms map syscall=9 arg1=0x100000 result=0x1300000 stack=b\n"
			 "5ms map syscall=11 arg0=0x1280000 arg1=0xc0000 result=0 stack=trim\n"));
	assert_int_equal(a.n, 3);
	BYTES_BY(&a, "load", 0xc0000);
	assert_int_equal(by(&a, "load")->count, 1);
	BYTES_BY(&a, "a", 0x80000);
	BYTES_BY(&a, "b", 0xc0000);
	done(&a);
}

/* What was there before: advice over several mappings, of which only part was resident; then a part of that unmapped. */
static void given_back(void **state)
{
	struct answer a;

	(void)state;
	ask(&a,
	    event_script("1ms map 5 syscall=28 arg0=0x2000000 arg1=0x2800000 arg2=4 result=0 "
			 "stack=drop\n"
			 "2ms map 6 syscall=11 arg0=0x2c00000 arg1=0x400000 result=0 stack=unmap\n"
			 "3ms map 6 syscall=28 arg0=0x2800000 arg1=0x1000 arg2=4 result=-22 "
			 "stack=refused\n"));
	assert_int_equal(a.n, 2);
	BYTES_BY(&a, "drop", -0x800000);
	assert_string_equal(by(&a, "drop")->what, "madvise");
	assert_string_equal(by(&a, "drop")->detail, "MADV_DONTNEED");
	assert_int_equal(by(&a, "drop")->class, GS_MEM_ANONYMOUS);
	assert_int_equal(by(&a, "drop")->asked_bytes, 0x2800000);
	assert_int_equal(by(&a, "drop")->goid, 5);
	BYTES_BY(&a, "unmap", -0x400000);
	assert_string_equal(by(&a, "unmap")->what, "munmap");
	assert_int_equal(by(&a, "unmap")->goid, 6);
	done(&a);
}

/* In place: the end is new, or gone. Moved: the sum of both places. Mapped over: the same. */
static void remapped(void **state)
{
	struct answer a;

	(void)state;
	ask(&a,
	    event_script("1ms map syscall=9 arg1=0x1000 result=0x1800000 stack=load\n"
			 "2ms map syscall=25 arg0=0x1800000 arg1=0x1000 arg2=0x3000 "
			 "result=0x1800000 stack=grow\n"
			 "3ms map syscall=25 arg0=0x2800000 arg1=0x400000 arg2=0x100000 "
			 "result=0x2800000 stack=shrink\n"
			 "4ms map syscall=25 arg0=0x2c00000 arg1=0x100000 arg2=0x200000 "
			 "result=0x1c00000 stack=move\n"
			 "5ms map syscall=9 arg1=0x100000 arg3=0x32 result=0x3400000 stack=over\n"
			 "6ms map syscall=12 arg0=0 result=0x3100000 stack=brk\n"
			 "7ms map syscall=12 arg0=0 result=0x3000000 stack=brk\n"));
	BYTES_BY(&a, "load", 0x1000);
	BYTES_BY(&a, "grow", 0x2000);
	BYTES_BY(&a, "shrink", -0x300000);
	BYTES_BY(&a, "move", 0x100000);
	BYTES_BY(&a, "over", 0);
	BYTES_BY(&a, "brk", -0x100000);
	assert_int_equal(a.n, 6);
	done(&a);
}

/* Of the Go heap: one class for what was given back, the runtime's function, and on whose behalf. */
static void by_the_runtime(void **state)
{
	struct answer a;

	(void)state;
	ask(&a,
	    event_script(
		    "1ms map 4 syscall=28 arg0=0x4000000 arg1=0x2000 arg2=8 result=0 "
		    "stack=runtime.madvise<runtime.sysUnusedOS<runtime.sysUnused<runtime."
		    "bgscavenge\n"
		    "2ms map 5 syscall=9 arg1=0x400000 arg3=0x32 result=0x4400000 "
		    "stack=runtime.mmap<runtime.sysMapOS<runtime.sysMap<runtime.(*mheap).grow<main."
		    "load\n"
		    "3ms map 5 syscall=9 arg1=0x4000000 result=0x90000000 "
		    "stack=runtime.sysMmap<runtime.sysReserve<runtime.(*mheap).sysAlloc<main.load\n"
		    "4ms map 5 syscall=28 arg0=0x1000000 arg1=0x2000 arg2=14 result=0 "
		    "stack=main.advise\n"));
	assert_int_equal(a.n, 4);
	BYTES_BY(&a, "runtime.mmap", 0x400000);
	assert_string_equal(by(&a, "runtime.mmap")->runtime, "runtime.sysMap");
	BYTES_BY(&a, "runtime.madvise", 0);
	assert_int_equal(by(&a, "runtime.madvise")->class, GS_MEM_HEAP_LAZY);
	assert_string_equal(by(&a, "runtime.madvise")->runtime, "runtime.sysUnused");
	assert_string_equal(by(&a, "runtime.madvise")->cause, "the background scavenger");
	BYTES_BY(&a, "runtime.sysMmap", 0);
	assert_string_equal(by(&a, "runtime.sysMmap")->runtime, "runtime.sysReserve");
	assert_int_equal(by(&a, "runtime.sysMmap")->class, GS_MEM_HEAP_RESERVED);
	BYTES_BY(&a, "main.advise", 0);
	assert_string_equal(by(&a, "main.advise")->detail, "MADV_HUGEPAGE");
	assert_null(by(&a, "main.advise")->runtime);
	done(&a);
}

/* Files, and memory in their place, until the thread is back in Go; the same thread's and goroutine's only. */
static void loading(void **state)
{
	struct answer a;

	(void)state;
	ask(&a, event_script("1ms dlopen 7 tid=5 path=/x/libz.so stack=c:dlopen<main.open\n"
			     "2ms map 7 tid=5 syscall=9 arg1=0x4000 arg3=2 arg4=3 result=0x1100000 "
			     "stack=c:mmap<main.open\n"
			     "3ms map 7 tid=5 syscall=9 arg1=0x1000 arg3=0x12 arg4=3 "
			     "result=0x1102000 stack=c:mmap<main.open\n"
			     "4ms map 8 tid=6 syscall=9 arg1=0x1000 arg3=2 arg4=3 result=0x1200000 "
			     "stack=c:mmap6<main.other\n"
			     "5ms map 7 tid=5 syscall=9 arg1=0x1000 arg3=0x22 "
			     "arg4=0xffffffffffffffff result=0x1300000 "
			     "stack=c:malloc<main.open\n"
			     "6ms map 7 tid=5 syscall=9 arg1=0x1000 arg3=2 arg4=3 result=0x1400000 "
			     "stack=main.file\n"
			     "7ms map 7 tid=5 syscall=9 arg1=0x1000 arg3=2 arg4=3 result=0x1500000 "
			     "stack=c:mmap7<main.open\n"));
	BYTES_BY(&a, "dlopen", 0x4000);
	assert_string_equal(by(&a, "dlopen")->what, "dlopen");
	assert_string_equal(by(&a, "dlopen")->detail, "/x/libz.so");
	assert_int_equal(by(&a, "dlopen")->asked_bytes, 0x4000);
	BYTES_BY(&a, "mmap6", 0x1000);
	BYTES_BY(&a, "malloc", 0x1000);
	BYTES_BY(&a, "main.file", 0x1000);
	BYTES_BY(&a, "mmap7", 0x1000);
	assert_int_equal(a.n, 5);
	done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mappings),       cmocka_unit_test(what_is_left),
		cmocka_unit_test(only_resident),  cmocka_unit_test(page_faults),
		cmocka_unit_test(churn),          cmocka_unit_test(unmapped_in_parts),
		cmocka_unit_test(given_back),     cmocka_unit_test(remapped),
		cmocka_unit_test(by_the_runtime), cmocka_unit_test(loading),
	};

	return gs_test_main(tests);
}
