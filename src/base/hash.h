/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BASE_HASH_H
#define GS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Mixing for our own hash tables. Inputs are foreign, so tables seed it (gs_hash_seed) and bound
 * their probes or sizes; it is no cryptographic hash.
 */
static inline uint64_t gs_hash_u64(uint64_t h, uint64_t v)
{
	__uint128_t m = (__uint128_t)(h ^ v ^ 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/** Hash @n bytes, eight at a time; the last ones are padded with zeros and @n is mixed in. */
static inline uint64_t gs_hash_bytes(uint64_t h, const void *bytes, size_t n)
{
	const uint8_t *p = (const uint8_t *)bytes;
	uint64_t v;

	h = gs_hash_u64(h, n);
	for (; n >= sizeof(v); n -= sizeof(v), p += sizeof(v)) {
		memcpy(&v, p, sizeof(v));
		h = gs_hash_u64(h, v);
	}
	if (n) {
		v = 0;
		memcpy(&v, p, n);
		h = gs_hash_u64(h, v);
	}
	return h;
}

/** A random number, drawn once per process (getrandom). */
uint64_t gs_hash_seed(void);

#endif
