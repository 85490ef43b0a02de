/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Prologues and ends as Go and hostile files write them; code bytes as the GNU assembler makes them. The
 * oracle for real programs is tests/live/test_probe_plan.py: go tool objdump. */
#include "test.h"

#include "golang/code_sites.h"

enum { PC = 0x401000 };

static struct gs_err err;
static struct gs_go_site site, ends[8];
static size_t n_ends;

static int begin_of(enum gs_arch arch, const void *bytes, size_t n)
{
	struct gs_cursor c = gs_cursor_make(bytes, n, "code");

	memset(&site, 0, sizeof(site));
	return gs_go_site_begin(arch, &c, PC, &site, &err);
}

static int ends_of(enum gs_arch arch, const void *bytes, size_t n, size_t max)
{
	struct gs_cursor c = gs_cursor_make(bytes, n, "code");

	n_ends = 99;
	return gs_go_sites_end(arch, &c, PC, ends, max, &n_ends, &err);
}

static void expect(enum gs_go_site_kind kind, gs_addr at, unsigned int length, bool emulated,
		   bool repeats)
{
	assert_int_equal(site.kind, kind);
	assert_int_equal(site.pc, PC + at);
	assert_int_equal(site.length, length);
	assert_int_equal(site.emulated, emulated);
	assert_int_equal(site.repeats, repeats);
}

#define AMD64(...)                                                                                 \
	do {                                                                                       \
		static const uint8_t code_[] = { __VA_ARGS__ };                                    \
		gs_assert_ok(begin_of(GS_ARCH_AMD64, code_, sizeof(code_)), &err);                 \
	} while (0)

#define CMP_RSP 0x49, 0x3b, 0x66, 0x10 /* cmp 0x10(%r14),%rsp */
#define CMP_RSP_SYSTEM 0x49, 0x3b, 0x66, 0x18
#define LEA_R12 0x4c, 0x8d, 0x64, 0x24, 0xd8 /* lea -0x28(%rsp),%r12 */
#define CMP_R12 0x4d, 0x3b, 0x66, 0x10       /* cmp 0x10(%r14),%r12 */
#define FRAME 0x55, 0x48, 0x89, 0xe5         /* push %rbp; mov %rsp,%rbp */
#define PAD 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc

static void amd64_push(void **state)
{
	(void)state;
	AMD64(CMP_RSP, 0x76, 0x08, FRAME, PAD); /* jbe */
	expect(GS_GO_SITE_PUSH, 6, 1, true, false);
	AMD64(CMP_RSP_SYSTEM, 0x76, 0x08, FRAME, PAD);
	expect(GS_GO_SITE_PUSH, 6, 1, true, false);
	AMD64(CMP_RSP, 0x0f, 0x86, 0x08, 0, 0, 0, FRAME, PAD); /* jbe, long */
	expect(GS_GO_SITE_PUSH, 10, 1, true, false);
	AMD64(LEA_R12, CMP_R12, 0x76, 0x08, FRAME, PAD);
	expect(GS_GO_SITE_PUSH, 11, 1, true, false);
	AMD64(0x4c, 0x8d, 0xa4, 0x24, 0xc0, 0xfe, 0xff, 0xff,     /* lea -0x140(%rsp),%r12 */
	      0x0f, 0x1f, 0x00, CMP_R12, 0x76, 0x08, FRAME, PAD); /* nopl (%rax) */
	expect(GS_GO_SITE_PUSH, 17, 1, true, false);
	/* A frame so large that the limit may underflow. */
	AMD64(0x49, 0x89, 0xe4,                         /* mov %rsp,%r12 */
	      0x49, 0x81, 0xec, 0x80, 0x00, 0x01, 0x00, /* sub $0x10080,%r12 */
	      0x72, 0x0e, CMP_R12, 0x76, 0x08,          /* jb; cmp; jbe */
	      FRAME, PAD);
	expect(GS_GO_SITE_PUSH, 18, 1, true, false);
	/* Nosplit: the push is the first instruction. */
	AMD64(FRAME, PAD);
	expect(GS_GO_SITE_PUSH, 0, 1, true, false);
	/* Assembly of the stack ABI: g from thread-local storage, here in static and shared code. */
	AMD64(0x64, 0x4c, 0x8b, 0x34, 0x25, 0xf8, 0xff, 0xff, 0xff, CMP_RSP, 0x76, 0x08, FRAME,
	      PAD);
	expect(GS_GO_SITE_PUSH, 15, 1, true, false);
	AMD64(0x49, 0xc7, 0xc6, 0xf8, 0xff, 0xff, 0xff, 0x64, 0x4d, 0x8b, 0x36, CMP_RSP, 0x76, 0x08,
	      FRAME, PAD);
	expect(GS_GO_SITE_PUSH, 17, 1, true, false);
}

