/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_GS_H
#define GS_RUNTIME_RT_GS_H

/* What the files behind runtime/rt_roots.h share. */
#include "runtime/rt_gather.h"
#include "runtime/rt_private.h"
#include "runtime/rt_roots.h"

#define GS__BATCH 512u
#define GS__TIME_MAX_NS 120000000000 /* of one pass: what is not done by then is left out */
#define GS__SUDOG_MAX 512u           /* bytes of a sudog that is believed */

/* A thread that runs Go code, of a target that stands still. */
struct gs__machine {
	gs_addr curg;
	gs_addr lo, hi; /* of the system stack that it is on; 0: it is on none */
	bool has_p;
	struct gs_regs regs;
};

struct gs_rt_gs {
	struct gs_rt_g *g;
	struct gs_rt_wait_object *object;
	gs_addr *sudog;
	struct gs__machine *machine; /* by curg */
	uint32_t n, cap, n_objects, objects_cap, n_sudogs, sudogs_cap, n_machines;
};

/** Take the registers of threads, if the target stands still. */
GS_CHECKED int gs__gs_machines(struct gs_rt *rt, struct gs_rt_gs *gs,
			       struct gs_incomplete_list *inc, struct gs_err *err);
/** The thread that runs goroutine @g; NULL: none, or not known. */
const struct gs__machine *gs__gs_machine_of(const struct gs_rt_gs *gs, gs_addr g);
struct gs__sink;
/** All registers that may hold pointers. @return what the visitor said. */
int gs__scan_registers(const struct gs_regs *regs, struct gs__sink *s);

/* Stands in gs_rt_g.block until the stack has told what kind of semaphore it is. */
#define GS__BLOCK_SEMAPHORE 255u

#define GS__PS_MAX 4096u
/** Addresses of all Ps whose stale parts are known: at most @max. @return their number, 0 if they cannot be told. */
uint32_t gs__ps_list(const struct gs_rt *rt, gs_addr *ret, uint32_t max);

/** Room for one more in an array that doubles. @return NULL when out of memory. */
void *gs__grow(void *array, uint32_t n, uint32_t *io_cap, size_t size);
/** Note that @g waits for @o. Objects of one goroutine must come one after the other. */
GS_CHECKED int gs__gs_add_object(struct gs_rt_gs *gs, struct gs_rt_g *g, struct gs_rt_wait_object o,
				 struct gs_err *err);

/** The pointer in a sudog's elem (@chan false) or c, also while a GC of Go 1.26 and later hides it. */
gs_addr gs__sudog_pointer(const struct gs_go_layout *l, const uint8_t *sudog, size_t len,
			  bool chan);
/** Bytes of a sudog as the layout says, or 0 if that cannot be believed. */
uint32_t gs__sudog_size(const struct gs_rt *rt);

/** Find out what goroutines wait for on semaphores and condition variables up to Go 1.25, where no pointer leads
 *  from a goroutine to its sudog. */
GS_CHECKED int gs__gs_locks(struct gs_rt *rt, struct gs_rt_gs *gs, struct gs_err *err);
/** Find the notifyList of the condition variables' waiters up to Go 1.25. */
GS_CHECKED int gs__gs_conds(struct gs_rt *rt, struct gs_rt_gs *gs, struct gs_err *err);

#endif
