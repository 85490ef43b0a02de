/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BASE_ARENA_H
#define GS_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/*
 * Bump allocator: a parsed thing lives in one arena, and freeing the arena frees all of it. Memory
 * comes zeroed and 16-byte aligned. Pointers stay valid until the arena is freed.
 */
struct gs_arena;

/** A new arena that refuses to grow beyond @limit_bytes (0: 1 GiB). NULL when out of memory. */
struct gs_arena *gs_arena_new(size_t limit_bytes);
struct gs_arena *gs_arena_free(struct gs_arena *a);
GS_DEFINE_CLEANUP(struct gs_arena *, gs_arena_free)

/** @size zeroed bytes, or NULL when the limit or memory is exhausted. */
void *gs_arena_alloc(struct gs_arena *a, size_t size);
/** @n elements of @size bytes; NULL also when the product overflows. */
void *gs_arena_array(struct gs_arena *a, size_t n, size_t size);
/** A NUL-terminated copy of @n bytes. */
char *gs_arena_strndup(struct gs_arena *a, const char *s, size_t n);
/** Bytes handed out so far. */
size_t gs_arena_used(const struct gs_arena *a);

/** calloc that takes its arguments in the order of a declaration; NULL on overflow. */
void *gs_array_new(size_t n, size_t size);
/** realloc for @n elements of @size bytes; NULL on overflow, the old block stays valid then. */
void *gs_array_resize(void *p, size_t n, size_t size);

#endif
