/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TARGET_CORE_PRIVATE_H
#define GS_TARGET_CORE_PRIVATE_H

/* What the files of the core target share. */
#include "target/target_private.h"

enum {
	GS__CORE_MAX_SEGMENTS = GS__MAX_MAPS,
	GS__CORE_MAX_OPEN_FILES = 128,
	GS__CORE_HEAD_BYTES = 65536, /* of a mapped file: headers and notes, as far as dumped */
};

/* One PT_LOAD. Memory from start to dumped_end lies at offset in the core, the rest is not there. */
struct gs__core_segment {
	gs_addr start, dumped_end, end;
	uint64_t offset;
	uint32_t flags; /* PF_* */
};

enum gs__core_file_state { CORE_FILE_UNTRIED, CORE_FILE_GOOD, CORE_FILE_REFUSED };

/* A file that was mapped when the core was made. */
struct gs__core_file {
	const char *path; /* as the kernel wrote it, may end in " (deleted)" */
	gs_addr base;     /* where its first byte was mapped; 0: it was not */
	int fd;           /* -1; the executable's is borrowed from the target */
	enum gs__core_file_state state;
};

/* An entry of NT_FILE. */
struct gs__core_range {
	gs_addr start, end;
	uint64_t offset;
	uint32_t file; /* index */
};

struct gs_core {
	struct gs_target base;
	const uint8_t *bytes; /* the core, mapped and watched */
	size_t size;
	int watch;
	struct gs_cursor file;
	char *name;
	int64_t mtime;
	struct gs_arena *arena;            /* paths, ranges, files */
	struct gs__core_segment *segments; /* sorted, not overlapping */
	size_t n_segments;
	struct gs__core_range *ranges; /* sorted, not overlapping */
	size_t n_ranges;
	struct gs__core_file *files;
	size_t n_files, n_open;
	uint32_t exe_file; /* index, UINT32_MAX: unknown */
	char command[16];  /* pr_fname */
};

/** Read the notes in @notes: threads, auxv, mapped files, names. What is broken ends the reading; what
 *  came before it stays. Fails only when out of memory or beyond a limit. */
GS_CHECKED int gs__core_notes(struct gs_core *c, struct gs_cursor notes, uint64_t align,
			      struct gs_err *err);
/** Copy dumped bytes only. @return how many of @len from @addr on, without a gap. */
size_t gs__core_dumped(const struct gs_core *c, gs_addr addr, void *dst, size_t len);
/** Copy bytes of a mapped file that the core leaves out. False if the file is not there any more, is
 *  another one by now, or is too short. @done: how many bytes, at least 1 when true. */
bool gs__core_backed(struct gs_core *c, gs_addr addr, void *dst, size_t len, size_t *done);
/** Open and check the executable, given or named by the core; sets image, exe_fd, identity, bias. */
GS_CHECKED int gs__core_open_executable(struct gs_core *c, const char *exe, struct gs_err *err);
/** Sort @ranges by address and drop those that overlap. */
void gs__core_sort_ranges(struct gs_core *c);

#endif
