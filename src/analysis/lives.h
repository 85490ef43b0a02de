/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_LIVES_H
#define GS_ANALYSIS_LIVES_H

/*
 * What each goroutine did when: exact intervals that do not overlap and leave no gap. Fed with events in the order
 * of time, it keeps as much of the latest past as fits its memory and forgets the oldest first. Nothing is allocated per event.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "model/event.h"

enum gs_interval_kind {
	GS_IVL_NONE = 0,
	GS_IVL_UNKNOWN, /* known to exist, but not what it did */
	GS_IVL_READY,   /* waits for Go's scheduler */
	GS_IVL_ON,      /* on a CPU, one stretch up to the next event that carries usage */
	GS_IVL_OFF,     /* its thread was off CPU */
	GS_IVL_WAIT,    /* parked */
	GS_IVL_SAMPLE,  /* no length: its stack at a moment of the ON interval that ends after it */
};

enum {
	GS_IVL_F_ASSIST = 1,   /* ON: works for the collector */
	GS_IVL_F_NO_WAKER = 2, /* WAIT: it ran again though nobody was seen to make it runnable */
	GS_IVL_F_DOUBTFUL = 4, /* an event at one of its ends was not seen */
	GS_IVL_F_NETPOLL = 8,  /* WAIT: the network poller ended it */
	GS_IVL_F_SYSCALL = 16, /* OFF: in a system call; READY: came back from one */
	GS_IVL_F_FAULT = 32,   /* OFF: in a page fault */
	GS_IVL_F_MAJOR = 64,
	GS_IVL_F_RECLAIM = 128,
	GS_IVL_F_CGO = 256,
	GS_IVL_F_RUNNABLE = 512, /* OFF: the kernel took the CPU away from it */
	GS_IVL_F_OPEN = 1024,    /* still going on: what a CPU was used for is not known yet */
	GS_IVL_F_IO_WAIT = 2048,
	GS_IVL_F_UNSEEN = 4096, /* ON: whether its thread was on a CPU and what for was not seen */
};

struct gs_interval {
	int64_t start_ns, end_ns;
	uint32_t goid_low; /* whose: guards against numbers that came round again */
	uint32_t prev;     /* of the same goroutine, 0: none */
	uint32_t stack, kernel_stack;
	uint8_t kind; /* enum gs_interval_kind */
	uint8_t wait; /* enum gs_wait */
	uint16_t flags;
	int32_t tid;
	union {
		struct {
			uint64_t object, waker;
			uint32_t waker_stack, file;
			uint32_t prev_object; /* the previous wait for it by anyone, 0: none */
			uint16_t n_cases;
			char io_mode;
		} wait_for;
		struct {
			uint32_t kernel_ns, fault_minor_ns, fault_major_ns, reclaim_ns, cgo_ns;
		} on;
		struct {
			int64_t wake_ns; /* runnable from here */
			uint64_t waker, arg;
			uint32_t file;
			int32_t syscall; /* -1: none */
		} off;
		struct {
			uint64_t waker;
			uint32_t waker_stack;
			uint32_t runnable; /* goroutines that waited as well */
		} ready;
	};
};

/* One goroutine. Kept for a while after its end. */
struct gs_life {
	uint64_t goid, parent;
	int64_t born_ns; /* 0: not seen */
	const struct gs_frame *start;
	struct gs_interval open; /* what it does now; end_ns is not set */
	uint32_t last;           /* newest closed interval, 0: none */
	uint32_t file;           /* last file waited for */
	uint32_t assist_stack;
	bool in_assist, dead;
	uint32_t call; /* innermost open call (requests.h), 0: none */
	uint32_t next_hash, next_dead;
};

struct gs_lives_limits {
	size_t bytes;       /* of intervals; 0: 16 MiB */
	uint32_t max_lives; /* 0: 262144 */
};

struct gs_lives_counts {
	uint64_t events, intervals, forgotten; /* forgotten: of intervals, the oldest */
	uint64_t repeated;                     /* events that told nothing new */
	uint64_t doubtful;                     /* events that contradicted what was known */
	uint64_t not_followed;                 /* events of goroutines beyond the limit */
	uint64_t
		thinned; /* goroutines that were followed and are not any more, see GS_EV_THINNED */
	uint32_t lives, runnable; /* now */
};

struct gs_lives;

/** NULL when out of memory. */
struct gs_lives *gs_lives_new(const struct gs_lives_limits *limits);
struct gs_lives *gs_lives_free(struct gs_lives *l);
GS_DEFINE_CLEANUP(struct gs_lives *, gs_lives_free)

/** Take in one event. Events may repeat, contradict each other and be a little out of order. */
void gs_lives_event(struct gs_lives *l, const struct gs_event *e);

/** The life of a goroutine, borrowed until the next event; NULL if unknown. */
struct gs_life *gs_lives_find(struct gs_lives *l, uint64_t goid);
/** Whether the stream says nothing of it any more, see GS_EV_THINNED. */
bool gs_lives_thinned_out(const struct gs_lives *l, uint64_t goid);
/** Whether that is so with any. */
bool gs_lives_is_thinned(const struct gs_lives *l);
/** Time of the latest event. */
int64_t gs_lives_now(const struct gs_lives *l);
/** Time within [@a, @b) in which the world was stopped. */
int64_t gs_lives_stopped_ns(const struct gs_lives *l, int64_t a, int64_t b);
/** What a file number of an interval means; NULL for 0 and for forgotten ones. */
const struct gs_file_ref *gs_lives_file(const struct gs_lives *l, uint32_t file);
const struct gs_lives_counts *gs_lives_counts(const struct gs_lives *l);

/* Back through a life: intervals that overlap a window, latest first. */
struct gs_life_walk {
	const struct gs_lives *l;
	const struct gs_life *life;
	int64_t from_ns, to_ns;
	uint32_t next;
	bool open_done;
	struct gs_interval current; /* of an open interval, with an end */
	bool forgotten;             /* the past was followed to where it is not kept any more */
	int64_t reached_ns;         /* start of the earliest one given out; @to_ns at first */
};

void gs_life_walk_init(struct gs_life_walk *w, const struct gs_lives *l, const struct gs_life *life,
		       int64_t from_ns, int64_t to_ns);
/** The next one; NULL when the window, or what is known, is exhausted. Borrowed until the next event. */
const struct gs_interval *gs_life_walk_next(struct gs_life_walk *w);
/** The next sample of the ON interval that was given out last; NULL when there is none left. */
const struct gs_interval *gs_life_walk_sample(struct gs_life_walk *w);
/** The wait for the same object that ended before @v did; NULL if none is kept. */
const struct gs_interval *gs_lives_previous_wait(const struct gs_lives *l,
						 const struct gs_interval *v);
/* A piece of another goroutine's interval. */
struct gs_overlap {
	const struct gs_interval *v;
	int64_t a, b;
};

/** What held Ps within [@a, @b) of @v, which waited for one: a bounded look at what is kept, back to *@ret_from.
 *  @return how many were set; none of them is before that. */
uint32_t gs_lives_beside(const struct gs_lives *l, const struct gs_interval *v, int64_t a,
			 int64_t b, struct gs_overlap *ret, uint32_t max, int64_t *ret_from);
/** The latest sample in an ON interval; NULL if there is none. */
const struct gs_interval *gs_lives_sample_in(const struct gs_lives *l, const struct gs_interval *v);

#endif
