/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Reading BPF ring buffers. The kernel offers a ring as
 *
 *   page 0      consumer position: bytes read since the beginning, written by the reader
 *   page 1      producer position: bytes reserved since the beginning
 *   page 2 …    the data, twice in a row, so that a record across the end is in one piece
 *
 * Each record is 8 bytes of header (length, with the top bits BUSY while it is being written and
 * DISCARD if it was given up) and the bytes, rounded up to 8 (kernel/bpf/ringbuf.c, Linux 5.8 to 6.18).
 *
 * libbpf's reader is not used, for three reasons: it maps the data twice, which counts double as memory of
 * gosonde (here only as much of the second copy as the largest record needs); it goes on as long as the
 * programs write, so a busy ring would starve the others (here a pass ends where the ring ended when it
 * began); and it tells the kernel of every record, which moves a cache line back and forth.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe/session_private.h"

/* Largest record, in whole pages of the second copy of the data. */
#define SPILL_BYTES 4096u
_Static_assert(sizeof(struct gs_wire_stack) + BPF_RINGBUF_HDR_SZ <= SPILL_BYTES,
	       "a record may be cut at the end of the ring");

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int gs__ring_map(struct gs__ring *ret, int fd, size_t size)
{
	size_t page = page_bytes();
	size_t spill = page > SPILL_BYTES ? page : SPILL_BYTES;
	void *consumer, *rest;

	if (size < spill || (size & (size - 1)) != 0)
		return -EINVAL;
	consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (consumer == MAP_FAILED)
		return -errno;
	rest = mmap(NULL, page + size + spill, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (rest == MAP_FAILED) {
		int r = -errno;

		munmap(consumer, page);
		return r;
	}
	*ret = (struct gs__ring){
		.consumer_pos = consumer,
		.producer_pos = rest,
		.data = (const uint8_t *)rest + page,
		.size = size,
		.release = size / 16,
		.map = rest,
		.map_bytes = page + size + spill,
	};
	ret->pos = __atomic_load_n(ret->consumer_pos, __ATOMIC_RELAXED);
	return 0;
}

void gs__ring_unmap(struct gs__ring *r)
{
	if (r->map)
		munmap(r->map, r->map_bytes);
	if (r->consumer_pos)
		munmap(r->consumer_pos, page_bytes());
	memset(r, 0, sizeof(*r));
}

int64_t gs__ring_drain(struct gs__ring *r, enum gs_wire_ring which, gs_probe_record_fn *fn,
		       void *ctx)
{
	uint64_t end = __atomic_load_n(r->producer_pos, __ATOMIC_ACQUIRE), told = r->pos;
	int64_t n = 0;

	while (r->pos < end) {
		const uint8_t *at = r->data + (r->pos & (r->size - 1));
		uint32_t word =
			__atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE);
		uint32_t len = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (word & BPF_RINGBUF_BUSY_BIT)
			break;
		if (!(word & BPF_RINGBUF_DISCARD_BIT)) {
			const struct gs_wire_head *h = (const void *)(at + BPF_RINGBUF_HDR_SZ);

			if (gs__record_ok(which, h, len)) {
				fn(ctx, which, h, len);
				n++;
			} else {
				r->rejected++;
			}
		}
		r->pos += (len + BPF_RINGBUF_HDR_SZ + 7) & ~(uint64_t)7;
		if (r->pos - told >= r->release) {
			__atomic_store_n(r->consumer_pos, r->pos, __ATOMIC_RELEASE);
			told = r->pos;
		}
	}
	__atomic_store_n(r->consumer_pos, r->pos, __ATOMIC_RELEASE);
	return n;
}
