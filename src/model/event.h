/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_EVENT_H
#define GS_MODEL_EVENT_H

/*
 * What happened in a process, as a stream of events in the order of time. The stream lens makes them
 * (src/stream: from live probes, or from a recording), analyses and timeline exporters consume them and cannot
 * tell the difference. An event says what was seen and nothing that had to be concluded, except
 * where a flag says so.
 *
 * An event and what it points to are valid until the next batch is asked for; strings marked
 * "stays" and stacks live as long as the source.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/types.h>

#include "model/goroutine.h"
#include "model/result.h"
#include "model/stack.h"

/* Why goroutines wait, the same for all releases. The release's own words are beside it. */
enum gs_wait {
	GS_WAIT_UNKNOWN = 0,
	GS_WAIT_MUTEX,
	GS_WAIT_RWMUTEX_READ,
	GS_WAIT_RWMUTEX_WRITE,
	GS_WAIT_SEMAPHORE, /* "semacquire": up to 1.19 all locks and WaitGroups; the stack tells which */
	GS_WAIT_WAITGROUP,
	GS_WAIT_COND,
	GS_WAIT_CHAN_RECEIVE,
	GS_WAIT_CHAN_SEND,
	GS_WAIT_CHAN_NIL, /* for ever */
	GS_WAIT_SELECT,
	GS_WAIT_SELECT_EMPTY, /* for ever */
	GS_WAIT_SLEEP,
	GS_WAIT_IO,
	GS_WAIT_GC_ASSIST,
	GS_WAIT_GC,     /* any other wait for the collector */
	GS_WAIT_SYSTEM, /* the runtime's own goroutines at rest */
	GS_WAIT_PREEMPTED,
	GS_WAIT_COROUTINE,
	GS_WAIT_COUNT
};

/** The class of a wait reason in the runtime's words ("sync.Mutex.Lock"); UNKNOWN for others. */
enum gs_wait gs_wait_of(const char *reason);

/* On CPU, since the previous event of the thread that carries usage; the rest was user code. */
struct gs_usage {
	int64_t kernel_ns, fault_minor_ns, fault_major_ns, reclaim_ns, cgo_ns;
	uint32_t faults_minor, faults_major;
};

/* A file, pipe or socket. */
struct gs_file_ref {
	uint32_t mode;                         /* as stat's st_mode; 0: not known */
	int32_t fd;                            /* -1: none */
	uint16_t family, protocol;             /* sockets: AF_*, IPPROTO_* */
	uint16_t local_port, peer_port;        /* 0: none */
	uint8_t local_addr[16], peer_addr[16]; /* IPv4 in the first four bytes */
	uint32_t dev;
	char name[40]; /* files: last component of the path, raw, cut; "" if unknown */
};

enum gs_call_kind {
	GS_CALL_HTTP1 = 1,
	GS_CALL_HTTP2,
	GS_CALL_GRPC,
	GS_CALL_FUNCTION,
};

enum gs_runtime_event {
	GS_RUNTIME_STW_BEGIN = 1,
	GS_RUNTIME_STW_END,
	GS_RUNTIME_GC_BEGIN,
	GS_RUNTIME_GC_MARK,
	GS_RUNTIME_GC_MARK_DONE,
	GS_RUNTIME_GC_END,
	GS_RUNTIME_SWEEP_BEGIN,
	GS_RUNTIME_ASSIST_BEGIN,
	GS_RUNTIME_ASSIST_END,
};

enum gs_process_event {
	GS_PROCESS_THREAD_NEW = 1,
	GS_PROCESS_THREAD_EXIT,
	GS_PROCESS_FORK,
	GS_PROCESS_EXEC,
	GS_PROCESS_EXIT,
};

enum gs_event_kind {
	GS_EV_GO_STATE = 1, /* state: a goroutine that existed when watching began */
	GS_EV_GO_CREATE,    /* create */
	GS_EV_GO_READY,     /* ready: waiting -> runnable. stack: of the waker */
	GS_EV_GO_RUN,       /* run: -> running on tid */
	GS_EV_GO_PARK,      /* park: running -> waiting */
	GS_EV_GO_YIELD,     /* yield: running -> runnable */
	GS_EV_GO_EXIT,
	GS_EV_CALL_BEGIN, /* call */
	GS_EV_CALL_END,   /* call */
	GS_EV_RUNTIME,    /* runtime */
	GS_EV_OFF_CPU,    /* off_cpu: t_ns is the end, off_cpu.off_ns the begin */
	GS_EV_SAMPLE,     /* sample: stack and kernel stack on CPU */
	GS_EV_MAP,        /* map: memory mapping system call */
	GS_EV_PROCESS,    /* process */
	GS_EV_GAUGE,      /* gauge: read from the runtime from time to time */
	GS_EV_LOST,       /* lost: events are missing before this one */
	GS_EV_THINNED,    /* thinned: of most goroutines nothing comes from here on */
	GS_EV_DETACHED,   /* detached: of a kind of facts nothing comes from here on */
	GS_EV_PAGE_FAULT, /* fault: one page fault of many */
	GS_EV_DLOPEN,     /* dlopen: a library is about to be loaded */
	GS_EV_KIND_COUNT
};

