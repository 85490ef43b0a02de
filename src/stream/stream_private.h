/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_STREAM_STREAM_PRIVATE_H
#define GS_STREAM_STREAM_PRIVATE_H

/* What the files of src/stream share: ordering (order.c), stacks by number (stream_stacks.c), records to
 * events (wire_events.c), goroutines at the start (snapshot.c), labels (live_labels.c). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "bpf/stream.wire.h"
#include "model/event.h"
#include "probe/ksyms.h"
#include "runtime/rt.h"
#include "stream/stream.h"

/** The most memory that gosonde had so far (VmHWM); 0: not known. */
uint64_t gs__self_rss_bytes(void);

/* --- order -------------------------------------------------------------------------------------- */

/* Where a record lies, and when it was made. */
struct gs__order_key {
	uint64_t ts_ns;
	uint32_t at; /* in the lane's bytes */
};

/* One ring's records that were not taken yet, sorted by time. */
struct gs__lane {
	struct gs__order_key *key; /* [first, n) are waiting */
	uint32_t first, n, cap;
	uint8_t *bytes;
	size_t len, cap_bytes;
};

/* Sequence numbers of a CPU and ring: which of the 64 from @base on were seen. */
struct gs__seq {
	uint32_t base;
	uint64_t seen;
};

#define GS__ORDER_LANES 2 /* GO, KERNEL: stacks need no order */
#define GS__ORDER_CPUS 4096

struct gs__order {
	struct gs__lane lane[GS__ORDER_LANES];
	struct gs__seq *seq; /* [lane][cpu], n_cpus each */
	uint32_t n_cpus;
	size_t limit_bytes;  /* of both lanes together */
	uint64_t release_ns; /* what is older may be taken */
	uint64_t last_ns;    /* of the record taken last */
	uint64_t dropped;    /* for lack of room */
	uint64_t late;       /* came after younger ones had been taken */
	uint64_t most_late_ns;
	uint64_t gap; /* records that are missing before the one taken last */
};

GS_CHECKED int gs__order_init(struct gs__order *o, uint32_t n_cpus, size_t limit_bytes,
			      struct gs_err *err);
void gs__order_deinit(struct gs__order *o);
/** Keep a copy of a record of ring GO or KERNEL. When there is no room it is counted as dropped. */
void gs__order_add(struct gs__order *o, enum gs_wire_ring ring, const struct gs_wire_head *h,
		   size_t size);
/** Allow taking what is older than @ns. */
void gs__order_release(struct gs__order *o, uint64_t ns);
/** Time of the record that gs__order_take() would give; UINT64_MAX if none. */
uint64_t gs__order_next_ns(const struct gs__order *o);
/** Time of the oldest record that waits, whether it may be taken or not; UINT64_MAX if none. */
uint64_t gs__order_first_ns(const struct gs__order *o);
/** The oldest record that may be taken, NULL if there is none. Valid until gs__order_compact(). */
const struct gs_wire_head *gs__order_take(struct gs__order *o);
/** Give back the memory of taken records. */
void gs__order_compact(struct gs__order *o);
/** Visit what waits of a ring, oldest first. Records may be changed, but for their times. */
void gs__order_each(struct gs__order *o, enum gs_wire_ring ring,
		    void (*fn)(void *ctx, struct gs_wire_head *h), void *ctx);

/* --- stacks ------------------------------------------------------------------------------------- */

struct gs__stack_entry {
	uint64_t hash;
	uint64_t sp_word;
	uint32_t raw_at; /* in raw pcs */
	uint8_t n;
	uint8_t flags;              /* of the wire record */
	const struct gs_stack *pub; /* NULL until asked for */
};

struct gs__stacks {
	struct gs_rt *rt;       /* borrowed; NULL: nothing is symbolised */
	struct gs_ksyms *ksyms; /* opened when the first kernel stack is asked for */
	char ksyms_why[160];    /* why there are none */
	bool ksyms_tried;
	uint64_t kernel_unnamed; /* frames */
	struct gs__stack_entry *entry;
	uint32_t n, cap;
	uint32_t *slot; /* open addressing by hash: id, 0 free */
	uint32_t mask;
	uint64_t *raw;
	size_t n_raw, cap_raw;
	uint64_t refused; /* no room */
	struct gs_arena *arena;
};

GS_CHECKED int gs__stacks_init(struct gs__stacks *s, struct gs_rt *rt, struct gs_err *err);
void gs__stacks_deinit(struct gs__stacks *s);
/** Keep the stack of a record. Known ones are kept once. */
void gs__stacks_add(struct gs__stacks *s, const struct gs_wire_stack *w);
/** Number of a stack that is symbolised already (borrowed, must live as long as @s); 0 if NULL or empty. */
uint32_t gs__stacks_add_known(struct gs__stacks *s, const struct gs_stack *known);
/** Number of the stack with this hash, from 1; 0 if it never came. */
uint32_t gs__stacks_find(const struct gs__stacks *s, uint64_t hash);
/** The stack; symbolised at the first call. NULL for 0 and unknown numbers. */
const struct gs_stack *gs__stacks_get(struct gs__stacks *s, uint32_t id);

/* --- records to events -------------------------------------------------------------------------- */

