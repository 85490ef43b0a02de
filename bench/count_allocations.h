/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BENCH_COUNT_ALLOCATIONS_H
#define GS_BENCH_COUNT_ALLOCATIONS_H

/* For benchmarks that promise to allocate nothing: counts in front of the C library's allocator. Included by one file of
 * a program. */
#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static uint64_t n_allocations;

void *malloc(size_t size)
{
	__atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	__atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	__atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
	return __libc_realloc(p, size);
}

#endif
