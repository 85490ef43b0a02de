/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Arena: a list of blocks, each twice as large as the one before up to 1 MiB. See arena.h. */
#include "base/arena.h"

#include <string.h>

#define ALIGN 16u
#define BLOCK_MIN 4096u
#define BLOCK_MAX (1u << 20)

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(ALIGN) unsigned char bytes[];
};

struct gs_arena {
	struct block *head;
	size_t used, limit, next_size;
};

struct gs_arena *gs_arena_new(size_t limit_bytes)
{
	struct gs_arena *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->limit = limit_bytes ? limit_bytes : (size_t)1 << 30;
	a->next_size = BLOCK_MIN;
	return a;
}

struct gs_arena *gs_arena_free(struct gs_arena *a)
{
	if (!a)
		return NULL;
	for (struct block *b = a->head; b;) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
	free(a);
	return NULL;
}

static struct block *add_block(struct gs_arena *a, size_t size)
{
	size_t room = size > a->next_size ? size : a->next_size;
	struct block *b = calloc(1, sizeof(*b) + room);

	if (!b)
		return NULL;
	if (a->next_size < BLOCK_MAX)
		a->next_size *= 2;
	b->size = room;
	b->next = a->head;
	a->head = b;
	return b;
}

void *gs_arena_alloc(struct gs_arena *a, size_t size)
{
	struct block *b = a->head;
	void *p;

	if (size > a->limit)
		return NULL;
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (size > a->limit - a->used)
		return NULL;
	if (!b || b->size - b->used < size)
		b = add_block(a, size);
	if (!b)
		return NULL;
	p = b->bytes + b->used;
	b->used += size;
	a->used += size;
	return p;
}

void *gs_arena_array(struct gs_arena *a, size_t n, size_t size)
{
	size_t total;

	return __builtin_mul_overflow(n, size, &total) ? NULL : gs_arena_alloc(a, total);
}

char *gs_arena_strndup(struct gs_arena *a, const char *s, size_t n)
{
	char *p = n < SIZE_MAX ? gs_arena_alloc(a, n + 1) : NULL;

	if (p && n)
		memcpy(p, s, n);
	return p;
}

size_t gs_arena_used(const struct gs_arena *a)
{
	return a->used;
}

void *gs_array_new(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

void *gs_array_resize(void *p, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return realloc(p, total ? total : 1);
}
