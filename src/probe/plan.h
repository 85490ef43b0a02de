/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_PROBE_PLAN_H
#define GS_PROBE_PLAN_H

/*
 * Which probes a question needs and where exactly each goes in this binary. Nothing is attached and
 * no privilege is needed, so --dry-run is this and a printer. Offsets come from our own reader of the
 * function table; each is the start of a decoded instruction of the function it is meant for.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>
#include <gosonde/types.h>

#include "base/cleanup.h"
#include "bpf/stream.wire.h"
#include "golang/buildinfo.h"
#include "golang/globals.h"
#include "golang/layout.h"
#include "golang/pclntab.h"
#include "image/image.h"

/* What a question needs; the same bits reach the programs. */
enum {
	GS_PROBE_WANT_GOROUTINES = 1,   /* created, ready, running, parked, yielding, gone */
	GS_PROBE_WANT_STACKS = 2,       /* of parks, creations and wakers */
	GS_PROBE_WANT_REQUESTS = 4,     /* HTTP/1, HTTP/2, gRPC server requests */
	GS_PROBE_WANT_FUNCTIONS = 8,    /* calls of named functions */
	GS_PROBE_WANT_RUNTIME = 16,     /* GC, stop-the-world, assist, sweep */
	GS_PROBE_WANT_THREADS = 32,     /* off CPU, wake-ups */
	GS_PROBE_WANT_ALL_THREADS = 64, /* also of threads that run no goroutine */
	GS_PROBE_WANT_SYSCALLS = 128,   /* user and kernel time apart */
	GS_PROBE_WANT_FAULTS = 256,
	GS_PROBE_WANT_RECLAIM = 512,
	GS_PROBE_WANT_CGO = 1024,
	GS_PROBE_WANT_PS = 2048, /* which P a goroutine runs on */
	GS_PROBE_WANT_SAMPLES = 4096,
	GS_PROBE_WANT_MAPS = 8192,           /* mmap and its family */
	GS_PROBE_WANT_FAULT_SAMPLES = 16384, /* who touches new pages: one of many page faults */
	GS_PROBE_WANT_DLOPEN = 32768,        /* who loads libraries */
};

/* Kernel-half programs, one per kind of site (src/bpf/stream.bpf.c). */
enum gs_probe_program {
	/* uprobes */
	GS_PROG_GOPARK = 0,   /* gopark(unlockf, lock, reason, …): PARK */
	GS_PROG_RUNQPUT,      /* runqput(pp, gp, next): CREATE, READY or YIELD by its caller */
	GS_PROG_EXECUTE,      /* execute(gp, inheritTime): RUN */
	GS_PROG_GOSCHED,      /* goschedImpl(gp, preempted): YIELD */
	GS_PROG_GOEXIT,       /* goexit0(gp): EXIT */
	GS_PROG_NETPOLLREADY, /* netpollready(toRun, pd, mode): READY */
	GS_PROG_EXITSYSCALL,  /* exitsyscall0 / exitsyscallNoP(gp): YIELD */
	GS_PROG_PREEMPTPARK,  /* preemptPark(gp): PARK "preempted" */
	GS_PROG_COROSWITCH,   /* coroswitch_m(gp): PARK "coroutine" */
	GS_PROG_SEMA_QUEUE, /* (*semaRoot).queue(addr, s, lifo), up to 1.25: address for the next PARK */
	GS_PROG_HTTP_BEGIN,   /* net/http.serverHandler.ServeHTTP(sh, rw, req): CALL_BEGIN */
	GS_PROG_HTTP1_END,    /* net/http.(*connReader).abortPendingRead(cr): CALL_END */
	GS_PROG_HTTP2_END,    /* …(*responseWriter).handlerDone(rw): CALL_END */
	GS_PROG_GRPC_BEGIN,   /* grpc.(*Server).handleStream: CALL_BEGIN */
	GS_PROG_GRPC_END,     /* transport.(*http2Server).writeStatus: CALL_END */
	GS_PROG_CALL_BEGIN,   /* watched function, arg: its number */
	GS_PROG_CALL_END,     /* its RETs */
	GS_PROG_RUNTIME,      /* arg: enum gs_wire_runtime_kind */
	GS_PROG_ASSIST_BEGIN, /* gcAssistAlloc1(gp, scanWork) */
	GS_PROG_ASSIST_END,   /* its RETs */
	GS_PROG_CGO_BEGIN,    /* cgocall(fn, arg) */
	GS_PROG_CGO_END,      /* the call of exitsyscall in cgocall */
	GS_PROG_DLOPEN,       /* dlopen(path, mode) of the C library, which is not the executable */
	GS_PROG_UPROBES,      /* number of those above */
	/* others; attached without a site in the target */
	GS_PROG_SCHED_SWITCH = GS_PROG_UPROBES,
	GS_PROG_SCHED_WAKING,
	GS_PROG_SYS_ENTER,
	GS_PROG_SYS_EXIT,
	GS_PROG_FAULT_BEGIN,
	GS_PROG_FAULT_END, /* software perf events, per CPU */
	GS_PROG_RECLAIM_BEGIN,
	GS_PROG_RECLAIM_END,
	GS_PROG_SAMPLE, /* perf CPU clock, per CPU */
	GS_PROG_PROCESS_FORK,
	GS_PROG_PROCESS_EXEC,
	GS_PROG_PROCESS_EXIT,
	GS_PROG_FAULT_SAMPLE, /* software perf event, per CPU */
	GS_PROG_COUNT
};

