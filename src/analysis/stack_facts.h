/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_STACK_FACTS_H
#define GS_ANALYSIS_STACK_FACTS_H

/*
 * What the functions of a stack say about a wait: which lock it is for, which direction of which protocol, and
 * where in the program's own words it happened. Found once per distinct stack.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "model/event.h"
#include "model/stack.h"

enum {
	GS_STACK_MUTEX = 1,   /* in sync.(*Mutex).Lock or Unlock that no RWMutex called */
	GS_STACK_RWMUTEX = 2, /* in a method of sync.RWMutex */
	GS_STACK_WAITGROUP = 4,
	GS_STACK_COND = 8,
	GS_STACK_FD_LOCK = 16, /* another goroutine reads or writes the same descriptor */
	GS_STACK_STW = 32,     /* asks for the world to be stopped */
	GS_STACK_DNS = 64,
	GS_STACK_DIAL = 128,
	GS_STACK_ACCEPT = 256,
	GS_STACK_READ = 512,
	GS_STACK_WRITE = 1024,
	GS_STACK_FILE = 2048, /* an os.File */
	GS_STACK_TLS = 4096,
	GS_STACK_SERVER = 8192,        /* below the loop of an HTTP or gRPC server connection */
	GS_STACK_GC = 16384,           /* works for the collector */
	GS_STACK_KERNEL_FAULT = 32768, /* the kernel's: handles a page fault */
};

struct gs_stack_facts {
	const struct gs_stack *stack; /* NULL: not known */
	uint32_t flags;               /* GS_STACK_* */
	const struct gs_frame
		*where; /* innermost frame that is not of the standard library; else the
					 innermost that is not plumbing; NULL without frames */
	const struct gs_frame *from; /* first frame of the main module, if @where is not of it */
	uint64_t where_hash;         /* of the function's name; 0 without one */
	const char *protocol;        /* by the packages on it, NULL if none tells */
};

struct gs_stack_book;

/** @s and its process are borrowed. NULL when out of memory. */
struct gs_stack_book *gs_stack_book_new(struct gs_event_source *s);
struct gs_stack_book *gs_stack_book_free(struct gs_stack_book *b);
GS_DEFINE_CLEANUP(struct gs_stack_book *, gs_stack_book_free)

/** Facts on a stack of the source; never NULL, empty for 0 and for lost stacks. Borrowed until the next call. */
const struct gs_stack_facts *gs_stack_facts(struct gs_stack_book *b, uint32_t id);

/**
 * Whether a goroutine that waited with stack @wait did so while it held what it released with stack
 * @release: then the function that released, or its caller, is on both with all its callers.
 * True if one of them is not known.
 */
bool gs_stack_held(struct gs_stack_book *b, uint32_t wait, uint32_t release);
/** Whether a function whose name has this hash (gs_name_hash) is on a stack; true if the stack is not known. */
bool gs_stack_contains(struct gs_stack_book *b, uint32_t id, uint64_t name_hash);

/**
 * Whether a request is under way on a stack: net/http's serverHandler.ServeHTTP or gRPC's handleStream is on it.
 * *ret_handler: the program's outermost function below, "" if none. Lives as long as the stack.
 */
bool gs_stack_request(struct gs_stack_book *b, uint32_t id, enum gs_call_kind *ret,
		      const char **ret_handler);

/** The protocol usually spoken on a port ("postgres" on 5432); NULL for others. */
const char *gs_port_protocol(uint16_t port);

/** Hash of a name, 0 for NULL and "". */
uint64_t gs_name_hash(const char *name);

#endif
