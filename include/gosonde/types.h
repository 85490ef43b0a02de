/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GOSONDE_TYPES_H
#define GOSONDE_TYPES_H

#include <stdint.h>

/** An address in a target or a virtual address of an image. Never a pointer of ours. */
typedef uint64_t gs_addr;

/** CPU architectures whose Go binaries gosonde reads. */
enum gs_arch {
	GS_ARCH_UNKNOWN = 0,
	GS_ARCH_AMD64,
	GS_ARCH_ARM64,
};

#endif