enum gs_probe_placement {
	GS_PLACE_PUSH =
		1, /* first push after the stack check, or the entry if that is the push: emulated */
	GS_PLACE_ENTRY,  /* first instruction: single-stepped */
	GS_PLACE_BRANCH, /* the stack check's branch: emulated, but hit again after morestack */
	GS_PLACE_RET,    /* a return: single-stepped on amd64, emulated on arm64 */
	GS_PLACE_CALL,   /* a direct call inside the function: emulated */
	GS_PLACE_TRACEPOINT,
	GS_PLACE_PERF,
};
/** "push", "entry", "branch", "ret", "call", "tracepoint", "perf". */
const char *gs_probe_placement_name(enum gs_probe_placement p);

/* What goes together when the budget takes something away; later groups go first. */
enum gs_probe_group {
	GS_GROUP_LIFE = 1, /* goroutines: without them there is no answer */
	GS_GROUP_REQUESTS,
	GS_GROUP_THREADS,
	GS_GROUP_RUNTIME,
	GS_GROUP_LOCKS, /* addresses of locks up to Go 1.25 */
	GS_GROUP_FAULTS,
	GS_GROUP_CGO,
	GS_GROUP_SYSCALLS,
	GS_GROUP_COUNT
};
/** "goroutines", "requests", … and what is lost without it. */
const char *gs_probe_group_name(enum gs_probe_group g);
const char *gs_probe_group_loss(enum gs_probe_group g);

struct gs_probe_site {
	enum gs_probe_program program;
	enum gs_probe_placement placement;
	enum gs_probe_group group;
	const char *
		function; /* name of the Go function or of the tracepoint; lives as long as the plan */
	gs_addr addr;     /* runtime address (bias included), 0 for others than uprobes */
	uint64_t file_offset; /* uprobes: in the executable, or in that library */
	uint32_t lib;         /* number in gs_probe_binary.lib + 1; 0: in the executable */
	uint32_t arg;         /* see enum gs_probe_program */
	bool emulated;        /* one trap instead of two */
};

#define GS_PLAN_SITES_MAX 512 /* many RETs of watched functions */
#define GS_PLAN_FUNCTIONS_MAX 16

struct gs_probe_refusal {
	const char *function;
	char why[160]; /* and what is lost */
};

/* What a command asks for. */
struct gs_probe_wish {
	uint32_t want; /* GS_PROBE_WANT_* */
	const char *const *
		functions; /* --function, exact names as Go prints them, or a unique suffix after "/" or "." */
	uint32_t n_functions;
	uint32_t sample_hz;    /* SAMPLES; 0: 99 */
	uint32_t fault_period; /* FAULT_SAMPLES: one of so many; 0: 32 */
	bool requests_if_any;  /* REQUESTS: nothing is missing in a program that serves none */
};

struct gs_probe_plan {
	struct gs_probe_site site[GS_PLAN_SITES_MAX]; /* index = cookie = head.site */
	uint32_t n_sites;
	struct gs_wire_config config;
	const char *function[GS_PLAN_FUNCTIONS_MAX]; /* full names of watched functions */
	uint32_t n_functions;
	uint32_t sample_hz;
	struct gs_probe_refusal refused[16]; /* wanted, but not placed */
	uint32_t n_refused;
	char names[16384]; /* storage of names */
	uint32_t names_len;
};

#define GS_PLAN_LIBRARIES_MAX 4

/* A C library that the process has mapped. */
struct gs_probe_library {
	const char *path;             /* raw */
	const struct gs_image *image; /* NULL: it could not be read */
	uint64_t bias;
};

/* The binary a plan is for; all borrowed. */
struct gs_probe_binary {
	const struct gs_image *image;
	const struct gs_go_pclntab *tab; /* of the executable, at its runtime addresses */
	const struct gs_go_layout *layout;
	const struct gs_go_buildinfo *build;
	const struct gs_memory *mem;     /* NULL: file only; else bytes must be equal in memory */
	const char *const *wait_reasons; /* by number */
	uint32_t n_wait_reasons;
	uint64_t bias;
	int exe_fd; /* DWARF of net/http and gRPC, where there is some; -1: none */
	const struct gs_probe_library *lib;
	uint32_t n_libraries; /* at most GS_PLAN_LIBRARIES_MAX */
};

/**
 * Decide on probes. @ret->config.tgid is left 0.
 * @return 0; 1: done, but something is refused that the answer needs less (see refused);
 *         -GS_E_NOT_FOUND: a watched function is not in the binary (text names similar ones);
 *         -GS_E_UNSUPPORTED: goroutines cannot be followed in this binary, text says why.
 */
GS_CHECKED int gs_probe_plan_make(const struct gs_probe_binary *b, const struct gs_probe_wish *w,
				  struct gs_probe_plan *ret, struct gs_err *err);

#endif
