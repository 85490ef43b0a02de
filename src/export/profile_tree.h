/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_PROFILE_TREE_H
#define GS_EXPORT_PROFILE_TREE_H

/*
 * A profile as a tree of calls, merged by function: what folded stacks, speedscope and flame graphs are made of.
 * From the root: marks (goroutine, labels), the goroutine's functions, the kernel's, and last what it waited for:
 *
 *	goroutine 7 > main.main > main.serve > sync.(*Mutex).Lock > [mutex]
 *	main.main > os.(*File).Sync > syscall.Syscall > do_fsync > schedule > [file_io]
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/arena.h"
#include "base/out.h"
#include "export/pprof_tables.h"
#include "model/profile.h"

enum gs__frame_kind {
	GS__FRAME_GO = 0,
	GS__FRAME_RUNTIME, /* of the Go runtime */
	GS__FRAME_KERNEL,
	GS__FRAME_FOREIGN, /* C */
	GS__FRAME_CLASS,   /* "[mutex]": what was waited for, always a leaf */
	GS__FRAME_MARK,    /* "goroutine 7", "[unknown]": ours, or a label */
	GS__FRAME_KINDS
};

/** A name that frames of the tree have; different kinds have different numbers. Raw. */
struct gs__profile_name {
	const char *text;
	size_t len;
	const char *file; /* of the first frame that had it; "" if unknown */
	enum gs__frame_kind kind;
};

struct gs__profile_node {
	uint32_t parent;            /* 0 is the root, whose parent it is as well */
	uint32_t name;              /* in names; not for the root */
	uint32_t first_child, next; /* 0: none; in the order of gs__profile_tree_sort() */
	uint64_t count;             /* of this very stack */
	int64_t self_ns, total_ns;
};

struct gs__profile_tree {
	struct gs__profile_node *nodes; /* parents before children */
	uint32_t n, cap;
	struct gs__profile_name *names;
	uint32_t n_names, cap_names;
	uint64_t cut;           /* times counted at a caller: too many different stacks */
	struct gs_arena *arena; /* of names put together */
	struct gs__string_table strings;
	struct gs__pair_table by_text; /* (string, kind) -> name + 1 */
	struct gs__pair_table edges;   /* (parent, name) -> node */
};

/** Make the tree of a finished profile. gs__profile_tree_deinit() is right in any case. */
GS_CHECKED int gs__profile_tree_init(struct gs__profile_tree *t, const struct gs_profile *p,
				     const struct gs_profile_facts *f, struct gs_err *err);
void gs__profile_tree_deinit(struct gs__profile_tree *t);
/** Order siblings by name, or most time first. @return 0 or -ENOMEM. */
GS_CHECKED int gs__profile_tree_sort(struct gs__profile_tree *t, bool by_name, struct gs_err *err);

/** The next node of a walk through the tree, parents first, 0 at its end; begin with 0. With @skip
 *  what is below @node is passed over. @depth (of the root's children: 0) is kept up to date. */
uint32_t gs__profile_tree_next(const struct gs__profile_tree *t, uint32_t node, bool skip,
			       uint32_t *depth);

#endif
