/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TARGET_TARGET_H
#define GS_TARGET_TARGET_H

/*
 * Where bytes come from: a live process, an ELF core file, or (tests) a fake. A live target is read
 * with batched process_vm_readv and is never stopped unless gs_target_stop() is called.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <gosonde/err.h>
#include <gosonde/types.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "image/image.h"

enum gs_target_kind { GS_TARGET_PROCESS = 1, GS_TARGET_CORE = 2, GS_TARGET_FAKE = 4 };

/* Identity is not a PID: the start time and the executable's inode belong to it. */
struct gs_target_identity {
	pid_t pid; /* as the caller's /proc shows it; core: from NT_PRPSINFO/NT_PRSTATUS */
	uint64_t start_ticks;        /* /proc/PID/stat field 22, 0 for a core */
	uint64_t start_time_unix_ns; /* 0 if unknown */
	uint64_t exe_dev, exe_ino;
	char executable[4096]; /* path as the target sees it, " (deleted)" removed, may be "" */
	bool exe_deleted;
};

struct gs_map {
	gs_addr start, end;
	uint64_t offset;   /* in the file */
	uint64_t dev, ino; /* 0 for anonymous */
	uint8_t prot;      /* GS_IMAGE_READ | WRITE | EXEC */
	bool shared;
	const char *path; /* raw, "" for anonymous; borrowed from the target */
};

#define GS_REGS_GENERAL 31
#define GS_REGS_VECTOR 64

/* Registers of a thread. */
struct gs_regs {
	uint64_t pc, sp, bp; /* arm64: bp is x29 */
	uint64_t lr;         /* arm64 x30 */
	uint64_t g;          /* amd64 r14, arm64 x28 */
	uint64_t tls;        /* fs_base / tpidr, 0 if unknown */
	/* Where pointers may be; what this machine does not have, or did not tell, is 0. */
	uint64_t general[GS_REGS_GENERAL]; /* all but pc and sp, in the kernel's order */
	uint64_t vector[GS_REGS_VECTOR]; /* amd64: xmm, then upper halves of ymm; arm64: v0 … v31 */
};

struct gs_thread {
	int32_t tid;    /* as our PID namespace shows it */
	int32_t ns_tid; /* as the innermost namespace of the target does; equal if there is one */
	bool has_regs;
	struct gs_regs regs;
	char state; /* 'R', 'S', 'D', … of /proc; 0 unknown */
	char name[16];
};

struct gs_target;

/**
 * Open a live process: pidfd, identity, memory map and executable (through /proc/PID/exe, so that
 * other mount namespaces and deleted files work). Messages say which capability or sysctl is missing.
 * Fails with -GS_E_GONE (no such process), -GS_E_PERMISSION, -GS_E_UNSUPPORTED (zombie, kernel
 * thread, 32-bit).
 * Cost to the target: none beyond its mmap lock while the kernel prints its map.
 */
GS_CHECKED int gs_target_open_pid(pid_t pid, struct gs_target **ret, struct gs_err *err);
/**
 * Open an ELF core file of the kernel or of gcore. @exe is the executable's path, or NULL to take
 * the one that NT_FILE names, if it is still there and its build id (or, without one, its headers)
 * match those in the core.
 */
GS_CHECKED int gs_target_open_core(const char *path, const char *exe, struct gs_target **ret,
				   struct gs_err *err);
struct gs_target *gs_target_free(struct gs_target *t);
GS_DEFINE_CLEANUP(struct gs_target *, gs_target_free)

enum gs_target_kind gs_target_kind(const struct gs_target *t);
const struct gs_target_identity *gs_target_identity(const struct gs_target *t);
enum gs_arch gs_target_arch(const struct gs_target *t);
/** The reader interface; valid as long as @t. Batches are coalesced by the caller, split at the
 *  kernel's IOV_MAX here; after a partial transfer the rest is retried piece by piece. For cores,
 *  read-only pages absent from the core are served from the executable and the libraries. Several
 *  threads may read a live target at once, but not a core. */
const struct gs_memory *gs_target_memory(const struct gs_target *t);
/** The executable's image; borrowed. Never NULL for a process; NULL for a core without its exe. */
const struct gs_image *gs_target_image(const struct gs_target *t);
/** Descriptor of the executable's file, -1 if none. Borrowed. */
int gs_target_exe_fd(const struct gs_target *t);
/** What to add to link-time addresses of the executable. */
uint64_t gs_target_bias(const struct gs_target *t);

/** Memory map, sorted by address. gs_target_refresh_maps() reads it again (a live target changes);
 *  the old array and its paths end with that, unless it fails. */
const struct gs_map *gs_target_maps(const struct gs_target *t, size_t *ret_n);
GS_CHECKED int gs_target_refresh_maps(struct gs_target *t, struct gs_err *err);
/** The mapping that contains @addr, or NULL. */
const struct gs_map *gs_target_map_at(const struct gs_target *t, gs_addr addr);
/** Open the file that @m, a mapping of process @pid, is of, for reading. map_files is the file itself, whatever
 *  happened to its name, but needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN; else it is its path as the process sees
 *  it, and with @here at last as we do, for a process that is gone. A path may be another file by now, which its
 *  inode tells. @return a descriptor, the caller's; -1: cannot be opened, or is another file. */
int gs_map_open(pid_t pid, const struct gs_map *m, bool here);

/** Bytes of memory that a core promises but, being cut off, does not hold; 0 for other targets. */
uint64_t gs_target_missing_bytes(const struct gs_target *t);

/** Threads; registers only in cores and while stopped. The array belongs to the target and is valid
 *  until the next call. */
GS_CHECKED int gs_target_threads(struct gs_target *t, const struct gs_thread **ret, size_t *ret_n,
				 struct gs_err *err);

/** Value of an auxv entry (AT_PHDR, AT_ENTRY…). @return 0; 1 if absent. */
GS_CHECKED int gs_target_auxv(const struct gs_target *t, uint64_t type, uint64_t *ret,
			      struct gs_err *err);

/** When a process began whose /proc/PID/stat says @ticks since boot. Ticks are no finer, so neither is the
 *  result. */
uint64_t gs_start_time_unix_ns(uint64_t ticks);

/** CLOCK_MONOTONIC as the target's own time namespace shows it, now; core: 0 (unknown). */
int64_t gs_target_now_ns(const struct gs_target *t);
/** 0 while the target is the process that was opened; -GS_E_GONE after exit or exec. Ask after a
 *  series of reads: 0 proves that all of them saw the program that was opened. */
GS_CHECKED int gs_target_alive(const struct gs_target *t, struct gs_err *err);

/** Does the target stand still, so that registers of threads are known? A core, or a process between
 *  gs_target_stop() and gs_target_resume(). */
bool gs_target_still(const struct gs_target *t);
/** Stop all threads (PTRACE_SEIZE + INTERRUPT, repeated until no new thread appears) and read their
 *  registers. Must be followed by gs_target_resume(), which returns the length of the pause; a
 *  crash of gosonde releases the target (ptrace detaches by itself). @max_ns bounds the stopping
 *  (0: one second); threads that need longer give -GS_E_LIMIT and nothing stays stopped. The stop is
 *  held by a thread of its own, so any thread may call either function. */
GS_CHECKED int gs_target_stop(struct gs_target *t, int64_t max_ns, struct gs_err *err);
GS_CHECKED int gs_target_resume(struct gs_target *t, int64_t *ret_paused_ns, struct gs_err *err);

#endif
