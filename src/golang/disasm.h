/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_DISASM_H
#define GS_GOLANG_DISASM_H

/*
 * What a function of the Go runtime refers to: the addresses of data that its code computes or
 * accesses relative to its own position, in address order, and the constants it compares with. That
 * is all that finding runtime globals needs of a disassembler.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>
#include <gosonde/types.h>

#include "base/cursor.h"

enum gs__go_access {
	GS__GO_ADDRESS, /* the address itself is taken (LEA, ADRP+ADD) */
	GS__GO_LOAD,
	GS__GO_STORE, /* also read-modify-write */
};

struct gs__go_ref {
	gs_addr pc;     /* of the instruction that makes the address complete */
	gs_addr target; /* what it refers to */
	uint8_t access; /* enum gs__go_access */
	uint8_t bytes;  /* accessed; 0 for GS__GO_ADDRESS or unknown */
};

enum { GS__GO_MAX_REFS = 64, GS__GO_MAX_CODE = 16384 };

struct gs__go_code {
	uint32_t n_refs;
	uint32_t n_compares;
	struct gs__go_ref refs[GS__GO_MAX_REFS];
	uint64_t compares[GS__GO_MAX_REFS]; /* immediate operands of compare instructions */
};

/**
 * Read the code of one function, @code from its entry on, which runs at @pc. Stops without
 * complaint at bytes that are no instruction, at GS__GO_MAX_CODE bytes and when a list is full: what
 * was found before is right all the same. Allocates nothing.
 */
void gs__go_disasm_amd64(const struct gs_cursor *code, gs_addr pc, struct gs__go_code *ret);
void gs__go_disasm_arm64(const struct gs_cursor *code, gs_addr pc, struct gs__go_code *ret);

#endif
