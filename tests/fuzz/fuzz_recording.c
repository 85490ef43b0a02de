/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Any bytes as a recording. First byte even: the rest is the file. Odd: the rest are the items of one block, which is
 * compressed and framed here, so that mutations get past the checksum. What a consumer is promised about events is
 * checked: ranges of enumerations and times, strings and stacks that can be read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "fuzz.h"
#include "stream/recording.h"
#include "stream/stream.h"

enum { MAX_BYTES = 1 << 20 };

static volatile uint64_t sink;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void touch(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sink += (uint8_t)s[i];
}

static void touch_stack(struct gs_event_source *s, uint32_t id)
{
	const struct gs_stack *st = s->stack(s, id);

	for (uint32_t i = 0; st && i < st->n_frames; i++) {
		touch(st->frames[i].function, strlen(st->frames[i].function));
		touch(st->frames[i].file, strlen(st->frames[i].file));
	}
}

static void touch_frame(const struct gs_frame *f)
{
	if (f)
		touch(f->function, strlen(f->function) + strlen(f->file) * 0);
}

static void touch_event(struct gs_event_source *s, const struct gs_event *e)
{
	const struct gs_label *l;

	must(e->kind > 0 && e->kind < GS_EV_KIND_COUNT);
	must(e->t_ns >= 0 && e->usage.kernel_ns >= 0 && e->usage.cgo_ns >= 0);
	touch_stack(s, e->stack);
	touch_stack(s, e->kernel_stack);
	sink += s->labels(s, e->goid, &l);
	switch (e->kind) {
	case GS_EV_GO_STATE:
		must(e->state.state < GS_G_STATE_COUNT && e->state.wait < GS_WAIT_COUNT &&
		     e->state.since_ns >= 0);
		touch_frame(e->state.created_by);
		touch_frame(e->state.start);
		break;
	case GS_EV_GO_CREATE:
		touch_frame(e->create.created_by);
		touch_frame(e->create.start);
		break;
	case GS_EV_GO_PARK:
		must(e->park.wait < GS_WAIT_COUNT);
		if (e->park.reason)
			touch(e->park.reason, strlen(e->park.reason));
		touch(e->park.file.name, strlen(e->park.file.name));
		sink += s->object_name(s, e->park.object) != NULL;
		sink += s->lock_name(s, e->park.object, s->stack(s, e->stack)) != NULL;
		break;
	case GS_EV_CALL_BEGIN:
	case GS_EV_CALL_END:
		must(e->call.call <= GS_CALL_FUNCTION);
		must(e->call.call != GS_CALL_FUNCTION || e->call.function < s->n_functions);
		touch(e->call.method, e->call.method_len);
		touch(e->call.path, e->call.path_len);
		touch(e->call.pattern, e->call.pattern_len);
		touch(e->call.peer, e->call.peer_len);
		break;
	case GS_EV_OFF_CPU:
		must(e->off_cpu.off_ns >= 0 && e->off_cpu.wake_ns >= 0);
		touch(e->off_cpu.file.name, strlen(e->off_cpu.file.name));
		break;
	case GS_EV_RUNTIME:
		must(e->runtime.what <= GS_RUNTIME_ASSIST_END);
		break;
	case GS_EV_PROCESS:
		must(e->process.what <= GS_PROCESS_EXIT);
		touch(e->process.comm, strlen(e->process.comm));
		break;
	default:
		break;
	}
}

static void put(int fd, const void *p, size_t n)
{
	must(write(fd, p, n) == (ssize_t)n);
}

static void put_block(int fd, const uint8_t *items, size_t n)
{
	uint32_t head[4] = { GS__REC_BLOCK_MAGIC, 0, (uint32_t)n, 0 };
	size_t cap = ZSTD_compressBound(n);
	GS_CLEANUP(gs_freep) void *packed = malloc(cap);
	size_t len = ZSTD_compress(packed, cap, items, n, 1);

	must(!ZSTD_isError(len));
	head[1] = (uint32_t)len;
	put(fd, GS__REC_MAGIC "\x01\0\0\0\0\0", GS__REC_HEAD);
	put(fd, head, sizeof(head));
	put(fd, packed, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	GS_CLEANUP(gs_closep) int fd = memfd_create("recording", MFD_CLOEXEC);
	struct gs_event_source *s;
	const struct gs_event *e;
	struct gs_err err;
	char path[64];
	size_t n;

	if (size < 2 || size > MAX_BYTES || fd < 0)
		return 0;
	if (data[0] & 1)
		put_block(fd, data + 1, size - 1);
	else
		put(fd, data + 1, size - 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (gs_stream_replay_open(path, &s, &err) < 0)
		return 0;
	while (s->next(s, 0, &e, &n, &err) == 0)
		for (size_t i = 0; i < n; i++)
			touch_event(s, &e[i]);
	const struct gs_stream_stats *st = s->stats(s);

	must(st->n_probes <= GS_PROBES_MAX && st->incomplete.n <= GS_INCOMPLETE_MAX);
	for (uint32_t i = 0; i < st->n_probes; i++)
		touch(st->probe[i].name, strlen(st->probe[i].name));
	s->free(s);
	return 0;
}
