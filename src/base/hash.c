/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The process-wide seed of our hash tables; see hash.h. */
#include "base/hash.h"

#include <stdatomic.h>
#include <sys/random.h>
#include <time.h>

uint64_t gs_hash_seed(void)
{
	static _Atomic uint64_t seed;
	uint64_t v = atomic_load_explicit(&seed, memory_order_relaxed), none = 0;

	if (v)
		return v;
	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != (ssize_t)sizeof(v)) {
		struct timespec ts;

		clock_gettime(CLOCK_MONOTONIC, &ts);
		v = gs_hash_u64((uint64_t)ts.tv_nsec, (uint64_t)(uintptr_t)&ts);
	}
	v |= 1;
	return atomic_compare_exchange_strong(&seed, &none, v) ? v : none;
}
