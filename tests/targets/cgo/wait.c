/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#include "_cgo_export.h"

void wait_in_c(void)
{
	for (;;)
		pause();
}

static void *thread(void *which)
{
	goFromThread((int)(intptr_t)which);
	return NULL;
}

static void start(void *(*run)(void *), void *argument)
{
	pthread_t id;

	if (pthread_create(&id, NULL, run, argument) == 0)
		pthread_detach(id);
}

void call_go_from_thread(int which)
{
	start(thread, (void *)(intptr_t)which);
}

void call_go(int depth)
{
	goFromC(depth);
}

static void *silent(void *unused)
{
	(void)unused;
	wait_in_c();
	return NULL;
}

void start_silent_thread(void)
{
	start(silent, NULL);
}
