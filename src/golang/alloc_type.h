/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_ALLOC_TYPE_H
#define GS_GOLANG_ALLOC_TYPE_H

/*
 * What a call of the runtime's allocator allocates: which functions allocate, which argument is the type, and what the
 * code in front of the call loads into that argument's register. Since Go 1.17 (amd64) and 1.18 (arm64) arguments are in
 * registers (src/cmd/compile/abi-internal.md), and descriptors are loaded by their address just before the call:
 *
 *     LEAQ type:main.Order(SB), AX        ADRP page, R0; ADD $low, R0, R0
 *     CALL runtime.newobject(SB)          BL   runtime.newobject(SB)
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>
#include <gosonde/types.h>

#include "base/cursor.h"

enum gs_go_alloc_kind {
	GS_GO_ALLOC_NONE = 0, /* allocates nothing for its caller */
	GS_GO_ALLOC_INNER,    /* does, but does not say of what type */
	GS_GO_ALLOC_VALUE,    /* one of the type */
	GS_GO_ALLOC_ARRAY,    /* some */
	GS_GO_ALLOC_ANY,      /* one or some */
	GS_GO_ALLOC_CHAN,     /* the argument is a channel's type */
	GS_GO_ALLOC_MAP,      /* … a map's */
	GS_GO_ALLOC_STRING,   /* bytes of a string */
};

struct gs_go_alloc {
	enum gs_go_alloc_kind kind;
	unsigned int argument; /* which one is the type; VALUE to MAP only */
};

/** By a function's name (cmd/compile/internal/typecheck/_builtin/runtime.go; runtime/{malloc,slice,string,map*,chan}.go,
 *  internal/runtime/maps; Go 1.19 to 1.27). */
struct gs_go_alloc gs_go_alloc_function(const char *name, unsigned int minor);

enum { GS_GO_CALL_BYTES = 8 };
/** Where the direct call goes that returns to @back; @before: the GS_GO_CALL_BYTES in front of that. False: there is none. */
bool gs_go_call_target(enum gs_arch arch, const uint8_t before[GS_GO_CALL_BYTES], gs_addr back,
		       gs_addr *ret);

/**
 * The address in the register of argument number @argument (of words) when the call that returns to @back is made. Told only
 * if every path through the function that leads to the call loads the same one, and no other call lies between.
 * @code: the whole function from its entry on, which runs at @pc.
 * @return 0; 1 if that is not so, or the address is no constant, or @code is no code; -ENOMEM.
 */
GS_CHECKED int gs_go_call_argument(enum gs_arch arch, const struct gs_cursor *code, gs_addr pc,
				   gs_addr back, unsigned int argument, gs_addr *ret,
				   struct gs_err *err);

#endif
