/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_PERFETTO_TRACKS_H
#define GS_EXPORT_PERFETTO_TRACKS_H

/*
 * The tracks of a timeline for Perfetto and what is open on each: goroutines with their states, threads and Ps with
 * the goroutine that they run. Slices of a track nest whatever is called in what order, and times on a track
 * never go back.
 */
#include <stdbool.h>
#include <stdint.h>

#include "export/perfetto_packets.h"
#include "export/timeline.h"

#define GS__PT_P_MAX 4096
#define GS__PT_DEPTH 8 /* calls of a goroutine that are shown inside each other */
#define GS__PT_NAME_MAX 160
#define GS__PT_GONE 4096u

/* Kinds of tracks: the top bits of their numbers. */
enum {
	GS__PT_PROCESS = 1,
	GS__PT_GROUP_P,
	GS__PT_GROUP_G,
	GS__PT_THREAD,
	GS__PT_P,
	GS__PT_G,
	GS__PT_GC,
	GS__PT_STW,
	GS__PT_COUNTER
};

static inline uint64_t gs__pt_uuid(unsigned int kind, uint64_t id)
{
	return (uint64_t)kind << 58 | (id & ((UINT64_C(1) << 58) - 1));
}

/* What a goroutine is inside of. */
struct gs__pt_call {
	uint8_t kind; /* enum gs_call_kind; 0: a GC assist */
	uint64_t sp;
};

struct gs__pt_goroutine {
	uint64_t goid;
	int64_t last_ns; /* of its track */
	uint64_t state;  /* name of the slice that is open, or would be if the track were there */
	const struct gs_frame *start;
	uint64_t flow; /* arrow on the way to it */
	uint32_t stack;
	int32_t tid, p; /* runs on; 0 and -1: does not */
	bool told, open;
	uint8_t depth;
	struct gs__pt_call call[GS__PT_DEPTH];
};

struct gs__pt_thread {
	int32_t tid;
	int64_t last_ns;
	uint64_t goid; /* the slice that is open; 0: none */
	/* A coroutine gave it, and the P, to another one then, which one was not told; 0: not. */
	int64_t switch_ns;
	int32_t switch_p;
};

struct gs__pt_p {
	bool told;
	uint64_t goid; /* the slice that is open; 0: none */
	int64_t last_ns;
};

/* A hash table from numbers to places in an array: open addressing, at most half full. */
struct gs__pt_ids {
	uint64_t *key;
	uint32_t *place, n, n_slots;
};

struct gs_timeline_writer {
	struct gs__pf pf;
	struct gs_event_source *source;
	const char *(*syscall_name)(const char *goarch, int32_t number);
	int64_t now_ns;
	struct gs__pt_goroutine *g;
	uint32_t n_g, g_cap, *g_free, n_g_free;
	struct gs__pt_ids g_ids, t_ids;
	uint64_t gone[GS__PT_GONE], n_gone;
	struct gs__pt_thread *t;
	uint32_t n_t, t_cap;
	struct gs__pt_p *p;
	uint64_t flows, events, seen, untracked;
	uint64_t running, runnable; /* names */
	uint32_t counters_told;
	bool gc_on, stw_on, gc_told, stw_told, started;
};

/** The process's own tracks. */
void gs__pt_first(struct gs_timeline_writer *w);
/** A track that is neither a thread nor a counter. */
void gs__pt_plain(struct gs_timeline_writer *w, uint64_t id, uint64_t parent, const char *name,
		  bool ordered);
/** A number for a name of slices. */
uint64_t gs__pt_name(struct gs_timeline_writer *w, const char *s);
/** The target's process id, 1 if it is not known. */
int32_t gs__pt_pid(const struct gs_timeline_writer *w);

/** The goroutine; NULL if it has not been seen. */
struct gs__pt_goroutine *gs__pt_find(struct gs_timeline_writer *w, uint64_t goid);
/** The goroutine, made if need be; NULL if there are too many. Holds until the next one is made. */
struct gs__pt_goroutine *gs__pt_goroutine(struct gs_timeline_writer *w, uint64_t goid);
/** It is gone. */
void gs__pt_forget(struct gs_timeline_writer *w, struct gs__pt_goroutine *g);
/** The thread, made with its track if need be; NULL for none. Holds until the next one is made. */
struct gs__pt_thread *gs__pt_thread(struct gs_timeline_writer *w, int32_t tid);

/** Something happens to it: from now on it has a track, with the state it was in. */
void gs__pt_tell(struct gs_timeline_writer *w, struct gs__pt_goroutine *g);
/** The slice of its state ends; another begins. */
void gs__pt_state_close(struct gs_timeline_writer *w, struct gs__pt_goroutine *g);
void gs__pt_state(struct gs_timeline_writer *w, struct gs__pt_goroutine *g,
		  struct gs__pf_what *what);
/** It runs on @tid and P @p (-1: not known); it does not run any more. */
void gs__pt_run(struct gs_timeline_writer *w, struct gs__pt_goroutine *g, int32_t tid, int32_t p);
void gs__pt_leave(struct gs_timeline_writer *w, struct gs__pt_goroutine *g);
/** The slice of a thread or P ends, if it is that of @goid. */
void gs__pt_thread_leave(struct gs_timeline_writer *w, int32_t tid, uint64_t goid);
void gs__pt_p_leave(struct gs_timeline_writer *w, int32_t p, uint64_t goid);

#endif
