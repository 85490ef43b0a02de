/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BASE_MEMORY_H
#define GS_BASE_MEMORY_H

/*
 * How layers that do not know targets read target memory: a function and its context. src/target
 * implements it for live processes, core files and the tests' fake.
 */
#include <gosonde/err.h>
#include <gosonde/types.h>
#include <stddef.h>

/** One piece of a batched read. */
struct gs_read {
	gs_addr addr;
	void *buf;
	size_t len;
	int result; /* out: 0 done (all @len bytes), negative otherwise; partial reads are failures */
};

struct gs_memory {
	/**
	 * Read all pieces; each piece's result says how it went.
	 * @return 0 even if pieces failed; negative only if the target as a whole is gone (-GS_E_GONE)
	 *         or reading is refused (-GS_E_PERMISSION), @err says why.
	 */
	int (*readv)(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err);
	void *ctx;
};

/** Read one piece; -GS_E_FAULT if any byte of it cannot be read. */
GS_CHECKED int gs_memory_read(const struct gs_memory *m, gs_addr addr, void *buf, size_t len,
			      struct gs_err *err);
GS_CHECKED int gs_memory_u64(const struct gs_memory *m, gs_addr addr, uint64_t *ret,
			     struct gs_err *err);
GS_CHECKED int gs_memory_u32(const struct gs_memory *m, gs_addr addr, uint32_t *ret,
			     struct gs_err *err);
GS_CHECKED int gs_memory_u8(const struct gs_memory *m, gs_addr addr, uint8_t *ret,
			    struct gs_err *err);

#endif
