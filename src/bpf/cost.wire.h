/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BPF_COST_WIRE_H
#define GS_BPF_COST_WIRE_H

/* What cost.bpf.c and src/probe/costs.c share. */
#ifndef __bpf__
#include <assert.h>
#include <stdint.h>
#endif

#define GS_COST_RING_BYTES (1 << 18)
#define GS_COST_FRAMES 16
#define GS_COST_PIECE 1024 /* bytes */
#define GS_COST_RECORD_WORDS 8

/* What gs_cost_uprobe does at a hit. */
enum gs_cost_mode {
	GS_COST_TRAP = 0, /* only count it */
	GS_COST_RECORD,   /* also write a record */
	GS_COST_STACK,    /* also take the user stack */
};

/* Written by the user half while the programs run. */
struct gs_cost_control {
	uint32_t mode, tgid;
};

struct gs_cost_record {
	uint64_t word[GS_COST_RECORD_WORDS];
};

/* Per CPU. */
struct gs_cost_scratch {
	uint64_t hits, lost;
	uint64_t frames; /* of the last stack */
	uint64_t pc[GS_COST_FRAMES];
	uint64_t piece[GS_COST_PIECE / 8 + 1]; /* one word more for the verifier */
};

_Static_assert(sizeof(struct gs_cost_control) == 8, "gs_cost_control");
_Static_assert(sizeof(struct gs_cost_record) == 64, "gs_cost_record");
_Static_assert(sizeof(struct gs_cost_scratch) == 1184, "gs_cost_scratch");

#endif
