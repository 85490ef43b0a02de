/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BPF_STREAM_WIRE_H
#define GS_BPF_STREAM_WIRE_H

/*
 * Records of the stream lens as the kernel half writes them and the user half reads them: the only
 * thing the two share. No pointers, natural alignment, no padding left to the compiler; both sides
 * assert the sizes. Times are bpf_ktime_get_ns(): CLOCK_MONOTONIC, which is also Go's nanotime.
 *
 * Three rings: GO (goroutines and requests), KERNEL (threads, samples, memory), STACK (each distinct
 * stack once). A record refers to a stack by hash; the stack's record is submitted before the first record that
 * refers to it, so a reader that drains STACK after the others knows every stack it meets, unless a
 * loss was counted.
 */
#ifndef __bpf__
#include <assert.h>
#include <stdint.h>
#endif

#define GS_WIRE_STACK_MAX 64 /* frames of one stack record */
#define GS_WIRE_TEXT_MAX 96  /* bytes of a path, a method, a file's name; longer ones are cut */
#define GS_WIRE_NAME_MAX 40

enum gs_wire_ring { GS_WIRE_RING_GO, GS_WIRE_RING_KERNEL, GS_WIRE_RING_STACK, GS_WIRE_RINGS };

enum gs_wire_kind {
	/* Ring GO. The goroutine in the head is the one the record is about. */
	GS_WIRE_GO_CREATE = 1, /* gs_wire_go_create */
	GS_WIRE_GO_READY,      /* gs_wire_go_ready: waiting -> runnable */
	GS_WIRE_GO_RUN,        /* gs_wire_go_run: runnable -> running on this thread */
	GS_WIRE_GO_PARK,       /* gs_wire_go_park: running -> waiting */
	GS_WIRE_GO_YIELD,      /* gs_wire_go_yield: running -> runnable */
	GS_WIRE_GO_EXIT,       /* gs_wire_go_exit */
	GS_WIRE_CALL_BEGIN,    /* gs_wire_call: a request or a watched function begins */
	GS_WIRE_CALL_END,      /* gs_wire_call */
	GS_WIRE_RUNTIME,       /* gs_wire_runtime: GC phases, stop-the-world, assist, sweep */
	/* Ring KERNEL. */
	GS_WIRE_OFF_CPU = 32, /* gs_wire_off_cpu: written when the thread is on a CPU again */
	GS_WIRE_SAMPLE,       /* gs_wire_sample */
	GS_WIRE_MAP,          /* gs_wire_map: mmap, munmap, mremap, madvise, brk */
	GS_WIRE_PROCESS,      /* gs_wire_process: thread or process born, exec, exit */
	GS_WIRE_FAULT,        /* gs_wire_fault: one of many page faults */
	GS_WIRE_DLOPEN,       /* gs_wire_dlopen: a library is about to be loaded */
	/* Ring STACK. */
	GS_WIRE_STACK = 64, /* gs_wire_stack */
};

/* What a thread used since the previous record that carries this, on CPU, in nanoseconds. The rest of
 * its time on CPU was user code. Carried by records marked [usage]. */
struct gs_wire_usage {
	uint32_t kernel_ns;      /* in system calls */
	uint32_t fault_minor_ns; /* in page faults */
	uint32_t fault_major_ns;
	uint32_t reclaim_ns; /* direct reclaim, not counted in the others */
	uint32_t cgo_ns;     /* in C code called by cgo, system calls of it not included */
	uint16_t faults_minor, faults_major;
};

/* First 40 bytes of every record. */
struct gs_wire_head {
	uint64_t ts_ns;
	uint64_t goid;  /* 0: none */
	uint64_t stack; /* hash of the goroutine's (user) stack, 0: none taken */
	uint32_t tid;   /* thread it happened on */
	uint16_t size;  /* of the whole record */
	uint8_t kind;
	uint8_t flags; /* GS_WIRE_F_* */
	uint32_t seq;  /* per CPU and ring; a gap is a loss. Records of one CPU may stand in
			  another order where a program was preempted */
	uint16_t cpu;
	uint16_t site; /* index of the probe in the plan */
};

