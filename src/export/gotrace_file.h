/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_GOTRACE_FILE_H
#define GS_EXPORT_GOTRACE_FILE_H

/*
 * The file half of a Go execution trace: generations, batches and tables, as internal/trace/tracev2 (Go
 * 1.25 and later; before internal/trace/event/go122) lays them down. What events mean and when they are
 * allowed is gotrace_sched.c's business.
 *
 *	file        16-byte header, then generations
 *	generation  batches of events, one thread each; a frequency; tables of strings, stacks, CPU samples
 *	batch       1, generation, thread, time, size, then up to 64 KiB of events: type, time since the one
 *	            before, arguments. All numbers are unsigned LEB128
 *
 * Strings and stacks keep their number for the whole file and are written anew into each generation
 * that uses them.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/out.h"
#include "export/pprof_tables.h"
#include "model/event.h"

#define GS__GT_NO_THREAD UINT64_MAX

/* Event types: tracev2.EventType. */
enum {
	GS__GT_PROCS_CHANGE = 9,
	GS__GT_PROC_START,
	GS__GT_PROC_STOP,
	GS__GT_PROC_STEAL,
	GS__GT_PROC_STATUS,
	GS__GT_GO_CREATE,
	GS__GT_GO_START = 16,
	GS__GT_GO_DESTROY,
	GS__GT_GO_STOP = 19,
	GS__GT_GO_BLOCK,
	GS__GT_GO_UNBLOCK,
	GS__GT_GO_SYSCALL_BEGIN,
	GS__GT_GO_SYSCALL_END,
	GS__GT_GO_SYSCALL_END_BLOCKED,
	GS__GT_GO_STATUS,
	GS__GT_STW_BEGIN,
	GS__GT_STW_END,
	GS__GT_GC_ACTIVE,
	GS__GT_GC_BEGIN,
	GS__GT_GC_END,
	GS__GT_ASSIST_BEGIN = 35,
	GS__GT_ASSIST_END,
	GS__GT_HEAP_ALLOC,
	GS__GT_HEAP_GOAL,
	GS__GT_TASK_BEGIN = 40,
	GS__GT_TASK_END,
	GS__GT_REGION_BEGIN,
	GS__GT_REGION_END,
	GS__GT_LOG,
	GS__GT_GO_STATUS_STACK = 48, /* Go 1.23 */
};

/* A batch being filled: the events of one thread. Zero-initialised but for @m. */
struct gs__gt_batch {
	uint64_t m;      /* thread id, or GS__GT_NO_THREAD */
	uint8_t *buf;    /* allocated with the first event */
	uint32_t len;    /* 0: no batch is open */
	uint32_t serial; /* of the open one, to know later whether it still is */
	uint64_t base_ns, last_ns;
	uint32_t last_at;   /* where the last event begins */
	uint64_t before_ns; /* time of the event before it */
};

/* A table of the generation being filled: the body of its next batch. */
struct gs__gt_chunk {
	uint8_t kind;
	uint8_t *buf;
	uint32_t len;
};

/* In which generation things with dense numbers were last written. */
struct gs__gt_written {
	uint32_t *gen;
	uint32_t n;
};

struct gs__gt_file {
	struct gs_out *out;
	struct gs_event_source *source;
	uint64_t now_ns; /* time of the last event, never goes back */
	uint64_t gen_start_ns;
	uint64_t gen_bytes;    /* written of this generation */
	uint64_t header_total; /* out->total when it began */
	uint32_t gen;          /* from 1 */
	bool any;              /* an event is in this generation */
	bool status_stacks;    /* of Go 1.23 and later */
	struct gs__gt_chunk strings, stacks, samples;
	struct gs__string_table names;
	struct gs__pair_table starts;
	struct gs__gt_written name_written, stack_written, start_written;
	uint64_t n_once;    /* strings without a place in @names, this generation */
	uint64_t untracked; /* stacks left out */
	int error;          /* sticky, negative */
};

/** @return 0 or -ENOMEM; gs__gt_file_deinit() is right in any case. Writes the header. */
GS_CHECKED int gs__gt_file_init(struct gs__gt_file *f, struct gs_out *out,
				struct gs_event_source *source, bool go122, struct gs_err *err);
void gs__gt_file_deinit(struct gs__gt_file *f);

/** The time of the next event: @t_ns, or just after the event before. Times below 2^62 are kept. */
static inline uint64_t gs__gt_tick(struct gs__gt_file *f, int64_t t_ns)
{
	uint64_t t = t_ns > 0 && t_ns < INT64_MAX / 2 ? (uint64_t)t_ns : 0;

	f->now_ns = t > f->now_ns ? t : f->now_ns + 1;
	return f->now_ns;
}

/**
 * Append an event to @b. @t_ns must not be before the batch's last event; it may be before events of other
 * threads as long as neither needs the other.
 * @return where in the batch the arguments begin.
 */
uint32_t gs__gt_event(struct gs__gt_file *f, struct gs__gt_batch *b, uint64_t t_ns, uint8_t type,
		      const uint64_t *args, uint32_t n);
/** Take back the last event, if it is the one that began at @at of the batch with this serial number. */
bool gs__gt_take_back(struct gs__gt_batch *b, uint32_t serial, uint32_t at);
/** Write out what the batch holds. */
void gs__gt_flush(struct gs__gt_file *f, struct gs__gt_batch *b);
void gs__gt_batch_deinit(struct gs__gt_batch *b);
/** Replace the first argument of the GS__GT_PROC_STATUS whose arguments begin at @at in the open batch. */
void gs__gt_patch(struct gs__gt_batch *b, uint32_t at, uint64_t v);

/** A number for a string; empty ones are 0. At most 1024 bytes of it are kept. */
uint64_t gs__gt_string(struct gs__gt_file *f, const char *s, size_t n);
/** The same for strings that will not come again, such as paths. */
uint64_t gs__gt_string_once(struct gs__gt_file *f, const char *s, size_t n);
/** A number for a stack of the source; 0 for none. */
uint64_t gs__gt_stack(struct gs__gt_file *f, uint32_t id);
/** A number for a stack of one frame, which names a goroutine; 0 if @frame is NULL. */
uint64_t gs__gt_start(struct gs__gt_file *f, const struct gs_frame *frame);
/** Whether the outermost frame of a stack is the goroutine's first function. */
bool gs__gt_stack_complete(struct gs__gt_file *f, uint32_t id);
/** A CPU sample; @p negative: none. */
void gs__gt_sample(struct gs__gt_file *f, uint64_t m, int64_t p, uint64_t g, uint64_t stack);

/** End the generation: frequency and tables. All batches must have been flushed. Begins the next one. */
void gs__gt_generation_end(struct gs__gt_file *f);
/** Whether the generation has become long enough to be ended. */
bool gs__gt_generation_full(const struct gs__gt_file *f);

#endif
