/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TARGET_PRIVATE_H
#define GS_TARGET_PRIVATE_H

/*
 * What the files of src/target share: the common part of every target (the first member of struct
 * gs_process, gs_core and gs_fake), its operations, and small readers of ELF headers and /proc.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/cursor.h"
#include "target/target.h"

/* A target may have as many mappings, threads and notes as it likes; we hold at most these. */
enum {
	GS__MAX_MAPS = 1 << 20,
	GS__MAX_THREADS = 1 << 20,
	GS__MAX_AUXV = 256,
};
#define GS__MAX_MAPS_BYTES ((size_t)512 << 20)

/* A sorted, non-overlapping table of mappings; paths and entries live in the arena. */
struct gs__maps {
	struct gs_arena *arena;
	struct gs_map *v;
	size_t n;
};

struct gs__auxv {
	struct {
		uint64_t type, value;
	} v[GS__MAX_AUXV];
	size_t n;
};

struct gs__threads {
	struct gs_thread *v;
	size_t n, cap;
};

/* Missing operations are answered by target.c: nothing to refresh, no registers, not stoppable. */
struct gs__target_ops {
	int (*refresh_maps)(struct gs_target *t, struct gs_err *err);
	int (*threads)(struct gs_target *t, struct gs_err *err); /* fills t->threads */
	int64_t (*now_ns)(const struct gs_target *t);
	int (*alive)(const struct gs_target *t, struct gs_err *err);
	bool (*still)(const struct gs_target *t); /* missing: always */
	int (*stop)(struct gs_target *t, int64_t max_ns, struct gs_err *err);
	int (*resume)(struct gs_target *t, int64_t *ret_paused_ns, struct gs_err *err);
	void (*free)(struct gs_target *t); /* the kind's own parts and the block itself */
};

struct gs_target {
	const struct gs__target_ops *ops;
	enum gs_target_kind kind;
	enum gs_arch arch;
	struct gs_memory memory;
	struct gs_target_identity id;
	struct gs_image *image; /* owned, may be NULL */
	int exe_fd;             /* owned, -1: none */
	uint64_t bias;
	struct gs__maps maps;
	bool maps_stale; /* fakes only: refreshed when next asked for */
	uint64_t missing_bytes;
	struct gs__auxv auxv;
	struct gs__threads threads;
	struct gs_arena *objects; /* of gs_target_loaded_objects() */
};

/** Free what target.c knows of, then nothing is left but the kind's own parts. */
void gs__target_deinit(struct gs_target *t);

void gs__maps_deinit(struct gs__maps *m);
/** Parse the text of /proc/PID/maps; entries that overlap their predecessor are dropped, which
 *  happens when the map changes between two reads of the file. */
GS_CHECKED int gs__maps_parse(const char *text, size_t len, const char *what, struct gs__maps *ret,
			      struct gs_err *err);
/** One line of /proc/PID/maps, without its newline: all but the map's path, which is borrowed from it. */
bool gs__maps_line(const char *p, const char *end, struct gs_map *m, const char **ret_path,
		   size_t *ret_path_len);
const struct gs_map *gs__maps_at(const struct gs__maps *m, gs_addr addr);

/** Append a zeroed thread; NULL when GS__MAX_THREADS or memory is exhausted. */
struct gs_thread *gs__threads_add(struct gs__threads *t);
/** A register set of NT_PRSTATUS. @return false if it is too short. */
bool gs__regs_general(enum gs_arch arch, struct gs_cursor set, struct gs_regs *ret);
/** … of NT_FPREGSET or NT_X86_XSTATE (@type) into @io->vector; what is not there stays as it is. */
void gs__regs_vector(enum gs_arch arch, uint32_t type, struct gs_cursor set, struct gs_regs *io);
/** Read auxv pairs of 64-bit words up to AT_NULL or the end. */
void gs__auxv_parse(const void *bytes, size_t len, struct gs__auxv *ret);
/** @return 0; 1 if absent */
int gs__auxv_find(const struct gs__auxv *a, uint64_t type, uint64_t *ret);

/**
 * Load bias of t->image from the auxiliary vector (AT_PHDR, then AT_ENTRY) and the memory map (first
 * mapping of the file); the first answer that agrees with the map wins.
 */
GS_CHECKED int gs__find_bias(struct gs_target *t, struct gs_err *err);

/* ELF headers, as far as a target needs them: the program's own ones and those of a core. */
struct gs__elf_head {
	enum gs_arch arch; /* GS_ARCH_UNKNOWN for other machines */
	uint16_t type, machine;
	bool is_64;
	uint64_t entry, phoff, shoff;
	uint64_t phnum; /* as in the header, 0xffff (PN_XNUM) not yet resolved */
	uint16_t phentsize, shentsize;
};

struct gs__peek_phdr {
	uint32_t type, flags;
	uint64_t offset, vaddr, filesz, memsz, align;
};

struct gs__elf_note {
	uint32_t type;
	const char *owner; /* without its NUL; borrowed */
	size_t owner_len;
	struct gs_cursor desc;
};

enum { GS__BUILD_ID_MAX = 128 };

/** "GNU" or "Go" build id, whichever comes first: ids of one kind are comparable. */
struct gs__build_id {
	char owner[4]; /* "GNU", "Go" or "" for none */
	size_t len;
	uint8_t bytes[GS__BUILD_ID_MAX];
};

/** Only e_ident and e_machine of a 32-bit file are looked at. */
GS_CHECKED int gs__elf_head(const struct gs_cursor *file, struct gs__elf_head *ret,
			    struct gs_err *err);
GS_CHECKED int gs__peek_phdr(const struct gs_cursor *file, const struct gs__elf_head *h, uint64_t i,
			     struct gs__peek_phdr *ret, struct gs_err *err);
/** @return 0; 1 after the last note; fails on a note that does not fit. */
GS_CHECKED int gs__elf_note(struct gs_cursor *notes, uint64_t align, struct gs__elf_note *ret,
			    struct gs_err *err);
bool gs__elf_note_is(const struct gs__elf_note *n, const char *owner, uint32_t type);
/** Link-time address of the program headers. @return 0; 1 if no segment holds them. */
GS_CHECKED int gs__peek_phdr_vaddr(const struct gs_cursor *file, const struct gs__elf_head *h,
				   uint64_t *ret, struct gs_err *err);
/** Build id from a file, or from the first pages of its mapping (@file may be cut anywhere).
 *  @return 0; 1 if there is none. */
GS_CHECKED int gs__elf_build_id(const struct gs_cursor *file, struct gs__build_id *ret,
				struct gs_err *err);
/** Cursor over all bytes of an image's file. */
GS_CHECKED int gs__image_cursor(const struct gs_image *img, struct gs_cursor *ret,
				struct gs_err *err);

/** Open a core from a descriptor, which stays the caller's; @name is for messages. */
GS_CHECKED int gs__target_open_core_fd(int fd, const char *name, const char *exe,
				       struct gs_target **ret, struct gs_err *err);

#endif