enum {
	GS_WIRE_F_ADOPTED = 1,   /* the thread was found running this goroutine; no RUN was seen */
	GS_WIRE_F_PREEMPTED = 2, /* YIELD: by the runtime, not by runtime.Gosched */
	GS_WIRE_F_SYSCALL =
		4,            /* YIELD: came back from a system call and found no P. OFF_CPU: inside
				    a system call */
	GS_WIRE_F_FAULT = 8,  /* OFF_CPU: inside a page fault */
	GS_WIRE_F_MAJOR = 16, /* OFF_CPU: … that was a major one */
	GS_WIRE_F_RECLAIM = 32,  /* OFF_CPU: inside direct reclaim */
	GS_WIRE_F_CGO = 64,      /* OFF_CPU: inside a cgo call */
	GS_WIRE_F_NETPOLL = 128, /* READY: by the network poller */
};

/* Where bytes of a descriptor come from or go to. */
struct gs_wire_file {
	uint32_t mode;                         /* i_mode; 0: not known */
	int32_t fd;                            /* -1: none */
	uint16_t family, protocol;             /* sockets: AF_*, IPPROTO_* */
	uint16_t local_port, peer_port;        /* host byte order */
	uint8_t local_addr[16], peer_addr[16]; /* IPv4 in the first four bytes */
	uint32_t dev;                          /* files: s_dev */
	uint32_t pad;
	char name[GS_WIRE_NAME_MAX]; /* files: last component of the path; sockets: "" */
};

struct gs_wire_go_create {
	struct gs_wire_head h; /* stack: of the creator */
	uint64_t parent;       /* goid of the creator, 0: the runtime */
	uint64_t start_pc, creator_pc;
};

struct gs_wire_go_ready {
	struct gs_wire_head h; /* stack: of the waker, when it is a goroutine */
	uint64_t waker;        /* goid, 0: scheduler (timer, poller) */
};

struct gs_wire_go_run {
	struct gs_wire_head h;
	int32_t p; /* P's number, -1: not read */
	uint32_t pad;
};

struct gs_wire_go_park {
	struct gs_wire_head h;
	struct gs_wire_usage usage;
	uint64_t
		object; /* address of the mutex's semaphore word, channel, notifyList, pollDesc, 0 */
	uint32_t reason;  /* the release's number of the wait reason */
	uint8_t io_mode;  /* 'r', 'w' for network waits */
	uint8_t has_file; /* @file follows; else the record ends before it */
	uint16_t n_cases; /* select: number of channels waited for */
	struct gs_wire_file file;
};

struct gs_wire_go_yield {
	struct gs_wire_head h;
	struct gs_wire_usage usage;
};

struct gs_wire_go_exit {
	struct gs_wire_head h;
	struct gs_wire_usage usage;
};

enum gs_wire_call_kind {
	GS_WIRE_CALL_HTTP1 = 1,
	GS_WIRE_CALL_HTTP2,
	GS_WIRE_CALL_GRPC,
	GS_WIRE_CALL_FUNCTION,
};

struct gs_wire_call {
	struct gs_wire_head h; /* [usage] begin and end */
	struct gs_wire_usage usage;
	uint64_t sp;  /* tells recursion and abandoned calls apart */
	uint8_t call; /* enum gs_wire_call_kind */
	uint8_t method_len, pattern_len, path_len, peer_len;
	uint8_t function; /* FUNCTION: which of the watched ones */
	int16_t status;   /* END: HTTP or gRPC status, -1: not known */
	int64_t bytes;    /* END: body bytes written, -1: not known */
	/* Records of FUNCTION end here. */
	char method[16];
	char path[GS_WIRE_TEXT_MAX];
	char pattern[GS_WIRE_TEXT_MAX]; /* END: of the mux, where known */
	char peer[48];                  /* remote address as net/http keeps it */
};

enum gs_wire_runtime_kind {
	GS_WIRE_STW_BEGIN = 1, /* arg: the release's stwReason (1.21 and later) */
	GS_WIRE_STW_END,
	GS_WIRE_GC_BEGIN,     /* gcStart */
	GS_WIRE_GC_MARK,      /* concurrent mark begins */
	GS_WIRE_GC_MARK_DONE, /* mark termination begins */
	GS_WIRE_GC_END,
	GS_WIRE_SWEEP_BEGIN,
	GS_WIRE_ASSIST_BEGIN, /* the goroutine in the head marks for the GC. Carries usage */
	GS_WIRE_ASSIST_END,
};

