/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_LIB_CORE_BUILDER_H
#define GS_TESTS_LIB_CORE_BUILDER_H

/*
 * Writes small ELF core files from a declaration, laid out as the kernel does (header, program
 * headers, notes, contents). It is written from the kernel's structures in <sys/procfs.h> and shares
 * no code with src/target. Every number it writes is a named field, so a test can break exactly one:
 * gs_core_builder_break(b, "phdr1.p_filesz", 0).
 *
 * Test code: running out of memory or misuse aborts.
 */
#include <stddef.h>
#include <stdint.h>

#include <gosonde/types.h>

#include "base/cleanup.h"

struct gs_core_builder;

struct gs_core_builder *gs_core_builder_new(enum gs_arch arch);
struct gs_core_builder *gs_core_builder_free(struct gs_core_builder *b);
GS_DEFINE_CLEANUP(struct gs_core_builder *, gs_core_builder_free)

/** A PT_LOAD of @memsz bytes, of which @filesz are dumped (copied from @bytes). @flags: PF_*. */
void gs_core_builder_segment(struct gs_core_builder *b, gs_addr addr, const void *bytes,
			     uint64_t filesz, uint64_t memsz, uint32_t flags);

/** Registers of a thread as the kernel numbers them; words that do not exist are ignored. */
struct gs_core_builder_regs {
	uint64_t pc, sp, bp, lr, g, tls;
};
void gs_core_builder_thread(struct gs_core_builder *b, int32_t tid,
			    const struct gs_core_builder_regs *regs);
void gs_core_builder_psinfo(struct gs_core_builder *b, int32_t pid, const char *command);
void gs_core_builder_auxv(struct gs_core_builder *b, uint64_t type, uint64_t value);
/** An entry of NT_FILE; @offset in bytes. */
void gs_core_builder_file(struct gs_core_builder *b, gs_addr start, gs_addr end, uint64_t offset,
			  const char *path);
/** Any other note, behind the others. */
void gs_core_builder_note(struct gs_core_builder *b, const char *owner, uint32_t type,
			  const void *desc, size_t size);
/** Write PN_XNUM into e_phnum and the number into section header 0 at the very end. */
void gs_core_builder_extended(struct gs_core_builder *b);

/** The field called @name gets @value instead of the right one. */
void gs_core_builder_break(struct gs_core_builder *b, const char *name, uint64_t value);
/** The finished file; valid until the builder is freed. May be called again after more breaks. */
const uint8_t *gs_core_builder_finish(struct gs_core_builder *b, size_t *ret_size);
/** Fields of the last finished file: name of field @i, or NULL behind the last. */
const char *gs_core_builder_field(const struct gs_core_builder *b, size_t i);
/** Forget all breaks. */
void gs_core_builder_mend(struct gs_core_builder *b);
/** A memfd with the finished file, cut to @size bytes unless that is 0. */
int gs_core_builder_memfd(struct gs_core_builder *b, size_t size);

#endif
