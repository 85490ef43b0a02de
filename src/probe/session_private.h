/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_PROBE_SESSION_PRIVATE_H
#define GS_PROBE_SESSION_PRIVATE_H

/* What the files of a session share: rings (session_rings.c), checks of records (session_record.c),
 * loading (session_load.c), attaching (session_attach.c) and the object itself (session.c). */
#include "probe/session.h"

/* --- rings -------------------------------------------------------------------------------------- */

/* A BPF ring buffer as its reader maps it (kernel/bpf/ringbuf.c: struct bpf_ringbuf, Linux 5.8). */
struct gs__ring {
	uint64_t *consumer_pos;       /* ours to write, a page of its own */
	const uint64_t *producer_pos; /* first word of the read-only mapping */
	const uint8_t
		*data; /* @size bytes, and once more the first ones for records across the end */
	uint64_t size; /* power of two */
	uint64_t pos;  /* read up to here; the kernel learns it in steps of @release */
	uint64_t release;
	void *map;
	size_t map_bytes;
	uint64_t rejected; /* records that are not what the wire header says */
};

/** Map the ring of @fd, of @size bytes. @return 0 or a negative errno. */
GS_CHECKED int gs__ring_map(struct gs__ring *ret, int fd, size_t size);
/** Also for one that is zeroed. */
void gs__ring_unmap(struct gs__ring *r);
/** Whether something waits, be it a record that is not finished. */
static inline bool gs__ring_waiting(const struct gs__ring *r)
{
	return __atomic_load_n(r->producer_pos, __ATOMIC_ACQUIRE) != r->pos;
}
/**
 * Hand out what is there at the time of the call, up to the first record that is not finished.
 * @return number of records handed out.
 */
int64_t gs__ring_drain(struct gs__ring *r, enum gs_wire_ring which, gs_probe_record_fn *fn,
		       void *ctx);

/** Whether @size bytes at @h are a record of this ring in all that readers rely on: kind, size, counts. */
bool gs__record_ok(enum gs_wire_ring ring, const struct gs_wire_head *h, size_t size);

/* --- programs ----------------------------------------------------------------------------------- */

/* Programs of the object: enum gs_probe_program, and a second one for the end of faults. */
#define GS__PROG_FAULT_MAJOR GS_PROG_COUNT
#define GS__PROGS (GS_PROG_COUNT + 1)

/** "gs_gopark". */
const char *gs__program_name(unsigned int program);
/** What stands for @program in a plan. */
static inline enum gs_probe_program gs__program_site(unsigned int program)
{
	return program == GS__PROG_FAULT_MAJOR ? GS_PROG_FAULT_END : (enum gs_probe_program)program;
}
/** Programs that are of no use alone have the same number, that of the first of them. */
enum gs_probe_program gs__program_unit(unsigned int program);
/** Index by name; GS__PROGS if there is none. */
unsigned int gs__program_by_name(const char *name);

struct gs_stream_bpf;
struct gs_wire_control;

/* A thing that keeps a program running: link or perf event. Closing it detaches. */
struct gs__attached {
	int fd;
	uint8_t group;   /* enum gs_probe_group */
	uint8_t program; /* enum gs_probe_program */
};

struct gs_probe_session {
	struct gs_probe_session_options o;
	const struct gs_probe_plan *plan;
	struct gs_stream_bpf *skel;
	volatile struct gs_wire_control *control; /* mapped, shared with the programs */
	int prog_fd[GS__PROGS];                   /* borrowed from @skel; -1: not loaded */
	int counters_fd, hits_fd, threads_fd;     /* the same */
	int ring_fd[GS_WIRE_RINGS];               /* the same */
	struct gs__ring ring[GS_WIRE_RINGS];
	int epoll_fd;
	bool multi;    /* uprobe_multi links; else perf events */
	bool busy;     /* ADAPTIVE: the last look found something */
	bool detached; /* nothing is attached any more */
	struct gs__attached *attached;
	uint32_t n_attached, cap_attached;
	uint64_t wanted;  /* bit per program that the plan has sites for */
	uint64_t refused; /* bit per program unit */
	struct gs_probe_missing missing[GS_PROG_COUNT];
	uint32_t n_missing;
	unsigned int n_cpus; /* possible ones */
	void *per_cpu;       /* a value for each of them, of struct gs_wire_counters or uint64_t */
	int64_t load_ns, attach_ns;
};

/** Whether the plan wants @program and it has not been refused. */
bool gs__session_wants(const struct gs_probe_session *s, unsigned int program);
/** Whether the answer is nothing without @program (of the groups goroutines and requests). */
bool gs__session_needs(const struct gs_probe_session *s, enum gs_probe_program program);
/** Go on without the unit of @program; the text is kept for gs_probe_session_missing(). */
void gs__session_refuse(struct gs_probe_session *s, enum gs_probe_program program, const char *fmt,
			...) GS_PRINTF(3, 4);

/** Open and load the object; fills @skel, @control, the descriptors. Programs that the kernel refuses and the
 *  answer does not need are left out. */
GS_CHECKED int gs__session_load(struct gs_probe_session *s, struct gs_err *err);
void gs__session_unload(struct gs_probe_session *s);

/** Attach all that is loaded; those that the answer can do without may fail. On failure something
 *  may be attached: gs__session_detach_if() ends it. */
GS_CHECKED int gs__session_attach(struct gs_probe_session *s, struct gs_features *features,
				  struct gs_err *err);
/** Detach those of @group, or all if it is 0. */
void gs__session_detach_if(struct gs_probe_session *s, enum gs_probe_group group);
/** Close descriptors that each wait for the kernel, all at the same time. */
void gs__close_all(int *fds, uint32_t n);

#endif