static void amd64_branch(void **state)
{
	(void)state;
	/* Go 1.19 and 1.20: the frame is made without a push. */
	AMD64(CMP_RSP, 0x76, 0x0a, 0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x6c, 0x24, 0x10, PAD);
	expect(GS_GO_SITE_BRANCH, 4, 2, true, true);
	assert_int_equal(site.target, PC + 6 + 0x0a);
	AMD64(CMP_RSP, 0x0f, 0x86, 0x0a, 0, 0, 0, 0x48, 0x83, 0xec, 0x18, PAD);
	expect(GS_GO_SITE_BRANCH, 4, 6, true, true);
	/* Something that may change an argument stands between the check and a push. */
	AMD64(CMP_RSP, 0x76, 0x08, 0x48, 0x31, 0xc0, FRAME, PAD); /* xor %rax,%rax */
	expect(GS_GO_SITE_BRANCH, 4, 2, true, true);
}

static void amd64_entry(void **state)
{
	(void)state;
	AMD64(0x48, 0x83, 0xec, 0x30, PAD); /* sub $0x30,%rsp */
	expect(GS_GO_SITE_ENTRY, 0, 4, false, false);
	AMD64(0x83, 0xf9, 0x72, 0x74, 0x01, PAD); /* cmp $0x72,%ecx; je */
	expect(GS_GO_SITE_ENTRY, 0, 3, false, false);
	AMD64(PAD); /* ret */
	expect(GS_GO_SITE_ENTRY, 0, 1, false, false);
	AMD64(0x90, PAD);
	expect(GS_GO_SITE_ENTRY, 0, 1, true, false);
	AMD64(0xe9, 0x00, 0x10, 0, 0, PAD); /* jmp elsewhere */
	expect(GS_GO_SITE_ENTRY, 0, 5, true, false);
	/* An argument register is changed before the check. */
	AMD64(0x48, 0x89, 0xd8, CMP_RSP, 0x76, 0x08, FRAME, PAD); /* mov %rbx,%rax */
	expect(GS_GO_SITE_ENTRY, 0, 3, false, false);
	/* A compare with something else than the stack's limit. */
	AMD64(0x49, 0x3b, 0x66, 0x20, 0x76, 0x08, FRAME, PAD); /* cmp 0x20(%r14),%rsp */
	expect(GS_GO_SITE_ENTRY, 0, 4, false, false);
	AMD64(0x48, 0x3b, 0x61, 0x10, 0x76, 0x08, FRAME, PAD); /* cmp 0x10(%rcx),%rsp */
	expect(GS_GO_SITE_ENTRY, 0, 4, false, false);
	/* A branch without a compare, a branch back. */
	AMD64(LEA_R12, 0x76, 0x08, FRAME, PAD);
	expect(GS_GO_SITE_ENTRY, 0, 5, false, false);
	AMD64(CMP_RSP, 0x76, 0xfa, FRAME, PAD);
	expect(GS_GO_SITE_ENTRY, 0, 4, false, true);
	assert_true(site.loop);
	/* A loop that starts at the first instruction. */
	AMD64(0x48, 0xff, 0xc0, 0x48, 0x39, 0xd8, 0x75, 0xf8, PAD); /* inc; cmp; jne */
	expect(GS_GO_SITE_ENTRY, 0, 3, false, true);
	assert_true(site.loop);
}

static void amd64_refused(void **state)
{
	static const uint8_t nop5[] = { 0x0f, 0x1f, 0x44, 0, 0, PAD };
	static const uint8_t nop10[] = { 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, PAD };
	static const uint8_t trap[] = { 0xcc, 0xc3 };
	static const uint8_t garbage[] = { 0x06, 0x07, 0xc3 };
	static const uint8_t cut[] = { 0x48 };

	(void)state;
	gs_assert_fails(-GS_E_UNSUPPORTED, "no-op", begin_of(GS_ARCH_AMD64, nop5, sizeof(nop5)),
			&err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "no-op", begin_of(GS_ARCH_AMD64, nop10, sizeof(nop10)),
			&err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "trap", begin_of(GS_ARCH_AMD64, trap, sizeof(trap)),
			&err);
	gs_assert_fails(-GS_E_BAD_DATA, "no instruction",
			begin_of(GS_ARCH_AMD64, garbage, sizeof(garbage)), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "no instruction", begin_of(GS_ARCH_AMD64, cut, 1), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "no code", begin_of(GS_ARCH_AMD64, cut, 0), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "CPU", begin_of(GS_ARCH_UNKNOWN, trap, sizeof(trap)),
			&err);
	assert_int_equal(site.kind, 0);
}