struct gs_wire_runtime {
	struct gs_wire_head h;
	struct gs_wire_usage usage;
	uint32_t what; /* enum gs_wire_runtime_kind */
	uint32_t pad;
	uint64_t arg;
};

struct gs_wire_off_cpu {
	struct gs_wire_head h;      /* ts: on CPU again. goid: bound to the thread, 0 none */
	struct gs_wire_usage usage; /* up to off_ns */
	uint64_t off_ns;            /* left the CPU */
	uint64_t wake_ns;           /* made runnable; off_ns if it was preempted; 0: not seen */
	uint64_t kernel_stack;      /* hash, 0: none */
	uint64_t waker_goid;        /* of the same process, when it woke by futex; else 0 */
	uint32_t waker_tid;
	int32_t syscall; /* number, -1: in none */
	uint64_t arg[2]; /* of the system call: futex address, … */
	uint32_t state;  /* task state it went off with, 0: runnable (preempted) */
	uint8_t io_wait, has_file;
	uint16_t pad;
	struct gs_wire_file file; /* has_file 0: the record ends before it */
};

struct gs_wire_sample {
	struct gs_wire_head h;
	uint64_t kernel_stack;
	uint64_t period_ns;
};

struct gs_wire_map {
	struct gs_wire_head h;
	int32_t syscall;
	uint32_t pad;
	uint64_t arg[6];
	int64_t result;
};

/* One of @period page faults of a thread's CPU. The stack is that of the target's code, system calls included. */
struct gs_wire_fault {
	struct gs_wire_head h;
	uint64_t addr;
	uint64_t period;
};

/* dlopen is called. */
struct gs_wire_dlopen {
	struct gs_wire_head h;
	uint32_t path_len; /* 0: the program itself (NULL), or not readable */
	uint32_t pad;
	char path[2 * GS_WIRE_TEXT_MAX]; /* its begin, with a NUL */
};

enum gs_wire_process_kind {
	GS_WIRE_THREAD_NEW = 1,
	GS_WIRE_THREAD_EXIT,
	GS_WIRE_PROCESS_FORK,
	GS_WIRE_PROCESS_EXEC,
	GS_WIRE_PROCESS_EXIT,
};

struct gs_wire_process {
	struct gs_wire_head h;
	uint32_t what;
	uint32_t child;
	char comm[16];
};

/* Variable size: n pcs. Kernel stacks have GS_WIRE_F_SYSCALL unset and pcs in the kernel's half. */
struct gs_wire_stack {
	struct gs_wire_head h; /* stack: its hash */
	uint32_t n;
	uint32_t flags; /* 1: cut at GS_WIRE_STACK_MAX; 2: kernel; 4: @sp_word is the word at sp */
	uint64_t sp_word; /* leaf assembler functions keep their return address there */
	uint64_t pc[GS_WIRE_STACK_MAX];
};

/* Why a record was not written, per ring and CPU; and how often each probe was hit. */
struct gs_wire_counters {
	uint64_t produced[GS_WIRE_RINGS];  /* records made, those of @ring_full included */
	uint64_t ring_full[GS_WIRE_RINGS]; /* found no room */
	uint64_t thinned;                  /* left out by the budget's sampling */
	uint64_t threads_full;             /* no room in the table of threads */
	uint64_t stacks_missing;           /* pages not resident */
	uint64_t reads_failed;             /* of the target's memory */
};

/* What a wait reason's number means to the kernel half (gs_wire_config.reason). */
enum gs_wire_reason {
	GS_WIRE_REASON_OTHER = 0, /* object: gopark's lock argument */
	GS_WIRE_REASON_CHAN,      /* object: lock argument - hchan_lock */
	GS_WIRE_REASON_SELECT,    /* object: channel of the first sudog of g.waiting */
	GS_WIRE_REASON_SEMA,      /* object: the semaphore word */
	GS_WIRE_REASON_IO,        /* object: pollDesc; file: by its descriptor */
};

/* Read-only data of the programs, set before they are loaded. Offsets are -1 where the release has no such
 * field. Filled by the planner (probe/plan.c). */
