/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Code bytes as the GNU assembler writes them, and the references in them. The real oracle is
 * tests/live/globals_matrix.py: the symbols of real builds. */
#include "test.h"

#include "golang/disasm.h"

static struct gs__go_code code;

static void amd64(const void *bytes, size_t n, gs_addr pc)
{
	struct gs_cursor c = gs_cursor_make(bytes, n, "code");

	gs__go_disasm_amd64(&c, pc, &code);
}

static void arm64(const uint32_t *words, size_t n, gs_addr pc)
{
	struct gs_cursor c = gs_cursor_make(words, n, "code");

	gs__go_disasm_arm64(&c, pc, &code);
}

static void expect(unsigned int i, gs_addr target, enum gs__go_access access, unsigned int bytes)
{
	assert_true(i < code.n_refs);
	assert_int_equal(code.refs[i].target, target);
	assert_int_equal(code.refs[i].access, access);
	assert_int_equal(code.refs[i].bytes, bytes);
}

static void amd64_forms(void **state)
{
	static const uint8_t in[] = {
		0x48, 0x8b, 0x05, 0x10, 0x00, 0x00, 0x00,       /* mov 0x10(%rip),%rax */
		0x48, 0x8d, 0x0d, 0xf0, 0xff, 0xff, 0xff,       /* lea -0x10(%rip),%rcx */
		0x48, 0x89, 0x15, 0x00, 0x01, 0x00, 0x00,       /* mov %rdx,0x100(%rip) */
		0x83, 0x3d, 0x00, 0x02, 0x00, 0x00, 0x05,       /* cmpl $5,0x200(%rip) */
		0x0f, 0xb6, 0x05, 0x03, 0x00, 0x00, 0x00,       /* movzbl 3(%rip),%eax */
		0xf0, 0x48, 0x0f, 0xc1, 0x05, 8,    0,    0, 0, /* lock xadd %rax,8(%rip) */
		0xff, 0x15, 0x10, 0x00, 0x00, 0x00,             /* call *0x10(%rip) */
		0xff, 0x25, 0x10, 0x00, 0x00, 0x00,             /* jmp *0x10(%rip) */
		0xe8, 0x10, 0x00, 0x00, 0x00,                   /* call . */
		0x3c, 0x2f,                                     /* cmp $0x2f,%al */
		0xc5, 0xfe, 0x6f, 0x05, 0x20, 0,    0,    0,    /* vmovdqu 0x20(%rip),%ymm0 */
		0x48, 0x8b, 0x44, 0x24, 0x08,                   /* mov 8(%rsp),%rax */
		0xc3,                                           /* ret */
	};

	amd64(in, sizeof(in), 0x1000);
	assert_int_equal(code.n_refs, 7);
	expect(0, 0x1007 + 0x10, GS__GO_LOAD, 8);
	expect(1, 0x100e - 0x10, GS__GO_ADDRESS, 0);
	expect(2, 0x1015 + 0x100, GS__GO_STORE, 8);
	expect(3, 0x101c + 0x200, GS__GO_LOAD, 4);
	expect(4, 0x1023 + 3, GS__GO_LOAD, 1);
	expect(5, 0x102c + 8, GS__GO_STORE, 8);
	expect(6, 0x103f + 8 + 0x20, GS__GO_LOAD, 32);
	assert_int_equal(code.refs[1].pc, 0x1007);
	assert_int_equal(code.n_compares, 2);
	assert_int_equal(code.compares[0], 5);
	assert_int_equal(code.compares[1], 0x2f);
}

static void amd64_stops(void **state)
{
	static const uint8_t in[] = {
		0x48, 0x8b, 0x05, 0x10, 0, 0, 0, /* mov 0x10(%rip),%rax */
		0x06,                            /* no instruction in 64-bit mode */
		0x48, 0x8b, 0x05, 0x10, 0, 0, 0,
	};

	amd64(in, sizeof(in), 0);
	assert_int_equal(code.n_refs, 1);
	amd64(in, 6, 0); /* cut in the middle */
	assert_int_equal(code.n_refs, 0);
	amd64(in, 0, 0);
	assert_int_equal(code.n_refs, 0);
	/* the address space wraps around, nothing else */
	amd64(in, 7, UINT64_MAX - 6);
	expect(0, 0x10, GS__GO_LOAD, 8);
}