static void amd64_ends(void **state)
{
	static const uint8_t plain[] = {
		0x74, 0x01, 0xc3,             /* je over; ret */
		0xe8, 0x00, 0x10, 0x00, 0x00, /* call elsewhere */
		0xff, 0xe0,                   /* jmp *%rax */
		0xe9, 0xf1, 0xff, 0xff, 0xff, /* jmp to the start */
		0xe9, 0x00, 0x10, 0x00, 0x00, /* jmp elsewhere */
		0xc2, 0x08, 0x00,             /* ret $8 */
		0xcc,
	};
	static const uint8_t inside[] = { 0xeb, 0x01, 0x48, 0x31, 0xc0, 0xc3 };
	static const uint8_t conditional[] = { 0x74, 0x40, 0xc3 };
	static const uint8_t garbage[] = { 0xc3, 0x06, 0xc3 };
	static const uint8_t many[] = { 0xc3, 0xc3, 0xc3 };
	static const uint8_t never[] = { 0xeb, 0xfe };

	(void)state;
	gs_assert_ok(ends_of(GS_ARCH_AMD64, plain, sizeof(plain), 8), &err);
	assert_int_equal(n_ends, 3);
	assert_int_equal(ends[0].pc, PC + 2);
	assert_int_equal(ends[0].kind, GS_GO_SITE_RET);
	assert_false(ends[0].emulated);
	assert_int_equal(ends[1].pc, PC + 15);
	assert_int_equal(ends[1].kind, GS_GO_SITE_TAIL);
	assert_int_equal(ends[1].target, PC + 20 + 0x1000);
	assert_true(ends[1].emulated);
	assert_int_equal(ends[2].pc, PC + 20);
	gs_assert_fails(-GS_E_BAD_DATA, "into an instruction",
			ends_of(GS_ARCH_AMD64, inside, sizeof(inside), 8), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "conditional jump",
			ends_of(GS_ARCH_AMD64, conditional, sizeof(conditional), 8), &err);
	gs_assert_fails(-GS_E_BAD_DATA, "no instruction",
			ends_of(GS_ARCH_AMD64, garbage, sizeof(garbage), 8), &err);
	gs_assert_fails(-GS_E_LIMIT, "more than 2", ends_of(GS_ARCH_AMD64, many, sizeof(many), 2),
			&err);
	assert_int_equal(n_ends, 99);
	gs_assert_ok(ends_of(GS_ARCH_AMD64, never, sizeof(never), 8), &err);
	assert_int_equal(n_ends, 0);
}

static void calls(void **state)
{
	static const uint8_t amd64[] = {
		0xe8, 0xfb, 0x0f, 0x00, 0x00, /* call PC + 0x1000 */
		0xff, 0xd0,                   /* call *%rax */
		0xe8, 0x00, 0x00, 0x00, 0x00, 0xe8, 0xef, 0x0f, 0x00, 0x00, 0xc3,
	};
	static const uint32_t arm64[] = { 0x94000400, 0xd63f0000, 0x940003fe, 0x14000000,
					  0xd65f03c0 };
	struct gs_cursor c = gs_cursor_make(amd64, sizeof(amd64), "code");

	(void)state;
	gs_assert_ok(gs_go_sites_call(GS_ARCH_AMD64, &c, PC, PC + 0x1000, ends, 8, &n_ends, &err),
		     &err);
	assert_int_equal(n_ends, 2);
	assert_int_equal(ends[0].pc, PC);
	assert_int_equal(ends[1].pc, PC + 12);
	assert_int_equal(ends[1].kind, GS_GO_SITE_CALL);
	assert_true(ends[1].emulated);
	c = gs_cursor_make(arm64, sizeof(arm64), "code");
	gs_assert_ok(gs_go_sites_call(GS_ARCH_ARM64, &c, PC, PC + 0x1000, ends, 8, &n_ends, &err),
		     &err);
	assert_int_equal(n_ends, 2);
	assert_int_equal(ends[1].pc, PC + 8);
}

#define ARM64(...)                                                                                 \
	do {                                                                                       \
		static const uint32_t code_[] = { __VA_ARGS__ };                                   \
		gs_assert_ok(begin_of(GS_ARCH_ARM64, code_, sizeof(code_)), &err);                 \
	} while (0)

