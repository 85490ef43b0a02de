/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_HEAP_BITS_PRIVATE_H
#define GS_RUNTIME_RT_HEAP_BITS_PRIVATE_H

/* What rt_heap_bits.c and rt_type_bits.c share. */
#include "base/arena.h"
#include "golang/layout.h"
#include "runtime/rt_heap_bits.h"

#define GS__BITS_MEMORY (22u << 20) /* of types */
#define GS__BITS_MAX_TYPES (1u << 16)

struct gs_rt_type_bits {
	gs_addr type;
	bool known;
	uint64_t size, pointers; /* bytes of an element; its words up to the last pointer */
	gs_addr mask;            /* in the target; 0: @bits were made */
	const uint64_t *
		bits; /* for an element and 64 words of the next; NULL: too many to keep, read at @mask */
};

struct gs_rt_heap_bits {
	const struct gs_rt_heap *h;
	const struct gs_memory *mem;
	const struct gs_go_layout *layout;
	uint32_t unit; /* bytes of an arena's bitmap for 64 words; 0: arenas have none */

	struct gs_arena *memory;
	struct gs_rt_type_bits **slot; /* hash of types */
	uint32_t n_slots, n_types;
	const struct gs_rt_type_bits *last; /* asked for, as most are the same */
	uint64_t work;                      /* fields looked at to make bits */
};

/** Clear the bits behind the first @n. */
static inline void gs__bits_end(uint64_t *bits, uint32_t n)
{
	if (n % 64)
		bits[n / 64] &= (1ull << n % 64) - 1;
}

#endif
