/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_WHY_H
#define GS_MODEL_WHY_H

/*
 * Where requests spent their time and who is to blame: what analysis/why_analysis.c finds and export/why_*.c
 * print. Everything is borrowed from the analysis that made it, and from its event source.
 */
#include <stdbool.h>
#include <stdint.h>

#include "model/event.h"
#include "model/result.h"
#include "model/stack.h"

/* Every nanosecond of a request is in exactly one of these. */
enum gs_why_class {
	GS_WHY_CPU_USER = 0,
	GS_WHY_CPU_KERNEL,
	GS_WHY_RUNQUEUE_GO,
	GS_WHY_RUNQUEUE_KERNEL,
	GS_WHY_MUTEX,
	GS_WHY_RWMUTEX,
	GS_WHY_CHAN,
	GS_WHY_SELECT,
	GS_WHY_WAITGROUP,
	GS_WHY_COND,
	GS_WHY_SLEEP,
	GS_WHY_NET_READ,
	GS_WHY_NET_WRITE,
	GS_WHY_NET_DIAL,
	GS_WHY_NET_ACCEPT,
	GS_WHY_FILE_IO,
	GS_WHY_FUTEX,
	GS_WHY_DNS,
	GS_WHY_FAULT_MINOR,
	GS_WHY_FAULT_MAJOR,
	GS_WHY_RECLAIM,
	GS_WHY_GC_ASSIST,
	GS_WHY_STW,
	GS_WHY_CGO,
	GS_WHY_UNKNOWN,
	GS_WHY_CLASSES
};

/** "cpu_user", …: keys in JSON; "unknown" for anything else. */
const char *gs_why_class_name(enum gs_why_class c);
/** The same in plain words: "on CPU in the program's code", "waited for a mutex". */
const char *gs_why_class_words(enum gs_why_class c);
/** True for what the program itself waits for: a lock, a peer, a file; false for time on a CPU and waits for one. */
bool gs_why_class_is_wait(enum gs_why_class c);

/* What time was spent on. What is not known is NULL or 0. */
struct gs_why_what {
	enum gs_why_class class;
	const struct gs_frame *
		where; /* the innermost function that is not of Go's standard library; else of it */
	const struct gs_frame
		*from;           /* @where is of a library: the main module's function above it */
	bool near;               /* @where is not sampled: the function that ended the wait */
	gs_addr object;          /* lock, channel, …: the object itself, not its inner field */
	bool many_objects;       /* several locks of a kind; then @object is 0 */
	const char *object_name; /* of the global variable it is in */
	const struct gs_file_ref *file; /* socket, file, pipe */
	const char *protocol;           /* "postgres", … */
	const char *syscall;            /* it was in */
	uint32_t runnable;              /* run queue: most goroutines that were waiting at once */
	const struct gs_frame *busy;    /* run queue: what ran most meanwhile */
};

#define GS_WHY_HOLDERS 3

/* Who ended a wait: released the lock, sent to the channel, was the last of the group. */
struct gs_why_holder {
	uint64_t goid;
	int64_t ns;                   /* of the wait that are put down to it */
	const struct gs_stack *stack; /* at that moment */
	const struct gs_frame *where;
};

/* A piece of a request's time and, for waits, what those it waited for did meanwhile. */
struct gs_why_blame {
	struct gs_why_what what;
	int64_t ns;
	uint32_t count;                      /* stretches of time merged into it */
	bool cut;                            /* not followed further: a limit was reached */
	bool holder_unseen;                  /* a lock: for some of it nobody seen held it */
	const struct gs_stack *stack;        /* of its longest stretch */
	const struct gs_stack *kernel_stack; /* "" */
	struct gs_why_holder holder[GS_WHY_HOLDERS]; /* longest first */
	uint32_t n_holders;
	bool more_holders;
	const struct gs_why_blame *cause; /* what holders did, longest first */
	uint32_t n_causes;
	int64_t cause_ns; /* sum of them; the rest of ns is not explained */
};