/* What a stream no longer tells since a DETACHED. Goroutines' states always come. */
enum {
	GS_UNSEEN_REQUESTS = 1, /* CALL */
	GS_UNSEEN_THREADS =
		2, /* OFF_CPU: who runs may as well be off the CPU; usage.kernel_ns has both */
	GS_UNSEEN_RUNTIME = 4,   /* RUNTIME */
	GS_UNSEEN_LOCKS = 8,     /* addresses of locks, where they come from a probe of their own */
	GS_UNSEEN_FAULTS = 16,   /* faults and reclaim in usage and OFF_CPU */
	GS_UNSEEN_CGO = 32,      /* C code in usage and OFF_CPU */
	GS_UNSEEN_SYSCALLS = 64, /* usage.kernel_ns, MAP */
	GS_UNSEEN_ALL = 127,
};

/** "threads", …: the name of one GS_UNSEEN_* bit. */
const char *gs_unseen_name(uint32_t bit);

/**
 * Whether a goroutine is one of those that are left out when all with a bit of @mask in their hash are (@mask 0: none are).
 * The kernel half decides the same way: gs_wire_thin_hash() in src/bpf/stream.wire.h.
 */
bool gs_thinned_out(uint64_t goid, uint32_t mask);

/** "go_park", …: the kinds' names in jsonl. */
const char *gs_event_kind_name(enum gs_event_kind k);

enum {
	GS_EV_ADOPTED = 1,   /* the thread was found running this goroutine; no RUN was seen */
	GS_EV_PREEMPTED = 2, /* YIELD */
	GS_EV_SYSCALL =
		4, /* YIELD: came back from a system call without a P; OFF_CPU: inside one */
	GS_EV_FAULT = 8,
	GS_EV_MAJOR = 16,
	GS_EV_RECLAIM = 32,
	GS_EV_CGO = 64,      /* OFF_CPU: inside of */
	GS_EV_NETPOLL = 128, /* READY */
};

struct gs_event {
	int64_t t_ns;                 /* CLOCK_MONOTONIC */
	uint64_t goid;                /* whom it is about; 0: nobody, or not known */
	int32_t tid;                  /* thread it happened on; 0: none */
	uint32_t stack, kernel_stack; /* ids of the source, 0: none */
	uint16_t kind;                /* enum gs_event_kind */
	uint16_t flags;
	struct gs_usage usage; /* PARK, YIELD, EXIT, CALL, RUNTIME assist, OFF_CPU; else zero */
	union {
		struct {
			uint64_t parent;         /* 0: not known */
			const char *wait_reason; /* stays; NULL unless waiting */
			enum gs_goroutine_state state;
			enum gs_wait wait;
			int64_t since_ns; /* of the state, 0: not known */
			gs_addr creator_pc, start_pc;
			const struct gs_frame *created_by, *start; /* stay; NULL: not known */
			bool system;
		} state;
		struct {
			uint64_t parent; /* 0: the runtime */
			gs_addr creator_pc, start_pc;
			const struct gs_frame *created_by, *start; /* stay; NULL: not known */
		} create;
		struct {
			uint64_t waker; /* 0: scheduler (timer, poller) */
		} ready;
		struct {
			int32_t p; /* -1: not known */
		} run;
		struct {
			const char *reason; /* the release's words, stays */
			enum gs_wait wait;
			gs_addr object; /* mutex's semaphore word, channel, notifyList, pollDesc; 0 */
			char io_mode;   /* 'r', 'w', or 0 */
			uint16_t n_cases;
			struct gs_file_ref file; /* network waits; fd -1: not known */
		} park;
		struct {
			enum gs_call_kind call;
			uint32_t function; /* FUNCTION: number in the order asked for */
			uint64_t sp;
			int32_t status;                             /* -1: not known */
			int64_t bytes;                              /* -1: not known */
			const char *method, *path, *pattern, *peer; /* raw, not NUL-terminated */
			uint16_t method_len, path_len, pattern_len, peer_len;
		} call;
		struct {
			enum gs_runtime_event what;
			uint64_t arg;
		} runtime;
		struct {
			int64_t off_ns, wake_ns; /* wake_ns: runnable from here; 0: not seen */
			uint64_t waker_goid;     /* 0: not known */
			int32_t waker_tid;
			int32_t syscall; /* number of the target's CPU, -1: in none */
			uint64_t arg[2];
			uint32_t task_state; /* 0: was runnable: preempted by the kernel */
			bool io_wait;
			struct gs_file_ref file;
		} off_cpu;
		struct {
			int64_t period_ns;
		} sample;
		struct {
			int32_t syscall;
			uint64_t arg[6];
			int64_t result;
		} map;
		struct {
			uint64_t addr;
			uint64_t period; /* it stands for so many */
		} fault;
		struct {
			const char *path;  /* as it was asked for, raw, cut, not NUL-terminated */
			uint16_t path_len; /* 0: the program itself, or not known */
		} dlopen;
		struct {
			enum gs_process_event what;
			int32_t child;
			char comm[16];
		} process;
		struct {
			uint64_t heap_live_bytes, heap_goal_bytes;
			uint64_t runnable_global, runnable_local, goroutines;
			uint32_t gomaxprocs, idle_ps, threads;
		} gauge;
		struct {
			uint64_t count; /* records known to be lost */
		} lost;
		struct {
			uint32_t
				mask; /* goroutines with gs_thinned_out(goid, mask) are not followed */
		} thinned;
		struct {
			uint32_t unseen; /* GS_UNSEEN_*, what has become so before included */
		} detached;
	};
};

