/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Which words of a frame hold pointers (cmd/compile/internal/liveness writes it, runtime/stkframe.go reads it).
 *
 *	stack map       n i32, nbit i32, then n bitmaps of (nbit + 7) / 8 bytes: one for each value of
 *	                PCDATA_StackMapIndex. A bit is a word, the lowest first.
 *	stack objects   n u64, then n records of 16 bytes: offset i32 (negative: from the top of the locals, else from
 *	                the arguments), size i32, bytes with pointers i32 (negative: of a type whose
 *	                pointers are described by a program, up to Go 1.23), offset of the pointer mask from
 *	                moduledata.rodata u32
 *
 * A map's bits end where the locals end, and begin where the arguments begin.
 */
#include "golang/pclntab_private.h"

#define MAPS_MAX (1 << 20)
#define BITS_MAX (1 << 24) /* words of a frame: 128 MiB */
#define OBJECTS_MAX (1u << 16)
#define OBJECT_BYTES 16u

int gs_go_stack_map(const struct gs_go_pclntab *t, const struct gs_go_func *f,
		    unsigned int funcdata, int32_t index, struct gs_go_bitmap *ret,
		    struct gs_err *err)
{
	struct gs_cursor c, bits = { 0 };
	uint32_t n, nbit;
	int r = gs_go_funcdata(t, f, funcdata, &c, err);

	*ret = (struct gs_go_bitmap){ 0 };
	if (r != 0)
		return r;
	r = gs_cursor_u32(&c, &n, err);
	if (r == 0)
		r = gs_cursor_u32(&c, &nbit, err);
	if (r < 0)
		return r;
	if (n == 0)
		return 1;
	if (n > MAPS_MAX || nbit > BITS_MAX || index < 0 || (nbit && (uint32_t)index >= n))
		return gs_fail(err, -GS_E_BAD_DATA, f->entry,
			       "%s: stack map %" PRId32 " of %" PRIu32 " with %" PRIu32 " words",
			       t->gofunc.what, index, n, nbit);
	if (nbit == 0)
		return 0;
	r = gs_cursor_skip(&c, (uint64_t)index * ((nbit + 7) / 8), err);
	if (r == 0)
		r = gs_cursor_sub(&c, (nbit + 7) / 8, &bits, err);
	if (r < 0)
		return r;
	*ret = (struct gs_go_bitmap){ .bytes = bits.base, .n_bits = nbit };
	return 0;
}

int gs_go_stack_objects(const struct gs_go_pclntab *t, const struct gs_go_func *f,
			struct gs_cursor *ret, uint32_t *ret_n, struct gs_err *err)
{
	struct gs_cursor c;
	uint64_t n;
	int r = gs_go_funcdata(t, f, GS_GO_FUNCDATA_STACK_OBJECTS, &c, err);

	*ret_n = 0;
	if (r != 0)
		return r;
	r = gs_cursor_u64(&c, &n, err);
	if (r < 0)
		return r;
	if (n > OBJECTS_MAX)
		return gs_fail(err, -GS_E_BAD_DATA, f->entry,
			       "%s: a function with %" PRIu64 " stack objects", t->gofunc.what, n);
	r = gs_cursor_sub(&c, n * OBJECT_BYTES, ret, err);
	if (r == 0)
		*ret_n = (uint32_t)n;
	return r;
}

int gs_go_stack_object(struct gs_cursor *io, struct gs_go_stack_object *ret, struct gs_err *err)
{
	uint32_t word[4];
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < 4; i++)
		r = gs_cursor_u32(io, &word[i], err);
	if (r < 0)
		return r;
	ret->offset = (int32_t)word[0];
	ret->size = word[1];
	ret->program = (int32_t)word[2] < 0;
	ret->ptr_bytes = ret->program ? -word[2] : word[2];
	ret->mask = word[3];
	if (ret->size > (uint64_t)BITS_MAX * 8 || ret->ptr_bytes > ret->size)
		return gs_fail(err, -GS_E_BAD_DATA, gs_cursor_offset(io),
			       "%s: a stack object of %" PRIu32 " bytes, %" PRIu32 " with pointers",
			       io->what, ret->size, ret->ptr_bytes);
	return 0;
}