struct gs_wire_config {
	uint32_t tgid;
	uint32_t want; /* GS_PROBE_WANT_* */
	int32_t g_goid, g_m, g_waiting, g_gopc, g_startpc, g_parent_goid;
	int32_t g_coroexit, g_coroarg; /* 1.22 and later; 0: not known */
	int32_t g_sched_bp;
	int32_t m_p, m_curg, m_g0, m_procid, p_id;
	int32_t sudog_elem, sudog_c, sudog_waitlink;
	int32_t hchan_lock;
	int32_t pd_fd, pd_rg, pd_wg;
	/* net/http. Strings are {pointer, length}. */
	int32_t request_proto_major; /* 0: not known */
	int32_t request_method, request_url, request_pattern, request_remote_addr;
	int32_t url_path;
	int32_t reader_conn;   /* connReader.conn */
	int32_t conn_response; /* where conn.curReq holds the *response */
	int32_t response_status, response_written, response_req;
	int32_t h2_writer_state, h2_state_status, h2_state_req, h2_state_bytes;
	/* The same of golang.org/x/net/http2. */
	int32_t xnet_writer_state, xnet_state_status, xnet_state_req, xnet_state_bytes;
	/* google.golang.org/grpc. @inner: where the server stream points to the stream that has the method;
	 * -1: it has it itself. */
	int32_t grpc_stream_inner, grpc_stream_method, grpc_status_proto, grpc_proto_code;
	uint32_t grpc_status_arg; /* which argument of writeStatus is the *status.Status */
	uint32_t sudog_has_sema;  /* 1.26 and later: g.waiting.elem is the semaphore word */
	/* Return addresses that tell who called runqput (runtime addresses, bias included). @ready: of
	 * runtime.ready; 0: not known, then any caller but the other two makes a READY. Up to 1.24
	 * globrunqget also calls runqput, to move what is runnable already. */
	uint64_t newproc_lo, newproc_hi, goyield_lo, goyield_hi, ready_lo, ready_hi;
	uint64_t text_lo, text_hi; /* Go code: a pc outside of it is C */
	uint64_t sample_period_ns;
	uint64_t fault_period; /* one page fault of so many is recorded */
	uint8_t reason[64];    /* enum gs_wire_reason by the release's number */
};

/*
 * The contract with the loader (src/probe/session.c)
 * Skeleton: header stream.skel.h, struct gs_stream_bpf, functions gs_stream_bpf__*(). Programs, in the order of
 * enum gs_probe_program, are called gs_ and the lower-case rest of the enumerator: gs_gopark … gs_process_exit;
 * GS_PROG_FAULT_END is two, gs_fault_end_minor and gs_fault_end_major (software perf events
 * PAGE_FAULTS_MIN and PAGE_FAULTS_MAJ, period 1). Each may be left out (autoload off): those at tp_btf must
 * be, when the kernel's BTF has no btf_trace_<event>, because one that cannot be loaded fails the object.
 *   uprobes        SEC("kprobe"); attach cookie: index of the site in bits 0..15, its arg in 16..47
 *   gs_sample      perf CPU clock; its period in nanoseconds is gs_config.sample_period_ns
 *   gs_fault_sample  software perf event PAGE_FAULTS; its period is gs_config.fault_period
 *   others         SEC("tp_btf/…"): sched_switch, sched_waking, sys_enter, sys_exit, page_fault_user,
 *                  mm_vmscan_direct_reclaim_begin and _end, sched_process_fork, _exec, _exit
 * The arg of GS_PROG_PREEMPTPARK and GS_PROG_COROSWITCH is the release's number of their wait reason; that
 * of GS_PROG_GOSCHED is 1 where goschedImpl has a second argument, "preempted"; that of GS_PROG_HTTP2_END is 1
 * in golang.org/x/net.
 * GS_PROBE_WANT_MAPS needs gs_sys_exit. GS_PROBE_WANT_SYSCALLS needs both gs_sys_enter and gs_sys_exit.
 * Maps: ring_go, ring_kernel, ring_stack (RINGBUF, sized by the loader); threads (HASH, key tid as
 * uint32_t, value struct gs_wire_thread); stacks_seen; counters (PERCPU_ARRAY of one struct
 * gs_wire_counters); hits (PERCPU_ARRAY of GS_WIRE_HITS uint64_t: uprobes by site, the others at
 * GS_WIRE_HITS_PROGRAM + enum gs_probe_program; both FAULT_END programs count together).
 * Globals: rodata gs_config, bss gs_control (mapped, written at any time by the loader).
 */
