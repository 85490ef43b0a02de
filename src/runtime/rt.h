/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_H
#define GS_RUNTIME_RT_H

/*
 * A typed view of the Go runtime inside a target: goroutines, Ms, Ps, scheduler. The target is not
 * stopped: every goroutine's g is read, then its stack, then its g again; if nothing changed between
 * the two the stack belongs to that g, else it is read again, and what keeps moving is counted.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/cleanup.h"
#include "golang/buildinfo.h"
#include "golang/globals.h"
#include "golang/layout.h"
#include "golang/pclntab.h"
#include "model/goroutine.h"
#include "model/result.h"
#include "target/target.h"

struct gs_rt;

/** What was found out when opening; borrowed from the gs_rt. */
struct gs_rt_facts {
	struct gs_go_buildinfo build;
	struct gs_process process;
	struct gs_go_globals globals;
	struct gs_go_layout layout;
	uint32_t n_modules; /* 1 + plugins */
	uint32_t n_functions;
	bool release_unknown; /* newer or unparsable: nearest layout, self-checks passed */
};

/**
 * Find the Go runtime in @t (borrowed, must outlive the result).
 * @return 0; -GS_E_NOT_GO; -GS_E_UNSUPPORTED (release too old or its self-checks failed).
 * Cost to the target: some KiB of memory reads, no stop.
 */
GS_CHECKED int gs_rt_open(struct gs_target *t, struct gs_rt **ret, struct gs_err *err);
struct gs_rt *gs_rt_free(struct gs_rt *rt);
GS_DEFINE_CLEANUP(struct gs_rt *, gs_rt_free)

const struct gs_rt_facts *gs_rt_facts(const struct gs_rt *rt);

struct gs_rt_dump_options {
	bool dead;      /* also dead goroutines (free list) */
	bool system;    /* also the runtime's own */
	bool args;      /* decode argument words */
	bool no_stacks; /* only the g structures */
	bool no_labels;
	uint32_t max_frames; /* 0: 10,000 physical frames */
	uint64_t only_id;    /* 0: all; else only this goroutine */
	uint64_t limit;      /* stop after so many were visited; 0: all */
};

/**
 * Visit goroutines in the runtime's order (allgs). A non-zero return of @visit ends the walk and is
 * returned (negative: a failure, @visit filled @err). What could not be read is added to @inc.
 * Memory: a fixed batch plus one gs_stack per distinct stack.
 * Cost to the target: none but the kernel's page walks.
 */
GS_CHECKED int gs_rt_goroutines(struct gs_rt *rt, const struct gs_rt_dump_options *o,
				int (*visit)(void *ctx, const struct gs_goroutine *g), void *ctx,
				struct gs_incomplete_list *inc, struct gs_err *err);

/** Scheduler state, for ps, top and doctor: cheap (a few reads). */
struct gs_rt_sched {
	uint64_t goroutines;  /* as runtime.NumGoroutine counts: without system ones */
	uint64_t allg_length; /* g structures ever made: live, system and dead */
	uint32_t threads;     /* Ms alive */
	uint32_t gomaxprocs;
	uint32_t idle_ps, spinning_ms;
	uint64_t runnable_global, runnable_local;
	bool gc_waiting;        /* the world is being stopped */
	uint32_t gc_count;      /* completed cycles */
	int64_t last_gc_ago_ns; /* -1: none yet or unknown */
	uint64_t heap_live_bytes,
		heap_goal_bytes; /* as the collector's pacer counts; 0: not known */
};
GS_CHECKED int gs_rt_sched_read(struct gs_rt *rt, struct gs_rt_sched *ret, struct gs_err *err);

/* A stack that somebody else walked along frame pointers. */
struct gs_rt_raw_stack {
	const gs_addr *pcs; /* the first is an instruction, the others are return addresses */
	uint32_t n;
	bool cut;         /* there was more */
	bool has_sp_word; /* @sp_word is the word that sp pointed to at the first pc */
	gs_addr sp_word;
};
/**
 * The shared stack of raw pcs of the target. Frames outside of Go code are GS_FRAME_FOREIGN with names from the symbols
 * of the mapped file. The caller of a function that had not made its frame yet is put in from sp_word.
 * Kept until @rt is freed; equal stacks are one. NULL when out of memory.
 * Cost to the target: none; the first pc in an unknown mapping reads /proc/PID/maps.
 */
const struct gs_stack *gs_rt_symbolize(struct gs_rt *rt, const struct gs_rt_raw_stack *raw);
/** The frame that "created by" shows for a go statement's return address, and a goroutine's first
 *  function (its physical frame; of a compiler's wrapper, what that calls); NULL if unknown. Live as long as @rt. */
const struct gs_frame *gs_rt_creator(struct gs_rt *rt, gs_addr gopc);
const struct gs_frame *gs_rt_start(struct gs_rt *rt, gs_addr startpc);
/** "main.mu" (also for an address inside of it, if it is no larger than a lock) or "main.cache+0x18": the global variable of the executable that contains @addr; NULL if there is none
 *  or no symbol says so. The first call reads the symbol table. Lives as long as @rt; allocates, so keep it. */
const char *gs_rt_object_name(struct gs_rt *rt, gs_addr addr);

/** The executable's function table, at its runtime addresses; borrowed. */
const struct gs_go_pclntab *gs_rt_pclntab(const struct gs_rt *rt);
/** What the target's wait reasons are called, by number; no entry is NULL. Borrowed. */
const char *const *gs_rt_wait_reasons(const struct gs_rt *rt, uint32_t *ret_n);
/** The target's memory; borrowed. */
const struct gs_memory *gs_rt_memory(const struct gs_rt *rt);
/** The target itself; borrowed. */
const struct gs_target *gs_rt_target(const struct gs_rt *rt);

#endif
