/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_LEAK_H
#define GS_MODEL_LEAK_H

/* Goroutines that will never run again, or should have ended: what analysis/leaks_*.c find. */
#include <stdbool.h>
#include <stdint.h>

#include "model/goroutine.h"
#include "model/result.h"

enum gs_leak_kind {
	GS_LEAK_UNREACHABLE = 1, /* nothing that can run reaches what it waits for */
	GS_LEAK_CONNECTION,      /* serves or uses a connection that has been closed */
	GS_LEAK_GROWTH,          /* a creation site whose goroutines only grow in number */
	GS_LEAK_KINDS
};
/** "unreachable", "connection", "growth". */
const char *gs_leak_kind_name(enum gs_leak_kind k);

enum gs_leak_confidence {
	GS_LEAK_CERTAIN =
		1,      /* proved: a stopped target, a core file, or the runtime's own verdict */
	GS_LEAK_HIGH,   /* the same in two looks */
	GS_LEAK_LIKELY, /* one look, or a time that is only known to be long enough by estimate */
};
/** "certain", "high", "likely". */
const char *gs_leak_confidence_name(enum gs_leak_confidence c);

/** Which of gs_leak.ages @age_ns belongs to; negative: not known. */
unsigned int gs_leak_age(int64_t age_ns);
/** "<1s", "<10s", … "older", "unknown". */
const char *gs_leak_age_name(unsigned int age);

#define GS_LEAK_AGES 8 /* < 1 s, < 10 s, < 1 min, < 10 min, < 1 h, < 1 day, older, not known */

/** Goroutines that leak in the same way: same kind, stack, wait and creator. */
struct gs_leak {
	enum gs_leak_kind kind;
	enum gs_leak_confidence confidence;
	bool by_marking; /* UNREACHABLE: nothing that can run reaches what they wait for */
	bool by_runtime; /* UNREACHABLE: the runtime's own leak detection said so (1.26 and later) */
	const uint64_t *goroutine_ids; /* ascending, at most 100 of them */
	uint32_t n_ids;
	uint64_t count;                  /* of goroutines */
	const char *state, *wait_reason; /* wait_reason NULL unless waiting */
	const struct gs_stack *stack;
	const struct gs_frame *created_by; /* NULL: not known */
	int64_t longest_wait_ns;           /* -1: not known */
	uint64_t stack_bytes;              /* memory of their stacks */
	uint64_t held_bytes; /* UNREACHABLE: heap that only they keep; UINT64_MAX: not known */
	/* evidence */
	const char *
		blocked_on; /* "channel 0xc000…, 0 of 0 buffered, 3 receivers, no other reference" */
	gs_addr object;     /* the first goroutine's; 0: none */
	bool many_objects;        /* UNREACHABLE: others wait for others of the kind */
	const char *peer, *local; /* CONNECTION: "10.0.0.1:443", NULL if not known */
	const char *socket_state; /* CONNECTION: "CLOSE_WAIT", "closed" */
	int64_t closed_ns;        /* CONNECTION: for how long; -1: not known */
	bool closed_at_least;     /* … it is a lower bound */
	int32_t fd;               /* CONNECTION; -1 */
	const char *role; /* CONNECTION: "HTTP server request", "gRPC server call", "HTTP client" */
	uint64_t count_before; /* GROWTH: when watching began */
	double per_second;     /* GROWTH */
	uint64_t ages
		[GS_LEAK_AGES]; /* goroutines by how long they wait, or have at least been there */
};

struct gs_leaks_result {
	const struct gs_process *process;
	const struct gs_leak *leaks; /* unreachable, connection, growth; each by count */
	uint32_t n_leaks;
	uint64_t time_unix_ns;   /* when it was done */
	uint64_t goroutines;     /* looked at */
	uint64_t leaked;         /* distinct goroutines in findings of unreachable and connection */
	bool ran[GS_LEAK_KINDS]; /* which detectors could do their work */
	uint64_t heap_bytes_marked;
	int64_t mark_ns;               /* of the last look */
	uint32_t looks;                /* that marked the heap */
	bool still;                    /* the target did not move: one look is proof */
	int64_t paused_ns;             /* it was stopped for so long; 0: it was not */
	uint64_t candidates_dismissed; /* of the first look, that the second did not confirm */
	int64_t watched_ns;
	int exit_status; /* of a program that leaks started; -1: none */
	const struct gs_incomplete_list *incomplete;
};

#endif