#define GS_WIRE_SITES 512 /* GS_PLAN_SITES_MAX */
#define GS_WIRE_HITS_PROGRAM GS_WIRE_SITES
#define GS_WIRE_HITS (GS_WIRE_SITES + 64)
#define GS_WIRE_THREADS 16384

enum gs_wire_wake {
	GS_WIRE_WAKE_NEVER = 0, /* the reader looks by itself */
	GS_WIRE_WAKE_BATCH, /* when more than wake_bytes wait; looked at every 64th record of a CPU and ring */
	GS_WIRE_WAKE_ADAPTIVE, /* when reader_sleeping is set, which this clears */
};

/* Written by the user half while the programs run. ADAPTIVE: set reader_sleeping, look at the ring once more,
 * then sleep with a time limit: a record under way at that moment does not wake. */
struct gs_wire_control {
	uint32_t thin_mask; /* of a goid's hash: only goroutines with 0 there are recorded */
	uint32_t wake_mode; /* enum gs_wire_wake */
	uint32_t stopped;   /* 1: programs count the hit and do nothing */
	uint32_t pad;
	uint32_t wake_bytes[GS_WIRE_RINGS];
	uint32_t reader_sleeping[GS_WIRE_RINGS];
};

/* The hash of thin_mask, for readers that must know who is left out. */
static inline __attribute__((always_inline)) uint32_t gs_wire_thin_hash(uint64_t goid)
{
	goid ^= goid >> 33;
	goid *= 0xff51afd7ed558ccdULL;
	goid ^= goid >> 33;
	goid *= 0xc4ceb9fe1a85ec53ULL;
	goid ^= goid >> 33;
	return (uint32_t)goid;
}

/* gs_wire_thread.in: where the thread is; what costs more to know stands first. */
enum {
	GS_WIRE_IN_RECLAIM = 1,
	GS_WIRE_IN_FAULT = 2,
	GS_WIRE_IN_SYSCALL = 4,
	GS_WIRE_IN_CGO = 8,
	GS_WIRE_IN_OFF = 16,   /* off the CPU: @off is filled in but for head.ts_ns, seq, cpu */
	GS_WIRE_IN_KNOWN = 32, /* goid is what the thread runs, 0 included; else not seen yet */
};

/* Value of the map threads. An entry is made at the first sight of a thread and deleted when it exits. */
struct gs_wire_thread {
	uint64_t goid, g; /* goroutine bound to the thread, 0: none */
	uint64_t sema;    /* semaphore word of the park that comes next, 0: none */
	uint64_t mark_ns; /* usage is counted up to here */
	uint64_t wake_ns; /* made runnable since it is off; 0: not seen */
	uint64_t waker_goid;
	uint32_t waker_tid;
	uint32_t in;       /* GS_WIRE_IN_* */
	uint32_t fault_ns; /* of the fault under way */
	uint32_t pad;
	struct gs_wire_usage usage;
	struct gs_wire_off_cpu off; /* being off the CPU: the record to be, valid while IN_OFF */
};

#define GS_WIRE_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)
GS_WIRE_SIZE(gs_wire_usage, 24);
GS_WIRE_SIZE(gs_wire_head, 40);
GS_WIRE_SIZE(gs_wire_file, 96);
GS_WIRE_SIZE(gs_wire_go_create, 64);
GS_WIRE_SIZE(gs_wire_go_ready, 48);
GS_WIRE_SIZE(gs_wire_go_run, 48);
GS_WIRE_SIZE(gs_wire_go_park, 176);
GS_WIRE_SIZE(gs_wire_go_yield, 64);
GS_WIRE_SIZE(gs_wire_call, 344);
GS_WIRE_SIZE(gs_wire_runtime, 80);
GS_WIRE_SIZE(gs_wire_off_cpu, 224);
GS_WIRE_SIZE(gs_wire_sample, 56);
GS_WIRE_SIZE(gs_wire_map, 104);
GS_WIRE_SIZE(gs_wire_fault, 56);
GS_WIRE_SIZE(gs_wire_dlopen, 240);
GS_WIRE_SIZE(gs_wire_process, 64);
GS_WIRE_SIZE(gs_wire_stack, 568);
GS_WIRE_SIZE(gs_wire_counters, 80);
GS_WIRE_SIZE(gs_wire_control, 40);
GS_WIRE_SIZE(gs_wire_thread, 312);
GS_WIRE_SIZE(gs_wire_config, 336);

#endif