static void amd64_full(void **state)
{
	static uint8_t in[7 * 200];

	for (size_t i = 0; i < sizeof(in); i += 7)
		memcpy(in + i, "\x48\x8b\x05\x00\x00\x00\x00", 7);
	amd64(in, sizeof(in), 0);
	assert_int_equal(code.n_refs, GS__GO_MAX_REFS);
	expect(GS__GO_MAX_REFS - 1, 7 * GS__GO_MAX_REFS, GS__GO_LOAD, 8);
}

static void arm64_pairs(void **state)
{
	static const uint32_t in[] = {
		0xb0000000, /* adrp x0, page + 0x1000 */
		0x91040000, /* add  x0, x0, #0x100 */
		0xd0ffffbb, /* adrp x27, page - 0xa000 */
		0xf9400b61, /* ldr  x1, [x27, #16] */
		0xb900277f, /* str  wzr, [x27, #36] */
		0x39400f62, /* ldrb w2, [x27, #3] */
		0xa9412364, /* ldp  x4, x8, [x27, #16] */
		0xa93fa364, /* stp  x4, x8, [x27, #-8] */
		0xb9800b69, /* ldrsw x9, [x27, #8] */
		0x3dc00760, /* ldr  q0, [x27, #16] */
		0xfd000b60, /* str  d0, [x27, #16] */
		0x7100bc1f, /* cmp  w0, #47 */
		0xf1400c1f, /* cmp  x0, #3, lsl #12 */
	};
	const gs_addr page = 0x40000, back = page - 0xa000;

	arm64(in, sizeof(in), 0x40010);
	assert_int_equal(code.n_refs, 9);
	expect(0, page + 0x1100, GS__GO_ADDRESS, 0);
	expect(1, back + 16, GS__GO_LOAD, 8);
	expect(2, back + 36, GS__GO_STORE, 4);
	expect(3, back + 3, GS__GO_LOAD, 1);
	expect(4, back + 16, GS__GO_LOAD, 16);
	expect(5, back - 8, GS__GO_STORE, 16);
	expect(6, back + 8, GS__GO_LOAD, 4);
	expect(7, back + 16, GS__GO_LOAD, 16);
	expect(8, back + 16, GS__GO_STORE, 8);
	assert_int_equal(code.refs[0].pc, 0x40014);
	assert_int_equal(code.n_compares, 2);
	assert_int_equal(code.compares[0], 47);
	assert_int_equal(code.compares[1], 0x3000);
}

static void arm64_forgets(void **state)
{
	static const uint32_t overwritten[] = {
		0xb0000000, /* adrp x0, … */
		0xaa0103e0, /* mov  x0, x1 */
		0xf9400400, /* ldr  x0, [x0, #8] */
	};
	static const uint32_t loaded[] = {
		0xb0000000, /* adrp x0, … */
		0xf9400400, /* ldr  x0, [x0, #8] */
		0xf9400400, /* ldr  x0, [x0, #8]: not the page any more */
	};
	static const uint32_t kept[] = {
		0xb0000000, /* adrp x0, … */
		0x94000010, /* bl   . + 0x40 */
		0xf8216840, /* str  x0, [x2, x1] */
		0xa9017c40, /* stp  x0, xzr, [x2, #16] */
		0xf9400400, /* ldr  x0, [x0, #8] */
	};

	arm64(overwritten, sizeof(overwritten), 0);
	assert_int_equal(code.n_refs, 0);
	arm64(loaded, sizeof(loaded), 0);
	assert_int_equal(code.n_refs, 1);
	arm64(kept, sizeof(kept), 0);
	assert_int_equal(code.n_refs, 1);
	expect(0, 0x1008, GS__GO_LOAD, 8);
}

static void arm64_adr(void **state)
{
	static const uint32_t in[] = {
		0x10000080, /* adr x0, . + 16 */
		0x10ffffe1, /* adr x1, . - 4 */
		0x30000002, /* adr x2, . + 1 */
	};

	arm64(in, sizeof(in), 0x1000);
	assert_int_equal(code.n_refs, 3);
	expect(0, 0x1010, GS__GO_ADDRESS, 0);
	expect(1, 0x1000, GS__GO_ADDRESS, 0);
	expect(2, 0x1009, GS__GO_ADDRESS, 0);
	arm64(in, 3, 0x1000); /* less than an instruction */
	assert_int_equal(code.n_refs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amd64_forms),   cmocka_unit_test(amd64_stops),
		cmocka_unit_test(amd64_full),    cmocka_unit_test(arm64_pairs),
		cmocka_unit_test(arm64_forgets), cmocka_unit_test(arm64_adr),
	};

	return gs_test_main(tests);
}
