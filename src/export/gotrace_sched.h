/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_GOTRACE_SCHED_H
#define GS_EXPORT_GOTRACE_SCHED_H

/*
 * The scheduler's state as a reader of a Go execution trace will have it after what was written so far: goroutines (G), threads
 * (M) and processors (P). Each function makes one thing true and writes the events that a reader needs to
 * follow; whatever comes, the file stays one that internal/trace/order.go accepts.
 *
 * Two invariants: a running G is on an M that has a running P; a P in a system call is on an M whose G is in
 * a system call.
 */
#include <stdbool.h>
#include <stdint.h>

#include "export/gotrace_file.h"

/* tracev2.GoStatus */
enum { GS__GT_G_GONE, GS__GT_G_RUNNABLE, GS__GT_G_RUNNING, GS__GT_G_SYSCALL, GS__GT_G_WAITING };
/* tracev2.ProcStatus */
enum { GS__GT_P_RUNNING = 1, GS__GT_P_IDLE, GS__GT_P_SYSCALL };
/* Ranges of a G that are open. */
enum { GS__GT_IN_ASSIST = 1, GS__GT_IN_STW = 2 };

struct gs__gt_p {
	uint64_t id;
	uint32_t gen, seq;  /* generation of its last status, and events with a number since */
	struct gs__gt_m *m; /* that has it, NULL if idle */
	uint8_t status;
	/* A made-up P that may still get the number of a real one: where its only mention is. */
	bool made_up, renamable;
	uint32_t at, serial;
	struct gs__gt_p *next_idle; /* made up and idle */
	uint64_t idle_ns;           /* since then */
};

struct gs__gt_m {
	struct gs__gt_batch batch;
	struct gs__gt_p *p; /* NULL: none */
	uint64_t goid;      /* running or in a system call here; 0: none */
	int64_t back_ns;  /* its system call was over, though no P for it was seen; 0: it is not */
	uint64_t lost_ns; /* when its P was taken away */
	uint64_t
		switch_ns; /* a coroutine gave it to another one then, which one was not told; 0: not */
	bool guess;        /* because of that it is taken to be in one, nothing else tells so */
	uint32_t begin_at, begin_serial, begin_seq; /* where in the batch it began */
};

struct gs__gt_g {
	uint64_t goid; /* 0: empty slot */
	struct gs__gt_m *m;
	uint32_t gen, seq;
	uint32_t calls; /* 1 + index of its innermost open call, 0: none */
	uint8_t state, ranges;
	uint8_t stw; /* why it stopped the world: the release's number */
};

/* A request or a watched function that is going on: a task and a region of the trace. */
struct gs__gt_call {
	uint64_t task, sp;
	uint32_t next; /* 1 + index: the one around it, or the next free one */
	uint32_t depth, kind, name_len;
	char name[96];
};

/* Events of goroutines that are gone may still come: the last ones are remembered. */
#define GS__GT_GONE 4096u

