/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_PERFETTO_PACKETS_H
#define GS_EXPORT_PERFETTO_PACKETS_H

/*
 * Perfetto's trace packets, the writing half: tracks, slices, counters and flows as protos/perfetto/trace
 * (trace_packet.proto, track_event/track_event.proto, track_descriptor.proto, interned_data.proto) define
 * them. One packet sequence: names and stacks go out once, before the first packet that refers to their number.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/out.h"
#include "export/pprof_tables.h"
#include "model/event.h"

/* Annotations of slices, in the order of their names in perfetto_packets.c. */
enum gs__pf_key {
	GS__PF_NONE,
	GS__PF_GOROUTINE,
	GS__PF_THREAD,
	GS__PF_P,
	GS__PF_REASON,
	GS__PF_WHERE,
	GS__PF_OBJECT,
	GS__PF_PEER,
	GS__PF_FILE,
	GS__PF_STATUS,
	GS__PF_PATH,
	GS__PF_PATTERN,
	GS__PF_WAKER,
	GS__PF_SYSCALL,
	GS__PF_WAITED_FOR_CPU,
	GS__PF_PREEMPTED,
	GS__PF_BYTES,
	GS__PF_KEYS
};
enum gs__pf_category {
	GS__PF_CAT_NONE,
	GS__PF_CAT_GOROUTINE,
	GS__PF_CAT_THREAD,
	GS__PF_CAT_P,
	GS__PF_CAT_CALL,
	GS__PF_CAT_RUNTIME,
	GS__PF_CATEGORIES
};

#define GS__PF_ARGS 6

/* What a slice or an instant says beside its name. Zero-initialised. */
struct gs__pf_what {
	uint64_t name; /* number of gs__pf_name() */
	enum gs__pf_category category;
	uint64_t flow, flow_end; /* numbers of an arrow that begins and that ends here */
	uint64_t stack;          /* number of gs__pf_stack() */
	struct {
		enum gs__pf_key key;
		const char *text; /* NULL: @number */
		size_t len;
		uint64_t number;
	} arg[GS__PF_ARGS];
	uint32_t n_args;
};

struct gs__pf {
	struct gs_out *out;
	struct gs_out buf; /* finished packets, and the one being built */
	struct gs_event_source *source;
	struct gs__string_table names, functions, files;
	struct gs__pair_table frames;
	uint8_t *stack_told; /* by id: 1 */
	uint32_t n_stack_told;
	int error; /* sticky, negative */
};

/* TrackDescriptor.ChildTracksOrdering */
enum { GS__PF_ORDER_EXPLICIT = 3 };

struct gs__pf_track {
	uint64_t uuid, parent;
	const char *name; /* NULL: none */
	size_t name_len;
	int32_t pid, tid;    /* pid without tid: a process; with: a thread; 0: neither */
	bool counter, bytes; /* a counter, of bytes */
	bool ordered;        /* its children stand in the order of their ranks */
	int32_t rank;        /* among its siblings; 0: none */
};

/** @return 0 or -ENOMEM; gs__pf_deinit() is right in any case. Begins the sequence. */
GS_CHECKED int gs__pf_init(struct gs__pf *p, struct gs_out *out, struct gs_event_source *source,
			   int64_t now_ns, int64_t now_unix_ns, struct gs_err *err);
void gs__pf_deinit(struct gs__pf *p);
/** Hand all finished packets to the output. */
void gs__pf_flush(struct gs__pf *p);

/** Describe a track, before its first event. */
void gs__pf_track(struct gs__pf *p, const struct gs__pf_track *t);
/** A number for the name of slices; names of few kinds only. */
uint64_t gs__pf_name(struct gs__pf *p, const char *s, size_t n);
/** A number for a stack of the source; 0: none. */
uint64_t gs__pf_stack(struct gs__pf *p, uint32_t id);

void gs__pf_slice_begin(struct gs__pf *p, uint64_t track, int64_t t_ns,
			const struct gs__pf_what *what);
/** End the innermost slice of a track; @what (may be NULL) adds to it. */
void gs__pf_slice_end(struct gs__pf *p, uint64_t track, int64_t t_ns,
		      const struct gs__pf_what *what);
void gs__pf_instant(struct gs__pf *p, uint64_t track, int64_t t_ns, const struct gs__pf_what *what);
void gs__pf_counter(struct gs__pf *p, uint64_t track, int64_t t_ns, uint64_t v);
/** A sample of a thread on a CPU. */
void gs__pf_sample(struct gs__pf *p, int64_t t_ns, int32_t pid, int32_t tid, uint64_t stack);

/** Add an annotation; the text is borrowed until @what is written. */
void gs__pf_arg_text(struct gs__pf_what *what, enum gs__pf_key key, const char *s, size_t n);
void gs__pf_arg(struct gs__pf_what *what, enum gs__pf_key key, uint64_t v);

#endif