/* A probe of the plan and what it cost. */
struct gs_probe_cost {
	const char *name;      /* "runtime.gopark", "sched:sched_switch" */
	const char *placement; /* "push", "entry", "jbe", "ret", "call", "tracepoint", "perf" */
	uint64_t hits;
	double cost_ns; /* per hit, measured on this machine */
	bool detached;  /* taken away by the budget */
};

#define GS_PROBES_MAX 96

/* What watching cost and what it lost: asked for at the end. */
struct gs_stream_stats {
	int64_t begin_ns, end_ns; /* CLOCK_MONOTONIC of what was watched */
	int64_t begin_unix_ns;
	int64_t target_cpu_ns;  /* user and system time of the target meanwhile */
	int64_t target_cost_ns; /* of it, by probes: hits x cost */
	int64_t self_cpu_ns;    /* of gosonde */
	uint64_t self_rss_bytes;
	uint64_t produced, lost; /* records */
	double max_overhead;     /* asked for, 0: no limit */
	uint32_t thinned_log2;   /* 1 of 2^n requests was followed at the end; 0: all */
	int target_exit;         /* 0: still there; 1: exited; 2: replaced itself (exec) */
	struct gs_probe_cost probe[GS_PROBES_MAX];
	uint32_t n_probes;
	struct gs_incomplete_list incomplete;
};

/* Where a stream comes from; implemented by src/stream, and by hand in tests. */
struct gs_event_source {
	/**
	 * The next events, oldest first. Waits at most @timeout_ns.
	 * @return 0 with at least one event; 1 when there was none in time; 2 at the end of the stream;
	 *         negative: failed.
	 */
	int (*next)(struct gs_event_source *s, int64_t timeout_ns, const struct gs_event **ret,
		    size_t *ret_n, struct gs_err *err);
	/** The stack of an id that an event carried; NULL for 0 and for lost ones. Stays. Symbolised at
	 *  the first call, so ask only for what is shown. */
	const struct gs_stack *(*stack)(struct gs_event_source *s, uint32_t id);
	/** Name of a global variable that contains @addr, as "pkg.name" (+field path where DWARF tells); NULL. Stays. */
	const char *(*object_name)(struct gs_event_source *s, gs_addr addr);
	/** Name of a lock that is no global variable, by the method that waited for it: "store.Ledger.mu" when
	 *  the caller of the sync functions in @stack is a method of a type whose DWARF has exactly one
	 *  mutex. NULL if it cannot be told. Stays. The member may be NULL. */
	const char *(*lock_name)(struct gs_event_source *s, gs_addr addr,
				 const struct gs_stack *stack);
	/** pprof labels of a goroutine as of now or of its last look; 0 if none. Stay. */
	uint32_t (*labels)(struct gs_event_source *s, uint64_t goid, const struct gs_label **ret);
	/** Numbers so far; borrowed until the next call. */
	const struct gs_stream_stats *(*stats)(struct gs_event_source *s);
	/** Ask the stream to end: what is under way is still delivered, then 2. */
	void (*stop)(struct gs_event_source *s);
	struct gs_event_source *(*free)(struct gs_event_source *s);

	const struct gs_process *process; /* stays */
	const char *goarch;               /* of the target: "amd64", "arm64" */
	const char *const *functions;     /* names watched by --function, in order */
	uint32_t n_functions;
};

#endif