enum {
	GS_WHY_ABORTED = 1,    /* ended by a panic or with its goroutine */
	GS_WHY_UNFINISHED = 2, /* still going on; the duration is up to now */
	GS_WHY_UNCERTAIN = 4,  /* events were lost before it ended, or probes taken away */
	GS_WHY_CUT = 8,        /* part of its past was not kept any more */
	GS_WHY_BEFORE =
		16, /* it had begun before watching did: the duration is what was seen of it */
};

struct gs_why_request {
	const char *route, *method, *path, *peer; /* "" if not known; raw */
	enum gs_call_kind kind;
	uint32_t route_index;
	uint64_t goid;
	int64_t begin_ns, duration_ns;
	int32_t status;                   /* -1: not known */
	int64_t bytes;                    /* -1: not known */
	uint32_t flags;                   /* GS_WHY_* */
	int64_t classes[GS_WHY_CLASSES];  /* their sum is duration_ns */
	const struct gs_why_blame *blame; /* longest first; their sum is duration_ns at most */
	uint32_t n_blame;
};

struct gs_why_spread {
	uint64_t count;
	int64_t p50_ns, p90_ns, p99_ns, max_ns, sum_ns;
};

struct gs_why_route {
	const char *route;
	uint32_t number; /* gs_why_request.route_index */
	enum gs_call_kind kind;
	struct gs_why_spread duration;
	int64_t slow_ns; /* at least this long is slow here; 0: no request of it counts as slow */
	uint64_t slow;   /* number of them */
	uint64_t failed; /* HTTP: status 500 and above; gRPC: not OK; aborted calls */
	int64_t classes[GS_WHY_CLASSES];
	const struct gs_why_request *typical; /* nearest to p50 of those kept; NULL: none */
};

#define GS_WHY_VIAS 3

/* A root cause: where the chain of blame ended. */
struct gs_why_cause {
	struct gs_why_what what;
	const struct gs_stack *stack; /* one of those it was seen with; NULL: none */
	int64_t ns;                   /* of the slow requests */
	int64_t all_ns;               /* of all requests */
	double share;                 /* ns of the slow requests' time */
	uint64_t requests;            /* slow ones it took time from */
	const char *route;            /* that has most of @ns */
	int64_t route_ns;             /* how much of it */
	double route_share;           /* of the time of slow requests of that route */
	bool stands_out;
	/* Through which waits it reached the requests, most first; "itself": the requests did it themselves. */
	struct {
		struct gs_why_what what;
		int64_t ns;
		bool itself;
	} via[GS_WHY_VIAS];
	uint32_t n_vias;
};

struct gs_why_result {
	const struct gs_process *process;
	int64_t begin_ns, begin_unix_ns, watched_ns; /* begin_ns: CLOCK_MONOTONIC */
	struct gs_why_spread duration;
	int64_t classes[GS_WHY_CLASSES];
	bool functions;      /* calls of functions, not requests */
	uint32_t sampled;    /* 1: percentiles and causes of all requests; n: of one in n */
	int64_t slow_ns;     /* requests at least this long may be slow (docs/why.md) */
	bool slow_asked;     /* … as the user said; else only the slowest tenth of each route */
	uint64_t slow;       /* number of them */
	int64_t slow_sum_ns; /* their durations together */
	bool stands_out;     /* something does: the first cause */
	const struct gs_why_cause
		*causes; /* most of the slow requests' time first; if nothing is slow, of all */
	uint32_t n_causes;
	/* Waiting for a CPU is no cause in the program: somebody else had it. NULL: nobody waited. */
	const struct gs_why_cause *machine;
	const struct gs_why_route *routes; /* most time first */
	uint32_t n_routes;
	const struct gs_why_request *slowest; /* slowest first */
	uint32_t n_slowest;
	const struct gs_why_request *unfinished; /* longest first */
	uint32_t n_unfinished;                   /* listed */
	uint64_t unfinished_total;               /* of all */
	uint64_t begun_before, aborted, uncertain;
	const struct gs_stream_stats *stats;
	const struct gs_incomplete_list *incomplete;
};

#endif
