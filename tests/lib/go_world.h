/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_LIB_GO_WORLD_H
#define GS_TESTS_LIB_GO_WORLD_H

/*
 * A made-up Go process for tests of src/runtime: an image with a real pclntab and moduledata, and
 * memory with goroutines that tests then damage. Test code: failures abort.
 */
#include "pclntab_builder.h"
#include "runtime/rt_private.h"
#include "target/fake.h"

/* Where things lie. */
enum {
	WORLD_GS = 0x20000000,     /* g structures, 512 bytes apart */
	WORLD_STACKS = 0x30000000, /* 2048 bytes each */
	WORLD_LIST = 0x28000000,   /* allgptr's array */
	WORLD_VARS = 0x29000000,   /* allglen, allgptr, allm */
	WORLD_LABELS = 0x2a000000,
	WORLD_MS = 0x2b000000,
};
/* g.atomicstatus as runtime2.go numbers it. */
enum {
	WORLD_RAW_RUNNING = 2,
	WORLD_RAW_SYSCALL = 3,
	WORLD_RAW_WAITING = 4,
	WORLD_RAW_DEAD = 6,
	WORLD_RAW_SCAN = 0x1000
};
#define WORLD_G_STRIDE 512u
#define WORLD_STACK_SIZE 2048u

/* Functions of the made-up program, 0x40 bytes each, in this order. */
enum {
	WORLD_GOEXIT,
	WORLD_GOPARK,
	WORLD_RT_MAIN,
	WORLD_BGSWEEP,
	WORLD_WORKER,
	WORLD_MAIN,
	WORLD_SPIN,
	WORLD_HOLDER,  /* has stack maps: see go_world.c */
	WORLD_PREEMPT, /* runtime.asyncPreempt */
	WORLD_SIGPANIC,
	WORLD_N_FUNCS
};
/* Of WORLD_HOLDER: bytes of its frame without the return address; offsets from its sp. */
enum {
	WORLD_HOLDER_FRAME = 0x48,
	WORLD_HOLDER_A = 0,         /* two words, the second a pointer */
	WORLD_HOLDER_B = 0x10,      /* three words, the first a pointer */
	WORLD_HOLDER_LOCALS = 0x28, /* three words, 1 | 0, 2 … of the maps below */
	WORLD_HOLDER_ARGS = 0x50,
	WORLD_MASK_A = 0x100000, /* pointer masks, from moduledata.rodata */
	WORLD_MASK_B = 0x100010,
};
#define WORLD_FUNC_SIZE 0x40u

struct gs_world {
	struct gs_builder *builder;
	struct gs_build_go_places at;
	struct gs_go_layout layout;
	struct gs_target *target;
	struct gs_rt *rt; /* for the test to set; freed here */
	uint32_t n;       /* goroutines */
};

/** @version: as the build info says it, of Go 1.@minor; w->layout is that of its newest patch release. */
void world_init(struct gs_world *w, unsigned int minor, const char *version);
void world_deinit(struct gs_world *w);
/** Write target memory. */
void world_put(struct gs_world *w, gs_addr at, const void *bytes, size_t n);
void world_put64(struct gs_world *w, gs_addr at, uint64_t v);
/** Write a field of the g with index @i. */
void world_put_field(struct gs_world *w, uint32_t i, enum gs_go_field f, uint64_t v);
/** An address in one of the functions. */
gs_addr world_pc(const struct gs_world *w, int func, unsigned int off);
/** Add a goroutine parked in gopark, called by @func, which goexit called. @return its index. */
uint32_t world_add_parked(struct gs_world *w, int func);
/** For cmocka: *state is a world of Go 1.27, the same for all tests of a program. */
int world_setup(void **state);
int world_teardown(void **state);
/** Open w->rt. */
void world_open_rt(struct gs_world *w);
/** How much of @what a list of what is missing says. */
uint64_t world_missing(const struct gs_incomplete_list *l, const char *what);

/* For fuzzers: how the memory of a world lies. */
struct world_lies {
	uint32_t n;          /* goroutines */
	const gs_addr *base; /* where made-up pointers lead, @span bytes from each */
	size_t n_bases;
	uint32_t span;
	uint32_t places; /* kinds of places beside those that every world has */
	/* An address of kind @which < places that has to do with goroutine @i. */
	gs_addr (*place)(const struct gs_world *w, uint32_t which, uint32_t i, uint32_t off);
};
/** Overwrite words, each of 14 bytes of @data: 6 of place, 8 of value. */
void world_lie(struct gs_world *w, const struct world_lies *l, const uint8_t *data, size_t size);

#endif
