/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Is it a record? The programs are ours, so one that is not means that the two halves were built apart; it is
 * counted and skipped rather than believed. Checked is what readers index and copy by: the kind, sizes, counts.
 */
#include "base/cleanup.h"
#include "probe/session_private.h"

static bool park_ok(const void *p, size_t size)
{
	const struct gs_wire_go_park *r = p;

	return !r->has_file || size >= sizeof(*r);
}

static bool off_cpu_ok(const void *p, size_t size)
{
	const struct gs_wire_off_cpu *r = p;

	return !r->has_file || size >= sizeof(*r);
}

static bool call_ok(const void *p, size_t size)
{
	const struct gs_wire_call *r = p;

	if (r->call == GS_WIRE_CALL_FUNCTION)
		return r->function < GS_PLAN_FUNCTIONS_MAX;
	return size >= sizeof(*r) && r->method_len <= sizeof(r->method) &&
	       r->path_len <= sizeof(r->path) && r->pattern_len <= sizeof(r->pattern) &&
	       r->peer_len <= sizeof(r->peer);
}

static bool dlopen_ok(const void *p, size_t size)
{
	const struct gs_wire_dlopen *r = p;

	(void)size;
	return r->path_len < sizeof(r->path);
}

static bool stack_ok(const void *p, size_t size)
{
	const struct gs_wire_stack *r = p;

	return r->n <= GS_WIRE_STACK_MAX &&
	       size >= offsetof(struct gs_wire_stack, pc) + 8 * (size_t)r->n;
}

static const struct kind {
	uint16_t min; /* bytes; 0: no such kind */
	uint8_t ring;
	bool (*ok)(const void *p, size_t size);
} kinds[] = {
	[GS_WIRE_GO_CREATE] = { sizeof(struct gs_wire_go_create), GS_WIRE_RING_GO },
	[GS_WIRE_GO_READY] = { sizeof(struct gs_wire_go_ready), GS_WIRE_RING_GO },
	[GS_WIRE_GO_RUN] = { sizeof(struct gs_wire_go_run), GS_WIRE_RING_GO },
	[GS_WIRE_GO_PARK] = { offsetof(struct gs_wire_go_park, file), GS_WIRE_RING_GO, park_ok },
	[GS_WIRE_GO_YIELD] = { sizeof(struct gs_wire_go_yield), GS_WIRE_RING_GO },
	[GS_WIRE_GO_EXIT] = { sizeof(struct gs_wire_go_exit), GS_WIRE_RING_GO },
	[GS_WIRE_CALL_BEGIN] = { offsetof(struct gs_wire_call, method), GS_WIRE_RING_GO, call_ok },
	[GS_WIRE_CALL_END] = { offsetof(struct gs_wire_call, method), GS_WIRE_RING_GO, call_ok },
	[GS_WIRE_RUNTIME] = { sizeof(struct gs_wire_runtime), GS_WIRE_RING_GO },
	[GS_WIRE_OFF_CPU] = { offsetof(struct gs_wire_off_cpu, file), GS_WIRE_RING_KERNEL,
			      off_cpu_ok },
	[GS_WIRE_SAMPLE] = { sizeof(struct gs_wire_sample), GS_WIRE_RING_KERNEL },
	[GS_WIRE_MAP] = { sizeof(struct gs_wire_map), GS_WIRE_RING_KERNEL },
	[GS_WIRE_PROCESS] = { sizeof(struct gs_wire_process), GS_WIRE_RING_KERNEL },
	[GS_WIRE_FAULT] = { sizeof(struct gs_wire_fault), GS_WIRE_RING_KERNEL },
	[GS_WIRE_DLOPEN] = { sizeof(struct gs_wire_dlopen), GS_WIRE_RING_KERNEL, dlopen_ok },
	[GS_WIRE_STACK] = { offsetof(struct gs_wire_stack, pc), GS_WIRE_RING_STACK, stack_ok },
};

bool gs__record_ok(enum gs_wire_ring ring, const struct gs_wire_head *h, size_t size)
{
	const struct kind *k;

	if (size < sizeof(*h) || h->size > size || h->kind >= GS_ARRAY_SIZE(kinds))
		return false;
	k = &kinds[h->kind];
	if (k->min == 0 || k->ring != ring || h->size < k->min)
		return false;
	return !k->ok || k->ok(h, h->size);
}
