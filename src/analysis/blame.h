/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_BLAME_H
#define GS_ANALYSIS_BLAME_H

/*
 * Where a goroutine's time within a window went, and who is to blame: a tree. Each node is time of one kind
 * (class, place, lock, peer); below a wait is what those did meanwhile who ended it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "analysis/lives.h"
#include "analysis/stack_facts.h"
#include "analysis/why_classes.h"
#include "model/why.h"

#define GS_BLAME_NODES 256u

struct gs_blame_node {
	enum gs_why_class class;
	uint8_t wait; /* enum gs_wait */
	bool cut, holder_unseen, near, more_holders;
	bool many_objects; /* @object is only one of them */
	int32_t syscall;   /* -1: none */
	int64_t ns, longest_ns;
	uint64_t where_hash, object, file_hash;
	uint32_t stack, kernel_stack, file; /* of the longest stretch */
	uint32_t count, runnable;
	uint64_t busy; /* goroutine that ran most meanwhile, low half */
	struct {
		uint64_t goid;
		int64_t ns;
		uint32_t stack;
	} holder[GS_WHY_HOLDERS];
	uint32_t n_holders;
	uint32_t parent, first, next; /* indexes; 0: none */
};

struct gs_blame_tree {
	struct gs_blame_node node[GS_BLAME_NODES]; /* 0 is the root: the window itself */
	uint32_t n;
	int64_t classes[GS_WHY_CLASSES]; /* their sum is the window, exactly */
	bool forgotten;                  /* some of the past was not kept any more */
	bool cut;                        /* a limit was reached */
};

struct gs_blame_window {
	uint64_t goid;
	int64_t begin_ns, end_ns;
	uint32_t context; /* number of what it serves: CPU time that has no sample counts as spent
			     where that of the same context was sampled last; 0: none */
	bool unfinished; /* the goroutine is still at it: what it does now is known only if it is parked */
};

struct gs_blame;

/** All are borrowed. NULL when out of memory. */
struct gs_blame *gs_blame_new(struct gs_lives *lives, struct gs_stack_book *book,
			      const char *goarch);
struct gs_blame *gs_blame_free(struct gs_blame *b);
GS_DEFINE_CLEANUP(struct gs_blame *, gs_blame_free)

/** The tree of a window; borrowed until the next call. Bounded in depth, nodes and intervals looked at. */
const struct gs_blame_tree *gs_blame_explain(struct gs_blame *b, const struct gs_blame_window *w);

/** Whether two nodes are about the same, so that their times add up. */
bool gs_blame_same(const struct gs_blame_node *a, const struct gs_blame_node *b);

/** Hash of what identifies a file or peer among others; a client's port does not. 0: none. */
uint64_t gs_file_hash(const struct gs_file_ref *f);

#endif
