/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Any bytes as the part of a program that holds type descriptors, and repeated everywhere else: every word of it is tried as a
 * descriptor and as an itab, and what is one is read in full. What is believed has to make sense.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "golang/types.h"

enum { TYPES = 0x100000, MAX_TRIES = 512, MAX_LEN = 1 << 16, MAX_SIZE = 1 << 20 };

struct memory {
	const uint8_t *bytes;
	size_t size;
};

static int readv_bytes(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct memory *m = ctx;

	(void)err;
	for (size_t i = 0; i < n; i++) {
		uint8_t *to = reads[i].buf;

		if (reads[i].len > MAX_LEN)
			abort();
		reads[i].result = reads[i].addr < 4096 || reads[i].addr >> 47 ? -GS_E_FAULT : 0;
		for (size_t k = 0; k < reads[i].len && reads[i].result == 0; k++)
			to[k] = m->bytes[(reads[i].addr + k) % m->size];
	}
	return 0;
}

static void check(const struct gs_go_type *t)
{
	if (t->ptr_bytes > t->size || !t->name || t->kind < GS_GO_KIND_BOOL ||
	    t->kind > GS_GO_KIND_UNSAFE_POINTER)
		abort();
	if (!t->complete)
		return;
	for (uint32_t i = 0; i < t->n_fields; i++) {
		const struct gs_go_type_field *f = &t->fields[i];

		if (!f->name || f->offset > t->size ||
		    (f->type && f->type->size > t->size - f->offset))
			abort();
	}
	if (t->kind == GS_GO_KIND_ARRAY && t->elem->size && t->length != t->size / t->elem->size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory m = { .bytes = data, .size = size };
	const struct gs_memory mem = { .readv = readv_bytes, .ctx = &m };
	const struct gs_go_types_range range = { TYPES, TYPES + size };
	struct gs_go_types *types;
	struct gs_go_layout l;
	struct gs_err err;

	if (size == 0 || size > MAX_SIZE ||
	    gs_go_layout_table(19 + data[0] % 9, GS_ARCH_AMD64, &l, &err) < 0 ||
	    gs_go_types_new(&mem, &l, &range, 1, &types, &err) < 0)
		return 0;
	for (gs_addr at = 0; at < size && at < MAX_TRIES * 8; at += 8) {
		const struct gs_go_type *t = gs_go_type_at(types, TYPES + at);

		if (t) {
			gs_go_type_complete(types, t);
			check(t);
		}
		t = gs_go_type_at(types, 0x40000000 + at);
		if (t && gs_go_type_complete(types, t))
			check(t);
		t = gs_go_itab_type(types, TYPES + at, NULL);
		if (t)
			check(t);
	}
	gs_go_types_free(types);
	return 0;
}
