/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A profile as folded stacks, the input of flame graph tools (flamegraph.pl, inferno, speedscope):
 *
 *	main.main;main.serve;sync.(*Mutex).Lock;[mutex] 41000000
 *	main.main;os.(*File).Sync;syscall.Syscall;do_fsync_[k];[file_io] 2200000
 *
 * One line per distinct stack, outermost function first, kernel functions marked with _[k], what was waited
 * for in brackets at the end; one space; nanoseconds. Sorted by names. The only space in a line is that
 * before the number and ";" stands only between frames: in foreign names both become \x20 and \x3b, control
 * characters \xNN, in our own words a blank becomes "_".
 */
#include "base/escape.h"
#include "export/profile_export.h"
#include "export/profile_tree.h"

#define MAX_PATH 1100u /* deeper than any path of the tree */

/* A name without the two separators of the format, and fit for a terminal. */
static void word(struct gs_out *o, const struct gs__profile_name *n)
{
	bool ours = n->kind == GS__FRAME_MARK && !memchr(n->text, '=', n->len);

	for (size_t from = 0, i = 0; i <= n->len; i++) {
		if (i < n->len && n->text[i] != ';' && n->text[i] != ' ')
			continue;
		gs_out_name(o, n->text + from, i - from);
		if (i < n->len)
			gs_out_str(o, n->text[i] == ';' ? "\\x3b" : ours ? "_" : "\\x20");
		from = i + 1;
	}
	if (n->kind == GS__FRAME_KERNEL)
		gs_out_str(o, "_[k]");
}

static void line(struct gs_out *out, const struct gs__profile_tree *t, const uint32_t *path,
		 uint32_t depth)
{
	for (uint32_t i = 0; i <= depth; i++) {
		word(out, &t->names[t->nodes[path[i]].name]);
		gs_out_char(out, i < depth ? ';' : ' ');
	}
	gs_out_i64(out, t->nodes[path[depth]].self_ns);
	gs_out_char(out, '\n');
}

static int write_folded(struct gs_out *out, const struct gs_profile *p,
			const struct gs_profile_facts *f, struct gs_err *err)
{
	struct gs__profile_tree t;
	uint32_t path[MAX_PATH], depth, node = 0;
	int r = gs__profile_tree_init(&t, p, f, err);

	if (r == 0)
		r = gs__profile_tree_sort(&t, true, err);
	while (r == 0 && !gs_out_failed(out)) {
		node = gs__profile_tree_next(&t, node, false, &depth);
		if (!node)
			break;
		path[depth] = node;
		if (t.nodes[node].self_ns > 0)
			line(out, &t, path, depth);
	}
	gs__profile_tree_deinit(&t);
	return r;
}

const struct gs_profile_format gs_profile_folded = {
	.name = "folded",
	.view_before = "flamegraph.pl --countname ns ",
	.view_after = " > flame.svg",
	.write = write_folded,
};