#define LDR_GUARD 0xf9400b90 /* ldr x16, [x28, #16] */
#define CMP_SP 0xeb3063ff    /* cmp sp, x16 */
#define CMP_X17 0xeb10023f   /* cmp x17, x16 */
#define BLS(n) (0x54000009 | (n) << 5)
#define BLO(n) (0x54000003 | (n) << 5)
#define STR_LR 0xf81e0ffe /* str x30, [sp, #-32]! */
#define RET 0xd65f03c0

static void arm64_branch(void **state)
{
	(void)state;
	ARM64(LDR_GUARD, CMP_SP, BLS(3), STR_LR, RET, 0x97ffff00, 0x17fffffa);
	expect(GS_GO_SITE_BRANCH, 8, 4, true, true);
	assert_int_equal(site.target, PC + 8 + 12);
	ARM64(0xf9400f90, CMP_SP, BLS(3), STR_LR, RET, RET, RET); /* on the system stack */
	expect(GS_GO_SITE_BRANCH, 8, 4, true, true);
	ARM64(LDR_GUARD, 0xd102c3f1, CMP_X17, BLS(3), STR_LR, RET, RET,
	      RET); /* sub x17, sp, #176 */
	expect(GS_GO_SITE_BRANCH, 12, 4, true, true);
	ARM64(LDR_GUARD, 0xd282081b, 0xeb3b63f1, BLO(5), CMP_X17, BLS(3), STR_LR, RET, RET, RET);
	expect(GS_GO_SITE_BRANCH, 20, 4, true, true); /* mov x27, #N; subs x17, sp, x27 */
	ARM64(LDR_GUARD, 0xf1400bf1, BLO(5), CMP_X17, BLS(3), STR_LR, RET, RET, RET);
	expect(GS_GO_SITE_BRANCH, 16, 4, true, true); /* subs x17, sp, #2, lsl #12 */
}

static void arm64_entry(void **state)
{
	static const uint32_t zeros[] = { 0, 0 };

	(void)state;
	ARM64(STR_LR, RET);
	expect(GS_GO_SITE_ENTRY, 0, 4, false, false);
	ARM64(RET);
	expect(GS_GO_SITE_ENTRY, 0, 4, true, false);
	ARM64(0xaa0103e0, LDR_GUARD, CMP_SP, BLS(2), STR_LR, RET); /* mov x0, x1 */
	expect(GS_GO_SITE_ENTRY, 0, 4, false, false);
	ARM64(LDR_GUARD, CMP_SP, BLS(0x7ffff), STR_LR, RET); /* backwards */
	expect(GS_GO_SITE_ENTRY, 0, 4, false, false);
	ARM64(0xf1000400, 0x54ffffe1, RET); /* subs x0, x0, #1; b.ne back */
	expect(GS_GO_SITE_ENTRY, 0, 4, false, true);
	assert_true(site.loop);
	gs_assert_fails(-GS_E_UNSUPPORTED, "trap", begin_of(GS_ARCH_ARM64, zeros, sizeof(zeros)),
			&err);
	gs_assert_fails(-GS_E_BAD_DATA, "no instruction", begin_of(GS_ARCH_ARM64, zeros, 3), &err);
}

static void arm64_ends(void **state)
{
	static const uint32_t code[] = {
		0xb4000040,             /* cbz x0, over */
		RET,        0x36000041, /* tbz w1, #0, over */
		0xd61f0200,             /* br x16 */
		0x17fffffc,             /* b to the start */
		0x14000400,             /* b elsewhere */
		0xd65f03c0, 0,
	};
	static const uint32_t conditional[] = { 0x54000800, RET };

	(void)state;
	gs_assert_ok(ends_of(GS_ARCH_ARM64, code, sizeof(code), 8), &err);
	assert_int_equal(n_ends, 3);
	assert_int_equal(ends[0].pc, PC + 4);
	assert_true(ends[0].emulated);
	assert_int_equal(ends[1].kind, GS_GO_SITE_TAIL);
	assert_int_equal(ends[1].pc, PC + 20);
	assert_int_equal(ends[1].target, PC + 20 + 0x1000);
	assert_int_equal(ends[2].pc, PC + 24);
	gs_assert_fails(-GS_E_UNSUPPORTED, "conditional jump",
			ends_of(GS_ARCH_ARM64, conditional, sizeof(conditional), 8), &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amd64_push),   cmocka_unit_test(amd64_branch),
		cmocka_unit_test(amd64_entry),  cmocka_unit_test(amd64_refused),
		cmocka_unit_test(amd64_ends),   cmocka_unit_test(calls),
		cmocka_unit_test(arm64_branch), cmocka_unit_test(arm64_entry),
		cmocka_unit_test(arm64_ends),
	};

	return gs_test_main(tests);
}