/* Append an event with arguments. */
#define GS__GT_EMIT(s, m, t, type, ...)                                                            \
	gs__gt_emit(s, m, t, type, (const uint64_t[]){ __VA_ARGS__ },                              \
		    sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

struct gs__gt_sched {
	struct gs__gt_file file;
	struct gs__gt_g *g; /* open addressing, at most half full */
	uint32_t n_g, n_g_slots;
	uint64_t gone[GS__GT_GONE], n_gone;
	struct gs__gt_m **m;
	uint32_t n_m, m_cap, *m_slots, n_m_slots; /* slots: 1 + index */
	struct gs__gt_p **p;                      /* real ones by number; NULL: not seen */
	uint32_t n_p;
	struct gs__gt_p **made_up, *idle;
	uint32_t n_made_up;
	struct gs__gt_call *calls;
	uint32_t n_calls, calls_cap, free_call;
	uint64_t last_task;
	uint64_t seen, repaired, untracked;
	struct gs__gt_m *last_m; /* last heard of */
	uint64_t past_ns;        /* not 0: events are of then, see when() */
	struct gs__gt_m nobody;  /* the batch of no thread */
};

/** @return 0 or -ENOMEM; gs__gt_sched_deinit() is right in any case. */
GS_CHECKED int gs__gt_sched_init(struct gs__gt_sched *s, struct gs_out *out,
				 struct gs_event_source *source, bool go122, struct gs_err *err);
void gs__gt_sched_deinit(struct gs__gt_sched *s);

/** Whether it ended not long ago: what is told of it now is late. */
bool gs__gt_gone(struct gs__gt_sched *s, uint64_t goid);
/** The goroutine, or NULL; also one that is gone. Pointers hold until one is added or removed. */
struct gs__gt_g *gs__gt_g(struct gs__gt_sched *s, uint64_t goid);
/** The thread, made if need be; NULL for tid 0 and below, and when there are too many. Stays. */
struct gs__gt_m *gs__gt_m(struct gs__gt_sched *s, int32_t tid);
/** The thread, or NULL if nothing has been heard of it. */
struct gs__gt_m *gs__gt_m_known(struct gs__gt_sched *s, int32_t tid);
/** The thread is gone: what it had is idle, or runnable. */
void gs__gt_m_exit(struct gs__gt_sched *s, int32_t tid, int64_t t_ns);

/** An entry for a goroutine that has none; NULL if there are too many. */
struct gs__gt_g *gs__gt_g_add(struct gs__gt_sched *s, uint64_t goid, uint8_t state);
/** It ended. Its entry stays for a while, so that late events of it are known to be late. */
void gs__gt_g_gone(struct gs__gt_sched *s, struct gs__gt_g *g);

/** First sight of a goroutine in the first generation. @m is NULL unless running or in a system call. */
struct gs__gt_g *gs__gt_g_status(struct gs__gt_sched *s, uint64_t goid, uint8_t state,
				 struct gs__gt_m *m, uint64_t stack, int64_t t_ns);
/** Give @m the P with this number; -1: any it can have. */
bool gs__gt_take_p(struct gs__gt_sched *s, struct gs__gt_m *m, int32_t p, int64_t t_ns);
/**
 * The goroutine begins to run on @m with P number @p (-1: not known), whatever it and the thread did before.
 * @return it; NULL if it cannot be followed.
 */
struct gs__gt_g *gs__gt_run(struct gs__gt_sched *s, uint64_t goid, struct gs__gt_m *m, int32_t p,
			    int64_t t_ns);
/** It was just seen to run on @m: no change if that is known, else as gs__gt_run(). */
struct gs__gt_g *gs__gt_runs(struct gs__gt_sched *s, uint64_t goid, struct gs__gt_m *m,
			     int64_t t_ns);
/** Running -> waiting, -> runnable, -> gone. @g runs. */
void gs__gt_block(struct gs__gt_sched *s, struct gs__gt_g *g, uint64_t reason, uint64_t stack,
		  int64_t t_ns);
/** The same for a coroutine: it gives its thread to another one, whose next event tells which. */
void gs__gt_switch(struct gs__gt_sched *s, struct gs__gt_g *g, uint64_t reason, uint64_t stack,
		   int64_t t_ns);
void gs__gt_stop(struct gs__gt_sched *s, struct gs__gt_g *g, uint64_t reason, uint64_t stack,
		 int64_t t_ns);
void gs__gt_destroy(struct gs__gt_sched *s, struct gs__gt_g *g, int64_t t_ns);
/** Waiting (or whatever it was) -> runnable. The event is one of thread @m, NULL for none. */
void gs__gt_unblock(struct gs__gt_sched *s, uint64_t goid, struct gs__gt_m *m, uint64_t stack,
		    int64_t t_ns);
/** A new goroutine, runnable; nothing if it is known. @m has a P. */
struct gs__gt_g *gs__gt_create(struct gs__gt_sched *s, uint64_t goid, struct gs__gt_m *m,
			       uint64_t start, uint64_t stack, int64_t t_ns);
/** It was in a system call from @begin_ns to @t_ns, blocked, and its P may be gone. */
void gs__gt_syscall(struct gs__gt_sched *s, struct gs__gt_g *g, uint64_t stack, int64_t begin_ns,
		    int64_t t_ns);
/** It came back from a system call without a P: runnable. */
void gs__gt_syscall_end_blocked(struct gs__gt_sched *s, struct gs__gt_g *g, int64_t t_ns);

/** A thread that has a P, or NULL; with @goroutine: that also runs a goroutine. For events that need one. */
struct gs__gt_m *gs__gt_any_m(struct gs__gt_sched *s, bool goroutine);
/** Append an event of @m's thread; its time is just after the last one, or @t_ns. */
void gs__gt_emit(struct gs__gt_sched *s, struct gs__gt_m *m, int64_t t_ns, uint8_t type,
		 const uint64_t *args, uint32_t n);
/** Write out all batches and the generation's tables. */
void gs__gt_cut(struct gs__gt_sched *s);

/* What a goroutine is doing beside its states (gotrace_calls.c): a task and a region for each request or
 * watched function, a range for a GC assist and for a stopped world. @g runs. */

/** A call begins. @name is cut. */
void gs__gt_call_begin(struct gs__gt_sched *s, struct gs__gt_g *g, const struct gs_event *e,
		       const char *name, size_t name_len);
/** The innermost call of this kind and stack pointer ends, and with it those inside of it. */
void gs__gt_call_end(struct gs__gt_sched *s, struct gs__gt_g *g, const struct gs_event *e);
/** A range (GS__GT_IN_*) begins or ends; nothing if it has already. @reason: of a stopped world. */
void gs__gt_range_begin(struct gs__gt_sched *s, struct gs__gt_g *g, uint8_t range, uint64_t reason,
			uint64_t stack, int64_t t_ns);
void gs__gt_range_end(struct gs__gt_sched *s, struct gs__gt_g *g, uint8_t range, int64_t t_ns);
/** All of these end, because the goroutine does. */
void gs__gt_calls_end(struct gs__gt_sched *s, struct gs__gt_g *g, int64_t t_ns);

#endif
