// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sem_t planted;
static int arena_bytes, stack_bytes;
static void *volatile sink;

static void blocks(long bytes, size_t each)
{
	for (; bytes > 0; bytes -= (long)each) {
		char *p = malloc(each);

		memset(p, 1, each);
		sink = p;
	}
}

void plant_heap(int mb)
{
	blocks((long)mb << 20, 4096);
}

void plant_large(int mb)
{
	blocks((long)mb << 20, 1 << 20);
}

static int use_stack(int bytes)
{
	volatile char page[4096];

	memset((void *)page, 1, sizeof(page));
	if (bytes > 0)
		return use_stack(bytes - 4096) + page[7];
	return page[0];
}

static void *thread(void *arg)
{
	blocks(arena_bytes, 4096);
	use_stack(stack_bytes);
	sem_post(&planted);
	for (;;)
		pause();
	return arg;
}

void plant_threads(int n, int arena_mb, int stack_kb)
{
	sem_init(&planted, 0, 0);
	arena_bytes = arena_mb << 20;
	stack_bytes = stack_kb << 10;
	for (int i = 0; i < n; i++) {
		pthread_t id;

		if (pthread_create(&id, NULL, thread, NULL) != 0)
			abort();
		sem_wait(&planted);
	}
}