struct gs__decoder {
	struct gs_rt *rt; /* for the frames of creators; NULL: none */
	struct gs__stacks *stacks;
	const char *const *reasons; /* by number */
	uint32_t n_reasons;
	enum gs_wait wait[256];
	uint64_t unknown;   /* records of no known kind */
	uint32_t unseen;    /* GS_UNSEEN_*: left out of events from now on */
	uint32_t thin_mask; /* the same of goroutines */
};

void gs__decoder_init(struct gs__decoder *d, struct gs_rt *rt, struct gs__stacks *stacks);
/** Fill @ret from a record, which must live as long as @ret is used. False: not an event, or one that is left out. */
bool gs__decode(struct gs__decoder *d, const struct gs_wire_head *h, struct gs_event *ret);

/* --- goroutines at the start -------------------------------------------------------------------- */

/* A goroutine that existed when watching began; see GS_EV_GO_STATE. */
struct gs__start_state {
	uint64_t goid, parent;
	int64_t seen_ns, since_ns;
	const char *wait_reason;
	const struct gs_frame *created_by, *start;
	gs_addr g;
	uint32_t stack;
	int32_t tid;
	uint8_t state; /* enum gs_goroutine_state */
	bool system;
	bool settled; /* an event told more than the snapshot */
	bool born;    /* began to exist after watching had begun */
};

struct gs__snapshot {
	struct gs__start_state *v;
	uint32_t n, cap;
	uint32_t *slot; /* by goid: index + 1 */
	uint32_t mask;
	uint64_t refused;
};

/** Read all goroutines. @drain is called now and then, so that rings do not fill meanwhile. */
GS_CHECKED int gs__snapshot_take(struct gs__snapshot *s, struct gs_rt *rt,
				 struct gs__stacks *stacks, void (*drain)(void *ctx), void *ctx,
				 struct gs_incomplete_list *inc, struct gs_err *err);
/** The snapshot was taken while events came in: put it back to the moment before the first of them. */
void gs__snapshot_rewind(struct gs__snapshot *s, struct gs__order *o);
/** Threads that were in a system call or running at the start: their records of before they were bound get the goroutine. */
void gs__snapshot_adopt(struct gs__snapshot *s, struct gs__order *o);
void gs__snapshot_deinit(struct gs__snapshot *s);
/** Event of entry @i; false if it did not exist at @begin_ns. */
bool gs__snapshot_event(const struct gs__snapshot *s, uint32_t i, int64_t begin_ns,
			struct gs_event *ret);

/* --- labels ------------------------------------------------------------------------------------- */

struct gs__labels;

struct gs__labels *gs__labels_free(struct gs__labels *l);
/** The labels of @goid as of a look that is at most a second old, or of the last one that met it. All
 *  goroutines are read at once. *io is made at the first call. */
uint32_t gs__labels_of(struct gs__labels **io, struct gs_rt *rt, uint64_t goid,
		       const struct gs_label **ret);

/* --- names of objects --------------------------------------------------------------------------- */

struct gs__name {
	gs_addr addr;
	const char *name; /* NULL: there is none */
};

/* A type with locks, and what a lock of it is called. */
struct gs__lock_type {
	char *type; /* owned; "example.com/shop/store.Ledger" */
	char *name; /* owned; "store.Ledger.mu"; NULL: it cannot be told */
};

#define GS__LOCK_TYPES 64

/* Answers of gs_rt_object_name() and gs_go_lock_field(), kept. */
struct gs__names {
	struct gs__name *v; /* open addressing */
	uint32_t n, mask;
	struct gs__lock_type lock[GS__LOCK_TYPES];
	uint32_t n_locks;
};

void gs__names_deinit(struct gs__names *s);
/** The global variable that contains @addr; NULL. Lives as long as @rt. */
const char *gs__names_object(struct gs__names *s, struct gs_rt *rt, gs_addr addr);
/** Name of the lock that the goroutine with @stack waited for, by the type whose method called the lock; NULL.
 *  @fd: of the executable. The first question about a type costs 10 to 60 ms. Lives as long as @s. */
const char *gs__names_lock(struct gs__names *s, int fd, const struct gs_stack *stack);

/* --- C libraries -------------------------------------------------------------------------------- */

struct gs__libraries {
	struct gs_probe_library lib[GS_PLAN_LIBRARIES_MAX];
	struct gs_image *image[GS_PLAN_LIBRARIES_MAX];
	uint64_t dev[GS_PLAN_LIBRARIES_MAX], ino[GS_PLAN_LIBRARIES_MAX];
	int fd[GS_PLAN_LIBRARIES_MAX]; /* -1: it cannot be opened */
	uint32_t n;
};

/** Open those that @t has mapped; its map must stay as it is until they are closed. */
void gs__libraries_open(struct gs__libraries *l, struct gs_target *t);
/** Also for one that is zeroed. */
void gs__libraries_close(struct gs__libraries *l);
/** gs_stream_plan() with the libraries that sites may lie in. */
GS_CHECKED int gs__stream_plan(struct gs_target *t, struct gs_rt *rt, const struct gs_probe_wish *w,
			       const struct gs__libraries *l, struct gs_probe_plan *ret,
			       struct gs_err *err);

/** CPUs that the process may use by its cgroups, at most 1: what the overhead's share is at least taken of. */
double gs__cpu_limit(const struct gs_target *t);

#endif
