/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A producer of records for bench/stream_ring.c: each system call of the producing thread is a record, written
 * with what the programs of the stream lens are made of, wake-ups included. Every fourth one is a park, the others
 * are short.
 */
#include "stream_common.bpf.h"

SEC("raw_tp/sys_enter")
int gs_produce(void *ctx)
{
	uint64_t id = bpf_get_current_pid_tgid();
	uint32_t zero = 0, seq, size = sizeof(struct gs_wire_go_run);
	struct gs_hit h = { .tid = (uint32_t)id };
	struct gs_wire_go_park *rec;
	uint8_t kind = GS_WIRE_GO_RUN;

	if ((uint32_t)id != gs_config.tgid) // here: the thread
		return 0;
	h.c = bpf_map_lookup_elem(&counters, &zero);
	if (!h.c)
		return 0;
	h.now = bpf_ktime_get_ns();
	if (!(h.c->produced[GS_WIRE_RING_GO] & 3)) {
		rec = gs_reserve(&h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
		kind = GS_WIRE_GO_PARK;
		size = sizeof(*rec);
	} else {
		rec = gs_reserve(&h, &ring_go, GS_WIRE_RING_GO, sizeof(struct gs_wire_go_run));
	}
	if (!rec)
		return 0;
	if (kind == GS_WIRE_GO_PARK) {
		__builtin_memset(&rec->usage, 0, sizeof(*rec) - sizeof(rec->h));
	} else {
		((struct gs_wire_go_run *)rec)->p = 1;
		((struct gs_wire_go_run *)rec)->pad = 0;
	}
	seq = gs_sequence(&h, GS_WIRE_RING_GO);
	gs_head_fill(&h, &rec->h, kind, (uint16_t)size, seq, seq, 0);
	bpf_ringbuf_submit(rec, gs_wake(&ring_go, GS_WIRE_RING_GO, seq));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
